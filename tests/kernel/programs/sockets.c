/* SPDX-License-Identifier: MIT */
/* Calls about sockets where there is none: a family that nobody has, descriptors that are closed or of files. */
#include "say.h"
#include <sys/socket.h>

#define NO_FAMILY 200

/* All calls that take a socket, with this descriptor. */
static void ask(const char *what, int fd, int error)
{
	struct sockaddr address = {.sa_family = AF_UNSPEC};
	struct iovec io = {(void *)"x", 1};
	struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1};
	int value = 0;
	socklen_t length = sizeof(address), size = sizeof(value);

	say("%s", what);
	want("bind", bind(fd, &address, sizeof(address)), error);
	want("connect", connect(fd, &address, sizeof(address)), error);
	want("listen", listen(fd, 1), error);
	want("accept", accept(fd, &address, &length), error);
	want("accept4", accept4(fd, &address, &length, SOCK_CLOEXEC), error);
	want("getsockname", getsockname(fd, &address, &length), error);
	want("getpeername", getpeername(fd, &address, &length), error);
	want("send", send(fd, "x", 1, 0), error);
	want("recv", recv(fd, &value, 1, 0), error);
	want("sendmsg", sendmsg(fd, &message, 0), error);
	want("recvmsg", recvmsg(fd, &message, 0), error);
	want("setsockopt", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)), error);
	want("getsockopt", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size), error);
	want("shutdown", shutdown(fd, SHUT_RDWR), error);
}

int main(void)
{
	int fds[2], pair[2], null = open("/dev/null", O_RDWR);

	must(null >= 0 && pipe(fds) == 0);
	want("a family beyond all", socket(NO_FAMILY, SOCK_STREAM, 0), -EAFNOSUPPORT);
	want("one below 0", socket(-1, SOCK_STREAM, 0), -EAFNOSUPPORT);
	want("a type beyond all", socket(AF_INET, 15, 0), -EINVAL);
	want("unknown flags", socket(AF_INET, SOCK_STREAM | 0x100, 0), -EINVAL);
	want("a pair", socketpair(NO_FAMILY, SOCK_STREAM, 0, pair), -EAFNOSUPPORT);
	ask("Of a number that is closed:", 99, -EBADF);
	ask("Of a device:", null, -ENOTSOCK);
	ask("Of a pipe:", fds[0], -ENOTSOCK);
	return finish();
}

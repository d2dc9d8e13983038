/* SPDX-License-Identifier: MIT */
/* dup and its like, fcntl's flags, the lowest number, and the limit. */
#include "say.h"
#include <sys/resource.h>

int main(void)
{
	struct rlimit limit = {20, 20};
	int fd, other, i;
	char byte;

	for (i = 3; i < 64; i++)
		close(i);
	fd = file_of(1);
	must(fd == 3); /* nothing is open but 0, 1 and 2 */
	want("dup: the lowest that is free", dup(fd), 4);
	want("dup2", dup2(fd, 10), 10);
	want("dup2 to itself", dup2(fd, fd), fd);
	must(lseek(fd, 0, SEEK_SET) == 0 && write(10, "abc", 3) == 3);
	want("all have one position", lseek(4, 0, SEEK_CUR), 3);
	want("dup3", dup3(fd, 11, O_CLOEXEC), 11);
	want("its flag", fcntl(11, F_GETFD), FD_CLOEXEC);
	want("the others' flags", fcntl(10, F_GETFD), 0);
	want("dup3 to itself", dup3(fd, fd, 0), -EINVAL);
	want("dup3's other flags", syscall(SYS_dup3, fd, 12, O_APPEND), -EINVAL);
	want("F_DUPFD", fcntl(fd, F_DUPFD, 8), 8);
	want("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 8), 9);
	want("its flag", fcntl(9, F_GETFD), FD_CLOEXEC);
	want("F_SETFD", fcntl(9, F_SETFD, 0), 0);
	want("is gone", fcntl(9, F_GETFD), 0);
	must((other = open("/dev/null", O_RDONLY)) == 5);
	want("dup2 closes what was there", dup2(fd, other), 5);
	want("it is the file now", pread(other, &byte, 1, 1), 1);
	want("its byte", byte, 'b');
	must(close(4) == 0 && close(5) == 0);
	want("closed", read(4, &byte, 1), -EBADF);
	want("twice", close(4), -EBADF);
	want("dup of nothing", dup(4), -EBADF);
	want("dup2 of nothing", dup2(4, 3), -EBADF);
	want("which closes nothing", fcntl(3, F_GETFD), 0);
	want("dup2 to a bad number", dup2(3, -1), -EBADF);

	want("F_GETFL", fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR);
	want("F_SETFL", fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK), 0);
	want("F_GETFL",
	     (fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK)) ==
		     (O_RDWR | O_APPEND | O_NONBLOCK),
	     1);
	want("it is the open file's, not the number's", (fcntl(10, F_GETFL) & O_APPEND) != 0, 1);
	want("unknown", fcntl(fd, 9999), -EINVAL);

	must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (i = 0; dup(fd) >= 0; i++)
		;
	want("until there are no more", answer_of(dup(fd)), -EMFILE);
	want("open", open("/dev/null", O_RDONLY), -EMFILE);
	want("pipe", pipe((int[2]){0}), -EMFILE);
	want("F_DUPFD beyond the limit", fcntl(fd, F_DUPFD, 20), -EINVAL);
	want("dup2 to beyond", dup2(fd, 20), -EBADF);
	want("the highest", fcntl(19, F_GETFD), 0);
	must(close(15) == 0);
	want("one is free again", dup(fd), 15);
	return finish();
}

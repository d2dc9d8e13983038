/* SPDX-License-Identifier: MIT */
/* Pipes: order, end, waiting, what happens without readers, and their limits. */
#include "say.h"
#include <sys/ioctl.h>

static int fds[2];

static void writes(void *arg)
{
	char text[1000];
	int i;

	close(fds[0]);
	for (i = 0; i < 300; i++) {
		memset(text, i, sizeof(text));
		must(write(fds[1], text, sizeof(text)) == sizeof(text));
	}
}

static void broken(void *arg)
{
	must(write(fds[1], "x", 1) < 0);
}

int main(void)
{
	static char text[1 << 16];
	char byte = 0;
	long total = 0, n;
	int bytes, good = 1, tries;
	struct stat stat;
	pid_t pid;

	want("pipe", pipe(fds), 0);
	must(fstat(fds[0], &stat) == 0);
	fact("is one", S_ISFIFO(stat.st_mode));
	want("write", write(fds[1], "hello", 5), 5);
	want("FIONREAD", ioctl(fds[0], FIONREAD, &bytes) == 0 ? bytes : -1, 5);
	want("read two", read(fds[0], text, 2), 2);
	want("write", write(fds[1], "!", 1), 1);
	want("read the rest", read(fds[0], text + 2, 100), 4);
	want_text("in order", text, "hello!");
	want("of nothing", read(fds[0], text, 0), 0);
	want("from the end for writing", read(fds[1], text, 1), -EBADF);
	want("to the end for reading", write(fds[0], text, 1), -EBADF);
	want("lseek", lseek(fds[0], 0, SEEK_SET), -ESPIPE);

	/* More than fits: writer and reader wait for each other. */
	pid = start(writes, NULL);
	close(fds[1]);
	while ((n = read(fds[0], text, 777)) > 0) {
		for (bytes = 0; bytes < n; bytes++)
			good = good && text[bytes] == (char)((total + bytes) / 1000);
		total += n;
	}
	want("all that a child wrote", total, 300000);
	fact("in order", good);
	want("then the end", n, 0);
	want_end("child", pid, "exit 0");
	close(fds[0]);

	must(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
	fact("pipe2's flags",
	     (fcntl(fds[0], F_GETFL) & O_NONBLOCK) && fcntl(fds[1], F_GETFD) == FD_CLOEXEC);
	want("nothing to read", read(fds[0], text, 1), -EAGAIN);
	for (total = 0; (n = write(fds[1], text, 4096)) > 0 && total < (64 << 20);)
		total += n;
	want("full", answer_of(n), -EAGAIN);
	fact("holds a page or more, in pages", total >= 4096 && total % 4096 == 0);
	want("a small write", write(fds[1], text, 10), -EAGAIN);
	must(read(fds[0], text, 4096) == 4096);
	want("after reading a page", write(fds[1], text, 4096), 4096);
	want("a large write when there is room for a page",
	     (read(fds[0], text, 4096), write(fds[1], text, sizeof(text))), 4096);
	want("no more than PIPE_BUF is done in parts", write(fds[1], text, 4096), -EAGAIN);

	for (tries = 0; read(fds[0], text, sizeof(text)) > 0; tries++)
		;
	signal(SIGPIPE, SIG_IGN);
	close(fds[0]);
	want("nobody reads", write(fds[1], "x", 1), -EPIPE);
	signal(SIGPIPE, SIG_DFL);
	must(pipe(fds) == 0 && close(fds[0]) == 0);
	pid = start(broken, NULL);
	want_end("and without a handler", pid, "SIGPIPE");
	must(pipe(fds) == 0 && close(fds[1]) == 0);
	want("nobody writes", read(fds[0], &byte, 1), 0);
	want("unknown flags", pipe2(fds, 1), -EINVAL);
	want("to nowhere", syscall(SYS_pipe, nowhere()), -EFAULT);
	return finish();
}

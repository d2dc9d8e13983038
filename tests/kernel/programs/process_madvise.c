/* SPDX-License-Identifier: MIT */
/* process_madvise: advice for parts of another process's memory. */
#include "say.h"
#include <sys/uio.h>

#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

enum { COLD = 20 };

static char *p;

static void waits(void *arg)
{
	for (;;)
		pause();
}

static long advise(int fd, struct iovec *parts, size_t count, int advice, unsigned flags)
{
	return syscall(SYS_process_madvise, fd, parts, count, advice, flags);
}

int main(void)
{
	struct iovec parts[2];
	pid_t pid;
	int fd;
	long n;

	p = pages(6);
	memset(p, 1, 6 * PAGE);
	parts[0] = (struct iovec){p, PAGE};
	parts[1] = (struct iovec){p + 3 * PAGE, 2 * PAGE};
	pid = start(waits, NULL);
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	n = fd < 0 ? -1 : advise(fd, parts, 2, COLD, 0);
	if (n < 0 && (errno == ENOSYS || errno == EPERM)) {
		kill(pid, SIGKILL);
		not_here("process_madvise, or somebody forbids it");
	}
	want("two parts", n, 3 * PAGE);
	want("of nothing", advise(fd, parts, 0, COLD, 0), 0);
	want("flags", advise(fd, parts, 1, COLD, 1), -EINVAL);
	want("no such advice", advise(fd, parts, 1, 77, 0), -EINVAL);
	want("no process", advise(-1, parts, 1, COLD, 0), -EBADF);
	want("what is no process", advise(0, parts, 1, COLD, 0), -EBADF);
	parts[0].iov_base = p + 1;
	want("not at a page", advise(fd, parts, 1, COLD, 0), -EINVAL);
	parts[0].iov_base = place(1);
	want("where nothing is", advise(fd, parts, 1, COLD, 0), -ENOMEM);
	parts[0].iov_base = p;
	parts[1].iov_base = place(1);
	parts[1].iov_len = PAGE;
	want("up to where nothing is", advise(fd, parts, 2, COLD, 0), PAGE);
	want("from nowhere", advise(fd, nowhere(), 1, COLD, 0), -EFAULT);
	must(kill(pid, SIGKILL) == 0);
	want_end("child", pid, "SIGKILL");
	want("who has ended", advise(fd, parts, 1, COLD, 0), -ESRCH);
	return finish();
}

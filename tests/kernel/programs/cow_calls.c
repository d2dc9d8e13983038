/* SPDX-License-Identifier: MIT */
/* System calls that write into memory copy it as stores do: read, readv, pipes, wait, getcwd. */
#include "say.h"
#include <sys/uio.h>

static char *p;

static void child(void *arg)
{
	int zero = open("/dev/zero", O_RDONLY), fds[2], status;
	struct iovec parts[2] = {{p + 2 * PAGE - 10, 20}, {p + 4 * PAGE, 10}};

	must(zero >= 0 && pipe(fds) == 0);
	want("read over a border", read(zero, p + PAGE - 50, 100), 100);
	want("readv", readv(zero, parts, 2), 30);
	fact("zeroes are there", all_are(p + PAGE - 50, 100, 0) && all_are(p + 4 * PAGE, 10, 0));
	must(write(fds[1], "pipe", 4) == 4);
	want("from a pipe", read(fds[0], p + 5 * PAGE, 4), 4);
	if (fork() == 0)
		_exit(7);
	memset(p + 6 * PAGE, 1, sizeof(int));
	must(wait((int *)(p + 6 * PAGE)) > 0);
	memcpy(&status, p + 6 * PAGE, sizeof(status));
	want("from wait", WEXITSTATUS(status), 7);
	want("time", clock_gettime(CLOCK_MONOTONIC, (struct timespec *)(p + 7 * PAGE)), 0);
}

int main(void)
{
	char *readonly;
	int zero = open("/dev/zero", O_RDONLY), fd = file_of(1);

	p = pages(8);
	memset(p, 1, 8 * PAGE);
	want_end("exit", start(child, NULL), "exit 0");
	fact("the parent's memory is as it was", all_are(p, 8 * PAGE, 1));

	must(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
	want("read into what may only be read", read(zero, p + PAGE, 10), -EFAULT);
	want("up to it", read(zero, p + PAGE - 10, 10), 10);
	fact("it is as it was", all_are(p + PAGE, PAGE, 1));
	readonly = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	must(readonly != MAP_FAILED);
	want("into a file mapped to be read", read(zero, readonly, 1), -EFAULT);
	readonly = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	must(readonly != MAP_FAILED);
	must(lseek(zero, 0, SEEK_SET) == 0 && pwrite(fd, "abc", 3, 0) == 3);
	want("into a private mapping", read(zero, readonly + 1, 1), 1);
	fact("is a copy", readonly[0] == 'a' && readonly[1] == 0 && readonly[2] == 'c' &&
				  pread(fd, p, 3, 0) == 3 && p[1] == 'b');
	return finish();
}

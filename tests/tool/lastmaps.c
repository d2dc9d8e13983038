/* SPDX-License-Identifier: MIT */
/*
 * Changes its space a little, then writes its own maps (or what else in /proc/self the argument names) to standard output
 * and leaves at once, so that what it shows is what it had at its end.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul

static char buf[1 << 16];

int main(int argc, char **argv)
{
	char path[64], *p;
	ssize_t n;
	int fd;

	p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return 1;
	mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ);
	munmap(p + 32 * PAGE, 16 * PAGE);
	mlock(p, PAGE);
	madvise(p + 16 * PAGE, 8 * PAGE, MADV_DONTDUMP);
	mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(path, sizeof(path), "/proc/self/%s", argc > 1 ? argv[1] : "maps");
	fd = open(path, O_RDONLY);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (write(1, buf, (size_t)n) != n)
			_exit(2);
	}
	_exit(0);
}

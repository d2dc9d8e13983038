/* SPDX-License-Identifier: MIT */
/* Only under a kernel with high memory: what a program and its files have lies there, and low memory stays free. */
#include "show.h"

#define SIZE (32ul << 20)

/* A figure of /proc/meminfo in kB; -1: not there. */
static long figure(const char *name)
{
	static char text[8192];
	int fd = open("/proc/meminfo", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	char *found;

	close(fd);
	text[n > 0 ? n : 0] = 0;
	found = strstr(text, name);
	return found ? atol(found + strlen(name)) : -1;
}

int main(void)
{
	long low = figure("LowFree:"), high = figure("HighFree:");
	int fd = open("/tmp/file", O_CREAT | O_RDWR, 0600);
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t i;

	if (low < 0 || high < 0 || fd < 0 || p == MAP_FAILED)
		return 1;
	for (i = 0; i < SIZE; i += PAGE) {
		p[i] = 1;
		if (write(fd, p + i, PAGE) != (ssize_t)PAGE)
			return 1;
	}
	printf("high memory has it: %d\n", high - figure("HighFree:") >= (long)(2 * SIZE >> 10));
	printf("low memory has no more than 1 MiB of it: %d\n", low - figure("LowFree:") <= 1024);
	close(fd);
	unlink("/tmp/file");
	return 0;
}

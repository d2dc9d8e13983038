/* SPDX-License-Identifier: MIT */
/* Ten thousand areas: made, counted, looked at, forked and taken away. */
#include "say.h"

enum { COUNT = 10000 };

/* Lines of maps that begin within the memory. */
static size_t lines(const char *p, size_t count)
{
	static char text[65537];
	int fd = open("/proc/self/maps", O_RDONLY);
	size_t kept = 0, found = 0;
	ssize_t n;

	must(fd >= 0);
	while ((n = read(fd, text + kept, sizeof(text) - 1 - kept)) > 0) {
		char *line = text, *end;

		kept += (size_t)n;
		text[kept] = 0;
		while ((end = strchr(line, '\n'))) {
			unsigned long at = strtoul(line, NULL, 16);

			found += at >= (unsigned long)p && at < (unsigned long)p + count * PAGE;
			line = end + 1;
		}
		kept -= (size_t)(line - text);
		memmove(text, line, kept);
	}
	close(fd);
	return found;
}

static void child(void *arg)
{
	volatile char *p = arg;

	p[0] = 2;
	p[(COUNT - 2) * PAGE] = 2;
	fact("the child writes to its own", p[0] == 2 && p[PAGE * 100] == 0);
	want("and has as many", (long)lines(arg, COUNT), COUNT);
	want("gives all of them up", munmap(arg, COUNT * PAGE), 0);
}

int main(void)
{
	char *p = mmap(NULL, COUNT * PAGE, PROT_READ, PRIVATE | MAP_NORESERVE, -1, 0);
	unsigned long x = 1;
	size_t i, good = 0;

	must(p != MAP_FAILED);
	for (i = 0; i < COUNT; i += 2)
		must(mprotect(p + i * PAGE, PAGE, RW) == 0);
	want("areas", (long)lines(p, COUNT), COUNT);
	for (i = 0; i < 500; i++) {
		x = (x * 1103515245 + 12345) & 0x7fffffff;
		p[x / 7 % (COUNT / 2) * 2 * PAGE + 5] = 1;
	}
	for (i = 0, x = 1; i < 500; i++) {
		x = (x * 1103515245 + 12345) & 0x7fffffff;
		good += p[x / 7 % (COUNT / 2) * 2 * PAGE + 5];
	}
	want("bytes written among them", (long)good, 500);
	want_fault("one that may only be read", p + 777 * PAGE, 'w', "SIGSEGV ACCERR");
	want_fault("its neighbour", p + 778 * PAGE, 'w', "fine");
	want_end("child", start(child, p), "exit 0");
	want("areas after it", (long)lines(p, COUNT), COUNT);
	for (i = 1; i < COUNT; i += 4)
		must(munmap(p + i * PAGE, PAGE) == 0);
	want("every fourth gone", (long)lines(p, COUNT), COUNT * 3 / 4);
	must(mmap(p, COUNT * PAGE, RW, PRIVATE | MAP_FIXED | MAP_NORESERVE, -1, 0) == p);
	want("mapped over", (long)lines(p + PAGE, COUNT - 1), 0);
	want("munmap", munmap(p, COUNT * PAGE), 0);
	return finish();
}

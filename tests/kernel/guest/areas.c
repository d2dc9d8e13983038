/* SPDX-License-Identifier: MIT */
/* Many areas: ten thousand of them, forked, found again, removed; and one too many. */
#include "show.h"

#define AREAS 10000

static int lines_of_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0, c;

	CHECK(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

int main(void)
{
	char *p = map(2 * AREAS, PROT_READ | PROT_WRITE);
	int before = lines_of_maps(), i, status;
	unsigned seed = 1;
	pid_t pid;

	for (i = 0; i < AREAS; i++) {
		p[2 * i * PAGE] = (char)i;
		CHECK(!mprotect(p + (2 * i + 1) * PAGE, PAGE, PROT_NONE));
	}
	show("areas", (lines_of_maps() - before + 1) / 1000);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		for (i = 0; i < AREAS; i++) {
			CHECK(p[2 * i * PAGE] == (char)i);
			p[2 * i * PAGE] = 0;
		}
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	for (i = 0; i < 5000; i++) {
		unsigned k = (unsigned)rand_r(&seed) % AREAS;
		char *q = map(1, PROT_READ | PROT_WRITE);

		CHECK(p[2 * k * PAGE] == (char)k);
		q[0] = 1;
		CHECK(!munmap(q, PAGE));
	}
	CHECK(!mprotect(p, 2 * AREAS * PAGE, PROT_READ));
	show("areas again", lines_of_maps() - before);
	CHECK(!mprotect(p, 2 * AREAS * PAGE, PROT_NONE));
	for (i = 0; i < 70000; i++) {
		if (mmap(NULL, PAGE, i & 1 ? PROT_READ : PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1,
			 0) == MAP_FAILED)
			break;
	}
	show("one too many", i > 60000 && i < 65536);
	show("its errno", errno);
	return 0;
}

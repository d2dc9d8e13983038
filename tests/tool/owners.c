/* SPDX-License-Identifier: MIT */
/*
 * Neighbouring private areas that may be joined but for their rights, written for the first time in random
 * order without a call in between, then given the same rights: which of them Linux joins depends on that order. Run under
 * quire shadow by run.py. The argument is the number of rounds.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define AREAS 9

static uint64_t seed = 1;

static unsigned below(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 50, i, j;

	for (i = 0; i < rounds; i++) {
		char *p = mmap(NULL, (3 * AREAS + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		int order[AREAS];

		if (p == MAP_FAILED)
			return 1;
		p += PAGE;
		mprotect(p, 3 * AREAS * PAGE, PROT_READ | PROT_WRITE);
		for (j = 1; j < AREAS; j += 2)
			mprotect(p + 3 * (size_t)j * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
		for (j = 0; j < AREAS; j++)
			order[j] = j;
		for (j = AREAS - 1; j > 0; j--) {
			int k = (int)below((unsigned)j + 1), t = order[j];

			order[j] = order[k];
			order[k] = t;
		}
		for (j = 0; j < AREAS - 2; j++)
			((volatile char *)p)[3 * (size_t)order[j] * PAGE + below(3) * PAGE] = 1;
		mprotect(p, 3 * AREAS * PAGE, PROT_READ | PROT_WRITE);
		munmap(p - PAGE, (3 * AREAS + 2) * PAGE);
	}
	return 0;
}

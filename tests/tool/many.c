/* SPDX-License-Identifier: MIT */
/*
 * Maps single pages that can't be joined, until Linux allows no more or the number in the argument is reached, and
 * writes to some. Run under quire shadow by run.py.
 */
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1000, i;

	for (i = 0; i < n; i++) {
		char *p = mmap(NULL, 4096, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			break;
		if (!(i & 1) && i % 3)
			p[0] = 1;
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Sixty-four threads that map, write, protect and unmap at once, so that what one maps becomes the
 * neighbour of what another has just written. Run under quire shadow by run.py. The argument is the number of rounds.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define THREADS 64
#define PAGE 4096ul

static int rounds = 60;

static void *work(void *arg)
{
	uint64_t seed = (uintptr_t)arg * 2654435761u + 1;
	char *held[8] = { 0 };
	size_t pages[8] = { 0 };

	for (int i = 0; i < rounds; i++) {
		unsigned k, n;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		k = seed >> 33 & 7;
		n = 1 + (seed >> 40 & 15);
		if (held[k]) {
			munmap(held[k], pages[k] * PAGE);
			held[k] = NULL;
			continue;
		}
		held[k] = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (held[k] == MAP_FAILED)
			exit(1);
		pages[k] = n;
		if (seed >> 50 & 1)
			held[k][0] = 1;
		if (n > 1 && seed >> 51 & 1)
			mprotect(held[k] + n / 2 * PAGE, PAGE, PROT_READ);
		held[k][0] = 2;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];

	if (argc > 1)
		rounds = atoi(argv[1]);
	for (size_t i = 0; i < THREADS; i++) {
		if (pthread_create(&thread[i], NULL, work, (void *)(i + 1)))
			return 2;
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	return 0;
}

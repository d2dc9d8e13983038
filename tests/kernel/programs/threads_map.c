/* SPDX-License-Identifier: MIT */
/* Threads that map, write and unmap at the same time, each memory of its own, with a common counter under a lock. */
#include "say.h"
#include <pthread.h>

enum { THREADS = 4, ROUNDS = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;
static __thread long own;
static int bad[THREADS];

static void *work(void *arg)
{
	int self = (int)(intptr_t)arg, i;

	for (i = 0; i < ROUNDS; i++) {
		size_t count = 1 + (size_t)(i + self) % 7;
		char *p = pages(count);

		bad[self] += !all_are(p, count * PAGE, 0);
		memset(p, self + 1, count * PAGE);
		if (i % 3 == 0)
			bad[self] += mprotect(p, PAGE, PROT_READ) != 0;
		if (i % 3 == 1)
			sched_yield();
		bad[self] += !all_are(p, count * PAGE, self + 1);
		if (i % 5 == 0) {
			char *q;

			bad[self] += mprotect(p, PAGE, RW) != 0;
			q = mremap(p, count * PAGE, (count + 9) * PAGE, MREMAP_MAYMOVE);
			bad[self] += q == MAP_FAILED || !all_are(q, count * PAGE, self + 1);
			p = q;
			count += 9;
		}
		if (i % 4 == 0)
			bad[self] += madvise(p + PAGE * (count - 1), PAGE, MADV_DONTNEED) != 0 ||
				     p[PAGE * (count - 1)] != 0;
		bad[self] += munmap(p, count * PAGE) != 0;
		own += (long)count;
		pthread_mutex_lock(&lock);
		total += (long)count;
		pthread_mutex_unlock(&lock);
	}
	return (void *)own;
}

int main(void)
{
	pthread_t threads[THREADS];
	long sum = 0;
	void *result;
	int i;

	for (i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) == 0);
	for (i = 0; i < THREADS; i++) {
		must(pthread_join(threads[i], &result) == 0);
		sum += (long)result;
		want("what was not as it should be", bad[i], 0);
	}
	fact("the common sum is that of all", total == sum && own == 0);
	want("pages", total, 467);
	return finish();
}

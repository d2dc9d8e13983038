/* SPDX-License-Identifier: MIT */
/* Each thread has its own thread-local data and stack, in a child of a threaded process as well. */
#include "say.h"
#include <pthread.h>

static __thread int zero;
static __thread int five = 5;
static __thread char large[20000];
static pthread_barrier_t barrier;
static int *addresses[4];

static void *work(void *arg)
{
	int self = (int)(intptr_t)arg, i;

	addresses[self] = &zero;
	must(zero == 0 && five == 5 && all_are(large, sizeof(large), 0));
	pthread_barrier_wait(&barrier);
	for (i = 0; i < 200; i++) {
		zero += self + 1;
		five -= self;
		large[i * 100] = (char)self;
		if (i % 20 == 0)
			sched_yield();
	}
	pthread_barrier_wait(&barrier);
	return (void *)(intptr_t)(zero == 200 * (self + 1) && five == 5 - 200 * self &&
				  large[100] == self);
}

static void *forks(void *arg)
{
	pid_t pid;

	zero = 77;
	pid = fork();
	if (pid == 0)
		_exit(zero == 77 && five == 5 && (int)syscall(SYS_gettid) == getpid() ? 3 : 4);
	want_end("the child of a thread has that thread's", pid, "exit 3");
	return arg;
}

int main(void)
{
	pthread_t threads[4];
	void *result;
	int i;

	must(pthread_barrier_init(&barrier, NULL, 4) == 0);
	for (i = 0; i < 4; i++)
		must(pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) == 0);
	for (i = 0; i < 4; i++) {
		must(pthread_join(threads[i], &result) == 0);
		want("a thread's own", (long)(intptr_t)result, 1);
	}
	fact("at four places", addresses[0] != addresses[1] && addresses[1] != addresses[2] &&
				       addresses[2] != addresses[3] &&
				       addresses[0] != addresses[3]);
	fact("main's are as they were", zero == 0 && five == 5);
	must(pthread_create(&threads[0], NULL, forks, NULL) == 0 &&
	     pthread_join(threads[0], NULL) == 0);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* Threads: mutexes, conditions, thread-local storage, and memory mapped and unmapped by several at once. */
#include "show.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#define THREADS 8
#define ROUNDS 60

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long counter;
static _Thread_local int own;

static void *count(void *arg)
{
	int i;

	for (i = 0; i < 1000; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		own++;
		pthread_mutex_unlock(&mutex);
	}
	pthread_barrier_wait(&barrier);
	CHECK(own == 1000);
	return arg;
}

/* Each maps, fills, checks and unmaps pages of its own, all in one space. */
static void *mapper(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		size_t pages = 1 + rand_r(&seed) % 20, k;
		char *p = map(pages, PROT_READ | PROT_WRITE);

		for (k = 0; k < pages; k++) {
			CHECK(p[k * PAGE] == 0);
			p[k * PAGE] = (char)(seed + k);
		}
		if (pages > 2)
			CHECK(!mprotect(p + PAGE, PAGE, PROT_READ));
		for (k = 0; k < pages; k++)
			CHECK(p[k * PAGE] == (char)(seed + k));
		if (i % 3 == 0)
			CHECK(!madvise(p, pages * PAGE, MADV_DONTNEED) && p[0] == 0);
		CHECK(!munmap(p, pages * PAGE));
	}
	return NULL;
}

static volatile int *shared_word;
static volatile int stop;

static void *reader(void *arg)
{
	int seen = 0;

	(void)arg;
	while (!stop) {
		int now = *shared_word;

		CHECK(now >= seen);
		seen = now;
		usleep(100);
	}
	return NULL;
}

static void *waits(void *arg)
{
	pthread_mutex_lock(&mutex);
	while (counter != 12345)
		pthread_cond_wait(&condition, &mutex);
	pthread_mutex_unlock(&mutex);
	return arg;
}

static void *ends_alone(void *arg)
{
	pthread_exit(arg);
}

static void robust(void)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t *m =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	CHECK(m != MAP_FAILED);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	CHECK(!pthread_mutex_init(m, &attr));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		pthread_mutex_lock(m);
		_exit(0); /* holding it */
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	show("the owner has died", pthread_mutex_lock(m));
	CHECK(!pthread_mutex_consistent(m) && !pthread_mutex_unlock(m));
	show("and it is consistent", pthread_mutex_lock(m));
	pthread_mutex_unlock(m);
	munmap(m, PAGE);
}

static void between_processes(void)
{
	sem_t *sem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec soon;
	int status;
	pid_t pid;

	CHECK(sem != MAP_FAILED && !sem_init(sem, 1, 0));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		usleep(20000);
		sem_post(sem);
		_exit(0);
	}
	show("a semaphore from another process", sem_wait(sem));
	CHECK(waitpid(pid, &status, 0) == pid);
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 20000000;
	if (soon.tv_nsec >= 1000000000) {
		soon.tv_sec++;
		soon.tv_nsec -= 1000000000;
	}
	show("none comes", sem_timedwait(sem, &soon));
	munmap(sem, PAGE);
}

static void exit_with_others(void)
{
	pthread_t t;

	CHECK(!pthread_create(&t, NULL, waits, NULL));
	usleep(10000);
	exit(9);
}

static void exec_with_others(void)
{
	char *argv[] = {"/proc/self/exe", "again", NULL};
	pthread_t t[3];
	int i;

	for (i = 0; i < 3; i++)
		CHECK(!pthread_create(&t[i], NULL, i ? waits : count, NULL));
	usleep(10000);
	execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS], readers[2];
	void *result;
	long i;

	if (argc > 1 && !strcmp(argv[1], "again"))
		return 21;
	CHECK(!pthread_barrier_init(&barrier, NULL, THREADS));
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, count, (void *)i));
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], &result) && result == (void *)i);
	show("counted", counter);

	shared_word = (volatile int *)map(1, PROT_READ | PROT_WRITE);
	for (i = 0; i < 2; i++)
		CHECK(!pthread_create(&readers[i], NULL, reader, NULL));
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, mapper, (void *)(i + 1)));
	for (i = 0; i < 2000; i++)
		*shared_word = (int)i;
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	stop = 1;
	for (i = 0; i < 2; i++)
		CHECK(!pthread_join(readers[i], NULL));
	printf("mapped and unmapped\n");

	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&t[i], NULL, waits, NULL));
	usleep(10000);
	pthread_mutex_lock(&mutex);
	counter = 12345;
	pthread_cond_broadcast(&condition);
	pthread_mutex_unlock(&mutex);
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(t[i], NULL));
	printf("all were waked\n");
	for (i = 0; i < 50; i++) {
		CHECK(!pthread_create(&t[0], NULL, ends_alone, (void *)i));
		CHECK(!pthread_join(t[0], &result) && result == (void *)i);
	}
	counter = 0;
	robust();
	between_processes();
	in_child("exit with other threads", exit_with_others);
	in_child("exec with other threads", exec_with_others);
	return 0;
}

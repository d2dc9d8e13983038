/* SPDX-License-Identifier: MIT */
/* What one thread does to memory the others see: stores, rights taken away, pages given up, files, directories. */
#include "say.h"
#include <pthread.h>
#include <semaphore.h>

static sem_t go, done;
static char *p;
static const char *volatile seen;
static volatile int fd, byte;

static void *other(void *arg)
{
	volatile char *at = p;

	sem_wait(&go);
	byte = at[0];
	sem_post(&done);
	sem_wait(&go);
	seen = fault(p, 'w');
	sem_post(&done);
	sem_wait(&go);
	byte = at[PAGE];
	sem_post(&done);
	sem_wait(&go);
	seen = fault(p + 2 * PAGE, 'r');
	sem_post(&done);
	sem_wait(&go);
	fd = open("/dev/null", O_RDWR);
	must(chdir("/dev") == 0);
	umask(027);
	sem_post(&done);
	return arg;
}

static void turn(void)
{
	sem_post(&go);
	sem_wait(&done);
}

int main(void)
{
	pthread_t thread;
	void *result;

	p = pages(4);
	must(sem_init(&go, 0, 0) == 0 && sem_init(&done, 0, 0) == 0);
	must(pthread_create(&thread, NULL, other, "result") == 0);
	memset(p, 1, 4 * PAGE);
	turn();
	want("a store", byte, 1);
	must(mprotect(p, PAGE, PROT_READ) == 0);
	turn();
	want_text("rights taken away", seen, "SIGSEGV ACCERR");
	must(madvise(p + PAGE, PAGE, MADV_DONTNEED) == 0);
	turn();
	want("a page given up", byte, 0);
	must(munmap(p + 2 * PAGE, PAGE) == 0);
	turn();
	want_text("unmapped", seen, "SIGSEGV MAPERR");
	turn();
	want("a file that the other opened", write(fd, "x", 1), 1);
	want("its directory is ours", access("null", F_OK), 0);
	want("its umask, too", umask(0), 027);
	must(pthread_join(thread, &result) == 0);
	want_text("what it returned", result, "result");
	return finish();
}

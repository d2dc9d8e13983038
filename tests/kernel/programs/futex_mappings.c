/* SPDX-License-Identifier: MIT */
/* A futex is where its memory is: in a file, at two addresses, in two processes; a private mapping has its own. */
#include "say.h"
#include <pthread.h>

enum { WAIT = 0, WAKE = 1 };

static long futex(void *at, int what, unsigned value, const void *time)
{
	return syscall(SYS_futex, at, what, value, time, NULL, 0);
}

static unsigned *one, *two, *private;
static volatile int waiting;

static void *waits(void *arg)
{
	waiting = 1;
	return (void *)(futex(arg, WAIT, 0, NULL) == 0 ? "woken" : error_name(errno));
}

static void *maps(void *arg)
{
	int i;

	for (i = 0; i < 200; i++) {
		char *p = pages(3);

		p[0] = 1;
		munmap(p, 3 * PAGE);
	}
	return arg;
}

static long wake(void *at)
{
	long n;
	int tries;

	for (tries = 0; tries < 5000; tries++) {
		n = futex(at, WAKE, 1, NULL);
		if (n != 0)
			return n;
		pause_ms(1);
	}
	return 0;
}

static void child(void *arg)
{
	int fd = *(int *)arg;
	unsigned *p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);

	must(p != MAP_FAILED);
	must(wake(&p[1]) == 1);
}

int main(void)
{
	struct timespec time = {0, 5000000};
	int fd = memfd_create("words", 0);
	pthread_t thread, mapper;
	void *result;
	pid_t pid;

	must(fd >= 0 && ftruncate(fd, PAGE) == 0);
	one = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	two = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	private = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	must(one != MAP_FAILED && two != MAP_FAILED && private != MAP_FAILED);

	must(pthread_create(&thread, NULL, waits, &one[0]) == 0);
	want("woken at the other address", wake(&two[0]), 1);
	must(pthread_join(thread, &result) == 0);
	want_text("the waiter", result, "woken");

	pid = start(child, &fd);
	want_text("waiting until a child wakes us through its own mapping", waits(&two[1]),
		  "woken");
	want_end("child", pid, "exit 0");

	must(pthread_create(&mapper, NULL, maps, NULL) == 0);
	must(pthread_create(&thread, NULL, waits, &private[2]) == 0);
	private[2] = 0;
	want("another word of the file is another", futex(&one[3], WAKE, 1, NULL), 0);
	want("woken while a third maps and unmaps", wake(&private[2]), 1);
	must(pthread_join(thread, &result) == 0 && pthread_join(mapper, NULL) == 0);
	want_text("the waiter", result, "woken");

	munmap(two, PAGE);
	want("unmapped", futex(two, WAKE, 1, NULL), -EFAULT);
	want("without rights", (mprotect(one, PAGE, PROT_NONE), futex(one, WAIT, 0, &time)),
	     -EFAULT);
	want("to be read", (mprotect(one, PAGE, PROT_READ), futex(&one[5], WAIT, 0, &time)),
	     -ETIMEDOUT);
	want("behind the end of the file", (ftruncate(fd, 0), futex(one, WAIT, 0, &time)), -EFAULT);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* futex by the bare call: waiting, waking, times, sets, requeueing; private and shared between processes. */
#include "say.h"
#include <pthread.h>

enum {
	WAIT = 0,
	WAKE = 1,
	REQUEUE = 3,
	CMP_REQUEUE = 4,
	WAIT_BITSET = 9,
	WAKE_BITSET = 10,
	ONLY_HERE = 128
};

static long futex(void *at, int what, unsigned value, const void *time, void *second,
		  unsigned third)
{
	return syscall(SYS_futex, at, what, value, time, second, third);
}

static unsigned *shared, words[4];
static volatile int woken;

static void child(void *arg)
{
	unsigned value = __atomic_load_n(&shared[0], __ATOMIC_SEQ_CST);

	__atomic_fetch_add(&shared[1], 1, __ATOMIC_SEQ_CST);
	while (value == 0) {
		futex(&shared[0], WAIT, 0, NULL, NULL, 0);
		value = __atomic_load_n(&shared[0], __ATOMIC_SEQ_CST);
	}
	_exit((int)value);
}

static void *waiter(void *arg)
{
	long got =
		futex(&words[0], WAIT_BITSET | ONLY_HERE, 0, NULL, NULL, (unsigned)(uintptr_t)arg);

	must(got == 0);
	__atomic_fetch_add(&woken, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Wake until that many have been: who is only on the way to sleep is not there yet. */
static long wake(unsigned *at, int what, long count, unsigned set)
{
	long sum = 0;

	while (sum < count) {
		long n = futex(at, what, (unsigned)(count - sum), NULL, NULL, set);

		must(n >= 0);
		sum += n;
		if (sum < count)
			pause_ms(1);
	}
	return sum;
}

int main(void)
{
	struct timespec time = {0, 10000000}, wrong = {0, 1000000000};
	pthread_t threads[4];
	pid_t pids[3];
	int64_t before;
	long moved;
	int i;

	want("another value than is there", futex(&words[0], WAIT | ONLY_HERE, 1, NULL, NULL, 0),
	     -EAGAIN);
	before = now_ns(CLOCK_MONOTONIC);
	want("nobody wakes us", futex(&words[0], WAIT | ONLY_HERE, 0, &time, NULL, 0), -ETIMEDOUT);
	fact("at least that long", now_ns(CLOCK_MONOTONIC) - before >= 10000000);
	want("a time that is none", futex(&words[0], WAIT, 0, &wrong, NULL, 0), -EINVAL);
	want("nobody to wake", futex(&words[0], WAKE, 1, NULL, NULL, 0), 0);
	want("not at a multiple of four", futex((char *)words + 1, WAIT, 0, NULL, NULL, 0),
	     -EINVAL);
	want("an empty set", futex(&words[0], WAIT_BITSET, 0, NULL, NULL, 0), -EINVAL);
	want("no such operation", futex(&words[0], 99, 0, NULL, NULL, 0), -ENOSYS);
	want("where nothing is", futex(place(1), WAIT, 0, &time, NULL, 0), -EFAULT);

	for (i = 0; i < 4; i++)
		must(pthread_create(&threads[i], NULL, waiter,
				    (void *)(uintptr_t)(i < 2 ? 1 : 2)) == 0);
	want("those of one set", wake(&words[0], WAKE_BITSET | ONLY_HERE, 2, 1), 2);
	want("join", pthread_join(threads[0], NULL) + pthread_join(threads[1], NULL), 0);
	want("the others sleep", woken, 2);
	want("none left of that set", futex(&words[0], WAKE_BITSET | ONLY_HERE, 9, NULL, NULL, 1),
	     0);
	want("requeue at another value",
	     futex(&words[0], CMP_REQUEUE | ONLY_HERE, 0, (void *)9, &words[1], 5), -EAGAIN);
	for (moved = 0; moved < 2; pause_ms(1)) {
		long n = futex(&words[0], CMP_REQUEUE | ONLY_HERE, 0, (void *)9, &words[1], 0);

		must(n >= 0);
		moved += n;
	}
	want("moved to another word", moved, 2);
	want("nobody is at the first", futex(&words[0], WAKE | ONLY_HERE, 9, NULL, NULL, 0), 0);
	want("all at the second", futex(&words[1], WAKE | ONLY_HERE, 9, NULL, NULL, 0), 2);
	want("join", pthread_join(threads[2], NULL) + pthread_join(threads[3], NULL), 0);

	shared = mmap(NULL, PAGE, RW, SHARED, -1, 0);
	must(shared != MAP_FAILED);
	for (i = 0; i < 3; i++)
		pids[i] = start(child, NULL);
	while (__atomic_load_n(&shared[1], __ATOMIC_SEQ_CST) < 3)
		pause_ms(1);
	pause_ms(5);
	want("a private wake is not theirs", futex(&shared[0], WAKE | ONLY_HERE, 9, NULL, NULL, 0),
	     0);
	__atomic_store_n(&shared[0], 5, __ATOMIC_SEQ_CST);
	must(futex(&shared[0], WAKE, 9, NULL, NULL, 0) >= 0);
	for (i = 0; i < 3; i++)
		want_end("child", pids[i], "exit 5");
	return finish();
}

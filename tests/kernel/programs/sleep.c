/* SPDX-License-Identifier: MIT */
/* Sleeping lasts at least as long as was asked, ends early for a signal, and says what was left. */
#include "say.h"
#include <sys/time.h>

static volatile sig_atomic_t signals;

static void handler(int number)
{
	signals++;
}

static int64_t ns_of(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(void)
{
	struct itimerval soon = {{0, 10000}, {0, 10000}}, never = {{0, 0}, {0, 0}};
	struct timespec time = {0, 15000000}, left = {0, 0}, at, bad = {0, 1000000000},
			negative = {-1, 0};
	int64_t before = now_ns(CLOCK_MONOTONIC);

	want("nanosleep", nanosleep(&time, NULL), 0);
	fact("at least that long", now_ns(CLOCK_MONOTONIC) - before >= ns_of(time));
	before = now_ns(CLOCK_MONOTONIC);
	want("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL), 0);
	fact("at least that long", now_ns(CLOCK_MONOTONIC) - before >= ns_of(time));
	before = now_ns(CLOCK_MONOTONIC) + 15000000;
	at.tv_sec = (time_t)(before / 1000000000);
	at.tv_nsec = (long)(before % 1000000000);
	want("until a time", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL), 0);
	fact("not before it", now_ns(CLOCK_MONOTONIC) >= before);
	want("until one that was", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL), 0);
	want("by the other clock", clock_nanosleep(CLOCK_REALTIME, 0, &time, NULL), 0);
	want("of no time", nanosleep(&left, NULL), 0);

	sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler}, NULL);
	time = (struct timespec){500, 0};
	must(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	want("a signal", nanosleep(&time, &left), -EINTR);
	must(setitimer(ITIMER_REAL, &never, NULL) == 0);
	fact("what is left", ns_of(left) < ns_of(time) && left.tv_sec >= 400 && signals >= 1);
	must(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	want("clock_nanosleep answers the error itself",
	     clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &left), EINTR);
	must(setitimer(ITIMER_REAL, &never, NULL) == 0);
	want("too many nanoseconds", nanosleep(&bad, NULL), -EINVAL);
	want("below 0", nanosleep(&negative, NULL), -EINVAL);
	want("no such clock", clock_nanosleep(77, 0, &time, NULL), EINVAL);
	want("a time that is nowhere", syscall(SYS_nanosleep, nowhere(), NULL), -EFAULT);
	return finish();
}

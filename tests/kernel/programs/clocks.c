/* SPDX-License-Identifier: MIT */
/* Clocks: they go on, never back, for all processes alike, and do not exist under other numbers. */
#include "say.h"
#include <sys/time.h>
#include <sys/times.h>

static int64_t *shared;

static void child(void *arg)
{
	fact("in a child it is not earlier", now_ns(CLOCK_MONOTONIC) >= shared[0]);
	shared[1] = now_ns(CLOCK_MONOTONIC);
}

int main(void)
{
	static const struct {
		const char *name;
		clockid_t clock;
		int never_back;
	} clocks[] = {
		{"REALTIME", CLOCK_REALTIME, 0},
		{"MONOTONIC", CLOCK_MONOTONIC, 1},
		{"PROCESS_CPUTIME_ID", CLOCK_PROCESS_CPUTIME_ID, 1},
		{"THREAD_CPUTIME_ID", CLOCK_THREAD_CPUTIME_ID, 1},
		{"MONOTONIC_RAW", CLOCK_MONOTONIC_RAW, 1},
		{"REALTIME_COARSE", CLOCK_REALTIME_COARSE, 0},
		{"MONOTONIC_COARSE", CLOCK_MONOTONIC_COARSE, 1},
		{"BOOTTIME", CLOCK_BOOTTIME, 1},
	};
	struct timespec resolution;
	struct timeval day;
	struct tms tms;
	volatile unsigned work = 0;
	int64_t before, now;
	size_t i;
	int n;

	for (i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		int back = 0;

		say("%s", clocks[i].name);
		want("resolution", clock_getres(clocks[i].clock, &resolution), 0);
		fact("is a second or less", resolution.tv_sec == 0 && resolution.tv_nsec > 0);
		before = now_ns(clocks[i].clock);
		fact("is not below 0", before >= 0);
		for (n = 0; n < 2000; n++) {
			now = now_ns(clocks[i].clock);
			back += clocks[i].never_back && now < before;
			before = now;
		}
		want("went back", back, 0);
	}
	before = now_ns(CLOCK_MONOTONIC);
	for (n = 0; n < 100000000 && now_ns(CLOCK_MONOTONIC) <= before; n++)
		;
	fact("it goes on", now_ns(CLOCK_MONOTONIC) > before);
	before = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (n = 0; n < 1000 || (n < 1000000000 && now_ns(CLOCK_PROCESS_CPUTIME_ID) <= before); n++)
		work = work * 3 + 1;
	fact("work takes time", now_ns(CLOCK_PROCESS_CPUTIME_ID) > before);
	fact("a thread's is no more than its process's",
	     (before = now_ns(CLOCK_THREAD_CPUTIME_ID)) <= now_ns(CLOCK_PROCESS_CPUTIME_ID));

	must(gettimeofday(&day, NULL) == 0);
	now = now_ns(CLOCK_REALTIME) / 1000 - ((int64_t)day.tv_sec * 1000000 + day.tv_usec);
	fact("gettimeofday is near CLOCK_REALTIME", now > -1000000 && now < 5000000);
	fact("so is time", time(NULL) - day.tv_sec <= 5 && time(NULL) >= day.tv_sec - 1);
	fact("times", times(&tms) != (clock_t)-1 && tms.tms_utime >= 0 && tms.tms_cutime >= 0);
	shared = mmap(NULL, PAGE, RW, SHARED, -1, 0);
	must(shared != MAP_FAILED);
	shared[0] = now_ns(CLOCK_MONOTONIC);
	want_end("child", start(child, NULL), "exit 0");
	fact("nor here after it", now_ns(CLOCK_MONOTONIC) >= shared[1]);
	want("no such clock", syscall(SYS_clock_gettime, 77, &resolution), -EINVAL);
	want("its resolution", syscall(SYS_clock_getres, 77, &resolution), -EINVAL);
	want("to nowhere", syscall(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, nowhere()),
	     -EFAULT);
	return finish();
}

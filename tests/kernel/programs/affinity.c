/* SPDX-License-Identifier: MIT */
/* sched_getaffinity and sched_setaffinity: on which processors a thread may be, and is. */
#include "say.h"
#include <sched.h>

static void child(void *arg)
{
	cpu_set_t set;

	must(sched_getaffinity(0, sizeof(set), &set) == 0);
	fact("a child may be there alone, too",
	     CPU_COUNT(&set) == 1 && CPU_ISSET(*(int *)arg, &set));
}

int main(void)
{
	cpu_set_t all, one, now;
	int cpu, good = 1, first = -1;

	want("get", sched_getaffinity(0, sizeof(all), &all), 0);
	fact("one or more", CPU_COUNT(&all) >= 1);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		if (first < 0)
			first = cpu;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		good = good && sched_setaffinity(0, sizeof(one), &one) == 0 &&
		       sched_getcpu() == cpu;
		good = good && sched_getaffinity(0, sizeof(now), &now) == 0 &&
		       CPU_EQUAL(&now, &one);
	}
	fact("on each in turn", good);
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	must(sched_setaffinity(0, sizeof(one), &one) == 0);
	want_end("child", start(child, &first), "exit 0");
	want("yield", sched_yield(), 0);
	CPU_ZERO(&now);
	want("on none", sched_setaffinity(0, sizeof(now), &now), -EINVAL);
	want("back on all", sched_setaffinity(0, sizeof(all), &all), 0);
	want("of nobody", sched_getaffinity(0x3fffffff, sizeof(now), &now), -ESRCH);
	want("a set that is too small", syscall(SYS_sched_getaffinity, 0, 0, &now), -EINVAL);
	return finish();
}

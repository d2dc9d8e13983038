/* SPDX-License-Identifier: MIT */
/* uname, sysinfo, getrusage and the like: figures that make sense together. */
#include "say.h"
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>

int main(void)
{
	struct rusage before, after, children;
	struct utsname name;
	struct sysinfo info;
	volatile unsigned work = 0;
	int64_t began;
	char *p;
	long grown;

	want("uname", uname(&name), 0);
	fact("has a system, a release and a machine",
	     name.sysname[0] && name.release[0] && name.machine[0] && name.version[0]);
	fact("no longer than there is room",
	     memchr(name.nodename, 0, sizeof(name.nodename)) != NULL);
	want("sysinfo", sysinfo(&info), 0);
	fact("free memory is part of all",
	     info.freeram > 0 && info.freeram <= info.totalram && info.mem_unit > 0);
	fact("it is up, with processes", info.uptime < 1000000000 && info.procs > 0);
	want("sysconf: page", sysconf(_SC_PAGESIZE), PAGE);
	fact("processors", sysconf(_SC_NPROCESSORS_ONLN) >= 1);

	p = pages(256);
	must(getrusage(RUSAGE_SELF, &before) == 0);
	memset(p, 1, 256 * PAGE);
	must(getrusage(RUSAGE_SELF, &after) == 0);
	grown = after.ru_minflt - before.ru_minflt;
	fact("each page touched was a fault, or some at once", grown >= 1 && grown < 400);
	fact("the most there was has not sunk",
	     after.ru_maxrss >= before.ru_maxrss && after.ru_maxrss >= 512);
	began = now_ns(CLOCK_MONOTONIC);
	do {
		work = work * 5 + 1;
		must(getrusage(RUSAGE_SELF, &after) == 0);
	} while (after.ru_utime.tv_sec == before.ru_utime.tv_sec &&
		 after.ru_utime.tv_usec == before.ru_utime.tv_usec &&
		 after.ru_stime.tv_sec == before.ru_stime.tv_sec &&
		 after.ru_stime.tv_usec == before.ru_stime.tv_usec &&
		 now_ns(CLOCK_MONOTONIC) - began < 20000000000);
	fact("work takes time", after.ru_utime.tv_usec != before.ru_utime.tv_usec ||
					after.ru_stime.tv_usec != before.ru_stime.tv_usec);
	must(getrusage(RUSAGE_CHILDREN, &children) == 0);
	fact("no children, no time", children.ru_utime.tv_sec == 0 &&
					     children.ru_utime.tv_usec == 0 &&
					     children.ru_minflt == 0);
	if (fork() == 0) {
		memset(p, 2, 256 * PAGE);
		_exit(0);
	}
	must(getrusage(RUSAGE_CHILDREN, &children) == 0);
	want("a child's counts when it has been waited for", children.ru_minflt, 0);
	wait(NULL);
	must(getrusage(RUSAGE_CHILDREN, &children) == 0);
	fact("then it does", children.ru_minflt >= 1);
	want("of nobody", getrusage(99, &before), -EINVAL);
	want("to nowhere", syscall(SYS_getrusage, RUSAGE_SELF, nowhere()), -EFAULT);
	want("uname to nowhere", syscall(SYS_uname, nowhere()), -EFAULT);
	want("sysinfo to nowhere", syscall(SYS_sysinfo, nowhere()), -EFAULT);
	return finish();
}

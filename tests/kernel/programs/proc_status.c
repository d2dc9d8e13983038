/* SPDX-License-Identifier: MIT */
/* /proc/self/status, statm and smaps: sizes grow by what is mapped and by what is touched. */
#include "say.h"
#include <sys/prctl.h>

enum { COUNT = 1000 };

static long status(const char *name)
{
	return figure("/proc/self/status", name);
}

/* A figure of the area's lines in smaps. */
static long smaps(char *p, const char *name)
{
	static char text[1 << 18];
	char first[32], *at;

	snprintf(first, sizeof(first), "%08lx-", (unsigned long)p);
	text_of("/proc/self/smaps", text, sizeof(text));
	at = strstr(text, first);
	must(at && (at = strstr(at, name)));
	return atol(at + strlen(name));
}

static void child(void *arg)
{
	char *p = arg;

	want("shared by two", smaps(p, "Private_Dirty:"), 0);
	want("dirty", smaps(p, "Shared_Dirty:"), COUNT * 4);
	want("Pss", smaps(p, "Pss:"), COUNT * 2);
	memset(p, 2, 100 * PAGE);
	want("copied", smaps(p, "Private_Dirty:"), 400);
	want("still shared", smaps(p, "Shared_Dirty:"), COUNT * 4 - 400);
}

int main(void)
{
	char text[4096], *p, *q;
	long size, rss, data, pages_size, pages_rss;
	int fd;

	prctl(41 /* PR_SET_THP_DISABLE */, 1, 0, 0, 0);
	fd = file_of(COUNT);
	size = status("VmSize:");
	data = status("VmData:");
	p = mmap(NULL, (COUNT + 2) * PAGE, PROT_NONE, PRIVATE, -1, 0);
	must(p != MAP_FAILED);
	p += PAGE; /* nothing joins it on either side */
	must(mprotect(p, COUNT * PAGE, RW) == 0);
	want("VmSize grows by what is mapped", status("VmSize:") - size, COUNT * 4 + 8);
	fact("VmData too", status("VmData:") - data >= COUNT * 4);
	rss = status("VmRSS:");
	memset(p, 1, COUNT * PAGE);
	fact("VmRSS by what is touched, about",
	     status("VmRSS:") - rss >= COUNT * 3 && status("VmRSS:") - rss <= COUNT * 5);
	fact("VmHWM is no less", status("VmHWM:") >= status("VmRSS:") - 1000);
	rss = status("VmRSS:");
	must(madvise(p, COUNT / 2 * PAGE, MADV_DONTNEED) == 0);
	fact("given up, it sinks",
	     rss - status("VmRSS:") >= COUNT && rss - status("VmRSS:") <= COUNT * 3);
	memset(p, 1, COUNT * PAGE);

	q = mmap(NULL, COUNT * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(q != MAP_FAILED);
	text_of("/proc/self/statm", text, sizeof(text));
	must(sscanf(text, "%ld %ld", &pages_size, &pages_rss) == 2);
	fact("statm has the same size in pages", pages_size * 4 == status("VmSize:"));
	fact("and about the same rss",
	     pages_rss * 4 - status("VmRSS:") < 1000 && status("VmRSS:") - pages_rss * 4 < 1000);
	memset(q, 3, 10 * PAGE);
	want("smaps: size", smaps(q, "Size:"), COUNT * 4);
	want("rss", smaps(q, "Rss:"), 40);
	want("of a file", smaps(q, "Anonymous:"), 0);
	munmap(q, COUNT * PAGE);
	want_text("the other's rights", areas(p, COUNT), "0-1000 rw-p");
	want("anonymous", smaps(p, "Anonymous:"), COUNT * 4);
	text_of("/proc/self/status", text, sizeof(text));
	fact("status says who", strstr(text, "Name:\tproc_status\n") &&
					strstr(text, "State:\tR (running)\n") &&
					strstr(text, "Threads:\t1\n"));
	want("Pid", figure("/proc/self/status", "\nPid:") == getpid(), 1);
	want("PPid", figure("/proc/self/status", "\nPPid:") == getppid(), 1);
	want_end("child", start(child, p), "exit 0");
	return finish();
}

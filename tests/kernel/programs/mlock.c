/* SPDX-License-Identifier: MIT */
/* mlock, mlock2 and munlock: pages come and stay, VmLck counts them, and RLIMIT_MEMLOCK holds. */
#include "say.h"
#include <sys/resource.h>

static int resident(char *p, size_t count)
{
	unsigned char vector[64];
	int n = 0;
	size_t i;

	must(mincore(p, count * PAGE, vector) == 0);
	for (i = 0; i < count; i++)
		n += vector[i] & 1;
	return n;
}

static long locked(void)
{
	return figure("/proc/self/status", "VmLck:");
}

static void limited(void *arg)
{
	struct rlimit limit = {4 * PAGE, 4 * PAGE};
	char *p;

	must(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	drop_rights();
	p = pages(8);
	want("within the limit", mlock(p, 4 * PAGE), 0);
	want("once more is not more", mlock(p, 4 * PAGE), 0);
	want("beyond it", mlock(p + 4 * PAGE, PAGE), -ENOMEM);
	want("MAP_LOCKED", mmap(NULL, PAGE, RW, PRIVATE | MAP_LOCKED, -1, 0), -EAGAIN);
	want("mremap", mremap(p, 4 * PAGE, 9 * PAGE, MREMAP_MAYMOVE), -EAGAIN);
	want("munlock of a page", munlock(p, PAGE), 0);
	want("and another instead", mlock(p + 4 * PAGE, PAGE), 0);
	want("mlockall", mlockall(MCL_CURRENT), -ENOMEM);
	limit.rlim_cur = limit.rlim_max = 0;
	must(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	want("with a limit of nothing", mlock(p + 5 * PAGE, PAGE), -EPERM);
}

static void child(void *p)
{
	want("a child has nothing locked", locked(), 0);
}

int main(void)
{
	char *p = pages(8), *q;

	want("VmLck", locked(), 0);
	want("mlock", mlock(p + 2 * PAGE, 3 * PAGE), 0);
	want("pages there", resident(p, 8), 3);
	want("VmLck", locked(), 12);
	want_areas("an area of its own", p, 8, "0-2 rw-p, 2-5 rw-p, 5-8 rw-p");
	want_end("exit", start(child, p), "exit 0");
	want("one byte into a page", mlock(p + 5 * PAGE + 7, 1), 0);
	want("VmLck", locked(), 16);
	want("munlock", munlock(p, 8 * PAGE), 0);
	want("VmLck", locked(), 0);
	want("pages stay", resident(p, 8), 4);

	q = pages(6);
	memset(q, 1, 6 * PAGE);
	must(mlock(q + 2 * PAGE, 2 * PAGE) == 0);
	want_areas("locked in the middle", q, 6, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p");
	must(munlock(q, 6 * PAGE) == 0);
	want_areas("unlocked", q, 6, "0-6 rw-p");
	munmap(q, 6 * PAGE);

	want("mlock2 on fault", syscall(SYS_mlock2, p, 8 * PAGE, 1), 0);
	want("VmLck", locked(), 32);
	want("brings nothing", resident(p, 8), 4);
	p[7 * PAGE] = 1;
	want("until it is touched", resident(p, 8), 5);
	want("mlock2 without the flag", syscall(SYS_mlock2, p, 8 * PAGE, 0), 0);
	want("brings all", resident(p, 8), 8);
	want("mlock2 with another", syscall(SYS_mlock2, p, PAGE, 2), -EINVAL);
	munmap(p + 3 * PAGE, PAGE);
	want("VmLck after munmap", locked(), 28);
	want("munlock over a hole", munlock(p, 8 * PAGE), -ENOMEM);
	want("does it up to there", locked(), 16);
	want("mlock over a hole", mlock(p, 8 * PAGE), -ENOMEM);
	want("of nothing", mlock(p, 0), 0);
	want("no rights, no pages",
	     (mprotect(p, PAGE, PROT_NONE), munlock(p, PAGE), mlock(p, PAGE)), -ENOMEM);
	want_end("limited", start(limited, NULL), "exit 0");
	return finish();
}

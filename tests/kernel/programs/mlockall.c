/* SPDX-License-Identifier: MIT */
/* mlockall and munlockall: what is there, what comes, and on fault. */
#include "say.h"
#include <sys/resource.h>

#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

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

static void child(void *arg)
{
	char *p = pages(4);

	want("a child's new memory is not locked", resident(p, 4), 0);
	want("nor is its old", figure("/proc/self/status", "VmLck:"), 0);
}

int main(void)
{
	struct rlimit limit = {64 << 20, 64 << 20};
	char *p = pages(8), *q, *r;
	long locked;

	setrlimit(RLIMIT_MEMLOCK, &limit); /* who may not have more has a little */
	if (mlockall(MCL_CURRENT | MCL_ONFAULT) && errno == ENOMEM)
		not_here("enough memory that may be locked");
	want("munlockall", munlockall(), 0);
	want("VmLck", figure("/proc/self/status", "VmLck:"), 0);
	want("current", mlockall(MCL_CURRENT), 0);
	want("pages there", resident(p, 8), 8);
	locked = figure("/proc/self/status", "VmLck:");
	fact("VmLck has grown", locked >= 32);
	q = pages(8);
	want("new memory is not locked", resident(q, 8), 0);
	want("DONTNEED of the old", madvise(p, PAGE, MADV_DONTNEED), -EINVAL);
	want("future", mlockall(MCL_FUTURE), 0);
	r = pages(8);
	want("new memory is locked", resident(r, 8), 8);
	want("older is not", resident(q, 8), 0);
	want("DONTNEED of it", madvise(r, PAGE, MADV_DONTNEED), -EINVAL);
	want_end("exit", start(child, NULL), "exit 0");
	want("munlockall", munlockall(), 0);
	want("VmLck", figure("/proc/self/status", "VmLck:"), 0);
	q = pages(8);
	want("new memory is not locked", resident(q, 8), 0);
	want("future, on fault", mlockall(MCL_FUTURE | MCL_ONFAULT), 0);
	r = pages(8);
	want("new memory waits", resident(r, 8), 0);
	r[0] = 1;
	want("DONTNEED of it", madvise(r, PAGE, MADV_DONTNEED), -EINVAL);
	want("nothing", mlockall(0), -EINVAL);
	want("on fault alone", mlockall(MCL_ONFAULT), -EINVAL);
	want("unknown flags", mlockall(8), -EINVAL);
	want("munlockall", munlockall(), 0);
	return finish();
}

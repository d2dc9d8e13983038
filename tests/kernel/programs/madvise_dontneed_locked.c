/* SPDX-License-Identifier: MIT */
/* MADV_DONTNEED_LOCKED: as MADV_DONTNEED, of locked memory too, which stays locked. */
#include "say.h"

enum { DONTNEED_LOCKED = 24 };

int main(void)
{
	char *p = pages(4);

	if (madvise(p, 0, DONTNEED_LOCKED))
		not_here("MADV_DONTNEED_LOCKED");
	memset(p, 1, 4 * PAGE);
	must(mlock(p + PAGE, 2 * PAGE) == 0);
	want("over locked memory and other", madvise(p, 4 * PAGE, DONTNEED_LOCKED), 0);
	want("still locked", figure("/proc/self/status", "VmLck:"), 8);
	fact("all is zero", all_are(p, 4 * PAGE, 0));
	want("DONTNEED refuses", madvise(p, 4 * PAGE, MADV_DONTNEED), -EINVAL);
	p[PAGE] = 2;
	want("what is written then stays", p[PAGE], 2);
	munmap(p + 3 * PAGE, PAGE);
	want("over a hole", madvise(p, 4 * PAGE, DONTNEED_LOCKED), -ENOMEM);
	want("done up to it", p[PAGE], 0);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* mremap makes areas longer and shorter, where they are or elsewhere. */
#include "say.h"

int main(void)
{
	char *p = place(16), *q;

	must(mmap(p, 4 * PAGE, RW, PRIVATE | MAP_FIXED, -1, 0) == p);
	memset(p, 5, 4 * PAGE);
	fact("longer in place", mremap(p, 4 * PAGE, 8 * PAGE, 0) == p);
	want_areas("then", p, 16, "0-8 rw-p");
	fact("bytes stay, the new are zero",
	     all_are(p, 4 * PAGE, 5) && all_are(p + 4 * PAGE, 4 * PAGE, 0));
	fact("shorter", mremap(p, 8 * PAGE, 3 * PAGE, 0) == p);
	want_areas("then", p, 16, "0-3 rw-p");
	fact("the same length", mremap(p, 3 * PAGE, 3 * PAGE, 0) == p);

	must(mmap(p + 4 * PAGE, PAGE, RW, SHARED | MAP_FIXED, -1, 0) != MAP_FAILED);
	fact("into the gap", mremap(p, 3 * PAGE, 4 * PAGE, 0) == p);
	want("no further", mremap(p, 4 * PAGE, 5 * PAGE, 0), -ENOMEM);
	want_areas("nothing has changed", p, 16, "0-4 rw-p, 4-5 rw-s");
	q = mremap(p, 4 * PAGE, 600 * PAGE, MREMAP_MAYMOVE);
	must(q != MAP_FAILED);
	fact("it may move, and does", q != p);
	want_areas("from here", p, 16, "4-5 rw-s");
	want_areas("to there", q, 600, "0-600 rw-p");
	fact("bytes move along", all_are(q, 3 * PAGE, 5) && all_are(q + 3 * PAGE, 597 * PAGE, 0));
	want_fault("the old place", p, 'r', "SIGSEGV MAPERR");

	q[100 * PAGE] = 7;
	must(mmap(q + 600 * PAGE, PAGE, PROT_READ, PRIVATE | MAP_FIXED, -1, 0) != MAP_FAILED);
	p = mremap(q + 100 * PAGE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	fact("the middle of an area", p != MAP_FAILED && p[0] == 7);
	want_areas("leaves a hole", q, 600, "0-100 rw-p, 102-600 rw-p");

	want("to nothing", mremap(q, PAGE, 0, MREMAP_MAYMOVE), -EINVAL);
	want("from nothing, private", mremap(q, 0, PAGE, MREMAP_MAYMOVE), -EINVAL);
	want("not at a page", mremap(q + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE), -EINVAL);
	want("where nothing is", mremap(q + 100 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), -EFAULT);
	want("longer over a hole", mremap(q + 99 * PAGE, 3 * PAGE, 8 * PAGE, MREMAP_MAYMOVE),
	     -EFAULT);
	want("unknown flags", mremap(q, PAGE, PAGE, 64), -EINVAL);
	return finish();
}

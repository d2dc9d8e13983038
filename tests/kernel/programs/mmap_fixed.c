/* SPDX-License-Identifier: MIT */
/* MAP_FIXED replaces what is there; MAP_FIXED_NOREPLACE does not. */
#include "say.h"

int main(void)
{
	char *p = pages(6);

	memset(p, 7, 6 * PAGE);
	fact("fixed",
	     mmap(p + 2 * PAGE, 2 * PAGE, PROT_READ, PRIVATE | MAP_FIXED, -1, 0) == p + 2 * PAGE);
	want_areas("over the middle", p, 6, "0-2 rw-p, 2-4 r--p, 4-6 rw-p");
	fact("what was replaced is gone", all_are(p + 2 * PAGE, 2 * PAGE, 0));
	fact("what is beside it stays",
	     all_are(p, 2 * PAGE, 7) && all_are(p + 4 * PAGE, 2 * PAGE, 7));

	want("noreplace over it", mmap(p, 6 * PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0),
	     -EEXIST);
	want("noreplace over its last page",
	     mmap(p + 5 * PAGE, 2 * PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0), -EEXIST);
	fact("nothing has changed", all_are(p, 2 * PAGE, 7));
	munmap(p + PAGE, 2 * PAGE);
	fact("noreplace in the hole",
	     mmap(p + PAGE, 2 * PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
	fact("which is zero", all_are(p + PAGE, 2 * PAGE, 0));
	want_areas("then", p, 6, "0-3 rw-p, 3-4 r--p, 4-6 rw-p");

	fact("fixed over all, shared", mmap(p, 6 * PAGE, RW, SHARED | MAP_FIXED, -1, 0) == p);
	want_areas("then", p, 6, "0-6 rw-s");
	fact("all is zero", all_are(p, 6 * PAGE, 0));
	want("fixed with a bad descriptor", mmap(p, PAGE, RW, MAP_PRIVATE | MAP_FIXED, 999, 0),
	     -EBADF);
	want_areas("changes nothing", p, 6, "0-6 rw-s");
	return finish();
}

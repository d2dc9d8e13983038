/* SPDX-License-Identifier: MIT */
/* munmap cuts areas: in the middle, at the ends, several at once, where nothing is. */
#include "say.h"

int main(void)
{
	char *p = pages(8);

	memset(p, 1, 8 * PAGE);
	want("a page in the middle", munmap(p + 3 * PAGE, PAGE), 0);
	want_areas("leaves two", p, 8, "0-3 rw-p, 4-8 rw-p");
	want_fault("reading there", p + 3 * PAGE, 'r', "SIGSEGV MAPERR");
	want_fault("writing its last byte", p + 4 * PAGE - 1, 'w', "SIGSEGV MAPERR");
	fact("the rest is as it was",
	     all_are(p, 3 * PAGE, 1) && all_are(p + 4 * PAGE, 4 * PAGE, 1));
	want("the hole again", munmap(p + 3 * PAGE, PAGE), 0);
	want("the first page", munmap(p, PAGE), 0);
	want("the last page", munmap(p + 7 * PAGE, PAGE), 0);
	want_areas("leaves", p, 8, "1-3 rw-p, 4-7 rw-p");
	want("one byte of a page", munmap(p + PAGE, 1), 0);
	want_areas("takes the page", p, 8, "2-3 rw-p, 4-7 rw-p");
	want("over both and the hole between", munmap(p + 2 * PAGE, 4 * PAGE), 0);
	want_areas("leaves one page", p, 8, "6-7 rw-p");
	fact("with its bytes", all_are(p + 6 * PAGE, PAGE, 1));

	must(mmap(p, 6 * PAGE, RW, PRIVATE | MAP_FIXED, -1, 0) == p);
	want_areas("mapped again, it is one area", p, 8, "0-7 rw-p");
	fact("of zeroes", all_are(p, 6 * PAGE, 0) && all_are(p + 6 * PAGE, PAGE, 1));
	want("all", munmap(p, 8 * PAGE), 0);
	want_areas("leaves", p, 8, "nothing");

	want("nothing", munmap(p, 0), -EINVAL);
	want("not at a page", munmap(p + 1, PAGE), -EINVAL);
	want("a length that wraps", munmap(p, (size_t)-PAGE), -EINVAL);
	want("in the kernel's part", munmap((void *)-PAGE, PAGE), -EINVAL);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* An area of MAP_GROWSDOWN grows when somebody touches what is below it, but not up to another area. */
#include "say.h"

int main(void)
{
	const size_t count = 1024;
	char *low = place(count), *top = low + (count - 2) * PAGE, *p;

	p = mmap(top, 2 * PAGE, RW, PRIVATE | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	must(p == top);
	want_areas("mapped", top - 4 * PAGE, 6, "4-6 rw-p");
	want_fault("a byte below it", top - 1, 'w', "fine");
	want_areas("grew by a page", top - 4 * PAGE, 6, "3-6 rw-p");
	want_fault("the fourth page below", top - 4 * PAGE, 'r', "fine");
	want_areas("grew to that", top - 6 * PAGE, 8, "2-8 rw-p");
	fact("the byte is there, the rest is zero",
	     top[-1] == 1 && all_are(top - 4 * PAGE, 4 * PAGE - 1, 0));

	/* Accessible memory below: 256 pages of guard stay free. */
	p = mmap(low + 500 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0);
	must(p == low + 500 * PAGE);
	want_fault("256 pages above another area", p + 258 * PAGE, 'w', "fine");
	want_fault("nearer than that", p + 200 * PAGE, 'w', "SIGSEGV MAPERR");
	want_areas("the area ends where it did", p, count - 500, "0-1 rw-p, 258-524 rw-p");
	munmap(p, PAGE);
	want_fault("when the other is gone", p + 200 * PAGE, 'w', "fine");

	want("mprotect down to its start", mprotect(top, PAGE, PROT_READ | PROT_GROWSDOWN), 0);
	want_areas("all below has the rights", p, count - 500, "200-523 r--p, 523-524 rw-p");
	want("where nothing grows", mprotect(pages(2), PAGE, PROT_READ | PROT_GROWSDOWN), -EINVAL);
	return finish();
}

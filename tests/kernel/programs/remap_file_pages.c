/* SPDX-License-Identifier: MIT */
/* remap_file_pages: pages of a shared mapping in another order. */
#include "say.h"

int main(void)
{
	int fd = file_of(6);
	char *p = mmap(NULL, 6 * PAGE, RW, MAP_SHARED, fd, 0), *q;
	volatile char *bytes = p; /* some of them are the same byte */

	must(p != MAP_FAILED);
	p[5 * PAGE + 1] = 55;
	want("the sixth page at the second place", remap_file_pages(p + PAGE, PAGE, 0, 5, 0), 0);
	fact("is there", p[PAGE] == 5 && p[PAGE + 1] == 55);
	fact("and at its own", p[5 * PAGE] == 5);
	bytes[PAGE + 2] = 66;
	want("one page", bytes[5 * PAGE + 2], 66);
	want_areas("areas", p, 6, "0-1 rw-s, 1-2 rw-s, 2-6 rw-s");
	want("two pages", remap_file_pages(p + 2 * PAGE, 2 * PAGE, 0, 0, 0), 0);
	fact("from the start", p[2 * PAGE] == 0 && p[3 * PAGE] == 1);
	want("back", remap_file_pages(p + 2 * PAGE, 2 * PAGE, 0, 2, 0), 0);
	fact("to their own", p[2 * PAGE] == 2 && p[3 * PAGE] == 3);
	want("and the second", remap_file_pages(p + PAGE, PAGE, 0, 1, 0), 0);
	want_areas("is one area again", p, 6, "0-6 rw-s");
	want("beyond the end of the file", remap_file_pages(p, PAGE, 0, 100, 0), 0);
	want_fault("gives no memory", p, 'r', "SIGBUS ADRERR");
	want("with rights", remap_file_pages(p, PAGE, PROT_READ, 0, 0), -EINVAL);
	want("of private memory", remap_file_pages(pages(1), PAGE, 0, 0, 0), -EINVAL);
	q = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	want("of a private mapping", remap_file_pages(q, PAGE, 0, 1, 0), -EINVAL);
	want("where nothing is", remap_file_pages(place(1), PAGE, 0, 1, 0), -EINVAL);
	return finish();
}

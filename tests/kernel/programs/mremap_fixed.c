/* SPDX-License-Identifier: MIT */
/* mremap to a place of one's choice, with MREMAP_DONTUNMAP, and to a second mapping of the same memory. */
#include "say.h"

int main(void)
{
	char *p = pages(4), *to = pages(8), *q;
	int fd = file_of(4);

	memset(p, 3, 4 * PAGE);
	memset(to, 4, 8 * PAGE);
	fact("fixed", mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 2 * PAGE) ==
			      to + 2 * PAGE);
	want_areas("gone from here", p, 4, "nothing");
	fact("it replaces what was there", all_are(to, 2 * PAGE, 4) &&
						   all_are(to + 2 * PAGE, 4 * PAGE, 3) &&
						   all_are(to + 6 * PAGE, 2 * PAGE, 4));
	fact("shorter, too",
	     mremap(to + 2 * PAGE, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
	want_areas("here", p, 4, "0-2 rw-p");
	want_areas("there", to, 8, "0-2 rw-p, 6-8 rw-p");
	fact("and longer", mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				  to + 2 * PAGE) == to + 2 * PAGE);
	fact("the new is zero",
	     all_are(to + 2 * PAGE, 2 * PAGE, 3) && all_are(to + 4 * PAGE, 2 * PAGE, 0));
	want("onto itself",
	     mremap(to, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE), -EINVAL);
	want("fixed without may move", mremap(to, PAGE, PAGE, MREMAP_FIXED, p), -EINVAL);
	want("not to a page", mremap(to, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 1),
	     -EINVAL);

	p = pages(3);
	memset(p, 6, 3 * PAGE);
	q = mremap(p, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL);
	must(q != MAP_FAILED);
	fact("the memory has moved", q != p && all_are(q, 3 * PAGE, 6));
	want_areas("the area stays", p, 3, "0-3 rw-p");
	fact("and is empty", all_are(p, 3 * PAGE, 0));
	p[0] = 1;
	want("what is written there is not here", q[0], 6);
	want("DONTUNMAP with another length",
	     mremap(q, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | 4, NULL), -EINVAL);
	want("without may move", mremap(q, 3 * PAGE, 3 * PAGE, 4, NULL), -EINVAL);
	fact("to a fixed place",
	     mremap(q, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | 4, to) == to &&
		     all_are(to, 3 * PAGE, 6) && all_are(q, 3 * PAGE, 0));

	p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED);
	q = mremap(p + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE);
	must(q != MAP_FAILED);
	want("from nothing, shared: a second mapping", q[0], 1);
	q[PAGE] = 9;
	want("of the same memory", p[2 * PAGE], 9);
	q = mremap(p + 2 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	must(q == to);
	want("a file's offset moves along", q[PAGE], 3);
	return finish();
}

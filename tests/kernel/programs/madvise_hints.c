/* SPDX-License-Identifier: MIT */
/* Advice that changes nothing one can read: it is taken, splits areas where areas remember it, and is checked. */
#include "say.h"

int main(void)
{
	char *p = pages(6);
	int fd = file_of(2);
	char *file = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
	static const struct {
		const char *name;
		int advice;
	} hints[] = {
		{"NORMAL", MADV_NORMAL},
		{"RANDOM", MADV_RANDOM},
		{"SEQUENTIAL", MADV_SEQUENTIAL},
		{"WILLNEED", MADV_WILLNEED},
		{"DONTDUMP", MADV_DONTDUMP},
		{"DODUMP", MADV_DODUMP},
		{"COLD", 20},
		{"PAGEOUT", 21},
	};
	size_t i;

	must(file != MAP_FAILED);
	memset(p, 1, 6 * PAGE);
	for (i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		want(hints[i].name, madvise(p, 6 * PAGE, hints[i].advice), 0);
		want("of a file", madvise(file, 2 * PAGE, hints[i].advice), 0);
		want("not at a page", madvise(p + 1, PAGE, hints[i].advice), -EINVAL);
	}
	fact("all bytes are there", all_are(p, 6 * PAGE, 1) && file[PAGE] == 1);

	want("NORMAL", madvise(p, 6 * PAGE, MADV_NORMAL), 0);
	want_areas("one area", p, 6, "0-6 rw-p");
	want("RANDOM of the middle", madvise(p + 2 * PAGE, 2 * PAGE, MADV_RANDOM), 0);
	want_areas("three", p, 6, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p");
	want("SEQUENTIAL of a part", madvise(p + 3 * PAGE, 2 * PAGE, MADV_SEQUENTIAL), 0);
	want_areas("four", p, 6, "0-2 rw-p, 2-3 rw-p, 3-5 rw-p, 5-6 rw-p");
	want("NORMAL of all", madvise(p, 6 * PAGE, MADV_NORMAL), 0);
	want_areas("one", p, 6, "0-6 rw-p");
	want("DONTDUMP", madvise(p, 2 * PAGE, MADV_DONTDUMP), 0);
	want_areas("two", p, 6, "0-2 rw-p, 2-6 rw-p");
	want("DODUMP", madvise(p, 6 * PAGE, MADV_DODUMP), 0);
	want_areas("one", p, 6, "0-6 rw-p");
	munmap(p + 3 * PAGE, PAGE);
	want("RANDOM over a hole", madvise(p, 6 * PAGE, MADV_RANDOM), -ENOMEM);
	want("NORMAL at a hole", madvise(p + 3 * PAGE, PAGE, MADV_NORMAL), -ENOMEM);
	want("advice below 0", madvise(p, PAGE, -1), -EINVAL);
	return finish();
}

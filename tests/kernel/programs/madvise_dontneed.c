/* SPDX-License-Identifier: MIT */
/* MADV_DONTNEED and MADV_FREE: memory given up comes back as zeroes, or as the file has it. */
#include "say.h"

int main(void)
{
	char *p = pages(6), *q;
	int fd = file_of(3);

	memset(p, 1, 6 * PAGE);
	want("DONTNEED of the middle", madvise(p + 2 * PAGE, 2 * PAGE, MADV_DONTNEED), 0);
	fact("is zero", all_are(p + 2 * PAGE, 2 * PAGE, 0));
	fact("the rest is not", all_are(p, 2 * PAGE, 1) && all_are(p + 4 * PAGE, 2 * PAGE, 1));
	want_areas("one area still", p, 6, "0-6 rw-p");
	want("one byte of a page", madvise(p, 1, MADV_DONTNEED), 0);
	fact("is the page", all_are(p, PAGE, 0) && all_are(p + PAGE, PAGE, 1));
	munmap(p + 3 * PAGE, PAGE);
	want("over a hole", madvise(p, 6 * PAGE, MADV_DONTNEED), -ENOMEM);
	fact("all the rest is done", all_are(p, 3 * PAGE, 0) && all_are(p + 4 * PAGE, 2 * PAGE, 0));
	want("of nothing", madvise(p, 0, MADV_DONTNEED), 0);
	want("not at a page", madvise(p + 1, PAGE, MADV_DONTNEED), -EINVAL);
	want("a length that wraps", madvise(p, (size_t)-1, MADV_DONTNEED), -EINVAL);
	want("unknown advice", madvise(p, PAGE, 77), -EINVAL);

	q = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
	must(q != MAP_FAILED);
	memset(q, 9, 3 * PAGE);
	want("of a private file mapping", madvise(q + PAGE, PAGE, MADV_DONTNEED), 0);
	fact("is the file's again",
	     q[PAGE] == 1 && q[PAGE + 1] == 0 && q[0] == 9 && q[2 * PAGE] == 9);
	q = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
	must(q != MAP_FAILED);
	memset(q, 8, PAGE);
	want("of a shared one", madvise(q, 3 * PAGE, MADV_DONTNEED), 0);
	fact("loses nothing", all_are(q, PAGE, 8) && q[2 * PAGE] == 2);

	p = pages(2);
	memset(p, 1, 2 * PAGE);
	want("FREE", madvise(p, 2 * PAGE, MADV_FREE), 0);
	fact("is as it was or zero", (p[0] == 1 || p[0] == 0) && (p[PAGE] == 1 || p[PAGE] == 0));
	memset(p, 2, PAGE);
	fact("and what is written then stays", all_are(p, PAGE, 2));
	want("FREE of a file", madvise(q, PAGE, MADV_FREE), -EINVAL);

	must(mlock(p, PAGE) == 0);
	want("DONTNEED of locked memory", madvise(p, 2 * PAGE, MADV_DONTNEED), -EINVAL);
	fact("does nothing", all_are(p, PAGE, 2));
	want("munlock", munlock(p, PAGE), 0);
	want("DONTNEED then", madvise(p, 2 * PAGE, MADV_DONTNEED), 0);
	fact("is zero", all_are(p, 2 * PAGE, 0));
	want("of a read-only page", (mprotect(p, PAGE, PROT_READ), madvise(p, PAGE, MADV_DONTNEED)),
	     0);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* mincore: which pages are there, of private memory and of a file. */
#include "say.h"

static const char *there(char *p, size_t count)
{
	static char said[32];
	unsigned char vector[32];
	size_t i;

	must(mincore(p, count * PAGE, vector) == 0);
	for (i = 0; i < count; i++)
		said[i] = vector[i] & 1 ? '+' : '-';
	said[count] = 0;
	return said;
}

int main(void)
{
	char *p = pages(8), *q;
	unsigned char vector[8];
	int fd = file_of(0);

	want_text("untouched", there(p, 8), "--------");
	p[PAGE] = 1;
	p[5 * PAGE + 9] = 1;
	want_text("two written to", there(p, 8), "-+---+--");
	want("DONTNEED of one", madvise(p + PAGE, PAGE, MADV_DONTNEED), 0);
	want_text("then", there(p, 8), "-----+--");
	must(mprotect(p + 5 * PAGE, PAGE, PROT_NONE) == 0);
	want_text("without rights", there(p, 8), "-----+--");

	must(ftruncate(fd, 4 * PAGE) == 0);
	q = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	must(q != MAP_FAILED);
	want_text("a file in memory, without pages", there(q, 4), "----");
	must(pwrite(fd, "x", 1, 2 * PAGE) == 1);
	want_text("written to by a call", there(q, 4), "--+-");
	q[0] = 1;
	want_text("and through the mapping", there(q, 4), "+-+-");
	must(ftruncate(fd, PAGE) == 0);
	want_text("truncated", there(q, 4), "+---");

	munmap(p + 3 * PAGE, PAGE);
	want("over a hole", mincore(p, 8 * PAGE, vector), -ENOMEM);
	want("of nothing", mincore(p, 0, vector), 0);
	want("not at a page", mincore(p + 1, PAGE, vector), -EINVAL);
	want("a vector that is not there", mincore(p, PAGE, (unsigned char *)p + 3 * PAGE),
	     -EFAULT);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* POPULATE_READ and POPULATE_WRITE bring memory in as an access would, or say why not. */
#include "say.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

static int resident(char *p, size_t count)
{
	unsigned char there[16];
	int n = 0;
	size_t i;

	must(mincore(p, count * PAGE, there) == 0);
	for (i = 0; i < count; i++)
		n += there[i] & 1;
	return n;
}

int main(void)
{
	char *p = pages(8), *q;
	int fd = file_of(4);

	if (madvise(p, 0, MADV_POPULATE_WRITE))
		not_here("MADV_POPULATE_WRITE");
	want("WRITE of four pages", madvise(p, 4 * PAGE, MADV_POPULATE_WRITE), 0);
	want("are there", resident(p, 8), 4);
	p[0] = 1;
	want("READ of all", madvise(p, 8 * PAGE, MADV_POPULATE_READ), 0);
	fact("changes nothing", p[0] == 1 && all_are(p + 1, 8 * PAGE - 1, 0));
	must(mprotect(p + 2 * PAGE, PAGE, PROT_READ) == 0 &&
	     mprotect(p + 5 * PAGE, PAGE, PROT_NONE) == 0);
	want("WRITE of what may only be read", madvise(p, 4 * PAGE, MADV_POPULATE_WRITE), -EINVAL);
	want("READ of it", madvise(p, 4 * PAGE, MADV_POPULATE_READ), 0);
	want("READ of what may not be", madvise(p, 6 * PAGE, MADV_POPULATE_READ), -EINVAL);
	munmap(p + 6 * PAGE, PAGE);
	want("over a hole", madvise(p + 6 * PAGE, 2 * PAGE, MADV_POPULATE_READ), -ENOMEM);

	q = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	must(q != MAP_FAILED);
	want("READ of a file", madvise(q, 4 * PAGE, MADV_POPULATE_READ), 0);
	want("is there", resident(q, 4), 4);
	fact("as it was", q[0] == 0 && q[PAGE] == 1 && q[3 * PAGE] == 3);
	must(ftruncate(fd, 2 * PAGE) == 0);
	want("beyond its end", madvise(q, 4 * PAGE, MADV_POPULATE_READ), -EFAULT);
	want("up to it", madvise(q, 2 * PAGE, MADV_POPULATE_WRITE), 0);
	q = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
	must(q != MAP_FAILED);
	want("WRITE of a private mapping", madvise(q, 2 * PAGE, MADV_POPULATE_WRITE), 0);
	must(pwrite(fd, "x", 1, PAGE) == 1);
	want("makes the pages its own", q[PAGE], 1);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* Flags of mmap: POPULATE, NORESERVE, 32BIT, LOCKED, STACK, SHARED_VALIDATE. */
#include "say.h"

static int resident(char *p, size_t count)
{
	unsigned char there[64];
	int n = 0;
	size_t i;

	must(count <= sizeof(there) && mincore(p, count * PAGE, there) == 0);
	for (i = 0; i < count; i++)
		n += there[i] & 1;
	return n;
}

int main(void)
{
	char *p = mmap(NULL, 8 * PAGE, RW, PRIVATE | MAP_POPULATE, -1, 0), *q;
	int fd = file_of(4);

	must(p != MAP_FAILED);
	want("pages there after MAP_POPULATE", resident(p, 8), 8);
	fact("and zero", all_are(p, 8 * PAGE, 0));
	q = pages(8);
	want("without", resident(q, 8), 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	must(p != MAP_FAILED);
	want("of a file", resident(p, 4), 4);
	fact("with its contents", p[0] == 0 && p[3 * PAGE] == 3);
	p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	must(p != MAP_FAILED);
	p[PAGE] = 9;
	fact("of a private one", p[2 * PAGE] == 2 && p[PAGE] == 9);
	p = mmap(NULL, 4 * PAGE, PROT_NONE, PRIVATE | MAP_POPULATE, -1, 0);
	fact("without rights it is no error", p != MAP_FAILED);

	p = mmap(NULL, 64ul << 20, RW, PRIVATE | MAP_NORESERVE, -1, 0);
	fact("MAP_NORESERVE", p != MAP_FAILED);
	p[63ul << 20] = 1;
	fact("has zeroes and keeps what is written", p[0] == 0 && p[63ul << 20] == 1);
	want("munmap", munmap(p, 64ul << 20), 0);

	p = mmap(NULL, 3 * PAGE, RW, PRIVATE | MAP_32BIT, -1, 0);
	must(p != MAP_FAILED);
#ifdef __x86_64__
	fact("MAP_32BIT is below 2 GiB", (uintptr_t)p + 3 * PAGE <= 1ul << 31);
#else
	fact("MAP_32BIT is below 2 GiB", 1); /* says nothing on a machine of 32 bits */
#endif
	q = mmap(NULL, PAGE, RW, PRIVATE | MAP_STACK, -1, 0);
	fact("MAP_STACK", q != MAP_FAILED);
	p = mmap(NULL, 2 * PAGE, RW, PRIVATE | MAP_LOCKED, -1, 0);
	must(p != MAP_FAILED);
	want("pages there after MAP_LOCKED", resident(p, 2), 2);

	p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED_VALIDATE, fd, 0);
	fact("MAP_SHARED_VALIDATE is as MAP_SHARED", p != MAP_FAILED);
	want("of anonymous memory",
	     mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0), -EINVAL);
	want("with a flag that nobody has",
	     mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | (1 << 22), fd, 0), -EOPNOTSUPP);
	q = mmap(NULL, PAGE, RW, MAP_SHARED | (1 << 22), fd, 0);
	fact("which MAP_SHARED ignores", q != MAP_FAILED);
	return finish();
}

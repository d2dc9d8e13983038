/* SPDX-License-Identifier: MIT */
/* mmap of anonymous private memory: zeroes, whole pages, and what it refuses. */
#include "say.h"

static void nobody(void *arg)
{
	char *p;

	drop_rights();
	want("nobody maps address 0", mmap(NULL, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), -EPERM);
	p = mmap((void *)1, PAGE, RW, PRIVATE, -1, 0);
	fact("as a hint it is no error", p != MAP_FAILED && p != NULL);
}

int main(void)
{
	char *p = pages(3), *q;
	size_t i;

	fact("the address is a page's", (uintptr_t)p % PAGE == 0);
	fact("all is zero", all_are(p, 3 * PAGE, 0));
	for (i = 0; i < 3 * PAGE; i++)
		p[i] = (char)(i / PAGE + 1);
	fact("what is written stays",
	     all_are(p, PAGE, 1) && all_are(p + PAGE, PAGE, 2) && all_are(p + 2 * PAGE, PAGE, 3));
	want("munmap", munmap(p, 3 * PAGE), 0);

	q = mmap(NULL, 5, RW, PRIVATE, -1, 0);
	must(q != MAP_FAILED);
	q[PAGE - 1] = 1;
	want_areas("five bytes are a page", q, 1, "0-1 rw-p");
	munmap(q, 5);

	q = place(4);
	fact("a hint is followed where nothing is", mmap(q, PAGE, RW, PRIVATE, -1, 0) == q);
	p = mmap(q, PAGE, RW, PRIVATE, -1, 0);
	fact("a hint where something is gives another place", p != MAP_FAILED && p != q);
	munmap(p, PAGE);
	p = mmap(q + PAGE + 5, PAGE, RW, PRIVATE, -1, 0);
	fact("a hint is rounded to a page", p == q + PAGE || p == q + 2 * PAGE);
	munmap(q, 4 * PAGE);

	want("of nothing", mmap(NULL, 0, RW, PRIVATE, -1, 0), -EINVAL);
	want("neither shared nor private", mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), -EINVAL);
	want("of a descriptor that is not there", mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0), -EBADF);
	want("of more than there can be", mmap(NULL, (size_t)-PAGE, RW, PRIVATE, -1, 0), -ENOMEM);
	want("a length that wraps", mmap(NULL, (size_t)-1, RW, PRIVATE, -1, 0), -ENOMEM);
	want("fixed, not at a page", mmap(q + 5, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), -EINVAL);
	want("fixed, in the kernel's part",
	     mmap((void *)-PAGE, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), -ENOMEM);

	p = mmap(NULL, PAGE, PROT_NONE, PRIVATE, -1, 0);
	want_areas("no rights", p, 1, "0-1 ---p");
	want_fault("reading it", p, 'r', "SIGSEGV ACCERR");
	p = mmap(NULL, PAGE, PROT_READ, PRIVATE, -1, 0);
	want_areas("to be read", p, 1, "0-1 r--p");
	want_fault("writing it", p, 'w', "SIGSEGV ACCERR");
	fact("reading gives zero", *(volatile char *)p == 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, PRIVATE, -1, 0);
	want_areas("to be executed", p, 1, "0-1 r-xp");
	want_end("nobody", start(nobody, NULL), "exit 0");
	return finish();
}

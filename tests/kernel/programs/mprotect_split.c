/* SPDX-License-Identifier: MIT */
/* mprotect splits areas and joins them again, and says what it cannot do. */
#include "say.h"

int main(void)
{
	char *p = pages(6), *q;

	memset(p, 1, 6 * PAGE);
	want("read only in the middle", mprotect(p + 2 * PAGE, 2 * PAGE, PROT_READ), 0);
	want_areas("three areas", p, 6, "0-2 rw-p, 2-4 r--p, 4-6 rw-p");
	want_fault("writing there", p + 2 * PAGE, 'w', "SIGSEGV ACCERR");
	want_fault("reading there", p + 2 * PAGE, 'r', "fine");
	want_fault("the byte before", p + 2 * PAGE - 1, 'w', "fine");
	want_fault("the byte behind", p + 4 * PAGE, 'w', "fine");
	want("no rights for one page", mprotect(p + 3 * PAGE, 1, PROT_NONE), 0);
	want_areas("four areas", p, 6, "0-2 rw-p, 2-3 r--p, 3-4 ---p, 4-6 rw-p");
	want_fault("reading it", p + 3 * PAGE, 'r', "SIGSEGV ACCERR");
	want("rights given back", mprotect(p, 6 * PAGE, RW), 0);
	want_areas("one area", p, 6, "0-6 rw-p");
	fact("with its bytes", all_are(p, 6 * PAGE, 1));
	want_fault("to be written", p + 3 * PAGE, 'w', "fine");

	want("a page in its midst gone", munmap(p + 3 * PAGE, PAGE), 0);
	want("over the hole", mprotect(p + PAGE, 4 * PAGE, PROT_READ), -ENOMEM);
	want_areas("done up to the hole", p, 6, "0-1 rw-p, 1-3 r--p, 4-6 rw-p");
	want("from the hole", mprotect(p + 3 * PAGE, 2 * PAGE, PROT_READ), -ENOMEM);
	want_areas("not done", p, 6, "0-1 rw-p, 1-3 r--p, 4-6 rw-p");
	want("nothing", mprotect(p, 0, PROT_READ), 0);
	want("not at a page", syscall(SYS_mprotect, p + 1, PAGE, PROT_READ), -EINVAL);
	want("unknown rights", mprotect(p, PAGE, 0x40), -EINVAL);
	want("growing both ways", mprotect(p, PAGE, PROT_GROWSUP | PROT_GROWSDOWN), -EINVAL);

	q = mmap(NULL, 4 * PAGE, RW, SHARED, -1, 0);
	must(q != MAP_FAILED);
	want("shared memory", mprotect(q + PAGE, PAGE, PROT_NONE), 0);
	want_areas("is split too", q, 4, "0-1 rw-s, 1-2 ---s, 2-4 rw-s");
	want("and joined", mprotect(q + PAGE, PAGE, RW), 0);
	want_areas("again", q, 4, "0-4 rw-s");
	return finish();
}

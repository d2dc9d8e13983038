/* SPDX-License-Identifier: MIT */
/* MADV_GUARD_INSTALL: pages that nobody may touch, without an area of their own. */
#include "say.h"

enum { INSTALL = 102, REMOVE = 103 };

static void child(void *p)
{
	want_fault("a child has it too", (char *)p + 2 * PAGE, 'r', "SIGSEGV MAPERR");
}

int main(void)
{
	char *p = pages(6), *to;

	if (madvise(p, PAGE, INSTALL))
		not_here("MADV_GUARD_INSTALL");
	memset(p + PAGE, 1, 5 * PAGE);
	want("install", madvise(p + 2 * PAGE, 2 * PAGE, INSTALL), 0);
	want_areas("one area still", p, 6, "0-6 rw-p");
	want_fault("reading it", p + 2 * PAGE, 'r', "SIGSEGV MAPERR");
	want_fault("writing it", p + 4 * PAGE - 1, 'w', "SIGSEGV MAPERR");
	fact("beside it", all_are(p + PAGE, PAGE, 1) && all_are(p + 4 * PAGE, 2 * PAGE, 1));
	want("a call that writes there", read(open("/dev/zero", O_RDONLY), p + 2 * PAGE, 1),
	     -EFAULT);
	want("DONTNEED", madvise(p, 6 * PAGE, MADV_DONTNEED), 0);
	want_fault("does not take it away", p + 2 * PAGE, 'r', "SIGSEGV MAPERR");
	want("mprotect", mprotect(p, 6 * PAGE, PROT_READ) | mprotect(p, 6 * PAGE, RW), 0);
	want_fault("nor does that", p + 2 * PAGE, 'r', "SIGSEGV MAPERR");
	want_end("exit", start(child, p), "exit 0");
	to = mremap(p, 6 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place(6));
	must(to != MAP_FAILED);
	want_fault("it moves along", to + 3 * PAGE, 'r', "SIGSEGV MAPERR");
	want("remove", madvise(to, 6 * PAGE, REMOVE), 0);
	fact("then it is zero", all_are(to, 6 * PAGE, 0));
	want("install once more", madvise(to, PAGE, INSTALL), 0);
	want("mapped over", mmap(to, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0) == to, 1);
	want_fault("it is gone", to, 'w', "fine");
	must(mlock(to, PAGE) == 0);
	want("of locked memory", madvise(to, PAGE, INSTALL), -EINVAL);
	return finish();
}

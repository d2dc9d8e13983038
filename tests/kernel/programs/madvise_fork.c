/* SPDX-License-Identifier: MIT */
/* DONTFORK, DOFORK, WIPEONFORK and KEEPONFORK: what a child gets of its parent's memory. */
#include "say.h"

static char *p;

static void look(void *arg)
{
	want_areas("child", p, 6, arg);
	if (strstr(arg, "2-4"))
		fact("wiped in the middle", all_are(p, 2 * PAGE, 1) &&
						    all_are(p + 2 * PAGE, 2 * PAGE, 0) &&
						    all_are(p + 4 * PAGE, 2 * PAGE, 1));
}

static void grandchild(void *arg)
{
	p[2 * PAGE] = 5;
	want_end("grandchild", start(look, arg), "exit 0");
}

int main(void)
{
	char *shared = mmap(NULL, PAGE, RW, SHARED, -1, 0);

	must(shared != MAP_FAILED);
	p = pages(6);
	memset(p, 1, 6 * PAGE);
	want("DONTFORK", madvise(p + 2 * PAGE, 2 * PAGE, MADV_DONTFORK), 0);
	want_areas("splits the area", p, 6, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p");
	want_end("exit", start(look, "0-2 rw-p, 4-6 rw-p"), "exit 0");
	fact("the parent has it", all_are(p, 6 * PAGE, 1));
	want("DOFORK", madvise(p + 2 * PAGE, 2 * PAGE, MADV_DOFORK), 0);
	want_areas("joins it", p, 6, "0-6 rw-p");

	want("WIPEONFORK", madvise(p + 2 * PAGE, 2 * PAGE, MADV_WIPEONFORK), 0);
	want_areas("splits", p, 6, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p");
	want_end("exit", start(look, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p"), "exit 0");
	want("KEEPONFORK", madvise(p, 6 * PAGE, MADV_KEEPONFORK), 0);
	want_areas("joins", p, 6, "0-6 rw-p");

	want("WIPEONFORK", madvise(p + 2 * PAGE, 2 * PAGE, MADV_WIPEONFORK), 0);
	fact("the parent's is not wiped", all_are(p, 6 * PAGE, 1));
	want_end("wiped for a grandchild, too", start(grandchild, "0-2 rw-p, 2-4 rw-p, 4-6 rw-p"),
		 "exit 0");
	want("WIPEONFORK of shared memory", madvise(shared, PAGE, MADV_WIPEONFORK), -EINVAL);
	want("DONTFORK of it", madvise(shared, PAGE, MADV_DONTFORK), 0);
	want("of nothing mapped", (munmap(shared, PAGE), madvise(shared, PAGE, MADV_DONTFORK)),
	     -ENOMEM);
	return finish();
}

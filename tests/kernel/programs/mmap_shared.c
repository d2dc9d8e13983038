/* SPDX-License-Identifier: MIT */
/* Shared anonymous memory is one for parent and child; private memory is not. */
#include "say.h"

static char *shared, *private;

static void child(void *arg)
{
	fact("the child sees what was written before", shared[0] == 1 && private[0] == 1);
	shared[0] = 2;
	private[0] = 2;
	shared[5 * PAGE] = 3;
	fact("and what it writes", shared[0] == 2 && private[0] == 2);
}

static void adds(void *arg)
{
	int i;

	for (i = 0; i < 1000; i++)
		__atomic_fetch_add((int *)shared, 1, __ATOMIC_SEQ_CST);
}

int main(void)
{
	pid_t pids[4];
	char *more;
	int i;

	shared = mmap(NULL, 8 * PAGE, RW, SHARED, -1, 0);
	private = pages(8);
	must(shared != MAP_FAILED);
	fact("all is zero", all_are(shared, 8 * PAGE, 0));
	shared[0] = private[0] = 1;
	want_end("child", start(child, NULL), "exit 0");
	want("shared after it", shared[0], 2);
	want("private after it", private[0], 1);
	want("a page that only the child touched", shared[5 * PAGE], 3);

	memset(shared, 0, PAGE);
	for (i = 0; i < 4; i++)
		pids[i] = start(adds, NULL);
	for (i = 0; i < 4; i++)
		want_end("adding", pids[i], "exit 0");
	want("sum of four", *(int *)shared, 4000);

	/* Half of it moves; both halves are still the one object. */
	more = mremap(shared, 0, 8 * PAGE, MREMAP_MAYMOVE);
	must(more != MAP_FAILED);
	fact("a second mapping of it", more != shared);
	more[7 * PAGE] = 4;
	want("is the same memory", shared[7 * PAGE], 4);
	want("munmap of the first", munmap(shared, 8 * PAGE), 0);
	want("the second stays", more[7 * PAGE], 4);
	return finish();
}

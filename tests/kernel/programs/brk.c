/* SPDX-License-Identifier: MIT */
/* brk, by the bare call: grows, shrinks, gives zeroes, and answers with the old end when it cannot. */
#include "say.h"
#include <sys/resource.h>

static char *brk_to(char *end)
{
	return (char *)syscall(SYS_brk, end);
}

static void limited(void *arg)
{
	char *end = brk_to(NULL);
	struct rlimit limit = {16 << 20, 16 << 20};

	must(setrlimit(RLIMIT_DATA, &limit) == 0);
	fact("within RLIMIT_DATA", brk_to(end + (1 << 20)) == end + (1 << 20));
	fact("beyond it", brk_to(end + (32 << 20)) == end + (1 << 20));
	want("private memory beyond it", mmap(NULL, 32 << 20, RW, PRIVATE, -1, 0), -ENOMEM);
	fact("shared memory is not data", mmap(NULL, 32 << 20, RW, SHARED, -1, 0) != MAP_FAILED);
}

int main(void)
{
	char *start_of, *end, *base;

	say("begin"); /* before this nobody uses the heap any more */
	end = brk_to(NULL);
	fact("brk(0) answers the end", end != NULL && brk_to((char *)1) == end);
	base = (char *)(((uintptr_t)end + PAGE - 1) & ~(PAGE - 1));
	fact("grow to a page's end", brk_to(base) == base);
	fact("grow by four pages", brk_to(base + 4 * PAGE) == base + 4 * PAGE);
	want_areas("then", base, 6, "0-4 rw-p");
	fact("all is zero", all_are(base, 4 * PAGE, 0));
	memset(base, 1, 4 * PAGE);
	fact("by a byte", brk_to(base + 4 * PAGE + 1) == base + 4 * PAGE + 1);
	want_areas("is a page", base, 6, "0-5 rw-p");
	fact("shrink into a page", brk_to(base + 2 * PAGE + 5) == base + 2 * PAGE + 5);
	want_areas("which stays", base, 6, "0-3 rw-p");
	fact("grow again", brk_to(base + 4 * PAGE) == base + 4 * PAGE);
	fact("what was kept is as it was, what is new is zero",
	     all_are(base, 3 * PAGE, 1) && all_are(base + 3 * PAGE, PAGE, 0));

	want("an area in the way",
	     mmap(base + 6 * PAGE, PAGE, RW, SHARED | MAP_FIXED, -1, 0) == base + 6 * PAGE, 1);
	fact("stops it", brk_to(base + 8 * PAGE) == base + 4 * PAGE);
	munmap(base + 6 * PAGE, PAGE);
	fact("once it is gone it grows", brk_to(base + 8 * PAGE) == base + 8 * PAGE);
	munmap(base + 2 * PAGE, 2 * PAGE);
	want_areas("a hole in the heap", base, 8, "0-2 rw-p, 4-8 rw-p");
	fact("does not hinder brk", brk_to(base + 9 * PAGE) == base + 9 * PAGE);
	want_end("limited", start(limited, NULL), "exit 0");
	start_of = brk_to(base);
	fact("back", start_of == base);
	want_areas("then", base, 9, "nothing");
	return finish();
}

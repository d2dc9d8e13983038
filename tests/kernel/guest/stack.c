/* SPDX-License-Identifier: MIT */
/* Stacks: they grow as far as they may, and not into what lies below. */
#include "show.h"

#include <sys/resource.h>

static size_t depth(size_t bytes)
{
	volatile char frame[8192];

	frame[0] = (char)bytes;
	return bytes > sizeof(frame) ? depth(bytes - sizeof(frame)) + frame[0] * 0 : 0;
}

static void deep(void)
{
	struct rlimit limit = {6 << 20, 6 << 20};

	CHECK(!setrlimit(RLIMIT_STACK, &limit));
	show("five megabytes", (long)depth(5 << 20));
}

static void too_deep(void)
{
	struct rlimit limit = {2 << 20, 2 << 20};

	CHECK(!setrlimit(RLIMIT_STACK, &limit));
	depth(5 << 20);
}

/* A map right below the stack stops it a guard gap before. */
static void obstructed(void)
{
	char here, *p = (char *)((uintptr_t)&here & ~(PAGE - 1)) - (4 << 20);

	CHECK(mmap(p, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p);
	show("down to the gap", (long)depth(2 << 20));
	fflush(stdout);
	depth(4 << 20);
}

static void grows_down(void)
{
	char *p = mmap(NULL, 512 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *stack;

	CHECK(p != MAP_FAILED && !munmap(p, 512 * PAGE));
	stack = mmap(p + 500 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	CHECK(stack == p + 500 * PAGE);
	touch("right below", stack - 8, 1, stack);
	touch("a hundred pages below", stack - 100 * PAGE, 1, stack);
	touch("all between", stack - 50 * PAGE, 0, stack);
	CHECK(!munmap(stack - 100 * PAGE, 101 * PAGE));
}

int main(void)
{
	catch_faults();
	in_child("deep", deep);
	grows_down();
	signal(SIGSEGV, SIG_DFL);
	in_child("too deep", too_deep);
	in_child("obstructed", obstructed);
	return 0;
}

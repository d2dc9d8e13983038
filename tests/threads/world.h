/* SPDX-License-Identifier: MIT */
/*
 * What the schedule explorer's threads do: calls on a small world that is built afresh for each case, and the judge
 * who looks at what is left. Pages are counted from P(0), two pages below a bound of leaf tables.
 *
 *	anon     heap |-0-1-2-3-|     |-6-7-|     1 and 6 written, 3 read, 0 and 2 untouched; private anonymous
 *	forked   the same, 0 and 2 written too, after a fork whose child still lives; page 0 written since
 *	file     shared |-0-1-2-3-| private |-4-5-6-7-|, both of pages 0 to 3 of a file; 1 and 5 written, 7 untouched
 *
 * Every CPU has in its TLB what it could read, and one page that it could write to.
 *
 *	heirs    the same after a fork whose child still lives
 *	leaving  as anon, with two users: each thread ends by putting the space, and the last one takes it apart
 *	table    private anonymous pages from 2 on that fill a leaf table; 2 untouched, 3 written, 4 read
 *	table-file  as many shared pages of the file, 3 written, 2 and 4 read; the file ends with page 5
 *
 * Pages from P_MOVED on are those 4 leaf tables behind.
 */
#ifndef QUIRE_TESTS_WORLD_H
#define QUIRE_TESTS_WORLD_H

#include "explorer.h"

#define PAGE QUIRE_PAGE_SIZE
#define P(n) (UINT64_C(0x10000000) + (uint64_t)(n) * PAGE - 2 * PAGE)
#define FILE_PAGES 4
#define MOST_CALLS 3

enum scene { ANON, FORKED, FILES, HEIRS, LEAVING, TABLE, TABLE_FILE, NR_SCENES };
#define P_MOVED 128
extern const char *const scene_names[NR_SCENES];

enum kind {
	LOAD,     /* page */
	STORE,    /* page; what says the byte */
	MMAP,     /* page, n: over what is there; what: 0 anonymous, 1 the file, shared */
	MUNMAP,   /* page, n */
	MPROTECT, /* page, n; what: the rights */
	MREMAP,   /* page, n to page what */
	MREMAP_TABLE, /* all that is in the leaf table of page 2 to what leaf tables behind */
	BRK,      /* to page */
	DONTNEED, /* page, n */
	FORK,
	EXIT,     /* of the forked child; where both leave, of this thread */
	TRUNCATE, /* the file to page pages */
	SYNC,     /* the file's pages are written back */
};

struct call {
	enum kind kind;
	uint8_t page, n, what;
};

struct program {
	uint8_t nr;
	struct call call[MOST_CALLS];
};

/* Build the scene and photograph it. test is filled in. */
void world_build(enum scene scene, const struct program *programs, unsigned nr_threads, struct explorer_test *test);

/* The outcomes of all serial orders: NULL, or what was wrong in one. Before any exploring. */
const char *world_learn(void);

/* How many different ones there are; the text of each. */
unsigned world_outcomes(void);
const char *world_outcome(unsigned i);

/* Deliberate mistakes, to see that they are found; see world.c. */
enum mistake {
	NO_MISTAKE,
	FREE_BEFORE_FLUSH, /* a page that is taken out of the tables is freed at once */
	NO_FLUSH,          /* flushes do nothing */
	DEAD_AREA,         /* a fault does not look whether its area is alive */
	FORK_UNGUARDED,    /* a fault gives the parent pages of its own while fork copies */
	NO_GRACE,          /* what is unlinked is freed without waiting for readers */
	LOST_WAKE,         /* the third wake of a run goes astray */
	NR_MISTAKES,
};
extern const char *const mistake_names[NR_MISTAKES];
void world_mistake(enum mistake mistake);

#endif

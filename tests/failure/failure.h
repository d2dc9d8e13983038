/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails once. A scenario is a state and one call; the call is made with its first
 * allocation failing, then with its second, and so on until it gets through; then the same with all
 * later ones failing too; then with so few pages left in the machine that it cannot get through.
 * After each failure the call must have said so, every check must pass, and all there is to see of
 * the machine (snapshot.c) must be what it was before.
 *
 * The library is linked with its allocation functions wrapped (alloc.c), so the allocation that
 * fails is the k-th of all rooms together, and who asked for it is known: run.py compares that with
 * the object code.
 */
#ifndef QUIRE_TESTS_FAILURE_H
#define QUIRE_TESTS_FAILURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <machine.h>
#include <quire/quire.h>

#include "../format.h"
#include "../unit/disk.h"

#define PAGE ((uint64_t)QUIRE_PAGE_SIZE)

/* ---- Failing (alloc.c) ------------------------------------------------------------------- */

/* The k-th allocation from now fails; sticky: all later ones too. */
void fail_at(uint64_t k, bool sticky);
/*
 * Each allocation from now fails with a chance of one in n. reclaim: what waits for a grace period is waited for, if
 * anything does, and the call may go on after that.
 */
void fail_at_random(uint64_t seed, unsigned n, bool reclaim);
/* No more. How many were failed since fail_at(). */
unsigned fail_end(void);
/* While set, called before each allocation, with what locks its caller has: does it fail? */
extern bool (*fail_hook)(void);
/* Take every page but n. */
void hog_all_but(struct quire *q, unsigned n);
void hog_end(struct quire *q);
void hog_forget(void);
/* Which call instructions were seen, for run.py. */
void write_sites(const char *path);
/* How deep the stack is where the calls of the library begin. */
void mark_stack(void *frame);

/* ---- The world (world.c) ----------------------------------------------------------------- */

struct driver {
	struct quire_page
		*page[8]; /* what its fault op gives: made at the first fault, by the page room */
	int opened, closed, asked, moved, announced;
	int refuse_split, refuse_move, refuse_write, refuse_fault; /* errno that it answers, or 0 */
};

struct world {
	struct machine *m;
	struct quire *q;
	struct quire_mm *mm;
	struct quire_mm *other, *third; /* further spaces, NULL if there are none */
	struct quire_mm *ancestor[8];
	struct disk *disk;	   /* 32 pages, nothing in the cache */
	struct quire_file *memfd;  /* shared memory, 16 pages, or NULL */
	struct quire_file *device; /* its areas are driver's */
	struct driver driver;
};

extern struct world w;
extern const struct quire_pgfmt *world_format; /* of its page tables; NULL: see ../format.h */
extern const struct quire_vm_ops driver_ops;

void world_new(void);
/* Nothing may be left of it. */
void world_end(void);
/* After a test that has failed somewhere on its way, so that the next one can begin: a teardown. */
int world_abandon(void **state);
/* All checks of all there is. */
void world_check(void);

/*
 * Page n of the place where everything is. With four KiB pages one lies behind the other. What lies on both sides of a
 * multiple of 1,024 is in different leaf tables: where those have more entries (L), there are more pages between.
 *
 *	|0 .. 511|                |512 .. 1023|1024 .. 1535|                |1536 .. 2047|
 *	|<----------------- L --------------->|<------------------ L ------------------->|
 */
static inline uint64_t place(uint64_t n)
{
	const uint64_t l = PAGE / 8 > 1024 ? PAGE / 8 : 1024, rest = n % 1024;

	return 0x40000000 + (n / 1024 * l + rest + (rest < 512 ? 0 : l - 1024)) * PAGE;
}
#define AT(n) place(n)
/* Bytes from page at to page at + n. */
#define SPAN(at, n) (AT((uint64_t)(at) + (n)) - AT(at))

#define R QUIRE_PROT_READ
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define RWX (RW | QUIRE_PROT_EXEC)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)
#define SHARED_ANON (QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS)

/* A call's answer for an access that ended in a signal. */
#define SIGNAL(n) (-1000 - (n))
#define KILLED SIGNAL(QUIRE_SIGKILL)

/* mmap at page at, which must succeed. */
void map(uint64_t at, uint64_t pages, uint32_t prot, uint32_t flags, struct quire_file *file,
	 uint64_t pgoff);
/* The space's own CPU loads, stores or fetches a byte: 0 or SIGNAL(). */
int64_t load(uint64_t at);
int64_t store(uint64_t at);
int64_t fetch(uint64_t at);
/* The same for pages [at, at + n), all of which must succeed. */
void load_pages(uint64_t at, uint64_t n);
void store_pages(uint64_t at, uint64_t n);
/* CPU 0 runs in mm. */
void run_in(struct quire_mm *mm);

/* One of everything that a space can hold; see world.c for what lies where. */
void rich(void);
/* n areas of one page at page at and up, which do not merge. */
void many(uint64_t at, unsigned n);

/* ---- Scenarios (scenario.c) -------------------------------------------------------------- */

/*
 * What a call may have changed although it fails: documented with the call.
 *
 *	KEEPS_PAGES  pages that it has faulted in, and owners, tables, counts with them; not what is
 *	             in memory
 *	KEEPS_CACHE  pages that it has read into a file's cache
 *	KEEPS_AREAS  areas are as after success: for calls that change areas, then bring pages in
 *	LOSES_WRITE  entries that must fault before the next write
 *
 * And what else there is to say of it:
 *
 *	MAKES_DO     it can do without some of what it asks for: then it succeeds all the same
 *	NEEDS_NONE   it asks for no memory at all
 *	MAY_NEED     whether it asks for memory is not said
 *	IN_OTHER     CPU 0 runs in w.other
 */
#define KEEPS_PAGES 0x1u
#define KEEPS_CACHE 0x2u
#define LOSES_WRITE 0x4u
#define MAKES_DO 0x8u
#define KEEPS_AREAS 0x10u
#define NEEDS_NONE 0x20u
#define IN_OTHER 0x40u
#define MAY_NEED 0x80u

struct scenario {
	const char *name;
	void (*setup)(void); /* after rich(); may be NULL */
	int64_t (*call)(void);
	int64_t failure;  /* its answer when it fails; 0: -ENOMEM */
	int64_t failure2; /* another one that it may give, or 0 */
	uint32_t flags;
	int64_t success; /* its answer when it gets through; 0: any that is not negative */
	void (*after)(void); /* more to be checked after success; may be NULL */
};

extern const struct scenario map_scenarios[], remap_scenarios[], advise_scenarios[],
	lock_scenarios[], fork_scenarios[], fault_scenarios[], file_scenarios[], driver_scenarios[], policy_scenarios[];

void run_scenario(void **state);
/* All scenarios with allocations failing at random: once, or for QUIRE_SOAK_MINUTES. */
void run_at_random(void **state);
extern const struct scenario *const all_scenarios[]; /* NULL at the end */

/* ---- Snapshots (snapshot.c) -------------------------------------------------------------- */

/* All there is to see, as text; flags: what of it to leave out. To be freed. */
char *snapshot(uint32_t flags);
/* Fails the test, showing the lines that differ. */
void assert_same(const char *before, const char *after, const char *name, const char *when);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the exhibits share: other CPUs that do what they are told and then stand still, and moments
 * of a call at which something else can be made to happen. So what takes two processors and bad
 * luck elsewhere happens here in every run.
 *
 *	at(FLUSH, 0, others_turn);       when CPU 0 is about to flush...
 *	unmap_at(0, 1);
 *
 *	static void others_turn(void)    ...and stands there:
 *	{
 *		on(1, stores);           CPU 1 does this to its end
 *		ended = start(2, faults); or until it waits for somebody (false)
 *	}
 *	finish(2);                       and to its end
 *
 * An exhibit that has caught something says what with caught() or must(), and ends at once: after
 * that nothing can be trusted, no lock is in order. On other CPUs than 0 nothing of cmocka may be
 * used.
 */
#ifndef QUIRE_TESTS_MUSEUM_H
#define QUIRE_TESTS_MUSEUM_H

#include <unit/snapshot.h>

/* ---- Caught ------------------------------------------------------------------------------ */

/* Print the sentence and end the program with status 1. From any CPU. */
__attribute__((noreturn, format(printf, 1, 2))) void caught(const char *format, ...);

#define must(holds, sentence)                    \
	do {                                     \
		if (!(holds))                    \
			caught("%s", sentence); \
	} while (0)

/* All equations of a space, then the TLBs. No call may be under way. */
void check(struct quire_mm *mm);

/* ---- Other CPUs -------------------------------------------------------------------------- */

#define MUSEUM_CPUS 4

/* Run fn on that CPU, which is not this one, to its end. */
void on(unsigned cpu, void (*fn)(void));

/* Until it has ended (true), or waits for somebody (false): then finish() must follow. */
bool start(unsigned cpu, void (*fn)(void));
void finish(unsigned cpu);

/* Stand still until go is true; for others this CPU waits for somebody meanwhile. */
void stand(const bool *go);
/* Stand still until that CPU waits for somebody, or cond is true. */
void until_waiting(unsigned cpu, const bool *cond);
/* True is written so that the others see it. */
void say(bool *cond);

/* ---- Moments ----------------------------------------------------------------------------- */

enum moment {
	FLUSH,	     /* quire_port_tlb_flush(): nothing has been flushed yet */
	LOOKED_UP,   /* a fault knows its area and its leaf, and has looked at the entry without a lock */
	WALKED,	     /* who goes through a range's leaves knows the next, and has not locked it */
	COPIED,	     /* a page has been copied */
	FOUND_PAGE,  /* a page of a cache has been found, and not been locked */
	DROPPING,    /* the same by who goes through a cache to drop or write pages */
	SERVED,	     /* get_user_pages has had a fault served, and is about to look again */
	JUDGED,	     /* a writer has asked whether owners fit */
	MODIFIED,    /* new rights of an entry have been computed, and not been stored */
	FORKING,     /* fork is about to copy the entries of one area */
	RESERVED,    /* a move has tables at its target for all that its source has */
	GROWING,     /* a fault has found that a stack must grow */
	NR_MOMENTS
};

/* The next time that CPU comes to the moment it runs fn first; the skip-th next with at_later(). */
void at(enum moment moment, unsigned cpu, void (*fn)(void));
void at_later(enum moment moment, unsigned cpu, unsigned skip, void (*fn)(void));

/* Has the one that was asked for last come? */
bool came(enum moment moment);

/* ---- The hall ---------------------------------------------------------------------------- */

/* Four CPUs, a space which all of them run in, and a disk of 32 pages. */
extern struct disk *disk;
void museum_open(struct machine *m, struct quire_mm *mm);
void museum_close(void);

static inline int setup(void **state)
{
	if (space_setup_cpus(state, MUSEUM_CPUS))
		return -1;
	museum_open(space.m, space.mm);
	disk = disk_new(space.q, 32 * PAGE);
	return disk ? 0 : -1;
}

static inline int teardown(void **state)
{
	quire_broken_t broken;

	(void)state;
	check(space.mm);
	museum_close();
	machine_switch(space.m, NULL);
	quire_mmput(space.mm);
	quire_grace_wait(space.q);
	broken = disk_delete(disk);
	if (broken)
		caught("%s", broken);
	must(machine_destroy(space.m) == 0, "the machine has something to report");
	return 0;
}

#define exhibit(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define museum_main(...)                                                                           \
	int main(void)                                                                             \
	{                                                                                          \
		const struct CMUnitTest exhibits[] = {__VA_ARGS__};                                \
                                                                                                   \
		return cmocka_run_group_tests(exhibits, NULL, NULL);                               \
	}

/* ---- On any CPU -------------------------------------------------------------------------- */

/* One byte: false, the access ended in a signal. */
static inline bool try_store(uint64_t addr, unsigned char byte)
{
	return machine_store(space.m, addr, &byte, 1, NULL) == 0;
}

/* The byte, or -1: a signal. */
static inline int try_load(uint64_t addr)
{
	unsigned char byte;

	return machine_load(space.m, addr, &byte, 1, NULL) ? -1 : byte;
}

static inline void map_file(uint64_t start, uint64_t n, uint32_t prot, uint32_t flags,
			    uint64_t page)
{
	assert_int_equal(quire_mmap(space.mm, P(start), n * PAGE, prot, flags | QUIRE_MAP_FIXED,
				    &disk->file, page * PAGE),
			 P(start));
}

#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)

#endif

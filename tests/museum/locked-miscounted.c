/* SPDX-License-Identifier: MIT */
/*
 * Pages are counted as locked twice, or stay counted when they are not, and a hole on the way
 * confuses the rest.
 *
 * What counts is a limit: too much, and a program that locks what it has locked already is refused
 * (Linux until 4.9: mlock() over mlock2(MLOCK_ONFAULT), 2016); too little, and there is no limit.
 * Calls over a hole answer ENOMEM, but not before they have done what lies before it (munlock),
 * or on both sides of it (msync, madvise).
 */
#include "museum.h"

static void assert_locked(uint64_t pages)
{
	check(space.mm);
	must(space.mm->locked_vm == pages, "pages are counted as locked that are not, or twice");
}

static void what_is_locked_again_counts_once(void **state)
{
	(void)state;
	map_at(0, 4, "rw");
	assert_int_equal(quire_mlock2(space.mm, P(0), 4 * PAGE, QUIRE_MLOCK_ONFAULT), 0);
	must(space.mm->locked_vm == 4, "pages are counted as locked that are not, or twice");
	assert_int_equal(quire_mlock(space.mm, P(0), 2 * PAGE), 0);
	must(space.mm->locked_vm == 4, "pages are counted as locked that are not, or twice");
	space.mm->limits.memlock = 4 * PAGE;
	must(quire_mlock(space.mm, P(0), 4 * PAGE) == 0, "what was locked already is over the limit");
	assert_locked(4);
	assert_int_equal(unmap_at(1, 1), 0);
	assert_locked(3);
	assert_int_equal(quire_munlock(space.mm, P(0), 4 * PAGE), -QUIRE_ENOMEM);
	assert_locked(2);
	assert_int_equal(quire_munlockall(space.mm), 0);
	assert_locked(0);
}

static void a_limit_holds_for_growth(void **state)
{
	(void)state;
	map_at(0, 2, "rw");
	assert_int_equal(quire_mlock(space.mm, P(0), 2 * PAGE), 0);
	space.mm->limits.memlock = 3 * PAGE;
	must(quire_mremap(space.mm, P(0), 2 * PAGE, 4 * PAGE, QUIRE_MREMAP_MAYMOVE, 0) ==
		     -QUIRE_EAGAIN,
	     "locked memory grew over its limit");
	assert_locked(2);
}

static void both_sides_of_a_hole_are_written_back(void **state)
{
	(void)state;
	map_file(0, 1, RW, QUIRE_MAP_SHARED, 0);
	map_file(2, 1, RW, QUIRE_MAP_SHARED, 2);
	set(P(0), 1);
	set(P(2), 2);
	assert_int_equal(quire_msync(space.mm, P(0), 3 * PAGE, QUIRE_MS_SYNC), -QUIRE_ENOMEM);
	must(disk->bytes[0] == 1 && disk->bytes[2 * PAGE] == 2, "a hole kept msync from the rest");
}

museum_main(exhibit(what_is_locked_again_counts_once), exhibit(a_limit_holds_for_growth),
	    exhibit(both_sides_of_a_hole_are_written_back))

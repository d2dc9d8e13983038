/* SPDX-License-Identifier: MIT */
/*
 * mremap moves the entries first and flushes the old place afterwards.
 *
 * CVE-2018-18281 (Linux before 4.19): move_page_tables() carried entries over, dropped the locks of
 * both tables, and flushed the old addresses only in the end. In between, an ftruncate() that came
 * along the reverse map found the pages at their new place, flushed that, and freed them, while
 * other threads still had the old addresses in their TLBs: they read and wrote memory that had been
 * given to somebody else. (Before that, in 2.6, the same order lost the modified bit.)
 *
 * Here CPU 1 has the old place in its TLB, and truncates the file when CPU 0 is about to flush.
 */
#include "museum.h"

static void stores(void)
{
	if (!try_store(P(0), 1))
		caught("a store to mapped memory fails");
}

static void truncates(void)
{
	quire_object_truncate(&disk->object, 0);
}

static void other_cpu_truncates(void)
{
	on(1, truncates);
}

static void truncate_while_entries_move(uint32_t flags)
{
	map_file(0, 2, RW, flags, 0);
	on(1, stores);
	at(FLUSH, 0, other_cpu_truncates);
	assert_int_equal(quire_mremap(space.mm, P(0), 2 * PAGE, 2 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(16)),
			 P(16));
	must(came(FLUSH), "the move flushed nothing");
	must(!machine_failed(space.m), "a page was freed that a CPU could still reach");
	assert_bus(QUIRE_ACCESS_READ, P(16));
	check(space.mm);
}

static void a_shared_page_that_moves_is_truncated(void **state)
{
	(void)state;
	truncate_while_entries_move(QUIRE_MAP_SHARED);
}

static void a_private_copy_that_moves_is_truncated(void **state)
{
	(void)state;
	truncate_while_entries_move(QUIRE_MAP_PRIVATE);
}

/* When somebody has stored to the new place, nobody reads the old value at the old one. */
static int old_place;

static void reads_old_place(void)
{
	old_place = try_load(P(0));
}

static void nothing_is_left_at_the_old_place(void **state)
{
	(void)state;
	map_at(0, 1, "rw");
	on(1, stores);
	assert_int_equal(quire_mremap(space.mm, P(0), PAGE, PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(16)),
			 P(16));
	on(1, reads_old_place);
	must(old_place == -1, "the old place is still read");
	assert_int_equal(get(P(16)), 1);
}

museum_main(exhibit(a_shared_page_that_moves_is_truncated),
	    exhibit(a_private_copy_that_moves_is_truncated),
	    exhibit(nothing_is_left_at_the_old_place))

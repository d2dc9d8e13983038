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
 * Here CPU 1 has the old place in its TLB, and truncates the file when CPU 0 is about to flush. The same where a whole
 * table goes over with its entries; what else can be at work then is a truncate that has found the table at its old
 * place, and not locked it yet.
 */
#include "museum.h"

#define TABLE 512 /* pages; P(0) is where one begins */

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

static void truncate_while_it_moves(uint32_t flags, uint64_t n, uint64_t to)
{
	map_file(0, n, RW, flags, 0);
	on(1, stores);
	at(FLUSH, 0, other_cpu_truncates);
	assert_int_equal(quire_mremap(space.mm, P(0), n * PAGE, n * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(to)),
			 P(to));
	must(came(FLUSH), "the move flushed nothing");
	must(!machine_failed(space.m), "a page was freed that a CPU could still reach");
	assert_bus(QUIRE_ACCESS_READ, P(to));
	check(space.mm);
}

static void a_shared_page_that_moves_is_truncated(void **state)
{
	(void)state;
	truncate_while_it_moves(QUIRE_MAP_SHARED, 2, 16);
}

static void a_private_copy_that_moves_is_truncated(void **state)
{
	(void)state;
	truncate_while_it_moves(QUIRE_MAP_PRIVATE, 2, 16);
}

static void a_page_whose_table_moves_is_truncated(void **state)
{
	(void)state;
	truncate_while_it_moves(QUIRE_MAP_SHARED, TABLE, TABLE);
}

/*
 * CPU 2 knows the table by the old place. The truncate empties what has come there, flushes it, and goes on to the new
 * place; CPU 2 comes to the page by the old one again.
 */
static void loads_at_the_old_place(void)
{
	(void)try_load(P(0));
}

static void other_cpu_loads(void)
{
	on(2, loads_at_the_old_place);
}

static void truncates_in_two_steps(void)
{
	at_later(WALKED, 1, 1, other_cpu_loads);
	on(1, truncates);
}

static void a_page_is_truncated_at_the_new_place_of_its_table(void **state)
{
	(void)state;
	map_file(0, TABLE, RW, QUIRE_MAP_SHARED, 0);
	on(1, stores);
	on(2, loads_at_the_old_place);
	at(FLUSH, 0, truncates_in_two_steps);
	assert_int_equal(quire_mremap(space.mm, P(0), TABLE * PAGE, TABLE * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(TABLE)),
			 P(TABLE));
	must(came(WALKED), "the truncate did not come to the new place");
	must(!machine_failed(space.m), "a page was freed that a CPU could still reach");
	check(space.mm);
}

/* ---- A table that is not where it was found -------------------------------------------------- */

static bool armed, moved, truncated;

static void stands(void)
{
	stand(&moved);
}

static void truncates_and_says_so(void)
{
	truncates();
	say(&truncated);
}

/* What CPU 0 flushes when its call ends could hide what the truncate has not flushed. */
static void stands_until_truncated(void)
{
	stand(&truncated);
}

static void loads_at_the_new_place(void)
{
	if (try_load(P(TABLE)) != 1)
		caught("what was stored is not at the new place");
}

/* CPU 0 cannot end its call before the truncate has ended: the old area is still in the reverse map. */
static void waits_for_the_move(void)
{
	bool never = false;

	stand(&armed);
	until_waiting(0, &never);
	on(2, loads_at_the_new_place);
	at(FLUSH, 0, stands_until_truncated);
	say(&moved);
}

static void truncate_stands_before_the_table(void)
{
	at(WALKED, 1, stands);
	if (start(1, truncates_and_says_so) || start(3, waits_for_the_move))
		caught("a truncate has nothing to empty");
	say(&armed);
}

static void a_table_that_a_truncate_has_found_moves(void **state)
{
	(void)state;
	armed = moved = truncated = false;
	map_file(0, TABLE, RW, QUIRE_MAP_SHARED, 0);
	on(1, stores);
	at(WALKED, 0, truncate_stands_before_the_table);
	assert_int_equal(quire_mremap(space.mm, P(0), TABLE * PAGE, TABLE * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(TABLE)),
			 P(TABLE));
	finish(3);
	finish(1);
	must(came(WALKED), "nobody looked for the table");
	must(!machine_failed(space.m), "a page was freed that a CPU could still reach");
	assert_bus(QUIRE_ACCESS_READ, P(TABLE));
	check(space.mm);
}

static bool too_early;

static void stores_at_the_new_place(void)
{
	(void)try_store(P(TABLE), 2);
}

static void other_cpu_tries_the_new_place(void)
{
	too_early = start(2, stores_at_the_new_place);
}

static void a_table_that_moves_serves_nobody_before_the_flush(void **state)
{
	(void)state;
	map_at(0, TABLE, "rw");
	on(1, stores);
	at(FLUSH, 0, other_cpu_tries_the_new_place);
	assert_int_equal(quire_mremap(space.mm, P(0), TABLE * PAGE, TABLE * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(TABLE)),
			 P(TABLE));
	must(came(FLUSH), "the move flushed nothing");
	must(!too_early, "the new place is used before the old one is flushed");
	finish(2);
	assert_int_equal(get(P(TABLE)), 2);
	check(space.mm);
}

/* ---- Afterwards ------------------------------------------------------------------------------ */

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
	    exhibit(a_page_whose_table_moves_is_truncated),
	    exhibit(a_page_is_truncated_at_the_new_place_of_its_table),
	    exhibit(a_table_that_a_truncate_has_found_moves),
	    exhibit(a_table_that_moves_serves_nobody_before_the_flush),
	    exhibit(nothing_is_left_at_the_old_place))

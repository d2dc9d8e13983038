/* SPDX-License-Identifier: MIT */
/*
 * A copy-on-write puts the copy in place, writable, while other processors still read the original.
 *
 * One thread of a program stores through the new entry and tells another, which reads the old value
 * through its stale entry: memory has gone backwards. Linux had this order until 2006, and empties the
 * entry and flushes before it sets the new one since.
 *
 * CPU 0 copies a page and is about to flush; CPU 1 reads the original; CPU 2 wants to store. Either
 * its store waits, or CPU 1 sees it.
 */
#include "museum.h"

static int seen;

static void reads(void)
{
	seen = try_load(P(0));
}

static void stores(void)
{
	if (!try_store(P(0), 3))
		caught("a store to mapped memory fails");
}

static void a_store_is_seen_once_it_is_done(void)
{
	if (start(2, stores)) {
		on(1, reads);
		must(seen == 3, "a store is done that another CPU does not see");
	}
}

static void nobody_reads_the_original_when_the_copy_is_written(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	child = fork_space(space.mm);
	on(1, reads);
	assert_int_equal(seen, 1);
	at(FLUSH, 0, a_store_is_seen_once_it_is_done);
	assert_true(try_store(P(0) + 8, 2));
	must(came(FLUSH), "the copy flushed nothing");
	finish(2);
	on(1, reads);
	assert_int_equal(seen, 3);
	put_space(child);
}

museum_main(exhibit(nobody_reads_the_original_when_the_copy_is_written))

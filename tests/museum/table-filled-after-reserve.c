/* SPDX-License-Identifier: MIT */
/*
 * A move reserves what it will need for what it finds, and then there is more.
 *
 * Ours, until it was seen: mremap made tables at its target for those of the source, and only then ended the faults at the
 * source. A first store in between made one more table there. Nobody had reserved any for it, so the page stayed behind
 * when everything else moved: the store was lost, and the old place was left with a page and no area. In Linux the lock
 * of the space keeps all faults away.
 */
#include "museum.h"

#define LEAF (space.mm->pt.fmt->shift[1] - QUIRE_PAGE_SHIFT)
#define FAR (UINT64_C(1) << LEAF) /* pages of one leaf table */

static bool stored, waits;

static void stores(void)
{
	stored = try_store(P(2 * FAR), 7);
}

/* CPU 1 stores to where the source has no table yet. */
static void other_cpu_stores(void)
{
	waits = !start(1, stores);
}

static void a_first_store_to_what_moves(void **state)
{
	(void)state;
	map_at(0, 3 * FAR, "rw");
	set(P(0), 1);
	at(RESERVED, 0, other_cpu_stores);
	assert_int_equal(quire_mremap(space.mm, P(0), 3 * FAR * PAGE, 3 * FAR * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(8 * FAR)),
			 P(8 * FAR));
	must(came(RESERVED), "the move reserved nothing");
	if (waits)
		finish(1);
	must(!machine_failed(space.m), "a page was left behind");
	must(get(P(8 * FAR)) == 1, "what was stored before the move is lost");
	must(!stored || get(P(10 * FAR)) == 7, "a store that was made is lost");
	must(try_load(P(2 * FAR)) == -1, "the old place is still read");
	check(space.mm);
}

museum_main(exhibit(a_first_store_to_what_moves))

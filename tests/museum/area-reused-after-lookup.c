/* SPDX-License-Identifier: MIT */
/*
 * An area is found without a lock, goes, another comes in its place, and the fault goes on.
 *
 * Linux's faults have found areas under RCU and locked them one by one since 6.4. What was found may
 * have been detached before it was locked, and since 6.15, when areas came to be recycled without a
 * grace period, may even be another area by then, of another process, whose descriptor is freed while
 * it is let go again (mended in 6.16). Each look-up must ask again, under the lock, whether this is
 * still the area that it wanted. Faults that read from a disk with no lock held had the same question
 * long before.
 *
 * Here the question is asked twice: under the leaf's lock, is the area alive? After a sleep, is
 * what is found now the same area?
 */
#include "museum.h"

/* ---- Between look-up and lock ------------------------------------------------------------ */

static void unmaps(void)
{
	if (unmap_at(0, 1))
		caught("munmap");
}

static void other_cpu_unmaps(void)
{
	on(1, unmaps);
}

/* Page 1 keeps the leaf table in being, and gives the area its owner: nothing else to stop for. */
static void map(void)
{
	map_at(0, 2, "rw");
	set(P(1), 1);
}

static void nothing_is_set_where_no_area_is(void **state)
{
	(void)state;
	map();
	at(LOOKED_UP, 0, other_cpu_unmaps);
	must(!try_store(P(0), 1), "a store to memory that had been unmapped succeeded");
	must(came(LOOKED_UP), "there was no fault");
	check(space.mm);
}

static void unmaps_and_maps(void)
{
	unmaps();
	map_at(0, 1, "r");
}

static void other_cpu_unmaps_and_maps(void)
{
	on(1, unmaps_and_maps);
}

static void rights_are_those_of_the_area_that_is_there(void **state)
{
	(void)state;
	map();
	at(LOOKED_UP, 0, other_cpu_unmaps_and_maps);
	must(!try_store(P(0), 1), "a store succeeded by the rights of an area that had gone");
	assert_int_equal(get(P(0)), 0);
}

/* ---- During a sleep ---------------------------------------------------------------------- */

static void maps_another_part(void)
{
	unmaps();
	map_file(0, 1, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, 8);
}

static void while_it_is_read(struct disk *d, struct quire_page *page)
{
	d->in_read = NULL;
	if (page->index != 0)
		caught("another page is read than was asked for");
	on(1, maps_another_part);
}

static void what_was_read_for_one_area_is_not_anothers(void **state)
{
	(void)state;
	map();
	map_file(0, 1, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, 0);
	disk->in_read = while_it_is_read;
	must(get(P(0)) == disk_byte(8 * PAGE),
	     "a fault filled the area that had come after its own");
	check(space.mm);
}

museum_main(exhibit(nothing_is_set_where_no_area_is),
	    exhibit(rights_are_those_of_the_area_that_is_there),
	    exhibit(what_was_read_for_one_area_is_not_anothers))

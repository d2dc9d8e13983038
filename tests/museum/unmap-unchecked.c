/* SPDX-License-Identifier: MIT */
/*
 * A call is made of others, one of them fails, and nobody looks.
 *
 * CVE-2004-0077 (Linux until 2.4.24 and 2.6.2): mremap() moved the entries and unmapped the old
 * place, without asking whether that had worked. With as many areas as a process may have it did
 * not: the old area stayed, with entries that belonged to the new one, and a later use of it freed
 * what was in use.
 *
 * A driver says yes to both cuts when it is asked, and no when they are made; and a process has
 * all the areas that it may have.
 */
#include "driver.h"

static void a_driver_that_changes_its_mind_keeps_its_area(void **state)
{
	int64_t answer;

	(void)state;
	put_driver_at(0, 8);
	yes_left = 2;
	answer = quire_mremap(space.mm, P(2), 2 * PAGE, 2 * PAGE,
			      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(20));
	must(answer == -QUIRE_EACCES, "a move was made whose source could not be unmapped");
	assert_picture("0-8 rw-p");
	must(live == areas_of_driver(space.mm), "a driver was told of an area that did not come");
}

static void there_are_no_more_areas_than_there_may_be(void **state)
{
	(void)state;
	map_at(0, 8, "rw");
	map_at(10, 1, "r");
	map_at(12, 1, "r");
	set(P(3), 7);
	space.q->mms.sysctl.max_map_count = 4;
	must(quire_mremap(space.mm, P(3), PAGE, PAGE, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
			  P(20)) == -QUIRE_ENOMEM,
	     "a move made more areas than there may be");
	assert_int_equal(unmap_at(3, 1), 0);
	must(unmap_at(6, 1) == -QUIRE_ENOMEM, "munmap made more areas than there may be");
	assert_int_equal(space.mm->index.count, 4);
}

museum_main(driver_exhibit(a_driver_that_changes_its_mind_keeps_its_area),
	    driver_exhibit(there_are_no_more_areas_than_there_may_be))

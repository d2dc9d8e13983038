/* SPDX-License-Identifier: MIT */
/*
 * The heap's end is moved to where it may not be.
 *
 * Below the heap's beginning, where shrinking unmaps the program's own data; or beyond RLIMIT_DATA,
 * which counts the program's data too: a place that adds up the heap alone is a way around it (Linux
 * has one function for the sum since 3.18, for brk() and for who moves the marks by prctl()). And next
 * to another mapping a heap stops one page short, or at a stack's guard.
 */
#include "museum.h"

static void put_heap(void)
{
	struct quire_layout *layout = &space.mm->layout;

	assert_int_equal(quire_mmap(space.mm, BASE - 2 * PAGE, 2 * PAGE, RW, ANON | QUIRE_MAP_FIXED,
				    NULL, 0),
			 BASE - 2 * PAGE);
	set(BASE - PAGE, 1);
	layout->start_data = BASE - 2 * PAGE;
	layout->end_data = BASE;
	layout->start_brk = BASE;
	layout->brk = BASE;
}

static void a_heap_does_not_end_before_it_begins(void **state)
{
	(void)state;
	put_heap();
	assert_int_equal(quire_brk(space.mm, BASE + PAGE), BASE + PAGE);
	must(quire_brk(space.mm, BASE - PAGE) == BASE + PAGE, "a heap ends before it begins");
	must(try_load(BASE - PAGE) == 1, "a heap that shrank took the program's data along");
}

static void the_limit_counts_all_data(void **state)
{
	(void)state;
	put_heap();
	/* Data that is not mapped, or not writable: nothing else would count it. */
	space.mm->layout.start_data = BASE - 16 * PAGE;
	space.mm->limits.data = 18 * PAGE;
	must(quire_brk(space.mm, BASE + 3 * PAGE) == BASE,
	     "heap and data together are larger than the limit");
	assert_int_equal(quire_brk(space.mm, BASE + 2 * PAGE), BASE + 2 * PAGE);
}

static void a_heap_stops_short_of_the_next_mapping(void **state)
{
	(void)state;
	put_heap();
	assert_int_equal(quire_mmap(space.mm, BASE + 4 * PAGE, PAGE, RW, ANON | QUIRE_MAP_FIXED, NULL,
				    0),
			 BASE + 4 * PAGE);
	must(quire_brk(space.mm, BASE + 4 * PAGE) == BASE, "a heap touches the next mapping");
	must(quire_brk(space.mm, BASE + 5 * PAGE) == BASE, "a heap grew over the next mapping");
	assert_int_equal(quire_brk(space.mm, BASE + 3 * PAGE), BASE + 3 * PAGE);
}

museum_main(exhibit(a_heap_does_not_end_before_it_begins), exhibit(the_limit_counts_all_data),
	    exhibit(a_heap_stops_short_of_the_next_mapping))

/* SPDX-License-Identifier: MIT */
/* mremap(2): every combination of flags; growing, shrinking, moving; one area and several. */
#include "failure.h"

#define MAYMOVE QUIRE_MREMAP_MAYMOVE
#define FIXED (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED)
#define DONTUNMAP (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP)

#define MREMAP(name, at, old, new, flags, to)                                                      \
	static int64_t name(void)                                                                  \
	{                                                                                          \
		return quire_mremap(w.mm, AT(at), SPAN(at, old), SPAN(at, new), flags, AT(to)); \
	}

MREMAP(shrink, 0, 8, 3, 0, 0)
MREMAP(shrink_middle, 1, 6, 3, 0, 0)
MREMAP(shrink_over_areas, 1, 40, 3, 0, 0)
MREMAP(stay, 0, 8, 8, 0, 0)
MREMAP(grow_in_place, 1024, 8, 12, 0, 0)
MREMAP(grow_to_neighbour, 1024, 8, 12, 0, 0)
MREMAP(grow_file, 44, 4, 8, 0, 0)
MREMAP(grow_locked, 28, 4, 6, MAYMOVE, 0)
MREMAP(grow_by_moving, 0, 8, 16, MAYMOVE, 0)
MREMAP(grow_part_by_moving, 2, 4, 16, MAYMOVE, 0)
MREMAP(grow_file_by_moving, 12, 4, 9, MAYMOVE, 0)
MREMAP(grow_shared_by_moving, 20, 4, 9, MAYMOVE, 0)
MREMAP(grow_driver_by_moving, 36, 4, 9, MAYMOVE, 0)
MREMAP(grow_over_leaves, 1024, 8, 1200, MAYMOVE, 0)
MREMAP(shrink_with_leave_to_move, 0, 8, 4, MAYMOVE, 0)
MREMAP(second_view, 20, 0, 4, MAYMOVE, 0)
MREMAP(second_view_of_file, 16, 0, 4, MAYMOVE, 0)
MREMAP(second_view_fixed, 24, 0, 4, FIXED, 200)

MREMAP(to_free, 0, 8, 8, FIXED, 200)
MREMAP(to_other_leaf, 0, 8, 8, FIXED, 3000)
MREMAP(to_two_leaves, 0, 8, 8, FIXED, 3068)
MREMAP(to_new_gigabyte, 0, 8, 8, FIXED, 1 << 18)
MREMAP(part_to_free, 2, 4, 4, FIXED, 200)
MREMAP(over_one, 0, 8, 8, FIXED, 1024)
MREMAP(over_part, 0, 4, 4, FIXED, 1026)
MREMAP(over_many, 0, 8, 8, FIXED, 62)
MREMAP(over_driver, 0, 2, 2, FIXED, 37)
MREMAP(over_shared, 0, 2, 2, FIXED, 21)
MREMAP(over_and_growing, 0, 8, 16, FIXED, 1024)
MREMAP(over_and_shrinking, 0, 8, 3, FIXED, 1024)
MREMAP(file_to_free, 12, 4, 4, FIXED, 200)
MREMAP(shared_file_to_free, 16, 4, 4, FIXED, 200)
MREMAP(driver_to_free, 36, 4, 4, FIXED, 200)
MREMAP(driver_part_to_free, 37, 2, 2, FIXED, 200)
MREMAP(locked_to_free, 28, 4, 4, FIXED, 200)
MREMAP(stack_to_free, 60, 4, 4, FIXED, 200)
MREMAP(guards_to_free, 32, 4, 4, FIXED, 200)
MREMAP(to_neighbour, 0, 4, 4, FIXED, 1032)

MREMAP(untouched_to_neighbour_before, 3000, 4, 4, FIXED, 3104)
MREMAP(untouched_to_neighbour_behind, 3000, 4, 4, FIXED, 3096)
MREMAP(untouched_between_neighbours, 3000, 4, 4, FIXED, 3104)
MREMAP(over_areas_of_a_driver, 0, 4, 4, FIXED, 34)

MREMAP(two_leaves_to_two, 3070, 8, 8, FIXED, 9214)
MREMAP(two_leaves_to_far_ones, 3070, 1040, 1040, FIXED, (1 << 18) - 100)
MREMAP(two_leaves_doubled, 3070, 1040, 1040, DONTUNMAP, 20000)
MREMAP(tail_into_a_driver, 28, 10, 2, FIXED, 200)

MREMAP(several, 0, 48, 48, FIXED, 200)
MREMAP(several_over_others, 0, 12, 12, FIXED, 1020)
MREMAP(several_with_holes, 40, 40, 40, FIXED, 200)
MREMAP(several_many, 62, 18, 18, FIXED, 200)
MREMAP(several_parts, 2, 13, 13, FIXED, 300)
MREMAP(several_hundreds, 2000, 300, 300, FIXED, 6000)

MREMAP(leave, 0, 8, 8, DONTUNMAP, 200)
MREMAP(leave_part, 2, 4, 4, DONTUNMAP, 200)
MREMAP(leave_file, 12, 4, 4, DONTUNMAP, 200)
MREMAP(leave_shared, 20, 4, 4, DONTUNMAP, 200)
MREMAP(leave_locked, 28, 4, 4, DONTUNMAP, 200)
MREMAP(leave_driver, 36, 4, 4, DONTUNMAP, 200)
MREMAP(leave_fixed, 0, 8, 8, DONTUNMAP | FIXED, 1024)
MREMAP(leave_fixed_free, 0, 8, 8, DONTUNMAP | FIXED, 3000)
MREMAP(leave_fixed_several, 0, 20, 20, DONTUNMAP | FIXED, 200)

static void close_in(void)
{
	map(1036, 4, RW, ANON, NULL, 0);
}

static void untouched(void)
{
	map(3000, 4, RW, ANON, NULL, 0);
	map(3100, 4, RW, ANON, NULL, 0);
}

static void untouched_two(void)
{
	untouched();
	map(3108, 4, RW, ANON, NULL, 0);
}

static void over_leaves(void)
{
	map(3070, 1040, RW, ANON, NULL, 0);
	store_pages(3070, 4);
	store_pages(3600, 1);
	store_pages(4100, 1);
}

static void refuse_split(void)
{
	w.driver.refuse_split = -QUIRE_EBUSY;
}

static void refuse(void)
{
	w.driver.refuse_move = -QUIRE_EBUSY;
}

static void fill_index(void)
{
	many(2000, 300);
}

static void give_child(void)
{
	assert_int_equal(quire_fork(w.mm, &w.other), 0);
}

static void strict_overcommit(void)
{
	w.q->mms.sysctl.overcommit_memory = QUIRE_OVERCOMMIT_NEVER;
	w.q->mms.sysctl.overcommit_total_pages = 1 << 20;
}

const struct scenario remap_scenarios[] = {
	{"mremap_shrink", NULL, shrink},
	{"mremap_shrink_middle", NULL, shrink_middle},
	{"mremap_shrink_over_areas", NULL, shrink_over_areas},
	{"mremap_same_length", NULL, stay, .flags = NEEDS_NONE},
	{"mremap_grow_in_place", NULL, grow_in_place},
	{"mremap_grow_to_a_neighbour", close_in, grow_to_neighbour},
	{"mremap_grow_file", NULL, grow_file},
	{"mremap_grow_locked", NULL, grow_locked, .flags = MAKES_DO | KEEPS_AREAS},
	{"mremap_grow_by_moving", NULL, grow_by_moving},
	{"mremap_grow_part_by_moving", NULL, grow_part_by_moving},
	{"mremap_grow_file_by_moving", NULL, grow_file_by_moving},
	{"mremap_grow_shared_by_moving", NULL, grow_shared_by_moving},
	{"mremap_grow_driver_by_moving", NULL, grow_driver_by_moving},
	{"mremap_grow_over_leaves", close_in, grow_over_leaves},
	{"mremap_shrink_with_leave_to_move", NULL, shrink_with_leave_to_move},
	{"mremap_second_view", NULL, second_view},
	{"mremap_second_view_of_file", NULL, second_view_of_file},
	{"mremap_second_view_fixed", NULL, second_view_fixed},
	{"mremap_fixed", NULL, to_free},
	{"mremap_fixed_to_another_leaf", NULL, to_other_leaf},
	{"mremap_fixed_to_two_leaves", NULL, to_two_leaves},
	{"mremap_fixed_to_a_new_gigabyte", NULL, to_new_gigabyte},
	{"mremap_fixed_part", NULL, part_to_free},
	{"mremap_fixed_over_an_area", NULL, over_one},
	{"mremap_fixed_over_part_of_an_area", NULL, over_part},
	{"mremap_fixed_over_many", NULL, over_many},
	{"mremap_fixed_over_a_driver", NULL, over_driver},
	{"mremap_fixed_over_shared", NULL, over_shared},
	{"mremap_fixed_and_growing", NULL, over_and_growing},
	{"mremap_fixed_and_shrinking", NULL, over_and_shrinking},
	{"mremap_fixed_file", NULL, file_to_free},
	{"mremap_fixed_shared_file", NULL, shared_file_to_free},
	{"mremap_fixed_driver", NULL, driver_to_free},
	{"mremap_fixed_driver_part", NULL, driver_part_to_free},
	{"mremap_fixed_driver_that_refuses", refuse, driver_to_free, .success = -QUIRE_EBUSY},
	{"mremap_fixed_locked", NULL, locked_to_free},
	{"mremap_fixed_stack", NULL, stack_to_free},
	{"mremap_fixed_guards", NULL, guards_to_free},
	{"mremap_fixed_to_a_neighbour", NULL, to_neighbour},
	{"mremap_fixed_of_a_parent", give_child, to_free},
	{"mremap_untouched_to_the_area_before", untouched, untouched_to_neighbour_before},
	{"mremap_untouched_to_the_area_behind", untouched, untouched_to_neighbour_behind},
	{"mremap_untouched_between_areas", untouched_two, untouched_between_neighbours},
	{"mremap_over_a_driver_that_refuses", refuse_split, over_areas_of_a_driver,
	 .failure2 = -QUIRE_EBUSY, .success = -QUIRE_EBUSY},
	{"mremap_shrinking_into_a_driver_that_refuses", refuse_split, tail_into_a_driver,
	 .failure2 = -QUIRE_EBUSY, .success = -QUIRE_EBUSY},
	{"mremap_two_leaves", over_leaves, two_leaves_to_two},
	{"mremap_two_leaves_over_a_gigabyte", over_leaves, two_leaves_to_far_ones},
	{"mremap_dontunmap_leaves", over_leaves, two_leaves_doubled},
	{"mremap_several", NULL, several},
	{"mremap_several_over_others", NULL, several_over_others},
	{"mremap_several_with_holes", NULL, several_with_holes},
	{"mremap_several_many", NULL, several_many},
	{"mremap_several_parts", NULL, several_parts},
	{"mremap_several_hundreds", fill_index, several_hundreds},
	{"mremap_several_driver_refuses", refuse, several, .success = -QUIRE_EBUSY},
	{"mremap_strict_overcommit", strict_overcommit, grow_by_moving},
	{"mremap_dontunmap", NULL, leave},
	{"mremap_dontunmap_part", NULL, leave_part},
	{"mremap_dontunmap_file", NULL, leave_file},
	{"mremap_dontunmap_shared", NULL, leave_shared},
	{"mremap_dontunmap_locked", NULL, leave_locked},
	{"mremap_dontunmap_driver", NULL, leave_driver},
	{"mremap_dontunmap_fixed", NULL, leave_fixed},
	{"mremap_dontunmap_fixed_free", NULL, leave_fixed_free},
	{"mremap_dontunmap_several", NULL, leave_fixed_several},
	{NULL},
};

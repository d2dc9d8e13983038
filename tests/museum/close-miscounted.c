/* SPDX-License-Identifier: MIT */
/*
 * A driver is told of an area's end twice, or not at all.
 *
 * Drivers count: what open() took, close() gives back, and memory that hardware uses is freed when
 * the count is zero. Linux's error paths got it wrong in both directions, on every path that cuts,
 * merges or gives up; as late as 6.12 (CVE-2024-53096, 2024), when mmap() failed after the driver's
 * own mmap() had said no, close() was called for an area that had never been opened. And merging an
 * area away needs a close() that nobody calls, which is why areas with one are not merged.
 */
#include "driver.h"

static void assert_count(struct quire_mm *other)
{
	int64_t areas = areas_of_driver(space.mm) + (other ? areas_of_driver(other) : 0);

	if (live > areas)
		caught("a driver was not told of an area's end");
	if (live < areas)
		caught("a driver was told of an area's end too often");
}

static void munmap_tells_of_what_is_gone(void **state)
{
	(void)state;
	put_driver_at(0, 16);
	assert_int_equal(unmap_at(0, 2), 0);
	assert_count(NULL);
	assert_int_equal(unmap_at(6, 2), 0);
	assert_count(NULL);
	assert_int_equal(unmap_at(14, 2), 0);
	assert_count(NULL);
	for (unsigned i = 0; i < 16; i++)
		must(closed[i] == (i < 2 || i == 6 || i == 7 || i >= 14),
		     "a driver was told of the end of other pages than went");
	assert_int_equal(unmap_at(0, 16), 0);
	assert_count(NULL);
	for (unsigned i = 0; i < 16; i++)
		must(closed[i] == 1, "a driver was not told of an area's end exactly once");
}

static void cuts_and_moves_are_counted(void **state)
{
	(void)state;
	put_driver_at(0, 8);
	assert_int_equal(protect_at(2, 4, "r"), 0);
	assert_count(NULL);
	assert_int_equal(protect_at(2, 4, "rw"), 0);
	assert_count(NULL);
	assert_int_equal(quire_mremap(space.mm, P(3), PAGE, PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(20)),
			 P(20));
	assert_count(NULL);
	map_at(5, 1, "rw");
	assert_count(NULL);
}

static void fork_and_exit_are_counted(void **state)
{
	struct quire_mm *child;

	(void)state;
	put_driver_at(0, 8);
	assert_int_equal(protect_at(2, 4, "r"), 0);
	child = fork_space(space.mm);
	assert_count(child);
	assert_int_equal(quire_munmap(child, P(1), 2 * PAGE), 0);
	assert_count(child);
	quire_mmput(child);
	assert_count(NULL);
}

/* ---- The driver's own mmap() says no ------------------------------------------------------ */

static int refuse(struct quire_file *file, struct quire_vma *vma)
{
	(void)file;
	vma->ops = &driver;
	return -QUIRE_ENOMEM;
}

static void what_was_refused_is_not_closed(void **state)
{
	(void)state;
	map_at(0, 4, "rw");
	set(P(1), 1);
	disk->file.mmap = refuse;
	assert_int_equal(quire_mmap(space.mm, P(0), 4 * PAGE, RW,
				    QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, &disk->file, 0),
			 -QUIRE_ENOMEM);
	disk->file.mmap = NULL;
	assert_count(NULL);
	assert_int_equal(get(P(1)), 1);
}

museum_main(driver_exhibit(munmap_tells_of_what_is_gone), driver_exhibit(cuts_and_moves_are_counted),
	    driver_exhibit(fork_and_exit_are_counted),
	    driver_exhibit(what_was_refused_is_not_closed))

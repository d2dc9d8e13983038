/* SPDX-License-Identifier: MIT */
/* Drivers that refuse while memory runs out, and one case that takes two CPUs: see below. */
#include "failure.h"

static void refuse_split(void)
{
	w.driver.refuse_split = -QUIRE_EBUSY;
}

static int64_t unmap_part(void)
{
	return quire_munmap(w.mm, AT(34), 4 * PAGE);
}

static int64_t protect_part(void)
{
	return quire_mprotect(w.mm, AT(30), 8 * PAGE, R);
}

static int64_t lock_part(void)
{
	return quire_mlock(w.mm, AT(37), 2 * PAGE);
}

static int64_t advise_part(void)
{
	return quire_madvise(w.mm, AT(30), 8 * PAGE, QUIRE_MADV_DONTDUMP);
}

static int64_t map_over_part(void)
{
	return quire_mmap(w.mm, AT(34), 4 * PAGE, RW, ANON | QUIRE_MAP_FIXED, NULL, 0);
}

static int64_t move_part(void)
{
	return quire_mremap(w.mm, AT(37), 2 * PAGE, 2 * PAGE, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AT(200));
}

static int refuse_mmap(struct quire_file *file, struct quire_vma *vma)
{
	(void)file;
	(void)vma;
	return -QUIRE_ENODEV;
}

static void refuse_to_be_mapped(void)
{
	w.device->mmap = refuse_mmap;
}

static int64_t map_device(void)
{
	return quire_mmap(w.mm, AT(30), 12 * PAGE, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, w.device, 0);
}

/* A refusal leaves what Linux has cut by then, if there is memory for that, else nothing. */
#define REFUSED .success = -QUIRE_EBUSY, .failure2 = -QUIRE_EBUSY

const struct scenario driver_scenarios[] = {
	{"driver_refuses_munmap", refuse_split, unmap_part, REFUSED},
	{"driver_refuses_mprotect", refuse_split, protect_part, REFUSED},
	{"driver_refuses_madvise", refuse_split, advise_part, REFUSED, .failure = -QUIRE_EAGAIN},
	{"driver_refuses_mmap_over_it", refuse_split, map_over_part, REFUSED},
	{"driver_refuses_mremap", refuse_split, move_part, REFUSED, .flags = NEEDS_NONE},
	{"driver_refuses_to_be_mapped", refuse_to_be_mapped, map_device, .success = -QUIRE_ENODEV},
	{"driver_locked_in_part", NULL, lock_part, .failure2 = -QUIRE_EAGAIN, .flags = KEEPS_AREAS},
	{NULL},
};

/* ---- A table that two count on ----------------------------------------------------------- */

/*
 * A fault, which has no lock at this moment, asks for the tables above page 3000. Meanwhile, on
 * another CPU:
 *
 *	a trim takes away the table between, which the fault has found and not counted as missing
 *	a writer makes all tables above page 3000, and counts on them: it is about to put entries there
 *
 * and then there is no memory for the table that the fault lacks. What the writer has made must stay.
 */
static unsigned asked;

static bool other_cpu(void)
{
	struct quire_pgtable *pt = &w.mm->pt;

	switch (asked++) {
	case 0: /* the leaf, which is all that is missing */
		quire_tables_trim(pt, AT(3500), AT(3501));
		return false;
	case 1: /* the tables above it */
		assert_int_equal(quire_tables_populate(pt, AT(3000), AT(3001)), 0);
		return true;
	default:
		return false;
	}
}

static uint64_t leaves(void)
{
	return w.mm->pt.tables[0];
}

static void a_fault_without_memory_leaves_a_writers_tables(void **state)
{
	uint64_t before;

	(void)state;
	mark_stack(__builtin_frame_address(0));
	world_new();
	before = leaves();
	/* A table of the second level that holds nothing but an empty leaf. */
	assert_int_equal(quire_tables_populate(&w.mm->pt, AT(3500), AT(3501)), 0);
	assert_int_equal(leaves(), before + 1);
	asked = 0;
	fail_hook = other_cpu;
	assert_int_equal(quire_tables_populate(&w.mm->pt, AT(3000), AT(3001)), -QUIRE_ENOMEM);
	fail_hook = NULL;
	assert_true(asked >= 2);
	assert_int_equal(leaves(), before + 1);
	world_check();
	quire_tables_trim(&w.mm->pt, AT(3000), AT(3001));
	assert_int_equal(leaves(), before);
	world_end();
}

extern const struct CMUnitTest populate_test;
const struct CMUnitTest populate_test = cmocka_unit_test(a_fault_without_memory_leaves_a_writers_tables);

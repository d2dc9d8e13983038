/* SPDX-License-Identifier: MIT */
/*
 * mseal on the simulated machine: what it says, and what it stops. The pictures and errors were
 * seen on Linux 6.18, x86-64; mseal(2) and Documentation/userspace-api/mseal.rst have the rest.
 */
#include <mm/internal.h>

#include "snapshot.h"

static int seal_at(uint64_t start, uint64_t n)
{
	return quire_mseal(space.mm, P(start), n * PAGE, 0);
}

static bool is_sealed(uint64_t page)
{
	return (area(space.mm, P(page))->flags & QUIRE_VM_SEALED) != 0;
}

static void arguments(void **state)
{
	map_at(0, 4, "rw");
	assert_int_equal(quire_mseal(space.mm, P(0), PAGE, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_mseal(space.mm, P(0) + 1, PAGE, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_mseal(space.mm, P(0), UINT64_MAX, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_mseal(space.mm, P(0), -PAGE, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_mseal(space.mm, P(0), 0, 0), 0);
	assert_int_equal(quire_mseal(space.mm, P(30), 0, 0), 0);
	assert_int_equal(quire_mseal(space.mm, space.mm->layout.task_size, PAGE, 0), -QUIRE_ENOMEM);
	assert_false(is_sealed(0));
}

/*
 *	area    |-----A-----|
 *	mseal       |--|
 *	after   |-A-|-S|--A-|
 */
static void sealing_a_part(void **state)
{
	map_at(0, 8, "rw");
	assert_int_equal(quire_mseal(space.mm, P(2), PAGE + 1, 0), 0);
	assert_picture("0-2 rw-p, 2-4 rw-p, 4-8 rw-p");
	assert_true(is_sealed(2));
	assert_false(is_sealed(0));
	assert_false(is_sealed(4));
	assert_int_equal(seal_at(2, 2), 0);
	assert_int_equal(seal_at(0, 8), 0);
	assert_picture("0-8 rw-p");
}

/* Nothing is sealed then. */
static void holes(void **state)
{
	map_at(0, 4, "rw");
	map_at(5, 3, "rw");
	assert_int_equal(seal_at(0, 8), -QUIRE_ENOMEM);
	assert_int_equal(seal_at(3, 2), -QUIRE_ENOMEM);
	assert_int_equal(seal_at(4, 1), -QUIRE_ENOMEM);
	assert_int_equal(seal_at(4, 2), -QUIRE_ENOMEM);
	assert_int_equal(seal_at(5, 4), -QUIRE_ENOMEM);
	assert_false(is_sealed(0));
	assert_false(is_sealed(5));
}

static void what_a_seal_stops(void **state)
{
	struct quire_mm *mm = space.mm;

	map_at(0, 4, "rw");
	set(P(1), 5);
	assert_int_equal(seal_at(1, 2), 0);
	assert_int_equal(unmap_at(1, 1), -QUIRE_EPERM);
	assert_int_equal(unmap_at(0, 4), -QUIRE_EPERM);
	assert_int_equal(protect_at(1, 1, "r"), -QUIRE_EPERM);
	assert_int_equal(
		quire_mmap(mm, P(2), PAGE, QUIRE_PROT_READ, ANON | QUIRE_MAP_FIXED, NULL, 0),
		-QUIRE_EPERM);
	assert_int_equal(quire_mremap(mm, P(1), PAGE, PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(20)),
			 -QUIRE_EPERM);
	assert_int_equal(
		quire_mremap(mm, P(0), PAGE, PAGE, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(1)),
		-QUIRE_EPERM);
	assert_picture("0-1 rw-p, 1-3 rw-p, 3-4 rw-p");
	assert_int_equal(get(P(1)), 5);
	/* It is about the mapping, not about what is in it. */
	set(P(1), 6);
	assert_int_equal(quire_mlock(mm, P(1), PAGE), 0);
	assert_int_equal(quire_munlock(mm, P(1), PAGE), 0);
	assert_int_equal(quire_madvise(mm, P(1), PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(get(P(1)), 0);
}

/*
 * What mremap has to unmap before it moves is cut where munmap would cut it, even if a seal then stops
 * the call; as Linux 6.18 leaves it.
 *
 *	what is too much:    |-------A-------|s|    from A's middle into the sealed s
 *	the second's place:  |-r-|--rw--|   and there  |-r-|s|, of which r joins the r that was moved
 */
static void what_a_seal_stops_is_cut(void **state)
{
	const uint32_t to = QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED;

	map_at(20, 5, "rw");
	map_at(25, 1, "r");
	assert_int_equal(seal_at(25, 1), 0);
	assert_int_equal(quire_mremap(space.mm, P(22), 4 * PAGE, PAGE, to, P(30)), -QUIRE_EPERM);
	assert_picture("20-23 rw-p, 23-25 rw-p, 25-26 r--p");

	map_at(0, 1, "r");
	map_at(1, 2, "rw");
	map_at(11, 2, "r");
	assert_int_equal(seal_at(12, 1), 0);
	assert_int_equal(quire_mremap(space.mm, P(0), 3 * PAGE, 3 * PAGE, to, P(10)), -QUIRE_EPERM);
	assert_picture("1-3 rw-p, 10-11 r--p, 11-12 r--p, 12-13 r--p, "
		       "20-23 rw-p, 23-25 rw-p, 25-26 r--p");
}

static void seals_are_inherited_and_end_with_the_space(void **state)
{
	struct quire_mm *child;

	map_at(0, 2, "rw");
	assert_int_equal(seal_at(0, 2), 0);
	child = fork_space(space.mm);
	assert_int_equal(quire_munmap(child, P(0), PAGE), -QUIRE_EPERM);
	put_space(child);
}

/* As far as it came: the cut at the start is there. */
static void too_many_areas(void **state)
{
	map_at(0, 8, "rw");
	space.q->mms.sysctl.max_map_count = 2;
	assert_int_equal(seal_at(2, 2), -QUIRE_ENOMEM);
	assert_picture("0-2 rw-p, 2-8 rw-p");
	assert_false(is_sealed(2));
}

#if QUIRE_DEBUG
static int64_t call_mseal(void)
{
	return quire_mseal(space.mm, P(1), 12 * PAGE, 0);
}
#endif

static void without_memory(void **state)
{
#if QUIRE_DEBUG
	for (uint64_t i = 0; i < 16; i++)
		map_at(i, 1, i % 2 ? "rw" : "r");
	assert_true(assert_no_memory_no_change(&space.q->slabs.fail, call_mseal, -QUIRE_ENOMEM) >=
		    12);
	assert_true(is_sealed(1));
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		space_test(arguments),
		space_test(sealing_a_part),
		space_test(holes),
		space_test(what_a_seal_stops),
		space_test(what_a_seal_stops_is_cut),
		space_test(seals_are_inherited_and_end_with_the_space),
		space_test(too_many_areas),
		space_test(without_memory),
	};

	return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}

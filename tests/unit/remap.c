/* SPDX-License-Identifier: MIT */
/*
 * mremap on the simulated machine: where the bytes are afterwards, which areas there are, and
 * what is refused. The pictures and errors were seen on Linux 6.18, x86-64; the rest is in
 * mremap(2).
 */
#include <mm/internal.h>

#include "space_disk.h"

#define MAYMOVE QUIRE_MREMAP_MAYMOVE
#define FIXED (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED)
#define DONTUNMAP (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP)

static int setup(void **state)
{
	return space_disk_setup(state, 2, 32);
}

#define remap_test(fn) cmocka_unit_test_setup_teardown(fn, setup, space_disk_teardown)

/* Pages throughout; to matters where flags say so. */
static int64_t remap(uint64_t start, uint64_t old, uint64_t new, uint32_t flags, uint64_t to)
{
	return quire_mremap(space.mm, P(start), PAGE * old, PAGE * new, flags, P(to));
}

static void map_shared_at(uint64_t start, uint64_t n)
{
	assert_int_equal(
		quire_mmap(space.mm, P(start), n * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			   QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0),
		P(start));
}

/* Page start + i holds first + i. */
static void fill(uint64_t start, uint64_t n, unsigned char first)
{
	for (uint64_t i = 0; i < n; i++)
		set(P(start + i) + 7, (unsigned char)(first + i));
}

static void assert_filled(uint64_t start, uint64_t n, unsigned char first)
{
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(get(P(start + i) + 7), (unsigned char)(first + i));
}

/* ---- Arguments --------------------------------------------------------------------------- */

static int64_t raw(uint64_t addr, uint64_t old, uint64_t new, uint32_t flags, uint64_t to)
{
	return quire_mremap(space.mm, addr, old, new, flags, to);
}

static void arguments_that_make_no_sense(void **state)
{
	const uint64_t end = space.mm->layout.task_size;

	map_at(0, 8, "rw");
	assert_int_equal(raw(P(0), PAGE, PAGE, 8, 0), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0) + 1, PAGE, PAGE, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0), PAGE, 0, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0), PAGE, UINT64_MAX, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0), PAGE, end + PAGE, MAYMOVE, 0), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0), PAGE, end, MAYMOVE, 0), -QUIRE_ENOMEM);
	assert_int_equal(raw(P(0), PAGE, PAGE, QUIRE_MREMAP_FIXED, P(10)), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0), PAGE, PAGE, FIXED, P(10) + 1), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0), PAGE, PAGE, FIXED, end), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0), PAGE, PAGE, QUIRE_MREMAP_DONTUNMAP, 0), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0), PAGE, 2 * PAGE, DONTUNMAP, 0), -QUIRE_EINVAL);
	assert_int_equal(raw(P(0), PAGE, PAGE, DONTUNMAP, 1), -QUIRE_EINVAL);
	assert_picture("0-8 rw-p");
}

/*
 *	old      |----|
 *	new        |----|     EINVAL
 */
static void the_two_places_may_not_overlap(void **state)
{
	map_at(0, 8, "rw");
	assert_int_equal(remap(0, 1, 1, FIXED, 0), -QUIRE_EINVAL);
	assert_int_equal(remap(0, 2, 2, FIXED, 1), -QUIRE_EINVAL);
	assert_int_equal(remap(1, 2, 2, FIXED, 0), -QUIRE_EINVAL);
	assert_int_equal(remap(0, 1, 1, DONTUNMAP, 0), -QUIRE_EINVAL);
	assert_int_equal(remap(4, 1, 3, FIXED, 2), -QUIRE_EINVAL);
	assert_int_equal(remap(0, 4, 4, FIXED, 4), P(4));
	assert_picture("4-8 rw-p");
}

static void nothing_there(void **state)
{
	map_at(0, 8, "rw");
	assert_int_equal(remap(30, 1, 1, 0, 0), -QUIRE_EFAULT);
	assert_int_equal(remap(30, 0, 1, MAYMOVE, 0), -QUIRE_EFAULT);
	assert_int_equal(remap(30, 1, 1, FIXED, 40), -QUIRE_EFAULT);
	assert_int_equal(remap(0, 9, 10, MAYMOVE, 0), -QUIRE_EFAULT);
	/*
	 * Nothing is to be done, or something to be taken away: then it does not matter how much
	 * is there.
	 */
	assert_int_equal(remap(0, 50, 50, 0, 0), P(0));
	assert_int_equal(remap(0, 50, 30, 0, 0), P(0));
	assert_int_equal(remap(0, 50, 30, FIXED, 51), -QUIRE_EFAULT);
	assert_picture("0-8 rw-p");
}

/* ---- In place ---------------------------------------------------------------------------- */

static void shrinking_unmaps_the_tail(void **state)
{
	map_at(0, 8, "rw");
	fill(0, 8, 1);
	assert_int_equal(remap(0, 8, 3, 0, 0), P(0));
	assert_picture("0-3 rw-p");
	assert_filled(0, 3, 1);
	assert_maperr(QUIRE_ACCESS_READ, P(3));
	assert_int_equal(space.mm->total_vm, 3);
	assert_int_equal(space.q->mms.committed, 3);
	/* From the middle: a hole. */
	map_at(8, 8, "rw");
	assert_int_equal(remap(10, 4, 1, 0, 0), P(10));
	assert_picture("0-3 rw-p, 8-11 rw-p, 14-16 rw-p");
}

/* The tail that would go may not begin behind the end of the space either. */
static void a_tail_beyond_the_space_is_refused(void **state)
{
	uint64_t last = space.mm->layout.task_size - PAGE;

	assert_int_equal(quire_mmap(space.mm, last, PAGE, QUIRE_PROT_READ,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0),
			 (int64_t)last);
	assert_int_equal(quire_mremap(space.mm, last, (uint64_t)0 - 3978 * PAGE, 2 * PAGE, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_mremap(space.mm, last, (uint64_t)0 - 3978 * PAGE, PAGE, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(space.mm->total_vm, 1);
}

static void growing_in_place(void **state)
{
	map_at(0, 4, "rw");
	fill(0, 4, 1);
	assert_int_equal(remap(0, 4, 8, 0, 0), P(0));
	assert_picture("0-8 rw-p");
	assert_filled(0, 4, 1);
	assert_int_equal(get(P(7)), 0);
	set(P(7), 9);
	assert_int_equal(space.mm->total_vm, 8);
	assert_int_equal(space.mm->data_vm, 8);
	assert_int_equal(space.q->mms.committed, 8);
	/* The end of it is enough. */
	assert_int_equal(remap(6, 2, 4, 0, 0), P(6));
	assert_picture("0-10 rw-p");
	assert_int_equal(get(P(7)), 9);
	/* What does not end there can't. */
	assert_int_equal(remap(0, 4, 5, 0, 0), -QUIRE_ENOMEM);
}

static void growing_meets_its_neighbour(void **state)
{
	map_at(0, 4, "rw");
	map_at(8, 4, "rw");
	assert_int_equal(remap(0, 4, 9, 0, 0), -QUIRE_ENOMEM);
	assert_picture("0-4 rw-p, 8-12 rw-p");
	assert_int_equal(remap(0, 4, 8, 0, 0), P(0));
	assert_picture("0-12 rw-p");
	assert_int_equal(remap(0, 4, 8, 0, 0), -QUIRE_ENOMEM);
}

/* Each was written to by itself, so each has an owner, and they stay two. */
static void growing_up_to_another_owner(void **state)
{
	map_at(0, 4, "rw");
	map_at(8, 4, "rw");
	set(P(0), 1);
	set(P(8), 1);
	assert_int_equal(remap(0, 4, 8, 0, 0), P(0));
	assert_picture("0-8 rw-p, 8-12 rw-p");
	assert_int_equal(remap(0, 4, 6, 0, 0), -QUIRE_ENOMEM);
	assert_int_equal(remap(4, 8, 9, 0, 0), -QUIRE_EFAULT);
}

/* ---- Moving ------------------------------------------------------------------------------ */

static void moving_takes_the_pages_along(void **state)
{
	quire_pfn_t before;

	map_at(0, 8, "rw");
	fill(0, 8, 1);
	before = frame(space.mm, P(3));
	assert_int_equal(remap(0, 8, 8, FIXED, 30), P(30));
	assert_picture("30-38 rw-p");
	assert_filled(30, 8, 1);
	assert_int_equal(frame(space.mm, P(33)), before);
	assert_maperr(QUIRE_ACCESS_READ, P(3));
	assert_int_equal(space.mm->total_vm, 8);
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 8);
	assert_int_equal(space.q->mms.committed, 8);
}

/* The CPU has both places in its TLB, and the machine reports every use of what is stale. */
static void no_translation_of_the_old_place_is_left(void **state)
{
	map_at(0, 8, "rw");
	map_at(30, 8, "rw");
	fill(0, 8, 1);
	fill(30, 8, 50);
	assert_int_equal(remap(0, 8, 8, FIXED, 30), P(30));
	for (uint64_t i = 0; i < 8; i++)
		assert_maperr(QUIRE_ACCESS_WRITE, P(i));
	assert_filled(30, 8, 1);
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 8);
}

static void moving_a_part(void **state)
{
	map_at(0, 8, "rw");
	fill(0, 8, 1);
	assert_int_equal(remap(2, 3, 3, FIXED, 30), P(30));
	assert_picture("0-2 rw-p, 5-8 rw-p, 30-33 rw-p");
	assert_filled(0, 2, 1);
	assert_filled(30, 3, 3);
	assert_filled(5, 3, 6);
	assert_int_equal(space.q->mms.committed, 8);
	/* And back: the numbers of the pages fit again, so it is one area. */
	assert_int_equal(remap(30, 3, 3, FIXED, 2), P(2));
	assert_picture("0-8 rw-p");
	assert_filled(0, 8, 1);
}

static void moving_and_growing(void **state)
{
	int64_t to;

	map_at(0, 4, "rw");
	map_at(4, 1, "r");
	fill(0, 4, 1);
	assert_int_equal(remap(0, 4, 8, 0, 0), -QUIRE_ENOMEM);
	to = remap(0, 4, 8, MAYMOVE, 0);
	assert_true(to > 0 && (uint64_t)to != P(0));
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(get((uint64_t)to + i * PAGE + 7), 1 + i);
	assert_int_equal(get((uint64_t)to + 7 * PAGE), 0);
	assert_maperr(QUIRE_ACCESS_READ, P(0));
	assert_int_equal(space.mm->total_vm, 9);
	assert_int_equal(space.q->mms.committed, 8);
	/* Fixed, from the middle. */
	assert_int_equal(raw((uint64_t)to + PAGE, 2 * PAGE, 5 * PAGE, FIXED, P(20)), P(20));
	assert_filled(20, 2, 2);
	assert_int_equal(get(P(24)), 0);
	check_space(space.mm);
}

static void moving_and_shrinking(void **state)
{
	map_at(0, 8, "rw");
	fill(0, 8, 1);
	assert_int_equal(remap(0, 8, 3, FIXED, 20), P(20));
	assert_picture("20-23 rw-p");
	assert_filled(20, 3, 1);
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 3);
	/* What is cut off may belong to the next area. */
	map_at(0, 2, "rw");
	map_at(2, 2, "r");
	assert_int_equal(remap(0, 4, 2, FIXED, 30), P(30));
	assert_picture("20-23 rw-p, 30-32 rw-p");
	/* What is to be moved may not. */
	map_at(0, 2, "rw");
	map_at(2, 2, "r");
	assert_int_equal(remap(0, 4, 3, FIXED, 40), -QUIRE_EFAULT);
	assert_picture("0-2 rw-p, 2-4 r--p, 20-23 rw-p, 30-32 rw-p");
}

static void rights_and_guards_move_along(void **state)
{
	map_at(0, 4, "rw");
	fill(0, 4, 1);
	assert_int_equal(protect_at(0, 4, ""), 0);
	assert_int_equal(remap(0, 4, 4, FIXED, 20), P(20));
	assert_accerr(QUIRE_ACCESS_READ, P(20));
	assert_int_equal(protect_at(20, 4, "rw"), 0);
	assert_filled(20, 4, 1);
	assert_int_equal(quire_madvise(space.mm, P(21), PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(remap(20, 4, 4, FIXED, 40), P(40));
	assert_maperr(QUIRE_ACCESS_READ, P(41));
	assert_int_equal(get(P(42) + 7), 3);
	map_at(20, 4, "rw");
	assert_int_equal(get(P(21)), 0);
}

/* Far apart and sparse: tables come and go with what is in them. */
static void a_large_sparse_area(void **state)
{
	const uint64_t end = space.mm->layout.task_size, reach = test_root_reach(space.mm->pt.fmt);
	const bool narrow = space.mm->layout.compat;
	const uint64_t far = reach < end / 16 ? reach : end / 16;
	const uint64_t size = narrow ? 3ull << 28 : 3ull << 30, step = size / 1024 * 100;
	const uint64_t from = narrow ? BASE : 2 * far, to = narrow ? 0x50000000 + 77 * PAGE : 5 * far + 77 * PAGE;
	uint64_t tables;

	assert_int_equal(quire_mmap(space.mm, from, size, 3,
				    ANON | QUIRE_MAP_FIXED | QUIRE_MAP_NORESERVE, NULL, 0),
			 from);
	for (uint64_t at = 0; at < size; at += step)
		set(from + at, (unsigned char)(1 + at / step));
	tables = quire_pgtable_bytes(&space.mm->pt);
	assert_int_equal(raw(from, size, size, FIXED, to), to);
	for (uint64_t at = 0; at < size; at += step)
		assert_int_equal(get(to + at), (unsigned char)(1 + at / step));
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 11);
	assert_true(quire_pgtable_bytes(&space.mm->pt) <= tables + 4 * PAGE);
	check_space(space.mm);
}

/* ---- Merging at the destination ---------------------------------------------------------- */

/* Nothing was written: it may be numbered as if it had been mapped there. */
static void untouched_memory_merges_where_it_comes(void **state)
{
	map_at(0, 4, "rw");
	map_at(20, 4, "rw");
	assert_int_equal(remap(0, 4, 4, FIXED, 24), P(24));
	assert_picture("20-28 rw-p");
	map_at(0, 4, "rw");
	assert_int_equal(remap(0, 4, 4, FIXED, 16), P(16));
	assert_picture("16-28 rw-p");
	assert_int_equal(area(space.mm, P(16))->pgoff, P(16) / PAGE);
	/* Onto itself, nearly. */
	map_at(0, 8, "rw");
	assert_int_equal(remap(0, 4, 4, FIXED, 8), P(8));
	assert_picture("4-12 rw-p, 16-28 rw-p");
}

static void touched_memory_keeps_its_numbers(void **state)
{
	map_at(0, 4, "rw");
	map_at(20, 4, "rw");
	set(P(0), 1);
	assert_int_equal(remap(0, 4, 4, FIXED, 24), P(24));
	assert_picture("20-24 rw-p, 24-28 rw-p");
	assert_int_equal(area(space.mm, P(24))->pgoff, P(0) / PAGE);
	/* Back home, more of its kind may follow it. */
	assert_int_equal(remap(24, 4, 4, FIXED, 0), P(0));
	map_at(4, 4, "rw");
	assert_picture("0-8 rw-p, 20-24 rw-p");
}

/* ---- Twice ------------------------------------------------------------------------------- */

static void old_size_zero_is_a_second_view(void **state)
{
	map_shared_at(0, 8);
	fill(0, 8, 1);
	assert_int_equal(remap(0, 0, 8, 0, 0), -QUIRE_ENOMEM);
	assert_int_equal(remap(0, 0, 8, FIXED, 20), P(20));
	assert_picture("0-8 rw-s, 20-28 rw-s");
	assert_filled(20, 8, 1);
	set(P(22) + 7, 99);
	assert_int_equal(get(P(2) + 7), 99);
	assert_int_equal(remap(4, 0, 4, FIXED, 40), P(40));
	assert_filled(40, 4, 5);
	/* Beyond the end of what there is. */
	assert_int_equal(remap(4, 0, 8, FIXED, 40), P(40));
	assert_bus(QUIRE_ACCESS_READ, P(44));
	map_at(30, 2, "rw");
	assert_int_equal(remap(30, 0, 2, MAYMOVE, 0), -QUIRE_EINVAL);
}

/* What was to be seen twice is unmapped first, as at any fixed place. */
static void a_second_view_of_the_place_where_it_goes(void **state)
{
	map_shared_at(0, 8);
	fill(0, 8, 1);
	assert_int_equal(remap(2, 0, 2, FIXED, 2), -QUIRE_EFAULT);
	assert_picture("0-2 rw-s, 4-8 rw-s");
	assert_int_equal(remap(5, 0, 2, FIXED, 4),
			 -QUIRE_EINVAL); /* its first byte lies in the middle */
	assert_int_equal(remap(6, 0, 2, FIXED, 7), P(7));
	assert_filled(7, 2, 7);
	assert_picture("0-2 rw-s, 4-7 rw-s, 7-9 rw-s");
}

static void dontunmap_leaves_an_empty_area(void **state)
{
	map_at(0, 8, "rw");
	fill(0, 8, 1);
	assert_int_equal(remap(0, 8, 8, DONTUNMAP | FIXED, 30), P(30));
	assert_picture("0-8 rw-p, 30-38 rw-p");
	assert_filled(30, 8, 1);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(get(P(i) + 7), 0);
	assert_int_equal(space.mm->total_vm, 16);
	assert_int_equal(space.q->mms.committed, 16);
	set(P(0), 5);
	assert_filled(30, 1, 1);
	/* A hint, no order: the place is taken. */
	assert_true(remap(0, 8, 8, DONTUNMAP, 30) > 0);
	check_space(space.mm);
}

/* The owner went with the pages: what is left can become one with somebody else's memory. */
static void dontunmap_leaves_no_owner(void **state)
{
	map_at(0, 8, "rw");
	set(P(0), 3);
	assert_int_equal(remap(0, 8, 8, DONTUNMAP | FIXED, 30), P(30));
	assert_null(area(space.mm, P(0))->anon);
	map_at(8, 2, "rw");
	set(P(8), 1);
	assert_picture("0-10 rw-p, 30-38 rw-p");
	/* Of a part, it did not. */
	assert_int_equal(remap(30, 4, 4, DONTUNMAP | FIXED, 40), P(40));
	assert_non_null(area(space.mm, P(30))->anon);
	assert_picture("0-10 rw-p, 30-38 rw-p, 40-44 rw-p");
}

static void dontunmap_unlocks(void **state)
{
	map_at(0, 8, "rw");
	assert_int_equal(quire_mlock(space.mm, P(0), 8 * PAGE), 0);
	assert_int_equal(remap(2, 4, 4, DONTUNMAP | FIXED, 30), P(30));
	assert_int_equal(area(space.mm, P(0))->flags & QUIRE_VM_LOCKED_MASK, 0);
	assert_int_equal(area(space.mm, P(7))->flags & QUIRE_VM_LOCKED_MASK, 0);
	assert_int_equal(area(space.mm, P(30))->flags & QUIRE_VM_LOCKED_MASK, QUIRE_VM_LOCKED);
	assert_int_equal(space.mm->locked_vm, 4);
	assert_int_equal(quire_stat_read(space.q, QUIRE_STAT_MLOCK), 4);
	assert_picture("0-8 rw-p, 30-34 rw-p");
}

static void dontunmap_onto_a_neighbour_of_itself(void **state)
{
	map_at(0, 8, "rw");
	assert_int_equal(remap(0, 4, 4, DONTUNMAP | FIXED, 8), P(8));
	assert_picture("0-12 rw-p");
}

static void dontunmap_of_shared_memory(void **state)
{
	map_shared_at(0, 4);
	fill(0, 4, 1);
	assert_int_equal(remap(0, 4, 4, DONTUNMAP | FIXED, 20), P(20));
	assert_filled(20, 4, 1);
	assert_filled(0, 4, 1);
	put_file(space.mm, P(30), 2, VM_R | VM_S | QUIRE_VM_DONTEXPAND, &disk->file, 0);
	assert_int_equal(remap(30, 2, 2, DONTUNMAP, 40), -QUIRE_EINVAL);
}

/* ---- Several areas ----------------------------------------------------------------------- */

/*
 *	from   |-A-|-B-|    |--C--|
 *	to     |-A-|-B-| x  |--C--|     what is opposite the hole stays
 */
static void several_areas_keep_their_distances(void **state)
{
	map_at(0, 2, "rw");
	map_at(2, 2, "r");
	map_at(6, 2, "rw");
	map_at(40, 16, "rw");
	fill(0, 2, 1);
	fill(6, 2, 3);
	fill(40, 16, 100);
	assert_int_equal(remap(0, 8, 8, FIXED, 40), P(40));
	assert_picture("40-42 rw-p, 42-44 r--p, 44-46 rw-p, 46-48 rw-p, 48-56 rw-p");
	assert_filled(40, 2, 1);
	assert_int_equal(get(P(42) + 7), 0);
	assert_filled(44, 2, 104);
	assert_filled(46, 2, 3);
	assert_filled(48, 8, 108);
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 4 + 10);
	assert_int_equal(space.q->mms.committed, 14);
}

static void several_areas_may_end_in_a_hole_but_not_begin_in_one(void **state)
{
	map_at(2, 2, "r");
	map_at(6, 2, "rw");
	assert_int_equal(remap(0, 10, 10, FIXED, 30), -QUIRE_EFAULT);
	assert_picture("2-4 r--p, 6-8 rw-p");
	assert_int_equal(remap(2, 10, 10, FIXED, 30), P(30));
	assert_picture("30-32 r--p, 34-36 rw-p");
	/* Not with another length: that is for one area alone. */
	assert_int_equal(remap(30, 6, 7, FIXED, 0), -QUIRE_EFAULT);
}

/* A file that places its areas itself is not moved along with others. */
static void files_that_move_alone(void **state)
{
	disk->file.flags |= QUIRE_FILE_MOVES_ALONE;
	put_file(space.mm, P(0), 4, VM_RW | VM_S, &disk->file, 0);
	map_at(4, 4, "rw");
	assert_int_equal(remap(0, 8, 8, FIXED, 20), -QUIRE_EFAULT);
	assert_int_equal(remap(2, 3, 3, FIXED, 20), -QUIRE_EFAULT);
	assert_picture("0-4 rw-s, 4-8 rw-p");
	assert_int_equal(remap(0, 4, 4, FIXED, 20), P(20));
	assert_picture("4-8 rw-p, 20-24 rw-s");
	/* What comes before it is moved. */
	assert_int_equal(remap(4, 20, 20, FIXED, 40), -QUIRE_EFAULT);
	assert_picture("20-24 rw-s, 40-44 rw-p");
}

static void several_areas_of_files(void **state)
{
	put_file(space.mm, P(0), 4, VM_RW | VM_S, &disk->file, 0);
	put_file(space.mm, P(4), 4, VM_RW, &disk->file, 4);
	fill(0, 8, 1);
	assert_int_equal(remap(0, 8, 8, FIXED, 20), P(20));
	assert_picture("20-24 rw-s, 24-28 rw-p");
	assert_filled(20, 8, 1);
	assert_int_equal(remap(20, 8, 8, FIXED | DONTUNMAP, 0), P(0));
	assert_picture("0-4 rw-s, 4-8 rw-p, 20-24 rw-s, 24-28 rw-p");
	assert_filled(0, 8, 1);
	assert_filled(20, 4, 1);
	assert_int_equal(get(P(24)), disk_byte(4 * PAGE));
	/* The reverse map knows where they are. */
	quire_object_truncate(&disk->object, 0);
	for (uint64_t i = 0; i < 8; i++) {
		assert_bus(QUIRE_ACCESS_READ, P(i));
		assert_bus(QUIRE_ACCESS_READ, P(20 + i));
	}
	assert_int_equal(quire_mm_rss(space.mm), 0);
}

/* The first has been moved when the second turns out to be sealed. */
static void several_areas_up_to_a_seal(void **state)
{
	map_at(0, 2, "rw");
	map_at(2, 2, "r");
	map_at(4, 2, "rw");
	fill(0, 2, 1);
	fill(4, 2, 3);
	map_at(40, 16, "r");
	assert_int_equal(quire_mseal(space.mm, P(2), 2 * PAGE, 0), 0);
	assert_int_equal(remap(0, 6, 6, FIXED, 40), -QUIRE_EPERM);
	assert_picture("2-4 r--p, 4-6 rw-p, 40-42 rw-p, 42-56 r--p");
	assert_filled(40, 2, 1);
	assert_filled(4, 2, 3);
}

/* The place of the second is sealed: the first has been moved. */
static void several_areas_onto_a_seal(void **state)
{
	map_at(0, 2, "rw");
	map_at(2, 2, "r");
	map_at(4, 2, "rw");
	map_at(42, 1, "r");
	fill(0, 2, 1);
	assert_int_equal(quire_mseal(space.mm, P(42), PAGE, 0), 0);
	assert_int_equal(remap(0, 6, 6, FIXED, 40), -QUIRE_EPERM);
	assert_picture("2-4 r--p, 4-6 rw-p, 40-42 rw-p, 42-43 r--p");
	assert_filled(40, 2, 1);
}

/* ---- Refused ----------------------------------------------------------------------------- */

static void sealed_areas_stay(void **state)
{
	map_at(0, 4, "rw");
	assert_int_equal(quire_mseal(space.mm, P(0), PAGE, 0), 0);
	assert_int_equal(remap(0, 1, 2, MAYMOVE, 0), -QUIRE_EPERM);
	assert_int_equal(remap(0, 1, 1, 0, 0), -QUIRE_EPERM);
	assert_int_equal(remap(0, 2, 1, 0, 0), -QUIRE_EPERM);
	assert_int_equal(remap(2, 1, 1, FIXED, 0), -QUIRE_EPERM);
	assert_picture("0-1 rw-p, 1-4 rw-p");
}

static void limits(void **state)
{
	struct quire_mm *mm = space.mm;

	map_at(0, 4, "rw");
	mm->limits.as = 6 * PAGE;
	assert_int_equal(remap(0, 4, 7, 0, 0), -QUIRE_ENOMEM);
	assert_int_equal(remap(0, 4, 4, DONTUNMAP, 30), -QUIRE_ENOMEM);
	assert_int_equal(remap(0, 4, 6, 0, 0), P(0));
	mm->limits.as = QUIRE_RLIM_INFINITY;
	mm->limits.data = 6 * PAGE;
	assert_int_equal(remap(0, 6, 7, 0, 0), -QUIRE_ENOMEM);
	mm->limits.data = QUIRE_RLIM_INFINITY;
	/* EAGAIN comes before ENOMEM. */
	mm->limits.memlock = 6 * PAGE;
	assert_int_equal(quire_mlock(mm, P(0), 6 * PAGE), 0);
	mm->limits.as = 6 * PAGE;
	assert_int_equal(remap(0, 6, 7, 0, 0), -QUIRE_EAGAIN);
	mm->limits.as = QUIRE_RLIM_INFINITY;
	mm->limits.cap_ipc_lock = true;
	assert_int_equal(remap(0, 6, 7, 0, 0), P(0));
	assert_int_equal(mm->locked_vm, 7);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 7); /* LOCKED: faulted in, mlock(2) */
}

static void promises(void **state)
{
	struct quire_sysctl *ctl = &space.q->mms.sysctl;

	map_at(0, 4, "rw");
	ctl->overcommit_memory = QUIRE_OVERCOMMIT_NEVER;
	ctl->overcommit_kbytes = KB_OF(8);
	ctl->user_reserve_kbytes = ctl->admin_reserve_kbytes = 0;
	assert_int_equal(remap(0, 4, 9, 0, 0), -QUIRE_ENOMEM);
	assert_int_equal(remap(0, 4, 9, MAYMOVE, 0), -QUIRE_ENOMEM);
	assert_int_equal(remap(0, 4, 4, DONTUNMAP, 30), -QUIRE_ENOMEM);
	assert_int_equal(remap(0, 4, 4, FIXED, 30), P(30));
	assert_int_equal(remap(30, 4, 7, 0, 0), P(30));
	assert_int_equal(space.q->mms.committed, 7);
}

/* Linux looks whether areas may become too many before it looks at anything but the arguments. */
static void too_many_areas(void **state)
{
	struct quire_sysctl *ctl = &space.q->mms.sysctl;

	map_at(0, 8, "rw");
	map_at(8, 1, "r");
	for (uint64_t i = 0; i < 8; i++)
		map_at(10 + 2 * i, 1, "r");
	/* 10 areas. */
	ctl->max_map_count = 15;
	assert_int_equal(remap(0, 8, 8, FIXED, 40), -QUIRE_ENOMEM);
	assert_int_equal(remap(60, 1, 1, FIXED, 40), -QUIRE_ENOMEM);
	assert_int_equal(remap(0, 8, 8, FIXED, 41) == -QUIRE_ENOMEM, 1);
	assert_int_equal(raw(P(0), 8 * PAGE, 8 * PAGE, FIXED, P(40) + 1), -QUIRE_EINVAL);
	ctl->max_map_count = 13;
	assert_int_equal(remap(0, 8, 9, MAYMOVE, 0), -QUIRE_ENOMEM);
	ctl->max_map_count = 14;
	assert_true(remap(0, 8, 9, MAYMOVE, 0) > 0);
	ctl->max_map_count = 16;
	assert_int_equal(remap(10, 1, 1, FIXED, 40), P(40));
}

/* ---- Drivers ----------------------------------------------------------------------------- */

static struct {
	unsigned opens, closes, splits, moves;
	uint64_t moved_to;
	int refuse_split, refuse_move;
} driver;

static void driver_open(struct quire_vma *vma)
{
	driver.opens++;
}

static void driver_close(struct quire_vma *vma)
{
	driver.closes++;
}

static int driver_may_split(struct quire_vma *vma, quire_uaddr_t addr)
{
	driver.splits++;
	return driver.refuse_split;
}

static int driver_mremap(struct quire_vma *vma)
{
	driver.moves++;
	driver.moved_to = vma->start;
	return driver.refuse_move;
}

static const struct quire_vm_ops driver_ops = {
	.name = "[test]",
	.open = driver_open,
	.close = driver_close,
	.may_split = driver_may_split,
	.mremap = driver_mremap,
};

static void drivers_hear_of_moves(void **state)
{
	memset(&driver, 0, sizeof(driver));
	put_driver(space.mm, P(0), 4, VM_RW | VM_S, &driver_ops, NULL);
	assert_int_equal(remap(0, 4, 4, FIXED, 20), P(20));
	assert_int_equal(driver.moves, 1);
	assert_int_equal(driver.moved_to, P(20));
	assert_int_equal(driver.opens, 1);
	assert_int_equal(driver.closes, 1);
	assert_int_equal(driver.splits, 0);
	assert_picture("20-24 rw-s");
	driver.refuse_move = -QUIRE_EINVAL;
	assert_int_equal(remap(20, 4, 4, FIXED, 0), -QUIRE_EINVAL);
	assert_picture("20-24 rw-s");
	driver.refuse_move = 0;
	driver.refuse_split = -QUIRE_EBUSY;
	assert_int_equal(remap(20, 2, 2, FIXED, 0), -QUIRE_EBUSY);
	assert_picture("20-24 rw-s");
	assert_int_equal(driver.opens, 1);
	assert_int_equal(driver.closes, 1);
	driver.refuse_split = 0;
	assert_int_equal(remap(20, 2, 2, FIXED, 0), P(0));
	assert_int_equal(driver.opens - driver.closes, 1);
}

static void close_and_truncate(struct quire_vma *vma)
{
	quire_object_truncate(&disk->object, 0);
}

static const struct quire_vm_ops truncating_ops = {.name = "[test]", .close = close_and_truncate};

/* A driver at the destination truncates the file beside it when it hears that it has to go: then
 * the pages are there that have come in place of the file's, and they stay. */
static void what_comes_in_place_of_a_file_is_not_truncated(void **state)
{
	map_at(0, 4, "rw");
	fill(0, 4, 1);
	put_file(space.mm, P(40), 2, VM_RW | VM_S, &disk->file, 0);
	put_driver(space.mm, P(42), 2, VM_RW | VM_S, &truncating_ops, NULL);
	set(P(40), 9);
	assert_int_equal(remap(0, 4, 4, FIXED, 40), P(40));
	assert_int_equal(disk->object.size, 0);
	assert_filled(40, 4, 1);
}

static void what_may_not_grow(void **state)
{
	put_file(space.mm, P(0), 2, VM_R | VM_S | QUIRE_VM_DONTEXPAND, &disk->file, 0);
	assert_int_equal(remap(0, 2, 3, MAYMOVE, 0), -QUIRE_EFAULT);
	assert_int_equal(remap(0, 2, 2, FIXED, 20), P(20));
	put_file(space.mm, P(0), 2, VM_R | QUIRE_VM_PFNMAP | QUIRE_VM_IO, &disk->file, 0);
	assert_int_equal(remap(0, 2, 3, MAYMOVE, 0), -QUIRE_EFAULT);
	assert_int_equal(remap(0, 2, 2, DONTUNMAP, 30), -QUIRE_EINVAL);
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
static int64_t move_far(void)
{
	return quire_mremap(space.mm, P(2), 4 * PAGE, 6 * PAGE, FIXED, P(30));
}

static int64_t move_many(void)
{
	return quire_mremap(space.mm, P(0), 16 * PAGE, 16 * PAGE, FIXED, P(30));
}

static int64_t leave_behind(void)
{
	return quire_mremap(space.mm, P(0), 8 * PAGE, 8 * PAGE, FIXED | DONTUNMAP, P(30));
}

static int64_t grow_far(void)
{
	return quire_mremap(space.mm, P(0), 8 * PAGE, 20 * PAGE, MAYMOVE, 0);
}

static int64_t grow_here(void)
{
	return quire_mremap(space.mm, P(10), 2 * PAGE, 4 * PAGE, 0, 0);
}

static void fill_space(void)
{
	map_at(0, 8, "rw");
	fill(0, 8, 1);
	put_file(space.mm, P(8), 2, VM_RW, &disk->file, 0);
	fill(8, 2, 20);
	put_file(space.mm, P(10), 2, VM_RW | VM_S, &disk->file, 8);
	fill(10, 2, 30);
	/* The destination, in other tables than the source. */
	map_at(30, 10, "rw");
	fill(30, 10, 50);
}

static void without_memory(int64_t (*call)(void), struct quire_fail *fail)
{
	unsigned failures;

	fill_space();
	failures = assert_no_memory_no_change(fail, call, -QUIRE_ENOMEM);
	assert_true(failures || fail == &space.q->pages.fail);
	check_space(space.mm);
}

#define without_memory_tests(call)                                                                 \
	static void call##_without_objects(void **state)                                           \
	{                                                                                          \
		without_memory(call, &space.q->slabs.fail);                                        \
	}                                                                                          \
	static void call##_without_pages(void **state)                                             \
	{                                                                                          \
		without_memory(call, &space.q->pages.fail);                                        \
	}                                                                                          \
	static void call##_without_pages(void **state)
#else
#define without_memory_tests(call)                                                                 \
	static void call##_without_objects(void **state)                                           \
	{                                                                                          \
		(void)state;                                                                       \
	}                                                                                          \
	static void call##_without_pages(void **state)                                             \
	{                                                                                          \
		(void)state;                                                                       \
	}                                                                                          \
	static void call##_without_pages(void **state)
#endif

without_memory_tests(move_far);
without_memory_tests(move_many);
without_memory_tests(leave_behind);
without_memory_tests(grow_far);
without_memory_tests(grow_here);

/* ---- While others run -------------------------------------------------------------------- */

static uint32_t stop;

/*
 * CPU 1 reads and writes at both places while CPU 0 moves the page back and forth: it meets the
 * page with all that was ever stored to it, or a hole.
 */
static void move_or_count(struct machine *m, unsigned cpu, void *arg)
{
	machine_switch(m, &space.mm->pt);
	if (cpu == 0) {
		for (int i = 0; i < 400; i++) {
			quire_mremap(space.mm, P(0), PAGE, PAGE, FIXED, P(40));
			quire_mremap(space.mm, P(40), PAGE, PAGE, FIXED, P(0));
		}
		quire_store(&stop, 1);
	} else {
		uint32_t count = 0;

		while (!quire_load(&stop)) {
			for (int i = 0; i < 2; i++) {
				uint64_t at = i ? P(40) : P(0);
				uint32_t seen;

				if (machine_load(m, at, &seen, 4, NULL))
					continue;
				if (seen != count)
					machine_report(m, "a store was lost in a move", "remap.c",
						       seen);
				seen = count + 1;
				if (!machine_store(m, at, &seen, 4, NULL))
					count = seen;
			}
		}
	}
	machine_switch(m, NULL);
}

static void a_page_that_moves_loses_no_store(void **state)
{
	map_at(0, 1, "rw");
	set(P(0), 0);
	stop = 0;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 2, move_or_count, NULL);
	run_in(space.mm);
	assert_picture("0-1 rw-p");
}

/* CPU 1 truncates the file and makes it long again while CPU 0 moves its mapping. */
static void move_or_truncate(struct machine *m, unsigned cpu, void *arg)
{
	machine_switch(m, &space.mm->pt);
	if (cpu == 0) {
		for (int i = 0; i < 200; i++) {
			unsigned char byte;

			machine_load(m, P(0) + 3 * PAGE, &byte, 1, NULL);
			quire_mremap(space.mm, P(0), 4 * PAGE, 4 * PAGE, FIXED, P(40));
			machine_store(m, P(40) + 2 * PAGE, &byte, 1, NULL);
			quire_mremap(space.mm, P(40), 4 * PAGE, 4 * PAGE, FIXED, P(0));
		}
		quire_store(&stop, 1);
	} else {
		while (!quire_load(&stop)) {
			quire_object_truncate(&disk->object, PAGE);
			quire_object_truncate(&disk->object, 8 * PAGE);
		}
	}
	machine_switch(m, NULL);
}

static void a_truncate_finds_pages_that_move(void **state)
{
	put_file(space.mm, P(0), 4, VM_RW | VM_S, &disk->file, 0);
	stop = 0;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 2, move_or_truncate, NULL);
	run_in(space.mm);
	quire_object_truncate(&disk->object, PAGE);
	check_space(space.mm);
	assert_bus(QUIRE_ACCESS_READ, P(1));
}

/*
 * CPU 0 moves a page of its own to where a file is mapped, and back; CPU 1 truncates the file,
 * which is about the file's pages, not about what has come in their place.
 */
static void move_over_or_truncate(struct machine *m, unsigned cpu, void *arg)
{
	machine_switch(m, &space.mm->pt);
	if (cpu == 0) {
		for (uint32_t i = 1; i <= 400; i++) {
			uint32_t seen = 0;

			machine_store(m, P(0), &i, 4, NULL);
			quire_mmap(space.mm, P(40), 4 * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				   QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, &disk->file, 0);
			quire_mremap(space.mm, P(0), 4 * PAGE, 4 * PAGE, FIXED, P(40));
			machine_load(m, P(40), &seen, 4, NULL);
			if (seen != i)
				machine_report(m, "a truncate took another's page", "remap.c",
					       seen);
			quire_mremap(space.mm, P(40), 4 * PAGE, 4 * PAGE, FIXED, P(0));
		}
		quire_store(&stop, 1);
	} else {
		while (!quire_load(&stop)) {
			quire_object_truncate(&disk->object, 0);
			quire_object_truncate(&disk->object, 8 * PAGE);
		}
	}
	machine_switch(m, NULL);
}

static void a_truncate_leaves_alone_what_came_in_place(void **state)
{
	map_at(0, 4, "rw");
	stop = 0;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 2, move_over_or_truncate, NULL);
	run_in(space.mm);
	assert_picture("0-4 rw-p");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		remap_test(arguments_that_make_no_sense),
		remap_test(the_two_places_may_not_overlap),
		remap_test(nothing_there),
		remap_test(shrinking_unmaps_the_tail),
		remap_test(a_tail_beyond_the_space_is_refused),
		remap_test(growing_in_place),
		remap_test(growing_meets_its_neighbour),
		remap_test(growing_up_to_another_owner),
		remap_test(moving_takes_the_pages_along),
		remap_test(no_translation_of_the_old_place_is_left),
		remap_test(moving_a_part),
		remap_test(moving_and_growing),
		remap_test(moving_and_shrinking),
		remap_test(rights_and_guards_move_along),
		remap_test(a_large_sparse_area),
		remap_test(untouched_memory_merges_where_it_comes),
		remap_test(touched_memory_keeps_its_numbers),
		remap_test(old_size_zero_is_a_second_view),
		remap_test(a_second_view_of_the_place_where_it_goes),
		remap_test(dontunmap_leaves_an_empty_area),
		remap_test(dontunmap_leaves_no_owner),
		remap_test(dontunmap_unlocks),
		remap_test(dontunmap_onto_a_neighbour_of_itself),
		remap_test(dontunmap_of_shared_memory),
		remap_test(several_areas_keep_their_distances),
		remap_test(several_areas_may_end_in_a_hole_but_not_begin_in_one),
		remap_test(several_areas_of_files),
		remap_test(files_that_move_alone),
		remap_test(several_areas_up_to_a_seal),
		remap_test(several_areas_onto_a_seal),
		remap_test(sealed_areas_stay),
		remap_test(limits),
		remap_test(promises),
		remap_test(too_many_areas),
		remap_test(drivers_hear_of_moves),
		remap_test(what_comes_in_place_of_a_file_is_not_truncated),
		remap_test(what_may_not_grow),
		remap_test(move_far_without_objects),
		remap_test(move_far_without_pages),
		remap_test(move_many_without_objects),
		remap_test(move_many_without_pages),
		remap_test(leave_behind_without_objects),
		remap_test(leave_behind_without_pages),
		remap_test(grow_far_without_objects),
		remap_test(grow_far_without_pages),
		remap_test(grow_here_without_objects),
		remap_test(grow_here_without_pages),
		remap_test(a_page_that_moves_loses_no_store),
		remap_test(a_truncate_finds_pages_that_move),
		remap_test(a_truncate_leaves_alone_what_came_in_place),
	};

	return cmocka_run_group_tests_name("remap", tests, NULL, NULL);
}

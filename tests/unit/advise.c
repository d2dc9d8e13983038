/* SPDX-License-Identifier: MIT */
/*
 * madvise on the simulated machine: which advice which areas take, what becomes of the bytes,
 * what of the areas. Errors, flags and pictures were seen on Linux 6.18, x86-64; madvise(2) has
 * the rest.
 */
#include <mm/internal.h>

#include "space_disk.h"

static int setup(void **state)
{
	return space_disk_setup(state, 2, 8);
}

#define advise_test(fn) cmocka_unit_test_setup_teardown(fn, setup, space_disk_teardown)

static int advise(uint64_t start, uint64_t n, int advice)
{
	return quire_madvise(space.mm, P(start), n * PAGE, advice);
}

static uint64_t flags_at(uint64_t page)
{
	return area(space.mm, P(page))->flags;
}

static void map_shared_at(uint64_t start, uint64_t n)
{
	assert_int_equal(
		quire_mmap(space.mm, P(start), n * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			   QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0),
		P(start));
}

static int special_fault(struct quire_vmf *vmf)
{
	vmf->page = quire_page_alloc(space.q, QUIRE_GFP_USER | QUIRE_GFP_ZERO, 0);
	return vmf->page ? 0 : -QUIRE_ENOMEM;
}

static int never_split(struct quire_vma *vma, quire_uaddr_t addr)
{
	return -QUIRE_EINVAL;
}

/* As Linux's vdso and vvar. */
static const struct quire_vm_ops vdso_ops = {
	.name = "[vdso]", .fault = special_fault, .may_split = never_split};

#define VDSO (VM_R | QUIRE_VM_EXEC | QUIRE_VM_DONTEXPAND)
#define VVAR                                                                                       \
	(QUIRE_VM_READ | QUIRE_VM_MAYREAD | QUIRE_VM_IO | QUIRE_VM_PFNMAP | QUIRE_VM_DONTEXPAND |  \
	 QUIRE_VM_DONTDUMP)

/* ---- Arguments --------------------------------------------------------------------------- */

static void unknown_advice_comes_first(void **state)
{
	static const int unknown[] = {-1, 5, 6, 7, 26, 99, 100, 101, 104};

	map_at(0, 4, "rw");
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_int_equal(advise(0, 1, unknown[i]), -QUIRE_EINVAL);
		assert_int_equal(advise(0, 0, unknown[i]), -QUIRE_EINVAL);
	}
	assert_int_equal(quire_madvise(space.mm, P(0) + 1, 0, QUIRE_MADV_NORMAL), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(space.mm, P(0), UINT64_MAX, QUIRE_MADV_NORMAL),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(space.mm, P(0), -PAGE, QUIRE_MADV_NORMAL), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(space.mm, -PAGE, PAGE, QUIRE_MADV_DONTNEED), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(space.mm, 1ull << 63, 0, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(
		quire_madvise(space.mm, space.mm->layout.task_size, PAGE, QUIRE_MADV_DONTNEED),
		-QUIRE_ENOMEM);
	assert_int_equal(quire_madvise(space.mm, P(0), 1, QUIRE_MADV_RANDOM), 0);
	assert_picture("0-1 rw-p, 1-4 rw-p");
}

static void what_a_kernel_may_not_know(void **state)
{
	map_at(0, 4, "rw");
	space.q->mms.sysctl.thp_available = false;
	space.q->mms.sysctl.ksm_available = false;
	assert_int_equal(advise(0, 1, QUIRE_MADV_HUGEPAGE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_NOHUGEPAGE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_COLLAPSE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_MERGEABLE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_UNMERGEABLE), -QUIRE_EINVAL);
}

/* ---- Areas ------------------------------------------------------------------------------- */

static void advice_is_recorded(void **state)
{
	static const struct {
		int advice, undo;
		uint64_t flag;
	} list[] = {
		{QUIRE_MADV_RANDOM, QUIRE_MADV_NORMAL, QUIRE_VM_RAND_READ},
		{QUIRE_MADV_SEQUENTIAL, QUIRE_MADV_NORMAL, QUIRE_VM_SEQ_READ},
		{QUIRE_MADV_DONTFORK, QUIRE_MADV_DOFORK, QUIRE_VM_DONTCOPY},
		{QUIRE_MADV_DONTDUMP, QUIRE_MADV_DODUMP, QUIRE_VM_DONTDUMP},
		{QUIRE_MADV_WIPEONFORK, QUIRE_MADV_KEEPONFORK, QUIRE_VM_WIPEONFORK},
		{QUIRE_MADV_MERGEABLE, QUIRE_MADV_UNMERGEABLE, QUIRE_VM_MERGEABLE},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		map_at(0, 8, "rw");
		assert_int_equal(advise(2, 2, list[i].advice), 0);
		assert_picture("0-2 rw-p, 2-4 rw-p, 4-8 rw-p");
		assert_true(flags_at(2) & list[i].flag);
		assert_false((flags_at(0) | flags_at(4)) & list[i].flag);
		assert_int_equal(advise(0, 8, list[i].undo), 0);
		assert_picture("0-8 rw-p");
		assert_int_equal(flags_at(0) & list[i].flag, 0);
	}
	map_at(0, 8, "rw");
	assert_int_equal(advise(0, 8, QUIRE_MADV_RANDOM), 0);
	assert_int_equal(advise(0, 8, QUIRE_MADV_SEQUENTIAL), 0);
	assert_int_equal(flags_at(0) & (QUIRE_VM_RAND_READ | QUIRE_VM_SEQ_READ), QUIRE_VM_SEQ_READ);
	assert_int_equal(advise(0, 8, QUIRE_MADV_HUGEPAGE), 0);
	assert_int_equal(advise(0, 8, QUIRE_MADV_NOHUGEPAGE), 0);
	assert_int_equal(flags_at(0) & (QUIRE_VM_HUGEPAGE | QUIRE_VM_NOHUGEPAGE),
			 QUIRE_VM_NOHUGEPAGE);
}

/* Passed over, and ENOMEM in the end. */
static void holes_do_not_stop_it(void **state)
{
	map_at(2, 2, "rw");
	map_at(6, 2, "rw");
	assert_int_equal(advise(0, 10, QUIRE_MADV_RANDOM), -QUIRE_ENOMEM);
	assert_true(flags_at(2) & QUIRE_VM_RAND_READ);
	assert_true(flags_at(6) & QUIRE_VM_RAND_READ);
	assert_int_equal(advise(10, 4, QUIRE_MADV_NORMAL), -QUIRE_ENOMEM);
	set(P(2), 1);
	set(P(7), 1);
	assert_int_equal(advise(0, 10, QUIRE_MADV_DONTNEED), -QUIRE_ENOMEM);
	assert_int_equal(get(P(2)) + get(P(7)), 0);
}

/* What came before the area that refused stays advised; the hole is forgotten. */
static void an_area_that_refuses_ends_it(void **state)
{
	map_at(0, 2, "rw");
	map_at(3, 1, "rw");
	map_shared_at(4, 2);
	map_at(6, 2, "rw");
	assert_int_equal(advise(0, 8, QUIRE_MADV_WIPEONFORK), -QUIRE_EINVAL);
	assert_true(flags_at(0) & QUIRE_VM_WIPEONFORK);
	assert_true(flags_at(3) & QUIRE_VM_WIPEONFORK);
	assert_false(flags_at(6) & QUIRE_VM_WIPEONFORK);
}

static void advice_for_the_kernel_s_own_areas(void **state)
{
	put_driver(space.mm, P(0), 2, VDSO, &vdso_ops, NULL);
	put_driver(space.mm, P(2), 4, VVAR, &vdso_ops, NULL);
	/* A part can't be told from the rest. */
	assert_int_equal(advise(0, 1, QUIRE_MADV_RANDOM), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_DONTFORK), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_HUGEPAGE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_NORMAL), 0);
	assert_int_equal(advise(0, 1, QUIRE_MADV_DOFORK), 0);
	assert_int_equal(advise(2, 4, QUIRE_MADV_DOFORK), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 2, QUIRE_MADV_DODUMP), -QUIRE_EINVAL);
	assert_int_equal(advise(2, 4, QUIRE_MADV_DODUMP), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_KEEPONFORK), 0);
	assert_int_equal(advise(0, 1, QUIRE_MADV_MERGEABLE), 0);
	assert_int_equal(advise(0, 1, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(advise(2, 1, QUIRE_MADV_DONTNEED), -QUIRE_EINVAL);
	assert_int_equal(advise(2, 1, QUIRE_MADV_DONTNEED_LOCKED), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_FREE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_COLD), 0);
	assert_int_equal(advise(2, 1, QUIRE_MADV_COLD), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_PAGEOUT), 0);
	assert_int_equal(advise(2, 1, QUIRE_MADV_PAGEOUT), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_WILLNEED), 0);
	assert_int_equal(advise(2, 1, QUIRE_MADV_WILLNEED), 0);
	assert_int_equal(advise(0, 1, QUIRE_MADV_REMOVE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_POPULATE_READ), 0);
	assert_int_equal(advise(0, 1, QUIRE_MADV_POPULATE_WRITE), -QUIRE_EINVAL);
	assert_int_equal(advise(2, 1, QUIRE_MADV_POPULATE_READ), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_GUARD_INSTALL), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_GUARD_REMOVE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 1, QUIRE_MADV_COLLAPSE), -QUIRE_EINVAL);
}

static void advice_that_shared_and_droppable_memory_ignores(void **state)
{
	map_shared_at(0, 4);
	assert_int_equal(advise(0, 4, QUIRE_MADV_MERGEABLE), 0);
	assert_int_equal(flags_at(0) & QUIRE_VM_MERGEABLE, 0);
	assert_int_equal(advise(0, 4, QUIRE_MADV_KEEPONFORK), 0);
	put_file(space.mm, P(4), 2, VM_RW, &disk->file, 0);
	assert_int_equal(advise(4, 2, QUIRE_MADV_WIPEONFORK), -QUIRE_EINVAL);
	assert_int_equal(advise(4, 2, QUIRE_MADV_MERGEABLE), 0);
	assert_true(flags_at(4) & QUIRE_VM_MERGEABLE);
	assert_int_equal(quire_mmap(space.mm, P(8), 2 * PAGE, 3,
				    QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    NULL, 0),
			 P(8));
	assert_int_equal(advise(8, 2, QUIRE_MADV_KEEPONFORK), -QUIRE_EINVAL);
	assert_int_equal(advise(8, 2, QUIRE_MADV_DODUMP), -QUIRE_EINVAL);
	assert_int_equal(advise(8, 2, QUIRE_MADV_MERGEABLE), 0);
	assert_int_equal(flags_at(8) & QUIRE_VM_MERGEABLE, 0);
}

/* ---- Pages dropped ----------------------------------------------------------------------- */

static void dontneed_forgets(void **state)
{
	map_at(0, 4, "rw");
	put_file(space.mm, P(4), 2, VM_RW, &disk->file, 0);
	put_file(space.mm, P(8), 2, VM_RW | VM_S, &disk->file, 2);
	for (uint64_t i = 0; i < 10; i++) {
		if (i < 6 || i >= 8)
			set(P(i), (unsigned char)(100 + i));
	}
	assert_int_equal(advise(1, 2, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(get(P(0)), 100);
	assert_int_equal(get(P(1)), 0);
	assert_int_equal(get(P(2)), 0);
	assert_int_equal(get(P(3)), 103);
	/* A private file: what is in the file again. A shared one: nothing is lost. */
	assert_int_equal(advise(4, 2, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(get(P(4)), disk_byte(0));
	assert_int_equal(advise(8, 2, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(get(P(9)), 109);
	assert_int_equal(quire_object_sync(&disk->object, 0, 7), 0);
	assert_int_equal(disk->bytes[3 * PAGE], 109);
	assert_picture("0-4 rw-p, 4-6 rw-p, 8-10 rw-s");
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 2);
}

/* The TLB has the page: a store through a stale entry would be lost, and reported. */
static void dontneed_flushes(void **state)
{
	map_at(0, 1, "rw");
	for (int i = 0; i < 10; i++) {
		set(P(0), 7);
		assert_int_equal(advise(0, 1, QUIRE_MADV_DONTNEED), 0);
		assert_int_equal(get(P(0)), 0);
	}
}

static void locked_pages_are_not_dropped(void **state)
{
	map_at(0, 2, "rw");
	set(P(0), 1);
	assert_int_equal(quire_mlock(space.mm, P(0), 2 * PAGE), 0);
	assert_int_equal(advise(0, 2, QUIRE_MADV_DONTNEED), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 2, QUIRE_MADV_FREE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 2, QUIRE_MADV_COLD), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 2, QUIRE_MADV_PAGEOUT), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 2, QUIRE_MADV_GUARD_INSTALL), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 2, QUIRE_MADV_GUARD_REMOVE), 0);
	assert_int_equal(advise(0, 2, QUIRE_MADV_REMOVE), -QUIRE_EINVAL);
	assert_int_equal(advise(0, 2, QUIRE_MADV_WILLNEED), 0);
	assert_int_equal(get(P(0)), 1);
	assert_int_equal(advise(0, 2, QUIRE_MADV_DONTNEED_LOCKED), 0);
	assert_int_equal(get(P(0)), 0);
}

/* What is freed may be kept or lost until it is written to; nothing takes it here. */
static void free_marks_pages(void **state)
{
	struct quire_page *page;

	map_at(0, 2, "rw");
	set(P(0), 1);
	assert_int_equal(advise(0, 2, QUIRE_MADV_FREE), 0);
	page = quire_pfn_to_page(space.q, frame(space.mm, P(0)));
	assert_true(quire_page_test(page, QUIRE_PG_LAZYFREE));
	assert_false(entry_has(space.mm, P(0), QUIRE_PTE_DIRTY));
	set(P(0) + 1, 2);
	assert_true(entry_has(space.mm, P(0), QUIRE_PTE_DIRTY));
	assert_int_equal(get(P(0) + 1), 2);
	map_shared_at(4, 2);
	assert_int_equal(advise(4, 2, QUIRE_MADV_FREE), -QUIRE_EINVAL);
	put_file(space.mm, P(8), 2, VM_RW, &disk->file, 0);
	assert_int_equal(advise(8, 2, QUIRE_MADV_FREE), -QUIRE_EINVAL);
}

/* A page that another process maps too: each entry says for itself whether it has been written to since. */
static void free_marks_shared_pages(void **state)
{
	struct quire_mm *child;

	map_at(0, 2, "rw");
	set(P(0), 1);
	child = fork_space(space.mm);
	assert_int_equal(advise(0, 2, QUIRE_MADV_FREE), 0);
	assert_false(entry_has(space.mm, P(0), QUIRE_PTE_DIRTY));
	assert_true(entry_has(child, P(0), QUIRE_PTE_DIRTY));
	assert_int_equal(get(P(0)), 1);
	put_space(child);
}

static void remove_punches_a_hole(void **state)
{
	put_file(space.mm, P(0), 4, VM_RW | VM_S, &disk->file, 2);
	put_file(space.mm, P(8), 4, VM_R | VM_S, &disk->file, 2);
	set(P(1), 9);
	assert_int_equal(advise(1, 2, QUIRE_MADV_REMOVE), 0);
	assert_int_equal(disk->holes, 1);
	assert_int_equal(disk->hole_start, 3 * PAGE);
	assert_int_equal(disk->hole_end, 5 * PAGE);
	assert_int_equal(get(P(1)), 0);
	assert_int_equal(get(P(9)), 0);
	assert_int_equal(get(P(3)), disk_byte(5 * PAGE));
	/* Mapped for reading, but opened for writing: that will do. */
	assert_int_equal(advise(8, 1, QUIRE_MADV_REMOVE), 0);
	put_file(space.mm, P(20), 2, VM_R, &disk->file, 0);
	assert_int_equal(advise(20, 1, QUIRE_MADV_REMOVE), -QUIRE_EACCES);
	map_at(30, 1, "rw");
	assert_int_equal(advise(30, 1, QUIRE_MADV_REMOVE), -QUIRE_EINVAL);
	map_shared_at(40, 2);
	set(P(40), 1);
	assert_int_equal(advise(40, 1, QUIRE_MADV_REMOVE), 0);
	assert_int_equal(get(P(40)), 0);
}

/* ---- Guards ------------------------------------------------------------------------------ */

static void guards_kill(void **state)
{
	map_at(0, 8, "rw");
	set(P(1), 1);
	set(P(2), 2);
	assert_int_equal(advise(2, 2, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_picture("0-8 rw-p");
	assert_true(flags_at(0) & QUIRE_VM_MAYBE_GUARD);
	assert_maperr(QUIRE_ACCESS_READ, P(2));
	assert_maperr(QUIRE_ACCESS_WRITE, P(3) + 5);
	assert_int_equal(get(P(1)), 1);
	assert_int_equal(get(P(4)), 0);
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 1);
	/* They stay when pages go, and when rights change. */
	assert_int_equal(advise(0, 8, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(protect_at(0, 8, "r"), 0);
	assert_int_equal(protect_at(0, 8, "rw"), 0);
	assert_maperr(QUIRE_ACCESS_READ, P(2));
	assert_int_equal(advise(2, 1, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(advise(0, 8, QUIRE_MADV_GUARD_REMOVE), 0);
	assert_int_equal(get(P(2)), 0);
	set(P(3), 3);
	assert_int_equal(get(P(3)), 3);
	assert_true(flags_at(0) & QUIRE_VM_MAYBE_GUARD);
	/* Unmapped, they are gone. */
	assert_int_equal(advise(2, 2, QUIRE_MADV_GUARD_INSTALL), 0);
	map_at(0, 8, "rw");
	assert_int_equal(get(P(2)), 0);
	assert_false(flags_at(0) & QUIRE_VM_MAYBE_GUARD);
}

static void guards_in_files(void **state)
{
	put_file(space.mm, P(0), 4, VM_RW | VM_S, &disk->file, 0);
	put_file(space.mm, P(4), 4, VM_RW, &disk->file, 0);
	set(P(1), 50);
	set(P(5), 60);
	assert_int_equal(advise(0, 8, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(quire_mm_rss(space.mm), 0);
	assert_maperr(QUIRE_ACCESS_READ, P(1));
	assert_maperr(QUIRE_ACCESS_READ, P(5));
	/* A truncate is about pages. */
	quire_object_truncate(&disk->object, PAGE);
	assert_maperr(QUIRE_ACCESS_READ, P(1));
	assert_int_equal(advise(0, 8, QUIRE_MADV_GUARD_REMOVE), 0);
	assert_bus(QUIRE_ACCESS_READ, P(1));
	assert_int_equal(get(P(0)), disk_byte(0));
}

/* Areas that differ in it merge, and the whole of it may then have some. */
static void areas_with_and_without_guards_merge(void **state)
{
	map_at(0, 4, "rw");
	assert_int_equal(advise(0, 1, QUIRE_MADV_GUARD_INSTALL), 0);
	map_at(4, 2, "rw");
	assert_picture("0-6 rw-p");
	map_at(6, 2, "r");
	assert_int_equal(protect_at(6, 2, "rw"), 0);
	assert_picture("0-8 rw-p");
	assert_int_equal(protect_at(3, 1, "r"), 0);
	assert_true(flags_at(0) & flags_at(3) & flags_at(4) & QUIRE_VM_MAYBE_GUARD);
	assert_int_equal(protect_at(3, 1, "rw"), 0);
	assert_picture("0-8 rw-p");
	map_at(10, 2, "rw");
	map_at(12, 2, "r");
	assert_int_equal(advise(12, 1, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(protect_at(12, 2, "rw"), 0);
	assert_picture("0-8 rw-p, 10-14 rw-p");
	assert_true(flags_at(10) & QUIRE_VM_MAYBE_GUARD);
	assert_maperr(QUIRE_ACCESS_READ, P(12));
}

static void guards_go_as_far_as_they_can(void **state)
{
	map_at(0, 2, "rw");
	map_at(3, 1, "rw");
	put_driver(space.mm, P(4), 2, VDSO, &vdso_ops, NULL);
	map_at(6, 2, "rw");
	assert_int_equal(advise(0, 8, QUIRE_MADV_GUARD_INSTALL), -QUIRE_EINVAL);
	assert_maperr(QUIRE_ACCESS_READ, P(0));
	assert_maperr(QUIRE_ACCESS_READ, P(3));
	assert_int_equal(get(P(6)), 0);
	assert_int_equal(advise(6, 4, QUIRE_MADV_GUARD_INSTALL), -QUIRE_ENOMEM);
	assert_maperr(QUIRE_ACCESS_READ, P(7));
}

/* ---- Seals ------------------------------------------------------------------------------- */

/* Read-only private memory without a file, sealed: what would discard it is refused. */
static void sealed_read_only_memory_is_kept(void **state)
{
	static const struct {
		int advice, anon, file;
	} list[] = {
		{QUIRE_MADV_NORMAL, 0, 0},
		{QUIRE_MADV_WILLNEED, 0, 0},
		{QUIRE_MADV_DONTNEED, -QUIRE_EPERM, 0},
		{QUIRE_MADV_DONTNEED_LOCKED, -QUIRE_EPERM, 0},
		{QUIRE_MADV_FREE, -QUIRE_EPERM, -QUIRE_EINVAL},
		{QUIRE_MADV_REMOVE, -QUIRE_EPERM, -QUIRE_EACCES},
		{QUIRE_MADV_DONTFORK, -QUIRE_EPERM, 0},
		{QUIRE_MADV_DOFORK, 0, 0},
		{QUIRE_MADV_WIPEONFORK, -QUIRE_EPERM, -QUIRE_EINVAL},
		{QUIRE_MADV_KEEPONFORK, 0, 0},
		{QUIRE_MADV_DONTDUMP, 0, 0},
		{QUIRE_MADV_COLD, 0, 0},
		{QUIRE_MADV_POPULATE_READ, 0, 0},
		{QUIRE_MADV_GUARD_INSTALL, -QUIRE_EPERM, 0},
		{QUIRE_MADV_GUARD_REMOVE, 0, 0},
	};

	map_at(0, 4, "rw");
	set(P(1), 5);
	assert_int_equal(protect_at(0, 2, "r"), 0);
	put_file(space.mm, P(4), 2, VM_R, &disk->file, 0);
	assert_int_equal(quire_mseal(space.mm, P(0), 6 * PAGE, 0), 0);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (advise(0, 2, list[i].advice) != list[i].anon)
			fail_msg("advice %d, anonymous", list[i].advice);
		if (advise(4, 2, list[i].advice) != list[i].file)
			fail_msg("advice %d, file", list[i].advice);
	}
	assert_int_equal(get(P(1)), 5);
	assert_int_equal(advise(2, 2, QUIRE_MADV_DONTNEED), 0);
}

/* ---- Faulting in ------------------------------------------------------------------------- */

static void populating(void **state)
{
	map_at(0, 8, "rw");
	assert_int_equal(advise(0, 2, QUIRE_MADV_POPULATE_READ), 0);
	assert_int_equal(quire_mm_rss(space.mm), 0);
	assert_int_not_equal(frame(space.mm, P(1)), 0);
	assert_int_equal(advise(0, 2, QUIRE_MADV_POPULATE_WRITE), 0);
	assert_int_equal(quire_mm_rss(space.mm), 2);
	assert_true(entry_has(space.mm, P(1), QUIRE_PTE_WRITE));
	assert_int_equal(protect_at(2, 1, "r"), 0);
	assert_int_equal(advise(2, 1, QUIRE_MADV_POPULATE_WRITE), -QUIRE_EINVAL);
	assert_int_equal(advise(2, 1, QUIRE_MADV_POPULATE_READ), 0);
	assert_int_equal(protect_at(2, 1, "w"), 0);
	assert_int_equal(advise(2, 1, QUIRE_MADV_POPULATE_WRITE), 0);
	assert_int_equal(advise(2, 1, QUIRE_MADV_POPULATE_READ), -QUIRE_EINVAL);
	assert_int_equal(protect_at(2, 1, "x"), 0);
	assert_int_equal(advise(2, 1, QUIRE_MADV_POPULATE_READ), -QUIRE_EINVAL);
	/* It stops where it can't go on. */
	assert_int_equal(unmap_at(4, 1), 0);
	assert_int_equal(advise(3, 4, QUIRE_MADV_POPULATE_WRITE), -QUIRE_ENOMEM);
	assert_int_not_equal(frame(space.mm, P(3)), 0);
	assert_int_equal(frame(space.mm, P(5)), 0);
	assert_int_equal(advise(5, 1, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(advise(5, 2, QUIRE_MADV_POPULATE_WRITE), -QUIRE_EFAULT);
	assert_int_equal(frame(space.mm, P(6)), 0);
	put_file(space.mm, P(10), 16, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(advise(10, 16, QUIRE_MADV_POPULATE_READ), -QUIRE_EFAULT);
	assert_int_equal(space.mm->rss[QUIRE_RSS_FILE], 8);
	assert_int_equal(advise(10, 8, QUIRE_MADV_POPULATE_WRITE), 0);
	assert_int_equal(disk->mkwrites, 8);
}

static void the_host_can_do_the_populating(void **state)
{
	space.q->mms.sysctl.populate_disabled = true;
	map_at(0, 8, "rw");
	assert_int_equal(advise(0, 8, QUIRE_MADV_POPULATE_WRITE), 0);
	assert_int_equal(advise(0, 9, QUIRE_MADV_POPULATE_WRITE), -QUIRE_ENOMEM);
	assert_int_equal(advise(3, 1, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(advise(0, 8, QUIRE_MADV_POPULATE_READ), -QUIRE_EFAULT);
	assert_int_equal(quire_mm_rss(space.mm), 0);
}

/* ---- Huge pages -------------------------------------------------------------------------- */

/* Where a whole huge page begins, whatever its size; the size, as much as one table of entries maps. */
#define FAR UINT64_C(0x60000000)
#define LEAF (UINT64_C(1) << space.mm->pt.fmt->shift[1])

static void collapsing(void **state)
{
	const uint64_t huge = LEAF, base = FAR;
	struct quire_mm *mm = space.mm;

	assert_int_equal(quire_mmap(mm, base, 8 * huge, 3, ANON | QUIRE_MAP_FIXED, NULL, 0), base);
	/* Nothing in the area; nothing in the huge page; or no whole huge page in the range. */
	assert_int_equal(quire_madvise(mm, base, huge, QUIRE_MADV_COLLAPSE), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, base, PAGE, QUIRE_MADV_COLLAPSE), -QUIRE_EINVAL);
	set(base + 6 * huge, 1);
	assert_int_equal(quire_madvise(mm, base, huge, QUIRE_MADV_COLLAPSE), -QUIRE_EINVAL);
	assert_int_equal(quire_madvise(mm, base, PAGE, QUIRE_MADV_COLLAPSE), 0);
	assert_int_equal(quire_madvise(mm, base + PAGE, PAGE, QUIRE_MADV_COLLAPSE), -QUIRE_EINVAL);
	set(base + 4 * huge, 1);
	assert_int_equal(quire_madvise(mm, base + 4 * huge, huge, QUIRE_MADV_COLLAPSE), 0);
	assert_int_equal(quire_madvise(mm, base + 3 * huge + PAGE, 2 * huge, QUIRE_MADV_COLLAPSE),
			 0);
	assert_int_equal(quire_madvise(mm, base + 3 * huge, 2 * huge, QUIRE_MADV_COLLAPSE),
			 -QUIRE_EINVAL);
	assert_int_equal(get(base + 4 * huge), 1);
	assert_int_equal(quire_madvise(mm, base + 4 * huge, huge, QUIRE_MADV_NOHUGEPAGE), 0);
	assert_int_equal(quire_madvise(mm, base + 4 * huge, huge, QUIRE_MADV_COLLAPSE),
			 -QUIRE_EINVAL);
	map_at(0, 4, "rw");
	set(P(0), 1);
	assert_int_equal(advise(0, 1, QUIRE_MADV_COLLAPSE), -QUIRE_EINVAL);
	put_file(mm, P(8), 4, VM_RW, &disk->file, 0);
	assert_int_equal(advise(8, 4, QUIRE_MADV_COLLAPSE), -QUIRE_EINVAL);
}

/* ---- Want of areas and memory ------------------------------------------------------------ */

static void too_many_areas(void **state)
{
	map_at(0, 8, "rw");
	space.q->mms.sysctl.max_map_count = 2;
	assert_int_equal(advise(2, 2, QUIRE_MADV_DONTFORK), -QUIRE_EAGAIN);
	assert_picture("0-2 rw-p, 2-8 rw-p");
	assert_int_equal(advise(0, 8, QUIRE_MADV_DONTFORK), 0);
	assert_picture("0-8 rw-p");
}

#if QUIRE_DEBUG
static int64_t call_dontfork(void)
{
	return advise(1, 12, QUIRE_MADV_DONTFORK);
}

static int64_t call_guard(void)
{
	return advise(1, 12, QUIRE_MADV_GUARD_INSTALL);
}

static void fill_space(void)
{
	for (uint64_t i = 0; i < 16; i++) {
		map_at(i, 1, "rw");
		set(P(i), 1);
		if (i % 2)
			assert_int_equal(protect_at(i, 1, "r"), 0);
	}
}
#endif

static void flags_without_memory(void **state)
{
#if QUIRE_DEBUG
	fill_space();
	assert_true(assert_no_memory_no_change(&space.q->slabs.fail, call_dontfork,
					       -QUIRE_EAGAIN) >= 12);
#endif
}

static void guards_without_objects(void **state)
{
#if QUIRE_DEBUG
	fill_space();
	assert_true(assert_no_memory_no_change(&space.q->slabs.fail, call_guard, -QUIRE_ENOMEM) >=
		    12);
	for (uint64_t i = 1; i < 13; i++)
		assert_maperr(QUIRE_ACCESS_READ, P(i));
#endif
}

#if QUIRE_DEBUG
static int64_t call_guard_far(void)
{
	return quire_madvise(space.mm, FAR, 5 * LEAF / 2, QUIRE_MADV_GUARD_INSTALL);
}
#endif

/*
 * Guards need tables; the area has an owner already, so that nothing shows that the call was
 * made.
 */
static void guards_without_tables(void **state)
{
#if QUIRE_DEBUG
	uint64_t tables;

	assert_int_equal(
		quire_mmap(space.mm, FAR, 4 * LEAF, 3, ANON | QUIRE_MAP_FIXED, NULL, 0),
		FAR);
	set(FAR + 7 * LEAF / 2, 1);
	/* Two areas: the first could have its guards when there is no memory for the second's. */
	assert_int_equal(
		quire_madvise(space.mm, FAR + LEAF, 3 * LEAF, QUIRE_MADV_DONTDUMP),
		0);
	tables = quire_pgtable_bytes(&space.mm->pt);
	assert_true(assert_no_memory_no_change(&space.q->pages.fail, call_guard_far,
					       -QUIRE_ENOMEM) >= 2);
	assert_true(quire_pgtable_bytes(&space.mm->pt) > tables);
	assert_maperr(QUIRE_ACCESS_READ, FAR + 5 * LEAF / 2 - PAGE);
	assert_int_equal(quire_madvise(space.mm, FAR, 5 * LEAF / 2, QUIRE_MADV_GUARD_REMOVE),
			 0);
	assert_int_equal(quire_pgtable_bytes(&space.mm->pt), tables);
#endif
}

/* ---- While others run -------------------------------------------------------------------- */

static uint32_t stop;

/* CPU 1 stores all the time; after a guard has been installed none of its stores gets through. */
static void guard_or_store(struct machine *m, unsigned cpu, void *arg)
{
	machine_switch(m, &space.mm->pt);
	if (cpu == 0) {
		for (int i = 0; i < 300; i++) {
			unsigned char byte;

			if (quire_madvise(space.mm, P(0), 4 * PAGE, QUIRE_MADV_GUARD_INSTALL))
				machine_report(m, "guards refused", "advise.c", 0);
			if (!machine_load(m, P(2), &byte, 1, NULL))
				machine_report(m, "a guard let somebody through", "advise.c", byte);
			quire_madvise(space.mm, P(0), 4 * PAGE, QUIRE_MADV_GUARD_REMOVE);
			quire_madvise(space.mm, P(0), 4 * PAGE, QUIRE_MADV_DONTNEED);
		}
		quire_store(&stop, 1);
	} else {
		while (!quire_load(&stop)) {
			unsigned char byte = 1;

			for (uint64_t i = 0; i < 4; i++)
				(void)machine_store(m, P(i), &byte, 1, NULL);
		}
	}
	machine_switch(m, NULL);
}

static void guards_against_stores(void **state)
{
	map_at(0, 4, "rw");
	stop = 0;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 2, guard_or_store, NULL);
	run_in(space.mm);
	check_space(space.mm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		advise_test(unknown_advice_comes_first),
		advise_test(what_a_kernel_may_not_know),
		advise_test(advice_is_recorded),
		advise_test(holes_do_not_stop_it),
		advise_test(an_area_that_refuses_ends_it),
		advise_test(advice_for_the_kernel_s_own_areas),
		advise_test(advice_that_shared_and_droppable_memory_ignores),
		advise_test(dontneed_forgets),
		advise_test(dontneed_flushes),
		advise_test(locked_pages_are_not_dropped),
		advise_test(free_marks_pages),
		advise_test(free_marks_shared_pages),
		advise_test(remove_punches_a_hole),
		advise_test(guards_kill),
		advise_test(guards_in_files),
		advise_test(areas_with_and_without_guards_merge),
		advise_test(guards_go_as_far_as_they_can),
		advise_test(sealed_read_only_memory_is_kept),
		advise_test(populating),
		advise_test(the_host_can_do_the_populating),
		advise_test(collapsing),
		advise_test(too_many_areas),
		advise_test(flags_without_memory),
		advise_test(guards_without_objects),
		advise_test(guards_without_tables),
		advise_test(guards_against_stores),
	};

	return cmocka_run_group_tests_name("advise", tests, NULL, NULL);
}

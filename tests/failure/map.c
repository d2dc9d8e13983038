/* SPDX-License-Identifier: MIT */
/* mmap(2), munmap(2), mprotect(2), brk(2), mseal(2), and areas put in by the loader. */
#include "failure.h"

static int64_t do_map(uint64_t at, uint64_t pages, uint32_t prot, uint32_t flags,
		      struct quire_file *file)
{
	return quire_mmap(w.mm, AT(at), SPAN(at, pages), prot, flags, file, file ? 4 * PAGE : 0);
}

#define MMAP(name, at, pages, prot, flags, file)                                                   \
	static int64_t name(void)                                                                  \
	{                                                                                          \
		return do_map(at, pages, prot, flags, file);                                       \
	}

#define DISK (&w.disk->file)
#define FIXED QUIRE_MAP_FIXED

MMAP(map_private, 0, 2, RW, ANON, NULL)
MMAP(map_merging, 1032, 2, RW, ANON | FIXED, NULL)
MMAP(map_closing_a_gap, 1032, 2, RW, ANON | FIXED, NULL)
MMAP(map_anywhere, -(int64_t)0x200000000ull, 3, RWX, ANON, NULL)
MMAP(map_shared, 100, 4, RW, SHARED_ANON, NULL)
MMAP(map_shared_noreserve, 100, 4, RW, SHARED_ANON | QUIRE_MAP_NORESERVE, NULL)
MMAP(map_file_private, 100, 4, RW, QUIRE_MAP_PRIVATE, DISK)
MMAP(map_file_shared, 100, 4, RW, QUIRE_MAP_SHARED, DISK)
MMAP(map_file_validate, 100, 4, R, QUIRE_MAP_SHARED_VALIDATE, DISK)
MMAP(map_file_merging, 16, 4, RW, QUIRE_MAP_SHARED | FIXED, DISK)
MMAP(map_memfd, 100, 4, RW, QUIRE_MAP_SHARED, w.memfd)
MMAP(map_device, 100, 4, RW, QUIRE_MAP_SHARED, w.device)
MMAP(map_over_one, 1, 3, R, ANON | FIXED, NULL)
MMAP(map_over_many, 2, 70, RW, ANON | FIXED, NULL)
MMAP(map_over_all, 0, 1100, RW, ANON | FIXED, NULL)
MMAP(map_file_over, 6, 20, R, QUIRE_MAP_PRIVATE | FIXED, DISK)
MMAP(map_shared_over, 6, 40, RW, SHARED_ANON | FIXED, NULL)
MMAP(map_device_over, 30, 12, RW, QUIRE_MAP_SHARED | FIXED, w.device)
MMAP(map_noreplace, 100, 4, RW, ANON | QUIRE_MAP_FIXED_NOREPLACE, NULL)
MMAP(map_populate, 100, 3, RW, ANON | QUIRE_MAP_POPULATE, NULL)
MMAP(map_populate_file, 100, 3, R, QUIRE_MAP_SHARED | QUIRE_MAP_POPULATE, DISK)
MMAP(map_populate_private_file, 100, 3, RW, QUIRE_MAP_PRIVATE | QUIRE_MAP_POPULATE, DISK)
MMAP(map_populate_nonblock, 100, 3, RW, ANON | QUIRE_MAP_POPULATE | QUIRE_MAP_NONBLOCK, NULL)
MMAP(map_locked, 100, 3, RW, ANON | QUIRE_MAP_LOCKED, NULL)
MMAP(map_locked_merging, 26 + 6, 2, RW, ANON | QUIRE_MAP_LOCKED | FIXED, NULL)
MMAP(map_growsdown, 100, 3, RW, ANON | QUIRE_MAP_GROWSDOWN, NULL)
MMAP(map_32bit, 0, 3, RW, ANON | QUIRE_MAP_32BIT, NULL)
MMAP(map_above4g, 0, 3, RW, ANON | QUIRE_MAP_ABOVE4G, NULL)
MMAP(map_noreserve, 100, 3, RW, ANON | QUIRE_MAP_NORESERVE, NULL)
MMAP(map_droppable, 100, 3, RW, QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS, NULL)
MMAP(map_stack, 100, 3, RW, ANON | QUIRE_MAP_STACK, NULL)
MMAP(map_prot_none, 100, 3, QUIRE_PROT_NONE, ANON, NULL)
MMAP(map_aligned, 0, 512, RW, ANON, NULL)

static void lock_future(void)
{
	assert_int_equal(quire_mlockall(w.mm, QUIRE_MCL_FUTURE), 0);
}

static void lock_future_on_fault(void)
{
	assert_int_equal(quire_mlockall(w.mm, QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT), 0);
}

static void leave_a_gap(void)
{
	map(1034, 4, RW, ANON, NULL, 0);
}

/* So many that the index has a second level of inner nodes to split. */
static void fill_index(void)
{
	many(2000, 300);
}

static void strict_overcommit(void)
{
	w.q->mms.sysctl.overcommit_memory = QUIRE_OVERCOMMIT_NEVER;
	w.q->mms.sysctl.overcommit_total_pages = 1 << 20;
}

/* Over the ends of two areas; what is between is beyond the limit. Linux leaves the cuts. */
MMAP(map_beyond_the_limit, 46, 16, RW, ANON | FIXED, NULL)

static void limit_address_space(void)
{
	w.mm->limits.as = w.mm->total_vm * PAGE;
}

/* ---- munmap ------------------------------------------------------------------------------ */

#define UNMAP(name, at, pages)                                                                     \
	static int64_t name(void)                                                                  \
	{                                                                                          \
		return quire_munmap(w.mm, AT(at), SPAN(at, pages));                                 \
	}

UNMAP(unmap_whole, 0, 8)
UNMAP(unmap_head, 0, 2)
UNMAP(unmap_tail, 6, 2)
UNMAP(unmap_middle, 2, 3)
UNMAP(unmap_both_ends_cut, 2, 60)
UNMAP(unmap_file_middle, 17, 2)
UNMAP(unmap_driver_middle, 37, 2)
UNMAP(unmap_across_leaves, 4, 1024)
UNMAP(unmap_everything, 0, 5000)
UNMAP(unmap_one_of_hundreds, 2150, 1)
UNMAP(unmap_hundreds, 2001, 290)
UNMAP(unmap_nothing, 200, 8)

/* ---- mprotect ---------------------------------------------------------------------------- */

#define PROTECT(name, at, pages, prot)                                                             \
	static int64_t name(void)                                                                  \
	{                                                                                          \
		return quire_mprotect(w.mm, AT(at), SPAN(at, pages), prot);                         \
	}

PROTECT(protect_whole, 0, 8, R)
PROTECT(protect_head, 0, 2, R)
PROTECT(protect_tail, 6, 2, R)
PROTECT(protect_middle, 2, 3, R)
PROTECT(protect_none, 1, 4, QUIRE_PROT_NONE)
PROTECT(protect_exec, 1, 4, RWX)
PROTECT(protect_merging, 65, 1, RW)
PROTECT(protect_to_the_one_before, 8, 2, RW)
PROTECT(protect_to_the_one_behind, 6, 2, R)
PROTECT(protect_several, 2, 30, R)
PROTECT(protect_to_a_hole, 40, 16, R)
PROTECT(protect_everything, 0, 48, RW)
PROTECT(protect_writable, 8, 4, RW)
PROTECT(protect_file, 45, 2, R)
PROTECT(protect_driver, 37, 2, R)
PROTECT(protect_growsdown, 61, 1, R | QUIRE_PROT_GROWSDOWN)
PROTECT(protect_locked, 28, 4, RW)
PROTECT(protect_hundreds, 2000, 300, R)

static void charge_read_only(void)
{
	assert_int_equal(quire_mmap(w.mm, AT(104), 4 * PAGE, R, ANON | FIXED, NULL, 0), AT(104));
}
PROTECT(protect_charging, 104, 4, RW)

static void lock_read_only(void)
{
	assert_int_equal(quire_mprotect(w.mm, AT(28), 4 * PAGE, R), 0);
	w.other = NULL;
	assert_int_equal(quire_fork(w.mm, &w.other), 0);
}

/* ---- brk --------------------------------------------------------------------------------- */

static int64_t brk_to(quire_uaddr_t to)
{
	return quire_brk(w.mm, to) == to ? 0 : -QUIRE_ENOMEM;
}

static int64_t brk_grows(void)
{
	return brk_to(AT(4104) + 5);
}

static int64_t brk_shrinks(void)
{
	return brk_to(AT(4098));
}

static int64_t brk_goes(void)
{
	return brk_to(AT(4096));
}

/* The heap cannot be one area any more. */
static void cut_heap(void)
{
	assert_int_equal(quire_mprotect(w.mm, AT(4099), PAGE, R), 0);
}

static void no_heap(void)
{
	assert_int_equal(quire_brk(w.mm, AT(4096)), AT(4096));
}

static void lock_all(void)
{
	assert_int_equal(quire_mlockall(w.mm, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE), 0);
}

/* ---- Seals, remap_file_pages, the loader -------------------------------------------------- */

static int64_t seal_part(void)
{
	return quire_mseal(w.mm, AT(2), 8 * PAGE, 0);
}

static int64_t seal_whole(void)
{
	return quire_mseal(w.mm, AT(0), 8 * PAGE, 0);
}

static int64_t seal_many(void)
{
	return quire_mseal(w.mm, AT(64), 16 * PAGE, 0);
}

static int64_t other_file_pages(void)
{
	return quire_remap_file_pages(w.mm, AT(17), 2 * PAGE, 0, 2, 0);
}

static int64_t insert(uint64_t flags, struct quire_file *file)
{
	struct quire_area_desc desc = {.start = AT(100),
				       .end = AT(104),
				       .flags = flags | QUIRE_VM_READ | QUIRE_VM_MAYREAD,
				       .pgoff = 1,
				       .file = file};

	return quire_insert_vm_area(w.mm, &desc);
}

static int64_t insert_anonymous(void)
{
	return insert(QUIRE_VM_WRITE | QUIRE_VM_MAYWRITE | QUIRE_VM_ACCOUNT | QUIRE_VM_LOCKED,
		      NULL);
}

static int64_t insert_file(void)
{
	return insert(0, DISK);
}

const struct scenario map_scenarios[] = {
	{"mmap_private", NULL, map_private},
	{"mmap_that_merges", NULL, map_merging},
	{"mmap_that_closes_a_gap", leave_a_gap, map_closing_a_gap},
	{"mmap_where_there_is_room", NULL, map_anywhere, .flags = 0},
	{"mmap_shared_anonymous", NULL, map_shared},
	{"mmap_shared_noreserve", NULL, map_shared_noreserve},
	{"mmap_file_private", NULL, map_file_private},
	{"mmap_file_shared", NULL, map_file_shared},
	{"mmap_file_shared_validate", NULL, map_file_validate},
	{"mmap_file_in_place_of_itself", NULL, map_file_merging},
	{"mmap_memfd", NULL, map_memfd},
	{"mmap_device", NULL, map_device},
	{"mmap_fixed_in_an_area", NULL, map_over_one},
	{"mmap_fixed_over_areas", NULL, map_over_many},
	{"mmap_fixed_over_leaves", NULL, map_over_all},
	{"mmap_fixed_file", NULL, map_file_over},
	{"mmap_fixed_shared", NULL, map_shared_over},
	{"mmap_fixed_device", NULL, map_device_over},
	{"mmap_fixed_noreplace", NULL, map_noreplace},
	{"mmap_populate", NULL, map_populate, .flags = MAKES_DO | KEEPS_AREAS},
	{"mmap_populate_file", NULL, map_populate_file, .flags = MAKES_DO | KEEPS_AREAS},
	{"mmap_populate_private_file", NULL, map_populate_private_file,
	 .flags = MAKES_DO | KEEPS_AREAS},
	{"mmap_populate_nonblock", NULL, map_populate_nonblock},
	{"mmap_locked", NULL, map_locked, .flags = MAKES_DO | KEEPS_AREAS},
	{"mmap_locked_that_merges", NULL, map_locked_merging, .flags = MAKES_DO | KEEPS_AREAS},
	{"mmap_in_a_space_locked_for_the_future", lock_future, map_private,
	 .flags = MAKES_DO | KEEPS_AREAS},
	{"mmap_in_a_space_locked_on_fault", lock_future_on_fault, map_private},
	{"mmap_growsdown", NULL, map_growsdown},
	{"mmap_32bit", NULL, map_32bit},
	{"mmap_above4g", NULL, map_above4g},
	{"mmap_noreserve", NULL, map_noreserve},
	{"mmap_droppable", NULL, map_droppable},
	{"mmap_stack", NULL, map_stack},
	{"mmap_prot_none", NULL, map_prot_none},
	{"mmap_aligned", NULL, map_aligned},
	{"mmap_strict_overcommit", strict_overcommit, map_over_one},
	{"mmap_in_a_large_index", fill_index, map_private},
	{"mmap_fixed_beyond_the_limit", limit_address_space, map_beyond_the_limit,
	 .success = -QUIRE_ENOMEM},
	{"munmap_whole", NULL, unmap_whole, .flags = NEEDS_NONE},
	{"munmap_head", NULL, unmap_head},
	{"munmap_tail", NULL, unmap_tail},
	{"munmap_middle", NULL, unmap_middle},
	{"munmap_cutting_both_ends", NULL, unmap_both_ends_cut},
	{"munmap_file_middle", NULL, unmap_file_middle},
	{"munmap_driver_middle", NULL, unmap_driver_middle},
	{"munmap_across_leaves", NULL, unmap_across_leaves},
	{"munmap_everything", NULL, unmap_everything, .flags = NEEDS_NONE},
	{"munmap_one_of_hundreds", fill_index, unmap_one_of_hundreds, .flags = NEEDS_NONE},
	{"munmap_hundreds", fill_index, unmap_hundreds},
	{"munmap_nothing", NULL, unmap_nothing, .flags = NEEDS_NONE},
	{"mprotect_whole", NULL, protect_whole},
	{"mprotect_head", NULL, protect_head},
	{"mprotect_tail", NULL, protect_tail},
	{"mprotect_middle", NULL, protect_middle},
	{"mprotect_none", NULL, protect_none},
	{"mprotect_exec", NULL, protect_exec},
	{"mprotect_that_merges", NULL, protect_merging},
	{"mprotect_that_gives_to_the_area_before", NULL, protect_to_the_one_before},
	{"mprotect_that_gives_to_the_area_behind", NULL, protect_to_the_one_behind},
	{"mprotect_several", NULL, protect_several},
	{"mprotect_everything", NULL, protect_everything},
	{"mprotect_up_to_a_hole", NULL, protect_to_a_hole, .failure2 = 1, .success = -QUIRE_ENOMEM},
	{"mprotect_writable", NULL, protect_writable},
	{"mprotect_file", NULL, protect_file},
	{"mprotect_driver", NULL, protect_driver},
	{"mprotect_growsdown", NULL, protect_growsdown},
	{"mprotect_charging", charge_read_only, protect_charging},
	{"mprotect_locked_pages_that_a_child_shares", lock_read_only, protect_locked,
	 .flags = MAKES_DO | KEEPS_AREAS},
	{"mprotect_hundreds", fill_index, protect_hundreds},
	{"brk_grows", NULL, brk_grows},
	{"brk_grows_a_new_area", cut_heap, brk_grows},
	{"brk_makes_a_heap", no_heap, brk_grows},
	{"brk_shrinks", NULL, brk_shrinks},
	{"brk_takes_the_heap_away", NULL, brk_goes},
	{"brk_locked", lock_all, brk_grows, .flags = MAKES_DO | KEEPS_AREAS},
	{"mseal_part", NULL, seal_part},
	{"mseal_whole", NULL, seal_whole},
	{"mseal_many", NULL, seal_many},
	{"remap_file_pages", NULL, other_file_pages, .flags = MAKES_DO | KEEPS_AREAS},
	{"insert_anonymous_area", NULL, insert_anonymous},
	{"insert_file_area", NULL, insert_file},
	{NULL},
};

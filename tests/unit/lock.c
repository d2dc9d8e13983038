/* SPDX-License-Identifier: MIT */
/*
 * mlock, mlock2, munlock, mlockall, munlockall on the simulated machine: which areas are locked,
 * what is faulted in, what the limit says. The pictures and errors were seen on Linux 6.18,
 * x86-64; mlock(2) has the rest.
 */
#include <mm/internal.h>

#include "space_disk.h"

static int setup(void **state)
{
	return space_disk_setup(state, 1, 2);
}

#define lock_test(fn) cmocka_unit_test_setup_teardown(fn, setup, space_disk_teardown)

static int lock_at(uint64_t start, uint64_t n)
{
	return quire_mlock(space.mm, P(start), n * PAGE);
}

static int unlock_at(uint64_t start, uint64_t n)
{
	return quire_munlock(space.mm, P(start), n * PAGE);
}

/*
 * One letter a page of the window's first 16: L locked, F locked on fault, . neither, a blank: no
 * area.
 */
static void assert_locked(const char *expected)
{
	char seen[17] = "";

	for (uint64_t i = 0; i < 16; i++) {
		struct quire_vma *vma = area(space.mm, P(i));

		seen[i] = !vma				      ? ' '
			  : vma->flags & QUIRE_VM_LOCKONFAULT ? 'F'
			  : vma->flags & QUIRE_VM_LOCKED      ? 'L'
							      : '.';
	}
	assert_string_equal(seen, expected);
	check_space(space.mm);
}

static unsigned resident(uint64_t start, uint64_t n)
{
	unsigned pages = 0;

	for (uint64_t i = start; i < start + n; i++)
		pages += frame(space.mm, P(i)) != 0;
	return pages;
}

/* ---- Areas ------------------------------------------------------------------------------- */

/*
 *	area    |-------A-------|
 *	mlock       |---|
 *	after   |-A-|-L-|---A---|
 */
static void locking_a_part(void **state)
{
	map_at(0, 16, "rw");
	assert_int_equal(lock_at(4, 4), 0);
	assert_locked("....LLLL........");
	assert_picture("0-4 rw-p, 4-8 rw-p, 8-16 rw-p");
	assert_int_equal(space.mm->locked_vm, 4);
	assert_int_equal(resident(0, 16), 4);
	assert_int_equal(lock_at(2, 4), 0);
	assert_locked("..LLLLLL........");
	assert_int_equal(space.mm->locked_vm, 6);
	assert_int_equal(unlock_at(5, 9), 0);
	assert_locked("..LLL...........");
	assert_int_equal(unlock_at(0, 16), 0);
	assert_picture("0-16 rw-p");
	assert_int_equal(space.mm->locked_vm, 0);
}

/* Addresses are rounded down, ends up. */
static void bytes_lock_their_pages(void **state)
{
	map_at(0, 16, "rw");
	assert_int_equal(quire_mlock(space.mm, P(1) + 100, PAGE), 0);
	assert_locked(".LL.............");
	assert_int_equal(quire_munlock(space.mm, P(2) - 1, 2), 0);
	assert_locked("................");
}

static void locking_on_fault(void **state)
{
	map_at(0, 16, "rw");
	set(P(1), 1);
	assert_int_equal(quire_mlock2(space.mm, P(0), 4 * PAGE, QUIRE_MLOCK_ONFAULT), 0);
	assert_locked("FFFF............");
	assert_int_equal(space.mm->locked_vm, 4);
	assert_int_equal(resident(0, 4), 1);
	assert_int_equal(quire_mlock2(space.mm, P(0), 2 * PAGE, 0), 0);
	assert_locked("LLFF............");
	assert_int_equal(space.mm->locked_vm, 4);
	assert_int_equal(resident(0, 4), 2);
	assert_int_equal(quire_mlock2(space.mm, P(0), PAGE, 2), -QUIRE_EINVAL);
	assert_int_equal(unlock_at(0, 4), 0);
	assert_locked("................");
}

/* What lies before the hole is locked all the same. */
static void a_hole_ends_it(void **state)
{
	map_at(0, 4, "rw");
	map_at(5, 11, "rw");
	assert_int_equal(lock_at(0, 8), -QUIRE_ENOMEM);
	assert_locked("LLLL ...........");
	assert_int_equal(space.mm->locked_vm, 4);
	assert_int_equal(resident(0, 4), 0);
	assert_int_equal(unlock_at(0, 16), -QUIRE_ENOMEM);
	assert_locked(".... ...........");
	assert_int_equal(lock_at(4, 2), -QUIRE_ENOMEM);
	assert_int_equal(lock_at(15, 4), -QUIRE_ENOMEM);
	assert_locked(".... ..........L");
}

static void lengths_that_wrap(void **state)
{
	map_at(0, 4, "rw");
	assert_int_equal(quire_mlock(space.mm, P(0), UINT64_MAX), 0);
	assert_int_equal(quire_mlock(space.mm, P(0) + 1, UINT64_MAX), 0);
	assert_int_equal(quire_mlock(space.mm, P(0) + 1, -PAGE), 0);
	assert_int_equal(quire_mlock(space.mm, P(0), -PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_munlock(space.mm, P(0), UINT64_MAX), 0);
	assert_int_equal(quire_mlock(space.mm, -PAGE, PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_mlock(space.mm, space.mm->layout.task_size, PAGE), -QUIRE_ENOMEM);
	assert_int_equal(quire_mlock(space.mm, 0, 0), 0);
	assert_int_equal(space.mm->locked_vm, 0);
}

/* ---- Pages ------------------------------------------------------------------------------- */

/* PROT_NONE, or beyond the end of a file: locked, but ENOMEM. */
static void pages_that_cannot_be_had(void **state)
{
	map_at(0, 3, "rw");
	assert_int_equal(protect_at(1, 1, ""), 0);
	assert_int_equal(lock_at(0, 3), -QUIRE_ENOMEM);
	assert_locked("LLL             ");
	put_file(space.mm, P(4), 4, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(lock_at(4, 4), -QUIRE_ENOMEM);
	assert_locked("LLL LLLL        ");
	assert_int_equal(resident(4, 4), 2);
}

/* Private writable pages are the process's own at once; others are only read. */
static void locking_breaks_copy_on_write(void **state)
{
	put_file(space.mm, P(0), 2, VM_RW, &disk->file, 0);
	put_file(space.mm, P(2), 2, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(lock_at(0, 4), 0);
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 2);
	assert_int_equal(space.mm->rss[QUIRE_RSS_FILE], 2);
	assert_int_equal(disk->mkwrites, 0);
	assert_int_equal(get(P(1)), disk_byte(PAGE));
}

static void the_host_can_do_the_populating(void **state)
{
	space.q->mms.sysctl.populate_disabled = true;
	map_at(0, 4, "rw");
	assert_int_equal(lock_at(0, 4), 0);
	assert_locked("LLLL            ");
	assert_int_equal(resident(0, 4), 0);
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_CURRENT), 0);
}

static int special_fault(struct quire_vmf *vmf)
{
	vmf->page = quire_page_alloc(space.q, QUIRE_GFP_USER | QUIRE_GFP_ZERO, 0);
	return vmf->page ? 0 : -QUIRE_ENOMEM;
}

static const struct quire_vm_ops special_ops = {.name = "[test]", .fault = special_fault};

/*
 * The kernel's own mappings, drivers' and memory that may vanish are never locked; that is no
 * error.
 */
static void some_areas_are_never_locked(void **state)
{
	put_driver(space.mm, P(0), 2, VM_R | QUIRE_VM_DONTEXPAND, &special_ops, NULL);
	put_driver(space.mm, P(2), 2, VM_R | QUIRE_VM_IO | QUIRE_VM_PFNMAP, &special_ops, NULL);
	put_area(space.mm, P(4), 2, VM_RW | QUIRE_VM_DROPPABLE);
	assert_int_equal(quire_mlock2(space.mm, P(0), 6 * PAGE, QUIRE_MLOCK_ONFAULT), 0);
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_CURRENT | QUIRE_MCL_ONFAULT), 0);
	assert_locked("......          ");
	assert_int_equal(space.mm->locked_vm, 0);
}

/* ---- What meminfo says ------------------------------------------------------------------- */

static void assert_mlocked(int64_t pages)
{
	check_space(space.mm);
	assert_int_equal(quire_stat_read(space.q, QUIRE_STAT_MLOCK), pages);
}

/* Present, a page's own, once each: as Mlocked went on Linux 6.18 with areas of 1,000 pages. */
static void mlocked_counts_pages_that_are_there(void **state)
{
	struct quire_mm *child;

	map_at(0, 8, "rw");
	for (uint64_t i = 0; i < 4; i++)
		set(P(i), 1);
	assert_mlocked(0);
	assert_int_equal(quire_mlock2(space.mm, P(0), 8 * PAGE, QUIRE_MLOCK_ONFAULT), 0);
	assert_mlocked(4);
	set(P(4), 1);
	assert_mlocked(5);
	assert_int_equal(get(P(5)), 0);
	assert_mlocked(5); /* the page of zeroes is not counted */
	assert_int_equal(lock_at(0, 8), 0);
	assert_mlocked(8);
	child = fork_space(space.mm);
	assert_mlocked(8);
	assert_int_equal(quire_mlock2(child, P(0), 8 * PAGE, QUIRE_MLOCK_ONFAULT), 0);
	assert_mlocked(8);
	set(P(0), 2);
	assert_mlocked(9);
	put_space(child);
	assert_mlocked(8);
	assert_int_equal(protect_at(0, 8, ""), 0);
	assert_mlocked(8);
	assert_int_equal(unlock_at(0, 4), 0);
	assert_mlocked(4);
	assert_int_equal(quire_mremap(space.mm, P(4), 4 * PAGE, 4 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED |
					      QUIRE_MREMAP_DONTUNMAP,
				      P(12)),
			 P(12));
	assert_mlocked(4);
	assert_int_equal(quire_munmap(space.mm, P(12), 2 * PAGE), 0);
	assert_mlocked(2);
	assert_int_equal(quire_munlockall(space.mm), 0);
	assert_mlocked(0);
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_FUTURE), 0);
	map_at(10, 2, "rw");
	assert_mlocked(2);
}

static void mlocked_counts_a_shared_page_once(void **state)
{
	put_file(space.mm, P(0), 2, VM_RW | VM_S, &disk->file, 0);
	put_file(space.mm, P(2), 2, VM_RW | VM_S, &disk->file, 0);
	put_file(space.mm, P(4), 2, VM_RW, &disk->file, 0);
	assert_int_equal(lock_at(0, 2), 0);
	assert_mlocked(2);
	assert_int_equal(lock_at(2, 2), 0);
	assert_mlocked(2);
	assert_int_equal(unlock_at(0, 2), 0);
	assert_mlocked(2);
	assert_int_equal(quire_munmap(space.mm, P(2), 2 * PAGE), 0);
	assert_mlocked(0);
	assert_int_equal(quire_mlock2(space.mm, P(4), 2 * PAGE, QUIRE_MLOCK_ONFAULT), 0);
	assert_int_equal(get(P(4)), disk_byte(0));
	assert_mlocked(AROUND < 2 ? AROUND : 2); /* the neighbour was mapped with it */
	set(P(4), 1);
	assert_mlocked(AROUND < 2 ? AROUND : 2); /* the copy, and no longer the file's page */
	quire_object_truncate(disk->file.object, 0);
	assert_mlocked(0);
}

static void a_drivers_own_pages_are_not_counted(void **state)
{
	put_driver(space.mm, P(0), 2, VM_R, &special_ops, NULL);
	assert_int_equal(lock_at(0, 2), 0);
	assert_locked("LL              ");
	assert_mlocked(0);
	assert_int_equal(unlock_at(0, 1), 0);
	assert_mlocked(0);
}

/* ---- The limit --------------------------------------------------------------------------- */

static void the_limit_counts_what_is_locked_once(void **state)
{
	map_at(0, 16, "rw");
	space.mm->limits.memlock = 5 * PAGE - 1;
	assert_int_equal(lock_at(0, 5), -QUIRE_ENOMEM);
	assert_int_equal(lock_at(0, 4), 0);
	assert_int_equal(lock_at(0, 4), 0);
	assert_int_equal(lock_at(2, 4), -QUIRE_ENOMEM);
	assert_int_equal(lock_at(0, 5), -QUIRE_ENOMEM);
	assert_locked("LLLL............");
	assert_int_equal(quire_mlock(space.mm, P(0), UINT64_MAX), 0);
	assert_int_equal(quire_mlock(space.mm, P(0), -2 * PAGE), -QUIRE_ENOMEM);
	space.mm->limits.cap_ipc_lock = true;
	assert_int_equal(lock_at(0, 16), 0);
}

static void a_limit_of_nothing(void **state)
{
	map_at(0, 4, "rw");
	assert_int_equal(lock_at(0, 1), 0);
	space.mm->limits.memlock = 0;
	assert_int_equal(lock_at(0, 1), -QUIRE_EPERM);
	assert_int_equal(lock_at(0, 0), -QUIRE_EPERM);
	assert_int_equal(quire_mlock2(space.mm, P(0), PAGE, 2), -QUIRE_EINVAL);
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_CURRENT), -QUIRE_EPERM);
	assert_int_equal(quire_mlockall(space.mm, 0), -QUIRE_EINVAL);
	assert_int_equal(unlock_at(0, 1), 0);
	assert_int_equal(quire_munlockall(space.mm), 0);
}

/* ---- All of it --------------------------------------------------------------------------- */

static void locking_all(void **state)
{
	map_at(0, 2, "rw");
	map_at(4, 2, "r");
	assert_int_equal(quire_mlockall(space.mm, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_ONFAULT), -QUIRE_EINVAL);
	assert_int_equal(quire_mlockall(space.mm, 8), -QUIRE_EINVAL);
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_CURRENT), 0);
	assert_locked("LL  LL          ");
	assert_int_equal(resident(0, 6), 4);
	map_at(8, 1, "rw");
	assert_locked("LL  LL  .       ");
	assert_int_equal(quire_munlockall(space.mm), 0);
	assert_locked("..  ..  .       ");
}

static void locking_all_that_is_to_come(void **state)
{
	map_at(0, 2, "rw");
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT), 0);
	assert_locked("..              ");
	map_at(4, 2, "rw");
	assert_locked("..  FF          ");
	assert_int_equal(resident(4, 2), 0);
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_FUTURE), 0);
	map_at(8, 2, "rw");
	assert_locked("..  FF  LL      ");
	assert_int_equal(resident(8, 2), 2);
	/* Without FUTURE it is over. */
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_CURRENT | QUIRE_MCL_ONFAULT), 0);
	map_at(12, 2, "rw");
	assert_locked("FF  FF  FF  ..  ");
}

static void locking_all_within_the_limit(void **state)
{
	map_at(0, 6, "rw");
	space.mm->limits.memlock = 4 * PAGE;
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE),
			 -QUIRE_ENOMEM);
	assert_int_equal(space.mm->def_flags, 0);
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_FUTURE), 0);
	assert_int_equal(quire_mmap(space.mm, 0, 5 * PAGE, QUIRE_PROT_READ, ANON, NULL, 0),
			 -QUIRE_EAGAIN);
	assert_int_equal(quire_munlockall(space.mm), 0);
	space.mm->limits.memlock = 6 * PAGE;
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_CURRENT), 0);
}

/* ---- Want of areas and memory ------------------------------------------------------------ */

/* The first cut could be made; Linux leaves it. */
static void too_many_areas(void **state)
{
	map_at(0, 8, "rw");
	map_at(8, 2, "r");
	space.q->mms.sysctl.max_map_count = 3;
	assert_int_equal(lock_at(2, 2), -QUIRE_ENOMEM);
	assert_picture("0-2 rw-p, 2-8 rw-p, 8-10 r--p");
	assert_locked("..........      ");
	assert_int_equal(lock_at(2, 8), 0);
	assert_locked("..LLLLLLLL      ");
}

#if QUIRE_DEBUG
static int64_t call_mlock(void)
{
	return quire_mlock2(space.mm, P(1), 12 * PAGE, QUIRE_MLOCK_ONFAULT);
}

static int64_t call_mlockall(void)
{
	return quire_mlockall(space.mm, QUIRE_MCL_CURRENT | QUIRE_MCL_ONFAULT | QUIRE_MCL_FUTURE);
}

static void fill_space(void)
{
	for (uint64_t i = 0; i < 16; i++)
		map_at(i, 1, i % 2 ? "rw" : "r");
}
#endif

static void mlock_without_memory(void **state)
{
#if QUIRE_DEBUG
	fill_space();
	assert_true(assert_no_memory_no_change(&space.q->slabs.fail, call_mlock, -QUIRE_ENOMEM) >=
		    12);
#endif
}

static void mlockall_without_memory(void **state)
{
#if QUIRE_DEBUG
	fill_space();
	assert_true(assert_no_memory_no_change(&space.q->slabs.fail, call_mlockall,
					       -QUIRE_ENOMEM) >= 16);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lock_test(locking_a_part),
		lock_test(bytes_lock_their_pages),
		lock_test(locking_on_fault),
		lock_test(a_hole_ends_it),
		lock_test(lengths_that_wrap),
		lock_test(pages_that_cannot_be_had),
		lock_test(locking_breaks_copy_on_write),
		lock_test(the_host_can_do_the_populating),
		lock_test(some_areas_are_never_locked),
		lock_test(mlocked_counts_pages_that_are_there),
		lock_test(mlocked_counts_a_shared_page_once),
		lock_test(a_drivers_own_pages_are_not_counted),
		lock_test(the_limit_counts_what_is_locked_once),
		lock_test(a_limit_of_nothing),
		lock_test(locking_all),
		lock_test(locking_all_that_is_to_come),
		lock_test(locking_all_within_the_limit),
		lock_test(too_many_areas),
		lock_test(mlock_without_memory),
		lock_test(mlockall_without_memory),
	};

	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}

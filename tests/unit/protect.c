/* SPDX-License-Identifier: MIT */
/*
 * mprotect(2) as its manual page has it: errors and their order, what of a range that has a hole or a forbidden
 * area is changed, rights that take effect at once, what is promised and counted. Which areas become one is
 * in merge.c. Errors and partial effects were seen on Linux 6.18.44.
 */
#include "picture.h"

#define R QUIRE_PROT_READ
#define W QUIRE_PROT_WRITE
#define X QUIRE_PROT_EXEC
#define DOWN QUIRE_PROT_GROWSDOWN
#define UP QUIRE_PROT_GROWSUP

static uint64_t flags_at(uint64_t addr)
{
	struct quire_vma *vma = area(space.mm, addr);

	assert_non_null(vma);
	return vma->flags;
}

/* ---- Arguments --------------------------------------------------------------------------- */

static void arguments_are_checked(void **state)
{
	static const struct {
		uint64_t addr, len;
		uint32_t prot;
		int err;
	} cases[] = {
		{ P(0), PAGE, R | DOWN | UP, QUIRE_EINVAL },
		{ P(0) + 1, 0, R, QUIRE_EINVAL }, /* unaligned comes before nothing to do */
		{ P(0), 0, R, 0 },
		{ P(0), 0, 0x10, 0 },             /* nothing to do comes before what is unknown */
		{ P(0), UINT64_MAX, R, QUIRE_ENOMEM },
		{ UINT64_C(0) - PAGE, PAGE, R, QUIRE_ENOMEM },
		{ P(0), PAGE, 0x10, QUIRE_EINVAL },
		{ P(0), PAGE, R | QUIRE_PROT_SEM, 0 },
		{ P(10), PAGE, R, QUIRE_ENOMEM },      /* nothing there */
		{ P(1), 5 * PAGE, R, QUIRE_ENOMEM },   /* begins in a hole */
		{ P(0), PAGE, R | UP, QUIRE_EINVAL },  /* nothing grows upwards here */
		{ P(0), PAGE, R | DOWN, QUIRE_EINVAL },
		{ P(1), PAGE, R | DOWN, QUIRE_ENOMEM },
		{ P(1), PAGE, R | UP, QUIRE_ENOMEM },
	};

	(void)state;
	map_at(0, 1, "rw");
	map_at(4, 1, "rw");
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(cases); i++) {
		int answer = quire_mprotect(space.mm, cases[i].addr, cases[i].len, cases[i].prot);

		if (answer != -cases[i].err)
			fail_msg("case %zu: %d instead of %d", i, answer, -cases[i].err);
	}
	assert_picture("0-1 r--p, 4-5 rw-p");
}

/* ---- Rights take effect ------------------------------------------------------------------ */

/* The entries are there already, and in the TLB. */
static void rights_are_taken_at_once(void **state)
{
	(void)state;
	map_at(0, 4, "rwx");
	for (uint64_t n = 0; n < 4; n++) {
		set(P(n), 7);
		fetch(P(n));
	}
	assert_int_equal(protect_at(1, 2, "r"), 0);
	assert_picture("0-1 rwxp, 1-3 r--p, 3-4 rwxp");
	assert_int_equal(get(P(1)), 7);
	assert_accerr(QUIRE_ACCESS_WRITE, P(1));
	assert_no_exec(P(2));
	set(P(3), 8);
	fetch(P(3));
	assert_int_equal(protect_at(0, 4, "n"), 0);
	for (uint64_t n = 0; n < 4; n++) {
		assert_accerr(QUIRE_ACCESS_READ, P(n));
		assert_accerr(QUIRE_ACCESS_WRITE, P(n));
	}
	assert_picture("0-4 ---p");
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 4);
}

static void rights_are_given_back(void **state)
{
	(void)state;
	map_at(0, 4, "rw");
	set(P(0), 1);
	set(P(2), 2);
	assert_int_equal(protect_at(0, 4, "n"), 0);
	assert_int_equal(protect_at(0, 4, "rw"), 0);
	assert_picture("0-4 rw-p");
	assert_int_equal(get(P(0)), 1);
	assert_int_equal(get(P(1)), 0);
	set(P(2), 3);
	assert_int_equal(get(P(2)), 3);
}

/* A private page of a file becomes writable: the file does not see what is written. */
static void private_pages_stay_private(void **state)
{
	struct disk *disk = disk_new(space.q, DISK_PAGES * PAGE);

	(void)state;
	assert_int_equal(quire_mmap(space.mm, P(0), 2 * PAGE, R, QUIRE_MAP_PRIVATE, &disk->file, 0), P(0));
	assert_int_equal(quire_mmap(space.mm, P(4), 2 * PAGE, R, QUIRE_MAP_SHARED, &disk->file, 0), P(4));
	assert_int_equal(get(P(0)), disk_byte(0));
	assert_int_equal(protect_at(0, 2, "rw"), 0);
	assert_int_equal(space.q->mms.committed, 2);
	set(P(0), 200);
	assert_int_equal(get(P(0)), 200);
	assert_int_equal(get(P(4)), disk_byte(0));
	/* And a shared one becomes it too, if the file was opened for that. */
	assert_int_equal(protect_at(4, 2, "rw"), 0);
	set(P(5), 201);
	assert_int_equal(get(P(1)), 201);
	assert_int_equal(space.q->mms.committed, 2);
	check_space(space.mm);
	assert_int_equal(unmap_at(0, 6), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

/* ---- What may not be --------------------------------------------------------------------- */

/* MAY rights: a file opened for reading cannot be written to through a shared map. */
static void forbidden_rights_are_eacces(void **state)
{
	struct disk *disk = disk_new(space.q, DISK_PAGES * PAGE);

	(void)state;
	disk->file.flags = QUIRE_FILE_READ | QUIRE_FILE_NOEXEC;
	map_at(0, 2, "r");
	assert_int_equal(quire_mmap(space.mm, P(2), 2 * PAGE, R, QUIRE_MAP_SHARED, &disk->file, 0), P(2));
	map_at(4, 2, "r");
	assert_int_equal(protect_at(2, 1, "rw"), -QUIRE_EACCES);
	assert_int_equal(protect_at(2, 1, "rx"), -QUIRE_EACCES);
	/* What lies before it is changed, what lies behind is not. */
	assert_int_equal(protect_at(1, 4, "rw"), -QUIRE_EACCES);
	assert_picture("0-1 r--p, 1-2 rw-p, 2-4 r--s, 4-6 r--p");
	set(P(1), 1);
	assert_int_equal(unmap_at(2, 2), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

static void seals_are_eperm(void **state)
{
	(void)state;
	map_at(0, 6, "rw");
	assert_int_equal(quire_mseal(space.mm, P(2), 2 * PAGE, 0), 0);
	/* Even if nothing would change. */
	assert_int_equal(protect_at(2, 1, "rw"), -QUIRE_EPERM);
	assert_int_equal(protect_at(0, 6, "r"), -QUIRE_EPERM);
	assert_picture("0-2 r--p, 2-4 rw-p, 4-6 rw-p");
}

/*
 *	areas      |--A--|--B--|    |--C--|
 *	mprotect      |----------------|      ENOMEM
 *	after      |A-|A'|--B'-|    |--C--|
 */
static void a_hole_ends_it(void **state)
{
	(void)state;
	map_at(0, 2, "rw");
	map_at(2, 2, "rwx");
	map_at(6, 2, "rw");
	set(P(1), 1);
	set(P(3), 1);
	assert_int_equal(protect_at(1, 6, "r"), -QUIRE_ENOMEM);
	assert_picture("0-1 rw-p, 1-4 r--p, 6-8 rw-p");
	assert_accerr(QUIRE_ACCESS_WRITE, P(1));
	assert_accerr(QUIRE_ACCESS_WRITE, P(3));
	set(P(6), 1);
	/* The same when the end lies in a hole. */
	assert_int_equal(protect_at(6, 3, "r"), -QUIRE_ENOMEM);
	assert_picture("0-1 rw-p, 1-4 r--p, 6-8 r--p");
}

/* Linux cuts at the beginning, then has no area left for the cut at the end. */
static void max_map_count_stops_cuts(void **state)
{
	(void)state;
	map_at(0, 6, "rw");
	space.q->mms.sysctl.max_map_count = 2;
	assert_int_equal(protect_at(2, 2, "r"), -QUIRE_ENOMEM);
	assert_picture("0-2 rw-p, 2-6 rw-p");
	assert_int_equal(protect_at(3, 1, "r"), -QUIRE_ENOMEM);
	assert_int_equal(protect_at(2, 4, "r"), 0);
	assert_picture("0-2 rw-p, 2-6 r--p");
	/* Moving the border between two makes no area. */
	assert_int_equal(protect_at(2, 1, "rw"), 0);
	assert_picture("0-3 rw-p, 3-6 r--p");
}

/* ---- Many areas -------------------------------------------------------------------------- */

#define MANY 3000u

/* MANY areas of a page, of three kinds of rights in turn, far from the window of the pictures. */
static void map_many(uint64_t at)
{
	static const uint32_t prots[] = { R, R | W, X };

	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(quire_mmap(space.mm, at + i * PAGE, PAGE, prots[i % 3],
					    ANON | QUIRE_MAP_FIXED, NULL, 0), at + i * PAGE);
	assert_int_equal(space.mm->index.count, MANY);
}

/* All of them become one. */
static void many_areas_change_in_one_call(void **state)
{
	uint64_t at = 0x60000000;

	(void)state;
	map_many(at);
	assert_int_equal(get(at + PAGE), 0);
	assert_int_equal(quire_mprotect(space.mm, at, MANY * PAGE, R | X), 0);
	check_space(space.mm);
	assert_int_equal(space.mm->index.count, 1);
	assert_int_equal(space.mm->exec_vm, MANY);
	assert_accerr(QUIRE_ACCESS_WRITE, at + PAGE);
}

/* One in three has the rights already and stays as it is, among those that change. */
static void what_has_its_rights_stays(void **state)
{
	uint64_t at = 0x60000000;
	struct quire_vma *kept;

	(void)state;
	for (uint64_t i = 0; i < MANY; i++)
		assert_int_equal(quire_mmap(space.mm, at + 2 * i * PAGE, PAGE, i % 3 ? R : R | X,
					    ANON | QUIRE_MAP_FIXED, NULL, 0), at + 2 * i * PAGE);
	kept = area(space.mm, at + 6 * PAGE);
	/* mlock goes over all of them, holes and all. */
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_CURRENT | QUIRE_MCL_ONFAULT), 0);
	check_space(space.mm);
	assert_int_equal(space.mm->index.count, MANY);
	assert_int_equal(space.mm->locked_vm, MANY);
	for (uint64_t i = 0; i < MANY; i += 3)
		assert_int_equal(quire_munlock(space.mm, at + 2 * i * PAGE, PAGE), 0);
	kept = area(space.mm, at + 6 * PAGE);
	assert_int_equal(quire_munlockall(space.mm), 0);
	check_space(space.mm);
	assert_int_equal(space.mm->locked_vm, 0);
	assert_int_equal(space.mm->index.count, MANY);
	assert_ptr_equal(area(space.mm, at + 6 * PAGE), kept);
}

/* ---- Stacks ------------------------------------------------------------------------------ */

/* PROT_GROWSDOWN: from the beginning of the stack's area. */
static void growsdown_begins_at_the_area(void **state)
{
	(void)state;
	assert_int_equal(quire_mmap(space.mm, P(2), 4 * PAGE, R | W, ANON | QUIRE_MAP_GROWSDOWN, NULL, 0), P(2));
	assert_int_equal(quire_mprotect(space.mm, P(4), PAGE, R | DOWN), 0);
	assert_picture("2-5 r--p, 5-6 rw-p");
	/* The range may begin below the area. */
	assert_int_equal(quire_mprotect(space.mm, P(0), 3 * PAGE, R | W | DOWN), 0);
	assert_picture("2-3 rw-p, 3-5 r--p, 5-6 rw-p");
	assert_int_equal(quire_mprotect(space.mm, P(0), PAGE, R | DOWN), -QUIRE_ENOMEM);
	assert_int_equal(space.mm->stack_vm, 4);
}

static void read_may_imply_exec(void **state)
{
	(void)state;
	map_at(0, 2, "rw");
	space.mm->limits.read_implies_exec = true;
	assert_int_equal(protect_at(0, 1, "r"), 0);
	assert_int_equal(protect_at(1, 1, "w"), 0);
	assert_picture("0-1 r-xp, 1-2 -w-p");
}

/* ---- Promises and limits ----------------------------------------------------------------- */

/* Writable private memory is promised. Read-only again, it stays so once it has been written to. */
static void becoming_writable_is_a_promise(void **state)
{
	(void)state;
	map_at(0, 4, "r");
	assert_int_equal(space.q->mms.committed, 0);
	assert_int_equal(protect_at(0, 4, "rw"), 0);
	assert_int_equal(space.q->mms.committed, 4);
	assert_int_equal(protect_at(0, 4, "r"), 0);
	assert_int_equal(space.q->mms.committed, 0);
	assert_false(flags_at(P(0)) & QUIRE_VM_ACCOUNT);
	assert_int_equal(protect_at(0, 4, "rw"), 0);
	set(P(1), 1);
	assert_int_equal(protect_at(0, 2, "r"), 0);
	assert_int_equal(space.q->mms.committed, 4);
	assert_true(flags_at(P(0)) & QUIRE_VM_ACCOUNT);
	assert_int_equal(unmap_at(0, 3), 0);
	assert_int_equal(space.q->mms.committed, 1);
	check_space(space.mm);
}

static void a_promise_may_be_refused(void **state)
{
	struct quire_sysctl *ctl = &space.q->mms.sysctl;

	(void)state;
	map_at(0, 4, "r");
	map_at(4, 4, "rx");
	ctl->overcommit_memory = QUIRE_OVERCOMMIT_NEVER;
	ctl->overcommit_kbytes = KB_OF(6);
	ctl->admin_reserve_kbytes = 0;
	ctl->user_reserve_kbytes = 0;
	/* The first four are had, the second four are not: Linux changes the first. */
	assert_int_equal(protect_at(0, 8, "rw"), -QUIRE_ENOMEM);
	assert_picture("0-4 rw-p, 4-8 r-xp");
	assert_int_equal(space.q->mms.committed, 4);
}

static void rlimit_data_counts_it(void **state)
{
	(void)state;
	map_at(0, 4, "r");
	map_at(4, 4, "rw");
	space.mm->limits.data = 6 * PAGE;
	assert_int_equal(protect_at(0, 3, "rw"), -QUIRE_ENOMEM);
	assert_int_equal(protect_at(0, 2, "rw"), 0);
	assert_picture("0-2 rw-p, 2-4 r--p, 4-8 rw-p");
	/* What is data already may change as it likes. */
	space.mm->limits.data = PAGE;
	assert_int_equal(protect_at(4, 4, "rwx"), 0);
	assert_int_equal(protect_at(2, 1, "rw"), -QUIRE_ENOMEM);
	assert_int_equal(protect_at(4, 4, "r"), 0);
	assert_int_equal(space.mm->data_vm, 2);
}

static void pages_change_their_kind(void **state)
{
	struct quire_mm *mm = space.mm;

	(void)state;
	map_at(0, 4, "rw");
	assert_int_equal(protect_at(1, 2, "rx"), 0);
	assert_int_equal(mm->data_vm, 2);
	assert_int_equal(mm->exec_vm, 2);
	assert_int_equal(protect_at(0, 4, "r"), 0);
	assert_int_equal(mm->data_vm + mm->exec_vm, 0);
	assert_int_equal(mm->total_vm, 4);
	check_space(mm);
}

/* Locked private memory that becomes writable is copied at once. */
static void locked_memory_is_copied_at_once(void **state)
{
	(void)state;
	map_at(0, 2, "r");
	assert_int_equal(quire_mlock(space.mm, P(0), 2 * PAGE), 0);
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 0); /* the page of zeroes */
	assert_int_equal(protect_at(0, 2, "rw"), 0);
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 2);
	check_space(space.mm);
}

/*
 * Only what was not writable before, whatever it becomes one area with. An mlock() that stops at its first page has
 * left the rest locked, but empty:
 *
 *	locked     |--w--|--x--|
 *	mprotect   |----rwx----|
 *	pages             now
 */
static void only_what_was_not_writable_is_copied(void **state)
{
	struct quire_mm *mm = space.mm;

	(void)state;
	map_at(1, 2, "x");
	assert_int_equal(protect_at(1, 1, "w"), 0);
	assert_int_equal(quire_mmap(mm, P(0), PAGE, QUIRE_PROT_NONE, ANON | QUIRE_MAP_FIXED, NULL, 0), P(0));
	assert_int_equal(quire_mlock(mm, P(0), 3 * PAGE), -QUIRE_ENOMEM);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 0);
	assert_int_equal(protect_at(1, 2, "rwx"), 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	check_space(mm);
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
static int64_t retry_unlock(void)
{
	return quire_munlockall(space.mm);
}

/* Those that stay are in the plan's way while memory runs out. */
static void no_memory_for_many(void **state)
{
	unsigned failures;

	(void)state;
	for (uint64_t n = 0; n < 60; n += 2)
		map_at(n, 1, "r");
	assert_int_equal(quire_mlockall(space.mm, QUIRE_MCL_CURRENT | QUIRE_MCL_ONFAULT), 0);
	for (uint64_t n = 4; n < 60; n += 6)
		assert_int_equal(quire_munlock(space.mm, P(n), PAGE), 0);
	assert_int_equal(each_allocation_fails(retry_unlock, -QUIRE_ENOMEM, &failures), 0);
	assert_true(failures >= 20);
	assert_int_equal(space.mm->locked_vm, 0);
}

static uint64_t retry_start, retry_pages;
static const char *retry_prot;

static int64_t retry_mprotect(void)
{
	return protect_at(retry_start, retry_pages, retry_prot);
}

static void assert_protect_survives(uint64_t start, uint64_t n, const char *prot)
{
	unsigned failures;

	retry_start = start;
	retry_pages = n;
	retry_prot = prot;
	assert_int_equal(each_allocation_fails(retry_mprotect, -QUIRE_ENOMEM, &failures), 0);
	assert_true(failures > 0);
}

static void no_memory_changes_nothing(void **state)
{
	(void)state;
	map_at(0, 30, "rw");
	set(P(4), 1);
	assert_protect_survives(2, 4, "r");   /* cut twice */
	assert_protect_survives(2, 2, "rw");  /* merge below */
	assert_protect_survives(5, 1, "rw");  /* merge above */
	assert_protect_survives(4, 1, "rw");  /* merge both */
	assert_picture("0-30 rw-p");
	for (uint64_t n = 1; n < 30; n += 2)
		assert_int_equal(protect_at(n, 1, "r"), 0);
	assert_protect_survives(0, 30, "rx"); /* many */
	assert_picture("0-30 r-xp");
	assert_protect_survives(3, 20, "rw");
	assert_picture("0-3 r-xp, 3-23 rw-p, 23-30 r-xp");
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		space_test(arguments_are_checked),
		space_test(rights_are_taken_at_once),
		space_test(rights_are_given_back),
		space_test(private_pages_stay_private),
		space_test(forbidden_rights_are_eacces),
		space_test(seals_are_eperm),
		space_test(a_hole_ends_it),
		space_test(max_map_count_stops_cuts),
		space_test(many_areas_change_in_one_call),
		space_test(what_has_its_rights_stays),
		space_test(growsdown_begins_at_the_area),
		space_test(read_may_imply_exec),
		space_test(becoming_writable_is_a_promise),
		space_test(a_promise_may_be_refused),
		space_test(rlimit_data_counts_it),
		space_test(pages_change_their_kind),
		space_test(locked_memory_is_copied_at_once),
		space_test(only_what_was_not_writable_is_copied),
#if QUIRE_DEBUG
		space_test(no_memory_changes_nothing),
		space_test(no_memory_for_many),
#endif
	};

	return cmocka_run_group_tests_name("protect", tests, NULL, NULL);
}

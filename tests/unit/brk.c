/* SPDX-License-Identifier: MIT */
/*
 * brk(2) as the system call answers: the break as it is afterwards, whether that is what was asked for or not.
 * The heap begins at page 8 of the window, with bss right below it; behaviour is that of Linux 6.18.44.
 */
#include "picture.h"

static struct quire_mm *mm;

/*
 *	|-data-|-bss-|    heap ->
 *	6      7     8
 */
static int setup(void **state)
{
	if (space_setup(state))
		return -1;
	mm = space.mm;
	mm->layout.start_data = P(6);
	mm->layout.end_data = P(7);
	mm->layout.start_brk = P(8);
	mm->layout.brk = P(8);
	put_area(mm, P(7), 1, VM_RW | QUIRE_VM_ACCOUNT);
	return 0;
}

#define brk_test(fn) cmocka_unit_test_setup_teardown(fn, setup, space_teardown)

/* ---- Growing and shrinking --------------------------------------------------------------- */

static void zero_asks_where_it_is(void **state)
{
	(void)state;
	assert_int_equal(quire_brk(mm, 0), P(8));
	assert_int_equal(quire_brk(mm, P(8) - 1), P(8));
	assert_picture("7-8 rw-p");
}

/* The break is a byte, the area is pages. bss is not the heap: they stay two. */
static void the_heap_is_whole_pages(void **state)
{
	(void)state;
	assert_int_equal(quire_brk(mm, P(8) + 1), P(8) + 1);
	assert_picture("7-8 rw-p, 8-9 rw-p");
	assert_int_equal(quire_brk(mm, P(9)), P(9));
	assert_picture("7-8 rw-p, 8-9 rw-p");
	assert_int_equal(quire_brk(mm, P(11) + 17), P(11) + 17);
	assert_picture("7-8 rw-p, 8-12 rw-p");
	set(P(11), 5);
	assert_int_equal(quire_brk(mm, P(11) + 1), P(11) + 1);
	assert_int_equal(get(P(11)), 5);
	assert_int_equal(mm->data_vm, 5);
	assert_int_equal(space.q->mms.committed, 5);
	assert_int_equal(area(mm, P(8))->flags, VM_RW | QUIRE_VM_ACCOUNT);
}

static void shrinking_gives_back(void **state)
{
	(void)state;
	quire_brk(mm, P(14));
	set(P(9), 1);
	set(P(13), 2);
	assert_int_equal(quire_brk(mm, P(10) + 5), P(10) + 5);
	assert_picture("7-8 rw-p, 8-11 rw-p");
	assert_maperr(QUIRE_ACCESS_READ, P(13));
	assert_int_equal(get(P(9)), 1);
	assert_int_equal(quire_brk(mm, P(14)), P(14));
	assert_picture("7-8 rw-p, 8-14 rw-p");
	assert_int_equal(get(P(13)), 0);
	assert_int_equal(quire_brk(mm, P(8)), P(8));
	assert_picture("7-8 rw-p");
	assert_int_equal(mm->total_vm, 1);
}

/* A heap that begins in the middle of bss' last page is one area with it. */
static void a_heap_within_bss_grows_it(void **state)
{
	(void)state;
	mm->layout.start_brk = mm->layout.brk = P(7) + 100;
	assert_int_equal(quire_brk(mm, P(8)), P(8));
	assert_picture("7-8 rw-p");
	assert_int_equal(quire_brk(mm, P(9)), P(9));
	assert_picture("7-9 rw-p");
}

/* ---- Who stands in the way --------------------------------------------------------------- */

/* One page stays free below the next area, and the guard if that is a stack. */
static void it_keeps_off_the_next_area(void **state)
{
	(void)state;
	map_at(16, 1, "r");
	assert_int_equal(quire_brk(mm, P(16)), P(8));
	assert_int_equal(quire_brk(mm, P(15) + 1), P(8));
	assert_int_equal(quire_brk(mm, P(15)), P(15));
	assert_picture("7-8 rw-p, 8-15 rw-p, 16-17 r--p");
}

static void it_keeps_off_a_stacks_guard(void **state)
{
	uint64_t guard = space.q->mms.sysctl.stack_guard_gap, stack = P(8) + guard + 10 * PAGE;

	(void)state;
	assert_int_equal(quire_mmap(mm, stack, PAGE, 3, ANON | QUIRE_MAP_GROWSDOWN | QUIRE_MAP_FIXED, NULL, 0),
			 stack);
	assert_int_equal(quire_brk(mm, P(18)), P(8));
	assert_int_equal(quire_brk(mm, P(17)), P(17));
	assert_picture("7-8 rw-p, 8-17 rw-p");
}

static void it_ends_where_the_space_ends(void **state)
{
	(void)state;
	assert_int_equal(quire_brk(mm, UINT64_MAX), P(8));
	assert_int_equal(quire_brk(mm, UINT64_MAX - PAGE), P(8));
	assert_int_equal(quire_brk(mm, mm->layout.task_size + PAGE), P(8));
	assert_picture("7-8 rw-p");
}

/* Shrinking over a hole is fine, over nothing at all is refused. Whatever is there goes. */
static void shrinking_takes_what_is_there(void **state)
{
	(void)state;
	quire_brk(mm, P(16));
	assert_int_equal(unmap_at(13, 3), 0);
	assert_int_equal(quire_brk(mm, P(14)), P(16));
	assert_int_equal(quire_brk(mm, P(12)), P(12));
	assert_picture("7-8 rw-p, 8-12 rw-p");
	map_at(10, 2, "r");
	assert_int_equal(quire_brk(mm, P(9)), P(9));
	assert_picture("7-8 rw-p, 8-9 rw-p");
}

/* What the heap no longer merges with gets a neighbour. */
static void changed_heaps_grow_by_another_area(void **state)
{
	(void)state;
	quire_brk(mm, P(10));
	assert_int_equal(protect_at(9, 1, "r"), 0);
	assert_int_equal(quire_brk(mm, P(12)), P(12));
	assert_picture("7-8 rw-p, 8-9 rw-p, 9-10 r--p, 10-12 rw-p");
}

static void a_sealed_heap_does_not_shrink(void **state)
{
	(void)state;
	quire_brk(mm, P(12));
	assert_int_equal(quire_mseal(mm, P(10), PAGE, 0), 0);
	assert_int_equal(quire_brk(mm, P(9)), P(12));
	assert_int_equal(quire_brk(mm, P(11)), P(11));
}

/* After a fork a heap that was written to has ancestors, and grows by another area. */
static void a_forked_heap_grows_by_another_area(void **state)
{
	struct quire_mm *child;

	(void)state;
	quire_brk(mm, P(10));
	set(P(8), 1);
	child = fork_space(mm);
	assert_int_equal(quire_brk(child, P(12)), P(12));
	assert_picture_of(child, "7-8 rw-p, 8-10 rw-p, 10-12 rw-p");
	assert_int_equal(quire_brk(child, P(13)), P(13));
	assert_picture_of(child, "7-8 rw-p, 8-10 rw-p, 10-13 rw-p");
	assert_int_equal(quire_brk(mm, P(12)), P(12));
	assert_picture("7-8 rw-p, 8-12 rw-p");
	put_space(child);
}

/* ---- Limits ------------------------------------------------------------------------------ */

/* RLIMIT_DATA, to the byte: the program's data and the heap. */
static void rlimit_data_is_a_limit(void **state)
{
	(void)state;
	mm->limits.data = 3 * PAGE + 10;
	assert_int_equal(quire_brk(mm, P(10) + 11), P(8));
	/* Pages count too: one of bss, and two. */
	assert_int_equal(quire_brk(mm, P(10) + 10), P(8));
	assert_int_equal(quire_brk(mm, P(10)), P(10));
	assert_picture("7-8 rw-p, 8-10 rw-p");
}

static void other_limits_hold_too(void **state)
{
	(void)state;
	mm->limits.as = 3 * PAGE;
	assert_int_equal(quire_brk(mm, P(11)), P(8));
	assert_int_equal(quire_brk(mm, P(10)), P(10));
	mm->limits.as = QUIRE_RLIM_INFINITY;
	mm->limits.memlock = 2 * PAGE;
	mm->def_flags = QUIRE_VM_LOCKED;
	assert_int_equal(quire_brk(mm, P(13)), P(10));
	assert_int_equal(quire_brk(mm, P(12)), P(12));
	assert_int_equal(mm->locked_vm, 2);
	/* Locked is present; and another area. */
	assert_true(frame(mm, P(11)) != 0);
	assert_picture("7-8 rw-p, 8-10 rw-p, 10-12 rw-p");
	mm->def_flags = 0;
	space.q->mms.sysctl.max_map_count = 2;
	assert_int_equal(quire_brk(mm, P(13)), P(12));
	space.q->mms.sysctl.max_map_count = 3;
	assert_int_equal(quire_brk(mm, P(13)), P(13));
}

static void read_may_imply_exec(void **state)
{
	(void)state;
	mm->limits.read_implies_exec = true;
	quire_brk(mm, P(9));
	assert_picture("7-8 rw-p, 8-9 rwxp");
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
static uint64_t retry_to;

static int64_t retry_brk(void)
{
	return (int64_t)quire_brk(mm, retry_to);
}

static void no_memory_changes_nothing(void **state)
{
	unsigned failures;

	(void)state;
	retry_to = P(12) + 3;
	assert_int_equal(each_allocation_fails(retry_brk, P(8), &failures), retry_to);
	assert_true(failures > 0);
	retry_to = P(15);
	assert_int_equal(each_allocation_fails(retry_brk, P(12) + 3, &failures), retry_to);
	assert_true(failures > 0);
	retry_to = P(10);
	assert_int_equal(each_allocation_fails(retry_brk, P(15), &failures), retry_to);
	assert_true(failures > 0);
	assert_picture("7-8 rw-p, 8-10 rw-p");
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		brk_test(zero_asks_where_it_is),
		brk_test(the_heap_is_whole_pages),
		brk_test(shrinking_gives_back),
		brk_test(a_heap_within_bss_grows_it),
		brk_test(it_keeps_off_the_next_area),
		brk_test(it_keeps_off_a_stacks_guard),
		brk_test(it_ends_where_the_space_ends),
		brk_test(shrinking_takes_what_is_there),
		brk_test(changed_heaps_grow_by_another_area),
		brk_test(a_sealed_heap_does_not_shrink),
		brk_test(a_forked_heap_grows_by_another_area),
		brk_test(rlimit_data_is_a_limit),
		brk_test(other_limits_hold_too),
		brk_test(read_may_imply_exec),
#if QUIRE_DEBUG
		brk_test(no_memory_changes_nothing),
#endif
	};

	return cmocka_run_group_tests_name("brk", tests, NULL, NULL);
}

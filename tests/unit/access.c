/* SPDX-License-Identifier: MIT */
/*
 * process_vm_readv(2), process_vm_writev(2) and a debugger's access, on the simulated machine. The
 * answers were seen on Linux 6.18, x86-64, call by call.
 *
 *	remote   R  [ 4 pages, RW ][guard in the second page]
 *	local    L  [ 4 pages, RW ]  hole behind
 */
#include <mm/internal.h>

#include "space.h"

#define L BASE
#define R (BASE + 0x1000000)
#define TASK_END (space.mm->pt.fmt->user_end) /* 0x7ffffffff000 on x86-64 */

static struct quire_mm *remote;

static int setup(void **state)
{
	if (space_setup(state))
		return -1;
	if (quire_mm_create(space.q, NULL, &remote))
		return -1;
	put_area(space.mm, L, 4, VM_RW);
	put_area(remote, R, 4, VM_RW);
	run_in(remote);
	for (unsigned i = 0; i < 4 * PAGE; i += 97)
		set(R + i, (unsigned char)(i / 97 + 1));
	run_in(space.mm);
	return 0;
}

static int teardown(void **state)
{
	put_space(remote);
	return space_teardown(state);
}

#define access_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static unsigned char remote_byte(uint64_t addr)
{
	unsigned char byte;

	run_in(remote);
	byte = get(addr);
	run_in(space.mm);
	return byte;
}

static void put_guard(struct quire_mm *mm, uint64_t addr)
{
	struct quire_cursor c;

	quire_zap_range(mm, area(mm, addr), addr, addr + PAGE, 0);
	quire_cursor_open(&c, &mm->pt, addr, addr + PAGE, 0);
	assert_true(quire_cursor_seek(&c, addr));
	quire_cursor_set(&c, addr, quire_pte_soft(mm->pt.fmt, QUIRE_PTE_GUARD, 0));
	quire_cursor_close(&c);
}

#define VEC(...)                                                                                   \
	(struct quire_iovec[])                                                                     \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static int64_t readv(const struct quire_iovec *l, size_t nl, const struct quire_iovec *r, size_t nr)
{
	return quire_process_vm_readv(space.mm, l, nl, remote, r, nr, 0);
}

static int64_t writev(const struct quire_iovec *l, size_t nl, const struct quire_iovec *r,
		      size_t nr)
{
	return quire_process_vm_writev(space.mm, l, nl, remote, r, nr, 0);
}

static void bytes_come_and_go(void **state)
{
	assert_int_equal(readv(VEC({L + 10, 3 * PAGE}), 1, VEC({R, 3 * PAGE}), 1), 3 * PAGE);
	for (unsigned i = 0; i < 3 * PAGE; i += 97)
		assert_int_equal(get(L + 10 + i), (unsigned char)(i / 97 + 1));
	set(L, 99);
	set(L + PAGE, 98);
	/* Several vectors on both sides, cut at different places. */
	assert_int_equal(writev(VEC({L, 1}, {L, 0}, {L + PAGE, 1}), 3,
				VEC({R + 5, 1}, {R + PAGE - 1, 1}), 2),
			 2);
	assert_int_equal(remote_byte(R + 5), 99);
	assert_int_equal(remote_byte(R + PAGE - 1), 98);
}

static void the_shorter_side_decides(void **state)
{
	assert_int_equal(readv(VEC({L, 50}), 1, VEC({R, 200}), 1), 50);
	assert_int_equal(readv(VEC({L, 200}), 1, VEC({R, 20}, {R, 30}), 2), 50);
	assert_int_equal(readv(VEC({L, 200}), 1, VEC({R, 10}, {R, 0}, {R, 10}), 3), 20);
}

static void arguments_are_checked_in_linux_s_order(void **state)
{
	struct quire_iovec many[1025];
	const uint64_t huge = INT64_MAX;

	for (unsigned i = 0; i < 1025; i++)
		many[i] = (struct quire_iovec){L, 0};
	assert_int_equal(
		quire_process_vm_readv(space.mm, VEC({L, 1}), 1, remote, VEC({R, 1}), 1, 1),
		-QUIRE_EINVAL);
	assert_int_equal(readv(many, 1025, VEC({R, 1}), 1), -QUIRE_EINVAL);
	assert_int_equal(readv(VEC({L, 1}), 1, many, 1025), -QUIRE_EINVAL);
	assert_int_equal(readv(VEC({L, 10}, {L, UINT64_MAX}), 2, VEC({R, 1}), 1), -QUIRE_EINVAL);
	assert_int_equal(readv(VEC({L, 10}), 1, VEC({R, 10}, {R, UINT64_MAX}), 2), -QUIRE_EINVAL);
	/* Nothing to move on this side: the other is not looked at. */
	assert_int_equal(readv(many, 0, many, 1025), 0);
	assert_int_equal(readv(VEC({L, 0}), 1, VEC({R, UINT64_MAX}), 1), 0);
	assert_int_equal(readv(VEC({L, 1}), 1, many, 0), 0);
	assert_int_equal(readv(VEC({L, 1}), 1, VEC({UINT64_MAX - PAGE, 0}), 1), 0);
	/* Who the other is comes last, and not at all if there is nothing to move on its side. */
	assert_int_equal(quire_process_vm_readv(space.mm, VEC({L, 1}), 1, NULL, VEC({R, 0}, {R, 1}), 2, 0),
			 -QUIRE_ESRCH);
	assert_int_equal(quire_process_vm_readv(space.mm, VEC({L, 1}), 1, NULL, VEC({R, 0}), 1, 0), 0);
	assert_int_equal(quire_process_vm_writev(space.mm, VEC({L, 1}), 1, NULL, VEC({R, 0}), 1, 1),
			 -QUIRE_EINVAL);
	assert_int_equal(
		quire_process_vm_writev(space.mm, VEC({L, 1}), 1, NULL, VEC({R, 1}, {R, UINT64_MAX}), 2, 0),
		-QUIRE_EINVAL);
	assert_int_equal(quire_process_vm_writev(space.mm, VEC({TASK_END, 1}), 1, NULL, VEC({R, 1}), 1, 0),
			 -QUIRE_EFAULT);
	/* This side must be where user memory can be, mapped or not. */
	assert_int_equal(readv(VEC({L, 10}, {TASK_END, 0}), 2, VEC({R, 20}), 1), 10);
	assert_int_equal(readv(VEC({L, 10}, {TASK_END, 1}), 2, VEC({R, 20}), 1), -QUIRE_EFAULT);
	assert_int_equal(readv(VEC({L, 10}, {TASK_END - 1, 1}), 2, VEC({R, 20}), 1), 10);
	assert_int_equal(readv(VEC({L, 10}, {TASK_END - 1, 2}), 2, VEC({R, 20}), 1), -QUIRE_EFAULT);
	assert_int_equal(readv(VEC({L, 10}, {TASK_END + PAGE, 0}), 2, VEC({R, 20}), 1),
			 -QUIRE_EFAULT);
	assert_int_equal(readv(VEC({L, 10}, {UINT64_MAX - 255, 2}), 2, VEC({R, 20}), 1),
			 -QUIRE_EFAULT);
	assert_int_equal(readv(VEC({TASK_END, 1}), 1, VEC({R, 20}), 1), -QUIRE_EFAULT);
	/* One vector is cut to what a call can move before that, several are not. */
	assert_int_equal(readv(VEC({L, huge}), 1, VEC({R, 200}), 1), 200);
	assert_int_equal(readv(VEC({L, 10}, {L, huge}), 2, VEC({R, 200}), 1), -QUIRE_EFAULT);
	assert_int_equal(readv(VEC({L, 10}), 1, VEC({R, huge}), 1), 10);
	assert_int_equal(readv(VEC({L, 10}), 1, VEC({UINT64_MAX - PAGE, huge}), 1), -QUIRE_EFAULT);
	assert_int_equal(readv(VEC({L, 10}), 1, VEC({0xffff800000000000, 5}), 1), -QUIRE_EFAULT);
}

static void what_was_copied_before_a_fault_counts(void **state)
{
	put_guard(remote, R + PAGE);
	assert_int_equal(readv(VEC({L, 4 * PAGE}), 1, VEC({R, 4 * PAGE}), 1), PAGE);
	assert_int_equal(readv(VEC({L, 4 * PAGE}), 1, VEC({R + PAGE + 10, PAGE}), 1),
			 -QUIRE_EFAULT);
	assert_int_equal(readv(VEC({L, 100}), 1, VEC({R, 10}, {R + PAGE, 10}, {R, 10}), 3), 10);
	/* The same on this side, to the byte. */
	put_guard(space.mm, L + PAGE);
	assert_int_equal(readv(VEC({L + PAGE - 100, 200}), 1, VEC({R, 200}), 1), 100);
	assert_int_equal(writev(VEC({L + PAGE - 100, 200}), 1, VEC({R, 200}), 1), 100);
	assert_int_equal(readv(VEC({L + PAGE, 200}), 1, VEC({R, 200}), 1), -QUIRE_EFAULT);
	assert_int_equal(readv(VEC({L + PAGE - 6, 20}, {L, 50}), 2, VEC({R, 40}), 1), 6);
	assert_int_equal(readv(VEC({L + PAGE - 6, 20}, {L, 50}), 2, VEC({R, 6}, {R, 10}), 2), 6);
}

/* The other side's rights are the areas' flags; this side's are what the hardware lets through. */
static void rights_of_the_two_sides(void **state)
{
	put_area(remote, R + 8 * PAGE, 1, MAY);
	put_area(remote, R + 10 * PAGE, 1, VM_W);
	put_area(remote, R + 12 * PAGE, 1, VM_R);
	put_area(space.mm, L + 8 * PAGE, 1, VM_W);
	put_area(space.mm, L + 10 * PAGE, 1, VM_X);
	put_area(space.mm, L + 12 * PAGE, 1, VM_R);
	assert_int_equal(readv(VEC({L, 100}), 1, VEC({R + 8 * PAGE, 100}), 1), -QUIRE_EFAULT);
	assert_int_equal(readv(VEC({L, 100}), 1, VEC({R + 10 * PAGE, 100}), 1), -QUIRE_EFAULT);
	assert_int_equal(writev(VEC({L, 100}), 1, VEC({R + 10 * PAGE, 100}), 1), 100);
	assert_int_equal(writev(VEC({L, 100}), 1, VEC({R + 12 * PAGE, 100}), 1), -QUIRE_EFAULT);
	assert_int_equal(writev(VEC({L + 8 * PAGE, 100}), 1, VEC({R, 100}), 1), 100);
	assert_int_equal(writev(VEC({L + 10 * PAGE, 100}), 1, VEC({R, 100}), 1), 100);
	assert_int_equal(readv(VEC({L + 12 * PAGE, 100}), 1, VEC({R, 100}), 1), -QUIRE_EFAULT);
}

/* Writing to another process breaks copies there as its own write would. */
static void writes_break_copies(void **state)
{
	struct quire_mm *child = fork_space(remote);

	set(L, 123);
	assert_int_equal(writev(VEC({L, 1}), 1, VEC({R, 1}), 1), 1);
	assert_int_equal(remote_byte(R), 123);
	run_in(child);
	assert_int_equal(get(R), 1);
	put_space(child);
}

/* The page notes the write itself, also where the entry had noted a store: who shares it and says MADV_FREE leaves it. */
static void what_was_written_stays_when_a_sharer_frees_it(void **state)
{
	struct quire_mm *child;

	(void)state;
	run_in(remote);
	set(R, 1);
	set(R + PAGE, 1);
	run_in(space.mm);
	assert_int_equal(writev(VEC({L, 1}), 1, VEC({R, 1}), 1), 1);
	child = fork_space(remote);
	assert_true(entry_has(child, R, QUIRE_PTE_DIRTY));
	assert_int_equal(quire_madvise(child, R, 2 * PAGE, QUIRE_MADV_FREE), 0);
	assert_true(entry_has(child, R, QUIRE_PTE_DIRTY));
	assert_false(entry_has(child, R + PAGE, QUIRE_PTE_DIRTY));
	put_space(child);
}

/*
 * What is read is pinned: a page that a fork left shared is copied first, and the copy is
 * clean. What is nobody else's stays where it is.
 */
static void reads_leave_no_page_shared(void **state)
{
	struct quire_mm *child = fork_space(remote);
	quire_pfn_t own = frame(child, R);

	assert_true(frame(remote, R) == own);
	assert_int_equal(readv(VEC({L, 200}), 1, VEC({R, 200}), 1), 200);
	assert_int_equal(get(L + 97), 2);
	assert_true(frame(child, R) == own);
	assert_true(frame(remote, R) != own);
	assert_false(entry_has(remote, R, QUIRE_PTE_DIRTY));
	assert_false(entry_has(remote, R, QUIRE_PTE_WRITE));
	assert_true(frame(remote, R + PAGE) == frame(child, R + PAGE));
	own = frame(remote, R);
	assert_int_equal(readv(VEC({L, 200}), 1, VEC({R, 200}), 1), 200);
	assert_true(frame(remote, R) == own);
	run_in(remote);
	set(R, 77);
	assert_true(frame(remote, R) == own);
	run_in(child);
	assert_int_equal(get(R), 1);
	run_in(space.mm);
	put_space(child);
}

/* All of the other side's pages are there before the first byte moves; here the two sides are one, and have pages in common. */
static void the_other_side_is_looked_at_first(void **state)
{
	struct quire_file *file;
	int64_t anon;

	(void)state;
	/* What is read of the second page is the page of zeroes, although the first page's bytes come there meanwhile. */
	set(L, 7);
	assert_int_equal(quire_process_vm_readv(space.mm, VEC({L + PAGE, 2 * PAGE}), 1, space.mm,
						VEC({L, 2 * PAGE}), 1, 0),
			 2 * PAGE);
	assert_int_equal(get(L + PAGE), 7);
	assert_int_equal(get(L + 2 * PAGE), 0);

	/* The second is the first one's private copy, from before. */
	assert_int_equal(quire_shmem_file(space.q, PAGE, &file), 0);
	put_file(space.mm, L + 8 * PAGE, 1, VM_RW | VM_S, file, 0);
	put_file(space.mm, L + 9 * PAGE, 1, VM_RW, file, 0);
	set(L + 8 * PAGE + 200, 5);
	set(L + 200, 9);
	assert_int_equal(quire_process_vm_writev(space.mm, VEC({L, PAGE + 100}), 1, space.mm,
						 VEC({L + 8 * PAGE, PAGE + 100}), 1, 0),
			 PAGE + 100);
	assert_int_equal(get(L + 8 * PAGE + 200), 9);
	assert_int_equal(get(L + 9 * PAGE + 200), 5);
	quire_file_put(space.q, file);

	/* A thousand at a time, however few bytes there are for them. */
	put_area(remote, R + 16 * PAGE, 1500, VM_RW);
	anon = remote->rss[QUIRE_RSS_ANON];
	assert_int_equal(writev(VEC({L, 10}), 1, VEC({R + 16 * PAGE, 1500 * PAGE}), 1), 10);
	assert_int_equal(remote->rss[QUIRE_RSS_ANON] - anon, 1024);
	/* And to read, where the list of them is allocated. */
	assert_int_equal(readv(VEC({L, PAGE}), 1, VEC({R + 16 * PAGE + 4, 1500 * PAGE}), 1), PAGE);
	assert_int_equal(get(L + 200), 0);
}

/* From a space's base to where its stack is. */
#define STACK (2048 * PAGE)

/* This side grows its stack, the other side's stays as it is. */
static void only_one_s_own_stack_grows(void **state)
{
	put_area(space.mm, L + STACK, 1, VM_RW | QUIRE_VM_GROWSDOWN);
	put_area(remote, R + STACK, 1, VM_RW | QUIRE_VM_GROWSDOWN);
	space.mm->limits.stack = 2048 * PAGE;
	remote->limits.stack = 2048 * PAGE;
	assert_int_equal(readv(VEC({L + STACK - 3 * PAGE, 8}), 1, VEC({R, 8}), 1), 8);
	assert_int_equal(readv(VEC({L, 8}), 1, VEC({R + STACK - 3 * PAGE, 8}), 1),
			 -QUIRE_EFAULT);
	assert_int_equal(area(space.mm, L + STACK)->start, L + STACK - 3 * PAGE);
	assert_int_equal(area(remote, R + STACK)->start, R + STACK);
}

/* ---- A debugger -------------------------------------------------------------------------- */

static void a_debugger_reads_and_writes_what_it_can_reach(void **state)
{
	unsigned char buf[3 * PAGE];

	memset(buf, 0, sizeof(buf));
	assert_int_equal(quire_access_process_vm(remote, R, buf, 2 * PAGE, QUIRE_ACCESS_READ),
			 2 * PAGE);
	assert_int_equal(buf[97], 2);
	assert_int_equal(
		quire_access_process_vm(remote, R + 2 * PAGE, buf, 3 * PAGE, QUIRE_ACCESS_READ),
		2 * PAGE);
	assert_int_equal(quire_access_process_vm(remote, R - 1, buf, 2, QUIRE_ACCESS_READ), 0);
	assert_int_equal(
		quire_access_process_vm(remote, 0xffff800000000000, buf, 2, QUIRE_ACCESS_READ), 0);

	assert_int_equal(quire_mprotect(remote, R, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(quire_access_process_vm(remote, R, (char[]){55}, 1, QUIRE_ACCESS_WRITE),
			 0);
	assert_int_equal(quire_access_process_vm(remote, R, (char[]){55}, 1,
						 QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE),
			 1);
	assert_int_equal(remote_byte(R), 55);
	assert_int_equal(quire_mprotect(remote, R, PAGE, QUIRE_PROT_NONE), 0);
	assert_int_equal(
		quire_access_process_vm(remote, R, buf, 1, QUIRE_ACCESS_READ | QUIRE_ACCESS_FORCE),
		1);
	assert_int_equal(buf[0], 55);
	assert_int_equal(quire_access_process_vm(remote, R, (char[]){56}, 1,
						 QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE),
			 1);
	assert_int_equal(
		quire_access_process_vm(remote, R, buf, 1, QUIRE_ACCESS_READ | QUIRE_ACCESS_FORCE),
		1);
	assert_int_equal(buf[0], 56);
}

/* No force writes to a shared area that may not be written. */
static void a_debugger_does_not_write_behind_a_file_s_back(void **state)
{
	struct quire_file *file;

	assert_int_equal(quire_shmem_file(space.q, PAGE, &file), 0);
	put_file(remote, R + 8 * PAGE, 1, VM_R | VM_S, file, 0);
	assert_int_equal(quire_access_process_vm(remote, R + 8 * PAGE, (char[]){1}, 1,
						 QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE),
			 0);
	quire_file_put(space.q, file);
}

static void a_debugger_grows_stacks(void **state)
{
	unsigned char buf[2 * PAGE];
	uint64_t stack = R + STACK;

	put_area(remote, stack, 1, VM_RW | QUIRE_VM_GROWSDOWN);
	remote->limits.stack = 4 * PAGE;
	assert_int_equal(
		quire_access_process_vm(remote, stack - 3 * PAGE, buf, 2 * PAGE, QUIRE_ACCESS_READ),
		2 * PAGE);
	assert_int_equal(area(remote, stack)->start, stack - 3 * PAGE);
	assert_int_equal(
		quire_access_process_vm(remote, stack - 4 * PAGE, buf, 2 * PAGE, QUIRE_ACCESS_READ),
		0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		access_test(bytes_come_and_go),
		access_test(the_shorter_side_decides),
		access_test(arguments_are_checked_in_linux_s_order),
		access_test(what_was_copied_before_a_fault_counts),
		access_test(rights_of_the_two_sides),
		access_test(writes_break_copies),
		access_test(what_was_written_stays_when_a_sharer_frees_it),
		access_test(reads_leave_no_page_shared),
		access_test(the_other_side_is_looked_at_first),
		access_test(only_one_s_own_stack_grows),
		access_test(a_debugger_reads_and_writes_what_it_can_reach),
		access_test(a_debugger_does_not_write_behind_a_file_s_back),
		access_test(a_debugger_grows_stacks),
	};

	return cmocka_run_group_tests_name("access to other spaces", tests, NULL, NULL);
}

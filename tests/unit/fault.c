/* SPDX-License-Identifier: MIT */
/*
 * Faults on private memory, on the simulated machine with real loads and stores: demand zero,
 * rights and signals, copy-on-write, guards, growing stacks, want of memory, several CPUs at once.
 * Files and drivers are in fault_file.c. What each signal must be was seen on Linux 6.18, x86-64.
 */
#include <sched.h>

#include <mm/internal.h>

#include "space.h"

/* ---- Demand zero ------------------------------------------------------------------------- */

static void reading_maps_the_zero_page(void **state)
{
	struct quire_mm *mm = space.mm;

	put_area(mm, BASE, 4, VM_RW);
	assert_int_equal(get(BASE), 0);
	assert_int_equal(get(BASE + PAGE + 4095), 0);
	assert_int_equal(frame(mm, BASE), quire_page_to_pfn(space.q, space.q->pages.zero_page));
	assert_int_equal(frame(mm, BASE + PAGE), frame(mm, BASE));
	/* It is not counted, and the area has no owner yet. */
	assert_int_equal(quire_mm_rss(mm), 0);
	assert_null(area(mm, BASE)->anon);
	assert_int_equal(mm->minor_faults, 2);
	assert_int_equal(mm->major_faults, 0);
	check_space(mm);
}

static void writing_gives_a_page_of_its_own(void **state)
{
	struct quire_mm *mm = space.mm;
	uint64_t before = quire_stat_read(space.q, QUIRE_STAT_ANON_MAPPED);

	put_area(mm, BASE, 4, VM_RW);
	set(BASE + 5, 7);
	assert_int_equal(get(BASE + 5), 7);
	assert_int_equal(get(BASE + 6), 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	assert_int_equal(quire_stat_read(space.q, QUIRE_STAT_ANON_MAPPED), before + 1);
	assert_non_null(area(mm, BASE)->anon);
	assert_true(entry_has(mm, BASE, QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY | QUIRE_PTE_ACCESSED));
	assert_false(entry_has(mm, BASE, QUIRE_PTE_EXEC));
	assert_int_equal(mm->minor_faults, 1);
	check_space(mm);
}

/* Linux's mm_forbids_zeropage(): dirty at once where it may be written, clean where it may not. */
static void reading_gives_a_page_where_zeroes_are_not_shared(void **state)
{
	struct quire_mm *mm = space.mm;

	space.q->mms.sysctl.forbid_zeropage = true;
	put_area(mm, BASE, 1, VM_RW);
	put_area(mm, BASE + PAGE, 1, VM_R);
	assert_int_equal(get(BASE), 0);
	assert_int_equal(get(BASE + PAGE), 0);
	assert_int_not_equal(frame(mm, BASE), frame(mm, BASE + PAGE));
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 2);
	assert_non_null(area(mm, BASE)->anon);
	assert_true(entry_has(mm, BASE, QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY | QUIRE_PTE_ACCESSED));
	assert_true(entry_has(mm, BASE + PAGE, QUIRE_PTE_ACCESSED));
	assert_false(entry_has(mm, BASE + PAGE, QUIRE_PTE_WRITE));
	assert_false(entry_has(mm, BASE + PAGE, QUIRE_PTE_DIRTY));
	set(BASE, 1);
	assert_int_equal(mm->minor_faults, 2);
	check_space(mm);
}

static void the_zero_page_is_replaced_by_the_first_write(void **state)
{
	struct quire_mm *mm = space.mm;

	put_area(mm, BASE, 2, VM_RW);
	assert_int_equal(get(BASE), 0);
	set(BASE + 100, 1);
	assert_int_equal(get(BASE + 100), 1);
	assert_int_equal(get(BASE), 0);
	assert_int_equal(get(BASE + PAGE), 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	assert_int_equal(mm->minor_faults, 3);
	check_space(mm);
}

static void an_access_across_two_pages_faults_twice(void **state)
{
	struct quire_mm *mm = space.mm;
	uint32_t word = 0x12345678, back = 0;

	put_area(mm, BASE, 2, VM_RW);
	assert_int_equal(machine_store(space.m, BASE + PAGE - 2, &word, 4, NULL), 0);
	assert_int_equal(machine_load(space.m, BASE + PAGE - 2, &back, 4, NULL), 0);
	assert_int_equal(back, word);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 2);
}

/* ---- Rights ------------------------------------------------------------------------------ */

static void no_area_no_access(void **state)
{
	struct quire_signal sig;

	put_area(space.mm, BASE, 1, VM_RW);
	assert_maperr(QUIRE_ACCESS_READ, 0);
	assert_maperr(QUIRE_ACCESS_READ, BASE - 1);
	assert_maperr(QUIRE_ACCESS_WRITE, BASE + PAGE);
	assert_maperr(QUIRE_ACCESS_EXEC, BASE + PAGE + 17);
	assert_maperr(QUIRE_ACCESS_READ, space.mm->pt.fmt->user_end + 0x123); /* the page that user space never has */
	/* The kernel's half, as the hardware reports it. */
	assert_int_equal(quire_fault(space.mm, 0xffff800000001003, QUIRE_ACCESS_READ, &sig),
			 -QUIRE_EFAULT);
	assert_int_equal(sig.signo, QUIRE_SIGSEGV);
	assert_int_equal(sig.code, QUIRE_SEGV_MAPERR);
	assert_int_equal(sig.addr, 0xffff800000001003);
	assert_int_equal(space.mm->minor_faults, 0);
}

static void prot_none_denies_everything(void **state)
{
	put_area(space.mm, BASE, 1, MAY);
	assert_accerr(QUIRE_ACCESS_READ, BASE + 3);
	assert_accerr(QUIRE_ACCESS_WRITE, BASE);
	assert_accerr(QUIRE_ACCESS_EXEC, BASE + 4095);
	assert_int_equal(entry(space.mm, BASE), 0);
}

static void reading_alone_denies_writes(void **state)
{
	put_area(space.mm, BASE, 1, VM_R);
	assert_accerr(QUIRE_ACCESS_WRITE, BASE + 9);
	assert_int_equal(get(BASE + 9), 0);
	assert_accerr(QUIRE_ACCESS_WRITE, BASE + 9);
}

/* The hardware can't refuse to read what may be written or executed. */
static void writing_alone_can_read(void **state)
{
	put_area(space.mm, BASE, 1, VM_W);
	assert_int_equal(get(BASE + 3), 0);
	set(BASE + 3, 4);
	assert_int_equal(get(BASE + 3), 4);
	assert_no_exec(BASE);
}

static void executing_alone_can_read(void **state)
{
	put_area(space.mm, BASE, 1, VM_X);
	fetch(BASE + 1);
	assert_int_equal(get(BASE + 3), 0);
	assert_accerr(QUIRE_ACCESS_WRITE, BASE + 3);
}

/* What refuses is the no-execute bit of a page that is there: so the page comes first. */
static void fetching_from_data_faults_the_page_in_and_is_refused(void **state)
{
	put_area(space.mm, BASE, 1, VM_RW);
	assert_int_equal(entry(space.mm, BASE), 0);
	assert_no_exec(BASE + 2);
	assert_int_not_equal(entry(space.mm, BASE), 0);
	assert_no_exec(BASE + 2);
}

static void put_guard(uint64_t addr)
{
	struct quire_cursor c;

	assert_int_equal(quire_tables_populate(&space.mm->pt, addr, addr + PAGE), 0);
	quire_cursor_open(&c, &space.mm->pt, addr, addr + PAGE, 0);
	assert_true(quire_cursor_seek(&c, addr));
	quire_cursor_set(&c, addr, quire_pte_soft(space.mm->pt.fmt, QUIRE_PTE_GUARD, 0));
	quire_cursor_close(&c);
}

static void guards_are_like_holes(void **state)
{
	put_area(space.mm, BASE, 3, VM_RW);
	put_guard(BASE + PAGE);
	set(BASE, 1);
	assert_maperr(QUIRE_ACCESS_READ, BASE + PAGE + 5);
	assert_maperr(QUIRE_ACCESS_WRITE, BASE + PAGE + 7);
	assert_maperr(QUIRE_ACCESS_EXEC, BASE + PAGE);
	set(BASE + 2 * PAGE, 2);
	/* DONTNEED keeps them, munmap does not. */
	quire_zap_range(space.mm, area(space.mm, BASE), BASE, BASE + 3 * PAGE,
			QUIRE_ZAP_KEEP_GUARDS);
	assert_maperr(QUIRE_ACCESS_READ, BASE + PAGE);
	assert_int_equal(get(BASE), 0);
	quire_zap_range(space.mm, area(space.mm, BASE), BASE, BASE + 3 * PAGE, 0);
	assert_int_equal(get(BASE + PAGE), 0);
}

/* ---- Changing rights --------------------------------------------------------------------- */

static void protnone_and_back_keeps_the_bytes(void **state)
{
	struct quire_mm *mm = space.mm;
	uint64_t faults;

	put_area(mm, BASE, 3, VM_RW);
	set(BASE, 1);
	set(BASE + PAGE, 2);
	assert_int_equal(quire_mprotect(mm, BASE, 3 * PAGE, QUIRE_PROT_NONE), 0);
	assert_accerr(QUIRE_ACCESS_READ, BASE);
	assert_accerr(QUIRE_ACCESS_WRITE, BASE + PAGE);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 2);
	check_space(mm);
	assert_int_equal(quire_mprotect(mm, BASE, 3 * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE), 0);
	/* The pages are ours alone: no fault is needed to write again. */
	faults = mm->minor_faults;
	assert_int_equal(get(BASE), 1);
	set(BASE + PAGE, 3);
	assert_int_equal(get(BASE + PAGE), 3);
	assert_int_equal(mm->minor_faults, faults);
	check_space(mm);
}

static void rights_taken_are_gone_at_once(void **state)
{
	struct quire_mm *mm = space.mm;

	put_area(mm, BASE, 2, VM_RW);
	set(BASE, 1);
	assert_int_equal(quire_mprotect(mm, BASE, 2 * PAGE, QUIRE_PROT_READ), 0);
	assert_accerr(QUIRE_ACCESS_WRITE, BASE);
	assert_int_equal(get(BASE), 1);
	assert_int_equal(quire_mprotect(mm, BASE, 2 * PAGE, QUIRE_PROT_READ | QUIRE_PROT_EXEC), 0);
	fetch(BASE);
	assert_int_equal(quire_mprotect(mm, BASE, 2 * PAGE, QUIRE_PROT_READ), 0);
	assert_no_exec(BASE);
	check_space(mm);
}

static void write_comes_back_only_where_the_page_is_ours(void **state)
{
	struct quire_mm *mm = space.mm, *child;

	put_area(mm, BASE, 2, VM_RW);
	set(BASE, 1);
	assert_int_equal(get(BASE + PAGE), 0);
	child = fork_space(mm);
	assert_int_equal(quire_mprotect(mm, BASE, 2 * PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(quire_mprotect(mm, BASE, 2 * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE), 0);
	assert_false(entry_has(mm, BASE, QUIRE_PTE_WRITE));
	assert_false(entry_has(mm, BASE + PAGE, QUIRE_PTE_WRITE));
	set(BASE, 2);
	set(BASE + PAGE, 3);
	run_in(child);
	assert_int_equal(get(BASE), 1);
	assert_int_equal(get(BASE + PAGE), 0);
	put_space(child);
}

/* ---- Copy-on-write ----------------------------------------------------------------------- */

static void fork_shares_until_one_writes(void **state)
{
	struct quire_mm *mm = space.mm, *child;
	quire_pfn_t pfn;

	put_area(mm, BASE, 3, VM_RW);
	set(BASE, 1);
	set(BASE + PAGE, 2);
	pfn = frame(mm, BASE);
	child = fork_space(mm);
	assert_int_equal(frame(child, BASE), pfn);
	assert_int_equal(child->rss[QUIRE_RSS_ANON], 2);
	check_space(child);
	check_space(mm);

	set(BASE, 10); /* the parent */
	run_in(child);
	assert_int_equal(get(BASE), 1);
	assert_int_equal(get(BASE + PAGE), 2);
	set(BASE + PAGE, 20); /* the child */
	set(BASE + 2 * PAGE, 30);
	run_in(mm);
	assert_int_equal(get(BASE), 10);
	assert_int_equal(get(BASE + PAGE), 2);
	assert_int_equal(get(BASE + 2 * PAGE), 0);
	assert_int_not_equal(frame(mm, BASE), frame(child, BASE));
	put_space(child);
}

static void fork_flushes_the_parent_once(void **state)
{
	struct quire_mm *mm = space.mm, *child;
	uint64_t flushes;

	for (unsigned i = 0; i < 3; i++) {
		put_area(mm, BASE + i * 1024 * PAGE, 2, VM_RW);
		set(BASE + i * 1024 * PAGE, 1);
	}
	flushes = mm->pt.flushes;
	child = fork_space(mm);
	assert_int_equal(mm->pt.flushes, flushes + 1);
	put_space(child);
	/* Nothing can be written any more, so nothing has to be flushed. */
	child = fork_space(mm);
	assert_int_equal(mm->pt.flushes, flushes + 1);
	put_space(child);
}

/* Whoever is left alone with a page writes to it where it is. */
static void the_last_one_keeps_the_page(void **state)
{
	struct quire_mm *mm = space.mm, *child;
	uint64_t free_pages;
	quire_pfn_t pfn;

	put_area(mm, BASE, 1, VM_RW);
	set(BASE, 1);
	pfn = frame(mm, BASE);
	child = fork_space(mm);
	put_space(child);
	assert_false(entry_has(mm, BASE, QUIRE_PTE_WRITE));
	free_pages = quire_free_pages(space.q);
	set(BASE, 2);
	assert_int_equal(frame(mm, BASE), pfn);
	assert_int_equal(quire_free_pages(space.q), free_pages);

	child = fork_space(mm);
	set(BASE, 3); /* the parent copies */
	assert_int_not_equal(frame(mm, BASE), pfn);
	run_in(child);
	set(BASE, 4); /* and the child has it for itself */
	assert_int_equal(frame(child, BASE), pfn);
	run_in(mm);
	assert_int_equal(get(BASE), 3);
	put_space(child);
}

static void a_chain_of_forks(void **state)
{
	struct quire_mm *mm[6] = {space.mm};

	put_area(mm[0], BASE, 6, VM_RW);
	for (unsigned i = 0; i < 6; i++)
		set(BASE + i * PAGE, (unsigned char)(i + 1));
	for (unsigned n = 1; n < 6; n++) {
		mm[n] = fork_space(mm[n - 1]);
		run_in(mm[n]);
		set(BASE + n * PAGE, (unsigned char)(100 + n));
	}
	/* Each sees what its ancestors wrote before it was born, and nothing of its descendants. */
	for (unsigned n = 0; n < 6; n++) {
		run_in(mm[n]);
		check_space(mm[n]);
		for (unsigned i = 0; i < 6; i++)
			assert_int_equal(get(BASE + i * PAGE), i >= 1 && i <= n ? 100 + i : i + 1);
	}
	for (unsigned n = 1; n < 6; n++)
		put_space(mm[n]);
	for (unsigned i = 0; i < 6; i++)
		set(BASE + i * PAGE, 9);
}

static unsigned char byte_of(struct quire_page *page)
{
	unsigned char *at = quire_page_kmap(space.q, page);
	unsigned char byte = at[0];

	quire_page_kunmap(space.q, at);
	return byte;
}

/*
 * The child takes a reference for reading and unmaps. Nobody else maps the page now; yet the parent
 * must copy.
 */
static void a_reader_with_a_reference_does_not_see_later_writes(void **state)
{
	struct quire_mm *mm = space.mm, *child;
	struct quire_page *page;

	put_area(mm, BASE, 1, VM_RW);
	set(BASE, 1);
	child = fork_space(mm);
	assert_int_equal(quire_get_user_page(child, BASE, QUIRE_ACCESS_READ, &page), 0);
	put_space(child);
	set(BASE, 2);
	assert_int_equal(byte_of(page), 1);
	assert_int_equal(get(BASE), 2);
	assert_ptr_not_equal(page, quire_pfn_to_page(space.q, frame(mm, BASE)));
	quire_page_put(space.q, page);
}

/*
 * But whoever has a reference to a page that is ours alone works on that page, whatever happens to
 * its rights.
 */
static void a_reference_to_our_own_page_stays_ours(void **state)
{
	struct quire_mm *mm = space.mm;
	struct quire_page *page;

	put_area(mm, BASE, 1, VM_RW);
	set(BASE, 1);
	assert_int_equal(quire_get_user_page(mm, BASE, QUIRE_ACCESS_READ, &page), 0);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE), 0);
	set(BASE, 2);
	assert_int_equal(byte_of(page), 2);
	quire_page_put(space.q, page);
}

static void guards_and_rights_cross_a_fork(void **state)
{
	struct quire_mm *mm = space.mm, *child;

	put_area(mm, BASE, 3, VM_RW);
	set(BASE, 1);
	set(BASE + PAGE, 2);
	put_guard(BASE + 2 * PAGE);
	assert_int_equal(quire_mprotect(mm, BASE + PAGE, PAGE, QUIRE_PROT_NONE), 0);
	child = fork_space(mm);
	run_in(child);
	assert_int_equal(get(BASE), 1);
	assert_accerr(QUIRE_ACCESS_READ, BASE + PAGE);
	assert_maperr(QUIRE_ACCESS_READ, BASE + 2 * PAGE);
	assert_int_equal(
		quire_mprotect(child, BASE + PAGE, PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE), 0);
	assert_int_equal(get(BASE + PAGE), 2);
	set(BASE + PAGE, 3);
	run_in(mm);
	assert_int_equal(quire_mprotect(mm, BASE + PAGE, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(get(BASE + PAGE), 2);
	put_space(child);
}

/* ---- Stacks ------------------------------------------------------------------------------ */

#define STACK_TOP 0xb0000000ull
#define VM_STACK (VM_RW | QUIRE_VM_GROWSDOWN | QUIRE_VM_ACCOUNT)

static void a_stack_grows_as_far_as_its_limit(void **state)
{
	struct quire_mm *mm = space.mm;
	uint64_t limit = 64 * PAGE;

	mm->limits.stack = limit;
	put_area(mm, STACK_TOP - 2 * PAGE, 2, VM_STACK);
	set(STACK_TOP - 2 * PAGE - 1, 1);
	assert_int_equal(area(mm, STACK_TOP - 1)->start, STACK_TOP - 3 * PAGE);
	assert_int_equal(mm->stack_vm, 3);
	/* At any distance, reads too. */
	assert_int_equal(get(STACK_TOP - 20 * PAGE + 8), 0);
	assert_int_equal(area(mm, STACK_TOP - 1)->start, STACK_TOP - 20 * PAGE);
	assert_int_equal(area(mm, STACK_TOP - 1)->pgoff, (STACK_TOP - 20 * PAGE) / PAGE);
	assert_int_equal(get(STACK_TOP - 2 * PAGE - 1), 1);
	check_space(mm);
	assert_maperr(QUIRE_ACCESS_WRITE, STACK_TOP - limit - 1);
	assert_int_equal(area(mm, STACK_TOP - 1)->start, STACK_TOP - 20 * PAGE);
	set(STACK_TOP - limit, 2);
	assert_int_equal(area(mm, STACK_TOP - 1)->start, STACK_TOP - limit);
	assert_int_equal(mm->total_vm, 64);
	assert_int_equal(space.q->mms.committed, 64);
}

static void a_stack_keeps_its_guard_gap(void **state)
{
	struct quire_mm *mm = space.mm;
	uint64_t gap = space.q->mms.sysctl.stack_guard_gap;
	uint64_t below = STACK_TOP - gap - 100 * PAGE; /* end of what lies below */

	put_area(mm, below - PAGE, 1, VM_R);
	put_area(mm, STACK_TOP - PAGE, 1, VM_STACK);
	set(below + gap, 1);
	assert_int_equal(area(mm, STACK_TOP - 1)->start, below + gap);
	assert_maperr(QUIRE_ACCESS_WRITE, below + gap - 1);
	assert_maperr(QUIRE_ACCESS_READ, below);
	assert_int_equal(area(mm, STACK_TOP - 1)->start, below + gap);
}

/* No gap is kept to what nobody can access, nor to another stack. */
static void a_stack_grows_next_to_what_cannot_be_touched(void **state)
{
	struct quire_mm *mm = space.mm;

	put_area(mm, STACK_TOP - 10 * PAGE, 1, MAY);
	put_area(mm, STACK_TOP - PAGE, 1, VM_STACK);
	set(STACK_TOP - 9 * PAGE, 1);
	assert_int_equal(area(mm, STACK_TOP - 1)->start, STACK_TOP - 9 * PAGE);
	assert_accerr(QUIRE_ACCESS_WRITE, STACK_TOP - 9 * PAGE - 1);

	put_area(mm, BASE, 1, VM_STACK);
	put_area(mm, BASE + 10 * PAGE, 1, VM_STACK);
	set(BASE + PAGE, 1);
	assert_int_equal(area(mm, BASE + PAGE)->end, BASE + 11 * PAGE);
}

static void a_stack_stops_at_mmap_min_addr_and_other_limits(void **state)
{
	struct quire_mm *mm = space.mm;

	put_area(mm, 32 * PAGE, 1, VM_STACK);
	assert_maperr(QUIRE_ACCESS_WRITE, 65535);
	set(65536, 1);
	assert_maperr(QUIRE_ACCESS_WRITE, 65535);

	put_area(mm, STACK_TOP - PAGE, 1, VM_STACK | QUIRE_VM_LOCKED);
	mm->limits.as = (mm->total_vm + 4) * PAGE;
	assert_maperr(QUIRE_ACCESS_WRITE, STACK_TOP - 6 * PAGE);
	set(STACK_TOP - 5 * PAGE, 1);
	mm->limits.as = QUIRE_RLIM_INFINITY;
	mm->limits.memlock = 7 * PAGE;
	assert_maperr(QUIRE_ACCESS_WRITE, STACK_TOP - 8 * PAGE);
	set(STACK_TOP - 7 * PAGE, 1);
	assert_int_equal(mm->locked_vm, 7);
	check_space(mm);
}

/*
 * As seen on Linux 6.18: a stack that a limit stops has an owner of its own from then on, so it
 * joins nothing that has another; one that the guard gap stops has none.
 *
 *	stack, no owner   |----A----|----B----|   B's owner could not be shared: it was MADV_DONTDUMP
 */
static void a_stack_that_may_not_grow_gets_an_owner(void **state)
{
	struct quire_mm *mm = space.mm;
	const uint64_t a = STACK_TOP - 8 * PAGE, b = STACK_TOP - 4 * PAGE;

	put_area(mm, b, 4, VM_STACK);
	set(b, 1);
	assert_int_equal(quire_madvise(mm, b, 4 * PAGE, QUIRE_MADV_DONTDUMP), 0);
	put_area(mm, a, 4, VM_STACK);
	put_area(mm, a - 4 * PAGE, 1, VM_RW);
	assert_maperr(QUIRE_ACCESS_WRITE, a - PAGE); /* the gap */
	assert_null(area(mm, a)->anon);
	assert_int_equal(quire_munmap(mm, a - 4 * PAGE, PAGE), 0);
	mm->limits.stack = 6 * PAGE;
	assert_maperr(QUIRE_ACCESS_WRITE, a - 3 * PAGE);
	assert_non_null(area(mm, a)->anon);
	assert_int_equal(quire_madvise(mm, b, 4 * PAGE, QUIRE_MADV_DODUMP), 0);
	assert_int_equal(area(mm, a)->end, b);
	check_space(mm);
}

/* A stack first grows, and then its rights are looked at. */
static void a_stack_without_rights_grows_all_the_same(void **state)
{
	struct quire_mm *mm = space.mm;

	put_area(mm, STACK_TOP - PAGE, 1, VM_R | QUIRE_VM_GROWSDOWN);
	assert_accerr(QUIRE_ACCESS_WRITE, STACK_TOP - 6 * PAGE);
	assert_int_equal(area(mm, STACK_TOP - 1)->start, STACK_TOP - 6 * PAGE);
	put_area(mm, BASE, 1, MAY | QUIRE_VM_GROWSDOWN);
	assert_accerr(QUIRE_ACCESS_READ, BASE - 6 * PAGE);
	assert_int_equal(area(mm, BASE)->start, BASE - 6 * PAGE);
}

/* ---- Forced access ----------------------------------------------------------------------- */

static void force_reads_what_may_be_read(void **state)
{
	struct quire_mm *mm = space.mm;
	struct quire_page *page;

	put_area(mm, BASE, 1, VM_RW);
	set(BASE, 1);
	assert_int_equal(quire_mprotect(mm, BASE, PAGE, QUIRE_PROT_NONE), 0);
	assert_int_equal(quire_get_user_page(mm, BASE, QUIRE_ACCESS_READ, &page), -QUIRE_EFAULT);
	assert_int_equal(
		quire_get_user_page(mm, BASE, QUIRE_ACCESS_READ | QUIRE_ACCESS_FORCE, &page), 0);
	assert_int_equal(byte_of(page), 1);
	quire_page_put(space.q, page);
	assert_accerr(QUIRE_ACCESS_READ, BASE);
}

static void force_writes_a_private_copy_of_what_is_read_only(void **state)
{
	struct quire_mm *mm = space.mm, *child;
	struct quire_page *page;
	unsigned char *at;

	put_area(mm, BASE, 2, VM_RW);
	set(BASE, 1);
	assert_int_equal(quire_mprotect(mm, BASE, 2 * PAGE, QUIRE_PROT_READ), 0);
	child = fork_space(mm);
	assert_int_equal(quire_get_user_page(mm, BASE, QUIRE_ACCESS_WRITE, &page), -QUIRE_EFAULT);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(quire_get_user_page(mm, BASE + i * PAGE,
						     QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE,
						     &page),
				 0);
		at = quire_page_kmap(space.q, page);
		at[0] = 9;
		quire_page_kunmap(space.q, at);
		quire_page_put(space.q, page);
		assert_int_equal(get(BASE + i * PAGE), 9);
		assert_accerr(QUIRE_ACCESS_WRITE, BASE + i * PAGE);
		assert_true(entry_has(mm, BASE + i * PAGE, QUIRE_PTE_DIRTY));
	}
	run_in(child);
	assert_int_equal(get(BASE), 1);
	assert_int_equal(get(BASE + PAGE), 0);
	put_space(child);

	put_area(mm, BASE + 8 * PAGE, 1, VM_R | QUIRE_VM_IO);
	assert_int_equal(quire_get_user_page(mm, BASE + 8 * PAGE,
					     QUIRE_ACCESS_READ | QUIRE_ACCESS_FORCE, &page),
			 -QUIRE_EFAULT);
	assert_int_equal(quire_get_user_page(mm, BASE + 9 * PAGE,
					     QUIRE_ACCESS_READ | QUIRE_ACCESS_FORCE, &page),
			 -QUIRE_EFAULT);
}

/* ---- Populating -------------------------------------------------------------------------- */

static void populating_writes_private_memory_and_reads_the_rest(void **state)
{
	struct quire_mm *mm = space.mm;
	uint64_t faults;

	put_area(mm, BASE, 4, VM_RW);
	put_area(mm, BASE + 8 * PAGE, 4, VM_R);
	assert_int_equal(quire_populate(mm, BASE, BASE + 16 * PAGE, false), 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_true(entry_has(mm, BASE + i * PAGE, QUIRE_PTE_WRITE));
		assert_true(entry_has(mm, BASE + (8 + i) * PAGE, QUIRE_PTE_SPECIAL));
	}
	faults = mm->minor_faults;
	set(BASE + PAGE, 1);
	assert_int_equal(mm->minor_faults, faults);
}

static void populating_stops_at_the_first_page_that_cannot_be(void **state)
{
	struct quire_mm *mm = space.mm;

	put_area(mm, BASE, 2, VM_RW);
	put_area(mm, BASE + 2 * PAGE, 2, MAY);
	put_area(mm, BASE + 4 * PAGE, 2, VM_RW);
	assert_int_equal(quire_populate(mm, BASE, BASE + 6 * PAGE, false), -QUIRE_EFAULT);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 2);
	assert_int_equal(quire_populate(mm, BASE, BASE + 6 * PAGE, true), 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 4);
	put_guard(BASE + 10 * PAGE); /* in a hole so far */
	put_area(mm, BASE + 8 * PAGE, 4, VM_RW);
	assert_int_equal(quire_populate(mm, BASE + 8 * PAGE, BASE + 12 * PAGE, false),
			 -QUIRE_EFAULT);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 6);
}

/* A host that makes pages present itself hears the same errors, and no page comes. */
static void populating_can_be_the_host_s_business(void **state)
{
	struct quire_mm *mm = space.mm;

	space.q->mms.sysctl.populate_disabled = true;
	put_area(mm, BASE, 2, VM_RW);
	put_area(mm, BASE + 2 * PAGE, 2, MAY);
	assert_int_equal(quire_populate(mm, BASE, BASE + 2 * PAGE, false), 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 0);
	assert_int_equal(quire_populate(mm, BASE, BASE + 4 * PAGE, false), -QUIRE_EFAULT);
	assert_int_equal(quire_populate(mm, BASE, BASE + 4 * PAGE, true), 0);
	put_guard(BASE + PAGE);
	assert_int_equal(quire_populate(mm, BASE, BASE + 2 * PAGE, false), -QUIRE_EFAULT);
}

/* ---- Zapping ----------------------------------------------------------------------------- */

static void the_high_water_mark_is_what_rss_has_been(void **state)
{
	struct quire_mm *mm = space.mm;

	put_area(mm, BASE, 600, VM_RW); /* across a leaf table's end */
	for (unsigned i = 0; i < 600; i++)
		set(BASE + i * PAGE, (unsigned char)i);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 600);
	quire_zap_range(mm, area(mm, BASE), BASE + 10 * PAGE, BASE + 590 * PAGE, 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 20);
	assert_int_equal(mm->hiwater_rss, 600);
	check_space(mm);
	assert_int_equal(get(BASE + 9 * PAGE), 9);
	assert_int_equal(get(BASE + 10 * PAGE), 0);
	assert_int_equal(get(BASE + 590 * PAGE), (unsigned char)590);
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
/*
 * The k-th allocation of one fault fails, for every k: the fault says so, and nothing is different
 * from before, nor does it cost later that it has failed.
 */
static void fail_each(uint32_t access, uint64_t addr)
{
	struct quire_mm *mm = space.mm;
	uint64_t k;

	for (k = 1;; k++) {
		uint64_t tables = quire_pgtable_bytes(&mm->pt), free_pages,
			 faults = mm->minor_faults;
		quire_pte_t before = entry(mm, addr);
		struct quire_vma *vma = area(mm, addr);
		struct quire_anon *anon = vma ? vma->anon : NULL;
		struct quire_signal sig = {0};
		int64_t rss = quire_mm_rss(mm);
		int err;

		quire_grace_wait(space.q);
		quire_slab_shrink_all(space.q);
		quire_page_drain(space.q);
		free_pages = quire_free_pages(space.q);
		space.q->pages.fail.failed = 0;
		space.q->pages.fail.after = k;
		err = quire_fault(mm, addr, access, &sig);
		space.q->pages.fail.after = 0;
		if (!space.q->pages.fail.failed) {
			assert_int_equal(err, 0);
			break;
		}
		/* A stack that can't grow for want of memory is one that can't grow. */
		if (vma || err != -QUIRE_EFAULT) {
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_int_equal(sig.signo, QUIRE_SIGKILL);
		}
		assert_int_equal(entry(mm, addr), before);
		assert_int_equal(quire_pgtable_bytes(&mm->pt), tables);
		assert_int_equal(quire_mm_rss(mm), rss);
		assert_int_equal(mm->minor_faults, faults);
		assert_ptr_equal(area(mm, addr), vma);
		if (vma)
			assert_ptr_equal(vma->anon, anon);
		check_space(mm);
		quire_grace_wait(space.q);
		quire_slab_shrink_all(space.q);
		assert_int_equal(quire_free_pages(space.q), free_pages);
	}
	assert_true(k > 1);
}

static void a_fault_without_memory_changes_nothing(void **state)
{
	struct quire_mm *mm = space.mm, *child;
	const uint64_t far = BASE + test_root_reach(mm->pt.fmt);

	put_area(mm, BASE, 8, VM_RW);
	fail_each(QUIRE_ACCESS_READ, BASE);	    /* zero page: tables */
	fail_each(QUIRE_ACCESS_WRITE, BASE);	    /* over it: owner, page */
	fail_each(QUIRE_ACCESS_WRITE, BASE + PAGE); /* demand zero: page */
	put_area(mm, far, 1, VM_RW);
	fail_each(QUIRE_ACCESS_WRITE, far); /* tables, owner, page */
	child = fork_space(mm);
	fail_each(QUIRE_ACCESS_WRITE, BASE + PAGE); /* copy-on-write */
	put_space(child);
	put_area(mm, STACK_TOP - PAGE, 1, VM_STACK);
	fail_each(QUIRE_ACCESS_WRITE, STACK_TOP - 5 * PAGE);
}

/* Nobody is killed for memory that may go at any time: the instruction runs again. */
static void a_droppable_area_waits_for_memory(void **state)
{
	struct quire_signal sig = {0};

	put_area(space.mm, BASE, 1, VM_RW | QUIRE_VM_DROPPABLE);
	space.q->pages.fail.after = 1;
	assert_int_equal(quire_fault(space.mm, BASE, QUIRE_ACCESS_WRITE, &sig), 0);
	assert_int_equal(entry(space.mm, BASE), 0);
	set(BASE, 1);
	assert_int_equal(get(BASE), 1);
	assert_true(quire_page_test(quire_pfn_to_page(space.q, frame(space.mm, BASE)),
				    QUIRE_PG_LAZYFREE));
}
#endif

/* ---- Several CPUs ------------------------------------------------------------------------ */

#define CPUS 4
#define RACE_PAGES 64

static int setup_cpus(void **state)
{
	return space_setup_cpus(state, CPUS);
}

#define cpus_test(fn) cmocka_unit_test_setup_teardown(fn, setup_cpus, space_teardown)

static void store_word(struct machine *m, uint64_t addr, uint64_t value)
{
	if (machine_store(m, addr, &value, 8, NULL))
		machine_report(m, "a store failed", QUIRE_WHERE, addr);
}

static uint64_t load_word(struct machine *m, uint64_t addr)
{
	uint64_t value = 0;

	if (machine_load(m, addr, &value, 8, NULL))
		machine_report(m, "a load failed", QUIRE_WHERE, addr);
	return value;
}

/*
 * Each CPU its own word of every page; all touch each page for the first time at about the same
 * moment.
 */
static void touch_all(struct machine *m, unsigned cpu, void *arg)
{
	struct quire_mm *mm = arg;

	machine_switch(m, &mm->pt);
	for (unsigned i = 0; i < RACE_PAGES; i++) {
		uint64_t addr = BASE + i * PAGE + cpu * 8;

		if (i % 3 == 0)
			(void)load_word(m, addr);
		store_word(m, addr, load_word(m, addr) + cpu + 1);
	}
	machine_switch(m, NULL);
}

static void assert_touched(unsigned times)
{
	for (unsigned i = 0; i < RACE_PAGES; i++) {
		for (unsigned cpu = 0; cpu < CPUS; cpu++)
			assert_int_equal(get(BASE + i * PAGE + cpu * 8), (cpu + 1) * times);
	}
}

static void cpus_fault_on_the_same_pages(void **state)
{
	struct quire_mm *mm = space.mm;

	put_area(mm, BASE, RACE_PAGES, VM_RW);
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, CPUS, touch_all, mm);
	run_in(mm);
	assert_touched(1);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], RACE_PAGES);
	check_space(mm);
}

static void cpus_copy_the_same_pages(void **state)
{
	struct quire_mm *mm = space.mm, *child[3];

	put_area(mm, BASE, RACE_PAGES, VM_RW);
	for (unsigned n = 0; n < 3; n++) {
		machine_switch(space.m, NULL);
		machine_run_cpus(space.m, CPUS, touch_all, mm);
		run_in(mm);
		child[n] = fork_space(mm);
	}
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, CPUS, touch_all, mm);
	run_in(mm);
	assert_touched(4);
	check_space(mm);
	for (unsigned n = 0; n < 3; n++) {
		run_in(child[n]);
		assert_touched(n + 1);
		put_space(child[n]);
	}
}

/*
 * CPU 0 takes rights and areas away and gives them back while the others go on; they see their own
 * values or a signal.
 */
struct churn {
	struct quire_mm *mm;
	uint32_t stop;
};

static void use_pages(struct machine *m, unsigned cpu, struct churn *churn)
{
	struct quire_signal sig;
	uint64_t n = 0;

	while (!quire_load_acquire(&churn->stop)) {
		uint64_t addr = BASE + n++ % RACE_PAGES * PAGE + cpu * 8, value = cpu;

		if (machine_store(m, addr, &value, 8, &sig)) {
			if (sig.signo != QUIRE_SIGSEGV || sig.addr != addr)
				machine_report(m, "the wrong signal", QUIRE_WHERE, addr);
			continue;
		}
		/* Dropped meanwhile, or what we wrote. */
		if (!machine_load(m, addr, &value, 8, &sig) && value != cpu && value != 0)
			machine_report(m, "somebody else's value", QUIRE_WHERE, addr);
	}
}

static void take_pages_away(struct churn *churn)
{
	struct quire_mm *mm = churn->mm, *child;
	uint64_t half = RACE_PAGES / 2 * PAGE;

	for (unsigned round = 0; round < 60; round++) {
		switch (round % 5) {
		case 0:
			(void)quire_mprotect(mm, BASE, half, QUIRE_PROT_READ);
			break;
		case 1:
			(void)quire_mprotect(mm, BASE, half, QUIRE_PROT_READ | QUIRE_PROT_WRITE);
			break;
		case 2:
			if (!quire_fork(mm, &child))
				quire_mmput(child);
			break;
		case 3:
			(void)quire_munmap(mm, BASE + half, half);
			break;
		default:
			(void)quire_mmap(mm, BASE + half, half, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
					 QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
					 NULL, 0);
		}
	}
	quire_store_release(&churn->stop, 1u);
}

static void churn_cpu(struct machine *m, unsigned cpu, void *arg)
{
	struct churn *churn = arg;

	machine_switch(m, &churn->mm->pt);
	if (cpu == 0)
		take_pages_away(churn);
	else
		use_pages(m, cpu, churn);
	machine_switch(m, NULL);
}

static void faults_against_mprotect_munmap_and_fork(void **state)
{
	struct churn churn = {.mm = space.mm};

	put_area(space.mm, BASE, RACE_PAGES, VM_RW);
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, CPUS, churn_cpu, &churn);
	run_in(space.mm);
	check_space(space.mm);
	assert_false(machine_failed(space.m));
}

/* Makes it likely that somebody meets what has been changed and not flushed yet. */
static void slow_flush(void *ctx, const struct quire_tlb_flush *flush)
{
	(void)ctx;
	(void)flush;
	for (unsigned i = 0; i < 160; i++)
		quire_port_relax(space.q);
}

static const struct machine_hooks slow_hooks = {.flush = slow_flush};

/*
 * CPU 1 counts up a word of a private page, and after it one of a shared page. The others read them
 * the other way round, so the first is never behind the second. CPU 0 breaks a copy of the private
 * page all the while. This fails if the new page can be written to before the entry of the old one
 * is flushed everywhere.
 */
#define PRIVATE BASE
#define SHARED (BASE + 0x400000)

static void break_copies(struct machine *m, struct quire_mm *mm)
{
	for (unsigned round = 0; round < 1500; round++) {
		struct quire_mm *child;

		if (quire_fork(mm, &child)) {
			machine_report(m, "no memory", QUIRE_WHERE, round);
			return;
		}
		store_word(m, PRIVATE + 8, round);
		quire_mmput(child);
	}
}

static void count_cpu(struct machine *m, unsigned cpu, void *arg)
{
	struct churn *churn = arg;
	uint64_t n;

	machine_switch(m, &churn->mm->pt);
	if (cpu == 0) {
		break_copies(m, churn->mm);
		quire_store_release(&churn->stop, 1u);
	}
	for (n = 1; !quire_load_acquire(&churn->stop); n++) {
		if (cpu == 1) {
			store_word(m, PRIVATE, n);
			store_word(m, SHARED, n);
		} else {
			uint64_t later = load_word(m, SHARED);

			if (load_word(m, PRIVATE) < later)
				machine_report(m, "an old page was read", QUIRE_WHERE, later);
		}
		sched_yield(); /* else another CPU's flush waits long for our TLB */
	}
	machine_switch(m, NULL);
}

static void no_reader_sees_the_old_page_after_the_new(void **state)
{
	struct churn churn = { .mm = space.mm };
	struct quire_file *file;

	machine_set_hooks(space.m, &slow_hooks, NULL);
	put_area(space.mm, PRIVATE, 1, VM_RW);
	assert_int_equal(quire_shmem_file(space.q, PAGE, &file), 0);
	put_file(space.mm, SHARED, 1, VM_RW | VM_S, file, 0);
	quire_file_put(space.q, file);
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, CPUS, count_cpu, &churn);
	run_in(space.mm);
	assert_false(machine_failed(space.m));
}

/*
 * Between fork's write-protecting and its flush some CPUs can still write to a page through old
 * entries. Who breaks the copy in that time must not copy what is still being written to: no store
 * is lost.
 */
#define COUNTS 4000u

static void increment_cpu(struct machine *m, unsigned cpu, void *arg)
{
	struct churn *churn = arg;
	struct quire_mm *child;

	machine_switch(m, &churn->mm->pt);
	while (cpu == 0 && quire_load_acquire(&churn->stop) < CPUS - 1) {
		if (quire_fork(churn->mm, &child))
			machine_report(m, "no memory", QUIRE_WHERE, 0);
		else
			quire_mmput(child);
	}
	for (unsigned n = 0; cpu != 0 && n < COUNTS; n++) {
		uint64_t addr = BASE + n % 4 * PAGE + cpu * 8;

		store_word(m, addr, load_word(m, addr) + 1);
	}
	if (cpu != 0)
		(void)quire_fetch_add(&churn->stop, 1u);
	machine_switch(m, NULL);
}

static void no_store_is_lost_to_a_fork(void **state)
{
	struct churn churn = {.mm = space.mm};

	machine_set_hooks(space.m, &slow_hooks, NULL);
	put_area(space.mm, BASE, 300, VM_RW);
	assert_int_equal(quire_populate(space.mm, BASE, BASE + 300 * PAGE, false), 0);
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, CPUS, increment_cpu, &churn);
	run_in(space.mm);
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(load_word(space.m, BASE + i * PAGE + cpu * 8), COUNTS / 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		space_test(reading_maps_the_zero_page),
		space_test(writing_gives_a_page_of_its_own),
		space_test(reading_gives_a_page_where_zeroes_are_not_shared),
		space_test(the_zero_page_is_replaced_by_the_first_write),
		space_test(an_access_across_two_pages_faults_twice),
		space_test(no_area_no_access),
		space_test(prot_none_denies_everything),
		space_test(reading_alone_denies_writes),
		space_test(writing_alone_can_read),
		space_test(executing_alone_can_read),
		space_test(fetching_from_data_faults_the_page_in_and_is_refused),
		space_test(guards_are_like_holes),
		space_test(protnone_and_back_keeps_the_bytes),
		space_test(rights_taken_are_gone_at_once),
		space_test(write_comes_back_only_where_the_page_is_ours),
		space_test(fork_shares_until_one_writes),
		space_test(fork_flushes_the_parent_once),
		space_test(the_last_one_keeps_the_page),
		space_test(a_chain_of_forks),
		space_test(a_reader_with_a_reference_does_not_see_later_writes),
		space_test(a_reference_to_our_own_page_stays_ours),
		space_test(guards_and_rights_cross_a_fork),
		space_test(a_stack_grows_as_far_as_its_limit),
		space_test(a_stack_keeps_its_guard_gap),
		space_test(a_stack_grows_next_to_what_cannot_be_touched),
		space_test(a_stack_stops_at_mmap_min_addr_and_other_limits),
		space_test(a_stack_that_may_not_grow_gets_an_owner),
		space_test(a_stack_without_rights_grows_all_the_same),
		space_test(force_reads_what_may_be_read),
		space_test(force_writes_a_private_copy_of_what_is_read_only),
		space_test(populating_writes_private_memory_and_reads_the_rest),
		space_test(populating_stops_at_the_first_page_that_cannot_be),
		space_test(populating_can_be_the_host_s_business),
		space_test(the_high_water_mark_is_what_rss_has_been),
#if QUIRE_DEBUG
		space_test(a_fault_without_memory_changes_nothing),
		space_test(a_droppable_area_waits_for_memory),
#endif
		cpus_test(cpus_fault_on_the_same_pages),
		cpus_test(cpus_copy_the_same_pages),
		cpus_test(faults_against_mprotect_munmap_and_fork),
		cpus_test(no_store_is_lost_to_a_fork),
		cpus_test(no_reader_sees_the_old_page_after_the_new),
	};

	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}

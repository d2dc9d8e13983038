/* SPDX-License-Identifier: MIT */
/*
 * Which space a CPU is in: what a scheduler's switches load and count, kernel threads that borrow,
 * and that a borrowed space stays until the last one has gone elsewhere. The rules are those of
 * Linux's Documentation/mm/active_mm.rst and switch_mm(). One thread is all CPUs by turns, but at
 * the end.
 */
#include "space.h"

#define CPUS 4u

/* What a scheduler does. True if tables were loaded. */
static bool go(struct quire_mm *next)
{
	struct quire_pgtable *tables;

	quire_port_preempt_disable(space.q);
	tables = quire_switch_mm(space.q, next);
	if (tables)
		machine_switch(space.m, tables);
	quire_finish_switch(space.q);
	quire_port_preempt_enable(space.q);
	return tables != NULL;
}

static bool leave(void)
{
	bool left;

	quire_port_preempt_disable(space.q);
	left = quire_leave_mm(space.q);
	if (left)
		machine_switch(space.m, NULL);
	quire_finish_switch(space.q);
	quire_port_preempt_enable(space.q);
	return left;
}

static struct quire_mm *active(void)
{
	struct quire_mm *mm;

	quire_port_preempt_disable(space.q);
	mm = quire_active_mm(space.q);
	quire_port_preempt_enable(space.q);
	return mm;
}

static void on_cpu(unsigned cpu)
{
	machine_cpu_turn(space.m, cpu);
}

static bool is_loaded(struct quire_mm *mm, unsigned cpu)
{
	return mm->pt.cpus[0] >> cpu & 1;
}

static struct quire_mm *new_space(void)
{
	struct quire_mm *mm;

	assert_int_equal(quire_mm_create(space.q, NULL, &mm), 0);
	put_area(mm, BASE, 4, VM_RW);
	return mm;
}

static void check_active(void)
{
	quire_broken_t broken = quire_active_check(space.q);

	if (broken)
		fail_msg("%s", broken);
}

/* The thread of the test is a scheduler's from here on. */
static int setup(void **state)
{
	if (space_setup_cpus(state, CPUS))
		return -1;
	machine_switch(space.m, NULL);
	put_area(space.mm, BASE, 4, VM_RW);
	return 0;
}

static int teardown(void **state)
{
	unsigned cpu;

	for (cpu = CPUS; cpu-- > 0;) {
		on_cpu(cpu);
		go(NULL);
		leave();
		assert_null(active());
	}
	check_active();
	assert_int_equal(space.mm->count, 1);
	return space_teardown(state);
}

/* ---- Borrowed ---------------------------------------------------------------------------- */

static void a_cpu_begins_in_no_space(void **state)
{
	(void)state;
	assert_null(active());
	assert_false(go(NULL));
	assert_null(active());
	assert_false(leave());
}

/* To a kernel thread and back: nothing is loaded, and the TLB still has what it had. */
static void a_kernel_thread_borrows_what_is_loaded(void **state)
{
	struct machine_stats before, after;

	(void)state;
	assert_true(go(space.mm));
	assert_ptr_equal(active(), space.mm);
	assert_int_equal(space.mm->count, 1);
	set(BASE, 7);

	machine_stats(space.m, &before);
	assert_false(go(NULL));
	assert_ptr_equal(active(), space.mm);
	assert_int_equal(space.mm->count, 2);
	check_active();
	assert_false(go(NULL)); /* the next kernel thread: borrowed once is enough */
	assert_int_equal(space.mm->count, 2);
	assert_true(is_loaded(space.mm, 0));

	assert_false(go(space.mm));
	assert_int_equal(space.mm->count, 1);
	assert_int_equal(get(BASE), 7);
	machine_stats(space.m, &after);
	assert_int_equal(after.walks, before.walks);
	assert_int_equal(after.flushes, before.flushes);
}

static void another_space_ends_the_loan(void **state)
{
	struct quire_mm *other = new_space();

	(void)state;
	go(space.mm);
	go(NULL);
	assert_true(go(other));
	assert_ptr_equal(active(), other);
	assert_int_equal(space.mm->count, 1);
	assert_int_equal(other->count, 1);
	assert_false(is_loaded(space.mm, 0));
	assert_true(is_loaded(other, 0));

	/* From thread to thread nothing is borrowed. */
	assert_true(go(space.mm));
	assert_int_equal(other->count, 1);
	assert_int_equal(space.mm->count, 1);
	quire_mmput(other);
}

/* The count goes when the other tables are loaded, not before. */
static void what_was_borrowed_is_dropped_at_the_end_of_the_switch(void **state)
{
	struct quire_mm *other = new_space();

	(void)state;
	go(space.mm);
	go(NULL);
	quire_port_preempt_disable(space.q);
	assert_ptr_equal(quire_switch_mm(space.q, other), &other->pt);
	assert_int_equal(space.mm->count, 2);
	assert_string_equal(quire_active_check(space.q), "active: no switch is under way");
	machine_switch(space.m, &other->pt);
	quire_finish_switch(space.q);
	assert_int_equal(space.mm->count, 1);
	quire_port_preempt_enable(space.q);
	go(NULL);
	leave();
	quire_mmput(other);
}

/* ---- Owners that go ---------------------------------------------------------------------- */

static struct {
	quire_pfn_t root;
	unsigned freed;
	uint64_t flushed_cpus; /* by all flushes together */
} seen;

static void on_frames(void *ctx, quire_pfn_t pfn, unsigned order, bool allocated)
{
	(void)ctx;
	if (!allocated && seen.root >= pfn && seen.root < pfn + (1ull << order))
		seen.freed++;
}

static void on_flush(void *ctx, const struct quire_tlb_flush *flush)
{
	(void)ctx;
	seen.flushed_cpus |= flush->cpus[0];
}

static void watch(struct quire_mm *mm)
{
	static const struct machine_hooks hooks = {.flush = on_flush, .frames = on_frames};

	seen.root = quire_pgtable_root(&mm->pt) / PAGE;
	seen.freed = 0;
	seen.flushed_cpus = 0;
	machine_set_hooks(space.m, &hooks, NULL);
}

/*
 * Two kernel threads on other CPUs have it when its owner ends. The exit's flush reaches them; the tables
 * stay until the last of them has others; then they go, on that CPU.
 */
static void a_borrowed_space_outlives_its_owner(void **state)
{
	struct quire_mm *mm = new_space();
	unsigned cpu;

	(void)state;
	for (cpu = 1; cpu <= 2; cpu++) {
		on_cpu(cpu);
		go(mm);
		set(BASE, 1);
		go(NULL);
	}
	on_cpu(0);
	go(mm);
	set(BASE, 2);
	watch(mm);

	go(NULL);
	quire_mmput(mm); /* exits */
	assert_int_equal(mm->users, 0);
	assert_int_equal(mm->count, 3);
	assert_int_equal(seen.flushed_cpus, 0x7);
	check_active();
	assert_null(machine_check(space.m));
	go(space.mm);
	assert_int_equal(mm->count, 2);

	on_cpu(1);
	assert_false(go(NULL));
	assert_maperr(QUIRE_ACCESS_READ, BASE); /* its tables, without an entry */
	go(space.mm);
	assert_int_equal(seen.freed, 0);
	on_cpu(2);
	assert_ptr_equal(active(), mm);
	go(space.mm);
	assert_int_equal(seen.freed, 1);
	check_active();
}

/* A CPU that leaves needs no other space to go to. */
static void a_cpu_that_leaves_lets_the_tables_go(void **state)
{
	struct quire_mm *mm = new_space();

	(void)state;
	on_cpu(3);
	go(mm);
	set(BASE, 1);
	assert_false(leave()); /* a thread of it is here */
	assert_ptr_equal(active(), mm);
	go(NULL);
	watch(mm);
	quire_mmput(mm);
	assert_int_equal(seen.freed, 0);
	assert_true(leave());
	assert_int_equal(seen.freed, 1);
	assert_null(active());
	assert_false(leave());
}

/* exec: the old space is left, as a kernel thread would, before it goes. */
static void exec_goes_on_in_the_new_space(void **state)
{
	struct quire_mm *mm = new_space();
	struct quire_mm *old = mm;

	(void)state;
	go(mm);
	set(BASE, 1);
	watch(mm);
	go(NULL);
	assert_int_equal(quire_exec(&mm, NULL), 0);
	assert_ptr_not_equal(mm, old);
	assert_ptr_equal(active(), old);
	assert_int_equal(seen.freed, 0);
	assert_true(go(mm));
	assert_int_equal(seen.freed, 1);
	assert_maperr(QUIRE_ACCESS_READ, BASE);
	go(NULL);
	leave();
	quire_mmput(mm);
}

static void exec_without_memory_goes_on_in_the_old_space(void **state)
{
	struct quire_mm *mm = space.mm;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	go(mm);
	set(BASE, 5);
	go(NULL);
	space.q->slabs.fail.after = 1;
	assert_int_equal(quire_exec(&mm, NULL), -QUIRE_ENOMEM);
	assert_false(go(mm));
	assert_int_equal(get(BASE), 5);
}

/* ---- Shoot-downs ------------------------------------------------------------------------- */

static void unmap_page(struct quire_mm *mm, uint64_t addr)
{
	assert_int_equal(quire_munmap(mm, addr, PAGE), 0);
}

static void shoot_downs_reach_who_borrows(void **state)
{
	(void)state;
	on_cpu(1);
	go(space.mm);
	set(BASE, 1);
	set(BASE + PAGE, 1);
	go(NULL);
	on_cpu(0);
	watch(space.mm);
	unmap_page(space.mm, BASE);
	assert_int_equal(seen.flushed_cpus, 0x2);
	assert_null(machine_check(space.m));

	/* Who has left hears no more, and has nothing. */
	on_cpu(1);
	assert_true(leave());
	seen.flushed_cpus = 0;
	on_cpu(0);
	unmap_page(space.mm, BASE + PAGE);
	assert_int_equal(seen.flushed_cpus, 0);
	on_cpu(1);
	assert_true(go(space.mm));
	assert_maperr(QUIRE_ACCESS_READ, BASE + PAGE);
}

/* ---- Kernel threads that use a space ------------------------------------------------------ */

/* kthread_use_mm() and kthread_unuse_mm(). */
static void a_kernel_thread_uses_a_space_for_a_while(void **state)
{
	struct quire_mm *mm = new_space();

	(void)state;
	on_cpu(1);
	go(space.mm);
	go(NULL); /* the kernel thread, with what it found */
	assert_true(quire_mmget_not_zero(mm));
	assert_true(go(mm));
	set(BASE, 9);
	assert_int_equal(space.mm->count, 1);
	assert_false(go(NULL));
	assert_ptr_equal(active(), mm); /* borrowed again */
	assert_int_equal(mm->count, 2);
	quire_mmput(mm);

	on_cpu(0);
	go(mm);
	assert_int_equal(get(BASE), 9);
	go(NULL);
	leave();
	quire_mmput(mm);
	on_cpu(1);
	assert_int_equal(mm->count, 1);
	go(space.mm); /* the last one */
}

/* ---- Misuse ------------------------------------------------------------------------------ */

static void tables_that_are_loaded_are_not_to_go(void **state)
{
	struct quire_mm *mm;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	mm = new_space();
	on_cpu(2);
	go(mm);
	machine_set_quiet(space.m, true);
	on_cpu(0);
	/* The thread on CPU 2 had no user of its own. Its descriptor is kept for the test to go on. */
	quire_mmgrab(mm);
	quire_mmput(mm);
	assert_string_equal(quire_active_check(space.q),
			    "active: a space whose thread is on a CPU has users");
	on_cpu(2);
	machine_switch(space.m, NULL);
	quire_pgtable_load(&mm->pt, 2); /* as if it had not */
	space.q->mms.active[2].mm = NULL;
	quire_mmdrop(mm);
	machine_set_quiet(space.m, false);
	assert_true(machine_expect_report(space.m, "pt.cpus[i]"));
}

static void the_check_sees_a_count_that_is_too_low(void **state)
{
	(void)state;
	go(space.mm);
	go(NULL);
	assert_null(quire_active_check(space.q));
	space.mm->count--;
	assert_string_equal(quire_active_check(space.q),
			    "active: a space's count >= CPUs that borrow it + 1 for its users");
	space.mm->count++;
	space.q->mms.active[1].borrowed = true;
	assert_string_equal(quire_active_check(space.q), "active: what is borrowed is a space");
	space.q->mms.active[1].borrowed = false;
}

/* ---- Several CPUs ------------------------------------------------------------------------ */

#define SPACES 3u
#define ROUNDS 3000u

/* Spaces that come and go under CPUs that run in them by turns. A slot's pointer is one user. */
static struct {
	struct quire_spinlock lock;
	struct quire_mm *mm[SPACES];
	uint32_t made; /* atomic */
} town;

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

static struct quire_mm *enter_town(unsigned slot)
{
	struct quire_mm *mm;

	quire_spin_lock(space.q, &town.lock);
	mm = town.mm[slot];
	quire_mmget(mm);
	quire_spin_unlock(space.q, &town.lock);
	return mm;
}

static void replace(unsigned slot)
{
	struct quire_mm *old, *new = new_space();

	quire_spin_lock(space.q, &town.lock);
	old = town.mm[slot];
	town.mm[slot] = new;
	quire_spin_unlock(space.q, &town.lock);
	(void)quire_fetch_add(&town.made, 1u);
	quire_mmput(old);
}

static void citizen(struct machine *m, unsigned cpu, void *arg)
{
	uint32_t random = cpu + 1;
	unsigned round;

	(void)m;
	(void)arg;
	for (round = 0; round < ROUNDS; round++) {
		unsigned slot = next_random(&random) % SPACES;
		struct quire_mm *mm;

		if (next_random(&random) % 16 == 0) {
			replace(slot); /* a kernel thread's work: whatever is loaded stays */
			continue;
		}
		if (next_random(&random) % 16 == 1) {
			leave();
			continue;
		}
		mm = enter_town(slot);
		go(mm);
		/* The program: its own word, which nobody else writes. */
		set(BASE + cpu, (unsigned char)round);
		assert_int_equal(get(BASE + cpu), (unsigned char)round);
		go(NULL);
		quire_mmput(mm);
	}
	leave();
}

static void spaces_come_and_go_under_kernel_threads(void **state)
{
	unsigned slot;

	(void)state;
	memset(&town, 0, sizeof(town));
	for (slot = 0; slot < SPACES; slot++)
		town.mm[slot] = new_space();
	machine_run_cpus(space.m, CPUS, citizen, NULL);
	check_active();
	for (slot = 0; slot < SPACES; slot++)
		quire_mmput(town.mm[slot]);
	/* One in 16 of the rounds; otherwise nothing was tried. */
	assert_in_range(town.made, CPUS * ROUNDS / 32, CPUS * ROUNDS / 8);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_cpu_begins_in_no_space),
		TEST(a_kernel_thread_borrows_what_is_loaded),
		TEST(another_space_ends_the_loan),
		TEST(what_was_borrowed_is_dropped_at_the_end_of_the_switch),
		TEST(a_borrowed_space_outlives_its_owner),
		TEST(a_cpu_that_leaves_lets_the_tables_go),
		TEST(exec_goes_on_in_the_new_space),
		TEST(exec_without_memory_goes_on_in_the_old_space),
		TEST(shoot_downs_reach_who_borrows),
		TEST(a_kernel_thread_uses_a_space_for_a_while),
		TEST(tables_that_are_loaded_are_not_to_go),
		TEST(the_check_sees_a_count_that_is_too_low),
		TEST(spaces_come_and_go_under_kernel_threads),
	};

	return cmocka_run_group_tests_name("active", tests, NULL, NULL);
}

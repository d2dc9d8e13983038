/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: its memory, several machines in one process, several CPUs at once, and
 * what aborts. What one CPU's MMU does: machine.c.
 */
#include "machine_fixture.h"

/* ---- Memory ------------------------------------------------------------------------------ */

static uint64_t resident_bytes(void)
{
	unsigned long size, resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
	fclose(file);
	return resident * PAGE;
}

static void test_zeroed_frames_that_nobody_writes_cost_nothing(void **state)
{
	const struct machine_config config = { .ram_bytes = 1024 * M };
	struct quire_list pages, *pos, *tmp;
	struct fixture *f = begin(&config);
	struct quire_page *page;
	uint64_t before;
	unsigned n = 0;

	(void)state;
	quire_list_init(&pages);
	before = resident_bytes();
	while (n < 200 * 1024 &&
	       (page = quire_page_alloc(f->q, QUIRE_GFP_USER | QUIRE_GFP_ZERO, 0))) {
		quire_list_add(&pages, &page->lru);
		n++;
	}
	assert_int_equal(n, 200 * 1024); /* 800 MiB */
#if !SANITIZED
	assert_true(resident_bytes() - before < 16 * M);
#else
	(void)before;
#endif
	quire_list_for_each(pos, tmp, &pages) {
		quire_list_del(pos);
		quire_page_free(f->q, quire_list_entry(pos, struct quire_page, lru), 0);
	}
	end(f);
}

static void test_a_frame_that_was_written_comes_back_zeroed(void **state)
{
	struct fixture *f = *state;
	static const unsigned char zeroes[4096];
	unsigned char bytes[4096];
	unsigned i;

	for (i = 0; i < 100; i++) {
		f->serve = RWU;
		assert_int_equal(machine_load(f->m, BASE, bytes, sizeof(bytes), NULL), 0);
		assert_memory_equal(bytes, zeroes, sizeof(bytes));
		memset(bytes, 0xee, sizeof(bytes));
		assert_int_equal(machine_store(f->m, BASE, bytes, sizeof(bytes), NULL), 0);
		unmap_range(f, BASE, BASE + PAGE);
	}
}

static void test_the_memory_map_is_the_hosts_to_choose(void **state)
{
	const struct quire_range map[] = {
		{ 16 * M, 32 * M, QUIRE_RANGE_USABLE, 0 },
		{ 20 * M, 21 * M, QUIRE_RANGE_RESERVED, 0 },
	};
	const struct machine_config config = {
		.ram_bytes = 32 * M, .map = map, .nr_ranges = 2, .zones = 1u << QUIRE_ZONE_NORMAL,
	};
	struct fixture *f = begin(&config);

	(void)state;
	assert_null(quire_pfn_to_page(f->q, 15 * M / PAGE));
	assert_non_null(quire_pfn_to_page(f->q, 16 * M / PAGE));
	assert_int_equal(quire_page_kind(quire_pfn_to_page(f->q, 20 * M / PAGE)),
			 QUIRE_PAGE_RESERVED);
	end(f);
}

static void test_a_machine_without_memory_cannot_be_made(void **state)
{
	const struct quire_range map[] = { { 0, 16 * M, QUIRE_RANGE_RESERVED, 0 } };
	const struct machine_config config = { .ram_bytes = 16 * M, .map = map, .nr_ranges = 1 };
	struct machine *m = (struct machine *)&config;

	(void)state;
	assert_int_equal(machine_create(&config, &m), -QUIRE_EINVAL);
	assert_null(m);
}

/* ---- Several machines, several CPUs ------------------------------------------------------ */

static void test_a_thread_can_be_a_cpu_of_two_machines(void **state)
{
	struct fixture *f = *state;
	const struct machine_config config = { .nr_cpus = 2, .seed = 42 };
	struct machine *one, *two;
	uint64_t random;

	assert_int_equal(machine_create(&config, &one), 0);
	assert_int_equal(machine_create(&config, &two), 0);
	machine_cpu_unbind(two);
	machine_cpu_bind(two, 1);
	assert_int_equal(quire_port_cpu(machine_quire(one)), 0);
	assert_int_equal(quire_port_cpu(machine_quire(two)), 1);
	assert_int_equal(quire_port_cpu(f->q), 0);
	random = quire_port_random(machine_quire(one));
	assert_int_not_equal(random, 0);
	assert_int_equal(quire_port_random(machine_quire(two)), random); /* the same in every run */
	assert_int_not_equal(quire_port_random(machine_quire(two)), random);
	assert_int_equal(quire_port_random(f->q), 0);
	assert_true(quire_port_clock_ns(f->q) < quire_port_clock_ns(f->q));
	assert_int_equal(machine_destroy(one), 0);
	assert_int_equal(machine_destroy(two), 0);
}

struct meeting {
	struct fixture *f;
	uint32_t step; /* atomic */
};

static void wait_for(struct meeting *mt, uint32_t step)
{
	while (quire_load_acquire(&mt->step) != step)
		quire_port_relax(mt->f->q);
}

/*
 *	CPU 1   load ................ load: faults
 *	CPU 0          unmap, free
 */
static void one_looks_while_the_other_unmaps(struct machine *m, unsigned cpu, void *arg)
{
	struct meeting *mt = arg;
	char byte;

	machine_switch(m, &mt->f->pt);
	if (cpu == 1) {
		assert_int_equal(machine_load(m, BASE, &byte, 1, NULL), 0);
		quire_store_release(&mt->step, 1);
		wait_for(mt, 2);
		assert_int_equal(machine_load(m, BASE, &byte, 1, NULL), -QUIRE_EFAULT);
	} else {
		wait_for(mt, 1);
		unmap_range(mt->f, BASE, BASE + PAGE);
		quire_store_release(&mt->step, 2);
	}
}

static void test_a_flush_reaches_the_other_cpus(void **state)
{
	struct meeting mt = { .f = *state };

	map_page(mt.f, BASE, RU);
	machine_run_cpus(mt.f->m, 2, one_looks_while_the_other_unmaps, &mt);
	assert_int_equal(stats(mt.f).shootdowns, 1);
	machine_switch(mt.f->m, &mt.f->pt);
}

/*
 * CPUs 1 to 3 use one page whenever it is there, CPU 0 takes it away and puts another in its place,
 * until everybody has met it often enough.
 */
#define ROUNDS 2000
#define ENOUGH 50

struct storm {
	struct fixture *f;
	uint32_t stores[4]; /* that succeeded, by CPU; atomic */
	uint32_t over;
};

static int fault_in_storm(void *ctx, struct quire_pgtable *pt, quire_uaddr_t addr, uint32_t access,
			  struct quire_signal *sig)
{
	(void)ctx;
	(void)pt;
	(void)access;
	*sig = (struct quire_signal){
		.signo = QUIRE_SIGSEGV, .code = QUIRE_SEGV_MAPERR, .addr = addr,
	};
	return -QUIRE_EFAULT;
}

static bool everybody_has_had_enough(struct storm *s)
{
	return quire_load(&s->stores[1]) >= ENOUGH && quire_load(&s->stores[2]) >= ENOUGH &&
	       quire_load(&s->stores[3]) >= ENOUGH;
}

static void blow(struct machine *m, unsigned cpu, void *arg)
{
	struct storm *s = arg;
	uint64_t value = cpu;
	unsigned i;

	machine_switch(m, &s->f->pt);
	while (cpu != 0 && !quire_load_acquire(&s->over)) {
		if (machine_store(m, BASE + 8 * cpu, &value, sizeof(value), NULL) == 0)
			quire_fetch_add(&s->stores[cpu], 1);
		(void)machine_load(m, BASE + 8 * cpu, &value, sizeof(value), NULL);
		quire_port_relax(s->f->q);
	}
	for (i = 0; cpu == 0 && (i < ROUNDS || !everybody_has_had_enough(s)); i++) {
		map_page(s->f, BASE, RWU);
		quire_port_relax(s->f->q);
		protect(s->f, BASE, RU);
		unmap_range(s->f, BASE, BASE + PAGE);
	}
	quire_store_release(&s->over, 1);
}

static void test_no_cpu_sees_a_freed_frame_in_a_storm(void **state)
{
	struct fixture *f = *state;
	struct storm s = { .f = f };

	machine_set_fault(f->m, fault_in_storm, NULL);
	machine_run_cpus(f->m, 4, blow, &s);
	assert_false(machine_failed(f->m));
	machine_set_fault(f->m, on_fault, f);
	machine_switch(f->m, &f->pt);
}

/* The same mutex on two CPUs: they sleep and wake each other. */
struct count {
	struct quire_mutex mutex;
	uint64_t n;
};

static void count_up(struct machine *m, unsigned cpu, void *arg)
{
	struct count *count = arg;
	unsigned i;

	(void)cpu;
	for (i = 0; i < 20000; i++) {
		quire_mutex_lock(machine_quire(m), &count->mutex);
		count->n++;
		quire_mutex_unlock(machine_quire(m), &count->mutex);
	}
}

static void test_cpus_sleep_and_wake_each_other(void **state)
{
	struct fixture *f = *state;
	struct count count = { .mutex = QUIRE_MUTEX_INIT };

	machine_run_cpus(f->m, 4, count_up, &count);
	assert_int_equal(count.n, 80000);
	machine_switch(f->m, &f->pt);
}

/* ---- Misuse ------------------------------------------------------------------------------ */

/* Run fn in a child; true if it aborted with what in its last words. */
static bool aborts(struct fixture *f, void (*fn)(struct fixture *f), const char *what)
{
	char words[512];
	size_t len = 0;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(fd[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		fn(f);
		_exit(0);
	}
	close(fd[1]);
	while (len < sizeof(words) - 1 &&
	       (n = read(fd[0], words + len, sizeof(words) - 1 - len)) > 0)
		len += (size_t)n;
	words[len] = '\0';
	close(fd[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(words, what);
}

static void wait_with_preemption_off(struct fixture *f)
{
	uint32_t word = 1;

	quire_port_preempt_disable(f->q);
	quire_port_wait(f->q, &word, 0);
}

static void wait_inside_a_grace_period(struct fixture *f)
{
	uint32_t word = 1;

	quire_grace_enter(f->q);
	quire_port_wait(f->q, &word, 0);
}

static void flush_with_a_lock_held(struct fixture *f)
{
	struct quire_spinlock l = QUIRE_SPINLOCK_INIT;

	quire_spin_lock(f->q, &l);
	flush(f, BASE, BASE + PAGE, false);
}

static void flush_with_interrupts_off(struct fixture *f)
{
	(void)quire_port_irq_save(f->q);
	flush(f, BASE, BASE + PAGE, false);
}

static void enable_too_often(struct fixture *f)
{
	quire_port_preempt_enable(f->q);
}

static void restore_too_often(struct fixture *f)
{
	quire_port_irq_restore(f->q, 0);
}

static void run_user_code_with_preemption_off(struct fixture *f)
{
	quire_port_preempt_disable(f->q);
	load_ok(f, BASE);
}

static void run_user_code_nowhere(struct fixture *f)
{
	machine_switch(f->m, NULL);
	load_ok(f, BASE);
}

static void be_two_cpus(struct fixture *f)
{
	machine_cpu_bind(f->m, 1);
}

static void be_none(struct fixture *f)
{
	machine_cpu_unbind(f->m);
	quire_port_cpu(f->q);
}

static void reach_beyond_memory(struct fixture *f)
{
	quire_port_zero_frame(f->q, 64 * M);
}

static void test_misuse_aborts_and_says_why(void **state)
{
	struct fixture *f = *state;

	assert_true(aborts(f, wait_with_preemption_off, "wait with a spin lock held"));
	assert_true(aborts(f, wait_inside_a_grace_period, "inside a grace period"));
	assert_true(aborts(f, flush_with_a_lock_held, "tlb_flush with a spin lock held"));
	assert_true(aborts(f, flush_with_interrupts_off, "interrupts off"));
	assert_true(aborts(f, enable_too_often, "preempt_enable without"));
	assert_true(aborts(f, restore_too_often, "irq_restore"));
	assert_true(aborts(f, run_user_code_with_preemption_off, "user code runs with preemption"));
	assert_true(aborts(f, run_user_code_nowhere, "no space loaded"));
	assert_true(aborts(f, be_two_cpus, "is CPU 0 already"));
	assert_true(aborts(f, be_none, "no CPU of this machine"));
	assert_true(aborts(f, reach_beyond_memory, "zero_frame"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zeroed_frames_that_nobody_writes_cost_nothing),
		TEST(test_a_frame_that_was_written_comes_back_zeroed),
		cmocka_unit_test(test_the_memory_map_is_the_hosts_to_choose),
		cmocka_unit_test(test_a_machine_without_memory_cannot_be_made),
		TEST(test_a_thread_can_be_a_cpu_of_two_machines),
		TEST(test_a_flush_reaches_the_other_cpus),
		TEST(test_no_cpu_sees_a_freed_frame_in_a_storm),
		TEST(test_cpus_sleep_and_wake_each_other),
		TEST(test_misuse_aborts_and_says_why),
	};

	return cmocka_run_group_tests_name("machine-cpus", tests, NULL, NULL);
}

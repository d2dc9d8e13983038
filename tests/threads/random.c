/* SPDX-License-Identifier: MIT */
/*
 * threads-random: rounds of random calls and accesses by all CPUs of a simulated machine, on one space, on forks of it
 * and on spaces that replaced it. See random.h for the parts.
 *
 *	round    a machine of 2 to 4 CPUs, made from the round's seed
 *	phase    each CPU does its steps; then all wait, and CPU 0 checks everything
 *	end      the spaces end in any order, all CPUs at it; nothing may be left
 *
 *	threads-random --seconds S         half of them for seeds from 1 on, half for seeds nobody has seen
 *	threads-random --seed N            that round alone
 */
#include "random.h"

#include <argp.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STUCK_SECONDS 180

struct sea sea;

static struct {
	double seconds;
	uint64_t seed;
	unsigned phases, rounds;
	unsigned logged; /* steps of each CPU that are shown after a failure */
} options = { .seconds = 10, .phases = 6, .rounds = 1, .logged = 60 };

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- Failing ----------------------------------------------------------------------------- */

static void print_log(const struct cpu *cpu)
{
	unsigned from = cpu->nr_logged > options.logged ? cpu->nr_logged - options.logged : 0;

	fprintf(stderr, "CPU %u, in space %u, its last steps:\n", cpu->n, cpu->proc ? cpu->proc->id : 0);
	for (unsigned i = from; i < cpu->nr_logged; i++) {
		const struct logged *l = &cpu->log[i % NR_LOGGED];

		fprintf(stderr, "  [%u] space %u: %s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ") = %#" PRIx64 "\n",
			l->clock, l->proc, l->what, l->arg[0], l->arg[1], l->arg[2], l->arg[3], (uint64_t)l->result);
	}
}

static int print_text(struct quire_sink *sink, const char *text, size_t len)
{
	(void)sink;
	fwrite(text, 1, len, stderr);
	return 0;
}

/* The others' logs are being written while they are printed, which is not to be reported as well. */
void AnnotateIgnoreReadsBegin(const char *file, int line) __attribute__((weak));
void AnnotateIgnoreReadsEnd(const char *file, int line) __attribute__((weak));

static void print_round(void)
{
	if (AnnotateIgnoreReadsBegin)
		AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
	fprintf(stderr, "threads: seed %" PRIu64 ": %u CPUs, %s; again with: threads-random --seed %" PRIu64 "\n", sea.seed,
		sea.nr_cpus, sea.small ? "little memory" : "enough memory", sea.seed);
	for (unsigned i = 0; i < sea.nr_cpus; i++)
		print_log(&sea.cpu[i]);
	if (AnnotateIgnoreReadsEnd)
		AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

void fail(struct cpu *cpu, const char *format, ...)
{
	static uint32_t failed;
	struct quire_sink sink = { .emit = print_text };
	va_list args;

	/* The first says it; others stop. */
	if (quire_exchange(&failed, 1u)) {
		for (;;)
			pause();
	}
	fflush(stdout);
	print_round();
	if (cpu->proc) {
		fprintf(stderr, "the areas of space %u:\n", cpu->proc->id);
		(void)quire_proc_maps(cpu->proc->mm, &sink);
	}
	fprintf(stderr, "threads: seed %" PRIu64 ", CPU %u: ", sea.seed, cpu->n);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	_exit(1);
}

/* Called by ThreadSanitizer's runtime, where there is one, with each report. */
void __tsan_on_report(void *report);
void __tsan_on_report(void *report)
{
	(void)report;
	print_round();
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:second_deadlock_stack=1";
}

/*
 * Where the library reads or writes bytes that programs may be storing to at this moment: read(), write(), a debugger's access,
 * the end of a file zeroed, a private copy of a page that others have mapped shared. Such a race is the programs'; what
 * they may find there is what these tests look at.
 */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:^zero_range$\nrace:^quire_object_read$\nrace:^quire_object_write$\nrace:^read_page$\nrace:^put_bytes$\n"
	       "race:^map_copy$\nrace:^fill_frame$\n";
}

static uint32_t round_is_over;

/* A round in which no CPU makes a step any more is stuck. */
static void *watch(void *arg)
{
	uint64_t last = 0;
	double since = now();

	(void)arg;
	while (!quire_load_acquire(&round_is_over)) {
		struct timespec tenth = { .tv_nsec = 100 * 1000 * 1000 };
		uint64_t steps = 0;

		nanosleep(&tenth, NULL);
		for (unsigned i = 0; i < sea.nr_cpus; i++)
			steps += quire_load(&sea.cpu[i].steps);
		if (steps != last)
			since = now();
		last = steps;
		if (now() - since < STUCK_SECONDS)
			continue;
		print_round();
		fprintf(stderr, "threads: seed %" PRIu64 ": no CPU made a step for %d seconds\n", sea.seed, STUCK_SECONDS);
		abort();
	}
	return NULL;
}

/* ---- Spaces ------------------------------------------------------------------------------ */

static struct proc *proc_new(struct quire_mm *mm, const struct proc *parent)
{
	struct proc *proc = calloc(1, sizeof(*proc));

	if (!proc)
		abort();
	proc->mm = mm;
	proc->refs = 1;
	proc->id = quire_fetch_add(&sea.next_id, 1u) + 1;
	for (int r = 0; r < NR_REGIONS; r++)
		pthread_mutex_init(&proc->mover[r], NULL);
	if (parent) {
		proc->depth = parent->depth + 1;
		memcpy(proc->ancestor, parent->ancestor, sizeof(proc->ancestor));
		proc->ancestor[parent->depth].id = parent->id;
	}
	(void)quire_fetch_add(&sea.nr_procs, 1u);
	return proc;
}

static void proc_forget(struct proc *proc)
{
	if (quire_fetch_sub(&proc->refs, 1u) != 1)
		return;
	for (int r = 0; r < NR_REGIONS; r++)
		pthread_mutex_destroy(&proc->mover[r]);
	(void)quire_fetch_sub(&sea.nr_procs, 1u);
	(void)quire_fetch_add(&sea.exits, 1u);
	free(proc);
}

/* One user less. It may be the last, who unmaps everything. */
static void proc_put(struct proc *proc)
{
	quire_mmput(proc->mm);
	proc_forget(proc);
}

static struct proc *join(struct cpu *cpu, unsigned slot)
{
	struct proc *proc;

	(void)cpu;
	pthread_mutex_lock(&sea.table);
	proc = sea.slot[slot];
	if (proc) {
		(void)quire_fetch_add(&proc->refs, 1u);
		quire_mmget(proc->mm);
	}
	pthread_mutex_unlock(&sea.table);
	return proc;
}

/* What was in the slot, whose reference is the caller's now. */
static struct proc *publish(unsigned slot, struct proc *proc)
{
	struct proc *old;

	pthread_mutex_lock(&sea.table);
	old = sea.slot[slot];
	sea.slot[slot] = proc;
	pthread_mutex_unlock(&sea.table);
	return old;
}

/* What a scheduler does: this CPU goes on with a thread of mm, or with a kernel thread (NULL). */
static void switch_to(struct quire_mm *mm)
{
	struct quire_pgtable *tables;

	quire_port_preempt_disable(sea.q);
	tables = quire_switch_mm(sea.q, mm);
	if (tables)
		machine_switch(sea.m, tables);
	quire_finish_switch(sea.q);
	quire_port_preempt_enable(sea.q);
}

static void leave_borrowed(void)
{
	quire_port_preempt_disable(sea.q);
	if (quire_leave_mm(sea.q))
		machine_switch(sea.m, NULL);
	quire_finish_switch(sea.q);
	quire_port_preempt_enable(sea.q);
}

/*
 * The CPU runs in another space from now on (NULL: in none). The old one is left first; it may end while a kernel thread
 * here has its tables, which now and then lasts for a moment, or is dropped at once.
 */
static void go_to(struct cpu *cpu, struct proc *to)
{
	struct proc *from = cpu->proc;

	switch_to(NULL);
	cpu->proc = NULL;
	if (from)
		proc_put(from);
	if (one_in(cpu, 3))
		(void)sched_yield();
	if (!to || one_in(cpu, 5))
		leave_borrowed();
	if (to)
		switch_to(to->mm);
	cpu->proc = to;
}

static void fork_here(struct cpu *cpu)
{
	struct proc *parent = cpu->proc, *child;
	unsigned owner = below(cpu, sea.nr_cpus);
	uint32_t after[2][OWN_PAGES];
	struct quire_mm *mm;
	int err;

	if (parent->depth == MAX_DEPTH)
		return;
	child = proc_new(NULL, parent);
	own_before_fork(parent, child);
	err = quire_fork(parent->mm, &mm);
	log_it(cpu, "fork", child->id, 0, 0, 0, err);
	if (err) {
		if (err != -QUIRE_ENOMEM)
			fail(cpu, "fork: %d", err);
		proc_forget(child);
		return;
	}
	(void)quire_fetch_add(&sea.forks, 1u);
	child->mm = mm;
	child->ancestor[parent->depth].until = quire_fetch_add(&sea.clock, 1u);
	own_after_fork(cpu, parent, child, owner, after);
	/* Nobody else can be in it yet. */
	(void)quire_fetch_add(&child->refs, 1u);
	quire_mmget(mm);
	go_to(cpu, child);
	own_look(cpu, owner, (const uint32_t(*)[OWN_PAGES])after);
	child = publish(below(cpu, NR_SLOTS), child);
	if (child)
		proc_put(child);
}

static void exec_here(struct cpu *cpu)
{
	struct proc *old = cpu->proc, *proc;
	struct quire_mm *mm = old->mm;
	struct quire_layout layout;
	int err;

	quire_layout_init(&layout, sea.q->fmt, false, one_in(cpu, 3), 8u << 20, 0);
	layout.start_brk = layout.brk = WILD_BREAK;
	switch_to(NULL);
	err = quire_exec(&mm, &layout);
	log_it(cpu, "exec", 0, 0, 0, 0, err);
	if (err) {
		switch_to(mm);
		return;
	}
	(void)quire_fetch_add(&sea.execs, 1u);
	proc = proc_new(mm, NULL);
	cpu->proc = proc;
	proc_forget(old);
	switch_to(mm);
	own_map(cpu, proc);
	(void)quire_fetch_add(&proc->refs, 1u);
	quire_mmget(mm);
	proc = publish(below(cpu, NR_SLOTS), proc);
	if (proc)
		proc_put(proc);
}

/* ---- A CPU ------------------------------------------------------------------------------- */

static void step(struct cpu *cpu)
{
	struct proc *proc;

	if (one_in(cpu, 400)) {
		fork_here(cpu);
	} else if (one_in(cpu, 4000)) {
		exec_here(cpu);
	} else if (one_in(cpu, 250)) {
		proc = join(cpu, below(cpu, NR_SLOTS));
		if (proc)
			go_to(cpu, proc);
	} else if (one_in(cpu, 800)) {
		/* A slot's process is told to end; it does when the last CPU leaves it. */
		proc = publish(below(cpu, NR_SLOTS), NULL);
		if (proc)
			proc_put(proc);
	} else if (one_in(cpu, 2)) {
		own_step(cpu);
	} else {
		wild_step(cpu);
	}
	quire_store(&cpu->steps, cpu->steps + 1);
}

static void rest(struct cpu *cpu)
{
	if (pthread_barrier_wait(&sea.barrier) < -1)
		abort();
	if (cpu->n == 0) {
		quiet_check(cpu);
		for (unsigned i = 0; i < NR_SLOTS; i++) {
			if (sea.slot[i])
				own_check_space(cpu, sea.slot[i]);
		}
		for (unsigned i = 0; i < sea.nr_cpus; i++)
			own_check_space(cpu, sea.cpu[i].proc);
		own_check_shared(cpu);
		quiet_check(cpu);
		(void)quire_fetch_add(&sea.quiet, 1u);
		quire_store(&cpu->steps, cpu->steps + 1);
	}
	pthread_barrier_wait(&sea.barrier);
}

static void run_cpu(struct machine *m, unsigned n, void *arg)
{
	struct cpu *cpu = &sea.cpu[n];
	struct proc *proc;

	(void)m;
	(void)arg;
	go_to(cpu, join(cpu, 0));
	pthread_barrier_wait(&sea.barrier);
	for (unsigned phase = 0; phase < sea.nr_phases; phase++) {
		for (unsigned i = 0; i < sea.steps_a_phase; i++)
			step(cpu);
		rest(cpu);
	}
	/* All spaces end, by whoever gets to them. */
	for (unsigned i = 0, first = below(cpu, NR_SLOTS); i < NR_SLOTS; i++) {
		proc = publish((first + i) % NR_SLOTS, NULL);
		if (proc && one_in(cpu, 2)) {
			go_to(cpu, proc);
			for (unsigned k = 0; k < 20; k++)
				wild_step(cpu);
		} else if (proc) {
			proc_put(proc);
		}
	}
	go_to(cpu, NULL);
}

/* ---- A round ----------------------------------------------------------------------------- */

struct totals {
	uint64_t rounds, steps, calls, accesses, signals, checked, forks, execs, exits, quiet;
};

static void make_first_space(void)
{
	struct quire_layout layout;
	struct quire_mm *mm;

	quire_layout_init(&layout, sea.q->fmt, false, false, 8u << 20, 0);
	layout.start_brk = layout.brk = WILD_BREAK;
	if (quire_mm_create(sea.q, &layout, &mm) || quire_shmem_file(sea.q, OWN_PAGES * PAGE, &sea.shared))
		fail(&sea.cpu[0], "no memory for the first space");
	mm->limits.memlock = sea.seed % 3 ? QUIRE_RLIM_INFINITY : 256 * PAGE;
	sea.slot[0] = proc_new(mm, NULL);
	machine_switch(sea.m, &mm->pt);
	sea.cpu[0].proc = sea.slot[0];
	own_map(&sea.cpu[0], sea.slot[0]);
	sea.cpu[0].proc = NULL;
	machine_switch(sea.m, NULL);
}

/*
 * Others get to run where it matters most: between the change of an entry and the flush, and while a page is read or
 * written (random_file.c).
 */
void stumble(unsigned one_in)
{
	static uint32_t times;

	if (quire_fetch_add(&times, 1u) % one_in == 0)
		sched_yield();
}

static void before_flush(void *ctx, const struct quire_tlb_flush *flush)
{
	(void)ctx;
	(void)flush;
	stumble(5);
}

static void make_round(uint64_t seed, unsigned phases)
{
	struct machine_config config = { 0 };
	uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	int err;

	memset(&sea, 0, sizeof(sea));
	sea.seed = seed;
	sea.nr_cpus = 2 + random_next(&random) % (MAX_CPUS - 1);
	sea.small = random_next(&random) % 4 == 0;
	sea.nr_phases = phases;
	sea.steps_a_phase = 200 + random_next(&random) % 1500;
	config.ram_bytes = (sea.small ? 3u << 20 : 48u << 20) * (PAGE / 4096);
	config.nr_cpus = sea.nr_cpus;
	test_choose_format(&config);
	if (random_next(&random) % 4 == 0 && !getenv("QUIRE_TEST_FORMAT") && config.fmt == &quire_pgfmt_x86_64)
		config.fmt = &quire_pgfmt_x86_64_5level;
	config.tlb_entries = random_next(&random) % 3 ? 1024 : 16;
	config.seed = seed;
	for (unsigned i = 0; i < sea.nr_cpus; i++) {
		sea.cpu[i].n = i;
		sea.cpu[i].log = calloc(NR_LOGGED, sizeof(*sea.cpu[i].log));
		if (!sea.cpu[i].log)
			abort();
		sea.cpu[i].random = random_next(&random) | 1;
	}
	err = machine_create(&config, &sea.m);
	if (err) {
		fprintf(stderr, "threads: no machine: %d\n", err);
		exit(1);
	}
	sea.q = machine_quire(sea.m);
	machine_set_hooks(sea.m, &(struct machine_hooks){ .flush = before_flush }, NULL);
	sea.q->mms.sysctl.stack_guard_gap = 2 * PAGE;
	sea.q->mms.sysctl.overcommit_memory = sea.seed % 4 ? QUIRE_OVERCOMMIT_ALWAYS : QUIRE_OVERCOMMIT_GUESS;
	pthread_barrier_init(&sea.barrier, NULL, sea.nr_cpus);
	pthread_mutex_init(&sea.table, NULL);
	file_make(sea.q, &sea.own_file, OWN_PAGES, "/own");
	file_make(sea.q, &sea.wild_file, FILE_PAGES, "/wild");
	sea.wild_file.fail_one_in = random_next(&random) % 2 ? 50 : 0;
	make_first_space();
}

static void end_round(struct totals *t)
{
	struct cpu *cpu = &sea.cpu[0];
	const char *broken;

	if (sea.nr_procs)
		fail(cpu, "%u spaces are left", sea.nr_procs);
	quire_grace_wait(sea.q);
	quire_file_put(sea.q, sea.shared);
	broken = file_end(sea.q, &sea.own_file);
	if (!broken)
		broken = file_end(sea.q, &sea.wild_file);
	if (broken)
		fail(cpu, "at the end: %s", broken);
	quire_grace_wait(sea.q);
	if (sea.q->mms.committed)
		fail(cpu, "at the end: %lld pages are promised to nobody", (long long)sea.q->mms.committed);
	if (machine_destroy(sea.m))
		fail(cpu, "the machine reported something, or something is left over");
	pthread_barrier_destroy(&sea.barrier);
	pthread_mutex_destroy(&sea.table);
	t->rounds++;
	for (unsigned i = 0; i < sea.nr_cpus; i++) {
		free(sea.cpu[i].log);
		t->steps += sea.cpu[i].steps;
		t->calls += sea.cpu[i].calls;
		t->accesses += sea.cpu[i].accesses;
		t->signals += sea.cpu[i].signals;
		t->checked += sea.cpu[i].checked;
	}
	t->forks += sea.forks;
	t->execs += sea.execs;
	t->exits += sea.exits;
	t->quiet += sea.quiet;
}

static void play_round(uint64_t seed, unsigned phases, struct totals *t)
{
	pthread_t watchdog;

	make_round(seed, phases);
	quire_store(&round_is_over, 0u);
	if (pthread_create(&watchdog, NULL, watch, NULL))
		abort();
	machine_run_cpus(sea.m, sea.nr_cpus, run_cpu, NULL);
	quire_store_release(&round_is_over, 1u);
	pthread_join(watchdog, NULL);
	end_round(t);
}

/* ---- The program ------------------------------------------------------------------------- */

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 's':
		options.seed = strtoull(arg, NULL, 0);
		return 0;
	case 't':
		options.seconds = strtod(arg, NULL);
		return 0;
	case 'p':
		options.phases = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	case 'r':
		options.rounds = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	case 'l':
		options.logged = (unsigned)strtoul(arg, NULL, 0);
		if (options.logged > NR_LOGGED)
			options.logged = NR_LOGGED;
		return 0;
	default:
		(void)state;
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option table[] = {
		{ "seed", 's', "N", 0, "play this round alone", 0 },
		{ "rounds", 'r', "N", 0, "with --seed: that often, since threads run as they will", 0 },
		{ "seconds", 't', "S", 0, "time to spend", 0 },
		{ "log", 'l', "N", 0, "steps of each CPU to show after a failure", 0 },
		{ "phases", 'p', "N", 0, "phases of a round", 0 },
		{ 0 },
	};
	static const struct argp argp = { table, parse, NULL, "Random calls and accesses by all CPUs at once.", NULL, NULL, NULL };
	const char *minutes = getenv("QUIRE_SOAK_MINUTES");
	uint64_t fixed = 0, fresh, first_fresh;
	struct totals t = { 0 };
	double began = now();

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (minutes)
		options.seconds = strtod(minutes, NULL) * 60;
	for (unsigned i = 0; options.seed && i < options.rounds; i++)
		play_round(options.seed, options.phases, &t);
	first_fresh = fresh = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
	if (!options.seed)
		printf("threads: seeds from 1 and from %" PRIu64 "\n", first_fresh);
	fflush(stdout);
	while (!options.seed && now() - began < options.seconds) {
		/* A soak plays the fixed ones once more, and then what nobody has seen. */
		if (minutes ? fixed < 20 : now() - began < options.seconds / 2)
			play_round(++fixed, options.phases, &t);
		else
			play_round(fresh++, options.phases, &t);
	}
	printf("threads: %" PRIu64 " rounds (seeds 1 to %" PRIu64 ", %" PRIu64 " from %" PRIu64 "), %" PRIu64 " steps: %" PRIu64
	       " calls, %" PRIu64 " accesses, %" PRIu64 " signals, %" PRIu64 " forks, %" PRIu64 " execs, %" PRIu64 " exits; %" PRIu64
	       " contents and %" PRIu64 " rests checked, nothing wrong\n",
	       t.rounds, fixed, fresh - first_fresh, first_fresh, t.steps, t.calls, t.accesses, t.signals, t.forks, t.execs, t.exits,
	       t.checked, t.quiet);
	return 0;
}

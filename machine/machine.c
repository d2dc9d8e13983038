/* SPDX-License-Identifier: MIT */
/*
 * The machine as a whole: built, taken apart, its CPUs given to threads, its reports. What runs on
 * it is in access.c and port.c.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "internal.h"

void machine_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "machine: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	abort();
}

/* ---- Building ---------------------------------------------------------------------------- */

void *machine_map_sparse(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* A huge page would turn one byte that is written into two megabytes. */
	(void)madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static void unmap(void *p, uint64_t bytes)
{
	if (p)
		munmap(p, bytes);
}

static unsigned tlb_sets_for(unsigned entries)
{
	unsigned sets = 1;

	if (!entries)
		entries = 1024;
	while (sets * TLB_WAYS < entries)
		sets *= 2;
	return sets;
}

static void free_machine(struct machine *m)
{
	unsigned i;

	for (i = 0; m->cpu && i < m->nr_cpus; i++)
		free(m->cpu[i].tlb);
	free(m->cpu);
	unmap(m->ram, m->ram_bytes);
	machine_window_destroy(m);
	unmap(m->frame, m->nr_frames);
	unmap(m->packed, m->nr_frames * sizeof(*m->packed));
	unmap(m->tlb_refs, m->nr_frames * sizeof(*m->tlb_refs));
	munmap(m, sizeof(*m));
}

/* RAM and what the kernel's pointers lead to. */
static bool make_memory(struct machine *m, const struct quire_config *quire)
{
	if (quire->kva && !machine_window_create(m, quire->fmt, quire->kva))
		return false;
	if (!quire->kva)
		m->ram = machine_map_sparse(m->ram_bytes);
	m->frame = machine_map_sparse(m->nr_frames);
	m->tlb_refs = machine_map_sparse(m->nr_frames * sizeof(*m->tlb_refs));
	if (!m->window) {
		m->direct = m->ram;
		m->direct_bytes = m->ram_bytes;
	}
	return m->ram && m->frame && m->tlb_refs;
}

/* Of pages of 16 and 64 KiB only AArch64's have tables. */
#if MACHINE_PAGE_SHIFT == 16
#define DEFAULT_FORMAT quire_pgfmt_aarch64_64k
#elif MACHINE_PAGE_SHIFT == 14
#define DEFAULT_FORMAT quire_pgfmt_aarch64_16k
#else
#define DEFAULT_FORMAT quire_pgfmt_x86_64
#endif

static uint64_t next_serial;

int machine_create(const struct machine_config *config, struct machine **out)
{
	static const struct machine_config defaults;
	const struct machine_config *c = config ? config : &defaults;
	const struct quire_range pc[] = {
		{ MACHINE_PAGE, 640 << 10, QUIRE_RANGE_USABLE, 0 },
		{ 640 << 10, 1 << 20, QUIRE_RANGE_RESERVED, 0 },
		{ 1 << 20, c->ram_bytes ? c->ram_bytes : 64 << 20, QUIRE_RANGE_USABLE, 0 },
	};
	const uint64_t ram_bytes = quire_page_up(pc[2].end);
	const struct quire_pgfmt *fmt = c->fmt ? c->fmt : &DEFAULT_FORMAT;
	const uint64_t high_memory = c->window && !c->high_memory
					     ? machine_window_high_memory(fmt, ram_bytes)
					     : c->high_memory;
	struct quire_kva_layout layout;
	struct quire_config quire = {
		.nr_cpus = c->nr_cpus ? c->nr_cpus : 1,
		.fmt = fmt,
		.map = c->map ? c->map : pc,
		.nr_ranges = c->map ? c->nr_ranges : QUIRE_ARRAY_SIZE(pc),
		.zones = c->zones ? c->zones
				  : 1u << QUIRE_ZONE_DMA | 1u << QUIRE_ZONE_NORMAL |
					    1u << (high_memory ? QUIRE_ZONE_HIGHMEM
								  : QUIRE_ZONE_DMA32),
		.high_memory = high_memory,
		.nr_nodes = c->nr_nodes,
		.node_distance = c->node_distance,
		.cpu_node = c->cpu_node,
	};
	struct machine *m;
	unsigned i;
	int err;

	*out = NULL;
	if (quire.nr_cpus > 64)
		return -QUIRE_EINVAL;
	if (c->window) {
		err = machine_window_layout(fmt, ram_bytes, high_memory, quire.nr_cpus, &layout);
		if (err)
			return err;
		quire.kva = &layout;
	}
	m = machine_map_sparse(sizeof(*m));
	if (!m)
		return -QUIRE_ENOMEM;
	m->serial = __atomic_add_fetch(&next_serial, 1, __ATOMIC_RELAXED);
	m->ram_bytes = ram_bytes;
	m->nr_frames = m->ram_bytes >> MACHINE_PAGE_SHIFT;
	m->physical_bits = 46;
	m->marks_fault = c->marks_fault;
	m->nr_cpus = quire.nr_cpus;
	m->tlb_sets = tlb_sets_for(c->tlb_entries);
	m->random = c->seed;
	m->verbose = c->verbose;
	m->fault = machine_quire_fault;
	m->cpu = aligned_alloc(64, m->nr_cpus * sizeof(*m->cpu));
	if (!make_memory(m, &quire) || !m->cpu) {
		free_machine(m);
		return -QUIRE_ENOMEM;
	}
	memset(m->cpu, 0, m->nr_cpus * sizeof(*m->cpu));
	for (i = 0; i < m->nr_cpus; i++) {
		m->cpu[i].number = i;
		m->cpu[i].tlb = calloc(m->tlb_sets * TLB_WAYS, sizeof(*m->cpu[i].tlb));
		if (!m->cpu[i].tlb) {
			free_machine(m);
			return -QUIRE_ENOMEM;
		}
	}
	machine_cpu_bind(m, 0);
	m->q.host = m;
	err = quire_init(&m->q, &quire);
	if (err) {
		machine_cpu_unbind(m);
		free_machine(m);
		return err;
	}
	if (m->q.kernel)
		machine_load_kernel(m, quire_kernel_root(&m->q));
	*out = m;
	return 0;
}

unsigned machine_destroy(struct machine *m)
{
	struct machine_cpu *cpu = machine_this_cpu(m);
	quire_broken_t broken;
	unsigned reports, i;

	machine_switch(m, NULL);
	for (i = 0; i < m->nr_cpus; i++) {
		if (&m->cpu[i] != cpu && m->cpu[i].bound)
			machine_die("destroyed while another thread is CPU %u", i);
	}
	if (m->window)
		machine_load_kernel(m, 0);
	broken = quire_exit(&m->q);
	if (broken)
		machine_report(m, broken, "quire_exit", 0);
	machine_cpu_unbind(m);
	reports = m->nr_reports;
	/* The host may give these addresses to somebody else. */
	for (uint64_t pfn = 0; MACHINE_ASAN && pfn < m->nr_frames; pfn++) {
		if (m->frame[pfn] & FRAME_FREED)
			machine_poison(m, pfn, false);
	}
	free_machine(m);
	return reports;
}

struct quire *machine_quire(struct machine *m)
{
	return &m->q;
}

void machine_set_fault(struct machine *m, machine_fault_fn fn, void *ctx)
{
	m->fault = fn ? fn : machine_quire_fault;
	m->fault_ctx = ctx;
}

void machine_set_hooks(struct machine *m, const struct machine_hooks *hooks, void *ctx)
{
	m->hooks = hooks ? *hooks : (struct machine_hooks){ 0 };
	m->hooks_ctx = ctx;
}

/* ---- CPUs and threads -------------------------------------------------------------------- */

#define MAX_BINDINGS 16

/*
 * Which CPU a thread is, of each machine. A serial, since a new machine may lie where an old one
 * lay.
 */
struct binding {
	uint64_t serial;
	struct machine_cpu *cpu;
};

/* The one used last comes first. */
static _Thread_local struct binding bindings[MAX_BINDINGS];

static struct binding *find_binding(uint64_t serial)
{
	struct binding found;
	unsigned i;

	if (quire_likely(bindings[0].serial == serial))
		return &bindings[0];
	for (i = 1; i < MAX_BINDINGS; i++) {
		if (bindings[i].serial == serial) {
			found = bindings[i];
			bindings[i] = bindings[0];
			bindings[0] = found;
			return &bindings[0];
		}
	}
	return NULL;
}

struct machine_cpu *machine_this_cpu(struct machine *m)
{
	struct binding *b = find_binding(m->serial);

	if (!b)
		machine_die("this thread is no CPU of this machine; see machine_cpu_bind()");
	return b->cpu;
}

bool machine_is_bound(struct machine *m)
{
	return find_binding(m->serial) != NULL;
}

void machine_cpu_bind(struct machine *m, unsigned n)
{
	struct binding *b;

	if (n >= m->nr_cpus)
		machine_die("CPU %u of a machine that has %u", n, m->nr_cpus);
	if (find_binding(m->serial))
		machine_die("this thread is CPU %u already", machine_this_cpu(m)->number);
	b = find_binding(0);
	if (!b)
		machine_die("this thread is a CPU of %u machines already", MAX_BINDINGS);
	if (__atomic_exchange_n(&m->cpu[n].bound, 1, __ATOMIC_ACQUIRE))
		machine_die("another thread is CPU %u", n);
	__atomic_fetch_add(&m->nr_bound, 1, __ATOMIC_SEQ_CST);
	*b = (struct binding){ .serial = m->serial, .cpu = &m->cpu[n] };
}

void machine_cpu_turn(struct machine *m, unsigned n)
{
	struct binding *b = find_binding(m->serial);

	if (!b || n >= m->nr_cpus)
		machine_die("a turn of CPU %u for a thread that is %s", n, b ? "a CPU" : "none");
	b->cpu = &m->cpu[n];
}

void machine_cpu_unbind(struct machine *m)
{
	struct machine_cpu *cpu = machine_this_cpu(m);

	if (cpu->preempt_off || cpu->irqs_off)
		machine_die("CPU %u ends with %u preempt_disable in force, interrupts %s",
			    cpu->number, cpu->preempt_off, cpu->irqs_off ? "off" : "on");
	machine_switch(m, NULL);
	__atomic_fetch_sub(&m->nr_bound, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&cpu->bound, 0, __ATOMIC_RELEASE);
	*find_binding(m->serial) = (struct binding){ 0 };
}

struct cpu_thread {
	struct machine *m;
	unsigned cpu;
	void (*fn)(struct machine *m, unsigned cpu, void *arg);
	void *arg;
	pthread_t thread;
};

static void *cpu_main(void *arg)
{
	struct cpu_thread *t = arg;

	machine_cpu_bind(t->m, t->cpu);
	t->fn(t->m, t->cpu, t->arg);
	machine_cpu_unbind(t->m);
	return NULL;
}

void machine_run_cpus(struct machine *m, unsigned n,
		      void (*fn)(struct machine *m, unsigned cpu, void *arg), void *arg)
{
	struct cpu_thread t[64];
	unsigned i;

	if (n > m->nr_cpus)
		machine_die("%u threads on %u CPUs", n, m->nr_cpus);
	machine_cpu_unbind(m);
	for (i = 0; i < n; i++) {
		t[i] = (struct cpu_thread){ .m = m, .cpu = i, .fn = fn, .arg = arg };
		if (pthread_create(&t[i].thread, NULL, cpu_main, &t[i]))
			machine_die("pthread_create");
	}
	for (i = 0; i < n; i++)
		pthread_join(t[i].thread, NULL);
	machine_cpu_bind(m, 0);
}

void machine_interrupt(struct machine *m, void (*fn)(struct machine *m, void *arg), void *arg)
{
	struct machine_cpu *cpu = machine_this_cpu(m);
	const uint32_t preempt_off = cpu->preempt_off;
	const bool irqs_off = cpu->irqs_off;

	if (irqs_off && !cpu->interrupts)
		machine_die("an interrupt on CPU %u, which has interrupts off", cpu->number);
	cpu->interrupts++;
	cpu->irqs_off = true;
	fn(m, arg);
	if (!cpu->irqs_off || cpu->preempt_off != preempt_off)
		machine_die("an interrupt handler of CPU %u ends with interrupts %s, preempt_disable %u times in force, not %u",
			    cpu->number, cpu->irqs_off ? "off" : "on", cpu->preempt_off, preempt_off);
	cpu->irqs_off = irqs_off;
	cpu->interrupts--;
}

/* ---- Spaces ------------------------------------------------------------------------------ */

/*
 * No entry outlives its space's stay on the CPU, so a CPU that is not named in a flush has nothing
 * to flush.
 */
void machine_switch(struct machine *m, struct quire_pgtable *pt)
{
	struct machine_cpu *cpu = machine_this_cpu(m);
	struct quire_pgtable *old = cpu->pt;

	if (old == pt)
		return;
	if (pt && m->window && pt->fmt != m->q.fmt)
		machine_die("a space of another format than the kernel's");
	if (old) {
		lock(&cpu->lock);
		machine_tlb_forget_all(m, cpu);
		machine_refer(m, cpu->root, -1);
		cpu->pt = NULL;
		cpu->asid = 0;
		unlock(&cpu->lock);
		quire_pgtable_unload(old, cpu->number);
	}
	if (pt) {
		quire_pgtable_load(pt, cpu->number);
		lock(&cpu->lock);
		cpu->mmu = machine_mmu(pt->fmt);
		cpu->region_shift = machine_mmu_region(cpu->mmu);
		cpu->kernel_apart = pt->fmt->kernel_apart;
		cpu->asid = pt->asid;
		cpu->root = quire_pgtable_root(pt) >> MACHINE_PAGE_SHIFT;
		machine_mmu_load(m, cpu);
		cpu->pt = pt;
		machine_refer(m, cpu->root, 1);
		unlock(&cpu->lock);
	}
}

/* ---- Reports ----------------------------------------------------------------------------- */

void machine_report(struct machine *m, const char *what, const char *where, uint64_t value)
{
	lock(&m->report_lock);
	if (m->nr_reports < MAX_REPORTS)
		snprintf(m->report[m->nr_reports], REPORT_TEXT, "%s", what);
	m->nr_reports++;
	if (!m->quiet)
		fprintf(stderr, "machine: %s (%s, %#llx)\n", what, where,
			(unsigned long long)value);
	unlock(&m->report_lock);
}

bool machine_failed(struct machine *m)
{
	bool failed;

	lock(&m->report_lock);
	failed = m->nr_reports != 0;
	unlock(&m->report_lock);
	return failed;
}

bool machine_expect_report(struct machine *m, const char *what)
{
	unsigned kept, i;
	bool found = false;

	lock(&m->report_lock);
	kept = m->nr_reports < MAX_REPORTS ? m->nr_reports : MAX_REPORTS;
	for (i = kept; i-- > 0 && !found;) {
		if (!strstr(m->report[i], what))
			continue;
		found = true;
		memmove(m->report[i], m->report[i + 1], (kept - i - 1) * REPORT_TEXT);
		if (m->nr_reports > MAX_REPORTS)
			snprintf(m->report[MAX_REPORTS - 1], REPORT_TEXT, "(not kept)");
		m->nr_reports--;
	}
	unlock(&m->report_lock);
	return found;
}

void machine_set_quiet(struct machine *m, bool quiet)
{
	m->quiet = quiet;
}

void machine_stats(struct machine *m, struct machine_stats *stats)
{
	unsigned i;

	memset(stats, 0, sizeof(*stats));
	for (i = 0; i < m->nr_cpus; i++) {
		struct machine_cpu *cpu = &m->cpu[i];

		lock(&cpu->lock);
		stats->accesses += cpu->stats.accesses;
		stats->hits += cpu->stats.hits;
		stats->stale_hits += cpu->stats.stale_hits;
		stats->walks += cpu->stats.walks;
		stats->faults += cpu->stats.faults;
		stats->flushes += cpu->stats.flushes;
		stats->shootdowns += cpu->stats.shootdowns;
		unlock(&cpu->lock);
	}
	if (m->window)
		machine_window_stats(m, stats);
}

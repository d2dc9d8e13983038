/* SPDX-License-Identifier: MIT */
/* The port of the low rooms' unit tests; see port_host.h. */
#define _GNU_SOURCE
#include "port_host.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A thread is a CPU, so these are the CPU's. */
static _Thread_local unsigned this_cpu;
static _Thread_local unsigned irqs_off, preempt_off;

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "port_host: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	abort();
}

static void must_be_able_to_sleep(const char *what)
{
	if (irqs_off || preempt_off)
		die("%s with %u preempt_disable and %u irq_save in force", what, preempt_off, irqs_off);
}

/* ---- Hosts ------------------------------------------------------------------------------- */

/* Where a page of Quire's begins, which may be larger than the system's. */
static void *map(uint64_t bytes)
{
	const uint64_t more = quire_page_up(bytes) + QUIRE_PAGE_SIZE;
	unsigned char *p = mmap(NULL, more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t before;

	if (p == MAP_FAILED)
		die("mmap of %llu bytes: %s", (unsigned long long)bytes, strerror(errno));
	before = -(uintptr_t)p & (QUIRE_PAGE_SIZE - 1);
	if (before)
		munmap(p, before);
	p += before;
	bytes = quire_page_up(bytes);
	munmap(p + bytes, more - before - bytes);
	/* An earlier host may have left free objects here, which nobody was to touch. */
	ASAN_UNPOISON_MEMORY_REGION(p, bytes);
	return p;
}

struct host *host_new(uint64_t ram_bytes, unsigned nr_cpus)
{
	struct host *h = map(sizeof(*h));

	h->ram_end = quire_page_up(ram_bytes);
	h->ram = map(h->ram_end + QUIRE_PAGE_SIZE);
	h->taken = map(h->ram_end >> QUIRE_PAGE_SHIFT);
	h->q.host = h;
	h->q.nr_cpus = nr_cpus;
	h->random = UINT64_C(0x9e3779b97f4a7c15);
	return h;
}

void host_delete(struct host *h)
{
	munmap(h->ram, h->ram_end + QUIRE_PAGE_SIZE);
	munmap(h->taken, quire_page_up(h->ram_end >> QUIRE_PAGE_SHIFT));
	munmap(h, quire_page_up(sizeof(*h)));
}

struct host *host_new_ready(uint64_t ram_bytes, unsigned nr_cpus)
{
	struct host *h = host_new(ram_bytes, nr_cpus);
	struct quire_range range = { 0, h->ram_end, QUIRE_RANGE_USABLE, 0 };
	struct quire_config config = {
		.map = &range,
		.nr_ranges = 1,
		.zones = 1u << QUIRE_ZONE_DMA | 1u << QUIRE_ZONE_DMA32 | 1u << QUIRE_ZONE_NORMAL,
	};
	int err;

	quire_grace_init(&h->q);
	err = quire_page_init(&h->q, &config);
	if (err)
		die("quire_page_init: %d", err);
	err = quire_slab_init(&h->q);
	if (err)
		die("quire_slab_init: %d", err);
	return h;
}

void host_set_cpu(unsigned cpu)
{
	this_cpu = cpu;
}

bool host_is_atomic(void)
{
	return irqs_off || preempt_off;
}

uint64_t host_frames_taken(struct host *h)
{
	uint64_t n = 0, pfn;

	for (pfn = 0; pfn < h->ram_end >> QUIRE_PAGE_SHIFT; pfn++)
		n += __atomic_load_n(&h->taken[pfn], __ATOMIC_RELAXED);
	return n;
}

void host_expect_reports(struct host *h)
{
	h->expect_reports = true;
	h->reports = 0;
	h->report[0] = '\0';
}

void host_assert_report(struct host *h, const char *part)
{
	if (h->reports != 1 || !strstr(h->report, part))
		die("%u reports, the last one \"%s\", where one with \"%s\" was expected", h->reports, h->report,
		    part);
	h->expect_reports = false;
}

struct cpu_thread {
	void (*fn)(void *arg, unsigned cpu);
	void *arg;
	unsigned cpu;
	pthread_t thread;
};

static void *cpu_main(void *arg)
{
	struct cpu_thread *t = arg;

	host_set_cpu(t->cpu);
	t->fn(t->arg, t->cpu);
	if (host_is_atomic())
		die("CPU %u ended with preemption or interrupts off", t->cpu);
	return NULL;
}

void host_run_cpus(unsigned n, void (*fn)(void *arg, unsigned cpu), void *arg)
{
	struct cpu_thread t[QUIRE_NR_CPUS];
	unsigned i;

	if (n > QUIRE_NR_CPUS)
		die("%u CPUs", n);
	for (i = 0; i < n; i++) {
		t[i] = (struct cpu_thread){ .fn = fn, .arg = arg, .cpu = i };
		if (pthread_create(&t[i].thread, NULL, cpu_main, &t[i]))
			die("pthread_create");
	}
	for (i = 0; i < n; i++)
		pthread_join(t[i].thread, NULL);
}

/* ---- The port: memory -------------------------------------------------------------------- */

void *quire_port_phys_to_virt(struct quire *q, quire_paddr_t pa)
{
	struct host *h = host_of(q);

	if (pa >= h->ram_end)
		die("physical address %#llx beyond RAM", (unsigned long long)pa);
	if (q->pages.high_memory && pa >= q->pages.high_memory)
		die("physical address %#llx is not in the direct map", (unsigned long long)pa);
	return h->ram + pa + (h->bend && pa >= h->bend ? QUIRE_PAGE_SIZE : 0);
}

void quire_port_zero_frame(struct quire *q, quire_paddr_t pa)
{
	if (pa % QUIRE_PAGE_SIZE)
		die("zero_frame of %#llx", (unsigned long long)pa);
	memset(quire_port_phys_to_virt(q, pa), 0, QUIRE_PAGE_SIZE);
}

void quire_port_frames(struct quire *q, quire_pfn_t pfn, unsigned order, bool allocated)
{
	struct host *h = host_of(q);
	quire_pfn_t i;

	if (pfn & ((UINT64_C(1) << order) - 1))
		die("frame %#llx is not aligned to order %u", (unsigned long long)pfn, order);
	for (i = pfn; i < pfn + (UINT64_C(1) << order); i++) {
		if (i >= h->ram_end >> QUIRE_PAGE_SHIFT)
			die("frame %#llx beyond RAM", (unsigned long long)i);
		if (__atomic_exchange_n(&h->taken[i], allocated, __ATOMIC_SEQ_CST) == allocated)
			die("frame %#llx %s", (unsigned long long)i,
			    allocated ? "is handed out, but somebody has it" : "comes back, but nobody had it");
	}
}

/* ---- The port: CPU and waiting ----------------------------------------------------------- */

unsigned quire_port_cpu(struct quire *q)
{
	if (this_cpu >= q->nr_cpus)
		die("this thread is CPU %u of %u", this_cpu, q->nr_cpus);
	return this_cpu;
}

unsigned long quire_port_irq_save(struct quire *q)
{
	(void)q;
	return irqs_off++;
}

void quire_port_irq_restore(struct quire *q, unsigned long flags)
{
	(void)q;
	if (irqs_off == 0 || flags != irqs_off - 1)
		die("irq_restore(%lu) with %u irq_save in force", flags, irqs_off);
	irqs_off--;
}

void quire_port_preempt_disable(struct quire *q)
{
	(void)q;
	preempt_off++;
}

void quire_port_preempt_enable(struct quire *q)
{
	(void)q;
	if (preempt_off-- == 0)
		die("preempt_enable without disable");
}

/* More threads than processors: a spinning one had better let the others run. */
void quire_port_relax(struct quire *q)
{
	(void)q;
	sched_yield();
}

static long futex(const uint32_t *word, int op, uint32_t value)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value)
{
	must_be_able_to_sleep("wait");
	if (quire_in_grace(q))
		die("wait inside a grace period");
	__atomic_fetch_add(&host_of(q)->waits, 1, __ATOMIC_RELAXED);
	if (futex(word, FUTEX_WAIT, value) && errno != EAGAIN && errno != EINTR)
		die("futex wait: %s", strerror(errno));
}

void quire_port_wake(struct quire *q, const uint32_t *word, unsigned n)
{
	__atomic_fetch_add(&host_of(q)->wakes, 1, __ATOMIC_RELAXED);
	futex(word, FUTEX_WAKE, n > INT32_MAX ? INT32_MAX : n);
}

/* ---- The port: TLB, time, chance, speech ------------------------------------------------- */

void quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush)
{
	struct host *h = host_of(q);

	must_be_able_to_sleep("tlb_flush");
	if (!flush->kernel && (flush->asid == 0 || flush->start >= flush->end || !flush->cpus))
		die("tlb_flush: asid %llu, %#llx to %#llx", (unsigned long long)flush->asid,
		    (unsigned long long)flush->start, (unsigned long long)flush->end);
	__atomic_fetch_add(&h->flushes, 1, __ATOMIC_RELAXED);
	while (__atomic_exchange_n(&h->flush_lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
	h->last_flush = *flush;
	h->last_flush.cpus = NULL; /* the caller's own, gone when it returns */
	__atomic_store_n(&h->flush_lock, 0, __ATOMIC_RELEASE);
}

void quire_port_tlb_flush_local(struct quire *q, uint64_t asid, uint64_t addr)
{
	(void)asid;
	(void)addr;
	__atomic_fetch_add(&host_of(q)->local_flushes, 1, __ATOMIC_RELAXED);
}

uint64_t quire_port_clock_ns(struct quire *q)
{
	return host_of(q)->clock_ns;
}

uint64_t quire_port_random(struct quire *q)
{
	struct host *h = host_of(q);

	return h->random ? host_random(&h->random) : 0;
}

void quire_port_log(struct quire *q, enum quire_log_level level, const char *text)
{
	(void)level;
	(void)text;
	__atomic_fetch_add(&host_of(q)->logs, 1, __ATOMIC_RELAXED);
}

void quire_port_report(struct quire *q, const char *what, const char *where, uint64_t value)
{
	struct host *h = host_of(q);

	if (!h->expect_reports)
		die("report: %s (%#llx) at %s", what, (unsigned long long)value, where);
	__atomic_fetch_add(&h->reports, 1, __ATOMIC_RELAXED);
	snprintf(h->report, sizeof(h->report), "%s", what);
	h->report_value = value;
}

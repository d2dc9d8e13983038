/* SPDX-License-Identifier: MIT */
/* The benchmarks' port; see port.h. */
#define _GNU_SOURCE
#include "port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

static unsigned char *ram;

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	abort();
}

/* An instance that has memory, and nothing else yet. */
static struct quire *new_quire(uint64_t ram_bytes)
{
	const uint64_t large = UINT64_C(2) << 20;
	struct quire *q = calloc(1, sizeof(*q));

	ram = mmap(NULL, ram_bytes + large, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!q || ram == MAP_FAILED)
		die("no memory");
	ram += large - ((uintptr_t)ram & (large - 1));
#ifdef MADV_HUGEPAGE
	(void)madvise(ram, ram_bytes,
		      getenv("BENCH_SMALL_PAGES") ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
#endif
	return q;
}

struct quire *bench_quire(uint64_t ram_bytes)
{
	struct quire *q = new_quire(ram_bytes);
	struct quire_range range = {0, ram_bytes, QUIRE_RANGE_USABLE, 0};
	struct quire_config config = {.map = &range,
				      .nr_ranges = 1,
				      .zones = 1u << QUIRE_ZONE_DMA | 1u << QUIRE_ZONE_DMA32 |
					       1u << QUIRE_ZONE_NORMAL};

	q->nr_cpus = 1;
	quire_grace_init(q);
	if (quire_page_init(q, &config) || quire_slab_init(q))
		die("the instance does not start");
	return q;
}

struct quire *bench_kernel(const struct quire_pgfmt *fmt, uint64_t ram_bytes, uint64_t low_bytes)
{
	const bool high = low_bytes < ram_bytes;
	struct quire *q = new_quire(ram_bytes);
	struct quire_range range = {0, ram_bytes, QUIRE_RANGE_USABLE, 0};
	struct quire_kva_layout layout;
	struct quire_config config = {.nr_cpus = 1,
				      .fmt = fmt,
				      .map = &range,
				      .nr_ranges = 1,
				      .zones = 1u << QUIRE_ZONE_DMA | 1u << QUIRE_ZONE_NORMAL |
					       (high ? 1u << QUIRE_ZONE_HIGHMEM : 0),
				      .high_memory = high ? low_bytes : 0,
				      .kva = &layout};

	if (quire_kva_layout_init(&layout, fmt, low_bytes, high, 1) || quire_init(q, &config))
		die("the instance does not start");
	return q;
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t bench_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t bench_cpu_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void *quire_port_phys_to_virt(struct quire *q, quire_paddr_t pa)
{
	(void)q;
	return ram + pa;
}

unsigned quire_port_cpu(struct quire *q)
{
	(void)q;
	return 0;
}

unsigned long quire_port_irq_save(struct quire *q)
{
	(void)q;
	return 0;
}

void quire_port_irq_restore(struct quire *q, unsigned long flags)
{
	(void)q;
	(void)flags;
}

void quire_port_preempt_disable(struct quire *q)
{
	(void)q;
}

void quire_port_preempt_enable(struct quire *q)
{
	(void)q;
}

void quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value)
{
	(void)q;
	(void)word;
	(void)value;
	die("nobody is there to wait for");
}

void quire_port_wake(struct quire *q, const uint32_t *word, unsigned n)
{
	(void)q;
	(void)word;
	(void)n;
}

void quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush)
{
	(void)q;
	(void)flush;
}

void quire_port_report(struct quire *q, const char *what, const char *where, uint64_t value)
{
	(void)q;
	(void)value;
	fprintf(stderr, "%s: ", where);
	die(what);
}

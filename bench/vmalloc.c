/* SPDX-License-Identifier: MIT */
/*
 * What vmalloc and vfree cost with few and with many areas alive: pairs of one page and of 1 MiB, with 10, 1,000 and
 * 100,000 areas of one to four pages around them and as many holes between these as a quarter of them left behind.
 *
 *	bench-vmalloc                    nanoseconds a pair, and how much more the most areas cost than the fewest
 *	bench-vmalloc WHAT AREAS n       n pairs and nothing printed, for an instruction counter
 *
 * WHAT: page, mib; or page-flush, mib-flush: with a flush for every vfree, so that no freed area stays in the index. Otherwise those
 * that wait for theirs do, as they always do, thousands of them.
 *
 * valgrind --tool=callgrind counts instructions: with n and with 2 n, the difference divided by n, is what a pair takes.
 *
 * x86-64's tables. The port's calls are among it: locks' interrupts, the CPU's number, the TLB. They are empty here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port.h"

#define PAGE UINT64_C(4096)
#define MIB (UINT64_C(1) << 20)
#define RAM (2048 * MIB)

static const unsigned counts[] = {10, 1000, 100000};

#define MOST 133334u /* a third more than the most */
#define ROUNDS 4u
#define SAMPLES 25u

static struct quire *q;
static void *area[MOST];
static unsigned nr_areas;

static uint64_t below(uint64_t n)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static void *take(uint64_t size)
{
	void *got = quire_vmalloc(q, size);

	if (!got) {
		fprintf(stderr, "bench: no area\n");
		exit(1);
	}
	return got;
}

/* So many areas are alive, with holes between them; from fewer, or none. */
static void fill(unsigned areas)
{
	while (nr_areas < areas + areas / 3)
		area[nr_areas++] = take((1 + below(4)) * PAGE);
	while (nr_areas > areas) {
		unsigned at = (unsigned)below(nr_areas);

		quire_vfree(q, area[at]);
		area[at] = area[--nr_areas];
	}
	quire_vm_unmap_aliases(q);
}

static void empty(void)
{
	while (nr_areas)
		quire_vfree(q, area[--nr_areas]);
	quire_vm_unmap_aliases(q);
}

static void run(uint64_t size, unsigned n)
{
	while (n--)
		quire_vfree(q, take(size));
}

/* A sample is as long as a few flushes of what waits. */
static const struct {
	const char *name;
	const char *text;
	uint64_t size;
	bool flush;
	unsigned pairs;
} kinds[] = {
	{"page", "1 page", PAGE, false, 16384},
	{"page-flush", "1 page, flushed at once", PAGE, true, 4096},
	{"mib", "1 MiB", MIB, false, 256},
	{"mib-flush", "1 MiB, flushed at once", MIB, true, 64},
};

#define KINDS QUIRE_ARRAY_SIZE(kinds)

/* The least of some samples: what others on the machine take away shows in the rest. */
static double measure(size_t kind)
{
	double best = 0;
	unsigned i;

	for (i = 0; i < SAMPLES; i++) {
		uint64_t start = bench_cpu_ns();
		double ns;

		run(kinds[kind].size, kinds[kind].pairs);
		ns = (double)(bench_cpu_ns() - start) / kinds[kind].pairs;
		if (i == 0 || ns < best)
			best = ns;
	}
	return best;
}

static void set_flush(size_t kind, uint64_t lazy)
{
	quire_vm_unmap_aliases(q);
	q->vmalloc.lazy_max_pages = kinds[kind].flush ? 0 : lazy;
}

/* Round by round, so that the few and the many have the same neighbours. */
static void measure_all(double best[KINDS][QUIRE_ARRAY_SIZE(counts)])
{
	const uint64_t lazy = q->vmalloc.lazy_max_pages;
	unsigned round;
	size_t kind, i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < QUIRE_ARRAY_SIZE(counts); i++) {
			fill(counts[i]);
			for (kind = 0; kind < KINDS; kind++) {
				double ns;

				set_flush(kind, lazy);
				ns = measure(kind);
				if (round == 0 || ns < best[kind][i])
					best[kind][i] = ns;
			}
			q->vmalloc.lazy_max_pages = lazy;
		}
		empty();
	}
}

int main(int argc, char **argv)
{
	double ns[KINDS][QUIRE_ARRAY_SIZE(counts)];
	size_t kind;

	q = bench_kernel(&quire_pgfmt_x86_64, RAM, RAM);
	for (kind = 0; argc > 3 && kind < KINDS; kind++) {
		if (strcmp(argv[1], kinds[kind].name) != 0)
			continue;
		fill((unsigned)strtoul(argv[2], NULL, 10));
		set_flush(kind, q->vmalloc.lazy_max_pages);
		run(kinds[kind].size, (unsigned)strtoul(argv[3], NULL, 10));
		return 0;
	}
	if (argc > 1)
		return 1;
	measure_all(ns);
	printf("%-26s %9s %9s %9s\n", "vmalloc+vfree, areas alive", "10", "1,000", "100,000");
	for (kind = 0; kind < KINDS; kind++)
		printf("%-26s %6.0f ns %6.0f ns %6.0f ns   %.2f times\n", kinds[kind].text,
		       ns[kind][0], ns[kind][1], ns[kind][2], ns[kind][2] / ns[kind][0]);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What a kmap costs: a temporary one of a low page and of a high one, a permanent one of a page that is
 * mapped already, and one of a page that is not, the flush of every round included.
 *
 *	bench-kmap             nanoseconds a pair of kmap and kunmap
 *	bench-kmap WHAT n      n pairs of one kind and nothing printed, for an instruction counter
 *
 * valgrind --tool=callgrind counts instructions: with n and with 2 n, the difference divided by n, less
 * the same of WHAT "nothing", is what a pair takes.
 *
 * The port's calls are among it: preemption off and on, the CPU's number, the TLB. They are empty
 * here; a kernel adds its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port.h"

#define MIB (UINT64_C(1) << 20)
#define PAGES 1024u /* more than there are slots of the pkmap */

static struct quire *q;
static struct quire_page *low, *high[PAGES];

/* The compiler must have the pointer, and know nothing of it. */
#define USE(pointer) __asm__ volatile("" : : "r"(pointer) : "memory")

static void nothing(unsigned i)
{
	USE(high[i % PAGES]);
}

static void local_low(unsigned i)
{
	void *at = quire_kmap_local(q, low);

	(void)i;
	USE(at);
	quire_kunmap_local(q, at);
}

static void local_high(unsigned i)
{
	void *at = quire_kmap_local(q, high[i % PAGES]);

	USE(at);
	quire_kunmap_local(q, at);
}

static void mapped(unsigned i)
{
	(void)i;
	USE(quire_kmap(q, high[0]));
	quire_kunmap(q, high[0]);
}

static void fresh(unsigned i)
{
	USE(quire_kmap(q, high[i % PAGES]));
	quire_kunmap(q, high[i % PAGES]);
}

static const struct {
	const char *name;
	void (*fn)(unsigned i);
	const char *text;
} kinds[] = {
	{"nothing", nothing, "the loop alone"},
	{"low", local_low, "kmap_local, low page"},
	{"high", local_high, "kmap_local, high page"},
	{"mapped", mapped, "kmap, mapped already"},
	{"fresh", fresh, "kmap, another page each time"},
};

static void run(void (*fn)(unsigned i), unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		fn(i);
}

int main(int argc, char **argv)
{
	unsigned i, n = 1000000;
	uint64_t start;
	size_t kind;

	q = bench_kernel(&quire_pgfmt_pae, 64 * MIB, 16 * MIB);
	low = quire_page_alloc(q, QUIRE_GFP_KERNEL, 0);
	for (i = 0; i < PAGES; i++)
		high[i] = quire_page_alloc(q, QUIRE_GFP_HIGHUSER, 0);
	if (!low || !high[PAGES - 1] || !quire_page_is_high(high[PAGES - 1]))
		return 1;
	if (argc > 2) {
		for (kind = 0; kind < QUIRE_ARRAY_SIZE(kinds); kind++) {
			if (!strcmp(argv[1], kinds[kind].name)) {
				run(kinds[kind].fn, (unsigned)strtoul(argv[2], NULL, 10));
				return 0;
			}
		}
		return 1;
	}
	for (kind = 0; kind < QUIRE_ARRAY_SIZE(kinds); kind++) {
		run(kinds[kind].fn, n / 10);
		start = bench_ns();
		run(kinds[kind].fn, n);
		printf("%-30s %6.1f ns\n", kinds[kind].text, (double)(bench_ns() - start) / n);
	}
	return 0;
}

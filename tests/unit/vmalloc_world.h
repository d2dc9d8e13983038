/* SPDX-License-Identifier: MIT */
/*
 * What the tests of vmalloc, vmap and ioremap share: a machine whose kernel addresses are simulated, so that
 * areas are written to through their pointers and a guard page faults. Formats: those of the machine's that have this build's pages;
 * 32-bit ones have half of their memory in HIGHMEM.
 */
#ifndef QUIRE_TESTS_VMALLOC_WORLD_H
#define QUIRE_TESTS_VMALLOC_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <machine.h>

#define PAGE ((uint64_t)QUIRE_PAGE_SIZE)
#define MIB (1ull << 20)
#define RAM (16384 * PAGE)
#define READ QUIRE_PTE_READ
#define RW (QUIRE_PTE_READ | QUIRE_PTE_WRITE)

static struct vmalloc_world {
	struct machine *m;
	struct quire *q;
	const struct quire_pgfmt *fmt;
	struct quire_kva_layout layout;
	uint64_t free_before;
} w;

/* Are there large leaves of vmalloc's: below the root, and blocks of pages of that size? */
static inline bool has_large_leaves(void)
{
	return w.fmt->levels > 2 && w.fmt->shift[1] - w.fmt->shift[0] <= QUIRE_MAX_ORDER;
}

/* All that is to be checked while nobody is at work. */
static inline void check(void)
{
	quire_broken_t broken = quire_vmalloc_check(w.q);

	if (broken)
		fail_msg("%s", broken);
	assert_false(machine_failed(w.m));
}

static inline int world_setup(const struct quire_pgfmt *fmt, unsigned nr_cpus, unsigned nr_nodes,
			      const struct quire_range *map, size_t nr_ranges)
{
	const bool high = fmt->va_bits == 32;
	struct machine_config config = {.ram_bytes = RAM,
					.nr_cpus = nr_cpus,
					.nr_nodes = nr_nodes,
					.map = map,
					.nr_ranges = nr_ranges,
					.fmt = fmt,
					.high_memory = high ? RAM / 2 : 0,
					.window = true};

	memset(&w, 0, sizeof(w));
	w.fmt = fmt;
	if (machine_create(&config, &w.m))
		return -1;
	w.q = machine_quire(w.m);
	w.layout = w.q->kva.layout;
	w.free_before = quire_free_pages(w.q);
	return 0;
}

static inline int setup(void **state)
{
	return world_setup(*state, 2, 1, NULL, 0);
}

/* Nothing is left: quire_exit() counts pages and looks for areas. */
static inline int teardown(void **state)
{
	quire_broken_t broken = quire_kva_check(w.q);

	(void)state;
	if (broken)
		print_error("%s\n", broken);
	return machine_destroy(w.m) || broken ? -1 : 0;
}

static inline quire_kaddr_t kaddr(const void *ptr)
{
	return quire_ptr_to_kaddr(w.q, ptr);
}

static inline void *pointer(quire_kaddr_t addr)
{
	return quire_kaddr_to_ptr(w.q, addr);
}

/* A bad access that does not end the process. */
static inline bool faults(const void *at)
{
	char byte;

	return machine_probe_read(w.m, at, &byte, 1) == -QUIRE_EFAULT;
}

/* What was said of a call that is a mistake, and that nothing else came of it. */
static inline void expect(const char *what)
{
	if (!machine_expect_report(w.m, what))
		fail_msg("not reported: %s", what);
	check();
}

#if QUIRE_PAGE_SHIFT == 16
#define ON_ALL_FORMATS(f) {#f " aarch64-64k", f, setup, teardown, (void *)(uintptr_t)&quire_pgfmt_aarch64_64k}
#define ON_X86_64(f) ON_ALL_FORMATS(f)
#elif QUIRE_PAGE_SHIFT == 14
#define ON_ALL_FORMATS(f) {#f " aarch64-16k", f, setup, teardown, (void *)(uintptr_t)&quire_pgfmt_aarch64_16k}
#define ON_X86_64(f) ON_ALL_FORMATS(f)
#else
#define ON_ALL_FORMATS(f)                                                                          \
	{#f " i386", f, setup, teardown, (void *)(uintptr_t)&quire_pgfmt_i386},                    \
		{#f " pae", f, setup, teardown, (void *)(uintptr_t)&quire_pgfmt_pae},              \
		{#f " x86_64", f, setup, teardown, (void *)(uintptr_t)&quire_pgfmt_x86_64},        \
		{#f " aarch64", f, setup, teardown, (void *)(uintptr_t)&quire_pgfmt_aarch64},      \
	{                                                                                          \
		#f " sv39", f, setup, teardown, (void *)(uintptr_t)&quire_pgfmt_sv39               \
	}

#define ON_X86_64(f) {#f, f, setup, teardown, (void *)(uintptr_t)&quire_pgfmt_x86_64}
#endif

#endif

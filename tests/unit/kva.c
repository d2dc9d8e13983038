/* SPDX-License-Identifier: MIT */
/*
 * The kernel's part of the address space: Linux's layouts in figures, the tables with the direct map in them,
 * the host's own parts, rights and modes, and spaces that learn of new entries. On every format of the machine that
 * has this build's pages; entries are read back through the tables, not through pointers (see window.c for those).
 *
 * Figures of 32 bits are those that Linux 2.6 prints at boot ("virtual kernel memory layout"); of 64 bits those of
 * Documentation/arch/x86/x86_64/mm.rst, arm64/memory.rst, riscv/vm-layout.rst.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <machine.h>

#define PAGE ((uint64_t)QUIRE_PAGE_SIZE)
#define PAGE_4K 4096ull /* of layouts, which know their formats' pages in every build */
#define MIB (1ull << 20)
/* 32 tables of 8-byte entries: 64 MiB with pages of 4 KiB. Places in it are said in sixteenths. */
#define RAM (32 * PAGE / 8 * PAGE)
#define RAM_16THS(n) (RAM / 16 * (n))
#define RW (QUIRE_PTE_READ | QUIRE_PTE_WRITE)
#define RX (QUIRE_PTE_READ | QUIRE_PTE_EXEC)

static struct world {
	struct machine *m;
	struct quire *q;
	const struct quire_pgfmt *fmt;
	struct quire_kva_layout layout;
	uint64_t free_before;
	quire_kaddr_t hosts; /* kernel addresses that are in none of the parts */
} w;

/* ---- Layout ------------------------------------------------------------------------------ */

/* 896 MiB of low memory, kmaps: what a PAE kernel of 2.6 printed, with a vmalloc area of 120 MiB less pkmap and fixmap. */
static void the_fourth_gigabyte_is_laid_out_as_linux_does(void **state)
{
	struct quire_kva_layout l;

	(void)state;
	assert_int_equal(quire_kva_layout_init(&l, &quire_pgfmt_pae, 4096 * MIB, true, 1), 0);
	assert_int_equal(l.page_offset, 0xc0000000);
	assert_int_equal(l.high_memory, 0xf8000000);
	assert_int_equal(l.vmalloc_start, 0xf8800000);
	assert_int_equal(l.fixaddr_top, 0xfffff000);
	assert_int_equal(l.nr_pkmaps, 512);
	assert_int_equal(l.pkmap_base % (2 * MIB), 0);
	assert_true(l.pkmap_base + 2 * MIB < l.fixaddr_start && l.fixaddr_start - l.pkmap_base < 6 * MIB);
	assert_int_equal(l.vmalloc_end, l.pkmap_base - 2 * PAGE_4K);
	assert_null(quire_kva_layout_check(&l, &quire_pgfmt_pae, 1));

	/* Two levels: a leaf table covers 4 MiB. */
	assert_int_equal(quire_kva_layout_init(&l, &quire_pgfmt_i386, 4096 * MIB, true, 1), 0);
	assert_int_equal(l.nr_pkmaps, 1024);
	assert_int_equal(l.pkmap_base % (4 * MIB), 0);
	assert_null(quire_kva_layout_check(&l, &quire_pgfmt_i386, 1));

	/* 128 MiB of memory: the vmalloc area begins 8 MiB behind it and has the rest. */
	assert_int_equal(quire_kva_layout_init(&l, &quire_pgfmt_i386, 128 * MIB, false, 1), 0);
	assert_int_equal(l.high_memory, 0xc8000000);
	assert_int_equal(l.vmalloc_start, 0xc8800000);
	assert_int_equal(l.pkmap_base, 0);
	assert_int_equal(l.vmalloc_end, l.fixaddr_start - 2 * PAGE_4K);
	/* One page more, and the hole is between 8 and 16 MiB. */
	assert_int_equal(quire_kva_layout_init(&l, &quire_pgfmt_i386, 128 * MIB + PAGE_4K, false, 1), 0);
	assert_int_equal(l.vmalloc_start, 0xc9000000);
}

static void the_kernel_halves_are_laid_out_as_linux_does(void **state)
{
	static const struct {
		const struct quire_pgfmt *fmt;
		uint64_t page_offset, vmalloc_start, vmalloc_end;
	} linux_says[] = {
		{ &quire_pgfmt_x86_64, 0xffff888000000000, 0xffffc90000000000, 0xffffe8ffffffffff + 1 },
		{ &quire_pgfmt_x86_64_5level, 0xff11000000000000, 0xffa0000000000000, 0xffd1ffffffffffff + 1 },
		{ &quire_pgfmt_aarch64, 0xffff000000000000, 0xffff800080000000, 0xfffffbffefffffff + 1 },
		/* VMEMMAP_START is -2^(48 - page shift + 6), VMALLOC_END 256 MiB below it. */
		{ &quire_pgfmt_aarch64_16k, 0xffff000000000000, 0xffff800080000000, -(1ull << 40) - 256 * MIB },
		{ &quire_pgfmt_aarch64_64k, 0xffff000000000000, 0xffff800080000000, -(1ull << 38) - 256 * MIB },
		{ &quire_pgfmt_sv39, 0xffffffd600000000, 0xffffffc600000000, 0xffffffd5ffffffff + 1 },
		{ &quire_pgfmt_sv48, 0xffffaf8000000000, 0xffff8f8000000000, 0xffffaf7fffffffff + 1 },
		{ &quire_pgfmt_sv57, 0xff60000000000000, 0xff20000000000000, 0xff5fffffffffffff + 1 },
	};
	struct quire_kva_layout l;

	(void)state;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(linux_says); i++) {
		assert_int_equal(quire_kva_layout_init(&l, linux_says[i].fmt, 64 << 20, false, 4), 0);
		assert_int_equal(l.page_offset, linux_says[i].page_offset);
		assert_int_equal(l.high_memory, linux_says[i].page_offset + (64 << 20));
		assert_int_equal(l.vmalloc_start, linux_says[i].vmalloc_start);
		assert_int_equal(l.vmalloc_end, linux_says[i].vmalloc_end);
		assert_int_equal(l.nr_pkmaps, 0);
		assert_null(quire_kva_layout_check(&l, linux_says[i].fmt, 4));
	}
}

/* Of AArch64's larger pages, in whatever build: slots of the fixmap are pages of the format's. */
static void larger_pages_have_larger_slots(void **state)
{
	struct quire_kva_layout small, l;
	static const struct quire_pgfmt *const formats[] = { &quire_pgfmt_aarch64_16k, &quire_pgfmt_aarch64_64k };

	(void)state;
	assert_int_equal(quire_kva_layout_init(&small, &quire_pgfmt_aarch64, 64 * MIB, false, 4), 0);
	for (size_t i = 0; i < 2; i++) {
		const uint64_t times = i ? 16 : 4;

		assert_int_equal(quire_kva_layout_init(&l, formats[i], 64 * MIB + PAGE_4K, false, 4), 0);
		assert_null(quire_kva_layout_check(&l, formats[i], 4));
		assert_int_equal(l.high_memory, l.page_offset + 64 * MIB); /* whole pages */
		assert_int_equal(l.fixaddr_top - l.fixaddr_start, times * (small.fixaddr_top - small.fixaddr_start));
	}
}

static void layouts_that_cannot_be_are_refused(void **state)
{
	struct quire_kva_layout l = { 0 }, good, bad;

	(void)state;
	assert_int_equal(quire_kva_layout_init(&l, &quire_pgfmt_x86_64, 0, false, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_kva_layout_init(&l, &quire_pgfmt_x86_64, 64 * MIB, true, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_kva_layout_init(&l, &quire_pgfmt_x86_64, 64 * MIB, false, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_kva_layout_init(&l, &quire_pgfmt_x86_64, 64 * MIB, false, QUIRE_NR_CPUS + 1),
			 -QUIRE_EINVAL);
	/* 64 TiB is all that the direct map of 4 levels has room for. */
	assert_int_equal(quire_kva_layout_init(&l, &quire_pgfmt_x86_64, (64ull << 40) + PAGE_4K, false, 1), -QUIRE_EINVAL);
	assert_int_equal(l.page_offset, 0);

	assert_int_equal(quire_kva_layout_init(&good, &quire_pgfmt_pae, 4096 * MIB, true, 2), 0);
	bad = good;
	bad.vmalloc_end = bad.pkmap_base + PAGE_4K;
	assert_non_null(quire_kva_layout_check(&bad, &quire_pgfmt_pae, 2));
	bad = good;
	bad.vmalloc_start = bad.high_memory + 4 * MIB;
	assert_non_null(quire_kva_layout_check(&bad, &quire_pgfmt_pae, 2));
	bad = good;
	bad.page_offset -= PAGE_4K;
	assert_non_null(quire_kva_layout_check(&bad, &quire_pgfmt_pae, 2));
	bad = good;
	bad.fixaddr_start += PAGE_4K;
	assert_non_null(quire_kva_layout_check(&bad, &quire_pgfmt_pae, 2));
	bad = good;
	bad.large_levels = 1u << 2;
	assert_non_null(quire_kva_layout_check(&bad, &quire_pgfmt_pae, 2));
}

/* ---- A machine with kernel tables -------------------------------------------------------- */

static int setup(void **state)
{
	struct machine_config config = { .ram_bytes = RAM, .nr_cpus = 2, .fmt = *state };

	memset(&w, 0, sizeof(w));
	w.fmt = *state;
	if (machine_create(&config, &w.m))
		return -1;
	w.q = machine_quire(w.m);
	if (quire_kva_layout_init(&w.layout, w.fmt, RAM, false, 2))
		return -1;
	w.free_before = quire_free_pages(w.q);
	if (quire_kva_init(w.q, &w.layout))
		return -1;
	w.hosts = w.layout.vmalloc_end + 64 * MIB;
	if (w.fmt->va_bits == 32) /* the guard between direct map and vmalloc area */
		w.hosts = w.layout.high_memory;
	if (w.fmt->va_bits == 39)
		w.hosts = w.layout.high_memory + (1ull << 30);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	quire_kva_exit(w.q);
	quire_grace_wait(w.q);
	if (quire_free_pages(w.q) != w.free_before)
		return -1;
	return (int)machine_destroy(w.m);
}

static quire_pte_t leaf(quire_kaddr_t addr, unsigned *level)
{
	quire_pte_t pte;

	quire_grace_enter(w.q);
	pte = quire_pgtable_lookup(&w.q->kva.pt, addr, level);
	quire_grace_leave(w.q);
	return pte;
}

static quire_ptebits_t rights(quire_kaddr_t addr)
{
	unsigned level;

	return quire_pte_bits(w.fmt, leaf(addr, &level)) & (RW | QUIRE_PTE_EXEC | QUIRE_PTE_USER);
}

static unsigned level_of(quire_kaddr_t addr)
{
	unsigned level;

	(void)leaf(addr, &level);
	return level;
}

static void check(void)
{
	assert_null(quire_kva_check(w.q));
}

static quire_kaddr_t direct(quire_paddr_t pa)
{
	return w.layout.page_offset + pa;
}

/* i386 cannot keep what can be read from being executed; EXEC is a right that no entry has. */
static bool has_exec(void)
{
	return w.fmt != &quire_pgfmt_i386;
}

static void the_direct_map_has_all_memory_in_large_leaves(void **state)
{
	const uint64_t large = 1ull << w.fmt->shift[1];
	quire_paddr_t pa;

	(void)state;
	for (quire_paddr_t at = 0; at < RAM; at += 37 * PAGE) {
		if (!quire_pfn_to_page(w.q, at / PAGE) || at < PAGE)
			continue;
		assert_true(quire_kernel_translate(w.q, direct(at) + 123, &pa));
		assert_int_equal(pa, at + 123);
		assert_true(quire_kernel_translate_ptr(w.q, quire_kaddr_to_ptr(w.q, direct(at) + 7), &pa));
		assert_int_equal(pa, at + 7);
		assert_int_equal(rights(direct(at)), RW);
	}
	assert_int_equal(level_of(direct(RAM_16THS(8))), 1);
	/* Below the first large page's end something is missing: the frame 0. */
	assert_int_equal(w.q->kva.direct_pages[1], RAM / large - 1);
	assert_false(quire_kernel_translate(w.q, direct(RAM), &pa));
	assert_false(quire_kernel_translate(w.q, w.layout.vmalloc_start, &pa));
	check();
}

static void hosts_map_parts_of_their_own(void **state)
{
	quire_paddr_t pa;

	(void)state;
	assert_int_equal(quire_kernel_map(w.q, w.hosts, 0x123 * PAGE, 3 * PAGE, RX, QUIRE_CACHE_WB), 0);
	assert_true(quire_kernel_translate(w.q, w.hosts + PAGE + 5, &pa));
	assert_int_equal(pa, 0x124 * PAGE + 5);
	assert_int_equal(rights(w.hosts), has_exec() ? RX : QUIRE_PTE_READ);
	check();
	assert_int_equal(quire_kernel_map(w.q, w.hosts + 2 * PAGE, 0, PAGE, RW, QUIRE_CACHE_WB), -QUIRE_EEXIST);
	assert_int_equal(quire_kernel_unmap(w.q, w.hosts + PAGE, PAGE), 0);
	assert_false(quire_kernel_translate(w.q, w.hosts + PAGE, &pa));
	assert_true(quire_kernel_translate(w.q, w.hosts + 2 * PAGE, &pa));
	assert_int_equal(quire_kernel_unmap(w.q, w.hosts, 3 * PAGE), 0);
	assert_false(quire_kernel_translate(w.q, w.hosts, &pa));
	check();
}

static void what_hosts_may_not_map(void **state)
{
	quire_paddr_t pa;

	(void)state;
	assert_int_equal(quire_kernel_map(w.q, w.hosts + 1, 0, PAGE, RW, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.hosts, 1, PAGE, RW, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.hosts, 0, 0, RW, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.hosts, 0, -PAGE, RW, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.hosts, -PAGE, 2 * PAGE, RW, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, PAGE, 0, PAGE, RW, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, direct(0), 0, PAGE, RW, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.layout.vmalloc_start, 0, PAGE, RW, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.layout.fixaddr_start, 0, PAGE, RW, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.hosts, 0, PAGE, RW | QUIRE_PTE_EXEC, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.hosts, 0, PAGE, QUIRE_PTE_WRITE, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.hosts, 0, PAGE, RW | QUIRE_PTE_USER, QUIRE_CACHE_WB), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_map(w.q, w.hosts, 0, PAGE, RW, QUIRE_NR_CACHE_MODES), -QUIRE_EINVAL);
	assert_false(quire_kernel_translate(w.q, w.hosts, &pa));
	assert_int_equal(quire_kernel_unmap(w.q, direct(0), PAGE), -QUIRE_EINVAL);
	check();
}

/* A part of a large leaf is not unmapped, and one that lies within is. */
static void large_leaves_of_hosts_go_as_a_whole(void **state)
{
	const uint64_t large = 1ull << w.fmt->shift[1];
	quire_kaddr_t at = (w.hosts + large - 1) & ~(large - 1);

	(void)state;
	if (w.fmt->va_bits == 32) /* the hole is smaller than what is needed here */
		skip();
	assert_int_equal(quire_kernel_map(w.q, at, RAM_16THS(4), large + PAGE, RW, QUIRE_CACHE_WB), 0);
	assert_int_equal(level_of(at), 1);
	assert_int_equal(level_of(at + large), 0);
	assert_int_equal(quire_kernel_unmap(w.q, at + PAGE, PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_kernel_unmap(w.q, at, large - PAGE), -QUIRE_EINVAL);
	assert_int_equal(level_of(at), 1);
	assert_int_equal(quire_kernel_unmap(w.q, at, large + PAGE), 0);
	/* Where small leaves have been their table is still there, and is used. */
	assert_int_equal(quire_kernel_map(w.q, at + large, RAM_16THS(4), large, RW, QUIRE_CACHE_WB), 0);
	assert_int_equal(level_of(at + large), 0);
	assert_int_equal(quire_kernel_unmap(w.q, at + large, large), 0);
	check();
}

/* ---- Rights ------------------------------------------------------------------------------ */

static void a_page_of_the_direct_map_becomes_read_only(void **state)
{
	const uint64_t large = 1ull << w.fmt->shift[1], small = large / PAGE;
	quire_kaddr_t at = direct(RAM_16THS(8)) + 5 * PAGE;
	quire_paddr_t pa;

	(void)state;
	assert_int_equal(quire_set_memory_ro(w.q, at, 1), 0);
	assert_int_equal(rights(at), QUIRE_PTE_READ);
	assert_int_equal(rights(at - PAGE), RW);
	assert_int_equal(rights(at + PAGE), RW);
	assert_int_equal(level_of(at), 0);
	assert_int_equal(level_of(direct(RAM_16THS(8)) + large), 1);
	assert_int_equal(w.q->kva.direct_pages[1], RAM / large - 2);
	assert_true(w.q->kva.direct_pages[0] >= small);
	assert_true(quire_kernel_translate(w.q, at + 7, &pa));
	assert_int_equal(pa, RAM_16THS(8) + 5 * PAGE + 7);
	check();
	assert_int_equal(quire_set_memory_rw(w.q, at, 1), 0);
	assert_int_equal(rights(at), RW);
	check();
}

/* Whole large leaves are changed as such; those at the ends are split.
 *
 *	leaves   |-----L-----|-----L-----|-----L-----|
 *	range             |------------------|
 */
static void a_range_splits_what_it_cuts_and_nothing_else(void **state)
{
	const uint64_t large = 1ull << w.fmt->shift[1];
	quire_kaddr_t at = direct(RAM_16THS(8));

	(void)state;
	assert_int_equal(quire_set_memory_ro(w.q, at + large - PAGE, large / PAGE + 2), 0);
	assert_int_equal(level_of(at), 0);
	/* But one in the root, which every space has a copy of. */
	assert_int_equal(level_of(at + large), w.fmt->levels == 2 ? 0 : 1);
	assert_int_equal(level_of(at + 2 * large), 0);
	assert_int_equal(level_of(at + 3 * large), 1);
	assert_int_equal(rights(at + large - 2 * PAGE), RW);
	assert_int_equal(rights(at + large - PAGE), QUIRE_PTE_READ);
	assert_int_equal(rights(at + large), QUIRE_PTE_READ);
	assert_int_equal(rights(at + 2 * large), QUIRE_PTE_READ);
	assert_int_equal(rights(at + 2 * large + PAGE), RW);
	check();
}

static void nothing_is_both_written_and_executed(void **state)
{
	quire_kaddr_t at = direct(RAM_16THS(10));

	(void)state;
	if (!has_exec())
		skip();
	assert_int_equal(quire_set_memory_x(w.q, at, 1), -QUIRE_EINVAL);
	assert_int_equal(rights(at), RW);
	assert_int_equal(quire_set_memory_rox(w.q, at, 1), 0);
	assert_int_equal(rights(at), RX);
	assert_int_equal(quire_set_memory_rw(w.q, at, 1), -QUIRE_EINVAL);
	assert_int_equal(rights(at), RX);
	assert_int_equal(quire_set_memory_nx(w.q, at, 1), 0);
	assert_int_equal(quire_set_memory_rw(w.q, at, 1), 0);
	assert_int_equal(rights(at), RW);
	check();
}

static void pages_go_absent_and_come_back_as_they_were(void **state)
{
	quire_kaddr_t at = direct(RAM_16THS(9)) + PAGE;
	quire_paddr_t pa;

	(void)state;
	assert_int_equal(quire_set_memory_ro(w.q, at, 1), 0);
	assert_int_equal(quire_set_memory_np(w.q, at, 2), 0);
	assert_false(quire_kernel_translate(w.q, at, &pa));
	assert_false(quire_kernel_translate(w.q, at + PAGE, &pa));
	assert_true(quire_kernel_translate(w.q, at + 2 * PAGE, &pa));
	check();
	assert_int_equal(quire_set_memory_p(w.q, at, 2), 0);
	assert_int_equal(rights(at), QUIRE_PTE_READ);
	assert_int_equal(rights(at + PAGE), RW);
	check();
}

static void cache_modes_are_set_page_by_page(void **state)
{
	const bool can = w.fmt->cache[QUIRE_CACHE_UC] != 0;
	quire_kaddr_t at = direct(RAM_16THS(9));
	unsigned level;

	(void)state;
	assert_int_equal(quire_set_memory_uc(w.q, at, 2), 0);
	assert_int_equal(quire_set_memory_wc(w.q, at + PAGE, 1), 0);
	assert_int_equal(quire_pte_cache(w.fmt, leaf(at, &level)), can ? QUIRE_CACHE_UC : QUIRE_CACHE_WB);
	assert_int_equal(quire_pte_cache(w.fmt, leaf(at + PAGE, &level)), can ? QUIRE_CACHE_WC : QUIRE_CACHE_WB);
	assert_int_equal(quire_pte_cache(w.fmt, leaf(at + 2 * PAGE, &level)), QUIRE_CACHE_WB);
	assert_int_equal(rights(at), RW);
	assert_int_equal(quire_set_memory_wb(w.q, at, 2), 0);
	assert_int_equal(quire_pte_cache(w.fmt, leaf(at, &level)), QUIRE_CACHE_WB);
	check();
}

static void ranges_that_are_not_mapped_are_refused(void **state)
{
	(void)state;
	assert_int_equal(quire_set_memory_ro(w.q, direct(RAM) - PAGE, 2), -QUIRE_EINVAL);
	assert_int_equal(rights(direct(RAM) - PAGE), RW);
	assert_int_equal(quire_set_memory_ro(w.q, direct(RAM) - PAGE + 1, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_set_memory_ro(w.q, PAGE, 1), -QUIRE_EINVAL);
	assert_int_equal(quire_set_memory_ro(w.q, direct(RAM) - PAGE, UINT64_MAX), -QUIRE_EINVAL);
	assert_int_equal(quire_set_memory_ro(w.q, direct(RAM) - PAGE, 0), 0);
	assert_int_equal(rights(direct(RAM) - PAGE), RW);
	check();
}

/* Each allocation fails in turn: the rights are what they were. */
static void want_of_memory_changes_no_right(void **state)
{
	const uint64_t large = 1ull << w.fmt->shift[1];
	quire_kaddr_t at = direct(RAM_16THS(8));
	unsigned k;
	int err;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	for (k = 1;; k++) {
		w.q->pages.fail = (struct quire_fail){ .after = k };
		err = quire_set_memory_ro(w.q, at + large - PAGE, large / PAGE + 2);
		w.q->pages.fail.after = 0;
		check();
		if (!err)
			break;
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_int_equal(rights(at + large - PAGE), RW);
		assert_int_equal(rights(at + large), RW);
		assert_int_equal(rights(at + 2 * large), RW);
	}
	assert_true(k > 1);
	for (k = 1; k < 20; k++) {
		quire_paddr_t pa;

		w.q->pages.fail = (struct quire_fail){ .after = k, .sticky = true };
		err = quire_kernel_map(w.q, w.hosts, 0x100 * PAGE, 4 * PAGE, RW, QUIRE_CACHE_WB);
		w.q->pages.fail = (struct quire_fail){ 0 };
		check();
		if (!err)
			break;
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_false(quire_kernel_translate(w.q, w.hosts, &pa));
	}
	assert_int_equal(err, 0);
	assert_int_equal(quire_kernel_unmap(w.q, w.hosts, 4 * PAGE), 0);
}

/* An instance whose tables cannot be made keeps nothing. */
static void bringing_up_fails_whole(void **state)
{
	struct quire_kva_layout layout = w.layout;
	unsigned k;
	int err = -1;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	quire_kva_exit(w.q);
	quire_grace_wait(w.q);
	assert_int_equal(quire_free_pages(w.q), w.free_before);
	for (k = 1; err; k++) {
		w.q->pages.fail = (struct quire_fail){ .after = k };
		err = quire_kva_init(w.q, &layout);
		w.q->pages.fail.after = 0;
		if (err) {
			assert_int_equal(err, -QUIRE_ENOMEM);
			quire_grace_wait(w.q);
			assert_int_equal(quire_free_pages(w.q), w.free_before);
			assert_null(w.q->kernel);
		}
	}
	assert_true(k > 2);
	assert_int_equal(quire_kva_init(w.q, &layout), -QUIRE_EBUSY);
	/* What the page room takes for low memory is in the direct map. */
	layout.high_memory -= PAGE;
	assert_int_equal(quire_kva_init(w.q, &layout), -QUIRE_EINVAL);
	check();
}

/* ---- Spaces ------------------------------------------------------------------------------ */

static quire_pte_t seen_by(struct quire_pgtable *pt, quire_kaddr_t addr)
{
	/* A space's root, read as the processor does: through the kernel's part that its own walks leave out. */
	struct quire_pgtable view = *pt;
	quire_pte_t pte;
	unsigned level;

	view.lowest = w.q->kernel->lowest;
	view.end = w.q->kernel->end;
	quire_grace_enter(w.q);
	pte = quire_pgtable_lookup(&view, addr, &level);
	quire_grace_leave(w.q);
	return pte;
}

static void spaces_know_what_was_mapped_before_them(void **state)
{
	struct quire_pgtable pt;
	unsigned level;

	(void)state;
	assert_int_equal(quire_kernel_map(w.q, w.hosts, 0x123 * PAGE, PAGE, RW, QUIRE_CACHE_WB), 0);
	assert_int_equal(quire_pgtable_init(w.q, &pt, w.fmt), 0);
	if (w.fmt->kernel_apart) {
		assert_int_equal(seen_by(&pt, w.hosts), 0);
		assert_int_equal(quire_kernel_fault(&pt, w.hosts), -QUIRE_EFAULT);
	} else {
		assert_int_equal(seen_by(&pt, w.hosts), leaf(w.hosts, &level));
		assert_int_equal(seen_by(&pt, direct(RAM_16THS(10))), leaf(direct(RAM_16THS(10)), &level));
	}
	assert_null(quire_pgtable_check(&pt));
	quire_pgtable_destroy(&pt);
	assert_int_equal(quire_kernel_unmap(w.q, w.hosts, PAGE), 0);
	check();
}

/* A large leaf that is split stands in the root, where there are two levels: all roots get the table. */
static void spaces_see_what_changes_in_the_direct_map(void **state)
{
	quire_kaddr_t at = direct(RAM_16THS(10)) + 3 * PAGE;
	struct quire_pgtable pt, other;
	unsigned level;

	(void)state;
	assert_int_equal(quire_pgtable_init(w.q, &pt, w.fmt), 0);
	assert_int_equal(quire_pgtable_init(w.q, &other, w.fmt), 0);
	assert_int_equal(quire_set_memory_ro(w.q, at, 1), 0);
	if (!w.fmt->kernel_apart) {
		assert_int_equal(seen_by(&pt, at), leaf(at, &level));
		assert_int_equal(seen_by(&other, at), leaf(at, &level));
		assert_int_equal(seen_by(&other, at + PAGE), leaf(at + PAGE, &level));
	}
	assert_int_equal(rights(at), QUIRE_PTE_READ);
	quire_pgtable_destroy(&pt);
	quire_pgtable_destroy(&other);
	check();
}

/* Two levels, or a part that nothing was made for: the space's root has no entry yet, and learns. */
static void spaces_learn_of_what_is_mapped_after_them(void **state)
{
	struct quire_pgtable pt;
	quire_kaddr_t at = w.hosts;
	unsigned level;

	(void)state;
	assert_int_equal(quire_pgtable_init(w.q, &pt, w.fmt), 0);
	assert_int_equal(quire_kernel_fault(&pt, at), -QUIRE_EFAULT);
	assert_int_equal(quire_kernel_map(w.q, at, 0x123 * PAGE, PAGE, RW, QUIRE_CACHE_WB), 0);
	if (!w.fmt->kernel_apart) {
		if (w.fmt == &quire_pgfmt_i386 || w.fmt == &quire_pgfmt_sv32)
			assert_int_equal(seen_by(&pt, at), 0);
		assert_int_equal(quire_kernel_fault(&pt, at), 0);
		assert_int_equal(seen_by(&pt, at), leaf(at, &level));
		/* Again, from another CPU: no error. */
		assert_int_equal(quire_kernel_fault(&pt, at), 0);
	}
	assert_int_equal(quire_kernel_fault(&pt, at + PAGE), -QUIRE_EFAULT);
	assert_int_equal(quire_kernel_fault(&pt, PAGE), -QUIRE_EFAULT);
	assert_int_equal(quire_kernel_unmap(w.q, at, PAGE), 0);
	assert_int_equal(quire_kernel_fault(&pt, at), -QUIRE_EFAULT);
	assert_null(quire_pgtable_check(&pt));
	quire_pgtable_destroy(&pt);
	check();
}

/* ---- Slots ------------------------------------------------------------------------------- */

static void a_slot_is_one_entry_of_its_owners(void **state)
{
	quire_kaddr_t at = w.layout.fixaddr_top - PAGE;
	struct quire_pteslot slot;
	quire_pte_t pte = quire_pte_make(w.fmt, 0x77, RW | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY | QUIRE_PTE_GLOBAL);
	quire_paddr_t pa;

	(void)state;
	assert_int_equal(quire_pteslot_init(&w.q->kva.pt, at, &slot), 0);
	assert_int_equal(quire_pteslot_get(&w.q->kva.pt, slot), 0);
	assert_false(quire_kernel_translate(w.q, at, &pa));
	check();
	quire_pteslot_set(&w.q->kva.pt, slot, pte);
	assert_int_equal(quire_pteslot_get(&w.q->kva.pt, slot), pte);
	assert_true(quire_kernel_translate(w.q, at, &pa));
	assert_int_equal(pa, 0x77 * PAGE);
	check();
	quire_pteslot_set(&w.q->kva.pt, slot, 0);
	assert_false(quire_kernel_translate(w.q, at, &pa));
	check();
}

/* ------------------------------------------------------------------------------------------ */

#define ON(test, format)                                                                     \
	{                                                                                    \
		.name = #test ": " #format, .test_func = (test), .setup_func = setup,        \
		.teardown_func = teardown, .initial_state = (void *)(uintptr_t)&quire_pgfmt_##format \
	}
#if QUIRE_PAGE_SHIFT == 16
#define EVERYWHERE(test) ON(test, aarch64_64k)
#elif QUIRE_PAGE_SHIFT == 14
#define EVERYWHERE(test) ON(test, aarch64_16k)
#else
#define EVERYWHERE(test)                                                                    \
	ON(test, x86_64), ON(test, x86_64_5level), ON(test, i386), ON(test, pae), ON(test, aarch64), \
		ON(test, sv32), ON(test, sv39), ON(test, sv48), ON(test, sv57)
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fourth_gigabyte_is_laid_out_as_linux_does),
		cmocka_unit_test(the_kernel_halves_are_laid_out_as_linux_does),
		cmocka_unit_test(larger_pages_have_larger_slots),
		cmocka_unit_test(layouts_that_cannot_be_are_refused),
		EVERYWHERE(the_direct_map_has_all_memory_in_large_leaves),
		EVERYWHERE(hosts_map_parts_of_their_own),
		EVERYWHERE(what_hosts_may_not_map),
		EVERYWHERE(large_leaves_of_hosts_go_as_a_whole),
		EVERYWHERE(a_page_of_the_direct_map_becomes_read_only),
		EVERYWHERE(a_range_splits_what_it_cuts_and_nothing_else),
		EVERYWHERE(nothing_is_both_written_and_executed),
		EVERYWHERE(pages_go_absent_and_come_back_as_they_were),
		EVERYWHERE(cache_modes_are_set_page_by_page),
		EVERYWHERE(ranges_that_are_not_mapped_are_refused),
		EVERYWHERE(want_of_memory_changes_no_right),
		EVERYWHERE(bringing_up_fails_whole),
		EVERYWHERE(spaces_know_what_was_mapped_before_them),
		EVERYWHERE(spaces_see_what_changes_in_the_direct_map),
		EVERYWHERE(spaces_learn_of_what_is_mapped_after_them),
		EVERYWHERE(a_slot_is_one_entry_of_its_owners),
	};

	return cmocka_run_group_tests_name("kva", tests, NULL, NULL);
}

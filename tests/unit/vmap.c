/* SPDX-License-Identifier: MIT */
/*
 * Pages of the caller's at kernel addresses: vmap, vm_map_ram, ioremap, on every format of the machine, through pointers
 * that fault where nothing is mapped. Areas themselves and vmalloc are in vmalloc.c. What each does with bad
 * arguments is Linux's: Documentation/core-api/mm-api.rst, mm/vmalloc.c's comments, ioremap of 2.6.
 */
#include "vmalloc_world.h"

#define MOST 80u

static struct quire_page *pages[MOST];

static void take_pages(unsigned nr)
{
	for (unsigned i = 0; i < nr; i++) {
		pages[i] = quire_page_alloc(w.q, QUIRE_GFP_HIGHUSER | QUIRE_GFP_ZERO, 0);
		assert_non_null(pages[i]);
	}
}

static void give_pages(unsigned nr)
{
	quire_vm_unmap_aliases(w.q);
	for (unsigned i = 0; i < nr; i++)
		quire_page_free(w.q, pages[i], 0);
}

/* The first byte of a page, through a kmap. */
static unsigned char first_byte(struct quire_page *page)
{
	unsigned char *p = quire_page_kmap(w.q, page), byte = p[0];

	quire_page_kunmap(w.q, p);
	return byte;
}

/* ---- vmap -------------------------------------------------------------------------------- */

static void pages_are_mapped_one_behind_the_other(void **state)
{
	unsigned char *p;

	(void)state;
	take_pages(5);
	p = quire_vmap(w.q, pages, 5, 0, RW);
	assert_non_null(p);
	check();
	for (unsigned i = 0; i < 5; i++) {
		p[i * PAGE] = (unsigned char)(0x30 + i);
		assert_int_equal(first_byte(pages[i]), 0x30 + i);
		assert_ptr_equal(quire_vmalloc_to_page(w.q, p + i * PAGE + 17), pages[i]);
	}
	assert_true(faults(p + 5 * PAGE));
	quire_vunmap(w.q, p);
	check();
	quire_vm_unmap_aliases(w.q);
	assert_true(faults(p));
	assert_int_equal(w.q->vmalloc.nr_areas, 0);
	check();
	give_pages(5);
}

static void a_page_may_be_mapped_twice_and_read_only(void **state)
{
	struct quire_page *twice[2];
	unsigned char *p;
	char byte = 1;

	(void)state;
	take_pages(1);
	twice[0] = twice[1] = pages[0];
	p = quire_vmap(w.q, twice, 2, 0, READ);
	assert_non_null(p);
	assert_int_equal(machine_probe_write(w.m, p, &byte, 1), -QUIRE_EFAULT);
	assert_int_equal(p[0], 0);
	quire_vunmap(w.q, p);
	p = quire_vmap(w.q, twice, 2, 0, RW);
	p[5] = 77;
	assert_int_equal(((volatile unsigned char *)p)[PAGE + 5], 77);
	quire_vunmap(w.q, p);
	check();
	give_pages(1);
}

static void pages_are_put_with_the_area(void **state)
{
	uint64_t free = quire_free_pages(w.q);
	struct quire_page **array = quire_kmalloc(w.q, 3 * sizeof(*array), 0);
	unsigned char *p;

	(void)state;
	assert_non_null(array);
	take_pages(3);
	memcpy(array, pages, 3 * sizeof(*array));
	p = quire_vmap(w.q, array, 3, QUIRE_VM_MAP_PUT_PAGES, RW);
	assert_non_null(p);
	p[2 * PAGE] = 9;
	/* Only vfree() knows what to do with them. */
	quire_vunmap(w.q, p);
	expect("vmalloc: freed");
	assert_int_equal(((volatile unsigned char *)p)[2 * PAGE], 9);
	quire_vfree(w.q, p);
	check();
	quire_vm_unmap_aliases(w.q);
	quire_slab_shrink_all(w.q);
	quire_page_drain(w.q);
	/* Tables of the kernel's stay. */
	assert_true(free - quire_free_pages(w.q) <= 4);
}

static void what_cannot_be_mapped_is_null(void **state)
{
	(void)state;
	take_pages(1);
	assert_null(quire_vmap(w.q, pages, 0, 0, RW));
	assert_null(quire_vmap(w.q, pages, w.q->pages.total_pages + 1, 0, RW));
	assert_null(quire_vmap(w.q, pages, 1, QUIRE_VM_ALLOC, RW));
	assert_null(quire_vmap(w.q, pages, 1, 0, RW | QUIRE_PTE_EXEC));
	assert_null(quire_vmap(w.q, pages, 1, 0, QUIRE_PTE_WRITE));
	assert_null(quire_vm_map_ram(w.q, pages, 0));
	check();
	quire_vunmap(w.q, NULL);
	quire_vunmap(w.q, pointer(w.layout.vmalloc_start));
	expect("vmalloc: freed where there is no area");
	give_pages(1);
}

/* ---- vm_map_ram -------------------------------------------------------------------------- */

static uint64_t flushes;

static void count_flush(void *ctx, const struct quire_tlb_flush *flush)
{
	(void)ctx;
	flushes += flush->kernel;
}

static void few_pages_come_from_a_block_and_share_its_flush(void **state)
{
	const struct machine_hooks hooks = {.flush = count_flush};
	quire_kaddr_t first, at;
	unsigned char *p;

	(void)state;
	take_pages(4);
	machine_set_hooks(w.m, &hooks, NULL);
	flushes = 0;
	p = quire_vm_map_ram(w.q, pages, 4);
	assert_non_null(p);
	first = kaddr(p);
	for (unsigned i = 0; i < 20; i++) {
		for (unsigned k = 0; k < 4; k++)
			p[k * PAGE] = (unsigned char)(i + k);
		for (unsigned k = 0; k < 4; k++)
			assert_int_equal(first_byte(pages[k]), (unsigned char)(i + k));
		quire_vm_unmap_ram(w.q, p, 4);
		check();
		p = quire_vm_map_ram(w.q, pages, 4);
		assert_non_null(p);
		at = kaddr(p);
		/* Not where it was: a TLB may still hold that. But near. */
		assert_int_not_equal(at, first);
		assert_true(at - first < 4 * MIB);
		first = at;
	}
	assert_int_equal(flushes, 0);
	quire_vm_unmap_ram(w.q, p, 4);
	quire_vm_unmap_aliases(w.q);
	assert_true(flushes >= 1 && flushes <= 2);
	assert_true(faults(p));
	machine_set_hooks(w.m, NULL, NULL);
	check();
	give_pages(4);
}

static void more_than_a_block_gives_is_an_area(void **state)
{
	unsigned char *p;

	(void)state;
	take_pages(QUIRE_VMAP_MAX_ALLOC + 1);
	p = quire_vm_map_ram(w.q, pages, QUIRE_VMAP_MAX_ALLOC + 1);
	assert_non_null(p);
	p[QUIRE_VMAP_MAX_ALLOC * PAGE] = 5;
	assert_int_equal(first_byte(pages[QUIRE_VMAP_MAX_ALLOC]), 5);
	assert_true(faults(p + (QUIRE_VMAP_MAX_ALLOC + 1) * PAGE));
	quire_vm_unmap_ram(w.q, p, QUIRE_VMAP_MAX_ALLOC);
	expect("vmalloc: vm_unmap_ram() of what vm_map_ram() has not given");
	quire_vm_unmap_ram(w.q, p, QUIRE_VMAP_MAX_ALLOC + 2);
	expect("vmalloc: vm_unmap_ram() of another number of pages");
	quire_vm_unmap_ram(w.q, p, QUIRE_VMAP_MAX_ALLOC + 1);
	check();
	give_pages(QUIRE_VMAP_MAX_ALLOC + 1);
}

/* While a CPU gives back what it had last, another is given what lies behind, when beginnings have been looked for already. */
bool __real_quire_area_is_all_mapped(struct quire *q, quire_kaddr_t start, quire_kaddr_t end);
bool __wrap_quire_area_is_all_mapped(struct quire *q, quire_kaddr_t start, quire_kaddr_t end);

static bool maps_meanwhile;
static char *mapped_meanwhile;

bool __wrap_quire_area_is_all_mapped(struct quire *q, quire_kaddr_t start, quire_kaddr_t end)
{
	if (maps_meanwhile) {
		maps_meanwhile = false;
		mapped_meanwhile = quire_vm_map_ram(q, &pages[2], 1);
	}
	return __real_quire_area_is_all_mapped(q, start, end);
}

static void what_is_given_meanwhile_is_another_s(void **state)
{
	char *p;

	(void)state;
	take_pages(3);
	p = quire_vm_map_ram(w.q, pages, 2);
	assert_non_null(p);
	maps_meanwhile = true;
	quire_vm_unmap_ram(w.q, p, 2);
	assert_ptr_equal(mapped_meanwhile, p + 2 * PAGE);
	check();
	mapped_meanwhile[0] = 7;
	assert_int_equal(first_byte(pages[2]), 7);
	quire_vm_unmap_ram(w.q, mapped_meanwhile, 1);
	give_pages(3);
	check();
}

/*
 * What is given back twice, in part, as more than it was, from its middle, or by another call than goes with it: a report, and all
 * is as it was.
 *
 *	block |-A-|---B---|C|
 *	       0 1 2 3 4 5 6
 */
static void what_was_not_given_is_not_taken_back(void **state)
{
	static const char wrong[] = "vmalloc: vm_unmap_ram() of what vm_map_ram() has not given";
	static const char odd[] = "vmalloc: vm_unmap_ram() of what vm_map_ram() cannot have given";
	static const char other[] = "vmalloc: freed by what does not go with how it was made";
	char *a, *b, *c, *mapped, *io;
	struct quire_vm_struct *block;
	unsigned char byte;

	(void)state;
	take_pages(4);
	machine_set_quiet(w.m, true);
	a = quire_vm_map_ram(w.q, pages, 2);
	b = quire_vm_map_ram(w.q, pages, 4);
	c = quire_vm_map_ram(w.q, pages, 1);
	assert_ptr_equal(b, a + 2 * PAGE);
	assert_ptr_equal(c, b + 4 * PAGE);
	block = quire_find_vm_area(w.q, kaddr(a));
	/* Fewer, more, from the middle, over a border, and of what was never dealt out. */
	quire_vm_unmap_ram(w.q, b, 3);
	expect(wrong);
	quire_vm_unmap_ram(w.q, b, 5);
	expect(wrong);
	quire_vm_unmap_ram(w.q, b + PAGE, 3);
	expect(wrong);
	quire_vm_unmap_ram(w.q, a, 6);
	expect(wrong);
	quire_vm_unmap_ram(w.q, c, 2);
	expect(wrong);
	quire_vm_unmap_ram(w.q, c + PAGE, 1);
	expect(wrong);
	quire_vm_unmap_ram(w.q, pointer(block->addr + block->size - PAGE), 2);
	expect(wrong);
	/* No page, part of one, no such address, absurd numbers. */
	quire_vm_unmap_ram(w.q, a, 0);
	expect(odd);
	quire_vm_unmap_ram(w.q, a + 1, 2);
	expect(odd);
	quire_vm_unmap_ram(w.q, quire_page_to_virt(w.q, w.q->pages.zero_page), 1);
	expect(odd);
	quire_vm_unmap_ram(w.q, NULL, 1);
	expect(odd);
	quire_vm_unmap_ram(w.q, a, UINT64_MAX);
	expect("vmalloc: vm_unmap_ram() of another number of pages");
	/* A block is nobody's to free. */
	quire_vfree(w.q, pointer(block->addr));
	expect(other);
	quire_vunmap(w.q, pointer(block->addr));
	expect(other);
	quire_iounmap(w.q, pointer(block->addr));
	expect(other);
	assert_null(quire_remove_vm_area(w.q, block->addr));
	quire_vm_unmap_ram(w.q, b, 4);
	check();
	quire_vm_unmap_ram(w.q, b, 4);
	expect(wrong);
	/* Its neighbours are as they were. */
	a[PAGE] = 1;
	c[0] = 2;
	quire_vm_unmap_ram(w.q, a, 2);
	quire_vm_unmap_ram(w.q, c, 1);
	quire_vm_unmap_aliases(w.q);
	quire_vm_unmap_ram(w.q, a, 2);
	expect(wrong);

	mapped = quire_vmap(w.q, pages, 3, 0, RW);
	quire_vunmap(w.q, mapped + PAGE);
	expect("vmalloc: freed inside an area");
	quire_vm_unmap_ram(w.q, mapped, QUIRE_VMAP_MAX_ALLOC + 1);
	expect(other);
	mapped[0] = 3;
	quire_vunmap(w.q, mapped);
	quire_vunmap(w.q, mapped);
	expect("vmalloc: freed twice");
	io = quire_ioremap(w.q, 0xe0000123, 3 * PAGE);
	quire_iounmap(w.q, io + PAGE);
	expect("vmalloc: freed inside an area");
	quire_vunmap(w.q, io - 0x123);
	expect(other);
	quire_iounmap(w.q, io);
	quire_iounmap(w.q, io);
	expect("vmalloc: freed twice");
	machine_set_quiet(w.m, false);
	quire_vm_unmap_aliases(w.q);
	assert_int_equal(machine_probe_read(w.m, a, &byte, 1), -QUIRE_EFAULT);
	assert_int_equal(w.q->vmalloc.nr_areas, 0);
	check();
	give_pages(4);
}

/* Every CPU at once, each with its own block; what one has mapped another may unmap. */
static void map_and_unmap(struct machine *m, unsigned cpu, void *arg)
{
	struct quire *q = machine_quire(m);
	unsigned char *p;

	(void)arg;
	for (unsigned i = 0; i < 200; i++) {
		unsigned nr = 1 + (i + cpu) % 7;

		p = quire_vm_map_ram(q, &pages[cpu * 8], nr);
		assert_non_null(p);
		p[(nr - 1) * PAGE] = (unsigned char)i;
		assert_int_equal(((volatile unsigned char *)p)[(nr - 1) * PAGE], (unsigned char)i);
		quire_vm_unmap_ram(q, p, nr);
		if (i % 50 == 0)
			quire_vm_unmap_aliases(q);
	}
}

static void cpus_have_blocks_of_their_own(void **state)
{
	(void)state;
	take_pages(16);
	machine_run_cpus(w.m, 2, map_and_unmap, NULL);
	check();
	give_pages(16);
}

/* ---- ioremap ----------------------------------------------------------------------------- */

static quire_pte_t entry_at(const void *p)
{
	quire_pte_t pte;
	unsigned level;

	quire_grace_enter(w.q);
	pte = quire_pgtable_lookup(&w.q->kva.pt, kaddr(p), &level);
	quire_grace_leave(w.q);
	return pte;
}

static void a_device_is_mapped_where_it_begins_within_a_page(void **state)
{
	const bool says_mode = w.fmt->cache[QUIRE_CACHE_UC] != 0;
	char *p = quire_ioremap(w.q, 0xe0000ff0, 0x20), *wc, *cached;
	quire_paddr_t pa;

	(void)state;
	assert_non_null(p);
	assert_int_equal(kaddr(p) & (PAGE - 1), 0xff0);
	assert_true(quire_kernel_translate(w.q, kaddr(p), &pa));
	assert_int_equal(pa, 0xe0000ff0);
	assert_true(quire_kernel_translate(w.q, kaddr(p) + 0x1f, &pa));
	assert_int_equal(pa, 0xe000100f);
	/* Two pages, and the guard. */
	assert_false(quire_kernel_translate(w.q, kaddr(p) + 2 * PAGE, &pa));
	wc = quire_ioremap_wc(w.q, 0xd0000000, PAGE);
	cached = quire_ioremap_cache(w.q, 0xc0000000, PAGE);
	assert_int_equal(quire_pte_cache(w.fmt, entry_at(p)),
			 says_mode ? QUIRE_CACHE_UC : QUIRE_CACHE_WB);
	assert_int_equal(quire_pte_cache(w.fmt, entry_at(wc)),
			 says_mode ? QUIRE_CACHE_WC : QUIRE_CACHE_WB);
	assert_int_equal(quire_pte_cache(w.fmt, entry_at(cached)), QUIRE_CACHE_WB);
	assert_false(quire_pte_has(w.fmt, entry_at(p), QUIRE_PTE_EXEC));
	check();
	quire_iounmap(w.q, p);
	quire_iounmap(w.q, wc);
	quire_iounmap(w.q, cached);
	quire_iounmap(w.q, NULL);
	check();
	assert_false(quire_kernel_translate(w.q, kaddr(p), &pa));
	quire_iounmap(w.q, p);
	expect("vmalloc: freed");
}

/* PAE's entries name 52 bits; i386's 32, and its physical addresses end there. */
static void a_device_may_lie_above_four_gigabytes(void **state)
{
	const quire_paddr_t high = (6ull << 32) + 0x2000;
	char *p = quire_ioremap(w.q, high, 2 * PAGE);
	quire_paddr_t pa;

	(void)state;
	if (w.fmt == &quire_pgfmt_i386) {
		assert_null(p);
		assert_null(quire_ioremap(w.q, 0xfffff000, 2 * PAGE));
		return;
	}
	assert_non_null(p);
	assert_true(quire_kernel_translate(w.q, kaddr(p) + PAGE + 3, &pa));
	assert_int_equal(pa, high + PAGE + 3);
	quire_iounmap(w.q, p);
	check();
}

static void what_cannot_be_a_device_is_refused(void **state)
{
	(void)state;
	assert_null(quire_ioremap(w.q, 0xe0000000, 0));
	assert_null(quire_ioremap(w.q, UINT64_MAX - PAGE, 2 * PAGE));
	assert_null(quire_ioremap(w.q, UINT64_MAX, 1));
	/* Ordinary memory, and what only begins before it. */
	assert_null(quire_ioremap(w.q, 8 * MIB, PAGE));
	assert_null(quire_ioremap(w.q, RAM - PAGE, 2 * PAGE));
	/* The hole of 640 KiB to 1 MiB is a PC's devices. */
	assert_null(quire_ioremap(w.q, 0xa0000, MIB));
	assert_int_equal(w.q->vmalloc.nr_areas, 0);
	check();
}

static void a_large_device_has_large_leaves(void **state)
{
	const uint64_t large = 1ull << w.fmt->shift[1];
	char *p = quire_ioremap(w.q, 0x80000000, 2 * large);
	unsigned level;

	(void)state;
	assert_non_null(p);
	quire_grace_enter(w.q);
	(void)quire_pgtable_lookup(&w.q->kva.pt, kaddr(p) + large, &level);
	quire_grace_leave(w.q);
	/* With two levels it would stand in the root, which every space has a copy of. */
	assert_int_equal(level, w.fmt->levels == 2 ? 0 : 1);
	quire_iounmap(w.q, p);
	check();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_ALL_FORMATS(pages_are_mapped_one_behind_the_other),
		ON_ALL_FORMATS(a_page_may_be_mapped_twice_and_read_only),
		ON_ALL_FORMATS(pages_are_put_with_the_area),
		ON_ALL_FORMATS(what_cannot_be_mapped_is_null),
		ON_ALL_FORMATS(few_pages_come_from_a_block_and_share_its_flush),
		ON_ALL_FORMATS(more_than_a_block_gives_is_an_area),
		ON_ALL_FORMATS(what_was_not_given_is_not_taken_back),
		ON_ALL_FORMATS(what_is_given_meanwhile_is_another_s),
		ON_ALL_FORMATS(cpus_have_blocks_of_their_own),
		ON_ALL_FORMATS(a_device_is_mapped_where_it_begins_within_a_page),
		ON_ALL_FORMATS(a_device_may_lie_above_four_gigabytes),
		ON_ALL_FORMATS(what_cannot_be_a_device_is_refused),
		ON_ALL_FORMATS(a_large_device_has_large_leaves),
	};

	return cmocka_run_group_tests_name("vmap", tests, NULL, NULL);
}

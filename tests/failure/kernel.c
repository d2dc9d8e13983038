/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own addresses with every allocation failing: brought up, mapped and given other rights by the
 * host, and all that vmalloc's family gives out. On a machine with high memory and a window, so that a pointer to
 * what was taken back leads nowhere. Formats do not come from the environment: PAE has high memory, x86-64 more levels.
 * Pages of 16 and 64 KiB have AArch64's, and nothing else.
 */
#include "failure.h"

#define LOW (16u << 20)
#define LARGE (1ull << (2 * QUIRE_PAGE_SHIFT - 3)) /* as many pages as a leaf table has entries of 8 bytes */
#define DEVICES (TEST_HAS_32_BITS ? 0 : 1ull << 36) /* behind all memory */
/* As many pages as a large leaf has, or the most that there are. */
#define BLOCK_ORDER (QUIRE_PAGE_SHIFT - 3 < QUIRE_MAX_ORDER ? QUIRE_PAGE_SHIFT - 3 : QUIRE_MAX_ORDER)
#define HOSTS 3 /* pages that the host maps */

static struct machine *m;
static struct quire *q;

#if TEST_HAS_32_BITS
static const struct machine_config narrow = {
	.ram_bytes = 40u << 20,
	.high_memory = LOW,
	.nr_cpus = 2,
	.fmt = &quire_pgfmt_pae,
	.window = true,
};
#endif

/* More levels: tables that PAE has from the beginning. */
static const struct machine_config wide = {
	.ram_bytes = 7 * LARGE > 40u << 20 ? 7 * LARGE : 40u << 20,
	.nr_cpus = 2,
	.fmt = &TEST_FORMAT,
	.window = true,
};

/* The one with less of everything. */
#if TEST_HAS_32_BITS
#define SMALLER narrow
#else
#define SMALLER wide
#endif

static void create(const struct machine_config *config)
{
	assert_int_equal(machine_create(config, &m), 0);
	q = machine_quire(m);
	mark_stack(__builtin_frame_address(0));
}

static void bring_up(const struct machine_config *config, bool sticky)
{
	uint64_t k;

	for (k = 1;; k++) {
		int err;

		fail_at(k, sticky);
		err = machine_create(config, &m);
		if (!fail_end()) {
			assert_int_equal(err, 0);
			break;
		}
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_null(m);
	}
	/* The tables of the kernel's, those for kmaps, and caches. */
	assert_true(k > QUIRE_KMALLOC_CLASSES + 4);
	assert_int_equal(machine_destroy(m), 0);
}

static void every_allocation_of_kernel_addresses_fails(void **state)
{
	(void)state;
	mark_stack(__builtin_frame_address(0));
#if TEST_HAS_32_BITS
	bring_up(&narrow, false);
	bring_up(&narrow, true);
#endif
	bring_up(&wide, false);
	bring_up(&wide, true);
}

/* ---- What is there to see ---------------------------------------------------------------- */

struct sight {
	uint64_t free, areas, pages;
};

/* Once nothing waits for a flush or a grace period. */
static struct sight look(void)
{
	struct sight s;

	quire_vm_unmap_aliases(q);
	quire_grace_wait(q);
	quire_slab_shrink_all(q);
	quire_page_drain(q);
	assert_null(quire_kva_check(q));
	assert_null(quire_vmalloc_check(q));
	assert_null(quire_highmem_check(q));
	assert_null(quire_page_check(q));
	assert_false(machine_failed(m));
	s = (struct sight){quire_free_pages(q), q->vmalloc.nr_areas, q->vmalloc.nr_pages};
	return s;
}

/* ---- The host's own parts ---------------------------------------------------------------- */

static void every_allocation_of_mapping_fails(void **state)
{
	quire_kaddr_t at;
	quire_paddr_t pa;
	uint64_t k;
	int err;

	(void)state;
	create(&SMALLER);
	at = q->kva.layout.high_memory;
	for (k = 1;; k++) {
		fail_at(k, false);
		err = quire_kernel_map(q, at, 0x100000, HOSTS * PAGE, QUIRE_PTE_READ,
				       QUIRE_CACHE_WB);
		if (!fail_end())
			break;
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_false(quire_kernel_translate(q, at, &pa));
		(void)look();
	}
	assert_int_equal(err, 0);
	assert_true(k > 1);
	assert_int_equal(quire_kernel_unmap(q, at, HOSTS * PAGE), 0);
	(void)look();
	assert_int_equal(machine_destroy(m), 0);
}

/* ---- Rights ------------------------------------------------------------------------------ */

typedef int (*set_memory_fn)(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages);

/* The call splits a leaf, or as many as are said; without memory the page is as it was. */
static void fail_rights(set_memory_fn set, quire_kaddr_t addr, uint64_t nr_pages, uint64_t splits)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;
	quire_pte_t before, after;
	unsigned level;
	uint64_t k;
	int err;

	quire_grace_enter(q);
	before = quire_pgtable_lookup(&q->kva.pt, addr, &level);
	quire_grace_leave(q);
	for (k = 1;; k++) {
		fail_at(k, false);
		err = set(q, addr, nr_pages);
		if (!fail_end())
			break;
		assert_int_equal(err, -QUIRE_ENOMEM);
		quire_grace_enter(q);
		after = quire_pgtable_lookup(&q->kva.pt, addr, &level);
		quire_grace_leave(q);
		/* A large leaf may have been split already. */
		assert_int_equal(quire_pte_bits(fmt, after) & ~QUIRE_PTE_LARGE,
				 quire_pte_bits(fmt, before) & ~QUIRE_PTE_LARGE);
		assert_int_equal(quire_pte_cache(fmt, after), quire_pte_cache(fmt, before));
		(void)look();
	}
	assert_int_equal(err, 0);
	assert_int_equal(k, splits + 1);
	(void)look();
}

static void every_allocation_of_rights_fails(void **state)
{
	static const set_memory_fn within[] = {
		quire_set_memory_ro,  quire_set_memory_rw, quire_set_memory_nx,
		quire_set_memory_rox, quire_set_memory_np, quire_set_memory_p,
		quire_set_memory_uc,  quire_set_memory_wc, quire_set_memory_wb,
	};
	quire_kaddr_t direct;

	(void)state;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(within); i++) {
		create(&SMALLER);
		direct = q->kva.layout.page_offset + 2 * LARGE;
		fail_rights(within[i], direct + 3 * PAGE, 1, 1);
		assert_int_equal(machine_destroy(m), 0);
	}
	create(&SMALLER);
	direct = q->kva.layout.page_offset + LARGE;
	/* Both ends of a range, and between them a leaf that stays as it is. */
	fail_rights(quire_set_memory_ro, direct + LARGE - PAGE, 2 + LARGE / PAGE, 2);
	/* All of a leaf: none is cut, but only small ones can be absent. */
	fail_rights(quire_set_memory_np, direct + 4 * LARGE, LARGE / PAGE, 1);
	assert_int_equal(quire_set_memory_ro(q, direct + 3 * LARGE, LARGE / PAGE), 0);
	fail_rights(quire_set_memory_x, direct + 3 * LARGE + PAGE, 1, 1);
	assert_int_equal(machine_destroy(m), 0);
}

/* Blocks one by one, into the list, until one begins where a large leaf of the direct map does. */
static struct quire_page *block_of_a_leaf(struct quire_list *blocks)
{
	struct quire_page *block;

	do {
		block = quire_page_alloc(q, QUIRE_GFP_KERNEL, BLOCK_ORDER);
		assert_non_null(block);
		quire_list_add(blocks, &block->lru);
	} while (quire_page_to_pfn(q, block) % (LARGE / PAGE));
	return block;
}

/* The direct map follows a vmapped page: its leaf is split behind the page, or before it. */
static void every_allocation_of_rights_elsewhere_fails(void **state)
{
	struct quire_list blocks = {&blocks, &blocks};
	struct quire_page *page[1];
	void *mapped;

	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		create(&SMALLER);
		page[0] = block_of_a_leaf(&blocks) + 5 * n;
		mapped = quire_vmap(q, page, 1, 0, QUIRE_PTE_READ | QUIRE_PTE_WRITE);
		assert_non_null(mapped);
		fail_rights(quire_set_memory_ro, quire_ptr_to_kaddr(q, mapped), 1, 1);
		assert_int_equal(quire_set_memory_rw(q, quire_ptr_to_kaddr(q, mapped), 1), 0);
		quire_vunmap(q, mapped);
		while (!quire_list_empty(&blocks)) {
			struct quire_page *block = quire_list_first(&blocks, struct quire_page, lru);

			quire_list_del(&block->lru);
			quire_page_free(q, block, BLOCK_ORDER);
		}
		(void)look();
		assert_int_equal(machine_destroy(m), 0);
	}
}

/* ---- Areas ------------------------------------------------------------------------------- */

static struct quire_page *some[QUIRE_VMAP_MAX_ALLOC + 1];
static void *given;
static struct quire_vm_struct *area;

static bool take_small(void)
{
	return (given = quire_vmalloc(q, PAGE));
}

static bool take_pages(void)
{
	return (given = quire_vzalloc(q, 5 * PAGE));
}

/* Beyond a page of pointers: the array is an area of its own. */
static bool take_large(void)
{
	return (given = quire_vmalloc(q, (PAGE / 8 + 188) * PAGE));
}

/* One large leaf, in a table that is not there yet; page by page where the largest block of pages is smaller. */
static bool take_leaf(void)
{
	return (given = quire_vmalloc(q, LARGE));
}

static bool take_node(void)
{
	return (given = quire_vmalloc_node(q, 2 * PAGE, 0));
}

static bool take_exec(void)
{
	return (given = quire_vmalloc_exec(q, 2 * PAGE));
}

static bool take_user(void)
{
	return (given = quire_vmalloc_user(q, 2 * PAGE));
}

static bool take_32(void)
{
	return (given = quire_vmalloc_32(q, 2 * PAGE));
}

static bool take_32_user(void)
{
	return (given = quire_vmalloc_32_user(q, 2 * PAGE));
}

static bool take_zeroes_of_node(void)
{
	return (given = quire_vzalloc_node(q, 2 * PAGE, 0));
}

static void give_back(void)
{
	quire_vfree(q, given);
}

static bool take_vmap(void)
{
	return (given = quire_vmap(q, some, 7, 0, QUIRE_PTE_READ | QUIRE_PTE_WRITE));
}

static void give_vmap(void)
{
	quire_vunmap(q, given);
}

static bool take_ram(void)
{
	return (given = quire_vm_map_ram(q, some, 3));
}

static void give_ram(void)
{
	quire_vm_unmap_ram(q, given, 3);
}

static bool take_much_ram(void)
{
	return (given = quire_vm_map_ram(q, some, QUIRE_VMAP_MAX_ALLOC + 1));
}

static void give_much_ram(void)
{
	quire_vm_unmap_ram(q, given, QUIRE_VMAP_MAX_ALLOC + 1);
}

static bool take_device(void)
{
	return (given = quire_ioremap(q, DEVICES + 0xf0000123, 3 * PAGE));
}

static bool take_frame_buffer(void)
{
	return (given = quire_ioremap_wc(q, DEVICES + 0xe0000000, 3 * PAGE));
}

static bool take_flash(void)
{
	return (given = quire_ioremap_cache(q, DEVICES + 0xd0000000, 3 * PAGE));
}

/* A large leaf, in a table that is not there yet. */
static bool take_large_device(void)
{
	return (given = quire_ioremap(q, DEVICES + 0xd0000000 / LARGE * LARGE, LARGE));
}

static void give_device(void)
{
	quire_iounmap(q, given);
}

static bool take_area(void)
{
	return (area = quire_get_vm_area(q, 4 * PAGE, QUIRE_VM_MAP));
}

static bool take_tables(void)
{
	return (area = quire_alloc_vm_area(q, 4 * PAGE));
}

/* Two steps, of which the second may fail alone. */
static bool take_mapped(void)
{
	int err;

	area = quire_get_vm_area(q, 4 * PAGE, QUIRE_VM_MAP);
	if (!area)
		return false;
	err = quire_map_vm_area(q, area, QUIRE_PTE_READ, some, 4);
	if (!err)
		return true;
	assert_int_equal(err, -QUIRE_ENOMEM);
	quire_free_vm_area(q, area);
	return false;
}

static void give_area(void)
{
	quire_free_vm_area(q, area);
}

static const struct {
	bool (*take)(void);
	void (*give)(void);
	bool retries; /* asks again for a page, once what waits for its flush has been given back */
} verbs[] = {
	{take_small, give_back, true},
	{take_pages, give_back, true},
	{take_large, give_back, true},
	{take_leaf, give_back, true},
	{take_node, give_back, true},
	{take_exec, give_back, true},
	{take_user, give_back, true},
	{take_32, give_back, true},
	{take_32_user, give_back, true},
	{take_zeroes_of_node, give_back, true},
	{take_vmap, give_vmap, false},
	{take_ram, give_ram, false},
	{take_much_ram, give_much_ram, false},
	{take_device, give_device, false},
	{take_frame_buffer, give_device, false},
	{take_flash, give_device, false},
	{take_large_device, give_device, false},
	{take_area, give_area, false},
	{take_tables, give_area, false},
	{take_mapped, give_area, false},
};

/*
 * With larger pages an area is thousands of them, and memory by the hundred megabytes: of those behind the first ones
 * the 64th, the 128th and so on stand for all, which are asked for in one loop.
 */
static uint64_t next_to_fail(uint64_t k)
{
	return QUIRE_PAGE_SHIFT > 12 && k >= 64 ? 2 * k : k + 1;
}

/* The tables of the place where the area would be are there, or not yet: then they are asked for, too. */
static void fail_each(size_t v, bool sticky)
{
	struct sight before = look(), after;
	uint64_t k;
	bool got;

	for (k = 1;; k = next_to_fail(k)) {
		fail_at(k, sticky);
		got = verbs[v].take();
		if (!fail_end())
			break;
		if (got) {
			assert_true(verbs[v].retries && !sticky);
			verbs[v].give();
		}
		after = look();
		assert_int_equal(after.areas, before.areas);
		assert_int_equal(after.pages, before.pages);
		/* What has gone are tables of the kernel's, which stay. */
		assert_true(after.free <= before.free);
		if (k > 1)
			assert_true(before.free - after.free <= 4);
	}
	assert_true(got && k > 1);
	verbs[v].give();
	after = look();
	assert_int_equal(after.areas, before.areas);
	assert_int_equal(after.pages, before.pages);
}

/* On a fresh machine: no table is there yet. */
static void fail_verb(const struct machine_config *config, size_t v, bool sticky)
{
	create(config);
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(some); i++) {
		some[i] = quire_page_alloc(q, QUIRE_GFP_HIGHUSER, 0);
		assert_non_null(some[i]);
	}
	fail_each(v, sticky);
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(some); i++)
		quire_page_free(q, some[i], 0);
	assert_int_equal(machine_destroy(m), 0);
}

static void every_allocation_of_vmalloc_fails(void **state)
{
	(void)state;
	for (size_t v = 0; v < QUIRE_ARRAY_SIZE(verbs); v++) {
#if TEST_HAS_32_BITS
		fail_verb(&narrow, v, false);
		fail_verb(&narrow, v, true);
#endif
		fail_verb(&wide, v, false);
		fail_verb(&wide, v, true);
	}
}

/* ---- Into a process ---------------------------------------------------------------------- */

#define USER_AT 0x10000000ull
#define USER_PAGES (PAGE / 8 + 88) /* more than the library remembers in one piece, and more than a table */

static struct quire_mm *mm;

static int map_given(struct quire_file *file, struct quire_vma *vma)
{
	(void)file;
	return quire_remap_vmalloc_range(vma, given, 0);
}

static struct quire_page *given_page(uint64_t n)
{
	return quire_vmalloc_to_page(q, (char *)given + n * PAGE);
}

/* Each page has the area's reference and no other; what was mapped there, if anything was, still is. */
static void assert_not_mapped(uint64_t tables, bool replaces)
{
	struct quire_signal sig;
	char byte = 0;

	quire_grace_wait(q);
	assert_null(quire_mm_check(mm));
	assert_null(machine_check(m));
	assert_null(mm->insertions);
	assert_int_equal(mm->pt.tables[0], tables);
	assert_int_equal(mm->index.count, replaces);
	for (uint64_t i = 0; i < USER_PAGES; i++)
		assert_int_equal(given_page(i)->refs, 1);
	if (!replaces)
		return;
	assert_int_equal(machine_load(m, USER_AT + PAGE, &byte, 1, &sig), 0);
	assert_int_equal(byte, 'x');
}

static void fail_user_map(const struct machine_config *config, bool replaces, bool sticky)
{
	static struct quire_file device;
	uint64_t k, tables;
	int64_t got;

	create(config);
	device = (struct quire_file){
		.refs = 1, .flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE, .mmap = map_given};
	given = quire_vmalloc_user(q, USER_PAGES * PAGE);
	assert_non_null(given);
	assert_int_equal(quire_mm_create(q, NULL, &mm), 0);
	machine_switch(m, &mm->pt);
	if (replaces) {
		assert_int_equal(
			quire_mmap(mm, USER_AT, 2 * PAGE, RW, ANON | QUIRE_MAP_FIXED, NULL, 0),
			USER_AT);
		assert_int_equal(machine_store(m, USER_AT + PAGE, "x", 1, NULL), 0);
	}
	tables = mm->pt.tables[0];
	for (k = 1;; k++) {
		fail_at(k, sticky);
		got = quire_mmap(mm, USER_AT, USER_PAGES * PAGE, RW,
				 QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, &device, 0);
		if (!fail_end())
			break;
		assert_int_equal(got, -QUIRE_ENOMEM);
		assert_not_mapped(tables, replaces);
	}
	assert_int_equal(got, USER_AT);
	/* The area, two pieces of a page of pointers less their head, and tables. */
	assert_true(k > 4);
	assert_null(quire_mm_check(mm));
	for (uint64_t i = 0; i < USER_PAGES; i++)
		assert_int_equal(given_page(i)->refs, 2);
	machine_switch(m, NULL);
	quire_mmput(mm);
	quire_grace_wait(q);
	assert_int_equal(device.refs, 1);
	quire_vfree(q, given);
	(void)look();
	assert_int_equal(machine_destroy(m), 0);
}

static void every_allocation_of_a_users_map_fails(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4; n++) {
#if TEST_HAS_32_BITS
		fail_user_map(&narrow, n & 1, n & 2);
#endif
		fail_user_map(&wide, n & 1, n & 2);
	}
}

extern const struct CMUnitTest kernel_tests[];
const struct CMUnitTest kernel_tests[] = {
	cmocka_unit_test(every_allocation_of_kernel_addresses_fails),
	cmocka_unit_test(every_allocation_of_mapping_fails),
	cmocka_unit_test(every_allocation_of_rights_fails),
	cmocka_unit_test(every_allocation_of_rights_elsewhere_fails),
	cmocka_unit_test(every_allocation_of_vmalloc_fails),
	cmocka_unit_test(every_allocation_of_a_users_map_fails),
	{.name = NULL},
};

/* SPDX-License-Identifier: MIT */
/*
 * The fixmap: addresses that are constants, entries that say what they were told, flushes when something was
 * there before; and the ioremap that boots use. On i386 tables (32 bits an entry, so that there are frames that
 * they cannot say), PAE's and x86-64's. Addresses are Linux's: FIXADDR_TOP, __fix_to_virt().
 */
#include "port_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE QUIRE_PAGE_SIZE
#define CPUS 2u
#define TOP_32 0xfffff000ull
#define GIB (UINT64_C(1) << 30)

static struct host *h;
static struct quire *q;

static void begin(const struct quire_pgfmt *fmt, bool highmem)
{
	struct quire_range range = {0, 16u << 20, QUIRE_RANGE_USABLE, 0 };
	const uint32_t normal = 1u << QUIRE_ZONE_NORMAL, high = 1u << QUIRE_ZONE_HIGHMEM;
	struct quire_kva_layout layout;
	struct quire_config config = {
		.nr_cpus = CPUS,
		.fmt = fmt,
		.map = &range,
		.nr_ranges = 1,
		.zones = highmem ? normal | high : normal,
		.high_memory = highmem ? 8u << 20 : 0,
		.kva = &layout,
	};

	assert_int_equal(
		quire_kva_layout_init(&layout, fmt, highmem ? 8u << 20 : range.end, highmem, CPUS),
		0);
	h = host_new(range.end, CPUS);
	q = &h->q;
	assert_int_equal(quire_init(q, &config), 0);
	host_set_cpu(0);
}

static int set_up(void **state)
{
	const struct quire_pgfmt *fmt = *state;

	begin(fmt, fmt->va_bits == 32);
	return 0;
}

/* Everything is given back, tables too. */
static int tear_down(void **state)
{
	quire_broken_t broken = quire_highmem_check(q);

	(void)state;
	if (broken)
		fail_msg("%s", broken);
	assert_false(host_is_atomic());
	broken = quire_exit(q);
	if (broken)
		fail_msg("%s", broken);
	host_delete(h);
	return 0;
}

static uint64_t entry_at(uint64_t addr)
{
	quire_pte_t pte;

	quire_grace_enter(q);
	pte = quire_pgtable_peek(q->kernel, addr);
	quire_grace_leave(q);
	return pte;
}

static bool maps_nothing(uint64_t addr)
{
	return !(entry_at(addr) & 1);
}

static uint64_t slot_addr(unsigned slot)
{
	return quire_fix_to_virt(&q->kva.layout, slot);
}

#define RW (QUIRE_PTE_READ | QUIRE_PTE_WRITE)
/* What every entry of data has where there is such a bit, SDM 4.4 and 4.5: XD. And where physical addresses end. */
static uint64_t xd(void)
{
	return q->fmt == &quire_pgfmt_i386 ? 0 : UINT64_C(1) << 63;
}

static uint64_t limit(void)
{
	return q->fmt == &quire_pgfmt_i386 ? 4 * GIB : UINT64_C(1) << 52;
}

static uint64_t frame_at(uint64_t addr)
{
	return entry_at(addr) & 0x000ffffffffff000;
}

#define FIRST QUIRE_FIX_HOST_FIRST
#define LAST QUIRE_FIX_HOST_LAST

/* ---- Addresses --------------------------------------------------------------------------- */

static void slots_count_down_from_the_top(void **state)
{
	const struct quire_kva_layout *layout = &q->kva.layout;
	unsigned slot;

	(void)state;
	/* 64 bits: Linux's FIXADDR_TOP, a page below the 2 MiB that hold the vsyscall page. */
	assert_int_equal(layout->fixaddr_top, q->fmt->va_bits == 32 ? TOP_32 : 0xffffffffff7ff000);
	assert_int_equal(quire_fix_to_virt(layout, 0), layout->fixaddr_top - PAGE);
	assert_int_equal(quire_fix_to_virt(layout, 1), layout->fixaddr_top - 2 * PAGE);
	for (slot = 0; slot < QUIRE_FIX_KMAP_BEGIN + CPUS * QUIRE_KM_SLOTS; slot++) {
		uint64_t addr = quire_fix_to_virt(layout, slot);

		assert_in_range(addr, layout->fixaddr_start, layout->fixaddr_top - PAGE);
		assert_int_equal(quire_virt_to_fix(layout, addr), slot);
		assert_int_equal(quire_virt_to_fix(layout, addr + PAGE - 1), slot);
	}
}

/* ---- The host's slots -------------------------------------------------------------------- */

/* SDM 4.3: P R/W A D G, and PCD PWT for what no cache may keep. No user. */
static void a_slot_maps_what_it_is_told(void **state)
{
	uint32_t flushes = h->flushes;

	(void)state;
	assert_int_equal(quire_set_fixmap(q, FIRST, 0xfee00000, RW, QUIRE_CACHE_UC), 0);
	assert_int_equal(entry_at(slot_addr(FIRST)), xd() | 0xfee0017b);
	assert_int_equal(quire_set_fixmap(q, LAST, 0x123000, QUIRE_PTE_READ, QUIRE_CACHE_WB), 0);
	assert_int_equal(entry_at(slot_addr(LAST)) & ~0x40ull, xd() | 0x123121); /* D may be set or not */
	assert_int_equal(h->flushes, flushes);				  /* nothing was there */
}

static void a_slot_is_replaced_and_cleared_with_a_flush(void **state)
{
	const uint64_t addr = slot_addr(FIRST + 3);
	uint32_t flushes = h->flushes;

	(void)state;
	assert_int_equal(quire_set_fixmap(q, FIRST + 3, 0x200000, RW, QUIRE_CACHE_WB), 0);
	assert_int_equal(quire_set_fixmap(q, FIRST + 3, 0x300000, RW, QUIRE_CACHE_WB), 0);
	assert_int_equal(entry_at(addr), xd() | 0x300163);
	assert_int_equal(h->flushes, flushes + 1);
	assert_true(h->last_flush.kernel);
	assert_int_equal(h->last_flush.start, addr);
	assert_int_equal(h->last_flush.end, addr + PAGE);

	assert_int_equal(quire_clear_fixmap(q, FIRST + 3), 0);
	assert_true(maps_nothing(addr));
	assert_int_equal(h->flushes, flushes + 2);
	assert_int_equal(quire_clear_fixmap(q, FIRST + 3), 0);
	assert_int_equal(h->flushes, flushes + 2);
}

static void other_slots_and_arguments_are_refused(void **state)
{
	uint64_t before = entry_at(slot_addr(FIRST));

	(void)state;
#define REFUSED(slot, pa, rights, mode)                                                            \
	assert_int_equal(quire_set_fixmap(q, slot, pa, rights, mode), -QUIRE_EINVAL)
	REFUSED(QUIRE_FIX_HOLE, 0x200000, RW, QUIRE_CACHE_WB);
	REFUSED(LAST + 1, 0x200000, RW, QUIRE_CACHE_WB);
	REFUSED(QUIRE_FIX_KMAP_BEGIN, 0x200000, RW, QUIRE_CACHE_WB);
	REFUSED(UINT32_MAX, 0x200000, RW, QUIRE_CACHE_WB);
	REFUSED(FIRST, 0x200800, RW, QUIRE_CACHE_WB);
	REFUSED(FIRST, limit(), RW, QUIRE_CACHE_WB); /* i386 has 32 bits of it */
	REFUSED(FIRST, 0x200000, 0, QUIRE_CACHE_WB);
	REFUSED(FIRST, 0x200000, QUIRE_PTE_WRITE, QUIRE_CACHE_WB);
	REFUSED(FIRST, 0x200000, RW | QUIRE_PTE_EXEC, QUIRE_CACHE_WB);
	REFUSED(FIRST, 0x200000, RW | QUIRE_PTE_USER, QUIRE_CACHE_WB);
	REFUSED(FIRST, 0x200000, RW, QUIRE_NR_CACHE_MODES);
#undef REFUSED
	assert_int_equal(quire_clear_fixmap(q, QUIRE_FIX_HOLE), -QUIRE_EINVAL);
	assert_int_equal(quire_clear_fixmap(q, LAST + 1), -QUIRE_EINVAL);
	assert_int_equal(entry_at(slot_addr(FIRST)), before);
}

static void without_kernel_addresses_there_is_no_fixmap(void **state)
{
	struct host *other = host_new_ready(8u << 20, 1);

	(void)state;
	assert_int_equal(quire_highmem_init(&other->q), 0);
	assert_int_equal(quire_set_fixmap(&other->q, FIRST, 0x200000, RW, QUIRE_CACHE_WB),
			 -QUIRE_EINVAL);
	assert_null(quire_early_ioremap(&other->q, 0x200000, 16));
	assert_null(quire_highmem_check(&other->q));
	quire_highmem_exit(&other->q);
	host_delete(other);
}

/* 64 bits: slots for the host, none for kmaps, which nobody needs; frames beyond 4 GiB. */
static void a_64_bit_kernel_has_a_fixmap_too(void **state)
{
	struct quire_page *page = quire_page_alloc(q, QUIRE_GFP_HIGHUSER, 0);
	void *at;

	(void)state;
	assert_int_equal(slot_addr(FIRST), 0xffffffffff7fd000);
	assert_int_equal(quire_set_fixmap(q, FIRST, 5 * GIB, RW, QUIRE_CACHE_WC), 0);
	assert_int_equal(entry_at(slot_addr(FIRST)), 0x800000014000016b); /* XD; PWT */
	assert_int_equal(quire_clear_fixmap(q, FIRST), 0);

	assert_false(quire_page_is_high(page));
	assert_ptr_equal(quire_kmap(q, page), quire_page_to_virt(q, page));
	quire_kunmap(q, page);
	at = quire_kmap_local(q, page);
	assert_ptr_equal(at, quire_page_to_virt(q, page));
	assert_ptr_equal(quire_kmap_to_page(q, at), page);
	quire_kunmap_local(q, at);
	at = quire_kmap_atomic(q, page, QUIRE_KM_USER0);
	assert_ptr_equal(at, quire_page_to_virt(q, page));
	quire_kunmap_atomic(q, at, QUIRE_KM_USER0);
	quire_page_free(q, page, 0);
}

/* ---- Early ioremap ----------------------------------------------------------------------- */

/* Two pages' worth, since it begins in the middle of one: uncached, in order, upwards. */
static void early_ioremap_maps_upwards(void **state)
{
	const uint64_t pa = 0xfed00800;
	uint64_t addr = (uintptr_t)quire_early_ioremap(q, pa, PAGE);

	(void)state;
	assert_int_equal(addr & (PAGE - 1), 0x800);
	assert_int_equal(addr & ~(PAGE - 1), slot_addr(QUIRE_FIX_BTMAP_BEGIN + 63));
	assert_int_equal(entry_at(addr), xd() | 0xfed0017b);
	assert_int_equal(entry_at(addr + PAGE), xd() | 0xfed0117b);
	assert_true(maps_nothing(addr + 2 * PAGE));
	quire_early_iounmap(q, (void *)(uintptr_t)addr, PAGE);
	assert_true(maps_nothing(addr));
	assert_true(maps_nothing(addr + PAGE));
	assert_true(h->last_flush.kernel);
	assert_int_equal(h->last_flush.start, addr - 0x800);
	assert_int_equal(h->last_flush.end, addr - 0x800 + 2 * PAGE);
}

static void early_ioremap_has_eight_slots_of_64_pages(void **state)
{
	void *at[8], *again;
	unsigned i;

	(void)state;
	for (i = 0; i < 8; i++) {
		at[i] = quire_early_ioremap(q, i * GIB / 4, 64 * PAGE);
		assert_non_null(at[i]);
		assert_int_equal(frame_at((uintptr_t)at[i] + 63 * PAGE),
				 i * GIB / 4 + 63 * PAGE);
	}
	for (i = 0; i < 7; i++) /* downwards, without a hole */
		assert_int_equal((uintptr_t)at[i], (uintptr_t)at[i + 1] + 64 * PAGE);
	assert_null(quire_early_ioremap(q, 0xfec00000, 4));
	assert_int_equal(h->logs, 1);
	assert_int_equal(quire_early_ioremap_leak_check(q), 8);
	assert_int_equal(h->logs, 2);
	assert_null(quire_highmem_check(q));

	quire_early_iounmap(q, at[5], 64 * PAGE);
	again = quire_early_ioremap(q, 0xfec00000, 4);
	assert_ptr_equal(again, at[5]);
	assert_int_equal(frame_at((uintptr_t)at[4]), GIB);
	quire_early_iounmap(q, again, 4);
	for (i = 0; i < 8; i++) {
		if (i != 5)
			quire_early_iounmap(q, at[i], 64 * PAGE);
	}
	assert_int_equal(quire_early_ioremap_leak_check(q), 0);
	assert_int_equal(h->logs, 2);
}

static void early_ioremap_refuses(void **state)
{
	(void)state;
	assert_null(quire_early_ioremap(q, 0x200000, 0));
	assert_null(quire_early_ioremap(q, 0x200000, 64 * PAGE + 1));
	assert_null(quire_early_ioremap(q, 0x200001, 64 * PAGE)); /* 65 pages */
	assert_null(quire_early_ioremap(q, 0x200000, UINT64_MAX));
	assert_null(quire_early_ioremap(q, UINT64_MAX - 100, 200));
	assert_null(quire_early_ioremap(q, limit() - 100, 200));
	assert_int_equal(h->logs, 6);
	assert_int_equal(quire_early_ioremap_leak_check(q), 0);
}

static void early_iounmap_wants_what_was_given(void **state)
{
	void *at = quire_early_ioremap(q, 0x200010, 100);

	(void)state;
	host_expect_reports(h);
	quire_early_iounmap(q, at, 101);
	host_assert_report(h, "not mapped, or with another size");
	host_expect_reports(h);
	quire_early_iounmap(q, (char *)at + 1, 100);
	host_assert_report(h, "not mapped, or with another size");
	host_expect_reports(h);
	quire_early_iounmap(q, NULL, 0);
	host_assert_report(h, "not mapped, or with another size");
	assert_false(maps_nothing((uintptr_t)at));
	quire_early_iounmap(q, at, 100);
	host_expect_reports(h);
	quire_early_iounmap(q, at, 100);
	host_assert_report(h, "not mapped, or with another size");
}

/* ---- Coming up --------------------------------------------------------------------------- */

/* Whatever lacks memory, the instance does not start, and says so. */
static void no_memory_for_the_slots(void **state)
{
	struct quire_range range = {0, 16u << 20, QUIRE_RANGE_USABLE, 0 };
	struct quire_kva_layout layout;
	const struct quire_config config = {
		.nr_cpus = CPUS,
		.fmt = &quire_pgfmt_pae,
		.map = &range,
		.nr_ranges = 1,
		.zones = 1u << QUIRE_ZONE_NORMAL | 1u << QUIRE_ZONE_HIGHMEM,
		.high_memory = 8u << 20,
		.kva = &layout,
	};
	unsigned after, failed = 0;
	int err = -QUIRE_ENOMEM;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	assert_int_equal(quire_kva_layout_init(&layout, config.fmt, 8u << 20, true, CPUS), 0);
	for (after = 1; err; after++) {
		struct host *other = host_new(range.end, CPUS);
		struct quire *o = &other->q;

		quire_grace_init(o);
		o->nr_cpus = CPUS;
		o->fmt = config.fmt;
		assert_int_equal(quire_page_init(o, &config), 0);
		assert_int_equal(quire_slab_init(o), 0);
		assert_int_equal(quire_kva_init(o, &layout), 0);
		o->pages.fail.after = after;
		err = quire_highmem_init(o);
		o->pages.fail.after = 0;
		if (err) {
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_null(o->pages.kmap_local);
			failed++;
		}
		host_delete(other);
	}
	/* The leaf tables, two arrays. */
	assert_in_range(failed, 3, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ON(fn, format)                                                                             \
	{                                                                                          \
		#fn " " #format, fn, set_up, tear_down, (void *)(uintptr_t)&quire_pgfmt_##format   \
	}
#define TEST(fn) ON(fn, i386), ON(fn, pae), ON(fn, x86_64)
		TEST(slots_count_down_from_the_top),
		TEST(a_slot_maps_what_it_is_told),
		TEST(a_slot_is_replaced_and_cleared_with_a_flush),
		TEST(other_slots_and_arguments_are_refused),
		cmocka_unit_test(without_kernel_addresses_there_is_no_fixmap),
		ON(a_64_bit_kernel_has_a_fixmap_too, x86_64),
		TEST(early_ioremap_maps_upwards),
		TEST(early_ioremap_has_eight_slots_of_64_pages),
		TEST(early_ioremap_refuses),
		TEST(early_iounmap_wants_what_was_given),
		cmocka_unit_test(no_memory_for_the_slots),
	};

	return cmocka_run_group_tests_name("fixmap", tests, NULL, NULL);
}

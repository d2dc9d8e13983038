/* SPDX-License-Identifier: MIT */
/*
 * Page tables: the entries bit for bit against the SDM (the constants here are written from its
 * tables 4-15 to 4-20, not from the format's data), the cursor, the gather, trimming, moving, want
 * of memory, and all of it at once on several CPUs. Each test runs on both formats.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "port_host.h"

#define P 0x1ull
#define RW 0x2ull
#define US 0x4ull
#define PWT 0x8ull
#define PCD 0x10ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define G 0x100ull
#define NX 0x8000000000000000ull
#define ADDRESS 0x000ffffffffff000ull
#define SOFTWARE 0x07f0000000000e00ull /* bits 11:9 and 58:52: ignored by the processor */

#define RWU (QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_USER)
#define RU (QUIRE_PTE_READ | QUIRE_PTE_USER)

#define K 0x400ull
#define M 0x100000ull
#define PAGE 0x1000ull
#define LEAF 0x200000ull /* what one leaf table covers */

/* Somewhere with every index different: entries 254, 509, 100, 7 from the 4-level root down. */
#define BASE ((254ull << 39) | (509ull << 30) | (100ull << 21) | (7ull << 12))

struct fixture {
	struct host *h;
	struct quire *q;
	const struct quire_pgfmt *fmt;
	struct quire_pgtable pt;
	uint64_t frames; /* handed out before the space was made */
};

static const struct quire_pgfmt *const formats[] = { &quire_pgfmt_x86_64,
						     &quire_pgfmt_x86_64_5level };

static int setup(void **state, const struct quire_pgfmt *fmt)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	f->h = host_new_ready(64 * M, 4);
	f->q = &f->h->q;
	f->fmt = fmt;
	f->frames = host_frames_taken(f->h);
	assert_int_equal(quire_pgtable_init(f->q, &f->pt, fmt), 0);
	host_set_cpu(0);
	quire_pgtable_load(&f->pt, 0);
	*state = f;
	return 0;
}

static int setup_4level(void **state)
{
	return setup(state, formats[0]);
}

#ifndef QUIRE_PGFMT
static int setup_5level(void **state)
{
	return setup(state, formats[1]);
}
#endif

static void check(struct fixture *f)
{
	quire_broken_t broken = quire_pgtable_check(&f->pt);

	if (broken)
		fail_msg("%s", broken);
	assert_false(host_is_atomic());
}

/* Every test ends with an empty space; nothing may be left of it. */
static int teardown(void **state)
{
	struct fixture *f = *state;
	quire_broken_t broken;

	check(f);
	quire_pgtable_unload(&f->pt, 0);
	quire_pgtable_destroy(&f->pt);
	quire_grace_wait(f->q);
	assert_int_equal(host_frames_taken(f->h), f->frames);
	assert_int_equal(quire_stat_read(f->q, QUIRE_STAT_PAGETABLE), 0);
	quire_page_drain(f->q);
	broken = quire_page_check(f->q);
	if (broken)
		fail_msg("%s", broken);
	host_delete(f->h);
	return 0;
}

/* ---- Entries ----------------------------------------------------------------------------- */

static void test_make_sets_the_bits_of_the_sdm(void **state)
{
	struct fixture *f = *state;
	const struct {
		quire_ptebits_t bits;
		uint64_t entry;
	} cases[] = {
		{ QUIRE_PTE_READ, P | NX },
		{ QUIRE_PTE_READ | QUIRE_PTE_EXEC, P },
		{ QUIRE_PTE_READ | QUIRE_PTE_WRITE, P | RW | NX },
		{ QUIRE_PTE_READ | QUIRE_PTE_USER, P | US | NX },
		{ QUIRE_PTE_READ | QUIRE_PTE_ACCESSED, P | A | NX },
		{ QUIRE_PTE_READ | QUIRE_PTE_DIRTY, P | D | NX },
		{ QUIRE_PTE_READ | QUIRE_PTE_GLOBAL, P | G | NX },
		{ QUIRE_PTE_READ | QUIRE_PTE_LARGE, P | PS | NX },
		{ RWU | QUIRE_PTE_EXEC | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY | QUIRE_PTE_GLOBAL,
		  P | RW | US | A | D | G },
	};
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(cases); i++) {
		quire_pte_t pte = quire_pte_make(f->fmt, 0x12345, cases[i].bits);

		assert_int_equal(pte, 0x12345000ull | cases[i].entry);
		assert_int_equal(pte & (PWT | PCD), 0);
		assert_int_equal(quire_pte_bits(f->fmt, pte), cases[i].bits);
		assert_int_equal(quire_pte_pfn(f->fmt, pte), 0x12345);
		assert_int_equal(quire_pte_kind(f->fmt, pte), QUIRE_PTE_PAGE);
	}
}

static void test_special_is_a_bit_that_the_processor_ignores(void **state)
{
	struct fixture *f = *state;
	quire_pte_t plain = quire_pte_make(f->fmt, 1, RU);
	quire_pte_t special = quire_pte_make(f->fmt, 1, RU | QUIRE_PTE_SPECIAL);

	assert_int_not_equal(plain, special);
	assert_int_equal((plain ^ special) & ~SOFTWARE, 0);
	assert_true(quire_pte_has(f->fmt, special, QUIRE_PTE_SPECIAL | QUIRE_PTE_READ));
	assert_false(quire_pte_has(f->fmt, plain, QUIRE_PTE_SPECIAL));
}

static void test_locked_is_another_such_bit(void **state)
{
	struct fixture *f = *state;
	const quire_ptebits_t marks = QUIRE_PTE_SPECIAL | QUIRE_PTE_LOCKED;
	quire_pte_t plain = quire_pte_make(f->fmt, 1, RU);
	quire_pte_t locked = quire_pte_make(f->fmt, 1, RU | QUIRE_PTE_LOCKED);

	assert_int_not_equal(plain, locked);
	assert_int_equal((plain ^ locked) & ~SOFTWARE, 0);
	assert_int_equal(quire_pte_bits(f->fmt, quire_pte_make(f->fmt, 1, RU | marks)), RU | marks);
	assert_int_equal(quire_pte_bits(f->fmt, quire_pte_make(f->fmt, 1, marks)), marks);
	assert_int_equal(quire_pte_remove(f->fmt, locked, QUIRE_PTE_LOCKED), plain);
}

static void test_address_field_is_51_to_12(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(quire_pte_make(f->fmt, 0xffffffffffull, QUIRE_PTE_READ) & ADDRESS,
			 ADDRESS);
	assert_int_equal(quire_pte_pfn(f->fmt, ~ADDRESS), 0);
	assert_int_equal(quire_pte_pfn(f->fmt, ~0ull), 0xffffffffffull);
}

static void test_entries_that_the_hardware_wrote_are_read_right(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(quire_pte_bits(f->fmt, 0x8000000000042067ull),
			 RWU | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY);
	assert_int_equal(quire_pte_bits(f->fmt, 0x0000000000042025ull),
			 RU | QUIRE_PTE_EXEC | QUIRE_PTE_ACCESSED);
	assert_int_equal(quire_pte_pfn(f->fmt, 0x8000000000042067ull), 0x42);
	assert_int_equal(quire_pte_kind(f->fmt, 0), QUIRE_PTE_EMPTY);
	assert_int_equal(quire_pte_bits(f->fmt, 0), 0);
}

static void test_a_page_without_read_is_not_present(void **state)
{
	struct fixture *f = *state;
	quire_pte_t pte = quire_pte_make(f->fmt, 0x777, QUIRE_PTE_DIRTY | QUIRE_PTE_SPECIAL);

	assert_int_equal(pte & P, 0);
	assert_int_equal(quire_pte_kind(f->fmt, pte), QUIRE_PTE_PAGE);
	assert_int_equal(quire_pte_pfn(f->fmt, pte), 0x777);
	assert_int_equal(quire_pte_bits(f->fmt, pte), QUIRE_PTE_DIRTY | QUIRE_PTE_SPECIAL);
	/* no right but READ makes it present */
	assert_int_equal(
		quire_pte_make(f->fmt, 0x777, QUIRE_PTE_WRITE | QUIRE_PTE_EXEC | QUIRE_PTE_USER) &
			P,
		0);
}

static void test_modify_changes_rights_and_keeps_marks(void **state)
{
	struct fixture *f = *state;
	const quire_ptebits_t marks = QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY | QUIRE_PTE_SPECIAL;
	quire_pte_t pte = quire_pte_make(f->fmt, 0x99, RWU | marks);
	quire_pte_t none;

	pte = quire_pte_modify(f->fmt, pte, RU);
	assert_int_equal(quire_pte_bits(f->fmt, pte), RU | marks);
	assert_int_equal(pte & (P | RW | US | NX | A | D), P | US | NX | A | D);
	none = quire_pte_modify(f->fmt, pte, 0);
	assert_int_equal(none & (P | RW | US), 0);
	assert_int_equal(quire_pte_bits(f->fmt, none), marks);
	assert_int_equal(quire_pte_kind(f->fmt, none), QUIRE_PTE_PAGE);
	pte = quire_pte_modify(f->fmt, none, RWU | QUIRE_PTE_EXEC);
	assert_int_equal(pte, quire_pte_make(f->fmt, 0x99, RWU | QUIRE_PTE_EXEC | marks));
	/* marks are not rights: asking for them gives nothing */
	pte = quire_pte_make(f->fmt, 0x99, RU);
	assert_int_equal(quire_pte_modify(f->fmt, pte, RU | QUIRE_PTE_DIRTY), pte);
}

static void test_add_and_remove_undo_each_other(void **state)
{
	struct fixture *f = *state;
	quire_pte_t pte = quire_pte_make(f->fmt, 0x99, RWU | QUIRE_PTE_ACCESSED), other;
	quire_ptebits_t bit;

	for (bit = 1; bit < 1u << QUIRE_PTE_NR_BITS; bit <<= 1) {
		bool had = quire_pte_has(f->fmt, pte, bit);

		other = had ? quire_pte_remove(f->fmt, pte, bit) : quire_pte_add(f->fmt, pte, bit);
		assert_int_not_equal(other, pte);
		assert_int_equal(quire_pte_has(f->fmt, other, bit), !had);
		assert_int_equal(quire_pte_pfn(f->fmt, other), 0x99);
		other = had ? quire_pte_add(f->fmt, other, bit)
			    : quire_pte_remove(f->fmt, other, bit);
		assert_int_equal(other, pte);
	}
	assert_int_equal(quire_pte_remove(f->fmt, pte, QUIRE_PTE_READ) & P, 0);
}

static void test_software_entries_are_not_present_and_hold_their_payload(void **state)
{
	struct fixture *f = *state;
	const enum quire_pte_kind kinds[] = { QUIRE_PTE_GUARD, QUIRE_PTE_SWAP };
	const uint64_t payloads[] = { 0, 1, 0x123456789a, (1ull << 40) - 1 };
	size_t k, i;

	for (k = 0; k < QUIRE_ARRAY_SIZE(kinds); k++) {
		for (i = 0; i < QUIRE_ARRAY_SIZE(payloads); i++) {
			quire_pte_t pte = quire_pte_soft(f->fmt, kinds[k], payloads[i]);

			assert_int_not_equal(pte, 0);
			assert_int_equal(pte & P, 0);
			assert_int_equal(quire_pte_kind(f->fmt, pte), kinds[k]);
			assert_int_equal(quire_pte_payload(f->fmt, pte), payloads[i]);
			assert_int_equal(quire_pte_bits(f->fmt, pte), 0);
		}
	}
}

static void test_user_space_ends_a_page_below_the_hole(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->fmt->user_end,
			 f->fmt->levels == 4 ? 0x00007ffffffff000ull : 0x00fffffffffff000ull);
	assert_int_equal(f->fmt->va_bits, f->fmt->levels == 4 ? 48 : 57);
}

/* ---- Tables in memory -------------------------------------------------------------------- */

static uint64_t *entry_at(struct fixture *f, uint64_t table, uint64_t addr, unsigned shift)
{
	return (uint64_t *)(void *)(f->h->ram + table) + ((addr >> shift) & 511);
}

/* The leaf entry, found as the SDM's figures 4-8 and 4-11 say; NULL if there is no table. */
static uint64_t *walk(struct fixture *f, uint64_t addr)
{
	uint64_t table = quire_pgtable_root(&f->pt), *entry;
	unsigned shift;

	for (shift = f->fmt->levels == 5 ? 48 : 39; shift > 12; shift -= 9) {
		entry = entry_at(f, table, addr, shift);
		if (!(*entry & P))
			return NULL;
		assert_int_equal(*entry & (P | RW | US | PS | PWT | PCD | NX), P | RW | US);
		table = *entry & ADDRESS;
	}
	return entry_at(f, table, addr, 12);
}

static void populate(struct fixture *f, uint64_t start, uint64_t end)
{
	assert_int_equal(quire_tables_populate(&f->pt, start, end), 0);
	check(f);
}

static void set(struct fixture *f, uint64_t addr, quire_pte_t pte)
{
	struct quire_cursor c;

	quire_cursor_open(&c, &f->pt, addr, addr + PAGE, 0);
	assert_true(quire_cursor_seek(&c, addr));
	quire_cursor_set(&c, addr, pte);
	quire_cursor_close(&c);
}

static quire_pte_t get(struct fixture *f, uint64_t addr)
{
	quire_pte_t pte;

	quire_grace_enter(f->q);
	pte = quire_pgtable_peek(&f->pt, addr);
	quire_grace_leave(f->q);
	return pte;
}

static quire_pte_t page_entry(struct fixture *f, quire_ptebits_t bits)
{
	struct quire_page *page = quire_page_alloc(f->q, QUIRE_GFP_USER, 0);

	assert_non_null(page);
	return quire_pte_make(f->fmt, quire_page_to_pfn(f->q, page), bits);
}

/* Empty [start, end), pages and all, and free the tables. */
static unsigned clear(struct fixture *f, uint64_t start, uint64_t end)
{
	struct quire_cursor c;
	unsigned n = 0;
	uint64_t a;

	quire_cursor_open(&c, &f->pt, start, end, QUIRE_CURSOR_TRIM);
	while (quire_cursor_next_leaf(&c)) {
		for (a = c.leaf_start; (a = quire_cursor_next_used(&c, a)) < c.leaf_end;
		     a += PAGE) {
			quire_pte_t pte = quire_cursor_clear(&c, a);

			assert_int_not_equal(pte, 0);
			n++;
			if (quire_pte_kind(f->fmt, pte) == QUIRE_PTE_PAGE &&
			    !quire_pte_has(f->fmt, pte, QUIRE_PTE_SPECIAL))
				quire_cursor_put_page(
					&c, quire_pfn_to_page(f->q, quire_pte_pfn(f->fmt, pte)));
		}
	}
	quire_cursor_close(&c);
	check(f);
	return n;
}

/* All within 256 TiB, which is one level-3 table. */
static void assert_tables(struct fixture *f, uint64_t leaves, uint64_t level1, uint64_t level2)
{
	uint64_t level3 = f->fmt->levels == 4 || level2 > 0;

	assert_int_equal(f->pt.tables[0], leaves);
	assert_int_equal(f->pt.tables[1], level1);
	assert_int_equal(f->pt.tables[2], level2);
	assert_int_equal(f->pt.tables[3], level3);
	assert_int_equal(f->pt.tables[4], f->fmt->levels == 5);
	/* neither the root nor a fifth level's P4D tables are in VmPTE */
	assert_int_equal(quire_pgtable_bytes(&f->pt), (leaves + level1 + level2) * PAGE);
}

static void test_a_new_space_has_one_empty_table(void **state)
{
	struct fixture *f = *state;
	struct quire_pgtable other;
	size_t i;

	assert_int_equal(host_frames_taken(f->h), f->frames + 1);
	assert_tables(f, 0, 0, 0);
	for (i = 0; i < 512; i++)
		assert_int_equal(((uint64_t *)(void *)(f->h->ram + quire_pgtable_root(&f->pt)))[i],
				 0);
	assert_int_equal(get(f, BASE), 0);
	assert_int_not_equal(f->pt.asid, 0);
	assert_int_equal(quire_pgtable_init(f->q, &other, f->fmt), 0);
	assert_int_not_equal(other.asid, f->pt.asid);
	quire_pgtable_destroy(&other);
}

static void test_an_entry_stands_where_the_processor_looks(void **state)
{
	struct fixture *f = *state;
	quire_pte_t pte = quire_pte_make(f->fmt, 0x42, RWU | QUIRE_PTE_SPECIAL);
	uint64_t *entry;

	assert_null(walk(f, BASE));
	populate(f, BASE, BASE + PAGE);
	assert_tables(f, 1, 1, 1);
	set(f, BASE, pte);
	entry = walk(f, BASE);
	assert_non_null(entry);
	assert_int_equal(*entry & ~SOFTWARE, 0x8000000000042007ull);
	assert_int_equal(entry[-1], 0);
	assert_int_equal(entry[1], 0);
	assert_int_equal(get(f, BASE), pte);
	assert_int_equal(get(f, BASE + PAGE), 0);
	assert_int_equal(get(f, f->fmt->user_end - PAGE), 0);
	check(f);
	assert_int_equal(clear(f, BASE, BASE + PAGE), 1);
}

static void test_the_last_page_of_user_space_can_be_mapped(void **state)
{
	struct fixture *f = *state;
	uint64_t last = f->fmt->user_end - PAGE;

	populate(f, last, f->fmt->user_end);
	populate(f, 0, PAGE);
	set(f, last, quire_pte_make(f->fmt, 0x42, RU | QUIRE_PTE_SPECIAL));
	set(f, 0, quire_pte_make(f->fmt, 0x43, RU | QUIRE_PTE_SPECIAL));
	assert_int_equal(*walk(f, last) & ADDRESS, 0x42000);
	assert_int_equal(*walk(f, 0) & ADDRESS, 0x43000);
	check(f);
	assert_int_equal(clear(f, 0, f->fmt->user_end), 2);
	assert_tables(f, 0, 0, 0);
}

static void test_populate_makes_each_table_once(void **state)
{
	struct fixture *f = *state;

	/*	1 GiB    |------------|------------|
	 *	range            |------|        three leaves, two level-1 tables, one level-2
	 */
	uint64_t start = (200ull << 39) + (6ull << 30) - 2 * LEAF + PAGE;

	populate(f, start, start + 2 * LEAF);
	assert_tables(f, 3, 2, 1);
	populate(f, start, start + 2 * LEAF);
	assert_tables(f, 3, 2, 1);
	populate(f, start, start); /* an empty range needs nothing */
	assert_tables(f, 3, 2, 1);
	quire_tables_trim(&f->pt, start, start + PAGE);
	assert_tables(f, 2, 2, 1);
	quire_tables_trim(&f->pt, start, start + 2 * LEAF);
	assert_tables(f, 0, 0, 0);
	check(f);
}

static void test_trim_leaves_tables_in_use(void **state)
{
	struct fixture *f = *state;

	populate(f, BASE, BASE + 3 * LEAF);
	set(f, BASE + LEAF, quire_pte_soft(f->fmt, QUIRE_PTE_GUARD, 0));
	quire_tables_trim(&f->pt, 0, f->fmt->user_end);
	assert_tables(f, 1, 1, 1);
	assert_int_equal(quire_pte_kind(f->fmt, get(f, BASE + LEAF)), QUIRE_PTE_GUARD);
	check(f);
	assert_int_equal(clear(f, BASE, BASE + 3 * LEAF), 1);
	assert_tables(f, 0, 0, 0);
}

struct reader_and_writer {
	struct fixture *f;
	uint32_t inside, done; /* atomic */
};

/* CPU 1 reads for as long as CPU 0 trims. */
static void read_or_trim(void *arg, unsigned cpu)
{
	struct reader_and_writer *rw = arg;
	struct fixture *f = rw->f;

	if (cpu == 1) {
		quire_grace_enter(f->q);
		quire_store_release(&rw->inside, 1);
		while (!quire_load_acquire(&rw->done))
			quire_port_relax(f->q);
		quire_grace_leave(f->q);
		return;
	}
	while (!quire_load_acquire(&rw->inside))
		quire_port_relax(f->q);
	quire_tables_trim(&f->pt, BASE, BASE + PAGE);
	assert_tables(f, 0, 0, 0);
	quire_grace_poll(f->q);
	assert_int_equal(host_frames_taken(f->h), f->frames + f->fmt->levels);
	quire_store_release(&rw->done, 1);
	quire_grace_wait(f->q);
	assert_int_equal(host_frames_taken(f->h), f->frames + 1);
}

static void test_tables_are_freed_only_after_a_grace_period(void **state)
{
	struct reader_and_writer rw = { .f = *state };

	populate(rw.f, BASE, BASE + PAGE);
	host_run_cpus(2, read_or_trim, &rw);
}

static void test_destroy_frees_what_is_empty(void **state)
{
	struct fixture *f = *state;
	struct quire_pgtable other;
	uint64_t frames = host_frames_taken(f->h);

	assert_int_equal(quire_pgtable_init(f->q, &other, f->fmt), 0);
	assert_int_equal(quire_tables_populate(&other, 0, 5 * LEAF), 0);
	assert_int_equal(quire_tables_populate(&other, f->fmt->user_end - LEAF, f->fmt->user_end),
			 0);
	quire_pgtable_destroy(&other);
	assert_int_equal(host_frames_taken(f->h), frames);
}

static void test_check_finds_what_is_broken(void **state)
{
	struct fixture *f = *state;
	struct quire_page *leaf;
	uint64_t *entry;

	populate(f, BASE, BASE + PAGE);
	entry = walk(f, BASE);
	leaf = quire_virt_to_page(f->q, entry);

	*entry = 0x42007;
	assert_string_equal(quire_pgtable_check(&f->pt),
			    "pgtable: maps == number of entries that are not zero");
	*entry = 0;
	assert_null(quire_pgtable_check(&f->pt));

	quire_page_set(leaf, QUIRE_PG_STALE);
	assert_string_equal(quire_pgtable_check(&f->pt),
			    "pgtable: a table that is linked is not stale");
	quire_page_test_clear(leaf, QUIRE_PG_STALE);

	f->pt.tables[0]++;
	assert_string_equal(quire_pgtable_check(&f->pt),
			    "pgtable: tables[level] == number of tables at that level");
	f->pt.tables[0]--;
	assert_null(quire_pgtable_check(&f->pt));
}

/* ---- The cursor -------------------------------------------------------------------------- */

static void test_nothing_to_find_in_an_empty_space(void **state)
{
	struct fixture *f = *state;
	struct quire_cursor c;

	quire_cursor_open(&c, &f->pt, 0, f->fmt->user_end, QUIRE_CURSOR_TRIM);
	assert_false(quire_cursor_seek(&c, BASE));
	assert_false(host_is_atomic());
	assert_false(quire_cursor_next_leaf(&c));
	assert_false(quire_cursor_next_leaf(&c));
	quire_cursor_close(&c);
	assert_int_equal(f->h->flushes, 0);
}

static void test_next_leaf_visits_leaves_in_order_and_cut_to_the_range(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = 200ull << 39;
	struct quire_cursor c;

	/*	leaves   |---0---|---1---|       |---3---|  ...  |--1 TiB on--|
	 *	range        |-----------------------------------------|
	 */
	populate(f, base, base + 2 * LEAF);
	populate(f, base + 3 * LEAF, base + 4 * LEAF);
	populate(f, base + (1ull << 40), base + (1ull << 40) + PAGE);
	quire_cursor_open(&c, &f->pt, base + LEAF / 2, base + (1ull << 40) + LEAF / 2, 0);
	assert_true(quire_cursor_next_leaf(&c));
	assert_true(host_is_atomic());
	assert_int_equal(c.leaf_start, base + LEAF / 2);
	assert_int_equal(c.leaf_end, base + LEAF);
	assert_true(quire_cursor_next_leaf(&c));
	assert_int_equal(c.leaf_start, base + LEAF);
	assert_int_equal(c.leaf_end, base + 2 * LEAF);
	assert_true(quire_cursor_next_leaf(&c));
	assert_int_equal(c.leaf_start, base + 3 * LEAF);
	assert_true(quire_cursor_next_leaf(&c));
	assert_int_equal(c.leaf_start, base + (1ull << 40));
	assert_int_equal(c.leaf_end, base + (1ull << 40) + LEAF / 2);
	assert_false(quire_cursor_next_leaf(&c));
	assert_false(host_is_atomic());
	quire_cursor_close(&c);
	quire_tables_trim(&f->pt, 0, f->fmt->user_end);
	assert_tables(f, 0, 0, 0);
}

static void test_next_leaf_goes_on_where_seek_was(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = 200ull << 39;
	struct quire_cursor c;

	populate(f, base, base + 2 * LEAF);
	populate(f, base + 3 * LEAF, base + 5 * LEAF);
	quire_cursor_open(&c, &f->pt, base, base + 5 * LEAF, 0);
	assert_true(quire_cursor_seek(&c, base + LEAF + PAGE));
	assert_int_equal(c.leaf_start, base + LEAF);
	assert_true(quire_cursor_seek(&c, base + LEAF)); /* still the same leaf */
	assert_true(quire_cursor_next_leaf(&c));
	assert_int_equal(c.leaf_start, base + 3 * LEAF);
	assert_true(quire_cursor_seek(&c, base)); /* backwards is fine */
	assert_false(quire_cursor_seek(&c, base + 2 * LEAF + PAGE));
	assert_true(quire_cursor_next_leaf(&c));
	assert_int_equal(c.leaf_start, base + 3 * LEAF);
	quire_cursor_close(&c);
	quire_tables_trim(&f->pt, base, base + 5 * LEAF);
}

static void test_next_used_skips_what_is_empty(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = 200ull << 39;
	const unsigned used[] = { 3, 4, 11, 64, 510, 511 };
	struct quire_cursor c;
	uint64_t a;
	size_t i;

	populate(f, base, base + LEAF);
	quire_cursor_open(&c, &f->pt, base, base + LEAF, 0);
	assert_true(quire_cursor_next_leaf(&c));
	assert_int_equal(quire_cursor_next_used(&c, base), base + LEAF);
	for (i = 0; i < QUIRE_ARRAY_SIZE(used); i++)
		quire_cursor_set(&c, base + used[i] * PAGE,
				 quire_pte_soft(f->fmt, QUIRE_PTE_SWAP, i));
	for (a = base, i = 0; (a = quire_cursor_next_used(&c, a)) < c.leaf_end; a += PAGE, i++) {
		assert_int_equal(a, base + used[i] * PAGE);
		assert_int_equal(quire_pte_payload(f->fmt, quire_cursor_get(&c, a)), i);
	}
	assert_int_equal(i, QUIRE_ARRAY_SIZE(used));
	assert_int_equal(quire_cursor_next_used(&c, base + 12 * PAGE), base + 64 * PAGE);
	quire_cursor_close(&c);

	/* the range ends before the next one that is used */
	quire_cursor_open(&c, &f->pt, base + 5 * PAGE, base + 11 * PAGE, 0);
	assert_true(quire_cursor_next_leaf(&c));
	assert_int_equal(quire_cursor_next_used(&c, base + 5 * PAGE), base + 11 * PAGE);
	quire_cursor_close(&c);
	assert_int_equal(clear(f, base, base + LEAF), 6);
	assert_int_equal(f->h->flushes, 1); /* for the tables; the entries were not present */
	assert_true(f->h->last_flush.tables);
}

static void test_set_keeps_what_the_hardware_has_marked(void **state)
{
	struct fixture *f = *state;
	quire_pte_t pte = quire_pte_make(f->fmt, 0x42, RU | QUIRE_PTE_SPECIAL);

	populate(f, BASE, BASE + PAGE);
	set(f, BASE, pte);
	*walk(f, BASE) |= A;
	set(f, BASE, quire_pte_add(f->fmt, pte, QUIRE_PTE_WRITE));
	assert_int_equal(get(f, BASE), pte | RW | A);
	assert_int_equal(f->h->flushes, 0);
	assert_int_equal(f->h->local_flushes, 1); /* rights were added */
	assert_int_equal(clear(f, BASE, BASE + PAGE), 1);
}

static void test_replace_returns_what_was_there_in_the_end(void **state)
{
	struct fixture *f = *state;
	quire_pte_t first = quire_pte_make(f->fmt, 0x42, RWU | QUIRE_PTE_SPECIAL);
	quire_pte_t second = quire_pte_make(f->fmt, 0x43, RU | QUIRE_PTE_SPECIAL);
	struct quire_cursor c;

	populate(f, BASE, BASE + PAGE);
	set(f, BASE, first);
	quire_cursor_open(&c, &f->pt, BASE, BASE + PAGE, 0);
	assert_true(quire_cursor_seek(&c, BASE));
	assert_int_equal(quire_cursor_get(&c, BASE), first);
	*walk(f, BASE) |= A | D; /* a store on another CPU, now */
	assert_int_equal(quire_cursor_replace(&c, BASE, second), first | A | D);
	assert_int_equal(quire_cursor_get(&c, BASE), second);
	assert_int_equal(f->h->flushes, 0);
	quire_cursor_close(&c);
	assert_int_equal(f->h->flushes, 1);
	check(f);
	assert_int_equal(clear(f, BASE, BASE + PAGE), 1);
}

static void test_protect_keeps_marks_and_flushes_only_for_rights_that_go(void **state)
{
	struct fixture *f = *state;
	struct quire_cursor c;

	populate(f, BASE, BASE + PAGE);
	set(f, BASE, quire_pte_make(f->fmt, 0x42, RU | QUIRE_PTE_SPECIAL));

	/* more: nobody needs to forget anything */
	quire_cursor_open(&c, &f->pt, BASE, BASE + PAGE, 0);
	assert_true(quire_cursor_seek(&c, BASE));
	*walk(f, BASE) |= A;
	quire_cursor_protect(&c, BASE, RWU);
	quire_cursor_close(&c);
	assert_int_equal(*walk(f, BASE) & ~SOFTWARE, 0x42000 | P | RW | US | A | NX);
	assert_int_equal(f->h->flushes, 0);

	/* the same */
	quire_cursor_open(&c, &f->pt, BASE, BASE + PAGE, 0);
	assert_true(quire_cursor_seek(&c, BASE));
	quire_cursor_protect(&c, BASE, RWU);
	quire_cursor_close(&c);
	assert_int_equal(f->h->flushes, 0);

	/* less */
	quire_cursor_open(&c, &f->pt, BASE, BASE + PAGE, 0);
	assert_true(quire_cursor_seek(&c, BASE));
	*walk(f, BASE) |= D;
	quire_cursor_protect(&c, BASE, RU);
	assert_int_equal(f->h->flushes, 0);
	quire_cursor_close(&c);
	assert_int_equal(*walk(f, BASE) & ~SOFTWARE, 0x42000 | P | US | A | D | NX);
	assert_int_equal(f->h->flushes, 1);

	/* none, and back: what was not present is in no TLB */
	quire_cursor_open(&c, &f->pt, BASE, BASE + PAGE, 0);
	assert_true(quire_cursor_seek(&c, BASE));
	quire_cursor_protect(&c, BASE, 0);
	quire_cursor_close(&c);
	assert_int_equal(*walk(f, BASE) & P, 0);
	assert_int_equal(f->h->flushes, 2);
	quire_cursor_open(&c, &f->pt, BASE, BASE + PAGE, 0);
	assert_true(quire_cursor_seek(&c, BASE));
	quire_cursor_protect(&c, BASE, RWU | QUIRE_PTE_EXEC);
	quire_cursor_close(&c);
	assert_int_equal(*walk(f, BASE) & ~SOFTWARE, 0x42000 | P | RW | US | A | D);
	assert_int_equal(f->h->flushes, 2);
	assert_int_equal(clear(f, BASE, BASE + PAGE), 1);
}

/* ---- The gather -------------------------------------------------------------------------- */

static void test_flush_says_what_was_changed(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = 200ull << 39;
	const struct quire_tlb_flush *flush = &f->h->last_flush;
	struct quire_cursor c;

	populate(f, base, base + 4 * LEAF);
	set(f, base + 5 * PAGE, quire_pte_make(f->fmt, 0x42, RU | QUIRE_PTE_SPECIAL));
	set(f, base + 2 * LEAF, quire_pte_make(f->fmt, 0x42, RU | QUIRE_PTE_SPECIAL));
	set(f, base + 3 * LEAF, quire_pte_make(f->fmt, 0x42, RU | QUIRE_PTE_SPECIAL));
	quire_cursor_open(&c, &f->pt, base, base + 3 * LEAF, 0);
	while (quire_cursor_next_leaf(&c)) {
		uint64_t a;

		for (a = c.leaf_start; (a = quire_cursor_next_used(&c, a)) < c.leaf_end; a += PAGE)
			quire_cursor_clear(&c, a);
	}
	quire_cursor_close(&c);
	assert_int_equal(f->h->flushes, 1);
	assert_int_equal(f->pt.flushes, 1);
	assert_int_equal(flush->start, base + 5 * PAGE);
	assert_int_equal(flush->end, base + 2 * LEAF + PAGE);
	assert_int_equal(flush->asid, f->pt.asid);
	assert_int_equal(flush->root, quire_pgtable_root(&f->pt) / PAGE);
	assert_int_equal(flush->stride, 12);
	assert_false(flush->tables);
	assert_false(flush->kernel);
	assert_int_equal(clear(f, base, base + 4 * LEAF), 1);
	assert_true(flush->tables);
}

static void test_a_space_that_no_cpu_has_needs_no_flush(void **state)
{
	struct fixture *f = *state;

	quire_pgtable_unload(&f->pt, 0);
	populate(f, BASE, BASE + PAGE);
	set(f, BASE, page_entry(f, RWU));
	assert_int_equal(clear(f, BASE, BASE + PAGE), 1);
	assert_int_equal(f->h->flushes, 0);
	quire_pgtable_load(&f->pt, 0);
}

static void test_pages_wait_for_the_flush(void **state)
{
	struct fixture *f = *state;
	struct quire_cursor c;
	uint64_t frames;
	quire_pte_t pte;

	populate(f, BASE, BASE + PAGE);
	set(f, BASE, page_entry(f, RWU));
	frames = host_frames_taken(f->h);
	quire_cursor_open(&c, &f->pt, BASE, BASE + PAGE, 0);
	assert_true(quire_cursor_seek(&c, BASE));
	pte = quire_cursor_clear(&c, BASE);
	quire_cursor_put_page(&c, quire_pfn_to_page(f->q, quire_pte_pfn(f->fmt, pte)));
	assert_int_equal(host_frames_taken(f->h), frames);
	assert_int_equal(f->h->flushes, 0);
	quire_cursor_close(&c);
	assert_int_equal(host_frames_taken(f->h), frames - 1);
	assert_int_equal(f->h->flushes, 1);
	quire_tables_trim(&f->pt, BASE, BASE + PAGE);
}

static void test_a_full_gather_flushes_and_goes_on(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = 200ull << 39;
	const unsigned pages = 3 * QUIRE_GATHER_PAGES + 5;
	uint64_t frames = host_frames_taken(f->h);
	unsigned i;

	populate(f, base, base + LEAF);
	for (i = 0; i < pages; i++)
		set(f, base + i * PAGE, page_entry(f, RWU));
	assert_int_equal(clear(f, base, base + LEAF), pages);
	assert_int_equal(f->h->flushes, 4);
	assert_tables(f, 0, 0, 0);
	quire_grace_wait(f->q);
	assert_int_equal(host_frames_taken(f->h), frames);
}

/* ---- Moving ------------------------------------------------------------------------------ */

/*
 * Fill [from, from + 4 leaves) with one of each kind of entry at chosen pages, move, and find all
 * of it at the other end.
 */
static void move_and_compare(struct fixture *f, uint64_t from, uint64_t to, uint64_t len)
{
	const quire_pte_t entries[] = {
		quire_pte_make(f->fmt, 0x40, RWU | QUIRE_PTE_SPECIAL) | A | D,
		quire_pte_make(f->fmt, 0x41, RU | QUIRE_PTE_EXEC | QUIRE_PTE_SPECIAL),
		quire_pte_make(f->fmt, 0x42, QUIRE_PTE_SPECIAL | QUIRE_PTE_DIRTY), /* PROT_NONE */
		quire_pte_soft(f->fmt, QUIRE_PTE_GUARD, 0),
		quire_pte_soft(f->fmt, QUIRE_PTE_SWAP, 0x1234),
	};
	const uint64_t offsets[] = { 0, PAGE, len / 2 - PAGE, len / 2, len - PAGE };
	uint32_t flushes = f->h->flushes;
	uint64_t a;
	size_t i;

	populate(f, from, from + len);
	for (i = 0; i < QUIRE_ARRAY_SIZE(offsets); i++)
		set(f, from + (offsets[i] & ~(PAGE - 1)), entries[i]);
	assert_int_equal(quire_tables_populate_like(&f->pt, from, to, len), 0);
	quire_tables_move(&f->pt, from, to, len);
	check(f);
	assert_int_equal(f->h->flushes, flushes + 1);
	for (i = 0; i < QUIRE_ARRAY_SIZE(offsets); i++)
		assert_int_equal(get(f, to + (offsets[i] & ~(PAGE - 1))), entries[i]);
	for (a = from; a < from + len; a += PAGE)
		assert_int_equal(get(f, a), 0);
	assert_int_equal(clear(f, to, to + len), QUIRE_ARRAY_SIZE(offsets));
	quire_tables_trim(&f->pt, from, from + len);
	assert_tables(f, 0, 0, 0);
}

static void test_move_within_a_leaf(void **state)
{
	const uint64_t base = 200ull << 39;

	move_and_compare(*state, base + 100 * PAGE, base + 300 * PAGE, 50 * PAGE);
	move_and_compare(*state, base + 300 * PAGE, base + 100 * PAGE, 200 * PAGE);
}

static void test_move_across_leaves(void **state)
{
	const uint64_t base = 200ull << 39;

	/* aligned alike, and not; up, and down */
	move_and_compare(*state, base, base + 16 * LEAF, 3 * LEAF);
	move_and_compare(*state, base + 7 * PAGE, base + 16 * LEAF + 500 * PAGE,
			 3 * LEAF + 9 * PAGE);
	move_and_compare(*state, base + (1ull << 40) + 7 * PAGE, base + 3 * PAGE, 4 * LEAF);
	/* the end of the one is the beginning of the other */
	move_and_compare(*state, base + 10 * PAGE, base + 10 * PAGE + LEAF, LEAF);
}

static void test_populate_like_makes_what_the_source_has(void **state)
{
	struct fixture *f = *state;
	const uint64_t from = 200ull << 39, to = (100ull << 39) + LEAF / 2;

	/*	source   |--0--|  ...  |--1000--|        of 512 GiB
	 *	tables    two leaves in two level-1 tables; at the destination each straddles two
	 */
	populate(f, from, from + PAGE);
	populate(f, from + 1000 * LEAF, from + 1000 * LEAF + PAGE);
	assert_tables(f, 2, 2, 1);
	assert_int_equal(quire_tables_populate_like(&f->pt, from, to, 1ull << 39), 0);
	assert_tables(f, 6, 4, 2);
	check(f);
	quire_tables_trim(&f->pt, 0, f->fmt->user_end);
	assert_tables(f, 0, 0, 0);
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
static void test_populate_fails_whole_at_every_allocation(void **state)
{
	struct fixture *f = *state;
	const uint64_t start = (200ull << 39) + (6ull << 30) - LEAF, end = start + 3 * LEAF;
	uint64_t frames, tables[QUIRE_MAX_LEVELS];
	unsigned k, failures = 0;
	int err;

	populate(f, start, start + PAGE); /* some of it is there already */
	memcpy(tables, f->pt.tables, sizeof(tables));
	frames = host_frames_taken(f->h);
	for (k = 1;; k++) {
		f->q->pages.fail.after = k;
		err = quire_tables_populate(&f->pt, start, end);
		f->q->pages.fail.after = 0;
		check(f);
		if (!err)
			break;
		failures++;
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_memory_equal(f->pt.tables, tables, sizeof(tables));
		assert_int_equal(host_frames_taken(f->h), frames);
	}
	assert_int_equal(failures, 3); /* two leaves and a level-1 table were lacking */
	quire_tables_trim(&f->pt, start, end);
}

static void test_populate_like_fails_whole_at_every_allocation(void **state)
{
	struct fixture *f = *state;
	const uint64_t from = 200ull << 39, to = (100ull << 39) + LEAF / 2;
	unsigned k, failures = 0;
	int err;

	populate(f, from, from + PAGE);
	populate(f, from + 1000 * LEAF, from + 1000 * LEAF + PAGE);
	for (k = 1;; k++) {
		f->q->pages.fail.after = k;
		err = quire_tables_populate_like(&f->pt, from, to, 1ull << 39);
		f->q->pages.fail.after = 0;
		check(f);
		if (!err)
			break;
		failures++;
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_tables(f, 2, 2, 1);
	}
	assert_int_equal(failures, 7); /* four leaves, two level-1 tables, one level-2 */
	quire_tables_trim(&f->pt, 0, f->fmt->user_end);
}

static void test_init_fails_without_memory(void **state)
{
	struct fixture *f = *state;
	struct quire_pgtable other;
	uint64_t frames = host_frames_taken(f->h);

	f->q->pages.fail.after = 1;
	assert_int_equal(quire_pgtable_init(f->q, &other, f->fmt), -QUIRE_ENOMEM);
	f->q->pages.fail.after = 0;
	assert_int_equal(host_frames_taken(f->h), frames);
}
#endif

/* ---- Several CPUs at once ---------------------------------------------------------------- */

/*
 * Four CPUs map and unmap pages of their own that interleave in the same few leaf tables, as faults
 * and unmaps do: look for the table, make it, look again; take the page out and trim. Tables come
 * and go all the time. What each CPU has set must be there when it looks again, whatever the others
 * do.
 */
#define STRESS_CPUS 4
#define STRESS_PAGES 6
#define STRESS_ROUNDS 30000

static void stress(void *arg, unsigned cpu)
{
	struct fixture *f = arg;
	uint64_t chance = 88172645463325252ull + cpu, value[STRESS_PAGES] = { 0 };
	unsigned round;

	for (round = 0; round < STRESS_ROUNDS; round++) {
		uint64_t r = host_random(&chance);
		unsigned i = (unsigned)(r >> 8) % STRESS_PAGES;
		uint64_t addr = (200ull << 39) + (i % 3) * LEAF + (i * STRESS_CPUS + cpu) * PAGE;
		struct quire_cursor c;
		quire_pte_t pte;

		if (!value[i]) {
			quire_cursor_open(&c, &f->pt, addr, addr + PAGE, 0);
			while (!quire_cursor_seek(&c, addr))
				assert_int_equal(quire_tables_populate(&f->pt, addr, addr + PAGE),
						 0);
			assert_int_equal(quire_cursor_get(&c, addr), 0);
			value[i] = quire_pte_make(f->fmt, r >> 40, RWU | QUIRE_PTE_SPECIAL);
			quire_cursor_set(&c, addr, value[i]);
			quire_cursor_close(&c);
		} else if (r & 1) {
			quire_cursor_open(&c, &f->pt, addr, addr + PAGE, QUIRE_CURSOR_TRIM);
			assert_true(quire_cursor_next_leaf(&c));
			assert_int_equal(quire_cursor_clear(&c, addr), value[i]);
			quire_cursor_close(&c);
			value[i] = 0;
		} else if (r & 2) {
			quire_tables_trim(&f->pt, 200ull << 39, (200ull << 39) + 3 * LEAF);
		}
		quire_grace_enter(f->q);
		pte = quire_pgtable_peek(&f->pt, addr);
		quire_grace_leave(f->q);
		assert_int_equal(pte, value[i]);
	}
}

static void test_many_cpus_map_unmap_and_trim_the_same_tables(void **state)
{
	struct fixture *f = *state;

	host_run_cpus(STRESS_CPUS, stress, f);
	check(f);
	clear(f, 0, f->fmt->user_end);
	quire_tables_trim(&f->pt, 0, f->fmt->user_end);
	assert_tables(f, 0, 0, 0);
}

/*
 * One CPU moves a page to and fro, others look on without a lock: it is never gone, and never twice
 * usable.
 */
#define MOVES 500
#define MOVE_FROM (200ull << 39)
#define MOVE_TO ((200ull << 39) + LEAF)

static void move_or_look(void *arg, unsigned cpu)
{
	struct fixture *f = arg;
	unsigned i;

	for (i = 0; i < MOVES; i++) {
		if (cpu == 0) {
			quire_tables_move(&f->pt, i % 2 ? MOVE_TO : MOVE_FROM,
					  i % 2 ? MOVE_FROM : MOVE_TO, LEAF);
		} else {
			struct quire_cursor c;
			quire_pte_t low;

			quire_cursor_open(&c, &f->pt, MOVE_FROM, MOVE_FROM + LEAF, 0);
			assert_true(quire_cursor_seek(&c, MOVE_FROM));
			low = quire_cursor_get(&c, MOVE_FROM);
			/* under the lock of one place, the other cannot change */
			assert_int_equal(low == 0, get(f, MOVE_TO) != 0);
			quire_cursor_close(&c);
		}
	}
}

static void test_a_page_that_moves_is_always_at_one_of_its_places(void **state)
{
	struct fixture *f = *state;

	populate(f, MOVE_FROM, MOVE_FROM + 2 * LEAF);
	set(f, MOVE_FROM, page_entry(f, RWU));
	host_run_cpus(3, move_or_look, f);
	check(f);
	assert_int_equal(clear(f, MOVE_FROM, MOVE_FROM + 2 * LEAF), 1);
}

/* ---- All of it --------------------------------------------------------------------------- */

#ifdef QUIRE_PGFMT
/* The rooms' code was built for one format, and refuses the other. */
static void test_a_build_for_one_format_refuses_others(void **state)
{
	struct fixture *f = *state;
	struct quire_pgtable other;

	assert_int_equal(quire_pgtable_init(f->q, &other, &quire_pgfmt_x86_64_5level), -QUIRE_EINVAL);
}

#define TEST(name) { #name, name, setup_4level, teardown, NULL }
#else
#define TEST(name)                                         \
	{ #name, name, setup_4level, teardown, NULL },     \
	{                                                  \
		#name " (5 levels)", name, setup_5level, teardown, NULL \
	}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_make_sets_the_bits_of_the_sdm),
		TEST(test_special_is_a_bit_that_the_processor_ignores),
		TEST(test_locked_is_another_such_bit),
		TEST(test_address_field_is_51_to_12),
		TEST(test_entries_that_the_hardware_wrote_are_read_right),
		TEST(test_a_page_without_read_is_not_present),
		TEST(test_modify_changes_rights_and_keeps_marks),
		TEST(test_add_and_remove_undo_each_other),
		TEST(test_software_entries_are_not_present_and_hold_their_payload),
		TEST(test_user_space_ends_a_page_below_the_hole),
		TEST(test_a_new_space_has_one_empty_table),
		TEST(test_an_entry_stands_where_the_processor_looks),
		TEST(test_the_last_page_of_user_space_can_be_mapped),
		TEST(test_populate_makes_each_table_once),
		TEST(test_trim_leaves_tables_in_use),
		TEST(test_tables_are_freed_only_after_a_grace_period),
		TEST(test_destroy_frees_what_is_empty),
		TEST(test_check_finds_what_is_broken),
		TEST(test_nothing_to_find_in_an_empty_space),
		TEST(test_next_leaf_visits_leaves_in_order_and_cut_to_the_range),
		TEST(test_next_leaf_goes_on_where_seek_was),
		TEST(test_next_used_skips_what_is_empty),
		TEST(test_set_keeps_what_the_hardware_has_marked),
		TEST(test_replace_returns_what_was_there_in_the_end),
		TEST(test_protect_keeps_marks_and_flushes_only_for_rights_that_go),
		TEST(test_flush_says_what_was_changed),
		TEST(test_a_space_that_no_cpu_has_needs_no_flush),
		TEST(test_pages_wait_for_the_flush),
		TEST(test_a_full_gather_flushes_and_goes_on),
		TEST(test_move_within_a_leaf),
		TEST(test_move_across_leaves),
		TEST(test_populate_like_makes_what_the_source_has),
#if QUIRE_DEBUG
		TEST(test_populate_fails_whole_at_every_allocation),
		TEST(test_populate_like_fails_whole_at_every_allocation),
		TEST(test_init_fails_without_memory),
#endif
#ifdef QUIRE_PGFMT
		TEST(test_a_build_for_one_format_refuses_others),
#endif
		TEST(test_many_cpus_map_unmap_and_trim_the_same_tables),
		TEST(test_a_page_that_moves_is_always_at_one_of_its_places),
	};

	return cmocka_run_group_tests_name("pgtable", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Page tables: what lies in memory against the manuals (manuals.c; never the format's own data), the
 * cursor, the gather, trimming, moving, want of memory, and all of it at once on several CPUs. Each
 * test runs on every format that has this build's page size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "manuals.h"
#include "port_host.h"

#define RWU (QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_USER)
#define RU (QUIRE_PTE_READ | QUIRE_PTE_USER)
#define AD (QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY)

#define M 0x100000ull
#define PAGE QUIRE_PAGE_SIZE

/* Of the fixture's format: what one leaf table covers, and one table above. */
#define LEAF (1ull << f->man->shift[1])
#define MID (1ull << f->man->shift[2])

struct fixture {
	struct host *h;
	struct quire *q;
	const struct manual *man;
	const struct quire_pgfmt *fmt;
	struct quire_pgtable pt;
	uint64_t frames;   /* handed out before the space was made */
	uint64_t own;      /* tables of an empty space */
	uint64_t area;     /* where one entry of the root, or of level 3, begins; a low one */
	uint64_t area_low; /* another one, lower */
	uint64_t far;      /* a distance from area, over several tables of level 1 */
	uint64_t base;     /* somewhere in area with every index different */
};

/* The hardware's root has 4 entries or 8,192; with 5 levels, stay below one of them. */
static void choose_addresses(struct fixture *f)
{
	const struct manual *man = f->man;
	unsigned top = man->levels < 4 ? man->levels - 1 : 3;
	uint64_t entries = man->user_end >> man->shift[top];

	if (man->levels == 5 || entries > 512)
		entries = 512;
	f->area = entries / 3 << man->shift[top];
	f->area_low = entries / 6 << man->shift[top];
	if (f->area == 0)
		f->area = 1ull << man->shift[top];
	f->far = man->levels == 2 ? 100 * LEAF : MID;
	if (man->levels > 3 && f->area + (3ull << man->shift[top]) <= man->user_end)
		f->far = 2ull << man->shift[top];
	f->base = f->area;
	if (man->levels > 3)
		f->base += 509ull << man->shift[2];
	if (man->levels > 2)
		f->base += 100ull << man->shift[1];
	f->base += 7ull << man->shift[0];
}

/* This build can have tables of that format. */
static bool manual_fits(const struct manual *man)
{
#ifdef QUIRE_PGFMT
	if (man->fmt != &QUIRE_PGFMT)
		return false;
#endif
	return man->shift[0] == QUIRE_PAGE_SHIFT;
}

static int setup(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	const struct manual *man = *state;

	memset(f, 0, sizeof(*f));
	f->h = host_new_ready(64 * M, 4);
	f->q = &f->h->q;
	f->man = man;
	f->fmt = man->fmt;
	choose_addresses(f);
	f->frames = host_frames_taken(f->h);
	assert_int_equal(quire_pgtable_init(f->q, &f->pt, f->fmt), 0);
	f->own = 1;
	if (man->root_fixed)
		f->own += man->user_end >> man->shift[man->levels - 1];
	host_set_cpu(0);
	quire_pgtable_load(&f->pt, 0);
	*state = f;
	return 0;
}

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

/* ---- Tables in memory -------------------------------------------------------------------- */

static uint64_t raw(struct fixture *f, const void *entry)
{
	uint64_t e = 0;

	memcpy(&e, entry, f->man->entry_bytes); /* little-endian, as all of them are */
	return e;
}

static void set_raw(struct fixture *f, void *entry, uint64_t e)
{
	memcpy(entry, &e, f->man->entry_bytes);
}

static void *entry_at(struct fixture *f, uint64_t table, uint64_t addr, unsigned level)
{
	uint64_t i = addr >> f->man->shift[level] & ((1ull << f->man->bits[level]) - 1);

	return f->h->ram + table + i * f->man->entry_bytes;
}

/* The frame's address in an entry. */
static uint64_t points_to(struct fixture *f, uint64_t e)
{
	return (e & f->man->address) >> quire_ffs64(f->man->address) << QUIRE_PAGE_SHIFT;
}

/* The leaf entry, found as the hardware finds it; NULL if there is no table. */
static void *walk(struct fixture *f, uint64_t addr)
{
	uint64_t table = quire_pgtable_root(&f->pt);
	unsigned level;

	for (level = f->man->levels - 1; level > 0; level--) {
		uint64_t e = raw(f, entry_at(f, table, addr, level));

		if (!(e & 1))
			return NULL;
		assert_int_equal(e & ~f->man->address,
				 level == f->man->levels - 1 ? f->man->root : f->man->table);
		table = points_to(f, e);
	}
	return entry_at(f, table, addr, 0);
}

/* What the hardware sees of the leaf entry. */
static uint64_t seen(struct fixture *f, uint64_t addr)
{
	return raw(f, walk(f, addr)) & ~f->man->software;
}

/* An access on another CPU, now. */
static void use(struct fixture *f, uint64_t addr, bool store)
{
	void *entry = walk(f, addr);

	set_raw(f, entry, f->man->used(raw(f, entry), store));
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

/* False of a level that has no tables but those made with the space. */
static bool comes_and_goes(struct fixture *f, unsigned level)
{
	return level + 1 < f->man->levels - (f->man->root_fixed ? 1 : 0);
}

/* All in what one entry of level 4 covers; levels that the format does not have count for nothing. */
static void assert_tables(struct fixture *f, uint64_t leaves, uint64_t level1, uint64_t level2)
{
	const unsigned root = f->man->levels - 1;
	uint64_t expected[QUIRE_MAX_LEVELS] = { leaves, level1, level2, level2 > 0, 0 }, bytes = 0;
	unsigned level;

	if (f->man->root_fixed)
		expected[root - 1] = f->own - 1;
	for (level = 0; level < QUIRE_MAX_LEVELS; level++) {
		uint64_t n = level < root ? expected[level] : level == root;

		assert_int_equal(f->pt.tables[level], n);
		/* neither the root nor a fifth level's P4D tables are in VmPTE */
		if (level < root && level < 3)
			bytes += n * PAGE;
	}
	assert_int_equal(quire_pgtable_bytes(&f->pt), bytes);
}

static void test_a_new_space_is_empty(void **state)
{
	struct fixture *f = *state;
	const unsigned root = f->man->levels - 1;
	struct quire_pgtable other;
	size_t i;

	assert_int_equal(host_frames_taken(f->h), f->frames + f->own);
	assert_tables(f, 0, 0, 0);
	/* but for a root that is copied when it is loaded, empty */
	for (i = 0; i < 1ull << f->man->bits[root]; i++) {
		uint64_t e = raw(f, entry_at(f, quire_pgtable_root(&f->pt),
					     (uint64_t)i << f->man->shift[root], root));

		if (f->man->root_fixed && i < f->own - 1)
			assert_int_equal(e & ~f->man->address, f->man->root);
		else
			assert_int_equal(e, 0);
	}
	assert_int_equal(get(f, f->base), 0);
	assert_int_not_equal(f->pt.asid, 0);
	assert_int_equal(quire_pgtable_init(f->q, &other, f->fmt), 0);
	assert_int_not_equal(other.asid, f->pt.asid);
	quire_pgtable_destroy(&other);
}

static void test_an_entry_stands_where_the_processor_looks(void **state)
{
	struct fixture *f = *state;
	quire_pte_t pte = quire_pte_make(f->fmt, 0x42, RWU | QUIRE_PTE_SPECIAL);
	unsigned char *entry;

	assert_null(walk(f, f->base));
	populate(f, f->base, f->base + PAGE);
	assert_tables(f, 1, 1, 1);
	set(f, f->base, pte);
	assert_int_equal(seen(f, f->base), manual_entry(f->man, 0x42, RWU));
	entry = walk(f, f->base);
	assert_int_equal(raw(f, entry - f->man->entry_bytes), 0);
	assert_int_equal(raw(f, entry + f->man->entry_bytes), 0);
	assert_int_equal(get(f, f->base), pte);
	assert_int_equal(get(f, f->base + PAGE), 0);
	assert_int_equal(get(f, f->fmt->user_end - PAGE), 0);
	check(f);
	assert_int_equal(clear(f, f->base, f->base + PAGE), 1);
}

static void test_the_last_page_of_user_space_can_be_mapped(void **state)
{
	struct fixture *f = *state;
	uint64_t last = f->fmt->user_end - PAGE;

	populate(f, last, f->fmt->user_end);
	populate(f, 0, PAGE);
	set(f, last, quire_pte_make(f->fmt, 0x42, RU | QUIRE_PTE_SPECIAL));
	set(f, 0, quire_pte_make(f->fmt, 0x43, RU | QUIRE_PTE_SPECIAL));
	assert_int_equal(points_to(f, seen(f, last)), 0x42 * PAGE);
	assert_int_equal(points_to(f, seen(f, 0)), 0x43 * PAGE);
	check(f);
	assert_int_equal(clear(f, 0, f->fmt->user_end), 2);
	assert_tables(f, 0, 0, 0);
}

static void test_populate_makes_each_table_once(void **state)
{
	struct fixture *f = *state;

	/*	level 2  |------------|------------|
	 *	range            |------|        three leaves, two level-1 tables, one level-2
	 */
	uint64_t start = f->area + (f->man->levels > 2 ? MID : 6 * LEAF) - 2 * LEAF + PAGE;

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

	populate(f, f->base, f->base + 3 * LEAF);
	set(f, f->base + LEAF, quire_pte_soft(f->fmt, QUIRE_PTE_GUARD, 0));
	quire_tables_trim(&f->pt, 0, f->fmt->user_end);
	assert_tables(f, 1, 1, 1);
	assert_int_equal(quire_pte_kind(f->fmt, get(f, f->base + LEAF)), QUIRE_PTE_GUARD);
	check(f);
	assert_int_equal(clear(f, f->base, f->base + 3 * LEAF), 1);
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
	quire_tables_trim(&f->pt, f->base, f->base + PAGE);
	assert_tables(f, 0, 0, 0);
	quire_grace_poll(f->q);
	/* of each level below the root that tables come and go in, one */
	assert_int_equal(host_frames_taken(f->h),
			 f->frames + f->own + f->man->levels - (f->man->root_fixed ? 2 : 1));
	quire_store_release(&rw->done, 1);
	quire_grace_wait(f->q);
	assert_int_equal(host_frames_taken(f->h), f->frames + f->own);
}

static void test_tables_are_freed_only_after_a_grace_period(void **state)
{
	struct fixture *f = *state;
	struct reader_and_writer rw = { .f = f };

	populate(f, f->base, f->base + PAGE);
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
	void *entry;

	populate(f, f->base, f->base + PAGE);
	entry = walk(f, f->base);
	leaf = quire_virt_to_page(f->q, entry);

	set_raw(f, entry, manual_entry(f->man, 0x42, RWU));
	assert_string_equal(quire_pgtable_check(&f->pt),
			    "pgtable: maps == number of entries that are not zero");
	set_raw(f, entry, 0);
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
	assert_false(quire_cursor_seek(&c, f->base));
	assert_false(host_is_atomic());
	assert_false(quire_cursor_next_leaf(&c));
	assert_false(quire_cursor_next_leaf(&c));
	quire_cursor_close(&c);
	assert_int_equal(f->h->flushes, 0);
}

static void test_next_leaf_visits_leaves_in_order_and_cut_to_the_range(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = f->area;
	struct quire_cursor c;

	/*	leaves   |---0---|---1---|       |---3---|  ...  |--1 TiB on--|
	 *	range        |-----------------------------------------|
	 */
	populate(f, base, base + 2 * LEAF);
	populate(f, base + 3 * LEAF, base + 4 * LEAF);
	populate(f, base + f->far, base + f->far + PAGE);
	quire_cursor_open(&c, &f->pt, base + LEAF / 2, base + f->far + LEAF / 2, 0);
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
	assert_int_equal(c.leaf_start, base + f->far);
	assert_int_equal(c.leaf_end, base + f->far + LEAF / 2);
	assert_false(quire_cursor_next_leaf(&c));
	assert_false(host_is_atomic());
	quire_cursor_close(&c);
	quire_tables_trim(&f->pt, 0, f->fmt->user_end);
	assert_tables(f, 0, 0, 0);
}

static void test_next_leaf_goes_on_where_seek_was(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = f->area;
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
	const uint64_t base = f->area;
	const unsigned last = (1u << f->man->bits[0]) - 1;
	const unsigned used[] = { 3, 4, 11, 64, 510, last };
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

	populate(f, f->base, f->base + PAGE);
	set(f, f->base, pte);
	use(f, f->base, false);
	set(f, f->base, quire_pte_add(f->fmt, pte, QUIRE_PTE_WRITE));
	assert_int_equal(seen(f, f->base), manual_entry(f->man, 0x42, RWU | QUIRE_PTE_ACCESSED));
	assert_int_equal(quire_pte_bits(f->fmt, get(f, f->base)),
			 RWU | QUIRE_PTE_ACCESSED | QUIRE_PTE_SPECIAL);
	assert_int_equal(f->h->flushes, 0);
	assert_int_equal(f->h->local_flushes, 1); /* rights were added */
	assert_int_equal(clear(f, f->base, f->base + PAGE), 1);
}

static void test_replace_returns_what_was_there_in_the_end(void **state)
{
	struct fixture *f = *state;
	quire_pte_t first = quire_pte_make(f->fmt, 0x42, RWU | QUIRE_PTE_SPECIAL);
	quire_pte_t second = quire_pte_make(f->fmt, 0x43, RU | QUIRE_PTE_SPECIAL);
	struct quire_cursor c;

	populate(f, f->base, f->base + PAGE);
	set(f, f->base, first);
	quire_cursor_open(&c, &f->pt, f->base, f->base + PAGE, 0);
	assert_true(quire_cursor_seek(&c, f->base));
	assert_int_equal(quire_cursor_get(&c, f->base), first);
	use(f, f->base, true);
	assert_int_equal(quire_cursor_replace(&c, f->base, second), f->man->used(first, true));
	assert_int_equal(quire_cursor_get(&c, f->base), second);
	assert_int_equal(f->h->flushes, 0);
	quire_cursor_close(&c);
	assert_int_equal(f->h->flushes, 1);
	check(f);
	assert_int_equal(clear(f, f->base, f->base + PAGE), 1);
}

static void test_protect_keeps_marks_and_flushes_only_for_rights_that_go(void **state)
{
	struct fixture *f = *state;
	struct quire_cursor c;

	populate(f, f->base, f->base + PAGE);
	set(f, f->base, quire_pte_make(f->fmt, 0x42, RU | QUIRE_PTE_SPECIAL));

	/* more: nobody needs to forget anything */
	quire_cursor_open(&c, &f->pt, f->base, f->base + PAGE, 0);
	assert_true(quire_cursor_seek(&c, f->base));
	use(f, f->base, false);
	quire_cursor_protect(&c, f->base, RWU);
	quire_cursor_close(&c);
	assert_int_equal(seen(f, f->base), manual_entry(f->man, 0x42, RWU | QUIRE_PTE_ACCESSED));
	assert_int_equal(f->h->flushes, 0);

	/* the same */
	quire_cursor_open(&c, &f->pt, f->base, f->base + PAGE, 0);
	assert_true(quire_cursor_seek(&c, f->base));
	quire_cursor_protect(&c, f->base, RWU);
	quire_cursor_close(&c);
	assert_int_equal(f->h->flushes, 0);

	/* less */
	quire_cursor_open(&c, &f->pt, f->base, f->base + PAGE, 0);
	assert_true(quire_cursor_seek(&c, f->base));
	use(f, f->base, true);
	quire_cursor_protect(&c, f->base, RU);
	assert_int_equal(f->h->flushes, 0);
	quire_cursor_close(&c);
	assert_int_equal(seen(f, f->base), manual_entry(f->man, 0x42, RU | AD));
	assert_int_equal(f->h->flushes, 1);

	/* none, and back: what was not present is in no TLB */
	quire_cursor_open(&c, &f->pt, f->base, f->base + PAGE, 0);
	assert_true(quire_cursor_seek(&c, f->base));
	quire_cursor_protect(&c, f->base, 0);
	quire_cursor_close(&c);
	assert_int_equal(seen(f, f->base) & 1, 0);
	assert_int_equal(f->h->flushes, 2);
	quire_cursor_open(&c, &f->pt, f->base, f->base + PAGE, 0);
	assert_true(quire_cursor_seek(&c, f->base));
	quire_cursor_protect(&c, f->base, RWU | QUIRE_PTE_EXEC);
	quire_cursor_close(&c);
	assert_int_equal(seen(f, f->base),
			 manual_entry(f->man, 0x42, (RWU | QUIRE_PTE_EXEC | AD) & f->man->says));
	assert_int_equal(f->h->flushes, 2);
	assert_int_equal(clear(f, f->base, f->base + PAGE), 1);
}

/* ---- The gather -------------------------------------------------------------------------- */

static void test_flush_says_what_was_changed(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = f->area;
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
	assert_int_equal(flush->stride, QUIRE_PAGE_SHIFT);
	assert_false(flush->tables);
	assert_false(flush->kernel);
	assert_int_equal(clear(f, base, base + 4 * LEAF), 1);
	assert_true(flush->tables);
}

static void test_a_space_that_no_cpu_has_needs_no_flush(void **state)
{
	struct fixture *f = *state;

	quire_pgtable_unload(&f->pt, 0);
	populate(f, f->base, f->base + PAGE);
	set(f, f->base, page_entry(f, RWU));
	assert_int_equal(clear(f, f->base, f->base + PAGE), 1);
	assert_int_equal(f->h->flushes, 0);
	quire_pgtable_load(&f->pt, 0);
}

static void test_pages_wait_for_the_flush(void **state)
{
	struct fixture *f = *state;
	struct quire_cursor c;
	uint64_t frames;
	quire_pte_t pte;

	populate(f, f->base, f->base + PAGE);
	set(f, f->base, page_entry(f, RWU));
	frames = host_frames_taken(f->h);
	quire_cursor_open(&c, &f->pt, f->base, f->base + PAGE, 0);
	assert_true(quire_cursor_seek(&c, f->base));
	pte = quire_cursor_clear(&c, f->base);
	quire_cursor_put_page(&c, quire_pfn_to_page(f->q, quire_pte_pfn(f->fmt, pte)));
	assert_int_equal(host_frames_taken(f->h), frames);
	assert_int_equal(f->h->flushes, 0);
	quire_cursor_close(&c);
	assert_int_equal(host_frames_taken(f->h), frames - 1);
	assert_int_equal(f->h->flushes, 1);
	quire_tables_trim(&f->pt, f->base, f->base + PAGE);
}

static void test_a_full_gather_flushes_and_goes_on(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = f->area;
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

/* The same for the hardware, and in all that it says; the hardware's own mark may be in our words. */
static void assert_same(struct fixture *f, quire_pte_t a, quire_pte_t b)
{
	assert_int_equal(quire_pte_kind(f->fmt, a), quire_pte_kind(f->fmt, b));
	assert_int_equal(quire_pte_bits(f->fmt, a), quire_pte_bits(f->fmt, b));
	assert_int_equal(a & ~f->man->software, b & ~f->man->software);
	if (quire_pte_kind(f->fmt, a) != QUIRE_PTE_PAGE)
		assert_int_equal(a, b);
}

/*
 * Fill [from, from + 4 leaves) with one of each kind of entry at chosen pages, move, and find all
 * of it at the other end.
 */
static void move_and_compare(struct fixture *f, uint64_t from, uint64_t to, uint64_t len)
{
	const quire_pte_t entries[] = {
		f->man->used(quire_pte_make(f->fmt, 0x40, RWU | QUIRE_PTE_SPECIAL), true),
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
		assert_same(f, get(f, to + (offsets[i] & ~(PAGE - 1))), entries[i]);
	for (a = from; a < from + len; a += PAGE)
		assert_int_equal(get(f, a), 0);
	assert_int_equal(clear(f, to, to + len), QUIRE_ARRAY_SIZE(offsets));
	quire_tables_trim(&f->pt, from, from + len);
	assert_tables(f, 0, 0, 0);
}

static void test_move_within_a_leaf(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = f->area;

	move_and_compare(f, base + 100 * PAGE, base + 300 * PAGE, 50 * PAGE);
	move_and_compare(f, base + 300 * PAGE, base + 100 * PAGE, 200 * PAGE);
}

static void test_move_across_leaves(void **state)
{
	struct fixture *f = *state;
	const uint64_t base = f->area;

	/* aligned alike, and not; up, and down */
	move_and_compare(f, base, base + 16 * LEAF, 3 * LEAF);
	move_and_compare(f, base + 7 * PAGE, base + 16 * LEAF + 500 * PAGE,
			 3 * LEAF + 9 * PAGE);
	move_and_compare(f, base + f->far + 7 * PAGE, base + 3 * PAGE, 4 * LEAF);
	/* the end of the one is the beginning of the other */
	move_and_compare(f, base + 10 * PAGE, base + 10 * PAGE + LEAF, LEAF);
}

static void test_populate_like_makes_what_the_source_has(void **state)
{
	struct fixture *f = *state;
	const uint64_t from = f->area, to = f->area_low + LEAF / 2;
	const uint64_t apart = comes_and_goes(f, 1) ? MID + LEAF : 10 * LEAF;

	/*	source   |--0--|  ...  |--apart--|
	 *	tables    two leaves in two level-1 tables; at the destination each straddles two
	 */
	populate(f, from, from + PAGE);
	populate(f, from + apart, from + apart + PAGE);
	assert_tables(f, 2, 2, 1);
	assert_int_equal(quire_tables_populate_like(&f->pt, from, to, apart + LEAF), 0);
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
	const uint64_t start = f->area + (f->man->levels > 2 ? MID : 6 * LEAF) - LEAF, end = start + 3 * LEAF;
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
	/* two leaves were lacking, and a level-1 table if those come and go */
	assert_int_equal(failures, comes_and_goes(f, 1) ? 3 : 2);
	quire_tables_trim(&f->pt, start, end);
}

static void test_populate_like_fails_whole_at_every_allocation(void **state)
{
	struct fixture *f = *state;
	const uint64_t from = f->area, to = f->area_low + LEAF / 2;
	const uint64_t apart = comes_and_goes(f, 1) ? MID + LEAF : 10 * LEAF;
	unsigned k, failures = 0;
	int err;

	populate(f, from, from + PAGE);
	populate(f, from + apart, from + apart + PAGE);
	for (k = 1;; k++) {
		f->q->pages.fail.after = k;
		err = quire_tables_populate_like(&f->pt, from, to, apart + LEAF);
		f->q->pages.fail.after = 0;
		check(f);
		if (!err)
			break;
		failures++;
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_tables(f, 2, 2, 1);
	}
	/* four leaves, two level-1 tables, one level-2 */
	assert_int_equal(failures, 4 + (comes_and_goes(f, 1) ? 2 : 0) + (comes_and_goes(f, 2) ? 1 : 0));
	quire_tables_trim(&f->pt, 0, f->fmt->user_end);
}

static void test_init_fails_without_memory(void **state)
{
	struct fixture *f = *state;
	struct quire_pgtable other;
	uint64_t frames = host_frames_taken(f->h);
	unsigned k;

	for (k = 1; k <= f->own; k++) {
		f->q->pages.fail.after = k;
		assert_int_equal(quire_pgtable_init(f->q, &other, f->fmt), -QUIRE_ENOMEM);
		f->q->pages.fail.after = 0;
		assert_int_equal(host_frames_taken(f->h), frames);
	}
	f->q->pages.fail.after = k;
	assert_int_equal(quire_pgtable_init(f->q, &other, f->fmt), 0);
	f->q->pages.fail.after = 0;
	quire_pgtable_destroy(&other);
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
		uint64_t addr = f->area + (i % 3) * LEAF + (i * STRESS_CPUS + cpu) * PAGE;
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
			quire_tables_trim(&f->pt, f->area, f->area + 3 * LEAF);
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
#define MOVE_FROM (f->area)
#define MOVE_TO (f->area + LEAF)

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

/* The rooms' code was built for one format or one page size, and refuses others. */
static void test_formats_that_the_build_does_not_have_are_refused(void **state)
{
	struct fixture *f = *state;
	struct quire_pgtable other;
	unsigned i, refused = 0;

	for (i = 0; i < nr_manuals; i++) {
		if (manual_fits(&manuals[i]))
			continue;
		refused++;
		assert_int_equal(quire_pgtable_init(f->q, &other, manuals[i].fmt), -QUIRE_EINVAL);
	}
	assert_true(refused >= 2);
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction fn;
	} tests[] = {
#define TEST(fn) { #fn, fn }
		TEST(test_a_new_space_is_empty),
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
		TEST(test_many_cpus_map_unmap_and_trim_the_same_tables),
		TEST(test_a_page_that_moves_is_always_at_one_of_its_places),
		TEST(test_formats_that_the_build_does_not_have_are_refused),
	};
	static struct CMUnitTest all[QUIRE_ARRAY_SIZE(tests) * 16];
	static char names[QUIRE_ARRAY_SIZE(all)][120];
	unsigned n = 0, i, m;

	for (m = 0; m < nr_manuals; m++) {
		for (i = 0; i < QUIRE_ARRAY_SIZE(tests) && manual_fits(&manuals[m]); i++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s (%s)", tests[i].name, manuals[m].name);
			all[n] = (struct CMUnitTest){ names[n], tests[i].fn, setup, teardown,
						      (void *)(uintptr_t)&manuals[m] };
		}
	}
	return _cmocka_run_group_tests("pgtable", all, n, NULL, NULL);
}

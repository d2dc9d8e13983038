/* SPDX-License-Identifier: MIT */
/*
 * The cursor: the only way for other rooms to the entries of a space, and the gather that it
 * carries. It stands in one leaf table at a time, whose lock it holds; it never allocates, so
 * nothing here fails.
 *
 * What is taken out of the tables is freed in one order, by construction: out of the table, out of
 * every TLB, back to the allocator. Pages wait in c->pages and tables in c->tables from the first
 * to the third step; flush_gather() is the second and the third.
 */
#include "internal.h"

#define MARKS (QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY)

/* ---- The gather -------------------------------------------------------------------------- */

static void reset_gather(struct quire_cursor *c)
{
	c->flush_start = UINT64_MAX;
	c->flush_end = 0;
	c->flush_tables = false;
	c->flush_level = QUIRE_MAX_LEVELS;
	c->nr_pages = 0;
}

/*
 * A space that no CPU has loaded needs no flush: whoever loads it later says so first, and then
 * finds the entries gone. The mask is copied, so that the port sees the CPUs of one moment. The kernel's
 * addresses are everywhere.
 */
static void flush_tlbs(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end, unsigned level,
		       bool tables)
{
	uint64_t cpus[QUIRE_ARRAY_SIZE(pt->cpus)];
	struct quire_tlb_flush flush;
	uint64_t any = 0;
	unsigned cpu;
	size_t i;

	quire_fence();
	for (i = 0; i < QUIRE_ARRAY_SIZE(cpus); i++) {
		/* What a CPU did before it unloaded the space is done. */
		cpus[i] = quire_load_acquire(&pt->cpus[i]);
		any |= cpus[i];
	}
	if (is_kernels(pt)) {
		for (cpu = 0; cpu < pt->q->nr_cpus; cpu++)
			cpus[cpu / 64] |= UINT64_C(1) << cpu % 64;
	} else if (!any) {
		return;
	}
	flush.root = quire_page_to_pfn(pt->q, pt->root);
	flush.asid = pt->asid;
	flush.start = start;
	flush.end = end;
	flush.stride = FMT(pt->fmt)->shift[level];
	flush.tables = tables;
	flush.kernel = is_kernels(pt);
	flush.cpus = cpus;
	quire_add_relaxed(&pt->flushes, 1);
	quire_port_tlb_flush(pt->q, &flush);
}

void quire_pgtable_flush(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end)
{
	if (start < end)
		flush_tlbs(pt, start, end, 0, false);
}

void quire_flush_space(struct quire_pgtable *pt)
{
	flush_tlbs(pt, 0, UINT64_MAX, 0, true);
}

/*
 * An entry that we found empty, or without the right that we came for, may have been changed by
 * somebody who is about to flush: who asked us must not be told before that that it is done.
 */
static bool others_are_taking(struct quire_cursor *c)
{
	return (c->flags & QUIRE_CURSOR_TAKES) &&
	       quire_load_acquire(&c->pt->taking) != (c->counted ? 1 : 0);
}

/* No table lock held. */
static void flush_gather(struct quire_cursor *c)
{
	struct quire *q = c->pt->q;
	uint32_t i;

	if (others_are_taking(c)) {
		c->flush_start = c->start;
		c->flush_end = c->end;
		c->flush_level = 0;
	}
	/* What we took out of a table CPUs may still have at the place from which it came. */
	if (quire_unlikely(quire_load_acquire(&c->pt->moving) != 0)) {
		c->flush_start = 0;
		c->flush_end = UINT64_MAX;
		c->flush_level = 0;
		c->flush_tables = true;
	}
	if (c->flush_start < c->flush_end && !(c->flags & QUIRE_CURSOR_LAZY))
		flush_tlbs(c->pt, c->flush_start, c->flush_end, c->flush_level, c->flush_tables);
	if (c->counted) {
		c->counted = false;
		(void)quire_fetch_sub(&c->pt->taking, 1u);
	}
	for (i = 0; i < c->nr_pages; i++)
		(void)quire_page_put(q, c->pages[i]);
	if (!quire_list_empty(&c->tables))
		quire_tables_free(q, &c->tables);
	reset_gather(c);
}

/* Then flush_gather() has nothing to do. */
static bool nothing_gathered(const struct quire_cursor *c)
{
	return !(c->flags & QUIRE_CURSOR_TAKES) && c->flush_start >= c->flush_end && !c->nr_pages &&
	       quire_list_empty(&c->tables);
}

void quire_cursor_put_page(struct quire_cursor *c, struct quire_page *page)
{
	struct quire *q = c->pt->q;

	quire_assert(q, !(c->flags & QUIRE_CURSOR_LAZY));
	c->pages[c->nr_pages++] = page;
	if (c->nr_pages < QUIRE_GATHER_PAGES)
		return;
	if (c->leaf) {
		/* Neither trimmed nor moved while it is unlocked. */
		table_count(c->leaf, TABLE_PARKED);
		quire_spin_unlock(q, table_lock(c->leaf));
	}
	flush_gather(c);
	if (c->leaf) {
		quire_spin_lock(q, table_lock(c->leaf));
		table_count(c->leaf, -TABLE_PARKED);
	}
}

/* ---- Moving ------------------------------------------------------------------------------ */

void quire_cursor_open(struct quire_cursor *c, struct quire_pgtable *pt, quire_uaddr_t start,
		       quire_uaddr_t end, uint32_t flags)
{
	quire_assert(pt->q, pt->lowest <= start && start <= end && end <= pt->end);
	quire_assert(pt->q, ((start | end) & ~QUIRE_PAGE_MASK) == 0);
	quire_assert(pt->q, (flags & (QUIRE_CURSOR_LAZY | QUIRE_CURSOR_TRIM)) != (QUIRE_CURSOR_LAZY | QUIRE_CURSOR_TRIM));
	c->pt = pt;
	c->start = start;
	c->end = end;
	c->flags = flags;
	c->pos = start;
	c->leaf = NULL;
	c->level = 0;
	c->entries = NULL;
	c->leaf_start = start;
	c->leaf_end = start;
	c->counted = false;
	quire_list_init(&c->tables);
	reset_gather(c);
}

static inline void leave_leaf(struct quire_cursor *c)
{
	bool trim;

	if (!c->leaf)
		return;
	trim = (c->flags & QUIRE_CURSOR_TRIM) && c->level == 0 && table_is_empty(c->leaf);
	quire_spin_unlock(c->pt->q, table_lock(c->leaf));
	c->leaf = NULL;
	c->level = 0;
	if (trim)
		gather_empty_tables(c, c->leaf_start, 0);
}

/* leaf, at level, covers addr and is locked. Of a table that reaches up to 2^64 the end is 0. */
static void enter_leaf(struct quire_cursor *c, struct quire_page *leaf, unsigned level, void *entries,
		       quire_uaddr_t addr)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	quire_uaddr_t base = table_base(fmt, level, addr);
	quire_uaddr_t last = base + ((UINT64_C(1) << table_shift(fmt, level)) - 1);

	c->leaf = leaf;
	c->level = level;
	c->entries = entries;
	c->leaf_start = base > c->start ? base : c->start;
	c->leaf_end = last < c->end - 1 ? last + 1 : c->end;
	c->pos = c->leaf_end;
}

/*
 * The table is still linked, and where we found it, once its lock is ours, and then stays so; else look again.
 */
static bool lock_if_linked(struct quire_pgtable *pt, struct quire_page *table, unsigned level, quire_uaddr_t addr)
{
	struct quire *q = pt->q;

	quire_spin_lock(q, table_lock(table));
	if (quire_likely(!table_is_stale(table) &&
			 (level > 0 || quire_load(&table->index) == table_base(FMT(pt->fmt), 0, addr))))
		return true;
	quire_spin_unlock(q, table_lock(table));
	return false;
}

bool quire_cursor_next_leaf(struct quire_cursor *c)
{
	struct quire *q = c->pt->q;
	struct quire_page *leaf;
	quire_uaddr_t addr;
	void *entries;

	leave_leaf(c);
	addr = c->pos;
	quire_grace_enter(q);
	do {
		leaf = quire_walk_next_leaf(c->pt, &addr, c->end, &entries);
	} while (leaf && !lock_if_linked(c->pt, leaf, 0, addr));
	quire_grace_leave(q);
	if (!leaf) {
		c->pos = c->end;
		return false;
	}
	enter_leaf(c, leaf, 0, entries, addr);
	return true;
}

static bool seek(struct quire_cursor *c, quire_uaddr_t addr, unsigned level)
{
	struct quire *q = c->pt->q;
	struct quire_page *leaf;
	void *entries;

	quire_assert(q, addr >= c->start && addr < c->end);
	if (c->leaf && c->level == level && addr >= c->leaf_start && addr < c->leaf_end)
		return true;
	leave_leaf(c);
	quire_grace_enter(q);
	do {
		leaf = quire_walk_table(c->pt, addr, level, &entries);
	} while (leaf && !lock_if_linked(c->pt, leaf, level, addr));
	quire_grace_leave(q);
	if (!leaf) {
		c->pos = quire_page_down(addr);
		return false;
	}
	enter_leaf(c, leaf, level, entries, addr);
	return true;
}

bool quire_cursor_seek(struct quire_cursor *c, quire_uaddr_t addr)
{
	return seek(c, addr, 0);
}

bool quire_cursor_seek_leaf(struct quire_cursor *c, quire_uaddr_t addr, const struct quire_leaf *leaf)
{
	struct quire *q = c->pt->q;

	quire_assert(q, !c->leaf && addr >= c->start && addr < c->end);
	if (quire_likely(leaf->table)) {
		quire_assert(q, quire_in_grace(q));
		if (lock_if_linked(c->pt, leaf->table, 0, addr)) {
			enter_leaf(c, leaf->table, 0, leaf->entries, addr);
			return true;
		}
	}
	return quire_cursor_seek(c, addr);
}

bool quire_cursor_seek_level(struct quire_cursor *c, quire_uaddr_t addr, unsigned level)
{
	quire_assert(c->pt->q, level <= root_level(FMT(c->pt->fmt)));
	return seek(c, addr, level);
}

void quire_cursor_leave(struct quire_cursor *c)
{
	leave_leaf(c);
}

void quire_cursor_close(struct quire_cursor *c)
{
	leave_leaf(c);
	if (!nothing_gathered(c))
		flush_gather(c);
}

/* ---- Entries ----------------------------------------------------------------------------- */

static unsigned index_of(struct quire_cursor *c, quire_uaddr_t addr)
{
	quire_assert(c->pt->q, c->leaf && addr >= c->leaf_start && addr < c->leaf_end);
	quire_spin_assert(c->pt->q, table_lock(c->leaf));
	return entry_index(FMT(c->pt->fmt), c->level, addr);
}

/* The entry at addr has changed for the worse. */
static void mark_entry(struct quire_cursor *c, quire_uaddr_t addr)
{
	unsigned shift = FMT(c->pt->fmt)->shift[c->level];

	addr = addr >> shift << shift;
	gather_mark(c, addr, addr + (UINT64_C(1) << shift));
}

quire_pte_t quire_cursor_get(struct quire_cursor *c, quire_uaddr_t addr)
{
	return entry_get(FMT(c->pt->fmt), c->entries, index_of(c, addr));
}

quire_uaddr_t quire_cursor_next_used(struct quire_cursor *c, quire_uaddr_t addr)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	unsigned first, i;

	if (addr >= c->leaf_end || table_is_empty(c->leaf))
		return c->leaf_end;
	first = index_of(c, addr);
	i = entry_scan(fmt, c->entries, first, entry_index(fmt, c->level, c->leaf_end - 1));
	if (i == first)
		return addr;
	addr = ((addr >> fmt->shift[c->level]) + (i - first)) << fmt->shift[c->level];
	return addr < c->leaf_end ? addr : c->leaf_end;
}

void quire_cursor_set(struct quire_cursor *c, quire_uaddr_t addr, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	unsigned i = index_of(c, addr);
	quire_pte_t old = entry_get(fmt, c->entries, i), new;

	if (old == 0) {
		if (pte == 0)
			return;
		entry_fill(fmt, c->entries, i, pte);
		table_count(c->leaf, 1);
		return;
	}
	quire_assert(c->pt->q, !pte_present(fmt, old) || (pte_present(fmt, pte) &&
							  pte_pfn(fmt, old) == pte_pfn(fmt, pte)));
	/* The hardware may be marking the old entry at this moment. */
	do {
		new = pte_present(fmt, old)
			      ? quire_pte_add(fmt, pte, quire_pte_bits(fmt, old) & MARKS)
			      : pte;
	} while (!entry_cmpxchg(fmt, c->entries, i, &old, new));
	quire_assert(c->pt->q,
		     (quire_pte_bits(fmt, old) & RIGHTS & ~quire_pte_bits(fmt, new)) == 0);
	if (pte_present(fmt, old))
		quire_port_tlb_flush_local(c->pt->q, c->pt->asid, addr);
}

quire_pte_t quire_cursor_replace(struct quire_cursor *c, quire_uaddr_t addr, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	unsigned i = index_of(c, addr);
	quire_pte_t old = entry_get(fmt, c->entries, i);

	if (old == 0 && pte == 0)
		return 0;
	old = pte ? entry_exchange(fmt, c->entries, i, pte) : entry_clear(fmt, c->entries, i);
	if ((old != 0) != (pte != 0))
		table_count(c->leaf, pte ? 1 : -1);
	/* Not only a present one: whoever took its presence (mprotect, a move) may not have flushed yet. */
	if (quire_pte_kind(fmt, old) == QUIRE_PTE_PAGE)
		mark_entry(c, addr);
	return old;
}

quire_pte_t quire_cursor_clear(struct quire_cursor *c, quire_uaddr_t addr)
{
	return quire_cursor_replace(c, addr, 0);
}

void quire_cursor_mark(struct quire_cursor *c, quire_uaddr_t addr, quire_ptebits_t give,
		       quire_ptebits_t take)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	unsigned i = index_of(c, addr);
	quire_pte_t old = entry_get(fmt, c->entries, i), new;

	quire_assert(c->pt->q, quire_pte_kind(fmt, old) == QUIRE_PTE_PAGE);
	quire_assert(c->pt->q, ((give | take) & ~QUIRE_PTE_LOCKED) == 0);
	do
		new = quire_pte_remove(fmt, quire_pte_add(fmt, old, give), take);
	while (!entry_cmpxchg(fmt, c->entries, i, &old, new));
}

void quire_cursor_protect(struct quire_cursor *c, quire_uaddr_t addr, quire_ptebits_t rights)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	unsigned i = index_of(c, addr);
	quire_pte_t old = entry_get(fmt, c->entries, i), new;

	quire_assert(c->pt->q, quire_pte_kind(fmt, old) == QUIRE_PTE_PAGE);
	do {
		new = quire_pte_modify(fmt, old, rights);
		if (new == old)
			return;
	} while (!entry_cmpxchg(fmt, c->entries, i, &old, new));
	if (!pte_present(fmt, old))
		return;
	if (quire_pte_bits(fmt, old) & ~quire_pte_bits(fmt, new) & RIGHTS)
		mark_entry(c, addr);
	else
		quire_port_tlb_flush_local(c->pt->q, c->pt->asid, addr);
}

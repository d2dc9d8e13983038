/* SPDX-License-Identifier: MIT */
/*
 * Moving entries from one range of a space to another, for mremap.
 *
 * Whole leaf tables, where both ranges have the same offset in a table, change places with the empty ones at the
 * destination:
 *
 *	before                 source: T        target: E, empty
 *	all locked, swap       source: E        target: T, hidden: the hardware finds nothing there
 *	flush of the space     no CPU comes to T by way of the source any more
 *	show                   source: E        target: T
 *
 * Whoever takes something out of T between the second step and the third finds pt->moving, and flushes all of the space: of
 * T's entries CPUs may have what they were at the source. A table in which a cursor waits (TABLE_PARKED) is not
 * moved as a whole.
 *
 * All else goes entry by entry, in two passes, so that no lock is held while CPUs are waited for:
 *
 *   suspend   every present entry at the source is hidden (entry_hide());
 *             then one flush, after which no CPU can reach a page through the source
 *   carry     leaf by leaf, both locked, the entries go over and become present again
 *
 * So whoever comes by the pages' reverse maps finds each entry at one of its two places, and no
 * page can be freed by way of its new place while a CPU still has the old one. If somebody made
 * an entry present again in between (write-protected it, say), it is left for another round.
 */
#include "internal.h"

/* ---- Entries ----------------------------------------------------------------------------- */

#define CHUNK 32u /* entries that are marked for the flush together */

/* [i, end). True: any was present. Not in line: few registers are all that it needs. */
static __attribute__((noinline)) bool suspend_entries(const struct quire_pgfmt *fmt, void *entries,
						      unsigned i, unsigned end)
{
	bool any = false;

	for (; i < end; i++)
		if (entry_hide(fmt, entries, i))
			any = true;
	return any;
}

/* All of the leaf that the cursor has to do with. */
static void suspend_leaf(struct quire_cursor *c)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	const unsigned first = entry_index(fmt, 0, c->leaf_start);
	const unsigned end = entry_index(fmt, 0, c->leaf_end - 1) + 1;
	unsigned i, next, from = end, to = end;

	if (table_is_empty(c->leaf))
		return;
	for (i = first; i < end; i = next) {
		next = end - i > CHUNK ? i + CHUNK : end;
		if (suspend_entries(fmt, c->entries, i, next)) {
			from = from < end ? from : i;
			to = next;
		}
	}
	if (from < end)
		gather_mark(c, c->leaf_start + ((uint64_t)(from - first) << QUIRE_PAGE_SHIFT),
			    c->leaf_start + ((uint64_t)(to - first) << QUIRE_PAGE_SHIFT));
}

static void suspend(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_cursor c;

	quire_cursor_open(&c, pt, start, end, QUIRE_CURSOR_TAKES);
	while (quire_cursor_next_leaf(&c))
		suspend_leaf(&c);
	quire_cursor_close(&c);
}

/* One of two tables that are to be locked together. */
struct end {
	struct quire_page *leaf; /* NULL: none */
	void *entries;
};

/* low's addresses are below high's; they may be one. */
static void lock_two(struct quire *q, struct quire_page *low, struct quire_page *high)
{
	quire_spin_lock(q, table_lock(low));
	if (high != low)
		quire_spin_lock(q, table_lock(high));
}

static void unlock_two(struct quire *q, struct quire_page *low, struct quire_page *high)
{
	if (high != low)
		quire_spin_unlock(q, table_lock(high));
	quire_spin_unlock(q, table_lock(low));
}

/* Lock the leaf tables of both addresses, the lower first; false if either has none. */
static bool lock_both(struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to,
		      struct end *src, struct end *dst)
{
	struct end *low = from < to ? src : dst, *high = from < to ? dst : src;
	struct quire *q = pt->q;
	bool both;

	quire_grace_enter(q);
	for (;;) {
		src->leaf = quire_walk_table(pt, from, 0, &src->entries);
		dst->leaf = quire_walk_table(pt, to, 0, &dst->entries);
		both = src->leaf && dst->leaf;
		if (!both)
			break;
		lock_two(q, low->leaf, high->leaf);
		if (!table_is_stale(low->leaf) && !table_is_stale(high->leaf))
			break;
		unlock_two(q, low->leaf, high->leaf);
	}
	quire_grace_leave(q);
	return both;
}

/* Up to nr hidden ones, as many as follow each other: so many. */
static __attribute__((noinline)) unsigned carry_hidden(const struct quire_pgfmt *fmt, void *src,
							  unsigned from, void *dst, unsigned to,
							  unsigned nr)
{
	unsigned i;

	for (i = 0; i < nr && entry_carry(fmt, src, from + i, dst, to + i); i++)
		;
	return i;
}

/* What is not hidden. The number of entries that went over: 1 or 0; -1: it was present. */
static int carry_entry(const struct quire_pgfmt *fmt, void *src, unsigned from, void *dst,
		       unsigned to)
{
	quire_pte_t pte = entry_get(fmt, src, from);

	if (!pte)
		return 0;
	if (pte_present(fmt, pte))
		return -1;
	entry_fill(fmt, dst, to, pte);
	entry_clear_absent(fmt, src, from);
	return 1;
}

/* No page comes to where one is: for debug builds. */
static inline bool nowhere_both(const struct quire_pgfmt *fmt, const void *src, unsigned from,
			 const void *dst, unsigned to, unsigned nr)
{
	unsigned i;

	for (i = 0; i < nr; i++)
		if (entry_is_used(fmt, src, from + i) && entry_is_used(fmt, dst, to + i))
			return false;
	return true;
}

/* nr entries, all within one table on either side, both locked. False if one was present. */
static bool carry_entries(struct quire_pgtable *pt, struct end *src, unsigned from, struct end *dst,
			  unsigned to, unsigned nr)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	void *in = src->entries, *out = dst->entries;
	bool all = true;
	int carried = 0;
	unsigned i = 0;

	quire_assert(pt->q, nowhere_both(fmt, in, from, out, to, nr));
	while (i < nr) {
		unsigned n = carry_hidden(fmt, in, from + i, out, to + i, nr - i);
		int done;

		carried += (int)n;
		i += n;
		if (i == nr)
			break;
		done = carry_entry(fmt, in, from + i, out, to + i);
		all &= done >= 0;
		carried += done > 0;
		/* Empty: perhaps far. */
		i = done ? i + 1 : entry_scan(fmt, in, from + i, from + nr - 1) - from;
	}
	/* Nobody counts without the locks. */
	table_count(dst->leaf, carried);
	table_count(src->leaf, -carried);
	return all;
}

/* Nothing in use in [addr, addr + bytes), which is within one leaf table. */
static bool is_empty(struct quire_pgtable *pt, quire_uaddr_t addr, uint64_t bytes)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	unsigned first = entry_index(fmt, 0, addr);
	unsigned last = first + (unsigned)(bytes >> fmt->shift[0]) - 1;
	void *entries;
	bool empty;

	quire_grace_enter(pt->q);
	empty = !quire_walk_table(pt, addr, 0, &entries) ||
		entry_scan(fmt, entries, first, last) > last;
	quire_grace_leave(pt->q);
	return empty;
}

/* False if an entry was found present, and left. */
static bool carry(struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to, uint64_t len)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	const uint64_t span = UINT64_C(1) << table_shift(fmt, 0);
	const quire_uaddr_t end = from + len;
	quire_uaddr_t addr = from;
	bool all = true;

	while (addr < end) {
		struct quire_page *leaf;
		struct end src, dst;
		quire_uaddr_t dest;
		uint64_t bytes;
		void *entries;

		quire_grace_enter(pt->q);
		leaf = quire_walk_next_leaf(pt, &addr, end, &entries);
		quire_grace_leave(pt->q);
		if (!leaf)
			break;

		/*	source leaves   |-------s0-------|-------s1-------|
		 *	addr                 |--bytes----|
		 *	dest                 |--b1--|-b2-|                  as seen from the source
		 */
		dest = addr - from + to;
		bytes = span - (addr & (span - 1));
		if (bytes > span - (dest & (span - 1)))
			bytes = span - (dest & (span - 1));
		if (bytes > end - addr)
			bytes = end - addr;

		if (lock_both(pt, addr, dest, &src, &dst)) {
			all &= carry_entries(pt, &src, entry_index(fmt, 0, addr), &dst,
					     entry_index(fmt, 0, dest),
					     (unsigned)(bytes >> fmt->shift[0]));
			unlock_two(pt->q, src.leaf, dst.leaf);
		} else if (!is_empty(pt, addr, bytes)) {
			quire_report(pt->q, "pgtable: no table where entries should go", dest);
		}
		addr += bytes;
	}
	return all;
}

/* ---- Whole tables ------------------------------------------------------------------------ */

/* The tables that the two entries point to, both parents locked. False: not now, and nothing has changed. */
static bool swap_locked(struct quire_pgtable *pt, quire_uaddr_t from, struct end *src,
			quire_uaddr_t to, struct end *dst)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	const unsigned i = entry_index(fmt, 1, from), j = entry_index(fmt, 1, to);
	const quire_pte_t old = entry_load(fmt, src->entries, i),
			  empty = entry_load(fmt, dst->entries, j);
	struct quire_page *table, *other;
	struct quire *q = pt->q;
	bool may;

	if (table_is_stale(src->leaf) || table_is_stale(dst->leaf) || !pte_is_table(fmt, old) ||
	    !pte_is_table(fmt, empty))
		return false;
	table = quire_pfn_to_page(q, pte_pfn(fmt, old));
	other = quire_pfn_to_page(q, pte_pfn(fmt, empty));
	lock_two(q, from < to ? table : other, from < to ? other : table);
	may = table_is_empty(other) && !table_is_parked_in(table);
	if (may) {
		quire_store(&table->index, to);
		quire_store(&other->index, from);
		(void)entry_exchange(fmt, src->entries, i, empty);
		(void)entry_exchange(fmt, dst->entries, j, old & ~pte_table_shown(fmt));
	}
	unlock_two(q, from < to ? table : other, from < to ? other : table);
	return may;
}

/* Both are where tables begin. */
static bool swap_tables(struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to)
{
	struct quire *q = pt->q;
	struct end src, dst; /* the parents */
	bool done = false;

	quire_grace_enter(q);
	src.leaf = quire_walk_table(pt, from, 1, &src.entries);
	dst.leaf = quire_walk_table(pt, to, 1, &dst.entries);
	if (src.leaf && dst.leaf) {
		struct quire_page *low = from < to ? src.leaf : dst.leaf;
		struct quire_page *high = from < to ? dst.leaf : src.leaf;

		lock_two(q, low, high);
		done = swap_locked(pt, from, &src, to, &dst);
		unlock_two(q, low, high);
	}
	quire_grace_leave(q);
	return done;
}

/* The table at addr is for the hardware, too. If it has been unlinked there is nothing to show. */
static void show_table(struct quire_pgtable *pt, quire_uaddr_t addr)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	struct quire_page *parent;
	void *entries;

	quire_grace_enter(pt->q);
	parent = quire_walk_table(pt, addr, 1, &entries);
	if (parent) {
		unsigned i = entry_index(fmt, 1, addr);
		quire_pte_t pte;

		quire_spin_lock(pt->q, table_lock(parent));
		pte = entry_load(fmt, entries, i);
		if (!table_is_stale(parent) && pte && !(pte & pte_table_shown(fmt)))
			entry_store(fmt, entries, i, pte | pte_table_shown(fmt));
		quire_spin_unlock(pt->q, table_lock(parent));
	}
	quire_grace_leave(pt->q);
}

/* The next leaf table that begins in [addr, end), which begins with one: where; or end. */
static quire_uaddr_t next_table(struct quire_pgtable *pt, quire_uaddr_t addr, quire_uaddr_t end)
{
	void *entries;
	bool found;

	quire_grace_enter(pt->q);
	found = quire_walk_next_leaf(pt, &addr, end, &entries) != NULL;
	quire_grace_leave(pt->q);
	return found ? addr : end;
}

/* True if that was all there is. Who may not trust the source any more is counted as if he took its entries away. */
static bool move_tables(struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to,
			uint64_t len)
{
	const uint64_t span = UINT64_C(1) << table_shift(FMT(pt->fmt), 0);
	const quire_uaddr_t start = (from + span - 1) & ~(span - 1),
			    end = (from + len) & ~(span - 1);
	bool all = start == from && end == from + len, any = false;
	quire_uaddr_t addr;

	if (((from ^ to) & (span - 1)) || start >= end)
		return false;
	(void)quire_fetch_add(&pt->taking, 1u);
	quire_store_release(&pt->moving, 1u);
	for (addr = next_table(pt, start, end); addr < end;
	     addr = next_table(pt, addr + span, end)) {
		if (swap_tables(pt, addr, addr - from + to))
			any = true;
		else
			all = false;
	}
	if (any)
		quire_flush_space(pt);
	quire_store_release(&pt->moving, 0u);
	(void)quire_fetch_sub(&pt->taking, 1u);
	for (addr = next_table(pt, start - from + to, end - from + to);
	     any && addr < end - from + to; addr = next_table(pt, addr + span, end - from + to))
		show_table(pt, addr);
	return all;
}

void quire_tables_move(struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to, uint64_t len)
{
	quire_assert(pt->q, from + len <= to || to + len <= from);
	if (move_tables(pt, from, to, len))
		return;
	do
		suspend(pt, from, from + len);
	while (!carry(pt, from, to, len));
}

/* SPDX-License-Identifier: MIT */
/*
 * Moving entries from one range of a space to another, for mremap. Two passes, so that no lock is
 * held while CPUs are waited for:
 *
 *   suspend   every present entry at the source loses READ, that is, presence, and nothing else;
 *             then one flush, after which no CPU can reach a page through the source
 *   carry     leaf by leaf, both locked, the entries go over and become present again
 *
 * So whoever comes by the pages' reverse maps finds each entry at one of its two places, and no
 * page can be freed by way of its new place while a CPU still has the old one. If somebody made
 * an entry present again in between (write-protected it, say), it is left for another round.
 */
#include "internal.h"

/* A suspended entry still has USER, which a page that nobody may touch does not have. */
static bool is_suspended(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	return !pte_present(fmt, pte) && pte_has(fmt, pte, QUIRE_PTE_USER);
}

#define BLOCK 4 /* entries that are looked at together, most of which are alike */

/* Returns what stood there. */
static inline quire_pte_t suspend_entry(const struct quire_pgfmt *fmt, void *entries, unsigned i)
{
	quire_pte_t pte = entry_load_used(fmt, entries, i);

	if (pte_present(fmt, pte)) {
		const struct pte_change hidden = pte_removal(fmt, QUIRE_PTE_READ);

		while (!entry_cmpxchg(fmt, entries, i, &pte, pte_changed(fmt, hidden, pte)))
			;
	}
	return pte;
}

/*
 * All of the leaf that the cursor has to do with. The range that is marked for the flush is of whole blocks; their
 * entries taken together look present if any is.
 */
static void suspend_leaf(struct quire_cursor *c)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	const unsigned first = entry_index(fmt, 0, c->leaf_start);
	const unsigned end = entry_index(fmt, 0, c->leaf_end - 1) + 1;
	unsigned i, next, from = end, to = end;
	void *entries = c->entries;

	for (i = first; i < end; i = next) {
		quire_pte_t any = suspend_entry(fmt, entries, i);

		next = i + 1;
		if (i + BLOCK <= end) {
			any |= suspend_entry(fmt, entries, i + 1);
			any |= suspend_entry(fmt, entries, i + 2);
			any |= suspend_entry(fmt, entries, i + 3);
			next = i + BLOCK;
		}
		if (pte_present(fmt, any)) {
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

static void unlock_both(struct quire *q, struct end *a, struct end *b)
{
	if (b->leaf != a->leaf)
		quire_spin_unlock(q, table_lock(b->leaf));
	quire_spin_unlock(q, table_lock(a->leaf));
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
		quire_spin_lock(q, table_lock(low->leaf));
		if (high->leaf != low->leaf)
			quire_spin_lock(q, table_lock(high->leaf));
		if (!table_is_stale(low->leaf) && !table_is_stale(high->leaf))
			break;
		unlock_both(q, low, high);
	}
	quire_grace_leave(q);
	return both;
}

/* Not present, so the hardware does not write it: a store is enough. */
static inline void carry_suspended(const struct quire_pgfmt *fmt, quire_pte_t pte, void *src,
				   unsigned from, void *dst, unsigned to)
{
	entry_store(fmt, dst, to, pte_changed(fmt, pte_addition(fmt, QUIRE_PTE_READ), pte));
	entry_store(fmt, src, from, 0);
}

/* BLOCK entries, if all of them are suspended. */
static inline bool carry_block(const struct quire_pgfmt *fmt, void *src, unsigned from, void *dst,
			       unsigned to)
{
	quire_pte_t a = entry_load_used(fmt, src, from), b = entry_load_used(fmt, src, from + 1);
	quire_pte_t c = entry_load_used(fmt, src, from + 2),
		    d = entry_load_used(fmt, src, from + 3);

	if (!is_suspended(fmt, a) || !is_suspended(fmt, b) || !is_suspended(fmt, c) ||
	    !is_suspended(fmt, d))
		return false;
	carry_suspended(fmt, a, src, from, dst, to);
	carry_suspended(fmt, b, src, from + 1, dst, to + 1);
	carry_suspended(fmt, c, src, from + 2, dst, to + 2);
	carry_suspended(fmt, d, src, from + 3, dst, to + 3);
	return true;
}

/* The number of entries that went over: 1 or 0; -1: it was present. */
static int carry_entry(const struct quire_pgfmt *fmt, void *src, unsigned from, void *dst,
		       unsigned to)
{
	quire_pte_t pte = entry_load_used(fmt, src, from);

	if (!pte)
		return 0;
	if (pte_present(fmt, pte))
		return -1;
	if (is_suspended(fmt, pte))
		pte = pte_changed(fmt, pte_addition(fmt, QUIRE_PTE_READ), pte);
	entry_store(fmt, dst, to, pte);
	entry_store(fmt, src, from, 0);
	return 1;
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

	quire_assert(pt->q, entry_scan(fmt, out, to, to + nr - 1) == to + nr);
	while (i < nr) {
		int done;

		if (i + BLOCK <= nr && carry_block(fmt, in, from + i, out, to + i)) {
			carried += BLOCK;
			i += BLOCK;
			continue;
		}
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
			unlock_both(pt->q, &src, &dst);
		} else if (!is_empty(pt, addr, bytes)) {
			quire_report(pt->q, "pgtable: no table where entries should go", dest);
		}
		addr += bytes;
	}
	return all;
}

void quire_tables_move(struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to, uint64_t len)
{
	quire_assert(pt->q, from + len <= to || to + len <= from);
	do
		suspend(pt, from, from + len);
	while (!carry(pt, from, to, len));
}

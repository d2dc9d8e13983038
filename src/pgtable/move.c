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
	quire_ptebits_t bits = quire_pte_bits(fmt, pte);

	return (bits & QUIRE_PTE_USER) && !(bits & QUIRE_PTE_READ);
}

static void suspend(struct quire_pgtable *pt, quire_uaddr_t start, quire_uaddr_t end)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	struct quire_cursor c;
	quire_uaddr_t addr;

	quire_cursor_open(&c, pt, start, end, QUIRE_CURSOR_TAKES);
	while (quire_cursor_next_leaf(&c)) {
		addr = c.leaf_start;
		while ((addr = quire_cursor_next_used(&c, addr)) < c.leaf_end) {
			unsigned i = entry_index(fmt, 0, addr);
			quire_pte_t pte = entry_load(fmt, c.entries, i);

			if (pte_present(fmt, pte)) {
				while (!entry_cmpxchg(fmt, c.entries, i, &pte,
						      quire_pte_remove(fmt, pte, QUIRE_PTE_READ)))
					;
				gather_mark(&c, addr, addr + QUIRE_PAGE_SIZE);
			}
			addr += QUIRE_PAGE_SIZE;
		}
	}
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

/* nr entries, all within one table on either side, both locked. False if one was present. */
static bool carry_entries(struct quire_pgtable *pt, struct end *src, unsigned from, struct end *dst,
			  unsigned to, unsigned nr)
{
	const struct quire_pgfmt *fmt = FMT(pt->fmt);
	bool all = true;
	unsigned i;

	for (i = entry_scan(fmt, src->entries, from, from + nr - 1); i < from + nr;
	     i = entry_scan(fmt, src->entries, i + 1, from + nr - 1)) {
		quire_pte_t pte = entry_load(fmt, src->entries, i);

		if (pte_present(fmt, pte)) {
			all = false;
			continue;
		}
		if (is_suspended(fmt, pte))
			pte = quire_pte_add(fmt, pte, QUIRE_PTE_READ);
		quire_assert(pt->q, entry_load(fmt, dst->entries, to + (i - from)) == 0);
		/* Not present, so the hardware does not write it: a store is enough. */
		entry_store(fmt, dst->entries, to + (i - from), pte);
		table_count(dst->leaf, 1);
		entry_store(fmt, src->entries, i, 0);
		table_count(src->leaf, -1);
	}
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

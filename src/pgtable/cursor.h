/* SPDX-License-Identifier: MIT */
/*
 * The cursor in line, for rooms that go through entry after entry: what quire_cursor_*() do, at a leaf of level 0
 * and where more is known of the entry. The rest of what is included here stays this room's.
 */
#ifndef QUIRE_PGTABLE_CURSOR_H
#define QUIRE_PGTABLE_CURSOR_H

#include <pgtable/internal.h>

static inline unsigned leaf_index(struct quire_cursor *c, quire_uaddr_t addr)
{
	quire_assert(c->pt->q,
		     c->leaf && c->level == 0 && addr >= c->leaf_start && addr < c->leaf_end);
	quire_spin_assert(c->pt->q, table_lock(c->leaf));
	return entry_index(FMT(c->pt->fmt), 0, addr);
}

/* quire_cursor_get() */
static inline quire_pte_t leaf_get(struct quire_cursor *c, quire_uaddr_t addr)
{
	return entry_get(FMT(c->pt->fmt), c->entries, leaf_index(c, addr));
}

/* quire_cursor_next_used(). Most often it is this one. */
static inline quire_uaddr_t leaf_next_used(struct quire_cursor *c, quire_uaddr_t addr)
{
	if (addr >= c->leaf_end)
		return c->leaf_end;
	if (quire_likely(entry_is_used(FMT(c->pt->fmt), c->entries, leaf_index(c, addr))))
		return addr;
	return quire_cursor_next_used(c, addr);
}

/* quire_cursor_set(), where the entry is known to be empty and pte is not 0. */
static inline void leaf_fill(struct quire_cursor *c, quire_uaddr_t addr, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	unsigned i = leaf_index(c, addr);

	quire_assert(c->pt->q, pte && !entry_is_used(fmt, c->entries, i));
	entry_fill(fmt, c->entries, i, pte);
	table_count(c->leaf, 1);
}

/* quire_cursor_clear(), where the entry is known to map a page. */
static inline quire_pte_t leaf_clear_page(struct quire_cursor *c, quire_uaddr_t addr)
{
	const struct quire_pgfmt *fmt = FMT(c->pt->fmt);
	quire_pte_t old = entry_clear(fmt, c->entries, leaf_index(c, addr));

	quire_assert(c->pt->q, pte_is_page(fmt, old));
	table_count(c->leaf, -1);
	gather_mark(c, addr, addr + QUIRE_PAGE_SIZE);
	return old;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The entries of one area, copied for fork. Called by fork.c with the parent's writer lock held and a child
 * that nobody can find, so the child's tables stand still; the parent's faults go on.
 *
 *	before    parent  [RW page A] [RO page B] [RW shared S] [guard]   child  empty
 *	after     parent  [RO page A] [RO page B] [RW shared S] [guard]   child  the same, but not accessed yet
 *
 * Two passes. The first makes the child's tables, and is all that can fail; a leaf table that a fault
 * makes in the parent after it has passed is left out, as if that fault had come after the fork. The second holds
 * a leaf lock of each space at a time, parent's first, and flushes the parent once, at its end.
 *
 * Until that flush some CPUs may still write to pages through entries that are read-only by now. To share such a
 * page does no harm, as the child does not look at it yet; to copy it would lose what is written after the copy. So the
 * parent's copy-on-write faults, alone of all faults, wait for the fork: see quire_mm.unflushed.
 */
#include <mm/internal.h>

#define OTHER_RIGHTS (QUIRE_PTE_READ | QUIRE_PTE_EXEC | QUIRE_PTE_USER | QUIRE_PTE_GLOBAL)

struct copy {
	/* input */
	struct quire_vma *child, *parent;
	struct quire *q;
	const struct quire_pgfmt *fmt;
	/* derived */
	bool is_cow;                 /* private, and could be written */
	int64_t added[QUIRE_NR_RSS]; /* entries made, by kind */
	struct quire_cursor from, to;
};

/* Tables for the child wherever the parent's leaf has something. */
static int reserve_tables(struct copy *c)
{
	struct quire_pgtable *from = &c->parent->mm->pt, *to = &c->child->mm->pt;
	quire_uaddr_t pos = c->parent->start, end = c->parent->end;

	while (pos < end) {
		quire_uaddr_t start, stop;
		bool used;

		quire_cursor_open(&c->from, from, pos, end, 0);
		if (!quire_cursor_next_leaf(&c->from)) {
			quire_cursor_close(&c->from);
			break;
		}
		start = c->from.leaf_start;
		stop = c->from.leaf_end;
		used = quire_cursor_next_used(&c->from, start) < stop;
		quire_cursor_close(&c->from);
		if (used && quire_tables_populate(to, start, stop))
			return -QUIRE_ENOMEM;
		pos = stop;
	}
	return 0;
}

/*
 * Both leaves locked. Marks: the child has not accessed anything yet, and in a shared area what is
 * dirty is so through the parent; a private dirty page is dirty for both.
 */
static void copy_page(struct copy *c, quire_uaddr_t addr, quire_pte_t entry)
{
	quire_ptebits_t drop = QUIRE_PTE_ACCESSED;
	struct quire_page *page = NULL;

	if (!quire_pte_has(c->fmt, entry, QUIRE_PTE_SPECIAL)) {
		page = quire_pfn_to_page(c->q, quire_pte_pfn(c->fmt, entry));
		/* Written after the child was found to have no owner. */
		if (page && quire_page_kind(page) == QUIRE_PAGE_ANON && !c->child->anon)
			return;
	}
	if (c->is_cow && quire_pte_has(c->fmt, entry, QUIRE_PTE_WRITE)) {
		quire_cursor_protect(&c->from, addr, quire_pte_bits(c->fmt, entry) & OTHER_RIGHTS);
		/* The parent may have dirtied it since we looked. */
		entry = quire_cursor_get(&c->from, addr);
	}
	if (c->parent->flags & QUIRE_VM_SHARED)
		drop |= QUIRE_PTE_DIRTY;
	if (page) {
		if (quire_page_test(page, QUIRE_PG_EXCLUSIVE))
			(void)quire_page_test_clear(page, QUIRE_PG_EXCLUSIVE);
		quire_page_get(page);
		quire_page_mapped(c->q, page);
		c->added[quire_page_rss(page)]++;
	}
	quire_cursor_set(&c->to, addr, quire_pte_remove(c->fmt, entry, drop));
}

static void copy_leaf(struct copy *c)
{
	quire_uaddr_t a = quire_cursor_next_used(&c->from, c->from.leaf_start);

	for (; a < c->from.leaf_end; a = quire_cursor_next_used(&c->from, a + QUIRE_PAGE_SIZE)) {
		quire_pte_t entry = quire_cursor_get(&c->from, a);

		switch (quire_pte_kind(c->fmt, entry)) {
		case QUIRE_PTE_PAGE:
			copy_page(c, a, entry);
			break;
		case QUIRE_PTE_GUARD:
			quire_cursor_set(&c->to, a, entry);
			break;
		case QUIRE_PTE_EMPTY:
			break;
		default:
			/* There is no swap yet. */
			quire_report(c->q, "copy: an entry of no known kind", a);
		}
	}
}

int quire_copy_range(struct quire_vma *child, struct quire_vma *parent)
{
	struct copy c = {
		.child = child,
		.parent = parent,
		.q = parent->mm->q,
		.fmt = parent->mm->pt.fmt,
		.is_cow = (parent->flags & (QUIRE_VM_SHARED | QUIRE_VM_MAYWRITE)) == QUIRE_VM_MAYWRITE,
	};
	int err = reserve_tables(&c);

	if (err)
		return err;
	quire_store_release(&parent->mm->unflushed, QUIRE_UNFLUSHED_FORK);
	quire_cursor_open(&c.from, &parent->mm->pt, parent->start, parent->end, 0);
	while (quire_cursor_next_leaf(&c.from)) {
		/* Only ever fills what is empty, so closing it has nothing to flush. */
		quire_cursor_open(&c.to, &child->mm->pt, c.from.leaf_start, c.from.leaf_end, 0);
		if (quire_cursor_seek(&c.to, c.from.leaf_start))
			copy_leaf(&c);
		quire_cursor_close(&c.to);
	}
	quire_cursor_close(&c.from);
	quire_store_release(&parent->mm->unflushed, 0u);
	for (unsigned k = 0; k < QUIRE_NR_RSS; k++) {
		if (c.added[k])
			quire_rss_add(child->mm, (enum quire_rss)k, c.added[k]);
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The entries of a space's areas, copied for fork. Called by fork.c with the parent's writer lock
 * held and a child that nobody can find, so the child's tables stand still; the parent's faults go
 * on, but for those below.
 *
 *	before    parent  [RW page A] [RO page B] [RW shared S] [guard]   child  empty
 *	after     parent  [RO page A] [RO page B] [RW shared S] [guard]   child  the same, not used
 *
 * Two passes an area. The first makes the child's tables, and is all that can fail; a leaf table
 * that a fault makes in the parent after it has passed is left out, as if that fault had come after
 * the fork. The second holds a leaf lock of each space at a time, parent's first. The parent is
 * flushed once, when all areas are copied.
 *
 * Until that flush some CPUs may still write to pages through entries that are read-only by now. To
 * share such a page does no harm, as the child does not look at it yet; to copy it would lose what
 * is written after the copy.
 *
 * And the child must not see a store without those that came before it. What is stored to a page
 * that both have is seen by both. But a page that a fault gave to the parent alone, at an address
 * that has been copied, would keep a store from the child, while a later one, to a page that has
 * not been copied yet, reached it.
 *
 * So faults that would give the parent a private page wait from begin() to end(), alone of all
 * faults: see quire_mm.unflushed and quire_fault_waits_for_fork().
 */
#include <mm/internal.h>
#include <pgtable/cursor.h>

#define OTHER_RIGHTS (QUIRE_PTE_READ | QUIRE_PTE_EXEC | QUIRE_PTE_USER | QUIRE_PTE_GLOBAL)

struct copy_area {
	/* input */
	struct quire_vma *child, *parent;
	struct quire *q;
	const struct quire_pgfmt *fmt;
	struct quire_cursor *from;
	/* derived */
	bool is_cow;		     /* private, and could be written */
	struct pte_change change;    /* from the parent's entry to the child's */
	int64_t added[QUIRE_NR_RSS]; /* entries made, by kind */
	struct quire_cursor to;
};

/*
 * Tables for the child wherever the parent's leaf has something. Uses the child's cursor on the
 * parent.
 */
static int reserve_tables(struct copy_area *c)
{
	struct quire_pgtable *from = &c->parent->mm->pt, *to = &c->child->mm->pt;
	quire_uaddr_t pos = c->parent->start, end = c->parent->end;

	while (pos < end) {
		quire_uaddr_t start, stop;
		bool used;

		quire_cursor_open(&c->to, from, pos, end, 0);
		if (!quire_cursor_next_leaf(&c->to)) {
			quire_cursor_close(&c->to);
			break;
		}
		start = c->to.leaf_start;
		stop = c->to.leaf_end;
		used = quire_cursor_next_used(&c->to, start) < stop;
		quire_cursor_close(&c->to);
		if (used && quire_tables_populate(to, start, stop))
			return -QUIRE_ENOMEM;
		pos = stop;
	}
	return 0;
}

/*
 * Marks: the child has not accessed anything yet and locked nothing, and in a shared area what is dirty is so
 * through the parent; a private dirty page is dirty for both.
 */
static struct pte_change change_for(const struct quire_pgfmt *fmt, const struct quire_vma *parent)
{
	if (parent->flags & QUIRE_VM_SHARED)
		return pte_removal(fmt, QUIRE_PTE_ACCESSED | QUIRE_PTE_LOCKED | QUIRE_PTE_DIRTY);
	return pte_removal(fmt, QUIRE_PTE_ACCESSED | QUIRE_PTE_LOCKED);
}

/* Both leaves locked. */
static void copy_page(struct copy_area *c, quire_uaddr_t addr, quire_pte_t entry)
{
	struct quire_page *page = NULL;
	uint32_t flags = 0;

	if (!pte_page_has(c->fmt, entry, QUIRE_PTE_SPECIAL)) {
		page = quire_pfn_to_page(c->q, pte_pfn(c->fmt, entry));
		flags = page ? quire_load(&page->flags) : 0;
		/* Written after the child was found to have no owner. */
		if ((flags & QUIRE_PG_KIND_MASK) == QUIRE_PAGE_ANON && !c->child->anon)
			return;
	}
	if (c->is_cow && pte_page_has(c->fmt, entry, QUIRE_PTE_WRITE)) {
		quire_cursor_protect(c->from, addr, quire_pte_bits(c->fmt, entry) & OTHER_RIGHTS);
		/* The parent may have dirtied it since we looked. */
		entry = leaf_get(c->from, addr);
	}
	if (page) {
		if (flags & QUIRE_PG_EXCLUSIVE)
			(void)quire_page_test_clear(page, QUIRE_PG_EXCLUSIVE);
		quire_page_get(page);
		quire_page_mapped(c->q, page, 0);
		c->added[quire_rss_of(flags)]++;
	}
	leaf_fill(&c->to, addr, pte_changed(c->fmt, c->change, entry));
}

/* Both leaves locked; [start, end) is the area's part of both. */
static void copy_leaf(struct copy_area *c, quire_uaddr_t start, quire_uaddr_t end)
{
	quire_uaddr_t a = leaf_next_used(c->from, start);

	for (; a < end; a = leaf_next_used(c->from, a + QUIRE_PAGE_SIZE)) {
		quire_pte_t entry = leaf_get(c->from, a);

		switch (pte_kind(c->fmt, entry)) {
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

void quire_copy_begin(struct quire_copy *copy, struct quire_mm *parent, struct quire_mm *child)
{
	copy->parent = parent;
	copy->child = child;
	quire_store_release(&parent->unflushed, QUIRE_UNFLUSHED_FORK);
	/*
	 * Pairs with the one in quire_fault_waits_for_fork(): a table that we do not find is one
	 * whose users wait.
	 */
	quire_fence();
	quire_cursor_open(&copy->from, &parent->pt, 0, parent->pt.fmt->user_end, 0);
}

int quire_copy_range(struct quire_copy *copy, struct quire_vma *child, struct quire_vma *parent)
{
	struct quire_cursor *from = &copy->from;
	struct copy_area c = {
		.child = child,
		.parent = parent,
		.q = parent->mm->q,
		.fmt = parent->mm->pt.fmt,
		.from = from,
		.is_cow = (parent->flags & (QUIRE_VM_SHARED | QUIRE_VM_MAYWRITE)) ==
			  QUIRE_VM_MAYWRITE,
		.change = change_for(parent->mm->pt.fmt, parent),
	};
	int err = reserve_tables(&c);
	bool more;

	if (err)
		return err;
	more = quire_cursor_seek(from, parent->start) || quire_cursor_next_leaf(from);
	while (more && from->leaf_start < parent->end) {
		quire_uaddr_t start =
			parent->start > from->leaf_start ? parent->start : from->leaf_start;
		quire_uaddr_t end = parent->end < from->leaf_end ? parent->end : from->leaf_end;

		/* Only ever fills what is empty, so closing it has nothing to flush. */
		quire_cursor_open(&c.to, &copy->child->pt, start, end, 0);
		if (quire_cursor_seek(&c.to, start))
			copy_leaf(&c, start, end);
		quire_cursor_close(&c.to);
		more = quire_cursor_next_leaf(from);
	}
	quire_cursor_leave(from);
	for (unsigned k = 0; k < QUIRE_NR_RSS; k++) {
		if (c.added[k])
			quire_rss_add(child->mm, (enum quire_rss)k, c.added[k]);
	}
	return 0;
}

void quire_copy_end(struct quire_copy *copy)
{
	quire_cursor_close(&copy->from);
	quire_store_release(&copy->parent->unflushed, 0u);
}

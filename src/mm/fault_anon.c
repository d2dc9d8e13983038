/* SPDX-License-Identifier: MIT */
/*
 * Faults on private memory: demand zero, and everything that meets an entry which is there already:
 * rights that have come back, a page that is the area's alone, copy-on-write. Called by fault.c.
 *
 * Copy-on-write has a trap. Between storing the new entry and the end of the flush, some CPUs still
 * read the old page. If the new entry let a CPU write at once, a thread could see another thread's
 * new value, look at the same word through its own stale entry and see the old one. So:
 *
 *	new entry, read-only; the new page locked      both pages hold the same bytes
 *	flush                                          nobody has the old entry any more
 *	unlock; next attempt: the page is the area's alone and not locked, give WRITE
 *
 * Who wants to write in between waits for the page lock.
 */
#include <mm/fault.h>
#include <pgtable/cursor.h>

/* ---- Demand zero ------------------------------------------------------------------------- */

static bool is_zero_frame(struct quire *q, quire_pfn_t pfn)
{
	return pfn == quire_page_to_pfn(q, q->pages.zero_page);
}

/* Reading maps the one page of zeroes that everybody has, if it may: not counted, no owner needed. */
static enum quire_outcome map_zero_page(struct quire_fault *f)
{
	const struct quire_pgfmt *fmt = f->mm->pt.fmt;
	enum quire_outcome r = quire_fault_lock_leaf(f, f->addr, f->addr + QUIRE_PAGE_SIZE);

	if (r)
		return r;
	if (leaf_get(&f->c, f->addr) != 0)
		return QUIRE_FAULT_DONE;
	leaf_fill(
		&f->c, f->addr,
		pte_make(fmt, quire_page_to_pfn(f->q, f->q->pages.zero_page),
			 (f->rights & ~QUIRE_PTE_WRITE) | QUIRE_PTE_SPECIAL | QUIRE_PTE_ACCESSED));
	return QUIRE_FAULT_DONE;
}

enum quire_outcome quire_fault_anon_empty(struct quire_fault *f)
{
	enum quire_outcome r;

	if (!quire_fault_needs_frame(f))
		return map_zero_page(f);
	r = quire_fault_take_frame(f, true);
	if (r)
		return r;
	r = quire_fault_take_owner(f);
	if (r)
		return r;
	r = quire_fault_lock_leaf(f, f->addr, f->addr + QUIRE_PAGE_SIZE);
	if (r)
		return r;
	if (leaf_get(&f->c, f->addr) != 0)
		return QUIRE_FAULT_DONE;
	if (quire_fault_waits_for_fork(f))
		return QUIRE_FAULT_WAIT;
	quire_fault_set_frame(f);
	return QUIRE_FAULT_DONE;
}

/* ---- Copy-on-write ----------------------------------------------------------------------- */

/* The bytes behind entry into f->frame. f->page, if there is one, is held. */
static enum quire_outcome fill_frame(struct quire_fault *f, quire_pte_t entry)
{
	quire_pfn_t pfn = pte_pfn(f->mm->pt.fmt, entry);
	struct quire_page *from = f->page;
	enum quire_outcome r;

	if (!from && is_zero_frame(f->q, pfn))
		return quire_fault_take_frame(f, true);
	if (!from)
		from = quire_pfn_to_page(f->q, pfn);
	if (!from)
		return QUIRE_FAULT_BUS; /* outside memory: can be mapped, not copied */
	r = quire_fault_take_frame(f, false);
	if (r)
		return r;
	f->frame_is_zero = false;
	quire_page_copy(f->q, f->frame, from);
	return QUIRE_FAULT_DONE;
}

/* Leaf locked, the entry still maps what was copied: put the copy there, read-only for now. */
static void replace_by_frame(struct quire_fault *f)
{
	const struct quire_pgfmt *fmt = f->mm->pt.fmt;
	struct quire_page *old_page = f->page, *page = f->frame;
	enum quire_rss old_kind = old_page ? quire_page_rss(old_page) : QUIRE_RSS_ANON;
	quire_ptebits_t bits = (f->rights & ~QUIRE_PTE_WRITE) | QUIRE_PTE_ACCESSED;
	quire_pte_t old;

	quire_page_make_anon(f->vma, page, f->addr);
	bits |= quire_lock_bit(f->vma, page);
	old = quire_cursor_replace(&f->c, f->addr,
				   pte_make(fmt, quire_page_to_pfn(f->q, page), bits));
	if (old_page) {
		if (old_kind != QUIRE_RSS_ANON && pte_has(fmt, old, QUIRE_PTE_ACCESSED) &&
		    !quire_page_test(old_page, QUIRE_PG_REFERENCED))
			quire_page_set(old_page, QUIRE_PG_REFERENCED);
		quire_rss_add(f->mm, old_kind, -1);
		quire_page_unmapped(f->q, old_page,
				    pte_has(fmt, old, QUIRE_PTE_LOCKED) ? QUIRE_PTE_LOCKED : 0);
		quire_cursor_put_page(&f->c, old_page);
		(void)quire_page_put(f->q, old_page); /* the entry's reference is in the gather */
	}
	f->frame = NULL;
	quire_page_get(page);
	f->page = page; /* to unlock it after the flush */
}

/* Leaf locked; page is what the entry maps, NULL for the zero page and raw frames. */
static enum quire_outcome copy_on_write(struct quire_fault *f, quire_pte_t entry,
					struct quire_page *page)
{
	const struct quire_pgfmt *fmt = f->mm->pt.fmt;
	enum quire_outcome r;
	quire_pte_t now;

	/* Here already: write-protected a moment ago, it may still be written to. */
	if (quire_fault_waits_for_fork(f))
		return QUIRE_FAULT_WAIT;
	if (page) {
		quire_page_get(page);
		f->page = page;
	}
	quire_fault_close_cursor(f);
	r = fill_frame(f, entry);
	if (r)
		return r;
	r = quire_fault_take_owner(f);
	if (r)
		return r;
	if (quire_page_trylock(f->frame))
		f->locked = f->frame;
	quire_assert(f->q, f->locked == f->frame);

	r = quire_fault_lock_leaf(f, f->addr, f->addr + QUIRE_PAGE_SIZE);
	if (r)
		return r;
	now = leaf_get(&f->c, f->addr);
	if (pte_kind(fmt, now) != QUIRE_PTE_PAGE || pte_pfn(fmt, now) != pte_pfn(fmt, entry) ||
	    pte_has(fmt, now, QUIRE_PTE_SPECIAL) != pte_has(fmt, entry, QUIRE_PTE_SPECIAL) ||
	    pte_has(fmt, now, QUIRE_PTE_WRITE))
		return QUIRE_FAULT_DONE;
	if (quire_fault_waits_for_fork(f))
		return QUIRE_FAULT_WAIT;
	replace_by_frame(f);
	return QUIRE_FAULT_AGAIN;
}

/* ---- Entries that are there -------------------------------------------------------------- */

/*
 * Leaf locked. More rights, or none that it had not: then the CPU used an older entry, and drops
 * it.
 */
static void add_rights(struct quire_fault *f, quire_pte_t entry, quire_ptebits_t bits)
{
	quire_pte_t more = pte_changed(f->mm->pt.fmt, pte_addition(f->mm->pt.fmt, bits), entry);

	if (more != entry)
		quire_cursor_set(&f->c, f->addr, more);
	else
		quire_port_tlb_flush_local(f->q, f->mm->pt.asid, f->addr);
}

/* Leaf locked. Somebody works on the page: wait until its lock is free. */
static enum quire_outcome wait_for_page(struct quire_fault *f, struct quire_page *page)
{
	quire_page_get(page);
	f->page = page;
	quire_fault_leave_grace(f);
	quire_fault_close_cursor(f);
	quire_page_lock(f->q, page);
	quire_page_unlock(f->q, page);
	return QUIRE_FAULT_AGAIN;
}

/* Leaf locked. Does the entry map an anonymous page that is not the area's alone? */
bool quire_fault_shares_anon(struct quire_fault *f, quire_pte_t entry)
{
	const struct quire_pgfmt *fmt = f->mm->pt.fmt;
	struct quire_page *page;

	if (pte_kind(fmt, entry) != QUIRE_PTE_PAGE || pte_has(fmt, entry, QUIRE_PTE_SPECIAL) ||
	    (f->vma->flags & QUIRE_VM_SHARED))
		return false;
	page = quire_pfn_to_page(f->q, pte_pfn(fmt, entry));
	return page && (quire_load(&page->flags) & (QUIRE_PG_KIND_MASK | QUIRE_PG_EXCLUSIVE)) ==
			       QUIRE_PAGE_ANON;
}

/*
 * Leaf locked, page anonymous, mapped here read-only in a private area. The area's alone if no
 * other entry maps it and it has been so since it was made, whoever else has a reference: they
 * expect to see what we write. Or if no other entry maps it any more and nobody has a reference:
 * then it becomes so again. Somebody with a reference from when it was shared must not see it.
 */
static enum quire_outcome write_anon(struct quire_fault *f, quire_pte_t entry,
				     struct quire_page *page)
{
	quire_ptebits_t bits = f->rights | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY;

	if (quire_page_test(page, QUIRE_PG_LOCKED))
		return wait_for_page(f, page);
	if (!quire_page_test(page, QUIRE_PG_EXCLUSIVE)) {
		if (quire_load_acquire(&page->refs) != 1)
			return copy_on_write(f, entry, page);
		/* The lock keeps those off who go from the page to its owner. */
		if (!quire_page_trylock(page))
			return wait_for_page(f, page);
		page->owner = quire_vma_owner(f->vma);
		quire_page_set(page, QUIRE_PG_EXCLUSIVE);
		quire_page_unlock(f->q, page);
	}
	/* Whoever only reads leaves the write to a fault of its own. */
	if (!quire_fault_is_write(f))
		return QUIRE_FAULT_DONE;
	if (f->vma->flags & QUIRE_VM_WRITE)
		bits |= QUIRE_PTE_WRITE;
	add_rights(f, entry, bits);
	return QUIRE_FAULT_DONE;
}

/* Leaf locked, the entry read-only, the area shared. */
static enum quire_outcome write_shared(struct quire_fault *f, quire_pte_t entry,
				       struct quire_page *page)
{
	struct quire_vma *vma = f->vma;

	if (!page || !quire_vma_is_tracked(vma)) {
		add_rights(f, entry,
			   f->rights | QUIRE_PTE_WRITE | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY);
		return QUIRE_FAULT_DONE;
	}
	quire_page_get(page);
	f->page = page;
	f->entry = entry;
	if (vma->ops && vma->ops->page_mkwrite) {
		if (!quire_vma_pin(vma))
			return QUIRE_FAULT_AGAIN;
		f->pinned = vma;
	}
	if (vma->object) {
		quire_object_get(vma->object);
		f->object = vma->object;
	}
	quire_fault_leave_grace(f);
	quire_fault_close_cursor(f);
	return quire_fault_shared_write(f);
}

/*
 * An entry maps a page. Either it lacks a right: one that this very write is to give it, or one
 * that an mprotect gave the area and has not given the entry yet (both write the same thing). Or it
 * lacks nothing: the CPU used an older one.
 */
enum quire_outcome quire_fault_present(struct quire_fault *f)
{
	const struct quire_pgfmt *fmt = f->mm->pt.fmt;
	enum quire_outcome r = quire_fault_lock_leaf(f, f->addr, f->addr + QUIRE_PAGE_SIZE);
	struct quire_page *page = NULL;
	quire_pte_t entry;

	if (r)
		return r;
	entry = leaf_get(&f->c, f->addr);
	if (pte_kind(fmt, entry) != QUIRE_PTE_PAGE)
		return QUIRE_FAULT_DONE;
	if (!quire_fault_is_write(f) && !(f->unshares && quire_fault_shares_anon(f, entry))) {
		add_rights(f, entry, f->rights | QUIRE_PTE_ACCESSED);
		return QUIRE_FAULT_DONE;
	}
	if (pte_page_has(fmt, entry, QUIRE_PTE_WRITE)) {
		add_rights(f, entry, f->rights | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY);
		return QUIRE_FAULT_DONE;
	}
	if (!pte_page_has(fmt, entry, QUIRE_PTE_SPECIAL))
		page = quire_pfn_to_page(f->q, pte_pfn(fmt, entry));
	if (f->vma->flags & QUIRE_VM_SHARED)
		return write_shared(f, entry, page);
	if (page && quire_page_kind(page) == QUIRE_PAGE_ANON)
		return write_anon(f, entry, page);
	return copy_on_write(f, entry, page);
}

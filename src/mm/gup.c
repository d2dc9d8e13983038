/* SPDX-License-Identifier: MIT */
/*
 * User pages for the kernel's own use: one page with a reference (get_user_pages), and faulting in
 * whole ranges (mlock, MAP_POPULATE). Called by hosts, access.c, mlock, mmap and madvise; outside
 * grace periods, without the writer lock. Never looks at what is in a page; but stores what others give it.
 */
#include <base/string.h>
#include <mm/fault.h>
#include <mm/gup.h>

/* ---- Following --------------------------------------------------------------------------- */

/*
 * Leaf locked: is the entry good for the access as it stands? Present, or a page of an area without
 * rights that FORCE may look at; for a write writable, or, forced into an area that is read-only, a
 * page that is the area's alone.
 */
static bool entry_serves(struct quire_fault *f, quire_pte_t entry)
{
	const struct quire_pgfmt *fmt = f->mm->pt.fmt;
	const uint32_t own = QUIRE_PAGE_ANON | QUIRE_PG_EXCLUSIVE;
	quire_ptebits_t has = quire_pte_bits(fmt, entry);
	struct quire_page *page;

	if (quire_pte_kind(fmt, entry) != QUIRE_PTE_PAGE)
		return false;
	if ((f->rights & QUIRE_PTE_READ) && !(has & QUIRE_PTE_READ))
		return false;
	if (f->unshares && quire_fault_shares_anon(f, entry))
		return false;
	if (!quire_fault_is_write(f) || (has & QUIRE_PTE_WRITE))
		return true;
	if ((f->vma->flags & QUIRE_VM_WRITE) || (has & QUIRE_PTE_SPECIAL))
		return false;
	page = quire_pfn_to_page(f->q, quire_pte_pfn(fmt, entry));
	return page && (quire_load(&page->flags) &
			(QUIRE_PG_KIND_MASK | QUIRE_PG_EXCLUSIVE | QUIRE_PG_LOCKED)) == own;
}

/*
 * The page behind an entry that serves, if it has one: raw frames have none but the page of zeroes.
 */
static struct quire_page *page_of(struct quire_fault *f, quire_pte_t entry)
{
	quire_pfn_t pfn = quire_pte_pfn(f->mm->pt.fmt, entry);
	struct quire_page *zero = f->q->pages.zero_page;

	if (!quire_pte_has(f->mm->pt.fmt, entry, QUIRE_PTE_SPECIAL))
		return quire_pfn_to_page(f->q, pfn);
	return pfn == quire_page_to_pfn(f->q, zero) ? zero : NULL;
}

/*
 * A page that will be written to, by way of its frame, is dirty from now on, for those too who have it mapped elsewhere.
 * An anonymous one notes that itself, as in Linux: it outlives what a MADV_FREE does to the entry of somebody who
 * shares it. Returns the marks that the entry gets.
 */
static quire_ptebits_t mark_page(struct quire_fault *f, quire_pte_t entry)
{
	struct quire_page *page;

	if (!quire_fault_is_write(f) || quire_pte_has(f->mm->pt.fmt, entry, QUIRE_PTE_DIRTY))
		return QUIRE_PTE_ACCESSED;
	page = page_of(f, entry);
	if (page && quire_page_kind(page) == QUIRE_PAGE_ANON) {
		quire_page_set(page, QUIRE_PG_DIRTY);
		return QUIRE_PTE_ACCESSED;
	}
	if (page && quire_page_kind(page) == QUIRE_PAGE_CACHE)
		quire_page_mark_dirty(f->q, page);
	return QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY;
}

/*
 * Two kmaps, undone in reverse order; one where both are one page, since only then do pointers show an overlap. Who goes by
 * way of the frame, as Linux does with somebody else's memory (set_page_dirty_lock()), notes the write in an anonymous page even
 * if the entry has noted one, for an entry's note goes with MADV_FREE. For one's own memory the entry's is enough.
 */
static void put_bytes(struct quire_fault *f, struct quire_page *page, uint64_t offset,
		      const struct quire_bytes *bytes)
{
	struct quire *q = f->q;
	unsigned char *to = quire_page_kmap(q, page);
	const unsigned char *from = bytes->buf;
	unsigned char *mapped = NULL;

	if (bytes->page == page) {
		from = to + bytes->offset;
	} else if (bytes->page) {
		mapped = quire_page_kmap(q, bytes->page);
		from = mapped + bytes->offset;
	}
	memmove(to + offset, from, bytes->len);
	if (mapped)
		quire_page_kunmap(q, mapped);
	quire_page_kunmap(q, to);
	if (quire_page_kind(page) != QUIRE_PAGE_ANON)
		quire_page_mark_dirty(q, page);
	else if (!f->user)
		quire_page_set(page, QUIRE_PG_DIRTY);
}

/* What is wanted of the page behind an entry that serves, all of it while the leaf is locked. */
struct wish {
	struct quire_page *page; /* reference: it is given a reference, and told here */
	bool reference;
	const struct quire_bytes *bytes; /* stored to it, unless NULL */
	uint64_t offset;		 /* where in the page */
};

/* DONE: what is there serves, and what was wished is done. AGAIN: a fault is needed. Or what is wrong. */
static enum quire_outcome follow(struct quire_fault *f, struct wish *wish)
{
	enum quire_outcome r = quire_fault_find(f);
	struct quire_page *page;
	quire_pte_t entry, marked;

	if (r)
		return r;
	/* By the page's own address one gets there at once: so nobody comes to an older page by his TLB after that. */
	quire_cursor_open(&f->c, &f->mm->pt, f->addr, f->addr + QUIRE_PAGE_SIZE,
			  wish->reference || wish->bytes ? QUIRE_CURSOR_TAKES : 0);
	f->cursor_open = true;
	if (!quire_cursor_seek(&f->c, f->addr) ||
	    quire_load_acquire(&f->vma->state) != QUIRE_VMA_ALIVE)
		return QUIRE_FAULT_AGAIN;
	entry = quire_cursor_get(&f->c, f->addr);
	if (!entry_serves(f, entry))
		return QUIRE_FAULT_AGAIN;
	/* The access that the caller is about to make counts as one of the area's owner. */
	marked = quire_pte_add(f->mm->pt.fmt, entry, mark_page(f, entry));
	if (marked != entry)
		quire_cursor_set(&f->c, f->addr, marked);
	if (!wish->reference && !wish->bytes)
		return QUIRE_FAULT_DONE;
	page = page_of(f, entry);
	if (!page)
		return QUIRE_FAULT_DENIED;
	if (wish->bytes)
		put_bytes(f, page, wish->offset, wish->bytes);
	if (wish->reference) {
		quire_page_get(page);
		wish->page = page;
	}
	return QUIRE_FAULT_DONE;
}

static int error_of(enum quire_outcome r)
{
	switch (r) {
	case QUIRE_FAULT_DONE:
		return 0;
	case QUIRE_FAULT_OOM:
		return -QUIRE_ENOMEM;
	default:
		return -QUIRE_EFAULT;
	}
}

static int touch(struct quire_fault *f, struct wish *wish)
{
	enum quire_outcome r;

	for (;;) {
		r = follow(f, wish);
		quire_fault_end_attempt(f);
		if (r == QUIRE_FAULT_DONE || r == QUIRE_FAULT_DENIED)
			break;
		r = quire_serve_fault(f);
		if (r)
			break;
	}
	quire_fault_destroy(f);
	return error_of(r);
}

static int touch_for_page(struct quire_fault *f, struct quire_page **page)
{
	struct wish wish = {.reference = page != NULL};
	int err = touch(f, &wish);

	if (page)
		*page = wish.page;
	return err;
}

int quire_touch_page(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access, bool user,
		     struct quire_page **page)
{
	struct quire_fault f;

	quire_fault_init(&f, mm, addr, access, user);
	return touch_for_page(&f, page);
}

int quire_read_remote_page(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access,
			   struct quire_page **page)
{
	struct quire_fault f;

	quire_assert(mm->q, !(access & QUIRE_ACCESS_WRITE));
	quire_fault_init(&f, mm, addr, access, false);
	f.grows = true;
	return touch_for_page(&f, page);
}

int quire_pin_remote_page(struct quire_mm *mm, quire_uaddr_t addr, struct quire_page **page)
{
	struct quire_fault f;

	quire_fault_init(&f, mm, addr, QUIRE_ACCESS_READ, false);
	f.unshares = true;
	return touch_for_page(&f, page);
}

int quire_store_bytes(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access, bool user,
		      bool grows, const struct quire_bytes *bytes)
{
	struct wish wish = {.bytes = bytes, .offset = addr & (QUIRE_PAGE_SIZE - 1)};
	struct quire_fault f;

	quire_assert(mm->q, wish.offset + bytes->len <= QUIRE_PAGE_SIZE);
	quire_fault_init(&f, mm, addr, access | QUIRE_ACCESS_WRITE, user);
	f.grows = grows;
	return touch(&f, &wish);
}

int quire_get_user_page(struct quire_mm *mm, quire_uaddr_t addr, uint32_t access,
			struct quire_page **page)
{
	*page = NULL;
	return quire_touch_page(mm, addr, access, false, page);
}

/* ---- Ranges ------------------------------------------------------------------------------ */

/* What populating one area depends on. */
struct stretch {
	quire_uaddr_t start, end; /* the area's part of the range */
	uint64_t flags;
	uint64_t pages_in_file; /* from start on; UINT64_MAX: no file, or a driver's */
};

/* The first area at or after addr that has something of [addr, end). */
static bool find_stretch(struct quire_mm *mm, quire_uaddr_t addr, quire_uaddr_t end,
			 struct stretch *s)
{
	struct quire_vma *vma;
	bool found;

	quire_grace_enter(mm->q);
	vma = quire_index_intersection(&mm->index, addr, end);
	found = vma != NULL;
	if (found) {
		s->start = vma->start > addr ? vma->start : addr;
		s->end = vma->end < end ? vma->end : end;
		s->flags = vma->flags;
		s->pages_in_file = UINT64_MAX;
		if (vma->object && !(vma->ops && vma->ops->fault)) {
			uint64_t pages = quire_size_pages(quire_load(&vma->object->size));
			uint64_t first = quire_linear_page_index(vma, s->start);

			s->pages_in_file = pages > first ? pages - first : 0;
		}
	}
	quire_grace_leave(mm->q);
	return found;
}

/*
 * Private memory that can be written is written to, so that no copy is left to be made; the rest is
 * read.
 */
static uint32_t populate_access(uint64_t flags)
{
	uint32_t access = QUIRE_ACCESS_READ;

	if ((flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED)) == QUIRE_VM_WRITE)
		access = QUIRE_ACCESS_WRITE;
	/* Any right will do; but an area with none stays as it is. */
	return flags & QUIRE_VM_ACCESS_FLAGS ? access | QUIRE_ACCESS_FORCE : access;
}

static bool has_guards(struct quire_mm *mm, const struct stretch *s)
{
	struct quire_cursor c;
	bool found = false;

	quire_cursor_open(&c, &mm->pt, s->start, s->end, 0);
	while (!found && quire_cursor_next_leaf(&c)) {
		quire_uaddr_t a = quire_cursor_next_used(&c, c.leaf_start);

		for (; !found && a < c.leaf_end;
		     a = quire_cursor_next_used(&c, a + QUIRE_PAGE_SIZE))
			found = quire_pte_kind(mm->pt.fmt, quire_cursor_get(&c, a)) ==
				QUIRE_PTE_GUARD;
	}
	quire_cursor_close(&c);
	return found;
}

/* For hosts that make pages present themselves: would every page have come? */
static int could_populate(struct quire_mm *mm, const struct stretch *s)
{
	if (!(s->flags & QUIRE_VM_ACCESS_FLAGS))
		return -QUIRE_EFAULT;
	if ((s->end - s->start) >> QUIRE_PAGE_SHIFT > s->pages_in_file)
		return -QUIRE_EFAULT;
	return has_guards(mm, s) ? -QUIRE_EFAULT : 0;
}

static int populate_stretch(struct quire_mm *mm, const struct stretch *s)
{
	uint32_t access = populate_access(s->flags);
	quire_uaddr_t a;
	int err;

	if (mm->q->mms.sysctl.populate_disabled)
		return could_populate(mm, s);
	for (a = s->start; a < s->end; a += QUIRE_PAGE_SIZE) {
		err = quire_touch_page(mm, a, access, false, NULL);
		if (err)
			return err;
	}
	return 0;
}

int quire_populate(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end, bool ignore_errors)
{
	struct stretch s;

	while (start < end && find_stretch(mm, start, end, &s)) {
		start = s.end;
		if (s.flags & (QUIRE_VM_IO | QUIRE_VM_PFNMAP | QUIRE_VM_LOCKONFAULT))
			continue;
		int err = populate_stretch(mm, &s);

		if (err && !ignore_errors)
			return err;
	}
	return 0;
}

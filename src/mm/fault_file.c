/* SPDX-License-Identifier: MIT */
/*
 * Faults on files, shared memory and drivers' areas where nothing is mapped yet, and the first
 * write to a page whose file wants to be asked. Called by fault.c and fault_anon.c.
 *
 * A page of the cache is mapped under its page lock, with quire_object_has_page() true: a truncate
 * that comes later takes the page lock, sees that it is mapped, and unmaps it. A private copy has
 * no such protection, since it belongs to nobody's cache: so object->truncations must not have
 * changed between the look at the cache and the leaf lock. If it changes later, the unmapping that
 * follows finds the copy.
 */
#include <mm/fault.h>

#define AROUND_BYTES (UINT64_C(64) << 10)

static bool is_private_write(const struct quire_fault *f)
{
	return quire_fault_is_write(f) && !(f->vma->flags & QUIRE_VM_SHARED);
}

/* What a file system or driver said, to what becomes of the fault. */
static enum quire_outcome outcome_of(int err)
{
	switch (err) {
	case 0:
		return QUIRE_FAULT_DONE;
	case -QUIRE_ENOMEM:
		return QUIRE_FAULT_OOM;
	case -QUIRE_EAGAIN:
		return QUIRE_FAULT_AGAIN;
	default:
		return QUIRE_FAULT_BUS;
	}
}

/* ---- Getting the page -------------------------------------------------------------------- */

/*
 * f->page and f->locked become the object's page at addr, up to date, in a grace period. Nothing
 * sleeps if it is in the cache and nobody has its lock.
 */
static enum quire_outcome take_cache_page(struct quire_fault *f)
{
	struct quire_object *object = f->vma->object;
	uint64_t index = f->pgoff;
	struct quire_page *page;
	enum quire_outcome r;

	f->truncations = quire_load_acquire(&object->truncations);
	page = quire_object_find_page(object, index);
	if (page) {
		f->page = page;
		if (quire_page_trylock(page)) {
			f->locked = page;
			if (quire_object_has_page(object, page))
				return QUIRE_FAULT_DONE;
			quire_page_unlock(f->q, page);
			f->locked = NULL;
		}
		f->page = NULL;
		(void)quire_page_put(f->q, page);
	} else if (!(object->flags & QUIRE_OBJECT_SHMEM)) {
		f->major = true;
	}

	quire_object_get(object);
	f->object = object;
	quire_fault_leave_grace(f);
	r = outcome_of(quire_object_get_page(object, index, &page));
	if (r)
		return r;
	f->page = page;
	quire_page_lock(f->q, page);
	f->locked = page;
	if (!quire_object_has_page(object, page))
		return QUIRE_FAULT_AGAIN;
	return quire_fault_look_again(f);
}

/* ---- Asking before a shared page is dirtied ---------------------------------------------- */

/* f->page locked, outside the grace period; the area pinned if it has page_mkwrite. */
static enum quire_outcome announce_write(struct quire_fault *f, const struct quire_vm_ops *ops)
{
	struct quire_object *object = f->object;

	if (ops) {
		struct quire_vmf vmf = {
			.vma = f->pinned,
			.address = f->addr,
			.pgoff = f->pgoff,
			.access = f->access &
				  (QUIRE_ACCESS_READ | QUIRE_ACCESS_WRITE | QUIRE_ACCESS_EXEC),
			.page = f->page,
		};

		return outcome_of(ops->page_mkwrite(&vmf));
	}
	if (object && object->ops && object->ops->page_mkwrite)
		return outcome_of(object->ops->page_mkwrite(object, f->page));
	return QUIRE_FAULT_DONE;
}

/*
 * In a grace period with f->page locked: before a write to a shared area's page that is not mapped
 * yet. In a grace period again, the area the same, if DONE.
 */
static enum quire_outcome prepare_shared_write(struct quire_fault *f)
{
	struct quire_vma *vma = f->vma;
	const struct quire_vm_ops *ops = vma->ops && vma->ops->page_mkwrite ? vma->ops : NULL;
	enum quire_outcome r;

	if (!quire_vma_is_tracked(vma))
		return QUIRE_FAULT_DONE;
	if (ops && !f->pinned) {
		if (!quire_vma_pin(vma))
			return QUIRE_FAULT_AGAIN;
		f->pinned = vma;
	}
	if (!f->object && vma->object) {
		quire_object_get(vma->object);
		f->object = vma->object;
	}
	quire_fault_leave_grace(f);
	r = announce_write(f, ops);
	return r ? r : quire_fault_look_again(f);
}

enum quire_outcome quire_fault_shared_write(struct quire_fault *f)
{
	const struct quire_pgfmt *fmt = f->mm->pt.fmt;
	struct quire_page *page = f->page;
	enum quire_outcome r;
	quire_pte_t now;

	quire_page_lock(f->q, page);
	f->locked = page;
	/*
	 * Still the object's, so it lies beyond a size that a truncate has just set, and will be
	 * unmapped: not worth spinning for.
	 */
	if (f->object && quire_page_kind(page) == QUIRE_PAGE_CACHE &&
	    !quire_object_has_page(f->object, page))
		return quire_load(&page->owner) == f->object ? QUIRE_FAULT_BUS : QUIRE_FAULT_AGAIN;
	r = announce_write(f, f->pinned ? f->pinned->ops : NULL);
	if (r)
		return r;
	r = quire_fault_look_again(f);
	if (r)
		return r;
	r = quire_fault_lock_leaf(f, f->addr, f->addr + QUIRE_PAGE_SIZE);
	if (r)
		return r;
	now = quire_cursor_get(&f->c, f->addr);
	if (quire_pte_kind(fmt, now) != QUIRE_PTE_PAGE ||
	    quire_pte_pfn(fmt, now) != quire_pte_pfn(fmt, f->entry))
		return QUIRE_FAULT_DONE;
	quire_cursor_set(
		&f->c, f->addr,
		quire_pte_add(fmt, now,
			      f->rights | QUIRE_PTE_WRITE | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY));
	quire_page_mark_dirty(f->q, page);
	return QUIRE_FAULT_DONE;
}

/* ---- Mapping it -------------------------------------------------------------------------- */

/* Leaf locked, entry empty, page locked: one more entry for it. Takes a reference over. */
static void set_page(struct quire_fault *f, quire_uaddr_t addr, struct quire_page *page,
		     quire_ptebits_t bits)
{
	bits |= quire_lock_bit(f->vma, page);
	quire_page_mapped(f->q, page, bits);
	quire_rss_add(f->mm, quire_page_rss(page), 1);
	quire_cursor_set(&f->c, addr,
			 quire_pte_make(f->mm->pt.fmt, quire_page_to_pfn(f->q, page), bits));
}

/*
 * Leaf locked: what else of the cursor's range is in the cache, up to date and not being worked on,
 * is mapped with the page that was asked for. None of it sleeps.
 */
static void map_around(struct quire_fault *f, quire_ptebits_t bits)
{
	struct quire_object *object = f->vma->object;
	quire_uaddr_t a;

	for (a = f->c.leaf_start; a < f->c.leaf_end; a += QUIRE_PAGE_SIZE) {
		struct quire_page *page;

		if (quire_cursor_get(&f->c, a) != 0)
			continue;
		page = quire_object_find_page(object, quire_linear_page_index(f->vma, a));
		if (!page)
			continue;
		if (!quire_page_trylock(page)) {
			(void)quire_page_put(f->q, page);
			continue;
		}
		if (quire_object_has_page(object, page)) {
			set_page(f, a, page, bits);
			quire_page_unlock(f->q, page);
		} else {
			quire_page_unlock(f->q, page);
			(void)quire_page_put(f->q, page);
		}
	}
}

/*
 *	area        |------------------------------------------
 *	64 KiB  |---------------|---------------|
 *	addr            a                  b
 *	range       |---------------|   |---------------|
 *
 * Each begins where the area or the stretch does, and is 64 KiB long.
 */
static void around_range(const struct quire_fault *f, quire_uaddr_t *start, quire_uaddr_t *end)
{
	*start = f->addr & ~(AROUND_BYTES - 1);
	if (*start < f->vma->start)
		*start = f->vma->start;
	*end = *start + AROUND_BYTES;
	if (*end > f->vma->end)
		*end = f->vma->end;
}

/* f->page locked, in a grace period: map it; around: with its neighbours in the cache. */
static enum quire_outcome map_page(struct quire_fault *f, bool around)
{
	quire_ptebits_t bits = f->rights | QUIRE_PTE_ACCESSED;
	quire_uaddr_t start = f->addr, end = f->addr + QUIRE_PAGE_SIZE;
	bool write = quire_fault_is_write(f);
	enum quire_outcome r;

	if (around && !write)
		around_range(f, &start, &end);
	r = quire_fault_lock_leaf(f, start, end);
	if (r)
		return r;
	if (quire_cursor_get(&f->c, f->addr) != 0)
		return QUIRE_FAULT_DONE;
	quire_page_get(f->page);
	if (write) {
		set_page(f, f->addr, f->page, bits | QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY);
		quire_page_mark_dirty(f->q, f->page);
		return QUIRE_FAULT_DONE;
	}
	set_page(f, f->addr, f->page, bits);
	if (around)
		map_around(f, bits);
	return QUIRE_FAULT_DONE;
}

/* The page cannot be had: map its neighbours alone, as Linux has done by the time that it finds out. */
static enum quire_outcome map_neighbours(struct quire_fault *f)
{
	quire_uaddr_t start, end;
	enum quire_outcome r = quire_fault_look_again(f);

	if (r)
		return r;
	around_range(f, &start, &end);
	r = quire_fault_lock_leaf(f, start, end);
	if (r)
		return r;
	map_around(f, f->rights | QUIRE_PTE_ACCESSED);
	return QUIRE_FAULT_BUS;
}

/*
 * f->page locked, in a grace period: a private copy of it, at once and writable, since nothing is
 * mapped yet.
 */
static enum quire_outcome map_copy(struct quire_fault *f)
{
	enum quire_outcome r = quire_fault_take_frame(f, false);

	if (r)
		return r;
	f->frame_is_zero = false;
	quire_page_copy(f->q, f->frame, f->page);
	r = quire_fault_take_owner(f);
	if (r)
		return r;
	r = quire_fault_lock_leaf(f, f->addr, f->addr + QUIRE_PAGE_SIZE);
	if (r)
		return r;
	if (f->vma->object && quire_load_acquire(&f->vma->object->truncations) != f->truncations)
		return QUIRE_FAULT_AGAIN;
	if (quire_cursor_get(&f->c, f->addr) != 0)
		return QUIRE_FAULT_DONE;
	if (quire_fault_waits_for_fork(f))
		return QUIRE_FAULT_WAIT;
	quire_fault_set_frame(f);
	return QUIRE_FAULT_DONE;
}

/*
 * Whom a fault asks (a driver for the page, a file before the first write) is asked once: so the
 * leaf table, for want of which an attempt would end, is made first.
 */
static enum quire_outcome fault_object(struct quire_fault *f)
{
	bool private_write = is_private_write(f);
	enum quire_outcome r;

	if (quire_fault_is_write(f) && quire_vma_is_tracked(f->vma) && !f->populated)
		return quire_fault_make_leaf(f);
	r = take_cache_page(f);
	if (r == QUIRE_FAULT_BUS && private_write) {
		/* Linux has made sure of the owner by then, and what has an owner merges with less. */
		r = quire_fault_look_again(f);
		if (!r)
			r = quire_fault_take_owner(f);
		return r ? r : QUIRE_FAULT_BUS;
	}
	if (r == QUIRE_FAULT_BUS && !quire_fault_is_write(f))
		return map_neighbours(f);
	if (r)
		return r;
	if (private_write)
		return map_copy(f);
	if (quire_fault_is_write(f)) {
		r = prepare_shared_write(f);
		if (r)
			return r;
	}
	return map_page(f, true);
}

/* ---- Drivers ----------------------------------------------------------------------------- */

/*
 * In a grace period. A raw frame: not counted, nobody's. A private write maps it to read, and then
 * copies.
 */
static enum quire_outcome map_frame(struct quire_fault *f, quire_pfn_t pfn)
{
	quire_ptebits_t bits = f->rights | QUIRE_PTE_ACCESSED | QUIRE_PTE_SPECIAL;
	bool private_write = is_private_write(f);
	enum quire_outcome r = quire_fault_lock_leaf(f, f->addr, f->addr + QUIRE_PAGE_SIZE);

	if (r)
		return r;
	if (f->vma->object && quire_load_acquire(&f->vma->object->truncations) != f->truncations)
		return QUIRE_FAULT_AGAIN;
	if (quire_cursor_get(&f->c, f->addr) != 0)
		return QUIRE_FAULT_DONE;
	if (quire_fault_is_write(f) && !private_write)
		bits |= QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY;
	quire_cursor_set(&f->c, f->addr, quire_pte_make(f->mm->pt.fmt, pfn, bits));
	return private_write ? QUIRE_FAULT_AGAIN : QUIRE_FAULT_DONE;
}

/* f->page is what the driver gave: only a page that nobody else has a use for can be mapped. */
static enum quire_outcome check_driver_page(struct quire_fault *f)
{
	struct quire_page *page = f->page;

	quire_page_lock(f->q, page);
	f->locked = page;
	switch (quire_page_kind(page)) {
	case QUIRE_PAGE_KERNEL:
		return QUIRE_FAULT_DONE;
	case QUIRE_PAGE_CACHE:
		/* Truncated since the driver looked. */
		if (f->object && !quire_object_has_page(f->object, page))
			return QUIRE_FAULT_AGAIN;
		return QUIRE_FAULT_DONE;
	default:
		quire_report(f->q, "fault: a driver's page is of a kind that cannot be mapped",
			     f->addr);
		return QUIRE_FAULT_BUS;
	}
}

static enum quire_outcome fault_driver(struct quire_fault *f)
{
	struct quire_vma *vma = f->vma;
	struct quire_vmf vmf = {
		.vma = vma,
		.address = f->addr,
		.pgoff = f->pgoff,
		.access = f->access & (QUIRE_ACCESS_READ | QUIRE_ACCESS_WRITE | QUIRE_ACCESS_EXEC),
	};
	enum quire_outcome r;

	if (!f->populated)
		return quire_fault_make_leaf(f);
	if (!quire_vma_pin(vma))
		return QUIRE_FAULT_AGAIN;
	f->pinned = vma;
	if (vma->object) {
		quire_object_get(vma->object);
		f->object = vma->object;
		f->truncations = quire_load_acquire(&vma->object->truncations);
	}
	quire_fault_leave_grace(f);
	r = outcome_of(vma->ops->fault(&vmf));
	if (r)
		return r;
	f->page = vmf.page;
	if (f->page) {
		r = check_driver_page(f);
		if (r)
			return r;
	}
	r = quire_fault_look_again(f);
	if (r)
		return r;
	if (!f->page)
		return map_frame(f, vmf.pfn);
	if (is_private_write(f))
		return map_copy(f);
	if (quire_fault_is_write(f)) {
		r = prepare_shared_write(f);
		if (r)
			return r;
	}
	return map_page(f, false);
}

enum quire_outcome quire_fault_file_empty(struct quire_fault *f)
{
	const struct quire_vma *vma = f->vma;

	if (vma->ops && vma->ops->fault)
		return fault_driver(f);
	if (vma->object)
		return fault_object(f);
	/* A driver that has mapped all there is, and this is not. */
	return QUIRE_FAULT_BUS;
}

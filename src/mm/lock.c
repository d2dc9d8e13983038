/* SPDX-License-Identifier: MIT */
/*
 * mlock(2), mlock2(2), munlock(2), mlockall(2), munlockall(2): areas whose pages stay. What they
 * do to areas is one plan and one commit; faulting the pages in comes afterwards, without the
 * writer lock. Called by hosts. Nothing here pins a page: LOCKED areas are what reclaim leaves
 * alone.
 *
 *	area       |-------A-------|
 *	mlock          |-------|
 *	after      |-A-|---L---|-A-|
 */
#include <mm/internal.h>

/*
 * Linux never marks these as locked, and does not call that an error: a driver's or the kernel's
 * own memory, and memory that may vanish.
 */
#define NEVER_LOCKED (QUIRE_VM_SPECIAL | QUIRE_VM_HUGETLB | QUIRE_VM_DROPPABLE)

/* Pages of [start, start + len) that count against the limit already. */
static uint64_t locked_pages_in(struct quire_mm *mm, quire_uaddr_t start, uint64_t len)
{
	quire_uaddr_t end = start + len >= start ? start + len : UINT64_MAX;
	struct quire_index_walk walk;
	struct quire_vma *vma;
	uint64_t pages = 0;

	quire_index_walk_start(&walk, &mm->index, start);
	while ((vma = quire_index_walk_next(&walk)) && vma->start < end) {
		if (vma->flags & QUIRE_VM_LOCKED) {
			quire_uaddr_t from = vma->start > start ? vma->start : start;
			quire_uaddr_t to = vma->end < end ? vma->end : end;

			pages += (to - from) >> QUIRE_PAGE_SHIFT;
		}
	}
	return pages;
}

static bool within_limit(struct quire_mm *mm, quire_uaddr_t start, uint64_t len)
{
	uint64_t limit = mm->limits.memlock >> QUIRE_PAGE_SHIFT;
	uint64_t pages = (len >> QUIRE_PAGE_SHIFT) + mm->locked_vm;

	if (mm->limits.cap_ipc_lock || pages <= limit)
		return true;
	return pages - locked_pages_in(mm, start, len) <= limit;
}

/*
 * [start, end) of vma gets the lock flags; *pages is what locked_vm gains or loses. vma may be
 * gone afterwards.
 */
static int lock_area(struct quire_plan *plan, struct quire_vma *vma, quire_uaddr_t start,
		     quire_uaddr_t end, uint64_t lock_flags, int64_t *pages)
{
	uint64_t old = vma->flags;
	uint64_t flags = (old & ~QUIRE_VM_LOCKED_MASK) | lock_flags;
	int err;

	if (flags == old || (old & NEVER_LOCKED))
		return 0;
	if (!quire_plan_modify(plan, vma, start, end, flags, &err))
		return err;
	if (!(flags & QUIRE_VM_LOCKED))
		*pages -= (int64_t)((end - start) >> QUIRE_PAGE_SHIFT);
	else if (!(old & QUIRE_VM_LOCKED))
		*pages += (int64_t)((end - start) >> QUIRE_PAGE_SHIFT);
	return 0;
}

/* ---- Pages that are there already -------------------------------------------------------- */

/*
 * Leaf locked. Whoever sets an entry does so under that lock and for an area that it has seen
 * alive: for a new one, and then with the right mark, or before we came.
 */
static void mark_entry(struct quire_vma *vma, struct quire_cursor *c, quire_uaddr_t addr)
{
	const struct quire_pgfmt *fmt = vma->mm->pt.fmt;
	struct quire *q = vma->mm->q;
	quire_pte_t entry = quire_cursor_get(c, addr);
	quire_ptebits_t want;
	struct quire_page *page;

	if (quire_pte_kind(fmt, entry) != QUIRE_PTE_PAGE ||
	    quire_pte_has(fmt, entry, QUIRE_PTE_SPECIAL))
		return;
	page = quire_pfn_to_page(q, quire_pte_pfn(fmt, entry));
	if (!page)
		return;
	want = quire_lock_bit(vma, page);
	if ((quire_pte_bits(fmt, entry) & QUIRE_PTE_LOCKED) == want)
		return;
	quire_cursor_mark(c, addr, want, QUIRE_PTE_LOCKED & ~want);
	if (want)
		quire_page_locked_more(q, page);
	else
		quire_page_locked_less(q, page);
}

static void mark_area(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_cursor c;

	quire_cursor_open(&c, &vma->mm->pt, start, end, 0);
	while (quire_cursor_next_leaf(&c)) {
		quire_uaddr_t a = quire_cursor_next_used(&c, c.leaf_start);

		for (; a < c.leaf_end; a = quire_cursor_next_used(&c, a + QUIRE_PAGE_SIZE))
			mark_entry(vma, &c, a);
	}
	quire_cursor_close(&c);
}

void quire_plan_mark_locked(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_list *pos, *tmp;

	/* Pairs with a fault's look at its area under the leaf lock. */
	quire_fence();
	quire_list_for_each(pos, tmp, &plan->areas) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);
		quire_uaddr_t from = vma->start > start ? vma->start : start;
		quire_uaddr_t to = vma->end < end ? vma->end : end;

		if (from < to)
			mark_area(vma, from, to);
	}
}

/*
 * Give [start, end) the lock flags, area by area as Linux does: a hole ends it with ENOMEM, and
 * what lies before the hole keeps its new flags.
 */
static int lock_range(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end,
		      uint64_t lock_flags)
{
	struct quire_plan plan;
	struct quire_vma *vma;
	quire_uaddr_t pos = start;
	int64_t pages = 0;
	bool hole = false;
	int err = 0;

	quire_plan_init(&plan, mm);
	while (!err && pos < end) {
		quire_uaddr_t from = pos;

		vma = quire_plan_find(&plan, from);
		hole = !vma || vma->start > from;
		if (hole)
			break;
		pos = vma->end < end ? vma->end : end;
		err = lock_area(&plan, vma, from, pos, lock_flags, &pages);
	}
	if (err && !quire_plan_may_commit(&plan, err)) {
		quire_plan_cancel(&plan);
		return err;
	}
	if (quire_plan_reserve(&plan)) {
		quire_plan_cancel(&plan);
		return -QUIRE_ENOMEM;
	}
	quire_plan_commit(&plan);
	quire_plan_mark_locked(&plan, start, end);
	quire_store(&mm->locked_vm, mm->locked_vm + (uint64_t)pages);
	quire_plan_finish(&plan);
	return hole ? -QUIRE_ENOMEM : err;
}

/* Rounds to pages as Linux does, which lets a length near 2^64 wrap to nothing. */
static int to_pages(quire_uaddr_t *start, uint64_t *len)
{
	*len = quire_page_up(*len + (*start & ~QUIRE_PAGE_MASK));
	*start = quire_page_down(*start);
	return *start + *len < *start ? -QUIRE_EINVAL : 0;
}

/* What mlock() says when pages cannot be had; POSIX has its own numbers for that. */
static int populate_error(int err)
{
	if (err == -QUIRE_EFAULT)
		return -QUIRE_ENOMEM;
	if (err == -QUIRE_ENOMEM)
		return -QUIRE_EAGAIN;
	return err;
}

static int lock(struct quire_mm *mm, quire_uaddr_t start, uint64_t len, uint64_t lock_flags)
{
	bool wraps;
	int err;

	if (!quire_may_mlock(mm))
		return -QUIRE_EPERM;
	wraps = to_pages(&start, &len) != 0;
	quire_mutex_lock(mm->q, &mm->lock);
	if (!within_limit(mm, start, len))
		err = -QUIRE_ENOMEM;
	else if (wraps)
		err = -QUIRE_EINVAL;
	else
		err = lock_range(mm, start, start + len, lock_flags);
	quire_mutex_unlock(mm->q, &mm->lock);
	if (err || !len)
		return err;
	return populate_error(quire_populate(mm, start, start + len, false));
}

int quire_mlock(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len)
{
	return lock(mm, addr, len, QUIRE_VM_LOCKED);
}

int quire_mlock2(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t flags)
{
	if (flags & ~QUIRE_MLOCK_ONFAULT)
		return -QUIRE_EINVAL;
	return lock(mm, addr, len,
		    flags ? QUIRE_VM_LOCKED | QUIRE_VM_LOCKONFAULT : QUIRE_VM_LOCKED);
}

int quire_munlock(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len)
{
	int err = to_pages(&addr, &len);

	if (err)
		return err;
	quire_mutex_lock(mm->q, &mm->lock);
	err = lock_range(mm, addr, addr + len, 0);
	quire_mutex_unlock(mm->q, &mm->lock);
	return err;
}

/* ---- All of it --------------------------------------------------------------------------- */

/* Every area there is. Whole areas are never split, so want of memory is the one error. */
static int lock_all(struct quire_mm *mm, uint64_t lock_flags)
{
	struct quire_plan plan;
	struct quire_vma *vma;
	quire_uaddr_t pos = 0;
	int64_t pages = 0;
	int err = 0;

	quire_plan_init(&plan, mm);
	while (!err && (vma = quire_plan_find(&plan, pos))) {
		pos = vma->end;
		err = lock_area(&plan, vma, vma->start, pos, lock_flags, &pages);
	}
	if (!err)
		err = quire_plan_reserve(&plan);
	if (err) {
		quire_plan_cancel(&plan);
		return err;
	}
	quire_plan_commit(&plan);
	quire_plan_mark_locked(&plan, 0, UINT64_MAX);
	quire_store(&mm->locked_vm, mm->locked_vm + (uint64_t)pages);
	quire_plan_finish(&plan);
	return 0;
}

int quire_mlockall(struct quire_mm *mm, uint32_t flags)
{
	uint64_t lock_flags = QUIRE_VM_LOCKED;
	int err = 0;

	if (!flags || flags == QUIRE_MCL_ONFAULT ||
	    (flags & ~(QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT)))
		return -QUIRE_EINVAL;
	if (!quire_may_mlock(mm))
		return -QUIRE_EPERM;
	if (flags & QUIRE_MCL_ONFAULT)
		lock_flags |= QUIRE_VM_LOCKONFAULT;

	quire_mutex_lock(mm->q, &mm->lock);
	if (flags & QUIRE_MCL_CURRENT) {
		if (mm->limits.cap_ipc_lock ||
		    mm->total_vm <= mm->limits.memlock >> QUIRE_PAGE_SHIFT)
			err = lock_all(mm, lock_flags);
		else
			err = -QUIRE_ENOMEM;
	}
	/* Without FUTURE an earlier call's FUTURE is over. */
	if (!err)
		mm->def_flags = (mm->def_flags & ~QUIRE_VM_LOCKED_MASK) |
				((flags & QUIRE_MCL_FUTURE) ? lock_flags : 0);
	quire_mutex_unlock(mm->q, &mm->lock);

	if (!err && (flags & QUIRE_MCL_CURRENT))
		(void)quire_populate(mm, 0, mm->layout.task_size, true);
	return err;
}

int quire_munlockall(struct quire_mm *mm)
{
	int err;

	quire_mutex_lock(mm->q, &mm->lock);
	err = lock_all(mm, 0);
	if (!err)
		mm->def_flags &= ~QUIRE_VM_LOCKED_MASK;
	quire_mutex_unlock(mm->q, &mm->lock);
	return err;
}

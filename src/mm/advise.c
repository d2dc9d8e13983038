/* SPDX-License-Identifier: MIT */
/*
 * madvise(2): what a program says about stretches of its memory. Called by hosts. Advice of three
 * sorts:
 *
 *	about areas   recorded in their flags: one plan, one commit, as mlock does it
 *	about pages   done at once to what is mapped: dropped, replaced by guards, faulted in
 *	about speed   checked as Linux checks it; there is nothing here yet that could follow it
 *
 * All but the faulting-in walks area by area: a hole is passed over and makes the answer ENOMEM
 * in the end, an area that the advice does not suit ends the walk with its errno, and what came
 * before stays done. Want of memory for areas is EAGAIN, and then nothing is done.
 */
#include <mm/gup.h>

/* ---- Which and where --------------------------------------------------------------------- */

static bool is_known(const struct quire_sysctl *ctl, int advice)
{
	switch (advice) {
	case QUIRE_MADV_NORMAL:
	case QUIRE_MADV_RANDOM:
	case QUIRE_MADV_SEQUENTIAL:
	case QUIRE_MADV_WILLNEED:
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_REMOVE:
	case QUIRE_MADV_DONTFORK:
	case QUIRE_MADV_DOFORK:
	case QUIRE_MADV_DONTDUMP:
	case QUIRE_MADV_DODUMP:
	case QUIRE_MADV_WIPEONFORK:
	case QUIRE_MADV_KEEPONFORK:
	case QUIRE_MADV_COLD:
	case QUIRE_MADV_PAGEOUT:
	case QUIRE_MADV_POPULATE_READ:
	case QUIRE_MADV_POPULATE_WRITE:
	case QUIRE_MADV_GUARD_INSTALL:
	case QUIRE_MADV_GUARD_REMOVE:
		return true;
	case QUIRE_MADV_MERGEABLE:
	case QUIRE_MADV_UNMERGEABLE:
		return ctl->ksm_available;
	case QUIRE_MADV_HUGEPAGE:
	case QUIRE_MADV_NOHUGEPAGE:
	case QUIRE_MADV_COLLAPSE:
		return ctl->thp_available;
	default:
		return false; /* that a page is broken, 100 and 101, is not known here */
	}
}

/* Does it throw away what is in the pages, now or for a child? */
static bool discards(int advice)
{
	switch (advice) {
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_REMOVE:
	case QUIRE_MADV_DONTFORK:
	case QUIRE_MADV_WIPEONFORK:
	case QUIRE_MADV_GUARD_INSTALL:
		return true;
	default:
		return false;
	}
}

/*
 * A sealed area that may not be written may not be wiped this way either; files have their
 * contents elsewhere.
 */
static bool seal_forbids(const struct quire_vma *vma, int advice)
{
	return (vma->flags & (QUIRE_VM_SEALED | QUIRE_VM_WRITE)) == QUIRE_VM_SEALED &&
	       discards(advice) && quire_vma_is_anonymous(vma);
}

struct advice {
	/* input */
	struct quire_mm *mm;
	int advice;
	quire_uaddr_t end;
	/* derived */
	quire_uaddr_t pos; /* what lies below has been advised */
	bool holes;	   /* came by some */
	struct quire_plan plan;
};

/*
 * The next area of the range, of the picture if there is one; [*from, pos) is its part. NULL: the
 * end, or nothing but hole up to it.
 */
static struct quire_vma *next_area(struct advice *a, quire_uaddr_t *from)
{
	struct quire_vma *vma;

	if (a->pos >= a->end)
		return NULL;
	vma = a->plan.mm ? quire_plan_find(&a->plan, a->pos)
			 : quire_index_find(&a->mm->index, a->pos);
	if (!vma || vma->start > a->pos)
		a->holes = true;
	if (!vma || vma->start >= a->end)
		return NULL;
	*from = vma->start > a->pos ? vma->start : a->pos;
	a->pos = vma->end < a->end ? vma->end : a->end;
	return vma;
}

/* ---- About areas ------------------------------------------------------------------------- */

#define NOT_MERGEABLE                                                                              \
	(QUIRE_VM_SHARED | QUIRE_VM_MAYSHARE | QUIRE_VM_SPECIAL | QUIRE_VM_HUGETLB |               \
	 QUIRE_VM_DROPPABLE)

/* What the area's flags become: 0, or why they can't. */
static int advised_flags(const struct quire_vma *vma, int advice, uint64_t *flags)
{
	uint64_t set = 0, clear = 0, now = vma->flags;

	switch (advice) {
	case QUIRE_MADV_NORMAL:
		clear = QUIRE_VM_RAND_READ | QUIRE_VM_SEQ_READ;
		break;
	case QUIRE_MADV_RANDOM:
		clear = QUIRE_VM_SEQ_READ;
		set = QUIRE_VM_RAND_READ;
		break;
	case QUIRE_MADV_SEQUENTIAL:
		clear = QUIRE_VM_RAND_READ;
		set = QUIRE_VM_SEQ_READ;
		break;
	case QUIRE_MADV_DONTFORK:
		set = QUIRE_VM_DONTCOPY;
		break;
	case QUIRE_MADV_DOFORK:
		if (now & QUIRE_VM_IO)
			return -QUIRE_EINVAL;
		clear = QUIRE_VM_DONTCOPY;
		break;
	case QUIRE_MADV_DONTDUMP:
		set = QUIRE_VM_DONTDUMP;
		break;
	case QUIRE_MADV_DODUMP:
		if (now & (QUIRE_VM_SPECIAL | QUIRE_VM_DROPPABLE))
			return -QUIRE_EINVAL;
		clear = QUIRE_VM_DONTDUMP;
		break;
	case QUIRE_MADV_WIPEONFORK:
		if (vma->file || (now & QUIRE_VM_SHARED))
			return -QUIRE_EINVAL;
		set = QUIRE_VM_WIPEONFORK;
		break;
	case QUIRE_MADV_KEEPONFORK:
		if (now & QUIRE_VM_DROPPABLE)
			return -QUIRE_EINVAL;
		clear = QUIRE_VM_WIPEONFORK;
		break;
	case QUIRE_MADV_MERGEABLE:
		/* Where it can't be, Linux ignores the wish. */
		set = now & NOT_MERGEABLE ? 0 : QUIRE_VM_MERGEABLE;
		break;
	case QUIRE_MADV_UNMERGEABLE:
		clear = QUIRE_VM_MERGEABLE;
		break;
	case QUIRE_MADV_HUGEPAGE:
		clear = QUIRE_VM_NOHUGEPAGE;
		set = QUIRE_VM_HUGEPAGE;
		break;
	case QUIRE_MADV_NOHUGEPAGE:
		clear = QUIRE_VM_HUGEPAGE;
		set = QUIRE_VM_NOHUGEPAGE;
		break;
	default:
		return -QUIRE_EINVAL;
	}
	*flags = (now & ~clear) | set;
	return 0;
}

static int advise_area_flags(struct advice *a, struct quire_vma *vma, quire_uaddr_t from)
{
	uint64_t flags = vma->flags;
	int err;

	if (seal_forbids(vma, a->advice))
		return -QUIRE_EPERM;
	err = advised_flags(vma, a->advice, &flags);
	if (!err && flags != vma->flags)
		(void)quire_plan_modify(&a->plan, vma, from, a->pos, flags, &err);
	return err == -QUIRE_ENOMEM ? -QUIRE_EAGAIN : err;
}

static int advise_flags(struct advice *a)
{
	struct quire_vma *vma;
	quire_uaddr_t from;
	int err = 0;

	quire_plan_init(&a->plan, a->mm);
	while (!err && (vma = next_area(a, &from)))
		err = advise_area_flags(a, vma, from);
	if (a->plan.out_of_memory || quire_plan_reserve(&a->plan)) {
		quire_plan_cancel(&a->plan);
		return -QUIRE_EAGAIN;
	}
	quire_plan_commit(&a->plan);
	quire_plan_finish(&a->plan);
	return err;
}

/* ---- Pages dropped ----------------------------------------------------------------------- */

static int drop_pages(struct advice *a, struct quire_vma *vma, quire_uaddr_t start,
		      quire_uaddr_t end)
{
	uint64_t unsuitable = QUIRE_VM_PFNMAP | QUIRE_VM_HUGETLB;

	if (a->advice == QUIRE_MADV_DONTNEED)
		unsuitable |= QUIRE_VM_LOCKED;
	if (vma->flags & unsuitable)
		return -QUIRE_EINVAL;
	quire_zap_range(a->mm, vma, start, end, QUIRE_ZAP_TRIM | QUIRE_ZAP_KEEP_GUARDS);
	return 0;
}

/*
 * The page may be taken away from now on, until the program writes to it again: its entry is clean,
 * so that such a write shows. If other processes map it, too, it is what their entries say that
 * counts; but what was once seen to be dirty stays so. Nobody takes it away yet.
 */
static void free_lazily(struct quire_mm *mm, struct quire_cursor *c, quire_uaddr_t addr)
{
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	quire_pte_t entry = quire_cursor_get(c, addr);
	struct quire_page *page;

	if (quire_pte_kind(fmt, entry) != QUIRE_PTE_PAGE ||
	    quire_pte_has(fmt, entry, QUIRE_PTE_SPECIAL))
		return;
	page = quire_pfn_to_page(mm->q, quire_pte_pfn(fmt, entry));
	if (!page || quire_page_kind(page) != QUIRE_PAGE_ANON)
		return;
	if (quire_page_test(page, QUIRE_PG_DIRTY)) {
		if (quire_load(&page->maps) != 1)
			return;
		(void)quire_page_test_clear(page, QUIRE_PG_DIRTY);
	}
	if (quire_pte_bits(fmt, entry) & (QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY))
		(void)quire_cursor_replace(
			c, addr,
			quire_pte_remove(fmt, entry, QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY));
	quire_page_set(page, QUIRE_PG_LAZYFREE);
}

static int free_pages(struct advice *a, struct quire_vma *vma, quire_uaddr_t start,
		      quire_uaddr_t end)
{
	struct quire_cursor c;
	quire_uaddr_t addr;

	if (vma->flags & (QUIRE_VM_PFNMAP | QUIRE_VM_HUGETLB | QUIRE_VM_LOCKED))
		return -QUIRE_EINVAL;
	if (!quire_vma_is_anonymous(vma))
		return -QUIRE_EINVAL;
	quire_cursor_open(&c, &a->mm->pt, start, end, 0);
	while (quire_cursor_next_leaf(&c)) {
		addr = c.leaf_start;
		while ((addr = quire_cursor_next_used(&c, addr)) < c.leaf_end) {
			free_lazily(a->mm, &c, addr);
			addr += QUIRE_PAGE_SIZE;
		}
	}
	quire_cursor_close(&c);
	return 0;
}

/*
 * A hole in the file. The file system may want locks of its own, so the writer lock is given up
 * meanwhile; the walk goes on with whatever areas there are then.
 */
static int punch_hole(struct advice *a, struct quire_vma *vma, quire_uaddr_t start,
		      quire_uaddr_t end)
{
	const uint64_t shared = QUIRE_VM_SHARED | QUIRE_VM_MAYWRITE;
	struct quire_object *object = vma->object;
	uint64_t offset = quire_linear_page_index(vma, start) << QUIRE_PAGE_SHIFT;
	int err;

	if ((vma->flags & QUIRE_VM_LOCKED) || !vma->file)
		return -QUIRE_EINVAL;
	if ((vma->flags & shared) != shared)
		return -QUIRE_EACCES;
	if (!object)
		return -QUIRE_EOPNOTSUPP;
	quire_object_get(object);
	quire_mutex_unlock(a->mm->q, &a->mm->lock);
	err = quire_object_punch_hole(object, offset, offset + (end - start));
	quire_mutex_lock(a->mm->q, &a->mm->lock);
	quire_object_put(object);
	return err;
}

/* ---- Huge pages -------------------------------------------------------------------------- */

static bool has_guard(struct quire_cursor *c)
{
	quire_uaddr_t addr = c->leaf_start;

	while ((addr = quire_cursor_next_used(c, addr)) < c->leaf_end) {
		if (quire_pte_kind(c->pt->fmt, quire_cursor_get(c, addr)) == QUIRE_PTE_GUARD)
			return true;
		addr += QUIRE_PAGE_SIZE;
	}
	return false;
}

/* Would Linux find something at [start, start + size) that it could make a huge page of? */
static bool could_collapse(struct quire_mm *mm, const struct quire_vma *vma, quire_uaddr_t start,
			   uint64_t size)
{
	uint64_t first = quire_linear_page_index(vma, start);
	struct quire_cursor c;
	struct quire_page *page;
	bool could;

	if (vma->object) {
		for (uint64_t i = 0; i < size >> QUIRE_PAGE_SHIFT; i++) {
			page = quire_object_find_page(vma->object, first + i);
			if (page) {
				(void)quire_page_put(mm->q, page);
				return true;
			}
		}
		return false;
	}
	quire_cursor_open(&c, &mm->pt, start, start + size, 0);
	could = quire_cursor_next_leaf(&c) && !has_guard(&c);
	quire_cursor_close(&c);
	return could;
}

/*
 * There are no huge pages here, and a program cannot see what its pages are made of. So only the
 * answer is given: success where Linux would succeed, if its memory is not fragmented.
 */
static int collapse(struct advice *a, struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end)
{
	const uint64_t size = UINT64_C(1) << a->mm->pt.fmt->shift[1];
	bool suits = quire_vma_is_anonymous(vma) ||
		     (vma->object && (vma->object->flags & QUIRE_OBJECT_SHMEM) && !vma->ops);
	quire_uaddr_t first = (start + size - 1) & ~(size - 1), last = end & ~(size - 1);

	if (!suits || (vma->flags & (QUIRE_VM_SPECIAL | QUIRE_VM_HUGETLB | QUIRE_VM_NOHUGEPAGE)))
		return -QUIRE_EINVAL;
	/* Private memory that nobody has touched has no owner, and nothing in it. */
	if (quire_vma_is_anonymous(vma) && !quire_load(&vma->anon))
		return -QUIRE_EINVAL;
	if (((vma->start + size - 1) & ~(size - 1)) + size > vma->end || first > last)
		return -QUIRE_EINVAL;
	/* A large page lies at the same offset in memory and in its file. */
	if (vma->object && ((vma->start - (vma->pgoff << QUIRE_PAGE_SHIFT)) & (size - 1)))
		return -QUIRE_EINVAL;
	for (; first < last; first += size) {
		if (!could_collapse(a->mm, vma, first, size))
			return -QUIRE_EINVAL;
	}
	return 0;
}

/* ---- Guards ------------------------------------------------------------------------------ */

/* Guards stand in entries that are this room's alone. */
static bool takes_guards(const struct quire_vma *vma, uint64_t unsuitable)
{
	return !(vma->flags & (QUIRE_VM_SPECIAL | QUIRE_VM_HUGETLB | unsuitable));
}

/* Guards into every entry of the range that is empty. False: there were pages. The tables exist. */
static bool set_guards(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end)
{
	const quire_pte_t guard = quire_pte_soft(mm->pt.fmt, QUIRE_PTE_GUARD, 0);
	struct quire_cursor c;
	quire_uaddr_t addr = start;
	bool all = true;

	quire_cursor_open(&c, &mm->pt, start, end, 0);
	while (quire_cursor_next_leaf(&c)) {
		quire_assert(mm->q, addr == c.leaf_start);
		for (; addr < c.leaf_end; addr += QUIRE_PAGE_SIZE) {
			switch (quire_pte_kind(mm->pt.fmt, quire_cursor_get(&c, addr))) {
			case QUIRE_PTE_EMPTY:
				quire_cursor_set(&c, addr, guard);
				break;
			case QUIRE_PTE_GUARD:
				break;
			default:
				all = false;
			}
		}
	}
	quire_assert(mm->q, addr == end);
	quire_cursor_close(&c);
	return all;
}

/* An owner, as Linux gives it: but to a copy, since it shows (in merges) if it stays after an error. */
static int draw_owner(struct quire_plan *plan, struct quire_vma *copy)
{
	if (copy->anon)
		return 0;
	if (quire_anon_prepare_between(copy, quire_plan_prev(plan, copy->start),
				       quire_plan_next(plan, copy->end))) {
		plan->out_of_memory = true;
		return -QUIRE_ENOMEM;
	}
	return 0;
}

/*
 * What has to be there before an area can have guards. Its flags say ever after that it may have
 * some.
 */
static int prepare_guards(struct advice *a, struct quire_vma *vma, quire_uaddr_t start,
			  quire_uaddr_t end)
{
	bool lacks_owner;

	if (seal_forbids(vma, a->advice))
		return -QUIRE_EPERM;
	if (!takes_guards(vma, QUIRE_VM_LOCKED))
		return -QUIRE_EINVAL;
	if (quire_tables_populate(&a->mm->pt, start, end)) {
		a->plan.out_of_memory = true;
		return -QUIRE_ENOMEM;
	}
	lacks_owner = quire_vma_is_anonymous(vma) && !quire_vma_owner(vma);
	if ((vma->flags & QUIRE_VM_MAYBE_GUARD) && !lacks_owner)
		return 0;
	vma = quire_plan_take(&a->plan, vma);
	if (!vma)
		return -QUIRE_ENOMEM;
	vma->flags |= QUIRE_VM_MAYBE_GUARD;
	return lacks_owner ? draw_owner(&a->plan, vma) : 0;
}

static void fill_with_guards(struct quire_mm *mm, struct quire_vma *vma, quire_uaddr_t start,
			     quire_uaddr_t end)
{
	do
		quire_zap_range(mm, vma, start, end, QUIRE_ZAP_KEEP_GUARDS);
	while (!set_guards(mm, start, end));
}

static int install_guards(struct advice *a)
{
	const quire_uaddr_t start = a->pos;
	quire_uaddr_t from, stop = start;
	struct quire_vma *vma;
	int err = 0;

	quire_plan_init(&a->plan, a->mm);
	while (!err && (vma = next_area(a, &from))) {
		err = prepare_guards(a, vma, from, a->pos);
		if (!err)
			stop = a->pos;
	}
	if (a->plan.out_of_memory || quire_plan_reserve(&a->plan)) {
		quire_plan_cancel(&a->plan);
		quire_tables_trim(&a->mm->pt, start, a->pos);
		return -QUIRE_ENOMEM;
	}
	quire_plan_commit(&a->plan);
	quire_plan_finish(&a->plan);
	a->plan.mm = NULL;

	a->pos = start;
	while (a->pos < stop && (vma = next_area(a, &from)))
		fill_with_guards(a->mm, vma, from, a->pos < stop ? a->pos : stop);
	return err;
}

static int remove_guards(struct advice *a, struct quire_vma *vma, quire_uaddr_t start,
			 quire_uaddr_t end)
{
	struct quire_cursor c;
	quire_uaddr_t addr;

	if (!takes_guards(vma, 0))
		return -QUIRE_EINVAL;
	quire_cursor_open(&c, &a->mm->pt, start, end, QUIRE_CURSOR_TRIM);
	while (quire_cursor_next_leaf(&c)) {
		addr = c.leaf_start;
		while ((addr = quire_cursor_next_used(&c, addr)) < c.leaf_end) {
			if (quire_pte_kind(a->mm->pt.fmt, quire_cursor_get(&c, addr)) ==
			    QUIRE_PTE_GUARD)
				(void)quire_cursor_clear(&c, addr);
			addr += QUIRE_PAGE_SIZE;
		}
	}
	quire_cursor_close(&c);
	return 0;
}

/* ---- Pages faulted in -------------------------------------------------------------------- */

/*
 * The area's part of [addr, end) that may be populated; or -ENOMEM, there is none; -EINVAL, it
 * may not.
 */
static int64_t may_populate(struct quire_mm *mm, quire_uaddr_t addr, quire_uaddr_t end, bool write)
{
	struct quire_vma *vma;
	int64_t stop;

	quire_grace_enter(mm->q);
	vma = quire_find_vma(mm, addr);
	if (!vma || vma->start > addr)
		stop = -QUIRE_ENOMEM;
	else if (vma->flags & (QUIRE_VM_IO | QUIRE_VM_PFNMAP))
		stop = -QUIRE_EINVAL;
	else if (!(vma->flags & (write ? QUIRE_VM_WRITE : QUIRE_VM_READ)))
		stop = -QUIRE_EINVAL;
	else
		stop = (int64_t)(vma->end < end ? vma->end : end);
	quire_grace_leave(mm->q);
	return stop;
}

static int populate(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end, bool write)
{
	uint32_t access = write ? QUIRE_ACCESS_WRITE : QUIRE_ACCESS_READ;
	int err = 0;

	while (!err && start < end) {
		int64_t stop = may_populate(mm, start, end, write);

		if (stop < 0)
			return (int)stop;
		if (mm->q->mms.sysctl.populate_disabled) {
			err = quire_populate(mm, start, (quire_uaddr_t)stop, false);
			start = (quire_uaddr_t)stop;
		}
		for (; !err && start < (quire_uaddr_t)stop; start += QUIRE_PAGE_SIZE)
			err = quire_touch_page(mm, start, access, false, NULL);
	}
	return err;
}

/* ---- The call ---------------------------------------------------------------------------- */

static int advise_area_pages(struct advice *a, struct quire_vma *vma, quire_uaddr_t start,
			     quire_uaddr_t end)
{
	if (seal_forbids(vma, a->advice))
		return -QUIRE_EPERM;
	switch (a->advice) {
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
		return drop_pages(a, vma, start, end);
	case QUIRE_MADV_FREE:
		return free_pages(a, vma, start, end);
	case QUIRE_MADV_REMOVE:
		return punch_hole(a, vma, start, end);
	case QUIRE_MADV_GUARD_REMOVE:
		return remove_guards(a, vma, start, end);
	case QUIRE_MADV_COLLAPSE:
		return collapse(a, vma, start, end);
	case QUIRE_MADV_COLD:
	case QUIRE_MADV_PAGEOUT:
		return vma->flags & (QUIRE_VM_LOCKED | QUIRE_VM_PFNMAP | QUIRE_VM_HUGETLB)
			       ? -QUIRE_EINVAL
			       : 0;
	default:
		return 0; /* WILLNEED */
	}
}

static int advise_pages(struct advice *a)
{
	struct quire_vma *vma;
	quire_uaddr_t from;
	int err = 0;

	while (!err && (vma = next_area(a, &from)))
		err = advise_area_pages(a, vma, from, a->pos);
	return err;
}

static int advise(struct advice *a)
{
	switch (a->advice) {
	case QUIRE_MADV_WILLNEED:
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_REMOVE:
	case QUIRE_MADV_COLD:
	case QUIRE_MADV_PAGEOUT:
	case QUIRE_MADV_COLLAPSE:
	case QUIRE_MADV_GUARD_REMOVE:
		return advise_pages(a);
	case QUIRE_MADV_GUARD_INSTALL:
		return install_guards(a);
	default:
		return advise_flags(a);
	}
}

int quire_madvise(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, int advice)
{
	struct advice a = {.mm = mm, .advice = advice, .pos = addr};
	uint64_t bytes = quire_page_up(len);
	int err;

	if (!is_known(&mm->q->mms.sysctl, advice))
		return -QUIRE_EINVAL;
	if ((addr & ~QUIRE_PAGE_MASK) || (len && !bytes) || addr + bytes < addr)
		return -QUIRE_EINVAL;
	if (!bytes)
		return 0;
	a.end = addr + bytes;
	if (advice == QUIRE_MADV_POPULATE_READ || advice == QUIRE_MADV_POPULATE_WRITE)
		return populate(mm, addr, a.end, advice == QUIRE_MADV_POPULATE_WRITE);
	quire_mutex_lock(mm->q, &mm->lock);
	err = advise(&a);
	quire_mutex_unlock(mm->q, &mm->lock);
	if (!err && a.holes)
		err = -QUIRE_ENOMEM;
	return err;
}

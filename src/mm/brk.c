/* SPDX-License-Identifier: MIT */
/*
 * brk(2): the heap's end. Called by hosts. The break itself is a byte; the heap's area is whole pages,
 * and grows by merging or, where that may not be, by another area behind it.
 *
 *	start_brk       old break     new break          next area
 *	|---------heap---------|                         |---
 *	|---------heap---------|~~~~~~~~~~~|   one page, and the guard of a stack, stay free
 */
#include <base/string.h>
#include <mm/internal.h>

/* RLIMIT_DATA counts the program's data and the heap, to the byte. */
static bool within_data_limit(const struct quire_mm *mm, quire_uaddr_t brk)
{
	const struct quire_layout *layout = &mm->layout;

	return mm->limits.data == QUIRE_RLIM_INFINITY ||
	       brk - layout->start_brk + (layout->end_data - layout->start_data) <= mm->limits.data;
}

static bool has_room(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_vma *next;
	uint64_t guard;

	if (quire_get_unmapped_area(mm, start, end - start, NULL, 0, QUIRE_MAP_FIXED, 0) < 0)
		return false;
	if (!quire_mlock_ok(mm, mm->def_flags, (end - start) >> QUIRE_PAGE_SHIFT))
		return false;
	next = quire_index_find(&mm->index, start);
	if (!next)
		return true;
	guard = quire_stack_guard(mm, next);
	return end + QUIRE_PAGE_SIZE <= (next->start > guard ? next->start - guard : 0);
}

/* The heap's new pages in a plan, reserved; NULL: no memory. */
static struct quire_vma *build(struct quire_plan *plan, const struct quire_vma *proto)
{
	struct quire_mm *mm = plan->mm;
	struct quire_vma *vma = NULL;
	int err = 0;

	/* What ends where the heap begins is not the heap: bss is not grown. */
	if (proto->start > mm->layout.start_brk)
		vma = quire_plan_extend(plan, proto, &err);
	if (err)
		return NULL;
	if (!vma) {
		vma = quire_vma_alloc(mm);
		if (!vma)
			return NULL;
		vma->start = proto->start;
		vma->end = proto->end;
		vma->flags = proto->flags;
		vma->pgoff = proto->pgoff;
		quire_plan_insert(plan, vma);
	}
	return quire_plan_reserve(plan) ? NULL : vma;
}

static bool grow(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end)
{
	uint64_t pages = (end - start) >> QUIRE_PAGE_SHIFT;
	struct quire_vma proto;
	struct quire_plan plan;

	memset(&proto, 0, sizeof(proto));
	proto.start = start;
	proto.end = end;
	proto.pgoff = start >> QUIRE_PAGE_SHIFT;
	proto.flags = QUIRE_VM_READ | QUIRE_VM_WRITE | QUIRE_VM_MAYREAD | QUIRE_VM_MAYWRITE |
		      QUIRE_VM_MAYEXEC | QUIRE_VM_ACCOUNT | mm->def_flags;
	if (mm->limits.read_implies_exec)
		proto.flags |= QUIRE_VM_EXEC;
	if (!quire_may_expand(mm, proto.flags, pages) ||
	    mm->index.count > mm->q->mms.sysctl.max_map_count ||
	    quire_commit_pages(mm, (int64_t)pages))
		return false;
	quire_plan_init(&plan, mm);
	if (!build(&plan, &proto)) {
		quire_plan_cancel(&plan);
		quire_uncommit_pages(mm, (int64_t)pages);
		return false;
	}
	quire_plan_commit(&plan);
	quire_account_vm(mm, proto.flags, (int64_t)pages);
	if (proto.flags & QUIRE_VM_LOCKED)
		quire_store(&mm->locked_vm, mm->locked_vm + pages);
	quire_plan_finish(&plan);
	return true;
}

/* Whatever lies there goes, the heap or not, but nothing there at all is refused. */
static bool shrink(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end)
{
	return quire_index_intersection(&mm->index, start, end) &&
	       !quire_munmap_locked(mm, start, end);
}

static bool set_brk(struct quire_mm *mm, quire_uaddr_t brk)
{
	quire_uaddr_t to = quire_page_up(brk), from = quire_page_up(mm->layout.brk);

	if (brk < mm->layout.start_brk || !within_data_limit(mm, brk))
		return false;
	if (to == from)
		return true;
	if (brk <= mm->layout.brk)
		return shrink(mm, to, from);
	return has_room(mm, from, to) && grow(mm, from, to);
}

quire_uaddr_t quire_brk(struct quire_mm *mm, quire_uaddr_t brk)
{
	quire_uaddr_t old, now;
	bool populate;

	quire_mutex_lock(mm->q, &mm->lock);
	old = mm->layout.brk;
	if (set_brk(mm, brk))
		quire_store(&mm->layout.brk, brk); /* maps may be read at this moment */
	now = mm->layout.brk;
	populate = now > old && (mm->def_flags & QUIRE_VM_LOCKED);
	quire_mutex_unlock(mm->q, &mm->lock);
	old = quire_page_up(old);
	if (populate && quire_page_up(now) > old && !mm->q->mms.sysctl.populate_disabled)
		(void)quire_populate(mm, old, quire_page_up(now), true);
	return now;
}

/* SPDX-License-Identifier: MIT */
/*
 * Growing a stack downwards: the one thing for which a fault takes the writer lock. Called by
 * faults of user code and by accesses from other processes, never by get_user_pages.
 *
 *	before            |guard gap|        |--stack--|
 *	access at a                   a
 *	after             |guard gap| |------stack-----|
 */
#include <mm/internal.h>
#include <mm/plan.h>

/*
 * Below a stack there must be a gap to the next thing that could be accessed, unless that is a
 * stack too.
 */
static bool keeps_guard_gap(struct quire_mm *mm, const struct quire_vma *vma, quire_uaddr_t start)
{
	const struct quire_vma *prev = quire_index_before(&mm->index, vma->start);

	if (!prev || (prev->flags & QUIRE_VM_GROWSDOWN) || !(prev->flags & QUIRE_VM_ACCESS_FLAGS))
		return true;
	return start >= prev->end && start - prev->end >= mm->q->mms.sysctl.stack_guard_gap;
}

static int check_place(struct quire_mm *mm, const struct quire_vma *vma, quire_uaddr_t start)
{
	if (!(vma->flags & QUIRE_VM_GROWSDOWN))
		return -QUIRE_EFAULT;
	if (start < mm->q->mms.sysctl.mmap_min_addr)
		return -QUIRE_EPERM;
	if (!keeps_guard_gap(mm, vma, start))
		return -QUIRE_ENOMEM;
	return 0;
}

static int check_limits(struct quire_mm *mm, const struct quire_vma *vma, quire_uaddr_t start)
{
	uint64_t pages = (vma->start - start) >> QUIRE_PAGE_SHIFT;

	if (pages > vma->pgoff) /* a mapping of a file that has no more in front */
		return -QUIRE_ENOMEM;
	if (!quire_may_expand(mm, vma->flags, pages))
		return -QUIRE_ENOMEM;
	if (vma->end - start > mm->limits.stack)
		return -QUIRE_ENOMEM;
	if (!quire_mlock_ok(mm, vma->flags, pages))
		return -QUIRE_ENOMEM;
	return 0;
}

/*
 * A limit stops the stack when Linux has made sure of its owner already; what has an owner merges
 * with less. So it gets one, if there is memory.
 */
static void give_owner(struct quire_vma *vma)
{
	(void)quire_anon_prepare(vma, QUIRE_GFP_KERNEL);
}

/* A longer copy in the area's place. */
static int replace_by_longer(struct quire_mm *mm, struct quire_vma *vma, quire_uaddr_t start)
{
	uint64_t pages = (vma->start - start) >> QUIRE_PAGE_SHIFT;
	struct quire_plan plan;
	struct quire_vma *copy;

	quire_plan_init(&plan, mm);
	copy = quire_plan_take(&plan, vma);
	/*
	 * As in Linux a stack that has grown has an owner, chosen by what it had for neighbours
	 * before.
	 */
	if (!copy || quire_anon_prepare(copy, QUIRE_GFP_KERNEL)) {
		quire_plan_cancel(&plan);
		return -QUIRE_ENOMEM;
	}
	copy->start = start;
	copy->pgoff -= pages;
	quire_plan_cover(&plan, copy->start, copy->end);
	if (quire_plan_reserve(&plan)) {
		quire_plan_cancel(&plan);
		return -QUIRE_ENOMEM;
	}
	if ((copy->flags & QUIRE_VM_ACCOUNT) && quire_commit_pages(mm, (int64_t)pages)) {
		quire_plan_cancel(&plan);
		give_owner(vma);
		return -QUIRE_ENOMEM;
	}
	quire_account_vm(mm, copy->flags, (int64_t)pages);
	if (copy->flags & QUIRE_VM_LOCKED)
		quire_store(&mm->locked_vm, mm->locked_vm + pages);
	quire_plan_commit(&plan);
	quire_plan_finish(&plan);
	return 0;
}

static int grow(struct quire_mm *mm, struct quire_vma *vma, quire_uaddr_t start)
{
	int err = check_place(mm, vma, start);

	if (err)
		return err;
	err = check_limits(mm, vma, start);
	if (err) {
		give_owner(vma);
		return err;
	}
	return replace_by_longer(mm, vma, start);
}

int quire_expand_stack(struct quire_mm *mm, quire_uaddr_t addr)
{
	quire_uaddr_t start = quire_page_down(addr);
	struct quire_vma *vma;
	int err = 0;

	quire_mutex_lock(mm->q, &mm->lock);
	vma = quire_find_vma(mm, start);
	if (!vma)
		err = -QUIRE_EFAULT;
	else if (start < vma->start) /* else somebody else has grown it */
		err = grow(mm, vma, start);
	quire_mutex_unlock(mm->q, &mm->lock);
	return err;
}

/* SPDX-License-Identifier: MIT */
/*
 * mprotect(2). Called by hosts. Area by area, as Linux does it, but in a plan: an error in the middle
 * (a hole, an area that may not have the rights) leaves changed what lies before it, and all of that
 * comes into force in one step. Rights that are taken away are gone from every TLB when the call returns.
 *
 *	area       |-----A-----|--B--|      |--C--|
 *	mprotect         |------------------------|      ENOMEM: a hole
 *	after      |--A--|--A'-|--B'-|      |--C--|
 */
#include <mm/internal.h>
#include <mm/plan.h>

#define KNOWN_PROT (QUIRE_PROT_READ | QUIRE_PROT_WRITE | QUIRE_PROT_EXEC | QUIRE_PROT_SEM)
#define GROWS (QUIRE_PROT_GROWSDOWN | QUIRE_PROT_GROWSUP)

struct protection {
	/* input */
	struct quire_mm *mm;
	quire_uaddr_t start, end;
	uint32_t prot, grows;
	/* derived */
	struct quire_plan plan;
	quire_uaddr_t done; /* [start, done) has its new rights in the plan */
	uint64_t data, exec, stack; /* the counters before, for when memory runs out */
	/* reserved */
	int64_t charged;  /* pages committed */
	int64_t released; /* pages to be given back in the end */
};

/* ---- One area ---------------------------------------------------------------------------- */

static uint64_t flags_for(const struct protection *p, const struct quire_vma *vma)
{
	uint64_t flags = vma->flags & ~QUIRE_VM_ACCESS_FLAGS;

	flags |= p->prot & QUIRE_PROT_READ ? QUIRE_VM_READ : 0;
	flags |= p->prot & QUIRE_PROT_WRITE ? QUIRE_VM_WRITE : 0;
	flags |= p->prot & QUIRE_PROT_EXEC ? QUIRE_VM_EXEC : 0;
	if ((p->prot & QUIRE_PROT_READ) && p->mm->limits.read_implies_exec &&
	    (vma->flags & QUIRE_VM_MAYEXEC))
		flags |= QUIRE_VM_EXEC;
	return flags;
}

/* Each right that is in flags has its MAY right there too. */
static bool may_be(uint64_t flags)
{
	return !(flags & ~(flags >> 4) & QUIRE_VM_ACCESS_FLAGS);
}

/*
 * Private memory that becomes writable is promised to the program from here on. The promise is
 * taken back only where nothing has been written yet: no owner means no page.
 */
static int charge(struct protection *p, struct quire_vma *vma, uint64_t *flags, uint64_t pages)
{
	struct quire_mm *mm = p->mm;
	int err;

	if (*flags & QUIRE_VM_WRITE) {
		if (!quire_may_expand(mm, *flags, pages) && quire_may_expand(mm, vma->flags, pages))
			return -QUIRE_ENOMEM;
		if (vma->flags & (QUIRE_VM_ACCOUNT | QUIRE_VM_WRITE | QUIRE_VM_HUGETLB |
				  QUIRE_VM_SHARED | QUIRE_VM_NORESERVE))
			return 0;
		err = quire_commit_pages(mm, (int64_t)pages);
		if (err)
			return err;
		p->charged += (int64_t)pages;
		*flags |= QUIRE_VM_ACCOUNT;
		return 0;
	}
	if ((vma->flags & QUIRE_VM_ACCOUNT) && !vma->ops && !vma->object) {
		quire_plan_pin(vma);
		if (!quire_vma_owner(vma)) {
			*flags &= ~QUIRE_VM_ACCOUNT;
			p->released += (int64_t)pages;
		}
	}
	return 0;
}

/* [start, end) of vma. The answer is where to go on: behind the area that has it now. */
static quire_uaddr_t protect_area(struct protection *p, struct quire_vma *vma, quire_uaddr_t start,
				  quire_uaddr_t end, int *err)
{
	uint64_t pages = (end - start) >> QUIRE_PAGE_SHIFT, old = vma->flags;
	uint64_t flags = flags_for(p, vma);

	*err = -QUIRE_EACCES;
	if (!may_be(flags))
		return start;
	*err = -QUIRE_EPERM;
	if (old & QUIRE_VM_SEALED)
		return start;
	*err = 0;
	if (flags == old)
		return vma->end;
	*err = charge(p, vma, &flags, pages);
	if (*err)
		return start;
	vma = quire_plan_modify(&p->plan, vma, start, end, flags, err);
	if (!vma) {
		/* As in Linux: what was charged for this area is given back, what came before stays. */
		if ((flags & ~old) & QUIRE_VM_ACCOUNT) {
			quire_uncommit_pages(p->mm, (int64_t)pages);
			p->charged -= (int64_t)pages;
		}
		if ((old & ~flags) & QUIRE_VM_ACCOUNT)
			p->released -= (int64_t)pages;
		return start;
	}
	quire_account_change(p->mm, old, flags, pages);
	return vma->end;
}

/* ---- All of them ------------------------------------------------------------------------- */

/* Where it begins: at the start of a stack's area with GROWSDOWN. */
static int find_start(struct protection *p)
{
	struct quire_vma *vma = quire_index_find(&p->mm->index, p->start);

	if (!vma || vma->start >= p->end)
		return -QUIRE_ENOMEM;
	if (p->grows & QUIRE_PROT_GROWSDOWN) {
		p->start = vma->start;
		return vma->flags & QUIRE_VM_GROWSDOWN ? 0 : -QUIRE_EINVAL;
	}
	if (vma->start > p->start)
		return -QUIRE_ENOMEM;
	/* No area of this machine grows upwards. */
	return p->grows & QUIRE_PROT_GROWSUP ? -QUIRE_EINVAL : 0;
}

static int walk(struct protection *p)
{
	int err = 0;

	for (p->done = p->start; !err && p->done < p->end;) {
		struct quire_vma *vma = quire_plan_find(&p->plan, p->done);
		quire_uaddr_t end;

		if (!vma || vma->start > p->done)
			return -QUIRE_ENOMEM;
		end = vma->end < p->end ? vma->end : p->end;
		p->done = protect_area(p, vma, p->done, end, &err);
	}
	/* The area that has it now may have been there before, and reach further. */
	if (p->done > p->end)
		p->done = p->end;
	return err;
}

/*
 * The pages of locked private memory that a store would have to copy: now, so that no store waits. Of the
 * areas that were not writable before, however they have been merged since; so it is done while these are known.
 */
static void copy_locked(struct protection *p)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each(pos, tmp, &p->plan.old) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);
		quire_uaddr_t from = vma->start > p->start ? vma->start : p->start;
		quire_uaddr_t to = vma->end < p->done ? vma->end : p->done;
		uint64_t kind = vma->flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED | QUIRE_VM_LOCKED);

		if (from < to && kind == QUIRE_VM_LOCKED)
			(void)quire_populate(p->mm, from, to, true);
	}
}

/* Put the plan in force, entries included. */
static void perform(struct protection *p)
{
	struct quire_list *pos, *tmp;

	quire_plan_commit(&p->plan);
	quire_list_for_each(pos, tmp, &p->plan.areas) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);
		quire_uaddr_t from = vma->start > p->start ? vma->start : p->start;
		quire_uaddr_t to = vma->end < p->done ? vma->end : p->done;

		if (from < to)
			quire_protect_range(vma, from, to);
	}
	if ((p->prot & QUIRE_PROT_WRITE) && !p->mm->q->mms.sysctl.populate_disabled)
		copy_locked(p);
	quire_plan_finish(&p->plan);
	if (p->released)
		quire_uncommit_pages(p->mm, p->released);
}

static void forget(struct protection *p)
{
	struct quire_mm *mm = p->mm;

	quire_plan_cancel(&p->plan);
	quire_store(&mm->data_vm, p->data);
	quire_store(&mm->exec_vm, p->exec);
	quire_store(&mm->stack_vm, p->stack);
	quire_uncommit_pages(mm, p->charged);
}

static int protect_locked(struct protection *p)
{
	struct quire_mm *mm = p->mm;
	int err = find_start(p);

	if (err)
		return err;
	p->data = mm->data_vm;
	p->exec = mm->exec_vm;
	p->stack = mm->stack_vm;
	quire_plan_init(&p->plan, mm);
	err = walk(p);
	if (p->plan.out_of_memory || quire_plan_reserve(&p->plan)) {
		forget(p);
		return -QUIRE_ENOMEM;
	}
	perform(p);
	return err;
}

int quire_mprotect(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t prot)
{
	struct protection p;
	int err;

	if ((prot & GROWS) == GROWS)
		return -QUIRE_EINVAL;
	if (addr & ~QUIRE_PAGE_MASK)
		return -QUIRE_EINVAL;
	if (!len)
		return 0;
	len = quire_page_up(len);
	if (addr + len <= addr)
		return -QUIRE_ENOMEM;
	if (prot & ~(KNOWN_PROT | GROWS))
		return -QUIRE_EINVAL;
	p.mm = mm;
	p.start = addr;
	p.end = addr + len;
	p.prot = prot & KNOWN_PROT;
	p.grows = prot & GROWS;
	p.charged = 0;
	p.released = 0;

	quire_mutex_lock(mm->q, &mm->lock);
	err = protect_locked(&p);
	quire_mutex_unlock(mm->q, &mm->lock);
	return err;
}

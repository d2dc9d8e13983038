/* SPDX-License-Identifier: MIT */
/*
 * mseal(2): areas that can no longer be unmapped, moved, resized, given other rights or written
 * over by another mapping. Called by hosts. There is no way back; the checks themselves are in
 * the verbs they stop.
 */
#include <mm/internal.h>

/* Every page of [start, end) belongs to an area. */
static bool is_mapped_throughout(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;

	quire_index_walk_start(&walk, &mm->index, start);
	while (start < end) {
		vma = quire_index_walk_next(&walk);
		if (!vma || vma->start > start)
			return false;
		start = vma->end;
	}
	return true;
}

static int seal_range(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_plan plan;
	struct quire_vma *vma;
	quire_uaddr_t pos = start;
	int err = 0;

	if (!is_mapped_throughout(mm, start, end))
		return -QUIRE_ENOMEM;
	quire_plan_init(&plan, mm);
	while (!err && pos < end) {
		quire_uaddr_t from = pos;

		vma = quire_plan_find(&plan, from);
		pos = vma->end < end ? vma->end : end;
		if (!(vma->flags & QUIRE_VM_SEALED))
			(void)quire_plan_modify(&plan, vma, from, pos, vma->flags | QUIRE_VM_SEALED,
						&err);
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
	quire_plan_finish(&plan);
	return err;
}

int quire_mseal(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint64_t flags)
{
	uint64_t bytes = quire_page_up(len);
	int err;

	if (flags || (addr & ~QUIRE_PAGE_MASK))
		return -QUIRE_EINVAL;
	if ((len && !bytes) || addr + bytes < addr)
		return -QUIRE_EINVAL;
	if (!bytes)
		return 0;
	quire_mutex_lock(mm->q, &mm->lock);
	err = seal_range(mm, addr, addr + bytes);
	quire_mutex_unlock(mm->q, &mm->lock);
	return err;
}

/* SPDX-License-Identifier: MIT */
/*
 * munmap(2), and the unmapping that others are made of: mmap over what is there, mremap, brk that
 * shrinks. quire_plan_unmap() changes a picture only; whoever called it commits, zaps and finishes.
 *
 *	area     |-----A-----|     |--B--|   |----C----|
 *	munmap         |----------------------------|
 *	after    |--A--|                            |-C|
 */
#include <mm/internal.h>
#include <mm/plan.h>

/* ---- In the picture ---------------------------------------------------------------------- */

/* The areas of the picture that have a byte of [start, end), one after the other. The walk stays right
 * while areas that it has passed are dropped. */
struct steps {
	struct quire_plan *plan;
	quire_uaddr_t end;
	bool plain; /* the plan is empty: the index is the picture */
	struct quire_index_walk walk;
	quire_uaddr_t next;
};

static void steps_start(struct steps *s, struct quire_plan *plan, quire_uaddr_t start,
			quire_uaddr_t end)
{
	s->plan = plan;
	s->end = end;
	s->plain = !plan->end;
	s->next = start;
	if (s->plain)
		quire_index_walk_start(&s->walk, &plan->mm->index, start);
}

static struct quire_vma *step(struct steps *s)
{
	struct quire_vma *vma =
		s->plain ? quire_index_walk_next(&s->walk) : quire_plan_find(s->plan, s->next);

	if (!vma || vma->start >= s->end)
		return NULL;
	s->next = vma->end;
	return vma;
}

/* May all of it go? In Linux's order, which decides the errno and what quire_plan_leave_cuts() does. */
static int check(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_vma *vma;
	struct steps s;
	bool first = true;
	int err;

	for (steps_start(&s, plan, start, end); (vma = step(&s)); first = false) {
		bool asks = vma->ops && vma->ops->may_split;

		if (first && start > vma->start && end < vma->end &&
		    quire_plan_map_count(plan) >= plan->mm->q->mms.sysctl.max_map_count)
			return -QUIRE_ENOMEM;
		if (vma->flags & QUIRE_VM_SEALED)
			return -QUIRE_EPERM;
		if (asks && first && start > vma->start) {
			err = vma->ops->may_split(vma, start);
			if (err)
				return err;
		}
		plan->would_cut_start |= first && start > vma->start;
		if (asks && end < vma->end) {
			err = vma->ops->may_split(vma, end);
			if (err)
				return err;
		}
		plan->would_cut_end |= end < vma->end;
	}
	return 0;
}

/* The part of vma that goes, as an area of its own for its driver's close(). -ENOMEM. */
static int drop_piece(struct quire_plan *plan, const struct quire_vma *vma, quire_uaddr_t start,
		      quire_uaddr_t end)
{
	struct quire_vma *piece;

	if (!vma->ops || !vma->ops->close)
		return 0;
	piece = quire_vma_copy(vma);
	if (!piece) {
		plan->out_of_memory = true;
		return -QUIRE_ENOMEM;
	}
	piece->pgoff = quire_linear_page_index(vma, start);
	piece->start = start;
	piece->end = end;
	piece->plan_marks = QUIRE_PLAN_COPY | QUIRE_PLAN_OPEN | QUIRE_PLAN_CLOSE;
	quire_list_add_tail(&plan->dropped, &piece->plan_link);
	return 0;
}

/* Take [start, end) out of vma, which has bytes of it. -ENOMEM. */
static int take_out(struct quire_plan *plan, struct quire_vma *vma, quire_uaddr_t start,
		    quire_uaddr_t end)
{
	quire_uaddr_t from = vma->start > start ? vma->start : start;
	quire_uaddr_t to = vma->end < end ? vma->end : end;

	quire_tally_area(&plan->gone, vma->flags, (to - from) >> QUIRE_PAGE_SHIFT);
	if (from == vma->start && to == vma->end) {
		quire_plan_drop(plan, vma);
		return 0;
	}
	vma = quire_plan_take(plan, vma);
	if (!vma || drop_piece(plan, vma, from, to))
		return -QUIRE_ENOMEM;
	if (from > vma->start && to < vma->end && !quire_plan_cut(plan, vma, to))
		return -QUIRE_ENOMEM;
	if (from > vma->start) {
		vma->end = from;
	} else {
		vma->pgoff = quire_linear_page_index(vma, to);
		vma->start = to;
	}
	return 0;
}

int quire_plan_unmap(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_vma *vma;
	struct steps s;
	int err;

	plan->would_cut_start = false;
	plan->would_cut_end = false;
	err = check(plan, start, end);
	if (err)
		return err;
	for (steps_start(&s, plan, start, end); (vma = step(&s));) {
		err = take_out(plan, vma, start, end);
		if (err) {
			plan->would_cut_start = false;
			plan->would_cut_end = false;
			return err;
		}
	}
	return 0;
}

/* ---- What Linux leaves behind ------------------------------------------------------------ */

/* Cut the area that holds addr in its middle. */
static int cut_at(struct quire_plan *plan, quire_uaddr_t addr)
{
	struct quire_vma *vma = quire_plan_find(plan, addr);
	int err = 0;

	if (!vma || vma->start >= addr)
		return 0;
	vma = quire_plan_take(plan, vma);
	if (!vma)
		return -QUIRE_ENOMEM;
	quire_plan_split(plan, vma, addr, &err);
	return err;
}

/* The end is looked at last, so what was refused has got to the start at most. */
void quire_plan_draw_cut(struct quire_plan *plan, quire_uaddr_t start)
{
	if (plan->would_cut_start)
		(void)cut_at(plan, start);
}

void quire_plan_leave_cuts(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_mm *mm = plan->mm;
	bool at_start = plan->would_cut_start, at_end = plan->would_cut_end;
	int err;

	quire_plan_cancel(plan);
	if (!at_start && !at_end)
		return;
	quire_plan_init(plan, mm);
	err = at_start ? cut_at(plan, start) : 0;
	if (!err && at_end)
		err = cut_at(plan, end);
	if (!err)
		err = quire_plan_reserve(plan);
	if (err) {
		quire_plan_cancel(plan);
		return;
	}
	quire_plan_commit(plan);
	quire_plan_finish(plan);
}

/* ---- The call ---------------------------------------------------------------------------- */

int quire_munmap_locked(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_plan plan;
	int err;

	quire_plan_init(&plan, mm);
	err = quire_plan_unmap(&plan, start, end);
	if (err) {
		quire_plan_leave_cuts(&plan, start, end);
		return err;
	}
	err = quire_plan_reserve(&plan);
	if (err) {
		quire_plan_cancel(&plan);
		return err;
	}
	quire_plan_commit(&plan);
	quire_plan_zap(&plan, start, end, QUIRE_ZAP_TRIM);
	quire_plan_finish(&plan);
	return 0;
}

int quire_munmap(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len)
{
	int err;

	if (addr & ~QUIRE_PAGE_MASK || addr > mm->layout.task_size ||
	    len > mm->layout.task_size - addr || !len)
		return -QUIRE_EINVAL;
	quire_mutex_lock(mm->q, &mm->lock);
	err = quire_munmap_locked(mm, addr, addr + quire_page_up(len));
	quire_mutex_unlock(mm->q, &mm->lock);
	return err;
}

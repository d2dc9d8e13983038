/* SPDX-License-Identifier: MIT */
/*
 * The plan: a private picture of the part of a space that is about to change, made true in one step.
 * Called by every verb that changes areas, under the writer lock. Nothing here decides what is to
 * change, and nothing here touches an entry of the tables but by quire_plan_zap().
 *
 *	index      |--A--|-B-|    |---C---|--D--|       what faults see
 *
 *	old        A, C                                 taken: will go
 *	areas      |-a'-|         |-c'-|c''|            will come
 *	picture    |-a'-||-B-|    |-c'-|c''|--D--|      what the verb sees: areas, and what was not taken
 *	hull       [-----------------------]            what a splice replaces; B goes back in as it is
 */
#include <mm/internal.h>
#include <mm/plan.h>

/* ---- Begun ------------------------------------------------------------------------------- */

void quire_plan_init(struct quire_plan *plan, struct quire_mm *mm)
{
	quire_mutex_assert(mm->q, &mm->lock);
	plan->mm = mm;
	quire_list_init(&plan->areas);
	quire_list_init(&plan->old);
	quire_list_init(&plan->dropped);
	plan->nr_areas = 0;
	plan->nr_old = 0;
	plan->start = 0;
	plan->end = 0;
	plan->sparse = false;
	plan->has_ops = false;
	plan->nr_parts = 0;
	plan->out_of_memory = false;
	plan->would_cut_start = false;
	plan->would_cut_end = false;
	plan->gone = (struct quire_tally){0};
	plan->array = plan->inline_array;
	plan->nr_array = 0;
}

/* ---- Looking at the picture -------------------------------------------------------------- */

/* The first copy that ends after addr. Verbs walk upwards, so the end of the list is near it. */
static struct quire_vma *first_copy_beyond(struct quire_plan *plan, quire_uaddr_t addr)
{
	struct quire_list *pos = &plan->areas;

	while (pos->prev != &plan->areas &&
	       quire_list_entry(pos->prev, struct quire_vma, plan_link)->end > addr)
		pos = pos->prev;
	return pos == &plan->areas ? NULL : quire_list_entry(pos, struct quire_vma, plan_link);
}

static bool is_taken(const struct quire_vma *vma)
{
	return (vma->plan_marks & QUIRE_PLAN_TAKEN) != 0;
}

struct quire_vma *quire_plan_find(struct quire_plan *plan, quire_uaddr_t addr)
{
	struct quire_vma *visible = quire_index_find(&plan->mm->index, addr);
	struct quire_vma *copy = first_copy_beyond(plan, addr);

	while (visible && is_taken(visible))
		visible = quire_index_find(&plan->mm->index, visible->end);
	if (!visible || (copy && copy->start < visible->start))
		return copy;
	return visible;
}

struct quire_vma *quire_plan_prev(struct quire_plan *plan, quire_uaddr_t start)
{
	struct quire_vma *vma;

	if (!start)
		return NULL;
	if (plan->nr_areas) {
		vma = first_copy_beyond(plan, start - 1);
		if (vma && vma->end == start)
			return vma;
	}
	vma = quire_index_find(&plan->mm->index, start - 1);
	return vma && vma->end == start && !is_taken(vma) ? vma : NULL;
}

struct quire_vma *quire_plan_next(struct quire_plan *plan, quire_uaddr_t end)
{
	struct quire_vma *vma;

	if (plan->nr_areas) {
		vma = first_copy_beyond(plan, end);
		if (vma && vma->start == end)
			return vma;
	}
	vma = quire_index_find(&plan->mm->index, end);
	return vma && vma->start == end && !is_taken(vma) ? vma : NULL;
}

/* ---- Drawing in it ----------------------------------------------------------------------- */

void quire_plan_cover(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end)
{
	if (!plan->end) {
		plan->start = start;
		plan->end = end;
		return;
	}
	if (start > plan->end || end < plan->start)
		plan->sparse = true;
	if (start < plan->start)
		plan->start = start;
	if (end > plan->end)
		plan->end = end;
}

static void insert_sorted(struct quire_list *head, struct quire_vma *vma)
{
	struct quire_list *pos = head;

	while (pos->prev != head &&
	       quire_list_entry(pos->prev, struct quire_vma, plan_link)->start > vma->start)
		pos = pos->prev;
	quire_list_add_tail(pos, &vma->plan_link);
}

static void add_copy(struct quire_plan *plan, struct quire_vma *vma)
{
	insert_sorted(&plan->areas, vma);
	plan->nr_areas++;
	if (vma->ops)
		plan->has_ops = true;
}

static void remove_copy(struct quire_plan *plan, struct quire_vma *copy)
{
	quire_list_del(&copy->plan_link);
	plan->nr_areas--;
}

void quire_plan_pin(struct quire_vma *vma)
{
	if (vma->state == QUIRE_VMA_ALIVE && !(vma->flags & QUIRE_VM_SHARED) &&
	    quire_vma_freeze(vma))
		vma->plan_marks |= QUIRE_PLAN_FROZE;
}

void quire_plan_unpin(struct quire_vma *vma)
{
	if ((vma->plan_marks & (QUIRE_PLAN_FROZE | QUIRE_PLAN_TAKEN)) == QUIRE_PLAN_FROZE) {
		vma->plan_marks &= ~QUIRE_PLAN_FROZE;
		quire_vma_thaw(vma);
	}
}

/* A visible area will go. */
static void claim(struct quire_plan *plan, struct quire_vma *vma)
{
	quire_assert(plan->mm->q, vma->state == QUIRE_VMA_ALIVE);
	quire_plan_pin(vma);
	vma->plan_marks |= QUIRE_PLAN_TAKEN;
	insert_sorted(&plan->old, vma);
	plan->nr_old++;
	quire_plan_cover(plan, vma->start, vma->end);
	if (vma->ops)
		plan->has_ops = true;
}

/* A copy by itself: not visible, whatever state a verb may have asked for it. */
static bool is_copy(const struct quire_vma *vma)
{
	return (vma->plan_marks & QUIRE_PLAN_COPY) != 0;
}

struct quire_vma *quire_plan_take(struct quire_plan *plan, struct quire_vma *vma)
{
	struct quire_vma *copy;

	if (is_copy(vma))
		return vma;
	if (is_taken(vma)) {
		copy = first_copy_beyond(plan, vma->start);
		quire_assert(plan->mm->q, copy && copy->start <= vma->start);
		return copy;
	}
	claim(plan, vma);
	copy = quire_vma_copy(vma);
	if (!copy) {
		plan->out_of_memory = true;
		return NULL;
	}
	copy->plan_marks = QUIRE_PLAN_COPY;
	add_copy(plan, copy);
	return copy;
}

void quire_plan_insert(struct quire_plan *plan, struct quire_vma *vma)
{
	vma->plan_marks = QUIRE_PLAN_COPY;
	quire_plan_cover(plan, vma->start, vma->end);
	add_copy(plan, vma);
}

struct quire_vma *quire_plan_cut(struct quire_plan *plan, struct quire_vma *copy,
				 quire_uaddr_t addr)
{
	struct quire_vma *upper = quire_vma_copy(copy);

	quire_assert(plan->mm->q, copy->start < addr && addr < copy->end);
	if (!upper) {
		plan->out_of_memory = true;
		return NULL;
	}
	upper->plan_marks = QUIRE_PLAN_COPY | QUIRE_PLAN_OPEN;
	upper->pgoff = quire_linear_page_index(copy, addr);
	upper->start = addr;
	copy->end = addr;
	quire_list_add(&copy->plan_link, &upper->plan_link);
	plan->nr_areas++;
	return upper;
}

struct quire_vma *quire_plan_split(struct quire_plan *plan, struct quire_vma *copy,
				   quire_uaddr_t addr, int *err)
{
	struct quire_vma *upper;

	if (copy->ops && copy->ops->may_split) {
		*err = copy->ops->may_split(copy, addr);
		if (*err)
			return NULL;
	}
	upper = quire_plan_cut(plan, copy, addr);
	*err = upper ? 0 : -QUIRE_ENOMEM;
	return upper;
}

void quire_plan_vanish(struct quire_plan *plan, struct quire_vma *vma)
{
	if (!is_copy(vma)) {
		claim(plan, vma);
		return;
	}
	remove_copy(plan, vma);
	vma->state = QUIRE_VMA_NEW;
	quire_vma_free_new(vma);
}

void quire_plan_drop(struct quire_plan *plan, struct quire_vma *vma)
{
	if (!is_copy(vma)) {
		claim(plan, vma);
		vma->plan_marks |= QUIRE_PLAN_CLOSE;
		return;
	}
	if (!vma->ops || !vma->ops->close) {
		quire_plan_vanish(plan, vma);
		return;
	}
	remove_copy(plan, vma);
	vma->plan_marks |= QUIRE_PLAN_CLOSE;
	quire_list_add_tail(&plan->dropped, &vma->plan_link);
}

/* ---- Reserved ---------------------------------------------------------------------------- */

/*
 * What a splice replaces holds nothing that is to stay. Where kept areas lie between the plan's, as between
 * the two ends of a move, it takes several splices:
 *
 *	plan       |--a--|--b--|           |--c--|
 *	kept                     |-K-| |-L-|
 *	parts      [-----------]           [-----]
 *
 * If they lie between more than that, all is one splice, and what is kept goes back in as it is. Each area
 * comes or goes in one step; that of several splices one is first is seen by nobody who may look, since
 * what is moved may not be touched before the call returns.
 */

/* Does an area that is not the plan's lie between two that are? */
static bool keeps_between(const struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end)
{
	return quire_index_intersection(&plan->mm->index, start, end) != NULL;
}

static struct quire_vma *entry_or_null(const struct quire_list *head, struct quire_list *pos)
{
	return pos == head ? NULL : quire_list_entry(pos, struct quire_vma, plan_link);
}

/* Walks old and new areas together. False: more parts than there is room for. */
static bool find_parts(struct quire_plan *plan)
{
	struct quire_list *o = plan->old.next, *n = plan->areas.next;
	struct quire_plan_part *part = NULL;
	size_t seen = 0;

	for (;;) {
		struct quire_vma *old = entry_or_null(&plan->old, o);
		struct quire_vma *new = entry_or_null(&plan->areas, n);
		struct quire_vma *vma = !new || (old && old->start < new->start) ? old : new;

		if (!vma)
			return true;
		if (!part ||
		    (vma->start > part->end && keeps_between(plan, part->end, vma->start))) {
			if (plan->nr_parts == QUIRE_PLAN_PARTS)
				return false;
			part = &plan->part[plan->nr_parts++];
			part->start = vma->start;
			part->end = vma->end;
			part->first = seen;
			part->nr = 0;
		}
		if (vma->end > part->end)
			part->end = vma->end;
		if (vma == new) {
			part->nr++;
			seen++;
			n = n->next;
		} else {
			o = o->next;
		}
	}
}

/* Visible areas in the hull that the plan left alone. */
static size_t count_kept(struct quire_plan *plan)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;
	size_t kept = 0;

	quire_index_walk_start(&walk, &plan->mm->index, plan->start);
	while ((vma = quire_index_walk_next(&walk)) && vma->start < plan->end)
		kept += !is_taken(vma);
	return kept;
}

/* The hull is one part. */
static void make_one_part(struct quire_plan *plan, size_t kept)
{
	plan->nr_parts = 1;
	plan->part[0].start = plan->start;
	plan->part[0].end = plan->end;
	plan->part[0].first = 0;
	plan->part[0].nr = plan->nr_areas + kept;
}

/* What is kept goes into the list, between the copies; until finish or cancel. */
static void link_kept(struct quire_plan *plan)
{
	struct quire_list *pos = plan->areas.next;
	struct quire_index_walk walk;
	struct quire_vma *vma;

	quire_index_walk_start(&walk, &plan->mm->index, plan->start);
	while ((vma = quire_index_walk_next(&walk)) && vma->start < plan->end) {
		if (is_taken(vma))
			continue;
		while (pos != &plan->areas &&
		       quire_list_entry(pos, struct quire_vma, plan_link)->start < vma->start)
			pos = pos->next;
		vma->plan_marks = QUIRE_PLAN_KEPT;
		quire_list_add_tail(pos, &vma->plan_link);
	}
}

static bool is_kept(const struct quire_vma *vma)
{
	return (vma->plan_marks & QUIRE_PLAN_KEPT) != 0;
}

static void unlink_kept(struct quire_vma *vma)
{
	quire_list_del(&vma->plan_link);
	vma->plan_marks = 0;
}

static void fill_array(struct quire_plan *plan)
{
	struct quire_list *pos, *tmp;
	size_t n = 0;

	quire_list_for_each(pos, tmp, &plan->areas)
		plan->array[n++] = quire_list_entry(pos, struct quire_vma, plan_link);
	quire_assert(plan->mm->q, n == plan->nr_array);
}

static int reserve_splices(struct quire_plan *plan)
{
	struct quire_mm *mm = plan->mm;
	struct quire_plan_part *part = &plan->part[0];
	uint32_t nr_parts = plan->nr_parts;
	int err = 0;

	if (nr_parts == 1) {
		err = quire_splice_reserve(mm->q, &mm->index, &part->splice, part->start, part->end,
					   part->nr);
		plan->nr_parts = !err;
		return err;
	}
	for (plan->nr_parts = 0; plan->nr_parts < nr_parts; plan->nr_parts++, part++) {
		err = quire_splice_reserve_apart(mm->q, &mm->index, &part->splice, part->start,
						 part->end, part->nr, plan->nr_array - part->nr);
		if (err)
			break;
	}
	return err;
}

/* Few areas stand in an array; many in one part are handed over as the list that they are. */
static int make_array(struct quire_plan *plan)
{
	if (plan->nr_array > QUIRE_PLAN_INLINE) {
		if (plan->nr_parts == 1) {
			plan->array = NULL;
			return 0;
		}
		plan->array = quire_kmalloc(plan->mm->q, plan->nr_array * sizeof(*plan->array),
					    QUIRE_GFP_KERNEL);
		if (!plan->array)
			return -QUIRE_ENOMEM;
	}
	fill_array(plan);
	return 0;
}

int quire_plan_reserve(struct quire_plan *plan)
{
	size_t kept = 0;

	if (!plan->end)
		return 0;
	if (!plan->sparse) {
		make_one_part(plan, 0);
	} else if (!find_parts(plan)) {
		kept = count_kept(plan);
		make_one_part(plan, kept);
		link_kept(plan);
	}
	plan->nr_array = plan->nr_areas + kept;
	if (make_array(plan)) {
		plan->nr_parts = 0;
		return -QUIRE_ENOMEM;
	}
	return reserve_splices(plan);
}

/* ---- Made true --------------------------------------------------------------------------- */

static void commit_splices(struct quire_plan *plan)
{
	struct quire_mm *mm = plan->mm;

	if (!plan->array) {
		quire_splice_commit_list(mm->q, &mm->index, &plan->part[0].splice, &plan->areas,
					 plan->nr_array);
		return;
	}
	for (uint32_t i = 0; i < plan->nr_parts; i++) {
		struct quire_plan_part *part = &plan->part[i];

		quire_splice_commit(mm->q, &mm->index, &part->splice, plan->array + part->first,
				    part->nr);
	}
}

void quire_plan_commit(struct quire_plan *plan)
{
	struct quire_mm *mm = plan->mm;
	struct quire_list *pos, *tmp;

	if (!plan->end)
		return;
	quire_list_for_each(pos, tmp, &plan->areas) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		if (is_kept(vma))
			continue;
		if (vma->object)
			quire_object_link(vma);
		if (vma->anon)
			quire_anon_link(mm->q, vma);
		if (vma->state != QUIRE_VMA_BUSY)
			quire_store(&vma->state, QUIRE_VMA_ALIVE);
	}
	commit_splices(plan);
	if (plan->nr_array != plan->nr_areas) {
		quire_list_for_each(pos, tmp, &plan->areas) {
			struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

			if (is_kept(vma))
				unlink_kept(vma);
		}
	}
	quire_list_for_each(pos, tmp, &plan->old)
		quire_store_release(&quire_list_entry(pos, struct quire_vma, plan_link)->state,
				    QUIRE_VMA_DEAD);
	quire_account_gone(mm, &plan->gone);
}

void quire_plan_zap(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end, uint32_t flags)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each(pos, tmp, &plan->old) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);
		quire_uaddr_t from = vma->start > start ? vma->start : start;
		quire_uaddr_t to = vma->end < end ? vma->end : end;

		if (from < to)
			quire_zap_range(plan->mm, vma, from, to, flags);
	}
}

static void free_array(struct quire_plan *plan)
{
	if (plan->array && plan->array != plan->inline_array)
		quire_kfree(plan->mm->q, plan->array);
	plan->array = plan->inline_array;
}

/* Drivers hear of every area with its very bounds, of the new ones first, so that a count they keep
 * does not touch zero in between. */
static void tell_drivers(struct quire_plan *plan)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each(pos, tmp, &plan->areas) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		if ((vma->plan_marks & QUIRE_PLAN_OPEN) && vma->ops && vma->ops->open)
			vma->ops->open(vma);
	}
	quire_list_for_each(pos, tmp, &plan->dropped) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		if ((vma->plan_marks & QUIRE_PLAN_OPEN) && vma->ops->open)
			vma->ops->open(vma);
	}
	quire_list_for_each(pos, tmp, &plan->dropped) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		quire_list_del(&vma->plan_link);
		vma->ops->close(vma);
		vma->state = QUIRE_VMA_NEW;
		quire_vma_free_new(vma);
	}
	quire_list_for_each(pos, tmp, &plan->old) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		if ((vma->plan_marks & QUIRE_PLAN_CLOSE) && vma->ops && vma->ops->close)
			vma->ops->close(vma);
	}
}

void quire_plan_finish(struct quire_plan *plan)
{
	struct quire *q = plan->mm->q;
	struct quire_list *pos, *tmp;

	if (plan->has_ops) {
		quire_list_for_each(pos, tmp, &plan->old)
			quire_vma_wait_pins(quire_list_entry(pos, struct quire_vma, plan_link));
		tell_drivers(plan);
	}
	/* Out of the reverse maps before a fault can put anything of a new area's at its addresses: truncate would take it. */
	quire_list_for_each(pos, tmp, &plan->old) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		quire_list_del(&vma->plan_link);
		vma->plan_marks = 0;
		quire_object_unlink(vma); /* unless mremap has done so already */
		if (quire_vma_owner(vma))
			quire_anon_unlink(q, vma);
		quire_vma_free_deferred(vma);
	}
	quire_list_for_each(pos, tmp, &plan->areas) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		quire_list_del(&vma->plan_link);
		vma->plan_marks = 0;
		if (vma->state == QUIRE_VMA_BUSY)
			quire_store_release(&vma->state, QUIRE_VMA_ALIVE);
	}
	free_array(plan);
}

/* ---- Or forgotten ------------------------------------------------------------------------ */

static void free_copies(struct quire_list *head)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each(pos, tmp, head) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		if (is_kept(vma)) {
			unlink_kept(vma);
			continue;
		}
		quire_list_del(&vma->plan_link);
		vma->state = QUIRE_VMA_NEW;
		quire_vma_free_new(vma);
	}
}

void quire_plan_cancel(struct quire_plan *plan)
{
	struct quire_mm *mm = plan->mm;
	struct quire_list *pos, *tmp;

	while (plan->nr_parts)
		quire_splice_cancel(mm->q, &mm->index, &plan->part[--plan->nr_parts].splice);
	free_copies(&plan->areas);
	free_copies(&plan->dropped);
	quire_list_for_each(pos, tmp, &plan->old) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		quire_list_del(&vma->plan_link);
		if (vma->plan_marks & QUIRE_PLAN_FROZE)
			quire_vma_thaw(vma);
		vma->plan_marks = 0;
	}
	free_array(plan);
}

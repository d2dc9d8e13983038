/* SPDX-License-Identifier: MIT */
/*
 * fork(2): a second space that sees the same bytes. Private pages are shared until one side
 * writes, shared memory stays shared. Called by hosts; the child becomes a space like any other
 * with the last lines of quire_fork().
 *
 * The parent's writer lock keeps its areas as they are; its faults go on. Nobody can find the
 * child until it is whole: it is in no list, its index is empty until one splice fills it, its
 * drivers have not heard of it. One thing shows earlier: an area with an object is in that
 * object's reverse map before its pages are copied, so that a truncate that runs meanwhile finds
 * them. It sees a whole area in tables of its own; and if there is no memory for the rest, the
 * area leaves the reverse map again before anything else is undone.
 */
#include <mm/internal.h>

struct forking {
	/* input */
	struct quire_mm *parent;
	/* derived */
	struct quire_mm *child;
	struct quire_list areas; /* the child's, by address, quire_vma.plan_link */
	size_t nr_areas;
	int64_t charged; /* pages */
	struct quire_copy copy;
	/* reserved */
	bool is_reserved;
	struct quire_splice splice;
};

/* ---- Areas ------------------------------------------------------------------------------- */

/*
 * The owner is read while it cannot change; an area that gets one afterwards gets it for pages that
 * the child does not have.
 */
static struct quire_vma *copy_area(struct quire_mm *child, struct quire_vma *vma, bool *owned)
{
	bool froze = !(vma->flags & QUIRE_VM_SHARED) && quire_vma_freeze(vma);
	struct quire_vma *copy = quire_vma_copy(vma);

	if (froze)
		quire_vma_thaw(vma);
	if (!copy)
		return NULL;
	*owned = !froze && quire_vma_owner(vma);
	copy->mm = child;
	copy->id = child->next_vma_id++;
	copy->flags &= ~QUIRE_VM_LOCKED_MASK;
	return copy;
}

/* The child's counterpart of one area, with the memory it may come to need charged. -ENOMEM. */
static int add_area(struct forking *f, struct quire_vma *vma)
{
	struct quire_vma *copy;
	bool owned;

	if (vma->flags & QUIRE_VM_ACCOUNT) {
		if (quire_commit_pages(f->parent, (int64_t)quire_vma_pages(vma)))
			return -QUIRE_ENOMEM;
		f->charged += (int64_t)quire_vma_pages(vma);
	}
	copy = copy_area(f->child, vma, &owned);
	if (!copy)
		return -QUIRE_ENOMEM;
	quire_list_add_tail(&f->areas, &copy->plan_link);
	f->nr_areas++;
	if (owned && (vma->flags & QUIRE_VM_WIPEONFORK))
		quire_anon_release(f->child->q, copy);
	else if (owned)
		return quire_anon_fork(copy, vma);
	return 0;
}

static int add_areas(struct forking *f)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;
	int err;

	quire_index_walk_start(&walk, &f->parent->index, 0);
	while ((vma = quire_index_walk_next(&walk))) {
		if (vma->flags & QUIRE_VM_DONTCOPY)
			continue;
		err = add_area(f, vma);
		if (err)
			return err;
	}
	return 0;
}

static int reserve(struct forking *f)
{
	struct quire_mm *child = f->child;
	int err;

	if (!f->nr_areas)
		return 0;
	err = quire_splice_reserve(child->q, &child->index, &f->splice, 0, child->index.end,
				   f->nr_areas);
	f->is_reserved = !err;
	return err;
}

/* ---- Pages ------------------------------------------------------------------------------- */

/*
 * Does the child's area need entries of its own from the start? Not where a fault finds the same
 * page again: in the object, for an area that nobody ever wrote to privately.
 */
static bool needs_entries(const struct quire_vma *copy)
{
	if (copy->flags & QUIRE_VM_WIPEONFORK)
		return false;
	return copy->anon ||
	       (copy->flags & (QUIRE_VM_PFNMAP | QUIRE_VM_MIXEDMAP | QUIRE_VM_MAYBE_GUARD));
}

static int copy_pages(struct forking *f)
{
	struct quire_list *next = f->areas.next;
	struct quire_index_walk walk;
	struct quire_vma *vma;
	int err;

	quire_index_walk_start(&walk, &f->parent->index, 0);
	while ((vma = quire_index_walk_next(&walk))) {
		struct quire_vma *copy;

		if (vma->flags & QUIRE_VM_DONTCOPY)
			continue;
		copy = quire_list_entry(next, struct quire_vma, plan_link);
		next = next->next;
		if (copy->object)
			quire_object_link(copy);
		if (!needs_entries(copy))
			continue;
		err = quire_copy_range(&f->copy, copy, vma);
		if (err)
			return err;
	}
	return 0;
}

/* ---- Whole, or not at all ---------------------------------------------------------------- */

static void commit(struct forking *f)
{
	struct quire_mm *child = f->child;
	struct quire_list *pos, *tmp;

	if (f->is_reserved)
		quire_splice_commit_list(child->q, &child->index, &f->splice, &f->areas,
					 f->nr_areas);
	quire_list_for_each (pos, tmp, &f->areas) {
		struct quire_vma *copy = quire_list_entry(pos, struct quire_vma, plan_link);

		quire_list_del(&copy->plan_link);
		quire_account_vm(child, copy->flags, (int64_t)quire_vma_pages(copy));
		if (copy->anon)
			quire_anon_link(child->q, copy);
		quire_store_release(&copy->state, QUIRE_VMA_ALIVE);
		if (copy->ops && copy->ops->open)
			copy->ops->open(copy);
	}
	child->hiwater_vm = child->total_vm;
	quire_update_hiwater_rss(child); /* a truncate may be at its entries already */
}

static void undo(struct forking *f)
{
	struct quire_mm *child = f->child;
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &f->areas) {
		struct quire_vma *copy = quire_list_entry(pos, struct quire_vma, plan_link);

		quire_list_del(&copy->plan_link);
		quire_object_unlink(copy);
		quire_zap_range(child, copy, copy->start, copy->end, QUIRE_ZAP_TRIM);
		quire_vma_free_new(copy);
	}
	if (f->is_reserved)
		quire_splice_cancel(child->q, &child->index, &f->splice);
	quire_uncommit_pages(f->parent, f->charged);
}

int quire_fork(struct quire_mm *parent, struct quire_mm **answer)
{
	struct quire *q = parent->q;
	struct quire_mm *child = quire_mm_alloc(q);
	struct forking f = {.parent = parent, .child = child};
	int err;

	*answer = NULL;
	if (!child)
		return -QUIRE_ENOMEM;
	quire_list_init(&f.areas);

	quire_mutex_lock(q, &parent->lock);
	quire_mutex_lock(q, &child->lock);
	child->layout = parent->layout;
	child->limits = parent->limits;
	quire_index_init(&child->index, child->layout.task_size);
	quire_copy_begin(&f.copy, parent, child);
	err = add_areas(&f);
	if (!err)
		err = reserve(&f);
	if (!err)
		err = copy_pages(&f);
	quire_copy_end(&f.copy);
	if (err)
		undo(&f);
	else
		commit(&f);
	quire_mutex_unlock(q, &child->lock);
	quire_mutex_unlock(q, &parent->lock);

	if (err) {
		quire_mm_free_new(child);
		return err;
	}
	quire_mm_publish(child);
	*answer = child;
	return 0;
}

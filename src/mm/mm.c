/* SPDX-License-Identifier: MIT */
/*
 * The memory descriptor's life: made empty, shared by users, borrowed by those who only need it to
 * stay, emptied when the last user has gone, freed when the last borrower has. exec is a new one in
 * place of the old. How a space is filled is the other files' business.
 */
#include <base/string.h>
#include <mm/internal.h>

#define DEFAULT_STACK_LIMIT (UINT64_C(8) << 20)

/* ---- Made -------------------------------------------------------------------------------- */

int quire_mm_create(struct quire *q, const struct quire_layout *layout, struct quire_mm **answer)
{
	const uint64_t task_size = layout ? layout->task_size : q->fmt->user_end;
	struct quire_mm *mm;

	*answer = NULL;
	if (task_size > q->fmt->user_end || task_size > QUIRE_INDEX_END)
		return -QUIRE_EINVAL;
	mm = quire_mm_alloc(q);
	if (!mm)
		return -QUIRE_ENOMEM;
	if (layout)
		mm->layout = *layout;
	else
		quire_layout_init(&mm->layout, q->fmt, false, false, DEFAULT_STACK_LIMIT, 0);
	quire_index_init(&mm->index, mm->layout.task_size);
	quire_mm_publish(mm);
	*answer = mm;
	return 0;
}

/*
 * A descriptor with empty tables that nobody can find: fork fills it before it is published, or
 * frees it with quire_mm_free_new().
 */
struct quire_mm *quire_mm_alloc(struct quire *q)
{
	struct quire_mm *mm = quire_cache_alloc(q, &q->mms.mm_cache, QUIRE_GFP_KERNEL);

	if (!mm)
		return NULL;
	memset(mm, 0, sizeof(*mm));
	mm->q = q;
	mm->users = 1;
	mm->count = 1;
	mm->next_vma_id = 1;
	mm->limits = (struct quire_limits){
		.as = QUIRE_RLIM_INFINITY,
		.data = QUIRE_RLIM_INFINITY,
		.data_hard = QUIRE_RLIM_INFINITY,
		.stack = QUIRE_RLIM_INFINITY,
		.memlock = QUIRE_RLIM_INFINITY,
	};
	quire_list_init(&mm->link);
	if (quire_pgtable_init(q, &mm->pt, q->fmt)) {
		quire_cache_free(q, &q->mms.mm_cache, mm);
		return NULL;
	}
	return mm;
}

void quire_mm_free_new(struct quire_mm *mm)
{
	struct quire *q = mm->q;

	quire_pgtable_destroy(&mm->pt);
	quire_cache_free(q, &q->mms.mm_cache, mm);
}

void quire_mm_publish(struct quire_mm *mm)
{
	struct quire_mms *mms = &mm->q->mms;

	quire_mutex_lock(mm->q, &mms->lock);
	quire_list_add_tail(&mms->spaces, &mm->link);
	quire_mutex_unlock(mm->q, &mms->lock);
}

int quire_exec(struct quire_mm **mm, const struct quire_layout *layout)
{
	struct quire_mm *old = *mm, *new;
	int err = quire_mm_create(old->q, layout, &new);

	if (err)
		return err;
	new->limits = old->limits;
	*mm = new;
	quire_mmput(old);
	return 0;
}

/* ---- Emptied ----------------------------------------------------------------------------- */

/*
 * The last user has gone, so nobody faults, maps or looks areas up; only the object's side may
 * still come along the reverse map, which leaf locks and object locks order against this. Entries
 * go first, then areas leave the reverse maps, then they are closed: a driver that hears of the
 * close knows that its pages are mapped no more.
 */
static void unmap_everything(struct quire_mm *mm)
{
	struct quire *q = mm->q;
	struct quire_list gone, *pos, *tmp;
	struct quire_index_walk walk;
	struct quire_vma *vma;
	int64_t accounted = 0;

	quire_list_init(&gone);
	quire_index_walk_start(&walk, &mm->index, 0);
	while ((vma = quire_index_walk_next(&walk))) {
		quire_store_release(&vma->state, QUIRE_VMA_DEAD);
		quire_list_add_tail(&gone, &vma->plan_link);
	}
	quire_zap_space(mm);
	quire_index_destroy(q, &mm->index);
	quire_index_init(&mm->index, mm->layout.task_size);

	quire_list_for_each (pos, tmp, &gone) {
		vma = quire_list_entry(pos, struct quire_vma, plan_link);
		quire_list_del(&vma->plan_link);
		if (vma->flags & QUIRE_VM_ACCOUNT)
			accounted += (int64_t)quire_vma_pages(vma);
		quire_account_vm(mm, vma->flags, -(int64_t)quire_vma_pages(vma));
		if (vma->flags & QUIRE_VM_LOCKED)
			mm->locked_vm -= quire_vma_pages(vma);
		if (vma->anon)
			quire_anon_unlink(q, vma);
		if (vma->object)
			quire_object_unlink(vma);
		if (vma->ops && vma->ops->close)
			vma->ops->close(vma);
		quire_vma_free_deferred(vma);
	}
	quire_uncommit_pages(mm, accounted);
}

static void exit_mm(struct quire_mm *mm)
{
	struct quire *q = mm->q;

	quire_mutex_lock(q, &q->mms.lock);
	quire_list_del(&mm->link);
	quire_mutex_unlock(q, &q->mms.lock);

	quire_mutex_lock(q, &mm->lock);
	unmap_everything(mm);
	quire_mutex_unlock(q, &mm->lock);
}

/* ---- Users ------------------------------------------------------------------------------- */

void quire_mmget(struct quire_mm *mm)
{
	uint32_t before = quire_fetch_add(&mm->users, 1u);

	quire_assert(mm->q, before > 0);
	(void)before;
}

bool quire_mmget_not_zero(struct quire_mm *mm)
{
	uint32_t users = quire_load(&mm->users);

	while (users) {
		if (quire_cmpxchg(&mm->users, &users, users + 1))
			return true;
	}
	return false;
}

void quire_mmput(struct quire_mm *mm)
{
	uint32_t before = quire_fetch_sub(&mm->users, 1u);

	quire_assert(mm->q, before > 0);
	if (before != 1)
		return;
	exit_mm(mm);
	quire_mmdrop(mm);
}

/* ---- Borrowers --------------------------------------------------------------------------- */

void quire_mmgrab(struct quire_mm *mm)
{
	uint32_t before = quire_fetch_add(&mm->count, 1u);

	quire_assert(mm->q, before > 0);
	(void)before;
}

static void free_mm(struct quire *q, struct quire_deferred *deferred)
{
	struct quire_mm *mm = quire_container_of(deferred, struct quire_mm, deferred);

	quire_cache_free(q, &q->mms.mm_cache, mm);
}

void quire_mmdrop(struct quire_mm *mm)
{
	struct quire *q = mm->q;
	uint32_t before = quire_fetch_sub(&mm->count, 1u);

	quire_assert(q, before > 0);
	if (before != 1)
		return;
	quire_assert(q, quire_load(&mm->users) == 0);
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(mm->pt.cpus); i++)
		quire_assert(q, !quire_load(&mm->pt.cpus[i])); /* no CPU has its tables loaded */
	quire_pgtable_destroy(&mm->pt);
	/* Areas are freed after a grace period too, and name their space until then. */
	quire_defer(q, &mm->deferred, free_mm);
}

void quire_mm_wait(struct quire_mm *mm)
{
	quire_mutex_lock(mm->q, &mm->lock);
	quire_mutex_unlock(mm->q, &mm->lock);
}

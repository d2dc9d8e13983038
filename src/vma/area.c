/* SPDX-License-Identifier: MIT */
/*
 * One area: made, copied, frozen, freed. Called by whoever changes a space (the plan in src/mm, fork,
 * stack growth), never by readers. Nothing here touches the index or the tables.
 *
 * Life of an area:
 *
 *	alloc, copy -> NEW -> ALIVE (or BUSY, then ALIVE) -> DEAD -> freed after a grace period
 *	                `--> freed at once, if nobody ever saw it
 */
#include <base/string.h>
#include <vma/area.h>
#include <vma/policy.h>

/* ---- Made -------------------------------------------------------------------------------- */

/* An area that nothing points to yet; only the fields that a copy does not overwrite. */
static struct quire_vma *alloc_blank(struct quire_mm *mm)
{
	return quire_cache_alloc(mm->q, &mm->q->mms.vma_cache, QUIRE_GFP_KERNEL);
}

/* Ids are given out under the writer lock, and areas of a space under construction by one thread. */
static uint64_t fresh_id(struct quire_mm *mm)
{
	uint64_t id = mm->next_vma_id;

	quire_store(&mm->next_vma_id, id + 1);
	return id;
}

struct quire_vma *quire_vma_alloc(struct quire_mm *mm)
{
	struct quire_vma *vma = alloc_blank(mm);

	if (!vma)
		return NULL;
	memset(vma, 0, sizeof(*vma));
	vma->mm = mm;
	vma->id = fresh_id(mm);
	vma->state = QUIRE_VMA_NEW;
	quire_list_init(&vma->object_link);
	quire_list_init(&vma->plan_link);
	return vma;
}

struct quire_vma *quire_vma_copy(const struct quire_vma *vma)
{
	struct quire_vma *copy = alloc_blank(vma->mm);

	if (!copy)
		return NULL;
	copy->start = vma->start;
	copy->end = vma->end;
	copy->flags = vma->flags;
	copy->mm = vma->mm;
	copy->pgoff = vma->pgoff;
	copy->object = vma->object;
	copy->file = vma->file;
	copy->ops = vma->ops;
	copy->private_data = vma->private_data;
	copy->policy = quire_policy_get(vma->policy);
	copy->anon = NULL;
	copy->chain = NULL;
	copy->state = QUIRE_VMA_NEW;
	copy->plan_marks = 0;
	copy->pins = 0;
	copy->id = fresh_id(vma->mm);
	copy->deferred.next = NULL;
	copy->deferred.fn = NULL;
	quire_list_init(&copy->object_link);
	quire_list_init(&copy->plan_link);
	if (copy->file)
		quire_file_get(copy->file);
	if (copy->object)
		quire_object_get(copy->object);
	if (quire_vma_owner(vma))
		quire_anon_share(copy, vma);
	return copy;
}

/* ---- Freed ------------------------------------------------------------------------------- */

static void free_now(struct quire *q, struct quire_vma *vma)
{
	if (vma->anon == QUIRE_ANON_FROZEN)
		vma->anon = NULL;
	if (vma->anon)
		quire_anon_release(q, vma);
	quire_policy_put(q, vma->policy);
	if (vma->object)
		quire_object_put(vma->object);
	if (vma->file)
		quire_file_put(q, vma->file);
	quire_cache_free(q, &q->mms.vma_cache, vma);
}

void quire_vma_free_new(struct quire_vma *vma)
{
	quire_assert(vma->mm->q, vma->state == QUIRE_VMA_NEW);
	free_now(vma->mm->q, vma);
}

static void free_after_grace(struct quire *q, struct quire_deferred *deferred)
{
	free_now(q, quire_container_of(deferred, struct quire_vma, deferred));
}

void quire_vma_free_deferred(struct quire_vma *vma)
{
	struct quire *q = vma->mm->q;

	quire_assert(q, vma->state == QUIRE_VMA_DEAD);
	quire_defer(q, &vma->deferred, free_after_grace);
}

/* ---- Owners ------------------------------------------------------------------------------ */

/* A fault sets owner and chain together under anon_lock, so that is what keeps it out here. */
bool quire_vma_freeze(struct quire_vma *vma)
{
	struct quire_mm *mm = vma->mm;
	bool frozen = false;

	if (quire_load(&vma->anon))
		return false;
	quire_spin_lock(mm->q, &mm->anon_lock);
	if (!vma->anon) {
		quire_store(&vma->anon, QUIRE_ANON_FROZEN);
		frozen = true;
	}
	quire_spin_unlock(mm->q, &mm->anon_lock);
	return frozen;
}

void quire_vma_thaw(struct quire_vma *vma)
{
	quire_assert(vma->mm->q, quire_load(&vma->anon) == QUIRE_ANON_FROZEN);
	quire_store_release(&vma->anon, (struct quire_anon *)NULL);
}

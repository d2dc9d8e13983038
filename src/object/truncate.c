/* SPDX-License-Identifier: MIT */
/*
 * The reverse map (which areas map an object), and what goes through it to take pages away:
 * unmap, truncate, punching holes. Called by file systems and madvise(MADV_REMOVE); link and
 * unlink by whoever makes areas visible or gone.
 *
 * The order of a truncate, and what it meets:
 *
 *	size lowered           faults that lock a page from now on see it beyond the end
 *	truncations grows      faults that copied a page see it under the leaf lock, start again
 *	unmap                  most entries go, with one flush an area
 *	each page: lock, unmap what was mapped in between, remove from the tree
 *	unmap                  private copies whose making began before the size was lowered
 *
 * Never looks at page tables itself: q->objects.zap does, for one area's addresses.
 */
#include "internal.h"

void quire_object_link(struct quire_vma *vma)
{
	struct quire_object *object = vma->object;

	if (!object)
		return;
	quire_mutex_lock(object->q, &object->lock);
	quire_list_add_tail(&object->areas, &vma->object_link);
	if ((vma->flags & QUIRE_VM_SHARED) && (vma->flags & QUIRE_VM_MAYWRITE))
		object->nr_writable++;
	quire_mutex_unlock(object->q, &object->lock);
}

void quire_object_unlink(struct quire_vma *vma)
{
	struct quire_object *object = vma->object;

	if (!object)
		return;
	quire_mutex_lock(object->q, &object->lock);
	if (!quire_list_empty(&vma->object_link)) {
		quire_list_del(&vma->object_link);
		if ((vma->flags & QUIRE_VM_SHARED) && (vma->flags & QUIRE_VM_MAYWRITE))
			object->nr_writable--;
	}
	quire_mutex_unlock(object->q, &object->lock);
}

/* The addresses at which vma has pages [first, last]; false if it has none of them.
 *
 *	pages    first |---------| last
 *	area                |--------------|
 *	             pgoff -^
 *	answer              |----|
 */
bool quire_object_area_range(const struct quire_vma *vma, uint64_t first, uint64_t last,
			     quire_uaddr_t *start, quire_uaddr_t *end)
{
	uint64_t area_last = vma->pgoff + quire_vma_pages(vma) - 1;

	if (first < vma->pgoff)
		first = vma->pgoff;
	if (last > area_last)
		last = area_last;
	if (first > last)
		return false;
	*start = vma->start + ((first - vma->pgoff) << QUIRE_PAGE_SHIFT);
	*end = vma->start + ((last - vma->pgoff + 1) << QUIRE_PAGE_SHIFT);
	return true;
}

void quire_object_unmap(struct quire_object *object, uint64_t first, uint64_t last, bool even_cows)
{
	struct quire *q = object->q;
	struct quire_list *pos, *tmp;

	(void)quire_fetch_add(&object->truncations, UINT64_C(1));
	quire_mutex_lock(q, &object->lock);
	quire_assert(q, quire_list_empty(&object->areas) || q->objects.zap);
	quire_list_for_each (pos, tmp, &object->areas) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, object_link);
		quire_uaddr_t start, end;

		if (quire_object_area_range(vma, first, last, &start, &end))
			q->objects.zap(vma, start, end, even_cows);
	}
	quire_mutex_unlock(q, &object->lock);
}

/* Take every page of [first, last] out of the cache, and out of the mappings where it is in one. */
static void drop_pages(struct quire_object *object, uint64_t first, uint64_t last)
{
	struct quire *q = object->q;
	struct quire_page *page;
	uint64_t index = first;

	while ((page = quire_object_next_page(object, &index, last, 0)) != NULL) {
		quire_page_lock(q, page);
		if (quire_load(&page->owner) == object) {
			if (quire_load(&page->maps))
				quire_object_unmap(object, index, index, false);
			quire_object_remove_page(object, page);
		}
		quire_page_unlock(q, page);
		quire_page_put(q, page);
	}
}

/* What a mapping has stored behind the end goes, as far as zeroed_to. */
static void grow(struct quire_object *object, uint64_t size, uint64_t zeroed_to)
{
	quire_object_forget_tail(object, zeroed_to);
	quire_object_set_size(object, size);
}

void quire_object_truncate(struct quire_object *object, uint64_t size)
{
	struct quire *q = object->q;
	uint64_t first = quire_size_pages(size);

	quire_assert(q, size <= QUIRE_OBJECT_MAX_SIZE);
	quire_mutex_lock(q, &object->resize);
	if (size > object->size) {
		grow(object, size, UINT64_MAX);
	} else {
		quire_object_set_size(object, size);
		quire_object_unmap(object, first, UINT64_MAX, true);
		quire_object_zero_tail(object, size);
		drop_pages(object, first, UINT64_MAX);
		quire_object_unmap(object, first, UINT64_MAX, true);
	}
	quire_mutex_unlock(q, &object->resize);
}

void quire_object_extend(struct quire_object *object, uint64_t size)
{
	struct quire *q = object->q;

	quire_assert(q, size <= QUIRE_OBJECT_MAX_SIZE);
	quire_mutex_lock(q, &object->resize);
	if (size > object->size)
		grow(object, size, size);
	quire_mutex_unlock(q, &object->resize);
}

static void drop_locked(struct quire_object *object, uint64_t first, uint64_t last)
{
	quire_mutex_assert(object->q, &object->resize);
	quire_object_unmap(object, first, last, false);
	drop_pages(object, first, last);
	/*
	 * A page may have been mapped again after the first time, and unmapped by somebody who has
	 * yet to flush: no CPU may go on storing to what is the object's no more.
	 */
	quire_object_unmap(object, first, last, false);
}

void quire_object_drop(struct quire_object *object, uint64_t first, uint64_t last)
{
	quire_mutex_lock(object->q, &object->resize);
	drop_locked(object, first, last);
	quire_mutex_unlock(object->q, &object->resize);
}

/* Pages [first, end) are not read in until it is told otherwise. Only who has resize writes. */
static void set_hole(struct quire_object *object, uint64_t first, uint64_t end)
{
	quire_spin_lock(object->q, &object->tree_lock);
	object->hole_first = first;
	object->hole_end = end;
	quire_spin_unlock(object->q, &object->tree_lock);
}

/*
 * The page that holds byte pos, of which a hole takes a part, cached from here on; NULL: none that
 * holds anything.
 */
static int get_part(struct quire_object *object, uint64_t pos, struct quire_page **page)
{
	uint64_t index = pos >> QUIRE_PAGE_SHIFT;

	*page = NULL;
	if ((pos & (QUIRE_PAGE_SIZE - 1)) == 0 || index >= quire_size_pages(object->size))
		return 0;
	/* What nobody has stored to is zeroes. */
	if (!object->ops->read_page) {
		*page = quire_object_find_page(object, index);
		return 0;
	}
	return quire_object_get_page(object, index, page);
}

static void zero_part(struct quire_object *object, struct quire_page *page, uint64_t from, uint64_t to)
{
	if (!page)
		return;
	quire_object_zero_part(object, from, to);
	quire_page_put(object->q, page);
}

/*
 * What is dropped may be newer than the storage: who read it in again before the hole is there
 * would find what it was once, and if it were written back behind the hole it would come back.
 *
 *	pages   |       |       |       |       |
 *	hole        |-----------------------|
 *	           zero |    dropped    | zero
 */
static int punch_locked(struct quire_object *object, uint64_t start, uint64_t end)
{
	uint64_t first = quire_size_pages(start), last = end >> QUIRE_PAGE_SHIFT;
	struct quire_page *head, *tail = NULL;
	int err;

	err = get_part(object, start, &head);
	if (!err && first <= last)
		err = get_part(object, end, &tail);
	if (err) {
		if (head)
			quire_page_put(object->q, head);
		return err;
	}
	zero_part(object, head, start, end);
	zero_part(object, tail, last << QUIRE_PAGE_SHIFT, end);
	if (first >= last)
		return 0;
	set_hole(object, first, last);
	drop_locked(object, first, last - 1);
	err = object->ops->punch_hole(object, first << QUIRE_PAGE_SHIFT, last << QUIRE_PAGE_SHIFT);
	set_hole(object, 0, 0);
	return err;
}

int quire_object_punch_hole(struct quire_object *object, uint64_t start, uint64_t end)
{
	int err;

	if (end > object->max_size)
		return -QUIRE_EFBIG;
	if (!object->ops || !object->ops->punch_hole)
		return -QUIRE_EOPNOTSUPP;
	if (start >= end)
		return 0;
	quire_mutex_lock(object->q, &object->resize);
	err = punch_locked(object, start, end);
	quire_mutex_unlock(object->q, &object->resize);
	return err;
}

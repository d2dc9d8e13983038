/* SPDX-License-Identifier: MIT */
/*
 * Write-back: dirty pages of an object go to its file system. Called by msync, by file systems'
 * fsync.
 *
 * What must hold: a store is either in what is written, or makes the page dirty again afterwards
 * and is announced (page_mkwrite) again. So under the page's lock:
 *
 *	write-protect each entry, taking its dirty bit over; flush
 *	clear the page's mark
 *	write
 *
 * A store after the flush faults; the fault needs the page's lock to give the entry its right
 * back, so it comes after the write, and marks the page. The whole range is write-protected once
 * before that, area by area with one flush each, to learn of the pages that only entries know to
 * be dirty; after it the work under the page's lock has seldom anything left to flush.
 */
#include "internal.h"

/* Write-protect the entries that map [first, last] in shared areas, taking dirty bits over. */
static void clean_entries(struct quire_object *object, uint64_t first, uint64_t last)
{
	struct quire *q = object->q;
	struct quire_list *pos, *tmp;

	quire_mutex_lock(q, &object->lock);
	quire_list_for_each (pos, tmp, &object->areas) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, object_link);
		quire_uaddr_t start, end;

		/*
		 * Private areas map the object's pages read-only; shared ones without MAYWRITE
		 * too.
		 */
		if (!(vma->flags & QUIRE_VM_SHARED) || !(vma->flags & QUIRE_VM_MAYWRITE))
			continue;
		if (quire_object_area_range(vma, first, last, &start, &end))
			q->objects.wrprotect(vma, start, end);
	}
	quire_mutex_unlock(q, &object->lock);
}

/* Page locked, the object's own. */
static int write_page(struct quire_object *object, struct quire_page *page)
{
	struct quire *q = object->q;
	int err;

	if (quire_load(&page->maps))
		clean_entries(object, page->index, page->index);
	if (!quire_page_clear_dirty(q, page))
		return 0;
	quire_page_set(page, QUIRE_PG_WRITEBACK);
	quire_stat_add(q, QUIRE_STAT_WRITEBACK, 1);
	err = object->ops->write_page(object, page);
	(void)quire_page_test_clear(page, QUIRE_PG_WRITEBACK);
	quire_stat_add(q, QUIRE_STAT_WRITEBACK, -1);
	if (err)
		quire_page_mark_dirty(q, page);
	return err;
}

int quire_object_sync(struct quire_object *object, uint64_t first, uint64_t last)
{
	struct quire *q = object->q;
	struct quire_page *page;
	uint64_t index = first;
	int err = 0;

	if ((object->flags & QUIRE_OBJECT_NOSYNC) || !object->ops || !object->ops->write_page)
		return 0;
	clean_entries(object, first, last);
	while (index <= last &&
	       (page = quire_object_next_page(object, &index, last, QUIRE_PG_DIRTY)) != NULL) {
		int this_err = 0;

		quire_page_lock(q, page);
		if (quire_load(&page->owner) == object)
			this_err = write_page(object, page);
		quire_page_unlock(q, page);
		quire_page_put(q, page);
		if (!err)
			err = this_err;
		if (index++ == UINT64_MAX)
			break;
	}
	return err;
}

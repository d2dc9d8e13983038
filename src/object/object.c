/* SPDX-License-Identifier: MIT */
/*
 * Objects: their life, the pages they hold, reading and writing them by content. Called by file
 * systems, by faults (quire_object_get_page()), by the texts that count pages.
 *
 * How a page comes and goes:
 *
 *	insert (locked, tree) -> fill -> UPTODATE, unlocked ... locked -> unmapped -> remove -> put
 *
 * A page is put into the tree locked and stays locked until its content is there, so whoever
 * locks a page that still has this owner sees it up to date. Two readers that miss the same page
 * both bring one; the tree takes the first, the other is thrown away. The tree has one
 * reference. Insertion and each change of the size are under tree_lock: no page gets in behind a
 * truncate.
 *
 * Nothing here looks at page tables.
 */
#include "internal.h"

#include "vma/policy.h"

void quire_object_init(struct quire *q, struct quire_object *object,
		       const struct quire_file_ops *ops, uint64_t size, uint32_t flags)
{
	memset(object, 0, sizeof(*object));
	object->q = q;
	object->ops = ops;
	object->refs = 1;
	object->flags = flags;
	object->size = size;
	object->max_size = QUIRE_OBJECT_MAX_SIZE;
	quire_list_init(&object->areas);
	quire_assert(q, size <= QUIRE_OBJECT_MAX_SIZE);
}

void quire_object_get(struct quire_object *object)
{
	uint32_t before = quire_fetch_add(&object->refs, 1u);

	quire_assert(object->q, before > 0);
	(void)before;
}

void quire_object_put(struct quire_object *object)
{
	struct quire *q = object->q;
	struct quire_page *page;
	uint64_t index = 0;

	if (quire_fetch_sub(&object->refs, 1u) != 1)
		return;
	quire_assert(q, quire_list_empty(&object->areas));
	/*
	 * Nobody can come for the pages any more, so their locks are of no interest: this must
	 * not sleep.
	 */
	while ((page = quire_object_next_page(object, &index, UINT64_MAX, 0)) != NULL) {
		quire_object_remove_page(object, page);
		quire_page_put(q, page);
	}
	quire_shared_policy_free(q, object->policies);
	object->policies = NULL;
	if (object->ops && object->ops->release)
		object->ops->release(object);
}

/* ---- The tree of pages ------------------------------------------------------------------- */

struct quire_page *quire_object_find_page(struct quire_object *object, uint64_t index)
{
	struct quire *q = object->q;
	struct quire_page *page;

	quire_grace_enter(q);
	/*
	 * The frame may have been freed, even become another page, before it was held: look
	 * again.
	 */
	while ((page = quire_radix_find(&object->tree, index)) != NULL) {
		if (!quire_page_tryget(page))
			continue;
		if (quire_radix_find(&object->tree, index) == page)
			break;
		quire_page_put(q, page);
	}
	quire_grace_leave(q);
	return page;
}

struct quire_page *quire_object_next_page(struct quire_object *object, uint64_t *index,
					  uint64_t last, uint32_t flags)
{
	struct quire *q = object->q;
	struct quire_page *page;
	uint64_t at = *index;

	quire_grace_enter(q);
	while ((page = quire_radix_next(&object->tree, &at)) != NULL) {
		if (at > last) {
			page = NULL;
			break;
		}
		if (flags && !quire_page_test(page, flags)) {
			if (at++ == UINT64_MAX) {
				page = NULL;
				break;
			}
			continue;
		}
		if (!quire_page_tryget(page))
			continue;
		if (quire_radix_find(&object->tree, at) == page)
			break;
		quire_page_put(q, page);
	}
	quire_grace_leave(q);
	*index = at;
	return page;
}

/* UPTODATE, and what was written before that mark was set. */
static bool is_uptodate(const struct quire_page *page)
{
	return (quire_load_acquire(&page->flags) & QUIRE_PG_UPTODATE) != 0;
}

static bool owns(const struct quire_object *object, const struct quire_page *page)
{
	return quire_load(&page->owner) == object;
}

bool quire_object_has_page(struct quire_object *object, const struct quire_page *page)
{
	return owns(object, page) && quire_page_kind(page) == QUIRE_PAGE_CACHE &&
	       is_uptodate(page) &&
	       page->index < quire_size_pages(quire_load_acquire(&object->size));
}

/* Does Linux count its dirty pages? Not those that nobody writes back. */
static bool is_tracked(const struct quire_object *object)
{
	return !(object->flags & (QUIRE_OBJECT_SHMEM | QUIRE_OBJECT_NOSYNC)) && object->ops &&
	       object->ops->write_page;
}

/* Shared memory's come from where its policy says, others from where the thread's does. */
static struct quire_page *alloc_page(struct quire_object *object, uint64_t index)
{
	struct quire *q = object->q;
	struct quire_page *page;

	if (!quire_policies_in_use(q))
		return quire_page_alloc(q, QUIRE_GFP_HIGHUSER, 0);
	if (!(object->flags & QUIRE_OBJECT_SHMEM))
		return quire_page_alloc_policy(q, NULL, QUIRE_NO_INTERLEAVE_INDEX,
					       QUIRE_GFP_HIGHUSER);
	quire_grace_enter(q);
	page = quire_page_alloc_policy(q, quire_object_policy(object, index), index,
				       QUIRE_GFP_HIGHMEM);
	quire_grace_leave(q);
	return page;
}

/*
 * A new page for index, locked, not up to date, in the tree, with a reference for the caller.
 * -EEXIST: somebody was first; -EFAULT: index lies beyond the end, and within_size was asked
 * for; -EAGAIN: a hole is being punched there; -ENOMEM.
 */
static int insert_page(struct quire_object *object, uint64_t index, bool within_size,
		       struct quire_page **out)
{
	struct quire *q = object->q;
	struct quire_page *page = alloc_page(object, index);
	bool shmem = (object->flags & QUIRE_OBJECT_SHMEM) != 0;
	int err;

	if (!page)
		return -QUIRE_ENOMEM;
	quire_page_set_kind(page, QUIRE_PAGE_CACHE);
	quire_store(&page->owner, object);
	page->index = index;
	quire_page_get(page);
	quire_page_set(page, QUIRE_PG_LOCKED | (shmem ? QUIRE_PG_SWAPBACKED : 0) |
				     (is_tracked(object) ? QUIRE_PG_TRACKED : 0));

	quire_spin_lock(q, &object->tree_lock);
	if (within_size && index >= quire_size_pages(object->size))
		err = -QUIRE_EFAULT;
	else if (index >= object->hole_first && index < object->hole_end)
		err = -QUIRE_EAGAIN;
	else
		err = quire_radix_insert(q, &object->tree, index, page);
	if (!err)
		object->nr_pages++;
	quire_spin_unlock(q, &object->tree_lock);

	if (err) {
		/* Seen by nobody. */
		quire_page_unlock(q, page);
		quire_store(&page->owner, NULL);
		quire_page_put(q, page);
		quire_page_put(q, page);
		return err;
	}
	quire_stat_add(q, QUIRE_STAT_FILE_PAGES, 1);
	if (shmem)
		quire_stat_add(q, QUIRE_STAT_SHMEM, 1);
	*out = page;
	return 0;
}

void quire_object_remove_page(struct quire_object *object, struct quire_page *page)
{
	struct quire *q = object->q;
	struct quire_radix_node *freed;
	uint32_t before;

	quire_assert(q, owns(object, page));
	quire_spin_lock(q, &object->tree_lock);
	freed = quire_radix_remove(&object->tree, page->index);
	object->nr_pages--;
	quire_store(&page->owner, NULL);
	quire_spin_unlock(q, &object->tree_lock);

	quire_radix_free(q, freed);
	before = quire_fetch_and(&page->flags, ~(QUIRE_PG_TRACKED | QUIRE_PG_DIRTY));
	if ((before & QUIRE_PG_TRACKED) && (before & QUIRE_PG_DIRTY))
		quire_stat_add(q, QUIRE_STAT_FILE_DIRTY, -1);
	quire_stat_add(q, QUIRE_STAT_FILE_PAGES, -1);
	if (before & QUIRE_PG_SWAPBACKED)
		quire_stat_add(q, QUIRE_STAT_SHMEM, -1);
	quire_page_put(q, page);
}

/*
 * old is locked, so no entry comes to map it; its content stands still then, but for who holds a reference from an
 * entry: so that this is told from the reference itself. Who looks for the page while its count is 0 looks again.
 */
bool quire_object_exchange_page(struct quire_object *object, struct quire_page *old,
				struct quire_page *new)
{
	const uint32_t kept = QUIRE_PG_UPTODATE | QUIRE_PG_DIRTY | QUIRE_PG_REFERENCED |
			      QUIRE_PG_SWAPBACKED | QUIRE_PG_TRACKED;
	struct quire *q = object->q;
	uint32_t refs = 2;
	bool alone;

	quire_assert(q, owns(object, old) && quire_page_test(old, QUIRE_PG_LOCKED));
	quire_object_unmap(object, old->index, old->index, false);
	quire_page_copy(q, new, old);

	quire_spin_lock(q, &object->tree_lock);
	alone = quire_cmpxchg(&old->refs, &refs, 0u);
	if (alone) {
		quire_page_set_kind(new, QUIRE_PAGE_CACHE);
		quire_store(&new->owner, object);
		new->index = old->index;
		quire_page_get(new);
		quire_page_set(new, QUIRE_PG_LOCKED | (quire_load(&old->flags) & kept));
		quire_radix_replace(&object->tree, old->index, new);
		quire_store(&old->owner, NULL);
		(void)quire_fetch_and(&old->flags,
				      ~(QUIRE_PG_DIRTY | QUIRE_PG_SWAPBACKED | QUIRE_PG_TRACKED));
		quire_store_release(&old->refs, 1u); /* the caller's */
	}
	quire_spin_unlock(q, &object->tree_lock);
	return alone;
}

/*
 * The page at index, locked, with a reference: the object's own, or a new one that is not up to
 * date. Errors of insert_page() but -EEXIST.
 */
static int grab_page(struct quire_object *object, uint64_t index, bool within_size,
		     struct quire_page **out)
{
	struct quire *q = object->q;
	struct quire_page *page;
	unsigned tries = 0;
	int err;

	for (;;) {
		page = quire_object_find_page(object, index);
		if (!page) {
			err = insert_page(object, index, within_size, out);
			/* Under the tree's lock there was no waiting for memory. */
			if (err != -QUIRE_EEXIST && (err != -QUIRE_ENOMEM || !quire_grace_reclaim(q, &tries)))
				return err;
			continue;
		}
		quire_page_lock(q, page);
		if (owns(object, page)) {
			*out = page;
			return 0;
		}
		/* Dropped while we waited for its lock. */
		quire_page_unlock(q, page);
		quire_page_put(q, page);
	}
}

static void release_page(struct quire *q, struct quire_page *page)
{
	quire_page_unlock(q, page);
	quire_page_put(q, page);
}

/* ---- Content ----------------------------------------------------------------------------- */

static void zero_part(struct quire *q, struct quire_page *page, size_t from)
{
	char *bytes = quire_page_kmap(q, page);

	memset(bytes + from, 0, QUIRE_PAGE_SIZE - from);
	quire_page_kunmap(q, bytes);
}

/* Zero what of page lies beyond a file of that size. */
static void zero_beyond(struct quire *q, struct quire_page *page, uint64_t size)
{
	uint64_t start = page->index << QUIRE_PAGE_SHIFT;

	if (size < start)
		zero_part(q, page, 0);
	else if (size - start < QUIRE_PAGE_SIZE)
		zero_part(q, page, (size_t)(size - start));
}

/*
 * Read a locked page in. After an error it is out of the cache: who waits for its lock tries for
 * itself.
 */
static int fill_page(struct quire_object *object, struct quire_page *page)
{
	struct quire *q = object->q;
	uint64_t size = quire_load_acquire(&object->size);

	if (object->ops && object->ops->read_page) {
		int err = object->ops->read_page(object, page);

		if (err) {
			quire_object_remove_page(object, page);
			return err;
		}
		/*
		 * The size from before: should it have shrunk since, truncate waits for our lock
		 * and zeroes more.
		 */
		zero_beyond(q, page, size);
	} else {
		quire_page_zero(q, page);
	}
	quire_page_set(page, QUIRE_PG_UPTODATE);
	return 0;
}

int quire_object_get_page(struct quire_object *object, uint64_t index, struct quire_page **out)
{
	struct quire *q = object->q;
	struct quire_page *page;
	int err;

	*out = NULL;
	do {
		if (index >= quire_size_pages(quire_load_acquire(&object->size)))
			return -QUIRE_EFAULT;
		page = quire_object_find_page(object, index);
		if (page && is_uptodate(page)) {
			*out = page;
			return 0;
		}
		if (page)
			quire_page_put(q, page);

		err = grab_page(object, index, true, &page);
		if (err == -QUIRE_EAGAIN) {
			/* Until the hole is there. */
			quire_mutex_lock(q, &object->resize);
			quire_mutex_unlock(q, &object->resize);
		}
	} while (err == -QUIRE_EAGAIN);
	if (err)
		return err;
	if (!is_uptodate(page))
		err = fill_page(object, page);
	quire_page_unlock(q, page);
	if (err) {
		quire_page_put(q, page);
		return err;
	}
	*out = page;
	return 0;
}

int64_t quire_object_read(struct quire_object *object, uint64_t pos, void *buf, size_t len)
{
	struct quire *q = object->q;
	char *to = buf;
	uint64_t size;
	size_t done = 0;
	int err = 0;

	while (done < len) {
		uint64_t index = pos >> QUIRE_PAGE_SHIFT;
		size_t offset = (size_t)(pos & (QUIRE_PAGE_SIZE - 1)),
		       n = (size_t)QUIRE_PAGE_SIZE - offset;
		struct quire_page *page = NULL;

		if (pos >= quire_load_acquire(&object->size))
			break;
		/* A hole in shared memory is read without being filled, as Linux does. */
		if (object->flags & QUIRE_OBJECT_SHMEM) {
			page = quire_object_find_page(object, index);
			if (page && !is_uptodate(page)) {
				quire_page_put(q, page);
				page = NULL;
			}
		} else {
			err = quire_object_get_page(object, index, &page);
			if (err)
				break;
		}
		/* After the content, so that we don't hand out what a truncate has zeroed since. */
		size = quire_load_acquire(&object->size);
		if (n > len - done)
			n = len - done;
		if (pos >= size)
			n = 0;
		else if (n > size - pos)
			n = (size_t)(size - pos);
		if (page) {
			const char *bytes = quire_page_kmap(q, page);

			memcpy(to + done, bytes + offset, n);
			quire_page_kunmap(q, (void *)(uintptr_t)bytes);
			quire_page_put(q, page);
		} else {
			memset(to + done, 0, n);
		}
		if (n == 0)
			break;
		done += n;
		pos += n;
	}
	/* Truncated under our hands: the end of the file, not an error. */
	if (err == -QUIRE_EFAULT && pos >= quire_load_acquire(&object->size))
		err = 0;
	return done ? (int64_t)done : err;
}

/*
 * A page to write n bytes at offset into: locked, with the content that these do not replace.
 * resize held.
 */
static int grab_for_write(struct quire_object *object, uint64_t pos, size_t n,
			  struct quire_page **out)
{
	struct quire *q = object->q;
	uint64_t size = object->size;
	struct quire_page *page;
	int err = grab_page(object, pos >> QUIRE_PAGE_SHIFT, false, &page);

	if (err)
		return err;
	if (!is_uptodate(page)) {
		bool from_start = (pos & (QUIRE_PAGE_SIZE - 1)) == 0;

		if (from_start && (n == QUIRE_PAGE_SIZE || pos + n >= size)) {
			zero_part(q, page, n); /* all that was in it goes */
		} else if ((page->index << QUIRE_PAGE_SHIFT) >= size) {
			quire_page_zero(q, page);
		} else {
			err = fill_page(object, page);
			if (err) {
				release_page(q, page);
				return err;
			}
		}
	}
	*out = page;
	return 0;
}

int64_t quire_object_write(struct quire_object *object, uint64_t pos, const void *buf, size_t len)
{
	struct quire *q = object->q;
	const char *from = buf;
	size_t done = 0;
	int err = 0;

	if (len == 0)
		return 0;
	if (pos >= object->max_size)
		return -QUIRE_EFBIG;
	if (len > object->max_size - pos)
		len = (size_t)(object->max_size - pos);

	quire_mutex_lock(q, &object->resize);
	if (pos > object->size)
		quire_object_forget_tail(object, pos);
	while (done < len) {
		size_t offset = (size_t)(pos & (QUIRE_PAGE_SIZE - 1)),
		       n = (size_t)QUIRE_PAGE_SIZE - offset;
		struct quire_page *page;
		char *bytes;

		if (n > len - done)
			n = len - done;
		err = grab_for_write(object, pos, n, &page);
		if (err)
			break;
		bytes = quire_page_kmap(q, page);
		memcpy(bytes + offset, from + done, n);
		quire_page_kunmap(q, bytes);
		quire_page_set(page, QUIRE_PG_UPTODATE);
		quire_page_mark_dirty(q, page);
		done += n;
		pos += n;
		if (pos > object->size)
			quire_object_set_size(object, pos);
		release_page(q, page);
	}
	quire_mutex_unlock(q, &object->resize);
	return done ? (int64_t)done : err;
}

void quire_object_set_size(struct quire_object *object, uint64_t size)
{
	struct quire *q = object->q;

	quire_mutex_assert(q, &object->resize);
	quire_spin_lock(q, &object->tree_lock);
	quire_store_release(&object->size, size);
	quire_spin_unlock(q, &object->tree_lock);
}

/* Zero [from, to) of the cached page that holds byte from; dirty: it is dirty then, whatever was there. */
static void zero_range(struct quire_object *object, uint64_t from, uint64_t to, bool dirty)
{
	struct quire *q = object->q;
	size_t start = (size_t)(from & (QUIRE_PAGE_SIZE - 1)), end = (size_t)QUIRE_PAGE_SIZE;
	struct quire_page *page;

	if (to - from < end - start)
		end = start + (size_t)(to - from);
	page = quire_object_find_page(object, from >> QUIRE_PAGE_SHIFT);
	if (!page)
		return;
	quire_page_lock(q, page);
	if (owns(object, page)) {
		char *bytes = quire_page_kmap(q, page);

		for (size_t i = start; i < end && !dirty; i++)
			dirty = bytes[i] != 0;
		/*
		 * Dirty too: what is behind the end on the disk must not come back when the file
		 * grows.
		 */
		if (dirty) {
			memset(bytes + start, 0, end - start);
			quire_page_mark_dirty(q, page);
		}
		quire_page_kunmap(q, bytes);
	}
	release_page(q, page);
}

void quire_object_zero_part(struct quire_object *object, uint64_t from, uint64_t to)
{
	/* Shared memory has no other copy: Linux takes what is cut for changed. */
	zero_range(object, from, to, (object->flags & QUIRE_OBJECT_SHMEM) != 0);
}

void quire_object_zero_tail(struct quire_object *object, uint64_t size)
{
	if (size & (QUIRE_PAGE_SIZE - 1))
		quire_object_zero_part(object, size, UINT64_MAX);
}

void quire_object_forget_tail(struct quire_object *object, uint64_t to)
{
	if (!(object->flags & QUIRE_OBJECT_SHMEM) && (object->size & (QUIRE_PAGE_SIZE - 1)))
		zero_range(object, object->size, to, false);
}

/* ---- Dirty marks ------------------------------------------------------------------------- */

/*
 * The flags are one word, and the mark counts only while TRACKED is beside it: whoever changes
 * one sees the other, so that the counter is right also where a dirty bit arrives after the page
 * has left the cache.
 */
void quire_page_mark_dirty(struct quire *q, struct quire_page *page)
{
	uint32_t before;

	if (quire_page_test(page, QUIRE_PG_DIRTY))
		return;
	before = quire_fetch_or(&page->flags, QUIRE_PG_DIRTY);
	if (!(before & QUIRE_PG_DIRTY) && (before & QUIRE_PG_TRACKED))
		quire_stat_add(q, QUIRE_STAT_FILE_DIRTY, 1);
}

bool quire_page_clear_dirty(struct quire *q, struct quire_page *page)
{
	uint32_t before = quire_fetch_and(&page->flags, ~QUIRE_PG_DIRTY);

	if ((before & QUIRE_PG_DIRTY) && (before & QUIRE_PG_TRACKED))
		quire_stat_add(q, QUIRE_STAT_FILE_DIRTY, -1);
	return (before & QUIRE_PG_DIRTY) != 0;
}

/* ---- Check ------------------------------------------------------------------------------- */

static quire_broken_t check_pages(struct quire_object *object)
{
	struct quire_page *page;
	uint64_t index = 0, pages = 0;
	quire_broken_t broken = quire_radix_check(&object->tree);

	if (broken)
		return broken;
	while ((page = quire_radix_next(&object->tree, &index)) != NULL) {
		pages++;
		if (quire_page_kind(page) != QUIRE_PAGE_CACHE)
			return "object: every page is of kind CACHE";
		if (page->owner != object || page->index != index)
			return "object: a page has owner == the object and index == its place";
		if (quire_load(&page->refs) == 0)
			return "object: the cache has a reference on every page";
		if (!quire_page_test(page, QUIRE_PG_LOCKED)) {
			if (!quire_page_test(page, QUIRE_PG_UPTODATE))
				return "object: a page whose lock is free is up to date";
			if (index >= quire_size_pages(object->size))
				return "object: a page whose lock is free lies within the size";
		}
		if (index++ == UINT64_MAX)
			break;
	}
	if (pages != object->nr_pages)
		return "object: nr_pages == pages in the tree";
	return NULL;
}

quire_broken_t quire_object_check(struct quire_object *object)
{
	struct quire *q = object->q;
	struct quire_list *pos, *tmp;
	quire_broken_t broken = NULL;
	uint64_t writable = 0;

	quire_mutex_lock(q, &object->lock);
	quire_list_for_each (pos, tmp, &object->areas) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, object_link);

		if (vma->object != object)
			broken = "object: every area in areas has object == this";
		if ((vma->flags & QUIRE_VM_SHARED) && (vma->flags & QUIRE_VM_MAYWRITE))
			writable++;
	}
	if (!broken && writable != object->nr_writable)
		broken = "object: nr_writable == areas that are SHARED and MAYWRITE";
	if (!broken) {
		quire_spin_lock(q, &object->tree_lock);
		broken = check_pages(object);
		quire_spin_unlock(q, &object->tree_lock);
	}
	quire_mutex_unlock(q, &object->lock);
	return broken;
}

/* SPDX-License-Identifier: MIT */
/*
 * Pages that a driver puts into its area itself: remap_vmalloc_range. Called by a file's mmap(), under the writer lock, with an
 * area that nobody can see yet.
 *
 * What the area is to replace still stands in the tables then. So the pages are looked up, get a reference and wait in
 * quire_mm.insertions; the tables for them are made, which is all that could be missing later:
 *
 *	mmap   [file's mmap(): pages, references, tables] -> commit -> what was there is zapped -> entries
 *	                     `- an error: dropped, nothing has changed
 */
#include <mm/internal.h>

#define PER_INSERTION 508u

/* Pages that come one behind the other from start on. */
struct quire_insertion {
	struct quire_insertion *next;
	quire_uaddr_t start;
	uint32_t nr;
	struct quire_page *page[PER_INSERTION];
};

static quire_uaddr_t end_of(const struct quire_insertion *i)
{
	return i->start + ((uint64_t)i->nr << QUIRE_PAGE_SHIFT);
}

static void drop(struct quire *q, struct quire_insertion *list)
{
	struct quire_insertion *next;
	uint32_t n;

	for (; list; list = next) {
		next = list->next;
		for (n = 0; n < list->nr; n++)
			(void)quire_page_put(q, list->page[n]);
		quire_kfree(q, list);
	}
}

/* ---- In the driver's mmap() -------------------------------------------------------------- */

/* Is there such memory, for processes to map? */
static bool is_usermap(struct quire *q, quire_kaddr_t kaddr, uint64_t offset, uint64_t size)
{
	const struct quire_vm_struct *area = quire_find_vm_area(q, kaddr);
	uint64_t room;

	if (!area || !(area->flags & QUIRE_VM_USERMAP) || (area->flags & QUIRE_VM_UNINITIALIZED) ||
	    kaddr >= area->addr + quire_vm_area_size(area))
		return false;
	room = area->addr + quire_vm_area_size(area) - kaddr;
	return offset <= room && size <= room - offset;
}

/* The pages behind size bytes from kaddr on, each with a reference more. NULL with *err. */
static struct quire_insertion *look_up(struct quire *q, quire_uaddr_t uaddr, quire_kaddr_t kaddr,
				       uint64_t size, int *err)
{
	struct quire_insertion *list = NULL, *i;

	for (*err = 0; size; size -= QUIRE_PAGE_SIZE) {
		struct quire_page *page = quire_vmalloc_to_page(q, quire_kaddr_to_ptr(q, kaddr));

		if (!page || quire_page_kind(page) != QUIRE_PAGE_KERNEL ||
		    !quire_load(&page->refs)) {
			*err = -QUIRE_EINVAL;
			break;
		}
		if (!list || list->nr == PER_INSERTION) {
			i = quire_kmalloc(q, sizeof(*i), QUIRE_GFP_KERNEL);
			if (!i) {
				*err = -QUIRE_ENOMEM;
				break;
			}
			i->next = list;
			i->start = uaddr;
			i->nr = 0;
			list = i;
		}
		quire_page_get(page);
		list->page[list->nr++] = page;
		uaddr += QUIRE_PAGE_SIZE;
		kaddr += QUIRE_PAGE_SIZE;
	}
	if (!*err)
		return list;
	drop(q, list);
	return NULL;
}

static bool is_taken(const struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end)
{
	const struct quire_insertion *i;

	for (i = mm->insertions; i; i = i->next) {
		if (i->start < end && start < end_of(i))
			return true;
	}
	return false;
}

int quire_remap_vmalloc_range_partial(struct quire_vma *vma, uint64_t uaddr, const void *kaddr,
				      uint64_t pgoff, uint64_t size)
{
	struct quire_mm *mm = vma->mm;
	struct quire *q = mm->q;
	const quire_kaddr_t from = quire_ptr_to_kaddr(q, kaddr);
	struct quire_insertion *list, *last;
	int err;

	quire_mutex_assert(q, &mm->lock);
	size = quire_page_up(size);
	if (((uaddr | from) & ~QUIRE_PAGE_MASK) || !size ||
	    pgoff > UINT64_MAX >> QUIRE_PAGE_SHIFT ||
	    !is_usermap(q, from, pgoff << QUIRE_PAGE_SHIFT, size) ||
	    (vma->flags & QUIRE_VM_PFNMAP) || vma->state != QUIRE_VMA_NEW)
		return -QUIRE_EINVAL;
	if (uaddr < vma->start || uaddr >= vma->end || size > vma->end - uaddr)
		return -QUIRE_EFAULT;
	if (is_taken(mm, uaddr, uaddr + size))
		return -QUIRE_EBUSY;
	list = look_up(q, uaddr, from + (pgoff << QUIRE_PAGE_SHIFT), size, &err);
	if (!list)
		return err;
	if (quire_tables_populate(&mm->pt, uaddr, uaddr + size)) {
		drop(q, list);
		return -QUIRE_ENOMEM;
	}
	for (last = list; last->next;)
		last = last->next;
	last->next = mm->insertions;
	mm->insertions = list;
	vma->flags |= QUIRE_VM_MIXEDMAP | QUIRE_VM_DONTEXPAND | QUIRE_VM_DONTDUMP;
	return 0;
}

int quire_remap_vmalloc_range(struct quire_vma *vma, const void *kaddr, uint64_t pgoff)
{
	return quire_remap_vmalloc_range_partial(vma, vma->start, kaddr, pgoff,
						 vma->end - vma->start);
}

/* ---- When the area is in ----------------------------------------------------------------- */

/* The references go over to the entries. */
static void insert(struct quire_vma *vma, const struct quire_insertion *i)
{
	struct quire_mm *mm = vma->mm;
	const quire_ptebits_t bits = quire_vma_ptebits(vma) | QUIRE_PTE_ACCESSED;
	quire_uaddr_t addr = i->start;
	struct quire_cursor c;
	uint32_t n;

	/* Fills what is empty: nothing to flush. */
	quire_cursor_open(&c, &mm->pt, i->start, end_of(i), 0);
	for (n = 0; n < i->nr; n++, addr += QUIRE_PAGE_SIZE) {
		struct quire_page *page = i->page[n];

		if (n == 0 || addr >= c.leaf_end) {
			bool there = quire_cursor_seek(&c, addr);

			quire_assert(mm->q, there);
			(void)there;
		}
		quire_page_mapped(mm->q, page, bits);
		quire_rss_add(mm, quire_page_rss(page), 1);
		quire_cursor_set(&c, addr,
				 quire_pte_make(mm->pt.fmt, quire_page_to_pfn(mm->q, page), bits));
	}
	quire_cursor_close(&c);
}

void quire_insertions_perform(struct quire_vma *vma)
{
	struct quire_mm *mm = vma->mm;
	struct quire_insertion *i;

	while ((i = mm->insertions)) {
		insert(vma, i);
		mm->insertions = i->next;
		quire_kfree(mm->q, i);
	}
}

void quire_insertions_drop(struct quire_mm *mm)
{
	struct quire_insertion *i, *list = mm->insertions;

	mm->insertions = NULL;
	for (i = list; i; i = i->next)
		quire_tables_trim(&mm->pt, i->start, end_of(i));
	drop(mm->q, list);
}

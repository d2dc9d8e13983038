/* SPDX-License-Identifier: MIT */
/*
 * Does a space hold together? Every equation that stands beside struct quire_mm is worked out again
 * here from the areas and the tables alone. Called by tests after every step and by hosts
 * that suspect something; it changes nothing and stops at the first equation that does not hold.
 */
#include <mm/internal.h>

struct sums {
	uint64_t total, data, exec, stack, locked;
	int64_t rss[QUIRE_NR_RSS];
};

/* ---- Areas ------------------------------------------------------------------------------- */

/* Which of /proc's VmData, VmExe+VmLib, VmStk an area is in: at most one of them. */
static void sum_area(struct sums *sums, const struct quire_vma *vma)
{
	uint64_t pages = quire_vma_pages(vma);
	uint64_t flags = vma->flags;

	sums->total += pages;
	if (flags & QUIRE_VM_GROWSDOWN)
		sums->stack += pages;
	else if ((flags & (QUIRE_VM_EXEC | QUIRE_VM_WRITE)) == QUIRE_VM_EXEC)
		sums->exec += pages;
	else if ((flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED)) == QUIRE_VM_WRITE)
		sums->data += pages;
	if (flags & QUIRE_VM_LOCKED)
		sums->locked += pages;
}

static bool is_listed(struct quire_vma *vma)
{
	struct quire_list *pos, *tmp;
	bool found = false;

	quire_mutex_lock(vma->mm->q, &vma->object->lock);
	quire_list_for_each (pos, tmp, &vma->object->areas) {
		if (pos == &vma->object_link)
			found = true;
	}
	quire_mutex_unlock(vma->mm->q, &vma->object->lock);
	return found;
}

static bool chain_names(const struct quire_vma *vma, const struct quire_anon *anon)
{
	for (uint32_t i = 0; vma->chain && i < vma->chain->count; i++) {
		if (vma->chain->anon[i] == anon)
			return true;
	}
	return false;
}

static quire_broken_t check_area(struct quire_mm *mm, struct quire_vma *vma)
{
	if (vma->mm != mm)
		return "mm: an area in the index is of this space";
	if (quire_load_acquire(&vma->state) != QUIRE_VMA_ALIVE)
		return "mm: every area in the index is alive while nobody writes";
	if (vma->start >= vma->end || (vma->start | vma->end) & ~QUIRE_PAGE_MASK)
		return "mm: area start < end, both page aligned";
	if (vma->end > mm->layout.task_size)
		return "mm: no area beyond task_size";
	if ((vma->flags & QUIRE_VM_LOCKONFAULT) && !(vma->flags & QUIRE_VM_LOCKED))
		return "mm: LOCKONFAULT only with LOCKED";
	if (vma->file && vma->object && vma->file->object != vma->object)
		return "mm: an area's object is its file's";
	if ((vma->flags & QUIRE_VM_SHARED) && !vma->object &&
	    !(vma->flags & (QUIRE_VM_PFNMAP | QUIRE_VM_MIXEDMAP)) && !vma->ops)
		return "mm: a shared area has an object or operations of its own";
	if (vma->object && !is_listed(vma))
		return "mm: an area with an object is in that object's reverse map";
	if (vma->anon == QUIRE_ANON_FROZEN)
		return "mm: no owner stays frozen when the writer has gone";
	if (vma->anon && !chain_names(vma, vma->anon))
		return "mm: an area's owner is in its chain";
	return NULL;
}

/* ---- Entries ----------------------------------------------------------------------------- */

static quire_broken_t check_page(struct quire_mm *mm, const struct quire_vma *vma,
				 quire_uaddr_t addr, quire_pte_t pte, struct sums *sums)
{
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	quire_ptebits_t bits = quire_pte_bits(fmt, pte);
	quire_ptebits_t allowed =
		quire_vma_ptebits(vma) | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY | QUIRE_PTE_SPECIAL;
	struct quire_page *page;

	if (vma->flags & QUIRE_VM_WRITE)
		allowed |= QUIRE_PTE_WRITE;
	if (vma->flags & QUIRE_VM_LOCKED)
		allowed |= QUIRE_PTE_LOCKED;
	if (bits & ~allowed)
		return "mm: an entry's rights are at most its area's";
	if (bits & QUIRE_PTE_SPECIAL)
		return NULL;
	page = quire_pfn_to_page(mm->q, quire_pte_pfn(fmt, pte));
	if (!page)
		return "mm: an entry that is not special maps a frame of the memory map";
	if ((bits & QUIRE_PTE_LOCKED) != quire_lock_bit(vma, page))
		return "mm: an entry is LOCKED as its area is";
	if (!quire_load(&page->refs) || !quire_load(&page->maps))
		return "mm: a mapped page has references and counts its mappings";
	switch (quire_page_kind(page)) {
	case QUIRE_PAGE_ANON:
		if (!vma->anon || !chain_names(vma, page->owner))
			return "mm: an anonymous page's owner is in its areas' chains";
		if (page->index != quire_linear_page_index(vma, addr))
			return "mm: an anonymous page lies at its index";
		if (quire_page_test(page, QUIRE_PG_EXCLUSIVE) ? quire_load(&page->maps) != 1
							      : bits & QUIRE_PTE_WRITE)
			return "mm: an anonymous page that may be written to is exclusive";
		break;
	case QUIRE_PAGE_CACHE:
		if (page->owner != vma->object || page->index != quire_linear_page_index(vma, addr))
			return "mm: a cache page is mapped by areas of its object, at its index";
		if ((bits & QUIRE_PTE_WRITE) && !(vma->flags & QUIRE_VM_SHARED))
			return "mm: a private area never writes to a cache page";
		break;
	case QUIRE_PAGE_KERNEL:
		break; /* a driver's, from ops->fault */
	default:
		return "mm: a mapped page is anonymous, cached or a driver's";
	}
	sums->rss[quire_page_rss(page)]++;
	return NULL;
}

static quire_broken_t check_entries(struct quire_mm *mm, const struct quire_vma *vma,
				    struct sums *sums)
{
	struct quire_cursor c;
	quire_broken_t broken = NULL;

	quire_cursor_open(&c, &mm->pt, vma->start, vma->end, 0);
	while (!broken && quire_cursor_next_leaf(&c)) {
		quire_uaddr_t a = quire_cursor_next_used(&c, c.leaf_start);

		for (; !broken && a < c.leaf_end;
		     a = quire_cursor_next_used(&c, a + QUIRE_PAGE_SIZE)) {
			quire_pte_t pte = quire_cursor_get(&c, a);

			switch (quire_pte_kind(mm->pt.fmt, pte)) {
			case QUIRE_PTE_PAGE:
				broken = check_page(mm, vma, a, pte, sums);
				break;
			case QUIRE_PTE_SWAP:
				sums->rss[QUIRE_RSS_SWAP]++;
				break;
			case QUIRE_PTE_GUARD:
			case QUIRE_PTE_EMPTY:
				break;
			default:
				broken = "mm: a leaf entry is a page, a guard or a place in swap";
			}
		}
	}
	quire_cursor_close(&c);
	return broken;
}

/* Between the end of one area and the start of the next nothing is mapped. */
static quire_broken_t check_hole(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_cursor c;
	quire_broken_t broken = NULL;

	if (start >= end)
		return NULL;
	quire_cursor_open(&c, &mm->pt, start, end, 0);
	while (!broken && quire_cursor_next_leaf(&c)) {
		if (quire_cursor_next_used(&c, c.leaf_start) < c.leaf_end)
			broken = "mm: no entry lies outside an area";
	}
	quire_cursor_close(&c);
	return broken;
}

/* ---- All of it --------------------------------------------------------------------------- */

static quire_broken_t check_counters(struct quire_mm *mm, const struct sums *sums)
{
	if (mm->total_vm != sums->total)
		return "mm: total_vm == sum of all areas' pages";
	if (mm->data_vm != sums->data)
		return "mm: data_vm == pages of private writable areas";
	if (mm->exec_vm != sums->exec)
		return "mm: exec_vm == pages of executable areas";
	if (mm->stack_vm != sums->stack)
		return "mm: stack_vm == pages of stacks";
	if (mm->locked_vm != sums->locked)
		return "mm: locked_vm == pages of LOCKED areas";
	for (unsigned k = 0; k < QUIRE_NR_RSS; k++) {
		if (quire_load(&mm->rss[k]) != sums->rss[k])
			return "mm: rss[k] == entries that map a page of kind k";
	}
	if (quire_load(&mm->unflushed))
		return "mm: every entry that lost a right has been flushed";
	if (quire_load(&mm->users) && !quire_load(&mm->count))
		return "mm: users > 0 => count > 0";
	return NULL;
}

static quire_broken_t check_locked(struct quire_mm *mm)
{
	struct sums sums = {0};
	struct quire_index_walk walk;
	struct quire_vma *vma;
	quire_uaddr_t end = 0;
	quire_broken_t broken = quire_index_check(&mm->index);

	if (broken)
		return broken;
	broken = quire_pgtable_check(&mm->pt);
	if (broken)
		return broken;
	quire_index_walk_start(&walk, &mm->index, 0);
	while ((vma = quire_index_walk_next(&walk))) {
		sum_area(&sums, vma);
		broken = check_area(mm, vma);
		if (!broken)
			broken = check_hole(mm, end, vma->start);
		if (!broken)
			broken = check_entries(mm, vma, &sums);
		if (broken)
			return broken;
		end = vma->end;
	}
	broken = check_hole(mm, end, mm->layout.task_size);
	return broken ? broken : check_counters(mm, &sums);
}

quire_broken_t quire_mm_check(struct quire_mm *mm)
{
	quire_broken_t broken;

	quire_mutex_lock(mm->q, &mm->lock);
	broken = check_locked(mm);
	quire_mutex_unlock(mm->q, &mm->lock);
	return broken;
}

/* SPDX-License-Identifier: MIT */
/*
 * What a mapped page counts as, and the rights that an area's entries have. Called by faults, zap
 * and copy for each entry that they set or empty. Never looks at a table itself.
 */
#include <mm/internal.h>

/* ---- Resident pages of a space ----------------------------------------------------------- */

void quire_rss_add(struct quire_mm *mm, enum quire_rss kind, int64_t pages)
{
	quire_add_relaxed(&mm->rss[kind], pages);
}

enum quire_rss quire_page_rss(const struct quire_page *page)
{
	return quire_rss_of(quire_load(&page->flags));
}

int64_t quire_mm_rss(const struct quire_mm *mm)
{
	return quire_load(&mm->rss[QUIRE_RSS_FILE]) + quire_load(&mm->rss[QUIRE_RSS_ANON]) +
	       quire_load(&mm->rss[QUIRE_RSS_SHMEM]);
}

/*
 * Only ever raised, and only looked at when rss is about to fall: readers take the larger of the
 * two.
 */
void quire_update_hiwater_rss(struct quire_mm *mm)
{
	int64_t rss = quire_mm_rss(mm), high = quire_load(&mm->hiwater_rss);

	while (rss > high) {
		if (quire_cmpxchg(&mm->hiwater_rss, &high, rss))
			break;
	}
}

/* ---- Mappings of a page ------------------------------------------------------------------ */

static enum quire_stat mapped_stat(const struct quire_page *page)
{
	return quire_page_kind(page) == QUIRE_PAGE_ANON ? QUIRE_STAT_ANON_MAPPED
							: QUIRE_STAT_FILE_MAPPED;
}

quire_ptebits_t quire_lock_bit(const struct quire_vma *vma, const struct quire_page *page)
{
	/* What is a driver's own stays out: so does its descriptor's aux. */
	if (!(vma->flags & QUIRE_VM_LOCKED) || quire_page_kind(page) == QUIRE_PAGE_KERNEL)
		return 0;
	return QUIRE_PTE_LOCKED;
}

void quire_page_locked_more(struct quire *q, struct quire_page *page)
{
	if (quire_fetch_add(&page->aux, 1u) == 0)
		quire_stat_add(q, QUIRE_STAT_MLOCK, 1);
}

void quire_page_locked_less(struct quire *q, struct quire_page *page)
{
	uint32_t before = quire_fetch_sub(&page->aux, 1u);

	quire_assert(q, before > 0);
	if (before == 1)
		quire_stat_add(q, QUIRE_STAT_MLOCK, -1);
}

void quire_page_mapped(struct quire *q, struct quire_page *page, quire_ptebits_t bits)
{
	if (quire_fetch_add(&page->maps, 1u) == 0)
		quire_stat_add(q, mapped_stat(page), 1);
	if (quire_unlikely(bits & QUIRE_PTE_LOCKED))
		quire_page_locked_more(q, page);
}

void quire_page_unmapped(struct quire *q, struct quire_page *page, quire_ptebits_t bits)
{
	uint32_t before;

	if (quire_unlikely(bits & QUIRE_PTE_LOCKED))
		quire_page_locked_less(q, page);
	before = quire_fetch_sub(&page->maps, 1u);
	quire_assert(q, before > 0);
	if (before == 1)
		quire_stat_add(q, mapped_stat(page), -1);
}

/*
 * Nobody else has seen the page: whoever finds it finds it through the entry that is stored
 * afterwards.
 */
void quire_page_make_anon(struct quire_vma *vma, struct quire_page *page, quire_uaddr_t addr)
{
	uint32_t flags = QUIRE_PG_UPTODATE | QUIRE_PG_EXCLUSIVE;

	if (vma->flags & QUIRE_VM_DROPPABLE)
		flags |= QUIRE_PG_LAZYFREE;
	quire_page_set_kind(page, QUIRE_PAGE_ANON);
	quire_store(&page->flags, quire_load(&page->flags) | flags);
	page->owner = quire_vma_owner(vma);
	page->index = quire_linear_page_index(vma, addr);
	quire_page_mapped(vma->mm->q, page, quire_lock_bit(vma, page));
	quire_rss_add(vma->mm, QUIRE_RSS_ANON, 1);
}

/* ---- Rights ------------------------------------------------------------------------------ */

bool quire_vma_is_tracked(const struct quire_vma *vma)
{
	if (!(vma->flags & QUIRE_VM_SHARED))
		return false;
	if (vma->ops && vma->ops->page_mkwrite)
		return true;
	if (vma->ops && vma->ops->fault)
		return false;
	return vma->object && !(vma->object->flags & (QUIRE_OBJECT_SHMEM | QUIRE_OBJECT_NOSYNC));
}

/*
 * As x86 has it without protection keys: what may be written or executed may be read, since a
 * present entry always can.
 */
quire_ptebits_t quire_vma_ptebits(const struct quire_vma *vma)
{
	quire_ptebits_t bits;

	if (!(vma->flags & QUIRE_VM_ACCESS_FLAGS))
		return 0;
	bits = QUIRE_PTE_READ | QUIRE_PTE_USER;
	if (vma->flags & QUIRE_VM_EXEC)
		bits |= QUIRE_PTE_EXEC;
	if ((vma->flags & QUIRE_VM_WRITE) && (vma->flags & QUIRE_VM_SHARED) &&
	    !quire_vma_is_tracked(vma))
		bits |= QUIRE_PTE_WRITE;
	return bits;
}

/* ---- Pins -------------------------------------------------------------------------------- */

/*
 * A driver's operation may sleep, so the area it works for must outlive grace periods; and its
 * close() must not come in the middle. Fence against fence: either the pinner sees the area dead,
 * or whoever killed it sees the pin.
 */
bool quire_vma_pin(struct quire_vma *vma)
{
	(void)quire_fetch_add(&vma->pins, 1u);
	quire_fence();
	if (quire_likely(quire_load_acquire(&vma->state) == QUIRE_VMA_ALIVE))
		return true;
	quire_vma_unpin(vma);
	return false;
}

void quire_vma_unpin(struct quire_vma *vma)
{
	struct quire *q = vma->mm->q;

	/* With the last pin gone the area may be, too. */
	quire_grace_enter(q);
	if (quire_fetch_sub(&vma->pins, 1u) == 1 &&
	    quire_load_acquire(&vma->state) == QUIRE_VMA_DEAD)
		quire_port_wake(q, &vma->pins, ~0u);
	quire_grace_leave(q);
}

void quire_vma_wait_pins(struct quire_vma *vma)
{
	uint32_t pins;

	quire_fence();
	while ((pins = quire_load_acquire(&vma->pins)) != 0)
		quire_port_wait(vma->mm->q, &vma->pins, pins);
}

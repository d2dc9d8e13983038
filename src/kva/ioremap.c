/* SPDX-License-Identifier: MIT */
/*
 * ioremap: a device's registers or memory at kernel addresses, with the cache mode that they want. Called by hosts'
 * drivers. Never looks at what is there.
 *
 *	physical    ...|     pa---size---|   |...          pa need not begin a page
 *	area           |off  *-----------|   |g|           the pointer is to *
 */
#include "area.h"

/* The most that an area is aligned to for its size's sake, where there are no large leaves: 128 pages, as Linux. */
#define MOST_ALIGN_ORDER 7u

/* Frames that an entry can name. */
static uint64_t frames_nameable(const struct quire_pgfmt *fmt)
{
	return (fmt->address >> quire_ffs64(fmt->address)) + 1;
}

/* Ordinary memory that somebody may have, or get, from the page allocator: at another address and in another mode. */
static bool has_ram(struct quire *q, quire_pfn_t pfn, uint64_t nr)
{
	const quire_pfn_t ram_end = q->pages.first_pfn + q->pages.span_pages;

	for (; nr && pfn < ram_end; pfn++, nr--) {
		const struct quire_page *page = quire_pfn_to_page(q, pfn);

		if (page && (quire_page_kind(page) != QUIRE_PAGE_RESERVED ||
			     (pfn >= q->pages.own_start && pfn < q->pages.own_end)))
			return true;
	}
	return false;
}

/* To its size, so that large leaves can be used and devices of one kind look alike; as Linux. */
static uint64_t align_for(struct quire *q, uint64_t nr)
{
	unsigned most = quire_area_large_order(q), order = quire_order_up(nr);

	if (most < MOST_ALIGN_ORDER)
		most = MOST_ALIGN_ORDER;
	return QUIRE_PAGE_SIZE << (order < most ? order : most);
}

static void *map(struct quire *q, quire_paddr_t pa, uint64_t size, enum quire_cache_mode mode,
		 const void *caller)
{
	const uint64_t offset = pa & ~QUIRE_PAGE_MASK;
	struct area_frames frames = {.pfn = pa >> QUIRE_PAGE_SHIFT};
	struct quire_vm_struct *area;
	uint64_t nr;

	if (!q->kva.layout.page_offset || !size || pa + (size - 1) < pa)
		return NULL;
	nr = ((pa + (size - 1)) >> QUIRE_PAGE_SHIFT) - frames.pfn + 1;
	if (frames.pfn + nr > frames_nameable(q->kva.pt.fmt) || has_ram(q, frames.pfn, nr))
		return NULL;
	if (nr > (q->kva.layout.vmalloc_end - q->kva.layout.vmalloc_start) >> QUIRE_PAGE_SHIFT)
		return NULL;
	area = quire_area_take(q, nr << QUIRE_PAGE_SHIFT, align_for(q, nr),
			       QUIRE_VM_IOREMAP | QUIRE_VM_UNINITIALIZED, caller);
	if (!area)
		return NULL;
	area->phys_addr = pa - offset;
	if (quire_area_map(q, area->addr, &frames, nr,
			   QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_SPECIAL, mode,
			   quire_area_large_order(q))) {
		(void)quire_area_unmap(q, area->addr, area_end(area), 0);
		quire_area_discard(q, area);
		return NULL;
	}
	quire_area_mark_whole(q, area);
	return (char *)quire_kaddr_to_ptr(q, area->addr) + offset;
}

void *quire_ioremap(struct quire *q, quire_paddr_t pa, uint64_t size)
{
	return map(q, pa, size, QUIRE_CACHE_UC, __builtin_return_address(0));
}

void *quire_ioremap_wc(struct quire *q, quire_paddr_t pa, uint64_t size)
{
	return map(q, pa, size, QUIRE_CACHE_WC, __builtin_return_address(0));
}

void *quire_ioremap_cache(struct quire *q, quire_paddr_t pa, uint64_t size)
{
	return map(q, pa, size, QUIRE_CACHE_WB, __builtin_return_address(0));
}

void quire_iounmap(struct quire *q, const void *addr)
{
	struct quire_vm_struct *area;

	quire_area_drain(q);
	if (!addr)
		return;
	area = quire_area_detach(q, quire_page_down(quire_ptr_to_kaddr(q, addr)), QUIRE_VM_IOREMAP,
				 0);
	if (!area)
		return;
	(void)quire_area_unmap(q, area->addr, area_end(area), QUIRE_CURSOR_LAZY);
	area->freed = NULL;
	quire_area_retire(q, area, true);
}

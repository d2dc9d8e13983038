/* SPDX-License-Identifier: MIT */
/*
 * Pages of the caller's in an area: vmap, and what 2.4 and 2.6 had for who takes an area and fills it himself. Called by
 * hosts. Never allocates or frees a page, but for those that MAP_PUT_PAGES hands over.
 */
#include "area.h"

int quire_map_vm_area(struct quire *q, struct quire_vm_struct *area, quire_ptebits_t rights,
		      struct quire_page **pages, uint64_t nr)
{
	const uint64_t most = quire_vm_area_size(area) >> QUIRE_PAGE_SHIFT;
	const quire_kaddr_t addr = area->addr;
	const struct area_frames frames = {.pages = pages};
	int err;

	if (!nr || nr > most || !quire_area_rights_ok(rights) ||
	    quire_area_is_mapped(q, addr, addr + (nr << QUIRE_PAGE_SHIFT)))
		return -QUIRE_EINVAL;
	err = quire_area_map(q, addr, &frames, nr, rights, QUIRE_CACHE_WB, 0);
	if (err)
		(void)quire_area_unmap(q, addr, addr + (nr << QUIRE_PAGE_SHIFT), 0);
	return err;
}

void quire_unmap_vm_area(struct quire *q, struct quire_vm_struct *area)
{
	(void)quire_area_unmap(q, area->addr, area_end(area), 0);
}

static void *map_new(struct quire *q, struct quire_page **pages, uint64_t nr, uint32_t flags,
		     quire_ptebits_t rights, const void *caller)
{
	struct quire_vm_struct *area;

	if (!q->kva.layout.page_offset || !nr || nr > q->pages.total_pages ||
	    !quire_area_rights_ok(rights))
		return NULL;
	area = quire_area_take(q, nr << QUIRE_PAGE_SHIFT, 0, flags | QUIRE_VM_UNINITIALIZED,
			       caller);
	if (!area)
		return NULL;
	if (quire_map_vm_area(q, area, rights, pages, nr)) {
		quire_area_discard(q, area);
		return NULL;
	}
	if (flags & QUIRE_VM_MAP_PUT_PAGES) {
		area->pages = pages;
		area->nr_pages = nr;
	}
	quire_area_mark_whole(q, area);
	return quire_kaddr_to_ptr(q, area->addr);
}

void *quire_vmap(struct quire *q, struct quire_page **pages, uint64_t nr, uint32_t flags,
		 quire_ptebits_t rights)
{
	if (flags & ~(QUIRE_VM_MAP | QUIRE_VM_MAP_PUT_PAGES | QUIRE_VM_USERMAP))
		return NULL;
	return map_new(q, pages, nr, flags | QUIRE_VM_MAP, rights, __builtin_return_address(0));
}

/* A detached area whose pages are the caller's. */
static void unmap_and_retire(struct quire *q, struct quire_vm_struct *area)
{
	bool mapped =
		quire_area_unmap(q, area->addr, area_end(area), QUIRE_CURSOR_LAZY) != 0;

	area->freed = NULL;
	quire_area_retire(q, area, mapped);
}

void quire_vunmap(struct quire *q, const void *addr)
{
	struct quire_vm_struct *area;

	quire_area_drain(q);
	if (!addr)
		return;
	area = quire_area_detach(q, quire_ptr_to_kaddr(q, addr), QUIRE_VM_MAP, QUIRE_VM_MAP_PUT_PAGES);
	if (area)
		unmap_and_retire(q, area);
}

/* ---- More than a block has --------------------------------------------------------------- */

void *quire_vm_map_large(struct quire *q, struct quire_page **pages, uint64_t nr, const void *caller)
{
	return map_new(q, pages, nr, QUIRE_VM_MAP_RAM, QUIRE_PTE_READ | QUIRE_PTE_WRITE, caller);
}

void quire_vm_unmap_large(struct quire *q, quire_kaddr_t addr, uint64_t nr)
{
	struct quire_vm_struct *area = quire_find_vm_area(q, addr);

	/* Its owner is here, so it stays. */
	if (area && area->addr == addr && (area->flags & QUIRE_VM_MAP_RAM) &&
	    quire_vm_area_size(area) >> QUIRE_PAGE_SHIFT != nr) {
		quire_report(q, "vmalloc: vm_unmap_ram() of another number of pages", addr);
		return;
	}
	area = quire_area_detach(q, addr, QUIRE_VM_MAP_RAM, 0);
	if (area)
		unmap_and_retire(q, area);
}

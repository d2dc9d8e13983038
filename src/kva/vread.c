/* SPDX-License-Identifier: MIT */
/*
 * vread and vwrite: the vmalloc area's bytes for who has no business with the areas, /proc/kcore and debuggers. Called by hosts.
 *
 * A page is copied under the lock of the table that its entry stands in. While the entry is there the page
 * is somebody's: whoever frees it empties the entry first, under that lock, and so waits for the copy. The frame
 * is reached by a kmap: its address in the area could fault.
 */
#include <base/string.h>

#include "area.h"

enum direction { OUT, IN };

static void copy_page(struct quire *q, struct quire_page *page, uint64_t offset, char *buffer,
		      uint64_t len, enum direction way)
{
	char *at = (char *)quire_page_kmap(q, page) + offset;

	if (way == OUT)
		memcpy(buffer, at, (size_t)len);
	else
		memcpy(at, buffer, (size_t)len);
	quire_page_kunmap(q, at - offset);
}

/* len bytes of one page; out, zeroes if nothing that may be read is behind them. */
static void copy_within_page(struct quire *q, quire_kaddr_t addr, char *buffer, uint64_t len,
			     enum direction way)
{
	struct quire_pgtable *pt = &q->kva.pt;
	const quire_ptebits_t needs = QUIRE_PTE_READ | (way == IN ? QUIRE_PTE_WRITE : 0);
	quire_kaddr_t start = quire_page_down(addr);
	struct quire_page *page = NULL;
	struct quire_cursor c;
	quire_pte_t pte = 0;
	unsigned level;

	(void)quire_kernel_look(q, addr, &level);
	quire_cursor_open(&c, pt, start, start + QUIRE_PAGE_SIZE, 0);
	if (level == 0 ? quire_cursor_seek(&c, start) : quire_cursor_seek_level(&c, start, level))
		pte = quire_cursor_get(&c, start);
	/* An ioremap's may be a device, on which a load has effects. */
	if (quire_pte_has(pt->fmt, pte, needs) &&
	    !quire_pte_has(pt->fmt, pte, QUIRE_PTE_SPECIAL))
		page = quire_pfn_to_page(
			q, quire_pte_pfn(pt->fmt, pte) +
				   ((start & ((UINT64_C(1) << pt->fmt->shift[level]) - 1)) >>
				    QUIRE_PAGE_SHIFT));
	if (page)
		copy_page(q, page, addr - start, buffer, len, way);
	else if (way == OUT)
		memset(buffer, 0, (size_t)len);
	quire_cursor_close(&c);
}

/* Is what the area maps to be seen, whatever it is? */
static bool is_shown(const struct quire_vm_struct *area)
{
	return !(area->flags &
		 (QUIRE_VM_IOREMAP | QUIRE_VM_UNINITIALIZED | QUIRE_VM_UNPURGED));
}

/* How far from addr on the same is true: *shown, an area to be looked at. Cut at end. */
static quire_kaddr_t stretch(struct quire *q, quire_kaddr_t addr, quire_kaddr_t end, bool *shown,
			     bool *any)
{
	struct quire_vm_struct area;
	quire_kaddr_t stop = end;

	*shown = false;
	if (quire_next_vm_area(q, addr, &area)) {
		if (area.addr > addr) {
			stop = area.addr;
		} else {
			stop = area.addr + area.size;
			*shown = is_shown(&area);
			*any |= !(area.flags & QUIRE_VM_UNPURGED);
		}
	}
	return stop < end ? stop : end;
}

static uint64_t transfer(struct quire *q, char *buffer, const void *ptr, uint64_t count,
			 enum direction way)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	quire_kaddr_t addr = quire_ptr_to_kaddr(q, ptr), start = addr, end;
	bool any = false, shown;

	if (!quire_is_vmalloc(l, addr))
		return 0;
	end = count < l->vmalloc_end - addr ? addr + count : l->vmalloc_end;
	while (addr < end) {
		quire_kaddr_t stop = stretch(q, addr, end, &shown, &any);

		while (addr < stop) {
			quire_kaddr_t page_end = quire_page_down(addr) + QUIRE_PAGE_SIZE;
			uint64_t len = (page_end < stop ? page_end : stop) - addr;

			if (shown)
				copy_within_page(q, addr, buffer + (addr - start), len, way);
			else if (way == OUT)
				memset(buffer + (addr - start), 0, (size_t)(len = stop - addr));
			else
				len = stop - addr;
			addr += len;
		}
	}
	return any ? end - start : 0;
}

uint64_t quire_vread(struct quire *q, void *buffer, const void *addr, uint64_t count)
{
	return transfer(q, buffer, addr, count, OUT);
}

uint64_t quire_vwrite(struct quire *q, const void *buffer, void *addr, uint64_t count)
{
	/* Only read from. */
	return transfer(q, (char *)(uintptr_t)buffer, addr, count, IN);
}

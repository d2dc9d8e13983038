/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/pagemap: a word a page. Read without any lock, each entry as it is at that moment.
 *
 * Layout: Documentation/admin-guide/mm/pagemap.rst, tried out on Linux 6.18.
 */
#include <quire/proc.h>

static uint64_t word_of(struct quire_mm *mm, quire_uaddr_t addr, bool frames)
{
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	quire_pte_t pte = quire_pgtable_peek(&mm->pt, addr);
	quire_pfn_t pfn = quire_pte_pfn(fmt, pte);
	const struct quire_page *page = NULL;
	uint64_t word = QUIRE_PM_PRESENT;

	switch (quire_pte_kind(fmt, pte)) {
	case QUIRE_PTE_PAGE:
		break;
	case QUIRE_PTE_SWAP:
		return QUIRE_PM_SWAP;
	case QUIRE_PTE_GUARD:
		return QUIRE_PM_SWAP | QUIRE_PM_GUARD_REGION;
	default:
		return 0;
	}
	if (frames)
		word |= pfn;
	/* The page of zeroes and frames that are a driver's are nobody's. */
	if (!quire_pte_has(fmt, pte, QUIRE_PTE_SPECIAL))
		page = quire_pfn_to_page(mm->q, pfn);
	if (!page)
		return word;
	if (quire_page_kind(page) != QUIRE_PAGE_ANON)
		word |= QUIRE_PM_FILE;
	if (quire_load(&page->maps) == 1)
		word |= QUIRE_PM_MMAP_EXCLUSIVE;
	return word;
}

size_t quire_pagemap(struct quire_mm *mm, quire_uaddr_t addr, size_t n, bool frames, uint64_t *words)
{
	const quire_uaddr_t end = mm->layout.task_size;
	size_t i;

	addr = quire_page_down(addr);
	quire_grace_enter(mm->q);
	for (i = 0; i < n && addr < end; i++, addr += QUIRE_PAGE_SIZE)
		words[i] = word_of(mm, addr, frames);
	quire_grace_leave(mm->q);
	return i;
}

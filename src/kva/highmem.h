/* SPDX-License-Identifier: MIT */
/* What the kinds of kmaps and the fixmap share. Who sees this file is one of them. */
#ifndef KVA_HIGHMEM_H
#define KVA_HIGHMEM_H

#include "kva/internal.h"

/* The entry through which a kernel reads and writes the page: that of frame 0, and the page's own number. */
static inline quire_pte_t kmap_pte(struct quire *q, struct quire_page *page)
{
	const struct quire_highmem *h = &q->highmem;

	return h->pte | quire_page_to_pfn(q, page) << h->pfn_shift;
}

/* The frame that an entry of ours maps; false: none. */
static inline bool kmap_pfn(struct quire *q, struct quire_pteslot entry, quire_pfn_t *pfn)
{
	quire_pte_t pte = quire_pteslot_get(q->kernel, entry);

	*pfn = quire_pte_pfn(q->kernel->fmt, pte);
	return pte != 0;
}

static inline bool has_high_memory(const struct quire *q)
{
	return q->highmem.pkmap != NULL;
}

/* The room below calls these for high pages: quire_pages.kmap_local and .kunmap_local. */
void *quire_kmap_local_high(struct quire *q, struct quire_page *page);
void quire_kunmap_local_high(struct quire *q, void *ptr);

/* Where a page's pkmap is to be found, and the one that maps it or NULL; quire_highmem.lock is held. */
uint32_t *quire_kmap_bucket(struct quire *q, const struct quire_page *page);
struct quire_pkmap *quire_kmap_find(struct quire *q, const struct quire_page *page);

/* The fixmap slot that an address is in; false: in none that there is. */
static inline bool addr_to_fix(const struct quire *q, quire_kaddr_t addr, unsigned *slot)
{
	const struct quire_kva_layout *layout = &q->kva.layout;

	if (addr >= layout->fixaddr_top || addr < layout->fixaddr_start)
		return false;
	*slot = quire_virt_to_fix(layout, addr);
	return *slot < q->highmem.nr_fix;
}

#endif

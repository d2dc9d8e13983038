/* SPDX-License-Identifier: MIT */
/*
 * Kmaps and fixmap as a whole: brought up with all the tables that they ever need, taken down, checked.
 */
#include "kva/highmem.h"

/* ---- Up and down ------------------------------------------------------------------------- */

static int make_fixmap(struct quire *q)
{
	const struct quire_kva_layout *layout = &q->kva.layout;
	const unsigned nr =
		QUIRE_FIX_KMAP_BEGIN + (layout->pkmap_base ? q->nr_cpus * QUIRE_KM_SLOTS : 0);
	struct quire_highmem *h = &q->highmem;
	unsigned slot;
	int err;

	h->fix = quire_kmalloc(q, nr * sizeof(*h->fix), QUIRE_GFP_KERNEL);
	if (!h->fix)
		return -QUIRE_ENOMEM;
	h->nr_fix = nr;
	for (slot = 0; slot < nr; slot++) {
		err = quire_pteslot_init(q->kernel, quire_fix_to_virt(layout, slot), &h->fix[slot]);
		if (err)
			return err;
	}
	return 0;
}

static int make_pkmap(struct quire *q)
{
	const struct quire_kva_layout *layout = &q->kva.layout;
	struct quire_highmem *h = &q->highmem;
	uint32_t i;
	int err;

	h->pkmap = quire_kmalloc(q, layout->nr_pkmaps * sizeof(*h->pkmap),
				 QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	if (!h->pkmap)
		return -QUIRE_ENOMEM;
	for (i = 0; i < layout->nr_pkmaps; i++) {
		err = quire_pteslot_init(q->kernel,
					 layout->pkmap_base + ((uint64_t)i << QUIRE_PAGE_SHIFT),
					 &h->pkmap[i].entry);
		if (err)
			return err;
	}
	return 0;
}

int quire_highmem_init(struct quire *q)
{
	int err;

	if (!q->kva.layout.page_offset)
		return 0;
	err = make_fixmap(q);
	if (err || !q->kva.layout.pkmap_base)
		return err;
	err = make_pkmap(q);
	if (err)
		return err;
	q->highmem.pte =
		quire_kernel_pte(q, 0, QUIRE_PTE_READ | QUIRE_PTE_WRITE, QUIRE_CACHE_WB, 0);
	q->highmem.pfn_shift = quire_ffs64(q->kernel->fmt->address);
	q->pages.kmap_local = quire_kmap_local_high;
	q->pages.kunmap_local = quire_kunmap_local_high;
	return 0;
}

/* The tables' counts have the slots among them, whatever they map. */
static void empty_range(struct quire *q, quire_kaddr_t start, quire_kaddr_t end)
{
	struct quire_cursor c;
	quire_kaddr_t addr;

	quire_cursor_open(&c, q->kernel, start, end, 0);
	while (quire_cursor_next_leaf(&c)) {
		for (addr = c.leaf_start; (addr = quire_cursor_next_used(&c, addr)) < c.leaf_end;
		     addr += QUIRE_PAGE_SIZE)
			(void)quire_cursor_clear(&c, addr);
	}
	quire_cursor_close(&c);
}

void quire_highmem_exit(struct quire *q)
{
	const struct quire_kva_layout *layout = &q->kva.layout;
	struct quire_highmem *h = &q->highmem;

	q->pages.kmap_local = NULL;
	q->pages.kunmap_local = NULL;
	if (h->fix)
		empty_range(q, quire_fix_to_virt(layout, h->nr_fix - 1), layout->fixaddr_top);
	if (h->pkmap)
		empty_range(q, layout->pkmap_base,
			    layout->pkmap_base + ((uint64_t)layout->nr_pkmaps << QUIRE_PAGE_SHIFT));
	quire_kfree(q, h->fix);
	quire_kfree(q, h->pkmap);
	h->fix = NULL;
	h->pkmap = NULL;
	h->nr_fix = 0;
}

/* ---- Checks ------------------------------------------------------------------------------ */

static quire_broken_t check_pkmap(struct quire *q, const struct quire_pkmap *pkmap)
{
	quire_pfn_t pfn;
	bool mapped = kmap_pfn(q, pkmap->entry, &pfn);

	if (pkmap->count == QUIRE_PKMAP_FLUSHING && !q->highmem.flushing)
		return "pkmap: nothing is FLUSHING unless somebody flushes";
	if ((pkmap->count == 0 || pkmap->count == QUIRE_PKMAP_FLUSHING) != !pkmap->page)
		return "pkmap: count is 0 or FLUSHING == it has no page";
	if (mapped != (pkmap->page != NULL))
		return "pkmap: its entry maps something == it has a page";
	if (!mapped)
		return NULL;
	if (quire_page_to_pfn(q, pkmap->page) != pfn)
		return "pkmap: its entry maps its page";
	if (!quire_page_is_high(pkmap->page))
		return "pkmap: its page is high";
	return NULL;
}

static quire_broken_t check_pkmaps(struct quire *q)
{
	struct quire_highmem *h = &q->highmem;
	uint32_t idle = 0, with_page = 0, found = 0, i, steps, link;
	quire_broken_t broken;

	for (i = 0; i < q->kva.layout.nr_pkmaps; i++) {
		broken = check_pkmap(q, &h->pkmap[i]);
		if (broken)
			return broken;
		idle += h->pkmap[i].count == 1;
		with_page += h->pkmap[i].page != NULL;
	}
	if (idle != h->idle)
		return "pkmap: idle == pkmaps whose count is 1";
	for (i = 0; i < QUIRE_PKMAP_BUCKETS; i++) {
		for (link = h->bucket[i], steps = 0; link;
		     link = h->pkmap[link - 1].next, steps++) {
			const struct quire_page *page;

			if (link > q->kva.layout.nr_pkmaps || steps > with_page)
				return "pkmap: a bucket is a list of pkmaps";
			page = h->pkmap[link - 1].page;
			if (!page || quire_kmap_bucket(q, page) != &h->bucket[i])
				return "pkmap: what is in a bucket has a page that belongs there";
			if (quire_kmap_find(q, page) != &h->pkmap[link - 1])
				return "pkmap: each page is in one pkmap";
			found++;
		}
	}
	if (found != with_page)
		return "pkmap: each page is in its bucket";
	return NULL;
}

/* May this slot of the fixmap map something? */
static quire_broken_t check_fix(struct quire *q, unsigned slot)
{
	const struct quire_highmem *h = &q->highmem;
	unsigned n, btmap;
	quire_pfn_t pfn;

	if (!kmap_pfn(q, h->fix[slot], &pfn))
		return NULL;
	if (slot == QUIRE_FIX_HOLE)
		return "fixmap: the hole maps nothing";
	if (slot <= QUIRE_FIX_HOST_LAST)
		return NULL;
	if (slot <= QUIRE_FIX_BTMAP_END) {
		btmap = (slot - QUIRE_FIX_BTMAP_BEGIN) / QUIRE_NR_FIX_BTMAPS;
		return h->btmap[btmap].addr ? NULL
					    : "fixmap: what early ioremap maps is in btmap[]";
	}
	n = (slot - QUIRE_FIX_KMAP_BEGIN) % QUIRE_KM_SLOTS;
	if (QUIRE_DEBUG && n < QUIRE_KM_MAX_IDX &&
	    n >= h->cpu[(slot - QUIRE_FIX_KMAP_BEGIN) / QUIRE_KM_SLOTS].index)
		return "kmap_local: slots from a CPU's index on map nothing";
	return NULL;
}

quire_broken_t quire_highmem_check(struct quire *q)
{
	struct quire_highmem *h = &q->highmem;
	quire_broken_t broken = NULL;
	unsigned long flags;
	unsigned slot, cpu;

	for (slot = 0; slot < h->nr_fix && !broken; slot++)
		broken = check_fix(q, slot);
	for (cpu = 0; cpu < q->nr_cpus && !broken; cpu++) {
		if (h->cpu[cpu].index > QUIRE_KM_MAX_IDX)
			broken = "kmap_local: a CPU's index <= its slots";
	}
	if (broken || !has_high_memory(q))
		return broken;
	flags = quire_spin_lock_irq(q, &h->lock);
	broken = check_pkmaps(q);
	quire_spin_unlock_irq(q, &h->lock, flags);
	return broken;
}

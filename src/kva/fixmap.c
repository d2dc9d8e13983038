/* SPDX-License-Identifier: MIT */
/*
 * The fixmap: slots at addresses that are constants of the kernel's build, for what has to be somewhere before there
 * is anything to allocate addresses with, or cheaper than that. Called by the host; the temporary kmaps have slots
 * of their own here. Nothing here allocates: quire_highmem_init() has made all tables.
 */
#include "kva/highmem.h"

/* The slot maps pte from now on, 0: nothing. What it was may be used until the caller has flushed. True: it was something. */
static bool exchange(struct quire *q, unsigned slot, quire_pte_t pte)
{
	struct quire_pteslot entry = q->highmem.fix[slot];
	bool mapped = quire_pteslot_get(q->kernel, entry) != 0;

	quire_pteslot_set(q->kernel, entry, pte);
	return mapped;
}

static void flush_slots(struct quire *q, unsigned first, unsigned last)
{
	const struct quire_kva_layout *layout = &q->kva.layout;

	quire_pgtable_flush(q->kernel, quire_fix_to_virt(layout, last),
			    quire_fix_to_virt(layout, first) + QUIRE_PAGE_SIZE);
}

/* An entry for the frame at pa; 0: the format cannot say it. */
static quire_pte_t fixed_pte(struct quire *q, quire_paddr_t pa, quire_ptebits_t rights,
			     enum quire_cache_mode mode)
{
	quire_pfn_t pfn = pa >> QUIRE_PAGE_SHIFT;
	quire_pte_t pte = quire_kernel_pte(q, pfn, rights, mode, 0);

	return quire_pte_pfn(q->kernel->fmt, pte) == pfn ? pte : 0;
}

/* ---- The host's slots -------------------------------------------------------------------- */

static bool is_hosts(const struct quire *q, unsigned slot)
{
	return q->highmem.fix && slot >= QUIRE_FIX_HOST_FIRST && slot <= QUIRE_FIX_HOST_LAST;
}

int quire_set_fixmap(struct quire *q, unsigned slot, quire_paddr_t pa, quire_ptebits_t rights,
		     enum quire_cache_mode mode)
{
	quire_pte_t pte;

	if (!is_hosts(q, slot) || (pa & ~QUIRE_PAGE_MASK) || (unsigned)mode >= QUIRE_NR_CACHE_MODES)
		return -QUIRE_EINVAL;
	if (!(rights & QUIRE_PTE_READ) || (rights & ~(QUIRE_PTE_READ | QUIRE_PTE_WRITE)))
		return -QUIRE_EINVAL;
	pte = fixed_pte(q, pa, rights, mode);
	if (!pte)
		return -QUIRE_EINVAL;
	if (exchange(q, slot, pte))
		flush_slots(q, slot, slot);
	return 0;
}

int quire_clear_fixmap(struct quire *q, unsigned slot)
{
	if (!is_hosts(q, slot))
		return -QUIRE_EINVAL;
	if (exchange(q, slot, 0))
		flush_slots(q, slot, slot);
	return 0;
}

/* ---- Early ioremap ----------------------------------------------------------------------- */

/* The lowest address of a stretch has the highest number: its pages go upwards, slot numbers go down. */
static unsigned btmap_slot(unsigned btmap, uint64_t page)
{
	return QUIRE_FIX_BTMAP_BEGIN + (btmap + 1) * QUIRE_NR_FIX_BTMAPS - 1 - (unsigned)page;
}

static uint64_t pages_of(uint64_t offset, uint64_t size)
{
	return (offset + size + QUIRE_PAGE_SIZE - 1) >> QUIRE_PAGE_SHIFT;
}

static void *refuse(struct quire *q, const char *why)
{
	quire_port_log(q, QUIRE_LOG_WARN, why);
	return NULL;
}

void *quire_early_ioremap(struct quire *q, quire_paddr_t pa, uint64_t size)
{
	const uint64_t most = (uint64_t)QUIRE_NR_FIX_BTMAPS << QUIRE_PAGE_SHIFT;
	const quire_ptebits_t rights = QUIRE_PTE_READ | QUIRE_PTE_WRITE;
	const uint64_t offset = pa & ~QUIRE_PAGE_MASK;
	struct quire_highmem *h = &q->highmem;
	unsigned btmap = 0, slot;
	uint64_t pages, i;

	if (!h->fix)
		return refuse(q, "early ioremap: there is no kernel's address space");
	if (size == 0 || size > most - offset)
		return refuse(q, "early ioremap: nothing, or more than a slot has room for");
	pages = pages_of(offset, size);
	/* The last frame is the highest; an address that wraps is lower again. */
	if (pa + (size - 1) < pa || !fixed_pte(q, pa + (size - 1), rights, QUIRE_CACHE_UC))
		return refuse(q, "early ioremap: an address that there is not");
	while (btmap < QUIRE_FIX_BTMAPS_SLOTS && h->btmap[btmap].addr)
		btmap++;
	if (btmap == QUIRE_FIX_BTMAPS_SLOTS)
		return refuse(q, "early ioremap: all slots are taken");

	/* Empty until now, and flushed since they last were not. */
	for (i = 0; i < pages; i++) {
		slot = btmap_slot(btmap, i);
		(void)exchange(q, slot,
			       fixed_pte(q, pa + (i << QUIRE_PAGE_SHIFT), rights, QUIRE_CACHE_UC));
	}
	h->btmap[btmap].addr = (char *)quire_kaddr_to_ptr(
				       q, quire_fix_to_virt(&q->kva.layout, btmap_slot(btmap, 0))) +
			       offset;
	h->btmap[btmap].size = size;
	return (void *)(uintptr_t)h->btmap[btmap].addr;
}

void quire_early_iounmap(struct quire *q, const void *addr, uint64_t size)
{
	struct quire_highmem *h = &q->highmem;
	unsigned btmap = 0;
	uint64_t pages, i;

	while (btmap < QUIRE_FIX_BTMAPS_SLOTS &&
	       (!addr || h->btmap[btmap].addr != addr || h->btmap[btmap].size != size))
		btmap++;
	if (btmap == QUIRE_FIX_BTMAPS_SLOTS) {
		quire_report(q, "early iounmap: not mapped, or with another size", (uintptr_t)addr);
		return;
	}
	pages = pages_of(quire_ptr_to_kaddr(q, addr) & ~QUIRE_PAGE_MASK, size);
	for (i = 0; i < pages; i++)
		(void)exchange(q, btmap_slot(btmap, i), 0);
	flush_slots(q, btmap_slot(btmap, pages - 1), btmap_slot(btmap, 0));
	h->btmap[btmap].addr = NULL;
}

unsigned quire_early_ioremap_leak_check(struct quire *q)
{
	unsigned btmap, leaks = 0;

	for (btmap = 0; btmap < QUIRE_FIX_BTMAPS_SLOTS; btmap++)
		leaks += q->highmem.btmap[btmap].addr != NULL;
	if (leaks)
		quire_port_log(q, QUIRE_LOG_WARN,
			       "early ioremap: boot is over, and something is still mapped");
	return leaks;
}

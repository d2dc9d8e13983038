/* SPDX-License-Identifier: MIT */
/*
 * Permanent kmaps: pages of high memory at addresses that all CPUs can use, for as long as their users
 * like. Called by whoever works on a page's bytes and has to sleep in between. Nothing here allocates.
 *
 *	count of a slot      entry            hash
 *	0                    nothing          -        free
 *	n + 1                its page         found    n users
 *	1                    its page         found    the last user has gone; who comes for the page gets it back
 *	FLUSHING             nothing          -        unmapped; the flush is under way
 *
 * Unmapping costs no flush. The search for a free slot goes round, and when it comes to the end all slots of count 1
 * are unmapped and flushed together: one flush of every CPU for as many kmaps as there are slots.
 *
 * A TLB flush has to wait for other CPUs, so it cannot be done under the lock. The order is:
 *
 *   1. under the lock: every slot of count 1 leaves the hash, its entry maps nothing, its count is FLUSHING
 *   2. without it: the flush
 *   3. under the lock: FLUSHING becomes 0, and whoever waits is woken
 *
 * Who may use what a slot was, between 1 and 3? Its address may be in TLBs, but nobody has it: count 1 says that every
 * kmap had its kunmap, and since 1 nobody finds it. The slot is not taken before 3, for only a count of 0 is; so
 * its next page is never seen through an old entry. Who wants the old page meanwhile finds it in no slot and takes
 * another one: the page then has one entry, and one address that anybody knows. Of two who go round, one
 * flushes; the other takes a free slot or waits until 3.
 */
#include "kva/highmem.h"

static quire_kaddr_t slot_addr(const struct quire *q, uint32_t slot)
{
	return q->kva.layout.pkmap_base + ((uint64_t)slot << QUIRE_PAGE_SHIFT);
}

/* ---- From page to slot ------------------------------------------------------------------- */

uint32_t *quire_kmap_bucket(struct quire *q, const struct quire_page *page)
{
	/* Neighbours go to buckets of their own. */
	return &q->highmem.bucket[quire_page_to_pfn(q, page) % QUIRE_PKMAP_BUCKETS];
}

/* The link that says where the page's slot is; one that says 0 at the end of the bucket. */
static uint32_t *find_link(struct quire *q, const struct quire_page *page)
{
	struct quire_highmem *h = &q->highmem;
	uint32_t *link = quire_kmap_bucket(q, page);

	quire_spin_assert(q, &h->lock);
	while (*link && h->pkmap[*link - 1].page != page)
		link = &h->pkmap[*link - 1].next;
	return link;
}

struct quire_pkmap *quire_kmap_find(struct quire *q, const struct quire_page *page)
{
	uint32_t link = *find_link(q, page);

	return link ? &q->highmem.pkmap[link - 1] : NULL;
}

/* ---- Slots ------------------------------------------------------------------------------- */

static void map(struct quire *q, struct quire_pkmap *pkmap, struct quire_page *page)
{
	uint32_t *link = quire_kmap_bucket(q, page);

	quire_pteslot_set(q->kernel, pkmap->entry, kmap_pte(q, page));
	pkmap->page = page;
	pkmap->count = 1;
	pkmap->next = *link;
	*link = (uint32_t)(pkmap - q->highmem.pkmap) + 1;
	q->highmem.idle++;
}

static void unmap(struct quire *q, struct quire_pkmap *pkmap)
{
	uint32_t *link = find_link(q, pkmap->page);

	*link = pkmap->next;
	pkmap->next = 0;
	pkmap->page = NULL;
	pkmap->count = QUIRE_PKMAP_FLUSHING;
	quire_pteslot_set(q->kernel, pkmap->entry, 0);
	q->highmem.idle--;
}

/* The next free slot up to the last one; NULL: it has come to the end, and begins anew next time. */
static struct quire_pkmap *next_free(struct quire *q)
{
	struct quire_highmem *h = &q->highmem;

	while (h->next < q->kva.layout.nr_pkmaps) {
		struct quire_pkmap *pkmap = &h->pkmap[h->next++];

		if (pkmap->count == 0)
			return pkmap;
	}
	h->next = 0;
	return NULL;
}

/* A slot has become idle, or several free. The lock is held; true: the caller wakes when it has let go. */
static bool announce(struct quire_highmem *h)
{
	if (!h->waiters)
		return false;
	quire_store(&h->freed, h->freed + 1);
	return true;
}

/* All of them: which of the slots somebody needs is not known, nor whether one still is needed. */
static void wake(struct quire *q)
{
	quire_port_wake(q, &q->highmem.freed, ~0u);
}

/* Free what is idle. The lock is dropped in between. */
static void flush_idle(struct quire *q, unsigned long *flags)
{
	struct quire_highmem *h = &q->highmem;
	uint32_t slot, first = UINT32_MAX, last = 0;
	bool waiting;

	h->flushing = true;
	for (slot = 0; slot < q->kva.layout.nr_pkmaps; slot++) {
		if (h->pkmap[slot].count != 1)
			continue;
		unmap(q, &h->pkmap[slot]);
		if (first == UINT32_MAX)
			first = slot;
		last = slot;
	}
	quire_spin_unlock_irq(q, &h->lock, *flags);

	quire_pgtable_flush(q->kernel, slot_addr(q, first), slot_addr(q, last + 1));

	*flags = quire_spin_lock_irq(q, &h->lock);
	for (slot = first; slot <= last; slot++) {
		if (h->pkmap[slot].count == QUIRE_PKMAP_FLUSHING)
			h->pkmap[slot].count = 0;
	}
	h->flushing = false;
	h->flushes++;
	waiting = announce(h);
	if (!waiting)
		return;
	quire_spin_unlock_irq(q, &h->lock, *flags);
	wake(q);
	*flags = quire_spin_lock_irq(q, &h->lock);
}

/* Sleep until something has changed. The lock is dropped in between. */
static void wait(struct quire *q, unsigned long *flags)
{
	struct quire_highmem *h = &q->highmem;
	uint32_t seen = h->freed;

	h->waiters++;
	quire_spin_unlock_irq(q, &h->lock, *flags);
	quire_port_wait(q, &h->freed, seen);
	*flags = quire_spin_lock_irq(q, &h->lock);
	h->waiters--;
}

/* A slot that maps the page, perhaps with no user yet. The lock may be dropped in between. */
static struct quire_pkmap *slot_for(struct quire *q, struct quire_page *page, unsigned long *flags)
{
	struct quire_highmem *h = &q->highmem;
	struct quire_pkmap *pkmap;

	while (!(pkmap = quire_kmap_find(q, page))) {
		pkmap = next_free(q);
		if (!pkmap && h->idle && !h->flushing) {
			flush_idle(q, flags);
			continue; /* somebody may have mapped the page */
		}
		if (!pkmap)
			pkmap = next_free(q);
		if (pkmap)
			map(q, pkmap, page);
		else
			wait(q, flags);
	}
	return pkmap;
}

/* ---- The calls --------------------------------------------------------------------------- */

void *quire_kmap(struct quire *q, struct quire_page *page)
{
	struct quire_highmem *h = &q->highmem;
	struct quire_pkmap *pkmap;
	unsigned long flags;
	uint32_t slot;

	quire_assert(q, !quire_port_in_interrupt(q));
	if (!quire_page_is_high(page))
		return quire_page_to_virt(q, page);
	flags = quire_spin_lock_irq(q, &h->lock);
	pkmap = slot_for(q, page, &flags);
	if (pkmap->count++ == 1)
		h->idle--;
	slot = (uint32_t)(pkmap - h->pkmap);
	quire_spin_unlock_irq(q, &h->lock, flags);
	return quire_kaddr_to_ptr(q, slot_addr(q, slot));
}

void quire_kunmap(struct quire *q, struct quire_page *page)
{
	struct quire_highmem *h = &q->highmem;
	struct quire_pkmap *pkmap;
	unsigned long flags;
	bool waiting = false, unused;

	quire_assert(q, !quire_port_in_interrupt(q));
	if (!quire_page_is_high(page))
		return;
	flags = quire_spin_lock_irq(q, &h->lock);
	pkmap = quire_kmap_find(q, page);
	unused = !pkmap || pkmap->count == 1;
	if (!unused && --pkmap->count == 1) {
		h->idle++;
		waiting = announce(h);
	}
	quire_spin_unlock_irq(q, &h->lock, flags);
	if (unused)
		quire_report(q, "kunmap of a page that nobody has mapped",
			     quire_page_to_pfn(q, page));
	if (waiting)
		wake(q);
}

void *quire_page_address(struct quire *q, struct quire_page *page)
{
	struct quire_highmem *h = &q->highmem;
	struct quire_pkmap *pkmap;
	quire_kaddr_t addr = 0;
	unsigned long flags;

	if (!quire_page_is_high(page))
		return quire_page_to_virt(q, page);
	if (!has_high_memory(q))
		return NULL;
	flags = quire_spin_lock_irq(q, &h->lock);
	pkmap = quire_kmap_find(q, page);
	if (pkmap)
		addr = slot_addr(q, (uint32_t)(pkmap - h->pkmap));
	quire_spin_unlock_irq(q, &h->lock, flags);
	return pkmap ? quire_kaddr_to_ptr(q, addr) : NULL;
}

uint32_t quire_kmap_users(struct quire *q, struct quire_page *page)
{
	struct quire_pkmap *pkmap;
	unsigned long flags;
	uint32_t users = 0;

	if (!has_high_memory(q) || !quire_page_is_high(page))
		return 0;
	flags = quire_spin_lock_irq(q, &q->highmem.lock);
	pkmap = quire_kmap_find(q, page);
	if (pkmap)
		users = pkmap->count - 1;
	quire_spin_unlock_irq(q, &q->highmem.lock, flags);
	return users;
}

static struct quire_page *pkmap_page(struct quire *q, uint64_t slot)
{
	struct quire_highmem *h = &q->highmem;
	unsigned long flags = quire_spin_lock_irq(q, &h->lock);
	struct quire_page *page = h->pkmap[slot].page;

	quire_spin_unlock_irq(q, &h->lock, flags);
	return page;
}

struct quire_page *quire_kmap_to_page(struct quire *q, const void *ptr)
{
	const struct quire_kva_layout *layout = &q->kva.layout;
	struct quire_page *page = quire_virt_to_page(q, ptr);
	quire_kaddr_t addr;
	quire_pfn_t pfn;
	unsigned slot;

	if (page || !has_high_memory(q))
		return page;
	addr = quire_ptr_to_kaddr(q, ptr);
	if (addr >= layout->pkmap_base && addr < slot_addr(q, layout->nr_pkmaps))
		return pkmap_page(q, (addr - layout->pkmap_base) >> QUIRE_PAGE_SHIFT);
	if (!addr_to_fix(q, addr, &slot) || slot < QUIRE_FIX_KMAP_BEGIN ||
	    (slot - QUIRE_FIX_KMAP_BEGIN) / QUIRE_KM_SLOTS != quire_port_cpu(q))
		return NULL;
	return kmap_pfn(q, q->highmem.fix[slot], &pfn) ? quire_pfn_to_page(q, pfn) : NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * Handing frames out and taking them back: zones in order, watermarks, per-CPU lists, references.
 * Called by every room above, in any context. Never sleeps and never calls up: whoever can wait for
 * memory does so above this.
 *
 * Single pages go through a list of the CPU's own, so that the usual allocation and free take one
 * uncontended lock and touch one cache line besides the descriptor. The zone behind it is entered once
 * a batch. Each step that the check function could see half done (off the list, but not yet
 * somebody's) lies within the lock.
 */
#include "page/internal.h"

/* Zone bits: the highest zone allowed. With several, the most narrow one. */
static unsigned highest_zone(quire_gfp_t gfp)
{
	if (quire_likely((gfp & (QUIRE_GFP_DMA | QUIRE_GFP_DMA32 | QUIRE_GFP_HIGHMEM)) == 0))
		return QUIRE_ZONE_NORMAL;
	if ((gfp & QUIRE_GFP_DMA) != 0)
		return QUIRE_ZONE_DMA;
	if ((gfp & QUIRE_GFP_DMA32) != 0)
		return QUIRE_ZONE_DMA32;
	return QUIRE_ZONE_HIGHMEM;
}

/* How many pages must stay in the zone after this allocation. highest: where the search began. */
static uint64_t watermark(const struct quire_zone *zone, quire_gfp_t gfp, unsigned highest)
{
	uint64_t mark = zone->wmark[QUIRE_WMARK_MIN];

	if ((gfp & QUIRE_GFP_MEMALLOC) != 0)
		return 0;
	if ((gfp & QUIRE_GFP_ATOMIC) != 0)
		mark /= 2;
	return mark + zone->lowmem_reserve[highest];
}

/* The frame is the caller's from here on; under the lock that it was free under. */
static inline void prepare(struct quire_page *page, unsigned order)
{
	page->maps = 0;
	page->aux = 0;
	quire_store(&page->owner, NULL);
	quire_store(&page->index, 0);
	quire_list_init(&page->lru);
	quire_store(&page->flags, (page->flags & QUIRE_PG_ZONE_MASK) | QUIRE_PG_HEAD |
					  ((uint32_t)order << QUIRE_PG_ORDER_SHIFT) |
					  (uint32_t)QUIRE_PAGE_KERNEL);
	/* Last, with release: a reader of old that tries for a reference must not get a half-made page. */
	quire_store_release(&page->refs, 1u);
}

static void prepare_tails(struct quire_page *page, unsigned order)
{
	struct quire_page *tail, *end = page + ((size_t)1 << order);

	for (tail = page + 1; tail < end; tail++) {
		tail->maps = 0;
		tail->aux = 0;
		quire_store(&tail->owner, NULL);
		quire_store(&tail->index, 0);
		quire_store(&tail->flags, (tail->flags & QUIRE_PG_ZONE_MASK) | (uint32_t)QUIRE_PAGE_KERNEL);
	}
}

/*
 * Take a batch from the zone, down to the watermark that everybody must keep. Whoever may go below
 * it gets the one page that he asked for, lest the rest serve others. False: nothing came.
 */
static bool refill(struct quire *q, struct quire_zone *zone, struct quire_pcp *pcp, quire_gfp_t gfp,
		   unsigned highest)
{
	uint64_t spare, wanted = pcp->batch, got = 0;
	struct quire_page *page;

	quire_spin_lock_raw(q, &zone->lock);
	spare = watermark(zone, 0, highest);
	spare = zone->free_pages > spare ? zone->free_pages - spare : 0;
	if (spare == 0 && zone->free_pages > watermark(zone, gfp, highest))
		spare = 1;
	while (got < wanted && got < spare) {
		page = quire_zone_take(q, zone, 0);
		quire_list_add_tail(&pcp->pages, &page->lru);
		got++;
	}
	quire_spin_unlock_raw(q, &zone->lock);
	quire_store(&pcp->count, pcp->count + (uint32_t)got);
	return got != 0;
}

/* Give the n pages that were used longest ago back to the zone. */
static void drain(struct quire *q, struct quire_zone *zone, struct quire_pcp *pcp, uint32_t n)
{
	quire_spin_lock_raw(q, &zone->lock);
	quire_store(&pcp->count, pcp->count - n);
	while (n-- > 0) {
		struct quire_page *page = quire_list_entry(pcp->pages.prev, struct quire_page, lru);

		quire_list_del(&page->lru);
		quire_zone_put(q, zone, page, 0);
	}
	quire_spin_unlock_raw(q, &zone->lock);
}

static struct quire_page *alloc_single(struct quire *q, quire_gfp_t gfp, unsigned highest)
{
	unsigned long flags = quire_port_irq_save(q);
	unsigned cpu = quire_port_cpu(q);
	struct quire_page *page = NULL;
	unsigned z;

	for (z = highest + 1; z-- > 0;) {
		struct quire_zone *zone = &q->pages.zone[z];
		struct quire_pcp *pcp = &zone->pcp[cpu];

		if (zone->managed_pages == 0)
			continue;
		quire_spin_lock_raw(q, &pcp->lock);
		if (quire_likely(pcp->count != 0) || refill(q, zone, pcp, gfp, highest)) {
			page = quire_list_first(&pcp->pages, struct quire_page, lru);
			page->lru.next->prev = &pcp->pages;
			pcp->pages.next = page->lru.next;
			quire_store(&pcp->count, pcp->count - 1);
			quire_store(&pcp->allocated, pcp->allocated + 1);
			prepare(page, 0);
		}
		quire_spin_unlock_raw(q, &pcp->lock);
		if (page)
			break;
	}
	quire_port_irq_restore(q, flags);
	return page;
}

static struct quire_page *alloc_block(struct quire *q, quire_gfp_t gfp, unsigned highest, unsigned order)
{
	uint64_t pages = UINT64_C(1) << order;
	struct quire_page *page = NULL;
	unsigned z;

	for (z = highest + 1; z-- > 0 && !page;) {
		struct quire_zone *zone = &q->pages.zone[z];
		unsigned long flags;

		if (zone->managed_pages == 0)
			continue;
		flags = quire_spin_lock_irq(q, &zone->lock);
		if (zone->free_pages >= watermark(zone, gfp, highest) + pages)
			page = quire_zone_take(q, zone, order);
		if (page) {
			quire_store(&zone->allocated, zone->allocated + pages);
			prepare_tails(page, order);
			prepare(page, order);
		}
		quire_spin_unlock_irq(q, &zone->lock, flags);
	}
	return page;
}

struct quire_page *quire_page_alloc(struct quire *q, quire_gfp_t gfp, unsigned order)
{
	unsigned highest = highest_zone(gfp), i;
	struct quire_page *page;
	quire_pfn_t pfn;

	if (quire_unlikely(order > QUIRE_MAX_ORDER || (gfp & QUIRE_GFP_NOFAIL) != 0)) {
		quire_assert(q, (gfp & QUIRE_GFP_NOFAIL) == 0);
		return NULL;
	}
	if (quire_fail_now(&q->pages.fail))
		return NULL;
	page = order == 0 ? alloc_single(q, gfp, highest) : alloc_block(q, gfp, highest, order);
	if (quire_unlikely(!page)) {
		/* What other CPUs keep for themselves may be all that is missing, or the missing buddy. */
		quire_page_drain(q);
		page = order == 0 ? alloc_single(q, gfp, highest) : alloc_block(q, gfp, highest, order);
		if (!page) {
			if ((gfp & QUIRE_GFP_NOWARN) == 0)
				quire_port_log(q, QUIRE_LOG_WARN, "page allocation failure");
			return NULL;
		}
	}
	pfn = quire_page_to_pfn(q, page);
	/* In this order: a host that knows frames to be zero knows it of those that are not out. */
	if ((gfp & QUIRE_GFP_ZERO) != 0)
		for (i = 0; i < 1u << order; i++)
			quire_port_zero_frame(q, (pfn + i) << QUIRE_PAGE_SHIFT);
	quire_port_frames(q, pfn, order, true);
	return page;
}

/* What must be true of a block that comes back. False: leave it alone. */
static bool may_free(struct quire *q, struct quire_page *page, unsigned order)
{
	uint32_t flags = quire_load(&page->flags);

	if (quire_unlikely((flags & QUIRE_PG_KIND_MASK) == QUIRE_PAGE_FREE)) {
		quire_report(q, "page: freed twice", quire_page_to_pfn(q, page));
		return false;
	}
	if (quire_unlikely((flags & QUIRE_PG_KIND_MASK) == QUIRE_PAGE_RESERVED)) {
		quire_report(q, "page: a reserved page was freed", quire_page_to_pfn(q, page));
		return false;
	}
	if (quire_unlikely((flags & (QUIRE_PG_HEAD | QUIRE_PG_ORDER_MASK)) !=
			   (QUIRE_PG_HEAD | (uint32_t)order << QUIRE_PG_ORDER_SHIFT))) {
		quire_report(q, "page: freed with another order than it was allocated with",
			     quire_page_to_pfn(q, page));
		return false;
	}
	if (!QUIRE_DEBUG)
		return true;
	if (quire_load(&page->maps) != 0)
		quire_report(q, "page: freed while mapped", quire_page_to_pfn(q, page));
	if ((flags & QUIRE_PG_LOCKED) != 0)
		quire_report(q, "page: freed while locked", quire_page_to_pfn(q, page));
	return true;
}

/* No reference is left. */
static void free_block(struct quire *q, struct quire_page *page, unsigned order)
{
	struct quire_zone *zone = &q->pages.zone[quire_page_zone(page)];
	struct quire_page *tail, *end = page + ((size_t)1 << order);
	struct quire_pcp *pcp;
	unsigned long flags;

	quire_port_frames(q, quire_page_to_pfn(q, page), order, false);

	if (quire_unlikely(order != 0)) {
		flags = quire_spin_lock_irq(q, &zone->lock);
		quire_store(&zone->freed, zone->freed + (uint64_t)(end - page));
		for (tail = page; tail < end; tail++)
			quire_store(&tail->flags, quire_free_flags(tail->flags, 0, 0));
		quire_zone_put(q, zone, page, order);
		quire_spin_unlock_irq(q, &zone->lock, flags);
		return;
	}
	flags = quire_port_irq_save(q);
	pcp = &zone->pcp[quire_port_cpu(q)];
	quire_spin_lock_raw(q, &pcp->lock);
	quire_store(&page->flags, quire_free_flags(page->flags, 0, 0));
	quire_list_add(&pcp->pages, &page->lru);
	quire_store(&pcp->count, pcp->count + 1);
	quire_store(&pcp->freed, pcp->freed + 1);
	/* Short of memory the zone gets all of it: what is below its watermark is not for everybody's use. */
	if (quire_unlikely(quire_load(&zone->free_pages) < zone->wmark[QUIRE_WMARK_MIN]))
		drain(q, zone, pcp, pcp->count);
	else if (quire_unlikely(pcp->count > pcp->high))
		drain(q, zone, pcp, pcp->count < pcp->batch + 1 ? pcp->count : pcp->batch + 1);
	quire_spin_unlock_raw(q, &pcp->lock);
	quire_port_irq_restore(q, flags);
}

/* One reference fewer; true if it was the last. */
static bool drop_reference(struct quire *q, struct quire_page *page)
{
	uint32_t refs = quire_fetch_sub(&page->refs, 1u);

	if (quire_unlikely(refs == 0)) {
		quire_store(&page->refs, 0u);
		quire_report(q, "page: one reference too many was dropped", quire_page_to_pfn(q, page));
	}
	return refs == 1;
}

/*
 * The block's owner has done with it. Yet a reader who found this frame in a cache, when it was still there,
 * may hold it for the moment that it takes to see that it is something else now (quire_page_tryget());
 * then the frame goes when that reader drops it.
 */
void quire_page_free(struct quire *q, struct quire_page *page, unsigned order)
{
	if (may_free(q, page, order) && drop_reference(q, page))
		free_block(q, page, order);
}

bool quire_page_put(struct quire *q, struct quire_page *page)
{
	unsigned order = quire_page_order(page);

	if (!drop_reference(q, page))
		return false;
	if (may_free(q, page, order))
		free_block(q, page, order);
	return true;
}

bool quire_page_tryget(struct quire_page *page)
{
	uint32_t refs = quire_load(&page->refs);

	do {
		if (refs == 0)
			return false;
	} while (!quire_cmpxchg(&page->refs, &refs, refs + 1));
	return true;
}

void quire_page_drain(struct quire *q)
{
	struct quire_zone *zone;
	unsigned cpu;

	for (zone = q->pages.zone; zone < q->pages.zone + QUIRE_NR_ZONES; zone++) {
		for (cpu = 0; cpu < q->nr_cpus; cpu++) {
			struct quire_pcp *pcp = &zone->pcp[cpu];
			unsigned long flags;

			if (quire_load(&pcp->count) == 0)
				continue;
			flags = quire_spin_lock_irq(q, &pcp->lock);
			drain(q, zone, pcp, pcp->count);
			quire_spin_unlock_irq(q, &pcp->lock, flags);
		}
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * Handing frames out and taking them back: zones in order, watermarks, per-CPU lists, references.
 * Called by every room above, in any context. Sleeps for nothing but a grace period, and only if the caller may
 * (QUIRE_GFP_WAIT). Never calls up.
 *
 * Single pages go through a list of the CPU's own, so that the usual allocation and free take one
 * uncontended lock and touch one cache line besides the descriptor. The zone behind it is entered once
 * a batch. Each step that the check function could see half done (off the list, but not yet
 * somebody's) lies within the lock.
 */
#include "page/internal.h"

/*
 * How many pages must stay in the zone after this allocation, at the worst. highest: where its zones begin. The figures
 * are Linux's: half of min for the urgent, 3/8 for those of them that cannot wait either.
 */
static uint64_t watermark(const struct quire_zone *zone, quire_gfp_t gfp, unsigned highest)
{
	uint64_t mark = quire_load(&zone->wmark[QUIRE_WMARK_MIN]);

	if ((gfp & (QUIRE_GFP_MEMALLOC | QUIRE_GFP_NOMEMALLOC)) == QUIRE_GFP_MEMALLOC)
		return 0;
	if ((gfp & QUIRE_GFP_HIGH) != 0) {
		mark -= mark / 2;
		if ((gfp & (QUIRE_GFP_WAIT | QUIRE_GFP_NOMEMALLOC)) == 0)
			mark -= mark / 4;
	}
	return mark + quire_load(&zone->lowmem_reserve[highest]);
}

#define ALL_NODES ((1u << QUIRE_NR_NODES) - 1)

/* One allocation, and how far it has got. */
struct request {
	struct quire_zone *const *list;
	uint32_t nodes; /* mask */
	quire_gfp_t gfp;
	unsigned highest, order;
	enum quire_watermark mark; /* LOW, then MIN */
};

static inline bool excluded(const struct request *r, const struct quire_zone *zone)
{
	return quire_unlikely(r->nodes != ALL_NODES) && (r->nodes >> zone->node & 1) == 0;
}

/* Pages that it may take from the zone now. For MIN, what it alone may take. */
static uint64_t may_take(const struct quire_zone *zone, const struct request *r)
{
	uint64_t free = quire_load(&zone->free_pages);
	uint64_t mark = r->mark == QUIRE_WMARK_MIN
				? watermark(zone, r->gfp, r->highest)
				: quire_load(&zone->wmark[r->mark]) +
					  quire_load(&zone->lowmem_reserve[r->highest]);

	return free > mark ? free - mark : 0;
}

/* The frame is the caller's from here on; under the lock that it was free under. */
static inline void prepare(struct quire_page *page, unsigned order)
{
	page->maps = 0;
	page->aux = 0;
	quire_store(&page->owner, NULL);
	quire_store(&page->index, 0);
	quire_list_init(&page->lru);
	quire_store(&page->flags, (page->flags & QUIRE_PG_PLACE_MASK) | QUIRE_PG_HEAD |
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
		quire_store(&tail->flags, (tail->flags & QUIRE_PG_PLACE_MASK) | (uint32_t)QUIRE_PAGE_KERNEL);
	}
}

/*
 * Take a batch from the zone, down to the watermark that everybody must keep. Whoever may go below
 * it gets the one page that he asked for, lest the rest serve others. False: nothing came.
 */
static bool refill(struct quire *q, struct quire_zone *zone, struct quire_pcp *pcp, const struct request *r)
{
	uint64_t spare, wanted = pcp->batch, got = 0;
	struct quire_page *page;

	quire_spin_lock_raw(q, &zone->lock);
	spare = zone->wmark[r->mark] + zone->lowmem_reserve[r->highest];
	spare = zone->free_pages > spare ? zone->free_pages - spare : 0;
	if (spare == 0 && may_take(zone, r) != 0)
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

static struct quire_page *alloc_single(struct quire *q, const struct request *r)
{
	unsigned long flags = quire_port_irq_save(q);
	unsigned cpu = quire_port_cpu(q);
	struct quire_zone *const *at, *zone;
	struct quire_page *page = NULL;

	for (at = r->list; !page && (zone = *at) != NULL; at++) {
		struct quire_pcp *pcp = &zone->pcp[cpu];

		if (excluded(r, zone))
			continue;
		/*
		 * A list was filled by somebody who may have more of the zone. In the first zone that makes no difference:
		 * there nothing is kept from this request that is not kept from all.
		 */
		if (quire_unlikely(at != r->list) && may_take(zone, r) == 0)
			continue;
		quire_spin_lock_raw(q, &pcp->lock);
		if (quire_likely(pcp->count != 0) || refill(q, zone, pcp, r)) {
			page = quire_list_first(&pcp->pages, struct quire_page, lru);
			page->lru.next->prev = &pcp->pages;
			pcp->pages.next = page->lru.next;
			quire_store(&pcp->count, pcp->count - 1);
			quire_store(&pcp->allocated, pcp->allocated + 1);
			prepare(page, 0);
		}
		quire_spin_unlock_raw(q, &pcp->lock);
	}
	quire_port_irq_restore(q, flags);
	return page;
}

static struct quire_page *alloc_block(struct quire *q, const struct request *r)
{
	uint64_t pages = UINT64_C(1) << r->order;
	struct quire_zone *const *at, *zone;
	struct quire_page *page = NULL;

	for (at = r->list; !page && (zone = *at) != NULL; at++) {
		unsigned long flags;

		if (excluded(r, zone))
			continue;
		flags = quire_spin_lock_irq(q, &zone->lock);
		if (may_take(zone, r) >= pages)
			page = quire_zone_take(q, zone, r->order);
		if (page) {
			quire_store(&zone->allocated, zone->allocated + pages);
			prepare_tails(page, r->order);
			prepare(page, r->order);
		}
		quire_spin_unlock_irq(q, &zone->lock, flags);
	}
	return page;
}

static inline struct quire_page *try(struct quire *q, const struct request *r)
{
	return quire_likely(r->order == 0) ? alloc_single(q, r) : alloc_block(q, r);
}

/* There is nothing above the low watermarks. Here reclaim in the background will be woken. */
static struct quire_page *try_harder(struct quire *q, struct request *r)
{
	struct quire_page *page;
	unsigned tries = 0;

	r->mark = QUIRE_WMARK_MIN;
	page = try(q, r);
	if (page)
		return page;
	do {
		/* What other CPUs keep for themselves may be all that is missing, or the missing buddy. */
		quire_page_drain(q);
		page = try(q, r);
	} while (!page && (r->gfp & QUIRE_GFP_WAIT) != 0 && quire_grace_reclaim(q, &tries));
	if (!page && (r->gfp & QUIRE_GFP_NOWARN) == 0)
		quire_port_log(q, QUIRE_LOG_WARN, "page allocation failure");
	return page;
}

static void count_event(struct quire *q, unsigned node, enum quire_numa_event event, uint64_t pages)
{
	quire_add_relaxed(&q->pages.stat[quire_port_cpu(q)].numa[node][event], pages);
}

/* Was it to be from where it is? The node that was wanted is that of the first zone that could have been. */
static void count_numa(struct quire *q, const struct request *r, const struct quire_page *page)
{
	uint64_t pages = UINT64_C(1) << r->order;
	unsigned node = quire_page_node(page), wanted;
	struct quire_zone *const *at = r->list;

	while (excluded(r, *at))
		at++;
	wanted = (*at)->node;
	if (node != wanted) {
		count_event(q, node, QUIRE_NUMA_MISS, pages);
		count_event(q, wanted, QUIRE_NUMA_FOREIGN, pages);
	}
	if (node != quire_cpu_node(q, quire_port_cpu(q)))
		count_event(q, node, QUIRE_NUMA_OTHER, pages);
}

/* The flags that say where from, or that this cannot be: false. */
static bool place_request(struct quire *q, struct request *r, const struct quire_node *node)
{
	r->highest = q->pages.gfp_zone[r->gfp & QUIRE_GFP_ZONEMASK];
	quire_assert(q, (r->gfp & QUIRE_GFP_NOFAIL) == 0);
	quire_assert(q, r->highest != QUIRE_NR_ZONES && "one zone bit");
	if ((r->gfp & QUIRE_GFP_NOFAIL) != 0 || r->highest == QUIRE_NR_ZONES)
		return false;
	/* Nobody could fill it. */
	if (r->highest == QUIRE_ZONE_HIGHMEM && (r->gfp & QUIRE_GFP_ZERO) != 0 && !q->pages.kmap_local)
		r->highest = QUIRE_ZONE_NORMAL;
	if ((r->gfp & QUIRE_GFP_THISNODE) != 0)
		r->nodes &= 1u << (node - q->pages.node);
	return true;
}

static void zero_block(struct quire *q, struct quire_page *page, unsigned order)
{
	unsigned i;

	for (i = 0; i < 1u << order; i++)
		quire_page_zero(q, page + i);
}

static struct quire_page *alloc_from(struct quire *q, const struct quire_node *node, uint32_t nodes, quire_gfp_t gfp,
				     unsigned order)
{
	const quire_gfp_t rare = QUIRE_GFP_ZONEMASK | QUIRE_GFP_NOFAIL | QUIRE_GFP_THISNODE;
	struct request r = { .gfp = gfp, .order = order, .nodes = nodes, .highest = QUIRE_ZONE_NORMAL,
			     .mark = QUIRE_WMARK_LOW };
	struct quire_page *page;

	if (quire_unlikely(order > QUIRE_MAX_ORDER) || ((gfp & rare) != 0 && !place_request(q, &r, node)))
		return NULL;
	if ((gfp & QUIRE_GFP_WAIT) != 0)
		quire_sleep_assert(q);
	if (quire_fail_now(&q->pages.fail))
		return NULL;
	r.list = node->zonelist[r.highest];

	page = try(q, &r);
	if (quire_unlikely(!page)) {
		page = try_harder(q, &r);
		if (!page)
			return NULL;
	}
	if (quire_unlikely(q->pages.nr_nodes > 1))
		count_numa(q, &r, page);
	/* A host that knows frames to be zero knows it of those that are not out. One that a kmap maps is out. */
	if ((gfp & QUIRE_GFP_ZERO) != 0 && !quire_page_is_high(page))
		zero_block(q, page, order);
	quire_port_frames(q, quire_page_to_pfn(q, page), order, true);
	if ((gfp & QUIRE_GFP_ZERO) != 0 && quire_page_is_high(page))
		zero_block(q, page, order);
	return page;
}

/* The thread may move to another CPU at once: then it gets what was near. */
struct quire_page *quire_page_alloc(struct quire *q, quire_gfp_t gfp, unsigned order)
{
	const struct quire_node *node = q->pages.node;

	if (quire_unlikely(q->pages.nr_nodes > 1))
		node = q->pages.cpu_node[quire_port_cpu(q)];
	return alloc_from(q, node, ALL_NODES, gfp, order);
}

struct quire_page *quire_page_alloc_mask(struct quire *q, unsigned node, uint32_t nodes, quire_gfp_t gfp,
					 unsigned order)
{
	if (node >= q->pages.nr_nodes) {
		quire_assert(q, node < q->pages.nr_nodes);
		return NULL;
	}
	return alloc_from(q, &q->pages.node[node], nodes, gfp, order);
}

struct quire_page *quire_page_alloc_node(struct quire *q, unsigned node, quire_gfp_t gfp, unsigned order)
{
	return quire_page_alloc_mask(q, node, ALL_NODES, gfp, order);
}

struct quire_page *quire_page_alloc_interleave(struct quire *q, unsigned node, quire_gfp_t gfp, unsigned order)
{
	struct quire_page *page = quire_page_alloc_node(q, node, gfp, order);

	if (page && quire_page_node(page) == node)
		count_event(q, node, QUIRE_NUMA_INTERLEAVE, UINT64_C(1) << order);
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
	struct quire_zone *zone = quire_zone_of(q, page);
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
	if (quire_unlikely(quire_load(&zone->free_pages) < quire_load(&zone->wmark[QUIRE_WMARK_MIN])))
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

/* The order is what it was when the last one let go: a block may have been split since a reader of old came. */
bool quire_page_put(struct quire *q, struct quire_page *page)
{
	unsigned order;

	if (!drop_reference(q, page))
		return false;
	order = quire_page_order(page);
	if (may_free(q, page, order))
		free_block(q, page, order);
	return true;
}

/* Under the zone's lock, so that whoever checks the zone meets a block or its pages. */
void quire_page_split(struct quire *q, struct quire_page *page, unsigned order)
{
	struct quire_zone *zone = quire_zone_of(q, page);
	struct quire_page *tail, *end = page + ((size_t)1 << order);
	unsigned long flags;

	quire_assert(q, quire_page_order(page) == order);
	flags = quire_spin_lock_irq(q, &zone->lock);
	(void)quire_fetch_and(&page->flags, ~QUIRE_PG_ORDER_MASK);
	for (tail = page + 1; tail < end; tail++) {
		quire_list_init(&tail->lru);
		quire_store(&tail->flags, tail->flags | QUIRE_PG_HEAD);
		quire_store_release(&tail->refs, 1u);
	}
	quire_spin_unlock_irq(q, &zone->lock, flags);
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

	for (zone = q->pages.zone; zone < q->pages.zone + quire_nr_zones(q); zone++) {
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

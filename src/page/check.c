/* SPDX-License-Identifier: MIT */
/*
 * Are the equations of page.h true? Called by tests after every step, and by whoever suspects
 * something. Holds every lock of the room while it walks all descriptors, so nothing moves; changes
 * nothing.
 */
#include "page/internal.h"

struct zone_count {
	uint64_t free, listed, allocated; /* pages found: free blocks, on per-CPU lists, in use */
	uint64_t present, managed;
	uint64_t blocks[QUIRE_NR_ORDERS];
};

static void lock_all(struct quire *q)
{
	unsigned z, cpu;

	for (z = 0; z < quire_nr_zones(q); z++)
		for (cpu = 0; cpu < q->nr_cpus; cpu++)
			quire_spin_lock_raw(q, &q->pages.zone[z].pcp[cpu].lock);
	for (z = 0; z < quire_nr_zones(q); z++)
		quire_spin_lock_raw(q, &q->pages.zone[z].lock);
}

static void unlock_all(struct quire *q)
{
	unsigned z, cpu;

	for (z = 0; z < quire_nr_zones(q); z++) {
		quire_spin_unlock_raw(q, &q->pages.zone[z].lock);
		for (cpu = 0; cpu < q->nr_cpus; cpu++)
			quire_spin_unlock_raw(q, &q->pages.zone[z].pcp[cpu].lock);
	}
}

/* The lists, by themselves: everything on them says of itself what the list says. */
static quire_broken_t check_lists(struct quire *q, const struct quire_zone *zone, uint32_t place)
{
	const struct quire_list *pos;
	unsigned order, cpu;

	for (order = 0; order < QUIRE_NR_ORDERS; order++) {
		uint64_t n = 0;

		for (pos = zone->area[order].blocks.next; pos != &zone->area[order].blocks; pos = pos->next) {
			const struct quire_page *page = quire_list_entry(pos, const struct quire_page, lru);

			if ((quire_load(&page->flags) & QUIRE_PG_BLOCK_MASK) !=
			    quire_free_flags(place, QUIRE_PG_HEAD, order))
				return "page: a block on a free list is free and of that order";
			if ((quire_page_to_pfn(q, page) & ((UINT64_C(1) << order) - 1)) != 0)
				return "page: blocks are naturally aligned";
			if (pos->next->prev != pos || ++n > zone->area[order].nr_free)
				break;
		}
		if (n != zone->area[order].nr_free)
			return "page: nr_free == length of the free list";
	}
	for (cpu = 0; cpu < q->nr_cpus; cpu++) {
		const struct quire_pcp *pcp = &zone->pcp[cpu];
		uint32_t n = 0;

		for (pos = pcp->pages.next; pos != &pcp->pages; pos = pos->next) {
			const struct quire_page *page = quire_list_entry(pos, const struct quire_page, lru);

			if ((quire_load(&page->flags) & QUIRE_PG_BLOCK_MASK) !=
			    quire_free_flags(place, 0, 0))
				return "page: a page on a per-CPU list is free and no block";
			if (pos->next->prev != pos || ++n > pcp->count)
				break;
		}
		if (n != pcp->count)
			return "page: count == length of the per-CPU list";
		if (pcp->count > pcp->high)
			return "page: count <= high";
	}
	return NULL;
}

/* Is the buddy of this free block free as well? */
static bool has_free_buddy(struct quire *q, const struct quire_page *page, unsigned order)
{
	quire_pfn_t bit = UINT64_C(1) << order;
	const struct quire_page *buddy = (quire_page_to_pfn(q, page) & bit) != 0 ? page - bit : page + bit;

	return buddy < q->pages.map + q->pages.nr_map &&
	       (quire_load(&buddy->flags) & QUIRE_PG_BLOCK_MASK) ==
		       quire_free_flags(quire_load(&page->flags), QUIRE_PG_HEAD, order);
}

/* All descriptors, block by block; those of one node, so that the counts of all need not lie on the stack. */
static quire_broken_t count_pages(struct quire *q, unsigned node, struct zone_count count[QUIRE_NR_ZONES])
{
	const struct quire_pages *p = &q->pages;
	uint64_t i, size;

	for (i = 0; i < p->nr_map; i += size) {
		const struct quire_page *page = &p->map[i];
		uint32_t flags = quire_load(&page->flags);
		unsigned order = quire_page_order(page);
		struct zone_count *c = &count[quire_page_zone(page)];

		size = 1;
		if ((flags & QUIRE_PG_ABSENT) != 0 || quire_page_node(page) != node)
			continue;
		if ((flags & QUIRE_PG_KIND_MASK) == QUIRE_PAGE_RESERVED) {
			c->present++;
			continue;
		}
		if ((flags & QUIRE_PG_KIND_MASK) == QUIRE_PAGE_FREE && (flags & QUIRE_PG_HEAD) == 0) {
			c->listed++;
		} else if ((flags & QUIRE_PG_HEAD) == 0 || order > QUIRE_MAX_ORDER) {
			return "page: every block begins with a head";
		} else if ((flags & QUIRE_PG_KIND_MASK) == QUIRE_PAGE_FREE) {
			size <<= order;
			c->free += size;
			c->blocks[order]++;
			if (order < QUIRE_MAX_ORDER && has_free_buddy(q, page, order))
				return "page: no two free buddies";
		} else {
			size <<= order;
			c->allocated += size;
		}
		if ((flags & QUIRE_PG_KIND_MASK) == QUIRE_PAGE_FREE && quire_load(&page->refs) != 0)
			return "page: a free page has no references";
		c->present += size;
		c->managed += size;
	}
	return NULL;
}

static quire_broken_t check_reserve(const struct quire_zone *zone, unsigned id)
{
	unsigned j;

	for (j = 0; j < QUIRE_NR_ZONES; j++)
		if (j <= id ? zone->lowmem_reserve[j] != 0
			    : zone->lowmem_reserve[j] < zone->lowmem_reserve[j - 1])
			return "page: a zone keeps more from whoever has more to choose from";
	return NULL;
}

static quire_broken_t check_zone(struct quire *q, const struct quire_zone *zone,
				 const struct zone_count *count)
{
	uint64_t listed = 0;
	unsigned order, cpu;

	for (order = 0; order < QUIRE_NR_ORDERS; order++)
		if (count->blocks[order] != zone->area[order].nr_free)
			return "page: every free block is on its free list";
	for (cpu = 0; cpu < q->nr_cpus; cpu++)
		listed += zone->pcp[cpu].count;
	if (count->listed != listed)
		return "page: every free page is in a block or on a per-CPU list";
	if (count->free != zone->free_pages)
		return "page: sum of nr_free << order == free_pages";
	if (count->present != zone->present_pages)
		return "page: present_pages == descriptors of present frames";
	if (count->managed != zone->managed_pages ||
	    zone->free_pages + listed + count->allocated != zone->managed_pages)
		return "page: free + pcp + allocated == managed";
	if (zone->managed_pages > zone->present_pages || zone->present_pages > zone->spanned_pages)
		return "page: managed <= present <= spanned";
	if (zone->wmark[QUIRE_WMARK_MIN] > zone->wmark[QUIRE_WMARK_LOW] ||
	    zone->wmark[QUIRE_WMARK_LOW] > zone->wmark[QUIRE_WMARK_HIGH])
		return "page: min <= low <= high";
	return check_reserve(zone, (unsigned)(zone - q->pages.zone) % QUIRE_NR_ZONES);
}

/* The order of fallback: this node's zones first, higher before lower, and only zones with memory. */
static quire_broken_t check_zonelist(struct quire *q, unsigned node, unsigned highest)
{
	struct quire_zone *const *at = q->pages.node[node].zonelist[highest];
	unsigned z, zones = 0, distance = 0;

	for (z = 0; z < quire_nr_zones(q); z++)
		zones += z % QUIRE_NR_ZONES <= highest && q->pages.zone[z].managed_pages != 0;
	for (; *at; at++, zones--) {
		unsigned d = quire_node_distance(q, node, (*at)->node);

		if ((*at)->managed_pages == 0 || zones == 0)
			return "page: a zonelist has every zone with memory once";
		if (d < distance)
			return "page: nearer nodes come first";
		if (at != q->pages.node[node].zonelist[highest] && at[-1]->node == (*at)->node && at[-1] < *at)
			return "page: higher zones come first";
		distance = d;
	}
	return zones == 0 ? NULL : "page: a zonelist has every zone with memory once";
}

static quire_broken_t check_node(struct quire *q, unsigned node, uint64_t *total)
{
	struct zone_count count[QUIRE_NR_ZONES] = { { 0 } };
	quire_broken_t broken = count_pages(q, node, count);
	unsigned z;

	for (z = 0; z < QUIRE_NR_ZONES && !broken; z++) {
		struct quire_zone *zone = quire_node_zone(q, node, (enum quire_zone_id)z);

		if (zone->node != node)
			return "page: a zone knows its node";
		broken = check_zone(q, zone, &count[z]);
		if (!broken)
			broken = check_zonelist(q, node, z);
		*total += zone->managed_pages;
	}
	return broken;
}

quire_broken_t quire_page_check(struct quire *q)
{
	unsigned long flags = quire_port_irq_save(q);
	quire_broken_t broken = NULL;
	uint64_t total = 0;
	unsigned z, node;

	lock_all(q);
	for (z = 0; z < quire_nr_zones(q) && !broken; z++)
		broken = check_lists(q, &q->pages.zone[z], (uint32_t)z << QUIRE_PG_ZONE_SHIFT);
	for (node = 0; node < q->pages.nr_nodes && !broken; node++)
		broken = check_node(q, node, &total);
	if (!broken && total != q->pages.total_pages)
		broken = "page: total_pages == sum of managed_pages";
	if (!broken && (quire_load(&q->pages.zero_page->refs) == 0 ||
			quire_page_kind(q->pages.zero_page) != QUIRE_PAGE_RESERVED))
		broken = "page: the page of zeroes is never freed";
	unlock_all(q);
	quire_port_irq_restore(q, flags);
	return broken;
}

/* SPDX-License-Identifier: MIT */
/*
 * The buddy allocator of one zone. Called by alloc.c and memmap.c with the zone's lock held. It knows
 * nothing of watermarks, per-CPU lists or who uses a block.
 *
 * A block of order n is 1 << n frames whose first frame number is a multiple of that. Its buddy is
 * the block that differs in that one bit; two free buddies of one zone become one block:
 *
 *	order 1   |---8---|--10---|          free 9:  9 ^ 1 = 8 is free    -> 8, order 1
 *	order 0   | 8 | 9 |10 |11 |                   8 ^ 2 = 10 is free   -> 8, order 2
 *
 * Only the head's descriptor speaks for a block: FREE, QUIRE_PG_HEAD, and the order. A page on a
 * per-CPU list has no QUIRE_PG_HEAD, so its buddy leaves it alone.
 */
#include "page/internal.h"

static void link_block(struct quire_zone *zone, struct quire_page *page, unsigned order)
{
	quire_store(&page->flags, quire_free_flags(page->flags, QUIRE_PG_HEAD, order));
	quire_list_add(&zone->area[order].blocks, &page->lru);
	quire_store(&zone->area[order].nr_free, zone->area[order].nr_free + 1);
}

static void unlink_block(struct quire_zone *zone, struct quire_page *page, unsigned order)
{
	quire_list_del(&page->lru);
	quire_store(&zone->area[order].nr_free, zone->area[order].nr_free - 1);
	quire_store(&page->flags, quire_free_flags(page->flags, 0, 0));
}

struct quire_page *quire_zone_take(struct quire *q, struct quire_zone *zone, unsigned order)
{
	struct quire_page *page;
	unsigned have = order;

	quire_spin_assert(q, &zone->lock);
	while (zone->area[have].nr_free == 0)
		if (++have == QUIRE_NR_ORDERS)
			return NULL;
	page = quire_list_first(&zone->area[have].blocks, struct quire_page, lru);
	unlink_block(zone, page, have);

	/* Give the upper halves back; each is the head of a block from now on. */
	while (have > order) {
		have--;
		link_block(zone, page + ((size_t)1 << have), have);
	}
	quire_store(&zone->free_pages, zone->free_pages - (UINT64_C(1) << order));
	return page;
}

void quire_zone_put(struct quire *q, struct quire_zone *zone, struct quire_page *page, unsigned order)
{
	quire_pfn_t pfn = quire_page_to_pfn(q, page);
	struct quire_page *map_end = q->pages.map + q->pages.nr_map;
	uint32_t place = page->flags & QUIRE_PG_PLACE_MASK;

	quire_spin_assert(q, &zone->lock);
	quire_store(&zone->free_pages, zone->free_pages + (UINT64_C(1) << order));
	while (order < QUIRE_MAX_ORDER) {
		quire_pfn_t bit = UINT64_C(1) << order;
		/* Sections hold whole blocks of the largest order, so the buddy's descriptor is this far off; only
		 * the array's end may cut a section short. */
		struct quire_page *buddy = (pfn & bit) != 0 ? page - bit : page + bit;

		if (buddy >= map_end || (quire_load(&buddy->flags) & QUIRE_PG_BLOCK_MASK) !=
						quire_free_flags(place, QUIRE_PG_HEAD, order))
			break;
		unlink_block(zone, buddy, order);
		if (buddy < page)
			page = buddy;
		order++;
	}
	link_block(zone, page, order);
}

/* SPDX-License-Identifier: MIT */
/* What the files of the page room share. Nobody else includes this. */
#ifndef QUIRE_SRC_PAGE_INTERNAL_H
#define QUIRE_SRC_PAGE_INTERNAL_H

#include <quire/quire.h>

/* The bits that say what a block is to the allocator. */
#define QUIRE_PG_BLOCK_MASK \
	(QUIRE_PG_KIND_MASK | QUIRE_PG_PLACE_MASK | QUIRE_PG_ORDER_MASK | QUIRE_PG_HEAD)

/* flags of the head of a free block; of a page on a per-CPU list, if head is 0. */
static inline uint32_t quire_free_flags(uint32_t flags, uint32_t head, unsigned order)
{
	return (flags & QUIRE_PG_PLACE_MASK) | head | ((uint32_t)order << QUIRE_PG_ORDER_SHIFT) |
	       (uint32_t)QUIRE_PAGE_FREE;
}

/* The zone that a page is of; never changes. */
static inline struct quire_zone *quire_zone_of(struct quire *q, const struct quire_page *page)
{
	return &q->pages.zone[(quire_peek(&page->flags) & QUIRE_PG_PLACE_MASK) >> QUIRE_PG_ZONE_SHIFT];
}

/* Places of quire_pages.zone that are in use. */
static inline unsigned quire_nr_zones(const struct quire *q)
{
	return q->pages.nr_nodes * QUIRE_NR_ZONES;
}

/* ---- zone.c: what zones and nodes are like; all in quire_page_init(), in this order ---- */

/* Empty zones; nodes as the host says, or by default. */
void quire_zones_init(struct quire *q, const struct quire_config *config);

/* Their memory is in: watermarks, reserves, per-CPU lists, the order of fallback. */
void quire_zones_start(struct quire *q);

/* ---- buddy.c: blocks of one zone, under its lock ---- */

/* Any block of that order, split off a larger one if need be; NULL if there is none. No watermark is looked at.
 * Its head is FREE without QUIRE_PG_HEAD, that is, nobody's yet. */
struct quire_page *quire_zone_take(struct quire *q, struct quire_zone *zone, unsigned order);

/* Put a block back and merge it with its free neighbours. Its head is nobody's, as above. */
void quire_zone_put(struct quire *q, struct quire_zone *zone, struct quire_page *page, unsigned order);

#endif

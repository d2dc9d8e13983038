/* SPDX-License-Identifier: MIT */
/* What the tests of the page room share: machines made of a memory map, and taking all that there is. */
#ifndef QUIRE_TESTS_PAGE_FIXTURE_H
#define QUIRE_TESTS_PAGE_FIXTURE_H

#include "port_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#define MIB(n) ((uint64_t)(n) << 20)
#define FRAMES(bytes) ((uint64_t)(bytes) >> QUIRE_PAGE_SHIFT)
#define DMA (1u << QUIRE_ZONE_DMA)
#define DMA32 (1u << QUIRE_ZONE_DMA32)
#define NORMAL (1u << QUIRE_ZONE_NORMAL)
#define HIGHMEM (1u << QUIRE_ZONE_HIGHMEM)

#define USE(a, b) { (a), (b), QUIRE_RANGE_USABLE, 0 }
#define RES(a, b) { (a), (b), QUIRE_RANGE_RESERVED, 0 }

/* Every equation of page.h, and the port's own count of frames that are out (the frame of zeroes is one). */
#define check(h)                                                                                      \
	do {                                                                                          \
		const char *broken_ = quire_page_check(&(h)->q);                                      \
		if (broken_)                                                                          \
			fail_msg("%s", broken_);                                                      \
		assert_int_equal(quire_free_pages(&(h)->q) + host_frames_taken(h) - 1,                \
				 (h)->q.pages.total_pages);                                           \
	} while (0)

static inline int init_high(struct host *h, const struct quire_range *map, size_t n, uint32_t zones,
		     quire_paddr_t high_memory)
{
	struct quire_config config = {
		.map = map, .nr_ranges = n, .zones = zones, .high_memory = high_memory
	};

	return quire_page_init(&h->q, &config);
}

static inline int init(struct host *h, const struct quire_range *map, size_t n, uint32_t zones)
{
	return init_high(h, map, n, zones, 0);
}

/* A machine of one range with only a NORMAL zone, and CPUs 0 to 3. */
static inline struct host *plain(uint64_t bytes)
{
	struct host *h = host_new(bytes, 4);
	struct quire_range range = { 0, bytes, QUIRE_RANGE_USABLE, 0 };

	quire_grace_init(&h->q);
	assert_int_equal(init(h, &range, 1, NORMAL), 0);
	check(h);
	return h;
}

static inline struct quire_zone *normal(struct host *h)
{
	return &h->q.pages.zone[QUIRE_ZONE_NORMAL];
}

static inline int setup(void **state)
{
	*state = plain(16384 * QUIRE_PAGE_SIZE);
	return 0;
}

static inline int teardown(void **state)
{
	assert_false(host_is_atomic());
	check((struct host *)*state);
	host_delete(*state);
	return 0;
}

/* Take pages, linked through their lru, until there are none; returns how many. */
static inline uint64_t take_all(struct host *h, struct quire_list *list, quire_gfp_t gfp, unsigned order)
{
	struct quire_page *page;
	uint64_t n = 0;

	while ((page = quire_page_alloc(&h->q, gfp, order))) {
		quire_list_add(list, &page->lru);
		n++;
	}
	return n;
}

static inline void give_all(struct host *h, struct quire_list *list)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each(pos, tmp, list) {
		struct quire_page *page = quire_list_entry(pos, struct quire_page, lru);

		quire_list_del(pos);
		quire_page_free(&h->q, page, quire_page_order(page));
	}
}

#define with_host(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif

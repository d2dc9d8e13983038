/* SPDX-License-Identifier: MIT */
/* Which memory an allocation gets: zones, watermarks, reserves. */
#include "page_fixture.h"

/* ---- Watermarks and zones ---------------------------------------------------------------- */

/*
 * Linux: min_free_kbytes is 4 * sqrt(memory in KiB), and 1024 for 64 MiB; low and high are 5/4 and 3/2 of min, or one and
 * two thousandths of the memory above it where that is more (watermark_scale_factor 10).
 */
static void watermarks_are_linuxs(void **state)
{
	static const struct { uint64_t mib, kbytes; } figures[] = {
		{ 16, 512 }, { 32, 724 }, { 64, 1024 }, { 128, 1448 }, { 256, 2048 }, { 512, 2896 }, { 1024, 4096 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < QUIRE_ARRAY_SIZE(figures); i++) {
		/* So much more than the figure's memory as the descriptors take. */
		uint64_t bytes = MIB(figures[i].mib);
		struct host *h = plain(bytes + bytes / QUIRE_PAGE_SIZE * sizeof(struct quire_page) * 101 / 100);
		const uint64_t *wmark = normal(h)->wmark;
		uint64_t min = FRAMES(figures[i].kbytes << 10), step;

		assert_in_range(wmark[QUIRE_WMARK_MIN], min - min / 50 - 1, min + min / 50 + 1);
		step = wmark[QUIRE_WMARK_MIN] / 4;
		if (step < normal(h)->managed_pages / 1000)
			step = normal(h)->managed_pages / 1000;
		assert_int_equal(wmark[QUIRE_WMARK_LOW], wmark[QUIRE_WMARK_MIN] + step);
		assert_int_equal(wmark[QUIRE_WMARK_HIGH], wmark[QUIRE_WMARK_MIN] + 2 * step);
		host_delete(h);
	}
}

static void watermarks_are_shared_by_size(void **state)
{
	struct host *h = host_new(MIB(64), 1);
	struct quire_range range = USE(0, MIB(64));
	struct quire_zone *zone = h->q.pages.zone;

	(void)state;
	assert_int_equal(init(h, &range, 1, DMA | DMA32 | NORMAL), 0);
	/* 16 of 64 MiB: a quarter; the descriptors are the other zone's loss. */
	assert_in_range(zone[QUIRE_ZONE_DMA].wmark[QUIRE_WMARK_MIN], FRAMES(252 << 10), FRAMES(260 << 10));
	assert_in_range(zone[QUIRE_ZONE_DMA32].wmark[QUIRE_WMARK_MIN], FRAMES(748 << 10), FRAMES(768 << 10));
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].wmark[QUIRE_WMARK_MIN], 0);
	host_delete(h);
}

/*
 *	free   min       1/2  3/8     0
 *	KERNEL  |
 *	HIGH    |---------|          and may wait
 *	ATOMIC  |---------|----|
 *	MEMALLOC|---------|----|------|
 */
static void each_kind_of_allocation_stops_at_its_mark(void **state)
{
	struct host *h = *state;
	uint64_t min = normal(h)->wmark[QUIRE_WMARK_MIN], n;
	struct quire_list pages;
	struct quire_page *page;

	quire_list_init(&pages);
	n = quire_free_pages(&h->q);
	assert_int_equal(take_all(h, &pages, 0, 0), n - min);
	assert_int_equal(quire_free_pages(&h->q), min);
	check(h);
	page = quire_page_alloc(&h->q, QUIRE_GFP_ATOMIC, 0);
	assert_null(quire_page_alloc(&h->q, QUIRE_GFP_KERNEL, 0)); /* nothing of what that took is left for others */
	quire_page_put(&h->q, page);
	assert_int_equal(take_all(h, &pages, QUIRE_GFP_KERNEL | QUIRE_GFP_HIGH, 0), min / 2);
	assert_int_equal(quire_free_pages(&h->q), min - min / 2);
	assert_null(quire_page_alloc(&h->q, QUIRE_GFP_NOWAIT, 0));
	assert_null(quire_page_alloc(&h->q, QUIRE_GFP_ATOMIC | QUIRE_GFP_NOMEMALLOC, 0));
	take_all(h, &pages, QUIRE_GFP_ATOMIC, 0);
	assert_int_equal(quire_free_pages(&h->q), (min - min / 2) - (min - min / 2) / 4);
	assert_null(quire_page_alloc(&h->q, 0, 0));
	assert_null(quire_page_alloc(&h->q, QUIRE_GFP_MEMALLOC | QUIRE_GFP_NOMEMALLOC, 0));
	take_all(h, &pages, QUIRE_GFP_MEMALLOC, 0);
	assert_int_equal(quire_free_pages(&h->q), 0);
	check(h);

	/* What comes back first fills the reserve up; only then do others get something. */
	for (n = 0; n <= min; n++) {
		page = quire_list_first(&pages, struct quire_page, lru);
		assert_null(quire_page_alloc(&h->q, 0, 0));
		quire_list_del(&page->lru);
		quire_page_free(&h->q, page, 0);
	}
	assert_non_null(quire_page_alloc(&h->q, 0, 0));
	for (n = 0; n < FRAMES(h->ram_end); n++) {
		page = quire_pfn_to_page(&h->q, n);
		if (h->taken[n] && page != h->q.pages.zero_page)
			quire_page_free(&h->q, page, 0);
	}
}

static void large_blocks_stop_at_the_mark_too(void **state)
{
	struct host *h = *state;
	uint64_t min = normal(h)->wmark[QUIRE_WMARK_MIN];
	struct quire_list pages;
	unsigned order;

	quire_list_init(&pages);
	for (order = 1; order <= QUIRE_MAX_ORDER; order++) {
		uint64_t start = quire_free_pages(&h->q), n = take_all(h, &pages, 0, order), i, left = 0;

		assert_true(n > 0);
		assert_int_equal(quire_free_pages(&h->q), start - (n << order));
		assert_true(quire_free_pages(&h->q) >= min);
		/* Stopped because of the mark, or because no such block is left. */
		for (i = order; i <= QUIRE_MAX_ORDER; i++)
			left += normal(h)->area[i].nr_free;
		assert_true(left == 0 || quire_free_pages(&h->q) < min + (UINT64_C(1) << order));
		check(h);
		give_all(h, &pages);
	}
}

/* NORMAL falls back to DMA32 and DMA, never the other way. */
static void zones_fall_back_downwards_only(void **state)
{
	struct host *h = host_new(MIB(4128), 1);
	struct quire_range map[] = { USE(0, MIB(24)), USE(MIB(4096), MIB(4128)) };
	struct quire_zone *zone = h->q.pages.zone;
	struct quire_list pages, more;
	uint64_t free_dma32;

	(void)state;
	assert_int_equal(init(h, map, 2, DMA | DMA32 | NORMAL), 0);
	quire_list_init(&pages);
	quire_list_init(&more);
	free_dma32 = zone[QUIRE_ZONE_DMA32].free_pages;

	assert_int_equal(take_all(h, &pages, QUIRE_GFP_DMA, 0),
			 zone[QUIRE_ZONE_DMA].managed_pages - zone[QUIRE_ZONE_DMA].wmark[QUIRE_WMARK_MIN]);
	assert_int_equal(zone[QUIRE_ZONE_DMA32].free_pages, free_dma32);
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].free_pages, zone[QUIRE_ZONE_NORMAL].managed_pages);
	give_all(h, &pages);
	quire_page_drain(&h->q);

	take_all(h, &pages, QUIRE_GFP_DMA32, 0);
	/* One page in 256 of what they could have had instead is kept from them. */
	assert_int_equal(zone[QUIRE_ZONE_DMA].free_pages,
			 zone[QUIRE_ZONE_DMA].wmark[QUIRE_WMARK_MIN] + zone[QUIRE_ZONE_DMA32].managed_pages / 256);
	assert_int_equal(zone[QUIRE_ZONE_DMA32].free_pages, zone[QUIRE_ZONE_DMA32].wmark[QUIRE_WMARK_MIN]);
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].free_pages, zone[QUIRE_ZONE_NORMAL].managed_pages);
	/* NORMAL has enough: nothing of it comes from below. */
	assert_int_equal(take_all(h, &more, 0, 0),
			 zone[QUIRE_ZONE_NORMAL].managed_pages - zone[QUIRE_ZONE_NORMAL].wmark[QUIRE_WMARK_MIN]);
	check(h);
	give_all(h, &pages);
	give_all(h, &more);
	quire_page_drain(&h->q);
	/* And now all three serve NORMAL. */
	take_all(h, &pages, 0, 0);
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].free_pages, zone[QUIRE_ZONE_NORMAL].wmark[QUIRE_WMARK_MIN]);
	assert_int_equal(zone[QUIRE_ZONE_DMA32].free_pages,
			 zone[QUIRE_ZONE_DMA32].wmark[QUIRE_WMARK_MIN] + zone[QUIRE_ZONE_NORMAL].managed_pages / 256);
	assert_int_equal(
		zone[QUIRE_ZONE_DMA].free_pages,
		zone[QUIRE_ZONE_DMA].wmark[QUIRE_WMARK_MIN] +
			(zone[QUIRE_ZONE_DMA32].managed_pages + zone[QUIRE_ZONE_NORMAL].managed_pages) / 256);
	check(h);
	host_delete(h);
}

static void failure_is_logged_unless_told_otherwise(void **state)
{
	struct host *h = *state;
	struct quire_list pages;

	quire_list_init(&pages);
	take_all(h, &pages, QUIRE_GFP_NOWARN, 0);
	assert_int_equal(h->logs, 0);
	assert_null(quire_page_alloc(&h->q, 0, 0));
	assert_int_equal(h->logs, 1);
	give_all(h, &pages);
}

/* ---- Zone bits --------------------------------------------------------------------------- */

/* Linux's table of zone bits (its gfp.h, GFP_ZONE_TABLE): what is not there is NORMAL's, two at once are a mistake. */
static void zone_bits_pick_the_zone_linux_says(void **state)
{
	static const struct {
		uint32_t zones;
		unsigned dma, dma32, highmem;
	} machine[] = {
		{ NORMAL, QUIRE_ZONE_NORMAL, QUIRE_ZONE_NORMAL, QUIRE_ZONE_NORMAL },
		{ DMA | NORMAL, QUIRE_ZONE_DMA, QUIRE_ZONE_NORMAL, QUIRE_ZONE_NORMAL },
		{ DMA | DMA32 | NORMAL, QUIRE_ZONE_DMA, QUIRE_ZONE_DMA32, QUIRE_ZONE_NORMAL },
		{ DMA | NORMAL | HIGHMEM, QUIRE_ZONE_DMA, QUIRE_ZONE_NORMAL, QUIRE_ZONE_HIGHMEM },
	};
	static const quire_gfp_t mistakes[] = {
		QUIRE_GFP_DMA | QUIRE_GFP_HIGHMEM,
		QUIRE_GFP_DMA | QUIRE_GFP_DMA32,
		QUIRE_GFP_DMA32 | QUIRE_GFP_HIGHMEM,
		QUIRE_GFP_DMA | QUIRE_GFP_DMA32 | QUIRE_GFP_HIGHMEM,
	};
	struct quire_range map[] = { USE(0, MIB(48)), USE(MIB(4096), MIB(4128)) };
	size_t i, j;

	(void)state;
	for (i = 0; i < QUIRE_ARRAY_SIZE(machine); i++) {
		struct host *h = host_new(MIB(4128), 1);
		bool high = (machine[i].zones & HIGHMEM) != 0;

		assert_int_equal(init_high(h, map, high ? 1 : 2, machine[i].zones, high ? MIB(32) : 0), 0);
		assert_int_equal(quire_page_zone(quire_page_alloc(&h->q, QUIRE_GFP_KERNEL, 0)), QUIRE_ZONE_NORMAL);
		assert_int_equal(quire_page_zone(quire_page_alloc(&h->q, QUIRE_GFP_DMA, 0)), machine[i].dma);
		assert_int_equal(quire_page_zone(quire_page_alloc(&h->q, QUIRE_GFP_DMA32, 0)), machine[i].dma32);
		assert_int_equal(quire_page_zone(quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER, 0)), machine[i].highmem);
		for (j = 0; j < QUIRE_ARRAY_SIZE(mistakes); j++) {
			host_expect_reports(h);
			assert_null(quire_page_alloc(&h->q, mistakes[j], 0));
			if (QUIRE_DEBUG)
				host_assert_report(h, "zone bit");
			assert_int_equal(h->reports, QUIRE_DEBUG);
		}
		check(h);
		host_delete(h);
	}
}

/* ---- Reserves ---------------------------------------------------------------------------- */

/* A 32-bit machine in small: 16 MiB of DMA, and with pages of 4 KiB 112 of NORMAL, 128 of HIGHMEM. */
static struct host *three_zones(void)
{
	struct host *h = host_new(65536 * QUIRE_PAGE_SIZE, 2);
	struct quire_range range = USE(0, 65536 * QUIRE_PAGE_SIZE);

	quire_grace_init(&h->q);
	assert_int_equal(init_high(h, &range, 1, DMA | NORMAL | HIGHMEM, 32768 * QUIRE_PAGE_SIZE), 0);
	check(h);
	return h;
}

/* vm.rst, lowmem_reserve_ratio: (sum of managed pages of the zones above, up to the one allowed) / ratio. */
static void reserves_are_linuxs(void **state)
{
	struct host *h = three_zones();
	struct quire_zone *zone = h->q.pages.zone;
	const uint64_t normals = zone[QUIRE_ZONE_NORMAL].managed_pages;
	struct quire_page_sysctl s = h->q.pages.sysctl;

	(void)state;
	assert_int_equal(zone[QUIRE_ZONE_HIGHMEM].managed_pages, 32768);
	assert_int_equal(zone[QUIRE_ZONE_DMA].lowmem_reserve[QUIRE_ZONE_DMA], 0);
	assert_int_equal(zone[QUIRE_ZONE_DMA].lowmem_reserve[QUIRE_ZONE_NORMAL], normals / 256);
	assert_int_equal(zone[QUIRE_ZONE_DMA].lowmem_reserve[QUIRE_ZONE_HIGHMEM], (normals + 32768) / 256);
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].lowmem_reserve[QUIRE_ZONE_NORMAL], 0);
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].lowmem_reserve[QUIRE_ZONE_HIGHMEM], 1024);
	assert_int_equal(zone[QUIRE_ZONE_HIGHMEM].lowmem_reserve[QUIRE_ZONE_HIGHMEM], 0);
	/* A zone without memory keeps none. */
	assert_int_equal(zone[QUIRE_ZONE_DMA32].lowmem_reserve[QUIRE_ZONE_HIGHMEM], 0);
	/* High memory is nobody's last resort: a thousandth of it, 32 to 128 pages. */
	assert_int_equal(zone[QUIRE_ZONE_HIGHMEM].wmark[QUIRE_WMARK_MIN], 32);

	s.lowmem_reserve_ratio[QUIRE_ZONE_NORMAL] = 8;
	s.lowmem_reserve_ratio[QUIRE_ZONE_DMA] = 0;
	assert_int_equal(quire_page_set_sysctl(&h->q, &s), 0);
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].lowmem_reserve[QUIRE_ZONE_HIGHMEM], 4096);
	assert_int_equal(zone[QUIRE_ZONE_DMA].lowmem_reserve[QUIRE_ZONE_HIGHMEM], 0);
	assert_int_equal(h->q.pages.sysctl.lowmem_reserve_ratio[QUIRE_ZONE_NORMAL], 8);
	check(h);
	host_delete(h);
}

static void watermarks_can_be_set(void **state)
{
	struct host *h = *state;
	struct quire_page_sysctl s = h->q.pages.sysctl;
	const uint64_t *wmark = normal(h)->wmark, managed = normal(h)->managed_pages, min = wmark[QUIRE_WMARK_MIN];
	static const uint32_t bad[] = { 0, 3001 };
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(bad); i++) {
		s.watermark_scale_factor = bad[i];
		s.min_free_kbytes = 1;
		assert_int_equal(quire_page_set_sysctl(&h->q, &s), -QUIRE_EINVAL);
		assert_int_equal(wmark[QUIRE_WMARK_MIN], min);
		assert_int_equal(h->q.pages.sysctl.watermark_scale_factor, 10);
	}
	s.min_free_kbytes = UINT64_C(1) << 32; /* Linux has an int there */
	s.watermark_scale_factor = 3000;
	assert_int_equal(quire_page_set_sysctl(&h->q, &s), -QUIRE_EINVAL);
	s.min_free_kbytes = 100 * (QUIRE_PAGE_SIZE / 1024);
	assert_int_equal(quire_page_set_sysctl(&h->q, &s), 0);
	assert_int_equal(wmark[QUIRE_WMARK_MIN], 100);
	assert_int_equal(wmark[QUIRE_WMARK_LOW], 100 + managed * 3 / 10);
	assert_int_equal(wmark[QUIRE_WMARK_HIGH], 100 + 2 * (managed * 3 / 10));
}

/* Whoever can have high memory never eats the low zones up, in whatever order and from whatever list. */
static void high_allocations_leave_the_low_zones_their_reserve(void **state)
{
	struct host *h = three_zones();
	struct quire_zone *zone = h->q.pages.zone, *low = &zone[QUIRE_ZONE_NORMAL];
	struct quire_list pages, kernel;
	uint64_t kept, n = 0;

	(void)state;
	quire_list_init(&pages);
	quire_list_init(&kernel);
	kept = low->wmark[QUIRE_WMARK_MIN] + 1024;
	assert_int_equal(take_all(h, &pages, QUIRE_GFP_HIGHUSER, 0),
			 h->q.pages.total_pages - zone[QUIRE_ZONE_HIGHMEM].wmark[QUIRE_WMARK_MIN] - kept -
				 zone[QUIRE_ZONE_DMA].wmark[QUIRE_WMARK_MIN] -
				 zone[QUIRE_ZONE_DMA].lowmem_reserve[QUIRE_ZONE_HIGHMEM]);
	assert_int_equal(low->free_pages, kept);
	/* What the kernel's own allocations bring onto the CPU's list is not for others. */
	while (low->free_pages > low->wmark[QUIRE_WMARK_LOW]) {
		struct quire_page *page = quire_page_alloc(&h->q, QUIRE_GFP_KERNEL, 0);

		assert_int_equal(quire_page_zone(page), QUIRE_ZONE_NORMAL);
		quire_list_add(&kernel, &page->lru);
		assert_null(quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER | QUIRE_GFP_NOWARN, 0));
		assert_null(quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER | QUIRE_GFP_NOWARN, 2));
		n++;
	}
	assert_true(n + low->wmark[QUIRE_WMARK_LOW] >= kept);
	check(h);
	give_all(h, &pages);
	give_all(h, &kernel);
	host_delete(h);
}

/* Everything down to its low watermark first, and only then anything down to min. */
static void all_zones_come_down_to_low_before_one_comes_down_to_min(void **state)
{
	struct host *h = three_zones();
	struct quire_zone *dma = &h->q.pages.zone[QUIRE_ZONE_DMA], *low = &h->q.pages.zone[QUIRE_ZONE_NORMAL];
	struct quire_page *page;

	(void)state;
	do {
		page = quire_page_alloc(&h->q, QUIRE_GFP_KERNEL, 2);
	} while (quire_page_zone(page) == QUIRE_ZONE_NORMAL);
	assert_in_range(low->free_pages, low->wmark[QUIRE_WMARK_LOW], low->wmark[QUIRE_WMARK_LOW] + 3);
	do {
		page = quire_page_alloc(&h->q, QUIRE_GFP_KERNEL, 2);
	} while (quire_page_zone(page) == QUIRE_ZONE_DMA);
	assert_in_range(dma->free_pages, dma->wmark[QUIRE_WMARK_LOW] + dma->lowmem_reserve[QUIRE_ZONE_NORMAL],
			dma->wmark[QUIRE_WMARK_LOW] + dma->lowmem_reserve[QUIRE_ZONE_NORMAL] + 3);
	assert_int_equal(quire_page_zone(page), QUIRE_ZONE_NORMAL);
	check(h);
	host_delete(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(watermarks_are_linuxs),
		cmocka_unit_test(watermarks_are_shared_by_size),
		with_host(each_kind_of_allocation_stops_at_its_mark),
		with_host(large_blocks_stop_at_the_mark_too),
		cmocka_unit_test(zones_fall_back_downwards_only),
		with_host(failure_is_logged_unless_told_otherwise),
		cmocka_unit_test(zone_bits_pick_the_zone_linux_says),
		cmocka_unit_test(reserves_are_linuxs),
		with_host(watermarks_can_be_set),
		cmocka_unit_test(high_allocations_leave_the_low_zones_their_reserve),
		cmocka_unit_test(all_zones_come_down_to_low_before_one_comes_down_to_min),
	};

	return cmocka_run_group_tests_name("page-zones", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The page room: memory maps, the buddy allocator, per-CPU lists, watermarks, references, the page lock. */
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

/* Every equation of page.h, and the port's own count of frames that are out (the frame of zeroes is one). */
#define check(h)                                                                                      \
	do {                                                                                          \
		const char *broken_ = quire_page_check(&(h)->q);                                      \
		if (broken_)                                                                          \
			fail_msg("%s", broken_);                                                      \
		assert_int_equal(quire_free_pages(&(h)->q) + host_frames_taken(h) - 1,                \
				 (h)->q.pages.total_pages);                                           \
	} while (0)

/* A machine of one range with only a NORMAL zone, and CPUs 0 to 3. */
static struct host *plain(uint64_t bytes)
{
	struct host *h = host_new(bytes, 4);
	struct quire_range range = { 0, bytes, QUIRE_RANGE_USABLE };

	quire_grace_init(&h->q);
	assert_int_equal(quire_page_init(&h->q, &range, 1, NORMAL), 0);
	check(h);
	return h;
}

static struct quire_zone *normal(struct host *h)
{
	return &h->q.pages.zone[QUIRE_ZONE_NORMAL];
}

static int setup(void **state)
{
	*state = plain(16384 * QUIRE_PAGE_SIZE);
	return 0;
}

static int teardown(void **state)
{
	assert_false(host_is_atomic());
	check((struct host *)*state);
	host_delete(*state);
	return 0;
}

/* ---- Memory maps ------------------------------------------------------------------------- */

/* What a map says of each frame, worked out frame by frame. */
enum painted { HOLE, USABLE, RESERVED };

static void paint(unsigned char *frames, uint64_t nr_frames, const struct quire_range *map, size_t n)
{
	uint64_t pfn;
	size_t i;

	for (pfn = 0; pfn < nr_frames; pfn++) {
		uint64_t start = pfn << QUIRE_PAGE_SHIFT, end = start + QUIRE_PAGE_SIZE;

		frames[pfn] = HOLE;
		for (i = 0; i < n; i++) {
			bool all = map[i].start <= start && end <= map[i].end;
			bool some = map[i].start < end && start < map[i].end;

			if (map[i].kind == QUIRE_RANGE_USABLE && all && frames[pfn] == HOLE)
				frames[pfn] = USABLE;
			if (map[i].kind == QUIRE_RANGE_RESERVED && some)
				frames[pfn] = RESERVED;
		}
	}
}

/*
 * Bring a machine up on the map and hold it against the picture: descriptors exactly for what is there,
 * and exactly the usable frames are handed out, all of them, but for frame 0 and the descriptors' own.
 */
static void expect_map(const struct quire_range *map, size_t n, uint64_t ram, uint32_t zones)
{
	struct host *h = host_new(ram, 2);
	unsigned char *frames = malloc(FRAMES(ram));
	uint64_t pfn, usable = 0, present = 0, got = 0;
	struct quire *q = &h->q;
	struct quire_page *page;
	unsigned z;

	assert_non_null(frames);
	memset(h->ram, 0xee, ram < MIB(64) ? ram : 0); /* memory comes as it is, not zeroed */
	paint(frames, FRAMES(ram), map, n);
	assert_int_equal(quire_page_init(q, map, n, zones), 0);
	check(h);
	for (pfn = 0; pfn < FRAMES(ram) + 5000; pfn++) {
		bool there = pfn < FRAMES(ram) && frames[pfn] != HOLE;

		page = quire_pfn_to_page(q, pfn);
		assert_int_equal(page != NULL, there);
		if (!there)
			continue;
		present++;
		usable += frames[pfn] == USABLE;
		assert_int_equal(quire_page_to_pfn(q, page), pfn);
		assert_int_equal(quire_page_kind(page) == QUIRE_PAGE_RESERVED || frames[pfn] == USABLE, true);
	}
	assert_null(quire_pfn_to_page(q, UINT64_MAX));
	for (z = 0; z < QUIRE_NR_ZONES; z++) {
		struct quire_zone *zone = &q->pages.zone[z];

		present -= zone->present_pages;
		if ((zones & 1u << z) == 0)
			assert_int_equal(zone->present_pages, 0);
	}
	assert_int_equal(present, 0);

	while ((page = quire_page_alloc(q, QUIRE_GFP_MEMALLOC | QUIRE_GFP_NOWARN, 0))) {
		pfn = quire_page_to_pfn(q, page);
		assert_int_not_equal(pfn, 0);
		assert_int_equal(frames[pfn], USABLE);
		memset(quire_page_to_virt(q, page), 0xff, QUIRE_PAGE_SIZE); /* harms no descriptor */
		got++;
	}
	assert_int_equal(quire_free_pages(q), 0);
	assert_int_equal(got, q->pages.total_pages);
	if (frames[0] == USABLE)
		usable--;
	/* Descriptors, tables and the frame of zeroes: at least, and not a tenth more than, what their sizes come to. */
	assert_true(usable > got);
	assert_true((usable - got - 1) * QUIRE_PAGE_SIZE >= q->pages.nr_map * sizeof(struct quire_page));
	assert_true((usable - got - 2) * QUIRE_PAGE_SIZE <=
		    q->pages.nr_map * sizeof(struct quire_page) * 11 / 10 + 2 * QUIRE_PAGE_SIZE);
	check(h);
	free(frames);
	host_delete(h);
}

#define USE(a, b) { (a), (b), QUIRE_RANGE_USABLE }
#define RES(a, b) { (a), (b), QUIRE_RANGE_RESERVED }
#define EXPECT_MAP(ram, zones, ...)                                                 \
	do {                                                                        \
		const struct quire_range map_[] = { __VA_ARGS__ };                  \
		expect_map(map_, QUIRE_ARRAY_SIZE(map_), (ram), (zones));           \
	} while (0)

static void map_of_one_range(void **state)
{
	struct host *h = plain(MIB(20));
	uint64_t frames = FRAMES(MIB(20));

	(void)state;
	/* A descriptor a frame, two words of tables, the frames of zeroes and of address 0. */
	assert_int_equal(h->q.pages.total_pages,
			 frames - FRAMES(frames * sizeof(struct quire_page) + QUIRE_PAGE_SIZE - 1 + 8) - 2);
	host_delete(h);
	EXPECT_MAP(MIB(4), NORMAL, USE(0, MIB(4)));
	EXPECT_MAP(MIB(20), DMA | DMA32 | NORMAL, USE(0, MIB(20)));
	EXPECT_MAP(MIB(20), DMA | NORMAL, USE(0, MIB(20)));
	EXPECT_MAP(MIB(20), DMA32 | NORMAL, USE(MIB(3), MIB(20)));
}

/* Half frames at the ends are not usable; a reserved byte reserves its frame. */
static void map_with_odd_ends(void **state)
{
	(void)state;
	EXPECT_MAP(MIB(4), NORMAL, USE(1, MIB(4) - 1));
	EXPECT_MAP(MIB(4), NORMAL, USE(QUIRE_PAGE_SIZE - 1, MIB(3) + 5), RES(MIB(1) + 7, MIB(1) + 8));
	EXPECT_MAP(MIB(4), NORMAL, USE(0, MIB(2) + 100), USE(MIB(2) + 100, MIB(4)));
	EXPECT_MAP(MIB(4), NORMAL, USE(0, MIB(4)), USE(MIB(2) + 10, MIB(2) + 20));
}

static void map_with_overlaps_and_in_any_order(void **state)
{
	(void)state;
	EXPECT_MAP(MIB(8), NORMAL, USE(MIB(4), MIB(8)), RES(MIB(3), MIB(5)), USE(0, MIB(4)));
	EXPECT_MAP(MIB(8), NORMAL, USE(0, MIB(6)), USE(MIB(2), MIB(8)), USE(MIB(3), MIB(4)));
	EXPECT_MAP(MIB(8), NORMAL, RES(0, MIB(1)), USE(0, MIB(8)), RES(MIB(1), MIB(2)), RES(MIB(7), MIB(8)));
	EXPECT_MAP(MIB(8), NORMAL, USE(0, MIB(8)), USE(0, MIB(8)), RES(MIB(2), MIB(2)), USE(MIB(9), MIB(9)));
	/* As a PC's firmware says it. */
	EXPECT_MAP(MIB(64), DMA | DMA32 | NORMAL, USE(0, 0x9fc00), RES(0x9fc00, 0xa0000), RES(0xf0000, 0x100000),
		   USE(0x100000, MIB(64) - 0x20000), RES(MIB(64) - 0x20000, MIB(64)));
}

static void map_with_holes_has_no_descriptors_there(void **state)
{
	(void)state;
	EXPECT_MAP(MIB(512), NORMAL, USE(MIB(100), MIB(108)), USE(MIB(300), MIB(301)), RES(MIB(500), MIB(502)));
	EXPECT_MAP(MIB(400), NORMAL, USE(MIB(397), MIB(400)), USE(0, MIB(1)));
}

/* The zones split at 16 MiB and 4 GiB. */
static void map_beyond_4_gib(void **state)
{
	struct host *h = host_new(MIB(4128), 1);
	struct quire_range map[] = { USE(0, MIB(32)), USE(MIB(4080), MIB(4128)) };
	const uint64_t g4 = UINT64_C(4) << 30;
	struct quire_page *page;
	struct quire_zone *zone = h->q.pages.zone;

	(void)state;
	assert_int_equal(quire_page_init(&h->q, map, 2, DMA | DMA32 | NORMAL), 0);
	check(h);
	assert_int_equal(zone[QUIRE_ZONE_DMA].present_pages, FRAMES(MIB(16)));
	assert_int_equal(zone[QUIRE_ZONE_DMA].start_pfn, 0);
	assert_int_equal(zone[QUIRE_ZONE_DMA32].present_pages, FRAMES(MIB(32)));
	assert_int_equal(zone[QUIRE_ZONE_DMA32].start_pfn, FRAMES(MIB(16)));
	assert_int_equal(zone[QUIRE_ZONE_DMA32].spanned_pages, FRAMES(g4 - MIB(16)));
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].present_pages, FRAMES(MIB(32)));
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].start_pfn, FRAMES(g4));
	assert_string_equal(zone[QUIRE_ZONE_DMA].name, "DMA");
	assert_string_equal(zone[QUIRE_ZONE_DMA32].name, "DMA32");
	assert_string_equal(zone[QUIRE_ZONE_NORMAL].name, "Normal");

	page = quire_page_alloc(&h->q, 0, 0);
	assert_true(quire_page_to_pfn(&h->q, page) >= FRAMES(g4));
	assert_int_equal(quire_page_zone(page), QUIRE_ZONE_NORMAL);
	page = quire_page_alloc(&h->q, QUIRE_GFP_DMA32, 0);
	assert_int_equal(quire_page_zone(page), QUIRE_ZONE_DMA32);
	assert_true(quire_page_to_pfn(&h->q, page) < FRAMES(g4));
	page = quire_page_alloc(&h->q, QUIRE_GFP_DMA, 3);
	assert_int_equal(quire_page_zone(page), QUIRE_ZONE_DMA);
	assert_true(quire_page_to_pfn(&h->q, page) < FRAMES(MIB(16)));
	page = quire_page_alloc(&h->q, QUIRE_GFP_DMA | QUIRE_GFP_DMA32, 0); /* the more narrow one */
	assert_int_equal(quire_page_zone(page), QUIRE_ZONE_DMA);
	check(h);
	host_delete(h);
}

/* Any ranges at all: never a wrong frame. */
static void maps_made_by_chance(void **state)
{
	uint64_t chance = 20240229;
	unsigned round;

	(void)state;
	for (round = 0; round < 150; round++) {
		struct quire_range map[12];
		uint64_t ram = MIB(2) << host_random(&chance) % 4, unit = host_random(&chance) % 2 ? 1 : QUIRE_PAGE_SIZE;
		size_t n = 1 + host_random(&chance) % 10, i;

		for (i = 0; i < n; i++) {
			uint64_t a = host_random(&chance) % (ram / unit) * unit;
			uint64_t b = host_random(&chance) % (ram / unit) * unit;

			map[i].start = a < b ? a : b;
			map[i].end = a < b ? b : a;
			map[i].kind = host_random(&chance) % 3 ? QUIRE_RANGE_USABLE : QUIRE_RANGE_RESERVED;
			if (host_random(&chance) % 3 == 0 && i) /* that share an end */
				map[i].start = map[i - 1].end <= map[i].end ? map[i - 1].end : map[i].start;
		}
		/* Somewhere there must be room for the descriptors. */
		map[n++] = (struct quire_range)USE(ram, ram + MIB(1));
		expect_map(map, n, ram + MIB(1), NORMAL | (round % 2 ? DMA : 0));
	}
}

static void expect_init(int err, const struct quire_range *map, size_t n, uint32_t zones)
{
	struct host *h = host_new(MIB(4), 1);

	assert_int_equal(quire_page_init(&h->q, map, n, zones), err);
	host_delete(h);
}

static void bad_maps_are_refused(void **state)
{
	const struct quire_range good = USE(0, MIB(4)), backward = USE(MIB(2), MIB(1)), empty = USE(MIB(1), MIB(1));
	const struct quire_range far = USE(UINT64_C(1) << 52, (UINT64_C(1) << 52) + 1);
	const struct quire_range sliver = USE(100, QUIRE_PAGE_SIZE + 100), reserved = RES(0, MIB(4));
	const struct quire_range covered[] = { good, reserved }, unknown = { 0, MIB(4), (enum quire_range_kind)7 };
	const struct quire_range frame_0 = USE(0, QUIRE_PAGE_SIZE), tiny = USE(0, 3 * QUIRE_PAGE_SIZE);
	const struct quire_range one_bad[] = { good, backward };
	const struct quire_range far_hole[] = { USE(0, MIB(1)), RES((UINT64_C(1) << 52) - 1, UINT64_C(1) << 52) };

	(void)state;
	expect_init(0, &good, 1, NORMAL);
	expect_init(-QUIRE_EINVAL, NULL, 0, NORMAL);
	expect_init(-QUIRE_EINVAL, &good, 0, NORMAL);
	expect_init(-QUIRE_EINVAL, &backward, 1, NORMAL);
	expect_init(-QUIRE_EINVAL, one_bad, 2, NORMAL);
	expect_init(-QUIRE_EINVAL, &empty, 1, NORMAL);
	expect_init(-QUIRE_EINVAL, &far, 1, NORMAL);
	expect_init(-QUIRE_EINVAL, &sliver, 1, NORMAL);
	expect_init(-QUIRE_EINVAL, &reserved, 1, NORMAL);
	expect_init(-QUIRE_EINVAL, covered, 2, NORMAL);
	expect_init(-QUIRE_EINVAL, &unknown, 1, NORMAL);
	expect_init(-QUIRE_EINVAL, &frame_0, 1, NORMAL);
	expect_init(-QUIRE_ENOMEM, &tiny, 1, NORMAL);
	/* Descriptors for what lies at both ends of 4 PiB: tables too large for a megabyte, or not, but no crash. */
	expect_init(-QUIRE_ENOMEM, far_hole, 2, NORMAL);
	expect_init(-QUIRE_EINVAL, &good, 1, DMA | DMA32);
	expect_init(-QUIRE_EINVAL, &good, 1, 0);
	expect_init(-QUIRE_EINVAL, &good, 1, NORMAL | HIGHMEM);
	expect_init(-QUIRE_EINVAL, &good, 1, NORMAL | 1u << QUIRE_NR_ZONES);
}

static void memory_that_is_not_linear_is_refused(void **state)
{
	struct quire_range map[] = { USE(0, MIB(2)), USE(MIB(3), MIB(4)) };
	struct host *h = host_new(MIB(4), 1);

	(void)state;
	h->bend = MIB(1);
	assert_int_equal(quire_page_init(&h->q, map, 1, NORMAL), -QUIRE_EINVAL);
	h->bend = MIB(3);
	assert_int_equal(quire_page_init(&h->q, map, 2, NORMAL), -QUIRE_EINVAL);
	assert_int_equal(quire_page_init(&h->q, map, 1, NORMAL), 0);
	host_delete(h);
}

static void pointers_lead_back_to_their_page(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 2);
	unsigned char *ptr = quire_page_to_virt(&h->q, page);

	assert_ptr_equal(ptr, quire_port_phys_to_virt(&h->q, quire_page_to_pfn(&h->q, page) << QUIRE_PAGE_SHIFT));
	assert_ptr_equal(quire_virt_to_page(&h->q, ptr), page);
	assert_ptr_equal(quire_virt_to_page(&h->q, ptr + QUIRE_PAGE_SIZE - 1), page);
	assert_ptr_equal(quire_virt_to_page(&h->q, ptr + QUIRE_PAGE_SIZE), page + 1);
	assert_null(quire_virt_to_page(&h->q, &h));
	quire_page_free(&h->q, page, 2);
}

/* ---- Blocks ------------------------------------------------------------------------------ */

/*
 *	order 10 |---------------------------| a block, alone
 *	alloc 7  |--7--|7|-8--|------9-------|
 */
static void block_splits_and_merges_back(void **state)
{
	struct host *h = *state;
	struct quire_zone *zone = normal(h);
	uint64_t before[QUIRE_NR_ORDERS];
	struct quire_page *page;
	unsigned order, have, want;

	for (want = 1; want <= QUIRE_MAX_ORDER; want++) {
		for (order = 0; order < QUIRE_NR_ORDERS; order++)
			before[order] = zone->area[order].nr_free;
		for (have = want; before[have] == 0; have++)
			;
		page = quire_page_alloc(&h->q, 0, want);
		assert_non_null(page);
		for (order = 0; order < QUIRE_NR_ORDERS; order++) {
			uint64_t now = zone->area[order].nr_free;

			if (order == have)
				assert_int_equal(now, before[order] - 1);
			else
				assert_int_equal(now, before[order] + (want <= order && order < have));
		}
		check(h);
		quire_page_free(&h->q, page, want);
		for (order = 0; order < QUIRE_NR_ORDERS; order++)
			assert_int_equal(zone->area[order].nr_free, before[order]);
		check(h);
	}
}

static void block_is_as_promised(void **state)
{
	struct host *h = *state;
	unsigned order;
	uint64_t i;

	for (order = 0; order <= QUIRE_MAX_ORDER; order++) {
		struct quire_page *page = quire_page_alloc(&h->q, 0, order);
		quire_pfn_t pfn = quire_page_to_pfn(&h->q, page);

		assert_int_equal(pfn % (UINT64_C(1) << order), 0);
		assert_int_equal(page->refs, 1);
		assert_int_equal(quire_page_order(page), order);
		assert_true(quire_page_test(page, QUIRE_PG_HEAD));
		for (i = 0; i < UINT64_C(1) << order; i++) {
			assert_int_equal(quire_page_to_pfn(&h->q, page + i), pfn + i);
			assert_int_equal(quire_page_kind(page + i), QUIRE_PAGE_KERNEL);
			assert_int_equal(quire_page_test(page + i, QUIRE_PG_HEAD), i == 0);
			assert_int_equal(page[i].maps, 0);
			assert_int_equal(page[i].aux, 0);
			assert_int_equal(page[i].index, 0);
			assert_null(page[i].owner);
			/* The next user must find none of this. */
			page[i].owner = h;
			page[i].index = 99;
			page[i].aux = 7;
			quire_page_set_kind(page + i, QUIRE_PAGE_ANON);
			quire_page_set(page + i, QUIRE_PG_DIRTY | QUIRE_PG_REFERENCED | QUIRE_PG_UPTODATE);
		}
		quire_page_free(&h->q, page, order);
		assert_int_equal(quire_page_kind(page), QUIRE_PAGE_FREE);
		page = quire_page_alloc(&h->q, 0, order);
		assert_false(quire_page_test(page, QUIRE_PG_DIRTY | QUIRE_PG_REFERENCED | QUIRE_PG_UPTODATE));
		assert_null(page->owner);
		quire_page_free(&h->q, page, order);
	}
}

static void zeroed_blocks_are_zero_whatever_was_there(void **state)
{
	struct host *h = *state;
	struct quire_page *page;
	unsigned order;
	uint64_t i;

	while ((page = quire_page_alloc(&h->q, QUIRE_GFP_MEMALLOC, 0)))
		memset(quire_page_to_virt(&h->q, page), 0xaa, QUIRE_PAGE_SIZE);
	for (i = 0; i < FRAMES(h->ram_end); i++)
		if (h->taken[i] && (page = quire_pfn_to_page(&h->q, i)) != h->q.pages.zero_page)
			quire_page_put(&h->q, page);
	quire_page_drain(&h->q);
	for (order = 0; order <= QUIRE_MAX_ORDER; order++) {
		const unsigned char *bytes;

		page = quire_page_alloc(&h->q, QUIRE_GFP_ZERO, order);
		bytes = quire_page_to_virt(&h->q, page);
		assert_int_equal(bytes[0], 0);
		assert_int_equal(memcmp(bytes, bytes + 1, (QUIRE_PAGE_SIZE << order) - 1), 0);
	}
	for (i = 0; i < FRAMES(h->ram_end); i++) /* leave nothing behind */
		if (h->taken[i] && quire_page_test(page = quire_pfn_to_page(&h->q, i), QUIRE_PG_HEAD))
			quire_page_put(&h->q, page);
}

static void what_cannot_be_had_is_refused(void **state)
{
	struct host *h = *state;

	assert_null(quire_page_alloc(&h->q, 0, QUIRE_MAX_ORDER + 1));
	assert_null(quire_page_alloc(&h->q, 0, 64));
	host_expect_reports(h);
	assert_null(quire_page_alloc(&h->q, QUIRE_GFP_NOFAIL, 0));
	if (QUIRE_DEBUG)
		host_assert_report(h, "NOFAIL");
	assert_int_equal(h->reports, QUIRE_DEBUG);
}

/* ---- Watermarks and zones ---------------------------------------------------------------- */

/* Take pages, linked through their lru, until there are none; returns how many. */
static uint64_t take_all(struct host *h, struct quire_list *list, quire_gfp_t gfp, unsigned order)
{
	struct quire_page *page;
	uint64_t n = 0;

	while ((page = quire_page_alloc(&h->q, gfp, order))) {
		quire_list_add(list, &page->lru);
		n++;
	}
	return n;
}

static void give_all(struct host *h, struct quire_list *list)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each(pos, tmp, list) {
		struct quire_page *page = quire_list_entry(pos, struct quire_page, lru);

		quire_list_del(pos);
		quire_page_free(&h->q, page, quire_page_order(page));
	}
}

/* Linux: min_free_kbytes is 4 * sqrt(memory in KiB), and 1024 for 64 MiB; low and high are 5/4 and 3/2 of min. */
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
		uint64_t min = FRAMES(figures[i].kbytes << 10);

		assert_in_range(wmark[QUIRE_WMARK_MIN], min - min / 50 - 1, min + min / 50 + 1);
		assert_int_equal(wmark[QUIRE_WMARK_LOW], wmark[QUIRE_WMARK_MIN] * 5 / 4);
		assert_int_equal(wmark[QUIRE_WMARK_HIGH], wmark[QUIRE_WMARK_MIN] * 3 / 2);
		host_delete(h);
	}
}

static void watermarks_are_shared_by_size(void **state)
{
	struct host *h = host_new(MIB(64), 1);
	struct quire_range range = USE(0, MIB(64));
	struct quire_zone *zone = h->q.pages.zone;

	(void)state;
	assert_int_equal(quire_page_init(&h->q, &range, 1, DMA | DMA32 | NORMAL), 0);
	/* 16 of 64 MiB: a quarter; the descriptors are the other zone's loss. */
	assert_in_range(zone[QUIRE_ZONE_DMA].wmark[QUIRE_WMARK_MIN], FRAMES(252 << 10), FRAMES(260 << 10));
	assert_in_range(zone[QUIRE_ZONE_DMA32].wmark[QUIRE_WMARK_MIN], FRAMES(748 << 10), FRAMES(768 << 10));
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].wmark[QUIRE_WMARK_MIN], 0);
	host_delete(h);
}

/*
 *	free   min        min/2       0
 *	KERNEL  |
 *	ATOMIC  |----------|
 *	MEMALLOC|----------|----------|
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
	assert_null(quire_page_alloc(&h->q, 0, 0)); /* nothing of what that took is left for others */
	quire_page_put(&h->q, page);
	assert_int_equal(take_all(h, &pages, QUIRE_GFP_ATOMIC, 0), min - min / 2);
	assert_int_equal(quire_free_pages(&h->q), min / 2);
	assert_null(quire_page_alloc(&h->q, 0, 0));
	assert_int_equal(take_all(h, &pages, QUIRE_GFP_MEMALLOC, 0), min / 2);
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
	assert_int_equal(quire_page_init(&h->q, map, 2, DMA | DMA32 | NORMAL), 0);
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
	assert_int_equal(zone[QUIRE_ZONE_DMA].free_pages, zone[QUIRE_ZONE_DMA].wmark[QUIRE_WMARK_MIN]);
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
	assert_int_equal(quire_free_pages(&h->q), zone[QUIRE_ZONE_DMA].wmark[QUIRE_WMARK_MIN] +
							  zone[QUIRE_ZONE_DMA32].wmark[QUIRE_WMARK_MIN] +
							  zone[QUIRE_ZONE_NORMAL].wmark[QUIRE_WMARK_MIN]);
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

/* ---- Per-CPU lists ----------------------------------------------------------------------- */

static void lists_stay_within_their_bounds(void **state)
{
	struct host *h = *state;
	struct quire_pcp *pcp = &normal(h)->pcp[2];
	struct quire_list pages;
	uint64_t n;

	assert_true(pcp->batch >= 1 && pcp->high >= pcp->batch);
	assert_true(pcp->high * 4 <= normal(h)->managed_pages / 8);
	quire_list_init(&pages);
	host_set_cpu(2);
	for (n = 0; n < 1000; n++) {
		struct quire_page *page = quire_page_alloc(&h->q, 0, 0);

		quire_list_add(&pages, &page->lru);
		assert_true(pcp->count < pcp->batch);
	}
	check(h);
	while (!quire_list_empty(&pages)) {
		struct quire_page *page = quire_list_first(&pages, struct quire_page, lru);

		quire_list_del(&page->lru);
		quire_page_free(&h->q, page, 0);
		assert_true(pcp->count <= pcp->high);
	}
	assert_true(pcp->count > 0);
	assert_int_equal(normal(h)->pcp[0].count, 0);
	check(h);
	host_set_cpu(0);
	quire_page_drain(&h->q);
	assert_int_equal(pcp->count, 0);
	assert_int_equal(normal(h)->free_pages, normal(h)->managed_pages);
}

/* What other CPUs keep for themselves is not lost to the one that needs it. */
static void allocation_gets_what_other_cpus_keep(void **state)
{
	struct host *h = *state;
	uint64_t total = quire_free_pages(&h->q), min = normal(h)->wmark[QUIRE_WMARK_MIN];
	struct quire_list pages;
	unsigned cpu, i;

	quire_list_init(&pages);
	for (cpu = 1; cpu < 4; cpu++) {
		struct quire_page *held[8];

		host_set_cpu(cpu);
		for (i = 0; i < 8; i++)
			held[i] = quire_page_alloc(&h->q, 0, 0);
		for (i = 0; i < 8; i++)
			quire_page_put(&h->q, held[i]);
		assert_true(normal(h)->pcp[cpu].count > 0);
	}
	host_set_cpu(0);
	assert_int_equal(take_all(h, &pages, 0, 0), total - min);
	give_all(h, &pages);
}

/* ---- References -------------------------------------------------------------------------- */

static void last_put_frees(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0), *block = quire_page_alloc(&h->q, 0, 4);
	uint64_t before = quire_free_pages(&h->q);

	quire_page_get(page);
	assert_true(quire_page_tryget(page));
	assert_int_equal(page->refs, 3);
	assert_false(quire_page_put(&h->q, page));
	assert_false(quire_page_put(&h->q, page));
	assert_int_equal(quire_free_pages(&h->q), before);
	assert_true(quire_page_put(&h->q, page));
	assert_int_equal(quire_free_pages(&h->q), before + 1);
	assert_false(quire_page_tryget(page));
	assert_int_equal(page->refs, 0);
	assert_true(quire_page_put(&h->q, block));
	assert_int_equal(quire_free_pages(&h->q), before + 17);
}

/* A reader of a cache that this frame was once in holds it for a moment: the owner's free does not wait for that. */
static void free_under_a_reader_is_done_by_the_readers_put(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0), *block = quire_page_alloc(&h->q, 0, 2);
	uint64_t before = quire_free_pages(&h->q);

	assert_true(quire_page_tryget(page));
	assert_true(quire_page_tryget(block));
	quire_page_free(&h->q, page, 0);
	quire_page_free(&h->q, block, 2);
	assert_int_equal(quire_free_pages(&h->q), before);
	assert_true(quire_page_put(&h->q, page));
	assert_int_equal(quire_free_pages(&h->q), before + 1);
	assert_true(quire_page_put(&h->q, block));
	assert_int_equal(quire_free_pages(&h->q), before + 5);
}

static void misuse_is_reported_and_harms_nothing(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0), *block = quire_page_alloc(&h->q, 0, 3);

	host_expect_reports(h);
	quire_page_free(&h->q, block, 2);
	host_assert_report(h, "another order");
	assert_int_equal(h->report_value, quire_page_to_pfn(&h->q, block));
	host_expect_reports(h);
	quire_page_free(&h->q, block + 1, 0);
	host_assert_report(h, "another order");
	quire_page_free(&h->q, block, 3);
	host_expect_reports(h);
	quire_page_free(&h->q, block, 3);
	host_assert_report(h, "freed twice");

	quire_page_free(&h->q, page, 0);
	host_expect_reports(h);
	quire_page_free(&h->q, page, 0);
	host_assert_report(h, "freed twice");
	host_expect_reports(h);
	assert_false(quire_page_put(&h->q, page));
	host_assert_report(h, "one reference too many");
	host_expect_reports(h);
	quire_page_free(&h->q, h->q.pages.zero_page, 0);
	host_assert_report(h, "reserved");
	check(h);
}

#if QUIRE_DEBUG
static void pages_in_use_that_are_freed_are_reported(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0);

	page->maps = 1;
	host_expect_reports(h);
	quire_page_free(&h->q, page, 0);
	host_assert_report(h, "mapped");
	page = quire_page_alloc(&h->q, 0, 0);
	assert_true(quire_page_trylock(page));
	host_expect_reports(h);
	quire_page_put(&h->q, page);
	host_assert_report(h, "locked");
	page = quire_page_alloc(&h->q, 0, 0);
	assert_true(quire_page_trylock(page)); /* the next user finds it unlocked */
	quire_page_unlock(&h->q, page);
	quire_page_put(&h->q, page);
}
#endif

struct race {
	struct host *h;
	struct quire_page *slot; /* atomic */
	uint32_t done, gets;
};

/* CPU 0 replaces the page in the slot; the others take references through the slot, as readers of a page cache do. */
static void replace_or_tryget(void *arg, unsigned cpu)
{
	struct race *r = arg;
	struct quire *q = &r->h->q;
	unsigned i;

	if (cpu == 0) {
		/* Until the others have had their chance as well. */
		for (i = 0; i < 20000 || quire_load(&r->gets) < 1000; i++) {
			struct quire_page *page = quire_page_alloc(q, 0, 0);

			quire_page_set_kind(page, QUIRE_PAGE_CACHE);
			quire_page_put(q, quire_exchange(&r->slot, page));
			if (i % 64 == 0)
				quire_port_relax(q);
		}
		quire_store_release(&r->done, 1u);
		return;
	}
	while (!quire_load_acquire(&r->done)) {
		struct quire_page *page = quire_load_acquire(&r->slot);

		if (!quire_page_tryget(page)) /* gone meanwhile, and free */
			continue;
		assert_int_not_equal(quire_page_kind(page), QUIRE_PAGE_FREE);
		(void)quire_fetch_add(&r->gets, 1u);
		quire_page_put(q, page);
	}
}

static void tryget_never_gets_a_free_page(void **state)
{
	struct host *h = *state;
	struct race r = { .h = h, .slot = quire_page_alloc(&h->q, 0, 0) };

	host_run_cpus(4, replace_or_tryget, &r);
	assert_int_equal(r.slot->refs, 1);
	assert_true(quire_page_put(&h->q, r.slot));
	assert_int_equal(host_frames_taken(h), 1);
}

/* ---- The page lock ----------------------------------------------------------------------- */

struct locked {
	struct host *h;
	struct quire_page *page;
	uint64_t plain;
};

static void count_under_page_lock(void *arg, unsigned cpu)
{
	struct locked *l = arg;
	unsigned i;

	for (i = 0; i < 5000; i++) {
		/* Other bits of the word belong to others, and do not care who has the lock. */
		if (cpu == 3) {
			quire_page_set(l->page, QUIRE_PG_DIRTY);
			quire_page_test_clear(l->page, QUIRE_PG_DIRTY);
		}
		quire_page_lock(&l->h->q, l->page);
		l->plain++;
		quire_page_unlock(&l->h->q, l->page);
	}
}

static void page_lock_keeps_others_out(void **state)
{
	struct host *h = *state;
	struct locked l = { .h = h, .page = quire_page_alloc(&h->q, 0, 0) };

	host_run_cpus(4, count_under_page_lock, &l);
	assert_int_equal(l.plain, 4 * 5000);
	assert_false(quire_page_test(l.page, QUIRE_PG_LOCKED | QUIRE_PG_WAITERS | QUIRE_PG_DIRTY));
	assert_int_equal(quire_page_kind(l.page), QUIRE_PAGE_KERNEL);
	quire_page_put(&h->q, l.page);
}

static void sleep_on_page_lock(void *arg, unsigned cpu)
{
	struct locked *l = arg;

	if (cpu == 0) {
		while (__atomic_load_n(&l->h->waits, __ATOMIC_RELAXED) < 3)
			quire_port_relax(&l->h->q);
		assert_true(quire_page_test(l->page, QUIRE_PG_WAITERS));
		assert_int_equal(l->plain, 0);
	} else {
		quire_page_lock(&l->h->q, l->page);
		l->plain++;
	}
	quire_page_unlock(&l->h->q, l->page);
}

static void page_lock_sleepers_are_all_woken_in_the_end(void **state)
{
	struct host *h = *state;
	struct locked l = { .h = h, .page = quire_page_alloc(&h->q, 0, 0) };

	quire_page_lock(&h->q, l.page);
	assert_int_equal(h->waits, 0);
	assert_false(quire_page_trylock(l.page));
	host_run_cpus(4, sleep_on_page_lock, &l);
	assert_int_equal(l.plain, 3);
	h->wakes = 0;
	quire_page_lock(&h->q, l.page);
	quire_page_unlock(&h->q, l.page);
	assert_int_equal(h->wakes, 0); /* nobody sleeps, nobody is woken */
	quire_page_put(&h->q, l.page);
}

/* ---- Bytes and counters ------------------------------------------------------------------ */

static void bytes_are_copied_and_zeroed(void **state)
{
	struct host *h = *state;
	struct quire_page *a = quire_page_alloc(&h->q, 0, 0), *b = quire_page_alloc(&h->q, QUIRE_GFP_ZERO, 0);
	unsigned char *pa = quire_page_kmap(&h->q, a), *pb = quire_page_kmap(&h->q, b);

	memset(pa, 0x5a, QUIRE_PAGE_SIZE);
	assert_int_equal(pb[0] | pb[QUIRE_PAGE_SIZE - 1], 0);
	quire_page_copy(&h->q, b, a);
	assert_int_equal(memcmp(pa, pb, QUIRE_PAGE_SIZE), 0);
	assert_int_equal(pb[QUIRE_PAGE_SIZE - 1], 0x5a);
	quire_page_zero(&h->q, a);
	assert_int_equal(pa[0] | pa[QUIRE_PAGE_SIZE - 1], 0);
	assert_int_equal(pb[0], 0x5a);
	quire_page_kunmap(&h->q, pb);
	quire_page_kunmap(&h->q, pa);
	assert_false(host_is_atomic());
	quire_page_put(&h->q, a);
	quire_page_put(&h->q, b);
	pa = quire_page_kmap(&h->q, h->q.pages.zero_page);
	assert_int_equal(pa[0], 0);
	assert_int_equal(memcmp(pa, pa + 1, QUIRE_PAGE_SIZE - 1), 0);
	quire_page_kunmap(&h->q, pa);
}

static void count(void *arg, unsigned cpu)
{
	struct host *h = arg;
	unsigned i;

	for (i = 0; i < 1000; i++) {
		quire_stat_add(&h->q, QUIRE_STAT_SHMEM, 5);
		/* Counted up here, down there: one CPU's share may be negative. */
		quire_stat_add(&h->q, QUIRE_STAT_MLOCK, cpu == 0 ? 4 : -1);
	}
}

static void counters_add_up_over_cpus(void **state)
{
	struct host *h = *state;

	host_run_cpus(4, count, h);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_SHMEM), 20000);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_MLOCK), 1000);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PAGETABLE), 0);
}

static void allocations_are_counted_in_pages(void **state)
{
	struct host *h = *state;
	struct quire_page *a = quire_page_alloc(&h->q, 0, 0), *b = quire_page_alloc(&h->q, 0, 5);

	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PGALLOC), 33);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PGFREE), 0);
	quire_page_free(&h->q, b, 5);
	host_set_cpu(1);
	quire_page_put(&h->q, a);
	host_set_cpu(0);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PGFREE), 33);
	quire_page_drain(&h->q); /* moves, but frees nothing */
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PGFREE), 33);
}

/* ---- Failure injection ------------------------------------------------------------------- */

#if QUIRE_DEBUG
static void injected_failures_change_nothing(void **state)
{
	struct host *h = *state;
	struct quire_page *page;
	uint64_t before;
	unsigned i;

	h->q.pages.fail.after = 3;
	for (i = 1; i <= 6; i++) {
		before = quire_free_pages(&h->q);
		page = quire_page_alloc(&h->q, 0, i % 3);
		assert_int_equal(page == NULL, i == 3);
		assert_int_equal(quire_free_pages(&h->q), before - (page ? UINT64_C(1) << i % 3 : 0));
		if (page)
			quire_page_free(&h->q, page, i % 3);
	}
	h->q.pages.fail = (struct quire_fail){ .after = 2, .sticky = true };
	for (i = 1; i <= 6; i++) {
		page = quire_page_alloc(&h->q, QUIRE_GFP_MEMALLOC, 0);
		assert_int_equal(page == NULL, i >= 2);
		if (page)
			quire_page_put(&h->q, page);
	}
	h->q.pages.fail.after = 0;
}
#endif

/* ---- Everything at once ------------------------------------------------------------------ */

struct held {
	struct quire_page *page;
	unsigned order;
	uint64_t tag;
};

/* Every word at both ends of every page carries the holder's tag: two holders of one frame would show. */
static void brand(struct quire *q, const struct held *held, bool verify)
{
	uint64_t *words = quire_page_to_virt(q, held->page), i;

	for (i = 0; i < UINT64_C(1) << held->order; i++) {
		uint64_t *page = words + i * (QUIRE_PAGE_SIZE / 8);

		if (verify) {
			assert_true(page[0] == held->tag + i);
			assert_true(page[QUIRE_PAGE_SIZE / 8 - 1] == ~(held->tag + i));
		}
		page[0] = held->tag + i;
		page[QUIRE_PAGE_SIZE / 8 - 1] = ~(held->tag + i);
	}
}

#define HELD 200

static void churn(struct host *h, unsigned seed, unsigned turns, bool checks)
{
	struct held held[HELD] = { { .page = NULL } };
	uint64_t chance = seed + 1;
	unsigned i;

	for (i = 0; i < turns; i++) {
		struct held *at = &held[host_random(&chance) % HELD];

		if (at->page) {
			brand(&h->q, at, true);
			quire_page_free(&h->q, at->page, at->order);
			at->page = NULL;
		} else {
			/* Mostly single pages; now and then more than there is. */
			at->order = host_random(&chance) % 4 ? 0 : (unsigned)(host_random(&chance) % QUIRE_NR_ORDERS);
			at->tag = host_random(&chance);
			at->page = quire_page_alloc(&h->q, host_random(&chance) % 8 ? 0 : QUIRE_GFP_ATOMIC, at->order);
			if (at->page)
				brand(&h->q, at, false);
		}
		if (checks && i % 50 == 0)
			check(h);
	}
	for (i = 0; i < HELD; i++) {
		if (held[i].page) {
			brand(&h->q, &held[i], true);
			quire_page_free(&h->q, held[i].page, held[i].order);
		}
	}
}

static void churn_alone_keeps_the_equations(void **state)
{
	churn(*state, 0, 20000, true);
	quire_page_drain(&((struct host *)*state)->q);
	assert_int_equal(host_frames_taken(*state), 1);
	/* All merged again: what lies in full blocks of the largest order is in such blocks. */
	assert_true(normal(*state)->area[QUIRE_MAX_ORDER].nr_free >= 6);
}

static void churn_on_a_cpu(void *arg, unsigned cpu)
{
	unsigned i;

	if (cpu != 3) {
		churn(arg, cpu, 10000, false);
		return;
	}
	for (i = 0; i < 30; i++) { /* and somebody who drains and looks on, meanwhile */
		quire_page_drain(&((struct host *)arg)->q);
		assert_null(quire_page_check(&((struct host *)arg)->q));
	}
}

static void churn_on_all_cpus_keeps_the_equations(void **state)
{
	host_run_cpus(4, churn_on_a_cpu, *state);
	quire_page_drain(&((struct host *)*state)->q);
	assert_int_equal(host_frames_taken(*state), 1);
}

#define with_host(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_of_one_range),
		cmocka_unit_test(map_with_odd_ends),
		cmocka_unit_test(map_with_overlaps_and_in_any_order),
		cmocka_unit_test(map_with_holes_has_no_descriptors_there),
		cmocka_unit_test(map_beyond_4_gib),
		cmocka_unit_test(maps_made_by_chance),
		cmocka_unit_test(bad_maps_are_refused),
		cmocka_unit_test(memory_that_is_not_linear_is_refused),
		with_host(pointers_lead_back_to_their_page),
		with_host(block_splits_and_merges_back),
		with_host(block_is_as_promised),
		with_host(zeroed_blocks_are_zero_whatever_was_there),
		with_host(what_cannot_be_had_is_refused),
		cmocka_unit_test(watermarks_are_linuxs),
		cmocka_unit_test(watermarks_are_shared_by_size),
		with_host(each_kind_of_allocation_stops_at_its_mark),
		with_host(large_blocks_stop_at_the_mark_too),
		cmocka_unit_test(zones_fall_back_downwards_only),
		with_host(failure_is_logged_unless_told_otherwise),
		with_host(lists_stay_within_their_bounds),
		with_host(allocation_gets_what_other_cpus_keep),
		with_host(last_put_frees),
		with_host(free_under_a_reader_is_done_by_the_readers_put),
		with_host(misuse_is_reported_and_harms_nothing),
#if QUIRE_DEBUG
		with_host(pages_in_use_that_are_freed_are_reported),
#endif
		with_host(tryget_never_gets_a_free_page),
		with_host(page_lock_keeps_others_out),
		with_host(page_lock_sleepers_are_all_woken_in_the_end),
		with_host(bytes_are_copied_and_zeroed),
		with_host(counters_add_up_over_cpus),
		with_host(allocations_are_counted_in_pages),
#if QUIRE_DEBUG
		with_host(injected_failures_change_nothing),
#endif
		with_host(churn_alone_keeps_the_equations),
		with_host(churn_on_all_cpus_keeps_the_equations),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}

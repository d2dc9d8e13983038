/* SPDX-License-Identifier: MIT */
/* Memory maps: what is made of them, what is refused; and high memory, which no pointer leads to. */
#include "page_fixture.h"

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

/* What is seen of a map before it is used is what comes of it; and the memory is not touched. */
static void expect_survey(struct quire *q, const struct quire_range *map, size_t n, uint32_t zones, quire_paddr_t high)
{
	struct quire_config config = { .map = map, .nr_ranges = n, .zones = zones, .high_memory = high };
	struct host *h = host_new(QUIRE_PAGE_SIZE, q->nr_cpus);
	unsigned z, i;

	assert_int_equal(quire_page_survey(&h->q, &config), 0);
	assert_int_equal(h->q.pages.total_pages, q->pages.total_pages);
	assert_int_equal(h->q.pages.high_memory, q->pages.high_memory);
	assert_int_equal(h->q.pages.sysctl.min_free_kbytes, q->pages.sysctl.min_free_kbytes);
	for (z = 0; z < QUIRE_NR_ZONES; z++) {
		const struct quire_zone *seen = &h->q.pages.zone[z], *zone = &q->pages.zone[z];

		assert_int_equal(seen->start_pfn, zone->start_pfn);
		assert_int_equal(seen->spanned_pages, zone->spanned_pages);
		assert_int_equal(seen->present_pages, zone->present_pages);
		assert_int_equal(seen->managed_pages, zone->managed_pages);
		assert_int_equal(seen->free_pages, 0);
		for (i = 0; i < QUIRE_NR_WMARKS; i++)
			assert_int_equal(seen->wmark[i], zone->wmark[i]);
		for (i = 0; i < QUIRE_NR_ZONES; i++)
			assert_int_equal(seen->lowmem_reserve[i], zone->lowmem_reserve[i]);
	}
	host_delete(h);
}

/*
 * Bring a machine up on the map and hold it against the picture: descriptors exactly for what is there,
 * and exactly the usable frames are handed out, all of them, but for frame 0 and the descriptors' own.
 */
static void expect_map(const struct quire_range *map, size_t n, uint64_t ram, uint32_t zones, quire_paddr_t high)
{
	struct host *h = host_new(ram, 2);
	unsigned char *frames = malloc(FRAMES(ram));
	uint64_t pfn, usable = 0, present = 0, got = 0, end = 0;
	struct quire *q = &h->q;
	struct quire_page *page;
	unsigned z;

	assert_non_null(frames);
	memset(h->ram, 0xee, ram < MIB(64) ? ram : 0); /* memory comes as it is, not zeroed */
	paint(frames, FRAMES(ram), map, n);
	for (pfn = 0; pfn < FRAMES(ram); pfn++)
		end = frames[pfn] == USABLE ? pfn + 1 : end;
	assert_int_equal(init_high(h, map, n, zones, high), 0);
	check(h);
	expect_survey(q, map, n, zones, high);
	for (pfn = 0; pfn < FRAMES(ram) + 5000; pfn++) {
		bool there = pfn < end && frames[pfn] != HOLE; /* memory ends with what is usable */

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

	while ((page = quire_page_alloc(q, QUIRE_GFP_HIGHUSER | QUIRE_GFP_MEMALLOC | QUIRE_GFP_NOWARN, 0))) {
		pfn = quire_page_to_pfn(q, page);
		assert_int_not_equal(pfn, 0);
		assert_int_equal(frames[pfn], USABLE);
		assert_int_equal(quire_page_is_high(page), high && pfn >= FRAMES(high));
		memset(h->ram + (pfn << QUIRE_PAGE_SHIFT), 0xff, QUIRE_PAGE_SIZE); /* harms no descriptor */
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

#define EXPECT_MAP(ram, zones, ...)                                                 \
	do {                                                                        \
		const struct quire_range map_[] = { __VA_ARGS__ };                  \
		expect_map(map_, QUIRE_ARRAY_SIZE(map_), (ram), (zones), 0);        \
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
	assert_int_equal(init(h, map, 2, DMA | DMA32 | NORMAL), 0);
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
	check(h);
	host_delete(h);
}

#define ROOM (256 * QUIRE_PAGE_SIZE)

/* Any ranges at all: never a wrong frame. */
static void maps_made_by_chance(void **state)
{
	uint64_t chance = 20240229;
	unsigned round;

	(void)state;
	for (round = 0; round < (QUIRE_PAGE_SHIFT > 12 ? 40 : 150); round++) {
		struct quire_range map[12];
		uint64_t ram = 512 * QUIRE_PAGE_SIZE << host_random(&chance) % 4, unit = host_random(&chance) % 2 ? 1 : QUIRE_PAGE_SIZE;
		size_t n = 1 + host_random(&chance) % 10, i;

		for (i = 0; i < n; i++) {
			uint64_t a = host_random(&chance) % (ram / unit) * unit;
			uint64_t b = host_random(&chance) % (ram / unit) * unit;

			map[i].start = a < b ? a : b;
			map[i].end = a < b ? b : a;
			map[i].kind = host_random(&chance) % 3 ? QUIRE_RANGE_USABLE : QUIRE_RANGE_RESERVED;
			map[i].node = 0;
			if (host_random(&chance) % 3 == 0 && i) /* that share an end */
				map[i].start = map[i - 1].end <= map[i].end ? map[i - 1].end : map[i].start;
		}
		/* Somewhere there must be room for the descriptors. */
		map[n++] = (struct quire_range)USE(ram, ram + ROOM);
		if (round % 3)
			expect_map(map, n, ram + ROOM, NORMAL | (round % 2 ? DMA : 0), 0);
		else /* high memory begins anywhere behind that room, or within it */
			expect_map(map, n, ram + ROOM, NORMAL | HIGHMEM,
				   ram + ROOM - (round % 2 ? 0 : 16 * QUIRE_PAGE_SIZE));
	}
}

/* What is refused is refused with a reason. */
static void expect_init_high(int err, const struct quire_range *map, size_t n, uint32_t zones, quire_paddr_t high)
{
	struct host *h = host_new(1024 * QUIRE_PAGE_SIZE, 1);

	assert_int_equal(init_high(h, map, n, zones, high), err);
	assert_int_equal(h->logs, err != 0);
	host_delete(h);
}

static void expect_init(int err, const struct quire_range *map, size_t n, uint32_t zones)
{
	expect_init_high(err, map, n, zones, 0);
}

static void bad_maps_are_refused(void **state)
{
	const struct quire_range good = USE(0, MIB(4)), backward = USE(MIB(2), MIB(1)), empty = USE(MIB(1), MIB(1));
	const struct quire_range far = USE(UINT64_C(1) << 52, (UINT64_C(1) << 52) + 1);
	const struct quire_range sliver = USE(100, QUIRE_PAGE_SIZE + 100), reserved = RES(0, MIB(4));
	const struct quire_range covered[] = { good, reserved }, unknown = { 0, MIB(4), (enum quire_range_kind)7, 0 };
	const struct quire_range frame_0 = USE(0, QUIRE_PAGE_SIZE), tiny = USE(0, 3 * QUIRE_PAGE_SIZE);
	const struct quire_range one_bad[] = { good, backward };
	const struct quire_range far_hole[] = { USE(0, MIB(1)), USE((UINT64_C(1) << 52) - QUIRE_PAGE_SIZE, UINT64_C(1) << 52) };
	const struct quire_range far_flash[] = { USE(0, MIB(1)), RES((UINT64_C(1) << 52) - 1, UINT64_C(1) << 52) };
	struct host *h;

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
	h = host_new(MIB(1), 1);
	assert_int_equal(init_high(h, far_hole, 2, NORMAL | HIGHMEM, MIB(1)), -QUIRE_ENOMEM);
	assert_int_equal(h->logs, 1);
	host_delete(h);
	/* What is reserved beyond all memory costs none. */
	expect_init(0, far_flash, 2, NORMAL);
	expect_init(-QUIRE_EINVAL, &good, 1, DMA | DMA32);
	expect_init(-QUIRE_EINVAL, &good, 1, 0);
	expect_init(-QUIRE_EINVAL, &good, 1, NORMAL | 1u << QUIRE_NR_ZONES);
}

static void memory_that_is_not_linear_is_refused(void **state)
{
	struct quire_range map[] = { USE(0, MIB(2)), USE(MIB(3), MIB(4)) };
	struct host *h = host_new(MIB(4), 1);

	(void)state;
	h->bend = MIB(1);
	assert_int_equal(init(h, map, 1, NORMAL), -QUIRE_EINVAL);
	h->bend = MIB(3);
	assert_int_equal(init(h, map, 2, NORMAL), -QUIRE_EINVAL);
	assert_int_equal(init(h, map, 1, NORMAL), 0);
	host_delete(h);
}

/* ---- High memory ------------------------------------------------------------------------- */

/* A machine whose direct map ends at a third of its memory: 8 of 24 MiB with pages of 4 KiB. */
#define HIGH_FROM (2048 * QUIRE_PAGE_SIZE)
#define HIGH_RAM (3 * HIGH_FROM)

static struct host *high_host(void)
{
	struct host *h = host_new(HIGH_RAM, 2);
	struct quire_range range = USE(0, HIGH_RAM);

	quire_grace_init(&h->q);
	assert_int_equal(init_high(h, &range, 1, NORMAL | HIGHMEM, HIGH_FROM), 0);
	check(h);
	return h;
}

/* Kmaps that remember which page each of the two slots shows: a mapping outside of the direct map's addresses. */
static unsigned kmaps_out;

static void *test_kmap(struct quire *q, struct quire_page *page)
{
	assert_true(quire_page_is_high(page));
	assert_true(kmaps_out++ < 2);
	return host_of(q)->ram + (quire_page_to_pfn(q, page) << QUIRE_PAGE_SHIFT);
}

static void test_kunmap(struct quire *q, void *ptr)
{
	assert_true((unsigned char *)ptr >= host_of(q)->ram + q->pages.high_memory);
	assert_true(kmaps_out-- > 0);
}

static void give_kmaps(struct host *h)
{
	h->q.pages.kmap_local = test_kmap;
	h->q.pages.kunmap_local = test_kunmap;
}

static void high_memory_begins_where_the_direct_map_ends(void **state)
{
	struct host *h = high_host();
	const struct quire_zone *zone = h->q.pages.zone;
	struct quire_page *page;

	(void)state;
	assert_int_equal(h->q.pages.high_memory, HIGH_FROM);
	assert_int_equal(zone[QUIRE_ZONE_NORMAL].present_pages, FRAMES(HIGH_FROM));
	assert_int_equal(zone[QUIRE_ZONE_HIGHMEM].present_pages, FRAMES(HIGH_RAM - HIGH_FROM));
	assert_int_equal(zone[QUIRE_ZONE_HIGHMEM].start_pfn, FRAMES(HIGH_FROM));
	assert_string_equal(zone[QUIRE_ZONE_HIGHMEM].name, "HighMem");
	/* Descriptors, their tables and the frame of zeroes are all in low memory. */
	assert_int_equal(zone[QUIRE_ZONE_HIGHMEM].managed_pages, FRAMES(HIGH_RAM - HIGH_FROM));
	assert_true((unsigned char *)(h->q.pages.map + h->q.pages.nr_map) <= h->ram + HIGH_FROM);
	assert_false(quire_page_is_high(h->q.pages.zero_page));
	assert_false(quire_page_is_high(quire_pfn_to_page(&h->q, FRAMES(HIGH_FROM) - 1)));
	assert_true(quire_page_is_high(quire_pfn_to_page(&h->q, FRAMES(HIGH_FROM))));

	page = quire_page_alloc(&h->q, QUIRE_GFP_KERNEL, 0);
	assert_false(quire_page_is_high(page));
	quire_page_put(&h->q, page);
	page = quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER, 3);
	assert_true(quire_page_is_high(page));
	assert_int_equal(quire_page_zone(page), QUIRE_ZONE_HIGHMEM);
	quire_page_free(&h->q, page, 3);
	check(h);
	host_delete(h);
}

static void high_memory_falls_back_to_low_memory(void **state)
{
	struct host *h = high_host();
	struct quire_zone *zone = h->q.pages.zone;
	struct quire_page *page;
	uint64_t n;

	(void)state;
	for (n = zone[QUIRE_ZONE_HIGHMEM].managed_pages - zone[QUIRE_ZONE_HIGHMEM].wmark[QUIRE_WMARK_LOW]; n > 0; n--)
		assert_true(quire_page_is_high(quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER, 0)));
	page = quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER, 0);
	assert_non_null(page);
	assert_false(quire_page_is_high(page));
	/* Never the other way. */
	while ((page = quire_page_alloc(&h->q, QUIRE_GFP_KERNEL | QUIRE_GFP_MEMALLOC, 0)))
		assert_false(quire_page_is_high(page));
	assert_int_not_equal(zone[QUIRE_ZONE_HIGHMEM].free_pages, 0);
	check(h);
	host_delete(h);
}

static void bytes_of_high_pages_go_through_kmaps(void **state)
{
	struct host *h = high_host();
	struct quire *q = &h->q;
	struct quire_page *high, *other, *low = quire_page_alloc(q, QUIRE_GFP_ZERO, 0);
	unsigned char *at, *bt;
	unsigned i, b;

	(void)state;
	give_kmaps(h);
	for (i = 0; i < 100; i++) { /* so that what is zeroed has been written to before */
		high = quire_page_alloc(q, QUIRE_GFP_HIGHUSER | QUIRE_GFP_ZERO, i % 3);
		assert_true(quire_page_is_high(high));
		at = h->ram + (quire_page_to_pfn(q, high) << QUIRE_PAGE_SHIFT);
		for (b = 0; b < QUIRE_PAGE_SIZE << i % 3; b++)
			assert_int_equal(at[b], 0);
		memset(at, 0xaa, QUIRE_PAGE_SIZE << i % 3);
		quire_page_free(q, high, i % 3);
	}
	high = quire_page_alloc(q, QUIRE_GFP_HIGHUSER, 0);
	other = quire_page_alloc(q, QUIRE_GFP_HIGHUSER, 0);
	at = quire_page_kmap(q, high);
	bt = quire_page_kmap(q, other);
	assert_int_equal(kmaps_out, 2);
	memset(at, 0x5a, QUIRE_PAGE_SIZE);
	memset(bt, 0xa5, QUIRE_PAGE_SIZE);
	quire_page_kunmap(q, bt);
	quire_page_kunmap(q, at);
	assert_int_equal(kmaps_out, 0);
	assert_false(host_is_atomic());

	quire_page_copy(q, other, high);
	assert_int_equal(memcmp(at, bt, QUIRE_PAGE_SIZE), 0);
	quire_page_copy(q, high, low);
	assert_int_equal(at[0] | at[QUIRE_PAGE_SIZE - 1], 0);
	quire_page_copy(q, low, other);
	at = quire_page_kmap(q, low);
	assert_int_equal(kmaps_out, 0); /* the direct map */
	assert_int_equal(at[0] & at[QUIRE_PAGE_SIZE - 1], 0x5a);
	quire_page_kunmap(q, at);
	quire_page_zero(q, other);
	assert_int_equal(bt[0] | bt[QUIRE_PAGE_SIZE - 1], 0);
	assert_int_equal(kmaps_out, 0);
	check(h);
	host_delete(h);
}

static void without_kmaps_high_pages_are_not_zeroed_but_avoided(void **state)
{
	struct host *h = high_host();
	struct quire_page *page = quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER | QUIRE_GFP_ZERO, 0);

	(void)state;
	assert_false(quire_page_is_high(page));
	page = quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER, 0);
	assert_true(quire_page_is_high(page));
	host_expect_reports(h);
	assert_null(quire_page_kmap(&h->q, page));
	host_assert_report(h, "no kmaps");
	quire_page_kunmap(&h->q, NULL);
	host_expect_reports(h);
	quire_page_zero(&h->q, page);
	host_assert_report(h, "no kmaps");
	assert_false(host_is_atomic());
	host_delete(h);
}

/* Only the direct map's pointers say which page they are of. */
static void pointers_of_high_pages_are_refused(void **state)
{
	struct host *h = high_host();
	struct quire_page *page = quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER, 0);
	unsigned char *ptr;

	(void)state;
	give_kmaps(h);
	ptr = quire_page_kmap(&h->q, page);
	assert_null(quire_virt_to_page(&h->q, ptr));
	quire_page_kunmap(&h->q, ptr);
	host_expect_reports(h);
	(void)quire_page_to_virt(&h->q, page);
	if (QUIRE_DEBUG)
		host_assert_report(h, "high_memory");
	assert_int_equal(h->reports, QUIRE_DEBUG);
	host_delete(h);
}

static void bad_bounds_of_high_memory_are_refused(void **state)
{
	const struct quire_range good = USE(0, MIB(4)), upper = USE(MIB(2), MIB(4));
	/* 1,024 pages, of which the first are the direct map's: four, and two where fewer hold the descriptors. */
	const struct quire_range split[] = { USE(0, (QUIRE_PAGE_SHIFT > 12 ? 2 : 4) * QUIRE_PAGE_SIZE), USE(256 * QUIRE_PAGE_SIZE, 1024 * QUIRE_PAGE_SIZE) };

	(void)state;
	expect_init_high(0, &good, 1, NORMAL | HIGHMEM, MIB(2));
	expect_init_high(0, &good, 1, NORMAL | HIGHMEM, MIB(4));
	expect_init_high(0, &good, 1, NORMAL | HIGHMEM, QUIRE_HIGH_MEMORY_3G);
	expect_init_high(-QUIRE_EINVAL, &good, 1, NORMAL | HIGHMEM, 0);
	expect_init_high(-QUIRE_EINVAL, &good, 1, NORMAL, MIB(2));
	expect_init_high(-QUIRE_EINVAL, &good, 1, HIGHMEM, MIB(2));
	expect_init_high(-QUIRE_EINVAL, &good, 1, NORMAL | HIGHMEM, MIB(2) + 1);
	expect_init_high(-QUIRE_EINVAL, &upper, 1, NORMAL | HIGHMEM, MIB(2));
	expect_init_high(-QUIRE_EINVAL, &good, 1, NORMAL | HIGHMEM, QUIRE_PAGE_SIZE); /* frame 0 alone */
	/* There is room for the descriptors, but not in the direct map. */
	expect_init_high(0, split, 2, NORMAL, 0);
	expect_init_high(-QUIRE_ENOMEM, split, 2, NORMAL | HIGHMEM, 256 * QUIRE_PAGE_SIZE);
}

/* From too little low memory to enough: somewhere in between the descriptors take all of it, and only high memory is left. */
static void low_memory_may_be_as_good_as_none(void **state)
{
	bool was_refused = false, was_taken = false;
	uint64_t low;

	(void)state;
	for (low = 2; low < 40; low++) {
		const struct quire_range map[] = { USE(0, low * QUIRE_PAGE_SIZE),
						   USE(256 * QUIRE_PAGE_SIZE, 1024 * QUIRE_PAGE_SIZE) };
		struct host *h = host_new(1024 * QUIRE_PAGE_SIZE, 1);
		int err = init_high(h, map, 2, NORMAL | HIGHMEM, low * QUIRE_PAGE_SIZE);

		assert_true(err == 0 || err == -QUIRE_ENOMEM);
		assert_false(was_taken && err);
		was_refused |= err != 0;
		was_taken |= !err;
		if (!err)
			assert_null(quire_page_check(&h->q));
		host_delete(h);
	}
	assert_true(was_refused && was_taken);
}

/* Memory behind the direct map need not be reachable through the port, linear or at all. */
static void high_memory_need_not_be_linear(void **state)
{
	struct host *h = host_new(MIB(4), 1);
	struct quire_range range = USE(0, MIB(4));

	(void)state;
	h->bend = MIB(2);
	assert_int_equal(init(h, &range, 1, NORMAL), -QUIRE_EINVAL);
	assert_int_equal(init_high(h, &range, 1, NORMAL | HIGHMEM, MIB(2)), 0); /* the port aborts if asked */
	check(h);
	host_delete(h);
}

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
		cmocka_unit_test(high_memory_begins_where_the_direct_map_ends),
		cmocka_unit_test(high_memory_falls_back_to_low_memory),
		cmocka_unit_test(bytes_of_high_pages_go_through_kmaps),
		cmocka_unit_test(without_kmaps_high_pages_are_not_zeroed_but_avoided),
		cmocka_unit_test(pointers_of_high_pages_are_refused),
		cmocka_unit_test(low_memory_may_be_as_good_as_none),
		cmocka_unit_test(bad_bounds_of_high_memory_are_refused),
		cmocka_unit_test(high_memory_need_not_be_linear),
	};

	return cmocka_run_group_tests_name("page-map", tests, NULL, NULL);
}

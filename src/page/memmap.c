/* SPDX-License-Identifier: MIT */
/*
 * From the host's memory map to zones, sections and descriptors. Runs once, on one CPU, before
 * anything else of the room; after it all free memory is in the buddy allocator.
 *
 * The map comes as the firmware gives it: any order, overlaps, holes, odd ends. It is never sorted
 * or copied (there is nothing yet to copy it into): next_run() finds the stretches one after the
 * other, in ascending order, each as long as can be, and everything else is built on that.
 *
 *	usable     |------------|      |----------|
 *	reserved        |--|         |---|
 *	next_run   |----|  |----|        |--------|       USABLE
 *	           |------------|    |------------|       PRESENT
 */
#include "page/internal.h"

#include "base/string.h"

#define DMA_END (UINT64_C(16) << 20)
#define DMA32_END (UINT64_C(4) << 30)
#define MAX_PADDR (UINT64_C(1) << 52)

#define MIN_SECTION_SHIFT 13
#define MAX_SECTIONS_SHIFT 12 /* sections get larger rather than more than this (log2) */

_Static_assert(MIN_SECTION_SHIFT >= QUIRE_MAX_ORDER, "a block lies in one section");

struct run {
	quire_pfn_t start, end; /* frames */
};

enum run_class {
	RUN_USABLE,  /* usable by some range, reserved by none */
	RUN_PRESENT, /* in any range */
};

/* ---- Reading the map --------------------------------------------------------------------- */

static uint64_t frame_up(quire_paddr_t pa)
{
	return (pa + QUIRE_PAGE_SIZE - 1) >> QUIRE_PAGE_SHIFT;
}

/* The whole frames of a range: usable ranges lose the frames at their ends that they share, reserved ones gain them. */
static struct run frames_of(const struct quire_range *range)
{
	struct run run;

	if (range->kind == QUIRE_RANGE_USABLE) {
		run.start = frame_up(range->start);
		run.end = range->end >> QUIRE_PAGE_SHIFT;
	} else {
		run.start = range->start >> QUIRE_PAGE_SHIFT;
		run.end = range->start == range->end ? run.start : frame_up(range->end);
	}
	if (run.end < run.start)
		run.end = run.start;
	return run;
}

/* Does a range of the map count as part of runs of this class? */
static bool counts(const struct quire_range *range, enum run_class class)
{
	return class == RUN_PRESENT || range->kind == QUIRE_RANGE_USABLE;
}

/* The first run that has a frame at or above from, cut to begin there. False: none. */
static bool next_run(const struct quire_range *map, size_t nr_ranges, enum run_class class,
		     quire_pfn_t from, struct run *run)
{
	bool again;
	size_t i;

	do {
		again = false;
		run->start = UINT64_MAX;
		for (i = 0; i < nr_ranges; i++) {
			struct run r = frames_of(&map[i]);

			if (r.start < from)
				r.start = from;
			if (counts(&map[i], class) && r.start < r.end && r.start < run->start)
				run->start = r.start;
		}
		if (run->start == UINT64_MAX)
			return false;
		/* Reserved? Then look again behind that. */
		for (i = 0; class == RUN_USABLE && i < nr_ranges; i++) {
			struct run r = frames_of(&map[i]);

			if (map[i].kind != QUIRE_RANGE_USABLE && r.start <= run->start && run->start < r.end) {
				from = r.end;
				again = true;
			}
		}
	} while (again);

	/* As far as ranges that touch reach, then back to the first reserved one. */
	run->end = run->start;
	do {
		again = false;
		for (i = 0; i < nr_ranges; i++) {
			struct run r = frames_of(&map[i]);

			if (counts(&map[i], class) && r.start <= run->end && run->end < r.end) {
				run->end = r.end;
				again = true;
			}
		}
	} while (again);
	for (i = 0; class == RUN_USABLE && i < nr_ranges; i++) {
		struct run r = frames_of(&map[i]);

		if (map[i].kind != QUIRE_RANGE_USABLE && r.start < r.end && run->start < r.start &&
		    r.start < run->end)
			run->end = r.start;
	}
	return true;
}

/* Usable runs without frame 0. */
static bool next_usable(const struct quire_range *map, size_t nr_ranges, quire_pfn_t from, struct run *run)
{
	return next_run(map, nr_ranges, RUN_USABLE, from == 0 ? 1 : from, run);
}

static bool map_is_good(const struct quire_range *map, size_t nr_ranges)
{
	size_t i;

	if (!map || nr_ranges == 0)
		return false;
	for (i = 0; i < nr_ranges; i++) {
		if (map[i].kind != QUIRE_RANGE_USABLE && map[i].kind != QUIRE_RANGE_RESERVED)
			return false;
		if (map[i].end < map[i].start || map[i].end > MAX_PADDR)
			return false;
	}
	return true;
}

/* Pointer minus physical address, if it is the same at both ends of every usable run. */
static bool find_direct(struct quire *q, const struct quire_range *map, size_t nr_ranges)
{
	bool known = false;
	struct run run;
	quire_pfn_t at;

	for (at = 0; next_usable(map, nr_ranges, at, &run); at = run.end) {
		quire_paddr_t first = run.start << QUIRE_PAGE_SHIFT, last = (run.end - 1) << QUIRE_PAGE_SHIFT;
		uintptr_t direct = (uintptr_t)quire_port_phys_to_virt(q, first) - (uintptr_t)first;

		if (known && direct != q->pages.direct)
			return false;
		if ((uintptr_t)quire_port_phys_to_virt(q, last) - (uintptr_t)last != direct)
			return false;
		q->pages.direct = direct;
		known = true;
	}
	return true;
}

/* ---- Descriptors ------------------------------------------------------------------------- */

/* Where the descriptors, the two section tables and the frame of zeroes go: all in one run of frames. */
struct carving {
	uint64_t nr_used_sections;
	uint64_t bytes;   /* of all */
	struct run run;   /* where */
};

/* Section numbers, and with them the sizes of all that must be carved. */
static void measure(struct quire_pages *p, const struct quire_range *map, size_t nr_ranges,
		    struct carving *carving)
{
	uint64_t section = 0, sections = 0, last_section;
	struct run run = { 0, 0 };
	quire_pfn_t at;

	(void)next_run(map, nr_ranges, RUN_PRESENT, 0, &run);
	p->first_pfn = run.start & ~((UINT64_C(1) << QUIRE_MAX_ORDER) - 1);
	for (at = 0; next_run(map, nr_ranges, RUN_PRESENT, at, &run); at = run.end)
		p->span_pages = run.end - p->first_pfn;

	p->section_shift = MIN_SECTION_SHIFT;
	while ((p->span_pages >> p->section_shift) >> MAX_SECTIONS_SHIFT != 0)
		p->section_shift++;
	last_section = (p->span_pages - 1) >> p->section_shift;
	p->nr_sections = last_section + 1;

	while (section <= last_section &&
	       next_run(map, nr_ranges, RUN_PRESENT, p->first_pfn + (section << p->section_shift), &run)) {
		section = ((run.start - p->first_pfn) >> p->section_shift) + 1;
		sections++;
	}
	carving->nr_used_sections = sections;
	/* All sections whole but the last one, which ends with its last frame. */
	p->nr_map = ((sections - 1) << p->section_shift) +
		    (p->span_pages - (last_section << p->section_shift));
	carving->bytes = p->nr_map * sizeof(struct quire_page) + p->nr_sections * sizeof(uint32_t) +
			 sections * sizeof(uint32_t);
}

/* The largest usable run; the carving goes to its end, the frame of zeroes before it. */
static bool place(const struct quire_range *map, size_t nr_ranges, struct carving *carving)
{
	uint64_t frames = frame_up(carving->bytes) + 1;
	struct run run, best = { 0, 0 };
	quire_pfn_t at;

	for (at = 0; next_usable(map, nr_ranges, at, &run); at = run.end)
		if (run.end - run.start > best.end - best.start)
			best = run;
	carving->run.end = best.end;
	carving->run.start = best.end - frames;
	return best.end - best.start >= frames;
}

static unsigned zone_of(uint32_t zones, quire_pfn_t pfn)
{
	quire_paddr_t pa = pfn << QUIRE_PAGE_SHIFT;

	if (pa < DMA_END && (zones & (1u << QUIRE_ZONE_DMA)) != 0)
		return QUIRE_ZONE_DMA;
	if (pa < DMA32_END && (zones & (1u << QUIRE_ZONE_DMA32)) != 0)
		return QUIRE_ZONE_DMA32;
	return QUIRE_ZONE_NORMAL;
}

/* First frame above pfn that may be in another zone. */
static quire_pfn_t zone_limit(quire_pfn_t pfn)
{
	quire_paddr_t pa = pfn << QUIRE_PAGE_SHIFT;

	return (pa < DMA_END ? DMA_END : pa < DMA32_END ? DMA32_END : MAX_PADDR) >> QUIRE_PAGE_SHIFT;
}

/* Lay the tables out and fill them; every descriptor becomes that of an absent frame, then the present ones reserved. */
static void build_descriptors(struct quire *q, const struct quire_range *map, size_t nr_ranges,
			      const struct carving *carving)
{
	struct quire_pages *p = &q->pages;
	uint64_t i, section = 0, sections = 0;
	struct run run;
	quire_pfn_t pfn;

	p->map = (struct quire_page *)(p->direct +
				       (uintptr_t)((carving->run.start + 1) << QUIRE_PAGE_SHIFT));
	p->section_map = (uint32_t *)(void *)(p->map + p->nr_map);
	p->section_at = p->section_map + p->nr_sections;

	memset(p->section_map, 0, (size_t)p->nr_sections * sizeof(uint32_t));
	while (section < p->nr_sections &&
	       next_run(map, nr_ranges, RUN_PRESENT, p->first_pfn + (section << p->section_shift), &run)) {
		section = (run.start - p->first_pfn) >> p->section_shift;
		p->section_at[sections++] = (uint32_t)section;
		p->section_map[section++] = (uint32_t)sections;
	}

	for (i = 0; i < p->nr_map; i++) {
		struct quire_page *page = &p->map[i];

		memset(page, 0, sizeof(*page));
		page->flags = QUIRE_PG_ABSENT | (uint32_t)QUIRE_PAGE_RESERVED;
		quire_list_init(&page->lru);
	}
	for (pfn = 0; next_run(map, nr_ranges, RUN_PRESENT, pfn, &run); pfn = run.end) {
		for (pfn = run.start; pfn < run.end; pfn++) {
			uint64_t offset = pfn - p->first_pfn;
			uint64_t used = p->section_map[offset >> p->section_shift] - 1u;
			unsigned z = zone_of(p->zones, pfn);
			struct quire_zone *zone = &p->zone[z];

			p->map[(used << p->section_shift) +
			       (offset & ((UINT64_C(1) << p->section_shift) - 1))].flags =
				(uint32_t)z << QUIRE_PG_ZONE_SHIFT | (uint32_t)QUIRE_PAGE_RESERVED;
			if (zone->present_pages++ == 0)
				zone->start_pfn = pfn;
			zone->spanned_pages = pfn + 1 - zone->start_pfn;
		}
	}
}

/* ---- Zones ------------------------------------------------------------------------------- */

static void init_zones(struct quire *q)
{
	static const char *const names[QUIRE_NR_ZONES] = { "DMA", "DMA32", "Normal", "HighMem" };
	unsigned z, order, cpu;

	for (z = 0; z < QUIRE_NR_ZONES; z++) {
		struct quire_zone *zone = &q->pages.zone[z];

		zone->name = names[z];
		for (order = 0; order < QUIRE_NR_ORDERS; order++)
			quire_list_init(&zone->area[order].blocks);
		for (cpu = 0; cpu < q->nr_cpus; cpu++)
			quire_list_init(&zone->pcp[cpu].pages);
	}
}

/* Hand usable frames to the buddy allocator, in the largest aligned blocks of one zone. */
static void release(struct quire *q, struct run run)
{
	while (run.start < run.end) {
		struct quire_page *page = quire_pfn_to_page(q, run.start);
		unsigned z = zone_of(q->pages.zones, run.start), order = QUIRE_MAX_ORDER;
		quire_pfn_t i, end = zone_limit(run.start);
		struct quire_zone *zone = &q->pages.zone[z];

		if (end > run.end)
			end = run.end;
		while ((run.start & ((UINT64_C(1) << order) - 1)) != 0 ||
		       end - run.start < UINT64_C(1) << order)
			order--;
		for (i = 0; i < UINT64_C(1) << order; i++)
			page[i].flags = quire_free_flags(page[i].flags, 0, 0);
		zone->managed_pages += UINT64_C(1) << order;
		quire_spin_lock_raw(q, &zone->lock);
		quire_zone_put(q, zone, page, order);
		quire_spin_unlock_raw(q, &zone->lock);
		run.start += UINT64_C(1) << order;
	}
}

static uint64_t square_root(uint64_t v)
{
	uint64_t root = 0, bit = UINT64_C(1) << 62;

	while (bit > v)
		bit >>= 2;
	for (; bit != 0; bit >>= 2) {
		if (v >= root + bit) {
			v -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	return root;
}

/*
 * How much to keep free: the root of the memory, since what is needed at once grows more slowly than
 * what there is. The figures are those of Linux's min_free_kbytes: sqrt(16 * KiB), 128 KiB to 256 MiB,
 * spread over the zones by their size; low and high a quarter and a half above.
 */
static void set_watermarks(struct quire_pages *p)
{
	uint64_t min_kbytes = square_root((p->total_pages << (QUIRE_PAGE_SHIFT - 10)) * 16);
	uint64_t min_pages;
	unsigned z;

	if (min_kbytes < 128)
		min_kbytes = 128;
	if (min_kbytes > 262144)
		min_kbytes = 262144;
	min_pages = min_kbytes >> (QUIRE_PAGE_SHIFT - 10);
	for (z = 0; z < QUIRE_NR_ZONES; z++) {
		struct quire_zone *zone = &p->zone[z];
		uint64_t min = min_pages * zone->managed_pages / p->total_pages;

		zone->wmark[QUIRE_WMARK_MIN] = min;
		zone->wmark[QUIRE_WMARK_LOW] = min + min / 4;
		zone->wmark[QUIRE_WMARK_HIGH] = min + min / 2;
	}
}

/* A batch is a four-thousandth of the zone, at most 32; all lists together hold at most an eighth of it. */
static void size_lists(struct quire *q)
{
	unsigned z, cpu;

	for (z = 0; z < QUIRE_NR_ZONES; z++) {
		struct quire_zone *zone = &q->pages.zone[z];
		uint64_t batch = zone->managed_pages / 4096, high, share;

		batch = batch < 1 ? 1 : batch > 32 ? 32 : batch;
		high = batch * 6;
		share = zone->managed_pages / 8 / q->nr_cpus;
		if (high > share)
			high = share;
		if (batch > high)
			batch = high == 0 ? 1 : high; /* without a list one page comes and goes at a time */
		for (cpu = 0; cpu < q->nr_cpus; cpu++) {
			zone->pcp[cpu].high = (uint32_t)high;
			zone->pcp[cpu].batch = (uint32_t)batch;
		}
	}
}

int quire_page_init(struct quire *q, const struct quire_range *map, size_t nr_ranges, uint32_t zones)
{
	struct quire_pages *p = &q->pages;
	struct carving carving;
	struct run run;
	quire_pfn_t at;
	unsigned z;

	if (!map_is_good(map, nr_ranges) || !next_usable(map, nr_ranges, 0, &run))
		return -QUIRE_EINVAL;
	if ((zones & 1u << QUIRE_ZONE_NORMAL) == 0 || (zones & 1u << QUIRE_ZONE_HIGHMEM) != 0 ||
	    zones >> QUIRE_NR_ZONES != 0)
		return -QUIRE_EINVAL;
	if (!find_direct(q, map, nr_ranges))
		return -QUIRE_EINVAL;
	p->zones = zones;
	measure(p, map, nr_ranges, &carving);
	if (!place(map, nr_ranges, &carving))
		return -QUIRE_ENOMEM;

	build_descriptors(q, map, nr_ranges, &carving);
	init_zones(q);
	for (at = 0; next_usable(map, nr_ranges, at, &run); at = run.end) {
		struct run behind = { carving.run.end, run.end };

		/* The carving lies within one run. */
		if (run.start <= carving.run.start && carving.run.start < run.end) {
			struct run before = { run.start, carving.run.start };

			release(q, before);
			release(q, behind);
		} else {
			release(q, run);
		}
	}
	for (z = 0; z < QUIRE_NR_ZONES; z++)
		p->total_pages += p->zone[z].managed_pages;
	if (p->total_pages == 0)
		return -QUIRE_ENOMEM;
	set_watermarks(p);
	size_lists(q);

	p->zero_page = quire_pfn_to_page(q, carving.run.start);
	p->zero_page->refs = 1;
	quire_port_frames(q, carving.run.start, 0, true);
	quire_page_zero(q, p->zero_page);
	return 0;
}

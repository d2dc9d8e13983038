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

/* End of the last usable run. What is reserved beyond is no memory but a device's, whatever firmware says: Linux's max_pfn. */
static quire_pfn_t end_of_memory(const struct quire_config *c)
{
	struct run run = { 0, 0 };

	while (next_run(c->map, c->nr_ranges, RUN_USABLE, run.end, &run))
		;
	return run.end;
}

/* Present runs up to there. */
static bool next_present(const struct quire_config *c, quire_pfn_t last, quire_pfn_t from, struct run *run)
{
	if (!next_run(c->map, c->nr_ranges, RUN_PRESENT, from, run) || run->start >= last)
		return false;
	if (run->end > last)
		run->end = last;
	return true;
}

/* Usable runs in the direct map. */
static bool next_low(const struct quire *q, const struct quire_config *c, quire_pfn_t from, struct run *run)
{
	quire_pfn_t end = q->pages.high_memory >> QUIRE_PAGE_SHIFT;

	if (!next_usable(c->map, c->nr_ranges, from, run) || run->start >= end)
		return false;
	if (run->end > end)
		run->end = end;
	return true;
}

/* NULL, or why the nodes are not as they must be. The ranges themselves are good. */
static const char *find_node_fault(const struct quire *q, const struct quire_config *c)
{
	size_t nr_nodes = c->nr_nodes ? c->nr_nodes : 1, i, j;

	if (nr_nodes > QUIRE_NR_NODES)
		return "memory map: more nodes than QUIRE_NR_NODES";
	for (i = 0; i < c->nr_ranges; i++) {
		struct run a = frames_of(&c->map[i]);

		if (c->map[i].node >= nr_nodes)
			return "memory map: a range on a node that is not";
		for (j = 0; j < i; j++) {
			struct run b = frames_of(&c->map[j]);

			if (c->map[i].kind == QUIRE_RANGE_USABLE && c->map[j].kind == QUIRE_RANGE_USABLE &&
			    c->map[i].node != c->map[j].node && a.start < b.end && b.start < a.end)
				return "memory map: two nodes have one usable frame";
		}
	}
	for (i = 0; c->node_distance && i < nr_nodes * nr_nodes; i++)
		if (i / nr_nodes == i % nr_nodes ? c->node_distance[i] != QUIRE_LOCAL_DISTANCE
						 : c->node_distance[i] <= QUIRE_LOCAL_DISTANCE)
			return "memory map: a distance between nodes that ACPI's SLIT could not have";
	for (i = 0; c->cpu_node && i < q->nr_cpus; i++)
		if (c->cpu_node[i] >= nr_nodes)
			return "memory map: a CPU on a node that is not";
	return NULL;
}

/* NULL, or why not. */
static const char *find_fault(const struct quire *q, const struct quire_config *c)
{
	const uint32_t high = 1u << QUIRE_ZONE_HIGHMEM;
	struct run run;
	size_t i;

	if (!c->map || c->nr_ranges == 0)
		return "memory map: it is empty";
	for (i = 0; i < c->nr_ranges; i++) {
		const struct quire_range *r = &c->map[i];

		if (r->kind != QUIRE_RANGE_USABLE && r->kind != QUIRE_RANGE_RESERVED)
			return "memory map: a range of an unknown kind";
		if (r->end < r->start)
			return "memory map: a range ends before it begins";
		if (r->end > MAX_PADDR)
			return "memory map: an address of more than 52 bits";
	}
	if (!next_usable(c->map, c->nr_ranges, 0, &run))
		return "memory map: no frame is usable";
	if ((c->zones & 1u << QUIRE_ZONE_NORMAL) == 0 || c->zones >> QUIRE_NR_ZONES != 0)
		return "memory map: NORMAL is no zone of this machine, or an unknown one is";
	if (((c->zones & high) != 0) != (c->high_memory != 0))
		return "memory map: a zone HIGHMEM and the address where it begins go together";
	if ((c->high_memory & (QUIRE_PAGE_SIZE - 1)) != 0)
		return "memory map: high memory begins within a frame";
	if (c->high_memory != 0 && run.start >= c->high_memory >> QUIRE_PAGE_SHIFT)
		return "memory map: no usable frame lies below high memory";
	return find_node_fault(q, c);
}

/* Pointer minus physical address, if it is the same at both ends of every usable run of the direct map. */
static bool find_direct(struct quire *q, const struct quire_config *c)
{
	bool known = false;
	struct run run;
	quire_pfn_t at;

	for (at = 0; next_low(q, c, at, &run); at = run.end) {
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
	quire_pfn_t last; /* end of memory */
	uint64_t nr_used_sections;
	uint64_t bytes;   /* of all */
	struct run run;   /* where */
};

/* Where the direct map and each zone end. */
static void set_bounds(struct quire_pages *p, const struct quire_config *c, struct carving *carving)
{
	quire_paddr_t end[QUIRE_NR_ZONES] = { 0 };
	unsigned z;

	carving->last = end_of_memory(c);
	p->high_memory = carving->last << QUIRE_PAGE_SHIFT;
	if (c->high_memory != 0 && c->high_memory < p->high_memory)
		p->high_memory = c->high_memory;

	if ((c->zones & 1u << QUIRE_ZONE_DMA) != 0)
		end[QUIRE_ZONE_DMA] = DMA_END;
	if ((c->zones & 1u << QUIRE_ZONE_DMA32) != 0)
		end[QUIRE_ZONE_DMA32] = DMA32_END;
	end[QUIRE_ZONE_NORMAL] = p->high_memory;
	end[QUIRE_ZONE_HIGHMEM] = MAX_PADDR;
	for (z = 0; z < QUIRE_NR_ZONES; z++) {
		if (z < QUIRE_ZONE_HIGHMEM && end[z] > p->high_memory)
			end[z] = p->high_memory;
		p->zone_end[z] = end[z] >> QUIRE_PAGE_SHIFT;
	}
	p->zones = c->zones;
}

/* Section numbers, and with them the sizes of all that must be carved. */
static void measure(struct quire_pages *p, const struct quire_config *c, struct carving *carving)
{
	uint64_t section = 0, sections = 0, last_section;
	struct run run = { 0, 0 };
	quire_pfn_t at;

	(void)next_present(c, carving->last, 0, &run);
	p->first_pfn = run.start & ~((UINT64_C(1) << QUIRE_MAX_ORDER) - 1);
	for (at = 0; next_present(c, carving->last, at, &run); at = run.end)
		p->span_pages = run.end - p->first_pfn;

	p->section_shift = MIN_SECTION_SHIFT;
	while ((p->span_pages >> p->section_shift) >> MAX_SECTIONS_SHIFT != 0)
		p->section_shift++;
	last_section = (p->span_pages - 1) >> p->section_shift;
	p->nr_sections = last_section + 1;

	while (section <= last_section &&
	       next_present(c, carving->last, p->first_pfn + (section << p->section_shift), &run)) {
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

/* The largest usable run of the direct map; the carving goes to its end, the frame of zeroes before it. */
static bool place(const struct quire *q, const struct quire_config *c, struct carving *carving)
{
	uint64_t frames = frame_up(carving->bytes) + 1;
	struct run run, best = { 0, 0 };
	quire_pfn_t at;

	for (at = 0; next_low(q, c, at, &run); at = run.end)
		if (run.end - run.start > best.end - best.start)
			best = run;
	carving->run.end = best.end;
	carving->run.start = best.end - frames;
	return best.end - best.start >= frames;
}

/*
 * The zone and node of a present frame, as a place in quire_pages.zone, and the first frame behind it of which that may
 * not be true. Of a frame in several ranges the usable one speaks, else the first of the map.
 */
static unsigned place_of(const struct quire_pages *p, const struct quire_config *c, quire_pfn_t pfn, quire_pfn_t *end)
{
	unsigned z = 0, node = 0;
	bool known = false;
	size_t i;

	while (pfn >= p->zone_end[z])
		z++;
	*end = p->zone_end[z];
	for (i = 0; i < c->nr_ranges; i++) {
		struct run r = frames_of(&c->map[i]);
		quire_pfn_t bound = pfn < r.start ? r.start : r.end;

		if (r.start == r.end || r.end <= pfn)
			continue;
		if (bound < *end)
			*end = bound;
		if (r.start <= pfn && (!known || c->map[i].kind == QUIRE_RANGE_USABLE)) {
			node = c->map[i].node;
			known = true;
		}
	}
	return node * QUIRE_NR_ZONES + z;
}

/* Usable runs but for what is carved out of one of them. */
static bool next_free(const struct quire_config *c, const struct carving *carving, quire_pfn_t from,
		      struct run *run)
{
	if (!next_usable(c->map, c->nr_ranges, from, run))
		return false;
	if (run->start >= carving->run.start && run->start < carving->run.end)
		return next_usable(c->map, c->nr_ranges, carving->run.end, run);
	if (run->start < carving->run.start && carving->run.start < run->end)
		run->end = carving->run.start;
	return true;
}

/* Where each zone is and how much it has. */
static void count_zones(struct quire *q, const struct quire_config *c, const struct carving *carving)
{
	struct quire_pages *p = &q->pages;
	quire_pfn_t pfn, end;
	struct run run;
	unsigned z;

	for (pfn = 0; next_present(c, carving->last, pfn, &run); pfn = run.end) {
		for (pfn = run.start; pfn < run.end; pfn = end) {
			struct quire_zone *zone = &p->zone[place_of(p, c, pfn, &end)];

			if (end > run.end)
				end = run.end;
			if (zone->present_pages == 0)
				zone->start_pfn = pfn;
			zone->present_pages += end - pfn;
			zone->spanned_pages = end - zone->start_pfn;
		}
	}
	for (pfn = 0; next_free(c, carving, pfn, &run); pfn = run.end) {
		for (pfn = run.start; pfn < run.end; pfn = end) {
			struct quire_zone *zone = &p->zone[place_of(p, c, pfn, &end)];

			if (end > run.end)
				end = run.end;
			zone->managed_pages += end - pfn;
		}
	}
	for (z = 0; z < quire_nr_zones(q); z++)
		p->total_pages += p->zone[z].managed_pages;
}

/* Lay the tables out and fill them; every descriptor becomes that of an absent frame, then the present ones reserved. */
static void build_descriptors(struct quire *q, const struct quire_config *c, const struct carving *carving)
{
	struct quire_pages *p = &q->pages;
	uint64_t i, section = 0, sections = 0;
	quire_pfn_t pfn, end;
	struct run run;

	p->map = (struct quire_page *)(p->direct +
				       (uintptr_t)((carving->run.start + 1) << QUIRE_PAGE_SHIFT));
	p->own_start = carving->run.start;
	p->own_end = carving->run.end;
	p->section_map = (uint32_t *)(void *)(p->map + p->nr_map);
	p->section_at = p->section_map + p->nr_sections;

	memset(p->section_map, 0, (size_t)p->nr_sections * sizeof(uint32_t));
	while (section < p->nr_sections &&
	       next_present(c, carving->last, p->first_pfn + (section << p->section_shift), &run)) {
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
	for (pfn = 0; next_present(c, carving->last, pfn, &run);) {
		for (pfn = run.start; pfn < run.end;) {
			unsigned place = place_of(p, c, pfn, &end);

			if (end > run.end)
				end = run.end;
			for (; pfn < end; pfn++) {
				uint64_t offset = pfn - p->first_pfn;
				uint64_t used = p->section_map[offset >> p->section_shift] - 1u;

				p->map[(used << p->section_shift) +
				       (offset & ((UINT64_C(1) << p->section_shift) - 1))].flags =
					(uint32_t)place << QUIRE_PG_ZONE_SHIFT | (uint32_t)QUIRE_PAGE_RESERVED;
			}
		}
	}
}

/* Hand usable frames to the buddy allocator, in the largest aligned blocks of one zone of one node. */
static void release(struct quire *q, const struct quire_config *c, struct run run)
{
	while (run.start < run.end) {
		quire_pfn_t end, i;
		struct quire_zone *zone = &q->pages.zone[place_of(&q->pages, c, run.start, &end)];

		if (end > run.end)
			end = run.end;
		quire_spin_lock_raw(q, &zone->lock);
		while (run.start < end) {
			struct quire_page *page = quire_pfn_to_page(q, run.start);
			unsigned order = QUIRE_MAX_ORDER;

			while ((run.start & ((UINT64_C(1) << order) - 1)) != 0 ||
			       end - run.start < UINT64_C(1) << order)
				order--;
			for (i = 0; i < UINT64_C(1) << order; i++)
				page[i].flags = quire_free_flags(page[i].flags, 0, 0);
			quire_zone_put(q, zone, page, order);
			run.start += UINT64_C(1) << order;
		}
		quire_spin_unlock_raw(q, &zone->lock);
	}
}

static int refuse(struct quire *q, int err, const char *why)
{
	quire_port_log(q, QUIRE_LOG_ERR, why);
	return err;
}

/* Bounds, zones and what must be carved, from the map alone; nothing is touched yet. direct: ask the port for the direct map. */
static int survey(struct quire *q, const struct quire_config *config, bool direct,
		  struct carving *carving)
{
	const char *fault = find_fault(q, config);

	if (fault)
		return refuse(q, -QUIRE_EINVAL, fault);
	set_bounds(&q->pages, config, carving);
	if (direct && !find_direct(q, config))
		return refuse(q, -QUIRE_EINVAL, "memory map: the direct map is not linear");
	measure(&q->pages, config, carving);
	if ((uintptr_t)q->pages.span_pages != q->pages.span_pages)
		return refuse(q, -QUIRE_EINVAL, "memory map: more frames from the first to the last than a word counts");
	if (!place(q, config, carving))
		return refuse(q, -QUIRE_ENOMEM, "memory map: no stretch of low memory holds the page descriptors");
	quire_zones_init(q, config);
	count_zones(q, config, carving);
	if (q->pages.total_pages == 0)
		return refuse(q, -QUIRE_ENOMEM, "memory map: the page descriptors leave no frame");
	return 0;
}

int quire_page_survey(struct quire *q, const struct quire_config *config)
{
	struct carving carving;
	int err = survey(q, config, false, &carving);

	if (!err)
		quire_zones_start(q);
	return err;
}

int quire_page_init(struct quire *q, const struct quire_config *config)
{
	struct quire_pages *p = &q->pages;
	struct carving carving;
	struct run run;
	quire_pfn_t at;
	int err = survey(q, config, true, &carving);

	if (err)
		return err;
	build_descriptors(q, config, &carving);
	for (at = 0; next_free(config, &carving, at, &run); at = run.end)
		release(q, config, run);
	quire_zones_start(q);

	p->zero_page = quire_pfn_to_page(q, carving.run.start);
	p->zero_page->refs = 1;
	quire_port_frames(q, carving.run.start, 0, true);
	quire_page_zero(q, p->zero_page);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What zones and nodes are like: how much each zone keeps free and from whom, how long the per-CPU
 * lists are, in which order an allocation tries them; and what is counted of nodes. Called by memmap.c once,
 * and by whoever tunes or looks on. It hands out no page.
 *
 * Two things keep low memory for those who can use no other. A watermark is what everybody leaves in a
 * zone. lowmem_reserve comes on top of it for those who were free to choose, and is the larger the more
 * they had to choose from, since whatever of that is in use cannot be moved down:
 *
 *	                 DMA       NORMAL              HIGHMEM
 *	GFP_DMA          min
 *	GFP_KERNEL       min + NORMAL / 256            min
 *	GFP_HIGHUSER     min + (NORMAL + HIGHMEM) / 256  min + HIGHMEM / 32     min
 */
#include "page/internal.h"

/* ---- Before there is memory -------------------------------------------------------------- */

static void init_nodes(struct quire *q, const struct quire_config *c)
{
	struct quire_pages *p = &q->pages;
	unsigned i, j;

	p->nr_nodes = c->nr_nodes != 0 ? c->nr_nodes : 1;
	for (i = 0; i < p->nr_nodes; i++)
		for (j = 0; j < p->nr_nodes; j++)
			p->node[i].distance[j] = c->node_distance
							 ? c->node_distance[i * p->nr_nodes + j]
						 : i == j ? QUIRE_LOCAL_DISTANCE
							  : QUIRE_REMOTE_DISTANCE;
	for (i = 0; i < q->nr_cpus; i++)
		p->cpu_node[i] = &p->node[c->cpu_node ? c->cpu_node[i] : i % p->nr_nodes];
}

/* Which zone the bits ask for; a zone that is no zone of its own here is part of NORMAL. */
static void init_gfp_zone(struct quire_pages *p)
{
	static const uint8_t asked[] = {QUIRE_ZONE_DMA, QUIRE_ZONE_DMA32, QUIRE_ZONE_HIGHMEM};
	static const uint8_t bits[] = {QUIRE_GFP_DMA, QUIRE_GFP_DMA32, QUIRE_GFP_HIGHMEM};
	unsigned i;

	for (i = 0; i <= QUIRE_GFP_ZONEMASK; i++)
		p->gfp_zone[i] = QUIRE_NR_ZONES;
	p->gfp_zone[0] = QUIRE_ZONE_NORMAL;
	for (i = 0; i < QUIRE_ARRAY_SIZE(bits); i++)
		p->gfp_zone[bits[i]] =
			(p->zones & 1u << asked[i]) != 0 ? asked[i] : QUIRE_ZONE_NORMAL;
}

void quire_zones_init(struct quire *q, const struct quire_config *config)
{
	static const char *const names[QUIRE_NR_ZONES] = {"DMA", "DMA32", "Normal", "HighMem"};
	unsigned z, order, cpu;

	init_nodes(q, config);
	init_gfp_zone(&q->pages);
	for (z = 0; z < quire_nr_zones(q); z++) {
		struct quire_zone *zone = &q->pages.zone[z];

		zone->name = names[z % QUIRE_NR_ZONES];
		zone->node = z / QUIRE_NR_ZONES;
		for (order = 0; order < QUIRE_NR_ORDERS; order++)
			quire_list_init(&zone->area[order].blocks);
		for (cpu = 0; cpu < q->nr_cpus; cpu++)
			quire_list_init(&zone->pcp[cpu].pages);
	}
}

/* ---- Watermarks and reserves ------------------------------------------------------------- */

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

/* Managed pages of all zones but high memory. */
static uint64_t low_pages(struct quire *q)
{
	uint64_t pages = 0;
	unsigned z;

	for (z = 0; z < quire_nr_zones(q); z++)
		if (z % QUIRE_NR_ZONES != QUIRE_ZONE_HIGHMEM)
			pages += q->pages.zone[z].managed_pages;
	return pages;
}

/*
 * How much to keep free: the root of the low memory, since what is needed at once grows more slowly than
 * what there is. Linux's figures: sqrt(16 * KiB), 128 KiB to 256 MiB.
 */
static uint64_t min_free_kbytes(struct quire *q)
{
	uint64_t kbytes = square_root((low_pages(q) << (QUIRE_PAGE_SHIFT - 10)) * 16);

	return kbytes < 128 ? 128 : kbytes > 262144 ? 262144 : kbytes;
}

/*
 * min: the low zones' shares by their size; of high memory, which nobody needs, next to nothing. From mark to mark
 * a quarter of min, or the zone's part by the scale factor if that is more.
 */
static void set_watermarks(struct quire *q, struct quire_zone *zone, unsigned id, uint64_t lows)
{
	const struct quire_page_sysctl *s = &q->pages.sysctl;
	/* None: the descriptors have taken all low memory. */
	uint64_t share =
		lows ? (s->min_free_kbytes >> (QUIRE_PAGE_SHIFT - 10)) * zone->managed_pages / lows
		     : 0;
	uint64_t few = zone->managed_pages / 1024, min, step;

	few = few < 32 ? 32 : few > 128 ? 128 : few;
	min = id == QUIRE_ZONE_HIGHMEM ? few : share;
	step = zone->managed_pages * s->watermark_scale_factor / 10000;
	if (step < share / 4)
		step = share / 4;
	quire_store(&zone->wmark[QUIRE_WMARK_MIN], min);
	quire_store(&zone->wmark[QUIRE_WMARK_LOW], min + step);
	quire_store(&zone->wmark[QUIRE_WMARK_HIGH], min + 2 * step);
}

/* Of each zone, one page for so many of the zones above it that the allocation could have had, on the same node. */
static void set_reserve(struct quire *q, struct quire_zone *zone, unsigned id)
{
	uint32_t ratio = q->pages.sysctl.lowmem_reserve_ratio[id];
	uint64_t above = 0;
	unsigned j;

	for (j = id + 1; j < QUIRE_NR_ZONES; j++) {
		above += zone[j - id].managed_pages;
		quire_store(&zone->lowmem_reserve[j],
			    ratio != 0 && zone->managed_pages != 0 ? above / ratio : 0);
	}
}

static void set_marks(struct quire *q)
{
	uint64_t lows = low_pages(q);
	unsigned z;

	for (z = 0; z < quire_nr_zones(q); z++) {
		struct quire_zone *zone = &q->pages.zone[z];
		unsigned long flags = quire_spin_lock_irq(q, &zone->lock);

		if (zone->managed_pages != 0)
			set_watermarks(q, zone, z % QUIRE_NR_ZONES, lows);
		set_reserve(q, zone, z % QUIRE_NR_ZONES);
		quire_spin_unlock_irq(q, &zone->lock, flags);
	}
}

int quire_page_set_sysctl(struct quire *q, const struct quire_page_sysctl *sysctl)
{
	if (sysctl->watermark_scale_factor == 0 || sysctl->watermark_scale_factor > 3000 ||
	    sysctl->min_free_kbytes > UINT32_MAX)
		return -QUIRE_EINVAL;
	q->pages.sysctl = *sysctl;
	set_marks(q);
	return 0;
}

/* ---- Lists ------------------------------------------------------------------------------- */

/* A batch is a four-thousandth of the zone, at most 32; all lists together hold at most an eighth of it. */
static void size_lists(struct quire *q)
{
	unsigned z, cpu;

	for (z = 0; z < quire_nr_zones(q); z++) {
		struct quire_zone *zone = &q->pages.zone[z];
		uint64_t batch = zone->managed_pages / 4096, high, share;

		batch = batch < 1 ? 1 : batch > 32 ? 32 : batch;
		high = batch * 6;
		share = zone->managed_pages / 8 / q->nr_cpus;
		if (high > share)
			high = share;
		if (batch > high)
			batch = high == 0
					? 1
					: high; /* without a list one page comes and goes at a time */
		for (cpu = 0; cpu < q->nr_cpus; cpu++) {
			zone->pcp[cpu].high = (uint32_t)high;
			zone->pcp[cpu].batch = (uint32_t)batch;
		}
	}
}

/*
 * The nearest node that is not in the mask yet. Of several as near, the next one by number, from this node on and
 * around: so that not all of them turn to the same one.
 */
static unsigned nearest(const struct quire_pages *p, unsigned from, uint32_t done)
{
	unsigned i, best = QUIRE_NR_NODES;

	for (i = 0; i < p->nr_nodes; i++) {
		unsigned n = (from + i) % p->nr_nodes;

		if ((done >> n & 1) == 0 &&
		    (best == QUIRE_NR_NODES ||
		     p->node[from].distance[n] < p->node[from].distance[best]))
			best = n;
	}
	return best;
}

/* Zone within node: all that is allowed of one node before the next node. */
static void build_zonelists(struct quire_pages *p)
{
	unsigned n, i, to, highest, z;

	for (n = 0; n < p->nr_nodes; n++) {
		struct quire_zone **end[QUIRE_NR_ZONES];
		uint32_t done = 0;

		for (highest = 0; highest < QUIRE_NR_ZONES; highest++)
			end[highest] = p->node[n].zonelist[highest];
		for (i = 0; i < p->nr_nodes; i++) {
			to = nearest(p, n, done);
			done |= 1u << to;
			for (highest = 0; highest < QUIRE_NR_ZONES; highest++)
				for (z = highest + 1; z-- > 0;)
					if (p->zone[to * QUIRE_NR_ZONES + z].managed_pages != 0)
						*end[highest]++ = &p->zone[to * QUIRE_NR_ZONES + z];
		}
	}
}

void quire_zones_start(struct quire *q)
{
	static const uint32_t ratio[QUIRE_NR_ZONES] = {256, 256, 32, 0};
	struct quire_page_sysctl *s = &q->pages.sysctl;
	unsigned z;

	s->min_free_kbytes = min_free_kbytes(q);
	s->watermark_scale_factor = 10;
	for (z = 0; z < QUIRE_NR_ZONES; z++)
		s->lowmem_reserve_ratio[z] = ratio[z];
	set_marks(q);
	size_lists(q);
	build_zonelists(&q->pages);
}

/* ---- Looking on -------------------------------------------------------------------------- */

struct quire_zone *quire_node_zone(struct quire *q, unsigned node, enum quire_zone_id z)
{
	return &q->pages.zone[node * QUIRE_NR_ZONES + (unsigned)z];
}

unsigned quire_cpu_node(struct quire *q, unsigned cpu)
{
	return (unsigned)(q->pages.cpu_node[cpu] - q->pages.node);
}

unsigned quire_node_distance(struct quire *q, unsigned from, unsigned to)
{
	return q->pages.node[from].distance[to];
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

void quire_numa_stat(struct quire *q, unsigned node, struct quire_numa_stat *stat)
{
	uint64_t event[QUIRE_NR_NUMA_EVENTS] = {0}, allocated = 0;
	unsigned z, cpu, i;

	for (cpu = 0; cpu < q->nr_cpus; cpu++)
		for (i = 0; i < QUIRE_NR_NUMA_EVENTS; i++)
			event[i] += quire_load(&q->pages.stat[cpu].numa[node][i]);
	for (z = 0; z < QUIRE_NR_ZONES; z++) {
		const struct quire_zone *zone = quire_node_zone(q, node, (enum quire_zone_id)z);

		allocated += quire_load(&zone->allocated);
		for (cpu = 0; cpu < q->nr_cpus; cpu++)
			allocated += quire_load(&zone->pcp[cpu].allocated);
	}
	/* Read while others count, an allocation may be seen in one and not yet in the other. */
	stat->numa_hit = less(allocated, event[QUIRE_NUMA_MISS]);
	stat->numa_miss = event[QUIRE_NUMA_MISS];
	stat->numa_foreign = event[QUIRE_NUMA_FOREIGN];
	stat->interleave_hit = event[QUIRE_NUMA_INTERLEAVE];
	stat->local_node = less(allocated, event[QUIRE_NUMA_OTHER]);
	stat->other_node = event[QUIRE_NUMA_OTHER];
}

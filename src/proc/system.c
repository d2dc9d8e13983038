/* SPDX-License-Identifier: MIT */
/*
 * The texts about the whole machine: /proc/meminfo, zoneinfo, slabinfo. What is not here
 * (reclaim, swap, huge pages, a block layer) stands in its place as 0, so that parsers which go by
 * line or by name find what they look for. What is here but not counted is left out.
 *
 * Layout: proc_meminfo(5), proc_zoneinfo(5), proc_slabinfo(5), as Linux 6.18
 * prints them.
 */
#include "proc/node.h"

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static unsigned nr_zones(const struct quire *q)
{
	return q->pages.nr_nodes * QUIRE_NR_ZONES;
}

/* As Linux counts: what is on per-CPU lists is not free. *high: of high memory. */
static uint64_t free_pages(struct quire *q, uint64_t *high)
{
	uint64_t pages = 0, free;
	unsigned i;

	*high = 0;
	for (i = 0; i < nr_zones(q); i++) {
		free = quire_load(&q->pages.zone[i].free_pages);
		pages += free;
		if (i % QUIRE_NR_ZONES == QUIRE_ZONE_HIGHMEM)
			*high += free;
	}
	return pages;
}

static uint64_t high_pages(struct quire *q)
{
	uint64_t pages = 0;
	unsigned node;

	for (node = 0; node < q->pages.nr_nodes; node++)
		pages += quire_node_zone(q, node, QUIRE_ZONE_HIGHMEM)->managed_pages;
	return pages;
}

/* ---- meminfo ----------------------------------------------------------------------------- */

/* Pages that the zones keep for themselves, from everybody or from those who could go elsewhere. */
static uint64_t reserve_pages(struct quire *q, uint64_t *low)
{
	uint64_t reserve = 0;
	unsigned i, j;

	*low = 0;
	for (i = 0; i < nr_zones(q); i++) {
		const struct quire_zone *zone = &q->pages.zone[i];
		uint64_t most = 0;

		for (j = 0; j < QUIRE_NR_ZONES; j++)
			most = larger(most, zone->lowmem_reserve[j]);
		*low += zone->wmark[QUIRE_WMARK_LOW];
		reserve += smaller(most + zone->wmark[QUIRE_WMARK_HIGH], zone->managed_pages);
	}
	return reserve;
}

/*
 * What a new program can have without swapping, by Linux's estimate: free pages above the reserves,
 * and of cache and reclaimable slabs all but half or the low watermark, whichever is less.
 */
static uint64_t available_pages(struct quire *q, uint64_t free, uint64_t cache, uint64_t slab)
{
	uint64_t low, reserve = reserve_pages(q, &low);

	cache -= smaller(cache / 2, low);
	slab -= smaller(slab / 2, low);
	return less(free + cache + slab, reserve);
}

int quire_proc_meminfo(struct quire *q, struct quire_sink *sink)
{
	struct emitter e;
	uint64_t high_total = high_pages(q), high_free, free = free_pages(q, &high_free);
	const bool has_high = (q->pages.zones & 1u << QUIRE_ZONE_HIGHMEM) != 0;
	uint64_t file = quire_stat_read(q, QUIRE_STAT_FILE_PAGES);
	uint64_t shmem = quire_stat_read(q, QUIRE_STAT_SHMEM);
	uint64_t anon = quire_stat_read(q, QUIRE_STAT_ANON_MAPPED);
	uint64_t reclaimable = quire_stat_read(q, QUIRE_STAT_SLAB_RECLAIMABLE);
	uint64_t unreclaimable = quire_stat_read(q, QUIRE_STAT_SLAB_UNRECLAIMABLE);
	int64_t committed = quire_load(&q->mms.committed);
	const struct quire_kva_layout *kva = &q->kva.layout;
	size_t i;
	/*
	 * There are no LRU lists yet: everything that would be on one counts as inactive, and
	 * locked pages are not set apart.
	 */
	const struct {
		const char *name;
		uint64_t pages;
	} line[] = {
		{"MemTotal:", q->pages.total_pages},
		{"MemFree:", free},
		{"MemAvailable:", available_pages(q, free, less(file, shmem), reclaimable)},
		{"Buffers:", 0},
		{"Cached:", file},
		{"SwapCached:", 0},
		{"Active:", 0},
		{"Inactive:", anon + file},
		{"Active(anon):", 0},
		{"Inactive(anon):", anon + shmem},
		{"Active(file):", 0},
		{"Inactive(file):", less(file, shmem)},
		{"Unevictable:", quire_stat_read(q, QUIRE_STAT_MLOCK)},
		{"Mlocked:", quire_stat_read(q, QUIRE_STAT_MLOCK)},
		/* Linux has these four where it was built for high memory. */
		{has_high ? "HighTotal:" : NULL, high_total},
		{has_high ? "HighFree:" : NULL, high_free},
		{has_high ? "LowTotal:" : NULL, q->pages.total_pages - high_total},
		{has_high ? "LowFree:" : NULL, less(free, high_free)},
		{"SwapTotal:", 0},
		{"SwapFree:", 0},
		{"Zswap:", 0},
		{"Zswapped:", 0},
		{"Dirty:", quire_stat_read(q, QUIRE_STAT_FILE_DIRTY)},
		{"Writeback:", quire_stat_read(q, QUIRE_STAT_WRITEBACK)},
		{"AnonPages:", anon},
		{"Mapped:", quire_stat_read(q, QUIRE_STAT_FILE_MAPPED)},
		{"Shmem:", shmem},
		{"KReclaimable:", reclaimable},
		{"Slab:", reclaimable + unreclaimable},
		{"SReclaimable:", reclaimable},
		{"SUnreclaim:", unreclaimable},
		{"KernelStack:", 0},
		{"PageTables:", quire_stat_read(q, QUIRE_STAT_PAGETABLE)},
		{"SecPageTables:", 0},
		{"NFS_Unstable:", 0},
		{"Bounce:", 0},
		{"WritebackTmp:", 0},
		{"CommitLimit:", quire_commit_limit(q)},
		{"Committed_AS:", committed > 0 ? (uint64_t)committed : 0},
		{"VmallocTotal:", (kva->vmalloc_end - kva->vmalloc_start) >> QUIRE_PAGE_SHIFT},
		{"VmallocUsed:", quire_load(&q->vmalloc.nr_pages)},
		{"VmallocChunk:", 0},
		{"Percpu:", 0},
	};

	quire_emitter_init(&e, sink);
	for (i = 0; i < QUIRE_ARRAY_SIZE(line); i++)
		if (line[i].name)
			quire_emit_kb(&e, line[i].name, 16, line[i].pages << QUIRE_PAGE_SHIFT);
	quire_emit_direct_map(&e, q);
	return quire_emitter_finish(&e);
}

/* ---- zoneinfo ---------------------------------------------------------------------------- */

#define LARGE_ORDER 9u

/* "\n      name         value": how zoneinfo and its per-node block show one counter. */
static void emit_counter(struct emitter *e, const char *name, uint64_t value)
{
	quire_text_put(&e->text, "\n      ");
	quire_text_left(&e->text, name, 12);
	quire_text_char(&e->text, ' ');
	quire_text_u64(&e->text, value, 1);
}

static void emit_node_stats(struct emitter *e, struct quire *q, unsigned node)
{
	const bool slabs_known = q->pages.nr_nodes == 1;
	struct node_usage u;
	size_t i;

	quire_node_usage(q, node, &u);

	const struct {
		const char *name;
		uint64_t pages;
	} line[] = {
		{"nr_inactive_anon", u.anon + u.shmem},
		{"nr_active_anon", 0},
		{"nr_inactive_file", less(u.file, u.shmem)},
		{"nr_active_file", 0},
		{"nr_unevictable", u.locked},
		{slabs_known ? "nr_slab_reclaimable" : NULL, u.slab_reclaimable},
		{slabs_known ? "nr_slab_unreclaimable" : NULL, less(u.slab, u.slab_reclaimable)},
		{"nr_isolated_anon", 0},
		{"nr_isolated_file", 0},
		{"workingset_nodes", 0},
		{"workingset_refault_anon", 0},
		{"workingset_refault_file", 0},
		{"workingset_activate_anon", 0},
		{"workingset_activate_file", 0},
		{"workingset_restore_anon", 0},
		{"workingset_restore_file", 0},
		{"workingset_nodereclaim", 0},
		{"nr_anon_pages", u.anon},
		{"nr_mapped", u.mapped},
		{"nr_file_pages", u.file},
		{"nr_dirty", u.dirty},
		{"nr_writeback", u.writeback},
		{"nr_shmem", u.shmem},
		{"nr_shmem_hugepages", 0},
		{"nr_shmem_pmdmapped", 0},
		{"nr_file_hugepages", 0},
		{"nr_file_pmdmapped", 0},
		{"nr_anon_transparent_hugepages", 0},
		{"nr_vmscan_write", 0},
		{"nr_vmscan_immediate_reclaim", 0},
		{"nr_throttled_written", 0},
		{"nr_kernel_misc_reclaimable", 0},
		{"nr_kernel_stack", 0},
		{"nr_page_table_pages", u.tables},
		{"nr_sec_page_table_pages", 0},
		{"nr_swapcached", 0},
	};

	quire_text_put(&e->text, "\n  per-node stats");
	for (i = 0; i < QUIRE_ARRAY_SIZE(line); i++)
		if (line[i].name)
			emit_counter(e, line[i].name, line[i].pages);
}

/* Free pages in blocks as large as what an upper entry of a table maps, 2 MiB on x86. */
static uint64_t pages_in_blocks(const struct quire_zone *zone)
{
	uint64_t pages = 0;
	unsigned order;

	for (order = LARGE_ORDER; order < QUIRE_NR_ORDERS; order++)
		pages += quire_load(&zone->area[order].nr_free) << order;
	return pages;
}

static void emit_pageset(struct emitter *e, const struct quire_pcp *pcp, unsigned cpu)
{
	const struct {
		const char *name;
		uint64_t value;
	} line[] = {
		{"\n    cpu: ", cpu},
		{"\n              count:    ", quire_load(&pcp->count)},
		{"\n              high:     ", pcp->high},
		{"\n              batch:    ", pcp->batch},
		/* Linux tunes high between these two; here it stays what it is. */
		{"\n              high_min: ", pcp->high},
		{"\n              high_max: ", pcp->high},
		/* How far a counter may be off on this CPU: not at all, sums take every CPU in. */
		{"\n  vm stats threshold: ", 0},
	};
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(line); i++) {
		quire_text_put(&e->text, line[i].name);
		quire_text_u64(&e->text, line[i].value, 1);
	}
}

static void emit_zone(struct emitter *e, struct quire *q, struct quire_zone *zone, bool first)
{
	struct quire_text *t = &e->text;
	const struct {
		const char *name;
		uint64_t pages;
	} line[] = {
		{"\n  pages free     ", quire_load(&zone->free_pages)},
		{"\n        boost    ", 0},
		{"\n        min      ", zone->wmark[QUIRE_WMARK_MIN]},
		{"\n        low      ", zone->wmark[QUIRE_WMARK_LOW]},
		{"\n        high     ", zone->wmark[QUIRE_WMARK_HIGH]},
		{"\n        promo    ", 0},
		{"\n        spanned  ", zone->spanned_pages},
		{"\n        present  ", zone->present_pages},
		{"\n        managed  ", zone->managed_pages},
		{"\n        cma      ", 0},
	};
	size_t i;
	unsigned cpu;

	quire_emit_zone_head(e, zone);
	if (first)
		emit_node_stats(e, q, zone->node);
	for (i = 0; i < QUIRE_ARRAY_SIZE(line); i++) {
		quire_text_put(t, line[i].name);
		quire_text_u64(t, line[i].pages, 1);
	}
	quire_text_put(t, "\n        protection: (");
	for (i = 0; i < QUIRE_NR_ZONES; i++) {
		if (i)
			quire_text_put(t, ", ");
		quire_text_u64(t, zone->lowmem_reserve[i], 1);
	}
	quire_text_char(t, ')');
	if (!zone->present_pages) {
		quire_text_char(t, '\n');
		return;
	}
	emit_counter(e, "nr_free_pages", quire_load(&zone->free_pages));
	emit_counter(e, "nr_free_pages_blocks", pages_in_blocks(zone));
	emit_counter(e, "nr_zspages", 0);
	emit_counter(e, "nr_free_cma", 0);
	quire_text_put(t, "\n  pagesets");
	for (cpu = 0; cpu < q->nr_cpus; cpu++)
		emit_pageset(e, &zone->pcp[cpu], cpu);
	quire_text_put(t, "\n  node_unreclaimable:  0\n  start_pfn:           ");
	quire_text_u64(t, zone->start_pfn, 1);
	quire_text_char(t, '\n');
}

int quire_proc_zoneinfo(struct quire *q, struct quire_sink *sink)
{
	struct emitter e;
	bool first = true; /* of its node's zones with memory */
	unsigned i;

	quire_emitter_init(&e, sink);
	for (i = 0; i < nr_zones(q); i++) {
		struct quire_zone *zone = &q->pages.zone[i];

		if (i % QUIRE_NR_ZONES == 0)
			first = true;
		emit_zone(&e, q, zone, first && zone->present_pages);
		if (zone->present_pages)
			first = false;
	}
	return quire_emitter_finish(&e);
}

/* ---- slabinfo ---------------------------------------------------------------------------- */

struct cache_view {
	const char *name;
	struct quire_cache_stat stat;
	uint64_t stride, objects_per_slab, pages_per_slab;
};

/*
 * The nth cache; false: there are not so many. By number, so that no lock is held while the host's
 * sink takes the text; a cache that comes or goes meanwhile may move others by one.
 */
static bool look_at_cache(struct quire *q, unsigned n, struct cache_view *view)
{
	unsigned long flags = quire_spin_lock_irq(q, &q->slabs.lock);
	struct quire_list *pos = q->slabs.caches.next;
	bool found;

	for (; n && pos != &q->slabs.caches; n--)
		pos = pos->next;
	found = pos != &q->slabs.caches;
	if (found) {
		struct quire_cache *cache = quire_list_entry(pos, struct quire_cache, link);

		view->name = cache->name;
		view->stride = cache->stride;
		view->objects_per_slab = cache->objects_per_slab;
		view->pages_per_slab = UINT64_C(1) << cache->order;
		quire_cache_stat(q, cache, &view->stat);
	}
	quire_spin_unlock_irq(q, &q->slabs.lock, flags);
	return found;
}

int quire_proc_slabinfo(struct quire *q, struct quire_sink *sink)
{
	struct emitter e;
	struct quire_text *t = &e.text;
	struct cache_view view;
	unsigned n;

	quire_emitter_init(&e, sink);
	quire_text_put(
		t,
		"slabinfo - version: 2.1\n"
		"# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
		" : tunables <limit> <batchcount> <sharedfactor>"
		" : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	for (n = 0; !e.error && look_at_cache(q, n, &view); n++) {
		const struct {
			uint64_t value;
			unsigned width;
		} before[] = {
			{view.stat.active_objects, 6},
			{view.stat.total_objects, 6},
			{view.stride, 6},
			{view.objects_per_slab, 4},
			{view.pages_per_slab, 4},
		};
		size_t i;

		quire_text_left(t, view.name, 17);
		for (i = 0; i < QUIRE_ARRAY_SIZE(before); i++) {
			quire_text_char(t, ' ');
			quire_text_u64(t, before[i].value, before[i].width);
		}
		quire_text_put(t, " : tunables    0    0    0 : slabdata ");
		quire_text_u64(t, view.stat.active_slabs, 6);
		quire_text_char(t, ' ');
		quire_text_u64(t, view.stat.total_slabs, 6);
		quire_text_put(t, "      0\n");
	}
	return quire_emitter_finish(&e);
}

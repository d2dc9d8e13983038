/* SPDX-License-Identifier: MIT */
/*
 * The texts about memory by node and zone: meminfo and numastat of /sys/devices/system/node/nodeN,
 * buddyinfo, and how broken up free memory is, as /sys/kernel/debug/extfrag has it.
 *
 * Nobody counts by node what pages are used for. With one node the counters of all are its own; with
 * several, whoever asks pays: every descriptor is looked at, with no lock, and may change meanwhile.
 *
 * Layout: numastat.rst, proc_buddyinfo(5), sysctl/vm.rst (extfrag_threshold), as Linux 6.18 prints them.
 */
#include "proc/node.h"

/* ---- What a node's pages are used for ---------------------------------------------------- */

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void count_page(const struct quire_page *page, struct node_usage *u)
{
	uint32_t flags = quire_load(&page->flags);
	bool mapped = quire_load(&page->maps) != 0;

	switch ((enum quire_page_kind)(flags & QUIRE_PG_KIND_MASK)) {
	case QUIRE_PAGE_ANON:
		u->anon += mapped;
		u->locked += quire_load(&page->aux) != 0;
		break;
	case QUIRE_PAGE_CACHE:
		u->file++;
		u->mapped += mapped;
		u->locked += quire_load(&page->aux) != 0;
		u->shmem += (flags & QUIRE_PG_SWAPBACKED) != 0;
		u->dirty += (flags & QUIRE_PG_DIRTY) != 0 && (flags & QUIRE_PG_TRACKED) != 0;
		u->writeback += (flags & QUIRE_PG_WRITEBACK) != 0;
		break;
	case QUIRE_PAGE_TABLE:
		u->tables++;
		break;
	case QUIRE_PAGE_SLAB:
		u->slab++;
		break;
	default:
		break;
	}
}

void quire_node_usage(struct quire *q, unsigned node, struct node_usage *u)
{
	uint64_t i;

	*u = (struct node_usage){0};
	if (q->pages.nr_nodes == 1) {
		u->anon = quire_stat_read(q, QUIRE_STAT_ANON_MAPPED);
		u->file = quire_stat_read(q, QUIRE_STAT_FILE_PAGES);
		u->mapped = quire_stat_read(q, QUIRE_STAT_FILE_MAPPED);
		u->shmem = quire_stat_read(q, QUIRE_STAT_SHMEM);
		u->dirty = quire_stat_read(q, QUIRE_STAT_FILE_DIRTY);
		u->writeback = quire_stat_read(q, QUIRE_STAT_WRITEBACK);
		u->locked = quire_stat_read(q, QUIRE_STAT_MLOCK);
		u->tables = quire_stat_read(q, QUIRE_STAT_PAGETABLE);
		u->slab_reclaimable = quire_stat_read(q, QUIRE_STAT_SLAB_RECLAIMABLE);
		u->slab = u->slab_reclaimable + quire_stat_read(q, QUIRE_STAT_SLAB_UNRECLAIMABLE);
		return;
	}
	for (i = 0; i < q->pages.nr_map; i++) {
		const struct quire_page *page = &q->pages.map[i];

		if (quire_page_node(page) == node && !quire_page_test(page, QUIRE_PG_ABSENT))
			count_page(page, u);
	}
}

/* ---- /sys/devices/system/node/nodeN ------------------------------------------------------ */

int quire_proc_node_meminfo(struct quire *q, unsigned node, struct quire_sink *sink)
{
	struct emitter e;
	struct node_usage u;
	uint64_t total = 0, free = 0, high_total, high_free;
	const bool has_high = (q->pages.zones & 1u << QUIRE_ZONE_HIGHMEM) != 0;
	const bool slabs_known = q->pages.nr_nodes == 1;
	size_t i;

	if (node >= q->pages.nr_nodes)
		return -QUIRE_EINVAL;
	quire_node_usage(q, node, &u);
	for (i = 0; i < QUIRE_NR_ZONES; i++) {
		total += quire_node_zone(q, node, (enum quire_zone_id)i)->managed_pages;
		free += quire_load(&quire_node_zone(q, node, (enum quire_zone_id)i)->free_pages);
	}
	high_total = quire_node_zone(q, node, QUIRE_ZONE_HIGHMEM)->managed_pages;
	high_free = quire_load(&quire_node_zone(q, node, QUIRE_ZONE_HIGHMEM)->free_pages);

	const struct {
		const char *name;
		uint64_t pages;
	} line[] = {
		{"MemTotal:", total},
		{"MemFree:", free},
		{"MemUsed:", less(total, free)},
		{"SwapCached:", 0},
		{"Active:", 0},
		{"Inactive:", u.anon + u.file},
		{"Active(anon):", 0},
		{"Inactive(anon):", u.anon + u.shmem},
		{"Active(file):", 0},
		{"Inactive(file):", less(u.file, u.shmem)},
		{"Unevictable:", u.locked},
		{"Mlocked:", u.locked},
		{has_high ? "HighTotal:" : NULL, high_total},
		{has_high ? "HighFree:" : NULL, high_free},
		{has_high ? "LowTotal:" : NULL, total - high_total},
		{has_high ? "LowFree:" : NULL, less(free, high_free)},
		{"Dirty:", u.dirty},
		{"Writeback:", u.writeback},
		{"FilePages:", u.file},
		{"Mapped:", u.mapped},
		{"AnonPages:", u.anon},
		{"Shmem:", u.shmem},
		{"KernelStack:", 0},
		{"PageTables:", u.tables},
		{"SecPageTables:", 0},
		{"NFS_Unstable:", 0},
		{"Bounce:", 0},
		{"WritebackTmp:", 0},
		{slabs_known ? "KReclaimable:" : NULL, u.slab_reclaimable},
		{"Slab:", u.slab},
		{slabs_known ? "SReclaimable:" : NULL, u.slab_reclaimable},
		{slabs_known ? "SUnreclaim:" : NULL, less(u.slab, u.slab_reclaimable)},
	};

	quire_emitter_init(&e, sink);
	for (i = 0; i < QUIRE_ARRAY_SIZE(line); i++) {
		if (!line[i].name)
			continue;
		quire_text_put(&e.text, "Node ");
		quire_text_u64(&e.text, node, 1);
		quire_text_char(&e.text, ' ');
		quire_emit_kb(&e, line[i].name, 16, line[i].pages << QUIRE_PAGE_SHIFT);
	}
	return quire_emitter_finish(&e);
}

int quire_proc_node_numastat(struct quire *q, unsigned node, struct quire_sink *sink)
{
	struct emitter e;
	struct quire_numa_stat s;
	size_t i;

	if (node >= q->pages.nr_nodes)
		return -QUIRE_EINVAL;
	quire_numa_stat(q, node, &s);

	const struct {
		const char *name;
		uint64_t pages;
	} line[] = {
		{"numa_hit ", s.numa_hit},	   {"numa_miss ", s.numa_miss},
		{"numa_foreign ", s.numa_foreign}, {"interleave_hit ", s.interleave_hit},
		{"local_node ", s.local_node},	   {"other_node ", s.other_node},
	};

	quire_emitter_init(&e, sink);
	for (i = 0; i < QUIRE_ARRAY_SIZE(line); i++) {
		quire_text_put(&e.text, line[i].name);
		quire_text_u64(&e.text, line[i].pages, 1);
		quire_text_char(&e.text, '\n');
	}
	return quire_emitter_finish(&e);
}

/* ---- Free memory, order by order --------------------------------------------------------- */

void quire_emit_zone_head(struct emitter *e, const struct quire_zone *zone)
{
	quire_text_put(&e->text, "Node ");
	quire_text_u64(&e->text, zone->node, 1);
	quire_text_put(&e->text, ", zone ");
	quire_text_right(&e->text, zone->name, 8);
}

static void emit_nr_free(struct emitter *e, const struct quire_zone *zone, unsigned order)
{
	quire_text_u64(&e->text, quire_load(&zone->area[order].nr_free), 6);
	quire_text_char(&e->text, ' ');
}

/* Free blocks of a zone, and how many blocks of that order could be had from them. */
struct free_blocks {
	uint64_t pages, blocks, suitable;
};

static struct free_blocks count_free(const struct quire_zone *zone, unsigned order)
{
	struct free_blocks f = {0};
	unsigned o;

	for (o = 0; o < QUIRE_NR_ORDERS; o++) {
		uint64_t n = quire_load(&zone->area[o].nr_free);

		f.pages += n << o;
		f.blocks += n;
		if (o >= order)
			f.suitable += n << (o - order);
	}
	return f;
}

static void emit_thousandths(struct emitter *e, uint64_t value, unsigned width)
{
	quire_text_u64(&e->text, value / 1000, width);
	quire_text_char(&e->text, '.');
	value %= 1000;
	quire_text_char(&e->text, (char)('0' + value / 100));
	quire_text_char(&e->text, (char)('0' + value / 10 % 10));
	quire_text_char(&e->text, (char)('0' + value % 10));
	quire_text_char(&e->text, ' ');
}

/* Which part of the free memory is in blocks too small: 0, none, to 1, all (or there is none). */
static void emit_unusable(struct emitter *e, const struct quire_zone *zone, unsigned order)
{
	struct free_blocks f = count_free(zone, order);

	emit_thousandths(
		e, f.pages == 0 ? 1000 : (f.pages - (f.suitable << order)) * 1000 / f.pages, 1);
}

/*
 * Why an allocation would fail: towards 0 for want of memory, towards 1 because it is broken up; -1: it would not.
 * 1 - (1 + pages / requested) / blocks.
 */
static void emit_extfrag(struct emitter *e, const struct quire_zone *zone, unsigned order)
{
	struct free_blocks f = count_free(zone, order);

	if (f.suitable != 0)
		quire_text_put(&e->text, "-1.000 ");
	else
		emit_thousandths(
			e,
			f.blocks == 0 ? 0
				      : less(1000, (1000 + (f.pages * 1000 >> order)) / f.blocks),
			2);
}

/* A line a zone with memory, a column an order. */
static int emit_orders(struct quire *q, struct quire_sink *sink,
		       void (*column)(struct emitter *e, const struct quire_zone *zone,
				      unsigned order))
{
	struct emitter e;
	unsigned i, order;

	quire_emitter_init(&e, sink);
	for (i = 0; i < q->pages.nr_nodes * QUIRE_NR_ZONES; i++) {
		const struct quire_zone *zone = &q->pages.zone[i];

		if (!zone->present_pages)
			continue;
		quire_emit_zone_head(&e, zone);
		quire_text_char(&e.text, ' ');
		for (order = 0; order < QUIRE_NR_ORDERS; order++)
			column(&e, zone, order);
		quire_text_char(&e.text, '\n');
	}
	return quire_emitter_finish(&e);
}

int quire_proc_buddyinfo(struct quire *q, struct quire_sink *sink)
{
	return emit_orders(q, sink, emit_nr_free);
}

int quire_proc_unusable_index(struct quire *q, struct quire_sink *sink)
{
	return emit_orders(q, sink, emit_unusable);
}

int quire_proc_extfrag_index(struct quire *q, struct quire_sink *sink)
{
	return emit_orders(q, sink, emit_extfrag);
}

/* SPDX-License-Identifier: MIT */
/*
 * The texts about the whole machine: meminfo, buddyinfo, zoneinfo, slabinfo. What they say depends
 * on what the machine happens to have; so each is parsed as programs parse it, printed again with
 * Linux's format, and must be the same text, and its numbers must fulfil Linux's equations. And what
 * holds for all texts: a sink that refuses.
 */
#include "proc.h"

/* ---- meminfo ----------------------------------------------------------------------------- */

static void test_meminfo_has_linux_s_lines_in_their_order(void **state)
{
	static const char *const names[] = {
		"MemTotal",	"MemFree",	  "MemAvailable", "Buffers",	  "Cached",
		"SwapCached",	"Active",	  "Inactive",	  "Active(anon)", "Inactive(anon)",
		"Active(file)", "Inactive(file)", "Unevictable",  "Mlocked",	  "SwapTotal",
		"SwapFree",	"Zswap",	  "Zswapped",	  "Dirty",	  "Writeback",
		"AnonPages",	"Mapped",	  "Shmem",	  "KReclaimable", "Slab",
		"SReclaimable", "SUnreclaim",	  "KernelStack",  "PageTables",	  "SecPageTables",
		"NFS_Unstable", "Bounce",	  "WritebackTmp", "CommitLimit",  "Committed_AS",
		"VmallocTotal", "VmallocUsed",	  "VmallocChunk", "Percpu",
	};
	const char *text = meminfo();
	char line[100], expected[150], name[100];
	unsigned long long kb;

	(void)state;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(names); i++) {
		text = next_line(text, line, sizeof(line));
		assert_non_null(text);
		assert_int_equal(sscanf(line, "%98[^:]: %llu kB", name, &kb), 2);
		assert_string_equal(name, names[i]);
		strcat(name, ":");
		snprintf(expected, sizeof(expected), "%-16s%8llu kB", name, kb);
		assert_string_equal(line, expected);
	}
	assert_null(next_line(text, line, sizeof(line)));
}

/* Pages on per-CPU lists, of all zones. */
static unsigned long long listed_pages(void)
{
	unsigned long long pages = 0;
	const char *text = zoneinfo();

	while ((text = strstr(text, "\n              count:    ")) && text++)
		pages += strtoull(text + strlen("              count:    "), NULL, 10);
	return pages;
}

static unsigned long long buddy_pages(void)
{
	const char *text;
	char line[200];
	unsigned long long pages = 0;

	assert_int_equal(quire_proc_buddyinfo(space.q, blank()), 0);
	for (text = paper.text; (text = next_line(text, line, sizeof(line)));) {
		char *at = strstr(line, "zone") + 4 + 9;

		for (unsigned order = 0; order < 11; order++)
			pages += strtoull(at, &at, 10) << order;
	}
	return pages;
}

#define SHARED (BASE + 16 * PAGE)
#define FILED (BASE + 32 * PAGE)

static void test_meminfo_adds_up(void **state)
{
	struct disk *d = disk_new(space.q, 8 * PAGE);
	struct quire_mm *child;
	unsigned long long tables = 0, free_kb;
	const char *text;

	(void)state;
	space.q->mms.sysctl.overcommit_ratio = 50;
	space.q->mms.sysctl.overcommit_total_pages = 0;
	map_anon(space.mm, BASE, 8, QUIRE_MAP_PRIVATE);
	map_anon(space.mm, SHARED, 4, QUIRE_MAP_SHARED);
	put_file(space.mm, FILED, 8, VM_RW | VM_S, &d->file, 0);
	for (unsigned i = 0; i < 5; i++)
		set(BASE + i * PAGE, 1);
	set(SHARED, 1);
	for (unsigned i = 0; i < 3; i++)
		(void)get(FILED + i * PAGE);
	set(FILED, 1);
	child = fork_space(space.mm);

	text = meminfo();
	assert_int_equal(field(text, "AnonPages"),
			 KB(5)); /* shared between the two, counted once */
	assert_int_equal(field(text, "Mapped"), KB(4));
	assert_int_equal(field(text, "Shmem"), KB(1));
	assert_int_equal(field(text, "Cached"), KB(4)); /* the file's three and that one */
	assert_int_equal(field(text, "Dirty"), KB(1));
	assert_int_equal(field(text, "Writeback"), 0);
	assert_int_equal(field(text, "Inactive(anon)") + field(text, "Active(anon)"), KB(6));
	assert_int_equal(field(text, "Inactive(file)") + field(text, "Active(file)"), KB(3));
	assert_int_equal(field(text, "Inactive"),
			 field(text, "Inactive(anon)") + field(text, "Inactive(file)"));
	assert_int_equal(field(text, "Slab"),
			 field(text, "SReclaimable") + field(text, "SUnreclaim"));
	assert_int_equal(field(text, "KReclaimable"), field(text, "SReclaimable"));
	assert_int_equal(field(text, "MemTotal"), KB(space.q->pages.total_pages));
	/* proc(5): the ratio's part of memory, no swap. */
	assert_int_equal(field(text, "CommitLimit"), KB(space.q->pages.total_pages * 50 / 100));
	/* Private writable memory of both, and shared memory once. */
	assert_int_equal(field(text, "Committed_AS"), KB(8 + 8 + 4));
	for (unsigned i = 0; i < 5; i++)
		tables += space.mm->pt.tables[i < 4 ? i : 4] + child->pt.tables[i < 4 ? i : 4];
	assert_int_equal(field(text, "PageTables"), KB(tables));

	free_kb = field(text, "MemFree");
	assert_true(field(text, "MemAvailable") < free_kb + KB(3) + field(text, "SReclaimable"));
	assert_true(field(text, "MemAvailable") > free_kb / 2);
	assert_int_equal(free_kb, KB(buddy_pages()));
	assert_int_equal(free_kb + KB(listed_pages()), KB(quire_free_pages(space.q)));

	assert_int_equal(quire_object_sync(&d->object, 0, 7), 0);
	assert_int_equal(field(meminfo(), "Dirty"), 0);
	put_space(child);
	drop_file(d, FILED, 8);
	text = meminfo();
	assert_int_equal(field(text, "Cached"), KB(1));
	assert_int_equal(field(text, "Committed_AS"), KB(8 + 4));

	space.q->mms.sysctl.overcommit_kbytes = 123456;
	assert_int_equal(field(meminfo(), "CommitLimit"), 123456);
	space.q->mms.sysctl.overcommit_kbytes = 0;
}

/*
 * si_mem_available() by hand: free pages above the high watermarks, and of the cache all but half
 * or the low watermarks.
 */
static void test_meminfo_estimates_what_is_available(void **state)
{
	struct quire_zone *zones = space.q->pages.zone;
	struct disk *d = disk_new(space.q, 64 * PAGE);
	unsigned long long expected, low = 0, high = 0, slab, free_kb;
	const char *text;
	char byte;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(quire_object_read(&d->object, i * PAGE, &byte, 1), 1);
	for (unsigned z = 0; z < QUIRE_NR_ZONES; z++) {
		low += zones[z].wmark[QUIRE_WMARK_LOW];
		high += zones[z].wmark[QUIRE_WMARK_HIGH];
	}
	text = meminfo();
	free_kb = field(text, "MemFree");
	slab = field(text, "SReclaimable") / KB(1);
	/* The first zone keeps a page for every 256 of the second, which is all there is above it. */
	expected = free_kb / KB(1) - high - zones[QUIRE_ZONE_DMA32].managed_pages / 256 + (64 - (32 < low ? 32 : low)) +
		   (slab - (slab / 2 < low ? slab / 2 : low));
	assert_int_equal(field(text, "MemAvailable"), KB(expected));

	/* What zones keep for those who cannot go elsewhere is nobody's to count on. */
	zones[QUIRE_ZONE_DMA32].lowmem_reserve[QUIRE_ZONE_NORMAL] = 100;
	assert_int_equal(field(meminfo(), "MemAvailable"), KB(expected - 100));
	zones[QUIRE_ZONE_DMA32].lowmem_reserve[QUIRE_ZONE_NORMAL] = 0;
	assert_null(disk_delete(d));
}

/* ---- buddyinfo, zoneinfo ----------------------------------------------------------------- */

static void test_buddyinfo_has_a_line_for_each_zone_with_memory(void **state)
{
	static const char *const zones[] = {"DMA", "DMA32"}; /* 64 MiB */
	unsigned long long n[11];
	char line[200], name[20], expected[200];
	const char *text;
	unsigned node;
	int at, len;

	(void)state;
	assert_int_equal(quire_proc_buddyinfo(space.q, blank()), 0);
	text = paper.text;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(zones); i++) {
		text = next_line(text, line, sizeof(line));
		assert_non_null(text);
		assert_int_equal(sscanf(line, "Node %u, zone %19s%n", &node, name, &at), 2);
		assert_string_equal(name, zones[i]);
		len = snprintf(expected, sizeof(expected), "Node %u, zone %8s ", node, name);
		for (unsigned order = 0; order < 11; order++) {
			char *end;

			n[order] = strtoull(line + at, &end, 10);
			at = (int)(end - line);
			len += snprintf(expected + len, sizeof(expected) - (size_t)len, "%6llu ",
					n[order]);
			assert_int_equal(n[order], space.q->pages.zone[i].area[order].nr_free);
		}
		assert_string_equal(line, expected);
	}
	assert_int_equal(*text, 0);
}

/* Every run of digits that stands for a value becomes one '#'. */
static void without_numbers(const char *text, char *shape)
{
	char before = '\n';

	for (; *text; before = *text++) {
		if (*text < '0' || *text > '9' || (before >= 'A' && before <= 'Z') ||
		    (before >= 'a' && before <= 'z'))
			*shape++ = *text;
		else if (before < '0' || before > '9')
			*shape++ = '#';
		else if (shape[-1] != '#')
			*shape++ = *text; /* more digits of a name: DMA32 */
	}
	*shape = 0;
}

/* As Linux 6.18 without NUMA and huge pages prints it, less the counters that are not kept here. */
static void test_zoneinfo_is_laid_out_as_on_linux(void **state)
{
	static const char node_stats[] = "\n  per-node stats"
					 "\n      nr_inactive_anon #"
					 "\n      nr_active_anon #"
					 "\n      nr_inactive_file #"
					 "\n      nr_active_file #"
					 "\n      nr_unevictable #"
					 "\n      nr_slab_reclaimable #"
					 "\n      nr_slab_unreclaimable #"
					 "\n      nr_isolated_anon #"
					 "\n      nr_isolated_file #"
					 "\n      workingset_nodes #"
					 "\n      workingset_refault_anon #"
					 "\n      workingset_refault_file #"
					 "\n      workingset_activate_anon #"
					 "\n      workingset_activate_file #"
					 "\n      workingset_restore_anon #"
					 "\n      workingset_restore_file #"
					 "\n      workingset_nodereclaim #"
					 "\n      nr_anon_pages #"
					 "\n      nr_mapped    #"
					 "\n      nr_file_pages #"
					 "\n      nr_dirty     #"
					 "\n      nr_writeback #"
					 "\n      nr_shmem     #"
					 "\n      nr_shmem_hugepages #"
					 "\n      nr_shmem_pmdmapped #"
					 "\n      nr_file_hugepages #"
					 "\n      nr_file_pmdmapped #"
					 "\n      nr_anon_transparent_hugepages #"
					 "\n      nr_vmscan_write #"
					 "\n      nr_vmscan_immediate_reclaim #"
					 "\n      nr_throttled_written #"
					 "\n      nr_kernel_misc_reclaimable #"
					 "\n      nr_kernel_stack #"
					 "\n      nr_page_table_pages #"
					 "\n      nr_sec_page_table_pages #"
					 "\n      nr_swapcached #";
	static const char pages[] = "\n  pages free     #"
				    "\n        boost    #"
				    "\n        min      #"
				    "\n        low      #"
				    "\n        high     #"
				    "\n        promo    #"
				    "\n        spanned  #"
				    "\n        present  #"
				    "\n        managed  #"
				    "\n        cma      #"
				    "\n        protection: (#, #, #, #)";
	static const char populated[] = "\n      nr_free_pages #"
					"\n      nr_free_pages_blocks #"
					"\n      nr_zspages   #"
					"\n      nr_free_cma  #"
					"\n  pagesets"
					"\n    cpu: #"
					"\n              count:    #"
					"\n              high:     #"
					"\n              batch:    #"
					"\n              high_min: #"
					"\n              high_max: #"
					"\n  vm stats threshold: #"
					"\n  node_unreclaimable:  #"
					"\n  start_pfn:           #\n";
	static char expected[1 << 14], shape[1 << 16];

	(void)state;
	snprintf(expected, sizeof(expected), "%s%s%s%s%s%s%s%s%s%s%s", "Node #, zone      DMA",
		 node_stats, pages, populated, "Node #, zone    DMA32", pages, populated,
		 "Node #, zone   Normal", pages, "\nNode #, zone  HighMem", pages);
	strcat(expected, "\n");
	without_numbers(zoneinfo(), shape);
	assert_string_equal(shape, expected);
}

static unsigned long long zone_value(const char *zone_text, const char *prefix)
{
	const char *at = strstr(zone_text, prefix);

	assert_non_null(at);
	return strtoull(at + strlen(prefix), NULL, 10);
}

static void test_zoneinfo_adds_up(void **state)
{
	struct quire_zone *zone;
	unsigned long long free_pages, blocks, listed;
	char head[40];
	const char *text;

	(void)state;
	map_anon(space.mm, BASE, 8, QUIRE_MAP_PRIVATE);
	set(BASE, 1);
	for (unsigned z = 0; z < 2; z++) {
		zone = &space.q->pages.zone[z];
		snprintf(head, sizeof(head), "zone %8s\n", zone->name);
		text = strstr(zoneinfo(), head);
		assert_non_null(text);
		free_pages = zone_value(text, "  pages free     ");
		assert_int_equal(zone_value(text, "nr_free_pages "), free_pages);
		blocks = 0;
		for (unsigned order = 0; order < 11; order++)
			blocks += zone->area[order].nr_free << order;
		assert_int_equal(free_pages, blocks);
		assert_int_equal(zone_value(text, "nr_free_pages_blocks "),
				 zone->area[9].nr_free * 512 + zone->area[10].nr_free * 1024);
		listed = zone_value(text, "count:    ");
		assert_true(free_pages + listed <= zone_value(text, "managed  "));
		assert_true(zone_value(text, "managed  ") <= zone_value(text, "present  "));
		assert_true(zone_value(text, "present  ") <= zone_value(text, "spanned  "));
		assert_true(zone_value(text, "min      ") <= zone_value(text, "low      "));
		assert_true(zone_value(text, "low      ") <= zone_value(text, "high     "));
		assert_true(listed <= zone_value(text, "high:     "));
		assert_int_equal(zone_value(text, "start_pfn:           "), zone->start_pfn);
	}
	assert_int_equal(zone_value(zoneinfo(), "nr_anon_pages "), 1);
	/* One table at each level; PAE has three below its root from the beginning. */
	assert_int_equal(zone_value(zoneinfo(), "nr_page_table_pages "),
			 space.mm->pt.fmt->levels + (space.mm->pt.fmt->root_fixed ? 2u : 0u));
}

/* ---- slabinfo ---------------------------------------------------------------------------- */

struct slab_line {
	unsigned long active, total, objects_per_slab, pages_per_slab, active_slabs, slabs;
	unsigned size;
};

/* The cache's line, printed again with Linux's format. */
static struct slab_line slab_line(const char *cache)
{
	unsigned limit, batch, shared;
	unsigned long available;
	char line[300], name[40], expected[300];
	struct slab_line s;
	const char *text;

	assert_int_equal(quire_proc_slabinfo(space.q, blank()), 0);
	text = next_line(paper.text, line, sizeof(line));
	assert_string_equal(line, "slabinfo - version: 2.1");
	text = next_line(text, line, sizeof(line));
	assert_string_equal(
		line,
		"# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> "
		": tunables <limit> <batchcount> <sharedfactor> "
		": slabdata <active_slabs> <num_slabs> <sharedavail>");
	while ((text = next_line(text, line, sizeof(line)))) {
		assert_int_equal(
			sscanf(line,
			       "%39s %lu %lu %u %lu %lu : tunables %u %u %u : slabdata %lu %lu %lu",
			       name, &s.active, &s.total, &s.size, &s.objects_per_slab,
			       &s.pages_per_slab, &limit, &batch, &shared, &s.active_slabs,
			       &s.slabs, &available),
			12);
		snprintf(
			expected, sizeof(expected),
			"%-17s %6lu %6lu %6u %4lu %4lu : tunables %4u %4u %4u : slabdata %6lu %6lu %6lu",
			name, s.active, s.total, s.size, s.objects_per_slab, s.pages_per_slab,
			limit, batch, shared, s.active_slabs, s.slabs, available);
		assert_string_equal(line, expected);
		assert_true(s.active <= s.total);
		assert_int_equal(s.total, s.slabs * s.objects_per_slab);
		assert_true(s.active_slabs <= s.slabs);
		assert_true(s.size * s.objects_per_slab <= s.pages_per_slab * PAGE);
		if (!strcmp(name, cache))
			return s;
	}
	fail_msg("there is no cache %s", cache);
	return s;
}

/* Linux's names for the same things. */
static void test_slabinfo_counts_spaces_and_areas(void **state)
{
	struct quire_mm *child;

	(void)state;
	assert_int_equal(slab_line("mm_struct").active, 1);
	assert_int_equal(slab_line("vm_area_struct").active, 0);
	put_area(space.mm, BASE, 1, VM_RW);
	put_area(space.mm, SHARED, 1, VM_RW);
	assert_int_equal(slab_line("vm_area_struct").active, 2);
	child = fork_space(space.mm);
	assert_int_equal(slab_line("mm_struct").active, 2);
	assert_int_equal(slab_line("vm_area_struct").active, 4);
	put_space(child);
	quire_grace_wait(space.q);
	assert_int_equal(slab_line("mm_struct").active, 1);
	assert_int_equal(slab_line("vm_area_struct").active, 2);
	set(BASE, 1);
	assert_int_equal(slab_line("anon_vma").active, 1);
	assert_int_equal(slab_line("anon_vma_chain").active, 1);
	(void)slab_line("maple_node");
	(void)slab_line("radix_tree_node");
	(void)slab_line("filp");
	(void)slab_line("shmem_inode_cache");
	(void)slab_line("kmalloc-8");
	(void)slab_line("kmalloc-8k");
}

/* ---- Sinks that refuse ------------------------------------------------------------------- */

enum text { MAPS, SMAPS, ROLLUP, STATUS, STATM, MEMINFO, BUDDYINFO, ZONEINFO, SLABINFO, NR_TEXTS };

static int write_text(enum text which, struct quire_sink *sink)
{
	switch (which) {
	case MAPS:
		return quire_proc_maps(space.mm, sink);
	case SMAPS:
		return quire_proc_smaps(space.mm, sink);
	case ROLLUP:
		return quire_proc_smaps_rollup(space.mm, sink);
	case STATUS:
		return quire_proc_status(space.mm, sink);
	case STATM:
		return quire_proc_statm(space.mm, sink);
	case MEMINFO:
		return quire_proc_meminfo(space.q, sink);
	case BUDDYINFO:
		return quire_proc_buddyinfo(space.q, sink);
	case ZONEINFO:
		return quire_proc_zoneinfo(space.q, sink);
	default:
		return quire_proc_slabinfo(space.q, sink);
	}
}

/* What it says is the answer, and it is not asked again; what it has got is how the text begins. */
static void test_a_sink_that_refuses_gets_no_more(void **state)
{
	static char whole[sizeof(paper.text)];

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		put_area(space.mm, BASE + 2 * i * PAGE, 1, VM_RW);
	for (unsigned which = 0; which < NR_TEXTS; which++) {
		size_t len;

		assert_int_equal(write_text((enum text)which, blank()), 0);
		len = paper.len;
		memcpy(whole, paper.text, len + 1);
		for (size_t full = 1; full <= len; full += 97) {
			blank();
			paper.full = full;
			paper.refusal = -(int)full;
			assert_int_equal(write_text((enum text)which, &paper.sink), -(int)full);
			assert_int_equal(paper.calls_after_refusal, 0);
			assert_true(paper.len >= full);
			assert_memory_equal(paper.text, whole, paper.len);
		}
	}
}

/* ---- Against the running Linux ----------------------------------------------------------- */

/* Ours that the running kernel has too come in its order. */
static void test_meminfo_has_the_running_linux_s_order(void **state)
{
	const char *theirs = read_linux("/proc/meminfo"), *ours, *from;
	char line[200], *colon;
	unsigned found = 0;

	(void)state;
	if (!theirs)
		skip();
	from = theirs;
	for (ours = meminfo(); (ours = next_line(ours, line, sizeof(line)));) {
		char key[210];
		const char *at;

		colon = strchr(line, ':');
		assert_non_null(colon);
		colon[1] = 0;
		snprintf(key, sizeof(key), "\n%s", line);
		if (found && !strstr(theirs, key))
			continue;
		at = found ? strstr(from, key) : from;
		if (!at)
			fail_msg("%s comes later than on Linux", line);
		from = at;
		found++;
	}
	assert_true(found > 20);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		space_test(test_meminfo_has_linux_s_lines_in_their_order),
		space_test(test_meminfo_adds_up),
		space_test(test_meminfo_estimates_what_is_available),
		space_test(test_buddyinfo_has_a_line_for_each_zone_with_memory),
		space_test(test_zoneinfo_is_laid_out_as_on_linux),
		space_test(test_zoneinfo_adds_up),
		space_test(test_slabinfo_counts_spaces_and_areas),
		space_test(test_a_sink_that_refuses_gets_no_more),
		space_test(test_meminfo_has_the_running_linux_s_order),
	};

	return cmocka_run_group_tests_name("proc_system", tests, NULL, NULL);
}

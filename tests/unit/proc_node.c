/* SPDX-License-Identifier: MIT */
/*
 * The texts about nodes and zones: on a machine of two nodes, on one with high memory, and how broken
 * up free memory is, worked out by hand.
 */
#include "proc.h"

/* A machine without a space: these texts are about memory. */
static void start(struct machine_config *config)
{
	config->nr_cpus = 2;
	assert_int_equal(machine_create(config, &space.m), 0);
	space.q = machine_quire(space.m);
}

static void stop(void)
{
	assert_int_equal(machine_destroy(space.m), 0);
}

/* CPU 0 on node 0, which has DMA and half of what is above; CPU 1 on node 1. */
static void start_two_nodes(void)
{
	static const struct quire_range map[] = {
		{PAGE, 10240 * PAGE, QUIRE_RANGE_USABLE, 0},
		{10240 * PAGE, 16384 * PAGE, QUIRE_RANGE_USABLE, 1},
	};
	struct machine_config config = {.map = map, .nr_ranges = 2, .nr_nodes = 2, .ram_bytes = 16384 * PAGE};

	if (QUIRE_NR_NODES < 2)
		skip();
	start(&config);
}

static const char *node_meminfo(unsigned node)
{
	assert_int_equal(quire_proc_node_meminfo(space.q, node, blank()), 0);
	return paper.text;
}

/* ---- Nodes ------------------------------------------------------------------------------- */

static void test_buddyinfo_and_zoneinfo_go_node_by_node(void **state)
{
	static const char *const zones[] = {"Node 0, zone      DMA ", "Node 0, zone    DMA32 ",
					    "Node 1, zone    DMA32 "};
	static const char *const heads[] = {"Node 0, zone      DMA\n  per-node stats\n",
					    "\nNode 0, zone    DMA32\n  pages free",
					    "\nNode 1, zone      DMA\n  pages free",
					    "\nNode 1, zone    DMA32\n  per-node stats\n"};
	const char *text;
	char line[200];

	(void)state;
	start_two_nodes();
	assert_int_equal(quire_proc_buddyinfo(space.q, blank()), 0);
	text = paper.text;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(zones); i++) {
		text = next_line(text, line, sizeof(line));
		assert_non_null(text);
		assert_memory_equal(line, zones[i], strlen(zones[i]));
	}
	assert_int_equal(*text, 0);
	text = zoneinfo();
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(heads); i++) {
		text = strstr(text, heads[i]);
		assert_non_null(text);
	}
	stop();
}

#define SHARED (BASE + 16 * PAGE)
#define FILED (BASE + 32 * PAGE)

static void test_node_meminfo_adds_up_to_meminfo(void **state)
{
	static const char *const shared[] = {
		"MemTotal", "MemFree",	 "AnonPages", "Mapped",	 "Shmem",	   "PageTables",
		"Dirty",    "Writeback", "Slab",      "Mlocked", "Inactive(anon)", "Inactive"};
	unsigned long long sum[QUIRE_ARRAY_SIZE(shared)] = {0};
	struct disk *d;
	char key[40];

	(void)state;
	start_two_nodes();
	assert_int_equal(quire_mm_create(space.q, NULL, &space.mm), 0);
	machine_switch(space.m, &space.mm->pt);
	d = disk_new(space.q, 8 * PAGE);
	map_anon(space.mm, BASE, 8, QUIRE_MAP_PRIVATE);
	map_anon(space.mm, SHARED, 4, QUIRE_MAP_SHARED);
	put_file(space.mm, FILED, 8, VM_RW | VM_S, &d->file, 0);
	for (unsigned i = 0; i < 3; i++)
		set(BASE + i * PAGE, 1);
	set(SHARED, 1);
	set(FILED, 1);
	machine_switch(space.m, NULL);
	machine_cpu_turn(space.m, 1);
	machine_switch(space.m, &space.mm->pt);
	for (unsigned i = 3; i < 8; i++)
		set(BASE + i * PAGE, 1);
	(void)get(FILED + PAGE);
	(void)get(FILED + 2 * PAGE);
	assert_int_equal(quire_mlock(space.mm, BASE + 4 * PAGE, 2 * PAGE), 0);
	machine_switch(space.m, NULL);
	machine_cpu_turn(space.m, 0);

	/* Who touched a page first has it on his node. */
	assert_int_equal(field(node_meminfo(0), "Node 0 AnonPages"), KB(3));
	assert_int_equal(field(node_meminfo(1), "Node 1 AnonPages"), KB(5));
	assert_int_equal(field(node_meminfo(0), "Node 0 FilePages"), KB(2));
	assert_int_equal(field(node_meminfo(1), "Node 1 FilePages"), KB(2));
	assert_int_equal(field(node_meminfo(0), "Node 0 Shmem"), KB(1));
	assert_int_equal(field(node_meminfo(0), "Node 0 Dirty"), KB(1));
	assert_int_equal(field(node_meminfo(1), "Node 1 Dirty"), 0);
	assert_int_equal(field(node_meminfo(0), "Node 0 Mlocked"), 0);
	assert_int_equal(field(node_meminfo(1), "Node 1 Mlocked"), KB(2));
	node_meminfo(0);
	assert_int_equal(field(paper.text, "Node 0 MemTotal"),
			 field(paper.text, "Node 0 MemFree") + field(paper.text, "Node 0 MemUsed"));

	for (unsigned node = 0; node < 2; node++) {
		node_meminfo(node);
		for (size_t i = 0; i < QUIRE_ARRAY_SIZE(shared); i++) {
			snprintf(key, sizeof(key), "Node %u %s", node, shared[i]);
			sum[i] += field(paper.text, key);
		}
	}
	meminfo();
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(shared); i++)
		assert_int_equal(sum[i], field(paper.text, shared[i]));

	drop_file(d, FILED, 8);
	quire_mmput(space.mm);
	stop();
}

static void test_node_texts_of_one_node_are_the_machine_s(void **state)
{
	char line[100], expected[150], name[100];
	unsigned long long kb;
	const char *text;

	(void)state;
	start(&(struct machine_config){.ram_bytes = 8192 * PAGE});
	for (text = node_meminfo(0); (text = next_line(text, line, sizeof(line)));) {
		assert_int_equal(sscanf(line, "Node 0 %98[^:]: %llu kB", name, &kb), 2);
		strcat(name, ":");
		snprintf(expected, sizeof(expected), "Node 0 %-16s%8llu kB", name, kb);
		assert_string_equal(line, expected);
		if (!strcmp(name, "MemTotal:"))
			assert_int_equal(kb, KB(space.q->pages.total_pages));
	}
	assert_int_equal(field(node_meminfo(0), "Node 0 SUnreclaim"),
			 field(meminfo(), "SUnreclaim"));
	assert_int_equal(quire_proc_node_meminfo(space.q, 1, blank()), -QUIRE_EINVAL);
	assert_int_equal(quire_proc_node_numastat(space.q, 1, blank()), -QUIRE_EINVAL);
	assert_int_equal(paper.len, 0);
	stop();
}

static void test_numastat_is_what_was_counted(void **state)
{
	struct quire_numa_stat s;
	char expected[200];

	(void)state;
	start_two_nodes();
	quire_page_put(space.q, quire_page_alloc_node(space.q, 1, 0, 4));
	quire_page_put(space.q, quire_page_alloc_interleave(space.q, 1, 0, 0));
	quire_numa_stat(space.q, 1, &s);
	assert_int_equal(s.numa_hit, 17);
	assert_int_equal(quire_proc_node_numastat(space.q, 1, blank()), 0);
	assert_string_equal(paper.text,
			    "numa_hit 17\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 1\n"
			    "local_node 0\nother_node 17\n");
	quire_numa_stat(space.q, 0, &s);
	snprintf(expected, sizeof(expected),
		 "numa_hit %llu\nnuma_miss 0\nnuma_foreign 0\ninterleave_hit 0\n"
		 "local_node %llu\nother_node 0\n",
		 (unsigned long long)s.numa_hit, (unsigned long long)s.local_node);
	assert_int_equal(quire_proc_node_numastat(space.q, 0, blank()), 0);
	assert_string_equal(paper.text, expected);
	stop();
}

/* ---- High memory ------------------------------------------------------------------------- */

static void test_meminfo_tells_high_from_low(void **state)
{
	struct machine_config config = {.ram_bytes = 16384 * PAGE, .high_memory = 8192 * PAGE};
	const char *text;

	(void)state;
	start(&config);
	text = meminfo();
	/* All of it: what the kernel needs for itself is carved from below. */
	assert_int_equal(field(text, "HighTotal"), KB(8192));
	assert_int_equal(field(text, "HighFree"), KB(8192));
	assert_int_equal(field(text, "HighTotal") + field(text, "LowTotal"),
			 field(text, "MemTotal"));
	assert_int_equal(field(text, "HighFree") + field(text, "LowFree"), field(text, "MemFree"));
	/* Linux's place for the four. */
	text = strstr(text, "\nMlocked:");
	assert_non_null(text);
	for (size_t i = 0; i < 5; i++) {
		static const char *const names[] = {
			"\nHighTotal:", "\nHighFree:", "\nLowTotal:", "\nLowFree:", "\nSwapTotal:"};

		text = strchr(text + 1, '\n');
		assert_memory_equal(text, names[i], strlen(names[i]));
	}
	text = node_meminfo(0);
	assert_int_equal(field(text, "Node 0 HighTotal"), KB(8192));
	assert_int_equal(field(text, "Node 0 LowFree") + field(text, "Node 0 HighFree"),
			 field(text, "Node 0 MemFree"));
	/* protection: pages that NORMAL keeps from HIGHMEM's users: 8,192 / 32. */
	text = strstr(zoneinfo(), "zone   Normal\n");
	assert_non_null(text);
	text = strstr(text, "protection: (");
	assert_memory_equal(text, "protection: (0, 0, 0, 256)", 26);
	stop();
}

/* ---- How broken up ----------------------------------------------------------------------- */

/*
 * Free: 10 single pages and 5 pairs, 20 pages in 15 blocks.
 *
 *	order                 0       1                 2                        3
 *	too small             0/20    10/20             20/20                    20/20
 *	1 - (1 + p/req) / b   there   there             1 - (1 + 20/4) / 15      1 - (1 + 20/8) / 15
 */
static void test_fragmentation_is_linux_s_figure(void **state)
{
	static const struct quire_range map[] = {{PAGE, 4096 * PAGE, QUIRE_RANGE_USABLE, 0}};
	struct machine_config config = {.map = map,
					.nr_ranges = 1,
					.ram_bytes = 4096 * PAGE,
					.zones = 1u << QUIRE_ZONE_NORMAL};
	struct quire_free_area *area;
	uint64_t before[QUIRE_NR_ORDERS];

	(void)state;
	start(&config);
	area = quire_node_zone(space.q, 0, QUIRE_ZONE_NORMAL)->area;
	for (unsigned o = 0; o < QUIRE_NR_ORDERS; o++) {
		before[o] = area[o].nr_free;
		area[o].nr_free = o == 0 ? 10 : o == 1 ? 5 : 0;
	}
	assert_int_equal(quire_proc_unusable_index(space.q, blank()), 0);
	assert_memory_equal(paper.text, "Node 0, zone   Normal 0.000 0.500 1.000 1.000 ", 46);
	assert_int_equal(paper.len, 22 + 11 * 6 + 1);
	assert_int_equal(quire_proc_extfrag_index(space.q, blank()), 0);
	assert_memory_equal(paper.text, "Node 0, zone   Normal -1.000 -1.000  0.600  0.767 ", 50);
	assert_int_equal(paper.len, 22 + 11 * 7 + 1);

	/* Nothing free at all: want of memory, and no part of it is usable. */
	area[0].nr_free = area[1].nr_free = 0;
	assert_int_equal(quire_proc_unusable_index(space.q, blank()), 0);
	assert_memory_equal(paper.text, "Node 0, zone   Normal 1.000 1.000 ", 34);
	assert_int_equal(quire_proc_extfrag_index(space.q, blank()), 0);
	assert_memory_equal(paper.text, "Node 0, zone   Normal  0.000  0.000 ", 36);
	for (unsigned o = 0; o < QUIRE_NR_ORDERS; o++)
		area[o].nr_free = before[o];
	stop();
}

/* ---- Against the running Linux ----------------------------------------------------------- */

static void test_node_texts_have_the_running_linux_s_order(void **state)
{
	const char *theirs = read_linux("/sys/devices/system/node/node0/meminfo"), *ours, *at;
	unsigned long long value;
	char line[200], key[210], *colon;
	unsigned found = 0;

	(void)state;
	if (!theirs)
		skip();
	start(&(struct machine_config){.ram_bytes = 8192 * PAGE});
	at = theirs;
	for (ours = node_meminfo(0); (ours = next_line(ours, line, sizeof(line)));) {
		colon = strchr(line, ':');
		assert_non_null(colon);
		colon[1] = 0;
		snprintf(key, sizeof(key), "%s", line);
		if (!strstr(theirs, key))
			continue;
		at = strstr(at, key);
		if (!at)
			fail_msg("%s comes later than on Linux", line);
		found++;
	}
	assert_true(found > 20);
	theirs = read_linux("/sys/devices/system/node/node0/numastat");
	if (theirs) {
		assert_int_equal(quire_proc_node_numastat(space.q, 0, blank()), 0);
		for (ours = paper.text; (ours = next_line(ours, line, sizeof(line)));) {
			char name[100], his[100];

			assert_int_equal(sscanf(line, "%99s %llu", name, &value), 2);
			theirs = next_line(theirs, key, sizeof(key));
			assert_non_null(theirs);
			assert_int_equal(sscanf(key, "%99s %llu", his, &value), 2);
			assert_string_equal(name, his);
		}
		assert_int_equal(*theirs, 0);
	}
	stop();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buddyinfo_and_zoneinfo_go_node_by_node),
		cmocka_unit_test(test_node_meminfo_adds_up_to_meminfo),
		cmocka_unit_test(test_node_texts_of_one_node_are_the_machine_s),
		cmocka_unit_test(test_numastat_is_what_was_counted),
		cmocka_unit_test(test_meminfo_tells_high_from_low),
		cmocka_unit_test(test_fragmentation_is_linux_s_figure),
		cmocka_unit_test(test_node_texts_have_the_running_linux_s_order),
	};

	return cmocka_run_group_tests_name("proc_node", tests, NULL, NULL);
}

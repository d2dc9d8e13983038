/* SPDX-License-Identifier: MIT */
/* Nodes: whose memory an allocation gets, in which order it looks elsewhere, and what is counted of that. */
#include "page_fixture.h"

#if QUIRE_NR_NODES >= 4

#define ON(n, a, b)                                                                                \
	{                                                                                          \
		(a), (b), QUIRE_RANGE_USABLE, (n)                                                  \
	}
#define NODE_BYTES (2048 * QUIRE_PAGE_SIZE)

static struct host *host_of_map(const struct quire_range *map, size_t nr_ranges, uint32_t zones,
				unsigned nr_nodes, const uint8_t *distance, const uint8_t *cpu_node)
{
	struct host *h = host_new(16384 * QUIRE_PAGE_SIZE, 4);
	struct quire_config config = {
		.map = map,
		.nr_ranges = nr_ranges,
		.zones = zones,
		.nr_nodes = nr_nodes,
		.node_distance = distance,
		.cpu_node = cpu_node,
	};

	quire_grace_init(&h->q);
	assert_int_equal(quire_page_init(&h->q, &config), 0);
	check(h);
	return h;
}

/* Nodes of 2,048 pages, one after the other, with a NORMAL zone each; CPU n is on node n % nr_nodes. */
static struct host *nodes(unsigned nr_nodes, const uint8_t *distance)
{
	struct quire_range map[QUIRE_NR_NODES];
	unsigned n;

	for (n = 0; n < nr_nodes; n++)
		map[n] = (struct quire_range)ON(n, n * NODE_BYTES, (n + 1) * NODE_BYTES);
	return host_of_map(map, nr_nodes, NORMAL, nr_nodes, distance, NULL);
}

static struct quire_zone *zone_of_node(struct host *h, unsigned node)
{
	return quire_node_zone(&h->q, node, QUIRE_ZONE_NORMAL);
}

/* The nodes that pages come from, in order, as long as there is something above the low watermarks. */
static void expect_order(struct host *h, unsigned from, const unsigned *order, unsigned nr)
{
	struct quire_page_sysctl s = h->q.pages.sysctl;
	struct quire_list pages;
	struct quire_page *page;
	unsigned i = 0, n;

	quire_list_init(&pages);
	/* From low to min there is a block in each node, of four: 300 / 4 / 4 pages. */
	s.min_free_kbytes = 300 * (QUIRE_PAGE_SIZE / 1024);
	assert_int_equal(quire_page_set_sysctl(&h->q, &s), 0);
	for (n = 0; i < nr; n++) {
		page = quire_page_alloc_node(&h->q, from, QUIRE_GFP_KERNEL, 4);
		assert_non_null(page);
		quire_list_add(&pages, &page->lru);
		if (quire_page_node(page) == order[i])
			continue;
		/* This node gave what it had; the next one it is, or from the start again, to min. */
		assert_in_range(zone_of_node(h, order[i])->free_pages, 0,
				zone_of_node(h, order[i])->wmark[QUIRE_WMARK_LOW] + 15);
		i++;
		assert_int_equal(quire_page_node(page), order[i % nr]);
	}
	give_all(h, &pages);
	check(h);
}

static void frames_belong_to_their_node(void **state)
{
	struct host *h = nodes(3, NULL);
	quire_pfn_t pfn;
	unsigned n;

	(void)state;
	assert_int_equal(h->q.pages.nr_nodes, 3);
	for (pfn = 0; pfn < FRAMES(3 * NODE_BYTES); pfn++)
		assert_int_equal(quire_page_node(quire_pfn_to_page(&h->q, pfn)),
				 pfn / FRAMES(NODE_BYTES));
	for (n = 0; n < 3; n++) {
		assert_int_equal(zone_of_node(h, n)->node, n);
		assert_int_equal(zone_of_node(h, n)->present_pages, FRAMES(NODE_BYTES));
		assert_int_equal(zone_of_node(h, n)->start_pfn, n * FRAMES(NODE_BYTES));
	}
	host_delete(h);
}

/* Linux: where firmware is silent, CPUs go round the nodes, and every other node is 20 away. */
static void an_allocation_is_from_its_cpus_node(void **state)
{
	static const uint8_t cpu_node[] = {1, 1, 0, 0};
	struct quire_range map[] = {ON(0, 0, NODE_BYTES), ON(1, NODE_BYTES, 2 * NODE_BYTES)};
	struct host *h = nodes(2, NULL);
	unsigned cpu;

	(void)state;
	assert_int_equal(quire_node_distance(&h->q, 1, 1), 10);
	assert_int_equal(quire_node_distance(&h->q, 1, 0), 20);
	for (cpu = 0; cpu < 4; cpu++) {
		host_set_cpu(cpu);
		assert_int_equal(quire_cpu_node(&h->q, cpu), cpu % 2);
		assert_int_equal(quire_page_node(quire_page_alloc(&h->q, 0, 0)), cpu % 2);
		assert_int_equal(quire_page_node(quire_page_alloc(&h->q, 0, 3)), cpu % 2);
	}
	check(h);
	host_delete(h);
	h = host_of_map(map, 2, NORMAL, 2, NULL, cpu_node);
	for (cpu = 0; cpu < 4; cpu++) {
		host_set_cpu(cpu);
		assert_int_equal(quire_page_node(quire_page_alloc(&h->q, 0, 0)), cpu_node[cpu]);
	}
	host_set_cpu(0);
	host_delete(h);
}

/*
 *	0 -15- 1        two sockets of two nodes each
 *	|      |
 *	2 -15- 3
 */
static const uint8_t sockets[] = {
	10, 15, 21, 31, /* 0 */
	15, 10, 31, 21, /* 1 */
	21, 31, 10, 15, /* 2 */
	31, 21, 15, 10, /* 3 */
};

static void other_nodes_come_by_distance(void **state)
{
	static const unsigned order[][4] = {{0, 1, 2, 3}, {1, 0, 3, 2}, {2, 3, 0, 1}, {3, 2, 1, 0}};
	struct host *h = nodes(4, sockets);
	unsigned n;

	(void)state;
	for (n = 0; n < 4; n++)
		expect_order(h, n, order[n], 4);
	host_delete(h);
	/* All as far: each turns to the next one. */
	h = nodes(4, NULL);
	for (n = 0; n < 4; n++) {
		const unsigned around[] = {n, (n + 1) % 4, (n + 2) % 4, (n + 3) % 4};

		expect_order(h, n, around, 4);
	}
	host_delete(h);
}

/* Zone within node, which is Linux's order: the node's own DMA before another node's NORMAL. */
static void all_zones_of_a_node_come_before_the_next_node(void **state)
{
	struct quire_range map[] = {ON(0, 0, 6144 * QUIRE_PAGE_SIZE), ON(1, 6144 * QUIRE_PAGE_SIZE, 8192 * QUIRE_PAGE_SIZE)};
	struct host *h = host_of_map(map, 2, DMA | NORMAL, 2, NULL, NULL);
	struct quire_zone *const *list = h->q.pages.node[0].zonelist[QUIRE_ZONE_NORMAL];

	(void)state;
	assert_ptr_equal(list[0], quire_node_zone(&h->q, 0, QUIRE_ZONE_NORMAL));
	assert_ptr_equal(list[1], quire_node_zone(&h->q, 0, QUIRE_ZONE_DMA));
	assert_ptr_equal(list[2], quire_node_zone(&h->q, 1, QUIRE_ZONE_NORMAL));
	assert_null(list[3]);
	list = h->q.pages.node[1].zonelist[QUIRE_ZONE_DMA]; /* has none of its own */
	assert_ptr_equal(list[0], quire_node_zone(&h->q, 0, QUIRE_ZONE_DMA));
	assert_null(list[1]);
	/* A reserve is for what the own node has above, nothing else. */
	assert_int_equal(
		quire_node_zone(&h->q, 0, QUIRE_ZONE_DMA)->lowmem_reserve[QUIRE_ZONE_NORMAL],
		quire_node_zone(&h->q, 0, QUIRE_ZONE_NORMAL)->managed_pages / 256);
	assert_int_equal(quire_page_node(quire_page_alloc_node(&h->q, 1, QUIRE_GFP_DMA, 0)), 0);
	host_delete(h);
}

static void thisnode_takes_no_other(void **state)
{
	struct host *h = nodes(2, NULL);
	struct quire_list pages;
	struct quire_page *page;
	uint64_t n = 0;

	(void)state;
	quire_list_init(&pages);
	while ((page = quire_page_alloc_node(&h->q, 1, QUIRE_GFP_THISNODE | QUIRE_GFP_NOWARN, 0))) {
		assert_int_equal(quire_page_node(page), 1);
		quire_list_add(&pages, &page->lru);
		n++;
	}
	assert_int_equal(n, zone_of_node(h, 1)->managed_pages -
				    zone_of_node(h, 1)->wmark[QUIRE_WMARK_MIN]);
	assert_null(quire_page_alloc_node(&h->q, 1, QUIRE_GFP_THISNODE | QUIRE_GFP_NOWARN, 1));
	assert_int_equal(quire_page_node(quire_page_alloc_node(&h->q, 1, 0, 0)), 0);
	/* CPU 0's own node. */
	assert_int_equal(quire_page_node(quire_page_alloc(&h->q, QUIRE_GFP_THISNODE, 0)), 0);
	give_all(h, &pages);
	check(h);
	host_delete(h);
}

static void a_mask_binds(void **state)
{
	struct host *h = nodes(4, sockets);
	struct quire_list pages;
	struct quire_page *page;
	uint64_t n[4] = {0};
	unsigned last = 1;

	(void)state;
	quire_list_init(&pages);
	/* From node 0, of 1 and 3: 1 is nearer. */
	while ((page = quire_page_alloc_mask(&h->q, 0, 1u << 1 | 1u << 3,
					     QUIRE_GFP_NOWARN | QUIRE_GFP_ATOMIC, 0))) {
		if (zone_of_node(h, 3)->free_pages > zone_of_node(h, 3)->wmark[QUIRE_WMARK_LOW])
			assert_true(quire_page_node(page) >= last);
		last = quire_page_node(page);
		n[last]++;
		quire_list_add(&pages, &page->lru);
	}
	assert_int_equal(n[0] + n[2], 0);
	assert_true(n[1] > 1900 &&
		    n[3] > 1900); /* of 2,048, but for the descriptors and the reserves */
	give_all(h, &pages);
	page = quire_page_alloc_mask(&h->q, 2, 1u << 2 | 1u << 3, QUIRE_GFP_THISNODE, 0);
	assert_int_equal(quire_page_node(page), 2);
	assert_null(
		quire_page_alloc_mask(&h->q, 2, 1u << 3, QUIRE_GFP_THISNODE | QUIRE_GFP_NOWARN, 0));
	assert_null(quire_page_alloc_mask(&h->q, 2, 0, QUIRE_GFP_NOWARN, 0));
	assert_null(quire_page_alloc_mask(&h->q, 2, ~0xfu, QUIRE_GFP_NOWARN, 0));
	host_expect_reports(h);
	assert_null(quire_page_alloc_node(&h->q, 4, 0, 0));
	assert_int_equal(h->reports, QUIRE_DEBUG);
	host_delete(h);
}

static void expect_stat(struct host *h, unsigned node, struct quire_numa_stat want)
{
	struct quire_numa_stat stat;

	quire_numa_stat(&h->q, node, &stat);
	assert_int_equal(stat.numa_hit, want.numa_hit);
	assert_int_equal(stat.numa_miss, want.numa_miss);
	assert_int_equal(stat.numa_foreign, want.numa_foreign);
	assert_int_equal(stat.interleave_hit, want.interleave_hit);
	assert_int_equal(stat.local_node, want.local_node);
	assert_int_equal(stat.other_node, want.other_node);
}

/* numastat.rst, word for word, in pages. */
static void statistics_are_numastats(void **state)
{
	struct host *h = nodes(2, NULL);
	struct quire_list pages;
	uint64_t all;

	(void)state;
	/* On node 0's CPU: two from here, eight from over there because so wanted. */
	(void)quire_page_alloc(&h->q, 0, 1);
	(void)quire_page_alloc_node(&h->q, 1, 0, 3);
	expect_stat(h, 0, (struct quire_numa_stat){.numa_hit = 2, .local_node = 2});
	expect_stat(h, 1, (struct quire_numa_stat){.numa_hit = 8, .other_node = 8});
	/* One more that interleaving wanted over there. */
	(void)quire_page_alloc_interleave(&h->q, 1, 0, 0);
	expect_stat(h, 1,
		    (struct quire_numa_stat){.numa_hit = 9, .other_node = 9, .interleave_hit = 1});
	/* On node 1's CPU, all that node 1 has; and four that have to come from node 0. */
	host_set_cpu(1);
	quire_list_init(&pages);
	all = 0;
	while (zone_of_node(h, 1)->free_pages > zone_of_node(h, 1)->wmark[QUIRE_WMARK_LOW] + 4) {
		(void)quire_page_alloc(&h->q, 0, 2);
		all += 4;
	}
	expect_stat(h, 1,
		    (struct quire_numa_stat){.numa_hit = 9 + all,
					     .other_node = 9,
					     .local_node = all,
					     .interleave_hit = 1});
	do {
		all += 4;
	} while (quire_page_node(quire_page_alloc(&h->q, 0, 2)) == 1);
	all -= 4;
	expect_stat(h, 0,
		    (struct quire_numa_stat){
			    .numa_hit = 2, .local_node = 2, .numa_miss = 4, .other_node = 4});
	expect_stat(h, 1,
		    (struct quire_numa_stat){.numa_hit = 9 + all,
					     .other_node = 9,
					     .local_node = all,
					     .numa_foreign = 4,
					     .interleave_hit = 1});
	/* Interleaving that does not get what it wants counts no hit. */
	(void)quire_page_alloc_interleave(&h->q, 1, 0, 2);
	expect_stat(h, 1,
		    (struct quire_numa_stat){.numa_hit = 9 + all,
					     .other_node = 9,
					     .local_node = all,
					     .numa_foreign = 8,
					     .interleave_hit = 1});
	host_set_cpu(0);
	check(h);
	host_delete(h);
}

/* A machine of one node has its figures without counting: everything is wanted here and got here. */
static void statistics_of_one_node_are_all_hits(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0),
			  *block = quire_page_alloc(&h->q, 0, 4);

	expect_stat(h, 0, (struct quire_numa_stat){.numa_hit = 17, .local_node = 17});
	quire_page_put(&h->q, page);
	quire_page_put(&h->q, block);
	expect_stat(h, 0, (struct quire_numa_stat){.numa_hit = 17, .local_node = 17});
}

/* A node of CPUs alone, or that has nothing at all: its allocations go elsewhere, and that is what is wanted. */
static void a_node_without_memory_takes_the_nearest(void **state)
{
	static const uint8_t distance[] = {10, 30, 20, 30, 10, 20, 20, 20, 10};
	static const uint8_t cpu_node[] = {1, 1, 1, 0};
	struct quire_range map[] = {ON(0, 0, NODE_BYTES), ON(2, NODE_BYTES, 2 * NODE_BYTES)};
	struct host *h = host_of_map(map, 2, NORMAL, 3, distance, cpu_node);

	(void)state;
	assert_int_equal(quire_page_node(quire_page_alloc(&h->q, 0, 0)), 2);
	expect_stat(h, 2, (struct quire_numa_stat){.numa_hit = 1, .other_node = 1});
	assert_null(quire_page_alloc(&h->q, QUIRE_GFP_THISNODE | QUIRE_GFP_NOWARN, 0));
	check(h);
	host_delete(h);
}

/*
 *	node 0   |-----|     |-----|       in turns, the ends within the blocks of the largest order
 *	node 1         |-----|     |-----|
 *	reserved     |---|
 */
static void nodes_that_take_turns_keep_their_frames_apart(void **state)
{
	const uint64_t odd = 37 * QUIRE_PAGE_SIZE;
	struct quire_range map[] = {
		ON(1, MIB(4) + odd, MIB(8)),
		ON(0, 0, MIB(4) + odd),
		ON(0, MIB(8), MIB(12) - odd),
		ON(1, MIB(12) - odd, MIB(16)),
		{MIB(4), MIB(5), QUIRE_RANGE_RESERVED, 0},
		{MIB(20), MIB(21), QUIRE_RANGE_RESERVED, 1},
		ON(1, MIB(21), MIB(22)),
		{MIB(22), MIB(23), QUIRE_RANGE_RESERVED, 1}, /* beyond all memory: none */
	};
	struct host *h = host_of_map(map, QUIRE_ARRAY_SIZE(map), NORMAL, 2, NULL, NULL);
	struct quire_page *page;
	unsigned n, order;

	(void)state;
	/* A reserved frame is the node's whose memory it is cut from. */
	assert_int_equal(zone_of_node(h, 0)->present_pages, FRAMES(MIB(8)));
	assert_int_equal(zone_of_node(h, 1)->present_pages, FRAMES(MIB(10)));
	assert_int_equal(zone_of_node(h, 1)->spanned_pages, FRAMES(MIB(18) - odd));
	assert_int_equal(quire_page_node(quire_pfn_to_page(&h->q, FRAMES(MIB(4)) + 36)), 0);
	assert_int_equal(quire_page_node(quire_pfn_to_page(&h->q, FRAMES(MIB(4)) + 37)), 1);
	assert_int_equal(quire_page_node(quire_pfn_to_page(&h->q, FRAMES(MIB(20)))), 1);
	assert_null(quire_pfn_to_page(&h->q, FRAMES(MIB(22))));
	for (n = 0; n < 2; n++) {
		struct quire_list pages;

		quire_list_init(&pages);
		for (order = 0; order < 8; order++) {
			while ((page = quire_page_alloc_node(
					&h->q, n, QUIRE_GFP_THISNODE | QUIRE_GFP_NOWARN, order))) {
				quire_pfn_t first = quire_page_to_pfn(&h->q, page), pfn;

				for (pfn = first; pfn < first + (UINT64_C(1) << order); pfn++) {
					uint64_t at = pfn << QUIRE_PAGE_SHIFT;

					assert_int_equal(n, at < MIB(4) + odd	 ? 0
							    : at < MIB(8)	 ? 1
							    : at < MIB(12) - odd ? 0
										 : 1);
				}
				quire_list_add(&pages, &page->lru);
				if (zone_of_node(h, n)->free_pages <
				    zone_of_node(h, n)->managed_pages / 9 * (8 - order))
					break;
			}
		}
		give_all(h, &pages);
		check(h);
	}
	host_delete(h);
}

static void bad_nodes_are_refused(void **state)
{
	static const uint8_t good[] = {10, 11, 255, 10}, near[] = {10, 10, 20, 10},
			     self[] = {11, 20, 20, 10};
	static const uint8_t zero[] = {10, 20, 0, 10}, cpus[] = {0, 1, 0, 2};
	struct quire_range two[] = {ON(0, 0, MIB(2)), ON(1, MIB(2), MIB(4))};
	struct quire_range shared[] = {ON(0, 0, MIB(2) + 1), ON(1, MIB(2) - 1, MIB(4))};
	struct quire_range claimed[] = {ON(0, 0, MIB(2) + QUIRE_PAGE_SIZE), ON(1, MIB(2), MIB(4))};
	const struct {
		const struct quire_range *map;
		unsigned nr_nodes;
		const uint8_t *distance, *cpu_node;
		int err;
	} c[] = {
		{two, 2, NULL, NULL, 0},
		{two, 2, good, NULL, 0},
		{shared, 2, NULL, NULL, 0}, /* no whole frame is in both */
		{two, QUIRE_NR_NODES, NULL, NULL, 0},
		{two, QUIRE_NR_NODES + 1, NULL, NULL, -QUIRE_EINVAL},
		{two, 0, NULL, NULL, -QUIRE_EINVAL}, /* that is one */
		{two, 1, NULL, NULL, -QUIRE_EINVAL},
		{claimed, 2, NULL, NULL, -QUIRE_EINVAL},
		{two, 2, near, NULL, -QUIRE_EINVAL},
		{two, 2, self, NULL, -QUIRE_EINVAL},
		{two, 2, zero, NULL, -QUIRE_EINVAL},
		{two, 2, NULL, cpus, -QUIRE_EINVAL},
	};
	size_t i;

	(void)state;
	for (i = 0; i < QUIRE_ARRAY_SIZE(c); i++) {
		struct host *h = host_new(MIB(4), 4);
		struct quire_config config = {.map = c[i].map,
					      .nr_ranges = 2,
					      .zones = NORMAL,
					      .nr_nodes = c[i].nr_nodes,
					      .node_distance = c[i].distance,
					      .cpu_node = c[i].cpu_node};

		assert_int_equal(quire_page_init(&h->q, &config), c[i].err);
		assert_int_equal(h->logs, c[i].err != 0); /* with a reason */
		host_delete(h);
	}
}

static void churn(void *arg, unsigned cpu)
{
	struct host *h = arg;
	struct quire_page *held[64] = {NULL};
	unsigned order[64], i, at;
	uint64_t chance = cpu + 1;

	for (i = 0; i < 8000; i++) {
		at = (unsigned)(host_random(&chance) % 64);
		if (held[at]) {
			quire_page_free(&h->q, held[at], order[at]);
			held[at] = NULL;
			continue;
		}
		order[at] = host_random(&chance) % 4 ? 0 : (unsigned)(host_random(&chance) % 8);
		held[at] = quire_page_alloc_mask(&h->q, (unsigned)(host_random(&chance) % 4),
						 (uint32_t)host_random(&chance) | 1u << cpu,
						 QUIRE_GFP_NOWARN, order[at]);
	}
	for (at = 0; at < 64; at++)
		if (held[at])
			quire_page_free(&h->q, held[at], order[at]);
}

static void churn_on_all_nodes_keeps_the_equations(void **state)
{
	struct host *h = nodes(4, sockets);
	struct quire_numa_stat stat;
	uint64_t got = 0, foreign = 0, missed = 0;
	unsigned n;

	(void)state;
	host_run_cpus(4, churn, h);
	quire_page_drain(&h->q);
	check(h);
	assert_int_equal(host_frames_taken(h), 1);
	for (n = 0; n < 4; n++) {
		quire_numa_stat(&h->q, n, &stat);
		assert_int_equal(stat.numa_hit + stat.numa_miss, stat.local_node + stat.other_node);
		got += stat.numa_hit + stat.numa_miss;
		missed += stat.numa_miss;
		foreign += stat.numa_foreign;
	}
	assert_int_equal(got, quire_stat_read(&h->q, QUIRE_STAT_PGALLOC));
	assert_int_equal(missed, foreign);
	host_delete(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_belong_to_their_node),
		cmocka_unit_test(an_allocation_is_from_its_cpus_node),
		cmocka_unit_test(other_nodes_come_by_distance),
		cmocka_unit_test(all_zones_of_a_node_come_before_the_next_node),
		cmocka_unit_test(thisnode_takes_no_other),
		cmocka_unit_test(a_mask_binds),
		cmocka_unit_test(statistics_are_numastats),
		with_host(statistics_of_one_node_are_all_hits),
		cmocka_unit_test(a_node_without_memory_takes_the_nearest),
		cmocka_unit_test(nodes_that_take_turns_keep_their_frames_apart),
		cmocka_unit_test(bad_nodes_are_refused),
		cmocka_unit_test(churn_on_all_nodes_keeps_the_equations),
	};

	return cmocka_run_group_tests_name("page-nodes", tests, NULL, NULL);
}

#else

int main(void)
{
	return 77; /* skipped: this library is for machines of fewer nodes */
}

#endif

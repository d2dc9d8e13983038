/* SPDX-License-Identifier: MIT */
/*
 * A machine of four nodes and short words for memory policies, for policy.c and policy_move.c. A build for fewer nodes has
 * nothing to choose from: QUIRE_NR_NODES >= 4.
 */
#ifndef QUIRE_TESTS_UNIT_POLICY_H
#define QUIRE_TESTS_UNIT_POLICY_H

#include "proc.h"

#define NODES 4u
#define NODE_BYTES (16ull << 20)
#define CPUS 4u

#define R QUIRE_PROT_READ
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)
#define SHARED_ANON (QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS)

#define STRICT QUIRE_MPOL_MF_STRICT
#define MOVE QUIRE_MPOL_MF_MOVE
#define MOVE_ALL QUIRE_MPOL_MF_MOVE_ALL

#define P(n) (BASE + (uint64_t)(n)*PAGE)

/* 0 and 1 are near each other, 2 and 3 are; CPU n is on node n. */
static const uint8_t distance[NODES * NODES] = {
	10, 12, 20, 30, 12, 10, 30, 20, 20, 30, 10, 12, 30, 20, 12, 10,
};
static const uint8_t cpu_node[CPUS] = {0, 1, 2, 3};
static struct quire_task_policy task;

static inline int setup(void **state)
{
	struct quire_range map[NODES];
	struct machine_config config = {
		.ram_bytes = NODES * NODE_BYTES,
		.map = map,
		.nr_ranges = NODES,
		.zones = 1u << QUIRE_ZONE_NORMAL,
		.nr_nodes = NODES,
		.node_distance = distance,
		.cpu_node = cpu_node,
		.nr_cpus = CPUS,
	};

	memset(&space, 0, sizeof(space));
	memset(&task, 0, sizeof(task));
	for (unsigned n = 0; n < NODES; n++)
		map[n] = (struct quire_range){n * NODE_BYTES, (n + 1) * NODE_BYTES,
					      QUIRE_RANGE_USABLE, n};
	test_choose_format(&config);
	if (machine_create(&config, &space.m))
		return -1;
	space.q = machine_quire(space.m);
	space.q->mms.sysctl.anon_align = 0;
	if (quire_mm_create(space.q, NULL, &space.mm))
		return -1;
	space.mm->limits.cap_sys_nice = true;
	machine_switch(space.m, &space.mm->pt);
	machine_set_policy(space.m, &task);
	*state = &space;
	return 0;
}

static inline int teardown(void **state)
{
	quire_task_policy_exit(space.q, &task);
	machine_set_policy(space.m, NULL);
	return space_teardown(state);
}

#define policy_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* ---- Short words ------------------------------------------------------------------------- */

static inline void map(uint64_t at, uint64_t n, uint32_t prot, uint32_t flags,
		       struct quire_file *file, uint64_t pgoff)
{
	assert_int_equal(quire_mmap(space.mm, P(at), n * PAGE, prot, flags | QUIRE_MAP_FIXED, file,
				    pgoff * PAGE),
			 P(at));
}

static inline int bind_in(struct quire_mm *mm, uint64_t at, uint64_t n, uint32_t mode,
			  uint64_t nodes, uint32_t flags)
{
	int err = quire_mbind(mm, P(at), n * PAGE, mode, &nodes, 65, flags);

	check_space(mm);
	return err;
}

static inline int bind(uint64_t at, uint64_t n, uint32_t mode, uint64_t nodes, uint32_t flags)
{
	return bind_in(space.mm, at, n, mode, nodes, flags);
}

static inline int set_task(uint32_t mode, uint64_t nodes)
{
	return quire_set_mempolicy(space.q, &task, mode, &nodes, 65);
}

static inline struct quire_page *page_at(struct quire_mm *mm, uint64_t at)
{
	quire_pfn_t pfn = frame(mm, P(at));

	return pfn ? quire_pfn_to_page(space.q, pfn) : NULL;
}

/* One digit a page from at on: the node; '.': no page, or the page of zeroes. */
static inline void assert_nodes_in(struct quire_mm *mm, uint64_t at, const char *expected)
{
	char seen[33] = "";

	assert_true(strlen(expected) < sizeof(seen));
	for (size_t i = 0; i < strlen(expected); i++) {
		struct quire_page *page = page_at(mm, at + i);

		seen[i] = page && page != space.q->pages.zero_page
				  ? (char)('0' + quire_page_node(page))
				  : '.';
	}
	assert_string_equal(seen, expected);
	check_space(mm);
}

static inline void assert_nodes(uint64_t at, const char *expected)
{
	assert_nodes_in(space.mm, at, expected);
}

static inline unsigned char byte_of(uint64_t at)
{
	return (unsigned char)(at * 7 + 3);
}

static inline void write_pages(uint64_t at, uint64_t n)
{
	for (; n--; at++)
		set(P(at) + 5, byte_of(at));
}

static inline void assert_bytes(uint64_t at, uint64_t n)
{
	for (; n--; at++)
		assert_int_equal(get(P(at) + 5), byte_of(at));
}

/* Lengths of the areas from at on, in pages. */
static inline void assert_areas(uint64_t at, const char *expected)
{
	char seen[64] = "";
	struct quire_vma *vma;

	for (uint64_t a = P(at); (vma = area(space.mm, a)) && strlen(seen) < 56; a = vma->end)
		snprintf(seen + strlen(seen), 8, "%s%u", *seen ? " " : "",
			 (unsigned)quire_vma_pages(vma));
	assert_string_equal(seen, expected);
}

/* What get_mempolicy() says of a page's area. */
static inline void assert_policy(uint64_t at, uint32_t mode, uint64_t nodes)
{
	uint64_t mask = 77;
	uint32_t got = 77;

	assert_int_equal(
		quire_get_mempolicy(space.mm, &task, &got, &mask, 65, P(at), QUIRE_MPOL_F_ADDR), 0);
	assert_int_equal(got, mode);
	assert_int_equal(mask, nodes);
}

static inline uint32_t node_of(uint64_t at)
{
	uint32_t node = 77;

	assert_int_equal(quire_get_mempolicy(space.mm, &task, &node, NULL, 0, P(at) + 9,
					     QUIRE_MPOL_F_ADDR | QUIRE_MPOL_F_NODE),
			 0);
	return node;
}

#endif

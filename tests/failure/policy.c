/* SPDX-License-Identifier: MIT */
/*
 * Memory policies: mbind(2) and its kin. A policy is for all of the range or for none of it; pages that could not
 * move are where they were, with their bytes. The scenarios' world has one node, within which
 * pages move where nodes are not named; the tests at the end have two.
 */
#include "failure.h"

static int64_t bind(uint64_t at, uint64_t n, uint32_t mode, uint64_t nodes, uint32_t flags)
{
	return quire_mbind(w.mm, AT(at), SPAN(at, n), mode, &nodes, 65, flags);
}

static int64_t bind_part(void)
{
	return bind(1, 4, QUIRE_MPOL_BIND, 1, 0);
}

static int64_t bind_areas(void)
{
	return bind(8, 36, QUIRE_MPOL_INTERLEAVE, 1, 0);
}

static int64_t bind_many(void)
{
	return bind(64, 16, QUIRE_MPOL_PREFERRED, 1, QUIRE_MPOL_MF_STRICT);
}

/* Two pieces of shared memory in one call. */
static int64_t bind_shared(void)
{
	return bind(21, 5, QUIRE_MPOL_BIND, 1, 0);
}

/* One piece twice. */
static void map_it_again(void)
{
	map(28, 4, RW, QUIRE_MAP_SHARED, w.memfd, 2);
}

static int64_t bind_shared_twice(void)
{
	return bind(25, 5, QUIRE_MPOL_BIND, 1, 0);
}

static void all_bound(void)
{
	assert_int_equal(bind(0, 48, QUIRE_MPOL_BIND, 1, 0), 0);
}

/* Cut in the middle, and merged with what had none all the time. */
static int64_t unbind_part(void)
{
	return bind(6, 16, QUIRE_MPOL_DEFAULT, 0, 0);
}

static int64_t unbind_all(void)
{
	return bind(0, 8192, QUIRE_MPOL_DEFAULT, 0, 0);
}

/* What has no named nodes lies nowhere right: each page goes to another frame. */
static int64_t move(void)
{
	return bind(0, 36, QUIRE_MPOL_LOCAL, 0, QUIRE_MPOL_MF_MOVE);
}

static int64_t move_strictly(void)
{
	return bind(0, 36, QUIRE_MPOL_LOCAL, 0, QUIRE_MPOL_MF_MOVE | QUIRE_MPOL_MF_STRICT);
}

/* The thread ends at once, if it has got it. */
static int64_t set_task(void)
{
	struct quire_task_policy task = {NULL, 0, 0};
	uint64_t nodes = 1;
	int err = quire_set_mempolicy(w.q, &task, QUIRE_MPOL_INTERLEAVE, &nodes, 65);

	quire_task_policy_exit(w.q, &task);
	return err;
}

/* Faults a page of the disk in. */
static int64_t ask_node(void)
{
	uint32_t node = 77;

	return quire_get_mempolicy(w.mm, NULL, &node, NULL, 0, AT(14),
				   QUIRE_MPOL_F_ADDR | QUIRE_MPOL_F_NODE);
}

/* Pages are allocated by policy from here on. */
static int64_t store_bound(void)
{
	return store(5);
}

static int64_t store_bound_copy(void)
{
	return store(13);
}

static int64_t store_bound_shared(void)
{
	return store(22);
}

static int64_t load_file_bound(void)
{
	return load(15);
}

static int64_t fork_bound(void)
{
	return quire_fork(w.mm, &w.other);
}

static int64_t move_bound(void)
{
	return quire_mremap(w.mm, AT(0), 8 * PAGE, 8 * PAGE,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AT(2000));
}

static int64_t protect_bound(void)
{
	return quire_mprotect(w.mm, AT(2), 2 * PAGE, R);
}

static int64_t stack_bound(void)
{
	return store(58);
}

static void bound_stack(void)
{
	assert_int_equal(bind(60, 4, QUIRE_MPOL_BIND, 1, 0), 0);
}

#define MOVES .flags = KEEPS_PAGES | KEEPS_AREAS | LOSES_WRITE | MAKES_DO

const struct scenario policy_scenarios[] = {
	{"mbind_part", NULL, bind_part},
	{"mbind_areas", NULL, bind_areas},
	{"mbind_many", NULL, bind_many},
	{"mbind_shared", NULL, bind_shared},
	{"mbind_shared_twice", map_it_again, bind_shared_twice},
	{"mbind_default_part", all_bound, unbind_part},
	{"mbind_default_all", all_bound, unbind_all},
	{"mbind_move", NULL, move, MOVES},
	{"mbind_move_strict", NULL, move_strictly, .failure2 = -QUIRE_EIO, MOVES},
	{"set_mempolicy", NULL, set_task},
	{"get_mempolicy_node", NULL, ask_node, .flags = KEEPS_PAGES | KEEPS_CACHE},
	{"policy_store", all_bound, store_bound, .failure = KILLED, .flags = KEEPS_PAGES},
	{"policy_store_copy", all_bound, store_bound_copy, .failure = KILLED, .flags = KEEPS_PAGES},
	{"policy_store_shared", all_bound, store_bound_shared, .failure = KILLED,
	 .flags = KEEPS_PAGES},
	{"policy_load_file", all_bound, load_file_bound, .failure = KILLED,
	 .flags = KEEPS_PAGES | KEEPS_CACHE},
	{"policy_stack", bound_stack, stack_bound, .failure = KILLED,
	 .failure2 = SIGNAL(QUIRE_SIGSEGV), .flags = KEEPS_PAGES},
	{"policy_fork", all_bound, fork_bound, .flags = LOSES_WRITE},
	{"policy_mremap", all_bound, move_bound},
	{"policy_mprotect", all_bound, protect_bound},
	{NULL},
};

/* ---- Two nodes --------------------------------------------------------------------------- */

#define PAGES 8u
#define NODE_BYTES (10ull << 20)

static struct machine *m;
static struct quire *q;
static struct quire_mm *mm;

static void begin(void)
{
	const struct quire_range range[] = {
		{0, NODE_BYTES, QUIRE_RANGE_USABLE, 0},
		{NODE_BYTES, 2 * NODE_BYTES, QUIRE_RANGE_USABLE, 1},
	};
	const struct machine_config config = {
		.ram_bytes = 2 * NODE_BYTES,
		.map = range,
		.nr_ranges = 2,
		.zones = 1u << QUIRE_ZONE_NORMAL,
		.nr_nodes = 2,
		.nr_cpus = 1,
		.fmt = test_format(),
	};

	mark_stack(__builtin_frame_address(0));
	assert_int_equal(machine_create(&config, &m), 0);
	q = machine_quire(m);
	assert_int_equal(quire_mm_create(q, NULL, &mm), 0);
	machine_switch(m, &mm->pt);
	/* The first half private, the second shared. */
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(quire_mmap(mm, AT(i * PAGES / 2), PAGES / 2 * PAGE, RW,
					    (i ? SHARED_ANON : ANON) | QUIRE_MAP_FIXED, NULL, 0),
				 AT(i * PAGES / 2));
	for (unsigned char i = 0; i < PAGES; i++)
		assert_int_equal(machine_store(m, AT(i), &i, 1, NULL), 0);
}

static unsigned node_of(unsigned i)
{
	uint32_t node = 77;

	assert_int_equal(quire_get_mempolicy(mm, NULL, &node, NULL, 0, AT(i),
					     QUIRE_MPOL_F_ADDR | QUIRE_MPOL_F_NODE),
			 0);
	return node;
}

/* The first n pages are on node 1, the rest on node 0, and all is well. */
static void expect_moved(uint64_t n)
{
	for (unsigned char i = 0, byte; i < PAGES; i++) {
		assert_int_equal(node_of(i), i < n);
		assert_int_equal(machine_load(m, AT(i), &byte, 1, NULL), 0);
		assert_int_equal(byte, i);
		assert_int_equal(machine_store(m, AT(i), &byte, 1, NULL), 0);
	}
	assert_null(quire_mm_check(mm));
	assert_null(machine_check(m));
	assert_null(quire_page_check(q));
}

static void end(void)
{
	machine_switch(m, NULL);
	quire_mmput(mm);
	assert_int_equal(machine_destroy(m), 0);
}

/* Linux: ENOMEM; what has moved stays. */
static void every_allocation_of_migrate_pages_fails(void **state)
{
	const uint64_t from = 1, to = 2;
	uint64_t k;

	(void)state;
	for (k = 1;; k++) {
		int64_t answer;
		unsigned failed;

		begin();
		fail_at(k, false);
		answer = quire_migrate_pages(mm, mm, 65, &from, &to);
		failed = fail_end();
		assert_int_equal(answer, failed ? -QUIRE_ENOMEM : 0);
		expect_moved(failed ? k - 1 : PAGES);
		end();
		if (!failed)
			break;
	}
	assert_int_equal(k, PAGES + 1);
}

static void every_allocation_of_move_pages_fails(void **state)
{
	quire_uaddr_t at[PAGES];
	int nodes[PAGES], status[PAGES];
	uint64_t k;

	(void)state;
	for (unsigned i = 0; i < PAGES; i++) {
		at[i] = AT(i);
		nodes[i] = 1;
	}
	for (k = 1;; k++) {
		int64_t answer;
		unsigned failed;

		memset(status, 0x55, sizeof(status));
		begin();
		fail_at(k, false);
		answer = quire_move_pages(mm, mm, PAGES, at, nodes, status, QUIRE_MPOL_MF_MOVE);
		failed = fail_end();
		assert_int_equal(answer, failed ? -QUIRE_ENOMEM : 0);
		/* One batch, which has no status before its end. */
		assert_int_equal(status[0], failed ? 0x55555555 : 1);
		expect_moved(failed ? k - 1 : PAGES);
		end();
		if (!failed)
			break;
	}
	assert_int_equal(k, PAGES + 1);
}

extern const struct CMUnitTest policy_tests[];
const struct CMUnitTest policy_tests[] = {
	cmocka_unit_test(every_allocation_of_migrate_pages_fails),
	cmocka_unit_test(every_allocation_of_move_pages_fails),
	{.name = NULL},
};

/* SPDX-License-Identifier: MIT */
/*
 * Memory policies on a machine of four nodes: where pages come from, what the calls say, what happens to areas, and the
 * text. Pages that move are in policy_move.c. What is expected is from mbind(2), set_mempolicy(2), get_mempolicy(2) and
 * Linux's numa_memory_policy.rst; errors on one node are compared with Linux in tests/linux/policy.c.
 */
#include "policy.h"

#if QUIRE_NR_NODES >= 4

/* ---- Where pages come from --------------------------------------------------------------- */

static void without_a_policy_pages_are_from_the_cpu_s_node(void **state)
{
	(void)state;
	map(0, 2, RW, ANON, NULL, 0);
	write_pages(0, 2);
	assert_nodes(0, "00");
	assert_false(space.q->policies.in_use);
	assert_policy(0, QUIRE_MPOL_DEFAULT, 0);
}

static void bind_takes_its_nodes_alone_the_nearest_first(void **state)
{
	(void)state;
	map(0, 6, RW, ANON, NULL, 0);
	assert_int_equal(bind(2, 2, QUIRE_MPOL_BIND, 0xc, 0), 0); /* 2 is nearer to 0 than 3 */
	assert_int_equal(bind(4, 1, QUIRE_MPOL_BIND, 0x8, 0), 0);
	write_pages(0, 6);
	assert_nodes(0, "002230");
	assert_areas(0, "2 2 1 1");
	assert_policy(2, QUIRE_MPOL_BIND, 0xc);
	assert_policy(4, QUIRE_MPOL_BIND, 0x8);
	assert_policy(5, QUIRE_MPOL_DEFAULT, 0);
	assert_bytes(0, 6);
}

/* Linux: a bound program is killed rather than served from elsewhere. */
static void bind_ends_where_its_nodes_do(void **state)
{
	const uint64_t pages = NODE_BYTES / PAGE;
	struct quire_signal sig = {0};
	unsigned char byte = 1;
	uint64_t i;
	int err = 0;

	(void)state;
	map(0, pages, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, pages, QUIRE_MPOL_BIND, 0x4, 0), 0);
	for (i = 0; !err && i < pages; i++)
		err = machine_store(space.m, P(i), &byte, 1, &sig);
	assert_int_equal(err, -QUIRE_ENOMEM);
	assert_int_equal(sig.signo, QUIRE_SIGKILL);
	assert_true(i > pages / 2);
	for (i--; i--;)
		assert_int_equal(quire_page_node(page_at(space.mm, i)), 2);
	/* Preferred, the rest comes from the nearest. */
	assert_int_equal(bind(0, pages, QUIRE_MPOL_PREFERRED, 0x4, 0), 0);
	write_pages(pages - 1, 1);
	assert_nodes(pages - 1, "3");
}

static void preferred_is_its_first_node_or_local(void **state)
{
	(void)state;
	map(0, 3, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_PREFERRED, 0xa, 0), 0);
	assert_int_equal(bind(1, 1, QUIRE_MPOL_PREFERRED, 0, 0), 0);
	assert_int_equal(bind(2, 1, QUIRE_MPOL_LOCAL, 0, 0), 0);
	assert_policy(0, QUIRE_MPOL_PREFERRED, 0x2);
	assert_policy(1, QUIRE_MPOL_LOCAL, 0);
	assert_areas(0, "1 2"); /* preferring no node is local */
	assert_int_equal(set_task(QUIRE_MPOL_BIND, 0x8), 0);
	write_pages(0, 3);
	assert_nodes(0, "100");
}

static void preferred_many_goes_elsewhere_when_it_must(void **state)
{
	const uint64_t pages = NODE_BYTES / PAGE;

	(void)state;
	map(0, pages, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, pages, QUIRE_MPOL_PREFERRED_MANY, 0x8, 0), 0);
	write_pages(0, pages);
	assert_nodes(0, "33");
	assert_nodes(pages - 2, "00");
}

/* By page number, whatever the order of faults; page P(n)'s number is its address. */
static void interleave_is_by_page_number(void **state)
{
	const uint64_t first = BASE / PAGE % 3;
	const char *turns = &"0230230230230"[first];
	char expected[9] = "";

	(void)state;
	map(0, 8, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, 8, QUIRE_MPOL_INTERLEAVE, 0xd, 0), 0);
	for (uint64_t i = 8; i--;)
		write_pages(i, 1);
	memcpy(expected, turns, 8);
	assert_nodes(0, expected);
	/* A part that is unmapped changes nothing for the rest. */
	assert_int_equal(quire_munmap(space.mm, P(0), PAGE), 0);
	assert_int_equal(quire_madvise(space.mm, P(1), 7 * PAGE, QUIRE_MADV_DONTNEED), 0);
	write_pages(1, 7);
	assert_nodes(1, expected + 1);
}

static void interleaved_pages_keep_their_numbers_when_they_move(void **state)
{
	const uint64_t to =
		64 + (BASE / PAGE) % 2; /* another number of the first page, if it counted anew */

	(void)state;
	map(0, 4, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, 4, QUIRE_MPOL_INTERLEAVE, 0x3, 0), 0);
	write_pages(0, 1); /* an owner: from here on its numbers are fixed */
	assert_int_equal(quire_mremap(space.mm, P(0), 4 * PAGE, 4 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(to + 1)),
			 P(to + 1));
	assert_policy(to + 1, QUIRE_MPOL_INTERLEAVE, 0x3);
	for (uint64_t i = 1; i < 4; i++)
		write_pages(to + 1 + i, 1);
	assert_nodes(to + 1, BASE / PAGE % 2 ? "1010" : "0101");
}

static void weights_are_pages_in_a_row(void **state)
{
	uint64_t start = 0;

	(void)state;
	space.q->policies.weight[1] = 3;
	map(0, 16, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, 16, QUIRE_MPOL_WEIGHTED_INTERLEAVE, 0x6, 0), 0);
	write_pages(0, 16);
	while ((BASE / PAGE + start) % 4)
		start++;
	assert_nodes(start, "111211121112");
	/* A thread's, without numbers, for a file's pages. */
	assert_int_equal(set_task(QUIRE_MPOL_WEIGHTED_INTERLEAVE, 0x6), 0);
}

static void copies_are_from_where_the_copier_s_area_says(void **state)
{
	struct quire_mm *child;

	(void)state;
	map(0, 2, RW, ANON, NULL, 0);
	write_pages(0, 2);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND, 0x8, 0), 0);
	child = fork_space(space.mm);
	assert_areas(0, "1 1");
	write_pages(0, 2);
	assert_nodes(0, "30");
	assert_nodes_in(child, 0, "00");
	run_in(child);
	/* The child has its parent's policies. */
	map(4, 1, RW, ANON, NULL, 0);
	assert_int_equal(bind_in(child, 1, 1, QUIRE_MPOL_BIND, 0x4, 0), 0);
	write_pages(0, 2);
	put_space(child);
	assert_policy(1, QUIRE_MPOL_DEFAULT, 0);
}

static void a_stack_grows_as_its_policy_says(void **state)
{
	(void)state;
	space.q->mms.sysctl.stack_guard_gap = PAGE;
	put_area(space.mm, P(32), 1, VM_RW | QUIRE_VM_GROWSDOWN);
	assert_int_equal(bind(32, 1, QUIRE_MPOL_BIND, 0x8, 0), 0);
	write_pages(29, 4);
	assert_nodes(29, "3333");
	assert_areas(29, "4");
}

/* ---- A thread's -------------------------------------------------------------------------- */

static void a_thread_s_policy_serves_what_has_none(void **state)
{
	struct quire_task_policy child;
	uint64_t mask = 0;
	uint32_t mode = 77;

	(void)state;
	map(0, 4, RW, ANON, NULL, 0);
	assert_int_equal(set_task(QUIRE_MPOL_BIND, 0x4), 0);
	assert_int_equal(bind(1, 1, QUIRE_MPOL_BIND, 0x2, 0), 0);
	write_pages(0, 2);
	assert_nodes(0, "21");
	assert_policy(0, QUIRE_MPOL_DEFAULT, 0);
	assert_int_equal(quire_get_mempolicy(space.mm, &task, &mode, &mask, 65, 0, 0), 0);
	assert_int_equal(mode, QUIRE_MPOL_BIND);
	assert_int_equal(mask, 0x4);
	/* A new thread begins with it, and goes its own way. */
	quire_task_policy_fork(&child, &task);
	assert_int_equal(set_task(QUIRE_MPOL_DEFAULT, 0), 0);
	write_pages(2, 1);
	machine_set_policy(space.m, &child);
	write_pages(3, 1);
	assert_nodes(0, "2102");
	quire_task_policy_exit(space.q, &child);
	write_pages(2, 1);
	machine_set_policy(space.m, &task);
}

static void a_thread_interleaves_a_file_s_pages_in_turn(void **state)
{
	struct disk *disk = disk_new(space.q, 16 * PAGE);
	uint32_t next = 77;

	(void)state;
	assert_int_equal(set_task(QUIRE_MPOL_INTERLEAVE, 0xb), 0);
	map(0, 16, R, QUIRE_MAP_PRIVATE, &disk->file, 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(
			quire_get_mempolicy(space.mm, &task, &next, NULL, 0, 0, QUIRE_MPOL_F_NODE),
			0);
		assert_int_equal(next, "0130"[i] - '0');
		assert_int_equal(get(P(3 * i)), disk_byte(3 * i * PAGE));
		assert_int_equal(node_of(3 * i), next);
	}
	/* An area's policy is for copies, not for the file's own pages. */
	assert_int_equal(bind(0, 16, QUIRE_MPOL_BIND, 0x4, 0), 0);
	assert_int_equal(quire_mprotect(space.mm, P(0), 16 * PAGE, RW), 0);
	assert_int_equal(get(P(1)), disk_byte(PAGE));
	assert_nodes(1, "1");
	set(P(1), 9);
	assert_nodes(1, "2");
	assert_int_equal(quire_munmap(space.mm, P(0), 16 * PAGE), 0);
	/* And in weights. */
	space.q->policies.weight[3] = 2;
	assert_int_equal(set_task(QUIRE_MPOL_WEIGHTED_INTERLEAVE, 0x9), 0);
	map(0, 16, R, QUIRE_MAP_PRIVATE, &disk->file, 0);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t at = (const uint64_t[]){4, 7, 10, 13}[i];

		assert_int_equal(
			quire_get_mempolicy(space.mm, &task, &next, NULL, 0, 0, QUIRE_MPOL_F_NODE),
			0);
		assert_int_equal(get(P(at)), disk_byte(at * PAGE));
		assert_int_equal(node_of(at), "0330"[i] - '0');
		assert_int_equal(next, "0330"[i] - '0');
	}
	assert_int_equal(quire_munmap(space.mm, P(0), 16 * PAGE), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

/* ---- Shared memory ----------------------------------------------------------------------- */

static void shared_memory_has_its_policy_by_offset(void **state)
{
	struct quire_file *memfd;

	(void)state;
	assert_int_equal(quire_shmem_file(space.q, 16 * PAGE, &memfd), 0);
	map(0, 8, RW, QUIRE_MAP_SHARED, memfd, 0);
	map(16, 8, RW, QUIRE_MAP_SHARED, memfd, 4);
	assert_int_equal(bind(2, 4, QUIRE_MPOL_BIND, 0x8, 0), 0);  /* pages 2 to 5 of the memory */
	assert_int_equal(bind(17, 1, QUIRE_MPOL_BIND, 0x4, 0), 0); /* 5 */
	assert_policy(16, QUIRE_MPOL_BIND, 0x8);
	assert_policy(17, QUIRE_MPOL_BIND, 0x4);
	assert_policy(5, QUIRE_MPOL_BIND, 0x4);
	assert_policy(18, QUIRE_MPOL_DEFAULT, 0);
	assert_policy(1, QUIRE_MPOL_DEFAULT, 0);
	write_pages(16, 4);
	write_pages(0, 4);
	assert_nodes(0, "0033");
	assert_nodes(16, "3200");
	/* Whoever maps it later has it too; by another mapping's default it goes. */
	assert_int_equal(quire_munmap(space.mm, P(0), 24 * PAGE), 0);
	map(0, 8, RW, QUIRE_MAP_SHARED, memfd, 0);
	assert_policy(3, QUIRE_MPOL_BIND, 0x8);
	assert_policy(5, QUIRE_MPOL_BIND, 0x4);
	assert_int_equal(bind(0, 8, QUIRE_MPOL_INTERLEAVE, 0x3, 0), 0);
	assert_int_equal(bind(3, 1, QUIRE_MPOL_DEFAULT, 0, 0), 0);
	assert_policy(2, QUIRE_MPOL_INTERLEAVE, 0x3);
	assert_policy(3, QUIRE_MPOL_DEFAULT, 0);
	assert_policy(4, QUIRE_MPOL_INTERLEAVE, 0x3);
	quire_object_drop(memfd->object, 0, 15);
	write_pages(0, 8);
	assert_nodes(0, "01000101");
	assert_int_equal(quire_munmap(space.mm, P(0), 8 * PAGE), 0);
	quire_grace_wait(space.q);
	quire_file_put(space.q, memfd);
}

static void shared_anonymous_memory_is_shared_with_children(void **state)
{
	struct quire_mm *child;

	(void)state;
	map(0, 4, RW, SHARED_ANON, NULL, 0);
	assert_int_equal(bind(1, 2, QUIRE_MPOL_PREFERRED, 0x8, 0), 0);
	child = fork_space(space.mm);
	assert_int_equal(bind(2, 1, QUIRE_MPOL_PREFERRED, 0x4, 0), 0);
	run_in(child);
	write_pages(0, 4);
	assert_nodes_in(child, 0, "0320");
	put_space(child);
	assert_bytes(0, 4);
}

/* ---- Areas ------------------------------------------------------------------------------- */

/*
 *	area    |-----------A-----------|
 *	bind        |-------|
 *	after   |-A-|---P---|-----A-----|
 */
static void areas_of_one_policy_merge_and_others_do_not(void **state)
{
	(void)state;
	map(0, 12, RW, ANON, NULL, 0);
	assert_int_equal(bind(2, 4, QUIRE_MPOL_BIND, 0x2, 0), 0);
	assert_areas(0, "2 4 6");
	assert_int_equal(bind(6, 2, QUIRE_MPOL_BIND, 0x2, 0), 0);
	assert_areas(0, "2 6 4");
	assert_int_equal(bind(3, 2, QUIRE_MPOL_BIND, 0x6, 0), 0);
	assert_areas(0, "2 1 2 3 4");
	/* Nothing to do. */
	assert_int_equal(bind(2, 1, QUIRE_MPOL_BIND, 0x2, 0), 0);
	/* In one call, over all kinds. */
	assert_int_equal(bind(0, 12, QUIRE_MPOL_BIND, 0x6, 0), 0);
	assert_areas(0, "12");
	assert_int_equal(bind(4, 8, QUIRE_MPOL_DEFAULT, 0, 0), 0);
	assert_areas(0, "4 8");
	/* What is mapped beside has none. */
	map(12, 2, RW, ANON, NULL, 0);
	assert_areas(0, "4 10");
	map(2, 2, RW, ANON, NULL, 0);
	assert_areas(0, "2 12");
	/* Other calls leave it alone. */
	assert_int_equal(quire_mprotect(space.mm, P(0), PAGE, R), 0);
	assert_areas(0, "1 1 12");
	assert_policy(0, QUIRE_MPOL_BIND, 0x6);
	assert_int_equal(quire_mprotect(space.mm, P(0), PAGE, RW), 0);
	assert_areas(0, "2 12");
	assert_int_equal(quire_mlock(space.mm, P(0), 3 * PAGE), 0);
	assert_areas(0, "2 1 11");
	assert_policy(1, QUIRE_MPOL_BIND, 0x6);
}

/* Flags belong to a policy: with other ones it is another, though the nodes are the same. */
static void flags_are_part_of_a_policy(void **state)
{
	(void)state;
	map(0, 8, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, 2, QUIRE_MPOL_BIND | QUIRE_MPOL_F_STATIC_NODES, 0x32, 0), 0);
	assert_policy(0, QUIRE_MPOL_BIND | QUIRE_MPOL_F_STATIC_NODES, 0x32);
	assert_int_equal(bind(2, 2, QUIRE_MPOL_BIND, 0x32, 0), 0);
	assert_policy(2, QUIRE_MPOL_BIND, 0x2);
	/* Of four nodes with memory the fifth is the first again. */
	assert_int_equal(bind(4, 2, QUIRE_MPOL_BIND | QUIRE_MPOL_F_RELATIVE_NODES, 0x90, 0), 0);
	assert_policy(4, QUIRE_MPOL_BIND | QUIRE_MPOL_F_RELATIVE_NODES, 0x90);
	assert_int_equal(bind(6, 2, QUIRE_MPOL_BIND | QUIRE_MPOL_F_NUMA_BALANCING, 0x2, 0), 0);
	assert_policy(6, QUIRE_MPOL_BIND | QUIRE_MPOL_F_NUMA_BALANCING, 0x2);
	assert_areas(0, "2 2 2 2");
	set_task(QUIRE_MPOL_LOCAL, 0);
	write_pages(0, 8);
	assert_nodes(0, "11110011");
}

static void a_moved_area_takes_its_policy_along(void **state)
{
	(void)state;
	map(0, 4, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, 4, QUIRE_MPOL_BIND, 0x8, 0), 0);
	assert_int_equal(quire_mremap(space.mm, P(0), 4 * PAGE, 6 * PAGE, 0, 0), P(0));
	assert_areas(0, "6");
	assert_int_equal(quire_mremap(space.mm, P(2), 2 * PAGE, 2 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(20)),
			 P(20));
	assert_policy(20, QUIRE_MPOL_BIND, 0x8);
	write_pages(20, 2);
	write_pages(5, 1);
	assert_nodes(20, "33");
	assert_nodes(5, "3");
}

/* An owner is shared by neighbours that could merge but for their rights: not with another policy. */
static void owners_are_not_shared_across_policies(void **state)
{
	(void)state;
	map(0, 4, RW, ANON, NULL, 0);
	assert_int_equal(bind(2, 2, QUIRE_MPOL_BIND, 0x8, 0), 0);
	write_pages(0, 4);
	assert_ptr_not_equal(area(space.mm, P(0))->anon, area(space.mm, P(2))->anon);
	assert_int_equal(bind(2, 2, QUIRE_MPOL_DEFAULT, 0, 0), 0);
	assert_areas(0, "2 2");
}

static void max_map_count_stops_a_cut(void **state)
{
	(void)state;
	map(0, 4, RW, ANON, NULL, 0);
	map(4, 4, R, ANON, NULL, 0);
	space.q->mms.sysctl.max_map_count = 2;
	assert_int_equal(bind(0, 6, QUIRE_MPOL_BIND, 0x2, 0), -QUIRE_ENOMEM);
	assert_areas(0, "4 4");
	/* What came before it is done, as on Linux. */
	assert_policy(0, QUIRE_MPOL_BIND, 0x2);
	assert_policy(4, QUIRE_MPOL_DEFAULT, 0);
	space.q->mms.sysctl.max_map_count = 65530;
}

/* ---- What the calls refuse --------------------------------------------------------------- */

static void arguments_of_mbind_are_checked(void **state)
{
	const uint32_t static_nodes = QUIRE_MPOL_F_STATIC_NODES;
	const uint32_t relative_nodes = QUIRE_MPOL_F_RELATIVE_NODES;
	uint64_t none = 0, words[2] = {1, 1}, nodes = 1;

	(void)state;
	map(0, 4, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_MAX, 1, 0), -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND | static_nodes | relative_nodes, 1, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_INTERLEAVE | QUIRE_MPOL_F_NUMA_BALANCING, 1, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND, 1, 8), -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_INTERLEAVE, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_DEFAULT, 1, 0), -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_LOCAL, 1, 0), -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_LOCAL | static_nodes, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_PREFERRED | static_nodes, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_DEFAULT | static_nodes, 0, 0), 0);
	/* Nodes without memory: some, none but those. */
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND, 0x30, 0), -QUIRE_EINVAL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND, 0x31, 0), 0);
	assert_policy(0, QUIRE_MPOL_BIND, 1);
	/* Masks: beyond what there can be; a NULL; one bit fewer than maxnode says. */
	assert_int_equal(quire_mbind(space.mm, P(0), PAGE, QUIRE_MPOL_BIND, words, 129, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_mbind(space.mm, P(0), PAGE, QUIRE_MPOL_BIND, words, 65, 0), 0);
	assert_int_equal(quire_mbind(space.mm, P(0), PAGE, QUIRE_MPOL_BIND, words, 0, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_mbind(space.mm, P(0), PAGE, QUIRE_MPOL_BIND, words,
				     QUIRE_PAGE_SIZE * 8 + 2, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_mbind(space.mm, P(0), PAGE, QUIRE_MPOL_BIND, &nodes, 1, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_mbind(space.mm, P(0), PAGE, QUIRE_MPOL_PREFERRED, NULL, 65, 0), 0);
	assert_int_equal(quire_mbind(space.mm, P(0), PAGE, QUIRE_MPOL_BIND, &none, 65, 0),
			 -QUIRE_EINVAL);
	/* Ranges. */
	assert_int_equal(quire_mbind(space.mm, P(0) + 1, PAGE, QUIRE_MPOL_BIND, &nodes, 65, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(
		quire_mbind(space.mm, P(0), UINT64_MAX - PAGE, QUIRE_MPOL_BIND, &nodes, 65, 0),
		-QUIRE_EINVAL);
	assert_int_equal(quire_mbind(space.mm, P(0), 0, QUIRE_MPOL_BIND, &none, 65, 0), 0);
	assert_int_equal(quire_mbind(space.mm, P(3), 1, QUIRE_MPOL_BIND, &nodes, 65, 0), 0);
	assert_policy(3, QUIRE_MPOL_BIND, 1);
	space.mm->limits.cap_sys_nice = false;
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND, 1, MOVE_ALL), -QUIRE_EPERM);
}

static void holes_are_efault_but_for_the_default(void **state)
{
	(void)state;
	map(1, 2, RW, ANON, NULL, 0);
	map(4, 2, RW, ANON, NULL, 0);
	assert_int_equal(bind(0, 2, QUIRE_MPOL_BIND, 2, 0), -QUIRE_EFAULT);
	assert_int_equal(bind(1, 4, QUIRE_MPOL_BIND, 2, 0), -QUIRE_EFAULT);
	assert_int_equal(bind(4, 4, QUIRE_MPOL_BIND, 2, 0), -QUIRE_EFAULT);
	assert_int_equal(bind(8, 1, QUIRE_MPOL_BIND, 2, 0), -QUIRE_EFAULT);
	assert_areas(1, "2");
	assert_policy(1, QUIRE_MPOL_DEFAULT, 0);
	assert_int_equal(bind(1, 2, QUIRE_MPOL_BIND, 2, 0), 0);
	assert_int_equal(bind(5, 1, QUIRE_MPOL_BIND, 2, 0), 0);
	assert_int_equal(bind(0, 12, QUIRE_MPOL_DEFAULT, 0, 0), 0);
	assert_int_equal(bind(8, 2, QUIRE_MPOL_DEFAULT, 0, 0), -QUIRE_EFAULT);
	assert_policy(1, QUIRE_MPOL_DEFAULT, 0);
	assert_policy(5, QUIRE_MPOL_DEFAULT, 0);
	assert_areas(4, "2");
}

static int get_flags(uint64_t maxnode, uint64_t addr, uint32_t flags)
{
	uint64_t nodes[2];
	uint32_t mode;

	return quire_get_mempolicy(space.mm, &task, &mode, nodes, maxnode, addr, flags);
}

static void arguments_of_get_mempolicy_are_checked(void **state)
{
	uint64_t nodes[2] = {77, 77};
	uint32_t mode = 77;

	(void)state;
	map(0, 1, QUIRE_PROT_NONE, ANON, NULL, 0);
	assert_int_equal(get_flags(65, 0, 8), -QUIRE_EINVAL);
	assert_int_equal(get_flags(65, P(0), 0), -QUIRE_EINVAL);
	assert_int_equal(get_flags(3, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(get_flags(4, 0, 0), 0);
	assert_int_equal(get_flags(65, 0, QUIRE_MPOL_F_NODE), -QUIRE_EINVAL);
	assert_int_equal(get_flags(65, P(1), QUIRE_MPOL_F_ADDR), -QUIRE_EFAULT);
	assert_int_equal(get_flags(65, P(0), QUIRE_MPOL_F_ADDR), 0);
	assert_int_equal(get_flags(65, P(0), QUIRE_MPOL_F_ADDR | QUIRE_MPOL_F_NODE), -QUIRE_EFAULT);
	assert_int_equal(get_flags(65, 0, QUIRE_MPOL_F_MEMS_ALLOWED | QUIRE_MPOL_F_NODE),
			 -QUIRE_EINVAL);
	assert_int_equal(get_flags(65, 0, QUIRE_MPOL_F_MEMS_ALLOWED | QUIRE_MPOL_F_ADDR),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_get_mempolicy(space.mm, NULL, &mode, nodes, 129, 0,
					     QUIRE_MPOL_F_MEMS_ALLOWED),
			 0);
	assert_int_equal(mode, 0);
	assert_int_equal(nodes[0], 0xf);
	assert_int_equal(nodes[1], 0);
	assert_int_equal(quire_get_mempolicy(space.mm, NULL, NULL, NULL, 0, 0, 0), 0);
	assert_int_equal(set_task(QUIRE_MPOL_BIND, 0), -QUIRE_EINVAL);
	assert_int_equal(set_task(99, 1), -QUIRE_EINVAL);
	assert_null(task.policy);
}

/* ---- The text ---------------------------------------------------------------------------- */

/* The line of the area that begins at a page. */
static const char *numa_line(uint64_t at)
{
	static char line[256];
	char start[32];
	const char *found;

	assert_int_equal(quire_proc_numa_maps(space.mm, &task, blank()), 0);
	snprintf(start, sizeof(start), "%08llx ", (unsigned long long)P(at));
	found = strstr(paper.text, start);
	assert_non_null(found);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(found + strlen(start), "\n"),
		 found + strlen(start));
	return line;
}

/* As Linux 6.18 prints it, but for the sizes of pages, which are the format's. */
static void numa_maps_says_where_pages_are(void **state)
{
	struct disk *disk = disk_new(space.q, 16 * PAGE);
	char expected[128];
	const unsigned kb = PAGE >> 10;

	(void)state;
	disk->file.path = "/a b=c";
	space.mm->layout.start_stack = 0;
	map(0, 4, RW, ANON, NULL, 0);
	assert_string_equal(numa_line(0), "default");
	assert_int_equal(bind(0, 4, QUIRE_MPOL_INTERLEAVE, 0xd, 0), 0);
	write_pages(0, 3);
	snprintf(expected, sizeof(expected),
		 "interleave:0,2-3 anon=3 dirty=3 active=0 N0=1 N2=1 N3=1 kernelpagesize_kB=%u",
		 kb);
	assert_string_equal(numa_line(0), expected);
	map(8, 2, R, QUIRE_MAP_SHARED, &disk->file, 0);
	map(11, 2, R, QUIRE_MAP_SHARED, &disk->file, 0);
	assert_int_equal(get(P(8)), disk_byte(0));
	assert_int_equal(quire_mlock(space.mm, P(11), PAGE), 0);
	assert_int_equal(set_task(QUIRE_MPOL_BIND, 0x2), 0);
	snprintf(expected, sizeof(expected),
		 "bind:1 file=/a\\040b\\075c mapped=1 mapmax=2 N0=1 kernelpagesize_kB=%u", kb);
	assert_string_equal(numa_line(11), expected);
	map(16, 1, RW, SHARED_ANON, NULL, 0);
	assert_int_equal(
		bind(16, 1,
		     QUIRE_MPOL_BIND | QUIRE_MPOL_F_RELATIVE_NODES | QUIRE_MPOL_F_NUMA_BALANCING,
		     0xe, 0),
		0);
	assert_string_equal(numa_line(16),
			    "bind=relative|balancing:1-3 file=/dev/zero\\040(deleted)");
	assert_int_equal(bind(16, 1, QUIRE_MPOL_PREFERRED | QUIRE_MPOL_F_STATIC_NODES, 0xe, 0), 0);
	assert_string_equal(numa_line(16), "prefer=static:1 file=/dev/zero\\040(deleted)");
	assert_int_equal(bind(0, 1, QUIRE_MPOL_LOCAL, 0, 0), 0);
	assert_int_equal(bind(1, 1, QUIRE_MPOL_PREFERRED_MANY, 0x9, 0), 0);
	assert_int_equal(bind(3, 1, QUIRE_MPOL_WEIGHTED_INTERLEAVE, 0x9, 0), 0);
	assert_true(!strncmp(numa_line(0), "local anon=1", 12));
	assert_true(!strncmp(numa_line(1), "prefer (many):0,3 anon=1", 24));
	assert_string_equal(numa_line(3), "weighted interleave:0,3");
	assert_int_equal(bind(2, 1, QUIRE_MPOL_BIND | QUIRE_MPOL_F_NUMA_BALANCING, 0x9, 0), 0);
	assert_true(!strncmp(numa_line(2), "bind=balancing:0,3 anon=1", 25));
	assert_int_equal(quire_munmap(space.mm, P(8), 8 * PAGE), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(without_a_policy_pages_are_from_the_cpu_s_node),
		policy_test(bind_takes_its_nodes_alone_the_nearest_first),
		policy_test(bind_ends_where_its_nodes_do),
		policy_test(preferred_is_its_first_node_or_local),
		policy_test(preferred_many_goes_elsewhere_when_it_must),
		policy_test(interleave_is_by_page_number),
		policy_test(interleaved_pages_keep_their_numbers_when_they_move),
		policy_test(weights_are_pages_in_a_row),
		policy_test(copies_are_from_where_the_copier_s_area_says),
		policy_test(a_stack_grows_as_its_policy_says),
		policy_test(a_thread_s_policy_serves_what_has_none),
		policy_test(a_thread_interleaves_a_file_s_pages_in_turn),
		policy_test(shared_memory_has_its_policy_by_offset),
		policy_test(shared_anonymous_memory_is_shared_with_children),
		policy_test(areas_of_one_policy_merge_and_others_do_not),
		policy_test(flags_are_part_of_a_policy),
		policy_test(a_moved_area_takes_its_policy_along),
		policy_test(owners_are_not_shared_across_policies),
		policy_test(max_map_count_stops_a_cut),
		policy_test(arguments_of_mbind_are_checked),
		policy_test(holes_are_efault_but_for_the_default),
		policy_test(arguments_of_get_mempolicy_are_checked),
		policy_test(numa_maps_says_where_pages_are),
	};

	return cmocka_run_group_tests_name("policies", tests, NULL, NULL);
}

#else

/* A build for fewer nodes has nothing to choose from. */
int main(void)
{
	return 77;
}

#endif

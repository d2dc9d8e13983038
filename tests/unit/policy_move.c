/* SPDX-License-Identifier: MIT */
/*
 * Pages that move from node to node, by mbind(MPOL_MF_MOVE), migrate_pages() and move_pages(); and drivers, who are asked
 * about both policies and moves. What is expected is from mbind(2), migrate_pages(2) and move_pages(2).
 */
#include "policy.h"

#if QUIRE_NR_NODES >= 4

/* ---- Pages that move --------------------------------------------------------------------- */

static void strict_finds_pages_that_lie_elsewhere(void **state)
{
	(void)state;
	map(0, 4, RW, ANON, NULL, 0);
	write_pages(2, 1);
	assert_int_equal(bind(0, 4, QUIRE_MPOL_BIND, 0x2, STRICT), -QUIRE_EIO);
	assert_policy(0, QUIRE_MPOL_DEFAULT, 0);
	assert_areas(0, "4");
	assert_int_equal(bind(0, 2, QUIRE_MPOL_BIND, 0x2, STRICT), 0);
	assert_int_equal(bind(2, 2, QUIRE_MPOL_BIND, 0x3, STRICT), 0);
	/* Nowhere is elsewhere for the default. */
	assert_int_equal(bind(0, 4, QUIRE_MPOL_DEFAULT, 0, STRICT), 0);
	assert_nodes(0, "..0.");
	/* The first thing wrong counts: the page lies before the hole. */
	map(5, 1, RW, ANON, NULL, 0);
	map(4, 1, R, ANON, NULL, 0);
	assert_int_equal(bind(2, 9, QUIRE_MPOL_BIND, 0x2, STRICT), -QUIRE_EIO);
	assert_int_equal(bind(3, 9, QUIRE_MPOL_BIND, 0x2, STRICT), -QUIRE_EFAULT);
}

static void pages_move_with_their_bytes(void **state)
{
	(void)state;
	map(0, 6, RW, ANON, NULL, 0);
	write_pages(0, 5);
	assert_int_equal(quire_mprotect(space.mm, P(1), PAGE, R), 0);
	assert_int_equal(quire_mprotect(space.mm, P(2), PAGE, QUIRE_PROT_NONE), 0);
	assert_int_equal(quire_mlock(space.mm, P(3), PAGE), 0);
	assert_int_equal(bind(0, 6, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), 0);
	assert_nodes(0, "33333.");
	assert_accerr(QUIRE_ACCESS_WRITE, P(1));
	assert_accerr(QUIRE_ACCESS_READ, P(2));
	assert_int_equal(quire_mprotect(space.mm, P(2), PAGE, RW), 0);
	assert_bytes(0, 5);
	write_pages(0, 1);
	assert_int_equal(quire_stat_read(space.q, QUIRE_STAT_MLOCK), 1);
	/* Already there: they stay. */
	quire_pfn_t before = frame(space.mm, P(0));
	assert_int_equal(bind(0, 6, QUIRE_MPOL_BIND, 0xc, MOVE | STRICT), 0);
	assert_int_equal(frame(space.mm, P(0)), before);
	/* By the thread's policy, and each by its number. */
	assert_int_equal(set_task(QUIRE_MPOL_BIND, 0x4), 0);
	assert_int_equal(bind(0, 6, QUIRE_MPOL_DEFAULT, 0, MOVE), 0);
	assert_nodes(0, "22222.");
	assert_int_equal(bind(0, 5, QUIRE_MPOL_INTERLEAVE, 0x3, MOVE), 0);
	assert_nodes(0, BASE / PAGE % 2 ? "10101." : "01010.");
	assert_bytes(0, 5);
	assert_policy(5, QUIRE_MPOL_DEFAULT, 0);
}

static struct {
	unsigned flushes, writable;
} seen;

static void look_before_flush(void *ctx, const struct quire_tlb_flush *flush)
{
	(void)ctx;
	(void)flush;
	seen.flushes++;
	seen.writable += entry_has(space.mm, P(0), QUIRE_PTE_WRITE);
}

/*
 * Neither before the first flush, while the old page is yet to be copied, nor before the second, while somebody may still
 * read it.
 */
static void nobody_can_write_before_a_move_s_flushes(void **state)
{
	static const struct machine_hooks looking = {.flush = look_before_flush}, none;

	(void)state;
	map(0, 1, RW, ANON, NULL, 0);
	write_pages(0, 1);
	assert_true(entry_has(space.mm, P(0), QUIRE_PTE_WRITE));
	memset(&seen, 0, sizeof(seen));
	machine_set_hooks(space.m, &looking, NULL);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), 0);
	machine_set_hooks(space.m, &none, NULL);
	assert_int_equal(seen.flushes, 2);
	assert_int_equal(seen.writable, 0);
	assert_nodes(0, "3");
	assert_bytes(0, 1);
	write_pages(0, 1);
}

static void the_page_of_zeroes_stays(void **state)
{
	(void)state;
	map(0, 1, RW, ANON, NULL, 0);
	assert_int_equal(get(P(0)), 0);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), 0);
	assert_int_equal(frame(space.mm, P(0)),
			 quire_page_to_pfn(space.q, space.q->pages.zero_page));
	assert_int_equal(node_of(0), quire_page_node(space.q->pages.zero_page));
	write_pages(0, 1);
	assert_nodes(0, "3");
}

static void pages_of_several_spaces_stay(void **state)
{
	struct quire_mm *child;

	(void)state;
	map(0, 2, RW, ANON, NULL, 0);
	write_pages(0, 2);
	child = fork_space(space.mm);
	write_pages(1, 1);
	assert_int_equal(bind(0, 2, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), 0);
	assert_nodes(0, "03");
	/* With MOVE_ALL Linux would find both entries: see docs/conformance.md. */
	assert_int_equal(bind(0, 2, QUIRE_MPOL_BIND, 0x4, MOVE_ALL | STRICT), -QUIRE_EIO);
	assert_nodes(0, "02");
	assert_policy(0, QUIRE_MPOL_BIND, 0x4);
	assert_int_equal(bind(0, 2, QUIRE_MPOL_BIND, 0x2, MOVE_ALL), 0);
	assert_nodes(0, "01");
	run_in(child);
	assert_bytes(0, 2);
	put_space(child);
	/* The child has gone: it is ours alone. */
	assert_int_equal(bind(0, 2, QUIRE_MPOL_BIND, 0x2, MOVE | STRICT), 0);
	assert_nodes(0, "11");
	assert_bytes(0, 2);
	write_pages(0, 2);
}

static void a_page_that_somebody_holds_stays(void **state)
{
	struct quire_page *page;

	(void)state;
	map(0, 2, RW, ANON, NULL, 0);
	map(2, 1, RW, SHARED_ANON, NULL, 0);
	write_pages(0, 3);
	for (uint64_t at = 0; at < 3; at += 2) {
		quire_pfn_t pfn = frame(space.mm, P(at));

		assert_int_equal(quire_get_user_page(space.mm, P(at), QUIRE_ACCESS_WRITE, &page),
				 0);
		assert_int_equal(bind(at, 1, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), -QUIRE_EIO);
		assert_int_equal(frame(space.mm, P(at)), pfn);
		assert_bytes(at, 1);
		write_pages(at, 1);
		(void)quire_page_put(space.q, page);
		assert_int_equal(bind(at, 1, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), 0);
		assert_nodes(at, "3");
		assert_bytes(at, 1);
	}
}

static void a_full_node_takes_what_it_can(void **state)
{
	const uint64_t pages = NODE_BYTES / PAGE;
	uint64_t moved = 0;

	(void)state;
	map(0, pages, RW, ANON, NULL, 0);
	map(pages, 64, RW, ANON, NULL, 0);
	write_pages(pages, 64);
	assert_int_equal(bind(0, pages - 32, QUIRE_MPOL_PREFERRED, 0x4, 0), 0);
	for (uint64_t i = 0; i < pages - 32; i++) {
		write_pages(i, 1);
		if (quire_page_node(page_at(space.mm, i)) != 2)
			break;
	}
	/* There is some room again, but not for all. */
	assert_int_equal(quire_munmap(space.mm, P(0), 8 * PAGE), 0);
	assert_int_equal(bind(pages, 64, QUIRE_MPOL_BIND, 0x4, MOVE), 0);
	assert_int_equal(bind(pages, 64, QUIRE_MPOL_BIND, 0x4, MOVE | STRICT), -QUIRE_EIO);
	for (uint64_t i = pages; i < pages + 64; i++)
		moved += quire_page_node(page_at(space.mm, i)) == 2;
	assert_true(moved > 0 && moved < 64);
	assert_bytes(pages, 64);
	assert_policy(pages, QUIRE_MPOL_BIND, 0x4);
}

/* ---- Pages of caches --------------------------------------------------------------------- */

static void pages_of_a_file_move_in_its_cache(void **state)
{
	struct disk *disk = disk_new(space.q, 16 * PAGE);
	struct quire_page *page;
	struct quire_mm *child;

	(void)state;
	map(0, 4, RW, QUIRE_MAP_SHARED, &disk->file, 0);
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(get(P(i)), disk_byte(i * PAGE));
	set(P(1), 99);
	child = fork_space(space.mm);
	assert_int_equal(bind(0, 2, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), 0);
	assert_nodes(0, "3300");
	page = quire_object_find_page(&disk->object, 1);
	assert_ptr_equal(page, page_at(space.mm, 1));
	(void)quire_page_put(space.q, page);
	assert_null(quire_object_check(&disk->object));
	assert_int_equal(get(P(0)), disk_byte(0));
	assert_int_equal(get(P(1)), 99);
	/* What was stored is still to be written, and what is stored now too. */
	set(P(1) + 1, 98);
	set(P(0), 97);
	assert_int_equal(quire_msync(space.mm, P(0), 4 * PAGE, QUIRE_MS_SYNC), 0);
	assert_int_equal(disk->bytes[PAGE], 99);
	assert_int_equal(disk->bytes[PAGE + 1], 98);
	assert_int_equal(disk->bytes[0], 97);
	assert_false(disk->unlocked);
	/* The child sees what is there. */
	run_in(child);
	assert_int_equal(get(P(1)), 99);
	set(P(2), 96);
	check_space(child);
	run_in(space.mm);
	assert_int_equal(get(P(2)), 96);
	/* Two map it now. */
	assert_int_equal(bind(2, 1, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), 0);
	assert_nodes(2, "0");
	assert_int_equal(bind(2, 1, QUIRE_MPOL_BIND, 0x4, MOVE_ALL | STRICT), 0);
	assert_nodes(2, "2");
	assert_null(page_at(child, 2));
	run_in(child);
	assert_int_equal(get(P(2)), 96);
	assert_nodes_in(child, 2, "2");
	put_space(child);
	assert_int_equal(quire_munmap(space.mm, P(0), 4 * PAGE), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

static void a_private_view_of_a_file_moves_its_pages_too(void **state)
{
	struct disk *disk = disk_new(space.q, 16 * PAGE);

	(void)state;
	map(0, 3, RW, QUIRE_MAP_PRIVATE, &disk->file, 0);
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(get(P(i)), disk_byte(i * PAGE));
	set(P(1), 99);
	assert_int_equal(quire_mlock(space.mm, P(2), PAGE), 0);
	assert_int_equal(bind(0, 3, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), 0);
	assert_nodes(0, "333");
	assert_int_equal(get(P(0)), disk_byte(0));
	assert_int_equal(get(P(1)), 99);
	quire_object_truncate(&disk->object, PAGE);
	assert_bus(QUIRE_ACCESS_READ, P(1));
	assert_int_equal(get(P(0)), disk_byte(0));
	assert_int_equal(quire_munmap(space.mm, P(0), 3 * PAGE), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

static void shared_memory_moves(void **state)
{
	(void)state;
	map(0, 4, RW, SHARED_ANON, NULL, 0);
	write_pages(0, 3);
	assert_int_equal(quire_mlock(space.mm, P(1), PAGE), 0);
	assert_int_equal(bind(0, 4, QUIRE_MPOL_INTERLEAVE, 0xc, MOVE | STRICT), 0);
	assert_nodes(0, "232.");
	assert_bytes(0, 3);
	write_pages(0, 4);
	assert_nodes(0, "2323");
	assert_int_equal(quire_stat_read(space.q, QUIRE_STAT_MLOCK), 1);
	assert_int_equal(quire_stat_read(space.q, QUIRE_STAT_SHMEM), 4);
}

/* ---- Drivers ----------------------------------------------------------------------------- */

static struct {
	struct quire_page *page;
	struct quire_mempolicy *policy;
	unsigned asked, opened;
	uint64_t start, pages, pgoff;
	int refuse, refuse_migrate;
	uint64_t from, to;
} driver;

static int driver_fault(struct quire_vmf *vmf)
{
	quire_page_get(driver.page);
	vmf->page = driver.page;
	return 0;
}

static int driver_set_policy(struct quire_vma *vma, struct quire_mempolicy *policy)
{
	driver.asked++;
	driver.start = vma->start;
	driver.pages = quire_vma_pages(vma);
	driver.pgoff = vma->pgoff;
	if (driver.refuse && policy)
		return driver.refuse;
	driver.policy = policy;
	return 0;
}

static struct quire_mempolicy *driver_get_policy(struct quire_vma *vma, quire_uaddr_t addr)
{
	(void)vma;
	return addr & PAGE ? driver.policy : NULL;
}

static int driver_migrate(struct quire_vma *vma, uint64_t from, uint64_t to)
{
	(void)vma;
	driver.from = from;
	driver.to = to;
	return driver.refuse_migrate;
}

static const struct quire_vm_ops driver_ops = {
	.fault = driver_fault,
	.set_policy = driver_set_policy,
	.get_policy = driver_get_policy,
	.migrate = driver_migrate,
};
static const struct quire_vm_ops quiet_ops = {.set_policy = driver_set_policy};

static void drivers_are_asked(void **state)
{
	(void)state;
	memset(&driver, 0, sizeof(driver));
	put_driver(space.mm, P(0), 4, VM_RW | VM_S, &driver_ops, NULL);
	assert_int_equal(bind(1, 2, QUIRE_MPOL_BIND, 0x8, 0), 0);
	assert_int_equal(driver.asked, 1);
	assert_int_equal(driver.start, P(1));
	assert_int_equal(driver.pages, 2);
	assert_int_equal(driver.pgoff, 1);
	assert_non_null(driver.policy);
	assert_int_equal(driver.policy->nodes, 0x8);
	/* It says what is in force. */
	assert_policy(1, QUIRE_MPOL_BIND, 0x8);
	assert_policy(2, QUIRE_MPOL_DEFAULT, 0);
	/* The same again is no change. */
	assert_int_equal(bind(1, 2, QUIRE_MPOL_BIND, 0x8, 0), 0);
	assert_int_equal(driver.asked, 1);
}

static void a_driver_that_refuses_leaves_everything_as_it_was(void **state)
{
	(void)state;
	memset(&driver, 0, sizeof(driver));
	map(0, 4, RW, ANON, NULL, 0);
	put_driver(space.mm, P(4), 4, VM_RW | VM_S, &quiet_ops, NULL);
	put_driver(space.mm, P(8), 4, VM_RW | VM_S, &driver_ops, NULL);
	assert_int_equal(bind(4, 4, QUIRE_MPOL_BIND, 0x2, 0), 0);
	driver.refuse = -QUIRE_EBUSY;
	assert_int_equal(bind(2, 8, QUIRE_MPOL_INTERLEAVE, 0x3, 0), -QUIRE_EBUSY);
	assert_areas(0, "4 4 4");
	assert_policy(2, QUIRE_MPOL_DEFAULT, 0);
	assert_policy(4, QUIRE_MPOL_BIND, 0x2);
	/* What came before it hears of its old policy again: here the second refuses, the first is told. */
	assert_int_equal(driver.asked, 2);
	driver.asked = 0;
	assert_int_equal(bind(4, 4, QUIRE_MPOL_DEFAULT, 0, 0), 0);
	assert_null(driver.policy);
	driver.refuse = 0;
	assert_int_equal(bind(4, 8, QUIRE_MPOL_BIND, 0x4, 0), 0);
	assert_int_equal(driver.asked, 3);
}

static void a_driver_s_pages_do_not_move(void **state)
{
	const int node = 3;
	quire_uaddr_t where = P(0);
	int status = 77;

	(void)state;
	memset(&driver, 0, sizeof(driver));
	driver.page = quire_page_alloc(space.q, QUIRE_GFP_ZERO, 0);
	assert_non_null(driver.page);
	put_driver(space.mm, P(0), 1, VM_RW | VM_S, &driver_ops, NULL);
	assert_int_equal(get(P(0)), 0);
	assert_int_equal(bind(0, 1, QUIRE_MPOL_BIND, 0x8, MOVE | STRICT), -QUIRE_EIO);
	assert_nodes(0, "0");
	assert_int_equal(quire_move_pages(space.mm, space.mm, 1, &where, &node, &status, MOVE), 0);
	assert_int_equal(status, -QUIRE_EBUSY);
	assert_int_equal(quire_munmap(space.mm, P(0), PAGE), 0);
	assert_true(quire_page_put(space.q, driver.page));
}

/* ---- migrate_pages ----------------------------------------------------------------------- */

static int64_t migrate(uint64_t from, uint64_t to)
{
	int64_t answer = quire_migrate_pages(space.mm, space.mm, 65, &from, &to);

	check_space(space.mm);
	return answer;
}

/* Pages 0 to 3 on nodes 0 to 3. */
static void one_page_a_node(void)
{
	map(0, 4, RW, ANON, NULL, 0);
	for (uint64_t n = 0; n < 4; n++)
		assert_int_equal(bind(n, 1, QUIRE_MPOL_PREFERRED, 1u << n, 0), 0);
	write_pages(0, 4);
	assert_nodes(0, "0123");
}

static void nodes_are_paired(void **state)
{
	(void)state;
	one_page_a_node();
	assert_int_equal(migrate(0x3, 0xc), 0);
	assert_nodes(0, "2323");
	assert_int_equal(migrate(0xc, 0x3), 0);
	assert_nodes(0, "0101");
	/* A chain: from the far end on, so that no page moves twice. */
	assert_int_equal(migrate(0x7, 0xe), 0);
	assert_nodes(0, "1212");
	/* Fewer nodes to go to: what lies there stays; others go round. */
	assert_int_equal(migrate(0xf, 0x4), 0);
	assert_nodes(0, "2222");
	assert_int_equal(migrate(0x4, 0x4), 0);
	assert_int_equal(migrate(0x1, 0x8), 0);
	assert_nodes(0, "2222");
	assert_bytes(0, 4);
	/* Areas keep their policies. */
	assert_policy(3, QUIRE_MPOL_PREFERRED, 0x8);
}

static void arguments_of_migrate_pages_are_checked(void **state)
{
	uint64_t words[2] = {1, 1}, from[2] = {1, 0};

	(void)state;
	one_page_a_node();
	assert_int_equal(migrate(1, 0), -QUIRE_EINVAL);
	assert_int_equal(migrate(1, 0x10), -QUIRE_EINVAL);
	assert_int_equal(migrate(1, 0x14), 0);
	assert_nodes(0, "2123");
	assert_int_equal(migrate(0, 1), 0);
	assert_int_equal(migrate(0x30, 1), 0);
	assert_int_equal(quire_migrate_pages(space.mm, space.mm, 129, words, from), -QUIRE_EINVAL);
	assert_int_equal(quire_migrate_pages(space.mm, space.mm, 129, from, words), -QUIRE_EINVAL);
	space.mm->limits.cap_sys_nice = false;
	assert_int_equal(migrate(1, 0x14), -QUIRE_EPERM);
	assert_int_equal(migrate(4, 1), 0);
	assert_nodes(0, "0103");
}

static void a_driver_may_refuse_to_migrate(void **state)
{
	(void)state;
	memset(&driver, 0, sizeof(driver));
	one_page_a_node();
	put_driver(space.mm, P(8), 1, VM_RW | VM_S, &driver_ops, NULL);
	driver.refuse_migrate = -QUIRE_EBUSY;
	assert_int_equal(migrate(0x3, 0xc), -QUIRE_EBUSY);
	assert_nodes(0, "0123");
	assert_int_equal(driver.from, 0x3);
	assert_int_equal(driver.to, 0xc);
	driver.refuse_migrate = 0;
	assert_int_equal(migrate(0x3, 0xc), 0);
	assert_nodes(0, "2323");
}

/* ---- move_pages -------------------------------------------------------------------------- */

/* Two pages to two nodes. */
static int64_t move_both(const quire_uaddr_t *at, int first, int second, int *status,
			 uint32_t flags)
{
	const int nodes[] = {first, second};

	return quire_move_pages(space.mm, space.mm, 2, at, nodes, status, flags);
}

static void pages_are_moved_one_by_one(void **state)
{
	const quire_uaddr_t at[] = {P(0), P(1) + 7, P(2), P(3), P(9), P(4)};
	const int nodes[] = {3, 3, 0, 2, 1, 1};
	int status[6];
	struct quire_mm *child;

	(void)state;
	map(0, 5, RW, ANON, NULL, 0);
	write_pages(0, 3);
	assert_int_equal(get(P(4)), 0);
	assert_int_equal(quire_move_pages(space.mm, space.mm, 6, at, NULL, status, 0), 0);
	assert_memory_equal(status, ((int[]){0, 0, 0, -QUIRE_ENOENT, -QUIRE_EFAULT, -QUIRE_EFAULT}),
			    sizeof(status));
	memset(status, 7, sizeof(status));
	assert_int_equal(quire_move_pages(space.mm, space.mm, 6, at, nodes, status, MOVE), 0);
	assert_memory_equal(status, ((int[]){3, 3, 0, -QUIRE_ENOENT, -QUIRE_EFAULT, -QUIRE_EFAULT}),
			    sizeof(status));
	assert_nodes(0, "330..");
	assert_bytes(0, 3);
	/* Two spaces map it. */
	child = fork_space(space.mm);
	assert_int_equal(quire_move_pages(space.mm, space.mm, 1, at, &(int){0}, status, MOVE), 0);
	assert_int_equal(status[0], -QUIRE_EACCES);
	assert_int_equal(move_both(at, 0, 0, status, MOVE_ALL), 2);
	put_space(child);
}

static void arguments_of_move_pages_are_checked(void **state)
{
	const quire_uaddr_t at[] = {P(0), P(1)};
	int status[2] = {77, 77};

	(void)state;
	map(0, 2, RW, ANON, NULL, 0);
	write_pages(0, 2);
	assert_int_equal(move_both(at, 1, 1, status, STRICT), -QUIRE_EINVAL);
	assert_int_equal(move_both(at, 1, 9, status, MOVE), -QUIRE_ENODEV);
	assert_nodes(0, "10");
	assert_int_equal(status[0], 1);
	assert_int_equal(status[1], 77);
	assert_int_equal(move_both(at, -1, 1, status, MOVE), -QUIRE_ENODEV);
	assert_int_equal(quire_move_pages(space.mm, space.mm, 0, at, &(int){1}, status, MOVE), 0);
	space.mm->limits.cap_sys_nice = false;
	assert_int_equal(quire_move_pages(space.mm, space.mm, 2, at, NULL, status, MOVE_ALL),
			 -QUIRE_EPERM);
}

/* ---- CPUs -------------------------------------------------------------------------------- */

#define COUNTS 400u

/* Each counts in words of its own, in pages of all, while CPU 0 sends these round the nodes. */
static void count(struct machine *m, unsigned cpu, void *arg)
{
	uint64_t nodes;

	(void)arg;
	machine_switch(m, &space.mm->pt);
	for (unsigned i = 0; i < COUNTS; i++) {
		if (cpu == 0) {
			nodes = 1u << i % NODES;
			(void)quire_mbind(space.mm, P(0), 12 * PAGE, QUIRE_MPOL_BIND, &nodes, 65,
					  MOVE);
			continue;
		}
		for (uint64_t at = 0; at < 12; at += 3) {
			uint64_t addr = P(at + i % 3) + cpu * 8, word = 0;
			struct quire_signal sig;

			assert_int_equal(machine_load(m, addr, &word, 8, &sig), 0);
			assert_int_equal(word, i / 3);
			word++;
			assert_int_equal(machine_store(m, addr, &word, 8, &sig), 0);
		}
	}
	machine_switch(m, NULL);
}

static void no_store_is_lost_to_a_move(void **state)
{
	struct disk *disk = disk_new(space.q, 16 * PAGE);

	(void)state;
	memset(disk->bytes, 0, 16 * PAGE);
	map(0, 4, RW, ANON, NULL, 0);
	map(4, 4, RW, SHARED_ANON, NULL, 0);
	map(8, 4, RW, QUIRE_MAP_SHARED, &disk->file, 0);
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, CPUS, count, NULL);
	run_in(space.mm);
	check_space(space.mm);
	for (uint64_t at = 0; at < 12; at++) {
		for (unsigned cpu = 1; cpu < CPUS; cpu++) {
			uint64_t word = 0;

			assert_int_equal(machine_load(space.m, P(at) + cpu * 8, &word, 8, NULL), 0);
			assert_int_equal(word, COUNTS / 3 + (at % 3 < COUNTS % 3));
		}
	}
	assert_int_equal(quire_munmap(space.mm, P(0), 12 * PAGE), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		policy_test(strict_finds_pages_that_lie_elsewhere),
		policy_test(pages_move_with_their_bytes),
		policy_test(nobody_can_write_before_a_move_s_flushes),
		policy_test(the_page_of_zeroes_stays),
		policy_test(pages_of_several_spaces_stay),
		policy_test(a_page_that_somebody_holds_stays),
		policy_test(a_full_node_takes_what_it_can),
		policy_test(pages_of_a_file_move_in_its_cache),
		policy_test(a_private_view_of_a_file_moves_its_pages_too),
		policy_test(shared_memory_moves),
		policy_test(drivers_are_asked),
		policy_test(a_driver_that_refuses_leaves_everything_as_it_was),
		policy_test(a_driver_s_pages_do_not_move),
		policy_test(nodes_are_paired),
		policy_test(arguments_of_migrate_pages_are_checked),
		policy_test(a_driver_may_refuse_to_migrate),
		policy_test(pages_are_moved_one_by_one),
		policy_test(arguments_of_move_pages_are_checked),
		policy_test(no_store_is_lost_to_a_move),
	};

	return cmocka_run_group_tests_name("pages that move", tests, NULL, NULL);
}

#else

/* A build for fewer nodes has nothing to choose from. */
int main(void)
{
	return 77;
}

#endif

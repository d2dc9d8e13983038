/* SPDX-License-Identifier: MIT */
/*
 * fork on the simulated machine: what the child sees of the parent's memory and the parent of the
 * child's (fork(2), madvise(2), mlock(2)); and a fork that fails, which leaves the parent as it
 * was.
 */
#include <mm/internal.h>

#include "space_disk.h"

static int setup(void **state)
{
	return space_disk_setup(state, 2, 32);
}

#define fork_test(fn) cmocka_unit_test_setup_teardown(fn, setup, space_disk_teardown)

static void assert_in(struct quire_mm *mm, uint64_t addr, unsigned char byte)
{
	run_in(mm);
	assert_int_equal(get(addr), byte);
}

static void set_in(struct quire_mm *mm, uint64_t addr, unsigned char byte)
{
	run_in(mm);
	set(addr, byte);
}

static int64_t map_shared(uint64_t start, uint64_t n)
{
	return quire_mmap(space.mm, P(start), n * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			  QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0);
}

/* ---- What is in the pages ---------------------------------------------------------------- */

static void private_memory_is_copied_on_write(void **state)
{
	struct quire_mm *parent = space.mm, *child;
	quire_pfn_t before;

	map_at(0, 4, "rw");
	set(P(0), 1);
	set(P(1), 2);
	assert_int_equal(get(P(2)), 0);
	before = frame(parent, P(0));
	child = fork_space(parent);
	assert_int_equal(frame(child, P(0)), before);
	assert_int_equal(frame(parent, P(0)), before);
	assert_false(entry_has(parent, P(0), QUIRE_PTE_WRITE));
	check_space(parent);
	check_space(child);

	/* The parent's TLB had a writable entry: had it been left, the child would see this. */
	set(P(0), 11);
	assert_in(child, P(0), 1);
	assert_in(parent, P(0), 11);
	set_in(child, P(1), 22);
	assert_in(parent, P(1), 2);
	assert_in(child, P(1), 22);
	/* Not written before: both have zeroes, and pages of their own when they write. */
	set_in(child, P(2), 33);
	assert_in(parent, P(2), 0);
	set_in(parent, P(3), 44);
	assert_in(child, P(3), 0);
	put_space(child);
	assert_in(parent, P(1), 2);
}

static void the_last_sharer_keeps_the_page(void **state)
{
	struct quire_mm *parent = space.mm, *child;
	quire_pfn_t before;

	map_at(0, 1, "rw");
	set(P(0), 1);
	before = frame(parent, P(0));
	child = fork_space(parent);
	put_space(child);
	set(P(0), 2);
	assert_int_equal(frame(parent, P(0)), before);
}

static void shared_memory_stays_shared(void **state)
{
	struct quire_mm *parent = space.mm, *child;

	assert_int_equal(map_shared(0, 4), P(0));
	set(P(0), 1);
	child = fork_space(parent);
	assert_in(child, P(0), 1);
	set_in(child, P(1), 2);
	assert_in(parent, P(1), 2);
	set_in(parent, P(0), 3);
	assert_in(child, P(0), 3);
	assert_int_equal(frame(parent, P(0)), frame(child, P(0)));
	put_space(child);
	assert_int_equal(get(P(1)), 2);
}

static void files_are_inherited(void **state)
{
	struct quire_mm *parent = space.mm, *child;

	put_file(parent, P(0), 4, VM_RW, &disk->file, 0);
	put_file(parent, P(8), 4, VM_RW | VM_S, &disk->file, 0);
	set(P(0), 1);
	set(P(9), 2);
	child = fork_space(parent);
	assert_int_equal(disk->file.refs, 5);
	assert_in(child, P(0), 1);
	assert_in(child, P(1),
		  2); /* the private view of a page that was stored to through the other */
	assert_in(child, P(2), disk_byte(2 * PAGE));
	set_in(child, P(0), 3);
	assert_in(parent, P(0), 1);
	set_in(child, P(8), 4);
	assert_in(parent, P(8), 4);
	check_space(parent);
	put_space(child);
	assert_int_equal(quire_object_sync(&disk->object, 0, 3), 0);
	assert_int_equal(disk->bytes[0], 4);
}

static void a_truncate_reaches_the_child(void **state)
{
	struct quire_mm *parent = space.mm, *child;

	put_file(parent, P(0), 4, VM_RW, &disk->file, 0);
	set(P(2), 1);
	child = fork_space(parent);
	quire_object_truncate(&disk->object, PAGE);
	run_in(child);
	assert_bus(QUIRE_ACCESS_READ, P(2));
	run_in(parent);
	assert_bus(QUIRE_ACCESS_READ, P(2));
	put_space(child);
}

static void grandchildren(void **state)
{
	struct quire_mm *parent = space.mm, *child, *grandchild;

	map_at(0, 2, "rw");
	set(P(0), 1);
	child = fork_space(parent);
	set_in(child, P(1), 2);
	grandchild = fork_space(child);
	set_in(grandchild, P(0), 3);
	set_in(child, P(0), 4);
	assert_in(parent, P(0), 1);
	assert_in(child, P(0), 4);
	assert_in(grandchild, P(0), 3);
	assert_in(grandchild, P(1), 2);
	assert_in(parent, P(1), 0);
	put_space(child);
	assert_in(grandchild, P(1), 2);
	check_space(grandchild);
	put_space(grandchild);
}

/* ---- What was advised -------------------------------------------------------------------- */

/* madvise(2). */
static void dontfork_is_left_out(void **state)
{
	struct quire_mm *parent = space.mm, *child;

	map_at(0, 6, "rw");
	set(P(2), 1);
	assert_int_equal(quire_madvise(parent, P(2), 2 * PAGE, QUIRE_MADV_DONTFORK), 0);
	child = fork_space(parent);
	assert_picture_of(child, "0-2 rw-p, 4-6 rw-p");
	assert_int_equal(child->total_vm, 4);
	assert_int_equal(child->data_vm, 4);
	run_in(child);
	assert_maperr(QUIRE_ACCESS_READ, P(2));
	put_space(child);
	assert_int_equal(quire_madvise(parent, P(2), 2 * PAGE, QUIRE_MADV_DOFORK), 0);
	child = fork_space(parent);
	assert_picture_of(child, "0-6 rw-p");
	assert_in(child, P(2), 1);
	put_space(child);
}

/* madvise(2): zeroes for the child, and for its children. */
static void wipeonfork_is_empty(void **state)
{
	struct quire_mm *parent = space.mm, *child, *grandchild;

	map_at(0, 2, "rw");
	set(P(0), 1);
	assert_int_equal(quire_madvise(parent, P(0), 2 * PAGE, QUIRE_MADV_WIPEONFORK), 0);
	child = fork_space(parent);
	assert_int_equal(child->rss[QUIRE_RSS_ANON], 0);
	assert_null(area(child, P(0))->anon);
	assert_in(child, P(0), 0);
	set_in(child, P(0), 2);
	grandchild = fork_space(child);
	assert_in(grandchild, P(0), 0);
	put_space(grandchild);
	assert_in(parent, P(0), 1);
	put_space(child);
	assert_int_equal(quire_madvise(parent, P(0), 2 * PAGE, QUIRE_MADV_KEEPONFORK), 0);
	child = fork_space(parent);
	assert_in(child, P(0), 1);
	put_space(child);
}

static void guards_are_inherited(void **state)
{
	struct quire_mm *parent = space.mm, *child;

	map_at(0, 4, "rw");
	put_file(parent, P(8), 4, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(quire_madvise(parent, P(1), PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(quire_madvise(parent, P(9), PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	child = fork_space(parent);
	run_in(child);
	assert_maperr(QUIRE_ACCESS_READ, P(1));
	assert_maperr(QUIRE_ACCESS_WRITE, P(9));
	set(P(0), 1);
	assert_int_equal(quire_madvise(child, P(1), PAGE, QUIRE_MADV_GUARD_REMOVE), 0);
	set(P(1), 1);
	run_in(parent);
	assert_maperr(QUIRE_ACCESS_READ, P(1));
	put_space(child);
}

/* mlock(2): locks are not inherited, nor is MCL_FUTURE. */
static void locks_are_not_inherited(void **state)
{
	struct quire_mm *parent = space.mm, *child;

	map_at(0, 2, "rw");
	assert_int_equal(
		quire_mlockall(parent, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT),
		0);
	child = fork_space(parent);
	assert_int_equal(parent->locked_vm, 2);
	assert_int_equal(child->locked_vm, 0);
	assert_int_equal(child->def_flags, 0);
	assert_int_equal(area(child, P(0))->flags & QUIRE_VM_LOCKED_MASK, 0);
	assert_int_equal(area(parent, P(0))->flags & QUIRE_VM_LOCKED_MASK, QUIRE_VM_LOCKED_MASK);
	put_space(child);
}

/* ---- What belongs to the space ----------------------------------------------------------- */

static void the_child_has_the_parent_s_layout_limits_and_sizes(void **state)
{
	struct quire_mm *parent = space.mm, *child;

	map_at(0, 3, "rw");
	map_at(4, 2, "rx");
	set(P(0), 1);
	parent->limits.as = 1 << 30;
	parent->layout.brk = 12345;
	child = fork_space(parent);
	assert_memory_equal(&child->layout, &parent->layout, sizeof(child->layout));
	assert_int_equal(child->limits.as, 1 << 30);
	assert_int_equal(child->total_vm, 5);
	assert_int_equal(child->data_vm, 3);
	assert_int_equal(child->exec_vm, 2);
	assert_int_equal(child->rss[QUIRE_RSS_ANON], 1);
	assert_int_equal(child->hiwater_vm, 5);
	assert_int_equal(child->users, 1);
	put_space(child);
}

/* Each private writable area is promised again; proc(5), overcommit_memory 2. */
static void the_child_s_memory_is_promised(void **state)
{
	struct quire_mm *parent = space.mm, *child;
	int64_t committed;

	map_at(0, 8, "rw");
	map_at(8, 4, "r");
	committed = space.q->mms.committed;
	child = fork_space(parent);
	assert_int_equal(space.q->mms.committed, committed + 8);
	put_space(child);
	assert_int_equal(space.q->mms.committed, committed);

	space.q->mms.sysctl.overcommit_memory = QUIRE_OVERCOMMIT_NEVER;
	space.q->mms.sysctl.overcommit_kbytes = KB_OF(12);
	space.q->mms.sysctl.user_reserve_kbytes = 0;
	space.q->mms.sysctl.admin_reserve_kbytes = 0;
	assert_int_equal(quire_fork(parent, &child), -QUIRE_ENOMEM);
	assert_null(child);
	assert_int_equal(space.q->mms.committed, committed);
	space.q->mms.sysctl.overcommit_kbytes = KB_OF(25);
	child = fork_space(parent);
	put_space(child);
}

static struct {
	unsigned opens, closes;
	struct quire_mm *opened_in;
	bool was_alive;
} driver;

static void driver_open(struct quire_vma *vma)
{
	driver.opens++;
	driver.opened_in = vma->mm;
	driver.was_alive = vma->state == QUIRE_VMA_ALIVE;
}

static void driver_close(struct quire_vma *vma)
{
	driver.closes++;
}

static const struct quire_vm_ops driver_ops = {
	.name = "[test]", .open = driver_open, .close = driver_close};

static void drivers_hear_of_the_child(void **state)
{
	struct quire_mm *parent = space.mm, *child;

	memset(&driver, 0, sizeof(driver));
	put_driver(parent, P(0), 4, VM_RW | VM_S, &driver_ops, NULL);
	child = fork_space(parent);
	assert_int_equal(driver.opens, 1);
	assert_ptr_equal(driver.opened_in, child);
	assert_true(driver.was_alive);
	assert_int_equal(driver.closes, 0);
	put_space(child);
	assert_int_equal(driver.closes, 1);
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
static int64_t call_fork(void)
{
	struct quire_mm *child;
	int err = quire_fork(space.mm, &child);

	if (err) {
		assert_null(child);
		assert_int_equal(driver.opens, driver.closes);
		return err;
	}
	/* The rest is not fork's. */
	space.q->slabs.fail.after = 0;
	space.q->pages.fail.after = 0;
	check_space(child);
	run_in(child);
	assert_int_equal(get(P(0)), 1);
	assert_int_equal(get(P(20)), 2);
	run_in(space.mm);
	quire_mmput(child);
	return 0;
}

static void fill_space(void)
{
	memset(&driver, 0, sizeof(driver));
	for (uint64_t i = 0; i < 10; i++) {
		map_at(2 * i, 1, "rw");
		set(P(2 * i), 1);
	}
	put_file(space.mm, P(20), 4, VM_RW, &disk->file, 0);
	set(P(20), 2);
	put_file(space.mm, P(24), 4, VM_RW | VM_S, &disk->file, 4);
	set(P(24), 3);
	put_driver(space.mm, P(30), 2, VM_RW | VM_S, &driver_ops, NULL);
	assert_int_equal(quire_madvise(space.mm, P(8), PAGE, QUIRE_MADV_WIPEONFORK), 0);
	assert_int_equal(quire_madvise(space.mm, P(21), PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	/*
	 * The parent's pages become read-only the first time round; after that a failed fork
	 * changes nothing.
	 */
	assert_int_equal(call_fork(), 0);
}
#endif

static void a_fork_without_objects_leaves_the_parent_as_it_was(void **state)
{
#if QUIRE_DEBUG
	fill_space();
	assert_true(assert_no_memory_no_change(&space.q->slabs.fail, call_fork, -QUIRE_ENOMEM) >
		    15);
	assert_int_equal(driver.opens, driver.closes);
#endif
}

static void a_fork_without_pages_leaves_the_parent_as_it_was(void **state)
{
#if QUIRE_DEBUG
	fill_space();
	assert_true(assert_no_memory_no_change(&space.q->pages.fail, call_fork, -QUIRE_ENOMEM) >=
		    space.mm->pt.fmt->levels);
	assert_int_equal(driver.opens, driver.closes);
#endif
}

/* ---- While others run -------------------------------------------------------------------- */

static uint32_t stop;

/*
 * CPU 1 counts in the parent's memory while CPU 0 forks: each child sees some state that there
 * was.
 */
static void count_or_fork(struct machine *m, unsigned cpu, void *arg)
{
	machine_switch(m, &space.mm->pt);
	if (cpu == 1) {
		for (uint32_t i = 1; !quire_load(&stop); i++) {
			if (machine_store(m, P(0), &i, 4, NULL) ||
			    machine_store(m, P(1), &i, 4, NULL))
				break;
		}
	} else {
		for (int i = 0; i < 200; i++) {
			struct quire_mm *child;
			uint32_t one, two, again;

			if (quire_fork(space.mm, &child))
				continue;
			machine_switch(m, &child->pt);
			machine_load(m, P(0), &one, 4, NULL);
			machine_load(m, P(1), &two, 4, NULL);
			machine_load(m, P(0), &again, 4, NULL);
			if (two > one || one != again)
				machine_report(m, "a child's memory changed under it", "fork.c",
					       one);
			machine_switch(m, &space.mm->pt);
			quire_mmput(child);
		}
		quire_store(&stop, 1);
	}
	machine_switch(m, NULL);
}

static void a_child_stands_still_while_the_parent_writes(void **state)
{
	map_at(0, 2, "rw");
	set(P(0), 0);
	set(P(1), 0);
	stop = 0;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 2, count_or_fork, NULL);
	run_in(space.mm);
	check_space(space.mm);
}

#define FRESH 3000u  /* pages that nobody has touched yet */
#define BETWEEN 512u /* pages that fork copies between those and the last one */
#define LAST (FRESH + BETWEEN)

static unsigned out_of_order;

/*
 * One CPU stores to one fresh page after the other, and each time the page's number to the last
 * one. The other forks and looks: a child that has the number has what was stored before it.
 */
static void publish_or_fork(struct machine *m, unsigned cpu, void *arg)
{
	struct quire_mm *child;
	uint32_t n;
	char byte;

	(void)arg;
	machine_switch(m, &space.mm->pt);
	if (cpu == 1) {
		for (n = 1; n < FRESH; n++) {
			machine_store(m, P(n), "x", 1, NULL);
			machine_store(m, P(LAST), &n, sizeof(n), NULL);
		}
		quire_store(&stop, 1);
	}
	while (cpu == 0 && !quire_load(&stop)) {
		if (quire_fork(space.mm, &child))
			continue;
		machine_switch(m, &child->pt);
		machine_load(m, P(LAST), &n, sizeof(n), NULL);
		machine_load(m, P(n), &byte, 1, NULL);
		out_of_order += n != 0 && byte != 'x';
		machine_switch(m, &space.mm->pt);
		quire_mmput(child);
	}
	machine_switch(m, NULL);
}

/*
 * On Linux the parent's threads cannot get pages of their own while fork copies; nor can they
 * here.
 */
static void a_child_has_no_store_without_those_before_it(void **state)
{
	(void)state;
	out_of_order = 0;
	for (unsigned round = 0; round < 10; round++) {
		map_at(0, LAST + 1, "rw");
		for (unsigned i = FRESH; i <= LAST; i++)
			set(P(i), 0);
		stop = 0;
		machine_switch(space.m, NULL);
		machine_run_cpus(space.m, 2, publish_or_fork, NULL);
		run_in(space.mm);
		check_space(space.mm);
		assert_int_equal(quire_munmap(space.mm, P(0), (LAST + 1) * PAGE), 0);
	}
	assert_int_equal(out_of_order, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fork_test(private_memory_is_copied_on_write),
		fork_test(the_last_sharer_keeps_the_page),
		fork_test(shared_memory_stays_shared),
		fork_test(files_are_inherited),
		fork_test(a_truncate_reaches_the_child),
		fork_test(grandchildren),
		fork_test(dontfork_is_left_out),
		fork_test(wipeonfork_is_empty),
		fork_test(guards_are_inherited),
		fork_test(locks_are_not_inherited),
		fork_test(the_child_has_the_parent_s_layout_limits_and_sizes),
		fork_test(the_child_s_memory_is_promised),
		fork_test(drivers_hear_of_the_child),
		fork_test(a_fork_without_objects_leaves_the_parent_as_it_was),
		fork_test(a_fork_without_pages_leaves_the_parent_as_it_was),
		fork_test(a_child_stands_still_while_the_parent_writes),
		fork_test(a_child_has_no_store_without_those_before_it),
	};

	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}

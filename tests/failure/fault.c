/* SPDX-License-Identifier: MIT */
/*
 * Faults of each kind: by a load, a store or a fetch of the machine, by get_user_pages, and by
 * accesses from other spaces. Want of memory is SIGKILL, as of the out-of-memory killer.
 */
#include "failure.h"

#define LOAD(name, at)                                                                             \
	static int64_t name(void)                                                                  \
	{                                                                                          \
		return load(at);                                                                   \
	}
#define STORE(name, at)                                                                            \
	static int64_t name(void)                                                                  \
	{                                                                                          \
		return store(at);                                                                  \
	}

LOAD(zero_page, 3000)
STORE(anonymous, 3000)
LOAD(zero_page_again, 5)
STORE(anonymous_again, 5)
STORE(over_zero_page, 4)
STORE(over_zero_page_first, 3000)
STORE(in_second_leaf, 3072)
STORE(first_of_neighbours, 3004)
STORE(copy_on_write, 0)
STORE(copy_in_child, 1)
STORE(reuse, 2)
LOAD(file_read, 14)
LOAD(file_read_around, 1100)
LOAD(file_read_leaf, 3000)
STORE(file_private_write, 14)
STORE(file_private_write_cached, 13)
STORE(file_copy_on_write, 13)
LOAD(shared_file_read, 18)
STORE(shared_file_write, 18)
STORE(shared_file_write_read_one, 17)
STORE(shared_file_write_leaf, 3000)
LOAD(shmem_read, 22)
STORE(shmem_write, 22)
LOAD(memfd_read, 26)
STORE(memfd_write, 26)
LOAD(driver_read, 38)
STORE(driver_write, 38)
STORE(driver_write_read_one, 36)
STORE(driver_private_write, 3001)
LOAD(driver_leaf, 3000)
STORE(grow_stack, 58)
LOAD(grow_stack_by_reading, 58)
STORE(grow_stack_into_leaf, 3068)
STORE(grow_untouched_stack, 3058)
LOAD(in_guard, 33)
LOAD(in_hole, 200)
STORE(to_read_only, 8)
STORE(deep_file, 3000)
STORE(wiped, 40)
LOAD(beyond_end_of_file, 3000)
STORE(write_beyond_end_of_file, 3000)
STORE(droppable, 3000)

static int64_t execute(void)
{
	return fetch(44);
}

/* ---- Getting there ----------------------------------------------------------------------- */

static void untouched(void)
{
	map(3000, 4, RW, ANON, NULL, 0);
	map(3004, 4, RW, ANON | QUIRE_MAP_NORESERVE, NULL, 0);
}

static void zero_page_read(void)
{
	untouched();
	load_pages(3000, 1);
}

/* Two areas over the end of a leaf, written to before it. */
static void owned_over_leaves(void)
{
	map(3070, 8, RW, ANON, NULL, 0);
	store_pages(3070, 1);
}

static void owned_file_over_leaves(void)
{
	map(3070, 8, RW, QUIRE_MAP_PRIVATE, &w.disk->file, 12);
	store_pages(3070, 1);
}

static void with_owned_neighbour(void)
{
	map(3000, 4, RW, ANON, NULL, 0);
	store_pages(3000, 1);
	map(3004, 4, RWX, ANON, NULL, 0);
}

static void give_child(void)
{
	assert_int_equal(quire_fork(w.mm, &w.other), 0);
}

static void child_gone(void)
{
	give_child();
	quire_mmput(w.other);
	w.other = NULL;
}

/* Eight pages in the cache, none mapped. */
static void file_cached(void)
{
	char byte;

	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(quire_object_read(&w.disk->object, i * PAGE, &byte, 1), 1);
	map(1100, 8, R, QUIRE_MAP_PRIVATE, &w.disk->file, 0);
}

static void file_untouched(void)
{
	map(3000, 4, R, QUIRE_MAP_PRIVATE, &w.disk->file, 24);
}

static void shared_untouched(void)
{
	map(3000, 4, RW, QUIRE_MAP_SHARED, &w.disk->file, 24);
}

static void device_untouched(void)
{
	map(3000, 4, RW, QUIRE_MAP_PRIVATE, w.device, 0);
}

static void device_refuses(void)
{
	w.driver.refuse_write = -QUIRE_EIO;
}

static void device_fails(void)
{
	device_untouched();
	w.driver.refuse_fault = -QUIRE_EFAULT;
}

static void disk_fails(void)
{
	w.disk->fail_read = 2;
}

static void disk_refuses_writes(void)
{
	w.disk->fail_mkwrite = 10;
}

/* Its tree has to grow to two levels more. */
static void far_in_a_file(void)
{
	quire_object_truncate(&w.disk->object, 70000 * PAGE);
	map(3000, 1, RW, QUIRE_MAP_PRIVATE, &w.disk->file, 69000);
}

static void stack_at_leaf_start(void)
{
	map(3072, 4, RW, ANON | QUIRE_MAP_GROWSDOWN, NULL, 0);
}

static void untouched_stack(void)
{
	map(3060, 4, RW, ANON | QUIRE_MAP_GROWSDOWN, NULL, 0);
}

static void limited_stack(void)
{
	untouched_stack();
	w.mm->limits.stack = 4 * PAGE;
}

/* All that may be promised has been. */
static void uncommitted_stack(void)
{
	struct quire_sysctl *ctl = &w.q->mms.sysctl;

	untouched_stack();
	ctl->overcommit_memory = QUIRE_OVERCOMMIT_NEVER;
	ctl->overcommit_kbytes = (uint64_t)(w.q->mms.committed + 1) * 4;
	ctl->admin_reserve_kbytes = 0;
	ctl->user_reserve_kbytes = 0;
}

static void locked_stack(void)
{
	assert_int_equal(quire_mlock(w.mm, AT(60), 4 * PAGE), 0);
}

/* With a leaf table there. */
static void short_file(void)
{
	map(3010, 1, RW, ANON, NULL, 0);
	store_pages(3010, 1);
	map(3000, 2, RW, QUIRE_MAP_PRIVATE, &w.disk->file, 40);
}

static void short_file_alone(void)
{
	map(3000, 2, RW, QUIRE_MAP_PRIVATE, &w.disk->file, 40);
}

static void droppable_area(void)
{
	assert_int_equal(quire_mmap(w.mm, AT(3000), 2 * PAGE, RW,
				    QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    NULL, 0),
			 AT(3000));
}

/* ---- From elsewhere ---------------------------------------------------------------------- */

static int64_t user_page(uint64_t at, uint32_t access)
{
	struct quire_page *page;
	int64_t err = quire_get_user_page(w.mm, AT(at), access, &page);

	if (!err)
		(void)quire_page_put(w.q, page);
	return err;
}

static int64_t user_page_read(void)
{
	return user_page(45, QUIRE_ACCESS_READ);
}

static int64_t user_page_write(void)
{
	return user_page(5, QUIRE_ACCESS_WRITE);
}

static int64_t user_page_forced(void)
{
	return user_page(10, QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE);
}

static int64_t access_remote(uint64_t at, uint32_t access)
{
	char byte = 1;

	/* Never an errno: nothing was done. */
	return quire_access_process_vm(w.mm, AT(at), &byte, 1, access) ? 0 : -QUIRE_ENOMEM;
}

static int64_t access_read(void)
{
	return access_remote(45, QUIRE_ACCESS_READ);
}

static int64_t access_write(void)
{
	return access_remote(5, QUIRE_ACCESS_WRITE);
}

static int64_t access_forced(void)
{
	return access_remote(46, QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE);
}

static int64_t access_stack(void)
{
	return access_remote(58, QUIRE_ACCESS_WRITE);
}

static int64_t copy_between(bool write, uint64_t local_at, uint64_t remote_at, uint64_t len)
{
	const struct quire_iovec local = {AT(local_at), len}, remote = {AT(remote_at), len};

	return write ? quire_process_vm_writev(w.other, &local, 1, w.mm, &remote, 1, 0)
		     : quire_process_vm_readv(w.other, &local, 1, w.mm, &remote, 1, 0);
}

static int64_t read_remote(void)
{
	return copy_between(false, 5, 0, 64);
}

static int64_t read_remote_untouched(void)
{
	return copy_between(false, 1, 1026, 64);
}

static int64_t write_remote(void)
{
	return copy_between(true, 0, 6, 64);
}

static int64_t write_remote_copies(void)
{
	return copy_between(true, 1, 0, 64);
}

static int64_t write_remote_untouched(void)
{
	return copy_between(true, 3000, 6, 64);
}

static void give_child_untouched(void)
{
	untouched();
	give_child();
}

static int64_t read_many_remote(void)
{
	return copy_between(false, 4, 0, 4 * PAGE);
}

/* So many that their list is allocated. */
static int64_t read_more_remote(void)
{
	return copy_between(false, 4, 0, 17 * PAGE);
}

static int64_t write_many_remote(void)
{
	return copy_between(true, 0, 4, 4 * PAGE);
}

#define FAULT .failure = KILLED
#define SEGV .success = SIGNAL(QUIRE_SIGSEGV)
#define BUS .success = SIGNAL(QUIRE_SIGBUS)

const struct scenario fault_scenarios[] = {
	{"fault_zero_page", untouched, zero_page, FAULT},
	{"fault_anonymous", untouched, anonymous, FAULT},
	{"fault_zero_page_beside_others", NULL, zero_page_again, .flags = NEEDS_NONE},
	{"fault_anonymous_beside_others", NULL, anonymous_again, FAULT},
	{"fault_write_over_zero_page", NULL, over_zero_page, FAULT},
	{"fault_first_write_over_zero_page", zero_page_read, over_zero_page_first, FAULT},
	{"fault_anonymous_in_a_second_leaf", owned_over_leaves, in_second_leaf, FAULT},
	{"fault_file_private_write_in_a_second_leaf", owned_file_over_leaves, in_second_leaf, FAULT,
	 .flags = KEEPS_CACHE},
	{"fault_anonymous_first_of_neighbours", with_owned_neighbour, first_of_neighbours, FAULT},
	{"fault_copy_on_write", give_child, copy_on_write, FAULT},
	{"fault_copy_on_write_in_child", give_child, copy_in_child, FAULT, .flags = IN_OTHER},
	{"fault_reuse", child_gone, reuse, .flags = NEEDS_NONE},
	{"fault_wiped_on_fork", give_child, wiped, FAULT, .flags = IN_OTHER},
	{"fault_file_read", NULL, file_read, FAULT, .flags = KEEPS_CACHE},
	{"fault_file_read_around", file_cached, file_read_around, .flags = NEEDS_NONE},
	{"fault_file_read_makes_a_leaf", file_untouched, file_read_leaf, FAULT,
	 .flags = KEEPS_CACHE},
	{"fault_file_execute", NULL, execute, FAULT, .flags = KEEPS_CACHE},
	{"fault_file_private_write", NULL, file_private_write, FAULT, .flags = KEEPS_CACHE},
	{"fault_file_private_write_cached", NULL, file_private_write_cached, FAULT},
	{"fault_file_copy_on_write", give_child, file_copy_on_write, FAULT},
	{"fault_file_deep", far_in_a_file, deep_file, FAULT, .flags = KEEPS_CACHE},
	{"fault_file_beyond_its_end", short_file, beyond_end_of_file, .flags = NEEDS_NONE, BUS},
	{"fault_file_beyond_its_end_makes_a_leaf", short_file_alone, beyond_end_of_file, FAULT,
	 .flags = MAY_NEED, BUS},
	{"fault_file_write_beyond_its_end", short_file, write_beyond_end_of_file, FAULT, BUS},
	{"fault_file_that_cannot_be_read", disk_fails, file_read, FAULT, BUS},
	{"fault_file_private_that_cannot_be_read", disk_fails, file_private_write, FAULT, BUS},
	{"fault_shared_file_read", NULL, shared_file_read, FAULT, .flags = KEEPS_CACHE},
	{"fault_shared_file_write", NULL, shared_file_write, FAULT, .flags = KEEPS_CACHE},
	{"fault_shared_file_first_write", NULL, shared_file_write_read_one, .flags = NEEDS_NONE},
	{"fault_shared_file_write_makes_a_leaf", shared_untouched, shared_file_write_leaf, FAULT,
	 .flags = KEEPS_CACHE},
	{"fault_shared_file_refuses_writes", disk_refuses_writes, shared_file_write, FAULT,
	 .flags = KEEPS_CACHE, BUS},
	{"fault_shmem_read", NULL, shmem_read, FAULT},
	{"fault_shmem_write", NULL, shmem_write, FAULT},
	{"fault_memfd_read", NULL, memfd_read, FAULT},
	{"fault_memfd_write", NULL, memfd_write, FAULT},
	{"fault_driver_read", NULL, driver_read, FAULT},
	{"fault_driver_write", NULL, driver_write, FAULT},
	{"fault_driver_first_write", NULL, driver_write_read_one, .flags = NEEDS_NONE},
	{"fault_driver_private_write", device_untouched, driver_private_write, FAULT,
	 .flags = KEEPS_PAGES},
	{"fault_driver_makes_a_leaf", device_untouched, driver_leaf, FAULT},
	{"fault_driver_that_fails", device_fails, driver_leaf, FAULT, BUS},
	{"fault_driver_refuses_writes", device_refuses, driver_write, FAULT, .flags = KEEPS_PAGES,
	 BUS},
	{"fault_stack_growth", NULL, grow_stack, FAULT, .failure2 = SIGNAL(QUIRE_SIGSEGV)},
	{"fault_stack_growth_by_reading", NULL, grow_stack_by_reading, FAULT,
	 .failure2 = SIGNAL(QUIRE_SIGSEGV)},
	{"fault_stack_growth_into_a_leaf", stack_at_leaf_start, grow_stack_into_leaf, FAULT,
	 .failure2 = SIGNAL(QUIRE_SIGSEGV)},
	{"fault_stack_growth_locked", locked_stack, grow_stack, FAULT,
	 .failure2 = SIGNAL(QUIRE_SIGSEGV)},
	{"fault_stack_growth_untouched", untouched_stack, grow_untouched_stack, FAULT,
	 .failure2 = SIGNAL(QUIRE_SIGSEGV)},
	{"fault_stack_at_its_limit", limited_stack, grow_untouched_stack, FAULT,
	 .failure2 = SIGNAL(QUIRE_SIGSEGV), SEGV},
	{"fault_stack_beyond_all_promises", uncommitted_stack, grow_untouched_stack, FAULT,
	 .failure2 = SIGNAL(QUIRE_SIGSEGV), SEGV},
	{"fault_guard", NULL, in_guard, .flags = NEEDS_NONE, SEGV},
	{"fault_hole", NULL, in_hole, .flags = NEEDS_NONE, SEGV},
	{"fault_read_only", NULL, to_read_only, .flags = NEEDS_NONE, SEGV},
	{"get_user_page_read", NULL, user_page_read, .flags = KEEPS_CACHE},
	{"get_user_page_write", NULL, user_page_write},
	{"get_user_page_forced", NULL, user_page_forced},
	{"access_process_vm_read", NULL, access_read, .flags = KEEPS_CACHE},
	{"access_process_vm_write", NULL, access_write},
	{"access_process_vm_forced", NULL, access_forced, .flags = KEEPS_CACHE},
	{"access_process_vm_stack", NULL, access_stack},
	{"process_vm_readv", give_child, read_remote, .flags = KEEPS_PAGES},
	{"process_vm_readv_untouched", give_child, read_remote_untouched, .flags = KEEPS_PAGES},
	{"process_vm_writev", give_child, write_remote, .flags = KEEPS_PAGES},
	{"process_vm_writev_copies", give_child, write_remote_copies, .flags = KEEPS_PAGES},
	{"process_vm_writev_untouched", give_child_untouched, write_remote_untouched, .flags = KEEPS_PAGES},
	{"process_vm_readv_pages", give_child, read_many_remote, .flags = KEEPS_PAGES | MAKES_DO},
	{"process_vm_readv_list", give_child, read_more_remote, .flags = KEEPS_PAGES | MAKES_DO},
	{"process_vm_writev_pages", give_child, write_many_remote, .flags = KEEPS_PAGES | MAKES_DO},
	{NULL},
};

/* Linux lets the instruction run again; so it is quire_fault() that is called, once. */
static void a_droppable_area_is_no_reason_to_kill(void **state)
{
	struct quire_signal sig;

	(void)state;
	mark_stack(__builtin_frame_address(0));
	world_new();
	droppable_area();
	for (uint64_t k = 1;; k++) {
		fail_at(k, true);
		assert_int_equal(quire_fault(w.mm, AT(3000), QUIRE_ACCESS_WRITE, &sig), 0);
		if (!fail_end()) {
			assert_true(k > 1);
			break;
		}
		assert_int_equal(w.mm->rss[QUIRE_RSS_ANON], 0);
		world_check();
	}
	assert_int_equal(droppable(), 0);
	world_end();
}

extern const struct CMUnitTest droppable_test;
const struct CMUnitTest droppable_test = cmocka_unit_test(a_droppable_area_is_no_reason_to_kill);

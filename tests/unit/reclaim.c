/* SPDX-License-Identifier: MIT */
/*
 * Memory that is short while a good deal of it waits for a grace period: a reader on another CPU stands still. Calls and faults
 * wait for him and go on; none ends for want of memory that is there.
 *
 *	CPU 1 reads  |----------------------|
 *	all pages       | wait for it  ...  | are there
 *	CPU 0                 asks ........... gets what it asked for
 */
#include "space.h"

#include "disk.h"

#define FAR (BASE + (UINT64_C(512) << 20)) /* where there are no tables yet */
#define TURNS 200			   /* of relaxing: the reader stands for so long after CPU 0 was seen to ask */

/* The page that it lies in. */
static void free_page_of(struct quire *q, struct quire_deferred *d)
{
	quire_page_free(q, quire_virt_to_page(q, d), 0);
}

struct patience {
	int64_t (*call)(void);
	int64_t answer;
	uint32_t reads, asked; /* atomic */
};

static uint32_t flag(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void set_flag(uint32_t *word)
{
	__atomic_store_n(word, 1, __ATOMIC_RELEASE);
}

/* All pages, and all areas that are left in slabs which are in use, wait for a grace period. */
static void let_all_wait(struct quire *q)
{
	const quire_gfp_t gfp = QUIRE_GFP_NOWAIT | QUIRE_GFP_NOWARN;
	struct quire_page *page;
	struct quire_vma *vma;

	(void)quire_slab_shrink_quiet(q);
	while ((page = quire_page_alloc(q, gfp, 0)))
		quire_defer(q, quire_page_to_virt(q, page), free_page_of);
	while ((vma = quire_cache_alloc(q, &q->mms.vma_cache, gfp)))
		quire_cache_free_deferred(q, &vma->deferred);
}

static void ask_while_another_reads(struct machine *m, unsigned cpu, void *arg)
{
	struct patience *p = arg;
	struct quire *q = machine_quire(m);

	if (cpu == 1) {
		quire_grace_enter(q);
		set_flag(&p->reads);
		while (!flag(&p->asked))
			quire_port_relax(q);
		for (unsigned i = 0; i < TURNS; i++)
			quire_port_relax(q);
		quire_grace_leave(q);
		return;
	}
	machine_switch(m, &space.mm->pt);
	while (!flag(&p->reads))
		quire_port_relax(q);
	let_all_wait(q);
	set_flag(&p->asked);
	p->answer = p->call();
	machine_switch(m, NULL);
}

static int64_t ask(int64_t (*call)(void))
{
	struct patience p = {.call = call};

	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 2, ask_while_another_reads, &p);
	run_in(space.mm);
	quire_grace_wait(space.q);
	check_space(space.mm);
	return p.answer;
}

static int64_t access_byte(uint32_t access, uint64_t addr)
{
	unsigned char byte = 7;
	struct quire_signal sig;

	return access == QUIRE_ACCESS_WRITE ? machine_store(space.m, addr, &byte, 1, &sig)
					    : machine_load(space.m, addr, &byte, 1, &sig);
}

/* ---- Faults ------------------------------------------------------------------------------ */

static int64_t store_far(void)
{
	return access_byte(QUIRE_ACCESS_WRITE, FAR);
}

static int64_t load_far(void)
{
	return access_byte(QUIRE_ACCESS_READ, FAR);
}

static int64_t store_near(void)
{
	return access_byte(QUIRE_ACCESS_WRITE, BASE);
}

static void test_a_first_store_waits_for_memory(void **state)
{
	(void)state;
	put_area(space.mm, FAR, 1, VM_RW);
	assert_int_equal(ask(store_far), 0);
	assert_int_equal(get(FAR), 7);
}

static void test_a_copy_waits_for_memory(void **state)
{
	struct quire_mm *child;

	(void)state;
	put_area(space.mm, BASE, 1, VM_RW);
	set(BASE, 5);
	child = fork_space(space.mm);
	assert_int_equal(ask(store_near), 0);
	assert_int_equal(get(BASE), 7);
	run_in(child);
	assert_int_equal(get(BASE), 5);
	put_space(child);
}

/* The page, and the nodes of the tree that it goes into. */
static void test_a_page_of_a_file_waits_for_memory(void **state)
{
	struct disk *disk = disk_new(space.q, 4 * PAGE);

	(void)state;
	put_file(space.mm, FAR, 4, VM_R | VM_S, &disk->file, 0);
	assert_int_equal(ask(load_far), 0);
	assert_int_equal(get(FAR), disk_byte(0));
	assert_int_equal(quire_munmap(space.mm, FAR, 4 * PAGE), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

static void test_a_page_of_shared_memory_waits_for_memory(void **state)
{
	struct quire_file *file;

	(void)state;
	assert_int_equal(quire_shmem_file(space.q, 4 * PAGE, &file), 0);
	put_file(space.mm, FAR, 4, VM_RW | VM_S, file, 0);
	assert_int_equal(ask(store_far), 0);
	assert_int_equal(get(FAR), 7);
	assert_int_equal(quire_munmap(space.mm, FAR, 4 * PAGE), 0);
	quire_file_put(space.q, file);
}

/* ---- Calls ------------------------------------------------------------------------------- */

static int64_t map_far(void)
{
	return quire_mmap(space.mm, FAR, PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			  QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0);
}

static int64_t map_far_at_once(void)
{
	return quire_mmap(space.mm, FAR, 4 * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			  QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED | QUIRE_MAP_POPULATE,
			  NULL, 0);
}

static int64_t split_near(void)
{
	return quire_mprotect(space.mm, BASE + PAGE, PAGE, QUIRE_PROT_READ);
}

static int64_t move_far(void)
{
	return quire_mremap(space.mm, BASE, 4 * PAGE, 4 * PAGE,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, FAR);
}

static int64_t guard_near(void)
{
	return quire_madvise(space.mm, BASE, 4 * PAGE, QUIRE_MADV_GUARD_INSTALL);
}

static struct quire_mm *child;

static int64_t fork_now(void)
{
	return quire_fork(space.mm, &child);
}

static void test_a_new_area_waits_for_memory(void **state)
{
	(void)state;
	assert_int_equal(ask(map_far), FAR);
	assert_non_null(area(space.mm, FAR));
	assert_int_equal(quire_munmap(space.mm, FAR, PAGE), 0);
	/* Without memory MAP_POPULATE says nothing: that it could wait is seen in the pages. */
	assert_int_equal(ask(map_far_at_once), FAR);
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(frame(space.mm, FAR + i * PAGE), 0);
}

static void test_a_split_waits_for_memory(void **state)
{
	(void)state;
	put_area(space.mm, BASE, 4, VM_RW);
	assert_int_equal(ask(split_near), 0);
	assert_int_equal(space.mm->index.count, 3);
}

static void test_a_move_waits_for_memory(void **state)
{
	(void)state;
	put_area(space.mm, BASE, 4, VM_RW);
	set(BASE + PAGE, 9);
	assert_int_equal(ask(move_far), FAR);
	assert_int_equal(get(FAR + PAGE), 9);
}

static void test_guards_wait_for_memory(void **state)
{
	(void)state;
	put_area(space.mm, BASE, 4, VM_RW);
	assert_int_equal(ask(guard_near), 0);
	assert_maperr(QUIRE_ACCESS_READ, BASE);
}

static void test_fork_waits_for_memory(void **state)
{
	(void)state;
	put_area(space.mm, BASE, 4, VM_RW);
	put_area(space.mm, FAR, 4, VM_RW);
	set(BASE, 1);
	set(FAR, 2);
	assert_int_equal(ask(fork_now), 0);
	run_in(child);
	assert_int_equal(get(BASE), 1);
	assert_int_equal(get(FAR), 2);
	put_space(child);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		space_test_two_cpus(test_a_first_store_waits_for_memory),
		space_test_two_cpus(test_a_copy_waits_for_memory),
		space_test_two_cpus(test_a_page_of_a_file_waits_for_memory),
		space_test_two_cpus(test_a_page_of_shared_memory_waits_for_memory),
		space_test_two_cpus(test_a_new_area_waits_for_memory),
		space_test_two_cpus(test_a_split_waits_for_memory),
		space_test_two_cpus(test_a_move_waits_for_memory),
		space_test_two_cpus(test_guards_wait_for_memory),
		space_test_two_cpus(test_fork_waits_for_memory),
	};

	return cmocka_run_group_tests_name("reclaim", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The life of a space on the simulated machine: made, shared by users, borrowed, left by exec,
 * exited without leaving anything behind; and that quire_mm_check() sees what is wrong with one.
 */
#include <mm/internal.h>

#include "snapshot.h"

/* ---- Made -------------------------------------------------------------------------------- */

static void a_new_space_has_nothing(void **state)
{
	struct quire_mm *mm = space.mm;

	assert_int_equal(mm->users, 1);
	assert_int_equal(mm->count, 1);
	assert_int_equal(mm->index.count, 0);
	assert_int_equal(mm->total_vm, 0);
	assert_int_equal(mm->limits.as, QUIRE_RLIM_INFINITY);
	assert_null(area(mm, BASE));
	assert_maperr(QUIRE_ACCESS_READ, BASE);
	/* PAE: those below its fixed root, of the three gigabytes that are user space's. */
	assert_int_equal(quire_pgtable_bytes(&mm->pt), mm->pt.fmt->root_fixed ? 3 * PAGE : 0);
	check_space(mm);
}

static void spaces_do_not_see_each_other(void **state)
{
	struct quire_mm *other;

	map_at(0, 2, "rw");
	set(P(0), 1);
	assert_int_equal(quire_mm_create(space.q, NULL, &other), 0);
	assert_int_not_equal(other->pt.asid, space.mm->pt.asid);
	run_in(other);
	assert_maperr(QUIRE_ACCESS_READ, P(0));
	assert_int_equal(quire_mmap(other, P(0), PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				    ANON | QUIRE_MAP_FIXED, NULL, 0),
			 P(0));
	set(P(0), 2);
	run_in(space.mm);
	assert_int_equal(get(P(0)), 1);
	run_in(other);
	assert_int_equal(get(P(0)), 2);
	put_space(other);
}

static void the_layout_is_what_was_asked_for(void **state)
{
	struct quire_layout layout;
	struct quire_mm *mm;
	int64_t addr;

	quire_layout_init(&layout, space.q->fmt, false, false, 8u << 20, 0);
	layout.mmap_base = 0x70000000;
	layout.start_brk = layout.brk = 0x55550000;
	assert_int_equal(quire_mm_create(space.q, &layout, &mm), 0);
	assert_memory_equal(&mm->layout, &layout, sizeof(layout));
	addr = quire_mmap(mm, 0, PAGE, QUIRE_PROT_READ, ANON, NULL, 0);
	assert_int_equal(addr, 0x70000000 - PAGE);
	quire_mmput(mm);
}

static void no_memory_for_a_space(void **state)
{
#if QUIRE_DEBUG
	struct quire_fail *fails[] = {&space.q->slabs.fail, &space.q->pages.fail};

	for (int i = 0; i < 2; i++) {
		struct quire_mm *mm = space.mm;

		fails[i]->after = 1;
		assert_int_equal(quire_mm_create(space.q, NULL, &mm), -QUIRE_ENOMEM);
		fails[i]->after = 0;
		assert_null(mm);
	}
#endif
}

/* ---- Shared and borrowed ----------------------------------------------------------------- */

static void the_last_user_empties_a_space(void **state)
{
	struct quire_mm *mm;

	assert_int_equal(quire_mm_create(space.q, NULL, &mm), 0);
	put_area(mm, BASE, 4, VM_RW);
	quire_mmget(mm);
	assert_int_equal(mm->users, 2);
	quire_mmput(mm);
	assert_non_null(area(mm, BASE));
	assert_true(quire_mmget_not_zero(mm));
	quire_mmput(mm);
	check_space(mm);
	quire_mmput(mm);
}

/*
 * A kernel thread goes on in the tables of a process that has ended: nothing is mapped there, but
 * they are there.
 */
static void a_borrowed_space_outlives_its_users(void **state)
{
	struct quire_mm *mm;

	assert_int_equal(quire_mm_create(space.q, NULL, &mm), 0);
	put_area(mm, BASE, 4, VM_RW);
	run_in(mm);
	set(BASE, 1);
	quire_mmgrab(mm);
	quire_mmput(mm);
	assert_int_equal(mm->users, 0);
	assert_int_equal(mm->count, 1);
	assert_false(quire_mmget_not_zero(mm));
	assert_int_equal(mm->index.count, 0);
	assert_int_equal(mm->total_vm, 0);
	assert_int_equal(quire_mm_rss(mm), 0);
	assert_maperr(QUIRE_ACCESS_READ, BASE);
	check_space(mm);
	run_in(space.mm);
	quire_mmdrop(mm);
}

/* ---- Exited ------------------------------------------------------------------------------ */

/* So that areas are in leaf tables of their own. */
#define APART (1024 * PAGE)

static void exit_gives_everything_back(void **state)
{
	struct disk *disk = disk_new(space.q, 8 * PAGE);
	uint64_t anon_before = quire_stat_read(space.q, QUIRE_STAT_ANON_MAPPED);
	int64_t committed = space.q->mms.committed;
	const uint64_t reach = test_root_reach(space.mm->pt.fmt), far = BASE + (reach < 1u << 30 ? 1u << 30 : reach);
	struct quire_mm *mm;

	assert_int_equal(quire_mm_create(space.q, NULL, &mm), 0);
	run_in(mm);
	for (uint64_t i = 0; i < 200; i++)
		assert_true(quire_mmap(mm, BASE + i * APART, 3 * PAGE,
				       QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				       (i % 3 ? QUIRE_MAP_PRIVATE : QUIRE_MAP_SHARED) |
					       QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				       NULL, 0) > 0);
	for (uint64_t i = 0; i < 200; i++) {
		set(BASE + i * APART, 1);
		set(BASE + i * APART + PAGE, 1);
	}
	put_file(mm, far, 8, VM_RW | VM_S, &disk->file, 0);
	put_file(mm, far + 8 * PAGE, 8, VM_RW, &disk->file, 0);
	set(far, 7);
	set(far + 9 * PAGE, 8);
	assert_int_equal(quire_mlockall(mm, QUIRE_MCL_CURRENT), 0);
	assert_true(space.q->mms.committed > committed);
	check_space(mm);

	run_in(space.mm);
	quire_mmput(mm);
	quire_grace_wait(space.q); /* shared memory goes with its last area */
	assert_int_equal(space.q->mms.committed, committed);
	assert_int_equal(quire_stat_read(space.q, QUIRE_STAT_ANON_MAPPED), anon_before);
	/* What was stored through the shared mapping is the file's. */
	assert_int_equal(quire_object_sync(&disk->object, 0, 7), 0);
	assert_int_equal(disk->bytes[0], 7);
	assert_int_equal(disk->bytes[PAGE], disk_byte(PAGE));
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
	/* That no frame is left over, the machine sees to at its end. */
}

static struct {
	unsigned opens, closes;
	uint64_t open_bytes, close_bytes;
} driver;

static void driver_open(struct quire_vma *vma)
{
	driver.opens++;
	driver.open_bytes += vma->end - vma->start;
}

static void driver_close(struct quire_vma *vma)
{
	driver.closes++;
	driver.close_bytes += vma->end - vma->start;
}

static const struct quire_vm_ops driver_ops = {
	.name = "[test]", .open = driver_open, .close = driver_close};

static void exit_closes_each_area_once(void **state)
{
	struct quire_mm *mm;

	memset(&driver, 0, sizeof(driver));
	assert_int_equal(quire_mm_create(space.q, NULL, &mm), 0);
	put_driver(mm, BASE, 4, VM_RW | VM_S, &driver_ops, NULL);
	put_driver(mm, BASE + 8 * PAGE, 2, VM_RW | VM_S, &driver_ops, NULL);
	put_area(mm, BASE + 16 * PAGE, 2, VM_RW);
	check_space(mm);
	quire_mmput(mm);
	assert_int_equal(driver.opens, 0);
	assert_int_equal(driver.closes, 2);
	assert_int_equal(driver.close_bytes, 6 * PAGE);
}

static void exit_leaves_no_stale_translation(void **state)
{
	struct machine_stats before, after;
	struct quire_mm *mm;

	assert_int_equal(quire_mm_create(space.q, NULL, &mm), 0);
	put_area(mm, BASE, 300, VM_RW);
	run_in(mm);
	for (uint64_t i = 0; i < 300; i++)
		set(BASE + i * PAGE, 1);
	machine_stats(space.m, &before);
	quire_mmgrab(mm);
	quire_mmput(mm);
	machine_stats(space.m, &after);
	/*
	 * The CPU that had the frames in its TLB was told, once. That none was freed before, the
	 * machine watches.
	 */
	assert_int_equal(after.flushes, before.flushes + 1);
	check_space(mm);
	run_in(space.mm);
	quire_mmdrop(mm);
}

/* Without memory to remember all pages until the one flush, there are more of them. */
static void exit_needs_no_memory(void **state)
{
#if QUIRE_DEBUG
	struct quire_mm *mm;

	for (uint64_t k = 1; k <= 4; k++) {
		assert_int_equal(quire_mm_create(space.q, NULL, &mm), 0);
		put_area(mm, BASE, 1200, VM_RW);
		run_in(mm);
		for (uint64_t i = 0; i < 1200; i++)
			set(BASE + i * PAGE, 1);
		space.q->slabs.fail.after = k;
		quire_mmgrab(mm);
		quire_mmput(mm);
		space.q->slabs.fail.after = 0;
		assert_int_equal(quire_mm_rss(mm), 0);
		check_space(mm);
		run_in(space.mm);
		quire_mmdrop(mm);
	}
#endif
}

/* ---- exec -------------------------------------------------------------------------------- */

static void exec_is_a_fresh_space_with_the_same_limits(void **state)
{
	struct quire_layout layout;
	struct quire_mm *mm, *old;

	assert_int_equal(quire_mm_create(space.q, NULL, &mm), 0);
	put_area(mm, BASE, 4, VM_RW);
	mm->limits.memlock = 12345;
	mm->def_flags = QUIRE_VM_LOCKED;
	old = mm;
	quire_mmget(old); /* a vfork parent is still in it */
	quire_layout_init(&layout, space.q->fmt, false, true, 8u << 20, 0);
	assert_int_equal(quire_exec(&mm, &layout), 0);
	assert_ptr_not_equal(mm, old);
	assert_int_equal(mm->index.count, 0);
	assert_int_equal(mm->limits.memlock, 12345);
	assert_int_equal(mm->def_flags, 0);
	assert_memory_equal(&mm->layout, &layout, sizeof(layout));
	assert_int_equal(old->users, 1);
	assert_non_null(area(old, BASE));
	check_space(mm);
	quire_mmput(old);
	quire_mmput(mm);
}

static void exec_without_memory_changes_nothing(void **state)
{
#if QUIRE_DEBUG
	struct quire_mm *mm, *old;

	assert_int_equal(quire_mm_create(space.q, NULL, &mm), 0);
	put_area(mm, BASE, 4, VM_RW);
	old = mm;
	space.q->pages.fail.after = 1;
	assert_int_equal(quire_exec(&mm, NULL), -QUIRE_ENOMEM);
	space.q->pages.fail.after = 0;
	assert_ptr_equal(mm, old);
	assert_non_null(area(mm, BASE));
	assert_int_equal(mm->users, 1);
	quire_mmput(mm);
#endif
}

/* ---- The check --------------------------------------------------------------------------- */

static void assert_broken(const char *sentence)
{
	quire_broken_t broken = quire_mm_check(space.mm);

	assert_non_null(broken);
	assert_string_equal(broken, sentence);
}

static void the_check_sees_wrong_counters(void **state)
{
	struct quire_mm *mm = space.mm;

	map_at(0, 3, "rw");
	set(P(0), 1);
	assert_null(quire_mm_check(mm));
	mm->total_vm++;
	assert_broken("mm: total_vm == sum of all areas' pages");
	mm->total_vm--;
	mm->data_vm++;
	assert_broken("mm: data_vm == pages of private writable areas");
	mm->data_vm--;
	mm->exec_vm++;
	assert_broken("mm: exec_vm == pages of executable areas");
	mm->exec_vm--;
	mm->stack_vm++;
	assert_broken("mm: stack_vm == pages of stacks");
	mm->stack_vm--;
	mm->locked_vm++;
	assert_broken("mm: locked_vm == pages of LOCKED areas");
	mm->locked_vm--;
	mm->rss[QUIRE_RSS_ANON]++;
	assert_broken("mm: rss[k] == entries that map a page of kind k");
	mm->rss[QUIRE_RSS_ANON]--;
	assert_null(quire_mm_check(mm));
}

static void set_entry(struct quire_mm *mm, uint64_t addr, quire_pte_t pte)
{
	struct quire_cursor c;

	assert_int_equal(quire_tables_populate(&mm->pt, addr, addr + PAGE), 0);
	quire_cursor_open(&c, &mm->pt, addr, addr + PAGE, 0);
	assert_true(quire_cursor_next_leaf(&c));
	if (pte)
		quire_cursor_set(&c, addr, pte);
	else
		quire_cursor_clear(&c, addr);
	quire_cursor_close(&c);
}

static void the_check_sees_wrong_entries(void **state)
{
	struct quire_mm *mm = space.mm;
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	quire_pfn_t zero = quire_page_to_pfn(space.q, space.q->pages.zero_page);

	map_at(0, 3, "r");
	set_entry(mm, P(8), quire_pte_soft(fmt, QUIRE_PTE_GUARD, 0));
	assert_broken("mm: no entry lies outside an area");
	set_entry(mm, P(8), 0);
	set_entry(mm, P(1),
		  quire_pte_make(fmt, zero,
				 QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_USER |
					 QUIRE_PTE_SPECIAL));
	assert_broken("mm: an entry's rights are at most its area's");
	set_entry(mm, P(1), 0);
	set_entry(mm, P(1), quire_pte_make(fmt, zero, QUIRE_PTE_READ | QUIRE_PTE_USER));
	assert_non_null(quire_mm_check(mm));
	set_entry(mm, P(1), 0);
	assert_null(quire_mm_check(mm));
}

static void the_check_sees_an_area_that_is_not_alive(void **state)
{
	map_at(0, 3, "rw");
	area(space.mm, P(0))->state = QUIRE_VMA_BUSY;
	assert_broken("mm: every area in the index is alive while nobody writes");
	area(space.mm, P(0))->state = QUIRE_VMA_ALIVE;
}

static void an_instance_with_spaces_does_not_exit(void **state)
{
	assert_string_equal(quire_exit(space.q), "exit: every space is gone");
}

static void an_instance_needs_cpus_and_a_format(void **state)
{
	static struct quire q;
	const struct quire_range map = {0, 1 << 20, QUIRE_RANGE_USABLE, 0};
	struct quire_config config = {.nr_cpus = 0,
				      .fmt = &quire_pgfmt_x86_64,
				      .map = &map,
				      .nr_ranges = 1,
				      .zones = 1u << QUIRE_ZONE_NORMAL};

	assert_int_equal(quire_init(&q, &config), -QUIRE_EINVAL);
	config.nr_cpus = QUIRE_NR_CPUS + 1;
	assert_int_equal(quire_init(&q, &config), -QUIRE_EINVAL);
	config.nr_cpus = 1;
	config.fmt = NULL;
	assert_int_equal(quire_init(&q, &config), -QUIRE_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		space_test(a_new_space_has_nothing),
		space_test(spaces_do_not_see_each_other),
		space_test(the_layout_is_what_was_asked_for),
		space_test(no_memory_for_a_space),
		space_test(the_last_user_empties_a_space),
		space_test(a_borrowed_space_outlives_its_users),
		space_test(exit_gives_everything_back),
		space_test(exit_closes_each_area_once),
		space_test(exit_leaves_no_stale_translation),
		space_test(exit_needs_no_memory),
		space_test(exec_is_a_fresh_space_with_the_same_limits),
		space_test(exec_without_memory_changes_nothing),
		space_test(the_check_sees_wrong_counters),
		space_test(the_check_sees_wrong_entries),
		space_test(the_check_sees_an_area_that_is_not_alive),
		space_test(an_instance_with_spaces_does_not_exit),
		space_test(an_instance_needs_cpus_and_a_format),
	};

	return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}

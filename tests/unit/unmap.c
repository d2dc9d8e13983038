/* SPDX-License-Identifier: MIT */
/*
 * munmap(2) as its manual page has it, in pictures: cuts, holes, several areas, bytes that are gone and bytes
 * that stay, tables that go with them, limits and seals, threads that touch what is being unmapped.
 */
#include "picture.h"

static void fill(uint64_t start, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		set(P(start + i), (unsigned char)(start + i + 1));
}

static void assert_filled(uint64_t start, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		assert_int_equal(get(P(start + i)), (unsigned char)(start + i + 1));
}

/* ---- Arguments --------------------------------------------------------------------------- */

static void arguments_are_checked(void **state)
{
	uint64_t end = space.mm->layout.task_size;

	(void)state;
	map_at(0, 1, "rw");
	assert_int_equal(quire_munmap(space.mm, P(0), 0), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(space.mm, P(0) + 1, PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(space.mm, end + PAGE, PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(space.mm, end, PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(space.mm, end - PAGE, 2 * PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(space.mm, end, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_munmap(space.mm, P(0), UINT64_MAX), -QUIRE_EINVAL);
	assert_picture("0-1 rw-p");
	/* The length is rounded up; nothing there is fine. */
	assert_int_equal(quire_munmap(space.mm, P(0), 1), 0);
	assert_picture("");
	assert_int_equal(quire_munmap(space.mm, P(0), PAGE), 0);
	assert_int_equal(quire_munmap(space.mm, 0, end), 0);
}

/* ---- Pictures ---------------------------------------------------------------------------- */

/*
 *	area     |--------A--------|
 *	munmap         |-----|
 *	after    |--A--|     |--A'-|
 */
static void the_middle_of_an_area(void **state)
{
	(void)state;
	map_at(0, 9, "rw");
	fill(0, 9);
	assert_int_equal(unmap_at(3, 3), 0);
	assert_picture("0-3 rw-p, 6-9 rw-p");
	assert_filled(0, 3);
	assert_filled(6, 3);
	for (uint64_t n = 3; n < 6; n++)
		assert_maperr(QUIRE_ACCESS_READ, P(n));
	assert_int_equal(space.mm->total_vm, 6);
	assert_int_equal(space.q->mms.committed, 6);
	/* What comes there again is empty. */
	map_at(3, 3, "rw");
	assert_picture("0-9 rw-p");
	for (uint64_t n = 3; n < 6; n++)
		assert_int_equal(get(P(n)), 0);
	assert_filled(6, 3);
}

static void the_ends_of_an_area(void **state)
{
	(void)state;
	map_at(0, 6, "rw");
	fill(0, 6);
	assert_int_equal(unmap_at(0, 2), 0);
	assert_picture("2-6 rw-p");
	assert_int_equal(unmap_at(5, 3), 0);
	assert_picture("2-5 rw-p");
	assert_filled(2, 3);
	assert_int_equal(unmap_at(2, 3), 0);
	assert_picture("");
	assert_int_equal(space.mm->total_vm, 0);
	assert_int_equal(space.q->mms.committed, 0);
}

/*
 *	areas    |-A-|-B-|   |-C-|     |-D-|
 *	munmap     |---------------------|
 *	after    |A|                     |D|
 */
static void several_areas_and_the_holes_between(void **state)
{
	(void)state;
	map_at(0, 4, "rw");
	map_at(4, 4, "r");
	map_at(10, 4, "rwx");
	map_at(20, 4, "rw");
	fill(0, 4);
	fill(10, 4);
	fill(20, 4);
	assert_int_equal(unmap_at(2, 20), 0);
	assert_picture("0-2 rw-p, 22-24 rw-p");
	assert_filled(0, 2);
	assert_filled(22, 2);
	assert_maperr(QUIRE_ACCESS_READ, P(5));
	assert_maperr(QUIRE_ACCESS_WRITE, P(21));
	assert_int_equal(space.mm->rss[QUIRE_RSS_ANON], 4);
}

/* A page of a file, of shared memory: the mapping goes, the contents stay with their object. */
static void shared_contents_outlive_the_map(void **state)
{
	struct disk *disk = disk_new(space.q, DISK_PAGES * PAGE);
	int64_t other;

	(void)state;
	assert_int_equal(quire_mmap(space.mm, P(0), 4 * PAGE, 3, QUIRE_MAP_SHARED, &disk->file, 0), P(0));
	assert_int_equal(quire_mmap(space.mm, P(10), 4 * PAGE, 1, QUIRE_MAP_SHARED, &disk->file, 0), P(10));
	set(P(1), 99);
	assert_int_equal(unmap_at(0, 4), 0);
	assert_int_equal(get(P(11)), 99);
	assert_int_equal(quire_object_sync(&disk->object, 0, DISK_PAGES), 0);
	assert_int_equal(disk->bytes[PAGE], 99);
	other = quire_mmap(space.mm, 0, 4 * PAGE, 1, QUIRE_MAP_PRIVATE, &disk->file, 0);
	assert_int_equal(get((uint64_t)other + PAGE), 99);
	assert_int_equal(unmap_at(10, 4), 0);
	assert_int_equal(quire_munmap(space.mm, (uint64_t)other, 4 * PAGE), 0);
	check_space(space.mm);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

/* Page tables go with the last thing that they map. */
static void empty_tables_are_freed(void **state)
{
	const struct quire_pgfmt *fmt = space.mm->pt.fmt;
	uint64_t far = UINT64_C(0x60000000), before;
	/* All below the root; where that is fixed, those below it were there; of five levels Linux counts three. */
	uint64_t tables = (fmt->levels - 1u - fmt->root_fixed - (fmt->levels == 5)) * PAGE;

	(void)state;
	quire_grace_wait(space.q);
	before = quire_pgtable_bytes(&space.mm->pt);
	assert_int_equal(quire_mmap(space.mm, far, 8 * PAGE, 3, ANON, NULL, 0), far);
	set(far, 1);
	set(far + 7 * PAGE, 1);
	assert_int_equal(quire_pgtable_bytes(&space.mm->pt), before + tables);
	assert_int_equal(quire_munmap(space.mm, far, 4 * PAGE), 0);
	assert_int_equal(quire_pgtable_bytes(&space.mm->pt), before + tables);
	assert_int_equal(quire_munmap(space.mm, far + 4 * PAGE, 4 * PAGE), 0);
	assert_int_equal(quire_pgtable_bytes(&space.mm->pt), before);
	check_space(space.mm);
}

/* ---- Limits and seals -------------------------------------------------------------------- */

/* Only a hole in the middle of one area makes one more. */
static void max_map_count_stops_holes(void **state)
{
	(void)state;
	map_at(0, 6, "rw");
	map_at(10, 6, "rw");
	space.q->mms.sysctl.max_map_count = 2;
	assert_int_equal(unmap_at(2, 1), -QUIRE_ENOMEM);
	assert_picture("0-6 rw-p, 10-16 rw-p");
	assert_int_equal(unmap_at(5, 6), 0);
	assert_picture("0-5 rw-p, 11-16 rw-p");
	space.q->mms.sysctl.max_map_count = 3;
	assert_int_equal(unmap_at(2, 1), 0);
	assert_picture("0-2 rw-p, 3-5 rw-p, 11-16 rw-p");
}

/* A seal anywhere in the range stops all of it. The cut at its beginning is Linux's, too. */
static void seals_stop_it(void **state)
{
	(void)state;
	map_at(0, 8, "rw");
	fill(0, 8);
	assert_int_equal(quire_mseal(space.mm, P(4), 2 * PAGE, 0), 0);
	assert_picture("0-4 rw-p, 4-6 rw-p, 6-8 rw-p");
	assert_int_equal(unmap_at(4, 1), -QUIRE_EPERM);
	assert_int_equal(unmap_at(0, 8), -QUIRE_EPERM);
	assert_int_equal(unmap_at(5, 3), -QUIRE_EPERM);
	assert_picture("0-4 rw-p, 4-6 rw-p, 6-8 rw-p");
	assert_int_equal(unmap_at(2, 3), -QUIRE_EPERM);
	assert_picture("0-2 rw-p, 2-4 rw-p, 4-6 rw-p, 6-8 rw-p");
	assert_filled(0, 8);
	assert_int_equal(unmap_at(6, 2), 0);
	assert_picture("0-2 rw-p, 2-4 rw-p, 4-6 rw-p");
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
static uint64_t retry_start, retry_pages;

static int64_t retry_munmap(void)
{
	return unmap_at(retry_start, retry_pages);
}

static void no_memory_changes_nothing(void **state)
{
	unsigned failures;

	(void)state;
	for (uint64_t n = 0; n < 60; n += 3)
		map_at(n, 2, n % 2 ? "r" : "rw");
	set(P(6), 1);
	set(P(7), 2);
	retry_start = 7; /* cuts one, takes some, cuts one */
	retry_pages = 12;
	assert_int_equal(each_allocation_fails(retry_munmap, -QUIRE_ENOMEM, &failures), 0);
	assert_true(failures >= 2);
	assert_int_equal(get(P(6)), 1);
	assert_maperr(QUIRE_ACCESS_READ, P(7));
	retry_start = 0; /* everything */
	retry_pages = 64;
	assert_int_equal(each_allocation_fails(retry_munmap, -QUIRE_ENOMEM, &failures), 0);
	assert_picture("");
	assert_int_equal(space.mm->total_vm, 0);
}
#endif

/* ---- Others meanwhile -------------------------------------------------------------------- */

#define CPUS 3u
#define ROUNDS 300u

static int setup_cpus(void **state)
{
	return space_setup_cpus(state, CPUS);
}

/*
 * CPU 0 maps and unmaps; the others store and load there. Whatever they get is a byte of theirs, a zero
 * or a SIGSEGV; the machine reports an access through a stale entry.
 */
static void touch_and_unmap(struct machine *m, unsigned cpu, void *arg)
{
	struct quire_mm *mm = arg;

	machine_switch(m, &mm->pt);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct quire_signal sig = { 0 };
		unsigned char byte = (unsigned char)cpu;

		if (cpu == 0) {
			quire_mmap(mm, P(0), 8 * PAGE, 3, ANON | QUIRE_MAP_FIXED, NULL, 0);
			quire_munmap(mm, P(i % 8), PAGE);
			continue;
		}
		if (machine_store(m, P(i % 8), &byte, 1, &sig)) {
			if (sig.signo != QUIRE_SIGSEGV)
				machine_report(m, "a store got another signal", QUIRE_WHERE, (uint64_t)sig.signo);
			continue;
		}
		if (!machine_load(m, P(i % 8), &byte, 1, &sig) && byte >= CPUS)
			machine_report(m, "a load got what nobody stored", QUIRE_WHERE, byte);
	}
	machine_switch(m, NULL);
}

static void threads_meet_unmapping(void **state)
{
	(void)state;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, CPUS, touch_and_unmap, space.mm);
	machine_switch(space.m, &space.mm->pt);
	assert_false(machine_failed(space.m));
	check_space(space.mm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		space_test(arguments_are_checked),
		space_test(the_middle_of_an_area),
		space_test(the_ends_of_an_area),
		space_test(several_areas_and_the_holes_between),
		space_test(shared_contents_outlive_the_map),
		space_test(empty_tables_are_freed),
		space_test(max_map_count_stops_holes),
		space_test(seals_stop_it),
#if QUIRE_DEBUG
		space_test(no_memory_changes_nothing),
#endif
		cmocka_unit_test_setup_teardown(threads_meet_unmapping, setup_cpus, space_teardown),
	};

	return cmocka_run_group_tests_name("unmap", tests, NULL, NULL);
}

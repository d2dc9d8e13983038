/* SPDX-License-Identifier: MIT */
/*
 * Holes in files (fallocate(2), PUNCH_HOLE; madvise(2), MADV_REMOVE) while others look. What was dropped from the cache was newer
 * than the disk; nobody may see the disk's old bytes before the hole is there, nor bring them back into the file.
 *
 *	stored      7, not written back; on the disk: disk_byte()
 *	CPU 0       drop |--- the file system works ---| done
 *	CPU 1            load ....................... 0
 */
#include <sched.h>
#include <time.h>

#include "disk.h"
#include "space.h"

static void punch_hole_frees_the_pages_and_the_disk(void **state)
{
	static unsigned char buffer[4 * PAGE];
	struct disk *d = disk_new(space.q, 4 * PAGE);

	(void)state;
	assert_int_equal(quire_object_read(&d->object, 0, buffer, 4 * PAGE), 4 * PAGE);
	assert_int_equal(quire_object_write(&d->object, PAGE, "dirty", 5), 5);
	assert_int_equal(quire_object_punch_hole(&d->object, PAGE, 3 * PAGE), 0);
	assert_int_equal(d->holes, 1);
	assert_int_equal(d->hole_start, PAGE);
	assert_int_equal(d->hole_end, 3 * PAGE);
	assert_int_equal(d->object.nr_pages, 2);
	assert_int_equal(d->object.size, 4 * PAGE);
	assert_int_equal(quire_object_read(&d->object, 0, buffer, 4 * PAGE), 4 * PAGE);
	for (size_t i = 0; i < 4 * PAGE; i++)
		assert_int_equal(buffer[i], i >= PAGE && i < 3 * PAGE ? 0 : disk_byte(i));
	assert_int_equal(quire_object_punch_hole(&d->object, PAGE, PAGE), 0);
	/* As ext4, which ends at 16 TiB: fallocate(2), EFBIG. */
	d->object.max_size = 4 * PAGE;
	assert_int_equal(quire_object_punch_hole(&d->object, 3 * PAGE, 5 * PAGE), -QUIRE_EFBIG);
	assert_int_equal(quire_object_write(&d->object, 4 * PAGE, "x", 1), -QUIRE_EFBIG);
	assert_int_equal(quire_object_write(&d->object, 4 * PAGE - 1, "xy", 2), 1);
	assert_int_equal(d->holes, 1);
	assert_null(disk_delete(d));
}

static void a_hole_zeroes_parts_of_pages(void **state)
{
	static unsigned char buffer[4 * PAGE];
	struct disk *d = disk_new(space.q, 4 * PAGE);

	(void)state;
	/* Neither of the pages at its ends is cached: they are read. The one between is freed. */
	assert_int_equal(quire_object_punch_hole(&d->object, PAGE - 10, 2 * PAGE + 10), 0);
	assert_int_equal(d->holes, 1);
	assert_int_equal(d->hole_start, PAGE);
	assert_int_equal(d->hole_end, 2 * PAGE);
	assert_int_equal(d->object.nr_pages, 2);
	/* No whole page: the disk is not asked for anything. */
	assert_int_equal(quire_object_punch_hole(&d->object, 3 * PAGE + 1, 3 * PAGE + 3), 0);
	assert_int_equal(d->holes, 1);
	/* Of zeroes the disk learns when the pages are written back. */
	assert_int_equal(quire_object_sync(&d->object, 0, 3), 0);
	assert_int_equal(d->bytes[PAGE - 11], disk_byte(PAGE - 11));
	assert_int_equal(d->bytes[PAGE - 10], 0);
	assert_int_equal(d->bytes[2 * PAGE + 9], 0);
	assert_int_equal(d->bytes[2 * PAGE + 10], disk_byte(2 * PAGE + 10));
	assert_int_equal(quire_object_read(&d->object, 0, buffer, 4 * PAGE), 4 * PAGE);
	for (size_t i = 0; i < 4 * PAGE; i++) {
		bool gone = (i >= PAGE - 10 && i < 2 * PAGE + 10) || i == 3 * PAGE + 1 || i == 3 * PAGE + 2;

		assert_int_equal(buffer[i], gone ? 0 : disk_byte(i));
	}
	assert_null(disk_delete(d));
}

static void a_hole_whose_ends_cannot_be_read_changes_nothing(void **state)
{
	static unsigned char buffer[2 * PAGE];
	struct disk *d = disk_new(space.q, 4 * PAGE);

	(void)state;
	d->fail_read = 2;
	assert_int_equal(quire_object_punch_hole(&d->object, 10, 2 * PAGE + 10), -QUIRE_EIO);
	d->fail_read = 0;
	assert_int_equal(quire_object_punch_hole(&d->object, 3 * PAGE, 4 * PAGE), 0);
	assert_int_equal(d->holes, 1);
	d->fail_read = UINT64_MAX;
	assert_int_equal(quire_object_read(&d->object, 0, buffer, 2 * PAGE), 2 * PAGE);
	for (size_t i = 0; i < 2 * PAGE; i++)
		assert_int_equal(buffer[i], disk_byte(i));
	assert_null(disk_delete(d));
}

/* fallocate(2) without FALLOC_FL_KEEP_SIZE: the size only grows; tmpfs keeps what was stored behind the end, a disk does not. */
static void extending_never_cuts(void **state)
{
	struct disk *d = disk_new(space.q, 2 * PAGE + 100);

	(void)state;
	put_file(space.mm, BASE, 4, VM_RW | VM_S, &d->file, 0);
	set(BASE + 2 * PAGE + 200, 7);
	quire_object_extend(&d->object, PAGE);
	assert_int_equal(d->object.size, 2 * PAGE + 100);
	assert_int_equal(get(BASE + 2 * PAGE + 200), 7);
	quire_object_extend(&d->object, 3 * PAGE + 1);
	assert_int_equal(d->object.size, 3 * PAGE + 1);
	assert_int_equal(get(BASE + 2 * PAGE + 200), 0);
	assert_int_equal(get(BASE + 2 * PAGE + 99), disk_byte(2 * PAGE + 99));
	assert_int_equal(quire_munmap(space.mm, BASE, 4 * PAGE), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(d));
}

/* ---- While others look ------------------------------------------------------------------- */

static struct {
	struct disk *disk;
	uint32_t in_hole, loaded; /* atomic */
	unsigned char byte;
	int err;
} race;

static void pause_in_hole(struct disk *disk)
{
	struct timespec now, end;

	(void)disk;
	quire_store_release(&race.in_hole, 1u);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec++;
	/* The other has time to find what is there now, if it can. */
	do {
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (!quire_load_acquire(&race.loaded) &&
		 (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec)));
}

static void punch_or_load(struct machine *m, unsigned cpu, void *arg)
{
	(void)arg;
	machine_switch(m, &space.mm->pt);
	if (cpu == 0) {
		race.err = quire_madvise(space.mm, BASE, PAGE, QUIRE_MADV_REMOVE);
	} else {
		while (!quire_load_acquire(&race.in_hole))
			sched_yield();
		if (machine_load(m, BASE, &race.byte, 1, NULL))
			race.byte = 0xee;
		quire_store_release(&race.loaded, 1u);
	}
	machine_switch(m, NULL);
}

static void a_load_waits_until_the_hole_is_there(void **state)
{
	(void)state;
	memset(&race, 0, sizeof(race));
	race.disk = disk_new(space.q, 4 * PAGE);
	put_file(space.mm, BASE, 4, VM_RW | VM_S, &race.disk->file, 0);
	set(BASE, 7);
	race.disk->in_hole = pause_in_hole;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 2, punch_or_load, NULL);
	run_in(space.mm);
	race.disk->in_hole = NULL;
	assert_int_equal(race.err, 0);
	assert_int_equal(race.byte, 0);
	assert_int_equal(get(BASE), 0);
	assert_int_equal(get(BASE + PAGE), disk_byte(PAGE));
	assert_int_equal(quire_object_sync(&race.disk->object, 0, 3), 0);
	assert_int_equal(race.disk->bytes[0], 0);
	assert_int_equal(quire_munmap(space.mm, BASE, 4 * PAGE), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(race.disk));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		space_test(punch_hole_frees_the_pages_and_the_disk),
		space_test(a_hole_zeroes_parts_of_pages),
		space_test(a_hole_whose_ends_cannot_be_read_changes_nothing),
		space_test(extending_never_cuts),
		space_test_two_cpus(a_load_waits_until_the_hole_is_there),
	};

	return cmocka_run_group_tests_name("hole", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Faults on files, shared memory and drivers' areas, on the simulated machine with real loads and
 * stores; and what truncate and write-back do to what faults have set. Private memory is in
 * fault.c.
 */
#include <mm/internal.h>

#include "disk.h"
#include "space.h"

static struct disk *disk;

static int setup_cpus(void **state, unsigned cpus)
{
	if (space_setup_cpus(state, cpus))
		return -1;
	disk = disk_new(space.q, 32 * PAGE);
	return disk ? 0 : -1;
}

static int setup(void **state)
{
	return setup_cpus(state, 1);
}

static int teardown(void **state)
{
	(void)state;
	check_space(space.mm);
	machine_switch(space.m, NULL);
	quire_mmput(space.mm);
	quire_grace_wait(space.q);
	assert_null(quire_object_check(&disk->object));
	assert_null(disk_delete(disk));
	return machine_destroy(space.m) ? -1 : 0;
}

#define file_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* Pages of the file, read into the cache beforehand. */
static void read_ahead(uint64_t first, uint64_t last)
{
	struct quire_page *page;

	for (uint64_t i = first; i <= last; i++) {
		assert_int_equal(quire_object_get_page(&disk->object, i, &page), 0);
		quire_page_put(space.q, page);
	}
}

static void write_file(uint64_t pos, unsigned char byte)
{
	assert_int_equal(quire_object_write(&disk->object, pos, &byte, 1), 1);
}

/* ---- Private mappings -------------------------------------------------------------------- */

static void a_private_mapping_reads_the_cache(void **state)
{
	struct quire_mm *mm = space.mm;

	put_file(mm, BASE, 4, VM_RW, &disk->file, 2);
	assert_int_equal(get(BASE + 5), disk_byte(2 * PAGE + 5));
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 1);
	assert_int_equal(mm->major_faults, 1);
	assert_int_equal(mm->minor_faults, 0);
	assert_false(entry_has(mm, BASE, QUIRE_PTE_WRITE));
	assert_null(area(mm, BASE)->anon);
	/* As long as it has not been written to, it shows what is written to the file. */
	write_file(2 * PAGE + 5, 77);
	assert_int_equal(get(BASE + 5), 77);
	assert_int_equal(disk->mkwrites, 0);
}

static void a_private_write_copies(void **state)
{
	struct quire_mm *mm = space.mm;

	put_file(mm, BASE, 4, VM_RW, &disk->file, 0);
	set(BASE + 1, 200); /* not mapped before: copied at once */
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	assert_int_equal(mm->major_faults, 1);
	assert_int_equal(get(BASE + PAGE), disk_byte(PAGE));
	set(BASE + PAGE, 201); /* mapped before: replaced */
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 2);
	assert_int_equal(get(BASE), disk_byte(0));
	write_file(0, 9);
	write_file(PAGE, 9);
	assert_int_equal(get(BASE), disk_byte(0));
	assert_int_equal(get(BASE + 1), 200);
	assert_int_equal(get(BASE + PAGE), 201);
	assert_int_equal(quire_object_sync(&disk->object, 0, UINT64_MAX), 0);
	assert_int_equal(disk->bytes[0], 9);
	assert_int_equal(disk->bytes[1], disk_byte(1));
	check_space(mm);
}

static void private_copies_cross_a_fork_and_clean_pages_too(void **state)
{
	struct quire_mm *mm = space.mm, *child;

	put_file(mm, BASE, 4, VM_RW, &disk->file, 0);
	assert_int_equal(get(BASE + PAGE), disk_byte(PAGE));
	set(BASE, 1);
	child = fork_space(mm);
	set(BASE, 2);
	run_in(child);
	check_space(child);
	assert_int_equal(get(BASE), 1);
	assert_int_equal(get(BASE + PAGE), disk_byte(PAGE));
	set(BASE + PAGE, 3);
	run_in(mm);
	assert_int_equal(get(BASE), 2);
	assert_int_equal(get(BASE + PAGE), disk_byte(PAGE));
	put_space(child);
}

/* Nobody has written: the child finds the pages again by itself. */
static void an_unwritten_file_area_is_not_copied_by_fork(void **state)
{
	struct quire_mm *child;

	put_file(space.mm, BASE, 4, VM_RW, &disk->file, 0);
	assert_int_equal(get(BASE), disk_byte(0));
	child = fork_space(space.mm);
	assert_int_equal(quire_mm_rss(child), 0);
	run_in(child);
	assert_int_equal(get(BASE), disk_byte(0));
	put_space(child);
}

static void fetching_from_a_file(void **state)
{
	put_file(space.mm, BASE, 2, VM_R | VM_X, &disk->file, 0);
	put_file(space.mm, BASE + 8 * PAGE, 40, VM_R, &disk->file, 0);
	fetch(BASE + 10);
	assert_accerr(QUIRE_ACCESS_WRITE, BASE);
	assert_no_exec(BASE + 8 * PAGE);
	/* No right to execute, but first of all no page. */
	assert_bus(QUIRE_ACCESS_EXEC, BASE + (8 + 32) * PAGE);
}

/* ---- Fault-around ------------------------------------------------------------------------ */

static unsigned mapped(struct quire_mm *mm, uint64_t first, uint64_t last)
{
	unsigned n = 0;

	for (uint64_t i = first; i <= last; i++)
		n += frame(mm, BASE + i * PAGE) != 0;
	return n;
}

#if QUIRE_PAGE_SHIFT < 16
/* All of the 64 KiB but the last page is cached. */
static void a_read_maps_what_is_cached_around_it(void **state)
{
	const uint64_t first = 16, asked = first + AROUND / 4;
	struct quire_mm *mm = space.mm;

	read_ahead(0, first + AROUND - 2);
	put_file(mm, BASE, 32, VM_RW, &disk->file, 0);
	assert_int_equal(get(BASE + asked * PAGE), disk_byte(asked * PAGE));
	assert_int_equal(mapped(mm, first, first + AROUND - 2), AROUND - 1);
	assert_int_equal(mapped(mm, 0, first - 1), 0);
	assert_int_equal(mapped(mm, first + AROUND - 1, 31), 0); /* not cached */
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], AROUND - 1);
	assert_int_equal(mm->minor_faults, 1);
	assert_int_equal(mm->major_faults, 0);
	assert_int_equal(get(BASE + (first + 1) * PAGE), disk_byte((first + 1) * PAGE));
	assert_int_equal(mm->minor_faults, 1);
	check_space(mm);
}

/* AROUND pages from where the area or the stretch begins, whichever is later. */
static void around_begins_with_the_area(void **state)
{
	struct quire_mm *mm = space.mm;

	read_ahead(0, 31);
	put_file(mm, BASE + 5 * PAGE, 27, VM_R, &disk->file, 5);
	assert_int_equal(get(BASE + 6 * PAGE), disk_byte(6 * PAGE));
	assert_int_equal(mapped(mm, 5, 4 + AROUND), AROUND);
	assert_int_equal(mapped(mm, 5 + AROUND, 31), 0);
}

static void around_ends_with_the_leaf_the_area_and_the_file(void **state)
{
	struct quire_mm *mm = space.mm;
	uint64_t leaf_end = UINT64_C(1) << mm->pt.fmt->shift[1];

	read_ahead(0, 31);
	put_file(mm, leaf_end - 3 * PAGE, 6, VM_R, &disk->file, 0);
	assert_int_equal(get(leaf_end - 2 * PAGE), disk_byte(PAGE));
	assert_int_not_equal(frame(mm, leaf_end - PAGE), 0);
	assert_int_equal(frame(mm, leaf_end), 0);
	put_file(mm, BASE, 3, VM_R, &disk->file, 0);
	put_file(mm, BASE + 3 * PAGE, 3, VM_R, &disk->file, 7);
	assert_int_equal(get(BASE), disk_byte(0));
	assert_int_equal(mapped(mm, 0, 5), 3);
	put_file(mm, BASE + 256 * PAGE, 16, VM_R, &disk->file, 28);
	assert_int_equal(get(BASE + 256 * PAGE), disk_byte(28 * PAGE));
	assert_int_equal(mapped(mm, 256, 271), 4);
}

static void around_leaves_locked_pages_and_guards_alone(void **state)
{
	struct quire_mm *mm = space.mm;
	struct quire_page *page;

	read_ahead(0, 15);
	put_file(mm, BASE, 16, VM_R, &disk->file, 0);
	assert_int_equal(quire_object_get_page(&disk->object, 3, &page), 0);
	quire_page_lock(space.q, page);
	assert_int_equal(get(BASE), disk_byte(0));
	assert_int_equal(mapped(mm, 0, AROUND - 1), AROUND - 1);
	assert_int_equal(frame(mm, BASE + 3 * PAGE), 0);
	quire_page_unlock(space.q, page);
	quire_page_put(space.q, page);
	assert_int_equal(get(BASE + 3 * PAGE), disk_byte(3 * PAGE));
}

#else
/* A page is all of the 64 KiB. */
static void a_read_maps_no_page_but_its_own(void **state)
{
	struct quire_mm *mm = space.mm;

	read_ahead(0, 30);
	put_file(mm, BASE, 32, VM_RW, &disk->file, 0);
	assert_int_equal(get(BASE + 20 * PAGE), disk_byte(20 * PAGE));
	assert_int_equal(mapped(mm, 0, 31), 1);
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 1);
	assert_int_equal(mm->minor_faults, 1);
	check_space(mm);
}
#endif

static void a_write_maps_only_its_own_page(void **state)
{
	struct quire_mm *mm = space.mm;

	read_ahead(0, 31);
	put_file(mm, BASE, 16, VM_RW, &disk->file, 0);
	put_file(mm, BASE + 16 * PAGE, 16, VM_RW | VM_S, &disk->file, 0);
	set(BASE + PAGE, 1);
	set(BASE + 17 * PAGE, 1);
	assert_int_equal(mapped(mm, 0, 31), 2);
}

/* ---- Shared mappings --------------------------------------------------------------------- */

static void a_shared_write_is_announced_once_until_written_back(void **state)
{
	struct quire_mm *mm = space.mm;
	uint64_t faults;

	put_file(mm, BASE, 4, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(get(BASE), disk_byte(0));
	assert_false(entry_has(mm, BASE, QUIRE_PTE_WRITE));
	assert_int_equal(disk->mkwrites, 0);
	set(BASE, 1);
	assert_int_equal(disk->mkwrites, 1);
	assert_int_equal(quire_stat_read(space.q, QUIRE_STAT_FILE_DIRTY), 1);
	faults = mm->minor_faults;
	set(BASE + 1, 2);
	assert_int_equal(mm->minor_faults, faults);

	assert_int_equal(quire_object_sync(&disk->object, 0, UINT64_MAX), 0);
	assert_int_equal(disk->bytes[0], 1);
	assert_int_equal(disk->bytes[1], 2);
	assert_false(entry_has(mm, BASE, QUIRE_PTE_WRITE));
	assert_false(entry_has(mm, BASE, QUIRE_PTE_DIRTY));
	assert_int_equal(quire_stat_read(space.q, QUIRE_STAT_FILE_DIRTY), 0);
	set(BASE, 3);
	assert_int_equal(disk->mkwrites, 2);
	assert_int_equal(get(BASE), 3);
	assert_int_equal(disk->bytes[0], 1);
	set(BASE + PAGE, 4); /* not mapped before */
	assert_int_equal(disk->mkwrites, 3);
	assert_int_equal(quire_object_sync(&disk->object, 0, UINT64_MAX), 0);
	assert_int_equal(disk->bytes[0], 3);
	assert_int_equal(disk->bytes[PAGE], 4);
	check_space(mm);
}

/* The entry's dirty bit must not be lost when the mapping goes first. */
static void unmapping_takes_the_dirty_bit_over(void **state)
{
	put_file(space.mm, BASE, 1, VM_RW | VM_S, &disk->file, 0);
	set(BASE, 42);
	assert_int_equal(quire_munmap(space.mm, BASE, PAGE), 0);
	assert_int_equal(quire_mm_rss(space.mm), 0);
	assert_int_equal(quire_object_sync(&disk->object, 0, UINT64_MAX), 0);
	assert_int_equal(disk->bytes[0], 42);
}

static void protecting_a_shared_page_keeps_the_announcement(void **state)
{
	struct quire_mm *mm = space.mm;

	put_file(mm, BASE, 2, VM_RW | VM_S, &disk->file, 0);
	set(BASE, 1);
	assert_int_equal(get(BASE + PAGE), disk_byte(PAGE));
	assert_int_equal(quire_mprotect(mm, BASE, 2 * PAGE, QUIRE_PROT_READ), 0);
	assert_accerr(QUIRE_ACCESS_WRITE, BASE);
	assert_int_equal(quire_mprotect(mm, BASE, 2 * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE), 0);
	assert_true(entry_has(mm, BASE, QUIRE_PTE_WRITE)); /* dirty: the file knows */
	assert_false(entry_has(mm, BASE + PAGE, QUIRE_PTE_WRITE));
	set(BASE, 2);
	assert_int_equal(disk->mkwrites, 1);
	set(BASE + PAGE, 2);
	assert_int_equal(disk->mkwrites, 2);
}

static void a_refused_write_is_a_bus_error(void **state)
{
	disk->fail_mkwrite = 1;
	put_file(space.mm, BASE, 2, VM_RW | VM_S, &disk->file, 0);
	assert_bus(QUIRE_ACCESS_WRITE, BASE + PAGE + 3);
	assert_int_equal(get(BASE + PAGE + 3), disk_byte(PAGE + 3));
	assert_bus(QUIRE_ACCESS_WRITE, BASE + PAGE + 3);
	disk->fail_mkwrite = UINT64_MAX;
	set(BASE + PAGE + 3, 1);
	assert_int_equal(get(BASE + PAGE + 3), 1);
}

static void private_and_shared_mappings_meet_in_the_cache(void **state)
{
	struct quire_mm *mm = space.mm, *child;

	put_file(mm, BASE, 2, VM_RW, &disk->file, 0);
	put_file(mm, BASE + 8 * PAGE, 2, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(get(BASE), disk_byte(0));
	assert_int_equal(get(BASE + 8 * PAGE), disk_byte(0));
	assert_int_equal(frame(mm, BASE), frame(mm, BASE + 8 * PAGE));
	set(BASE + 8 * PAGE, 5);
	assert_int_equal(get(BASE), 5);
	set(BASE, 6);
	assert_int_equal(get(BASE + 8 * PAGE), 5);
	child = fork_space(mm);
	run_in(child);
	set(BASE + 8 * PAGE, 7);
	run_in(mm);
	assert_int_equal(get(BASE + 8 * PAGE), 7);
	assert_int_equal(get(BASE), 6);
	put_space(child);
}

/* ---- The end of the file ----------------------------------------------------------------- */

static void beyond_the_end_is_a_bus_error(void **state)
{
	struct quire_mm *mm = space.mm;

	quire_object_truncate(&disk->object, PAGE + 5);
	put_file(mm, BASE, 8, VM_RW, &disk->file, 0);
	put_file(mm, BASE + 8 * PAGE, 8, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(get(BASE + PAGE + 4), disk_byte(PAGE + 4));
	assert_int_equal(get(BASE + PAGE + 5), 0); /* the rest of the last page */
	set(BASE + 2 * PAGE - 1, 1);
	assert_bus(QUIRE_ACCESS_READ, BASE + 2 * PAGE);
	assert_bus(QUIRE_ACCESS_WRITE, BASE + 2 * PAGE + 9);
	assert_bus(QUIRE_ACCESS_READ, BASE + 15 * PAGE);
	assert_bus(QUIRE_ACCESS_WRITE, BASE + 10 * PAGE + 9);
	assert_int_equal(mm->minor_faults + mm->major_faults, 2);
	write_file(2 * PAGE, 5);
	assert_int_equal(get(BASE + 2 * PAGE), 5);
	assert_bus(QUIRE_ACCESS_READ, BASE + 3 * PAGE);
}

/* What else there is around is mapped nevertheless, for a load, not for a store; with pages of 64 KiB, nothing. */
static void beyond_the_end_neighbours_are_mapped(void **state)
{
	struct quire_mm *mm = space.mm;

	quire_object_truncate(&disk->object, 3 * PAGE);
	put_file(mm, BASE, 4, VM_RW, &disk->file, 0);
	assert_int_equal(get(BASE), disk_byte(0));
	assert_int_equal(get(BASE + PAGE), disk_byte(PAGE));
	put_file(mm, BASE + 16 * PAGE, 4, VM_RW, &disk->file, 0);
	assert_bus(QUIRE_ACCESS_WRITE, BASE + 19 * PAGE);
	assert_int_equal(quire_mm_rss(mm), 2);
	assert_bus(QUIRE_ACCESS_READ, BASE + 19 * PAGE);
	assert_int_equal(quire_mm_rss(mm), AROUND > 1 ? 4 : 2);
	check_space(mm);
}

static void truncate_takes_pages_and_private_copies(void **state)
{
	struct quire_mm *mm = space.mm;

	put_file(mm, BASE, 4, VM_RW, &disk->file, 0);
	put_file(mm, BASE + 8 * PAGE, 4, VM_RW | VM_S, &disk->file, 0);
	for (unsigned i = 0; i < 4; i++) {
		set(BASE + i * PAGE, 1);
		set(BASE + (8 + i) * PAGE, 2);
	}
	assert_int_equal(quire_mm_rss(mm), 8);
	quire_object_truncate(&disk->object, 2 * PAGE);
	assert_int_equal(quire_mm_rss(mm), 4);
	check_space(mm);
	assert_int_equal(get(BASE + PAGE), 1);
	assert_int_equal(get(BASE + 9 * PAGE), 2);
	assert_bus(QUIRE_ACCESS_READ, BASE + 2 * PAGE);
	assert_bus(QUIRE_ACCESS_WRITE, BASE + 10 * PAGE);
	/* Grown again it is all zeroes. */
	quire_object_truncate(&disk->object, 4 * PAGE);
	memset(disk->bytes + 2 * PAGE, 0, 2 * PAGE);
	assert_int_equal(get(BASE + 2 * PAGE), 0);
	assert_int_equal(get(BASE + 10 * PAGE), 0);
}

/* A hole leaves private copies alone. */
static void a_hole_takes_pages_and_leaves_private_copies(void **state)
{
	struct quire_mm *mm = space.mm;

	put_file(mm, BASE, 4, VM_RW, &disk->file, 0);
	put_file(mm, BASE + 8 * PAGE, 4, VM_RW | VM_S, &disk->file, 0);
	set(BASE, 1);
	assert_int_equal(get(BASE + PAGE), disk_byte(PAGE));
	set(BASE + 8 * PAGE, 2);
	assert_int_equal(quire_object_punch_hole(&disk->object, 0, 2 * PAGE), 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 0);
	assert_int_equal(get(BASE), 1);
	assert_int_equal(get(BASE + PAGE), 0);
	assert_int_equal(get(BASE + 8 * PAGE), 0);
}

static void a_read_that_fails_is_a_bus_error(void **state)
{
	disk->fail_read = 1;
	put_file(space.mm, BASE, 4, VM_RW, &disk->file, 0);
	assert_bus(QUIRE_ACCESS_READ, BASE + PAGE + 1);
	assert_bus(QUIRE_ACCESS_WRITE, BASE + PAGE + 2);
	assert_int_equal(quire_mm_rss(space.mm), 0);
	disk->fail_read = UINT64_MAX;
	assert_int_equal(get(BASE + PAGE + 1), disk_byte(PAGE + 1));
}

/* ---- Shared anonymous memory ------------------------------------------------------------- */

static void shared_memory_stays_shared(void **state)
{
	struct quire_mm *mm = space.mm, *child;
	struct quire_file *file;

	assert_int_equal(quire_shmem_file(space.q, 4 * PAGE, &file), 0);
	put_file(mm, BASE, 8, VM_RW | VM_S, file, 0);
	quire_file_put(space.q, file);
	assert_int_equal(get(BASE), 0);
	/* Nobody wants to hear of the write: one fault is enough, where the processor marks pages. */
	assert_true(entry_has(mm, BASE, QUIRE_PTE_WRITE));
	assert_int_equal(mm->rss[QUIRE_RSS_SHMEM], 1);
	assert_int_equal(mm->major_faults, 0);
	set(BASE, 1);
	assert_int_equal(mm->minor_faults, test_marks_fault() ? 2 : 1);
	child = fork_space(mm);
	assert_int_equal(quire_mm_rss(child), 0);
	set(BASE + PAGE, 2);
	run_in(child);
	assert_int_equal(get(BASE), 1);
	assert_int_equal(get(BASE + PAGE), 2);
	set(BASE, 3);
	run_in(mm);
	assert_int_equal(get(BASE), 3);
	assert_bus(QUIRE_ACCESS_WRITE, BASE + 4 * PAGE);
	put_space(child);
}

/* ---- Drivers ----------------------------------------------------------------------------- */

struct driver {
	struct quire_page *page[2]; /* what it maps */
	quire_pfn_t pfn;	    /* or this, if page[] is NULL */
	unsigned faults, mkwrites, opens, closes, accesses;
	int error; /* what the next fault says */
	int mkwrite_error;
	bool closed_in_fault;
};

static int driver_fault(struct quire_vmf *vmf)
{
	struct driver *d = vmf->vma->private_data;
	int err = d->error;

	d->faults++;
	if (err) {
		if (err == -QUIRE_EAGAIN)
			d->error = 0;
		return err;
	}
	if (vmf->pgoff > 1)
		return -QUIRE_EFAULT;
	vmf->page = d->page[vmf->pgoff];
	vmf->pfn = d->pfn;
	if (vmf->page)
		quire_page_get(vmf->page);
	return 0;
}

static int driver_mkwrite(struct quire_vmf *vmf)
{
	struct driver *d = vmf->vma->private_data;

	d->mkwrites++;
	assert_ptr_equal(vmf->page, d->page[vmf->pgoff]);
	assert_true(quire_page_test(vmf->page, QUIRE_PG_LOCKED));
	return d->mkwrite_error;
}

static void driver_open(struct quire_vma *vma)
{
	((struct driver *)vma->private_data)->opens++;
}

static void driver_close(struct quire_vma *vma)
{
	((struct driver *)vma->private_data)->closes++;
}

static int driver_access(struct quire_vma *vma, quire_uaddr_t addr, void *buf, size_t len,
			 bool write)
{
	((struct driver *)vma->private_data)->accesses++;
	memset(buf, 0x5a, len < 3 ? len : 3);
	return len < 3 ? (int)len : 3;
}

static const struct quire_vm_ops driver_ops = {
	.open = driver_open,
	.close = driver_close,
	.fault = driver_fault,
	.access = driver_access,
};
static const struct quire_vm_ops asking_ops = {.fault = driver_fault,
					       .page_mkwrite = driver_mkwrite};
static const struct quire_vm_ops full_ops = {.name = "[all]"};

static void driver_init(struct driver *d)
{
	memset(d, 0, sizeof(*d));
	for (unsigned i = 0; i < 2; i++) {
		d->page[i] = quire_page_alloc(space.q, QUIRE_GFP_USER | QUIRE_GFP_ZERO, 0);
		assert_non_null(d->page[i]);
	}
}

static unsigned char driver_byte(struct quire_page *page)
{
	unsigned char *at = quire_page_kmap(space.q, page), byte = at[0];

	quire_page_kunmap(space.q, at);
	return byte;
}

static void a_driver_maps_its_own_pages(void **state)
{
	struct quire_mm *mm = space.mm;
	struct driver d;

	driver_init(&d);
	put_driver(mm, BASE, 4, VM_RW | VM_S, &driver_ops, &d);
	set(BASE, 7);
	assert_int_equal(driver_byte(d.page[0]), 7);
	assert_int_equal(get(BASE + PAGE), 0);
	assert_true(entry_has(mm, BASE + PAGE, QUIRE_PTE_WRITE));
	assert_int_equal(d.faults, 2);
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 2);
	assert_bus(QUIRE_ACCESS_READ, BASE + 2 * PAGE + 1);
	check_space(mm);
	assert_int_equal(quire_munmap(mm, BASE, 4 * PAGE), 0);
	assert_int_equal(d.closes, 1);
	assert_int_equal(quire_load(&d.page[0]->refs), 1);
	quire_page_put(space.q, d.page[0]);
	quire_page_put(space.q, d.page[1]);
}

static void a_driver_s_private_area_copies(void **state)
{
	struct quire_mm *mm = space.mm;
	struct driver d;

	driver_init(&d);
	put_driver(mm, BASE, 2, VM_RW, &driver_ops, &d);
	set(BASE, 7);
	assert_int_equal(driver_byte(d.page[0]), 0);
	assert_int_equal(get(BASE + PAGE), 0);
	set(BASE + PAGE, 8);
	assert_int_equal(driver_byte(d.page[1]), 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 2);
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 0);
	assert_int_equal(quire_munmap(mm, BASE, 2 * PAGE), 0);
	quire_page_put(space.q, d.page[0]);
	quire_page_put(space.q, d.page[1]);
}

static void a_driver_s_errors_are_signals(void **state)
{
	struct quire_signal sig;
	struct driver d;

	driver_init(&d);
	put_driver(space.mm, BASE, 2, VM_RW | VM_S, &driver_ops, &d);
	d.error = -QUIRE_EFAULT;
	assert_bus(QUIRE_ACCESS_READ, BASE + 4);
	d.error = -QUIRE_EIO;
	assert_bus(QUIRE_ACCESS_WRITE, BASE + 4);
	d.error = -QUIRE_ENOMEM;
	assert_int_equal(quire_fault(space.mm, BASE + 4, QUIRE_ACCESS_READ, &sig), -QUIRE_ENOMEM);
	assert_int_equal(sig.signo, QUIRE_SIGKILL);
	d.error = -QUIRE_EAGAIN;
	d.faults = 0;
	set(BASE + 4, 1);
	assert_int_equal(d.faults, 2);
	assert_int_equal(quire_munmap(space.mm, BASE, 2 * PAGE), 0);
	quire_page_put(space.q, d.page[0]);
	quire_page_put(space.q, d.page[1]);
}

static void a_driver_that_wants_to_be_asked_is_asked(void **state)
{
	struct driver d;

	driver_init(&d);
	put_driver(space.mm, BASE, 2, VM_RW | VM_S, &asking_ops, &d);
	assert_int_equal(get(BASE), 0);
	assert_int_equal(d.mkwrites, 0);
	d.mkwrite_error = -QUIRE_EIO;
	assert_bus(QUIRE_ACCESS_WRITE, BASE + 9);
	assert_bus(QUIRE_ACCESS_WRITE, BASE + PAGE + 9);
	d.mkwrite_error = 0;
	set(BASE, 1);
	set(BASE + PAGE, 2);
	assert_int_equal(d.mkwrites, 4);
	assert_int_equal(driver_byte(d.page[0]), 1);
	assert_int_equal(driver_byte(d.page[1]), 2);
	assert_int_equal(quire_munmap(space.mm, BASE, 2 * PAGE), 0);
	quire_page_put(space.q, d.page[0]);
	quire_page_put(space.q, d.page[1]);
}

static void raw_frames_are_not_counted(void **state)
{
	struct quire_mm *mm = space.mm, *child;
	struct quire_page *page;
	struct driver d;

	driver_init(&d);
	d.pfn = quire_page_to_pfn(space.q, d.page[0]);
	page = d.page[0];
	d.page[0] = NULL;
	quire_page_put(space.q, d.page[1]);
	d.page[1] = NULL;
	put_driver(mm, BASE, 1, VM_RW | VM_S | QUIRE_VM_PFNMAP, &driver_ops, &d);
	put_driver(mm, BASE + 8 * PAGE, 1, VM_RW | QUIRE_VM_PFNMAP, &driver_ops, &d);
	set(BASE, 7);
	assert_int_equal(driver_byte(page), 7);
	assert_int_equal(quire_mm_rss(mm), 0);
	assert_int_equal(quire_load(&page->refs), 1);
	assert_true(entry_has(mm, BASE, QUIRE_PTE_SPECIAL | QUIRE_PTE_WRITE));
	assert_int_equal(get(BASE + 8 * PAGE), 7);
	/* No owner, but fork copies the entries: no fault could find them again for certain. */
	child = fork_space(mm);
	assert_int_equal(frame(child, BASE), d.pfn);
	assert_int_equal(frame(child, BASE + 8 * PAGE), d.pfn);
	put_space(child);
	set(BASE + 8 * PAGE, 9); /* a private write copies what is memory */
	assert_int_equal(driver_byte(page), 7);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	/* No page for the kernel's own use. */
	assert_int_equal(quire_get_user_page(mm, BASE, QUIRE_ACCESS_READ, &page), -QUIRE_EFAULT);
	page = quire_pfn_to_page(space.q, d.pfn);
	assert_int_equal(quire_munmap(mm, BASE, 9 * PAGE), 0);
	assert_int_equal(d.opens, 2);
	assert_int_equal(d.closes, 4);
	quire_page_put(space.q, page);
}

static void what_a_driver_has_not_mapped_is_a_bus_error(void **state)
{
	put_driver(space.mm, BASE, 1, VM_R | QUIRE_VM_PFNMAP, &full_ops, NULL);
	assert_bus(QUIRE_ACCESS_READ, BASE + 1);
}

static void a_debugger_asks_the_driver_where_there_are_no_pages(void **state)
{
	unsigned char buf[8] = {0};
	struct driver d;

	driver_init(&d);
	put_driver(space.mm, BASE, 1, VM_R | QUIRE_VM_IO, &driver_ops, &d);
	assert_int_equal(quire_access_process_vm(space.mm, BASE, buf, 8, QUIRE_ACCESS_READ), 8);
	assert_int_equal(d.accesses, 3);
	assert_int_equal(buf[7], 0x5a);
	assert_int_equal(quire_munmap(space.mm, BASE, PAGE), 0);
	quire_page_put(space.q, d.page[0]);
	quire_page_put(space.q, d.page[1]);
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
static void fail_each(uint32_t access, uint64_t addr)
{
	struct quire_mm *mm = space.mm;

	for (uint64_t k = 1;; k++) {
		uint64_t tables = quire_pgtable_bytes(&mm->pt), cached = disk->object.nr_pages;
		struct quire_anon *anon = area(mm, addr)->anon;
		quire_pte_t before = entry(mm, addr);
		struct quire_signal sig = {0};
		int64_t rss = quire_mm_rss(mm);
		int err;

		quire_slab_shrink_all(space.q);
		space.q->pages.fail.failed = 0;
		space.q->pages.fail.after = k;
		err = quire_fault(mm, addr, access, &sig);
		space.q->pages.fail.after = 0;
		if (!space.q->pages.fail.failed) {
			assert_int_equal(err, 0);
			assert_true(k > 1);
			return;
		}
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_int_equal(sig.signo, QUIRE_SIGKILL);
		assert_int_equal(entry(mm, addr), before);
		assert_int_equal(quire_pgtable_bytes(&mm->pt), tables);
		assert_int_equal(quire_mm_rss(mm), rss);
		assert_ptr_equal(area(mm, addr)->anon, anon);
		/* A page that was read may stay in the cache: nobody can see that it is there. */
		assert_true(disk->object.nr_pages <= cached + 1);
		check_space(mm);
	}
}

static void a_file_fault_without_memory_changes_nothing(void **state)
{
	put_file(space.mm, BASE, 4, VM_RW, &disk->file, 0);
	put_file(space.mm, BASE + (1ull << 30), 4, VM_RW, &disk->file, 8);
	put_file(space.mm, BASE + (2ull << 30), 4, VM_RW | VM_S, &disk->file, 16);
	fail_each(QUIRE_ACCESS_READ, BASE);
	fail_each(QUIRE_ACCESS_WRITE, BASE);
	fail_each(QUIRE_ACCESS_WRITE, BASE + (1ull << 30));
	fail_each(QUIRE_ACCESS_WRITE, BASE + (2ull << 30));
}
#endif

/* ---- Several CPUs ------------------------------------------------------------------------ */

#define CPUS 4

static int setup_four(void **state)
{
	return setup_cpus(state, CPUS);
}

#define cpus_test(fn) cmocka_unit_test_setup_teardown(fn, setup_four, teardown)

struct churn {
	struct quire_mm *mm;
	uint32_t stop;
};

/*
 * Three CPUs read and write private and shared mappings while CPU 0 cuts the file and lets it grow,
 * writes it back and punches holes. What they see is a page of the file, zeroes, what they wrote
 * themselves, or a bus error.
 */
static void use_file(struct machine *m, unsigned cpu, struct churn *churn)
{
	struct quire_signal sig;
	uint64_t n = 0;

	while (!quire_load_acquire(&churn->stop)) {
		/*
		 * Odd pages private, even ones shared: no copy is made of what somebody stores to,
		 * which would be the program's own race.
		 */
		uint64_t page = n % 64 < 32 ? n % 32 | 1 : 32 + (n % 32 & ~1ull);
		uint64_t addr = BASE + page * PAGE + cpu * 8, value = 0x100 + cpu;
		int err = n % 3 ? machine_load(m, addr, &value, 8, &sig)
				: machine_store(m, addr, &value, 8, &sig);

		n++;
		if (err && (sig.signo != QUIRE_SIGBUS || sig.addr != addr))
			machine_report(m, "the wrong signal", QUIRE_WHERE, addr);
		if (!err && value < 0x200 && value && value != 0x100 + cpu)
			machine_report(m, "somebody else's value", QUIRE_WHERE, addr);
	}
}

static void change_file(struct churn *churn)
{
	for (unsigned round = 0; round < 80; round++) {
		switch (round % 4) {
		case 0:
			quire_object_truncate(&disk->object, 5 * PAGE);
			break;
		case 1:
			quire_object_truncate(&disk->object, 32 * PAGE);
			break;
		case 2:
			(void)quire_object_sync(&disk->object, 0, UINT64_MAX);
			break;
		default:
			(void)quire_object_punch_hole(&disk->object, 8 * PAGE, 24 * PAGE);
		}
	}
	quire_store_release(&churn->stop, 1u);
}

static void file_cpu(struct machine *m, unsigned cpu, void *arg)
{
	struct churn *churn = arg;

	machine_switch(m, &churn->mm->pt);
	if (cpu == 0)
		change_file(churn);
	else
		use_file(m, cpu, churn);
	machine_switch(m, NULL);
}

static void faults_against_truncate_and_write_back(void **state)
{
	struct churn churn = {.mm = space.mm};

	disk->unmapped_meanwhile = true;
	put_file(space.mm, BASE, 32, VM_RW, &disk->file, 0);
	put_file(space.mm, BASE + 32 * PAGE, 32, VM_RW | VM_S, &disk->file, 0);
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, CPUS, file_cpu, &churn);
	run_in(space.mm);
	check_space(space.mm);
	assert_null(quire_object_check(&disk->object));
	assert_false(machine_failed(space.m));
	/* Whatever was cut last is gone from both. */
	quire_object_truncate(&disk->object, 0);
	assert_int_equal(quire_mm_rss(space.mm), 0);
}

/* A driver's close waits for its faults, and no fault begins after it. */
struct slow {
	struct churn churn;
	struct quire_page *page;
	uint32_t inside, closed, faults;
};

static int slow_fault(struct quire_vmf *vmf)
{
	struct slow *s = vmf->vma->private_data;

	(void)quire_fetch_add(&s->inside, 1u);
	if (quire_load_acquire(&s->closed))
		machine_report(space.m, "a fault after close", QUIRE_WHERE, vmf->address);
	for (unsigned i = 0; i < 100; i++)
		quire_port_relax(vmf->vma->mm->q);
	quire_page_get(s->page);
	vmf->page = s->page;
	(void)quire_fetch_add(&s->faults, 1u);
	(void)quire_fetch_sub(&s->inside, 1u);
	return 0;
}

static void slow_close(struct quire_vma *vma)
{
	struct slow *s = vma->private_data;

	if (quire_load_acquire(&s->inside))
		machine_report(space.m, "close during a fault", QUIRE_WHERE, vma->start);
	quire_store_release(&s->closed, 1u);
}

static const struct quire_vm_ops slow_ops = {.fault = slow_fault, .close = slow_close};

static void slow_cpu(struct machine *m, unsigned cpu, void *arg)
{
	struct slow *s = arg;
	struct quire_signal sig;
	unsigned char byte;
	unsigned n = 0;

	machine_switch(m, &s->churn.mm->pt);
	if (cpu == 0) {
		while (quire_load_acquire(&s->faults) < 20)
			quire_port_relax(space.q);
		(void)quire_munmap(s->churn.mm, BASE, 512 * PAGE);
		quire_store_release(&s->churn.stop, 1u);
	}
	while (cpu != 0 && !quire_load_acquire(&s->churn.stop))
		(void)machine_load(m, BASE + (n++ * CPUS + cpu) % 512 * PAGE, &byte, 1, &sig);
	machine_switch(m, NULL);
}

static void close_waits_for_faults(void **state)
{
	static struct slow s;

	for (unsigned round = 0; round < 20; round++) {
		memset(&s, 0, sizeof(s));
		s.churn.mm = space.mm;
		s.page = quire_page_alloc(space.q, QUIRE_GFP_USER | QUIRE_GFP_ZERO, 0);
		put_driver(space.mm, BASE, 512, VM_R | VM_S, &slow_ops, &s);
		machine_switch(space.m, NULL);
		machine_run_cpus(space.m, CPUS, slow_cpu, &s);
		run_in(space.mm);
		assert_int_equal(s.closed, 1);
		assert_int_equal(quire_mm_rss(space.mm), 0);
		quire_page_put(space.q, s.page);
	}
	assert_false(machine_failed(space.m));
}

/*
 * One CPU stores until it gets a signal, one writes back all the time, one unmaps: what was stored
 * last must reach the disk, also what went through an old entry while the unmapping had yet to
 * flush.
 */
struct storer {
	struct quire_mm *mm;
	uint32_t stop, go;
	uint64_t last;
};

static void slow_flush(void *ctx, const struct quire_tlb_flush *flush)
{
	(void)ctx;
	(void)flush;
	for (unsigned i = 0; i < 100; i++)
		quire_port_relax(space.q);
}

static const struct machine_hooks slow_hooks = {.flush = slow_flush};

static void store_cpu(struct machine *m, unsigned cpu, void *arg)
{
	struct storer *s = arg;

	machine_switch(m, &s->mm->pt);
	if (cpu == 0) {
		while (quire_load_acquire(&s->go) < 3)
			quire_port_relax(space.q);
		(void)quire_munmap(s->mm, BASE, PAGE);
		quire_store_release(&s->stop, 1u);
	} else if (cpu == 1) {
		for (uint64_t n = 1; !machine_store(m, BASE + 64, &n, 8, NULL); n++) {
			s->last = n;
			if (n < 4)
				quire_store_release(&s->go, (uint32_t)n);
		}
	} else {
		while (!quire_load_acquire(&s->stop))
			(void)quire_object_sync(&disk->object, 0, UINT64_MAX);
	}
	machine_switch(m, NULL);
}

static void no_store_is_lost_between_unmapping_and_write_back(void **state)
{
	disk->unmapped_meanwhile = true;
	machine_set_hooks(space.m, &slow_hooks, NULL);
	for (unsigned round = 0; round < 60; round++) {
		struct storer s = {.mm = space.mm};
		uint64_t on_disk;

		put_file(space.mm, BASE, 1, VM_RW | VM_S, &disk->file, 0);
		machine_switch(space.m, NULL);
		machine_run_cpus(space.m, 3, store_cpu, &s);
		run_in(space.mm);
		assert_int_equal(quire_object_sync(&disk->object, 0, UINT64_MAX), 0);
		memcpy(&on_disk, disk->bytes + 64, 8);
		assert_int_equal(on_disk, s.last);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		file_test(a_private_mapping_reads_the_cache),
		file_test(a_private_write_copies),
		file_test(private_copies_cross_a_fork_and_clean_pages_too),
		file_test(an_unwritten_file_area_is_not_copied_by_fork),
		file_test(fetching_from_a_file),
#if QUIRE_PAGE_SHIFT < 16
		file_test(a_read_maps_what_is_cached_around_it),
		file_test(around_begins_with_the_area),
		file_test(around_ends_with_the_leaf_the_area_and_the_file),
		file_test(around_leaves_locked_pages_and_guards_alone),
#else
		file_test(a_read_maps_no_page_but_its_own),
#endif
		file_test(a_write_maps_only_its_own_page),
		file_test(a_shared_write_is_announced_once_until_written_back),
		file_test(unmapping_takes_the_dirty_bit_over),
		file_test(protecting_a_shared_page_keeps_the_announcement),
		file_test(a_refused_write_is_a_bus_error),
		file_test(private_and_shared_mappings_meet_in_the_cache),
		file_test(beyond_the_end_is_a_bus_error),
		file_test(beyond_the_end_neighbours_are_mapped),
		file_test(truncate_takes_pages_and_private_copies),
		file_test(a_hole_takes_pages_and_leaves_private_copies),
		file_test(a_read_that_fails_is_a_bus_error),
		file_test(shared_memory_stays_shared),
		file_test(a_driver_maps_its_own_pages),
		file_test(a_driver_s_private_area_copies),
		file_test(a_driver_s_errors_are_signals),
		file_test(a_driver_that_wants_to_be_asked_is_asked),
		file_test(raw_frames_are_not_counted),
		file_test(what_a_driver_has_not_mapped_is_a_bus_error),
		file_test(a_debugger_asks_the_driver_where_there_are_no_pages),
#if QUIRE_DEBUG
		file_test(a_file_fault_without_memory_changes_nothing),
#endif
		cpus_test(faults_against_truncate_and_write_back),
		cpus_test(no_store_is_lost_between_unmapping_and_write_back),
		cpus_test(close_waits_for_faults),
	};

	return cmocka_run_group_tests_name("file faults", tests, NULL, NULL);
}

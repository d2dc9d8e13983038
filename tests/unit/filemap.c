/* SPDX-License-Identifier: MIT */
/*
 * Mapped files and shared memory, on the simulated machine: real loads and stores through real
 * tables. What one mapping sees of another, of read() and write(), of fork; truncate and holes
 * under mappings; write-back; areas of drivers. The semantics are those of mmap(2), msync(2),
 * ftruncate(2), madvise(2). What happens when two of these meet: filemap_meet.c.
 */
#include "filemap.h"

/* ---- Sharing ----------------------------------------------------------------------------- */

static void mappings_of_one_file_share_its_frames(void **state)
{
	struct quire_page *page;

	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 1);
	assert_int_equal(get(AT + PAGE + 5), disk_byte(PAGE + 5));
	assert_int_equal(get(ELSEWHERE + 5), disk_byte(PAGE + 5));
	assert_int_equal(d->reads, 1);
	page = frame(mm, AT + PAGE);
	assert_ptr_equal(page, frame(mm, ELSEWHERE));
	assert_int_equal(page->maps, 2);
	assert_int_equal(page->refs, 3); /* the cache and two entries */
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 2);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_MAPPED), 1);
	assert_sound(mm);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	assert_int_equal(page->maps, 1);
	assert_int_equal(get(ELSEWHERE + 5), disk_byte(PAGE + 5));
	assert_int_equal(d->reads, 1);
}

static void a_shared_store_is_seen_by_everybody(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(get(ELSEWHERE), disk_byte(0));
	put(AT, 0xee);
	assert_int_equal(get(ELSEWHERE), 0xee);
	assert_int_equal(byte_of_file(0), 0xee);
	/* and write() by mappings */
	assert_int_equal(quire_object_write(&d->object, 7, "w", 1), 1);
	assert_int_equal(get(AT + 7), 'w');
	assert_int_equal(get(ELSEWHERE + 7), 'w');
	assert_int_equal(d->bytes[0], disk_byte(0)); /* not yet on the disk */
}

static void a_private_store_is_seen_by_nobody_else(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, RW, QUIRE_MAP_PRIVATE, 0);
	put(ELSEWHERE + 3, 0xee);
	assert_int_equal(get(ELSEWHERE + 3), 0xee);
	assert_int_equal(get(ELSEWHERE + 4), disk_byte(4)); /* the rest was copied */
	assert_int_equal(get(AT + 3), disk_byte(3));
	assert_int_equal(byte_of_file(3), disk_byte(3));
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	/* From then on that page no longer follows the file; its neighbour does. */
	put(AT + 4, 0x11);
	put(AT + PAGE, 0x22);
	assert_int_equal(get(ELSEWHERE + 4), disk_byte(4));
	assert_int_equal(get(ELSEWHERE + PAGE), 0x22);
	assert_sound(mm);
}

static void a_private_page_read_first_is_copied_at_the_store(void **state)
{
	struct quire_page *page;

	(void)state;
	map_disk(mm, AT, 1, RW, QUIRE_MAP_PRIVATE, 3);
	assert_int_equal(get(AT), disk_byte(3 * PAGE));
	page = frame(mm, AT);
	assert_int_equal(quire_page_kind(page), QUIRE_PAGE_CACHE);
	put(AT, 0xee);
	assert_ptr_not_equal(frame(mm, AT), page);
	assert_int_equal(quire_page_kind(frame(mm, AT)), QUIRE_PAGE_ANON);
	assert_int_equal(page->maps, 0);
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	assert_int_equal(get(AT + 1), disk_byte(3 * PAGE + 1));
	assert_int_equal(byte_of_file(3 * PAGE), disk_byte(3 * PAGE));
}

static void fork_shares_what_is_shared_and_copies_what_is_private(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, RW, QUIRE_MAP_PRIVATE, 0);
	put(ELSEWHERE, 0x11);
	put(AT + 1, 0x22);
	assert_int_equal(quire_fork(mm, &child), 0);
	run_in(child);
	assert_int_equal(get(ELSEWHERE), 0x11);
	assert_int_equal(get(AT + 1), 0x22);
	put(ELSEWHERE, 0x33);
	put(AT + 1, 0x44);
	put(ELSEWHERE + PAGE, 0x55);
	run_in(mm);
	assert_int_equal(get(ELSEWHERE), 0x11);
	assert_int_equal(get(AT + 1), 0x44);
	assert_int_equal(get(ELSEWHERE + PAGE), disk_byte(PAGE));
	put(ELSEWHERE, 0x66);
	put(AT + 1, 0x77);
	run_in(child);
	assert_int_equal(get(ELSEWHERE), 0x33);
	assert_int_equal(get(AT + 1), 0x77);
	assert_sound(child);
	run_in(mm);
	quire_mmput(child);
	assert_int_equal(get(ELSEWHERE), 0x66);
}

static void a_page_that_cannot_be_read_is_a_bus_error(void **state)
{
	(void)state;
	map_disk(mm, AT, 3, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 3, RW, QUIRE_MAP_PRIVATE, 0);
	d->fail_read = 1;
	assert_int_equal(get(AT), disk_byte(0));
	assert_bus(AT + PAGE + 7, false);
	assert_bus(AT + PAGE + 7, true);
	assert_bus(ELSEWHERE + PAGE, true);
	d->fail_read = UINT64_MAX;
	assert_int_equal(get(AT + PAGE + 7), disk_byte(PAGE + 7));
	assert_int_equal(d->mkwrites, 0);
}

static void memory_behind_the_end_of_the_file_is_a_bus_error(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 14);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 14);
	assert_int_equal(get(AT + 2 * PAGE - 1), disk_byte(16 * PAGE - 1));
	assert_bus(AT + 2 * PAGE, false);
	assert_bus(AT + 2 * PAGE + 1, true);
	assert_bus(ELSEWHERE + 3 * PAGE + 123, false);
	assert_bus(ELSEWHERE + 4 * PAGE - 1, true);
	assert_sound(mm);
}

/* ---- Truncate ---------------------------------------------------------------------------- */

/*
 *	file      |---|---|---|---|  -> |---|-|
 *	page        0   1   2   3         0  1
 */
static void truncate_takes_pages_out_of_every_mapping(void **state)
{
	struct quire_mm *child;

	(void)state;
	quire_object_truncate(&d->object, 4 * PAGE);
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 0);
	for (uint64_t i = 0; i < 4; i++) {
		put(AT + i * PAGE, 0xee);
		assert_int_equal(get(ELSEWHERE + i * PAGE), 0xee);
	}
	assert_int_equal(quire_fork(mm, &child), 0);
	run_in(child);
	assert_int_equal(get(AT + 3 * PAGE), 0xee);
	run_in(mm);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 4);

	quire_object_truncate(&d->object, PAGE + 10);
	assert_int_equal(get(AT), 0xee);
	assert_int_equal(get(AT + PAGE), 0xee);
	assert_int_equal(get(AT + PAGE + 9), disk_byte(PAGE + 9));
	assert_int_equal(get(AT + PAGE + 10), 0); /* the rest of the last page */
	assert_int_equal(get(ELSEWHERE + 2 * PAGE - 1), 0);
	assert_bus(AT + 2 * PAGE, false);
	assert_bus(AT + 3 * PAGE + 17, true);
	assert_bus(ELSEWHERE + 2 * PAGE, false);
	run_in(child);
	assert_bus(AT + 3 * PAGE, false);
	assert_int_equal(get(AT), 0xee);
	run_in(mm);
	assert_false(is_mapped(mm, AT + 2 * PAGE));
	assert_false(is_mapped(child, AT + 3 * PAGE));
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 2);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 2);
	assert_sound(child);
	quire_mmput(child);
}

static void what_an_extension_adds_can_be_read_again(void **state)
{
	(void)state;
	/* the host has cut its storage */
	memset(d->bytes + PAGE + 10, 0, (DISK_PAGES - 1) * PAGE - 10);
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(get(AT + 2 * PAGE), 0);
	quire_object_truncate(&d->object, PAGE + 10);
	put(AT + PAGE + 100, 0xee); /* behind the end, in the last page: allowed, and forgotten */
	assert_bus(AT + 2 * PAGE, false);
	assert_bus(ELSEWHERE + 2 * PAGE, false);
	quire_object_truncate(&d->object, 3 * PAGE);
	assert_int_equal(get(AT + PAGE + 9), disk_byte(PAGE + 9));
	assert_int_equal(get(AT + PAGE + 100), 0);
	assert_int_equal(get(AT + 2 * PAGE), 0);
	assert_int_equal(get(ELSEWHERE + 2 * PAGE), 0);
	put(AT + 2 * PAGE, 0x11);
	assert_int_equal(get(ELSEWHERE + 2 * PAGE), 0x11);
	assert_bus(AT + 3 * PAGE, false);
}

/*
 * As Linux does: private copies of pages behind the new end go, those of the last page stay as
 * they are.
 */
static void truncate_takes_private_copies_too(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_PRIVATE, 0);
	for (uint64_t i = 0; i < 4; i++)
		put(AT + i * PAGE + 100, 0xee);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 4);
	quire_object_truncate(&d->object, PAGE + 10);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 2);
	assert_int_equal(get(AT + 100), 0xee);
	assert_int_equal(get(AT + PAGE + 100), 0xee);
	assert_bus(AT + 2 * PAGE, false);
	quire_object_truncate(&d->object, 4 * PAGE);
	/* our disk was not cut */
	assert_int_equal(get(AT + 2 * PAGE + 100), disk_byte(2 * PAGE + 100));
	assert_sound(mm);
}

static void a_hole_is_zeroes_and_leaves_private_copies(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 0);
	put(AT + PAGE, 0x11);
	put(AT + 2 * PAGE, 0x11);
	put(ELSEWHERE + 2 * PAGE, 0x22);
	assert_int_equal(get(ELSEWHERE + PAGE), 0x11);
	assert_int_equal(quire_object_punch_hole(&d->object, PAGE, 3 * PAGE), 0);
	assert_false(is_mapped(mm, AT + PAGE));
	assert_int_equal(get(AT), disk_byte(0));
	assert_int_equal(get(AT + PAGE), 0);
	assert_int_equal(get(ELSEWHERE + PAGE), 0);
	assert_int_equal(get(AT + 2 * PAGE), 0);
	assert_int_equal(get(ELSEWHERE + 2 * PAGE), 0x22);
	assert_int_equal(get(AT + 3 * PAGE), disk_byte(3 * PAGE));
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
}

static void truncate_leaves_other_files_at_the_same_addresses_alone(void **state)
{
	struct disk *other = disk_new(q, 4 * PAGE), *first = d;

	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	put(AT + 3 * PAGE, 0x11);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	d = other;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	put(AT + 3 * PAGE, 0x22);
	d = first;
	quire_object_truncate(&d->object, 0);
	assert_true(is_mapped(mm, AT + 3 * PAGE));
	assert_int_equal(get(AT + 3 * PAGE), 0x22);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	quire_grace_wait(q);
	assert_null(disk_delete(other));
}

/* ---- Write-back -------------------------------------------------------------------------- */

static void a_shared_store_is_announced_once_and_written_back(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	assert_int_equal(get(AT), disk_byte(0));
	assert_int_equal(d->mkwrites, 0);
	assert_false(quire_pte_has(mm->pt.fmt, entry(mm, AT), QUIRE_PTE_WRITE));
	put(AT, 0x11);
	put(AT + 1, 0x22);
	assert_int_equal(d->mkwrites, 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->writes, 1);
	assert_int_equal(d->bytes[0], 0x11);
	assert_int_equal(d->bytes[1], 0x22);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	/* Still mapped, but clean: it can't be written to without somebody hearing of it. */
	assert_true(is_mapped(mm, AT));
	assert_int_equal(
		quire_pte_bits(mm->pt.fmt, entry(mm, AT)) & (QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY), 0);
	assert_int_equal(get(AT), 0x11);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->writes, 1);

	put(AT, 0x33);
	assert_int_equal(d->mkwrites, 2);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->writes, 2);
	assert_int_equal(d->bytes[0], 0x33);
	assert_sound(mm);
}

static void each_mapping_of_a_page_is_cleaned(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, RW, QUIRE_MAP_SHARED, 0);
	assert_int_equal(quire_fork(mm, &child), 0);
	put(AT, 0x11);
	put(ELSEWHERE + 1, 0x22);
	run_in(child);
	put(AT + 2, 0x33);
	run_in(mm);
	assert_int_equal(quire_object_sync(&d->object, 0, 0), 0);
	assert_int_equal(d->writes, 1);
	assert_memory_equal(d->bytes, "\x11\x22\x33", 3);
	assert_false(quire_pte_has(mm->pt.fmt, entry(mm, AT), QUIRE_PTE_WRITE));
	assert_false(quire_pte_has(mm->pt.fmt, entry(mm, ELSEWHERE), QUIRE_PTE_WRITE));
	assert_false(quire_pte_has(child->pt.fmt, entry(child, AT), QUIRE_PTE_WRITE));
	run_in(child);
	put(AT + 2, 0x44);
	run_in(mm);
	quire_mmput(child); /* its entry's dirty bit goes to the page */
	assert_int_equal(quire_object_sync(&d->object, 0, 0), 0);
	assert_int_equal(d->bytes[2], 0x44);
	assert_int_equal(d->writes, 2);
}

static void unmapping_keeps_the_store(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	put(AT + PAGE, 0x11);
	assert_int_equal(quire_munmap(mm, AT, 2 * PAGE), 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_MAPPED), 0);
	assert_int_equal(byte_of_file(PAGE), 0x11);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->bytes[PAGE], 0x11);
}

static void a_refused_store_is_a_bus_error(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, RW, QUIRE_MAP_PRIVATE, 0);
	d->fail_mkwrite = 1;
	assert_int_equal(get(AT + PAGE), disk_byte(PAGE));
	assert_bus(AT + PAGE + 3, true);
	assert_int_equal(get(AT + PAGE + 3), disk_byte(PAGE + 3));
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	put(AT, 0x11);
	put(ELSEWHERE + PAGE, 0x22); /* private: nobody is asked */
	d->fail_mkwrite = UINT64_MAX;
	put(AT + PAGE + 3, 0x33);
	assert_int_equal(byte_of_file(PAGE + 3), 0x33);
}

static void msync_writes_back_what_its_range_maps(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 2);
	for (uint64_t i = 0; i < 4; i++)
		put(AT + i * PAGE, 0x11);
	assert_int_equal(quire_msync(mm, AT + PAGE, 2 * PAGE, QUIRE_MS_SYNC), 0);
	assert_int_equal(d->writes, 2);
	assert_int_equal(d->bytes[2 * PAGE], disk_byte(2 * PAGE));
	assert_int_equal(d->bytes[3 * PAGE], 0x11);
	assert_int_equal(d->bytes[4 * PAGE], 0x11);
	assert_int_equal(d->bytes[5 * PAGE], disk_byte(5 * PAGE));
	d->fail_write = 2;
	assert_int_equal(quire_msync(mm, AT, 4 * PAGE, QUIRE_MS_SYNC), -QUIRE_EIO);
	assert_int_equal(d->bytes[5 * PAGE], 0x11);
	d->fail_write = UINT64_MAX;
	assert_int_equal(quire_msync(mm, AT, 4 * PAGE, QUIRE_MS_SYNC), 0);
	assert_int_equal(d->bytes[2 * PAGE], 0x11);
}

/* ---- Shared anonymous memory ------------------------------------------------------------- */

static void shared_anonymous_memory_is_shared_with_children(void **state)
{
	struct quire_mm *child;

	(void)state;
	assert_int_equal(
		quire_mmap(mm, AT, 4 * PAGE, RW,
			   QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED_NOREPLACE, NULL,
			   0),
		AT);
	assert_int_equal(get(AT), 0);
	put(AT + PAGE, 0x11);
	assert_int_equal(mm->rss[QUIRE_RSS_SHMEM], 2);
	assert_int_equal(stat(QUIRE_STAT_SHMEM), 2);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	assert_int_equal(quire_fork(mm, &child), 0);
	run_in(child);
	assert_int_equal(get(AT + PAGE), 0x11);
	put(AT + PAGE, 0x22);
	put(AT + 2 * PAGE, 0x33);
	run_in(mm);
	assert_int_equal(get(AT + PAGE), 0x22);
	assert_int_equal(get(AT + 2 * PAGE), 0x33);
	assert_int_equal(stat(QUIRE_STAT_SHMEM), 3);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	run_in(child);
	assert_int_equal(get(AT + PAGE), 0x22); /* the child has it still */
	run_in(mm);
	quire_mmput(child);
	quire_grace_wait(q);
	assert_int_equal(stat(QUIRE_STAT_SHMEM), 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 0);
}

/* ---- Drivers ----------------------------------------------------------------------------- */

struct driver {
	struct quire_file file;
	struct quire_page *page[4]; /* what its memory is; NULL: an error for that page */
	bool raw;		    /* hands out frame numbers instead of pages */
	int answer;		    /* of fault, if not 0 */
	unsigned opens, closes, faults, mkwrites;
	uint32_t last_access;
};
static struct driver driver;

static int driver_fault(struct quire_vmf *vmf)
{
	struct driver *dr = vmf->vma->private_data;

	dr->faults++;
	dr->last_access = vmf->access;
	if (dr->answer)
		return dr->answer;
	if (vmf->pgoff >= 4 || !dr->page[vmf->pgoff])
		return -QUIRE_EFAULT;
	if (dr->raw) {
		vmf->pfn = quire_page_to_pfn(q, dr->page[vmf->pgoff]);
	} else {
		vmf->page = dr->page[vmf->pgoff];
		quire_page_get(vmf->page);
	}
	return 0;
}

static int driver_mkwrite(struct quire_vmf *vmf)
{
	struct driver *dr = vmf->vma->private_data;

	dr->mkwrites++;
	assert_true(quire_page_test(vmf->page, QUIRE_PG_LOCKED));
	return 0;
}

static void driver_open(struct quire_vma *vma)
{
	((struct driver *)vma->private_data)->opens++;
}

static void driver_close(struct quire_vma *vma)
{
	((struct driver *)vma->private_data)->closes++;
}

static const struct quire_vm_ops driver_ops = {
	.open = driver_open,
	.close = driver_close,
	.fault = driver_fault,
	.page_mkwrite = driver_mkwrite,
};

static int driver_mmap(struct quire_file *file, struct quire_vma *vma)
{
	struct driver *dr = quire_container_of(file, struct driver, file);

	vma->private_data = dr;
	if (dr->raw)
		vma->flags |= QUIRE_VM_PFNMAP | QUIRE_VM_IO;
	return 0;
}

static void make_driver(bool raw)
{
	driver = (struct driver){
		.file = {.vm_ops = &driver_ops,
			 .mmap = driver_mmap,
			 .path = "/dev/driver",
			 .flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
			 .refs = 1},
		.raw = raw,
	};
	for (unsigned i = 0; i < 3; i++) {
		driver.page[i] = quire_page_alloc(q, QUIRE_GFP_USER | QUIRE_GFP_ZERO, 0);
		assert_non_null(driver.page[i]);
		*(unsigned char *)quire_page_kmap(q, driver.page[i]) = (unsigned char)(0x10 + i);
		quire_page_kunmap(q, NULL);
	}
}

static unsigned char driver_byte(unsigned page)
{
	unsigned char byte = *(unsigned char *)quire_page_kmap(q, driver.page[page]);

	quire_page_kunmap(q, NULL);
	return byte;
}

static void drop_driver(void)
{
	quire_grace_wait(q);
	assert_int_equal(driver.file.refs, 1);
	assert_int_equal(driver.closes, driver.opens + 1); /* mmap announced the first area
							    * itself */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(driver.page[i]->refs, 1);
		assert_int_equal(driver.page[i]->maps, 0);
		quire_page_put(q, driver.page[i]);
	}
}

static void a_driver_maps_its_own_pages(void **state)
{
	struct quire_mm *child;
	unsigned faults;

	(void)state;
	make_driver(false);
	assert_int_equal(quire_mmap(mm, AT, 5 * PAGE, RW,
				    QUIRE_MAP_SHARED | QUIRE_MAP_FIXED_NOREPLACE, &driver.file, 0),
			 AT);
	assert_int_equal(get(AT), 0x10);
	faults = driver.faults; /* once or more: it may be asked again when the fault has to
				 * start again */
	assert_in_range(faults, 1, 2);
	assert_int_equal(driver.last_access, QUIRE_ACCESS_READ);
	assert_ptr_equal(frame(mm, AT), driver.page[0]);
	assert_int_equal(get(AT), 0x10);
	assert_int_equal(driver.faults, faults);
	put(AT + PAGE, 0x77);
	assert_int_equal(driver_byte(1), 0x77);
	assert_int_equal(driver.mkwrites, 1);
	put(AT, 0x66); /* read-only so far */
	assert_int_equal(driver.mkwrites, 2);
	assert_int_equal(driver_byte(0), 0x66);
	assert_bus(AT + 3 * PAGE + 5, false); /* nothing there, says the driver */
	assert_bus(AT + 4 * PAGE, true);
	driver.answer = -QUIRE_EIO;
	assert_bus(AT + 2 * PAGE, false);
	driver.answer = 0;
	assert_int_equal(get(AT + 2 * PAGE), 0x12);

	assert_int_equal(quire_fork(mm, &child), 0);
	assert_int_equal(driver.opens, 1);
	run_in(child);
	assert_int_equal(get(AT), 0x66);
	run_in(mm);
	quire_mmput(child);
	assert_int_equal(driver.closes, 1);
	assert_sound(mm);
	assert_int_equal(quire_munmap(mm, AT, 5 * PAGE), 0);
	drop_driver();
}

static void a_private_store_copies_a_drivers_page(void **state)
{
	(void)state;
	make_driver(false);
	assert_int_equal(quire_mmap(mm, AT, 3 * PAGE, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED_NOREPLACE, &driver.file, 0),
			 AT);
	put(AT + PAGE, 0x77);
	assert_int_equal(driver_byte(1), 0x11);
	assert_int_equal(get(AT + PAGE), 0x77);
	assert_int_equal(get(AT), 0x10);
	put(AT, 0x66);
	assert_int_equal(driver_byte(0), 0x10);
	assert_int_equal(driver.mkwrites, 0);
	assert_sound(mm);
	assert_int_equal(quire_munmap(mm, AT, 3 * PAGE), 0);
	drop_driver();
}

static void a_driver_maps_raw_frames_that_nobody_counts(void **state)
{
	(void)state;
	make_driver(true);
	assert_int_equal(quire_mmap(mm, AT, 4 * PAGE, RW,
				    QUIRE_MAP_SHARED | QUIRE_MAP_FIXED_NOREPLACE, &driver.file, 0),
			 AT);
	assert_int_equal(get(AT + PAGE), 0x11);
	put(AT + PAGE, 0x77);
	assert_int_equal(driver_byte(1), 0x77);
	put(AT + 2 * PAGE, 0x78);
	assert_int_equal(driver_byte(2), 0x78);
	assert_bus(AT + 3 * PAGE, false);
	assert_int_equal(driver.page[1]->refs, 1);
	assert_int_equal(driver.page[1]->maps, 0);
	for (unsigned k = 0; k < QUIRE_NR_RSS; k++)
		assert_int_equal(mm->rss[k], 0);
	assert_sound(mm);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	drop_driver();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mappings_of_one_file_share_its_frames),
		TEST(a_shared_store_is_seen_by_everybody),
		TEST(a_private_store_is_seen_by_nobody_else),
		TEST(a_private_page_read_first_is_copied_at_the_store),
		TEST(fork_shares_what_is_shared_and_copies_what_is_private),
		TEST(a_page_that_cannot_be_read_is_a_bus_error),
		TEST(memory_behind_the_end_of_the_file_is_a_bus_error),
		TEST(truncate_takes_pages_out_of_every_mapping),
		TEST(what_an_extension_adds_can_be_read_again),
		TEST(truncate_takes_private_copies_too),
		TEST(a_hole_is_zeroes_and_leaves_private_copies),
		TEST(truncate_leaves_other_files_at_the_same_addresses_alone),
		TEST(a_shared_store_is_announced_once_and_written_back),
		TEST(each_mapping_of_a_page_is_cleaned),
		TEST(unmapping_keeps_the_store),
		TEST(a_refused_store_is_a_bus_error),
		TEST(msync_writes_back_what_its_range_maps),
		TEST(shared_anonymous_memory_is_shared_with_children),
		TEST(a_driver_maps_its_own_pages),
		TEST(a_private_store_copies_a_drivers_page),
		TEST(a_driver_maps_raw_frames_that_nobody_counts),
	};

	return cmocka_run_group_tests_name("filemap", tests, NULL, NULL);
}

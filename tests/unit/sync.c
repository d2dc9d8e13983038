/* SPDX-License-Identifier: MIT */
/*
 * msync, mincore and remap_file_pages on the simulated machine, with a disk that counts what it is
 * asked for. Errors and vectors were seen on Linux 6.18, x86-64; the manual pages have the rest.
 */
#include <mm/internal.h>

#include "space_disk.h"

static int setup(void **state)
{
	return space_disk_setup(state, 1, 8);
}

#define sync_test(fn) cmocka_unit_test_setup_teardown(fn, setup, space_disk_teardown)

static int msync_at(uint64_t start, uint64_t n, uint32_t flags)
{
	return quire_msync(space.mm, P(start), n * PAGE, flags);
}

/* ---- msync ------------------------------------------------------------------------------- */

static void sync_writes_to_the_file(void **state)
{
	put_file(space.mm, P(0), 8, VM_RW | VM_S, &disk->file, 0);
	set(P(1), 11);
	set(P(5), 55);
	assert_int_equal(msync_at(0, 4, QUIRE_MS_ASYNC), 0);
	assert_int_equal(msync_at(0, 4, 0), 0);
	assert_int_equal(disk->writes, 0);
	assert_int_equal(msync_at(0, 4, QUIRE_MS_SYNC), 0);
	assert_int_equal(disk->writes, 1);
	assert_int_equal(disk->bytes[PAGE], 11);
	assert_int_equal(disk->bytes[5 * PAGE], disk_byte(5 * PAGE));
	/* A store after it is seen again. */
	set(P(1), 12);
	assert_int_equal(msync_at(1, 1, QUIRE_MS_SYNC), 0);
	assert_int_equal(disk->bytes[PAGE], 12);
	assert_int_equal(disk->writes, 2);
	assert_int_equal(msync_at(0, 8, QUIRE_MS_SYNC), 0);
	assert_int_equal(disk->writes, 3);
	assert_int_equal(disk->bytes[5 * PAGE], 55);
	/* Private copies are nobody's business. */
	put_file(space.mm, P(20), 2, VM_RW, &disk->file, 0);
	set(P(20), 99);
	assert_int_equal(msync_at(20, 2, QUIRE_MS_SYNC), 0);
	assert_int_equal(disk->writes, 3);
}

static void sync_says_what_went_wrong(void **state)
{
	put_file(space.mm, P(0), 8, VM_RW | VM_S, &disk->file, 0);
	set(P(1), 11);
	set(P(2), 22);
	disk->fail_write = 1;
	assert_int_equal(msync_at(0, 8, QUIRE_MS_SYNC), -QUIRE_EIO);
	assert_int_equal(disk->bytes[2 * PAGE], 22);
	disk->fail_write = UINT64_MAX;
	assert_int_equal(msync_at(0, 8, QUIRE_MS_SYNC), 0);
	assert_int_equal(disk->bytes[PAGE], 11);
}

static void sync_arguments(void **state)
{
	map_at(0, 8, "rw");
	assert_int_equal(msync_at(0, 1, 8), -QUIRE_EINVAL);
	assert_int_equal(msync_at(0, 1, QUIRE_MS_ASYNC | QUIRE_MS_SYNC), -QUIRE_EINVAL);
	assert_int_equal(quire_msync(space.mm, P(0) + 1, PAGE, QUIRE_MS_SYNC), -QUIRE_EINVAL);
	assert_int_equal(msync_at(0, 0, QUIRE_MS_SYNC), 0);
	assert_int_equal(quire_msync(space.mm, P(0), UINT64_MAX, QUIRE_MS_SYNC), 0);
	assert_int_equal(quire_msync(space.mm, P(0), -PAGE, QUIRE_MS_SYNC), -QUIRE_ENOMEM);
	assert_int_equal(quire_msync(space.mm, -PAGE, PAGE, QUIRE_MS_SYNC), -QUIRE_ENOMEM);
	assert_int_equal(quire_msync(space.mm, space.mm->layout.task_size, 0, QUIRE_MS_SYNC), 0);
	assert_int_equal(quire_msync(space.mm, space.mm->layout.task_size, PAGE, QUIRE_MS_SYNC),
			 -QUIRE_ENOMEM);
}

/* What is behind the hole is written, unless ASYNC is all that was asked for. */
static void sync_over_holes(void **state)
{
	put_file(space.mm, P(0), 2, VM_RW | VM_S, &disk->file, 0);
	put_file(space.mm, P(4), 2, VM_RW | VM_S, &disk->file, 4);
	set(P(4), 44);
	assert_int_equal(msync_at(0, 6, QUIRE_MS_SYNC), -QUIRE_ENOMEM);
	assert_int_equal(disk->bytes[4 * PAGE], 44);
	assert_int_equal(msync_at(0, 6, QUIRE_MS_ASYNC), -QUIRE_ENOMEM);
	assert_int_equal(msync_at(0, 6, 0), -QUIRE_ENOMEM);
	assert_int_equal(msync_at(2, 1, QUIRE_MS_SYNC), -QUIRE_ENOMEM);
	assert_int_equal(msync_at(1, 1, QUIRE_MS_ASYNC), 0);
	assert_int_equal(msync_at(30, 1, QUIRE_MS_SYNC), -QUIRE_ENOMEM);
}

static void invalidating_locked_memory(void **state)
{
	put_file(space.mm, P(0), 4, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(quire_mlock(space.mm, P(1), PAGE), 0);
	assert_int_equal(msync_at(0, 4, QUIRE_MS_INVALIDATE), -QUIRE_EBUSY);
	assert_int_equal(msync_at(0, 1, QUIRE_MS_INVALIDATE), 0);
	assert_int_equal(msync_at(1, 1, QUIRE_MS_INVALIDATE | QUIRE_MS_SYNC), -QUIRE_EBUSY);
	assert_int_equal(msync_at(1, 1, QUIRE_MS_SYNC), 0);
	/* EBUSY counts for more than the hole before it. */
	map_at(10, 1, "rw");
	assert_int_equal(quire_mlock(space.mm, P(10), PAGE), 0);
	assert_int_equal(msync_at(8, 4, QUIRE_MS_INVALIDATE | QUIRE_MS_ASYNC), -QUIRE_EBUSY);
}

/* ---- mincore ----------------------------------------------------------------------------- */

/* One digit a page; 9 where nothing was said. */
static void assert_resident(uint64_t start, uint64_t n, int answer, const char *expected)
{
	unsigned char vec[64];
	char seen[65] = "";

	memset(vec, 9, sizeof(vec));
	assert_int_equal(quire_mincore(space.mm, P(start), n * PAGE, vec), answer);
	for (uint64_t i = 0; i < n; i++)
		seen[i] = (char)('0' + vec[i]);
	assert_string_equal(seen, expected);
	assert_int_equal(vec[n], 9);
	assert_int_equal(quire_mincore(space.mm, P(start), n * PAGE, NULL), answer);
}

static void mincore_of_private_memory(void **state)
{
	map_at(0, 8, "rw");
	assert_resident(0, 8, 0, "00000000");
	set(P(0), 1);
	assert_int_equal(get(P(1)), 0);
	assert_resident(0, 8, 0, "11000000");
	assert_int_equal(protect_at(1, 1, ""), 0);
	assert_resident(0, 8, 0, "11000000");
	set(P(2), 1);
	assert_int_equal(quire_madvise(space.mm, P(2), PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_resident(0, 8, 0, "11000000");
	assert_int_equal(unmap_at(4, 1), 0);
	assert_resident(0, 8, -QUIRE_ENOMEM, "11009999");
	assert_resident(4, 2, -QUIRE_ENOMEM, "99");
}

/* What is in the cache counts, mapped or not. */
static void mincore_of_files(void **state)
{
	struct quire_page *page;

	put_file(space.mm, P(0), 16, VM_RW, &disk->file, 0);
	assert_resident(0, 16, 0, "0000000000000000");
	assert_int_equal(quire_object_get_page(&disk->object, 3, &page), 0);
	quire_page_put(space.q, page);
	assert_resident(0, 16, 0, "0001000000000000");
	assert_int_equal(quire_madvise(space.mm, P(0), 8 * PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_resident(0, 16, 0, "0001000000000000");
	assert_int_equal(quire_mmap(space.mm, P(20), 4 * PAGE, 3,
				    QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL,
				    0),
			 P(20));
	set(P(21), 1);
	assert_resident(20, 4, 0, "0100");
}

static const struct quire_vm_ops special_ops = {.name = "[test]"};

/* What the kernel mapped by itself is not told; it counts as there. */
static void mincore_of_special_areas(void **state)
{
	put_driver(space.mm, P(0), 3, VM_R | QUIRE_VM_DONTEXPAND, &special_ops, NULL);
	assert_resident(0, 3, 0, "111");
}

static void mincore_arguments(void **state)
{
	unsigned char vec[8];
	uint64_t end = space.mm->layout.task_size;

	map_at(0, 4, "rw");
	set(P(0), 1);
	assert_int_equal(quire_mincore(space.mm, P(0) + 1, PAGE, vec), -QUIRE_EINVAL);
	assert_int_equal(quire_mincore(space.mm, P(0), 0, vec), 0);
	vec[1] = 9;
	assert_int_equal(quire_mincore(space.mm, P(0), 1, vec), 0);
	assert_int_equal(vec[0], 1);
	assert_int_equal(vec[1], 9);
	assert_int_equal(quire_mincore(space.mm, end, 0, vec), 0);
	assert_int_equal(quire_mincore(space.mm, end, PAGE, vec), -QUIRE_ENOMEM);
	assert_int_equal(quire_mincore(space.mm, end + PAGE, 0, vec), -QUIRE_ENOMEM);
	assert_int_equal(quire_mincore(space.mm, end + PAGE + 1, 0, vec), -QUIRE_EINVAL);
	assert_int_equal(quire_mincore(space.mm, P(0), UINT64_MAX, vec), -QUIRE_ENOMEM);
	assert_int_equal(quire_mincore(space.mm, -PAGE, 0, vec), -QUIRE_ENOMEM);
}

/* ---- remap_file_pages -------------------------------------------------------------------- */

static int file_pages(uint64_t start, uint64_t n, uint64_t pgoff)
{
	return quire_remap_file_pages(space.mm, P(start), n * PAGE, 0, pgoff, 0);
}

static void other_pages_of_the_file(void **state)
{
	put_file(space.mm, P(0), 8, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(file_pages(0, 1, 3), 0);
	assert_picture("0-1 rw-s, 1-8 rw-s");
	assert_int_equal(get(P(0)), disk_byte(3 * PAGE));
	set(P(0), 33);
	assert_int_equal(get(P(3)), 33);
	/* Addresses and sizes are rounded down. */
	assert_int_equal(
		quire_remap_file_pages(space.mm, P(1) + 5, PAGE + 7, 0, 5, QUIRE_MAP_NONBLOCK), 0);
	assert_picture("0-1 rw-s, 1-2 rw-s, 2-8 rw-s");
	assert_int_equal(get(P(1)), disk_byte(5 * PAGE));
	/* Over several areas, if they are of a kind; and back in one. */
	assert_int_equal(file_pages(0, 8, 0), 0);
	assert_picture("0-8 rw-s");
	assert_int_equal(get(P(0)), disk_byte(0));
	assert_int_equal(protect_at(4, 1, "r"), 0);
	assert_int_equal(file_pages(0, 8, 2), -QUIRE_EINVAL);
	assert_int_equal(file_pages(4, 1, 2), 0);
	assert_picture("0-4 rw-s, 4-5 r--s, 5-8 rw-s");
	assert_int_equal(get(P(4)), disk_byte(2 * PAGE));
}

/* The first page beyond what an offset of 63 bits reaches. */
#define FILE_END (1ull << (63 - QUIRE_PAGE_SHIFT))

static void where_file_pages_do_not_apply(void **state)
{
	put_file(space.mm, P(0), 8, VM_RW | VM_S, &disk->file, 0);
	map_at(10, 4, "rw");
	put_file(space.mm, P(20), 4, VM_RW, &disk->file, 0);
	assert_int_equal(quire_remap_file_pages(space.mm, P(0), PAGE, QUIRE_PROT_READ, 3, 0),
			 -QUIRE_EINVAL);
	assert_int_equal(file_pages(0, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_remap_file_pages(space.mm, P(0), 100, 0, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(file_pages(0, 2, UINT64_MAX), -QUIRE_EINVAL);
	assert_int_equal(file_pages(0, 2, UINT64_MAX - 1), -QUIRE_EINVAL);
	assert_int_equal(file_pages(0, 2, 2 * FILE_END), -QUIRE_EOVERFLOW);
	assert_int_equal(file_pages(0, 2, FILE_END), -QUIRE_EOVERFLOW);
	assert_int_equal(file_pages(0, 2, FILE_END - 2), -QUIRE_EOVERFLOW);
	assert_int_equal(file_pages(10, 1, 0), -QUIRE_EINVAL);
	assert_int_equal(file_pages(20, 1, 0), -QUIRE_EINVAL);
	assert_int_equal(file_pages(0, 9, 0), -QUIRE_EINVAL);
	assert_int_equal(file_pages(40, 1, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_remap_file_pages(space.mm, -PAGE, PAGE, 0, 0, 0), -QUIRE_EINVAL);
	assert_picture("0-8 rw-s, 10-14 rw-p, 20-24 rw-p");
	assert_int_equal(file_pages(0, 2, FILE_END - 3), 0);
	assert_bus(QUIRE_ACCESS_READ, P(0));
}

static void locked_file_pages_stay_locked(void **state)
{
	put_file(space.mm, P(0), 4, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(quire_mlock(space.mm, P(2), PAGE), 0);
	assert_int_equal(file_pages(2, 1, 0), 0);
	assert_picture("0-2 rw-s, 2-3 rw-s, 3-4 rw-s");
	assert_true(area(space.mm, P(2))->flags & QUIRE_VM_LOCKED);
	assert_int_equal(space.mm->locked_vm, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		sync_test(sync_writes_to_the_file),
		sync_test(sync_says_what_went_wrong),
		sync_test(sync_arguments),
		sync_test(sync_over_holes),
		sync_test(invalidating_locked_memory),
		sync_test(mincore_of_private_memory),
		sync_test(mincore_of_files),
		sync_test(mincore_of_special_areas),
		sync_test(mincore_arguments),
		sync_test(other_pages_of_the_file),
		sync_test(where_file_pages_do_not_apply),
		sync_test(locked_file_pages_stay_locked),
	};

	return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The object room without page tables: the tree of pages, the page cache by content, truncate,
 * holes, write-back, shared anonymous memory, the reverse map with a recorded zap. What needs real
 * mappings is in filemap.c; the owners of anonymous pages are in anon.c.
 */
#include "disk.h"
#include "port_host.h"

#include "object/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAGE QUIRE_PAGE_SIZE
#define RAM (64u << 20)
#define CPUS 4u

/* ---- Set-up ------------------------------------------------------------------------------ */

static struct host *h;
static struct quire *q;

static int set_up(void **state)
{
	(void)state;
	h = host_new_ready(RAM, CPUS);
	q = &h->q;
	return quire_objects_init(q);
}

/* Whatever a test did, nothing may be left: no page counted, no object of the room's caches. */
static int tear_down(void **state)
{
	static const enum quire_stat stats[] = {QUIRE_STAT_FILE_PAGES, QUIRE_STAT_SHMEM,
						QUIRE_STAT_FILE_DIRTY, QUIRE_STAT_WRITEBACK};

	(void)state;
	assert_false(host_is_atomic());
	quire_grace_wait(q);
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(stats); i++)
		assert_int_equal(quire_stat_read(q, stats[i]), 0);
	assert_int_equal(quire_cache_destroy(q, &q->objects.radix_cache), 0);
	assert_int_equal(quire_cache_destroy(q, &q->objects.object_cache), 0);
	assert_int_equal(quire_cache_destroy(q, &q->objects.file_cache), 0);
	assert_int_equal(quire_cache_destroy(q, &q->objects.anon_cache), 0);
	assert_int_equal(quire_cache_destroy(q, &q->objects.chain_cache), 0);
	assert_null(quire_slab_check(q));
	assert_null(quire_page_check(q));
	host_delete(h);
	return 0;
}

static void assert_sound(struct quire_object *object)
{
	quire_broken_t broken = quire_object_check(object);

	if (broken)
		fail_msg("%s", broken);
}

static uint64_t stat(enum quire_stat which)
{
	return quire_stat_read(q, which);
}

/* ---- The tree of pages ------------------------------------------------------------------- */

static const uint64_t sparse[] = {
	0,
	1,
	63,
	64,
	65,
	4095,
	4096,
	(1u << 18) - 1,
	1u << 18,
	UINT64_C(1) << 36,
	(UINT64_C(1) << 51) - 1,
	(UINT64_C(1) << 52) - 1,
	UINT64_C(1) << 52,
	(UINT64_C(1) << 60) - 1,
	UINT64_C(1) << 60,
	UINT64_MAX - 1,
	UINT64_MAX,
};
#define NR_SPARSE QUIRE_ARRAY_SIZE(sparse)

static struct quire_page fake[512];

static void radix_take(struct quire_radix_node **tree, uint64_t index)
{
	quire_radix_free(q, quire_radix_remove(tree, index));
}

static void radix_holds_sparse_indices_up_to_the_last_one(void **state)
{
	struct quire_radix_node *tree = NULL;
	uint64_t index;

	(void)state;
	assert_null(quire_radix_find(&tree, 0));
	for (size_t i = 0; i < NR_SPARSE; i++) {
		size_t at = i * 5 % NR_SPARSE; /* in no order: 17 and 5 have no common divisor */

		assert_int_equal(quire_radix_insert(q, &tree, sparse[at], &fake[at]), 0);
		assert_int_equal(quire_radix_insert(q, &tree, sparse[at], &fake[0]), -QUIRE_EEXIST);
		assert_null(quire_radix_check(&tree));
	}
	for (size_t i = 0; i < NR_SPARSE; i++)
		assert_ptr_equal(quire_radix_find(&tree, sparse[i]), &fake[i]);
	assert_null(quire_radix_find(&tree, 2));
	assert_null(quire_radix_find(&tree, UINT64_MAX - 2));

	/* A walk meets them in order, from any point. */
	index = 0;
	for (size_t i = 0; i < NR_SPARSE; i++) {
		assert_ptr_equal(quire_radix_next(&tree, &index), &fake[i]);
		assert_int_equal(index, sparse[i]);
		index++;
	}
	index = 66;
	assert_ptr_equal(quire_radix_next(&tree, &index), &fake[5]);
	assert_int_equal(index, 4095);
	index = (UINT64_C(1) << 60) + 1;
	assert_ptr_equal(quire_radix_next(&tree, &index), &fake[15]);

	for (size_t i = 0; i < NR_SPARSE; i++) {
		size_t at = i * 3 % NR_SPARSE;

		radix_take(&tree, sparse[at]);
		assert_null(quire_radix_find(&tree, sparse[at]));
		assert_null(quire_radix_check(&tree));
	}
	assert_null(tree);
}

static void radix_walk_ends_where_nothing_follows(void **state)
{
	struct quire_radix_node *tree = NULL;
	uint64_t index = 0;

	(void)state;
	assert_null(quire_radix_next(&tree, &index));
	assert_int_equal(quire_radix_insert(q, &tree, 100, &fake[0]), 0);
	index = 101;
	assert_null(quire_radix_next(&tree, &index));
	index = UINT64_MAX;
	assert_null(quire_radix_next(&tree, &index));
	index = 64;
	assert_ptr_equal(quire_radix_next(&tree, &index), &fake[0]);
	assert_int_equal(index, 100);
	radix_take(&tree, 100);
}

static void radix_shrinks_to_what_its_pages_need(void **state)
{
	struct quire_radix_node *tree = NULL;

	(void)state;
	assert_int_equal(quire_radix_insert(q, &tree, 3, &fake[0]), 0);
	assert_int_equal(quire_radix_insert(q, &tree, UINT64_C(1) << 52, &fake[1]), 0);
	assert_int_equal(tree->shift, 48);
	radix_take(&tree, UINT64_C(1) << 52);
	assert_int_equal(tree->shift, 0);
	assert_ptr_equal(quire_radix_find(&tree, 3), &fake[0]);
	radix_take(&tree, 3);
	assert_null(tree);
}

/* 512 places, present or not, against an array. */
static void radix_agrees_with_an_array(void **state)
{
	struct quire_radix_node *tree = NULL;
	bool present[512] = {false};
	uint64_t chance = 12345, spread = 4097;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		size_t at = host_random(&chance) % 512;

		if (present[at])
			radix_take(&tree, at * spread);
		else
			assert_int_equal(quire_radix_insert(q, &tree, at * spread, &fake[at]), 0);
		present[at] = !present[at];
		if (step % 64)
			continue;
		assert_null(quire_radix_check(&tree));
		uint64_t index = 0;
		for (size_t i = 0; i < 512; i++) {
			assert_ptr_equal(quire_radix_find(&tree, i * spread),
					 present[i] ? &fake[i] : NULL);
			if (present[i]) {
				assert_ptr_equal(quire_radix_next(&tree, &index), &fake[i]);
				assert_int_equal(index, i * spread);
				index++;
			}
		}
		assert_null(quire_radix_next(&tree, &index));
	}
	for (size_t i = 0; i < 512; i++)
		if (present[i])
			radix_take(&tree, i * spread);
	assert_null(tree);
}

#if QUIRE_DEBUG
static void radix_insert_that_runs_out_of_memory_changes_nothing(void **state)
{
	struct quire_radix_node *tree = NULL, *root;
	uint64_t k;
	int err = -QUIRE_ENOMEM;

	(void)state;
	assert_int_equal(quire_radix_insert(q, &tree, 7, &fake[0]), 0);
	root = tree;
	/* From one level to eleven: ten nodes above, ten below the new root. */
	for (k = 1; err; k++) {
		q->slabs.fail.after = k;
		err = quire_radix_insert(q, &tree, UINT64_MAX, &fake[1]);
		q->slabs.fail.after = 0;
		if (!err)
			break;
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_ptr_equal(tree, root);
		assert_null(quire_radix_check(&tree));
		assert_ptr_equal(quire_radix_find(&tree, 7), &fake[0]);
		assert_null(quire_radix_find(&tree, UINT64_MAX));
	}
	assert_int_equal(k, 21); /* the twenty nodes failed one by one */
	assert_ptr_equal(quire_radix_find(&tree, UINT64_MAX), &fake[1]);
	radix_take(&tree, 7);
	radix_take(&tree, UINT64_MAX);
}

static void get_page_that_runs_out_of_memory_changes_nothing(void **state)
{
	struct disk *d = disk_new(q, QUIRE_OBJECT_MAX_SIZE);
	struct quire_page *page;
	uint64_t last = quire_size_pages(QUIRE_OBJECT_MAX_SIZE) - 1;

	(void)state;
	for (int room = 0; room < 2; room++) {
		struct quire_fail *fail = room ? &q->slabs.fail : &q->pages.fail;
		uint64_t frames, k;
		int err = -QUIRE_ENOMEM;

		for (k = 1; err; k++) {
			frames = host_frames_taken(h);
			fail->after = k;
			err = quire_object_get_page(&d->object, last - (uint64_t)room * 64, &page);
			fail->after = 0;
			if (!err)
				break;
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_null(page);
			assert_int_equal(d->object.nr_pages, room);
			assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), room);
			assert_sound(&d->object);
			/* The caches may have grown, the page itself is free again. */
			quire_slab_shrink_all(q);
			quire_page_drain(q);
			assert_true(host_frames_taken(h) <= frames + 1);
		}
		assert_true(k > 1);
		quire_page_put(q, page);
	}
	assert_null(disk_delete(d));
}
#endif

/* ---- Getting pages ----------------------------------------------------------------------- */

static void assert_page_bytes(struct quire_page *page, size_t from, size_t to,
			      unsigned char (*byte)(uint64_t pos))
{
	const unsigned char *bytes = quire_page_kmap(q, page);
	uint64_t start = page->index * PAGE;
	size_t i;

	for (i = from; i < to && bytes[i] == byte(start + i); i++)
		;
	quire_page_kunmap(q, (void *)(uintptr_t)bytes);
	if (i < to)
		fail_msg("page %llu differs at %zu", (unsigned long long)page->index, i);
}

static unsigned char zero(uint64_t pos)
{
	(void)pos;
	return 0;
}

static void get_page_reads_once_and_shares_the_frame(void **state)
{
	struct disk *d = disk_new(q, 3 * PAGE);
	struct quire_page *a, *b;

	(void)state;
	assert_null(quire_object_find_page(&d->object, 1));
	assert_int_equal(quire_object_get_page(&d->object, 1, &a), 0);
	assert_int_equal(d->reads, 1);
	assert_int_equal(a->refs, 2); /* the cache's and ours */
	assert_int_equal(quire_page_kind(a), QUIRE_PAGE_CACHE);
	assert_ptr_equal(a->owner, &d->object);
	assert_int_equal(a->index, 1);
	assert_true(quire_page_test(a, QUIRE_PG_UPTODATE));
	assert_false(quire_page_test(a, QUIRE_PG_LOCKED | QUIRE_PG_DIRTY));
	assert_page_bytes(a, 0, PAGE, disk_byte);
	assert_int_equal(quire_object_get_page(&d->object, 1, &b), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(d->reads, 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 1);
	assert_int_equal(stat(QUIRE_STAT_SHMEM), 0);
	quire_page_put(q, a);
	a = quire_object_find_page(&d->object, 1);
	assert_ptr_equal(a, b);
	quire_page_put(q, a);
	quire_page_put(q, b);
	assert_int_equal(b->refs, 1);
	assert_null(disk_delete(d));
}

static void get_page_beyond_the_end_is_efault(void **state)
{
	struct disk *d = disk_new(q, 2 * PAGE + 100);
	struct quire_page *page;

	(void)state;
	assert_int_equal(quire_object_get_page(&d->object, 3, &page), -QUIRE_EFAULT);
	assert_null(page);
	assert_int_equal(quire_object_get_page(&d->object, UINT64_MAX, &page), -QUIRE_EFAULT);
	assert_int_equal(d->object.nr_pages, 0);
	assert_int_equal(d->reads, 0);

	/*
	 * The last page has the file's bytes up to the end, zeroes behind it, whatever the disk
	 * has there.
	 */
	assert_int_equal(quire_object_get_page(&d->object, 2, &page), 0);
	assert_page_bytes(page, 0, 100, disk_byte);
	assert_page_bytes(page, 100, PAGE, zero);
	quire_page_put(q, page);
	assert_null(disk_delete(d));
}

static void get_page_passes_the_file_systems_error_on_and_tries_again(void **state)
{
	struct disk *d = disk_new(q, 2 * PAGE);
	struct quire_page *page;

	(void)state;
	d->fail_read = 1;
	assert_int_equal(quire_object_get_page(&d->object, 1, &page), -QUIRE_EIO);
	assert_null(page);
	assert_int_equal(d->object.nr_pages, 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 0);
	assert_sound(&d->object);
	d->fail_read = UINT64_MAX;
	assert_int_equal(quire_object_get_page(&d->object, 1, &page), 0);
	assert_int_equal(d->reads, 2);
	assert_page_bytes(page, 0, PAGE, disk_byte);
	quire_page_put(q, page);
	assert_null(disk_delete(d));
}

static void an_object_without_operations_is_all_zeroes(void **state)
{
	struct quire_object object;
	struct quire_page *page;

	(void)state;
	quire_object_init(q, &object, NULL, PAGE, 0);
	assert_int_equal(quire_object_get_page(&object, 0, &page), 0);
	assert_page_bytes(page, 0, PAGE, zero);
	quire_page_mark_dirty(q, page);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0); /* nobody writes it back: not counted */
	assert_int_equal(quire_object_sync(&object, 0, UINT64_MAX), 0);
	assert_true(quire_page_test(page, QUIRE_PG_DIRTY));
	assert_int_equal(quire_object_punch_hole(&object, 0, PAGE), -QUIRE_EOPNOTSUPP);
	quire_page_put(q, page);
	quire_object_put(&object);
}

/* ---- read() and write() ------------------------------------------------------------------ */

static unsigned char buffer[DISK_PAGES * QUIRE_PAGE_SIZE];

static void read_stops_at_the_end(void **state)
{
	struct disk *d = disk_new(q, 2 * PAGE + 100);

	(void)state;
	assert_int_equal(quire_object_read(&d->object, PAGE - 10, buffer, 20), 20);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(buffer[i], disk_byte(PAGE - 10 + i));
	assert_int_equal(quire_object_read(&d->object, 2 * PAGE, buffer, PAGE), 100);
	assert_int_equal(quire_object_read(&d->object, 2 * PAGE + 100, buffer, 1), 0);
	assert_int_equal(quire_object_read(&d->object, UINT64_MAX, buffer, 1), 0);
	assert_int_equal(quire_object_read(&d->object, 0, buffer, 0), 0);
	d->fail_read = 2;
	/* cached */
	assert_int_equal(quire_object_read(&d->object, 0, buffer, 3 * PAGE), 2 * PAGE + 100);
	quire_object_drop(&d->object, 0, UINT64_MAX);
	/* what came before */
	assert_int_equal(quire_object_read(&d->object, 0, buffer, 3 * PAGE), 2 * PAGE);
	assert_int_equal(quire_object_read(&d->object, 2 * PAGE, buffer, 1), -QUIRE_EIO);
	assert_null(disk_delete(d));
}

static void write_reads_only_what_it_does_not_replace(void **state)
{
	struct disk *d = disk_new(q, 3 * PAGE + 50);

	(void)state;
	memset(buffer, 0xee, sizeof(buffer));
	assert_int_equal(quire_object_write(&d->object, 0, buffer, PAGE), PAGE);
	assert_int_equal(d->reads, 0); /* a whole page */
	assert_int_equal(quire_object_write(&d->object, 3 * PAGE, buffer, 50), 50);
	assert_int_equal(d->reads, 0); /* all that the last page has */
	assert_int_equal(quire_object_write(&d->object, PAGE + 10, buffer, 20), 20);
	assert_int_equal(d->reads, 1);
	assert_int_equal(d->object.size, 3 * PAGE + 50);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 3);

	assert_int_equal(quire_object_read(&d->object, PAGE, buffer, 40), 40);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(buffer[i], i < 10 || i >= 30 ? disk_byte(PAGE + i) : 0xee);
	assert_int_equal(quire_object_read(&d->object, 3 * PAGE, buffer, PAGE), 50);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(buffer[i], 0xee);
	assert_null(disk_delete(d));
}

/*
 *	size before     |--------|
 *	write                              |--|
 *	reads as        |--file--|--zeroes-|--|
 */
static void write_beyond_the_end_leaves_zeroes_between(void **state)
{
	struct disk *d = disk_new(q, 100);

	(void)state;
	memset(d->bytes + 100, 0, DISK_PAGES * PAGE - 100); /* as a disk has it behind a file's
							     * end */
	memset(buffer, 0xee, 10);
	assert_int_equal(quire_object_write(&d->object, 2 * PAGE + 5, buffer, 10), 10);
	assert_int_equal(d->object.size, 2 * PAGE + 15);
	assert_int_equal(quire_object_read(&d->object, 0, buffer, sizeof(buffer)), 2 * PAGE + 15);
	for (size_t i = 0; i < 2 * PAGE + 15; i++)
		assert_int_equal(buffer[i], i < 100 ? disk_byte(i) : i < 2 * PAGE + 5 ? 0 : 0xee);
	assert_null(disk_delete(d));
}

static void write_has_a_largest_size(void **state)
{
	struct disk *d = disk_new(q, 0);

	(void)state;
	assert_int_equal(quire_object_write(&d->object, QUIRE_OBJECT_MAX_SIZE, buffer, 1),
			 -QUIRE_EFBIG);
	assert_int_equal(quire_object_write(&d->object, UINT64_MAX, buffer, 1), -QUIRE_EFBIG);
	assert_int_equal(d->object.size, 0);
	assert_int_equal(quire_object_write(&d->object, QUIRE_OBJECT_MAX_SIZE - 3, buffer, 10), 3);
	assert_int_equal(d->object.size, QUIRE_OBJECT_MAX_SIZE);
	assert_int_equal(quire_object_write(&d->object, 0, buffer, 0), 0);
	quire_object_truncate(&d->object, 0);
	assert_null(disk_delete(d));
}

static void write_that_fails_to_read_changes_nothing(void **state)
{
	struct disk *d = disk_new(q, 2 * PAGE);

	(void)state;
	d->fail_read = 1;
	assert_int_equal(quire_object_write(&d->object, PAGE + 1, "x", 1), -QUIRE_EIO);
	assert_int_equal(d->object.nr_pages, 0);
	assert_int_equal(d->object.size, 2 * PAGE);
	/* Some came before it: that many are done. */
	memset(buffer, 0xee, PAGE);
	assert_int_equal(quire_object_write(&d->object, 1, buffer, PAGE), PAGE - 1);
	assert_int_equal(d->object.nr_pages, 1);
	assert_null(disk_delete(d));
}

/* ---- Truncate ---------------------------------------------------------------------------- */

static void truncate_zeroes_the_rest_of_the_last_page(void **state)
{
	struct disk *d = disk_new(q, 4 * PAGE);
	struct quire_page *page[4];

	(void)state;
	for (uint64_t i = 0; i < 4; i++)
		assert_int_equal(quire_object_get_page(&d->object, i, &page[i]), 0);
	quire_page_mark_dirty(q, page[3]);
	quire_object_truncate(&d->object, PAGE + 10);
	assert_int_equal(d->object.size, PAGE + 10);
	assert_int_equal(d->object.nr_pages, 2);
	assert_sound(&d->object);
	assert_page_bytes(page[1], 0, 10, disk_byte);
	assert_page_bytes(page[1], 10, PAGE, zero);
	assert_true(quire_page_test(page[1], QUIRE_PG_DIRTY)); /* the disk has other bytes there */
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	/* The others are ours alone now, and their content is untouched. */
	assert_null(page[2]->owner);
	assert_int_equal(page[2]->refs, 1);
	assert_page_bytes(page[2], 0, PAGE, disk_byte);
	assert_false(quire_page_test(page[3], QUIRE_PG_DIRTY | QUIRE_PG_TRACKED));
	/* A dirty bit that arrives late counts nowhere. */
	quire_page_mark_dirty(q, page[3]);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	for (unsigned i = 0; i < 4; i++)
		quire_page_put(q, page[i]);
	assert_int_equal(quire_object_get_page(&d->object, 2, &page[2]), -QUIRE_EFAULT);
	assert_null(disk_delete(d));
}

static void what_an_extension_adds_reads_as_zeroes(void **state)
{
	struct disk *d = disk_new(q, PAGE + 10);
	struct quire_page *page;
	unsigned char *bytes;

	(void)state;
	memset(d->bytes + PAGE + 10, 0, DISK_PAGES * PAGE - PAGE - 10);
	assert_int_equal(quire_object_get_page(&d->object, 1, &page), 0);
	/* A store through a mapping goes behind the end: allowed, and forgotten. */
	bytes = quire_page_kmap(q, page);
	bytes[10] = bytes[PAGE - 1] = 0x77;
	quire_page_kunmap(q, bytes);
	quire_object_truncate(&d->object, 3 * PAGE);
	assert_page_bytes(page, 0, 10, disk_byte);
	assert_page_bytes(page, 10, PAGE, zero);
	quire_page_put(q, page);
	assert_int_equal(quire_object_read(&d->object, PAGE, buffer, 3 * PAGE), 2 * PAGE);
	for (size_t i = 10; i < 2 * PAGE; i++)
		assert_int_equal(buffer[i], 0);
	assert_null(disk_delete(d));
}

/* What lies between the old end and a write behind it is zeroed; what is left behind the new end stays for now. */
static void a_write_behind_the_end_zeroes_up_to_it(void **state)
{
	struct disk *d = disk_new(q, PAGE + 100);
	struct quire_page *page;
	unsigned char *bytes;

	(void)state;
	assert_int_equal(quire_object_get_page(&d->object, 1, &page), 0);
	bytes = quire_page_kmap(q, page);
	bytes[300] = bytes[805] = 0x77;
	assert_int_equal(quire_object_write(&d->object, PAGE + 648, "x", 1), 1);
	assert_int_equal(bytes[300], 0);
	assert_int_equal(bytes[805], 0x77);
	quire_object_truncate(&d->object, PAGE + 900);
	assert_int_equal(bytes[648], 'x');
	assert_int_equal(bytes[805], 0);
	quire_page_kunmap(q, bytes);
	quire_page_put(q, page);
	assert_null(disk_delete(d));
}

/* fallocate(2), too, leaves what is behind the new end. */
static void growing_without_a_cut_zeroes_up_to_the_new_end(void **state)
{
	struct disk *d = disk_new(q, PAGE + 100);
	struct quire_page *page;
	unsigned char *bytes;

	(void)state;
	assert_int_equal(quire_object_get_page(&d->object, 1, &page), 0);
	bytes = quire_page_kmap(q, page);
	bytes[100] = bytes[299] = bytes[300] = 0x77;
	quire_object_extend(&d->object, PAGE + 300);
	assert_int_equal(bytes[100], 0);
	assert_int_equal(bytes[299], 0);
	assert_int_equal(bytes[300], 0x77);
	quire_page_kunmap(q, bytes);
	quire_page_put(q, page);
	assert_null(disk_delete(d));
}

/* Linux's tmpfs keeps what a store through a mapping has left behind the end, and a cut makes a page dirty. */
static void shared_memory_that_grows_keeps_its_tail(void **state)
{
	struct quire_file *file;
	struct quire_page *page;
	unsigned char *bytes;

	(void)state;
	assert_int_equal(quire_shmem_file(q, PAGE + 10, &file), 0);
	assert_int_equal(quire_object_get_page(file->object, 1, &page), 0);
	bytes = quire_page_kmap(q, page);
	bytes[10] = 0x77;
	quire_page_kunmap(q, bytes);
	quire_object_truncate(file->object, 3 * PAGE);
	assert_int_equal(quire_object_read(file->object, PAGE + 10, buffer, 1), 1);
	assert_int_equal(buffer[0], 0x77);
	assert_false(quire_page_test(page, QUIRE_PG_DIRTY));
	quire_object_truncate(file->object, PAGE + 20);
	assert_true(quire_page_test(page, QUIRE_PG_DIRTY));
	quire_page_put(q, page);
	quire_file_put(q, file);
}

static void truncate_to_nothing_drops_every_page(void **state)
{
	struct disk *d = disk_new(q, DISK_PAGES * PAGE);
	uint64_t frames;

	(void)state;
	quire_page_drain(q);
	frames = quire_free_pages(q);
	assert_int_equal(quire_object_read(&d->object, 0, buffer, sizeof(buffer)), sizeof(buffer));
	assert_int_equal(d->object.nr_pages, DISK_PAGES);
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), DISK_PAGES);
	quire_object_truncate(&d->object, 0);
	assert_int_equal(d->object.nr_pages, 0);
	assert_null(d->object.tree);
	quire_grace_wait(q);
	quire_slab_shrink_all(q);
	assert_int_equal(quire_free_pages(q), frames);
	assert_int_equal(quire_object_read(&d->object, 0, buffer, 1), 0);
	assert_null(disk_delete(d));
}

/* ---- Write-back -------------------------------------------------------------------------- */

static void sync_writes_dirty_pages_of_the_range(void **state)
{
	struct disk *d = disk_new(q, 8 * PAGE);
	struct quire_page *page;

	(void)state;
	memset(buffer, 0xee, sizeof(buffer));
	assert_int_equal(quire_object_read(&d->object, 0, buffer + PAGE, PAGE), PAGE);
	assert_int_equal(quire_object_write(&d->object, 2 * PAGE + 1, buffer, 3), 3);
	assert_int_equal(quire_object_write(&d->object, 5 * PAGE, buffer, 1), 1);
	assert_int_equal(quire_object_write(&d->object, 6 * PAGE, buffer, 1), 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 3);
	assert_int_equal(quire_object_sync(&d->object, 1, 5), 0);
	assert_int_equal(d->writes, 2);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	assert_int_equal(d->bytes[2 * PAGE], disk_byte(2 * PAGE));
	assert_int_equal(d->bytes[2 * PAGE + 1], 0xee);
	assert_int_equal(d->bytes[2 * PAGE + 4], disk_byte(2 * PAGE + 4));
	assert_int_equal(d->bytes[5 * PAGE], 0xee);
	assert_int_equal(d->bytes[6 * PAGE], disk_byte(6 * PAGE));
	page = quire_object_find_page(&d->object, 2);
	assert_false(quire_page_test(page, QUIRE_PG_DIRTY | QUIRE_PG_WRITEBACK | QUIRE_PG_LOCKED));
	quire_page_put(q, page);

	/* Clean pages are not written again. */
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->writes, 3);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->writes, 3);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	assert_null(disk_delete(d));
}

static void sync_tries_every_page_and_keeps_the_failed_one_dirty(void **state)
{
	struct disk *d = disk_new(q, 3 * PAGE);

	(void)state;
	for (uint64_t i = 0; i < 3; i++)
		assert_int_equal(quire_object_write(&d->object, i * PAGE, "x", 1), 1);
	d->fail_write = 1;
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), -QUIRE_EIO);
	assert_int_equal(d->writes, 3);
	assert_int_equal(d->bytes[0], 'x');
	assert_int_equal(d->bytes[PAGE], disk_byte(PAGE));
	assert_int_equal(d->bytes[2 * PAGE], 'x');
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	d->fail_write = UINT64_MAX;
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->writes, 4);
	assert_int_equal(d->bytes[PAGE], 'x');
	assert_null(disk_delete(d));
}

/* ---- The reverse map, with a recorded zap ------------------------------------------------ */

struct call {
	struct quire_vma *vma;
	quire_uaddr_t start, end;
	bool even_cows, protect;
	uint64_t size;	/* of the object when the call came */
	uint64_t pages; /* ditto, in its cache */
	uint64_t truncations;
};
static struct call calls[32];
static size_t nr_calls;
static struct quire_page *dirty_at_protect; /* an entry had its dirty bit: handed over once */

static void record(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end, bool even_cows,
		   bool protect)
{
	struct quire_object *object = vma->object;

	assert_true(quire_mutex_is_locked(&object->lock));
	assert_true(start >= vma->start && start < end && end <= vma->end);
	assert_true(nr_calls < QUIRE_ARRAY_SIZE(calls));
	calls[nr_calls++] = (struct call){vma,
					  start,
					  end,
					  even_cows,
					  protect,
					  object->size,
					  object->nr_pages,
					  object->truncations};
}

static void record_zap(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end,
		       bool even_cows)
{
	record(vma, start, end, even_cows, false);
}

static void record_protect(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end)
{
	record(vma, start, end, false, true);
	if (dirty_at_protect)
		quire_page_mark_dirty(q, dirty_at_protect);
	dirty_at_protect = NULL;
}

static void assert_call(size_t i, struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end,
			bool even_cows)
{
	assert_true(i < nr_calls);
	assert_ptr_equal(calls[i].vma, vma);
	assert_int_equal(calls[i].start, start);
	assert_int_equal(calls[i].end, end);
	assert_int_equal(calls[i].even_cows, even_cows);
}

/* Two areas of one object: pages 2..5 shared, pages 4..9 private. */
static struct quire_vma shared_area = {.start = 0x10000,
				       .end = 0x14000,
				       .pgoff = 2,
				       .flags = QUIRE_VM_READ | QUIRE_VM_WRITE | QUIRE_VM_SHARED |
						QUIRE_VM_MAYWRITE};
static struct quire_vma private_area = {.start = 0x80000,
					.end = 0x86000,
					.pgoff = 4,
					.flags =
						QUIRE_VM_READ | QUIRE_VM_WRITE | QUIRE_VM_MAYWRITE};

static struct disk *disk_with_areas(uint64_t size)
{
	struct disk *d = disk_new(q, size);

	q->objects.zap = record_zap;
	q->objects.wrprotect = record_protect;
	nr_calls = 0;
	dirty_at_protect = NULL;
	shared_area.object = private_area.object = &d->object;
	quire_list_init(&shared_area.object_link);
	quire_list_init(&private_area.object_link);
	quire_object_link(&shared_area);
	quire_object_link(&private_area);
	return d;
}

static void unlink_areas(void)
{
	quire_object_unlink(&shared_area);
	quire_object_unlink(&private_area);
}

/*
 *	page            0  1  2  3  4  5  6  7  8  9  10
 *	shared                |--10000---|
 *	private                     |------80000-----|
 *	unmap 5..7                     |-----|
 */
static void unmap_reaches_every_area_where_it_has_the_pages(void **state)
{
	struct disk *d;

	(void)state;
	if (QUIRE_PAGE_SHIFT != 12)
		skip();
	d = disk_with_areas(16 * PAGE);
	quire_object_unmap(&d->object, 5, 7, false);
	assert_int_equal(nr_calls, 2);
	assert_call(0, &shared_area, 0x13000, 0x14000, false);
	assert_call(1, &private_area, 0x81000, 0x84000, false);
	nr_calls = 0;
	quire_object_unmap(&d->object, 0, 3, true);
	assert_int_equal(nr_calls, 1);
	assert_call(0, &shared_area, 0x10000, 0x12000, true);
	nr_calls = 0;
	quire_object_unmap(&d->object, 10, UINT64_MAX, true);
	quire_object_unmap(&d->object, 0, 1, true);
	assert_int_equal(nr_calls, 0);
	quire_object_unmap(&d->object, 0, UINT64_MAX, true);
	assert_call(0, &shared_area, 0x10000, 0x14000, true);
	assert_call(1, &private_area, 0x80000, 0x86000, true);
	unlink_areas();
	assert_null(disk_delete(d));
}

static void link_counts_areas_that_may_write_the_file(void **state)
{
	struct disk *d = disk_with_areas(PAGE);
	struct quire_vma nothing = {.object = NULL};

	(void)state;
	assert_int_equal(d->object.nr_writable, 1);
	assert_sound(&d->object);
	d->object.nr_writable = 2;
	assert_string_equal(quire_object_check(&d->object),
			    "object: nr_writable == areas that are SHARED and MAYWRITE");
	d->object.nr_writable = 1;
	quire_object_link(&nothing);
	quire_object_unlink(&nothing);
	quire_object_unlink(&shared_area);
	assert_int_equal(d->object.nr_writable, 0);
	quire_object_unlink(&private_area);
	assert_true(quire_list_empty(&d->object.areas));
	assert_null(disk_delete(d));
}

static void truncate_lowers_the_size_unmaps_drops_unmaps(void **state)
{
	struct disk *d;
	struct quire_page *page;

	(void)state;
	if (QUIRE_PAGE_SHIFT != 12)
		skip();
	d = disk_with_areas(16 * PAGE);
	assert_int_equal(quire_object_get_page(&d->object, 5, &page), 0);
	(void)quire_fetch_add(&page->maps, 1u); /* as if a fault had mapped it behind the first
						 * zap's back */
	quire_object_truncate(&d->object, 4 * PAGE + 1);
	assert_int_equal(nr_calls, 6);
	/* first everything, copies included */
	assert_call(0, &shared_area, 0x13000, 0x14000, true);
	assert_call(1, &private_area, 0x81000, 0x86000, true);
	assert_int_equal(calls[0].size, 4 * PAGE + 1);
	assert_true(calls[0].truncations > 0);
	assert_int_equal(calls[0].pages, 1);
	/* then the page that is mapped again, under its lock, while it is still in the cache */
	assert_call(2, &shared_area, 0x13000, 0x14000, false);
	assert_call(3, &private_area, 0x81000, 0x82000, false);
	assert_int_equal(calls[2].pages, 1);
	/* then copies that were made meanwhile */
	assert_call(4, &shared_area, 0x13000, 0x14000, true);
	assert_call(5, &private_area, 0x81000, 0x86000, true);
	assert_int_equal(calls[4].pages, 0);
	(void)quire_fetch_sub(&page->maps, 1u);
	quire_page_put(q, page);
	unlink_areas();
	assert_null(disk_delete(d));
}

static void sync_write_protects_shared_areas_before_it_writes(void **state)
{
	struct disk *d;
	struct quire_page *page;

	(void)state;
	if (QUIRE_PAGE_SHIFT != 12)
		skip();
	d = disk_with_areas(16 * PAGE);
	assert_int_equal(quire_object_get_page(&d->object, 3, &page), 0);
	(void)quire_fetch_add(&page->maps, 1u);
	dirty_at_protect = page; /* only the entry knows */
	assert_int_equal(quire_object_sync(&d->object, 0, 4), 0);
	assert_int_equal(nr_calls, 2);
	assert_call(0, &shared_area, 0x10000, 0x13000, false); /* pages 2..4 in one go */
	assert_call(1, &shared_area, 0x11000, 0x12000, false); /* page 3 under its lock */
	assert_true(calls[0].protect && calls[1].protect);
	assert_int_equal(d->writes, 1);
	assert_false(quire_page_test(page, QUIRE_PG_DIRTY));
	(void)quire_fetch_sub(&page->maps, 1u);
	quire_page_put(q, page);
	unlink_areas();
	assert_null(disk_delete(d));
}

/* ---- Files and shared anonymous memory --------------------------------------------------- */

static void shared_memory_is_zeroes_that_stay(void **state)
{
	struct quire_file *file, *second;
	struct quire_page *page;

	(void)state;
	assert_int_equal(quire_shmem_file(q, 3 * PAGE, &file), 0);
	assert_int_equal(quire_shmem_file(q, PAGE, &second), 0);
	assert_string_equal(file->path, "/dev/zero");
	assert_true(file->flags & QUIRE_FILE_DELETED);
	assert_int_equal(file->dev_major, 0);
	assert_int_equal(file->dev_minor, 1);
	assert_true(file->inode != second->inode && file->inode && second->inode);
	assert_int_equal(file->refs, 1);
	assert_int_equal(file->object->refs, 1);
	assert_int_equal(file->object->size, 3 * PAGE);

	/* Reading a hole fills nothing. */
	memset(buffer, 0xee, 2 * PAGE);
	assert_int_equal(quire_object_read(file->object, PAGE, buffer, 4 * PAGE), 2 * PAGE);
	for (size_t i = 0; i < 2 * PAGE; i++)
		assert_int_equal(buffer[i], 0);
	assert_int_equal(stat(QUIRE_STAT_SHMEM), 0);

	assert_int_equal(quire_object_get_page(file->object, 1, &page), 0);
	assert_true(quire_page_test(page, QUIRE_PG_SWAPBACKED));
	assert_page_bytes(page, 0, PAGE, zero);
	assert_int_equal(stat(QUIRE_STAT_SHMEM), 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 1); /* shmem is part of Cached */
	quire_page_put(q, page);
	assert_int_equal(quire_object_write(file->object, PAGE, "abc", 3), 3);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	assert_int_equal(quire_object_sync(file->object, 0, UINT64_MAX), 0);
	assert_int_equal(quire_object_read(file->object, PAGE, buffer, 4), 4);
	assert_memory_equal(buffer, "abc", 4);

	/* madvise(MADV_REMOVE) */
	assert_int_equal(quire_object_punch_hole(file->object, PAGE, 2 * PAGE), 0);
	assert_int_equal(file->object->nr_pages, 0);
	assert_int_equal(quire_object_read(file->object, PAGE, buffer, 4), 4);
	assert_memory_equal(buffer, "\0\0\0", 4);
	quire_file_put(q, file);
	quire_file_put(q, second);
}

#if QUIRE_DEBUG
static void shared_memory_without_memory_is_enomem(void **state)
{
	struct quire_file *file;
	struct quire_cache_stat before, after;

	(void)state;
	for (uint64_t k = 1; k <= 2; k++) {
		quire_cache_stat(q, &q->objects.object_cache, &before);
		q->slabs.fail.after = k;
		assert_int_equal(quire_shmem_file(q, PAGE, &file), -QUIRE_ENOMEM);
		q->slabs.fail.after = 0;
		assert_null(file);
		quire_cache_stat(q, &q->objects.object_cache, &after);
		assert_int_equal(before.active_objects, after.active_objects);
	}
	assert_int_equal(quire_shmem_file(q, PAGE, &file), 0);
	quire_file_put(q, file);
}
#endif

static unsigned file_releases;

static void count_file_release(struct quire *instance, struct quire_file *file)
{
	assert_ptr_equal(instance, q);
	assert_int_equal(file->refs, 0);
	assert_int_equal(file->object->refs, 3); /* the file's is dropped after this, never
						  * before */
	file_releases++;
}

static void the_last_reference_of_a_file_drops_its_objects(void **state)
{
	struct disk *d = disk_new(q, PAGE);
	struct quire_file file = {.object = &d->object, .release = count_file_release, .refs = 1};

	(void)state;
	file_releases = 0;
	quire_object_get(&d->object);
	quire_file_get(&file);
	quire_file_put(q, &file);
	assert_int_equal(file_releases, 0);
	assert_int_equal(d->object.refs, 3);
	quire_file_put(q, &file);
	assert_int_equal(file_releases, 1);
	assert_int_equal(d->object.refs, 2);
	assert_null(disk_delete(d));
}

static void the_last_reference_of_an_object_drops_its_pages(void **state)
{
	struct disk *d = disk_new(q, DISK_PAGES * PAGE);
	struct quire_page *kept;

	(void)state;
	assert_int_equal(quire_object_write(&d->object, 0, buffer, sizeof(buffer)), sizeof(buffer));
	assert_int_equal(quire_object_get_page(&d->object, 5, &kept), 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), DISK_PAGES);
	assert_null(disk_delete(d));
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	/* Somebody's own reference outlives it. */
	assert_null(kept->owner);
	assert_int_equal(kept->refs, 1);
	assert_true(quire_page_put(q, kept));
}

/* ---- Threads ----------------------------------------------------------------------------- */

struct race {
	struct disk *d;
	struct quire_page *seen[DISK_PAGES]; /* the frame that somebody got; atomic */
	uint32_t bad;			     /* atomic */
	uint32_t running;		     /* readers still at it; atomic */
};

static void get_all(void *arg, unsigned cpu)
{
	struct race *race = arg;

	for (uint64_t i = 0; i < DISK_PAGES; i++) {
		uint64_t index = cpu % 2 ? i : DISK_PAGES - 1 - i;
		struct quire_page *page, *none = NULL;

		if (quire_object_get_page(&race->d->object, index, &page)) {
			quire_add_relaxed(&race->bad, 1u);
			continue;
		}
		if (!quire_cmpxchg(&race->seen[index], &none, page) && none != page)
			quire_add_relaxed(&race->bad, 1u);
		quire_page_put(q, page);
	}
}

static void racing_readers_get_the_same_frame_read_once(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		struct race race = {.d = disk_new(q, DISK_PAGES * PAGE)};

		host_run_cpus(CPUS, get_all, &race);
		assert_int_equal(race.bad, 0);
		assert_int_equal(race.d->reads, DISK_PAGES);
		assert_int_equal(race.d->object.nr_pages, DISK_PAGES);
		for (unsigned i = 0; i < DISK_PAGES; i++)
			assert_int_equal(race.seen[i]->refs, 1);
		assert_null(disk_delete(race.d));
	}
}

/* Two readers look at pages all the while; one CPU truncates and extends, one drops and syncs. */
static void change_under_readers(void *arg, unsigned cpu)
{
	struct race *race = arg;
	struct quire_object *object = &race->d->object;
	uint64_t chance = 77 + cpu;

	if (cpu < 2) {
		for (int step = 0; step < 3000; step++) {
			uint64_t index = host_random(&chance) % DISK_PAGES;
			struct quire_page *page;
			int err = quire_object_get_page(object, index, &page);

			if (err) {
				if (err != -QUIRE_EFAULT)
					quire_add_relaxed(&race->bad, 1u);
				continue;
			}
			/* As a fault does. */
			quire_page_lock(q, page);
			if (quire_object_has_page(object, page)) {
				const unsigned char *bytes = quire_page_kmap(q, page);

				if (page->index != index ||
				    (bytes[7] != disk_byte(index * PAGE + 7) && bytes[7] != 0))
					quire_add_relaxed(&race->bad, 1u);
				quire_page_kunmap(q, (void *)(uintptr_t)bytes);
				if (step % 5 == 0)
					quire_page_mark_dirty(q, page);
			}
			quire_page_unlock(q, page);
			quire_page_put(q, page);
		}
		(void)quire_fetch_sub(&race->running, 1u);
		return;
	}
	while (quire_load_acquire(&race->running)) {
		uint64_t at = host_random(&chance) % DISK_PAGES;

		if (cpu == 2) {
			quire_object_truncate(object, at * PAGE + 100);
			quire_object_truncate(object, DISK_PAGES * PAGE);
		} else {
			quire_object_drop(object, at, at + 7);
			if (quire_object_sync(object, 0, UINT64_MAX))
				quire_add_relaxed(&race->bad, 1u);
		}
	}
}

static void pages_come_and_go_under_readers(void **state)
{
	struct race race = {.d = disk_new(q, DISK_PAGES * PAGE), .running = 2};

	(void)state;
	host_run_cpus(CPUS, change_under_readers, &race);
	assert_int_equal(race.bad, 0);
	quire_object_truncate(&race.d->object, 0);
	assert_null(disk_delete(race.d));
}

struct radix_race {
	struct quire_radix_node *tree;
	struct quire_spinlock lock;
	uint32_t bad, running; /* atomic */
};

/* Places 0, 5000 and 2^40 are there all the time; others come and go, and with them the height. */
static void look_while_the_tree_changes(void *arg, unsigned cpu)
{
	static const uint64_t fixed[] = {0, 5000, UINT64_C(1) << 40};
	struct radix_race *race = arg;
	uint64_t chance = 99 + cpu;

	if (cpu) {
		for (int step = 0; step < 20000; step++) {
			uint64_t at = host_random(&chance) % 3, index = at ? fixed[at - 1] + 1 : 0;
			struct quire_page *next;

			quire_grace_enter(q);
			if (quire_radix_find(&race->tree, fixed[at]) != &fake[at])
				quire_add_relaxed(&race->bad, 1u);
			/* A walk never passes one that is there all the time. */
			next = quire_radix_next(&race->tree, &index);
			if (!next || index > fixed[at])
				quire_add_relaxed(&race->bad, 1u);
			quire_grace_leave(q);
		}
		(void)quire_fetch_sub(&race->running, 1u);
		return;
	}
	while (quire_load_acquire(&race->running)) {
		uint64_t index = (UINT64_C(1) << host_random(&chance) % 64) + 7;
		struct quire_radix_node *freed = NULL;

		quire_spin_lock(q, &race->lock);
		if (quire_radix_find(&race->tree, index))
			freed = quire_radix_remove(&race->tree, index);
		else if (quire_radix_insert(q, &race->tree, index, &fake[100]))
			quire_add_relaxed(&race->bad, 1u);
		quire_spin_unlock(q, &race->lock);
		quire_radix_free(q, freed);
	}
}

static void radix_readers_always_find_what_stays(void **state)
{
	struct radix_race race = {.running = CPUS - 1};
	static const uint64_t fixed[] = {0, 5000, UINT64_C(1) << 40};
	uint64_t index = 0;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(quire_radix_insert(q, &race.tree, fixed[i], &fake[i]), 0);
	host_run_cpus(CPUS, look_while_the_tree_changes, &race);
	assert_int_equal(race.bad, 0);
	assert_null(quire_radix_check(&race.tree));
	while (quire_radix_next(&race.tree, &index))
		radix_take(&race.tree, index);
	assert_null(race.tree);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(radix_holds_sparse_indices_up_to_the_last_one),
		TEST(radix_walk_ends_where_nothing_follows),
		TEST(radix_shrinks_to_what_its_pages_need),
		TEST(radix_agrees_with_an_array),
#if QUIRE_DEBUG
		TEST(radix_insert_that_runs_out_of_memory_changes_nothing),
		TEST(get_page_that_runs_out_of_memory_changes_nothing),
		TEST(shared_memory_without_memory_is_enomem),
#endif
		TEST(get_page_reads_once_and_shares_the_frame),
		TEST(get_page_beyond_the_end_is_efault),
		TEST(get_page_passes_the_file_systems_error_on_and_tries_again),
		TEST(an_object_without_operations_is_all_zeroes),
		TEST(read_stops_at_the_end),
		TEST(write_reads_only_what_it_does_not_replace),
		TEST(write_beyond_the_end_leaves_zeroes_between),
		TEST(write_has_a_largest_size),
		TEST(write_that_fails_to_read_changes_nothing),
		TEST(truncate_zeroes_the_rest_of_the_last_page),
		TEST(what_an_extension_adds_reads_as_zeroes),
		TEST(a_write_behind_the_end_zeroes_up_to_it),
		TEST(growing_without_a_cut_zeroes_up_to_the_new_end),
		TEST(shared_memory_that_grows_keeps_its_tail),
		TEST(truncate_to_nothing_drops_every_page),
		TEST(sync_writes_dirty_pages_of_the_range),
		TEST(sync_tries_every_page_and_keeps_the_failed_one_dirty),
		TEST(unmap_reaches_every_area_where_it_has_the_pages),
		TEST(link_counts_areas_that_may_write_the_file),
		TEST(truncate_lowers_the_size_unmaps_drops_unmaps),
		TEST(sync_write_protects_shared_areas_before_it_writes),
		TEST(shared_memory_is_zeroes_that_stay),
		TEST(the_last_reference_of_a_file_drops_its_objects),
		TEST(the_last_reference_of_an_object_drops_its_pages),
		TEST(racing_readers_get_the_same_frame_read_once),
		TEST(pages_come_and_go_under_readers),
		TEST(radix_readers_always_find_what_stays),
	};

	return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}

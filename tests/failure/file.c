/* SPDX-License-Identifier: MIT */
/* Files from the object's side: read, write, truncate, holes, write-back; shared memory made. */
#include "failure.h"

static char buffer[4 * PAGE];

static int64_t read_one(void)
{
	return quire_object_read(&w.disk->object, 20 * PAGE, buffer, 100);
}

static int64_t read_several(void)
{
	return quire_object_read(&w.disk->object, 20 * PAGE, buffer, sizeof(buffer));
}

static int64_t read_hole(void)
{
	return quire_object_read(w.memfd->object, 8 * PAGE, buffer, sizeof(buffer));
}

static int64_t write_part(void)
{
	return quire_object_write(&w.disk->object, 20 * PAGE + 10, buffer, 100);
}

static int64_t write_page(void)
{
	return quire_object_write(&w.disk->object, 20 * PAGE, buffer, PAGE);
}

static int64_t write_several(void)
{
	return quire_object_write(&w.disk->object, 20 * PAGE, buffer, sizeof(buffer));
}

static int64_t write_beyond(void)
{
	return quire_object_write(&w.disk->object, 40 * PAGE, buffer, 100);
}

static int64_t write_memfd(void)
{
	return quire_object_write(w.memfd->object, 8 * PAGE, buffer, PAGE);
}

static int64_t cut(void)
{
	quire_object_truncate(&w.disk->object, 9 * PAGE + 100);
	return 0;
}

static int64_t extend(void)
{
	quire_object_truncate(&w.disk->object, 60 * PAGE);
	return 0;
}

static int64_t punch(void)
{
	return quire_object_punch_hole(&w.disk->object, 8 * PAGE, 10 * PAGE);
}

/* Of the first page and the last a part stays: they are read first. */
static int64_t punch_parts(void)
{
	return quire_object_punch_hole(&w.disk->object, 20 * PAGE + 100, 24 * PAGE + 50);
}

static int64_t write_back(void)
{
	return quire_object_sync(&w.disk->object, 0, 31);
}

static int64_t unmap(void)
{
	quire_object_unmap(&w.disk->object, 0, 31, true);
	return 0;
}

static int64_t drop(void)
{
	quire_object_drop(&w.disk->object, 0, 31);
	return 0;
}

static int64_t get_page(void)
{
	struct quire_page *page;
	int64_t err = quire_object_get_page(&w.disk->object, 20, &page);

	if (!err)
		(void)quire_page_put(w.q, page);
	return err;
}

static int64_t make_shmem(void)
{
	struct quire_file *file;
	int64_t err = quire_shmem_file(w.q, 8 * PAGE, &file);

	if (!err)
		quire_file_put(w.q, file);
	return err;
}

static void far_in_a_file(void)
{
	quire_object_truncate(&w.disk->object, 70000 * PAGE);
}

static int64_t get_far_page(void)
{
	struct quire_page *page;
	int64_t err = quire_object_get_page(&w.disk->object, 69000, &page);

	if (!err)
		(void)quire_page_put(w.q, page);
	return err;
}

static void disk_fails_to_read(void)
{
	w.disk->fail_read = 20;
}

static void disk_fails_to_write(void)
{
	w.disk->fail_write = 8;
}

const struct scenario file_scenarios[] = {
	{"object_read", NULL, read_one},
	{"object_read_pages", NULL, read_several, .flags = KEEPS_CACHE | MAKES_DO},
	{"object_read_hole", NULL, read_hole, .flags = NEEDS_NONE},
	{"object_read_that_fails", disk_fails_to_read, read_one, .success = -QUIRE_EIO},
	{"object_write_part", NULL, write_part},
	{"object_write_page", NULL, write_page},
	{"object_write_pages", NULL, write_several, .flags = KEEPS_CACHE | MAKES_DO},
	{"object_write_beyond_the_end", NULL, write_beyond},
	{"object_write_that_cannot_read", disk_fails_to_read, write_part, .success = -QUIRE_EIO},
	{"object_write_memfd", NULL, write_memfd},
	{"object_truncate", NULL, cut, .flags = NEEDS_NONE},
	{"object_extend", NULL, extend, .flags = NEEDS_NONE},
	{"object_punch_hole", NULL, punch, .flags = NEEDS_NONE},
	{"object_punch_parts", NULL, punch_parts, .flags = KEEPS_CACHE},
	{"object_sync", NULL, write_back, .flags = NEEDS_NONE},
	{"object_sync_that_fails", disk_fails_to_write, write_back, .flags = NEEDS_NONE,
	 .success = -QUIRE_EIO},
	{"object_unmap", NULL, unmap, .flags = NEEDS_NONE},
	{"object_drop", NULL, drop, .flags = NEEDS_NONE},
	{"object_get_page", NULL, get_page},
	{"object_get_far_page", far_in_a_file, get_far_page},
	{"shmem_file", NULL, make_shmem},
	{NULL},
};

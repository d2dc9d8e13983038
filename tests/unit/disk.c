/* SPDX-License-Identifier: MIT */
/* A file system for tests; see disk.h. */
#include "disk.h"

#include <stdlib.h>
#include <string.h>

#define PAGE QUIRE_PAGE_SIZE

unsigned char disk_byte(uint64_t pos)
{
	return (unsigned char)(1 + (pos / PAGE * 7 + pos % PAGE) % 255);
}

static struct disk *disk_of(struct quire_object *object)
{
	return quire_container_of(object, struct disk, object);
}

static int disk_read(struct quire_object *object, struct quire_page *page)
{
	struct disk *d = disk_of(object);
	void *to;

	quire_add_relaxed(&d->reads, 1u);
	if (!quire_page_test(page, QUIRE_PG_LOCKED) || quire_page_test(page, QUIRE_PG_UPTODATE))
		d->unlocked = true;
	if (d->in_read)
		d->in_read(d, page);
	if (page->index == d->fail_read)
		return -QUIRE_EIO;
	quire_mutex_lock(object->q, &d->lock);
	to = quire_page_kmap(object->q, page);
	if (page->index < DISK_PAGES)
		memcpy(to, d->bytes + page->index * PAGE, PAGE);
	else
		memset(to, 0, PAGE);
	quire_page_kunmap(object->q, to);
	quire_mutex_unlock(object->q, &d->lock);
	return 0;
}

/* A store through an entry that is being unmapped may come at this moment (the page gets its mark again after it). */
static void copy_from_page(unsigned char *to, const void *page)
{
	const uint64_t *from = page;

	for (size_t i = 0; i < PAGE / 8; i++) {
		uint64_t word = quire_load(&from[i]);

		memcpy(to + i * 8, &word, 8);
	}
}

static int disk_write(struct quire_object *object, struct quire_page *page)
{
	struct disk *d = disk_of(object);
	void *from;

	quire_add_relaxed(&d->writes, 1u);
	if (!quire_page_test(page, QUIRE_PG_LOCKED))
		d->unlocked = true;
	if (!d->unmapped_meanwhile && quire_page_test(page, QUIRE_PG_DIRTY))
		d->dirty_while_written = true;
	if (d->in_write)
		d->in_write(d, page);
	if (page->index == d->fail_write)
		return -QUIRE_EIO;
	if (page->index >= DISK_PAGES)
		return -QUIRE_ENOSPC;
	quire_mutex_lock(object->q, &d->lock);
	from = quire_page_kmap(object->q, page);
	copy_from_page(d->bytes + page->index * PAGE, from);
	quire_page_kunmap(object->q, from);
	quire_mutex_unlock(object->q, &d->lock);
	return 0;
}

static int disk_mkwrite(struct quire_object *object, struct quire_page *page)
{
	struct disk *d = disk_of(object);

	quire_add_relaxed(&d->mkwrites, 1u);
	if (!quire_page_test(page, QUIRE_PG_LOCKED))
		d->unlocked = true;
	return page->index == d->fail_mkwrite ? -QUIRE_EIO : 0;
}

static int disk_hole(struct quire_object *object, uint64_t start, uint64_t end)
{
	struct disk *d = disk_of(object);

	if (d->in_hole)
		d->in_hole(d);
	d->holes++;
	d->hole_start = start;
	d->hole_end = end;
	quire_mutex_lock(object->q, &d->lock);
	memset(d->bytes + start, 0, end - start);
	quire_mutex_unlock(object->q, &d->lock);
	return 0;
}

static void disk_release(struct quire_object *object)
{
	disk_of(object)->releases++;
}

static const struct quire_file_ops disk_ops = {
	.read_page = disk_read,
	.write_page = disk_write,
	.page_mkwrite = disk_mkwrite,
	.punch_hole = disk_hole,
	.release = disk_release,
};

struct disk *disk_new(struct quire *q, uint64_t size)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (!d)
		abort();
	d->bytes = malloc(DISK_PAGES * PAGE);
	if (!d->bytes)
		abort();
	for (uint64_t i = 0; i < DISK_PAGES * PAGE; i++)
		d->bytes[i] = disk_byte(i);
	d->fail_read = d->fail_write = d->fail_mkwrite = UINT64_MAX;
	quire_object_init(q, &d->object, &disk_ops, size, 0);
	quire_object_get(&d->object);
	d->file.object = &d->object;
	d->file.path = "/disk";
	d->file.inode = 1;
	d->file.flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE;
	d->file.refs = 1;
	return d;
}

quire_broken_t disk_delete(struct disk *d)
{
	struct quire *q = d->object.q;
	quire_broken_t broken = quire_object_check(&d->object);

	if (!broken && d->unlocked)
		broken =
			"disk: the page is locked, and not up to date if it is to be read";
	if (!broken && d->dirty_while_written)
		broken = "disk: the mark is off while a page is written";
	if (!broken && d->file.refs != 1)
		broken = "disk: nobody else has the file";
	if (!broken && d->object.refs != 2)
		broken = "disk: nobody else has the object";
	if (broken)
		return broken;
	quire_file_put(q, &d->file);
	if (d->releases)
		return "disk: not released while there is a reference";
	quire_object_put(&d->object);
	if (d->releases != 1)
		return "disk: released once";
	free(d->bytes);
	free(d);
	return NULL;
}

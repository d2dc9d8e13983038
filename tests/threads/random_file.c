/* SPDX-License-Identifier: MIT */
/*
 * Files for the threads: the disk is an array of FILE_PAGES pages, which starts as zeroes. Operations may come for
 * different pages at the same time; they check that they are called as quire/object.h says, and
 * never call back into the object.
 */
#include "random.h"

#include <stdlib.h>
#include <string.h>

static struct sea_file *file_of(struct quire_object *object)
{
	return quire_container_of(object, struct sea_file, object);
}

static bool fails(struct sea_file *f)
{
	return f->fail_one_in && quire_fetch_add(&f->calls, 1u) % f->fail_one_in == f->fail_one_in - 1;
}

static void expect(struct sea_file *f, bool so, const char *wrong)
{
	if (!so)
		__atomic_store_n(&f->wrong, wrong, __ATOMIC_RELAXED);
}

static int read_page(struct quire_object *object, struct quire_page *page)
{
	struct sea_file *f = file_of(object);
	void *to;

	expect(f, quire_page_test(page, QUIRE_PG_LOCKED), "read_page: the page is locked");
	expect(f, !quire_page_test(page, QUIRE_PG_UPTODATE), "read_page: the page is not up to date");
	stumble(3);
	if (fails(f))
		return -QUIRE_EIO;
	pthread_mutex_lock(&f->lock);
	to = quire_page_kmap(object->q, page);
	if (page->index < FILE_PAGES)
		memcpy(to, f->bytes + page->index * PAGE, PAGE);
	else
		memset(to, 0, PAGE);
	quire_page_kunmap(object->q, to);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static int write_page(struct quire_object *object, struct quire_page *page)
{
	struct sea_file *f = file_of(object);
	const uint64_t *from;
	uint64_t word;

	expect(f, quire_page_test(page, QUIRE_PG_LOCKED), "write_page: the page is locked");
	if (fails(f))
		return -QUIRE_EIO;
	if (page->index >= FILE_PAGES)
		return -QUIRE_ENOSPC;
	pthread_mutex_lock(&f->lock);
	from = quire_page_kmap(object->q, page);
	/* A store through an entry that is being unmapped may come at this moment; the page is dirty again after it. */
	for (size_t i = 0; i < PAGE / 8; i++) {
		word = quire_load(&from[i]);
		memcpy(f->bytes + page->index * PAGE + i * 8, &word, 8);
	}
	quire_page_kunmap(object->q, (void *)(uintptr_t)from);
	pthread_mutex_unlock(&f->lock);
	stumble(3);
	return 0;
}

static int page_mkwrite(struct quire_object *object, struct quire_page *page)
{
	struct sea_file *f = file_of(object);

	expect(f, quire_page_test(page, QUIRE_PG_LOCKED), "page_mkwrite: the page is locked");
	stumble(3);
	return fails(f) ? -QUIRE_EIO : 0;
}

static int punch_hole(struct quire_object *object, uint64_t start, uint64_t end)
{
	struct sea_file *f = file_of(object);

	expect(f, start < end && !((start | end) & (PAGE - 1)), "punch_hole: whole pages");
	if (end > FILE_PAGES * PAGE)
		end = FILE_PAGES * PAGE;
	pthread_mutex_lock(&f->lock);
	if (start < end)
		memset(f->bytes + start, 0, end - start);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static const struct quire_file_ops file_ops = {
	.read_page = read_page,
	.write_page = write_page,
	.page_mkwrite = page_mkwrite,
	.punch_hole = punch_hole,
};

void file_make(struct quire *q, struct sea_file *f, uint64_t pages, const char *path)
{
	memset(f, 0, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->cut, NULL);
	f->bytes = calloc(FILE_PAGES, PAGE);
	if (!f->bytes)
		abort();
	quire_object_init(q, &f->object, &file_ops, pages * PAGE, 0);
	quire_object_get(&f->object);
	quire_object_get(&f->object);
	f->file = (struct quire_file){
		.object = &f->object,
		.path = path,
		.inode = 1,
		.flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.refs = 1,
	};
	f->read_only = f->file;
	f->read_only.flags = QUIRE_FILE_READ;
}

/* The storage behind size: what is read there again later is zeroes. */
void file_forget_from(struct sea_file *f, uint64_t size)
{
	pthread_mutex_lock(&f->lock);
	if (size < FILE_PAGES * PAGE)
		memset(f->bytes + size, 0, FILE_PAGES * PAGE - size);
	pthread_mutex_unlock(&f->lock);
}

/*
 * A write-back that was under way when the size was lowered may have stored a page behind it. It has ended when
 * the truncate returns, which waits for the page; so the storage is cut then, before the size grows.
 */
void file_cut(struct sea_file *f, uint64_t size)
{
	pthread_mutex_lock(&f->cut);
	file_forget_from(f, size);
	quire_object_truncate(&f->object, size);
	file_forget_from(f, size);
	quire_object_truncate(&f->object, OWN_PAGES * PAGE);
	pthread_mutex_unlock(&f->cut);
}

const char *file_end(struct quire *q, struct sea_file *f)
{
	quire_broken_t broken = quire_object_check(&f->object);

	if (!broken)
		broken = f->wrong;
	if (!broken && (f->file.refs != 1 || f->read_only.refs != 1))
		broken = "nobody else has the file";
	if (!broken && f->object.refs != 3)
		broken = "nobody else has the object";
	if (broken)
		return broken;
	quire_file_put(q, &f->file);
	quire_file_put(q, &f->read_only);
	quire_object_put(&f->object);
	free(f->bytes);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->cut);
	return NULL;
}

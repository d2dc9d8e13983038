/* SPDX-License-Identifier: MIT */
/*
 * Open files, the room's caches, and shared anonymous memory: an object without a disk behind it,
 * with a file so that areas of it look like any other. Called by mmap (MAP_SHARED | MAP_ANONYMOUS)
 * and by areas that come and go.
 */
#include "internal.h"

void quire_file_get(struct quire_file *file)
{
	(void)quire_fetch_add(&file->refs, 1u);
}

void quire_file_put(struct quire *q, struct quire_file *file)
{
	struct quire_object *object = file->object;

	if (quire_fetch_sub(&file->refs, 1u) != 1)
		return;
	/*
	 * The file first: it may live inside what the object's release frees, never the other
	 * way round.
	 */
	if (file->release)
		file->release(q, file);
	if (object)
		quire_object_put(object);
}

/* ---- Shared anonymous memory ------------------------------------------------------------- */

/* Its pages are all there is, and they have been dropped. */
static int shmem_punch_hole(struct quire_object *object, uint64_t start, uint64_t end)
{
	(void)object;
	(void)start;
	(void)end;
	return 0;
}

static void shmem_release(struct quire_object *object)
{
	struct quire *q = object->q;

	if (object->committed_pages)
		(void)quire_fetch_sub(&q->mms.committed, (int64_t)object->committed_pages);
	quire_cache_free(q, &q->objects.object_cache, object);
}

static const struct quire_file_ops shmem_ops = {
	.punch_hole = shmem_punch_hole,
	.release = shmem_release,
};

static void shmem_file_release(struct quire *q, struct quire_file *file)
{
	quire_cache_free(q, &q->objects.file_cache, file);
}

int quire_shmem_file(struct quire *q, uint64_t size, struct quire_file **out)
{
	struct quire_object *object =
		quire_cache_alloc(q, &q->objects.object_cache, QUIRE_GFP_KERNEL);
	struct quire_file *file = quire_cache_alloc(q, &q->objects.file_cache, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);

	*out = NULL;
	if (!object || !file || size > QUIRE_OBJECT_MAX_SIZE) {
		if (object)
			quire_cache_free(q, &q->objects.object_cache, object);
		if (file)
			quire_cache_free(q, &q->objects.file_cache, file);
		return -QUIRE_ENOMEM;
	}
	quire_object_init(q, object, &shmem_ops, size, QUIRE_OBJECT_SHMEM | QUIRE_OBJECT_NOSYNC);
	file->object = object;
	file->release = shmem_file_release;
	/* As maps shows it on Linux: "00:01 <number> /dev/zero (deleted)". */
	file->path = "/dev/zero";
	file->dev_minor = 1;
	file->inode = quire_fetch_add(&q->objects.next_shmem_inode, UINT64_C(1)) + 1;
	file->flags =
		QUIRE_FILE_READ | QUIRE_FILE_WRITE | QUIRE_FILE_DELETED | QUIRE_FILE_SHMEM_ANON;
	file->refs = 1;
	*out = file;
	return 0;
}

/* ---- The room ---------------------------------------------------------------------------- */

/* The room's caches; quire_exit() gives them back. */
static const struct room_cache {
	size_t place;	  /* in struct quire_objects */
	const char *name; /* what slabinfo shows: Linux's name for the same thing */
	size_t size;
	uint32_t flags;
} caches[] = {
	{offsetof(struct quire_objects, radix_cache), "radix_tree_node",
	 sizeof(struct quire_radix_node), QUIRE_SLAB_RECLAIM},
	{offsetof(struct quire_objects, object_cache), "shmem_inode_cache",
	 sizeof(struct quire_object), 0},
	{offsetof(struct quire_objects, file_cache), "filp", sizeof(struct quire_file), 0},
	{offsetof(struct quire_objects, anon_cache), "anon_vma", sizeof(struct quire_anon), 0},
	{offsetof(struct quire_objects, chain_cache), "anon_vma_chain",
	 sizeof(struct quire_anon_chain) + QUIRE_ANON_CHAIN_SHORT * sizeof(struct quire_anon *), 0},
};

static struct quire_cache *cache_at(struct quire *q, const struct room_cache *c)
{
	return (struct quire_cache *)(void *)((char *)&q->objects + c->place);
}

int quire_objects_init(struct quire *q)
{
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(caches); i++) {
		int err = quire_cache_create(q, cache_at(q, &caches[i]), caches[i].name,
					     caches[i].size, 0, caches[i].flags, NULL);

		if (err) {
			while (i--)
				(void)quire_cache_destroy(q, cache_at(q, &caches[i]));
			return err;
		}
	}
	return 0;
}

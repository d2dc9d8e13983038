/* SPDX-License-Identifier: MIT */
/*
 * Memory by size: thirteen caches of fixed sizes, and whole blocks of pages for more. Called by
 * every room above, in any context. What it hands out knows by its page's descriptor where it goes
 * back to.
 */
#include "slab/internal.h"

#define LARGEST 8192u

static const struct {
	uint32_t size;
	const char *name;
} classes[QUIRE_KMALLOC_CLASSES] = {
	{ 8, "kmalloc-8" },	{ 16, "kmalloc-16" },	{ 32, "kmalloc-32" },	{ 64, "kmalloc-64" },
	{ 96, "kmalloc-96" },	{ 128, "kmalloc-128" }, { 192, "kmalloc-192" }, { 256, "kmalloc-256" },
	{ 512, "kmalloc-512" }, { 1024, "kmalloc-1k" }, { 2048, "kmalloc-2k" }, { 4096, "kmalloc-4k" },
	{ LARGEST, "kmalloc-8k" },
};

/* The smallest class of at least size bytes, 1 <= size <= LARGEST. */
static unsigned class_of(size_t size)
{
	/* By eights up to 192, where the classes are not all powers of two. */
	static const uint8_t small[24] = { 0, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4,
					   5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6 };

	return size <= 192 ? small[(size - 1) / 8] : quire_order_up(size) - 1;
}

int quire_slab_init(struct quire *q)
{
	unsigned i;
	int err;

	quire_list_init(&q->slabs.caches);
	for (i = 0; i < QUIRE_KMALLOC_CLASSES; i++) {
		err = quire_cache_create(q, &q->slabs.kmalloc[i], classes[i].name, classes[i].size, 0, 0, NULL);
		if (err)
			return err;
	}
	return 0;
}

void *quire_kmalloc(struct quire *q, size_t size, quire_gfp_t gfp)
{
	struct quire_page *page;

	if (quire_likely(size - 1 < LARGEST))
		return quire_cache_alloc(q, &q->slabs.kmalloc[class_of(size)], gfp);
	if (size == 0 || size > (size_t)QUIRE_PAGE_SIZE << QUIRE_MAX_ORDER)
		return NULL;
	if (quire_fail_now(&q->slabs.fail))
		return NULL;
	/* By pointer, so never from high memory. */
	page = quire_page_alloc(q, gfp & ~QUIRE_GFP_HIGHMEM,
				quire_order_up((size + QUIRE_PAGE_SIZE - 1) >> QUIRE_PAGE_SHIFT));
	return page ? quire_page_to_virt(q, page) : NULL;
}

void quire_kfree(struct quire *q, void *ptr)
{
	struct quire_page *page;

	if (!ptr)
		return;
	page = quire_virt_to_page(q, ptr);
	if (quire_likely(page && quire_page_kind(page) == QUIRE_PAGE_SLAB)) {
		quire_cache_free(q, page->owner, ptr);
		return;
	}
	if (!page || quire_page_kind(page) != QUIRE_PAGE_KERNEL || !quire_page_test(page, QUIRE_PG_HEAD) ||
	    quire_page_to_virt(q, page) != ptr) {
		quire_report(q, "slab: kfree of what kmalloc has not given or kfree has taken", (uintptr_t)ptr);
		return;
	}
	quire_page_free(q, page, quire_page_order(page));
}

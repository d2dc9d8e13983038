/* SPDX-License-Identifier: MIT */
/*
 * slab: object caches. Each CPU has two magazines (arrays of free objects) a cache, so that the
 * common alloc and free touch nothing shared; behind them the slabs, blocks of 1 << order pages
 * cut into objects, under the cache's lock.
 *
 * Any context (interrupts are off for the few instructions at a magazine) except create, destroy and shrink.
 * Debug builds fill free objects with 0x6b and end them with 0xa5, put red zones (0xbb free, 0xcc in use) behind each
 * object and report what was overwritten, freed twice, or freed into the wrong cache.
 */
#ifndef QUIRE_SLAB_H
#define QUIRE_SLAB_H

#include <quire/page.h>

#define QUIRE_MAGAZINE_SIZE 32

#define QUIRE_SLAB_HWCACHE_ALIGN 0x1u /* align to a cache line */
#define QUIRE_SLAB_RECLAIM 0x2u       /* counted as SReclaimable */

struct quire_magazine {
	uint32_t count;
	void *object[QUIRE_MAGAZINE_SIZE];
};

struct quire_slab_cpu {
	struct quire_magazine loaded, spare;
} __attribute__((aligned(QUIRE_CACHELINE)));

/*
 * Equations (quire_cache_check()):
 *   objects in slabs == active_objects + objects in magazines + free in slabs
 *   partial holds exactly the slabs with 0 < in use < objects_per_slab
 */
struct quire_cache {
	const char *name;       /* as Linux names it in slabinfo; not copied */
	uint32_t size;          /* what the caller asked for, bytes */
	uint32_t stride;        /* from one object to the next, bytes */
	uint32_t align;
	uint32_t flags;         /* QUIRE_SLAB_* */
	uint32_t order;         /* pages a slab: 1 << order */
	uint32_t objects_per_slab;
	void (*ctor)(void *object); /* run once for each object when its slab is made; frees keep that state */
	struct quire_spinlock lock;
	struct quire_list partial, full, empty; /* slabs, by quire_page.lru */
	uint64_t nr_slabs, nr_objects;          /* under lock */
	struct quire_list link;                 /* quire_slabs.caches */
	struct quire_slab_cpu *cpu;             /* nr_cpus of them, from pages */
};

#define QUIRE_KMALLOC_CLASSES 13 /* 8, 16, 32, 64, 96, 128, 192, 256, 512, 1k, 2k, 4k, 8k */

struct quire_slabs {
	struct quire_spinlock lock;     /* the list of caches */
	struct quire_list caches;
	struct quire_cache kmalloc[QUIRE_KMALLOC_CLASSES];
};

/* After quire_page_init(), before any cache. -ENOMEM. */
int quire_slab_init(struct quire *q);

/*
 * Make a cache in memory the caller owns. align 0: pointer alignment; else a power of two up to a
 * page. -EINVAL: size 0 or larger than a 1 << QUIRE_MAX_ORDER block, bad align. -ENOMEM. May not be called from interrupts.
 */
int quire_cache_create(struct quire *q, struct quire_cache *cache, const char *name, size_t size,
		       size_t align, uint32_t flags, void (*ctor)(void *object));

/* Give everything back. Objects still in use are reported and stay allocated: -EBUSY. */
int quire_cache_destroy(struct quire *q, struct quire_cache *cache);

/* An object (constructed, else with undefined content; QUIRE_GFP_ZERO zeroes it), or NULL. */
void *quire_cache_alloc(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp);
void quire_cache_free(struct quire *q, struct quire_cache *cache, void *object);

/*
 * Free after a grace period, through a link that lies inside the object; nothing else of the object
 * is touched before the free. The cache is found from the object's page.
 */
void quire_cache_free_deferred(struct quire *q, struct quire_deferred *link);

/* Slabs with no object in use go back to the page allocator; returns how many pages went. */
uint64_t quire_cache_shrink(struct quire *q, struct quire_cache *cache);
uint64_t quire_slab_shrink_all(struct quire *q);

/* By size: from a class, or whole pages above the largest one. NULL for size 0 or no memory. */
void *quire_kmalloc(struct quire *q, size_t size, quire_gfp_t gfp);
void quire_kfree(struct quire *q, void *ptr); /* NULL is fine */

struct quire_cache_stat {
	uint64_t active_objects, total_objects, active_slabs, total_slabs;
};
void quire_cache_stat(struct quire *q, struct quire_cache *cache, struct quire_cache_stat *stat);

quire_broken_t quire_cache_check(struct quire *q, struct quire_cache *cache);
quire_broken_t quire_slab_check(struct quire *q); /* all of them */

#endif

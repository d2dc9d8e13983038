/* SPDX-License-Identifier: MIT */
/*
 * slab: object caches. Each CPU has a magazine (an array of free objects) a cache, so that the
 * common alloc and free touch nothing shared and take no lock; behind them the slabs, blocks of 1 << order pages
 * cut into objects, under the cache's lock. Magazines are filled and emptied by the half.
 *
 * Any context (interrupts are off for the few instructions at a magazine) except create, destroy and shrink.
 * Debug builds fill free objects with 0x6b and end them with 0xa5 (but those of caches with a constructor), put red
 * zones (0xbb free, 0xcc in use) behind each object and report what was overwritten, freed twice, or freed into the
 * wrong cache. With AddressSanitizer a free object may not be touched at all.
 */
#ifndef QUIRE_SLAB_H
#define QUIRE_SLAB_H

#include <quire/page.h>

#define QUIRE_MAGAZINE_SIZE 62 /* makes a magazine eight cache lines */

#define QUIRE_SLAB_HWCACHE_ALIGN 0x1u /* align to a cache line */
#define QUIRE_SLAB_RECLAIM 0x2u       /* counted as SReclaimable */

/* One CPU's; written by that CPU alone, with interrupts off, but for capacity. */
struct quire_magazine {
	uint32_t count;    /* <= quire_cache.magazine */
	uint32_t capacity; /* quire_cache.magazine; 0: somebody asks this CPU to empty it at its next free; atomic */
	void *object[QUIRE_MAGAZINE_SIZE];
} __attribute__((aligned(QUIRE_CACHELINE)));

/*
 * A slab's descriptors: kind SLAB, owner the cache, in every page; in the head lru is the slab's list, aux the number
 * of its objects that are out (in use or in a magazine), index the address of its first free object; in the others
 * index is the distance from the head.
 *
 * Equations (quire_cache_check()):
 *   nr_objects == nr_slabs * objects_per_slab
 *   for each slab: aux + length of its free list == objects_per_slab
 *   nr_out == sum of aux == objects in use + objects in magazines
 *     (in use: by the red zones, in debug builds)
 *   partial holds exactly the slabs with 0 < aux < objects_per_slab, empty those with 0, full the others
 */
struct quire_cache {
	const char *name;       /* as Linux names it in slabinfo; not copied */
	/* what alloc and free read; constant after create */
	struct quire_magazine *cpu; /* nr_cpus of them, from pages */
	uint32_t size;          /* what the caller asked for, bytes */
	uint32_t stride;        /* from one object to the next, bytes */
	uint32_t align;
	uint32_t flags;         /* QUIRE_SLAB_* */
	uint32_t order;         /* pages a slab: 1 << order */
	uint32_t objects_per_slab;
	uint32_t magazine;      /* objects a magazine may hold: fewer for large ones, 0 for huge ones */
	uint32_t link_offset;   /* where a free object in a slab has its link to the next one */
	uint32_t zone_end;      /* debug: the red zone lies in [size, zone_end); 0: objects too large for one */
	void (*ctor)(void *object); /* run once for each object when its slab is made; frees keep that state */
	struct quire_spinlock lock; /* irq; all below but link */
	struct quire_list partial, full, empty; /* slabs, by quire_page.lru */
	uint64_t nr_slabs, nr_objects;
	uint64_t nr_empty;                      /* slabs on empty */
	uint64_t nr_out;                        /* objects not in slabs */
	struct quire_list link;                 /* quire_slabs.caches; under quire_slabs.lock */
};

#define QUIRE_KMALLOC_CLASSES 13 /* 8, 16, 32, 64, 96, 128, 192, 256, 512, 1k, 2k, 4k, 8k */

struct quire_slabs {
	struct quire_spinlock lock;     /* the list of caches */
	struct quire_list caches;
	struct quire_cache kmalloc[QUIRE_KMALLOC_CLASSES];
	struct quire_fail fail;         /* quire_cache_alloc(), from magazines too; quire_kmalloc(): see base.h */
};

/* After quire_page_init(), before any cache. -ENOMEM. */
int quire_slab_init(struct quire *q);

/*
 * Make a cache in memory the caller owns. align 0: pointer alignment; else a power of two up to a
 * page. -EINVAL: size 0 or larger than a 1 << QUIRE_MAX_ORDER block (with a constructor: less a pointer), bad align.
 * -ENOMEM. May not be called from interrupts.
 */
int quire_cache_create(struct quire *q, struct quire_cache *cache, const char *name, size_t size,
		       size_t align, uint32_t flags, void (*ctor)(void *object));

/*
 * Give everything back; waits for deferred frees first, so it may sleep. Nobody else may be using the cache. If objects
 * are still in use that is reported, and the cache stays as it is: -EBUSY.
 */
int quire_cache_destroy(struct quire *q, struct quire_cache *cache);

/*
 * An object (constructed, else with undefined content; QUIRE_GFP_ZERO zeroes it), or NULL. May sleep with QUIRE_GFP_WAIT
 * alone, as quire_page_alloc(); so does quire_kmalloc().
 */
void *quire_cache_alloc(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp);
void quire_cache_free(struct quire *q, struct quire_cache *cache, void *object);

/*
 * Free after a grace period, through a link that lies inside the object; nothing else of the object
 * is touched before the free. The cache is found from the object's page.
 */
void quire_cache_free_deferred(struct quire *q, struct quire_deferred *link);

/*
 * Slabs with no object in use go back to the page allocator; returns how many pages went. This CPU's magazine is
 * emptied first; other CPUs are asked to empty theirs when they next free an object (nobody else can touch a
 * magazine). Not from interrupts.
 */
uint64_t quire_cache_shrink(struct quire *q, struct quire_cache *cache);
uint64_t quire_slab_shrink_all(struct quire *q);

/* The same for all caches, with every CPU's magazine emptied on the spot: only while no other CPU uses any cache. */
uint64_t quire_slab_shrink_quiet(struct quire *q);

/* By size: from a class, or whole pages above the largest one; pointer alignment. NULL for size 0 or no memory. */
void *quire_kmalloc(struct quire *q, size_t size, quire_gfp_t gfp);
void quire_kfree(struct quire *q, void *ptr); /* NULL is fine */

struct quire_cache_stat {
	uint64_t active_objects; /* in use; those in magazines are not */
	uint64_t total_objects, active_slabs, total_slabs;
};
void quire_cache_stat(struct quire *q, struct quire_cache *cache, struct quire_cache_stat *stat);

/* Exact while no other CPU uses the cache; magazines cannot be locked. */
quire_broken_t quire_cache_check(struct quire *q, struct quire_cache *cache);
quire_broken_t quire_slab_check(struct quire *q); /* all of them */

#endif

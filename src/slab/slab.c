/* SPDX-License-Identifier: MIT */
/*
 * Caches: alloc and free through the magazines, the slabs behind them, creating, shrinking and
 * destroying. Called by every room above; kmalloc.c is one of its users. Never sleeps, but for
 * quire_cache_destroy(), and calls the page room with no cache's lock held.
 *
 * An object is in one of three places:
 *
 *	in use  <--alloc, free-->  this CPU's magazine  <--half a magazine at a time-->  its slab
 *
 * and slabs wander between empty, partial and full. Allocation prefers partial slabs, so that empty
 * ones stay empty and can be given back; a few are kept all the same, for the next wave.
 */
#include "slab/internal.h"

#include "base/string.h"

#define MAGAZINE_BYTES 65536u /* a magazine holds no more than this, whatever the number of objects */
#define MAX_GOOD_ORDER 3u     /* larger slabs only for objects that need them */
#define ENOUGH_OBJECTS 4u     /* what a slab should hold */
#define KEEP_EMPTY 2u         /* empty slabs that free leaves to the cache */

/* ---- Where an object lies ---------------------------------------------------------------- */

struct quire_page *quire_slab_of(struct quire *q, const void *ptr)
{
	struct quire_page *page = quire_virt_to_page(q, ptr);

	if (quire_unlikely(!page || quire_page_kind(page) != QUIRE_PAGE_SLAB))
		return NULL;
	return quire_page_test(page, QUIRE_PG_HEAD) ? page : page - page->index;
}

void *quire_slab_object(struct quire *q, const struct quire_page *slab, const void *ptr)
{
	const struct quire_cache *cache = slab->owner;
	char *first = quire_page_to_virt(q, slab);
	size_t offset = (size_t)((const char *)ptr - first);

	return first + offset / cache->stride * cache->stride;
}

/* ---- Slabs ------------------------------------------------------------------------------- */

static void count_pages(struct quire *q, const struct quire_cache *cache, int64_t slabs)
{
	quire_stat_add(q,
		       (cache->flags & QUIRE_SLAB_RECLAIM) != 0 ? QUIRE_STAT_SLAB_RECLAIMABLE :
								  QUIRE_STAT_SLAB_UNRECLAIMABLE,
		       slabs * (INT64_C(1) << cache->order));
}

/* A slab that no list has yet: all its objects made, constructed and free, lowest address first. */
static struct quire_page *new_slab(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp)
{
	struct quire_page *slab;
	void *next = NULL;
	char *first;
	uint32_t i;

	/* Objects of one slab go to different users: no user's choice of zone. */
	gfp &= ~(QUIRE_GFP_ZERO | QUIRE_GFP_DMA | QUIRE_GFP_DMA32 | QUIRE_GFP_HIGHMEM);
	slab = quire_page_alloc(q, gfp, cache->order);
	if (!slab)
		return NULL;
	for (i = 0; i < 1u << cache->order; i++) {
		slab[i].owner = cache;
		slab[i].index = i;
		quire_page_set_kind(&slab[i], QUIRE_PAGE_SLAB);
	}
	first = quire_page_to_virt(q, slab);
	for (i = cache->objects_per_slab; i-- > 0;) {
		void *object = first + (size_t)i * cache->stride;

		if (cache->ctor)
			cache->ctor(object);
		quire_slab_debug_make(cache, object);
		*quire_slab_link(cache, object) = next;
		next = object;
	}
	slab->index = (uintptr_t)next;
	slab->aux = 0;
	count_pages(q, cache, 1);
	return slab;
}

/* Slabs that no list has any more; returns their pages. */
static uint64_t free_slabs(struct quire *q, struct quire_cache *cache, struct quire_list *slabs)
{
	uint64_t n = 0;

	while (!quire_list_empty(slabs)) {
		struct quire_page *slab = quire_list_first(slabs, struct quire_page, lru);

		quire_list_del(&slab->lru);
		quire_slab_debug_unmake(cache, quire_page_to_virt(q, slab));
		count_pages(q, cache, -1);
		quire_page_free(q, slab, cache->order);
		n += UINT64_C(1) << cache->order;
	}
	return n;
}

static void add_slab(struct quire *q, struct quire_cache *cache, struct quire_page *slab)
{
	quire_spin_assert(q, &cache->lock);
	quire_list_add(&cache->empty, &slab->lru);
	cache->nr_empty++;
	cache->nr_slabs++;
	cache->nr_objects += cache->objects_per_slab;
}

/* Move empty slabs over to the list out, until no more than keep are left. */
static void take_empty(struct quire *q, struct quire_cache *cache, uint64_t keep, struct quire_list *out)
{
	quire_spin_assert(q, &cache->lock);
	while (cache->nr_empty > keep) {
		struct quire_page *slab = quire_list_entry(cache->empty.prev, struct quire_page, lru);

		quire_list_del(&slab->lru);
		quire_list_add(out, &slab->lru);
		cache->nr_empty--;
		cache->nr_slabs--;
		cache->nr_objects -= cache->objects_per_slab;
	}
}

/* Up to wanted objects out of slabs; returns how many. */
static uint32_t take_objects(struct quire *q, struct quire_cache *cache, void **objects, uint32_t wanted)
{
	uint32_t got = 0;

	quire_spin_assert(q, &cache->lock);
	while (got < wanted) {
		struct quire_page *slab;
		void *object;

		if (!quire_list_empty(&cache->partial)) {
			slab = quire_list_first(&cache->partial, struct quire_page, lru);
		} else if (!quire_list_empty(&cache->empty)) {
			slab = quire_list_first(&cache->empty, struct quire_page, lru);
			cache->nr_empty--;
		} else {
			break;
		}
		for (object = (void *)(uintptr_t)slab->index; object && got < wanted;
		     object = *quire_slab_link(cache, object)) {
			objects[got++] = object;
			slab->aux++;
		}
		slab->index = (uintptr_t)object;
		quire_list_del(&slab->lru);
		quire_list_add(object ? &cache->partial : &cache->full, &slab->lru);
	}
	cache->nr_out += got;
	return got;
}

/* n objects back into their slabs. */
static void put_objects(struct quire *q, struct quire_cache *cache, void *const *objects, uint32_t n)
{
	uint32_t i;

	quire_spin_assert(q, &cache->lock);
	for (i = 0; i < n; i++) {
		struct quire_page *slab = quire_slab_of(q, objects[i]);
		bool was_full = slab->index == 0;

		*quire_slab_link(cache, objects[i]) = (void *)(uintptr_t)slab->index;
		slab->index = (uintptr_t)objects[i];
		slab->aux--;
		if (slab->aux == 0) {
			quire_list_del(&slab->lru);
			quire_list_add(&cache->empty, &slab->lru);
			cache->nr_empty++;
		} else if (was_full) {
			quire_list_del(&slab->lru);
			quire_list_add_tail(&cache->partial, &slab->lru);
		}
	}
	cache->nr_out -= n;
}

/* ---- Magazines --------------------------------------------------------------------------- */

/*
 * One object. Of this CPU's magazine, if there is one by now; else of the slabs and, for the next allocations, half a
 * magazine more. The lock is held. NULL: the slabs are used up.
 */
static void *refill(struct quire *q, struct quire_cache *cache)
{
	struct quire_magazine *m = &cache->cpu[quire_port_cpu(q)];
	void *object;

	if (m->count != 0) {
		object = m->object[m->count - 1];
		quire_store(&m->count, m->count - 1);
		return object;
	}
	/* It is empty: nothing left to ask it to give back. */
	quire_store(&m->capacity, cache->magazine);
	if (take_objects(q, cache, &object, 1) == 0)
		return NULL;
	quire_store(&m->count, take_objects(q, cache, m->object, cache->magazine / 2));
	return object;
}

static __attribute__((noinline)) void *alloc_slow(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp)
{
	struct quire_page *slab = NULL;
	bool last = false;
	unsigned long flags;
	void *object;

	for (;;) {
		flags = quire_spin_lock_irq(q, &cache->lock);
		if (slab)
			add_slab(q, cache, slab);
		object = refill(q, cache);
		quire_spin_unlock_irq(q, &cache->lock, flags);
		if (object || last)
			return object;
		slab = new_slab(q, cache, gfp);
		/* While pages were waited for, objects may have come back. */
		last = !slab;
	}
}

void *quire_cache_alloc(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp)
{
	struct quire_magazine *m;
	unsigned long flags;
	unsigned cpu;
	uint32_t count;
	void *object;

	if ((gfp & QUIRE_GFP_WAIT) != 0)
		quire_sleep_assert(q);
	if (quire_fail_now(&q->slabs.fail))
		return NULL;
	flags = quire_port_irq_save(q);
	cpu = quire_port_cpu(q); /* before cache->cpu is read: one register fewer to save */
	m = &cache->cpu[cpu];
	count = m->count;
	if (quire_likely(count != 0)) {
		object = m->object[--count];
		quire_store(&m->count, count);
		quire_port_irq_restore(q, flags);
	} else {
		quire_port_irq_restore(q, flags);
		object = alloc_slow(q, cache, gfp);
		if (!object)
			return NULL;
	}
	quire_slab_debug_alloc(q, cache, object);
	if (quire_unlikely((gfp & QUIRE_GFP_ZERO) != 0))
		memset(object, 0, cache->size);
	return object;
}

/* No room: the older half of the magazine goes back to the slabs, or all of it if somebody asked. Interrupts are off. */
static __attribute__((noinline)) void free_slow(struct quire *q, struct quire_cache *cache,
						struct quire_magazine *m, void *object, unsigned long flags)
{
	uint32_t n = quire_load(&m->capacity) == 0 ? m->count : (m->count + 1) / 2;
	struct quire_list surplus;

	quire_list_init(&surplus);
	quire_spin_lock_raw(q, &cache->lock);
	put_objects(q, cache, m->object, n);
	if (cache->magazine == 0)
		put_objects(q, cache, &object, 1);
	take_empty(q, cache, KEEP_EMPTY, &surplus);
	quire_spin_unlock_raw(q, &cache->lock);

	quire_store(&m->capacity, cache->magazine);
	memmove(m->object, m->object + n, (m->count - n) * sizeof(m->object[0]));
	quire_store(&m->count, m->count - n);
	if (cache->magazine != 0) {
		m->object[m->count] = object;
		quire_store(&m->count, m->count + 1);
	}
	quire_port_irq_restore(q, flags);
	(void)free_slabs(q, cache, &surplus);
}

void quire_cache_free(struct quire *q, struct quire_cache *cache, void *object)
{
	struct quire_magazine *m;
	unsigned long flags;
	unsigned cpu;
	uint32_t count;

	if (!quire_slab_debug_free(q, cache, object))
		return;
	flags = quire_port_irq_save(q);
	cpu = quire_port_cpu(q);
	m = &cache->cpu[cpu];
	count = m->count;
	if (quire_likely(count < quire_load(&m->capacity))) {
		m->object[count] = object;
		quire_store(&m->count, count + 1);
		quire_port_irq_restore(q, flags);
	} else {
		free_slow(q, cache, m, object, flags);
	}
}

static void free_deferred(struct quire *q, struct quire_deferred *link)
{
	struct quire_page *slab = quire_slab_of(q, link);

	if (!slab) {
		quire_report(q, "slab: deferred free of what is in no slab", (uintptr_t)link);
		return;
	}
	quire_cache_free(q, slab->owner, quire_slab_object(q, slab, link));
}

void quire_cache_free_deferred(struct quire *q, struct quire_deferred *link)
{
	quire_defer(q, link, free_deferred);
}

/* ---- Caches ------------------------------------------------------------------------------ */

static size_t round_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/* Offsets within an object and objects within a slab. False: no block is large enough. */
static bool lay_out(struct quire_cache *cache, size_t size, size_t align)
{
	const size_t largest = (size_t)QUIRE_PAGE_SIZE << QUIRE_MAX_ORDER, link = sizeof(void *);
	size_t zone_end = round_up(size, link) + link, stride;
	unsigned order, least;

	if (QUIRE_DEBUG && round_up(zone_end + link, align) <= largest) {
		cache->zone_end = (uint32_t)zone_end;
		cache->link_offset = (uint32_t)zone_end;
		stride = round_up(zone_end + link, align);
	} else if (cache->ctor) {
		/* The link must not lie in what the constructor has set. */
		cache->link_offset = (uint32_t)round_up(size, link);
		stride = round_up(cache->link_offset + link, align);
	} else {
		cache->link_offset = 0;
		stride = round_up(size < link ? link : size, align);
	}
	if (stride > largest)
		return false;
	least = quire_order_up((stride + QUIRE_PAGE_SIZE - 1) >> QUIRE_PAGE_SHIFT);
	for (order = least; order <= MAX_GOOD_ORDER; order++) {
		size_t bytes = (size_t)QUIRE_PAGE_SIZE << order;

		if (bytes / stride >= ENOUGH_OBJECTS && bytes % stride <= bytes / 8)
			break;
	}
	cache->order = order <= MAX_GOOD_ORDER ? order : least;
	cache->stride = (uint32_t)stride;
	cache->objects_per_slab = (uint32_t)(((size_t)QUIRE_PAGE_SIZE << cache->order) / stride);
	cache->magazine = (uint32_t)(MAGAZINE_BYTES / stride);
	if (cache->magazine < 2)
		cache->magazine = 0;
	if (cache->magazine > QUIRE_MAGAZINE_SIZE)
		cache->magazine = QUIRE_MAGAZINE_SIZE;
	return true;
}

static unsigned magazines_order(const struct quire *q)
{
	size_t bytes = q->nr_cpus * sizeof(struct quire_magazine);

	return quire_order_up((bytes + QUIRE_PAGE_SIZE - 1) >> QUIRE_PAGE_SHIFT);
}

int quire_cache_create(struct quire *q, struct quire_cache *cache, const char *name, size_t size,
		       size_t align, uint32_t flags, void (*ctor)(void *object))
{
	struct quire_page *magazines;
	unsigned long irq;
	unsigned cpu;

	if (align == 0)
		align = sizeof(void *);
	if (size == 0 || size > (size_t)QUIRE_PAGE_SIZE << QUIRE_MAX_ORDER ||
	    (align & (align - 1)) != 0 || align > QUIRE_PAGE_SIZE)
		return -QUIRE_EINVAL;
	if (align < sizeof(void *))
		align = sizeof(void *);
	if ((flags & QUIRE_SLAB_HWCACHE_ALIGN) != 0 && align < QUIRE_CACHELINE)
		align = QUIRE_CACHELINE;

	memset(cache, 0, sizeof(*cache));
	cache->name = name;
	cache->size = (uint32_t)size;
	cache->align = (uint32_t)align;
	cache->flags = flags;
	cache->ctor = ctor;
	if (!lay_out(cache, size, align))
		return -QUIRE_EINVAL;
	magazines = quire_page_alloc(q, QUIRE_GFP_ZERO, magazines_order(q));
	if (!magazines)
		return -QUIRE_ENOMEM;

	cache->cpu = quire_page_to_virt(q, magazines);
	for (cpu = 0; cpu < q->nr_cpus; cpu++)
		cache->cpu[cpu].capacity = cache->magazine;
	quire_list_init(&cache->partial);
	quire_list_init(&cache->full);
	quire_list_init(&cache->empty);
	irq = quire_spin_lock_irq(q, &q->slabs.lock);
	quire_list_add_tail(&q->slabs.caches, &cache->link);
	quire_spin_unlock_irq(q, &q->slabs.lock, irq);
	return 0;
}

/* All objects of a magazine back to the slabs: this CPU's, or any while nobody uses the cache. */
static void empty_magazine(struct quire *q, struct quire_cache *cache, struct quire_magazine *m)
{
	quire_spin_assert(q, &cache->lock);
	put_objects(q, cache, m->object, m->count);
	quire_store(&m->count, 0u);
	quire_store(&m->capacity, cache->magazine);
}

int quire_cache_destroy(struct quire *q, struct quire_cache *cache)
{
	struct quire_list slabs;
	unsigned long flags;
	uint64_t in_use;
	unsigned cpu;

	quire_grace_wait(q);
	quire_list_init(&slabs);
	flags = quire_spin_lock_irq(q, &cache->lock);
	for (cpu = 0; cpu < q->nr_cpus; cpu++)
		empty_magazine(q, cache, &cache->cpu[cpu]);
	in_use = cache->nr_out;
	if (in_use == 0)
		take_empty(q, cache, 0, &slabs);
	quire_spin_unlock_irq(q, &cache->lock, flags);
	if (in_use != 0) {
		quire_report(q, "slab: a cache is to be destroyed while objects are in use", in_use);
		return -QUIRE_EBUSY;
	}

	flags = quire_spin_lock_irq(q, &q->slabs.lock);
	quire_list_del(&cache->link);
	quire_spin_unlock_irq(q, &q->slabs.lock, flags);
	(void)free_slabs(q, cache, &slabs);
	quire_page_free(q, quire_virt_to_page(q, cache->cpu), magazines_order(q));
	cache->cpu = NULL;
	return 0;
}

/* quiet: no other CPU uses the cache, so that all magazines may be emptied from here. */
static uint64_t shrink(struct quire *q, struct quire_cache *cache, bool quiet)
{
	unsigned long flags = quire_spin_lock_irq(q, &cache->lock);
	unsigned cpu, self = quire_port_cpu(q);
	struct quire_list slabs;

	quire_list_init(&slabs);
	for (cpu = 0; cpu < q->nr_cpus; cpu++) {
		if (cpu == self || quiet)
			empty_magazine(q, cache, &cache->cpu[cpu]);
		else if (quire_load(&cache->cpu[cpu].count) != 0)
			quire_store(&cache->cpu[cpu].capacity, 0u);
	}
	take_empty(q, cache, 0, &slabs);
	quire_spin_unlock_irq(q, &cache->lock, flags);
	return free_slabs(q, cache, &slabs);
}

static uint64_t shrink_all(struct quire *q, bool quiet)
{
	unsigned long flags = quire_spin_lock_irq(q, &q->slabs.lock);
	struct quire_list *pos, *tmp;
	uint64_t pages = 0;

	/* Caches come and go under this lock only; theirs and the page room's nest in it. */
	quire_list_for_each(pos, tmp, &q->slabs.caches)
		pages += shrink(q, quire_list_entry(pos, struct quire_cache, link), quiet);
	quire_spin_unlock_irq(q, &q->slabs.lock, flags);
	return pages;
}

uint64_t quire_cache_shrink(struct quire *q, struct quire_cache *cache)
{
	return shrink(q, cache, false);
}

uint64_t quire_slab_shrink_all(struct quire *q)
{
	return shrink_all(q, false);
}

uint64_t quire_slab_shrink_quiet(struct quire *q)
{
	return shrink_all(q, true);
}

/* Objects in all magazines of the cache; a guess while other CPUs use it. */
static uint64_t in_magazines(const struct quire *q, const struct quire_cache *cache)
{
	uint64_t n = 0;
	unsigned cpu;

	for (cpu = 0; cpu < q->nr_cpus; cpu++)
		n += quire_load(&cache->cpu[cpu].count);
	return n;
}

void quire_cache_stat(struct quire *q, struct quire_cache *cache, struct quire_cache_stat *stat)
{
	unsigned long flags = quire_spin_lock_irq(q, &cache->lock);
	uint64_t idle = in_magazines(q, cache);

	stat->active_objects = cache->nr_out > idle ? cache->nr_out - idle : 0;
	stat->total_objects = cache->nr_objects;
	stat->active_slabs = cache->nr_slabs - cache->nr_empty;
	stat->total_slabs = cache->nr_slabs;
	quire_spin_unlock_irq(q, &cache->lock, flags);
}

/* ---- Checks ------------------------------------------------------------------------------ */

struct slab_count {
	uint64_t slabs, out, in_use;
};

/* Is object the start of one of slab's objects? */
static bool is_object(struct quire *q, const struct quire_cache *cache, const struct quire_page *slab,
		      const void *object)
{
	const char *first = quire_page_to_virt(q, slab);
	size_t offset = (size_t)((const char *)object - first);

	return offset % cache->stride == 0 && offset / cache->stride < cache->objects_per_slab;
}

static quire_broken_t check_slab(struct quire *q, const struct quire_cache *cache, struct quire_page *slab,
				 struct slab_count *count)
{
	uint32_t i, n_free = 0;
	void *object;

	for (i = 0; i < 1u << cache->order; i++)
		if (quire_page_kind(&slab[i]) != QUIRE_PAGE_SLAB || slab[i].owner != cache ||
		    (i != 0 && slab[i].index != i))
			return "slab: every page of a slab knows its cache and its head";
	for (object = (void *)(uintptr_t)slab->index; object; object = *quire_slab_link(cache, object))
		if (!is_object(q, cache, slab, object) || ++n_free > cache->objects_per_slab)
			return "slab: the free list holds objects of its slab, once each";
	if (slab->aux + n_free != cache->objects_per_slab)
		return "slab: aux + free list == objects_per_slab";
	count->slabs++;
	count->out += slab->aux;
#if QUIRE_DEBUG
	for (i = 0; i < cache->objects_per_slab; i++)
		if (quire_slab_debug_in_use(cache,
					    (char *)quire_page_to_virt(q, slab) + (size_t)i * cache->stride))
			count->in_use++;
#endif
	return NULL;
}

/* All slabs of one list, each with least <= aux <= most. */
static quire_broken_t check_list(struct quire *q, const struct quire_cache *cache,
				 const struct quire_list *list, uint32_t least, uint32_t most,
				 struct slab_count *count)
{
	const struct quire_list *pos;
	quire_broken_t broken;

	for (pos = list->next; pos != list; pos = pos->next) {
		struct quire_page *slab = quire_list_entry((struct quire_list *)(uintptr_t)pos,
							   struct quire_page, lru);

		if (pos->next->prev != pos || count->slabs == cache->nr_slabs)
			return "slab: nr_slabs == length of the three lists";
		if (slab->aux < least || slab->aux > most)
			return "slab: each slab is on the list of its state";
		broken = check_slab(q, cache, slab, count);
		if (broken)
			return broken;
	}
	return NULL;
}

static quire_broken_t check_locked(struct quire *q, struct quire_cache *cache)
{
	struct slab_count count = { 0, 0, 0 };
	quire_broken_t broken;
	unsigned cpu;
	uint32_t i;

	broken = check_list(q, cache, &cache->empty, 0, 0, &count);
	if (!broken && count.slabs != cache->nr_empty)
		broken = "slab: nr_empty == length of the list";
	if (!broken && cache->objects_per_slab > 1)
		broken = check_list(q, cache, &cache->partial, 1, cache->objects_per_slab - 1, &count);
	if (!broken)
		broken = check_list(q, cache, &cache->full, cache->objects_per_slab,
				    cache->objects_per_slab, &count);
	if (broken)
		return broken;
	if (count.slabs != cache->nr_slabs)
		return "slab: nr_slabs == length of the three lists";
	if (cache->nr_objects != cache->nr_slabs * cache->objects_per_slab)
		return "slab: nr_objects == nr_slabs * objects_per_slab";
	if (cache->nr_out != count.out || in_magazines(q, cache) > count.out)
		return "slab: nr_out == sum of aux >= objects in magazines";
	if (QUIRE_DEBUG && cache->zone_end != 0 && count.in_use + in_magazines(q, cache) != count.out)
		return "slab: in use + in magazines == nr_out";
	for (cpu = 0; cpu < q->nr_cpus; cpu++) {
		const struct quire_magazine *m = &cache->cpu[cpu];

		if (m->count > cache->magazine)
			return "slab: a magazine holds no more than its capacity";
		for (i = 0; i < m->count; i++) {
			const struct quire_page *slab = quire_slab_of(q, m->object[i]);

			if (!slab || slab->owner != cache || !is_object(q, cache, slab, m->object[i]))
				return "slab: magazines hold objects of their cache";
		}
	}
	return NULL;
}

quire_broken_t quire_cache_check(struct quire *q, struct quire_cache *cache)
{
	unsigned long flags = quire_spin_lock_irq(q, &cache->lock);
	quire_broken_t broken = check_locked(q, cache);

	quire_spin_unlock_irq(q, &cache->lock, flags);
	return broken;
}

quire_broken_t quire_slab_check(struct quire *q)
{
	unsigned long flags = quire_spin_lock_irq(q, &q->slabs.lock);
	quire_broken_t broken = NULL;
	struct quire_list *pos, *tmp;

	quire_list_for_each(pos, tmp, &q->slabs.caches) {
		broken = quire_cache_check(q, quire_list_entry(pos, struct quire_cache, link));
		if (broken)
			break;
	}
	quire_spin_unlock_irq(q, &q->slabs.lock, flags);
	return broken;
}

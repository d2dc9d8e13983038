/* SPDX-License-Identifier: MIT */
/*
 * Red zones and poison of debug builds; nothing in release builds. Called by slab.c alone.
 *
 *	0                     size        zone_end      stride
 *	|--------object--------|--red zone--|--link--|....|
 *	 free: 6b 6b .. 6b a5    bb bb .. bb
 *	 used: the user's        cc cc .. cc
 *
 * The link of a free object lies behind the zone, so that nothing at all is written into a free object, and
 * every byte of it can be told from what it should be.
 */
#include "slab/internal.h"

#include "base/string.h"

#if QUIRE_DEBUG

#define POISON 0x6b
#define POISON_END 0xa5
#define ZONE_FREE 0xbb
#define ZONE_USED 0xcc

/* Where AddressSanitizer watches, it is told what nobody may touch: free objects, and all red zones. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#endif

#ifdef WITH_ASAN
void __asan_poison_memory_region(void const volatile *addr, size_t size);
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
#define hide(ptr, size) __asan_poison_memory_region((ptr), (size))
#define show(ptr, size) __asan_unpoison_memory_region((ptr), (size))
#define SEES_ALL __attribute__((no_sanitize_address))
#else
#define SEES_ALL
#define hide(ptr, size) ((void)0)
#define show(ptr, size) ((void)0)
#endif

static SEES_ALL bool all_bytes(const unsigned char *from, const unsigned char *end, unsigned char byte)
{
	while (from < end)
		if (*from++ != byte)
			return false;
	return true;
}

static unsigned char *zone_of(const struct quire_cache *cache, const void *object)
{
	return (unsigned char *)(uintptr_t)object + cache->size;
}

static void set_zone(const struct quire_cache *cache, void *object, int byte)
{
	size_t len = cache->zone_end - cache->size;

	if (cache->zone_end == 0)
		return;
	show(zone_of(cache, object), len);
	memset(zone_of(cache, object), byte, len);
	hide(zone_of(cache, object), len);
}

static bool zone_is(const struct quire_cache *cache, const void *object, unsigned char byte)
{
	return cache->zone_end == 0 ||
	       all_bytes(zone_of(cache, object), (const unsigned char *)object + cache->zone_end, byte);
}

/* A constructed object keeps its state while it is free; a huge one has its link within. */
static bool has_poison(const struct quire_cache *cache)
{
	return !cache->ctor && cache->zone_end != 0;
}

static void make_free(struct quire_cache *cache, void *object)
{
	set_zone(cache, object, ZONE_FREE);
	if (has_poison(cache)) {
		memset(object, POISON, cache->size);
		((unsigned char *)object)[cache->size - 1] = POISON_END;
	}
	hide(object, cache->zone_end);
}

void quire_slab_debug_make(struct quire_cache *cache, void *object)
{
	make_free(cache, object);
}

void quire_slab_debug_unmake(struct quire_cache *cache, void *first)
{
	show(first, QUIRE_PAGE_SIZE << cache->order);
}

void quire_slab_debug_alloc(struct quire *q, struct quire_cache *cache, void *object)
{
	const unsigned char *bytes = object;

	show(object, cache->size);
	if (!zone_is(cache, object, ZONE_FREE))
		quire_report(q, "slab: the red zone of a free object was overwritten", (uintptr_t)object);
	else if (has_poison(cache) && (!all_bytes(bytes, bytes + cache->size - 1, POISON) ||
				       bytes[cache->size - 1] != POISON_END))
		quire_report(q, "slab: an object was written to after it was freed", (uintptr_t)object);
	set_zone(cache, object, ZONE_USED);
}

bool quire_slab_debug_free(struct quire *q, struct quire_cache *cache, void *object)
{
	struct quire_page *slab = quire_slab_of(q, object);

	if (!slab || slab->owner != cache) {
		quire_report(q, "slab: freed into the wrong cache", (uintptr_t)object);
		return false;
	}
	if (quire_slab_object(q, slab, object) != object) {
		quire_report(q, "slab: what was freed is not the start of an object", (uintptr_t)object);
		return false;
	}
	if (cache->zone_end != 0 && zone_is(cache, object, ZONE_FREE)) {
		quire_report(q, "slab: freed twice", (uintptr_t)object);
		return false;
	}
	if (!zone_is(cache, object, ZONE_USED))
		quire_report(q, "slab: the red zone behind an object was overwritten", (uintptr_t)object);
	make_free(cache, object);
	return true;
}

bool quire_slab_debug_in_use(const struct quire_cache *cache, const void *object)
{
	return zone_is(cache, object, ZONE_USED);
}

#endif

/* SPDX-License-Identifier: MIT */
/* What the files of the slab room share. Nobody else includes this. */
#ifndef QUIRE_SRC_SLAB_INTERNAL_H
#define QUIRE_SRC_SLAB_INTERNAL_H

#include <quire/quire.h>

/* ---- slab.c ---- */

/* The head page of the slab that ptr points into; NULL if ptr is not in a slab. */
struct quire_page *quire_slab_of(struct quire *q, const void *ptr);

/* The object of this slab that the byte at ptr belongs to. */
void *quire_slab_object(struct quire *q, const struct quire_page *slab, const void *ptr);

/* The link of an object that is free in its slab. */
static inline void **quire_slab_link(const struct quire_cache *cache, void *object)
{
	return (void **)(void *)((char *)object + cache->link_offset);
}

/* ---- debug.c: empty in release builds ---- */

#if QUIRE_DEBUG
/* An object of a slab that is being made: free from now on. After its constructor. */
void quire_slab_debug_make(struct quire_cache *cache, void *object);
/* A slab goes back to the page allocator, whose next user may touch all of it. */
void quire_slab_debug_unmake(struct quire_cache *cache, void *first);
/* An object goes out: is it as it was when it came? */
void quire_slab_debug_alloc(struct quire *q, struct quire_cache *cache, void *object);
/* An object comes back: is it one, of this cache, in use, whole? False: leave it alone. */
bool quire_slab_debug_free(struct quire *q, struct quire_cache *cache, void *object);
/* Is it in use, by its red zone? */
bool quire_slab_debug_in_use(const struct quire_cache *cache, const void *object);
#else
static inline void quire_slab_debug_make(struct quire_cache *cache, void *object)
{
}
static inline void quire_slab_debug_unmake(struct quire_cache *cache, void *first)
{
}
static inline void quire_slab_debug_alloc(struct quire *q, struct quire_cache *cache, void *object)
{
}
static inline bool quire_slab_debug_free(struct quire *q, struct quire_cache *cache, void *object)
{
	return true;
}
#endif

#endif

/* SPDX-License-Identifier: MIT */
/*
 * For the tests of the index: an index on a host of its own, and beside it the model, a sorted array.
 * Link with --wrap=quire_cache_alloc.
 */
#ifndef QUIRE_TESTS_INDEX_WORLD_H
#define QUIRE_TESTS_INDEX_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port_host.h"

#include "vma/index.h"

#define PAGE QUIRE_PAGE_SIZE
/* With 32 bits: all that there is. */
#define SPACE_END (HAS_WIDE ? UINT64_C(0x7ffffffff000) : (uint64_t)(PAGE_NONE - 1) << QUIRE_PAGE_SHIFT)
/* Pages that random areas lie in: one leaf's offsets reach from any of them to any other. */
#define NEAR_PAGES (HAS_WIDE ? UINT64_C(1) << 32 : SPACE_END / PAGE)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#else
#define SLOW 0
#endif

/* ---- Allocations that fail --------------------------------------------------------------- */

static uint64_t allocations;	      /* of nodes so far */
static uint64_t fail_at = UINT64_MAX; /* the one that fails, and all after it */

void *__real_quire_cache_alloc(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp);
void *__wrap_quire_cache_alloc(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp);

void *__wrap_quire_cache_alloc(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp)
{
	if (allocations++ >= fail_at)
		return NULL;
	return __real_quire_cache_alloc(q, cache, gfp);
}

/* ---- An index and its model -------------------------------------------------------------- */

struct world {
	struct host *h;
	struct quire *q;
	struct quire_index ix;
	struct quire_vma **area; /* the model: sorted */
	size_t n, room;
	uint64_t random;
};

static inline struct world *world_new(uint64_t ram, unsigned cpus)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->h = host_new_ready(ram, cpus);
	w->q = &w->h->q;
	w->random = 88172645463325252u;
	assert_int_equal(quire_index_init_instance(w->q), 0);
	quire_index_init(&w->ix, SPACE_END);
	return w;
}

static inline uint64_t node_objects(struct world *w)
{
	struct quire_cache_stat a, b;

	quire_cache_stat(w->q, &w->q->index_cache, &a);
	quire_cache_stat(w->q, &w->q->index_inner_cache, &b);
	return a.active_objects + b.active_objects;
}

static inline void world_delete(struct world *w)
{
	size_t i;

	quire_index_destroy(w->q, &w->ix);
	assert_null(quire_index_find(&w->ix, 0));
	assert_int_equal(w->ix.count, 0);
	quire_grace_wait(w->q);
	assert_int_equal(node_objects(w), 0);
	assert_int_equal(quire_cache_destroy(w->q, &w->q->index_cache), 0);
	assert_int_equal(quire_cache_destroy(w->q, &w->q->index_inner_cache), 0);
	for (i = 0; i < w->n; i++)
		free(w->area[i]);
	free(w->area);
	host_delete(w->h);
	free(w);
}

static inline uint64_t below(struct world *w, uint64_t n)
{
	return n ? host_random(&w->random) % n : 0;
}

static inline struct quire_vma *area_new(uint64_t start_page, uint64_t end_page)
{
	struct quire_vma *vma = calloc(1, sizeof(*vma));

	assert_non_null(vma);
	vma->start = start_page << QUIRE_PAGE_SHIFT;
	vma->end = end_page << QUIRE_PAGE_SHIFT;
	return vma;
}

/* How many of the model's areas end at or before addr: the place of the answer to find(addr). */
static inline size_t model_upto(const struct world *w, quire_uaddr_t addr)
{
	size_t from = 0, to = w->n;

	while (from < to) {
		size_t mid = (from + to) / 2;

		if (w->area[mid]->end <= addr)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static inline struct quire_vma *model_at(const struct world *w, size_t i)
{
	return i < w->n ? w->area[i] : NULL;
}

static inline void assert_whole(const struct quire_index *ix)
{
	quire_broken_t broken = quire_index_check(ix);

	if (broken)
		fail_msg("%s", broken);
}

static inline void assert_sound(const struct world *w)
{
	assert_whole(&w->ix);
	assert_int_equal(w->ix.count, w->n);
}

/* Everything that a reader can ask about addr. */
static inline void assert_reads(const struct world *w, quire_uaddr_t addr)
{
	size_t i = model_upto(w, addr);
	struct quire_vma *vma = model_at(w, i), *prev = i ? w->area[i - 1] : NULL, *got;

	assert_ptr_equal(quire_index_find(&w->ix, addr), vma);
	assert_ptr_equal(quire_index_find_prev(&w->ix, addr, &got), vma);
	assert_ptr_equal(got, prev);
	assert_ptr_equal(quire_index_before(&w->ix, addr), prev);
	assert_ptr_equal(quire_index_intersection(&w->ix, addr, addr + 3 * PAGE),
			 vma && vma->start < addr + 3 * PAGE ? vma : NULL);
}

static inline void assert_walks(const struct world *w, quire_uaddr_t addr)
{
	struct quire_index_walk walk;
	size_t i;

	quire_index_walk_start(&walk, &w->ix, addr);
	for (i = model_upto(w, addr); i < w->n; i++)
		assert_ptr_equal(quire_index_walk_next(&walk), w->area[i]);
	assert_null(quire_index_walk_next(&walk));
	assert_null(quire_index_walk_next(&walk));
}

/* Around every bound. */
static inline void assert_same(const struct world *w)
{
	size_t i;

	assert_sound(w);
	assert_walks(w, 0);
	assert_reads(w, 0);
	assert_reads(w, UINT64_MAX);
	assert_ptr_equal(quire_index_first(&w->ix), model_at(w, 0));
	assert_ptr_equal(quire_index_last(&w->ix), w->n ? w->area[w->n - 1] : NULL);
	for (i = 0; i < w->n; i++) {
		assert_reads(w, w->area[i]->start - 1);
		assert_reads(w, w->area[i]->start);
		assert_reads(w, w->area[i]->end - 1);
		assert_reads(w, w->area[i]->end);
	}
}

/* The model's part of a splice; the old areas are freed. */
static inline void model_replace(struct world *w, size_t at, size_t n_old,
				 struct quire_vma *const *areas, size_t n)
{
	size_t i;

	if (w->n - n_old + n > w->room) {
		w->room = (w->n - n_old + n) * 2;
		w->area = realloc(w->area, w->room * sizeof(*w->area));
		assert_non_null(w->area);
	}
	for (i = 0; i < n_old; i++)
		free(w->area[at + i]);
	if (at + n_old < w->n)
		memmove(w->area + at + n, w->area + at + n_old,
			(w->n - at - n_old) * sizeof(*w->area));
	if (n)
		memcpy(w->area + at, areas, n * sizeof(*w->area));
	w->n = w->n - n_old + n;
}

/*
 * Areas [at, at + n_old) out, areas in; in index and model. start and end: the splice's range.
 * spare: so many more are reserved for than come.
 */
static inline void replace(struct world *w, quire_uaddr_t start, quire_uaddr_t end, size_t at,
			   size_t n_old, struct quire_vma *const *areas, size_t n, size_t spare)
{
	struct quire_splice s;

	assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, start, end, n + spare), 0);
	quire_splice_commit(w->q, &w->ix, &s, areas, n);
	assert_null(s.leaves);
	assert_null(s.inners);
	model_replace(w, at, n_old, areas, n);
}

/* One new area in free space. */
static inline void insert(struct world *w, uint64_t start_page, uint64_t end_page)
{
	struct quire_vma *vma = area_new(start_page, end_page);

	replace(w, vma->start, vma->end, model_upto(w, vma->start), 0, &vma, 1, 0);
}

static inline void erase(struct world *w, size_t at)
{
	replace(w, w->area[at]->start, w->area[at]->end, at, 1, NULL, 0, 0);
}

static inline uint64_t page_before(const struct world *w, size_t at)
{
	return at ? w->area[at - 1]->end >> QUIRE_PAGE_SHIFT : 0;
}

static inline uint64_t page_after(const struct world *w, size_t at, uint64_t end)
{
	return at < w->n ? w->area[at]->start >> QUIRE_PAGE_SHIFT : end;
}

/*
 * The n_old areas from place at on, and what is free around them, replaced by up to n new ones at
 * random places. Returns how many fitted.
 */
static inline size_t replace_at_random(struct world *w, size_t at, size_t n_old, size_t n,
				       uint64_t end_page, size_t spare)
{
	uint64_t low = page_before(w, at), high = page_after(w, at + n_old, end_page), from, to, p;
	struct quire_vma **areas;
	size_t i, got = 0;

	/* The range: some of the free stretches on both sides. */
	if (n_old) {
		from = (w->area[at]->start >> QUIRE_PAGE_SHIFT);
		to = (w->area[at + n_old - 1]->end >> QUIRE_PAGE_SHIFT);
		from -= below(w, from - low + 1);
		to += below(w, high - to + 1);
	} else {
		if (low == high)
			return 0;
		from = low + below(w, high - low);
		to = from + 1 + below(w, high - from);
	}
	areas = calloc(n + 1, sizeof(*areas));
	assert_non_null(areas);
	p = from;
	for (i = 0; i < n && p < to; i++) {
		uint64_t each = (to - p) / (n - i), start, end;

		/* With and without free stretches between. */
		start = p + (below(w, 3) ? 0 : below(w, each));
		if (start >= to)
			break;
		end = start + 1 + below(w, each > 1 ? each - (start - p) : 1);
		if (end > to)
			end = to;
		areas[got++] = area_new(start, end);
		p = end;
	}
	replace(w, from << QUIRE_PAGE_SHIFT, to << QUIRE_PAGE_SHIFT, at, n_old, areas, got, spare);
	free(areas);
	return got;
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

#endif

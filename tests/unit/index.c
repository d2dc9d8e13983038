/* SPDX-License-Identifier: MIT */
/*
 * The index of areas against the obvious: a sorted array. Long random sequences of splices of every shape, with
 * all equations checked; lookups, walks, gap searches; allocations that fail; readers without a lock
 * beside a writer.
 */
#define _GNU_SOURCE
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
#define SPACE_END (UINT64_C(0x7ffffffff000))

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#else
#define SLOW 0
#endif

/* ---- Allocations that fail --------------------------------------------------------------- */

static uint64_t allocations;     /* of nodes so far */
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

static struct world *world_new(uint64_t ram, unsigned cpus)
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

static uint64_t node_objects(struct world *w)
{
	struct quire_cache_stat a, b;

	quire_cache_stat(w->q, &w->q->index_cache, &a);
	quire_cache_stat(w->q, &w->q->index_inner_cache, &b);
	return a.active_objects + b.active_objects;
}

static void world_delete(struct world *w)
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

static uint64_t below(struct world *w, uint64_t n)
{
	return n ? host_random(&w->random) % n : 0;
}

static struct quire_vma *area_new(uint64_t start_page, uint64_t end_page)
{
	struct quire_vma *vma = calloc(1, sizeof(*vma));

	assert_non_null(vma);
	vma->start = start_page << QUIRE_PAGE_SHIFT;
	vma->end = end_page << QUIRE_PAGE_SHIFT;
	return vma;
}

/* How many of the model's areas end at or before addr: the place of the answer to find(addr). */
static size_t model_upto(const struct world *w, quire_uaddr_t addr)
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

static struct quire_vma *model_at(const struct world *w, size_t i)
{
	return i < w->n ? w->area[i] : NULL;
}

static void assert_whole(const struct quire_index *ix)
{
	quire_broken_t broken = quire_index_check(ix);

	if (broken)
		fail_msg("%s", broken);
}

static void assert_sound(const struct world *w)
{
	assert_whole(&w->ix);
	assert_int_equal(w->ix.count, w->n);
}

/* Everything that a reader can ask about addr. */
static void assert_reads(const struct world *w, quire_uaddr_t addr)
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

static void assert_walks(const struct world *w, quire_uaddr_t addr)
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
static void assert_same(const struct world *w)
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
static void model_replace(struct world *w, size_t at, size_t n_old, struct quire_vma *const *areas, size_t n)
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
		memmove(w->area + at + n, w->area + at + n_old, (w->n - at - n_old) * sizeof(*w->area));
	if (n)
		memcpy(w->area + at, areas, n * sizeof(*w->area));
	w->n = w->n - n_old + n;
}

/*
 * Areas [at, at + n_old) out, areas in; in index and model. start and end: the splice's range. spare:
 * so many more are reserved for than come.
 */
static void replace(struct world *w, quire_uaddr_t start, quire_uaddr_t end, size_t at, size_t n_old,
		    struct quire_vma *const *areas, size_t n, size_t spare)
{
	struct quire_splice s;

	assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, start, end, n + spare), 0);
	quire_splice_commit(w->q, &w->ix, &s, areas, n);
	assert_null(s.leaves);
	assert_null(s.inners);
	model_replace(w, at, n_old, areas, n);
}

/* One new area in free space. */
static void insert(struct world *w, uint64_t start_page, uint64_t end_page)
{
	struct quire_vma *vma = area_new(start_page, end_page);

	replace(w, vma->start, vma->end, model_upto(w, vma->start), 0, &vma, 1, 0);
}

static void erase(struct world *w, size_t at)
{
	replace(w, w->area[at]->start, w->area[at]->end, at, 1, NULL, 0, 0);
}

static uint64_t page_before(const struct world *w, size_t at)
{
	return at ? w->area[at - 1]->end >> QUIRE_PAGE_SHIFT : 0;
}

static uint64_t page_after(const struct world *w, size_t at, uint64_t end)
{
	return at < w->n ? w->area[at]->start >> QUIRE_PAGE_SHIFT : end;
}

/*
 * The n_old areas from place at on, and what is free around them, replaced by up to n new ones at random
 * places. Returns how many fitted.
 */
static size_t replace_at_random(struct world *w, size_t at, size_t n_old, size_t n, uint64_t end_page, size_t spare)
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

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* ---- Readers ----------------------------------------------------------------------------- */

static void test_empty(void **state)
{
	struct world *w = world_new(16 << 20, 1);
	struct quire_vma *prev = (struct quire_vma *)w;

	(void)state;
	assert_same(w);
	assert_ptr_equal(quire_index_find_prev(&w->ix, 4096, &prev), NULL);
	assert_null(prev);
	assert_int_equal(quire_index_bytes(&w->ix), 0);
	world_delete(w);
}

static void test_one_area(void **state)
{
	struct world *w = world_new(16 << 20, 1);
	struct quire_vma *vma, *prev;

	(void)state;
	insert(w, 16, 18);
	vma = w->area[0];
	assert_ptr_equal(quire_index_find(&w->ix, 0), vma);
	assert_ptr_equal(quire_index_find(&w->ix, 16 * PAGE), vma);
	assert_ptr_equal(quire_index_find(&w->ix, 18 * PAGE - 1), vma);
	assert_null(quire_index_find(&w->ix, 18 * PAGE));
	assert_null(quire_index_find_prev(&w->ix, 18 * PAGE, &prev));
	assert_ptr_equal(prev, vma);
	assert_null(quire_index_before(&w->ix, 18 * PAGE - 1));
	assert_ptr_equal(quire_index_before(&w->ix, 18 * PAGE), vma);
	assert_null(quire_index_intersection(&w->ix, 0, 16 * PAGE));
	assert_ptr_equal(quire_index_intersection(&w->ix, 0, 16 * PAGE + 1), vma);
	assert_null(quire_index_intersection(&w->ix, 18 * PAGE, 20 * PAGE));
	assert_same(w);
	erase(w, 0);
	assert_same(w);
	assert_int_equal(quire_index_bytes(&w->ix), 0);
	world_delete(w);
}

/*
 * A walk by the writer that changes what it walks over, as mprotect does:
 *
 *   before   |--A--|  |--B--|  |--C--|          the walk is behind A
 *   splice            |-b1-|-b2-|               B and some free space go
 *   next              b1, b2, C
 */
static void test_walk_sees_own_changes(void **state)
{
	struct world *w = world_new(16 << 20, 1);
	struct quire_index_walk walk;
	struct quire_vma *b[2];

	(void)state;
	insert(w, 10, 20);
	insert(w, 30, 40);
	insert(w, 50, 60);
	quire_index_walk_start(&walk, &w->ix, 0);
	assert_ptr_equal(quire_index_walk_next(&walk), w->area[0]);
	b[0] = area_new(30, 35);
	b[1] = area_new(35, 45);
	replace(w, 30 * PAGE, 45 * PAGE, 1, 1, b, 2, 0);
	assert_ptr_equal(quire_index_walk_next(&walk), b[0]);
	assert_ptr_equal(quire_index_walk_next(&walk), b[1]);
	/* What it stands behind can go, too. */
	erase(w, 2);
	assert_ptr_equal(quire_index_walk_next(&walk), w->area[2]);
	assert_null(quire_index_walk_next(&walk));
	/* And something new can come above. */
	insert(w, 70, 80);
	assert_ptr_equal(quire_index_walk_next(&walk), w->area[3]);
	world_delete(w);
}

/* ---- Splices ----------------------------------------------------------------------------- */

/* Every number of areas out and in, at every place, in trees of one, two and three levels. */
static void test_shapes(void **state)
{
	static const size_t sizes[] = { 1, 2, 14, 15, 16, 17, 45, 100, 150, 151, 400 };
	size_t k, at, n_old, n_new, step = SLOW ? 7 : 1;

	(void)state;
	for (k = 0; k < QUIRE_ARRAY_SIZE(sizes); k++) {
		size_t size = sizes[k];
		struct world *w = world_new(64 << 20, 1);

		for (at = 0; at < size; at += 1 + size / 40) {
			for (n_old = 0; n_old <= min_size(size - at, 34); n_old += n_old < 4 ? 1 : 5) {
				for (n_new = 0; n_new <= 34; n_new += (n_new < 4 ? 1 : 5) * step) {
					uint64_t p = 40;

					/* Back to size areas, four pages with one to four free ones between. */
					while (w->n)
						replace(w, w->area[0]->start, w->area[w->n - 1]->end, 0, w->n, NULL, 0, 0);
					while (w->n < size) {
						insert(w, p, p + 40);
						p += 40 + (w->n % 5);
					}
					(void)replace_at_random(w, at, n_old, n_new, p + 100, n_new % 3);
					assert_sound(w);
					assert_walks(w, 0);
				}
			}
		}
		world_delete(w);
	}
}

/* Little space and few areas: everything is near everything. */
static void test_random_small(void **state)
{
	struct world *w = world_new(64 << 20, 1);
	unsigned round, rounds = SLOW ? 5000 : 60000;

	(void)state;
	for (round = 0; round < rounds; round++) {
		/* Grows and shrinks in turns. */
		bool grow = (round / 300) % 2 == 0;
		size_t at = below(w, w->n + 1), n_old = below(w, min_size(w->n - at, grow ? 2 : 5) + 1);

		(void)replace_at_random(w, at, n_old, below(w, grow ? 6 : 3), 600, below(w, 3));
		assert_sound(w);
		assert_reads(w, below(w, 620) * PAGE + below(w, 2) * 77);
		if (round % 64 == 0)
			assert_same(w);
	}
	world_delete(w);
}

/* Many areas, and at times a splice over very many. */
static void test_random_large(void **state)
{
	struct world *w = world_new(256 << 20, 1);
	unsigned round, i, rounds = SLOW ? 12 : 60;

	(void)state;
	for (round = 0; round < rounds; round++) {
		unsigned ops = 2000;
		bool grow = round % 6 < 4;

		for (i = 0; i < ops; i++) {
			size_t at = below(w, w->n + 1), n_old, n_new;

			n_old = below(w, min_size(w->n - at, grow ? 2 : 4) + 1);
			n_new = below(w, grow ? 4 : 3);
			if (below(w, 200) == 0) {
				n_old = below(w, min_size(w->n - at, 300) + 1);
				n_new = below(w, grow ? 600 : 100);
			}
			(void)replace_at_random(w, at, n_old, n_new, UINT64_C(1) << 32, below(w, 4) ? 0 : below(w, 9));
			if (i % 16 == 0)
				assert_reads(w, below(w, UINT64_C(1) << 32) * PAGE);
			if (i % 100 == 0)
				assert_sound(w);
		}
		assert_same(w);
		if (round % 20 == 19) {
			size_t n = below(w, 50);

			(void)replace_at_random(w, 0, w->n, n, UINT64_C(1) << 32, 0);
			assert_same(w);
		}
	}
	world_delete(w);
}

/* All of it out at once, and in at once. */
static void test_all_at_once(void **state)
{
	static const size_t sizes[] = { 1, 15, 16, 31, 150, 151, 240, 360, 361, 2000, 8640, 8641, 100000 };
	size_t i, j;

	(void)state;
	for (i = 0; i < QUIRE_ARRAY_SIZE(sizes); i++) {
		struct world *w = world_new(256 << 20, 1);
		struct quire_vma **areas = calloc(sizes[i], sizeof(*areas));

		for (j = 0; j < sizes[i]; j++)
			areas[j] = area_new(10 + 3 * j, 12 + 3 * j);
		replace(w, 10 * PAGE, (12 + 3 * sizes[i]) * PAGE, 0, 0, areas, sizes[i], 0);
		assert_same(w);
		/* All leaves but one are full. */
		assert_true(quire_index_bytes(&w->ix) <= (sizes[i] / 15 + 1) * LEAF_NODE_SIZE * 12 / 10 + INNER_NODE_SIZE);
		replace(w, 0, SPACE_END, 0, sizes[i], NULL, 0, 0);
		assert_same(w);
		assert_int_equal(quire_index_bytes(&w->ix), 0);
		free(areas);
		world_delete(w);
	}
}

/* Areas so far apart that one leaf's offsets don't reach from one to the next. */
static void test_far_apart(void **state)
{
	struct world *w = world_new(64 << 20, 1);
	uint64_t end = UINT64_C(1) << 50;
	unsigned round, rounds = SLOW ? 3000 : 30000;

	(void)state;
	quire_index_init(&w->ix, end << QUIRE_PAGE_SHIFT);
	for (round = 0; round < rounds; round++) {
		bool grow = (round / 500) % 2 == 0;
		size_t at = below(w, w->n + 1), n_old = below(w, min_size(w->n - at, grow ? 2 : 5) + 1);

		(void)replace_at_random(w, at, n_old, below(w, grow ? 5 : 3), end, below(w, 3));
		assert_sound(w);
		if (round % 50 == 0)
			assert_same(w);
	}
	world_delete(w);
}

/* A full leaf that overflows into a neighbour so far away that all of it must be wide. */
static void test_far_neighbour(void **state)
{
	size_t n, i, j;

	(void)state;
	for (n = 1; n <= 40; n++) {
		struct world *w = world_new(16 << 20, 1);
		struct quire_vma *areas[40];

		/* Two leaves low, one high; all full. */
		for (i = 0; i < 2 * LEAF_SLOTS; i++)
			insert(w, 100 * i, 100 * i + 10);
		for (i = 0; i < LEAF_SLOTS; i++)
			insert(w, (UINT64_C(1) << 33) + 100 * i, (UINT64_C(1) << 33) + 100 * i + 10);
		for (j = 0; j < n; j++)
			areas[j] = area_new(2011 + 2 * j, 2012 + 2 * j);
		replace(w, 2011 * PAGE, (2011 + 2 * n) * PAGE, 21, 0, areas, n, 0);
		assert_same(w);
		world_delete(w);
	}
}

/* A heap low and mappings high, as programs have them; the two grow and shrink. */
static void test_two_regions(void **state)
{
	struct world *w = world_new(64 << 20, 1);
	uint64_t low = UINT64_C(0x555555554), high = UINT64_C(0x7ffff7fff);
	unsigned round;

	(void)state;
	insert(w, low, low + 3);
	insert(w, high, high + 8);
	for (round = 0; round < 4000; round++) {
		size_t at = below(w, w->n);

		if (w->n > 60 + below(w, 40)) {
			erase(w, at);
		} else if (below(w, 2) && page_after(w, at, high) > page_before(w, at) + 20) {
			/* Just below an area. */
			insert(w, page_after(w, at, high) - 1 - below(w, 10), page_after(w, at, high));
		} else {
			uint64_t p = w->area[at]->end >> QUIRE_PAGE_SHIFT;

			if (page_after(w, at + 1, p + 100) > p + 20)
				insert(w, p + below(w, 10), p + 11);
		}
		assert_sound(w);
		if (round % 20 == 0)
			assert_same(w);
	}
	world_delete(w);
}

/* Reserved and not used: nothing has happened, nothing is lost. */
static void test_cancel(void **state)
{
	struct world *w = world_new(64 << 20, 1);
	unsigned i;

	(void)state;
	for (i = 0; i < 1000; i++)
		insert(w, 10 + 20 * i, 20 + 20 * i);
	for (i = 0; i < 3000; i++) {
		size_t at = below(w, w->n), n_old = below(w, min_size(w->n - at, i % 10 ? 3 : 300) + 1);
		quire_uaddr_t start = w->area[at]->start, end = n_old ? w->area[at + n_old - 1]->end : start + PAGE;
		struct quire_splice s;
		uint64_t nodes;

		if (!n_old) {
			start = w->area[at]->end;
			end = start + PAGE;
		}
		quire_grace_wait(w->q);
		nodes = node_objects(w);
		assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, start, end, below(w, 40)), 0);
		quire_splice_cancel(w->q, &w->ix, &s);
		assert_int_equal(node_objects(w), nodes);
		if (i % 100 == 0)
			assert_same(w);
	}
	world_delete(w);
}

/* The k-th allocation fails, for every k: an error, nothing changed, nothing lost; then it works. */
static void test_no_memory(void **state)
{
	struct world *w = world_new(64 << 20, 1);
	unsigned i;

	(void)state;
	for (i = 0; i < (SLOW ? 1000 : 6000); i++) {
		size_t at = below(w, w->n + 1), n_old = below(w, min_size(w->n - at, i % 10 ? 2 : 90) + 1);
		uint64_t low = page_before(w, at), high = page_after(w, at + n_old, 50000), nodes, k;
		quire_uaddr_t start = low * PAGE, end = high * PAGE;
		struct quire_splice s;
		size_t n = below(w, i % 7 ? 4 : 200);
		int err;

		if (low == high)
			continue;
		quire_grace_wait(w->q);
		nodes = node_objects(w);
		for (k = 0;; k++) {
			allocations = 0;
			fail_at = k;
			err = quire_splice_reserve(w->q, &w->ix, &s, start, end, n);
			fail_at = UINT64_MAX;
			if (!err)
				break;
			assert_int_equal(err, -QUIRE_ENOMEM);
			assert_int_equal(node_objects(w), nodes);
			if (k < 3)
				assert_sound(w);
		}
		assert_true(allocations <= k);
		quire_splice_cancel(w->q, &w->ix, &s);
		assert_int_equal(node_objects(w), nodes);
		if (i % 50 == 0)
			assert_same(w);
		(void)replace_at_random(w, at, n_old, n, 50000, 0);
	}
	assert_same(w);
	world_delete(w);
}

/* A million areas come in ascending order, and go and come at random. */
static void test_million(void **state)
{
	size_t n = SLOW ? 50000 : 1000000, i;
	struct world *w = world_new(512 << 20, 1);
	struct quire_vma *areas = calloc(n, sizeof(*areas)), *vma;
	struct quire_splice s;
	uint32_t *order = calloc(n, sizeof(*order));

	(void)state;
	assert_non_null(areas);
	assert_non_null(order);
	for (i = 0; i < n; i++) {
		areas[i].start = (16 + 20 * i + i % 5) * PAGE;
		areas[i].end = areas[i].start + (1 + i % 16) * PAGE;
		order[i] = (uint32_t)i;
		vma = &areas[i];
		assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, vma->start, vma->end, 1), 0);
		quire_splice_commit(w->q, &w->ix, &s, &vma, 1);
	}
	assert_whole(&w->ix);
	assert_int_equal(w->ix.count, n);
	assert_true(quire_index_bytes(&w->ix) <= 18 * n);
	for (i = n; i > 1; i--) {
		size_t j = below(w, i);
		uint32_t tmp = order[j];

		order[j] = order[i - 1];
		order[i - 1] = tmp;
	}
	for (i = 0; i < n; i++) {
		vma = &areas[order[i]];
		assert_ptr_equal(quire_index_find(&w->ix, vma->end - 1), vma);
		assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, vma->start, vma->end, 0), 0);
		quire_splice_commit(w->q, &w->ix, &s, NULL, 0);
		assert_int_equal(w->ix.count, n - i - 1);
		if (i % (n / 10) == 0)
			assert_whole(&w->ix);
	}
	assert_int_equal(quire_index_bytes(&w->ix), 0);
	for (i = 0; i < n; i++) {
		vma = &areas[order[i]];
		assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, vma->start, vma->end, 1), 0);
		quire_splice_commit(w->q, &w->ix, &s, &vma, 1);
		if (i % (n / 10) == 0)
			assert_whole(&w->ix);
	}
	assert_whole(&w->ix);
	assert_true(quire_index_bytes(&w->ix) <= 24 * n);
	for (i = 0; i < n; i++)
		assert_ptr_equal(quire_index_find(&w->ix, areas[i].start), &areas[i]);
	free(areas);
	free(order);
	world_delete(w);
}

/* What the index takes: at most 24 bytes an area, in whatever order a hundred of them come. */
static void test_bytes(void **state)
{
	unsigned round, i;

	(void)state;
	for (round = 0; round < 20; round++) {
		struct world *w = world_new(16 << 20, 1);

		w->random += round;
		while (w->n < 100) {
			uint64_t p = below(w, 100000) * 4;
			size_t at = model_upto(w, p * PAGE);

			if (page_after(w, at, UINT64_MAX) >= p + 3)
				insert(w, p, p + 2);
		}
		assert_sound(w);
		assert_true(quire_index_bytes(&w->ix) <= 100 * 24);
		while (w->n)
			erase(w, below(w, w->n));
		for (i = 0; i < 100; i++)
			insert(w, round ? 1000 - 5 * i : 5 * i, round ? 1002 - 5 * i : 2 + 5 * i);
		assert_sound(w);
		assert_true(quire_index_bytes(&w->ix) <= 100 * 22);
		world_delete(w);
	}
}

/* ---- Gaps -------------------------------------------------------------------------------- */

/* [a, a + size) is free, and in the window. */
static bool model_fits(const struct world *w, const struct quire_gap_request *rq, quire_uaddr_t a)
{
	const struct quire_vma *next = model_at(w, model_upto(w, a));

	if (a < rq->low || a + rq->size > rq->high || ((a - rq->offset) & (rq->align - 1)))
		return false;
	return a + rq->size <= w->ix.end && (!next || a + rq->size <= next->start);
}

/* Where the guard of the area behind a begins; UINT64_MAX: it has none. */
static quire_uaddr_t model_guard(const struct world *w, const struct quire_gap_request *rq, quire_uaddr_t a)
{
	const struct quire_vma *next = model_at(w, model_upto(w, a));

	if (!next || !(next->flags & QUIRE_VM_GROWSDOWN))
		return UINT64_MAX;
	return next->start > rq->guard ? next->start - rq->guard : 0;
}

/* Page by page. */
static int model_lowest(const struct world *w, const struct quire_gap_request *rq, uint64_t pages,
			quire_uaddr_t *addr)
{
	quire_uaddr_t a;

	for (a = 0; a < pages * PAGE; a += PAGE) {
		if (model_fits(w, rq, a) && a + rq->size <= model_guard(w, rq, a)) {
			*addr = a;
			return 0;
		}
	}
	return -QUIRE_ENOMEM;
}

/* A guard in the way: from there on all must be below its beginning. */
static int model_highest(const struct world *w, const struct quire_gap_request *rq, uint64_t pages,
			 quire_uaddr_t *addr)
{
	struct quire_gap_request below = *rq;
	quire_uaddr_t a;

	for (a = pages * PAGE; a; a -= PAGE) {
		quire_uaddr_t at = a - PAGE;

		if (!model_fits(w, &below, at))
			continue;
		if (at + rq->size <= model_guard(w, rq, at)) {
			*addr = at;
			return 0;
		}
		below.high = model_guard(w, rq, at);
	}
	return -QUIRE_ENOMEM;
}

static void assert_gaps(const struct world *w, const struct quire_gap_request *rq, uint64_t pages)
{
	quire_uaddr_t want = 1, got = 1;
	int err;

	err = model_lowest(w, rq, pages, &want);
	assert_int_equal(quire_index_lowest_gap(&w->ix, rq, &got), err);
	assert_int_equal(got, want);
	want = 1;
	got = 1;
	err = model_highest(w, rq, pages, &want);
	assert_int_equal(quire_index_highest_gap(&w->ix, rq, &got), err);
	assert_int_equal(got, want);
}

static void test_gaps(void **state)
{
	unsigned round, rounds = SLOW ? 30 : 300, i;

	(void)state;
	for (round = 0; round < rounds; round++) {
		struct world *w = world_new(32 << 20, 1);
		uint64_t pages = 400 + 40 * below(w, 60);
		size_t n;

		w->random += round * 7919;
		n = below(w, round % 3 ? 300 : 12);
		w->ix.end = pages * PAGE;
		for (i = 0; i < n; i++)
			(void)replace_at_random(w, below(w, w->n + 1), 0, 1 + below(w, 3), pages, 0);
		for (i = 0; i < w->n; i++)
			if (below(w, 10) == 0)
				w->area[i]->flags |= QUIRE_VM_GROWSDOWN;
		assert_sound(w);
		for (i = 0; i < 200; i++) {
			struct quire_gap_request rq;

			rq.low = below(w, 3) ? below(w, pages) * PAGE : 0;
			rq.high = below(w, 3) ? below(w, pages + 30) * PAGE : UINT64_MAX;
			rq.size = (1 + below(w, below(w, 4) ? 8 : pages)) * PAGE;
			if (below(w, 3) == 0)
				rq.high = rq.low + rq.size + below(w, 4) * PAGE;
			rq.align = PAGE << below(w, below(w, 2) ? 6 : 1);
			rq.offset = below(w, rq.align / PAGE) * PAGE;
			rq.guard = below(w, 2) * below(w, 40) * PAGE;
			assert_gaps(w, &rq, pages);
		}
		world_delete(w);
	}
}

/* No area, no gap below the first byte nor behind the last one. */
static void test_gaps_at_the_edges(void **state)
{
	struct world *w = world_new(16 << 20, 1);
	struct quire_gap_request rq = { .low = 0, .high = 100 * PAGE, .size = 100 * PAGE, .align = PAGE };
	quire_uaddr_t got = 1;

	(void)state;
	w->ix.end = 100 * PAGE;
	assert_int_equal(quire_index_lowest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, 0);
	rq.size = 101 * PAGE;
	assert_int_equal(quire_index_lowest_gap(&w->ix, &rq, &got), -QUIRE_ENOMEM);
	assert_int_equal(quire_index_highest_gap(&w->ix, &rq, &got), -QUIRE_ENOMEM);
	rq.size = 10 * PAGE;
	assert_int_equal(quire_index_highest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, 90 * PAGE);
	/* Up to the very ends. */
	insert(w, 10, 90);
	assert_int_equal(quire_index_lowest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, 0);
	assert_int_equal(quire_index_highest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, 90 * PAGE);
	/* An area that grows down keeps its distance. */
	w->area[0]->flags |= QUIRE_VM_GROWSDOWN;
	rq.guard = PAGE;
	assert_int_equal(quire_index_lowest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, 90 * PAGE);
	rq.size = 9 * PAGE;
	assert_int_equal(quire_index_lowest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, 0);
	world_delete(w);
}

/* Gaps beyond what nodes can count, in a space of 57 bits. */
static void test_huge_gaps(void **state)
{
	struct world *w = world_new(16 << 20, 1);
	uint64_t tera = UINT64_C(1) << 40, i;
	struct quire_gap_request rq = { .low = PAGE, .high = UINT64_MAX, .align = PAGE };
	quire_uaddr_t got;

	(void)state;
	quire_index_init(&w->ix, UINT64_C(1) << 56);
	/* An area of a page every 20 TiB, and then one after 100. */
	for (i = 1; i <= 100; i++)
		insert(w, i * 20 * tera / PAGE, i * 20 * tera / PAGE + 1);
	insert(w, 2100 * tera / PAGE, 2100 * tera / PAGE + 1);
	assert_same(w);
	rq.size = 30 * tera;
	assert_int_equal(quire_index_lowest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, 2000 * tera + PAGE);
	rq.high = 2100 * tera;
	assert_int_equal(quire_index_highest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, 2070 * tera);
	rq.size = 20 * tera - 2 * PAGE;
	assert_int_equal(quire_index_lowest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, PAGE);
	rq.high = 2000 * tera;
	assert_int_equal(quire_index_highest_gap(&w->ix, &rq, &got), 0);
	assert_int_equal(got, 1980 * tera + 2 * PAGE);
	world_delete(w);
}

/* ---- Readers beside a writer ------------------------------------------------------------- */

/* An area that readers may look at; freed after a grace period. id is ALIVE until then. */
#define ALIVE 4711

struct shared_area {
	struct quire_vma vma;
	struct quire_deferred deferred;
};

static struct quire_vma *shared_new(quire_uaddr_t start, quire_uaddr_t end)
{
	struct shared_area *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	a->vma.start = start;
	a->vma.end = end;
	a->vma.id = ALIVE;
	return &a->vma;
}

static void shared_free(struct quire *q, struct quire_deferred *d)
{
	struct shared_area *a = quire_container_of(d, struct shared_area, deferred);

	(void)q;
	a->vma.id = 0;
	free(a);
}

static void shared_retire(struct quire *q, struct quire_vma *vma)
{
	quire_defer(q, &quire_container_of(vma, struct shared_area, vma)->deferred, shared_free);
}

/* In threads, where cmocka can't say it. */
static void must(bool yes, const char *what)
{
	if (!yes) {
		fprintf(stderr, "not so: %s\n", what);
		abort();
	}
}

static void splice(struct world *w, quire_uaddr_t start, quire_uaddr_t end, struct quire_vma *const *areas, size_t n)
{
	struct quire_splice s;

	must(quire_splice_reserve(w->q, &w->ix, &s, start, end, n) == 0, "memory");
	quire_splice_commit(w->q, &w->ix, &s, areas, n);
}

/*
 * CPU 0 splices, the others read. Some areas, the pillars, are never touched: a reader finds each, always, and
 * a walk passes all of them. Between two pillars the writer puts areas, takes them away, cuts and joins them; it
 * never leaves a free page in the even ones of these stretches, so a reader finds an area there, always.
 */
#define PILLARS 400u
#define STRIDE 64u
#define READERS 3u

struct traffic {
	struct world *w;
	uint64_t unit; /* bytes */
	uint32_t stop; /* atomic */
	uint64_t reads[READERS + 1];
};

static void writer(struct traffic *t)
{
	struct world *w = t->w;
	uint64_t random = 99991, unit = t->unit;
	unsigned round, rounds = SLOW ? 5000 : 100000;

	for (round = 0; round < rounds; round++) {
		/* Stretch p lies between pillars p and p + 1, both a unit long. */
		uint64_t p = host_random(&random) % (PILLARS - 1), many = host_random(&random) % 16 == 0 ? 6 : 1;
		uint64_t from = p * STRIDE + 1, to, at;
		struct quire_vma *areas[STRIDE * 6 + 6], *old[STRIDE * 6 + 6];
		struct quire_index_walk walk;
		struct quire_vma *vma;
		size_t n = 0, n_old = 0;

		if (p + many > PILLARS - 1)
			many = 1;
		to = (p + many) * STRIDE;
		for (at = from; at < to;) {
			uint64_t stretch = at / STRIDE, end = (stretch + 1) * STRIDE, length;

			if (at % STRIDE == 0) { /* a pillar: the same area stays */
				areas[n++] = w->area[stretch];
				at++;
				continue;
			}
			length = 1 + host_random(&random) % (round % 2000 < 1000 ? 6 : 60);
			if (at + length > end)
				length = end - at;
			if (stretch % 2 == 0 || host_random(&random) % 2)
				areas[n++] = shared_new(at * unit, (at + length) * unit);
			at += length;
		}
		quire_index_walk_start(&walk, &w->ix, from * unit);
		while ((vma = quire_index_walk_next(&walk)) && vma->start < to * unit)
			if (vma->start / unit % STRIDE)
				old[n_old++] = vma;
		splice(w, from * unit, to * unit, areas, n);
		while (n_old--)
			shared_retire(w->q, old[n_old]);
		if (round % 1000 == 0)
			must(!quire_index_check(&w->ix), "all equations");
	}
	quire_store_release(&t->stop, 1);
}

static void reader(struct traffic *t, unsigned cpu)
{
	const struct quire_index *ix = &t->w->ix;
	uint64_t random = 12345 + cpu, reads = 0, unit = t->unit;

	while (!quire_load_acquire(&t->stop)) {
		uint64_t p = host_random(&random) % PILLARS, page;
		quire_uaddr_t addr, seen;
		struct quire_vma *vma, *prev;
		struct quire_index_walk walk;
		unsigned i;

		quire_grace_enter(t->w->q);
		/* A pillar. */
		vma = quire_index_find(ix, p * STRIDE * unit + 5);
		must(vma == t->w->area[p], "a pillar is found");
		vma = quire_index_find_prev(ix, (p * STRIDE + 1) * unit, &prev);
		must(prev == t->w->area[p], "the area before is the pillar");
		must(!vma || (vma->id == ALIVE && vma->end > (p * STRIDE + 1) * unit), "the area behind a pillar");
		if (p % 2 == 1) {
			vma = quire_index_before(ix, p * STRIDE * unit);
			must(vma && vma->id == ALIVE && vma->end == p * STRIDE * unit, "covered up to the pillar");
		}
		/* Covered stretches. */
		page = (p & ~UINT64_C(1)) * STRIDE + host_random(&random) % STRIDE;
		if (page < (PILLARS - 1) * STRIDE) {
			addr = page * unit + host_random(&random) % unit;
			vma = quire_index_find(ix, addr);
			must(vma && vma->id == ALIVE && vma->start <= addr && addr < vma->end, "an area that covers");
		}
		/* Anything. */
		page = host_random(&random) % (PILLARS * STRIDE);
		addr = page * unit;
		vma = quire_index_find(ix, addr);
		if (page <= (PILLARS - 1) * STRIDE) {
			must(vma && vma->id == ALIVE && vma->end > addr, "an area above");
			must(vma->start <= (page + STRIDE - 1) / STRIDE * STRIDE * unit, "no pillar is missed");
		} else {
			must(!vma, "nothing behind the last pillar");
		}
		/* A walk: ascending, and all pillars. */
		p = host_random(&random) % PILLARS;
		seen = p * STRIDE * unit;
		quire_index_walk_start(&walk, ix, seen);
		for (i = 0; i < 100 && (vma = quire_index_walk_next(&walk)); i++) {
			/* What two became may begin before the one that was seen ended. */
			must(vma->id == ALIVE && vma->end > seen, "ascending");
			seen = vma->end;
			if (vma->start % (STRIDE * unit) == 0) {
				must(vma == t->w->area[p], "every pillar in its turn");
				p++;
			}
			must(seen <= (p * STRIDE + (p < PILLARS ? 0 : 1)) * unit, "a pillar before what is behind it");
		}
		quire_grace_leave(t->w->q);
		reads++;
	}
	t->reads[cpu] = reads;
}

static void traffic(void *arg, unsigned cpu)
{
	if (cpu == 0)
		writer(arg);
	else
		reader(arg, cpu);
}

static void run_traffic(uint64_t unit)
{
	struct world *w = world_new(256 << 20, READERS + 1);
	struct traffic t = { .w = w, .unit = unit };
	struct quire_index_walk walk;
	struct quire_vma *vma;
	unsigned i;

	for (i = 0; i < PILLARS; i++) {
		vma = area_new(i * STRIDE * (unit / PAGE), (i * STRIDE + 1) * (unit / PAGE));
		vma->id = ALIVE;
		replace(w, vma->start, vma->end, i, 0, &vma, 1, 0);
	}
	/* The even stretches are covered from the start. */
	for (i = 0; i + 1 < PILLARS; i += 2) {
		vma = shared_new((i * STRIDE + 1) * unit, (i + 1) * STRIDE * unit);
		splice(w, vma->start, vma->end, &vma, 1);
	}
	host_run_cpus(READERS + 1, traffic, &t);
	assert_whole(&w->ix);
	for (i = 1; i <= READERS; i++)
		assert_true(t.reads[i] > 0);
	quire_index_walk_start(&walk, &w->ix, 0);
	while ((vma = quire_index_walk_next(&walk)))
		if (vma->start / unit % STRIDE)
			shared_retire(w->q, vma);
	world_delete(w);
}

static void test_readers_beside_a_writer(void **state)
{
	(void)state;
	run_traffic(PAGE);
}

/* The same in leaves whose offsets don't reach: a stretch is 16 TiB long. */
static void test_readers_of_wide_leaves(void **state)
{
	(void)state;
	run_traffic(PAGE << 26);
}

/*
 * An answer that rests on two leaves was true at one moment. P is the last area of a leaf, Y the first of the next. The
 * writer goes round and round through
 *
 *   |-P-|             |-Y even-|
 *   |-P-|    |-X-|    |-Y even-|
 *   |-P-|    |-X-|    |-Y odd--|
 *   |-P-|    |-X-|    |-Y even-|
 *
 * so whoever asks for the first area behind P gets X, or an even Y: an odd one never is the first.
 */
#define CORNERS 8u

struct corners {
	struct world *w;
	uint32_t stop;                 /* atomic */
	struct quire_vma *p[CORNERS], *y[CORNERS]; /* the writer's */
	quire_uaddr_t behind[CORNERS], next[CORNERS]; /* end of P, start of Y */
	uint64_t saw_x, saw_y;         /* reader 1 */
};

/* An even or odd Y in place of that of corner i. */
static void turn_y(struct corners *c, unsigned i, uint64_t parity)
{
	struct quire_vma *old = c->y[i], *vma = shared_new(old->start, old->end);

	vma->flags = parity;
	splice(c->w, vma->start, vma->end, &vma, 1);
	c->y[i] = vma;
	shared_retire(c->w->q, old);
}

static void corner_writer(struct corners *c)
{
	unsigned round, rounds = SLOW ? 4000 : 100000;

	for (round = 0; round < rounds; round++) {
		unsigned i = round % CORNERS;
		struct quire_vma *old = c->p[i], *two[2];
		quire_uaddr_t start = old->start, end = c->behind[i];

		/* X comes with a new P, so that it comes into P's leaf. */
		two[0] = shared_new(start, end);
		two[1] = shared_new(end + 2 * PAGE, end + 4 * PAGE);
		splice(c->w, start, end + 4 * PAGE, two, 2);
		shared_retire(c->w->q, old);
		turn_y(c, i, 1);
		turn_y(c, i, 0);
		c->p[i] = shared_new(start, end);
		splice(c->w, start, end + 4 * PAGE, &c->p[i], 1);
		shared_retire(c->w->q, two[0]);
		shared_retire(c->w->q, two[1]);
	}
	quire_store_release(&c->stop, 1);
}

static void corner_reader(struct corners *c, unsigned cpu)
{
	uint64_t random = 777 + cpu, saw_x = 0, saw_y = 0;

	while (!quire_load_acquire(&c->stop)) {
		unsigned i = (unsigned)(host_random(&random) % CORNERS);
		quire_uaddr_t addr = c->behind[i] + PAGE;
		struct quire_vma *vma, *prev;

		quire_grace_enter(c->w->q);
		vma = quire_index_find(&c->w->ix, addr);
		must(vma && vma->id == ALIVE && vma->end > addr, "an area above");
		must(vma->start == c->behind[i] + 2 * PAGE || vma->start == c->next[i], "X or Y");
		must(vma->flags == 0, "an odd Y is not the first");
		saw_x += vma->start != c->next[i];
		saw_y += vma->start == c->next[i];
		vma = quire_index_find_prev(&c->w->ix, c->next[i], &prev);
		must(vma && vma->start == c->next[i] && prev, "Y, and one before");
		must(!vma->flags || prev->start == c->behind[i] + 2 * PAGE, "before an odd Y is X");
		must(prev->end == c->behind[i] || prev->end == c->behind[i] + 4 * PAGE, "before a Y is X or P");
		quire_grace_leave(c->w->q);
	}
	if (cpu == 1) {
		c->saw_x = saw_x;
		c->saw_y = saw_y;
	}
}

static void corner_cpu(void *arg, unsigned cpu)
{
	if (cpu == 0)
		corner_writer(arg);
	else
		corner_reader(arg, cpu);
}

static void test_answers_were_true_once(void **state)
{
	struct world *w = world_new(64 << 20, READERS + 1);
	struct corners c = { .w = w };
	const struct index_inner *root;
	unsigned i, leaf;

	(void)state;
	for (i = 0; i < 20 * LEAF_SLOTS; i++) {
		struct quire_vma *vma = shared_new(i * 20 * PAGE, (i * 20 + 5) * PAGE);

		splice(w, vma->start, vma->end, &vma, 1);
	}
	assert_int_equal(w->ix.height, 2);
	root = as_inner(w->ix.root);
	for (i = 0, leaf = 1; i < CORNERS; i++, leaf += 2) {
		c.behind[i] = root->pivot[leaf] + 1;
		c.p[i] = quire_index_before(&w->ix, c.behind[i]);
		c.y[i] = quire_index_find(&w->ix, c.behind[i]);
		c.next[i] = c.y[i]->start;
	}
	host_run_cpus(READERS + 1, corner_cpu, &c);
	assert_whole(&w->ix);
	assert_true(c.saw_x > 0 && c.saw_y > 0);
	while ((c.y[0] = quire_index_first(&w->ix))) {
		splice(w, c.y[0]->start, c.y[0]->end, NULL, 0);
		shared_retire(w->q, c.y[0]);
	}
	world_delete(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_area),
		cmocka_unit_test(test_walk_sees_own_changes),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_random_small),
		cmocka_unit_test(test_random_large),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_far_apart),
		cmocka_unit_test(test_far_neighbour),
		cmocka_unit_test(test_two_regions),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_million),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_gaps_at_the_edges),
		cmocka_unit_test(test_huge_gaps),
		cmocka_unit_test(test_readers_beside_a_writer),
		cmocka_unit_test(test_readers_of_wide_leaves),
		cmocka_unit_test(test_answers_were_true_once),
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}

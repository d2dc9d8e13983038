/* SPDX-License-Identifier: MIT */
/*
 * The index of areas against the obvious: a sorted array. Long random sequences of splices of every
 * shape, with all equations checked; lookups, walks, gap searches; allocations that fail. Readers
 * beside a writer: index_threads.c, index_steps.c.
 */
#include "index_world.h"

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
	static const size_t sizes[] = {1, 2, 14, 15, 16, 17, 45, 100, 150, 151, 400};
	size_t k, at, n_old, n_new, step = SLOW ? 7 : 1;

	(void)state;
	for (k = 0; k < QUIRE_ARRAY_SIZE(sizes); k++) {
		size_t size = sizes[k];
		struct world *w = world_new(64 << 20, 1);

		for (at = 0; at < size; at += 1 + size / 40) {
			for (n_old = 0; n_old <= min_size(size - at, 34);
			     n_old += n_old < 4 ? 1 : 5) {
				for (n_new = 0; n_new <= 34; n_new += (n_new < 4 ? 1 : 5) * step) {
					uint64_t p = 40;

					/*
					 * Back to size areas, four pages with one to four free
					 * ones between.
					 */
					while (w->n)
						replace(w, w->area[0]->start,
							w->area[w->n - 1]->end, 0, w->n, NULL, 0,
							0);
					while (w->n < size) {
						insert(w, p, p + 40);
						p += 40 + (w->n % 5);
					}
					(void)replace_at_random(w, at, n_old, n_new, p + 100,
								n_new % 3);
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
		size_t at = below(w, w->n + 1),
		       n_old = below(w, min_size(w->n - at, grow ? 2 : 5) + 1);

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
			(void)replace_at_random(w, at, n_old, n_new, NEAR_PAGES,
						below(w, 4) ? 0 : below(w, 9));
			if (i % 16 == 0)
				assert_reads(w, below(w, NEAR_PAGES) * PAGE);
			if (i % 100 == 0)
				assert_sound(w);
		}
		assert_same(w);
		if (round % 20 == 19) {
			size_t n = below(w, 50);

			(void)replace_at_random(w, 0, w->n, n, NEAR_PAGES, 0);
			assert_same(w);
		}
	}
	world_delete(w);
}

/* All of it out at once, and in at once. */
static void test_all_at_once(void **state)
{
	static const size_t sizes[] = {1,   15,	 16,   31,   150,  151,	  240,
				       360, 361, 2000, 8640, 8641, 100000};
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
		assert_true(quire_index_bytes(&w->ix) <=
			    (sizes[i] / 15 + 1) * LEAF_NODE_SIZE * 12 / 10 + INNER_NODE_SIZE);
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
	uint64_t end = HAS_WIDE ? UINT64_C(1) << 50 : SPACE_END / PAGE;
	unsigned round, rounds = SLOW ? 3000 : 30000;

	(void)state;
	quire_index_init(&w->ix, end << QUIRE_PAGE_SHIFT);
	for (round = 0; round < rounds; round++) {
		bool grow = (round / 500) % 2 == 0;
		size_t at = below(w, w->n + 1),
		       n_old = below(w, min_size(w->n - at, grow ? 2 : 5) + 1);

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
	const uint64_t far = UINT64_C(1) << (HAS_WIDE ? 33 : 31);
	size_t n, i, j;

	(void)state;
	for (n = 1; n <= 40; n++) {
		struct world *w = world_new(16 << 20, 1);
		struct quire_vma *areas[40];

		/* Two leaves low, one high; all full. */
		for (i = 0; i < 2 * LEAF_SLOTS; i++)
			insert(w, 100 * i, 100 * i + 10);
		for (i = 0; i < LEAF_SLOTS; i++)
			insert(w, far + 100 * i, far + 100 * i + 10);
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
	uint64_t high = SPACE_END / PAGE - 0x8000, low = high / 3 * 2;
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
			insert(w, page_after(w, at, high) - 1 - below(w, 10),
			       page_after(w, at, high));
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
		size_t at = below(w, w->n),
		       n_old = below(w, min_size(w->n - at, i % 10 ? 3 : 300) + 1);
		quire_uaddr_t start = w->area[at]->start,
			      end = n_old ? w->area[at + n_old - 1]->end : start + PAGE;
		struct quire_splice s;
		uint64_t nodes;

		if (!n_old) {
			start = w->area[at]->end;
			end = start + PAGE;
		}
		quire_grace_wait(w->q);
		nodes = node_objects(w);
		assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, start, end, below(w, 40)),
				 0);
		quire_splice_cancel(w->q, &w->ix, &s);
		assert_int_equal(node_objects(w), nodes);
		if (i % 100 == 0)
			assert_same(w);
	}
	world_delete(w);
}

/*
 * The k-th allocation fails, for every k: an error, nothing changed, nothing lost; then it works.
 */
static void test_no_memory(void **state)
{
	struct world *w = world_new(64 << 20, 1);
	unsigned i;

	(void)state;
	for (i = 0; i < (SLOW ? 1000 : 6000); i++) {
		size_t at = below(w, w->n + 1),
		       n_old = below(w, min_size(w->n - at, i % 10 ? 2 : 90) + 1);
		uint64_t low = page_before(w, at), high = page_after(w, at + n_old, 50000), nodes,
			 k;
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
		assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, vma->start, vma->end, 1),
				 0);
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
		assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, vma->start, vma->end, 0),
				 0);
		quire_splice_commit(w->q, &w->ix, &s, NULL, 0);
		assert_int_equal(w->ix.count, n - i - 1);
		if (i % (n / 10) == 0)
			assert_whole(&w->ix);
	}
	assert_int_equal(quire_index_bytes(&w->ix), 0);
	for (i = 0; i < n; i++) {
		vma = &areas[order[i]];
		assert_int_equal(quire_splice_reserve(w->q, &w->ix, &s, vma->start, vma->end, 1),
				 0);
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
static quire_uaddr_t model_guard(const struct world *w, const struct quire_gap_request *rq,
				 quire_uaddr_t a)
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
			(void)replace_at_random(w, below(w, w->n + 1), 0, 1 + below(w, 3), pages,
						0);
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
	struct quire_gap_request rq = {
		.low = 0, .high = 100 * PAGE, .size = 100 * PAGE, .align = PAGE};
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

#if HAS_WIDE
/* Gaps beyond what nodes can count, in a space of 57 bits. */
static void test_huge_gaps(void **state)
{
	struct world *w = world_new(16 << 20, 1);
	uint64_t tera = UINT64_C(1) << 40, i;
	struct quire_gap_request rq = {.low = PAGE, .high = UINT64_MAX, .align = PAGE};
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
#endif

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
#if HAS_WIDE
		cmocka_unit_test(test_huge_gaps),
#endif
	};

	return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}

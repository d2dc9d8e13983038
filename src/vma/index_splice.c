/* SPDX-License-Identifier: MIT */
/*
 * The index of areas: the one way to change it. Called by whoever holds the owner's writer lock. Never
 * touches the areas that go, and of those that come reads the bounds alone.
 *
 * Most splices fit into one leaf, and then need no memory: the new areas go to slots that were never
 * used, and one store of the leaf's order shows them and hides the old ones. All others: index_build.c.
 */
#include <quire/quire.h>

#include "index.h"

/* A leaf that shrinks has a neighbour to join if the tree has more than one leaf. */
static bool is_too_empty(const struct quire_index *ix, size_t left, bool shrinks)
{
	return left == 0 || (left < LEAF_MIN && shrinks && ix->height > 1);
}

/* Can the whole range be said in that leaf's offsets? */
static bool reaches(const struct quire_index_node *leaf, const struct quire_splice *s)
{
	uint64_t base;

	if (node_is_wide(leaf))
		return true;
	base = as_leaf(leaf)->base;
	return s->start >> QUIRE_PAGE_SHIFT >= base && (s->end >> QUIRE_PAGE_SHIFT) - base <= LEAF_KEY_MAX;
}

/* n new areas can come by a store of the leaf's order. */
static bool fits_in_leaf(const struct quire_index *ix, const struct quire_splice *s, size_t n)
{
	const struct quire_index_node *leaf = s->path.leaf;
	size_t go = (size_t)(s->to - s->from);

	return s->single && leaf_private(leaf)->used + n <= leaf_slots(leaf) &&
	       !is_too_empty(ix, s->live - go + n, n < go) && (n == 0 || reaches(leaf, s));
}

/* Are all areas that go, or end at their side, in the leaf where the first is? */
static bool is_single(const struct quire_index *ix, const struct quire_splice *s)
{
	struct quire_index_path behind;

	if (s->to < s->live || s->end - 1 <= s->path.high)
		return true;
	behind = s->path;
	if (!quire_index_step_right(ix, &behind, 0))
		return true;
	return leaf_start(behind.leaf, (unsigned)leaf_order(behind.leaf) & 15) >= s->end >> QUIRE_PAGE_SHIFT;
}

/* ---- Reserve ----------------------------------------------------------------------------- */

static void give_back(struct quire *q, struct quire_cache *cache, struct quire_index_node **list, uint32_t *nr)
{
	while (*list) {
		struct quire_index_node *node = *list;

		*list = *(struct quire_index_node **)node;
		*nr -= 1;
		quire_cache_free(q, cache, node);
	}
}

static bool allocate(struct quire *q, struct quire_cache *cache, struct quire_index_node **list, uint32_t *nr,
		     size_t n)
{
	while (*nr < n) {
		struct quire_index_node **node = quire_cache_alloc(q, cache, QUIRE_GFP_KERNEL);

		if (!node)
			return false;
		*node = *list;
		*list = (struct quire_index_node *)node;
		*nr += 1;
	}
	return true;
}

/*
 * Commit may come with any number of areas up to nr_new, and each number has a shape of its own. With
 * few, each is asked. With many, those in between take no more than the largest, or as many as one full leaf that
 * becomes wide together with a neighbour (45 areas, 5 nodes) and splits all inner nodes above.
 */
static int reserve_nodes(struct quire *q, const struct quire_index *ix, struct quire_splice *s)
{
	size_t leaves = 0, inners = 0, n = s->nr_new, l, i;
	int err;

	for (;; n--) {
		if (!ix->height || !fits_in_leaf(ix, s, n)) {
			err = quire_index_estimate(ix, s, n, &l, &i);
			if (err)
				return err;
			if (l > leaves)
				leaves = l;
			if (i > inners)
				inners = i;
		}
		if (n == 0)
			break;
		if (n > 5) {
			leaves = (leaves > 5 ? leaves : 5) + 1;
			inners += 2 * (size_t)ix->height + 1;
			n = 5;
		}
	}
	if (leaves > UINT32_MAX || !allocate(q, &q->index_cache, &s->leaves, &s->nr_leaves, leaves) ||
	    !allocate(q, &q->index_inner_cache, &s->inners, &s->nr_inners, inners)) {
		quire_splice_cancel(q, (struct quire_index *)(uintptr_t)ix, s);
		return -QUIRE_ENOMEM;
	}
	return 0;
}

int quire_splice_reserve(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			 quire_uaddr_t start, quire_uaddr_t end, size_t nr_new)
{
	const struct quire_index_node *leaf;
	uint64_t order;

	quire_assert(q, start < end && !((start | end) & ~QUIRE_PAGE_MASK));
	s->start = start;
	s->end = end;
	s->nr_new = nr_new;
	s->leaves = NULL;
	s->inners = NULL;
	s->nr_leaves = 0;
	s->nr_inners = 0;
	s->single = true;
	s->from = 0;
	s->to = 0;
	s->live = 0;
	s->path.leaf = NULL;
	if (quire_unlikely(!ix->height))
		return nr_new ? reserve_nodes(q, ix, s) : 0;

	quire_index_descend(ix, start, &s->path);
	leaf = s->path.leaf;
	order = leaf_order(leaf);
	s->live = (uint8_t)order_count(order);
	s->from = (uint8_t)leaf_upto(leaf, order, start >> QUIRE_PAGE_SHIFT);
	s->to = s->from;
	for (order = order_from(order, s->from); order; order >>= 4) {
		if (leaf_end(leaf, (unsigned)order & 15) > end >> QUIRE_PAGE_SHIFT)
			break;
		s->to++;
	}
	s->single = is_single(ix, s);

	if (quire_likely(fits_in_leaf(ix, s, nr_new)) && (s->from == s->to || nr_new == 0 || fits_in_leaf(ix, s, 0)))
		return 0;
	if (s->single && s->from == s->to && nr_new == 0)
		return 0;
	return reserve_nodes(q, ix, s);
}

void quire_splice_cancel(struct quire *q, struct quire_index *ix, struct quire_splice *s)
{
	give_back(q, &q->index_cache, &s->leaves, &s->nr_leaves);
	give_back(q, &q->index_inner_cache, &s->inners, &s->nr_inners);
}

/* ---- Commit ------------------------------------------------------------------------------ */

/* The gap of the leaf is now this much less or more: was and now are the largest within the range. */
static void adjust_gap(const struct quire_index *ix, const struct quire_splice *s, uint64_t was, uint64_t now)
{
	const struct quire_index_path *path = &s->path;
	uint32_t gap = gaps_of(as_inner(path->inner[1]))[path->slot[1]];

	if (now >= gap)
		gap = now > GAP_MAX ? GAP_MAX : (uint32_t)now;
	else if (was >= gap)
		gap = quire_index_leaf_gap(path->leaf, leaf_order(path->leaf), path->low);
	quire_index_set_gap(ix, path, 1, gap);
}

static void commit_in_leaf(struct quire_index *ix, struct quire_splice *s, struct quire_vma *const *areas,
			   unsigned n)
{
	struct quire_index_node *leaf = s->path.leaf;
	struct leaf_private *private = leaf_private(leaf);
	uint64_t order = leaf_order(leaf);
	uint64_t kept_left = order & ((UINT64_C(1) << (4 * s->from)) - 1);
	uint64_t kept_right = order_from(order, s->to), gone = order_from(order, s->from);
	uint64_t before, at, was = 0, now = 0;
	unsigned i, used = private->used;

	before = s->from ? leaf_end(leaf, (unsigned)order_from(order, s->from - 1u) & 15) :
			   s->path.low >> QUIRE_PAGE_SHIFT;

	/* Free stretches below what goes, and below its neighbour. */
	at = before;
	for (i = s->from; i < s->to; i++, gone >>= 4) {
		unsigned slot = (unsigned)gone & 15;
		uint64_t gap = leaf_start(leaf, slot) - at;

		if (gap > was)
			was = gap;
		at = leaf_end(leaf, slot);
	}
	if (kept_right) {
		uint64_t gap = leaf_start(leaf, (unsigned)kept_right & 15) - at;

		if (gap > was)
			was = gap;
	}

	/* The same with what comes; into slots that nobody has ever looked at. */
	at = before;
	order = kept_left;
	for (i = 0; i < n; i++) {
		uint64_t start = areas[i]->start >> QUIRE_PAGE_SHIFT, end = areas[i]->end >> QUIRE_PAGE_SHIFT;
		unsigned slot = ++used;

		if (start - at > now)
			now = start - at;
		at = end;
		private->pages[slot - 1] = pages_field(end - start);
		if (node_is_wide(leaf)) {
			as_wide(leaf)->end[slot] = end;
			as_wide(leaf)->area[slot - 1] = areas[i];
		} else {
			as_leaf(leaf)->end[slot] = (uint32_t)(end - as_leaf(leaf)->base);
			as_leaf(leaf)->area[slot - 1] = areas[i];
		}
		order |= (uint64_t)slot << (4 * (s->from + i));
	}
	private->used = (uint8_t)used;
	if (kept_right) {
		uint64_t gap = leaf_start(leaf, (unsigned)kept_right & 15) - at;

		if (gap > now)
			now = gap;
		order |= kept_right << (4 * (s->from + n));
	}

	/* The last area ends elsewhere: the pivot moves too, within the free stretch behind it, and so does that. */
	if (!kept_right && s->path.high != UINT64_MAX) {
		quire_uaddr_t last = (at << QUIRE_PAGE_SHIFT) - 1;

		if (last > s->path.high)
			quire_index_set_pivot(ix, &s->path, 0, last);
		quire_store_release(order_of(leaf), order);
		if (last < s->path.high)
			quire_index_set_pivot(ix, &s->path, 0, last);
		if (last != s->path.high)
			quire_index_set_gap_behind(ix, &s->path, at << QUIRE_PAGE_SHIFT);
	} else {
		quire_store_release(order_of(leaf), order);
	}

	if (ix->height > 1) {
		counts_of(as_inner(s->path.inner[1]))[s->path.slot[1]] = (uint8_t)order_count(order);
		adjust_gap(ix, s, was, now);
	}
	ix->count += n - (uint64_t)(s->to - s->from);
	quire_store_release(&ix->changes, ix->changes + 1);
}

#if QUIRE_DEBUG
static void assert_areas(struct quire *q, const struct quire_splice *s, struct quire_vma *const *areas, size_t n)
{
	quire_uaddr_t at = s->start;
	size_t i;

	quire_assert(q, n <= s->nr_new);
	for (i = 0; i < n; i++) {
		quire_assert(q, areas[i]->start >= at && areas[i]->start < areas[i]->end);
		quire_assert(q, !((areas[i]->start | areas[i]->end) & ~QUIRE_PAGE_MASK));
		at = areas[i]->end;
	}
	quire_assert(q, at <= s->end);
}
#endif

void quire_splice_commit(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			 struct quire_vma *const *areas, size_t nr_new)
{
#if QUIRE_DEBUG
	assert_areas(q, s, areas, nr_new);
#endif
	/* Nothing goes and nothing comes. */
	if (quire_unlikely(nr_new == 0 && s->single && s->from == s->to)) {
		quire_splice_cancel(q, ix, s);
		return;
	}
	if (quire_likely(ix->height && fits_in_leaf(ix, s, nr_new)))
		commit_in_leaf(ix, s, areas, (unsigned)nr_new);
	else
		quire_index_rebuild(q, ix, s, areas, nr_new);
	if (quire_unlikely(s->leaves || s->inners))
		quire_splice_cancel(q, ix, s);
}

void quire_index_destroy(struct quire *q, struct quire_index *ix)
{
	quire_index_free_tree(q, ix);
	quire_index_init(ix, ix->end);
}

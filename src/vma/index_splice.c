/* SPDX-License-Identifier: MIT */
/*
 * The index of areas: the one way to change it. Called by whoever holds the owner's writer lock.
 * Never touches the areas that go, and of those that come reads the bounds alone.
 *
 * Most splices fit into one leaf, and then need no memory: the new areas go to slots that were
 * never used, and one store of the leaf's order shows them and hides the old ones. All others:
 * index_build.c.
 */
#include <quire/quire.h>

#include "index.h"

/* ---- What fits --------------------------------------------------------------------------- */

/* Can the whole range be said in that leaf's offsets? */
static bool reaches(const struct quire_index_node *leaf, const struct quire_splice *s)
{
	uint64_t base;

	if (quire_unlikely(node_is_wide(leaf)))
		return true;
	base = as_leaf(leaf)->base;
	return s->start >> QUIRE_PAGE_SHIFT >= base &&
	       (s->end >> QUIRE_PAGE_SHIFT) - base <= LEAF_KEY_MAX;
}

/*
 * n new areas can come by a store of the leaf's order. A leaf that becomes too empty is to join a
 * neighbour, unless it is at an edge of the tree: there, areas often go one after the other.
 */
static inline bool fits_in_leaf(const struct quire_splice *s, size_t n)
{
	const struct quire_index_node *leaf = s->path.leaf;
	size_t go = (size_t)(s->to - s->from), left = s->live - go + n;

	if (!s->single || leaf_private(leaf)->used + n > leaf_slots(leaf) || left == 0)
		return false;
	if (left < LEAF_MIN && n < go && s->path.low != 0 && s->path.high != UINT64_MAX)
		return false;
	return n == 0 || reaches(leaf, s);
}

/*
 * Are all areas that go, or end at their side, in the leaf where the first is? No kept one follows
 * them there.
 */
static bool is_single(const struct quire_index *ix, const struct quire_splice *s)
{
	struct quire_index_path behind;

	if (s->end - 1 <= s->path.high)
		return true;
	behind = s->path;
	if (!quire_index_step_right(ix, &behind, 0))
		return true;
	return leaf_start(behind.leaf, (unsigned)leaf_order(behind.leaf) & 15) >= s->end >>
	       QUIRE_PAGE_SHIFT;
}

/* ---- Reserve ----------------------------------------------------------------------------- */

static void give_back(struct quire *q, struct quire_cache *cache, struct quire_index_node **list,
		      uint32_t *nr)
{
	while (*list) {
		struct quire_index_node *node = *list;

		*list = *(struct quire_index_node **)node;
		*nr -= 1;
		quire_cache_free(q, cache, node);
	}
}

static bool allocate(struct quire *q, struct quire_cache *cache, struct quire_index_node **list,
		     uint32_t *nr, size_t n)
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
 * How many nodes at most it takes if one leaf is copied, overflows into its neighbourhood or joins
 * a neighbour, and what that does above. Cheaper than to plan it, and seldom a node too many.
 * False: it is not as simple as that.
 */
static bool estimate_simple(const struct quire_index *ix, const struct quire_splice *s, size_t n,
			    size_t *leaves, size_t *inners)
{
	const struct quire_index_path *path = &s->path;
	size_t go = (size_t)(s->to - s->from), left = s->live - go + n;
	unsigned level;

	/* With a full neighbour far away, these few are still three wide leaves. */
	if (!s->single || node_is_wide(path->leaf) || left == 0 ||
	    left + LEAF_SLOTS > 3 * WIDE_SLOTS || !reaches(path->leaf, s))
		return false;
	*inners = 0;
	if (left > LEAF_SLOTS) {
		/*
		 * Into two, or with a neighbour into two or three. One child more, for each level
		 * that is full.
		 */
		*leaves = 3;
		for (level = 1; level < ix->height; level++) {
			if (as_inner(path->inner[level])->n < LARGE_CHILDREN) {
				*inners += 1;
				break;
			}
			*inners += 2;
		}
		/* Without a root that has room, a new one; small, or it was small and stays so. */
		*leaves += level + 1 >= ix->height;
		return level < QUIRE_INDEX_HEIGHT;
	}
	*leaves = 1;
	if (left >= LEAF_MIN || n >= go || path->low == 0 || path->high == UINT64_MAX)
		return true;

	/*
	 * Together with a neighbour, in one or in two. One child less, for each level that so
	 * becomes too empty.
	 */
	*leaves = 2;
	for (level = 1; level < ix->height; level++) {
		const struct index_inner *in = as_inner(path->inner[level]);

		if (level + 1 == ix->height) {
			*leaves += 1;
			*inners += 1;
		} else if (in->n == 1) {
			return false;
		} else if (in->n > INNER_MIN) {
			*inners += 1;
			break;
		} else {
			*inners += 2;
		}
	}
	return true;
}

/*
 * Commit may come with any number of areas up to nr_new, and each number has a shape of its own.
 * With few, each is asked. With many, those in between take no more than the largest, or as many
 * as one full leaf that becomes wide together with a neighbour (45 areas, 5 nodes) and splits all
 * inner nodes above.
 */
static int reserve_nodes(struct quire *q, const struct quire_index *ix, struct quire_splice *s)
{
	size_t leaves = 0, inners = 0, n = s->nr_new, l, i;
	int err;

	for (;; n--) {
		if (!ix->height || !fits_in_leaf(s, n)) {
			if (!ix->height || !estimate_simple(ix, s, n, &l, &i)) {
				err = quire_index_estimate(ix, s, n, &l, &i);
				if (err)
					return err;
			}
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
	if (leaves > UINT32_MAX ||
	    !allocate(q, &q->index_cache, &s->leaves, &s->nr_leaves, leaves) ||
	    !allocate(q, &q->index_inner_cache, &s->inners, &s->nr_inners, inners)) {
		quire_splice_cancel(q, (struct quire_index *)(uintptr_t)ix, s);
		return -QUIRE_ENOMEM;
	}
	return 0;
}

/* Where in the tree as it is now the splice will be. */
static inline void look(const struct quire_index *ix, struct quire_splice *s)
{
	const struct quire_index_node *leaf;
	uint64_t rest;
	unsigned from, to;

	if (quire_unlikely(!ix->height)) {
		s->single = true;
		s->in_leaf = false;
		s->from = 0;
		s->to = 0;
		s->live = 0;
		s->path.leaf = NULL;
		return;
	}
	quire_index_descend(ix, s->start, &s->path);
	leaf = s->path.leaf;
	rest = leaf_order(leaf);
	s->live = (uint8_t)order_count(rest);
	from = leaf_skip(leaf, &rest, page_of(s->start));
	for (to = from; rest; rest >>= 4, to++)
		if (leaf_end(leaf, (unsigned)rest & 15) > s->end >> QUIRE_PAGE_SHIFT)
			break;
	s->from = (uint8_t)from;
	s->to = (uint8_t)to;
	s->single = rest || is_single(ix, s);
	s->in_leaf = fits_in_leaf(s, s->nr_new);
}

static inline void begin_splice(struct quire *q, struct quire_splice *s, quire_uaddr_t start,
				quire_uaddr_t end, size_t nr_new)
{
	quire_assert(q, start < end && !((start | end) & ~QUIRE_PAGE_MASK));
	s->start = start;
	s->end = end;
	s->nr_new = nr_new;
	s->leaves = NULL;
	s->inners = NULL;
	s->nr_leaves = 0;
	s->nr_inners = 0;
	s->apart = false;
}

int quire_splice_reserve(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			 quire_uaddr_t start, quire_uaddr_t end, size_t nr_new)
{
	begin_splice(q, s, start, end, nr_new);
	look(ix, s);
	if (quire_unlikely(!ix->height))
		return nr_new ? reserve_nodes(q, ix, s) : 0;
	if (quire_likely(s->in_leaf) && (s->from == s->to || nr_new == 0 || fits_in_leaf(s, 0)))
		return 0;
	return reserve_nodes(q, ix, s);
}

/*
 * Enough whatever the tree looks like by then: what stays of the leaves at both ends and one
 * neighbour goes into new ones with what comes, all wide; and the same at each level, of which the
 * others' areas may make some more.
 */
int quire_splice_reserve_apart(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			       quire_uaddr_t start, quire_uaddr_t end, size_t nr_new,
			       size_t nr_others)
{
	size_t leaves = (nr_new + 3 * LEAF_SLOTS) / WIDE_SLOTS + 3, inners = 0, nodes = leaves;
	unsigned level, height = ix->height + 2 + (nr_others ? quire_fls64(nr_others) / 3 : 0);

	begin_splice(q, s, start, end, nr_new);
	s->apart = true;
	for (level = 1; level < height || nodes > 4; level++) {
		nodes = (nodes + 3 * LARGE_CHILDREN) / LARGE_CHILDREN + 1;
		inners += nodes;
		if (level > QUIRE_INDEX_HEIGHT)
			break;
	}
	if (leaves > UINT32_MAX ||
	    !allocate(q, &q->index_cache, &s->leaves, &s->nr_leaves, leaves) ||
	    !allocate(q, &q->index_inner_cache, &s->inners, &s->nr_inners, inners)) {
		quire_splice_cancel(q, ix, s);
		return -QUIRE_ENOMEM;
	}
	return 0;
}

void quire_splice_cancel(struct quire *q, struct quire_index *ix, struct quire_splice *s)
{
	give_back(q, &q->index_cache, &s->leaves, &s->nr_leaves);
	give_back(q, &q->index_inner_cache, &s->inners, &s->nr_inners);
}

/* ---- Commit ------------------------------------------------------------------------------ */

/* Within the range, the largest gap was this and is now that; what does it do to the leaf's? */
static inline void adjust_gap(const struct quire_index *ix, const struct quire_splice *s,
			      uint64_t was, uint64_t now)
{
	const struct quire_index_path *path = &s->path;
	uint32_t gap = gaps_of(as_inner(path->inner[1]))[path->slot[1]];

	if (now > gap)
		gap = now > GAP_MAX ? GAP_MAX : (uint32_t)now;
	else if (was >= gap && now < gap)
		gap = quire_index_leaf_gap(path->leaf, leaf_order(path->leaf), path->low);
	else
		return;
	quire_index_set_gap(ix, path, 1, gap);
}

/*
 * The last area is to end elsewhere: so does its pivot, within the free stretch behind it, and so
 * begins that stretch.
 */
static __attribute__((noinline)) void commit_order_and_end(struct quire_index *ix,
							   struct quire_splice *s, uint64_t order,
							   quire_uaddr_t end)
{
	if (end - 1 > s->path.high)
		quire_index_set_pivot(ix, &s->path, 0, end - 1);
	quire_store_release(order_of(s->path.leaf), order);
	if (end - 1 < s->path.high)
		quire_index_set_pivot(ix, &s->path, 0, end - 1);
	quire_index_set_gap_behind(ix, &s->path, end);
}

/* The two kinds of leaves, as constants for the compiler. */
static inline uint64_t end_in(const struct quire_index_node *leaf, unsigned slot, bool is_wide)
{
	return is_wide ? as_wide(leaf)->end[slot]
		       : (uint64_t)as_leaf(leaf)->base + as_leaf(leaf)->end[slot];
}

static inline uint64_t start_in(const struct quire_index_node *leaf, unsigned slot, bool is_wide)
{
	unsigned pages = is_wide ? as_wide(leaf)->private.pages[slot - 1]
				 : as_leaf(leaf)->private.pages[slot - 1];

	if (quire_unlikely(!pages))
		return leaf_area(leaf, slot)->start >> QUIRE_PAGE_SHIFT;
	return end_in(leaf, slot, is_wide) - pages;
}

static inline uint64_t max64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline __attribute__((always_inline)) void commit_in(struct quire_index *ix,
							    struct quire_splice *s,
							    struct quire_vma *const *areas,
							    unsigned n, bool is_wide)
{
	struct quire_index_node *leaf = s->path.leaf;
	struct leaf_private *private = is_wide ? &as_wide(leaf)->private : &as_leaf(leaf)->private;
	unsigned i, from = s->from, go = s->to - from, used = private->used;
	uint64_t order = *order_of(leaf), right = order_from(order, from), was = 0, now = 0, at, to;

	at = from ? end_in(leaf, (unsigned)order_from(order, from - 1) & 15, is_wide)
		  : s->path.low >> QUIRE_PAGE_SHIFT;
	order &= (UINT64_C(1) << (4 * from)) - 1;

	/* Free stretches below what goes, and below what is behind. */
	for (to = at, i = 0; i < go; i++, right >>= 4) {
		was = max64(was, start_in(leaf, (unsigned)right & 15, is_wide) - to);
		to = end_in(leaf, (unsigned)right & 15, is_wide);
	}
	if (quire_likely(right))
		was = max64(was, start_in(leaf, (unsigned)right & 15, is_wide) - to);

	/* The same with what comes, into slots that nobody has ever looked at. */
	for (i = 0; i < n; i++) {
		uint64_t start = areas[i]->start >> QUIRE_PAGE_SHIFT,
			 end = areas[i]->end >> QUIRE_PAGE_SHIFT;
		unsigned slot = ++used;

		now = max64(now, start - at);
		at = end;
		private->pages[slot - 1] = pages_field(end - start);
		if (is_wide) {
			as_wide(leaf)->end[slot] = end;
			as_wide(leaf)->area[slot - 1] = areas[i];
		} else {
			as_leaf(leaf)->end[slot] = (uint32_t)(end - as_leaf(leaf)->base);
			as_leaf(leaf)->area[slot - 1] = areas[i];
		}
		order |= (uint64_t)slot << (4 * (from + i));
	}
	private->used = (uint8_t)used;

	if (quire_likely(right)) {
		now = max64(now, start_in(leaf, (unsigned)right & 15, is_wide) - at);
		quire_store_release(order_of(leaf), order | right << (4 * (from + n)));
	} else if (s->path.high == UINT64_MAX || (at << QUIRE_PAGE_SHIFT) - 1 == s->path.high) {
		quire_store_release(order_of(leaf), order);
	} else {
		commit_order_and_end(ix, s, order, at << QUIRE_PAGE_SHIFT);
	}

	if (quire_likely(ix->height > 1)) {
		counts_of(as_inner(s->path.inner[1]))[s->path.slot[1]] += (uint8_t)(n - go);
		adjust_gap(ix, s, was, now);
	}
	ix->count += (uint64_t)n - go;
	quire_store_release(&ix->changes, ix->changes + 1);
}

static __attribute__((noinline)) void commit_in_wide(struct quire_index *ix, struct quire_splice *s,
						     struct quire_vma *const *areas, unsigned n)
{
	commit_in(ix, s, areas, n, true);
}

#if QUIRE_DEBUG
static void assert_areas(struct quire *q, const struct quire_splice *s,
			 struct quire_vma *const *areas, size_t n)
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

static inline __attribute__((always_inline)) void
commit(struct quire *q, struct quire_index *ix, struct quire_splice *s, const struct area_run *run)
{
	if (quire_unlikely(s->apart))
		look(ix, s);
	/* Nothing goes and nothing comes. */
	if (quire_unlikely(run->n == 0 && s->single && s->from == s->to)) {
		quire_splice_cancel(q, ix, s);
		return;
	}
	if (quire_unlikely(run->n != s->nr_new))
		s->in_leaf = ix->height && fits_in_leaf(s, run->n);
	if (quire_unlikely(!s->in_leaf))
		quire_index_rebuild(q, ix, s, run);
	else if (quire_unlikely(node_is_wide(s->path.leaf)))
		commit_in_wide(ix, s, run->array, (unsigned)run->n);
	else
		commit_in(ix, s, run->array, (unsigned)run->n, false);
	if (quire_unlikely(s->leaves || s->inners))
		quire_splice_cancel(q, ix, s);
}

void quire_splice_commit(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			 struct quire_vma *const *areas, size_t nr_new)
{
	const struct area_run run = {.array = areas, .list = NULL, .n = nr_new};

#if QUIRE_DEBUG
	assert_areas(q, s, areas, nr_new);
#endif
	commit(q, ix, s, &run);
}

void quire_splice_commit_list(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			      const struct quire_list *areas, size_t nr_new)
{
	const struct area_run run = {.array = NULL, .list = areas, .n = nr_new};
	struct quire_vma *few[LEAF_SLOTS];
	const struct quire_list *pos;
	size_t n = 0;

	if (nr_new > LEAF_SLOTS) {
		commit(q, ix, s, &run);
		return;
	}
	for (pos = areas->next; pos != areas; pos = pos->next)
		few[n++] = quire_list_entry(pos, struct quire_vma, plan_link);
	quire_splice_commit(q, ix, s, few, nr_new);
}

void quire_index_destroy(struct quire *q, struct quire_index *ix)
{
	quire_index_free_tree(q, ix);
	quire_index_init(ix, ix->end);
}

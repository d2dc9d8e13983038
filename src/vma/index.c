/* SPDX-License-Identifier: MIT */
/*
 * The index of areas: what readers do. Called by everybody, page faults first, under a grace period
 * or the writer lock. Takes no lock, waits for nobody, writes nothing shared. Nodes: see index.h.
 *
 * Why an answer is one that was true at one moment of the call. Call a node current while it is in
 * the tree. Once it is not, it no longer changes as far as readers see; and a reader got to each
 * node by a pointer that its parent held when it was current, or when it ceased to be.
 *  - An area that holds addr: it was found in a leaf that was current at some moment of the call,
 *    with an order which it had at that moment or at its end as a current one. So the area was in
 *    the tree at that moment, and areas do not overlap: no other could be the answer.
 *  - An area above addr, with another area of the same order before it: that one ends at or before
 *    addr. Both were in the tree at one moment with nothing between them.
 *  - Else the answer rests on two places: on where a leaf begins, or on one leaf having no area and
 *    the next one having this. Then a commit that came between the looks must be ruled out. Commits
 *    are counted after they are made, so an unchanged count means that at most one was made while
 *    the reader looked, by one store, which the reader saw or did not see. If it changes one leaf,
 *    the other place is the same before and after. If it changes more, it does so by a store to a
 *    pointer above them, which the reader has passed once. Moving pivots counts for nothing; see
 *    index.h. If the count has changed, look again. One leaf may also get an area that lies beyond the
 *    pivot which the reader has passed: then it shows in the leaf to the left, as an area before
 *    addr that ends behind it. Look again, and there is the pivot, moved before the area came.
 */
#include <quire/quire.h>

#include "index.h"

static struct quire_index_node *load_node(struct quire_index_node *const *p)
{
	return quire_load_acquire(p);
}

static inline struct quire_index_node *child_of(const struct quire_index_node *inner,
						index_page_t page)
{
	unsigned i;

	/* Written twice so that each has the offset of its children as a constant. */
	if (quire_unlikely(node_is_small(inner))) {
		i = pivots_below_small(as_inner(inner), page);
		return load_node(
			(struct quire_index_node **)(as_inner(inner)->pivot + SMALL_CHILDREN) + i);
	}
	prefetch_children(as_inner(inner));
	i = pivots_below_large(as_inner(inner), page);
	return load_node((struct quire_index_node **)(as_inner(inner)->pivot + LARGE_CHILDREN) + i);
}

/*
 * No commit was counted meanwhile. No fence: what was looked at was loaded with acquire, thus
 * before this.
 */
static inline bool unchanged(const struct quire_index *ix, unsigned long changes)
{
	return quire_load(&ix->changes) == changes;
}

/*
 * The order as it was at one moment. Where a word has 32 bits, a load of 64 may be an instruction that takes the cache line
 * for itself. Two halves are of one moment if the count and the first half are the same before and after: that is one
 * store between them at most, and if there was one, it left the first half as it was.
 */
static inline uint64_t load_order(const struct quire_index *ix, const struct index_leaf *leaf,
				  unsigned long changes)
{
#if QUIRE_INDEX_BITS == 64
	(void)ix;
	(void)changes;
#else
	const quire_half_t *half = (const quire_half_t *)&leaf->order;
	const unsigned low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 1;
	uint32_t a = quire_load_acquire(&half[low]), b = quire_load_acquire(&half[1 - low]);

	if (quire_likely(quire_load_acquire(&half[low]) == a) && quire_likely(unchanged(ix, changes)))
		return (uint64_t)b << 32 | a;
#endif
	return quire_load_acquire(&leaf->order);
}

/* ---- One look ---------------------------------------------------------------------------- */

struct spot {
	const struct quire_index_node *leaf, *inner; /* inner: above leaf, or NULL */
	unsigned slot;				     /* of leaf in inner */
	uint64_t rest;				     /* leaf's order from area on */
	struct quire_vma *area; /* first area whose end is above addr, or NULL */
	struct quire_vma *prev; /* area before that, or NULL */
	unsigned long changes;
};

/* The last leaf below a node. */
static const struct quire_index_node *last_leaf(const struct quire_index_node *node)
{
	while (!node_is_leaf(node))
		node = load_node(&children_of(as_inner(node))[as_inner(node)->n - 1]);
	return node;
}

/* False: what was seen in one place was not yet there when we passed another. */
static inline bool look_once(const struct quire_index *ix, index_page_t page, struct spot *spot)
{
	/* Where to go on to the left and to the right of the way down. */
	const struct quire_index_node *node, *left = NULL, *right = NULL;
	unsigned at, left_slot = 0, right_slot = 0;
	uint64_t order, rest;

	*spot = (struct spot){.changes = quire_load_acquire(&ix->changes)};
	node = load_node(&ix->root);
	if (!node)
		return true;
	while (!node_is_leaf(node)) {
		const struct index_inner *in = as_inner(node);

		at = pivots_below(node, page);
		if (at > 0) {
			left = node;
			left_slot = at - 1;
		}
		if (at + 1 < in->n) {
			right = node;
			right_slot = at + 1;
		}
		spot->inner = node;
		spot->slot = at;
		node = load_node(&children_of(in)[at]);
	}
	order = leaf_order(node);
	rest = order;
	at = leaf_skip(node, &rest, page);
	if (at > 0) {
		spot->prev = leaf_area(node, (unsigned)order_from(order, at - 1) & 15);
	} else if (left) {
		const struct quire_index_node *leaf =
			last_leaf(load_node(&children_of(as_inner(left))[left_slot]));

		order = leaf_order(leaf);
		at = (unsigned)order_from(order, order_count(order) - 1) & 15;
		/* This came, and for it the pivot moved, after we had passed the pivot. */
		if (quire_unlikely(leaf_end(leaf, at) > page))
			return false;
		spot->prev = leaf_area(leaf, at);
	}
	if (!rest && right) {
		spot->inner = right;
		spot->slot = right_slot;
		node = load_node(&children_of(as_inner(right))[right_slot]);
		while (!node_is_leaf(node)) {
			spot->inner = node;
			spot->slot = 0;
			node = load_node(children_of(as_inner(node)));
		}
		rest = leaf_order(node);
	}
	if (rest) {
		spot->leaf = node;
		spot->rest = rest;
		spot->area = leaf_area(node, (unsigned)rest & 15);
	}
	return unchanged(ix, spot->changes);
}

/* The full look: any address, with the area before it. Not inline; the common case does without. */
static __attribute__((noinline)) void look(const struct quire_index *ix, quire_uaddr_t addr,
					   struct spot *spot)
{
	while (quire_unlikely(!look_once(ix, page_of(addr), spot)))
		;
}

/* ---- Finding ----------------------------------------------------------------------------- */

static __attribute__((noinline)) struct quire_vma *find_again(const struct quire_index *ix,
							      quire_uaddr_t addr)
{
	struct spot spot;

	look(ix, addr, &spot);
	return spot.area;
}

/*
 * The area in that slot is the answer if another is before it there, or it holds addr, or all is
 * as it was.
 */
static inline struct quire_vma *settle(const struct quire_index *ix, quire_uaddr_t addr,
				       unsigned long changes, unsigned at, struct quire_vma *vma)
{
	if (quire_likely(at > 0) || quire_likely(unchanged(ix, changes)) || vma->start <= addr)
		return vma;
	return find_again(ix, addr);
}

static __attribute__((noinline)) struct quire_vma *find_in_wide(const struct quire_index *ix,
								quire_uaddr_t addr,
								unsigned long changes,
								const struct index_wide *wide)
{
	uint64_t rest = quire_load_acquire(&wide->order);
	unsigned at = wide_skip(wide, &rest, page_of(addr)), slot = (unsigned)rest & 15;

	if (quire_unlikely(!slot))
		return find_again(ix, addr);
	return settle(ix, addr, changes, at, wide->area[slot - 1]);
}

struct quire_vma *quire_index_find(const struct quire_index *ix, quire_uaddr_t addr)
{
	unsigned long changes = quire_load_acquire(&ix->changes);
	const struct quire_index_node *node = load_node(&ix->root);
	const index_page_t page = page_of(addr);
	const struct index_leaf *leaf;
	unsigned at, slot;
	uint64_t rest;

	if (quire_unlikely(!node))
		return NULL;
	while (!node_is_leaf(node))
		node = child_of(node, page);
	if (quire_unlikely(node_is_wide(node)))
		return find_in_wide(ix, addr, changes, as_wide(node));
	prefetch_leaf(node);
	leaf = as_leaf(node);
	rest = load_order(ix, leaf, changes);
	at = narrow_skip(leaf, &rest, page);
	slot = (unsigned)rest & 15;
	if (quire_unlikely(!slot))
		return find_again(ix, addr);
	return settle(ix, addr, changes, at, leaf->area[slot - 1]);
}

struct quire_vma *quire_index_find_prev(const struct quire_index *ix, quire_uaddr_t addr,
					struct quire_vma **prev)
{
	struct spot spot;

	look(ix, addr, &spot);
	*prev = spot.prev;
	return spot.area;
}

struct quire_vma *quire_index_intersection(const struct quire_index *ix, quire_uaddr_t start,
					   quire_uaddr_t end)
{
	struct quire_vma *vma = quire_index_find(ix, start);

	return vma && vma->start < end ? vma : NULL;
}

struct quire_vma *quire_index_before(const struct quire_index *ix, quire_uaddr_t addr)
{
	struct spot spot;

	look(ix, addr, &spot);
	return spot.prev;
}

struct quire_vma *quire_index_first(const struct quire_index *ix)
{
	return quire_index_find(ix, 0);
}

struct quire_vma *quire_index_last(const struct quire_index *ix)
{
	return quire_index_before(ix, UINT64_MAX);
}

/* ---- Walking ----------------------------------------------------------------------------- */

void quire_index_walk_start(struct quire_index_walk *w, const struct quire_index *ix,
			    quire_uaddr_t addr)
{
	w->ix = ix;
	w->leaf = NULL;
	w->inner = NULL;
	w->rest = 0;
	w->slot = 0;
	w->changes = 0;
	w->next = addr;
}

/*
 * Nothing has changed: then what follows is in the next child, if the walk is not at its parent's
 * last.
 */
static bool walk_to_sibling(struct quire_index_walk *w)
{
	const struct index_inner *in;

	if (!w->inner)
		return false;
	in = as_inner(w->inner);
	if (w->slot + 1 >= in->n)
		return false;
	w->leaf = load_node(&children_of(in)[++w->slot]);
	w->rest = leaf_order(w->leaf);
	if (w->slot + 2 < in->n) {
		const struct quire_index_node *soon = load_node(&children_of(in)[w->slot + 2]);

		__builtin_prefetch(soon);
		prefetch_leaf(soon);
	}
	return unchanged(w->ix, w->changes);
}

/* To where next is now. False: there is nothing. */
static __attribute__((noinline)) bool walk_on(struct quire_index_walk *w, bool has_changed)
{
	struct spot spot;

	if (!has_changed && walk_to_sibling(w))
		return true;
	look(w->ix, w->next, &spot);
	w->leaf = spot.leaf;
	w->inner = spot.inner;
	w->rest = spot.rest;
	w->slot = spot.slot;
	w->changes = spot.changes;
	return spot.rest != 0;
}

struct quire_vma *quire_index_walk_next(struct quire_index_walk *w)
{
	bool has_changed = quire_load_acquire(&w->ix->changes) != w->changes;
	unsigned slot;

	if (quire_unlikely(!w->rest || has_changed) && !walk_on(w, has_changed))
		return NULL;
	slot = (unsigned)w->rest & 15;
	w->rest >>= 4;
	w->next = leaf_end(w->leaf, slot) << QUIRE_PAGE_SHIFT;
	return leaf_area(w->leaf, slot);
}

/* ---- Beginning --------------------------------------------------------------------------- */

int quire_index_init_instance(struct quire *q)
{
	int err = quire_cache_create(q, &q->index_cache, "maple_node", LEAF_NODE_SIZE, 8, 0, NULL);

	if (err)
		return err;
	err = quire_cache_create(q, &q->index_inner_cache, "maple_node_inner", INNER_NODE_SIZE,
				 QUIRE_CACHELINE, 0, NULL);
	if (err)
		(void)quire_cache_destroy(q, &q->index_cache);
	return err;
}

void quire_index_init(struct quire_index *ix, quire_uaddr_t end)
{
	ix->root = NULL;
	ix->changes = 0;
	ix->count = 0;
	ix->end = end;
	ix->height = 0;
}

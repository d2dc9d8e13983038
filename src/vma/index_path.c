/* SPDX-License-Identifier: MIT */
/*
 * The index of areas: ways from the root to a leaf and from there to its neighbours, and what is
 * kept along them: pivots and gaps. Called by the files that change the index or search its gaps,
 * under the writer lock, never by readers. Never allocates, never changes what readers see.
 */
#include <quire/quire.h>

#include "index.h"

/*
 * Above a level: the nearest pivot to the left of the path, and the nearest one to the right of it.
 */
static inline quire_uaddr_t low_above(unsigned height, const struct quire_index_path *path,
				      unsigned level)
{
	while (++level < height)
		if (quire_likely(path->slot[level]))
			return pivot_addr(as_inner(path->inner[level])
						  ->pivot[path->slot[level] - 1]) +
			       1;
	return 0;
}

static inline quire_uaddr_t high_above(unsigned height, const struct quire_index_path *path,
				       unsigned level)
{
	while (++level < height) {
		/* Of a last child it is PAGE_NONE. */
		index_page_t pivot = as_inner(path->inner[level])->pivot[path->slot[level]];

		if (quire_likely(pivot != PAGE_NONE))
			return pivot_addr(pivot);
	}
	return UINT64_MAX;
}

void quire_index_descend(const struct quire_index *ix, quire_uaddr_t addr,
			 struct quire_index_path *path)
{
	struct quire_index_node *node = ix->root;
	const index_page_t page = page_of(addr);
	unsigned level;

	for (level = ix->height - 1; level; level--) {
		const struct index_inner *in = as_inner(node);
		struct quire_index_node *const *child;
		unsigned slot;

		/* Written twice so that each has the offset of its children as a constant. */
		if (quire_unlikely(node_is_small(node))) {
			child = (struct quire_index_node *const *)(in->pivot + SMALL_CHILDREN);
			slot = pivots_below_small(in, page);
		} else {
			prefetch_children(in);
			child = (struct quire_index_node *const *)(in->pivot + LARGE_CHILDREN);
			slot = pivots_below_large(in, page);
		}
		path->inner[level] = node;
		path->slot[level] = (uint8_t)slot;
		node = child[slot];
	}
	prefetch_leaf(node);
	path->leaf = node;
	path->low = low_above(ix->height, path, 0);
	path->high = high_above(ix->height, path, 0);
}

struct quire_index_node *quire_index_at(const struct quire_index_path *path, unsigned level)
{
	return level ? path->inner[level] : path->leaf;
}

quire_uaddr_t quire_index_low(const struct quire_index *ix, const struct quire_index_path *path,
			      unsigned level)
{
	return low_above(ix->height, path, level);
}

quire_uaddr_t quire_index_high(const struct quire_index *ix, const struct quire_index_path *path,
			       unsigned level)
{
	return high_above(ix->height, path, level);
}

/*
 * The path is right above this level; make it so down to the child of that slot on to, but not
 * including, the level.
 */
static void complete(const struct quire_index *ix, struct quire_index_path *path, unsigned from,
		     unsigned level, bool last)
{
	struct quire_index_node *node = children_of(as_inner(path->inner[from]))[path->slot[from]];

	while (--from > level) {
		const struct index_inner *in = as_inner(node);

		path->inner[from] = node;
		path->slot[from] = last ? (uint8_t)(in->n - 1) : 0;
		node = children_of(in)[path->slot[from]];
	}
	if (level == 0) {
		path->leaf = node;
		path->low = low_above(ix->height, path, 0);
		path->high = high_above(ix->height, path, 0);
	}
}

bool quire_index_step_left(const struct quire_index *ix, struct quire_index_path *path,
			   unsigned level)
{
	unsigned up;

	for (up = level + 1; up < ix->height; up++) {
		if (path->slot[up]) {
			path->slot[up]--;
			complete(ix, path, up, level, true);
			return true;
		}
	}
	return false;
}

bool quire_index_step_right(const struct quire_index *ix, struct quire_index_path *path,
			    unsigned level)
{
	unsigned up;

	for (up = level + 1; up < ix->height; up++) {
		if (path->slot[up] + 1u < as_inner(path->inner[up])->n) {
			path->slot[up]++;
			complete(ix, path, up, level, false);
			return true;
		}
	}
	return false;
}

/* ---- Gaps and pivots --------------------------------------------------------------------- */

uint32_t quire_index_leaf_gap(const struct quire_index_node *leaf, uint64_t order,
			      quire_uaddr_t low)
{
	uint64_t before = low >> QUIRE_PAGE_SHIFT;
	uint64_t gap = 0;

	for (; order; order >>= 4) {
		unsigned slot = (unsigned)order & 15;
		uint64_t pages = leaf_start(leaf, slot) - before;

		if (pages > gap)
			gap = pages;
		before = leaf_end(leaf, slot);
	}
	return gap > GAP_MAX ? GAP_MAX : (uint32_t)gap;
}

uint32_t quire_index_inner_gap(const struct index_inner *in)
{
	const uint32_t *gap = gaps_of(in);
	uint32_t max = 0;
	unsigned i;

	for (i = 0; i < in->n; i++)
		if (gap[i] > max)
			max = gap[i];
	return max;
}

void quire_index_set_gap(const struct quire_index *ix, const struct quire_index_path *path,
			 unsigned level, uint32_t gap)
{
	for (;; level++) {
		const struct index_inner *in = as_inner(path->inner[level]);
		uint32_t *place = &gaps_of(in)[path->slot[level]];
		uint32_t was = *place, max;

		if (was == gap)
			return;
		*place = gap;
		if (level + 1 == ix->height)
			return;
		max = gaps_of(as_inner(path->inner[level + 1]))[path->slot[level + 1]];
		if (gap < max) {
			if (was != max)
				return;
			gap = quire_index_inner_gap(in);
		}
	}
}

void quire_index_set_gap_behind(const struct quire_index *ix, const struct quire_index_path *path,
				quire_uaddr_t end)
{
	struct quire_index_path behind = *path;

	if (!quire_index_step_right(ix, &behind, 0))
		return;
	quire_index_set_gap(ix, &behind, 1,
			    quire_index_leaf_gap(behind.leaf, leaf_order(behind.leaf), end));
}

void quire_index_set_pivot(const struct quire_index *ix, const struct quire_index_path *path,
			   unsigned level, quire_uaddr_t pivot)
{
	while (++level < ix->height) {
		struct index_inner *in = as_inner(path->inner[level]);

		if (path->slot[level] + 1u < in->n) {
			quire_store_release(&in->pivot[path->slot[level]], pivot_of(pivot));
			return;
		}
	}
}

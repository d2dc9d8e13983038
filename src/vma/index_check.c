/* SPDX-License-Identifier: MIT */
/*
 * The index of areas: its equations and its size. Called by tests and by quire_mm_check(), under
 * the writer lock. Changes nothing; looks at every node and every area.
 */
#include <quire/quire.h>

#include "index.h"

struct checker {
	uint64_t areas;
	uint64_t before;  /* where the area before ends, page */
	uint32_t gap;	  /* of the node that was checked last */
	unsigned entries; /* of it */
};

static quire_broken_t check_leaf(struct checker *c, const struct quire_index_node *leaf)
{
	const struct leaf_private *private = leaf_private(leaf);
	uint64_t order = leaf_order(leaf);
	unsigned i, seen = 0, count = order_count(order);

	if (count == 0 || count > leaf_slots(leaf))
		return "index: 0 < areas of a leaf <= slots";
	if (node_is_wide(leaf) ? as_wide(leaf)->end[0] != UINT64_MAX
			       : as_leaf(leaf)->end[0] != UINT32_MAX)
		return "index: the end of slot 0 is beyond everything";
	if (private->used > leaf_slots(leaf))
		return "index: slots used <= slots";
	c->gap = quire_index_leaf_gap(leaf, order, c->before << QUIRE_PAGE_SHIFT);
	c->entries = count;
	for (i = 0; i < count; i++, order >>= 4) {
		unsigned slot = (unsigned)order & 15;
		const struct quire_vma *vma;

		if (slot == 0 || slot > private->used)
			return "index: each area of a leaf has a slot in use";
		if (seen & 1u << slot)
			return "index: each area of a leaf has a slot of its own";
		seen |= 1u << slot;
		vma = leaf_area(leaf, slot);
		if (leaf_end(leaf, slot) << QUIRE_PAGE_SHIFT != vma->end ||
		    leaf_start(leaf, slot) << QUIRE_PAGE_SHIFT != vma->start ||
		    private->pages[slot - 1] != pages_field(quire_vma_pages(vma)))
			return "index: an entry is what its area's start and end say";
		if (vma->start >= vma->end || vma->start >> QUIRE_PAGE_SHIFT < c->before)
			return "index: areas are ordered and do not overlap";
		c->before = vma->end >> QUIRE_PAGE_SHIFT;
		c->areas++;
	}
	return NULL;
}

static quire_broken_t check_inner_shape(const struct quire_index *ix,
					const struct quire_index_node *node, unsigned level)
{
	const struct index_inner *in = as_inner(node);
	bool is_root = level + 1 == ix->height;
	unsigned i;

	if (in->cap != (node_is_small(node) ? SMALL_CHILDREN : LARGE_CHILDREN))
		return "index: an inner node has the room that the pointer to it says";
	if (node_is_small(node) && !is_root)
		return "index: only the root is small";
	if (in->n > in->cap || in->n < (is_root ? 2 : 1))
		return "index: children <= room, and the root has two";
	for (i = 0; i < in->cap; i++) {
		if (i + 1 >= in->n && in->pivot[i] != PAGE_NONE)
			return "index: no pivot behind the last but one";
		if (i >= in->n ? children_of(in)[i] != NULL
			       : !children_of(in)[i] ||
					 node_is_leaf(children_of(in)[i]) != (level == 1))
			return "index: leaves are at level 0, inner nodes above";
	}
	return NULL;
}

quire_broken_t quire_index_check(const struct quire_index *ix)
{
	static const quire_broken_t too_empty[2] = {
		"index: a leaf is a third full, unless the first or last",
		"index: an inner node is a third full, unless the first or last of its level",
	};
	const struct quire_index_node *stack[QUIRE_INDEX_HEIGHT], *node = ix->root;
	bool is_first[QUIRE_INDEX_HEIGHT], is_thin[QUIRE_INDEX_HEIGHT];
	unsigned next[QUIRE_INDEX_HEIGHT], level, up;
	struct checker c = {0};
	quire_broken_t broken;

	if (!node)
		return ix->count || ix->height ? "index: without a root, no areas" : NULL;
	if (ix->height == 0 || ix->height > QUIRE_INDEX_HEIGHT)
		return "index: 0 < height <= QUIRE_INDEX_HEIGHT";
	up = ix->height - 1;
	if (node_is_leaf(node) != (up == 0))
		return "index: leaves are at level 0, inner nodes above";
	for (level = 0; level <= up; level++) {
		is_first[level] = true;
		is_thin[level] = false;
	}
	level = up;
	for (;;) {
		/* Down to a leaf. */
		for (; level; level--) {
			broken = check_inner_shape(ix, node, level);
			if (broken)
				return broken;
			stack[level] = node;
			next[level] = 0;
			node = children_of(as_inner(node))[0];
		}
		broken = check_leaf(&c, node);
		if (broken)
			return broken;
		/* The node of this level is complete; up while it is its parent's last. */
		for (;;) {
			const struct index_inner *in;
			unsigned slot;

			/* So the thin one before was not the last. */
			if (is_thin[level])
				return too_empty[level != 0];
			is_thin[level] = !is_first[level] && level != up &&
					 c.entries < (level ? INNER_MIN : LEAF_MIN);
			is_first[level] = false;
			if (level == up)
				return c.areas == ix->count ? NULL
							    : "index: count == number of areas";

			in = as_inner(stack[level + 1]);
			slot = next[level + 1]++;
			if (gaps_of(in)[slot] != c.gap)
				return "index: a gap is the largest free stretch";
			if (counts_of(in)[slot] != c.entries)
				return "index: a count is the child's number of entries";
			if (slot + 1 < in->n) {
				if (in->pivot[slot] != c.before - 1)
					return "index: a pivot is the last page before the next child";
				node = children_of(in)[slot + 1];
				break;
			}
			level++;
			c.gap = quire_index_inner_gap(in);
			c.entries = in->n;
		}
	}
}

uint64_t quire_index_bytes(const struct quire_index *ix)
{
	const struct index_inner *stack[QUIRE_INDEX_HEIGHT];
	unsigned next[QUIRE_INDEX_HEIGHT], level, up;
	uint64_t bytes = 0;

	if (!ix->height)
		return 0;
	if (ix->height == 1)
		return LEAF_NODE_SIZE;
	up = ix->height - 1;
	level = up;
	stack[level] = as_inner(ix->root);
	next[level] = 0;
	bytes += node_is_small(ix->root) ? LEAF_NODE_SIZE : INNER_NODE_SIZE;
	while (level <= up) {
		if (level == 1) {
			bytes += LEAF_NODE_SIZE * (uint64_t)stack[1]->n;
			level++;
		} else if (next[level] == stack[level]->n) {
			level++;
		} else {
			stack[level - 1] = as_inner(children_of(stack[level])[next[level]++]);
			level--;
			next[level] = 0;
			bytes += INNER_NODE_SIZE;
		}
	}
	return bytes;
}

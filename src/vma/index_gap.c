/* SPDX-License-Identifier: MIT */
/*
 * The index of areas: the search for free stretches. Called by whoever chooses addresses, under
 * the writer lock. Changes nothing.
 *
 * A free stretch belongs to the area above it, and nodes know the largest below them: so the search
 * goes through the areas in order, ascending or descending, and skips every subtree that has
 * nothing large enough. What is behind the last area it looks at by itself. An area with
 * QUIRE_VM_GROWSDOWN makes the stretch below it shorter than the nodes say; so may alignment and
 * the window. Then the search goes on.
 */
#include <quire/quire.h>

#include "index.h"

/* The stretch [from, to) as cut by the window; empty if to <= from. */
struct stretch {
	quire_uaddr_t from, to;
};

static struct stretch cut(const struct quire_gap_request *rq, quire_uaddr_t end, quire_uaddr_t from,
			  quire_uaddr_t to, const struct quire_vma *above)
{
	quire_uaddr_t high = rq->high < end ? rq->high : end;
	struct stretch s = {from, to};

	if (above && (above->flags & QUIRE_VM_GROWSDOWN))
		s.to = s.to > rq->guard ? s.to - rq->guard : 0;
	if (s.from < rq->low)
		s.from = rq->low;
	if (s.to > high)
		s.to = high;
	return s;
}

static bool fits_low(const struct quire_gap_request *rq, struct stretch s, quire_uaddr_t *addr)
{
	quire_uaddr_t a = s.from + ((rq->offset - s.from) & (rq->align - 1));

	if (a < s.from || a >= s.to || s.to - a < rq->size)
		return false;
	*addr = a;
	return true;
}

static bool fits_high(const struct quire_gap_request *rq, struct stretch s, quire_uaddr_t *addr)
{
	quire_uaddr_t a, down;

	if (s.to <= s.from || s.to - s.from < rq->size)
		return false;
	a = s.to - rq->size;
	down = (a - rq->offset) & (rq->align - 1);
	if (a - s.from < down)
		return false;
	*addr = a - down;
	return true;
}

/*
 * The stretch [from, to) below an area. If only its guard is in the way, nothing is looked for
 * above where the guard begins any more, not even in stretches that lie beyond other areas: so
 * does Linux.
 *
 *	areas                 |-A-|    |--stack--|
 *	guard          ^^^^^^^^^^^^^^^^^
 *	wanted    |--|             |--|               not there, nor right below A
 */
static bool fits_below_area(struct quire_gap_request *rq, quire_uaddr_t end, quire_uaddr_t from,
			    quire_uaddr_t to, const struct quire_vma *above, quire_uaddr_t *addr)
{
	quire_uaddr_t unguarded;

	if (fits_high(rq, cut(rq, end, from, to, above), addr))
		return true;
	if ((above->flags & QUIRE_VM_GROWSDOWN) &&
	    fits_high(rq, cut(rq, end, from, to, NULL), &unguarded))
		rq->high = to > rq->guard ? to - rq->guard : 0;
	return false;
}

/* What nodes must have at least, as they count it. */
static uint32_t least_gap(const struct quire_gap_request *rq)
{
	uint64_t pages = ((rq->size - 1) >> QUIRE_PAGE_SHIFT) + 1;

	return pages > GAP_MAX ? GAP_MAX : (uint32_t)pages;
}

static bool is_possible(const struct quire_index *ix, const struct quire_gap_request *rq)
{
	quire_uaddr_t high = rq->high < ix->end ? rq->high : ix->end;

	return rq->size && rq->low < high && high - rq->low >= rq->size;
}

/*
 * On to the next (previous) leaf with such a gap: up until there is a sibling that has one, and
 * down again. False: no more.
 */
static bool next_leaf(const struct quire_index *ix, struct quire_index_path *path, uint32_t least,
		      bool descending)
{
	unsigned level = 1;
	bool up = true;

	while (level < ix->height) {
		const struct index_inner *in = as_inner(path->inner[level]);
		const uint32_t *gap = gaps_of(in);
		unsigned slot;

		/* Coming up: behind where we were. Going down: from the first. */
		if (descending) {
			slot = up ? path->slot[level] : in->n;
			while (slot && gap[slot - 1] < least)
				slot--;
			if (slot == 0)
				goto ascend;
			slot--;
		} else {
			slot = up ? path->slot[level] + 1u : 0;
			while (slot < in->n && gap[slot] < least)
				slot++;
			if (slot == in->n)
				goto ascend;
		}
		path->slot[level] = (uint8_t)slot;
		up = false;
		level--;
		if (level == 0) {
			path->leaf = children_of(in)[slot];
			path->low = quire_index_low(ix, path, 0);
			path->high = quire_index_high(ix, path, 0);
			return true;
		}
		path->inner[level] = children_of(in)[slot];
		continue;
ascend:
		up = true;
		level++;
	}
	return false;
}

int quire_index_lowest_gap(const struct quire_index *ix, const struct quire_gap_request *rq,
			   quire_uaddr_t *addr)
{
	uint32_t least = least_gap(rq);
	struct quire_index_path path;
	uint64_t order, rest;
	quire_uaddr_t before;
	unsigned at;

	if (!is_possible(ix, rq))
		return -QUIRE_ENOMEM;
	if (!ix->height)
		return fits_low(rq, cut(rq, ix->end, 0, ix->end, NULL), addr) ? 0 : -QUIRE_ENOMEM;

	/* All areas before that one end at or before low. */
	quire_index_descend(ix, rq->low, &path);
	order = leaf_order(path.leaf);
	rest = order;
	at = leaf_skip(path.leaf, &rest, page_of(rq->low));
	before = at ? leaf_end(path.leaf, (unsigned)order_from(order, at - 1) & 15)
				 << QUIRE_PAGE_SHIFT
		    : path.low;
	order = rest;
	for (;;) {
		for (; order; order >>= 4) {
			unsigned slot = (unsigned)order & 15;
			quire_uaddr_t start = leaf_start(path.leaf, slot) << QUIRE_PAGE_SHIFT;

			if (start - before >= rq->size &&
			    fits_low(rq,
				     cut(rq, ix->end, before, start, leaf_area(path.leaf, slot)),
				     addr))
				return 0;
			before = leaf_end(path.leaf, slot) << QUIRE_PAGE_SHIFT;
			if (before >= rq->high)
				return -QUIRE_ENOMEM;
		}
		if (!next_leaf(ix, &path, least, false))
			break;
		order = leaf_order(path.leaf);
		before = path.low;
		if (before >= rq->high)
			return -QUIRE_ENOMEM;
	}
	/* Behind the last area. */
	quire_index_descend(ix, UINT64_MAX - 1, &path);
	order = leaf_order(path.leaf);
	before = leaf_end(path.leaf, (unsigned)order_from(order, order_count(order) - 1))
		 << QUIRE_PAGE_SHIFT;
	return fits_low(rq, cut(rq, ix->end, before, ix->end, NULL), addr) ? 0 : -QUIRE_ENOMEM;
}

int quire_index_highest_gap(const struct quire_index *ix, const struct quire_gap_request *rq,
			    quire_uaddr_t *addr)
{
	struct quire_gap_request below = *rq;
	uint32_t least = least_gap(rq);
	struct quire_index_path path;
	uint64_t order, rest;
	unsigned at;

	if (!is_possible(ix, rq))
		return -QUIRE_ENOMEM;
	if (!ix->height)
		return fits_high(rq, cut(rq, ix->end, 0, ix->end, NULL), addr) ? 0 : -QUIRE_ENOMEM;

	/*
	 * The area that holds the last byte of the window, or the next: the first stretch is below
	 * it.
	 */
	quire_index_descend(ix, rq->high - 1, &path);
	order = leaf_order(path.leaf);
	rest = order;
	at = leaf_skip(path.leaf, &rest, page_of(rq->high - 1));
	if (rest) {
		at++;
	} else {
		quire_uaddr_t end = leaf_end(path.leaf, (unsigned)order_from(order, at - 1) & 15)
				    << QUIRE_PAGE_SHIFT;

		if (fits_high(rq, cut(rq, ix->end, end, ix->end, NULL), addr))
			return 0;
	}
	for (;;) {
		while (at) {
			unsigned slot = (unsigned)order_from(order, --at) & 15;
			quire_uaddr_t start = leaf_start(path.leaf, slot) << QUIRE_PAGE_SHIFT;
			quire_uaddr_t before = path.low;

			if (at)
				before = leaf_end(path.leaf,
						  (unsigned)order_from(order, at - 1) & 15)
					 << QUIRE_PAGE_SHIFT;
			if (start - before >= rq->size &&
			    fits_below_area(&below, ix->end, before, start,
					    leaf_area(path.leaf, slot), addr))
				return 0;
			if (before <= rq->low)
				return -QUIRE_ENOMEM;
		}
		if (!next_leaf(ix, &path, least, true))
			return -QUIRE_ENOMEM;
		order = leaf_order(path.leaf);
		at = order_count(order);
	}
}

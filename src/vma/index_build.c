/* SPDX-License-Identifier: MIT */
/*
 * The index of areas: changes that take more than the order of one leaf: a leaf that is full,
 * empty, or too empty, areas too far apart for it, splices over several leaves. Called by
 * index_splice.c alone, under the writer lock. Commit never fails and never touches a node that
 * readers see, but for one pointer.
 *
 * The picture. left and right are the ways to the first and the last leaf that the splice touches
 * (the same, most often). What is between them goes, at every level, and new nodes come in its
 * place, made of what is to the left of the one way, what came from the level below, and what is
 * to the right of the other:
 *
 *   level 2                 [ a  b  C  D  e ]                 one node: copied, or changed in place
 *                                  /    \
 *   level 1       [ f  g  H  I ]          [ J  K  l  m ]      lower case stays, capitals go
 *                        /                    \
 *   level 0      [ n  o  P  Q ]                [ R  s ]       areas
 *
 *   new level 0     n o + new areas + s         so many leaves
 *   new level 1     f g + those leaves + l m    so many inner nodes
 *   new level 2     a b + those nodes + e
 *
 * It ends at the level where exactly one node takes the place of exactly one: there a pointer is
 * stored, and that is the moment when readers see all of it. Or at the root: then that is the
 * pointer.
 *
 * A level that would be too empty takes in the neighbour of the first or the last node ("extra").
 * A full leaf does so too before it splits in two: random insertion then leaves the leaves four
 * fifths full rather than two thirds.
 *
 * plan() decides all that from counts alone, so reserve runs it to see how many nodes it takes.
 * build() then streams through it: level by level what is left of the way, top first; then the
 * areas; then level by level, bottom first, what is right of it. A node that is full is handed to
 * the level above.
 */
#include <quire/quire.h>

#include "index.h"

/* A full leaf shares with a neighbour that leaves at least so many slots free in the two. */
#define SPREAD_SLACK 3u
/* Two leaves are joined if that leaves so many slots free. */
#define JOIN_SLACK 2u
/* Offsets are taken from so far below a leaf's first end, so that areas can come before it. */
#define BASE_BELOW (UINT64_C(1) << 31)

enum fill {
	FILL_EVEN,
	FILL_LEFT,  /* all full but the last: areas come in ascending order */
	FILL_RIGHT, /* all full but the first: in descending order */
};

struct level {
	struct quire_index_node *extra_left, *extra_right; /* neighbours taken in whole, or NULL */
	size_t total;					   /* entries of this level's new nodes */
	size_t nodes;					   /* new nodes */
	size_t done;					   /* of them, finished */
	quire_uaddr_t right_last; /* last byte below the right way's node; UINT64_MAX: right edge */
	/* The node in the making: */
	struct quire_index_node *node;
	uint32_t gap;
	uint8_t have, want; /* entries */
	uint8_t cap;
	uint8_t fill; /* enum fill */
};

struct build {
	const struct quire_index *ix;
	const struct quire_splice *s;
	/* From plan(): */
	struct quire_index_path left, right;
	struct quire_index_node *left_leaf, *right_leaf; /* before neighbours were taken in */
	/* Kept: [0, from) of the left leaf, [to, right_live) of the right one. */
	unsigned from, to, right_live;
	bool keeps_left;    /* the left leaf stays as it is, new ones come behind it */
	unsigned top;	    /* level whose child, or ix->height and above: the root, is stored */
	bool is_root;	    /* the result is the root */
	bool collapses;	    /* the root's only child is the result */
	struct level level[QUIRE_INDEX_HEIGHT];
	bool is_wide; /* the new leaves are; else they all have this base */
	uint64_t base;
	/* build(): */
	struct quire_splice *reserve; /* nodes come from here */
	uint64_t before;	      /* end of the area before, page */
	struct quire_index_node *result;
	quire_uaddr_t result_last;
	uint32_t result_gap;
	uint8_t result_count;
};

/* ---- Plan -------------------------------------------------------------------------------- */

static size_t divide_up(size_t a, size_t b)
{
	return a <= b ? a != 0 : (a + b - 1) / b;
}

/* What a level looks like before it is decided. */
struct circumstances {
	bool shrinks;		   /* fewer entries than before */
	bool at_start, at_end;	   /* nothing below on that side, and the tree ends there */
	bool has_left, has_right;  /* neighbours exist */
	int near_left, near_right; /* entries of those with the same parent; -1: there is none */
};

enum take { TAKE_NONE, TAKE_LEFT, TAKE_RIGHT };

/* The neighbour with fewer entries among those with the same parent; else any. */
static enum take fewer(const struct circumstances *c)
{
	if (c->near_left >= 0 && (c->near_right < 0 || c->near_left <= c->near_right))
		return TAKE_LEFT;
	if (c->near_right >= 0)
		return TAKE_RIGHT;
	if (c->has_left)
		return TAKE_LEFT;
	return c->has_right ? TAKE_RIGHT : TAKE_NONE;
}

/* Not at the edges of the tree: there, nodes fill and empty one entry after the other. */
static bool is_too_empty(const struct level *l, const struct circumstances *c, size_t min)
{
	return l->total != 0 && l->total < min && c->shrinks && c->has_left && c->has_right;
}

/* Whom to take in, and how many leaves it then takes if all can be narrow. */
static enum take shape_leaves(struct level *l, const struct circumstances *c)
{
	enum take take = TAKE_NONE;
	size_t least, most;

	l->fill = FILL_EVEN;
	if (is_too_empty(l, c, LEAF_MIN)) {
		l->nodes = 1;
		return fewer(c);
	}
	l->nodes = divide_up(l->total, LEAF_SLOTS);
	if (l->nodes <= 1)
		return TAKE_NONE;
	if (c->at_end) {
		l->fill = FILL_LEFT;
		return TAKE_NONE;
	}
	if (c->at_start) {
		l->fill = FILL_RIGHT;
		return TAKE_NONE;
	}
	if (l->nodes > 2 || (c->near_left < 0 && c->near_right < 0))
		return TAKE_NONE;

	/* Full, in the midst of others: share with a neighbour, or make three of two. */
	take = fewer(c);
	least = (size_t)(take == TAKE_LEFT ? c->near_left : c->near_right);
	if (l->total + least + SPREAD_SLACK <= 2 * LEAF_SLOTS)
		return take;
	if (c->near_left >= 0 && c->near_right >= 0) {
		take = take == TAKE_LEFT ? TAKE_RIGHT : TAKE_LEFT;
		most = (size_t)(take == TAKE_LEFT ? c->near_left : c->near_right);
		least = most;
	}
	if (l->total + least <= 3 * LEAF_SLOTS)
		l->nodes = 3;
	return take;
}

static enum take shape_inner(struct level *l, const struct circumstances *c)
{
	l->cap = LARGE_CHILDREN;
	l->fill = FILL_EVEN;
	if (is_too_empty(l, c, INNER_MIN)) {
		l->nodes = 1;
		return fewer(c);
	}
	l->nodes = divide_up(l->total, LARGE_CHILDREN);
	if (l->nodes > 1 && c->at_end)
		l->fill = FILL_LEFT;
	else if (l->nodes > 1 && c->at_start)
		l->fill = FILL_RIGHT;
	return TAKE_NONE;
}

/* Neighbours of the nodes at the ends of a level, as their parents know them. */
static void look_around(const struct build *b, unsigned level, struct circumstances *c)
{
	const struct index_inner *parent;

	c->near_left = -1;
	c->near_right = -1;
	c->has_left = quire_index_low(b->ix, &b->left, level) != 0;
	c->has_right = quire_index_high(b->ix, &b->right, level) != UINT64_MAX;
	if (level + 1 >= b->ix->height)
		return;
	if (b->left.slot[level + 1])
		c->near_left =
			counts_of(as_inner(b->left.inner[level + 1]))[b->left.slot[level + 1] - 1];
	parent = as_inner(b->right.inner[level + 1]);
	if (b->right.slot[level + 1] + 1u < parent->n)
		c->near_right = counts_of(parent)[b->right.slot[level + 1] + 1];
}

static uint64_t first_end(const struct quire_index_node *leaf, unsigned from)
{
	return leaf_end(leaf, (unsigned)order_from(leaf_order(leaf), from) & 15);
}

static uint64_t last_end(const struct quire_index_node *leaf, unsigned to)
{
	return leaf_end(leaf, (unsigned)order_from(leaf_order(leaf), to - 1) & 15);
}

/*
 * First and last of all the ends that the new leaves hold, in pages, decide of what kind they are.
 */
static void choose_kind(struct build *b, size_t n, uint64_t first_new, uint64_t last_new)
{
	struct level *l = &b->level[0];
	bool left = b->from && !b->keeps_left, right = b->to < b->right_live;
	uint64_t first, last;
	size_t nodes;

	if (l->extra_left)
		first = first_end(l->extra_left, 0);
	else if (left)
		first = first_end(b->left_leaf, 0);
	else if (n)
		first = first_new;
	else
		first = right ? first_end(b->right_leaf, b->to) : first_end(l->extra_right, 0);

	if (l->extra_right)
		last = last_end(l->extra_right, order_count(leaf_order(l->extra_right)));
	else if (right)
		last = last_end(b->right_leaf, b->right_live);
	else if (n)
		last = last_new;
	else
		last = left ? last_end(b->left_leaf, b->from)
			    : last_end(l->extra_left, order_count(leaf_order(l->extra_left)));

	b->is_wide = HAS_WIDE && last - first >= LEAF_KEY_MAX;
	b->base = first > BASE_BELOW ? first - BASE_BELOW : 0;
	if (last - b->base > LEAF_KEY_MAX)
		b->base = last - LEAF_KEY_MAX;
	l->cap = LEAF_SLOTS;
	if (b->is_wide) {
		l->cap = WIDE_SLOTS;
		nodes = divide_up(l->total, WIDE_SLOTS);
		if (l->nodes < nodes)
			l->nodes = nodes;
	}
}

static void plan_leaves(struct build *b, size_t n, uint64_t first_new, uint64_t last_new)
{
	struct level *l = &b->level[0];
	struct circumstances c = {.near_left = -1, .near_right = -1};
	enum take take;

	l->extra_left = NULL;
	l->extra_right = NULL;
	l->total = b->from + n + (b->right_live - b->to);
	b->keeps_left = false;
	if (b->ix->height)
		look_around(b, 0, &c);
	c.shrinks = !b->s->single || n < (size_t)(b->to - b->from);
	c.at_start = b->from == 0 && !c.has_left;
	c.at_end = b->to == b->right_live && !c.has_right;
	take = shape_leaves(l, &c);
	/* In ascending order: a full last leaf is left alone. */
	if (l->fill == FILL_LEFT && b->ix->height > 1 && b->from == leaf_slots(b->left_leaf)) {
		b->keeps_left = true;
		l->total = n;
		l->nodes = divide_up(n, LEAF_SLOTS);
		b->left.slot[1]++;
	}
	if (take == TAKE_LEFT && quire_index_step_left(b->ix, &b->left, 0)) {
		l->extra_left = b->left.leaf;
		l->total += order_count(leaf_order(l->extra_left));
	} else if (take == TAKE_RIGHT && quire_index_step_right(b->ix, &b->right, 0)) {
		l->extra_right = b->right.leaf;
		l->total += order_count(leaf_order(l->extra_right));
	}
	if (take != TAKE_NONE && l->nodes == 1 && l->total + JOIN_SLACK > LEAF_SLOTS)
		l->nodes = 2;

	if (l->total)
		choose_kind(b, n, first_new, last_new);
}

static void plan_inner(struct build *b, unsigned level)
{
	struct level *l = &b->level[level];
	const struct index_inner *left = as_inner(b->left.inner[level]);
	const struct index_inner *right = as_inner(b->right.inner[level]);
	struct circumstances c;
	enum take take;

	look_around(b, level, &c);
	c.shrinks = left != right || l->total < left->n;
	c.at_start = b->left.slot[level] == 0 && !c.has_left;
	c.at_end = b->right.slot[level] + 1u == right->n && !c.has_right;
	take = shape_inner(l, &c);
	if (take == TAKE_LEFT && quire_index_step_left(b->ix, &b->left, level)) {
		l->extra_left =
			children_of(as_inner(b->left.inner[level + 1]))[b->left.slot[level + 1]];
		l->total += as_inner(l->extra_left)->n;
	} else if (take == TAKE_RIGHT && quire_index_step_right(b->ix, &b->right, level)) {
		l->extra_right =
			children_of(as_inner(b->right.inner[level + 1]))[b->right.slot[level + 1]];
		l->total += as_inner(l->extra_right)->n;
	}
	if (take != TAKE_NONE && l->nodes == 1 && l->total + JOIN_SLACK > LARGE_CHILDREN)
		l->nodes = 2;
}

/* The two ways. */
static void begin(struct build *b, const struct quire_index *ix, const struct quire_splice *s)
{
	uint64_t rest;

	b->ix = ix;
	b->s = s;
	b->from = 0;
	b->to = 0;
	b->right_live = 0;
	b->keeps_left = false;
	if (!ix->height)
		return;
	b->left = s->path;
	b->left_leaf = s->path.leaf;
	b->from = s->from;
	b->right = s->path;
	if (s->single) {
		b->to = s->to;
		b->right_live = s->live;
	} else {
		quire_index_descend(ix, s->end - 1, &b->right);
		rest = leaf_order(b->right.leaf);
		b->to = leaf_skip(b->right.leaf, &rest, page_of(s->end));
		/* A leaf of which nothing goes is none of our business. */
		if (b->to == 0)
			(void)quire_index_step_left(ix, &b->right, 0);
		b->right_live = order_count(leaf_order(b->right.leaf));
		if (b->to == 0)
			b->to = b->right_live;
	}
	b->right_leaf = b->right.leaf;
}

/*
 * Decide how it will look with n new areas, the first of which ends at first_new and the last at
 * last_new (pages). -ENOMEM: too high.
 */
static int plan(struct build *b, size_t n, uint64_t first_new, uint64_t last_new)
{
	const struct quire_index *ix = b->ix;
	unsigned level;

	b->is_root = true;
	b->collapses = false;
	plan_leaves(b, n, first_new, last_new);

	for (level = 1;; level++) {
		struct level *l = &b->level[level];
		size_t below = b->level[level - 1].nodes;

		b->top = level;
		if (level < ix->height) {
			const struct index_inner *right = as_inner(b->right.inner[level]);
			unsigned left_slot = b->left.slot[level], right_slot = b->right.slot[level];

			if (below == 1 && b->left.inner[level] == b->right.inner[level] &&
			    left_slot == right_slot) {
				b->is_root = false;
				return 0;
			}
			l->extra_left = NULL;
			l->extra_right = NULL;
			l->total = left_slot + below + (right->n - 1u - right_slot);
			l->right_last = quire_index_high(ix, &b->right, level);
			if (level + 1 == ix->height && l->total == 1) {
				b->collapses = true;
				return 0;
			}
			plan_inner(b, level);
		} else {
			if (below <= 1)
				return 0;
			if (level == QUIRE_INDEX_HEIGHT)
				return -QUIRE_ENOMEM;
			l->extra_left = NULL;
			l->extra_right = NULL;
			l->total = below;
			l->nodes = divide_up(below, LARGE_CHILDREN);
			l->cap = LARGE_CHILDREN;
			l->fill = b->level[level - 1].fill;
		}
	}
}

/* The root of that plan is a small node, made of a leaf's memory. */
static bool has_small_root(const struct build *b)
{
	return b->is_root && !b->collapses && b->top > 1 && b->level[b->top - 1].nodes == 1 &&
	       b->level[b->top - 1].total <= SMALL_CHILDREN;
}

int quire_index_estimate(const struct quire_index *ix, const struct quire_splice *s, size_t n,
			 size_t *leaves, size_t *inners)
{
	struct build b;
	unsigned level;
	int err;

	begin(&b, ix, s);
	err = plan(&b, n, (s->start >> QUIRE_PAGE_SHIFT) + 1, s->end >> QUIRE_PAGE_SHIFT);
	if (err)
		return err;
	*leaves = b.level[0].nodes;
	*inners = 0;
	for (level = 1; level < b.top; level++)
		*inners += b.level[level].nodes;
	if (has_small_root(&b)) {
		*leaves += 1;
		*inners -= 1;
	}
	return 0;
}

/* ---- Build ------------------------------------------------------------------------------- */

static void *take_object(struct quire *q, struct quire_index_node **list, uint32_t *nr)
{
	struct quire_index_node *node = *list;

	quire_assert(q, *nr > 0);
	*list = *(struct quire_index_node **)node;
	*nr -= 1;
	return node;
}

/* How many entries the next node of a level gets. */
static uint8_t wanted(const struct level *l)
{
	size_t rest = l->total - (l->nodes - 1) * l->cap;

	if (l->nodes == 1)
		return (uint8_t)l->total;
	switch ((enum fill)l->fill) {
	case FILL_LEFT:
		return l->done + 1 == l->nodes ? (uint8_t)rest : l->cap;
	case FILL_RIGHT:
		return l->done == 0 ? (uint8_t)rest : l->cap;
	case FILL_EVEN:
		break;
	}
	return (uint8_t)(l->total / l->nodes + (l->done < l->total % l->nodes));
}

/* Ready to take the entries of an inner node of this level. */
static void open_inner(struct quire *q, struct build *b, unsigned level)
{
	struct level *l = &b->level[level];
	struct index_inner *in;
	unsigned i, cap = LARGE_CHILDREN;
	uintptr_t bits = 0;

	l->want = wanted(l);
	l->have = 0;
	l->gap = 0;
	if (level + 1 == b->top && has_small_root(b)) {
		cap = SMALL_CHILDREN;
		bits = NODE_SMALL;
		in = take_object(q, &b->reserve->leaves, &b->reserve->nr_leaves);
	} else {
		in = take_object(q, &b->reserve->inners, &b->reserve->nr_inners);
	}
	in->n = l->want;
	in->cap = (uint8_t)cap;
	for (i = l->want - 1u; i < cap; i++)
		in->pivot[i] = PAGE_NONE;
	for (i = l->want; i < cap; i++)
		children_of(in)[i] = NULL;
	l->node = (struct quire_index_node *)((uintptr_t)in | bits);
}

/* The level's node is complete, if it is: hand it up, and so on as far as that reaches. */
static void hand_up(struct quire *q, struct build *b, unsigned level, quire_uaddr_t last)
{
	for (;;) {
		struct level *l = &b->level[level], *up = l + 1;
		struct quire_index_node *node = l->node;
		const struct index_inner *in;

		if (l->have < l->want)
			return;
		l->node = NULL;
		l->done++;
		if (++level == b->top) {
			b->result = node;
			b->result_last = last;
			b->result_gap = l->gap;
			b->result_count = l->want;
			return;
		}
		if (!up->node)
			open_inner(q, b, level);
		in = as_inner(up->node);
		if (up->have + 1 < up->want)
			as_inner(up->node)->pivot[up->have] = pivot_of(last);
		children_of(in)[up->have] = node;
		gaps_of(in)[up->have] = l->gap;
		counts_of(in)[up->have] = l->want;
		if (l->gap > up->gap)
			up->gap = l->gap;
		up->have++;
	}
}

/*
 * The last byte of the last area below a node; only for those rare ones whose pivot isn't at hand.
 */
static quire_uaddr_t last_below(const struct quire_index_node *node)
{
	while (!node_is_leaf(node))
		node = children_of(as_inner(node))[as_inner(node)->n - 1];
	return (last_end(node, order_count(leaf_order(node))) << QUIRE_PAGE_SHIFT) - 1;
}

/* Children [from, to) of an old node of this level; last: last byte below the node. */
static void put_children(struct quire *q, struct build *b, unsigned level,
			 const struct quire_index_node *node, unsigned from, unsigned to,
			 quire_uaddr_t last)
{
	const struct index_inner *src = as_inner(node), *dst;
	struct level *l = &b->level[level];

	if (level == b->top) {
		/* The root's only child, that becomes the root. */
		if (from < to)
			b->result = children_of(src)[from];
		return;
	}
	while (from < to) {
		struct quire_index_node *const *child = children_of(src) + from;
		const uint32_t *gap = gaps_of(src) + from;
		const uint8_t *count = counts_of(src) + from;
		struct quire_index_node **to_child;
		uint32_t *to_gap, max;
		index_page_t *to_pivot;
		uint8_t *to_count;
		unsigned i, n, pivots;

		if (!l->node)
			open_inner(q, b, level);
		dst = as_inner(l->node);
		to_child = children_of(dst) + l->have;
		to_gap = gaps_of(dst) + l->have;
		to_count = counts_of(dst) + l->have;
		to_pivot = as_inner(l->node)->pivot + l->have;
		n = l->want - l->have;
		if (n > to - from)
			n = to - from;
		max = l->gap;
		for (i = 0; i < n; i++) {
			to_child[i] = child[i];
			to_gap[i] = gap[i];
			if (gap[i] > max)
				max = gap[i];
			to_count[i] = count[i];
		}
		l->gap = max;
		/* A new last child gets no pivot, and the old one has none. */
		pivots = l->have + n < l->want ? n : n - 1;
		for (i = 0; i < pivots; i++)
			to_pivot[i] = src->pivot[from + i];
		if (pivots == n && from + n == src->n)
			to_pivot[n - 1] = pivot_of(last);
		from += n;
		l->have = (uint8_t)(l->have + n);
		hand_up(q, b, level, from < src->n ? pivot_addr(src->pivot[from - 1]) : last);
	}
}

/*
 * Ready to take the areas of a leaf: in slots by their order, which is written at once since
 * nobody sees it.
 */
static void open_leaf(struct quire *q, struct build *b)
{
	struct level *l = &b->level[0];
	void *object = take_object(q, &b->reserve->leaves, &b->reserve->nr_leaves);
	uint64_t order;

	l->want = wanted(l);
	l->have = 0;
	l->gap = 0;
	order = UINT64_C(0x0fedcba987654321) & ((UINT64_C(1) << (4 * l->want)) - 1);
	if (b->is_wide) {
		struct index_wide *wide = object;

		wide->order = order;
		wide->end[0] = UINT64_MAX;
		wide->private.used = l->want;
		l->node = (struct quire_index_node *)((uintptr_t)object | NODE_LEAF | NODE_WIDE);
	} else {
		struct index_leaf *leaf = object;

		leaf->order = order;
		leaf->base = (index_page_t)b->base;
		leaf->end[0] = UINT32_MAX;
		leaf->private.used = l->want;
		l->node = (struct quire_index_node *)((uintptr_t)object | NODE_LEAF);
	}
}

/* Bounds in pages. */
static void put_area(struct quire *q, struct build *b, struct quire_vma *area, uint64_t start,
		     uint64_t end)
{
	struct level *l = &b->level[0];
	uint32_t gap = gap_between(b->before, start);

	if (!l->node)
		open_leaf(q, b);
	if (gap > l->gap)
		l->gap = gap;
	b->before = end;
	if (b->is_wide) {
		as_wide(l->node)->area[l->have] = area;
		as_wide(l->node)->private.pages[l->have] = pages_field(end - start);
		as_wide(l->node)->end[++l->have] = end;
	} else {
		as_leaf(l->node)->area[l->have] = area;
		as_leaf(l->node)->private.pages[l->have] = pages_field(end - start);
		as_leaf(l->node)->end[++l->have] = (uint32_t)(end - b->base);
	}
	hand_up(q, b, 0, (end << QUIRE_PAGE_SHIFT) - 1);
}

/*
 * The common case of the next function: as many as the new leaf takes, none of its areas and
 * leaves wide.
 */
static unsigned copy_narrow(struct build *b, const struct index_leaf *src, uint64_t order,
			    unsigned n)
{
	struct level *l = &b->level[0];
	struct index_leaf *dst = as_leaf(l->node);
	uint32_t shift = (uint32_t)(src->base - b->base);
	uint64_t before = b->before - src->base;
	unsigned i, have = l->have;
	uint64_t gap = l->gap;

	if (n > l->want - have)
		n = l->want - have;
	for (i = 0; i < n; i++, order >>= 4) {
		unsigned slot = (unsigned)order & 15;
		uint32_t end = src->end[slot];
		uint16_t pages = src->private.pages[slot - 1];
		struct quire_vma *area = src->area[slot - 1];
		uint64_t start = end - (uint64_t)pages;

		if (quire_unlikely(!pages))
			start = (area->start >> QUIRE_PAGE_SHIFT) - src->base;
		if (start - before > gap)
			gap = start - before;
		before = end;
		dst->area[have + i] = area;
		dst->private.pages[have + i] = pages;
		dst->end[have + i + 1] = end + shift;
	}
	b->before = src->base + before;
	l->gap = gap > GAP_MAX ? GAP_MAX : (uint32_t)gap;
	l->have = (uint8_t)(have + n);
	return n;
}

/* Areas [from, to) of an old leaf. */
static void put_areas(struct quire *q, struct build *b, const struct quire_index_node *leaf,
		      unsigned from, unsigned to)
{
	uint64_t order = order_from(leaf_order(leaf), from);

	while (from < to) {
		unsigned slot = (unsigned)order & 15, n = 1;

		if (b->is_wide || node_is_wide(leaf)) {
			put_area(q, b, leaf_area(leaf, slot), leaf_start(leaf, slot),
				 leaf_end(leaf, slot));
		} else {
			if (!b->level[0].node)
				open_leaf(q, b);
			n = copy_narrow(b, as_leaf(leaf), order, to - from);
			hand_up(q, b, 0, (b->before << QUIRE_PAGE_SHIFT) - 1);
		}
		from += n;
		order = order_from(order, n);
	}
}

static void put_left(struct quire *q, struct build *b, unsigned level)
{
	const struct quire_index_node *extra = b->level[level].extra_left;
	const struct quire_index_node *node = b->left.inner[level];

	if (extra)
		put_children(q, b, level, extra, 0, as_inner(extra)->n, last_below(extra));
	/* If that is all of it, the last child is the leaf that stays. */
	put_children(q, b, level, node, 0, b->left.slot[level],
		     (b->before << QUIRE_PAGE_SHIFT) - 1);
}

static void put_right(struct quire *q, struct build *b, unsigned level)
{
	const struct quire_index_node *extra = b->level[level].extra_right;
	const struct quire_index_node *node = b->right.inner[level];

	put_children(q, b, level, node, b->right.slot[level] + 1u, as_inner(node)->n,
		     b->level[level].right_last);
	if (extra)
		put_children(q, b, level, extra, 0, as_inner(extra)->n, last_below(extra));
}

static const struct quire_vma *first_of(const struct area_run *run)
{
	return run->list ? quire_list_entry(run->list->next, struct quire_vma, plan_link)
			 : run->array[0];
}

static const struct quire_vma *last_of(const struct area_run *run)
{
	return run->list ? quire_list_entry(run->list->prev, struct quire_vma, plan_link)
			 : run->array[run->n - 1];
}

static void put_new(struct quire *q, struct build *b, struct quire_vma *area)
{
	put_area(q, b, area, area->start >> QUIRE_PAGE_SHIFT, area->end >> QUIRE_PAGE_SHIFT);
}

static void put_run(struct quire *q, struct build *b, const struct area_run *run)
{
	const struct quire_list *pos;
	size_t i;

	if (run->list) {
		for (pos = run->list->next; pos != run->list; pos = pos->next)
			put_new(q, b, quire_list_entry(pos, struct quire_vma, plan_link));
		return;
	}
	for (i = 0; i < run->n; i++)
		put_new(q, b, run->array[i]);
}

static void build(struct quire *q, struct build *b, const struct area_run *run)
{
	unsigned level, old = b->top < b->ix->height ? b->top : b->ix->height;
	const struct level *leaves = &b->level[0];

	for (level = 0; level < b->top; level++) {
		b->level[level].done = 0;
		b->level[level].have = 0;
		b->level[level].node = NULL;
	}
	b->before = 0;
	if (b->keeps_left)
		b->before = last_end(b->left_leaf, b->from);
	else if (b->ix->height)
		b->before = b->left.low >> QUIRE_PAGE_SHIFT;
	b->result = NULL;
	b->result_last = 0;
	b->result_gap = 0;
	b->result_count = 0;

	if (b->collapses)
		put_left(q, b, b->top);
	for (level = old; level-- > 1;)
		put_left(q, b, level);

	if (leaves->extra_left)
		put_areas(q, b, leaves->extra_left, 0, order_count(leaf_order(leaves->extra_left)));
	if (b->from && !b->keeps_left)
		put_areas(q, b, b->left_leaf, 0, b->from);
	put_run(q, b, run);
	if (b->to < b->right_live)
		put_areas(q, b, b->right_leaf, b->to, b->right_live);
	if (leaves->extra_right)
		put_areas(q, b, leaves->extra_right, 0,
			  order_count(leaf_order(leaves->extra_right)));

	for (level = 1; level < old; level++)
		put_right(q, b, level);
	if (b->collapses)
		put_right(q, b, b->top);
}

/* ---- Old nodes --------------------------------------------------------------------------- */

struct graveyard {
	struct index_dead *head;
	uint64_t areas; /* in the leaves there */
};

static void bury(struct graveyard *g, struct quire_index_node *node)
{
	struct index_dead *dead;

	if (!node_is_leaf(node)) {
		dead = (void *)gaps_of(as_inner(node));
	} else {
		g->areas += order_count(leaf_order(node));
		dead = node_is_wide(node) ? &as_wide(node)->dead : &as_leaf(node)->dead;
	}
	dead->node = node;
	dead->more = g->head;
	g->head = dead;
}

static void free_node(struct quire *q, struct quire_index_node *node)
{
	if (node_is_leaf(node) || node_is_small(node))
		quire_cache_free(q, &q->index_cache, as_inner(node));
	else
		quire_cache_free(q, &q->index_inner_cache, as_inner(node));
}

static void free_dead(struct quire *q, struct quire_deferred *d)
{
	struct index_dead *dead = quire_container_of(d, struct index_dead, deferred);

	while (dead) {
		struct index_dead *more = dead->more;

		free_node(q, dead->node);
		dead = more;
	}
}

/*
 * Children [*from, *to) of a node of this level that were replaced; the others live on in the new
 * nodes.
 */
static void replaced(const struct build *b, unsigned level, const struct quire_index_node *node,
		     unsigned *from, unsigned *to)
{
	const struct level *l = &b->level[level];

	*from = node == b->left.inner[level] ? b->left.slot[level] : 0;
	*to = node == b->right.inner[level] ? b->right.slot[level] + 1u : as_inner(node)->n;
	if (level < b->top && (node == l->extra_left || node == l->extra_right))
		*to = *from;
}

/* All nodes from this one of this level down that were replaced. */
static void bury_below(const struct build *b, struct graveyard *g, struct quire_index_node *node,
		       unsigned level)
{
	struct quire_index_node *stack[QUIRE_INDEX_HEIGHT];
	uint8_t next[QUIRE_INDEX_HEIGHT], end[QUIRE_INDEX_HEIGHT];
	unsigned from, to, up = level;

	for (;;) {
		bury(g, node);
		if (level) {
			replaced(b, level, node, &from, &to);
			stack[level] = node;
			next[level] = (uint8_t)from;
			end[level] = (uint8_t)to;
		} else {
			level = 1;
		}
		while (level <= up && next[level] == end[level])
			level++;
		if (level > up)
			return;
		node = children_of(as_inner(stack[level]))[next[level]++];
		level--;
	}
}

void quire_index_free_tree(struct quire *q, struct quire_index *ix)
{
	struct quire_index_node *stack[QUIRE_INDEX_HEIGHT], *node = ix->root;
	uint8_t next[QUIRE_INDEX_HEIGHT];
	unsigned level = ix->height - 1, up = level;

	if (!node)
		return;
	for (;;) {
		if (level) {
			stack[level] = node;
			next[level] = 0;
		} else {
			free_node(q, node);
			level = 1;
		}
		while (level <= up && next[level] == as_inner(stack[level])->n)
			free_node(q, stack[level++]);
		if (level > up)
			return;
		node = children_of(as_inner(stack[level]))[next[level]++];
		level--;
	}
}

/* ---- Commit ------------------------------------------------------------------------------ */

/*
 * The stretch before the first area behind all this changes if what is last here changes. Before
 * plan(), which moves the ways apart.
 */
static void tell_behind(const struct build *b, const struct area_run *run)
{
	quire_uaddr_t end;

	if (b->to < b->right_live)
		return;
	if (run->n)
		end = last_of(run)->end;
	else if (b->from)
		end = last_end(b->left_leaf, b->from) << QUIRE_PAGE_SHIFT;
	else
		end = b->left.low;
	if (end - 1 != b->right.high)
		quire_index_set_gap_behind(b->ix, &b->right, end);
}

/* One pointer to a child. Returns the one that was there. */
static struct quire_index_node *store_child(struct build *b)
{
	const struct index_inner *in = as_inner(b->left.inner[b->top]);
	unsigned slot = b->left.slot[b->top];
	struct quire_index_node *old = children_of(in)[slot];
	quire_uaddr_t high = quire_index_high(b->ix, &b->left, b->top - 1);

	/* The pivot may be in the free stretch behind, before as well as after: see index.h. */
	if (b->result_last > high)
		quire_index_set_pivot(b->ix, &b->left, b->top - 1, b->result_last);
	quire_store_release(&children_of(in)[slot], b->result);
	if (b->result_last < high)
		quire_index_set_pivot(b->ix, &b->left, b->top - 1, b->result_last);
	counts_of(in)[slot] = b->result_count;
	quire_index_set_gap(b->ix, &b->left, b->top, b->result_gap);
	return old;
}

void quire_index_rebuild(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			 const struct area_run *run)
{
	struct graveyard g = {.head = NULL, .areas = 0};
	struct quire_index_node *old, *root;
	unsigned height;
	struct build b;
	int err;

	begin(&b, ix, s);
	b.reserve = s;
	if (ix->height)
		tell_behind(&b, run);
	err = plan(&b, run->n, run->n ? first_of(run)->end >> QUIRE_PAGE_SHIFT : 0,
		   run->n ? last_of(run)->end >> QUIRE_PAGE_SHIFT : 0);
	quire_assert(q, !err);
	(void)err;
	build(q, &b, run);

	if (!b.is_root) {
		old = store_child(&b);
		bury_below(&b, &g, old, b.top - 1);
	} else {
		old = ix->root;
		height = ix->height;
		root = b.result;
		ix->height = root ? b.top : 0;
		/* A root with one child is no use. */
		while (root && !node_is_leaf(root) && as_inner(root)->n == 1) {
			root = children_of(as_inner(root))[0];
			ix->height--;
		}
		quire_store_release(&ix->root, root);
		if (old)
			bury_below(&b, &g, old, height - 1);
		for (; b.result != root; b.result = children_of(as_inner(b.result))[0])
			bury(&g, b.result);
	}
	ix->count += b.level[0].total - g.areas;
	quire_store_release(&ix->changes, ix->changes + 1);
	if (g.head)
		quire_defer(q, &g.head->deferred, free_dead);
}

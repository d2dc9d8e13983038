/* SPDX-License-Identifier: MIT */
/*
 * The index of areas: changes that take more than the order of one leaf: a leaf that is full, empty,
 * or too empty, areas too far apart for it, splices over several leaves. Called by index_splice.c alone, under
 * the writer lock. Commit never fails and never touches a node that readers see, but for one pointer.
 *
 * The picture. left and right are the ways to the first and the last leaf that the splice touches (the
 * same, most often). What is between them goes, at every level, and new nodes come in its place, made
 * of what is to the left of the one way, what came from the level below, and what is to the right of the other:
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
 * It ends at the level where exactly one node takes the place of exactly one: there a pointer is stored,
 * and that is the moment when readers see all of it. Or at the root: then that is the pointer.
 *
 * A level that would be too empty takes in the neighbour of the first or the last node ("extra"). A full leaf does so
 * too before it splits in two: random insertion then leaves the leaves four fifths full rather than two thirds.
 *
 * plan() decides all that from counts alone, so reserve runs it to see how many nodes it takes.
 * build() then streams through it: level by level what is left of the way, top first; then the
 * areas; then level by level, bottom first, what is right of it. A node that is full is handed to the level above.
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
	size_t total;             /* entries of this level's new nodes */
	size_t nodes;             /* new nodes */
	size_t done;              /* of them, finished */
	quire_uaddr_t right_last; /* last byte below the right way's node; UINT64_MAX: right edge */
	/* The node in the making: */
	struct quire_index_node *node;
	uint32_t gap;
	uint8_t have, want; /* entries */
	uint8_t cap;
	uint8_t fill;       /* enum fill */
};

struct build {
	const struct quire_index *ix;
	const struct quire_splice *s;
	/* From plan(): */
	struct quire_index_path left, right;
	struct quire_index_node *left_leaf, *right_leaf; /* before neighbours were taken in */
	unsigned from, to, right_live; /* kept: [0, from) of the left leaf, [to, right_live) of the right one */
	unsigned top;                  /* level whose child, or ix->height and above: the root, is stored */
	bool is_root;                  /* the result is the root */
	bool collapses;                /* the root's only child is the result */
	struct level level[QUIRE_INDEX_HEIGHT];
	/* build(): */
	struct quire_splice *reserve;      /* nodes come from here */
	uint64_t before;                   /* end of the area before, page */
	struct quire_vma *area[LEAF_SLOTS]; /* the leaf in the making */
	uint64_t start[LEAF_SLOTS], end[LEAF_SLOTS];
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
	bool shrinks;           /* fewer entries than before */
	bool at_start, at_end;  /* nothing below on that side, and the tree ends there */
	bool has_left, has_right; /* neighbours exist */
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

static bool is_too_empty(const struct level *l, const struct circumstances *c, size_t min)
{
	return l->total != 0 && l->total < min && c->shrinks && (c->has_left || c->has_right);
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
		c->near_left = counts_of(as_inner(b->left.inner[level + 1]))[b->left.slot[level + 1] - 1];
	parent = as_inner(b->right.inner[level + 1]);
	if (b->right.slot[level + 1] + 1u < parent->n)
		c->near_right = counts_of(parent)[b->right.slot[level + 1] + 1];
}

/* First and last of all the ends that the new leaves hold, in pages; there is at least one. */
static uint64_t reach_of_leaves(const struct build *b, size_t n, uint64_t first_new, uint64_t last_new)
{
	const struct level *l = &b->level[0];
	uint64_t first, last, order;

	if (l->extra_left)
		first = leaf_end(l->extra_left, (unsigned)leaf_order(l->extra_left) & 15);
	else if (b->from)
		first = leaf_end(b->left_leaf, (unsigned)leaf_order(b->left_leaf) & 15);
	else if (n)
		first = first_new;
	else if (b->to < b->right_live)
		first = leaf_end(b->right_leaf, (unsigned)order_from(leaf_order(b->right_leaf), b->to) & 15);
	else
		return 0;

	if (l->extra_right) {
		order = leaf_order(l->extra_right);
		last = leaf_end(l->extra_right, (unsigned)order_from(order, order_count(order) - 1));
	} else if (b->to < b->right_live) {
		last = leaf_end(b->right_leaf,
				(unsigned)order_from(leaf_order(b->right_leaf), b->right_live - 1) & 15);
	} else if (n) {
		last = last_new;
	} else if (b->from) {
		last = leaf_end(b->left_leaf, (unsigned)order_from(leaf_order(b->left_leaf), b->from - 1) & 15);
	} else {
		order = leaf_order(l->extra_left);
		last = leaf_end(l->extra_left, (unsigned)order_from(order, order_count(order) - 1));
	}
	return last - first;
}

static void plan_leaves(struct build *b, size_t n, uint64_t first_new, uint64_t last_new)
{
	struct level *l = &b->level[0];
	struct circumstances c = { .near_left = -1, .near_right = -1 };
	enum take take;

	l->extra_left = NULL;
	l->extra_right = NULL;
	l->total = b->from + n + (b->right_live - b->to);
	if (b->ix->height)
		look_around(b, 0, &c);
	c.shrinks = !b->s->single || n < (size_t)(b->to - b->from);
	c.at_start = b->from == 0 && !c.has_left;
	c.at_end = b->to == b->right_live && !c.has_right;
	take = shape_leaves(l, &c);
	if (take == TAKE_LEFT && quire_index_step_left(b->ix, &b->left, 0)) {
		l->extra_left = b->left.leaf;
		l->total += order_count(leaf_order(l->extra_left));
	} else if (take == TAKE_RIGHT && quire_index_step_right(b->ix, &b->right, 0)) {
		l->extra_right = b->right.leaf;
		l->total += order_count(leaf_order(l->extra_right));
	}
	if (take != TAKE_NONE && l->nodes == 1 && l->total + JOIN_SLACK > LEAF_SLOTS)
		l->nodes = 2;

	l->cap = LEAF_SLOTS;
	if (l->total && reach_of_leaves(b, n, first_new, last_new) >= LEAF_KEY_MAX) {
		size_t nodes = divide_up(l->total, WIDE_SLOTS);

		l->cap = WIDE_SLOTS;
		if (l->nodes < nodes)
			l->nodes = nodes;
	}
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
		l->extra_left = children_of(as_inner(b->left.inner[level + 1]))[b->left.slot[level + 1]];
		l->total += as_inner(l->extra_left)->n;
	} else if (take == TAKE_RIGHT && quire_index_step_right(b->ix, &b->right, level)) {
		l->extra_right = children_of(as_inner(b->right.inner[level + 1]))[b->right.slot[level + 1]];
		l->total += as_inner(l->extra_right)->n;
	}
	if (take != TAKE_NONE && l->nodes == 1 && l->total + JOIN_SLACK > LARGE_CHILDREN)
		l->nodes = 2;
}

/* The two ways. */
static void begin(struct build *b, const struct quire_index *ix, const struct quire_splice *s)
{
	b->ix = ix;
	b->s = s;
	b->from = 0;
	b->to = 0;
	b->right_live = 0;
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
		b->to = leaf_upto(b->right.leaf, leaf_order(b->right.leaf), s->end >> QUIRE_PAGE_SHIFT);
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

int quire_index_estimate(const struct quire_index *ix, const struct quire_splice *s, size_t n, size_t *leaves,
			 size_t *inners)
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
		in->pivot[i] = UINT64_MAX;
	for (i = l->want; i < cap; i++)
		children_of(in)[i] = NULL;
	l->node = (struct quire_index_node *)((uintptr_t)in | bits);
}

/* A child for the level. Nodes that it completes go up as far as that reaches. */
static void put_child(struct quire *q, struct build *b, unsigned level, struct quire_index_node *child,
		      quire_uaddr_t last, uint32_t gap, uint8_t count)
{
	for (; level != b->top; level++) {
		struct level *l = &b->level[level];
		const struct index_inner *in;
		struct index_inner *to;

		if (!l->node)
			open_inner(q, b, level);
		in = as_inner(l->node);
		to = as_inner(l->node);
		if (l->have + 1 < l->want)
			to->pivot[l->have] = last;
		children_of(in)[l->have] = child;
		gaps_of(in)[l->have] = gap;
		counts_of(in)[l->have] = count;
		if (gap > l->gap)
			l->gap = gap;
		if (++l->have < l->want)
			return;
		child = l->node;
		gap = l->gap;
		count = l->want;
		l->node = NULL;
		l->done++;
	}
	b->result = child;
	b->result_last = last;
	b->result_gap = gap;
	b->result_count = count;
}

/* The last byte of the last area below a node; only for those rare ones whose pivot isn't at hand. */
static quire_uaddr_t last_below(const struct quire_index_node *node)
{
	uint64_t order;

	while (!node_is_leaf(node))
		node = children_of(as_inner(node))[as_inner(node)->n - 1];
	order = leaf_order(node);
	return (leaf_end(node, (unsigned)order_from(order, order_count(order) - 1)) << QUIRE_PAGE_SHIFT) - 1;
}

/* Children [from, to) of an old node of this level; last: last byte below the node. */
static void put_children(struct quire *q, struct build *b, unsigned level, const struct quire_index_node *node,
			 unsigned from, unsigned to, quire_uaddr_t last)
{
	const struct index_inner *in = as_inner(node);
	unsigned i;

	for (i = from; i < to; i++)
		put_child(q, b, level, children_of(in)[i], i + 1 < in->n ? in->pivot[i] : last, gaps_of(in)[i],
			  counts_of(in)[i]);
}

/* The collected areas become a leaf. */
static void finish_leaf(struct quire *q, struct build *b)
{
	struct level *l = &b->level[0];
	uint64_t first = b->end[0], last = b->end[l->want - 1];
	struct quire_index_node *node;
	struct leaf_private *private;
	/* Slots in the order of the areas. */
	uint64_t order = UINT64_C(0x0fedcba987654321) & ((UINT64_C(1) << (4 * l->want)) - 1);
	unsigned i, n = l->want;

	if (last - first < LEAF_KEY_MAX) {
		struct index_leaf *leaf = take_object(q, &b->reserve->leaves, &b->reserve->nr_leaves);

		leaf->base = first > BASE_BELOW ? first - BASE_BELOW : 0;
		if (last - leaf->base > LEAF_KEY_MAX)
			leaf->base = last - LEAF_KEY_MAX;
		leaf->end[0] = UINT32_MAX;
		for (i = 0; i < n; i++) {
			leaf->end[i + 1] = (uint32_t)(b->end[i] - leaf->base);
			leaf->area[i] = b->area[i];
		}
		leaf->order = order;
		private = &leaf->private;
		node = (struct quire_index_node *)((uintptr_t)leaf | NODE_LEAF);
	} else {
		struct index_wide *wide = take_object(q, &b->reserve->leaves, &b->reserve->nr_leaves);

		wide->end[0] = UINT64_MAX;
		for (i = 0; i < n; i++) {
			wide->end[i + 1] = b->end[i];
			wide->area[i] = b->area[i];
		}
		wide->order = order;
		private = &wide->private;
		node = (struct quire_index_node *)((uintptr_t)wide | NODE_LEAF | NODE_WIDE);
	}
	for (i = 0; i < n; i++)
		private->pages[i] = pages_field(b->end[i] - b->start[i]);
	private->used = (uint8_t)n;
	l->have = 0;
	l->want = 0;
	l->done++;
	put_child(q, b, 1, node, (last << QUIRE_PAGE_SHIFT) - 1, l->gap, (uint8_t)n);
}

/* Pages. */
static void put_area(struct quire *q, struct build *b, struct quire_vma *area, uint64_t start, uint64_t end)
{
	struct level *l = &b->level[0];
	uint32_t gap = gap_between(b->before, start);

	if (!l->have) {
		l->want = wanted(l);
		l->gap = 0;
	}
	if (gap > l->gap)
		l->gap = gap;
	b->before = end;
	b->area[l->have] = area;
	b->start[l->have] = start;
	b->end[l->have] = end;
	if (++l->have == l->want)
		finish_leaf(q, b);
}

/* Areas [from, to) of an old leaf. */
static void put_areas(struct quire *q, struct build *b, const struct quire_index_node *leaf, unsigned from,
		      unsigned to)
{
	uint64_t order = order_from(leaf_order(leaf), from);

	for (; from < to; from++, order >>= 4) {
		unsigned slot = (unsigned)order & 15;

		put_area(q, b, leaf_area(leaf, slot), leaf_start(leaf, slot), leaf_end(leaf, slot));
	}
}

static void put_left(struct quire *q, struct build *b, unsigned level)
{
	const struct quire_index_node *extra = b->level[level].extra_left;
	const struct quire_index_node *node = b->left.inner[level];

	if (extra)
		put_children(q, b, level, extra, 0, as_inner(extra)->n, last_below(extra));
	put_children(q, b, level, node, 0, b->left.slot[level], 0);
}

static void put_right(struct quire *q, struct build *b, unsigned level)
{
	const struct quire_index_node *extra = b->level[level].extra_right;
	const struct quire_index_node *node = b->right.inner[level];

	put_children(q, b, level, node, b->right.slot[level] + 1u, as_inner(node)->n, b->level[level].right_last);
	if (extra)
		put_children(q, b, level, extra, 0, as_inner(extra)->n, last_below(extra));
}

static void build(struct quire *q, struct build *b, struct quire_vma *const *areas, size_t n)
{
	unsigned level, old = b->top < b->ix->height ? b->top : b->ix->height;
	const struct level *leaves = &b->level[0];
	size_t i;

	for (level = 0; level < b->top; level++) {
		b->level[level].done = 0;
		b->level[level].have = 0;
		b->level[level].node = NULL;
	}
	b->before = b->ix->height ? b->left.low >> QUIRE_PAGE_SHIFT : 0;
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
	if (b->from)
		put_areas(q, b, b->left_leaf, 0, b->from);
	for (i = 0; i < n; i++)
		put_area(q, b, areas[i], areas[i]->start >> QUIRE_PAGE_SHIFT, areas[i]->end >> QUIRE_PAGE_SHIFT);
	if (b->to < b->right_live)
		put_areas(q, b, b->right_leaf, b->to, b->right_live);
	if (leaves->extra_right)
		put_areas(q, b, leaves->extra_right, 0, order_count(leaf_order(leaves->extra_right)));

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

/* Children [*from, *to) of a node of this level that were replaced; the others live on in the new nodes. */
static void replaced(const struct build *b, unsigned level, const struct quire_index_node *node, unsigned *from,
		     unsigned *to)
{
	const struct level *l = &b->level[level];

	*from = node == b->left.inner[level] ? b->left.slot[level] : 0;
	*to = node == b->right.inner[level] ? b->right.slot[level] + 1u : as_inner(node)->n;
	if (level < b->top && (node == l->extra_left || node == l->extra_right))
		*to = *from;
}

/* All nodes from this one of this level down that were replaced. */
static void bury_below(const struct build *b, struct graveyard *g, struct quire_index_node *node, unsigned level)
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
static void tell_behind(const struct build *b, struct quire_vma *const *areas, size_t n)
{
	quire_uaddr_t end;

	if (b->to < b->right_live)
		return;
	if (n)
		end = areas[n - 1]->end;
	else if (b->from)
		end = leaf_end(b->left_leaf, (unsigned)order_from(leaf_order(b->left_leaf), b->from - 1) & 15)
		      << QUIRE_PAGE_SHIFT;
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
			 struct quire_vma *const *areas, size_t n)
{
	struct graveyard g = { .head = NULL, .areas = 0 };
	struct quire_index_node *old, *root;
	unsigned height;
	struct build b;
	int err;

	begin(&b, ix, s);
	b.reserve = s;
	if (ix->height)
		tell_behind(&b, areas, n);
	err = plan(&b, n, n ? areas[0]->end >> QUIRE_PAGE_SHIFT : 0, n ? areas[n - 1]->end >> QUIRE_PAGE_SHIFT : 0);
	quire_assert(q, !err);
	(void)err;
	build(q, &b, areas, n);

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

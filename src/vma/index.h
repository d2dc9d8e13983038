/* SPDX-License-Identifier: MIT */
/*
 * The index of areas from within: its nodes, and what its files share. Included by src/vma/index*.c
 * and by tests that look inside, by nobody else.
 *
 * Three kinds of nodes. Numbers are for 64-bit pointers; "page" is an address >> QUIRE_PAGE_SHIFT.
 *
 *   leaf, 232 bytes                           wide leaf, 224 bytes
 *     0  order                                  0  order
 *     8  base         page                      8  end[0..11]   pages
 *    16  end[0..15]   pages from base         104  area[0..10]
 *    80  area[0..14]                          192  pages[0..14] used       writers only
 *   200  pages[0..14] used     writers only
 *
 *   inner node, large: cap 24, 512 bytes; small: cap 10, 218 bytes, only as root
 *     0  n, cap
 *     8  pivot[cap]            pivot[i]: last page of the last area below child[i];
 *                              from n - 1 on: PAGE_NONE
 *     .  child[cap]            NULL from n on
 *     .  gap[cap] count[cap]   writers only
 *
 * Leaves. An area lies in a slot: slot s, 1 <= s, has its pointer in area[s - 1], its end in
 * end[s], its length in pages[s - 1]. Slots are filled in whatever order areas came. The word
 * order says which are in use and how they are sorted: its lowest four bits are the slot of the
 * first area, the next four that of the second, and so on; zeroes behind the last.
 *
 *   slots     1:[30..40) 2:[10..20) 3:[60..70) 4:[25..28)        end[0] == "infinite"
 *   order     0x...03142    read from the right: 2, 4, 1, 3, nothing
 *
 * So whatever happens within one leaf becomes visible by one store, of order: insert, erase, one
 * for three, three for one. New areas go to slots that never were used, since readers may still be
 * looking at those that are not any more; when none are left, the leaf is copied and its copy
 * takes its place. A position behind the last area reads slot 0, whose end is beyond everything: a
 * search needs no count.
 *
 * Ends are offsets of 32 bits, so a leaf reaches over less than 2^32 pages (16 TiB with 4 KiB
 * pages). Areas further apart than this live in wide leaves.
 *
 * Inner nodes. A reader takes the first child whose pivot is not below the page. A change of the
 * number of children copies the node; in place change one child (one store of its pointer), and
 * pivots. A pivot may be anything from the last page of the last area below child[i] to the page
 * before the next area; readers cope with all of that, so moving it within that stretch changes
 * nothing they see. Between two commits it is the lowest of these; thus the free stretch between
 * two leaves is the upper one's.
 *
 * Gaps, in pages, at most UINT32_MAX ("that many or more"): of a leaf, the largest free stretch
 * that ends at the start of one of its areas; of an inner node, the largest of its children's.
 * What is free behind the last area of all is nobody's. Gaps and counts stand beside the pointer
 * to the child, not in the child.
 *
 * Pointers to nodes carry two bits that say what they point to, so a reader knows before it looks.
 *
 * Pages are numbers of a machine word. On 32 bits all addresses together are fewer than 2^32 pages: there are no wide leaves
 * then. Only the order has 64 bits everywhere, and readers there load it in halves; see load_order().
 */
#ifndef QUIRE_SRC_VMA_INDEX_H
#define QUIRE_SRC_VMA_INDEX_H

#include <quire/quire.h>

#include "../base/string.h"

#define NODE_LEAF ((uintptr_t)1)
#define NODE_WIDE ((uintptr_t)2)  /* with LEAF */
#define NODE_SMALL ((uintptr_t)2) /* without */
#define NODE_BITS ((uintptr_t)3)

#define LEAF_SLOTS 15u /* slots have four bits each in a word of 64, and 0 is nobody's */
#define WIDE_SLOTS 11u
#define LEAF_MIN 5u /* areas; fewer, and a leaf that shrinks joins a neighbour */
#define SMALL_CHILDREN 10u
#define LARGE_CHILDREN 24u
#define INNER_MIN 8u

#define LEAF_KEY_MAX UINT32_C(0xfffffffe) /* largest offset of an end; below end[0] */
#define GAP_MAX UINT32_MAX

/* Tests have 32 on other machines too. */
#ifndef QUIRE_INDEX_BITS
#define QUIRE_INDEX_BITS (__SIZEOF_POINTER__ * 8)
#endif

#if QUIRE_INDEX_BITS == 64
typedef uint64_t index_page_t;
#else
typedef uint32_t index_page_t;
#endif

#define PAGE_NONE ((index_page_t)-1) /* above that of every address */
#define HAS_WIDE (QUIRE_INDEX_BITS == 64)

/* Written over what only writers used, when the node is out of the tree. */
struct index_dead {
	struct quire_deferred deferred;
	struct quire_index_node *node; /* the node this is in */
	struct index_dead *more;       /* freed together with this one */
};

struct leaf_private {
	uint16_t pages[LEAF_SLOTS]; /* length; 0: does not fit, ask the area */
	uint8_t used;		    /* slots 1..used are taken, or were */
};

struct index_leaf {
	uint64_t order; /* atomic: release, acquire */
	index_page_t base;
	uint32_t end[LEAF_SLOTS + 1];
	struct quire_vma *area[LEAF_SLOTS];
	union {
		struct leaf_private private;
		struct index_dead dead;
	};
};

struct index_wide {
	uint64_t order;
	uint64_t end[WIDE_SLOTS + 1];
	struct quire_vma *area[WIDE_SLOTS];
	union {
		struct leaf_private private;
		struct index_dead dead;
	};
};

struct index_inner {
	uint8_t n;   /* children; constant */
	uint8_t cap; /* room for; constant */
	index_page_t pivot[] __attribute__((aligned(sizeof(void *)))); /* atomic */
};

#define INNER_SIZE(cap)                                                                            \
	(sizeof(struct index_inner) + (cap) * (sizeof(index_page_t) + sizeof(void *) + 4 + 1))

/* Leaves of both kinds and small inner nodes are objects of one size; large ones have their own. */
#define NODE_MAX2(a, b) ((a) > (b) ? (a) : (b))
#define LEAF_NODE_SIZE                                                                             \
	NODE_MAX2(NODE_MAX2(sizeof(struct index_leaf), sizeof(struct index_wide)),                 \
		  INNER_SIZE(SMALL_CHILDREN))
#define INNER_NODE_SIZE INNER_SIZE(LARGE_CHILDREN)

_Static_assert(sizeof(struct index_dead) <= SMALL_CHILDREN * 5,
	       "a dead small node has room for its link");

/* ---- Pages ------------------------------------------------------------------------------- */

/* Of an address that any space can have, or one above them all. */
static inline index_page_t page_of(quire_uaddr_t addr)
{
	uint64_t page = addr >> QUIRE_PAGE_SHIFT;

	if (sizeof(index_page_t) < sizeof(page) && quire_unlikely(page >= PAGE_NONE))
		return PAGE_NONE - 1;
	return (index_page_t)page;
}

/* Its last byte; of PAGE_NONE: UINT64_MAX. And back again. */
static inline quire_uaddr_t pivot_addr(index_page_t pivot)
{
	return pivot == PAGE_NONE ? UINT64_MAX : ((uint64_t)pivot << QUIRE_PAGE_SHIFT) | ~QUIRE_PAGE_MASK;
}

static inline index_page_t pivot_of(quire_uaddr_t last)
{
	return last == UINT64_MAX ? PAGE_NONE : (index_page_t)(last >> QUIRE_PAGE_SHIFT);
}

/* ---- Reading nodes ----------------------------------------------------------------------- */

static inline bool node_is_leaf(const struct quire_index_node *node)
{
	return (uintptr_t)node & NODE_LEAF;
}

static inline bool node_is_wide(const struct quire_index_node *leaf)
{
	return HAS_WIDE && ((uintptr_t)leaf & NODE_WIDE);
}

static inline bool node_is_small(const struct quire_index_node *inner)
{
	return (uintptr_t)inner & NODE_SMALL;
}

/* These two subtract what must be there rather than mask: that folds into the offsets of fields. */
static inline struct index_leaf *as_leaf(const struct quire_index_node *node)
{
	return (struct index_leaf *)((uintptr_t)node - NODE_LEAF);
}

static inline struct index_wide *as_wide(const struct quire_index_node *node)
{
	return (struct index_wide *)((uintptr_t)node - NODE_LEAF - NODE_WIDE);
}

static inline struct index_inner *as_inner(const struct quire_index_node *node)
{
	return (struct index_inner *)((uintptr_t)node & ~NODE_BITS);
}

static inline struct quire_index_node **children_of(const struct index_inner *in)
{
	return (struct quire_index_node **)(uintptr_t)(in->pivot + in->cap);
}

static inline uint32_t *gaps_of(const struct index_inner *in)
{
	return (uint32_t *)(children_of(in) + in->cap);
}

static inline uint8_t *counts_of(const struct index_inner *in)
{
	return (uint8_t *)(gaps_of(in) + in->cap);
}

/* Which child has the page: how many of the 23 (9) pivots that can be finite are below it. */
static inline unsigned pivots_below_large(const struct index_inner *in, index_page_t page)
{
	const index_page_t *p = in->pivot;
	unsigned n, five;

	five = (unsigned)(quire_load(&p[4]) < page) + (quire_load(&p[9]) < page) +
	       (quire_load(&p[14]) < page) + (quire_load(&p[19]) < page);
	n = five * 5;
	p += n;
	return n + (quire_load(&p[0]) < page) + (quire_load(&p[1]) < page) +
	       (quire_load(&p[2]) < page) + (quire_load(&p[3]) < page);
}

static inline unsigned pivots_below_small(const struct index_inner *in, index_page_t page)
{
	unsigned i, n = 0;

#pragma GCC unroll 9
	for (i = 0; i < SMALL_CHILDREN - 1; i++)
		n += quire_load(&in->pivot[i]) < page;
	return n;
}

static inline unsigned pivots_below(const struct quire_index_node *inner, index_page_t page)
{
	if (quire_unlikely(node_is_small(inner)))
		return pivots_below_small(as_inner(inner), page);
	return pivots_below_large(as_inner(inner), page);
}

/* How many areas of an order. */
static inline unsigned order_count(uint64_t order)
{
	return order ? quire_fls64(order) / 4 + 1 : 0;
}

/* The order without its first n areas, n <= 15. */
static inline uint64_t order_from(uint64_t order, unsigned n)
{
	return order >> (4 * n);
}

/*
 * How many areas of a leaf end at or before the page; these are taken off the order. Two rounds
 * that ask three questions each: no branch depends on an answer, so none is guessed wrong.
 */
static inline unsigned narrow_skip(const struct index_leaf *l, uint64_t *rest, index_page_t page)
{
	index_page_t offset = page - l->base;
	uint64_t order = *rest;
	const uint32_t *end = l->end;
	unsigned four, one;
	uint32_t key;

	if (page < l->base)
		offset = 0;
	key = offset > LEAF_KEY_MAX ? LEAF_KEY_MAX : (uint32_t)offset;

	four = (unsigned)(end[order >> 12 & 15] <= key) + (end[order >> 28 & 15] <= key) +
	       (end[order >> 44 & 15] <= key);
	order >>= 16 * four;
	one = (unsigned)(end[order & 15] <= key) + (end[order >> 4 & 15] <= key) +
	      (end[order >> 8 & 15] <= key);
	*rest = order >> (4 * one);
	return four * 4 + one;
}

static inline unsigned wide_skip(const struct index_wide *w, uint64_t *rest, index_page_t page)
{
	uint64_t order = *rest;
	const uint64_t *end = w->end;
	unsigned four, one;

	four = (unsigned)(end[order >> 12 & 15] <= page) + (end[order >> 28 & 15] <= page) +
	       (end[order >> 44 & 15] <= page);
	order >>= 16 * four;
	one = (unsigned)(end[order & 15] <= page) + (end[order >> 4 & 15] <= page) +
	      (end[order >> 8 & 15] <= page);
	*rest = order >> (4 * one);
	return four * 4 + one;
}

/* Both kinds begin with it. */
static inline uint64_t *order_of(const struct quire_index_node *leaf)
{
	return (uint64_t *)((uintptr_t)leaf & ~NODE_BITS);
}

static inline uint64_t leaf_order(const struct quire_index_node *leaf)
{
	return quire_load_acquire(order_of(leaf));
}

static inline unsigned leaf_skip(const struct quire_index_node *leaf, uint64_t *rest,
				 index_page_t page)
{
	if (quire_unlikely(node_is_wide(leaf)))
		return wide_skip(as_wide(leaf), rest, page);
	return narrow_skip(as_leaf(leaf), rest, page);
}

static inline struct quire_vma *leaf_area(const struct quire_index_node *leaf, unsigned slot)
{
	if (quire_unlikely(node_is_wide(leaf)))
		return as_wide(leaf)->area[slot - 1];
	return as_leaf(leaf)->area[slot - 1];
}

/* In pages. */
static inline uint64_t leaf_end(const struct quire_index_node *leaf, unsigned slot)
{
	if (quire_unlikely(node_is_wide(leaf)))
		return as_wide(leaf)->end[slot];
	return (uint64_t)as_leaf(leaf)->base + as_leaf(leaf)->end[slot];
}

/*
 * Ask for the lines that a search will want besides the first, all at once: in a large tree each is
 * far away, and which of them it is depends on what stands in the first. In a small one it costs
 * next to nothing.
 */
static inline void prefetch_leaf(const struct quire_index_node *leaf)
{
	__builtin_prefetch((const char *)leaf + 64);
	__builtin_prefetch((const char *)leaf + 128);
	__builtin_prefetch((const char *)leaf + 192);
}

static inline void prefetch_children(const struct index_inner *large)
{
	__builtin_prefetch(large->pivot + LARGE_CHILDREN);
	__builtin_prefetch(large->pivot + LARGE_CHILDREN + 8);
	__builtin_prefetch(large->pivot + LARGE_CHILDREN + 16);
}

/* ---- For writers ------------------------------------------------------------------------- */

static inline struct leaf_private *leaf_private(const struct quire_index_node *leaf)
{
	return node_is_wide(leaf) ? &as_wide(leaf)->private : &as_leaf(leaf)->private;
}

static inline unsigned leaf_slots(const struct quire_index_node *leaf)
{
	return node_is_wide(leaf) ? WIDE_SLOTS : LEAF_SLOTS;
}

/* In pages. */
static inline uint64_t leaf_start(const struct quire_index_node *leaf, unsigned slot)
{
	unsigned pages = leaf_private(leaf)->pages[slot - 1];

	if (quire_unlikely(!pages))
		return leaf_area(leaf, slot)->start >> QUIRE_PAGE_SHIFT;
	return leaf_end(leaf, slot) - pages;
}

static inline uint16_t pages_field(uint64_t pages)
{
	return pages > UINT16_MAX ? 0 : (uint16_t)pages;
}

static inline uint32_t gap_between(uint64_t from_page, uint64_t to_page)
{
	uint64_t pages = to_page - from_page;

	return pages > GAP_MAX ? GAP_MAX : (uint32_t)pages;
}

/* ---- Between the files ------------------------------------------------------------------- */

/* index_path.c: ways through the tree, for writers. */

/*
 * The way to the first area whose end is above addr, or to the last leaf if there is none. The
 * tree is not empty.
 */
void quire_index_descend(const struct quire_index *ix, quire_uaddr_t addr,
			 struct quire_index_path *path);
/* The node at a level. */
struct quire_index_node *quire_index_at(const struct quire_index_path *path, unsigned level);
/*
 * Where the areas before the node at a level end (0: there are none), and its own pivot
 * (UINT64_MAX: right edge).
 */
quire_uaddr_t quire_index_low(const struct quire_index *ix, const struct quire_index_path *path,
			      unsigned level);
quire_uaddr_t quire_index_high(const struct quire_index *ix, const struct quire_index_path *path,
			       unsigned level);
/*
 * To the node before (after) the one at this level: changes the levels above and, unless level is
 * 0, leaves those at and below it as they were, pointing nowhere in particular. False: there is
 * none, nothing done. low, high and leaf are right for level 0 only.
 */
bool quire_index_step_left(const struct quire_index *ix, struct quire_index_path *path,
			   unsigned level);
bool quire_index_step_right(const struct quire_index *ix, struct quire_index_path *path,
			    unsigned level);
/* The largest gap of a leaf, whose areas before it end at low. */
uint32_t quire_index_leaf_gap(const struct quire_index_node *leaf, uint64_t order,
			      quire_uaddr_t low);
uint32_t quire_index_inner_gap(const struct index_inner *in);
/* The child on the path at this level (1 or more) has this gap now; tell all above. */
void quire_index_set_gap(const struct quire_index *ix, const struct quire_index_path *path,
			 unsigned level, uint32_t gap);
/*
 * The areas up to the end of the path's leaf are to end at end now; tell the leaf behind it, if
 * there is one.
 */
void quire_index_set_gap_behind(const struct quire_index *ix, const struct quire_index_path *path,
				quire_uaddr_t end);
/* Move the pivot of the node at a level, if it has one; release. */
void quire_index_set_pivot(const struct quire_index *ix, const struct quire_index_path *path,
			   unsigned level, quire_uaddr_t pivot);

/* index_build.c: what can't be done within one leaf. */

/*
 * How many nodes quire_index_rebuild() takes for n new areas. -ENOMEM: the tree would be too high.
 */
int quire_index_estimate(const struct quire_index *ix, const struct quire_splice *s, size_t n,
			 size_t *leaves, size_t *inners);
/* New areas in order: those of a list, through plan_link, or, if that is NULL, n of an array. */
struct area_run {
	struct quire_vma *const *array;
	const struct quire_list *list;
	size_t n;
};
/* The whole commit, out of the nodes that s has. */
void quire_index_rebuild(struct quire *q, struct quire_index *ix, struct quire_splice *s,
			 const struct area_run *run);
/* Give all nodes back at once; nobody is reading. */
void quire_index_free_tree(struct quire *q, struct quire_index *ix);

#endif

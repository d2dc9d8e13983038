/* SPDX-License-Identifier: MIT */
/*
 * The tree of an object's pages by page number, 64 ways a level, as high as its largest index
 * needs. Called by object.c alone.
 *
 * Readers take no lock: they stand in a grace period, and a writer changes what they can see by
 * one store of a pointer to something finished. So a reader sees each page that was in the tree
 * all the while it looked, and none that was out of it all the while. A node that has left the
 * tree keeps what it says until the grace period is over. Writers hold the tree's lock.
 *
 *	tree -> [shift 12] -> [shift 6] -> [shift 0] -> page      index = 12..17 | 6..11 | 0..5
 *
 * Nothing here sleeps.
 */
#include "internal.h"

/* The shift of the lowest root that reaches index. */
static uint32_t top_shift(uint64_t index)
{
	return index ? quire_fls64(index) / QUIRE_RADIX_BITS * QUIRE_RADIX_BITS : 0;
}

static unsigned slot_of(const struct quire_radix_node *node, uint64_t index)
{
	return (unsigned)(index >> node->shift) & (QUIRE_RADIX_SLOTS - 1);
}

/* Does a tree with this root have a place for index? (In two steps: the sum of both may be 66.) */
static bool reaches(const struct quire_radix_node *root, uint64_t index)
{
	return ((index >> root->shift) >> QUIRE_RADIX_BITS) == 0;
}

struct quire_page *quire_radix_find(struct quire_radix_node *const *tree, uint64_t index)
{
	struct quire_radix_node *node = quire_load_acquire(tree);

	if (!node || !reaches(node, index))
		return NULL;
	for (;;) {
		void *item = quire_load_acquire(&node->slot[slot_of(node, index)]);

		if (!item || node->shift == 0)
			return item;
		node = item;
	}
}

struct quire_page *quire_radix_next(struct quire_radix_node *const *tree, uint64_t *index)
{
	uint64_t at = *index;

	/* Each turn goes down from the root once: a reader can't trust a way up. */
	for (;;) {
		struct quire_radix_node *node = quire_load_acquire(tree);

		if (!node || !reaches(node, at))
			return NULL;
		for (;;) {
			unsigned slot = slot_of(node, at);
			void *item = quire_load_acquire(&node->slot[slot]);

			while (!item && ++slot < QUIRE_RADIX_SLOTS) {
				at = ((at >> node->shift) + 1) << node->shift;
				item = quire_load_acquire(&node->slot[slot]);
			}
			if (!item) {
				/* All of this node lies behind us. */
				uint64_t step =
					node->shift + QUIRE_RADIX_BITS >= 64
						? 0
						: UINT64_C(1) << (node->shift + QUIRE_RADIX_BITS);

				at = (at | (step - 1)) + 1;
				if (at == 0)
					return NULL;
				break;
			}
			if (node->shift == 0) {
				*index = at;
				return item;
			}
			node = item;
		}
	}
}

/* ---- Writers ----------------------------------------------------------------------------- */

static struct quire_radix_node *pop(struct quire_radix_node **list)
{
	struct quire_radix_node *node = *list;

	*list = node->deferred.next
			? quire_container_of(node->deferred.next, struct quire_radix_node, deferred)
			: NULL;
	node->deferred.next = NULL;
	return node;
}

static void push(struct quire_radix_node **list, struct quire_radix_node *node)
{
	node->deferred.next = *list ? &(*list)->deferred : NULL;
	*list = node;
}

/* n empty nodes, all or none. */
static bool reserve(struct quire *q, struct quire_radix_node **list, uint32_t n)
{
	*list = NULL;
	while (n--) {
		struct quire_radix_node *node =
			quire_cache_alloc(q, &q->objects.radix_cache, QUIRE_GFP_ZERO);

		if (!node) {
			while (*list)
				quire_cache_free(q, &q->objects.radix_cache, pop(list));
			return false;
		}
		push(list, node);
	}
	return true;
}

int quire_radix_insert(struct quire *q, struct quire_radix_node **tree, uint64_t index,
		       struct quire_page *page)
{
	struct quire_radix_node *root = *tree, *at = NULL, *nodes, *node;
	uint32_t want = top_shift(index), missing, shift;
	void *item = page;

	/*
	 * Check: where does the tree end on the way to index? At at, or, where at is NULL, above
	 * the root.
	 */
	if (!root) {
		missing = want / QUIRE_RADIX_BITS + 1;
	} else if (want > root->shift) {
		missing = (want - root->shift) / QUIRE_RADIX_BITS + want / QUIRE_RADIX_BITS;
	} else {
		at = root;
		while (at->shift && at->slot[slot_of(at, index)])
			at = at->slot[slot_of(at, index)];
		if (at->slot[slot_of(at, index)])
			return -QUIRE_EEXIST;
		missing = at->shift / QUIRE_RADIX_BITS;
	}
	if (!reserve(q, &nodes, missing))
		return -QUIRE_ENOMEM;

	/* The way down from the new place, built from below; nobody sees it yet. */
	for (shift = 0; shift < (at ? at->shift : want); shift += QUIRE_RADIX_BITS) {
		node = pop(&nodes);
		node->shift = shift;
		node->count = 1;
		node->slot[slot_of(node, index)] = item;
		item = node;
	}
	if (at) {
		at->count++;
		quire_store_release(&at->slot[slot_of(at, index)], item);
		return 0;
	}

	/* A higher root: the old one is the first child of the first child... */
	for (shift = root ? root->shift + QUIRE_RADIX_BITS : want; shift <= want;
	     shift += QUIRE_RADIX_BITS) {
		node = pop(&nodes);
		node->shift = shift;
		if (root) {
			node->slot[0] = root;
			node->count = 1;
		}
		root = node;
	}
	root->slot[slot_of(root, index)] = item;
	root->count++;
	quire_store_release(tree, root);
	return 0;
}

struct quire_radix_node *quire_radix_remove(struct quire_radix_node **tree, uint64_t index)
{
	struct quire_radix_node *path[QUIRE_RADIX_LEVELS], *freed = NULL, *node = *tree;
	unsigned depth = 0;

	for (path[0] = node; node->shift; path[++depth] = node)
		node = node->slot[slot_of(node, index)];

	/* Upwards, as long as the last thing in a node goes. */
	for (;;) {
		node = path[depth];
		quire_store(&node->slot[slot_of(node, index)], NULL);
		if (--node->count)
			break;
		push(&freed, node);
		if (depth-- == 0) {
			quire_store(tree, NULL);
			return freed;
		}
	}

	/*
	 * A root with nothing but its first child is not needed. What readers find in it stays
	 * true for them.
	 */
	for (node = *tree; node->shift && node->count == 1 && node->slot[0]; node = *tree) {
		quire_store_release(tree, node->slot[0]);
		push(&freed, node);
	}
	return freed;
}

void quire_radix_replace(struct quire_radix_node **tree, uint64_t index, struct quire_page *page)
{
	struct quire_radix_node *node = *tree;

	while (node->shift)
		node = node->slot[slot_of(node, index)];
	quire_store_release(&node->slot[slot_of(node, index)], (void *)page);
}

void quire_radix_free(struct quire *q, struct quire_radix_node *nodes)
{
	while (nodes) {
		struct quire_radix_node *node = pop(&nodes);

		quire_cache_free_deferred(q, &node->deferred);
	}
}

/* ---- Check ------------------------------------------------------------------------------- */

quire_broken_t quire_radix_check(struct quire_radix_node *const *tree)
{
	struct quire_radix_node *path[QUIRE_RADIX_LEVELS], *node = *tree;
	unsigned next[QUIRE_RADIX_LEVELS], depth = 0;

	if (!node)
		return NULL;
	if (node->shift % QUIRE_RADIX_BITS || node->shift / QUIRE_RADIX_BITS >= QUIRE_RADIX_LEVELS)
		return "radix: shift is a multiple of the bits a level";
	if (node->shift && node->count == 1 && node->slot[0])
		return "radix: the root has more in it than slot 0";
	path[0] = node;
	next[0] = 0;
	for (;;) {
		node = path[depth];
		if (next[depth] == 0) {
			uint32_t used = 0;

			for (unsigned i = 0; i < QUIRE_RADIX_SLOTS; i++)
				used += node->slot[i] != NULL;
			if (used == 0 || used != node->count)
				return "radix: count == slots in use, > 0";
		}
		while (node->shift && next[depth] < QUIRE_RADIX_SLOTS && !node->slot[next[depth]])
			next[depth]++;
		if (node->shift == 0 || next[depth] == QUIRE_RADIX_SLOTS) {
			if (depth-- == 0)
				return NULL;
			continue;
		}
		path[depth + 1] = node->slot[next[depth]++];
		if (path[depth + 1]->shift != node->shift - QUIRE_RADIX_BITS)
			return "radix: a child's shift is one level below its parent's";
		next[++depth] = 0;
	}
}

/* SPDX-License-Identifier: MIT */
/* What the files of the object room share. Nobody else includes this. */
#ifndef QUIRE_SRC_OBJECT_INTERNAL_H
#define QUIRE_SRC_OBJECT_INTERNAL_H

#include <quire/quire.h>

#include "base/string.h"

/* ---- radix.c: the tree of pages ---------------------------------------------------------- */

#define QUIRE_RADIX_BITS 6
#define QUIRE_RADIX_SLOTS (1u << QUIRE_RADIX_BITS)
#define QUIRE_RADIX_LEVELS ((64 + QUIRE_RADIX_BITS - 1) / QUIRE_RADIX_BITS)

/*
 * One level for 64 indices at distance 1 << shift. Equations (quire_radix_check()):
 *   count == slots that are not NULL, > 0 once the node is in the tree
 *   a child's shift == its parent's - QUIRE_RADIX_BITS; at shift 0 the slots are pages
 *   the root of a tree of several levels has more in it than slot 0
 */
struct quire_radix_node {
	void *slot[QUIRE_RADIX_SLOTS];	/* readers load with acquire */
	uint32_t count;			/* writer's */
	uint32_t shift;			/* constant */
	struct quire_deferred deferred; /* its next links lists of nodes that are in no tree */
};

/* The page at index, or NULL. Under a grace period or the tree's lock. */
struct quire_page *quire_radix_find(struct quire_radix_node *const *tree, uint64_t index);

/* The first page at or after *index and its place in *index, or NULL. As quire_radix_find(). */
struct quire_page *quire_radix_next(struct quire_radix_node *const *tree, uint64_t *index);

/*
 * Put page at index. -EEXIST: there is one; -ENOMEM: the tree is as it was. The tree's lock
 * held.
 */
int quire_radix_insert(struct quire *q, struct quire_radix_node **tree, uint64_t index,
		       struct quire_page *page);

/* Take the page at index out; there is one. Returns the nodes that this emptied, for
 * quire_radix_free() once the lock is dropped. The tree's lock held. */
struct quire_radix_node *quire_radix_remove(struct quire_radix_node **tree, uint64_t index);

/* Put page in the place of the one at index; there is one. The tree's lock held. */
void quire_radix_replace(struct quire_radix_node **tree, uint64_t index, struct quire_page *page);

/* Free nodes after a grace period. No spin lock held. */
void quire_radix_free(struct quire *q, struct quire_radix_node *nodes);

/* The tree's lock held. */
quire_broken_t quire_radix_check(struct quire_radix_node *const *tree);

/* ---- object.c: pages of an object -------------------------------------------------------- */

/*
 * The first page at or after *index and not after last that has one of flags (0: any), with a
 * reference; *index becomes its place. NULL: none.
 */
struct quire_page *quire_object_next_page(struct quire_object *object, uint64_t *index,
					  uint64_t last, uint32_t flags);

/*
 * Take a page out of its object's cache; the caller has a reference of its own. Page locked, or
 * nobody else has the object.
 */
void quire_object_remove_page(struct quire_object *object, struct quire_page *page);

/* Change the size; resize held. */
void quire_object_set_size(struct quire_object *object, uint64_t size);

/*
 * Zero what the page that holds the end of a file of that size has behind it, if it is cached.
 * May sleep.
 */
void quire_object_zero_tail(struct quire_object *object, uint64_t size);

/* Zero [from, to) of the page that holds byte from, as far as it reaches, if it is cached. resize held. */
void quire_object_zero_part(struct quire_object *object, uint64_t from, uint64_t to);

/*
 * The file is about to grow: forget what a store through a mapping may have left behind the old end,
 * up to byte to. On Linux shared memory keeps it, and so it does here: it becomes part of the file.
 */
void quire_object_forget_tail(struct quire_object *object, uint64_t to);

/* ---- truncate.c -------------------------------------------------------------------------- */

/* The addresses at which vma has pages [first, last]; false if it has none of them. */
bool quire_object_area_range(const struct quire_vma *vma, uint64_t first, uint64_t last,
			     quire_uaddr_t *start, quire_uaddr_t *end);

/* ---- object.c: dirty marks --------------------------------------------------------------- */

/* Take the dirty mark off; true if there was one. */
bool quire_page_clear_dirty(struct quire *q, struct quire_page *page);

#endif

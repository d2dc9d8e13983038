/* SPDX-License-Identifier: MIT */
/*
 * The index of vmalloc areas: a balanced tree (AVL) by address whose links stand in the areas, so that whoever has an
 * area needs no memory to put it in or take it out. Called by src/kva/ alone, under quire_vmalloc.lock.
 *
 * Each area knows the hole before it, and of its subtree the largest one:
 *
 *	|  hole  |--A--|g|hole|--B--|g|            |--C--|g|
 *	                            `-- C.hole ---'
 *
 *	         B gap = max(A.gap, B.hole, C.gap)
 *	        / \
 *	       A   C
 *
 * So the lowest hole that is large enough is found by one descent, to the left wherever the left subtree has one.
 * What lies behind the last area is no area's hole and is looked at last: it is the highest.
 */
#include "area.h"

static unsigned height_of(const struct quire_vm_struct *n)
{
	return n ? n->height : 0u;
}

static bool has_gap(const struct quire_vm_struct *n, uint64_t size)
{
	return n && n->gap >= size;
}

/* Height and gap from those of the children. */
static void refresh(struct quire_vm_struct *n)
{
	unsigned left = height_of(n->left), right = height_of(n->right);

	n->height = (uint8_t)(1u + (left > right ? left : right));
	n->gap = n->hole;
	if (n->left && n->left->gap > n->gap)
		n->gap = n->left->gap;
	if (n->right && n->right->gap > n->gap)
		n->gap = n->right->gap;
}

/* Whoever points to old from above points to new, which may be NULL. */
static void replace(struct quire_vm_struct **root, struct quire_vm_struct *old,
		    struct quire_vm_struct *new)
{
	struct quire_vm_struct *parent = old->parent;

	if (!parent)
		*root = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
	if (new)
		new->parent = parent;
}

/* The right child comes up: what now stands where n stood. */
static struct quire_vm_struct *rotate_left(struct quire_vm_struct **root, struct quire_vm_struct *n)
{
	struct quire_vm_struct *up = n->right;

	replace(root, n, up);
	n->right = up->left;
	if (n->right)
		n->right->parent = n;
	up->left = n;
	n->parent = up;
	refresh(n);
	refresh(up);
	return up;
}

static struct quire_vm_struct *rotate_right(struct quire_vm_struct **root,
					    struct quire_vm_struct *n)
{
	struct quire_vm_struct *up = n->left;

	replace(root, n, up);
	n->left = up->right;
	if (n->left)
		n->left->parent = n;
	up->right = n;
	n->parent = up;
	refresh(n);
	refresh(up);
	return up;
}

/*
 * From n up: heights, gaps and balance. Subtrees below are right. Above must, whose hole has changed (NULL: none has there), it
 * ends where a subtree is as high, and its gap as large, as before: who is above then knows nothing new.
 */
static void fix_up(struct quire_vm_struct **root, struct quire_vm_struct *n,
		   const struct quire_vm_struct *must)
{
	for (; n; n = n->parent) {
		unsigned left = height_of(n->left), right = height_of(n->right);
		const unsigned height = n->height;
		const uint64_t gap = n->gap;

		if (n == must)
			must = NULL;
		refresh(n);
		if (left > right + 1u) {
			if (height_of(n->left->left) < height_of(n->left->right))
				(void)rotate_left(root, n->left);
			n = rotate_right(root, n);
		} else if (right > left + 1u) {
			if (height_of(n->right->right) < height_of(n->right->left))
				(void)rotate_right(root, n->right);
			n = rotate_left(root, n);
		}
		if (!must && n->height == height && n->gap == gap)
			return;
	}
}

/* ---- Finding ----------------------------------------------------------------------------- */

struct quire_vm_struct *quire_area_find(struct quire_vm_struct *root, quire_kaddr_t addr)
{
	struct quire_vm_struct *n = root, *found = NULL;

	while (n) {
		if (area_end(n) > addr) {
			found = n;
			if (n->addr <= addr)
				break;
			n = n->left;
		} else {
			n = n->right;
		}
	}
	return found;
}

struct quire_vm_struct *quire_area_first(struct quire_vm_struct *root)
{
	while (root && root->left)
		root = root->left;
	return root;
}

static struct quire_vm_struct *last_of(struct quire_vm_struct *root)
{
	while (root && root->right)
		root = root->right;
	return root;
}

struct quire_vm_struct *quire_area_next(struct quire_vm_struct *area)
{
	if (area->right)
		return quire_area_first(area->right);
	while (area->parent && area->parent->right == area)
		area = area->parent;
	return area->parent;
}

/* ---- Holes ------------------------------------------------------------------------------- */

/* The first area of the subtree with a hole of size before it; there is one. */
static struct quire_vm_struct *lowest(struct quire_vm_struct *n, uint64_t size)
{
	for (;;) {
		if (has_gap(n->left, size))
			n = n->left;
		else if (n->hole >= size)
			return n;
		else
			n = n->right;
	}
}

/* The first one behind n. */
static struct quire_vm_struct *next_lowest(struct quire_vm_struct *n, uint64_t size)
{
	struct quire_vm_struct *parent;

	if (has_gap(n->right, size))
		return lowest(n->right, size);
	for (; (parent = n->parent); n = parent) {
		if (parent->right == n)
			continue;
		if (parent->hole >= size)
			return parent;
		if (has_gap(parent->right, size))
			return lowest(parent->right, size);
	}
	return NULL;
}

static bool fits(quire_kaddr_t start, quire_kaddr_t end, uint64_t size, uint64_t align,
		 quire_kaddr_t *addr)
{
	*addr = (start + align - 1) & ~(align - 1);
	return *addr >= start && *addr <= end && end - *addr >= size;
}

bool quire_area_first_fit(struct quire_vm_struct *root, quire_kaddr_t start, quire_kaddr_t end,
			  uint64_t size, uint64_t align, quire_kaddr_t *addr,
			  struct quire_vm_struct **behind)
{
	struct quire_vm_struct *n = has_gap(root, size) ? lowest(root, size) : NULL;

	for (; n; n = next_lowest(n, size)) {
		*behind = n;
		if (fits(n->addr - n->hole, n->addr, size, align, addr))
			return true;
	}
	*behind = NULL;
	n = last_of(root);
	return fits(n ? area_end(n) : start, end, size, align, addr);
}

/* ---- Changing ---------------------------------------------------------------------------- */

void quire_area_insert(struct quire_vm_struct **root, struct quire_vm_struct *area,
		       struct quire_vm_struct *behind, quire_kaddr_t start)
{
	/* The highest of all that is lower; a leaf there is right before behind. */
	struct quire_vm_struct *before = last_of(behind ? behind->left : *root);

	area->left = NULL;
	area->right = NULL;
	if (before) {
		area->parent = before;
		before->right = area;
	} else {
		area->parent = behind;
		*(behind ? &behind->left : root) = area;
	}
	if (behind) {
		area->hole = area->addr - (behind->addr - behind->hole);
		behind->hole = behind->addr - area_end(area);
	} else {
		area->hole = area->addr - (before ? area_end(before) : start);
	}
	/* So that it differs from what it becomes. */
	area->height = 0;
	fix_up(root, area, behind);
}

void quire_area_erase(struct quire_vm_struct **root, struct quire_vm_struct *area)
{
	struct quire_vm_struct *behind = quire_area_next(area), *child, *changed, *must = behind;

	if (behind)
		behind->hole += area->hole + area->size;
	if (area->left && area->right) {
		/* The next one, which has no left child, takes its place. */
		changed = behind->parent == area ? behind : behind->parent;
		if (behind != area->right) {
			replace(root, behind, behind->right);
			behind->right = area->right;
			behind->right->parent = behind;
		}
		behind->left = area->left;
		behind->left->parent = behind;
		behind->height = area->height;
		behind->gap = area->gap;
		replace(root, area, behind);
	} else {
		/* The only child, if there is one, has none itself: its fields follow from its hole. */
		child = area->left ? area->left : area->right;
		changed = area->parent;
		replace(root, area, child);
		if (child)
			refresh(child);
		if (child == behind)
			must = NULL;
	}
	fix_up(root, changed, must);
}

/* ---- Check ------------------------------------------------------------------------------- */

static quire_broken_t check_node(struct quire_vm_struct *n, quire_kaddr_t behind)
{
	struct quire_vm_struct shown = *n;
	unsigned left = height_of(n->left), right = height_of(n->right);

	if (n->addr < behind || !n->size || (n->addr | n->size) & ~QUIRE_PAGE_MASK)
		return "vmalloc: areas are whole pages, in ascending order, and none overlaps another";
	if ((n->left && n->left->parent != n) || (n->right && n->right->parent != n))
		return "vmalloc: an area is its children's parent";
	if (n->hole != n->addr - behind)
		return "vmalloc: an area's hole is what lies between it and the area before";
	refresh(&shown);
	if (shown.gap != n->gap)
		return "vmalloc: an area's gap is the largest hole of its subtree";
	if (shown.height != n->height || left > right + 1 || right > left + 1)
		return "vmalloc: heights of siblings differ by one at most";
	return NULL;
}

quire_broken_t quire_area_index_check(struct quire_vm_struct *root, quire_kaddr_t start,
				      quire_kaddr_t end, uint64_t *living, uint64_t *lazy_pages)
{
	struct quire_vm_struct *n = quire_area_first(root);
	quire_broken_t broken;

	*living = 0;
	*lazy_pages = 0;
	if (root && root->parent)
		return "vmalloc: nothing is above the index's root";
	for (; n; n = quire_area_next(n)) {
		broken = check_node(n, start);
		if (broken)
			return broken;
		start = area_end(n);
		if (start > end)
			return "vmalloc: no area beyond vmalloc_end";
		if (n->flags & QUIRE_VM_UNPURGED)
			*lazy_pages += n->size >> QUIRE_PAGE_SHIFT;
		else
			(*living)++;
	}
	return NULL;
}

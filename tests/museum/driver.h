/* SPDX-License-Identifier: MIT */
/*
 * A driver that counts: how many areas it has been told of and has not been told the end of. Its
 * areas are those with its operations, so the count is theirs at any time.
 */
#ifndef QUIRE_TESTS_MUSEUM_DRIVER_H
#define QUIRE_TESTS_MUSEUM_DRIVER_H

#include "museum.h"

static int64_t live;		/* areas that it knows of */
static uint64_t closed[64];	/* how often page n of the window was in an area that was closed */
static unsigned yes_left;	/* so often may_split says yes; then no */

static void driver_open(struct quire_vma *vma)
{
	(void)vma;
	live++;
}

static void driver_close(struct quire_vma *vma)
{
	live--;
	for (uint64_t a = vma->start; a < vma->end; a += PAGE) {
		if (a >= P(0) && a < P(64))
			closed[(a - P(0)) / PAGE]++;
	}
}

static int driver_may_split(struct quire_vma *vma, quire_uaddr_t addr)
{
	(void)vma;
	(void)addr;
	if (!yes_left)
		return -QUIRE_EACCES;
	yes_left--;
	return 0;
}

static const struct quire_vm_ops driver = {
	.name = "[driver]",
	.open = driver_open,
	.close = driver_close,
	.may_split = driver_may_split,
};

static inline int64_t areas_of_driver(struct quire_mm *mm)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;
	int64_t nr = 0;

	quire_grace_enter(mm->q);
	quire_index_walk_start(&walk, &mm->index, 0);
	while ((vma = quire_index_walk_next(&walk)))
		nr += vma->ops == &driver;
	quire_grace_leave(mm->q);
	return nr;
}

/* The maker of an area tells the driver by making it. */
static inline void put_driver_at(uint64_t start, uint64_t n)
{
	put_driver(space.mm, P(start), n, VM_RW | QUIRE_VM_MIXEDMAP, &driver, NULL);
	live++;
}

static inline int driver_setup(void **state)
{
	live = 0;
	memset(closed, 0, sizeof(closed));
	yes_left = 1000;
	return setup(state);
}

#define driver_exhibit(fn) cmocka_unit_test_setup_teardown(fn, driver_setup, teardown)

#endif

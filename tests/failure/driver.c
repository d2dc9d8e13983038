/* SPDX-License-Identifier: MIT */
/* Drivers that refuse while memory runs out. */
#include "failure.h"

static void refuse_split(void)
{
	w.driver.refuse_split = -QUIRE_EBUSY;
}

static int64_t unmap_part(void)
{
	return quire_munmap(w.mm, AT(34), 4 * PAGE);
}

static int64_t protect_part(void)
{
	return quire_mprotect(w.mm, AT(30), 8 * PAGE, R);
}

static int64_t lock_part(void)
{
	return quire_mlock(w.mm, AT(37), 2 * PAGE);
}

static int64_t advise_part(void)
{
	return quire_madvise(w.mm, AT(30), 8 * PAGE, QUIRE_MADV_DONTDUMP);
}

static int64_t map_over_part(void)
{
	return quire_mmap(w.mm, AT(34), 4 * PAGE, RW, ANON | QUIRE_MAP_FIXED, NULL, 0);
}

static int64_t move_part(void)
{
	return quire_mremap(w.mm, AT(37), 2 * PAGE, 2 * PAGE,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, AT(200));
}

static int refuse_mmap(struct quire_file *file, struct quire_vma *vma)
{
	(void)file;
	(void)vma;
	return -QUIRE_ENODEV;
}

static void refuse_to_be_mapped(void)
{
	w.device->mmap = refuse_mmap;
}

static int64_t map_device(void)
{
	return quire_mmap(w.mm, AT(30), 12 * PAGE, RW, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, w.device,
			  0);
}

/* A refusal leaves what Linux has cut by then, if there is memory for that, else nothing. */
#define REFUSED .success = -QUIRE_EBUSY, .failure2 = -QUIRE_EBUSY

const struct scenario driver_scenarios[] = {
	{"driver_refuses_munmap", refuse_split, unmap_part, REFUSED},
	{"driver_refuses_mprotect", refuse_split, protect_part, REFUSED},
	{"driver_refuses_madvise", refuse_split, advise_part, REFUSED, .failure = -QUIRE_EAGAIN},
	{"driver_refuses_mmap_over_it", refuse_split, map_over_part, REFUSED},
	{"driver_refuses_mremap", refuse_split, move_part, REFUSED, .flags = NEEDS_NONE},
	{"driver_refuses_to_be_mapped", refuse_to_be_mapped, map_device, .success = -QUIRE_ENODEV},
	{"driver_locked_in_part", NULL, lock_part, .failure2 = -QUIRE_EAGAIN, .flags = KEEPS_AREAS},
	{NULL},
};

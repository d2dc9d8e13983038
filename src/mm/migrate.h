/* SPDX-License-Identifier: MIT */
/* Pages that go to another node: between the calls that want it (mempolicy.c) and what does it (migrate.c). */
#ifndef QUIRE_MM_MIGRATE_H
#define QUIRE_MM_MIGRATE_H

#include <mm/internal.h>

/* Which pages, and where to. */
struct quire_migration {
	/* input */
	struct quire_mm *mm;
	uint64_t nodes; /* pages on these nodes ... */
	bool inverted;	/* ... or on all others */
	bool all;	/* those too that several entries map */
	struct quire_mempolicy *policy; /* where they go; NULL: as the thread's says */
	/* output */
	uint64_t failed;    /* pages that should have moved */
	bool out_of_memory; /* one for want of a page: nothing was tried after it */
};

enum quire_moved {
	QUIRE_MOVED,
	QUIRE_MOVED_HERE,    /* it lies where it should already */
	QUIRE_MOVED_NOTHING, /* no page there; or a raw frame, which is none */
	QUIRE_MOVED_ZEROES,  /* the page of zeroes that all share */
	QUIRE_MOVED_SHARED,  /* several entries map it, and all is not set */
	QUIRE_MOVED_NEVER,   /* nothing that can be moved: a driver's */
	QUIRE_MOVED_BUSY,    /* not now */
	QUIRE_MOVED_NO_PAGE, /* no memory there */
};

/* Linux's vma_migratable. */
bool quire_vma_is_migratable(const struct quire_vma *vma);

/* Writer lock held, vma alive, [start, end) within it. May sleep. */
void quire_migrate_range(struct quire_migration *m, struct quire_vma *vma, quire_uaddr_t start,
			 quire_uaddr_t end);
/* One page. */
enum quire_moved quire_migrate_page(struct quire_migration *m, struct quire_vma *vma,
				    quire_uaddr_t addr);

/* Where the page at addr is: HERE, *node; NOTHING, ZEROES. */
enum quire_moved quire_find_page(struct quire_vma *vma, quire_uaddr_t addr, unsigned *node);

/* Is there a page in [start, end) that quire_migrate_range() would have to move? One that cannot be counts. */
bool quire_has_misplaced_page(struct quire_migration *m, struct quire_vma *vma, quire_uaddr_t start,
			      quire_uaddr_t end);

#endif

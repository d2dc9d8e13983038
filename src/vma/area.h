/* SPDX-License-Identifier: MIT */
/*
 * What the vma room gives the mm room besides the index: making and freeing areas, and the rules by
 * which two areas become one.
 */
#ifndef QUIRE_VMA_AREA_H
#define QUIRE_VMA_AREA_H

#include <quire/quire.h>

/* ---- Areas (area.c) ---------------------------------------------------------------------- */

/* A NEW area with every field zero but mm and id. NULL: no memory. Writer lock, or mm is not
 * published yet. */
struct quire_vma *quire_vma_alloc(struct quire_mm *mm);
/* A NEW private copy with a fresh id: takes references on file, object, owner and chain (a frozen
 * owner is none). Whoever copies an area that faults can see has frozen it. NULL: no memory. */
struct quire_vma *quire_vma_copy(const struct quire_vma *vma);
/* Free an area that was never visible, now. Drops its references. */
void quire_vma_free_new(struct quire_vma *vma);
/* Free a DEAD area after a grace period, dropping its references then. */
void quire_vma_free_deferred(struct quire_vma *vma);

/* Keep faults from giving an ALIVE area an owner: FROZEN in place of NULL. True if this call did it;
 * then quire_vma_thaw(), or the area's death, must follow. Private areas only. */
bool quire_vma_freeze(struct quire_vma *vma);
void quire_vma_thaw(struct quire_vma *vma);

/* The owner, or NULL if there is none yet (frozen or not). If there is one, vma->chain is there too. */
static inline struct quire_anon *quire_vma_owner(const struct quire_vma *vma)
{
	struct quire_anon *anon = quire_load_acquire(&vma->anon);

	return anon == QUIRE_ANON_FROZEN ? NULL : anon;
}

/* ---- Merging (merge.c) ------------------------------------------------------------------- */

/*
 * A stretch that looks for neighbours to become one with: a part of an area (source) as it is to
 * be, or a new area (source NULL, or what mremap copies from).
 */
struct quire_span {
	quire_uaddr_t start, end;
	uint64_t flags;
	uint64_t pgoff; /* of start */
	const struct quire_file *file;
	const struct quire_vm_ops *ops;
	const void *private_data;
	struct quire_mempolicy *policy;
	const struct quire_vma
		*source; /* whose owner the pages in it may have; NULL: it has no pages */
};

/* Would prev and the span (the span and next), of which one ends where the other starts, agree in
 * everything but owners? Flags, file, operations, private data, policy, and page numbers that go on. */
bool quire_span_fits_after(const struct quire_span *span, const struct quire_vma *prev);
bool quire_span_fits_before(const struct quire_span *span, const struct quire_vma *next);

/* May target, which stays, take over pages of source's owner? Either may have no owner. */
bool quire_owners_fit(const struct quire_vma *target, const struct quire_vma *source);

/* May an area vanish in a merge without its driver hearing of it? */
static inline bool quire_vma_may_vanish(const struct quire_vma *vma)
{
	return !vma->ops || !vma->ops->close;
}

/* May b directly follow a in one area, all rules considered? Both are seen as they stand. */
bool quire_can_merge(const struct quire_vma *a, const struct quire_vma *b);

#endif

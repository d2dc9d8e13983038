/* SPDX-License-Identifier: MIT */
/*
 * What the files of kva share. Not for other rooms.
 */
#ifndef QUIRE_KVA_INTERNAL_H
#define QUIRE_KVA_INTERNAL_H

#include <quire/quire.h>

/* ---- Layout (layout.c) ------------------------------------------------------------------- */

enum quire_kva_part_id {
	QUIRE_KVA_DIRECT,
	QUIRE_KVA_VMALLOC,
	QUIRE_KVA_PKMAP,
	QUIRE_KVA_FIXMAP,
	QUIRE_NR_KVA_PARTS
};

struct quire_kva_part {
	quire_kaddr_t start, end;
};

/* Does [start, end) touch a part of the layout? */
bool quire_kva_overlaps(const struct quire_kva_layout *layout, quire_kaddr_t start,
			quire_kaddr_t end);

static inline bool quire_is_direct(const struct quire_kva_layout *layout, quire_kaddr_t addr)
{
	return addr >= layout->page_offset && addr < layout->high_memory;
}

static inline bool quire_is_vmalloc(const struct quire_kva_layout *layout, quire_kaddr_t addr)
{
	return addr >= layout->vmalloc_start && addr < layout->vmalloc_end;
}

/* ---- The tables (tables.c) --------------------------------------------------------------- */

/* What every leaf of the kernel's has besides its rights: nobody waits for the hardware to mark it. */
#define QUIRE_KERNEL_BITS (QUIRE_PTE_GLOBAL | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY)

/* quire_pgtable_lookup() in the kernel's tables. Any context. */
static inline quire_pte_t quire_kernel_look(struct quire *q, quire_kaddr_t addr, unsigned *level)
{
	quire_pte_t pte;

	quire_grace_enter(q);
	pte = quire_pgtable_lookup(&q->kva.pt, addr, level);
	quire_grace_leave(q);
	return pte;
}

/* Behind the entry at level that covers addr, or end if that comes first. */
static inline quire_kaddr_t quire_behind_entry(const struct quire_pgfmt *fmt, unsigned level,
					       quire_kaddr_t addr, quire_kaddr_t end)
{
	quire_kaddr_t last = addr | ((UINT64_C(1) << fmt->shift[level]) - 1);

	return last < end - 1 ? last + 1 : end;
}

/* A kernel leaf at level for the frame. */
quire_pte_t quire_kernel_pte(struct quire *q, quire_pfn_t pfn, quire_ptebits_t rights,
			     enum quire_cache_mode mode, unsigned level);

/*
 * The highest level below top at which one leaf can map the beginning of [addr, addr + len) to pa, of those that the processor
 * has.
 */
unsigned quire_kernel_leaf_level(struct quire *q, quire_kaddr_t addr, quire_paddr_t pa,
				 uint64_t len, unsigned top);

/*
 * The direct map's entries of these frames are as they were at first: writable, write-back. For pages that go
 * back to the allocator after their rights or modes have changed (what has changed has been split: cannot fail).
 * Flushed when it returns. May sleep.
 */
void quire_direct_reset(struct quire *q, struct quire_page *const *pages, uint64_t nr);

#endif

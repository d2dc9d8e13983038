/* SPDX-License-Identifier: MIT */
/*
 * What the files of vmalloc, vmap and ioremap share: areas and their index, the flush that is owed, and
 * the entries behind an area. Not for other rooms.
 */
#ifndef QUIRE_KVA_AREA_H
#define QUIRE_KVA_AREA_H

#include "internal.h"

static inline struct quire_vmalloc *vmalloc_of(struct quire *q)
{
	return &q->vmalloc;
}

static inline quire_kaddr_t area_end(const struct quire_vm_struct *area)
{
	return area->addr + area->size;
}

/* Under the lock: an area more, or fewer, waits for a flush. Others look at the number without. */
static inline void count_lazy(struct quire_vmalloc *v, const struct quire_vm_struct *area)
{
	quire_store(&v->nr_lazy_pages, v->nr_lazy_pages + (area->size >> QUIRE_PAGE_SHIFT));
}

static inline void uncount_lazy(struct quire_vmalloc *v, const struct quire_vm_struct *area)
{
	quire_store(&v->nr_lazy_pages, v->nr_lazy_pages - (area->size >> QUIRE_PAGE_SHIFT));
}

/* ---- The index (area_index.c); all under quire_vmalloc.lock ------------------------------ */

/* The first area that ends above addr; NULL: none. */
struct quire_vm_struct *quire_area_find(struct quire_vm_struct *root, quire_kaddr_t addr);
struct quire_vm_struct *quire_area_first(struct quire_vm_struct *root);
struct quire_vm_struct *quire_area_next(struct quire_vm_struct *area);

/*
 * Where size bytes, whole pages, fit first within [start, end), and the area behind that hole (NULL: none); false: nowhere.
 * align: a power of two.
 */
bool quire_area_first_fit(struct quire_vm_struct *root, quire_kaddr_t start, quire_kaddr_t end,
			  uint64_t size, uint64_t align, quire_kaddr_t *addr,
			  struct quire_vm_struct **behind);

/* addr, size and behind as first_fit said. start: where the first hole begins. */
void quire_area_insert(struct quire_vm_struct **root, struct quire_vm_struct *area,
		       struct quire_vm_struct *behind, quire_kaddr_t start);
void quire_area_erase(struct quire_vm_struct **root, struct quire_vm_struct *area);

/* The equations that are the index's. *living, *lazy_pages: what it holds. */
quire_broken_t quire_area_index_check(struct quire_vm_struct *root, quire_kaddr_t start,
				      quire_kaddr_t end, uint64_t *living, uint64_t *lazy_pages);

/* ---- From taken to gone (area.c) --------------------------------------------------------- */

/* quire_get_vm_area_caller() with any flags. UNINITIALIZED: nobody can free it until it is marked whole. */
struct quire_vm_struct *quire_area_take(struct quire *q, uint64_t size, uint64_t align,
					uint32_t flags, const void *caller);
void quire_area_mark_whole(struct quire *q, struct quire_vm_struct *area);

/*
 * The area that begins at addr, living, with one of the flags in any (0: whatever it has) and none of those in none, becomes
 * UNPURGED: from now on it is the caller's alone, who unmaps and retires it. NULL: there is none such, which is reported.
 */
struct quire_vm_struct *quire_area_detach(struct quire *q, quire_kaddr_t addr, uint32_t any,
					  uint32_t none);

/* For the same, from where nothing can be unmapped: set aside for the next quire_area_drain(). */
void quire_area_set_aside(struct quire *q, quire_kaddr_t addr, uint32_t any);

/*
 * A detached area that maps nothing any more. lazy: a TLB may still hold what it did; then its addresses and
 * what stands in freed wait for the flush, else both go now.
 */
void quire_area_retire(struct quire *q, struct quire_vm_struct *area, bool lazy);

/* One that nobody knows and that has never mapped anything: out of the index and freed. */
void quire_area_discard(struct quire *q, struct quire_vm_struct *area);

/* Flush what is lazy, and give it back. all: blocks too in which nothing is in use, for addresses. May sleep. */
void quire_area_purge(struct quire *q, bool all);

/* Free what interrupts have set aside. May sleep. */
void quire_area_drain(struct quire *q);

/* ---- Entries (area_map.c) ---------------------------------------------------------------- */

/* What is to be mapped, one behind the other: pages, or frames from pfn on. */
struct area_frames {
	struct quire_page *const *pages; /* NULL: frames */
	quire_pfn_t pfn;
};

/* READ; WRITE or EXEC, not both; nothing else. */
bool quire_area_rights_ok(quire_ptebits_t rights);

/* log2 of the pages of a large leaf that an area may have behind it; 0: none on this machine. */
unsigned quire_area_large_order(struct quire *q);

/*
 * Map nr of them from addr on, in an area that is the caller's; entries there are empty or GUARD. large_order: as above
 * where large leaves are welcome, else 0: such leaves where frames and addresses allow. -ENOMEM: a part may have been mapped, and is unmapped
 * again by quire_area_unmap(). May sleep.
 */
int quire_area_map(struct quire *q, quire_kaddr_t addr, const struct area_frames *frames,
		   uint64_t nr, quire_ptebits_t bits, enum quire_cache_mode mode,
		   unsigned large_order);

/* Empty all entries of [start, end). flags: of the cursor, LAZY or 0. How many pages were mapped. May sleep. */
uint64_t quire_area_unmap(struct quire *q, quire_kaddr_t start, quire_kaddr_t end, uint32_t flags);

/* Is any page mapped in [start, end)? Is there no hole? */
bool quire_area_is_mapped(struct quire *q, quire_kaddr_t start, quire_kaddr_t end);
bool quire_area_is_all_mapped(struct quire *q, quire_kaddr_t start, quire_kaddr_t end);

/* ---- vmalloc (vmalloc.c) ----------------------------------------------------------------- */

/* Free a detached area and, if the array of its pages came from here, that one's too. May sleep. */
void quire_area_free(struct quire *q, struct quire_vm_struct *area);

/* ---- vm_map_ram() of more pages than a block gives (vmap.c) ------------------------------ */

void *quire_vm_map_large(struct quire *q, struct quire_page **pages, uint64_t nr,
			 const void *caller);
void quire_vm_unmap_large(struct quire *q, quire_kaddr_t addr, uint64_t nr);

/* ---- Blocks (vmap_block.c) --------------------------------------------------------------- */

/*
 * Extend [*start, *end) by what blocks owe to the flush. all: blocks in which nothing is in use are UNPURGED from then on; their
 * areas are put before *list. May not be called with a lock that is taken after a queue's.
 */
void quire_vmap_blocks_collect(struct quire *q, bool all, quire_kaddr_t *start, quire_kaddr_t *end,
			       struct quire_vm_struct **list);

quire_broken_t quire_vmap_blocks_check(struct quire *q);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * vmalloc: areas of kernel address space between VMALLOC_START and VMALLOC_END. An area is a range of addresses; what is
 * behind it are pages from wherever they could be had (vmalloc), pages of the caller's (vmap), or a device (ioremap).
 *
 *	VMALLOC_START                                                     VMALLOC_END
 *	|--A--|g|---B---|g|         |-C-|g|                                         |
 *	                   `- the next area of up to this size goes here: first fit by address
 *
 * Behind each area a page of guard (g), which nothing maps and nobody gets: who runs over the end faults. (Not behind
 * areas with QUIRE_VM_NO_GUARD.)
 *
 * Semantics: Linux's mm/vmalloc.c, Documentation/core-api/mm-api.rst; get_vm_area and its first fit as they have been
 * since 2.4. Where a Linux of today differs it is said with the function.
 *
 * Context: functions may sleep and are called with interrupts on and no spin lock held, unless they say otherwise. Locks
 * are taken inside.
 *
 * Unmapping is lazy: entries go at once, the TLB flush waits until there is enough of it to do or addresses run
 * short, and until then nobody gets the addresses again. A stale access in between is the caller's bug, as in Linux; pages of
 * vfree() are given back only after the flush, so that it hurts nobody else.
 */
#ifndef QUIRE_VMALLOC_H
#define QUIRE_VMALLOC_H

#include <quire/kva.h>

/* ---- Areas ------------------------------------------------------------------------------- */

/* quire_vm_struct.flags; Linux's values. */
#define QUIRE_VM_IOREMAP 0x00000001u	   /* ioremap() and friends */
#define QUIRE_VM_ALLOC 0x00000002u	   /* vmalloc(): the pages are the area's own */
#define QUIRE_VM_MAP 0x00000004u	   /* vmap()ed pages */
#define QUIRE_VM_USERMAP 0x00000008u	   /* suitable for remap_vmalloc_range(): zeroed */
#define QUIRE_VM_UNINITIALIZED 0x00000020u /* not whole yet: nobody reads it */
#define QUIRE_VM_NO_GUARD 0x00000040u	   /* no guard page behind it */
#define QUIRE_VM_FLUSH_RESET_PERMS                                                                 \
	0x00000100u /* rights of its pages in the direct map have changed: reset when freed */
#define QUIRE_VM_MAP_PUT_PAGES 0x00000200u /* vmap(): put the pages and free the array in vfree() */
/* Ours; never asked for, only seen. */
#define QUIRE_VM_MAP_RAM 0x10000000u /* of vm_map_ram() */
#define QUIRE_VM_MAP_BLOCK 0x20000000u /* a block of these */
#define QUIRE_VM_REMOVED 0x40000000u /* quire_remove_vm_area() took it out: no area any more */
#define QUIRE_VM_UNPURGED 0x80000000u /* freed; its addresses wait for the flush */

/*
 * One area. Under quire_vmalloc.lock unless it says otherwise; what is not the index's is constant while the area
 * is its owner's.
 */
struct quire_vm_struct {
	quire_kaddr_t addr; /* first byte */
	uint64_t size;	    /* bytes, the guard page included, as Linux has it */
	/* the index's, see src/kva/area_index.c; what it looks at is a line of the processor's cache */
	struct quire_vm_struct *left, *right, *parent;
	uint64_t hole; /* bytes between the end of the area before (or VMALLOC_START) and addr */
	uint64_t gap;  /* the largest hole of this subtree */
	uint8_t height; /* of this subtree; 1: a leaf */
	uint8_t page_order; /* of the largest leaves that may be behind it: 0, or that of a large leaf */
	uint32_t flags;	    /* QUIRE_VM_* above */
	union {
		struct quire_page **pages; /* vmalloc: what it maps, page by page; NULL: another kind */
		struct quire_list *freed;  /* UNPURGED: pages to be put, through lru.next, NULL behind the last */
		struct quire_vmap_block *block; /* vm_map_ram's, see src/kva/vmap_block.c */
	};
	uint64_t nr_pages; /* of pages; 0: nothing is known of them */
	union {
		quire_paddr_t phys_addr; /* ioremap: what is behind addr */
		struct quire_page *page; /* vmalloc: the only one, then pages points here */
	};
	union {
		const void *caller; /* who asked, for vmallocinfo */
		struct quire_vm_struct *next; /* UNPURGED: on one of the lists of areas that are being freed */
	};
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct quire_vm_struct) <= 96, "an area is 96 bytes or less");

/*
 * Take size bytes (rounded up to pages) of address space, and a guard page behind; nothing is mapped yet. The lowest
 * hole that is large enough, found in O(log n) for n areas; with an align above a page, in O((k + 1) log n)
 * where k lower holes are large enough but for the alignment. What is lazily unmapped is no hole until its flush; when there is
 * none, it is flushed and the search made again. So this is first fit by address exactly, among addresses that are
 * nobody's: those freed by quire_free_vm_area() at once, others after the next flush (quire_vm_unmap_aliases()). align: a power of two; 0 or less than a page: a page. (Linux aligns ioremap areas to their
 * size; here ioremap() asks for it.) flags: Linux's of above. NULL: size 0 or beyond the vmalloc area, no hole, no memory for the
 * descriptor, a bad align, other flags, no kernel address space (quire_config.kva). caller: for vmallocinfo.
 */
struct quire_vm_struct *quire_get_vm_area(struct quire *q, uint64_t size, uint32_t flags);
struct quire_vm_struct *quire_get_vm_area_caller(struct quire *q, uint64_t size, uint64_t align,
						 uint32_t flags, const void *caller);

/*
 * Take the area that begins at addr out and unmap it: what it is made of is the caller's (pages too, if vmalloc made it), who
 * gives the descriptor to quire_free_vm_area(). NULL, and nothing is changed, if none begins there. What it mapped
 * is flushed when this returns.
 */
struct quire_vm_struct *quire_remove_vm_area(struct quire *q, quire_kaddr_t addr);

/* Take the area out, unless quire_remove_vm_area() has, and free the descriptor. Pages are left alone. */
void quire_free_vm_area(struct quire *q, struct quire_vm_struct *area);

/* The area that addr lies in, guard page included; NULL: none. It may be freed by its owner at any time. Any context. */
struct quire_vm_struct *quire_find_vm_area(struct quire *q, quire_kaddr_t addr);

/*
 * A copy of the first area that ends above addr, UNPURGED ones included; its pointers are good only while the caller knows
 * that the area lives, and of one that is UNPURGED, UNINITIALIZED or MAP_RAM there are addr, size and flags alone. False: none. For
 * walks that hold no lock. Any context.
 */
bool quire_next_vm_area(struct quire *q, quire_kaddr_t addr, struct quire_vm_struct *copy);

/*
 * Map nr pages, in order, from the area's start. rights: READ, and WRITE or EXEC, not both. -ENOMEM: no
 * tables; nothing is mapped. -EINVAL: nr is 0 or beyond the area without its guard, other rights, or something is mapped there already.
 * (map_vm_area of 2.4 and 2.6, which moved the caller's array on; here the area's start is where it begins.)
 */
int quire_map_vm_area(struct quire *q, struct quire_vm_struct *area, quire_ptebits_t rights,
		      struct quire_page **pages, uint64_t nr);

/* Unmap all that the area maps, table by table, and flush; the area stays. */
void quire_unmap_vm_area(struct quire *q, struct quire_vm_struct *area);

/*
 * An area with its tables made and nothing mapped, for who wants to set entries with a cursor where no memory can be
 * had (Linux: alloc_vm_area, for Xen). So that nobody takes the tables away each entry is a GUARD: what maps nothing; replace it.
 * NULL: as get_vm_area, or no memory for tables.
 */
struct quire_vm_struct *quire_alloc_vm_area(struct quire *q, uint64_t size);

/* Bytes of the area that can be mapped: all but the guard page. */
static inline uint64_t quire_vm_area_size(const struct quire_vm_struct *area)
{
	return area->flags & QUIRE_VM_NO_GUARD ? area->size : area->size - QUIRE_PAGE_SIZE;
}

/* ---- vmalloc ----------------------------------------------------------------------------- */

/*
 * size bytes that are contiguous for the kernel only, page aligned, not zeroed; from high memory where there is any.
 * Large leaves where size and alignment give cause and the format can (quire_vmalloc.huge). NULL: size 0, more
 * than there is memory, no addresses, no pages; a failure is logged. All of them as Linux's functions of these names.
 */
void *quire_vmalloc(struct quire *q, uint64_t size);
void *quire_vzalloc(struct quire *q, uint64_t size); /* zeroed */
void *quire_vmalloc_user(struct quire *q,
			 uint64_t size); /* zeroed, USERMAP: may be mapped into a process */
void *quire_vmalloc_32(struct quire *q,
		       uint64_t size); /* of frames that 32 bits of address reach */
void *quire_vmalloc_32_user(struct quire *q, uint64_t size);
void *quire_vmalloc_node(struct quire *q, uint64_t size,
			 int node); /* from that node first; -1: any; one that is not there: NULL */
void *quire_vzalloc_node(struct quire *q, uint64_t size, int node);
/*
 * For code: readable and writable, so that it can be put there; then quire_set_memory_rox() on it. (Linux's
 * vmalloc_exec() gave all three rights at once, which nothing here does; today's execmem works like this.)
 */
void *quire_vmalloc_exec(struct quire *q, uint64_t size);

/* What vmalloc is made of: rights, flags for pages, where from, a node or -1. */
void *quire_vmalloc_caller(struct quire *q, uint64_t size, uint64_t align, quire_gfp_t gfp,
			   quire_ptebits_t rights, uint32_t flags, int node, const void *caller);

/*
 * Give a vmalloc'd (or vmap'd with MAP_PUT_PAGES) area back. NULL: nothing. An address at which no such area
 * begins, inside one, or freed before is reported and changes nothing. Any context that has not got the kernel's
 * own locks of this room, but not from an NMI: in an interrupt handler (quire_port_in_interrupt()) the area is only set aside, which
 * frees it is the next call of this room from elsewhere, or quire_vmalloc_poll(). Otherwise it may sleep.
 */
void quire_vfree(struct quire *q, const void *addr);

/* The same, always set aside: for callers with interrupts off or a spin lock held. */
void quire_vfree_atomic(struct quire *q, const void *addr);

/*
 * Map nr pages of the caller's one behind the other; the caller keeps them while they are mapped. flags: QUIRE_VM_MAP_PUT_PAGES (the
 * array, from quire_kmalloc() or quire_vmalloc(), and a reference to each page go over to the area), USERMAP. rights as
 * quire_map_vm_area(). NULL: nr 0 or more than there is memory, no addresses, no memory, bad flags or rights.
 */
void *quire_vmap(struct quire *q, struct quire_page **pages, uint64_t nr, uint32_t flags,
		 quire_ptebits_t rights);

/*
 * Undo quire_vmap() without MAP_PUT_PAGES. Bad addresses as vfree. Not from interrupts. A store through a stale TLB entry
 * may still reach the pages: who gives them to somebody whom that would hurt calls quire_vm_unmap_aliases() first.
 */
void quire_vunmap(struct quire *q, const void *addr);

/* The page, or frame, behind a vmalloc address; NULL (0): none. Any context. */
struct quire_page *quire_vmalloc_to_page(struct quire *q, const void *addr);
quire_pfn_t quire_vmalloc_to_pfn(struct quire *q, const void *addr);

bool quire_is_vmalloc_addr(struct quire *q, const void *addr);

/*
 * Copy up to count bytes out of (into) the vmalloc area from addr on, whoever it belongs to, for /proc/kcore and the like: holes
 * between areas, guards and ioremap areas read as zeroes (are skipped, and so is what is read-only). Returns count cut at VMALLOC_END; 0 if no area lies in the range.
 */
uint64_t quire_vread(struct quire *q, void *buffer, const void *addr, uint64_t count);
uint64_t quire_vwrite(struct quire *q, const void *buffer, void *addr, uint64_t count);

/*
 * Do what waits: frees from interrupts, the flush of what was lazily unmapped. A host calls it when idle (purge: flush
 * whatever there is, Linux's vm_unmap_aliases).
 */
void quire_vmalloc_poll(struct quire *q);
void quire_vm_unmap_aliases(struct quire *q);

/* ---- Into a process ---------------------------------------------------------------------- */

/*
 * For the mmap() of a driver's file: all of vma maps the pages of the area that holds kaddr, from the pgoff-th behind kaddr
 * on. partial: only size bytes of it (rounded up to pages) do, from uaddr on. They are there when mmap() returns, each with a
 * reference: a process keeps what it maps, though the area be freed. What it unmaps (MADV_DONTNEED) does not come
 * back by itself. vma gets MIXEDMAP, DONTEXPAND and DONTDUMP.
 *
 * 0. -EINVAL: kaddr or uaddr is not page aligned; no area that lives holds kaddr; it is not USERMAP; it ends (without its
 * guard) before the bytes do; something in it maps nothing, a page that is not the kernel's own (anonymous, a file's), or one
 * of a block, which has no references of its own (vmalloc's have, see quire_page_split()); size 0; vma is PFNMAP, or not a new one. -EFAULT: beyond vma. -EBUSY: a call before this one has filled a part of it. -ENOMEM. After an error
 * nothing has changed. The area is not freed meanwhile. May sleep. (Linux: mm/vmalloc.c, and vm_insert_page(), of which
 * the last three errors are; it leaves what it has inserted by then.)
 */
struct quire_vma;
int quire_remap_vmalloc_range(struct quire_vma *vma, const void *kaddr, uint64_t pgoff);
int quire_remap_vmalloc_range_partial(struct quire_vma *vma, uint64_t uaddr, const void *kaddr,
				      uint64_t pgoff, uint64_t size);

/* ---- Short-lived vmaps ------------------------------------------------------------------- */

/*
 * As vmap and vunmap, for pages that are mapped shortly and often, readable and writable: up to QUIRE_VMAP_MAX_ALLOC of them come from
 * a block of this CPU's without taking a shared lock, and have no guard page of their own. nr must be the same both times; a bad
 * address or number is reported and changes nothing. NULL: as vmap.
 */
#define QUIRE_VMAP_MAX_ALLOC 64u

void *quire_vm_map_ram(struct quire *q, struct quire_page **pages, uint64_t nr);
void quire_vm_unmap_ram(struct quire *q, const void *mem, uint64_t nr);

/* ---- ioremap ----------------------------------------------------------------------------- */

/*
 * A device's registers, or memory, of size bytes from physical address pa (any byte of a page, above 4 GiB too where the
 * format can say so). The pointer has pa's offset in the page. NULL: size 0, wraps, beyond what an entry can name,
 * ordinary memory that the page allocator owns (Linux refuses RAM), no addresses, no memory. _cache maps RAM's neighbours in a
 * cached way (ioremap_cache); plain is uncached.
 */
void *quire_ioremap(struct quire *q, quire_paddr_t pa, uint64_t size);
void *quire_ioremap_wc(struct quire *q, quire_paddr_t pa, uint64_t size);
void *quire_ioremap_cache(struct quire *q, quire_paddr_t pa, uint64_t size);

/* Undo it; addr as ioremap gave it. A bad address is reported. */
void quire_iounmap(struct quire *q, const void *addr);

/* ---- The whole --------------------------------------------------------------------------- */

#define QUIRE_VMAP_HASH 64u

/* A CPU's block for small short-lived vmaps. */
struct quire_vmap_queue {
	struct quire_spinlock lock; /* taken before a block's */
	struct quire_vmap_block *current; /* has room; NULL: none */
} __attribute__((aligned(QUIRE_CACHELINE)));

/*
 * Locks: purge_lock, a queue's, lock, a block's, a leaf table's, in this order. No flush under a spin lock.
 *
 * Equations (quire_vmalloc_check()):
 *   areas lie between vmalloc_start and vmalloc_end, in ascending order, and none overlaps another
 *   each area's hole ends where it begins; its gap is the largest hole of its subtree, whose heights differ by 1 at most
 *   nr_areas == areas in the index that are not UNPURGED; nr_lazy_pages == pages of those that are
 *   an area with pages maps exactly these; its guard page maps nothing; nothing between areas is mapped
 *   an UNPURGED area maps nothing and is on the lazy list, unless it is set aside; nr_lazy == areas there
 *   a block's pages: free + dirty <= all, and the rest is mapped
 */
struct quire_vmalloc {
	struct quire_spinlock lock;   /* irq; of all areas, the index, the lists */
	struct quire_vm_struct *root; /* the index, by address */
	uint64_t nr_areas;	      /* living; the lazy ones are not counted */
	struct quire_vm_struct *lazy; /* unmapped, not flushed, still in the index */
	struct quire_vm_struct *set_aside; /* by quire_vfree() in interrupts; readable without lock, as a hint */
	uint64_t nr_lazy_pages;	      /* guards included; readable without lock, as a hint */
	/*
	 * More than this, and they are flushed: 32 MiB times the bits of the number of CPUs (Linux's lazy_max_pages()), but a
	 * 16th of memory at most, since their pages wait too.
	 */
	uint64_t lazy_max_pages;
	uint64_t nr_lazy; /* areas on the lazy list */
	/* More of them than this, too (Linux has no such limit): 512. Beyond that one flush is not what costs. */
	uint64_t lazy_max_areas;
	uint64_t nr_pages; /* that vmalloc() has given and vfree() not got back; atomic; VmallocUsed */
	uint64_t purges; /* flushes that came of it; for statistics */
	struct quire_mutex purge_lock; /* one flush of what is lazy at a time */
	bool huge;		       /* vmalloc may use large leaves; default: true */
	uint32_t block_pages;	       /* of a block for vm_map_ram(): 128 to 1024, a power of two; constant */
	struct quire_cache cache;      /* "vmap_area" */
	struct quire_vmap_block *block[QUIRE_VMAP_HASH]; /* by address; read under a grace period, changed under lock */
	struct quire_vmap_queue queue[QUIRE_NR_CPUS];
};

/* After quire_kva_init(). -ENOMEM. Without a kernel address space: nothing, and every allocation here is NULL. */
int quire_vmalloc_init(struct quire *q);

/* Walks areas and tables; nobody else may be using the room. */
quire_broken_t quire_vmalloc_check(struct quire *q);

/* Flush, and give what is the room's own back. NULL, or what is left over. */
quire_broken_t quire_vmalloc_exit(struct quire *q);

#endif

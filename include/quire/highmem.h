/* SPDX-License-Identifier: MIT */
/*
 * highmem: how a kernel reaches a page that the direct map does not have, and the fixmap, whose slots are
 * addresses known when the kernel is compiled.
 *
 *	quire_kmap()         a slot of the pkmap, until quire_kunmap(): may sleep until one is free; any CPU may use it
 *	quire_kmap_local()   a slot of this CPU's, until quire_kunmap_local(): never waits; last mapped, first unmapped
 *	quire_kmap_atomic()  the same with a slot that the caller names
 *	fixmap               a slot by number, for as long as it is set
 *
 * Of a page of low memory all give the address in the direct map, and cost next to nothing.
 *
 * Sources: Documentation/mm/highmem.rst; of 2.4 and 2.6 the names of slots and the sizes. How it works: src/kva/kmap.c,
 * src/kva/kmap_local.c, src/kva/fixmap.c.
 */
#ifndef QUIRE_HIGHMEM_H
#define QUIRE_HIGHMEM_H

#include <quire/kva.h>

/* ---- Permanent kmaps --------------------------------------------------------------------- */

/*
 * An address of the page that is good, on every CPU, until as many kunmaps have come. All users at a time
 * get the same. Cannot fail; sleeps while all slots are taken, and now and then for a TLB flush. Not from interrupts. Who
 * holds one and asks for a second may wait for others who do the same.
 */
void *quire_kmap(struct quire *q, struct quire_page *page);

/* One user fewer; wakes who waits for a slot. Not from interrupts. A page that nobody has mapped is reported. */
void quire_kunmap(struct quire *q, struct quire_page *page);

/*
 * Where the page is mapped for every CPU: in the direct map, or the pkmap; NULL: nowhere. That of a high page is good as
 * long as the caller has it kmapped. Any context.
 */
void *quire_page_address(struct quire *q, struct quire_page *page);

/*
 * How many kmaps of a high page have not had their kunmap; 0 for a low one. A page may be freed when it is 0, though its
 * slot goes on mapping it until the next flush. Any context. For checks.
 */
uint32_t quire_kmap_users(struct quire *q, struct quire_page *page);

/*
 * The page behind an address of direct map, pkmap or this CPU's slots of temporary kmaps; NULL: none. Any context, on one
 * CPU. (Linux: kmap_to_page.)
 */
struct quire_page *quire_kmap_to_page(struct quire *q, const void *addr);

/* ---- Temporary kmaps --------------------------------------------------------------------- */

/* At a time on a CPU, interrupts' included. */
#define QUIRE_KM_MAX_IDX 16u

/*
 * An address of the page on this CPU; addr: any within the page. A stack: what is mapped last is unmapped first. No sleep and no change
 * of CPU in between: preemption is off for a high page, in debug builds for every page. Any context, in which they nest. They are
 * quire_page_kmap() and _kunmap(), which the rooms below know too.
 * One too many is reported, and gives NULL, which unmaps as nothing. Debug builds report another order, another CPU, and
 * what is not mapped.
 */
static inline void *quire_kmap_local(struct quire *q, struct quire_page *page)
{
	return quire_page_kmap(q, page);
}

static inline void quire_kunmap_local(struct quire *q, const void *addr)
{
	quire_page_kunmap(q, (void *)(uintptr_t)addr);
}

/*
 * The interface of 2.4 and 2.6: a slot of this CPU's by its name, which the caller must know to be free: nobody else in this
 * context uses it. Preemption is off until quire_kunmap_atomic(), whatever the page. Any context that owns the slot; debug
 * builds report a slot that is taken, and one that is unmapped with another's address.
 */
enum quire_km_type {
	QUIRE_KM_BOUNCE_READ,
	QUIRE_KM_SKB_SUNRPC_DATA,
	QUIRE_KM_SKB_DATA_SOFTIRQ,
	QUIRE_KM_USER0,
	QUIRE_KM_USER1,
	QUIRE_KM_BIO_SRC_IRQ,
	QUIRE_KM_BIO_DST_IRQ,
	QUIRE_KM_PTE0,
	QUIRE_KM_PTE1,
	QUIRE_KM_IRQ0,
	QUIRE_KM_IRQ1,
	QUIRE_KM_SOFTIRQ0,
	QUIRE_KM_SOFTIRQ1,
	QUIRE_KM_TYPE_NR
};

void *quire_kmap_atomic(struct quire *q, struct quire_page *page, enum quire_km_type type);
void quire_kunmap_atomic(struct quire *q, const void *addr, enum quire_km_type type);

/* ---- The fixmap -------------------------------------------------------------------------- */

/*
 * Slots count down from FIXADDR_TOP: slot n is at fixaddr_top - ((n + 1) << QUIRE_PAGE_SHIFT). The first ones are for whatever
 * the host likes; then early ioremap's; then the temporary kmaps, those of CPU 0 first.
 */
enum quire_fixed_address {
	QUIRE_FIX_HOLE,	      /* nothing, so that a pointer that ran over does not hit the next */
	QUIRE_FIX_HOST_FIRST, /* the host's own: local APIC, I/O APICs, vsyscall, console... */
	QUIRE_FIX_HOST_LAST = QUIRE_FIX_HOST_FIRST + 63,
	QUIRE_FIX_BTMAP_BEGIN, /* early ioremap: QUIRE_FIX_BTMAPS_SLOTS of QUIRE_NR_FIX_BTMAPS pages */
	QUIRE_FIX_BTMAP_END = QUIRE_FIX_BTMAP_BEGIN + 64 * 8 - 1,
	QUIRE_FIX_KMAP_BEGIN /* QUIRE_KM_SLOTS for each CPU, to the end */
};

#define QUIRE_NR_FIX_BTMAPS 64u /* pages of one early ioremap */
#define QUIRE_FIX_BTMAPS_SLOTS 8u
#define QUIRE_KM_SLOTS (QUIRE_KM_MAX_IDX + QUIRE_KM_TYPE_NR)

static inline quire_kaddr_t quire_fix_to_virt(const struct quire_kva_layout *layout, unsigned slot)
{
	return layout->fixaddr_top - (((uint64_t)slot + 1) << QUIRE_PAGE_SHIFT);
}

static inline unsigned quire_virt_to_fix(const struct quire_kva_layout *layout, quire_kaddr_t addr)
{
	return (unsigned)((layout->fixaddr_top - 1 - addr) >> QUIRE_PAGE_SHIFT);
}

/*
 * Point a host's slot at the frame of pa, on every CPU; clear it. rights: READ, with WRITE or not. A slot that is set already
 * is replaced. One caller a slot at a time. -EINVAL: not a host's slot, pa not page aligned or more than the format can say,
 * other rights, an unknown mode, an instance without a kernel's address space. Flushes: interrupts on, no spin lock held.
 */
int quire_set_fixmap(struct quire *q, unsigned slot, quire_paddr_t pa, quire_ptebits_t rights,
		     enum quire_cache_mode mode);
int quire_clear_fixmap(struct quire *q, unsigned slot);

/*
 * Boot's ioremap, for before anybody can sleep in quire_ioremap(): up to QUIRE_NR_FIX_BTMAPS pages, QUIRE_FIX_BTMAPS_SLOTS at a
 * time, by one CPU; uncached. NULL, and a line in the log: size 0 or too large, pa wraps or is more than the format can say,
 * no slot left. addr and size to unmap with are those from the mapping; others are reported. Contexts as quire_set_fixmap().
 */
void *quire_early_ioremap(struct quire *q, quire_paddr_t pa, uint64_t size);
void quire_early_iounmap(struct quire *q, const void *addr, uint64_t size);

/* How many are still mapped: a host that asks when its boot is over, and is not told 0, has a leak. Logged. */
unsigned quire_early_ioremap_leak_check(struct quire *q);

/* ---- The whole --------------------------------------------------------------------------- */

/* One page of the pkmap. */
struct quire_pkmap {
	uint32_t count; /* 0: free; 1: maps its page, nobody uses it; n + 1: n users; or QUIRE_PKMAP_FLUSHING */
	uint32_t next;  /* in its page's bucket: 1 + the next one's number; 0: none */
	struct quire_page *page; /* NULL: none */
	struct quire_pteslot entry;
};

#define QUIRE_PKMAP_FLUSHING UINT32_MAX /* maps nothing and is nobody's, but TLBs may still say what it was */
#define QUIRE_PKMAP_BUCKETS 128u

/* A CPU's temporary kmaps; its own, interrupt handlers included. */
struct quire_kmap_cpu {
	uint32_t index; /* slots taken of the stack, 0..QUIRE_KM_MAX_IDX */
	uint32_t early; /* debug builds: mask of those among them that were unmapped before their turn */
} __attribute__((aligned(QUIRE_CACHELINE)));

/*
 * Equations (quire_highmem_check()):
 *   of each pkmap: count is 0 or FLUSHING == it has no page == its entry maps nothing
 *     else its entry maps its page, which is high, and which no other has
 *   a page's bucket has the pkmap that maps it; buckets have nothing else
 *   idle == pkmaps whose count is 1
 *   FLUSHING => flushing
 *   a CPU's slots from its index on map nothing (debug builds; release builds leave entries behind)
 *   what maps something of the fixmap is a host's slot, a temporary kmap's, or in btmap[]
 */
struct quire_highmem {
	struct quire_spinlock lock; /* irq; of all down to flushes */
	struct quire_pkmap *pkmap;  /* nr_pkmaps of the layout; NULL: no high memory */
	uint32_t bucket[QUIRE_PKMAP_BUCKETS]; /* by page: 1 + number of the first; 0: none */
	uint32_t next;		    /* where the search for a free one goes on */
	uint32_t idle;
	uint32_t waiters;	    /* that sleep on freed */
	uint32_t freed;		    /* grows when one has become idle or free and somebody waits */
	bool flushing;		    /* somebody has made all that were idle FLUSHING, and frees them */
	uint64_t flushes;	    /* TLB flushes so far; for statistics */

	struct quire_pteslot *fix; /* entries of the fixmap by number; NULL: no kernel's address space */
	unsigned nr_fix;	   /* without high memory none for temporary kmaps */
	/* The entry of a kmap of frame 0, and where in it the frame's number begins; constant. */
	quire_pte_t pte;
	unsigned pfn_shift;
	struct quire_kmap_cpu cpu[QUIRE_NR_CPUS];
	struct {
		const void *addr; /* NULL: free */
		uint64_t size;	  /* bytes, as asked for */
	} btmap[QUIRE_FIX_BTMAPS_SLOTS]; /* early ioremap's, by one CPU */
};

/*
 * Called by quire_init() after quire_kva_init(), before there is a space: all tables of pkmap and fixmap are made
 * here, so that no slot ever needs memory, and every space has them. Nothing to do without a layout. -ENOMEM.
 */
int quire_highmem_init(struct quire *q);
/* Everything is unmapped. Before quire_kva_exit(). */
void quire_highmem_exit(struct quire *q);

/* The instance must be quiet. */
quire_broken_t quire_highmem_check(struct quire *q);

#endif

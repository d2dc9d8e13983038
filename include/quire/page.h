/* SPDX-License-Identifier: MIT */
/*
 * page: physical memory. The host hands over a memory map; this room cuts it into zones, gives
 * every frame a descriptor and hands frames out in powers of two (a buddy allocator with per-CPU
 * lists in front of it).
 *
 * Memory may lie on several nodes (NUMA), each with zones of its own. An allocation takes the node of its CPU first
 * and then the others, the nearest first; within a node the highest zone allowed first and then those below.
 *
 * Locks: one irq-safe spin lock a zone; per-CPU lists under interrupts off. All functions here may be
 * called in any context unless they say otherwise. Only an allocation with
 * QUIRE_GFP_WAIT in it (QUIRE_GFP_KERNEL and what is made of it) may sleep: when memory is short it waits for what
 * waits for a grace period. When that was not enough, the answer is NULL.
 */
#ifndef QUIRE_PAGE_H
#define QUIRE_PAGE_H

#include <quire/base.h>

#define QUIRE_MAX_ORDER 10 /* largest block: 1 << 10 pages */
#define QUIRE_NR_ORDERS (QUIRE_MAX_ORDER + 1)

/* ---- Page descriptor --------------------------------------------------------------------- */

/* What a frame is used for; decides how its owner and index read. */
enum quire_page_kind {
	QUIRE_PAGE_FREE,     /* in the buddy allocator or on a per-CPU list */
	QUIRE_PAGE_KERNEL,   /* allocated, user unknown to this room */
	QUIRE_PAGE_RESERVED, /* never handed out: firmware, the descriptors themselves */
	QUIRE_PAGE_SLAB,     /* owner: struct quire_cache */
	QUIRE_PAGE_TABLE,    /* owner: struct quire_pgtable; see pgtable.h */
	QUIRE_PAGE_ANON,     /* owner: struct quire_anon; index: page number in its area's numbering */
	QUIRE_PAGE_CACHE,    /* owner: struct quire_object; index: page number in the file */
	QUIRE_PAGE_NR_KINDS
};

/* Bits of quire_page.flags above the kind; changed with quire_fetch_or()/quire_fetch_and(). */
#define QUIRE_PG_KIND_MASK 0x0000000fu
#define QUIRE_PG_ZONE_SHIFT 4 /* 2 bits */
#define QUIRE_PG_ZONE_MASK 0x00000030u
#define QUIRE_PG_NODE_SHIFT 6 /* 3 bits */
#define QUIRE_PG_NODE_MASK 0x000001c0u
#define QUIRE_PG_PLACE_MASK (QUIRE_PG_ZONE_MASK | QUIRE_PG_NODE_MASK) /* together the place in quire_pages.zone */
#define QUIRE_PG_ORDER_SHIFT 9 /* 4 bits: order of the block that this is the head of */
#define QUIRE_PG_ORDER_MASK 0x00001e00u
#define QUIRE_PG_HEAD 0x00002000u     /* first page of a free or allocated block */
#define QUIRE_PG_ABSENT 0x00004000u /* a descriptor without a frame, where the memory map has a hole */
#define QUIRE_PG_LOCKED 0x00010000u   /* page lock: owner may not change, content is being read */
#define QUIRE_PG_WAITERS 0x00020000u  /* somebody sleeps on the page lock */
#define QUIRE_PG_UPTODATE 0x00040000u /* content is what the file says */
#define QUIRE_PG_DIRTY 0x00080000u    /* content is newer than the file */
#define QUIRE_PG_WRITEBACK 0x00100000u
#define QUIRE_PG_REFERENCED 0x00200000u
#define QUIRE_PG_LAZYFREE 0x00400000u /* MADV_FREE: may be dropped while clean */
#define QUIRE_PG_STALE 0x00800000u    /* table page: unlinked, do not use (see pgtable.h) */
#define QUIRE_PG_SWAPBACKED 0x01000000u /* shared anonymous memory: counted as shmem */
#define QUIRE_PG_EXCLUSIVE 0x04000000u /* anonymous: one entry maps it and may write to it in place, whoever else holds a
					* reference; under that entry's leaf lock */
#define QUIRE_PG_TRACKED 0x02000000u /* in a cache that is written back: its dirty mark counts in QUIRE_STAT_FILE_DIRTY */

struct quire_page {
	uint32_t flags; /* kind, zone, order, QUIRE_PG_*; atomic once allocated */
	uint32_t refs;  /* users: 0 when free; atomic */
	uint32_t maps;  /* page-table entries that map it (user pages); entries in use (tables); atomic */
	uint32_t aux;   /* tables: spin lock; slabs: objects in use; anonymous and cached: entries of LOCKED
			 * areas among maps, atomic; else free to use */
	void *owner;    /* see enum quire_page_kind */
	uint64_t index;
	struct quire_list lru; /* free list, LRU, or the kind's own list */
};

_Static_assert(sizeof(void *) != 8 || sizeof(struct quire_page) <= 48, "a page descriptor is 48 bytes or less");

/* ---- Memory map and zones ---------------------------------------------------------------- */

enum quire_range_kind {
	QUIRE_RANGE_USABLE,
	QUIRE_RANGE_RESERVED, /* present, never handed out */
};

struct quire_range {
	quire_paddr_t start, end; /* bytes; usable ranges are cut to whole frames inward */
	enum quire_range_kind kind;
	unsigned node; /* whose memory; of reserved frames only where no usable range covers them */
};

enum quire_zone_id {
	QUIRE_ZONE_DMA,     /* below 16 MiB */
	QUIRE_ZONE_DMA32,   /* below 4 GiB */
	QUIRE_ZONE_NORMAL,  /* in the direct map: all there is, or what lies below high_memory */
	QUIRE_ZONE_HIGHMEM, /* from high_memory on: no pointer leads there but a kmap's */
	QUIRE_NR_ZONES
};

_Static_assert(QUIRE_NR_ZONES == 4 && QUIRE_NR_NODES >= 1 && QUIRE_NR_NODES <= 8, "zone and node are five bits");

/*
 * Allocation flags, Linux's by meaning (its gfp_types.h describes them). Zone bits pick the highest zone allowed; none:
 * NORMAL. Two of them at once are a mistake: the allocation returns NULL, debug builds report it. A bit whose zone the
 * machine does not have, as a zone of its own, means NORMAL.
 */
typedef uint32_t quire_gfp_t;
#define QUIRE_GFP_DMA 0x001u     /* only from below 16 MiB */
#define QUIRE_GFP_HIGHMEM 0x002u /* from high memory too: the user needs no pointer to it */
#define QUIRE_GFP_DMA32 0x004u   /* only from below 4 GiB */
#define QUIRE_GFP_ZONEMASK 0x007u
#define QUIRE_GFP_ZERO 0x100u     /* filled with zeroes */
#define QUIRE_GFP_HIGH 0x200u     /* urgent: may dip below the min watermark, to half of it */
#define QUIRE_GFP_NOWARN 0x400u   /* a failure is not logged */
#define QUIRE_GFP_NOFAIL 0x800u   /* refused: the allocation returns NULL, debug builds report it */
#define QUIRE_GFP_MEMALLOC 0x1000u /* may empty the zone: for the code that frees memory */
#define QUIRE_GFP_NOMEMALLOC 0x2000u /* takes back what MEMALLOC gives, and what HIGH gives those who cannot wait */
#define QUIRE_GFP_WAIT 0x4000u    /* may sleep; who has HIGH without it goes down to 3/8 of the min watermark */
#define QUIRE_GFP_THISNODE 0x8000u /* only from the node asked for, no other */
#define QUIRE_GFP_KERNEL QUIRE_GFP_WAIT
#define QUIRE_GFP_USER QUIRE_GFP_WAIT
#define QUIRE_GFP_NOWAIT 0u
#define QUIRE_GFP_ATOMIC QUIRE_GFP_HIGH
#define QUIRE_GFP_HIGHUSER (QUIRE_GFP_HIGHMEM | QUIRE_GFP_WAIT)

/* An allocation first leaves LOW alone, in all its zones and nodes, and then dips to MIN. HIGH is where reclaim stops. */
enum quire_watermark { QUIRE_WMARK_MIN, QUIRE_WMARK_LOW, QUIRE_WMARK_HIGH, QUIRE_NR_WMARKS };

/* Per-CPU list of single pages: refilled and drained in batches. Any CPU may take the lock, to drain. */
struct quire_pcp {
	struct quire_spinlock lock; /* irq; taken before the zone's */
	uint32_t count;             /* pages on the list, <= high; readable without the lock, as a hint */
	uint32_t high, batch;       /* drained to high - batch when above high; constant */
	struct quire_list pages;    /* kind FREE, not QUIRE_PG_HEAD */
	uint64_t allocated, freed;  /* pages that went out and came back through this list, ever */
} __attribute__((aligned(QUIRE_CACHELINE)));

struct quire_free_area {
	struct quire_list blocks; /* heads of free blocks of this order */
	uint64_t nr_free;         /* their number */
};

/*
 * Equations (quire_page_check()):
 *   sum over orders of nr_free << order == free_pages
 *   free_pages + pcp pages + allocated == managed_pages
 *     (allocated: the blocks whose heads are neither FREE nor RESERVED, by the descriptors)
 *   managed_pages <= present_pages <= spanned_pages
 *   wmark[MIN] <= wmark[LOW] <= wmark[HIGH]
 *   lowmem_reserve[j] <= lowmem_reserve[j + 1]; 0 for the zone itself and those below
 *   no two free buddies of one order below QUIRE_MAX_ORDER in the same zone
 */
struct quire_zone {
	const char *name;            /* "DMA", "DMA32", "Normal", "HighMem" */
	struct quire_spinlock lock;
	uint32_t node;               /* its number */
	quire_pfn_t start_pfn;
	uint64_t spanned_pages, present_pages, managed_pages;
	uint64_t free_pages;         /* under lock; readable without, then only a hint */
	uint64_t wmark[QUIRE_NR_WMARKS]; /* pages; written under lock */
	uint64_t lowmem_reserve[QUIRE_NR_ZONES]; /* pages kept, on top of wmark, from allocations that may
						  * use zones up to that one; written under lock */
	struct quire_free_area area[QUIRE_NR_ORDERS];
	uint64_t allocated, freed;   /* pages that went out and came back in blocks of order > 0, ever */
	struct quire_pcp pcp[QUIRE_NR_CPUS];
};

/* The end of a zonelist is NULL. */
#define QUIRE_ZONELIST_LENGTH (QUIRE_NR_NODES * QUIRE_NR_ZONES + 1)

/*
 * All of it constant after quire_page_init(). Equations (quire_page_check()): a zonelist has every zone with memory that
 * is allowed once, those of nearer nodes first, of one node the higher ones first.
 */
struct quire_node {
	/* By the highest zone allowed: the zones with memory in the order in which they are tried, this node's first. */
	struct quire_zone *zonelist[QUIRE_NR_ZONES][QUIRE_ZONELIST_LENGTH];
	uint8_t distance[QUIRE_NR_NODES]; /* to each node, as in ACPI's SLIT: 10 is here */
};

#define QUIRE_LOCAL_DISTANCE 10u
#define QUIRE_REMOTE_DISTANCE 20u /* where the host says nothing */

/* What Linux has in /proc/sys/vm, see Documentation/admin-guide/sysctl/vm.rst; set with quire_page_set_sysctl(). */
struct quire_page_sysctl {
	uint64_t min_free_kbytes;        /* KiB that the low zones together keep free; from their size at first */
	uint32_t watermark_scale_factor; /* from one mark to the next, ten-thousandths of the zone; 1..3000, at first 10 */
	uint32_t lowmem_reserve_ratio[QUIRE_NR_ZONES]; /* a zone keeps one page for so many above it; 0: none;
							* at first 256, 256, 32, 0 */
};

/* Counters behind meminfo and zoneinfo; pages; atomic, of the whole instance. */
enum quire_stat {
	QUIRE_STAT_ANON_MAPPED, /* AnonPages: anonymous pages mapped somewhere */
	QUIRE_STAT_FILE_MAPPED, /* Mapped: cache pages mapped somewhere */
	QUIRE_STAT_FILE_PAGES,  /* Cached (shared anonymous memory included) */
	QUIRE_STAT_SHMEM,       /* Shmem */
	QUIRE_STAT_FILE_DIRTY,  /* Dirty */
	QUIRE_STAT_WRITEBACK,
	QUIRE_STAT_SLAB_RECLAIMABLE,
	QUIRE_STAT_SLAB_UNRECLAIMABLE,
	QUIRE_STAT_PAGETABLE,   /* PageTables */
	QUIRE_STAT_MLOCK,       /* Mlocked: pages that a LOCKED area maps */
	QUIRE_STAT_PGALLOC,     /* events from here on: never decrease */
	QUIRE_STAT_PGFREE,
	QUIRE_STAT_PGFAULT,
	QUIRE_STAT_PGMAJFAULT,
	QUIRE_NR_STATS
};

/* Of one node; pages; from Linux's Documentation/admin-guide/numastat.rst. */
struct quire_numa_stat {
	uint64_t numa_hit;       /* wanted from this node and got from it */
	uint64_t numa_miss;      /* wanted from another node and got from this one */
	uint64_t numa_foreign;   /* wanted from this node and got from another one */
	uint64_t interleave_hit; /* wanted here by quire_page_alloc_interleave() and got here */
	uint64_t local_node;     /* got from this node by one of its CPUs */
	uint64_t other_node;     /* got from this node by a CPU of another one */
};

/* What is counted of it; the rest follows from the zones' allocated. */
enum quire_numa_event {
	QUIRE_NUMA_MISS,
	QUIRE_NUMA_FOREIGN,
	QUIRE_NUMA_INTERLEAVE,
	QUIRE_NUMA_OTHER,
	QUIRE_NR_NUMA_EVENTS
};

struct quire_stat_cpu {
	int64_t value[QUIRE_NR_STATS]; /* atomic; may be negative on one CPU, the sum is not */
	uint64_t numa[QUIRE_NR_NODES][QUIRE_NR_NUMA_EVENTS]; /* atomic; stay 0 on machines of one node */
} __attribute__((aligned(QUIRE_CACHELINE)));

/*
 * Temporary kmaps, which the room of kernel addresses provides: a pointer to a high page's bytes on this CPU. Called with
 * pages of QUIRE_ZONE_HIGHMEM only, in any context; contract and nesting as of quire_page_kmap().
 */
typedef void *(*quire_kmap_local_fn)(struct quire *q, struct quire_page *page);
typedef void (*quire_kunmap_local_fn)(struct quire *q, void *ptr);

/*
 * Frames are numbered from first_pfn and cut into sections of 1 << section_shift. Only sections
 * with memory have descriptors; these stand in one array, section after section, the last one cut off
 * behind the last frame. section_map[s] is 1 + the place of section s in that array, 0: none;
 * section_at[] is the way back. So both directions take two loads and no search.
 */
struct quire_pages {
	struct quire_zone zone[QUIRE_NR_NODES * QUIRE_NR_ZONES]; /* node after node; see quire_node_zone() */
	uint64_t total_pages;         /* managed pages of all zones */
	struct quire_page_sysctl sysctl; /* read it here */
	struct quire_page *zero_page; /* one frame of zeroes for everybody; RESERVED, never freed */
	uint32_t zones;               /* which exist: mask of 1 << QUIRE_ZONE_* */
	quire_kmap_local_fn kmap_local;     /* both NULL until the room of kernel addresses sets them, once, and */
	quire_kunmap_local_fn kunmap_local; /* before anybody allocates a high page to read or write it */
	/* all constant after quire_page_init() */
	quire_paddr_t high_memory;    /* where the direct map ends: above the last frame, or where HIGHMEM begins */
	quire_pfn_t zone_end[QUIRE_NR_ZONES]; /* zone z has the frames below this that no lower zone has */
	uint8_t gfp_zone[QUIRE_GFP_ZONEMASK + 1]; /* by zone bits: the highest zone; QUIRE_NR_ZONES for a mistake */
	uint32_t nr_nodes;
	struct quire_node *cpu_node[QUIRE_NR_CPUS]; /* of node */
	struct quire_node node[QUIRE_NR_NODES];
	uint32_t section_shift;
	uintptr_t direct;             /* pointer minus physical address, the same for every frame below high_memory */
	struct quire_page *map;       /* the descriptors */
	uint64_t nr_map;              /* their number */
	quire_pfn_t own_start, own_end; /* frames of descriptors, tables and zeroes: memory, though RESERVED */
	quire_pfn_t first_pfn;        /* a multiple of 1 << QUIRE_MAX_ORDER */
	uint64_t span_pages;          /* from first_pfn to the last frame of all */
	uint32_t *section_map, *section_at;
	uint64_t nr_sections;
	struct quire_fail fail;       /* quire_page_alloc(): see base.h */
	struct quire_stat_cpu stat[QUIRE_NR_CPUS];
};

struct quire_config;

/*
 * Set up from the host's memory map: config->map, nr_ranges, zones, high_memory, nr_nodes, node_distance, cpu_node;
 * nothing else of it is read. Ranges in any order; they may overlap, which is resolved towards RESERVED. Memory ends with
 * the last usable frame (Linux's max_pfn): what firmware reserves beyond, its flash below 4 GiB for instance, has no descriptors.
 * zones: which zones exist on this machine, a mask of 1 << QUIRE_ZONE_*; NORMAL must be in it.
 * high_memory: bytes, a multiple of the page size, not 0 exactly if HIGHMEM is in the mask: where the direct map ends.
 * What lies at or above is HIGHMEM; where nothing does, there is no high memory. A 32-bit Linux with three gigabytes for
 * users has QUIRE_HIGH_MEMORY_3G.
 * nr_nodes, node_distance, cpu_node: see struct quire_config. All descriptors lie on one node.
 * -EINVAL: an empty map, end < start, an unknown kind, an address beyond 2^52, no usable frame in the direct map, memory
 * below high_memory that is not linear (see quire_port_phys_to_virt()), a bad mask, a high_memory that does not go with
 * it, more frames from the first to the last than a machine word counts, more than QUIRE_NR_NODES nodes, a range or a CPU
 * on a node that is not, two nodes with one usable frame, a distance that ACPI's SLIT could not have (to the node itself
 * other than 10, to others 10 or less). -ENOMEM: the largest usable stretch below high_memory does not hold the descriptors
 * and tables, which are carved from its end. Either way quire_port_log() is told the reason. Frame 0 is never handed out:
 * where memory is mapped at its own address, a pointer to it would be NULL.
 * Called once, before any other function of this room, on one CPU; q->nr_cpus is set.
 */
int quire_page_init(struct quire *q, const struct quire_config *config);

/*
 * What quire_page_init() would make of the map, without touching the memory that it tells of: zones with their bounds,
 * sizes, watermarks and reserves, and zonelists, as they are when nothing is allocated but with no page free. q->nr_cpus is
 * set, the rest of q zeroed but for q->host; nothing but these fields may be used afterwards. For who wants to show a machine, or
 * to try a map before it is used. Errors as quire_page_init(), but whether the direct map is linear is not asked.
 */
int quire_page_survey(struct quire *q, const struct quire_config *config);

/* Linux's i386 with its gigabyte for the kernel: 128 MiB of addresses are kept for vmalloc, kmaps and fixmaps. */
#define QUIRE_HIGH_MEMORY_3G (UINT64_C(896) << 20)

/* ---- Allocation -------------------------------------------------------------------------- */

/*
 * 1 << order contiguous frames, naturally aligned; refs of the first is 1, that of the others 0; all: kind KERNEL,
 * owner NULL, index, maps and aux 0. NULL when there are none (watermarks, order > QUIRE_MAX_ORDER,
 * QUIRE_GFP_NOFAIL, more than one zone bit). This CPU's node comes first, and there the highest zone allowed.
 * QUIRE_GFP_ZERO with QUIRE_GFP_HIGHMEM is served from below high_memory while there are no kmaps.
 * With QUIRE_GFP_WAIT it may sleep: outside grace periods, interrupts on, no spin lock held. Without: any context.
 */
struct quire_page *quire_page_alloc(struct quire *q, quire_gfp_t gfp, unsigned order);

/* The same from that node first (QUIRE_GFP_THISNODE: alone). NULL too if there is no such node; debug builds report it. */
struct quire_page *quire_page_alloc_node(struct quire *q, unsigned node, quire_gfp_t gfp, unsigned order);

/* And what the policy MPOL_INTERLEAVE asks for, which counts as interleave_hit if the page is from there. */
struct quire_page *quire_page_alloc_interleave(struct quire *q, unsigned node, quire_gfp_t gfp, unsigned order);

/*
 * From the nodes of the mask alone (bit n: node n), the nearest to the given one first: what MPOL_BIND asks for. The
 * given node need not be in it. With QUIRE_GFP_THISNODE the mask is only that node, if it is in it.
 */
struct quire_page *quire_page_alloc_mask(struct quire *q, unsigned node, uint32_t nodes, quire_gfp_t gfp,
					 unsigned order);

/*
 * Give a block back: drop its owner's reference, the only one; page and order as quire_page_alloc() had them. But a
 * reader under a grace period who has just found out that this frame is no longer what it looked for may
 * still hold it (quire_page_tryget()): then its quire_page_put() frees the block. A block that is free
 * already is reported and left alone; debug builds report pages that are still mapped or locked.
 */
void quire_page_free(struct quire *q, struct quire_page *page, unsigned order);

/*
 * The block's owner makes single pages of it (Linux: split_page()): each has a reference and comes back by itself. Page and order
 * as quire_page_alloc() had them. Any context.
 */
void quire_page_split(struct quire *q, struct quire_page *page, unsigned order);

/* One more user of an allocated page. */
static inline void quire_page_get(struct quire_page *page)
{
	(void)quire_fetch_add(&page->refs, 1u);
}

/* One user fewer; the last one frees the block. True if it was the last. */
bool quire_page_put(struct quire *q, struct quire_page *page);

/*
 * A reference, unless the count is 0 already (the page is being freed). For readers under a grace
 * period who found the page in a table or a cache.
 */
bool quire_page_tryget(struct quire_page *page);

/* Pages on per-CPU lists go back to the zones: before counting, before giving up. */
void quire_page_drain(struct quire *q);

/* ---- Descriptors ------------------------------------------------------------------------- */

/* The descriptor of a frame; NULL where the memory map has none. */
struct quire_page *quire_pfn_to_page(struct quire *q, quire_pfn_t pfn);
quire_pfn_t quire_page_to_pfn(struct quire *q, const struct quire_page *page);

/* Is it out of the direct map's reach? */
static inline bool quire_page_is_high(const struct quire_page *page)
{
	/* That much of the word never changes. */
	return (quire_peek(&page->flags) & QUIRE_PG_ZONE_MASK) ==
	       (uint32_t)QUIRE_ZONE_HIGHMEM << QUIRE_PG_ZONE_SHIFT;
}

/*
 * By pointer, for pages that are always mapped: to the page's first byte, and from any byte of it. Not for high
 * pages: debug builds report one. What is no pointer into the direct map (a kmap's, say) has no page: NULL.
 */
void *quire_page_to_virt(struct quire *q, const struct quire_page *page);
struct quire_page *quire_virt_to_page(struct quire *q, const void *ptr);

static inline unsigned quire_page_order(const struct quire_page *head)
{
	return (quire_load(&head->flags) & QUIRE_PG_ORDER_MASK) >> QUIRE_PG_ORDER_SHIFT;
}

static inline enum quire_zone_id quire_page_zone(const struct quire_page *page)
{
	return (enum quire_zone_id)((quire_load(&page->flags) & QUIRE_PG_ZONE_MASK) >> QUIRE_PG_ZONE_SHIFT);
}

static inline unsigned quire_page_node(const struct quire_page *page)
{
	return (quire_peek(&page->flags) & QUIRE_PG_NODE_MASK) >> QUIRE_PG_NODE_SHIFT;
}

static inline enum quire_page_kind quire_page_kind(const struct quire_page *page)
{
	return (enum quire_page_kind)(quire_load(&page->flags) & QUIRE_PG_KIND_MASK);
}

/* Only by whoever has the sole reference. */
static inline void quire_page_set_kind(struct quire_page *page, enum quire_page_kind kind)
{
	quire_store(&page->flags, (quire_load(&page->flags) & ~QUIRE_PG_KIND_MASK) | (uint32_t)kind);
}

static inline bool quire_page_test(const struct quire_page *page, uint32_t flag)
{
	return (quire_load(&page->flags) & flag) != 0;
}

static inline void quire_page_set(struct quire_page *page, uint32_t flag)
{
	(void)quire_fetch_or(&page->flags, flag);
}

/* True if the flag was set before. */
static inline bool quire_page_test_clear(struct quire_page *page, uint32_t flag)
{
	return (quire_fetch_and(&page->flags, ~flag) & flag) != 0;
}

/* The page lock: sleeps. Taken before any leaf-table lock. */
void quire_page_lock(struct quire *q, struct quire_page *page);
bool quire_page_trylock(struct quire_page *page);
void quire_page_unlock(struct quire *q, struct quire_page *page);

/*
 * A pointer to the frame's bytes on this CPU, until quire_page_kunmap(); at most two at a time, released in
 * reverse order, no sleep in between. Of a high page a temporary kmap, of others the direct map. Cannot fail once
 * kmap_local is set; before that a high page is reported and the answer is NULL.
 */
void *quire_page_kmap(struct quire *q, struct quire_page *page);
void quire_page_kunmap(struct quire *q, void *ptr);

/* The parts of the two that go through kmap_local, for inline.h: call the two above instead. */
void *quire_page_kmap_high(struct quire *q, struct quire_page *page);
void quire_page_kunmap_high(struct quire *q, void *ptr);

void quire_page_zero(struct quire *q, struct quire_page *page);
void quire_page_copy(struct quire *q, struct quire_page *to, struct quire_page *from);

/* ---- Counters and checks ----------------------------------------------------------------- */

void quire_stat_add(struct quire *q, enum quire_stat stat, int64_t pages);
uint64_t quire_stat_read(struct quire *q, enum quire_stat stat);

/* Free frames, per-CPU lists included. */
uint64_t quire_free_pages(struct quire *q);

/* ---- Nodes and tuning -------------------------------------------------------------------- */

/* A node's zone; node < nr_nodes. */
struct quire_zone *quire_node_zone(struct quire *q, unsigned node, enum quire_zone_id z);

/* The node of a CPU. */
unsigned quire_cpu_node(struct quire *q, unsigned cpu);

/* The figure of ACPI's SLIT, 10 for the node itself; both below nr_nodes. */
unsigned quire_node_distance(struct quire *q, unsigned from, unsigned to);

void quire_numa_stat(struct quire *q, unsigned node, struct quire_numa_stat *stat);

/*
 * New figures for watermarks and reserves, in force when it returns. -EINVAL, and nothing has changed: a
 * watermark_scale_factor of 0 or above 3000, a min_free_kbytes of more than 32 bits. One caller at a time; any context.
 */
int quire_page_set_sysctl(struct quire *q, const struct quire_page_sysctl *sysctl);

/* Walks every zone and every descriptor, with all zones locked. Not for interrupt context. */
quire_broken_t quire_page_check(struct quire *q);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * vm_map_ram: pages mapped for a moment, and often. Called by hosts' I/O paths. Each CPU has a block, an area whose
 * addresses it deals out from the front; what comes back is not dealt out again, so nothing of it needs a flush. A block all
 * of which has come back goes, as a whole, to the areas that wait for one:
 *
 *	      dealt out                      free
 *	|d|d|-mapped-|d|--mapped--|d|d|                  |       d: dirty, unmapped again, perhaps in a TLB
 *	                              `- the next from here
 *
 * So mapping takes this CPU's lock, the block's and that of the leaf table, none of which others want often, and the
 * shared ones once in block_pages pages. A block is found by a hash of its address, read under a grace
 * period. A request that does not fit in what is left (64 pages at most) leaves that unused.
 */
#include <base/string.h>

#include "area.h"

/*
 * Equations: see quire_vmalloc. free, dirty, the range and starts under lock: irq, taken after quire_vmalloc.lock.
 */
struct quire_vmap_block {
	struct quire_vm_struct *area;
	quire_kaddr_t addr;
	struct quire_spinlock lock;
	uint32_t free;		      /* pages at the end, never dealt out */
	uint32_t dirty;		      /* pages that have come back, or will never go out */
	uint32_t dirty_min, dirty_max; /* what the next flush must name, in pages; empty if min >= max */
	struct quire_vmap_block *next; /* of one hash; under quire_vmalloc.lock */
	struct quire_deferred deferred;
	uint32_t starts[]; /* a bit a page: here begins what a call was given and has not given back */
};

#define BITS 32u

static bool is_start(const struct quire_vmap_block *b, uint32_t page)
{
	return b->starts[page / BITS] >> page % BITS & 1;
}

static uint64_t block_bytes(struct quire *q)
{
	return (uint64_t)vmalloc_of(q)->block_pages << QUIRE_PAGE_SHIFT;
}

/* Blocks are aligned to their size, so that any address in one has its number. */
static struct quire_vmap_block **bucket(struct quire *q, quire_kaddr_t addr)
{
	return &vmalloc_of(q)->block[addr / block_bytes(q) % QUIRE_VMAP_HASH];
}

static struct quire_vmap_block *find_block(struct quire *q, quire_kaddr_t addr)
{
	quire_kaddr_t base = addr & ~(block_bytes(q) - 1);
	struct quire_vmap_block *b;

	quire_grace_enter(q);
	for (b = quire_load_acquire(bucket(q, addr)); b; b = quire_load_acquire(&b->next)) {
		if (b->addr == base)
			break;
	}
	quire_grace_leave(q);
	/* It stays for as long as the caller has pages mapped in it. */
	return b;
}

/* ---- Blocks come and go ------------------------------------------------------------------ */

static struct quire_vmap_block *new_block(struct quire *q)
{
	const uint32_t pages = vmalloc_of(q)->block_pages;
	struct quire_vmap_block *b = quire_kmalloc(q, sizeof(*b) + pages / 8, QUIRE_GFP_KERNEL);
	unsigned long flags;

	if (!b)
		return NULL;
	*b = (struct quire_vmap_block){
		.lock = QUIRE_SPINLOCK_INIT, .free = pages, .dirty_min = pages};
	memset(b->starts, 0, pages / 8);
	b->area = quire_area_take(q, block_bytes(q), block_bytes(q),
				  QUIRE_VM_MAP_RAM | QUIRE_VM_MAP_BLOCK | QUIRE_VM_NO_GUARD, NULL);
	if (!b->area) {
		quire_kfree(q, b);
		return NULL;
	}
	b->area->block = b;
	b->addr = b->area->addr;
	flags = quire_spin_lock_irq(q, &vmalloc_of(q)->lock);
	b->next = *bucket(q, b->addr);
	quire_store_release(bucket(q, b->addr), b);
	quire_spin_unlock_irq(q, &vmalloc_of(q)->lock, flags);
	return b;
}

/* Under quire_vmalloc.lock: nobody finds the block any more, and its area is as one that was freed. */
static struct quire_vm_struct *unlink_block(struct quire *q, struct quire_vmap_block *b)
{
	struct quire_vmap_block **link = bucket(q, b->addr);
	struct quire_vm_struct *area = b->area;

	while (*link != b)
		link = &(*link)->next;
	quire_store_release(link, b->next);
	area->flags |= QUIRE_VM_UNPURGED;
	area->freed = NULL;
	vmalloc_of(q)->nr_areas--;
	count_lazy(vmalloc_of(q), area);
	return area;
}

/* All of it has come back, and no CPU deals from it. */
static void drop_block(struct quire *q, struct quire_vmap_block *b)
{
	unsigned long flags = quire_spin_lock_irq(q, &vmalloc_of(q)->lock);
	struct quire_vm_struct *area = unlink_block(q, b);

	quire_spin_unlock_irq(q, &vmalloc_of(q)->lock, flags);
	quire_cache_free_deferred(q, &b->deferred);
	quire_area_retire(q, area, true);
}

/* ---- Dealing ----------------------------------------------------------------------------- */

/*
 * nr pages from the front of what is free, *left stay so. False: they do not fit, and the rest counts as dirty; then *done says
 * whether that was all that was missing.
 */
static bool deal(struct quire *q, struct quire_vmap_block *b, uint32_t nr, quire_kaddr_t *addr,
		 uint32_t *left, bool *done)
{
	const uint32_t pages = vmalloc_of(q)->block_pages;
	unsigned long flags = quire_spin_lock_irq(q, &b->lock);
	bool fits = b->free >= nr;

	if (fits) {
		const uint32_t first = pages - b->free;

		*addr = b->addr + ((uint64_t)first << QUIRE_PAGE_SHIFT);
		b->starts[first / BITS] |= 1u << first % BITS;
		b->free -= nr;
	} else {
		b->dirty += b->free;
		b->free = 0;
		*done = b->dirty == pages;
	}
	*left = b->free;
	quire_spin_unlock_irq(q, &b->lock, flags);
	return fits;
}

/* From this CPU's block. False: it has none, or had one with too little left. */
static bool deal_from_queue(struct quire *q, uint32_t nr, quire_kaddr_t *addr)
{
	struct quire_vmap_queue *queue = &vmalloc_of(q)->queue[quire_port_cpu(q)];
	struct quire_vmap_block *b;
	bool fits = false, done = false;
	uint32_t left;

	/* If the thread moves to another CPU here, it uses this one's block. */
	quire_spin_lock(q, &queue->lock);
	b = queue->current;
	if (b) {
		fits = deal(q, b, nr, addr, &left, &done);
		/* Who has the last page of it back may drop it from then on. */
		if (!left)
			queue->current = NULL;
	}
	quire_spin_unlock(q, &queue->lock);
	if (done)
		drop_block(q, b);
	return fits;
}

/* This CPU's from now on; what it had, if somebody was faster, will be used up to here. */
static void install(struct quire *q, struct quire_vmap_block *b)
{
	struct quire_vmap_queue *queue = &vmalloc_of(q)->queue[quire_port_cpu(q)];
	struct quire_vmap_block *old;
	quire_kaddr_t none;
	bool done = false;
	uint32_t left;

	quire_spin_lock(q, &queue->lock);
	old = queue->current;
	queue->current = b;
	if (old)
		(void)deal(q, old, UINT32_MAX, &none, &left, &done);
	quire_spin_unlock(q, &queue->lock);
	if (done)
		drop_block(q, old);
}

/* nr pages at addr, unmapped, are dirty. */
static void take_back(struct quire *q, struct quire_vmap_block *b, quire_kaddr_t addr, uint32_t nr)
{
	uint32_t first = (uint32_t)((addr - b->addr) >> QUIRE_PAGE_SHIFT);
	unsigned long flags = quire_spin_lock_irq(q, &b->lock);
	bool done;

	b->starts[first / BITS] &= ~(1u << first % BITS);
	b->dirty += nr;
	if (first < b->dirty_min)
		b->dirty_min = first;
	if (first + nr > b->dirty_max)
		b->dirty_max = first + nr;
	done = b->dirty == vmalloc_of(q)->block_pages;
	quire_spin_unlock_irq(q, &b->lock, flags);
	if (done)
		drop_block(q, b);
}

void *quire_vm_map_ram(struct quire *q, struct quire_page **pages, uint64_t nr)
{
	const struct area_frames frames = {.pages = pages};
	struct quire_vmap_block *b;
	quire_kaddr_t addr = 0;
	uint32_t left;
	bool done;

	if (!q->kva.layout.page_offset || !nr)
		return NULL;
	if (nr > QUIRE_VMAP_MAX_ALLOC)
		return quire_vm_map_large(q, pages, nr, __builtin_return_address(0));
	if (!deal_from_queue(q, (uint32_t)nr, &addr)) {
		b = new_block(q);
		if (!b)
			return NULL;
		(void)deal(q, b, (uint32_t)nr, &addr, &left, &done);
		install(q, b);
	}
	if (!quire_area_map(q, addr, &frames, nr, QUIRE_PTE_READ | QUIRE_PTE_WRITE, QUIRE_CACHE_WB,
			    0))
		return quire_kaddr_to_ptr(q, addr);
	(void)quire_area_unmap(q, addr, addr + (nr << QUIRE_PAGE_SHIFT), QUIRE_CURSOR_LAZY);
	take_back(q, find_block(q, addr), addr, (uint32_t)nr);
	return NULL;
}

/*
 * Is [addr, end), in the block, what one call was given? No page is dealt out twice, and what comes back is unmapped before its
 * beginning is forgotten. So what lies behind it, is dealt out, mapped and no beginning is more of the same; but not what is
 * dealt out and mapped only after we have looked for beginnings.
 */
static bool was_given(struct quire *q, struct quire_vmap_block *b, quire_kaddr_t addr,
		      quire_kaddr_t end)
{
	const uint32_t first = (uint32_t)((addr - b->addr) >> QUIRE_PAGE_SHIFT);
	const uint32_t last = (uint32_t)((end - b->addr) >> QUIRE_PAGE_SHIFT);
	unsigned long flags = quire_spin_lock_irq(q, &b->lock);
	bool given = is_start(b, first), ends;
	uint32_t i;

	for (i = first + 1; i < last; i++)
		given &= !is_start(b, i);
	ends = last >= vmalloc_of(q)->block_pages - b->free || is_start(b, last);
	quire_spin_unlock_irq(q, &b->lock, flags);
	return given && quire_area_is_all_mapped(q, addr, end) &&
	       (ends || !quire_area_is_mapped(q, end, end + QUIRE_PAGE_SIZE));
}

void quire_vm_unmap_ram(struct quire *q, const void *mem, uint64_t nr)
{
	quire_kaddr_t addr = quire_ptr_to_kaddr(q, mem), end = addr + (nr << QUIRE_PAGE_SHIFT);
	struct quire_vmap_block *b;

	if (!quire_is_vmalloc_addr(q, mem) || (addr & ~QUIRE_PAGE_MASK) || !nr) {
		quire_report(q, "vmalloc: vm_unmap_ram() of what vm_map_ram() cannot have given", addr);
		return;
	}
	if (nr > QUIRE_VMAP_MAX_ALLOC) {
		quire_vm_unmap_large(q, addr, nr);
		return;
	}
	b = find_block(q, addr);
	if (!b || end > b->addr + block_bytes(q) || !was_given(q, b, addr, end)) {
		quire_report(q, "vmalloc: vm_unmap_ram() of what vm_map_ram() has not given", addr);
		return;
	}
	(void)quire_area_unmap(q, addr, end, QUIRE_CURSOR_LAZY);
	take_back(q, b, addr, (uint32_t)nr);
}

/* ---- The flush --------------------------------------------------------------------------- */

/* Blocks that nobody has anything mapped in are no CPU's any more: to be dropped. */
static void retire_idle(struct quire *q, struct quire_vm_struct **list)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	unsigned cpu;

	for (cpu = 0; cpu < q->nr_cpus; cpu++) {
		struct quire_vmap_queue *queue = &v->queue[cpu];
		struct quire_vmap_block *b;
		struct quire_vm_struct *area;
		unsigned long flags;
		bool idle = false;

		quire_spin_lock(q, &queue->lock);
		b = queue->current;
		if (b) {
			flags = quire_spin_lock_irq(q, &b->lock);
			idle = b->free + b->dirty == v->block_pages;
			if (idle) {
				b->dirty += b->free;
				b->free = 0;
				queue->current = NULL;
			}
			quire_spin_unlock_irq(q, &b->lock, flags);
		}
		quire_spin_unlock(q, &queue->lock);
		if (!idle)
			continue;
		flags = quire_spin_lock_irq(q, &v->lock);
		area = unlink_block(q, b);
		quire_spin_unlock_irq(q, &v->lock, flags);
		quire_cache_free_deferred(q, &b->deferred);
		area->next = *list;
		*list = area;
	}
}

void quire_vmap_blocks_collect(struct quire *q, bool all, quire_kaddr_t *start, quire_kaddr_t *end,
			       struct quire_vm_struct **list)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	struct quire_vm_struct *had = *list, *area;
	struct quire_vmap_block *b;
	unsigned long flags;
	unsigned i;

	if (all)
		retire_idle(q, list);
	for (area = *list; area != had; area = area->next) {
		*start = area->addr < *start ? area->addr : *start;
		*end = area_end(area) > *end ? area_end(area) : *end;
	}
	flags = quire_spin_lock_irq(q, &v->lock);
	for (i = 0; i < QUIRE_VMAP_HASH; i++) {
		for (b = v->block[i]; b; b = b->next) {
			quire_kaddr_t from, to;

			quire_spin_lock_raw(q, &b->lock);
			from = b->addr + ((uint64_t)b->dirty_min << QUIRE_PAGE_SHIFT);
			to = b->addr + ((uint64_t)b->dirty_max << QUIRE_PAGE_SHIFT);
			b->dirty_min = v->block_pages;
			b->dirty_max = 0;
			quire_spin_unlock_raw(q, &b->lock);
			if (from < to) {
				*start = from < *start ? from : *start;
				*end = to > *end ? to : *end;
			}
		}
	}
	quire_spin_unlock_irq(q, &v->lock, flags);
}

/* ---- Check ------------------------------------------------------------------------------- */

static quire_broken_t check_block(struct quire *q, const struct quire_vmap_block *b)
{
	const uint32_t pages = vmalloc_of(q)->block_pages;
	uint32_t mapped = 0, i;

	if (b->area->block != b || b->area->addr != b->addr ||
	    (b->area->flags & (QUIRE_VM_MAP_BLOCK | QUIRE_VM_UNPURGED)) != QUIRE_VM_MAP_BLOCK)
		return "vmalloc: a block has an area that lives";
	if (b->free + b->dirty > pages)
		return "vmalloc: a block's free and dirty pages are no more than it has";
	for (i = 0; i < pages; i++) {
		quire_kaddr_t addr = b->addr + ((uint64_t)i << QUIRE_PAGE_SHIFT);
		bool is = quire_area_is_mapped(q, addr, addr + QUIRE_PAGE_SIZE);

		if (is && i >= pages - b->free)
			return "vmalloc: what a block has never dealt out maps nothing";
		mapped += is;
	}
	if (mapped != pages - b->free - b->dirty)
		return "vmalloc: what a block has dealt out and not got back is mapped";
	return NULL;
}

quire_broken_t quire_vmap_blocks_check(struct quire *q)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	const struct quire_vmap_block *b;
	quire_broken_t broken;
	unsigned i;

	for (i = 0; i < QUIRE_VMAP_HASH; i++) {
		for (b = v->block[i]; b; b = b->next) {
			if (bucket(q, b->addr) != &v->block[i])
				return "vmalloc: a block is in its address's bucket";
			broken = check_block(q, b);
			if (broken)
				return broken;
		}
	}
	for (i = 0; i < q->nr_cpus; i++) {
		if (v->queue[i].current && v->queue[i].current->dirty == v->block_pages)
			return "vmalloc: no CPU deals from a block that is used up";
	}
	return NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * vmalloc's areas from their first day to their last: taken, looked up, detached by whoever frees them, unmapped, and, when
 * the flush that this owes has been made, forgotten. Called by the other files of src/kva/ and by hosts
 * that fill areas themselves.
 *
 *	taken -> the owner's -> detached (UNPURGED) -> unmapped -> lazy -> flushed -> gone
 *	                             `- set aside (in interrupts) -'
 *
 * An area stays in the index until the flush, so its addresses are nobody else's for as long as a TLB may have them; the
 * search for a hole passes over it as over any other, in O(log n). Many areas are flushed at once: the flush
 * is one range that covers them all, made with no lock held but purge_lock, since it waits for other CPUs.
 */
#include "area.h"

/* Areas taken out of the index with interrupts off in one go. */
#define ERASE_BATCH 32u

/*
 * A flush for so many of them costs each next to nothing. More would only be more memory to go through again, which no
 * cache near the processor holds.
 */
#define MOST_LAZY_AREAS 512u

/* ---- Taking ------------------------------------------------------------------------------ */

static bool place(struct quire *q, struct quire_vm_struct *area, uint64_t align)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	struct quire_vmalloc *v = vmalloc_of(q);
	unsigned long flags = quire_spin_lock_irq(q, &v->lock);
	struct quire_vm_struct *behind;
	bool found = quire_area_first_fit(v->root, l->vmalloc_start, l->vmalloc_end, area->size,
					  align, &area->addr, &behind);

	if (found) {
		quire_area_insert(&v->root, area, behind, l->vmalloc_start);
		v->nr_areas++;
	}
	quire_spin_unlock_irq(q, &v->lock, flags);
	return found;
}

struct quire_vm_struct *quire_area_take(struct quire *q, uint64_t size, uint64_t align,
					uint32_t flags, const void *caller)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	struct quire_vm_struct *area;

	if (!l->page_offset || !size || size > l->vmalloc_end - l->vmalloc_start ||
	    (align & (align - 1)) != 0)
		return NULL;
	quire_area_drain(q);
	area = quire_cache_alloc(q, &vmalloc_of(q)->cache, QUIRE_GFP_KERNEL);
	if (!area)
		return NULL;
	*area = (struct quire_vm_struct){
		.size = quire_page_up(size) + (flags & QUIRE_VM_NO_GUARD ? 0 : QUIRE_PAGE_SIZE),
		.flags = flags,
		.caller = caller,
	};
	if (align < QUIRE_PAGE_SIZE)
		align = QUIRE_PAGE_SIZE;
	if (place(q, area, align))
		return area;
	quire_area_purge(q, true);
	if (place(q, area, align))
		return area;
	quire_cache_free(q, &vmalloc_of(q)->cache, area);
	return NULL;
}

struct quire_vm_struct *quire_get_vm_area_caller(struct quire *q, uint64_t size, uint64_t align,
						 uint32_t flags, const void *caller)
{
	const uint32_t allowed = QUIRE_VM_IOREMAP | QUIRE_VM_MAP | QUIRE_VM_USERMAP |
				 QUIRE_VM_NO_GUARD;

	return flags & ~allowed ? NULL : quire_area_take(q, size, align, flags, caller);
}

struct quire_vm_struct *quire_get_vm_area(struct quire *q, uint64_t size, uint32_t flags)
{
	return quire_get_vm_area_caller(q, size, 0, flags, __builtin_return_address(0));
}

struct quire_vm_struct *quire_alloc_vm_area(struct quire *q, uint64_t size)
{
	struct quire_vm_struct *area =
		quire_area_take(q, size, 0, QUIRE_VM_IOREMAP, __builtin_return_address(0));
	struct quire_pgtable *pt = &q->kva.pt;
	struct quire_cursor c;
	quire_kaddr_t addr, end;
	int err = 0;

	if (!area)
		return NULL;
	addr = area->addr;
	end = addr + quire_vm_area_size(area);
	quire_cursor_open(&c, pt, addr, end, QUIRE_CURSOR_LAZY);
	while (addr < end && !err) {
		if (!quire_cursor_seek(&c, addr)) {
			err = quire_tables_populate(pt, addr, end);
			continue;
		}
		for (; addr < c.leaf_end; addr += QUIRE_PAGE_SIZE)
			quire_cursor_set(&c, addr, quire_pte_soft(pt->fmt, QUIRE_PTE_GUARD, 0));
	}
	quire_cursor_close(&c);
	if (!err)
		return area;
	(void)quire_area_unmap(q, area->addr, addr, QUIRE_CURSOR_LAZY);
	quire_area_discard(q, area);
	return NULL;
}

/* ---- Looking ----------------------------------------------------------------------------- */

struct quire_vm_struct *quire_find_vm_area(struct quire *q, quire_kaddr_t addr)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	unsigned long flags = quire_spin_lock_irq(q, &v->lock);
	struct quire_vm_struct *area = quire_area_find(v->root, addr);

	if (area && (area->addr > addr || (area->flags & QUIRE_VM_UNPURGED)))
		area = NULL;
	quire_spin_unlock_irq(q, &v->lock, flags);
	return area;
}

/* What is whole stays as it is until it is detached, under the lock. Who has a part of the rest writes to it without. */
static void copy_area(const struct quire_vm_struct *area, struct quire_vm_struct *copy)
{
	const uint32_t others = QUIRE_VM_UNINITIALIZED | QUIRE_VM_UNPURGED | QUIRE_VM_MAP_RAM;

	*copy = (struct quire_vm_struct){
		.addr = area->addr, .size = area->size, .flags = area->flags};
	if (area->flags & others)
		return;
	copy->page_order = area->page_order;
	copy->pages = area->pages;
	copy->nr_pages = area->nr_pages;
	copy->phys_addr = area->phys_addr;
	copy->caller = area->caller;
}

bool quire_next_vm_area(struct quire *q, quire_kaddr_t addr, struct quire_vm_struct *copy)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	unsigned long flags = quire_spin_lock_irq(q, &v->lock);
	struct quire_vm_struct *area = quire_area_find(v->root, addr);

	if (area)
		copy_area(area, copy);
	quire_spin_unlock_irq(q, &v->lock, flags);
	return area != NULL;
}

/* ---- Detaching --------------------------------------------------------------------------- */

/* Under the lock. What is wrong with freeing what begins at addr; NULL with *area: nothing. */
static const char *find_to_free(struct quire_vmalloc *v, quire_kaddr_t addr, uint32_t any,
				uint32_t none, struct quire_vm_struct **area)
{
	*area = quire_area_find(v->root, addr);
	if (!*area || (*area)->addr > addr)
		return "vmalloc: freed where there is no area";
	if ((*area)->flags & QUIRE_VM_UNPURGED)
		return "vmalloc: freed twice";
	if ((*area)->addr != addr)
		return "vmalloc: freed inside an area";
	if ((any && !((*area)->flags & any)) ||
	    ((*area)->flags & (none | QUIRE_VM_MAP_BLOCK | QUIRE_VM_UNINITIALIZED)))
		return "vmalloc: freed by what does not go with how it was made";
	return NULL;
}

/* Claim the area. set_aside: put it on that list, too. */
static struct quire_vm_struct *claim(struct quire *q, quire_kaddr_t addr, uint32_t any,
				     uint32_t none, bool set_aside, const char **wrong)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	unsigned long flags = quire_spin_lock_irq(q, &v->lock);
	struct quire_vm_struct *area;

	*wrong = find_to_free(v, addr, any, none, &area);
	if (!*wrong) {
		area->flags |= QUIRE_VM_UNPURGED;
		v->nr_areas--;
		count_lazy(v, area);
		if (set_aside) {
			area->next = v->set_aside;
			quire_store(&v->set_aside, area);
		}
	}
	quire_spin_unlock_irq(q, &v->lock, flags);
	return *wrong ? NULL : area;
}

struct quire_vm_struct *quire_area_detach(struct quire *q, quire_kaddr_t addr, uint32_t any,
					  uint32_t none)
{
	const char *wrong;
	struct quire_vm_struct *area = claim(q, addr, any, none, false, &wrong);

	if (!area)
		quire_report(q, wrong, addr);
	return area;
}

void quire_area_set_aside(struct quire *q, quire_kaddr_t addr, uint32_t any)
{
	const char *wrong;

	if (!claim(q, addr, any, 0, true, &wrong))
		quire_report(q, wrong, addr);
}

void quire_area_drain(struct quire *q)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	struct quire_vm_struct *area, *next;
	unsigned long flags;

	if (quire_likely(!quire_load(&v->set_aside)))
		return;
	flags = quire_spin_lock_irq(q, &v->lock);
	area = v->set_aside;
	quire_store(&v->set_aside, NULL);
	quire_spin_unlock_irq(q, &v->lock, flags);
	for (; area; area = next) {
		next = area->next;
		quire_area_free(q, area);
	}
}

/* ---- Retiring ---------------------------------------------------------------------------- */

/* Out of the index, and nobody's: its pages, which no TLB has any more, and the descriptor. */
static void give_back(struct quire *q, struct quire_vm_struct *area)
{
	struct quire_list *pos = area->freed, *next;

	for (; pos; pos = next) {
		struct quire_page *page = quire_list_entry(pos, struct quire_page, lru);

		next = pos->next;
		quire_list_init(pos);
		(void)quire_page_put(q, page);
	}
	quire_cache_free(q, &vmalloc_of(q)->cache, area);
}

/* Up to ERASE_BATCH areas of the list out of the index; returns the rest of the list. */
static struct quire_vm_struct *erase_some(struct quire *q, struct quire_vm_struct *list)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	unsigned long flags = quire_spin_lock_irq(q, &v->lock);
	unsigned n;

	for (n = 0; list && n < ERASE_BATCH; n++) {
		uncount_lazy(v, list);
		quire_area_erase(&v->root, list);
		list = list->next;
	}
	quire_spin_unlock_irq(q, &v->lock, flags);
	return list;
}

static void give_back_list(struct quire *q, struct quire_vm_struct *list)
{
	struct quire_vm_struct *rest, *next;

	while (list) {
		rest = erase_some(q, list);
		for (; list != rest; list = next) {
			next = list->next;
			give_back(q, list);
		}
	}
}

static void purge_locked(struct quire *q, bool all)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	quire_kaddr_t start = UINT64_MAX, end = 0;
	struct quire_vm_struct *list, *area;
	unsigned long flags;

	quire_mutex_assert(q, &v->purge_lock);
	flags = quire_spin_lock_irq(q, &v->lock);
	list = v->lazy;
	v->lazy = NULL;
	v->nr_lazy = 0;
	quire_spin_unlock_irq(q, &v->lock, flags);
	for (area = list; area; area = area->next) {
		if (area->addr < start)
			start = area->addr;
		if (area_end(area) > end)
			end = area_end(area);
	}
	quire_vmap_blocks_collect(q, all, &start, &end, &list);
	if (start < end) {
		quire_pgtable_flush(&q->kva.pt, start, end);
		quire_add_relaxed(&v->purges, 1u);
	}
	give_back_list(q, list);
}

void quire_area_purge(struct quire *q, bool all)
{
	struct quire_vmalloc *v = vmalloc_of(q);

	quire_mutex_lock(q, &v->purge_lock);
	purge_locked(q, all);
	quire_mutex_unlock(q, &v->purge_lock);
}

void quire_area_retire(struct quire *q, struct quire_vm_struct *area, bool lazy)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	unsigned long flags;
	bool enough;

	area->next = NULL;
	if (!lazy) {
		give_back_list(q, area);
		return;
	}
	flags = quire_spin_lock_irq(q, &v->lock);
	area->next = v->lazy;
	v->lazy = area;
	v->nr_lazy++;
	enough = v->nr_lazy_pages > v->lazy_max_pages || v->nr_lazy > v->lazy_max_areas;
	quire_spin_unlock_irq(q, &v->lock, flags);
	/* Whoever has the lock is at it. */
	if (enough && quire_mutex_trylock(q, &v->purge_lock)) {
		purge_locked(q, false);
		quire_mutex_unlock(q, &v->purge_lock);
	}
}

void quire_area_discard(struct quire *q, struct quire_vm_struct *area)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	unsigned long flags = quire_spin_lock_irq(q, &v->lock);

	quire_area_erase(&v->root, area);
	v->nr_areas--;
	quire_spin_unlock_irq(q, &v->lock, flags);
	quire_cache_free(q, &v->cache, area);
}

void quire_area_mark_whole(struct quire *q, struct quire_vm_struct *area)
{
	unsigned long flags = quire_spin_lock_irq(q, &vmalloc_of(q)->lock);

	area->flags &= ~QUIRE_VM_UNINITIALIZED;
	quire_spin_unlock_irq(q, &vmalloc_of(q)->lock, flags);
}

struct quire_vm_struct *quire_remove_vm_area(struct quire *q, quire_kaddr_t addr)
{
	struct quire_vmalloc *v = vmalloc_of(q);
	struct quire_vm_struct *area;
	unsigned long flags;
	const char *wrong;

	quire_area_drain(q);
	area = claim(q, addr, 0, QUIRE_VM_MAP_RAM, false, &wrong);
	if (!area)
		return NULL;
	(void)quire_area_unmap(q, area->addr, area_end(area), 0);
	flags = quire_spin_lock_irq(q, &v->lock);
	uncount_lazy(v, area);
	quire_area_erase(&v->root, area);
	area->flags = (area->flags & ~QUIRE_VM_UNPURGED) | QUIRE_VM_REMOVED;
	quire_spin_unlock_irq(q, &v->lock, flags);
	return area;
}

void quire_free_vm_area(struct quire *q, struct quire_vm_struct *area)
{
	if (!(area->flags & QUIRE_VM_REMOVED) && quire_remove_vm_area(q, area->addr) != area) {
		quire_report(q, "vmalloc: not an area of the index", area->addr);
		return;
	}
	quire_cache_free(q, &vmalloc_of(q)->cache, area);
}

/* ---- The whole --------------------------------------------------------------------------- */

void quire_vmalloc_poll(struct quire *q)
{
	struct quire_vmalloc *v = vmalloc_of(q);

	quire_area_drain(q);
	if (quire_load(&v->nr_lazy_pages) != 0)
		quire_area_purge(q, false);
}

void quire_vm_unmap_aliases(struct quire *q)
{
	quire_area_drain(q);
	quire_area_purge(q, true);
}

int quire_vmalloc_init(struct quire *q)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	struct quire_vmalloc *v = vmalloc_of(q);
	uint64_t span = (l->vmalloc_end - l->vmalloc_start) >> QUIRE_PAGE_SHIFT, block;

	if (!l->page_offset)
		return 0;
	/* Linux's figures: VMAP_BBMAP_BITS and lazy_max_pages(). */
	block = (span >> quire_order_up(q->nr_cpus)) / 16;
	v->block_pages = block < 128 ? 128 : block > 1024 ? 1024 : 1u << quire_fls64(block);
	v->lazy_max_pages =
		(quire_fls64(q->nr_cpus) + 1u) * (UINT64_C(32) << (20 - QUIRE_PAGE_SHIFT));
	if (v->lazy_max_pages > q->pages.total_pages / 16)
		v->lazy_max_pages = q->pages.total_pages / 16;
	v->lazy_max_areas = MOST_LAZY_AREAS;
	v->huge = true;
	return quire_cache_create(q, &v->cache, "vmap_area", sizeof(struct quire_vm_struct), 0, 0,
				  NULL);
}

quire_broken_t quire_vmalloc_exit(struct quire *q)
{
	struct quire_vmalloc *v = vmalloc_of(q);

	if (!q->kva.layout.page_offset)
		return NULL;
	quire_vm_unmap_aliases(q);
	if (v->root)
		return "exit: no vmalloc area is left";
	quire_grace_wait(q);
	return quire_cache_destroy(q, &v->cache) ? "exit: no descriptor of an area is left" : NULL;
}

/* ---- Check ------------------------------------------------------------------------------- */

/* What is behind an address that maps something, in an area. */
static quire_broken_t check_leaf(struct quire *q, const struct quire_vm_struct *area,
				 quire_kaddr_t addr, quire_pte_t pte, unsigned level)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;
	uint64_t size = UINT64_C(1) << fmt->shift[level], i;
	quire_pfn_t pfn = quire_pte_pfn(fmt, pte);

	if (!area || addr < area->addr || size > area->addr + quire_vm_area_size(area) - addr)
		return "vmalloc: nothing between areas is mapped, no guard page, no leaf over an end";
	if (area->flags & QUIRE_VM_UNPURGED)
		return "vmalloc: an area that was freed maps nothing";
	if (!(area->flags & QUIRE_VM_ALLOC))
		return NULL;
	for (i = 0; i < size >> QUIRE_PAGE_SHIFT; i++) {
		uint64_t n = ((addr - area->addr) >> QUIRE_PAGE_SHIFT) + i;

		if (n >= area->nr_pages || quire_page_to_pfn(q, area->pages[n]) != pfn + i)
			return "vmalloc: an area with pages maps these";
	}
	return NULL;
}

/* Every entry of the vmalloc area's tables; *mapped: pages of areas that know theirs. */
static quire_broken_t check_entries(struct quire *q, uint64_t *mapped)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;
	quire_kaddr_t addr = l->vmalloc_start;
	quire_broken_t broken = NULL;

	*mapped = 0;
	while (addr < l->vmalloc_end && !broken) {
		unsigned level;
		quire_pte_t pte = quire_kernel_look(q, addr, &level);
		uint64_t size = UINT64_C(1) << fmt->shift[level];
		struct quire_vm_struct *area;

		if (quire_pte_kind(fmt, pte) == QUIRE_PTE_PAGE) {
			area = quire_area_find(vmalloc_of(q)->root, addr);
			broken = check_leaf(q, area, addr, pte, level);
			if (area && (area->flags & QUIRE_VM_ALLOC))
				*mapped += size >> QUIRE_PAGE_SHIFT;
		}
		addr = quire_behind_entry(fmt, level, addr, l->vmalloc_end);
	}
	return broken;
}

quire_broken_t quire_vmalloc_check(struct quire *q)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	struct quire_vmalloc *v = vmalloc_of(q);
	uint64_t living, lazy_pages, listed = 0, nr_listed = 0, pages = 0, mapped;
	struct quire_vm_struct *n;
	quire_broken_t broken;

	if (!l->page_offset)
		return NULL;
	broken = quire_area_index_check(v->root, l->vmalloc_start, l->vmalloc_end, &living,
					&lazy_pages);
	if (broken)
		return broken;
	if (living != v->nr_areas)
		return "vmalloc: nr_areas == living areas in the index";
	if (lazy_pages != v->nr_lazy_pages)
		return "vmalloc: nr_lazy_pages == pages of areas that wait for the flush";
	for (n = v->lazy; n; n = n->next) {
		listed += n->size >> QUIRE_PAGE_SHIFT;
		nr_listed++;
	}
	if (nr_listed != v->nr_lazy)
		return "vmalloc: nr_lazy == areas on the lazy list";
	if (listed > lazy_pages)
		return "vmalloc: what is on the lazy list waits for the flush";
	for (n = quire_area_first(v->root); n; n = quire_area_next(n))
		pages += (n->flags & (QUIRE_VM_ALLOC | QUIRE_VM_UNPURGED)) == QUIRE_VM_ALLOC
				 ? n->nr_pages
				 : 0;
	/* Those set aside are mapped until they are drained. */
	if (!v->set_aside) {
		if (listed != lazy_pages)
			return "vmalloc: what waits for the flush is on the lazy list";
		broken = check_entries(q, &mapped);
		if (broken)
			return broken;
		if (mapped != pages)
			return "vmalloc: an area with pages maps all of them";
	}
	return quire_vmap_blocks_check(q);
}

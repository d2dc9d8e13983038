/* SPDX-License-Identifier: MIT */
/*
 * vmalloc: areas with pages of their own, from wherever these could be had. Called by hosts, for what is
 * too large for kmalloc.
 *
 * An area's pages stand in an array, which is kmalloc'd up to a page, and an area of its own beyond that. That one has an array too,
 * smaller by a factor of 512; a chain of five reaches as far as there are addresses. It is built from its far end,
 * and freed from the near one:
 *
 *	area of 1 GiB -> array, area of 2 MiB -> array, kmalloc'd, 4 KiB
 *	   built third        second                first
 *
 * For each: address space, array, pages, tables; then entries, which cannot fail any more but for
 * large leaves, whose tables are made as they are reached, and tables that somebody else's failure has taken away again. Then what
 * has been mapped is unmapped and flushed: nobody has seen it.
 */
#include "area.h"

#define MOST_ARRAYS 8u

/* ---- Pages ------------------------------------------------------------------------------- */

struct request {
	struct quire *q;
	uint64_t size, align;
	quire_gfp_t gfp;
	quire_ptebits_t rights;
	uint32_t flags;
	int node;
	const void *caller;
};

static struct quire_page *alloc_block(const struct request *r, unsigned order)
{
	quire_gfp_t gfp = r->gfp | QUIRE_GFP_NOWARN;

	/* There are small ones as well: nothing is waited for. */
	if (order)
		gfp &= ~QUIRE_GFP_WAIT;

	if (r->node < 0)
		return quire_page_alloc(r->q, gfp, order);
	return quire_page_alloc_node(r->q, (unsigned)r->node, gfp, order);
}

/* A block for the pages from i on of nr, of the large order if one fits there and is to be had. */
static struct quire_page *alloc_at(const struct request *r, uint64_t i, uint64_t nr,
				   unsigned large_order)
{
	uint64_t large = UINT64_C(1) << large_order;
	struct quire_page *page = NULL;

	if (large_order && (i & (large - 1)) == 0 && nr - i >= large)
		page = alloc_block(r, large_order);
	if (!page)
		page = alloc_block(r, 0);
	if (!page) {
		/* What was freed and waits for its flush is memory too. */
		quire_area_purge(r->q, false);
		page = alloc_block(r, 0);
	}
	return page;
}

static void put_pages(struct quire *q, struct quire_page **pages, uint64_t nr)
{
	uint64_t i, step;

	for (i = 0; i < nr; i += step) {
		step = UINT64_C(1) << quire_page_order(pages[i]);
		(void)quire_page_put(q, pages[i]);
	}
}

/* All pages of the array, or none: false. */
static bool get_pages(const struct request *r, struct quire_page **pages, uint64_t nr,
		      unsigned large_order)
{
	uint64_t i = 0, k, step;

	while (i < nr) {
		struct quire_page *page = alloc_at(r, i, nr, large_order);

		if (!page) {
			put_pages(r->q, pages, i);
			return false;
		}
		step = UINT64_C(1) << quire_page_order(page);
		for (k = 0; k < step; k++)
			pages[i + k] = page + k;
		/* A process that maps one of them has a reference to that one. */
		if (step > 1 && (r->flags & QUIRE_VM_USERMAP))
			quire_page_split(r->q, page, large_order);
		i += step;
	}
	return true;
}

/* ---- Building ---------------------------------------------------------------------------- */

/* Not where rights of single pages are about to change, for which leaves would be split at once. */
static unsigned large_order_for(const struct request *r)
{
	unsigned order = quire_area_large_order(r->q);

	return r->q->vmalloc.huge && !(r->flags & QUIRE_VM_FLUSH_RESET_PERMS) &&
			       order <= QUIRE_MAX_ORDER && r->size >> QUIRE_PAGE_SHIFT >> order != 0
		       ? order
		       : 0;
}

/* array: for the pages, the area's if this succeeds; NULL: it is small, and made here. */
static struct quire_vm_struct *build(const struct request *r, struct quire_page **array)
{
	const unsigned large_order = large_order_for(r);
	const uint64_t nr = (r->size + QUIRE_PAGE_SIZE - 1) >> QUIRE_PAGE_SHIFT;
	uint64_t align = r->align, large = QUIRE_PAGE_SIZE << large_order;
	struct quire *q = r->q;
	struct quire_vm_struct *area;
	struct quire_page **pages;
	struct area_frames frames;

	if (large_order && align < large)
		align = large;
	area = quire_area_take(q, r->size, align,
			       r->flags | QUIRE_VM_ALLOC | QUIRE_VM_UNINITIALIZED, r->caller);
	if (!area)
		return NULL;
	pages = array	  ? array
		: nr == 1 ? &area->page
			  : quire_kmalloc(q, (size_t)nr * sizeof(struct quire_page *),
					  QUIRE_GFP_KERNEL);
	if (!pages || !get_pages(r, pages, nr, large_order)) {
		if (pages != array && pages != &area->page)
			quire_kfree(q, pages);
		quire_area_discard(q, area);
		return NULL;
	}
	frames = (struct area_frames){.pages = pages};
	if (quire_area_map(q, area->addr, &frames, nr, r->rights, QUIRE_CACHE_WB, large_order)) {
		(void)quire_area_unmap(q, area->addr, area_end(area), 0);
		put_pages(q, pages, nr);
		if (pages != array && pages != &area->page)
			quire_kfree(q, pages);
		quire_area_discard(q, area);
		return NULL;
	}
	area->pages = pages;
	area->nr_pages = nr;
	area->page_order = (uint8_t)large_order;
	quire_add_relaxed(&q->vmalloc.nr_pages, nr);
	quire_area_mark_whole(q, area);
	return area;
}

/* The array, which an area that did not come to be had no use for. */
static void free_array(struct quire *q, struct quire_page **array)
{
	if (array)
		quire_vfree(q, array);
}

static void *vmalloc_chain(const struct request *r)
{
	struct request part[MOST_ARRAYS];
	struct quire_page **array = NULL;
	struct quire_vm_struct *area;
	unsigned n = 0;

	part[0] = *r;
	for (;;) {
		uint64_t nr = (part[n].size + QUIRE_PAGE_SIZE - 1) >> QUIRE_PAGE_SHIFT;
		uint64_t bytes = nr * sizeof(struct quire_page *);

		if (bytes <= QUIRE_PAGE_SIZE || n + 1 == MOST_ARRAYS)
			break;
		part[++n] = (struct request){
			.q = r->q,
			.size = bytes,
			/* Read here and by whoever looks into vmallocinfo. */
			.gfp = QUIRE_GFP_HIGHUSER,
			.rights = QUIRE_PTE_READ | QUIRE_PTE_WRITE,
			.node = r->node,
			.caller = r->caller,
		};
	}
	for (;; n--) {
		area = build(&part[n], array);
		if (!area) {
			free_array(r->q, array);
			return NULL;
		}
		array = quire_kaddr_to_ptr(r->q, area->addr);
		if (n == 0)
			return array;
	}
}

void *quire_vmalloc_caller(struct quire *q, uint64_t size, uint64_t align, quire_gfp_t gfp,
			   quire_ptebits_t rights, uint32_t flags, int node, const void *caller)
{
	const uint32_t allowed = QUIRE_VM_USERMAP | QUIRE_VM_NO_GUARD | QUIRE_VM_FLUSH_RESET_PERMS;
	struct request r = {
		.q = q,
		.size = size,
		.align = align,
		.gfp = gfp & QUIRE_GFP_ZONEMASK ? gfp : gfp | QUIRE_GFP_HIGHMEM,
		.rights = rights,
		.flags = flags,
		.node = node,
		.caller = caller,
	};
	void *got = NULL;

	if (q->kva.layout.page_offset && size && size <= q->pages.total_pages << QUIRE_PAGE_SHIFT &&
	    quire_area_rights_ok(rights) && !(flags & ~allowed) && node < (int)q->pages.nr_nodes)
		got = vmalloc_chain(&r);
	if (!got && !(gfp & QUIRE_GFP_NOWARN))
		quire_port_log(q, QUIRE_LOG_WARN, "vmalloc: allocation failure");
	return got;
}

/* ---- Linux's names ----------------------------------------------------------------------- */

#define DATA (QUIRE_PTE_READ | QUIRE_PTE_WRITE)

void *quire_vmalloc(struct quire *q, uint64_t size)
{
	return quire_vmalloc_caller(q, size, 0, QUIRE_GFP_KERNEL, DATA, 0, -1,
				    __builtin_return_address(0));
}

void *quire_vzalloc(struct quire *q, uint64_t size)
{
	return quire_vmalloc_caller(q, size, 0, QUIRE_GFP_ZERO, DATA, 0, -1,
				    __builtin_return_address(0));
}

void *quire_vmalloc_user(struct quire *q, uint64_t size)
{
	return quire_vmalloc_caller(q, size, 0, QUIRE_GFP_ZERO, DATA, QUIRE_VM_USERMAP, -1,
				    __builtin_return_address(0));
}

void *quire_vmalloc_32(struct quire *q, uint64_t size)
{
	return quire_vmalloc_caller(q, size, 0, QUIRE_GFP_DMA32, DATA, 0, -1,
				    __builtin_return_address(0));
}

void *quire_vmalloc_32_user(struct quire *q, uint64_t size)
{
	return quire_vmalloc_caller(q, size, 0, QUIRE_GFP_DMA32 | QUIRE_GFP_ZERO, DATA,
				    QUIRE_VM_USERMAP, -1, __builtin_return_address(0));
}

void *quire_vmalloc_node(struct quire *q, uint64_t size, int node)
{
	return quire_vmalloc_caller(q, size, 0, QUIRE_GFP_KERNEL, DATA, 0, node,
				    __builtin_return_address(0));
}

void *quire_vzalloc_node(struct quire *q, uint64_t size, int node)
{
	return quire_vmalloc_caller(q, size, 0, QUIRE_GFP_ZERO, DATA, 0, node,
				    __builtin_return_address(0));
}

void *quire_vmalloc_exec(struct quire *q, uint64_t size)
{
	return quire_vmalloc_caller(q, size, 0, QUIRE_GFP_KERNEL, DATA, QUIRE_VM_FLUSH_RESET_PERMS,
				    -1, __builtin_return_address(0));
}

/* ---- Freeing ----------------------------------------------------------------------------- */

/*
 * The pages into the area's list of what waits for the flush. Nobody else uses their lru: they are this area's, or
 * mapped by processes that map drivers' pages.
 */
static struct quire_list *chain_pages(struct quire_page **pages, uint64_t nr)
{
	struct quire_list *freed = NULL;
	uint64_t i, step;

	for (i = 0; i < nr; i += step) {
		step = UINT64_C(1) << quire_page_order(pages[i]);
		pages[i]->lru.next = freed;
		freed = &pages[i]->lru;
	}
	return freed;
}

/*
 * The pages of a detached area that maps nothing any more: onto its list, or put, if they were the caller's once. NULL, or
 * the detached area that the array of them was.
 */
static struct quire_vm_struct *release_pages(struct quire *q, struct quire_vm_struct *area)
{
	struct quire_page **pages = area->pages;
	uint64_t i;

	if (!area->nr_pages)
		return NULL;
	if (area->flags & QUIRE_VM_ALLOC) {
		area->freed = chain_pages(pages, area->nr_pages);
		quire_add_relaxed(&q->vmalloc.nr_pages, -area->nr_pages);
	} else {
		area->freed = NULL;
		for (i = 0; i < area->nr_pages; i++)
			(void)quire_page_put(q, pages[i]);
	}
	area->nr_pages = 0;
	if (pages == &area->page)
		return NULL;
	if (quire_is_vmalloc_addr(q, pages))
		return quire_area_detach(q, quire_ptr_to_kaddr(q, pages), QUIRE_VM_ALLOC, 0);
	quire_kfree(q, pages);
	return NULL;
}

void quire_area_free(struct quire *q, struct quire_vm_struct *area)
{
	/* Whose pages others may get, or whose rights elsewhere change, before the flush would be: it comes now. */
	const uint32_t at_once = QUIRE_VM_FLUSH_RESET_PERMS | QUIRE_VM_MAP_PUT_PAGES;
	struct quire_vm_struct *array;

	for (; area; area = array) {
		bool lazy = !(area->flags & at_once);
		bool mapped = quire_area_unmap(q, area->addr, area_end(area),
					       lazy ? QUIRE_CURSOR_LAZY : 0) != 0;

		if (area->flags & QUIRE_VM_FLUSH_RESET_PERMS)
			quire_direct_reset(q, area->pages, area->nr_pages);
		array = release_pages(q, area);
		quire_area_retire(q, area, lazy && mapped);
	}
}

#define FREEABLE (QUIRE_VM_ALLOC | QUIRE_VM_MAP_PUT_PAGES)

void quire_vfree_atomic(struct quire *q, const void *addr)
{
	if (addr)
		quire_area_set_aside(q, quire_ptr_to_kaddr(q, addr), FREEABLE);
}

void quire_vfree(struct quire *q, const void *addr)
{
	if (quire_port_in_interrupt(q)) {
		quire_vfree_atomic(q, addr);
		return;
	}
	quire_area_drain(q);
	if (addr)
		quire_area_free(q, quire_area_detach(q, quire_ptr_to_kaddr(q, addr), FREEABLE, 0));
}

/* ---- Asking ------------------------------------------------------------------------------ */

bool quire_is_vmalloc_addr(struct quire *q, const void *addr)
{
	return quire_is_vmalloc(&q->kva.layout, quire_ptr_to_kaddr(q, addr));
}

quire_pfn_t quire_vmalloc_to_pfn(struct quire *q, const void *addr)
{
	quire_paddr_t pa;

	if (!quire_is_vmalloc_addr(q, addr) ||
	    !quire_kernel_translate(q, quire_ptr_to_kaddr(q, addr), &pa))
		return 0;
	return pa >> QUIRE_PAGE_SHIFT;
}

struct quire_page *quire_vmalloc_to_page(struct quire *q, const void *addr)
{
	quire_pfn_t pfn = quire_vmalloc_to_pfn(q, addr);

	return pfn ? quire_pfn_to_page(q, pfn) : NULL;
}

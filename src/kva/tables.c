/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own tables: made with the direct map in them, given to the host for its own parts, and
 * asked for an address. Rights and modes of what is mapped are rights.c's; areas and kmaps set their
 * own entries in the parts that are theirs. Called at boot, and by hosts; takes quire_kva.lock.
 */
#include "internal.h"

/* ---- Leaves ------------------------------------------------------------------------------ */

quire_pte_t quire_kernel_pte(struct quire *q, quire_pfn_t pfn, quire_ptebits_t rights,
			     enum quire_cache_mode mode, unsigned level)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;
	quire_ptebits_t bits = rights | QUIRE_KERNEL_BITS | (level > 0 ? QUIRE_PTE_LARGE : 0);

	return quire_pte_set_cache(fmt, quire_pte_make(fmt, pfn, bits), mode);
}

unsigned quire_kernel_leaf_level(struct quire *q, quire_kaddr_t addr, quire_paddr_t pa,
				 uint64_t len, unsigned top)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;
	unsigned level = top - 1;

	for (; level > 0; level--) {
		uint64_t size = UINT64_C(1) << fmt->shift[level];

		if ((q->kva.layout.large_levels >> level & 1) && ((addr | pa) & (size - 1)) == 0 &&
		    len >= size)
			break;
	}
	return level;
}

/* ---- Ranges ------------------------------------------------------------------------------ */

/* The first leaf over *addr or behind it, up to end, where *addr goes to it, and its level; 0: none. */
static quire_pte_t first_leaf(struct quire *q, quire_kaddr_t *addr, quire_kaddr_t end,
			      unsigned *level)
{
	quire_pte_t pte = 0;

	while (*addr < end && !(pte = quire_kernel_look(q, *addr, level)))
		*addr = quire_behind_entry(q->kva.pt.fmt, *level, *addr, end);
	return pte;
}

/*
 * Empty the entries of [addr, end), leaves that do not stick out, and flush. leaves: those of each level are
 * counted down there; or NULL.
 */
static void unmap_range(struct quire *q, quire_kaddr_t addr, quire_kaddr_t end, uint64_t *leaves)
{
	struct quire_pgtable *pt = &q->kva.pt;
	struct quire_cursor c;
	unsigned level;

	quire_cursor_open(&c, pt, addr, end, 0);
	while (first_leaf(q, &addr, end, &level)) {
		if (quire_cursor_seek_level(&c, addr, level)) {
			(void)quire_cursor_clear(&c, addr);
			if (leaves)
				leaves[level]--;
		}
		addr = quire_behind_entry(pt->fmt, level, addr, end);
	}
	quire_cursor_close(&c);
}

/*
 * Map [addr, addr + len), where nothing is mapped, to pa and up. Where smaller leaves have been, their table is still
 * there and is used. No leaf stands at level top or above. -ENOMEM: nothing is mapped there again.
 */
static int map_range(struct quire *q, quire_kaddr_t addr, quire_paddr_t pa, uint64_t len,
		     quire_ptebits_t rights, enum quire_cache_mode mode, unsigned top,
		     uint64_t *leaves)
{
	struct quire_pgtable *pt = &q->kva.pt;
	const quire_kaddr_t start = addr, end = addr + len;
	struct quire_cursor c;
	int err = 0;

	quire_cursor_open(&c, pt, start, end, 0);
	while (addr < end && !err) {
		unsigned level = quire_kernel_leaf_level(q, addr, pa, end - addr, top), there;
		uint64_t size;

		(void)quire_kernel_look(q, addr, &there);
		if (there < level)
			level = there;
		size = UINT64_C(1) << pt->fmt->shift[level];
		if (there > level) {
			quire_cursor_leave(&c);
			err = quire_tables_populate_level(pt, addr, addr + size, level);
		}
		if (err || !quire_cursor_seek_level(&c, addr, level))
			continue;
		quire_cursor_set(&c, addr,
				 quire_kernel_pte(q, pa >> QUIRE_PAGE_SHIFT, rights, mode, level));
		if (leaves)
			leaves[level]++;
		addr += size;
		pa += size;
	}
	quire_cursor_close(&c);
	if (err)
		unmap_range(q, start, addr, leaves);
	return err;
}

/* ---- Boot -------------------------------------------------------------------------------- */

/* Does the memory map have the frame? */
static bool is_present(struct quire *q, quire_pfn_t pfn)
{
	const struct quire_page *page = quire_pfn_to_page(q, pfn);

	return page && !quire_page_test(page, QUIRE_PG_ABSENT);
}

/*
 * Before there is a space: leaves may stand in the root, too. Only memory: a cached mapping of a device's registers
 * would let the processor read them ahead.
 */
static int map_direct(struct quire *q)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	quire_pfn_t pfn = 0, first, end = (l->high_memory - l->page_offset) >> QUIRE_PAGE_SHIFT;
	int err = 0;

	while (pfn < end && !err) {
		if (!is_present(q, pfn)) {
			pfn++;
			continue;
		}
		for (first = pfn; pfn < end && is_present(q, pfn);)
			pfn++;
		err = map_range(q, l->page_offset + (first << QUIRE_PAGE_SHIFT),
				first << QUIRE_PAGE_SHIFT, (pfn - first) << QUIRE_PAGE_SHIFT,
				QUIRE_PTE_READ | QUIRE_PTE_WRITE, QUIRE_CACHE_WB,
				q->kva.pt.fmt->levels, q->kva.direct_pages);
	}
	return err;
}

/*
 * With three levels or more, and one root for both worlds, the root's entries are all made before the first
 * space is: then each space has them from its beginning, and none ever needs to learn.
 */
static int make_roots_entries(struct quire *q, quire_kaddr_t start, quire_kaddr_t end)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;

	if (fmt->kernel_apart || fmt->levels < 3 || start >= end)
		return 0;
	return quire_tables_populate_level(&q->kva.pt, start, end, fmt->levels - 2u);
}

int quire_kva_init(struct quire *q, const struct quire_kva_layout *layout)
{
	struct quire_kva *kva = &q->kva;
	quire_kaddr_t lowest, end;
	int err;

	if (quire_kva_layout_check(layout, q->fmt, q->nr_cpus) ||
	    layout->high_memory - layout->page_offset < q->pages.high_memory)
		return -QUIRE_EINVAL;
	quire_kernel_range(q->fmt, &lowest, &end);
	err = quire_pgtable_init_kernel(q, &kva->pt, q->fmt, lowest, end);
	if (err)
		return err;
	kva->layout = *layout;
	kva->lock = (struct quire_mutex)QUIRE_MUTEX_INIT;
	err = make_roots_entries(q, layout->vmalloc_start, layout->vmalloc_end);
	if (!err && layout->nr_pkmaps)
		err = make_roots_entries(q, layout->pkmap_base,
					 layout->pkmap_base +
						 ((uint64_t)layout->nr_pkmaps << QUIRE_PAGE_SHIFT));
	if (!err)
		err = make_roots_entries(q, layout->fixaddr_start, layout->fixaddr_top);
	if (!err)
		err = map_direct(q);
	if (err)
		quire_kva_exit(q);
	return err;
}

void quire_kva_exit(struct quire *q)
{
	unsigned level;

	if (!q->kva.layout.page_offset)
		return;
	quire_pgtable_destroy(&q->kva.pt);
	q->kva.layout = (struct quire_kva_layout){0};
	for (level = 0; level < QUIRE_MAX_LEVELS; level++)
		q->kva.direct_pages[level] = 0;
}

quire_paddr_t quire_kernel_root(struct quire *q)
{
	return quire_pgtable_root(&q->kva.pt);
}

/* ---- The host's own parts ---------------------------------------------------------------- */

/* Whole pages of kernel addresses that are in none of the layout's parts. */
static bool is_hosts(struct quire *q, quire_kaddr_t addr, uint64_t len)
{
	const struct quire_pgtable *pt = &q->kva.pt;

	return q->kva.layout.page_offset && len && ((addr | len) & ~QUIRE_PAGE_MASK) == 0 &&
	       addr >= pt->lowest && addr < pt->end && len <= pt->end - addr &&
	       !quire_kva_overlaps(&q->kva.layout, addr, addr + len);
}

int quire_kernel_map(struct quire *q, quire_kaddr_t addr, quire_paddr_t pa, uint64_t len,
		     quire_ptebits_t rights, enum quire_cache_mode mode)
{
	const quire_ptebits_t all = QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_EXEC;
	quire_kaddr_t found = addr;
	unsigned level;
	int err;

	if (!is_hosts(q, addr, len) || (pa & ~QUIRE_PAGE_MASK) || pa + len < pa ||
	    (rights & ~all) || !(rights & QUIRE_PTE_READ) ||
	    (rights & (QUIRE_PTE_WRITE | QUIRE_PTE_EXEC)) == (QUIRE_PTE_WRITE | QUIRE_PTE_EXEC) ||
	    (unsigned)mode >= QUIRE_NR_CACHE_MODES)
		return -QUIRE_EINVAL;
	quire_mutex_lock(q, &q->kva.lock);
	err = first_leaf(q, &found, addr + len, &level)
		      ? -QUIRE_EEXIST
		      : map_range(q, addr, pa, len, rights, mode, q->kva.pt.fmt->levels - 1u, NULL);
	quire_mutex_unlock(q, &q->kva.lock);
	return err;
}

int quire_kernel_unmap(struct quire *q, quire_kaddr_t addr, uint64_t len)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;
	quire_kaddr_t at = addr;
	unsigned level;
	int err = 0;

	if (!is_hosts(q, addr, len))
		return -QUIRE_EINVAL;
	quire_mutex_lock(q, &q->kva.lock);
	while (!err && first_leaf(q, &at, addr + len, &level)) {
		uint64_t size = UINT64_C(1) << fmt->shift[level], start = at & ~(size - 1);

		if (start < addr || size > addr + len - start)
			err = -QUIRE_EINVAL;
		at = quire_behind_entry(fmt, level, at, addr + len);
	}
	if (!err)
		unmap_range(q, addr, addr + len, NULL);
	quire_mutex_unlock(q, &q->kva.lock);
	return err;
}

bool quire_kernel_translate(struct quire *q, quire_kaddr_t addr, quire_paddr_t *pa)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;
	unsigned level;
	quire_pte_t pte;

	if (!q->kva.layout.page_offset)
		return false;
	pte = quire_kernel_look(q, addr, &level);
	if (!quire_pte_has(fmt, pte, QUIRE_PTE_READ))
		return false;
	*pa = (quire_pte_pfn(fmt, pte) << QUIRE_PAGE_SHIFT) +
	      (addr & ((UINT64_C(1) << fmt->shift[level]) - 1));
	return true;
}

bool quire_kernel_translate_ptr(struct quire *q, const void *ptr, quire_paddr_t *pa)
{
	return quire_kernel_translate(q, quire_ptr_to_kaddr(q, ptr), pa);
}

/* ---- Check ------------------------------------------------------------------------------- */

static quire_broken_t check_leaf(struct quire *q, quire_kaddr_t addr, quire_pte_t pte,
				 unsigned level, uint64_t *leaves)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;
	quire_ptebits_t bits = quire_pte_bits(fmt, pte);

	if (quire_pte_kind(fmt, pte) != QUIRE_PTE_PAGE)
		return NULL; /* an empty slot */
	if ((bits & QUIRE_PTE_WRITE) && (bits & QUIRE_PTE_EXEC))
		return "kva: no leaf may be both written and executed";
	if (bits & QUIRE_PTE_USER)
		return "kva: no leaf of the kernel's is user space's";
	if (!quire_is_direct(l, addr))
		return NULL;
	leaves[level]++;
	if (quire_pte_pfn(fmt, pte) != (addr - l->page_offset) >> QUIRE_PAGE_SHIFT)
		return "kva: the direct map maps each of its pages to its own frame";
	return NULL;
}

quire_broken_t quire_kva_check(struct quire *q)
{
	struct quire_pgtable *pt = &q->kva.pt;
	uint64_t leaves[QUIRE_MAX_LEVELS] = {0};
	quire_kaddr_t addr = pt->lowest;
	quire_broken_t broken;
	quire_pte_t pte;
	unsigned level;

	if (!q->kva.layout.page_offset)
		return NULL;
	broken = quire_kva_layout_check(&q->kva.layout, pt->fmt, q->nr_cpus);
	if (!broken)
		broken = quire_pgtable_check(pt);
	while (!broken && (pte = first_leaf(q, &addr, pt->end, &level))) {
		broken = check_leaf(q, addr, pte, level, leaves);
		addr = quire_behind_entry(pt->fmt, level, addr, pt->end);
	}
	for (level = 0; level < QUIRE_MAX_LEVELS && !broken; level++) {
		if (leaves[level] != q->kva.direct_pages[level])
			broken = "kva: direct_pages == leaves of the direct map";
	}
	return broken;
}

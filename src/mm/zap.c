/* SPDX-License-Identifier: MIT */
/*
 * Entries taken away and entries' rights changed, over a range of one area. Called by whoever has
 * marked the area dead, put a new one in its place, or means its pages only (madvise), and by
 * objects through the reverse map (truncate, write-back). Never fails, needs no memory (a space
 * that goes makes do without); may sleep (flushes).
 */
#include <mm/internal.h>
#include <pgtable/cursor.h>

#define NR_SUSPECTS 30
#define STORED_TO (QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY)

/* Pages that wait for one flush, when a whole space goes. */
struct batch {
	struct batch *next;
	size_t nr;
	struct quire_page *page[510];
};

struct zap {
	/* input */
	struct quire_mm *mm;
	struct quire *q;
	const struct quire_pgfmt *fmt;
	uint32_t flags;
	bool unused; /* the whole space goes, nobody runs in it: one flush, if there is memory */
	/* derived */
	bool in_batches;	    /* there was memory */
	struct batch *batch;	    /* the one that is being filled; full ones behind it */
	int64_t gone[QUIRE_NR_RSS]; /* entries emptied, by kind */
	uint32_t nr_suspects;
	struct quire_page *suspects[NR_SUSPECTS]; /* with a reference: see suspect() */
	struct quire_cursor c;
};

/*
 * A fault that did not see the area's death set its entry under a leaf lock that we have yet to
 * take. One that made the leaf table did so before it looked at the area: this fence makes us see
 * the table.
 */
static void order_after_death(void)
{
	quire_fence();
}

/*
 * A shared page that has been written to through this entry: until the flush a CPU may go on to do
 * so without looking at the entry. A write-back that comes in between finds no entry to protect,
 * takes the page's mark and writes it; what is stored after that would be lost. So the page is
 * looked at again after the flush: if its mark is gone, it gets another.
 */
static void suspect(struct zap *z, struct quire_page *page)
{
	quire_page_get(page);
	z->suspects[z->nr_suspects++] = page;
}

/* After a flush. */
static void clear_suspects(struct zap *z)
{
	for (uint32_t i = 0; i < z->nr_suspects; i++) {
		if (!quire_page_test(z->suspects[i], QUIRE_PG_DIRTY))
			quire_page_mark_dirty(z->q, z->suspects[i]);
		(void)quire_page_put(z->q, z->suspects[i]);
	}
	z->nr_suspects = 0;
}

/* page is put after the flush: that of the cursor's close, or an earlier one. */
static void gather_page(struct zap *z, struct quire_page *page)
{
	if (z->in_batches && (!z->batch || z->batch->nr == QUIRE_ARRAY_SIZE(z->batch->page))) {
		struct batch *fresh =
			quire_kmalloc(z->q, sizeof(*fresh), QUIRE_GFP_NOWAIT | QUIRE_GFP_NOWARN);

		z->in_batches = fresh != NULL;
		if (fresh) {
			fresh->next = z->batch;
			fresh->nr = 0;
			z->batch = fresh;
		}
	}
	if (z->in_batches)
		z->batch->page[z->batch->nr++] = page;
	else
		quire_cursor_put_page(&z->c, page);
}

static void put_batches(struct zap *z)
{
	struct batch *batch;

	while ((batch = z->batch)) {
		z->batch = batch->next;
		for (size_t i = 0; i < batch->nr; i++)
			(void)quire_page_put(z->q, batch->page[i]);
		quire_kfree(z->q, batch);
	}
}

/* What the entry was to a page that is not anonymous. */
static void keep_marks(struct zap *z, struct quire_page *page, quire_pte_t entry)
{
	if (pte_page_has(z->fmt, entry, QUIRE_PTE_DIRTY))
		quire_page_mark_dirty(z->q, page);
	if (pte_page_has(z->fmt, entry, STORED_TO) && !z->unused &&
	    quire_page_test(page, QUIRE_PG_TRACKED))
		suspect(z, page);
	if (pte_page_has(z->fmt, entry, QUIRE_PTE_ACCESSED) &&
	    !quire_page_test(page, QUIRE_PG_REFERENCED))
		quire_page_set(page, QUIRE_PG_REFERENCED);
}

static void zap_page(struct zap *z, quire_uaddr_t addr, quire_pte_t entry)
{
	struct quire_page *page = NULL;
	bool is_anon = false;
	uint32_t flags = 0;

	if (!pte_page_has(z->fmt, entry, QUIRE_PTE_SPECIAL)) {
		page = quire_pfn_to_page(z->q, pte_pfn(z->fmt, entry));
		flags = page ? quire_load(&page->flags) : 0;
		is_anon = (flags & QUIRE_PG_KIND_MASK) == QUIRE_PAGE_ANON;
	}
	if (is_anon && (z->flags & QUIRE_ZAP_KEEP_COWS))
		return;
	entry = leaf_clear_page(&z->c, addr);
	if (!page)
		return;
	if (!is_anon)
		keep_marks(z, page, entry);
	z->gone[quire_rss_of(flags)]++;
	quire_page_unmapped(z->q, page,
			    pte_page_has(z->fmt, entry, QUIRE_PTE_LOCKED) ? QUIRE_PTE_LOCKED : 0);
	gather_page(z, page);
}

static void zap_entry(struct zap *z, quire_uaddr_t addr)
{
	quire_pte_t entry = leaf_get(&z->c, addr);

	switch (pte_kind(z->fmt, entry)) {
	case QUIRE_PTE_PAGE:
		zap_page(z, addr, entry);
		break;
	case QUIRE_PTE_GUARD:
		if (!(z->flags & QUIRE_ZAP_KEEP_GUARDS))
			(void)quire_cursor_clear(&z->c, addr);
		break;
	case QUIRE_PTE_EMPTY:
		break;
	default:
		/* There is no swap yet. */
		quire_report(z->q, "zap: an entry of no known kind", addr);
		(void)quire_cursor_clear(&z->c, addr);
	}
}

/* False: full of suspects, the rest of the range is still to come. */
static bool zap_leaf(struct zap *z)
{
	quire_uaddr_t a = leaf_next_used(&z->c, z->c.leaf_start);

	for (; a < z->c.leaf_end; a = leaf_next_used(&z->c, a + QUIRE_PAGE_SIZE)) {
		zap_entry(z, a);
		if (z->nr_suspects == NR_SUSPECTS)
			return false;
	}
	return true;
}

static void zap_range(struct zap *z, quire_uaddr_t start, quire_uaddr_t end)
{
	bool done;

	quire_update_hiwater_rss(z->mm);
	do {
		quire_cursor_open(&z->c, &z->mm->pt, start, end,
				  QUIRE_CURSOR_TAKES |
					  (z->flags & QUIRE_ZAP_TRIM ? QUIRE_CURSOR_TRIM : 0));
		done = true;
		while (done && quire_cursor_next_leaf(&z->c)) {
			start = z->c.leaf_start;
			done = zap_leaf(z);
		}
		quire_cursor_close(&z->c);
		clear_suspects(z);
	} while (!done);
	for (unsigned k = 0; k < QUIRE_NR_RSS; k++) {
		if (z->gone[k])
			quire_rss_add(z->mm, (enum quire_rss)k, -z->gone[k]);
	}
}

static void zap_init(struct zap *z, struct quire_mm *mm, uint32_t flags)
{
	z->mm = mm;
	z->q = mm->q;
	z->fmt = mm->pt.fmt;
	z->flags = flags;
	z->unused = false;
	z->in_batches = false;
	z->batch = NULL;
	z->nr_suspects = 0;
	for (unsigned k = 0; k < QUIRE_NR_RSS; k++)
		z->gone[k] = 0;
}

void quire_zap_range(struct quire_mm *mm, struct quire_vma *vma, quire_uaddr_t start,
		     quire_uaddr_t end, uint32_t flags)
{
	struct zap z;

	zap_init(&z, mm, flags);
	order_after_death();
	zap_range(&z, start, end);
}

void quire_zap_space(struct quire_mm *mm)
{
	struct zap z;

	zap_init(&z, mm, QUIRE_ZAP_TRIM);
	z.unused = true;
	z.in_batches = true;
	order_after_death();
	zap_range(&z, 0, mm->pt.fmt->user_end);
	put_batches(&z);
}

void quire_zap_object(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end, bool even_cows)
{
	struct zap z;

	zap_init(&z, vma->mm, QUIRE_ZAP_KEEP_GUARDS | (even_cows ? 0 : QUIRE_ZAP_KEEP_COWS));
	/*
	 * Pairs with a fault's look at truncations, or at the page's owner, under the leaf lock.
	 * The area may be dead: as long as it is linked, what is at its addresses is its own, see
	 * quire_object_link().
	 */
	order_after_death();
	zap_range(&z, start, end);
}

/* ---- Rights ------------------------------------------------------------------------------ */

/*
 * May the entry have WRITE without a fault? Only where the fault would find nothing to do: a page
 * that is the area's alone (and that nobody is working on, see fault_anon.c); a shared page whose
 * file has been asked and not written back since.
 */
static bool may_write(struct quire *q, const struct quire_vma *vma, const struct quire_pgfmt *fmt,
		      quire_pte_t entry)
{
	const uint32_t looked_at = QUIRE_PG_KIND_MASK | QUIRE_PG_EXCLUSIVE | QUIRE_PG_LOCKED;
	struct quire_page *page;

	if (!(vma->flags & QUIRE_VM_WRITE))
		return false;
	if (vma->flags & QUIRE_VM_SHARED)
		return pte_has(fmt, entry, QUIRE_PTE_DIRTY);
	if (pte_has(fmt, entry, QUIRE_PTE_SPECIAL))
		return false;
	page = quire_pfn_to_page(q, pte_pfn(fmt, entry));
	return page &&
	       (quire_load(&page->flags) & looked_at) == (QUIRE_PAGE_ANON | QUIRE_PG_EXCLUSIVE);
}

void quire_protect_range(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_mm *mm = vma->mm;
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	quire_ptebits_t rights = quire_vma_ptebits(vma);
	struct quire_cursor c;

	order_after_death();
	quire_store_release(&mm->unflushed, QUIRE_UNFLUSHED_PROTECT);
	quire_cursor_open(&c, &mm->pt, start, end, QUIRE_CURSOR_TAKES);
	while (quire_cursor_next_leaf(&c)) {
		quire_uaddr_t a = leaf_next_used(&c, c.leaf_start);

		for (; a < c.leaf_end; a = leaf_next_used(&c, a + QUIRE_PAGE_SIZE)) {
			quire_pte_t entry = leaf_get(&c, a);
			quire_ptebits_t bits = rights;

			if (pte_kind(fmt, entry) != QUIRE_PTE_PAGE)
				continue;
			if (may_write(mm->q, vma, fmt, entry))
				bits |= QUIRE_PTE_WRITE;
			quire_cursor_protect(&c, a, bits);
		}
	}
	quire_cursor_close(&c);
	quire_store_release(&mm->unflushed, 0u);
}

/* ---- Write-back -------------------------------------------------------------------------- */

/*
 * Leaf locked. Replacing an entry that the hardware can use marks it for the flush. One that it
 * can't use has been flushed already, unless whoever made it so is just about to: mprotect to
 * PROT_NONE, or a move (which leaves WRITE in it). Such an entry keeps its mark, for the next
 * write-back to find.
 */
static void clean_entry(struct quire_mm *mm, struct quire_cursor *c, quire_uaddr_t addr)
{
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	quire_pte_t entry = quire_cursor_get(c, addr);
	quire_ptebits_t bits = quire_pte_bits(fmt, entry);
	struct quire_page *page;

	if (!(bits & STORED_TO) || (bits & QUIRE_PTE_SPECIAL))
		return;
	page = quire_pfn_to_page(mm->q, pte_pfn(fmt, entry));
	if ((bits & QUIRE_PTE_READ) ||
	    (!(bits & QUIRE_PTE_WRITE) &&
	     !(quire_load_acquire(&mm->unflushed) & QUIRE_UNFLUSHED_PROTECT)))
		entry = quire_cursor_replace(c, addr, quire_pte_remove(fmt, entry, STORED_TO));
	if (pte_has(fmt, entry, QUIRE_PTE_DIRTY))
		quire_page_mark_dirty(mm->q, page);
}

void quire_wrprotect_object(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_mm *mm = vma->mm;
	struct quire_cursor c;

	order_after_death();
	quire_cursor_open(&c, &mm->pt, start, end, QUIRE_CURSOR_TAKES);
	while (quire_cursor_next_leaf(&c)) {
		quire_uaddr_t a = leaf_next_used(&c, c.leaf_start);

		for (; a < c.leaf_end; a = leaf_next_used(&c, a + QUIRE_PAGE_SIZE))
			clean_entry(mm, &c, a);
	}
	quire_cursor_close(&c);
}

/* SPDX-License-Identifier: MIT */
/*
 * A page goes to another node: its content to another frame, which takes its place. Called by mempolicy.c with the
 * writer lock, so areas stand still, no fork copies, and nobody else takes entries away but a truncate. Faults go on.
 *
 * The frame to go to is had first; after that nothing can fail but by somebody else's doing: a page that others
 * have a reference on (they may be writing to its frame) stays where it is.
 *
 * An anonymous page that one entry maps, under its page lock, so that who wants to write to it waits:
 *
 *	take WRITE from the entry      nobody gets it back: see write_anon() in fault_anon.c
 *	flush                          nobody stores to the page any more
 *	copy                           both pages hold the same bytes
 *	replace the entry, read-only   is it still this page, without another reference?
 *	flush                          nobody reads the old page any more
 *	unlock                         the next store gets WRITE by a fault
 *
 * So no CPU can see a newer byte and then an older one. One that several entries map since a fork is not moved: there is no
 * way from the page to all of them.
 *
 * A page of a cache, under its page lock, so that nobody maps it: unmapped everywhere, exchanged in the cache
 * (quire_object_exchange_page()), and mapped again here, read-only. Others fault it in.
 */
#include <mm/migrate.h>
#include <vma/policy.h>

/* As often as Linux tries a page that somebody is busy with. */
#define MOST_TRIES 10

bool quire_vma_is_migratable(const struct quire_vma *vma)
{
	return !(vma->flags & (QUIRE_VM_IO | QUIRE_VM_PFNMAP));
}

/* ---- Which ------------------------------------------------------------------------------- */

/* Leaf locked: the page that an entry maps; NULL: none, or nobody's. */
static struct quire_page *page_of(struct quire_mm *mm, quire_pte_t entry)
{
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	struct quire_page *page;

	if (quire_pte_kind(fmt, entry) != QUIRE_PTE_PAGE ||
	    quire_pte_has(fmt, entry, QUIRE_PTE_SPECIAL))
		return NULL;
	page = quire_pfn_to_page(mm->q, quire_pte_pfn(fmt, entry));
	return page && quire_page_kind(page) != QUIRE_PAGE_RESERVED ? page : NULL;
}

static bool is_misplaced(const struct quire_migration *m, const struct quire_page *page)
{
	return (m->nodes >> quire_page_node(page) & 1) != m->inverted;
}

/* Can a page of that kind be moved at all? */
static enum quire_moved judge(const struct quire_migration *m, const struct quire_vma *vma,
			      const struct quire_page *page)
{
	bool is_anon = quire_page_kind(page) == QUIRE_PAGE_ANON;

	if (!quire_vma_is_migratable(vma) ||
	    (!is_anon && quire_page_kind(page) != QUIRE_PAGE_CACHE))
		return QUIRE_MOVED_NEVER;
	if (quire_load(&page->maps) > 1) {
		if (!m->all)
			return QUIRE_MOVED_SHARED;
		if (is_anon)
			return QUIRE_MOVED_BUSY;
	}
	return QUIRE_MOVED;
}

/* The first page of [*addr, end) that should move, with a reference, and where it is mapped; NULL: none. */
static struct quire_page *next_misplaced(const struct quire_migration *m, quire_uaddr_t *addr,
					 quire_uaddr_t end)
{
	struct quire_page *found = NULL;
	struct quire_cursor c;

	quire_cursor_open(&c, &m->mm->pt, *addr, end, 0);
	while (!found && quire_cursor_next_leaf(&c)) {
		quire_uaddr_t a = quire_cursor_next_used(&c, c.leaf_start);

		for (; !found && a < c.leaf_end;
		     a = quire_cursor_next_used(&c, a + QUIRE_PAGE_SIZE)) {
			struct quire_page *page = page_of(m->mm, quire_cursor_get(&c, a));

			if (!page || !is_misplaced(m, page))
				continue;
			quire_page_get(page);
			found = page;
			*addr = a;
		}
	}
	quire_cursor_close(&c);
	return found;
}

bool quire_has_misplaced_page(struct quire_migration *m, struct quire_vma *vma, quire_uaddr_t start,
			      quire_uaddr_t end)
{
	struct quire_page *page = next_misplaced(m, &start, end);

	if (page)
		(void)quire_page_put(vma->mm->q, page);
	return page != NULL;
}

/* ---- Anonymous pages --------------------------------------------------------------------- */

#define RIGHTS                                                                                     \
	(QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_EXEC | QUIRE_PTE_USER | QUIRE_PTE_GLOBAL)

/* One page, one entry, one reference besides the entry's. */
struct mover {
	struct quire_vma *vma;
	quire_uaddr_t addr;
	struct quire_page *page, *target;
	struct quire_cursor c;
};

/* Leaf locked, or false: is the page still mapped here, and has it no user but the entry and us? */
static bool find_alone(struct mover *v, quire_pte_t *entry)
{
	struct quire_mm *mm = v->vma->mm;

	quire_cursor_open(&v->c, &mm->pt, v->addr, v->addr + QUIRE_PAGE_SIZE, QUIRE_CURSOR_TAKES);
	if (!quire_cursor_seek(&v->c, v->addr))
		return false;
	*entry = quire_cursor_get(&v->c, v->addr);
	return page_of(mm, *entry) == v->page && quire_load(&v->page->maps) == 1 &&
	       quire_load_acquire(&v->page->refs) == 2;
}

/* Nobody but us has seen the target: all that the old page is, but for its place. */
static void become(struct quire_page *target, const struct quire_page *page)
{
	const uint32_t kept = QUIRE_PG_UPTODATE | QUIRE_PG_DIRTY | QUIRE_PG_REFERENCED |
			      QUIRE_PG_LAZYFREE | QUIRE_PG_EXCLUSIVE;

	quire_page_set_kind(target, QUIRE_PAGE_ANON);
	quire_page_set(target, QUIRE_PG_LOCKED | (quire_load(&page->flags) & kept));
	target->owner = page->owner;
	target->index = page->index;
}

/* Page locked. */
static bool move_anon(struct mover *v)
{
	struct quire_mm *mm = v->vma->mm;
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	struct quire *q = mm->q;
	quire_ptebits_t bits;
	quire_pte_t entry;
	bool alone = find_alone(v, &entry);

	if (alone && quire_pte_has(fmt, entry, QUIRE_PTE_WRITE))
		quire_cursor_protect(&v->c, v->addr,
				     quire_pte_bits(fmt, entry) & RIGHTS & ~QUIRE_PTE_WRITE);
	quire_cursor_close(&v->c);
	if (!alone)
		return false;
	quire_page_copy(q, v->target, v->page);
	alone = find_alone(v, &entry);
	if (alone) {
		quire_assert(q, !quire_pte_has(fmt, entry, QUIRE_PTE_WRITE));
		become(v->target, v->page);
		quire_page_get(v->target);
		bits = quire_pte_bits(fmt, entry);
		quire_page_mapped(q, v->target, bits);
		(void)quire_cursor_replace(
			&v->c, v->addr, quire_pte_make(fmt, quire_page_to_pfn(q, v->target), bits));
		quire_page_unmapped(q, v->page, bits);
		quire_cursor_put_page(&v->c, v->page);
	}
	quire_cursor_close(&v->c);
	if (alone)
		quire_page_unlock(q, v->target);
	return alone;
}

/* ---- Pages of a cache -------------------------------------------------------------------- */

/* The page's entry comes back with bits, but for what a fault gives; the page, whichever it is now, is locked. */
static void map_again(struct mover *v, struct quire_page *page, quire_ptebits_t bits)
{
	struct quire_mm *mm = v->vma->mm;

	bits &= ~(QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY | QUIRE_PTE_LOCKED);
	bits |= quire_lock_bit(v->vma, page);
	quire_cursor_open(&v->c, &mm->pt, v->addr, v->addr + QUIRE_PAGE_SIZE, 0);
	if (quire_cursor_seek(&v->c, v->addr) && quire_cursor_get(&v->c, v->addr) == 0) {
		quire_page_get(page);
		quire_page_mapped(mm->q, page, bits);
		quire_rss_add(mm, quire_page_rss(page), 1);
		quire_cursor_set(&v->c, v->addr,
				 quire_pte_make(mm->pt.fmt, quire_page_to_pfn(mm->q, page), bits));
	}
	quire_cursor_close(&v->c);
}

/* Page locked. */
static bool move_cached(struct mover *v)
{
	struct quire_object *object = v->vma->object;
	struct quire *q = v->vma->mm->q;
	quire_pte_t entry = 0;
	bool moved;

	if (!object || !quire_object_has_page(object, v->page))
		return false;
	quire_cursor_open(&v->c, &v->vma->mm->pt, v->addr, v->addr + QUIRE_PAGE_SIZE, 0);
	if (quire_cursor_seek(&v->c, v->addr))
		entry = quire_cursor_get(&v->c, v->addr);
	quire_cursor_close(&v->c);
	if (page_of(v->vma->mm, entry) != v->page)
		return false;
	moved = quire_object_exchange_page(object, v->page, v->target);
	/* Beyond a size that has just been set nothing is mapped. */
	if (quire_object_has_page(object, moved ? v->target : v->page))
		map_again(v, moved ? v->target : v->page,
			  quire_pte_bits(v->vma->mm->pt.fmt, entry));
	if (moved)
		quire_page_unlock(q, v->target);
	return moved;
}

/* ---- Both -------------------------------------------------------------------------------- */

/* page is mapped at addr; the caller's reference goes. */
static enum quire_moved move(struct quire_migration *m, struct quire_vma *vma, quire_uaddr_t addr,
			     struct quire_page *page)
{
	struct quire *q = m->mm->q;
	struct mover v = {.vma = vma, .addr = addr, .page = page};
	enum quire_moved r = judge(m, vma, page);
	bool moved = false;

	if (r == QUIRE_MOVED) {
		v.target = quire_page_alloc_policy(q, m->policy, quire_linear_page_index(vma, addr),
						   QUIRE_GFP_HIGHUSER | QUIRE_GFP_NOWARN);
		if (!v.target)
			r = QUIRE_MOVED_NO_PAGE;
	}
	for (unsigned i = 0; r == QUIRE_MOVED && !moved && i < MOST_TRIES; i++) {
		quire_page_lock(q, page);
		if (quire_page_kind(page) == QUIRE_PAGE_ANON)
			moved = move_anon(&v);
		else
			moved = move_cached(&v);
		quire_page_unlock(q, page);
	}
	if (r == QUIRE_MOVED && !moved)
		r = QUIRE_MOVED_BUSY;
	/* Moved, it has a reference of its entry or cache. */
	if (v.target)
		(void)quire_page_put(q, v.target);
	(void)quire_page_put(q, page);
	return r;
}

void quire_migrate_range(struct quire_migration *m, struct quire_vma *vma, quire_uaddr_t start,
			 quire_uaddr_t end)
{
	struct quire_page *page;

	quire_mutex_assert(m->mm->q, &m->mm->lock);
	while (!m->out_of_memory && start < end && (page = next_misplaced(m, &start, end))) {
		enum quire_moved r = move(m, vma, start, page);

		if (r != QUIRE_MOVED && r != QUIRE_MOVED_SHARED)
			m->failed++;
		m->out_of_memory = r == QUIRE_MOVED_NO_PAGE;
		start += QUIRE_PAGE_SIZE;
	}
}

/* The page at addr with a reference, or NULL: then *zeroes, is it the page that all share? */
static struct quire_page *get_page(struct quire_mm *mm, quire_uaddr_t addr, bool *zeroes)
{
	const quire_pfn_t zero_pfn = quire_page_to_pfn(mm->q, mm->q->pages.zero_page);
	struct quire_page *page = NULL;
	quire_pte_t entry = 0;
	struct quire_cursor c;

	quire_cursor_open(&c, &mm->pt, addr, addr + QUIRE_PAGE_SIZE, 0);
	if (quire_cursor_seek(&c, addr)) {
		entry = quire_cursor_get(&c, addr);
		page = page_of(mm, entry);
		if (page)
			quire_page_get(page);
	}
	quire_cursor_close(&c);
	*zeroes = quire_pte_kind(mm->pt.fmt, entry) == QUIRE_PTE_PAGE &&
		  quire_pte_pfn(mm->pt.fmt, entry) == zero_pfn;
	return page;
}

enum quire_moved quire_find_page(struct quire_vma *vma, quire_uaddr_t addr, unsigned *node)
{
	bool zeroes;
	struct quire_page *page = get_page(vma->mm, addr, &zeroes);

	if (!page)
		return zeroes ? QUIRE_MOVED_ZEROES : QUIRE_MOVED_NOTHING;
	*node = quire_page_node(page);
	(void)quire_page_put(vma->mm->q, page);
	return QUIRE_MOVED_HERE;
}

enum quire_moved quire_migrate_page(struct quire_migration *m, struct quire_vma *vma,
				    quire_uaddr_t addr)
{
	bool zeroes;
	struct quire_page *page = get_page(m->mm, addr, &zeroes);

	if (!page)
		return zeroes ? QUIRE_MOVED_ZEROES : QUIRE_MOVED_NOTHING;
	if (is_misplaced(m, page))
		return move(m, vma, addr, page);
	(void)quire_page_put(m->mm->q, page);
	return QUIRE_MOVED_HERE;
}

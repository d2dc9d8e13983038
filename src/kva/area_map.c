/* SPDX-License-Identifier: MIT */
/*
 * The entries behind an area: set when it is given pages or frames, emptied when it goes. Called by the other files of
 * src/kva/. The range is the caller's alone; the tables are not: neighbours' entries stand in them, and
 * an empty table may be taken away by somebody else's failed attempt, so whoever finds none makes one again.
 */
#include "area.h"

#define LARGE_LEVEL 1u

bool quire_area_rights_ok(quire_ptebits_t rights)
{
	const quire_ptebits_t both = QUIRE_PTE_WRITE | QUIRE_PTE_EXEC;

	return (rights & QUIRE_PTE_READ) && !(rights & ~(QUIRE_PTE_READ | both)) &&
	       (rights & both) != both;
}

/*
 * Not in the root where every space has a copy of it: what a copy once says must stay true for ever.
 */
unsigned quire_area_large_order(struct quire *q)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;

	if (!(q->kva.layout.large_levels >> LARGE_LEVEL & 1) ||
	    (LARGE_LEVEL == fmt->levels - 1u && !fmt->kernel_apart))
		return 0;
	return fmt->shift[LARGE_LEVEL] - QUIRE_PAGE_SHIFT;
}

/* ---- Setting ----------------------------------------------------------------------------- */

struct setting {
	/* input */
	struct quire *q;
	quire_kaddr_t start, end;
	const struct area_frames *frames;
	quire_ptebits_t bits;
	enum quire_cache_mode mode;
	unsigned large_order;
	/* derived */
	struct quire_cursor c;
};

static quire_pfn_t frame_at(const struct setting *s, quire_kaddr_t addr)
{
	uint64_t i = (addr - s->start) >> QUIRE_PAGE_SHIFT;

	return s->frames->pages ? quire_page_to_pfn(s->q, s->frames->pages[i]) : s->frames->pfn + i;
}

/* Can one leaf map what is at addr and behind it? */
static bool is_large(const struct setting *s, quire_kaddr_t addr)
{
	uint64_t pages = UINT64_C(1) << s->large_order, size = pages << QUIRE_PAGE_SHIFT, i;

	if (!s->large_order || (addr & (size - 1)) || size > s->end - addr ||
	    (frame_at(s, addr) & (pages - 1)))
		return false;
	if (s->frames->pages) {
		struct quire_page *const *page =
			s->frames->pages + ((addr - s->start) >> QUIRE_PAGE_SHIFT);

		/* A block, or what has been one. */
		for (i = 1; i < pages; i++) {
			if (page[i] != page[0] + i)
				return false;
		}
	}
	return true;
}

static quire_pte_t entry_for(const struct setting *s, quire_kaddr_t addr, unsigned level)
{
	return quire_kernel_pte(s->q, frame_at(s, addr), s->bits, s->mode, level);
}

/* Small leaves as far as the cursor's table reaches, or to where a large one begins. */
static quire_kaddr_t set_small(struct setting *s, quire_kaddr_t addr)
{
	do {
		quire_pte_t pte = entry_for(s, addr, 0);

		/* A GUARD is not empty for the tables. */
		if (quire_cursor_get(&s->c, addr) == 0)
			quire_cursor_set(&s->c, addr, pte);
		else
			(void)quire_cursor_replace(&s->c, addr, pte);
		addr += QUIRE_PAGE_SIZE;
	} while (addr < s->c.leaf_end && !is_large(s, addr));
	return addr;
}

/* One large leaf at *addr, which goes behind it. A table that small leaves have left there goes first. */
static int set_large(struct setting *s, quire_kaddr_t *addr)
{
	struct quire_pgtable *pt = &s->q->kva.pt;
	uint64_t size = QUIRE_PAGE_SIZE << s->large_order;
	unsigned level;
	int err;

	quire_cursor_leave(&s->c);
	(void)quire_kernel_look(s->q, *addr, &level);
	if (level < LARGE_LEVEL) {
		quire_tables_trim(pt, *addr, *addr + size);
		(void)quire_kernel_look(s->q, *addr, &level);
	}
	if (level < LARGE_LEVEL) {
		/* It is in use, though nothing of the caller's is in it: leave it. */
		s->large_order = 0;
		return 0;
	}
	err = quire_tables_populate_level(pt, *addr, *addr + size, LARGE_LEVEL);
	if (err || !quire_cursor_seek_level(&s->c, *addr, LARGE_LEVEL))
		return err;
	quire_cursor_set(&s->c, *addr, entry_for(s, *addr, LARGE_LEVEL));
	*addr += size;
	return 0;
}

/* Make tables from addr on, up to where large leaves may begin again. */
static int make_tables(struct setting *s, quire_kaddr_t addr)
{
	quire_kaddr_t stop = s->end;

	if (s->large_order) {
		quire_kaddr_t last = addr | ((QUIRE_PAGE_SIZE << s->large_order) - 1);

		if (last < s->end)
			stop = last + 1;
	}
	quire_cursor_leave(&s->c);
	return quire_tables_populate(&s->q->kva.pt, addr, stop);
}

int quire_area_map(struct quire *q, quire_kaddr_t addr, const struct area_frames *frames,
		   uint64_t nr, quire_ptebits_t bits, enum quire_cache_mode mode,
		   unsigned large_order)
{
	struct setting s = {
		.q = q,
		.start = addr,
		.end = addr + (nr << QUIRE_PAGE_SHIFT),
		.frames = frames,
		.bits = bits,
		.mode = mode,
		.large_order = large_order,
	};
	int err = 0;

	quire_cursor_open(&s.c, &q->kva.pt, s.start, s.end, QUIRE_CURSOR_LAZY);
	/* All small ones' tables first, unless one table does that is there: then failure has set nothing. */
	if (!large_order && !(quire_cursor_seek(&s.c, addr) && s.c.leaf_end == s.end))
		err = make_tables(&s, addr);
	while (addr < s.end && !err) {
		if (is_large(&s, addr))
			err = set_large(&s, &addr);
		else if (quire_cursor_seek(&s.c, addr))
			addr = set_small(&s, addr);
		else
			err = make_tables(&s, addr);
	}
	quire_cursor_close(&s.c);
	return err;
}

/* ---- Emptying ---------------------------------------------------------------------------- */

/* The used entries of the table that the cursor stands in, from addr to its end. */
static uint64_t empty_table(struct quire_cursor *c, quire_kaddr_t addr)
{
	const struct quire_pgfmt *fmt = c->pt->fmt;
	uint64_t mapped = 0;

	for (addr = quire_cursor_next_used(c, addr); addr < c->leaf_end;
	     addr = quire_cursor_next_used(c, addr + QUIRE_PAGE_SIZE)) {
		if (quire_pte_kind(fmt, quire_cursor_clear(c, addr)) == QUIRE_PTE_PAGE)
			mapped++;
	}
	return mapped;
}

/* What stands at addr above the small leaves: a large one goes, nothing is passed over. *addr goes behind it. */
static uint64_t empty_large(struct quire_cursor *c, quire_kaddr_t *addr)
{
	const struct quire_pgfmt *fmt = c->pt->fmt;
	unsigned level;
	quire_pte_t pte = quire_kernel_look(c->pt->q, *addr, &level);
	uint64_t mapped = 0;

	/* A table has appeared meanwhile: a neighbour's. */
	if (level == 0)
		return 0;
	if (pte && quire_cursor_seek_level(c, *addr, level)) {
		(void)quire_cursor_clear(c, *addr);
		mapped = UINT64_C(1) << (fmt->shift[level] - QUIRE_PAGE_SHIFT);
	}
	*addr = quire_behind_entry(fmt, level, *addr, c->end);
	return mapped;
}

uint64_t quire_area_unmap(struct quire *q, quire_kaddr_t start, quire_kaddr_t end, uint32_t flags)
{
	struct quire_cursor c;
	uint64_t mapped = 0;

	quire_cursor_open(&c, &q->kva.pt, start, end, flags);
	while (start < end) {
		if (quire_cursor_seek(&c, start)) {
			mapped += empty_table(&c, start);
			start = c.leaf_end;
		} else {
			mapped += empty_large(&c, &start);
		}
	}
	quire_cursor_close(&c);
	return mapped;
}

bool quire_area_is_mapped(struct quire *q, quire_kaddr_t start, quire_kaddr_t end)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;

	while (start < end) {
		unsigned level;
		quire_pte_t pte = quire_kernel_look(q, start, &level);

		if (quire_pte_kind(fmt, pte) == QUIRE_PTE_PAGE)
			return true;
		start = quire_behind_entry(fmt, level, start, end);
	}
	return false;
}

bool quire_area_is_all_mapped(struct quire *q, quire_kaddr_t start, quire_kaddr_t end)
{
	const struct quire_pgfmt *fmt = q->kva.pt.fmt;
	unsigned level;

	for (; start < end; start = quire_behind_entry(fmt, level, start, end)) {
		if (quire_pte_kind(fmt, quire_kernel_look(q, start, &level)) != QUIRE_PTE_PAGE)
			return false;
	}
	return true;
}

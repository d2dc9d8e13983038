/* SPDX-License-Identifier: MIT */
/*
 * Rights and cache modes of mapped kernel memory: set_memory_*(). Called by hosts (modules, their own
 * image, devices) and by vmalloc for pages that go back to the allocator. Never maps or unmaps a page.
 *
 * check   every page of the range is mapped, and none would be both written and executed
 * reserve large leaves that the range cuts are split, in the direct map too where it follows
 * change  entries replaced one by one, one flush at the end: nothing can fail
 *
 *	direct map   |------- 2 MiB ------|          a page in the middle becomes read-only
 *	split        |-|-|-|-|-|-|-|-|-|-|-|         512 leaves that say the same
 *	changed      |-|-|-|-|r|-|-|-|-|-|-|
 */
#include "internal.h"

/* What is asked of every page. */
struct change {
	/* input */
	struct quire *q;
	quire_kaddr_t start, end;
	quire_ptebits_t give, take; /* of READ, WRITE, EXEC; READ taken: not present */
	bool has_mode;
	enum quire_cache_mode mode;
};

/* ---- One entry --------------------------------------------------------------------------- */

static quire_pte_t changed(const struct change *ch, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ch->q->kva.pt.fmt;

	pte = quire_pte_remove(fmt, quire_pte_add(fmt, pte, ch->give), ch->take);
	return ch->has_mode ? quire_pte_set_cache(fmt, pte, ch->mode) : pte;
}

/* What the entry will have besides READ, which a page that is not present keeps in mind too. */
static bool is_allowed(const struct change *ch, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ch->q->kva.pt.fmt;
	const quire_ptebits_t both = QUIRE_PTE_WRITE | QUIRE_PTE_EXEC;

	return quire_pte_kind(fmt, pte) == QUIRE_PTE_PAGE &&
	       (quire_pte_bits(fmt, changed(ch, pte)) & both) != both;
}

/* ---- Splitting --------------------------------------------------------------------------- */

/* The leaf over addr, at level, becomes leaves one level lower. */
static int cut(struct quire *q, quire_kaddr_t addr, unsigned level)
{
	struct quire_kva *kva = &q->kva;
	int err = quire_tables_split(&kva->pt, addr, level - 1);

	if (!err && quire_is_direct(&kva->layout, addr)) {
		kva->direct_pages[level]--;
		kva->direct_pages[level - 1] += UINT64_C(1) << kva->pt.fmt->bits[level - 1];
	}
	return err;
}

/* No leaf reaches over addr from before it. */
static int cut_at(struct quire *q, quire_kaddr_t addr)
{
	const struct quire_pgtable *pt = &q->kva.pt;
	unsigned level;
	int err = 0;

	while (!err && addr < pt->end && quire_kernel_look(q, addr, &level) && level > 0 &&
	       (addr & ((UINT64_C(1) << pt->fmt->shift[level]) - 1)) != 0)
		err = cut(q, addr, level);
	return err;
}

/* Where in the direct map is the page at addr, if that is not where it is anyway? 0: nowhere. */
static quire_kaddr_t alias_of(struct quire *q, quire_kaddr_t addr)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	quire_paddr_t pa;
	unsigned level;

	if (quire_is_direct(l, addr) || !quire_kernel_translate(q, addr, &pa) ||
	    pa >= l->high_memory - l->page_offset ||
	    !quire_kernel_look(q, l->page_offset + pa, &level))
		return 0;
	return quire_page_down(l->page_offset + pa);
}

/* Only areas of ordinary pages have aliases that matter: not what a host has mapped, nor devices. */
static bool has_aliases(const struct change *ch)
{
	return quire_is_vmalloc(&ch->q->kva.layout, ch->start) &&
	       (ch->has_mode || ((ch->give | ch->take) & QUIRE_PTE_WRITE)) &&
	       !((ch->give | ch->take) & QUIRE_PTE_READ);
}

/*
 * Leaves of the range that must not stay as large as they are. Only small ones can be absent: the walk to a large
 * one would not know it from an empty entry. And one in the root would have to be changed in every root.
 */
static int split_within(const struct change *ch)
{
	const struct quire_pgfmt *fmt = ch->q->kva.pt.fmt;
	const bool pages = ((ch->give | ch->take) & QUIRE_PTE_READ) != 0;
	quire_kaddr_t addr = ch->start;
	unsigned level;
	int err = 0;

	while (!err && addr < ch->end) {
		(void)quire_kernel_look(ch->q, addr, &level);
		if (level > 0 && (pages || level == fmt->levels - 1u))
			err = cut(ch->q, addr, level);
		else
			addr = quire_behind_entry(fmt, level, addr, ch->end);
	}
	return err;
}

static int reserve(const struct change *ch)
{
	struct quire *q = ch->q;
	quire_kaddr_t addr, alias;
	int err = cut_at(q, ch->start);

	if (!err)
		err = cut_at(q, ch->end);
	if (!err)
		err = split_within(ch);
	for (addr = ch->start; !err && has_aliases(ch) && addr < ch->end; addr += QUIRE_PAGE_SIZE) {
		alias = alias_of(q, addr);
		if (alias)
			err = cut_at(q, alias);
		if (alias && !err)
			err = cut_at(q, alias + QUIRE_PAGE_SIZE);
	}
	return err;
}

/* ---- Changing ---------------------------------------------------------------------------- */

/* Every leaf of [addr, end), which sticks out on neither side. */
static void apply(const struct change *ch, quire_kaddr_t addr, quire_kaddr_t end)
{
	struct quire_pgtable *pt = &ch->q->kva.pt;
	struct quire_cursor c;
	unsigned level;

	quire_cursor_open(&c, pt, addr, end, 0);
	while (addr < end) {
		quire_pte_t pte = quire_kernel_look(ch->q, addr, &level);

		if (pte != 0 && quire_cursor_seek_level(&c, addr, level)) {
			pte = quire_cursor_get(&c, addr);
			if (changed(ch, pte) != pte)
				(void)quire_cursor_replace(&c, addr, changed(ch, pte));
		}
		addr = quire_behind_entry(pt->fmt, level, addr, end);
	}
	quire_cursor_close(&c);
}

/* The direct map never becomes executable with an alias of its. */
static void apply_to_aliases(const struct change *ch)
{
	struct change alias = *ch;
	quire_kaddr_t addr, at;

	alias.give &= ~QUIRE_PTE_EXEC;
	alias.take &= ~QUIRE_PTE_EXEC;
	for (addr = ch->start; addr < ch->end; addr += QUIRE_PAGE_SIZE) {
		at = alias_of(ch->q, addr);
		if (at)
			apply(&alias, at, at + QUIRE_PAGE_SIZE);
	}
}

static int change(struct change *ch, uint64_t nr_pages)
{
	struct quire *q = ch->q;
	const struct quire_pgtable *pt = &q->kva.pt;
	quire_kaddr_t addr = ch->start;
	unsigned level;
	int err = 0;

	if (!q->kva.layout.page_offset || (addr & ~QUIRE_PAGE_MASK) || addr < pt->lowest ||
	    addr >= pt->end || nr_pages > (pt->end - addr) >> QUIRE_PAGE_SHIFT)
		return -QUIRE_EINVAL;
	if (!nr_pages)
		return 0;
	ch->end = addr + (nr_pages << QUIRE_PAGE_SHIFT);
	quire_mutex_lock(q, &q->kva.lock);
	for (; addr < ch->end && !err; addr = quire_behind_entry(pt->fmt, level, addr, ch->end))
		err = is_allowed(ch, quire_kernel_look(q, addr, &level)) ? 0 : -QUIRE_EINVAL;
	if (!err)
		err = reserve(ch);
	if (!err) {
		/* Rights that an alias loses go before those that the area gains. */
		if (has_aliases(ch))
			apply_to_aliases(ch);
		apply(ch, ch->start, ch->end);
	}
	quire_mutex_unlock(q, &q->kva.lock);
	return err;
}

static int change_rights(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages,
			 quire_ptebits_t give, quire_ptebits_t take)
{
	struct change ch = {.q = q, .start = addr, .give = give, .take = take};

	return change(&ch, nr_pages);
}

static int change_mode(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages,
		       enum quire_cache_mode mode)
{
	struct change ch = {.q = q, .start = addr, .has_mode = true, .mode = mode};

	return change(&ch, nr_pages);
}

int quire_set_memory_ro(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_rights(q, addr, nr_pages, 0, QUIRE_PTE_WRITE);
}

int quire_set_memory_rw(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_rights(q, addr, nr_pages, QUIRE_PTE_WRITE, 0);
}

int quire_set_memory_x(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_rights(q, addr, nr_pages, QUIRE_PTE_EXEC, 0);
}

int quire_set_memory_nx(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_rights(q, addr, nr_pages, 0, QUIRE_PTE_EXEC);
}

int quire_set_memory_rox(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_rights(q, addr, nr_pages, QUIRE_PTE_EXEC, QUIRE_PTE_WRITE);
}

int quire_set_memory_np(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_rights(q, addr, nr_pages, 0, QUIRE_PTE_READ);
}

int quire_set_memory_p(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_rights(q, addr, nr_pages, QUIRE_PTE_READ, 0);
}

int quire_set_memory_uc(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_mode(q, addr, nr_pages, QUIRE_CACHE_UC);
}

int quire_set_memory_wc(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_mode(q, addr, nr_pages, QUIRE_CACHE_WC);
}

int quire_set_memory_wb(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages)
{
	return change_mode(q, addr, nr_pages, QUIRE_CACHE_WB);
}

/* ---- Pages on their way back ------------------------------------------------------------- */

void quire_direct_reset(struct quire *q, struct quire_page *const *pages, uint64_t nr)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	struct change ch = {
		.q = q, .give = QUIRE_PTE_WRITE, .has_mode = true, .mode = QUIRE_CACHE_WB};
	uint64_t i;

	quire_mutex_lock(q, &q->kva.lock);
	for (i = 0; i < nr; i++) {
		quire_kaddr_t addr =
			l->page_offset + (quire_page_to_pfn(q, pages[i]) << QUIRE_PAGE_SHIFT);

		if (quire_is_direct(l, addr))
			apply(&ch, addr, addr + QUIRE_PAGE_SIZE);
	}
	quire_mutex_unlock(q, &q->kva.lock);
}

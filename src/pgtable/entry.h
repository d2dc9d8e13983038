/* SPDX-License-Identifier: MIT */
/*
 * What one entry says, in line, for rooms that ask it of many entries: what quire_pte_*() say, which have
 * their bodies here. And a change of many entries, of which all is worked out beforehand that does not depend on the entry.
 */
#ifndef QUIRE_PGTABLE_ENTRY_H
#define QUIRE_PGTABLE_ENTRY_H

#include <quire/pgtable.h>

/*
 * A build for a single format names it, -DQUIRE_PGFMT=quire_pgfmt_x86_64, and link-time optimisation then folds its
 * fields into the code. A build for formats that differ in how many levels they have, and in no more than follows from
 * that, names the deepest, -DQUIRE_PGFMT_DEEPEST=quire_pgfmt_x86_64_5level, and has the rest folded: ENTRY_FMT() is for
 * what is common to them, entries and the places of levels.
 */
#if defined(QUIRE_PGFMT)
#define FMT(fmt) ((void)(fmt), &QUIRE_PGFMT)
#define ENTRY_FMT(fmt) FMT(fmt)
#elif defined(QUIRE_PGFMT_DEEPEST)
#define FMT(fmt) (fmt)
#define ENTRY_FMT(fmt) ((void)(fmt), &QUIRE_PGFMT_DEEPEST)
#else
#define FMT(fmt) (fmt)
#define ENTRY_FMT(fmt) (fmt)
#endif

#define RIGHTS                                                                                     \
	(QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_EXEC | QUIRE_PTE_USER | QUIRE_PTE_GLOBAL)
#define ALL_PTE_BITS ((1u << QUIRE_PTE_NR_BITS) - 1)

/* One after the other, so that what is asked of a known format and of known bits is worked out by the compiler. */
#define FOR_EACH_PTE_BIT(do)                                                                       \
	do                                                                                         \
	(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9)
_Static_assert(QUIRE_PTE_NR_BITS == 10, "as many as FOR_EACH_PTE_BIT() has");

/* ---- What an entry says ---------------------------------------------------------------------- */

/* The hardware can use it, as a leaf. */
static inline bool pte_present(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);

	return (pte & fmt->present) == fmt->present;
}

static inline bool pte_is_page(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);

	return pte_present(fmt, pte) || (pte & fmt->protnone);
}

static inline enum quire_pte_kind pte_kind(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);

	if (pte == 0)
		return QUIRE_PTE_EMPTY;
	if (pte_is_page(fmt, pte))
		return QUIRE_PTE_PAGE;
	return (enum quire_pte_kind)((pte & fmt->soft_kind) >> quire_ffs64(fmt->soft_kind));
}

static inline quire_pfn_t pte_pfn(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);

	return (pte & fmt->address) >> quire_ffs64(fmt->address);
}

/* One right or mark, by its number. */
static inline bool pte_has_bit(const struct quire_pgfmt *fmt, quire_pte_t pte, unsigned i)
{
	quire_pte_t grant = fmt->bit[i].grant, deny = fmt->bit[i].deny;

	return (pte & (grant | deny)) == grant && (grant | deny);
}

/* What the hardware said by clearing the bit that kept stores away becomes a mark of our own. */
static inline quire_pte_t pte_absorb_dirty(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	if (fmt->clean && !(pte & fmt->clean) &&
	    pte_has_bit(fmt, pte, quire_ffs64(QUIRE_PTE_WRITE)))
		pte |= fmt->bit[quire_ffs64(QUIRE_PTE_DIRTY)].grant;
	return pte;
}

/* Of an entry that is known to map a page: quire_pte_has(). */
static inline __attribute__((always_inline)) bool
pte_page_has(const struct quire_pgfmt *format, quire_pte_t pte, quire_ptebits_t bits)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);
	quire_pte_t grant = 0, deny = 0;
	bool sayable = true;

	if ((bits & QUIRE_PTE_READ) && !pte_present(fmt, pte))
		return false;
	if (bits & QUIRE_PTE_DIRTY)
		pte = pte_absorb_dirty(fmt, pte);
#define ASK(i)                                                                                     \
	if (bits >> (i)&1) {                                                                       \
		grant |= fmt->bit[i].grant;                                                        \
		deny |= fmt->bit[i].deny;                                                          \
		sayable = sayable && (fmt->bit[i].grant | fmt->bit[i].deny);                       \
	}
	FOR_EACH_PTE_BIT(ASK)
#undef ASK
	return sayable && (pte & (grant | deny)) == grant;
}

static inline bool pte_has(const struct quire_pgfmt *format, quire_pte_t pte, quire_ptebits_t bits)
{
	return pte_is_page(format, pte) ? pte_page_has(format, pte, bits) : bits == 0;
}

/* Not present, but with the right of users, which a page that nobody may touch does not have: entry_hide(). */
static inline bool pte_is_hidden(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	return !pte_present(fmt, pte) && pte_has(fmt, pte, QUIRE_PTE_USER);
}

/* ---- Changes --------------------------------------------------------------------------------- */

/*
 * To an entry that maps a page. First set and clear; then the bits that follow from others; then presence: only what can be
 * read is present, what cannot is kept where the hardware does not look.
 */
struct pte_change {
	quire_pte_t clear, set;
	quire_pte_t hide, show;
};

/*
 * Give and take marks and rights; bits in neither stay. READ aside, its part in presence is made by pte_change_presence().
 * Sets what giving sets and taking denies, clears the reverse; formats have no bit in two places, so the order does
 * not matter.
 */
static inline __attribute__((always_inline)) struct pte_change
pte_change(const struct quire_pgfmt *format, quire_ptebits_t give, quire_ptebits_t take)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);
	struct pte_change c = {0, 0, 0, 0};

#define ADD(i)                                                                                     \
	if (give >> (i)&1) {                                                                       \
		c.set |= fmt->bit[i].grant;                                                        \
		c.clear |= fmt->bit[i].deny;                                                       \
	}                                                                                          \
	if (take >> (i)&1) {                                                                       \
		c.set |= fmt->bit[i].deny;                                                         \
		c.clear |= fmt->bit[i].grant;                                                      \
	}
	FOR_EACH_PTE_BIT(ADD)
#undef ADD
	return c;
}

static inline struct pte_change pte_change_presence(const struct quire_pgfmt *format,
						    struct pte_change c, bool readable)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);

	c.hide = readable ? fmt->protnone : fmt->present;
	c.show = readable ? fmt->present : fmt->protnone;
	return c;
}

/* What quire_pte_remove() makes of entries. */
static inline struct pte_change pte_removal(const struct quire_pgfmt *format, quire_ptebits_t bits)
{
	struct pte_change c = pte_change(format, 0, bits & ALL_PTE_BITS);

	return bits & QUIRE_PTE_READ ? pte_change_presence(format, c, false) : c;
}

/* What quire_pte_add() makes of entries. */
static inline struct pte_change pte_addition(const struct quire_pgfmt *format, quire_ptebits_t bits)
{
	struct pte_change c = pte_change(format, bits & ALL_PTE_BITS, 0);

	return bits & QUIRE_PTE_READ ? pte_change_presence(format, c, true) : c;
}

/* The bits that follow from others. */
static inline quire_pte_t pte_set_vetoes(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	unsigned v;

	for (v = 0; v < QUIRE_NR_VETOES && fmt->veto[v].set; v++) {
		const struct quire_pteveto *veto = &fmt->veto[v];
		quire_ptebits_t left;
		bool free = true;

		for (left = veto->with | veto->without; left; left &= left - 1) {
			unsigned i = quire_ffs64(left);

			free &= pte_has_bit(fmt, pte, i) == ((veto->with >> i & 1) != 0);
		}
		pte = free ? pte & ~veto->set : pte | veto->set;
	}
	return pte;
}

static inline quire_pte_t pte_changed(const struct quire_pgfmt *format, struct pte_change c,
				      quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);

	pte = pte_absorb_dirty(fmt, pte);
	pte = (pte & ~c.clear) | c.set;
	pte = pte_set_vetoes(fmt, pte);
	return (pte & ~c.hide) | c.show;
}

/* quire_pte_make(): an entry that says nothing, and then what is given. */
static inline quire_pte_t pte_make(const struct quire_pgfmt *format, quire_pfn_t pfn,
				   quire_ptebits_t bits)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);
	struct pte_change c = pte_change(fmt, 0, ALL_PTE_BITS);
	quire_pte_t pte = ((pfn << quire_ffs64(fmt->address)) & fmt->address) | fmt->leaf;

	if (!(bits & QUIRE_PTE_READ))
		bits &= ~RIGHTS;
	pte = (pte & ~c.clear) | c.set;
#define GIVE(i)                                                                                    \
	if (bits >> (i)&1)                                                                         \
		pte = (pte & ~fmt->bit[i].deny) | fmt->bit[i].grant;
	FOR_EACH_PTE_BIT(GIVE)
#undef GIVE
	pte = pte_set_vetoes(fmt, pte);
	return bits & QUIRE_PTE_READ ? (pte & ~fmt->protnone) | fmt->present
				     : (pte & ~fmt->present) | fmt->protnone;
}

#endif

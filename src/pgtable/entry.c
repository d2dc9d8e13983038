/* SPDX-License-Identifier: MIT */
/*
 * What one entry says, and how to write one: from the format's data alone. Called by everybody who
 * looks at entries; never touches a table.
 */
#include "internal.h"

static bool has(const struct quire_pgfmt *fmt, quire_pte_t pte, unsigned i)
{
	quire_pte_t grant = fmt->bit[i].grant, deny = fmt->bit[i].deny;

	return (pte & (grant | deny)) == grant && (grant | deny);
}

/* What the hardware said by clearing the bit that kept stores away becomes a mark of our own. */
static quire_pte_t absorb_dirty(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	if (fmt->clean && !(pte & fmt->clean) && has(fmt, pte, quire_ffs64(QUIRE_PTE_WRITE)))
		pte |= fmt->bit[quire_ffs64(QUIRE_PTE_DIRTY)].grant;
	return pte;
}

/* The bits that follow from others. */
static quire_pte_t set_vetoes(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	unsigned v;

	for (v = 0; v < QUIRE_NR_VETOES && fmt->veto[v].set; v++) {
		const struct quire_pteveto *veto = &fmt->veto[v];
		quire_ptebits_t left;
		bool free = true;

		for (left = veto->with | veto->without; left; left &= left - 1) {
			unsigned i = quire_ffs64(left);

			free &= has(fmt, pte, i) == ((veto->with >> i & 1) != 0);
		}
		pte = free ? pte & ~veto->set : pte | veto->set;
	}
	return pte;
}

/*
 * Give and take marks and rights, READ's part in presence aside. Sets what giving sets and taking
 * denies, clears the reverse; formats have no bit in two places, so the order does not matter.
 */
static quire_pte_t change(const struct quire_pgfmt *fmt, quire_pte_t pte, quire_ptebits_t give,
			  quire_ptebits_t take)
{
	quire_pte_t set = 0, clear = 0;
	quire_ptebits_t left;

	pte = absorb_dirty(fmt, pte);
	for (left = give; left; left &= left - 1) {
		const struct quire_ptebit *b = &fmt->bit[quire_ffs64(left)];

		set |= b->grant;
		clear |= b->deny;
	}
	for (left = take; left; left &= left - 1) {
		const struct quire_ptebit *b = &fmt->bit[quire_ffs64(left)];

		set |= b->deny;
		clear |= b->grant;
	}
	return set_vetoes(fmt, (pte & ~clear) | set);
}

/* Only what can be read is present; what cannot is kept where the hardware does not look. */
static quire_pte_t set_presence(const struct quire_pgfmt *fmt, quire_pte_t pte, bool readable)
{
	if (readable)
		return (pte & ~fmt->protnone) | fmt->present;
	return (pte & ~fmt->present) | fmt->protnone;
}

#define ALL_BITS ((1u << QUIRE_PTE_NR_BITS) - 1)

quire_pte_t quire_pte_make(const struct quire_pgfmt *format, quire_pfn_t pfn, quire_ptebits_t bits)
{
	const struct quire_pgfmt *fmt = FMT(format);
	quire_pte_t pte = (pfn << quire_ffs64(fmt->address)) & fmt->address;

	if (!(bits & QUIRE_PTE_READ))
		bits &= ~RIGHTS;
	pte = change(fmt, pte | fmt->leaf, bits & ALL_BITS, ALL_BITS & ~bits);
	return set_presence(fmt, pte, bits & QUIRE_PTE_READ);
}

enum quire_pte_kind quire_pte_kind(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = FMT(format);

	if (pte == 0)
		return QUIRE_PTE_EMPTY;
	if (pte_present(fmt, pte) || (pte & fmt->protnone))
		return QUIRE_PTE_PAGE;
	return (enum quire_pte_kind)((pte & fmt->soft_kind) >> quire_ffs64(fmt->soft_kind));
}

quire_pfn_t quire_pte_pfn(const struct quire_pgfmt *format, quire_pte_t pte)
{
	return pte_pfn(FMT(format), pte);
}

quire_ptebits_t quire_pte_bits(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = FMT(format);
	quire_ptebits_t bits = 0;
	unsigned i;

	if (!pte_present(fmt, pte) && !(pte & fmt->protnone))
		return 0;
	pte = absorb_dirty(fmt, pte);
	for (i = 0; i < QUIRE_PTE_NR_BITS; i++) {
		if (has(fmt, pte, i))
			bits |= 1u << i;
	}
	return pte_present(fmt, pte) ? bits : bits & ~QUIRE_PTE_READ;
}

/* The modes of a format take each other's place, so all bits of any are the field. */
static quire_pte_t cache_field(const struct quire_pgfmt *fmt)
{
	quire_pte_t field = 0;
	unsigned mode;

	for (mode = 0; mode < QUIRE_NR_CACHE_MODES; mode++)
		field |= fmt->cache[mode];
	return field;
}

quire_pte_t quire_pte_set_cache(const struct quire_pgfmt *format, quire_pte_t pte, enum quire_cache_mode mode)
{
	const struct quire_pgfmt *fmt = FMT(format);

	return (pte & ~cache_field(fmt)) | fmt->cache[mode];
}

enum quire_cache_mode quire_pte_cache(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = FMT(format);
	quire_pte_t field = cache_field(fmt);
	unsigned mode = QUIRE_NR_CACHE_MODES - 1;

	while (mode > 0 && (field == 0 || (pte & field) != fmt->cache[mode]))
		mode--;
	return (enum quire_cache_mode)mode;
}

quire_pte_t quire_pte_modify(const struct quire_pgfmt *format, quire_pte_t pte,
			     quire_ptebits_t rights)
{
	const struct quire_pgfmt *fmt = FMT(format);

	rights = rights & QUIRE_PTE_READ ? rights & RIGHTS : 0;
	pte = change(fmt, pte, rights, RIGHTS & ~rights);
	return set_presence(fmt, pte, rights & QUIRE_PTE_READ);
}

quire_pte_t quire_pte_add(const struct quire_pgfmt *format, quire_pte_t pte, quire_ptebits_t bits)
{
	const struct quire_pgfmt *fmt = FMT(format);

	pte = change(fmt, pte, bits & ALL_BITS, 0);
	return bits & QUIRE_PTE_READ ? set_presence(fmt, pte, true) : pte;
}

quire_pte_t quire_pte_remove(const struct quire_pgfmt *format, quire_pte_t pte,
			     quire_ptebits_t bits)
{
	const struct quire_pgfmt *fmt = FMT(format);

	pte = change(fmt, pte, 0, bits & ALL_BITS);
	return bits & QUIRE_PTE_READ ? set_presence(fmt, pte, false) : pte;
}

quire_pte_t quire_pte_soft(const struct quire_pgfmt *format, enum quire_pte_kind kind,
			   uint64_t payload)
{
	const struct quire_pgfmt *fmt = FMT(format);

	return ((quire_pte_t)kind << quire_ffs64(fmt->soft_kind)) |
	       ((payload << quire_ffs64(fmt->soft_payload)) & fmt->soft_payload);
}

uint64_t quire_pte_payload(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = FMT(format);

	return (pte & fmt->soft_payload) >> quire_ffs64(fmt->soft_payload);
}

/* SPDX-License-Identifier: MIT */
/*
 * What one entry says, and how to write one: from the format's data alone. Called by everybody who
 * looks at entries; never touches a table.
 */
#include "internal.h"

quire_pte_t quire_pte_make(const struct quire_pgfmt *fmt, quire_pfn_t pfn, quire_ptebits_t bits)
{
	return pte_make(fmt, pfn, bits);
}

enum quire_pte_kind quire_pte_kind(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	return pte_kind(fmt, pte);
}

quire_pfn_t quire_pte_pfn(const struct quire_pgfmt *fmt, quire_pte_t pte)
{
	return pte_pfn(fmt, pte);
}

quire_ptebits_t quire_pte_bits(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);
	quire_ptebits_t bits = 0;

	if (!pte_is_page(fmt, pte))
		return 0;
	pte = pte_absorb_dirty(fmt, pte);
#define ASK(i) bits |= pte_has_bit(fmt, pte, i) ? 1u << (i) : 0;
	FOR_EACH_PTE_BIT(ASK)
#undef ASK
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
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);

	return (pte & ~cache_field(fmt)) | fmt->cache[mode];
}

enum quire_cache_mode quire_pte_cache(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);
	quire_pte_t field = cache_field(fmt);
	unsigned mode = QUIRE_NR_CACHE_MODES - 1;

	while (mode > 0 && (field == 0 || (pte & field) != fmt->cache[mode]))
		mode--;
	return (enum quire_cache_mode)mode;
}

quire_pte_t quire_pte_modify(const struct quire_pgfmt *fmt, quire_pte_t pte, quire_ptebits_t rights)
{
	rights = rights & QUIRE_PTE_READ ? rights & RIGHTS : 0;
	return pte_changed(fmt,
			   pte_change_presence(fmt, pte_change(fmt, rights, RIGHTS & ~rights),
					       (rights & QUIRE_PTE_READ) != 0),
			   pte);
}

quire_pte_t quire_pte_add(const struct quire_pgfmt *fmt, quire_pte_t pte, quire_ptebits_t bits)
{
	return pte_changed(fmt, pte_addition(fmt, bits), pte);
}

quire_pte_t quire_pte_remove(const struct quire_pgfmt *fmt, quire_pte_t pte, quire_ptebits_t bits)
{
	return pte_changed(fmt, pte_removal(fmt, bits), pte);
}

quire_pte_t quire_pte_soft(const struct quire_pgfmt *format, enum quire_pte_kind kind,
			   uint64_t payload)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);

	return ((quire_pte_t)kind << quire_ffs64(fmt->soft_kind)) |
	       ((payload << quire_ffs64(fmt->soft_payload)) & fmt->soft_payload);
}

uint64_t quire_pte_payload(const struct quire_pgfmt *format, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = ENTRY_FMT(format);

	return (pte & fmt->soft_payload) >> quire_ffs64(fmt->soft_payload);
}

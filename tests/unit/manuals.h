/* SPDX-License-Identifier: MIT */
/*
 * What the machines' manuals say about their page tables, written down a second time for the tests:
 * nothing here is taken from src/pgtable/format*.c. Used by pgformat.c, which compares entries, and
 * by pgtable.c, which reads tables as the hardware does.
 */
#ifndef QUIRE_TESTS_MANUALS_H
#define QUIRE_TESTS_MANUALS_H

#include <quire/quire.h>

#define MANUAL_EXAMPLES 6

struct manual {
	const struct quire_pgfmt *fmt;
	const char *name;
	/* tables, from the lowest level up */
	unsigned entry_bytes, levels, va_bits;
	bool va_signed;
	unsigned shift[QUIRE_MAX_LEVELS], bits[QUIRE_MAX_LEVELS];
	unsigned large_levels; /* mask of those that can have leaves */
	bool root_fixed;       /* its entries are copied into the processor with its address */
	uint64_t user_end;
	/* entries; bit 0 of each is 0: the hardware looks at no other */
	uint64_t address;      /* frame number */
	uint64_t software;     /* of a present entry: the hardware ignores it */
	uint64_t table, root;  /* all bits but the address of one that points to a table, in the root */
	quire_ptebits_t says;  /* what it has bits for, of READ to LARGE */
	unsigned payload_bits; /* that our entries must have room for */
	uint64_t cache[QUIRE_NR_CACHE_MODES]; /* PCD and PWT, or AttrIndx, of a leaf; all 0: it cannot say */
	bool kernel_apart;     /* the kernel's addresses have a root of their own */
	/* One that maps a page, with frame number 0 and software's bits 0; READ is in bits. */
	uint64_t (*entry)(quire_ptebits_t bits);
	/* What becomes of a present entry by an access, if the hardware marks them itself. */
	uint64_t (*used)(uint64_t entry, bool store);
	/* Whole entries of frame 0x12345, as an assembler's author would write them; bits 0 ends. */
	struct {
		quire_ptebits_t bits;
		uint64_t entry;
	} example[MANUAL_EXAMPLES];
};

extern const struct manual manuals[];
extern const unsigned nr_manuals;

static inline uint64_t manual_entry(const struct manual *man, uint64_t pfn, quire_ptebits_t bits)
{
	return man->entry(bits) | ((pfn << quire_ffs64(man->address)) & man->address);
}

#endif

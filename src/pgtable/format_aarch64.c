/* SPDX-License-Identifier: MIT */
/*
 * The page-table formats of AArch64, as format.c has those of x86. Arm Architecture Reference Manual
 * (DDI 0487), D8.2 "Translation process", D8.3 "Translation table descriptor formats", D8.4 "Memory
 * access control", D8.5 "Hardware updates to the translation tables"; stage 1, VMSAv8-64, addresses
 * of 48 bits on either side.
 *
 * A page descriptor (level 0 here, level 3 in the manual):
 *
 *   63  62   59 58  55 54  53  52 51  50 49 48 47                  12 11 10 9  8   7    6  5 4      2 1 0
 *  +---+-------+------+---+---+--+---+--+-----+----------------------+--+--+----+-----+-----+--+--------+-+-+
 *  |ign| PBHA  | soft |UXN|PXN|C |DBM|GP|  0  |output address 47:12  |nG|AF| SH |AP[2]|AP[1]|NS|AttrIndx|1|1|
 *  +---+-------+------+---+---+--+---+--+-----+----------------------+--+--+----+-----+-----+--+--------+-+-+
 *
 * A block (levels above) is the same with bit 1 = 0. An entry that points to a table has 1:0 = 3, the
 * address, and in 63:59 limits for all below, which stay 0. With granules of 16 and 64 KiB the
 * address begins at bit 14 and 16, and what lies between there and bit 12 is 0.
 *
 * AttrIndx is the number of a memory type in MAIR_EL1, where the host has 0 normal write-back memory, 1
 * normal memory that is not cached, and 2 Device-nGnRE. What stays the same in all leaves: SH 3, inner
 * shareable; Contiguous, GP, NS and PBHA 0.
 *
 * AP[2] says read-only, and keeps more than one thing. DBM marks what may be written, and a page
 * that may be written but is clean has AP[2] = 1 too. Hardware that marks pages (FEAT_HAFDBS,
 * TCR_EL1.HD) clears AP[2] at the first store where DBM is 1; other hardware ignores DBM and faults,
 * and the handler adds DIRTY. So AP[2] = 0 where DBM is 1 means dirty, and bit 55 keeps that when
 * the right to write goes. AF likewise, by hardware (TCR_EL1.HA) or by the handler.
 *
 * Who may execute stands in two bits: a page of USER's is UXN = 0 if it is EXEC, and always PXN = 1; one
 * of the kernel's the reverse. So bit 58 has EXEC itself.
 *
 * Where bit 0 is 0 the processor ignores all others. What those that it ignores mean here:
 *
 *   bit 0 = 1   bit 55   DIRTY    bit 57   LOCKED
 *               bit 56   SPECIAL  bit 58   EXEC
 *   bit 0 = 0   bit 63 = 1   a page that nobody may touch; all else as with bit 0 = 1
 *               bit 63 = 0   bits 4:2 enum quire_pte_kind, bits 58:12 payload
 *
 * User space has the whole range of TTBR0_EL1: the kernel's addresses, with ones above, have a root
 * of their own in TTBR1_EL1.
 */
#include <quire/pgtable.h>

#define A64_VALID (UINT64_C(1) << 0)
#define A64_TABLE_OR_PAGE (UINT64_C(1) << 1)
#define A64_AP1_USER (UINT64_C(1) << 6)
#define A64_AP2_READ_ONLY (UINT64_C(1) << 7)
#define A64_SH_INNER (UINT64_C(3) << 8)
#define A64_AF (UINT64_C(1) << 10)
#define A64_NG (UINT64_C(1) << 11)
#define A64_DBM (UINT64_C(1) << 51)
#define A64_PXN (UINT64_C(1) << 53)
#define A64_UXN (UINT64_C(1) << 54)
#define A64_SOFT_DIRTY (UINT64_C(1) << 55)
#define A64_SOFT_SPECIAL (UINT64_C(1) << 56)
#define A64_SOFT_LOCKED (UINT64_C(1) << 57)
#define A64_SOFT_EXEC (UINT64_C(1) << 58)
#define A64_SOFT_PROTNONE (UINT64_C(1) << 63)
#define A64_SOFT_KIND UINT64_C(0x1c)
#define A64_SOFT_PAYLOAD UINT64_C(0x07fffffffffff000)

/* What all have in common; the bits stand in the order of QUIRE_PTE_*. */
#define A64_ENTRY                                                      \
	.entry_bytes = 8,                                              \
	.va_bits = 48,                                                 \
	.present = A64_VALID,                                          \
	.protnone = A64_SOFT_PROTNONE,                                 \
	.leaf = A64_SH_INNER,                                          \
	.table = A64_VALID | A64_TABLE_OR_PAGE,                        \
	.table_root = A64_VALID | A64_TABLE_OR_PAGE,                   \
	.table_mask = A64_VALID | A64_TABLE_OR_PAGE,                   \
	.cache = { 0, UINT64_C(1) << 2, UINT64_C(2) << 2 },            \
	.kernel_apart = true,                                          \
	.bit = {                                                       \
		{ .grant = A64_VALID },         /* READ */             \
		{ .grant = A64_DBM },           /* WRITE */            \
		{ .grant = A64_SOFT_EXEC },     /* EXEC */             \
		{ .grant = A64_AP1_USER },      /* USER */             \
		{ .grant = A64_AF },            /* ACCESSED */         \
		{ .grant = A64_SOFT_DIRTY },    /* DIRTY */            \
		{ .deny = A64_NG },             /* GLOBAL */           \
		{ .deny = A64_TABLE_OR_PAGE },  /* LARGE */            \
		{ .grant = A64_SOFT_SPECIAL },  /* SPECIAL */          \
		{ .grant = A64_SOFT_LOCKED },   /* LOCKED */           \
	},                                                             \
	.veto = {                                                      \
		{ A64_AP2_READ_ONLY, .with = QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY }, \
		{ A64_UXN, .with = QUIRE_PTE_EXEC | QUIRE_PTE_USER },  \
		{ A64_PXN, .with = QUIRE_PTE_EXEC, .without = QUIRE_PTE_USER }, \
	},                                                             \
	.clean = A64_AP2_READ_ONLY,                                    \
	.soft_kind = A64_SOFT_KIND,                                    \
	.soft_payload = A64_SOFT_PAYLOAD,                              \
	.user_end = UINT64_C(0x0001000000000000)

/*
 *    47    39 38    30 29    21 20    12 11         0
 *   +--------+--------+--------+--------+------------+
 *   | level 3| level 2| level 1| level 0|   offset   |      blocks of 1 GiB and 2 MiB
 *   +--------+--------+--------+--------+------------+
 */
const struct quire_pgfmt quire_pgfmt_aarch64 = {
	.name = "aarch64",
	.levels = 4,
	.shift = { 12, 21, 30, 39 },
	.bits = { 9, 9, 9, 9 },
	.large_levels = 0x6,
	.address = UINT64_C(0x0000fffffffff000),
	A64_ENTRY,
};

/*
 *    47  46    36 35    25 24    14 13         0
 *   +---+--------+--------+--------+------------+
 *   |l 3| level 2| level 1| level 0|   offset   |           blocks of 32 MiB
 *   +---+--------+--------+--------+------------+
 */
const struct quire_pgfmt quire_pgfmt_aarch64_16k = {
	.name = "aarch64-16k",
	.levels = 4,
	.shift = { 14, 25, 36, 47 },
	.bits = { 11, 11, 11, 1 },
	.large_levels = 0x2,
	.address = UINT64_C(0x0000ffffffffc000),
	A64_ENTRY,
};

/*
 *    47    42 41    29 28    16 15         0
 *   +--------+--------+--------+------------+
 *   | level 2| level 1| level 0|   offset   |               blocks of 512 MiB
 *   +--------+--------+--------+------------+
 */
const struct quire_pgfmt quire_pgfmt_aarch64_64k = {
	.name = "aarch64-64k",
	.levels = 3,
	.shift = { 16, 29, 42 },
	.bits = { 13, 13, 6 },
	.large_levels = 0x2,
	.address = UINT64_C(0x0000ffffffff0000),
	A64_ENTRY,
};

/* SPDX-License-Identifier: MIT */
/*
 * The page-table formats, each as one table of data beside a picture of its entry. entry.c, table.c
 * and cursor.c work from these alone; nothing outside this file knows what a bit means on any
 * machine, and nothing in this file is code.
 */
#include <quire/pgtable.h>

/*
 * x86-64. Intel SDM vol. 3A, 4.5 "4-level paging and 5-level paging", tables 4-15 to 4-20.
 *
 * A level-0 entry that maps a 4 KiB page:
 *
 *    63 62   59 58    52 51                          12 11 10 9 8  7   6 5  4   3   2   1  0
 *   +--+-------+--------+------------------------------+-------+-+---+-+-+---+---+---+---+-+
 *   |NX|  key  | ignored|  physical address 51:12      |ignored|G|PAT|D|A|PCD|PWT|U/S|R/W|P|
 *   +--+-------+--------+------------------------------+-------+-+---+-+-+---+---+---+---+-+
 *
 * At level 1 (2 MiB) and level 2 (1 GiB), bit 7 is PS: 1 makes the entry a leaf, whose address
 * field then begins at bit 21 or 30 (bit 12 is PAT, and what lies between must be 0). An entry
 * that points to a table has P, R/W, U/S, PWT, PCD, A, the address, and PS = 0; there R/W, U/S and
 * NX limit everything below, so tables get all rights and leaves decide. Tables get A at once: the
 * processor would set it at the first walk.
 *
 * Where P is 0 the processor ignores all other bits (4.5.4, last paragraph of each table's text).
 * What the bits that it ignores mean here:
 *
 *   P = 1   bit 9            SPECIAL
 *           bit 11           LOCKED
 *   P = 0   bit 10 = 1       a page that nobody may touch; all else as with P = 1
 *           bit 10 = 0       bits 3:1 enum quire_pte_kind, bits 58:12 payload
 */
#define X86_P (UINT64_C(1) << 0)
#define X86_RW (UINT64_C(1) << 1)
#define X86_US (UINT64_C(1) << 2)
#define X86_A (UINT64_C(1) << 5)
#define X86_D (UINT64_C(1) << 6)
#define X86_PS (UINT64_C(1) << 7)
#define X86_G (UINT64_C(1) << 8)
#define X86_SOFT_SPECIAL (UINT64_C(1) << 9)
#define X86_SOFT_PROTNONE (UINT64_C(1) << 10)
#define X86_SOFT_LOCKED (UINT64_C(1) << 11)
#define X86_NX (UINT64_C(1) << 63)
#define X86_ADDRESS UINT64_C(0x000ffffffffff000)
#define X86_SOFT_KIND UINT64_C(0x000000000000000e)
#define X86_SOFT_PAYLOAD UINT64_C(0x07fffffffffff000)

/* What both have in common; the bits stand in the order of QUIRE_PTE_*. */
#define X86_64_ENTRY                                                \
	.entry_bytes = 8,                                           \
	.va_signed = true,                                          \
	.large_levels = 0x6,                                        \
	.address = X86_ADDRESS,                                     \
	.present = X86_P,                                           \
	.protnone = X86_SOFT_PROTNONE,                              \
	.table = X86_P | X86_RW | X86_US | X86_A,                   \
	.table_mask = X86_P | X86_PS,                               \
	.bit = {                                                    \
		{ .grant = X86_P },            /* READ */           \
		{ .grant = X86_RW },           /* WRITE */          \
		{ .deny = X86_NX },            /* EXEC */           \
		{ .grant = X86_US },           /* USER */           \
		{ .grant = X86_A },            /* ACCESSED */       \
		{ .grant = X86_D },            /* DIRTY */          \
		{ .grant = X86_G },            /* GLOBAL */         \
		{ .grant = X86_PS },           /* LARGE */          \
		{ .grant = X86_SOFT_SPECIAL }, /* SPECIAL */        \
		{ .grant = X86_SOFT_LOCKED },  /* LOCKED */         \
	},                                                          \
	.soft_kind = X86_SOFT_KIND,                                 \
	.soft_payload = X86_SOFT_PAYLOAD

/*
 *    63     48 47    39 38    30 29    21 20    12 11         0
 *   +---------+--------+--------+--------+--------+------------+
 *   | as 47   | level 3| level 2| level 1| level 0|   offset   |
 *   +---------+--------+--------+--------+--------+------------+
 *
 * The last page of the lower half is never user space's: a SYSCALL there would return to an address
 * that is not canonical, and on Intel's processors SYSRET faults in kernel mode for that.
 */
const struct quire_pgfmt quire_pgfmt_x86_64 = {
	.name = "x86_64",
	.levels = 4,
	.va_bits = 48,
	.shift = { 12, 21, 30, 39 },
	.bits = { 9, 9, 9, 9 },
	.user_end = UINT64_C(0x00007ffffffff000),
	X86_64_ENTRY,
};

/*
 *    63  57 56    48 47    39 38    30 29    21 20    12 11         0
 *   +------+--------+--------+--------+--------+--------+------------+
 *   | as 56| level 4| level 3| level 2| level 1| level 0|   offset   |
 *   +------+--------+--------+--------+--------+--------+------------+
 */
const struct quire_pgfmt quire_pgfmt_x86_64_5level = {
	.name = "x86_64-5level",
	.levels = 5,
	.va_bits = 57,
	.shift = { 12, 21, 30, 39, 48 },
	.bits = { 9, 9, 9, 9, 9 },
	.user_end = UINT64_C(0x00fffffffffff000),
	X86_64_ENTRY,
};

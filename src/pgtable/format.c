/* SPDX-License-Identifier: MIT */
/*
 * The page-table formats of x86, each as one table of data beside a picture of its entry; those of
 * other machines are in format_*.c. entry.c, table.c and cursor.c work from these alone; nothing
 * outside these files knows what a bit means on any machine, and nothing in them is code.
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
 * PAT, PCD and PWT are the number of a memory type in IA32_PAT (12.12). PAT stays 0: it stands in another
 * place in a large leaf. Of the four types that are left the host sets number 1 to write-combining, and
 * leaves 0, write-back, and 3, uncached, as they are after reset. A host that does not set it gets write-through.
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
#define X86_PWT (UINT64_C(1) << 3)
#define X86_PCD (UINT64_C(1) << 4)
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

/* In the order of enum quire_cache_mode. */
#define X86_CACHE { 0, X86_PWT, X86_PCD | X86_PWT }

/* Where there is an NX; in the order of QUIRE_PTE_*. */
#define X86_NX_BITS                                                 \
	{ .grant = X86_P },                    /* READ */           \
		{ .grant = X86_RW },           /* WRITE */          \
		{ .deny = X86_NX },            /* EXEC */           \
		{ .grant = X86_US },           /* USER */           \
		{ .grant = X86_A },            /* ACCESSED */       \
		{ .grant = X86_D },            /* DIRTY */          \
		{ .grant = X86_G },            /* GLOBAL */         \
		{ .grant = X86_PS },           /* LARGE */          \
		{ .grant = X86_SOFT_SPECIAL }, /* SPECIAL */        \
		{ .grant = X86_SOFT_LOCKED }   /* LOCKED */

/* What both have in common. */
#define X86_64_ENTRY                                                \
	.entry_bytes = 8,                                           \
	.va_signed = true,                                          \
	.large_levels = 0x6,                                        \
	.address = X86_ADDRESS,                                     \
	.present = X86_P,                                           \
	.protnone = X86_SOFT_PROTNONE,                              \
	.table = X86_P | X86_RW | X86_US | X86_A,                   \
	.table_root = X86_P | X86_RW | X86_US | X86_A,              \
	.table_mask = X86_P | X86_PS,                               \
	.cache = X86_CACHE,                                         \
	.bit = { X86_NX_BITS },                                     \
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

/*
 * i386. Intel SDM vol. 3A, 4.3 "32-bit paging", tables 4-4 to 4-6.
 *
 * A level-0 entry that maps a 4 KiB page:
 *
 *    31                          12 11 10 9 8  7   6 5  4   3   2   1  0
 *   +------------------------------+-------+-+---+-+-+---+---+---+---+-+
 *   |    physical address 31:12    |ignored|G|PAT|D|A|PCD|PWT|U/S|R/W|P|
 *   +------------------------------+-------+-+---+-+-+---+---+---+---+-+
 *
 * At level 1 (4 MiB, with CR4.PSE) bit 7 is PS as in x86-64's entries; bits 20:13 of such a leaf are
 * address bits 39:32, which nothing here uses. There is no bit against execution: whatever can be
 * read can be executed, and EXEC is a right that no entry has.
 *
 * What the processor ignores means:
 *
 *   P = 1   bit 10           SPECIAL
 *           bit 11           LOCKED
 *   P = 0   bit 9 = 1        a page that nobody may touch; all else as with P = 1
 *           bit 9 = 0        bits 3:1 enum quire_pte_kind, bits 31:10 payload
 *
 *    31    22 21    12 11         0
 *   +--------+--------+------------+
 *   | level 1| level 0|   offset   |
 *   +--------+--------+------------+
 *
 * User space has the lower three of the four gigabytes, here and with PAE: the hardware asks for no
 * border, this is where Linux has it.
 */
#define I386_ADDRESS UINT64_C(0xfffff000)
#define I386_SOFT_PROTNONE (UINT64_C(1) << 9)
#define I386_SOFT_SPECIAL (UINT64_C(1) << 10)
#define I386_SOFT_LOCKED (UINT64_C(1) << 11)
#define I386_SOFT_PAYLOAD UINT64_C(0xfffffc00)

const struct quire_pgfmt quire_pgfmt_i386 = {
	.name = "i386",
	.levels = 2,
	.entry_bytes = 4,
	.va_bits = 32,
	.shift = { 12, 22 },
	.bits = { 10, 10 },
	.large_levels = 0x2,
	.address = I386_ADDRESS,
	.present = X86_P,
	.protnone = I386_SOFT_PROTNONE,
	.table = X86_P | X86_RW | X86_US | X86_A,
	.table_root = X86_P | X86_RW | X86_US | X86_A,
	.table_mask = X86_P | X86_PS,
	.cache = X86_CACHE,
	.bit = {
		{ .grant = X86_P },             /* READ */
		{ .grant = X86_RW },            /* WRITE */
		{ 0, 0 },                       /* EXEC */
		{ .grant = X86_US },            /* USER */
		{ .grant = X86_A },             /* ACCESSED */
		{ .grant = X86_D },             /* DIRTY */
		{ .grant = X86_G },             /* GLOBAL */
		{ .grant = X86_PS },            /* LARGE */
		{ .grant = I386_SOFT_SPECIAL }, /* SPECIAL */
		{ .grant = I386_SOFT_LOCKED },  /* LOCKED */
	},
	.soft_kind = X86_SOFT_KIND,
	.soft_payload = I386_SOFT_PAYLOAD,
	.user_end = UINT64_C(0xc0000000),
};

/*
 * PAE. Intel SDM vol. 3A, 4.4 "PAE paging", tables 4-8 to 4-11; NX with IA32_EFER.NXE.
 *
 * A level-0 entry that maps a 4 KiB page:
 *
 *    63 62      52 51                          12 11 10 9 8  7   6 5  4   3   2   1  0
 *   +--+----------+------------------------------+-------+-+---+-+-+---+---+---+---+-+
 *   |NX| reserved |  physical address 51:12      |ignored|G|PAT|D|A|PCD|PWT|U/S|R/W|P|
 *   +--+----------+------------------------------+-------+-+---+-+-+---+---+---+---+-+
 *
 * At level 1 (2 MiB) bit 7 is PS. In a present entry 62:52 must be 0, where x86-64 ignores them. What
 * 11:9 mean, and entries with P = 0, as in x86-64's.
 *
 * One of the root's four entries:
 *
 *    63         52 51                          12 11 9 8    5  4   3   2  1  0
 *   +-------------+------------------------------+----+------+---+---+-----+-+
 *   |  reserved   |  physical address 51:12      |ign.| res. |PCD|PWT|res. |P|
 *   +-------------+------------------------------+----+------+---+---+-----+-+
 *
 * It has neither rights nor A: those bits are reserved. The processor copies all four when CR3 is
 * loaded and walks from its copies (4.4.1), so a space has its level-1 tables from the beginning.
 *
 *    31 30 29    21 20    12 11         0
 *   +-----+--------+--------+------------+
 *   | lv.2| level 1| level 0|   offset   |
 *   +-----+--------+--------+------------+
 */
const struct quire_pgfmt quire_pgfmt_pae = {
	.name = "pae",
	.levels = 3,
	.entry_bytes = 8,
	.va_bits = 32,
	.shift = { 12, 21, 30 },
	.bits = { 9, 9, 2 },
	.large_levels = 0x2,
	.root_fixed = true,
	.address = X86_ADDRESS,
	.present = X86_P,
	.protnone = X86_SOFT_PROTNONE,
	.table = X86_P | X86_RW | X86_US | X86_A,
	.table_root = X86_P,
	.table_mask = X86_P | X86_PS,
	.cache = X86_CACHE,
	.bit = { X86_NX_BITS },
	.soft_kind = X86_SOFT_KIND,
	.soft_payload = X86_SOFT_PAYLOAD,
	.user_end = UINT64_C(0xc0000000),
};

/* SPDX-License-Identifier: MIT */
/*
 * The page-table formats of RISC-V, as format.c has those of x86. RISC-V privileged architecture,
 * 12.3 "Sv32", 12.4 "Sv39", 12.5 "Sv48", 12.6 "Sv57".
 */
#include <quire/pgtable.h>

/*
 * A leaf, and an entry that points to a table, which has R = W = X = 0:
 *
 *    31                                 10 9   8 7 6 5 4 3 2 1 0
 *   +-------------------------------------+-----+-+-+-+-+-+-+-+-+      Sv32
 *   |    physical page number 21:0        | RSW |D|A|G|U|X|W|R|V|
 *   +-------------------------------------+-----+-+-+-+-+-+-+-+-+
 *
 *    63 62   61 60      54 53           10 9   8 7 6 5 4 3 2 1 0
 *   +--+-------+----------+---------------+-----+-+-+-+-+-+-+-+-+      Sv39, Sv48, Sv57
 *   |N | PBMT  | reserved |  PPN 43:0     | RSW |D|A|G|U|X|W|R|V|
 *   +--+-------+----------+---------------+-----+-+-+-+-+-+-+-+-+
 *
 * The frame number begins at bit 10, not where the page's offset ends. R, W or X make a leaf, at
 * whatever level: no bit says LARGE. W without R is reserved, and not made, for nothing is present
 * here that cannot be read. In an entry that points to a table D, A and U are reserved, and G would
 * say it of all below.
 *
 * A and D: where the processor does not set them (Svade) it faults if A is 0, or on a store if D is,
 * and the fault handler does; where it does (Svadu), there is no such fault. N (Svnapot) and PBMT
 * (Svpbmt) stay 0: ordinary memory, one page an entry.
 *
 * Where V is 0 the processor ignores all other bits. What those that it ignores mean here:
 *
 *   V = 1          bit 8    SPECIAL
 *                  bit 9    LOCKED
 *   V = 0, R = 1   a page that nobody may touch; all else as with V = 1
 *   V = 0, R = 0   bits 4:2 enum quire_pte_kind, bits 31:5 (Sv32) or 53:10 payload
 */
#define RISCV_V (UINT64_C(1) << 0)
#define RISCV_R (UINT64_C(1) << 1)
#define RISCV_W (UINT64_C(1) << 2)
#define RISCV_X (UINT64_C(1) << 3)
#define RISCV_U (UINT64_C(1) << 4)
#define RISCV_G (UINT64_C(1) << 5)
#define RISCV_A (UINT64_C(1) << 6)
#define RISCV_D (UINT64_C(1) << 7)
#define RISCV_SOFT_SPECIAL (UINT64_C(1) << 8)
#define RISCV_SOFT_LOCKED (UINT64_C(1) << 9)
#define RISCV_SOFT_KIND UINT64_C(0x1c)
#define RISCV_PPN32 UINT64_C(0x00000000fffffc00)
#define RISCV_PPN64 UINT64_C(0x003ffffffffffc00)

/* What all have in common; the bits stand in the order of QUIRE_PTE_*. */
#define RISCV_ENTRY                                                   \
	.present = RISCV_V | RISCV_R,                                 \
	.protnone = RISCV_R,                                          \
	.table = RISCV_V,                                             \
	.table_root = RISCV_V,                                        \
	.table_mask = RISCV_V | RISCV_R | RISCV_W | RISCV_X,          \
	.bit = {                                                      \
		{ .grant = RISCV_V | RISCV_R },  /* READ */           \
		{ .grant = RISCV_W },            /* WRITE */          \
		{ .grant = RISCV_X },            /* EXEC */           \
		{ .grant = RISCV_U },            /* USER */           \
		{ .grant = RISCV_A },            /* ACCESSED */       \
		{ .grant = RISCV_D },            /* DIRTY */          \
		{ .grant = RISCV_G },            /* GLOBAL */         \
		{ 0, 0 },                        /* LARGE */          \
		{ .grant = RISCV_SOFT_SPECIAL }, /* SPECIAL */        \
		{ .grant = RISCV_SOFT_LOCKED },  /* LOCKED */         \
	},                                                            \
	.soft_kind = RISCV_SOFT_KIND

#define RISCV_ENTRY64                                                 \
	RISCV_ENTRY,                                                  \
	.entry_bytes = 8,                                             \
	.va_signed = true,                                            \
	.address = RISCV_PPN64,                                       \
	.soft_payload = RISCV_PPN64

/*
 *    31    22 21    12 11         0
 *   +--------+--------+------------+
 *   | level 1| level 0|   offset   |       level 1: 4 MiB leaves
 *   +--------+--------+------------+
 *
 * Physical addresses have 34 bits. User space has the lower three of the four gigabytes, as on i386;
 * the architecture asks for no border.
 */
const struct quire_pgfmt quire_pgfmt_sv32 = {
	.name = "sv32",
	.levels = 2,
	.entry_bytes = 4,
	.va_bits = 32,
	.shift = { 12, 22 },
	.bits = { 10, 10 },
	.large_levels = 0x2,
	.address = RISCV_PPN32,
	.soft_payload = UINT64_C(0xffffffe0),
	.user_end = UINT64_C(0xc0000000),
	RISCV_ENTRY,
};

/*
 * Of a 64-bit address the bits above the highest level must be as that level's highest bit; user
 * space is the half in which they are 0.
 *
 *    63  57 56    48 47    39 38    30 29    21 20    12 11         0
 *   +------+--------+--------+--------+--------+--------+------------+
 *   | as 56| level 4| level 3| level 2| level 1| level 0|   offset   |      Sv57: 256 TiB leaves
 *   +------+--------+--------+--------+--------+--------+------------+
 *   |     as 47     | level 3|                                              Sv48: 512 GiB leaves
 *   +---------------+--------+--------+
 *   |     as 38              | level 2|                                     Sv39: 1 GiB, 2 MiB leaves
 *   +------------------------+--------+
 */
const struct quire_pgfmt quire_pgfmt_sv39 = {
	.name = "sv39",
	.levels = 3,
	.va_bits = 39,
	.shift = { 12, 21, 30 },
	.bits = { 9, 9, 9 },
	.large_levels = 0x6,
	.user_end = UINT64_C(0x0000004000000000),
	RISCV_ENTRY64,
};

const struct quire_pgfmt quire_pgfmt_sv48 = {
	.name = "sv48",
	.levels = 4,
	.va_bits = 48,
	.shift = { 12, 21, 30, 39 },
	.bits = { 9, 9, 9, 9 },
	.large_levels = 0xe,
	.user_end = UINT64_C(0x0000800000000000),
	RISCV_ENTRY64,
};

const struct quire_pgfmt quire_pgfmt_sv57 = {
	.name = "sv57",
	.levels = 5,
	.va_bits = 57,
	.shift = { 12, 21, 30, 39, 48 },
	.bits = { 9, 9, 9, 9, 9 },
	.large_levels = 0x1e,
	.user_end = UINT64_C(0x0100000000000000),
	RISCV_ENTRY64,
};

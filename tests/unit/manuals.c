/* SPDX-License-Identifier: MIT */
/*
 * The manuals' tables: Intel SDM vol. 3A tables 4-4 to 4-6 (32-bit paging), 4-8 to 4-11 (PAE), 4-15
 * to 4-20 (4- and 5-level); Arm ARM D8.3 (VMSAv8-64 stage 1 descriptors), D8.4, D8.5; RISC-V
 * privileged architecture, figures of 12.3 to 12.6. Bit by bit, by their numbers there.
 */
#include "manuals.h"

#define BIT(n) (UINT64_C(1) << (n))
#define BITS(high, low) ((~UINT64_C(0) >> (63 - (high))) & (~UINT64_C(0) << (low)))

#define R QUIRE_PTE_READ
#define W QUIRE_PTE_WRITE
#define X QUIRE_PTE_EXEC
#define U QUIRE_PTE_USER
#define A QUIRE_PTE_ACCESSED
#define D QUIRE_PTE_DIRTY
#define G QUIRE_PTE_GLOBAL
#define L QUIRE_PTE_LARGE

/* ---- x86 --------------------------------------------------------------------------------- */

static uint64_t x86_entry32(quire_ptebits_t bits)
{
	uint64_t e = BIT(0); /* P */

	if (bits & W)
		e |= BIT(1); /* R/W */
	if (bits & U)
		e |= BIT(2); /* U/S */
	if (bits & A)
		e |= BIT(5);
	if (bits & D)
		e |= BIT(6);
	if (bits & L)
		e |= BIT(7); /* PS */
	if (bits & G)
		e |= BIT(8);
	return e;
}

static uint64_t x86_entry64(quire_ptebits_t bits)
{
	return x86_entry32(bits) | (bits & X ? 0 : BIT(63)); /* XD */
}

static uint64_t x86_used(uint64_t entry, bool store)
{
	return entry | BIT(5) | (store ? BIT(6) : 0);
}

/* ---- AArch64 ----------------------------------------------------------------------------- */

static uint64_t a64_entry(quire_ptebits_t bits)
{
	uint64_t e = BIT(0) | BITS(9, 8); /* valid; SH: inner shareable; AttrIndx 0 */

	if (!(bits & L))
		e |= BIT(1); /* a page, not a block */
	if (bits & U)
		e |= BIT(6); /* AP[1]: EL0 too */
	if (!(bits & W) || !(bits & D))
		e |= BIT(7); /* AP[2]: read-only, or writable-clean if DBM is set */
	if (bits & A)
		e |= BIT(10); /* AF */
	if (!(bits & G))
		e |= BIT(11); /* nG */
	if (bits & W)
		e |= BIT(51); /* DBM */
	if (!(bits & X) || (bits & U))
		e |= BIT(53); /* PXN: EL1 may not execute */
	if (!(bits & X) || !(bits & U))
		e |= BIT(54); /* UXN: EL0 may not execute */
	return e;
}

/* D8.5.2 and D8.5.3: AF is set; writable-clean becomes writable-dirty. */
static uint64_t a64_used(uint64_t entry, bool store)
{
	entry |= BIT(10);
	if (store && (entry & BIT(51)))
		entry &= ~BIT(7);
	return entry;
}

/* ---- RISC-V ------------------------------------------------------------------------------ */

static uint64_t riscv_entry(quire_ptebits_t bits)
{
	uint64_t e = BIT(0) | BIT(1); /* V, R */

	if (bits & W)
		e |= BIT(2);
	if (bits & X)
		e |= BIT(3);
	if (bits & U)
		e |= BIT(4);
	if (bits & G)
		e |= BIT(5);
	if (bits & A)
		e |= BIT(6);
	if (bits & D)
		e |= BIT(7);
	return e;
}

static uint64_t riscv_used(uint64_t entry, bool store)
{
	return entry | BIT(6) | (store ? BIT(7) : 0);
}

/* ------------------------------------------------------------------------------------------ */

/*
 * PWT is bit 3, PCD bit 4 (tables 4-6, 4-11, 4-20); the memory type is entry 2 * PCD + PWT of IA32_PAT (12.12.3), where
 * after reset 0 is WB and 3 is UC, and software has put WC at 1.
 */
#define X86_CACHE { 0, BIT(3), BIT(4) | BIT(3) }

/* 58:52 and 11:9 are ignored; 62:59 are the protection key only if CR4.PKE is set. */
#define X86_64                                                                        \
	.entry_bytes = 8, .va_signed = true, .large_levels = BIT(1) | BIT(2),         \
	.address = BITS(51, 12), .software = BITS(58, 52) | BITS(11, 9),              \
	.table = 0x27, .root = 0x27, .says = R | W | X | U | A | D | G | L,           \
	.payload_bits = 40, .cache = X86_CACHE,                                       \
	.entry = x86_entry64, .used = x86_used,                                       \
	.example = {                                                                  \
		{ R, 0x8000000012345001 },                                            \
		{ R | X | U, 0x12345005 },                                            \
		{ R | W | U | A | D, 0x8000000012345067 },                            \
		{ R | W | X | G | A | D, 0x12345163 },                                \
		{ R | W | U | L, 0x8000000012345087 },                                \
	}

#define A64                                                                           \
	.entry_bytes = 8, .va_bits = 48, .user_end = BIT(48),                         \
	.software = BITS(58, 55) | BIT(63), .table = 3, .root = 3,                    \
	.says = R | W | X | U | A | D | G | L, .payload_bits = 40,                    \
	.cache = { 0, BIT(2), BIT(3) }, .kernel_apart = true,                         \
	.entry = a64_entry, .used = a64_used

#define RISCV64                                                                       \
	.entry_bytes = 8, .va_signed = true, .address = BITS(53, 10),                 \
	.payload_bits = 40

#define RISCV                                                                         \
	.software = BITS(9, 8), .table = 1, .root = 1,                                \
	.says = R | W | X | U | A | D | G, .entry = riscv_entry, .used = riscv_used,  \
	.example = {                                                                  \
		{ R, 0x48d1403 },                                                     \
		{ R | X | U, 0x48d141b },                                             \
		{ R | W | U | A | D, 0x48d14d7 },                                     \
		{ R | W | X | G | A | D, 0x48d14ef },                                 \
	}

const struct manual manuals[] = {
	{
		.fmt = &quire_pgfmt_x86_64, .name = "x86_64",
		.levels = 4, .va_bits = 48, .shift = { 12, 21, 30, 39 }, .bits = { 9, 9, 9, 9 },
		.user_end = BIT(47) - 4096,
		X86_64,
	},
	{
		.fmt = &quire_pgfmt_x86_64_5level, .name = "x86_64-5level",
		.levels = 5, .va_bits = 57,
		.shift = { 12, 21, 30, 39, 48 }, .bits = { 9, 9, 9, 9, 9 },
		.user_end = BIT(56) - 4096,
		X86_64,
	},
	{
		.fmt = &quire_pgfmt_i386, .name = "i386",
		.entry_bytes = 4, .levels = 2, .va_bits = 32,
		.shift = { 12, 22 }, .bits = { 10, 10 }, .large_levels = BIT(1),
		.user_end = 0xc0000000,
		.address = BITS(31, 12), .software = BITS(11, 9), .table = 0x27, .root = 0x27,
		.says = R | W | U | A | D | G | L, .payload_bits = 22, .cache = X86_CACHE,
		.entry = x86_entry32, .used = x86_used,
		.example = {
			{ R, 0x12345001 },
			{ R | U, 0x12345005 },
			{ R | W | U | A | D, 0x12345067 },
			{ R | W | G | A | D, 0x12345163 },
			{ R | W | U | L, 0x12345087 },
		},
	},
	{
		/* 62:52 are reserved in entries of a table, and in the root's all but 11:9, 4, 3, 0 */
		.fmt = &quire_pgfmt_pae, .name = "pae",
		.entry_bytes = 8, .levels = 3, .va_bits = 32,
		.shift = { 12, 21, 30 }, .bits = { 9, 9, 2 }, .large_levels = BIT(1),
		.root_fixed = true, .user_end = 0xc0000000,
		.address = BITS(51, 12), .software = BITS(11, 9), .table = 0x27, .root = 0x1,
		.says = R | W | X | U | A | D | G | L, .payload_bits = 40, .cache = X86_CACHE,
		.entry = x86_entry64, .used = x86_used,
		.example = {
			{ R, 0x8000000012345001 },
			{ R | X | U, 0x12345005 },
			{ R | W | U | A | D, 0x8000000012345067 },
			{ R | W | X | G | A | D, 0x12345163 },
			{ R | W | U | L, 0x8000000012345087 },
		},
	},
	{
		.fmt = &quire_pgfmt_sv32, .name = "sv32",
		.entry_bytes = 4, .levels = 2, .va_bits = 32,
		.shift = { 12, 22 }, .bits = { 10, 10 }, .large_levels = BIT(1),
		.user_end = 0xc0000000, .address = BITS(31, 10), .payload_bits = 27,
		RISCV,
	},
	{
		.fmt = &quire_pgfmt_sv39, .name = "sv39",
		.levels = 3, .va_bits = 39, .shift = { 12, 21, 30 }, .bits = { 9, 9, 9 },
		.large_levels = BIT(1) | BIT(2), .user_end = BIT(38),
		RISCV64, RISCV,
	},
	{
		.fmt = &quire_pgfmt_sv48, .name = "sv48",
		.levels = 4, .va_bits = 48, .shift = { 12, 21, 30, 39 }, .bits = { 9, 9, 9, 9 },
		.large_levels = BIT(1) | BIT(2) | BIT(3), .user_end = BIT(47),
		RISCV64, RISCV,
	},
	{
		.fmt = &quire_pgfmt_sv57, .name = "sv57",
		.levels = 5, .va_bits = 57,
		.shift = { 12, 21, 30, 39, 48 }, .bits = { 9, 9, 9, 9, 9 },
		.large_levels = BIT(1) | BIT(2) | BIT(3) | BIT(4), .user_end = BIT(56),
		RISCV64, RISCV,
	},
	{
		.fmt = &quire_pgfmt_aarch64, .name = "aarch64",
		.levels = 4, .shift = { 12, 21, 30, 39 }, .bits = { 9, 9, 9, 9 },
		.large_levels = BIT(1) | BIT(2), .address = BITS(47, 12),
		A64,
		.example = {
			{ R, 0x0060000012345b83 },
			{ R | X | U, 0x0020000012345bc3 },
			{ R | W | U | A | D, 0x0068000012345f43 },
			{ R | W | U | A, 0x0068000012345fc3 },
			{ R | X | G | A, 0x0040000012345783 },
			{ R | W | U | L, 0x0068000012345bc1 },
		},
	},
	{
		.fmt = &quire_pgfmt_aarch64_16k, .name = "aarch64-16k",
		.levels = 4, .shift = { 14, 25, 36, 47 }, .bits = { 11, 11, 11, 1 },
		.large_levels = BIT(1), .address = BITS(47, 14),
		A64,
		.example = {
			{ R, 0x0060000048d14b83 },
			{ R | W | U | A | D, 0x0068000048d14f43 },
		},
	},
	{
		.fmt = &quire_pgfmt_aarch64_64k, .name = "aarch64-64k",
		.levels = 3, .shift = { 16, 29, 42 }, .bits = { 13, 13, 6 },
		.large_levels = BIT(1), .address = BITS(47, 16),
		A64,
		.example = {
			{ R, 0x0060000123450b83 },
			{ R | W | U | A | D, 0x0068000123450f43 },
		},
	},
};

const unsigned nr_manuals = QUIRE_ARRAY_SIZE(manuals);

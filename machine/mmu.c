/* SPDX-License-Identifier: MIT */
/*
 * The page-table walker of a processor, in user mode and in kernel mode, for each of the machines. Written from
 * the manuals and from nothing else: it shares no constant with src/pgtable/, so a wrong one there shows
 * here as a page that is not where it should be. Called by access.c and window.c on a TLB miss; it reads tables
 * as the hardware does, without any lock, while Quire changes them.
 *
 * In kernel mode the processors are set so: stores obey R/W (CR0.WP, SDM 4.6.1), and pages that user mode can
 * reach are out of reach (SMAP, PAN, sstatus.SUM clear). The kernel never means to have one, so that is reported.
 *
 * Sources: Intel SDM vol. 3A chapter 4 (4.3 32-bit, 4.4 PAE, 4.5 4- and 5-level paging); Arm ARM
 * D8.3 to D8.5 (VMSAv8-64 stage 1); RISC-V privileged architecture 12.3 to 12.6.
 */
#include "internal.h"

/* Bits high to low. */
static uint64_t field(unsigned high, unsigned low)
{
	return (~0ull >> (63 - high)) & (~0ull << low);
}

static uint64_t bit(unsigned n)
{
	return 1ull << n;
}

/* What one entry says to the hardware. */
struct meaning {
	bool kernel;              /* given: which mode asks */
	bool present, leaf, user;
	uint8_t rights;           /* with DIRTY: stores need not tell the tables */
	uint64_t frame;
	/* what an access, and a store, sets and clears in it */
	uint64_t access_sets, store_sets, store_clears;
	const char *wrong;        /* the processor chokes on it; NULL: nothing */
};

struct mmu {
	const struct quire_pgfmt *fmt; /* whose tables it reads */
	unsigned levels, entry_bytes, bits, top_bits;
	unsigned va_bits;
	bool is_canonical_only;        /* other addresses are #GP, not #PF; else they are not mapped */
	bool root_copied;              /* PAE: the four PDPTE registers */
	/* level: 1 the lowest */
	void (*read)(const struct machine *m, uint64_t entry, unsigned level, struct meaning *e);
};

/* ---- x86: tables 4-4 to 4-6, 4-8 to 4-11, 4-15 to 4-20 ----------------------------------- */

static void x86_read(uint64_t entry, unsigned level, bool may_be_large, struct meaning *e)
{
	const uint64_t p = bit(0), rw = bit(1), us = bit(2), a = bit(5), d = bit(6), ps = bit(7);

	e->present = entry & p;
	e->leaf = level == 1 || (may_be_large && (entry & ps));
	e->user = entry & us;
	e->rights = RIGHT_EXEC;
	if (entry & rw)
		e->rights |= RIGHT_WRITE;
	if (entry & d)
		e->rights |= RIGHT_DIRTY;
	/* 4.8: A in each entry used, D in the leaf for a write; both stick. */
	e->access_sets = a;
	e->store_sets = e->leaf ? d : 0;
}

/* level as the SDM's figures have it: 1 PTE, 2 PDE, 3 PDPTE, 4 PML4E, 5 PML5E. */
static void x86_64_read(const struct machine *m, uint64_t entry, unsigned level, struct meaning *e)
{
	const uint64_t ps = bit(7), xd = bit(63);

	x86_read(entry, level, level == 2 || level == 3, e);
	if (entry & xd)
		e->rights &= (uint8_t)~RIGHT_EXEC;
	e->frame = (entry & field(51, e->leaf ? 12 + 9 * (level - 1) : 12)) >> 12;
	/* 4.5.4: bits 51:M of a present entry are reserved, M being MAXPHYADDR. */
	if (entry & field(51, (unsigned)m->physical_bits))
		e->wrong = "mmu: entry with address bits that the machine does not have";
	else if (level >= 4 && (entry & ps))
		e->wrong = "mmu: reserved bit 7 is set in a PML4E or PML5E";
	else if (level == 3 && (entry & ps) && (entry & field(29, 13)))
		e->wrong = "mmu: reserved bits 29:13 are set in the entry of a 1 GiB page";
	else if (level == 2 && (entry & ps) && (entry & field(20, 13)))
		e->wrong = "mmu: reserved bits 20:13 are set in the entry of a 2 MiB page";
}

static void i386_read(const struct machine *m, uint64_t entry, unsigned level, struct meaning *e)
{
	(void)m;
	x86_read(entry, level, level == 2, e);
	e->frame = (entry & field(31, e->leaf && level == 2 ? 22 : 12)) >> 12;
	if (level == 2 && e->leaf) {
		e->frame |= (entry & field(20, 13)) >> 13 << 20;
		if (entry & bit(21))
			e->wrong = "mmu: reserved bit 21 is set in the entry of a 4 MiB page";
	}
}

static void pae_read(const struct machine *m, uint64_t entry, unsigned level, struct meaning *e)
{
	const uint64_t p = bit(0);

	if (level == 3) {
		e->present = entry & p;
		e->user = true;
		e->rights = RIGHT_WRITE | RIGHT_EXEC;
		e->frame = (entry & field(51, 12)) >> 12;
		if (entry & (field(2, 1) | field(8, 5) | field(63, (unsigned)m->physical_bits)))
			e->wrong = "mmu: reserved bits are set in a PDPTE of PAE";
		return;
	}
	x86_64_read(m, entry, level, e);
	if (entry & field(62, 52))
		e->wrong = "mmu: reserved bits 62:52 are set in an entry of PAE";
}

/* ---- AArch64: D8.3.1, D8.3.2; D8.4.1; D8.5; granules of 4, 16 and 64 KiB ------------------- */

/* A block of the granule: level 2 of Arm's, and with 4 KiB level 1; here 2 and 3. Bits below its address must be 0. */
static bool may_be_block(unsigned level)
{
	return level == 2 || (level == 3 && MACHINE_PAGE_SHIFT == 12);
}

static unsigned leaf_shift(unsigned level)
{
	return MACHINE_PAGE_SHIFT + (MACHINE_PAGE_SHIFT - 3) * (level - 1);
}

static void aarch64_read(const struct machine *m, uint64_t entry, unsigned level, struct meaning *e)
{
	const uint64_t read_only = bit(7), af = bit(10), dbm = bit(51), pxn = bit(53), uxn = bit(54);
	/* Programs have ordinary memory alone: AttrIndx 0. */
	const uint64_t attributes = e->kernel ? 0 : field(4, 2);
	const bool bit1 = entry & bit(1);

	/* At the last level 0b01 is reserved and faults; above, it is a block, which not every level has. */
	e->present = (entry & bit(0)) && (bit1 || may_be_block(level));
	e->leaf = level == 1 || !bit1;
	e->frame = (entry & field(47, e->leaf ? leaf_shift(level) : MACHINE_PAGE_SHIFT)) >> MACHINE_PAGE_SHIFT;
	if (!e->leaf) {
		e->user = !(entry & bit(61));
		e->rights = RIGHT_WRITE | RIGHT_EXEC;
		if (entry & bit(62))
			e->rights &= (uint8_t)~RIGHT_WRITE;
		/* PXNTable, UXNTable */
		if (entry & (e->kernel ? bit(59) : bit(60)))
			e->rights &= (uint8_t)~RIGHT_EXEC;
		if (entry & field(50, 48))
			e->wrong = "mmu: reserved bits 50:48 are set in a table descriptor";
		return;
	}
	e->user = entry & bit(6);
	if (!(entry & (e->kernel ? pxn : uxn)))
		e->rights |= RIGHT_EXEC;
	if (!(entry & read_only))
		e->rights |= RIGHT_WRITE | RIGHT_DIRTY;
	else if ((entry & dbm) && !m->marks_fault)
		e->rights |= RIGHT_WRITE;
	e->access_sets = af;
	if (entry & dbm)
		e->store_clears = read_only;
	if ((entry & field(9, 8)) != field(9, 8) || (entry & attributes))
		e->wrong = "mmu: a page of ordinary memory that is not inner shareable and write-back";
	else if (entry & (field(49, 48) | bit(52)))
		e->wrong = "mmu: reserved bits 49:48 or Contiguous are set in a descriptor";
}

/* ---- RISC-V: 12.3.2 "Virtual Address Translation Process" --------------------------------- */

static void riscv_read(const struct machine *m, uint64_t entry, unsigned level, struct meaning *e)
{
	const uint64_t v = bit(0), r = bit(1), w = bit(2), x = bit(3), u = bit(4), a = bit(6), d = bit(7);
	uint64_t ppn = (entry & field(53, 10)) >> 10;

	(void)m;
	e->present = entry & v;
	e->leaf = entry & (r | w | x);
	e->frame = ppn;
	if (!e->present)
		return;
	if ((entry & w) && !(entry & r)) {
		e->wrong = "mmu: W without R is reserved";
	} else if (entry & field(63, 54)) {
		e->wrong = "mmu: bits 63:54 are set: reserved, or of extensions that are not there";
	} else if (!e->leaf && level == 1) {
		e->present = false;
	} else if (!e->leaf) {
		e->user = true;
		e->rights = RIGHT_WRITE | RIGHT_EXEC;
		if (entry & (u | a | d))
			e->wrong = "mmu: D, A or U is set in an entry that points to a table";
	} else {
		e->user = entry & u;
		/* Quire makes nothing that cannot be read; here X alone would be that. */
		if (!(entry & r))
			e->wrong = "mmu: a page that can be executed and not read";
		if (entry & w)
			e->rights |= RIGHT_WRITE;
		if (entry & x)
			e->rights |= RIGHT_EXEC;
		if (entry & d)
			e->rights |= RIGHT_DIRTY;
		e->access_sets = a;
		e->store_sets = d;
	}
}

/* ------------------------------------------------------------------------------------------ */

static const struct mmu mmus[] = {
	{ &quire_pgfmt_x86_64, 4, 8, 9, 9, 48, true, false, x86_64_read },
	{ &quire_pgfmt_x86_64_5level, 5, 8, 9, 9, 57, true, false, x86_64_read },
	{ &quire_pgfmt_i386, 2, 4, 10, 10, 32, false, false, i386_read },
	{ &quire_pgfmt_pae, 3, 8, 9, 2, 32, false, true, pae_read },
	{ &quire_pgfmt_aarch64, 4, 8, 9, 9, 48, false, false, aarch64_read },
	{ &quire_pgfmt_aarch64_16k, 4, 8, 11, 1, 48, false, false, aarch64_read },
	{ &quire_pgfmt_aarch64_64k, 3, 8, 13, 6, 48, false, false, aarch64_read },
	{ &quire_pgfmt_sv32, 2, 4, 10, 10, 32, false, false, riscv_read },
	{ &quire_pgfmt_sv39, 3, 8, 9, 9, 39, false, false, riscv_read },
	{ &quire_pgfmt_sv48, 4, 8, 9, 9, 48, false, false, riscv_read },
	{ &quire_pgfmt_sv57, 5, 8, 9, 9, 57, false, false, riscv_read },
};

static unsigned shift_of(const struct mmu *mmu, unsigned level)
{
	return MACHINE_PAGE_SHIFT + mmu->bits * (level - 1);
}

const struct mmu *machine_mmu(const struct quire_pgfmt *fmt)
{
	unsigned i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(mmus); i++) {
		if (mmus[i].fmt == fmt && fmt->shift[0] == MACHINE_PAGE_SHIFT)
			return &mmus[i];
	}
	machine_die("no MMU for the format %s", fmt->name);
}

unsigned machine_mmu_levels(const struct mmu *mmu)
{
	return mmu->levels;
}

unsigned machine_mmu_shift(const struct mmu *mmu, unsigned level)
{
	return shift_of(mmu, level);
}

unsigned machine_mmu_region(const struct mmu *mmu)
{
	return shift_of(mmu, 2);
}

void machine_mmu_load(struct machine *m, struct machine_cpu *cpu)
{
	if (cpu->mmu->root_copied)
		memcpy(cpu->pdpte, m->ram + (cpu->root << 12), sizeof(cpu->pdpte));
}

uint32_t machine_fault_says(const struct machine_cpu *cpu, uint32_t access)
{
	return cpu->mmu->fmt == &quire_pgfmt_i386 && access == QUIRE_ACCESS_EXEC ? QUIRE_ACCESS_READ : access;
}

bool machine_is_canonical(const struct machine_cpu *cpu, uint64_t addr)
{
	int64_t upper = (int64_t)addr >> (cpu->mmu->va_bits - 1);

	return !cpu->mmu->is_canonical_only || upper == 0 || upper == -1;
}

/*
 * User space has no page where these addresses are: they are beyond 32 bits, in the other root
 * (AArch64), or not the sign extension (RISC-V, 12.4.1).
 */
static bool is_beyond(const struct mmu *mmu, uint64_t addr)
{
	if (mmu->is_canonical_only)
		return false;
	if (mmu->fmt->va_signed) {
		int64_t upper = (int64_t)addr >> (mmu->va_bits - 1);

		return upper != 0 && upper != -1;
	}
	return addr >> mmu->va_bits != 0;
}

struct step {
	void *entry;
	uint64_t value;
};

static enum walk bad(struct machine *m, bool quiet, const char *what, uint64_t value)
{
	if (!quiet)
		machine_report(m, what, "mmu", value);
	return WALK_BAD;
}

static enum walk read_table(struct machine *m, const struct machine_cpu *cpu, bool quiet,
			    quire_pfn_t table, uint64_t addr, unsigned level, struct step *step)
{
	const struct mmu *mmu = cpu->mmu;
	unsigned bits = level == mmu->levels ? mmu->top_bits : mmu->bits;
	uint64_t i = addr >> shift_of(mmu, level) & ((1u << bits) - 1);

	if (table >= m->nr_frames)
		return bad(m, quiet, "mmu: table beyond the end of memory", table);
	if (QUIRE_DEBUG && !(__atomic_load_n(&m->frame[table], __ATOMIC_RELAXED) & FRAME_ALLOCATED))
		return bad(m, quiet, "mmu: a table lies in a frame that is free", table);
	step->entry = m->ram + (table << MACHINE_PAGE_SHIFT) + i * mmu->entry_bytes;
	/* Who only looks on is no switching point. */
	if (!quiet)
		QUIRE_SCHED_POINT(step->entry, 0);
	if (mmu->root_copied && level == mmu->levels)
		step->value = cpu->pdpte[i];
	else if (mmu->entry_bytes == 8)
		step->value = __atomic_load_n((uint64_t *)step->entry, __ATOMIC_ACQUIRE);
	else
		step->value = __atomic_load_n((uint32_t *)step->entry, __ATOMIC_ACQUIRE);
	return WALK_OK;
}

/* Change an entry that was read as step->value; false if it has changed since. */
static bool mark(const struct mmu *mmu, struct step *step, uint64_t value)
{
	uint32_t old = (uint32_t)step->value;

	if (step->value == value)
		return true;
	if (mmu->entry_bytes == 4)
		return quire_cmpxchg((uint32_t *)step->entry, &old, (uint32_t)value);
	return quire_cmpxchg((uint64_t *)step->entry, &step->value, value);
}

/* want < 0: only look. */
static inline enum walk walk(struct machine *m, const struct machine_cpu *cpu, uint64_t addr, int want,
			     bool kernel, const struct psc_entry *from, struct translation *t)
{
	const struct mmu *mmu = cpu->mmu;
	const bool quiet = want < 0;
	struct meaning e;
	struct step step[5];
	uint64_t marked[5], size;
	unsigned level, n, i;
	quire_pfn_t table;
	uint8_t rights;
	enum walk w;
	bool user;

	/* The kernel's addresses are those of a window: not beyond. */
	if (!kernel && is_beyond(mmu, addr))
		return WALK_FAULT;
again:
	n = 0;
	user = true;
	if (from) {
		table = from->table;
		rights = from->rights;
		level = 1;
	} else {
		table = cpu->root;
		rights = RIGHT_WRITE | RIGHT_EXEC;
		level = mmu->levels;
	}
	for (;; level--) {
		t->table = table;
		t->table_rights = rights;
		w = read_table(m, cpu, quiet, table, addr, level, &step[n]);
		if (w != WALK_OK)
			return w;
		e = (struct meaning){ .kernel = kernel };
		mmu->read(m, step[n].value, level, &e);
		if (!e.present)
			return WALK_FAULT;
		if (e.wrong)
			return bad(m, quiet, e.wrong, step[n].value);
		/* SDM 4.6.1 and the like: every level must allow it. */
		user &= e.user;
		rights &= e.rights | RIGHT_DIRTY;
		marked[n] = step[n].value | e.access_sets;
		if (e.leaf && want > 0 && (want & (int)RIGHT_WRITE))
			marked[n] = (marked[n] | e.store_sets) & ~e.store_clears;
		n++;
		if (e.leaf)
			break;
		table = e.frame;
	}
	t->shift = (uint8_t)shift_of(mmu, level);
	size = 1ull << t->shift;
	t->pfn = e.frame + ((addr & (size - 1)) >> MACHINE_PAGE_SHIFT);
	if (kernel && user)
		return bad(m, quiet, "mmu: user code can reach a page of the kernel's", addr);
	if (!kernel && !user)
		return WALK_FAULT;
	if (want > 0 && ((unsigned)want & ~rights))
		return WALK_FAULT;
	if (t->pfn >= m->nr_frames)
		return bad(m, quiet, "mmu: page beyond the end of memory", t->pfn);
	if (!quiet) {
		for (i = 0; i < n; i++) {
			if (m->marks_fault && marked[i] != step[i].value)
				return WALK_FAULT;
			if (!mark(mmu, &step[i], marked[i]))
				goto again;
		}
	}
	if ((e.rights & RIGHT_DIRTY) || (want > 0 && (want & (int)RIGHT_WRITE)))
		rights |= RIGHT_DIRTY;
	t->rights = rights;
	return WALK_OK;
}

enum walk machine_walk(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
		       unsigned want, const struct psc_entry *from, struct translation *t)
{
	return walk(m, cpu, addr, (int)want, false, from, t);
}

enum walk machine_look(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
		       struct translation *t)
{
	return walk(m, cpu, addr, -1, false, NULL, t);
}

enum walk machine_walk_kernel(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
			      unsigned want, struct translation *t)
{
	return walk(m, cpu, addr, (int)want, true, NULL, t);
}

enum walk machine_look_kernel(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
			      struct translation *t)
{
	return walk(m, cpu, addr, -1, true, NULL, t);
}

/* SPDX-License-Identifier: MIT */
/*
 * The page-table walker of an x86-64 processor in user mode, written from Intel's SDM vol. 3A,
 * chapter 4, and from nothing else: it shares no constant with src/pgtable/, so a wrong one there
 * shows here as a page that is not where it should be. Called by access.c on a TLB miss; it reads
 * tables as the hardware does, without any lock, while Quire changes them.
 */
#include "internal.h"

/* SDM tables 4-15 (PML4E) to 4-20 (PTE). */
#define P (1ull << 0)
#define RW (1ull << 1)
#define US (1ull << 2)
#define A (1ull << 5)
#define D (1ull << 6)
#define PS (1ull << 7)
#define XD (1ull << 63)

/* 4.5.4: bits 51:M of a present entry are reserved, M being MAXPHYADDR. */
static uint64_t address_field(unsigned low, unsigned high)
{
	return (~0ull >> (63 - high)) & (~0ull << low);
}

bool machine_is_canonical(const struct machine_cpu *cpu, uint64_t addr)
{
	int64_t upper = (int64_t)addr >> (cpu->levels == 5 ? 56 : 47);

	return upper == 0 || upper == -1;
}

struct step {
	uint64_t *entry;
	uint64_t value;
};

static enum walk bad(struct machine *m, bool quiet, const char *what, uint64_t value)
{
	if (!quiet)
		machine_report(m, what, "mmu", value);
	return WALK_BAD;
}

/* level as the SDM's figures have it: 1 PTE, 2 PDE, 3 PDPTE, 4 PML4E, 5 PML5E. */
static enum walk check_reserved(struct machine *m, bool quiet, uint64_t entry, unsigned level)
{
	if (entry & address_field((unsigned)m->physical_bits, 51))
		return bad(m, quiet, "mmu: entry with address bits that the machine does not have",
			   entry);
	if (level >= 4 && (entry & PS))
		return bad(m, quiet, "mmu: reserved bit 7 is set in a PML4E or PML5E", entry);
	if (level == 3 && (entry & PS) && (entry & address_field(13, 29)))
		return bad(m, quiet,
			   "mmu: reserved bits 29:13 are set in the entry of a 1 GiB page", entry);
	if (level == 2 && (entry & PS) && (entry & address_field(13, 20)))
		return bad(m, quiet,
			   "mmu: reserved bits 20:13 are set in the entry of a 2 MiB page", entry);
	return WALK_OK;
}

static enum walk read_table(struct machine *m, bool quiet, quire_pfn_t table, uint64_t addr,
			    unsigned level, struct step *step)
{
	if (table >= m->nr_frames)
		return bad(m, quiet, "mmu: table beyond the end of memory", table);
	if (QUIRE_DEBUG && !(__atomic_load_n(&m->frame[table], __ATOMIC_RELAXED) & FRAME_ALLOCATED))
		return bad(m, quiet, "mmu: a table lies in a frame that is free", table);
	step->entry = (uint64_t *)(void *)(m->ram + (table << 12)) +
		      ((addr >> (12 + 9 * (level - 1))) & 511);
	/* Who only looks on is no switching point. */
	if (!quiet)
		QUIRE_SCHED_POINT(step->entry, 0);
	step->value = __atomic_load_n(step->entry, __ATOMIC_ACQUIRE);
	return WALK_OK;
}

/* Set bits in an entry that was read as step->value; false if it has changed since. */
static bool set_bits(struct step *step, uint64_t bits)
{
	if ((step->value & bits) == bits)
		return true;
	return quire_cmpxchg(step->entry, &step->value, step->value | bits);
}

/* want < 0: only look. */
static enum walk walk(struct machine *m, const struct machine_cpu *cpu, uint64_t addr, int want,
		      const struct psc_entry *from, struct translation *t)
{
	const bool quiet = want < 0;
	struct step step[5];
	unsigned level, n, i;
	uint64_t size, frame;
	quire_pfn_t table;
	uint8_t rights;
	enum walk w;
	bool user;

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
		level = cpu->levels;
	}
	for (;; level--) {
		uint64_t entry;

		t->table = table;
		t->table_rights = rights;
		w = read_table(m, quiet, table, addr, level, &step[n]);
		if (w != WALK_OK)
			return w;
		entry = step[n++].value;
		if (!(entry & P))
			return WALK_FAULT;
		w = check_reserved(m, quiet, entry, level);
		if (w != WALK_OK)
			return w;
		/* 4.6.1: every level must allow it. */
		user &= (entry & US) != 0;
		if (!(entry & RW))
			rights &= (uint8_t)~RIGHT_WRITE;
		if (entry & XD)
			rights &= (uint8_t)~RIGHT_EXEC;
		if (level == 1 || (level <= 3 && (entry & PS)))
			break;
		table = (entry & address_field(12, 51)) >> 12;
	}
	t->shift = (uint8_t)(12 + 9 * (level - 1));
	size = 1ull << t->shift;
	frame = step[n - 1].value & address_field(t->shift, 51);
	t->pfn = (frame + (addr & (size - 1))) >> 12;
	if (!user)
		return WALK_FAULT;
	if (want > 0 && ((unsigned)want & ~rights))
		return WALK_FAULT;
	if (t->pfn >= m->nr_frames)
		return bad(m, quiet, "mmu: page beyond the end of memory", t->pfn);
	if (!quiet) {
		/* 4.8: A in each entry used, D in the leaf for a write; both stick. */
		for (i = 0; i < n; i++) {
			uint64_t bits = A;

			if (i == n - 1 && (want & (int)RIGHT_WRITE))
				bits |= D;
			if (!set_bits(&step[i], bits))
				goto again;
			step[i].value |= bits;
		}
	}
	if (step[n - 1].value & D)
		rights |= RIGHT_DIRTY;
	t->rights = rights;
	return WALK_OK;
}

enum walk machine_walk(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
		       unsigned want, const struct psc_entry *from, struct translation *t)
{
	return walk(m, cpu, addr, (int)want, from, t);
}

enum walk machine_look(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
		       struct translation *t)
{
	return walk(m, cpu, addr, -1, NULL, t);
}

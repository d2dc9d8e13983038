/* SPDX-License-Identifier: MIT */
/*
 * What the files of the machine share. Host code: libc is fine here.
 *
 * Who writes what: a CPU's TLB is under its lock, which an access holds from look-up to the last
 * byte, so a flush that has had the lock knows that no access through an old entry is under way.
 * The counters of preemption and interrupts belong to the CPU's thread. The bytes a frame are
 * atomic.
 */
#ifndef MACHINE_INTERNAL_H
#define MACHINE_INTERNAL_H

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

/* Each compiler has its own way of saying so. */
#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define MACHINE_ASAN 1
#else
#define MACHINE_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define MACHINE_TSAN 1
#else
#define MACHINE_TSAN 0
#endif

#define MACHINE_PAGE 4096u
#define MACHINE_PAGE_SHIFT 12

/* ---- Frames ------------------------------------------------------------------------------ */

/* Bits of machine.frame[]. None: never handed out; firmware, descriptors, or just never used. */
#define FRAME_ALLOCATED 0x1u
#define FRAME_FREED 0x2u
#define FRAME_DIRTY 0x4u /* may hold anything but zeroes */

/* ---- The TLB ----------------------------------------------------------------------------- */

/* Rights, in entries and in walks. User mode alone is simulated, so U/S is not among them. */
#define RIGHT_WRITE 0x1u
#define RIGHT_EXEC 0x2u
#define RIGHT_DIRTY 0x4u /* D is set in the leaf: stores need not tell the tables */

/* One 4 KiB page, also where the leaf is larger. */
struct tlb_entry {
	uint64_t asid; /* 0: empty */
	uint64_t vpn, pfn;
	uint8_t rights;
	uint8_t shift; /* of the leaf: a flush of any of its addresses drops it */
};

/*
 * Paging-structure cache (SDM 4.10.3): where the lowest table of a region (2 MiB, or 4) is, and the
 * rights down to there.
 */
struct psc_entry {
	uint64_t asid; /* 0: empty */
	uint64_t region; /* its number */
	uint64_t table;  /* frame */
	uint8_t rights;
};

#define TLB_WAYS 4u
#define PSC_ENTRIES 32u

struct machine_lock {
	uint32_t word;
};

/* Who waits for a machine_lock lets other threads run. */
#ifndef MACHINE_YIELD
#define MACHINE_YIELD() sched_yield()
#endif

struct machine_cpu {
	struct machine_lock lock; /* of all down to psc */
	struct quire_pgtable *pt; /* loaded, or NULL */
	uint64_t asid;
	quire_pfn_t root;
	const struct mmu *mmu;
	unsigned region_shift;    /* what a lowest table covers */
	uint64_t pdpte[4];        /* PAE: the root's entries as they were when it was loaded */
	struct tlb_entry *tlb;    /* sets of TLB_WAYS */
	uint32_t nr_used, nr_large;
	uint32_t next_way;
	struct psc_entry psc[PSC_ENTRIES];
	struct machine_stats stats;

	uint32_t bound;           /* a thread is this CPU; atomic */
	uint32_t preempt_off;
	bool irqs_off;
	unsigned number;
} __attribute__((aligned(64)));

#define MAX_REPORTS 32
#define REPORT_TEXT 160

struct machine {
	struct quire q;
	uint64_t serial; /* unlike that of every other machine there was */
	unsigned char *ram;
	uint64_t ram_bytes, nr_frames;
	uint8_t *frame;     /* FRAME_*, atomic */
	uint32_t *tlb_refs; /* what points to the frame: TLBs, caches, roots; debug builds */
	struct machine_cpu *cpu;
	unsigned nr_cpus, tlb_sets;
	bool marks_fault;       /* see machine_config */
	uint64_t physical_bits; /* address bits that a table entry may set (MAXPHYADDR) */

	machine_fault_fn fault;
	void *fault_ctx;
	struct machine_hooks hooks;
	void *hooks_ctx;

	struct machine_lock report_lock;
	unsigned nr_reports; /* not taken back */
	char report[MAX_REPORTS][REPORT_TEXT];
	bool quiet, verbose;

	uint64_t random, clock;
	uint32_t nr_bound, nr_waiting;
};

static inline void lock(struct machine_lock *l)
{
	uint32_t unlocked = 0;
	unsigned spins = 0;

	while (!quire_cmpxchg_acquire(&l->word, &unlocked, 1)) {
		while (quire_load(&l->word)) {
			if (++spins % 64 == 0)
				MACHINE_YIELD();
		}
		unlocked = 0;
	}
	QUIRE_SCHED_HOLDS(&l->word, 1);
}

static inline void unlock(struct machine_lock *l)
{
	QUIRE_SCHED_HOLDS(&l->word, 0);
	quire_store_release(&l->word, 0);
}

static inline struct machine *machine_of(struct quire *q)
{
	return q->host;
}

__attribute__((noreturn, format(printf, 1, 2))) void machine_die(const char *format, ...);

/* The CPU that the calling thread is; dies if it is none. */
struct machine_cpu *machine_this_cpu(struct machine *m);

/* True if the calling thread is a CPU of m. */
bool machine_is_bound(struct machine *m);

/* ---- The MMU (mmu.c) --------------------------------------------------------------------- */

enum walk {
	WALK_OK,
	WALK_FAULT, /* #PF */
	WALK_BAD,   /* tables that the hardware chokes on; reported */
};

struct translation {
	quire_pfn_t pfn; /* of the 4 KiB page */
	uint8_t rights;
	uint8_t shift;   /* of the leaf */
	/* the lowest table on the way, for the paging-structure cache; shift 12 only */
	quire_pfn_t table;
	uint8_t table_rights;
};

/*
 * For an access of want (RIGHT_WRITE, RIGHT_EXEC or 0 to read): sets A, and D for WRITE. from: a
 * cached start, or NULL.
 */
enum walk machine_walk(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
		       unsigned want, const struct psc_entry *from, struct translation *t);

/* The same from the root without setting a bit or reporting anything. */
enum walk machine_look(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
		       struct translation *t);

/* The one for a format; dies if there is none. */
const struct mmu *machine_mmu(const struct quire_pgfmt *fmt);

/* log2 of what one of its lowest tables covers. */
unsigned machine_mmu_region(const struct mmu *mmu);

/* What the processor does besides when cpu->root is loaded. */
void machine_mmu_load(struct machine *m, struct machine_cpu *cpu);

bool machine_is_canonical(const struct machine_cpu *cpu, uint64_t addr);

/* ---- The TLB (tlb.c); the CPU's lock is held ---------------------------------------------- */

struct tlb_entry *machine_tlb_find(struct machine *m, struct machine_cpu *cpu, uint64_t addr);
void machine_tlb_fill(struct machine *m, struct machine_cpu *cpu, uint64_t addr,
		      const struct translation *t);
struct psc_entry *machine_psc_find(struct machine_cpu *cpu, uint64_t addr);

/* All that the CPU knows about addr. */
void machine_tlb_forget(struct machine *m, struct machine_cpu *cpu, uint64_t addr);
void machine_tlb_forget_all(struct machine *m, struct machine_cpu *cpu);

/* Count (by 1 or -1) a register or cache that points to the frame. */
void machine_refer(struct machine *m, quire_pfn_t pfn, int by);

/* ---- The default fault handler (fault.c) -------------------------------------------------- */

int machine_quire_fault(void *ctx, struct quire_pgtable *pt, quire_uaddr_t addr, uint32_t access,
			struct quire_signal *sig);

#endif

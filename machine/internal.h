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

#define MACHINE_PAGE_SHIFT QUIRE_PAGE_SHIFT
#define MACHINE_PAGE (1u << MACHINE_PAGE_SHIFT)

/* ---- Frames ------------------------------------------------------------------------------ */

/* Bits of machine.frame[]. None: never handed out; firmware, descriptors, or just never used. */
#define FRAME_ALLOCATED 0x1u
#define FRAME_FREED 0x2u
#define FRAME_DIRTY 0x4u /* may hold anything but zeroes */
#define FRAME_PACKED 0x8u /* what it holds is packed[]'s word, over and over; RAM has nothing */

/* ---- The TLB ----------------------------------------------------------------------------- */

/* Rights, in entries and in walks. Each mode has entries of its own, so U/S is not among them. */
#define RIGHT_WRITE 0x1u
#define RIGHT_EXEC 0x2u
#define RIGHT_DIRTY 0x4u /* D is set in the leaf: stores need not tell the tables */

/* One page, also where the leaf is larger. */
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
	bool kernel_apart;        /* of pt's format, for who may not touch memory that lies in the window */
	unsigned region_shift;    /* what a lowest table covers */
	uint64_t pdpte[4];        /* PAE: the root's entries as they were when it was loaded */
	struct tlb_entry *tlb;    /* sets of TLB_WAYS */
	uint32_t nr_used, nr_large;
	uint32_t next_way;
	struct psc_entry psc[PSC_ENTRIES];
	struct machine_stats stats;
	struct quire_task_policy *policy; /* of the thread that the CPU runs; NULL: it has none */
	uint64_t seen[2][MACHINE_PAGE / 8]; /* packed frames as loads see them, the two that one access may touch */

	uint32_t bound;           /* a thread is this CPU; atomic */
	uint32_t preempt_off;
	uint32_t interrupts;      /* that it is handling, one inside the other */
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
	unsigned char *direct; /* ram, or where the window has physical address 0 */
	uint64_t direct_bytes; /* from there on: all, or what lies below high memory */
	struct window *window; /* NULL: the kernel's addresses are not simulated */
	uint8_t *frame;     /* FRAME_*, atomic */
	uint32_t *tlb_refs; /* what points to the frame: TLBs, caches, roots; debug builds */
	struct machine_cpu *cpu;
	uint64_t *packed;   /* by frame; NULL: none ever was. Set while nobody accesses the machine */
	struct machine_lock pack_lock; /* of packed frames that are filled again */
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

/* Memory that the host gives as it is written; NULL: there are no addresses. */
void *machine_map_sparse(uint64_t bytes);

/* With the sanitizer, whoever kept a pointer to a freed frame is caught in the act. */
void machine_poison(struct machine *m, quire_pfn_t pfn, bool free);

/* The CPU that the calling thread is; dies if it is none. */
struct machine_cpu *machine_this_cpu(struct machine *m);

/* True if the calling thread is a CPU of m. */
bool machine_is_bound(struct machine *m);

/* ---- Packed RAM (pack.c) ----------------------------------------------------------------- */

void machine_unpack(struct machine *m, quire_pfn_t pfn);

/* What a packed frame holds, in the CPU's own memory until the next but one. The CPU's lock is held. */
unsigned char *machine_packed_bytes(struct machine *m, struct machine_cpu *cpu, quire_pfn_t pfn, unsigned which);

/* Before any byte of the frame is looked at. */
static inline void machine_reach(struct machine *m, quire_pfn_t pfn)
{
	if (quire_unlikely(m->packed != NULL) && (quire_load(&m->frame[pfn]) & FRAME_PACKED))
		machine_unpack(m, pfn);
}

/* ---- The MMU (mmu.c) --------------------------------------------------------------------- */

enum walk {
	WALK_OK,
	WALK_FAULT, /* #PF */
	WALK_BAD,   /* tables that the hardware chokes on; reported */
};

struct translation {
	quire_pfn_t pfn; /* of the page */
	uint8_t rights;
	uint8_t shift;   /* of the leaf */
	/* the lowest table on the way, for the paging-structure cache; leaves of one page only */
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

/* In kernel mode, for a kernel address; addr is one that tables can name. */
enum walk machine_walk_kernel(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
			      unsigned want, struct translation *t);
enum walk machine_look_kernel(struct machine *m, const struct machine_cpu *cpu, uint64_t addr,
			      struct translation *t);

/* The one for a format; dies if there is none. */
const struct mmu *machine_mmu(const struct quire_pgfmt *fmt);

/* Levels from 1, the lowest; log2 of what an entry at one of them covers. */
unsigned machine_mmu_levels(const struct mmu *mmu);
unsigned machine_mmu_shift(const struct mmu *mmu, unsigned level);

/* log2 of what one of its lowest tables covers. */
unsigned machine_mmu_region(const struct mmu *mmu);

/* What the processor does besides when cpu->root is loaded. */
void machine_mmu_load(struct machine *m, struct machine_cpu *cpu);

/* What the fault handler is told of an access: i386's error code has no bit for fetches (SDM 4.7, I/D). */
uint32_t machine_fault_says(const struct machine_cpu *cpu, uint32_t access);

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

/* ---- The window (window.c) --------------------------------------------------------------- */

/* Where Linux's direct map ends for that much memory; 0: it has all. */
uint64_t machine_window_high_memory(const struct quire_pgfmt *fmt, uint64_t ram_bytes);

/* Where the kernel's addresses are. -EINVAL as quire_kva_layout_init(). */
int machine_window_layout(const struct quire_pgfmt *fmt, uint64_t ram_bytes, uint64_t high_memory,
			  unsigned nr_cpus, struct quire_kva_layout *layout);

/* Makes ram and window, as a machine without tables has them. false: the host refuses; then destroy it. */
bool machine_window_create(struct machine *m, const struct quire_pgfmt *fmt,
			   const struct quire_kva_layout *layout);
void machine_window_destroy(struct machine *m);

/* The file that is RAM. */
int machine_window_memory(const struct machine *m);

/* No CPU has anything of the window in its TLB any more. */
void machine_window_forget(struct machine *m);

/* Called by the port's flushes; not with a CPU's lock. */
void machine_window_flush(struct machine *m, const struct quire_tlb_flush *flush);
void machine_window_flush_local(struct machine *m, const struct machine_cpu *cpu, quire_kaddr_t addr);

void machine_window_stats(struct machine *m, struct machine_stats *stats);
quire_broken_t machine_window_check(struct machine *m);

/* ---- The default fault handler (fault.c) -------------------------------------------------- */

int machine_quire_fault(void *ctx, struct quire_pgtable *pt, quire_uaddr_t addr, uint32_t access,
			struct quire_signal *sig);

#endif

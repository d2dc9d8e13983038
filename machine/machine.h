/* SPDX-License-Identifier: MIT */
/*
 * A simulated computer inside an ordinary process: RAM, CPUs, an MMU with a TLB that keeps what it
 * has until it is told otherwise. It is a port of Quire, and the place where Quire is tested: what
 * a real machine would let pass most of the time is reported here every time.
 *
 *	struct machine_config config = { .ram_bytes = 64 << 20, .nr_cpus = 2 };
 *	struct machine *m;
 *
 *	machine_create(&config, &m);           this thread is CPU 0
 *	quire_mm_create(machine_quire(m), &layout, &mm);
 *	machine_switch(m, &mm->pt);
 *	addr = quire_mmap(mm, ...);
 *	machine_store(m, addr, "hello", 5, &signal);
 *	...
 *	machine_switch(m, NULL);
 *	quire_mmput(mm);
 *	failures += machine_destroy(m);        anything reported, anything left over
 *
 * CPUs are threads: a thread says which CPU it is and stays that one; a CPU is one thread at a
 * time. With one thread everything that happens is the same in every run.
 *
 * What aborts, with a sentence that says why: what the port's contract forbids and no host could
 * survive (sleeping or flushing with preemption off, unbalanced enables), and misuse of this
 * header. What is reported, so that the run goes on: everything that is wrong with memory.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <quire/quire.h>

struct machine;

/* ---- Building ---------------------------------------------------------------------------- */

struct machine_config {
	uint64_t ram_bytes;            /* 0: 64 MiB. The host gives memory to what is written */
	const struct quire_range *map; /* NULL: a PC's: all but page 0 and 640 KiB to 1 MiB */
	size_t nr_ranges;              /* of map; ranges lie below ram_bytes */
	uint32_t zones;                /* 0: DMA, DMA32 and NORMAL; see quire_page_init() */
	unsigned nr_cpus;              /* 0: 1; at most 64 */
	const struct quire_pgfmt *fmt; /* NULL: quire_pgfmt_x86_64 */
	bool marks_fault;              /* a processor that does not mark entries itself, but faults where
					* it would (RISC-V's Svade, AArch64 without FEAT_HAFDBS); x86 marks */
	unsigned tlb_entries;          /* a CPU; 0: 1024; made a power of two, at least 4 */
	uint64_t seed;                 /* of quire_port_random(); 0: which then always says 0 */
	bool verbose;                  /* print what quire_port_log() is given */
};

/*
 * Make it, bring Quire up on it, and be its CPU 0. config may be NULL. 0, or what quire_init()
 * said; -ENOMEM.
 */
int machine_create(const struct machine_config *config, struct machine **m);

/*
 * Take every space off its CPU, bring Quire down, and check that nothing is left. Only the calling
 * thread may still be bound. Returns the number of reports that nobody expected: 0 is good.
 */
unsigned machine_destroy(struct machine *m);

struct quire *machine_quire(struct machine *m);

/* ---- CPUs -------------------------------------------------------------------------------- */

/*
 * The calling thread is CPU n of m from now on; nobody else is. A thread can be a CPU of 16
 * machines.
 */
void machine_cpu_bind(struct machine *m, unsigned n);

/*
 * A thread that is a CPU already is CPU n for now: for hosts in which one thread is several CPUs by
 * turns. Every CPU stays as it was left. Back to the one it was bound as before it unbinds.
 */
void machine_cpu_turn(struct machine *m, unsigned n);

/* The calling thread is no CPU of m any more; the CPU has no space loaded. */
void machine_cpu_unbind(struct machine *m);

/*
 * Run fn(m, cpu, arg) on a thread for each CPU 0..n-1, and wait for all. The caller is CPU 0 before
 * and after, not meanwhile.
 */
void machine_run_cpus(struct machine *m, unsigned n,
		      void (*fn)(struct machine *m, unsigned cpu, void *arg), void *arg);

/* This CPU runs in that space from now on (NULL: in none): what loading CR3 does. */
void machine_switch(struct machine *m, struct quire_pgtable *pt);

/* ---- Memory accesses --------------------------------------------------------------------- */

/* #GP for an address that is not canonical; Linux's si_code for it. */
#define MACHINE_SI_KERNEL 0x80

/*
 * What user code does, on this CPU and in its space: load, store or fetch (execute) len bytes at
 * addr, at most 4,096, crossing at most one page boundary. All of it happens or nothing. Faults go
 * to the handler, then the access is tried again. 0; or the handler's error (-QUIRE_EFAULT), the
 * signal in *sig, which may be NULL. Whole words that are aligned are loaded and stored as such.
 */
int machine_load(struct machine *m, quire_uaddr_t addr, void *buf, size_t len,
		 struct quire_signal *sig);
int machine_store(struct machine *m, quire_uaddr_t addr, const void *buf, size_t len,
		  struct quire_signal *sig);
int machine_fetch(struct machine *m, quire_uaddr_t addr, void *buf, size_t len,
		  struct quire_signal *sig);

/*
 * Compare and exchange size (4 or 8) aligned bytes, LOCK CMPXCHG: a store even where they differ.
 * *old is what was there; *swapped whether it was the *old from before.
 */
int machine_cmpxchg(struct machine *m, quire_uaddr_t addr, size_t size, uint64_t *old, uint64_t new,
		    bool *swapped, struct quire_signal *sig);

/*
 * The fault handler: 0, try again; or an error and *sig. Runs on the CPU that faulted, interrupts
 * on, and may sleep. Default: quire_fault() on the struct quire_mm around the loaded tables.
 */
typedef int (*machine_fault_fn)(void *ctx, struct quire_pgtable *pt, quire_uaddr_t addr,
				uint32_t access, struct quire_signal *sig);
void machine_set_fault(struct machine *m, machine_fault_fn fn, void *ctx);

/* ---- Looking on -------------------------------------------------------------------------- */

/*
 * What was found wrong, printed to stderr as it is found (unless quiet) and counted: Quire's own
 * reports, frames freed while a TLB maps them or used when free, tables that the MMU can't read.
 */
bool machine_failed(struct machine *m);

/* The last report whose text contains what is taken back; false if there is none. */
bool machine_expect_report(struct machine *m, const char *what);

/* For a stretch of a test that is about to provoke reports. */
void machine_set_quiet(struct machine *m, bool quiet);

/* Report something from outside, a failed test step say. */
void machine_report(struct machine *m, const char *what, const char *where, uint64_t value);

/*
 * Every TLB entry of every CPU gives what the tables give, or less. For moments at which no call
 * is under way: between unlink and flush an entry may say more. NULL, or what is wrong.
 */
quire_broken_t machine_check(struct machine *m);

struct machine_stats {
	uint64_t accesses;   /* translations of a page for an access */
	uint64_t hits;       /* of them served by the TLB */
	uint64_t stale_hits; /* of them by an entry that gives more than the tables; debug builds */
	uint64_t walks;      /* by the MMU */
	uint64_t faults;     /* handed to the handler */
	uint64_t flushes;    /* quire_port_tlb_flush() */
	uint64_t shootdowns; /* other CPUs' TLBs entered by them */
};
void machine_stats(struct machine *m, struct machine_stats *stats);

/* Told of events as they happen; any may be NULL. */
struct machine_hooks {
	void (*flush)(void *ctx, const struct quire_tlb_flush *flush);       /* before it is done */
	void (*frames)(void *ctx, quire_pfn_t pfn, unsigned order, bool allocated);
};
void machine_set_hooks(struct machine *m, const struct machine_hooks *hooks, void *ctx);

#endif

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
 * The kernel's addresses are the host's unless the machine has a window (below): then they are simulated too.
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
	uint32_t zones;                /* 0: DMA, DMA32 and NORMAL, or with high_memory DMA, NORMAL and HIGHMEM */
	quire_paddr_t high_memory;     /* see quire_page_init(); 0 with a window: as Linux has it */
	bool window;                   /* the kernel's addresses are simulated; see below */
	unsigned nr_nodes;             /* these three: see struct quire_config */
	const uint8_t *node_distance;
	const uint8_t *cpu_node;
	unsigned nr_cpus;              /* 0: 1; at most 64 */
	const struct quire_pgfmt *fmt; /* NULL: x86-64; with pages of 16 or 64 KiB, AArch64 */
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

/*
 * This CPU runs in that space from now on (NULL: in none, and on the kernel's own tables): what loading CR3
 * does. Global entries, the kernel's, stay.
 */
void machine_switch(struct machine *m, struct quire_pgtable *pt);

/* This CPU runs a thread with that memory policy from now on (NULL: none): what quire_port_task_policy() says. */
void machine_set_policy(struct machine *m, struct quire_task_policy *policy);

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

/* ---- Interrupts -------------------------------------------------------------------------- */

/*
 * This CPU is interrupted, and handles it by fn(m, arg): interrupts are off, quire_port_in_interrupt() is true.
 * A handler may be interrupted in turn; otherwise interrupts must be on.
 */
void machine_interrupt(struct machine *m, void (*fn)(struct machine *m, void *arg), void *arg);

/* ---- The window on the kernel's addresses ------------------------------------------------ */

/*
 * With machine_config.window the pointers that Quire gives and gets are addresses in a window of the host's, where
 * nothing is but what the kernel's tables map, with the rights that they give. The direct map's are among
 * them: a frame at or above high_memory has no pointer. An access that the tables do not allow ends the process,
 * with a sentence; a page that was unmapped can be used until a flush, and by nobody afterwards. 32-bit formats have
 * their fourth gigabyte there; 64-bit formats have Linux's addresses with a vmalloc area of 64 GiB.
 * RAM may be 64 GiB and more, as the host gives memory to what is written.
 *
 * While Quire comes up and goes down there are no tables of its making: the direct map is there, nothing else.
 *
 * The kernel's TLB is the host's mappings, which all CPUs share. An entry notes the CPUs that walked the tables
 * for it and goes when each has flushed it, so a flush that leaves such a CPU out is seen; that a CPU which found
 * another's entry there has one too is not known. Upper tables are not cached.
 *
 * RAM is shared memory: what a fork()ed child does to it, the parent sees. A test that expects a machine to abort
 * makes it in the child.
 *
 * Faults are SIGSEGVs. machine_create() takes that signal, and passes on what is not a machine's. Who puts another
 * handler in its place afterwards (test frameworks do, for every test) calls this then:
 */
void machine_catch_faults(void);

/*
 * High memory that is full need not fill the host's: where an allocated high frame holds one 8-byte word over and over,
 * zeroes for instance, the host has its page back until the next store; and so it has those of free frames. Answers how many
 * were packed. Nobody may be using the machine meanwhile, and nothing may be kmapped. Needs a window.
 */
uint64_t machine_pack(struct machine *m);

/* Where everything is. */
const struct quire_kva_layout *machine_layout(struct machine *m);

/*
 * CPUs that are in no space walk this root from now on, and entries of an older one are gone. machine_create() loads
 * quire_kernel_root(); this is for hosts that make tables of their own. It stays loaded until another is, or the end.
 * 0: none, as when the machine came up.
 */
void machine_load_kernel(struct machine *m, quire_paddr_t root);

/*
 * An access by the kernel on this CPU that may be a bad one: 0, or -EFAULT where another access would end the process;
 * bytes before the bad one have been copied. ptr: in the window. exec: whether code there could be run.
 */
int machine_probe_read(struct machine *m, const void *ptr, void *buf, size_t len);
int machine_probe_write(struct machine *m, void *ptr, const void *buf, size_t len);
int machine_probe_exec(struct machine *m, const void *ptr);

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
 * is under way: between unlink and flush an entry may say more. In the vmalloc area, which is flushed later, entries of
 * pages that are mapped no more are let pass. NULL, or what is wrong.
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
	uint64_t kernel_walks;  /* by the MMU, for the window */
	uint64_t kernel_faults; /* of them handed to quire_kernel_fault() */
};
void machine_stats(struct machine *m, struct machine_stats *stats);

/* Told of events as they happen; any may be NULL. */
struct machine_hooks {
	void (*flush)(void *ctx, const struct quire_tlb_flush *flush);       /* before it is done */
	void (*frames)(void *ctx, quire_pfn_t pfn, unsigned order, bool allocated);
};
void machine_set_hooks(struct machine *m, const struct machine_hooks *hooks, void *ctx);

#endif

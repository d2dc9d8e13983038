/* SPDX-License-Identifier: MIT */
/*
 * The port: everything Quire wants from the machine it runs on.
 *
 * A host defines these functions; they are resolved at link time, so a build with LTO inlines
 * them. Each gets the instance first: a process may hold many machines, and quire->host is the
 * host's own pointer. Besides these the library needs memcpy, memset, memmove and memcmp alone.
 *
 * "Any context" means: with or without interrupts, with spin locks held, must not sleep.
 * Functions marked OPTIONAL have a weak default in src/base/port_default.c, stated with each.
 */
#ifndef QUIRE_PORT_H
#define QUIRE_PORT_H

#include <quire/types.h>

/* ---- Memory ------------------------------------------------------------------------------ */

/*
 * A pointer through which the CPU reaches physical memory at pa, valid to the end of that frame.
 * Cannot fail for a frame that the memory map called usable and that lies below high_memory. Any context.
 * Linear: the pointer minus pa is the same for every such frame (a direct map), so that blocks of many frames can
 * be used as a whole and a pointer tells its frame. quire_page_init() refuses a memory map for which it is not.
 * Never asked for frames at or above high_memory, on machines that have such: these go through the library's own kmaps.
 */
void *quire_port_phys_to_virt(struct quire *q, quire_paddr_t pa);

/*
 * OPTIONAL. Fill the frame at pa with zeroes before somebody else may see it. Default: memset
 * through quire_port_phys_to_virt(). A host that knows frames to be zero already can skip them; the
 * page allocator asks before it tells quire_port_frames() that the frame is out. Not asked for frames at or above
 * high_memory: these are filled through a kmap.
 * Cannot fail, any context.
 */
void quire_port_zero_frame(struct quire *q, quire_paddr_t pa);

/*
 * OPTIONAL. Told when a frame leaves (allocated = true) or returns to (false) the page allocator,
 * 1 << order frames from pfn, so that a simulator can catch a use after free. Default: nothing.
 * Called in release builds too; any context.
 */
void quire_port_frames(struct quire *q, quire_pfn_t pfn, unsigned order, bool allocated);

/*
 * OPTIONAL. The pointer through which this CPU uses the kernel virtual address addr, once it is mapped; and the address behind a
 * pointer. Default: the same number. Any context.
 */
void *quire_port_kaddr_to_ptr(struct quire *q, quire_kaddr_t addr);

/* OPTIONAL. The reverse. Default: the same number. Any context. */
quire_kaddr_t quire_port_ptr_to_kaddr(struct quire *q, const void *ptr);

/* ---- CPU --------------------------------------------------------------------------------- */

/* The number of the CPU that runs this, 0 <= n < nr_cpus. Stable while preemption is off. Any context. */
unsigned quire_port_cpu(struct quire *q);

/*
 * Interrupts off on this CPU; returns what quire_port_irq_restore() needs. Nests. Any context. Until they are restored
 * the thread stays on its CPU and is not preempted, whether preemption was disabled or not.
 */
unsigned long quire_port_irq_save(struct quire *q);
void quire_port_irq_restore(struct quire *q, unsigned long flags);

/* This thread stays on its CPU and is not preempted until the matching enable. Nests. Any context. */
void quire_port_preempt_disable(struct quire *q);
void quire_port_preempt_enable(struct quire *q);

/* OPTIONAL. True in an interrupt handler, where nothing may wait for other CPUs. Default: false. Any context. */
bool quire_port_in_interrupt(struct quire *q);

/* OPTIONAL. One turn of a spin loop. Default: the compiler's pause, if it has one. Any context. */
void quire_port_relax(struct quire *q);

/* ---- Waiting ----------------------------------------------------------------------------- */

/*
 * Sleep while *word == value, like futex(FUTEX_WAIT): the comparison and the going to sleep are one
 * step against quire_port_wake(). May return early for no reason; the caller looks again. Called
 * with no spin lock held, interrupts on, outside a grace period.
 */
void quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value);

/* Wake up to n threads that sleep on word. Any context. */
void quire_port_wake(struct quire *q, const uint32_t *word, unsigned n);

/* ---- TLB --------------------------------------------------------------------------------- */

struct quire_tlb_flush {
	quire_pfn_t root; /* the space: frame of its top table; with kernel set, every space */
	uint64_t asid;	  /* the space: its number, unique among the living; with kernel set, 0 */
	uint64_t start,
		end; /* range, page aligned; start == 0 && end == UINT64_MAX: all of the space */
	uint32_t stride;      /* log2 of the smallest leaf that was changed in the range */
	bool tables;	      /* tables were unlinked: cached upper levels must go too */
	bool kernel;	      /* kernel addresses (global entries) rather than a user space */
	const uint64_t *cpus; /* bit n: CPU n may hold entries of this space; QUIRE_NR_CPUS bits */
};

/*
 * Drop the entries on every CPU named, this one included, and return when none can be used any
 * more. Cannot fail. Called with interrupts on and no spin lock held: it may wait for other CPUs.
 */
void quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush);

/*
 * OPTIONAL. Drop one page's entry on this CPU alone; used when rights were only added, so that
 * another CPU's older entry costs it a spurious fault and nothing worse. Default: nothing (the
 * hardware notices by itself, as x86 does). Any context.
 * asid 0: a kernel address, whose entry has changed and is this CPU's alone (temporary kmaps): a host
 * with high memory must do it.
 */
void quire_port_tlb_flush_local(struct quire *q, uint64_t asid, uint64_t addr);

/* ---- Threads ----------------------------------------------------------------------------- */

struct quire_task_policy;

/*
 * OPTIONAL. The memory policy of the thread that runs this, see mempolicy.h; NULL: it has none, as in an interrupt
 * handler. Asked while pages are allocated, once anybody has set a policy. Default: NULL. Any context; may not sleep.
 */
struct quire_task_policy *quire_port_task_policy(struct quire *q);

/* ---- Time, chance and speech ------------------------------------------------------------- */

/* OPTIONAL. Monotonic time in nanoseconds. Default: 0 for ever. Any context. */
uint64_t quire_port_clock_ns(struct quire *q);

/* OPTIONAL. 64 random bits for layouts. Default: 0, that is, no randomisation. May not sleep. */
uint64_t quire_port_random(struct quire *q);

enum quire_log_level { QUIRE_LOG_ERR, QUIRE_LOG_WARN, QUIRE_LOG_INFO };

/* OPTIONAL. One line of text without a newline, for people. Default: dropped. Any context. */
void quire_port_log(struct quire *q, enum quire_log_level level, const char *text);

/*
 * OPTIONAL. The library found something that cannot be: a broken equation, a double free, an
 * overwritten red zone. what is a constant sentence, where is "file:line", value is whatever number
 * helps (an address, most often). Returning means "go on as well as you can". Default: trap.
 * Any context.
 */
void quire_port_report(struct quire *q, const char *what, const char *where, uint64_t value);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The port: what Quire asks of this machine (include/quire/port.h), but for the TLB, which is in tlb.c. This is the file
 * to begin with when you port Quire to a kernel of your own; docs/porting.md explains each function.
 *
 * Nothing here is clever. A kernel has a direct map, a CPU number, a flag for interrupts, a count for preemption,
 * and something to sleep on; the port says which.
 */
#include "port/port.h"

#include "core/thread.h"
#include "core/wait.h"

/* ---- Memory ------------------------------------------------------------------------------ */

/* The direct map: boot's tables have it at the same address as Quire's own (memory.c). */
void *quire_port_phys_to_virt(struct quire *q, quire_paddr_t pa)
{
	return phys_to_ptr(pa);
}

/*
 * quire_port_zero_frame(), quire_port_frames(), quire_port_kaddr_to_ptr() and quire_port_ptr_to_kaddr() have
 * defaults that fit a kernel: memset, nothing, and a cast.
 */

/* ---- CPU --------------------------------------------------------------------------------- */

unsigned quire_port_cpu(struct quire *q)
{
	return this_cpu()->number;
}

unsigned long quire_port_irq_save(struct quire *q)
{
	return irq_save();
}

void quire_port_irq_restore(struct quire *q, unsigned long flags)
{
	irq_restore(flags);
}

/*
 * The count is the processor's, not the thread's: only a thread that may not move has one that is not 0. Each change is one
 * instruction, so that a thread which is moved right before it counts where it has come to.
 */
void quire_port_preempt_disable(struct quire *q)
{
	__asm__ volatile("incl " PERCPU "0" : : "i"(CPU_PREEMPT) : "memory", "cc");
}

void quire_port_preempt_enable(struct quire *q)
{
	bool zero;

	__asm__ volatile("decl " PERCPU "1" : "=@ccz"(zero) : "i"(CPU_PREEMPT) : "memory");
	/* A timer's tick or a wake-up came meanwhile: make up for the switch that it could not make. */
	if (zero && quire_unlikely(this_cpu()->resched) && irqs_are_on())
		preempt_schedule();
}

bool quire_port_in_interrupt(struct quire *q)
{
	return this_cpu()->interrupts != 0;
}

/* The default would do: the pause instruction. */
void quire_port_relax(struct quire *q)
{
	cpu_relax();
}

/* ---- Waiting ----------------------------------------------------------------------------- */

/*
 * Announce the wait first and compare then: who changes the word and wakes after that finds us announced, and who did
 * so before is seen by the comparison. wait.c has the queues.
 */
void quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value)
{
	struct waiter waiter;

	wait_begin(&waiter, word);
	if (quire_load_acquire(word) == value)
		park(NO_DEADLINE);
	wait_end(&waiter);
}

/* Only the address is used: the word may be gone. */
void quire_port_wake(struct quire *q, const uint32_t *word, unsigned n)
{
	wake(word, n);
}

/* ---- Time, chance and speech ------------------------------------------------------------- */

uint64_t quire_port_clock_ns(struct quire *q)
{
	return clock_ns();
}

uint64_t quire_port_random(struct quire *q)
{
	return random64();
}

void quire_port_log(struct quire *q, enum quire_log_level level, const char *text)
{
	static const char *const names[] = {"error", "warning", "info"};

	printk("quire: %s: %s\n", names[level], text);
}

/* Something is wrong with memory itself: better to stop than to write to a file. */
void quire_port_report(struct quire *q, const char *what, const char *where, uint64_t value)
{
	panic("quire: %s (%s, %llx)", what, where, (unsigned long long)value);
}

/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: one queue of runnable threads, first come first served, a slice of SLICE ticks each. One lock, held
 * across the switch and let go by the thread that comes on, so that nobody puts a thread on a second
 * processor while the first is still on its stack.
 */
#include "core/thread.h"
#include "port/port.h"
#include "process/process.h"

#define SLICE 5u /* ticks: 20 ms */

void context_switch(unsigned long *save_sp, unsigned long sp);

static struct quire_spinlock lock; /* irq */
static struct quire_list queue = {&queue, &queue};
static unsigned nr_runnable; /* in the queue */

/* ---- The queue ------------------------------------------------------------------------------ */

/* A processor that idles comes and takes it. */
static void tell_idle(const struct thread *t)
{
	unsigned i, self = this_cpu()->number;

	for (i = 0; i < nr_cpus; i++) {
		struct cpu *cpu = &cpus[i];

		if (!quire_load(&cpu->online) || cpu->current != cpu->idle ||
		    !(t->affinity >> i & 1) || quire_load(&cpu->resched))
			continue;
		quire_store(&cpu->resched, 1u);
		if (i != self)
			apic_send(cpu->apic_id, VECTOR_RESCHED);
		return;
	}
}

static void enqueue(struct thread *t)
{
	quire_list_add_tail(&queue, &t->run_link);
	nr_runnable++;
}

static struct thread *pick(struct cpu *cpu)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &queue) {
		struct thread *t = quire_list_entry(pos, struct thread, run_link);

		if (!(t->affinity >> cpu->number & 1))
			continue;
		quire_list_del(&t->run_link);
		nr_runnable--;
		return t;
	}
	return NULL;
}

unsigned runnable_threads(void)
{
	return quire_load(&nr_runnable);
}

void thread_start(struct thread *t)
{
	unsigned long flags = quire_spin_lock_irq(Q, &lock);

	t->state = THREAD_RUNNABLE;
	enqueue(t);
	tell_idle(t);
	quire_spin_unlock_irq(Q, &lock, flags);
}

/* ---- Switching -------------------------------------------------------------------------------- */

/* What the thread that comes on does for the one that has gone; the lock is held, and let go. */
static void finish(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *previous = cpu->previous;
	bool dead = previous->state == THREAD_DEAD;

	previous->on_cpu = false;
	quire_spin_unlock_raw(Q, &lock);
	if (dead)
		thread_free(previous);
}

void schedule_tail(void)
{
	finish();
	irq_enable();
}

/* The lock is held, interrupts are off. */
static void switch_away(struct cpu *cpu, struct thread *t)
{
	struct thread *next;

	cpu->resched = 0;
	if (t->state == THREAD_RUNNABLE && !t->is_idle)
		enqueue(t);
	next = pick(cpu);
	if (!next)
		next = cpu->idle;
	if (next == t) {
		t->slice = SLICE;
		quire_spin_unlock_raw(Q, &lock);
		return;
	}
	next->slice = SLICE;
	next->on_cpu = true;
	cpu->previous = t;
	cpu->current = next;
	next->rseq_event = next->rseq != 0;
	thread_save_context(t);
	load_space(cpu, next->mm);
	cpu_set_kernel_stack(cpu, thread_stack_top(next));
	thread_load_context(next);
	context_switch(&t->sp, next->sp);
	finish();
}

void schedule(void)
{
	unsigned long flags = irq_save();
	struct cpu *cpu = this_cpu();

	kernel_assert(!cpu->preempt && !cpu->interrupts);
	quire_spin_lock_raw(Q, &lock);
	switch_away(cpu, cpu->current);
	irq_restore(flags);
}

void preempt_schedule(void)
{
	struct cpu *cpu;
	unsigned long flags = irq_save();

	cpu = this_cpu();
	if (cpu->resched && !cpu->preempt && !cpu->interrupts)
		schedule();
	irq_restore(flags);
}

void park(uint64_t deadline)
{
	struct thread *t = current();
	unsigned long flags;

	if (deadline != NO_DEADLINE)
		timer_set(&t->timer, deadline);
	flags = irq_save();
	kernel_assert(!this_cpu()->preempt && !t->is_idle);
	quire_spin_lock_raw(Q, &lock);
	if (t->unparked) {
		t->unparked = false;
		quire_spin_unlock_raw(Q, &lock);
	} else {
		t->state = THREAD_PARKED;
		switch_away(this_cpu(), t);
	}
	irq_restore(flags);
	if (deadline != NO_DEADLINE)
		(void)timer_cancel(&t->timer);
	/* What came while it ran again belongs to this park, not the next. */
	t->unparked = false;
}

void unpark(struct thread *t)
{
	unsigned long flags = quire_spin_lock_irq(Q, &lock);

	if (t->state == THREAD_PARKED) {
		t->state = THREAD_RUNNABLE;
		enqueue(t);
		tell_idle(t);
	} else {
		t->unparked = true;
	}
	quire_spin_unlock_irq(Q, &lock, flags);
}

void thread_exit(void)
{
	irq_disable();
	quire_spin_lock_raw(Q, &lock);
	current()->state = THREAD_DEAD;
	switch_away(this_cpu(), current());
	panic("a thread that is over runs");
}

/* ---- Ticks and idleness -------------------------------------------------------------------------- */

void timer_tick(struct cpu *cpu, bool user)
{
	struct thread *t = cpu->current;

	cpu->ticks++;
	if (t->is_idle)
		cpu->idle_ticks++;
	else if (user)
		t->user_ticks++;
	else
		t->kernel_ticks++;
	if (t->process && !t->exiting)
		process_tick(t->process, user);
	if (cpu->number == 0)
		timers_run(clock_ns());
	if (t->is_idle ? runnable_threads() != 0 : t->slice-- <= 1)
		cpu->resched = 1;
}

void idle_loop(void)
{
	for (;;) {
		irq_disable();
		if (this_cpu()->resched || runnable_threads()) {
			irq_enable();
			schedule();
			/* What is runnable may be meant for another processor. */
			if (!runnable_threads())
				continue;
		}
		quire_grace_poll(Q);
		irq_disable();
		leave_dead_space(this_cpu());
		if (!this_cpu()->resched)
			cpu_halt();
		irq_enable();
	}
}

void return_to_user(struct regs *regs)
{
	struct thread *t = current();

	for (;;) {
		if (this_cpu()->resched) {
			schedule();
		} else if (t->killed || signal_pending(t)) {
			irq_enable();
			signal_deliver(regs);
			irq_disable();
		} else if (t->rseq_event) {
			irq_enable();
			rseq_update(regs);
			irq_disable();
		} else {
			return;
		}
	}
}

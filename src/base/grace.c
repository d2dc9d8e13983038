/* SPDX-License-Identifier: MIT */
/*
 * Grace periods by per-CPU epochs. Called by every room that unlinks what lock-free readers may
 * still see. Never allocates; only quire_grace_wait() may sleep, and readers never wait.
 *
 * How it works. There is a global epoch E. A reader writes the E that it sees into its CPU's slot
 * and 0 when it leaves. E goes from e to e + 1 only when every slot is 0 or e. What is deferred is
 * stamped with E and runs when E is two or more beyond the stamp.
 *
 * Why that is enough. Let D be the full fence in quire_defer(), after the unlinking and before the
 * stamp e is read; R the full fence in quire_grace_enter(), after the slot is written and before
 * anything is read under it; A the full fence before the slots are looked at for the step from
 * e + 1 to e + 2. Full fences have one order that all CPUs agree on.
 *  - D comes before the step from e to e + 1: otherwise the stamp had been e + 1. That step comes
 *    before A, since A's CPU has seen e + 1. So D is before A.
 *  - A reader with R after D sees the unlinking: it never gets at the object.
 *  - A reader with R before D has R before A: the look at the slots sees what that reader wrote or
 *    something later. If it sees the reader's own stamp, this is at most e (a reader that had seen
 *    e + 1 would have its R after the step to e + 1, thus after D), so the step is not made. If it
 *    sees something later, the reader has left: it left by a release store, and the look is an
 *    acquire load, so all that the reader did comes before the step, and before what runs after it.
 * A stamp in a slot may be older than E at the moment it is written (the CPU was slow in between).
 * The argument nowhere needs it to be fresh: an old stamp holds E back, and errs on the safe side.
 *
 * Interrupts. A handler may enter and leave at any point of its CPU's own enter or leave, so
 * nesting goes up before the slot is looked at and down before the slot is cleared, and it is the slot,
 * not the nesting, that says whether a stamp is needed:
 *  - between ++nesting and the stamp, the handler finds the slot 0, writes a stamp and leaves it
 *    there; the interrupted enter may write its own over it, followed by its own fence;
 *  - between --nesting and the clearing, the handler finds a stamp, uses it, and clears it.
 *
 * An idle CPU, one that is off, or one in user mode is simply outside: its slot is 0.
 */
#define QUIRE_EMIT_GRACE /* quire_grace_enter() and _leave(): see inline.h */
#include <quire/quire.h>

/* For who is short of memory: see quire_grace_reclaim(). */
#define MOST_TRIES 16u

/* Every so many deferrals a CPU looks whether some can run. */
#define POLL_EVERY 32u

void quire_grace_init(struct quire *q)
{
	q->grace.epoch = 1;
}

bool quire_in_grace(struct quire *q)
{
	bool in;

	/* Without this the thread could move between the two steps, and answer for a CPU it has left. */
	quire_port_preempt_disable(q);
	in = quire_load(&q->grace.cpu[quire_port_cpu(q)].nesting) != 0;
	quire_port_preempt_enable(q);
	return in;
}

/* One step of the global epoch, if no reader holds it back. True if it has moved, whoever moved it. */
static bool advance(struct quire *q)
{
	uint64_t epoch = quire_load_acquire(&q->grace.epoch);
	unsigned i;

	quire_fence(); /* A */
	for (i = 0; i < q->nr_cpus; i++) {
		uint64_t seen = quire_load_acquire(&q->grace.cpu[i].epoch);

		if (seen != 0 && seen != epoch)
			return false;
	}
	/* Fails if another CPU made the same step, which is as good. */
	(void)quire_cmpxchg(&q->grace.epoch, &epoch, epoch + 1);
	return true;
}

/* Move what waits in a list over to the ready ones. Its grace period is over. */
static void make_ready(struct quire_grace_cpu *c, struct quire_grace_list *list)
{
	if (!list->head)
		return;
	list->tail->next = c->ready;
	c->ready = list->head;
	list->head = NULL;
}

/* Take all that may run from CPU c; interrupts are off. */
static struct quire_deferred *take_ready(struct quire *q, struct quire_grace_cpu *c)
{
	uint64_t epoch = quire_load_acquire(&q->grace.epoch);
	struct quire_deferred *ready, *d;
	uint32_t left;
	unsigned i;

	quire_spin_lock_raw(q, &c->lock);
	for (i = 0; i < QUIRE_GRACE_GENERATIONS; i++)
		if (c->waiting[i].epoch + 2 <= epoch)
			make_ready(c, &c->waiting[i]);
	ready = c->ready;
	c->ready = NULL;
	left = c->pending;
	for (d = ready; d; d = d->next)
		left--;
	quire_store(&c->pending, left);
	quire_spin_unlock_raw(q, &c->lock);
	return ready;
}

static void run(struct quire *q, struct quire_deferred *d)
{
	while (d) {
		struct quire_deferred *next = d->next; /* fn frees d */

		d->fn(q, d);
		d = next;
	}
}

/*
 * Run what is ready on CPUs first to last. The mark in runs is set before anything is taken, so that
 * quire_grace_wait() on another CPU sees either the entries or the mark. It also keeps a deferred
 * function that defers from coming back in here, however deep.
 */
static void run_ready(struct quire *q, unsigned first, unsigned last)
{
	struct quire_grace_cpu *self;
	unsigned long flags;
	unsigned i;

	quire_port_preempt_disable(q);
	self = &q->grace.cpu[quire_port_cpu(q)];
	flags = quire_port_irq_save(q);
	if ((self->runs & 1) == 0) {
		quire_store(&self->runs, self->runs + 1);
		for (i = first; i <= last; i++) {
			struct quire_deferred *ready = take_ready(q, &q->grace.cpu[i]);

			quire_port_irq_restore(q, flags);
			run(q, ready);
			flags = quire_port_irq_save(q);
		}
		quire_store_release(&self->runs, self->runs + 1);
	}
	quire_port_irq_restore(q, flags);
	quire_port_preempt_enable(q);
}

void quire_grace_poll(struct quire *q)
{
	unsigned cpu = quire_port_cpu(q);

	if (quire_load(&q->grace.cpu[cpu].pending) == 0)
		return;
	/* Two steps free what was deferred just now, if nobody reads. */
	if (advance(q))
		(void)advance(q);
	run_ready(q, cpu, cpu);
}

void quire_defer(struct quire *q, struct quire_deferred *d,
		 void (*fn)(struct quire *q, struct quire_deferred *d))
{
	unsigned long flags = quire_port_irq_save(q);
	struct quire_grace_cpu *c = &q->grace.cpu[quire_port_cpu(q)];
	struct quire_grace_list *list;
	uint64_t epoch;
	uint32_t pending;
	bool poll;

	d->fn = fn;
	quire_spin_lock_raw(q, &c->lock);
	quire_fence(); /* D */
	epoch = quire_load(&q->grace.epoch);
	list = &c->waiting[epoch % QUIRE_GRACE_GENERATIONS];
	/* What is left of epoch - 3 or earlier has long been free to run. */
	if (list->epoch != epoch) {
		make_ready(c, list);
		list->epoch = epoch;
	}
	d->next = list->head;
	if (!list->head)
		list->tail = d;
	list->head = d;
	pending = c->pending + 1;
	quire_store(&c->pending, pending);
	poll = pending % POLL_EVERY == 0;
	quire_spin_unlock_raw(q, &c->lock);
	quire_port_irq_restore(q, flags);

	if (quire_unlikely(poll))
		quire_grace_poll(q);
}

void quire_grace_wait(struct quire *q)
{
	uint64_t target;
	unsigned i;

	quire_sleep_assert(q);
	quire_fence(); /* as D: what the caller unlinked, before the epoch is read */
	target = quire_load(&q->grace.epoch) + 2;
	while (quire_load_acquire(&q->grace.epoch) < target)
		if (!advance(q))
			quire_port_relax(q);
	run_ready(q, 0, q->nr_cpus - 1);

	/* What another CPU had taken just before us, it may still be running. */
	for (i = 0; i < q->nr_cpus; i++) {
		uint32_t runs = quire_load_acquire(&q->grace.cpu[i].runs);

		while ((runs & 1) != 0 && quire_load_acquire(&q->grace.cpu[i].runs) == runs)
			quire_port_relax(q);
	}
}

/* Is anything to come, from any CPU? What has been taken from the lists and not freed yet counts, too. */
static bool anything_waits(struct quire *q)
{
	unsigned i;

	for (i = 0; i < q->nr_cpus; i++) {
		struct quire_grace_cpu *c = &q->grace.cpu[i];

		if (quire_load(&c->pending) != 0 || (quire_load(&c->runs) & 1) != 0)
			return true;
	}
	return false;
}

bool quire_grace_reclaim(struct quire *q, unsigned *tries)
{
	quire_sleep_assert(q);
	/* A reader who waits for himself would do so for ever; no memory is the lesser evil. */
	if (*tries >= MOST_TRIES || quire_in_grace(q) || !anything_waits(q))
		return false;
	*tries += 1;
	quire_grace_wait(q);
	return true;
}

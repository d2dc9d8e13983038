/* SPDX-License-Identifier: MIT */
/* Queues of waiters by key, hashed; and timers. Parking itself is the scheduler's (sched.c). */
#include "core/wait.h"

#include "core/thread.h"
#include "process/signal.h"

#define BUCKETS 256u

static struct bucket {
	struct quire_spinlock lock; /* irq */
	struct quire_list waiters;
} __attribute__((aligned(QUIRE_CACHELINE))) buckets[BUCKETS];

static struct bucket *bucket_of(const void *key)
{
	return &buckets[((uintptr_t)key * 0x9e3779b97f4a7c15ull) >> 56];
}

void wait_init(void)
{
	unsigned i;

	for (i = 0; i < BUCKETS; i++)
		quire_list_init(&buckets[i].waiters);
	timers_setup();
}

void wait_begin(struct waiter *w, const void *key)
{
	struct bucket *b = bucket_of(key);
	unsigned long flags;

	w->key = key;
	w->thread = current();
	flags = quire_spin_lock_irq(Q, &b->lock);
	quire_list_add_tail(&b->waiters, &w->link);
	quire_spin_unlock_irq(Q, &b->lock, flags);
}

void wait_end(struct waiter *w)
{
	struct bucket *b = bucket_of(w->key);
	unsigned long flags = quire_spin_lock_irq(Q, &b->lock);

	quire_list_del(&w->link);
	quire_spin_unlock_irq(Q, &b->lock, flags);
}

void wake(const void *key, unsigned n)
{
	struct bucket *b = bucket_of(key);
	struct quire_list *pos, *tmp;
	unsigned long flags;

	flags = quire_spin_lock_irq(Q, &b->lock);
	quire_list_for_each (pos, tmp, &b->waiters) {
		struct waiter *w = quire_list_entry(pos, struct waiter, link);

		if (w->key != key)
			continue;
		if (n-- == 0)
			break;
		quire_list_del(&w->link);
		unpark(w->thread); /* under the lock: the thread cannot end before it has taken it in wait_end() */
	}
	quire_spin_unlock_irq(Q, &b->lock, flags);
}

int wait_for(const void *key, bool (*condition)(void *arg), void *arg, uint64_t deadline)
{
	struct waiter w;
	int err = 0;

	for (;;) {
		wait_begin(&w, key);
		if (condition(arg))
			break;
		if (signal_pending(current()))
			err = -ERESTARTSYS;
		else if (clock_ns() >= deadline)
			err = -ETIMEDOUT;
		if (err)
			break;
		park(deadline);
		wait_end(&w);
	}
	wait_end(&w);
	return err;
}

/* ---- Timers ------------------------------------------------------------------------------------ */

/* By deadline, the earliest first. */
static struct quire_list timers;
static struct quire_spinlock timer_lock; /* irq */
static uint64_t next_deadline = NO_DEADLINE;

void timers_setup(void)
{
	quire_list_init(&timers);
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	quire_list_init(&t->link);
	t->fn = fn;
}

static void note_next(void)
{
	quire_store(&next_deadline,
		    quire_list_empty(&timers)
			    ? NO_DEADLINE
			    : quire_list_first(&timers, struct timer, link)->deadline);
}

static void insert(struct timer *t, uint64_t deadline)
{
	struct quire_list *pos;

	t->deadline = deadline;
	for (pos = timers.prev; pos != &timers; pos = pos->prev) {
		if (quire_list_entry(pos, struct timer, link)->deadline <= deadline)
			break;
	}
	quire_list_add(pos, &t->link);
}

void timer_set_every(struct timer *t, uint64_t deadline, uint64_t interval)
{
	unsigned long flags = quire_spin_lock_irq(Q, &timer_lock);

	quire_list_del(&t->link);
	t->interval = interval;
	insert(t, deadline);
	note_next();
	quire_spin_unlock_irq(Q, &timer_lock, flags);
}

void timer_set(struct timer *t, uint64_t deadline)
{
	timer_set_every(t, deadline, 0);
}

bool timer_cancel(struct timer *t)
{
	unsigned long flags = quire_spin_lock_irq(Q, &timer_lock);
	bool was_set = !quire_list_empty(&t->link);

	quire_list_del(&t->link);
	note_next();
	quire_spin_unlock_irq(Q, &timer_lock, flags);
	return was_set;
}

void timer_left(struct timer *t, uint64_t now, uint64_t *left, uint64_t *interval)
{
	unsigned long flags = quire_spin_lock_irq(Q, &timer_lock);
	bool is_set = !quire_list_empty(&t->link);

	*interval = is_set ? t->interval : 0;
	*left = !is_set ? 0 : t->deadline > now ? t->deadline - now : 1;
	quire_spin_unlock_irq(Q, &timer_lock, flags);
}

void timers_run(uint64_t now)
{
	unsigned long flags;

	if (now < quire_load(&next_deadline))
		return;
	flags = quire_spin_lock_irq(Q, &timer_lock);
	while (!quire_list_empty(&timers)) {
		struct timer *t = quire_list_first(&timers, struct timer, link);

		if (t->deadline > now)
			break;
		quire_list_del(&t->link);
		t->rings = 1;
		if (t->interval) {
			t->rings += (now - t->deadline) / t->interval;
			insert(t, t->deadline + t->rings * t->interval);
		}
		/* Under the lock, so that a timer which was cancelled does not run any more; fn sets none itself. */
		t->fn(t);
	}
	note_next();
	quire_spin_unlock_irq(Q, &timer_lock, flags);
}

/* SPDX-License-Identifier: MIT */
/*
 * Sleeping. A thread parks until somebody unparks it, and may be unparked for no reason, so it looks again what it waits
 * for. Who waits for a thing announces that by a waiter with the thing's address as its key; who changes
 * the thing wakes the key.
 *
 *	wait_begin(&w, key);
 *	while (!(what is waited for) && !signal_pending()) park(deadline);   -- look after wait_begin(), not before
 *	wait_end(&w);
 *
 * A thread may have several waiters at a time (poll). A waiter that was woken has left its queue: a loop that goes on waiting calls
 * wait_end() and wait_begin() again before it looks.
 */
#ifndef KERNEL_WAIT_H
#define KERNEL_WAIT_H

#include "core/kernel.h"

struct thread;

struct waiter {
	struct quire_list link; /* in its queue; itself: woken */
	const void *key;
	struct thread *thread;
};

#define NO_DEADLINE UINT64_MAX

void wait_init(void);
void wait_begin(struct waiter *w, const void *key);
void wait_end(struct waiter *w);

/* Wake up to n waiters of the key. Any context. */
void wake(const void *key, unsigned n);
#define WAKE_ALL UINT32_MAX

/* Sleep until unpark(), or until clock_ns() reaches the deadline. Returns at once if unparked since the last park(). */
void park(uint64_t deadline);
void unpark(struct thread *thread);

/*
 * The usual loop: until condition(arg), a deadline (-ETIMEDOUT) or a signal (-ERESTARTSYS).
 */
int wait_for(const void *key, bool (*condition)(void *arg), void *arg, uint64_t deadline);

/* ---- Timers (timer.c) -------------------------------------------------------------------------- */

/* Runs fn in an interrupt on some processor when the clock has reached deadline. */
struct timer {
	struct quire_list link; /* itself: not set */
	uint64_t deadline;
	uint64_t interval; /* set again and again after so many nanoseconds; 0: once */
	uint64_t rings;	   /* for fn: how many deadlines have passed, one at least */
	void (*fn)(struct timer *t);
};

void timer_init(struct timer *t, void (*fn)(struct timer *t));
void timer_set(struct timer *t, uint64_t deadline);
void timer_set_every(struct timer *t, uint64_t deadline, uint64_t interval);
/* True if it was set. fn may still be running on another processor unless the caller excludes that. */
bool timer_cancel(struct timer *t);
/* How long until it rings, at least 1 if it is set, and how often; 0, 0: it is not. */
void timer_left(struct timer *t, uint64_t now, uint64_t *left, uint64_t *interval);
void timers_run(uint64_t now);
void timers_setup(void);

#endif

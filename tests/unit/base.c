/* SPDX-License-Identifier: MIT */
/* The base room: lists, bits, locks, grace periods, failure injection and text. */
#include "port_host.h"

#include "base/text.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#define RAM (UINT64_C(4) << 20)

static int setup(void **state)
{
	struct host *h = host_new(RAM, 4);

	quire_grace_init(&h->q);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	assert_false(host_is_atomic());
	host_delete(*state);
	return 0;
}

/* ---- Lists and bits ---------------------------------------------------------------------- */

struct item {
	int number;
	struct quire_list link;
};

static void expect_order(struct quire_list *head, const int *numbers, size_t n)
{
	struct quire_list *pos, *tmp;
	size_t i = 0;

	quire_list_for_each(pos, tmp, head) {
		assert_true(i < n);
		assert_int_equal(quire_list_entry(pos, struct item, link)->number, numbers[i]);
		assert_ptr_equal(pos->next->prev, pos);
		i++;
	}
	assert_int_equal(i, n);
}

static void list_keeps_the_order_of_its_elements(void **state)
{
	struct item a = { .number = 1 }, b = { .number = 2 }, c = { .number = 3 };
	struct quire_list head;

	(void)state;
	quire_list_init(&head);
	assert_true(quire_list_empty(&head));
	quire_list_add(&head, &b.link);
	quire_list_add(&head, &a.link);
	quire_list_add_tail(&head, &c.link);
	expect_order(&head, (const int[]){ 1, 2, 3 }, 3);
	quire_list_del(&b.link);
	expect_order(&head, (const int[]){ 1, 3 }, 2);
	quire_list_del(&b.link); /* is nowhere: no harm */
	expect_order(&head, (const int[]){ 1, 3 }, 2);
	assert_ptr_equal(quire_list_first(&head, struct item, link), &a);
}

static void list_walk_may_delete_where_it_stands(void **state)
{
	struct item items[5];
	struct quire_list head, *pos, *tmp;
	int i;

	(void)state;
	quire_list_init(&head);
	for (i = 0; i < 5; i++) {
		items[i].number = i;
		quire_list_add_tail(&head, &items[i].link);
	}
	quire_list_for_each(pos, tmp, &head)
		if (quire_list_entry(pos, struct item, link)->number % 2 == 0)
			quire_list_del(pos);
	expect_order(&head, (const int[]){ 1, 3 }, 2);
}

static void bits_are_found(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 64; i++) {
		assert_int_equal(quire_fls64(UINT64_C(1) << i), i);
		assert_int_equal(quire_ffs64(UINT64_C(1) << i), i);
		assert_int_equal(quire_fls64(UINT64_MAX >> i), 63 - i);
		assert_int_equal(quire_ffs64(UINT64_MAX << i), i);
	}
	assert_int_equal(quire_order_up(0), 0);
	assert_int_equal(quire_order_up(1), 0);
	for (i = 1; i < 63; i++) {
		assert_int_equal(quire_order_up(UINT64_C(1) << i), i);
		assert_int_equal(quire_order_up((UINT64_C(1) << i) + 1), i + 1);
	}
}

static void addresses_round_to_pages(void **state)
{
	(void)state;
	assert_int_equal(quire_page_down(QUIRE_PAGE_SIZE - 1), 0);
	assert_int_equal(quire_page_down(QUIRE_PAGE_SIZE), QUIRE_PAGE_SIZE);
	assert_int_equal(quire_page_up(1), QUIRE_PAGE_SIZE);
	assert_int_equal(quire_page_up(QUIRE_PAGE_SIZE), QUIRE_PAGE_SIZE);
	assert_int_equal(quire_page_up(UINT64_MAX), 0); /* wraps, as said */
}

/* ---- Spin locks -------------------------------------------------------------------------- */

#define TURNS 20000u

struct counted {
	struct quire *q;
	struct quire_spinlock spin;
	struct quire_mutex mutex;
	uint64_t plain; /* not atomic: the lock is what keeps it right */
};

static void count_under_spin(void *arg, unsigned cpu)
{
	struct counted *c = arg;
	unsigned i;

	for (i = 0; i < TURNS; i++) {
		if ((i + cpu) % 2) {
			unsigned long flags = quire_spin_lock_irq(c->q, &c->spin);

			c->plain++;
			quire_spin_unlock_irq(c->q, &c->spin, flags);
		} else {
			quire_spin_lock(c->q, &c->spin);
			quire_spin_assert(c->q, &c->spin);
			c->plain++;
			quire_spin_unlock(c->q, &c->spin);
		}
	}
}

static void spin_lock_keeps_others_out(void **state)
{
	struct host *h = *state;
	struct counted c = { .q = &h->q };

	host_run_cpus(4, count_under_spin, &c);
	assert_int_equal(c.plain, 4 * TURNS);
}

static void spin_lock_disables_preemption(void **state)
{
	struct host *h = *state;
	struct quire_spinlock l = QUIRE_SPINLOCK_INIT;
	unsigned long flags;

	quire_spin_lock(&h->q, &l);
	assert_true(host_is_atomic());
	quire_spin_unlock(&h->q, &l);
	assert_false(host_is_atomic());
	flags = quire_spin_lock_irq(&h->q, &l);
	assert_true(host_is_atomic());
	quire_spin_unlock_irq(&h->q, &l, flags);
	assert_false(host_is_atomic());
}

static void spin_trylock_fails_where_lock_would_wait(void **state)
{
	struct host *h = *state;
	struct quire_spinlock l = QUIRE_SPINLOCK_INIT;

	assert_true(quire_spin_trylock(&h->q, &l));
	assert_true(host_is_atomic());
	host_set_cpu(1);
	assert_false(quire_spin_trylock(&h->q, &l));
	host_set_cpu(0);
	quire_spin_unlock(&h->q, &l);
	assert_false(host_is_atomic()); /* the failed try left nothing behind */
}

#if QUIRE_DEBUG
static void spin_lock_taken_twice_is_reported(void **state)
{
	struct host *h = *state;
	struct quire_spinlock l = QUIRE_SPINLOCK_INIT;

	quire_spin_lock(&h->q, &l);
	host_expect_reports(h);
	quire_spin_lock(&h->q, &l); /* goes on, or this test would hang */
	host_assert_report(h, "taken twice");
	assert_int_equal(h->report_value, (uintptr_t)&l);
	quire_spin_unlock(&h->q, &l);
	host_expect_reports(h);
	quire_spin_unlock(&h->q, &l);
	host_assert_report(h, "does not hold");
}

static void spin_unlock_of_anothers_lock_is_reported(void **state)
{
	struct host *h = *state;
	struct quire_spinlock l = QUIRE_SPINLOCK_INIT;

	quire_spin_lock(&h->q, &l);
	host_set_cpu(2);
	host_expect_reports(h);
	quire_spin_assert(&h->q, &l);
	host_assert_report(h, "assertion");
	host_expect_reports(h);
	quire_spin_unlock(&h->q, &l);
	host_assert_report(h, "does not hold");
	host_set_cpu(0);
}
#endif

/* ---- Mutexes ----------------------------------------------------------------------------- */

static void count_under_mutex(void *arg, unsigned cpu)
{
	struct counted *c = arg;
	unsigned i;

	for (i = 0; i < TURNS; i++) {
		if (i % 16 == cpu) {
			while (!quire_mutex_trylock(c->q, &c->mutex))
				quire_port_relax(c->q);
		} else {
			quire_mutex_lock(c->q, &c->mutex);
		}
		c->plain++;
		quire_mutex_unlock(c->q, &c->mutex);
	}
}

static void mutex_keeps_others_out(void **state)
{
	struct host *h = *state;
	struct counted c = { .q = &h->q };

	host_run_cpus(4, count_under_mutex, &c);
	assert_int_equal(c.plain, 4 * TURNS);
	assert_false(quire_mutex_is_locked(&c.mutex));
}

static void mutex_alone_makes_no_port_call(void **state)
{
	struct host *h = *state;
	struct quire_mutex m = QUIRE_MUTEX_INIT;

	quire_mutex_lock(&h->q, &m);
	assert_true(quire_mutex_is_locked(&m));
	assert_false(quire_mutex_trylock(&h->q, &m));
	quire_mutex_unlock(&h->q, &m);
	assert_false(quire_mutex_is_locked(&m));
	assert_true(quire_mutex_trylock(&h->q, &m));
	quire_mutex_unlock(&h->q, &m);
	assert_int_equal(h->waits, 0);
	assert_int_equal(h->wakes, 0);
}

struct handover {
	struct host *h;
	struct quire_mutex m;
	uint32_t got;
};

/* CPU 0 holds it until the other three sleep; each of these passes it on. */
static void hold_or_sleep(void *arg, unsigned cpu)
{
	struct handover *w = arg;

	if (cpu == 0) {
		while (__atomic_load_n(&w->h->waits, __ATOMIC_RELAXED) < 3)
			quire_port_relax(&w->h->q);
		assert_int_equal(quire_load(&w->got), 0);
		/* They do sleep: a wait may end early, but not again and again. */
		usleep(10000);
		assert_true(__atomic_load_n(&w->h->waits, __ATOMIC_RELAXED) < 30);
	} else {
		quire_mutex_lock(&w->h->q, &w->m);
		(void)quire_fetch_add(&w->got, 1u);
	}
	quire_mutex_unlock(&w->h->q, &w->m);
}

/* The holder need not be the thread that took it: here main takes it, and CPU 0 gives it back. */
static void mutex_sleepers_are_all_woken_in_the_end(void **state)
{
	struct host *h = *state;
	struct handover w = { .h = h };

	quire_mutex_lock(&h->q, &w.m);
	host_run_cpus(4, hold_or_sleep, &w);
	assert_int_equal(w.got, 3);
	assert_false(quire_mutex_is_locked(&w.m));
}

/* ---- Grace periods ----------------------------------------------------------------------- */

struct note {
	struct quire_deferred deferred;
	unsigned ran;
	struct note *chain; /* defer this one when run */
	unsigned *depth;    /* how many are just running, one within the other */
};

static void ran(struct quire *q, struct quire_deferred *d)
{
	struct note *n = quire_container_of(d, struct note, deferred);

	assert_true(host_is_atomic()); /* "may not sleep" is true, so that the port would catch a sleep */
	__atomic_fetch_add(&n->ran, 1, __ATOMIC_RELAXED);
	if (n->chain) {
		assert_int_equal(++*n->depth, 1);
		quire_defer(q, &n->chain->deferred, ran);
		quire_grace_poll(q);
		--*n->depth;
	}
}

static void deferred_runs_when_nobody_reads(void **state)
{
	struct host *h = *state;
	struct note n = { .ran = 0 };

	quire_defer(&h->q, &n.deferred, ran);
	assert_int_equal(n.ran, 0);
	quire_grace_poll(&h->q);
	assert_int_equal(n.ran, 1);
	quire_grace_poll(&h->q);
	quire_grace_wait(&h->q);
	assert_int_equal(n.ran, 1); /* once */
}

static void grace_wait_runs_what_every_cpu_deferred(void **state)
{
	struct host *h = *state;
	struct note n[4] = { { .ran = 0 } };
	unsigned i;

	/* CPUs 1 to 3 go idle at once and never come back. */
	for (i = 0; i < 4; i++) {
		host_set_cpu(i);
		quire_defer(&h->q, &n[i].deferred, ran);
	}
	host_set_cpu(0);
	quire_grace_wait(&h->q);
	for (i = 0; i < 4; i++)
		assert_int_equal(n[i].ran, 1);
}

/*
 *	CPU 1 reads   |---------------------|
 *	CPU 0 defers       | polls ... no   | polls: now
 */
static void reader_inside_holds_reclamation_back(void **state)
{
	struct host *h = *state;
	struct note n = { .ran = 0 };
	int i;

	host_set_cpu(1);
	quire_grace_enter(&h->q);
	quire_grace_enter(&h->q);
	assert_true(quire_in_grace(&h->q));
	host_set_cpu(0);
	assert_false(quire_in_grace(&h->q));
	quire_defer(&h->q, &n.deferred, ran);
	for (i = 0; i < 10; i++)
		quire_grace_poll(&h->q);
	assert_int_equal(n.ran, 0);

	host_set_cpu(1);
	quire_grace_leave(&h->q); /* nested: still inside */
	assert_true(quire_in_grace(&h->q));
	host_set_cpu(0);
	for (i = 0; i < 10; i++)
		quire_grace_poll(&h->q);
	assert_int_equal(n.ran, 0);

	host_set_cpu(1);
	quire_grace_leave(&h->q);
	assert_false(quire_in_grace(&h->q));
	host_set_cpu(0);
	quire_grace_poll(&h->q);
	assert_int_equal(n.ran, 1);
}

/* Who comes later cannot have found it, and so does not hold it back for ever; here one of two always reads. */
static void readers_that_come_later_do_not_hold_it_back(void **state)
{
	struct host *h = *state;
	struct note n = { .ran = 0 };
	unsigned i, turns = 0;

	host_set_cpu(1);
	quire_grace_enter(&h->q);
	host_set_cpu(0);
	quire_defer(&h->q, &n.deferred, ran);
	for (i = 0; i < 20 && !n.ran; i++, turns++) {
		host_set_cpu(2 - i % 2); /* the other one comes in before the first goes */
		quire_grace_enter(&h->q);
		host_set_cpu(1 + i % 2);
		quire_grace_leave(&h->q);
		host_set_cpu(0);
		quire_grace_poll(&h->q);
	}
	host_set_cpu(2 - (turns - 1) % 2);
	quire_grace_leave(&h->q);
	host_set_cpu(0);
	assert_int_equal(n.ran, 1);
	assert_true(turns > 1); /* the reader of the beginning did hold it back */
}

static void deferred_may_defer_again_without_recursion(void **state)
{
	struct host *h = *state;
	static struct note n[5000];
	unsigned i, done = 0, rounds, depth = 0;

	/* A hundred chains side by side, so that there is enough to run whenever one defers. */
	memset(n, 0, sizeof(n));
	for (i = 0; i < QUIRE_ARRAY_SIZE(n); i++) {
		n[i].chain = i + 100 < QUIRE_ARRAY_SIZE(n) ? &n[i + 100] : NULL;
		n[i].depth = &depth;
	}
	for (i = 0; i < 100; i++)
		quire_defer(&h->q, &n[i].deferred, ran);
	for (rounds = 0; rounds < QUIRE_ARRAY_SIZE(n); rounds++)
		quire_grace_poll(&h->q);
	for (i = 0; i < QUIRE_ARRAY_SIZE(n); i++)
		done += n[i].ran;
	assert_int_equal(done, QUIRE_ARRAY_SIZE(n));
}

/* A CPU that defers seldom finds its list in use by what it deferred three epochs ago. */
static void what_waited_long_is_not_lost(void **state)
{
	struct host *h = *state;
	struct note seldom[20] = { { .ran = 0 } }, often = { .ran = 0 };
	unsigned i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(seldom); i++) {
		uint64_t epoch = h->q.grace.epoch;

		host_set_cpu(1);
		quire_defer(&h->q, &seldom[i].deferred, ran);
		host_set_cpu(0);
		while (h->q.grace.epoch < epoch + 3) {
			quire_defer(&h->q, &often.deferred, ran);
			quire_grace_poll(&h->q);
		}
	}
	host_set_cpu(1);
	quire_grace_poll(&h->q);
	host_set_cpu(0);
	for (i = 0; i < QUIRE_ARRAY_SIZE(seldom); i++)
		assert_int_equal(seldom[i].ran, 1);
}

static void defer_polls_by_itself(void **state)
{
	struct host *h = *state;
	static struct note n[1000];
	unsigned i, done = 0;

	memset(n, 0, sizeof(n));
	for (i = 0; i < QUIRE_ARRAY_SIZE(n); i++)
		quire_defer(&h->q, &n[i].deferred, ran);
	for (i = 0; i < QUIRE_ARRAY_SIZE(n); i++)
		done += n[i].ran;
	assert_true(done >= QUIRE_ARRAY_SIZE(n) - 100);
	quire_grace_wait(&h->q);
	for (i = 0; i < QUIRE_ARRAY_SIZE(n); i++)
		assert_int_equal(n[i].ran, 1);
}

struct slow_run {
	struct host *h;
	struct quire_deferred deferred;
	uint32_t running, may_end, wait_is_over;
};

static void run_slowly(struct quire *q, struct quire_deferred *d)
{
	struct slow_run *s = quire_container_of(d, struct slow_run, deferred);

	quire_store_release(&s->running, 1u);
	while (!quire_load_acquire(&s->may_end))
		quire_port_relax(q);
	assert_false(quire_load(&s->wait_is_over));
}

/* CPU 0 has taken the deferred function and is at it, when CPU 1 begins to wait. */
static void run_or_wait(void *arg, unsigned cpu)
{
	struct slow_run *s = arg;

	if (cpu == 0) {
		quire_defer(&s->h->q, &s->deferred, run_slowly);
		quire_grace_poll(&s->h->q);
		return;
	}
	while (!quire_load_acquire(&s->running))
		quire_port_relax(&s->h->q);
	if (cpu == 1) {
		quire_grace_wait(&s->h->q);
		quire_store_release(&s->wait_is_over, 1u);
	} else {
		usleep(20000); /* time enough for a wait that does not wait */
		quire_store_release(&s->may_end, 1u);
	}
}

static void grace_wait_waits_for_what_is_just_running(void **state)
{
	struct slow_run s = { .h = *state };

	host_run_cpus(3, run_or_wait, &s);
	assert_true(s.wait_is_over);
}

/* ---- Grace periods: many CPUs ------------------------------------------------------------ */

#define SLOTS 16
#define MAGIC UINT64_C(0x600df00d600df00d)

struct object {
	uint64_t magic, twin;
	struct quire_deferred deferred;
};

struct shared {
	struct quire *q;
	struct object *slot[SLOTS];
	uint64_t freed; /* atomic */
	unsigned turns;
};

static struct object *object_new(uint64_t n)
{
	struct object *o = malloc(sizeof(*o));

	assert_non_null(o);
	o->magic = MAGIC;
	o->twin = n;
	return o;
}

static void object_free(struct quire *q, struct quire_deferred *d)
{
	struct object *o = quire_container_of(d, struct object, deferred);

	(void)q;
	/* A reader that is still at it sees this, and AddressSanitizer the free. */
	__atomic_store_n(&o->magic, 0, __ATOMIC_RELAXED);
	free(o);
}

/* Every CPU reads, and one turn in eight replaces an object and defers the old one. */
static void read_and_replace(void *arg, unsigned cpu)
{
	struct shared *s = arg;
	uint64_t chance = cpu + 1;
	unsigned i, j;

	for (i = 0; i < s->turns; i++) {
		struct object **slot = &s->slot[host_random(&chance) % SLOTS];

		if (host_random(&chance) % 8 == 0) {
			struct object *o = quire_exchange(slot, object_new(chance));

			quire_fetch_add(&s->freed, 1u);
			quire_defer(s->q, &o->deferred, object_free);
		} else {
			struct object *o;

			quire_grace_enter(s->q);
			o = quire_load_acquire(slot);
			for (j = 0; j < 4; j++)
				assert_true(__atomic_load_n(&o->magic, __ATOMIC_RELAXED) == MAGIC);
			quire_grace_leave(s->q);
		}
		if (i % 1024 == 0)
			quire_grace_wait(s->q);
	}
}

static void readers_never_see_what_was_freed(void **state)
{
	struct host *h = *state;
	struct shared s = { .q = &h->q, .turns = 30000 };
	unsigned i;

	for (i = 0; i < SLOTS; i++)
		s.slot[i] = object_new(i);
	host_run_cpus(4, read_and_replace, &s);
	quire_grace_wait(&h->q);
	for (i = 0; i < 4; i++) {
		assert_int_equal(h->q.grace.cpu[i].pending, 0);
		assert_int_equal(h->q.grace.cpu[i].epoch, 0);
	}
	for (i = 0; i < SLOTS; i++)
		free(s.slot[i]);
	assert_true(s.freed > 1000);
}

/* Nothing there: no wait. Something: all of it comes, from every CPU. But not for ever. */
static void reclaim_waits_for_what_is_there_and_only_so_often(void **state)
{
	struct host *h = *state;
	struct note n[2] = { { .ran = 0 } }, late = { .ran = 0 };
	unsigned tries = 0;

	assert_false(quire_grace_reclaim(&h->q, &tries));
	assert_int_equal(tries, 0);
	quire_defer(&h->q, &n[0].deferred, ran);
	host_set_cpu(3);
	quire_defer(&h->q, &n[1].deferred, ran);
	host_set_cpu(0);
	assert_true(quire_grace_reclaim(&h->q, &tries));
	assert_int_equal(tries, 1);
	assert_int_equal(n[0].ran, 1);
	assert_int_equal(n[1].ran, 1);
	assert_false(quire_grace_reclaim(&h->q, &tries));

	while (tries < 16) {
		n[0].ran = 0;
		quire_defer(&h->q, &n[0].deferred, ran);
		assert_true(quire_grace_reclaim(&h->q, &tries));
		assert_int_equal(n[0].ran, 1);
	}
	quire_defer(&h->q, &late.deferred, ran);
	assert_false(quire_grace_reclaim(&h->q, &tries));
	assert_int_equal(late.ran, 0);
	quire_grace_wait(&h->q);
	assert_int_equal(late.ran, 1);
}

#if QUIRE_DEBUG
static void nobody_sleeps_with_a_spin_lock_or_while_he_reads(void **state)
{
	struct host *h = *state;
	struct quire_spinlock lock = QUIRE_SPINLOCK_INIT, other = QUIRE_SPINLOCK_INIT;
	struct quire_mutex mutex = QUIRE_MUTEX_INIT;
	unsigned long flags;

	assert_true(quire_may_sleep(&h->q));
	quire_spin_lock(&h->q, &lock);
	assert_false(quire_may_sleep(&h->q));
	flags = quire_spin_lock_irq(&h->q, &other);
	quire_spin_unlock(&h->q, &lock);
	assert_false(quire_may_sleep(&h->q));
	host_set_cpu(1);
	assert_true(quire_may_sleep(&h->q));
	host_set_cpu(0);
	quire_spin_unlock_irq(&h->q, &other, flags);
	assert_true(quire_may_sleep(&h->q));
	assert_true(quire_spin_trylock(&h->q, &lock));
	assert_false(quire_may_sleep(&h->q));
	host_set_cpu(1);
	assert_false(quire_spin_trylock(&h->q, &lock));
	assert_true(quire_may_sleep(&h->q));
	host_set_cpu(0);
	quire_spin_unlock(&h->q, &lock);
	assert_true(quire_may_sleep(&h->q));

	quire_grace_enter(&h->q);
	assert_false(quire_may_sleep(&h->q));
	host_expect_reports(h);
	quire_mutex_lock(&h->q, &mutex);
	host_assert_report(h, "quire_may_sleep");
	quire_grace_leave(&h->q);
	assert_true(quire_may_sleep(&h->q));
	quire_mutex_unlock(&h->q, &mutex);
}
#endif

/* ---- Failure injection ------------------------------------------------------------------- */

#if QUIRE_DEBUG
static void the_kth_call_fails_and_no_other(void **state)
{
	struct quire_fail fail = { .after = 0 };
	unsigned i;

	(void)state;
	for (i = 0; i < 10; i++)
		assert_false(quire_fail_now(&fail));
	fail.after = 3;
	for (i = 1; i <= 10; i++)
		assert_int_equal(quire_fail_now(&fail), i == 3);
	assert_int_equal(fail.failed, 1);
	assert_int_equal(fail.seen, 3);
	fail = (struct quire_fail){ .after = 3, .sticky = true };
	for (i = 1; i <= 10; i++)
		assert_int_equal(quire_fail_now(&fail), i >= 3);
	assert_int_equal(fail.failed, 8);
	assert_int_equal(fail.seen, 10);
}
#endif

/* ---- Text -------------------------------------------------------------------------------- */

/* Puts what is emitted together; printf() is the judge of what it should be. */
struct collected {
	char text[2048];
	size_t len;
};

static void collect(void *ctx, const char *text, size_t len)
{
	struct collected *c = ctx;

	assert_true(len > 0 && c->len + len < sizeof(c->text));
	memcpy(c->text + c->len, text, len);
	c->len += len;
	c->text[c->len] = '\0';
}

#define expect_text(call, ...)                                            \
	do {                                                              \
		struct collected c = { .len = 0 };                        \
		struct quire_text t;                                      \
		char expected[2048];                                      \
		quire_text_init(&t, collect, &c);                         \
		call;                                                     \
		quire_text_flush(&t);                                     \
		snprintf(expected, sizeof(expected), __VA_ARGS__);        \
		assert_string_equal(c.text, expected);                    \
	} while (0)

static void numbers_read_as_printf_writes_them(void **state)
{
	static const uint64_t values[] = { 0, 1, 9, 10, 99, 100, 4096, UINT32_MAX, UINT64_C(1) << 32,
					   INT64_MAX, (uint64_t)INT64_MIN, UINT64_MAX };
	unsigned width;
	size_t i;

	(void)state;
	for (i = 0; i < QUIRE_ARRAY_SIZE(values); i++) {
		uint64_t v = values[i];

		for (width = 0; width < 30; width++) {
			expect_text(quire_text_u64(&t, v, width), "%*" PRIu64, (int)width, v);
			expect_text(quire_text_i64(&t, (int64_t)v, width), "%*" PRId64, (int)width, (int64_t)v);
			expect_text(quire_text_hex(&t, v, width), "%0*" PRIx64, (int)width, v);
		}
	}
}

static void strings_are_padded_on_either_side(void **state)
{
	unsigned width;

	(void)state;
	for (width = 0; width < 12; width++) {
		expect_text(quire_text_right(&t, "vmap", width), "%*s", (int)width, "vmap");
		expect_text(quire_text_left(&t, "vmap", width), "%-*s", (int)width, "vmap");
	}
	expect_text((quire_text_char(&t, 'a'), quire_text_put(&t, "bc"), quire_text_bytes(&t, "defg", 2)), "abcde");
}

/* As maps has it: the path begins in column 73, or behind one blank where the line is longer. */
static void columns_count_from_the_line(void **state)
{
	(void)state;
	expect_text((quire_text_put(&t, "first line\nab"), quire_text_pad_to(&t, 6), quire_text_put(&t, "c\n"),
		     quire_text_pad_to(&t, 2), quire_text_char(&t, 'd'), quire_text_pad_to(&t, 1)),
		    "first line\nab    c\n  d");
}

static void long_text_comes_in_runs(void **state)
{
	char expected[1501];
	struct collected c = { .len = 0 };
	struct quire_text t;
	size_t i;

	(void)state;
	quire_text_init(&t, collect, &c);
	quire_text_flush(&t); /* nothing: no call */
	for (i = 0; i < 1500; i++) {
		expected[i] = (char)('a' + i % 26);
		quire_text_char(&t, expected[i]);
	}
	expected[1500] = '\0';
	quire_text_flush(&t);
	quire_text_flush(&t);
	assert_string_equal(c.text, expected);
}

#define with_host(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_keeps_the_order_of_its_elements),
		cmocka_unit_test(list_walk_may_delete_where_it_stands),
		cmocka_unit_test(bits_are_found),
		cmocka_unit_test(addresses_round_to_pages),
		with_host(spin_lock_keeps_others_out),
		with_host(spin_lock_disables_preemption),
		with_host(spin_trylock_fails_where_lock_would_wait),
#if QUIRE_DEBUG
		with_host(spin_lock_taken_twice_is_reported),
		with_host(spin_unlock_of_anothers_lock_is_reported),
#endif
		with_host(mutex_keeps_others_out),
		with_host(mutex_alone_makes_no_port_call),
		with_host(mutex_sleepers_are_all_woken_in_the_end),
		with_host(deferred_runs_when_nobody_reads),
		with_host(grace_wait_runs_what_every_cpu_deferred),
		with_host(reader_inside_holds_reclamation_back),
		with_host(readers_that_come_later_do_not_hold_it_back),
		with_host(reclaim_waits_for_what_is_there_and_only_so_often),
#if QUIRE_DEBUG
		with_host(nobody_sleeps_with_a_spin_lock_or_while_he_reads),
#endif
		with_host(deferred_may_defer_again_without_recursion),
		with_host(what_waited_long_is_not_lost),
		with_host(defer_polls_by_itself),
		with_host(grace_wait_waits_for_what_is_just_running),
		with_host(readers_never_see_what_was_freed),
#if QUIRE_DEBUG
		cmocka_unit_test(the_kth_call_fails_and_no_other),
#endif
		cmocka_unit_test(numbers_read_as_printf_writes_them),
		cmocka_unit_test(strings_are_padded_on_either_side),
		cmocka_unit_test(columns_count_from_the_line),
		cmocka_unit_test(long_text_comes_in_runs),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}

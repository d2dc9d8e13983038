/* SPDX-License-Identifier: MIT */
/*
 * The parts of locks that are not inline: what a spin lock does when it is held, and the mutex.
 * Called by every room. Nothing here allocates; only quire_mutex_lock() sleeps.
 */
#include <quire/quire.h>

void quire_spin_contended(struct quire *q, struct quire_spinlock *l, uint32_t token)
{
	uint32_t unlocked;

	/* This CPU has it already and would wait for ever; going on is the lesser evil. */
	if (QUIRE_DEBUG && quire_load(&l->word) == token) {
		quire_report(q, "spin lock taken twice by one CPU", (uintptr_t)l);
		return;
	}
	do {
		/* Read until it looks free: the reads stay in this CPU's cache, a failed exchange would not. */
		while (quire_load(&l->word) != 0)
			quire_port_relax(q);
		unlocked = 0;
	} while (!quire_cmpxchg_acquire(&l->word, &unlocked, token));
}

void quire_spin_count(struct quire *q, int more)
{
	struct quire_grace_cpu *c = &q->grace.cpu[quire_port_cpu(q)];

	/* Nobody else's, and so no point for the explorer to switch at: no quire_store(). */
	__atomic_store_n(&c->spins, quire_peek(&c->spins) + (uint32_t)more, __ATOMIC_RELAXED);
}

bool quire_may_sleep(struct quire *q)
{
	const struct quire_grace_cpu *c;
	bool may;

	/* As in quire_in_grace(). */
	quire_port_preempt_disable(q);
	c = &q->grace.cpu[quire_port_cpu(q)];
	may = !quire_peek(&c->spins) && !quire_peek(&c->nesting) && !quire_port_in_interrupt(q);
	quire_port_preempt_enable(q);
	return may;
}

/*
 * The mutex is a word of three states. Whoever has once found it held cannot know whether others
 * sleep too, and so takes it as 2: at worst its unlock wakes nobody. An unlock that finds 1 knows
 * that nobody sleeps and makes no call.
 */
void quire_mutex_lock(struct quire *q, struct quire_mutex *m)
{
	uint32_t word = 0;

	quire_sleep_assert(q);
	if (quire_unlikely(!quire_cmpxchg_acquire(&m->word, &word, 1u))) {
		while (quire_exchange(&m->word, 2u) != 0)
			quire_port_wait(q, &m->word, 2u);
	}
	QUIRE_SCHED_HOLDS(&m->word, 1);
}

bool quire_mutex_trylock(struct quire *q, struct quire_mutex *m)
{
	uint32_t word = 0;

	if (!quire_cmpxchg_acquire(&m->word, &word, 1u))
		return false;
	QUIRE_SCHED_HOLDS(&m->word, 1);
	return true;
}

void quire_mutex_unlock(struct quire *q, struct quire_mutex *m)
{
	uint32_t word;

	quire_mutex_assert(q, m);
	QUIRE_SCHED_HOLDS(&m->word, 0);
	word = quire_exchange_release(&m->word, 0u);
	/* From here on the mutex may be gone: its next holder may have freed it. Only its address is used. */
	if (word == 2)
		quire_port_wake(q, &m->word, 1);
}

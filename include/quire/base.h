/* SPDX-License-Identifier: MIT */
/*
 * base: atomics, lists, locks, grace periods and checks. The ground floor; every room uses it.
 *
 * Atomics are GCC's builtins behind names, so that a build with QUIRE_SCHED_POINT defined can put
 * a switching point at every one of them.
 */
#ifndef QUIRE_BASE_H
#define QUIRE_BASE_H

#include <quire/errno.h>
#include <quire/port.h>
#include <quire/types.h>

/* ---- Atomics ----------------------------------------------------------------------------- */

/* What comes next reads *p, or (is_write 1) may write it. */
#ifndef QUIRE_SCHED_POINT
#define QUIRE_SCHED_POINT(p, is_write) ((void)0)
#endif

/* The lock at p has just been taken (holds 1), is about to be let go (0): what it protects is in nobody else's reach. */
#ifndef QUIRE_SCHED_HOLDS
#define QUIRE_SCHED_HOLDS(p, holds) ((void)0)
#endif

/* A load on which nothing depends but an assertion, or of what never changes: no switching point. */
#define quire_peek(p) __atomic_load_n((p), __ATOMIC_RELAXED)

/* Plain loads and stores that the compiler may not tear or repeat. */
#define quire_load(p) (QUIRE_SCHED_POINT(p, 0), __atomic_load_n((p), __ATOMIC_RELAXED))
#define quire_store(p, v) (QUIRE_SCHED_POINT(p, 1), __atomic_store_n((p), (v), __ATOMIC_RELAXED))

/* What was written before a store_release is seen after the load_acquire that reads it. */
#define quire_load_acquire(p) (QUIRE_SCHED_POINT(p, 0), __atomic_load_n((p), __ATOMIC_ACQUIRE))
#define quire_store_release(p, v)                           \
	do {                                                \
		QUIRE_SCHED_POINT(p, 1);                    \
		__atomic_store_n((p), (v), __ATOMIC_RELEASE); \
	} while (0)

/* Read-modify-write; all full barriers unless named _relaxed. Return the value from before. */
#define quire_fetch_add(p, v) (QUIRE_SCHED_POINT(p, 1), __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST))
#define quire_fetch_sub(p, v) (QUIRE_SCHED_POINT(p, 1), __atomic_fetch_sub((p), (v), __ATOMIC_SEQ_CST))
#define quire_fetch_or(p, v) (QUIRE_SCHED_POINT(p, 1), __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST))
#define quire_fetch_and(p, v) (QUIRE_SCHED_POINT(p, 1), __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST))
#define quire_exchange(p, v) (QUIRE_SCHED_POINT(p, 1), __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))

/* Half of 64 bits, for machines that have only 32 at a time: seen as a part of the whole, whatever that is. */
typedef uint32_t __attribute__((may_alias)) quire_half_t;

/*
 * For counters. One of 64 bits is added to in two steps where a machine has only 32 at a time: nothing is lost, but a load in
 * between may miss a carry.
 */
#ifdef __i386__
static inline void quire_add_halves(void *p, uint64_t v)
{
	quire_half_t *half = p;

	__asm__ volatile("lock addl %2, %0; lock adcl %3, %1"
			 : "+m"(half[0]), "+m"(half[1])
			 : "er"((uint32_t)v), "er"((uint32_t)(v >> 32))
			 : "cc");
}
#define quire_add_relaxed(p, v)                                                                      \
	(sizeof(*(p)) == 8 ? quire_add_halves((p), (uint64_t)(__typeof__(*(p)))(v)) \
			   : (void)__atomic_fetch_add((uint32_t *)(void *)(p), (uint32_t)(v), __ATOMIC_RELAXED))
#else
#define quire_add_relaxed(p, v) ((void)__atomic_fetch_add((p), (v), __ATOMIC_RELAXED))
#endif

/* *p == *old ? (*p = new, true) : (*old = *p, false) */
#define quire_cmpxchg(p, old, new)                                                                 \
	(QUIRE_SCHED_POINT(p, 1), __atomic_compare_exchange_n((p), (old), (new), false, __ATOMIC_SEQ_CST, \
							  __ATOMIC_SEQ_CST))

/* The same with acquire (release) order only: for taking and giving back locks. */
#define quire_cmpxchg_acquire(p, old, new)                                                         \
	(QUIRE_SCHED_POINT(p, 1), __atomic_compare_exchange_n((p), (old), (new), false, __ATOMIC_ACQUIRE, \
							  __ATOMIC_RELAXED))
#define quire_exchange_release(p, v) \
	(QUIRE_SCHED_POINT(p, 1), __atomic_exchange_n((p), (v), __ATOMIC_RELEASE))

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QUIRE_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define QUIRE_TSAN 1
#endif

/* Everything before it, in the sight of every CPU, before everything after it. */
#ifdef QUIRE_TSAN
/* ThreadSanitizer knows no fences; a full-barrier operation on a word of one's own stops the machine all the same. */
static inline void quire_fence(void)
{
	uint32_t word = 0;

	(void)__atomic_fetch_add(&word, 1u, __ATOMIC_SEQ_CST);
}
#else
#define quire_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

/* The same for the compiler alone: against interrupt handlers on this CPU. */
#define quire_compiler_fence() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* ---- Doubly linked lists ----------------------------------------------------------------- */

/* A ring; the head is an element without an owner. An element that is nowhere points to itself. */
struct quire_list {
	struct quire_list *next, *prev;
};

static inline void quire_list_init(struct quire_list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool quire_list_empty(const struct quire_list *l)
{
	return l->next == l;
}

static inline void quire_list_insert(struct quire_list *prev, struct quire_list *next,
				     struct quire_list *l)
{
	l->prev = prev;
	l->next = next;
	prev->next = l;
	next->prev = l;
}

static inline void quire_list_add(struct quire_list *head, struct quire_list *l)
{
	quire_list_insert(head, head->next, l);
}

static inline void quire_list_add_tail(struct quire_list *head, struct quire_list *l)
{
	quire_list_insert(head->prev, head, l);
}

/* Leaves l pointing to itself, so that a second del does no harm. */
static inline void quire_list_del(struct quire_list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	quire_list_init(l);
}

#define quire_list_entry(ptr, type, member) quire_container_of(ptr, type, member)
#define quire_list_first(head, type, member) quire_list_entry((head)->next, type, member)

/* pos is a struct quire_list *; the body may delete pos, nothing else. */
#define quire_list_for_each(pos, tmp, head) \
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head); (pos) = (tmp), (tmp) = (pos)->next)

/* ---- Locks ------------------------------------------------------------------------------- */

/*
 * A spin lock. Taking it disables preemption; the _irq forms disable interrupts too and must be
 * used by everybody for a lock that an interrupt handler takes. Never held across anything that
 * may sleep. Debug builds record the owner: taking it twice and releasing another CPU's lock are
 * reported, and quire_spin_assert() checks that this CPU holds it; and they count what each CPU holds.
 */
struct quire_spinlock {
	uint32_t word; /* 0 free; else held: debug builds 1 + number of the CPU, release builds 1 */
};

#define QUIRE_SPINLOCK_INIT { 0 }

/* The lock was not free at the first try: turn until it is. Debug builds report a lock taken twice. */
void quire_spin_contended(struct quire *q, struct quire_spinlock *l, uint32_t token);

/* For debug builds: this CPU holds so many more. */
void quire_spin_count(struct quire *q, int more);

static inline uint32_t quire_spin_token(struct quire *q)
{
	return QUIRE_DEBUG ? quire_port_cpu(q) + 1u : 1u;
}

/* Without touching preemption: for callers who have interrupts or preemption off already. */
static inline void quire_spin_lock_raw(struct quire *q, struct quire_spinlock *l)
{
	uint32_t token = quire_spin_token(q), unlocked = 0;

	if (!quire_likely(quire_cmpxchg_acquire(&l->word, &unlocked, token)))
		quire_spin_contended(q, l, token);
	if (QUIRE_DEBUG)
		quire_spin_count(q, 1);
	QUIRE_SCHED_HOLDS(&l->word, 1);
}

static inline void quire_spin_unlock_raw(struct quire *q, struct quire_spinlock *l)
{
	if (QUIRE_DEBUG && quire_peek(&l->word) != quire_spin_token(q))
		quire_port_report(q, "spin lock released by a CPU that does not hold it", __FILE__,
				  (uint64_t)(uintptr_t)l);
	if (QUIRE_DEBUG)
		quire_spin_count(q, -1);
	QUIRE_SCHED_HOLDS(&l->word, 0);
	quire_store_release(&l->word, 0u);
}

static inline void quire_spin_lock(struct quire *q, struct quire_spinlock *l)
{
	quire_port_preempt_disable(q);
	quire_spin_lock_raw(q, l);
}

static inline bool quire_spin_trylock(struct quire *q, struct quire_spinlock *l)
{
	uint32_t unlocked = 0;

	quire_port_preempt_disable(q);
	if (quire_cmpxchg_acquire(&l->word, &unlocked, quire_spin_token(q))) {
		if (QUIRE_DEBUG)
			quire_spin_count(q, 1);
		QUIRE_SCHED_HOLDS(&l->word, 1);
		return true;
	}
	quire_port_preempt_enable(q);
	return false;
}

static inline void quire_spin_unlock(struct quire *q, struct quire_spinlock *l)
{
	quire_spin_unlock_raw(q, l);
	quire_port_preempt_enable(q);
}

/* With interrupts off the thread stays on its CPU (port.h), so preemption needs no second word. */
static inline unsigned long quire_spin_lock_irq(struct quire *q, struct quire_spinlock *l)
{
	unsigned long flags = quire_port_irq_save(q);

	quire_spin_lock_raw(q, l);
	return flags;
}

static inline void quire_spin_unlock_irq(struct quire *q, struct quire_spinlock *l, unsigned long flags)
{
	quire_spin_unlock_raw(q, l);
	quire_port_irq_restore(q, flags);
}

/*
 * A mutex: sleeps through quire_port_wait(). Not for interrupt context. Not recursive. Not bound to
 * the thread that took it (so fork can hand one over), hence no owner.
 */
struct quire_mutex {
	uint32_t word; /* 0 free, 1 held, 2 held and somebody may be waiting */
};

#define QUIRE_MUTEX_INIT { 0 }

void quire_mutex_lock(struct quire *q, struct quire_mutex *m);
bool quire_mutex_trylock(struct quire *q, struct quire_mutex *m);
void quire_mutex_unlock(struct quire *q, struct quire_mutex *m);

static inline bool quire_mutex_is_locked(const struct quire_mutex *m)
{
	return quire_peek(&m->word) != 0;
}

/* ---- Grace periods ----------------------------------------------------------------------- */

/*
 * Deferred reclamation by per-CPU epochs. A reader between enter and leave may use anything it can
 * reach, however long ago it was unlinked; quire_defer() runs fn once every reader that was inside
 * at that moment has left. Readers never wait and never write a shared cache line.
 *
 * enter disables preemption, leave enables it; they nest; nothing in between may sleep. From
 * interrupt handlers too.
 */
struct quire_deferred {
	struct quire_deferred *next;
	void (*fn)(struct quire *q, struct quire_deferred *d);
};

/* Generations: what was deferred in epoch e may run from epoch e + 2 on, so e and e + 3 can share a list. */
#define QUIRE_GRACE_GENERATIONS 3

struct quire_grace_list {
	struct quire_deferred *head, *tail; /* tail: of no meaning while head is NULL */
	uint64_t epoch;                     /* the one all of them were deferred in */
};

/*
 * The first cache line is written by this CPU alone; whoever advances the epoch reads it. The rest
 * is under lock, which is this CPU's own but for quire_grace_wait(), so that it is hardly ever contended.
 */
struct quire_grace_cpu {
	uint64_t epoch;   /* 0: outside; else a global epoch not newer than that on entry */
	uint32_t nesting; /* depth of enters; this CPU only */
	uint32_t spins;   /* spin locks that it holds, in debug builds; this CPU only */

	struct quire_spinlock lock __attribute__((aligned(QUIRE_CACHELINE))); /* irq; all below but runs */
	uint32_t pending; /* deferred here and not yet taken to be run */
	uint32_t runs;    /* odd while this CPU runs deferred functions; written by this CPU only */
	struct quire_grace_list waiting[QUIRE_GRACE_GENERATIONS]; /* by epoch modulo 3 */
	struct quire_deferred *ready; /* grace period over; nobody has run them yet */
} __attribute__((aligned(QUIRE_CACHELINE)));

struct quire_grace {
	uint64_t epoch __attribute__((aligned(QUIRE_CACHELINE))); /* the global epoch, from 1; atomic */
	struct quire_grace_cpu cpu[QUIRE_NR_CPUS];
};

/* Before any other function here; one CPU, once. */
void quire_grace_init(struct quire *q);

void quire_grace_enter(struct quire *q);
void quire_grace_leave(struct quire *q);

/* True between enter and leave on this CPU. For assertions. */
bool quire_in_grace(struct quire *q);

/*
 * Outside interrupts and grace periods, with no spin lock held? For assertions of debug builds, where locks are counted. Whether
 * the host itself has interrupts or preemption off is not known here.
 */
bool quire_may_sleep(struct quire *q);

/*
 * Run fn(q, d) after a grace period, on whatever CPU. Any context. fn may not sleep, and it may run inside a later
 * quire_defer() of somebody else, whatever locks and context that has: so it takes irq-safe locks only, none under
 * which anybody defers. Freeing to slab and page is fine; deferring again is, too.
 */
void quire_defer(struct quire *q, struct quire_deferred *d,
		 void (*fn)(struct quire *q, struct quire_deferred *d));

/* Run on this CPU what has waited long enough; called by quire_defer() every so often. Any context
 * outside a grace period. A host calls it when idle. */
void quire_grace_poll(struct quire *q);

/*
 * Wait until every reader that is inside now has left, and run everything deferred before by any
 * CPU. May sleep (yields through quire_port_relax()); not inside a grace period.
 */
void quire_grace_wait(struct quire *q);

/*
 * For whoever has found memory short and may sleep: what waits for a grace period may be all that is missing. A
 * quire_grace_wait(), if anything is deferred or just being freed, on any CPU, and *tries, which the caller begins with 0, is not
 * yet 16 (as often Linux comes back to reclaim that brings nothing). False: there was no wait, and there is no use in another try.
 */
bool quire_grace_reclaim(struct quire *q, unsigned *tries);

/* ---- Checks ------------------------------------------------------------------------------ */

#define QUIRE_STR2(x) #x
#define QUIRE_STR(x) QUIRE_STR2(x)
#define QUIRE_WHERE __FILE__ ":" QUIRE_STR(__LINE__)

/* Something that cannot be, found in a build of any kind: reported, never fatal by itself. */
#define quire_report(q, what, value) quire_port_report((q), (what), QUIRE_WHERE, (uint64_t)(value))

#if QUIRE_DEBUG
#define quire_assert(q, cond)                                        \
	do {                                                         \
		if (quire_unlikely(!(cond)))                         \
			quire_report((q), "assertion: " #cond, 0);   \
	} while (0)
#define quire_spin_assert(q, l) quire_assert(q, quire_peek(&(l)->word) == quire_port_cpu(q) + 1)
#define quire_mutex_assert(q, m) quire_assert(q, quire_mutex_is_locked(m))
#define quire_sleep_assert(q) quire_assert(q, quire_may_sleep(q)) /* Linux's might_sleep() */
#else
#define quire_assert(q, cond) ((void)sizeof(!(cond)))
#define quire_spin_assert(q, l) ((void)sizeof(l))
#define quire_mutex_assert(q, m) ((void)sizeof(m))
#define quire_sleep_assert(q) ((void)sizeof(q))
#endif

/*
 * Failure injection, for tests of debug builds: set after to k and the k-th allocation from now fails; with sticky, that
 * one and all later ones. 0: none. The rooms that allocate have one each (quire_pages.fail, quire_slabs.fail); release
 * builds have the words, so that structs are the same in both, and never look at them.
 */
struct quire_fail {
	uint64_t after;  /* counts down to the failure; atomic */
	uint64_t seen;   /* allocations asked while after was not 0; atomic */
	uint64_t failed; /* how many of them were failed; atomic */
	bool sticky;
};

/* Is this allocation to fail? Counts it. */
static inline bool quire_fail_now(struct quire_fail *fail)
{
	uint64_t after = QUIRE_DEBUG ? quire_load(&fail->after) : 0;

	while (after != 0) {
		if (!quire_cmpxchg(&fail->after, &after, after == 1 && fail->sticky ? 1 : after - 1))
			continue;
		quire_add_relaxed(&fail->seen, 1u);
		if (after == 1)
			quire_add_relaxed(&fail->failed, 1u);
		return after == 1;
	}
	return false;
}

/*
 * quire_<object>_check() returns NULL when all the object's equations hold, else a constant
 * sentence that names the first one that does not ("page: free + allocated + per_cpu == managed").
 */
typedef const char *quire_broken_t;

/* ---- Bits -------------------------------------------------------------------------------- */

/* Highest set bit; undefined for 0. */
static inline unsigned quire_fls64(uint64_t v)
{
	return 63u - (unsigned)__builtin_clzll(v);
}

/* Lowest set bit; undefined for 0. */
static inline unsigned quire_ffs64(uint64_t v)
{
	return (unsigned)__builtin_ctzll(v);
}

/* Smallest order with 1 << order >= n; 0 for n <= 1. */
static inline unsigned quire_order_up(uint64_t n)
{
	return n <= 1 ? 0 : quire_fls64(n - 1) + 1;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * futex(2): sleeping on a word of user memory. A word that processes share is known by its object and place, any other
 * by its space and address. Who waits enters its queue before it looks at the word, so a change of the word with a wake
 * after it is either seen or finds the waiter.
 */
#include "core/user.h"
#include "process/process.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_PRIVATE 128
#define FUTEX_CLOCK_REALTIME 256
#define FUTEX_TID_MASK 0x3fffffffu
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_WAITERS 0x80000000u

struct key {
	const void *owner; /* space or object; an object is held */
	uint64_t place;
	bool object;
};

struct futex_waiter {
	struct quire_list link; /* itself: woken */
	struct key key;
	struct thread *thread;
	uint32_t bits;
};

static struct quire_list queues[256];
static struct quire_spinlock lock; /* irq; of all queues: a requeue needs two */

void futex_init(void)
{
	unsigned i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(queues); i++)
		quire_list_init(&queues[i]);
}

static struct quire_list *queue_of(const struct key *key)
{
	return &queues[((uintptr_t)key->owner * 0x9e3779b97f4a7c15ull ^
			key->place * 0xff51afd7ed558ccdull) >>
		       56];
}

static bool same(const struct key *a, const struct key *b)
{
	return a->owner == b->owner && a->place == b->place;
}

static int find_key(uint64_t addr, bool is_private, struct key *key)
{
	struct quire_mm *mm = current()->mm;
	struct quire_vma *vma;
	uint32_t value;

	if (addr & 3)
		return -EINVAL;
	if (!user_range_ok(addr, 4))
		return -EFAULT;
	*key = (struct key){mm, addr, false};
	if (is_private)
		return 0;
	if (get_user(value, addr))
		return -EFAULT;
	quire_grace_enter(Q);
	vma = quire_find_vma(mm, addr);
	if (vma && vma->start <= addr && (vma->flags & QUIRE_VM_SHARED) && vma->object) {
		quire_object_get(vma->object);
		*key = (struct key){vma->object,
				    (quire_linear_page_index(vma, addr) << QUIRE_PAGE_SHIFT) |
					    (addr & ~QUIRE_PAGE_MASK),
				    true};
	}
	quire_grace_leave(Q);
	return 0;
}

static void drop_key(const struct key *key)
{
	if (key->object)
		quire_object_put((struct quire_object *)(uintptr_t)key->owner);
}

/* ---- Waiting ------------------------------------------------------------------------------------ */

static int wait_on(uint64_t addr, bool is_private, uint32_t value, uint32_t bits, uint64_t deadline)
{
	struct futex_waiter w = {.thread = current(), .bits = bits};
	unsigned long flags;
	uint32_t now;
	bool woken;
	int err;

	if (!bits)
		return -EINVAL;
	err = find_key(addr, is_private, &w.key);
	if (err)
		return err;
	flags = quire_spin_lock_irq(Q, &lock);
	quire_list_add_tail(queue_of(&w.key), &w.link);
	quire_spin_unlock_irq(Q, &lock, flags);
	if (get_user(now, addr))
		err = -EFAULT;
	else if (now != value)
		err = -EAGAIN;
	while (!err && !quire_list_empty(&w.link)) {
		if (signal_pending(current()))
			err = -ERESTARTSYS;
		else if (clock_ns() >= deadline)
			err = -ETIMEDOUT;
		else
			park(deadline);
	}
	flags = quire_spin_lock_irq(Q, &lock);
	woken = quire_list_empty(&w.link);
	quire_list_del(&w.link);
	quire_spin_unlock_irq(Q, &lock, flags);
	drop_key(&w.key);
	return woken ? 0 : err;
}

/* ---- Waking --------------------------------------------------------------------------------------- */

static int wake_locked(const struct key *key, uint32_t n, uint32_t bits)
{
	struct quire_list *pos, *tmp;
	int woken = 0;

	quire_list_for_each (pos, tmp, queue_of(key)) {
		struct futex_waiter *w = quire_list_entry(pos, struct futex_waiter, link);

		if (!same(&w->key, key) || !(w->bits & bits))
			continue;
		if ((uint32_t)woken >= n)
			break;
		quire_list_del(&w->link);
		unpark(w->thread);
		woken++;
	}
	return woken;
}

static int wake_on(uint64_t addr, bool is_private, uint32_t n, uint32_t bits)
{
	struct key key;
	unsigned long flags;
	int result;

	if (!bits)
		return -EINVAL;
	result = find_key(addr, is_private, &key);
	if (result)
		return result;
	flags = quire_spin_lock_irq(Q, &lock);
	result = wake_locked(&key, n, bits);
	quire_spin_unlock_irq(Q, &lock, flags);
	drop_key(&key);
	return result;
}

void futex_wake_user(uint64_t addr)
{
	(void)wake_on(addr, false, 1, ~0u);
	(void)wake_on(addr, true, 1, ~0u);
}

/* Wake some of addr's waiters and let others wait for addr2 instead; a key of an object is held by its waiter. */
static int requeue(uint64_t addr, uint64_t addr2, bool is_private, uint32_t n, uint32_t n2,
		   const uint32_t *expected)
{
	struct quire_list *pos, *tmp;
	struct key from, to;
	unsigned long flags;
	uint32_t now, moved = 0;
	int result;

	if ((int32_t)n < 0 || (int32_t)n2 < 0)
		return -EINVAL;
	result = find_key(addr, is_private, &from);
	if (result)
		return result;
	result = find_key(addr2, is_private, &to);
	if (result) {
		drop_key(&from);
		return result;
	}
	if (expected && get_user(now, addr))
		result = -EFAULT;
	else if (expected && now != *expected)
		result = -EAGAIN;
	if (!result) {
		flags = quire_spin_lock_irq(Q, &lock);
		result = wake_locked(&from, n, ~0u);
		quire_list_for_each (pos, tmp, queue_of(&from)) {
			struct futex_waiter *w = quire_list_entry(pos, struct futex_waiter, link);

			if (!same(&w->key, &from) || same(&from, &to))
				continue;
			if (moved++ >= n2)
				break;
			quire_list_del(&w->link);
			if (to.object)
				quire_object_get((struct quire_object *)(uintptr_t)to.owner);
			if (w->key.object)
				quire_object_put((struct quire_object *)(uintptr_t)w->key.owner);
			w->key = to;
			quire_list_add_tail(queue_of(&to), &w->link);
			result++;
		}
		quire_spin_unlock_irq(Q, &lock, flags);
	}
	drop_key(&from);
	drop_key(&to);
	return result;
}

/* FUTEX_WAKE_OP: change the second word, wake the first's waiters, and the second's if it was as asked. */
static int wake_op(uint64_t addr, uint64_t addr2, bool is_private, uint32_t n, uint32_t n2,
		   uint32_t operation)
{
	unsigned op = operation >> 28 & 7, compare = operation >> 24 & 15;
	int32_t oparg = (int32_t)(operation << 8) >> 20, cmparg = (int32_t)(operation << 20) >> 20;
	uint32_t old, before;
	bool also;
	int woken, more;

	if (operation >> 31)
		oparg = (int32_t)(1u << (oparg & 31));
	if (op > 4 || compare > 5)
		return -ENOSYS;
	if ((addr | addr2) & 3)
		return -EINVAL;
	if (!user_range_ok(addr2, 4) || get_user(old, addr2))
		return -EFAULT;
	do {
		uint32_t arg = (uint32_t)oparg;
		uint32_t new = op == 0	 ? arg
			       : op == 1 ? old + arg
			       : op == 2 ? (old | arg)
			       : op == 3 ? (old & ~arg)
					 : (old ^ arg);

		before = old;
		if (user_cmpxchg32((uint32_t *)(uintptr_t)addr2, &old, new))
			return -EFAULT;
	} while (old != before);
	also = compare == 0   ? (int32_t)old == cmparg
	       : compare == 1 ? (int32_t)old != cmparg
	       : compare == 2 ? (int32_t)old < cmparg
	       : compare == 3 ? (int32_t)old <= cmparg
	       : compare == 4 ? (int32_t)old > cmparg
			      : (int32_t)old >= cmparg;
	woken = wake_on(addr, is_private, n, ~0u);
	if (woken < 0 || !also)
		return woken;
	more = wake_on(addr2, is_private, n2, ~0u);
	return more < 0 ? more : woken + more;
}

int64_t futex_call_ns(uint64_t addr, int op, uint32_t value, uint64_t timeout, uint64_t ns,
		      uint64_t addr2, uint32_t value3)
{
	bool is_private = (op & FUTEX_PRIVATE) != 0, realtime = (op & FUTEX_CLOCK_REALTIME) != 0;
	int command = op & ~(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME);
	uint64_t deadline = NO_DEADLINE;

	if (realtime && command != FUTEX_WAIT_BITSET)
		return -ENOSYS;
	/* FUTEX_WAIT counts from now, the other from a clock's start. */
	if (timeout && command == FUTEX_WAIT)
		deadline = clock_ns() + ns;
	else if (timeout && realtime)
		deadline = ns > clock_realtime() ? ns - clock_realtime() + clock_ns() : 0;
	else if (timeout)
		deadline = ns;
	switch (command) {
	case FUTEX_WAIT:
		return wait_on(addr, is_private, value, ~0u, deadline);
	case FUTEX_WAIT_BITSET:
		return wait_on(addr, is_private, value, value3, deadline);
	case FUTEX_WAKE:
		return wake_on(addr, is_private, value, ~0u);
	case FUTEX_WAKE_BITSET:
		return wake_on(addr, is_private, value, value3);
	case FUTEX_REQUEUE:
		return requeue(addr, addr2, is_private, value, (uint32_t)timeout, NULL);
	case FUTEX_CMP_REQUEUE:
		return requeue(addr, addr2, is_private, value, (uint32_t)timeout, &value3);
	case FUTEX_WAKE_OP:
		return wake_op(addr, addr2, is_private, value, (uint32_t)timeout, value3);
	default:
		return -ENOSYS;
	}
}

/* ---- Robust lists: set_robust_list(2) -------------------------------------------------------------- */

static void owner_died(struct thread *t, uint64_t addr)
{
	uint32_t value, before;

	if ((addr & 3) || !user_range_ok(addr, 4) || get_user(value, addr))
		return;
	do {
		if ((value & FUTEX_TID_MASK) != (uint32_t)t->tid)
			return;
		before = value;
		if (user_cmpxchg32((uint32_t *)(uintptr_t)addr, &value,
				   (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
			return;
	} while (value != before);
	if (value & FUTEX_WAITERS)
		futex_wake_user(addr);
}

/* Struct robust_list_head: next, offset of the word from an entry, an entry that was being added. */
void futex_exit_robust(struct thread *t)
{
	unsigned long head[3], entry, limit = 2048;

	if (!t->robust_list || copy_from_user(head, t->robust_list, sizeof(head)))
		return;
	for (entry = head[0]; entry != t->robust_list && limit; limit--) {
		unsigned long at = entry & ~1ul;

		if (get_user(entry, at))
			break;
		if (at != head[2])
			owner_died(t, at + head[1]);
	}
	if (head[2])
		owner_died(t, (head[2] & ~1ul) + head[1]);
	t->robust_list = 0;
}

/* SPDX-License-Identifier: MIT */
/* Timers that signal: alarm(2), setitimer(2), timer_create(2). */
#include "syscall/syscall.h"

/* ---- Of a process: which is 0 (real time), 1 (its time in user mode), 2 (all its processor time) -------- */

void itimer_get(unsigned which, uint64_t *left, uint64_t *interval)
{
	struct process *p = current_process();
	uint64_t now = clock_ns();
	unsigned long flags;

	if (which) {
		flags = quire_spin_lock_irq(Q, &process_lock);
		*left = p->cpu_timer[which - 1].left;
		*interval = p->cpu_timer[which - 1].interval;
		quire_spin_unlock_irq(Q, &process_lock, flags);
		return;
	}
	timer_left(&p->alarm, now, left, interval);
}

void itimer_set(unsigned which, uint64_t ns, uint64_t interval)
{
	struct process *p = current_process();
	unsigned long flags;

	if (which) {
		flags = quire_spin_lock_irq(Q, &process_lock);
		p->cpu_timer[which - 1].interval = ns ? interval : 0;
		quire_store(&p->cpu_timer[which - 1].left, ns);
		quire_spin_unlock_irq(Q, &process_lock, flags);
	} else if (ns) {
		timer_set_every(&p->alarm, clock_ns() + ns, interval);
	} else {
		(void)timer_cancel(&p->alarm);
	}
}

int64_t sys_alarm(struct call *c)
{
	uint64_t left, interval;

	itimer_get(0, &left, &interval);
	itimer_set(0, (uint32_t)c->arg[0] * NS_PER_SECOND, 0);
	/* To the nearest second, but never 0 while there is one. */
	return left && left < NS_PER_SECOND ? 1
					    : (int64_t)((left + NS_PER_SECOND / 2) / NS_PER_SECOND);
}

static int write_itimer(uint64_t addr, uint64_t left, uint64_t interval)
{
	return write_timeval(addr, interval) || write_timeval(addr + sizeof(struct timespec), left)
		       ? -EFAULT
		       : 0;
}

int64_t sys_setitimer(struct call *c)
{
	uint64_t interval = 0, value = 0, left, old;
	const unsigned which = (unsigned)c->arg[0];
	int err = 0;

	/* Without a new one: as if it were 0, for the sake of old programs. */
	if (c->arg[1]) {
		err = read_timeval(c->arg[1], &interval);
		if (!err)
			err = read_timeval(c->arg[1] + sizeof(struct timespec), &value);
	}
	if (!err && which > 2)
		err = -EINVAL;
	if (err)
		return err;
	itimer_get(which, &left, &old);
	itimer_set(which, value, interval);
	return c->arg[2] ? write_itimer(c->arg[2], left, old) : 0;
}

int64_t sys_getitimer(struct call *c)
{
	uint64_t left, interval;

	if ((unsigned)c->arg[0] > 2)
		return -EINVAL;
	itimer_get((unsigned)c->arg[0], &left, &interval);
	return write_itimer(c->arg[1], left, interval);
}

/* ---- timer_create(2) and the others ---------------------------------------------------------------------- */

#define MAX_POSIX_TIMERS 1024u /* of a process */
#define SIGEV_SIGNAL 0
#define SIGEV_NONE 1
#define SIGEV_THREAD 2
#define SIGEV_THREAD_ID 4
#define TIMER_ABSTIME 1

struct sigevent {
	unsigned long value;
	int32_t signo, notify, tid;
	char rest[64 - sizeof(long) - 12];
};

static struct quire_mutex posix_lock; /* timers come, go and are set */

/* In the clock's interrupt. */
static void posix_timer_rings(struct timer *timer)
{
	const struct posix_timer *t = quire_container_of(timer, struct posix_timer, timer);
	struct siginfo info = {.signo = t->signo, .code = SI_TIMER};

	info.timer.id = t->id;
	info.timer.value = t->value;
	if (t->notify != SIGEV_NONE)
		signal_send_timer(t->process, t->tid, &info, timer->rings);
}

/* posix_lock. */
static struct posix_timer *find_timer(int id)
{
	struct process *p = current_process();
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct posix_timer *found = NULL;
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &p->posix_timers) {
		struct posix_timer *t = quire_list_entry(pos, struct posix_timer, link);

		if (t->id == id)
			found = t;
	}
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return found;
}

/* posix_lock. */
static void delete_timer(struct posix_timer *t)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);

	quire_list_del(&t->link);
	quire_spin_unlock_irq(Q, &process_lock, flags);
	(void)timer_cancel(&t->timer); /* it does not ring any more when this is back */
	quire_kfree(Q, t);
}

void posix_timers_drop(struct process *p)
{
	quire_mutex_lock(Q, &posix_lock);
	while (!quire_list_empty(&p->posix_timers))
		delete_timer(quire_list_first(&p->posix_timers, struct posix_timer, link));
	quire_mutex_unlock(Q, &posix_lock);
}

static unsigned list_length(struct quire_list *list)
{
	struct quire_list *pos, *tmp;
	unsigned n = 0;

	quire_list_for_each (pos, tmp, list)
		n++;
	return n;
}

static int check_event(const struct sigevent *event)
{
	const struct thread *t;
	unsigned long flags;
	bool ours = true;

	if (event->notify != SIGEV_NONE && (event->signo < 1 || event->signo > NR_SIGNALS))
		return -EINVAL;
	if (event->notify == SIGEV_THREAD_ID) {
		flags = quire_spin_lock_irq(Q, &process_lock);
		t = thread_find_locked(event->tid);
		ours = t && t->process == current_process();
		quire_spin_unlock_irq(Q, &process_lock, flags);
	} else if (event->notify < SIGEV_SIGNAL || event->notify > SIGEV_THREAD) {
		return -EINVAL;
	}
	return ours ? 0 : -EINVAL;
}

/* Of the clocks that timers may go by; those of processor time are not among them here. */
static int check_clock(int clock)
{
	switch (clock) {
	case 0:	 /* REALTIME */
	case 1:	 /* MONOTONIC */
	case 7:	 /* BOOTTIME */
	case 11: /* TAI */
		return 0;
	case 2: /* the processor's, and those that Linux has no timers by either */
	case 3:
	case 4:
	case 5:
	case 6:
		return -EOPNOTSUPP;
	default:
		return -EINVAL;
	}
}

int64_t sys_timer_create(struct call *c)
{
	struct process *p = current_process();
	struct sigevent event = {.signo = SIGALRM, .notify = SIGEV_SIGNAL};
	struct posix_timer *t;
	unsigned long flags;
	int err = check_clock((int)c->arg[0]);

	if (!err && c->arg[1] && copy_from_user(&event, c->arg[1], sizeof(event)))
		err = -EFAULT;
	if (!err)
		err = check_event(&event);
	if (err)
		return err;
	t = quire_kmalloc(Q, sizeof(*t), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	if (!t)
		return -EAGAIN;
	timer_init(&t->timer, posix_timer_rings);
	t->process = p;
	t->clock = (int)c->arg[0];
	t->notify = event.notify;
	t->signo = event.signo;
	t->tid = event.notify == SIGEV_THREAD_ID ? event.tid : 0;
	quire_mutex_lock(Q, &posix_lock);
	while (find_timer(p->next_timer))
		p->next_timer = (p->next_timer + 1) & INT32_MAX;
	t->id = p->next_timer;
	p->next_timer = (p->next_timer + 1) & INT32_MAX;
	t->value = c->arg[1] ? event.value : (unsigned long)t->id;
	flags = quire_spin_lock_irq(Q, &process_lock);
	quire_list_add_tail(&p->posix_timers, &t->link);
	quire_spin_unlock_irq(Q, &process_lock, flags);
	if (list_length(&p->posix_timers) > MAX_POSIX_TIMERS)
		err = -EAGAIN;
	else if (put_user(t->id, c->arg[2]))
		err = -EFAULT;
	if (err)
		delete_timer(t);
	quire_mutex_unlock(Q, &posix_lock);
	return err;
}

static int write_itimerspec(uint64_t addr, uint64_t left, uint64_t interval)
{
	return write_timespec(addr, interval) ||
			       write_timespec(addr + sizeof(struct timespec), left)
		       ? -EFAULT
		       : 0;
}

int64_t sys_timer_settime(struct call *c)
{
	uint64_t interval, value, left = 0, old = 0, now = 0;
	struct posix_timer *t;
	int err = c->arg[2] ? read_timespec(c->arg[2], &interval) : -EINVAL;

	if (!err)
		err = read_timespec(c->arg[2] + sizeof(struct timespec), &value);
	if (err)
		return err;
	quire_mutex_lock(Q, &posix_lock);
	t = find_timer((int)c->arg[0]);
	if (t) {
		timer_left(&t->timer, clock_ns(), &left, &old);
		(void)timer_cancel(&t->timer);
		if (value && (c->arg[1] & TIMER_ABSTIME)) {
			(void)read_clock((uint64_t)t->clock, &now);
			timer_set_every(&t->timer, clock_ns() + (value > now ? value - now : 0),
					interval);
		} else if (value) {
			timer_set_every(&t->timer, clock_ns() + value, interval);
		}
	}
	quire_mutex_unlock(Q, &posix_lock);
	if (!t)
		return -EINVAL;
	return c->arg[3] ? write_itimerspec(c->arg[3], left, old) : 0;
}

int64_t sys_timer_gettime(struct call *c)
{
	uint64_t left, interval;
	struct posix_timer *t;

	quire_mutex_lock(Q, &posix_lock);
	t = find_timer((int)c->arg[0]);
	if (t)
		timer_left(&t->timer, clock_ns(), &left, &interval);
	quire_mutex_unlock(Q, &posix_lock);
	return t ? write_itimerspec(c->arg[1], left, interval) : -EINVAL;
}

int64_t sys_timer_getoverrun(struct call *c)
{
	struct posix_timer *t;
	int64_t overrun;

	quire_mutex_lock(Q, &posix_lock);
	t = find_timer((int)c->arg[0]);
	overrun = t ? quire_load(&t->overrun) : -EINVAL;
	quire_mutex_unlock(Q, &posix_lock);
	return overrun;
}

int64_t sys_timer_delete(struct call *c)
{
	struct posix_timer *t;

	quire_mutex_lock(Q, &posix_lock);
	t = find_timer((int)c->arg[0]);
	if (t)
		delete_timer(t);
	quire_mutex_unlock(Q, &posix_lock);
	return t ? 0 : -EINVAL;
}

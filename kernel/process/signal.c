/* SPDX-License-Identifier: MIT */
/*
 * Signals: sent, kept, taken, delivered. signal(7). All queues, masks and handlers are under process_lock, since a
 * timer's interrupt sends signals too.
 */
#include "process/signal.h"

#include "core/user.h"
#include "process/process.h"

#define NEVER_BLOCKED (signal_bit(SIGKILL) | signal_bit(SIGSTOP))
#define STOPS                                                                                      \
	(signal_bit(SIGSTOP) | signal_bit(SIGTSTP) | signal_bit(SIGTTIN) | signal_bit(SIGTTOU))
#define IGNORED_BY_DEFAULT                                                                         \
	(signal_bit(SIGCHLD) | signal_bit(SIGURG) | signal_bit(SIGWINCH) | signal_bit(SIGCONT))
#define SYNCHRONOUS                                                                                \
	(signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGILL) | signal_bit(SIGTRAP) |     \
	 signal_bit(SIGFPE))
#define MAX_QUEUED 1024u

struct queued {
	struct quire_list link;
	struct siginfo info;
};

static uint32_t nr_queued; /* in all queues; process_lock */

/* ---- Queues ---------------------------------------------------------------------------------- */

void signal_queue_init(struct signal_queue *queue)
{
	queue->set = 0;
	quire_list_init(&queue->list);
}

static void drop(struct queued *entry)
{
	quire_list_del(&entry->link);
	quire_kfree(Q, entry);
	nr_queued--;
}

static void remove_locked(struct signal_queue *queue, uint64_t set)
{
	struct quire_list *pos, *tmp;

	queue->set &= ~set;
	quire_list_for_each (pos, tmp, &queue->list) {
		struct queued *entry = quire_list_entry(pos, struct queued, link);

		if (set & signal_bit(entry->info.signo))
			drop(entry);
	}
}

void signal_queue_clear(struct signal_queue *queue)
{
	unsigned long flags;

	if (!queue->set && quire_list_empty(&queue->list))
		return;
	flags = quire_spin_lock_irq(Q, &process_lock);
	remove_locked(queue, ~UINT64_C(0));
	quire_spin_unlock_irq(Q, &process_lock, flags);
}

static int take_from(struct signal_queue *queue, uint64_t set, struct siginfo *info)
{
	struct quire_list *pos, *tmp;
	uint64_t found = queue->set & set;
	bool taken = false;
	int signo;

	if (!found)
		return 0;
	/* What an instruction of the thread's own has caused comes first; else the lowest number. */
	signo = (int)quire_ffs64(found & SYNCHRONOUS ? found & SYNCHRONOUS : found) + 1;
	queue->set &= ~signal_bit(signo);
	*info = (struct siginfo){.signo = signo, .code = SI_USER};
	quire_list_for_each (pos, tmp, &queue->list) {
		struct queued *entry = quire_list_entry(pos, struct queued, link);

		if (entry->info.signo != signo)
			continue;
		if (taken) {
			queue->set |= signal_bit(signo); /* another one of the same number waits */
			break;
		}
		*info = entry->info;
		drop(entry);
		taken = true;
	}
	return signo;
}

int signal_take(struct thread *t, uint64_t set, struct siginfo *info)
{
	int signo = take_from(&t->pending, set, info);
	struct quire_list *pos, *tmp;

	if (!signo)
		signo = take_from(&t->process->pending, set, info);
	if (!signo || info->code != SI_TIMER)
		return signo;
	quire_list_for_each (pos, tmp, &t->process->posix_timers) {
		struct posix_timer *timer = quire_list_entry(pos, struct posix_timer, link);

		if (timer->id == info->timer.id)
			timer->overrun = info->timer.overrun;
	}
	return signo;
}

/* ---- Sending ------------------------------------------------------------------------------------ */

static bool is_ignored(const struct process *p, int signo)
{
	unsigned long handler = p->sighand->action[signo - 1].handler;

	if (handler == SIG_IGN)
		return true;
	return handler == SIG_DFL && (signal_bit(signo) & IGNORED_BY_DEFAULT) && signo != SIGCONT;
}

/* Somebody may want to wait for it later. */
static bool is_blocked(struct process *p, const struct thread *only, int signo)
{
	struct quire_list *pos, *tmp;

	if (only)
		return (only->blocked & signal_bit(signo)) != 0;
	quire_list_for_each (pos, tmp, &p->threads) {
		if (!(quire_list_entry(pos, struct thread, link)->blocked & signal_bit(signo)))
			return false;
	}
	return true;
}

static bool wants(const struct thread *t, int signo)
{
	return !t->exiting && !(t->blocked & signal_bit(signo));
}

/* Somebody who can take it looks at it. */
static void tell_thread(struct process *p, struct thread *only, int signo)
{
	struct quire_list *pos, *tmp;

	if (only) {
		if (wants(only, signo))
			unpark(only);
		return;
	}
	quire_list_for_each (pos, tmp, &p->threads) {
		struct thread *t = quire_list_entry(pos, struct thread, link);

		/* One is enough, unless it is in the middle of ending; waking all is simple and rare. */
		if (wants(t, signo) || signo == SIGKILL)
			unpark(t);
	}
}

/* rt_sigtimedwait() may wait for a signal that is blocked; it parks too. */
static void tell_waiters(struct process *p, struct thread *only)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &p->threads) {
		struct thread *t = quire_list_entry(pos, struct thread, link);

		if (!only || only == t)
			unpark(t);
	}
}

static void go_on_locked(struct process *p)
{
	remove_locked(&p->pending, STOPS);
	if (p->stopped) {
		p->stopped = false;
		p->report_stop = false;
		p->report_continue = true;
		if (p->parent) {
			struct siginfo info = {.signo = SIGCHLD, .code = CLD_CONTINUED};

			info.child.pid = p->pid;
			info.child.uid = p->uid;
			info.child.status = SIGCONT;
			if (p->parent->sighand &&
			    !(p->parent->sighand->action[SIGCHLD - 1].flags & SA_NOCLDSTOP))
				(void)signal_send_locked(p->parent, NULL, &info);
			wake(&p->parent->children, WAKE_ALL);
		}
	}
	wake(&p->stopped, WAKE_ALL);
}

int signal_send_locked(struct process *p, struct thread *thread, const struct siginfo *info)
{
	struct signal_queue *queue = thread ? &thread->pending : &p->pending;
	const int signo = info->signo;
	struct queued *entry;

	if (p->state != PROCESS_ALIVE || !p->sighand)
		return 0;
	if (signo == SIGCONT)
		go_on_locked(p);
	if (signal_bit(signo) & STOPS)
		remove_locked(&p->pending, signal_bit(SIGCONT));
	if (signo == SIGKILL) {
		if (p != init_process)
			process_begin_group_exit_locked(p, SIGKILL);
		wake(&p->stopped, WAKE_ALL);
		return 0;
	}
	/* Init is not hurt by what it has no handler for. */
	if (p == init_process && p->sighand->action[signo - 1].handler == SIG_DFL &&
	    info->code <= 0)
		return 0;
	if (is_ignored(p, signo) && !is_blocked(p, thread, signo))
		return 0;
	if (signo < SIGRTMIN && (queue->set & signal_bit(signo)))
		return 0;
	if (nr_queued < MAX_QUEUED &&
	    (entry = quire_kmalloc(Q, sizeof(*entry), QUIRE_GFP_ATOMIC)) != NULL) {
		entry->info = *info;
		quire_list_add_tail(&queue->list, &entry->link);
		nr_queued++;
	} else if (signo >= SIGRTMIN && info->code == SI_QUEUE) {
		return -EAGAIN;
	}
	queue->set |= signal_bit(signo);
	tell_thread(p, thread, signo);
	tell_waiters(p, thread);
	return 0;
}

int signal_send(struct process *p, struct thread *thread, const struct siginfo *info)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	int err = signal_send_locked(p, thread, info);

	quire_spin_unlock_irq(Q, &process_lock, flags);
	return err;
}

void signal_send_timer(struct process *p, int tid, const struct siginfo *info, uint64_t rings)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct thread *thread = tid ? thread_find_locked(tid) : NULL;
	struct siginfo copy = *info;
	struct quire_list *pos, *tmp;
	bool found = tid && (!thread || thread->process != p); /* nobody is there */

	copy.timer.overrun = (int32_t)min_u64(rings - 1, INT32_MAX);
	if (!found) {
		quire_list_for_each (pos, tmp, thread ? &thread->pending.list : &p->pending.list) {
			struct siginfo *old = &quire_list_entry(pos, struct queued, link)->info;

			if (old->code != SI_TIMER || old->timer.id != info->timer.id)
				continue;
			old->timer.overrun =
				(int32_t)min_u64((uint64_t)old->timer.overrun + rings, INT32_MAX);
			found = true;
		}
	}
	if (!found)
		(void)signal_send_locked(p, thread, &copy);
	quire_spin_unlock_irq(Q, &process_lock, flags);
}

bool signal_permitted(const struct process *to, int signo)
{
	const struct process *self = current_process();

	return self->euid == 0 || self->euid == to->suid || self->euid == to->uid ||
	       self->uid == to->suid || self->uid == to->uid ||
	       (signo == SIGCONT && self->sid == to->sid);
}

int signal_kill(int pid, int signo, int code)
{
	struct process *self = current_process();
	struct siginfo info = {.signo = signo, .code = code};
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct quire_list *pos, *tmp;
	int err = -ESRCH;

	info.rt.pid = self->pid;
	info.rt.uid = self->uid;
	quire_list_for_each (pos, tmp, &processes) {
		struct process *p = quire_list_entry(pos, struct process, link);

		if (pid > 0	? p->pid != pid
		    : pid == -1 ? p->pid == 1 || p == self
				: p->pgid != (pid ? -pid : self->pgid))
			continue;
		if (!signal_permitted(p, signo)) {
			if (err == -ESRCH)
				err = -EPERM;
			continue;
		}
		err = signo ? signal_send_locked(p, NULL, &info) : 0;
	}
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return err;
}

void signal_kill_group(int pgid, int signo)
{
	const struct siginfo info = {.signo = signo, .code = SI_KERNEL};
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &processes) {
		struct process *p = quire_list_entry(pos, struct process, link);

		if (p->pgid == pgid)
			(void)signal_send_locked(p, NULL, &info);
	}
	quire_spin_unlock_irq(Q, &process_lock, flags);
}

void signal_fault(struct regs *regs, int signo, int code, uint64_t addr)
{
	struct thread *t = current();
	struct process *p = t->process;
	struct sigaction *action = &p->sighand->action[signo - 1];
	struct siginfo info = {.signo = signo, .code = code};
	unsigned long flags;

	t->trap_number = (unsigned long)regs->vector;
	t->fault_address = addr;
	info.fault.addr = addr;
	if (signo == SIGKILL) {
		printk("out of memory: process %d (%s) is killed\n", p->pid, p->comm);
		flags = quire_spin_lock_irq(Q, &process_lock);
		process_begin_group_exit_locked(p, SIGKILL);
		quire_spin_unlock_irq(Q, &process_lock, flags);
		return;
	}
	flags = quire_spin_lock_irq(Q, &process_lock);
	/* It cannot go on without: a signal that is blocked or ignored kills. */
	if (action->handler == SIG_IGN || (t->blocked & signal_bit(signo))) {
		action->handler = SIG_DFL;
		t->blocked &= ~signal_bit(signo);
	}
	remove_locked(&t->pending, signal_bit(signo));
	(void)signal_send_locked(p, t, &info);
	if (p == init_process && action->handler == SIG_DFL)
		process_begin_group_exit_locked(p, signo);
	quire_spin_unlock_irq(Q, &process_lock, flags);
}

/* ---- Masks ----------------------------------------------------------------------------------------- */

/* Each bit stands for itself, so on 32 bits the halves are loaded one by one: together it would take an exclusive access. */
static inline uint64_t load_set(const uint64_t *set)
{
#if __SIZEOF_POINTER__ == 8
	return quire_load(set);
#else
	const quire_half_t *half = (const quire_half_t *)set;

	return quire_load(&half[0]) | (uint64_t)quire_load(&half[1]) << 32;
#endif
}

bool signal_pending(const struct thread *t)
{
	const struct process *p = t->process;

	if (!p)
		return false;
	if (t->killed || quire_load(&p->stopped))
		return true;
	return ((load_set(&t->pending.set) | load_set(&p->pending.set)) & ~load_set(&t->blocked)) !=
	       0;
}

void signal_set_mask(struct thread *t, uint64_t mask)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);

	t->blocked = mask & ~NEVER_BLOCKED;
	/* What this thread takes no more, another may. */
	if (t->process->pending.set & t->blocked)
		tell_waiters(t->process, NULL);
	quire_spin_unlock_irq(Q, &process_lock, flags);
}

/* ---- Delivery ------------------------------------------------------------------------------------------ */

static bool goes_on(void *arg)
{
	struct process *p = arg;

	return !quire_load(&p->stopped) || current()->killed;
}

static void stop(struct process *p, int signo)
{
	struct siginfo info = {.signo = SIGCHLD, .code = CLD_STOPPED};
	struct process *parent;
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);

	if (signo) {
		p->stopped = true;
		p->report_stop = true;
		p->report_continue = false;
		p->stop_signal = signo;
		parent = p->parent;
		info.child.pid = p->pid;
		info.child.uid = p->uid;
		info.child.status = signo;
		if (parent && !(parent->sighand->action[SIGCHLD - 1].flags & SA_NOCLDSTOP))
			(void)signal_send_locked(parent, NULL, &info);
		if (parent)
			wake(&parent->children, WAKE_ALL);
		tell_waiters(p, NULL);
	}
	quire_spin_unlock_irq(Q, &process_lock, flags);
	for (;;) {
		struct waiter w;
		bool done;

		wait_begin(&w, &p->stopped);
		done = goes_on(p);
		if (!done)
			park(NO_DEADLINE);
		wait_end(&w);
		if (done)
			break;
	}
}

/* A system call that a signal has interrupted: made again, or an error. handler: there is one; NULL: none runs. */
static void finish_call(struct regs *regs, const struct sigaction *action)
{
	long result = (long)regs->ax;

	if (regs->vector != VECTOR_SYSCALL || (result != -ERESTARTSYS && result != -ERESTARTNOHAND))
		return;
	if (action && (result == -ERESTARTNOHAND || !(action->flags & SA_RESTART))) {
		regs->ax = (unsigned long)-EINTR;
	} else {
		regs->ax = regs->error;
		regs->ip -= 2; /* the call's instruction has two bytes */
	}
	regs->vector = 0; /* decided */
}

void signal_deliver(struct regs *regs)
{
	struct thread *t = current();
	struct process *p = t->process;
	struct sigaction action;
	struct siginfo info;
	unsigned long flags;
	uint64_t mask;
	int signo;

	if (t->killed)
		process_exit_thread(p->exit_code);
	if (quire_load(&p->stopped))
		stop(p, 0);
	flags = quire_spin_lock_irq(Q, &process_lock);
	signo = signal_take(t, ~t->blocked, &info);
	if (!signo) {
		/* A call that ended early with another mask, and whose signal somebody else has taken. */
		if (t->restore_mask)
			t->blocked = t->saved_mask;
		t->restore_mask = false;
		quire_spin_unlock_irq(Q, &process_lock, flags);
		finish_call(regs, NULL);
		return;
	}
	action = p->sighand->action[signo - 1];
	if (action.handler == SIG_IGN ||
	    (action.handler == SIG_DFL && (signal_bit(signo) & IGNORED_BY_DEFAULT))) {
		quire_spin_unlock_irq(Q, &process_lock, flags);
		if (!signal_pending(t))
			finish_call(regs, NULL);
		return;
	}
	if (action.handler == SIG_DFL) {
		quire_spin_unlock_irq(Q, &process_lock, flags);
		if (signal_bit(signo) & STOPS) {
			stop(p, signo);
			if (!signal_pending(t))
				finish_call(regs, NULL);
			return;
		}
		process_exit_group(signo);
	}
	mask = t->restore_mask ? t->saved_mask : t->blocked;
	t->restore_mask = false;
	if (action.flags & SA_RESETHAND)
		p->sighand->action[signo - 1].handler = SIG_DFL;
	t->blocked |= action.mask;
	if (!(action.flags & SA_NODEFER))
		t->blocked |= signal_bit(signo);
	t->blocked &= ~NEVER_BLOCKED;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	finish_call(regs, &action);
	if (t->rseq)
		rseq_update(regs);
	if (sigframe_push(regs, &action, &info, mask)) {
		/* No stack to run it on. */
		process_exit_group(SIGSEGV);
	}
}

/* ---- Out of memory ----------------------------------------------------------------------------------- */

static uint64_t rss_of(struct process *p)
{
	struct quire_mm *mm = p->mm;

	return mm ? (uint64_t)(mm->rss[QUIRE_RSS_ANON] + mm->rss[QUIRE_RSS_FILE] +
			       mm->rss[QUIRE_RSS_SHMEM])
		  : 0;
}

bool reclaim(void)
{
	uint64_t before = quire_free_pages(Q);

	thread_drain();
	quire_grace_wait(Q);
	(void)quire_slab_shrink_all(Q);
	quire_page_drain(Q);
	return quire_free_pages(Q) > before + 64;
}

/*
 * A fault found no memory. What is kept for later is given back; then the largest process is killed. 0: try again;
 * else -ENOMEM, *signal says SIGKILL.
 */
int out_of_memory(struct quire_signal *signal)
{
	struct process *victim = NULL, *self = current_process();
	struct quire_list *pos, *tmp;
	unsigned long flags;
	uint64_t most = 0;

	*signal = (struct quire_signal){.signo = SIGKILL};
	if (current()->killed)
		return -ENOMEM;
	if (reclaim())
		return 0;
	flags = quire_spin_lock_irq(Q, &process_lock);
	quire_list_for_each (pos, tmp, &processes) {
		struct process *p = quire_list_entry(pos, struct process, link);

		if (p == init_process || p->state != PROCESS_ALIVE || rss_of(p) < most)
			continue;
		most = rss_of(p);
		victim = p;
	}
	if (victim && victim != self && !victim->group_exit) {
		printk("out of memory: process %d (%s) is killed\n", victim->pid, victim->comm);
		process_begin_group_exit_locked(victim, SIGKILL);
	}
	quire_spin_unlock_irq(Q, &process_lock, flags);
	if (!victim || victim == self)
		return -ENOMEM;
	park(clock_ns() + 20000000);
	return 0;
}

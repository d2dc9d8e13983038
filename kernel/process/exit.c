/* SPDX-License-Identifier: MIT */
/*
 * Ends: of a thread, of a process, and the parent that asks how it ended. A dead process stays as a zombie until its
 * parent has waited for it; its memory and files are gone by then.
 */
#include "core/user.h"
#include "fs/fs.h"
#include "port/port.h"
#include "process/process.h"

void process_thread_ended(void);

/* ---- Leaving ---------------------------------------------------------------------------------- */

/* Who has called vfork goes on. */
static void release_vfork_parent(struct process *p)
{
	struct process *parent = p->vfork_parent;

	if (!parent)
		return;
	quire_store_release(&p->vfork_parent, (struct process *)NULL);
	wake(p, WAKE_ALL);
	process_put(parent);
}

/* The thread has no space from here on. What others see of it in its memory is written first. */
void process_release_mm(struct thread *t)
{
	int nobody = 0;

	if (!t->mm)
		return;
	futex_exit_robust(t);
	if (t->clear_child_tid) {
		(void)put_user(nobody, t->clear_child_tid);
		futex_wake_user(t->clear_child_tid);
	}
	t->clear_child_tid = 0;
	leave_space();
}

static void tell_parent_locked(struct process *p, int signo, int code, int status)
{
	struct siginfo info = {.signo = signo, .code = code};

	if (!p->parent || signo <= 0)
		return;
	info.child.pid = p->pid;
	info.child.uid = p->uid;
	info.child.status = status;
	info.child.user_ticks = (long)(p->user_ticks * 100 / HZ);
	info.child.system_ticks = (long)(p->system_ticks * 100 / HZ);
	(void)signal_send_locked(p->parent, NULL, &info);
}

static void unlink_locked(struct process *p)
{
	quire_list_del(&p->link);
	quire_list_del(&p->sibling);
	p->state = PROCESS_REAPED;
}

/* Init inherits the children; zombies among them it must hear of. */
static void give_children_away_locked(struct process *p)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &p->children) {
		struct process *child = quire_list_entry(pos, struct process, sibling);

		if (child->pdeath_signal) {
			struct siginfo info = {.signo = child->pdeath_signal, .code = SI_USER};

			info.rt.pid = p->pid;
			info.rt.uid = p->uid;
			(void)signal_send_locked(child, NULL, &info);
		}
		quire_list_del(&child->sibling);
		quire_list_add_tail(&init_process->children, &child->sibling);
		child->parent = init_process;
		if (child->state == PROCESS_ZOMBIE)
			tell_parent_locked(child, SIGCHLD, CLD_EXITED, 0);
	}
}

/* The last thread has gone: true if nobody will wait for it, so that it is the caller's to put. */
static bool become_zombie_locked(struct process *p)
{
	struct process *parent = p->parent;
	int status = p->exit_code;
	bool ignored = false;

	p->state = PROCESS_ZOMBIE;
	give_children_away_locked(p);
	if (parent) {
		const struct sigaction *action = &parent->sighand->action[SIGCHLD - 1];

		ignored = p->exit_signal == SIGCHLD &&
			  (action->handler == SIG_IGN || (action->flags & SA_NOCLDWAIT));
		if (!ignored || action->handler != SIG_IGN)
			tell_parent_locked(p, p->exit_signal,
					   status & 0x7f ? CLD_KILLED : CLD_EXITED,
					   status & 0x7f ? status & 0x7f : status >> 8 & 0xff);
	}
	if (ignored)
		unlink_locked(p);
	return ignored;
}

static void release_parts(struct process *p)
{
	(void)timer_cancel(&p->alarm);
	posix_timers_drop(p);
	files_put(p->files);
	fs_context_put(p->fs);
	if (p->exe)
		file_put(p->exe);
	p->exe = NULL;
}

uint64_t process_max_rss(const struct quire_mm *mm)
{
	int64_t rss = mm->rss[QUIRE_RSS_FILE] + mm->rss[QUIRE_RSS_ANON] + mm->rss[QUIRE_RSS_SHMEM];

	return (uint64_t)(rss < (int64_t)mm->hiwater_rss ? (int64_t)mm->hiwater_rss : rss);
}

void process_exit_thread(int code)
{
	struct thread *t = current();
	struct process *p = t->process, *parent;
	struct quire_mm *mm = t->mm;
	struct sighand *sighand;
	unsigned long flags;
	bool last, reaped = false;

	t->exiting = true;
	process_release_mm(t);
	flags = quire_spin_lock_irq(Q, &process_lock);
	last = p->nr_threads == 1;
	if (!p->group_exit && last) {
		p->group_exit = true;
		p->exit_code = code;
	}
	p->user_ticks += t->user_ticks;
	p->system_ticks += t->kernel_ticks;
	if (!last) {
		process_get(p); /* the others may be gone before this one has woken who waits */
		p->nr_threads--;
		quire_list_del(&t->link);
	}
	if (last)
		p->mm = NULL;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	if (last) {
		if (p == init_process)
			process_init_ended(p->exit_code);
		p->minor_faults = quire_load(&mm->minor_faults);
		p->major_faults = quire_load(&mm->major_faults);
		p->max_rss = process_max_rss(mm);
		/* All threads of the space count as one user; quire_fork() and clone gave it one a process. */
		quire_mmput(mm);
		release_vfork_parent(p);
		release_parts(p);
		flags = quire_spin_lock_irq(Q, &process_lock);
		p->nr_threads = 0;
		quire_list_del(&t->link);
		parent = p->parent;
		sighand = p->sighand;
		p->sighand = NULL;
		/* From here on the parent may reap it. */
		reaped = become_zombie_locked(p);
		t->process = NULL;
		quire_spin_unlock_irq(Q, &process_lock, flags);
		sighand_put(sighand);
		if (reaped)
			process_put(p);
		if (parent)
			wake(&parent->children, WAKE_ALL);
		wake(&init_process->children, WAKE_ALL);
		wake(&p->state, WAKE_ALL); /* pidfds; only the address is used: p may be gone */
	} else {
		wake(&p->threads, WAKE_ALL); /* exec waits until it is alone */
		process_put(p);
	}
	process_thread_ended();
	irq_disable();
	t->process = NULL;
	thread_exit();
}

/* Every thread ends on its way to user mode; who sleeps is waked. */
void process_begin_group_exit_locked(struct process *p, int code)
{
	struct quire_list *pos, *tmp;

	if (!p->group_exit) {
		p->group_exit = true;
		p->exit_code = code;
	}
	p->stopped = false;
	quire_list_for_each (pos, tmp, &p->threads) {
		struct thread *t = quire_list_entry(pos, struct thread, link);

		t->killed = true;
		unpark(t);
	}
}

void process_exit_group(int code)
{
	struct process *p = current_process();
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);

	process_begin_group_exit_locked(p, code);
	quire_spin_unlock_irq(Q, &process_lock, flags);
	process_exit_thread(p->exit_code);
}

/* ---- Waiting ------------------------------------------------------------------------------------ */

struct search {
	int pid, options;
	int status, code;
	struct process *found; /* a reference */
	bool reap;	       /* it is a zombie that is ours now */
	int error;
};

static bool is_meant(const struct process *self, const struct process *child, int pid, int options)
{
	if (!((unsigned)options & WALL) &&
	    (child->exit_signal != SIGCHLD) != (((unsigned)options & WCLONE) != 0))
		return false;
	if (pid > 0)
		return child->pid == pid;
	if (pid == 0)
		return child->pgid == self->pgid;
	return pid == -1 || child->pgid == -pid;
}

/* One look: true when there is something to say. */
static bool look(void *arg)
{
	struct search *s = arg;
	struct process *self = current_process();
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct quire_list *pos, *tmp;
	bool any = false, done = false;

	quire_list_for_each (pos, tmp, &self->children) {
		struct process *p = quire_list_entry(pos, struct process, sibling);

		if (!is_meant(self, p, s->pid, s->options))
			continue;
		any = true;
		if (p->state == PROCESS_ZOMBIE && (s->options & WEXITED)) {
			s->status = p->exit_code;
			s->code = p->exit_code & 0x7f ? CLD_KILLED : CLD_EXITED;
			if (!(s->options & WNOWAIT)) {
				unlink_locked(p);
				s->reap = true;
				self->child_user_ticks += p->user_ticks + p->child_user_ticks;
				self->child_system_ticks += p->system_ticks + p->child_system_ticks;
				self->child_minor_faults += p->minor_faults + p->child_minor_faults;
				self->child_major_faults += p->major_faults + p->child_major_faults;
				if (self->child_max_rss < p->max_rss)
					self->child_max_rss = p->max_rss;
				if (self->child_max_rss < p->child_max_rss)
					self->child_max_rss = p->child_max_rss;
			}
		} else if (p->report_stop && (s->options & WUNTRACED)) {
			s->status = p->stop_signal << 8 | 0x7f;
			s->code = CLD_STOPPED;
			p->report_stop = s->options & WNOWAIT;
		} else if (p->report_continue && (s->options & WCONTINUED)) {
			s->status = 0xffff;
			s->code = CLD_CONTINUED;
			p->report_continue = s->options & WNOWAIT;
		} else {
			continue;
		}
		process_get(p);
		s->found = p;
		done = true;
		break;
	}
	if (!any) {
		s->error = -ECHILD;
		done = true;
	}
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return done;
}

int64_t process_wait(int pid, int options, int *status, struct siginfo *info,
		     struct process **reaped)
{
	struct search s = {.pid = pid, .options = options};
	int err = 0, found;

	*reaped = NULL;
	if (!look(&s)) {
		if (options & WNOHANG)
			return 0;
		err = wait_for(&current_process()->children, look, &s, NO_DEADLINE);
	}
	if (err)
		return err;
	if (s.error)
		return s.error;
	found = s.found->pid;
	*status = s.status;
	if (info) {
		*info = (struct siginfo){.signo = SIGCHLD, .code = s.code};
		info->child.pid = found;
		info->child.uid = s.found->uid;
		info->child.status = s.code == CLD_EXITED    ? s.status >> 8 & 0xff
				     : s.code == CLD_KILLED  ? s.status & 0x7f
				     : s.code == CLD_STOPPED ? s.status >> 8
							     : SIGCONT;
	}
	*reaped = s.found; /* the caller reads its times and puts it */
	if (s.reap)
		process_put(s.found); /* the tree's own */
	return found;
}

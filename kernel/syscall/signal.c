/* SPDX-License-Identifier: MIT */
/* Calls about signals. Sets are 64 bits; every other size is an error, as on Linux. */
#include "syscall/syscall.h"

int64_t sys_rt_sigaction(struct call *c)
{
	int signo = (int)c->arg[0];
	struct sigaction new, old;
	struct process *p = current_process();
	unsigned long flags;

	if (c->arg[3] != 8 || signo < 1 || signo > NR_SIGNALS ||
	    (c->arg[1] && (signo == SIGKILL || signo == SIGSTOP)))
		return -EINVAL;
	if (c->arg[1] && copy_from_user(&new, c->arg[1], sizeof(new)))
		return -EFAULT;
	flags = quire_spin_lock_irq(Q, &process_lock);
	old = p->sighand->action[signo - 1];
	if (c->arg[1])
		p->sighand->action[signo - 1] = new;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return c->arg[2] && copy_to_user(c->arg[2], &old, sizeof(old)) ? -EFAULT : 0;
}

int64_t sys_rt_sigprocmask(struct call *c)
{
	struct thread *t = current();
	uint64_t old = t->blocked, set;

	if (c->arg[3] != 8)
		return -EINVAL;
	if (c->arg[1]) {
		if (get_user(set, c->arg[1]))
			return -EFAULT;
		if (c->arg[0] > 2)
			return -EINVAL;
		signal_set_mask(t, c->arg[0] == 0 ? old | set : c->arg[0] == 1 ? old & ~set : set);
	}
	return c->arg[2] && put_user(old, c->arg[2]) ? -EFAULT : 0;
}

int64_t sys_rt_sigpending(struct call *c)
{
	const struct thread *t = current();
	uint64_t set = (t->pending.set | t->process->pending.set) & t->blocked;

	return c->arg[1] != 8 ? -EINVAL : put_user(set, c->arg[0]);
}

SYSCALL(rt_sigreturn, sigframe_return(c->regs))

int64_t sys_rt_sigsuspend(struct call *c)
{
	struct thread *t = current();
	uint64_t mask;

	if (c->arg[1] != 8)
		return -EINVAL;
	if (get_user(mask, c->arg[0]))
		return -EFAULT;
	t->saved_mask = t->blocked;
	signal_set_mask(t, mask);
	while (!signal_pending(t))
		park(NO_DEADLINE);
	t->restore_mask = true;
	return -ERESTARTNOHAND;
}

int64_t sys_pause(struct call *c)
{
	while (!signal_pending(current()))
		park(NO_DEADLINE);
	return -ERESTARTNOHAND;
}

int64_t signal_wait(uint64_t set_addr, uint64_t info_addr, uint64_t deadline, uint64_t set_size)
{
	struct thread *t = current();
	struct siginfo info;
	unsigned long flags;
	uint64_t set;
	int signo;

	if (set_size != 8)
		return -EINVAL;
	if (get_user(set, set_addr))
		return -EFAULT;
	for (;;) {
		flags = quire_spin_lock_irq(Q, &process_lock);
		signo = signal_take(t, set & ~(signal_bit(SIGKILL) | signal_bit(SIGSTOP)), &info);
		quire_spin_unlock_irq(Q, &process_lock, flags);
		if (signo)
			break;
		if (signal_pending(t))
			return -EINTR;
		if (clock_ns() >= deadline)
			return -EAGAIN;
		park(deadline);
	}
	return info_addr && copy_to_user(info_addr, &info, sizeof(info)) ? -EFAULT : signo;
}

int64_t sys_rt_sigtimedwait(struct call *c)
{
	uint64_t ns = 0;
	int err = c->arg[2] ? read_timespec(c->arg[2], &ns) : 0;

	return err ? err
		   : signal_wait(c->arg[0], c->arg[1], c->arg[2] ? clock_ns() + ns : NO_DEADLINE,
				 c->arg[3]);
}

struct stack {
	unsigned long sp;
	int32_t flags;
	unsigned long size;
};

int64_t sys_sigaltstack(struct call *c)
{
	struct thread *t = current();
	bool on = c->regs->sp - t->altstack - 1 < t->altstack_size;
	struct stack new,
		old = {.sp = (unsigned long)t->altstack, .size = (unsigned long)t->altstack_size};

	old.flags = !t->altstack_size ? 2 : on ? 1 : 0;
	if (c->arg[0]) {
		if (copy_from_user(&new, c->arg[0], sizeof(new)))
			return -EFAULT;
		if (on && t->altstack_size)
			return -EPERM;
		if (new.flags & ~3)
			return -EINVAL;
		if (new.flags & 2) {
			t->altstack = t->altstack_size = 0;
		} else {
			if (new.size < 2048)
				return -ENOMEM;
			t->altstack = new.sp;
			t->altstack_size = new.size;
		}
	}
	return c->arg[1] && copy_to_user(c->arg[1], &old, sizeof(old)) ? -EFAULT : 0;
}

int64_t sys_kill(struct call *c)
{
	int signo = (int)c->arg[1];

	if (signo < 0 || signo > NR_SIGNALS)
		return -EINVAL;
	return (int)c->arg[0] == INT32_MIN ? -ESRCH : signal_kill((int)c->arg[0], signo, SI_USER);
}

static int64_t send_to_thread(int tgid, int tid, int signo, const struct siginfo *given)
{
	const struct process *self = current_process();
	struct siginfo info = {.signo = signo, .code = SI_TKILL};
	struct thread *t;
	unsigned long flags;
	int64_t err = 0;

	if (signo < 0 || signo > NR_SIGNALS || tid <= 0)
		return -EINVAL;
	info.rt.pid = self->pid;
	info.rt.uid = self->uid;
	if (given)
		info = *given;
	flags = quire_spin_lock_irq(Q, &process_lock);
	t = thread_find_locked(tid);
	if (!t || (tgid && t->process->pid != tgid))
		err = -ESRCH;
	else if (self->euid && self->euid != t->process->uid)
		err = -EPERM;
	else if (signo)
		err = signal_send_locked(t->process, t, &info);
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return err;
}

SYSCALL(tkill, send_to_thread(0, (int)c->arg[0], (int)c->arg[1], NULL))

int64_t sys_tgkill(struct call *c)
{
	return (int)c->arg[0] <= 0
		       ? -EINVAL
		       : send_to_thread((int)c->arg[0], (int)c->arg[1], (int)c->arg[2], NULL);
}

static int get_info(uint64_t addr, int signo, bool self, struct siginfo *info)
{
	if (copy_from_user(info, addr, sizeof(*info)))
		return -EFAULT;
	info->signo = signo;
	return (info->code >= 0 || info->code == SI_TKILL) && !self ? -EPERM : 0;
}

int64_t sys_rt_sigqueueinfo(struct call *c)
{
	int pid = (int)c->arg[0], signo = (int)c->arg[1];
	struct siginfo info;
	struct process *p;
	int64_t err = get_info(c->arg[2], signo, pid == current_process()->pid, &info);

	if (err)
		return err;
	if (signo < 0 || signo > NR_SIGNALS)
		return -EINVAL;
	p = process_find(pid);
	if (!p)
		return -ESRCH;
	if (current_process()->euid && current_process()->euid != p->uid)
		err = -EPERM;
	else if (signo)
		err = signal_send(p, NULL, &info);
	process_put(p);
	return err;
}

int64_t sys_rt_tgsigqueueinfo(struct call *c)
{
	struct siginfo info;
	int64_t err = get_info(c->arg[3], (int)c->arg[2], (int)c->arg[0] == current_process()->pid,
			       &info);

	return err ? err : send_to_thread((int)c->arg[0], (int)c->arg[1], (int)c->arg[2], &info);
}

/* SPDX-License-Identifier: MIT */
/*
 * clone(2) and what is made of it: fork, vfork, threads. The child is whole before anybody can see it; until then a
 * failure takes apart what there is.
 */
#include "core/user.h"
#include "fs/fs.h"
#include "port/port.h"
#include "process/process.h"

#define CLONE_VM 0x00000100u
#define CLONE_FS 0x00000200u
#define CLONE_FILES 0x00000400u
#define CLONE_SIGHAND 0x00000800u
#define CLONE_PIDFD 0x00001000u
#define CLONE_VFORK 0x00004000u
#define CLONE_PARENT 0x00008000u
#define CLONE_THREAD 0x00010000u
#define CLONE_SYSVSEM 0x00040000u
#define CLONE_SETTLS 0x00080000u
#define CLONE_PARENT_SETTID 0x00100000u
#define CLONE_CHILD_CLEARTID 0x00200000u
#define CLONE_DETACHED 0x00400000u
#define CLONE_UNTRACED 0x00800000u
#define CLONE_CHILD_SETTID 0x01000000u
#define CLONE_IO 0x80000000u
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#define CLONE_KNOWN                                                                                \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VFORK | CLONE_PARENT |          \
	 CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |                       \
	 CLONE_CHILD_CLEARTID | CLONE_DETACHED | CLONE_UNTRACED | CLONE_CHILD_SETTID | CLONE_IO |  \
	 CLONE_CLEAR_SIGHAND | CLONE_PIDFD)

#define MAX_THREADS 4096u

static uint32_t nr_threads; /* of processes; atomic */

/* A new thread's first step outside the scheduler: it goes to user mode with the registers on its stack. */
static void begin_in_user(void *arg)
{
	struct thread *t = current();
	uint64_t set_tid = (uintptr_t)arg;

	if (set_tid)
		(void)put_user(t->tid, set_tid);
	irq_disable();
}

static struct thread *copy_thread(const struct regs *regs, const struct clone_args *args)
{
	struct thread *parent = current(), *t;
	struct regs *child;

	t = thread_create(
		begin_in_user,
		(void *)(uintptr_t)(args->flags & CLONE_CHILD_SETTID ? args->child_tid : 0));
	if (!t)
		return NULL;
	child = thread_regs(t);
	*child = *regs;
	child->ax = 0;
	if (args->stack)
		child->sp = args->stack;
	thread_save_context(parent);
	memcpy(t->fpu, parent->fpu, sizeof(t->fpu));
#ifdef __x86_64__
	t->fs_base = args->flags & CLONE_SETTLS ? args->tls : parent->fs_base;
#else
	memcpy(t->tls, parent->tls, sizeof(t->tls));
	if ((args->flags & CLONE_SETTLS) && thread_set_tls(t, args->tls)) {
		thread_free(t);
		return NULL;
	}
#endif
	t->gs_base = parent->gs_base;
	t->rseq = args->flags & CLONE_VM ? 0 : parent->rseq;
	t->rseq_signature = parent->rseq_signature;
	t->blocked = parent->blocked;
	t->affinity = parent->affinity;
	if (args->flags & CLONE_CHILD_CLEARTID)
		t->clear_child_tid = args->child_tid;
	if (!(args->flags & CLONE_VM) || (args->flags & CLONE_VFORK)) {
		t->altstack = parent->altstack;
		t->altstack_size = parent->altstack_size;
		t->altstack_flags = parent->altstack_flags;
	} else {
		t->altstack_flags = 2; /* SS_DISABLE */
	}
	memcpy(t->comm, thread_comm(parent), sizeof(t->comm));
	return t;
}

/* The parts of a new process that processes may share. */
static int copy_parts(struct process *p, struct process *parent, uint64_t flags)
{
	if (flags & CLONE_FS) {
		(void)quire_fetch_add(&parent->fs->refs, 1u);
		p->fs = parent->fs;
	} else {
		quire_mutex_lock(Q, &parent->fs->lock);
		p->fs = fs_context_new(parent->fs);
		quire_mutex_unlock(Q, &parent->fs->lock);
	}
	p->files = flags & CLONE_FILES ? files_get(parent->files) : files_copy(parent->files);
	if (flags & CLONE_SIGHAND) {
		(void)quire_fetch_add(&parent->sighand->refs, 1u);
		p->sighand = parent->sighand;
	} else {
		p->sighand = sighand_new(flags & CLONE_CLEAR_SIGHAND ? NULL : parent->sighand);
	}
	return p->fs && p->files && p->sighand ? 0 : -ENOMEM;
}

static void drop_parts(struct process *p)
{
	if (p->fs)
		fs_context_put(p->fs);
	if (p->files)
		files_put(p->files);
	if (p->sighand)
		sighand_put(p->sighand);
	if (p->exe)
		file_put(p->exe);
	if (p->mm)
		quire_mmput(p->mm);
	process_put(p);
}

static int copy_process(struct process **out, uint64_t flags)
{
	struct process *parent = current_process(), *p = process_new();
	int err;

	if (!p)
		return -ENOMEM;
	p->uid = parent->uid, p->euid = parent->euid, p->suid = parent->suid;
	p->gid = parent->gid, p->egid = parent->egid, p->sgid = parent->sgid;
	memcpy(p->rlimit, parent->rlimit, sizeof(p->rlimit));
	memcpy(p->comm, thread_comm(current()), sizeof(p->comm));
	p->membarrier = parent->membarrier;
	p->personality = parent->personality;
	p->oom_score_adj = parent->oom_score_adj;
	p->no_new_privs = parent->no_new_privs;
	p->dumpable = parent->dumpable;
	err = copy_parts(p, parent, flags);
	if (parent->exe) {
		p->exe = parent->exe;
		file_get(p->exe);
	}
	if (!err && (flags & CLONE_VM)) {
		quire_mmget(current()->mm);
		p->mm = current()->mm;
	} else if (!err) {
		err = quire_fork(current()->mm, &p->mm);
		if (err == -ENOMEM && reclaim())
			err = quire_fork(current()->mm, &p->mm);
		if (err)
			p->mm = NULL;
	}
	if (err) {
		drop_parts(p);
		return err;
	}
	*out = p;
	return 0;
}

/* A descriptor of this process for the child; *fd: its number, which the caller closes if the child does not come to be. */
static int give_pidfd(struct process *p, uint64_t addr, int *fd)
{
	struct file *file;
	int err = pidfd_open(p, 0, &file);

	if (err)
		return err;
	*fd = fd_install(file, true, 0);
	if (*fd < 0) {
		file_put(file);
		return *fd;
	}
	if (!put_user(*fd, addr))
		return 0;
	(void)fd_close(*fd);
	return -EFAULT;
}

/* The child can be seen from here on, and runs. */
static void publish(struct process *p, struct thread *t, const struct clone_args *args)
{
	struct process *self = current_process();
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);

	if (!(args->flags & CLONE_THREAD)) {
		p->pid = t->tid;
		p->pgid = self->pgid;
		p->sid = self->sid;
		p->exit_signal = args->exit_signal;
		p->parent = args->flags & CLONE_PARENT && self->parent ? self->parent : self;
		quire_list_add_tail(&p->parent->children, &p->sibling);
		quire_list_add_tail(&processes, &p->link);
	}
	t->process = p;
	t->mm = p->mm;
	p->nr_threads++;
	quire_list_add_tail(&p->threads, &t->link);
	if (p->group_exit)
		t->killed = true;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	thread_start(t);
}

static bool child_is_off(void *arg)
{
	struct process *child = arg;

	return quire_load_acquire(&child->vfork_parent) == NULL;
}

int64_t process_clone(const struct regs *regs, const struct clone_args *args)
{
	const uint64_t flags = args->flags;
	struct process *p = current_process();
	struct thread *t;
	int tid, err, fd;

	if (flags & ~CLONE_KNOWN)
		return -EINVAL;
	if (((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND)) ||
	    ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM)) ||
	    ((flags & CLONE_SIGHAND) && (flags & CLONE_CLEAR_SIGHAND)))
		return -EINVAL;
	if ((flags & CLONE_PIDFD) && (flags & (CLONE_THREAD | CLONE_DETACHED)))
		return -EINVAL;
#ifdef __x86_64__
	if ((flags & CLONE_SETTLS) && !user_range_ok(args->tls, 0))
		return -EPERM;
#endif
	if (args->exit_signal < 0 || args->exit_signal > NR_SIGNALS)
		return -EINVAL;
	if (quire_fetch_add(&nr_threads, 1u) >= MAX_THREADS) {
		(void)quire_fetch_sub(&nr_threads, 1u);
		return -EAGAIN;
	}
	t = copy_thread(regs, args);
	err = t ? 0 : -ENOMEM;
	if (!err && !(flags & CLONE_THREAD))
		err = copy_process(&p, flags);
	if (!err && (flags & CLONE_PIDFD)) {
		err = give_pidfd(p, args->pidfd, &fd);
		if (err)
			drop_parts(p);
	}
	if (err) {
		if (t)
			thread_free(t);
		(void)quire_fetch_sub(&nr_threads, 1u);
		return err;
	}
	tid = t->tid = new_tid();
	if (flags & CLONE_PARENT_SETTID)
		(void)put_user(tid, args->parent_tid);
	if (flags & CLONE_VFORK) {
		process_get(current_process());
		p->vfork_parent = current_process();
	}
	if (!(flags & CLONE_THREAD))
		process_get(p); /* it may be over before this call is */
	publish(p, t, args);
	if (flags & CLONE_VFORK) {
		/* Only being killed ends this wait. */
		struct waiter w;

		for (;;) {
			wait_begin(&w, p);
			if (child_is_off(p) || current()->killed)
				break;
			park(NO_DEADLINE);
			wait_end(&w);
		}
		wait_end(&w);
	}
	if (!(flags & CLONE_THREAD))
		process_put(p);
	return tid;
}

void process_thread_ended(void);
void process_thread_ended(void)
{
	(void)quire_fetch_sub(&nr_threads, 1u);
}

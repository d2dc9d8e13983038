/* SPDX-License-Identifier: MIT */
/* Calls about processes and threads: making, ending, waiting, who and what they are. */
#include "syscall/syscall.h"

/* ---- Making and ending ----------------------------------------------------------------------------- */

SYSCALL(fork, process_clone(c->regs, &(struct clone_args){.exit_signal = SIGCHLD}))

int64_t sys_vfork(struct call *c)
{
	return process_clone(c->regs,
			     &(struct clone_args){.flags = 0x4100, .exit_signal = SIGCHLD});
}

int64_t sys_clone(struct call *c)
{
	/* Both would be stored in one place. */
	if ((c->arg[0] & 0x1000) && (c->arg[0] & 0x100000))
		return -EINVAL;
	return process_clone(c->regs, &(struct clone_args){
					      .flags = c->arg[0] & ~0xffull,
					      .exit_signal = (int)(c->arg[0] & 0xff),
					      .stack = c->arg[1],
					      .parent_tid = c->arg[2],
					      .pidfd = c->arg[2],
					      .child_tid = c->arg[3],
					      .tls = c->arg[4],
				      });
}

int64_t sys_clone3(struct call *c)
{
	uint64_t a[11] = {
		0}; /* flags pidfd child_tid parent_tid exit_signal stack stack_size tls ... */

	uint64_t size = c->arg[1], word;

	if (size > QUIRE_PAGE_SIZE)
		return -E2BIG;
	if (size < 64)
		return -EINVAL;
	/* What newer programs have more of must be zeroes. */
	for (; size > sizeof(a); size -= size % 8 ? size % 8 : 8) {
		const uint64_t n = size % 8 ? size % 8 : 8;

		word = 0;
		if (copy_from_user(&word, c->arg[0] + size - n, n))
			return -EFAULT;
		if (word)
			return -E2BIG;
	}
	if (copy_from_user(a, c->arg[0], size))
		return -EFAULT;
	if ((a[0] & 0xff) || a[4] > NR_SIGNALS || (!a[5] != !a[6]) || a[8] || a[9])
		return -EINVAL;
	return process_clone(c->regs, &(struct clone_args){
					      .flags = a[0],
					      .pidfd = a[1],
					      .child_tid = a[2],
					      .parent_tid = a[3],
					      .exit_signal = (int)a[4],
					      .stack = a[5] ? a[5] + a[6] : 0,
					      .tls = a[7],
				      });
}

int64_t sys_execve(struct call *c)
{
	char *path;
	int err = get_path(c->arg[0], &path);

	if (err)
		return err;
	err = process_exec(c->regs, path, c->arg[1], c->arg[2], false);
	quire_kfree(Q, path);
	return err;
}

int64_t sys_exit(struct call *c)
{
	process_exit_thread((int)(c->arg[0] & 0xff) << 8);
}

int64_t sys_exit_group(struct call *c)
{
	process_exit_group((int)(c->arg[0] & 0xff) << 8);
}

struct rusage {
	long utime[2], stime[2];
	long maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv,
		nsignals, nvcsw, nivcsw;
};

static void ticks_to_timeval(uint64_t ticks, long tv[2])
{
	tv[0] = (long)(ticks / HZ);
	tv[1] = (long)(ticks % HZ * (1000000 / HZ));
}

/* rss is in pages. */
static int put_rusage(uint64_t addr, uint64_t user, uint64_t system, uint64_t minor, uint64_t major,
		      uint64_t rss)
{
	struct rusage ru = {
		.maxrss = (long)(rss * (QUIRE_PAGE_SIZE >> 10)),
		.minflt = (long)minor,
		.majflt = (long)major,
	};

	ticks_to_timeval(user, ru.utime);
	ticks_to_timeval(system, ru.stime);
	return copy_to_user(addr, &ru, sizeof(ru));
}

/* Of a child that has just been waited for: with those it has waited for. */
static int put_rusage_of(uint64_t addr, const struct process *p)
{
	if (!addr)
		return 0;
	return put_rusage(
		addr, p->user_ticks + p->child_user_ticks, p->system_ticks + p->child_system_ticks,
		p->minor_faults + p->child_minor_faults, p->major_faults + p->child_major_faults,
		p->max_rss > p->child_max_rss ? p->max_rss : p->child_max_rss);
}

int64_t sys_wait4(struct call *c)
{
	int options = (int)c->arg[2], status = 0;
	struct process *child;
	int64_t pid;

	if ((unsigned)options & ~(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE))
		return -EINVAL;
	pid = process_wait((int)c->arg[0], options | WEXITED, &status, NULL, &child);
	if (pid <= 0)
		return pid;
	if (c->arg[1] && put_user(status, c->arg[1]))
		pid = -EFAULT;
	if (put_rusage_of(c->arg[3], child))
		pid = -EFAULT;
	process_put(child);
	return pid;
}

int64_t sys_waitid(struct call *c)
{
	int options = (int)c->arg[3], status = 0, pid = (int)c->arg[1];
	struct siginfo info = {0};
	struct process *child = NULL;
	bool nonblocking = false, gone;
	int64_t found;

	if (((unsigned)options &
	     ~(WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | WNOTHREAD | WALL | WCLONE)) ||
	    !(options & (WUNTRACED | WEXITED | WCONTINUED)))
		return -EINVAL;
	switch (c->arg[0]) {
	case 0: /* P_ALL */
		pid = -1;
		break;
	case 1: /* P_PID */
		if (pid <= 0)
			return -EINVAL;
		break;
	case 2: /* P_PGID */
		if (pid < 0)
			return -EINVAL;
		pid = -pid;
		break;
	case 3: /* P_PIDFD */
		child = pid < 0 ? NULL : pidfd_get(pid, &nonblocking);
		if (!child)
			return pid < 0 ? -EINVAL : -EBADF;
		pid = child->pid;
		gone = child->state == PROCESS_REAPED;
		process_put(child);
		if (gone)
			return -ECHILD;
		break;
	default:
		return -EINVAL;
	}
	found = process_wait(pid, options | (nonblocking ? WNOHANG : 0), &status, &info, &child);
	if (!found && nonblocking && !(options & WNOHANG))
		return -EAGAIN;
	if (found < 0)
		return found;
	if (c->arg[2] && copy_to_user(c->arg[2], &info, sizeof(info)))
		found = -EFAULT;
	if (child) {
		if (put_rusage_of(c->arg[4], child))
			found = -EFAULT;
		process_put(child);
	}
	return found < 0 ? found : 0;
}

int64_t sys_getrusage(struct call *c)
{
	const struct process *p = current_process();
	const struct thread *t = current();
	const struct quire_mm *mm = t->mm;

	switch ((int)c->arg[0]) {
	case 0: /* RUSAGE_SELF */
		return put_rusage(c->arg[1], p->user_ticks + t->user_ticks,
				  p->system_ticks + t->kernel_ticks, quire_load(&mm->minor_faults),
				  quire_load(&mm->major_faults), process_max_rss(mm));
	case 1: /* RUSAGE_THREAD */
		return put_rusage(c->arg[1], t->user_ticks, t->kernel_ticks,
				  quire_load(&mm->minor_faults), quire_load(&mm->major_faults),
				  process_max_rss(mm));
	case -1:
		return put_rusage(c->arg[1], p->child_user_ticks, p->child_system_ticks,
				  p->child_minor_faults, p->child_major_faults, p->child_max_rss);
	default:
		return -EINVAL;
	}
}

int64_t sys_times(struct call *c)
{
	const struct process *p = current_process();
	const struct thread *t = current();
	long ticks[4] = {
		(long)((p->user_ticks + t->user_ticks) * 100 / HZ),
		(long)((p->system_ticks + t->kernel_ticks) * 100 / HZ),
		(long)(p->child_user_ticks * 100 / HZ),
		(long)(p->child_system_ticks * 100 / HZ),
	};

	if (c->arg[0] && copy_to_user(c->arg[0], ticks, sizeof(ticks)))
		return -EFAULT;
	return (int64_t)(clock_ns() / 10000000);
}

/* ---- Who ------------------------------------------------------------------------------------------------ */

SYSCALL(getpid, current_process()->pid)
SYSCALL(gettid, current()->tid)

int64_t sys_getppid(struct call *c)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	const struct process *parent = current_process()->parent;
	int pid = parent ? parent->pid : 0;

	quire_spin_unlock_irq(Q, &process_lock, flags);
	return pid;
}

SYSCALL(getuid, current_process()->uid)
SYSCALL(geteuid, current_process()->euid)
SYSCALL(getgid, current_process()->gid)
SYSCALL(getegid, current_process()->egid)

static int64_t get_ids(const struct call *c, bool group)
{
	const struct process *p = current_process();
	const uint32_t id[3] = {group ? p->gid : p->uid, group ? p->egid : p->euid,
				group ? p->sgid : p->suid};
	unsigned i;

	for (i = 0; i < 3; i++) {
		if (put_user(id[i], c->arg[i]))
			return -EFAULT;
	}
	return 0;
}

SYSCALL(getresuid, get_ids(c, false))
SYSCALL(getresgid, get_ids(c, true))

#define SAME UINT32_MAX

/* Each one that is asked for must be one that it has, unless it is root. */
static int64_t set_ids(bool group, uint64_t real, uint64_t effective, uint64_t saved)
{
	struct process *p = current_process();
	uint32_t *const id[3] = {group ? &p->gid : &p->uid, group ? &p->egid : &p->euid,
				 group ? &p->sgid : &p->suid};
	const uint32_t want[3] = {(uint32_t)real, (uint32_t)effective, (uint32_t)saved};
	unsigned i;

	for (i = 0; i < 3; i++) {
		if (want[i] != SAME && p->euid && want[i] != *id[0] && want[i] != *id[1] &&
		    want[i] != *id[2])
			return -EPERM;
	}
	for (i = 0; i < 3; i++) {
		if (want[i] != SAME)
			*id[i] = want[i];
	}
	if (current()->mm)
		process_apply_limits(p, current()->mm);
	return 0;
}

/* Root changes all three. */
static int64_t set_id(bool group, uint64_t id)
{
	const uint64_t others = current_process()->euid ? SAME : id;

	return set_ids(group, others, id, others);
}

SYSCALL(setresuid, set_ids(false, c->arg[0], c->arg[1], c->arg[2]))
SYSCALL(setresgid, set_ids(true, c->arg[0], c->arg[1], c->arg[2]))
SYSCALL(setreuid, set_ids(false, c->arg[0], c->arg[1], SAME))
SYSCALL(setregid, set_ids(true, c->arg[0], c->arg[1], SAME))
SYSCALL(setuid, set_id(false, c->arg[0]))
SYSCALL(setgid, set_id(true, c->arg[0]))

SYSCALL(getgroups, 0)
SYSCALL(setgroups, current_process()->euid ? -EPERM : 0)

/* ---- Capabilities: root has all, others none ---------------------------------------------------------- */

#define CAP_VERSION 0x20080522u
#define ALL_CAPABILITIES UINT64_C(0x1ffffffffff)

/* The words of a version's struct, or 0: it is unknown, and *err is what the call says. */
static unsigned cap_words(uint64_t header, uint64_t data, int *pid, int *err)
{
	const uint32_t version = CAP_VERSION;
	struct {
		uint32_t version;
		int32_t pid;
	} h;

	*err = -EFAULT;
	if (copy_from_user(&h, header, sizeof(h)))
		return 0;
	*pid = h.pid;
	if (h.version == 0x19980330)
		return 3;
	if (h.version == 0x20071026 || h.version == CAP_VERSION)
		return 6;
	if (!put_user(version, header))
		*err = data ? -EINVAL : 0;
	return 0;
}

/* effective, permitted, inheritable: the lower halves, then the upper ones. */
static void capabilities(const struct process *p, uint32_t caps[6])
{
	const uint64_t permitted = !p->uid || !p->euid || !p->suid ? ALL_CAPABILITIES : 0,
		       effective = !p->euid ? permitted : 0;

	caps[0] = (uint32_t)effective, caps[3] = (uint32_t)(effective >> 32);
	caps[1] = (uint32_t)permitted, caps[4] = (uint32_t)(permitted >> 32);
	caps[2] = caps[5] = 0;
}

int64_t sys_capget(struct call *c)
{
	uint32_t caps[6];
	struct process *p;
	int pid, err;
	unsigned words = cap_words(c->arg[0], c->arg[1], &pid, &err);

	if (!words)
		return err;
	if (pid < 0)
		return -EINVAL;
	p = pid ? process_find(pid) : current_process();
	if (!p)
		return -ESRCH;
	capabilities(p, caps);
	if (pid)
		process_put(p);
	return copy_to_user(c->arg[1], caps, words * sizeof(caps[0]));
}

/* One cannot have more, and root cannot give up some: only what is so already can be set. */
int64_t sys_capset(struct call *c)
{
	uint32_t have[6], want[6];
	int pid, err;
	unsigned words = cap_words(c->arg[0], c->arg[1], &pid, &err);

	if (!words)
		return err;
	if (pid && pid != current_process()->pid)
		return -EPERM;
	capabilities(current_process(), have);
	memcpy(want, have, sizeof(want));
	if (copy_from_user(want, c->arg[1], words * sizeof(want[0])))
		return -EFAULT;
	return memcmp(have, want, sizeof(want)) ? -EPERM : 0;
}

/* ---- Groups and sessions: credentials(7) ------------------------------------------------------------------ */

int64_t sys_setpgid(struct call *c)
{
	struct process *self = current_process(), *p;
	int pid = (int)c->arg[0], pgid = (int)c->arg[1];
	unsigned long flags;
	int64_t err = 0;

	if (pgid < 0)
		return -EINVAL;
	flags = quire_spin_lock_irq(Q, &process_lock);
	p = pid ? process_find_locked(pid) : self;
	if (!p || (p != self && p->parent != self))
		err = -ESRCH;
	else if (p->sid == p->pid || p->sid != self->sid)
		err = -EPERM;
	else if (p != self && p->execed)
		err = -EACCES;
	else if (pgid && pgid != p->pid) {
		struct quire_list *pos, *tmp;

		err = -EPERM; /* a group of the session, then */
		quire_list_for_each (pos, tmp, &processes) {
			const struct process *other = quire_list_entry(pos, struct process, link);

			if (other->pgid == pgid && other->sid == self->sid)
				err = 0;
		}
	}
	if (!err)
		p->pgid = pgid ? pgid : p->pid;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return err;
}

static int64_t get_id(int pid, bool session)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	const struct process *p = pid ? process_find_locked(pid) : current_process();
	int id = !p ? -ESRCH : session ? p->sid : p->pgid;

	quire_spin_unlock_irq(Q, &process_lock, flags);
	return id;
}

SYSCALL(getpgid, get_id((int)c->arg[0], false))
SYSCALL(getpgrp, get_id(0, false))
SYSCALL(getsid, get_id((int)c->arg[0], true))

int64_t sys_setsid(struct call *c)
{
	struct process *p = current_process();
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	int64_t result = p->pgid == p->pid && p->sid == p->pid ? -EPERM : p->pid;

	if (result > 0)
		p->sid = p->pgid = p->pid;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return result;
}

/* ---- Limits ------------------------------------------------------------------------------------------------- */

int64_t process_set_limit(struct process *p, unsigned resource, const struct rlimit64 *new,
			  struct rlimit64 *old)
{
	struct quire_mm *mm;

	if (resource >= NR_RLIMITS)
		return -EINVAL;
	if (old)
		*old = p->rlimit[resource];
	if (!new)
		return 0;
	if (new->soft > new->hard)
		return -EINVAL;
	if (new->hard > p->rlimit[resource].hard && current_process()->euid)
		return -EPERM;
	p->rlimit[resource] = *new;
	mm = process_get_mm(p);
	if (mm) {
		process_apply_limits(p, mm);
		quire_mmput(mm);
	}
	return 0;
}

int64_t sys_prlimit64(struct call *c)
{
	struct process *p = c->arg[0] ? process_find((int)c->arg[0]) : current_process();
	struct rlimit64 new, old;
	int64_t err = 0;

	if (!p)
		return -ESRCH;
	if (c->arg[2])
		err = copy_from_user(&new, c->arg[2], sizeof(new));
	if (!err)
		err = process_set_limit(p, (unsigned)c->arg[1], c->arg[2] ? &new : NULL, &old);
	if (c->arg[0])
		process_put(p);
	if (!err && c->arg[3])
		err = copy_to_user(c->arg[3], &old, sizeof(old));
	return err;
}

int64_t sys_getrlimit(struct call *c)
{
	struct rlimit64 old;
	int64_t err = process_set_limit(current_process(), (unsigned)c->arg[0], NULL, &old);

	return err ? err : copy_to_user(c->arg[1], &old, sizeof(old));
}

int64_t sys_setrlimit(struct call *c)
{
	struct rlimit64 new;

	if (copy_from_user(&new, c->arg[1], sizeof(new)))
		return -EFAULT;
	return process_set_limit(current_process(), (unsigned)c->arg[0], &new, NULL);
}

/* ---- Threads -------------------------------------------------------------------------------------------------- */

int64_t sys_set_tid_address(struct call *c)
{
	current()->clear_child_tid = c->arg[0];
	return current()->tid;
}

int64_t sys_set_robust_list(struct call *c)
{
	if (c->arg[1] != 3 * sizeof(long))
		return -EINVAL;
	current()->robust_list = c->arg[0];
	return 0;
}

int64_t sys_get_robust_list(struct call *c)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	const struct thread *t = c->arg[0] ? thread_find_locked((int)c->arg[0]) : current();
	unsigned long head = t ? (unsigned long)t->robust_list : 0, size = 3 * sizeof(long);
	bool allowed =
		t && (!current_process()->euid || current_process()->euid == t->process->uid);

	quire_spin_unlock_irq(Q, &process_lock, flags);
	if (!allowed)
		return t ? -EPERM : -ESRCH;
	return put_user(size, c->arg[2]) || put_user(head, c->arg[1]) ? -EFAULT : 0;
}

int64_t sys_arch_prctl(struct call *c)
{
#ifdef __x86_64__
	struct thread *t = current();
	unsigned long value = c->arg[1];

	switch (c->arg[0]) {
	case 0x1001: /* ARCH_SET_GS */
	case 0x1002: /* ARCH_SET_FS */
		if (value >= USER_END)
			return -EPERM;
		irq_disable();
		if (c->arg[0] == 0x1002)
			t->fs_base = value;
		else
			t->gs_base = value;
		wrmsr(MSR_FS_BASE, t->fs_base);
		wrmsr(MSR_KERNEL_GS_BASE, t->gs_base);
		irq_enable();
		return 0;
	case 0x1003: /* ARCH_GET_FS */
		return put_user(t->fs_base, value);
	case 0x1004: /* ARCH_GET_GS */
		return put_user(t->gs_base, value);
	default:
		return -EINVAL;
	}
#else
	return -EINVAL;
#endif
}

int64_t sys_futex(struct call *c)
{
	int op = (int)c->arg[1] & 0x7f, err = 0;
	uint64_t ns = 0;

	if (c->arg[3] && (op == 0 || op == 9)) /* FUTEX_WAIT, FUTEX_WAIT_BITSET */
		err = read_timespec(c->arg[3], &ns);
	return err ? err
		   : futex_call_ns(c->arg[0], (int)c->arg[1], (uint32_t)c->arg[2], c->arg[3], ns,
				   c->arg[4], (uint32_t)c->arg[5]);
}

int64_t sys_sched_yield(struct call *c)
{
	schedule();
	return 0;
}

static struct thread *find_thread_locked(int tid)
{
	return tid ? thread_find_locked(tid) : current();
}

int64_t sys_sched_getaffinity(struct call *c)
{
	unsigned long flags, mask[1];
	struct thread *t;

	if (c->arg[1] < sizeof(mask) || c->arg[1] % sizeof(long))
		return -EINVAL;
	flags = quire_spin_lock_irq(Q, &process_lock);
	t = find_thread_locked((int)c->arg[0]);
	mask[0] = t ? (unsigned long)t->affinity & ((1ul << nr_cpus) - 1) : 0;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	if (!t)
		return -ESRCH;
	return copy_to_user(c->arg[2], mask, sizeof(mask)) ? -EFAULT : (int64_t)sizeof(mask);
}

int64_t sys_sched_setaffinity(struct call *c)
{
	unsigned long flags, mask = 0;
	struct thread *t;
	unsigned i;

	if (copy_from_user(&mask, c->arg[2], (size_t)min_u64(c->arg[1], sizeof(mask))))
		return -EFAULT;
	for (i = 0; i < 8 * sizeof(mask); i++) {
		if (i >= nr_cpus || !cpus[i].online)
			mask &= ~(1ul << i);
	}
	if (!mask)
		return -EINVAL;
	flags = quire_spin_lock_irq(Q, &process_lock);
	t = find_thread_locked((int)c->arg[0]);
	if (t)
		t->affinity = mask;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	if (t == current())
		schedule(); /* to where it may be */
	return t ? 0 : -ESRCH;
}

int64_t sys_getcpu(struct call *c)
{
	uint32_t cpu = this_cpu()->number, node = 0;

	if ((c->arg[0] && put_user(cpu, c->arg[0])) || (c->arg[1] && put_user(node, c->arg[1])))
		return -EFAULT;
	return 0;
}

/* Every processor goes through the kernel once. */
int64_t sys_membarrier(struct call *c)
{
	struct process *p = current_process();

	if (c->arg[1])
		return -EINVAL;
	switch ((int)c->arg[0]) {
	case 0:
		return 1 | 8 | 16; /* GLOBAL, PRIVATE_EXPEDITED and its registration */
	case 8:
		if (!quire_load(&p->membarrier))
			return -EPERM;
		/* fall through */
	case 1:
		quire_grace_wait(Q);
		return 0;
	case 16:
		quire_store(&p->membarrier, true);
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_prctl(struct call *c)
{
	struct process *p = current_process();
	char name[16];

	switch (c->arg[0]) {
	case 1: /* PR_SET_PDEATHSIG */
		if (c->arg[1] > NR_SIGNALS)
			return -EINVAL;
		p->pdeath_signal = (int)c->arg[1];
		return 0;
	case 2: /* PR_GET_PDEATHSIG */
		return put_user(p->pdeath_signal, c->arg[1]);
	case 3: /* PR_GET_DUMPABLE */
		return p->dumpable;
	case 4: /* PR_SET_DUMPABLE */
		if (c->arg[1] > 1)
			return -EINVAL;
		p->dumpable = c->arg[1] != 0;
		return 0;
	case 15: /* PR_SET_NAME */
		memset(name, 0, sizeof(name));
		if (copy_string_from_user(name, c->arg[1], sizeof(name)) == -EFAULT)
			return -EFAULT;
		name[sizeof(name) - 1] = '\0';
		memcpy(thread_comm(current()), name, sizeof(name));
		return 0;
	case 16: /* PR_GET_NAME */
		return copy_to_user(c->arg[1], thread_comm(current()), sizeof(name));
	case 38: /* PR_SET_NO_NEW_PRIVS */
		if (c->arg[1] != 1)
			return -EINVAL;
		p->no_new_privs = true;
		return 0;
	case 39:
		return p->no_new_privs;
	default:
		return -EINVAL;
	}
}

int64_t sys_personality(struct call *c)
{
	struct process *p = current_process();
	unsigned long old = p->personality;

	if ((uint32_t)c->arg[0] != UINT32_MAX) {
		p->personality = (uint32_t)c->arg[0];
		if (current()->mm)
			process_apply_limits(p, current()->mm);
	}
	return (int64_t)old;
}

/* SPDX-License-Identifier: MIT */
/* Processes as objects: made, found, counted, put. */
#include "process/process.h"

#include "fs/fs.h"

struct quire_spinlock process_lock;
struct quire_list processes = {&processes, &processes};
struct process *init_process;

static struct quire_cache process_cache, sighand_cache, fs_cache;
static int last_tid;

#define MAX_PID 4194304

void processes_init(void)
{
	kernel_assert(!quire_cache_create(Q, &process_cache, "signal_cache", sizeof(struct process),
					  0, 0, NULL));
	kernel_assert(!quire_cache_create(Q, &sighand_cache, "sighand_cache",
					  sizeof(struct sighand), 0, 0, NULL));
	kernel_assert(!quire_cache_create(Q, &fs_cache, "fs_cache", sizeof(struct fs_context), 0, 0,
					  NULL));
}

/* ---- Numbers --------------------------------------------------------------------------------- */

static bool tid_is_taken(int tid)
{
	struct quire_list *pos, *tmp;

	if (thread_find_locked(tid))
		return true;
	quire_list_for_each (pos, tmp, &processes) {
		struct process *p = quire_list_entry(pos, struct process, link);

		if (p->pid == tid || p->pgid == tid || p->sid == tid)
			return true;
	}
	return false;
}

int new_tid(void)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	int tid;

	do
		last_tid = last_tid >= MAX_PID ? 300 : last_tid + 1;
	while (last_tid < 300 ? false : tid_is_taken(last_tid));
	tid = last_tid;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return tid;
}

struct process *process_find_locked(int pid)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &processes) {
		struct process *p = quire_list_entry(pos, struct process, link);

		if (p->pid == pid)
			return p;
	}
	return NULL;
}

struct process *process_find(int pid)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct process *p = process_find_locked(pid);

	if (p)
		process_get(p);
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return p;
}

struct thread *thread_find_locked(int tid)
{
	struct quire_list *pos, *tmp, *at, *next;

	quire_list_for_each (pos, tmp, &processes) {
		struct process *p = quire_list_entry(pos, struct process, link);

		quire_list_for_each (at, next, &p->threads) {
			struct thread *t = quire_list_entry(at, struct thread, link);

			if (t->tid == tid)
				return t;
		}
	}
	return NULL;
}

unsigned process_count(void)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct quire_list *pos, *tmp;
	unsigned n = 0;

	quire_list_for_each (pos, tmp, &processes)
		n++;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return n;
}

/* ---- Lives ------------------------------------------------------------------------------------- */

static void alarm_rings(struct timer *t)
{
	struct process *p = quire_container_of(t, struct process, alarm);
	const struct siginfo info = {.signo = SIGALRM, .code = SI_KERNEL};

	(void)signal_send(p, NULL, &info);
}

void process_tick(struct process *p, bool user)
{
	static const int signals[2] = {SIGVTALRM, SIGPROF};
	const uint64_t tick = NS_PER_SECOND / HZ;
	unsigned long flags;
	unsigned i;

	for (i = user ? 0 : 1; i < 2; i++) {
		const struct siginfo info = {.signo = signals[i], .code = SI_KERNEL};

		if (!quire_load(&p->cpu_timer[i].left))
			continue;
		flags = quire_spin_lock_irq(Q, &process_lock);
		if (p->cpu_timer[i].left > tick) {
			p->cpu_timer[i].left -= tick;
		} else if (p->cpu_timer[i].left) {
			quire_store(&p->cpu_timer[i].left, p->cpu_timer[i].interval);
			(void)signal_send_locked(p, NULL, &info);
		}
		quire_spin_unlock_irq(Q, &process_lock, flags);
	}
}

struct process *process_new(void)
{
	struct process *p = quire_cache_alloc(Q, &process_cache, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);

	if (!p)
		return NULL;
	quire_list_init(&p->link);
	quire_list_init(&p->children);
	quire_list_init(&p->sibling);
	quire_list_init(&p->threads);
	quire_list_init(&p->posix_timers);
	signal_queue_init(&p->pending);
	timer_init(&p->alarm, alarm_rings);
	p->refs = 1;
	p->exit_signal = SIGCHLD;
	p->dumpable = true;
	p->start_ns = clock_ns();
	return p;
}

void process_get(struct process *p)
{
	(void)quire_fetch_add(&p->refs, 1u);
}

void process_put(struct process *p)
{
	if (quire_fetch_sub(&p->refs, 1u) != 1)
		return;
	signal_queue_clear(&p->pending);
	quire_cache_free(Q, &process_cache, p);
}

struct quire_mm *process_get_mm(struct process *p)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct quire_mm *mm = p->mm;

	if (mm && !quire_mmget_not_zero(mm))
		mm = NULL;
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return mm;
}

void process_apply_limits(struct process *p, struct quire_mm *mm)
{
	mm->limits = (struct quire_limits){
		.as = p->rlimit[RLIMIT_AS].soft,
		.data = p->rlimit[RLIMIT_DATA].soft,
		.data_hard = p->rlimit[RLIMIT_DATA].hard,
		.stack = p->rlimit[RLIMIT_STACK].soft,
		.memlock = p->rlimit[RLIMIT_MEMLOCK].soft,
		.cap_ipc_lock = p->euid == 0,
		.cap_sys_admin = p->euid == 0,
		.cap_sys_nice = p->euid == 0,
		.cap_sys_rawio = p->euid == 0,
		.read_implies_exec = (p->personality & 0x0400000) != 0,
	};
}

/* ---- What processes share --------------------------------------------------------------------------- */

struct fs_context *fs_context_new(const struct fs_context *from)
{
	struct fs_context *fs = quire_cache_alloc(Q, &fs_cache, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);

	if (!fs)
		return NULL;
	fs->refs = 1;
	fs->umask = from ? from->umask : 022;
	fs->root = from ? from->root : root_inode;
	fs->cwd = from ? from->cwd : root_inode;
	inode_get(fs->root);
	inode_use(fs->root, 1);
	inode_get(fs->cwd);
	inode_use(fs->cwd, 1);
	return fs;
}

void fs_context_put(struct fs_context *fs)
{
	if (quire_fetch_sub(&fs->refs, 1u) != 1)
		return;
	inode_use(fs->root, -1);
	inode_put(fs->root);
	inode_use(fs->cwd, -1);
	inode_put(fs->cwd);
	quire_cache_free(Q, &fs_cache, fs);
}

struct sighand *sighand_new(const struct sighand *from)
{
	struct sighand *s = quire_cache_alloc(Q, &sighand_cache, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);

	if (!s)
		return NULL;
	if (from)
		memcpy(s->action, from->action, sizeof(s->action));
	s->refs = 1;
	return s;
}

void sighand_put(struct sighand *s)
{
	if (quire_fetch_sub(&s->refs, 1u) == 1)
		quire_cache_free(Q, &sighand_cache, s);
}

/* ---- The first ------------------------------------------------------------------------------------- */

void process_start_init(void (*fn)(void *arg))
{
	static const struct rlimit64 infinity = {QUIRE_RLIM_INFINITY, QUIRE_RLIM_INFINITY};
	struct process *p;
	struct thread *t;
	unsigned i;

	processes_init();
	futex_init();
	p = process_new();
	t = thread_create(fn, NULL);
	kernel_assert(p && t);
	for (i = 0; i < NR_RLIMITS; i++)
		p->rlimit[i] = infinity;
	p->rlimit[RLIMIT_STACK].soft = 8 << 20;
	p->rlimit[RLIMIT_NOFILE] = (struct rlimit64){1024, 4096};
	p->rlimit[RLIMIT_CORE].soft = 0;
	p->rlimit[RLIMIT_MEMLOCK] = (struct rlimit64){8 << 20, 8 << 20};
	p->pid = p->pgid = p->sid = t->tid = new_tid();
	p->sighand = sighand_new(NULL);
	kernel_assert(p->sighand);
	memcpy(p->comm, "init", 5);
	t->process = p;
	p->nr_threads = 1;
	quire_list_add_tail(&p->threads, &t->link);
	quire_list_add_tail(&processes, &p->link);
	init_process = p;
	thread_start(t);
}

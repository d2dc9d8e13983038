/* SPDX-License-Identifier: MIT */
/* /proc/PID: the texts about a process's memory are Quire's own (quire/proc.h); the rest is here. proc(5). */
#include "fs/proc.h"

/* ---- Quire's ---------------------------------------------------------------------------------- */

static int show_statm(struct proc_text *t, struct process *p)
{
	int err = proc_of_mm(t, p, quire_proc_statm);

	if (!err && !t->used)
		proc_print(t, "0 0 0 0 0 0 0\n");
	return err;
}

static int64_t read_pagemap(struct process *p, struct uio *uio, uint64_t *pos)
{
	struct quire_mm *mm;
	int64_t done = 0;

	if ((*pos | uio->left) & 7)
		return -EINVAL;
	mm = process_get_mm(p);
	if (!mm)
		return 0;
	while (uio->left && (*pos >> 3) < (mm->layout.task_size >> QUIRE_PAGE_SHIFT)) {
		uint64_t words[64];
		size_t n = (size_t)min_u64(uio->left, sizeof(words)) / 8, want, got;

		want = 8 * quire_pagemap(mm, (*pos >> 3) << QUIRE_PAGE_SHIFT, n,
					 current_process()->euid == 0, words);
		got = uio_put(uio, words, want);
		*pos += got;
		done += (int64_t)got;
		if (got < want) {
			done = done ? done : -EFAULT;
			break;
		}
	}
	quire_mmput(mm);
	return done;
}

/* ---- Strings in the process's memory --------------------------------------------------------------- */

static int show_memory(struct proc_text *t, struct process *p, bool environment)
{
	struct quire_mm *mm = process_get_mm(p);
	uint64_t at, end;
	char buf[512];

	if (!mm)
		return 0;
	at = environment ? mm->layout.env_start : mm->layout.arg_start;
	end = environment ? mm->layout.env_end : mm->layout.arg_end;
	while (at < end && !t->error) {
		uint64_t n = quire_access_process_vm(mm, at, buf, min_u64(sizeof(buf), end - at),
						     QUIRE_ACCESS_READ | QUIRE_ACCESS_FORCE);

		if (!n)
			break;
		(void)t->sink.emit(&t->sink, buf, n);
		at += n;
	}
	quire_mmput(mm);
	return 0;
}

static int show_cmdline(struct proc_text *t, struct process *p)
{
	return show_memory(t, p, false);
}

static int show_environ(struct proc_text *t, struct process *p)
{
	return show_memory(t, p, true);
}

static int show_auxv(struct proc_text *t, struct process *p)
{
	struct quire_mm *mm = process_get_mm(p);
	unsigned i;

	if (!mm)
		return 0;
	for (i = 0; i < QUIRE_ARRAY_SIZE(mm->layout.auxv); i++) {
		unsigned long word = (unsigned long)mm->layout.auxv[i];

		(void)t->sink.emit(&t->sink, (const char *)&word, sizeof(word));
		if (i % 2 && !mm->layout.auxv[i - 1])
			break;
	}
	quire_mmput(mm);
	return 0;
}

static int show_comm(struct proc_text *t, struct process *p)
{
	proc_print(t, "%s\n", p->comm);
	return 0;
}

static int store_comm(struct process *p, char *text)
{
	size_t n = strnlen(text, sizeof(p->comm) - 1);

	if (n && text[n - 1] == '\n')
		n--;
	memset(p->comm, 0, sizeof(p->comm));
	memcpy(p->comm, text, n);
	return 0;
}

/* ---- The kernel's ------------------------------------------------------------------------------------ */

struct summary {
	char state;
	int ppid, tid;
	unsigned threads, umask;
	uint64_t pending, shared, blocked, ignored, caught, user, system, affinity;
};

static void look(struct process *p, struct summary *s)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct quire_list *pos, *tmp;
	unsigned i;

	*s = (struct summary){.state = p->state == PROCESS_ALIVE && p->nr_threads ? 'S' : 'Z'};
	s->ppid = p->parent ? p->parent->pid : 0;
	s->threads = p->nr_threads;
	s->umask = p->mm ? p->fs->umask : 0;
	s->shared = p->pending.set;
	s->user = p->user_ticks;
	s->system = p->system_ticks;
	quire_list_for_each (pos, tmp, &p->threads) {
		struct thread *t = quire_list_entry(pos, struct thread, link);

		if (t->state == THREAD_RUNNABLE)
			s->state = 'R';
		if (pos == p->threads.next) {
			s->pending = t->pending.set;
			s->blocked = t->blocked;
			s->affinity = t->affinity;
		}
		s->user += t->user_ticks;
		s->system += t->kernel_ticks;
	}
	if (p->stopped && s->state != 'Z')
		s->state = 'T';
	for (i = 0; p->sighand && i < NR_SIGNALS; i++) {
		unsigned long handler = p->sighand->action[i].handler;

		if (handler == SIG_IGN)
			s->ignored |= UINT64_C(1) << i;
		else if (handler != SIG_DFL)
			s->caught |= UINT64_C(1) << i;
	}
	quire_spin_unlock_irq(Q, &process_lock, flags);
}

static const char *state_name(char state)
{
	return state == 'R'   ? "running"
	       : state == 'S' ? "sleeping"
	       : state == 'T' ? "stopped"
			      : "zombie";
}

static int show_status(struct proc_text *t, struct process *p)
{
	struct summary s;
	int err;

	look(p, &s);
	proc_print(
		t,
		"Name:\t%s\nUmask:\t%04o\nState:\t%c (%s)\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n",
		p->comm, s.umask, s.state, state_name(s.state), p->pid, p->pid, s.ppid);
	proc_print(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t%u\nGroups:\t\n",
		   p->uid, p->euid, p->suid, p->euid, p->gid, p->egid, p->sgid, p->egid,
		   s.state == 'Z' ? 0 : 64);
	err = proc_of_mm(t, p, quire_proc_status);
	if (err)
		return err;
	proc_print(
		t,
		"Threads:\t%u\nSigQ:\t0/1024\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\n",
		s.threads, ULL(s.pending), ULL(s.shared), ULL(s.blocked));
	proc_print(t, "SigIgn:\t%016llx\nSigCgt:\t%016llx\nNoNewPrivs:\t%d\nSeccomp:\t0\n",
		   ULL(s.ignored), ULL(s.caught), p->no_new_privs);
	proc_print(t, "Cpus_allowed:\t%llx\n", ULL(s.affinity & ((UINT64_C(1) << nr_cpus) - 1)));
	return 0;
}

static int show_stat(struct proc_text *t, struct process *p)
{
	struct quire_mm *mm = process_get_mm(p);
	static const struct quire_layout none;
	const struct quire_layout *l = mm ? &mm->layout : &none;
	struct summary s;
	uint64_t rss = 0, vsize = 0, minor = 0, major = 0;

	look(p, &s);
	if (mm) {
		rss = (uint64_t)(quire_load(&mm->rss[QUIRE_RSS_FILE]) +
				 quire_load(&mm->rss[QUIRE_RSS_ANON]) +
				 quire_load(&mm->rss[QUIRE_RSS_SHMEM]));
		vsize = mm->total_vm << QUIRE_PAGE_SHIFT;
		minor = quire_load(&mm->minor_faults);
		major = quire_load(&mm->major_faults);
	}
	proc_print(
		t,
		"%d (%s) %c %d %d %d 1025 %d 0 %llu 0 %llu 0 %llu %llu %llu %llu 20 0 %u 0 %llu %llu %llu %llu ",
		p->pid, p->comm, s.state, s.ppid, p->pgid, p->sid, p->pgid, ULL(minor), ULL(major),
		ULL(s.user * 100 / HZ), ULL(s.system * 100 / HZ),
		ULL(p->child_user_ticks * 100 / HZ), ULL(p->child_system_ticks * 100 / HZ),
		s.threads, ULL(p->start_ns / 10000000), ULL(vsize), ULL(rss),
		ULL(p->rlimit[3].soft));
	proc_print(
		t,
		"%llu %llu %llu 0 0 %llu %llu %llu %llu 0 0 0 %d 0 0 0 0 0 0 %llu %llu %llu %llu %llu %llu %llu %d\n",
		ULL(l->start_code), ULL(l->end_code), ULL(l->start_stack),
		ULL(s.pending & 0x7fffffff), ULL(s.blocked & 0x7fffffff),
		ULL(s.ignored & 0x7fffffff), ULL(s.caught & 0x7fffffff), p->exit_signal,
		ULL(l->start_data), ULL(l->end_data), ULL(l->start_brk), ULL(l->arg_start),
		ULL(l->arg_end), ULL(l->env_start), ULL(l->env_end), p->exit_code);
	if (mm)
		quire_mmput(mm);
	return 0;
}

static int show_limits(struct proc_text *t, struct process *p)
{
	static const struct {
		const char *name, *unit;
	} names[NR_RLIMITS] = {
		{"Max cpu time", "seconds"},	 {"Max file size", "bytes"},
		{"Max data size", "bytes"},	 {"Max stack size", "bytes"},
		{"Max core file size", "bytes"}, {"Max resident set", "bytes"},
		{"Max processes", "processes"},	 {"Max open files", "files"},
		{"Max locked memory", "bytes"},	 {"Max address space", "bytes"},
		{"Max file locks", "locks"},	 {"Max pending signals", "signals"},
		{"Max msgqueue size", "bytes"},	 {"Max nice priority", ""},
		{"Max realtime priority", ""},	 {"Max realtime timeout", "us"},
	};
	unsigned i, k;

	proc_print(t, "%-26s%-21s%-21s%-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units     ");
	for (i = 0; i < NR_RLIMITS; i++) {
		const uint64_t value[2] = {p->rlimit[i].soft, p->rlimit[i].hard};

		proc_print(t, "%-26s", names[i].name);
		for (k = 0; k < 2; k++) {
			char text[24];

			ksnprintf(text, sizeof(text), "%llu", ULL(value[k]));
			proc_print(t, "%-21s",
				   value[k] == QUIRE_RLIM_INFINITY ? "unlimited" : text);
		}
		proc_print(t, "%-10s\n", names[i].unit);
	}
	return 0;
}

static int show_oom_adj(struct proc_text *t, struct process *p)
{
	proc_print(t, "%d\n", p->oom_score_adj);
	return 0;
}

static int store_oom_adj(struct process *p, char *text)
{
	bool negative = *text == '-';
	int value = 0;

	for (text += negative; *text >= '0' && *text <= '9' && value < 10000; text++)
		value = value * 10 + *text - '0';
	if ((*text && *text != '\n') || value > 1000)
		return -EINVAL;
	p->oom_score_adj = negative ? -value : value;
	return 0;
}

static int show_oom_score(struct proc_text *t, struct process *p)
{
	struct quire_mm *mm = process_get_mm(p);
	int64_t pages = 0, total = (int64_t)Q->pages.total_pages, score;

	if (mm) {
		pages = mm->rss[QUIRE_RSS_ANON] + mm->rss[QUIRE_RSS_FILE] +
			mm->rss[QUIRE_RSS_SHMEM];
		quire_mmput(mm);
	}
	score = pages * 1000 / (total ? total : 1) + p->oom_score_adj;
	proc_print(t, "%d\n", score < 0 ? 0 : (int)score);
	return 0;
}

/* ---- Links --------------------------------------------------------------------------------------------- */

static int exe_link(struct process *p, int fd, char *buf, size_t size)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct file *exe = p->exe && p->mm ? p->exe : NULL;
	int n;

	if (exe)
		file_get(exe);
	quire_spin_unlock_irq(Q, &process_lock, flags);
	if (!exe)
		return -ENOENT;
	n = ksnprintf(buf, size, "%s%s", exe->map.path,
		      exe->map.flags & QUIRE_FILE_DELETED ? " (deleted)" : "");
	file_put(exe);
	return n < (int)size ? n : (int)size - 1;
}

static struct inode *exe_follow(struct process *p, int fd)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct inode *inode = p->exe && p->mm ? p->exe->inode : NULL;

	if (inode)
		inode_get(inode);
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return inode;
}

static struct inode *directory_of(struct process *p, bool root)
{
	unsigned long flags = quire_spin_lock_irq(Q, &process_lock);
	struct inode *inode = p->mm ? (root ? p->fs->root : p->fs->cwd) : NULL;

	if (inode)
		inode_get(inode);
	quire_spin_unlock_irq(Q, &process_lock, flags);
	return inode;
}

static struct inode *cwd_follow(struct process *p, int fd)
{
	return directory_of(p, false);
}

static struct inode *root_follow(struct process *p, int fd)
{
	return directory_of(p, true);
}

/* What a link says is found without fs_lock when it is read, with it when a path leads through: so not by path_of(). */
static int root_link(struct process *p, int fd, char *buf, size_t size)
{
	return ksnprintf(buf, size, "/");
}

static int cwd_link(struct process *p, int fd, char *buf, size_t size)
{
	struct inode *cwd = directory_of(p, false);
	char *path = cwd ? path_of(cwd) : NULL;
	int n = path ? ksnprintf(buf, size, "%s", path) : -ENOENT;

	if (cwd)
		inode_put(cwd);
	quire_kfree(Q, path);
	return n < (int)size ? n : (int)size - 1;
}

static int show_mounts(struct proc_text *t, struct process *p)
{
	return mounts_show(t, false);
}

static int show_mountinfo(struct proc_text *t, struct process *p)
{
	return mounts_show(t, true);
}

#define FILE_NODE(name, mode, ...)                                                                 \
	{                                                                                          \
		PROC_PID, name, S_IFREG | (mode), __VA_ARGS__                                      \
	}

const struct proc_node proc_process_nodes[] = {
	FILE_NODE("auxv", 0400, .show = show_auxv),
	FILE_NODE("cmdline", 0444, .show = show_cmdline),
	FILE_NODE("comm", 0644, .show = show_comm, .store = store_comm),
	{PROC_PID, "cwd", S_IFLNK | 0777, .link = cwd_link, .follow = cwd_follow},
	FILE_NODE("environ", 0400, .show = show_environ),
	{PROC_PID, "exe", S_IFLNK | 0777, .link = exe_link, .follow = exe_follow},
	{PROC_PID, "fd", S_IFDIR | 0500, .directory = PROC_FD},
	FILE_NODE("limits", 0444, .show = show_limits),
	FILE_NODE("maps", 0444, .of_mm = quire_proc_maps),
	FILE_NODE("mountinfo", 0444, .show = show_mountinfo),
	FILE_NODE("mounts", 0444, .show = show_mounts),
	FILE_NODE("oom_score", 0444, .show = show_oom_score),
	FILE_NODE("oom_score_adj", 0644, .show = show_oom_adj, .store = store_oom_adj),
	FILE_NODE("pagemap", 0400, .read = read_pagemap),
	{PROC_PID, "root", S_IFLNK | 0777, .link = root_link, .follow = root_follow},
	FILE_NODE("smaps", 0444, .of_mm = quire_proc_smaps),
	FILE_NODE("smaps_rollup", 0444, .of_mm = quire_proc_smaps_rollup),
	FILE_NODE("stat", 0444, .show = show_stat),
	FILE_NODE("statm", 0444, .show = show_statm),
	FILE_NODE("status", 0444, .show = show_status),
	{PROC_PID, "task", S_IFDIR | 0555, .directory = PROC_TASK},
	{.name = NULL},
};

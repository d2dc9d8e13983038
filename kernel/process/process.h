/* SPDX-License-Identifier: MIT */
/* Processes: what threads share. Locks: process_lock (irq) for the tree, lists of threads, signals, and states. */
#ifndef KERNEL_PROCESS_H
#define KERNEL_PROCESS_H

#include "core/thread.h"
#include "process/signal.h"

struct file;
struct files;
struct inode;

enum process_state { PROCESS_ALIVE, PROCESS_ZOMBIE, PROCESS_REAPED };

#define RLIMIT_CPU 0
#define RLIMIT_FSIZE 1
#define RLIMIT_DATA 2
#define RLIMIT_STACK 3
#define RLIMIT_CORE 4
#define RLIMIT_NPROC 6
#define RLIMIT_NOFILE 7
#define RLIMIT_MEMLOCK 8
#define RLIMIT_AS 9
#define NR_RLIMITS 16

struct rlimit64 {
	uint64_t soft, hard;
};

/* Where names begin, and what new files may not be. */
struct fs_context {
	uint32_t refs; /* atomic */
	struct quire_mutex lock;
	struct inode *root, *cwd;
	uint32_t umask;
};

/* Of timer_create(2). */
struct posix_timer {
	struct quire_list link; /* process->posix_timers; process_lock */
	struct timer timer;
	struct process *process;
	int id, tid; /* tid: the thread that gets the signal; 0: the process */
	int clock, notify, signo;
	unsigned long value;
	int32_t overrun; /* of the signal taken last; process_lock */
};

struct process {
	struct quire_list link; /* all processes */
	struct quire_list children, sibling;
	struct process *parent;	   /* NULL: init */
	struct quire_list threads; /* thread.link */
	unsigned nr_threads;	   /* that are not dead */
	uint32_t refs;		   /* atomic */
	int pid, pgid, sid;
	enum process_state state;
	bool execed;	 /* has called exec since its fork */
	bool group_exit; /* all threads are to end, with exit_code */
	int exit_code;	 /* as wait(2) tells it */
	int exit_signal;
	bool stopped, report_stop, report_continue;
	int stop_signal;
	struct quire_mm *mm; /* NULL: gone; process_lock to look at it from outside */
	struct files *files;
	struct fs_context *fs;
	struct sighand *sighand;
	struct signal_queue pending;
	struct process *vfork_parent; /* waits for exec or exit; a reference */
	uint32_t uid, euid, suid, gid, egid, sgid;
	uint64_t user_ticks, system_ticks, child_user_ticks,
		child_system_ticks; /* of threads that ended */
	uint64_t start_ns;
	/* Of its memory, once that is gone; of children that were waited for, and theirs. The largest RSS in pages. */
	uint64_t minor_faults, major_faults, max_rss;
	uint64_t child_minor_faults, child_major_faults, child_max_rss;
	struct rlimit64 rlimit[NR_RLIMITS];
	char comm[16];
	struct file *exe;
	struct timer alarm; /* ITIMER_REAL */
	struct quire_list posix_timers;
	int next_timer;
	struct {
		uint64_t left, interval; /* nanoseconds; 0: off */
	} cpu_timer[2];			 /* ITIMER_VIRTUAL, ITIMER_PROF; process_lock */
	int oom_score_adj;
	bool dumpable, no_new_privs;
	bool membarrier;   /* registered for it */
	int pdeath_signal; /* for it, when its parent ends; 0: none */
	unsigned long personality;
};

extern struct quire_spinlock process_lock;
extern struct quire_list processes;
extern struct process *init_process;

static inline struct process *current_process(void)
{
	return current()->process;
}

static inline char *thread_comm(struct thread *t)
{
	return t->tid == t->process->pid ? t->process->comm : t->comm;
}

/* ---- process.c ---------------------------------------------------------------------------------- */

void processes_init(void);
struct process *process_new(void); /* with a pid; linked nowhere */
void process_get(struct process *p);
void process_put(struct process *p);
struct process *process_find(int pid); /* with a reference; NULL: none */
struct process *process_find_locked(int pid);
struct thread *thread_find_locked(int tid); /* of any process */
int new_tid(void);
struct quire_mm *process_get_mm(struct process *p); /* a user of it, or NULL */
void process_tick(struct process *p, bool user);    /* one of its threads has run for a tick */
void process_apply_limits(struct process *p, struct quire_mm *mm);
unsigned process_count(void);

struct fs_context *fs_context_new(const struct fs_context *from);
void fs_context_put(struct fs_context *fs);
struct sighand *sighand_new(const struct sighand *from);
void sighand_put(struct sighand *s);

/* Makes process 1, whose thread begins in the kernel with fn. */
void process_start_init(void (*fn)(void *arg));
/* In it: run the first program. */
void process_exec_init(void);

/* ---- fork.c, exec.c, exit.c ------------------------------------------------------------------------- */

struct clone_args {
	uint64_t flags;
	uint64_t stack; /* 0: as the parent's */
	uint64_t parent_tid, child_tid, tls;
	uint64_t pidfd; /* CLONE_PIDFD: where the descriptor's number goes */
	int exit_signal;
};
int64_t process_clone(const struct regs *regs, const struct clone_args *args);

/* Both are arrays of pointers in user memory, or (kernel) in the kernel's, ended by NULL. */
int process_exec(struct regs *regs, const char *path, uint64_t argv, uint64_t envp, bool kernel);

void process_exit_thread(int code) __attribute__((noreturn)); /* this thread alone */
void process_exit_group(int code) __attribute__((noreturn));
void process_begin_group_exit_locked(struct process *p, int code);
int64_t process_wait(int pid, int options, int *status, struct siginfo *info,
		     struct process **reaped);
uint64_t process_max_rss(const struct quire_mm *mm); /* in pages */
void process_release_mm(struct thread *t);	     /* it is in no space any more */
/* Process 1 is over: so is the machine. */
void process_init_ended(int code) __attribute__((noreturn));

#define WNOHANG 1
#define WUNTRACED 2
#define WEXITED 4
#define WCONTINUED 8
#define WNOWAIT 0x01000000
#define WNOTHREAD 0x20000000u /* children of this thread alone: here they are the process's */
#define WALL 0x40000000u      /* whatever their signals */
#define WCLONE 0x80000000u    /* those whose signal is not SIGCHLD */

/* An open file that stands for a process (pidfd.c): ready to read when it has ended. */
int pidfd_open(struct process *p, uint32_t flags, struct file **out);
struct process *
pidfd_process(const struct file *file); /* no reference of its own; NULL: another kind of file */

/* ---- timers.c ------------------------------------------------------------------------------------------ */

void posix_timers_drop(struct process *p); /* at exec and exit; may sleep */

/* ---- rseq.c -------------------------------------------------------------------------------------------- */

void rseq_update(struct regs *regs); /* of a thread that has one, before it goes on there */

/* ---- futex.c ------------------------------------------------------------------------------------------- */

void futex_init(void);
/* timeout: of the waits not 0 if there is one, of so many nanoseconds; else a number. */
int64_t futex_call_ns(uint64_t addr, int op, uint32_t value, uint64_t timeout, uint64_t ns,
		      uint64_t addr2, uint32_t value3);
void futex_wake_user(uint64_t addr); /* clear_child_tid's */
void futex_exit_robust(struct thread *t);

/* ---- elf.c ------------------------------------------------------------------------------------------------ */

struct elf_image {
	uint64_t entry; /* where to begin: the interpreter's, if there is one */
	uint64_t program_entry;
	uint64_t headers; /* address of the program headers */
	unsigned nr_headers;
	uint64_t interpreter_base;
	bool exec_stack;
};
/* Map the program in file into the new space *mm; -ENOEXEC and other errors. */
int elf_load(struct file *file, struct quire_mm *mm, struct elf_image *image, uint64_t random);

#endif

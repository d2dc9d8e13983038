/* SPDX-License-Identifier: MIT */
/* Threads: what the scheduler switches between, the kernel's own and those of processes. */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include "core/kernel.h"
#include "core/wait.h"
#include "process/siginfo.h"

struct process;

#define KERNEL_STACK_SIZE 16384u

enum thread_state {
	THREAD_RUNNABLE, /* runs, or waits for a processor */
	THREAD_PARKED,
	THREAD_DEAD, /* the switch away from it frees it */
};

struct thread {
	struct quire_list run_link; /* in the queue of the runnable; under the scheduler's lock */
	unsigned long sp;	    /* where it goes on, while it does not run */
	void *stack;		    /* KERNEL_STACK_SIZE, from vmalloc, with a guard page below */
	enum thread_state state;    /* scheduler's lock */
	bool unparked;		    /* scheduler's lock */
	bool on_cpu;		    /* some processor is on its stack; scheduler's lock */
	bool is_idle;
	uint64_t affinity;  /* processors that it may run on */
	uint32_t slice;	    /* ticks left */
	struct timer timer; /* of park() */
	uint64_t user_ticks, kernel_ticks;

	/* Of a process; NULL: a kernel thread. */
	struct process *process;
	struct quire_mm *mm; /* NULL: it is in no space of its own */
	int tid;
	char comm[16];		/* of all but a process's first thread, whose is the process's */
	struct quire_list link; /* process->threads; process_lock */
	uint64_t blocked;	/* signal mask: bit n - 1 */
	uint64_t
		saved_mask; /* of rt_sigsuspend and the like, put back when its signal is delivered */
	bool restore_mask;
	struct signal_queue pending;
	uint64_t altstack, altstack_size;
	uint32_t altstack_flags;
	uint64_t clear_child_tid, robust_list;
	uint64_t rseq; /* its struct rseq; 0: none */
	uint32_t rseq_signature;
	bool rseq_event; /* something has happened that it must be told of before it goes on */
	bool killed; /* ends on its way to user mode */
	bool exiting;
	unsigned long fault_address, trap_error, trap_number; /* what a signal frame shows */
	unsigned long fs_base, gs_base;			      /* 32 bits: gs_base is the selector */
	uint64_t tls[3]; /* 32 bits: descriptors of set_thread_area() */
	uint8_t fpu[512] __attribute__((aligned(16)));
};

/* ---- Making (thread.c) ------------------------------------------------------------------------- */

void threads_init(void); /* the boot processor's idle thread, which runs now */

/* A thread that will call fn(arg); not started. NULL: no memory. */
struct thread *thread_create(void (*fn)(void *arg), void *arg);
struct thread *thread_create_idle(struct cpu *cpu);
void thread_start(struct thread *t);

/* Free what thread_create() made, of a thread that was never started or runs no more. Any context. */
void thread_free(struct thread *t);

/* Stacks that are kept for the next threads go back: before pages are counted. */
void thread_drain(void);

/* This thread is over. */
void thread_exit(void) __attribute__((noreturn));

static inline unsigned long thread_stack_top(const struct thread *t)
{
	return (unsigned long)t->stack + KERNEL_STACK_SIZE;
}

/* What user mode goes on with: on top of the stack. */
static inline struct regs *thread_regs(const struct thread *t)
{
	return (struct regs *)thread_stack_top(t) - 1;
}

/* ---- Scheduling (sched.c) ------------------------------------------------------------------------ */

void schedule(void);	     /* let another thread run; interrupts may be on or off */
void preempt_schedule(void); /* the same, if it is this processor's turn to */
void schedule_tail(void);    /* a new thread's first step */
void idle_loop(void) __attribute__((noreturn));
void timer_tick(struct cpu *cpu, bool user);
unsigned runnable_threads(void);

/* Interrupts are off, before and after: let others run, deliver signals. */
void return_to_user(struct regs *regs);

/* What a thread has beside its stack: registers that the kernel does not use itself (context.c). */
void thread_save_context(struct thread *t);
int thread_set_tls(struct thread *t, uint64_t addr); /* 32 bits: clone's struct user_desc */
void thread_load_context(struct thread *t);

#endif

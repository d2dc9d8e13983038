/* SPDX-License-Identifier: MIT */
/* Sending signals, and what a thread does about them on its way to user mode. */
#ifndef KERNEL_SIGNAL_H
#define KERNEL_SIGNAL_H

#include "core/thread.h"
#include "process/siginfo.h"

#define SIG_DFL 0ul
#define SIG_IGN 1ul
#define SA_NOCLDSTOP 1ul
#define SA_NOCLDWAIT 2ul
#define SA_SIGINFO 4ul
#define SA_RESTORER 0x04000000ul
#define SA_ONSTACK 0x08000000ul
#define SA_RESTART 0x10000000ul
#define SA_NODEFER 0x40000000ul
#define SA_RESETHAND 0x80000000ul

/* Linux's struct kernel_sigaction. */
struct sigaction {
	unsigned long handler, flags, restorer;
	uint64_t mask;
};

/* Shared by processes that were cloned so. */
struct sighand {
	uint32_t refs;			     /* atomic */
	struct sigaction action[NR_SIGNALS]; /* process_lock */
};

/* To a process, or (thread) to one thread. 0, or -EAGAIN: no memory, or too many. Any context. */
int signal_send(struct process *process, struct thread *thread, const struct siginfo *info);
int signal_send_locked(struct process *process, struct thread *thread, const struct siginfo *info);

/* May who runs now send it to the process? */
bool signal_permitted(const struct process *to, int signo);

/* Of a timer that has rung so often; what is pending of it already counts what it has missed. tid 0: to the process. */
void signal_send_timer(struct process *p, int tid, const struct siginfo *info, uint64_t rings);

/* From who runs now to whom kill(2) means; with signo 0 only the checks. */
int signal_kill(int pid, int signo, int code);
void signal_kill_group(int pgid, int signo);

/* An exception of the current thread: it gets this signal whatever its mask says. */
void signal_fault(struct regs *regs, int signo, int code, uint64_t addr);

/* Something is there that would be delivered now. */
bool signal_pending(const struct thread *t);

/* Deliver one, or end this thread. Interrupts are on. */
void signal_deliver(struct regs *regs);

/* The frame on the user's stack (sigframe.c): -EFAULT if it cannot be written. */
int sigframe_push(struct regs *regs, const struct sigaction *action, const struct siginfo *info,
		  uint64_t mask);
int64_t sigframe_return(struct regs *regs);

/* Take the oldest signal of the set off a thread's or its process's queue; 0: none. process_lock. */
int signal_take(struct thread *t, uint64_t set, struct siginfo *info);

/* Give the thread another mask, and look who else could take what it does not take any more. */
void signal_set_mask(struct thread *t, uint64_t mask);

/* Give back what is kept for later; true: it was something. May sleep. */
bool reclaim(void);
int out_of_memory(struct quire_signal *signal);

#endif

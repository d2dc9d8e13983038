/* SPDX-License-Identifier: MIT */
/* Signals as programs see them: numbers, siginfo (Linux's layout), and queues of them. */
#ifndef KERNEL_SIGINFO_H
#define KERNEL_SIGINFO_H

#include <quire/base.h>

#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGBUS QUIRE_SIGBUS
#define SIGFPE 8
#define SIGKILL QUIRE_SIGKILL
#define SIGUSR1 10
#define SIGSEGV QUIRE_SIGSEGV
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGTSTP 20
#define SIGTTIN 21
#define SIGTTOU 22
#define SIGURG 23
#define SIGXFSZ 25
#define SIGVTALRM 26
#define SIGPROF 27
#define SIGWINCH 28
#define SIGRTMIN 32
#define NR_SIGNALS 64

#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_QUEUE (-1)
#define SI_TIMER (-2)
#define SI_TKILL (-6)
#define ILL_ILLOPN 2
#define FPE_INTDIV 1
#define FPE_FLTINV 7
#define BUS_ADRALN 1
#define TRAP_BRKPT 1
#define TRAP_TRACE 2
#define CLD_EXITED 1
#define CLD_KILLED 2
#define CLD_STOPPED 5
#define CLD_CONTINUED 6

/* 128 bytes. */
struct siginfo {
	int32_t signo, err, code;
	union {
		struct {
			int32_t pid;
			uint32_t uid;
			unsigned long value;
		} rt; /* kill, tgkill, sigqueue */
		struct {
			int32_t id, overrun;
			unsigned long value;
		} timer;
		struct {
			int32_t pid;
			uint32_t uid;
			int32_t status;
			long user_ticks, system_ticks;
		} child;
		struct {
			unsigned long addr;
		} fault;
		char bytes[128 - 12 - (sizeof(long) - 4)];
	};
};
_Static_assert(sizeof(struct siginfo) == 128, "siginfo is 128 bytes");

static inline uint64_t signal_bit(int signo)
{
	return UINT64_C(1) << (signo - 1);
}

/* Pending signals; under process_lock. */
struct signal_queue {
	uint64_t set;
	struct quire_list list; /* of what there is to say of them, oldest first */
};

void signal_queue_init(struct signal_queue *queue);
void signal_queue_clear(struct signal_queue *queue);

#endif

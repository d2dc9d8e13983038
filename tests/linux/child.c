/* SPDX-License-Identifier: MIT */
/*
 * The judged half: performs on the running Linux what the judge asks for. Linked statically; after
 * start-up it makes no call and touches no memory but those it was told to, its own stack and the channel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "child.h"

static struct channel *const channel = (struct channel *)CHANNEL_ADDRESS;
static char signal_stack[65536] __attribute__((aligned(4096)));
static sigjmp_buf back;

static long raw_call(long nr, const uint64_t *a)
{
	register long r10 __asm__("r10") = (long)a[3];
	register long r8 __asm__("r8") = (long)a[4];
	register long r9 __asm__("r9") = (long)a[5];
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static void on_signal(int signo, siginfo_t *info, void *context)
{
	(void)context;
	channel->signo = signo;
	channel->code = info->si_code;
	channel->address = (uint64_t)info->si_addr;
	siglongjmp(back, 1);
}

/* quire_side.c's our_look() does the same. */
static int64_t look(uint64_t addr, uint64_t len)
{
	uint64_t sum = 0, i;

	for (i = 0; i < len; i++)
		sum = sum * LOOK_FACTOR + *(volatile unsigned char *)(addr + i);
	return (int64_t)sum;
}

static void serve(void)
{
	channel->signo = 0;
	channel->code = 0;
	channel->address = 0;
	if (sigsetjmp(back, 0))
		return;
	switch (channel->command) {
	case CMD_CALL:
		channel->result = raw_call(channel->nr, channel->arg);
		break;
	case CMD_LOAD:
		channel->result = look(channel->arg[0], channel->arg[1]);
		break;
	case CMD_STORE:
		*(volatile unsigned char *)channel->arg[0] = (unsigned char)channel->arg[1];
		channel->result = 0;
		break;
	case CMD_EXECUTE:
		/* The judge has stored a return instruction there. */
		((void (*)(void))channel->arg[0])();
		channel->result = 0;
		break;
	default:
		_exit(0);
	}
}

int main(void)
{
	const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP };
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
	unsigned spins;
	size_t i;

	if (mmap((void *)CHANNEL_ADDRESS, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
		 CHANNEL_FD, 0) == MAP_FAILED)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaltstack(&stack, NULL);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	for (i = 0; i < sizeof(signal_stack); i += 4096)
		((volatile char *)signal_stack)[i] = 0;
	channel->ready = 1;
	for (;;) {
		__atomic_store_n(&channel->turn, 0, __ATOMIC_RELEASE);
		syscall(SYS_futex, &channel->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
		for (spins = 0; __atomic_load_n(&channel->turn, __ATOMIC_ACQUIRE) == 0; spins++)
			if (spins > 2000)
				syscall(SYS_futex, &channel->turn, FUTEX_WAIT, 0, NULL, NULL, 0);
		serve();
	}
}

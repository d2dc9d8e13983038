/* SPDX-License-Identifier: MIT */
/*
 * Restartable sequences: registration, the processor's number, and what a signal or another thread does to one that is
 * running. A C library may have registered the thread itself; a child that shares its memory is not.
 */
#include "say.h"
#include <sched.h>
#include <sys/time.h>
#include <ucontext.h>

#define SIGNATURE 0x53053053
enum { COMMITTED = 1, ABORTED = 2 };

struct area {
	uint32_t cpu_id_start, cpu_id;
	uint64_t sequence;
	uint32_t flags, padding[3];
} __attribute__((aligned(32)));

struct sequence {
	uint32_t version, flags;
	uint64_t start, length, abort;
} __attribute__((aligned(32)));

/* Set *name to s, then turn in the sequence until *stop is not 0: COMMITTED; ABORTED if it was. */
int turn(uint64_t *name, const volatile int *stop, const struct sequence *s);
extern const struct sequence sequence, unsigned_sequence;

#ifdef __x86_64__
#define WORD(x) ".quad " x "\n"
__asm__(".text\n"
	".globl turn\n"
	"turn:	movq %rdx, (%rdi)\n"
	"1:	cmpl $0, (%rsi)\n"
	"	je 1b\n"
	"2:	movl $1, %eax\n"
	"	ret\n"
	"	.long 0x53053053\n"
	"3:	movl $2, %eax\n"
	"	ret\n"
#else
#define WORD(x) ".long " x ", 0\n"
__asm__(".text\n"
	".globl turn\n"
	"turn:	movl 4(%esp), %ecx\n"
	"	movl 8(%esp), %edx\n"
	"	movl 12(%esp), %eax\n"
	"	movl %eax, (%ecx)\n"
	"1:	cmpl $0, (%edx)\n"
	"	je 1b\n"
	"2:	movl $1, %eax\n"
	"	ret\n"
	"	.long 0x53053053\n"
	"3:	movl $2, %eax\n"
	"	ret\n"
#endif
	".data\n"
	".balign 32\n"
	".globl sequence, unsigned_sequence\n"
	"sequence: .long 0, 0\n" WORD("1b") WORD("2b - 1b")
		WORD("3b") ".balign 32\n"
			   "unsigned_sequence: .long 0, 0\n" WORD("1b") WORD("2b - 1b")
				   WORD("2b") ".text\n");

static struct area area, other;
static volatile int stop, handled;
static uintptr_t handler_saw;

static long rseq(struct area *a, size_t size, int flags, unsigned signature)
{
	return syscall(SYS_rseq, a, size, flags, signature);
}

static void handle(int number, siginfo_t *info, void *context)
{
	const ucontext_t *u = context;

#ifdef __x86_64__
	handler_saw = (uintptr_t)u->uc_mcontext.gregs[16]; /* RIP */
#else
	handler_saw = (uintptr_t)u->uc_mcontext.gregs[14]; /* EIP */
#endif
	handled++;
}

static void ring(int number)
{
	const struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
	const struct itimerval soon = {.it_value = {0, 20000}};

	must(sigaction(number, &action, NULL) == 0 && setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void registration(void)
{
	want("not at 32 bytes", rseq((struct area *)(void *)((char *)&area + 8), 32, 0, SIGNATURE),
	     -EINVAL);
	want("too short", rseq(&area, 16, 0, SIGNATURE), -EINVAL);
	want("unknown flags", rseq(&area, 32, 2, SIGNATURE), -EINVAL);
	want("unregister nothing", rseq(&area, 32, 1, SIGNATURE), -EINVAL);
	area.cpu_id = -1u;
	want("register", rseq(&area, 32, 0, SIGNATURE), 0);
	fact("it has a number", area.cpu_id < 1024 && area.cpu_id_start < 1024);
	want("again", rseq(&area, 32, 0, SIGNATURE), -EBUSY);
	want("another", rseq(&other, 32, 0, SIGNATURE), -EINVAL);
	want("another signature", rseq(&area, 32, 0, SIGNATURE + 1), -EPERM);
}

static void numbers(void)
{
	cpu_set_t all;
	int cpu, wrong = 0;

	must(sched_getaffinity(0, sizeof(all), &all) == 0);
	for (cpu = 0; cpu < 64; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		on_cpu(cpu);
		wrong += area.cpu_id != (uint32_t)cpu || area.cpu_id_start != (uint32_t)cpu;
	}
	fact("the number follows the thread", !wrong);
}

static void sequences(void)
{
	int i, result = 0;
	pid_t pid;

	stop = 1;
	for (i = 0; i < 1000 && result != COMMITTED; i++)
		result = turn(&area.sequence, &stop, &sequence);
	want("nothing comes between", result, COMMITTED);
	stop = 0;
	/* Others may come between, too; and now and then the signal finds it outside. */
	for (i = 0; i < 20 && handler_saw != (uintptr_t)sequence.abort; i++) {
		handled = 0;
		ring(SIGALRM);
		while (!handled)
			result = turn(&area.sequence, &stop, &sequence);
	}
	want("a signal comes between", result, ABORTED);
	fact("its handler would have gone on behind", handler_saw == (uintptr_t)sequence.abort);
	fact("the sequence is over", area.sequence == 0);
	pid = fork();
	must(pid >= 0);
	for (; pid == 0;)
		; /* wants the processor, too */
	want("another process comes between", turn(&area.sequence, &stop, &sequence), ABORTED);
	must(kill(pid, SIGKILL) == 0);
	want_end("that", pid, "SIGKILL");
}

static void child(void *arg)
{
	want("a fork's child is registered", rseq(&area, 32, 0, SIGNATURE), -EBUSY);
	stop = 0;
	ring(SIGALRM);
	turn(&area.sequence, &stop, arg);
}

static int all(void *arg)
{
	long there = rseq(&area, 0, 0, 0);

	if (there == -1 && errno == ENOSYS)
		not_here("rseq");
	registration();
	numbers();
	sequences();
	want_end("a place to go on without the signature",
		 start(child, (void *)(uintptr_t)&unsigned_sequence), "SIGSEGV");
	want("unregister with another signature", rseq(&area, 32, 1, SIGNATURE + 1), -EPERM);
	want("unregister", rseq(&area, 32, 1, SIGNATURE), 0);
	fact("it has no number", area.cpu_id == -1u);
	want("once more", rseq(&area, 32, 1, SIGNATURE), -EINVAL);
	_exit(finish());
}

int main(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid = clone(all, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	int status;

	must(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

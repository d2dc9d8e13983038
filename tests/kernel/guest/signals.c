/* SPDX-License-Identifier: MIT */
/* Signals: what handlers are told, masks, alternate stacks, calls that are interrupted and made again. */
#include "show.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

static volatile sig_atomic_t count;
static siginfo_t last;

static void note(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	last = *info;
	count++;
}

static void handle(int signo, int flags)
{
	struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO | flags};

	CHECK(!sigaction(signo, &action, NULL));
}

static void information(void)
{
	handle(SIGUSR1, 0);
	CHECK(!kill(getpid(), SIGUSR1));
	printf("kill: code %d, of mine %d\n", last.si_code,
	       last.si_pid == getpid() && last.si_uid == getuid());
	CHECK(!raise(SIGUSR1));
	printf("raise: code %d, of mine %d\n", last.si_code, last.si_pid == getpid());
	CHECK(!sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 1234}));
	printf("sigqueue: code %d value %d\n", last.si_code, last.si_value.sival_int);
	show("kill of nobody", kill(0x3fffffff, SIGUSR1));
	show("kill with nonsense", kill(getpid(), 65));
	show("kill with nothing", kill(getpid(), 0));
	show("sigaction of SIGKILL",
	     sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
}

static void masks(void)
{
	sigset_t set, old, pending;
	struct timespec soon = {0, 20000000};
	siginfo_t info;

	handle(SIGUSR1, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	CHECK(!sigprocmask(SIG_BLOCK, &set, &old));
	count = 0;
	raise(SIGUSR1);
	raise(SIGUSR1);
	CHECK(!sigpending(&pending));
	printf("blocked: delivered %d, pending %d\n", count, sigismember(&pending, SIGUSR1));
	CHECK(!sigprocmask(SIG_SETMASK, &old, NULL));
	printf("unblocked: delivered %d\n", count);
	CHECK(!sigprocmask(SIG_BLOCK, &set, NULL));
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1});
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 2});
	CHECK(sigtimedwait(&set, &info, &soon) == SIGRTMIN);
	printf("first of two in the queue: %d\n", info.si_value.sival_int);
	CHECK(sigtimedwait(&set, &info, &soon) == SIGRTMIN);
	printf("second: %d\n", info.si_value.sival_int);
	show("none left", sigtimedwait(&set, &info, &soon));
	raise(SIGUSR1);
	count = 0;
	sigemptyset(&set);
	show("sigsuspend", sigsuspend(&set));
	printf("sigsuspend delivered %d\n", count);
	CHECK(!sigprocmask(SIG_SETMASK, &old, NULL));
}

static void interrupted(void)
{
	struct itimerval soon = {.it_value = {0, 30000}};
	struct timespec long_time = {5, 0}, rest;
	int ends[2];
	char byte;

	CHECK(!pipe(ends));
	handle(SIGALRM, 0);
	count = 0;
	CHECK(!setitimer(ITIMER_REAL, &soon, NULL));
	show("read is interrupted", read(ends[0], &byte, 1));
	CHECK(!setitimer(ITIMER_REAL, &soon, NULL));
	show("poll is interrupted", poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, -1));
	CHECK(!setitimer(ITIMER_REAL, &soon, NULL));
	show("nanosleep is interrupted", nanosleep(&long_time, &rest));
	show("and says what is left", rest.tv_sec >= 4 && rest.tv_sec <= 5);
	handle(SIGALRM, SA_RESTART);
	fflush(stdout);
	if (!fork()) {
		usleep(100000);
		CHECK(write(ends[1], "x", 1) == 1);
		_exit(0);
	}
	CHECK(!setitimer(ITIMER_REAL, &soon, NULL));
	show("read is made again", read(ends[0], &byte, 1));
	printf("signals: %d\n", count);
	CHECK(wait(NULL) > 0);
	close(ends[0]);
	handle(SIGPIPE, 0);
	show("write to nobody", write(ends[1], "x", 1));
	printf("told by signal %d\n", last.si_signo);
	close(ends[1]);
}

/* ---- From instructions ----------------------------------------------------------------------- */

static void exceptions(void)
{
	struct sigaction action = {.sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO};
	volatile int zero = 0, one = 1;
	volatile char *code;

	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
	if (!sigsetjmp(fault_jump, 1))
		one = one / zero;
	printf("division: signal %d code %d\n", fault_info.si_signo, fault_info.si_code);
	if (!sigsetjmp(fault_jump, 1))
		__asm__ volatile("ud2");
	printf("nonsense: signal %d code %d\n", fault_info.si_signo, fault_info.si_code);
	if (!sigsetjmp(fault_jump, 1))
		__asm__ volatile("int3");
	printf("breakpoint: signal %d code %d\n", fault_info.si_signo, fault_info.si_code);
	if (!sigsetjmp(fault_jump, 1))
		__asm__ volatile("hlt");
	printf("privileged: signal %d code %d\n", fault_info.si_signo, fault_info.si_code);
#ifdef __x86_64__
	if (!sigsetjmp(fault_jump, 1))
		*(volatile char *)0x8000000000000000ul = 1;
	printf("64 bits: no such address: signal %d code %d\n", fault_info.si_signo,
	       fault_info.si_code);
#endif
	if (!sigsetjmp(fault_jump, 1))
		*(volatile char *)-0x100000ul = 1;
	printf("the kernel's: signal %d code %d\n", fault_info.si_signo, fault_info.si_code);
	code = map(1, PROT_READ);
	touch("a write", code + 5, 1, code);
	munmap((void *)(uintptr_t)code, PAGE);
}

static void deep(int n)
{
	volatile char frame[4096];

	memset((char *)(uintptr_t)frame, n, sizeof(frame));
	if (n < 1000000)
		deep(n + 1);
	frame[0] = frame[1];
}

static volatile int handler_on_stack;
static char *alt;

static void overflow_handler(int signo, siginfo_t *info, void *context)
{
	char here;

	(void)context;
	(void)info;
	handler_on_stack = &here >= alt && &here < alt + 65536;
	fault_info.si_signo = signo;
	siglongjmp(fault_jump, 1);
}

static void overflow(void)
{
	struct sigaction action = {.sa_sigaction = overflow_handler,
				   .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct rlimit limit = {1 << 20, 1 << 20};
	stack_t stack = {.ss_size = 65536}, old;

	alt = map(16, PROT_READ | PROT_WRITE);
	stack.ss_sp = alt;
	CHECK(!setrlimit(RLIMIT_STACK, &limit));
	CHECK(!sigaltstack(&stack, NULL));
	show("too small", sigaltstack(&(stack_t){.ss_sp = alt, .ss_size = 100}, NULL));
	CHECK(!sigaltstack(NULL, &old));
	printf("its flags: %d\n", old.ss_flags);
	CHECK(!sigaction(SIGSEGV, &action, NULL));
	if (!sigsetjmp(fault_jump, 1))
		deep(0);
	printf("the stack ends with signal %d, on the other stack: %d\n", fault_info.si_signo,
	       handler_on_stack);
}

static void overflow_alone(void)
{
	struct rlimit limit = {256 << 10, 256 << 10};

	signal(SIGSEGV, SIG_DFL);
	CHECK(!setrlimit(RLIMIT_STACK, &limit));
	deep(0);
}

static void change_register(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)info;
#ifdef __x86_64__
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2; /* over ud2 */
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RDX] = 77;
#else
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EIP] += 2;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EDX] = 77;
#endif
}

static void context(void)
{
	struct sigaction action = {.sa_sigaction = change_register, .sa_flags = SA_SIGINFO};
	long value = 1;
	volatile double d = 1.5;

	CHECK(!sigaction(SIGILL, &action, NULL));
	__asm__ volatile("ud2" : "+d"(value));
	printf("a handler changes a register: %ld, and half of three stays %.1f\n", value, d);
}

static void ignored(void)
{
	signal(SIGTERM, SIG_IGN);
	raise(SIGTERM);
	printf("ignored\n");
	signal(SIGTERM, SIG_DFL);
	raise(SIGTERM);
}

static void aborted(void)
{
	abort();
}

static void stopped(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		raise(SIGSTOP);
		usleep(300000); /* so that its parent hears that it goes on before it is gone */
		_exit(5);
	}
	CHECK(waitpid(pid, &status, WUNTRACED) == pid);
	show_status("child", status);
	show("no news", waitpid(pid, &status, WNOHANG | WUNTRACED));
	CHECK(!kill(pid, SIGCONT));
	CHECK(waitpid(pid, &status, WCONTINUED) == pid);
	show_status("child", status);
	CHECK(waitpid(pid, &status, 0) == pid);
	show_status("child", status);
}

int main(void)
{
	information();
	masks();
	interrupted();
	catch_faults();
	exceptions();
	in_child("overflow", overflow);
	in_child("overflow without a place", overflow_alone);
	context();
	in_child("ignored", ignored);
	in_child("aborted", aborted);
	stopped();
	return 0;
}

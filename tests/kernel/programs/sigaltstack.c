/* SPDX-License-Identifier: MIT */
/* sigaltstack: handlers that ask for it run there; it says whether one does, and cannot be changed meanwhile. */
#include "say.h"

static char *other;
static volatile sig_atomic_t calls;

static int on_other(const void *p)
{
	return (const char *)p >= other && (const char *)p < other + 16 * PAGE;
}

static void second(int number)
{
	char here;

	calls++;
	fact("a second signal's handler goes on there", on_other(&here));
}

static void first(int number)
{
	stack_t now, new = {.ss_sp = other, .ss_size = 8 * PAGE};
	char here;

	calls++;
	fact("the handler is on the other stack", on_other(&here));
	must(sigaltstack(NULL, &now) == 0);
	fact("which says so",
	     now.ss_flags == SS_ONSTACK && now.ss_sp == other && now.ss_size == 16 * PAGE);
	want("it cannot be changed", sigaltstack(&new, NULL), -EPERM);
	raise(SIGUSR2);
}

static void plain(int number)
{
	char here;

	calls++;
	fact("a handler that does not ask is on this one", !on_other(&here));
}

static void child(void *arg)
{
	stack_t now;

	must(sigaltstack(NULL, &now) == 0);
	fact("a child has it too", now.ss_flags == 0 && now.ss_sp == other);
	raise(SIGUSR1);
}

int main(void)
{
	stack_t stack = {0}, old;

	other = pages(16);
	must(sigaltstack(NULL, &old) == 0);
	want("at first there is none", old.ss_flags, SS_DISABLE);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = first, .sa_flags = SA_ONSTACK}, NULL);
	sigaction(SIGUSR2, &(struct sigaction){.sa_handler = second, .sa_flags = SA_ONSTACK}, NULL);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = plain}, NULL);
	stack.ss_sp = other;
	stack.ss_size = 16 * PAGE;
	want("set", sigaltstack(&stack, NULL), 0);
	raise(SIGUSR1);
	want("handlers", calls, 2);
	must(sigaltstack(NULL, &old) == 0);
	want("afterwards nobody is on it", old.ss_flags, 0);
	raise(SIGALRM);
	want_end("child", start(child, NULL), "exit 0");
	stack.ss_size = 100;
	want("too small", sigaltstack(&stack, NULL), -ENOMEM);
	stack.ss_flags = 64;
	stack.ss_size = 16 * PAGE;
	want("unknown flags", sigaltstack(&stack, NULL), -EINVAL);
	want("from nowhere", syscall(SYS_sigaltstack, nowhere(), NULL), -EFAULT);
	stack.ss_flags = SS_DISABLE;
	want("no more", sigaltstack(&stack, &old), 0);
	want("the old one", old.ss_sp == other, 1);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = plain, .sa_flags = SA_ONSTACK}, NULL);
	raise(SIGUSR1);
	return finish();
}

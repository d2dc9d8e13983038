/* SPDX-License-Identifier: MIT */
/* Handlers within handlers: what is blocked meanwhile, SA_NODEFER, SA_RESETHAND, and the order. */
#include "say.h"

static volatile sig_atomic_t depth, deepest, order[8], count;

static void note(int number)
{
	order[count++] = number;
}

static void deferred(int number)
{
	note(number);
	if (++depth > deepest)
		deepest = depth;
	if (count < 3)
		raise(number);
	depth--;
}

static void outer(int number)
{
	note(1);
	raise(SIGUSR2); /* blocked by sa_mask: after us */
	note(2);
}

static void inner(int number)
{
	note(3);
}

static void begin(int number, void (*handler)(int), int flags, int masked)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};

	if (masked)
		sigaddset(&action.sa_mask, masked);
	must(sigaction(number, &action, NULL) == 0);
	depth = deepest = count = 0;
}

int main(void)
{
	struct sigaction now;
	sigset_t set;

	begin(SIGUSR1, deferred, 0, 0);
	raise(SIGUSR1);
	fact("a signal waits for its own handler's end", count == 3 && deepest == 1);
	begin(SIGUSR1, deferred, SA_NODEFER, 0);
	raise(SIGUSR1);
	fact("with SA_NODEFER it does not", count == 3 && deepest == 3);

	begin(SIGUSR1, outer, 0, SIGUSR2);
	begin(SIGUSR2, inner, 0, 0);
	raise(SIGUSR1);
	fact("one in sa_mask comes after the handler",
	     count == 3 && order[0] == 1 && order[1] == 2 && order[2] == 3);
	begin(SIGUSR1, outer, 0, 0);
	raise(SIGUSR1);
	fact("another within it", count == 3 && order[0] == 1 && order[1] == 3 && order[2] == 2);

	begin(SIGUSR1, inner, SA_RESETHAND, 0);
	raise(SIGUSR1);
	must(sigaction(SIGUSR1, NULL, &now) == 0);
	fact("SA_RESETHAND: once", count == 1 && now.sa_handler == SIG_DFL);

	begin(SIGUSR1, inner, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	raise(SIGUSR1);
	raise(SIGUSR1);
	want("blocked", count, 0);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	want("three, pending as one", count, 1);
	signal(SIGUSR1, SIG_IGN);
	raise(SIGUSR1);
	want("ignored", count, 1);
	want("SIGKILL has no handler", sigaction(SIGKILL, &now, NULL), -EINVAL);
	want("nor SIGSTOP", sigaction(SIGSTOP, &now, NULL), -EINVAL);
	want("nor number 0", syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), -EINVAL);
	want("nor number 65", syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), -EINVAL);
	want("a set of another size", syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 7), -EINVAL);
	return finish();
}

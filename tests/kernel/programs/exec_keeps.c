/* SPDX-License-Identifier: MIT */
/* What a process keeps when it executes another program, and what it does not. */
#include "say.h"
#include <sys/resource.h>

static void handler(int number)
{
}

/* Arguments: a descriptor that stays, one that closes, an address, the process. */
static int second(char **argv)
{
	struct sigaction action;
	struct rlimit limit;
	sigset_t set;
	stack_t stack;
	char byte = 0;

	fact("the same process", atoi(argv[4]) == getpid());
	want("a descriptor stays, with its position", read(atoi(argv[1]), &byte, 1), 1);
	want("the byte", byte, 'b');
	want("one with FD_CLOEXEC does not", fcntl(atoi(argv[2]), F_GETFD), -EBADF);
	want_text("memory is gone", areas((char *)strtoul(argv[3], NULL, 16), 1), "nothing");
	must(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
	fact("blocked signals stay blocked", sigismember(&set, SIGUSR1));
	must(sigpending(&set) == 0);
	fact("and pending", sigismember(&set, SIGUSR1));
	must(sigaction(SIGUSR2, NULL, &action) == 0);
	fact("a handler is forgotten", action.sa_handler == SIG_DFL);
	must(sigaction(SIGTERM, NULL, &action) == 0);
	fact("an ignored signal stays ignored", action.sa_handler == SIG_IGN);
	must(sigaltstack(NULL, &stack) == 0);
	fact("no other stack for signals", stack.ss_flags == SS_DISABLE);
	must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	want("limits stay", limit.rlim_cur, 100);
	want("umask stays", umask(0), 031);
	want("the directory stays", chdir("."), 0);
	fact("it is /tmp", getcwd((char[64]){0}, 64) != NULL && access("../tmp", F_OK) == 0);
	return finish();
}

int main(int argc, char **argv)
{
	struct rlimit limit = {100, 100};
	int stays, closes;
	char text[4][32], *args[] = {"exec_keeps", text[0], text[1], text[2], text[3], NULL};
	stack_t stack = {0};
	sigset_t set;

	if (argc > 1)
		return second(argv);
	stays = file_of(1);
	closes = file_of(1);
	must(pwrite(stays, "ab", 2, 0) == 2 && lseek(stays, 1, SEEK_SET) == 1);
	must(fcntl(closes, F_SETFD, FD_CLOEXEC) == 0);
	snprintf(text[0], 32, "%d", stays);
	snprintf(text[1], 32, "%d", closes);
	/* Far from anything a program begins with, if it can be. */
	stack.ss_sp = mmap((char *)0x40000000, 16 * PAGE, RW, PRIVATE, -1, 0);
	stack.ss_size = 16 * PAGE;
	snprintf(text[2], 32, "%lx", (unsigned long)stack.ss_sp);
	snprintf(text[3], 32, "%d", (int)getpid());
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && raise(SIGUSR1) == 0);
	signal(SIGUSR2, handler);
	signal(SIGTERM, SIG_IGN);
	must(sigaltstack(&stack, NULL) == 0 && setrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	     chdir("/tmp") == 0);
	umask(031);
	execv("/proc/self/exe", args);
	must(!"execv");
	return 1;
}

/* SPDX-License-Identifier: MIT */
/* SIGCHLD: what it says of a child's end, and what happens if it is ignored. */
#include "say.h"

static volatile sig_atomic_t count, code, status;
static volatile pid_t who;

static void handler(int number, siginfo_t *info, void *context)
{
	count++;
	code = info->si_code;
	status = info->si_status;
	who = info->si_pid;
}

static void wait_for(int n, sigset_t *set)
{
	while (count < n)
		sigsuspend(set);
}

static void set_flags(int flags)
{
	must(sigaction(SIGCHLD,
		       &(struct sigaction){.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO},
		       NULL) == 0);
	count = 0;
}

int main(void)
{
	sigset_t set, old;
	pid_t pid;
	int ended;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	must(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	set_flags(0);
	pid = fork();
	if (pid == 0)
		_exit(5);
	wait_for(1, &old);
	want_text("a child that exits", code_name(SIGCHLD, code), "EXITED");
	fact("with its status", who == pid && status == 5);
	want_end("waited for", pid, "exit 5");

	pid = fork();
	if (pid == 0) {
		for (;;)
			pause();
	}
	must(kill(pid, SIGTERM) == 0);
	wait_for(2, &old);
	want_text("a child that is killed", code_name(SIGCHLD, code), "KILLED");
	fact("by this signal", who == pid && status == SIGTERM);
	want_end("waited for", pid, "SIGTERM");

	pid = fork();
	if (pid == 0) {
		for (;;)
			pause();
	}
	must(kill(pid, SIGSTOP) == 0);
	wait_for(3, &old);
	want_text("a child that is stopped", code_name(SIGCHLD, code), "STOPPED");
	must(kill(pid, SIGCONT) == 0);
	wait_for(4, &old);
	want_text("and goes on", code_name(SIGCHLD, code), "CONTINUED");
	set_flags(SA_NOCLDSTOP);
	must(kill(pid, SIGSTOP) == 0 && waitpid(pid, &ended, WUNTRACED) == pid);
	fact("with SA_NOCLDSTOP there is none",
	     WIFSTOPPED(ended) && (sigpending(&set) == 0 && !sigismember(&set, SIGCHLD)));
	must(kill(pid, SIGKILL) == 0);
	wait_for(1, &old);
	want_end("killed while stopped", pid, "SIGKILL");

	set_flags(SA_NOCLDWAIT);
	pid = fork();
	if (pid == 0)
		_exit(5);
	want("with SA_NOCLDWAIT nobody is left to wait for", waitpid(pid, &ended, 0), -ECHILD);
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (pid == 0)
		_exit(5);
	want("nor if it is ignored", wait(&ended), -ECHILD);
	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (pid == 0)
		_exit(6);
	want_end("by default there is", pid, "exit 6");
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* Blocked and pending signals; sigsuspend, sigtimedwait, sigqueue, and who a signal is from. */
#include "say.h"

static volatile sig_atomic_t number, code, value, count;
static volatile pid_t from;

static void handler(int n, siginfo_t *info, void *context)
{
	count++;
	number = n;
	code = info->si_code;
	value = info->si_value.sival_int;
	from = info->si_pid;
}

static sigset_t set_of(int one)
{
	sigset_t set;

	sigemptyset(&set);
	if (one)
		sigaddset(&set, one);
	return set;
}

static void sends(void *arg)
{
	must(sigqueue(getppid(), SIGUSR1, (union sigval){.sival_int = 42}) == 0);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	sigset_t none = set_of(0), one = set_of(SIGUSR1), set;
	struct timespec no_time = {0, 0}, short_time = {0, 10000000};
	siginfo_t info;
	pid_t pid;

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	must(sigprocmask(SIG_BLOCK, &one, NULL) == 0);
	raise(SIGUSR1);
	want("blocked: handlers", count, 0);
	must(sigpending(&set) == 0);
	fact("pending", sigismember(&set, SIGUSR1) && !sigismember(&set, SIGUSR2));
	want("sigsuspend", sigsuspend(&none), -EINTR);
	fact("its handler has run", count == 1 && number == SIGUSR1);
	must(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
	fact("blocked again", sigismember(&set, SIGUSR1));

	must(kill(getpid(), SIGUSR1) == 0);
	want("sigtimedwait", sigtimedwait(&one, &info, &no_time), SIGUSR1);
	want_text("from kill", code_name(SIGUSR1, info.si_code), "USER");
	fact("by us", info.si_pid == getpid() && info.si_uid == getuid());
	want("nothing more", sigtimedwait(&one, &info, &no_time), -EAGAIN);
	want("a short wait", sigtimedwait(&one, &info, &short_time), -EAGAIN);
	pid = start(sends, NULL);
	want("sigwaitinfo", sigwaitinfo(&one, &info), SIGUSR1);
	fact("from the child", info.si_pid == pid && info.si_value.sival_int == 42);
	want_text("by sigqueue", code_name(SIGUSR1, info.si_code), "QUEUE");
	want_end("child", pid, "exit 0");
	want("handlers", count, 1);

	must(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 7}) == 0);
	must(sigprocmask(SIG_UNBLOCK, &one, NULL) == 0);
	fact("unblocked", count == 2 && value == 7 && from == getpid());
	want_text("its code", code_name(number, code), "QUEUE");
	must(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR2) == 0);
	fact("tgkill", count == 3 && number == SIGUSR2);
	want_text("its code", code_name(number, code), "TKILL");

	must(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
	sigfillset(&set);
	must(sigprocmask(SIG_BLOCK, &set, NULL) == 0 && sigprocmask(SIG_BLOCK, NULL, &set) == 0);
	fact("SIGKILL and SIGSTOP cannot be blocked",
	     !sigismember(&set, SIGKILL) && !sigismember(&set, SIGSTOP));
	want("signal 0 asks whether somebody is there", kill(getpid(), 0), 0);
	want("nobody is", kill(0x3fffffff, 0), -ESRCH);
	want("no such signal", kill(getpid(), 65), -EINVAL);
	want("no such way", syscall(SYS_rt_sigprocmask, 9, &set, NULL, 8), -EINVAL);
	return finish();
}

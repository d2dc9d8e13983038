/* SPDX-License-Identifier: MIT */
/* wait4 and waitid: for whom, for what, and what they tell. */
#include "say.h"
#include <sys/resource.h>

static void ends(void *arg)
{
	_exit((int)(intptr_t)arg);
}

static void waits(void *arg)
{
	for (;;)
		pause();
}

int main(void)
{
	siginfo_t info = {0};
	struct rusage usage;
	int status, sum = 0, i;
	pid_t pid, other;

	want("nobody to wait for", wait(&status), -ECHILD);
	want("a process that is no child", waitpid(1, &status, 0), -ECHILD);
	pid = start(waits, NULL);
	want("WNOHANG while it runs", waitpid(pid, &status, WNOHANG), 0);
	info.si_pid = 99;
	want("waitid likewise", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG), 0);
	want("says nobody", info.si_pid, 0);
	other = start(ends, (void *)3);
	fact("any child: the one that has ended",
	     waitpid(-1, &status, 0) == other && WEXITSTATUS(status) == 3);
	must(kill(pid, SIGKILL) == 0);
	want("waitid", waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	fact("who and how", info.si_signo == SIGCHLD && info.si_pid == pid &&
				    info.si_status == SIGKILL && info.si_uid == getuid());
	want_text("its code", code_name(SIGCHLD, info.si_code), "KILLED");
	memset(&usage, 0xff, sizeof(usage));
	fact("with WNOWAIT it is still there",
	     wait4(pid, &status, 0, &usage) == pid && WTERMSIG(status) == SIGKILL);
	fact("what it used",
	     usage.ru_utime.tv_sec >= 0 && usage.ru_utime.tv_sec < 100 && usage.ru_minflt >= 0);
	want("now it is not", waitid(P_PID, (id_t)pid, &info, WEXITED), -ECHILD);

	pid = start(waits, NULL);
	must(kill(pid, SIGSTOP) == 0);
	fact("stopped", waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status) &&
				WSTOPSIG(status) == SIGSTOP);
	want("only once", waitpid(pid, &status, WUNTRACED | WNOHANG), 0);
	must(kill(pid, SIGCONT) == 0);
	fact("goes on", waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	must(kill(pid, SIGSTOP) == 0 && waitid(P_PID, (id_t)pid, &info, WSTOPPED) == 0);
	fact("stopped, by waitid", info.si_code == CLD_STOPPED && info.si_status == SIGSTOP);
	must(kill(pid, SIGTERM) == 0 && kill(pid, SIGCONT) == 0);
	want_end("a signal waits until it goes on", pid, "SIGTERM");

	for (i = 1; i <= 8; i++)
		start(ends, (void *)(intptr_t)i);
	for (i = 1; i <= 8; i++) {
		must(waitid(P_ALL, 0, &info, WEXITED) == 0);
		sum += info.si_status;
	}
	want("eight, in any order", sum, 36);
	pid = start(ends, (void *)256);
	want_end("a status has eight bits", pid, "exit 0");
	want("no such option", waitpid(-1, &status, 0x100), -EINVAL);
	want("waitid for nothing", waitid(P_ALL, 0, &info, 0), -EINVAL);
	pid = start(ends, (void *)1);
	want("a status to nowhere", waitpid(pid, nowhere(), 0), -EFAULT);
	return finish();
}

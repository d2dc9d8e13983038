/* SPDX-License-Identifier: MIT */
/* prctl: a thread's name, and what else a process says of itself. */
#include "say.h"
#include <pthread.h>
#include <sys/prctl.h>

static void *thread(void *arg)
{
	char name[17] = "";

	must(prctl(PR_GET_NAME, name) == 0);
	want_text("a thread has its maker's", name, "another name");
	must(prctl(PR_SET_NAME, "thread") == 0);
	return arg;
}

static void child(void *arg)
{
	char name[17] = "";

	must(prctl(PR_GET_NAME, name) == 0);
	want_text("a child too", name, "another name");
	must(prctl(PR_SET_NAME, "child") == 0);
}

/* Killed when its parent ends. */
static void parent(void *arg)
{
	int *fds = arg;
	pid_t pid = fork();
	char byte;

	must(pid >= 0);
	if (pid == 0) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
		must(write(fds[1], "r", 1) == 1);
		for (;;)
			pause();
	}
	must(read(fds[0], &byte, 1) == 1);
}

int main(int argc, char **argv)
{
	char name[17] = "", text[4096], byte;
	pthread_t other;
	int fds[2], back[2], number = -1;

	must(prctl(PR_GET_NAME, name) == 0);
	want_text("at first it is the program's", name, "prctl_names");
	want("PR_SET_NAME", prctl(PR_SET_NAME, "another name"), 0);
	must(prctl(PR_GET_NAME, name) == 0);
	want_text("PR_GET_NAME", name, "another name");
	text_of("/proc/self/comm", text, sizeof(text));
	want_text("comm", strtok(text, "\n"), "another name");
	text_of("/proc/self/status", text, sizeof(text));
	fact("status", !strncmp(text, "Name:\tanother name\n", 19));
	must(pthread_create(&other, NULL, thread, NULL) == 0 && pthread_join(other, NULL) == 0);
	want_end("child", start(child, NULL), "exit 0");
	must(prctl(PR_GET_NAME, name) == 0);
	want_text("ours has stayed", name, "another name");
	must(prctl(PR_SET_NAME, "a name that is much too long") == 0 &&
	     prctl(PR_GET_NAME, name) == 0);
	want_text("a long one is cut", name, "a name that is ");
	want("dumpable", prctl(PR_GET_DUMPABLE), 1);
	want("no longer", prctl(PR_SET_DUMPABLE, 0) | prctl(PR_GET_DUMPABLE), 0);
	want("again", prctl(PR_SET_DUMPABLE, 1), 0);
	want("PR_SET_PDEATHSIG", prctl(PR_SET_PDEATHSIG, SIGUSR1), 0);
	want("PR_GET_PDEATHSIG", (prctl(PR_GET_PDEATHSIG, &number), number), SIGUSR1);
	want("no such signal", prctl(PR_SET_PDEATHSIG, 99), -EINVAL);
	must(pipe(fds) == 0 && pipe(back) == 0);
	want_end("a parent ends", start(parent, fds), "exit 0");
	close(fds[1]);
	want("and its child with it", read(fds[0], &byte, 1), 0);
	want("no new privileges", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	want("it stays so", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	want("unknown", prctl(99999, 0, 0, 0, 0), -EINVAL);
	want("a name from nowhere", prctl(PR_SET_NAME, nowhere()), -EFAULT);
	return finish();
}

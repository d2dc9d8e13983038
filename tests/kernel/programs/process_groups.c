/* SPDX-License-Identifier: MIT */
/* Groups and sessions: who is in which, waiting for one and signalling one. */
#include "say.h"

static int fds[2];

static void member(void *arg)
{
	char byte = 'r';

	must(write(fds[1], &byte, 1) == 1);
	for (;;)
		pause();
}

static void session(void *arg)
{
	pid_t self = getpid();

	fact("a new session", setsid() == self);
	fact("and group", getsid(0) == self && getpgrp() == self);
	want("only once", setsid(), -EPERM);
	want("its leader stays in its group", setpgid(0, 0), -EPERM);
}

int main(void)
{
	pid_t first, second, third;
	int status;
	char byte;

	must(pipe(fds) == 0);
	first = start(member, NULL);
	second = start(member, NULL);
	third = start(member, NULL);
	fact("a child is in its parent's group",
	     getpgid(first) == getpgrp() && getsid(first) == getsid(0));
	want("a group of its own", setpgid(first, first), 0);
	want("another joins", setpgid(second, first), 0);
	fact("both are in it",
	     getpgid(first) == first && getpgid(second) == first && getpgid(third) == getpgrp());
	must(read(fds[0], &byte, 1) == 1 && read(fds[0], &byte, 1) == 1 &&
	     read(fds[0], &byte, 1) == 1);
	want("a signal to the group", kill(-first, SIGTERM), 0);
	fact("one", waitpid(-first, &status, 0) > 0 && WTERMSIG(status) == SIGTERM);
	fact("two", waitpid(-first, &status, 0) > 0 && WTERMSIG(status) == SIGTERM);
	want("no more", waitpid(-first, &status, 0), -ECHILD);
	want("the third is not in it", waitpid(third, &status, WNOHANG), 0);
	want("the group is gone", kill(-first, SIGTERM), -ESRCH);
	must(kill(third, SIGKILL) == 0);
	want_end("third", third, "SIGKILL");
	want_end("session", start(session, NULL), "exit 0");
	want("a group of nobody's", setpgid(0, 0x3ffffff), -EPERM);
	want("a process of nobody's", setpgid(0x3ffffff, 0), -ESRCH);
	want("below 0", setpgid(0, -1), -EINVAL);
	want("whose group", getpgid(0x3ffffff), -ESRCH);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* vfork: the child has the parent's memory, and the parent waits until it executes or ends. */
#include "say.h"

static char *p;
static volatile int seen;

int main(int argc, char **argv)
{
	pid_t pid;

	if (argc > 1) {
		say("the program that was executed: %s", argv[1]);
		return 9;
	}
	p = pages(2);
	pid = vfork();
	if (pid == 0) {
		p[0] = 1;
		p[PAGE] = 2;
		seen = 1;
		_exit(4);
	}
	must(pid > 0);
	fact("when vfork is back the child has written", seen && p[0] == 1 && p[PAGE] == 2);
	want_end("child", pid, "exit 4");

	seen = 0;
	pid = vfork();
	if (pid == 0) {
		execl("/proc/self/exe", "vfork_exec", "hello", NULL);
		seen = 1;
		_exit(1);
	}
	must(pid > 0);
	want_end("child", pid, "exit 9");
	fact("executing it did not come back", !seen);
	fact("our memory is as it was", p[0] == 1 && p[PAGE] == 2);

	pid = vfork();
	if (pid == 0) {
		execl("/tmp/there is no such file", "x", NULL);
		seen = errno;
		_exit(7);
	}
	want_end("child that cannot execute", pid, "exit 7");
	want("its error is here", seen == ENOENT, 1);
	return finish();
}

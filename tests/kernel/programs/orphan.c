/* SPDX-License-Identifier: MIT */
/* A process whose parent ends goes on, with another parent; deep chains end from the inside. */
#include "say.h"

static int fds[2];

static int chain(int depth)
{
	int status;
	pid_t pid;

	if (depth == 0)
		return 1;
	pid = fork();
	if (pid == 0)
		_exit(chain(depth - 1));
	must(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status) + 1;
}

int main(void)
{
	pid_t pid, parent = getpid();
	char byte = 0;

	must(pipe(fds) == 0);
	pid = fork();
	if (pid == 0) {
		pid_t self = getpid();

		if (getppid() != parent)
			_exit(2);
		pid = fork();
		if (pid == 0) {
			while (getppid() == self)
				pause_ms(1);
			byte = getppid() != self ? 'o' : 'x';
			must(write(fds[1], &byte, 1) == 1);
			_exit(0);
		}
		_exit(0);
	}
	want_end("a child ends before its own", pid, "exit 0");
	want("which goes on", (long)read(fds[0], &byte, 1), 1);
	want("with another parent", byte, 'o');
	pid = fork();
	if (pid == 0)
		_exit(chain(20));
	want_end("a chain of twenty", pid, "exit 21");
	return finish();
}

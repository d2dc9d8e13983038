/* SPDX-License-Identifier: MIT */
/* clone3: a child by a structure, whose size says how old the caller is. */
#include "say.h"

#ifndef SYS_clone3
#define SYS_clone3 435
#endif

enum { PIDFD = 0x1000, PARENT_SETTID = 0x100000, SIGHAND = 0x800 };

struct args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
		set_tid_size, cgroup, more[20];
};

static pid_t child_of(struct args *args, size_t size, int status)
{
	pid_t pid = (pid_t)syscall(SYS_clone3, args, size);

	if (pid == 0)
		syscall(SYS_exit_group, status);
	return pid;
}

int main(void)
{
	struct args args = {.exit_signal = SIGCHLD};
	pid_t pid, number = 0;
	int fd = -1;

	pid = child_of(&args, 64, 5);
	if (pid < 0 && errno == ENOSYS)
		not_here("clone3");
	must(pid > 0);
	want_end("like fork", pid, "exit 5");
	args.flags = PARENT_SETTID;
	args.parent_tid = (uintptr_t)&number;
	pid = child_of(&args, 88, 6);
	must(pid > 0);
	want_end("with its number", pid, "exit 6");
	fact("here", number == pid);
	args.flags = PIDFD;
	args.parent_tid = 0;
	args.pidfd = (uintptr_t)&fd;
	pid = child_of(&args, 88, 7);
	must(pid > 0);
	want_end("with a descriptor", pid, "exit 7");
	want("which closes when a program is executed", fcntl(fd, F_GETFD), FD_CLOEXEC);
	args = (struct args){.exit_signal = SIGCHLD};
	pid = child_of(&args, sizeof(args), 8);
	must(pid > 0);
	want_end("a longer structure, of zeroes", pid, "exit 8");
	args.more[19] = 1;
	want("not of zeroes", child_of(&args, sizeof(args), 1), -E2BIG);
	args.more[19] = 0;
	want("too short", child_of(&args, 63, 1), -EINVAL);
	want("longer than a page", child_of(&args, 5000, 1), -E2BIG);
	want("from nowhere", child_of(nowhere(), 64, 1), -EFAULT);
	args.exit_signal = 99;
	want("no such signal", child_of(&args, 64, 1), -EINVAL);
	args.exit_signal = SIGCHLD;
	args.stack_size = PAGE;
	want("a size without a stack", child_of(&args, 64, 1), -EINVAL);
	args.stack_size = 0;
	args.flags = SIGHAND;
	want("handlers without memory", child_of(&args, 64, 1), -EINVAL);
	args.flags = 1ull << 60;
	want("unknown flags", child_of(&args, 64, 1), -EINVAL);
	return finish();
}

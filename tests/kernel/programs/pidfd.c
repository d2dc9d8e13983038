/* SPDX-License-Identifier: MIT */
/* pidfd_open: a descriptor for a process, ready when it ends. */
#include "say.h"
#include <poll.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void waits(void *arg)
{
	for (;;)
		pause();
}

int main(void)
{
	pid_t pid = start(waits, NULL);
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {fd, POLLIN, 0};
	siginfo_t info;

	if (fd < 0 && errno == ENOSYS) {
		kill(pid, SIGKILL);
		not_here("pidfd_open");
	}
	must(fd >= 0);
	want("its flag", fcntl(fd, F_GETFD), FD_CLOEXEC);
	want("while it runs", poll(&p, 1, 0), 0);
	must(kill(pid, SIGTERM) == 0);
	want("ready when it has ended", poll(&p, 1, -1), 1);
	want("to read", p.revents & POLLIN, POLLIN);
	want("waitid", waitid((idtype_t)P_PIDFD, (id_t)fd, &info, WEXITED), 0);
	fact("who and how", info.si_pid == pid && info.si_status == SIGTERM);
	want("of nobody", syscall(SYS_pidfd_open, 0x3fffffff, 0), -ESRCH);
	want("below 0", syscall(SYS_pidfd_open, -1, 0), -EINVAL);
	want("unknown flags", syscall(SYS_pidfd_open, getpid(), 1), -EINVAL);
	fact("of ourselves", (fd = (int)syscall(SYS_pidfd_open, getpid(), 0)) >= 0);
	want("read", read(fd, &info, 1) < 0, 1);
	return finish();
}

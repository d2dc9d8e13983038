/* SPDX-License-Identifier: MIT */
/* poll, ppoll and select on pipes and files: ready, not ready, hung up, time and signals. */
#include "say.h"
#include <poll.h>
#include <sys/select.h>
#include <sys/time.h>

static int fds[2];

static const char *events(short e)
{
	static char said[64];

	snprintf(said, sizeof(said), "%s%s%s%s%s", e & POLLIN ? "IN " : "",
		 e & POLLOUT ? "OUT " : "", e & POLLERR ? "ERR " : "", e & POLLHUP ? "HUP " : "",
		 e & POLLNVAL ? "NVAL " : "");
	return said;
}

static void writes(void *arg)
{
	pause_ms(5);
	must(write(fds[1], "x", 1) == 1);
}

static void handler(int number)
{
}

int main(void)
{
	struct pollfd p[3];
	struct timeval time = {0, 5000};
	struct timespec ns = {0, 5000000};
	struct itimerval soon = {{0, 5000}, {0, 5000}};
	fd_set in, out;
	sigset_t set, none;
	int64_t before;
	char byte;
	pid_t pid;

	must(pipe(fds) == 0);
	p[0] = (struct pollfd){fds[0], POLLIN, 0};
	p[1] = (struct pollfd){fds[1], POLLOUT, 0};
	p[2] = (struct pollfd){-1, POLLIN, 99};
	want("an empty pipe: ready", poll(p, 3, 0), 1);
	want_text("to read", events(p[0].revents), "");
	want_text("to write", events(p[1].revents), "OUT ");
	want("below 0 is left out", p[2].revents, 0);
	before = now_ns(CLOCK_MONOTONIC);
	want("no time is up", poll(p, 1, 10), 0);
	fact("at least that long", now_ns(CLOCK_MONOTONIC) - before >= 10000000);
	pid = start(writes, NULL);
	want("until somebody writes", poll(p, 1, -1), 1);
	want_text("to read", events(p[0].revents), "IN ");
	want_end("child", pid, "exit 0");
	must(read(fds[0], &byte, 1) == 1);
	want("of nothing, for a moment", poll(NULL, 0, 1), 0);
	p[2].fd = 99;
	want("a bad number", poll(p + 2, 1, -1), 1);
	want_text("says so", events(p[2].revents), "NVAL ");
	p[2] = (struct pollfd){file_of(1), POLLIN | POLLOUT, 0};
	want("a file", poll(p + 2, 1, -1), 1);
	want_text("is always", events(p[2].revents), "IN OUT ");

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(fds[0], &in);
	FD_SET(fds[1], &out);
	want("select", select(fds[1] + 1, &in, &out, NULL, &time), 1);
	fact("to write, not to read", FD_ISSET(fds[1], &out) && !FD_ISSET(fds[0], &in));
	FD_SET(fds[0], &in);
	time = (struct timeval){0, 5000};
	want("time is up", select(fds[0] + 1, &in, NULL, NULL, &time), 0);
	fact("nothing is set", !FD_ISSET(fds[0], &in));
	must(write(fds[1], "x", 1) == 1);
	FD_SET(fds[0], &in);
	want("to read", select(fds[0] + 1, &in, NULL, NULL, NULL), 1);
	FD_ZERO(&in);
	FD_SET(20, &in); /* Linux does not look beyond its table: at least 32 */
	want("a bad number", select(21, &in, NULL, NULL, NULL), -EBADF);
	want("below 0", select(-1, NULL, NULL, NULL, NULL), -EINVAL);
	must(read(fds[0], &byte, 1) == 1);

	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART},
		  NULL);
	must(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	want("a signal ends poll", poll(p, 1, -1), -EINTR);
	must(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0 &&
	     sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	raise(SIGALRM);
	want("ppoll lets a blocked one in", ppoll(p, 1, NULL, &none), -EINTR);
	want("and its time", ppoll(p, 1, &ns, &none), 0);

	close(fds[1]);
	want("hung up", poll(p, 1, -1), 1);
	want_text("says", events(p[0].revents), "HUP ");
	must(pipe(fds) == 0 && close(fds[0]) == 0);
	p[1].fd = fds[1];
	want("nobody reads", poll(p + 1, 1, -1), 1);
	want_text("says", events(p[1].revents), "OUT ERR ");
	want("from nowhere", syscall(SYS_poll, nowhere(), 1, 0), -EFAULT);
	return finish();
}

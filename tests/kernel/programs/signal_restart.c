/* SPDX-License-Identifier: MIT */
/* A call that a handler interrupts fails with EINTR, or goes on if SA_RESTART says so. */
#include "say.h"
#include <sys/time.h>

static volatile sig_atomic_t ticks;
static int fds[2];

/* The third tick gives the reader what it waits for. */
static void tick(int number)
{
	if (++ticks == 3)
		must(write(fds[1], "x", 1) == 1);
}

static void stop(int number)
{
	ticks++;
}

static void every_20_ms(void (*handler)(int), int flags)
{
	struct itimerval timer = {{0, 20000}, {0, 20000}};

	must(sigaction(SIGALRM, &(struct sigaction){.sa_handler = handler, .sa_flags = flags},
		       NULL) == 0);
	ticks = 0;
	must(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void never(void)
{
	must(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);
}

int main(void)
{
	struct timespec time = {1000, 0}, left = {0, 0};
	int status;
	pid_t pid;
	char byte;

	must(pipe(fds) == 0);
	every_20_ms(tick, SA_RESTART);
	want("read with SA_RESTART", read(fds[0], &byte, 1), 1);
	never();
	fact("after three ticks", ticks >= 3);
	every_20_ms(stop, 0);
	want("read without", read(fds[0], &byte, 1), -EINTR);
	never();
	fact("after one or more", ticks >= 1);

	every_20_ms(stop, SA_RESTART);
	want("nanosleep is never restarted", nanosleep(&time, &left), -EINTR);
	never();
	fact("and says what was left", left.tv_sec >= 900 && left.tv_sec < 1000);

	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		must(read(fds[0], &byte, 1) == 1);
		_exit(3);
	}
	every_20_ms(stop, 0);
	want("wait without", waitpid(pid, &status, 0), -EINTR);
	every_20_ms(tick, SA_RESTART);
	fact("wait with it", waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 3);
	never();
	every_20_ms(stop, SA_RESTART);
	want("pause", pause(), -EINTR);
	never();
	return finish();
}

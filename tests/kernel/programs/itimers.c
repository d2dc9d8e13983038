/* SPDX-License-Identifier: MIT */
/* setitimer and alarm: they signal, again and again, can be asked and stopped, and are not a child's. */
#include "say.h"
#include <sys/time.h>

static volatile sig_atomic_t signals, code;

static void handler(int number, siginfo_t *info, void *context)
{
	signals++;
	code = info->si_code;
}

static void child(void *arg)
{
	struct itimerval now;

	must(getitimer(ITIMER_REAL, &now) == 0);
	fact("a child has no timer", now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0);
	want("nor an alarm", alarm(0), 0);
}

static void dies(void *arg)
{
	must(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 1000}}, NULL) == 0);
	for (;;)
		pause();
}

int main(void)
{
	struct itimerval timer = {{0, 5000}, {0, 5000}}, old = {{0, 0}, {0, 0}};
	sigset_t set, none;
	int64_t before;

	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	must(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	sigaction(SIGALRM, &(struct sigaction){.sa_sigaction = handler, .sa_flags = SA_SIGINFO},
		  NULL);
	before = now_ns(CLOCK_MONOTONIC);
	want("setitimer", setitimer(ITIMER_REAL, &timer, &old), 0);
	fact("there was none", old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
	while (signals < 3)
		sigsuspend(&none);
	fact("three signals take three times as long",
	     now_ns(CLOCK_MONOTONIC) - before >= 3 * 4900000);
	want_text("from", code_name(SIGALRM, code), "KERNEL");
	want("getitimer", getitimer(ITIMER_REAL, &old), 0);
	fact("says how long and how often", old.it_interval.tv_usec == 5000 &&
						    old.it_value.tv_sec == 0 &&
						    old.it_value.tv_usec <= 5000);
	timer = (struct itimerval){{0, 0}, {100, 0}};
	want("another", setitimer(ITIMER_REAL, &timer, &old), 0);
	want("the old one", old.it_interval.tv_usec, 5000);
	want_end("child", start(child, NULL), "exit 0");
	fact("alarm knows of it", alarm(200) >= 99);
	must(getitimer(ITIMER_REAL, &old) == 0);
	fact("and sets it", old.it_value.tv_sec >= 198 && old.it_value.tv_sec <= 200 &&
				    old.it_interval.tv_sec == 0);
	fact("what is left", alarm(0) >= 199);
	want("now nothing", alarm(0), 0);

	while (sigtimedwait(&set, NULL, &(struct timespec){0, 0}) == SIGALRM)
		;
	signals = 0;
	timer = (struct itimerval){{0, 0}, {0, 3000}};
	must(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	while (signals < 1)
		sigsuspend(&none);
	must(getitimer(ITIMER_REAL, &old) == 0);
	fact("once", old.it_value.tv_sec == 0 && old.it_value.tv_usec == 0);
	timer.it_value.tv_usec = 1000000;
	want("too many microseconds", setitimer(ITIMER_REAL, &timer, NULL), -EINVAL);
	want("no such timer", setitimer(7, &old, NULL), -EINVAL);
	want("none to be asked", getitimer(7, &old), -EINVAL);
	must(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	signal(SIGALRM, SIG_DFL);
	want_end("without a handler", start(dies, NULL), "SIGALRM");
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* timer_create and the others: with a value, by which clock, how often, how often missed. */
#include "say.h"

static volatile sig_atomic_t signals, code, value;

static void handler(int number, siginfo_t *info, void *context)
{
	signals++;
	code = info->si_code;
	value = info->si_value.sival_int;
}

static void child(void *arg)
{
	struct itimerspec now;

	want("a child does not have it", timer_gettime(*(timer_t *)arg, &now), -EINVAL);
}

int main(void)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
	struct itimerspec spec = {{0, 4000000}, {0, 4000000}}, now = {{0, 0}, {0, 0}};
	timer_t timer, silent, other;
	sigset_t set, none;
	siginfo_t info;
	int64_t before, at;

	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	sigaction(SIGUSR1, &(struct sigaction){.sa_sigaction = handler, .sa_flags = SA_SIGINFO},
		  NULL);
	want("create", timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	want("ask", timer_gettime(timer, &now), 0);
	fact("it does not go yet", now.it_value.tv_sec == 0 && now.it_value.tv_nsec == 0);
	before = now_ns(CLOCK_MONOTONIC);
	want("set", timer_settime(timer, 0, &spec, NULL), 0);
	while (signals < 3)
		sigsuspend(&none);
	fact("three signals take three times as long",
	     now_ns(CLOCK_MONOTONIC) - before >= 12000000);
	want_text("from", code_name(SIGUSR1, code), "TIMER");
	want("with", value, 42);
	pause_ms(30);
	want("many that nobody took are one", sigwaitinfo(&set, &info), SIGUSR1);
	fact("and counted", info.si_overrun > 0 && info.si_overrun == timer_getoverrun(timer));
	must(timer_gettime(timer, &now) == 0);
	fact("asked", now.it_interval.tv_nsec == 4000000 && now.it_value.tv_nsec <= 4000000);
	want("stop", timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 0}}, &now), 0);
	want("the old", now.it_interval.tv_nsec, 4000000);
	want_end("child", start(child, &timer), "exit 0");

	at = now_ns(CLOCK_MONOTONIC) + 8000000;
	spec = (struct itimerspec){{0, 0}, {(time_t)(at / 1000000000), (long)(at % 1000000000)}};
	while (sigtimedwait(&set, &info, &(struct timespec){0, 0}) == SIGUSR1)
		;
	want("at a time", timer_settime(timer, TIMER_ABSTIME, &spec, NULL), 0);
	want("signal", sigwaitinfo(&set, &info), SIGUSR1);
	fact("not before it", now_ns(CLOCK_MONOTONIC) >= at);

	event.sigev_notify = SIGEV_NONE;
	want("a silent one", timer_create(CLOCK_REALTIME, &event, &silent), 0);
	spec = (struct itimerspec){{0, 0}, {1000, 0}};
	must(timer_settime(silent, 0, &spec, NULL) == 0 && timer_gettime(silent, &now) == 0);
	fact("goes", now.it_value.tv_sec > 900 && now.it_value.tv_sec <= 1000);
	want("delete", timer_delete(silent), 0);
	spec.it_value.tv_nsec = 1000000000;
	want("too many nanoseconds", timer_settime(timer, 0, &spec, NULL), -EINVAL);
	want("no such clock", timer_create(77, &event, &other), -EINVAL);
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = 99;
	want("no such signal", timer_create(CLOCK_MONOTONIC, &event, &other), -EINVAL);
	want("delete", timer_delete(timer), 0);
	want("it is gone", timer_gettime(timer, &now), -EINVAL);
	return finish();
}

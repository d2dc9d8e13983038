/* SPDX-License-Identifier: MIT */
/* A signal in the middle of work leaves all registers as they were, those of numbers too, and errno is the program's. */
#include "say.h"
#include <sys/time.h>

static volatile sig_atomic_t ticks;
static volatile double noise = 3.25;

static void tick(int number)
{
	double x = noise;
	int i;

	for (i = 0; i < 50; i++)
		x = x * 1.5 - noise / 7;
	noise = x > 1e9 ? 3.25 : x;
	ticks++;
}

/* The same sums, whatever happens meanwhile. */
static uint64_t work(int rounds, double *sum)
{
	uint64_t x = 88172645463325252ull, a = 1, b = 2, c = 3;
	double f = 1, g = 0.5, h = 0.25;
	int i;

	for (i = 0; i < rounds; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		a += x ^ b;
		b = b * 31 + c;
		c ^= a >> 3;
		f = f * 0.75 + (double)(x & 255);
		g = g * 0.5 + f;
		h += g - f;
	}
	*sum = f + g + h;
	return a ^ b ^ c;
}

int main(void)
{
	struct itimerval timer = {{0, 2000}, {0, 2000}};
	double sum, again;
	uint64_t result = work(100000, &sum);
	int rounds = 0, same = 1;

	must(sigaction(SIGALRM, &(struct sigaction){.sa_handler = tick, .sa_flags = SA_RESTART},
		       NULL) == 0);
	must(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	while (ticks < 10 && rounds++ < 20000)
		same = same && work(100000, &again) == result && !memcmp(&again, &sum, sizeof(sum));
	must(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL) == 0);
	fact("ten signals came", ticks >= 10);
	fact("each sum is the same", same);
	return finish();
}

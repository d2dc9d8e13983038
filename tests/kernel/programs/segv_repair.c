/* SPDX-License-Identifier: MIT */
/* A handler that makes the memory there is to be, and returns: the instruction is made again, and goes on. */
#include "say.h"

static char *p;
static volatile sig_atomic_t signals;

static void handler(int number, siginfo_t *info, void *context)
{
	char *at = (char *)((uintptr_t)info->si_addr & ~(PAGE - 1));
	int saved = errno;

	signals++;
	if (info->si_code == SEGV_MAPERR) {
		must(mmap(at, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0) == at);
		memset(at, 3, PAGE);
	} else {
		must(mprotect(at, PAGE, RW) == 0);
	}
	errno = saved;
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
	size_t i;
	double x = 1.5;

	p = place(16);
	must(sigaction(SIGSEGV, &action, NULL) == 0);
	fact("a page is made when it is read", *(volatile char *)(p + 5) == 3);
	want("by one signal", signals, 1);
	memset(p + PAGE, 7, 3 * PAGE);
	fact("and written", all_are(p + PAGE, 3 * PAGE, 7));
	want("signals", signals, 4);
	*(volatile uint32_t *)(p + 5 * PAGE - 2) = 0x04040404;
	want("over a border: signals", signals, 6);
	fact("all bytes are there",
	     all_are(p + 5 * PAGE - 2, 4, 4) && all_are(p + 4 * PAGE, PAGE - 2, 3));

	must(mprotect(p, 4 * PAGE, PROT_READ) == 0);
	for (i = 0; i < 4 * PAGE; i += 64) {
		x = x * 1.25 - 0.25;
		p[i] = (char)i;
	}
	want("who wrote where: signals", signals, 10);
	fact("a number kept in a register is right", x > 1.5 && x < 1e40);
	must(mprotect(p, 4 * PAGE, PROT_NONE) == 0);
	fact("a copy through it",
	     (memcpy(p + 2 * PAGE + 64, p, PAGE), p[2 * PAGE + 64 + 128] == (char)128));
	want("signals", signals, 13);
	want("a call does not signal", read(open("/dev/zero", O_RDONLY), p + 15 * PAGE, 1),
	     -EFAULT);
	want("signals", signals, 13);
	return finish();
}

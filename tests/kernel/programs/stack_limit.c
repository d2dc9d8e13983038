/* SPDX-License-Identifier: MIT */
/* RLIMIT_STACK: who goes beyond it gets SIGSEGV, which a handler on another stack can take. */
#include "say.h"
#include <sys/resource.h>

static volatile uintptr_t lowest; /* where the stack has come to */
static sigjmp_buf out;
static volatile sig_atomic_t signals, code, near, elsewhere;
static char *other;
static volatile int deepest = 1 << 30; /* never reached */

static void handler(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	char here;

	signals++;
	code = info->si_code;
	near = at <= lowest && at > lowest - 2 * PAGE;
	elsewhere = &here >= other && &here < other + 16 * PAGE;
	siglongjmp(out, 1);
}

__attribute__((noinline)) static int dig(int depth)
{
	volatile char room[1024];

	room[0] = room[1023] = (char)depth;
	lowest = (uintptr_t)room;
	return depth < deepest ? dig(depth + 1) + room[0] : 0;
}

static void limited(void *arg)
{
	struct rlimit limit = {256 << 10, 1 << 20};
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	stack_t stack = {0};
	uintptr_t top = (uintptr_t)&stack;
	int i;

	other = pages(16);
	stack.ss_sp = other;
	stack.ss_size = 16 * PAGE;
	must(setrlimit(RLIMIT_STACK, &limit) == 0 && sigaltstack(&stack, NULL) == 0);
	must(sigaction(SIGSEGV, &action, NULL) == 0);
	for (i = 0; i < 2; i++) {
		if (sigsetjmp(out, 1) == 0)
			dig(0);
		fact("a signal", signals == i + 1);
		want_text("its code", code_name(SIGSEGV, code), "MAPERR");
		fact("its address is where the stack was to grow", near);
		fact("its handler is on the other stack", elsewhere);
		fact("the stack had about what it may",
		     top - lowest > (128 << 10) && top - lowest < (260 << 10));
	}
	limit.rlim_cur = 512 << 10;
	must(setrlimit(RLIMIT_STACK, &limit) == 0);
	if (sigsetjmp(out, 1) == 0)
		dig(0);
	fact("with a higher limit it goes deeper", signals == 3 && top - lowest > (384 << 10));
}

static void unready(void *arg)
{
	struct rlimit limit = {128 << 10, 1 << 20}, none = {0, 0};

	must(setrlimit(RLIMIT_STACK, &limit) == 0 && setrlimit(RLIMIT_CORE, &none) == 0);
	if (arg)
		sigaction(SIGSEGV,
			  &(struct sigaction){.sa_sigaction = handler, .sa_flags = SA_SIGINFO},
			  NULL);
	dig(0);
}

int main(void)
{
	want_end("limited", start(limited, NULL), "exit 0");
	want_end("without a handler", start(unready, NULL), "SIGSEGV");
	want_end("with one that has no room", start(unready, "handler"), "SIGSEGV");
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* SIGFPE, SIGILL and SIGTRAP: their codes and addresses; what ends a process that has no handler. */
#include "say.h"
#include <sys/resource.h>

static sigjmp_buf out;
static volatile sig_atomic_t number, code;
static void *volatile address;

static void handler(int n, siginfo_t *info, void *context)
{
	number = n;
	code = info->si_code;
	address = info->si_addr;
	siglongjmp(out, 1);
}

static void divide(void *arg)
{
	int result;

	__asm__ volatile("xorl %%edx, %%edx\n\tidivl %2"
			 : "=a"(result)
			 : "0"(1), "r"(0)
			 : "edx", "cc");
}

static void undefined(void *arg)
{
	__asm__ volatile("ud2");
}

static void breakpoint(void *arg)
{
	__asm__ volatile("int3");
}

static void privileged(void *arg)
{
	__asm__ volatile("hlt");
}

static void dies(void *run)
{
	struct rlimit none = {0, 0};
	void (*function)(void *);

	memcpy(&function, &run, sizeof(run));
	must(setrlimit(RLIMIT_CORE, &none) == 0);
	function(NULL);
}

static void try_it(const char *what, void (*run)(void *), const char *expected, const char *end)
{
	static char said[64];
	void *pointer;

	memcpy(&pointer, &run, sizeof(run));
	number = code = 0;
	if (sigsetjmp(out, 1) == 0)
		run(NULL);
	snprintf(said, sizeof(said), "%s %s", signal_name(number), code_name(number, code));
	want_text(what, said, expected);
	if (number == SIGFPE || number == SIGILL)
		fact("at the instruction",
		     (char *)address >= (char *)pointer && (char *)address < (char *)pointer + 64);
	signal(number, SIG_DFL);
	want_end("without a handler", start(dies, pointer), end);
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	try_it("division by zero", divide, "SIGFPE INTDIV", "SIGFPE");
	try_it("undefined instruction", undefined, "SIGILL ILLOPN", "SIGILL");
	try_it("breakpoint", breakpoint, "SIGTRAP KERNEL", "SIGTRAP");
	try_it("privileged instruction", privileged, "SIGSEGV KERNEL", "SIGSEGV");
	return finish();
}

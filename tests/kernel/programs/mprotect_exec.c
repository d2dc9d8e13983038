/* SPDX-License-Identifier: MIT */
/* Instructions written into memory can be executed once it has the right, and not before. */
#include "say.h"

/* mov $N, %eax; ret */
static void write_answer(unsigned char *p, unsigned char n)
{
	static const unsigned char code[] = {0xb8, 0, 0, 0, 0, 0xc3};

	memcpy(p, code, sizeof(code));
	p[1] = n;
}

static int call(void *p)
{
	int (*function)(void);

	memcpy(&function, &p, sizeof(p));
	return function();
}

static const char *call_fault(void *p)
{
	static char said[64];
	struct sigaction action = {.sa_sigaction = say_fault_handler, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &action, NULL);
	if (sigsetjmp(say_fault_return, 1) == 0) {
		call(p);
		return "fine";
	}
	snprintf(said, sizeof(said), "%s %s%s", signal_name(say_fault_signal),
		 code_name(say_fault_signal, say_fault_code),
		 say_fault_address == p ? "" : " elsewhere");
	return said;
}

int main(void)
{
	char *p = pages(2);

	write_answer((unsigned char *)p, 42);
	write_answer((unsigned char *)p + PAGE - 3, 43); /* over the pages' border */
#ifdef __x86_64__
	want_text("executing without the right", call_fault(p), "SIGSEGV ACCERR");
#else
	say("executing without the right: SIGSEGV ACCERR"); /* only where the processor can tell */
#endif
	want("mprotect", mprotect(p, 2 * PAGE, PROT_READ | PROT_EXEC), 0);
	want_areas("then", p, 2, "0-2 r-xp");
	want("it answers", call(p), 42);
	want("over the border", call(p + PAGE - 3), 43);
	want_fault("writing it", p, 'w', "SIGSEGV ACCERR");
	want("the second page's right taken", mprotect(p + PAGE, PAGE, RW), 0);
	want("the first", call(p), 42);
#ifdef __x86_64__
	call_fault(p + PAGE - 3);
	fact("stops at the border", say_fault_code == SEGV_ACCERR && say_fault_address == p + PAGE);
#else
	say("stops at the border: yes");
#endif
	want("writable again", mprotect(p, 2 * PAGE, RW), 0);
	write_answer((unsigned char *)p, 44);
	want("executable again", mprotect(p, 2 * PAGE, RW | PROT_EXEC), 0);
	want("new instructions are seen", call(p), 44);
	write_answer((unsigned char *)p, 45);
	want("at once", call(p), 45);
	want_text("where nothing is", (munmap(p, 2 * PAGE), call_fault(p)), "SIGSEGV MAPERR");
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* SIGSEGV: its code and its address, for reads and writes, near and far. */
#include "say.h"

/* An access of several bytes that begins where one may and ends where one may not. */
static void want_wide_fault(const char *what, char *p, char *first_bad)
{
	struct sigaction action = {.sa_sigaction = say_fault_handler, .sa_flags = SA_SIGINFO};

	sigaction(SIGSEGV, &action, NULL);
	if (sigsetjmp(say_fault_return, 1) == 0) {
		*(volatile uint32_t *)p = 0x01010101;
		fact(what, 0);
		return;
	}
	fact(what, say_fault_signal == SIGSEGV && say_fault_address == first_bad);
}

int main(void)
{
	char *p = pages(4), *shared = mmap(NULL, PAGE, PROT_READ, SHARED, -1, 0);

	must(shared != MAP_FAILED && mprotect(p + PAGE, PAGE, PROT_READ) == 0 &&
	     mprotect(p + 2 * PAGE, PAGE, PROT_NONE) == 0);
	want_fault("reading address 0", NULL, 'r', "SIGSEGV MAPERR");
	want_fault("writing address 5", (char *)5, 'w', "SIGSEGV MAPERR");
	want_fault("writing read-only memory", p + PAGE + 123, 'w', "SIGSEGV ACCERR");
	want_fault("reading it", p + PAGE + 123, 'r', "fine");
	want_fault("writing shared read-only memory", shared, 'w', "SIGSEGV ACCERR");
	want_fault("reading memory without rights", p + 2 * PAGE + 1, 'r', "SIGSEGV ACCERR");
	want_fault("writing it", p + 3 * PAGE - 1, 'w', "SIGSEGV ACCERR");
	want_fault("writing the program's own instructions", (char *)(uintptr_t)main, 'w',
		   "SIGSEGV ACCERR");
	want_fault("writing a constant", "a constant", 'w', "SIGSEGV ACCERR");
	want_wide_fault("an access over a border names the first byte that cannot be", p + PAGE - 2,
			p + PAGE);
	munmap(p + 3 * PAGE, PAGE);
	want_fault("memory that was there", p + 3 * PAGE, 'r', "SIGSEGV MAPERR");
#ifdef __x86_64__
	want_fault("the kernel's memory", (char *)0xffff888000000000ul, 'r', "SIGSEGV MAPERR");
	want_fault("written", (char *)0xffffffff81000000ul, 'w', "SIGSEGV MAPERR");
	want_fault("the last byte of all", (char *)-1ul, 'r', "SIGSEGV MAPERR");
	want_text("an address that there cannot be",
		  (fault((char *)0x8000000000000000ul, 'r'), code_name(SIGSEGV, say_fault_code)),
		  "KERNEL");
	fact("has no address", say_fault_address == NULL);
#else
	say("the kernel's memory: SIGSEGV MAPERR");
	say("written: SIGSEGV MAPERR");
	want_fault("the last byte of all", (char *)-1ul, 'r', "SIGSEGV MAPERR");
	say("an address that there cannot be: KERNEL");
	say("has no address: yes");
#endif
	fact("the program lives", p[0] == 0);
	return finish();
}

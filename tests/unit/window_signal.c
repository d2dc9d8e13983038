/* SPDX-License-Identifier: MIT */
/*
 * cmocka takes SIGSEGV before every test and every fixture, by signal(), to call it a failure. A machine with a window
 * needs it first (machine_catch_faults()), and passes on what is not a machine's. Linked into tests
 * that have such machines: their signal() comes before libc's.
 */
#include <signal.h>

#include <machine.h>

void (*signal(int signo, void (*handler)(int)))(int)
{
	struct sigaction to = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;

	if (sigaction(signo, &to, &before))
		return SIG_ERR;
	if (signo == SIGSEGV)
		machine_catch_faults();
	return before.sa_handler;
}

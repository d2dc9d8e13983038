/* SPDX-License-Identifier: MIT */
/*
 * What every program here uses: it prints what it sees, and the driver compares that with what the same file prints on the
 * host's Linux. So nothing printed may depend on addresses, numbers of processes, or time.
 */
#ifndef SHOW_H
#define SHOW_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

/* Line by line, wherever it goes: so that lines of parents and children are in one order. */
__attribute__((constructor)) static void print_lines(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* A call's result: an errno, or its value. */
static inline long show(const char *what, long result)
{
	if (result == -1)
		printf("%s: errno %d\n", what, errno);
	else
		printf("%s: %ld\n", what, result);
	return result;
}

/* The same for one whose value is an address: only whether there is one. */
static inline void *show_address(const char *what, void *p)
{
	if (p == MAP_FAILED)
		printf("%s: errno %d\n", what, errno);
	else
		printf("%s: mapped\n", what);
	return p;
}

/* What must be so everywhere. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			printf("%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition,   \
			       errno);                                                             \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static inline char *map(size_t pages, int prot)
{
	char *p = mmap(NULL, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* ---- Bad accesses ------------------------------------------------------------------------ */

#include <setjmp.h>

static sigjmp_buf fault_jump;
static siginfo_t fault_info;

static inline void fault_handler(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)context;
	fault_info = *info;
	siglongjmp(fault_jump, 1);
}

static inline void catch_faults(void)
{
	struct sigaction action = {.sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO};

	CHECK(!sigaction(SIGSEGV, &action, NULL));
	CHECK(!sigaction(SIGBUS, &action, NULL));
}

/* Read or write a byte: says what came of it; base: what the address is counted from. */
static inline void touch(const char *what, volatile char *p, int write, const volatile char *base)
{
	if (sigsetjmp(fault_jump, 1)) {
		printf("%s: signal %d code %d at %ld\n", what, fault_info.si_signo,
		       fault_info.si_code,
		       (long)((char *)fault_info.si_addr - (char *)(uintptr_t)base));
		return;
	}
	if (write)
		*p = 42;
	else
		(void)*p;
	printf("%s: fine\n", what);
}

/* ---- Children ------------------------------------------------------------------------------ */

static inline void show_status(const char *what, int status)
{
	if (WIFEXITED(status))
		printf("%s: exit %d\n", what, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		printf("%s: killed by %d\n", what, WTERMSIG(status));
	else if (WIFSTOPPED(status))
		printf("%s: stopped by %d\n", what, WSTOPSIG(status));
	else
		printf("%s: goes on\n", what);
}

/* Run fn in a child and show how it ended. */
static inline void in_child(const char *what, void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	show_status(what, status);
}

#endif

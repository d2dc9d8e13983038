/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this directory say, and how. A line is one write: children and threads may say things as long
 * as somebody waits in between. What is said must be the same on every kernel and with every C library: no addresses,
 * numbers of processes or times, but places relative to something, and whether a thing is so.
 *
 * want() and its like say what came back, and remember when it was not what the manual promises; the status at the
 * end, finish(), is then 1. Preparations that are not what the program is about are in must().
 */
#ifndef SAY_H
#define SAY_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define _FILE_OFFSET_BITS 64
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define SHARED (MAP_SHARED | MAP_ANONYMOUS)
#define NOT_HERE 77 /* status of a program whose call this kernel is too old for */

static int say_failures;

__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	if (write(1, line, (size_t)n) != n)
		_exit(1);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static inline const char *error_name(int error)
{
#define E(name)                                                                                    \
	case name:                                                                                 \
		return #name
	switch (error) {
		E(EPERM);
		E(ENOENT);
		E(ESRCH);
		E(EINTR);
		E(EIO);
		E(ENXIO);
		E(E2BIG);
		E(ENOEXEC);
		E(EBADF);
		E(ECHILD);
		E(EAGAIN);
		E(ENOMEM);
		E(EACCES);
		E(EFAULT);
		E(EBUSY);
		E(EEXIST);
		E(EXDEV);
		E(ENODEV);
		E(ENOTDIR);
		E(EISDIR);
		E(EINVAL);
		E(ENFILE);
		E(EMFILE);
		E(ENOTTY);
		E(ETXTBSY);
		E(EFBIG);
		E(ENOSPC);
		E(ESPIPE);
		E(EROFS);
		E(EMLINK);
		E(EPIPE);
		E(ERANGE);
		E(EDEADLK);
		E(ENAMETOOLONG);
		E(ENOSYS);
		E(ENOTEMPTY);
		E(ELOOP);
		E(EIDRM);
		E(EOVERFLOW);
		E(EOPNOTSUPP);
		E(ENOTSOCK);
		E(EAFNOSUPPORT);
		E(ETIMEDOUT);
		E(EOWNERDEAD);
		E(ENOTRECOVERABLE);
	}
#undef E
	return "another error";
}

static inline const char *signal_name(int number)
{
#define S(name)                                                                                    \
	case name:                                                                                 \
		return #name
	switch (number) {
		S(SIGHUP);
		S(SIGINT);
		S(SIGQUIT);
		S(SIGILL);
		S(SIGTRAP);
		S(SIGABRT);
		S(SIGBUS);
		S(SIGFPE);
		S(SIGKILL);
		S(SIGUSR1);
		S(SIGSEGV);
		S(SIGUSR2);
		S(SIGPIPE);
		S(SIGALRM);
		S(SIGTERM);
		S(SIGCHLD);
		S(SIGCONT);
		S(SIGSTOP);
		S(SIGTSTP);
		S(SIGXFSZ);
		S(SIGSYS);
	}
#undef S
	return "another signal";
}

static inline const char *code_name(int number, int code)
{
	if (number == SIGSEGV && code == SEGV_MAPERR)
		return "MAPERR";
	if (number == SIGSEGV && code == SEGV_ACCERR)
		return "ACCERR";
	if (number == SIGBUS && code == BUS_ADRERR)
		return "ADRERR";
	if (number == SIGFPE && code == FPE_INTDIV)
		return "INTDIV";
	if (number == SIGILL && code == ILL_ILLOPN)
		return "ILLOPN";
	if (number == SIGCHLD && code == CLD_EXITED)
		return "EXITED";
	if (number == SIGCHLD && code == CLD_KILLED)
		return "KILLED";
	if (number == SIGCHLD && code == CLD_STOPPED)
		return "STOPPED";
	if (number == SIGCHLD && code == CLD_CONTINUED)
		return "CONTINUED";
	if (code == SI_USER)
		return "USER";
	if (code == SI_QUEUE)
		return "QUEUE";
	if (code == SI_TIMER)
		return "TIMER";
	if (code == SI_TKILL)
		return "TKILL";
	if (code == 0x80)
		return "KERNEL";
	return "another code";
}

/* ---- What came back -------------------------------------------------------------------------- */

/* A preparation: says nothing if it works, and ends the program if it does not. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			say("FAILED: %s:%d: %s: %s", __FILE_NAME__, __LINE__, #condition,          \
			    error_name(errno));                                                    \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static inline int finish(void)
{
	if (say_failures)
		say("FAILED: %d", say_failures);
	return say_failures ? 1 : 0;
}

static inline void not_here(const char *what)
{
	say("not here: %s", what);
	_exit(NOT_HERE);
}

/* What a call answered: -errno where it answered -1. */
static inline long answer_of(long returned)
{
	return returned == -1 ? -(long)errno : returned;
}

static inline const char *answer_text(long answer, char *text, size_t size)
{
	if (answer < 0 && answer > -4096)
		return error_name((int)-answer);
	snprintf(text, size, "%ld", answer);
	return text;
}

static inline void want_answer(const char *what, long answer, long expected)
{
	char one[32], other[32];

	if (answer == expected) {
		say("%s: %s", what, answer_text(answer, one, sizeof(one)));
		return;
	}
	say_failures++;
	say("%s: %s, NOT %s", what, answer_text(answer, one, sizeof(one)),
	    answer_text(expected, other, sizeof(other)));
}

/* The call must answer a number, or fail with -errno. */
#define want(what, call, expected) want_answer(what, answer_of((long)(call)), (long)(expected))

static inline void want_text(const char *what, const char *text, const char *expected)
{
	if (!strcmp(text, expected)) {
		say("%s: %s", what, text);
		return;
	}
	say_failures++;
	say("%s: %s, NOT %s", what, text, expected);
}

static inline void fact(const char *what, int is_so)
{
	if (!is_so)
		say_failures++;
	say("%s: %s", what, is_so ? "yes" : "NO");
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static inline char *pages(size_t count)
{
	char *p = mmap(NULL, count * PAGE, RW, PRIVATE, -1, 0);

	must(p != MAP_FAILED);
	return p;
}

/* An address where nothing is; the compiler does not know that. */
static inline void *nowhere(void)
{
	void *p = (void *)8;

	__asm__ volatile("" : "+r"(p));
	return p;
}

/* A place for that many pages where nothing is, for the moment. */
static inline char *place(size_t count)
{
	char *p = mmap(NULL, count * PAGE, PROT_NONE, PRIVATE | MAP_NORESERVE, -1, 0);

	must(p != MAP_FAILED && munmap(p, count * PAGE) == 0);
	return p;
}

/* A file in memory of that many pages; each begins with its number. */
static inline int file_of(size_t count)
{
	int fd = memfd_create("file", 0);
	size_t i;

	must(fd >= 0 && ftruncate(fd, (off_t)(count * PAGE)) == 0);
	for (i = 0; i < count; i++) {
		unsigned char number = (unsigned char)i;

		must(pwrite(fd, &number, 1, (off_t)(i * PAGE)) == 1);
	}
	return fd;
}

static inline int all_are(const char *p, size_t length, int value)
{
	size_t i;

	for (i = 0; i < length; i++) {
		if (((const volatile char *)p)[i] != (char)value)
			return 0;
	}
	return 1;
}

/* The text of a file, as far as it fits, with a 0 behind it. */
static inline size_t text_of(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n;

	must(fd >= 0);
	while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = 0;
	close(fd);
	return length;
}

/* What /proc/self/maps has between p and p + count pages, cut to that: "0-2 rw-p, 3-4 r--p". */
static inline const char *areas(const char *p, size_t count)
{
	static char text[65536], said[512];
	unsigned long from = (unsigned long)p, to = from + count * PAGE, start, end;
	char *line, *next, rights[8];

	text_of("/proc/self/maps", text, sizeof(text));
	said[0] = 0;
	for (line = text; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (sscanf(line, "%lx-%lx %4s", &start, &end, rights) != 3 || end <= from ||
		    start >= to)
			continue;
		start = start < from ? 0 : (start - from) / PAGE;
		end = end > to ? count : (end - from) / PAGE;
		snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s%lu-%lu %s",
			 said[0] ? ", " : "", start, end, rights);
	}
	return said[0] ? said : "nothing";
}

#define want_areas(what, p, count, expected) want_text(what, areas(p, count), expected)

/* A figure in kB, such as "VmRSS:", of a text of /proc; -1: not there. */
static inline long figure(const char *path, const char *name)
{
	static char text[65536];
	char *found;

	text_of(path, text, sizeof(text));
	found = strstr(text, name);
	return found ? atol(found + strlen(name)) : -1;
}

/* ---- Accesses that fail ---------------------------------------------------------------------- */

static sigjmp_buf say_fault_return;
static volatile sig_atomic_t say_fault_signal, say_fault_code;
static void *volatile say_fault_address;

static inline void say_fault_handler(int number, siginfo_t *info, void *context)
{
	say_fault_signal = number;
	say_fault_code = info->si_code;
	say_fault_address = info->si_addr;
	siglongjmp(say_fault_return, 1);
}

/* What comes of reading ('r') or writing ('w') the byte at p: "fine", "SIGSEGV ACCERR". */
static inline const char *fault(const void *p, int access)
{
	static char said[64];
	struct sigaction action = {.sa_sigaction = say_fault_handler, .sa_flags = SA_SIGINFO}, segv,
			 bus;
	volatile char *at = (volatile char *)(uintptr_t)p;

	sigaction(SIGSEGV, &action, &segv);
	sigaction(SIGBUS, &action, &bus);
	if (sigsetjmp(say_fault_return, 1) == 0) {
		if (access == 'w')
			*at = 1;
		else
			(void)*at;
		snprintf(said, sizeof(said), "fine");
	} else {
		snprintf(said, sizeof(said), "%s %s%s", signal_name(say_fault_signal),
			 code_name(say_fault_signal, say_fault_code),
			 say_fault_address == p ? "" : " elsewhere");
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return said;
}

#define want_fault(what, p, access, expected) want_text(what, fault(p, access), expected)

/* ---- Processes ------------------------------------------------------------------------------- */

/* A child that runs this, and ends with 1 if something was not as it should be. */
static inline pid_t start(void (*run)(void *arg), void *arg)
{
	pid_t pid = fork();

	must(pid >= 0);
	if (pid == 0) {
		say_failures = 0;
		run(arg);
		_exit(say_failures ? 1 : 0);
	}
	return pid;
}

/* Wait for it: "exit 0", "SIGKILL". */
static inline const char *end_of(pid_t pid)
{
	static char said[32];
	int status;
	pid_t got;

	do {
		got = waitpid(pid, &status, 0);
	} while (got < 0 && errno == EINTR);
	must(got == pid);
	if (WIFEXITED(status))
		snprintf(said, sizeof(said), "exit %d", WEXITSTATUS(status));
	else
		snprintf(said, sizeof(said), "%s", signal_name(WTERMSIG(status)));
	return said;
}

#define want_end(what, pid, expected) want_text(what, end_of(pid), expected)

/* From here on this process is nobody, whoever started it. */
static inline void drop_rights(void)
{
	if (geteuid() == 0)
		must(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static inline void pause_ms(long ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static inline int64_t now_ns(clockid_t clock)
{
	struct timespec now;

	must(clock_gettime(clock, &now) == 0);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif

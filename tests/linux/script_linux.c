/* SPDX-License-Identifier: MIT */
/*
 * A script runs in a process of its own; after a fork in the script, in that process's child or parent.
 * Whoever is last writes the picture into shared memory.
 */
#define _GNU_SOURCE
#include "script_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "script.h"

static char *shared; /* the picture, seen by all processes of a script */
static int file = -1;

static char *page(uint64_t n)
{
	return (char *)(uintptr_t)(SCRIPT_BASE + n * 4096);
}

static void result(long value)
{
	if (value == -1)
		script_picture_error(shared, errno);
}

static void map(const struct script_op *op, int flags, int fd)
{
	void *p = mmap(page(op->start), op->n * 4096, op->prot, flags | MAP_FIXED, fd, (off_t)(op->arg * 4096));

	result(p == MAP_FAILED ? -1 : 0);
}

static void draw(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long long start, end;
	char line[512], perms[8];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%llx-%llx %7s", &start, &end, perms) == 3 && start >= SCRIPT_BASE &&
		    end <= SCRIPT_BASE + SCRIPT_PAGES * 4096)
			script_picture_add(shared, start, end, perms);
	}
	if (maps)
		fclose(maps);
}

static void wait_for(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
}

/* k: true in the child, whose parent only waits. K: the child waits to be killed with its parent. */
static void do_fork(char what)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		_exit(1);
	if (what == 'k') {
		if (pid) {
			wait_for(pid);
			_exit(0);
		}
	} else if (!pid) {
		if (what == 'x')
			_exit(0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			pause();
		_exit(0);
	} else if (what == 'x') {
		wait_for(pid);
	}
}

static sigjmp_buf after_access;

static void access_failed(int signo)
{
	siglongjmp(after_access, signo);
}

static void do_access(volatile char *p, bool store)
{
	int signo = sigsetjmp(after_access, 1);

	if (signo)
		script_picture_error(shared, signo);
	else if (store)
		*p = 1;
	else
		(void)*p;
}

static void run(const char *script)
{
	struct script_op op;

	signal(SIGSEGV, access_failed);
	signal(SIGBUS, access_failed);

	while (script_next(&script, &op) > 0) {
		switch (op.what) {
		case 'm': map(&op, MAP_PRIVATE | MAP_ANONYMOUS, -1); break;
		case 's': map(&op, MAP_SHARED | MAP_ANONYMOUS, -1); break;
		case 'g': map(&op, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1); break;
		case 'f': map(&op, MAP_PRIVATE, file); break;
		case 'F': map(&op, MAP_SHARED, file); break;
		case 'u': result(munmap(page(op.start), op.n * 4096)); break;
		case 'p': result(mprotect(page(op.start), op.n * 4096, op.prot)); break;
		case 'a': result(madvise(page(op.start), op.n * 4096, (int)op.arg)); break;
		/* Not through the C library: AddressSanitizer makes its mlock() and munlock() do nothing. */
		case 'l': result(syscall(SYS_mlock, page(op.start), op.n * 4096)); break;
		case 'L': result(syscall(SYS_munlock, page(op.start), op.n * 4096)); break;
		case 'v':
			result(mremap(page(op.start), op.n * 4096, op.n * 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
				      page(op.arg)) == MAP_FAILED ? -1 : 0);
			break;
		case 'e':
			result(mremap(page(op.start), op.n * 4096, op.arg * 4096, 0) == MAP_FAILED ? -1 : 0);
			break;
		case 'w': do_access(page(op.start), true); break;
		case 'r': do_access(page(op.start), false); break;
		default: do_fork(op.what);
		}
	}
	draw();
}

/* ---- The process that forks -------------------------------------------------------------- */

/*
 * Forks for the tests from a process that has nothing of theirs: copying the tables of a simulated machine under
 * a sanitizer for every script would take longer than all else.
 */
static char *asked; /* the script, shared with that process */
static int to_server = -1, from_server = -1;

static void serve(int from, int to)
{
	char byte;

	while (read(from, &byte, 1) == 1) {
		pid_t pid = fork();

		if (!pid) {
			run(asked);
			_exit(0);
		}
		if (pid < 0)
			_exit(1);
		wait_for(pid);
		if (write(to, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

void script_linux_open(void)
{
	char name[] = "/tmp/quire-script-XXXXXX";
	int ask[2], answer[2];
	pid_t pid;

	shared = mmap(NULL, 2 * SCRIPT_TEXT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	file = mkstemp(name);
	if (shared == MAP_FAILED || file < 0 || ftruncate(file, SCRIPT_FILE_PAGES * 4096) || pipe(ask) || pipe(answer))
		abort();
	unlink(name);
	asked = shared + SCRIPT_TEXT;
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		close(ask[1]);
		close(answer[0]);
		serve(ask[0], answer[1]);
	}
	close(ask[0]);
	close(answer[1]);
	to_server = ask[1];
	from_server = answer[0];
}

void script_linux(const char *script, char *picture)
{
	char byte = 0;

	if (strlen(script) >= SCRIPT_TEXT)
		abort();
	memset(shared, 0, SCRIPT_TEXT);
	strcpy(asked, script);
	if (write(to_server, &byte, 1) != 1 || read(from_server, &byte, 1) != 1)
		abort();
	memcpy(picture, shared, SCRIPT_TEXT);
}

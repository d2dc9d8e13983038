/* SPDX-License-Identifier: MIT */
/*
 * Starting the program; see launch.h. The child is seized before it does anything, gets a seccomp
 * filter that stops it at the calls of the table and at no other, and then becomes the program.
 * The filter stays with it and all its descendants, through exec.
 *
 * An unprivileged process may only have a filter if it gives up gaining rights through exec; it could gain none anyhow
 * while it is traced. Root keeps the right, so that a set-user-ID program behaves.
 */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "util.h"

/* ---- The filter -------------------------------------------------------------------------- */

#define MAX_FILTER 512
#define X32_BIT 0x40000000u

struct filter {
	struct sock_filter code[MAX_FILTER];
	unsigned short len;
};

static void put(struct filter *f, struct sock_filter insn)
{
	if (f->len < MAX_FILTER)
		f->code[f->len++] = insn;
}

static void load(struct filter *f, size_t offset)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void answer(struct filter *f, uint32_t value)
{
	put(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value));
}

/* Run the next instruction only if the accumulator is (at least) k. */
static void only_if(struct filter *f, unsigned short op, uint32_t k)
{
	put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | op | BPF_K, k, 0, 1));
}

#define TRACE (SECCOMP_RET_TRACE | LAUNCH_EVENT_DATA)
#define ARG_LOW(n) (offsetof(struct seccomp_data, args) + 8 * (n))

/* Calls of which only some commands concern an address space: which argument says so, and its values. */
#define UFFDIO_REGISTER_NR 0xc020aa00u
#define UFFDIO_UNREGISTER_NR 0x8010aa01u
#define ARCH_FIRST_MAPPING 0x2000u /* ARCH_MAP_VDSO_*, ARCH_SHSTK_*; what is below concerns registers */
#define SET_MEMORY_MERGE 67

static const struct {
	enum call_id id;
	unsigned arg;
	uint32_t value[4]; /* 0 ends */
	bool or_above;
} partial[] = {
	{ CALL_PRCTL, 0, { PR_SET_MM, 0x53564d41 /* PR_SET_VMA */, SET_MEMORY_MERGE }, false },
	{ CALL_ARCH_PRCTL, 0, { ARCH_FIRST_MAPPING }, true },
	{ CALL_USERFAULTFD, 1, { UFFDIO_REGISTER_NR, UFFDIO_UNREGISTER_NR }, false },
};

static void filter_call(struct filter *f, enum call_id id, uint32_t nr)
{
	size_t i, j, n;

	for (i = 0; i < sizeof(partial) / sizeof(partial[0]); i++) {
		if (partial[i].id != id)
			continue;
		for (n = 0; n < 4 && partial[i].value[n]; n++)
			;
		put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0,
						    (unsigned char)(2 * n + 2)));
		load(f, ARG_LOW(partial[i].arg));
		for (j = 0; j < n; j++) {
			only_if(f, partial[i].or_above ? BPF_JGE : BPF_JEQ, partial[i].value[j]);
			answer(f, TRACE);
		}
		answer(f, SECCOMP_RET_ALLOW);
		return;
	}
	only_if(f, BPF_JEQ, nr);
	answer(f, TRACE);
}

static void build(struct filter *f)
{
	unsigned i;
	unsigned short jump;

	f->len = 0;
	load(f, offsetof(struct seccomp_data, arch));
	/* 64-bit: the block below; its end is patched in, being more than 255 instructions away never. */
	jump = f->len;
	put(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 0));
	load(f, offsetof(struct seccomp_data, nr));
	/* The x32 table can't be followed; a kernel without it says ENOSYS too. */
	only_if(f, BPF_JGE, X32_BIT);
	answer(f, SECCOMP_RET_ERRNO | ENOSYS);
	for (i = 0; i < CALL_NR; i++) {
		if (call_defs[i].name && call_defs[i].nr64 >= 0)
			filter_call(f, (enum call_id)i, (uint32_t)call_defs[i].nr64);
	}
	answer(f, SECCOMP_RET_ALLOW);
	f->code[jump].jf = (unsigned char)(f->len - jump - 1);

	only_if(f, BPF_JEQ, AUDIT_ARCH_I386);
	put(f, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 1));
	answer(f, SECCOMP_RET_ALLOW);
	load(f, offsetof(struct seccomp_data, nr));
	for (i = 0; i < CALL_NR; i++) {
		if (call_defs[i].name && call_defs[i].nr32 >= 0)
			filter_call(f, (enum call_id)i, (uint32_t)call_defs[i].nr32);
	}
	answer(f, SECCOMP_RET_ALLOW);
}

static int install(struct filter *f)
{
	struct sock_fprog prog = { .len = f->len, .filter = f->code };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0)
		return 0;
	if (errno != EACCES || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

/* ---- The child --------------------------------------------------------------------------- */

static struct filter the_filter;
static int go_write;

static void __attribute__((noreturn)) child(char **argv, int go, int report)
{
	int err;
	char c;

	/* Nothing is done before the tracer has hold of this process. */
	while (read(go, &c, 1) < 0 && errno == EINTR)
		;
	if (install(&the_filter) == 0)
		execvp(argv[0], argv);
	err = errno;
	if (write(report, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

int launch_start(struct launch *l, char **argv, unsigned long ptrace_options)
{
	int go[2], report[2], err;

	build(&the_filter);
	if (the_filter.len >= MAX_FILTER) {
		tool_warn("the filter of calls is too long");
		return -1;
	}
	if (pipe2(go, O_CLOEXEC) || pipe2(report, O_CLOEXEC)) {
		tool_warn("cannot make a pipe: %s", strerror(errno));
		return -1;
	}
	l->pid = fork();
	if (l->pid < 0) {
		tool_warn("cannot fork: %s", strerror(errno));
		return -1;
	}
	if (l->pid == 0) {
		close(go[1]);
		child(argv, go[0], report[1]);
	}
	close(go[0]);
	close(report[1]);
	l->report = report[0];
	go_write = go[1];
	if (ptrace(PTRACE_SEIZE, l->pid, 0, ptrace_options)) {
		err = errno;
		kill(l->pid, SIGKILL);
		waitpid(l->pid, NULL, 0);
		tool_warn("cannot trace a process: %s", strerror(err));
		return -1;
	}
	return 0;
}

void launch_go(struct launch *l)
{
	(void)l;
	close(go_write);
}

int launch_result(struct launch *l)
{
	int err = 0;
	ssize_t n;

	do {
		n = read(l->report, &err, sizeof(err));
	} while (n < 0 && errno == EINTR);
	close(l->report);
	l->report = -1;
	return n == sizeof(err) ? err : 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * System calls. Each is a function of struct call, which has its arguments as numbers; what it returns is the program's
 * result or a negative errno. table.c has the numbers.
 */
#ifndef KERNEL_SYSCALL_H
#define KERNEL_SYSCALL_H

#include "core/user.h"
#include "fs/fs.h"
#include "process/process.h"

#define KERNEL_SYSNAME "Linux" /* what programs look for */
#define KERNEL_RELEASE "6.1.0-quire"
#define KERNEL_VERSION "#1 SMP PREEMPT"

struct call {
	uint64_t arg[6];
	struct regs *regs;
};

struct timespec {
	int64_t sec, nsec;
};

#define CALL(number, name) int64_t sys_##name(struct call *c);
#include "syscall/table64.h"
#ifdef __i386__
#include "syscall/table32.h"
#endif
#undef CALL

/* A call that is one expression. */
#define SYSCALL(name, ...)                                                                         \
	int64_t sys_##name(struct call *c)                                                         \
	{                                                                                          \
		return __VA_ARGS__;                                                                \
	}

struct proc_text;
void syscall_show_missing(struct proc_text *t);

/* Time in structs: -EFAULT, -EINVAL. */
int read_timespec(uint64_t addr, uint64_t *ns);
int read_timeval(uint64_t addr, uint64_t *ns);
int write_timespec(uint64_t addr, uint64_t ns);
int write_timeval(uint64_t addr, uint64_t ns);
int read_clock(uint64_t id, uint64_t *ns);
/* The timers of setitimer(2), which from 0 to 2; all in nanoseconds, 0: off. */
void itimer_get(unsigned which, uint64_t *left, uint64_t *interval);
void itimer_set(unsigned which, uint64_t ns, uint64_t interval);

/* poll and select with their deadlines read already. */
int64_t poll_until(struct call *c, uint64_t deadline);
int64_t select_until(struct call *c, uint64_t deadline);
int64_t pselect_until(struct call *c, uint64_t deadline);

/* The wait of rt_sigtimedwait(2) and the limits of prlimit(2), for calls with other structs. */
int64_t signal_wait(uint64_t set_addr, uint64_t info_addr, uint64_t deadline, uint64_t set_size);
int64_t process_set_limit(struct process *p, unsigned resource, const struct rlimit64 *new,
			  struct rlimit64 *old);

/* An array of user memory's parts: allocated, to be freed; -EINVAL (more than 1024), -ENOMEM, -EFAULT. */
int get_iovec(uint64_t addr, uint64_t n, struct quire_iovec **vec);
/* The process that a descriptor is of, with a reference; NULL: EBADF. */
struct process *pidfd_get(int fd, bool *nonblocking);

/* A path argument: allocated, to be freed; an errno otherwise. */
int get_path(uint64_t addr, char **path);
/* The directory that a *at call begins in: a reference, or NULL for the current one; -EBADF, -ENOTDIR. */
int get_base(int fd, struct inode **base);

#endif

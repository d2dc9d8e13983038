/* SPDX-License-Identifier: MIT */
/*
 * Which calls are there at all: each is made once by a child of its own, with arguments that do nothing, and answers
 * something else than ENOSYS. mseal.c asks for the one that is younger than the kernels that people have.
 */
#include "say.h"

#define C(name, ...)                                                                               \
	{                                                                                          \
#name, SYS_##name,                                                                 \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define BAD -1, -1, -1, -1, -1, -1

static uint32_t word = 1;

static const struct {
	const char *name;
	long number;
	long args[6];
} calls[] = {
	C(arch_prctl, BAD),
	C(set_tid_address, 0),
	C(ioctl, BAD),
	C(write, BAD),
	C(writev, BAD),
	C(exit_group, 0),
	C(munmap, BAD),
	C(mprotect, BAD),
	C(mremap, BAD),
	C(brk, 0),
	C(madvise, BAD),
	C(mincore, BAD),
	C(msync, BAD),
	C(mlock, BAD),
	C(mlock2, BAD),
	C(munlock, BAD),
	C(mlockall, BAD),
	C(munlockall, 0),
	C(remap_file_pages, BAD),
	C(getpid, 0),
	C(gettid, 0),
	C(open, BAD),
	C(openat, BAD),
	C(creat, BAD),
	C(close, BAD),
	C(read, BAD),
	C(readv, BAD),
	C(pread64, BAD),
	C(pwrite64, BAD),
	C(lseek, BAD),
	C(statx, BAD),
	C(truncate, BAD),
	C(ftruncate, BAD),
	C(unlink, BAD),
	C(fcntl, BAD),
	C(fsync, BAD),
	C(fdatasync, BAD),
	C(access, BAD),
	C(faccessat, BAD),
	C(set_robust_list, BAD),
	C(rseq, BAD),
	C(prlimit64, BAD),
	C(setrlimit, BAD),
	C(readlink, BAD),
	C(getrandom, BAD),
	C(fork, 0),
	C(clone, SIGCHLD),
	C(clone3, BAD),
	C(execve, BAD),
	C(wait4, BAD),
	C(waitid, BAD),
	C(exit, 0),
	C(rt_sigprocmask, BAD),
	C(rt_sigaction, BAD),
	C(rt_sigreturn, 0),
	C(rt_sigsuspend, BAD),
	C(rt_sigtimedwait, BAD),
	C(sigaltstack, BAD),
	C(kill, 0x3fffffff, 0),
	C(tkill, BAD),
	C(tgkill, BAD),
	C(getppid, 0),
	C(nanosleep, BAD),
	C(clock_nanosleep, BAD),
	C(sched_yield, 0),
	C(pipe, BAD),
	C(pipe2, BAD),
	C(dup, BAD),
	C(dup2, BAD),
	C(dup3, BAD),
	C(umask, 022),
	C(prctl, BAD),
	C(chmod, BAD),
	C(fchmod, BAD),
	C(setitimer, BAD),
	C(getitimer, BAD),
	C(alarm, 0),
	C(timer_create, BAD),
	C(timer_getoverrun, BAD),
	C(timer_delete, BAD),
	C(setpgid, BAD),
	C(getpgid, BAD),
	C(setsid, 0),
	C(getsid, BAD),
	C(uname, BAD),
	C(sched_getaffinity, BAD),
	C(sched_setaffinity, BAD),
	C(capget, BAD),
	C(capset, BAD),
	C(clock_gettime, BAD),
	C(clock_getres, BAD),
	C(gettimeofday, BAD),
	C(getrusage, BAD),
	C(sysinfo, BAD),
	C(times, BAD),
	C(mkdir, BAD),
	C(chdir, BAD),
	C(fchdir, BAD),
	C(getcwd, BAD),
	C(unlinkat, BAD),
	C(getdents64, BAD),
	C(rmdir, BAD),
	C(link, BAD),
	C(symlink, BAD),
	C(rename, BAD),
	C(sendfile, BAD),
	C(poll, BAD),
	C(ppoll, BAD),
	C(pselect6, BAD),
	C(shmget, 0),
	C(shmat, BAD),
	C(shmdt, BAD),
	C(shmctl, BAD),
	C(memfd_create, BAD),
	C(fallocate, BAD),
	C(process_vm_readv, BAD),
	C(process_vm_writev, BAD),
	C(process_madvise, BAD),
	C(pidfd_open, BAD),
	C(mount, BAD),
	C(umount2, BAD),
	C(membarrier, BAD),
	C(socket, BAD),
	C(connect, BAD),
	C(sendto, BAD),
/* 32 bits have had several of some: those that programs use now. */
#ifdef __i386__
	C(mmap2, BAD),
	C(fstat64, BAD),
	C(stat64, BAD),
	C(lstat64, BAD),
	C(fstatat64, BAD),
	C(truncate64, BAD),
	C(ftruncate64, BAD),
	C(_llseek, BAD),
	C(fcntl64, BAD),
	C(ugetrlimit, BAD),
	C(getuid32, 0),
	C(geteuid32, 0),
	C(getgid32, 0),
	C(getegid32, 0),
	C(setuid32, BAD),
	C(setgid32, BAD),
	C(setreuid32, BAD),
	C(setregid32, BAD),
	C(setresuid32, BAD),
	C(setresgid32, BAD),
	C(getresuid32, BAD),
	C(getresgid32, BAD),
	C(getgroups32, BAD),
	C(setgroups32, BAD),
	C(chown32, BAD),
	C(fchown32, BAD),
	C(statfs64, BAD),
	C(fstatfs64, BAD),
	C(_newselect, BAD),
	C(sendfile64, BAD),
	C(socketcall, BAD),
	{"futex_time64", 422, {(long)&word, 1, 1}},
	{"clock_gettime64", 403, {BAD}},
	{"clock_settime64", 404, {BAD}},
	{"clock_getres_time64", 406, {BAD}},
	{"clock_nanosleep_time64", 407, {BAD}},
	{"timer_gettime64", 408, {BAD}},
	{"timer_settime64", 409, {BAD}},
	{"utimensat_time64", 412, {BAD}},
	{"pselect6_time64", 413, {BAD}},
	{"ppoll_time64", 414, {BAD}},
	{"rt_sigtimedwait_time64", 421, {BAD}},
#else
	C(mmap, BAD),
	C(fstat, BAD),
	C(stat, BAD),
	C(lstat, BAD),
	C(newfstatat, BAD),
	C(getrlimit, BAD),
	C(getuid, 0),
	C(geteuid, 0),
	C(getgid, 0),
	C(getegid, 0),
	C(setuid, BAD),
	C(setgid, BAD),
	C(setreuid, BAD),
	C(setregid, BAD),
	C(setresuid, BAD),
	C(setresgid, BAD),
	C(getresuid, BAD),
	C(getresgid, BAD),
	C(getgroups, BAD),
	C(setgroups, BAD),
	C(chown, BAD),
	C(fchown, BAD),
	C(statfs, BAD),
	C(fstatfs, BAD),
	C(select, BAD),
	C(timer_gettime, BAD),
	C(timer_settime, BAD),
	C(clock_settime, BAD),
	C(utimensat, BAD),
#endif
};

static void make(void *arg)
{
	const size_t i = (size_t)(uintptr_t)arg;
	const long *a = calls[i].args;
	const pid_t self = getpid();
	const long answer = answer_of(syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]));

	if (syscall(SYS_getpid) != self) /* a fork's */
		_exit(0);
	if (answer == -ENOSYS) {
		say_failures++;
		say("NOT THERE: %s", calls[i].name);
	}
}

int main(void)
{
	int missing = 0;
	size_t i;
	pid_t pid;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		missing += !strcmp(end_of(start(make, (void *)(uintptr_t)i)), "exit 1");
	fact("all are there", !missing);
	pid = vfork();
	if (pid == 0)
		_exit(7);
	want_end("vfork", pid, "exit 7");
	/* Not with bad arguments: an operation that does not exist is ENOSYS. */
	want("futex", syscall(SYS_futex, &word, 1, 1, NULL, NULL, 0), 0);
	want("an operation of futex that is not there",
	     syscall(SYS_futex, &word, 77, 1, NULL, NULL, 0), -ENOSYS);
	want("a number that nobody has", syscall(2000), -ENOSYS);
	want("a number far beyond", syscall(0x7fffffff), -ENOSYS);
	return finish();
}

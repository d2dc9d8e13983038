/* SPDX-License-Identifier: MIT */
/* Pointers that lead nowhere, into the kernel, to what may only be read, or over an end: EFAULT, and no signal. */
#include "say.h"
#include <poll.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>

static void try_it(const char *what, char *bad, char *readonly)
{
	int zero = open("/dev/zero", O_RDONLY), file = file_of(2), fds[2];

	say("%s", what);
	must(zero >= 0 && pipe(fds) == 0 && write(fds[1], "0123456789", 10) == 10);
	want("read from zero", read(zero, bad, 100), -EFAULT);
	want("read from a file", pread(file, bad, 100, 0), -EFAULT);
	want("read from a pipe", read(fds[0], bad, 10), -EFAULT);
	want("getcwd", syscall(SYS_getcwd, bad, 100ul), -EFAULT);
	want("pipe", syscall(SYS_pipe, bad), -EFAULT);
	want("clock_getres", syscall(SYS_clock_getres, 1, bad), -EFAULT);
	want("getrlimit", syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, bad), -EFAULT);
	want("sigaction's answer", syscall(SYS_rt_sigaction, SIGUSR1, NULL, bad, 8), -EFAULT);
	want("sigprocmask's", syscall(SYS_rt_sigprocmask, 0, NULL, bad, 8), -EFAULT);
	want("getdents", syscall(SYS_getdents64, open("/proc/self", O_RDONLY), bad, 1000), -EFAULT);
	want("readlink", syscall(SYS_readlink, "/proc/self/exe", bad, 100), -EFAULT);
	want("getrandom", syscall(SYS_getrandom, bad, 16ul, 0), -EFAULT);
	want("sched_getaffinity", syscall(SYS_sched_getaffinity, 0, 128, bad), -EFAULT);
	if (readonly)
		return; /* what may be read is no error below */
	want("write to a file", pwrite(file, bad, 100, 0), -EFAULT);
	want("write to a pipe", write(fds[1], bad, 10), -EFAULT);
	want("open", syscall(SYS_openat, AT_FDCWD, bad, O_RDONLY), -EFAULT);
	want("unlink", syscall(SYS_unlink, bad), -EFAULT);
	want("mkdir", syscall(SYS_mkdir, bad, 0700), -EFAULT);
	want("rename", syscall(SYS_rename, bad, "/tmp/x"), -EFAULT);
	want("access", syscall(SYS_access, bad, 0), -EFAULT);
	want("execve", syscall(SYS_execve, bad, NULL, NULL), -EFAULT);
	want("writev", syscall(SYS_writev, file, bad, 2), -EFAULT);
	want("poll", syscall(SYS_poll, bad, 1, 0), -EFAULT);
	want("sigaction", syscall(SYS_rt_sigaction, SIGUSR1, bad, NULL, 8), -EFAULT);
	want("sigprocmask", syscall(SYS_rt_sigprocmask, 0, bad, NULL, 8), -EFAULT);
	want("nanosleep", syscall(SYS_nanosleep, bad, NULL), -EFAULT);
	want("futex", syscall(SYS_futex, bad, 0, 0, NULL, NULL, 0), -EFAULT);
	want("setrlimit", syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, bad, NULL), -EFAULT);
}

int main(void)
{
	char *p = pages(3), *gone = place(1), *none = mmap(NULL, PAGE, PROT_NONE, PRIVATE, -1, 0),
	     *readonly = mmap(NULL, PAGE, PROT_READ, PRIVATE, -1, 0);
	int zero = open("/dev/zero", O_RDONLY), fds[2];

	must(none != MAP_FAILED && readonly != MAP_FAILED && zero >= 0 && pipe(fds) == 0);
	try_it("address 8", nowhere(), NULL);
	try_it("where nothing is", gone, NULL);
	try_it("without rights", none, NULL);
	try_it("the last page of all", (char *)-PAGE, NULL);
#ifdef __x86_64__
	try_it("the kernel's memory", (char *)0xffff888000001000ul, NULL);
#else
	try_it("the kernel's memory", (char *)-PAGE, NULL);
#endif
	try_it("to be read only", readonly, readonly);

	say("over an end");
	munmap(p + 2 * PAGE, PAGE);
	want("a name that does not end", access(memset(p + 2 * PAGE - 5, 'n', 5), F_OK), -EFAULT);
	strcpy(p + 2 * PAGE - 6, "/dev/");
	want("one that just fits", access(p + 2 * PAGE - 6, F_OK), 0);
	fact("no signal came", 1);
	return finish();
}

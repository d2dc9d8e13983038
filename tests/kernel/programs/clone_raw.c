/* SPDX-License-Identifier: MIT */
/* clone by the library's thin wrapper: what is shared and what is not, numbers stored and cleared. */
#include "say.h"
#include <sched.h>

static char *stack;
static volatile int value;
static volatile pid_t seen;
static int fd;

static int changes(void *arg)
{
	value = 2;
	seen = (pid_t)syscall(SYS_getpid);
	syscall(SYS_close, fd);
	syscall(SYS_chdir, "/dev");
	return 6;
}

static pid_t begin(int flags, pid_t *parent, pid_t *child)
{
	pid_t pid;

	value = 1;
	fd = open("/dev/null", O_RDWR);
	must(fd >= 0 && chdir("/tmp") == 0);
	pid = clone(changes, stack + 16 * PAGE, flags | SIGCHLD, NULL, parent, NULL, child);
	must(pid > 0);
	return pid;
}

static void look(const char *what, int flags, int memory, int files, int directory)
{
	say("%s", what);
	want_end("exit", begin(flags, NULL, NULL), "exit 6");
	want("memory", value, memory);
	want("descriptor", fcntl(fd, F_GETFD), files);
	want("directory", access("null", F_OK), directory);
	close(fd);
}

/* A thread that has nothing of a library: it only makes bare calls. */
static int thread(void *arg)
{
	value = 3;
	seen = (pid_t)syscall(SYS_getpid);
	syscall(SYS_exit, 0);
	return 0;
}

int main(void)
{
	pid_t pid, parent = -1, child = -1;
	struct timespec time = {20, 0};
	int status;

	stack = pages(16);
	look("nothing shared", 0, 1, 0, -ENOENT);
	look("memory", CLONE_VM, 2, 0, -ENOENT);
	look("files", CLONE_FILES, 1, -EBADF, -ENOENT);
	look("directory", CLONE_FS, 1, 0, 0);
	look("all", CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND, 2, -EBADF, 0);

	must((pid = begin(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_VM, &parent, &child)) >
	     0);
	want_end("with numbers", pid, "exit 6");
	fact("the parent's and the child's", parent == pid && child == pid && seen == pid);
	pid = begin(CLONE_VM | CLONE_VFORK, NULL, NULL);
	want("CLONE_VFORK waits", value, 2);
	want_end("exit", pid, "exit 6");
	pid = clone(changes, stack + 16 * PAGE, CLONE_VM, NULL);
	must(pid > 0);
	want("a child without a signal is not waited for", waitpid(pid, &status, 0), -ECHILD);
	want("unless one asks for it", waitpid(pid, &status, __WALL) == pid, 1);

	child = 1;
	value = 0;
	pid = clone(thread, stack + 16 * PAGE,
		    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			    CLONE_SYSVSEM | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID,
		    NULL, &parent, NULL, &child);
	must(pid > 0);
	while (__atomic_load_n(&child, __ATOMIC_SEQ_CST) != 0)
		syscall(SYS_futex, &child, 0, 1, &time, NULL, 0);
	fact("a thread is of this process",
	     value == 3 && seen == getpid() && parent == pid && pid != getpid());
	want("nobody waits for it", waitpid(pid, &status, __WALL), -ECHILD);
	want("a thread without its handlers",
	     clone(thread, stack + 16 * PAGE, CLONE_THREAD | CLONE_VM, NULL), -EINVAL);
	want("handlers without memory", clone(thread, stack + 16 * PAGE, CLONE_SIGHAND, NULL),
	     -EINVAL);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/*
 * Makes and ends processes and threads in every way that matters to who shares which space. The first
 * argument says which; run under quire shadow by run.py, which knows how each ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

extern char **environ;
static char path[4096]; /* of this program: /proc/self is no help once the first thread has left */
static char *self[] = { path, "nothing", NULL };

static char *map(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(10);
	p[0] = 1;
	return p;
}

/* A child that shares the space maps in it, then leaves by exec. */
static int do_vfork(void)
{
	char *volatile p = NULL;
	pid_t pid = vfork();

	if (pid == 0) {
		p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		p[0] = 1;
		execv(self[0], self);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
	munmap(p, PAGE);
	return 0;
}

static int do_spawn(void)
{
	pid_t pid;
	int i;

	for (i = 0; i < 3; i++) {
		if (posix_spawn(&pid, self[0], NULL, NULL, self, environ))
			return 1;
		waitpid(pid, NULL, 0);
	}
	return posix_spawn(&pid, "/nonexistent", NULL, NULL, self, environ) == ENOENT ? 0 : 2;
}

static void *map_for_ever(void *arg)
{
	for (;;) {
		char *p = map(3);

		munmap(p + PAGE, PAGE);
		munmap(p, 3 * PAGE);
	}
	return arg;
}

static void *exec_it(void *arg)
{
	usleep(20000);
	execv(self[0], self);
	return arg;
}

static void *leave(void *arg)
{
	usleep(10000);
	return arg;
}

/* A thread that is not the first calls exec while others map. */
static int do_exec_thread(void)
{
	pthread_t t;
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&t, NULL, map_for_ever, NULL);
	pthread_create(&t, NULL, exec_it, NULL);
	map_for_ever(NULL);
	return 1;
}

/* The first thread leaves, the others go on, and one of them calls exec. */
static int do_leader_leaves(void)
{
	pthread_t t;

	pthread_create(&t, NULL, leave, NULL);
	pthread_create(&t, NULL, exec_it, NULL);
	map(2);
	pthread_exit(NULL);
}

/* All threads end at once in the middle of calls. */
static int do_exit_group(void)
{
	pthread_t t;
	int i;

	for (i = 0; i < 8; i++)
		pthread_create(&t, NULL, map_for_ever, NULL);
	usleep(20000);
	_exit(7);
}

static int do_killed(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		pthread_t t;
		int i;

		for (i = 0; i < 8; i++)
			pthread_create(&t, NULL, map_for_ever, NULL);
		map_for_ever(NULL);
	}
	usleep(50000);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : 1;
}

static int in_same_space(void *arg)
{
	char *p = map(5);

	mprotect(p + PAGE, PAGE, PROT_READ);
	usleep(1000);
	*(char **)arg = p;
	return 0;
}

/* Processes, not threads, that share a space. */
static int do_clone_vm(void)
{
	char *stack = map(64), *p = NULL;
	pid_t pid = clone(in_same_space, stack + 64 * PAGE, CLONE_VM | SIGCHLD, &p);

	map(3);
	waitpid(pid, NULL, 0);
	if (!p)
		return 1;
	munmap(p + 2 * PAGE, PAGE);
	pid = clone(in_same_space, stack + 64 * PAGE, CLONE_VM | CLONE_UNTRACED | SIGCHLD, &p);
	waitpid(pid, NULL, 0);
	return 0;
}

static int do_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0) {
		map(2);
		_exit(0);
	}
	map(2);
	waitpid((pid_t)pid, NULL, 0);
	return syscall(SYS_clone3, NULL, 0) < 0 ? 0 : 1;
}

static void on_signal(int sig)
{
	char *p = map(2);

	(void)sig;
	munmap(p, 2 * PAGE);
}

/* Calls from signal handlers, and a process that is stopped and continued. */
static int do_signals(void)
{
	pid_t pid;
	int i, status;

	signal(SIGUSR1, on_signal);
	for (i = 0; i < 20; i++)
		raise(SIGUSR1);
	pid = fork();
	if (pid == 0) {
		map(1);
		raise(SIGSTOP);
		map(2);
		_exit(3);
	}
	waitpid(pid, &status, WUNTRACED);
	if (!WIFSTOPPED(status))
		return 1;
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 3 ? 0 : 2;
}

static void *fork_now(void *arg)
{
	char *p = map(4);
	pid_t pid = fork();

	if (pid == 0) {
		p[2 * PAGE] = 1;
		munmap(p + PAGE, PAGE);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	munmap(p, 4 * PAGE);
	return arg;
}

/* Threads that fork while others map. */
static int do_fork_threads(void)
{
	pthread_t t[12];
	int i, round;

	for (round = 0; round < 5; round++) {
		for (i = 0; i < 12; i++)
			pthread_create(&t[i], NULL, fork_now, NULL);
		for (i = 0; i < 12; i++)
			pthread_join(t[i], NULL);
	}
	return 0;
}

/* Generations: the child of a child, each writing what the other has. */
static int do_generations(void)
{
	char *p = map(32);
	int i;

	for (i = 0; i < 6; i++) {
		pid_t pid;

		mprotect(p + (size_t)i * 4 * PAGE, 2 * PAGE, PROT_READ);
		pid = fork();
		if (pid) {
			mprotect(p + (size_t)i * 4 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
			p[(size_t)i * PAGE] = 1;
			mmap(p + 33 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			waitpid(pid, NULL, 0);
			_exit(0);
		}
		p[(size_t)(31 - i) * PAGE] = 1;
		mprotect(p + (size_t)i * 4 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
		mmap(p + 32 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(p + 10 * PAGE, PAGE);
		mmap(p + 10 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
	return 0;
}

static int do_crash(void)
{
	map(3);
	raise(SIGSEGV);
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(void);
} ways[] = {
	{ "vfork", do_vfork },	       { "spawn", do_spawn },	       { "exec-thread", do_exec_thread },
	{ "exit-group", do_exit_group }, { "killed", do_killed },       { "clone-vm", do_clone_vm },
	{ "clone3", do_clone3 },       { "signals", do_signals },      { "fork-threads", do_fork_threads },
	{ "generations", do_generations }, { "crash", do_crash },      { "leader-leaves", do_leader_leaves },
};

int main(int argc, char **argv)
{
	size_t i;

	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return 97;
	if (argc < 2)
		return 99;
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(ways[i].name, argv[1]) == 0)
			return ways[i].fn();
	}
	return strcmp(argv[1], "nothing") == 0 ? 0 : 98;
}

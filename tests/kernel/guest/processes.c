/* SPDX-License-Identifier: MIT */
/* fork, vfork, clone, exec, wait: trees of processes, copies on write, statuses, arguments. */
#include "show.h"

#include <spawn.h>
#include <sys/resource.h>

extern char **environ;

static int tree(int depth)
{
	int sum = 1, status;
	pid_t child[2];
	int i;

	if (!depth)
		return 1;
	for (i = 0; i < 2; i++) {
		child[i] = fork();
		CHECK(child[i] >= 0);
		if (!child[i])
			_exit(tree(depth - 1));
	}
	for (i = 0; i < 2; i++) {
		CHECK(waitpid(child[i], &status, 0) == child[i] && WIFEXITED(status));
		sum += WEXITSTATUS(status);
	}
	return sum;
}

static void copies(void)
{
	char *private = map(64, PROT_READ | PROT_WRITE);
	char *shared =
		mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, i;
	pid_t pid;

	CHECK(shared != MAP_FAILED);
	memset(private, 'p', 64 * PAGE);
	memset(shared, 's', 64 * PAGE);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		for (i = 0; i < 64; i++) {
			CHECK(private[i * PAGE] == 'p');
			private[i * PAGE] = 'c';
			shared[i * PAGE] = 'c';
		}
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	for (i = 0; i < 64; i++)
		CHECK(private[i * PAGE] == 'p' && shared[i * PAGE] == 'c');
	printf("private memory is copied, shared memory is not\n");
	munmap(private, 64 * PAGE);
	munmap(shared, 64 * PAGE);
}

static void statuses(void)
{
	siginfo_t info;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(300);
	CHECK(waitpid(pid, &status, 0) == pid);
	show_status("exit 300", status);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	show("not yet", waitpid(pid, &status, WNOHANG));
	CHECK(!kill(pid, SIGKILL));
	memset(&info, 0, sizeof(info));
	CHECK(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	printf("waitid: signal %d code %d status %d\n", info.si_signo, info.si_code,
	       info.si_status);
	CHECK(waitpid(-1, &status, 0) == pid);
	show_status("killed", status);
	show("no children", wait(&status));
	show("wait for another's", waitpid(1, &status, 0));
	signal(SIGCHLD, SIG_IGN);
	pid = fork();
	if (!pid)
		_exit(0);
	show("ignored children leave nothing", wait(&status));
	signal(SIGCHLD, SIG_DFL);
}

static void orphans(void)
{
	int ends[2], status;
	char byte;
	pid_t pid;

	CHECK(!pipe(ends));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (!fork()) {
			/* Its parent ends first; somebody else is its parent then. */
			while (getppid() == (pid_t)0)
				;
			usleep(50000);
			CHECK(write(ends[1], "o", 1) == 1);
			_exit(0);
		}
		_exit(0);
	}
	close(ends[1]);
	CHECK(waitpid(pid, &status, 0) == pid);
	show("the orphan writes", read(ends[0], &byte, 1));
	show("and is gone", read(ends[0], &byte, 1));
	close(ends[0]);
}

static void programs(const char *self)
{
	char *argv[] = {(char *)(uintptr_t)self, "shown", "two words", "", NULL};
	char *env[] = {"NAME=value", "EMPTY=", NULL};
	posix_spawn_file_actions_t actions;
	char *many[3002];
	int status, i;
	pid_t pid;

	fflush(stdout);
	pid = vfork();
	if (!pid) {
		execve(self, argv, env);
		_exit(1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	show_status("exec", status);
	CHECK(!posix_spawn_file_actions_init(&actions));
	CHECK(!posix_spawn(&pid, self, &actions, NULL, argv, env));
	CHECK(waitpid(pid, &status, 0) == pid);
	show_status("spawn", status);
	posix_spawn_file_actions_destroy(&actions);
	show("spawn of nothing", posix_spawn(&pid, "/nowhere", NULL, NULL, argv, env));
	show("exec of nothing", execve("/nowhere", argv, env));
	show("exec of a directory", execve("/tmp", argv, env));
	show("exec of what is no file", execve("/dev/null", argv, env));
	many[0] = argv[0];
	many[1] = "counted";
	for (i = 2; i < 3001; i++)
		many[i] = "an argument of some length, so that there is something to copy";
	many[3001] = NULL;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execve(self, many, env);
		_exit(1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	show_status("many arguments", status);
}

static void names(void)
{
	char name[] = "/tmp/program-XXXXXX";
	char *argv[] = {name, NULL};
	int fd = mkstemp(name), status;
	pid_t pid;

	CHECK(fd >= 0 && write(fd, "no program", 10) == 10);
	show("exec without leave", execve(name, argv, environ));
	CHECK(!fchmod(fd, 0755));
	close(fd);
	show("exec of nonsense", execve(name, argv, environ));
	fd = open(name, O_WRONLY | O_TRUNC);
	CHECK(write(fd, "#!/nowhere/to be found\n", 23) == 23);
	close(fd);
	show("a script without its shell", execve(name, argv, environ));
	CHECK(!unlink(name));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		show("setsid",
		     setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
		show("again", setsid());
		fflush(stdout);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
}

int main(int argc, char **argv)
{
	int i;

	if (argc > 1 && !strcmp(argv[1], "shown")) {
		for (i = 1; i < argc; i++)
			printf("argument %d: '%s'\n", i, argv[i]);
		for (i = 0; environ[i]; i++)
			printf("environment %d: '%s'\n", i, environ[i]);
		return 3;
	}
	if (argc > 1 && !strcmp(argv[1], "counted")) {
		printf("%d arguments\n", argc);
		return 0;
	}
	show("a tree", tree(5));
	copies();
	statuses();
	orphans();
	programs("/proc/self/exe");
	names();
	return 0;
}

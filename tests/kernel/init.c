/* SPDX-License-Identifier: MIT */
/*
 * Process 1 of the tests: runs what /tests lists, a command a line, one after the other, and says on the console what came
 * of each and what it left behind:
 *
 *	@begin NAME
 *	(what the program prints)
 *	@end NAME STATUS          as wait(2) gives it
 *	@left NAME WHAT BEFORE AFTER   a count of /proc/quire/counts that did not return to what it was
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_COUNTS 96

struct count {
	char name[40];
	long value;
};

static int read_counts(struct count *counts)
{
	static char text[8192];
	int fd = open("/proc/quire/counts", O_RDONLY), n = 0;
	ssize_t length = read(fd, text, sizeof(text) - 1);
	char *line, *next = text;

	close(fd);
	if (length < 0)
		return 0;
	text[length] = '\0';
	while (n < MAX_COUNTS && (line = strsep(&next, "\n")) != NULL) {
		if (sscanf(line, "%39s %ld", counts[n].name, &counts[n].value) == 2)
			n++;
	}
	return n;
}

/* A thread that has ended is freed a moment after its parent has heard of it: look until all is quiet. */
static void compare(const char *name, const struct count *before, int nr)
{
	struct count after[MAX_COUNTS];
	int i, turn, same = 0;

	for (turn = 0; turn < 100 && !same; turn++) {
		if (turn)
			usleep(10000);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			; /* orphans are this process's to bury */
		same = read_counts(after) == nr;
		for (i = 0; same && i < nr; i++)
			same = before[i].value == after[i].value;
	}
	for (i = 0; !same && i < nr; i++) {
		if (before[i].value != after[i].value)
			printf("@left %s %s %ld %ld\n", name, before[i].name, before[i].value,
			       after[i].value);
	}
}

/* What this process needs itself is there after it has done everything once. */
static void warm_up(void)
{
	struct count counts[MAX_COUNTS];
	pid_t pid;
	int nr;

	printf("@begin nothing\n");
	nr = read_counts(counts);
	pid = fork();
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	usleep(1000);
	counts[0].value = -1;
	compare("nothing", counts, nr);
}

static void run(char *command)
{
	struct count before[MAX_COUNTS];
	char *argv[16], *name;
	int argc = 0, nr, status = -1;
	pid_t pid;

	while (argc < 15 && (argv[argc] = strsep(&command, " ")) != NULL)
		argc++;
	argv[argc] = NULL;
	name = strrchr(argv[0], '/') + 1;
	printf("@begin %s\n", name);
	nr = read_counts(before);
	pid = fork();
	if (!pid) {
		/* Those of tests/kernel/programs want to be somewhere where they can write, and to read nothing. */
		if (!strncmp(argv[0], "/programs/", 10)) {
			close(0);
			if (chdir("/tmp") || open("/dev/null", O_RDONLY) != 0)
				_exit(126);
		}
		execv(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	printf("\n@end %s %d\n", name, status);
	compare(name, before, nr);
}

int main(void)
{
	static char list[16384];
	int fd = open("/tests", O_RDONLY);
	ssize_t n = read(fd, list, sizeof(list) - 1);
	char *line, *next = list;

	close(fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
	setenv("PATH", "/bin", 1);
	warm_up();
	list[n < 0 ? 0 : n] = '\0';
	while ((line = strsep(&next, "\n")) != NULL) {
		if (*line)
			run(line);
	}
	printf("@done\n");
	reboot(RB_POWER_OFF);
	return 1;
}

/* SPDX-License-Identifier: MIT */
/* After fork, memory is the same until somebody writes; a tree of processes, each with its own. */
#include "say.h"

enum { COUNT = 32 };
static char *p;
static int out;

/* Each process of the tree changes one page of its own, and sees its ancestors' changes and nobody else's. */
static void node(int depth, int path)
{
	int i, sum = 0, ended[2] = {0, 0};
	pid_t pids[2];

	p[path * PAGE] = (char)(depth + 1);
	if (depth < 3) {
		for (i = 0; i < 2; i++) {
			pids[i] = fork();
			must(pids[i] >= 0);
			if (pids[i] == 0) {
				node(depth + 1, 2 * path + i);
				_exit(0);
			}
		}
		p[0] = 99; /* after the children have begun: not theirs */
		for (i = 0; i < 2; i++)
			must(waitpid(pids[i], &ended[i], 0) == pids[i] && ended[i] == 0);
		p[0] = 0;
	}
	for (i = 0; i < COUNT; i++)
		sum += p[i * PAGE];
	must(write(out, (char[2]){(char)path, (char)sum}, 2) == 2);
}

static void tree(void *arg)
{
	node(0, 1);
}

static void writes(void *arg)
{
	memset(p, 5, COUNT * PAGE);
	fact("the child has its own", all_are(p, COUNT * PAGE, 5));
}

static void reads(void *arg)
{
	char byte;

	must(read(*(int *)arg, &byte, 1) == 1);
	fact("the child has what was there at fork", all_are(p, COUNT * PAGE, 6));
}

int main(void)
{
	int fds[2], sums[16] = {0}, i;
	pid_t pid;
	char pair[2];

	p = pages(COUNT);
	memset(p, 4, COUNT * PAGE);
	want_end("exit", start(writes, NULL), "exit 0");
	fact("the parent has its own", all_are(p, COUNT * PAGE, 4));

	memset(p, 6, COUNT * PAGE);
	must(pipe(fds) == 0);
	pid = start(reads, &fds[0]);
	memset(p, 7, COUNT * PAGE);
	must(write(fds[1], "x", 1) == 1);
	want_end("exit", pid, "exit 0");
	fact("the parent has what it wrote", all_are(p, COUNT * PAGE, 7));

	memset(p, 0, COUNT * PAGE);
	out = fds[1];
	want_end("tree", start(tree, NULL), "exit 0");
	close(fds[1]);
	while (read(fds[0], pair, 2) == 2)
		sums[(int)pair[0]] = pair[1];
	for (i = 1; i < 16; i++)
		say("process %d: sum %d", i, sums[i]);
	fact("sums are those of the ancestors",
	     sums[1] == 1 && sums[3] == 3 && sums[5] == 6 && sums[15] == 10);
	fact("nothing came up", all_are(p, COUNT * PAGE, 0));
	return finish();
}

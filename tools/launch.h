/* SPDX-License-Identifier: MIT */
/*
 * Starting the program that is to be followed: a child that the tracer has seized and that stops at
 * every call of the table, its children and theirs too. Called by tracer.c, once.
 */
#ifndef QUIRE_TOOL_LAUNCH_H
#define QUIRE_TOOL_LAUNCH_H

#include <sys/types.h>

/* What the filter hands to the tracer with a stop. */
#define LAUNCH_EVENT_DATA 0x5152

struct launch {
	pid_t pid;
	int report; /* reads an int: the errno why the command could not be run; end of file: it runs */
};

/* 0; or -1 with a sentence on stderr: nothing runs. The child waits for launch_go(). */
int launch_start(struct launch *l, char **argv, unsigned long ptrace_options);
void launch_go(struct launch *l);
/* After the child's first exec or its end: 0 if it runs CMD, else the errno. */
int launch_result(struct launch *l);

#endif

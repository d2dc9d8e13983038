/* SPDX-License-Identifier: MIT */
/*
 * The order in which pages were first touched. pagemap says which private areas have pages of the process's own, but not
 * which had one first; where several got theirs between two calls, Linux's joining of areas depends on that. The
 * kernel's page-fault event, one log a thread, tells; it is read only then. Used by tracer.c and import.c.
 */
#ifndef QUIRE_TOOL_FAULTS_H
#define QUIRE_TOOL_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fault_log {
	int fd;     /* -1: none (the kernel forbids it, or has no such event) */
	void *ring;
	bool with_kernel; /* faults that system calls have on the program's behalf are logged, too */
};

void faults_open(struct fault_log *log, pid_t tid);
void faults_close(struct fault_log *log);

struct fault {
	uint64_t time, page;
	uint64_t first; /* the time of the first one on that page, once owners.c has sorted them */
};
struct fault_list {
	struct fault *fault;
	size_t nr, cap;
};
void faults_add(struct fault_list *list, struct fault fault);
/* Append what was logged; false: some is missing, or may be. */
bool faults_read(struct fault_log *log, struct fault_list *list);

#endif

/* SPDX-License-Identifier: MIT */
/* /proc: its nodes (proc.c), and who writes their texts (proc_process.c, proc_system.c). */
#ifndef KERNEL_PROC_H
#define KERNEL_PROC_H

#include "fs/fs.h"
#include "process/process.h"

enum proc_directory {
	PROC_NONE,
	PROC_ROOT,
	PROC_PID,
	PROC_FD,
	PROC_TASK,
	PROC_SYS,
	PROC_SYS_VM,
	PROC_SYS_KERNEL,
	PROC_SYS_FS,
	PROC_QUIRE
};

/* A text that grows; a sink for Quire's own generators. */
struct proc_text {
	struct quire_sink sink; /* first */
	char *buf;
	size_t used, size;
	int error;
};

struct proc_node {
	enum proc_directory in; /* where it is */
	const char *name;
	uint32_t mode;
	enum proc_directory directory; /* it is one */
	/* Write its text. p: the process it belongs to, with a reference; NULL outside of them. 0 or an errno. */
	int (*show)(struct proc_text *t, struct process *p);
	/* Or it is one of Quire's, of its memory (of a process that has ended nothing) or of all of it; or this. */
	int (*of_mm)(struct quire_mm *mm, struct quire_sink *sink);
	int (*of_all)(struct quire *q, struct quire_sink *sink);
	const char *text;
	int (*store)(struct process *p, char *text);
	/* Of a link: where it leads. */
	int (*link)(struct process *p, int fd, char *buf, size_t size);
	struct inode *(*follow)(struct process *p, int fd);
	/* Read without a text (pagemap). */
	int64_t (*read)(struct process *p, struct uio *uio, uint64_t *pos);
};

/* For %llu: a number of 64 bits has another name on each machine. */
#define ULL(x) ((unsigned long long)(x))
void proc_print(struct proc_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

int proc_of_mm(struct proc_text *t, struct process *p,
	       int (*fn)(struct quire_mm *mm, struct quire_sink *sink));

extern const struct proc_node proc_process_nodes[],
	proc_system_nodes[]; /* ended by one without a name */

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Following a running program: what the tracer (tracer.c: stops and threads), the follower (follow.c: what
 * a call means), the importer (import.c: a space after exec), files.c, compare.c and report.c share.
 */
#ifndef QUIRE_TOOL_SHADOW_H
#define QUIRE_TOOL_SHADOW_H

#include <sys/types.h>

#include "faults.h"
#include "kernel_view.h"
#include "world.h"

/* ---- Options and what is counted --------------------------------------------------------- */

enum shadow_maps {
	SHADOW_MAPS_DEFAULT, /* at exec, exit and every 1,000 calls */
	SHADOW_MAPS_CALL,    /* those, and after every call */
	SHADOW_MAPS_EXEC,    /* at exec and exit */
	SHADOW_MAPS_EXIT,    /* at exit */
};

struct shadow_options {
	enum shadow_maps maps;
	const char *record; /* file to write a recording to, or NULL */
	bool flags;         /* compare VmFlags, too */
	bool report;        /* print differences and the table; else only what went wrong */
	bool quiet;         /* no progress */
	char **argv;
};

/* What was taken over, not compared, or compared in part: a sentence and how often. */
struct note {
	struct note *next;
	const char *text; /* constant, or made once */
	uint64_t count;
};

struct shadow {
	struct shadow_options options;
	struct world *world;
	struct note *notes, **notes_end;
	uint64_t nr_calls, nr_compared, nr_differences, nr_shown;
	uint64_t nr_processes; /* programs run and processes forked */
	uint64_t nr_not_followed; /* those that could not be looked at */
	uint64_t serial;       /* calls served, for "after call" in difference blocks */
	struct progress progress;
};

void note(struct shadow *s, const char *text);
void notes_free(struct shadow *s);
void note_call(struct shadow *s, enum call_id id, const char *text); /* "<call>: <text>" */

/* A stretch of addresses. */
struct range {
	uint64_t start, end;
};

/* ---- Spaces and threads ------------------------------------------------------------------ */

struct task;

/* What the tracer keeps with a space; space->host. */
struct shadow_space {
	struct view view;
	uint32_t live;         /* threads in it that have not begun to exit */
	pid_t look;            /* a thread whose /proc shows this space: the one that stopped last */
	struct task *tasks;    /* those threads, by next_in_space */
	struct task *inside;   /* the one thread that is in a call on this space, or NULL */
	struct task *first_held, **last_held; /* threads stopped at the entry of a call until it is their turn */
	struct task *kept;     /* a killed thread that waits in its exit stop for the others to go, or NULL */
	double inside_since;
	uint64_t since_compared; /* calls */
	struct fault_list faults; /* owners.c: the log when it was read last */
	struct fault_list left;   /* of threads that have gone since */
	bool log_is_whole, log_has_gap;
	bool unsure;           /* a thread died in a call, and what became of the call was not seen */
	bool merges_any;       /* prctl(PR_SET_MEMORY_MERGE): Linux marks new areas by itself */
	bool user_faults;      /* userfaultfd marked areas of it: fork drops that in the child */
	bool grows_down;       /* mmap made an area that grows down, besides the stack */
};

static inline struct shadow_space *shadow_of(struct space *space)
{
	return space->host;
}

/* How a call was made. */
enum task_abi { ABI_64, ABI_32 };

struct task {
	struct task *hash_next;
	pid_t tid, tgid;
	struct space *space;     /* NULL: not followed yet, or no more */
	struct task *next_in_space;
	struct fault_log faults;
	unsigned long personality;
	bool exiting;            /* its EVENT_EXIT was seen */
	bool awaits_parent;      /* stopped for the first time before its parent's event came */
	double born;             /* when that was, by tool_now() */
	double resumed;          /* when it was last let go, by tool_now() */
	bool stopped_once;
	struct space *kept_in;   /* it is that space's kept thread */
	/* a call between entry and exit */
	bool in_call;
	bool held;
	bool alone;              /* execve: no other process is in this space */
	struct task *next_held;
	enum task_abi abi;
	struct call call;
	uint64_t raw[6];         /* the system call's own arguments */
	uint64_t clone_flags;
	uint64_t shm_result;     /* ABI_32, ipc(SHMAT): where the address is put */
	/* areas that had no owner when the call began, while other threads ran, and the log can't be relied on */
#define MAX_UNOWNED 128
	struct {
		uint64_t start, end;
	} unowned[MAX_UNOWNED];
	unsigned nr_unowned;
	bool special;            /* the file mapped is no plain one, or its pages are huge */
};

/* ---- follow.c ---------------------------------------------------------------------------- */

/* Is this a call that must not run at the same time as another on the same space? */
bool follow_needs_turn(const struct task *t);
/* The raw arguments into task->call. false: nothing to follow in this call. */
bool follow_decode(struct shadow *s, struct task *t, uint64_t nr, const uint64_t *args);
/* Before Linux begins a call. */
void follow_entry(struct shadow *s, struct task *t);
/* The call came to nothing: its thread died before Linux began it. */
void follow_abandon(struct shadow *s, struct task *t);
/* Linux has answered. */
void follow_exit(struct shadow *s, struct task *t, int64_t result);
/* The call of t made a child with a space of its own; t is at its event stop. */
struct space *follow_fork(struct shadow *s, struct task *t, pid_t child);
/* t's space is about to end, t is its last thread and can still be looked at. */
void follow_end(struct shadow *s, struct space *space, bool visible);
bool follow_read(pid_t tid, uint64_t addr, void *buf, size_t len);

/* ---- import.c ---------------------------------------------------------------------------- */

/* The space that exec left t with. NULL: could not be read; a sentence was printed. */
struct space *import_space(struct shadow *s, struct task *t);
void import_stack_growth(struct shadow *s, struct space *space);

/* ---- owners.c ---------------------------------------------------------------------------- */

/* Areas that got their first page since they were looked at last. */
struct newly {
	uint64_t start, end; /* the area */
	uint64_t page;       /* one of its own pages */
	uint64_t time;       /* UINT64_MAX; output: of the first of them */
};
struct newly_list {
	struct newly *newly;
	size_t nr, cap;
};

/* May this area get an owner by being written? */
bool owners_may_have(const struct quire_vma *vma);
/* Give owners to the areas that have got pages: those that the log names, those in and beside the ranges, or all. */
void owners_find(struct shadow *s, struct space *space, const struct range *ranges, unsigned nr, bool all);
/* Areas without an owner that were touched since owners_find(), in any order, page not set. False: there may be more. */
bool owners_during(struct shadow *s, struct space *space, struct newly_list *list);
/* Owners for all of these, in the order of their first writes as far as it is known. Empties the list. */
void owners_take(struct shadow *s, struct space *space, struct newly_list *list);
/* t is about to leave its space, its log with it. */
void owners_part(struct task *t);
void owners_forget(struct shadow_space *sh);

/* ---- files.c ----------------------------------------------------------------------------- */

/* The open file behind a process's descriptor, with a reference; NULL: no such descriptor. *special: not a plain file of a
 * known file system. */
struct world_file *files_get(struct shadow *s, struct task *t, int fd, bool *special);
/* Files may have grown or shrunk: ask anew for those mapped in [start, end). */
void files_refresh(struct space *space, uint64_t start, uint64_t end);
/* Forget what was found out about devices. */
void files_forget(void);
/* A new attachment of a SysV segment of size bytes. */
struct world_file *files_segment(struct shadow *s, uint64_t size, bool read_only);
/* After the first mapping of f succeeded at addr: does Linux call it what stat(2) does? */
void files_identify(struct shadow *s, struct task *t, struct world_file *f, uint64_t addr);

/* ---- compare.c --------------------------------------------------------------------------- */

/* Print a difference in a call's result. */
void compare_result(struct shadow *s, struct task *t, int64_t ours);
/* Compare the whole maps text. when: "after 1000 calls", "at exit". False: they differ (printed, counted). */
bool compare_maps(struct shadow *s, struct space *space, const char *when);
/* Make the space Linux's again after a difference, or where a call can't be served. */
void compare_resync(struct shadow *s, struct space *space);

/* ---- report.c ---------------------------------------------------------------------------- */

void report_summary(struct shadow *s, int wait_status, bool ran);

/* ---- tracer.c ---------------------------------------------------------------------------- */

/* Run and follow. enum tool_exit. */
int shadow_run(const struct shadow_options *options);

#endif

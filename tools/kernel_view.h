/* SPDX-License-Identifier: MIT */
/*
 * What Linux says of a process's address space: maps, smaps, pagemap, stat, limits, capabilities,
 * and what the machine is set to. Reads only; the tracer decides when, and what it means.
 */
#ifndef QUIRE_TOOL_KERNEL_VIEW_H
#define QUIRE_TOOL_KERNEL_VIEW_H

#include <sys/types.h>

#include "world.h"

/* Of this machine. */
void view_system(struct world_system *system);

/* Descriptors that stay with one address space, whoever uses it: they go on working after an exec replaced
 * the process's space, and say so with an error or an empty text after its end. */
struct view {
	int maps, pagemap;  /* -1: not open */
	bool no_scan, no_query; /* this kernel has no PAGEMAP_SCAN, no PROCMAP_QUERY */
};
/* false: the process is gone, or may not be looked at. */
bool view_open(struct view *v, pid_t tid);
void view_close(struct view *v);

/* The whole of maps. false: the space is gone. */
bool view_maps(struct view *v, struct text *t);

/* Areas with their exact flags, from smaps. Free with view_free_areas(). The line of [vsyscall], which lies outside user
 * space, comes apart in *tail if not NULL. false: the space is gone, errno says why. */
struct view_areas {
	struct world_area *area;
	size_t nr, cap;
	char *tail;
};
bool view_smaps(pid_t tid, struct view_areas *areas);
/* How long the files behind the areas are: area.size. */
void view_sizes(pid_t tid, struct view_areas *areas);
/* The same from a maps text: flags are rwx and shared alone. */
void view_parse_maps(const char *text, struct view_areas *areas);
void view_free_areas(struct view_areas *areas);

/* The area that holds addr. false: there is none. name may be NULL, else gets at most PATH_MAX bytes. */
struct view_area {
	uint64_t start, end, offset, inode;
	uint32_t dev_major, dev_minor;
	bool shared;
};
bool view_query(struct view *v, uint64_t addr, struct view_area *area, char *name);

/* The first page of [start, end) that holds private memory of the process's own. */
bool view_find_private(struct view *v, uint64_t start, uint64_t end, uint64_t *addr);

/* /proc/PID/stat's addresses into layout. */
bool view_stat(pid_t tid, struct quire_layout *layout);
bool view_auxv(pid_t tid, struct quire_layout *layout);
/* Limits, capabilities and READ_IMPLIES_EXEC of the caller of a call. */
bool view_limits(pid_t tid, struct quire_limits *limits);
unsigned long view_personality(pid_t tid);
/* A thread that is exiting: did a signal to its whole process end it? */
bool view_was_killed(pid_t tid);
bool view_is_zombie(pid_t tid);
/* The program's name as a person would call it: the last part of its path. */
void view_program(pid_t tid, char *buf, size_t size);

#endif

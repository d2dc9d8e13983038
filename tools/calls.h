/* SPDX-License-Identifier: MIT */
/*
 * The system calls that change or ask about an address space: their numbers on both of x86's
 * system call tables, and how they read when printed. The filter, the tracer, the recorder, the
 * replayer and the report all use this one list. Nothing here looks at a process.
 */
#ifndef QUIRE_TOOL_CALLS_H
#define QUIRE_TOOL_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum call_id {
	/* served by Quire, and compared */
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_MPROTECT,
	CALL_MREMAP,
	CALL_BRK,
	CALL_MADVISE,
	CALL_MLOCK,
	CALL_MLOCK2,
	CALL_MUNLOCK,
	CALL_MLOCKALL,
	CALL_MUNLOCKALL,
	CALL_MSYNC,
	CALL_MINCORE,
	CALL_MSEAL,
	CALL_REMAP_FILE_PAGES,
	CALL_SHMAT,
	CALL_SHMDT,
	CALL_NR_SERVED,

	/* followed: they make, replace or end a space, or change its settings */
	CALL_FORK = CALL_NR_SERVED,
	CALL_VFORK,
	CALL_CLONE,
	CALL_CLONE3,
	CALL_EXECVE,
	CALL_EXECVEAT,
	CALL_PERSONALITY,
	CALL_PRCTL,
	CALL_PTRACE,

	/* taken over: what they did to the areas is read from Linux, counted and named */
	CALL_ARCH_PRCTL,
	CALL_IO_SETUP,
	CALL_IO_DESTROY,
	CALL_MBIND,
	CALL_SET_MEMPOLICY_HOME_NODE,
	CALL_PKEY_MPROTECT,
	CALL_MAP_SHADOW_STACK,
	CALL_PROCESS_MADVISE,
	CALL_USERFAULTFD,
	CALL_USELIB,

	/* 32-bit programs' wrappers around the above; never seen outside the tracer's decoder */
	CALL_OLD_MMAP,
	CALL_MMAP2,
	CALL_IPC,
	CALL_NR
};

#define CALL_FIRST_TAKEN CALL_ARCH_PRCTL

/* How an argument reads. */
enum call_arg {
	ARG_END,
	ARG_ADDR,    /* hexadecimal */
	ARG_SIZE,    /* hexadecimal */
	ARG_PROT,
	ARG_MAP,     /* MAP_* */
	ARG_FD,      /* number of the recording's file; 0: none */
	ARG_MREMAP,
	ARG_ADVICE,
	ARG_FLAGS,   /* hexadecimal */
	ARG_INT,     /* decimal */
};

struct call_def {
	const char *name;
	int nr64, nr32;           /* -1: not there */
	uint8_t arg[6];           /* enum call_arg */
	bool answers_address;     /* the result reads as an address */
};

extern const struct call_def call_defs[CALL_NR];

/* One call as all parts of the tool hand it around. */
struct call {
	enum call_id id;
	uint64_t arg[6];
	uint32_t file;   /* number of the file that is mapped; 0: none, or a descriptor that isn't open */
	int64_t result;  /* what Linux answered: a value, or a negative errno */
};

#define CALL_MAX_ARGS 6
unsigned call_nr_args(enum call_id id);

/* The call by its name; CALL_NR: there is none. */
enum call_id call_by_name(const char *name, size_t len);

/* "mmap(0x0, 0x2000, PROT_READ|PROT_WRITE, ...)" into buf, always terminated, cut if need be. */
void call_print(const struct call *call, char *buf, size_t size);
/* "0x7f0000000000", "0", "-ENOMEM (Cannot allocate memory)". */
void call_print_result(enum call_id id, int64_t result, char *buf, size_t size);
const char *call_errno_name(int err);

#endif

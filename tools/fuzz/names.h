/* SPDX-License-Identifier: MIT */
/*
 * How steps read: the calls' names and numbers, what their arguments are, the names of flags, errors, files and signals. Tables
 * alone, which the text of cases (case.c), the C programs (csource.c) and the counts (tally.c) share;
 * nothing here plays anything.
 */
#ifndef TOOLS_FUZZ_NAMES_H
#define TOOLS_FUZZ_NAMES_H

#include "step.h"

enum operand {
	OPERAND_END,
	OPERAND_ADDRESS,
	OPERAND_SIZE,    /* bytes, or an offset */
	OPERAND_NUMBER,
	OPERAND_FILE,    /* a descriptor */
	OPERAND_PROCESS, /* a process of the round, or a thread */
	OPERAND_PROT,    /* sets of flags from here on */
	OPERAND_MAP,
	OPERAND_MREMAP,
	OPERAND_ADVICE,
	OPERAND_MLOCK2,
	OPERAND_MLOCKALL,
	OPERAND_MSYNC,
	OPERAND_SHMAT,
	OPERAND_FALLOCATE,
	OPERAND_SEAL,    /* mseal(), process_vm_readv() and process_vm_writev() know no flags */
	OPERAND_NR
};

struct fuzz_name {
	const char *name;
	uint64_t value;
};

/* Flags of one argument, each with the bits that it stands for. */
struct fuzz_flags {
	const char *prefix; /* in C, before each name */
	uint64_t field;     /* these bits hold one of the values below field; the others are flags */
	const struct fuzz_name *names;
	unsigned nr;
};

/* Of OPERAND_PROT and those behind it. */
extern const struct fuzz_flags fuzz_flags[OPERAND_NR];

struct fuzz_call {
	const char *name;
	int16_t nr;
	uint8_t operand[6]; /* enum operand; OPERAND_END: no argument */
};

extern const struct fuzz_call fuzz_calls[];
extern const unsigned fuzz_nr_calls;
#define FUZZ_MAX_CALLS 32

/* NULL: no call that rounds make. */
const struct fuzz_call *fuzz_call_by_nr(int nr);
unsigned fuzz_call_nr_operands(const struct fuzz_call *call);

/* Steps that are no calls read like calls, too: "load", "fork". NULL: STEP_CALL, or no kind at all. */
const struct fuzz_call *fuzz_kind_call(unsigned kind);
#define FUZZ_NR_KINDS STEP_NR_KINDS

extern const char *const fuzz_file_names[STEP_NR_FILES];

/* "ENOMEM"; NULL: an errno without a name here. */
const char *fuzz_errno_name(int number);
int fuzz_errno_number(const char *name); /* 0: there is none of that name */

/* "SEGV_MAPERR"; NULL: none of those that accesses raise. */
const char *fuzz_signal_name(int signo, int code);
bool fuzz_signal_number(const char *name, int *signo, int *code);

/*
 * value in words: "PRIVATE|FIXED", with prefix the names as in C. What has no name is added as a number, nothing at
 * all is "0". Always terminated, cut if need be.
 */
void fuzz_flags_print(const struct fuzz_flags *flags, uint64_t value, bool prefix, char *buf, size_t size);

#endif

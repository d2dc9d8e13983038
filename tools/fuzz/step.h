/* SPDX-License-Identifier: MIT */
/*
 * What `quire fuzz` plays: steps and rounds. A round is made from a number (generate.c), from the
 * text of a case (case.c) or by leaving things out of another (minimize.c); it is played on
 * the running Linux and on the simulated machine alike (play.c), and printed as a C program (csource.c).
 */
#ifndef TOOLS_FUZZ_STEP_H
#define TOOLS_FUZZ_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEP_MAX_PROCESSES 8
#define STEP_MAX_SLOTS 8
#define STEP_MAX 1024 /* steps of a round */

enum step_kind {
	STEP_CALL,    /* a system call */
	STEP_LOAD,    /* arg[0] address, arg[1] bytes: what they add up to */
	STEP_STORE,   /* arg[0] address, arg[1] the byte */
	STEP_EXECUTE, /* arg[0] address of a return instruction */
	STEP_FORK,    /* process makes process arg[0], which is not there */
	STEP_EXIT,    /* process ends; never process 0 */
	STEP_WRITE,   /* write() into a file: arg[0] file, arg[1] offset, arg[2] bytes, arg[3] the byte */
};

/* What an address argument is relative to, besides a slot. */
#define STEP_NO_SLOT (-1)
#define STEP_BREAK STEP_MAX_SLOTS /* the first break */

struct step {
	uint8_t kind;    /* enum step_kind */
	uint8_t process; /* who makes it; a step of a process that is not there is not made */
	int16_t nr;      /* STEP_CALL: system call number, x86-64's */
	int8_t slot_arg; /* index of the argument that is relative to slot; STEP_NO_SLOT */
	int8_t slot;     /* 0..STEP_MAX_SLOTS - 1, or STEP_BREAK */
	int8_t into_slot; /* the result, if it is none of errors, goes there; STEP_NO_SLOT */
	uint64_t arg[6];
};

struct round {
	uint64_t seed;       /* that it was made from; 0: from a text */
	const char *profile; /* name of the generator's profile */
	uint64_t limit_as, limit_data, limit_stack, limit_memlock; /* bytes; ~0: none */
	bool no_random;      /* personality(ADDR_NO_RANDOMIZE) */
	unsigned nr_steps;
	struct step *steps;
	bool *left_out;      /* nr_steps of them; NULL: none */
};

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the judge has compared, counted: calls by flag and result, accesses by kind of area and signal. tests/linux/conformance.py
 * makes the table of docs/conformance.md from such counts, of as many runs as there are.
 */
#ifndef TOOLS_FUZZ_TALLY_H
#define TOOLS_FUZZ_TALLY_H

#include <stdio.h>

#include "step.h"

#define TALLY_MAX_ROWS 320
#define TALLY_NR_RESULTS 136 /* 0: success; n: errno n; the last one: another errno */
#define TALLY_NR_SIGNALS 5   /* 0: none; SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR, another one */

/* No pointers, so that it may lie in shared memory. Zeroed is empty. */
struct tally {
	uint64_t call[TALLY_MAX_ROWS][TALLY_NR_RESULTS];
	uint64_t access[STEP_NR_KINDS][STEP_NR_AREAS][TALLY_NR_SIGNALS]; /* by kind of step, enum step_area */
	uint64_t other[STEP_NR_KINDS][TALLY_NR_RESULTS];                 /* fork, thread, exit, write() */
	uint64_t rounds;
};

/*
 * One step that was made on both sides and gave the same. arg: its six arguments, slots resolved. Steps that were not made
 * count for nothing.
 */
void fuzz_tally_step(struct tally *t, const struct step *step, const uint64_t *arg, const struct answer *answer);
void fuzz_tally_add(struct tally *to, const struct tally *from);

/*
 * One line for each count: call, flag, result, count, with tabs between; also those that are 0, once for each row, so that
 * a reader knows what there is to be counted. The first line is TALLY_HEADER.
 */
void fuzz_tally_write(FILE *to, const struct tally *t);
#define TALLY_HEADER "quire tally 1"

#endif

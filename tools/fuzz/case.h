/* SPDX-License-Identifier: MIT */
/*
 * Rounds as text, one step a line, as tests/linux/cases/ keeps them:
 *
 *	# What it shows. Lines that begin with # say something to the reader alone.
 *	limits as=32M memlock=16p       bytes; also data, stack; maps=3: so many more areas
 *	overcommit 2                    vm.overcommit_memory; the host's own, if it cannot be set
 *	no_random                       nothing is at a random place
 *	p0 mmap(w+3p, 2p, READ|WRITE, PRIVATE|FIXED|ANONYMOUS, -1, 0) = w+3p
 *	p0 mmap(0, 1p, READ, SHARED, tmpfs, 2p) -> s1
 *	p0 load(s1+1p, 1) = BUS_ADRERR
 *	p0 fork(p1)
 *	p1 store(w+3p, 0x41)
 *	p1 thread(p2)                   shares the space of p1
 *	p2 load(w+3p, 1) = 0x41
 *	p0 store_word(w+4p-4, 8, 0x77) = SEGV_MAPERR   one instruction of 8 bytes: all of them or none
 *	p0 store_run(w+4p-4, 8, 0x77)   8 bytes, as far as it goes
 *	p0 execute(w+4p-1)              a return instruction; at a page's end f3 c3, of which half is there, too
 *	p0 process_vm_readv(p1, w, 1p, 0, 0, 0) = 1p   two ranges of p1, then flags; the buffer is the player's
 *
 * A number is a sum: 3p are three pages, 2K, 1M, 1G bytes; w is the window's start, low that of the low window, end the task's
 * end, vec the buffer for mincore; s0 to s7 are earlier results (-> puts one there), break the first break: an argument of a
 * step at most is relative to one of these. After = stands what the step does: its result, an errno or a signal.
 */
#ifndef TOOLS_FUZZ_CASE_H
#define TOOLS_FUZZ_CASE_H

#include <stdio.h>

#include "step.h"

/*
 * The round that the text is: 0, to be given back with fuzz_case_free(). Or -1, and message says in one line what is
 * wrong, beginning with name and the line's number; then there is nothing to give back.
 */
int fuzz_case_read(FILE *from, const char *name, struct round *round, char *message, size_t size);
void fuzz_case_free(struct round *round);

/* The round as text; steps that are left out are. comment: lines to stand on top, each gets a #; NULL: none. */
void fuzz_case_write(FILE *to, const struct round *round, const char *comment);

/* One step, without a newline; always terminated. */
void fuzz_step_print(const struct step *step, char *buf, size_t size);

/*
 * The line that says what a step gave: "3 p0 mmap = 0x100000003000", "4 p0 store: SEGV_MAPERR at 0x8". The C
 * programs print the same. Addresses that no round decides on, because the kernel draws them, read "somewhere".
 */
void fuzz_answer_print(unsigned number, const struct step *step, const struct answer *answer, char *buf, size_t size);

/* Does the step do what its case says? */
bool fuzz_expected(const struct step *step, const struct answer *answer);

/* Address or size in the text's words. */
void fuzz_address_print(uint64_t value, char *buf, size_t size);

#endif

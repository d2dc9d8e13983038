/* SPDX-License-Identifier: MIT */
/* A round as a C program of system calls, for who has no Quire at hand or doesn't trust it. */
#ifndef TOOLS_FUZZ_CSOURCE_H
#define TOOLS_FUZZ_CSOURCE_H

#include <stdio.h>

#include "step.h"

/*
 * A program that makes the round's steps in order, in as many processes, and prints what each gave, in the words of
 * fuzz_answer_print(), and at the end its own maps of the window. comment: stands on top; NULL: none.
 * linux_said: an answer for each step, which becomes a comment; steps that were not made are left out. NULL: not known.
 */
void fuzz_csource(FILE *to, const struct round *round, const struct answer *linux_said, const char *comment);

#endif

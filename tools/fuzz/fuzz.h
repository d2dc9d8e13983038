/* SPDX-License-Identifier: MIT */
/* quire fuzz, as main.c calls it. */
#ifndef TOOLS_FUZZ_FUZZ_H
#define TOOLS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "play.h"
#include "tally.h"

struct fuzz_options {
	uint64_t seed;       /* the first round's number */
	bool seed_given;     /* false: a fresh one */
	uint64_t steps;      /* compared, all jobs together; 0: no end */
	double seconds;      /* 0: no end */
	unsigned processes;  /* at most so many in a round; 0: as the profile says */
	const char *profile; /* NULL: each round's number chooses */
	bool minimize, quiet;
	bool print_c;        /* with cases: print each as a C program, too */
	const char *tally;   /* write what was compared, counted, to this file; NULL: don't */
	char **cases;        /* files to play instead of rounds made at random */
	size_t nr_cases;
	unsigned jobs;       /* 0: as many as there are CPUs */
};

/* 0 nothing differed, 1 something did, 3 a round could not be played; 77: the host forbids a call that is needed. */
int fuzz_run(const struct fuzz_options *options);

/* The same for cases: cases.c. */
int fuzz_run_cases(const struct fuzz_options *options);

/* Plays a round that differed once more, and prints it; made small, and as a C program, if that is wanted. */
/* first: what was said of it when it was found, in case it does not happen again. */
void fuzz_report(struct player *p, struct round *round, const char *first, const struct fuzz_options *options);

/* Writes options->tally, if there is one. False, and said why: it cannot be written. */
bool fuzz_save_tally(const struct fuzz_options *options, const struct tally *tally);

bool fuzz_has_profile(const char *name);
void fuzz_list_profiles(FILE *to);

#endif

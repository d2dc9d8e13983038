/* SPDX-License-Identifier: MIT */
/*
 * Rounds made at random, each from its number alone: nothing here knows what becomes of a step, but for slots, which
 * later arguments may be relative to. Called by fuzz.c.
 */
#ifndef TOOLS_FUZZ_GENERATE_H
#define TOOLS_FUZZ_GENERATE_H

#include "step.h"

/* NULL: there is none of that name. */
const char *generate_profile(const char *name);
/* The i-th profile's name and what it is for; NULL: there are no more. */
const char *generate_profile_name(unsigned i, const char **about);

/*
 * round->steps has room for STEP_MAX. profile NULL: the number chooses. processes: at most so many at once, 0: as the profile
 * says.
 */
void generate_round(struct round *round, uint64_t seed, const char *profile, unsigned processes);

#endif

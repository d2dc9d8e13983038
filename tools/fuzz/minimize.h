/* SPDX-License-Identifier: MIT */
/*
 * Makes a round that differs small: fewer steps, fewer processes, plainer arguments, no limits. Knows nothing of what
 * plays it or of what differs.
 */
#ifndef TOOLS_FUZZ_MINIMIZE_H
#define TOOLS_FUZZ_MINIMIZE_H

#include "step.h"

/*
 * Changes round for as long as differs() says that it still differs, and plays it at most max_plays times: the plays
 * made. round differs when it is called, and when it returns. Steps that are left out are gone afterwards. round->steps
 * is round's own and may be written to.
 */
unsigned fuzz_minimize(struct round *round, bool (*differs)(const struct round *round, void *arg), void *arg, unsigned max_plays);

#endif

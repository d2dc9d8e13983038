/* SPDX-License-Identifier: MIT */
/*
 * Plays rounds, on the running Linux and on the simulated machine, and says where they differ. Called by
 * fuzz.c for rounds made at random, by minimize.c for shortened ones, by cases for those that somebody wrote.
 *
 * The simulated machine goes first: it decides which steps are made at all (rules.h) and notes what each
 * of them gave. The host's side, a process of its own with as many others as it forks, then runs through the
 * whole round without being asked anything, and leaves its own notes in shared memory, which are compared.
 */
#ifndef TOOLS_FUZZ_PLAY_H
#define TOOLS_FUZZ_PLAY_H

#include "../util.h"
#include "step.h"

enum play_verdict {
	PLAY_SAME,
	PLAY_DIFFERENT,
	PLAY_FAILED, /* could not be played: the host forbids something; told in `what` */
};

/* All of it is the player's; valid until the next round is played. */
struct play_result {
	enum play_verdict verdict;
	unsigned step;          /* PLAY_DIFFERENT: of the round; nr_steps: in the looks at everything after the last */
	struct text what;       /* lines that say what differs, or why it failed */
	struct answer *theirs;  /* one for each step of the round */
	struct answer *ours;
	uint64_t *arg;          /* six for each step, slots resolved as Quire's side did */
	unsigned nr_compared;   /* steps made and compared */
	unsigned nr_samples;    /* of these, with smaps, status and mincore */
};

struct player;

/* NULL, and a sentence in *why: the host forbids a call that is needed. The caller stays on one thread. */
struct player *player_create(const char **why);
/* False: the machine found something wrong, or left over. */
bool player_destroy(struct player *p);

const struct play_result *player_play(struct player *p, const struct round *round);

/* ---- What is left out, and why ------------------------------------------------------------ */

/*
 * A step that is not made, or a figure that is not compared, falls under one of these; docs/conformance.md gives
 * the reason of each. Counted over all rounds of this player.
 */
#define PLAY_RULES(X)                                                                                                  \
	X(OWN_PROGRAM, "steps that would reach the player's own program")                                              \
	X(FILLS_MEMORY, "steps that would bring in more than 4 MiB")                                                     \
	X(SHRINKING_MOVE, "mremaps that shrink and meet what cannot be cut, or are charged for what they give up")    \
	X(LOCKED_COPIES, "mprotects that make several areas writable, locked private ones among them")                \
	X(LOST_COUNT, "steps after a MREMAP_DONTUNMAP of several locked areas that failed half-way")                    \
	X(FREED_PAGEOUT, "MADV_PAGEOUT after MADV_FREE or MAP_DROPPABLE")                                                               \
	X(SHARED_BEFORE, "process_vm_readv of pages that a fork left shared, and nobody shares any more")               \
	X(BYTES_UNKNOWN, "accesses to what the loader set up")                                                         \
	X(NO_TRANSFER, "process_vm_readv and process_vm_writev where the host forbids them")                            \
	X(CODE_UNKNOWN, "executions of anything but a return instruction, of one byte or, across a page's end, of two")                                            \
	X(PAGED_OUT, "looks at which pages of files and shared memory are there, after MADV_PAGEOUT")                               \
	X(READ_AHEAD, "looks at which pages of disk files are there, after one was read")                              \
	X(LAST_PAGE, "looks at which pages of disk files are there, after an access beyond the end of one")            \
	X(WRITE_BACK, "pages of disk files that are clean on one side and dirty on the other")                         \
	X(ALLOCATED, "pages of tmpfs files that are clean on one side and dirty on the other, after fallocate")            \
	X(ALLOCATED_TWICE, "looks at which pages of tmpfs files are there, after fallocate of missing ones a second time")        \
	X(MANY_AREAS, "rounds whose number of areas is not limited: the host allows too many, or there is no place for them")     \
	X(OVERCOMMIT, "rounds under the host's overcommit instead of another one, which cannot be set here and now")            \
	X(NEAR_LIMIT, "steps near the limit of strict overcommit")                                                          \
	X(HUGE, "sizes of areas that may have huge pages")                                                              \
	X(DAMON, "sizes of areas of files with fewer pages than ours, where the host's DAMON takes pages by itself")

enum play_rule {
#define PLAY_RULE(name, text) PLAY_RULE_##name,
	PLAY_RULES(PLAY_RULE)
#undef PLAY_RULE
	PLAY_NR_RULES
};

const char *play_rule_text(enum play_rule rule);
const uint64_t *player_left_out(const struct player *p); /* PLAY_NR_RULES counts */

#endif

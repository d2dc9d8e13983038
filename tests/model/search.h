/* SPDX-License-Identifier: MIT */
/*
 * Sequences of steps, made and judged: who makes them (Quire, or the running Linux) is a side.
 * Shorter sequences come first, so that the first one that fails is a shortest one.
 */
#ifndef QUIRE_TESTS_MODEL_SEARCH_H
#define QUIRE_TESTS_MODEL_SEARCH_H

#include "world.h"

#define MAX_LENGTH 24  /* of sequences out of menus */
#define MAX_RANDOM 2000 /* of others */

struct side {
	const char *name; /* in front of what is printed */
	/*
	 * From first through n steps, whose outcomes are to be should, to last. False: say() has said
	 * what is wrong, and the steps.
	 */
	bool (*sequence)(const struct model *first, const struct step *steps,
			 const struct outcome *should, unsigned n, const struct model *last);
	/* The same for steps of which some cannot be made. *made: how many, up to the one that failed. */
	bool (*list)(const struct model *first, const struct step *steps, unsigned n, unsigned *made);
	/* Can the step be made on this side? NULL: any. */
	bool (*can)(const struct model *m, const struct step *step);
	bool forbid_zeropage; /* as struct quire_sysctl has it */
	bool reads_execute;   /* as struct model has it */
};

/*
 * Three ways through a menu, each complete in what it promises, each going further than the one before:
 *
 *	all        every sequence of so many steps
 *	moving     every sequence in which each step but the last changes the model or is an access that
 *	           succeeds. The others are shorter ones with something put in that did nothing, as far as
 *	           can be seen; that nothing unseen was done is what the first way is for. (An
 *	           access that succeeds leaves its translation in the TLB: that is a change.)
 *	states     every step from every state of the model that so many steps can lead to, each state by
 *	           one way. States are the same if they are so up to the names of owners and objects and the
 *	           values that were stored, none of which any rule asks about.
 */
enum way { WAY_ALL, WAY_MOVING, WAY_STATES, NR_WAYS };

extern const char *const way_names[NR_WAYS];

struct extent {
	unsigned length;  /* at most; not begun if it can't be finished in time */
	double seconds;   /* 0: no limit of time */
	unsigned reached; /* out: the last length that was exhausted; of one that failed: that one */
	uint64_t count;	  /* out: sequences */
	double took;	  /* out */
	size_t states;	  /* out */
	bool closed;	  /* out: there are no more states, however many steps are made */
};

/* False: report has the sequence. */
bool exhaust(const struct side *side, const struct menu *menu, enum way way, enum wrong wrong,
	     struct extent *e);
void print_extent(const struct side *side, const char *menu, enum way way,
		  const struct extent *e);

/* n steps by chance; one that fails is made shorter before it is reported. */
bool run_random(const struct side *side, uint64_t seed, unsigned n);

/* False: there is none of the name. */
bool find_menu(struct menu *menu, const char *name);

/* What a failed sequence was; empty until one fails. */
extern char report[1 << 16];
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_sequence(const struct step *steps, unsigned n);
void say_outcomes(const char *what, const struct outcome *is, const struct outcome *should);

/* What the store at this position of a sequence stores. */
uint8_t value_at(unsigned position);
bool same_outcome(const struct outcome *a, const struct outcome *b);

double now(void);

#endif

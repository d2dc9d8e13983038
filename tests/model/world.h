/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the model's test share: the menus (steps.c), the space in Quire on the simulated
 * machine that makes the same steps (quire_side.c), the running Linux that does (linux_side.c), and
 * who makes sequences and compares (explore.c, judge.c).
 */
#ifndef QUIRE_TESTS_MODEL_WORLD_H
#define QUIRE_TESTS_MODEL_WORLD_H

#include "model.h"

/* ---- steps.c ----------------------------------------------------------------------------- */

#define MENU_STEPS 96

struct menu {
	const char *name;
	unsigned pages;	  /* of the window */
	unsigned memlock; /* limit, pages */
	unsigned count;
	struct step step[MENU_STEPS];
};

#define NR_MENUS 10

/* The n-th menu; n < NR_MENUS. */
void menu_make(struct menu *menu, unsigned n);

/* A step with whatever arguments: for long sequences. state is advanced. */
void step_random(struct step *step, uint64_t *state);
unsigned random_below(uint64_t *state, unsigned n);

/* One line without its end, as "mmap 0 2 rw private fixed". */
void step_print(const struct step *step, char *text, size_t room);

/* ---- quire_side.c ------------------------------------------------------------------------ */

/* A machine; once a process. */
void quire_open(void);
/* Gives it back. NULL, or what was left over or reported. */
const char *quire_close(void);

/* A space with nothing mapped, a fresh file: what model_init() makes. */
void quire_begin(const struct model *model);
/* Whatever it has come to, gone. NULL, or what is left over. */
const char *quire_end(void);

/* position: of the step in its sequence. */
void quire_step(const struct step *step, uint8_t value, unsigned position, struct outcome *outcome);

/* Is all there is to see as the model says? NULL, or what is not, until the next call. */
const char *quire_compare(const struct model *model);

/* ---- linux_side.c ------------------------------------------------------------------------ */

/* NULL, or why the running kernel cannot be asked. */
const char *linux_open(void);
void linux_close(void);

/* What /proc shows of a page, and what is in it. */
struct linux_page {
	bool mapped, first;
	char perms[5];
	uint64_t flags;  /* QUIRE_VM_*, of those that VmFlags shows */
	uint64_t offset; /* pages; of a file */
	struct outcome load[2]; /* of each half */
};

#define LINUX_STEPS 64

struct linux_answer {
	unsigned made; /* steps; fewer than were asked for: what comes next went wrong */
	struct outcome outcome[LINUX_STEPS];
	unsigned char vec[MODEL_PAGES]; /* mincore, page by page; 2: not mapped */
	struct linux_page page[MODEL_PAGES]; /* of the space in which the last step was made */
};

/* The steps in processes of their own. Steps that the model cannot make must not be among them. */
void linux_run(const struct model *first, const struct step *steps, unsigned n,
	       struct linux_answer *answer);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the judge's parts share: a round's steps (steps.c), the child that performs them on the
 * running Linux (linux_side.c), the space that performs them in Quire (quire_side.c), and what compares the
 * two (judge.c).
 */
#ifndef TESTS_LINUX_JUDGE_H
#define TESTS_LINUX_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <machine.h>

#include "child.h"

#define MAX_STEPS 400
#define WINDOW_START 0x100000000000ull
#define WINDOW_PAGES 24
#define PAGE 4096ull
#define TASK_END 0x7ffffffff000ull
#define LOW_START 0x40000000ull /* where MAP_32BIT finds places */
#define LOW_END 0x80000000ull
#define FILE_PAGES 6
#define FILE_BYTES ((FILE_PAGES - 2) * PAGE + 100) /* what has a pattern in it when a round begins */
#define READ_ONLY_FILE 2
#define DISK_FILE 3
#define NR_SLOTS 4
#define MAX_ADOPTED 32
#define SYS_MSEAL 462

/* ---- judge.c ----------------------------------------------------------------------------- */

extern uint64_t round_number;
extern struct quire_limits limits; /* of the round */
extern bool no_random;             /* the round's child has nothing at random places */

void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* ---- steps.c ----------------------------------------------------------------------------- */

struct step {
	enum command command;
	int64_t nr;
	uint64_t arg[6];
	int slot_arg;  /* this argument is relative to slot; -1: none */
	int slot;
	int into_slot; /* the result goes there; -1 */
};

#define SLOT_BREAK 6 /* slot_arg: the first argument is relative to the first break */

void random_begin(uint64_t seed);
uint64_t below(uint64_t n);
bool one_in(uint64_t n);
void make_step(struct step *s);
const char *call_name(const struct step *s);

/* ---- linux_side.c ------------------------------------------------------------------------ */

extern const char *child_path;
extern struct channel *channel;
extern char file_path[NR_FILES][64];
extern int file_fd[NR_FILES];

void make_channel(void);
void make_files(void);
void fill_files(void); /* as they are when a round begins */
void drop_files(void);
void start_child(void);
void stop_child(void);
/* The child makes the step; the answer stands in the channel. */
void child_turn(const struct step *s, const uint64_t *a);
/* A text of /proc/PID, of the child. */
size_t read_proc(const char *name, char *buf, size_t size);
/* Bytes of the child's memory; fewer than len where it stops. */
size_t read_child(uint64_t addr, void *buf, size_t len);
bool child_page_is_own(uint64_t addr); /* there, and not a file's */

/* ---- quire_side.c ------------------------------------------------------------------------ */

extern struct machine *machine;
extern struct quire *q;
extern struct quire_mm *mm;
extern quire_uaddr_t first_break;

void make_machine(void);
/* The space as the kernel has set up the child. */
void adopt_child(void);
void drop_space(void);
extern unsigned char our_vec[VEC_PAGES]; /* what mincore() said, if the range was not longer */
int64_t our_call(const struct step *s, const uint64_t *a);
int64_t our_access(const struct step *s, const uint64_t *a, struct quire_signal *sig);
/* A fetch that will be refused, or meets the return instruction that a store has put there. */
bool may_execute(quire_uaddr_t addr);
/* What the kernel and the loader set up for the child is taken over as areas, without its contents. */
bool is_adopted(quire_uaddr_t addr);
/* Private anonymous memory, of which mincore() tells exactly. */
bool is_anonymous(quire_uaddr_t addr);

#endif

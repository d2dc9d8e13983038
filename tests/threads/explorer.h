/* SPDX-License-Identifier: MIT */
/*
 * A schedule explorer: runs the same few threads again and again, each time from the same state and under
 * another schedule, until all schedules with so many forced switches have been (preemption bounding, as in CHESS).
 *
 * Threads are coroutines, each a CPU of the simulated machine; one runs. A *point* is what stands before every
 * atomic access of the library and the machine: there, and nowhere else, the explorer may let another thread
 * run. Who waits (a lock held by another, a word that is to change) cannot run, and whoever can goes on by itself:
 * that is no forced switch. Nobody can run: a deadlock.
 *
 * All memory that threads share lies in one arena, which is photographed once and restored before each
 * run: only pages that some run has written are copied back. So a run is cheap, and the same from any start.
 *
 * Which points. To switch between two accesses makes a difference only if the one just made conflicts with one that
 * another thread makes: the same address, and one of the two writes. For if it does not, the same happens when the
 * switch comes before it, and that schedule has no more switches. So the explorer notes for each address who reads and
 * who writes it, in all runs of a test, and switches only behind an access that conflicts by these notes; when the notes
 * grow, it starts again with what it then knows. What is touched only while one and the same lock is held does not
 * conflict: its order is that of the lock, whose own accesses do. Plain accesses between points are ordered by the atomic ones
 * (ThreadSanitizer's business in other tests). Memory is sequentially consistent here: what a weaker machine
 * may do besides is not explored.
 */
#ifndef QUIRE_TESTS_EXPLORER_H
#define QUIRE_TESTS_EXPLORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <machine.h>

#define EXPLORER_MOST_THREADS 3
#define EXPLORER_MOST_SWITCHES 4
#define EXPLORER_MOST_CALLS 12
#define EXPLORER_TEXT 160

/* When thread is about to pass its point for the so-manieth time, another goes on. */
struct explorer_switch {
	uint32_t point; /* from 1 */
	uint8_t thread, to;
};

struct explorer_schedule {
	uint8_t first, nr;
	struct explorer_switch at[EXPLORER_MOST_SWITCHES];
};

/* As text, "0 0@57>1 1@12>0", and back: false if it is none. */
void explorer_print(const struct explorer_schedule *s, char text[EXPLORER_TEXT]);
bool explorer_parse(const char *text, struct explorer_schedule *s);

struct explorer_test {
	struct machine *m;
	unsigned nr_threads;
	/* Before each run, when the arena is as it was photographed: forget what lies elsewhere. */
	void (*forget)(void);
	/* What thread does; calls explorer_boundary() after each call of the library. */
	void (*body)(unsigned thread);
	/* After each run, on CPU 0: NULL or what is wrong. May destroy everything. */
	const char *(*judge)(void);
};

/*
 * Build a state: between these two everything that the objects linked here allocate comes from the arena, which is
 * empty at first. finish photographs it.
 */
void explorer_build(void);
void explorer_photograph(void);
/* The arena as it was photographed, after a run. */
void explorer_rewind(void);

/* One run. NULL, or what was wrong (valid until the next run). */
const char *explorer_run(const struct explorer_test *test, const struct explorer_schedule *s);

/*
 * One run without forced switches, but for those between calls: order says whose call is next, nr in all.
 */
const char *explorer_run_serially(const struct explorer_test *test, const uint8_t *order, unsigned nr);

struct explorer_result {
	uint64_t schedules; /* of the last round, which knew all conflicts */
	uint64_t runs;      /* of all rounds */
	uint64_t points;    /* passed in all runs */
	unsigned rounds;
	bool complete;      /* else stopped at most runs, or at the deadline */
	const char *broken; /* NULL, or what was wrong under schedule */
	struct explorer_schedule schedule;
};

struct explorer_limits {
	unsigned switches;
	uint64_t most_runs; /* 0: any number */
	double deadline;    /* by explorer_now(); 0: none */
	unsigned sample;    /* of each run, follow only so many places for one switch more, by chance; 0: all */
	uint64_t seed;      /* of that chance */
	bool everywhere;    /* switch at every point, whether it conflicts or not */
};

/* All schedules; stops at the first that is wrong. */
void explorer_explore(const struct explorer_test *test, const struct explorer_limits *limits,
		      struct explorer_result *result);

/* For bodies and judges. */
bool explorer_is_running(void); /* a thread of a run, not the explorer itself */
void explorer_boundary(void);
__attribute__((noreturn, format(printf, 1, 2))) void explorer_fail(const char *format, ...);

/* A mistake on purpose: wakes wake nobody. */
void explorer_lose_wakes(bool on);

/* Say on stdout where each forced switch happens. */
void explorer_trace(bool on);

double explorer_now(void);

#endif

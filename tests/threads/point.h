/* SPDX-License-Identifier: MIT */
/*
 * Included before everything else in the build of the library and the machine that the schedule explorer
 * runs: every atomic access, and every turn of a spin loop of the machine's, is a switching point. See explorer.h.
 */
#ifndef QUIRE_TESTS_POINT_H
#define QUIRE_TESTS_POINT_H

void explorer_point(const volatile void *p, int is_write);
void explorer_holds(const volatile void *lock, int holds);
void explorer_yield(void);

extern struct explorer_thread *explorer_running; /* NULL outside runs */

#define QUIRE_SCHED_POINT(p, is_write) (explorer_running ? explorer_point((p), (is_write)) : (void)0)
#define QUIRE_SCHED_HOLDS(p, holds) (explorer_running ? explorer_holds((p), (holds)) : (void)0)
#define MACHINE_YIELD() explorer_yield()

#endif

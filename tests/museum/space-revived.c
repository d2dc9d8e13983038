/* SPDX-License-Identifier: MIT */
/*
 * A space whose last user has gone gets another while it is being taken apart.
 *
 * Whoever looks on from outside (/proc, swapoff, ksm, uprobes) finds a space in a list and wants to
 * keep it for a moment. A plain increment revives what is half dead: users go from 0 to 1 and back
 * to 0, and it is taken apart twice. Linux has mmget_not_zero() for it; that who holds a space in
 * this way may still meet the end of its process showed in CVE-2019-11599.
 *
 * CPU 0 puts the last user and is about to flush; CPU 1 wants to become one.
 */
#include "museum.h"

static struct quire_mm *dying;
static bool revived;

static void wants_it(void)
{
	revived = quire_mmget_not_zero(dying);
}

static void other_cpu_wants_it(void)
{
	on(1, wants_it);
	must(!revived, "a space that is being taken apart got a user");
}

static void nobody_becomes_the_user_of_a_dead_space(void **state)
{
	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	dying = fork_space(space.mm);
	on(1, wants_it);
	assert_true(revived);
	quire_mmput(dying);
	/* As a kernel thread has it: the tables are loaded, and there is something to flush. */
	quire_mmgrab(dying);
	run_in(dying);
	set(P(0), 2);
	at(FLUSH, 0, other_cpu_wants_it);
	quire_mmput(dying);
	must(came(FLUSH), "nothing was flushed");
	run_in(space.mm);
	quire_mmdrop(dying);
}

museum_main(exhibit(nobody_becomes_the_user_of_a_dead_space))

/* SPDX-License-Identifier: MIT */
/*
 * A page table is freed while a processor still walks it.
 *
 * Besides translations, processors keep the upper levels of what they have walked (SDM 4.10.3), and
 * start later walks at a table's address. A table that is unlinked, freed and used for something
 * else is then read as a table: the program chooses its own translations. Linux flushed too little
 * (only the pages' addresses) for more than one of its architectures, and until 6.1 (2022) khugepaged
 * took tables out for huge pages without telling everybody who walks them.
 *
 * The machine's CPUs keep such entries until they are told that tables have gone. CPU 1 has walked
 * the table that CPU 0 empties.
 */
#include "museum.h"

static bool stored;

static void stores(void)
{
	stored = try_store(P(0), 1);
}

static void frees_what_waits(void)
{
	quire_grace_wait(space.q);
}

static void other_cpu_frees_what_waits(void)
{
	on(2, frees_what_waits);
}

static void processors_forget_a_table_before_it_is_freed(void **state)
{
	(void)state;
	map_at(0, 1, "rw");
	on(1, stores);
	assert_true(stored);
	assert_int_equal(unmap_at(0, 1), 0);
	quire_grace_wait(space.q);
	must(!machine_failed(space.m), "a table was freed that a CPU could still walk");
}

/* However soon what waits for a grace period is freed: no table is among it before the flush. */
static void a_table_waits_from_the_flush_on(void **state)
{
	(void)state;
	map_at(0, 1, "rw");
	on(1, stores);
	assert_true(stored);
	at(FLUSH, 0, other_cpu_frees_what_waits);
	assert_int_equal(unmap_at(0, 1), 0);
	must(came(FLUSH), "munmap flushed nothing");
	quire_grace_wait(space.q);
	must(!machine_failed(space.m), "a table was freed that a CPU could still walk");
}

museum_main(exhibit(processors_forget_a_table_before_it_is_freed),
	    exhibit(a_table_waits_from_the_flush_on))

/* SPDX-License-Identifier: MIT */
/*
 * A stack grows up to the next mapping, or a mapping is placed right below a stack, so that a large
 * frame steps over what lies between and the stack goes on in somebody else's memory.
 *
 * CVE-2010-2240 gave Linux a guard page; CVE-2017-1000364, "Stack Clash", showed that one page is
 * jumped easily (alloca(), large arrays), and made it 256, kept free by whoever grows and by
 * whoever places.
 */
#include "museum.h"

#define GAP 256
#define STACK (BASE + 0x1000 * PAGE)

static void map_stack(void)
{
	assert_int_equal(quire_mmap(space.mm, STACK, 4 * PAGE, RW,
				    ANON | QUIRE_MAP_FIXED | QUIRE_MAP_GROWSDOWN, NULL, 0),
			 STACK);
	set(STACK, 1);
}

static void map_below(uint64_t addr)
{
	assert_int_equal(quire_mmap(space.mm, addr, 4 * PAGE, RW, ANON | QUIRE_MAP_FIXED, NULL, 0),
			 addr);
}

static void a_stack_keeps_its_distance(void **state)
{
	(void)state;
	map_stack();
	map_below(STACK - 304 * PAGE); /* ends 300 pages below */
	must(try_store(STACK - 44 * PAGE, 1), "a stack does not grow");
	must(!try_store(STACK - 45 * PAGE, 1), "a stack grew into its guard gap");
	must(!try_store(STACK - 300 * PAGE, 1), "a stack grew up to the next mapping");
}

static void maps_below(void)
{
	if (quire_mmap(space.mm, STACK - 3 * PAGE, 2 * PAGE, RW, ANON | QUIRE_MAP_FIXED, NULL, 0) < 0)
		caught("mmap");
}

static void other_cpu_maps_below(void)
{
	on(1, maps_below);
}

/* What was free when the fault looked is looked at again. */
static void a_stack_keeps_its_distance_from_what_was_mapped_meanwhile(void **state)
{
	(void)state;
	map_stack();
	at(GROWING, 0, other_cpu_maps_below);
	must(!try_store(STACK - PAGE, 1), "a stack grew up to the next mapping");
	must(came(GROWING), "the fault did not want to grow the stack");
}

static void nothing_is_placed_in_the_gap(void **state)
{
	int64_t addr;

	(void)state;
	map_stack();
	addr = quire_mmap(space.mm, STACK - 8 * PAGE, 4 * PAGE, RW, ANON, NULL, 0);
	assert_true(addr > 0);
	must((uint64_t)addr + 4 * PAGE <= STACK - GAP * PAGE || (uint64_t)addr >= STACK + 4 * PAGE,
	     "a mapping was placed in the guard gap of a stack");
	addr = quire_mmap(space.mm, STACK - 260 * PAGE, 4 * PAGE, RW, ANON, NULL, 0);
	assert_int_equal(addr, STACK - 260 * PAGE);
}

/* Without a hint the search goes down from mmap_base; the stack is made to be what it meets. */
static void nothing_is_found_in_the_gap(void **state)
{
	uint64_t base = space.mm->layout.mmap_base;
	int64_t addr;

	(void)state;
	assert_int_equal(quire_mmap(space.mm, base - 4 * PAGE, 4 * PAGE, RW,
				    ANON | QUIRE_MAP_FIXED | QUIRE_MAP_GROWSDOWN, NULL, 0),
			 base - 4 * PAGE);
	addr = quire_mmap(space.mm, 0, 4 * PAGE, RW, ANON, NULL, 0);
	must((uint64_t)addr + 4 * PAGE <= base - 4 * PAGE - GAP * PAGE,
	     "a mapping was placed in the guard gap of a stack");
}

museum_main(exhibit(a_stack_keeps_its_distance),
	    exhibit(a_stack_keeps_its_distance_from_what_was_mapped_meanwhile),
	    exhibit(nothing_is_placed_in_the_gap), exhibit(nothing_is_found_in_the_gap))

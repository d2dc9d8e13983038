/* SPDX-License-Identifier: MIT */
/*
 * A stack grows while somebody who only reads stands in its area.
 *
 * CVE-2023-3269, "StackRot" (Linux 6.1 to 6.4): faults grew stacks holding the address space's lock
 * for reading, as other readers do. When the index of areas became a maple tree, growing meant to
 * replace a node, and the old one was freed after an RCU grace period that these readers were not
 * in: they went on in freed memory.
 *
 * CPU 0 has a fault on a stack, and has found its area; CPU 1 makes the stack grow, twice. The area
 * that CPU 0 stands in must stay what it was, dead by then, until it leaves.
 */
#include "museum.h"

static void grows(void)
{
	if (!try_store(P(19), 1) || !try_store(P(18), 1))
		caught("a stack does not grow");
}

static void other_cpu_grows_it(void)
{
	const struct quire_vma *vma = quire_find_vma(space.mm, P(20));
	uint64_t pgoff = vma->pgoff;

	on(1, grows);
	must(vma->start == P(20) && vma->end == P(24) && vma->pgoff == pgoff &&
		     vma->mm == space.mm,
	     "the area that a reader stands in has changed");
	must(quire_load_acquire(&vma->state) == QUIRE_VMA_DEAD,
	     "the area that a reader stands in is not the one that has grown");
}

static void a_reader_keeps_its_area(void **state)
{
	(void)state;
	space.q->mms.sysctl.stack_guard_gap = PAGE;
	assert_int_equal(quire_mmap(space.mm, P(20), 4 * PAGE, RW,
				    ANON | QUIRE_MAP_FIXED | QUIRE_MAP_GROWSDOWN, NULL, 0),
			 P(20));
	set(P(23), 1);
	at(LOOKED_UP, 0, other_cpu_grows_it);
	set(P(20), 2);
	must(came(LOOKED_UP), "there was no fault");
	assert_int_equal(get(P(20)), 2);
	assert_picture("18-24 rw-p");
}

museum_main(exhibit(a_reader_keeps_its_area))

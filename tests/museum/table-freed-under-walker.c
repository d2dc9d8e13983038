/* SPDX-License-Identifier: MIT */
/*
 * A page table is freed while software that took no lock stands in it.
 *
 * Whoever walks tables without the space's lock (a fault, get_user_pages_fast()) can hold the
 * address of a table that has just been unlinked. Linux kept such walkers safe by switching
 * interrupts off, on which freeing had to wait; each new lock-free walker and each new way to free
 * a table (the collapse into huge pages, 2022 and 2023) needed that again, and some did not have
 * it: walkers wrote entries into what had become another page.
 *
 * CPU 0 has a fault on page 0, and knows its leaf table, which page 1 keeps in being. CPU 1 drops
 * page 1, so that the table is unlinked and freed, and takes the next pages that it can get.
 */
#include "museum.h"

#define NR_TAKEN 16
#define TABLE_SPAN (512 * PAGE)

static struct quire_page *taken[NR_TAKEN];

static void drops_and_takes(void)
{
	if (quire_madvise(space.mm, P(1), PAGE, QUIRE_MADV_DONTNEED))
		caught("madvise");
	for (unsigned i = 0; i < NR_TAKEN; i++) {
		taken[i] = quire_page_alloc(space.q, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO, 0);
		if (!taken[i])
			caught("no memory");
		/* As another space's table for the same addresses has it. */
		quire_store(&taken[i]->index, P(0) & ~(TABLE_SPAN - 1));
	}
}

static void other_cpu_drops_and_takes(void)
{
	on(1, drops_and_takes);
}

static bool is_zero(struct quire_page *page)
{
	const uint64_t *words = quire_page_kmap(space.q, page);
	bool zero = true;

	for (unsigned i = 0; i < PAGE / 8; i++)
		zero &= words[i] == 0;
	quire_page_kunmap(space.q, (void *)(uintptr_t)words);
	return zero;
}

static void a_fault_writes_to_tables_alone(void **state)
{
	(void)state;
	map_at(0, 2, "rw");
	set(P(1), 1);
	at(LOOKED_UP, 0, other_cpu_drops_and_takes);
	set(P(0), 2);
	must(came(LOOKED_UP), "the fault did not look for its table");
	for (unsigned i = 0; i < NR_TAKEN; i++) {
		must(is_zero(taken[i]) && quire_load(&taken[i]->maps) == 0,
		     "a fault wrote to a page that had been a table");
		quire_page_free(space.q, taken[i], 0);
	}
	must(get(P(0)) == 2, "a store is lost");
}

museum_main(exhibit(a_fault_writes_to_tables_alone))

/* SPDX-License-Identifier: MIT */
/*
 * While fork write-protects page after page, a page that it has passed is copied by a fault, and a
 * store that another processor still makes through its old entry goes to the original.
 *
 * Linux protects the parent's entries one by one and flushes in the end. A fault in between took the
 * missing right at its word and copied; a thread on another processor, whose TLB still let it write,
 * went on writing to the page that the parent had just given up. The counterpart without faults,
 * get_user_pages_fast() that pinned a page which fork was about to share, got a sequence counter in
 * 5.11 (write_protect_seq, 2020).
 *
 * CPU 0 forks and is about to flush; CPU 2 writes to the page; CPU 1, when that has copied, too.
 */
#include "museum.h"

static void stores_here(void)
{
	if (!try_store(P(0) + 8, 2))
		caught("a store to mapped memory fails");
}

static void stores_there(void)
{
	if (!try_store(P(0) + 16, 7))
		caught("a store to mapped memory fails");
}

static void third_cpu_stores(void)
{
	on(1, stores_there);
}

static void second_cpu_stores(void)
{
	at(COPIED, 2, third_cpu_stores);
	(void)start(2, stores_here);
}

static void a_store_during_fork_is_not_lost(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	on(1, stores_there);
	set(P(0) + 16, 1);
	at(FLUSH, 0, second_cpu_stores);
	child = fork_space(space.mm);
	must(came(FLUSH), "fork flushed nothing");
	finish(2);
	must(came(COPIED), "the page was not copied");
	must(get(P(0) + 16) == 7, "a store of the parent is lost");
	must(get(P(0) + 8) == 2, "a store of the parent is lost");
	put_space(child);
}

museum_main(exhibit(a_store_during_fork_is_not_lost))

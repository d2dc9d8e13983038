/* SPDX-License-Identifier: MIT */
/*
 * A store for another process that goes to a page, not to an address, comes too late.
 *
 * The trap of get_user_pages() and fork: who got a writable page and stored to it after a fork and another thread's
 * store stored to the page that the child had kept. The parent lost the bytes, and the child saw them. Linux copies pages that
 * are pinned when it forks (since 5.9); here a store for others is made under the lock of the leaf, while the entry is there.
 */
#include "museum.h"

static struct quire_mm *child;

static void forks(void)
{
	must(quire_fork(space.mm, &child) == 0, "no memory to fork");
}

static void stores_beside(void)
{
	must(try_store(P(0) + 8, 2), "a store ended in a signal");
}

/* Both happen while the call has looked at where the bytes go, and fetches those that go there. */
static void others_turn(void)
{
	on(1, forks);
	on(2, stores_beside);
}

static void a_store_by_process_vm_writev_is_kept(void **state)
{
	const struct quire_iovec from = {P(8), 1}, to = {P(0), 1};

	(void)state;
	map_at(0, 1, "rw");
	map_at(8, 1, "rw");
	set(P(0), 1);
	at(SERVED, 0, others_turn);
	assert_int_equal(quire_process_vm_writev(space.mm, &from, 1, space.mm, &to, 1, 0), 1);
	must(came(SERVED), "the moment never came");
	must(get(P(0)) == 0 && get(P(0) + 8) == 2, "what was stored for another process is lost");
	run_in(child);
	must(get(P(0)) == 1 && get(P(0) + 8) == 0, "a child sees what was stored for its parent");
	run_in(space.mm);
	put_space(child);
}

museum_main(exhibit(a_store_by_process_vm_writev_is_kept))

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

/* ---- And read through a TLB ------------------------------------------------------------------ */

static int seen;

static void loads(void)
{
	must(try_load(P(0)) >= 0, "a file's page cannot be read");
}

static void punches(void)
{
	must(!quire_object_punch_hole(&disk->object, 0, PAGE), "a hole was not punched");
}

static void stores_for_itself(void)
{
	const unsigned char byte = 7;

	must(quire_access_process_vm(space.mm, P(0), (void *)(uintptr_t)&byte, 1, QUIRE_ACCESS_WRITE) == 1,
	     "a store for another process is refused");
	seen = try_load(P(0));
}

static void cpu_2_stores(void)
{
	on(2, stores_for_itself);
}

/*
 * The hole has taken the page's entry, and CPU 2 still has it in its TLB. Its store makes a page of its own, where there is no
 * entry to be flushed; but then it must see that.
 */
static void a_store_is_seen_by_its_own_processor(void **state)
{
	(void)state;
	map_file(0, 1, RW, QUIRE_MAP_PRIVATE, 0);
	on(2, loads);
	at(FLUSH, 1, cpu_2_stores);
	on(1, punches);
	must(came(FLUSH), "the hole flushed nothing");
	must(seen == 7, "a processor does not see its own store");
	assert_int_equal(get(P(0)), 7);
}

museum_main(exhibit(a_store_by_process_vm_writev_is_kept), exhibit(a_store_is_seen_by_its_own_processor))

/* SPDX-License-Identifier: MIT */
/*
 * A page's owner goes, or becomes somebody else's, while the page is still mapped.
 *
 * CVE-2022-42703 (Linux before 5.19.7): to keep chains short in processes that fork without end, an
 * anon_vma whose process is gone is given to a later child. The count that decided whether nobody
 * needed it any more was wrong after it had been reused twice: a page went on pointing to an
 * anon_vma that had been freed. Linux counts active areas and children separately since.
 *
 *	P forks C, C forks D, C goes: its owner, B, has no area of its own
 *	D forks F: F may have B.   D forks G: B is taken
 *
 * A merge is the other way to lose an owner: whoever takes over pages takes over their owner.
 */
#include "museum.h"

static struct quire_anon *owner(struct quire_mm *mm, uint64_t addr)
{
	return area(mm, addr)->anon;
}

static void an_owner_is_given_to_one_area_at_a_time(void **state)
{
	struct quire_mm *p = space.mm, *c, *d, *f, *g;
	struct quire_anon *b;

	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	c = fork_space(p);
	b = owner(c, P(0));
	must(b != owner(p, P(0)), "an owner was given away that an area has");
	d = fork_space(c);
	must(owner(d, P(0)) != b, "an owner was given away that an area has");
	quire_mmput(c);
	f = fork_space(d);
	assert_ptr_equal(owner(f, P(0)), b);
	g = fork_space(d);
	must(owner(g, P(0)) != b, "an owner was given away that an area has");
	must(owner(g, P(0)) != owner(d, P(0)), "an owner was given away that an area has");
	run_in(f);
	set(P(0), 2);
	run_in(g);
	set(P(0), 3);
	check(f);
	quire_mmput(d);
	run_in(f);
	assert_int_equal(get(P(0)), 2);
	check(f);
	check(g);
	run_in(p);
	quire_mmput(f);
	run_in(g);
	must(get(P(0)) == 3, "a page is not what it was");
	check(g);
	put_space(g);
}

/* M, which has pages, becomes one with A, which never had any; later with what A was cut from. */
static void who_takes_over_pages_takes_over_their_owner(void **state)
{
	(void)state;
	map_at(0, 1, "rw");
	map_at(1, 1, "rwx");
	map_at(2, 1, "rw");
	set(P(1), 1);
	assert_int_equal(protect_at(1, 1, "rw"), 0);
	quire_grace_wait(space.q);
	assert_picture("0-3 rw-p");
	check(space.mm);
	set(P(0), 2);
	set(P(2), 3);
	check(space.mm);
	must(owner(space.mm, P(0)) != NULL, "pages have no owner");
}

museum_main(exhibit(an_owner_is_given_to_one_area_at_a_time),
	    exhibit(who_takes_over_pages_takes_over_their_owner))

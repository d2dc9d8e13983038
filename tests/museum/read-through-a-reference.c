/* SPDX-License-Identifier: MIT */
/*
 * Copy-on-write is broken by somebody who holds the page without mapping it.
 *
 * CVE-2020-29374 (Linux until 5.8): a child took a reference to a page that it shared with its
 * parent (vmsplice() into a pipe, then munmap). The parent wrote; the kernel counted one mapping, so
 * the page seemed the parent's alone, and let it write in place: the child read the parent's secret
 * out of the pipe. The first repair, to copy whenever anybody had a reference, broke the other
 * side, references that are there to see what is written (2020 to 2022), until pages knew
 * whether they were exclusive.
 */
#include "museum.h"

static unsigned char byte_of(struct quire_page *page)
{
	unsigned char *bytes = quire_page_kmap(space.q, page);
	unsigned char byte = bytes[0];

	quire_page_kunmap(space.q, bytes);
	return byte;
}

static void who_took_a_shared_page_does_not_see_later_writes(void **state)
{
	struct quire_page *page;
	struct quire_mm *child;

	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	child = fork_space(space.mm);
	assert_int_equal(quire_get_user_page(child, P(0), QUIRE_ACCESS_READ, &page), 0);
	assert_int_equal(quire_munmap(child, P(0), PAGE), 0);
	set(P(0), 42);
	must(byte_of(page) == 1, "a reference of another process sees what is written");
	assert_int_equal(get(P(0)), 42);
	(void)quire_page_put(space.q, page);
	put_space(child);
}

static void who_took_an_exclusive_page_sees_later_writes(void **state)
{
	struct quire_page *page;

	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	assert_int_equal(quire_get_user_page(space.mm, P(0), QUIRE_ACCESS_WRITE, &page), 0);
	assert_int_equal(protect_at(0, 1, "r"), 0);
	assert_int_equal(protect_at(0, 1, "rw"), 0);
	set(P(0), 42);
	must(byte_of(page) == 42, "a reference of the same process does not see what is written");
	(void)quire_page_put(space.q, page);
}

/* Fork ends it: from then on the page is nobody's alone. */
static void fork_shares_what_was_exclusive(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	child = fork_space(space.mm);
	set(P(0), 2);
	run_in(child);
	must(get(P(0)) == 1, "a child sees what its parent writes");
	check(child);
	put_space(child);
}

museum_main(exhibit(who_took_a_shared_page_does_not_see_later_writes),
	    exhibit(who_took_an_exclusive_page_sees_later_writes),
	    exhibit(fork_shares_what_was_exclusive))

/* SPDX-License-Identifier: MIT */
/*
 * A page is found in a file's cache, cut off, and mapped.
 *
 * From 2.4 to 2.6.22 Linux's truncate and faults passed each other: the fault found the page,
 * the truncate unmapped what was mapped and dropped it, the fault mapped it. It stayed mapped,
 * nobody's, and what was stored there was lost, or reached a file that had grown again. A counter
 * of truncations came first, then (2.6.23) the page's lock, held from the look at whose it is to the
 * entry.
 */
#include "museum.h"

static void truncates(void)
{
	quire_object_truncate(&disk->object, 0);
}

static void other_cpu_truncates(void)
{
	on(1, truncates);
}

static void fault_while_truncated(uint32_t flags)
{
	struct quire_page *page;

	map_file(0, 1, RW, flags, 0);
	map_at(1, 1, "rw");
	set(P(1), 1);
	assert_int_equal(quire_object_get_page(&disk->object, 0, &page), 0);
	(void)quire_page_put(space.q, page);
	at(FOUND_PAGE, 0, other_cpu_truncates);
}

static void a_page_that_was_cut_off_is_not_read(void **state)
{
	(void)state;
	fault_while_truncated(QUIRE_MAP_SHARED);
	must(try_load(P(0)) == -1, "a page that was cut off its file was mapped");
	must(came(FOUND_PAGE), "the page was not looked for");
}

static void a_page_that_was_cut_off_is_not_written(void **state)
{
	(void)state;
	fault_while_truncated(QUIRE_MAP_SHARED);
	must(!try_store(P(0), 1), "a page that was cut off its file was mapped");
	must(came(FOUND_PAGE), "the page was not looked for");
}

static void a_page_that_was_cut_off_is_not_copied(void **state)
{
	(void)state;
	fault_while_truncated(QUIRE_MAP_PRIVATE);
	must(!try_store(P(0), 1), "a page that was cut off its file was mapped");
	must(came(FOUND_PAGE), "the page was not looked for");
}

/* Copied first, then cut off: the copy must not outlive the truncate. */
static void starts_truncate(void)
{
	(void)start(1, truncates);
}

static void a_copy_does_not_outlive_its_page(void **state)
{
	(void)state;
	fault_while_truncated(QUIRE_MAP_PRIVATE);
	at(FOUND_PAGE, 0, NULL);
	at(COPIED, 0, starts_truncate);
	(void)try_store(P(0), 1);
	must(came(COPIED), "nothing was copied");
	finish(1);
	must(try_load(P(0)) == -1, "a copy outlived the truncate of its page");
	check(space.mm);
}

static void no_copy_outlives_its_page(void **state)
{
	(void)state;
	map_file(0, 2, RW, QUIRE_MAP_PRIVATE, 0);
	set(P(0), 1);
	set(P(1), 2);
	quire_object_truncate(&disk->object, PAGE);
	assert_int_equal(get(P(0)), 1);
	must(try_load(P(1)) == -1, "a copy outlived the truncate of its page");
}

museum_main(exhibit(a_page_that_was_cut_off_is_not_read),
	    exhibit(a_page_that_was_cut_off_is_not_written),
	    exhibit(a_page_that_was_cut_off_is_not_copied), exhibit(a_copy_does_not_outlive_its_page),
	    exhibit(no_copy_outlives_its_page))

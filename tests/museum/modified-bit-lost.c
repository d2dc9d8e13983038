/* SPDX-License-Identifier: MIT */
/*
 * A store is made, and nobody remembers that the page was modified.
 *
 * The mark is made by hardware, at any moment at which some TLB lets it. Two ways to lose it. An
 * entry that is read, changed and written back loses what was set in between (Linux's first years
 * with several processors; atomic exchanges since 2.4). And an entry that has been emptied but not
 * flushed is still stored through: when its page is written back meanwhile, found clean and
 * forgotten, what is stored then never reaches the file (Linux until 3.15, 2014: dirty shared pages
 * are flushed before their table's lock is dropped since).
 */
#include "museum.h"

/* ---- Read, changed, written back --------------------------------------------------------- */

static void stores(void)
{
	if (!try_store(P(0), 2))
		caught("a store to mapped memory fails");
}

static void other_cpu_stores(void)
{
	on(1, stores);
}

/* The only mark is in the entry: MADV_FREE has cleared it before. */
static void a_mark_made_while_rights_change_stays(void **state)
{
	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	assert_int_equal(quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_FREE), 0);
	assert_false(entry_has(space.mm, P(0), QUIRE_PTE_DIRTY));
	at(MODIFIED, 0, other_cpu_stores);
	assert_int_equal(protect_at(0, 1, "r"), 0);
	must(came(MODIFIED), "no rights were changed");
	assert_int_equal(get(P(0)), 2);
	must(entry_has(space.mm, P(0), QUIRE_PTE_DIRTY), "the mark of a store is lost");
}

/* ---- Emptied, not flushed ---------------------------------------------------------------- */

static bool written;

static void stores_first(void)
{
	if (!try_store(P(1), 1))
		caught("a store to mapped memory fails");
}

static void stores_late(void)
{
	if (!try_store(P(1), 2))
		caught("an entry that has not been flushed is used no more");
}

static void waits_for_the_write(void)
{
	stand(&written);
}

static void unmaps(void)
{
	at(FLUSH, 1, waits_for_the_write);
	if (unmap_at(1, 1))
		caught("munmap");
}

/* Write-back has protected all entries, and is about to write page 0; page 1 comes next. */
static void before_the_first_page(struct disk *d, struct quire_page *page)
{
	d->in_write = NULL;
	if (page->index != 0)
		caught("pages are not written in order");
	on(2, stores_first);
	(void)start(1, unmaps);
}

static void a_store_through_an_emptied_entry_reaches_the_file(void **state)
{
	(void)state;
	map_file(0, 2, RW, QUIRE_MAP_SHARED, 0);
	set(P(0), 1);
	set(P(1), 9);
	disk->in_write = before_the_first_page;
	assert_int_equal(quire_object_sync(&disk->object, 0, 1), 0);
	must(came(FLUSH), "munmap flushed nothing");
	assert_int_equal(disk->bytes[PAGE], 1);
	on(2, stores_late);
	say(&written);
	finish(1);
	assert_int_equal(quire_object_sync(&disk->object, 0, 1), 0);
	must(disk->bytes[PAGE] == 2, "a store never reaches the file");
}

/* The same when the entry loses its rights to mprotect, and looks as if it could not be used. */
static void forbids(void)
{
	at(FLUSH, 1, waits_for_the_write);
	if (protect_at(1, 1, "n"))
		caught("mprotect");
}

/* The write-back may have flushed what mprotect has not. */
static void stores_if_it_can(void)
{
	(void)try_store(P(1), 2);
}

static void before_the_first_page_again(struct disk *d, struct quire_page *page)
{
	d->in_write = NULL;
	(void)page;
	on(2, stores_first);
	(void)start(1, forbids);
}

static void a_store_through_a_forbidden_entry_reaches_the_file(void **state)
{
	(void)state;
	written = false;
	map_file(0, 2, RW, QUIRE_MAP_SHARED, 0);
	set(P(0), 1);
	set(P(1), 9);
	disk->in_write = before_the_first_page_again;
	assert_int_equal(quire_object_sync(&disk->object, 0, 1), 0);
	must(came(FLUSH), "mprotect flushed nothing");
	on(2, stores_if_it_can);
	say(&written);
	finish(1);
	assert_int_equal(protect_at(1, 1, "r"), 0);
	assert_int_equal(quire_object_sync(&disk->object, 0, 1), 0);
	must(disk->bytes[PAGE] == get(P(1)), "a store never reaches the file");
}

museum_main(exhibit(a_mark_made_while_rights_change_stays),
	    exhibit(a_store_through_an_emptied_entry_reaches_the_file),
	    exhibit(a_store_through_a_forbidden_entry_reaches_the_file))

/* SPDX-License-Identifier: MIT */
/*
 * A call that takes memory away returns while a CPU can still use it, because somebody else's call
 * has emptied the entry already and is yet to flush.
 *
 * Linux had it until 4.13 (2017), twice. Zapping and mprotect gather entries and flush once at the end, with
 * no lock held in between. A second thread in MADV_DONTNEED (or MADV_FREE, or mprotect) over the
 * same pages found the entries empty, concluded that there was nothing to flush, and returned; the
 * program, told that its pages were gone, went on to read the old ones. The same for reclaim, which
 * put off its flushes further still. Since then an address space counts those who are between
 * entry and flush, and whoever finishes while there is another flushes all that it went over.
 *
 * Here calls of one space take turns, but a truncate, a hole or a write-back comes from the
 * object's side and holds no lock of the space. One CPU does the one and stands before its flush;
 * what CPU 1 does then must hold when it has returned. Calls that change areas of the object wait
 * for its lock; that is one way. Calls that do not must flush for themselves.
 */
#include "museum.h"

static int seen;
static bool stored;

static void touches(void)
{
	seen = try_load(P(0));
	stored = try_store(P(0), 1);
}

/* A file at page 0; and a neighbour, so that the table stays when the page goes. */
static void map(uint32_t flags)
{
	map_file(0, 1, RW, flags, 0);
	map_at(4, 1, "rw");
	set(P(4), 1);
	on(1, touches);
	must(stored, "a store to mapped memory fails");
}

/* ---- From the object's side first -------------------------------------------------------- */

static void (*job)(void);
static bool ended;

static void other_cpu_does_it(void)
{
	ended = start(1, job);
}

/* Truncate, and when the entry is empty and nothing flushed CPU 1 does fn. */
static void truncate_meeting(void (*fn)(void))
{
	job = fn;
	at(FLUSH, 0, other_cpu_does_it);
	quire_object_truncate(&disk->object, 0);
	must(came(FLUSH), "the truncate flushed nothing");
	finish(1);
}

static void drops_and_reads(void)
{
	if (quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_DONTNEED))
		caught("madvise");
	seen = try_load(P(0));
}

static void a_page_that_was_dropped_is_not_read_again(void **state)
{
	(void)state;
	map(QUIRE_MAP_PRIVATE);
	truncate_meeting(drops_and_reads);
	must(seen != 1, "MADV_DONTNEED returned, and the old page is still read");
}

static void puts_guard_and_touches(void)
{
	if (quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_GUARD_INSTALL))
		caught("madvise");
	touches();
}

static void a_guard_is_not_stepped_over(void **state)
{
	(void)state;
	map(QUIRE_MAP_PRIVATE);
	/* An area that has had guards before is not made again. */
	assert_int_equal(quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_int_equal(quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_GUARD_REMOVE), 0);
	on(1, touches);
	truncate_meeting(puts_guard_and_touches);
	must(seen == -1 && !stored, "a guard was put there, and the old page is still touched");
}

static void unmaps_and_touches(void)
{
	if (unmap_at(0, 1))
		caught("munmap");
	touches();
}

static void a_page_that_was_unmapped_is_not_touched_again(void **state)
{
	(void)state;
	map(QUIRE_MAP_SHARED);
	truncate_meeting(unmaps_and_touches);
	must(seen == -1 && !stored, "munmap returned, and the old page is still touched");
}

/* What is mapped is mapped for every CPU: no store goes to what was there before. */
static void maps_over_and_stores(void)
{
	map_at(0, 1, "rw");
	stored = try_store(P(0), 7);
}

static void a_store_goes_to_what_is_mapped_now(void **state)
{
	(void)state;
	map(QUIRE_MAP_SHARED);
	truncate_meeting(maps_over_and_stores);
	must(stored && get(P(0)) == 7, "a store went to the page that had been mapped before");
}

static void moves_and_touches(void)
{
	if (quire_mremap(space.mm, P(0), PAGE, PAGE, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
			 P(8)) != (int64_t)P(8))
		caught("mremap");
	touches();
}

static void a_page_that_was_moved_is_not_touched_at_its_old_place(void **state)
{
	(void)state;
	map(QUIRE_MAP_SHARED);
	truncate_meeting(moves_and_touches);
	must(seen == -1 && !stored, "mremap returned, and the old place is still touched");
}

static void forbids_and_touches(void)
{
	if (protect_at(0, 1, "n"))
		caught("mprotect");
	touches();
}

static void a_page_that_was_forbidden_is_not_touched(void **state)
{
	(void)state;
	map(QUIRE_MAP_SHARED);
	truncate_meeting(forbids_and_touches);
	must(seen == -1 && !stored, "mprotect returned, and the page is still touched");
}

static void takes_write_and_stores(void)
{
	if (protect_at(0, 1, "r"))
		caught("mprotect");
	stored = try_store(P(0), 2);
}

/* Write-back has taken WRITE already, so mprotect finds nothing to take. */
static void a_right_that_was_taken_is_not_used(void **state)
{
	(void)state;
	map(QUIRE_MAP_SHARED);
	job = takes_write_and_stores;
	at(FLUSH, 0, other_cpu_does_it);
	assert_int_equal(quire_object_sync(&disk->object, 0, 0), 0);
	must(came(FLUSH), "the write-back flushed nothing");
	finish(1);
	must(!stored, "mprotect returned, and a CPU still stores to the page");
}

/* ---- From the space's side first --------------------------------------------------------- */

static void truncates_and_touches(void)
{
	quire_object_truncate(&disk->object, 0);
	touches();
}

static void a_page_that_was_truncated_is_not_touched(void **state)
{
	(void)state;
	map(QUIRE_MAP_SHARED);
	job = truncates_and_touches;
	at(FLUSH, 0, other_cpu_does_it);
	assert_int_equal(quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_DONTNEED), 0);
	must(came(FLUSH), "MADV_DONTNEED flushed nothing");
	finish(1);
	must(seen == -1 && !stored, "the truncate returned, and the page is still touched");
}

static void a_page_that_was_truncated_while_unmapped_is_not_touched(void **state)
{
	(void)state;
	map(QUIRE_MAP_SHARED);
	job = truncates_and_touches;
	at(FLUSH, 0, other_cpu_does_it);
	assert_int_equal(unmap_at(0, 1), 0);
	must(came(FLUSH), "munmap flushed nothing");
	finish(1);
	must(seen == -1 && !stored, "the truncate returned, and the page is still touched");
}

static void digs_and_stores(void)
{
	if (quire_object_punch_hole(&disk->object, 0, PAGE))
		caught("no hole");
	stored = try_store(P(0), 9);
}

/* The page that the hole took from the file is nobody's: a store to it is lost. */
static void a_store_to_a_hole_is_in_the_file(void **state)
{
	unsigned char byte;

	(void)state;
	map(QUIRE_MAP_SHARED);
	job = digs_and_stores;
	at(FLUSH, 0, other_cpu_does_it);
	assert_int_equal(quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_DONTNEED), 0);
	must(came(FLUSH), "MADV_DONTNEED flushed nothing");
	finish(1);
	assert_true(stored);
	assert_int_equal(quire_object_read(&disk->object, 0, &byte, 1), 1);
	must(byte == 9, "a store went to a page that a hole had taken from its file");
}

/*
 * The same where the page came back in between: dropped from the mappings, mapped again by CPU 2,
 * emptied by CPU 1, which has yet to flush; then it is taken from the file.
 */
static bool dropped;

static void stores(void)
{
	stored = try_store(P(0), 9);
}

static void waits_for_the_drop(void)
{
	stand(&dropped);
}

static void drops_mapping(void)
{
	at(FLUSH, 1, waits_for_the_drop);
	if (quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_DONTNEED))
		caught("madvise");
}

static void page_comes_and_goes(void)
{
	on(2, stores);
	(void)start(1, drops_mapping);
}

static void a_store_after_a_drop_is_in_the_file(void **state)
{
	unsigned char byte;

	(void)state;
	map(QUIRE_MAP_SHARED);
	at(DROPPING, 0, page_comes_and_goes);
	quire_object_drop(&disk->object, 0, 0);
	must(came(DROPPING) && came(FLUSH), "the page was not dropped, or not flushed");
	on(2, stores);
	say(&dropped);
	finish(1);
	assert_true(stored);
	assert_int_equal(quire_object_read(&disk->object, 0, &byte, 1), 1);
	must(byte == 9, "a store went to a page that had been dropped from its file");
}

museum_main(exhibit(a_page_that_was_dropped_is_not_read_again),
	    exhibit(a_guard_is_not_stepped_over),
	    exhibit(a_page_that_was_unmapped_is_not_touched_again),
	    exhibit(a_store_goes_to_what_is_mapped_now),
	    exhibit(a_page_that_was_moved_is_not_touched_at_its_old_place),
	    exhibit(a_page_that_was_forbidden_is_not_touched),
	    exhibit(a_right_that_was_taken_is_not_used),
	    exhibit(a_page_that_was_truncated_is_not_touched),
	    exhibit(a_page_that_was_truncated_while_unmapped_is_not_touched),
	    exhibit(a_store_to_a_hole_is_in_the_file),
	    exhibit(a_store_after_a_drop_is_in_the_file))

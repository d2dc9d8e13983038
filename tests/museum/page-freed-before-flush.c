/* SPDX-License-Identifier: MIT */
/*
 * A page goes back to the allocator before every CPU has forgotten it.
 *
 * The oldest of these bugs, and one that came back with every new way to take pages away: Linux's
 * zap_pte_range() of 2.3 freed pages and flushed afterwards, which was right on one processor. The
 * gather of 2.4 put that in order; huge pages (2012), the retraction of tables under a collapse, and
 * device mappings (CVE-2020-10757, where a move took a huge device page for a table) each found a
 * way around it.
 *
 * Here the machine counts who still has a frame in a TLB when it is freed. CPU 1 has.
 */
#include "museum.h"

static bool stored;

static void stores(void)
{
	stored = try_store(P(0), 1) && try_store(P(70), 2);
}

/* More pages than a gather has room for, so that it is flushed on the way too. */
static void map_much(void)
{
	assert_int_equal(quire_mmap(space.mm, P(0), 80 * PAGE, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED |
					    QUIRE_MAP_POPULATE,
				    NULL, 0),
			 P(0));
	on(1, stores);
	assert_true(stored);
}

static void munmap_flushes_before_it_frees(void **state)
{
	(void)state;
	map_much();
	assert_int_equal(unmap_at(0, 80), 0);
	must(!machine_failed(space.m), "a page was freed that a CPU could still reach");
}

static void dontneed_flushes_before_it_frees(void **state)
{
	(void)state;
	map_much();
	assert_int_equal(quire_madvise(space.mm, P(0), 80 * PAGE, QUIRE_MADV_DONTNEED), 0);
	must(!machine_failed(space.m), "a page was freed that a CPU could still reach");
}

static void reads_old(void)
{
	stored = try_load(P(0)) == 1;
}

/* The page that the copy was made from was the last one's who had it. */
static void copy_on_write_flushes_before_it_frees(void **state)
{
	struct quire_mm *child;
	struct quire_page *page;

	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	child = fork_space(space.mm);
	/* A reference keeps the parent's write from taking the page over when the child goes. */
	assert_int_equal(quire_get_user_page(space.mm, P(0), QUIRE_ACCESS_READ, &page), 0);
	quire_mmput(child);
	on(1, reads_old);
	assert_true(stored);
	(void)quire_page_put(space.q, page);
	set(P(0), 3);
	must(!machine_failed(space.m), "a page was freed that a CPU could still reach");
}

museum_main(exhibit(munmap_flushes_before_it_frees), exhibit(dontneed_flushes_before_it_frees),
	    exhibit(copy_on_write_flushes_before_it_frees))

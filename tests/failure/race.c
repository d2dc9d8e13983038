/* SPDX-License-Identifier: MIT */
/*
 * What only happens when another CPU does something at the very moment at which memory is asked
 * for: it does so in fail_hook, which then may fail that allocation.
 */
#include <pthread.h>

#include "failure.h"

/* That one leaf table has. */
#define LEAF_PAGES (UINT64_C(1) << w.mm->pt.fmt->bits[0])

/* ---- A table that a writer counts on ----------------------------------------------------- */

/*
 * A fault, which has no lock at this moment, asks for the tables above page 3000. Meanwhile, on
 * another CPU:
 *
 *	a trim takes away the table between, which the fault has found and not counted as missing
 *	a writer makes all tables above page 3000, and counts on them for what it is about to do
 *
 * and then there is no memory for the table that the fault lacks. What the writer has made stays.
 */
static unsigned asked;

static bool other_cpu(void)
{
	struct quire_pgtable *pt = &w.mm->pt;

	switch (asked++) {
	case 0: /* the leaf, which is all that is missing */
		quire_tables_trim(pt, AT(6 * LEAF_PAGES), AT(6 * LEAF_PAGES + 1));
		return false;
	case 1: /* the tables above it */
		assert_int_equal(
			quire_tables_populate(pt, AT(5 * LEAF_PAGES), AT(5 * LEAF_PAGES + 1)), 0);
		return true;
	default:
		return false;
	}
}

static uint64_t leaves(void)
{
	return w.mm->pt.tables[0];
}

static void a_fault_without_memory_leaves_a_writers_tables(void **state)
{
	uint64_t before;

	(void)state;
	mark_stack(__builtin_frame_address(0));
	world_new();
	/* Two levels, and PAE's three, have no table between the root and the leaves that could go. */
	if (w.mm->pt.fmt->levels - w.mm->pt.fmt->root_fixed < 3) {
		assert_int_equal(leaves(), 0);
		fail_at(1, false);
		assert_int_equal(quire_tables_populate(&w.mm->pt, AT(5 * LEAF_PAGES),
						       AT(5 * LEAF_PAGES + 1)),
				 -QUIRE_ENOMEM);
		assert_int_equal(fail_end(), 1);
		assert_int_equal(leaves(), 0);
		world_end();
		return;
	}
	before = leaves();
	/* A table of the second level that holds nothing but an empty leaf. */
	assert_int_equal(
		quire_tables_populate(&w.mm->pt, AT(6 * LEAF_PAGES), AT(6 * LEAF_PAGES + 1)), 0);
	assert_int_equal(leaves(), before + 1);
	asked = 0;
	fail_hook = other_cpu;
	assert_int_equal(
		quire_tables_populate(&w.mm->pt, AT(5 * LEAF_PAGES), AT(5 * LEAF_PAGES + 1)),
		-QUIRE_ENOMEM);
	fail_hook = NULL;
	assert_true(asked >= 2);
	assert_int_equal(leaves(), before + 1);
	world_check();
	quire_tables_trim(&w.mm->pt, AT(5 * LEAF_PAGES), AT(5 * LEAF_PAGES + 1));
	assert_int_equal(leaves(), before);
	world_end();
}

/* ---- A leaf that goes while a page is copied --------------------------------------------- */

static void *drop_page(void *arg)
{
	(void)arg;
	machine_cpu_bind(w.m, 1);
	assert_int_equal(quire_madvise(w.mm, AT(3000), PAGE, QUIRE_MADV_DONTNEED), 0);
	machine_cpu_unbind(w.m);
	return NULL;
}

/* The frame for the copy is being asked for; then the new leaf, which there is no memory for. */
static bool other_cpu_drops_page(void)
{
	pthread_t other;

	if (asked++)
		return true;
	assert_int_equal(pthread_create(&other, NULL, drop_page, NULL), 0);
	assert_int_equal(pthread_join(other, NULL), 0);
	return false;
}

static void a_leaf_that_goes_while_a_page_is_copied_is_missed(void **state)
{
	uint64_t leaves_with, leaves_without;

	(void)state;
	mark_stack(__builtin_frame_address(0));
	world_new();
	map(3000, 1, RW, ANON, NULL, 0);
	leaves_without = leaves();
	store_pages(3000, 1);
	leaves_with = leaves();
	assert_int_equal(quire_fork(w.mm, &w.other), 0);
	asked = 0;
	fail_hook = other_cpu_drops_page;
	assert_int_equal(store(3000), KILLED);
	fail_hook = NULL;
	assert_int_equal(asked, 2);
	assert_int_equal(leaves_with, leaves_without + 1);
	assert_int_equal(leaves(), leaves_without);
	assert_int_equal(w.mm->rss[QUIRE_RSS_ANON], 0);
	quire_grace_wait(w.q);
	world_check();
	assert_int_equal(store(3000), 0);
	world_end();
}

extern const struct CMUnitTest populate_test, leaf_test;
const struct CMUnitTest populate_test =
	cmocka_unit_test(a_fault_without_memory_leaves_a_writers_tables);
const struct CMUnitTest leaf_test =
	cmocka_unit_test(a_leaf_that_goes_while_a_page_is_copied_is_missed);

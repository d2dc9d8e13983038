/* SPDX-License-Identifier: MIT */
/*
 * Two areas are found to be mergeable, and before they are merged a fault changes one of them.
 *
 * Whether areas merge depends on whose their private pages are (Linux: anon_vma), and a fault
 * gives an area its owner without the lock that merging holds. Linux relied on the lock that both
 * held until faults took a lock an area (6.4); then vma->anon_vma was looked at before that lock was
 * taken, and had to be looked at under it (6.5). Moving an area that had been written to next to one
 * that had not went wrong once more after 6.16: the merged area used an anon_vma that was not its
 * own, and that was freed. Pages then belong to an owner that their area does not know: truncate,
 * migration and fork miss them, or follow a pointer to freed memory.
 *
 *	|--A rw- dd--|--M rw---|--N rwx--|     A's owner is X, N's is Y, M has none
 *
 * CPU 0 marks M as A is, so that they become one. CPU 1 stores to M when that has just been decided:
 * M would get N's owner.
 */
#include "museum.h"

static bool stored, waited;

static void stores(void)
{
	stored = try_store(P(1), 3);
}

static void other_cpu_stores(void)
{
	waited = !start(1, stores);
}

static void a_fault_waits_for_the_decision(void **state)
{
	const struct quire_anon *left, *right;

	(void)state;
	map_at(0, 1, "rw");
	set(P(0), 1);
	map_at(2, 1, "rwx");
	set(P(2), 2);
	assert_int_equal(quire_madvise(space.mm, P(0), PAGE, QUIRE_MADV_DONTDUMP), 0);
	map_at(1, 1, "rw");
	left = area(space.mm, P(0))->anon;
	right = area(space.mm, P(2))->anon;
	assert_non_null(left);
	assert_non_null(right);
	assert_ptr_not_equal(left, right);
	assert_null(area(space.mm, P(1))->anon);

	at(JUDGED, 0, other_cpu_stores);
	assert_int_equal(quire_madvise(space.mm, P(1), PAGE, QUIRE_MADV_DONTDUMP), 0);
	must(came(JUDGED), "nothing was asked about a merge");
	finish(1);
	check(space.mm);
	must(waited && stored, "a fault was served in an area that was being merged");
	assert_picture("0-2 rw-p, 2-3 rwxp");
}

museum_main(exhibit(a_fault_waits_for_the_decision))

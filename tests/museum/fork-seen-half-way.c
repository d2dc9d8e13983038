/* SPDX-License-Identifier: MIT */
/*
 * A fork fails half-way, and somebody else has seen the child, or finds what is left of it.
 *
 * Linux's fork puts the child's areas one by one into the files' reverse maps and the index. When
 * memory ran out, what had been made was torn down by code that expected a whole process; others came
 * upon it meanwhile through the reverse map, the list of processes or khugepaged's and ksm's own
 * lists (2024: CVE-2024-50220, CVE-2024-50263, a marker in the maple tree where the copy had
 * stopped, and a flag that says the space is unstable).
 *
 * CPU 0 forks; before the second area's entries are copied CPU 1 truncates the file that the first
 * maps; then there is no more memory.
 */
#include "museum.h"

#define FAR (P(0) + (UINT64_C(1) << 30)) /* in tables of its own */

static unsigned nr_spaces(void)
{
	struct quire_list *pos, *tmp;
	unsigned nr = 0;

	quire_list_for_each(pos, tmp, &space.q->mms.spaces)
		nr++;
	return nr;
}

static unsigned nr_areas(void)
{
	struct quire_list *pos = disk->object.areas.next;
	unsigned nr = 0;

	/* What was freed points to nowhere: no further than the parent's own. */
	while (pos != &disk->object.areas && nr < 3) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, object_link);

		if (vma != area(space.mm, P(0)))
			return nr + 1;
		nr++;
		pos = pos->next;
	}
	return nr;
}

static void truncates(void)
{
	quire_object_truncate(&disk->object, PAGE);
}

static void memory_runs_out(void)
{
	must(nr_spaces() == 1, "a child is seen before it is whole");
	on(1, truncates);
	space.q->pages.fail.after = 1;
	space.q->pages.fail.sticky = true;
}

static void map(void)
{
	map_file(0, 2, RW, QUIRE_MAP_PRIVATE, 0);
	set(P(0), 1);
	set(P(1), 2);
	assert_int_equal(quire_mmap(space.mm, FAR, PAGE, RW, ANON | QUIRE_MAP_FIXED, NULL, 0), FAR);
	set(FAR, 3);
}

static void nothing_is_left_of_a_child_that_failed(void **state)
{
	struct quire_mm *child;
	int err;

	(void)state;
	map();
	at_later(FORKING, 0, 1, memory_runs_out);
	err = quire_fork(space.mm, &child);
	space.q->pages.fail.after = 0;
	space.q->pages.fail.sticky = false;
	must(came(FORKING), "fork copied just one area");
	assert_int_equal(err, -QUIRE_ENOMEM);
	must(nr_spaces() == 1, "a child that failed is still in the list");
	must(nr_areas() == 1, "an area of a child that failed is in its file's reverse map");
	check(space.mm);
	assert_int_equal(get(P(0)), 1);
	assert_bus(QUIRE_ACCESS_READ, P(1));
	assert_int_equal(get(FAR), 3);
	quire_object_truncate(&disk->object, 0);
	assert_bus(QUIRE_ACCESS_READ, P(0));
}

static void who_comes_along_the_reverse_map(void)
{
	must(nr_spaces() == 1, "a child is seen before it is whole");
	on(1, truncates);
}

/* The same when it does not fail: what was cut off meanwhile is cut off in the child too. */
static void a_truncate_finds_what_has_been_copied(void **state)
{
	struct quire_mm *child;

	(void)state;
	map();
	at_later(FORKING, 0, 1, who_comes_along_the_reverse_map);
	child = fork_space(space.mm);
	must(came(FORKING), "fork copied just one area");
	run_in(child);
	must(try_load(P(1)) == -1, "a child has a page that was cut off its file");
	assert_int_equal(get(P(0)), 1);
	put_space(child);
}

museum_main(exhibit(nothing_is_left_of_a_child_that_failed),
	    exhibit(a_truncate_finds_what_has_been_copied))

/* SPDX-License-Identifier: MIT */
/*
 * When neighbouring areas become one. Each case is a script (script.h) and the picture that it gave
 * on Linux 6.18.44; tests/linux/merge.c puts these and thousands more to the running kernel. The rules are
 * in src/vma/merge.c.
 */
#include "picture.h"

struct merge_case {
	const char *script;
	const char *picture; /* what Linux shows */
};

static void run_cases(const struct merge_case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char picture[SCRIPT_TEXT];

		script_quire(cases[i].script, picture);
		if (strcmp(picture, cases[i].picture))
			fail_msg("%s\n    Linux  %s\n    Quire  %s", cases[i].script, cases[i].picture, picture);
	}
}

/* A new area has no pages yet, so an owner of one neighbour is no hindrance, unless that neighbour comes
 * out of a fork: then it stays as it is. Two neighbours with different owners: the lower one gets it. */
static void a_new_area_merges_with_its_neighbours(void **state)
{
	static const struct merge_case cases[] = {
		{ "m 0 2 rw; m 2 2 rw", "0-4 rw-p" },
		{ "m 2 2 rw; m 0 2 rw", "0-4 rw-p" },
		{ "m 0 2 rw; m 4 2 rw; m 2 2 rw", "0-6 rw-p" },
		{ "m 0 2 rw; m 2 2 r", "0-2 rw-p, 2-4 r--p" },
		{ "m 0 2 rw; w 0; m 2 2 rw", "0-4 rw-p" },
		{ "m 2 2 rw; w 2; m 0 2 rw", "0-4 rw-p" },
		{ "m 0 2 rw; m 4 2 rw; w 0; w 4; m 2 2 rw", "0-4 rw-p, 4-6 rw-p" },
		{ "m 0 2 rw; m 4 2 rw; w 0; m 2 2 rw", "0-6 rw-p" },
		{ "m 0 2 rw; m 4 2 rw; w 4; m 2 2 rw", "0-6 rw-p" },
		{ "m 0 6 rw; w 0; u 2 2; m 2 2 rw", "0-6 rw-p" },
		{ "m 0 2 rw; w 0; k; m 2 2 rw", "0-2 rw-p, 2-4 rw-p" },
		{ "m 0 2 rw; w 0; K; m 2 2 rw", "0-4 rw-p" },
		{ "m 0 2 rw; k; m 2 2 rw", "0-4 rw-p" },
		{ "m 0 2 rw; k; w 0; m 2 2 rw", "0-4 rw-p" },
		{ "m 0 6 rw; w 0; k; m 2 2 rw", "0-2 rw-p, 2-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; w 0; k; u 2 2; m 2 2 rw", "0-2 rw-p, 2-4 rw-p, 4-6 rw-p" },
		{ "m 0 2 rw; m 4 2 rw; w 0; k; m 2 2 rw", "0-2 rw-p, 2-6 rw-p" },
		{ "m 0 2 rw; m 4 2 rw; w 4; k; m 2 2 rw", "0-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; m 2 2 rw", "0-6 rw-p" },
		{ "m 0 6 rw; w 0; m 2 2 rw", "0-6 rw-p" },
		{ "m 0 6 rw; m 2 2 r", "0-2 rw-p, 2-4 r--p, 4-6 rw-p" },
		{ "m 0 6 rw; m 1 1 r; m 3 1 r; m 2 1 r", "0-1 rw-p, 1-4 r--p, 4-6 rw-p" },
		{ "s 0 2 rw; s 2 2 rw", "0-2 rw-s, 2-4 rw-s" },
		{ "f 0 2 r 0; f 2 2 r 2", "0-4 r--p" },
		{ "f 0 2 r 0; f 2 2 r 3", "0-2 r--p, 2-4 r--p" },
		{ "f 2 2 r 2; f 0 2 r 0", "0-4 r--p" },
		{ "f 0 2 r 0; f 4 2 r 4; f 2 2 r 2", "0-6 r--p" },
		{ "f 0 2 rw 0; w 0; f 2 2 rw 2", "0-4 rw-p" },
		{ "f 0 2 r 0; F 2 2 r 2", "0-2 r--p, 2-4 r--s" },
		{ "F 0 2 r 0; F 2 2 r 2", "0-4 r--s" },
		{ "f 0 2 r 0; m 2 2 r", "0-2 r--p, 2-4 r--p" },
		{ "g 0 2 rw; g 2 2 rw", "0-4 rw-p" },
		{ "g 0 2 rw; m 2 2 rw", "0-2 rw-p, 2-4 rw-p" },
	};

	(void)state;
	run_cases(cases, QUIRE_ARRAY_SIZE(cases));
}

/* Rights that come back bring the area back, wherever the change began and ended. */
static void changed_rights_cut_and_merge(void **state)
{
	static const struct merge_case cases[] = {
		{ "m 0 6 rw; p 2 2 r", "0-2 rw-p, 2-4 r--p, 4-6 rw-p" },
		{ "m 0 6 rw; p 0 2 r", "0-2 r--p, 2-6 rw-p" },
		{ "m 0 6 rw; p 4 2 r", "0-4 rw-p, 4-6 r--p" },
		{ "m 0 6 rw; p 2 2 r; p 2 2 rw", "0-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; p 2 1 rw", "0-3 rw-p, 3-4 r--p, 4-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; p 3 1 rw", "0-2 rw-p, 2-3 r--p, 3-6 rw-p" },
		{ "m 0 6 rw; p 2 3 r; p 3 1 rw",
		  "0-2 rw-p, 2-3 r--p, 3-4 rw-p, 4-5 r--p, 5-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; p 0 6 rw", "0-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; p 0 6 r", "0-6 r--p" },
		{ "m 0 6 rw; p 2 2 r; p 1 4 n", "0-1 rw-p, 1-5 ---p, 5-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; p 1 2 n", "0-1 rw-p, 1-3 ---p, 3-4 r--p, 4-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; p 1 2 r", "0-1 rw-p, 1-4 r--p, 4-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; p 3 2 r", "0-2 rw-p, 2-5 r--p, 5-6 rw-p" },
		{ "m 0 2 rw; m 4 2 rw; p 0 6 r", "!12 0-2 r--p, 4-6 rw-p" },
		{ "m 0 2 rw; m 4 2 rw; p 1 1 r; p 0 6 r", "!12 0-2 r--p, 4-6 rw-p" },
		{ "m 0 4 r; p 0 2 rw; p 0 4 r", "0-4 r--p" },
		{ "m 0 4 r; p 2 2 rw; w 2; p 2 2 r", "0-2 r--p, 2-4 r--p" },
		{ "m 0 4 r; p 0 2 rw; w 0; p 0 2 r", "0-2 r--p, 2-4 r--p" },
		{ "m 0 4 rw; w 0; p 0 4 r; p 0 4 rw", "0-4 rw-p" },
		{ "m 0 6 rw; p 2 2 n; p 2 2 rw", "0-6 rw-p" },
		{ "m 0 6 n; p 2 2 rw; p 2 2 n", "0-6 ---p" },
		{ "m 0 6 n; p 2 2 rw; w 2; p 2 2 n", "0-2 ---p, 2-4 ---p, 4-6 ---p" },
		{ "m 0 6 rw; p 2 2 n; w 0; p 2 2 rw", "0-6 rw-p" },
	};

	(void)state;
	run_cases(cases, QUIRE_ARRAY_SIZE(cases));
}

/* A write gives an area an owner; from then on it and a neighbour with another owner stay two.
 * MADV_DONTDUMP (16) keeps areas apart while they are written to, MADV_DODUMP (17) takes the reason away. */
static void two_owners_never_become_one(void **state)
{
	static const struct merge_case cases[] = {
		{ "m 0 6 rw; w 0; w 2; w 4; p 2 2 r; p 2 2 rw", "0-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; w 0; p 2 2 rw", "0-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; w 4; p 2 2 rw", "0-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; w 0; w 4; p 2 2 rw", "0-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; w 0; w 4; p 2 1 rw", "0-3 rw-p, 3-4 r--p, 4-6 rw-p" },
		{ "m 0 6 rw; p 2 2 r; w 0; w 4; p 3 1 rw", "0-2 rw-p, 2-3 r--p, 3-6 rw-p" },
		{ "m 0 6 rw; p 2 2 x; w 0; w 4; p 2 2 rw", "0-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; w 2; w 4; a 2 2 17", "0-2 rw-p, 2-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; w 2; a 2 2 17", "0-2 rw-p, 2-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 2; w 4; a 2 2 17", "0-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 2; a 2 2 17", "0-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; w 4; a 2 2 17", "0-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; w 4; a 2 1 17", "0-3 rw-p, 3-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; w 4; a 3 1 17", "0-2 rw-p, 2-3 rw-p, 3-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; a 2 2 17", "0-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 4; a 2 2 17", "0-6 rw-p" },
		{ "m 0 6 rw; w 0; a 2 2 16; a 2 2 17", "0-6 rw-p" },
		{ "m 0 6 rw; w 0; a 2 2 16; a 2 1 17", "0-3 rw-p, 3-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; w 0; a 2 2 16; u 2 2; m 2 2 rw", "0-6 rw-p" },
	};

	(void)state;
	run_cases(cases, QUIRE_ARRAY_SIZE(cases));
}

/* After a fork an area with pages has a chain of owners. It merges only with areas of the same owner. */
static void areas_out_of_a_fork_take_no_strangers_in(void **state)
{
	static const struct merge_case cases[] = {
		{ "m 0 6 rw; w 0; k; p 2 2 r", "0-2 rw-p, 2-4 r--p, 4-6 rw-p" },
		{ "m 0 6 rw; w 0; k; p 2 2 r; p 2 2 rw", "0-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; w 2; w 4; k; a 2 2 17",
		  "0-2 rw-p, 2-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; w 4; k; a 2 2 17", "0-2 rw-p, 2-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; w 4; K; a 2 2 17", "0-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; k; a 2 2 17", "0-2 rw-p, 2-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 2; k; a 2 2 17", "0-2 rw-p, 2-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 2; k; a 2 1 17",
		  "0-2 rw-p, 2-3 rw-p, 3-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; k; w 0; a 2 2 17", "0-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; k; w 2; a 2 2 17", "0-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; k; w 0; w 4; a 2 2 17", "0-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; w 4; k; k; a 2 2 17", "0-2 rw-p, 2-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; a 2 2 16; w 0; k; u 0 2; m 0 2 rw; a 2 2 17", "0-6 rw-p" },
		{ "m 0 4 rw; w 0; k; p 0 2 r; w 2; p 0 2 rw", "0-4 rw-p" },
	};

	(void)state;
	run_cases(cases, QUIRE_ARRAY_SIZE(cases));
}

/* The result is that of going area by area, upwards. */
static void one_call_over_several_areas(void **state)
{
	static const struct merge_case cases[] = {
		{ "m 0 8 rw; p 1 1 r; p 3 1 r; p 5 1 r; p 0 8 rw", "0-8 rw-p" },
		{ "m 0 8 rw; p 1 1 r; p 3 1 r; p 5 1 r; p 0 8 r", "0-8 r--p" },
		{ "m 0 8 rw; p 1 1 r; p 3 1 r; p 5 1 r; w 0; w 4; p 0 8 rw", "0-4 rw-p, 4-8 rw-p" },
		{ "m 0 8 rw; w 0; p 2 2 r; p 6 2 r; m 10 2 rw; p 1 10 x",
		  "!12 0-1 rw-p, 1-8 --xp, 10-12 rw-p" },
		{ "f 0 4 r 0; m 4 4 r; p 2 4 rw", "0-2 r--p, 2-4 rw-p, 4-6 rw-p, 6-8 r--p" },
		{ "f 0 4 r 0; p 1 2 rw; w 1; p 1 2 r", "0-1 r--p, 1-3 r--p, 3-4 r--p" },
		{ "f 0 4 r 0; p 1 2 rw; p 1 2 r", "0-1 r--p, 1-3 r--p, 3-4 r--p" },
		{ "F 0 4 rw 0; p 1 2 r; p 1 2 rw", "0-4 rw-s" },
		{ "s 0 4 rw; p 1 2 r; p 1 2 rw", "0-4 rw-s" },
	};

	(void)state;
	run_cases(cases, QUIRE_ARRAY_SIZE(cases));
}

/* Memory that was written to keeps its page numbers when it moves; memory that was not gets new ones. */
static void moved_memory_merges_if_its_numbers_go_on(void **state)
{
	static const struct merge_case cases[] = {
		{ "m 0 2 rw; m 10 2 rw; v 10 2 2", "0-4 rw-p" },
		{ "m 0 2 rw; w 0; m 10 2 rw; w 10; v 10 2 2", "0-2 rw-p, 2-4 rw-p" },
		{ "m 0 2 rw; m 10 2 rw; w 10; v 10 2 2", "0-2 rw-p, 2-4 rw-p" },
		{ "m 0 2 rw; w 0; m 10 2 rw; v 10 2 2", "0-4 rw-p" },
		{ "m 0 4 rw; v 2 2 10; v 10 2 2", "0-4 rw-p" },
		{ "m 0 4 rw; w 2; v 2 2 10; v 10 2 2", "0-4 rw-p" },
		{ "m 0 4 rw; w 0; w 2; v 2 2 10; v 10 2 2", "0-4 rw-p" },
		{ "m 0 4 rw; w 2; v 2 2 10; k; v 10 2 2", "0-2 rw-p, 2-4 rw-p" },
		{ "m 0 6 rw; w 2; v 2 2 10; v 10 2 2", "0-6 rw-p" },
		{ "m 0 4 rw; w 2; v 2 2 10; m 2 2 rw", "0-4 rw-p, 10-12 rw-p" },
		{ "m 0 2 rw; e 0 2 4; m 4 2 rw", "0-6 rw-p" },
		{ "m 0 2 rw; m 4 2 rw; e 0 2 4", "0-6 rw-p" },
		{ "m 0 2 rw; w 0; k; e 0 2 4", "0-4 rw-p" },
		{ "m 0 4 rw; e 0 4 2", "0-2 rw-p" },
	};

	(void)state;
	run_cases(cases, QUIRE_ARRAY_SIZE(cases));
}

/* mlock() also writes to what it locks, which gives it an owner. */
static void locked_memory_is_apart(void **state)
{
	static const struct merge_case cases[] = {
		{ "m 0 6 rw; l 2 2", "0-2 rw-p, 2-4 rw-p, 4-6 rw-p" },
		{ "m 0 6 rw; l 2 2; L 2 2", "0-6 rw-p" },
		{ "m 0 6 rw; l 2 2; m 6 2 rw", "0-2 rw-p, 2-4 rw-p, 4-8 rw-p" },
		{ "m 0 6 rw; l 2 2; L 0 6", "0-6 rw-p" },
		{ "m 0 6 rw; l 0 2; l 4 2; l 2 2", "0-4 rw-p, 4-6 rw-p" },
	};

	(void)state;
	run_cases(cases, QUIRE_ARRAY_SIZE(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		space_test(a_new_area_merges_with_its_neighbours),
		space_test(changed_rights_cut_and_merge),
		space_test(two_owners_never_become_one),
		space_test(areas_out_of_a_fork_take_no_strangers_in),
		space_test(one_call_over_several_areas),
		space_test(moved_memory_merges_if_its_numbers_go_on),
		space_test(locked_memory_is_apart),
	};

	return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}

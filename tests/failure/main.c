/* SPDX-License-Identifier: MIT */
/*
 * All scenarios, each a test. The first argument is where the call sites that were seen go, for
 * run.py; the second, if there is one, how the names of the tests to be run begin.
 */
#include <stdlib.h>

#include "failure.h"

#define MOST_TESTS 512

extern unsigned nr_scenarios, nr_failures, nr_short, nr_random;
extern const struct CMUnitTest *const other_tests[], *const test_groups[];

const struct scenario *const all_scenarios[] = {
	map_scenarios,	 remap_scenarios, advise_scenarios, lock_scenarios, fork_scenarios,
	fault_scenarios, file_scenarios,  driver_scenarios, policy_scenarios,
	NULL,
};

static struct CMUnitTest failure[MOST_TESTS];
static size_t nr_tests;

static void add(struct CMUnitTest test, const char *only)
{
	if (strncmp(test.name, only, strlen(only)) != 0)
		return;
	if (nr_tests == MOST_TESTS)
		abort();
	test.teardown_func = world_abandon;
	failure[nr_tests++] = test;
}

int main(int argc, char **argv)
{
	const char *only = argc > 2 ? argv[2] : "";
	int failed;

	for (const struct scenario *const *group = all_scenarios; *group; group++) {
		for (const struct scenario *s = *group; s->name; s++)
			add((struct CMUnitTest){s->name, run_scenario, NULL, NULL,
						(void *)(uintptr_t)s},
			    only);
	}
	for (const struct CMUnitTest *const *t = other_tests; *t; t++)
		add(**t, only);
	for (const struct CMUnitTest *const *g = test_groups; *g; g++)
		for (const struct CMUnitTest *t = *g; t->name; t++)
			add(*t, only);
	add((struct CMUnitTest){"at_random", run_at_random, NULL, NULL, NULL}, only);
	failed = _cmocka_run_group_tests("failure", failure, nr_tests, NULL, NULL);
	if (argc > 1)
		write_sites(argv[1]);
	printf("failure: %u scenarios, %u failed allocations, %u calls with too few pages, "
	       "%u at random\n",
	       nr_scenarios, nr_failures, nr_short, nr_random);
	return failed;
}

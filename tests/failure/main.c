/* SPDX-License-Identifier: MIT */
/*
 * All scenarios, each a test. With a name (or the beginning of one) as second argument: those alone. The
 * first argument is where the call sites that were seen go, for run.py.
 */
#include <stdlib.h>

#include "failure.h"

#define MOST_TESTS 512

extern unsigned nr_scenarios, nr_failures, nr_short;
extern const struct CMUnitTest *const other_tests[];

int main(int argc, char **argv)
{
	static const struct scenario *const groups[] = {
		map_scenarios,	 remap_scenarios, advise_scenarios, lock_scenarios,
		fork_scenarios,	 fault_scenarios, file_scenarios,   driver_scenarios,
	};
	static struct CMUnitTest failure[MOST_TESTS];
	const char *only = argc > 2 ? argv[2] : "";
	size_t n = 0;
	int failed;

	for (size_t g = 0; g < QUIRE_ARRAY_SIZE(groups); g++) {
		for (const struct scenario *s = groups[g]; s->name; s++) {
			if (strncmp(s->name, only, strlen(only)) != 0)
				continue;
			if (n == MOST_TESTS)
				abort();
			failure[n++] = (struct CMUnitTest){s->name, run_scenario, NULL, NULL, (void *)(uintptr_t)s};
		}
	}
	for (const struct CMUnitTest *const *t = other_tests; *t; t++) {
		if (strncmp((*t)->name, only, strlen(only)) != 0)
			continue;
		if (n == MOST_TESTS)
			abort();
		failure[n++] = **t;
	}
	failed = _cmocka_run_group_tests("failure", failure, n, NULL, NULL);
	if (argc > 1)
		write_sites(argv[1]);
	printf("failure: %u scenarios, %u failed allocations, %u calls with too few pages\n", nr_scenarios,
	       nr_failures, nr_short);
	return failed;
}

/* SPDX-License-Identifier: MIT */
/*
 * The small world, exhausted: every sequence of steps out of a menu, up to a length, made on Quire
 * and on the model; after the last step of each all there is to see must be the same. Shorter sequences
 * come first, so that the first one that fails is a shortest one. What lies before the last step was
 * looked at as a sequence by itself: both sides are the same in every run. How far "every" goes: see
 * the three ways in search.h.
 *
 * Then long sequences by chance, from seeds that are printed.
 *
 * usage: model                     the tests
 *        model MENU all|moving|states LENGTH
 *        model random SEED STEPS
 * QUIRE_SOAK_MINUTES: time for the tests; each way then goes as far as its share of it allows.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <quire/errno.h>

#include "../format.h"
#include "search.h"

static uint64_t nr_sequences; /* made in this process */

/* ---- One sequence ------------------------------------------------------------------------ */

/* In the end every page is loaded from: what it has, or the signal. The model is used up. */
static bool load_all(struct model *m, unsigned position)
{
	struct step t = {.call = CALL_LOAD};
	struct outcome should, is;
	char what[32];

	for (; t.start < m->pages; t.start++) {
		(void)model_step(m, &t, 0, &should);
		quire_step(&t, 0, position + t.start, &is);
		if (same_outcome(&is, &should))
			continue;
		snprintf(what, sizeof(what), "then a load at %u", t.start);
		say_outcomes(what, &is, &should);
		return false;
	}
	return true;
}

/* From model first through n steps to model last; looks at everything after the last one. */
static bool run_sequence(const struct model *first, const struct step *steps,
			 const struct outcome *should, unsigned n, const struct model *last)
{
	struct model end = *last;
	const char *bad = NULL;
	bool good = true;

	nr_sequences++;
	quire_begin(first);
	for (unsigned i = 0; i < n && good; i++) {
		struct outcome is;

		quire_step(&steps[i], value_at(i), i, &is);
		good = same_outcome(&is, &should[i]);
		if (!good)
			say_outcomes("the last step", &is, &should[i]), n = i + 1;
	}
	if (good)
		bad = quire_compare(last);
	if (good && !bad)
		good = load_all(&end, n);
	if (bad)
		say("afterwards: %s\n", bad);
	good = good && !bad;
	bad = quire_end();
	if (good && bad)
		say("when all is gone: %s\n", bad);
	if (good && !bad)
		return true;
	say_sequence(steps, n);
	return false;
}

/* Makes the steps, and looks at everything after each. *made: how many, the one that failed included. */
static bool run_list(const struct model *first, const struct step *steps, unsigned n, unsigned *made)
{
	struct model m = *first;
	const char *bad = NULL;
	bool good = true;

	nr_sequences++;
	*made = 0;
	quire_begin(&m);
	for (unsigned i = 0; i < n && good && !bad; i++) {
		struct outcome should, is;

		if (!model_step(&m, &steps[i], value_at(i), &should))
			continue;
		quire_step(&steps[i], value_at(i), i, &is);
		*made = i + 1;
		good = same_outcome(&is, &should);
		if (!good)
			say_outcomes("the last step", &is, &should);
		else
			bad = quire_compare(&m);
	}
	if (bad)
		say("afterwards: %s\n", bad);
	good = good && !bad;
	bad = quire_end();
	if (good && bad)
		say("when all is gone: %s\n", bad);
	return good && !bad;
}

static struct side quire_side = {.name = "model", .sequence = run_sequence, .list = run_list};

/* The same world on a machine that has no page of zeroes to give. */
static struct side own_pages_side = {
	.name = "model", .sequence = run_sequence, .list = run_list, .forbid_zeropage = true};

/* ---- The tests --------------------------------------------------------------------------- */

/*
 * How far, where nobody says how long: well under a minute in all, less far where everything is
 * checked. 0: not that way.
 */
static const struct {
	const char *menu;
	unsigned release[3], debug[3]; /* all, moving, states */
} lengths[NR_MENUS] = {
	{ "areas", { 3, 4, MAX_LENGTH }, { 2, 3, 6 } },
	{ "remap", { 4, 0, 5 }, { 3, 4, 4 } },
	{ "lock", { 4, 0, 5 }, { 3, 4, 4 } },
	{ "fork", { 4, 5, 5 }, { 3, 4, 4 } },
	{ "files", { 4, 0, 5 }, { 3, 4, 4 } },
	{ "advice", { 4, 0, 5 }, { 3, 4, 4 } },
	{ "guard", { 4, 5, 5 }, { 3, 4, 4 } },
	{ "seal", { 4, 0, 5 }, { 3, 4, 4 } },
	{ "heap", { 4, 0, 5 }, { 3, 4, 4 } },
	{ "place", { 4, 0, 5 }, { 3, 4, 4 } },
};

/* On a format that is asked for, one step less: there are many of them. */
static unsigned default_length(const char *menu, enum way way)
{
	unsigned length = 0;

	for (unsigned n = 0; n < NR_MENUS; n++)
		if (!strcmp(lengths[n].menu, menu))
			length = QUIRE_DEBUG ? lengths[n].debug[way] : lengths[n].release[way];
	return length && getenv("QUIRE_TEST_FORMAT") ? length - 1 : length;
}

static double soak_seconds(void)
{
	const char *minutes = getenv("QUIRE_SOAK_MINUTES");

	return minutes ? atof(minutes) * 60 : 0;
}

static void menus_are_exhausted(void **state)
{
	/* A sixth of the time is for what comes by chance. */
	double until = now() + soak_seconds() * 5 / 6;
	unsigned left = NR_MENUS * NR_WAYS;
	struct menu menu;

	(void)state;
	for (unsigned n = 0; n < NR_MENUS; n++) {
		menu_make(&menu, n);
		for (enum way way = WAY_ALL; way <= WAY_STATES; way++) {
			struct extent e = {.length = default_length(menu.name, way)};

			/* What one does not use is the others'. */
			if (soak_seconds() > 0) {
				e.length = MAX_LENGTH;
				e.seconds = (until - now()) / left-- + 0.001;
			}
			report[0] = 0;
			if (!e.length)
				continue;
			if (!exhaust(&quire_side, &menu, way, WRONG_NOTHING, &e))
				fail_msg("menu %s:\n%s", menu.name, report);
			print_extent(&quire_side, menu.name, way, &e);
		}
	}
}

static void long_sequences(void **state)
{
	const char *given = getenv("QUIRE_SEED");
	uint64_t first = given ? strtoull(given, NULL, 0) : 1, fresh = (uint64_t)time(NULL) << 20;
	double seconds = soak_seconds() / 6, until = now() + seconds;
	unsigned rounds = QUIRE_DEBUG ? 100 : 400, n = 0;

	(void)state;
	/* The same ones every time, and then some that nobody has seen. */
	for (; seconds > 0 ? now() < until : n < 2 * rounds; n++) {
		uint64_t seed = n < rounds ? first + n : fresh + n;

		report[0] = 0;
		if (!run_random(&quire_side, seed, 300))
			fail_msg("%s", report);
	}
	printf("model: by chance: %u sequences of 300 steps, seeds %llu and %llu on\n", n,
	       (unsigned long long)first, (unsigned long long)fresh + rounds);
}

static void without_a_page_of_zeroes(void **state)
{
	static const char *const menus[] = {"areas", "fork", "advice", "lock"};
	struct menu menu;

	(void)state;
	report[0] = 0;
	for (size_t i = 0; i < sizeof(menus) / sizeof(menus[0]); i++) {
		struct extent e = {.length = 4};

		assert_true(find_menu(&menu, menus[i]));
		if (!exhaust(&own_pages_side, &menu, WAY_STATES, WRONG_NOTHING, &e))
			fail_msg("menu %s:\n%s", menu.name, report);
	}
	for (uint64_t seed = 1; seed <= 100; seed++)
		if (!run_random(&own_pages_side, seed, 300))
			fail_msg("%s", report);
}

/* Each wrong rule is found, in a sequence as short as can be. */
static void wrong_rules_are_caught(void **state)
{
	static const struct {
		enum wrong wrong;
		const char *menu;
		unsigned length;
	} rules[] = {
		{ WRONG_PROTECT_KEEPS_WRITE, "areas", 2 },
		{ WRONG_HOLE_IS_SKIPPED, "areas", 2 },
		{ WRONG_MERGES_ALL, "areas", 5 },
		{ WRONG_REMAP_FORGETS, "remap", 3 },
		{ WRONG_DONTNEED_KEEPS, "advice", 2 },
		{ WRONG_FORK_INHERITS_LOCKS, "fork", 3 },
		{ WRONG_TRUNCATE_KEEPS_COPIES, "files", 3 },
		{ WRONG_SEAL_IS_OPEN, "seal", 3 },
		{ WRONG_LOCK_HAS_NO_LIMIT, "lock", 2 },
		{ WRONG_GUARD_IS_NOTHING, "guard", 2 },
	};
	struct menu menu;

	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct extent e = {.length = rules[i].length};

		assert_true(find_menu(&menu, rules[i].menu));
		report[0] = 0;
		if (exhaust(&quire_side, &menu, WAY_STATES, rules[i].wrong, &e))
			fail_msg("wrong rule %d is not caught within %u steps of menu %s",
				 rules[i].wrong, rules[i].length, menu.name);
		if (e.reached != rules[i].length)
			fail_msg("wrong rule %d is caught after %u steps, not %u:\n%s",
				 rules[i].wrong, e.reached, rules[i].length, report);
		assert_non_null(strstr(report, "    1. "));
	}
	report[0] = 0;
}

static int open_machine(void **state)
{
	(void)state;
	quire_open();
	return 0;
}

static int close_machine(void **state)
{
	const char *bad = quire_close();

	(void)state;
	printf("model: %llu sequences of %u menus and by chance, each looked at in the end\n",
	       (unsigned long long)nr_sequences, NR_MENUS);
	if (bad)
		print_error("%s\n", bad);
	return bad ? -1 : 0;
}

/* ---- By hand ----------------------------------------------------------------------------- */

static int by_hand(int argc, char **argv)
{
	struct menu menu;
	bool good = true;

	quire_open();
	if (!strcmp(argv[1], "random") && argc == 4) {
		good = run_random(&quire_side, strtoull(argv[2], NULL, 0), (unsigned)atoi(argv[3]) % MAX_RANDOM);
	} else if (argc == 4) {
		struct extent e = {.length = (unsigned)atoi(argv[3]) % (MAX_LENGTH + 1)};
		enum way way = WAY_ALL;

		while (way < NR_WAYS && strcmp(way_names[way], argv[2]))
			way++;
		if (way == NR_WAYS || !find_menu(&menu, argv[1]))
			return 2;
		good = exhaust(&quire_side, &menu, way, WRONG_NOTHING, &e);
		print_extent(&quire_side, menu.name, way, &e);
	} else {
		return 2;
	}
	if (!good)
		printf("%s", report);
	(void)quire_close();
	return !good;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_rules_are_caught),
		cmocka_unit_test(menus_are_exhausted),
		cmocka_unit_test(long_sequences),
		cmocka_unit_test(without_a_page_of_zeroes),
	};

	quire_side.reads_execute = own_pages_side.reads_execute = !test_refuses_exec(test_format());
	if (argc > 1)
		return by_hand(argc, argv);
	return cmocka_run_group_tests_name("model", tests, open_machine, close_machine);
}

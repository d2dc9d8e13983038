/* SPDX-License-Identifier: MIT */
/*
 * All pairs of calls, in every scene where both make sense, over ranges that overlap: every schedule with up to two
 * forced switches (see explorer.h), each of which must end as one of the serial orders of the calls does
 * (see world.h), with every check content and nothing left over.
 *
 *	explore                                   all pairs, two switches; QUIRE_SOAK_MINUTES: see soak()
 *	explore --switches 3 --seconds 600        longer; stops in the middle of things
 *	explore --triples --seconds 600           three threads
 *	explore --thorough                        two stores of one thread over all ranges, and whole tables that move, too
 *	explore --case NAME [...]                 one case; --everywhere: points without a conflict too
 *	explore --case NAME --replay "0 0@5>1"    one schedule, saying where it switches
 *	explore --mistakes                        with mistakes on purpose, each of which must be found
 *	explore --list                            names of all cases
 *
 * A failure prints the case and the schedule as arguments for this program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explorer.h"
#include "world.h"

/* ---- What is paired with what ------------------------------------------------------------ */

enum verb {
	V_LOAD, V_STORE, V_STORES, V_MMAP, V_MUNMAP, V_MPROTECT, V_MREMAP, V_BRK, V_DONTNEED, V_FORK, V_EXIT,
	V_TRUNCATE, V_TABLES, NR_VERBS,
};

static const char *const verb_names[NR_VERBS] = {
	"load", "store", "stores", "mmap", "munmap", "mprotect", "mremap", "brk", "dontneed", "fork", "exit",
	"truncate", "tables",
};

/* The pages of one thread's call and of the other's. */
struct ranges {
	uint8_t first[EXPLORER_MOST_THREADS], n[EXPLORER_MOST_THREADS];
};

/*
 *	page            0 1 | 2 3 4 5 6 7       | leaf tables meet
 *	0               . A   A .
 *	                . B   B .
 *	1               . A   A .
 *	                . .   B B
 *	2               A A   A A
 *	                . B   . .
 *	3               . .   . . . A A .       over a hole (anon), private (file)
 *	                . .   . B B B . .       behind the heap (anon), over the bound of both areas (file)
 *	4 (not file)    . .   A A . . . .
 *	                . .   . B . . . .       the page of zeroes
 *	5 (file)        . .   . . . . . A       untouched, private
 *	                . .   . . . . B B
 *	6 (not file)    s A   . . . . . .       accesses beside what is unmapped, in a table that becomes empty
 *	                . B   . . . . . .
 */
static const struct ranges ranges[] = {
	{ { 1, 1, 1 }, { 2, 2, 2 } },
	{ { 1, 2, 0 }, { 2, 2, 3 } },
	{ { 0, 1, 1 }, { 4, 1, 3 } },
	{ { 5, 3, 4 }, { 2, 3, 3 } },
	{ { 2, 3, 2 }, { 2, 1, 2 } },
	{ { 7, 6, 6 }, { 1, 2, 2 } },
	{ { 1, 1, 1 }, { 1, 1, 1 } },
};

#define NR_RANGES 7u

/* Where each thread's mremap moves to. */
static const uint8_t target_of[EXPLORER_MOST_THREADS] = { 9, 10, 6 };

static bool thorough;

/*
 * Where a leaf table moves as a whole: beside every other call, and accesses there and where it goes. Only with --thorough, as a
 * call that goes through all of a table has too many points.
 */
static bool makes_sense_of_tables(enum scene scene, const enum verb *verbs, unsigned nr, unsigned geometry)
{
	bool any = false;

	for (unsigned i = 0; i < nr; i++) {
		any |= verbs[i] == V_TABLES;
		if (verbs[i] == V_BRK || verbs[i] == V_EXIT || (verbs[i] == V_TRUNCATE && scene == TABLE))
			return false;
	}
	return thorough && any && nr == 2 && (geometry == 0 || geometry == 2 || geometry == 4);
}

/*
 * What is left for --thorough: two stores of one thread but where pages 1 and 2 lie in different tables, and most ranges of
 * files that a child has too.
 */
static bool makes_sense(enum scene scene, const enum verb *verbs, unsigned nr, unsigned geometry)
{
	bool any_range = false, exits = false, file = scene == FILES || scene == HEIRS, family = false, accesses = false;

	if (scene == TABLE || scene == TABLE_FILE)
		return makes_sense_of_tables(scene, verbs, nr, geometry);
	for (unsigned i = 0; i < nr; i++) {
		if (verbs[i] == V_TABLES || (verbs[i] == V_TRUNCATE && !file))
			return false;
		if (verbs[i] == V_BRK && file)
			return false;
		family |= verbs[i] == V_EXIT || verbs[i] == V_FORK || verbs[i] == V_TRUNCATE;
		accesses |= verbs[i] <= V_STORES;
		if (verbs[i] == V_EXIT && (exits || scene == ANON || scene == FILES))
			return false;
		exits |= verbs[i] == V_EXIT;
		any_range |= verbs[i] != V_FORK && verbs[i] != V_EXIT;
	}
	if (scene == LEAVING && !exits)
		return false;
	if (scene == HEIRS && (!family || (!thorough && geometry != 0 && geometry != 5)))
		return false;
	if ((geometry == 4 && file) || (geometry == 5 && !file) || (geometry == 6 && (file || !accesses)))
		return false;
	for (unsigned i = 0; i < nr && geometry && !thorough; i++) {
		if (verbs[i] == V_STORES)
			return false;
	}
	return any_range || geometry == 0;
}

static void fill_program(struct program *p, enum scene scene, enum verb v, const struct ranges *r, unsigned thread,
			 uint8_t common)
{
	uint8_t first = r->first[thread], n = r->n[thread];
	struct call c = { .page = first, .n = n };

	switch (v) {
	case V_LOAD:
		c = (struct call){ .kind = LOAD, .page = common };
		break;
	case V_STORE:
	case V_STORES:
		c = (struct call){ .kind = STORE, .page = common, .what = (uint8_t)(0x81 + 16 * thread) };
		break;
	case V_MMAP:
		c.kind = MMAP;
		c.what = (scene == FILES || scene == HEIRS || scene == TABLE_FILE) && thread == 1;
		break;
	case V_MUNMAP:
		c.kind = MUNMAP;
		break;
	case V_MPROTECT:
		c.kind = MPROTECT;
		c.what = thread == 1 ? QUIRE_PROT_NONE : QUIRE_PROT_READ;
		break;
	case V_MREMAP:
		c.kind = MREMAP;
		c.what = target_of[thread];
		break;
	case V_BRK:
		c = (struct call){ .kind = BRK, .page = thread == 1 ? 5 : first };
		break;
	case V_DONTNEED:
		c.kind = DONTNEED;
		break;
	case V_FORK:
		c.kind = FORK;
		break;
	case V_EXIT:
		c.kind = EXIT;
		break;
	case V_TRUNCATE:
		c = (struct call){ .kind = TRUNCATE, .page = first & 3 };
		break;
	case V_TABLES:
		c = (struct call){ .kind = MREMAP_TABLE, .what = thread ? 8 : 4 };
		break;
	case NR_VERBS:
		break;
	}
	p->nr = 0;
	p->call[p->nr++] = c;
	if (v == V_STORES) {
		c.page++;
		c.what++;
		p->call[p->nr++] = c;
	}
	if (scene == LEAVING && v != V_EXIT)
		p->call[p->nr++] = (struct call){ .kind = EXIT };
}

/* ---- Cases ------------------------------------------------------------------------------- */

struct test_case {
	enum scene scene;
	unsigned nr_threads, geometry;
	enum verb verb[EXPLORER_MOST_THREADS];
};

static void name_case(const struct test_case *c, char name[96])
{
	size_t len = (size_t)snprintf(name, 96, "%s/%u/", scene_names[c->scene], c->geometry);

	for (unsigned i = 0; i < c->nr_threads; i++)
		len += (size_t)snprintf(name + len, 96 - len, "%s%s", i ? "+" : "", verb_names[c->verb[i]]);
}

static const char *build_case(const struct test_case *c, struct explorer_test *test)
{
	struct program programs[EXPLORER_MOST_THREADS];
	const struct ranges *r = &ranges[c->geometry];
	uint8_t common = 0;

	/* Accesses go where all ranges meet; or in one case to where page 1 is moved. */
	for (unsigned i = 0; i < c->nr_threads; i++)
		common = r->first[i] > common ? r->first[i] : common;
	for (unsigned i = 0; i < c->nr_threads && c->geometry == 2; i++) {
		if (c->verb[i] == V_MREMAP)
			common = (uint8_t)(target_of[i] + 1 - r->first[i]);
	}
	if (c->geometry == 6)
		common = 0;
	if ((c->scene == TABLE || c->scene == TABLE_FILE) && c->geometry != 4)
		common = c->geometry == 2 ? P_MOVED + 3 : 3;
	for (unsigned i = 0; i < c->nr_threads; i++)
		fill_program(&programs[i], c->scene, c->verb[i], r, i, common);
	world_build(c->scene, programs, c->nr_threads, test);
	return world_learn();
}

/* Calls fn for every case; false when fn wants no more. */
static bool each_case(unsigned nr_threads, bool (*fn)(const struct test_case *c))
{
	struct test_case c = { .nr_threads = nr_threads };
	unsigned codes = 1;

	for (unsigned i = 0; i < nr_threads; i++)
		codes *= NR_VERBS;
	for (unsigned code = 0; code < codes; code++) {
		unsigned rest = code;
		bool sorted = true;

		for (unsigned i = nr_threads; i-- > 0; rest /= NR_VERBS)
			c.verb[i] = (enum verb)(rest % NR_VERBS);
		for (unsigned i = 1; i < nr_threads; i++)
			sorted &= c.verb[i - 1] <= c.verb[i];
		for (c.scene = ANON; sorted && c.scene < NR_SCENES; c.scene++) {
			for (c.geometry = 0; c.geometry < NR_RANGES; c.geometry++) {
				if (makes_sense(c.scene, c.verb, nr_threads, c.geometry) && !fn(&c))
					return false;
			}
		}
	}
	return true;
}

/* ---- Exploring --------------------------------------------------------------------------- */

static struct explorer_limits limits = { .switches = 2 };
static uint64_t schedules, runs, points, cases, cut_cases;
static uint64_t pair_schedules, pair_cases;
static unsigned failures;
static bool is_quiet;
static char pair_name[96];

static void say_failure(const char *name, const struct explorer_schedule *s, const char *broken)
{
	char text[EXPLORER_TEXT] = "";

	if (s)
		explorer_print(s, text);
	printf("FAILED: --case %s --replay \"%s\"\n  %s\n", name, text, broken);
	fflush(stdout);
	failures++;
}

static void end_pair(void)
{
	if (pair_cases && !is_quiet)
		printf("%-28s %8llu schedules, %llu cases\n", pair_name, (unsigned long long)pair_schedules,
		       (unsigned long long)pair_cases);
	fflush(stdout);
	pair_schedules = pair_cases = 0;
}

static void begin_pair(const char *name)
{
	const char *verbs = strchr(strchr(name, '/') + 1, '/') + 1;

	if (strcmp(verbs, pair_name) == 0)
		return;
	end_pair();
	snprintf(pair_name, sizeof(pair_name), "%s", verbs);
}

static bool explore_case(const struct test_case *c)
{
	struct explorer_result result;
	struct explorer_test test;
	const char *broken;
	char name[96];

	name_case(c, name);
	begin_pair(name);
	broken = build_case(c, &test);
	if (broken) {
		say_failure(name, NULL, broken);
		return failures < 20;
	}
	explorer_explore(&test, &limits, &result);
	if (result.broken)
		say_failure(name, &result.schedule, result.broken);
	schedules += result.schedules;
	runs += result.runs;
	points += result.points;
	cases++;
	cut_cases += !result.complete;
	pair_schedules += result.schedules;
	pair_cases++;
	return failures < 20 && (limits.deadline == 0 || explorer_now() < limits.deadline);
}

static const char *wanted;
static struct test_case found;
static bool was_found;

static bool find_case(const struct test_case *c)
{
	char name[96];

	name_case(c, name);
	if (strcmp(name, wanted) != 0)
		return true;
	found = *c;
	was_found = true;
	return false;
}

static bool list_case(const struct test_case *c)
{
	char name[96];

	name_case(c, name);
	puts(name);
	return true;
}

static int replay(const char *text)
{
	struct explorer_schedule s;
	struct explorer_test test;
	const char *broken = build_case(&found, &test);

	if (!explorer_parse(text, &s)) {
		fprintf(stderr, "explore: no schedule: %s\n", text);
		return 2;
	}
	if (!broken) {
		explorer_trace(true);
		broken = explorer_run(&test, &s);
	}
	printf("%s\n", broken ? broken : "nothing is wrong");
	return broken != NULL;
}

/* ---- Mistakes ---------------------------------------------------------------------------- */

/* Where each is looked for; the explorer has to find it within the usual two switches. */
static const struct {
	enum mistake mistake;
	const char *where;
} mistakes[] = {
	{ FREE_BEFORE_FLUSH, "anon/0/store+munmap" }, { NO_FLUSH, "anon/0/load+mprotect" },
	{ DEAD_AREA, "anon/1/store+munmap" },	      { DEAD_AREA, "anon/1/store+mprotect" },
	{ FORK_UNGUARDED, "forked/0/stores+fork" },   { NO_GRACE, "anon/1/load+munmap" },
	{ LOST_WAKE, "anon/0/munmap+mprotect" },
};

static int find_mistakes(void)
{
	unsigned missed = 0;

	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(mistakes); i++) {
		struct explorer_result result;
		struct explorer_test test;
		char text[EXPLORER_TEXT] = "";
		const char *broken;

		wanted = mistakes[i].where;
		was_found = false;
		(void)each_case(2, find_case);
		broken = was_found ? build_case(&found, &test) : "there is no such case";
		if (broken) {
			printf("%s: %s\n", wanted, broken);
			missed++;
			continue;
		}
		world_mistake(mistakes[i].mistake);
		explorer_explore(&test, &limits, &result);
		if (result.broken)
			explorer_print(&result.schedule, text);
		/* What it has found it must find again. */
		if (result.broken)
			result.broken = explorer_run(&test, &result.schedule);
		world_mistake(NO_MISTAKE);
		printf("%-18s in %-24s %s after %llu schedules: \"%s\" %.100s\n", mistake_names[mistakes[i].mistake],
		       wanted, result.broken ? "found" : "NOT FOUND", (unsigned long long)result.runs, text,
		       result.broken ? result.broken : "");
		missed += !result.broken;
	}
	printf("%zu mistakes, %u not found\n", QUIRE_ARRAY_SIZE(mistakes), missed);
	return missed != 0;
}

/* ---- The whole --------------------------------------------------------------------------- */

/*
 * Of three threads, no two stores of one: calls unmap page by page, and what a third thread has made of the pages meanwhile
 * lets one store find its page gone and the next find its own still there. As on any machine, but no order of whole calls ends
 * like that, and the judge knows no others.
 */
static bool explore_triple(const struct test_case *c)
{
	for (unsigned i = 0; i < c->nr_threads; i++) {
		if (c->verb[i] == V_STORES)
			return true;
	}
	return explore_case(c);
}

static int explore_all(unsigned nr_threads)
{
	double began = explorer_now(), took;

	(void)each_case(nr_threads, nr_threads > 2 ? explore_triple : explore_case);
	end_pair();
	took = explorer_now() - began;
	printf("explorer: %llu schedules of up to %u forced switches in %llu cases of %u threads (%llu runs, "
	       "%llu points, %.0f runs/s), %llu cases cut short, %u failures\n",
	       (unsigned long long)schedules, limits.switches, (unsigned long long)cases, nr_threads,
	       (unsigned long long)runs, (unsigned long long)points, (double)runs / (took > 0 ? took : 1),
	       (unsigned long long)cut_cases, failures);
	return failures != 0;
}

/*
 * For so many minutes: all pairs over all ranges with two switches, then, again and again and each time others by
 * chance, pairs with three and triples with two.
 */
static int soak(double minutes)
{
	double end = explorer_now() + minutes * 60;
	uint64_t complete, sampled = 0;
	unsigned passes = 0;

	is_quiet = thorough = true;
	limits.deadline = end;
	(void)each_case(2, explore_case);
	complete = schedules;
	for (; !failures && explorer_now() < end; passes++) {
		limits.seed = (uint64_t)(explorer_now() * 1e9);
		limits.sample = 6;
		limits.switches = 3;
		(void)each_case(2, explore_case);
		limits.switches = 2;
		if (!failures && explorer_now() < end)
			(void)each_case(3, explore_triple);
		sampled = schedules - complete;
	}
	printf("explorer: %llu schedules of pairs with up to 2 forced switches, %llu of pairs with 3 and triples with 2 in %u "
	       "passes, %llu cases, %llu cut short, %u failures\n",
	       (unsigned long long)complete, (unsigned long long)sampled, passes, (unsigned long long)cases,
	       (unsigned long long)cut_cases, failures);
	return failures != 0;
}

int main(int argc, char **argv)
{
	const char *schedule = NULL, *minutes = argc == 1 ? getenv("QUIRE_SOAK_MINUTES") : NULL;
	unsigned nr_threads = 2;
	bool list = false, make_mistakes = false;

	for (int i = 1; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : "";

		if (strcmp(argv[i], "--switches") == 0)
			limits.switches = (unsigned)atoi(next), i++;
		else if (strcmp(argv[i], "--seconds") == 0)
			limits.deadline = explorer_now() + atof(next), i++;
		else if (strcmp(argv[i], "--most") == 0)
			limits.most_runs = strtoull(next, NULL, 0), i++;
		else if (strcmp(argv[i], "--sample") == 0)
			limits.sample = (unsigned)atoi(next), i++;
		else if (strcmp(argv[i], "--case") == 0)
			wanted = next, i++;
		else if (strcmp(argv[i], "--replay") == 0)
			schedule = next, i++;
		else if (strcmp(argv[i], "--everywhere") == 0)
			limits.everywhere = true;
		else if (strcmp(argv[i], "--triples") == 0)
			nr_threads = 3;
		else if (strcmp(argv[i], "--thorough") == 0)
			thorough = true;
		else if (strcmp(argv[i], "--list") == 0)
			list = true;
		else if (strcmp(argv[i], "--mistakes") == 0)
			make_mistakes = true;
		else if (strcmp(argv[i], "--quiet") == 0)
			is_quiet = true;
		else {
			fprintf(stderr, "explore: what is %s?\n", argv[i]);
			return 2;
		}
	}
	if (limits.switches > EXPLORER_MOST_SWITCHES)
		limits.switches = EXPLORER_MOST_SWITCHES;
	if (make_mistakes)
		return find_mistakes();
	if (list)
		return !each_case(nr_threads, list_case);
	if (wanted) {
		thorough = true;
		(void)(each_case(2, find_case) && each_case(3, find_case));
		if (!was_found) {
			fprintf(stderr, "explore: no case %s\n", wanted);
			return 2;
		}
		if (schedule)
			return replay(schedule);
		(void)explore_case(&found);
		nr_threads = found.nr_threads;
		end_pair();
		printf("explorer: %llu schedules, %llu runs, %u failures\n", (unsigned long long)schedules,
		       (unsigned long long)runs, failures);
		return failures != 0;
	}
	return minutes ? soak(atof(minutes)) : explore_all(nr_threads);
}

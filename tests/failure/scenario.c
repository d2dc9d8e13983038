/* SPDX-License-Identifier: MIT */
/* One scenario, run with every allocation failing in turn; see failure.h. */
#include <stdlib.h>
#include <time.h>

#include "failure.h"

#define MOST_PAGES 96 /* that a call may need */

/* Totals, printed by main.c. */
unsigned nr_scenarios, nr_failures, nr_short, nr_random;

static void begin(const struct scenario *s)
{
	world_new();
	rich();
	if (s->setup)
		s->setup();
	if (s->flags & IN_OTHER)
		run_in(w.other);
	quire_grace_wait(w.q);
	world_check();
}

static void finish(const struct scenario *s)
{
	quire_grace_wait(w.q);
	world_check();
	if (s->after)
		s->after();
	world_end();
}

static bool is_success(const struct scenario *s, int64_t answer)
{
	return s->success ? answer == s->success : answer >= 0;
}

static bool is_failure(const struct scenario *s, int64_t answer)
{
	return answer == (s->failure ? s->failure : -QUIRE_ENOMEM) ||
	       (s->failure2 && answer == s->failure2);
}

/* What was before the call, all of it; and what its areas are after it has got through. */
struct expected {
	char *before, *after;
};

static bool needs_fresh_world(const struct scenario *s)
{
	return (s->flags & (MAKES_DO | KEEPS_PAGES | KEEPS_CACHE | KEEPS_AREAS)) != 0;
}

static void expect(const struct scenario *s, struct expected *e)
{
	free(e->before);
	e->before = snapshot(s->flags & ~KEEPS_AREAS);
}

/* For calls that change areas, and then bring pages in as far as they come. */
static void expect_after(const struct scenario *s, struct expected *e)
{
	*e = (struct expected){NULL, NULL};
	if (!(s->flags & KEEPS_AREAS))
		return;
	begin(s);
	assert_true(is_success(s, s->call()));
	quire_grace_wait(w.q);
	e->after = snapshot(s->flags);
	finish(s);
}

/* It has met with a failure: the answer, the checks, the state. reclaim: it may have got through at another try. */
static void judge(const struct scenario *s, int64_t answer, const struct expected *e,
		  bool reclaim, const char *when)
{
	bool got_through = ((s->flags & MAKES_DO) || reclaim) && is_success(s, answer);
	bool half = (s->flags & KEEPS_AREAS) && (got_through || answer == s->failure2);
	char *now;

	if (!got_through && !is_failure(s, answer))
		fail_msg("%s: %s: answered %lld", s->name, when, (long long)answer);
	quire_grace_wait(w.q);
	world_check();
	if (got_through && !half)
		return;
	now = snapshot(half ? s->flags : s->flags & ~KEEPS_AREAS);
	assert_same(half ? e->after : e->before, now, s->name, when);
	free(now);
}

/* Once for each allocation that the call makes. */
static void each_fails(const struct scenario *s, bool sticky)
{
	struct expected e;
	char when[64];

	expect_after(s, &e);
	begin(s);
	expect(s, &e);
	for (uint64_t k = 1;; k++) {
		int64_t answer;
		unsigned failed;

		snprintf(when, sizeof(when), "allocation %llu%s fails", (unsigned long long)k,
			 sticky ? " and all later ones" : "");
		fail_at(k, sticky);
		answer = s->call();
		failed = fail_end();
		if (!failed) {
			if (!is_success(s, answer))
				fail_msg("%s: with memory it answered %lld", s->name,
					 (long long)answer);
			if (!(s->flags & MAY_NEED) && (k > 1) == ((s->flags & NEEDS_NONE) != 0))
				fail_msg("%s: asks for memory %llu times", s->name,
					 (unsigned long long)k - 1);
			break;
		}
		nr_failures++;
		judge(s, answer, &e, false, when);
		if (needs_fresh_world(s)) {
			if ((s->flags & MAKES_DO) && is_success(s, answer) && s->after)
				s->after();
			world_end();
			begin(s);
			expect(s, &e);
		}
	}
	free(e.before);
	free(e.after);
	finish(s);
}

/* With 0, 1, 2... pages left, until that is enough: no allocation is made to fail, they do. */
static void with_few_pages(const struct scenario *s)
{
	struct expected e;
	char when[64];

	expect_after(s, &e);
	begin(s);
	expect(s, &e);
	for (unsigned pages = 0;; pages++) {
		int64_t answer;

		snprintf(when, sizeof(when), "%u pages are left", pages);
		assert_true(pages < MOST_PAGES);
		hog_all_but(w.q, pages);
		answer = s->call();
		hog_end(w.q);
		if (is_success(s, answer))
			break;
		nr_short++;
		judge(s, answer, &e, false, when);
		if (needs_fresh_world(s)) {
			world_end();
			begin(s);
			expect(s, &e);
		}
	}
	free(e.before);
	free(e.after);
	finish(s);
}

void run_scenario(void **state)
{
	const struct scenario *s = *state;

	mark_stack(__builtin_frame_address(0));
	nr_scenarios++;
	each_fails(s, false);
	each_fails(s, true);
	with_few_pages(s);
}

/* ---- At random --------------------------------------------------------------------------- */

static void fail_at_random_once(const struct scenario *s, uint64_t seed)
{
	struct expected e;
	int64_t answer;
	char when[64];
	unsigned n = 2u << seed % 6;
	bool reclaim = seed / 12 % 2 != 0;

	snprintf(when, sizeof(when), "seed %llu, one in %u fails", (unsigned long long)seed, n);
	world_format = seed / 6 % 2 && QUIRE_PAGE_SHIFT == 12 && !getenv("QUIRE_TEST_FORMAT")
			       ? &quire_pgfmt_x86_64_5level
			       : NULL;
	expect_after(s, &e);
	begin(s);
	expect(s, &e);
	fail_at_random(seed, n, reclaim);
	answer = s->call();
	if (fail_end())
		judge(s, answer, &e, reclaim, when);
	else if (!is_success(s, answer))
		fail_msg("%s: with memory it answered %lld", s->name, (long long)answer);
	nr_random++;
	free(e.before);
	free(e.after);
	world_end();
	world_format = NULL;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void run_at_random(void **state)
{
	const char *minutes = getenv("QUIRE_SOAK_MINUTES");
	double end = now() + (minutes ? atof(minutes) * 60 : 0);
	uint64_t seed = minutes ? (uint64_t)time(NULL) << 24 : 0;

	(void)state;
	mark_stack(__builtin_frame_address(0));
	do {
		for (const struct scenario *const *group = all_scenarios; *group; group++) {
			for (const struct scenario *s = *group; s->name; s++)
				fail_at_random_once(s, seed++);
		}
	} while (now() < end);
}

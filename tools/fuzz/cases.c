/* SPDX-License-Identifier: MIT */
/*
 * quire fuzz --case: rounds that somebody wrote, or that differed once, played one after the other. Called by fuzz.c. A case
 * fails if the two sides differ, if a step does not do what the case says, or if a step could not be made: it would show
 * less than it promises.
 */
#include <errno.h>
#include <string.h>

#include "case.h"
#include "csource.h"
#include "fuzz.h"
#include "play.h"

#define SKIPPED 77

static void complain(const char *name, unsigned number, const struct step *step, const char *who,
		     const struct answer *answer)
{
	char says[1024], gave[256];

	fuzz_step_print(step, says, sizeof(says));
	fuzz_answer_print(number, step, answer, gave, sizeof(gave));
	fprintf(stderr, "%s: the case says\n  %s\nbut%s\n  %s\n", name, says, who, gave);
}

/* Does each step do what the case says, on both sides? */
static bool is_as_said(const char *name, const struct round *round,
		       const struct play_result *result)
{
	bool good = true;
	unsigned i;

	for (i = 0; i < round->nr_steps; i++) {
		const struct step *s = &round->steps[i];

		if (!result->theirs[i].made)
			complain(name, i, s, "", &result->theirs[i]);
		else if (!fuzz_expected(s, &result->theirs[i]))
			complain(name, i, s, " on Linux", &result->theirs[i]);
		else
			continue;
		good = false;
	}
	return good;
}

static int play_case(struct player *p, const char *name, const struct fuzz_options *o,
		     struct tally *tally, uint64_t *steps)
{
	const struct play_result *result;
	char message[300];
	struct round round;
	int status = TOOL_SAME;
	unsigned i;
	FILE *from = fopen(name, "r");

	if (!from) {
		tool_warn("%s: %s", name, strerror(errno));
		return TOOL_MISUSE;
	}
	if (fuzz_case_read(from, name, &round, message, sizeof(message))) {
		tool_warn("%s", message);
		fclose(from);
		return TOOL_MISUSE;
	}
	fclose(from);
	result = player_play(p, &round);
	*steps += result->nr_compared;
	if (result->verdict == PLAY_FAILED) {
		tool_warn("%s: %s", name, result->what.p);
		status = TOOL_NOT_RUN;
	} else if (result->verdict == PLAY_DIFFERENT) {
		fprintf(stderr, "%s: step %u differs\n%s", name, result->step,
			result->what.p ? result->what.p : "");
		status = TOOL_DIFFERENT;
		if (o->minimize)
			fuzz_report(p, &round, "", o);
	} else if (!is_as_said(name, &round, result)) {
		status = TOOL_DIFFERENT;
	} else {
		tally->rounds++;
		for (i = 0; i < round.nr_steps; i++)
			fuzz_tally_step(tally, &round.steps[i], &result->arg[6 * i],
					&result->ours[i]);
	}
	/* If some step was not made, nobody knows what Linux says to those behind it. */
	for (i = 0; i < round.nr_steps && result->theirs[i].made; i++)
		;
	if (o->print_c && status != TOOL_NOT_RUN)
		fuzz_csource(stdout, &round, i == round.nr_steps ? result->theirs : NULL, name);
	fuzz_case_free(&round);
	return status;
}

int fuzz_run_cases(const struct fuzz_options *o)
{
	static struct tally tally;
	uint64_t steps = 0;
	size_t i, nr_failed = 0;
	int worst = TOOL_SAME, status;
	const char *why;
	struct player *p = player_create(&why);

	if (!p) {
		printf("fuzz: skipped: this host does not allow %s: %s\n", why, strerror(errno));
		return SKIPPED;
	}
	for (i = 0; i < o->nr_cases; i++) {
		status = play_case(p, o->cases[i], o, &tally, &steps);
		nr_failed += status != TOOL_SAME;
		worst = status > worst ? status : worst;
	}
	if (!player_destroy(p) && worst == TOOL_SAME)
		worst = TOOL_NOT_RUN;
	if (!o->print_c)
		printf("fuzz: %zu cases, %llu steps compared, %zu failed\n", i,
		       (unsigned long long)steps, nr_failed);
	if (!fuzz_save_tally(o, &tally))
		worst = TOOL_NOT_RUN;
	return worst;
}

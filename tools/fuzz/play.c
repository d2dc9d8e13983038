/* SPDX-License-Identifier: MIT */
/*
 * One round from start to verdict. See play.h. The machine's side is in ours.c, the host's in theirs.c; here their notes are
 * laid side by side.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "../kernel_view.h"
#include "case.h"
#include "player.h"

static const char *const rule_text[] = {
#define PLAY_RULE(name, text) [PLAY_RULE_##name] = text,
	PLAY_RULES(PLAY_RULE)
#undef PLAY_RULE
};

const char *play_rule_text(enum play_rule rule)
{
	return rule_text[rule];
}

const uint64_t *player_left_out(const struct player *p)
{
	return p->left_out;
}

struct player *player_create(const char **why)
{
	struct player *p = tool_alloc(sizeof(*p));

	p->overcommit = overcommit_create();
	overcommit_begin(p->overcommit, STEP_OVERCOMMIT_HOSTS);
	view_system(&p->system);
	overcommit_end(p->overcommit, STEP_OVERCOMMIT_HOSTS);
	*why = p->system.overcommit_memory == 2 ? "overcommit_memory is 2: what others have decides" : theirs_create(p);
	if (!*why && !ours_create(p))
		*why = "no memory for the simulated machine";
	if (*why) {
		overcommit_destroy(p->overcommit);
		free(p);
		return NULL;
	}
	p->result.theirs = tool_alloc(STEP_MAX * sizeof(*p->result.theirs));
	p->result.ours = tool_alloc(STEP_MAX * sizeof(*p->result.ours));
	p->result.arg = tool_alloc(STEP_MAX * 6 * sizeof(*p->result.arg));
	return p;
}

bool player_destroy(struct player *p)
{
	bool good = ours_destroy(p);

	theirs_destroy(p);
	overcommit_destroy(p->overcommit);
	text_free(&p->result.what);
	free(p->result.theirs);
	free(p->result.ours);
	free(p->result.arg);
	free(p);
	return good;
}

/* ---- Comparing --------------------------------------------------------------------------- */

static struct answer answer_of(bool made, const struct record *r)
{
	if (!made)
		return (struct answer){ 0 };
	return (struct answer){ .made = true, .result = r->result, .signo = r->signo, .code = r->code,
				.address = r->address, .area = r->area };
}

static void say_answers(struct player *p, uint32_t i, const struct record *theirs, const struct record *ours)
{
	const struct step *s = &p->channel->step[i];
	struct answer answer = answer_of(true, theirs);
	char line[256];

	fuzz_answer_print(i, s, &answer, line, sizeof(line));
	text_printf(&p->result.what, "  Linux  %s\n", line);
	answer = answer_of(true, ours);
	fuzz_answer_print(i, s, &answer, line, sizeof(line));
	text_printf(&p->result.what, "  Quire  %s\n", line);
}

static bool same_answer(struct player *p, uint32_t i, const struct record *theirs, const struct record *ours)
{
	const struct step *s = &p->channel->step[i];
	uint64_t page;

	if (theirs->signo != ours->signo ||
	    (ours->signo && (theirs->code != ours->code || theirs->address != ours->address)) ||
	    (!ours->signo && theirs->result != ours->result && s->kind != STEP_EXECUTE)) {
		say_answers(p, i, theirs, ours);
		return false;
	}
	if (theirs->read != ours->read) {
		say_answers(p, i, theirs, ours);
		text_printf(&p->result.what, "%s: Linux %#llx, Quire %#llx\n",
			    s->kind == STEP_STORE_RUN ? "bytes stored" : "what was read adds up to",
			    (unsigned long long)theirs->read, (unsigned long long)ours->read);
		return false;
	}
	if (s->kind != STEP_CALL || s->nr != SYS_mincore || ours->result)
		return true;
	for (page = 0; page < (p->result.arg[6 * i + 1] + STEP_PAGE - 1) / STEP_PAGE && page < STEP_VEC_PAGES; page++) {
		if (ours->vec[page] == CORE_UNKNOWN || ((theirs->vec[page] ^ ours->vec[page]) & 1) == 0)
			continue;
		text_printf(&p->result.what, "mincore: page %llu: Linux %u, Quire %u\n", (unsigned long long)page,
			    theirs->vec[page], ours->vec[page]);
		return false;
	}
	return true;
}

/* Texts that were the same once and have not changed since need no second look. */
static bool same_maps(struct player *p, struct inodes *inodes, const struct span *theirs, const struct span *ours,
		      struct span *last)
{
	if (last[0].len && theirs->at == last[0].at && theirs->len == last[0].len && ours->at == last[1].at)
		return true;
	last[0] = *theirs;
	last[1] = *ours;
	return texts_same_maps(inodes, p->channel->text + theirs->at, theirs->len, p->texts.p + ours->at, ours->len,
			       &p->result.what);
}

static bool same_step(struct player *p, uint32_t i, struct inodes *inodes, struct span (*last)[2])
{
	const struct channel *c = p->channel;
	const struct record *theirs = &c->record[i], *ours = &p->record[i];
	const struct step *s = &c->step[i];

	if (!same_answer(p, i, theirs, ours))
		return false;
	if (s->kind == STEP_FORK && ours->result == 0 &&
	    !same_maps(p, inodes, &theirs->born, &ours->born, last[s->arg[0]]))
		return false;
	if (c->plan[i] & PLAN_MAPS && !same_maps(p, inodes, &theirs->maps, &ours->maps, last[s->process]))
		return false;
	if (!(c->plan[i] & PLAN_SAMPLE))
		return true;
	p->result.nr_samples++;
	return texts_same_sample(p, s->process, &c->samples[theirs->sample], &p->sample[ours->sample], &p->result.what);
}

/* PLAY_DIFFERENT with the first step that differs. */
static void compare(struct player *p)
{
	const struct channel *c = p->channel;
	struct play_result *result = &p->result;
	struct span last[STEP_MAX_PROCESSES][2] = { 0 };
	struct inodes *inodes = tool_alloc(sizeof(*inodes));
	uint32_t i, nr = c->nr_steps;

	for (i = 0; i < nr && result->verdict == PLAY_SAME; i++) {
		if (!(c->plan[i] & PLAN_MADE))
			continue;
		if (p->died && i == p->died_at) {
			text_printf(&result->what, "Linux: %s\n", p->died);
			result->verdict = PLAY_DIFFERENT;
		} else if (!same_step(p, i, inodes, last)) {
			result->verdict = PLAY_DIFFERENT;
		}
		if (i < p->round->nr_steps)
			result->nr_compared++;
		if (result->verdict == PLAY_DIFFERENT)
			result->step = i < p->round->nr_steps ? i : p->round->nr_steps;
	}
	if (result->verdict == PLAY_SAME && p->died) {
		text_printf(&result->what, "Linux: %s, at step %u\n", p->died, p->died_at);
		result->verdict = PLAY_FAILED;
	}
	for (i = 0; i < p->round->nr_steps; i++) {
		bool made = c->plan[i] & PLAN_MADE;

		result->theirs[i] = answer_of(made && i <= result->step, &c->record[i]);
		result->ours[i] = answer_of(made, &p->record[i]);
	}
	free(inodes);
}

/* False, and said so: the host's settings could not be set, or put back. */
static bool run_theirs(struct player *p)
{
	bool good = overcommit_begin(p->overcommit, p->overcommit_mode);

	if (good)
		theirs_run(p);
	good &= overcommit_end(p->overcommit, p->overcommit_mode);
	if (good)
		return true;
	text_printf(&p->result.what, "/proc/sys/vm/overcommit_memory: %s\n", strerror(errno));
	p->result.verdict = PLAY_FAILED;
	return false;
}

const struct play_result *player_play(struct player *p, const struct round *round)
{
	struct play_result *result = &p->result;
	quire_broken_t broken = NULL, left;
	unsigned step = 0;

	p->round = round;
	p->died = NULL;
	p->overcommit_mode = STEP_OVERCOMMIT_HOSTS;
	text_clear(&result->what);
	result->verdict = PLAY_SAME;
	result->step = round->nr_steps;
	result->nr_compared = result->nr_samples = 0;
	memset(result->theirs, 0, STEP_MAX * sizeof(*result->theirs));
	memset(result->ours, 0, STEP_MAX * sizeof(*result->ours));
	if (!theirs_begin(p) || !ours_begin(p)) {
		result->verdict = PLAY_FAILED;
	} else {
		broken = ours_run(p, &step);
		if (!broken && run_theirs(p))
			compare(p);
	}
	theirs_end(p);
	overcommit_end(p->overcommit, p->overcommit_mode); /* it may not have come to that */
	left = ours_end(p);
	if (!broken)
		broken = left;
	if (broken || machine_failed(p->machine)) {
		text_printf(&result->what, "Quire: %s\n", broken ? broken : "the machine reported something");
		result->verdict = PLAY_DIFFERENT;
		result->step = step < result->step ? step : result->step;
		/* Whatever it was, the next round is not to suffer from it. */
		ours_destroy(p);
		if (!ours_create(p))
			abort();
	}
	return result;
}

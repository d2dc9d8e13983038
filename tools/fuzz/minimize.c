/* SPDX-License-Identifier: MIT */
/*
 * The smallest round that still differs, or nearly: delta debugging over the steps, the processes and threads, then over each
 * argument. Called by `quire fuzz` for a round that differs; every change is played and taken back if the difference is gone.
 *
 * Passes are repeated until one has changed nothing, or until there have been plays enough: a plainer argument often makes
 * another step superfluous.
 */
#include "minimize.h"

#include <string.h>
#include <sys/syscall.h>

#include "names.h"

struct search {
	struct round *round;
	bool (*differs)(const struct round *round, void *arg);
	void *arg;
	unsigned plays, max_plays;
};

static bool still_differs(struct search *s)
{
	if (s->plays >= s->max_plays)
		return false;
	s->plays++;
	return s->differs(s->round, s->arg);
}

/* ---- Steps --------------------------------------------------------------------------------- */

static void cut_out(struct round *round, unsigned first, unsigned nr)
{
	memmove(round->steps + first, round->steps + first + nr,
		(round->nr_steps - first - nr) * sizeof(*round->steps));
	round->nr_steps -= nr;
}

/* Without steps first to first + nr - 1, if it differs so. */
static bool try_without(struct search *s, unsigned first, unsigned nr)
{
	struct step kept[STEP_MAX];
	unsigned nr_kept = s->round->nr_steps;

	memcpy(kept, s->round->steps, nr_kept * sizeof(*kept));
	cut_out(s->round, first, nr);
	if (still_differs(s))
		return true;
	memcpy(s->round->steps, kept, nr_kept * sizeof(*kept));
	s->round->nr_steps = nr_kept;
	return false;
}

/* Chunks from the end, which what comes before does not need; halves first, single steps last. */
static bool drop_steps(struct search *s)
{
	unsigned size = s->round->nr_steps / 2, first;
	bool changed = false;

	for (size = size ? size : 1; size; size /= 2) {
		for (first = s->round->nr_steps; first > 0;) {
			unsigned nr = first < size ? first : size;

			first -= nr;
			if (s->round->nr_steps > nr)
				changed |= try_without(s, first, nr);
		}
	}
	return changed;
}

/* ---- Processes ----------------------------------------------------------------------------- */

static bool is_birth_of(const struct step *step, unsigned process)
{
	return (step->kind == STEP_FORK || step->kind == STEP_THREAD) && step->arg[0] == process;
}

/* Is it a call whose first argument is one? */
static bool names_process(const struct step *step)
{
	const struct fuzz_call *call = step->kind == STEP_CALL ? fuzz_call_by_nr(step->nr) : NULL;

	return call && call->operand[0] == OPERAND_PROCESS;
}

/* What process does, and its birth, are left out. */
static bool drop_process(struct search *s, unsigned process)
{
	struct step kept[STEP_MAX];
	struct round *round = s->round;
	unsigned nr_kept = round->nr_steps, i, n = 0;

	memcpy(kept, round->steps, nr_kept * sizeof(*kept));
	for (i = 0; i < nr_kept; i++)
		if (kept[i].process != process && !is_birth_of(&kept[i], process))
			round->steps[n++] = kept[i];
	round->nr_steps = n;
	if (n && n < nr_kept && still_differs(s))
		return true;
	memcpy(round->steps, kept, nr_kept * sizeof(*kept));
	round->nr_steps = nr_kept;
	return false;
}

/* What process does, another one does, and it is not born. */
static bool merge_process(struct search *s, unsigned process, unsigned other)
{
	struct step kept[STEP_MAX];
	struct round *round = s->round;
	unsigned nr_kept = round->nr_steps, i, n = 0;

	memcpy(kept, round->steps, nr_kept * sizeof(*kept));
	for (i = 0; i < nr_kept; i++) {
		if (is_birth_of(&kept[i], process) ||
		    (kept[i].kind == STEP_EXIT && kept[i].process == process))
			continue;
		round->steps[n] = kept[i];
		if (kept[i].process == process)
			round->steps[n].process = (uint8_t)other;
		if (names_process(&kept[i]) && kept[i].arg[0] == process)
			round->steps[n].arg[0] = other;
		n++;
	}
	round->nr_steps = n;
	if (n && n < nr_kept && still_differs(s))
		return true;
	memcpy(round->steps, kept, nr_kept * sizeof(*kept));
	round->nr_steps = nr_kept;
	return false;
}

static bool drop_processes(struct search *s)
{
	bool changed = false, there[STEP_MAX_PROCESSES] = {false};
	unsigned process, i;

	for (i = 0; i < s->round->nr_steps; i++)
		there[s->round->steps[i].process % STEP_MAX_PROCESSES] = true;
	for (process = STEP_MAX_PROCESSES - 1; process > 0; process--)
		if (there[process])
			changed |= drop_process(s, process) || merge_process(s, process, 0);
	return changed;
}

/* ---- Arguments ----------------------------------------------------------------------------- */

static bool try_value(struct search *s, uint64_t *arg, uint64_t value)
{
	uint64_t kept = *arg;

	if (kept == value)
		return false;
	*arg = value;
	if (still_differs(s))
		return true;
	*arg = kept;
	return false;
}

/* One page, then fewer pages by halves, quarters and so on, then a whole number of pages. */
static bool shrink_size(struct search *s, uint64_t *arg)
{
	bool changed = false;
	uint64_t less;

	if (*arg > STEP_PAGE && try_value(s, arg, STEP_PAGE))
		return true;
	while (*arg > 2 * STEP_PAGE && try_value(s, arg, *arg / 2 & ~(STEP_PAGE - 1)))
		changed = true;
	for (less = *arg / 2 & ~(STEP_PAGE - 1); less; less = less / 2 & ~(STEP_PAGE - 1))
		while (*arg > less + STEP_PAGE && *arg < 1ull << 63 &&
		       try_value(s, arg, *arg - less))
			changed = true;
	if (*arg % STEP_PAGE)
		changed |= try_value(s, arg, *arg & ~(STEP_PAGE - 1)) ||
			   try_value(s, arg, (*arg | (STEP_PAGE - 1)) + 1);
	return changed;
}

/* The beginning of a page, then pages nearer to the window's start. */
static bool shrink_address(struct search *s, uint64_t *arg)
{
	uint64_t offset = *arg - STEP_WINDOW;
	bool changed = false;

	if (*arg % STEP_PAGE)
		changed |= try_value(s, arg, *arg & ~(STEP_PAGE - 1));
	if (offset < 1ull << 40) {
		changed |= try_value(s, arg, STEP_WINDOW + *arg % STEP_PAGE);
		while ((offset = *arg - STEP_WINDOW) >= 2 * STEP_PAGE &&
		       (try_value(s, arg, STEP_WINDOW + (offset / 2 & ~(STEP_PAGE - 1))) ||
			try_value(s, arg, *arg - STEP_PAGE)))
			changed = true;
	}
	return changed;
}

/* Bit by bit, each time from the value of now; what is one value of many has no bits to drop. */
static bool shrink_flags(struct search *s, uint64_t *arg, enum operand operand)
{
	uint64_t field = fuzz_flags[operand].field;
	bool changed = false;
	int bit;

	for (bit = 63; bit >= 0; bit--)
		if ((*arg & ~field) >> bit & 1)
			changed |= try_value(s, arg, *arg & ~(1ull << bit));
	return changed;
}

static bool shrink_number(struct search *s, uint64_t *arg)
{
	return (*arg && try_value(s, arg, 0)) || (*arg > 1 && try_value(s, arg, 1));
}

static bool try_range(struct search *s, struct step *step, uint64_t skip)
{
	step->arg[0] += skip;
	step->arg[1] -= skip;
	if (still_differs(s))
		return true;
	step->arg[0] -= skip;
	step->arg[1] += skip;
	return false;
}

/* Pages from the front of a range: what lies at its end stays. */
static bool shorten_range(struct search *s, struct step *step)
{
	uint64_t *size = &step->arg[1];
	bool changed = false;

	while (*size > STEP_PAGE && *size < 1ull << 32) {
		uint64_t pages = (*size - 1) / STEP_PAGE;

		if (!try_range(s, step, pages * STEP_PAGE) &&
		    !(pages > 2 && try_range(s, step, pages / 2 * STEP_PAGE)) &&
		    !try_range(s, step, STEP_PAGE))
			break;
		changed = true;
	}
	return changed;
}

static bool shrink_step(struct search *s, struct step *step)
{
	const struct fuzz_call *call =
		step->kind == STEP_CALL ? fuzz_call_by_nr(step->nr) : fuzz_kind_call(step->kind);
	unsigned n = call ? fuzz_call_nr_operands(call) : 0, i;
	bool changed = false;
	int8_t slot = step->into_slot;

	if (slot != STEP_NO_SLOT) {
		step->into_slot = STEP_NO_SLOT;
		if (still_differs(s))
			changed = true;
		else
			step->into_slot = slot;
	}
	if (n > 1 && call->operand[0] == OPERAND_ADDRESS && call->operand[1] == OPERAND_SIZE)
		changed |= shorten_range(s, step);
	/* Addresses last, since a shorter range can go further down. */
	for (i = n; i-- > 0;) {
		uint64_t *arg = &step->arg[i];

		switch (call->operand[i]) {
		case OPERAND_ADDRESS:
			if (step->slot_arg == (int)i)
				changed |= shrink_number(s, arg);
			else if (*arg != STEP_VEC)
				changed |= shrink_address(s, arg);
			break;
		case OPERAND_SIZE:
			/* mmap()'s and write()'s offsets are better none than a page. */
			if ((step->kind == STEP_CALL && (i == 5 || step->nr == SYS_fallocate)) ||
			    (step->kind == STEP_WRITE && i == 1))
				changed |= shrink_number(s, arg);
			changed |= shrink_size(s, arg);
			break;
		case OPERAND_NUMBER:
			/* A word has so many bytes, or others; not none. */
			if (step->kind == STEP_STORE_WORD && i == 1)
				changed |= *arg > 2 && try_value(s, arg, 2);
			else
				changed |= shrink_number(s, arg);
			break;
		case OPERAND_FILE:
		case OPERAND_PROCESS:
			break;
		default:
			changed |= shrink_flags(s, arg, (enum operand)call->operand[i]);
		}
	}
	return changed;
}

/* The whole round some pages down: what one address at a time cannot do where several must stay together. */
static bool move_down(struct search *s)
{
	struct step kept[STEP_MAX];
	struct round *round = s->round;
	uint64_t lowest = ~0ull;
	unsigned i, j;

	for (i = 0; i < round->nr_steps; i++)
		for (j = 0; j < 6; j++)
			if (round->steps[i].arg[j] - STEP_WINDOW < 1ull << 32 &&
			    round->steps[i].arg[j] < lowest)
				lowest = round->steps[i].arg[j];
	lowest &= ~(STEP_PAGE - 1);
	if (lowest == STEP_WINDOW || lowest == (~0ull & ~(STEP_PAGE - 1)))
		return false;
	memcpy(kept, round->steps, round->nr_steps * sizeof(*kept));
	for (i = 0; i < round->nr_steps; i++)
		for (j = 0; j < 6; j++)
			if (round->steps[i].arg[j] - STEP_WINDOW < 1ull << 32)
				round->steps[i].arg[j] -= lowest - STEP_WINDOW;
	if (still_differs(s))
		return true;
	memcpy(round->steps, kept, round->nr_steps * sizeof(*kept));
	return false;
}

static bool shrink_arguments(struct search *s)
{
	bool changed = move_down(s);
	unsigned i;

	for (i = s->round->nr_steps; i-- > 0;)
		changed |= shrink_step(s, &s->round->steps[i]);
	return changed;
}

static bool lift_limits(struct search *s)
{
	struct round *round = s->round;
	bool changed = false;

	if (round->no_random) {
		round->no_random = false;
		if (still_differs(s))
			changed = true;
		else
			round->no_random = true;
	}
	if (round->overcommit != STEP_OVERCOMMIT_HOSTS) {
		uint8_t mode = round->overcommit;

		round->overcommit = STEP_OVERCOMMIT_HOSTS;
		if (still_differs(s))
			changed = true;
		else
			round->overcommit = mode;
	}
	changed |= try_value(s, &round->limit_maps, ~0ull);
	changed |= try_value(s, &round->limit_as, ~0ull);
	changed |= try_value(s, &round->limit_data, ~0ull);
	changed |= try_value(s, &round->limit_stack, ~0ull);
	changed |= try_value(s, &round->limit_memlock, ~0ull);
	return changed;
}

unsigned fuzz_minimize(struct round *round, bool (*differs)(const struct round *round, void *arg),
		       void *arg, unsigned max_plays)
{
	struct search s = {.round = round, .differs = differs, .arg = arg, .max_plays = max_plays};
	unsigned i, n = 0;
	bool changed;

	for (i = 0; i < round->nr_steps; i++)
		if (!round->left_out || !round->left_out[i])
			round->steps[n++] = round->steps[i];
	round->nr_steps = n;
	if (round->left_out)
		memset(round->left_out, 0, n * sizeof(*round->left_out));
	do {
		changed = drop_steps(&s);
		changed |= drop_processes(&s);
		changed |= lift_limits(&s);
		changed |= shrink_arguments(&s);
	} while (changed && s.plays < s.max_plays);
	return s.plays;
}

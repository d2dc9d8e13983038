/* SPDX-License-Identifier: MIT */
/*
 * quire replay: serve recordings again and compare every answer with what Linux said then. Called by main.c. Needs no process
 * to look at, and runs anywhere.
 */
#include "commands.h"

#include <stdlib.h>
#include <string.h>

#include "recording.h"

#define MOST_SHOWN 10       /* differences a file; the rest is counted. Maps are shown where they are the first */
#define TIMED_SECONDS 0.3   /* serve again until this much time was measured, */
#define MOST_REPEATS 200    /* or this often */

static void show_call(const struct recording *r, const struct event *e, const struct space *space, int64_t ours)
{
	char text[256];

	fprintf(stderr, "\nquire: %s: line %u: process %d (%s)\n", r->name, e->line, space ? space->pid : 0,
		space ? space->program : "?");
	call_print(&e->call, text, sizeof(text));
	fprintf(stderr, "  %s\n", text);
	call_print_result(e->call.id, e->call.result, text, sizeof(text));
	fprintf(stderr, "  Linux answered  %s\n", text);
	call_print_result(e->call.id, ours, text, sizeof(text));
	fprintf(stderr, "  Quire answers   %s\n", text);
}

static void show_maps(const struct recording *r, const struct event *e, const struct space *space,
		      const struct text *ours)
{
	fprintf(stderr, "\nquire: %s: line %u: process %d (%s): maps differ; Quire has\n", r->name, e->line,
		space ? space->pid : 0, space ? space->program : "?");
	fwrite(ours->p, 1, ours->len, stderr);
}

/* Every answer compared. Number of differences; -1: the recording makes no sense, which was said. */
static int64_t check(struct recording *r, struct world *w, struct progress *progress)
{
	struct server sv;
	int64_t differences = 0, ours;
	enum serve_end end;

	serve_start(&sv, r, w);
	while ((end = serve_run(&sv, &ours)) != SERVE_DONE) {
		const struct event *e = &r->event[sv.next - 1];

		if (end == SERVE_CANNOT && !differences) {
			progress_clear(progress);
			tool_warn("%s: line %u: cannot be served here", r->name, e->line);
			differences = -1;
			break;
		}
		if (progress_due(progress))
			progress_show(progress, "%s: line %u", r->name, e->line);
		/* What can't be served after a difference is a consequence of it. */
		if (end == SERVE_CANNOT || ++differences > MOST_SHOWN)
			continue;
		progress_clear(progress);
		if (end == SERVE_CALL_DIFFERS)
			show_call(r, e, sv.space[e->space], ours);
		else if (differences == 1)
			show_maps(r, e, sv.space[e->space], &sv.text);
	}
	serve_stop(&sv);
	return differences;
}

/* Seconds that the calls alone took. */
static double time_calls(struct recording *r, struct world *w)
{
	struct server sv;
	double spent = 0, start;
	int64_t ours;

	serve_start(&sv, r, w);
	sv.check_maps = false;
	while (sv.next < r->nr) {
		size_t all = r->nr, from = sv.next;
		bool calls = r->event[from].kind == EVENT_CALL;

		while (from < all && (r->event[from].kind == EVENT_CALL) == calls)
			from++;
		r->nr = from;
		start = tool_now();
		while (serve_run(&sv, &ours) != SERVE_DONE)
			;
		if (calls)
			spent += tool_now() - start;
		r->nr = all;
	}
	serve_stop(&sv);
	return spent;
}

static int replay_one(const char *name, bool quiet, bool timed)
{
	struct recording *r = recording_load(name);
	struct progress progress;
	struct world *w;
	int64_t differences;
	uint64_t served = 0;
	double spent = 0;
	unsigned i, reports;

	if (!r)
		return TOOL_MISUSE;
	progress_start(&progress, quiet);
	w = world_create(&r->system, NULL);
	differences = check(r, w, &progress);
	for (i = 0; timed && differences == 0 && i < MOST_REPEATS && spent < TIMED_SECONDS && r->nr_calls; i++) {
		world_reset(w);
		spent += time_calls(r, w);
		served += r->nr_calls;
	}
	progress_clear(&progress);
	if (differences >= 0) {
		printf("%s: %llu calls in %u spaces, %lld difference%s", name, (unsigned long long)r->nr_calls,
		       r->nr_spaces, (long long)differences, differences == 1 ? "" : "s");
		if (spent > 0)
			printf(", %.0f calls a second", (double)served / spent);
		printf("\n");
	}
	reports = world_destroy(w);
	recording_free(r);
	if (differences < 0)
		return TOOL_MISUSE;
	return differences || reports ? TOOL_DIFFERENT : TOOL_SAME;
}

int replay_run(char **names, size_t nr, bool quiet, bool timed)
{
	int result = TOOL_SAME, one;
	size_t i;

	for (i = 0; i < nr; i++) {
		one = replay_one(names[i], quiet, timed);
		if (one > result)
			result = one;
	}
	return result;
}

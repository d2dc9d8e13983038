/* SPDX-License-Identifier: MIT */
/*
 * quire maps, quire smaps: what the spaces of a recording were at their end, served by Quire: each as it was
 * before its exit, or where the recording stopped. Called by main.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "recording.h"
#include "svg.h"

struct collection {
	struct svg_space *space;
	size_t nr;
	bool smaps, print;
	struct text text;
};

static void collect(struct space *space, void *arg)
{
	struct collection *c = arg;

	if (c->smaps)
		world_smaps(space, &c->text);
	else
		world_maps(space, &c->text);
	if (c->print) {
		printf("%s# process %d (%s)\n", c->nr ? "\n" : "", space->pid, space->program);
		fwrite(c->text.p, 1, c->text.len, stdout);
		c->nr++;
		return;
	}
	c->space = tool_realloc(c->space, (c->nr + 1) * sizeof(*c->space));
	c->space[c->nr++] = (struct svg_space){
		.pid = space->pid,
		.program = tool_strdup(space->program),
		.maps = tool_strndup(c->text.p ? c->text.p : "", c->text.len),
	};
}

int spaces_run(const char *name, bool smaps, const char *svg, bool quiet)
{
	struct collection c = { .smaps = smaps, .print = svg == NULL };
	struct recording *r = recording_load(name);
	struct progress progress;
	struct server sv;
	struct space *space;
	struct world *w;
	enum serve_end end;
	int64_t ours;
	int result = TOOL_SAME, err;
	bool differed = false;

	if (!r)
		return TOOL_MISUSE;
	progress_start(&progress, quiet);
	w = world_create(&r->system, NULL);
	w->ending = collect;
	w->ending_arg = &c;
	serve_start(&sv, r, w);
	sv.check_maps = false;
	while ((end = serve_run(&sv, &ours)) != SERVE_DONE) {
		if (end == SERVE_CANNOT && !differed) {
			tool_warn("%s: line %u: cannot be served here", name, r->event[sv.next - 1].line);
			result = TOOL_MISUSE;
			break;
		}
		if (!differed)
			tool_warn("%s: line %u: Quire answers otherwise than Linux did; see quire replay", name,
				  r->event[sv.next - 1].line);
		differed = true;
		if (progress_due(&progress))
			progress_show(&progress, "%s: line %u", name, r->event[sv.next - 1].line);
	}
	progress_clear(&progress);
	for (space = w->spaces; space && result == TOOL_SAME; space = space->next) {
		if (space->mm)
			collect(space, &c);
	}
	if (svg && result == TOOL_SAME) {
		err = svg_write(svg, c.space, c.nr);
		if (err) {
			tool_warn("cannot write %s: %s", svg, strerror(err));
			result = TOOL_NOT_RUN;
		}
	}
	if (result == TOOL_SAME && differed)
		result = TOOL_DIFFERENT;
	for (size_t i = 0; i < c.nr && svg; i++) {
		free((char *)c.space[i].program);
		free((char *)c.space[i].maps);
	}
	free(c.space);
	text_free(&c.text);
	w->ending = NULL;
	serve_stop(&sv);
	world_destroy(w);
	recording_free(r);
	return result;
}

/* SPDX-License-Identifier: MIT */
/*
 * Comparing Quire with Linux, and showing where they differ. Called by follow.c while the thread
 * concerned is stopped. After a difference the space is made Linux's again, so that one difference is
 * one block and not a hundred; it stays counted.
 */
#include "shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

#define MOST_SHOWN 200  /* blocks; further differences are only counted */
#define MOST_LINES 24   /* of one list in a block */
#define LINES_AROUND 2

/* ---- Lines ------------------------------------------------------------------------------- */

struct line {
	const char *p;
	size_t len;      /* without the newline */
	uint64_t start, end;
	bool shown;
};

struct lines {
	struct line *line;
	size_t nr;
};

static void split(const char *text, struct lines *lines)
{
	size_t cap = 0;
	const char *end;
	char *after;

	*lines = (struct lines){ 0 };
	for (; *text; text = *end ? end + 1 : end) {
		end = strchr(text, '\n');
		if (!end)
			end = text + strlen(text);
		if (lines->nr == cap) {
			cap = cap ? cap * 2 : 128;
			lines->line = tool_realloc(lines->line, cap * sizeof(*lines->line));
		}
		lines->line[lines->nr] = (struct line){ .p = text, .len = (size_t)(end - text) };
		lines->line[lines->nr].start = strtoull(text, &after, 16);
		lines->line[lines->nr].end = strtoull(after + (*after == '-'), NULL, 16);
		lines->nr++;
	}
}

static bool same_line(const struct line *a, const struct line *b)
{
	return a->len == b->len && memcmp(a->p, b->p, a->len) == 0;
}

/* Length of everything but the name: five fields. */
static size_t without_name(const struct line *l)
{
	unsigned spaces = 0;
	size_t i;

	for (i = 0; i < l->len; i++) {
		if (l->p[i] == ' ' && ++spaces == 5)
			break;
	}
	return i;
}

/* ---- Showing ----------------------------------------------------------------------------- */

static bool begin_block(struct shadow *s, struct space *space, const struct call *call, const char *when)
{
	char text[256];

	s->nr_differences++;
	space->nr_differences++;
	progress_clear(&s->progress);
	if (!s->options.report || s->nr_shown >= MOST_SHOWN)
		return false;
	s->nr_shown++;
	fprintf(stderr, "\nquire: difference %llu: process %d (%s), call %llu of its space%s%s\n",
		(unsigned long long)s->nr_differences, space->pid, space->program,
		(unsigned long long)space->nr_calls, when ? ", maps " : "", when ? when : "");
	if (call) {
		call_print(call, text, sizeof(text));
		fprintf(stderr, "  %s\n", text);
	}
	return true;
}

static void mark_around(struct lines *l, uint64_t addr)
{
	size_t i, first, last;

	for (i = 0; i < l->nr && l->line[i].end <= addr; i++)
		;
	first = i > LINES_AROUND ? i - LINES_AROUND : 0;
	last = i + LINES_AROUND < l->nr ? i + LINES_AROUND : l->nr;
	for (i = first; i < last; i++)
		l->line[i].shown = true;
}

static void show_marked(const char *title, struct lines *l)
{
	bool gap = false;
	size_t i;

	fprintf(stderr, "  areas around, %s:\n", title);
	for (i = 0; i < l->nr; i++) {
		if (l->line[i].shown)
			fprintf(stderr, "%s    %.*s\n", gap ? "    ...\n" : "", (int)l->line[i].len, l->line[i].p);
		gap = !l->line[i].shown && i > 0 && l->line[i - 1].shown;
	}
}

static void show_around(const char *title, const char *text, const uint64_t *addr, unsigned nr)
{
	struct lines lines;
	unsigned i;

	split(text, &lines);
	for (i = 0; i < nr; i++)
		mark_around(&lines, addr[i]);
	show_marked(title, &lines);
	free(lines.line);
}

static bool is_errno(int64_t v)
{
	return v < 0 && v > -4096;
}

void compare_result(struct shadow *s, struct task *t, int64_t ours)
{
	struct space *space = t->space;
	struct text theirs_text = { 0 }, ours_text = { 0 };
	uint64_t addr[4];
	unsigned nr = 0;
	char text[128];

	if (!begin_block(s, space, &t->call, NULL))
		return;
	call_print_result(t->call.id, t->call.result, text, sizeof(text));
	fprintf(stderr, "  Linux answers  %s\n", text);
	call_print_result(t->call.id, ours, text, sizeof(text));
	fprintf(stderr, "  Quire answers  %s\n", text);
	if (t->call.id != CALL_MMAP && t->call.id != CALL_SHMAT)
		addr[nr++] = t->call.arg[0];
	else if (t->call.arg[t->call.id == CALL_SHMAT])
		addr[nr++] = t->call.arg[t->call.id == CALL_SHMAT];
	if (call_defs[t->call.id].answers_address && !is_errno(t->call.result))
		addr[nr++] = (uint64_t)t->call.result;
	if (call_defs[t->call.id].answers_address && !is_errno(ours))
		addr[nr++] = (uint64_t)ours;
	if (view_maps(&shadow_of(space)->view, &theirs_text))
		show_around("Linux", theirs_text.p, addr, nr);
	world_maps(space, &ours_text);
	show_around("Quire", ours_text.p, addr, nr);
	text_free(&theirs_text);
	text_free(&ours_text);
}

/* Stretches of lines that differ, one equal line before each. */
static void show_difference(struct lines *a, struct lines *b)
{
	size_t i = 0, j = 0, shown = 0;
	bool in_stretch = false;

	while (i < a->nr || j < b->nr) {
		if (i < a->nr && j < b->nr && same_line(&a->line[i], &b->line[j])) {
			in_stretch = false;
			i++;
			j++;
			continue;
		}
		if (shown++ >= MOST_LINES) {
			fprintf(stderr, "    ...\n");
			return;
		}
		if (!in_stretch && i > 0)
			fprintf(stderr, "   both  %.*s\n", (int)a->line[i - 1].len, a->line[i - 1].p);
		in_stretch = true;
		if (i < a->nr && (j == b->nr || a->line[i].start <= b->line[j].start)) {
			fprintf(stderr, "  Linux  %.*s\n", (int)a->line[i].len, a->line[i].p);
			i++;
		} else {
			fprintf(stderr, "  Quire  %.*s\n", (int)b->line[j].len, b->line[j].p);
			j++;
		}
	}
}

/* ---- Maps -------------------------------------------------------------------------------- */

/*
 * A path is what the file is called when maps is read: renamed and removed files read otherwise than
 * when they were mapped. Which file it is (device and inode) is compared all the same.
 */
static bool take_paths(struct shadow *s, struct space *space, struct lines *theirs, struct lines *ours)
{
	size_t i = 0, j = 0;
	bool taken = false;

	while (i < theirs->nr && j < ours->nr) {
		struct line *a = &theirs->line[i], *b = &ours->line[j];
		size_t prefix = without_name(a);

		if (a->start == b->start && !same_line(a, b) && prefix == without_name(b) &&
		    memcmp(a->p, b->p, prefix) == 0) {
			struct world_file *f = world_file_at(space, a->start);
			const char *name = a->p + prefix;

			while (name < a->p + a->len && *name == ' ')
				name++;
			if (f) {
				char *path = tool_strndup(name, (size_t)(a->p + a->len - name));

				if (strcmp(path, f->path) != 0) {
					world_file_set_path(f, path);
					note(s, "files renamed or removed while mapped: name taken over");
				}
				free(path);
				taken = true;
			}
		}
		if (a->start <= b->start)
			i++;
		if (b->start <= a->start)
			j++;
	}
	return taken;
}

/* prctl(PR_SET_VMA_ANON_NAME): names of anonymous memory, which Quire does not keep. */
static void strip_names(struct shadow *s, struct text *t)
{
	static const char *const names[] = { " [anon:", " [anon_shmem:" };
	size_t i;
	char *p, *end, *from;

	for (i = 0; i < QUIRE_ARRAY_SIZE(names); i++) {
		while (t->p && (p = strstr(t->p, names[i]))) {
			end = strchr(p, '\n');
			for (from = p; from > t->p && from[-1] == ' '; from--)
				;
			if (!end)
				return;
			from++; /* one blank stays behind the inode */
			memmove(from, end, t->len - (size_t)(end - t->p) + 1);
			t->len -= (size_t)(end - from);
			note(s, "names given to anonymous memory: not compared");
		}
	}
}

/* Flags that Quire has no use for, or Linux only since 6.19. */
#define NOT_COMPARED (QUIRE_VM_SOFTDIRTY | QUIRE_VM_MAYBE_GUARD)

/* VmFlags of every area; the bounds are known to agree. */
static bool compare_flags(struct shadow *s, struct space *space, const char *when)
{
	struct view_areas areas;
	bool same = true;
	size_t i;

	if (!view_smaps(shadow_of(space)->look, &areas)) {
		view_free_areas(&areas);
		return true;
	}
	for (i = 0; i < areas.nr; i++) {
		const struct world_area *a = &areas.area[i];
		struct quire_vma *vma = world_find(space, a->start);

		if (!vma || ((vma->flags ^ a->flags) & ~NOT_COMPARED) == 0)
			continue;
		if (same && begin_block(s, space, NULL, when))
			fprintf(stderr, "  VmFlags, as bits:\n");
		if (s->options.report)
			fprintf(stderr, "    %llx-%llx  Linux %llx  Quire %llx\n", (unsigned long long)a->start,
				(unsigned long long)a->end, (unsigned long long)a->flags,
				(unsigned long long)vma->flags);
		same = false;
	}
	view_free_areas(&areas);
	return same;
}

bool compare_maps(struct shadow *s, struct space *space, const char *when)
{
	struct shadow_space *sh = shadow_of(space);
	struct text theirs = { 0 }, ours = { 0 };
	struct lines a, b;
	bool same;

	if (space->lost)
		return false;
	import_stack_growth(s, space);
	if (sh->unsure) {
		sh->unsure = false;
		note(s, "calls cut short by death: areas taken over");
		compare_resync(s, space);
	}
	if (!view_maps(&sh->view, &theirs)) {
		text_free(&theirs);
		note(s, "maps that could not be read any more");
		return true;
	}
	strip_names(s, &theirs);
	world_maps(space, &ours);
	same = theirs.len == ours.len && memcmp(theirs.p, ours.p, ours.len) == 0;
	if (!same) {
		split(theirs.p, &a);
		split(ours.p, &b);
		if (take_paths(s, space, &a, &b)) {
			free(b.line);
			world_maps(space, &ours);
			split(ours.p, &b);
			same = theirs.len == ours.len && memcmp(theirs.p, ours.p, ours.len) == 0;
		}
		if (!same && begin_block(s, space, NULL, when))
			show_difference(&a, &b);
		free(a.line);
		free(b.line);
	}
	record_maps(s->world->recorder, space, theirs.p, theirs.len);
	text_free(&theirs);
	text_free(&ours);
	s->nr_compared++;
	space->nr_compared++;
	sh->since_compared = 0;
	if (same && s->options.flags)
		same = compare_flags(s, space, when);
	if (!same)
		compare_resync(s, space);
	return same;
}

/* Where smaps may not be read: flags as far as maps and what we have tell. */
static bool guess_areas(struct shadow *s, struct space *space, struct view_areas *areas)
{
	const uint64_t shown = QUIRE_VM_ACCESS_FLAGS | QUIRE_VM_MAYSHARE;
	struct text t = { 0 };
	size_t i;

	if (!view_maps(&shadow_of(space)->view, &t)) {
		text_free(&t);
		return false;
	}
	view_parse_maps(t.p, areas);
	text_free(&t);
	note(s, "areas taken over without their flags, since smaps may not be read");
	for (i = 0; i < areas->nr; i++) {
		struct world_area *a = &areas->area[i];
		struct quire_vma *vma = world_find(space, a->start);

		if (vma && (vma->flags & shown) == (a->flags & shown)) {
			a->flags = vma->flags;
			continue;
		}
		a->flags |= QUIRE_VM_MAYREAD | QUIRE_VM_MAYWRITE | QUIRE_VM_MAYEXEC;
		if (a->flags & QUIRE_VM_MAYSHARE)
			a->flags |= QUIRE_VM_SHARED;
		else if (a->flags & QUIRE_VM_WRITE)
			a->flags |= QUIRE_VM_ACCOUNT;
	}
	return true;
}

void compare_resync(struct shadow *s, struct space *space)
{
	struct view_areas areas;
	int n;

	if (!view_smaps(shadow_of(space)->look, &areas)) {
		view_free_areas(&areas);
		if (!guess_areas(s, space, &areas))
			return;
	}
	view_sizes(shadow_of(space)->look, &areas);
	n = world_take_over(space, areas.area, areas.nr);
	if (n < 0) {
		tool_warn("the space of process %d (%s) can't be made Linux's again: errno %d; not followed further",
			  space->pid, space->program, -n);
		s->nr_differences++;
		space->nr_differences++;
	} else {
		owners_find(s, space, NULL, 0, true);
	}
	view_free_areas(&areas);
}

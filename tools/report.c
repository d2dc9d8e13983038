/* SPDX-License-Identifier: MIT */
/*
 * The summary: a table of the spaces that were followed, and a named, counted line for everything that was taken
 * over or not compared. All of it goes to stderr, so that the program's own output stays what it is.
 */
#include "shadow.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* ---- Notes ------------------------------------------------------------------------------- */

void note(struct shadow *s, const char *text)
{
	struct note *n;

	for (n = s->notes; n; n = n->next) {
		if (n->text == text || strcmp(n->text, text) == 0) {
			n->count++;
			return;
		}
	}
	n = tool_alloc(sizeof(*n));
	n->text = tool_strdup(text);
	n->count = 1;
	*s->notes_end = n;
	s->notes_end = &n->next;
}

void notes_free(struct shadow *s)
{
	struct note *n;

	while ((n = s->notes)) {
		s->notes = n->next;
		free((char *)n->text);
		free(n);
	}
}

void note_call(struct shadow *s, enum call_id id, const char *text)
{
	char buf[256];

	snprintf(buf, sizeof(buf), "%s %s", call_defs[id].name, text);
	note(s, buf);
}

/* ---- The table --------------------------------------------------------------------------- */

/* More rows than this, and processes of one program share one. */
#define MOST_ROWS 24

struct row {
	const char *program;
	int pid;
	uint64_t processes, differences, peak_areas, peak_pages;
	uint64_t calls[CALL_NR];
};

static void add_space(struct row *row, const struct space *space)
{
	unsigned i;

	row->processes++;
	row->differences += space->nr_differences;
	if (space->peak_areas > row->peak_areas)
		row->peak_areas = space->peak_areas;
	if (space->peak_pages > row->peak_pages)
		row->peak_pages = space->peak_pages;
	for (i = 0; i < CALL_NR; i++)
		row->calls[i] += space->calls[i];
}

static struct row *rows_of(struct world *w, bool by_program, size_t *nr)
{
	struct row *rows = NULL;
	struct space *space;
	size_t i;

	*nr = 0;
	for (space = w->spaces; space; space = space->next) {
		for (i = 0; by_program && i < *nr && strcmp(rows[i].program, space->program) != 0; i++)
			;
		if (!by_program || i == *nr) {
			rows = tool_realloc(rows, (*nr + 1) * sizeof(*rows));
			i = (*nr)++;
			rows[i] = (struct row){ .program = space->program, .pid = space->pid };
		}
		add_space(&rows[i], space);
	}
	return rows;
}

static void print_size(uint64_t pages)
{
	static const char *const unit[] = { "KiB", "MiB", "GiB", "TiB" };
	double v = (double)pages * (double)QUIRE_PAGE_SIZE / 1024;
	unsigned i = 0;

	while (v >= 10000 && i < 3) {
		v /= 1024;
		i++;
	}
	fprintf(stderr, "%6.0f %s", v, unit[i]);
}

static void print_calls(const struct row *row)
{
	unsigned i, best, printed = 0;
	bool done[CALL_NR] = { false };
	const char *sep = "";

	for (;;) {
		best = CALL_NR;
		for (i = 0; i < CALL_NR; i++) {
			if (!done[i] && row->calls[i] && (best == CALL_NR || row->calls[i] > row->calls[best]))
				best = i;
		}
		if (best == CALL_NR)
			break;
		done[best] = true;
		fprintf(stderr, "%s%s %llu", sep, call_defs[best].name, (unsigned long long)row->calls[best]);
		sep = ", ";
		printed++;
	}
	if (!printed)
		fprintf(stderr, "-");
}

static void print_table(struct world *w)
{
	size_t nr, i;
	struct row *rows = rows_of(w, false, &nr);
	bool by_program = nr > MOST_ROWS;

	if (by_program) {
		free(rows);
		rows = rows_of(w, true, &nr);
	}
	fprintf(stderr, "\n%9s  %-20s %6s %9s %11s  %s\n", by_program ? "processes" : "process", "program", "differ",
		"areas", "size", "calls");
	for (i = 0; i < nr; i++) {
		fprintf(stderr, "%9llu  %-20.20s %6llu %9llu ",
			by_program ? (unsigned long long)rows[i].processes : (unsigned long long)rows[i].pid,
			rows[i].program, (unsigned long long)rows[i].differences,
			(unsigned long long)rows[i].peak_areas);
		print_size(rows[i].peak_pages);
		fprintf(stderr, "  ");
		print_calls(&rows[i]);
		fprintf(stderr, "\n");
	}
	free(rows);
}

/* ---- All of it --------------------------------------------------------------------------- */

static void print_status(int status)
{
	if (WIFEXITED(status))
		fprintf(stderr, "the command exited with status %d", WEXITSTATUS(status));
	else
		fprintf(stderr, "the command was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
}

void report_summary(struct shadow *s, int wait_status, bool ran)
{
	struct note *n;

	progress_clear(&s->progress);
	if (s->options.report) {
		print_table(s->world);
		if (s->notes)
			fprintf(stderr, "\ntaken over from Linux, or not compared in full:\n");
		for (n = s->notes; n; n = n->next)
			fprintf(stderr, "%9llu  %s\n", (unsigned long long)n->count, n->text);
		if (s->nr_shown < s->nr_differences)
			fprintf(stderr, "\n%llu further differences were counted and not shown\n",
				(unsigned long long)(s->nr_differences - s->nr_shown));
		fprintf(stderr, "\n");
	}
	fprintf(stderr, "quire: ");
	if (ran)
		print_status(wait_status);
	fprintf(stderr, "; %llu calls in %u spaces, %llu maps compared, %llu difference%s\n",
		(unsigned long long)s->nr_calls, s->world->nr_spaces, (unsigned long long)s->nr_compared,
		(unsigned long long)s->nr_differences, s->nr_differences == 1 ? "" : "s");
}

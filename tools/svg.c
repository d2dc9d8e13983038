/* SPDX-License-Identifier: MIT */
/*
 * Spaces as a picture: one column a space, high addresses at the top, every area as high as it is
 * large. What would push all else out of sight is folded and says how large it is: the empty
 * stretches between areas, and single areas that dwarf the others together (reserves, mostly).
 * Areas too thin for a label have one that appears under the pointer.
 */
#include "svg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_view.h"

#define COLUMN_WIDTH 300
#define BAR_WIDTH 110
#define BAR_LEFT 20
#define TOP 60
#define HEIGHT 1000.0 /* of the areas of a column, without folds */
#define FOLD 14.0     /* height of a folded stretch */
#define SMALL_GAP 6.0 /* gaps that would be lower than this many pixels are drawn to scale */
#define LABEL 11.0    /* areas at least this high have a label */

struct column {
	const struct svg_space *space;
	struct view_areas areas;
	uint64_t largest;  /* areas beyond this are folded */
	double scale;      /* pixels a byte */
	double height;
};

/* ---- Kinds -------------------------------------------------------------------------------- */

static const struct {
	const char *name, *fill;
} kinds[] = {
	{ "program text", "#c9604f" }, { "read-only file", "#e3b778" }, { "writable file", "#d9d06a" },
	{ "anonymous", "#7fb38b" },    { "heap", "#4f9c78" },		{ "stack", "#6a8fc8" },
	{ "shared", "#a987c4" },       { "no access", "#e4e4e4" },	{ "kernel's", "#9aa7b1" },
};
enum { TEXT, READ_ONLY, WRITABLE, ANONYMOUS, HEAP, STACK, SHARED, NONE, KERNELS };

static int kind_of(const struct world_area *a)
{
	if (!(a->flags & (QUIRE_VM_READ | QUIRE_VM_WRITE | QUIRE_VM_EXEC)))
		return NONE;
	if (strcmp(a->name, "[heap]") == 0)
		return HEAP;
	if (strcmp(a->name, "[stack]") == 0)
		return STACK;
	if (a->name[0] == '[')
		return KERNELS;
	if (a->flags & QUIRE_VM_MAYSHARE)
		return SHARED;
	if (a->flags & QUIRE_VM_EXEC)
		return TEXT;
	if (!a->inode)
		return ANONYMOUS;
	return a->flags & QUIRE_VM_WRITE ? WRITABLE : READ_ONLY;
}

/* ---- Scale -------------------------------------------------------------------------------- */

static uint64_t size_of(const struct world_area *a)
{
	return a->end - a->start;
}

/* Reserves, which nobody can touch, are folded earlier than what holds something. */
static uint64_t drawn_size(const struct world_area *a, uint64_t largest)
{
	uint64_t size = size_of(a), limit = kind_of(a) == NONE ? largest / 4 : largest;

	return size < limit ? size : limit;
}

static double drawn_bytes(const struct column *c, uint64_t largest)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < c->areas.nr; i++)
		sum += (double)drawn_size(&c->areas.area[i], largest);
	return sum;
}

/* No area takes more than a third of the column, unless there are too few to share it. */
static void choose_scale(struct column *c)
{
	double sum;
	int i;

	c->largest = UINT64_MAX;
	for (i = 0; i < 16 && c->areas.nr > 4; i++)
		c->largest = (uint64_t)(drawn_bytes(c, c->largest) / 3) + 4096;
	sum = drawn_bytes(c, c->largest);
	c->scale = sum > 0 ? HEIGHT / sum : 0;
}

static double area_height(const struct column *c, const struct world_area *a)
{
	return c->scale * (double)drawn_size(a, c->largest);
}

static bool gap_is_folded(const struct column *c, uint64_t gap)
{
	return c->scale * (double)gap > SMALL_GAP;
}

static double gap_height(const struct column *c, uint64_t gap)
{
	return gap_is_folded(c, gap) ? FOLD : c->scale * (double)gap;
}

static uint64_t gap_above(const struct column *c, size_t i)
{
	return i + 1 < c->areas.nr ? c->areas.area[i + 1].start - c->areas.area[i].end : 0;
}

static void measure(struct column *c)
{
	size_t i;

	choose_scale(c);
	for (i = 0; i < c->areas.nr; i++)
		c->height += area_height(c, &c->areas.area[i]) + gap_height(c, gap_above(c, i));
}

/* ---- Words ------------------------------------------------------------------- */

static void put_size(FILE *f, uint64_t bytes)
{
	static const char *const unit[] = { "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes / 1024;
	unsigned i = 0;

	while (v >= 1000 && i < 3) {
		v /= 1024;
		i++;
	}
	fprintf(f, v < 10 && i ? "%.1f %s" : "%.0f %s", v, unit[i]);
}

static void put_escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			fputs("&lt;", f);
		else if (*s == '>')
			fputs("&gt;", f);
		else if (*s == '&')
			fputs("&amp;", f);
		else if (*s == '"')
			fputs("&quot;", f);
		else if ((unsigned char)*s < ' ')
			fputc('?', f);
		else
			fputc(*s, f);
	}
}

static const char *short_name(const struct world_area *a)
{
	const char *slash = strrchr(a->name, '/');

	if (a->name[0] == '[')
		return a->name;
	return slash && slash[1] ? slash + 1 : a->name[0] ? a->name : kinds[kind_of(a)].name;
}

/* ---- Drawing ----------------------------------------------------------------------------- */

static void put_zigzag(FILE *f, double x, double y)
{
	int i;

	fprintf(f, "<path class=\"fold\" d=\"M%.1f %.2f", x, y);
	for (i = 1; i <= 10; i++)
		fprintf(f, "L%.1f %.2f", x + i * BAR_WIDTH / 10.0, y + (i % 2 ? -3 : 3));
	fprintf(f, "\"/>\n");
}

static void put_area(FILE *f, const struct column *c, const struct world_area *a, double x, double y)
{
	double h = area_height(c, a);

	fprintf(f, "<rect x=\"%.1f\" y=\"%.2f\" width=\"%d\" height=\"%.2f\" fill=\"%s\"><title>%08" PRIx64 "-%08" PRIx64
		   " %c%c%c%c ",
		x, y, BAR_WIDTH, h, kinds[kind_of(a)].fill, a->start, a->end, a->flags & QUIRE_VM_READ ? 'r' : '-',
		a->flags & QUIRE_VM_WRITE ? 'w' : '-', a->flags & QUIRE_VM_EXEC ? 'x' : '-',
		a->flags & QUIRE_VM_MAYSHARE ? 's' : 'p');
	put_size(f, size_of(a));
	fputc(' ', f);
	put_escaped(f, a->name);
	fputs("</title></rect>\n", f);
	if (size_of(a) > drawn_size(a, c->largest))
		put_zigzag(f, x, y + h / 2);
	if (h < LABEL)
		return;
	fprintf(f, "<text x=\"%.1f\" y=\"%.2f\">", x + BAR_WIDTH + 6, y + h / 2 + 3);
	put_escaped(f, short_name(a));
	fputs(" <tspan class=\"size\">", f);
	put_size(f, size_of(a));
	fputs("</tspan></text>\n", f);
}

/* above: where the area above the gap begins. */
static void put_gap(FILE *f, const struct column *c, uint64_t gap, uint64_t above, double x, double y)
{
	if (!gap_is_folded(c, gap))
		return;
	put_zigzag(f, x, y + FOLD / 2);
	fprintf(f, "<text class=\"size\" x=\"%.1f\" y=\"%.2f\">", x + BAR_WIDTH + 6, y + FOLD / 2 + 3);
	put_size(f, gap);
	fprintf(f, " empty below %" PRIx64 "</text>\n", above);
}

static void put_column(FILE *f, const struct column *c, double x)
{
	double y = TOP;
	size_t i;

	fprintf(f, "<text class=\"title\" x=\"%.1f\" y=\"%d\">", x, TOP - 14);
	put_escaped(f, c->space->program);
	fprintf(f, " <tspan class=\"size\">%d</tspan></text>\n", c->space->pid);
	for (i = c->areas.nr; i-- > 0;) {
		put_gap(f, c, gap_above(c, i), c->areas.area[i].end + gap_above(c, i), x, y);
		y += gap_height(c, gap_above(c, i));
		put_area(f, c, &c->areas.area[i], x, y);
		y += area_height(c, &c->areas.area[i]);
	}
}

static void put_legend(FILE *f, double y)
{
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(kinds); i++) {
		fprintf(f, "<rect x=\"%zu\" y=\"%.1f\" width=\"12\" height=\"12\" fill=\"%s\"/>"
			   "<text x=\"%zu\" y=\"%.1f\">%s</text>\n",
			BAR_LEFT + i * 100, y, kinds[i].fill, BAR_LEFT + i * 100 + 17, y + 10, kinds[i].name);
	}
}

int svg_write(const char *path, const struct svg_space *spaces, size_t nr)
{
	struct column *columns = tool_alloc((nr + 1) * sizeof(*columns));
	FILE *f = fopen(path, "we");
	double height = 0, width;
	size_t i;
	int err = 0;

	if (!f) {
		err = errno;
		free(columns);
		return err;
	}
	for (i = 0; i < nr; i++) {
		columns[i].space = &spaces[i];
		view_parse_maps(spaces[i].maps, &columns[i].areas);
		measure(&columns[i]);
		if (columns[i].height > height)
			height = columns[i].height;
	}
	width = BAR_LEFT + (double)nr * COLUMN_WIDTH;
	if (width < BAR_LEFT + 100.0 * QUIRE_ARRAY_SIZE(kinds))
		width = BAR_LEFT + 100.0 * QUIRE_ARRAY_SIZE(kinds);
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\">\n"
		"<style>text{font:11px sans-serif;fill:#222}.size{fill:#888}.title{font-weight:bold;font-size:13px}"
		"rect{stroke:#fff;stroke-width:.3}.fold{fill:none;stroke:#999}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		width, TOP + height + 50);
	for (i = 0; i < nr; i++) {
		put_column(f, &columns[i], BAR_LEFT + (double)i * COLUMN_WIDTH);
		view_free_areas(&columns[i].areas);
	}
	put_legend(f, TOP + height + 20);
	fputs("</svg>\n", f);
	if (ferror(f))
		err = EIO;
	if (fclose(f) && !err)
		err = errno;
	free(columns);
	return err;
}

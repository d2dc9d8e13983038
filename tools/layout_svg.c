/* SPDX-License-Identifier: MIT */
/*
 * A machine as a picture: physical memory on the left, the kernel's addresses on the right, high addresses at the top,
 * and between the two the direct map, which joins the same bytes. Each column is to scale where its smallest part can still be
 * seen so; else its axis is broken: a part is drawn at most three times as high as the next smaller one, and what is
 * drawn lower than it is carries a zigzag. Empty stretches that would push all else aside are folded likewise.
 */
#include "layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#define WIDTH 1240
#define TOP 70.0
#define HEIGHT 820.0
#define FOOT 40.0
#define BAR 110.0
#define LEFT_BAR 390.0
#define RIGHT_BAR 660.0
#define FOLD 16.0  /* height of a folded stretch */
#define LABEL 30.0 /* two lines */
#define SEEN 0.9   /* pixels that a part must have to be seen to scale */
#define TIMES 3	   /* a part of a broken axis is at most so much higher than the next smaller one */
#define MOST_PARTS 16

struct part {
	uint64_t start, end;
	const char *name, *note, *fill; /* name NULL: nothing is there */
	double y, height;		/* of its top edge */
	double label;
	bool folded;
};

struct column {
	const char *title;
	double x;
	bool labels_left;
	struct part part[2 * MOST_PARTS]; /* ascending, without holes between them once finished */
	size_t nr;
	bool to_scale;
};

/* ---- What there is ----------------------------------------------------------------------- */

static void add(struct column *c, uint64_t start, uint64_t end, const char *name, const char *note,
		const char *fill)
{
	if (start < end)
		c->part[c->nr++] = (struct part){
			.start = start, .end = end, .name = name, .note = note, .fill = fill};
}

static int by_address(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Put what is empty between the parts. named_at: where a stretch begins that has a name of its own. */
static void fill_holes(struct column *c, uint64_t from, uint64_t named_at, const char *name,
		       const char *empty)
{
	size_t nr = c->nr, i;

	qsort(c->part, nr, sizeof(*c->part), by_address);
	for (i = 0; i < nr; i++) {
		const struct part *p = &c->part[i];

		if (p->start > from)
			add(c, from, p->start, NULL, from == named_at ? name : empty, "#fff");
		from = p->end;
	}
	qsort(c->part, c->nr, sizeof(*c->part), by_address);
}

static const char *const zone_fill[QUIRE_NR_ZONES] = {"#d98c7e", "#e3c08a", "#8fc09b", "#8fabd6"};
static const char *const zone_note[QUIRE_NR_ZONES] = {
	"for devices that reach 16 MiB",
	"for devices that reach 4 GiB",
	"all in the direct map",
	"no address of its own",
};

/* The usable stretches of each zone; what separates them by less than a MiB does not show. */
static void add_zones(struct column *c, const struct layout_machine *m)
{
	uint64_t gap = UINT64_C(1) << 20;
	unsigned z;
	size_t i;

	for (z = 0; z < QUIRE_NR_ZONES; z++) {
		const struct quire_zone *zone = quire_node_zone(m->q, 0, (enum quire_zone_id)z);
		const uint64_t start = zone->start_pfn << QUIRE_PAGE_SHIFT;
		const uint64_t end = start + (zone->spanned_pages << QUIRE_PAGE_SHIFT);
		struct part *last = NULL;

		for (i = 0; i < m->nr_ranges; i++) {
			const struct quire_range *r = &m->map[i];
			uint64_t from = r->start > start ? r->start : start,
				 to = r->end < end ? r->end : end;

			if (r->kind != QUIRE_RANGE_USABLE || from >= to)
				continue;
			if (last && from - last->end < gap) {
				last->end = to;
				continue;
			}
			add(c, from, to, zone->name, zone_note[z], zone_fill[z]);
			last = &c->part[c->nr - 1];
		}
	}
	fill_holes(c, 0, UINT64_MAX, NULL, "no RAM");
}

static void add_kernel(struct column *c, const struct layout_machine *m)
{
	const struct quire_kva_layout *l = &m->q->kva.layout;
	const uint64_t pkmap_end = l->pkmap_base + ((uint64_t)l->nr_pkmaps << QUIRE_PKMAP_SHIFT);
	uint64_t lowest = l->page_offset;

	add(c, l->page_offset, l->high_memory, m->fmt->va_bits == 32 ? "lowmem" : "direct map",
	    "physical memory, as it lies", "#8fc09b");
	add(c, l->vmalloc_start, l->vmalloc_end, "vmalloc", "vmalloc, vmap, ioremap: any page",
	    "#b9a0cf");
	if (l->nr_pkmaps)
		add(c, l->pkmap_base, pkmap_end, "pkmap", "kmap: pages of high memory, on demand",
		    "#8fabd6");
	add(c, l->fixaddr_start, l->fixaddr_top, "fixmap", "slots known at build time; kmap_local",
	    "#e3c08a");
	if (l->vmalloc_start < lowest)
		lowest = l->vmalloc_start;
	if (l->fixaddr_start < lowest)
		lowest = l->fixaddr_start;
	fill_holes(c, lowest, l->high_memory,
		   m->fmt->va_bits == 32 ? "guard: who runs over faults" : "room for more memory",
		   "nothing");
}

/* ---- Scale ------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	const struct part *const *x = a, *const *y = b;
	const uint64_t m = (*x)->end - (*x)->start, n = (*y)->end - (*y)->start;

	return m < n ? -1 : m > n;
}

static double size_of(const struct part *p)
{
	return (double)(p->end - p->start);
}

/* Heights in bytes that are drawn, then in pixels from the top. */
static void measure(struct column *c)
{
	struct part *sorted[2 * MOST_PARTS];
	double sum = 0, largest = 0, smallest = 0, folds = 0, scale, y = TOP;
	size_t nr = 0, i;

	for (i = 0; i < c->nr; i++) {
		if (c->part[i].name)
			sorted[nr++] = &c->part[i];
	}
	qsort(sorted, nr, sizeof(*sorted), by_size);
	smallest = size_of(sorted[0]);
	largest = size_of(sorted[nr - 1]);
	/* An empty stretch is to scale unless it is larger than everything. */
	for (i = 0; i < c->nr; i++)
		sum += !c->part[i].name && size_of(&c->part[i]) > largest ? 0
									  : size_of(&c->part[i]);
	c->to_scale = smallest * HEIGHT / sum >= SEEN;
	sum = 0;
	for (i = 0; i < nr; i++) {
		struct part *p = sorted[i];
		double most = i && !c->to_scale ? TIMES * sorted[i - 1]->height : size_of(p);

		p->folded = size_of(p) > most;
		p->height = p->folded ? most : size_of(p);
		sum += p->height;
	}
	for (i = 0; i < c->nr; i++) {
		struct part *p = &c->part[i];

		if (p->name)
			continue;
		p->folded = size_of(p) > (c->to_scale ? largest : sum * FOLD / HEIGHT);
		p->height = p->folded ? 0 : size_of(p);
		sum += p->height;
		folds += p->folded ? FOLD : 0;
	}
	scale = (HEIGHT - folds) / sum;
	for (i = c->nr; i-- > 0;) {
		struct part *p = &c->part[i];

		p->height = !p->name && p->folded ? FOLD : p->height * scale;
		p->y = y;
		y += p->height;
	}
}

/* Where an address of the column is. */
static double y_of(const struct column *c, uint64_t addr)
{
	size_t i;

	for (i = 0; i < c->nr; i++) {
		const struct part *p = &c->part[i];

		if (addr >= p->start && addr <= p->end)
			return p->y + p->height * (double)(p->end - addr) / size_of(p);
	}
	return TOP + HEIGHT;
}

static bool has_label(const struct part *p)
{
	return p->name || p->folded || p->height >= 5;
}

/* Beside their parts, and where these are too thin, pushed apart: down first, then up from the end of the column. */
static void place_labels(struct column *c)
{
	double at = TOP - LABEL;
	size_t i;

	for (i = c->nr; i-- > 0;) {
		struct part *p = &c->part[i];

		if (!has_label(p))
			continue;
		p->label = p->y + p->height / 2 - LABEL / 2;
		if (p->label < at + LABEL)
			p->label = at + LABEL;
		at = p->label;
	}
	at = TOP + HEIGHT + LABEL / 2;
	for (i = 0; i < c->nr; i++) {
		struct part *p = &c->part[i];

		if (!has_label(p))
			continue;
		if (p->label > at - LABEL)
			p->label = at - LABEL;
		at = p->label;
	}
}

/* ---- Drawing ----------------------------------------------------------------------------- */

static void put_zigzag(FILE *f, const char *class, double x, double y)
{
	int i;

	fprintf(f, "<path class=\"%s\" d=\"M%.1f %.2f", class, x - 4, y);
	for (i = 1; i <= 12; i++)
		fprintf(f, "L%.1f %.2f", x - 4 + i * (BAR + 8) / 12, y + (i % 2 ? -4 : 4));
	fprintf(f, "\"/>\n");
}

static void put_part(FILE *f, const struct column *c, const struct part *p, int digits)
{
	const double edge = c->labels_left ? c->x : c->x + BAR, out = c->labels_left ? -1 : 1;
	const char *anchor = c->labels_left ? "end" : "start";
	char size[24];

	layout_size(size, p->end - p->start);
	fprintf(f,
		"<rect class=\"%s\" x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" height=\"%.2f\" fill=\"%s\">",
		!p->name	? "hole"
		: p->height < 4 ? "thin"
				: "part",
		c->x, p->y, BAR, p->height, p->fill);
	fprintf(f, "<title>%0*" PRIx64 "-%0*" PRIx64 " %s, %s</title></rect>\n", digits, p->start,
		digits, p->end, p->name ? p->name : p->note, size);
	if (p->folded)
		put_zigzag(f, p->name ? "cut" : "fold", c->x, p->y + p->height / 2);
	if (!has_label(p))
		return;
	fprintf(f, "<path class=\"lead\" d=\"M%.1f %.2fL%.1f %.2fL%.1f %.2f\"/>\n", edge,
		p->y + p->height / 2, edge + out * 22, p->label + LABEL / 2, edge + out * 28,
		p->label + LABEL / 2);
	fprintf(f, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.2f\">",
		p->name ? "name" : "size", anchor, edge + out * 34, p->label + 12);
	fprintf(f, "%s, %s%s", p->name ? p->name : p->note, size,
		p->folded ? " (not to scale)" : "");
	if (p->name)
		fprintf(f, " <tspan class=\"size\">%s</tspan>", p->note);
	fputs("</text>\n", f);
	fprintf(f, "<text class=\"size\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.2f\">", anchor,
		edge + out * 34, p->label + 25);
	fprintf(f, "0x%0*" PRIx64 " - 0x%0*" PRIx64, digits, p->start, digits, p->end);
	fprintf(f, "</text>\n");
}

/* What is reserved within a part, where it can be seen. */
static void put_reserved(FILE *f, const struct column *c, const struct layout_machine *m)
{
	size_t i;

	for (i = 0; i < m->nr_ranges; i++) {
		const struct quire_range *r = &m->map[i];
		double top = y_of(c, r->end), height = y_of(c, r->start) - top;

		if (r->kind == QUIRE_RANGE_RESERVED && height >= 0.3 && r->end <= m->top)
			fprintf(f,
				"<rect class=\"reserved\" x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" height=\"%.2f\"><title>reserved</title></rect>\n",
				c->x, top, BAR, height);
	}
}

static void put_column(FILE *f, const struct column *c, int digits)
{
	size_t i;

	fprintf(f, "<text class=\"title\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
		c->x + BAR / 2, TOP - 26, c->title);
	fprintf(f, "<text class=\"size\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>\n",
		c->x + BAR / 2, TOP - 11, c->to_scale ? "to scale" : "axis broken where zigzag");
	for (i = 0; i < c->nr; i++)
		put_part(f, c, &c->part[i], digits);
}

/* The bytes that the direct map joins. */
static void put_band(FILE *f, const struct column *physical, const struct column *kernel,
		     const struct quire_kva_layout *l)
{
	const double x = LEFT_BAR + BAR, end = y_of(physical, l->high_memory - l->page_offset),
		     start = y_of(physical, 0);

	fprintf(f,
		"<path class=\"band\" d=\"M%.1f %.2fL%.1f %.2fL%.1f %.2fL%.1f %.2fZ\"><title>direct map</title></path>\n",
		x, end, RIGHT_BAR, y_of(kernel, l->high_memory), RIGHT_BAR,
		y_of(kernel, l->page_offset), x, start);
}

int layout_draw(const char *path, const struct layout_machine *m)
{
	const int wide = m->fmt->va_bits == 32 ? 8 : 16;
	struct column physical = {.title = "physical memory", .x = LEFT_BAR, .labels_left = true};
	struct column kernel = {.title = "kernel's addresses", .x = RIGHT_BAR};
	FILE *f = fopen(path, "we");
	char size[24];
	int err = 0, digits = 8;

	if (!f)
		return errno;
	setvbuf(f, NULL, _IOFBF, 1 << 16); /* written at once, so that an error has its number */
	while (digits < 16 && m->top >> (4 * digits))
		digits++;
	add_zones(&physical, m);
	add_kernel(&kernel, m);
	measure(&physical);
	measure(&kernel);
	place_labels(&physical);
	place_labels(&kernel);
	layout_size(size, m->ram);
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\">\n"
		"<style>text{font:12px sans-serif;fill:#222}.name{font-weight:bold}.size{fill:#666;font-size:11px;font-weight:normal}"
		".title{font-weight:bold;font-size:14px}.part,.hole{stroke:#555;stroke-width:.6}"
		".reserved{fill:#777}.band{fill:#8fc09b;fill-opacity:.25}.lead{fill:none;stroke:#999;stroke-width:.7}"
		".thin{stroke:none}.cut{fill:none;stroke:#fff;stroke-width:5}.fold{fill:none;stroke:#999}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		WIDTH, TOP + HEIGHT + FOOT, WIDTH, TOP + HEIGHT + FOOT);
	fprintf(f, "<text class=\"title\" x=\"20\" y=\"24\">%s, %s of RAM</text>\n", m->fmt->name,
		size);
	put_band(f, &physical, &kernel, &m->q->kva.layout);
	put_column(f, &physical, digits);
	put_reserved(f, &physical, m);
	put_column(f, &kernel, wide);
	fputs("</svg>\n", f);
	if (fflush(f))
		err = errno;
	else if (ferror(f))
		err = EIO;
	if (fclose(f) && !err)
		err = errno;
	return err;
}

/* SPDX-License-Identifier: MIT */
/* A machine as quire layout shows it: made by layout.c, drawn by layout_svg.c. */
#ifndef QUIRE_TOOL_LAYOUT_H
#define QUIRE_TOOL_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include <quire/quire.h>

#define LAYOUT_RANGES 8

struct layout_machine {
	const struct quire_pgfmt *fmt;
	const char *board;
	uint64_t ram;	 /* bytes, as asked for */
	uint64_t beyond; /* of them where no entry reaches */
	uint64_t top;	 /* behind the last usable byte that is reached */
	struct quire_range map[LAYOUT_RANGES];
	size_t nr_ranges;
	struct quire *q; /* surveyed: its zones and layout are good, nothing else */
};

/* Into an SVG file: physical memory beside the kernel's addresses. 0 or an errno. */
int layout_draw(const char *path, const struct layout_machine *machine);

/* "8.0 GiB" and the like into text. */
void layout_size(char text[24], uint64_t bytes);

#endif

/* SPDX-License-Identifier: MIT */
/* Drawing spaces into an SVG file; see svg.c. Called by spaces.c. */
#ifndef QUIRE_TOOL_SVG_H
#define QUIRE_TOOL_SVG_H

#include <stddef.h>

struct svg_space {
	int pid;
	const char *program;
	const char *maps; /* text of maps */
};

/* 0 or an errno. */
int svg_write(const char *path, const struct svg_space *spaces, size_t nr);

#endif

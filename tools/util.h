/* SPDX-License-Identifier: MIT */
/*
 * Memory that is there or ends the tool, text that grows, and the tool's exit statuses. Used by every
 * file of the tool; knows none of them.
 */
#ifndef QUIRE_TOOL_UTIL_H
#define QUIRE_TOOL_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum tool_exit {
	TOOL_SAME = 0,      /* ran, and nothing differed */
	TOOL_DIFFERENT = 1, /* ran, and something differed */
	TOOL_MISUSE = 2,    /* wrong arguments, a damaged recording */
	TOOL_NOT_RUN = 3,   /* the command could not be run or followed */
};

/* Never NULL: without memory the tool ends with TOOL_NOT_RUN. Zeroed. */
void *tool_alloc(size_t size);
void *tool_realloc(void *p, size_t size);
char *tool_strndup(const char *s, size_t len);
char *tool_strdup(const char *s);

/* Text that grows; always terminated once something was added. Zeroed is empty. */
struct text {
	char *p;
	size_t len, cap;
};
void text_add(struct text *t, const char *s, size_t len);
void text_printf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void text_clear(struct text *t);
void text_free(struct text *t);

/* FNV-1a, 64 bits: what recordings keep of a maps text. */
uint64_t tool_hash(const char *s, size_t len);
uint64_t tool_hash_more(uint64_t hash, const char *s, size_t len);

/* Seconds of a clock that never goes back. */
double tool_now(void);

/* "quire: ..." to stderr, with a newline. */
void tool_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A line on the terminal that overwrites itself: shown from two seconds after progress_start() on, a few times
 * a second, if stderr is a terminal. progress_due() is cheap.
 */
struct progress {
	bool on;       /* stderr is a terminal and nobody asked for quiet */
	bool shown;    /* a line stands there now */
	double start, next;
};
void progress_start(struct progress *p, bool quiet);
bool progress_due(struct progress *p);
void progress_show(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void progress_clear(struct progress *p);

#endif

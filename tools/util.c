/* SPDX-License-Identifier: MIT */
/* See util.h. */
#include "util.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void *tool_realloc(void *p, size_t size)
{
	p = realloc(p, size ? size : 1);
	if (!p) {
		fprintf(stderr, "quire: out of memory\n");
		exit(TOOL_NOT_RUN);
	}
	return p;
}

void *tool_alloc(size_t size)
{
	return memset(tool_realloc(NULL, size), 0, size);
}

char *tool_strndup(const char *s, size_t len)
{
	char *p = tool_realloc(NULL, len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *tool_strdup(const char *s)
{
	return tool_strndup(s, strlen(s));
}

static void text_room(struct text *t, size_t more)
{
	if (t->len + more + 1 <= t->cap)
		return;
	t->cap = (t->len + more + 1) * 2;
	t->p = tool_realloc(t->p, t->cap);
}

void text_add(struct text *t, const char *s, size_t len)
{
	text_room(t, len);
	memcpy(t->p + t->len, s, len);
	t->len += len;
	t->p[t->len] = '\0';
}

void text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	text_room(t, (size_t)n);
	va_start(ap, fmt);
	vsnprintf(t->p + t->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	t->len += (size_t)n;
}

void text_clear(struct text *t)
{
	t->len = 0;
	if (t->p)
		t->p[0] = '\0';
}

void text_free(struct text *t)
{
	free(t->p);
	*t = (struct text){ 0 };
}

uint64_t tool_hash_more(uint64_t h, const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001b3);
	return h;
}

uint64_t tool_hash(const char *s, size_t len)
{
	return tool_hash_more(UINT64_C(0xcbf29ce484222325), s, len);
}

double tool_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void tool_warn(const char *fmt, ...)
{
	va_list ap;

	fputs("quire: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

#define PROGRESS_AFTER 2.0
#define PROGRESS_EVERY 0.5

void progress_start(struct progress *p, bool quiet)
{
	p->on = !quiet && isatty(STDERR_FILENO);
	p->shown = false;
	p->start = tool_now();
	p->next = p->start + PROGRESS_AFTER;
}

bool progress_due(struct progress *p)
{
	double now;

	if (!p->on)
		return false;
	now = tool_now();
	if (now < p->next)
		return false;
	p->next = now + PROGRESS_EVERY;
	return true;
}

void progress_show(struct progress *p, const char *fmt, ...)
{
	va_list ap;

	fputs("\rquire: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\033[K", stderr);
	fflush(stderr);
	p->shown = true;
}

void progress_clear(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}

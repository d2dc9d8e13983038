/* SPDX-License-Identifier: MIT */
/*
 * Text written piece by piece into a small buffer and handed on in runs, for the rooms that write
 * what people and parsers read. Numbers come out as printf() would pad them, but there is no format
 * string. Any context in which the emit function may be called. Never allocates, never fails.
 */
#ifndef QUIRE_SRC_BASE_TEXT_H
#define QUIRE_SRC_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUIRE_TEXT_BUFFER 256

struct quire_text {
	/* Takes len bytes of text, no NUL at the end; called when the buffer is full and by quire_text_flush(). */
	void (*emit)(void *ctx, const char *text, size_t len);
	void *ctx;
	size_t column; /* characters since the last newline */
	size_t used;   /* bytes in buffer */
	char buffer[QUIRE_TEXT_BUFFER];
};

void quire_text_init(struct quire_text *t, void (*emit)(void *ctx, const char *text, size_t len),
		     void *ctx);

/* Hand on what is buffered. Once at the end; more often does no harm. */
void quire_text_flush(struct quire_text *t);

void quire_text_char(struct quire_text *t, char c);
void quire_text_put(struct quire_text *t, const char *string);             /* up to its NUL */
void quire_text_bytes(struct quire_text *t, const char *text, size_t len); /* NUL is a byte like others */

/* At least width characters: padded with blanks on the left ("%*llu", "%*lld"). */
void quire_text_u64(struct quire_text *t, uint64_t value, unsigned width);
void quire_text_i64(struct quire_text *t, int64_t value, unsigned width);

/* At least digits digits, lower case: padded with zeroes on the left ("%0*llx"). */
void quire_text_hex(struct quire_text *t, uint64_t value, unsigned digits);

/* The string in at least width columns, blanks before it ("%*s") or behind it ("%-*s"). */
void quire_text_right(struct quire_text *t, const char *string, unsigned width);
void quire_text_left(struct quire_text *t, const char *string, unsigned width);

/* Blanks up to the given column, counted from 0; none if the line is there already. */
void quire_text_pad_to(struct quire_text *t, size_t column);

#endif

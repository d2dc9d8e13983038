/* SPDX-License-Identifier: MIT */
/* Numbers and strings to text; see text.h. Called by the rooms that write /proc's texts. */
#include "base/text.h"

#define MAX_DIGITS 20u /* of 2^64 - 1, in tens */

void quire_text_init(struct quire_text *t, void (*emit)(void *ctx, const char *text, size_t len),
		     void *ctx)
{
	t->emit = emit;
	t->ctx = ctx;
	t->column = 0;
	t->used = 0;
}

void quire_text_flush(struct quire_text *t)
{
	if (t->used != 0)
		t->emit(t->ctx, t->buffer, t->used);
	t->used = 0;
}

void quire_text_char(struct quire_text *t, char c)
{
	if (t->used == QUIRE_TEXT_BUFFER)
		quire_text_flush(t);
	t->buffer[t->used++] = c;
	t->column = c == '\n' ? 0 : t->column + 1;
}

void quire_text_bytes(struct quire_text *t, const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		quire_text_char(t, text[i]);
}

static size_t length(const char *string)
{
	size_t n = 0;

	while (string[n])
		n++;
	return n;
}

void quire_text_put(struct quire_text *t, const char *string)
{
	quire_text_bytes(t, string, length(string));
}

static void repeat(struct quire_text *t, char c, size_t n)
{
	while (n-- > 0)
		quire_text_char(t, c);
}

/* Digits of value right to left into the end of digits; returns where they begin. */
static const char *convert(char digits[MAX_DIGITS], uint64_t value, unsigned base)
{
	char *at = digits + MAX_DIGITS;

	do {
		*--at = "0123456789abcdef"[value % base];
		value /= base;
	} while (value != 0);
	return at;
}

static void number(struct quire_text *t, uint64_t value, bool negative, unsigned width)
{
	char digits[MAX_DIGITS];
	const char *at = convert(digits, value, 10);
	size_t len = (size_t)(digits + MAX_DIGITS - at), total = len + (negative ? 1 : 0);

	if (width > total)
		repeat(t, ' ', width - total);
	if (negative)
		quire_text_char(t, '-');
	quire_text_bytes(t, at, len);
}

void quire_text_u64(struct quire_text *t, uint64_t value, unsigned width)
{
	number(t, value, false, width);
}

void quire_text_i64(struct quire_text *t, int64_t value, unsigned width)
{
	/* Negated as unsigned: the smallest number has no positive twin. */
	number(t, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0, width);
}

void quire_text_hex(struct quire_text *t, uint64_t value, unsigned min_digits)
{
	char digits[MAX_DIGITS];
	const char *at = convert(digits, value, 16);
	size_t len = (size_t)(digits + MAX_DIGITS - at);

	if (min_digits > len)
		repeat(t, '0', min_digits - len);
	quire_text_bytes(t, at, len);
}

void quire_text_right(struct quire_text *t, const char *string, unsigned width)
{
	size_t len = length(string);

	if (width > len)
		repeat(t, ' ', width - len);
	quire_text_bytes(t, string, len);
}

void quire_text_left(struct quire_text *t, const char *string, unsigned width)
{
	size_t len = length(string);

	quire_text_bytes(t, string, len);
	if (width > len)
		repeat(t, ' ', width - len);
}

void quire_text_pad_to(struct quire_text *t, size_t column)
{
	if (column > t->column)
		repeat(t, ' ', column - t->column);
}

/* SPDX-License-Identifier: MIT */
/* Formatting, and the kernel's own lines on the console. */
#include "core/console.h"
#include "core/kernel.h"

/* ---- Formatting: %c %s %d %i %u %x %p with -, 0, width, .precision and l, ll, z ------------- */

struct output {
	char *buf;
	size_t size, length; /* length may exceed size: what would have been */
};

static void put(struct output *out, char c)
{
	if (out->length + 1 < out->size)
		out->buf[out->length] = c;
	out->length++;
}

static void put_padded(struct output *out, const char *text, size_t n, int width, bool left,
		       char pad)
{
	int fill = width > (int)n ? width - (int)n : 0;

	for (; !left && fill; fill--)
		put(out, pad);
	while (n--)
		put(out, *text++);
	for (; left && fill; fill--)
		put(out, ' ');
}

static void put_number(struct output *out, uint64_t value, bool negative, unsigned base, int width,
		       bool left, char pad)
{
	char digits[24];
	size_t n = sizeof(digits);

	do
		digits[--n] = "0123456789abcdef"[value % base];
	while (value /= base);
	if (negative && pad == '0') {
		put(out, '-');
		width--;
	} else if (negative) {
		digits[--n] = '-';
	}
	put_padded(out, digits + n, sizeof(digits) - n, width, left, pad);
}

int kvsnprintf(char *buf, size_t size, const char *format, __builtin_va_list args)
{
	struct output out = {.buf = buf, .size = size};

	for (; *format; format++) {
		bool left = false;
		char pad = ' ';
		int width = 0, precision = -1, longs = 0;

		if (*format != '%') {
			put(&out, *format);
			continue;
		}
		for (format++; *format == '-' || *format == '0'; format++) {
			if (*format == '-')
				left = true;
			else
				pad = '0';
		}
		if (*format == '*') {
			width = __builtin_va_arg(args, int);
			format++;
		}
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + *format - '0';
		if (*format == '.') {
			precision = 0;
			if (*++format == '*') {
				precision = __builtin_va_arg(args, int);
				format++;
			}
			for (; *format >= '0' && *format <= '9'; format++)
				precision = precision * 10 + *format - '0';
		}
		for (; *format == 'l' || *format == 'z'; format++)
			longs += *format == 'z' ? sizeof(size_t) == 8 : 1;
		switch (*format) {
		case 'c':
			put(&out, (char)__builtin_va_arg(args, int));
			break;
		case 's': {
			const char *s = __builtin_va_arg(args, const char *);

			if (!s)
				s = "(null)";
			put_padded(&out, s,
				   precision < 0 ? strlen(s) : strnlen(s, (size_t)precision), width,
				   left, ' ');
			break;
		}
		case 'd':
		case 'i': {
			int64_t v = longs > 1	? __builtin_va_arg(args, long long)
				    : longs > 0 ? __builtin_va_arg(args, long)
						: __builtin_va_arg(args, int);

			put_number(&out, v < 0 ? -(uint64_t)v : (uint64_t)v, v < 0, 10, width, left,
				   pad);
			break;
		}
		case 'u':
		case 'x':
		case 'o': {
			uint64_t v = longs > 1	 ? __builtin_va_arg(args, unsigned long long)
				     : longs > 0 ? __builtin_va_arg(args, unsigned long)
						 : __builtin_va_arg(args, unsigned);

			put_number(&out, v, false,
				   *format == 'u'   ? 10
				   : *format == 'o' ? 8
						    : 16,
				   width, left, pad);
			break;
		}
		case 'p':
			put_number(&out, (uintptr_t) __builtin_va_arg(args, void *), false, 16,
				   2 * (int)sizeof(void *), false, '0');
			break;
		case '\0':
			format--;
			break;
		default:
			put(&out, *format);
		}
	}
	if (size)
		buf[out.length < size ? out.length : size - 1] = '\0';
	return (int)out.length;
}

int ksnprintf(char *buf, size_t size, const char *format, ...)
{
	__builtin_va_list args;
	int n;

	__builtin_va_start(args, format);
	n = kvsnprintf(buf, size, format, args);
	__builtin_va_end(args);
	return n;
}

void printk(const char *format, ...)
{
	char line[512];
	__builtin_va_list args;

	__builtin_va_start(args, format);
	kvsnprintf(line, sizeof(line), format, args);
	__builtin_va_end(args);
	console_write(line, strlen(line));
}

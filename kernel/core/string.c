/* SPDX-License-Identifier: MIT */
/* The four functions that compilers call, and the few of <string.h> that the kernel uses. */
#include "core/kernel.h"

#ifdef __x86_64__
#define MOVE_WORDS "rep movsq"
#define STORE_WORDS "rep stosq"
#else
#define MOVE_WORDS "rep movsl"
#define STORE_WORDS "rep stosl"
#endif

void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	if (n >= 64) {
		size_t words = n / sizeof(long);

		__asm__ volatile(MOVE_WORDS : "+D"(at), "+S"(from), "+c"(words) : : "memory");
		n %= sizeof(long);
	}
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	void *at = to;

	if (n >= 64) {
		size_t words = n / sizeof(long);
		unsigned long pattern = ~0ul / 255 * (unsigned char)byte;

		__asm__ volatile(STORE_WORDS : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
		n %= sizeof(long);
	}
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(byte) : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	char *t = (char *)to + n;
	const char *f = (const char *)from + n;

	if ((uintptr_t)to - (uintptr_t)from >= n)
		return memcpy(to, from, n);
	while (n--) {
		*--t = *--f;
		__asm__ volatile(""
				 :
				 :
				 : "memory"); /* or the compiler makes a call to memmove of it */
	}
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p)
		p++;
	return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (!*s)
			return NULL;
	}
}

char *kstrdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = quire_kmalloc(Q, n, QUIRE_GFP_KERNEL);

	return copy ? memcpy(copy, s, n) : NULL;
}

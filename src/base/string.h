/* SPDX-License-Identifier: MIT */
/*
 * The four functions that the library takes from its surroundings besides the port. The compiler
 * calls them of its own accord too, so every freestanding host has them.
 */
#ifndef QUIRE_SRC_BASE_STRING_H
#define QUIRE_SRC_BASE_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif

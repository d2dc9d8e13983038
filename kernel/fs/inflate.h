/* SPDX-License-Identifier: MIT */
/* Archives that are gzip'd (inflate.c): one member, the whole of it in memory. */
#ifndef KERNEL_INFLATE_H
#define KERNEL_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_CODE 15 /* bits of the longest */

/* What one call works with; too large for a stack. */
struct inflate {
	const uint8_t *in, *end;
	uint64_t hold; /* bits that have been read, the next one lowest */
	unsigned bits; /* so many */
	uint8_t *out;
	size_t used, room;
	const char *wrong; /* from then on nothing is done any more */
	uint8_t length[320];
	uint16_t literals[1 << MAX_CODE],
		distances[1 << MAX_CODE]; /* symbol << 4 | bits; 0: none */
};

/* NULL, or what is wrong with it; nothing is written beyond the room. gunzip: all of which must be used. */
const char *inflate(struct inflate *w, const uint8_t *in, size_t size, uint8_t *out, size_t room);
const char *gunzip(struct inflate *w, const uint8_t *in, size_t size, uint8_t *out, size_t room);
/* Does it begin like one? How large it says that it will be. */
bool gzip_room(const uint8_t *in, size_t size, size_t *room);

#endif

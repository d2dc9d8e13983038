/* SPDX-License-Identifier: MIT */
/*
 * Bytes as an archive that somebody made small, for the reference kernel's reader. By the first byte: with gzip's header
 * and checksums around, which few inputs get through, or the blocks alone. What is made must be the same each time, with
 * the room for it and nowhere else, and not fit into less.
 */
#include "fuzz.h"

#include <string.h>

#include "../../kernel/fs/inflate.c"

#define MOST (1u << 16)

static struct inflate work;

/* In memory of exactly that size, which AddressSanitizer watches. */
static const char *try_room(const uint8_t *in, size_t size, size_t room, bool whole, uint8_t **out)
{
	*out = malloc(room ? room : 1);
	if (!*out)
		abort();
	return whole ? gunzip(&work, in, size, *out, room) : inflate(&work, in, size, *out, room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool whole;
	size_t room = MOST, used;
	uint8_t *in, *out, *again;
	const char *wrong;

	if (!size)
		return 0;
	whole = data[0] & 1;
	size--;
	in = malloc(size ? size : 1);
	if (!in)
		abort();
	memcpy(in, data + 1, size);
	if (whole && gzip_room(in, size, &room) && room > MOST)
		room = MOST;
	wrong = try_room(in, size, room, whole, &out);
	if (wrong && !*wrong)
		fuzz_fail("an empty sentence");
	used = work.used;
	if (!wrong) {
		if (used > room || (whole && used != room))
			fuzz_fail("%zu bytes in a room of %zu", used, room);
		wrong = try_room(in, size, used, whole, &again);
		if (wrong || work.used != used || memcmp(out, again, used) != 0)
			fuzz_fail("the second time: %s", wrong ? wrong : "something else");
		free(again);
		if (used && !try_room(in, size, used - 1, whole, &again))
			fuzz_fail("it fits into less than it needs");
		if (used)
			free(again);
	}
	free(out);
	free(in);
	return 0;
}

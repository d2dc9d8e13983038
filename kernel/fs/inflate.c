/* SPDX-License-Identifier: MIT */
/*
 * What gzip(1) has made small: RFC 1952 around RFC 1951. Nothing in it is believed; what is wrong ends the call with a
 * sentence that says so. It knows nothing of the kernel.
 */
#include "fs/inflate.h"

/* The first thing that is wrong is what is told. */
static void fail(struct inflate *w, const char *what)
{
	if (!w->wrong)
		w->wrong = what;
}

/* ---- Bits, codes, bytes ------------------------------------------------------------------------------ */

static void fill(struct inflate *w)
{
	for (; w->bits <= 56 && w->in < w->end; w->bits += 8)
		w->hold |= (uint64_t)*w->in++ << w->bits;
}

/* The next n bits, at most 16. */
static unsigned take(struct inflate *w, unsigned n)
{
	unsigned value;

	fill(w);
	if (w->bits < n) {
		fail(w, "it ends too early");
		n = w->bits;
	}
	value = (unsigned)w->hold & ((1u << n) - 1);
	w->hold >>= n;
	w->bits -= n;
	return value;
}

static unsigned symbol(struct inflate *w, const uint16_t *table)
{
	unsigned entry;

	fill(w);
	entry = table[w->hold & ((1u << MAX_CODE) - 1)];
	if (!entry || (entry & 15) > w->bits)
		fail(w, "there is no such code");
	else
		(void)take(w, entry & 15);
	return entry >> 4;
}

static void put(struct inflate *w, unsigned byte)
{
	if (w->used == w->room)
		fail(w, "it is larger than it says");
	else
		w->out[w->used++] = (uint8_t)byte;
}

/* From the lengths of n codes to a table by the bits as they come. They are complete, or one at most. */
static void make_table(struct inflate *w, uint16_t *table, const uint8_t *length, unsigned n)
{
	unsigned count[MAX_CODE + 2] = {0}, next[MAX_CODE + 2] = {0}, total = 0, i, k;

	for (i = 0; i < n; i++) {
		count[length[i]]++;
		total += length[i] != 0;
	}
	count[0] = 0;
	for (i = 0; i <= MAX_CODE; i++) {
		if (next[i] + count[i] > 1u << i)
			fail(w, "there are more codes than bits for them");
		next[i + 1] = (next[i] + count[i]) << 1;
	}
	if (next[MAX_CODE + 1] != 2u << MAX_CODE && total > 1)
		fail(w, "there are bits without a code");
	for (i = 0; i < 1u << MAX_CODE; i++)
		table[i] = 0;
	for (i = 0; i < n && !w->wrong; i++) {
		unsigned code = length[i] ? next[length[i]]++ : 0, reversed = 0;

		for (k = 0; k < length[i]; k++)
			reversed |= (code >> k & 1) << (length[i] - 1 - k);
		for (k = reversed; length[i] && k < 1u << MAX_CODE; k += 1u << length[i])
			table[k] = (uint16_t)(i << 4 | length[i]);
	}
}

/* ---- Blocks ---------------------------------------------------------------------------------------------- */

static void stored(struct inflate *w)
{
	unsigned length;

	(void)take(w, w->bits % 8);
	length = take(w, 16);
	if (take(w, 16) != (length ^ 0xffff))
		fail(w, "a stored block's length is wrong");
	for (; length && !w->wrong; length--)
		put(w, take(w, 8));
}

static void compressed(struct inflate *w)
{
	unsigned s, length, distance, bits;

	while ((s = symbol(w, w->literals)) != 256 && !w->wrong) {
		if (s < 256) {
			put(w, s);
			continue;
		}
		/* From 265 on four symbols share a number of bits, from 261 + 4 n to the next; the last one is 258 itself. */
		bits = s < 265 || s >= 285 ? 0 : (s - 261) / 4;
		length = s < 265 ? s - 254 : s >= 285 ? 258 : ((4 + (s - 265) % 4) << bits) + 3;
		length += take(w, bits);
		distance = symbol(w, w->distances);
		if (s > 285 || distance > 29)
			fail(w, "there is no such length or distance");
		if (w->wrong)
			return;
		bits = distance < 4 ? 0 : distance / 2 - 1;
		distance = distance < 4 ? distance + 1 : ((2 + distance % 2) << bits) + 1;
		distance += take(w, bits);
		if (distance > w->used)
			fail(w, "a distance leads before the begin");
		for (; length && !w->wrong; length--)
			put(w, w->out[w->used - distance]);
	}
}

/* Codes whose lengths come with the block, as symbols of a third code. */
static void read_codes(struct inflate *w)
{
	static const uint8_t order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
					  11, 4,  12, 3, 13, 2, 14, 1, 15};
	const unsigned literals = take(w, 5) + 257, all = literals + take(w, 5) + 1,
		       nr = take(w, 4) + 4;
	unsigned i, s, repeat;
	uint8_t value;

	for (i = 0; i < 320; i++)
		w->length[i] = 0;
	for (i = 0; i < nr; i++)
		w->length[order[i]] = (uint8_t)take(w, 3);
	make_table(w, w->literals, w->length, 19);
	for (i = 0; i < all && !w->wrong;) {
		s = symbol(w, w->literals);
		value = s < 16 ? (uint8_t)s : s == 16 && i ? w->length[i - 1] : 0;
		repeat = s < 16	   ? 1
			 : s == 16 ? take(w, 2) + 3
			 : s == 17 ? take(w, 3) + 3
				   : take(w, 7) + 11;
		if ((s == 16 && !i) || repeat > all - i)
			fail(w, "a block's lengths are wrong");
		for (; repeat && !w->wrong; repeat--)
			w->length[i++] = value;
	}
	if (literals > 286 || all - literals > 30 || !w->length[256])
		fail(w, "a block has too many codes, or no end");
	if (w->wrong)
		return;
	make_table(w, w->literals, w->length, literals);
	make_table(w, w->distances, w->length + literals, all - literals);
}

static void fixed_codes(struct inflate *w)
{
	unsigned i;

	for (i = 0; i < 320; i++)
		w->length[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : i < 288 ? 8 : 5;
	make_table(w, w->literals, w->length, 288);
	make_table(w, w->distances, w->length + 288, 32);
}

const char *inflate(struct inflate *w, const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
	unsigned last, kind;

	w->in = in, w->end = in + size, w->out = out, w->room = room;
	w->hold = 0, w->bits = 0, w->used = 0, w->wrong = NULL;
	do {
		last = take(w, 1);
		kind = take(w, 2);
		if (kind == 3)
			fail(w, "there is no such kind of block");
		if (kind == 0)
			stored(w);
		else if (kind == 1)
			fixed_codes(w);
		else if (!w->wrong)
			read_codes(w);
		if (kind && !w->wrong)
			compressed(w);
	} while (!last && !w->wrong);
	return w->wrong;
}

/* ---- What gzip puts around it --------------------------------------------------------------------------------- */

static uint32_t crc32(const uint8_t *p, size_t n)
{
	uint32_t table[16], crc = UINT32_MAX; /* of four bits */
	unsigned i, k;

	for (i = 0; i < 16; i++) {
		for (table[i] = i, k = 0; k < 4; k++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
	}
	while (n--) {
		crc ^= *p++;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static uint32_t word(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

bool gzip_room(const uint8_t *in, size_t size, size_t *room)
{
	if (size < 18 || in[0] != 0x1f || in[1] != 0x8b)
		return false;
	*room = word(in + size - 4);
	return true;
}

/* Ten bytes; fields, a name, a comment, a checksum of these, each by its flag; the blocks; checksum and size of what they make. */
const char *gunzip(struct inflate *w, const uint8_t *in, size_t size, uint8_t *out, size_t room)
{
	const size_t end = size - 8;
	size_t at = 10;
	unsigned flag;

	if (size < 18 || in[0] != 0x1f || in[1] != 0x8b || in[2] != 8 || (in[3] & 0xe0))
		return "its header is wrong";
	if (in[3] & 4)
		at += 2 + (in[at] | (size_t)in[at + 1] << 8);
	for (flag = 8; flag <= 16; flag <<= 1) {
		while ((in[3] & flag) && at < end && in[at])
			at++;
		at += (in[3] & flag) != 0;
	}
	at += in[3] & 2;
	if (at > end || ((in[3] & 2) && (crc32(in, at - 2) & 0xffff) != word(in + at - 2) % 65536))
		return "its header ends too early, or is not what it was";
	if (inflate(w, in + at, end - at, out, room))
		return w->wrong;
	if (w->in != w->end || w->bits >= 8)
		return "more comes behind it";
	if (w->used != room || room != word(in + end + 4))
		return "it is smaller than it says";
	return crc32(out, room) == word(in + end) ? NULL : "its checksum is wrong";
}

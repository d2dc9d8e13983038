/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share: reading values from the bytes that libFuzzer hands over, and saying what is wrong. Bytes that are
 * used up read as zeroes, so that every input means something and a longer one begins as a shorter one does.
 */
#ifndef QUIRE_TESTS_FUZZ_H
#define QUIRE_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *at, *end;
};

static inline bool bytes_left(const struct bytes *b)
{
	return b->at < b->end;
}

static inline uint8_t take8(struct bytes *b)
{
	return b->at < b->end ? *b->at++ : 0;
}

static inline uint32_t take16(struct bytes *b)
{
	uint32_t low = take8(b);

	return low | (uint32_t)take8(b) << 8;
}

static inline uint64_t take64(struct bytes *b)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)take8(b) << 8 * i;
	return v;
}

/* libFuzzer keeps the input of a run that ends so. */
#define fuzz_fail(...)                                    \
	do {                                              \
		fprintf(stderr, __VA_ARGS__);             \
		fprintf(stderr, " (%s:%d)\n", __FILE__, __LINE__); \
		abort();                                  \
	} while (0)

#define fuzz_check(broken)                             \
	do {                                           \
		const char *sentence_ = (broken);      \
		if (sentence_)                         \
			fuzz_fail("%s", sentence_);    \
	} while (0)

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The page tables that a test runs on: QUIRE_TEST_FORMAT in the environment names them as the format does
 * ("pae"), with a "+" behind for a processor that leaves it to fault handlers to mark entries ("sv39+").
 * Without it, x86-64's; in a build with other pages, AArch64's of that size.
 */
#ifndef QUIRE_TESTS_FORMAT_H
#define QUIRE_TESTS_FORMAT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <machine.h>

/* The format that there is without the environment, for initializers. */
#if QUIRE_PAGE_SHIFT == 16
#define TEST_FORMAT quire_pgfmt_aarch64_64k
#elif QUIRE_PAGE_SHIFT == 14
#define TEST_FORMAT quire_pgfmt_aarch64_16k
#else
#define TEST_FORMAT quire_pgfmt_x86_64
#endif

/* Of four KiB pages alone: i386, PAE and Sv32, and so high memory. */
#define TEST_HAS_32_BITS (QUIRE_PAGE_SHIFT == 12)

static inline bool test_marks_fault(void)
{
	const char *name = getenv("QUIRE_TEST_FORMAT");

	return name && strchr(name, '+');
}

static inline const struct quire_pgfmt *test_format(void)
{
	static const struct quire_pgfmt *const formats[] = {
		&quire_pgfmt_x86_64, &quire_pgfmt_x86_64_5level, &quire_pgfmt_i386,	   &quire_pgfmt_pae,
		&quire_pgfmt_sv32,   &quire_pgfmt_sv39,		 &quire_pgfmt_sv48,	   &quire_pgfmt_sv57,
		&quire_pgfmt_aarch64, &quire_pgfmt_aarch64_16k,	 &quire_pgfmt_aarch64_64k,
	};
	const char *name = getenv("QUIRE_TEST_FORMAT");
	size_t len = name ? strcspn(name, "+") : 0;

	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(formats); i++) {
		if (formats[i]->shift[0] != QUIRE_PAGE_SHIFT)
			continue;
		if (!name || (strlen(formats[i]->name) == len && !strncmp(formats[i]->name, name, len)))
			return formats[i];
	}
	fprintf(stderr, "no format %s with pages of %u bytes\n", name ? name : "", (unsigned)QUIRE_PAGE_SIZE);
	exit(2);
}

/* i386 has no right to execute: what can be read can be. */
static inline bool test_refuses_exec(const struct quire_pgfmt *fmt)
{
	return quire_pte_has(fmt, quire_pte_make(fmt, 1, QUIRE_PTE_READ | QUIRE_PTE_EXEC), QUIRE_PTE_EXEC);
}

/* Bytes that one entry of the root stands for: so far apart nothing but the root is shared. */
static inline uint64_t test_root_reach(const struct quire_pgfmt *fmt)
{
	return UINT64_C(1) << fmt->shift[fmt->levels - 1];
}

/* Into a machine's configuration. */
static inline void test_choose_format(struct machine_config *config)
{
	config->fmt = test_format();
	config->marks_fault = test_marks_fault();
}

#endif

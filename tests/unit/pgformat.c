/* SPDX-License-Identifier: MIT */
/*
 * Entries of every page-table format, bit for bit against the manuals (manuals.c), and what they
 * must keep whatever becomes of them. No table is made, so that the formats of other page sizes are
 * among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "manuals.h"

#define RWU (QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_USER)
#define RU (QUIRE_PTE_READ | QUIRE_PTE_USER)
#define AD (QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY)
#define SOFT (QUIRE_PTE_SPECIAL | QUIRE_PTE_LOCKED)
#define RIGHTS (QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_EXEC | QUIRE_PTE_USER | QUIRE_PTE_GLOBAL)

/* The hardware sees what the manual has for these rights and marks; software's bits are ours. */
static void assert_hardware_sees(const struct manual *man, quire_pte_t pte, uint64_t pfn,
				 quire_ptebits_t bits)
{
	assert_int_equal(pte & ~man->software, manual_entry(man, pfn, bits & ~SOFT));
}

/* Whoever walks takes the entry for absent. */
static void assert_absent(quire_pte_t pte)
{
	assert_int_equal(pte & 1, 0);
}

static void test_geometry(void **state)
{
	const struct manual *man = *state;
	const struct quire_pgfmt *fmt = man->fmt;
	unsigned level, bits = man->shift[0];

	assert_string_equal(fmt->name, man->name);
	assert_int_equal(fmt->levels, man->levels);
	assert_int_equal(fmt->entry_bytes, man->entry_bytes);
	assert_int_equal(fmt->va_bits, man->va_bits);
	assert_int_equal(fmt->va_signed, man->va_signed);
	assert_int_equal(fmt->large_levels, man->large_levels);
	assert_int_equal(fmt->root_fixed, man->root_fixed);
	assert_int_equal(fmt->user_end, man->user_end);
	assert_int_equal(fmt->kernel_apart, man->kernel_apart);
	assert_int_equal(fmt->address, man->address);
	for (level = 0; level < QUIRE_MAX_LEVELS; level++) {
		assert_int_equal(fmt->shift[level], man->shift[level]);
		assert_int_equal(fmt->bits[level], man->bits[level]);
		if (level >= man->levels)
			continue;
		/* each level begins where the one below ends, and a table fits into a page */
		assert_int_equal(fmt->shift[level], bits);
		bits += man->bits[level];
		assert_true((uint64_t)man->entry_bytes << man->bits[level] <= 1ull << man->shift[0]);
	}
	assert_int_equal(bits, man->va_bits);
}

static void test_examples(void **state)
{
	const struct manual *man = *state;
	unsigned i;

	for (i = 0; i < MANUAL_EXAMPLES && man->example[i].bits; i++) {
		quire_ptebits_t bits = man->example[i].bits;
		quire_pte_t pte = quire_pte_make(man->fmt, 0x12345, bits);

		assert_int_equal(manual_entry(man, 0x12345, bits), man->example[i].entry);
		assert_int_equal(pte & ~man->software, man->example[i].entry);
	}
	assert_true(i >= 2);
}

/* All that can be said, in all combinations. */
static void test_make_sets_the_bits_of_the_manual(void **state)
{
	const struct manual *man = *state;
	quire_ptebits_t bits;

	for (bits = 0; bits < 1u << QUIRE_PTE_NR_BITS; bits++) {
		quire_pte_t pte = quire_pte_make(man->fmt, 0x12345, bits);
		quire_ptebits_t said = bits & (man->says | SOFT);

		assert_int_equal(quire_pte_kind(man->fmt, pte), QUIRE_PTE_PAGE);
		assert_int_equal(quire_pte_pfn(man->fmt, pte), 0x12345);
		if (bits & QUIRE_PTE_READ) {
			assert_hardware_sees(man, pte, 0x12345, said);
		} else {
			assert_absent(pte);
			said &= ~RIGHTS;
		}
		assert_int_equal(quire_pte_bits(man->fmt, pte), said);
	}
}

static void test_address_field(void **state)
{
	const struct manual *man = *state;
	const uint64_t highest = man->address >> quire_ffs64(man->address);

	assert_hardware_sees(man, quire_pte_make(man->fmt, highest, RWU), highest, RWU);
	assert_hardware_sees(man, quire_pte_make(man->fmt, 0, RWU), 0, RWU);
	assert_int_equal(quire_pte_pfn(man->fmt, ~man->address), 0);
	assert_int_equal(quire_pte_pfn(man->fmt, UINT64_MAX), highest);
	/* a frame number that is too large changes no other bit */
	assert_hardware_sees(man, quire_pte_make(man->fmt, UINT64_MAX, RWU), highest, RWU);
}

static void test_no_bit_belongs_to_two(void **state)
{
	const struct quire_pgfmt *fmt = ((const struct manual *)*state)->fmt;
	quire_pte_t seen = fmt->address;
	unsigned i;

	assert_int_equal(fmt->leaf & seen, 0);
	seen |= fmt->leaf;
	for (i = 0; i < QUIRE_PTE_NR_BITS; i++) {
		assert_int_equal(fmt->bit[i].grant & fmt->bit[i].deny, 0);
		assert_int_equal((fmt->bit[i].grant | fmt->bit[i].deny) & seen, 0);
		seen |= fmt->bit[i].grant | fmt->bit[i].deny;
	}
	for (i = 0; i < QUIRE_NR_VETOES; i++) {
		assert_int_equal(fmt->veto[i].set & seen, 0);
		seen |= fmt->veto[i].set;
	}
	assert_int_equal(fmt->soft_kind & fmt->soft_payload, 0);
	assert_int_equal((fmt->soft_kind | fmt->soft_payload) & (fmt->protnone | 1), 0);
	if (fmt->entry_bytes == 4)
		assert_int_equal((seen | fmt->protnone | fmt->soft_payload) >> 32, 0);
}

static void test_special_and_locked_are_bits_that_the_hardware_ignores(void **state)
{
	const struct manual *man = *state;
	quire_pte_t plain = quire_pte_make(man->fmt, 1, RU);
	quire_pte_t special = quire_pte_make(man->fmt, 1, RU | QUIRE_PTE_SPECIAL);
	quire_pte_t locked = quire_pte_make(man->fmt, 1, RU | QUIRE_PTE_LOCKED);

	assert_int_not_equal(plain, special);
	assert_int_not_equal(plain, locked);
	assert_int_not_equal(special, locked);
	assert_int_equal(((plain ^ special) | (plain ^ locked)) & ~man->software, 0);
	assert_true(quire_pte_has(man->fmt, special, QUIRE_PTE_SPECIAL | QUIRE_PTE_READ));
	assert_false(quire_pte_has(man->fmt, plain, QUIRE_PTE_SPECIAL));
	assert_int_equal(quire_pte_bits(man->fmt, quire_pte_make(man->fmt, 1, RU | SOFT)), RU | SOFT);
	assert_int_equal(quire_pte_bits(man->fmt, quire_pte_make(man->fmt, 1, SOFT)), SOFT);
	assert_int_equal(quire_pte_remove(man->fmt, locked, QUIRE_PTE_LOCKED), plain);
}

static void test_what_the_hardware_marked_is_read_right(void **state)
{
	const struct manual *man = *state;
	quire_pte_t pte = quire_pte_make(man->fmt, 0x42, RWU);

	assert_int_equal(quire_pte_bits(man->fmt, pte), RWU);
	assert_int_equal(quire_pte_bits(man->fmt, man->used(pte, false)),
			 RWU | QUIRE_PTE_ACCESSED);
	assert_int_equal(quire_pte_bits(man->fmt, man->used(pte, true)), RWU | AD);
	/* the software's way comes to the same for the hardware */
	assert_hardware_sees(man, quire_pte_add(man->fmt, pte, AD), 0x42, RWU | AD);
	assert_int_equal(man->used(pte, true) & ~man->software, manual_entry(man, 0x42, RWU | AD));
	/* an entry from the manual's bits alone */
	assert_int_equal(quire_pte_pfn(man->fmt, manual_entry(man, 0x42, RWU)), 0x42);
	assert_int_equal(quire_pte_kind(man->fmt, 0), QUIRE_PTE_EMPTY);
	assert_int_equal(quire_pte_bits(man->fmt, 0), 0);
}

/*
 *	written by the hardware   RW- A D
 *	write-protected           R-- A D       what it marked is not forgotten
 *	written back              R-- A -
 *	writable again            RW- A -       and the next store marks it again
 */
static void test_the_dirty_mark_outlives_the_right_to_write(void **state)
{
	const struct manual *man = *state;
	quire_pte_t pte = man->used(quire_pte_make(man->fmt, 0x42, RWU), true);

	pte = quire_pte_modify(man->fmt, pte, RU);
	assert_int_equal(quire_pte_bits(man->fmt, pte), RU | AD);
	assert_hardware_sees(man, pte, 0x42, RU | AD);
	pte = quire_pte_remove(man->fmt, pte, QUIRE_PTE_DIRTY);
	assert_hardware_sees(man, pte, 0x42, RU | QUIRE_PTE_ACCESSED);
	pte = quire_pte_add(man->fmt, pte, QUIRE_PTE_WRITE);
	assert_hardware_sees(man, pte, 0x42, RWU | QUIRE_PTE_ACCESSED);
	assert_int_equal(quire_pte_bits(man->fmt, pte), RWU | QUIRE_PTE_ACCESSED);
	assert_int_equal(quire_pte_bits(man->fmt, man->used(pte, true)), RWU | AD);

	/* cleaned while it may be written */
	pte = man->used(pte, true);
	pte = quire_pte_remove(man->fmt, pte, QUIRE_PTE_DIRTY);
	assert_hardware_sees(man, pte, 0x42, RWU | QUIRE_PTE_ACCESSED);
	assert_int_equal(quire_pte_bits(man->fmt, pte), RWU | QUIRE_PTE_ACCESSED);
}

static void test_a_page_without_read_is_not_present(void **state)
{
	const struct manual *man = *state;
	quire_pte_t pte = quire_pte_make(man->fmt, 0x777, QUIRE_PTE_DIRTY | QUIRE_PTE_SPECIAL);

	assert_absent(pte);
	assert_int_equal(quire_pte_kind(man->fmt, pte), QUIRE_PTE_PAGE);
	assert_int_equal(quire_pte_pfn(man->fmt, pte), 0x777);
	assert_int_equal(quire_pte_bits(man->fmt, pte), QUIRE_PTE_DIRTY | QUIRE_PTE_SPECIAL);
	/* frame 0 without any mark is a page too, not an empty entry */
	assert_int_equal(quire_pte_kind(man->fmt, quire_pte_make(man->fmt, 0, 0)), QUIRE_PTE_PAGE);
}

static void test_modify_changes_rights_and_keeps_marks(void **state)
{
	const struct manual *man = *state;
	const quire_ptebits_t marks = AD | QUIRE_PTE_SPECIAL;
	quire_ptebits_t from, to;

	for (from = 0; from <= RIGHTS; from++) {
		quire_pte_t pte = quire_pte_make(man->fmt, 0x99, (from & RIGHTS) | marks);

		for (to = 0; to <= RIGHTS; to++) {
			quire_pte_t changed = quire_pte_modify(man->fmt, pte, to & RIGHTS);

			assert_int_equal(changed,
					 quire_pte_make(man->fmt, 0x99, (to & RIGHTS) | marks));
		}
	}
	/* marks are not rights: asking for them gives nothing */
	assert_int_equal(quire_pte_modify(man->fmt, quire_pte_make(man->fmt, 0x99, RU),
					  RU | QUIRE_PTE_DIRTY),
			 quire_pte_make(man->fmt, 0x99, RU));
}

static void test_add_and_remove_undo_each_other(void **state)
{
	const struct manual *man = *state;
	quire_pte_t pte = quire_pte_make(man->fmt, 0x99, RWU | QUIRE_PTE_ACCESSED), other;
	quire_ptebits_t bit;

	for (bit = 1; bit < 1u << QUIRE_PTE_NR_BITS; bit <<= 1) {
		bool had = quire_pte_has(man->fmt, pte, bit);

		other = had ? quire_pte_remove(man->fmt, pte, bit)
			    : quire_pte_add(man->fmt, pte, bit);
		if (!(bit & (man->says | SOFT))) {
			assert_int_equal(other, pte);
			continue;
		}
		assert_int_not_equal(other, pte);
		assert_int_equal(quire_pte_has(man->fmt, other, bit), !had);
		assert_int_equal(quire_pte_pfn(man->fmt, other), 0x99);
		other = had ? quire_pte_add(man->fmt, other, bit)
			    : quire_pte_remove(man->fmt, other, bit);
		assert_int_equal(other, pte);
	}
	other = quire_pte_remove(man->fmt, pte, QUIRE_PTE_READ);
	assert_absent(other);
	assert_int_equal(quire_pte_bits(man->fmt, other),
			 QUIRE_PTE_WRITE | QUIRE_PTE_USER | QUIRE_PTE_ACCESSED);
}

static void test_software_entries_are_not_present_and_hold_their_payload(void **state)
{
	const struct manual *man = *state;
	const enum quire_pte_kind kinds[] = { QUIRE_PTE_GUARD, QUIRE_PTE_SWAP };
	const uint64_t payloads[] = { 0, 1, 0x12345, 0x123456789a, UINT64_MAX };
	size_t k, i;

	for (k = 0; k < QUIRE_ARRAY_SIZE(kinds); k++) {
		for (i = 0; i < QUIRE_ARRAY_SIZE(payloads); i++) {
			uint64_t payload = payloads[i] & ((1ull << man->payload_bits) - 1);
			quire_pte_t pte = quire_pte_soft(man->fmt, kinds[k], payload);

			assert_int_not_equal(pte, 0);
			assert_absent(pte);
			assert_int_equal(pte >> 8 * man->entry_bytes / 2 >> 8 * man->entry_bytes / 2, 0);
			assert_int_equal(quire_pte_kind(man->fmt, pte), kinds[k]);
			assert_int_equal(quire_pte_payload(man->fmt, pte), payload);
			assert_int_equal(quire_pte_bits(man->fmt, pte), 0);
		}
	}
}

/* Modes take each other's place, change nothing else, and are read back; in large leaves too. */
static void test_cache_modes_are_the_bits_of_the_manual(void **state)
{
	const struct manual *man = *state;
	const bool can = man->cache[QUIRE_CACHE_UC] != 0;
	const quire_ptebits_t leaves[] = { RWU | AD, QUIRE_PTE_READ | QUIRE_PTE_GLOBAL, (RWU | QUIRE_PTE_LARGE) };
	unsigned i, from, to;

	for (i = 0; i < QUIRE_ARRAY_SIZE(leaves); i++) {
		quire_pte_t plain = quire_pte_make(man->fmt, 0x12345, leaves[i]);

		assert_int_equal(quire_pte_cache(man->fmt, plain), QUIRE_CACHE_WB);
		for (from = 0; from < QUIRE_NR_CACHE_MODES; from++) {
			for (to = 0; to < QUIRE_NR_CACHE_MODES; to++) {
				quire_pte_t pte = quire_pte_set_cache(man->fmt, plain, (enum quire_cache_mode)from);

				pte = quire_pte_set_cache(man->fmt, pte, (enum quire_cache_mode)to);
				assert_int_equal(pte, plain | man->cache[to]);
				assert_int_equal(quire_pte_cache(man->fmt, pte), can ? to : QUIRE_CACHE_WB);
				assert_int_equal(quire_pte_bits(man->fmt, pte), quire_pte_bits(man->fmt, plain));
				assert_int_equal(quire_pte_pfn(man->fmt, pte), 0x12345);
			}
		}
	}
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction fn;
	} tests[] = {
#define TEST(fn) { #fn, fn }
		TEST(test_geometry),
		TEST(test_examples),
		TEST(test_make_sets_the_bits_of_the_manual),
		TEST(test_address_field),
		TEST(test_no_bit_belongs_to_two),
		TEST(test_special_and_locked_are_bits_that_the_hardware_ignores),
		TEST(test_what_the_hardware_marked_is_read_right),
		TEST(test_the_dirty_mark_outlives_the_right_to_write),
		TEST(test_a_page_without_read_is_not_present),
		TEST(test_modify_changes_rights_and_keeps_marks),
		TEST(test_add_and_remove_undo_each_other),
		TEST(test_software_entries_are_not_present_and_hold_their_payload),
		TEST(test_cache_modes_are_the_bits_of_the_manual),
	};
	static struct CMUnitTest all[QUIRE_ARRAY_SIZE(tests) * 16];
	static char names[QUIRE_ARRAY_SIZE(all)][120];
	unsigned n = 0, i, m;

	for (m = 0; m < nr_manuals; m++) {
		for (i = 0; i < QUIRE_ARRAY_SIZE(tests); i++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s (%s)", tests[i].name, manuals[m].name);
			all[n] = (struct CMUnitTest){ names[n], tests[i].fn, NULL, NULL,
						      (void *)(uintptr_t)&manuals[m] };
		}
	}
	return _cmocka_run_group_tests("pgformat", all, n, NULL, NULL);
}

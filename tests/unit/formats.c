/* SPDX-License-Identifier: MIT */
/*
 * Spaces on every machine that has this build's pages: what programs do, with each format's own MMU
 * reading the tables (machine/mmu.c), once with a processor that marks entries and once with one that
 * faults instead. The other tests of spaces run on some of these formats too; here are also those
 * whose addresses are too short for them.
 */
#include <stdio.h>

#include "space.h"

struct variant {
	const struct quire_pgfmt *fmt;
	bool marks_fault;
	bool no_exec; /* can refuse to execute what can be read */
};

static const struct variant variants[] = {
	{ &quire_pgfmt_x86_64, false, true }, { &quire_pgfmt_x86_64_5level, false, true },
	{ &quire_pgfmt_i386, false, false },  { &quire_pgfmt_pae, false, true },
	{ &quire_pgfmt_sv32, false, true },   { &quire_pgfmt_sv32, true, true },
	{ &quire_pgfmt_sv39, false, true },   { &quire_pgfmt_sv39, true, true },
	{ &quire_pgfmt_sv48, false, true },   { &quire_pgfmt_sv48, true, true },
	{ &quire_pgfmt_sv57, false, true },   { &quire_pgfmt_sv57, true, true },
	{ &quire_pgfmt_aarch64, false, true }, { &quire_pgfmt_aarch64, true, true },
	{ &quire_pgfmt_aarch64_16k, false, true }, { &quire_pgfmt_aarch64_16k, true, true },
	{ &quire_pgfmt_aarch64_64k, false, true }, { &quire_pgfmt_aarch64_64k, true, true },
};

#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

static const struct variant *variant;

static int setup(void **state)
{
	struct machine_config config = { .ram_bytes = 16384 * PAGE };

	variant = *state;
	config.fmt = variant->fmt;
	config.marks_fault = variant->marks_fault;
	memset(&space, 0, sizeof(space));
	if (machine_create(&config, &space.m))
		return -1;
	space.q = machine_quire(space.m);
	if (quire_mm_create(space.q, NULL, &space.mm))
		return -1;
	machine_switch(space.m, &space.mm->pt);
	*state = &space;
	return 0;
}

static uint64_t map(uint64_t addr, uint64_t pages, uint32_t prot)
{
	int64_t r = quire_mmap(space.mm, addr, pages * PAGE, prot, addr ? ANON | QUIRE_MAP_FIXED : ANON,
			       NULL, 0);

	assert_true(r > 0);
	return (uint64_t)r;
}

/* At the lowest address, where tables meet, where the kernel picks, and at the very end. */
static void memory_is_where_it_was_mapped(void **state)
{
	const uint64_t end = space.mm->layout.task_size, leaf = 1ull << variant->fmt->shift[1];
	const uint64_t at[] = { 0x10000, 5 * leaf - PAGE, 7 * leaf, map(0, 4, RW), quire_page_down(end / 2), end - 2 * PAGE };
	size_t i;

	(void)state;
	for (i = 0; i < QUIRE_ARRAY_SIZE(at); i++) {
		if (!area(space.mm, at[i]))
			map(at[i], 2, RW);
		assert_int_equal(get(at[i]), 0);
		set(at[i], (unsigned char)(10 + i));
		set(at[i] + 2 * PAGE - 1, (unsigned char)(20 + i));
	}
	for (i = 0; i < QUIRE_ARRAY_SIZE(at); i++) {
		assert_int_equal(get(at[i]), 10 + i);
		assert_int_equal(get(at[i] + 2 * PAGE - 1), 20 + i);
		assert_true(entry_has(space.mm, at[i],
				      QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_USER |
					      QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY));
	}
	check_space(space.mm);
	assert_int_equal(quire_munmap(space.mm, 0, end), 0);
	assert_maperr(QUIRE_ACCESS_READ, 0x10000);
	assert_maperr(QUIRE_ACCESS_WRITE, end - PAGE);
}

static void rights_are_kept_and_come_back(void **state)
{
	(void)state;
	map(BASE, 2, RW);
	set(BASE, 1);
	assert_int_equal(quire_mprotect(space.mm, BASE, PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(get(BASE), 1);
	assert_accerr(QUIRE_ACCESS_WRITE, BASE);
	assert_true(entry_has(space.mm, BASE, QUIRE_PTE_DIRTY));
	assert_int_equal(quire_mprotect(space.mm, BASE, PAGE, QUIRE_PROT_NONE), 0);
	assert_accerr(QUIRE_ACCESS_READ, BASE);
	assert_int_equal(quire_mprotect(space.mm, BASE, PAGE, RW), 0);
	assert_int_equal(get(BASE), 1);
	set(BASE, 2);
	if (variant->no_exec)
		assert_accerr(QUIRE_ACCESS_EXEC, BASE);
	else
		fetch(BASE);
	assert_int_equal(quire_mprotect(space.mm, BASE, PAGE, QUIRE_PROT_READ | QUIRE_PROT_EXEC), 0);
	fetch(BASE);
}

static void a_child_has_its_own_copy(void **state)
{
	struct quire_mm *child;

	(void)state;
	map(BASE, 3, RW);
	set(BASE, 1);
	assert_int_equal(get(BASE + PAGE), 0);
	child = fork_space(space.mm);
	set(BASE, 2);
	set(BASE + PAGE, 3);
	run_in(child);
	assert_int_equal(get(BASE), 1);
	assert_int_equal(get(BASE + PAGE), 0);
	set(BASE, 4);
	run_in(space.mm);
	assert_int_equal(get(BASE), 2);
	assert_int_equal(get(BASE + PAGE), 3);
	check_space(child);
	quire_mmput(child);
}

/* mremap over a border between tables; a guard; what DONTNEED takes away. */
static void memory_moves_and_goes(void **state)
{
	const uint64_t leaf = 1ull << variant->fmt->shift[1], from = 9 * leaf - 3 * PAGE, to = 20 * leaf - 5 * PAGE;
	unsigned i;

	(void)state;
	map(from, 8, RW);
	for (i = 0; i < 8; i++)
		set(from + i * PAGE, (unsigned char)(i + 1));
	assert_int_equal(quire_mremap(space.mm, from, 8 * PAGE, 8 * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, to), to);
	for (i = 0; i < 8; i++)
		assert_int_equal(get(to + i * PAGE), i + 1);
	assert_maperr(QUIRE_ACCESS_READ, from);
	assert_int_equal(quire_madvise(space.mm, to, PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	assert_maperr(QUIRE_ACCESS_READ, to);
	assert_int_equal(quire_madvise(space.mm, to, PAGE, QUIRE_MADV_GUARD_REMOVE), 0);
	assert_int_equal(get(to), 0);
	assert_int_equal(quire_madvise(space.mm, to + PAGE, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(get(to + PAGE), 0);
	assert_int_equal(get(to + 2 * PAGE), 3);
}

/* Tables come and go while the processor has the root loaded. */
static void a_loaded_root_sees_new_tables(void **state)
{
	const uint64_t end = space.mm->layout.task_size;
	unsigned round, i;

	(void)state;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 6; i++) {
			uint64_t addr = quire_page_down(end / 6 * i + 0x100000);

			map(addr, 1, RW);
			set(addr, (unsigned char)(i + 1));
			assert_int_equal(get(addr), i + 1);
		}
		assert_int_equal(quire_munmap(space.mm, 0, end), 0);
		check_space(space.mm);
	}
}

int main(void)
{
	static const struct {
		const char *name;
		CMUnitTestFunction fn;
	} tests[] = {
#define TEST(fn) { #fn, fn }
		TEST(memory_is_where_it_was_mapped),
		TEST(rights_are_kept_and_come_back),
		TEST(a_child_has_its_own_copy),
		TEST(memory_moves_and_goes),
		TEST(a_loaded_root_sees_new_tables),
	};
	static struct CMUnitTest all[QUIRE_ARRAY_SIZE(tests) * QUIRE_ARRAY_SIZE(variants)];
	static char names[QUIRE_ARRAY_SIZE(all)][120];
	unsigned n = 0, i, v;

	for (v = 0; v < QUIRE_ARRAY_SIZE(variants); v++) {
		if (variants[v].fmt->shift[0] != QUIRE_PAGE_SHIFT)
			continue;
		for (i = 0; i < QUIRE_ARRAY_SIZE(tests); i++, n++) {
			snprintf(names[n], sizeof(names[n]), "%s (%s%s)", tests[i].name,
				 variants[v].fmt->name, variants[v].marks_fault ? ", marks fault" : "");
			all[n] = (struct CMUnitTest){ names[n], tests[i].fn, setup, space_teardown,
						      (void *)(uintptr_t)&variants[v] };
		}
	}
	return _cmocka_run_group_tests("formats", all, n, NULL, NULL);
}

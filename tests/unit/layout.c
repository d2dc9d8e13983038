/* SPDX-License-Identifier: MIT */
/*
 * Where a program's maps begin, and where a new one is put: quire_layout_init() against what Linux
 * 6.18 does with randomisation off (setarch -R, by stack limit), and the choice of addresses as
 * mmap(2) and the kernel's documentation have it.
 */
#include "picture.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define TOP (space.mm->layout.mmap_base)
#define END (space.mm->layout.task_size)

/* Some rules are for programs of 64 bits, some for tables that end where user space does. */
static bool is_narrow(void)
{
	return space.mm->pt.fmt->va_bits == 32;
}

static bool has_window(void)
{
	return space.mm->pt.fmt->va_bits > 48;
}

static int64_t map(uint64_t hint, uint64_t len, uint32_t flags)
{
	return quire_mmap(space.mm, hint, len, RW, ANON | flags, NULL, 0);
}

/* ---- The layout -------------------------------------------------------------------------- */

static void bases_depend_on_the_stack_limit(void **state)
{
	static const struct {
		bool compat, legacy;
		uint64_t stack_limit, base;
	} cases[] = {
		{ false, false, 8 * MIB, 0x7ffff7fff000 },
		{ false, false, GIB, 0x7fffbfeff000 },
		{ false, false, QUIRE_RLIM_INFINITY, 0x155555556000 },
		{ false, true, 8 * MIB, 0x2aaaaaaab000 },
		{ true, false, 8 * MIB, 0xf7ffe000 },
		{ true, false, GIB, 0xbfefe000 },
		{ true, false, QUIRE_RLIM_INFINITY, 0x2aaab000 },
		{ true, true, 8 * MIB, 0x55555000 },
	};

	(void)state;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(cases); i++) {
		struct quire_layout layout;

		quire_layout_init(&layout, &quire_pgfmt_x86_64, cases[i].compat, cases[i].legacy, cases[i].stack_limit, 0);
		assert_int_equal(layout.mmap_base, cases[i].base);
		assert_int_equal(layout.task_size, cases[i].compat ? 0xffffe000 : 0x7ffffffff000);
		assert_int_equal(layout.mmap_legacy_base, cases[i].compat ? 0x55555000 : 0x2aaaaaaab000);
		assert_int_equal(layout.topdown, !cases[i].legacy);
	}
}

/* A stack of 8 MiB, no chance: what a kernel for such a machine begins with, x86's rules for all. */
static void a_space_has_its_formats_layout(void **state)
{
	static const struct {
		const struct quire_pgfmt *fmt;
		uint64_t end, top, legacy;
		bool compat;
	} cases[] = {
		{ &quire_pgfmt_x86_64, 0x7ffffffff000, 0x7ffff7fff000, 0x2aaaaaaab000, false },
		{ &quire_pgfmt_x86_64_5level, 0xfffffffffff000, 0x7ffff7fff000, 0x2aaaaaaab000, false },
		{ &quire_pgfmt_i386, 0xc0000000, 0xb8000000, 0x40000000, true },
		{ &quire_pgfmt_pae, 0xc0000000, 0xb8000000, 0x40000000, true },
		{ &quire_pgfmt_sv32, 0xc0000000, 0xb8000000, 0x40000000, true },
		{ &quire_pgfmt_sv39, 0x4000000000, 0x3ff8000000, 0x1555556000, false },
		{ &quire_pgfmt_sv48, 0x800000000000, 0x7ffff8000000, 0x2aaaaaaab000, false },
		{ &quire_pgfmt_sv57, 0x100000000000000, 0x7ffff8000000, 0x2aaaaaaab000, false },
		{ &quire_pgfmt_aarch64, 0x1000000000000, 0xfffff8000000, 0x555555556000, false },
		{ &quire_pgfmt_aarch64_16k, 0x1000000000000, 0xfffff8000000, 0x555555558000, false },
		{ &quire_pgfmt_aarch64_64k, 0x1000000000000, 0xfffff8000000, 0x555555560000, false },
	};

	(void)state;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(cases); i++) {
		if (cases[i].fmt != space.q->fmt)
			continue;
		assert_int_equal(space.mm->layout.task_size, cases[i].end);
		assert_int_equal(space.mm->layout.mmap_base, cases[i].top);
		assert_int_equal(space.mm->layout.mmap_legacy_base, cases[i].legacy);
		assert_int_equal(space.mm->layout.compat, cases[i].compat);
		assert_true(space.mm->layout.topdown);
		return;
	}
	fail_msg("no case for %s", space.q->fmt->name);
}

/* A 32-bit kernel's program has eight random bits, Sv39's eighteen; neither falls out of its space. */
static void chance_stays_in_the_space(void **state)
{
	struct quire_layout layout;

	(void)state;
	quire_layout_init(&layout, &quire_pgfmt_pae, false, false, 8 * MIB, UINT64_MAX);
	assert_int_equal(layout.mmap_base, 0xc0000000 - 128 * MIB - 255 * PAGE);
	quire_layout_init(&layout, &quire_pgfmt_sv39, false, false, 8 * MIB, UINT64_MAX);
	assert_int_equal(layout.mmap_base,
			 0x4000000000 - (8 * MIB + 256 * PAGE + 0x3fffff * PAGE) - ((1 << 18) - 1) * PAGE);
}

static void a_layout_beyond_the_tables_is_refused(void **state)
{
	struct quire_layout layout = space.mm->layout;
	struct quire_mm *mm = space.mm;

	(void)state;
	layout.task_size = mm->pt.fmt->user_end + PAGE;
	assert_int_equal(quire_mm_create(space.q, &layout, &mm), -QUIRE_EINVAL);
	assert_null(mm);
}

/* 28 bits of pages below the base, and room for a stack whose top is shifted by 22 bits of pages. */
static void chance_moves_the_bases(void **state)
{
	/* Where it is a page, x86-64 keeps the last one from user space; AArch64 does not. */
	const bool larger = QUIRE_PAGE_SHIFT > 12;
	const struct quire_pgfmt *fmt = larger ? space.q->fmt : &quire_pgfmt_x86_64;
	const uint64_t end = larger ? 0x1000000000000 : 0x7ffffffff000;
	struct quire_layout layout;

	(void)state;
	quire_layout_init(&layout, fmt, false, false, 8 * MIB, UINT64_C(0x123456789abcdef0));
	assert_int_equal(layout.mmap_base,
			 end - (8 * MIB + 256 * PAGE + 0x3fffff * PAGE) - 0x9abcdef0 % (1 << 28) * PAGE);
	assert_int_equal(layout.mmap_legacy_base,
			 (end / 3 + PAGE - 1) / PAGE * PAGE + 0x9abcdef0 % (1 << 28) * PAGE);
	assert_true(layout.map_32bit_start >= GIB && layout.map_32bit_start < GIB + 32 * MIB);
}

/* ---- Top-down ---------------------------------------------------------------------------- */

static void maps_grow_downwards_from_the_base(void **state)
{
	(void)state;
	assert_int_equal(map(0, PAGE, 0), TOP - PAGE);
	assert_int_equal(map(0, 3 * PAGE, 0), TOP - 4 * PAGE);
	check_space(space.mm);
}

/* The highest gap that is large enough, whatever its size. */
static void the_highest_gap_is_taken(void **state)
{
	(void)state;
	assert_int_equal(map(0, 16 * PAGE, 0), TOP - 16 * PAGE);
	assert_int_equal(quire_munmap(space.mm, TOP - 3 * PAGE, PAGE), 0);
	assert_int_equal(quire_munmap(space.mm, TOP - 12 * PAGE, 5 * PAGE), 0);
	assert_int_equal(map(0, 2 * PAGE, 0), TOP - 9 * PAGE);
	assert_int_equal(map(0, PAGE, 0), TOP - 3 * PAGE);
	assert_int_equal(map(0, 4 * PAGE, 0), TOP - 20 * PAGE);
	check_space(space.mm);
}

static void a_hint_is_taken_if_it_is_free(void **state)
{
	(void)state;
	assert_int_equal(map(P(3), 2 * PAGE, 0), P(3));
	assert_int_equal(map(P(3) + 17, PAGE, 0), TOP - PAGE);      /* rounded down: taken */
	assert_int_equal(map(P(5) + 17, PAGE, 0), P(5));            /* rounded down: free */
	assert_int_equal(map(P(2), 2 * PAGE, 0), TOP - 3 * PAGE);   /* does not fit below */
	assert_int_equal(map(P(2), PAGE, 0), P(2));
	check_space(space.mm);
}

/* mmap_min_addr: a hint below it is raised to it. 0 is no hint. */
static void low_hints_are_raised(void **state)
{
	(void)state;
	assert_int_equal(map(PAGE, PAGE, 0), 0x10000);
	assert_int_equal(map(PAGE, PAGE, 0), TOP - PAGE);
	assert_int_equal(map(0x123, PAGE, 0), TOP - 2 * PAGE);
}

/* Hints at and beyond the end are none. */
static void a_hint_beyond_the_end_is_none(void **state)
{
	(void)state;
	if (has_window()) {
		/* But it is a wish to be above the window, whose maps begin 128 MiB below the end. */
		assert_int_equal(map(UINT64_MAX - PAGE, PAGE, 0), END - 128 * MIB - PAGE);
		return;
	}
	assert_int_equal(map(END - PAGE, PAGE, 0), END - PAGE);
	assert_int_equal(map(END, PAGE, 0), TOP - PAGE);
	assert_int_equal(map(END - 2 * PAGE, 2 * PAGE, 0), TOP - 3 * PAGE);
	assert_int_equal(map(UINT64_MAX - PAGE, PAGE, 0), TOP - 4 * PAGE);
}

/*
 *	wanted         |--|         16 pages below the stack's guard are not free for others
 *	stack   . . . . . . |--S--|
 *	guard   ^^^^^^^^^^^^
 */
static void a_stack_keeps_its_guard(void **state)
{
	uint64_t stack = SCRIPT_BASE + GIB / 2, guard = 256 * PAGE;

	(void)state;
	assert_int_equal(map(stack, PAGE, QUIRE_MAP_GROWSDOWN), stack);
	assert_int_equal(map(stack - guard, PAGE, 0), TOP - PAGE);
	assert_int_equal(map(stack - guard - PAGE, PAGE, 0), stack - guard - PAGE);
	/* MAP_FIXED goes where it is told. */
	assert_int_equal(map(stack - PAGE, PAGE, QUIRE_MAP_FIXED), stack - PAGE);
	check_space(space.mm);
}

/*
 * Where the guard alone is in the way, all that follows is searched below it, though there is room above:
 *
 *	areas                 |A|    |stack|
 *	guard      ^^^^^^^^^^^^^^^^^^
 *	wanted  |--|           4 pages, as many as between A and the stack
 *	        |-----||A|     5 pages do not fit there without a guard either
 */
static void a_guard_met_bounds_the_search(void **state)
{
	uint64_t guard = 256 * PAGE, stack = TOP - 10 * PAGE;

	(void)state;
	assert_int_equal(map(stack, 10 * PAGE, QUIRE_MAP_GROWSDOWN | QUIRE_MAP_FIXED), stack);
	assert_int_equal(map(stack - 5 * PAGE, PAGE, QUIRE_MAP_FIXED), stack - 5 * PAGE);
	assert_int_equal(map(0, 5 * PAGE, 0), stack - 10 * PAGE);
	assert_int_equal(map(0, 4 * PAGE, 0), stack - guard - 4 * PAGE);
}

/* The search keeps off the guard too: the gap below the stack ends where its guard begins. */
static void the_search_keeps_off_the_guard(void **state)
{
	uint64_t guard = 256 * PAGE, stack = TOP - 300 * PAGE;

	(void)state;
	assert_int_equal(map(stack, 300 * PAGE, QUIRE_MAP_GROWSDOWN | QUIRE_MAP_FIXED), stack);
	assert_int_equal(map(0, PAGE, 0), stack - guard - PAGE);
}

/* No room below the base: from the legacy base upwards. */
static void a_full_lower_part_sends_maps_upwards(void **state)
{
	int64_t low, high;

	(void)state;
	low = map(0x10000, TOP - 0x10000, QUIRE_MAP_FIXED | QUIRE_MAP_NORESERVE);
	assert_int_equal(low, 0x10000);
	high = map(0, PAGE, 0);
	assert_int_equal(high, TOP);
	assert_int_equal(map(0, 129 * MIB, 0), -QUIRE_ENOMEM);
}

/* ---- Bottom-up --------------------------------------------------------------------------- */

static void legacy_layouts_grow_upwards(void **state)
{
	uint64_t base = space.mm->layout.mmap_legacy_base;

	(void)state;
	quire_layout_init(&space.mm->layout, space.q->fmt, false, true, 8 * MIB, 0);
	assert_int_equal(space.mm->layout.mmap_base, base);
	assert_int_equal(map(0, 2 * PAGE, 0), base);
	assert_int_equal(map(0, PAGE, 0), base + 2 * PAGE);
	assert_int_equal(quire_munmap(space.mm, base, PAGE), 0);
	assert_int_equal(map(0, PAGE, 0), base);
	assert_int_equal(map(BASE, PAGE, 0), BASE);
	check_space(space.mm);
}

/* MAP_32BIT: below 2 GiB, from 1 GiB upwards; a free hint there is honoured. */
static void map_32bit_stays_below_2_gib(void **state)
{
	(void)state;
	if (is_narrow()) { /* all maps do */
		assert_int_equal(map(0, PAGE, QUIRE_MAP_32BIT), TOP - PAGE);
		return;
	}
	assert_int_equal(map(0, PAGE, QUIRE_MAP_32BIT), GIB);
	assert_int_equal(map(0, PAGE, QUIRE_MAP_32BIT), GIB + PAGE);
	assert_int_equal(map(0x20000000, PAGE, QUIRE_MAP_32BIT), 0x20000000);
	assert_int_equal(map(4 * GIB, PAGE, QUIRE_MAP_32BIT), GIB + 2 * PAGE);
	assert_int_equal(map(0, GIB, QUIRE_MAP_32BIT | QUIRE_MAP_NORESERVE), -QUIRE_ENOMEM);
	check_space(space.mm);
}

static void map_above4g_stays_above(void **state)
{
	(void)state;
	if (is_narrow()) { /* nothing is */
		assert_int_equal(map(0, PAGE, QUIRE_MAP_ABOVE4G), TOP - PAGE);
		return;
	}
	assert_int_equal(map(4 * GIB, TOP - 4 * GIB, QUIRE_MAP_FIXED | QUIRE_MAP_NORESERVE), 4 * GIB);
	assert_int_equal(map(0, PAGE, 0), 4 * GIB - PAGE);
	/* None below the base but under 4 GiB: upwards instead. */
	assert_int_equal(map(0, PAGE, QUIRE_MAP_ABOVE4G), TOP);
}

/* A 32-bit program: everything below 4 GiB, nothing is aligned, MAP_32BIT means nothing. */
static void compat_programs_live_in_4_gib(void **state)
{
	uint64_t end = quire_page_down(0xffffe000), base = end - 128 * MIB;

	(void)state;
	if (is_narrow()) { /* the kernel's gigabyte is nobody's */
		quire_layout_init(&space.mm->layout, space.q->fmt, true, false, 8 * MIB, 0);
		assert_int_equal(END, 0xc0000000);
		return;
	}
	quire_layout_init(&space.mm->layout, space.q->fmt, true, false, 8 * MIB, 0);
	assert_int_equal(map(0, PAGE, 0), base - PAGE);
	assert_int_equal(map(0, 2 * MIB, QUIRE_MAP_32BIT), base - PAGE - 2 * MIB);
	assert_int_equal(map(end, PAGE, QUIRE_MAP_FIXED), -QUIRE_ENOMEM);
	assert_int_equal(map(end - PAGE, PAGE, QUIRE_MAP_FIXED), end - PAGE);
	check_space(space.mm);
}

/* ---- Five levels of tables --------------------------------------------------------------- */

/* The kernel's documentation of 5-level paging: memory above 47 bits is for those who ask with a hint. */
static void memory_above_47_bits_is_asked_for(void **state)
{
	uint64_t end = END, far = UINT64_C(1) << 52, kept = space.q->fmt == &quire_pgfmt_sv57 ? 0 : PAGE;
	uint64_t window = (UINT64_C(1) << 47) - kept;

	(void)state;
	if (!has_window()) {
		assert_int_equal(map(far, PAGE, 0), TOP - PAGE);
		return;
	}
	assert_int_equal(map(0, PAGE, 0), TOP - PAGE);
	assert_int_equal(map(far, PAGE, 0), far);
	/* Taken, but the wish to be up there counts. */
	assert_int_equal(map(far, PAGE, 0), end - (window - TOP) - PAGE);
	/* Half above and half below is no hint. */
	assert_int_equal(map(window - PAGE, 2 * PAGE, 0), TOP - 3 * PAGE);
	assert_int_equal(map(window - PAGE, PAGE, 0), window - PAGE);
	/* Nor does a map without a hint go there when the window is full. */
	assert_int_equal(map(0x10000, window - PAGE - 0x10000, QUIRE_MAP_FIXED | QUIRE_MAP_NORESERVE), 0x10000);
	assert_int_equal(map(0, PAGE, 0), -QUIRE_ENOMEM);
	assert_int_equal(map(end - PAGE, PAGE, QUIRE_MAP_FIXED), end - PAGE);
	assert_int_equal(map(end, PAGE, QUIRE_MAP_FIXED), -QUIRE_ENOMEM);
}

/* ---- Huge alignment ---------------------------------------------------------------------- */

/* What one table of entries maps: as much as a huge page is. */
#define HUGE (UINT64_C(1) << space.mm->pt.fmt->shift[1])

static uint64_t huge_down(uint64_t addr)
{
	return addr & ~(HUGE - 1);
}

/* Lengths that are whole huge pages are aligned to them; x86-64's TOP itself is not. Others are not; a 32-bit program's never. */
static void whole_huge_pages_are_aligned(void **state)
{
	uint64_t first = huge_down(TOP - HUGE), second = first - HUGE - PAGE, third = huge_down(second - 2 * HUGE);

	(void)state;
	if (is_narrow()) {
		assert_int_equal(map(0, PAGE, 0), TOP - PAGE);
		assert_int_equal(map(0, HUGE, 0), TOP - PAGE - HUGE);
		return;
	}
	if (space.q->fmt == &quire_pgfmt_x86_64)
		assert_int_equal(first, 0x7ffff7c00000);
	assert_int_equal(map(0, HUGE, 0), first);
	assert_int_equal(map(0, HUGE + PAGE, 0), second);
	assert_int_equal(map(0, 2 * HUGE, 0), third);
	/* A hint, if it is not free, takes the alignment away. */
	assert_int_equal(map(first, HUGE, 0), third - HUGE);
	assert_int_equal(map(first, HUGE, 0), third - 2 * HUGE);
	check_space(space.mm);
}

static void alignment_is_a_choice(void **state)
{
	(void)state;
	space.q->mms.sysctl.anon_align = 0;
	assert_int_equal(map(0, HUGE, 0), TOP - HUGE);
}

/* Where the padded search ends up at an aligned address, the map still goes to the top of what was found. */
static void an_aligned_find_is_used_to_its_top(void **state)
{
	uint64_t low = huge_down(TOP - PAGE);

	(void)state;
	assert_int_equal(map(low, TOP - low, QUIRE_MAP_FIXED), low);
	assert_int_equal(map(0, HUGE, 0), low - HUGE);
}

/* File maps: address and offset agree modulo 2 MiB if a whole aligned stretch of the file is in the map. */
static void files_are_aligned_to_their_offset(void **state)
{
	struct disk *disk = disk_new(space.q, DISK_PAGES * PAGE);
	uint64_t top = huge_down(TOP - HUGE);
	struct quire_mm *mm = space.mm;

	(void)state;
	disk->file.map_align = HUGE;
	if (is_narrow())
		top = TOP - HUGE;
	assert_int_equal(quire_mmap(mm, 0, HUGE, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, &disk->file, 0), top);
	assert_int_equal(quire_mmap(mm, 0, HUGE, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, &disk->file, PAGE), top - HUGE);
	assert_int_equal(quire_mmap(mm, 0, 2 * HUGE, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, &disk->file, PAGE),
			 is_narrow() ? top - 3 * HUGE : top - 4 * HUGE + PAGE);
	assert_int_equal(quire_mmap(mm, P(1), HUGE, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, &disk->file, 0), P(1));
	check_space(mm);
	assert_int_equal(quire_munmap(mm, 0, END), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		space_test(a_space_has_its_formats_layout),
		space_test(chance_moves_the_bases),
		space_test(a_layout_beyond_the_tables_is_refused),
		space_test(maps_grow_downwards_from_the_base),
		space_test(the_highest_gap_is_taken),
		space_test(a_hint_is_taken_if_it_is_free),
		space_test(low_hints_are_raised),
		space_test(a_hint_beyond_the_end_is_none),
		space_test(a_stack_keeps_its_guard),
		space_test(the_search_keeps_off_the_guard),
		space_test(a_guard_met_bounds_the_search),
		space_test(a_full_lower_part_sends_maps_upwards),
		space_test(legacy_layouts_grow_upwards),
		space_test(map_32bit_stays_below_2_gib),
		space_test(map_above4g_stays_above),
		space_test(compat_programs_live_in_4_gib),
		space_test(memory_above_47_bits_is_asked_for),
		space_test(whole_huge_pages_are_aligned),
		space_test(alignment_is_a_choice),
		space_test(an_aligned_find_is_used_to_its_top),
		space_test(files_are_aligned_to_their_offset),
		/* Of formats with pages of 4 KiB. */
		space_test(bases_depend_on_the_stack_limit),
		space_test(chance_stays_in_the_space),
	};
	const size_t nr_left_out = QUIRE_PAGE_SHIFT > 12 ? 2 : 0;

	return _cmocka_run_group_tests("layout", tests, QUIRE_ARRAY_SIZE(tests) - nr_left_out, NULL, NULL);
}

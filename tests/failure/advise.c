/* SPDX-License-Identifier: MIT */
/* madvise(2): every advice, over parts of areas, whole ones and several. */
#include "failure.h"

#define ADVISE(name, at, pages, advice)                                                            \
	static int64_t name(void)                                                                  \
	{                                                                                          \
		return quire_madvise(w.mm, AT(at), SPAN(at, pages), advice);                       \
	}

#define FLAG_ADVICE(name, advice)                                                                  \
	ADVISE(name##_part, 2, 3, advice)                                                          \
	ADVISE(name##_areas, 1, 10, advice)

FLAG_ADVICE(be_random, QUIRE_MADV_RANDOM)
FLAG_ADVICE(be_sequential, QUIRE_MADV_SEQUENTIAL)
FLAG_ADVICE(be_normal, QUIRE_MADV_NORMAL)
FLAG_ADVICE(dontfork, QUIRE_MADV_DONTFORK)
FLAG_ADVICE(dofork, QUIRE_MADV_DOFORK)
FLAG_ADVICE(dontdump, QUIRE_MADV_DONTDUMP)
FLAG_ADVICE(dodump, QUIRE_MADV_DODUMP)
FLAG_ADVICE(wipe, QUIRE_MADV_WIPEONFORK)
FLAG_ADVICE(keep, QUIRE_MADV_KEEPONFORK)
FLAG_ADVICE(mergeable, QUIRE_MADV_MERGEABLE)
FLAG_ADVICE(unmergeable, QUIRE_MADV_UNMERGEABLE)
FLAG_ADVICE(huge, QUIRE_MADV_HUGEPAGE)
FLAG_ADVICE(nohuge, QUIRE_MADV_NOHUGEPAGE)

ADVISE(dontneed, 0, 48, QUIRE_MADV_DONTNEED_LOCKED)
ADVISE(dontneed_part, 1, 5, QUIRE_MADV_DONTNEED)
ADVISE(free_lazily, 0, 8, QUIRE_MADV_FREE)
ADVISE(remove_pages, 16, 4, QUIRE_MADV_REMOVE)
ADVISE(willneed, 12, 4, QUIRE_MADV_WILLNEED)
ADVISE(cold, 0, 8, QUIRE_MADV_COLD)
ADVISE(page_out, 0, 8, QUIRE_MADV_PAGEOUT)
ADVISE(collapse, 0, 8, QUIRE_MADV_COLLAPSE)
ADVISE(populate_read, 1026, 3, QUIRE_MADV_POPULATE_READ)
ADVISE(populate_read_leaf, 3000, 2, QUIRE_MADV_POPULATE_READ)
ADVISE(populate_read_file, 45, 2, QUIRE_MADV_POPULATE_READ)
ADVISE(populate_write, 1026, 3, QUIRE_MADV_POPULATE_WRITE)
ADVISE(populate_write_file, 14, 2, QUIRE_MADV_POPULATE_WRITE)
ADVISE(populate_write_shared, 18, 2, QUIRE_MADV_POPULATE_WRITE)
ADVISE(guard_page, 1, 1, QUIRE_MADV_GUARD_INSTALL)
ADVISE(guard_again, 33, 2, QUIRE_MADV_GUARD_INSTALL)
ADVISE(guard_areas, 2, 20, QUIRE_MADV_GUARD_INSTALL)
ADVISE(guard_untouched, 3000, 4, QUIRE_MADV_GUARD_INSTALL)
ADVISE(guard_two_untouched, 3000, 8, QUIRE_MADV_GUARD_INSTALL)
ADVISE(guard_leaves, 3000, 1060, QUIRE_MADV_GUARD_INSTALL)
ADVISE(guard_many, 64, 16, QUIRE_MADV_GUARD_INSTALL)
ADVISE(guard_up_to_locked, 24, 8, QUIRE_MADV_GUARD_INSTALL)
ADVISE(guards_away, 32, 4, QUIRE_MADV_GUARD_REMOVE)

static void advised(void)
{
	static const int advice[] = {QUIRE_MADV_RANDOM, QUIRE_MADV_DONTFORK, QUIRE_MADV_DONTDUMP,
				     QUIRE_MADV_MERGEABLE, QUIRE_MADV_HUGEPAGE};

	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(advice); i++)
		assert_int_equal(quire_madvise(w.mm, AT(0), 11 * PAGE, advice[i]), 0);
	assert_int_equal(quire_madvise(w.mm, AT(0), 11 * PAGE, QUIRE_MADV_WIPEONFORK), 0);
}

static void untouched(void)
{
	map(3000, 4, RW, ANON, NULL, 0);
	map(3004, 4, RW, ANON | QUIRE_MAP_NORESERVE, NULL, 0);
}

static void untouched_leaves(void)
{
	map(3000, 1060, RW, ANON, NULL, 0);
}

static void neighbours(void)
{
	map(3000, 4, RW, ANON, NULL, 0);
	map(3004, 4, R, ANON, NULL, 0);
}

#define FLAG_SCENARIOS(text, name)                                                                 \
	{text "_part", NULL, name##_part, .failure = -QUIRE_EAGAIN},                               \
	{                                                                                          \
		text "_areas", NULL, name##_areas, .failure = -QUIRE_EAGAIN                        \
	}
#define UNDOING_SCENARIOS(text, name)                                                              \
	{text "_part", advised, name##_part, .failure = -QUIRE_EAGAIN},                            \
	{                                                                                          \
		text "_areas", advised, name##_areas, .failure = -QUIRE_EAGAIN                     \
	}

const struct scenario advise_scenarios[] = {
	FLAG_SCENARIOS("madvise_random", be_random),
	FLAG_SCENARIOS("madvise_sequential", be_sequential),
	UNDOING_SCENARIOS("madvise_normal", be_normal),
	FLAG_SCENARIOS("madvise_dontfork", dontfork),
	UNDOING_SCENARIOS("madvise_dofork", dofork),
	FLAG_SCENARIOS("madvise_dontdump", dontdump),
	UNDOING_SCENARIOS("madvise_dodump", dodump),
	FLAG_SCENARIOS("madvise_wipeonfork", wipe),
	UNDOING_SCENARIOS("madvise_keeponfork", keep),
	FLAG_SCENARIOS("madvise_mergeable", mergeable),
	UNDOING_SCENARIOS("madvise_unmergeable", unmergeable),
	FLAG_SCENARIOS("madvise_hugepage", huge),
	FLAG_SCENARIOS("madvise_nohugepage", nohuge),
	{"madvise_dontneed", NULL, dontneed, .flags = NEEDS_NONE},
	{"madvise_dontneed_part", NULL, dontneed_part, .flags = NEEDS_NONE},
	{"madvise_free", NULL, free_lazily, .flags = NEEDS_NONE},
	{"madvise_remove", NULL, remove_pages, .flags = NEEDS_NONE},
	{"madvise_willneed", NULL, willneed, .flags = NEEDS_NONE},
	{"madvise_cold", NULL, cold, .flags = NEEDS_NONE},
	{"madvise_pageout", NULL, page_out, .flags = NEEDS_NONE},
	{"madvise_collapse", NULL, collapse, .flags = NEEDS_NONE, .success = -QUIRE_EINVAL},
	{"madvise_populate_read", NULL, populate_read, .flags = KEEPS_PAGES | NEEDS_NONE},
	{"madvise_populate_read_makes_a_leaf", untouched, populate_read_leaf, .flags = KEEPS_PAGES},
	{"madvise_populate_read_file", NULL, populate_read_file, .flags = KEEPS_PAGES},
	{"madvise_populate_write", NULL, populate_write, .flags = KEEPS_PAGES},
	{"madvise_populate_write_file", NULL, populate_write_file, .flags = KEEPS_PAGES},
	{"madvise_populate_write_shared", NULL, populate_write_shared, .flags = KEEPS_PAGES},
	{"madvise_guard_install", NULL, guard_page},
	{"madvise_guard_install_again", NULL, guard_again, .flags = NEEDS_NONE},
	{"madvise_guard_install_areas", NULL, guard_areas},
	{"madvise_guard_install_untouched", untouched, guard_untouched},
	{"madvise_guard_install_two_untouched", untouched, guard_two_untouched},
	{"madvise_guard_install_neighbours", neighbours, guard_two_untouched},
	{"madvise_guard_install_leaves", untouched_leaves, guard_leaves},
	{"madvise_guard_install_many", NULL, guard_many},
	{"madvise_guard_install_up_to_locked", NULL, guard_up_to_locked, .success = -QUIRE_EINVAL},
	{"madvise_guard_remove", NULL, guards_away, .flags = NEEDS_NONE},
	{NULL},
};

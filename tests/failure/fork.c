/* SPDX-License-Identifier: MIT */
/* Spaces that come and go: made, forked, replaced by exec, emptied at exit, borrowed. */
#include "failure.h"

static int64_t make_space(void)
{
	return quire_mm_create(w.q, NULL, &w.other);
}

static int64_t do_fork(void)
{
	return quire_fork(w.mm, &w.other);
}

/* What both write afterwards is their own. */
static void child_is_whole(void)
{
	store_pages(0, 4);
	run_in(w.other);
	load_pages(0, 5);
	store_pages(0, 4);
	load_pages(8, 2);
	load_pages(12, 2);
	store_pages(16, 1);
	load_pages(40, 2); /* wiped */
	assert_int_equal(load(42), SIGNAL(QUIRE_SIGSEGV));
	assert_int_equal(load(33), SIGNAL(QUIRE_SIGSEGV));
	run_in(w.mm);
}

/* One that came of a fork, and has areas whose owners are its parent's. */
static void give_child(void)
{
	assert_int_equal(do_fork(), 0);
}

static int64_t fork_child(void)
{
	return quire_fork(w.other, &w.third);
}

static int64_t fork_again(void)
{
	return quire_fork(w.mm, &w.third);
}

/* So many ancestors that a chain of owners is an object of its own size. */
static void give_descendant(void)
{
	struct quire_mm *parent = w.mm;

	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(w.ancestor); i++) {
		assert_int_equal(quire_fork(parent, &w.ancestor[i]), 0);
		parent = w.ancestor[i];
		run_in(parent);
		store_pages(0, 1);
	}
	assert_int_equal(quire_fork(parent, &w.other), 0);
	run_in(w.mm);
}

static void fill_index(void)
{
	many(2000, 300);
}

static void fill_leaves(void)
{
	for (unsigned i = 0; i < 4; i++) {
		map(10000 + i * 1024, 2, RW, ANON, NULL, 0);
		store_pages(10000 + i * 1024, 1);
	}
	map(1 << 18, 2, RW, ANON, NULL, 0);
	store_pages(1 << 18, 1);
}

static void strict_overcommit(void)
{
	w.q->mms.sysctl.overcommit_memory = QUIRE_OVERCOMMIT_NEVER;
	w.q->mms.sysctl.overcommit_total_pages = 1 << 20;
}

static void empty_space(void)
{
	assert_int_equal(quire_munmap(w.mm, AT(0), SPAN(0, 5000)), 0);
}

/* exec: of the child, so that the test's own space stays what it is. */
static int64_t do_exec(void)
{
	struct quire_layout layout;

	quire_layout_init(&layout, w.q->fmt, false, false, 8u << 20, 0);
	return quire_exec(&w.other, &layout);
}

static void exec_is_empty(void)
{
	assert_int_equal(w.other->index.count, 0);
}

static int64_t do_exit(void)
{
	struct quire_mm *mm = w.other;

	w.other = NULL;
	quire_mmput(mm);
	return 0;
}

/* Enough private pages to fill a batch. */
static void give_large_child(void)
{
	map(10000, 600, RW, ANON, NULL, 0);
	store_pages(10000, 600);
	assert_int_equal(do_fork(), 0);
}

static void give_borrowed_child(void)
{
	assert_int_equal(do_fork(), 0);
	quire_mmgrab(w.other);
}

static int64_t exit_borrowed(void)
{
	struct quire_mm *mm = w.other;

	w.other = NULL;
	quire_mmput(mm);
	quire_mmdrop(mm);
	return 0;
}

const struct scenario fork_scenarios[] = {
	{"mm_create", NULL, make_space},
	{"fork_rich", NULL, do_fork, .flags = LOSES_WRITE, .after = child_is_whole},
	{"fork_empty", empty_space, do_fork},
	{"fork_many_areas", fill_index, do_fork, .flags = LOSES_WRITE},
	{"fork_many_leaves", fill_leaves, do_fork, .flags = LOSES_WRITE},
	{"fork_strict_overcommit", strict_overcommit, do_fork, .flags = LOSES_WRITE},
	{"fork_of_a_child", give_child, fork_child, .flags = LOSES_WRITE},
	{"fork_of_a_distant_descendant", give_descendant, fork_child, .flags = LOSES_WRITE},
	{"fork_again", give_child, fork_again, .flags = LOSES_WRITE},
	{"exec", give_child, do_exec, .flags = MAKES_DO, .after = exec_is_empty},
	{"exit", give_child, do_exit, .flags = MAKES_DO},
	{"exit_of_a_large_space", give_large_child, do_exit, .flags = MAKES_DO},
	{"exit_of_a_borrowed_space", give_borrowed_child, exit_borrowed, .flags = MAKES_DO},
	{NULL},
};

/* SPDX-License-Identifier: MIT */
/*
 * Owners of anonymous pages: who gets whose, and what is counted. The areas here are made by
 * hand and stand in an index without page tables. The rules are Linux 6.18's, stated with each
 * test.
 */
#include "port_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE QUIRE_PAGE_SIZE
#define CPUS 4u
#define RW                                                                                         \
	(QUIRE_VM_READ | QUIRE_VM_WRITE | QUIRE_VM_MAYREAD | QUIRE_VM_MAYWRITE | QUIRE_VM_MAYEXEC)

static struct host *h;
static struct quire *q;
static struct quire_mm *mm;
static struct quire_vma *made[64]; /* every area of the test */
static size_t nr_made;

static int set_up(void **state)
{
	(void)state;
	h = host_new_ready(64u << 20, CPUS);
	q = &h->q;
	assert_int_equal(quire_index_init_instance(q), 0);
	assert_int_equal(quire_objects_init(q), 0);
	mm = calloc(1, sizeof(*mm));
	assert_non_null(mm);
	mm->q = q;
	quire_index_init(&mm->index, UINT64_C(1) << 47);
	nr_made = 0;
	return 0;
}

static uint64_t owners_in_use(void)
{
	struct quire_cache_stat stat;

	quire_cache_stat(q, &q->objects.anon_cache, &stat);
	return stat.active_objects;
}

/* Every area goes; then no owner and no chain may be left. */
static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < nr_made; i++) {
		if (made[i]->state == QUIRE_VMA_ALIVE)
			quire_anon_unlink(q, made[i]);
		quire_anon_release(q, made[i]);
		assert_null(made[i]->chain);
		free(made[i]);
	}
	quire_index_destroy(q, &mm->index);
	free(mm);
	quire_grace_wait(q);
	assert_int_equal(owners_in_use(), 0);
	assert_int_equal(quire_cache_destroy(q, &q->objects.anon_cache), 0);
	assert_int_equal(quire_cache_destroy(q, &q->objects.chain_cache), 0);
	assert_null(quire_slab_check(q));
	assert_false(host_is_atomic());
	host_delete(h);
	return 0;
}

/* An area that nobody can see. */
static struct quire_vma *new_area(uint64_t start_page, uint64_t end_page)
{
	struct quire_vma *vma = calloc(1, sizeof(*vma));

	assert_non_null(vma);
	assert_true(nr_made < QUIRE_ARRAY_SIZE(made));
	made[nr_made++] = vma;
	vma->start = start_page * PAGE;
	vma->end = end_page * PAGE;
	vma->pgoff = start_page;
	vma->flags = RW;
	vma->mm = mm;
	vma->state = QUIRE_VMA_NEW;
	return vma;
}

/* Into the index. */
static struct quire_vma *place(struct quire_vma *vma)
{
	struct quire_splice splice;

	assert_int_equal(quire_splice_reserve(q, &mm->index, &splice, vma->start, vma->end, 1), 0);
	vma->state = QUIRE_VMA_ALIVE;
	quire_splice_commit(q, &mm->index, &splice, &vma, 1);
	return vma;
}

static struct quire_vma *area(uint64_t start_page, uint64_t end_page)
{
	return place(new_area(start_page, end_page));
}

/* An area with an owner of its own. */
static struct quire_vma *written(struct quire_vma *vma)
{
	assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), 0);
	assert_null(quire_anon_check(q, vma));
	return vma;
}

/* fork, as far as one area goes: the child's is somewhere else, linked. */
static struct quire_vma *forked(struct quire_vma *parent)
{
	struct quire_vma *child = new_area(1, 2);

	assert_int_equal(quire_anon_fork(child, parent), 0);
	quire_anon_link(q, child);
	child->state = QUIRE_VMA_ALIVE;
	assert_null(quire_anon_check(q, child));
	return child;
}

/* Its process has gone. */
static void gone(struct quire_vma *vma)
{
	quire_anon_unlink(q, vma);
	vma->state = QUIRE_VMA_DEAD;
	quire_anon_release(q, vma);
}

static void assert_counts(const struct quire_anon *anon, uint32_t links, uint32_t active,
			  uint32_t children)
{
	assert_int_equal(anon->nr_links, links);
	assert_int_equal(anon->nr_active, active);
	assert_int_equal(anon->nr_children, children);
}

static void assert_chain(const struct quire_vma *vma, uint32_t count, const struct quire_anon *a,
			 const struct quire_anon *b, const struct quire_anon *c,
			 const struct quire_anon *d)
{
	const struct quire_anon *want[] = {a, b, c, d};

	assert_non_null(vma->chain);
	assert_int_equal(vma->chain->count, count);
	for (uint32_t i = 0; i < count; i++)
		assert_ptr_equal(vma->chain->anon[i], want[i]);
}

/* ---- The first private write ------------------------------------------------------------- */

static void the_first_write_makes_a_root(void **state)
{
	struct quire_vma *vma = area(10, 20);

	(void)state;
	assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), 0);
	assert_non_null(vma->anon);
	assert_ptr_equal(vma->anon->root, vma->anon);
	assert_ptr_equal(vma->anon->parent, vma->anon);
	assert_counts(vma->anon, 1, 1, 1); /* a root is its own child */
	assert_chain(vma, 1, vma->anon, NULL, NULL, NULL);
	assert_false(quire_anon_has_ancestors(vma));
	assert_int_equal(owners_in_use(), 1);

	struct quire_anon *before = vma->anon;
	assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), 0);
	assert_ptr_equal(vma->anon, before);
	assert_counts(vma->anon, 1, 1, 1);
}

/*
 *	pages   10        20        30        40
 *	        |--prev---|---vma---|--next---|
 *	owner        A         B         B
 */
static void the_next_area_shares_its_owner_first(void **state)
{
	struct quire_vma *prev = written(area(10, 20)), *next = written(area(30, 40)), *vma;

	(void)state;
	assert_ptr_not_equal(prev->anon, next->anon);
	vma = written(area(20, 30));
	assert_ptr_equal(vma->anon, next->anon);
	assert_ptr_equal(vma->chain->anon[0], next->anon);
	assert_counts(next->anon, 2, 2, 1);
	assert_counts(prev->anon, 1, 1, 1);
}

static void the_previous_area_shares_its_owner_where_the_next_has_none(void **state)
{
	struct quire_vma *prev = written(area(10, 20)), *vma = area(20, 30), *next = area(30, 40);

	(void)state;
	written(vma);
	assert_ptr_equal(vma->anon, prev->anon);
	assert_null(next->anon);
	assert_counts(prev->anon, 2, 2, 1);
	written(next);
	assert_ptr_equal(next->anon, prev->anon);
	assert_counts(prev->anon, 3, 3, 1);
}

static void areas_that_do_not_touch_share_nothing(void **state)
{
	struct quire_vma *prev = written(area(10, 20)), *next = written(area(31, 40)),
			 *vma = written(area(21, 30));

	(void)state;
	assert_ptr_not_equal(vma->anon, prev->anon);
	assert_ptr_not_equal(vma->anon, next->anon);
}

/* Would they be one area if they had the same rights? Else nothing is shared. */
static void areas_that_could_never_merge_share_nothing(void **state)
{
	static struct quire_file file;
	static const struct {
		uint64_t flags; /* these differ */
		bool file;	/* another file */
		int pgoff;	/* numbering is off by */
		bool shared;	/* the answer */
	} cases[] = {
		{.shared = true},
		{.flags = QUIRE_VM_WRITE, .shared = true},
		{.flags = QUIRE_VM_READ | QUIRE_VM_WRITE, .shared = true},
		{.flags = QUIRE_VM_EXEC, .shared = true},
		{.flags = QUIRE_VM_SOFTDIRTY, .shared = true},
		{.flags = QUIRE_VM_MAYWRITE},
		{.flags = QUIRE_VM_LOCKED},
		{.flags = QUIRE_VM_DONTCOPY},
		{.flags = QUIRE_VM_GROWSDOWN},
		{.flags = QUIRE_VM_ACCOUNT},
		{.flags = QUIRE_VM_NOHUGEPAGE},
		{.file = true},
		{.pgoff = 1},
		{.pgoff = -1},
	};

	(void)state;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(cases); i++) {
		/* neighbour after; neighbour before */
		for (int before = 0; before < 2; before++) {
			uint64_t at = 1000 + (i * 2 + (uint64_t)before) * 100;
			struct quire_vma *vma = new_area(at, at + 10);
			struct quire_vma *other =
				before ? new_area(at - 10, at) : new_area(at + 10, at + 20);

			other->flags ^= cases[i].flags;
			other->file = cases[i].file ? &file : NULL;
			other->pgoff = (uint64_t)((int64_t)other->pgoff + cases[i].pgoff);
			written(place(other));
			written(place(vma));
			if ((vma->anon == other->anon) != cases[i].shared)
				fail_msg("case %zu, neighbour %s", i, before ? "before" : "after");
		}
	}
}

static void an_owner_with_ancestors_is_not_shared(void **state)
{
	struct quire_vma *parent = written(area(100, 110)), *child = new_area(30, 40), *vma;

	(void)state;
	assert_int_equal(quire_anon_fork(child, parent), 0);
	quire_anon_link(q, child);
	place(child);
	assert_true(quire_anon_has_ancestors(child));
	vma = written(area(20, 30));
	assert_ptr_not_equal(vma->anon, child->anon);
	assert_int_equal(vma->chain->count, 1);
}

static void an_area_that_is_changing_is_looked_up_again(void **state)
{
	struct quire_vma *vma = area(10, 20), *next = area(20, 30);

	(void)state;
	vma->anon = QUIRE_ANON_FROZEN;
	assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), -QUIRE_EAGAIN);
	assert_ptr_equal(vma->anon, QUIRE_ANON_FROZEN);
	assert_null(vma->chain);
	/* For its neighbour it has no owner. */
	written(next);
	vma->anon = NULL;
	vma->state = QUIRE_VMA_BUSY;
	assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), -QUIRE_EAGAIN);
	vma->state = QUIRE_VMA_DEAD;
	assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), -QUIRE_EAGAIN);
	assert_null(vma->anon);
	assert_int_equal(owners_in_use(), 1);
	vma->state = QUIRE_VMA_ALIVE;
	assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), 0);
	assert_ptr_equal(vma->anon, next->anon);
	/* Once there is an owner, none of this matters. */
	vma->state = QUIRE_VMA_DEAD;
	assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), 0);
	vma->state = QUIRE_VMA_ALIVE;
}

static void a_new_area_is_counted_when_it_becomes_visible(void **state)
{
	struct quire_vma *vma = new_area(10, 20), *copy = new_area(10, 20);

	(void)state;
	assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), 0);
	assert_counts(vma->anon, 0, 0, 0);
	quire_anon_link(q, vma);
	assert_counts(vma->anon, 1, 1, 1);
	place(vma);

	/* Replaced: first the new one, then the old one. */
	quire_anon_share(copy, vma);
	assert_ptr_equal(copy->anon, vma->anon);
	assert_ptr_equal(copy->chain, vma->chain);
	quire_anon_link(q, copy);
	assert_counts(vma->anon, 2, 2, 1);
	copy->state = QUIRE_VMA_ALIVE;
	gone(vma);
	assert_counts(copy->anon, 1, 1, 1);
	assert_null(vma->anon);

	/* A frozen owner is none. */
	struct quire_vma *frozen = new_area(50, 60), *to = new_area(50, 60);
	frozen->anon = QUIRE_ANON_FROZEN;
	quire_anon_share(to, frozen);
	assert_null(to->anon);
	assert_null(to->chain);
	quire_anon_link(q, frozen);
	quire_anon_unlink(q, frozen);
}

#if QUIRE_DEBUG
static void a_write_without_memory_for_an_owner_is_enomem(void **state)
{
	struct quire_vma *vma = area(10, 20);

	(void)state;
	for (uint64_t k = 1; k <= 2; k++) {
		q->slabs.fail.after = k;
		assert_int_equal(quire_anon_prepare(vma, QUIRE_GFP_KERNEL), -QUIRE_ENOMEM);
		q->slabs.fail.after = 0;
		assert_null(vma->anon);
		assert_null(vma->chain);
		assert_int_equal(owners_in_use(), 0);
	}
	written(vma);
}

static void a_fork_without_memory_for_an_owner_changes_nothing(void **state)
{
	struct quire_vma *parent = written(area(10, 20)), *child = new_area(10, 20);

	(void)state;
	quire_anon_share(child, parent); /* as a copy of the parent's area has it */
	for (uint64_t k = 1; k <= 2; k++) {
		q->slabs.fail.after = k;
		assert_int_equal(quire_anon_fork(child, parent), -QUIRE_ENOMEM);
		q->slabs.fail.after = 0;
		assert_ptr_equal(child->anon, parent->anon);
		assert_counts(parent->anon, 1, 1, 1);
		assert_int_equal(owners_in_use(), 1);
	}
}
#endif

/* ---- Fork -------------------------------------------------------------------------------- */

static void a_child_gets_an_owner_below_its_parents(void **state)
{
	struct quire_vma *p = written(area(10, 20)), *c = forked(p);
	struct quire_anon *a = p->anon, *b = c->anon;

	(void)state;
	assert_ptr_not_equal(a, b);
	assert_ptr_equal(b->parent, a);
	assert_ptr_equal(b->root, a);
	assert_chain(c, 2, b, a, NULL, NULL);
	assert_chain(p, 1, a, NULL, NULL, NULL);
	assert_true(quire_anon_has_ancestors(c));
	assert_counts(a, 2, 1, 2);
	assert_counts(b, 1, 1, 0);

	/* The parent goes on forking: it lives, so nothing is reused. */
	struct quire_vma *second = forked(p);
	assert_ptr_equal(second->anon->parent, a);
	assert_ptr_not_equal(second->anon, b);
	assert_counts(a, 3, 1, 3);
	gone(second);
	assert_counts(a, 2, 1, 2);
	assert_int_equal(owners_in_use(), 2);
}

static void a_child_of_an_area_without_owner_has_none(void **state)
{
	struct quire_vma *p = area(10, 20), *c = new_area(10, 20);

	(void)state;
	assert_int_equal(quire_anon_fork(c, p), 0);
	assert_null(c->anon);
	assert_null(c->chain);
	p->anon = QUIRE_ANON_FROZEN;
	assert_int_equal(quire_anon_fork(c, p), 0);
	assert_null(c->anon);
	p->anon = NULL;
}

/*
 *	P's A - C's B - D's E; C goes; then D forks: B has no area of its own left, and one child
 */
static void an_owner_without_areas_and_with_one_child_is_reused(void **state)
{
	struct quire_vma *p = written(area(10, 20)), *c = forked(p), *d = forked(c), *f, *g;
	struct quire_anon *a = p->anon, *b = c->anon, *e = d->anon;

	(void)state;
	assert_chain(d, 3, e, b, a, NULL);
	assert_ptr_equal(e->parent, b);
	assert_counts(a, 3, 1, 2);
	assert_counts(b, 2, 1, 1);
	assert_counts(e, 1, 1, 0);

	gone(c);
	assert_counts(a, 2, 1, 2);
	assert_counts(b, 1, 0, 1);

	f = forked(d);
	assert_ptr_equal(f->anon, b);
	assert_chain(f, 3, e, b, a, NULL);
	assert_counts(a, 3, 1, 2);
	assert_counts(b, 2, 1, 1);
	assert_counts(e, 2, 1, 0);
	assert_int_equal(owners_in_use(), 3);

	/* Only once: B has an area again. */
	g = forked(d);
	assert_ptr_not_equal(g->anon, b);
	assert_ptr_equal(g->anon->parent, e);
	assert_chain(g, 4, g->anon, e, b, a);
}

static void the_oldest_owner_is_reused_first(void **state)
{
	struct quire_vma *p = written(area(10, 20)), *c = forked(p), *d = forked(c), *f = forked(d);
	struct quire_anon *b = c->anon, *e = d->anon;

	(void)state;
	gone(c);
	gone(d);
	assert_ptr_equal(forked(f)->anon, b);
	assert_ptr_equal(forked(f)->anon, e);
	assert_ptr_equal(forked(f)->anon->parent, f->anon);
}

/* It is its own child, and has the one whose chain it is looked up in. */
static void a_root_is_never_reused(void **state)
{
	struct quire_vma *p = written(area(10, 20)), *c = forked(p), *d;
	struct quire_anon *a = p->anon, *b = c->anon;

	(void)state;
	gone(p);
	assert_counts(a, 1, 0, 2);
	d = forked(c);
	assert_ptr_not_equal(d->anon, a);
	assert_ptr_equal(d->anon->parent, b);
	assert_counts(a, 2, 0, 2);
	assert_counts(b, 2, 1, 1);
}

/* Two children: the pages of both are told apart by it still. */
static void an_owner_with_two_children_is_not_reused(void **state)
{
	struct quire_vma *p = written(area(10, 20)), *c = forked(p), *d = forked(c), *e = forked(c),
			 *f;
	struct quire_anon *b = c->anon;

	(void)state;
	gone(c);
	assert_counts(b, 2, 0, 2);
	f = forked(d);
	assert_ptr_equal(f->anon->parent, d->anon);
	/* One of them goes, with all its pages. */
	gone(e);
	assert_counts(b, 2, 0, 1);
	assert_ptr_equal(forked(d)->anon, b);
}

/*
 * One fork copies two areas that a split has made of one: the second must see what the first has
 * taken.
 */
static void the_areas_of_one_fork_do_not_reuse_the_same_owner(void **state)
{
	struct quire_vma *p = written(area(10, 20)), *c = forked(p), *d = forked(c),
			 *half = new_area(2, 3);
	struct quire_vma *first = new_area(1, 2), *second = new_area(2, 3);
	struct quire_anon *b = c->anon;

	(void)state;
	quire_anon_share(half, d);
	quire_anon_link(q, half);
	half->state = QUIRE_VMA_ALIVE;
	gone(c);
	assert_int_equal(quire_anon_fork(first, d), 0);
	assert_int_equal(quire_anon_fork(second, half), 0);
	assert_ptr_equal(first->anon, b);
	assert_ptr_equal(second->anon->parent, d->anon);
	/* The fork becomes visible: nothing is counted twice. */
	quire_anon_link(q, first);
	quire_anon_link(q, second);
	first->state = second->state = QUIRE_VMA_ALIVE;
	assert_counts(b, 4, 1, 1);
	assert_counts(d->anon, 4, 2, 1);
	assert_counts(second->anon, 1, 1, 0);
}

static void a_fork_that_fails_later_is_uncounted(void **state)
{
	struct quire_vma *p = written(area(10, 20)), *c = new_area(10, 20);

	(void)state;
	quire_anon_share(c, p);
	assert_int_equal(quire_anon_fork(c, p), 0);
	assert_counts(p->anon, 2, 1, 2);
	assert_int_equal(p->chain->refs, 1);
	quire_anon_release(q, c);
	assert_counts(p->anon, 1, 1, 1);
	assert_int_equal(owners_in_use(), 1);
}

static void a_long_line_of_forks_is_freed_as_it_goes(void **state)
{
	struct quire_vma *line[20];

	(void)state;
	line[0] = written(area(10, 20));
	for (size_t i = 1; i < 20; i++) {
		line[i] = forked(line[i - 1]);
		assert_int_equal(line[i]->chain->count, i + 1);
		assert_ptr_equal(line[i]->anon->parent, line[i - 1]->anon);
		assert_ptr_equal(line[i]->anon->root, line[0]->anon);
	}
	assert_counts(line[0]->anon, 20, 1, 2);
	assert_int_equal(owners_in_use(), 20);
	/* Every other one, then the rest: an owner goes when nobody's chain names it any more. */
	for (size_t i = 0; i < 20; i += 2)
		gone(line[i]);
	assert_int_equal(owners_in_use(), 20);
	for (size_t i = 19; i > 1; i -= 2) {
		gone(line[i]);
		assert_int_equal(owners_in_use(), i - 1);
	}
	gone(line[1]);
	assert_int_equal(owners_in_use(), 0);
}

/* ---- Threads ----------------------------------------------------------------------------- */

struct race {
	struct quire_vma *vma[8]; /* touch each other */
	uint32_t bad;
};

static void write_all(void *arg, unsigned cpu)
{
	struct race *race = arg;

	for (unsigned i = 0; i < 8; i++)
		if (quire_anon_prepare(race->vma[(i + cpu * 2) % 8], QUIRE_GFP_KERNEL))
			quire_add_relaxed(&race->bad, 1u);
}

static void racing_writes_give_an_area_one_owner(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 7; round++) {
		struct race race = {.bad = 0};
		uint64_t links = 0;

		for (uint64_t i = 0; i < 8; i++)
			race.vma[i] = area(1000 * (round + 1) + i, 1000 * (round + 1) + i + 1);
		host_run_cpus(CPUS, write_all, &race);
		assert_int_equal(race.bad, 0);
		for (unsigned i = 0; i < 8; i++) {
			struct quire_anon *anon = race.vma[i]->anon;

			assert_null(quire_anon_check(q, race.vma[i]));
			assert_int_equal(anon->nr_links, anon->nr_active);
			assert_int_equal(anon->nr_children, 1);
			if (i == 0 || anon != race.vma[i - 1]->anon)
				links += anon->nr_links;
		}
		assert_int_equal(links, 8); /* each area once: sharers of one owner stand side by
					     * side */
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_write_makes_a_root),
		TEST(the_next_area_shares_its_owner_first),
		TEST(the_previous_area_shares_its_owner_where_the_next_has_none),
		TEST(areas_that_do_not_touch_share_nothing),
		TEST(areas_that_could_never_merge_share_nothing),
		TEST(an_owner_with_ancestors_is_not_shared),
		TEST(an_area_that_is_changing_is_looked_up_again),
		TEST(a_new_area_is_counted_when_it_becomes_visible),
#if QUIRE_DEBUG
		TEST(a_write_without_memory_for_an_owner_is_enomem),
		TEST(a_fork_without_memory_for_an_owner_changes_nothing),
#endif
		TEST(a_child_gets_an_owner_below_its_parents),
		TEST(a_child_of_an_area_without_owner_has_none),
		TEST(an_owner_without_areas_and_with_one_child_is_reused),
		TEST(the_oldest_owner_is_reused_first),
		TEST(a_root_is_never_reused),
		TEST(an_owner_with_two_children_is_not_reused),
		TEST(the_areas_of_one_fork_do_not_reuse_the_same_owner),
		TEST(a_fork_that_fails_later_is_uncounted),
		TEST(a_long_line_of_forks_is_freed_as_it_goes),
		TEST(racing_writes_give_an_area_one_owner),
	};

	return cmocka_run_group_tests_name("anon", tests, NULL, NULL);
}

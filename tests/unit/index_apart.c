/* SPDX-License-Identifier: MIT */
/*
 * Several splices of one index, all reserved before the first is committed (quire_splice_reserve_apart()), against
 * a bitmap: long random sequences in trees that are small, large, and empty, with areas that are near each other and
 * far apart; nothing is allocated at commit, nothing leaks, and the index' own check passes after each.
 */
#include "port_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vma/index.h"

#define PAGE QUIRE_PAGE_SIZE
#define PLACES 4096u
#define SPLICES 4u
#define MOST 24u /* areas that a splice brings */

static struct host *h;
static struct quire *q;
static struct quire_index ix;
static struct quire_vma *at[PLACES]; /* the area that begins at place n and is one place long */
static uint64_t place_bytes;         /* how far apart places are */
static uint64_t chance;

/* The allocator, closed while splices are committed. */
void *__real_quire_cache_alloc(struct quire *instance, struct quire_cache *cache, quire_gfp_t gfp);
void *__wrap_quire_cache_alloc(struct quire *instance, struct quire_cache *cache, quire_gfp_t gfp);

static bool closed;

void *__wrap_quire_cache_alloc(struct quire *instance, struct quire_cache *cache, quire_gfp_t gfp)
{
	assert_false(closed);
	return __real_quire_cache_alloc(instance, cache, gfp);
}

static int set_up(void **state)
{
	(void)state;
	h = host_new_ready(64u << 20, 1);
	q = &h->q;
	assert_int_equal(quire_index_init_instance(q), 0);
	memset(at, 0, sizeof(at));
	chance = 88172645463325252u;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PLACES; i++)
		free(at[i]);
	quire_index_destroy(q, &ix);
	quire_grace_wait(q);
	host_delete(h);
	return 0;
}

static unsigned below(unsigned n)
{
	return (unsigned)(host_random(&chance) >> 33) % n;
}

static struct quire_vma *area_at(unsigned place)
{
	struct quire_vma *vma = calloc(1, sizeof(*vma));

	assert_non_null(vma);
	vma->start = (place + 1) * place_bytes;
	vma->end = vma->start + PAGE * (1 + below(3));
	return vma;
}

/* Places [from, to) are one splice's. */
struct piece {
	unsigned from, to, n;
	struct quire_vma *areas[MOST];
	struct quire_splice splice;
};

static void draw_piece(struct piece *p, unsigned first, unsigned last, unsigned density)
{
	p->from = first + below(last - first);
	p->to = p->from + 1 + below(below(8) ? 8 : last - p->from);
	if (p->to > last)
		p->to = last;
	p->n = 0;
	for (unsigned i = p->from; i < p->to && p->n < MOST; i++) {
		if (below(100) < density)
			p->areas[p->n++] = area_at(i);
	}
}

static void commit_piece(struct piece *p)
{
	closed = true;
	quire_splice_commit(q, &ix, &p->splice, p->areas, p->n);
	closed = false;
	for (unsigned i = p->from; i < p->to; i++) {
		free(at[i]);
		at[i] = NULL;
	}
	for (unsigned i = 0; i < p->n; i++)
		at[p->areas[i]->start / place_bytes - 1] = p->areas[i];
}

static void assert_same(void)
{
	quire_broken_t broken = quire_index_check(&ix);
	struct quire_index_walk walk;
	struct quire_vma *vma;

	if (broken)
		fail_msg("%s", broken);
	quire_index_walk_start(&walk, &ix, 0);
	for (unsigned i = 0; i < PLACES; i++) {
		if (!at[i])
			continue;
		vma = quire_index_walk_next(&walk);
		assert_ptr_equal(vma, at[i]);
	}
	assert_null(quire_index_walk_next(&walk));
}

static void run_round(unsigned density)
{
	static struct piece pieces[SPLICES];
	unsigned n = 2 + below(SPLICES - 1), width = PLACES / n, total = 0, i;

	for (i = 0; i < n; i++) {
		draw_piece(&pieces[i], i * width, (i + 1) * width, density);
		total += pieces[i].n;
	}
	/* Sometimes two neighbours in one leaf. */
	if (below(3) == 0 && pieces[0].to < width - 2) {
		pieces[1].from = pieces[0].to + 1;
		pieces[1].to = pieces[1].from + 1;
		for (i = 0; i < pieces[1].n; i++)
			free(pieces[1].areas[i]);
		total -= pieces[1].n;
		pieces[1].n = 1;
		pieces[1].areas[0] = area_at(pieces[1].from);
		total++;
	}
	for (i = 0; i < n; i++)
		assert_int_equal(quire_splice_reserve_apart(q, &ix, &pieces[i].splice,
							    (pieces[i].from + 1) * place_bytes,
							    (pieces[i].to + 1) * place_bytes, pieces[i].n,
							    total - pieces[i].n), 0);
	if (below(2))
		for (i = n; i-- > 0;)
			commit_piece(&pieces[i]);
	else
		for (i = 0; i < n; i++)
			commit_piece(&pieces[i]);
}

static void run_rounds(uint64_t distance)
{
	place_bytes = distance;
	quire_index_init(&ix, (PLACES + 2) * place_bytes);
	for (unsigned i = 0; i < 6000; i++) {
		/* The tree grows, stays, shrinks to nothing, and so on. */
		run_round(i / 500 % 3 == 0 ? 90 : i / 500 % 3 == 1 ? 50 : 3);
		if (i % 16 == 0)
			assert_same();
		if (i % 64 == 0)
			quire_grace_poll(q);
	}
	assert_same();
}

static void areas_near_each_other(void **state)
{
	(void)state;
	run_rounds(4 * PAGE);
}

static void areas_far_apart(void **state)
{
	(void)state;
	run_rounds(UINT64_C(1) << (HAS_WIDE ? 34 : 31));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(areas_near_each_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(areas_far_apart, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("index-apart", tests, NULL, NULL);
}

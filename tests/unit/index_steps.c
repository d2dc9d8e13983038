/* SPDX-License-Identifier: MIT */
/*
 * Readers of the index, step by step: between any two loads of a reader the writer may make whole
 * splices, and one all but for its count; and the reader's answer must be the right one for one of the states that
 * the tree had meanwhile.
 *
 * The readers' code is compiled in here a second time, under other names, with a call at every
 * atomic load. The writer is the library's, and runs within that call; so one thread does, and
 * what fails fails again.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void step(void); /* not static: inline functions of the headers call it */

#define QUIRE_SCHED_POINT(p, is_write) step()

#include "port_host.h"

#define quire_index_find stepped_find
#define quire_index_find_prev stepped_find_prev
#define quire_index_intersection stepped_intersection
#define quire_index_before stepped_before
#define quire_index_first stepped_first
#define quire_index_last stepped_last
#define quire_index_walk_start stepped_walk_start
#define quire_index_walk_next stepped_walk_next
#define quire_index_init_instance stepped_init_instance
#define quire_index_init stepped_init

struct quire_vma *stepped_find(const struct quire_index *ix, quire_uaddr_t addr);
struct quire_vma *stepped_find_prev(const struct quire_index *ix, quire_uaddr_t addr,
				    struct quire_vma **prev);
struct quire_vma *stepped_intersection(const struct quire_index *ix, quire_uaddr_t start,
				       quire_uaddr_t end);
struct quire_vma *stepped_before(const struct quire_index *ix, quire_uaddr_t addr);
struct quire_vma *stepped_first(const struct quire_index *ix);
struct quire_vma *stepped_last(const struct quire_index *ix);
void stepped_walk_start(struct quire_index_walk *w, const struct quire_index *ix,
			quire_uaddr_t addr);
struct quire_vma *stepped_walk_next(struct quire_index_walk *w);
int stepped_init_instance(struct quire *q);
void stepped_init(struct quire_index *ix, quire_uaddr_t end);

#include "vma/index.c"

#undef quire_index_find
#undef quire_index_find_prev
#undef quire_index_init_instance
#undef quire_index_init

#define PAGE QUIRE_PAGE_SIZE
#define MOST_AREAS 1000
#define MOST_STATES 24

/* ---- The writer and its model ------------------------------------------------------------ */

static struct host *host;
static struct quire *q;
static struct quire_index ix;
static struct quire_vma *area[MOST_AREAS]; /* the model: sorted */
static size_t count;
static uint64_t space; /* pages */
static uint64_t random_state = 4242;

struct shared_area {
	struct quire_vma vma;
	struct quire_deferred deferred;
};

static uint64_t below(uint64_t n)
{
	return n ? host_random(&random_state) % n : 0;
}

static struct quire_vma *shared_new(uint64_t start, uint64_t end)
{
	struct shared_area *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	a->vma.start = start * PAGE;
	a->vma.end = end * PAGE;
	return &a->vma;
}

static void shared_free(struct quire *instance, struct quire_deferred *d)
{
	(void)instance;
	free(quire_container_of(d, struct shared_area, deferred));
}

/* How many areas of the model end at or before addr. */
static size_t model_upto(quire_uaddr_t addr)
{
	size_t i;

	for (i = 0; i < count && area[i]->end <= addr; i++)
		;
	return i;
}

/* Some areas that are neighbours go, others come, up to so many; near the place, or anywhere. */
static void random_splice(size_t place, size_t most_old, size_t most_new)
{
	size_t at = below(count + 1), n_old, n_new = below(most_new + 1), n = 0, i;
	uint64_t low, high, p;
	struct quire_vma *areas[64];
	struct quire_splice s;

	if (below(4)) {
		at = place + below(4);
		at = at > 2 ? at - 2 : 0;
		if (at > count)
			at = count;
	}
	n_old = below(count - at + 1 < most_old + 1 ? count - at + 1 : most_old + 1);
	low = at ? area[at - 1]->end / PAGE : 0;
	high = at + n_old < count ? area[at + n_old]->start / PAGE : space;
	if (low == high || count - n_old + n_new > MOST_AREAS)
		return;
	for (p = low, i = 0; i < n_new && p < high; i++) {
		uint64_t each = (high - p) / (n_new - i), start = p + below(each), end;

		end = start + 1 + below(each);
		if (end > high)
			end = high;
		areas[n++] = shared_new(start, end);
		p = end;
	}
	assert_int_equal(quire_splice_reserve(q, &ix, &s, low * PAGE, high * PAGE, n), 0);
	quire_splice_commit(q, &ix, &s, areas, n);
	for (i = 0; i < n_old; i++)
		quire_defer(q, &quire_container_of(area[at + i], struct shared_area, vma)->deferred,
			    shared_free);
	memmove(area + at + n, area + at + n_old, (count - at - n_old) * sizeof(*area));
	memcpy(area + at, areas, n * sizeof(*area));
	count = count - n_old + n;
}

/* ---- Stepping ---------------------------------------------------------------------------- */

struct answer {
	struct quire_vma *vma, *prev;
};

static bool stepping;
static quire_uaddr_t asked;
static struct answer right[MOST_STATES]; /* the answers to asked, one a state */
static unsigned states;
static unsigned patience; /* loads until the writer's next turn */
static unsigned turns;	  /* that it will have */
static unsigned uncounted; /* loads until the last splice, which readers can see, is counted; 0: it is */
static size_t most_old, most_new;

static void note_state(void)
{
	size_t i = model_upto(asked);

	right[states].vma = i < count ? area[i] : NULL;
	right[states].prev = i ? area[i - 1] : NULL;
	states++;
}

static void count_now(void)
{
	if (uncounted) {
		uncounted = 0;
		ix.changes++;
	}
}

/* A splice is seen first and counted then: that is the writer's last store, and until then there is no other splice. */
void step(void)
{
	unsigned long before = ix.changes;
	unsigned splices;
	bool late;

	if (stepping && uncounted) {
		if (--uncounted == 0)
			ix.changes++;
		return;
	}
	if (!stepping || turns == 0 || patience-- > 0)
		return;
	stepping = false;
	turns--;
	patience = (unsigned)below(10);
	late = below(2) != 0;
	host_set_cpu(1);
	for (splices = late ? 1 : 1 + (unsigned)below(3); splices && states < MOST_STATES; splices--) {
		random_splice(model_upto(asked), most_old, most_new);
		note_state();
	}
	host_set_cpu(0);
	if (late && ix.changes == before + 1) {
		ix.changes = before;
		uncounted = 1 + (unsigned)below(10);
	}
	stepping = true;
}

static void begin(quire_uaddr_t addr)
{
	asked = addr;
	states = 0;
	note_state();
	patience = (unsigned)below(below(2) ? 8 : 60);
	turns = 1 + (unsigned)below(4);
	quire_grace_enter(q);
	stepping = true;
}

static void end(void)
{
	stepping = false;
	count_now();
	quire_grace_leave(q);
}

/* Near an area's bound, most often: there leaves meet. */
static quire_uaddr_t interesting(void)
{
	const struct quire_vma *vma;

	if (!count || below(4) == 0)
		return below(space + 2) * PAGE;
	vma = area[below(count)];
	switch (below(4)) {
	case 0:
		return vma->start - (vma->start ? 1 : 0);
	case 1:
		return vma->start;
	case 2:
		return vma->end - 1;
	default:
		return vma->end;
	}
}

static void assert_was_true(bool is_prev_known, struct quire_vma *vma, bool is_vma_known,
			    struct quire_vma *prev, const char *what)
{
	unsigned i;

	for (i = 0; i < states; i++)
		if ((!is_vma_known || right[i].vma == vma) &&
		    (!is_prev_known || right[i].prev == prev))
			return;
	fail_msg("%s: an answer that was never true, after %u states", what, states);
}

static void read_all_ways(void)
{
	struct quire_vma *vma, *prev;

	begin(interesting());
	vma = stepped_find(&ix, asked);
	end();
	assert_was_true(false, vma, true, NULL, "find");

	begin(interesting());
	vma = stepped_find_prev(&ix, asked, &prev);
	end();
	assert_was_true(true, vma, true, prev, "find_prev");

	begin(interesting());
	prev = stepped_before(&ix, asked);
	end();
	assert_was_true(true, NULL, false, prev, "before");
}

/* Each step of a walk is a find at where the last area ended. */
static void walk_some(void)
{
	struct quire_index_walk w;
	quire_uaddr_t from = interesting();
	struct quire_vma *vma;
	unsigned i;

	quire_grace_enter(q);
	stepped_walk_start(&w, &ix, from);
	for (i = 0; i < 30; i++) {
		begin(from);
		vma = stepped_walk_next(&w);
		end();
		assert_was_true(false, vma, true, NULL, "walk");
		if (!vma)
			break;
		from = vma->end;
	}
	quire_grace_leave(q);
}

static void start(uint64_t pages, size_t areas)
{
	host = host_new_ready(UINT64_C(64) << 20, 2);
	q = &host->q;
	space = pages;
	count = 0;
	assert_int_equal(quire_index_init_instance(q), 0);
	quire_index_init(&ix, space * PAGE);
	while (count < areas) {
		uint64_t each = pages / areas, from = count * each + below(each / 2);
		struct quire_vma *vma = shared_new(from, from + 1 + below(each / 2));
		struct quire_splice s;

		assert_int_equal(quire_splice_reserve(q, &ix, &s, vma->start, vma->end, 1), 0);
		quire_splice_commit(q, &ix, &s, &vma, 1);
		area[count++] = vma;
	}
}

static void finish(void)
{
	assert_null(quire_index_check(&ix));
	assert_int_equal(ix.count, count);
	quire_index_destroy(q, &ix);
	while (count)
		quire_defer(q,
			    &quire_container_of(area[--count], struct shared_area, vma)->deferred,
			    shared_free);
	quire_grace_wait(q);
	host_delete(host);
}

/* ---- Tests ------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS 1500
#else
#define ROUNDS 25000
#endif

/* Splices of one or two areas: most change a leaf in place. */
static void test_small_splices(void **state)
{
	unsigned i;

	(void)state;
	start(3000, 120);
	for (i = 0; i < ROUNDS; i++) {
		most_old = count > 100 ? 2 : 1;
		most_new = count > 140 ? 1 : 2;
		read_all_ways();
		walk_some();
	}
	finish();
}

/*
 * Splices that go over several leaves, so inner nodes and the root are replaced under the reader.
 */
static void test_large_splices(void **state)
{
	unsigned i;

	(void)state;
	start(20000, 400);
	for (i = 0; i < ROUNDS / 2; i++) {
		most_old = count > 400 ? 60 : 20;
		most_new = count > 600 ? 10 : 60;
		read_all_ways();
		walk_some();
	}
	finish();
}

/* A tree that is near empty: the root comes, goes, and is now a leaf and now not. */
static void test_around_nothing(void **state)
{
	unsigned i;

	(void)state;
	start(200, 0);
	for (i = 0; i < ROUNDS; i++) {
		most_old = 20;
		most_new = 20;
		read_all_ways();
		walk_some();
	}
	finish();
}

/* Wide leaves. */
static void test_far_apart(void **state)
{
	unsigned i;

	(void)state;
	start(HAS_WIDE ? UINT64_C(1) << 44 : PAGE_NONE - 1, 150);
	for (i = 0; i < ROUNDS; i++) {
		most_old = count > 100 ? 3 : 1;
		most_new = count > 150 ? 1 : 3;
		read_all_ways();
		walk_some();
	}
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_splices),
		cmocka_unit_test(test_large_splices),
		cmocka_unit_test(test_around_nothing),
		cmocka_unit_test(test_far_apart),
	};

	return cmocka_run_group_tests_name("index, step by step", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * Readers of the index without a lock beside a writer, in threads: what is there throughout is always
 * found, what is gone is never seen after its grace period, and answers were true at one moment.
 */
#include "index_world.h"

/* ---- Readers beside a writer ------------------------------------------------------------- */

/* An area that readers may look at; freed after a grace period. id is ALIVE until then. */
#define ALIVE 4711

struct shared_area {
	struct quire_vma vma;
	struct quire_deferred deferred;
};

static struct quire_vma *shared_new(quire_uaddr_t start, quire_uaddr_t end)
{
	struct shared_area *a = calloc(1, sizeof(*a));

	if (!a)
		abort();
	a->vma.start = start;
	a->vma.end = end;
	a->vma.id = ALIVE;
	return &a->vma;
}

static void shared_free(struct quire *q, struct quire_deferred *d)
{
	struct shared_area *a = quire_container_of(d, struct shared_area, deferred);

	(void)q;
	a->vma.id = 0;
	free(a);
}

static void shared_retire(struct quire *q, struct quire_vma *vma)
{
	quire_defer(q, &quire_container_of(vma, struct shared_area, vma)->deferred, shared_free);
}

/* In threads, where cmocka can't say it. */
static void must(bool yes, const char *what)
{
	if (!yes) {
		fprintf(stderr, "not so: %s\n", what);
		abort();
	}
}

static void splice(struct world *w, quire_uaddr_t start, quire_uaddr_t end,
		   struct quire_vma *const *areas, size_t n)
{
	struct quire_splice s;

	must(quire_splice_reserve(w->q, &w->ix, &s, start, end, n) == 0, "memory");
	quire_splice_commit(w->q, &w->ix, &s, areas, n);
}

/*
 * CPU 0 splices, the others read. Some areas, the pillars, are never touched: a reader finds each,
 * always, and a walk passes all of them. Between two pillars the writer puts areas, takes them
 * away, cuts and joins them; it never leaves a free page in the even ones of these stretches, so a
 * reader finds an area there, always.
 */
#define PILLARS 400u
#define STRIDE 64u
#define READERS 3u

struct traffic {
	struct world *w;
	uint64_t unit; /* bytes */
	uint32_t stop; /* atomic */
	uint64_t reads[READERS + 1];
};

static void writer(struct traffic *t)
{
	struct world *w = t->w;
	uint64_t random = 99991, unit = t->unit;
	unsigned round, rounds = SLOW ? 5000 : 100000;

	for (round = 0; round < rounds; round++) {
		/* Stretch p lies between pillars p and p + 1, both a unit long. */
		uint64_t p = host_random(&random) % (PILLARS - 1),
			 many = host_random(&random) % 16 == 0 ? 6 : 1;
		uint64_t from = p * STRIDE + 1, to, at;
		struct quire_vma *areas[STRIDE * 6 + 6], *old[STRIDE * 6 + 6];
		struct quire_index_walk walk;
		struct quire_vma *vma;
		size_t n = 0, n_old = 0;

		if (p + many > PILLARS - 1)
			many = 1;
		to = (p + many) * STRIDE;
		for (at = from; at < to;) {
			uint64_t stretch = at / STRIDE, end = (stretch + 1) * STRIDE, length;

			if (at % STRIDE == 0) { /* a pillar: the same area stays */
				areas[n++] = w->area[stretch];
				at++;
				continue;
			}
			length = 1 + host_random(&random) % (round % 2000 < 1000 ? 6 : 60);
			if (at + length > end)
				length = end - at;
			if (stretch % 2 == 0 || host_random(&random) % 2)
				areas[n++] = shared_new(at * unit, (at + length) * unit);
			at += length;
		}
		quire_index_walk_start(&walk, &w->ix, from * unit);
		while ((vma = quire_index_walk_next(&walk)) && vma->start < to * unit)
			if (vma->start / unit % STRIDE)
				old[n_old++] = vma;
		splice(w, from * unit, to * unit, areas, n);
		while (n_old--)
			shared_retire(w->q, old[n_old]);
		if (round % 1000 == 0)
			must(!quire_index_check(&w->ix), "all equations");
	}
	quire_store_release(&t->stop, 1);
}

static void reader(struct traffic *t, unsigned cpu)
{
	const struct quire_index *ix = &t->w->ix;
	uint64_t random = 12345 + cpu, reads = 0, unit = t->unit;

	while (!quire_load_acquire(&t->stop)) {
		uint64_t p = host_random(&random) % PILLARS, page;
		quire_uaddr_t addr, seen;
		struct quire_vma *vma, *prev;
		struct quire_index_walk walk;
		unsigned i;

		quire_grace_enter(t->w->q);
		/* A pillar. */
		vma = quire_index_find(ix, p * STRIDE * unit + 5);
		must(vma == t->w->area[p], "a pillar is found");
		vma = quire_index_find_prev(ix, (p * STRIDE + 1) * unit, &prev);
		must(prev == t->w->area[p], "the area before is the pillar");
		must(!vma || (vma->id == ALIVE && vma->end > (p * STRIDE + 1) * unit),
		     "the area behind a pillar");
		if (p % 2 == 1) {
			vma = quire_index_before(ix, p * STRIDE * unit);
			must(vma && vma->id == ALIVE && vma->end == p * STRIDE * unit,
			     "covered up to the pillar");
		}
		/* Covered stretches. */
		page = (p & ~UINT64_C(1)) * STRIDE + host_random(&random) % STRIDE;
		if (page < (PILLARS - 1) * STRIDE) {
			addr = page * unit + host_random(&random) % unit;
			vma = quire_index_find(ix, addr);
			must(vma && vma->id == ALIVE && vma->start <= addr && addr < vma->end,
			     "an area that covers");
		}
		/* Anything. */
		page = host_random(&random) % (PILLARS * STRIDE);
		addr = page * unit;
		vma = quire_index_find(ix, addr);
		if (page <= (PILLARS - 1) * STRIDE) {
			must(vma && vma->id == ALIVE && vma->end > addr, "an area above");
			must(vma->start <= (page + STRIDE - 1) / STRIDE * STRIDE * unit,
			     "no pillar is missed");
		} else {
			must(!vma, "nothing behind the last pillar");
		}
		/* A walk: ascending, and all pillars. */
		p = host_random(&random) % PILLARS;
		seen = p * STRIDE * unit;
		quire_index_walk_start(&walk, ix, seen);
		for (i = 0; i < 100 && (vma = quire_index_walk_next(&walk)); i++) {
			/* What two became may begin before the one that was seen ended. */
			must(vma->id == ALIVE && vma->end > seen, "ascending");
			seen = vma->end;
			if (vma->start % (STRIDE * unit) == 0) {
				must(vma == t->w->area[p], "every pillar in its turn");
				p++;
			}
			must(seen <= (p * STRIDE + (p < PILLARS ? 0 : 1)) * unit,
			     "a pillar before what is behind it");
		}
		quire_grace_leave(t->w->q);
		reads++;
	}
	t->reads[cpu] = reads;
}

static void traffic(void *arg, unsigned cpu)
{
	if (cpu == 0)
		writer(arg);
	else
		reader(arg, cpu);
}

static void run_traffic(uint64_t unit)
{
	struct world *w = world_new(256 << 20, READERS + 1);
	struct traffic t = {.w = w, .unit = unit};
	struct quire_index_walk walk;
	struct quire_vma *vma;
	unsigned i;

	for (i = 0; i < PILLARS; i++) {
		vma = area_new(i * STRIDE * (unit / PAGE), (i * STRIDE + 1) * (unit / PAGE));
		vma->id = ALIVE;
		replace(w, vma->start, vma->end, i, 0, &vma, 1, 0);
	}
	/* The even stretches are covered from the start. */
	for (i = 0; i + 1 < PILLARS; i += 2) {
		vma = shared_new((i * STRIDE + 1) * unit, (i + 1) * STRIDE * unit);
		splice(w, vma->start, vma->end, &vma, 1);
	}
	host_run_cpus(READERS + 1, traffic, &t);
	assert_whole(&w->ix);
	for (i = 1; i <= READERS; i++)
		assert_true(t.reads[i] > 0);
	quire_index_walk_start(&walk, &w->ix, 0);
	while ((vma = quire_index_walk_next(&walk)))
		if (vma->start / unit % STRIDE)
			shared_retire(w->q, vma);
	world_delete(w);
}

static void test_readers_beside_a_writer(void **state)
{
	(void)state;
	run_traffic(PAGE);
}

#if HAS_WIDE
/* The same in leaves whose offsets don't reach: a stretch is 16 TiB long. */
static void test_readers_of_wide_leaves(void **state)
{
	(void)state;
	run_traffic(PAGE << 26);
}
#endif

/*
 * An answer that rests on two leaves was true at one moment. P is the last area of a leaf, Y the
 * first of the next. The writer goes round and round through
 *
 *   |-P-|             |-Y even-|
 *   |-P-|    |-X-|    |-Y even-|
 *   |-P-|    |-X-|    |-Y odd--|
 *   |-P-|    |-X-|    |-Y even-|
 *
 * so whoever asks for the first area behind P gets X, or an even Y: an odd one never is the first.
 */
#define CORNERS 8u

struct corners {
	struct world *w;
	uint32_t stop;				      /* atomic */
	struct quire_vma *p[CORNERS], *y[CORNERS];    /* the writer's */
	quire_uaddr_t behind[CORNERS], next[CORNERS]; /* end of P, start of Y */
	uint64_t saw_x, saw_y;			      /* reader 1; atomic */
};

/* An even or odd Y in place of that of corner i. */
static void turn_y(struct corners *c, unsigned i, uint64_t parity)
{
	struct quire_vma *old = c->y[i], *vma = shared_new(old->start, old->end);

	vma->flags = parity;
	splice(c->w, vma->start, vma->end, &vma, 1);
	c->y[i] = vma;
	shared_retire(c->w->q, old);
}

static void corner_writer(struct corners *c)
{
	unsigned round, rounds = SLOW ? 4000 : 100000;

	/* On a busy machine the reader may have been nowhere near by then. */
	for (round = 0; round < rounds || !quire_load(&c->saw_x) || !quire_load(&c->saw_y); round++) {
		unsigned i = round % CORNERS;
		struct quire_vma *old = c->p[i], *two[2];
		quire_uaddr_t start = old->start, end = c->behind[i];

		/* X comes with a new P, so that it comes into P's leaf. */
		two[0] = shared_new(start, end);
		two[1] = shared_new(end + 2 * PAGE, end + 4 * PAGE);
		splice(c->w, start, end + 4 * PAGE, two, 2);
		shared_retire(c->w->q, old);
		turn_y(c, i, 1);
		turn_y(c, i, 0);
		c->p[i] = shared_new(start, end);
		splice(c->w, start, end + 4 * PAGE, &c->p[i], 1);
		shared_retire(c->w->q, two[0]);
		shared_retire(c->w->q, two[1]);
	}
	quire_store_release(&c->stop, 1);
}

static void corner_reader(struct corners *c, unsigned cpu)
{
	uint64_t random = 777 + cpu, saw_x = 0, saw_y = 0;

	while (!quire_load_acquire(&c->stop)) {
		unsigned i = (unsigned)(host_random(&random) % CORNERS);
		quire_uaddr_t addr = c->behind[i] + PAGE;
		struct quire_vma *vma, *prev;

		quire_grace_enter(c->w->q);
		vma = quire_index_find(&c->w->ix, addr);
		must(vma && vma->id == ALIVE && vma->end > addr, "an area above");
		must(vma->start == c->behind[i] + 2 * PAGE || vma->start == c->next[i], "X or Y");
		must(vma->flags == 0, "an odd Y is not the first");
		saw_x += vma->start != c->next[i];
		saw_y += vma->start == c->next[i];
		vma = quire_index_find_prev(&c->w->ix, c->next[i], &prev);
		must(vma && vma->start == c->next[i] && prev, "Y, and one before");
		must(!vma->flags || prev->start == c->behind[i] + 2 * PAGE, "before an odd Y is X");
		must(prev->end == c->behind[i] || prev->end == c->behind[i] + 4 * PAGE,
		     "before a Y is X or P");
		quire_grace_leave(c->w->q);
		if (cpu == 1) {
			quire_store(&c->saw_x, saw_x);
			quire_store(&c->saw_y, saw_y);
		}
	}
}

static void corner_cpu(void *arg, unsigned cpu)
{
	if (cpu == 0)
		corner_writer(arg);
	else
		corner_reader(arg, cpu);
}

static void test_answers_were_true_once(void **state)
{
	struct world *w = world_new(64 << 20, READERS + 1);
	struct corners c = {.w = w};
	const struct index_inner *root;
	unsigned i, leaf;

	(void)state;
	for (i = 0; i < 20 * LEAF_SLOTS; i++) {
		struct quire_vma *vma = shared_new(i * 20 * PAGE, (i * 20 + 5) * PAGE);

		splice(w, vma->start, vma->end, &vma, 1);
	}
	assert_int_equal(w->ix.height, 2);
	root = as_inner(w->ix.root);
	for (i = 0, leaf = 1; i < CORNERS; i++, leaf += 2) {
		c.behind[i] = pivot_addr(root->pivot[leaf]) + 1;
		c.p[i] = quire_index_before(&w->ix, c.behind[i]);
		c.y[i] = quire_index_find(&w->ix, c.behind[i]);
		c.next[i] = c.y[i]->start;
	}
	host_run_cpus(READERS + 1, corner_cpu, &c);
	assert_whole(&w->ix);
	assert_true(c.saw_x > 0 && c.saw_y > 0);
	while ((c.y[0] = quire_index_first(&w->ix))) {
		splice(w, c.y[0]->start, c.y[0]->end, NULL, 0);
		shared_retire(w->q, c.y[0]);
	}
	world_delete(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_beside_a_writer),
#if HAS_WIDE
		cmocka_unit_test(test_readers_of_wide_leaves),
#endif
		cmocka_unit_test(test_answers_were_true_once),
	};

	return cmocka_run_group_tests_name("index, threads", tests, NULL, NULL);
}

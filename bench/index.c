/* SPDX-License-Identifier: MIT */
/*
 * How fast the index of areas is, and its peer: Linux 6.1's maple tree, in the same process, on
 * the same memory allocator and grace periods, given the same work.
 *
 *	bench-index [--quick] [--rcu] [--reserved] [areas...]
 *
 * The work: n areas of 1 to 16 pages with 0 to 15 free pages between them, at random. insert and
 * erase: one area a call, in ascending order and in a random one; each call of ours reserves and
 * commits. find: the area of an address in a random area, as page faults ask. chained: the same,
 * but each address is known only when the answer before is. walk: from the first area to the last,
 * a step. bytes: of all nodes, after inserting in order and at random.
 *
 * Small trees are built many times over. Figures are medians of rounds in which the two take turns.
 *
 * The peer gets what is fastest for it: stores without reserving first, and the mode in which its
 * readers need a lock. --reserved has it reserve as Linux's memory manager does; --rcu has it
 * serve readers that hold no lock, which ours always does.
 */
#include <quire/quire.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port.h"
#if HAVE_PEER
#include "maple/peer.h"
#endif

#define MOST_ROUNDS 31
#define MOST_TREES 1000

enum figure {
	FIND,
	CHAINED,
	INSERT,
	INSERT_RANDOM,
	ERASE,
	ERASE_RANDOM,
	WALK,
	BYTES,
	BYTES_RANDOM,
	FIGURES
};

static const char *const figure_name[FIGURES] = {
	"find",
	"find, chained",
	"insert in order",
	"insert at random",
	"erase in order",
	"erase at random",
	"walk, a step",
	"bytes, in order",
	"bytes, at random",
};

struct work {
	size_t n;
	struct quire_vma *area; /* in order */
	uint32_t *order;	/* a random one */
	uint64_t *addr;		/* addresses to find */
	size_t nr_addr;		/* power of two */
	size_t trees;		/* built one after the other, for one figure */
};

struct tree {
	const char *name;
	void (*start)(void);
	void (*stop)(void);
	void (*insert)(struct quire_vma *vma);
	void (*erase)(uint64_t start, uint64_t end);
	uint64_t (*find_all)(const uint64_t *addr, size_t n);
	uint64_t (*find_chained)(const uint64_t *addr, size_t n);
	uint64_t (*walk)(void);
	uint64_t (*bytes)(void);
};

static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

/* What a result depends on must not be optimised away. */
static volatile uint64_t sink;

/* ---- Ours -------------------------------------------------------------------------------- */

static struct quire *q;
static struct quire_index ix;

static void our_start(void)
{
	quire_index_init(&ix, UINT64_C(0x7ffffffff000));
}

static void our_stop(void)
{
	quire_index_destroy(q, &ix);
}

static void our_insert(struct quire_vma *vma)
{
	struct quire_splice s;

	if (quire_splice_reserve(q, &ix, &s, vma->start, vma->end, 1))
		abort();
	quire_splice_commit(q, &ix, &s, &vma, 1);
}

static void our_erase(uint64_t start, uint64_t end)
{
	struct quire_splice s;

	if (quire_splice_reserve(q, &ix, &s, start, end, 0))
		abort();
	quire_splice_commit(q, &ix, &s, NULL, 0);
}

static uint64_t our_find_all(const uint64_t *addr, size_t n)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += (uintptr_t)quire_index_find(&ix, addr[i]);
	return sum;
}

static uint64_t our_find_chained(const uint64_t *addr, size_t n)
{
	uint64_t last = 0;
	size_t i;

	for (i = 0; i < n; i++)
		last = (uintptr_t)quire_index_find(&ix, addr[i] + (last >> 63));
	return last;
}

static uint64_t our_walk(void)
{
	struct quire_index_walk w;
	struct quire_vma *vma;
	uint64_t n = 0;

	quire_index_walk_start(&w, &ix, 0);
	while ((vma = quire_index_walk_next(&w)))
		n++;
	return n;
}

static uint64_t our_bytes(void)
{
	return quire_index_bytes(&ix);
}

static const struct tree ours = {
	"quire",      our_start,	our_stop, our_insert, our_erase,
	our_find_all, our_find_chained, our_walk, our_bytes,
};

/* ---- The peer ---------------------------------------------------------------------------- */

#if HAVE_PEER
static bool peer_rcu, peer_reserves;

static void their_start(void)
{
	peer_start(peer_rcu);
}

static void their_insert(struct quire_vma *vma)
{
	if (peer_reserves)
		peer_store_reserved(vma->start, vma->end, vma);
	else
		peer_store(vma->start, vma->end, vma);
}

static void their_erase(uint64_t start, uint64_t end)
{
	if (peer_reserves)
		peer_store_reserved(start, end, NULL);
	else
		peer_store(start, end, NULL);
}

static uint64_t their_find_all(const uint64_t *addr, size_t n)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += (uintptr_t)peer_find(addr[i]);
	return sum;
}

static uint64_t their_find_chained(const uint64_t *addr, size_t n)
{
	uint64_t last = 0;
	size_t i;

	for (i = 0; i < n; i++)
		last = (uintptr_t)peer_find(addr[i] + (last >> 63));
	return last;
}

static const struct tree theirs = {
	"maple",	their_start,	    peer_stop, their_insert, their_erase,
	their_find_all, their_find_chained, peer_walk, peer_bytes,
};
#endif

/* ---- The work ---------------------------------------------------------------------------- */

static void *xalloc(size_t bytes)
{
	void *p = calloc(1, bytes);

	if (!p) {
		fprintf(stderr, "bench-index: no memory\n");
		exit(1);
	}
	return p;
}

static void work_init(struct work *w, size_t n)
{
	uint64_t page = 0x10000;
	size_t i;

	w->n = n;
	w->area = xalloc(n * sizeof(*w->area));
	w->order = xalloc(n * sizeof(*w->order));
	for (i = 0; i < n; i++) {
		page += random_below(16);
		w->area[i].start = page << QUIRE_PAGE_SHIFT;
		page += 1 + random_below(16);
		w->area[i].end = page << QUIRE_PAGE_SHIFT;
		w->order[i] = (uint32_t)i;
	}
	for (i = n; i > 1; i--) {
		size_t j = random_below(i);
		uint32_t tmp = w->order[j];

		w->order[j] = w->order[i - 1];
		w->order[i - 1] = tmp;
	}
	w->nr_addr = 1 << 17;
	while (w->nr_addr < n)
		w->nr_addr *= 2;
	w->addr = xalloc(w->nr_addr * sizeof(*w->addr));
	for (i = 0; i < w->nr_addr; i++) {
		const struct quire_vma *vma = &w->area[random_below(n)];

		w->addr[i] = vma->start + random_below(vma->end - vma->start);
	}
	w->trees = n < 100000 ? 100000 / n : 1;
	if (w->trees > MOST_TREES)
		w->trees = MOST_TREES;
}

static void work_done(struct work *w)
{
	free(w->area);
	free(w->order);
	free(w->addr);
}

static void insert_all(const struct tree *t, const struct work *w, bool at_random)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		/* Whoever inserts an area has just written it. */
		if (i + 4 < w->n)
			__builtin_prefetch(&w->area[at_random ? w->order[i + 4] : i + 4], 1);
		t->insert(&w->area[at_random ? w->order[i] : i]);
	}
}

static void erase_all(const struct tree *t, const struct work *w, bool at_random)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		const struct quire_vma *vma = &w->area[at_random ? w->order[w->n - 1 - i] : i];

		t->erase(vma->start, vma->end);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

/* Short stretches by the wall, the median of many; long ones by what this thread really ran. */
static uint64_t now(const struct work *w)
{
	return w->n < 10000 ? bench_ns() : bench_cpu_ns();
}

/* All figures of one tree, once. */
static void measure(const struct tree *t, const struct work *w, double *got)
{
	static double each[FIGURES][MOST_TREES];
	uint64_t from;
	size_t i, repeat, rounds = 1 + 200000 / w->n;

	for (i = 0; i < w->trees; i++) {
		t->start();
		from = now(w);
		insert_all(t, w, false);
		each[INSERT][i] = (double)(now(w) - from);
		if (i == 0)
			got[BYTES] = (double)t->bytes() / (double)w->n;
		from = now(w);
		erase_all(t, w, false);
		each[ERASE][i] = (double)(now(w) - from);

		from = now(w);
		insert_all(t, w, true);
		each[INSERT_RANDOM][i] = (double)(now(w) - from);
		if (i == 0) {
			got[BYTES_RANDOM] = (double)t->bytes() / (double)w->n;
			quire_grace_enter(q);
			sink = t->find_all(w->addr, w->nr_addr);
			from = bench_cpu_ns();
			sink = t->find_all(w->addr, w->nr_addr);
			got[FIND] = (double)(bench_cpu_ns() - from) / (double)w->nr_addr;
			from = bench_cpu_ns();
			sink = t->find_chained(w->addr, w->nr_addr);
			got[CHAINED] = (double)(bench_cpu_ns() - from) / (double)w->nr_addr;
			from = bench_cpu_ns();
			for (repeat = 0; repeat < rounds; repeat++)
				if (t->walk() != w->n)
					abort();
			got[WALK] =
				(double)(bench_cpu_ns() - from) / ((double)w->n * (double)rounds);
			quire_grace_leave(q);
		}
		from = now(w);
		erase_all(t, w, true);
		each[ERASE_RANDOM][i] = (double)(now(w) - from);
		t->stop();
		quire_grace_wait(q);
	}
	got[INSERT] = median(each[INSERT], w->trees) / (double)w->n;
	got[INSERT_RANDOM] = median(each[INSERT_RANDOM], w->trees) / (double)w->n;
	got[ERASE] = median(each[ERASE], w->trees) / (double)w->n;
	got[ERASE_RANDOM] = median(each[ERASE_RANDOM], w->trees) / (double)w->n;
}

static void run(size_t n, unsigned rounds)
{
	static double mine[FIGURES][MOST_ROUNDS], theirs_got[FIGURES][MOST_ROUNDS];
	double got[FIGURES] = {0};
	struct work w;
	unsigned round, f;

	work_init(&w, n);
	for (round = 0; round < rounds; round++) {
		measure(&ours, &w, got);
		for (f = 0; f < FIGURES; f++)
			mine[f][round] = got[f];
#if HAVE_PEER
		measure(&theirs, &w, got);
		for (f = 0; f < FIGURES; f++)
			theirs_got[f][round] = got[f];
#endif
	}
	printf("\n%zu areas, %u rounds           quire     maple     ratio\n", n, rounds);
	for (f = 0; f < FIGURES; f++) {
		double a = median(mine[f], rounds), b = median(theirs_got[f], rounds);

		printf("  %-20s %s %9.1f", figure_name[f], f < BYTES ? "ns" : " B", a);
		if (b > 0)
			printf(" %9.1f %8.2fx\n", b, b / a);
		else
			printf("         -         -\n");
	}
	work_done(&w);
}

int main(int argc, char **argv)
{
	static const size_t standard[] = {100, 10000, 1000000};
	unsigned rounds = 9;
	bool any = false;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--quick")) {
			rounds = 3;
#if HAVE_PEER
		} else if (!strcmp(argv[i], "--rcu")) {
			peer_rcu = true;
		} else if (!strcmp(argv[i], "--reserved")) {
			peer_reserves = true;
#endif
		} else if (argv[i][0] >= '1' && argv[i][0] <= '9') {
			any = true;
		} else {
			fprintf(stderr,
				"usage: bench-index [--quick] [--rcu] [--reserved] [areas...]\n");
			return 2;
		}
	}
	q = bench_quire(UINT64_C(512) << 20);
	if (quire_index_init_instance(q))
		return 1;
#if HAVE_PEER
	peer_init(q);
#else
	printf("bench-index: no linux-source-6.1.tar.xz in /usr/src, so no peer to compare with\n");
#endif
	printf("the index of areas; ns a call, and bytes an area");
#if HAVE_PEER
	printf("; ratio: maple / quire%s%s", peer_rcu ? ", maple in RCU mode" : "",
	       peer_reserves ? ", maple reserves before each store" : "");
#endif
	printf("\n");
	if (!any)
		for (i = 0; i < (int)QUIRE_ARRAY_SIZE(standard); i++)
			run(standard[i], rounds);
	for (i = 1; i < argc; i++)
		if (argv[i][0] != '-')
			run(strtoull(argv[i], NULL, 10), rounds);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The allocation functions of the library, wrapped by the linker (--wrap): each call is counted,
 * failed where the test says so, and noted by the address that it returns to. Of a call that is
 * failed the whole stack is noted, so that it is known not only that memory ran out at a place but
 * by which ways that has come back.
 */
#include <stdlib.h>

#include "failure.h"

static struct quire_fail fail; /* as the rooms have one each; this one is for all of them */
bool (*fail_hook)(void);
static bool on_purpose, may_reclaim; /* see __wrap_quire_grace_reclaim() */
static uint64_t chance; /* xorshift's state */
static unsigned one_in; /* 0: not at random */
static uintptr_t stack_top;
static bool in_hook;

/* ---- Who asked --------------------------------------------------------------------------- */

struct site {
	uintptr_t at;		  /* return address; 0: free */
	unsigned reached, failed; /* as an allocation */
	unsigned came_back;	  /* as a call on the stack of one that was failed */
};

#define NR_SITES 8192
static struct site sites[NR_SITES];

static struct site *site_of(uintptr_t at)
{
	size_t i = at * 0x9e3779b97f4a7c15u >> 40;

	for (;; i++) {
		struct site *s = &sites[i % NR_SITES];

		if (s->at == at)
			return s;
		if (!s->at) {
			s->at = at;
			return s;
		}
	}
}

void mark_stack(void *frame)
{
	stack_top = (uintptr_t)frame;
}

/* Frame pointers up to the test's own frame; the machine has none, and there it ends. */
__attribute__((no_sanitize_address)) static void note_stack(uintptr_t *frame)
{
	while ((uintptr_t)frame < stack_top && (uintptr_t)frame % sizeof(*frame) == 0) {
		uintptr_t *up = (uintptr_t *)frame[0];

		if (frame[1])
			site_of(frame[1])->came_back++;
		if (up <= frame)
			break;
		frame = up;
	}
}

static bool at_random(void)
{
	if (!one_in)
		return false;
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	if ((chance >> 20) % one_in)
		return false;
	fail.failed++;
	return true;
}

static bool fails(void *frame)
{
	uintptr_t *f = frame;
	struct site *s;
	bool now;

	if (in_hook)
		return false;
	s = site_of(f[1]);
	s->reached++;
	now = quire_fail_now(&fail) || at_random();
	if (fail_hook) {
		in_hook = true;
		now |= fail_hook();
		in_hook = false;
	}
	if (now) {
		s->failed++;
		note_stack(f);
	}
	return now;
}

#define FAILS() fails(__builtin_frame_address(0))

struct quire_page *__real_quire_page_alloc(struct quire *q, quire_gfp_t gfp, unsigned order);
struct quire_page *__wrap_quire_page_alloc(struct quire *q, quire_gfp_t gfp, unsigned order);
struct quire_page *__real_quire_page_alloc_policy(struct quire *q, const struct quire_mempolicy *policy,
						  uint64_t index, quire_gfp_t gfp);
struct quire_page *__wrap_quire_page_alloc_policy(struct quire *q, const struct quire_mempolicy *policy,
						  uint64_t index, quire_gfp_t gfp);
void *__real_quire_cache_alloc(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp);
void *__wrap_quire_cache_alloc(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp);
void *__real_quire_kmalloc(struct quire *q, size_t size, quire_gfp_t gfp);
void *__wrap_quire_kmalloc(struct quire *q, size_t size, quire_gfp_t gfp);

struct quire_page *__wrap_quire_page_alloc(struct quire *q, quire_gfp_t gfp, unsigned order)
{
	return FAILS() ? NULL : __real_quire_page_alloc(q, gfp, order);
}

struct quire_page *__wrap_quire_page_alloc_policy(struct quire *q, const struct quire_mempolicy *policy,
						  uint64_t index, quire_gfp_t gfp)
{
	return FAILS() ? NULL : __real_quire_page_alloc_policy(q, policy, index, gfp);
}

void *__wrap_quire_cache_alloc(struct quire *q, struct quire_cache *cache, quire_gfp_t gfp)
{
	return FAILS() ? NULL : __real_quire_cache_alloc(q, cache, gfp);
}

void *__wrap_quire_kmalloc(struct quire *q, size_t size, quire_gfp_t gfp)
{
	return FAILS() ? NULL : __real_quire_kmalloc(q, size, gfp);
}

bool __real_quire_grace_reclaim(struct quire *q, unsigned *tries);
bool __wrap_quire_grace_reclaim(struct quire *q, unsigned *tries);

/*
 * Where an allocation was failed there is memory, and another try would find it: whoever is to see what comes after want of
 * memory must not be told that there is use in one.
 */
bool __wrap_quire_grace_reclaim(struct quire *q, unsigned *tries)
{
	return (may_reclaim || !(on_purpose || fail_hook)) && __real_quire_grace_reclaim(q, tries);
}

/* ---- Failing ----------------------------------------------------------------------------- */

void fail_at(uint64_t k, bool sticky)
{
	fail = (struct quire_fail){.after = k, .sticky = sticky};
	on_purpose = true;
	may_reclaim = false;
}

void fail_at_random(uint64_t seed, unsigned n, bool reclaim)
{
	fail = (struct quire_fail){.after = 0};
	on_purpose = true;
	may_reclaim = reclaim;
	chance = (seed + 1) * 0x9e3779b97f4a7c15u;
	one_in = n;
}

unsigned fail_end(void)
{
	one_in = 0;
	on_purpose = false;
	fail.after = 0;
	return (unsigned)fail.failed;
}

static struct quire_list hog = {&hog, &hog};

static void let_one_go(struct quire *q)
{
	struct quire_page *page = quire_list_first(&hog, struct quire_page, lru);

	assert_false(quire_list_empty(&hog));
	quire_list_del(&page->lru);
	quire_page_free(q, page, 0);
	quire_page_drain(q);
}

/* The zones keep a reserve that is not for everybody: pages beyond that count. */
void hog_all_but(struct quire *q, unsigned n)
{
	const quire_gfp_t gfp = QUIRE_GFP_HIGHUSER | QUIRE_GFP_NOWARN;
	struct quire_page *page;

	quire_slab_shrink_quiet(q);
	while ((page = __real_quire_page_alloc(q, gfp | QUIRE_GFP_MEMALLOC, 0)))
		quire_list_add(&hog, &page->lru);
	while (!(page = __real_quire_page_alloc(q, gfp, 0)))
		let_one_go(q);
	quire_list_add(&hog, &page->lru);
	while (n--)
		let_one_go(q);
}

void hog_forget(void)
{
	quire_list_init(&hog);
}

void hog_end(struct quire *q)
{
	while (!quire_list_empty(&hog)) {
		struct quire_page *page = quire_list_first(&hog, struct quire_page, lru);

		quire_list_del(&page->lru);
		quire_page_free(q, page, 0);
	}
}

/* ---- For run.py -------------------------------------------------------------------------- */

extern const char __executable_start[];

/* One line an address, from the start of the program: reached, failed, came back. */
void write_sites(const char *path)
{
	FILE *out = fopen(path, "w");

	if (!out)
		abort();
	for (size_t i = 0; i < NR_SITES; i++) {
		if (sites[i].at)
			fprintf(out, "%lx %u %u %u\n",
				(unsigned long)(sites[i].at - (uintptr_t)__executable_start),
				sites[i].reached, sites[i].failed, sites[i].came_back);
	}
	fclose(out);
}

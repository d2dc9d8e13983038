/* SPDX-License-Identifier: MIT */
/* The slab room: caches, constructors, alignment, magazines, what debug builds notice, kmalloc. */
#include "port_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#define RAM (16384 * QUIRE_PAGE_SIZE)

static void check(struct host *h)
{
	const char *broken = quire_slab_check(&h->q);

	if (!broken)
		broken = quire_page_check(&h->q);
	if (broken)
		fail_msg("%s", broken);
}

static int setup(void **state)
{
	*state = host_new_ready(RAM, 4);
	return 0;
}

/* After every test: whole, and nothing left over but what the caches of sizes keep. */
static int teardown(void **state)
{
	struct host *h = *state;
	struct quire_cache_stat stat;
	unsigned i;

	assert_false(host_is_atomic());
	quire_grace_wait(&h->q);
	check(h);
	quire_slab_shrink_quiet(&h->q);
	check(h);
	for (i = 0; i < QUIRE_KMALLOC_CLASSES; i++) {
		quire_cache_stat(&h->q, &h->q.slabs.kmalloc[i], &stat);
		assert_int_equal(stat.active_objects, 0);
		assert_int_equal(stat.total_objects, 0);
	}
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_SLAB_UNRECLAIMABLE), 0);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_SLAB_RECLAIMABLE), 0);
	host_delete(h);
	return 0;
}

static struct quire_cache *cache_of(struct host *h, struct quire_cache *cache, size_t size)
{
	assert_int_equal(quire_cache_create(&h->q, cache, "test", size, 0, 0, NULL), 0);
	return cache;
}

static void destroy(struct host *h, struct quire_cache *cache)
{
	assert_int_equal(quire_cache_destroy(&h->q, cache), 0);
	assert_null(cache->cpu);
}

/* ---- Caches ------------------------------------------------------------------------------ */

static void bad_caches_are_refused(void **state)
{
	struct host *h = *state;
	const size_t largest = (size_t)QUIRE_PAGE_SIZE << QUIRE_MAX_ORDER;
	struct quire_cache c;

	assert_int_equal(quire_cache_create(&h->q, &c, "c", 0, 0, 0, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_cache_create(&h->q, &c, "c", largest + 1, 0, 0, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_cache_create(&h->q, &c, "c", 64, 24, 0, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_cache_create(&h->q, &c, "c", 64, 2 * QUIRE_PAGE_SIZE, 0, NULL), -QUIRE_EINVAL);
	assert_int_equal(quire_cache_create(&h->q, &c, "c", largest, 0, 0, NULL), 0);
	destroy(h, &c);
}

#if QUIRE_DEBUG
static void cache_without_memory_for_magazines_is_refused(void **state)
{
	struct host *h = *state;
	uint64_t before = quire_free_pages(&h->q);
	struct quire_cache c;

	h->q.pages.fail.after = 1;
	assert_int_equal(quire_cache_create(&h->q, &c, "c", 64, 0, 0, NULL), -QUIRE_ENOMEM);
	assert_int_equal(quire_free_pages(&h->q), before);
}
#endif

/* Many objects at once: each aligned, all its bytes its own. */
static void objects_are_aligned_and_apart(void **state)
{
	static const size_t sizes[] = { 1, 7, 8, 9, 24, 48, 100, 192, 500, 1000, 2048, 4096, 5000, 16384, 70000 };
	static unsigned char *objects[300];
	struct host *h = *state;
	struct quire_cache c;
	size_t s, align, i, j;

	for (s = 0; s < QUIRE_ARRAY_SIZE(sizes); s++) {
		for (align = 0; align <= QUIRE_PAGE_SIZE; align = align ? align * 4 : 1) {
			size_t size = sizes[s], n = size > 1000 ? 40 : QUIRE_ARRAY_SIZE(objects);

			assert_int_equal(quire_cache_create(&h->q, &c, "c", size, align, 0, NULL), 0);
			for (i = 0; i < n; i++) {
				objects[i] = quire_cache_alloc(&h->q, &c, 0);
				assert_non_null(objects[i]);
				assert_int_equal((uintptr_t)objects[i] % (align < sizeof(void *) ? sizeof(void *) : align), 0);
				memset(objects[i], (int)i, size);
			}
			assert_null(quire_cache_check(&h->q, &c));
			for (i = 0; i < n; i++)
				for (j = 0; j < size; j += size / 8 + 1)
					assert_int_equal(objects[i][j], (unsigned char)i);
			for (i = 0; i < n; i++)
				quire_cache_free(&h->q, &c, objects[i]);
			assert_null(quire_cache_check(&h->q, &c));
			destroy(h, &c);
		}
	}
}

static void hwcache_align_gives_each_its_own_lines(void **state)
{
	struct host *h = *state;
	struct quire_cache c;
	void *a, *b;

	assert_int_equal(quire_cache_create(&h->q, &c, "c", 10, 0, QUIRE_SLAB_HWCACHE_ALIGN, NULL), 0);
	a = quire_cache_alloc(&h->q, &c, 0);
	b = quire_cache_alloc(&h->q, &c, 0);
	assert_int_equal((uintptr_t)a % QUIRE_CACHELINE, 0);
	assert_int_equal((uintptr_t)b % QUIRE_CACHELINE, 0);
	quire_cache_free(&h->q, &c, a);
	quire_cache_free(&h->q, &c, b);
	destroy(h, &c);
}

/* ---- Constructors and content ------------------------------------------------------------ */

#define BUILT UINT64_C(0x1122334455667788)

struct built {
	uint64_t magic, constructed, tail;
};

static void construct(void *object)
{
	struct built *b = object;

	b->magic = BUILT;
	b->constructed++;
	b->tail = ~BUILT;
}

/* An object comes as the constructor made it or as its last user left it, and is constructed once a slab's life. */
static void constructed_objects_keep_their_state(void **state)
{
	static struct built *objects[500];
	struct host *h = *state;
	struct quire_cache c;
	uint64_t seed[500];
	unsigned round, i;

	/* Memory that was somebody else's before. */
	struct quire_page *page = quire_page_alloc(&h->q, 0, 8);
	memset(quire_page_to_virt(&h->q, page), 0, QUIRE_PAGE_SIZE << 8);
	quire_page_free(&h->q, page, 8);

	assert_int_equal(quire_cache_create(&h->q, &c, "c", sizeof(struct built), 0, 0, construct), 0);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 500; i++) {
			objects[i] = quire_cache_alloc(&h->q, &c, 0);
			assert_int_equal(objects[i]->magic, BUILT);
			assert_int_equal(objects[i]->tail, ~BUILT);
			seed[i] = objects[i]->constructed;
		}
		for (i = 0; i < 500; i++)
			quire_cache_free(&h->q, &c, objects[i]);
	}
	/* The very object that was freed last comes first, as it was left. */
	objects[0] = quire_cache_alloc(&h->q, &c, 0);
	assert_ptr_equal(objects[0], objects[499]);
	assert_int_equal(objects[0]->constructed, seed[499]);
	objects[0]->constructed = 77;
	quire_cache_free(&h->q, &c, objects[0]);
	objects[0] = quire_cache_alloc(&h->q, &c, 0);
	assert_int_equal(objects[0]->constructed, 77);
	quire_cache_free(&h->q, &c, objects[0]);
	destroy(h, &c);
}

static void zeroed_objects_are_zero(void **state)
{
	struct host *h = *state;
	unsigned char *object, *first, zero[100] = { 0 };
	struct quire_cache c;

	cache_of(h, &c, 100);
	first = quire_cache_alloc(&h->q, &c, 0);
	memset(first, 0xff, 100);
	quire_cache_free(&h->q, &c, first);
	object = quire_cache_alloc(&h->q, &c, QUIRE_GFP_ZERO);
	assert_ptr_equal(object, first);
	assert_memory_equal(object, zero, 100);
	quire_cache_free(&h->q, &c, object);
	destroy(h, &c);
}

/* ---- Counting and shrinking -------------------------------------------------------------- */

static void counters_say_what_is_in_use(void **state)
{
	struct host *h = *state;
	struct quire_cache_stat stat;
	struct quire_cache c;
	void *objects[100];
	unsigned i;

	assert_int_equal(quire_cache_create(&h->q, &c, "c", 256, 0, QUIRE_SLAB_RECLAIM, NULL), 0);
	quire_cache_stat(&h->q, &c, &stat);
	assert_int_equal(stat.total_objects | stat.active_objects | stat.total_slabs | stat.active_slabs, 0);
	for (i = 0; i < 100; i++) {
		objects[i] = quire_cache_alloc(&h->q, &c, 0);
		quire_cache_stat(&h->q, &c, &stat);
		assert_int_equal(stat.active_objects, i + 1);
		assert_true(stat.total_objects >= i + 1);
		assert_int_equal(stat.total_objects, stat.total_slabs * c.objects_per_slab);
		assert_true(stat.active_slabs <= stat.total_slabs);
	}
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_SLAB_RECLAIMABLE), stat.total_slabs << c.order);
	for (i = 0; i < 100; i++) {
		quire_cache_free(&h->q, &c, objects[i]);
		quire_cache_stat(&h->q, &c, &stat);
		assert_int_equal(stat.active_objects, 99 - i);
		assert_null(quire_cache_check(&h->q, &c));
	}
	destroy(h, &c);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_SLAB_RECLAIMABLE), 0);
}

static void shrink_gives_all_unused_slabs_back(void **state)
{
	struct host *h = *state;
	static void *objects[1 << 16];
	uint64_t before, gone;
	struct quire_cache c;
	unsigned i, n;

	cache_of(h, &c, 100);
	n = 32 * c.objects_per_slab;
	before = quire_free_pages(&h->q);
	for (i = 0; i < n; i++)
		objects[i] = quire_cache_alloc(&h->q, &c, 0);
	for (i = 0; i < n; i++)
		quire_cache_free(&h->q, &c, objects[i]);
	gone = before - quire_free_pages(&h->q);
	assert_true(gone > 0); /* the magazine, and a slab or two for the next wave ... */
	assert_true(gone < 16u << c.order); /* ... but by far not all */
	assert_int_equal(quire_cache_shrink(&h->q, &c), gone);
	assert_int_equal(quire_free_pages(&h->q), before);
	assert_int_equal(quire_cache_shrink(&h->q, &c), 0);
	destroy(h, &c);
}

/* Another CPU's magazine is its own; it gives it back at its next free. */
static void shrink_asks_other_cpus(void **state)
{
	struct host *h = *state;
	void *objects[20], *more;
	struct quire_cache c;
	uint64_t before;
	unsigned i;

	cache_of(h, &c, 1000);
	before = quire_free_pages(&h->q);
	host_set_cpu(1);
	for (i = 0; i < 20; i++)
		objects[i] = quire_cache_alloc(&h->q, &c, 0);
	more = objects[0];
	for (i = 1; i < 20; i++)
		quire_cache_free(&h->q, &c, objects[i]);
	host_set_cpu(0);
	quire_cache_shrink(&h->q, &c);
	assert_true(c.cpu[1].count > 0);
	host_set_cpu(1);
	quire_cache_free(&h->q, &c, more);
	assert_int_equal(c.cpu[1].count, 1);
	assert_null(quire_cache_check(&h->q, &c));
	quire_cache_shrink(&h->q, &c);
	assert_int_equal(quire_free_pages(&h->q), before);
	/* And goes on as ever. An empty magazine has nothing to be asked for. */
	assert_int_equal(c.cpu[1].capacity, c.magazine);
	more = quire_cache_alloc(&h->q, &c, 0);
	host_set_cpu(0);
	quire_cache_shrink(&h->q, &c);
	assert_int_equal(c.cpu[1].capacity, 0);
	host_set_cpu(1);
	while (c.cpu[1].count > 0)
		quire_cache_free_deferred(&h->q, quire_cache_alloc(&h->q, &c, 0));
	quire_cache_free_deferred(&h->q, quire_cache_alloc(&h->q, &c, 0));
	assert_int_equal(c.cpu[1].capacity, c.magazine);
	quire_cache_free(&h->q, &c, more);
	host_set_cpu(0);
	destroy(h, &c);
}

static void shrink_all_reaches_every_cache(void **state)
{
	struct host *h = *state;
	uint64_t before = quire_free_pages(&h->q), gone;
	size_t size;

	for (size = 1; size <= 8192; size *= 2)
		quire_kfree(&h->q, quire_kmalloc(&h->q, size, 0));
	gone = before - quire_free_pages(&h->q);
	assert_true(gone > 0);
	assert_int_equal(quire_slab_shrink_all(&h->q), gone);
	assert_int_equal(quire_free_pages(&h->q), before);
}

static void cache_in_use_is_not_destroyed(void **state)
{
	struct host *h = *state;
	struct quire_cache c;
	void *a, *b;

	cache_of(h, &c, 64);
	a = quire_cache_alloc(&h->q, &c, 0);
	b = quire_cache_alloc(&h->q, &c, 0);
	quire_cache_free(&h->q, &c, b);
	host_expect_reports(h);
	assert_int_equal(quire_cache_destroy(&h->q, &c), -QUIRE_EBUSY);
	host_assert_report(h, "in use");
	assert_int_equal(h->report_value, 1);
	check(h);
	/* It still works. */
	b = quire_cache_alloc(&h->q, &c, 0);
	quire_cache_free(&h->q, &c, b);
	quire_cache_free(&h->q, &c, a);
	destroy(h, &c);
}

/* ---- Deferred free ----------------------------------------------------------------------- */

struct linked {
	uint64_t payload[5];
	struct quire_deferred link;
	uint64_t more;
};

static void deferred_free_waits_for_readers(void **state)
{
	struct host *h = *state;
	struct linked *first, *object;
	struct quire_cache_stat stat;
	struct quire_cache c;
	unsigned i;

	cache_of(h, &c, sizeof(struct linked));
	first = quire_cache_alloc(&h->q, &c, 0); /* so that the object is not the first of its slab */
	object = quire_cache_alloc(&h->q, &c, 0);
	object->payload[0] = object->payload[4] = object->more = 4711;
	host_set_cpu(1);
	quire_grace_enter(&h->q);
	host_set_cpu(0);
	quire_cache_free_deferred(&h->q, &object->link);
	for (i = 0; i < 5; i++)
		quire_grace_poll(&h->q);
	assert_int_equal(object->payload[0], 4711);
	assert_int_equal(object->payload[4], 4711);
	assert_int_equal(object->more, 4711);
	quire_cache_stat(&h->q, &c, &stat);
	assert_int_equal(stat.active_objects, 2);
	host_set_cpu(1);
	quire_grace_leave(&h->q);
	host_set_cpu(0);
	quire_grace_poll(&h->q);
	quire_cache_stat(&h->q, &c, &stat);
	assert_int_equal(stat.active_objects, 1);
	/* It is the object's start that came back, not the link's place. */
	assert_ptr_equal(quire_cache_alloc(&h->q, &c, 0), object);
	quire_cache_free(&h->q, &c, object);
	quire_cache_free(&h->q, &c, first);
	destroy(h, &c);
}

/* destroy waits for them itself. */
static void destroy_waits_for_deferred_frees(void **state)
{
	struct host *h = *state;
	struct linked *object;
	struct quire_cache c;
	unsigned i;

	cache_of(h, &c, sizeof(struct linked));
	for (i = 0; i < 100; i++) {
		host_set_cpu(i % 4);
		object = quire_cache_alloc(&h->q, &c, 0);
		quire_cache_free_deferred(&h->q, &object->link);
	}
	host_set_cpu(0);
	destroy(h, &c);
}

/* ---- What debug builds notice ------------------------------------------------------------ */

#if QUIRE_DEBUG
/* Add one to a byte that is nobody's to touch. AddressSanitizer would stop the program there and then. */
static void trespass(void *ptr)
{
#ifdef HOST_ASAN
	assert_true(__asan_address_is_poisoned(ptr));
	__asan_unpoison_memory_region((void *)((uintptr_t)ptr & ~(uintptr_t)7), 8);
#endif
	(*(unsigned char *)ptr)++;
}

static void overrun_by_one_byte_is_reported(void **state)
{
	static const size_t sizes[] = { 1, 8, 13, 64, 100, 4000 };
	struct host *h = *state;
	struct quire_cache c;
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(sizes); i++) {
		unsigned char *object;

		cache_of(h, &c, sizes[i]);
		object = quire_cache_alloc(&h->q, &c, 0);
		memset(object, 1, sizes[i]);
		trespass(object + sizes[i]);
		host_expect_reports(h);
		quire_cache_free(&h->q, &c, object);
		host_assert_report(h, "red zone");
		assert_int_equal(h->report_value, (uintptr_t)object);
		check(h); /* repaired */
		destroy(h, &c);
	}
}

/* Any byte of it: the first, the last, one in between; and the zone behind it. */
static void write_after_free_is_reported(void **state)
{
	static const size_t at[] = { 0, 1, 50, 98, 99, 100, 107 };
	struct host *h = *state;
	struct quire_cache c;
	unsigned char *object;
	size_t i;

	cache_of(h, &c, 100);
	for (i = 0; i < QUIRE_ARRAY_SIZE(at); i++) {
		object = quire_cache_alloc(&h->q, &c, 0);
		quire_cache_free(&h->q, &c, object);
		trespass(object + at[i]);
		host_expect_reports(h);
		assert_ptr_equal(quire_cache_alloc(&h->q, &c, 0), object);
		host_assert_report(h, at[i] < 100 ? "after it was freed" : "red zone of a free object");
		quire_cache_free(&h->q, &c, object);
	}
	destroy(h, &c);
}

static void wrong_frees_are_reported_and_harm_nothing(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0);
	struct quire_cache c, other;
	unsigned char *object, *last;
	int here;

	cache_of(h, &c, 48);
	cache_of(h, &other, 48);
	object = quire_cache_alloc(&h->q, &c, 0);
	host_expect_reports(h);
	quire_cache_free(&h->q, &other, object);
	host_assert_report(h, "wrong cache");
	host_expect_reports(h);
	quire_cache_free(&h->q, &c, object + 8);
	host_assert_report(h, "not the start");
	host_expect_reports(h);
	quire_cache_free(&h->q, &c, quire_page_to_virt(&h->q, page));
	host_assert_report(h, "wrong cache");
	host_expect_reports(h);
	quire_cache_free(&h->q, &c, &here);
	host_assert_report(h, "wrong cache");
	check(h);

	quire_cache_free(&h->q, &c, object);
	host_expect_reports(h);
	quire_cache_free(&h->q, &c, object);
	host_assert_report(h, "freed twice");
	/* Also when it is not the last one freed, and after it has gone back to its slab. */
	object = quire_cache_alloc(&h->q, &c, 0);
	last = quire_cache_alloc(&h->q, &c, 0);
	quire_cache_free(&h->q, &c, object);
	quire_cache_shrink(&h->q, &c);
	host_expect_reports(h);
	quire_cache_free(&h->q, &c, object);
	host_assert_report(h, "freed twice");
	quire_cache_free(&h->q, &c, last);
	check(h);
	quire_page_put(&h->q, page);
	destroy(h, &c);
	destroy(h, &other);
}
#endif

static void wrong_kfrees_are_reported(void **state)
{
	struct host *h = *state;
	char *large = quire_kmalloc(&h->q, 3 * QUIRE_PAGE_SIZE, 0);
	int here;

	host_expect_reports(h);
	quire_kfree(&h->q, &here);
	host_assert_report(h, "kfree of what");
	host_expect_reports(h);
	quire_kfree(&h->q, large + QUIRE_PAGE_SIZE);
	host_assert_report(h, "kfree of what");
	host_expect_reports(h);
	quire_kfree(&h->q, large + 8);
	host_assert_report(h, "kfree of what");
	quire_kfree(&h->q, large);
	host_expect_reports(h);
	quire_kfree(&h->q, large);
	host_assert_report(h, "kfree of what");
	check(h);
}

/* ---- kmalloc ----------------------------------------------------------------------------- */

static void kmalloc_gives_every_size(void **state)
{
	struct host *h = *state;
	size_t size, i;

	for (size = 1; size <= 20000; size += size < 600 ? 1 : 97) {
		unsigned char *p = quire_kmalloc(&h->q, size, 0), *z = quire_kmalloc(&h->q, size, QUIRE_GFP_ZERO);

		assert_non_null(p);
		assert_non_null(z);
		assert_int_equal((uintptr_t)p % sizeof(void *), 0);
		memset(p, 0xff, size);
		for (i = 0; i < size; i += size / 16 + 1)
			assert_int_equal(z[i], 0);
		assert_int_equal(z[size - 1], 0);
		memset(z, 0xff, size);
		quire_kfree(&h->q, p);
		quire_kfree(&h->q, z);
	}
	check(h);
}

/* The class is the smallest that fits: 8 to 8k, with 96 and 192. */
static void kmalloc_takes_the_smallest_class(void **state)
{
	static const uint32_t classes[QUIRE_KMALLOC_CLASSES] = { 8,   16,  32,   64,   96,   128, 192,
								 256, 512, 1024, 2048, 4096, 8192 };
	struct host *h = *state;
	struct quire_cache_stat stat;
	size_t size;
	unsigned i;

	for (size = 1, i = 0; size <= 8192; size++) {
		void *p;

		if (size > classes[i])
			i++;
		p = quire_kmalloc(&h->q, size, 0);
		assert_int_equal(h->q.slabs.kmalloc[i].size, classes[i]);
		quire_cache_stat(&h->q, &h->q.slabs.kmalloc[i], &stat);
		assert_int_equal(stat.active_objects, 1);
		quire_kfree(&h->q, p);
	}
	assert_string_equal(h->q.slabs.kmalloc[0].name, "kmalloc-8");
	assert_string_equal(h->q.slabs.kmalloc[9].name, "kmalloc-1k");
	assert_string_equal(h->q.slabs.kmalloc[12].name, "kmalloc-8k");
}

static void large_kmalloc_takes_whole_pages(void **state)
{
	struct host *h = *state;
	uint64_t before = quire_free_pages(&h->q), pages;
	size_t size;

	for (size = 8193; size <= (size_t)QUIRE_PAGE_SIZE << QUIRE_MAX_ORDER; size = size * 3 / 2) {
		char *p = quire_kmalloc(&h->q, size, 0);

		for (pages = 1; pages * QUIRE_PAGE_SIZE < size; pages *= 2)
			;
		assert_int_equal(quire_free_pages(&h->q), before - pages);
		p[0] = p[size - 1] = 1;
		quire_kfree(&h->q, p);
		assert_int_equal(quire_free_pages(&h->q), before);
	}
	assert_null(quire_kmalloc(&h->q, 0, 0));
	assert_null(quire_kmalloc(&h->q, ((size_t)QUIRE_PAGE_SIZE << QUIRE_MAX_ORDER) + 1, 0));
	assert_null(quire_kmalloc(&h->q, SIZE_MAX, 0));
	quire_kfree(&h->q, NULL);
}

/* ---- No memory --------------------------------------------------------------------------- */

#if QUIRE_DEBUG
static void injected_failures_reach_magazines_too(void **state)
{
	struct host *h = *state;
	struct quire_cache c;
	void *object;
	unsigned i;

	cache_of(h, &c, 64);
	quire_cache_free(&h->q, &c, quire_cache_alloc(&h->q, &c, 0)); /* the magazine is full enough now */
	h->q.slabs.fail.after = 4;
	for (i = 1; i <= 8; i++) {
		object = i % 2 ? quire_cache_alloc(&h->q, &c, 0) : quire_kmalloc(&h->q, i * 3000, 0);
		assert_int_equal(object == NULL, i == 4);
		if (i % 2)
			quire_cache_free(&h->q, &c, object);
		else
			quire_kfree(&h->q, object);
	}
	check(h);
	destroy(h, &c);
}

/* No page for a new slab: NULL, until there is one again. */
static void failed_slab_changes_nothing(void **state)
{
	struct host *h = *state;
	void *objects[2000], *object;
	struct quire_cache c;
	unsigned n = 0, i;

	cache_of(h, &c, 512);
	h->q.pages.fail = (struct quire_fail){ .after = 4, .sticky = true };
	while (n < 2000 && (object = quire_cache_alloc(&h->q, &c, 0)))
		objects[n++] = object;
	assert_int_equal(n, 3 * c.objects_per_slab); /* to the last object of what there is */
	check(h);
	h->q.pages.fail.after = 0;
	objects[n++] = quire_cache_alloc(&h->q, &c, 0);
	assert_non_null(objects[n - 1]);
	for (i = 0; i < n; i++)
		quire_cache_free(&h->q, &c, objects[i]);
	destroy(h, &c);
}
#endif

static void exhausted_machine_recovers(void **state)
{
	struct host *h = *state;
	struct quire_cache c;
	void **list = NULL;
	uint64_t n = 0, before;

	cache_of(h, &c, 1024);
	before = quire_free_pages(&h->q);
	for (;;) {
		void **object = quire_cache_alloc(&h->q, &c, QUIRE_GFP_NOWARN);

		if (!object)
			break;
		*object = list;
		list = object;
		n++;
	}
	assert_true(n * c.stride > (before - 1024) * QUIRE_PAGE_SIZE * 3 / 4);
	assert_int_equal(n, c.nr_objects);
	check(h);
	while (list) {
		void **next = *list;

		quire_cache_free(&h->q, &c, list);
		list = next;
	}
	quire_cache_shrink(&h->q, &c);
	assert_int_equal(quire_free_pages(&h->q), before);
	destroy(h, &c);
}

struct chained {
	struct quire_deferred link;
	struct chained *next;
};

static bool share_a_slab(struct host *h, const struct quire_cache *c, void *a, void *b)
{
	return quire_page_to_pfn(&h->q, quire_virt_to_page(&h->q, a)) >> c->order ==
	       quire_page_to_pfn(&h->q, quire_virt_to_page(&h->q, b)) >> c->order;
}

/*
 * No page comes back, since one object of each slab stays: but objects do.
 *
 *	slabs     |s.......|s.......|s.......|    s: stays; the others wait for a grace period
 */
static void objects_that_wait_are_waited_for(void **state)
{
	struct host *h = *state;
	struct chained *waits = NULL, *stays = NULL, *o, *next;
	struct quire_list pages;
	struct quire_page *page;
	struct quire_cache c;
	unsigned n;

	quire_list_init(&pages);
	cache_of(h, &c, 512);
	for (n = 0; n < 64; n++) {
		struct chained **list;

		o = quire_cache_alloc(&h->q, &c, 0);
		for (next = stays; next && !share_a_slab(h, &c, next, o); next = next->next)
			;
		list = next ? &waits : &stays;
		o->next = *list;
		*list = o;
	}
	assert_non_null(waits);
	while ((page = quire_page_alloc(&h->q, QUIRE_GFP_NOWARN, 0)))
		quire_list_add(&pages, &page->lru);
	while ((o = quire_cache_alloc(&h->q, &c, QUIRE_GFP_NOWARN))) { /* what its slabs still have */
		o->next = stays;
		stays = o;
	}
	host_set_cpu(1);
	quire_grace_enter(&h->q);
	host_set_cpu(0);
	for (; waits; waits = next) {
		next = waits->next;
		quire_cache_free_deferred(&h->q, &waits->link);
	}
	host_set_cpu(1);
	quire_grace_leave(&h->q);
	host_set_cpu(0);
	assert_null(quire_cache_alloc(&h->q, &c, QUIRE_GFP_NOWAIT | QUIRE_GFP_NOWARN));
	o = quire_cache_alloc(&h->q, &c, QUIRE_GFP_KERNEL | QUIRE_GFP_NOWARN);
	assert_non_null(o);
	quire_cache_free(&h->q, &c, o);
	while (!quire_list_empty(&pages)) {
		page = quire_list_first(&pages, struct quire_page, lru);
		quire_list_del(&page->lru);
		quire_page_free(&h->q, page, 0);
	}
	for (; stays; stays = next) {
		next = stays->next;
		quire_cache_free(&h->q, &c, stays);
	}
	destroy(h, &c);
}

/* ---- Many CPUs --------------------------------------------------------------------------- */

#define MAILBOXES 64

struct traffic {
	struct host *h;
	struct quire_cache cache;
	struct linked *box[MAILBOXES]; /* atomic */
};

/* Objects are made here and freed there: through boxes, at once or deferred. */
static void send_and_free(void *arg, unsigned cpu)
{
	struct traffic *t = arg;
	struct quire *q = &t->h->q;
	uint64_t chance = cpu + 1;
	unsigned i;

	for (i = 0; i < 20000; i++) {
		struct linked *object = quire_cache_alloc(q, &t->cache, 0);
		unsigned char *other = quire_kmalloc(q, 1 + host_random(&chance) % 300, 0);

		assert_true(object && other);
		object->payload[0] = object->more = chance;
		other[0] = 1;
		object = quire_exchange(&t->box[host_random(&chance) % MAILBOXES], object);
		if (object) {
			assert_true(object->payload[0] == object->more);
			if (host_random(&chance) % 4)
				quire_cache_free(q, &t->cache, object);
			else
				quire_cache_free_deferred(q, &object->link);
		}
		quire_kfree(q, other);
		if (i % 5000 == 0)
			quire_slab_shrink_all(q);
	}
}

static void objects_may_be_freed_on_any_cpu(void **state)
{
	struct host *h = *state;
	struct traffic t = { .h = h };
	unsigned i;

	cache_of(h, &t.cache, sizeof(struct linked));
	host_run_cpus(4, send_and_free, &t);
	quire_grace_wait(&h->q);
	check(h);
	for (i = 0; i < MAILBOXES; i++)
		if (t.box[i])
			quire_cache_free(&h->q, &t.cache, t.box[i]);
	destroy(h, &t.cache);
}

#define with_host(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_host(bad_caches_are_refused),
#if QUIRE_DEBUG
		with_host(cache_without_memory_for_magazines_is_refused),
#endif
		with_host(objects_are_aligned_and_apart),
		with_host(hwcache_align_gives_each_its_own_lines),
		with_host(constructed_objects_keep_their_state),
		with_host(zeroed_objects_are_zero),
		with_host(counters_say_what_is_in_use),
		with_host(shrink_gives_all_unused_slabs_back),
		with_host(shrink_asks_other_cpus),
		with_host(shrink_all_reaches_every_cache),
		with_host(cache_in_use_is_not_destroyed),
		with_host(deferred_free_waits_for_readers),
		with_host(destroy_waits_for_deferred_frees),
#if QUIRE_DEBUG
		with_host(overrun_by_one_byte_is_reported),
		with_host(write_after_free_is_reported),
		with_host(wrong_frees_are_reported_and_harm_nothing),
#endif
		with_host(wrong_kfrees_are_reported),
		with_host(kmalloc_gives_every_size),
		with_host(kmalloc_takes_the_smallest_class),
		with_host(large_kmalloc_takes_whole_pages),
#if QUIRE_DEBUG
		with_host(injected_failures_reach_magazines_too),
		with_host(failed_slab_changes_nothing),
#endif
		with_host(exhausted_machine_recovers),
		with_host(objects_that_wait_are_waited_for),
		with_host(objects_may_be_freed_on_any_cpu),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}

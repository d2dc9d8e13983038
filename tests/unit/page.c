/* SPDX-License-Identifier: MIT */
/* The page room: the buddy allocator, per-CPU lists, references, the page lock, bytes and counters. */
#include "page_fixture.h"

/* ---- Blocks ------------------------------------------------------------------------------ */

/*
 *	order 10 |---------------------------| a block, alone
 *	alloc 7  |--7--|7|-8--|------9-------|
 */
static void block_splits_and_merges_back(void **state)
{
	struct host *h = *state;
	struct quire_zone *zone = normal(h);
	uint64_t before[QUIRE_NR_ORDERS];
	struct quire_page *page;
	unsigned order, have, want;

	for (want = 1; want <= QUIRE_MAX_ORDER; want++) {
		for (order = 0; order < QUIRE_NR_ORDERS; order++)
			before[order] = zone->area[order].nr_free;
		for (have = want; before[have] == 0; have++)
			;
		page = quire_page_alloc(&h->q, 0, want);
		assert_non_null(page);
		for (order = 0; order < QUIRE_NR_ORDERS; order++) {
			uint64_t now = zone->area[order].nr_free;

			if (order == have)
				assert_int_equal(now, before[order] - 1);
			else
				assert_int_equal(now, before[order] + (want <= order && order < have));
		}
		check(h);
		quire_page_free(&h->q, page, want);
		for (order = 0; order < QUIRE_NR_ORDERS; order++)
			assert_int_equal(zone->area[order].nr_free, before[order]);
		check(h);
	}
}

static void block_is_as_promised(void **state)
{
	struct host *h = *state;
	unsigned order;
	uint64_t i;

	for (order = 0; order <= QUIRE_MAX_ORDER; order++) {
		struct quire_page *page = quire_page_alloc(&h->q, 0, order);
		quire_pfn_t pfn = quire_page_to_pfn(&h->q, page);

		assert_int_equal(pfn % (UINT64_C(1) << order), 0);
		assert_int_equal(page->refs, 1);
		assert_int_equal(quire_page_order(page), order);
		assert_true(quire_page_test(page, QUIRE_PG_HEAD));
		for (i = 0; i < UINT64_C(1) << order; i++) {
			assert_int_equal(quire_page_to_pfn(&h->q, page + i), pfn + i);
			assert_int_equal(quire_page_kind(page + i), QUIRE_PAGE_KERNEL);
			assert_int_equal(quire_page_test(page + i, QUIRE_PG_HEAD), i == 0);
			assert_int_equal(page[i].maps, 0);
			assert_int_equal(page[i].aux, 0);
			assert_int_equal(page[i].index, 0);
			assert_null(page[i].owner);
			/* The next user must find none of this. */
			page[i].owner = h;
			page[i].index = 99;
			page[i].aux = 7;
			quire_page_set_kind(page + i, QUIRE_PAGE_ANON);
			quire_page_set(page + i, QUIRE_PG_DIRTY | QUIRE_PG_REFERENCED | QUIRE_PG_UPTODATE);
		}
		quire_page_free(&h->q, page, order);
		assert_int_equal(quire_page_kind(page), QUIRE_PAGE_FREE);
		page = quire_page_alloc(&h->q, 0, order);
		assert_false(quire_page_test(page, QUIRE_PG_DIRTY | QUIRE_PG_REFERENCED | QUIRE_PG_UPTODATE));
		assert_null(page->owner);
		quire_page_free(&h->q, page, order);
	}
}

static void zeroed_blocks_are_zero_whatever_was_there(void **state)
{
	struct host *h = *state;
	struct quire_page *page;
	unsigned order;
	uint64_t i;

	while ((page = quire_page_alloc(&h->q, QUIRE_GFP_MEMALLOC, 0)))
		memset(quire_page_to_virt(&h->q, page), 0xaa, QUIRE_PAGE_SIZE);
	for (i = 0; i < FRAMES(h->ram_end); i++)
		if (h->taken[i] && (page = quire_pfn_to_page(&h->q, i)) != h->q.pages.zero_page)
			quire_page_put(&h->q, page);
	quire_page_drain(&h->q);
	for (order = 0; order <= QUIRE_MAX_ORDER; order++) {
		const unsigned char *bytes;

		page = quire_page_alloc(&h->q, QUIRE_GFP_ZERO, order);
		bytes = quire_page_to_virt(&h->q, page);
		assert_int_equal(bytes[0], 0);
		assert_int_equal(memcmp(bytes, bytes + 1, (QUIRE_PAGE_SIZE << order) - 1), 0);
	}
	for (i = 0; i < FRAMES(h->ram_end); i++) /* leave nothing behind */
		if (h->taken[i] && quire_page_test(page = quire_pfn_to_page(&h->q, i), QUIRE_PG_HEAD))
			quire_page_put(&h->q, page);
}

static void what_cannot_be_had_is_refused(void **state)
{
	struct host *h = *state;

	assert_null(quire_page_alloc(&h->q, 0, QUIRE_MAX_ORDER + 1));
	assert_null(quire_page_alloc(&h->q, 0, 64));
	host_expect_reports(h);
	assert_null(quire_page_alloc(&h->q, QUIRE_GFP_NOFAIL, 0));
	if (QUIRE_DEBUG)
		host_assert_report(h, "NOFAIL");
	assert_int_equal(h->reports, QUIRE_DEBUG);
}

static void pointers_lead_back_to_their_page(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 2);
	unsigned char *ptr = quire_page_to_virt(&h->q, page);

	assert_ptr_equal(ptr, quire_port_phys_to_virt(&h->q, quire_page_to_pfn(&h->q, page) << QUIRE_PAGE_SHIFT));
	assert_ptr_equal(quire_virt_to_page(&h->q, ptr), page);
	assert_ptr_equal(quire_virt_to_page(&h->q, ptr + QUIRE_PAGE_SIZE - 1), page);
	assert_ptr_equal(quire_virt_to_page(&h->q, ptr + QUIRE_PAGE_SIZE), page + 1);
	assert_null(quire_virt_to_page(&h->q, &h));
	quire_page_free(&h->q, page, 2);
}

/* ---- Per-CPU lists ----------------------------------------------------------------------- */

static void lists_stay_within_their_bounds(void **state)
{
	struct host *h = *state;
	struct quire_pcp *pcp = &normal(h)->pcp[2];
	struct quire_list pages;
	uint64_t n;

	assert_true(pcp->batch >= 1 && pcp->high >= pcp->batch);
	assert_true(pcp->high * 4 <= normal(h)->managed_pages / 8);
	quire_list_init(&pages);
	host_set_cpu(2);
	for (n = 0; n < 1000; n++) {
		struct quire_page *page = quire_page_alloc(&h->q, 0, 0);

		quire_list_add(&pages, &page->lru);
		assert_true(pcp->count < pcp->batch);
	}
	check(h);
	while (!quire_list_empty(&pages)) {
		struct quire_page *page = quire_list_first(&pages, struct quire_page, lru);

		quire_list_del(&page->lru);
		quire_page_free(&h->q, page, 0);
		assert_true(pcp->count <= pcp->high);
	}
	assert_true(pcp->count > 0);
	assert_int_equal(normal(h)->pcp[0].count, 0);
	check(h);
	host_set_cpu(0);
	quire_page_drain(&h->q);
	assert_int_equal(pcp->count, 0);
	assert_int_equal(normal(h)->free_pages, normal(h)->managed_pages);
}

/* What other CPUs keep for themselves is not lost to the one that needs it. */
static void allocation_gets_what_other_cpus_keep(void **state)
{
	struct host *h = *state;
	uint64_t total = quire_free_pages(&h->q), min = normal(h)->wmark[QUIRE_WMARK_MIN];
	struct quire_list pages;
	unsigned cpu, i;

	quire_list_init(&pages);
	for (cpu = 1; cpu < 4; cpu++) {
		struct quire_page *held[8];

		host_set_cpu(cpu);
		for (i = 0; i < 8; i++)
			held[i] = quire_page_alloc(&h->q, 0, 0);
		for (i = 0; i < 8; i++)
			quire_page_put(&h->q, held[i]);
		assert_true(normal(h)->pcp[cpu].count > 0);
	}
	host_set_cpu(0);
	assert_int_equal(take_all(h, &pages, 0, 0), total - min);
	give_all(h, &pages);
}

/* The page that it lies in. */
static void free_page_of(struct quire *q, struct quire_deferred *d)
{
	struct quire_page *page = quire_virt_to_page(q, d);

	quire_page_free(q, page, quire_page_order(page));
}

/* Everybody's pages, all taken, wait for a grace period. A reader keeps them from coming back by themselves. */
static void let_all_wait(struct host *h, unsigned order)
{
	struct quire_page *page;

	while ((page = quire_page_alloc(&h->q, QUIRE_GFP_NOWAIT | QUIRE_GFP_NOWARN, order)))
		quire_defer(&h->q, quire_page_to_virt(&h->q, page), free_page_of);
}

/*
 *	CPU 1 reads    |--------|
 *	all pages      | wait for it  ...          | are there
 *	CPU 0 asks                 NOWAIT: NULL  KERNEL: a page
 */
static void memory_that_waits_is_waited_for(void **state)
{
	static const unsigned orders[] = { 0, 3 };
	struct host *h = *state;
	struct quire_page *page;
	unsigned i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(orders); i++) {
		host_set_cpu(1);
		quire_grace_enter(&h->q);
		host_set_cpu(0);
		let_all_wait(h, orders[i]);
		host_set_cpu(1);
		quire_grace_leave(&h->q);
		host_set_cpu(0);
		assert_null(quire_page_alloc(&h->q, QUIRE_GFP_NOWAIT, orders[i]));
		page = quire_page_alloc(&h->q, QUIRE_GFP_KERNEL, orders[i]);
		assert_non_null(page);
		quire_page_free(&h->q, page, orders[i]);
		quire_page_drain(&h->q);
		check(h);
	}
}

struct patience {
	struct host *h;
	uint32_t full, left; /* atomic */
};

static void ask_while_another_reads(void *arg, unsigned cpu)
{
	struct patience *p = arg;
	struct quire *q = &p->h->q;
	struct quire_page *page;
	unsigned i;

	if (cpu == 1) {
		quire_grace_enter(q);
		let_all_wait(p->h, 0);
		__atomic_store_n(&p->full, 1, __ATOMIC_RELEASE);
		for (i = 0; i < 1000; i++)
			quire_port_relax(q);
		__atomic_store_n(&p->left, 1, __ATOMIC_RELEASE);
		quire_grace_leave(q);
		return;
	}
	while (!__atomic_load_n(&p->full, __ATOMIC_ACQUIRE))
		quire_port_relax(q);
	page = quire_page_alloc(q, QUIRE_GFP_KERNEL, 0);
	assert_non_null(page);
	assert_true(__atomic_load_n(&p->left, __ATOMIC_ACQUIRE));
	quire_page_free(q, page, 0);
}

static void a_reader_in_the_way_is_waited_for(void **state)
{
	struct patience p = { .h = *state };

	host_run_cpus(2, ask_while_another_reads, &p);
	check(p.h);
}

/* ---- References -------------------------------------------------------------------------- */

static void last_put_frees(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0), *block = quire_page_alloc(&h->q, 0, 4);
	uint64_t before = quire_free_pages(&h->q);

	quire_page_get(page);
	assert_true(quire_page_tryget(page));
	assert_int_equal(page->refs, 3);
	assert_false(quire_page_put(&h->q, page));
	assert_false(quire_page_put(&h->q, page));
	assert_int_equal(quire_free_pages(&h->q), before);
	assert_true(quire_page_put(&h->q, page));
	assert_int_equal(quire_free_pages(&h->q), before + 1);
	assert_false(quire_page_tryget(page));
	assert_int_equal(page->refs, 0);
	assert_true(quire_page_put(&h->q, block));
	assert_int_equal(quire_free_pages(&h->q), before + 17);
}

/* A reader of a cache that this frame was once in holds it for a moment: the owner's free does not wait for that. */
static void free_under_a_reader_is_done_by_the_readers_put(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0), *block = quire_page_alloc(&h->q, 0, 2);
	uint64_t before = quire_free_pages(&h->q);

	assert_true(quire_page_tryget(page));
	assert_true(quire_page_tryget(block));
	quire_page_free(&h->q, page, 0);
	quire_page_free(&h->q, block, 2);
	assert_int_equal(quire_free_pages(&h->q), before);
	assert_true(quire_page_put(&h->q, page));
	assert_int_equal(quire_free_pages(&h->q), before + 1);
	assert_true(quire_page_put(&h->q, block));
	assert_int_equal(quire_free_pages(&h->q), before + 5);
}

/* Each page of what was a block has a reference and goes by itself, in any order; the block is there again then. */
static void a_split_block_is_single_pages(void **state)
{
	struct host *h = *state;
	const uint64_t before = quire_free_pages(&h->q);
	struct quire_page *page = quire_page_alloc(&h->q, QUIRE_GFP_ZERO, 3), *reader = page;
	unsigned i;

	assert_true(quire_page_tryget(reader));
	quire_page_split(&h->q, page, 3);
	check(h);
	for (i = 0; i < 8; i++) {
		assert_int_equal(page[i].refs, i ? 1 : 2);
		assert_int_equal(quire_page_order(page + i), 0);
		assert_true(quire_page_test(page + i, QUIRE_PG_HEAD));
		assert_int_equal(quire_page_kind(page + i), QUIRE_PAGE_KERNEL);
	}
	quire_page_get(page + 5);
	for (i = 0; i < 8; i++) {
		assert_int_equal(quire_page_put(&h->q, page + i), i != 0 && i != 5);
		check(h);
	}
	assert_int_equal(quire_free_pages(&h->q), before - 2);
	quire_page_free(&h->q, page + 5, 0);
	/* Who held the block for a moment has a page of it now. */
	assert_true(quire_page_put(&h->q, reader));
	quire_page_drain(&h->q);
	assert_int_equal(quire_free_pages(&h->q), before);
	check(h);
	page = quire_page_alloc(&h->q, 0, 0);
	quire_page_split(&h->q, page, 0);
	assert_true(quire_page_put(&h->q, page));
}

static void misuse_is_reported_and_harms_nothing(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0), *block = quire_page_alloc(&h->q, 0, 3);

	host_expect_reports(h);
	quire_page_free(&h->q, block, 2);
	host_assert_report(h, "another order");
	assert_int_equal(h->report_value, quire_page_to_pfn(&h->q, block));
	host_expect_reports(h);
	quire_page_free(&h->q, block + 1, 0);
	host_assert_report(h, "another order");
	quire_page_free(&h->q, block, 3);
	host_expect_reports(h);
	quire_page_free(&h->q, block, 3);
	host_assert_report(h, "freed twice");

	quire_page_free(&h->q, page, 0);
	host_expect_reports(h);
	quire_page_free(&h->q, page, 0);
	host_assert_report(h, "freed twice");
	host_expect_reports(h);
	assert_false(quire_page_put(&h->q, page));
	host_assert_report(h, "one reference too many");
	host_expect_reports(h);
	quire_page_free(&h->q, h->q.pages.zero_page, 0);
	host_assert_report(h, "reserved");
	check(h);
}

#if QUIRE_DEBUG
static void pages_in_use_that_are_freed_are_reported(void **state)
{
	struct host *h = *state;
	struct quire_page *page = quire_page_alloc(&h->q, 0, 0);

	page->maps = 1;
	host_expect_reports(h);
	quire_page_free(&h->q, page, 0);
	host_assert_report(h, "mapped");
	page = quire_page_alloc(&h->q, 0, 0);
	assert_true(quire_page_trylock(page));
	host_expect_reports(h);
	quire_page_put(&h->q, page);
	host_assert_report(h, "locked");
	page = quire_page_alloc(&h->q, 0, 0);
	assert_true(quire_page_trylock(page)); /* the next user finds it unlocked */
	quire_page_unlock(&h->q, page);
	quire_page_put(&h->q, page);
}
#endif

struct race {
	struct host *h;
	struct quire_page *slot; /* atomic */
	uint32_t done, gets;
};

/* CPU 0 replaces the page in the slot; the others take references through the slot, as readers of a page cache do. */
static void replace_or_tryget(void *arg, unsigned cpu)
{
	struct race *r = arg;
	struct quire *q = &r->h->q;
	unsigned i;

	if (cpu == 0) {
		/* Until the others have had their chance as well. */
		for (i = 0; i < 20000 || quire_load(&r->gets) < 1000; i++) {
			struct quire_page *page = quire_page_alloc(q, 0, 0);

			quire_page_set_kind(page, QUIRE_PAGE_CACHE);
			quire_page_put(q, quire_exchange(&r->slot, page));
			if (i % 64 == 0)
				quire_port_relax(q);
		}
		quire_store_release(&r->done, 1u);
		return;
	}
	while (!quire_load_acquire(&r->done)) {
		struct quire_page *page = quire_load_acquire(&r->slot);

		if (!quire_page_tryget(page)) /* gone meanwhile, and free */
			continue;
		assert_int_not_equal(quire_page_kind(page), QUIRE_PAGE_FREE);
		(void)quire_fetch_add(&r->gets, 1u);
		quire_page_put(q, page);
	}
}

static void tryget_never_gets_a_free_page(void **state)
{
	struct host *h = *state;
	struct race r = { .h = h, .slot = quire_page_alloc(&h->q, 0, 0) };

	host_run_cpus(4, replace_or_tryget, &r);
	assert_int_equal(r.slot->refs, 1);
	assert_true(quire_page_put(&h->q, r.slot));
	assert_int_equal(host_frames_taken(h), 1);
}

/* ---- The page lock ----------------------------------------------------------------------- */

struct locked {
	struct host *h;
	struct quire_page *page;
	uint64_t plain;
};

static void count_under_page_lock(void *arg, unsigned cpu)
{
	struct locked *l = arg;
	unsigned i;

	for (i = 0; i < 5000; i++) {
		/* Other bits of the word belong to others, and do not care who has the lock. */
		if (cpu == 3) {
			quire_page_set(l->page, QUIRE_PG_DIRTY);
			quire_page_test_clear(l->page, QUIRE_PG_DIRTY);
		}
		quire_page_lock(&l->h->q, l->page);
		l->plain++;
		quire_page_unlock(&l->h->q, l->page);
	}
}

static void page_lock_keeps_others_out(void **state)
{
	struct host *h = *state;
	struct locked l = { .h = h, .page = quire_page_alloc(&h->q, 0, 0) };

	host_run_cpus(4, count_under_page_lock, &l);
	assert_int_equal(l.plain, 4 * 5000);
	assert_false(quire_page_test(l.page, QUIRE_PG_LOCKED | QUIRE_PG_WAITERS | QUIRE_PG_DIRTY));
	assert_int_equal(quire_page_kind(l.page), QUIRE_PAGE_KERNEL);
	quire_page_put(&h->q, l.page);
}

static void sleep_on_page_lock(void *arg, unsigned cpu)
{
	struct locked *l = arg;

	if (cpu == 0) {
		while (__atomic_load_n(&l->h->waits, __ATOMIC_RELAXED) < 3)
			quire_port_relax(&l->h->q);
		assert_true(quire_page_test(l->page, QUIRE_PG_WAITERS));
		assert_int_equal(l->plain, 0);
	} else {
		quire_page_lock(&l->h->q, l->page);
		l->plain++;
	}
	quire_page_unlock(&l->h->q, l->page);
}

static void page_lock_sleepers_are_all_woken_in_the_end(void **state)
{
	struct host *h = *state;
	struct locked l = { .h = h, .page = quire_page_alloc(&h->q, 0, 0) };

	quire_page_lock(&h->q, l.page);
	assert_int_equal(h->waits, 0);
	assert_false(quire_page_trylock(l.page));
	host_run_cpus(4, sleep_on_page_lock, &l);
	assert_int_equal(l.plain, 3);
	h->wakes = 0;
	quire_page_lock(&h->q, l.page);
	quire_page_unlock(&h->q, l.page);
	assert_int_equal(h->wakes, 0); /* nobody sleeps, nobody is woken */
	quire_page_put(&h->q, l.page);
}

/* ---- Bytes and counters ------------------------------------------------------------------ */

static void bytes_are_copied_and_zeroed(void **state)
{
	struct host *h = *state;
	struct quire_page *a = quire_page_alloc(&h->q, 0, 0), *b = quire_page_alloc(&h->q, QUIRE_GFP_ZERO, 0);
	unsigned char *pa = quire_page_kmap(&h->q, a), *pb = quire_page_kmap(&h->q, b);

	memset(pa, 0x5a, QUIRE_PAGE_SIZE);
	assert_int_equal(pb[0] | pb[QUIRE_PAGE_SIZE - 1], 0);
	quire_page_copy(&h->q, b, a);
	assert_int_equal(memcmp(pa, pb, QUIRE_PAGE_SIZE), 0);
	assert_int_equal(pb[QUIRE_PAGE_SIZE - 1], 0x5a);
	quire_page_zero(&h->q, a);
	assert_int_equal(pa[0] | pa[QUIRE_PAGE_SIZE - 1], 0);
	assert_int_equal(pb[0], 0x5a);
	quire_page_kunmap(&h->q, pb);
	quire_page_kunmap(&h->q, pa);
	assert_false(host_is_atomic());
	quire_page_put(&h->q, a);
	quire_page_put(&h->q, b);
	pa = quire_page_kmap(&h->q, h->q.pages.zero_page);
	assert_int_equal(pa[0], 0);
	assert_int_equal(memcmp(pa, pa + 1, QUIRE_PAGE_SIZE - 1), 0);
	quire_page_kunmap(&h->q, pa);
}

static void count(void *arg, unsigned cpu)
{
	struct host *h = arg;
	unsigned i;

	for (i = 0; i < 1000; i++) {
		quire_stat_add(&h->q, QUIRE_STAT_SHMEM, 5);
		/* Counted up here, down there: one CPU's share may be negative. */
		quire_stat_add(&h->q, QUIRE_STAT_MLOCK, cpu == 0 ? 4 : -1);
	}
}

static void counters_add_up_over_cpus(void **state)
{
	struct host *h = *state;

	host_run_cpus(4, count, h);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_SHMEM), 20000);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_MLOCK), 1000);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PAGETABLE), 0);
}

static void allocations_are_counted_in_pages(void **state)
{
	struct host *h = *state;
	struct quire_page *a = quire_page_alloc(&h->q, 0, 0), *b = quire_page_alloc(&h->q, 0, 5);

	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PGALLOC), 33);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PGFREE), 0);
	quire_page_free(&h->q, b, 5);
	host_set_cpu(1);
	quire_page_put(&h->q, a);
	host_set_cpu(0);
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PGFREE), 33);
	quire_page_drain(&h->q); /* moves, but frees nothing */
	assert_int_equal(quire_stat_read(&h->q, QUIRE_STAT_PGFREE), 33);
}

/* ---- Failure injection ------------------------------------------------------------------- */

#if QUIRE_DEBUG
static void injected_failures_change_nothing(void **state)
{
	struct host *h = *state;
	struct quire_page *page;
	uint64_t before;
	unsigned i;

	h->q.pages.fail.after = 3;
	for (i = 1; i <= 6; i++) {
		before = quire_free_pages(&h->q);
		page = quire_page_alloc(&h->q, 0, i % 3);
		assert_int_equal(page == NULL, i == 3);
		assert_int_equal(quire_free_pages(&h->q), before - (page ? UINT64_C(1) << i % 3 : 0));
		if (page)
			quire_page_free(&h->q, page, i % 3);
	}
	h->q.pages.fail = (struct quire_fail){ .after = 2, .sticky = true };
	for (i = 1; i <= 6; i++) {
		page = quire_page_alloc(&h->q, QUIRE_GFP_MEMALLOC, 0);
		assert_int_equal(page == NULL, i >= 2);
		if (page)
			quire_page_put(&h->q, page);
	}
	h->q.pages.fail.after = 0;
}
#endif

/* ---- Everything at once ------------------------------------------------------------------ */

struct held {
	struct quire_page *page;
	unsigned order;
	uint64_t tag;
};

/* Every word at both ends of every page carries the holder's tag: two holders of one frame would show. */
static void brand(struct quire *q, const struct held *held, bool verify)
{
	uint64_t *words = quire_page_to_virt(q, held->page), i;

	for (i = 0; i < UINT64_C(1) << held->order; i++) {
		uint64_t *page = words + i * (QUIRE_PAGE_SIZE / 8);

		if (verify) {
			assert_true(page[0] == held->tag + i);
			assert_true(page[QUIRE_PAGE_SIZE / 8 - 1] == ~(held->tag + i));
		}
		page[0] = held->tag + i;
		page[QUIRE_PAGE_SIZE / 8 - 1] = ~(held->tag + i);
	}
}

#define HELD 200

static void churn(struct host *h, unsigned seed, unsigned turns, bool checks)
{
	struct held held[HELD] = { { .page = NULL } };
	uint64_t chance = seed + 1;
	unsigned i;

	for (i = 0; i < turns; i++) {
		struct held *at = &held[host_random(&chance) % HELD];

		if (at->page) {
			brand(&h->q, at, true);
			quire_page_free(&h->q, at->page, at->order);
			at->page = NULL;
		} else {
			/* Mostly single pages; now and then more than there is. */
			at->order = host_random(&chance) % 4 ? 0 : (unsigned)(host_random(&chance) % QUIRE_NR_ORDERS);
			at->tag = host_random(&chance);
			at->page = quire_page_alloc(&h->q, host_random(&chance) % 8 ? 0 : QUIRE_GFP_ATOMIC, at->order);
			if (at->page)
				brand(&h->q, at, false);
		}
		if (checks && i % 50 == 0)
			check(h);
	}
	for (i = 0; i < HELD; i++) {
		if (held[i].page) {
			brand(&h->q, &held[i], true);
			quire_page_free(&h->q, held[i].page, held[i].order);
		}
	}
}

static void churn_alone_keeps_the_equations(void **state)
{
	churn(*state, 0, 20000, true);
	quire_page_drain(&((struct host *)*state)->q);
	assert_int_equal(host_frames_taken(*state), 1);
	/* All merged again: what lies in full blocks of the largest order is in such blocks. */
	assert_true(normal(*state)->area[QUIRE_MAX_ORDER].nr_free >= 6);
}

static void churn_on_a_cpu(void *arg, unsigned cpu)
{
	unsigned i;

	if (cpu != 3) {
		churn(arg, cpu, 10000, false);
		return;
	}
	for (i = 0; i < 30; i++) { /* and somebody who drains and looks on, meanwhile */
		quire_page_drain(&((struct host *)arg)->q);
		assert_null(quire_page_check(&((struct host *)arg)->q));
	}
}

static void churn_on_all_cpus_keeps_the_equations(void **state)
{
	host_run_cpus(4, churn_on_a_cpu, *state);
	quire_page_drain(&((struct host *)*state)->q);
	assert_int_equal(host_frames_taken(*state), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_host(block_splits_and_merges_back),
		with_host(block_is_as_promised),
		with_host(zeroed_blocks_are_zero_whatever_was_there),
		with_host(what_cannot_be_had_is_refused),
		with_host(pointers_lead_back_to_their_page),
		with_host(lists_stay_within_their_bounds),
		with_host(allocation_gets_what_other_cpus_keep),
		with_host(memory_that_waits_is_waited_for),
		with_host(a_reader_in_the_way_is_waited_for),
		with_host(last_put_frees),
		with_host(free_under_a_reader_is_done_by_the_readers_put),
		with_host(a_split_block_is_single_pages),
		with_host(misuse_is_reported_and_harms_nothing),
#if QUIRE_DEBUG
		with_host(pages_in_use_that_are_freed_are_reported),
#endif
		with_host(tryget_never_gets_a_free_page),
		with_host(page_lock_keeps_others_out),
		with_host(page_lock_sleepers_are_all_woken_in_the_end),
		with_host(bytes_are_copied_and_zeroed),
		with_host(counters_add_up_over_cpus),
		with_host(allocations_are_counted_in_pages),
#if QUIRE_DEBUG
		with_host(injected_failures_change_nothing),
#endif
		with_host(churn_alone_keeps_the_equations),
		with_host(churn_on_all_cpus_keeps_the_equations),
	};

	return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}

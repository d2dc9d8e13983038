/* SPDX-License-Identifier: MIT */
/*
 * Permanent and temporary kmaps on PAE tables and i386's: which slot a page gets, what its entry says, who waits, what
 * is flushed when. The bytes behind the addresses are highmem_space.c's business, on a machine that has an MMU;
 * here nobody follows a pointer. Rules and figures are those of Linux's Documentation/mm/highmem.rst.
 *
 * The test stands between the library and two of its own calls, so that it can be the interrupt or the other CPU
 * that comes at the worst moment.
 */
#include "port_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PAGE QUIRE_PAGE_SIZE
#define CPUS 4u
#define SLOTS 8u /* few, so that they are soon used up */
#define PKMAP 0xff800000ull
#define TOP 0xfffff000ull

static struct host *h;
static struct quire *q;

/* ---- What stands between ----------------------------------------------------------------- */

static void (*during_flush)(void); /* called once, in the next flush, before it is done */
static void (*during_set)(void);   /* in the next change of a slot's entry, before and after it */

void __real_quire_port_tlb_flush(struct quire *instance, const struct quire_tlb_flush *flush);
void __wrap_quire_port_tlb_flush(struct quire *instance, const struct quire_tlb_flush *flush);
void __real_quire_pteslot_set(struct quire_pgtable *pt, struct quire_pteslot slot, quire_pte_t pte);
void __wrap_quire_pteslot_set(struct quire_pgtable *pt, struct quire_pteslot slot, quire_pte_t pte);

void __wrap_quire_port_tlb_flush(struct quire *instance, const struct quire_tlb_flush *flush)
{
	void (*then)(void) = during_flush;

	during_flush = NULL;
	if (then)
		then();
	__real_quire_port_tlb_flush(instance, flush);
}

void __wrap_quire_pteslot_set(struct quire_pgtable *pt, struct quire_pteslot slot, quire_pte_t pte)
{
	void (*then)(void) = during_set;

	during_set = NULL;
	if (then)
		then();
	__real_quire_pteslot_set(pt, slot, pte);
	if (then)
		then();
}

/* ---- The machine ------------------------------------------------------------------------- */

/* 8 MiB of low memory, 8 of high; Linux's addresses, but for the size of the pkmap. */
static int set_up(void **state)
{
	struct quire_range range = {0, 16u << 20, QUIRE_RANGE_USABLE, 0 };
	const struct quire_config config = {
		.map = &range,
		.nr_ranges = 1,
		.zones = 1u << QUIRE_ZONE_NORMAL | 1u << QUIRE_ZONE_HIGHMEM,
		.high_memory = 8u << 20,
	};

	h = host_new(range.end, CPUS);
	q = &h->q;
	quire_grace_init(q);
	assert_int_equal(quire_page_init(q, &config), 0);
	assert_int_equal(quire_slab_init(q), 0);
	q->kva.layout = (struct quire_kva_layout){
		.page_offset = 0xc0000000,
		.high_memory = 0xc0800000,
		.vmalloc_start = 0xc1000000,
		.vmalloc_end = 0xff7fe000,
		.pkmap_base = PKMAP,
		.nr_pkmaps = SLOTS,
		.fixaddr_start =
			TOP - (QUIRE_FIX_KMAP_BEGIN + (uint64_t)CPUS * QUIRE_KM_SLOTS) * PAGE,
		.fixaddr_top = TOP,
	};
	assert_int_equal(quire_pgtable_init_kernel(q, &q->kva.pt, *state, 0xc0000000,
						   UINT64_C(1) << 32),
			 0);
	assert_int_equal(quire_highmem_init(q), 0);
	host_set_cpu(0);
	return 0;
}

static void check(void)
{
	quire_broken_t broken = quire_highmem_check(q);

	if (broken)
		fail_msg("%s", broken);
	broken = quire_pgtable_check(q->kernel);
	if (broken)
		fail_msg("%s", broken);
	assert_false(host_is_atomic());
}

static int tear_down(void **state)
{
	(void)state;
	during_flush = during_set = NULL;
	check();
	quire_highmem_exit(q);
	quire_pgtable_destroy(q->kernel);
	host_delete(h);
	return 0;
}

#define ON(fn, format)                                                                             \
	{                                                                                          \
		#fn " " #format, fn, set_up, tear_down, (void *)(uintptr_t)&quire_pgfmt_##format   \
	}
#define TEST(fn) ON(fn, pae), ON(fn, i386)

static struct quire_page *high_page(void)
{
	struct quire_page *page = quire_page_alloc(q, QUIRE_GFP_HIGHMEM, 0);

	assert_non_null(page);
	assert_true(quire_page_is_high(page));
	return page;
}

static quire_pte_t entry_at(uint64_t addr)
{
	quire_pte_t pte;

	quire_grace_enter(q);
	pte = quire_pgtable_peek(q->kernel, addr);
	quire_grace_leave(q);
	return pte;
}

/* A kernel may read and write ordinary memory there, and no user: SDM 4.4.2, P R/W A D G XD; 4.3, without an XD. */
static quire_pte_t pte_of(struct quire_page *page)
{
	const quire_pte_t xd = q->kernel->fmt == &quire_pgfmt_i386 ? 0 : UINT64_C(1) << 63;

	return (quire_page_to_pfn(q, page) << 12) | xd | 0x163;
}

static bool maps_nothing(uint64_t addr)
{
	return !(entry_at(addr) & 1);
}

#define assert_addr(pointer, addr) assert_int_equal((uintptr_t)(pointer), (addr))

/* Map and unmap a fresh page. */
static struct quire_page *use_one(void)
{
	struct quire_page *page = high_page();

	quire_kmap(q, page);
	quire_kunmap(q, page);
	return page;
}

/* ---- Permanent kmaps --------------------------------------------------------------------- */

static void a_low_page_has_its_address(void **state)
{
	struct quire_page *page = quire_page_alloc(q, QUIRE_GFP_KERNEL, 0);
	uint32_t flushes = h->flushes;

	(void)state;
	assert_ptr_equal(quire_kmap(q, page), quire_page_to_virt(q, page));
	assert_ptr_equal(quire_page_address(q, page), quire_page_to_virt(q, page));
	quire_kunmap(q, page);
	assert_ptr_equal(quire_page_address(q, page), quire_page_to_virt(q, page));
	assert_int_equal(q->highmem.next, 0); /* no slot was looked for */
	assert_int_equal(h->flushes, flushes);
}

static void a_high_page_gets_a_slot(void **state)
{
	struct quire_page *page = high_page();

	(void)state;
	assert_null(quire_page_address(q, page));
	assert_addr(quire_kmap(q, page), PKMAP);
	assert_int_equal(entry_at(PKMAP), pte_of(page));
	assert_addr(quire_page_address(q, page), PKMAP);
	assert_int_equal(q->highmem.pkmap[0].count, 2);
	check();
	quire_kunmap(q, page);
}

static void all_users_of_a_page_share_its_slot(void **state)
{
	struct quire_page *page = high_page(), *other = high_page();

	(void)state;
	assert_addr(quire_kmap(q, page), PKMAP);
	assert_addr(quire_kmap(q, other), PKMAP + PAGE);
	host_set_cpu(2);
	assert_addr(quire_kmap(q, page), PKMAP);
	assert_int_equal(q->highmem.pkmap[0].count, 3);
	quire_kunmap(q, page);
	assert_int_equal(q->highmem.pkmap[0].count, 2);
	quire_kunmap(q, page);
	quire_kunmap(q, other);
	host_set_cpu(0);
}

/* Count 1: mapped, but needs a flush before it is another's. Who comes for the page itself needs none. */
static void a_slot_without_users_keeps_its_page(void **state)
{
	struct quire_page *page = use_one();
	uint32_t flushes = h->flushes;

	(void)state;
	assert_int_equal(q->highmem.pkmap[0].count, 1);
	assert_int_equal(entry_at(PKMAP), pte_of(page));
	check();
	use_one(); /* gets the second */
	assert_addr(quire_kmap(q, page), PKMAP);
	assert_int_equal(q->highmem.pkmap[0].count, 2);
	assert_int_equal(h->flushes, flushes);
	quire_kunmap(q, page);
}

/* As many kmaps as there are slots cost one flush. */
static void the_search_goes_round_and_flushes(void **state)
{
	struct quire_page *first = use_one(), *page;
	uint32_t flushes = h->flushes;
	unsigned i;

	(void)state;
	for (i = 1; i < SLOTS; i++)
		use_one();
	assert_int_equal(h->flushes, flushes);
	page = high_page();
	assert_addr(quire_kmap(q, page), PKMAP);
	assert_int_equal(h->flushes, flushes + 1);
	assert_true(h->last_flush.kernel);
	assert_int_equal(h->last_flush.start, PKMAP);
	assert_int_equal(h->last_flush.end, PKMAP + SLOTS * PAGE);
	assert_null(quire_page_address(q, first));
	for (i = 1; i < SLOTS; i++)
		assert_true(maps_nothing(PKMAP + i * PAGE));
	assert_int_equal(q->highmem.flushes, 1);
	check();
	quire_kunmap(q, page);
}

static void slots_with_users_outlive_the_flush(void **state)
{
	struct quire_page *kept = high_page(), *page;
	unsigned i;

	(void)state;
	use_one();
	assert_addr(quire_kmap(q, kept), PKMAP + PAGE);
	for (i = 2; i < SLOTS; i++)
		use_one();
	page = high_page();
	assert_addr(quire_kmap(q, page), PKMAP);
	assert_addr(quire_page_address(q, kept), PKMAP + PAGE);
	assert_int_equal(entry_at(PKMAP + PAGE), pte_of(kept));
	quire_kunmap(q, page);
	/* The search goes on behind what it found, and leaves out what is in use. */
	page = high_page();
	assert_addr(quire_kmap(q, page), PKMAP + 2 * PAGE);
	quire_kunmap(q, page);
	quire_kunmap(q, kept);
}

static struct quire_page *flushed, *newcomer;

/* Another CPU, while the slots of `flushed` and of one more page are being flushed. */
static void in_the_flush(void)
{
	host_set_cpu(1);
	assert_int_equal(q->highmem.pkmap[0].count, QUIRE_PKMAP_FLUSHING);
	assert_int_equal(q->highmem.pkmap[1].count, QUIRE_PKMAP_FLUSHING);
	assert_null(quire_page_address(q, flushed));
	assert_null(quire_kmap_to_page(q, (void *)(uintptr_t)PKMAP));
	check();
	/* Only slot 5 is free; the page's old slot is not to be had, for it nor for anybody. */
	assert_addr(quire_kmap(q, flushed), PKMAP + 5 * PAGE);
	assert_addr(quire_page_address(q, flushed), PKMAP + 5 * PAGE);
	host_set_cpu(0);
}

static void nobody_gets_a_slot_that_is_being_flushed(void **state)
{
	struct quire_page *busy[SLOTS];
	unsigned i;

	(void)state;
	flushed = use_one();
	use_one();
	for (i = 2; i < SLOTS; i++) {
		busy[i] = high_page();
		quire_kmap(q, busy[i]);
	}
	/* Free without a flush to come: as the flush of one round leaves them. */
	quire_kunmap(q, busy[5]);
	q->highmem.next = SLOTS;
	newcomer = high_page();
	during_flush = NULL;
	/* One round makes 0, 1 and 5 free; the first two are used and let go again. */
	assert_addr(quire_kmap(q, newcomer), PKMAP);
	quire_kunmap(q, newcomer);
	flushed = newcomer;
	use_one();
	assert_int_equal(q->highmem.pkmap[0].count, 1);
	assert_int_equal(q->highmem.pkmap[1].count, 1);
	assert_int_equal(q->highmem.pkmap[5].count, 0);
	q->highmem.next = SLOTS; /* the search has come to the end */
	during_flush = in_the_flush;
	newcomer = high_page();
	assert_addr(quire_kmap(q, newcomer), PKMAP);
	assert_null(during_flush);
	assert_int_equal(entry_at(PKMAP), pte_of(newcomer));
	assert_addr(quire_page_address(q, flushed), PKMAP + 5 * PAGE);
	check();

	quire_kunmap(q, newcomer);
	quire_kunmap(q, flushed);
	for (i = 2; i < SLOTS; i++) {
		if (i != 5)
			quire_kunmap(q, busy[i]);
	}
}

/* The page that a kmap came for may have been mapped while it flushed. */
static void map_the_same(void)
{
	host_set_cpu(1);
	assert_addr(quire_kmap(q, newcomer), PKMAP + 5 * PAGE);
	host_set_cpu(0);
}

static void two_who_map_a_page_during_a_flush_get_the_same(void **state)
{
	struct quire_page *busy[SLOTS];
	unsigned i;

	(void)state;
	for (i = 0; i < SLOTS; i++) {
		busy[i] = high_page();
		quire_kmap(q, busy[i]);
	}
	quire_kunmap(q, busy[5]);
	newcomer = high_page();
	quire_kmap(q, newcomer); /* flushes, and takes slot 5 */
	quire_kunmap(q, newcomer);
	quire_kunmap(q, busy[0]);
	/* Slot 5 becomes free, slot 0 is idle. */
	q->highmem.next = SLOTS;
	newcomer = high_page();
	quire_kmap(q, newcomer);
	quire_kunmap(q, newcomer);
	assert_addr(quire_page_address(q, newcomer), PKMAP);
	assert_int_equal(q->highmem.pkmap[5].count, 0);

	q->highmem.next = SLOTS;
	newcomer = high_page();
	during_flush = map_the_same;
	assert_addr(quire_kmap(q, newcomer), PKMAP + 5 * PAGE);
	assert_int_equal(q->highmem.pkmap[5].count, 3);
	check();
	quire_kunmap(q, newcomer);
	quire_kunmap(q, newcomer);
	for (i = 1; i < SLOTS; i++) {
		if (i != 5)
			quire_kunmap(q, busy[i]);
	}
}

/* ---- Waiting ----------------------------------------------------------------------------- */

static struct quire_page *crowd[SLOTS + 2];

/* CPU 0 lets one slot go when the others sleep; each in turn passes its slot on. */
static void wait_for_a_slot(void *arg, unsigned cpu)
{
	(void)arg;
	if (cpu == 0) {
		while (quire_load(&h->waits) < 2)
			quire_port_relax(q);
		quire_kunmap(q, crowd[3]);
		return;
	}
	assert_non_null(quire_kmap(q, crowd[SLOTS + cpu - 1]));
	quire_kunmap(q, crowd[SLOTS + cpu - 1]);
}

static void kmap_waits_for_a_slot(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < SLOTS + 2; i++)
		crowd[i] = high_page();
	for (i = 0; i < SLOTS; i++)
		quire_kmap(q, crowd[i]);
	host_run_cpus(3, wait_for_a_slot, NULL);
	assert_int_equal(q->highmem.waiters, 0);
	assert_true(h->wakes >= 1);
	for (i = 0; i < SLOTS; i++) {
		if (i != 3)
			quire_kunmap(q, crowd[i]);
	}
}

/* Nobody is woken when nobody sleeps. */
static void kunmap_wakes_nobody_in_vain(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 3 * SLOTS; i++)
		use_one();
	assert_int_equal(h->wakes, 0);
}

#define POOL 24u
#define ROUNDS 3000u

static struct quire_page *pool[POOL];

/*
 * Up to two pages at a time each, of three times as many as there are slots. While somebody has a page its
 * address does not change, and the entry is the page's. Each holds one and asks for a second only if
 * there are slots for all to do so.
 */
static void churn(void *arg, unsigned cpu)
{
	uint64_t random = cpu + 1;
	unsigned round;

	(void)arg;
	for (round = 0; round < ROUNDS; round++) {
		struct quire_page *a = pool[host_random(&random) % POOL], *b;
		uintptr_t at = (uintptr_t)quire_kmap(q, a), second;

		assert_int_equal(entry_at(at), pte_of(a));
		b = pool[host_random(&random) % POOL];
		second = (uintptr_t)quire_kmap(q, b);
		assert_int_equal(entry_at(second), pte_of(b));
		assert_int_equal(second == at, a == b);
		assert_int_equal((uintptr_t)quire_page_address(q, a), at);
		assert_int_equal(entry_at(at), pte_of(a));
		quire_kunmap(q, a);
		assert_int_equal(entry_at(second), pte_of(b));
		quire_kunmap(q, b);
		assert_false(host_is_atomic());
	}
}

static void many_cpus_share_few_slots(void **state)
{
	unsigned i;

	(void)state;
	_Static_assert(SLOTS >= 2 * CPUS, "two at a time for each");
	for (i = 0; i < POOL; i++)
		pool[i] = high_page();
	host_run_cpus(CPUS, churn, NULL);
	assert_true(q->highmem.flushes > 0);
	assert_false(q->highmem.flushing);
	for (i = 0; i < SLOTS; i++)
		assert_true(q->highmem.pkmap[i].count <= 1);
}

/* One at a time, for twice as many CPUs' worth of slots less: there is nearly always somebody who waits. */
static void starve(void *arg, unsigned cpu)
{
	uint64_t random = cpu + 1;
	unsigned round;

	(void)arg;
	for (round = 0; round < ROUNDS; round++) {
		struct quire_page *page = pool[host_random(&random) % POOL];
		uintptr_t at = (uintptr_t)quire_kmap(q, page);

		assert_int_equal(entry_at(at), pte_of(page));
		quire_port_relax(q); /* another CPU's turn, with the slot in use */
		assert_int_equal(entry_at(at), pte_of(page));
		quire_kunmap(q, page);
	}
}

static void nobody_waits_for_ever(void **state)
{
	struct quire_page *taken[SLOTS - 1];
	unsigned i;

	(void)state;
	for (i = 0; i < POOL; i++)
		pool[i] = high_page();
	for (i = 0; i < SLOTS - 1; i++) {
		taken[i] = high_page();
		quire_kmap(q, taken[i]);
	}
	host_run_cpus(CPUS, starve, NULL);
	assert_true(h->waits > 0);
	assert_int_equal(q->highmem.waiters, 0);
	for (i = 0; i < SLOTS - 1; i++)
		quire_kunmap(q, taken[i]);
}

/* ---- From address to page ---------------------------------------------------------------- */

static void addresses_lead_back_to_their_page(void **state)
{
	struct quire_page *low = quire_page_alloc(q, QUIRE_GFP_KERNEL, 0), *page = high_page();
	struct quire_page *other = high_page();
	char *at, *local, *named;

	(void)state;
	assert_ptr_equal(quire_kmap_to_page(q, quire_page_to_virt(q, low)), low);
	at = quire_kmap(q, page);
	assert_ptr_equal(quire_kmap_to_page(q, at + 4095), page);
	assert_null(quire_kmap_to_page(q, at + 4096));
	local = quire_kmap_local(q, other);
	assert_ptr_equal(quire_kmap_to_page(q, local + 100), other);
	named = quire_kmap_atomic(q, page, QUIRE_KM_USER1);
	assert_ptr_equal(quire_kmap_to_page(q, named), page);
	assert_null(quire_kmap_to_page(q, (void *)(uintptr_t)TOP));
	/* Another CPU's are not this one's. */
	host_set_cpu(1);
	assert_null(quire_kmap_to_page(q, local));
	host_set_cpu(0);
	quire_kunmap_atomic(q, named, QUIRE_KM_USER1);
	quire_kunmap_local(q, local);
	quire_kunmap(q, page);
}

/* ---- Temporary kmaps --------------------------------------------------------------------- */

/* Slot n of a CPU's: Linux's FIX_KMAP_BEGIN + cpu * KM_MAX_IDX + n, downwards. */
static uint64_t local_addr(unsigned cpu, unsigned n)
{
	return TOP - (QUIRE_FIX_KMAP_BEGIN + cpu * (16 + 13) + n + 1) * PAGE;
}

static void a_low_page_needs_no_slot(void **state)
{
	struct quire_page *page = quire_page_alloc(q, QUIRE_GFP_KERNEL, 0);
	uint32_t flushes = h->local_flushes;
	void *at = quire_kmap_local(q, page);

	(void)state;
	assert_ptr_equal(at, quire_page_to_virt(q, page));
	assert_int_equal(q->highmem.cpu[0].index, 0);
	quire_kunmap_local(q, at);
	assert_int_equal(h->local_flushes, flushes);
}

/* One entry and one flush of this CPU a pair; debug builds take the entry away again, with another flush. */
static void a_pair_costs_one_local_flush(void **state)
{
	struct quire_page *page = high_page();
	uint32_t local = h->local_flushes, flushes = h->flushes;
	char *at = quire_kmap_local(q, page);

	(void)state;
	assert_addr(at, local_addr(0, 0));
	assert_int_equal(entry_at(local_addr(0, 0)), pte_of(page));
	assert_int_equal(h->local_flushes, local + 1);
	assert_true(host_is_atomic());
	quire_kunmap_local(q, at + 123);
	assert_int_equal(h->local_flushes, local + 1 + QUIRE_DEBUG);
	assert_int_equal(maps_nothing(local_addr(0, 0)), QUIRE_DEBUG);
	assert_int_equal(h->flushes, flushes);
}

static void each_cpu_has_its_own(void **state)
{
	struct quire_page *page = high_page(), *other = high_page();
	void *at, *there;

	(void)state;
	at = quire_kmap_local(q, page);
	quire_kunmap_local(q, at);
	host_set_cpu(3);
	there = quire_kmap_local(q, other);
	assert_addr(there, local_addr(3, 0));
	quire_kunmap_local(q, there);
	host_set_cpu(0);
	assert_addr(at, local_addr(0, 0));
}

static void they_nest_sixteen_deep(void **state)
{
	struct quire_page *page[17];
	void *at[17];
	unsigned i;

	(void)state;
	for (i = 0; i < 17; i++)
		page[i] = high_page();
	for (i = 0; i < 16; i++) {
		at[i] = quire_kmap_local(q, page[i]);
		assert_addr(at[i], local_addr(0, i));
	}
	host_expect_reports(h);
	at[16] = quire_kmap_local(q, page[16]);
	host_assert_report(h, "more at a time than a CPU has slots");
	assert_null(at[16]);
	quire_kunmap_local(q, at[16]);
	for (i = 16; i-- > 0;) {
		assert_int_equal(entry_at(local_addr(0, i)), pte_of(page[i]));
		quire_kunmap_local(q, at[i]);
	}
	assert_int_equal(q->highmem.cpu[0].index, 0);
}

static struct quire_page *handlers[2];
static unsigned interrupts;

/* An interrupt handler that copies a page. */
static void interrupt(void)
{
	void *to, *from;

	interrupts++;
	to = quire_kmap_local(q, handlers[0]);
	from = quire_kmap_local(q, handlers[1]);
	assert_int_equal(entry_at((uintptr_t)to), pte_of(handlers[0]));
	assert_int_equal(entry_at((uintptr_t)from), pte_of(handlers[1]));
	quire_kunmap_local(q, from);
	quire_kunmap_local(q, to);
}

/* Before and after the entry is written. */
static void interrupts_use_what_is_above(void **state)
{
	struct quire_page *page = high_page(), *other = high_page();
	void *at, *second;

	(void)state;
	handlers[0] = high_page();
	handlers[1] = high_page();
	interrupts = 0;
	during_set = interrupt;
	at = quire_kmap_local(q, page);
	assert_addr(at, local_addr(0, 0));
	assert_int_equal(entry_at(local_addr(0, 0)), pte_of(page));
	during_set = interrupt;
	second = quire_kmap_local(q, other);
	assert_addr(second, local_addr(0, 1));
	assert_int_equal(entry_at(local_addr(0, 0)), pte_of(page));
	assert_int_equal(entry_at(local_addr(0, 1)), pte_of(other));
	assert_int_equal(interrupts, 4);
	quire_kunmap_local(q, second);
	interrupt();
	assert_int_equal(q->highmem.cpu[0].index, 1);
	assert_int_equal(entry_at(local_addr(0, 0)), pte_of(page));
	quire_kunmap_local(q, at);
	assert_int_equal(q->highmem.cpu[0].index, 0);
}

/* ---- By name ----------------------------------------------------------------------------- */

static void a_name_is_a_slot_of_this_cpu(void **state)
{
	struct quire_page *page = high_page(), *other = high_page();
	uint32_t local = h->local_flushes;
	void *at, *second;

	(void)state;
	at = quire_kmap_atomic(q, page, QUIRE_KM_USER0);
	assert_addr(at, local_addr(0, 16 + 3)); /* the fourth name */
	assert_int_equal(entry_at(local_addr(0, 19)), pte_of(page));
	assert_true(host_is_atomic());
	second = quire_kmap_atomic(q, other, QUIRE_KM_IRQ0);
	assert_addr(second, local_addr(0, 16 + 9));
	assert_int_equal(h->local_flushes, local + 2);
	assert_int_equal(q->highmem.cpu[0].index, 0);
	/* In any order. */
	quire_kunmap_atomic(q, at, QUIRE_KM_USER0);
	assert_int_equal(entry_at(local_addr(0, 25)), pte_of(other));
	quire_kunmap_atomic(q, second, QUIRE_KM_IRQ0);
	assert_false(host_is_atomic());
}

static void preemption_is_off_for_a_low_page_too(void **state)
{
	struct quire_page *page = quire_page_alloc(q, QUIRE_GFP_KERNEL, 0);
	void *at = quire_kmap_atomic(q, page, QUIRE_KM_USER0);

	(void)state;
	assert_ptr_equal(at, quire_page_to_virt(q, page));
	assert_true(host_is_atomic());
	quire_kunmap_atomic(q, at, QUIRE_KM_USER0);
	assert_false(host_is_atomic());
}

/* ---- Misuse ------------------------------------------------------------------------------ */

static void a_kunmap_too_many_is_reported(void **state)
{
	struct quire_page *page = high_page();

	(void)state;
	host_expect_reports(h);
	quire_kunmap(q, page);
	host_assert_report(h, "kunmap of a page that nobody has mapped");
	assert_int_equal(h->report_value, quire_page_to_pfn(q, page));
	quire_kmap(q, page);
	quire_kunmap(q, page);
	host_expect_reports(h);
	quire_kunmap(q, page);
	host_assert_report(h, "kunmap of a page that nobody has mapped");
	assert_int_equal(q->highmem.pkmap[0].count, 1);
}

/* The one that stays mapped stays good, and the slot of the other is free when its turn has come. */
static void another_order_is_reported(void **state)
{
	struct quire_page *page = high_page(), *other = high_page();
	void *at, *second;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	at = quire_kmap_local(q, page);
	second = quire_kmap_local(q, other);
	host_expect_reports(h);
	quire_kunmap_local(q, at);
	host_assert_report(h, "not the one that was mapped last");
	assert_true(maps_nothing(local_addr(0, 0)));
	assert_int_equal(entry_at(local_addr(0, 1)), pte_of(other));
	quire_kunmap_local(q, second);
	assert_int_equal(q->highmem.cpu[0].index, 0);
}

/* As a thread would that moved in between; its preemption count goes with it. */
static void another_cpu_is_reported(void **state)
{
	struct quire_page *page = high_page();
	void *at;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	at = quire_kmap_local(q, page);
	host_set_cpu(1);
	host_expect_reports(h);
	quire_kunmap_local(q, at);
	host_assert_report(h, "mapped by another CPU");
	host_set_cpu(0);
	assert_int_equal(entry_at(local_addr(0, 0)), pte_of(page));
	quire_port_preempt_disable(q);
	quire_port_preempt_disable(q);
	quire_kunmap_local(q, at);
}

static void what_is_not_mapped_is_reported(void **state)
{
	struct quire_page *page = high_page();
	void *at;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	at = quire_kmap_local(q, page);
	quire_kunmap_local(q, at);
	quire_port_preempt_disable(q);
	quire_port_preempt_disable(q);
	host_expect_reports(h);
	quire_kunmap_local(q, at);
	host_assert_report(h, "kunmap_local: not mapped");
	quire_port_preempt_disable(q);
	quire_port_preempt_disable(q);
	host_expect_reports(h);
	quire_kunmap_local(q, (void *)(uintptr_t)PKMAP);
	host_assert_report(h, "no address of a temporary kmap");
	assert_int_equal(q->highmem.cpu[0].index, 0);
}

static void a_name_that_is_taken_is_reported(void **state)
{
	struct quire_page *page = high_page(), *other = high_page();
	void *at;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	at = quire_kmap_atomic(q, page, QUIRE_KM_PTE0);
	host_expect_reports(h);
	quire_kmap_atomic(q, other, QUIRE_KM_PTE0);
	host_assert_report(h, "the slot is taken");
	host_expect_reports(h);
	quire_kunmap_atomic(q, at, QUIRE_KM_PTE1);
	host_assert_report(h, "not what this slot");
	quire_kunmap_atomic(q, at, QUIRE_KM_PTE0);
}

/* ---- The check --------------------------------------------------------------------------- */

static void the_check_sees_what_is_wrong(void **state)
{
	struct quire_highmem *hm = &q->highmem;
	struct quire_page *page = high_page(), *other = high_page(), *page_was;
	uint32_t next, *bucket;
	quire_pte_t pte;

	(void)state;
	quire_kmap(q, page);
	quire_kmap(q, other);
	quire_kunmap(q, other);
	assert_null(quire_highmem_check(q));

#define WRONG(what) assert_string_equal(quire_highmem_check(q), what)
	hm->idle++;
	WRONG("pkmap: idle == pkmaps whose count is 1");
	hm->idle--;
	hm->pkmap[1].count = QUIRE_PKMAP_FLUSHING;
	WRONG("pkmap: nothing is FLUSHING unless somebody flushes");
	hm->pkmap[1].count = 0;
	WRONG("pkmap: count is 0 or FLUSHING == it has no page");
	hm->pkmap[1].count = 1;
	pte = quire_pteslot_get(q->kernel, hm->pkmap[0].entry);
	quire_pteslot_set(q->kernel, hm->pkmap[0].entry, 0);
	WRONG("pkmap: its entry maps something == it has a page");
	quire_pteslot_set(q->kernel, hm->pkmap[0].entry, pte + PAGE);
	WRONG("pkmap: its entry maps its page");
	quire_pteslot_set(q->kernel, hm->pkmap[0].entry, pte);

	page_was = hm->pkmap[1].page;
	bucket = &hm->bucket[quire_page_to_pfn(q, other) % QUIRE_PKMAP_BUCKETS];
	next = *bucket;
	*bucket = 0;
	WRONG("pkmap: each page is in its bucket");
	*bucket = next;
	hm->pkmap[1].next = 2; /* itself */
	WRONG("pkmap: a bucket is a list of pkmaps");
	hm->pkmap[1].next = 0;
	hm->bucket[(quire_page_to_pfn(q, other) + 1) % QUIRE_PKMAP_BUCKETS] = next;
	if (quire_highmem_check(q) == NULL)
		fail();
	hm->bucket[(quire_page_to_pfn(q, other) + 1) % QUIRE_PKMAP_BUCKETS] =
		quire_page_to_pfn(q, page) % QUIRE_PKMAP_BUCKETS ==
				(quire_page_to_pfn(q, other) + 1) % QUIRE_PKMAP_BUCKETS
			? 1
			: 0;
	assert_ptr_equal(hm->pkmap[1].page, page_was);

	hm->cpu[2].index = 17;
	WRONG("kmap_local: a CPU's index <= its slots");
	hm->cpu[2].index = 0;
	quire_pteslot_set(q->kernel, hm->fix[QUIRE_FIX_HOLE], pte);
	WRONG("fixmap: the hole maps nothing");
	quire_pteslot_set(q->kernel, hm->fix[QUIRE_FIX_HOLE], 0);
	quire_pteslot_set(q->kernel, hm->fix[QUIRE_FIX_BTMAP_END], pte);
	WRONG("fixmap: what early ioremap maps is in btmap[]");
	quire_pteslot_set(q->kernel, hm->fix[QUIRE_FIX_BTMAP_END], 0);
	if (QUIRE_DEBUG) {
		quire_pteslot_set(q->kernel, hm->fix[QUIRE_FIX_KMAP_BEGIN + 29 + 5], pte);
		WRONG("kmap_local: slots from a CPU's index on map nothing");
		quire_pteslot_set(q->kernel, hm->fix[QUIRE_FIX_KMAP_BEGIN + 29 + 5], 0);
	}
#undef WRONG
	assert_null(quire_highmem_check(q));
	quire_kunmap(q, page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_low_page_has_its_address),
		TEST(a_high_page_gets_a_slot),
		TEST(all_users_of_a_page_share_its_slot),
		TEST(a_slot_without_users_keeps_its_page),
		TEST(the_search_goes_round_and_flushes),
		TEST(slots_with_users_outlive_the_flush),
		TEST(nobody_gets_a_slot_that_is_being_flushed),
		TEST(two_who_map_a_page_during_a_flush_get_the_same),
		TEST(kmap_waits_for_a_slot),
		TEST(kunmap_wakes_nobody_in_vain),
		TEST(many_cpus_share_few_slots),
		TEST(nobody_waits_for_ever),
		TEST(addresses_lead_back_to_their_page),
		TEST(a_low_page_needs_no_slot),
		TEST(a_pair_costs_one_local_flush),
		TEST(each_cpu_has_its_own),
		TEST(they_nest_sixteen_deep),
		TEST(interrupts_use_what_is_above),
		TEST(a_name_is_a_slot_of_this_cpu),
		TEST(preemption_is_off_for_a_low_page_too),
		TEST(a_kunmap_too_many_is_reported),
		TEST(another_order_is_reported),
		TEST(another_cpu_is_reported),
		TEST(what_is_not_mapped_is_reported),
		TEST(a_name_that_is_taken_is_reported),
		TEST(the_check_sees_what_is_wrong),
	};

	return cmocka_run_group_tests_name("highmem", tests, NULL, NULL);
}

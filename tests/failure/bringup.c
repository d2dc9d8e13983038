/* SPDX-License-Identifier: MIT */
/* The machine itself, brought up with every allocation failing, and with too little memory. */
#include "failure.h"

static void bring_up(bool sticky)
{
	const struct machine_config config = {.ram_bytes = 5120 * PAGE, .nr_cpus = 2};
	struct machine *m = NULL;
	uint64_t k;

	for (k = 1;; k++) {
		int err;

		fail_at(k, sticky);
		err = machine_create(&config, &m);
		if (!fail_end()) {
			assert_int_equal(err, 0);
			break;
		}
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_null(m);
	}
	/* A cache each, and there are more than kmalloc's. */
	assert_true(k > QUIRE_KMALLOC_CLASSES);
	assert_int_equal(machine_destroy(m), 0);
}

static void every_allocation_of_bringing_up_fails(void **state)
{
	(void)state;
	mark_stack(__builtin_frame_address(0));
	bring_up(false);
	bring_up(true);
}

/* Memory enough for the descriptors but not for the caches, and so on up to enough. */
static void a_machine_too_small_is_refused(void **state)
{
	bool was_refused = false;
	uint64_t pages;

	(void)state;
	for (pages = 1; pages < 2000; pages++) {
		const struct quire_range range = {16 * PAGE, (16 + pages) * PAGE,
						  QUIRE_RANGE_USABLE, 0};
		const struct machine_config config = {
			.ram_bytes = 4096 * PAGE, .map = &range, .nr_ranges = 1};
		struct machine *m = NULL;
		int err = machine_create(&config, &m);

		if (!err) {
			assert_int_equal(machine_destroy(m), 0);
			break;
		}
		assert_int_equal(err, -QUIRE_ENOMEM);
		assert_null(m);
		was_refused = true;
	}
	assert_true(was_refused && pages < 2000);
}

/* A cache by itself: made, and filled, on a machine that is up. */
static void every_allocation_of_a_cache_fails(void **state)
{
	static struct quire_cache cache;
	uint64_t k;
	void *object;

	(void)state;
	mark_stack(__builtin_frame_address(0));
	world_new();
	for (k = 1;; k++) {
		int err;

		fail_at(k, false);
		err = quire_cache_create(w.q, &cache, "test", 700, 0, 0, NULL);
		if (!fail_end()) {
			assert_int_equal(err, 0);
			break;
		}
		assert_int_equal(err, -QUIRE_ENOMEM);
		world_check();
	}
	assert_int_equal(k, 2);
	for (k = 1;; k++) {
		fail_at(k, false);
		object = quire_cache_alloc(w.q, &cache, QUIRE_GFP_ZERO);
		if (!fail_end())
			break;
		assert_null(object);
		world_check();
	}
	assert_int_equal(k, 3);
	quire_cache_free(w.q, &cache, object);
	for (k = 1;; k++) {
		fail_at(k, false);
		object = quire_kmalloc(w.q, 5 * PAGE, 0);
		if (!fail_end())
			break;
		assert_null(object);
		world_check();
	}
	assert_int_equal(k, 3);
	quire_kfree(w.q, object);
	assert_int_equal(quire_cache_destroy(w.q, &cache), 0);
	world_end();
}

#if TEST_HAS_32_BITS
/* PAE's three tables below the root are made with it. */
static void every_allocation_of_a_fixed_root_fails(void **state)
{
	struct quire_pgtable pt;
	int64_t tables;
	uint64_t k;

	(void)state;
	mark_stack(__builtin_frame_address(0));
	world_new();
	tables = quire_stat_read(w.q, QUIRE_STAT_PAGETABLE);
	for (k = 1;; k++) {
		int err;

		fail_at(k, false);
		err = quire_pgtable_init(w.q, &pt, &quire_pgfmt_pae);
		if (!fail_end()) {
			assert_int_equal(err, 0);
			break;
		}
		assert_int_equal(err, -QUIRE_ENOMEM);
		quire_grace_wait(w.q);
		assert_int_equal(quire_stat_read(w.q, QUIRE_STAT_PAGETABLE), tables);
		world_check();
	}
	assert_int_equal(k, 5);
	quire_pgtable_destroy(&pt);
	world_end();
}
#endif

static const struct CMUnitTest own_tests[] = {
	cmocka_unit_test(every_allocation_of_bringing_up_fails),
	cmocka_unit_test(a_machine_too_small_is_refused),
	cmocka_unit_test(every_allocation_of_a_cache_fails),
#if TEST_HAS_32_BITS
	cmocka_unit_test(every_allocation_of_a_fixed_root_fails),
#endif
	{.name = NULL},
};

extern const struct CMUnitTest droppable_test, populate_test, leaf_test;
extern const struct CMUnitTest kernel_tests[], policy_tests[];
extern const struct CMUnitTest *const other_tests[], *const test_groups[];
const struct CMUnitTest *const other_tests[] = {&droppable_test, &populate_test, &leaf_test, NULL};
/* Each ends with a test that has no name. */
const struct CMUnitTest *const test_groups[] = {own_tests, kernel_tests, policy_tests, NULL};

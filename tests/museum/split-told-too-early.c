/* SPDX-License-Identifier: MIT */
/*
 * A split fails after the driver has been told that there are two areas now.
 *
 * Linux's __split_vma() opens the new half, and then asks for what the index needs. Where that came
 * in the wrong order, or the caller gave up later, the driver had been told of an area that nobody
 * would ever close; the calls that cut twice (munmap in the middle, mprotect) left the first cut
 * behind when the second failed, which programs can see and drivers have to live with.
 *
 * Every allocation of a call that cuts fails in turn; a driver says no at its second cut.
 */
#include "driver.h"

static int64_t protects(void)
{
	return protect_at(2, 4, "r");
}

static int64_t unmaps(void)
{
	return unmap_at(2, 4);
}

static int64_t moves(void)
{
	return quire_mremap(space.mm, P(2), 4 * PAGE, 4 * PAGE,
			    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(20));
}

/* Allocation k = 1, 2, ... fails, until none does. */
static void let_allocations_fail(int64_t (*call)(void))
{
	struct quire_fail *fail = &space.q->slabs.fail;

	put_driver_at(0, 8);
	for (uint64_t k = 1;; k++) {
		uint64_t failed = fail->failed;
		int64_t answer;

		fail->after = k;
		answer = call();
		fail->after = 0;
		must(live == areas_of_driver(space.mm),
		     "a driver was told of an area that did not come");
		if (fail->failed == failed) {
			assert_true(k > 2 && answer >= 0);
			break;
		}
		assert_int_equal(answer, -QUIRE_ENOMEM);
		assert_picture("0-8 rw-p");
	}
}

static void mprotect_that_fails_tells_nothing(void **state)
{
	(void)state;
	let_allocations_fail(protects);
}

static void munmap_that_fails_tells_nothing(void **state)
{
	(void)state;
	let_allocations_fail(unmaps);
}

static void mremap_that_fails_tells_nothing(void **state)
{
	(void)state;
	let_allocations_fail(moves);
}

static void a_driver_that_refuses_is_told_what_is_there(void **state)
{
	(void)state;
	put_driver_at(0, 8);
	yes_left = 1;
	assert_int_equal(unmaps(), -QUIRE_EACCES);
	must(live == areas_of_driver(space.mm), "a driver was told of an area that did not come");
}

museum_main(driver_exhibit(mprotect_that_fails_tells_nothing),
	    driver_exhibit(munmap_that_fails_tells_nothing),
	    driver_exhibit(mremap_that_fails_tells_nothing),
	    driver_exhibit(a_driver_that_refuses_is_told_what_is_there))

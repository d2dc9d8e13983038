/* SPDX-License-Identifier: MIT */
/*
 * mlock(2) and its kin: areas first, pages then, as far as they come; and calls that look only:
 * msync, mincore, the texts of /proc.
 */
#include "failure.h"

static int64_t lock_part(void)
{
	return quire_mlock(w.mm, AT(1), 4 * PAGE);
}

static int64_t lock_areas(void)
{
	return quire_mlock(w.mm, AT(2), 30 * PAGE);
}

static int64_t lock_to_a_hole(void)
{
	return quire_mlock(w.mm, AT(40), 16 * PAGE);
}

static int64_t lock_on_fault(void)
{
	return quire_mlock2(w.mm, AT(1), 4 * PAGE, QUIRE_MLOCK_ONFAULT);
}

static int64_t lock_untouched(void)
{
	return quire_mlock(w.mm, AT(1026), 4 * PAGE);
}

static int64_t unlock_part(void)
{
	return quire_munlock(w.mm, AT(29), 2 * PAGE);
}

static int64_t unlock_whole(void)
{
	return quire_munlock(w.mm, AT(0), 40 * PAGE);
}

static int64_t lock_all_now(void)
{
	return quire_mlockall(w.mm, QUIRE_MCL_CURRENT);
}

static int64_t lock_all_later(void)
{
	return quire_mlockall(w.mm, QUIRE_MCL_FUTURE);
}

static int64_t lock_all_ever(void)
{
	return quire_mlockall(w.mm, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE);
}

static int64_t lock_all_on_fault(void)
{
	return quire_mlockall(w.mm, QUIRE_MCL_CURRENT | QUIRE_MCL_ONFAULT);
}

static int64_t unlock_all(void)
{
	return quire_munlockall(w.mm);
}

static void all_locked(void)
{
	assert_int_equal(lock_all_ever(), 0);
}

static int64_t sync_now(void)
{
	return quire_msync(w.mm, AT(16), 4 * PAGE, QUIRE_MS_SYNC);
}

static int64_t sync_later(void)
{
	return quire_msync(w.mm, AT(0), 48 * PAGE, QUIRE_MS_ASYNC);
}

static int64_t residency(void)
{
	unsigned char vec[48];

	return quire_mincore(w.mm, AT(0), 48 * PAGE, vec);
}

static int emit(struct quire_sink *sink, const char *text, size_t len)
{
	(void)sink;
	(void)text;
	(void)len;
	return 0;
}

static int64_t texts(void)
{
	struct quire_sink sink = {emit};

	return quire_proc_maps(w.mm, &sink) | quire_proc_smaps(w.mm, &sink) |
	       quire_proc_smaps_rollup(w.mm, &sink) | quire_proc_status(w.mm, &sink) |
	       quire_proc_statm(w.mm, &sink) | quire_proc_meminfo(w.q, &sink) |
	       quire_proc_buddyinfo(w.q, &sink) | quire_proc_zoneinfo(w.q, &sink) |
	       quire_proc_slabinfo(w.q, &sink);
}

/* ENOMEM: nothing has changed; EAGAIN: all is locked, a page could not be had. */
#define LOCKS .failure = -QUIRE_ENOMEM, .failure2 = -QUIRE_EAGAIN, .flags = KEEPS_AREAS

const struct scenario lock_scenarios[] = {
	{"mlock_part", NULL, lock_part, LOCKS},
	{"mlock_untouched", NULL, lock_untouched, LOCKS},
	{"mlock_areas", NULL, lock_areas, LOCKS},
	{"mlock2_on_fault", NULL, lock_on_fault},
	{"munlock_part", NULL, unlock_part},
	{"munlock_areas", NULL, unlock_whole},
	{"mlockall_current", NULL, lock_all_now, .flags = MAKES_DO | KEEPS_AREAS},
	{"mlockall_future", NULL, lock_all_later, .flags = NEEDS_NONE},
	{"mlockall_current_and_future", NULL, lock_all_ever, .flags = MAKES_DO | KEEPS_AREAS},
	{"mlockall_on_fault", NULL, lock_all_on_fault},
	{"munlockall", all_locked, unlock_all},
	{"msync_sync", NULL, sync_now, .flags = NEEDS_NONE},
	{"msync_async", NULL, sync_later, .flags = NEEDS_NONE},
	{"mincore", NULL, residency, .flags = NEEDS_NONE},
	{"proc_texts", NULL, texts, .flags = NEEDS_NONE},
	{"mlock_up_to_a_hole", NULL, lock_to_a_hole, .success = -QUIRE_ENOMEM},
	{NULL},
};

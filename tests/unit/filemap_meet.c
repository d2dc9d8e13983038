/* SPDX-License-Identifier: MIT */
/*
 * Mapped files when one thing comes in the middle of another: truncate while a page is brought,
 * moved, copied or read; stores during write-back; several CPUs at once.
 */
#include "filemap.h"

/* ---- One thing in the middle of another -------------------------------------------------- */

/*
 * What is to happen the next time a frame is handed out: in get_page, after it has found
 * nothing. Or see on_flush().
 */
static void (*at_next_event)(void);
static struct quire_page *got_in_between;

static void on_frame(void *ctx, quire_pfn_t pfn, unsigned order, bool allocated)
{
	void (*fn)(void) = at_next_event;

	(void)ctx;
	(void)pfn;
	(void)order;
	at_next_event = NULL;
	if (allocated && fn)
		fn();
}

static void watch_frames(void (*fn)(void))
{
	static const struct machine_hooks hooks = {.frames = on_frame};

	machine_set_hooks(m, &hooks, NULL);
	at_next_event = fn;
}

static void truncate_to_nothing(void)
{
	quire_object_truncate(&d->object, 0);
}

static void a_page_does_not_get_in_behind_a_truncate(void **state)
{
	struct quire_page *page;

	(void)state;
	watch_frames(truncate_to_nothing);
	assert_int_equal(quire_object_get_page(&d->object, 5, &page), -QUIRE_EFAULT);
	assert_null(at_next_event); /* it came to that */
	assert_null(page);
	assert_int_equal(d->object.nr_pages, 0);
	assert_int_equal(d->reads, 0);
	quire_object_truncate(&d->object, 16 * PAGE);
}

static void get_the_same_page(void)
{
	assert_int_equal(quire_object_get_page(&d->object, 5, &got_in_between), 0);
}

static void of_two_who_bring_a_page_the_first_wins(void **state)
{
	struct quire_page *page;

	(void)state;
	watch_frames(get_the_same_page);
	assert_int_equal(quire_object_get_page(&d->object, 5, &page), 0);
	assert_ptr_equal(page, got_in_between);
	assert_int_equal(page->refs, 3);
	assert_int_equal(d->reads, 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 1);
	quire_page_put(q, page);
	quire_page_put(q, page);
}

/* The next TLB flush: in the middle of moving or copying entries. */
static void on_flush(void *ctx, const struct quire_tlb_flush *flush)
{
	void (*fn)(void) = ctx ? at_next_event : NULL;

	(void)flush;
	at_next_event = NULL;
	if (fn)
		fn();
}

static void watch_flushes(void (*fn)(void))
{
	static const struct machine_hooks hooks = {.flush = on_flush};

	machine_set_hooks(m, &hooks, m);
	at_next_event = fn;
}

static void truncate_to_one_page(void)
{
	quire_object_truncate(&d->object, PAGE);
}

static void a_truncate_finds_pages_that_mremap_is_moving(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, AT + 4 * PAGE, 4, RW, QUIRE_MAP_PRIVATE, 0);
	for (uint64_t i = 0; i < 4; i++) {
		put(AT + i * PAGE, 0x11);
		put(AT + (4 + i) * PAGE, 0x22);
	}
	for (uint64_t at = 0; at < 8; at += 4) {
		quire_object_truncate(&d->object, 4 * PAGE);
		assert_int_equal(get(AT + (at + 3) * PAGE), at ? disk_byte(3 * PAGE) : 0x11);
		put(AT + (at + 3) * PAGE, 0x33);
		watch_flushes(truncate_to_one_page);
		assert_int_equal(quire_mremap(mm, AT + at * PAGE, 4 * PAGE, 4 * PAGE,
					      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
					      ELSEWHERE + at * PAGE),
				 ELSEWHERE + at * PAGE);
		assert_null(at_next_event);
		assert_int_equal(d->object.size, PAGE);
		assert_int_equal(get(ELSEWHERE + at * PAGE), at ? 0x22 : 0x11);
		for (uint64_t i = 1; i < 4; i++) {
			assert_false(is_mapped(mm, ELSEWHERE + (at + i) * PAGE));
			assert_bus(ELSEWHERE + (at + i) * PAGE, true);
		}
		assert_sound(mm);
	}
}

static void a_truncate_finds_pages_that_fork_has_copied(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_PRIVATE, 0);
	put(AT, 0x11);
	put(AT + 3 * PAGE, 0x22);
	assert_int_equal(get(AT + 2 * PAGE), disk_byte(2 * PAGE));
	watch_flushes(truncate_to_one_page);
	assert_int_equal(quire_fork(mm, &child), 0);
	assert_null(at_next_event);
	for (uint64_t i = 1; i < 4; i++) {
		assert_false(is_mapped(mm, AT + i * PAGE));
		assert_false(is_mapped(child, AT + i * PAGE));
	}
	run_in(child);
	assert_int_equal(get(AT), 0x11);
	assert_bus(AT + 2 * PAGE, false);
	assert_bus(AT + 3 * PAGE, false);
	assert_sound(child);
	run_in(mm);
	quire_mmput(child);
}

/* CPU 0 is in read_page or write_page, until another CPU waits for the page's lock. */
struct meeting {
	uint32_t inside;   /* CPU 0 is there; atomic */
	uint32_t timeouts; /* atomic */
	uint32_t bad;	   /* atomic */
	struct quire_page *page[2];
	int err[2];
};
static struct meeting meeting;

static bool within_seconds(time_t start)
{
	sched_yield();
	return time(NULL) - start < 10;
}

static void wait_for_a_waiter(struct disk *disk, struct quire_page *page)
{
	time_t start = time(NULL);

	if (quire_exchange(&meeting.inside, 1u))
		return; /* the second call is the other CPU's own */
	while (!quire_page_test(page, QUIRE_PG_WAITERS))
		if (!within_seconds(start)) {
			quire_add_relaxed(&meeting.timeouts, 1u);
			break;
		}
	(void)disk;
}

static void fail_when_somebody_waits(struct disk *disk, struct quire_page *page)
{
	bool first = !quire_load_acquire(&meeting.inside);

	wait_for_a_waiter(disk, page);
	disk->fail_read = first ? page->index : UINT64_MAX;
}

static void wait_until_inside(void)
{
	time_t start = time(NULL);

	while (!quire_load_acquire(&meeting.inside))
		if (!within_seconds(start)) {
			quire_add_relaxed(&meeting.timeouts, 1u);
			break;
		}
}

static void both_get_page_5(struct machine *machine, unsigned cpu, void *arg)
{
	(void)machine;
	(void)arg;
	if (cpu == 1)
		wait_until_inside();
	meeting.err[cpu] = quire_object_get_page(&d->object, 5, &meeting.page[cpu]);
}

static void who_waited_for_a_page_that_failed_reads_it_himself(void **state)
{
	(void)state;
	run_in(NULL);
	meeting = (struct meeting){0};
	d->in_read = fail_when_somebody_waits;
	machine_run_cpus(m, 2, both_get_page_5, NULL);
	assert_int_equal(meeting.timeouts, 0);
	assert_int_equal(meeting.err[0], -QUIRE_EIO);
	assert_int_equal(meeting.err[1], 0);
	assert_int_equal(d->reads, 2);
	assert_true(quire_object_has_page(&d->object, meeting.page[1]));
	quire_page_put(q, meeting.page[1]);
}

static void read_and_truncate(struct machine *machine, unsigned cpu, void *arg)
{
	(void)machine;
	(void)arg;
	if (cpu == 0) {
		meeting.err[0] = quire_object_get_page(&d->object, 5, &meeting.page[0]);
		return;
	}
	wait_until_inside();
	quire_object_truncate(&d->object, PAGE);
	if (d->object.nr_pages)
		quire_add_relaxed(&meeting.bad, 1u);
}

static void a_truncate_waits_for_a_page_that_is_being_read(void **state)
{
	(void)state;
	run_in(NULL);
	meeting = (struct meeting){0};
	d->in_read = wait_for_a_waiter;
	machine_run_cpus(m, 2, read_and_truncate, NULL);
	assert_int_equal(meeting.timeouts, 0);
	assert_int_equal(meeting.bad, 0);
	assert_int_equal(meeting.err[0], 0); /* it was there when the read began */
	assert_false(quire_object_has_page(&d->object, meeting.page[0]));
	assert_int_equal(meeting.page[0]->refs, 1);
	quire_page_put(q, meeting.page[0]);
}

static void write_back_and_store(struct machine *machine, unsigned cpu, void *arg)
{
	unsigned char byte = 0x22;

	(void)arg;
	if (cpu == 0) {
		meeting.err[0] = quire_object_sync(&d->object, 0, UINT64_MAX);
		return;
	}
	wait_until_inside();
	machine_switch(machine, &mm->pt);
	meeting.err[1] = machine_store(machine, AT, &byte, 1, NULL);
	machine_switch(machine, NULL);
}

static void a_store_during_write_back_waits_and_counts_again(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	put(AT, 0x11);
	run_in(NULL);
	meeting = (struct meeting){0};
	d->in_write = wait_for_a_waiter;
	machine_run_cpus(m, 2, write_back_and_store, NULL);
	run_in(mm);
	assert_int_equal(meeting.timeouts, 0); /* the store did not get through while the page
					        * was being written */
	assert_int_equal(meeting.err[0], 0);
	assert_int_equal(meeting.err[1], 0);
	assert_int_equal(d->bytes[0], 0x11);
	assert_int_equal(d->mkwrites, 2);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	assert_int_equal(get(AT), 0x22);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->bytes[0], 0x22);
}

/* ---- CPUs at once ------------------------------------------------------------------------ */

#define STORED_PAGES 8u /* pages 0..7 are stored to all the time, 8..15 come and go */

struct race {
	uint32_t running;		   /* CPUs that still store; atomic */
	uint32_t bad;			   /* atomic */
	uint32_t last[CPUS][STORED_PAGES]; /* what the CPU has stored last to its word of the
					    * page */
};

static quire_uaddr_t word_at(unsigned cpu, uint64_t page)
{
	return AT + page * PAGE + 64 * (uint64_t)cpu;
}

/*
 * CPUs 0 and 1 count in words of their own, page by page; CPU 2 writes back and drops nothing;
 * CPU 3 truncates and extends the upper half of the file, in which CPUs 0 and 1 store too, and
 * may get SIGBUS.
 */
static void store_while_written_back(struct machine *machine, unsigned cpu, void *arg)
{
	struct race *race = arg;

	if (cpu < 2) {
		machine_switch(machine, &mm->pt);
		for (uint32_t step = 1; step <= 3000; step++) {
			uint64_t page = step * 5 % STORED_PAGES;
			uint32_t back = 0;
			struct quire_signal sig;

			if (machine_store(machine, word_at(cpu, page), &step, sizeof(step), &sig) ||
			    machine_load(machine, word_at(cpu, page), &back, sizeof(back), &sig) ||
			    back != step)
				quire_add_relaxed(&race->bad, 1u);
			race->last[cpu][page] = step;
			if (machine_store(machine, word_at(cpu, page + STORED_PAGES), &step,
					  sizeof(step), &sig) &&
			    sig.signo != QUIRE_SIGBUS)
				quire_add_relaxed(&race->bad, 1u);
		}
		machine_switch(machine, NULL);
		(void)quire_fetch_sub(&race->running, 1u);
		return;
	}
	for (uint64_t step = 0; step == 0 || quire_load_acquire(&race->running); step++) {
		if (cpu == 2) {
			if (quire_object_sync(&d->object, 0, UINT64_MAX))
				quire_add_relaxed(&race->bad, 1u);
		} else {
			quire_object_truncate(&d->object,
					      (STORED_PAGES + step % STORED_PAGES) * PAGE +
						      step % 2 * 100);
			quire_object_truncate(&d->object, 16 * PAGE);
		}
	}
}

static void no_store_is_lost_between_write_backs(void **state)
{
	struct race race = {.running = 2};

	(void)state;
	run_in(NULL);
	map_disk(mm, AT, 16, RW, QUIRE_MAP_SHARED, 0);
	machine_run_cpus(m, CPUS, store_while_written_back, &race);
	assert_int_equal(race.bad, 0);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		for (uint64_t page = 0; page < STORED_PAGES; page++) {
			uint32_t on_disk;

			memcpy(&on_disk, d->bytes + (word_at(cpu, page) - AT), sizeof(on_disk));
			assert_int_equal(on_disk, race.last[cpu][page]);
		}
	}
	assert_sound(mm);
}

/*
 * Private copies are made and taken away at once; after the last truncate none may be left
 * behind the end.
 */
static void copy_while_truncated(struct machine *machine, unsigned cpu, void *arg)
{
	struct race *race = arg;

	if (cpu < 3) {
		machine_switch(machine, &mm->pt);
		for (uint32_t step = 1; step <= 2000; step++) {
			quire_uaddr_t addr = AT + step * 7 % 16 * PAGE + cpu;
			unsigned char byte = 0xee;
			struct quire_signal sig;
			int err = step % 3 ? machine_store(machine, addr, &byte, 1, &sig)
					   : machine_load(machine, addr, &byte, 1, &sig);

			if (err && sig.signo != QUIRE_SIGBUS)
				quire_add_relaxed(&race->bad, 1u);
		}
		machine_switch(machine, NULL);
		(void)quire_fetch_sub(&race->running, 1u);
		return;
	}
	do {
		quire_object_truncate(&d->object, 16 * PAGE);
		quire_object_truncate(&d->object, 4 * PAGE);
		for (uint64_t i = 4; i < 16; i++)
			if (is_mapped(mm, AT + i * PAGE))
				quire_add_relaxed(&race->bad, 1u);
	} while (quire_load_acquire(&race->running));
}

static void no_copy_outlives_a_truncate(void **state)
{
	struct race race = {.running = 3};

	(void)state;
	run_in(NULL);
	map_disk(mm, AT, 16, RW, QUIRE_MAP_PRIVATE, 0);
	machine_run_cpus(m, CPUS, copy_while_truncated, &race);
	assert_int_equal(race.bad, 0);
	assert_true(mm->rss[QUIRE_RSS_ANON] + mm->rss[QUIRE_RSS_FILE] <= 4);
	assert_sound(mm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_page_does_not_get_in_behind_a_truncate),
		TEST(of_two_who_bring_a_page_the_first_wins),
		TEST(a_truncate_finds_pages_that_mremap_is_moving),
		TEST(a_truncate_finds_pages_that_fork_has_copied),
		TEST(who_waited_for_a_page_that_failed_reads_it_himself),
		TEST(a_truncate_waits_for_a_page_that_is_being_read),
		TEST(a_store_during_write_back_waits_and_counts_again),
		TEST(no_store_is_lost_between_write_backs),
		TEST(no_copy_outlives_a_truncate),
	};

	return cmocka_run_group_tests_name("filemap-meet", tests, NULL, NULL);
}

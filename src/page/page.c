/* SPDX-License-Identifier: MIT */
/*
 * One page: from frame number to descriptor and back (in inline.h), its bytes, its lock; and the
 * counters.
 * Called by every room above. Only quire_page_lock() sleeps.
 */
#define QUIRE_EMIT_PAGE /* from frame to descriptor to pointer and back: see inline.h */
#include "page/internal.h"

#include "base/string.h"

/* ---- Bytes ------------------------------------------------------------------------------- */

void *quire_page_kmap_high(struct quire *q, struct quire_page *page)
{
	if (quire_unlikely(!q->pages.kmap_local)) {
		quire_report(q, "page: a high page is to be read or written, and there are no kmaps",
			     quire_page_to_pfn(q, page));
		return NULL;
	}
	return q->pages.kmap_local(q, page);
}

void quire_page_kunmap_high(struct quire *q, void *ptr)
{
	if (ptr)
		q->pages.kunmap_local(q, ptr);
}

void quire_page_zero(struct quire *q, struct quire_page *page)
{
	void *bytes;

	if (quire_likely(!quire_page_is_high(page))) {
		quire_port_zero_frame(q, quire_page_to_pfn(q, page) << QUIRE_PAGE_SHIFT);
		return;
	}
	bytes = quire_page_kmap(q, page);
	if (bytes)
		memset(bytes, 0, QUIRE_PAGE_SIZE);
	quire_page_kunmap(q, bytes);
}

void quire_page_copy(struct quire *q, struct quire_page *to, struct quire_page *from)
{
	void *t = quire_page_kmap(q, to);
	void *f = quire_page_kmap(q, from);

	if (t && f)
		memcpy(t, f, QUIRE_PAGE_SIZE);
	quire_page_kunmap(q, f);
	quire_page_kunmap(q, t);
}

/* ---- The page lock ----------------------------------------------------------------------- */

bool quire_page_trylock(struct quire_page *page)
{
	if (quire_fetch_or(&page->flags, QUIRE_PG_LOCKED) & QUIRE_PG_LOCKED)
		return false;
	QUIRE_SCHED_HOLDS(&page->flags, 1);
	return true;
}

/*
 * As with a mutex, whoever has slept takes the lock with WAITERS set, since others may sleep too.
 * Other bits of the word change meanwhile: that only makes the wait return early.
 */
void quire_page_lock(struct quire *q, struct quire_page *page)
{
	uint32_t flags;

	if (quire_likely(quire_page_trylock(page)))
		return;
	flags = quire_load(&page->flags);
	for (;;) {
		if (!quire_cmpxchg(&page->flags, &flags, flags | QUIRE_PG_LOCKED | QUIRE_PG_WAITERS))
			continue;
		if ((flags & QUIRE_PG_LOCKED) == 0)
			break;
		quire_port_wait(q, &page->flags, flags | QUIRE_PG_WAITERS);
		flags = quire_load(&page->flags);
	}
	QUIRE_SCHED_HOLDS(&page->flags, 1);
}

/* Wakes all: others may wait on the same word for another bit, and a single wake could go to them. */
void quire_page_unlock(struct quire *q, struct quire_page *page)
{
	uint32_t flags;

	QUIRE_SCHED_HOLDS(&page->flags, 0);
	flags = quire_fetch_and(&page->flags, ~(QUIRE_PG_LOCKED | QUIRE_PG_WAITERS));
	quire_assert(q, (flags & QUIRE_PG_LOCKED) != 0);
	if (quire_unlikely((flags & QUIRE_PG_WAITERS) != 0))
		quire_port_wake(q, &page->flags, ~0u);
}

/* ---- Counters ---------------------------------------------------------------------------- */

/* The thread may move to another CPU in between: the sum is right all the same. */
void quire_stat_add(struct quire *q, enum quire_stat stat, int64_t pages)
{
	quire_add_relaxed(&q->pages.stat[quire_port_cpu(q)].value[stat], pages);
}

uint64_t quire_stat_read(struct quire *q, enum quire_stat stat)
{
	int64_t sum = 0;
	unsigned cpu, z;

	for (cpu = 0; cpu < q->nr_cpus; cpu++) {
		sum += quire_load(&q->pages.stat[cpu].value[stat]);
		/* Allocations are counted where they happen, under the locks that are held there anyway. */
		for (z = 0; z < quire_nr_zones(q); z++) {
			const struct quire_pcp *pcp = &q->pages.zone[z].pcp[cpu];

			if (stat == QUIRE_STAT_PGALLOC)
				sum += (int64_t)quire_load(&pcp->allocated);
			if (stat == QUIRE_STAT_PGFREE)
				sum += (int64_t)quire_load(&pcp->freed);
		}
	}
	for (z = 0; z < quire_nr_zones(q); z++) {
		if (stat == QUIRE_STAT_PGALLOC)
			sum += (int64_t)quire_load(&q->pages.zone[z].allocated);
		if (stat == QUIRE_STAT_PGFREE)
			sum += (int64_t)quire_load(&q->pages.zone[z].freed);
	}
	/* Read while others count, a decrement may be seen before its increment. */
	return sum < 0 ? 0 : (uint64_t)sum;
}

uint64_t quire_free_pages(struct quire *q)
{
	uint64_t sum = 0;
	unsigned cpu, z;

	for (z = 0; z < quire_nr_zones(q); z++) {
		sum += quire_load(&q->pages.zone[z].free_pages);
		for (cpu = 0; cpu < q->nr_cpus; cpu++)
			sum += quire_load(&q->pages.zone[z].pcp[cpu].count);
	}
	return sum;
}

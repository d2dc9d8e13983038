/* SPDX-License-Identifier: MIT */
/*
 * All there is to see of a space, as text: areas with everything that merging depends on, entries
 * with their frames and rights, counters. For tests of calls that must leave a space as it was,
 * above all when memory runs out at the k-th allocation.
 */
#ifndef QUIRE_TESTS_SNAPSHOT_H
#define QUIRE_TESTS_SNAPSHOT_H

#include <stdio.h>

#include "picture.h"

#define SNAPSHOT_BYTES 32768

struct snapshot {
	size_t len;
	char text[SNAPSHOT_BYTES];
};

__attribute__((format(printf, 2, 3))) static inline void snapshot_add(struct snapshot *s,
								      const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(s->text + s->len, sizeof(s->text) - s->len, format, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < sizeof(s->text) - s->len);
	s->len += (size_t)n;
}

/* Accessed bits come and go with every look; everything else of an entry counts. */
static inline void snapshot_entries(struct snapshot *s, struct quire_mm *mm,
				    const struct quire_vma *vma)
{
	const struct quire_pgfmt *fmt = mm->pt.fmt;

	for (uint64_t a = vma->start; a < vma->end && a < vma->start + 128 * PAGE; a += PAGE) {
		quire_pte_t pte = entry(mm, a);
		enum quire_pte_kind kind = quire_pte_kind(fmt, pte);

		if (kind == QUIRE_PTE_PAGE)
			snapshot_add(s, " %llx=%llx/%x", (unsigned long long)a,
				     (unsigned long long)quire_pte_pfn(fmt, pte),
				     quire_pte_bits(fmt, pte) & ~QUIRE_PTE_ACCESSED);
		else if (kind != QUIRE_PTE_EMPTY)
			snapshot_add(s, " %llx:%d", (unsigned long long)a, (int)kind);
	}
	snapshot_add(s, "\n");
}

static inline void snapshot_take(struct snapshot *s, struct quire_mm *mm)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;

	s->len = 0;
	quire_grace_enter(mm->q);
	quire_index_walk_start(&walk, &mm->index, 0);
	while ((vma = quire_index_walk_next(&walk))) {
		snapshot_add(s, "%llx-%llx flags %llx pgoff %llx file %p object %p owner %p\n",
			     (unsigned long long)vma->start, (unsigned long long)vma->end,
			     (unsigned long long)vma->flags, (unsigned long long)vma->pgoff,
			     (void *)vma->file, (void *)vma->object, (void *)vma->anon);
		snapshot_entries(s, mm, vma);
	}
	quire_grace_leave(mm->q);
	snapshot_add(
		s,
		"total %llu data %llu exec %llu stack %llu locked %llu def %llx committed %lld\n",
		(unsigned long long)mm->total_vm, (unsigned long long)mm->data_vm,
		(unsigned long long)mm->exec_vm, (unsigned long long)mm->stack_vm,
		(unsigned long long)mm->locked_vm, (unsigned long long)mm->def_flags,
		(long long)mm->q->mms.committed);
	for (int k = 0; k < QUIRE_NR_RSS; k++)
		snapshot_add(s, "rss %lld\n", (long long)mm->rss[k]);
}

/*
 * call() with the k-th allocation failing, for k = 1, 2, ... until it gets through: each time
 * before, it must answer failure and leave the space as it was. fail is that of the page or of
 * the slab room. Returns how many allocations there were.
 */
static inline unsigned assert_no_memory_no_change(struct quire_fail *fail, int64_t (*call)(void),
						  int64_t failure)
{
	struct snapshot *was = malloc(sizeof(*was)), *is = malloc(sizeof(*is));
	unsigned failures = 0;

	for (uint64_t k = 1;; k++) {
		uint64_t failed = fail->failed;
		int64_t answer;

		snapshot_take(was, space.mm);
		fail->after = k;
		answer = call();
		fail->after = 0;
		if (fail->failed == failed) {
			assert_true(answer >= 0);
			break;
		}
		failures++;
		assert_int_equal(answer, failure);
		quire_grace_wait(space.q);
		snapshot_take(is, space.mm);
		assert_string_equal(is->text, was->text);
		check_space(space.mm);
	}
	free(was);
	free(is);
	return failures;
}

#endif

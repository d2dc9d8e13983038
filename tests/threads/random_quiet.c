/* SPDX-License-Identifier: MIT */
/*
 * What must hold whenever nobody does anything: every space's equations, the machine's TLBs against the tables, pages, files;
 * and what only all spaces together show: how often each page is mapped, what is promised, the counters of the
 * whole instance. Called by CPU 0 while the others wait at a barrier.
 */
#include "random.h"

#include <stdlib.h>

static void expect(struct cpu *cpu, quire_broken_t broken)
{
	if (broken)
		fail(cpu, "at rest: %s", broken);
}

/* ---- Sums over all spaces ---------------------------------------------------------------- */

#define MAX_OBJECTS 4096

struct sums {
	uint32_t *maps;      /* entries that map a frame, by its number */
	uint64_t nr_frames;
	int64_t accounted;   /* pages of areas whose memory is promised */
	uint64_t nr_tables;
	unsigned nr_spaces, nr_objects;
	struct quire_object *object[MAX_OBJECTS];
};

static void add_object(struct sums *s, struct quire_object *object)
{
	for (unsigned i = 0; i < s->nr_objects; i++) {
		if (s->object[i] == object)
			return;
	}
	if (s->nr_objects < MAX_OBJECTS)
		s->object[s->nr_objects++] = object;
}

static void add_area(struct sums *s, struct quire_mm *mm, const struct quire_vma *vma)
{
	const struct quire_pgfmt *fmt = mm->pt.fmt;

	if (vma->flags & QUIRE_VM_ACCOUNT)
		s->accounted += (int64_t)((vma->end - vma->start) / PAGE);
	if (vma->object)
		add_object(s, vma->object);
	for (uint64_t addr = vma->start; addr < vma->end; addr += PAGE) {
		quire_pte_t pte = quire_pgtable_peek(&mm->pt, addr);

		if (quire_pte_kind(fmt, pte) == QUIRE_PTE_PAGE && !quire_pte_has(fmt, pte, QUIRE_PTE_SPECIAL) &&
		    quire_pte_pfn(fmt, pte) < s->nr_frames)
			s->maps[quire_pte_pfn(fmt, pte)]++;
	}
}

static void add_space(struct cpu *cpu, struct sums *s, struct quire_mm *mm)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;

	s->nr_spaces++;
	for (unsigned level = 0; level < QUIRE_ARRAY_SIZE(mm->pt.tables); level++)
		s->nr_tables += mm->pt.tables[level];
	quire_grace_enter(sea.q);
	quire_index_walk_start(&walk, &mm->index, 0);
	while ((vma = quire_index_walk_next(&walk)))
		add_area(s, mm, vma);
	quire_grace_leave(sea.q);
	expect(cpu, quire_mm_check(mm));
}

/* Each descriptor against the entries that were counted. */
static void compare_pages(struct cpu *cpu, struct sums *s)
{
	uint64_t anon = 0, file = 0;

	for (quire_pfn_t pfn = 0; pfn < s->nr_frames; pfn++) {
		struct quire_page *page = quire_pfn_to_page(sea.q, pfn);
		enum quire_page_kind kind;

		if (!page)
			continue;
		kind = quire_page_kind(page);
		if (kind != QUIRE_PAGE_ANON && kind != QUIRE_PAGE_CACHE) {
			if (s->maps[pfn])
				fail(cpu, "at rest: frame %#llx is mapped %u times and is of kind %d", (unsigned long long)pfn,
				     s->maps[pfn], (int)kind);
			continue;
		}
		if (page->maps != s->maps[pfn])
			fail(cpu, "at rest: page %#llx counts %u entries, and there are %u", (unsigned long long)pfn, page->maps,
			     s->maps[pfn]);
		if (page->refs < page->maps)
			fail(cpu, "at rest: page %#llx has %u references for %u entries", (unsigned long long)pfn, page->refs,
			     page->maps);
		if (kind == QUIRE_PAGE_ANON && page->refs != page->maps)
			fail(cpu, "at rest: anonymous page %#llx has %u references for %u entries", (unsigned long long)pfn,
			     page->refs, page->maps);
		anon += kind == QUIRE_PAGE_ANON && page->maps;
		file += kind == QUIRE_PAGE_CACHE && page->maps;
	}
	if (anon != quire_stat_read(sea.q, QUIRE_STAT_ANON_MAPPED))
		fail(cpu, "at rest: %llu anonymous pages are mapped, %llu are counted", (unsigned long long)anon,
		     (unsigned long long)quire_stat_read(sea.q, QUIRE_STAT_ANON_MAPPED));
	if (file != quire_stat_read(sea.q, QUIRE_STAT_FILE_MAPPED))
		fail(cpu, "at rest: %llu cache pages are mapped, %llu are counted", (unsigned long long)file,
		     (unsigned long long)quire_stat_read(sea.q, QUIRE_STAT_FILE_MAPPED));
}

static void compare_objects(struct cpu *cpu, struct sums *s)
{
	uint64_t pages = 0;
	int64_t promised = s->accounted;

	for (unsigned i = 0; i < s->nr_objects; i++) {
		expect(cpu, quire_object_check(s->object[i]));
		pages += s->object[i]->nr_pages;
		promised += (int64_t)s->object[i]->committed_pages;
	}
	if (s->nr_objects == MAX_OBJECTS)
		return;
	if (pages != quire_stat_read(sea.q, QUIRE_STAT_FILE_PAGES))
		fail(cpu, "at rest: %llu pages are cached, %llu are counted", (unsigned long long)pages,
		     (unsigned long long)quire_stat_read(sea.q, QUIRE_STAT_FILE_PAGES));
	if (promised != sea.q->mms.committed)
		fail(cpu, "at rest: %lld pages are promised, %lld are counted", (long long)promised,
		     (long long)sea.q->mms.committed);
}

/* What the library placed where it liked may be as large as it likes: it goes before the entries are counted. */
static bool tidy(struct quire_mm *mm)
{
	return quire_munmap(mm, WILD_END, mm->layout.task_size - WILD_END) == 0;
}

void quiet_check(struct cpu *cpu)
{
	struct quire_list *pos, *tmp;
	struct sums *s = calloc(1, sizeof(*s));
	bool tidied = true;

	if (!s)
		abort();
	s->nr_frames = sea.q->pages.first_pfn + sea.q->pages.span_pages;
	s->maps = calloc(s->nr_frames, sizeof(*s->maps));
	if (!s->maps)
		abort();
	/* Nobody makes or ends a space now: the list stands still without its lock. */
	quire_list_for_each (pos, tmp, &sea.q->mms.spaces)
		tidied = tidied && tidy(quire_container_of(pos, struct quire_mm, link));
	quire_grace_wait(sea.q);
	expect(cpu, machine_check(sea.m));
	expect(cpu, quire_page_check(sea.q));
	add_object(s, &sea.own_file.object);
	add_object(s, &sea.wild_file.object);
	add_object(s, sea.shared->object);
	if (tidied) {
		quire_list_for_each (pos, tmp, &sea.q->mms.spaces)
			add_space(cpu, s, quire_container_of(pos, struct quire_mm, link));
		if (s->nr_spaces != sea.nr_procs)
			fail(cpu, "at rest: %u spaces, and %u are listed", sea.nr_procs, s->nr_spaces);
		compare_pages(cpu, s);
		compare_objects(cpu, s);
		if (s->nr_tables != quire_stat_read(sea.q, QUIRE_STAT_PAGETABLE))
			fail(cpu, "at rest: %llu tables, %llu are counted", (unsigned long long)s->nr_tables,
			     (unsigned long long)quire_stat_read(sea.q, QUIRE_STAT_PAGETABLE));
	}
	free(s->maps);
	free(s);
	expect(cpu, sea.own_file.wrong);
	expect(cpu, sea.wild_file.wrong);
	if (machine_failed(sea.m))
		fail(cpu, "the machine reported something");
}

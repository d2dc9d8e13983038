/* SPDX-License-Identifier: MIT */
/*
 * All there is to see of the machine, as text, a line a thing: every space with its maps, areas,
 * entries, tables, counters and bytes; files and their caches; frames by kind; objects of the
 * kernel by cache. What a call may change although it fails is left out, and in its place comes
 * what a program would read.
 */
#include <stdlib.h>

#include "../../src/vma/policy.h"
#include "failure.h"

static FILE *out;
static uint32_t left_out;

/* ---- Bytes ------------------------------------------------------------------------------- */

static uint64_t hash(const void *bytes)
{
	const uint64_t *word = bytes;
	uint64_t h = 0;

	for (size_t i = 0; i < PAGE / sizeof(*word); i++)
		h = (h ^ word[i]) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static uint64_t hash_page(struct quire_page *page)
{
	return hash(quire_page_to_virt(w.q, page));
}

/* What the file has there, whether it is in the cache or not. */
static uint64_t hash_of_file(struct quire_object *object, uint64_t index)
{
	static unsigned char zeroes[PAGE];
	struct quire_page *page;
	uint64_t h = 0;

	if (index >= quire_size_pages(object->size))
		return 1;
	page = quire_object_find_page(object, index);
	if (page) {
		h = hash_page(page);
		(void)quire_page_put(w.q, page);
		return h;
	}
	return hash(object == &w.disk->object ? w.disk->bytes + index * PAGE : zeroes);
}

/* ---- A space ----------------------------------------------------------------------------- */

static int emit(struct quire_sink *sink, const char *text, size_t len)
{
	(void)sink;
	fwrite(text, 1, len, out);
	return 0;
}

static void write_entry(struct quire_mm *mm, quire_uaddr_t addr, quire_pte_t pte)
{
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	quire_ptebits_t bits = quire_pte_bits(fmt, pte) & ~QUIRE_PTE_ACCESSED;
	uint32_t flags, seen = QUIRE_PG_KIND_MASK | QUIRE_PG_UPTODATE | QUIRE_PG_DIRTY |
			       QUIRE_PG_LAZYFREE | QUIRE_PG_EXCLUSIVE | QUIRE_PG_LOCKED;
	struct quire_page *page;

	if (quire_pte_kind(fmt, pte) != QUIRE_PTE_PAGE) {
		fprintf(out, "  %llx guard\n", (unsigned long long)addr);
		return;
	}
	page = quire_pfn_to_page(w.q, quire_pte_pfn(fmt, pte));
	if (left_out & LOSES_WRITE) {
		bits &= ~(QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY);
		seen &= ~QUIRE_PG_EXCLUSIVE;
	}
	flags = quire_load(&page->flags) & seen;
	fprintf(out, "  %llx %llx bits %x page %x refs %u maps %u owner %p index %llx bytes %llx\n",
		(unsigned long long)addr, (unsigned long long)quire_pte_pfn(fmt, pte), bits, flags,
		page->refs, page->maps, page->owner, (unsigned long long)page->index,
		(unsigned long long)hash_page(page));
}

static void write_entries(struct quire_mm *mm, const struct quire_vma *vma)
{
	struct quire_cursor c;

	quire_cursor_open(&c, &mm->pt, vma->start, vma->end, 0);
	while (quire_cursor_next_leaf(&c)) {
		quire_uaddr_t a = quire_cursor_next_used(&c, c.leaf_start);

		for (; a < c.leaf_end; a = quire_cursor_next_used(&c, a + PAGE))
			write_entry(mm, a, quire_cursor_get(&c, a));
	}
	quire_cursor_close(&c);
}

/* What a program would read there, however it comes to be mapped. */
static void write_view(struct quire_mm *mm, const struct quire_vma *vma)
{
	static unsigned char zeroes[PAGE];
	const struct quire_pgfmt *fmt = mm->pt.fmt;

	for (quire_uaddr_t a = vma->start; a < vma->end && a < vma->start + 64 * PAGE; a += PAGE) {
		quire_pte_t pte;
		uint64_t h;

		quire_grace_enter(w.q);
		pte = quire_pgtable_peek(&mm->pt, a);
		quire_grace_leave(w.q);
		if (quire_pte_kind(fmt, pte) == QUIRE_PTE_GUARD)
			h = 2;
		else if (quire_pte_kind(fmt, pte) == QUIRE_PTE_PAGE)
			h = hash_page(quire_pfn_to_page(w.q, quire_pte_pfn(fmt, pte)));
		else if (vma->object)
			h = hash_of_file(vma->object, quire_linear_page_index(vma, a));
		else
			h = hash(zeroes);
		fprintf(out, "  %llx reads %llx\n", (unsigned long long)a, (unsigned long long)h);
	}
}

static void write_owner(const struct quire_vma *vma)
{
	fprintf(out, "  owner %p chain %p\n", (void *)vma->anon, (void *)vma->chain);
	for (uint32_t i = 0; vma->chain && i < vma->chain->count; i++) {
		const struct quire_anon *anon = vma->chain->anon[i];

		fprintf(out, "  %u of %u: %p refs %u links %u active %u children %u\n", i,
			vma->chain->refs, (void *)anon, anon->refs, anon->nr_links, anon->nr_active,
			anon->nr_children);
	}
}

/* The same in every world. */
static const char *name_of(const struct quire_file *file)
{
	return !file		       ? "-"
	       : file == &w.disk->file ? "disk"
	       : file == w.memfd       ? "memfd"
	       : file == w.device      ? "device"
				       : "zero";
}

static void write_policy(const struct quire_mempolicy *policy)
{
	if (policy)
		fprintf(out, "  policy %u flags %x nodes %x user %llx\n", policy->mode, policy->flags,
			policy->nodes, (unsigned long long)policy->user_nodes);
}

static void write_area(struct quire_mm *mm, const struct quire_vma *vma)
{
	fprintf(out,
		" %llx-%llx flags %llx pgoff %llx file %s ops %d private %d state %u pins %u marks %x\n",
		(unsigned long long)vma->start, (unsigned long long)vma->end,
		(unsigned long long)vma->flags, (unsigned long long)vma->pgoff, name_of(vma->file),
		vma->ops == &driver_ops, vma->private_data != NULL, vma->state, vma->pins,
		vma->plan_marks);
	write_policy(vma->policy);
	for (uint64_t a = vma->start; vma->object && a < vma->end; a += PAGE)
		write_policy(quire_object_policy(vma->object, quire_linear_page_index(vma, a)));
	if (!(left_out & (KEEPS_PAGES | KEEPS_AREAS))) {
		fprintf(out, "  id %llu file %p object %p\n", (unsigned long long)vma->id,
			(void *)vma->file, (void *)vma->object);
		write_owner(vma);
		write_entries(mm, vma);
	} else {
		write_view(mm, vma);
	}
}

static void write_counters(const struct quire_mm *mm)
{
	fprintf(out, " users %u count %u areas %llu def_flags %llx\n", mm->users, mm->count,
		(unsigned long long)mm->index.count, (unsigned long long)mm->def_flags);
	fprintf(out, " total %llu data %llu exec %llu stack %llu locked %llu pinned %llu\n",
		(unsigned long long)mm->total_vm, (unsigned long long)mm->data_vm,
		(unsigned long long)mm->exec_vm, (unsigned long long)mm->stack_vm,
		(unsigned long long)mm->locked_vm, (unsigned long long)mm->pinned_vm);
	fprintf(out, " brk %llx unflushed %u\n", (unsigned long long)mm->layout.brk, mm->unflushed);
	if (left_out & (KEEPS_PAGES | KEEPS_AREAS))
		return;
	fprintf(out, " faults %llu %llu\n", (unsigned long long)mm->minor_faults,
		(unsigned long long)mm->major_faults);
	fprintf(out, " peaks %llu %lld\n rss", (unsigned long long)mm->hiwater_vm,
		(long long)mm->hiwater_rss);
	for (int k = 0; k < QUIRE_NR_RSS; k++)
		fprintf(out, " %lld", (long long)mm->rss[k]);
	fprintf(out, "\n tables");
	for (int k = 0; k < QUIRE_MAX_LEVELS; k++)
		fprintf(out, " %llu", (unsigned long long)mm->pt.tables[k]);
	fprintf(out, "\n");
}

static void write_space(struct quire_mm *mm)
{
	struct quire_sink sink = {emit};
	struct quire_index_walk walk;
	struct quire_vma *vma;

	fprintf(out, "space %d\n", mm == w.mm ? 0 : mm == w.other ? 1 : 2);
	assert_int_equal(quire_proc_maps(mm, &sink), 0);
	if (!(left_out & (KEEPS_PAGES | KEEPS_AREAS | LOSES_WRITE)))
		assert_int_equal(quire_proc_smaps(mm, &sink), 0);
	write_counters(mm);
	quire_index_walk_start(&walk, &mm->index, 0);
	while ((vma = quire_index_walk_next(&walk)))
		write_area(mm, vma);
}

/* ---- Files and the machine --------------------------------------------------------------- */

static void write_file(const char *name, const struct quire_file *file)
{
	struct quire_object *object = file->object;
	struct quire_list *pos, *tmp;
	unsigned areas = 0;

	quire_list_for_each (pos, tmp, &object->areas)
		areas++;
	fprintf(out, "%s: file %u object %u size %llu areas %u writable %llu committed %llu\n",
		name, file->refs, object->refs, (unsigned long long)object->size, areas,
		(unsigned long long)object->nr_writable,
		(unsigned long long)object->committed_pages);
	if (left_out & (KEEPS_CACHE | KEEPS_PAGES | KEEPS_AREAS))
		return;
	fprintf(out, " pages %llu\n", (unsigned long long)object->nr_pages);
	for (uint64_t i = 0; i < quire_size_pages(object->size) && i < 512; i++) {
		struct quire_page *page = quire_object_find_page(object, i);

		if (!page)
			continue;
		fprintf(out, " %llu: %llx refs %u maps %u flags %x bytes %llx\n",
			(unsigned long long)i, (unsigned long long)quire_page_to_pfn(w.q, page),
			page->refs, page->maps, page->flags & ~QUIRE_PG_REFERENCED,
			(unsigned long long)hash_page(page));
		(void)quire_page_put(w.q, page);
	}
}

static bool is_left_out(const char *cache)
{
	static const char *const with_pages[] = {"anon_vma", "anon_vma_chain", "radix_tree_node"};

	if ((left_out & KEEPS_CACHE) && !strcmp(cache, "radix_tree_node"))
		return true;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(with_pages); i++) {
		if ((left_out & (KEEPS_PAGES | KEEPS_AREAS)) && !strcmp(cache, with_pages[i]))
			return true;
	}
	return false;
}

/* Objects in use by cache, index nodes, areas, owners, chains and all the rest. */
static void write_caches(void)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &w.q->slabs.caches) {
		struct quire_cache *cache = quire_list_entry(pos, struct quire_cache, link);
		struct quire_cache_stat stat;

		quire_cache_stat(w.q, cache, &stat);
		if (!is_left_out(cache->name))
			fprintf(out, "%s %llu\n", cache->name,
				(unsigned long long)stat.active_objects);
	}
}

/* Frames by kind; slabs come and go, and with them what is free. */
static void write_frames(void)
{
	static const char *const names[QUIRE_PAGE_NR_KINDS] = {
		[QUIRE_PAGE_KERNEL] = "kernel", [QUIRE_PAGE_RESERVED] = "reserved",
		[QUIRE_PAGE_TABLE] = "table",	[QUIRE_PAGE_ANON] = "anon",
		[QUIRE_PAGE_CACHE] = "cache",
	};
	uint64_t kinds[QUIRE_PAGE_NR_KINDS] = {0};

	for (uint64_t i = 0; i < w.q->pages.nr_map; i++)
		kinds[quire_page_kind(&w.q->pages.map[i])]++;
	for (int k = 0; k < QUIRE_PAGE_NR_KINDS; k++) {
		if (!names[k] ||
		    ((left_out & (KEEPS_PAGES | KEEPS_AREAS)) && k != QUIRE_PAGE_RESERVED))
			continue;
		if ((left_out & KEEPS_CACHE) && k == QUIRE_PAGE_CACHE)
			continue;
		fprintf(out, "frames %s %llu\n", names[k], (unsigned long long)kinds[k]);
	}
	if (left_out & (KEEPS_PAGES | KEEPS_AREAS | KEEPS_CACHE))
		return;
	for (int s = 0; s < QUIRE_STAT_PGALLOC; s++) {
		if (s != QUIRE_STAT_SLAB_RECLAIMABLE && s != QUIRE_STAT_SLAB_UNRECLAIMABLE)
			fprintf(out, "stat %d %llu\n", s,
				(unsigned long long)quire_stat_read(w.q, (enum quire_stat)s));
	}
}

char *snapshot(uint32_t flags)
{
	char *text = NULL;
	size_t len;
	struct quire_list *pos, *tmp;

	left_out = flags;
	out = open_memstream(&text, &len);
	assert_non_null(out);
	quire_list_for_each (pos, tmp, &w.q->mms.spaces)
		write_space(quire_list_entry(pos, struct quire_mm, link));
	write_file("disk", &w.disk->file);
	if (w.memfd)
		write_file("memfd", w.memfd);
	fprintf(out, "device: file %u\n", w.device->refs);
	fprintf(out, "driver: opened %d closed %d\n", w.driver.opened, w.driver.closed);
	fprintf(out, "committed %lld\n", (long long)w.q->mms.committed);
	write_caches();
	write_frames();
	fclose(out);
	return text;
}

static size_t line_length(const char *s)
{
	return strcspn(s, "\n");
}

void assert_same(const char *before, const char *after, const char *name, const char *when)
{
	while (*before && *after) {
		size_t b = line_length(before), a = line_length(after);

		if (a != b || memcmp(before, after, a) != 0)
			break;
		before += b + (before[b] == '\n');
		after += a + (after[a] == '\n');
	}
	if (*before || *after)
		fail_msg("%s: %s:\n  before  %.*s\n  after   %.*s", name, when,
			 (int)line_length(before), before, (int)line_length(after), after);
}

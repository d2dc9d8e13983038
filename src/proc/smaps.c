/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/smaps and smaps_rollup: what an area's pages add up to. The entries are read through a
 * cursor, one leaf at a time; nothing is changed.
 *
 * Layout: proc_pid_smaps(5). Fields that need what is not here (huge pages, KSM, swap) are 0.
 */
#include "proc/emit.h"

/* The letter pair of each flag's bit, "??" where Linux has none either. */
static const char flag_names[64][3] = {
	[0] = "rd",  [1] = "wr",  [2] = "ex",  [3] = "sh",  [4] = "mr",	 [5] = "mw",  [6] = "me",
	[7] = "ms",  [8] = "gd",  [9] = "um",  [10] = "pf", [11] = "gu", [12] = "uw", [13] = "lo",
	[14] = "io", [15] = "sr", [16] = "rr", [17] = "dc", [18] = "de", [19] = "lf", [20] = "ac",
	[21] = "nr", [22] = "ht", [23] = "sf", [24] = "ar", [25] = "wf", [26] = "dd", [27] = "sd",
	[28] = "mm", [29] = "hg", [30] = "nh", [31] = "mg", [40] = "dp", [42] = "sl",
};

static void add_page(struct quire_smaps *s, const struct quire_pgfmt *fmt, quire_pte_t pte,
		     struct quire_page *page, bool locked)
{
	uint32_t maps = quire_load(&page->maps);
	bool anon = quire_page_kind(page) == QUIRE_PAGE_ANON;
	bool dirty =
		quire_pte_has(fmt, pte, QUIRE_PTE_DIRTY) || quire_page_test(page, QUIRE_PG_DIRTY);
	bool young = quire_pte_has(fmt, pte, QUIRE_PTE_ACCESSED) ||
		     quire_page_test(page, QUIRE_PG_REFERENCED);
	bool shared = maps > 1;
	uint64_t pss = (QUIRE_PAGE_SIZE << QUIRE_PSS_SHIFT) / (maps ? maps : 1);

	s->rss += QUIRE_PAGE_SIZE;
	s->pss += pss;
	if (anon)
		s->pss_anon += pss;
	else if (quire_page_test(page, QUIRE_PG_SWAPBACKED))
		s->pss_shmem += pss;
	else
		s->pss_file += pss;
	if (locked)
		s->locked += pss;
	if (anon) {
		s->anonymous += QUIRE_PAGE_SIZE;
		if (quire_page_test(page, QUIRE_PG_LAZYFREE) && !dirty)
			s->lazyfree += QUIRE_PAGE_SIZE;
	}
	if (young)
		s->referenced += QUIRE_PAGE_SIZE;
	if (dirty) {
		s->pss_dirty += pss;
		*(shared ? &s->shared_dirty : &s->private_dirty) += QUIRE_PAGE_SIZE;
	} else {
		*(shared ? &s->shared_clean : &s->private_clean) += QUIRE_PAGE_SIZE;
	}
}

/* vma's bounds, flags and mm are read, so a copy of an area will do. */
void quire_smaps_area(struct quire_vma *vma, struct quire_smaps *s)
{
	struct quire_mm *mm = vma->mm;
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	bool locked = (vma->flags & QUIRE_VM_LOCKED) != 0;
	struct quire_cursor c;
	quire_uaddr_t addr;

	s->size += vma->end - vma->start;
	quire_cursor_open(&c, &mm->pt, vma->start, vma->end, 0);
	while (quire_cursor_next_leaf(&c)) {
		for (addr = quire_cursor_next_used(&c, c.leaf_start); addr < c.leaf_end;
		     addr = quire_cursor_next_used(&c, addr + QUIRE_PAGE_SIZE)) {
			quire_pte_t pte = quire_cursor_get(&c, addr);
			enum quire_pte_kind kind = quire_pte_kind(fmt, pte);
			struct quire_page *page;

			if (kind == QUIRE_PTE_SWAP)
				s->swap += QUIRE_PAGE_SIZE;
			/* The zero page and device frames belong to nobody and are not counted. */
			if (kind != QUIRE_PTE_PAGE || quire_pte_has(fmt, pte, QUIRE_PTE_SPECIAL))
				continue;
			page = quire_pfn_to_page(mm->q, quire_pte_pfn(fmt, pte));
			if (page)
				add_page(s, fmt, pte, page, locked);
		}
	}
	quire_cursor_close(&c);
}

static void emit_sums(struct emitter *e, const struct quire_smaps *s, bool rollup)
{
	const struct {
		const char *name;
		uint64_t bytes;
		bool rollup_only;
	} line[] = {
		{"Rss:", s->rss, false},
		{"Pss:", s->pss >> QUIRE_PSS_SHIFT, false},
		{"Pss_Dirty:", s->pss_dirty >> QUIRE_PSS_SHIFT, false},
		{"Pss_Anon:", s->pss_anon >> QUIRE_PSS_SHIFT, true},
		{"Pss_File:", s->pss_file >> QUIRE_PSS_SHIFT, true},
		{"Pss_Shmem:", s->pss_shmem >> QUIRE_PSS_SHIFT, true},
		{"Shared_Clean:", s->shared_clean, false},
		{"Shared_Dirty:", s->shared_dirty, false},
		{"Private_Clean:", s->private_clean, false},
		{"Private_Dirty:", s->private_dirty, false},
		{"Referenced:", s->referenced, false},
		{"Anonymous:", s->anonymous, false},
		{"KSM:", s->ksm, false},
		{"LazyFree:", s->lazyfree, false},
		{"AnonHugePages:", s->anon_huge, false},
		{"ShmemPmdMapped:", s->shmem_pmd, false},
		{"FilePmdMapped:", s->file_pmd, false},
		{"Shared_Hugetlb:", s->shared_hugetlb, false},
		{"Private_Hugetlb:", s->private_hugetlb, false},
		{"Swap:", s->swap, false},
		{"SwapPss:", s->swap_pss >> QUIRE_PSS_SHIFT, false},
		{"Locked:", s->locked >> QUIRE_PSS_SHIFT, false},
	};
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(line); i++)
		if (rollup || !line[i].rollup_only)
			quire_emit_kb(e, line[i].name, 16, line[i].bytes);
}

static void emit_flags(struct emitter *e, uint64_t flags)
{
	unsigned bit;

	quire_text_put(&e->text, "VmFlags: ");
	for (bit = 0; bit < 64; bit++) {
		if (!(flags & (UINT64_C(1) << bit)))
			continue;
		quire_text_put(&e->text, flag_names[bit][0] ? flag_names[bit] : "??");
		quire_text_char(&e->text, ' ');
	}
	quire_text_char(&e->text, '\n');
}

int quire_proc_smaps(struct quire_mm *mm, struct quire_sink *sink)
{
	struct emitter e;
	struct area_view view;
	struct quire_smaps sums;
	quire_uaddr_t next = 0;

	quire_emitter_init(&e, sink);
	while (!e.error && quire_area_view_get(&view, mm, next)) {
		sums = (struct quire_smaps){0};
		quire_smaps_area(&view.vma, &sums);
		quire_emit_area_line(&e, &view.vma);
		quire_emit_kb(&e, "Size:", 16, sums.size);
		quire_emit_kb(&e, "KernelPageSize:", 16, QUIRE_PAGE_SIZE);
		quire_emit_kb(&e, "MMUPageSize:", 16, QUIRE_PAGE_SIZE);
		emit_sums(&e, &sums, false);
		quire_text_left(&e.text, "THPeligible:", 16);
		quire_text_u64(&e.text, 0, 8);
		quire_text_char(&e.text, '\n');
		emit_flags(&e, view.vma.flags);
		next = view.vma.end;
		quire_area_view_put(&view);
	}
	return quire_emitter_finish(&e);
}

int quire_proc_smaps_rollup(struct quire_mm *mm, struct quire_sink *sink)
{
	struct emitter e;
	struct area_view view;
	struct quire_smaps sums = {0};
	quire_uaddr_t next = 0, first = 0;
	struct quire_text *t = &e.text;

	quire_emitter_init(&e, sink);
	while (quire_area_view_get(&view, mm, next)) {
		if (!next)
			first = view.vma.start;
		quire_smaps_area(&view.vma, &sums);
		next = view.vma.end;
		quire_area_view_put(&view);
	}
	quire_text_hex(t, first, 8);
	quire_text_char(t, '-');
	quire_text_hex(t, next, 8);
	quire_text_put(t, " ---p 00000000 00:00 0 ");
	quire_text_pad_to(t, 73);
	quire_text_put(t, "[rollup]\n");
	emit_sums(&e, &sums, true);
	return quire_emitter_finish(&e);
}

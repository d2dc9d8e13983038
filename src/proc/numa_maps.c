/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/numa_maps: each area's memory policy, and where its pages are. Entries are read through a
 * cursor, one leaf at a time; nothing is changed.
 *
 * Layout: numa(7), and what Linux 6.18 prints. There are no LRU lists, so what counts as active is what is locked.
 */
#include "proc/emit.h"

#include <vma/policy.h>

/* ---- Policies ---------------------------------------------------------------------------- */

/* "0-2,5" */
static void emit_nodes(struct quire_text *t, uint32_t nodes)
{
	const char *before = "";

	for (unsigned n = 0; n < QUIRE_NR_NODES; n++) {
		unsigned last = n;

		if (!(nodes >> n & 1))
			continue;
		while (last + 1 < QUIRE_NR_NODES && (nodes >> (last + 1) & 1))
			last++;
		quire_text_put(t, before);
		quire_text_u64(t, n, 1);
		if (last > n) {
			quire_text_char(t, '-');
			quire_text_u64(t, last, 1);
		}
		before = ",";
		n = last;
	}
}

static void emit_policy(struct quire_text *t, const struct quire_mempolicy *policy)
{
	static const char *const names[QUIRE_MPOL_MAX] = {
		[QUIRE_MPOL_DEFAULT] = "default",
		[QUIRE_MPOL_PREFERRED] = "prefer",
		[QUIRE_MPOL_BIND] = "bind",
		[QUIRE_MPOL_INTERLEAVE] = "interleave",
		[QUIRE_MPOL_LOCAL] = "local",
		[QUIRE_MPOL_PREFERRED_MANY] = "prefer (many)",
		[QUIRE_MPOL_WEIGHTED_INTERLEAVE] = "weighted interleave",
	};
	const char *before = "=";

	quire_text_put(t, names[policy ? policy->mode : QUIRE_MPOL_DEFAULT]);
	if (!policy)
		return;
	if (policy->flags & (QUIRE_MPOL_F_STATIC_NODES | QUIRE_MPOL_F_RELATIVE_NODES)) {
		quire_text_put(t,
			       policy->flags & QUIRE_MPOL_F_STATIC_NODES ? "=static" : "=relative");
		before = "|";
	}
	if (policy->flags & QUIRE_MPOL_F_NUMA_BALANCING) {
		quire_text_put(t, before);
		quire_text_put(t, "balancing");
	}
	if (policy->nodes) {
		quire_text_char(t, ':');
		emit_nodes(t, policy->nodes);
	}
}

/* Of the area that the view was taken from, with a reference; NULL: none, or it has gone meanwhile. */
static struct quire_mempolicy *policy_of(const struct quire_vma *view)
{
	struct quire_mempolicy *policy = NULL;
	struct quire_vma *vma;

	quire_grace_enter(view->mm->q);
	vma = quire_find_vma(view->mm, view->start);
	if (vma && vma->id == view->id)
		policy = quire_policy_get(quire_vma_policy(vma, view->start));
	quire_grace_leave(view->mm->q);
	return policy;
}

/* ---- Pages ------------------------------------------------------------------------------- */

struct counts {
	uint64_t pages, anon, dirty, active, node[QUIRE_NR_NODES];
	uint32_t most_maps;
};

static void count_page(struct counts *c, const struct quire_pgfmt *fmt, quire_pte_t pte,
		       const struct quire_page *page)
{
	bool cached = quire_page_kind(page) == QUIRE_PAGE_CACHE;
	bool anon = quire_page_kind(page) == QUIRE_PAGE_ANON;
	uint32_t maps = quire_load(&page->maps);

	c->pages++;
	c->anon += anon;
	c->dirty +=
		quire_pte_has(fmt, pte, QUIRE_PTE_DIRTY) || quire_page_test(page, QUIRE_PG_DIRTY);
	c->active += (anon || cached) && quire_load(&page->aux) != 0;
	c->node[quire_page_node(page)]++;
	if (maps > c->most_maps)
		c->most_maps = maps;
}

static void count_area(const struct quire_vma *vma, struct counts *c)
{
	struct quire_mm *mm = vma->mm;
	const struct quire_pgfmt *fmt = mm->pt.fmt;
	struct quire_cursor cursor;

	quire_cursor_open(&cursor, &mm->pt, vma->start, vma->end, 0);
	while (quire_cursor_next_leaf(&cursor)) {
		quire_uaddr_t a = quire_cursor_next_used(&cursor, cursor.leaf_start);

		for (; a < cursor.leaf_end;
		     a = quire_cursor_next_used(&cursor, a + QUIRE_PAGE_SIZE)) {
			quire_pte_t pte = quire_cursor_get(&cursor, a);
			const struct quire_page *page;

			if (quire_pte_kind(fmt, pte) != QUIRE_PTE_PAGE ||
			    quire_pte_has(fmt, pte, QUIRE_PTE_SPECIAL))
				continue;
			page = quire_pfn_to_page(mm->q, quire_pte_pfn(fmt, pte));
			if (page && quire_page_kind(page) != QUIRE_PAGE_RESERVED)
				count_page(c, fmt, pte, page);
		}
	}
	quire_cursor_close(&cursor);
}

static void emit_count(struct quire_text *t, const char *name, uint64_t value)
{
	quire_text_put(t, name);
	quire_text_u64(t, value, 1);
}

static void emit_counts(struct quire_text *t, const struct counts *c)
{
	if (!c->pages)
		return;
	if (c->anon)
		emit_count(t, " anon=", c->anon);
	if (c->dirty)
		emit_count(t, " dirty=", c->dirty);
	if (c->pages != c->anon && c->pages != c->dirty)
		emit_count(t, " mapped=", c->pages);
	if (c->most_maps > 1)
		emit_count(t, " mapmax=", c->most_maps);
	if (c->active < c->pages)
		emit_count(t, " active=", c->active);
	for (unsigned n = 0; n < QUIRE_NR_NODES; n++) {
		if (!c->node[n])
			continue;
		emit_count(t, " N", n);
		emit_count(t, "=", c->node[n]);
	}
	emit_count(t, " kernelpagesize_kB=", QUIRE_PAGE_SIZE >> 10);
}

/* ---- A line ------------------------------------------------------------------------------ */

/* As Linux escapes it: what would end the name is an octal number. */
static void emit_path(struct quire_text *t, const char *path)
{
	for (; *path; path++) {
		if (*path != ' ' && *path != '=' && *path != '\t' && *path != '\n') {
			quire_text_char(t, *path);
			continue;
		}
		quire_text_put(t, "\\0");
		quire_text_char(t, (char)('0' + *path / 8));
		quire_text_char(t, (char)('0' + *path % 8));
	}
}

static void emit_name(struct quire_text *t, const struct quire_vma *vma)
{
	const struct quire_layout *layout = &vma->mm->layout;

	if (vma->file) {
		quire_text_put(t, " file=");
		emit_path(t, vma->file->path ? vma->file->path : "");
		if (vma->file->flags & QUIRE_FILE_DELETED)
			emit_path(t, " (deleted)");
	} else if (vma->start < quire_load(&layout->brk) && vma->end > layout->start_brk) {
		quire_text_put(t, " heap");
	} else if (vma->start <= layout->start_stack && vma->end >= layout->start_stack) {
		quire_text_put(t, " stack");
	}
}

int quire_proc_numa_maps(struct quire_mm *mm, const struct quire_task_policy *task,
			 struct quire_sink *sink)
{
	struct area_view view;
	quire_uaddr_t next = 0;
	struct emitter e;

	quire_emitter_init(&e, sink);
	while (!e.error && quire_area_view_get(&view, mm, next)) {
		struct quire_mempolicy *policy = policy_of(&view.vma);
		struct counts counts = {0};

		quire_text_hex(&e.text, view.vma.start, 8);
		quire_text_char(&e.text, ' ');
		emit_policy(&e.text, policy || !task ? policy : task->policy);
		quire_policy_put(mm->q, policy);
		emit_name(&e.text, &view.vma);
		count_area(&view.vma, &counts);
		emit_counts(&e.text, &counts);
		quire_text_char(&e.text, '\n');
		next = view.vma.end;
		quire_area_view_put(&view);
	}
	return quire_emitter_finish(&e);
}

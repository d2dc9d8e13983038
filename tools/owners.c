/* SPDX-License-Identifier: MIT */
/*
 * Which private areas have owners. A private area gets its owner with its first page of the process's own, and Linux joins
 * areas by their owners, so before a call is served every area that got one has to be known, and in which order.
 * pagemap says whether an area has such a page; the kernel's log of page faults (faults.h) says which areas to
 * ask, and in which order they came. Where that log can't be had, all areas are asked.
 *
 * Called by follow.c, import.c and compare.c while the thread concerned is stopped.
 */
#include "shadow.h"

#include <stdlib.h>
#include <string.h>

/* Spaces with at most this many areas are asked area by area, whatever the log says: the kernel itself writes, too. */
#define FEW_AREAS 96
/* Spaces with more are not walked through for every call, log or no log. */
#define MANY_AREAS 8192

/* Linux has no page of zeroes to give for reading. */
static bool owned_by_reading(const struct quire_vma *vma)
{
	return !vma->file && vma->mm->q->mms.sysctl.forbid_zeropage;
}

bool owners_may_have(const struct quire_vma *vma)
{
	return !vma->anon && !(vma->flags & QUIRE_VM_SHARED) &&
	       ((vma->flags & QUIRE_VM_WRITE) || owned_by_reading(vma));
}

/* ---- The log ----------------------------------------------------------------------------- */

static int by_page(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	if (x->page != y->page)
		return x->page < y->page ? -1 : 1;
	return x->time < y->time ? -1 : x->time > y->time;
}

/* sh->faults becomes what happened since the last time: each page once, with its first and its last fault. */
static void read_log(struct shadow_space *sh)
{
	struct fault_list *list = &sh->faults;
	struct task *t;
	size_t i, nr = 0;

	sh->log_is_whole = !sh->log_has_gap;
	sh->log_has_gap = false;
	list->nr = 0;
	for (i = 0; i < sh->left.nr; i++)
		faults_add(list, sh->left.fault[i]);
	sh->left.nr = 0;
	for (t = sh->tasks; t; t = t->next_in_space)
		sh->log_is_whole &= faults_read(&t->faults, list);
	if (list->nr > 1)
		qsort(list->fault, list->nr, sizeof(*list->fault), by_page);
	for (i = 0; i < list->nr; i++) {
		if (nr > 0 && list->fault[nr - 1].page == list->fault[i].page)
			list->fault[nr - 1].time = list->fault[i].time;
		else
			list->fault[nr++] = list->fault[i];
	}
	list->nr = nr;
}

void owners_part(struct task *t)
{
	struct shadow_space *sh = shadow_of(t->space);

	if (!faults_read(&t->faults, &sh->left))
		sh->log_has_gap = true;
}

/* ---- Areas ------------------------------------------------------------------------------- */

static void add(struct newly_list *list, const struct quire_vma *vma)
{
	size_t i;

	for (i = list->nr; i-- > 0;) {
		if (list->newly[i].start == vma->start)
			return;
	}
	if (list->nr == list->cap) {
		list->cap = list->cap ? list->cap * 2 : 32;
		list->newly = tool_realloc(list->newly, list->cap * sizeof(*list->newly));
	}
	list->newly[list->nr++] = (struct newly){ vma->start, vma->end, 0, UINT64_MAX };
}

static void add_logged(struct space *space, struct newly_list *list)
{
	struct fault_list *faults = &shadow_of(space)->faults;
	struct quire_vma *vma = NULL;
	size_t i;

	for (i = 0; i < faults->nr; i++) {
		if (vma && faults->fault[i].page >= vma->start && faults->fault[i].page < vma->end)
			continue;
		vma = world_find(space, faults->fault[i].page);
		if (vma && owners_may_have(vma))
			add(list, vma);
	}
}

/* Those that overlap or touch [start, end). */
static void add_range(struct space *space, struct newly_list *list, uint64_t start, uint64_t end)
{
	struct quire_vma *vma, *prev;
	uint64_t next;

	vma = quire_index_find_prev(&space->mm->index, start, &prev);
	if (prev && prev->end == start)
		vma = prev;
	for (; vma && vma->start <= end; vma = quire_find_vma(space->mm, next)) {
		next = vma->end;
		if (owners_may_have(vma))
			add(list, vma);
	}
}

static void add_all(struct space *space, struct newly_list *list)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;

	quire_index_walk_start(&walk, &space->mm->index, 0);
	while ((vma = quire_index_walk_next(&walk))) {
		if (owners_may_have(vma))
			add(list, vma);
	}
}

/* Only those stay that have a page of their own. */
static void keep_owned(struct space *space, struct newly_list *list)
{
	struct view *view = &shadow_of(space)->view;
	size_t i, nr = 0;

	for (i = 0; i < list->nr; i++) {
		struct newly *n = &list->newly[i];

		if (view_find_private(view, n->start, n->end, &n->page))
			list->newly[nr++] = *n;
	}
	list->nr = nr;
}

/* ---- Order ------------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct newly *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* An area's time is that of the first of its pages that became the process's own. */
static void order(struct shadow *s, struct space *space, struct newly_list *list)
{
	struct shadow_space *sh = shadow_of(space);
	bool known = true;
	uint64_t page;
	size_t i, j;

	for (i = 0; i < sh->faults.nr; i++) {
		const struct fault *f = &sh->faults.fault[i];

		for (j = 0; j < list->nr; j++) {
			struct newly *n = &list->newly[j];
			const struct quire_vma *vma;
			uint64_t time;

			if (f->page < n->start || f->page >= n->end)
				continue;
			/* A read may have come before the write that made the page the process's own. */
			vma = world_find(space, f->page);
			time = vma && owned_by_reading(vma) ? f->first : f->time;
			if (time < n->time && view_find_private(&sh->view, f->page, f->page + QUIRE_PAGE_SIZE, &page))
				n->time = time;
		}
	}
	for (j = 0; j < list->nr; j++)
		known &= list->newly[j].time != UINT64_MAX;
	/* What exec itself has written, the stack and the program's data, is never joined with each other. */
	if (!known && sh->tasks)
		note(s, sh->log_is_whole ? "areas first written by the kernel itself, in unknown order: taken by address"
					 : "areas first written in an order that was not logged: taken by address");
	qsort(list->newly, list->nr, sizeof(*list->newly), by_time);
}

void owners_take(struct shadow *s, struct space *space, struct newly_list *list)
{
	size_t i;

	if (list->nr > 1)
		order(s, space, list);
	for (i = 0; i < list->nr; i++)
		world_own(space, list->newly[i].page);
	free(list->newly);
	*list = (struct newly_list){ 0 };
}

/* ---- Called ------------------------------------------------------------------------------ */

void owners_find(struct shadow *s, struct space *space, const struct range *ranges, unsigned nr, bool all)
{
	struct shadow_space *sh = shadow_of(space);
	struct newly_list list = { 0 };
	uint64_t areas = space->mm->index.count;
	unsigned i;

	if (space->lost)
		return;
	read_log(sh);
	if (all || areas <= FEW_AREAS || (!sh->log_is_whole && areas <= MANY_AREAS)) {
		add_all(space, &list);
	} else {
		add_logged(space, &list);
		for (i = 0; i < nr; i++)
			add_range(space, &list, ranges[i].start, ranges[i].end);
	}
	keep_owned(space, &list);
	owners_take(s, space, &list);
}

bool owners_during(struct shadow *s, struct space *space, struct newly_list *list)
{
	(void)s;
	read_log(shadow_of(space));
	add_logged(space, list);
	return shadow_of(space)->log_is_whole;
}

void owners_forget(struct shadow_space *sh)
{
	free(sh->faults.fault);
	free(sh->left.fault);
}

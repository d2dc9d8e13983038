/* SPDX-License-Identifier: MIT */
/*
 * Taking over from Linux what no call shows: a whole space after exec, the owners of private areas,
 * the growth of stacks. Called by follow.c and compare.c while the thread concerned is stopped.
 */
#include "shadow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/user.h>

/* ---- Layout ------------------------------------------------------------------------------ */

#define CS_OF_32BIT 0x23
#define TASK_SIZE_64 UINT64_C(0x7ffffffff000)
#define TASK_SIZE_32 UINT64_C(0xffffe000)
#define TASK_SIZE_3GB UINT64_C(0xc0000000)
#define STACK_RANDOM_64 (UINT64_C(0x3fffff) << 12) /* how far Linux moves a stack's top at most */
#define STACK_RANDOM_32 (UINT64_C(0x7ff) << 12)
#define GAP_MIN (UINT64_C(128) << 20)

static uint64_t proc_number(const char *path, uint64_t otherwise)
{
	FILE *f = fopen(path, "re");
	unsigned long long v;

	if (!f)
		return otherwise;
	if (fscanf(f, "%llu", &v) == 1)
		otherwise = v;
	fclose(f);
	return otherwise;
}

static bool is_compat(pid_t tid)
{
	struct user_regs_struct regs;

	return ptrace(PTRACE_GETREGS, tid, 0, &regs) == 0 && regs.cs == CS_OF_32BIT;
}

/* Where the stack's gap ends when nothing is random: no mapping is placed at or above it. */
static uint64_t top_of_maps(const struct quire_layout *layout, uint64_t stack_limit, uint64_t guard, bool randomised)
{
	uint64_t gap = stack_limit, pad = guard, most = layout->task_size / 6 * 5;

	if (randomised)
		pad += layout->compat ? STACK_RANDOM_32 : STACK_RANDOM_64;
	if (gap + pad > gap)
		gap += pad;
	if (gap < GAP_MIN)
		gap = GAP_MIN;
	if (gap > most)
		gap = most;
	return quire_page_up(layout->task_size - gap);
}

/*
 * mmap_base is not shown anywhere. The first thing that exec places by itself (the interpreter, or the
 * vdso) ends there, so it is the highest end of an area in the stretch where the random base can lie.
 * Bottom-up it is the lowest start above a third of the space.
 */
static void find_mmap_base(struct quire_layout *layout, const struct view_areas *areas, uint64_t stack_limit,
			   uint64_t guard, bool randomised)
{
	uint64_t bits = proc_number(layout->compat ? "/proc/sys/vm/mmap_rnd_compat_bits" : "/proc/sys/vm/mmap_rnd_bits",
				    layout->compat ? 8 : 28);
	uint64_t range = randomised ? (UINT64_C(1) << bits) << QUIRE_PAGE_SHIFT : 0;
	uint64_t third = quire_page_up(layout->task_size / 3);
	uint64_t top = top_of_maps(layout, stack_limit, guard, randomised);
	size_t i;

	layout->mmap_base = 0;
	if (!layout->topdown) {
		layout->mmap_base = third + range;
		for (i = areas->nr; i-- > 0;) {
			if (areas->area[i].start >= third && areas->area[i].start < layout->mmap_base)
				layout->mmap_base = areas->area[i].start;
		}
		layout->mmap_legacy_base = layout->mmap_base;
		return;
	}
	for (i = 0; i < areas->nr; i++) {
		if (areas->area[i].end <= top && areas->area[i].end >= top - range)
			layout->mmap_base = areas->area[i].end;
	}
	if (!layout->mmap_base)
		layout->mmap_base = top;
	layout->mmap_legacy_base = third + (top - layout->mmap_base);
}

static void find_layout(struct shadow *s, struct task *t, struct quire_layout *layout, const struct view_areas *areas,
			uint64_t stack_limit)
{
	bool randomised = !(t->personality & ADDR_NO_RANDOMIZE) &&
			  proc_number("/proc/sys/kernel/randomize_va_space", 2) > 0;

	*layout = (struct quire_layout){ .compat = is_compat(t->tid) };
	layout->task_size = layout->compat ? TASK_SIZE_32 : TASK_SIZE_64;
	if (layout->compat && t->personality & ADDR_LIMIT_3GB)
		layout->task_size = TASK_SIZE_3GB;
	layout->topdown = !(t->personality & ADDR_COMPAT_LAYOUT) &&
			  proc_number("/proc/sys/vm/legacy_va_layout", 0) == 0;
	layout->map_32bit_start = 0x40000000;
	view_stat(t->tid, layout);
	view_auxv(t->tid, layout);
	layout->brk = layout->start_brk;
	for (size_t i = 0; i < areas->nr; i++) {
		if (strcmp(areas->area[i].name, "[vdso]") == 0)
			layout->vdso = areas->area[i].start;
	}
	find_mmap_base(layout, areas, stack_limit, s->world->system.stack_guard_gap, randomised);
}

/* ---- exec -------------------------------------------------------------------------------- */

struct space *import_space(struct shadow *s, struct task *t)
{
	struct shadow_space *sh = tool_alloc(sizeof(*sh));
	struct quire_limits limits = { 0 };
	struct quire_layout layout;
	struct view_areas areas;
	struct space *space = NULL;
	char program[64];
	int err;

	t->personality = view_personality(t->tid);
	sh->last_held = &sh->first_held;
	sh->live = 1;
	sh->look = t->tid;
	if (!view_smaps(t->tid, &areas) || !view_limits(t->tid, &limits) || !view_open(&sh->view, t->tid)) {
		note(s, "processes that may not be looked at: not followed");
		s->nr_not_followed++;
		view_free_areas(&areas);
		free(sh);
		return NULL;
	}
	view_sizes(t->tid, &areas);
	limits.read_implies_exec = (t->personality & READ_IMPLIES_EXEC) != 0;
	find_layout(s, t, &layout, &areas, limits.stack);
	view_program(t->tid, program, sizeof(program));
	err = world_space_new(s->world, 0, t->tid, program, areas.tail, &layout, &limits, areas.area, areas.nr,
			      &space);
	view_free_areas(&areas);
	s->nr_processes++;
	if (!space) {
		tool_warn("Quire has no memory for the space of %s: errno %d", program, -err);
		s->nr_not_followed++;
		view_close(&sh->view);
		free(sh);
		return NULL;
	}
	space->host = sh;
	if (!space->lost)
		import_owners(s, space, false, 0, 0);
	return space;
}

/* ---- Owners ------------------------------------------------------------------------------ */

/*
 * A private area gets its owner with its first page of the process's own, and Linux merges by owners. Areas without one that can be
 * written are asked for such a page; one bit an area is all that counts, so an area is asked until the answer is yes.
 */
#define MOST_NEWLY 256

static int by_page(const void *a, const void *b)
{
	const struct fault *x = a, *y = b;

	if (x->page != y->page)
		return x->page < y->page ? -1 : 1;
	return x->time < y->time ? -1 : x->time > y->time;
}

static int by_time(const void *a, const void *b)
{
	const struct newly *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/*
 * Several areas got their first page since the last call: in which order? A page becomes the process's own with the last
 * fault on it (a read may have come before), and an area with the first of its pages that did.
 */
static void order_by_faults(struct shadow *s, struct space *space, struct newly *newly, size_t nr)
{
	struct shadow_space *sh = shadow_of(space);
	struct fault_list list = { 0 };
	struct task *t;
	uint64_t page;
	size_t i, j;
	bool whole = true, known = true;

	for (t = sh->tasks; t; t = t->next_in_space)
		whole &= faults_read(&t->faults, &list);
	if (list.nr)
		qsort(list.fault, list.nr, sizeof(*list.fault), by_page);
	for (i = 0; i < list.nr; i++) {
		const struct fault *f = &list.fault[i];

		if (i + 1 < list.nr && list.fault[i + 1].page == f->page)
			continue;
		for (j = 0; j < nr; j++) {
			if (f->page >= newly[j].start && f->page < newly[j].end && f->time < newly[j].time &&
			    view_find_private(&sh->view, f->page, f->page + QUIRE_PAGE_SIZE, &page))
				newly[j].time = f->time;
		}
	}
	free(list.fault);
	for (j = 0; j < nr; j++)
		known &= newly[j].time != UINT64_MAX;
	/* What exec itself has written, the stack and the program's data, is never joined with each other. */
	if (!known && sh->tasks)
		note(s, whole ? "areas first written by the kernel itself, in unknown order: taken by address"
			      : "areas first written in an order that was not logged: taken by address");
	qsort(newly, nr, sizeof(*newly), by_time);
}

void import_own(struct shadow *s, struct space *space, struct newly *newly, size_t nr)
{
	size_t i;

	if (nr > 1)
		order_by_faults(s, space, newly, nr);
	for (i = 0; i < nr; i++)
		world_own(space, newly[i].page);
}

void import_owners(struct shadow *s, struct space *space, bool near, uint64_t start, uint64_t end)
{
	struct shadow_space *sh = shadow_of(space);
	struct quire_mm *mm = space->mm;
	struct newly newly[MOST_NEWLY];
	struct task *t;
	struct quire_vma *vma, *prev;
	uint64_t page, next;
	size_t nr = 0;

	if (space->lost)
		return;
	if (near) {
		vma = quire_index_find_prev(&mm->index, start, &prev);
		if (prev)
			vma = prev;
	} else {
		vma = quire_index_first(&mm->index);
	}
	for (; vma && (!near || vma->start <= end) && nr < MOST_NEWLY; vma = quire_find_vma(mm, next)) {
		next = vma->end;
		if (vma->anon || (vma->flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED)) != QUIRE_VM_WRITE)
			continue;
		if (view_find_private(&sh->view, vma->start, vma->end, &page))
			newly[nr++] = (struct newly){ vma->start, vma->end, page, UINT64_MAX };
	}
	if (nr <= 1 && !near) {
		for (t = sh->tasks; t; t = t->next_in_space)
			faults_skip(&t->faults);
	}
	import_own(s, space, newly, nr);
}

/* ---- Stacks ------------------------------------------------------------------------------ */

static void grow(struct space *space, struct quire_vma *vma)
{
	struct view_area area;
	uint64_t end = vma->end;

	if (!(vma->flags & QUIRE_VM_GROWSDOWN) ||
	    !view_query(&shadow_of(space)->view, end - 1, &area, NULL) || area.start >= vma->start)
		return;
	world_grow(space, area.start);
}

void import_stack_growth(struct shadow *s, struct space *space)
{
	struct quire_mm *mm = space->mm;
	struct quire_vma *vma;
	uint64_t next = 0;

	(void)s;
	if (space->lost)
		return;
	if (!shadow_of(space)->grows_down) {
		vma = world_find(space, mm->layout.start_stack);
		if (vma)
			grow(space, vma);
		return;
	}
	while ((vma = quire_find_vma(mm, next))) {
		next = vma->end;
		grow(space, vma);
	}
}

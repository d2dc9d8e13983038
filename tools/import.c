/* SPDX-License-Identifier: MIT */
/*
 * Taking over from Linux what no call shows: a whole space after exec, and the growth of stacks. Called by follow.c and compare.c while the thread concerned is stopped.
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
		owners_find(s, space, NULL, 0, true);
	return space;
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

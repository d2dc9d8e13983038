/* SPDX-License-Identifier: MIT */
/*
 * Pictures of a space's areas, for the tests of the verbs: what maps shows of a window of SCRIPT_PAGES
 * pages, in pages (see script.h); running scripts; and a call repeated with every allocation failing in turn.
 */
#ifndef QUIRE_TESTS_PICTURE_H
#define QUIRE_TESTS_PICTURE_H

#include <stdlib.h>

#include "disk.h"
#define SCRIPT_PAGE_SIZE QUIRE_PAGE_SIZE
#include "script.h"
#include "space.h"

/* Address of page n of the window. */
#define P(n) (SCRIPT_BASE + (uint64_t)(n) * PAGE)

/* ---- Pictures ---------------------------------------------------------------------------- */

static inline void draw_picture(struct quire_mm *mm, char *picture)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;

	quire_grace_enter(mm->q);
	quire_index_walk_start(&walk, &mm->index, SCRIPT_BASE);
	while ((vma = quire_index_walk_next(&walk)) && vma->end <= P(SCRIPT_PAGES)) {
		const char perms[5] = {
			vma->flags & QUIRE_VM_READ ? 'r' : '-',
			vma->flags & QUIRE_VM_WRITE ? 'w' : '-',
			vma->flags & QUIRE_VM_EXEC ? 'x' : '-',
			vma->flags & QUIRE_VM_MAYSHARE ? 's' : 'p',
			0,
		};

		script_picture_add(picture, vma->start, vma->end, perms);
	}
	quire_grace_leave(mm->q);
}

static inline void assert_picture_of(struct quire_mm *mm, const char *expected)
{
	char picture[SCRIPT_TEXT] = "";

	draw_picture(mm, picture);
	assert_string_equal(picture, expected);
	check_space(mm);
}

#define assert_picture(expected) assert_picture_of(space.mm, expected)

/* ---- Calls ------------------------------------------------------------------------------- */

static inline uint32_t prot_of(const char *letters)
{
	uint32_t prot = 0;

	for (; *letters; letters++)
		prot |= *letters == 'r' ? QUIRE_PROT_READ : *letters == 'w' ? QUIRE_PROT_WRITE :
			*letters == 'x' ? QUIRE_PROT_EXEC : 0;
	return prot;
}

#define ANON (QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS)

/* Private anonymous memory at page start; must succeed. */
static inline void map_at(uint64_t start, uint64_t n, const char *prot)
{
	assert_int_equal(quire_mmap(space.mm, P(start), n * PAGE, prot_of(prot), ANON | QUIRE_MAP_FIXED, NULL, 0),
			 P(start));
}

static inline int unmap_at(uint64_t start, uint64_t n)
{
	return quire_munmap(space.mm, P(start), n * PAGE);
}

static inline int protect_at(uint64_t start, uint64_t n, const char *prot)
{
	return quire_mprotect(space.mm, P(start), n * PAGE, prot_of(prot));
}

/* ---- Scripts ----------------------------------------------------------------------------- */

struct script_run {
	struct quire_mm *mm;      /* where the script goes on */
	struct quire_mm *others[8]; /* processes that wait for it */
	unsigned nr_others;
	struct disk *disk;
	char *picture;
};

static inline void script_result(struct script_run *run, int64_t value)
{
	if (value < 0)
		script_picture_error(run->picture, (int)-value);
}

static inline void script_map(struct script_run *run, const struct script_op *op, uint32_t flags)
{
	struct quire_file *file = flags & QUIRE_MAP_ANONYMOUS ? NULL : &run->disk->file;

	script_result(run, quire_mmap(run->mm, P(op->start), op->n * PAGE, (uint32_t)op->prot,
				      flags | QUIRE_MAP_FIXED, file, op->arg * PAGE));
}

static inline void script_fork(struct script_run *run, char what)
{
	struct quire_mm *child = fork_space(run->mm);

	if (what == 'x') {
		quire_mmput(child);
		return;
	}
	run->others[run->nr_others++] = what == 'k' ? run->mm : child;
	if (what == 'k') {
		run->mm = child;
		run_in(child);
	}
}

static inline void script_access(struct script_run *run, uint64_t addr, bool store)
{
	struct quire_signal sig = { 0 };
	unsigned char byte = 1;
	int err = store ? machine_store(space.m, addr, &byte, 1, &sig) : machine_load(space.m, addr, &byte, 1, &sig);

	if (err)
		script_picture_error(run->picture, sig.signo);
}

static inline void script_step(struct script_run *run, const struct script_op *op)
{
	uint64_t at = P(op->start), len = op->n * PAGE;

	switch (op->what) {
	case 'm': script_map(run, op, ANON); break;
	case 's': script_map(run, op, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS); break;
	case 'g': script_map(run, op, ANON | QUIRE_MAP_GROWSDOWN); break;
	case 'f': script_map(run, op, QUIRE_MAP_PRIVATE); break;
	case 'F': script_map(run, op, QUIRE_MAP_SHARED); break;
	case 'u': script_result(run, quire_munmap(run->mm, at, len)); break;
	case 'p': script_result(run, quire_mprotect(run->mm, at, len, (uint32_t)op->prot)); break;
	case 'a': script_result(run, quire_madvise(run->mm, at, len, (int)op->arg)); break;
	case 'l': script_result(run, quire_mlock(run->mm, at, len)); break;
	case 'L': script_result(run, quire_munlock(run->mm, at, len)); break;
	case 'v':
		script_result(run, quire_mremap(run->mm, at, len, len, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
						P(op->arg)));
		break;
	case 'e': script_result(run, quire_mremap(run->mm, at, len, op->arg * PAGE, 0, 0)); break;
	case 'w': script_access(run, at, true); break;
	case 'r': script_access(run, at, false); break;
	default: script_fork(run, op->what);
	}
}

/* Runs in a space of its own; check_space() after every step. */
static inline void script_quire(const char *script, char *picture)
{
	struct disk *disk = disk_new(space.q, SCRIPT_FILE_PAGES * PAGE);
	struct script_run run = { .disk = disk, .picture = picture };
	struct script_op op;

	assert_int_equal(quire_mm_create(space.q, NULL, &run.mm), 0);
	run_in(run.mm);
	picture[0] = '\0';
	while (script_next(&script, &op) > 0) {
		script_step(&run, &op);
		check_space(run.mm);
	}
	draw_picture(run.mm, picture);
	run_in(space.mm);
	quire_mmput(run.mm);
	while (run.nr_others)
		quire_mmput(run.others[--run.nr_others]);
	quire_grace_wait(space.q);
	assert_null(disk_delete(disk));
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
struct figures {
	uint64_t total, data, exec, stack, locked;
	int64_t committed;
	quire_uaddr_t brk;
};

static inline struct figures figures_of(const struct quire_mm *mm)
{
	return (struct figures){
		.total = mm->total_vm, .data = mm->data_vm, .exec = mm->exec_vm, .stack = mm->stack_vm,
		.locked = mm->locked_vm, .committed = mm->q->mms.committed, .brk = mm->layout.brk,
	};
}

/*
 * call() with the k-th allocation failing, for k = 1, 2, ... until none fails any more; each time it must
 * say so (failure is what it answers for want of memory) and leave areas and counters as they were. The last call
 * succeeds: its answer. *failures: how many there were.
 */
static inline int64_t each_allocation_fails(int64_t (*call)(void), int64_t failure, unsigned *failures)
{
	struct quire_fail *fail = &space.q->slabs.fail;
	int64_t answer;

	*failures = 0;
	for (uint64_t k = 1;; k++) {
		char before[SCRIPT_TEXT] = "", after[SCRIPT_TEXT] = "";
		struct figures was, is;
		uint64_t failed = fail->failed;

		quire_grace_wait(space.q);
		was = figures_of(space.mm);
		draw_picture(space.mm, before);
		fail->after = k;
		answer = call();
		fail->after = 0;
		if (fail->failed == failed)
			return answer;
		++*failures;
		assert_int_equal(answer, failure);
		draw_picture(space.mm, after);
		assert_string_equal(after, before);
		quire_grace_wait(space.q);
		is = figures_of(space.mm);
		assert_memory_equal(&is, &was, sizeof(is));
		check_space(space.mm);
	}
}
#endif

#endif

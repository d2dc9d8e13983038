/* SPDX-License-Identifier: MIT */
/*
 * Which steps are left out of a round, and under which rule: what would end or disturb the judged process, and what is known
 * to differ for a reason that docs/conformance.md gives. Asked by ours.c, which plays first, before each step.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "../kernel_view.h"
#include "player.h"

#define PAGE STEP_PAGE
#define LOW_END 0x80000000ull
#define NEAR_PAGES (30ull << 28) /* 30 TiB: what is promised to others may change by that much without effect */
#define MAX_BROUGHT_IN 1024 /* pages that one step may bring in; all of it comes from the host's memory, too */

bool rules_is_adopted(const struct player *p, uint64_t start, const char *name)
{
	return start < player_first_break(p) || start >= p->layout.mmap_base || strncmp(name, "[v", 2) == 0 ||
	       strncmp(name, "/memfd:quire-", 13) == 0;
}

static bool is_adopted_area(const struct player *p, const struct quire_vma *vma)
{
	return vma->start >= p->layout.mmap_base || vma->start < player_first_break(p) || (vma->ops && !segments_is(vma)) ||
	       (vma->file >= &p->adopted[0].file && vma->file <= &p->adopted[PLAYER_MAX_ADOPTED - 1].file);
}

static bool is_adopted(const struct player *p, struct quire_mm *mm, uint64_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);

	return vma && vma->start <= addr && is_adopted_area(p, vma);
}

/* Does the range within the space reach the program, its channel or its stack? */
static bool holds_program(const struct player *p, uint64_t start, uint64_t len)
{
	uint64_t end = start + len;

	if (p->round->no_random && start >= STEP_LOW && start < LOW_END)
		return end > LOW_END;
	if (start < STEP_WINDOW)
		return end > 0x400000;
	if (start < CHANNEL_ADDRESS)
		return end > CHANNEL_ADDRESS;
	return end > p->layout.mmap_base;
}

/* Several areas, one of them locked private memory that cannot be written to yet? */
static bool copies_in_turn(struct quire_mm *mm, uint64_t start, uint64_t len)
{
	struct quire_vma *vma = quire_find_vma(mm, start);
	bool locked = false;
	int areas = 0;

	for (; vma && vma->start < start + len; vma = quire_find_vma(mm, vma->end)) {
		areas++;
		locked |= (vma->flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED | QUIRE_VM_LOCKED)) == QUIRE_VM_LOCKED;
	}
	return locked && areas > 1;
}

/* Of a move that shrinks and fails at its tail Linux has done a part by then; and it is charged for what it gives up. */
static bool shrinks_badly(const struct player *p, struct quire_mm *mm, const uint64_t *a)
{
	struct quire_vma *vma;
	uint64_t at;

	if (p->by_quire || a[2] >= a[1])
		return false;
	if (a[1] - a[2] > 1ull << 33 && a[1] < 1ull << 47)
		return true;
	if ((a[3] & MREMAP_FIXED) && a[1] > STEP_TASK_END - a[0])
		return true;
	for (at = a[0] + a[2]; at < a[0] + a[1] && at < a[0] + a[2] + 64 * PAGE; at += PAGE)
		if (is_adopted(p, mm, at))
			return true;
	if (!(a[3] & MREMAP_FIXED))
		return false;
	for (vma = quire_find_vma(mm, a[0] + a[2]); vma && vma->start < a[0] + a[1]; vma = quire_find_vma(mm, vma->end))
		if (vma->flags & QUIRE_VM_SEALED)
			return true;
	return false;
}

bool rules_is_transfer(int nr)
{
	return nr == SYS_process_vm_readv || nr == SYS_process_vm_writev;
}

/* Is there a page that a fork has left shared, and that is this space's alone by now? */
static bool any_shared_before(const struct player *p, struct quire_mm *mm, uint64_t addr, uint64_t len)
{
	bool found = false;
	uint64_t at;

	quire_grace_enter(p->q);
	for (at = addr & ~(PAGE - 1); at < addr + len && at < STEP_TASK_END; at += PAGE) {
		quire_pte_t pte = quire_pgtable_peek(&mm->pt, at);
		struct quire_page *page = NULL;

		if (pte && quire_pte_kind(mm->pt.fmt, pte) == QUIRE_PTE_PAGE && !quire_pte_has(mm->pt.fmt, pte, QUIRE_PTE_SPECIAL))
			page = quire_pfn_to_page(p->q, quire_pte_pfn(mm->pt.fmt, pte));
		found |= page && quire_page_kind(page) == QUIRE_PAGE_ANON && !quire_page_test(page, QUIRE_PG_EXCLUSIVE) &&
			 page->refs == 1;
	}
	quire_grace_leave(p->q);
	return found;
}

static enum play_rule transfer_rule(const struct player *p, int nr, const uint64_t *a)
{
	struct step_range r[2];
	unsigned i;

	if (p->no_transfer)
		return PLAY_RULE_NO_TRANSFER;
	if (a[0] >= STEP_MAX_PROCESSES || !p->mm[a[0]])
		return PLAY_NR_RULES;
	transfer_ranges(a, r);
	for (i = 0; i < 2; i++) {
		if (!r[i].len || r[i].len >> 63 || (r[i].base >= STEP_TASK_END && r[i].base + r[i].len > r[i].base))
			continue;
		if (!rules_may_touch(p, p->mm[a[0]], r[i].base, r[i].len))
			return PLAY_RULE_BYTES_UNKNOWN;
		if (nr == SYS_process_vm_readv && any_shared_before(p, p->mm[a[0]], r[i].base, r[i].len))
			return PLAY_RULE_SHARED_BEFORE;
	}
	return PLAY_NR_RULES;
}

/* Pages of the areas in the range, at most. */
static uint64_t mapped_pages(struct quire_mm *mm, uint64_t start, uint64_t len)
{
	uint64_t pages = 0, end = start + len;
	struct quire_vma *vma;

	if (end < start || end > STEP_TASK_END)
		end = STEP_TASK_END;
	for (vma = quire_find_vma(mm, start); vma && vma->start < end; vma = quire_find_vma(mm, vma->end))
		pages += ((vma->end < end ? vma->end : end) - (vma->start > start ? vma->start : start)) / PAGE + 1;
	return pages;
}

static uint64_t promised_pages(struct quire_mm *mm, uint64_t start, uint64_t len)
{
	uint64_t pages = 0, end = start + len;
	struct quire_vma *vma;

	if (end < start || end > STEP_TASK_END)
		end = STEP_TASK_END;
	for (vma = quire_find_vma(mm, start); vma && vma->start < end; vma = quire_find_vma(mm, vma->end))
		if (vma->flags & QUIRE_VM_ACCOUNT)
			pages += ((vma->end < end ? vma->end : end) - (vma->start > start ? vma->start : start)) / PAGE;
	return pages;
}

/*
 * Strict overcommit counts what is promised to the whole host: whether there is enough may depend on others, unless the limit is far
 * from what would be promised after the step, which asks for so much at most and at least, and may give up some.
 */
static bool is_near_limit(struct player *p, const struct step *s, const uint64_t *a)
{
	struct quire_mm *mm = p->mm[s->process];
	uint64_t limit = quire_commit_limit(p->q), now = (uint64_t)p->q->mms.committed, most = 0, least = 0, gone = 0;

	if (p->overcommit_mode != 2)
		return false;
	if (s->kind == STEP_FORK) {
		most = least = promised_pages(mm, 0, STEP_TASK_END);
	} else if (s->kind == STEP_CALL && s->nr == SYS_mmap && a[1] < STEP_TASK_END) {
		most = least = a[1] / PAGE;
		gone = (a[3] & MAP_FIXED) ? promised_pages(mm, a[0], a[1]) : 0;
	} else if (s->kind == STEP_CALL && s->nr == SYS_mremap && a[2] < STEP_TASK_END) {
		most = a[2] / PAGE;
		least = a[2] > a[1] ? (a[2] - a[1]) / PAGE : 0;
		gone = (a[3] & MREMAP_FIXED) ? promised_pages(mm, a[4], a[2]) : 0;
	} else if (s->kind == STEP_CALL && s->nr == SYS_mprotect) {
		most = least = mapped_pages(mm, a[0], a[1]);
		gone = promised_pages(mm, a[0], a[1]);
	}
	return now + most + NEAR_PAGES > limit && now + least < limit + NEAR_PAGES + gone;
}

/* Pages that the call may make present, or tables for as many; what is locked is bounded by its limit. */
static uint64_t brought_in(struct quire_mm *mm, int nr, const uint64_t *a)
{
	switch (nr) {
	case SYS_mmap:
		/* What is longer than the space is refused first. */
		return (a[3] & MAP_POPULATE) && a[1] < STEP_TASK_END ? a[1] / PAGE : 0;
	case SYS_remap_file_pages:
		return mapped_pages(mm, a[0], a[1]);
	case SYS_madvise:
		if (a[2] == MADV_POPULATE_READ || a[2] == MADV_POPULATE_WRITE || a[2] == QUIRE_MADV_COLLAPSE ||
		    a[2] == QUIRE_MADV_GUARD_INSTALL)
			return mapped_pages(mm, a[0], a[1]);
		return 0;
	case SYS_fallocate:
		/* What is beyond any file is refused first; so are ranges that are none. */
		return (a[1] & ~(uint64_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE)) == 0 && (a[2] | a[3] | (a[2] + a[3])) >> 63 == 0 ? a[3] / PAGE : 0;
	default:
		return 0;
	}
}

/* More than may be asked of the host, or than the machine has: it is to have room for what accesses bring in besides. */
static bool fills_memory(struct player *p, struct quire_mm *mm, int nr, const uint64_t *a)
{
	uint64_t pages = brought_in(mm, nr, a);

	return pages > MAX_BROUGHT_IN || (pages > STEP_WINDOW_PAGES && pages > quire_free_pages(p->q) / 4);
}

/* PLAY_NR_RULES: it is made. */
static enum play_rule call_rule(struct player *p, struct quire_mm *mm, int nr, const uint64_t *a)
{
	uint64_t len = nr == SYS_mremap && a[2] > a[1] ? a[2] : a[1];

	if (fills_memory(p, mm, nr, a))
		return PLAY_RULE_FILLS_MEMORY;
	switch (nr) {
	case SYS_brk:
	case SYS_ftruncate:
	case SYS_fallocate:
	case SYS_mlockall:
	case SYS_munlockall:
		return PLAY_NR_RULES;
	case SYS_shmat:
		if (a[1] && a[1] < STEP_TASK_END && holds_program(p, a[1] & ~(PAGE - 1), STEP_SEGMENT_PAGES * PAGE))
			return PLAY_RULE_OWN_PROGRAM;
		return PLAY_NR_RULES;
	case SYS_shmdt:
		return PLAY_NR_RULES;
	case SYS_process_vm_readv:
	case SYS_process_vm_writev:
		return transfer_rule(p, nr, a);
	case SYS_mremap:
		if (shrinks_badly(p, mm, a))
			return PLAY_RULE_SHRINKING_MOVE;
		if ((a[3] & MREMAP_FIXED) && a[4] < STEP_TASK_END && a[2] <= STEP_TASK_END - a[4] &&
		    holds_program(p, a[4], a[2]))
			return PLAY_RULE_OWN_PROGRAM;
		break;
	case SYS_mmap:
		p->droppable |= (a[3] & MAP_TYPE) == QUIRE_MAP_DROPPABLE;
		break;
	case SYS_mprotect:
		if (!p->by_quire && (a[2] & PROT_WRITE) && copies_in_turn(mm, a[0], a[1]))
			return PLAY_RULE_LOCKED_COPIES;
		break;
	case SYS_madvise:
		if (a[2] == MADV_PAGEOUT && (p->freed_lazily || p->droppable))
			return PLAY_RULE_FREED_PAGEOUT;
		p->freed_lazily |= a[2] == MADV_FREE;
		p->paged_out |= a[2] == MADV_PAGEOUT;
		break;
	default:
		break;
	}
	if (a[0] + len < a[0])
		return PLAY_NR_RULES; /* refused anyway */
	if (a[0] + len > STEP_TASK_END) {
		/* So too, but for those that go on over holes. */
		return a[0] < STEP_TASK_END &&
		       (nr == SYS_madvise || nr == SYS_mremap || a[0] >= p->layout.mmap_base) ?
			PLAY_RULE_OWN_PROGRAM : PLAY_NR_RULES;
	}
	return holds_program(p, a[0], len) ? PLAY_RULE_OWN_PROGRAM : PLAY_NR_RULES;
}

/* May the bytes be compared? */
bool rules_may_touch(const struct player *p, struct quire_mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t at;

	if (addr >= STEP_TASK_END - PAGE - len)
		return false;
	for (at = addr & ~(PAGE - 1); at < addr + len; at += PAGE)
		if (is_adopted(p, mm, at))
			return false;
	return true;
}

#define WILL_FAIL (-1)
#define UNKNOWN (-2)

/* What a fetch of one byte meets. */
static int code_at(struct player *p, struct quire_mm *mm, uint64_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);
	enum quire_pte_kind kind;
	unsigned char *bytes;
	int byte = UNKNOWN;
	quire_pte_t pte;

	/* Across a page's end: what the loader set up may fail otherwise than for a right that it lacks. */
	if (is_adopted(p, mm, addr & ~(PAGE - 1)))
		return UNKNOWN;
	if (!vma || (vma->start > addr && !(vma->flags & QUIRE_VM_GROWSDOWN)) || !(vma->flags & QUIRE_VM_EXEC))
		return WILL_FAIL;
	if (vma->start > addr)
		return UNKNOWN;
	quire_grace_enter(p->q);
	pte = quire_pgtable_peek(&mm->pt, addr);
	kind = quire_pte_kind(mm->pt.fmt, pte);
	if (pte && kind == QUIRE_PTE_PAGE) {
		bytes = quire_page_kmap(p->q, quire_pfn_to_page(p->q, quire_pte_pfn(mm->pt.fmt, pte)));
		byte = bytes[addr % PAGE];
		quire_page_kunmap(p->q, bytes);
	} else if ((pte && kind == QUIRE_PTE_GUARD) ||
		   (!pte && vma->object && (addr - vma->start) / PAGE + vma->pgoff >= quire_size_pages(vma->object->size))) {
		byte = WILL_FAIL;
	}
	quire_grace_leave(p->q);
	return byte;
}

/* A fetch that will be refused, or meets a return instruction. */
static bool may_execute(struct player *p, struct quire_mm *mm, uint64_t addr)
{
	int byte = code_at(p, mm, addr);

	if (byte == REPEAT_PREFIX && addr % PAGE == PAGE - 1)
		byte = code_at(p, mm, addr + 1);
	return byte == WILL_FAIL || byte == RETURN_INSTRUCTION;
}

enum play_rule rules_for(struct player *p, const struct step *s, const uint64_t *a)
{
	struct quire_mm *mm = p->mm[s->process];

	if (is_near_limit(p, s, a))
		return PLAY_RULE_NEAR_LIMIT;
	switch (s->kind) {
	case STEP_CALL:
		return call_rule(p, mm, s->nr, a);
	case STEP_LOAD:
	case STEP_STORE:
	case STEP_STORE_WORD:
	case STEP_STORE_RUN:
	case STEP_EXECUTE:
		if (!rules_may_touch(p, mm, a[0], step_access_bytes(s->kind, a)))
			return PLAY_RULE_BYTES_UNKNOWN;
		if (s->kind == STEP_EXECUTE && !may_execute(p, mm, a[0]))
			return PLAY_RULE_CODE_UNKNOWN;
		return PLAY_NR_RULES;
	default:
		return PLAY_NR_RULES;
	}
}

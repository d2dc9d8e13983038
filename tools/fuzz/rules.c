/* SPDX-License-Identifier: MIT */
/*
 * Which steps are left out of a round, and under which rule: what would end or disturb the judged process, and what is known
 * to differ for a reason that docs/conformance.md gives. Asked by ours.c, which plays first, before each step.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "../kernel_view.h"
#include "player.h"

#define PAGE STEP_PAGE
#define LOW_END 0x80000000ull

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

	if (a[2] >= a[1])
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

/* PLAY_NR_RULES: it is made. */
static enum play_rule call_rule(struct player *p, struct quire_mm *mm, int nr, const uint64_t *a)
{
	uint64_t len = nr == SYS_mremap && a[2] > a[1] ? a[2] : a[1];

	switch (nr) {
	case SYS_brk:
	case SYS_ftruncate:
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
		if ((a[2] & PROT_WRITE) && copies_in_turn(mm, a[0], a[1]))
			return PLAY_RULE_LOCKED_COPIES;
		break;
	case SYS_madvise:
		if (a[2] == MADV_PAGEOUT && (p->freed_lazily || p->droppable))
			return PLAY_RULE_FREED_PAGEOUT;
		if (a[2] == MADV_FREE && p->wrote_over)
			return PLAY_RULE_FREED_WRITTEN;
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

/* A fetch that will be refused, or meets a return instruction. */
static bool may_execute(struct player *p, struct quire_mm *mm, uint64_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);
	unsigned char *bytes, byte = 0;
	struct quire_page *page;
	quire_pte_t pte;

	if (!vma || (vma->start > addr && !(vma->flags & QUIRE_VM_GROWSDOWN)) || !(vma->flags & QUIRE_VM_EXEC))
		return true;
	quire_grace_enter(p->q);
	pte = vma->start <= addr ? quire_pgtable_peek(&mm->pt, addr) : 0;
	if (pte && quire_pte_kind(mm->pt.fmt, pte) == QUIRE_PTE_PAGE) {
		page = quire_pfn_to_page(p->q, quire_pte_pfn(mm->pt.fmt, pte));
		bytes = quire_page_kmap(p->q, page);
		byte = bytes[addr % PAGE];
		quire_page_kunmap(p->q, bytes);
	}
	quire_grace_leave(p->q);
	return byte == RETURN_INSTRUCTION;
}

enum play_rule rules_for(struct player *p, const struct step *s, const uint64_t *a)
{
	struct quire_mm *mm = p->mm[s->process];

	switch (s->kind) {
	case STEP_CALL:
		return call_rule(p, mm, s->nr, a);
	case STEP_LOAD:
	case STEP_STORE:
	case STEP_EXECUTE:
		if (!rules_may_touch(p, mm, a[0], s->kind == STEP_LOAD ? a[1] : 1))
			return PLAY_RULE_BYTES_UNKNOWN;
		if (s->kind == STEP_EXECUTE && !may_execute(p, mm, a[0]))
			return PLAY_RULE_CODE_UNKNOWN;
		return PLAY_NR_RULES;
	default:
		return PLAY_NR_RULES;
	}
}

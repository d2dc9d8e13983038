/* SPDX-License-Identifier: MIT */
/*
 * What the files of src/mm/ share: the plan (how areas are changed), and the helpers each verb
 * needs. Nothing here is for hosts.
 */
#ifndef QUIRE_MM_INTERNAL_H
#define QUIRE_MM_INTERNAL_H

#include <quire/quire.h>

/* ---- Spaces (src/mm/mm.c) ----------------------------------------------------------------- */

/* A descriptor with empty tables that nobody can find: users 1, count 1, no layout, index not set up. NULL: no memory. */
struct quire_mm *quire_mm_alloc(struct quire *q);
/* Free it again, before it was published: its index holds nothing and its tables map nothing. */
void quire_mm_free_new(struct quire_mm *mm);
/* From now on it is found in quire_mms.spaces. */
void quire_mm_publish(struct quire_mm *mm);

/* ---- Areas (src/vma/area.c) --------------------------------------------------------------- */

/* A NEW area with every field zero but mm and id. NULL: no memory. */
struct quire_vma *quire_vma_alloc(struct quire_mm *mm);
/* A NEW private copy: takes references on file, object, anon owner and chain. A fresh id. */
struct quire_vma *quire_vma_copy(const struct quire_vma *vma);
/* Free an area that was never visible, now. Drops its references. */
void quire_vma_free_new(struct quire_vma *vma);
/* Free a DEAD area after a grace period, dropping its references then. */
void quire_vma_free_deferred(struct quire_vma *vma);

/* ---- The plan (src/mm/plan.c) ------------------------------------------------------------- */

/*
 * Every change of areas goes through a plan: a private picture of the part of the space that will
 * change. take() copies an area into it; the copies are not visible, so a verb may edit them freely
 * and in Linux's order, area by area, merging as it goes. When all is built, reserve() gets the
 * index nodes, and commit() makes the picture true in one splice. cancel() forgets it: nothing has changed.
 *
 * At commit, in this order: new areas linked into reverse maps and owner counters; spliced (state ALIVE, or BUSY where asked);
 * old areas marked DEAD; unlinked from reverse maps; vm_ops open for areas that a split or copy made, close for those
 * that went without a successor, are called after the tables are done (quire_plan_finish()).
 *
 *   life of a plan:  init -> take/insert/split/merge/drop ... -> reserve -> commit -> [tables] -> finish
 *                                                     `-> cancel (also after a failed reserve)
 *
 * The writer lock is held from init to finish or cancel.
 */
struct quire_plan {
	/* input */
	struct quire_mm *mm;
	/* derived */
	struct quire_list areas; /* new areas by address, quire_vma.plan_link */
	struct quire_list old;   /* visible areas that will go, by address, quire_vma.plan_link */
	uint32_t nr_areas, nr_old;
	quire_uaddr_t start, end; /* bounds of everything in it; empty: start == end == 0 */
	/* reserved */
	struct quire_splice splice;
	struct quire_vma **array; /* the new areas, for the splice; small plans use inline_array */
	struct quire_vma *inline_array[8];
};

void quire_plan_init(struct quire_plan *plan, struct quire_mm *mm);

/* The plan's copy of a visible area; freezes the area's owner (QUIRE_ANON_FROZEN) so that the copy's anon is final.
 * Taking twice returns the same copy. NULL: no memory. */
struct quire_vma *quire_plan_take(struct quire_plan *plan, struct quire_vma *vma);

/* Add an area that has no predecessor (mmap, the destination of mremap). Its range is free in the picture. */
void quire_plan_insert(struct quire_plan *plan, struct quire_vma *vma);

/* Cut a copy at addr: the copy keeps [start, addr), the answer is [addr, end). -ENOMEM, or what ops->may_split said, in *err. */
struct quire_vma *quire_plan_split(struct quire_plan *plan, struct quire_vma *copy, quire_uaddr_t addr, int *err);

/* The copy goes without a successor (unmapped). It is freed, its place in the picture is free. */
void quire_plan_drop(struct quire_plan *plan, struct quire_vma *copy);

/* The neighbours of a range as the picture has them: plan areas where the plan covers, visible areas elsewhere; NULL if
 * nothing touches the range's edge. */
struct quire_vma *quire_plan_prev(struct quire_plan *plan, quire_uaddr_t start);
struct quire_vma *quire_plan_next(struct quire_plan *plan, quire_uaddr_t end);

/* What an area is to become; taken from it by quire_change_of(), then edited. */
struct quire_change {
	uint64_t flags;
};

/*
 * Linux's vma_modify: [start, end) of vma (visible or in the plan) gets new flags. Merges with the neighbours in the picture
 * where Linux does, else splits as needed. Returns the plan area that now holds [start, end), or NULL with *err.
 */
struct quire_vma *quire_plan_modify(struct quire_plan *plan, struct quire_vma *vma, quire_uaddr_t start,
				    quire_uaddr_t end, uint64_t flags, int *err);

/*
 * Linux's vma_merge_new_range: proto (not in the plan, NEW; start, end, flags, pgoff, file, object, ops, anon set) would fill free room.
 * Returns the plan area that was extended to hold it (proto is then still the caller's), or NULL: nothing to merge with, *err 0,
 * or no memory, *err -ENOMEM.
 */
struct quire_vma *quire_plan_merge_new(struct quire_plan *plan, const struct quire_vma *proto, int *err);

/*
 * Unmap [start, end) in the picture: cuts the areas at both ends (the ones in between are dropped). Checks max_map_count and seals
 * as munmap does. 0, -ENOMEM, -EPERM, may_split's errno.
 */
int quire_plan_unmap(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end);

int quire_plan_reserve(struct quire_plan *plan);
void quire_plan_commit(struct quire_plan *plan);
void quire_plan_finish(struct quire_plan *plan);
void quire_plan_cancel(struct quire_plan *plan);

/* Linux's rules (src/vma/merge.c): may b directly follow a in one area? b's pgoff and all else considered. */
bool quire_can_merge(const struct quire_vma *a, const struct quire_vma *b);

/* ---- Accounting (src/mm/account.c); writer lock held -------------------------------------- */

/* Linux's may_expand_vm: room for pages more of kind flags under RLIMIT_AS and RLIMIT_DATA? */
bool quire_may_expand(struct quire_mm *mm, uint64_t flags, uint64_t pages);
/* Linux's vm_stat_account: total, exec, stack, data; pages may be negative. */
void quire_account_vm(struct quire_mm *mm, uint64_t flags, int64_t pages);
/* Linux's security_vm_enough_memory: commit pages, or -ENOMEM. */
int quire_commit_pages(struct quire_mm *mm, int64_t pages);
void quire_uncommit_pages(struct quire_mm *mm, int64_t pages);
/* Private and writable, not huge, not NORESERVE: does it count for overcommit? */
bool quire_is_accountable(struct quire *q, struct quire_file *file, uint64_t flags);
/* Linux's mlock_future_ok. */
bool quire_mlock_ok(struct quire_mm *mm, uint64_t flags, uint64_t pages);

/* ---- Placement (src/mm/layout.c); writer lock held ---------------------------------------- */

/* Linux's get_unmapped_area with all its checks: the address or an errno. pgoff in pages. */
int64_t quire_get_unmapped_area(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, struct quire_file *file,
				uint64_t pgoff, uint32_t map_flags, uint64_t vm_flags);

/* ---- Tables ------------------------------------------------------------------------------- */

/* Rights of an entry of vma for the format: READ WRITE EXEC USER from flags; WRITE left out where a private or tracked page
 * must fault first (caller adds it). */
quire_ptebits_t quire_vma_ptebits(const struct quire_vma *vma);

/* Linux's zap_page_range / unmap_vmas: every entry of [start, end) goes: pages dropped after the flush, rss lowered,
 * dirty bits taken over, guard and swap entries too, empty tables freed if trim. vma gives the kind of pages; may be dead. (src/mm/zap.c) */
#define QUIRE_ZAP_TRIM 0x1u       /* free emptied tables */
#define QUIRE_ZAP_KEEP_GUARDS 0x2u /* MADV_DONTNEED keeps guard entries */
#define QUIRE_ZAP_KEEP_COWS 0x4u  /* file pages only, private copies stay (truncate without even_cows) */
void quire_zap_range(struct quire_mm *mm, struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end, uint32_t flags);

/* Change the rights of all entries of [start, end) to what vma (the new area) allows; rights are gone everywhere on return. (src/mm/zap.c) */
void quire_protect_range(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end);

/* fork: copy parent's entries to the invisible child's area; write-protects private pages on both sides. The parent's flush is done
 * by the end. -ENOMEM: the caller takes the child apart. (src/mm/copy.c) */
int quire_copy_range(struct quire_vma *child, struct quire_vma *parent);

/* mremap: move entries; tables at the destination were populated. (src/mm/remap.c uses quire_tables_move().) */

/* Fault in [start, end), as mlock and MAP_POPULATE do: stops at the first page that cannot be; 0 or -EFAULT, -ENOMEM... (src/mm/gup.c) */
int quire_populate(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end, bool ignore_errors);

/* Grow a GROWSDOWN area downwards to hold addr: Linux's expand_stack. Takes the writer lock. 0, -ENOMEM, -EFAULT. (src/mm/stack.c) */
int quire_expand_stack(struct quire_mm *mm, quire_uaddr_t addr);

static inline uint64_t quire_stack_guard(const struct quire_mm *mm, const struct quire_vma *vma)
{
	return (vma->flags & QUIRE_VM_GROWSDOWN) ? mm->q->mms.sysctl.stack_guard_gap : 0;
}

void quire_rss_add(struct quire_mm *mm, enum quire_rss kind, int64_t pages);
enum quire_rss quire_page_rss(const struct quire_page *page);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the files of src/mm/ share: the plan (how areas are changed), and the helpers each verb
 * needs. Nothing here is for hosts.
 */
#ifndef QUIRE_MM_INTERNAL_H
#define QUIRE_MM_INTERNAL_H

#include <quire/quire.h>
#include <vma/area.h>

/* ---- Spaces (src/mm/mm.c) ----------------------------------------------------------------- */

/* A descriptor with empty tables that nobody can find: users 1, count 1, no layout, index not set up. NULL: no memory. */
struct quire_mm *quire_mm_alloc(struct quire *q);
/* Free it again, before it was published: its index holds nothing and its tables map nothing. */
void quire_mm_free_new(struct quire_mm *mm);
/* From now on it is found in quire_mms.spaces. */
void quire_mm_publish(struct quire_mm *mm);

/* ---- The plan (src/mm/plan.c, plan_merge.c, unmap.c) -------------------------------------- */

/*
 * Every change of areas goes through a plan: a private picture of the part of the space that will
 * change. take() copies an area into it; the copies are not visible, so a verb may edit them freely
 * and in Linux's order, area by area, merging as it goes. When all is built, reserve() gets the
 * index nodes, and commit() makes the picture true in one splice. cancel() forgets it: nothing has
 * changed. After any -ENOMEM for want of memory the plan can only be cancelled.
 *
 *   life of a plan:  init -> take/insert/split/modify/unmap ... -> reserve -> commit -> [tables] -> finish
 *                                                     `-> cancel (also after a failed reserve)
 *
 * The writer lock is held from init to finish or cancel.
 *
 * commit   links new areas into reverse maps and owners' counters, splices (state ALIVE, or BUSY for
 *          an area whose state the verb set so), marks the old areas DEAD, and lowers the space's
 *          counters by what unmap() took out. Faults now meet the new areas.
 * tables   what the verb has to do to the entries: quire_plan_zap(), quire_protect_range(), moving.
 * finish   makes BUSY areas ALIVE, unlinks the old areas from reverse maps (so truncate finds their
 *          entries as long as they have any), tells drivers (open for what a split made, close for what
 *          is gone, with the very bounds), frees the old areas after a grace period.
 *
 * Areas outside the plan, between its parts, stay what they are.
 */

/* Pages by kind that leave a space's counters. */
struct quire_tally {
	uint64_t total, data, exec, stack, locked, accounted;
};

#define QUIRE_PLAN_INLINE 8
#define QUIRE_PLAN_PARTS 2

/* A stretch of the hull that one splice replaces. */
struct quire_plan_part {
	quire_uaddr_t start, end;
	size_t first, nr; /* of plan->array, what comes there */
	struct quire_splice splice;
};

struct quire_plan {
	/* input */
	struct quire_mm *mm;
	/* derived */
	struct quire_list areas;   /* new areas by address, quire_vma.plan_link */
	struct quire_list old;     /* visible areas that will go, by address */
	struct quire_list dropped; /* copies that vanish, but whose drivers must hear of it */
	uint32_t nr_areas, nr_old;
	quire_uaddr_t start, end;  /* hull of everything in it; empty: end == 0 */
	bool sparse;               /* visible areas may lie inside the hull that are not in it */
	bool has_ops;              /* some area in it has operations: finish() may have calls to make */
	bool out_of_memory;        /* an allocation failed: the picture is not whole */
	bool would_cut_start, would_cut_end; /* unmap()'s own: see quire_plan_leave_cuts() */
	struct quire_tally gone;   /* what unmap() took out; commit() applies it */
	/* reserved */
	struct quire_vma **array; /* what comes, by address; few: inline_array; many in one part: NULL, areas itself */
	size_t nr_array;          /* what comes; what is kept in the hull included */
	uint32_t nr_parts;        /* of them, reserved */
	struct quire_plan_part part[QUIRE_PLAN_PARTS];
	struct quire_vma *inline_array[QUIRE_PLAN_INLINE];
};

void quire_plan_init(struct quire_plan *plan, struct quire_mm *mm);

/*
 * The plan's copy of a visible area; freezes the area's owner (QUIRE_ANON_FROZEN) so that the copy's
 * anon is final. Taking what is in the plan already gives the copy that holds its first byte;
 * a plan area is its own copy. NULL: no memory.
 */
struct quire_vma *quire_plan_take(struct quire_plan *plan, struct quire_vma *vma);

/* Add an area that has no predecessor (mmap, the destination of mremap). Its range is free in the
 * picture. The plan owns it now: cancel() frees it. */
void quire_plan_insert(struct quire_plan *plan, struct quire_vma *vma);

/* Cut a copy at addr: the copy keeps [start, addr), the answer is [addr, end). NULL: -ENOMEM, or what
 * ops->may_split said, in *err. max_map_count is the caller's business. */
struct quire_vma *quire_plan_split(struct quire_plan *plan, struct quire_vma *copy, quire_uaddr_t addr, int *err);

/* An area of the picture, visible or copy, goes without a successor: unmapped. Its place in the
 * picture is free; its driver hears of it in finish(). Counters are the caller's. */
void quire_plan_drop(struct quire_plan *plan, struct quire_vma *vma);

/*
 * The picture: plan areas where the plan has touched, visible areas elsewhere.
 * find: the area that holds addr or, if there is none, the next above it; NULL if none.
 * prev, next: the area that ends at start, begins at end; NULL if nothing touches there.
 */
struct quire_vma *quire_plan_find(struct quire_plan *plan, quire_uaddr_t addr);
struct quire_vma *quire_plan_prev(struct quire_plan *plan, quire_uaddr_t start);
struct quire_vma *quire_plan_next(struct quire_plan *plan, quire_uaddr_t end);

/* How many areas the space would have now. */
static inline uint64_t quire_plan_map_count(const struct quire_plan *plan)
{
	return plan->mm->index.count - plan->nr_old + plan->nr_areas;
}

/*
 * A step of the plan failed with err: may what it has so far be committed, as Linux would leave it? Yes if the step ran
 * into max_map_count or a driver's refusal; no if memory ran out.
 */
static inline bool quire_plan_may_commit(const struct quire_plan *plan, int err)
{
	return err && !plan->out_of_memory;
}

/*
 * Linux's vma_modify: [start, end) of vma (visible or in the plan) gets new flags. Merges with the
 * neighbours in the picture where Linux does, else splits as needed. Returns the plan area that now
 * holds [start, end), or NULL with *err: -ENOMEM (also: a split would exceed max_map_count; then the
 * plan may be committed with what it has), or what may_split said (the same).
 * Counters are the caller's. vma, if it was a copy, may be gone afterwards.
 */
struct quire_vma *quire_plan_modify(struct quire_plan *plan, struct quire_vma *vma, quire_uaddr_t start,
				    quire_uaddr_t end, uint64_t flags, int *err);
/* The same with a new memory policy, of which areas take references. */
struct quire_vma *quire_plan_modify_policy(struct quire_plan *plan, struct quire_vma *vma, quire_uaddr_t start,
					   quire_uaddr_t end, struct quire_mempolicy *policy, int *err);

/*
 * Linux's vma_merge_new_range: proto (not in the plan, NEW; start, end, flags, pgoff, file, ops, private_data set, and the
 * owner and chain of what its pages come from) would fill free room. Returns the plan area that was extended to
 * hold it (proto is then still the caller's), or NULL: nothing to merge with, *err 0, or no memory, *err -ENOMEM.
 */
struct quire_vma *quire_plan_merge_new(struct quire_plan *plan, const struct quire_vma *proto, int *err);
/* The same with the area before it alone, as brk does. */
struct quire_vma *quire_plan_extend(struct quire_plan *plan, const struct quire_vma *proto, int *err);

/*
 * Unmap [start, end) in the picture: cuts the areas at both ends, drops those in between, tallies
 * them in plan->gone. Checks max_map_count and seals as munmap does: 0, -ENOMEM, -EPERM, may_split's
 * errno. After commit: quire_plan_zap(). After an error: quire_plan_leave_cuts().
 */
int quire_plan_unmap(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end);

/*
 * Cancel the plan, but make the cuts that Linux leaves behind when it gives up after it has made ready
 * to unmap [start, end): two areas where one was, of the same memory; nothing but maps shows it. For
 * errors that are no want of memory (then: quire_plan_cancel()), after a plan that did nothing but
 * unmap [start, end) and what fills it.
 */
void quire_plan_leave_cuts(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end);

/*
 * The same in a plan that goes on with what it has: right after a quire_plan_unmap() from start that was refused, which
 * has changed nothing in the picture. Want of memory shows in plan->out_of_memory.
 */
void quire_plan_draw_cut(struct quire_plan *plan, quire_uaddr_t start);

/* munmap with the writer lock held and the arguments checked. (src/mm/unmap.c) */
int quire_munmap_locked(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end);

/* After commit: empty [start, end) of what the old areas had there. flags: QUIRE_ZAP_TRIM or 0. */
void quire_plan_zap(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end, uint32_t flags);

/*
 * After commit: entries that are there get or lose QUIRE_PTE_LOCKED, as the plan's areas are LOCKED or not, where these
 * lie in [start, end). (src/mm/lock.c)
 */
void quire_plan_mark_locked(struct quire_plan *plan, quire_uaddr_t start, quire_uaddr_t end);

int quire_plan_reserve(struct quire_plan *plan);
void quire_plan_commit(struct quire_plan *plan);
void quire_plan_finish(struct quire_plan *plan);
void quire_plan_cancel(struct quire_plan *plan);

/* ---- Accounting (src/mm/account.c); writer lock held -------------------------------------- */

/* Linux's may_expand_vm: room for pages more of kind flags under RLIMIT_AS and RLIMIT_DATA? */
bool quire_may_expand(struct quire_mm *mm, uint64_t flags, uint64_t pages);
/* The same, were total_vm and data_vm these: in the middle of a plan. */
bool quire_may_expand_from(struct quire_mm *mm, uint64_t flags, uint64_t total_vm, uint64_t data_vm, uint64_t pages);
/* Linux's vm_stat_account: total, exec, stack, data; pages may be negative. */
void quire_account_vm(struct quire_mm *mm, uint64_t flags, int64_t pages);
/* Linux's security_vm_enough_memory: commit pages, or -ENOMEM. */
int quire_commit_pages(struct quire_mm *mm, int64_t pages);
void quire_uncommit_pages(struct quire_mm *mm, int64_t pages);
/* Private and writable, not huge, not NORESERVE: does it count for overcommit? */
bool quire_is_accountable(struct quire *q, struct quire_file *file, uint64_t flags);
/* Linux's mlock_future_ok. */
bool quire_mlock_ok(struct quire_mm *mm, uint64_t flags, uint64_t pages);
/* Linux's can_do_mlock. */
bool quire_may_mlock(struct quire_mm *mm);
/* pages of an area change their flags; the total stays. */
void quire_account_change(struct quire_mm *mm, uint64_t from, uint64_t to, uint64_t pages);
/* Add pages of kind flags to a tally; take a tally out of the counters (and of what is committed). */
void quire_tally_area(struct quire_tally *tally, uint64_t flags, uint64_t pages);
void quire_account_gone(struct quire_mm *mm, const struct quire_tally *gone);

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
/* Everything, with one flush unless memory is short. For a space whose last user has gone. */
void quire_zap_space(struct quire_mm *mm);

/* Change the rights of all entries of [start, end) to what vma (the new area) allows; rights are gone everywhere on return. (src/mm/zap.c) */
void quire_protect_range(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end);

/*
 * fork: copy the parent's entries to an invisible child, area by area; write-protects private pages on both sides. All
 * areas have one flush, in end(), before which the child may not run, nor be taken apart.
 * range: -ENOMEM, with nothing of this area copied. (src/mm/copy.c)
 */
struct quire_copy {
	struct quire_mm *parent, *child;
	struct quire_cursor from;
};
void quire_copy_begin(struct quire_copy *copy, struct quire_mm *parent, struct quire_mm *child);
int quire_copy_range(struct quire_copy *copy, struct quire_vma *child, struct quire_vma *parent);
void quire_copy_end(struct quire_copy *copy);

/*
 * Pages that a driver's mmap() has asked for, by remap_vmalloc_range: they wait in quire_mm.insertions, each with a reference,
 * for the area to come in. perform: the area is there and BUSY, its entries are empty and what stood there is in no
 * reverse map. drop: it does not come. Writer lock held. (src/mm/insert.c)
 */
void quire_insertions_perform(struct quire_vma *vma);
void quire_insertions_drop(struct quire_mm *mm);

/* mremap: move entries; tables at the destination were populated. (src/mm/remap.c uses quire_tables_move().) */

/* Fault in [start, end), as mlock and MAP_POPULATE do: stops at the first page that cannot be; 0 or -EFAULT, -ENOMEM... (src/mm/gup.c) */
int quire_populate(struct quire_mm *mm, quire_uaddr_t start, quire_uaddr_t end, bool ignore_errors);

/* Grow a GROWSDOWN area downwards to hold addr: Linux's expand_stack. Takes the writer lock. 0, -ENOMEM, -EFAULT. (src/mm/stack.c) */
int quire_expand_stack(struct quire_mm *mm, quire_uaddr_t addr);

static inline uint64_t quire_stack_guard(const struct quire_mm *mm, const struct quire_vma *vma)
{
	return (vma->flags & QUIRE_VM_GROWSDOWN) ? mm->q->mms.sysctl.stack_guard_gap : 0;
}

/* What the object room calls through struct quire_objects: see object.h. (src/mm/zap.c) */
void quire_zap_object(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end, bool even_cows);
void quire_wrprotect_object(struct quire_vma *vma, quire_uaddr_t start, quire_uaddr_t end);

/* ---- Counting (src/mm/rss.c) -------------------------------------------------------------- */

void quire_rss_add(struct quire_mm *mm, enum quire_rss kind, int64_t pages);
enum quire_rss quire_page_rss(const struct quire_page *page);
/* The same from the page's flags. */
static inline enum quire_rss quire_rss_of(uint32_t flags)
{
	if ((flags & QUIRE_PG_KIND_MASK) == QUIRE_PAGE_ANON)
		return QUIRE_RSS_ANON;
	return flags & QUIRE_PG_SWAPBACKED ? QUIRE_RSS_SHMEM : QUIRE_RSS_FILE;
}
/* Resident pages of all kinds. */
int64_t quire_mm_rss(const struct quire_mm *mm);
/* Before rss falls: remember how high it was. */
void quire_update_hiwater_rss(struct quire_mm *mm);

/*
 * One entry more, one fewer that maps page with bits: its maps and the instance's counters; rss is the caller's. Leaf
 * lock held.
 */
void quire_page_mapped(struct quire *q, struct quire_page *page, quire_ptebits_t bits);
void quire_page_unmapped(struct quire *q, struct quire_page *page, quire_ptebits_t bits);
/* The same of an entry that gets or loses QUIRE_PTE_LOCKED. */
void quire_page_locked_more(struct quire *q, struct quire_page *page);
void quire_page_locked_less(struct quire *q, struct quire_page *page);
/* QUIRE_PTE_LOCKED if an entry of vma that maps page has it, else 0. */
quire_ptebits_t quire_lock_bit(const struct quire_vma *vma, const struct quire_page *page);
/* From a fresh page to vma's own at addr, mapped once, counted in rss too. Leaf lock held, entry not stored yet. */
void quire_page_make_anon(struct quire_vma *vma, struct quire_page *page, quire_uaddr_t addr);

/* Linux's vma_wants_writenotify, whether writable or not: a shared area whose entries get WRITE only from a write fault. */
bool quire_vma_is_tracked(const struct quire_vma *vma);

/* Neither file nor driver: pages are zeroes until written. */
static inline bool quire_vma_is_anonymous(const struct quire_vma *vma)
{
	return !vma->object && !vma->ops && !vma->file;
}

/*
 * A fault that leaves its grace period to call vma->ops keeps the area with a pin. pin: under a grace period; false: not
 * alive any more. wait: by whoever made it DEAD, before ops->close and before the area is freed. May sleep.
 */
bool quire_vma_pin(struct quire_vma *vma);
void quire_vma_unpin(struct quire_vma *vma);
void quire_vma_wait_pins(struct quire_vma *vma);

#endif

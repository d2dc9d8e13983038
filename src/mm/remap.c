/* SPDX-License-Identifier: MIT */
/*
 * mremap(2): a mapping made smaller, larger, moved, or doubled. Called by hosts. Pages are never
 * copied: what moves are the entries of the tables.
 *
 *	shrink     |-----A-----|              |--A--|
 *	grow       |--A--|                    |-----A-----|              if there is room behind it
 *	move       |-----A-----|    |---B---| |-A-|     |A|  |--A'--||B|  FIXED: over what is there
 *	DONTUNMAP  |-----A-----|              |-----a-----|  |--A'--|     a: the same area, empty
 *	several    |-A-| |-B-|-C-|                           |-A'-| |-B'-|-C'-|   FIXED, same length
 *
 * A move is drawn in a plan and made true in one step. Then the areas at both ends are such that
 * no fault makes entries there (gone, or BUSY), the destination is emptied of what was mapped
 * there, the entries are carried over, and only when the old place is gone from every TLB do
 * faults go on at the new one.
 *
 * Linux does all this step by step, and a refusal on the way (a limit, a seal, a driver) leaves
 * done what was done before it: the destination unmapped, some of several areas moved. So it is
 * here; a plan is committed as far as it got. Want of memory leaves everything as it was.
 */
#include <base/string.h>
#include <mm/internal.h>
#include <mm/plan.h>

#define KNOWN_FLAGS (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP)

/* Linux keeps so many areas in hand for the cuts that a move may need. */
#define SPARE_TO_MOVE 3
#define SPARE_TO_UNMAP_FIRST 2

struct remap {
	/* input; of several areas: of the one whose turn it is */
	struct quire_mm *mm;
	quire_uaddr_t addr, new_addr;
	uint64_t old_len, new_len;
	uint32_t flags;
	/* derived */
	struct quire_vma *vma; /* the area of the picture that holds addr */
	struct quire_plan plan;
	quire_uaddr_t source, target; /* entries of [source, moved) go to target and up */
	quire_uaddr_t moved;
	quire_uaddr_t last;	      /* start of the last area whose turn it was */
	quire_uaddr_t emptied;	      /* where what is mapped of [source, emptied) goes has been
				       * unmapped */
	uint64_t target_extra;	      /* and so many bytes behind that */
	quire_uaddr_t tail, tail_end; /* unmapped, since the new length is smaller */
	struct quire_tally come;      /* pages of areas that the plan made */
	uint64_t unlocked;	      /* pages that DONTUNMAP left behind, LOCKED no more */
	bool populate;		      /* LOCKED, and it grows */
	/* reserved */
	int64_t charged; /* pages committed */
};

/* ---- Checks ------------------------------------------------------------------------------ */

/* The caller names a place, or wants one in any case. */
static bool has_target(const struct remap *r)
{
	return (r->flags & (QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP)) != 0;
}

static int check_arguments(const struct remap *r)
{
	uint64_t task_size = r->mm->layout.task_size;

	if ((r->flags & ~KNOWN_FLAGS) || (r->addr & ~QUIRE_PAGE_MASK))
		return -QUIRE_EINVAL;
	if (!r->new_len || r->new_len > task_size)
		return -QUIRE_EINVAL;
	if (!has_target(r))
		return 0;
	if (r->new_addr > task_size - r->new_len || (r->new_addr & ~QUIRE_PAGE_MASK))
		return -QUIRE_EINVAL;
	if (!(r->flags & QUIRE_MREMAP_MAYMOVE))
		return -QUIRE_EINVAL;
	if ((r->flags & QUIRE_MREMAP_DONTUNMAP) && r->old_len != r->new_len)
		return -QUIRE_EINVAL;
	if (r->addr + r->old_len > r->new_addr && r->new_addr + r->new_len > r->addr)
		return -QUIRE_EINVAL;
	return 0;
}

/* May r->vma be resized or moved as asked? */
static int check_area(struct remap *r)
{
	const struct quire_vma *vma = r->vma;
	uint64_t len = r->old_len < r->new_len ? r->old_len : r->new_len;
	uint64_t pages = r->new_len >> QUIRE_PAGE_SHIFT;
	uint64_t pgoff = quire_linear_page_index(vma, r->addr);

	if (vma->flags & QUIRE_VM_SEALED)
		return -QUIRE_EPERM;
	if (!has_target(r) && r->new_len <= r->old_len)
		return 0;
	/* A second view of shared memory; of private memory there is none. */
	if (!r->old_len && !(vma->flags & (QUIRE_VM_SHARED | QUIRE_VM_MAYSHARE)))
		return -QUIRE_EINVAL;
	if ((r->flags & QUIRE_MREMAP_DONTUNMAP) &&
	    (vma->flags & (QUIRE_VM_DONTEXPAND | QUIRE_VM_PFNMAP)))
		return -QUIRE_EINVAL;
	if (len > vma->end - r->addr)
		return -QUIRE_EFAULT;
	if (r->new_len <= r->old_len)
		return 0;
	if (vma->flags & QUIRE_VM_LOCKED)
		r->populate = true;
	if (pgoff + pages < pgoff)
		return -QUIRE_EINVAL;
	if (vma->flags & (QUIRE_VM_DONTEXPAND | QUIRE_VM_PFNMAP))
		return -QUIRE_EFAULT;
	pages = (r->new_len - r->old_len) >> QUIRE_PAGE_SHIFT;
	if (!quire_mlock_ok(r->mm, vma->flags, pages))
		return -QUIRE_EAGAIN;
	return quire_may_expand(r->mm, vma->flags, pages) ? 0 : -QUIRE_ENOMEM;
}

/* Is there no room for SPARE more areas than the picture has? */
static bool too_many_areas(const struct remap *r, uint64_t spare)
{
	uint64_t count = r->plan.mm ? quire_plan_map_count(&r->plan) : r->mm->index.count;

	return count + spare >= r->mm->q->mms.sysctl.max_map_count;
}

/* ---- Charging and counting --------------------------------------------------------------- */

static int charge(struct remap *r, uint64_t bytes)
{
	int64_t pages = (int64_t)(bytes >> QUIRE_PAGE_SHIFT);
	int err;

	if (!(r->vma->flags & QUIRE_VM_ACCOUNT) || !pages)
		return 0;
	err = quire_commit_pages(r->mm, pages);
	if (!err)
		r->charged += pages;
	return err;
}

static void count_new_areas(struct remap *r)
{
	const struct quire_tally *come = &r->come;
	struct quire_mm *mm = r->mm;

	quire_store(&mm->total_vm, mm->total_vm + come->total);
	quire_store(&mm->data_vm, mm->data_vm + come->data);
	quire_store(&mm->exec_vm, mm->exec_vm + come->exec);
	quire_store(&mm->stack_vm, mm->stack_vm + come->stack);
	quire_store(&mm->locked_vm, mm->locked_vm + come->locked - r->unlocked);
}

static void give_up(struct remap *r)
{
	quire_plan_cancel(&r->plan);
	if (r->charged)
		quire_uncommit_pages(r->mm, r->charged);
	r->populate = false;
}

/* ---- Moving, in the picture -------------------------------------------------------------- */

/* A stretch at the destination as merging sees it; file and object are borrowed. */
static void describe_target(const struct remap *r, const struct quire_vma *from,
			    struct quire_vma *proto)
{
	memset(proto, 0, sizeof(*proto));
	proto->mm = r->mm;
	proto->start = r->new_addr;
	proto->end = r->new_addr + r->new_len;
	proto->flags = from->flags;
	proto->pgoff = quire_linear_page_index(from, r->addr);
	/* No page has its number yet: it may be numbered as if it had been mapped there. */
	if (quire_vma_is_anonymous(from) && !from->anon)
		proto->pgoff = r->new_addr >> QUIRE_PAGE_SHIFT;
	proto->file = from->file;
	proto->object = from->object;
	proto->ops = from->ops;
	proto->private_data = from->private_data;
	proto->policy = from->policy;
	proto->anon = from->anon;
	proto->chain = from->chain;
}

/* The area at the destination: a neighbour that grows, or a new one. NULL: no memory. */
static struct quire_vma *draw_target(struct remap *r, const struct quire_vma *from)
{
	struct quire_vma proto, *vma;
	int err;

	describe_target(r, from, &proto);
	vma = quire_plan_merge_new(&r->plan, &proto, &err);
	if (!vma && !err) {
		vma = quire_vma_copy(from);
		if (vma) {
			vma->start = proto.start;
			vma->end = proto.end;
			vma->pgoff = proto.pgoff;
			quire_plan_insert(&r->plan, vma);
			vma->plan_marks |= QUIRE_PLAN_OPEN;
		}
	}
	if (!vma) {
		r->plan.out_of_memory = true;
		return NULL;
	}
	vma->state = QUIRE_VMA_BUSY;
	return vma;
}

/*
 * DONTUNMAP: the old area stays, without pages. It is locked no more, all of it, even if only a
 * part was moved; and if all of it was, its owner went with the pages.
 */
static int draw_emptied_source(struct remap *r, const struct quire_vma *target)
{
	struct quire_vma *vma = quire_plan_take(&r->plan, quire_plan_find(&r->plan, r->addr));

	if (!vma)
		return -QUIRE_ENOMEM;
	if (vma->flags & QUIRE_VM_LOCKED) {
		r->unlocked += quire_vma_pages(vma);
		vma->flags &= ~QUIRE_VM_LOCKED_MASK;
	}
	if (vma != target && vma->anon && vma->start == r->addr && vma->end == r->addr + r->old_len)
		quire_anon_release(r->mm->q, vma);
	vma->state = QUIRE_VMA_BUSY;
	return 0;
}

/* What was promised to the old place stays promised to the new one. */
static int draw_unmapped_source(struct remap *r)
{
	uint64_t accounted = r->plan.gone.accounted;
	int err = quire_plan_unmap(&r->plan, r->addr, r->addr + r->old_len);

	r->plan.gone.accounted = accounted;
	/*
	 * Checked before; a driver that has changed its mind leaves a picture with both places in
	 * it.
	 */
	if (err)
		r->plan.out_of_memory = true;
	return err;
}

/* The driver is asked about both cuts before anything is drawn. */
static int ask_about_cuts(const struct remap *r)
{
	struct quire_vma *vma = r->vma;
	int err = 0;

	if (!vma->ops || !vma->ops->may_split)
		return 0;
	if (vma->start != r->addr)
		err = vma->ops->may_split(vma, r->addr);
	if (!err && vma->end != r->addr + r->old_len)
		err = vma->ops->may_split(vma, r->addr + r->old_len);
	return err;
}

/*
 * r->vma's [addr, addr + old_len) goes to new_addr, whose [.., + new_len) is free in the picture.
 */
static int draw_move(struct remap *r)
{
	bool stays = (r->flags & QUIRE_MREMAP_DONTUNMAP) != 0;
	uint64_t flags = r->vma->flags;
	struct quire_vma *target;
	int err;

	if (too_many_areas(r, SPARE_TO_MOVE))
		return -QUIRE_ENOMEM;
	err = ask_about_cuts(r);
	if (!err)
		err = charge(r, stays ? r->new_len : r->new_len - r->old_len);
	if (err)
		return err;
	r->vma = quire_plan_take(&r->plan, r->vma);
	target = r->vma ? draw_target(r, r->vma) : NULL;
	if (!target)
		return -QUIRE_ENOMEM;
	if (stays)
		err = draw_emptied_source(r, target);
	else if (r->old_len)
		err = draw_unmapped_source(r);
	if (err)
		return err;
	quire_tally_area(&r->come, flags, r->new_len >> QUIRE_PAGE_SHIFT);
	r->moved = r->addr + r->old_len;
	return 0;
}

/* Find the place, and move there. */
static int draw_move_to_place(struct remap *r)
{
	uint32_t map_flags = r->vma->flags & QUIRE_VM_MAYSHARE ? QUIRE_MAP_SHARED : 0;
	int64_t place;

	if (r->flags & QUIRE_MREMAP_FIXED)
		map_flags |= QUIRE_MAP_FIXED;
	place = quire_get_unmapped_area(r->mm, has_target(r) ? r->new_addr : 0, r->new_len,
					r->vma->file, quire_linear_page_index(r->vma, r->addr),
					map_flags, r->vma->flags);
	if (place < 0)
		return (int)place;
	r->new_addr = (quire_uaddr_t)place;
	if (r->addr == r->source)
		r->target = r->new_addr;
	return draw_move(r);
}

/* DONTUNMAP: room under the limits for the area a second time, as the counters would be now? */
static bool may_stay(struct remap *r)
{
	const struct quire_tally *come = &r->come, *gone = &r->plan.gone;
	struct quire_mm *mm = r->mm;

	return quire_may_expand_from(mm, r->vma->flags, mm->total_vm + come->total - gone->total,
				     mm->data_vm + come->data - gone->data,
				     r->old_len >> QUIRE_PAGE_SHIFT);
}

/* What begins at start could not be unmapped: what is drawn so far comes true, and so does the cut. */
static int leave_cut(struct remap *r, quire_uaddr_t start, int err)
{
	if (!r->plan.out_of_memory)
		quire_plan_draw_cut(&r->plan, start);
	return r->plan.out_of_memory ? -QUIRE_ENOMEM : err;
}

/* FIXED and DONTUNMAP: what is in the way goes, what is too much goes, then the rest moves. */
static int draw_move_to_target(struct remap *r)
{
	int err;

	if (r->flags & QUIRE_MREMAP_FIXED) {
		err = quire_plan_unmap(&r->plan, r->new_addr, r->new_addr + r->new_len);
		if (err)
			return leave_cut(r, r->new_addr, err);
		r->last = r->addr;
		r->emptied = r->addr + (r->old_len < r->new_len ? r->old_len : r->new_len);
		r->target_extra = r->old_len < r->new_len ? r->new_len - r->old_len : 0;
	}
	if (r->new_len < r->old_len) {
		err = quire_plan_unmap(&r->plan, r->addr + r->new_len, r->addr + r->old_len);
		if (err)
			return leave_cut(r, r->addr + r->new_len, err);
		r->tail = r->addr + r->new_len;
		r->tail_end = r->addr + r->old_len;
		r->old_len = r->new_len;
	}
	r->vma = quire_plan_find(&r->plan, r->addr);
	/* A second view can be asked for at the very place that it is to be a view of. */
	if (!r->vma || r->vma->start > r->addr)
		return -QUIRE_EFAULT;
	if ((r->flags & QUIRE_MREMAP_DONTUNMAP) && !may_stay(r))
		return -QUIRE_ENOMEM;
	return draw_move_to_place(r);
}

/* ---- Moving, in the tables --------------------------------------------------------------- */

/*
 * Areas that were mapped at [start, end) of the destination are dead: their entries go, and they
 * leave the reverse maps at once, since entries of other areas are about to stand where theirs
 * stood. Tables stay, for those. *next is the first old area that may reach beyond start; calls
 * come in ascending order.
 */
static void empty_target(struct remap *r, quire_uaddr_t start, quire_uaddr_t end,
			 struct quire_list **next)
{
	struct quire_list *head = &r->plan.old, *pos;

	while (*next != head && quire_list_entry(*next, struct quire_vma, plan_link)->end <= start)
		*next = (*next)->next;
	for (pos = *next; pos != head; pos = pos->next) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		if (vma->start >= end)
			break;
		quire_zap_range(r->mm, vma, vma->start > start ? vma->start : start,
				vma->end < end ? vma->end : end, 0);
		quire_object_unlink(vma);
	}
}

/*
 * Where several areas with holes between them go, what is mapped opposite a hole stays. All of
 * them but the last are in plan->old; that one may have failed.
 *
 *	source     |--A--|   |-B-|--C--|
 *	target     |--x--|---|-y-|--z--|    A, B, C are moved; x, y, z of what was there go
 */
static void empty_targets(struct remap *r)
{
	struct quire_list *next = r->plan.old.next, *pos, *tmp;
	const quire_uaddr_t shift = r->target - r->source;

	if (r->emptied + r->target_extra == r->source)
		return;
	quire_list_for_each (pos, tmp, &r->plan.old) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);
		quire_uaddr_t from = vma->start > r->source ? vma->start : r->source;
		quire_uaddr_t to = vma->end < r->last ? vma->end : r->last;

		if (from < to)
			empty_target(r, from + shift, to + shift, &next);
	}
	empty_target(r, r->last + shift, r->emptied + shift + r->target_extra, &next);
}

/* Drivers whose areas move may refuse. They are asked last, when nothing else can fail. */
static int ask_to_move(struct remap *r)
{
	struct quire_list *pos, *tmp;

	if (!r->plan.has_ops)
		return 0;
	quire_list_for_each (pos, tmp, &r->plan.areas) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);
		bool is_source = vma->start < r->moved && r->source < vma->end;
		int err;

		if (vma->state != QUIRE_VMA_BUSY || is_source || !vma->ops || !vma->ops->mremap)
			continue;
		err = vma->ops->mremap(vma);
		if (err)
			return err;
	}
	return 0;
}

static void perform(struct remap *r)
{
	struct quire_pgtable *pt = &r->mm->pt;
	uint64_t span = r->moved - r->source;

	quire_plan_commit(&r->plan);
	count_new_areas(r);
	empty_targets(r);
	if (span)
		quire_tables_move(pt, r->source, r->target, span);
	if (r->tail < r->tail_end)
		quire_plan_zap(&r->plan, r->tail, r->tail_end, QUIRE_ZAP_TRIM);
	/* Pages of a source that is LOCKED no more, in so far as it keeps any. */
	if (r->unlocked)
		quire_plan_mark_locked(&r->plan, 0, UINT64_MAX);
	quire_plan_finish(&r->plan);
	if (span)
		quire_tables_trim(pt, r->source, r->moved);
	if (r->emptied + r->target_extra > r->source)
		quire_tables_trim(pt, r->target,
				  r->target + (r->emptied - r->source) + r->target_extra);
	else if (span)
		quire_tables_trim(pt, r->target, r->target + span);
}

/*
 * BUSY: faults in the areas that will move wait from now on; ALIVE: go on. Tables at the target are reserved for those that the
 * source has at this moment, so it must get none after that. Fence against fence: either we see a table that a
 * fault has made, or the fault, which looks at the area under that table's lock, sees it busy.
 */
static void hold_source(struct remap *r, uint32_t state)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &r->plan.old) {
		struct quire_vma *vma = quire_list_entry(pos, struct quire_vma, plan_link);

		if (vma->start < r->moved && r->source < vma->end)
			quire_store_release(&vma->state, state);
	}
	quire_fence();
}

static int reserve_target(struct remap *r, uint64_t span)
{
	int err;

	hold_source(r, QUIRE_VMA_BUSY);
	err = quire_tables_populate_like(&r->mm->pt, r->source, r->target, span);
	if (!err) {
		err = ask_to_move(r);
		if (err)
			quire_tables_trim(&r->mm->pt, r->target, r->target + span);
	}
	if (err)
		hold_source(r, QUIRE_VMA_ALIVE);
	return err;
}

/* The picture is drawn, or as much of it as err has let. Make it true. */
static int conclude(struct remap *r, int err)
{
	uint64_t span = r->moved - r->source;
	int refused;

	if (r->plan.out_of_memory || (err && !r->plan.end)) {
		give_up(r);
		return err;
	}
	refused = quire_plan_reserve(&r->plan);
	if (!refused && span)
		refused = reserve_target(r, span);
	if (refused) {
		give_up(r);
		return refused;
	}
	perform(r);
	return err;
}

/* ---- The ways to go ---------------------------------------------------------------------- */

static void begin(struct remap *r)
{
	quire_plan_init(&r->plan, r->mm);
	r->source = r->addr;
	r->target = r->new_addr;
	r->moved = r->addr;
	r->emptied = r->addr;
}

static int64_t answer(const struct remap *r, int err)
{
	return err ? err : (int64_t)r->target;
}

/* One area, to where the caller says. */
static int64_t move_one(struct remap *r)
{
	begin(r);
	return answer(r, conclude(r, draw_move_to_target(r)));
}

/* Does the area's file forbid that others are moved along with it? */
static bool moves_alone(const struct quire_vma *vma)
{
	return vma->file && (vma->file->flags & QUIRE_FILE_MOVES_ALONE);
}

/*
 * All areas of [addr, addr + old_len), which may have holes behind the first; each as if it were
 * moved by itself. An error ends it; what came before is moved.
 */
static int64_t move_several(struct remap *r)
{
	const quire_uaddr_t start = r->addr, end = r->addr + r->old_len, target = r->new_addr;
	quire_uaddr_t pos = start;
	int err = -QUIRE_EFAULT;

	begin(r);
	while (pos < end) {
		struct quire_vma *vma = quire_plan_find(&r->plan, pos);

		if (!vma || vma->start >= end || (pos == start && vma->start > start))
			break;
		if (moves_alone(vma) && (pos > start || vma->end < end)) {
			err = -QUIRE_EFAULT;
			break;
		}
		r->vma = vma;
		r->addr = vma->start > pos ? vma->start : pos;
		pos = vma->end < end ? vma->end : end;
		r->old_len = r->new_len = pos - r->addr;
		r->new_addr = target + (r->addr - start);
		err = check_area(r);
		if (!err)
			err = draw_move_to_target(r);
		if (err)
			break;
	}
	return answer(r, conclude(r, err));
}

/* Is what follows the area free for so many bytes? */
static bool has_room_behind(struct remap *r, uint64_t bytes)
{
	quire_uaddr_t end = r->vma->end + bytes;

	if (end < r->vma->end || quire_index_intersection(&r->mm->index, r->vma->end, end))
		return false;
	return quire_get_unmapped_area(r->mm, r->vma->start, end - r->vma->start, NULL, 0,
				       QUIRE_MAP_FIXED, r->vma->flags) >= 0;
}

/* The area grows, and becomes one with its next neighbour if that fits now. */
static int grow_in_place(struct remap *r)
{
	uint64_t bytes = r->new_len - r->old_len;
	struct quire_vma *vma;
	struct quire_vma proto;
	int err = charge(r, bytes);

	if (err)
		return err;
	begin(r);
	vma = quire_plan_take(&r->plan, r->vma);
	if (vma) {
		memset(&proto, 0, sizeof(proto));
		proto.mm = r->mm;
		proto.start = vma->end;
		proto.end = vma->end + bytes;
		proto.flags = vma->flags;
		proto.pgoff = quire_linear_page_index(vma, vma->end);
		proto.file = vma->file;
		proto.object = vma->object;
		proto.ops = vma->ops;
		proto.private_data = vma->private_data;
		proto.policy = vma->policy;
		proto.anon = vma->anon;
		proto.chain = vma->chain;
		vma = quire_plan_merge_new(&r->plan, &proto, &err);
	}
	/* A driver's area may not even be joined by more of itself. */
	if (!vma || quire_plan_reserve(&r->plan)) {
		give_up(r);
		return -QUIRE_ENOMEM;
	}
	quire_tally_area(&r->come, vma->flags, bytes >> QUIRE_PAGE_SHIFT);
	quire_plan_commit(&r->plan);
	count_new_areas(r);
	quire_plan_finish(&r->plan);
	return 0;
}

static int64_t grow(struct remap *r)
{
	int err;

	if (r->vma->end - r->addr == r->old_len && has_room_behind(r, r->new_len - r->old_len)) {
		r->new_addr = r->addr;
		err = grow_in_place(r);
		return err ? err : (int64_t)r->addr;
	}
	if (!(r->flags & QUIRE_MREMAP_MAYMOVE))
		return -QUIRE_ENOMEM;
	begin(r);
	return answer(r, conclude(r, draw_move_to_place(r)));
}

static int64_t remap_locked(struct remap *r)
{
	int err;

	if (has_target(r) && too_many_areas(r, SPARE_TO_MOVE + SPARE_TO_UNMAP_FIRST))
		return -QUIRE_ENOMEM;
	if ((r->flags & QUIRE_MREMAP_FIXED) && r->old_len == r->new_len)
		return move_several(r);
	r->vma = quire_index_find(&r->mm->index, r->addr);
	if (!r->vma || r->vma->start > r->addr)
		return -QUIRE_EFAULT;
	err = check_area(r);
	if (err)
		return err;
	/* As munmap: the tail that goes may reach over holes, not beyond the end of the space. */
	if (r->new_len < r->old_len &&
	    (r->new_len > r->mm->layout.task_size - r->addr ||
	     r->old_len - r->new_len > r->mm->layout.task_size - (r->addr + r->new_len)))
		return -QUIRE_EINVAL;
	if (has_target(r))
		return move_one(r);
	if (r->new_len > r->old_len)
		return grow(r);
	if (r->new_len < r->old_len)
		err = quire_munmap_locked(r->mm, r->addr + r->new_len, r->addr + r->old_len);
	return err ? err : (int64_t)r->addr;
}

int64_t quire_mremap(struct quire_mm *mm, quire_uaddr_t addr, uint64_t old_len, uint64_t new_len,
		     uint32_t flags, quire_uaddr_t new_addr)
{
	struct remap r;
	int64_t place;

	memset(&r, 0, sizeof(r));
	r.mm = mm;
	r.addr = addr;
	r.new_addr = new_addr;
	r.old_len = quire_page_up(old_len);
	r.new_len = quire_page_up(new_len);
	r.flags = flags;
	place = check_arguments(&r);
	if (place)
		return place;

	quire_mutex_lock(mm->q, &mm->lock);
	place = remap_locked(&r);
	quire_mutex_unlock(mm->q, &mm->lock);
	if (place >= 0 && r.populate)
		(void)quire_populate(mm, (quire_uaddr_t)place + r.old_len,
				     (quire_uaddr_t)place + r.new_len, true);
	return place;
}

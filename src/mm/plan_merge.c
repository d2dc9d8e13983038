/* SPDX-License-Identifier: MIT */
/*
 * How areas of a plan become one with their neighbours: at the change of flags of a stretch, and when
 * a new stretch fills a gap. The rules are in src/vma/merge.c; here stands who is asked, in which
 * order, and what becomes of whom. Called by the verbs, under the writer lock.
 *
 * Changing [start, end) of an area M that lies between P and N:
 *
 *	|---P---|*******M*******|---N---|    all of M: with P, with N, with both, or alone
 *	|---P---|****M****---M--|---N---|    its beginning: P grows and M shrinks, or M is cut
 *	|---P---|--M---****M****|---N---|    its end: N grows downwards and M shrinks, or M is cut
 *	|---P---|--M---***---M--|---N---|    its middle: M is cut twice
 */
#include <mm/internal.h>
#include <mm/plan.h>
#include <vma/policy.h>

/* ---- Who wants to ------------------------------------------------------------------------ */

struct partners {
	struct quire_vma *prev, *next; /* NULL: does not merge; else its owner is pinned */
};

/* P, or NULL. */
static struct quire_vma *partner_before(struct quire_plan *plan, const struct quire_span *span)
{
	struct quire_vma *prev = quire_plan_prev(plan, span->start);

	if (!prev || !quire_span_fits_after(span, prev))
		return NULL;
	quire_plan_pin(prev);
	if (quire_owners_fit(prev, span->source))
		return prev;
	quire_plan_unpin(prev);
	return NULL;
}

/* N, or NULL. Both P and N may fit an M without owner and yet have owners that differ: then P has it. */
static struct quire_vma *partner_after(struct quire_plan *plan, const struct quire_span *span,
				       const struct quire_vma *prev)
{
	struct quire_vma *next = quire_plan_next(plan, span->end);
	const struct quire_anon *left, *right;

	if (!next || !quire_span_fits_before(span, next))
		return NULL;
	quire_plan_pin(next);
	left = prev ? quire_vma_owner(prev) : NULL;
	right = quire_vma_owner(next);
	if (quire_owners_fit(next, span->source) && (!left || !right || left == right))
		return next;
	quire_plan_unpin(next);
	return NULL;
}

static struct partners find_partners(struct quire_plan *plan, const struct quire_span *span,
				     bool left, bool right)
{
	struct partners with = {NULL, NULL};

	if (span->flags & QUIRE_VM_SPECIAL)
		return with;
	if (left)
		with.prev = partner_before(plan, span);
	if (right)
		with.next = partner_after(plan, span, with.prev);
	/* Becoming one with both means that N vanishes. */
	if (with.prev && with.next && !quire_vma_may_vanish(with.next)) {
		quire_plan_unpin(with.next);
		with.next = NULL;
	}
	return with;
}

static struct partners part(struct partners with)
{
	if (with.prev)
		quire_plan_unpin(with.prev);
	if (with.next)
		quire_plan_unpin(with.next);
	return (struct partners){NULL, NULL};
}

/* to's pages may now be of from's owner. */
static void inherit_owner(struct quire_vma *to, const struct quire_vma *from)
{
	if (from && !to->anon && quire_vma_owner(from))
		quire_anon_share(to, from);
}

/* ---- A stretch of an area changes -------------------------------------------------------- */

/* What is left of M once P or N has [start, end) of it. -ENOMEM. */
static int shrink(struct quire_plan *plan, struct quire_vma *middle, const struct quire_span *span)
{
	bool whole = span->start == middle->start && span->end == middle->end;

	if (whole) {
		quire_plan_vanish(plan, middle);
		return 0;
	}
	middle = quire_plan_take(plan, middle);
	if (!middle)
		return -QUIRE_ENOMEM;
	if (span->start == middle->start) {
		middle->pgoff = quire_linear_page_index(middle, span->end);
		middle->start = span->end;
	} else {
		middle->end = span->start;
	}
	return 0;
}

/* P takes over [start, end) of M, and N if that fits too. */
static struct quire_vma *join_before(struct quire_plan *plan, struct quire_vma *middle,
				     const struct quire_span *span, struct partners with)
{
	struct quire_vma *joined = quire_plan_take(plan, with.prev);
	quire_uaddr_t end = with.next ? with.next->end : span->end;

	if (!joined)
		return NULL;
	inherit_owner(joined, with.next);
	inherit_owner(joined, middle);
	joined->flags |= (span->flags | (with.next ? with.next->flags : 0)) & QUIRE_VM_STICKY;
	if (shrink(plan, middle, span))
		return NULL;
	if (with.next)
		quire_plan_vanish(plan, with.next);
	joined->end = end;
	return joined;
}

/* N takes over [start, end) of M. */
static struct quire_vma *join_after(struct quire_plan *plan, struct quire_vma *middle,
				    const struct quire_span *span, struct quire_vma *next)
{
	struct quire_vma *joined = quire_plan_take(plan, next);

	if (!joined)
		return NULL;
	inherit_owner(joined, middle);
	joined->flags |= span->flags & QUIRE_VM_STICKY;
	if (shrink(plan, middle, span))
		return NULL;
	joined->start = span->start;
	joined->pgoff = span->pgoff;
	return joined;
}

/* M by itself, cut where it has to be. */
static struct quire_vma *change_alone(struct quire_plan *plan, struct quire_vma *vma,
				      const struct quire_span *span, int *err)
{
	uint64_t max = plan->mm->q->mms.sysctl.max_map_count;

	*err = -QUIRE_ENOMEM;
	if (span->start > vma->start) {
		if (quire_plan_map_count(plan) >= max)
			return NULL;
		vma = quire_plan_take(plan, vma);
		vma = vma ? quire_plan_split(plan, vma, span->start, err) : NULL;
		if (!vma)
			return NULL;
		*err = -QUIRE_ENOMEM;
	}
	if (span->end < vma->end) {
		if (quire_plan_map_count(plan) >= max)
			return NULL;
		vma = quire_plan_take(plan, vma);
		if (!vma || !quire_plan_split(plan, vma, span->end, err))
			return NULL;
	} else {
		vma = quire_plan_take(plan, vma);
		if (!vma)
			return NULL;
	}
	*err = 0;
	vma->flags = span->flags;
	if (vma->policy != span->policy) {
		quire_policy_put(plan->mm->q, vma->policy);
		vma->policy = quire_policy_get(span->policy);
	}
	return vma;
}

static struct quire_vma *modify(struct quire_plan *plan, struct quire_vma *vma, quire_uaddr_t start,
				quire_uaddr_t end, uint64_t flags, struct quire_mempolicy *policy,
				int *err)
{
	const struct quire_span span = {
		.start = start,
		.end = end,
		.flags = flags,
		.pgoff = quire_linear_page_index(vma, start),
		.file = vma->file,
		.ops = vma->ops,
		.private_data = vma->private_data,
		.policy = policy,
		.source = vma,
	};
	bool left = start == vma->start, right = end == vma->end;
	struct quire_vma *joined;
	struct partners with;

	quire_assert(plan->mm->q, vma->start <= start && start < end && end <= vma->end);
	quire_plan_pin(vma);
	with = find_partners(plan, &span, left, right);
	if (left && right && !quire_vma_may_vanish(vma))
		with = part(with);
	if (!with.prev && !with.next) {
		joined = change_alone(plan, vma, &span, err);
		quire_plan_unpin(vma);
		return joined;
	}
	joined = with.prev ? join_before(plan, vma, &span, with)
			   : join_after(plan, vma, &span, with.next);
	*err = 0;
	if (!joined) {
		*err = -QUIRE_ENOMEM;
		part(with);
		quire_plan_unpin(vma);
	}
	return joined;
}

struct quire_vma *quire_plan_modify(struct quire_plan *plan, struct quire_vma *vma,
				    quire_uaddr_t start, quire_uaddr_t end, uint64_t flags,
				    int *err)
{
	return modify(plan, vma, start, end, flags, vma->policy, err);
}

struct quire_vma *quire_plan_modify_policy(struct quire_plan *plan, struct quire_vma *vma,
					   quire_uaddr_t start, quire_uaddr_t end,
					   struct quire_mempolicy *policy, int *err)
{
	return modify(plan, vma, start, end, vma->flags, policy, err);
}

/* ---- A new stretch fills a gap ----------------------------------------------------------- */

static struct quire_vma *merge_new(struct quire_plan *plan, const struct quire_vma *proto,
				   bool right, int *err)
{
	const struct quire_span span = {
		.start = proto->start,
		.end = proto->end,
		.flags = proto->flags,
		.pgoff = proto->pgoff,
		.file = proto->file,
		.ops = proto->ops,
		.private_data = proto->private_data,
		.policy = proto->policy,
		.source = proto,
	};
	struct partners with = find_partners(plan, &span, true, right);
	struct quire_vma *joined;
	quire_uaddr_t end = proto->end;

	*err = 0;
	if (!with.prev && !with.next)
		return NULL;
	joined = quire_plan_take(plan, with.prev ? with.prev : with.next);
	if (!joined) {
		*err = -QUIRE_ENOMEM;
		part(with);
		return NULL;
	}
	quire_plan_cover(plan, proto->start, proto->end);
	joined->flags |= proto->flags & QUIRE_VM_STICKY;
	if (with.prev) {
		inherit_owner(joined, with.next);
		if (with.next) {
			joined->flags |= with.next->flags & QUIRE_VM_STICKY;
			end = with.next->end;
			quire_plan_vanish(plan, with.next);
		}
		joined->end = end;
	} else {
		joined->start = proto->start;
		joined->pgoff = proto->pgoff;
	}
	inherit_owner(joined, proto);
	return joined;
}

struct quire_vma *quire_plan_merge_new(struct quire_plan *plan, const struct quire_vma *proto,
				       int *err)
{
	return merge_new(plan, proto, true, err);
}

struct quire_vma *quire_plan_extend(struct quire_plan *plan, const struct quire_vma *proto,
				    int *err)
{
	return merge_new(plan, proto, false, err);
}

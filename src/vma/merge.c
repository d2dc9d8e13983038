/* SPDX-License-Identifier: MIT */
/*
 * The rules by which neighbouring areas become one: today's Linux's (6.18), as seen in /proc/PID/maps.
 * Called by the plan (src/mm/plan_merge.c), which knows the neighbours; nothing here changes anything.
 *
 * Two stretches agree when their flags, file, operations, private data and policy are the same and the page
 * numbers of the one go on where the other's end. Private anonymous memory has page numbers too
 * (its address when it was mapped), so that a stretch that mremap moved does not agree with whom
 * it now lies beside by chance.
 *
 * Then their owners must fit. An area that was written to has an owner, and after a fork a chain of
 * owners: its own and its ancestors'. One area has one owner, so
 *
 *	both have one    they must be the same
 *	one has one      fine, unless that one has ancestors: joining more memory to a long chain would make
 *	                 every walk of that family longer, for pages that never had to do with it
 *	none has one     fine
 */
#include <vma/area.h>
#include <vma/policy.h>

/* ---- Agreement --------------------------------------------------------------------------- */

static bool agrees(const struct quire_span *span, const struct quire_vma *vma)
{
	return !((vma->flags ^ span->flags) & ~QUIRE_VM_STICKY) && vma->file == span->file &&
	       vma->ops == span->ops && vma->private_data == span->private_data &&
	       quire_policy_equal(vma->policy, span->policy);
}

bool quire_span_fits_after(const struct quire_span *span, const struct quire_vma *prev)
{
	return agrees(span, prev) && prev->pgoff + quire_vma_pages(prev) == span->pgoff;
}

bool quire_span_fits_before(const struct quire_span *span, const struct quire_vma *next)
{
	uint64_t pages = (span->end - span->start) >> QUIRE_PAGE_SHIFT;

	return agrees(span, next) && span->pgoff + pages == next->pgoff;
}

/* ---- Owners ------------------------------------------------------------------------------ */

bool quire_owners_fit(const struct quire_vma *target, const struct quire_vma *source)
{
	const struct quire_anon *to = quire_vma_owner(target);
	const struct quire_anon *from = source ? quire_vma_owner(source) : NULL;

	if (to && from)
		return to == from;
	if (to)
		return !quire_anon_has_ancestors(target);
	if (from)
		return !quire_anon_has_ancestors(source);
	return true;
}

/* ---- Both -------------------------------------------------------------------------------- */

bool quire_can_merge(const struct quire_vma *a, const struct quire_vma *b)
{
	const struct quire_span span = {
		.start = b->start,
		.end = b->end,
		.flags = b->flags,
		.pgoff = b->pgoff,
		.file = b->file,
		.ops = b->ops,
		.private_data = b->private_data,
		.policy = b->policy,
		.source = b,
	};

	return a->end == b->start && !(b->flags & QUIRE_VM_SPECIAL) && quire_vma_may_vanish(b) &&
	       quire_span_fits_after(&span, a) && quire_owners_fit(a, b);
}

/* SPDX-License-Identifier: MIT */
/*
 * Memory policies of shared memory, by page number: whoever maps it, its pages come from where one of those who do has said.
 * Called by mbind (draw, then set: what was drawn cannot fail any more) and whenever such a page is allocated.
 * Source: Linux's Documentation/admin-guide/mm/numa_memory_policy.rst, "Shared Policy".
 */
#include "internal.h"

#include "vma/policy.h"

/* One range more, which follows all there are; there is room. */
static void append(struct quire_shared_policy *shared, uint64_t first, uint64_t end,
		   struct quire_mempolicy *policy)
{
	struct quire_policy_range *last = shared->nr ? &shared->range[shared->nr - 1] : NULL;

	if (first >= end || !policy)
		return;
	if (last && last->end == first && quire_policy_equal(last->policy, policy)) {
		last->end = end;
		return;
	}
	shared->range[shared->nr++] = (struct quire_policy_range){
		.first = first,
		.end = end,
		.policy = quire_policy_get(policy),
	};
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/*
 *	base     |--A--|   |----B----|
 *	policy       |--------C--|
 *	drawn    |-A-|--------C--|-B-|
 */
int quire_shared_policy_draw(struct quire *q, const struct quire_shared_policy *base,
			     uint64_t first, uint64_t end, struct quire_mempolicy *policy,
			     struct quire_shared_policy **drawn)
{
	size_t nr = base ? base->nr : 0, i;
	struct quire_shared_policy *shared;

	*drawn = NULL;
	if (!nr && !policy)
		return 0;
	shared = quire_kmalloc(q, sizeof(*shared) + (nr + 2) * sizeof(shared->range[0]),
			       QUIRE_GFP_KERNEL);
	if (!shared)
		return -QUIRE_ENOMEM;
	memset(shared, 0, sizeof(*shared));
	for (i = 0; i < nr && base->range[i].first < first; i++)
		append(shared, base->range[i].first, smaller(base->range[i].end, first),
		       base->range[i].policy);
	append(shared, first, end, policy);
	/* The last of those may reach beyond the end, too. */
	for (i = i ? i - 1 : 0; i < nr; i++)
		append(shared, larger(base->range[i].first, end), base->range[i].end,
		       base->range[i].policy);
	if (!shared->nr) {
		quire_kfree(q, shared);
		shared = NULL;
	}
	*drawn = shared;
	return 0;
}

void quire_shared_policy_free(struct quire *q, struct quire_shared_policy *shared)
{
	if (!shared)
		return;
	for (size_t i = 0; i < shared->nr; i++)
		quire_policy_put(q, shared->range[i].policy);
	quire_kfree(q, shared);
}

static void free_after_grace(struct quire *q, struct quire_deferred *deferred)
{
	quire_shared_policy_free(
		q, quire_container_of(deferred, struct quire_shared_policy, deferred));
}

void quire_object_set_policy(struct quire_object *object, struct quire_shared_policy *shared)
{
	struct quire_shared_policy *old = object->policies;

	quire_mutex_assert(object->q, &object->q->policies.lock);
	quire_store_release(&object->policies, shared);
	if (old)
		quire_defer(object->q, &old->deferred, free_after_grace);
}

struct quire_mempolicy *quire_object_policy(const struct quire_object *object, uint64_t index)
{
	const struct quire_shared_policy *shared = quire_load_acquire(&object->policies);
	size_t low = 0, high = shared ? shared->nr : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (shared->range[middle].end <= index)
			low = middle + 1;
		else
			high = middle;
	}
	if (!shared || low == shared->nr || index < shared->range[low].first)
		return NULL;
	return shared->range[low].policy;
}

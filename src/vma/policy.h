/* SPDX-License-Identifier: MIT */
/* Memory policies as the rooms that have them use them: areas, objects, the calls. Nothing here is for hosts. */
#ifndef QUIRE_VMA_POLICY_H
#define QUIRE_VMA_POLICY_H

#include <quire/quire.h>

/* ---- Policies (policy.c) ----------------------------------------------------------------- */

/* What a call asks for: mode, flags and mask apart. */
struct quire_policy_request {
	uint32_t mode, flags; /* QUIRE_MPOL_*, QUIRE_MPOL_F_* */
	uint64_t nodes;
};

/* A mask of a system call. -EINVAL. */
int quire_nodemask_parse(const uint64_t *words, uint64_t maxnode, uint64_t *nodes);
/* Mode and mask of a system call, as far as they can be judged by themselves. -EINVAL. */
int quire_policy_parse(struct quire_policy_request *rq, uint32_t mode, const uint64_t *words,
		       uint64_t maxnode);
/* The policy, with one reference; DEFAULT: NULL. -EINVAL, -ENOMEM. */
int quire_policy_make(struct quire *q, const struct quire_policy_request *rq,
		      struct quire_mempolicy **policy);

/* NULL is fine for these. */
struct quire_mempolicy *quire_policy_get(struct quire_mempolicy *policy);
void quire_policy_put(struct quire *q, struct quire_mempolicy *policy);
bool quire_policy_equal(const struct quire_mempolicy *a, const struct quire_mempolicy *b);

/* Nodes with memory: Linux's N_MEMORY. */
uint32_t quire_memory_nodes(struct quire *q);
/* The n-th node of a mask that is not empty, from 0 on, round and round; the next one after prev. */
unsigned quire_nth_node(uint64_t nodes, uint64_t n);
unsigned quire_next_node(uint64_t nodes, unsigned prev);

/* ---- Allocation (policy.c) --------------------------------------------------------------- */

/* Has anybody ever set a policy? If not, quire_page_alloc() is all there is to it. */
static inline bool quire_policies_in_use(struct quire *q)
{
	return quire_unlikely(quire_load(&q->policies.in_use));
}

#define QUIRE_NO_INTERLEAVE_INDEX UINT64_MAX /* interleave where this thread has got to */

/*
 * A page as the policy says, NULL: as the running thread's says. index: the page's number, by which it interleaves. In a grace
 * period, or whoever calls holds the policy. NULL: no memory. Does not sleep.
 */
struct quire_page *quire_page_alloc_policy(struct quire *q, const struct quire_mempolicy *policy,
					   uint64_t index, quire_gfp_t gfp);

/* The policy of an area at addr; NULL: none. In a grace period, in which it is valid, or under the writer lock. */
struct quire_mempolicy *quire_vma_policy(struct quire_vma *vma, quire_uaddr_t addr);

/* ---- Of shared memory, by page number (src/object/shared_policy.c) ----------------------- */

/*
 * Never changes: replaced as a whole under policies.lock, freed after a grace period.
 * Equations: ranges ascend and do not overlap; each is first < end; each has a policy and a reference on it.
 */
struct quire_shared_policy {
	struct quire_deferred deferred;
	size_t nr;
	struct quire_policy_range {
		uint64_t first, end; /* pages */
		struct quire_mempolicy *policy;
	} range[];
};

/* base (NULL: nothing has one) with policy (NULL: none) for [first, end), in *drawn; NULL: nothing has one. -ENOMEM. */
int quire_shared_policy_draw(struct quire *q, const struct quire_shared_policy *base,
			     uint64_t first, uint64_t end, struct quire_mempolicy *policy,
			     struct quire_shared_policy **drawn);
/* One that nobody else has seen. */
void quire_shared_policy_free(struct quire *q, struct quire_shared_policy *shared);
/* The object has this one from now on; policies.lock held. Takes it over. */
void quire_object_set_policy(struct quire_object *object, struct quire_shared_policy *shared);
/* As quire_vma_policy(). */
struct quire_mempolicy *quire_object_policy(const struct quire_object *object, uint64_t index);

#endif

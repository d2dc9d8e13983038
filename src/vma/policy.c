/* SPDX-License-Identifier: MIT */
/*
 * One memory policy: made from what a call asks for, shared by reference, compared (areas whose policies are equal
 * merge), and asked for a page. Called by faults, caches and the calls of src/mm/mempolicy.c. Nothing here sleeps.
 *
 * What a mode means for one page, as Linux has it:
 *
 *	PREFERRED             from its node first, then as near to that as can be
 *	BIND                  from its nodes alone, the nearest to the CPU first
 *	PREFERRED_MANY        as BIND; and if they have none, as if there were no policy
 *	INTERLEAVE            from the node whose turn it is, by the page's number: n-th page, n-th node; else near that one
 *	WEIGHTED_INTERLEAVE   the same, several pages from each node in a row
 *	LOCAL                 from the CPU's node first
 */
#include <base/string.h>
#include <vma/policy.h>

#define MODE_FLAGS                                                                                 \
	(QUIRE_MPOL_F_STATIC_NODES | QUIRE_MPOL_F_RELATIVE_NODES | QUIRE_MPOL_F_NUMA_BALANCING)
#define USER_MASK_FLAGS (QUIRE_MPOL_F_STATIC_NODES | QUIRE_MPOL_F_RELATIVE_NODES)

/* ---- Masks ------------------------------------------------------------------------------- */

uint32_t quire_memory_nodes(struct quire *q)
{
	uint32_t nodes = 0;

	for (unsigned n = 0; n < q->pages.nr_nodes; n++) {
		for (unsigned z = 0; z < QUIRE_NR_ZONES; z++) {
			if (quire_node_zone(q, n, (enum quire_zone_id)z)->managed_pages)
				nodes |= 1u << n;
		}
	}
	return nodes;
}

static unsigned weight(uint64_t nodes)
{
	unsigned n = 0;

	for (; nodes; nodes &= nodes - 1)
		n++;
	return n;
}

unsigned quire_nth_node(uint64_t nodes, uint64_t n)
{
	for (n %= weight(nodes); n; n--)
		nodes &= nodes - 1;
	return quire_ffs64(nodes);
}

unsigned quire_next_node(uint64_t nodes, unsigned prev)
{
	uint64_t above = prev < 63 ? nodes >> (prev + 1) << (prev + 1) : 0;

	return quire_ffs64(above ? above : nodes);
}

/* Node n of the mask is the n-th of those with memory, round and round. */
static uint32_t relative_nodes(uint64_t nodes, uint32_t memory)
{
	uint32_t mask = 0;

	for (; nodes; nodes &= nodes - 1)
		mask |= 1u << quire_nth_node(memory, quire_ffs64(nodes));
	return mask;
}

int quire_nodemask_parse(const uint64_t *words, uint64_t maxnode, uint64_t *nodes)
{
	uint64_t bits = maxnode - 1;

	*nodes = 0;
	if (!bits || !words)
		return 0;
	if (bits > QUIRE_PAGE_SIZE * 8)
		return -QUIRE_EINVAL;
	for (uint64_t i = 0; i * 64 < bits; i++) {
		uint64_t left = bits - i * 64;
		uint64_t word = left < 64 ? words[i] & ((UINT64_C(1) << left) - 1) : words[i];

		if (i == 0)
			*nodes = word;
		else if (word)
			return -QUIRE_EINVAL;
	}
	return 0;
}

/* ---- Made -------------------------------------------------------------------------------- */

int quire_policy_parse(struct quire_policy_request *rq, uint32_t mode, const uint64_t *words,
		       uint64_t maxnode)
{
	rq->flags = mode & MODE_FLAGS;
	rq->mode = mode & ~MODE_FLAGS;
	if (rq->mode >= QUIRE_MPOL_MAX)
		return -QUIRE_EINVAL;
	if ((rq->flags & USER_MASK_FLAGS) == USER_MASK_FLAGS)
		return -QUIRE_EINVAL;
	if ((rq->flags & QUIRE_MPOL_F_NUMA_BALANCING) && rq->mode != QUIRE_MPOL_BIND &&
	    rq->mode != QUIRE_MPOL_PREFERRED_MANY)
		return -QUIRE_EINVAL;
	return quire_nodemask_parse(words, maxnode, &rq->nodes);
}

/* Do mode and nodes go together? */
static bool is_sound(const struct quire_policy_request *rq)
{
	switch (rq->mode) {
	case QUIRE_MPOL_DEFAULT:
		return !rq->nodes;
	case QUIRE_MPOL_LOCAL:
		return !rq->nodes && !(rq->flags & USER_MASK_FLAGS);
	case QUIRE_MPOL_PREFERRED:
		return rq->nodes || !(rq->flags & USER_MASK_FLAGS);
	default:
		return rq->nodes != 0;
	}
}

int quire_policy_make(struct quire *q, const struct quire_policy_request *rq,
		      struct quire_mempolicy **policy)
{
	uint32_t memory = quire_memory_nodes(q), nodes;
	struct quire_mempolicy *new;

	*policy = NULL;
	if (!is_sound(rq))
		return -QUIRE_EINVAL;
	if (rq->mode == QUIRE_MPOL_DEFAULT)
		return 0;
	nodes = rq->flags & QUIRE_MPOL_F_RELATIVE_NODES ? relative_nodes(rq->nodes, memory)
							: (uint32_t)rq->nodes & memory;
	if (rq->nodes && !nodes)
		return -QUIRE_EINVAL;
	new = quire_kmalloc(q, sizeof(*new), QUIRE_GFP_KERNEL);
	if (!new)
		return -QUIRE_ENOMEM;
	new->refs = 1;
	new->mode = (uint16_t)(rq->nodes ? rq->mode : QUIRE_MPOL_LOCAL);
	new->flags = (uint16_t)rq->flags;
	new->nodes = rq->mode == QUIRE_MPOL_PREFERRED ? nodes & -nodes : nodes;
	new->user_nodes = rq->flags ? rq->nodes : 0;
	quire_store(&q->policies.in_use, true);
	*policy = new;
	return 0;
}

struct quire_mempolicy *quire_policy_get(struct quire_mempolicy *policy)
{
	if (policy)
		(void)quire_fetch_add(&policy->refs, 1u);
	return policy;
}

void quire_policy_put(struct quire *q, struct quire_mempolicy *policy)
{
	if (policy && quire_fetch_sub(&policy->refs, 1u) == 1)
		quire_kfree(q, policy);
}

bool quire_policy_equal(const struct quire_mempolicy *a, const struct quire_mempolicy *b)
{
	if (a == b)
		return true;
	return a && b && a->mode == b->mode && a->flags == b->flags && a->nodes == b->nodes &&
	       a->user_nodes == b->user_nodes;
}

/* ---- Of a thread ------------------------------------------------------------------------- */

void quire_task_policy_fork(struct quire_task_policy *child, const struct quire_task_policy *parent)
{
	*child = *parent;
	(void)quire_policy_get(child->policy);
}

void quire_task_policy_exit(struct quire *q, struct quire_task_policy *task)
{
	quire_policy_put(q, task->policy);
	task->policy = NULL;
}

/* ---- A page ------------------------------------------------------------------------------ */

static unsigned node_weight(struct quire *q, unsigned node)
{
	unsigned n = quire_load(&q->policies.weight[node]);

	return n ? n : 1;
}

/* The node of a page by its number, where each node has as many in a row as it weighs. */
static unsigned weighted_node(struct quire *q, uint32_t nodes, uint64_t index)
{
	uint64_t total = 0;
	unsigned node = 0;

	for (uint32_t left = nodes; left; left &= left - 1)
		total += node_weight(q, quire_ffs64(left));
	index %= total;
	for (uint32_t left = nodes; left; left &= left - 1) {
		node = quire_ffs64(left);
		if (index < node_weight(q, node))
			break;
		index -= node_weight(q, node);
	}
	return node;
}

/* The node whose turn it is in this thread. */
static unsigned next_in_turn(struct quire *q, struct quire_task_policy *task)
{
	const struct quire_mempolicy *policy = task->policy;

	if (policy->mode == QUIRE_MPOL_INTERLEAVE) {
		task->il_prev = quire_next_node(policy->nodes, task->il_prev);
	} else {
		if (!task->il_weight) {
			task->il_prev = quire_next_node(policy->nodes, task->il_prev);
			task->il_weight = node_weight(q, task->il_prev);
		}
		task->il_weight--;
	}
	return task->il_prev;
}

static unsigned interleaved_node(struct quire *q, const struct quire_mempolicy *policy,
				 struct quire_task_policy *task, uint64_t index)
{
	if (index == QUIRE_NO_INTERLEAVE_INDEX && task)
		return next_in_turn(q, task);
	return policy->mode == QUIRE_MPOL_INTERLEAVE ? quire_nth_node(policy->nodes, index)
						     : weighted_node(q, policy->nodes, index);
}

struct quire_page *quire_page_alloc_policy(struct quire *q, const struct quire_mempolicy *policy,
					   uint64_t index, quire_gfp_t gfp)
{
	unsigned here = quire_cpu_node(q, quire_port_cpu(q));
	struct quire_task_policy *task = NULL;
	struct quire_page *page;

	if (!policy) {
		task = quire_port_task_policy(q);
		policy = task ? task->policy : NULL;
	}
	switch (policy ? policy->mode : QUIRE_MPOL_LOCAL) {
	case QUIRE_MPOL_PREFERRED:
		return quire_page_alloc_node(q, quire_ffs64(policy->nodes), gfp, 0);
	case QUIRE_MPOL_BIND:
		return quire_page_alloc_mask(q, here, policy->nodes, gfp, 0);
	case QUIRE_MPOL_PREFERRED_MANY:
		/* There is memory elsewhere: nothing is waited for. */
		page = quire_page_alloc_mask(q, here, policy->nodes,
					     (gfp & ~QUIRE_GFP_WAIT) | QUIRE_GFP_NOWARN, 0);
		return page ? page : quire_page_alloc_node(q, here, gfp, 0);
	case QUIRE_MPOL_INTERLEAVE:
	case QUIRE_MPOL_WEIGHTED_INTERLEAVE:
		return quire_page_alloc_interleave(q, interleaved_node(q, policy, task, index), gfp,
						   0);
	default:
		return quire_page_alloc_node(q, here, gfp, 0);
	}
}

struct quire_mempolicy *quire_vma_policy(struct quire_vma *vma, quire_uaddr_t addr)
{
	if (vma->ops && vma->ops->get_policy)
		return vma->ops->get_policy(vma, addr);
	if (vma->object && (vma->object->flags & QUIRE_OBJECT_SHMEM))
		return quire_object_policy(vma->object, quire_linear_page_index(vma, addr));
	return vma->policy;
}

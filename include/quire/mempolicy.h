/* SPDX-License-Identifier: MIT */
/*
 * mempolicy: which nodes the pages of a program come from. An area may have a policy (mbind(2)), shared memory has
 * one by offset (mbind(2) on an area that maps it), a thread has one (set_mempolicy(2)). What has none asks
 * the next of these; in the end a page is from the node of its CPU. Policies choose among nodes only while a page is
 * allocated; what is there moves when a call says so.
 *
 * They are asked for private pages and for pages of caches. What the library allocates for itself is from the node of
 * its CPU.
 *
 * Semantics: mbind(2), set_mempolicy(2), get_mempolicy(2), migrate_pages(2), move_pages(2) and Linux's
 * Documentation/admin-guide/mm/numa_memory_policy.rst, of Linux 6.18 without cpusets: every node with memory is allowed.
 */
#ifndef QUIRE_MEMPOLICY_H
#define QUIRE_MEMPOLICY_H

#include <quire/page.h>

struct quire_mm;
struct quire_vma;

/* ---- Linux's constants ------------------------------------------------------------------- */

#define QUIRE_MPOL_DEFAULT 0u
#define QUIRE_MPOL_PREFERRED 1u
#define QUIRE_MPOL_BIND 2u
#define QUIRE_MPOL_INTERLEAVE 3u
#define QUIRE_MPOL_LOCAL 4u
#define QUIRE_MPOL_PREFERRED_MANY 5u
#define QUIRE_MPOL_WEIGHTED_INTERLEAVE 6u
#define QUIRE_MPOL_MAX 7u

/* With a mode. Of the first two one at most. */
#define QUIRE_MPOL_F_STATIC_NODES (1u << 15)
#define QUIRE_MPOL_F_RELATIVE_NODES (1u << 14)
#define QUIRE_MPOL_F_NUMA_BALANCING (1u << 13) /* with BIND and PREFERRED_MANY; recorded, nothing balances */

/* Of quire_get_mempolicy(). */
#define QUIRE_MPOL_F_NODE 0x1u
#define QUIRE_MPOL_F_ADDR 0x2u
#define QUIRE_MPOL_F_MEMS_ALLOWED 0x4u

/* Of quire_mbind() and quire_move_pages(). */
#define QUIRE_MPOL_MF_STRICT 0x1u
#define QUIRE_MPOL_MF_MOVE 0x2u
#define QUIRE_MPOL_MF_MOVE_ALL 0x4u

#define QUIRE_MAX_NUMNODES 64 /* bits of a node mask that may be set; Linux's figure where not configured otherwise */

/* ---- A policy ---------------------------------------------------------------------------- */

/* Linux's struct mempolicy. Never changes; areas, shared memory and threads hold references. */
struct quire_mempolicy {
	uint32_t refs;       /* atomic */
	uint16_t mode;       /* QUIRE_MPOL_*, not DEFAULT: that is NULL */
	uint16_t flags;      /* QUIRE_MPOL_F_STATIC_NODES... */
	uint32_t nodes;      /* mask; 0 exactly for LOCAL, one node for PREFERRED, each with memory */
	uint64_t user_nodes; /* what was asked for, with one of these flags (Linux: any of them); else 0 */
};

/*
 * One thread's. The host keeps it with its thread, all zeroes at first, and gives it to the library by
 * quire_port_task_policy(). Touched by that thread alone, or by nobody else meanwhile.
 */
struct quire_task_policy {
	struct quire_mempolicy *policy; /* NULL: default; holds a reference */
	uint32_t il_prev;   /* where interleaving without an offset stands: the node of the last page */
	uint32_t il_weight; /* and how many more are to come from it */
};

/* A new thread begins with its creator's policy; child is overwritten. Cannot fail. */
void quire_task_policy_fork(struct quire_task_policy *child, const struct quire_task_policy *parent);
/* The thread ends: default again. Cannot fail. */
void quire_task_policy_exit(struct quire *q, struct quire_task_policy *task);

/* What all instances' policies share. */
struct quire_policies {
	struct quire_mutex lock; /* changes of shared memory's policies; inside the writer lock of a space */
	bool in_use;             /* there was one, of anybody: until then allocations do not ask. Atomic */
	uint8_t weight[QUIRE_NR_NODES]; /* pages in turn for WEIGHTED_INTERLEAVE; 0: 1; the host's to set, before use
					 * (Linux: /sys/kernel/mm/mempolicy/weighted_interleave) */
};

/* ---- System calls ------------------------------------------------------------------------ */

/*
 * A node mask is what the system calls have: an array of words with maxnode - 1 bits that count (Linux: maxnode is one
 * too many), here of 64 bits each and copied from the program by the host. NULL, or no bits: empty. -EINVAL: a bit at
 * QUIRE_MAX_NUMNODES or above, more bits than a page has.
 *
 * A mode takes the flags above. -EINVAL: an unknown mode, STATIC with RELATIVE, NUMA_BALANCING with other modes; nodes with
 * DEFAULT or LOCAL; no nodes with others but PREFERRED, which then means LOCAL; no node of the mask has memory.
 */

/*
 * mbind(2): areas of [addr, addr + len) get the policy; nothing else happens to pages that are there unless flags say
 * so. Areas of shared memory set it for that part of the memory, whoever maps it. -EINVAL: as above, other flags, addr is
 * not a page's, the range wraps. -EPERM: MOVE_ALL without cap_sys_nice. -EFAULT: a hole (with DEFAULT: nothing but a
 * hole). -EIO: with STRICT and neither MOVE, a page lies elsewhere: nothing has changed; with STRICT and one of them, a page
 * could not be moved: the policy is set, all that could be moved has been. -ENOMEM: no memory, nothing has changed; too many
 * areas: those before have the policy. Or what an area's set_policy said: nothing has changed, and areas that were
 * asked before have been told their old policy. MOVE moves pages that this space alone maps, MOVE_ALL others too.
 *
 * Anonymous pages that several spaces map since a fork are not moved: with MOVE_ALL they count as pages that could not be.
 * Pages of caches are unmapped everywhere while they move; other spaces fault them in again.
 */
int quire_mbind(struct quire_mm *mm, quire_uaddr_t addr, uint64_t len, uint32_t mode, const uint64_t *nodemask,
		uint64_t maxnode, uint32_t flags);

/* set_mempolicy(2) for the calling thread. -EINVAL, -ENOMEM: nothing has changed. */
int quire_set_mempolicy(struct quire *q, struct quire_task_policy *task, uint32_t mode, const uint64_t *nodemask,
			uint64_t maxnode);

/*
 * get_mempolicy(2) for the calling thread, of which task is the policy (NULL: it has none). mode, nodemask may be NULL;
 * nodemask's words are written as far as maxnode - 1 bits reach. -EINVAL: unknown flags, MEMS_ALLOWED with others, an
 * address without ADDR, NODE without ADDR where the thread does not interleave, nodemask with maxnode below the
 * number of nodes. -EFAULT: ADDR, and no area there, or with NODE no page that can be read. With NODE and ADDR the page is faulted
 * in. -ENOMEM: no memory for it.
 */
int quire_get_mempolicy(struct quire_mm *mm, const struct quire_task_policy *task, uint32_t *mode, uint64_t *nodemask,
			uint64_t maxnode, quire_uaddr_t addr, uint32_t flags);

/*
 * migrate_pages(2): pages of mm on nodes of the first mask go to the nodes of the second, one for one. The number of pages
 * that could not be moved. -EINVAL: a bad mask, no node of the second has memory. -EPERM: a node of the second
 * has none, and the caller, whose space caller is, lacks cap_sys_nice. -ENOMEM: there a node has no page left; what was
 * moved stays moved. Or what an area's migrate said: nothing has been moved. Whether caller may do that to
 * mm is the host's to know. As MOVE_ALL if caller has cap_sys_nice, else as MOVE.
 */
int64_t quire_migrate_pages(struct quire_mm *caller, struct quire_mm *mm, uint64_t maxnode, const uint64_t *from,
			    const uint64_t *to);

/*
 * move_pages(2): page i, at pages[i], goes to nodes[i]; status[i] says where it is then, or why not: -EACCES (mapped by
 * others too, without MOVE_ALL), -EBUSY (cannot be moved at all), -EFAULT (no area, or the page of zeroes), -ENOENT (no
 * page). nodes NULL: status only. 0; or pages that were not moved, with those that were not tried after them. -EINVAL: other
 * flags than MOVE, MOVE_ALL. -EPERM: MOVE_ALL without cap_sys_nice. -ENODEV: no such node, or one without memory;
 * -ENOMEM: a node has no page left; pages before have been moved, as on Linux.
 */
int64_t quire_move_pages(struct quire_mm *caller, struct quire_mm *mm, uint64_t nr_pages, const quire_uaddr_t *pages,
			 const int *nodes, int *status, uint32_t flags);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * proc: the texts people know from /proc, byte for byte in Linux's layout, written through a
 * callback. May sleep only if the callback does; maps and smaps of a space that is being changed show each area as it
 * was at some moment, in ascending order.
 */
#ifndef QUIRE_PROC_H
#define QUIRE_PROC_H

#include <quire/mm.h>

/* Gets the text in pieces, not terminated. Non-zero stops the writing; that value is returned. */
struct quire_sink {
	int (*emit)(struct quire_sink *sink, const char *text, size_t len);
};

/* /proc/PID/maps. 0, or what the sink said. */
int quire_proc_maps(struct quire_mm *mm, struct quire_sink *sink);
int quire_proc_smaps(struct quire_mm *mm, struct quire_sink *sink);
/* task: the policy of what has none, which does not change meanwhile; NULL: the thread has none. */
int quire_proc_numa_maps(struct quire_mm *mm, const struct quire_task_policy *task, struct quire_sink *sink);
int quire_proc_smaps_rollup(struct quire_mm *mm, struct quire_sink *sink);
int quire_proc_status(struct quire_mm *mm, struct quire_sink *sink); /* the Vm*, Rss* lines (VmPeak: to VmSwap:) */
int quire_proc_statm(struct quire_mm *mm, struct quire_sink *sink);

/*
 * /proc/PID/pagemap: a word for each of n pages from the one around addr on; what has no entry has 0. frames: present pages tell their
 * frame's number in bits 0 to 54, which Linux shows to CAP_SYS_ADMIN alone. n is bounded by how long the caller may stay in a grace
 * period. Words written: n, or less where the task's addresses end. Takes no lock, never sleeps.
 */
#define QUIRE_PM_MMAP_EXCLUSIVE (UINT64_C(1) << 56) /* one entry maps it */
#define QUIRE_PM_GUARD_REGION (UINT64_C(1) << 58)
#define QUIRE_PM_FILE (UINT64_C(1) << 61) /* of a file, or shared memory */
#define QUIRE_PM_SWAP (UINT64_C(1) << 62) /* guards have it, too */
#define QUIRE_PM_PRESENT (UINT64_C(1) << 63)
size_t quire_pagemap(struct quire_mm *mm, quire_uaddr_t addr, size_t n, bool frames, uint64_t *words);

int quire_proc_meminfo(struct quire *q, struct quire_sink *sink);
int quire_proc_buddyinfo(struct quire *q, struct quire_sink *sink);
int quire_proc_unusable_index(struct quire *q, struct quire_sink *sink); /* of /sys/kernel/debug/extfrag */
int quire_proc_extfrag_index(struct quire *q, struct quire_sink *sink);  /* the same */
int quire_proc_zoneinfo(struct quire *q, struct quire_sink *sink);
int quire_proc_slabinfo(struct quire *q, struct quire_sink *sink);

/*
 * /proc/vmallocinfo. A caller is a number, as only the host has names for it. Areas that come or go meanwhile are
 * shown or not; nothing is shown twice, and addresses ascend.
 */
int quire_proc_vmallocinfo(struct quire *q, struct quire_sink *sink);

/*
 * "virtual kernel memory layout:" and a line a part, as Linux's 32-bit kernels print it when they come up; the
 * host's own parts (.init, .data, .text) are the host's to add. -EINVAL: the instance has no kernel address space.
 */
int quire_proc_layout(struct quire *q, struct quire_sink *sink);

/*
 * Of /sys/devices/system/node/nodeN: meminfo and numastat. -EINVAL: there is no such node. On machines of several nodes
 * meminfo looks at every descriptor.
 */
int quire_proc_node_meminfo(struct quire *q, unsigned node, struct quire_sink *sink);
int quire_proc_node_numastat(struct quire *q, unsigned node, struct quire_sink *sink);

/* A page's share is its size divided by its mappers: kept with this many bits behind the point. */
#define QUIRE_PSS_SHIFT 12

/* One area's sums, as smaps counts them; bytes, the proportional ones bytes << QUIRE_PSS_SHIFT. */
struct quire_smaps {
	uint64_t size, rss, shared_clean, shared_dirty, private_clean, private_dirty;
	uint64_t referenced, anonymous, ksm, lazyfree, anon_huge, shmem_pmd, file_pmd;
	uint64_t shared_hugetlb, private_hugetlb, swap;
	uint64_t pss, pss_dirty, pss_anon, pss_file, pss_shmem, swap_pss, locked; /* proportional */
};

/* Add an area's pages to *sums. Reads leaf by leaf under the leaf's lock: exact if the space is quiet. */
void quire_smaps_area(struct quire_vma *vma, struct quire_smaps *sums);

#endif

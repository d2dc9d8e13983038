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
int quire_proc_smaps_rollup(struct quire_mm *mm, struct quire_sink *sink);
int quire_proc_status(struct quire_mm *mm, struct quire_sink *sink); /* the Vm*, Rss* lines (VmPeak: to VmSwap:) */
int quire_proc_statm(struct quire_mm *mm, struct quire_sink *sink);
int quire_proc_meminfo(struct quire *q, struct quire_sink *sink);
int quire_proc_buddyinfo(struct quire *q, struct quire_sink *sink);
int quire_proc_zoneinfo(struct quire *q, struct quire_sink *sink);
int quire_proc_slabinfo(struct quire *q, struct quire_sink *sink);

/* One area's sums, as smaps counts them; bytes. Under a grace period per leaf; exact if the space is quiet. */
struct quire_smaps {
	uint64_t size, rss, pss, pss_dirty, shared_clean, shared_dirty, private_clean, private_dirty;
	uint64_t referenced, anonymous, ksm, lazyfree, anon_huge, shmem_pmd, file_pmd, shared_hugetlb,
		private_hugetlb, swap, swap_pss, locked;
	uint64_t pss_anon, pss_file, pss_shmem;
};
void quire_smaps_area(struct quire_vma *vma, struct quire_smaps *sums);

#endif

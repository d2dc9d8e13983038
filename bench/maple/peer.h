/* SPDX-License-Identifier: MIT */
/* The maple tree as bench/index.c sees it. One tree at a time. */
#ifndef BENCH_MAPLE_PEER_H
#define BENCH_MAPLE_PEER_H

#include <quire/quire.h>

void peer_init(struct quire *q); /* once */
void peer_start(bool rcu);	 /* an empty tree; rcu: readers need no lock, as of Linux 6.4 */
void peer_stop(void);
uint64_t peer_bytes(void); /* of all its nodes; waits for a grace period */

void *peer_find(uint64_t addr); /* as find_vma(): the entry at addr or the next */
void *peer_load(uint64_t addr); /* as vma_lookup(): the entry at addr */
void peer_store(uint64_t start, uint64_t end, void *entry); /* NULL erases; allocates as it goes */
void peer_store_reserved(uint64_t start, uint64_t end,
			 void *entry); /* allocates first, cannot fail after */
uint64_t peer_walk(void);	       /* over all; how many */

#endif

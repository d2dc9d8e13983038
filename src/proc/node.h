/* SPDX-License-Identifier: MIT */
/* What a node's pages are used for, and how texts name a zone. For the files of src/proc/. */
#ifndef QUIRE_PROC_NODE_H
#define QUIRE_PROC_NODE_H

#include "proc/emit.h"

/* Pages; the counters of page.h, of one node. */
struct node_usage {
	uint64_t anon, file, mapped, shmem, dirty, writeback, locked, tables;
	uint64_t slab,
		slab_reclaimable; /* the second is 0 where there are several nodes: not known */
};

void quire_node_usage(struct quire *q, unsigned node, struct node_usage *u);

/* "Node 0, zone   Normal" */
void quire_emit_zone_head(struct emitter *e, const struct quire_zone *zone);

#endif

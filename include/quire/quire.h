/* SPDX-License-Identifier: MIT */
/*
 * Quire: the instance. All state hangs off struct quire; there are no globals, and one process can
 * hold many. Include this header for the whole library.
 */
#ifndef QUIRE_QUIRE_H
#define QUIRE_QUIRE_H

#include <quire/base.h>
#include <quire/errno.h>
#include <quire/highmem.h>
#include <quire/kva.h>
#include <quire/mempolicy.h>
#include <quire/mm.h>
#include <quire/object.h>
#include <quire/page.h>
#include <quire/pgtable.h>
#include <quire/port.h>
#include <quire/proc.h>
#include <quire/slab.h>
#include <quire/types.h>
#include <quire/vma.h>
#include <quire/vmalloc.h>

#define QUIRE_VERSION_MAJOR 0
#define QUIRE_VERSION_MINOR 1
#define QUIRE_VERSION_PATCH 0

/*
 * The host owns this memory and hands it, zeroed, to quire_init(). It may be embedded in a larger
 * struct, but is aligned to a cache line, which malloc() does not promise. Its address never changes afterwards.
 * Fields belong to their rooms.
 */
struct quire {
	void *host;      /* the host's own; set before quire_init() */
	unsigned nr_cpus; /* CPUs that exist, 1..QUIRE_NR_CPUS */
	const struct quire_pgfmt *fmt; /* format of new spaces */
	struct quire_grace grace;
	struct quire_pages pages;
	struct quire_slabs slabs;
	struct quire_pgtable *kernel;  /* the kernel's own tables; NULL: none, see quire_pgtable_init_kernel() */
	struct quire_kva kva;
	struct quire_vmalloc vmalloc;
	struct quire_highmem highmem;
	struct quire_cache index_cache; /* "maple_node" in slabinfo: nodes of the indexes of areas */
	struct quire_cache index_inner_cache; /* "maple_node_inner": their larger nodes */
	struct quire_policies policies;
	struct quire_objects objects;
	struct quire_mms mms;
	uint64_t next_asid;             /* atomic */
};

struct quire_config {
	unsigned nr_cpus;
	const struct quire_pgfmt *fmt;
	const struct quire_range *map; /* see quire_page_init() */
	size_t nr_ranges;
	uint32_t zones;                /* see quire_page_init() */
	quire_paddr_t high_memory;     /* see quire_page_init(); 0: all memory is in the direct map */
	unsigned nr_nodes;             /* nodes of memory or CPUs, 1..QUIRE_NR_NODES; 0: 1 */
	const uint8_t *node_distance;  /* nr_nodes rows of nr_nodes, as in ACPI's SLIT; NULL: 10 to itself, 20 to others */
	const uint8_t *cpu_node;       /* node of each CPU; NULL: CPU n is on node n % nr_nodes, as on Linux */
	const struct quire_kva_layout *kva; /* the kernel's address space; NULL: none. Copied */
};

/*
 * Bring every room up, on one CPU, once. q is zeroed but for q->host. -EINVAL: nr_cpus or the
 * memory map is no good; -ENOMEM: the machine is too small. After an error q may be thrown away.
 */
int quire_init(struct quire *q, const struct quire_config *config);

/* Every space is gone: give the caches back and check that nothing is left. NULL or what is. For tests. */
quire_broken_t quire_exit(struct quire *q);

#include <quire/inline.h>

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Quire: the types every room shares.
 *
 * Addresses are integers with a type of their own, so that a reader sees which world an address
 * belongs to; they are never pointers. Physical and virtual addresses are 64 bits wide in every
 * build: a PAE machine has more physical memory than a 32-bit pointer reaches, and the simulated
 * machine runs 32-bit formats inside a 64-bit process.
 */
#ifndef QUIRE_TYPES_H
#define QUIRE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t quire_uaddr_t; /* user virtual address, bytes */
typedef uint64_t quire_kaddr_t; /* kernel virtual address, bytes */
typedef uint64_t quire_paddr_t; /* physical address, bytes */
typedef uint64_t quire_pfn_t;   /* frame number: physical address >> QUIRE_PAGE_SHIFT */
typedef uint64_t quire_pte_t;   /* one page-table entry as the hardware reads it */

/* Build-time constants. A kernel has one page size; the tests build the library once for each. */
#ifndef QUIRE_PAGE_SHIFT
#define QUIRE_PAGE_SHIFT 12
#endif
#define QUIRE_PAGE_SIZE (UINT64_C(1) << QUIRE_PAGE_SHIFT)
#define QUIRE_PAGE_MASK (~(QUIRE_PAGE_SIZE - 1))

/* Most CPUs one instance can serve. CPU numbers run from 0 to nr_cpus - 1. */
#ifndef QUIRE_NR_CPUS
#define QUIRE_NR_CPUS 64
#endif

/* Most nodes of memory one instance can have, 1..8: a page's descriptor says in three bits which is its own. */
#ifndef QUIRE_NR_NODES
#define QUIRE_NR_NODES 8
#endif

/* 1: assertions, poison, red zones and lock owners are compiled in. 0: none of them costs anything. */
#ifndef QUIRE_DEBUG
#define QUIRE_DEBUG 0
#endif

#define QUIRE_CACHELINE 64

static inline uint64_t quire_page_down(uint64_t a)
{
	return a & QUIRE_PAGE_MASK;
}

/* Wraps to 0 for an address in the last page: callers check for that, as Linux's PAGE_ALIGN users do. */
static inline uint64_t quire_page_up(uint64_t a)
{
	return (a + QUIRE_PAGE_SIZE - 1) & QUIRE_PAGE_MASK;
}

#define quire_container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define QUIRE_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define quire_likely(x) __builtin_expect(!!(x), 1)
#define quire_unlikely(x) __builtin_expect(!!(x), 0)

struct quire;

#endif

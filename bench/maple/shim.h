/* SPDX-License-Identifier: MIT */
/*
 * What Linux's maple tree wants from the kernel around it, in user space, on top of Quire's own
 * object caches and grace periods: so both trees of the benchmark pay the same for memory. Stands
 * in for each header that lib/maple_tree.c includes (see unpack.py). Everything here is our own.
 */
#ifndef BENCH_MAPLE_SHIM_H
#define BENCH_MAPLE_SHIM_H

#include <quire/quire.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Words ------------------------------------------------------------------------------- */

#if UINTPTR_MAX > UINT32_MAX
#define CONFIG_64BIT 1
#define BITS_PER_LONG 64
#else
#define BITS_PER_LONG 32
#endif

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef struct {
	int counter;
} atomic_t;
typedef unsigned gfp_t;

#define __rcu
#define __init
#define __must_hold(x)
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define fallthrough __attribute__((fallthrough))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define EXPORT_SYMBOL(x) _Static_assert(1, #x)
#define EXPORT_SYMBOL_GPL(x) _Static_assert(1, #x)

#define U8_MAX UINT8_MAX
#define min(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ < b_ ? a_ : b_;                                                                 \
	})
#define max(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ > b_ ? a_ : b_;                                                                 \
	})
#define swap(a, b)                                                                                 \
	do {                                                                                       \
		__typeof__(a) a_ = (a);                                                            \
		(a) = (b);                                                                         \
		(b) = a_;                                                                          \
	} while (0)
#define DIV_ROUND_UP(a, b) (((a) + (b)-1) / (b))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) quire_container_of(ptr, type, member)

#define pr_err(...) fprintf(stderr, __VA_ARGS__)
#define pr_info(...) fprintf(stderr, __VA_ARGS__)
#define pr_cont(...) fprintf(stderr, __VA_ARGS__)

#define BUG_ON(cond)                                                                               \
	do {                                                                                       \
		if (unlikely(cond))                                                                \
			abort();                                                                   \
	} while (0)
#define WARN_ON(cond)                                                                              \
	({                                                                                         \
		bool bad_ = (cond);                                                                \
		if (unlikely(bad_))                                                                \
			abort();                                                                   \
		bad_;                                                                              \
	})
#define WARN_ON_ONCE(cond) WARN_ON(cond)

#define MAX_ERRNO 4095

/* ---- Order ------------------------------------------------------------------------------- */

#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/* ---- Locks and grace periods ------------------------------------------------------------- */

/*
 * One thread: the benchmark enters a grace period, or holds the writer's place, around many calls.
 */
typedef struct {
} spinlock_t;
#define __SPIN_LOCK_UNLOCKED(x)                                                                    \
	{                                                                                          \
	}
#define spin_lock_init(l) ((void)(l))
#define spin_lock(l) ((void)(l))
#define spin_unlock(l) ((void)(l))
#define lockdep_is_held(l) 1
#define rcu_read_lock() ((void)0)
#define rcu_read_unlock() ((void)0)
#define rcu_dereference_check(p, cond) __atomic_load_n(&(p), __ATOMIC_CONSUME)
#define rcu_dereference_protected(p, cond) (p)
#define rcu_assign_pointer(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELEASE)
#define RCU_INIT_POINTER(p, v) ((p) = (v))

struct rcu_head {
	struct quire_deferred deferred;
	void (*func)(struct rcu_head *head);
};

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

/* ---- Memory ------------------------------------------------------------------------------ */

#define GFP_KERNEL 1u
#define GFP_NOWAIT 0u
#define __GFP_NOWARN 0u
#define __GFP_ZERO 2u
#define SLAB_PANIC 0u

static inline bool gfpflags_allow_blocking(gfp_t gfp)
{
	return gfp & GFP_KERNEL;
}

struct kmem_cache;
struct kmem_cache *kmem_cache_create(const char *name, unsigned size, unsigned align,
				     unsigned flags, void (*ctor)(void *));
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
size_t kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t n, void **objects);
void kmem_cache_free(struct kmem_cache *cache, void *object);
void kmem_cache_free_bulk(struct kmem_cache *cache, size_t n, void **objects);

/* ---- Entries that are no pointers -------------------------------------------------------- */

/* Binary ...10: internal. Small ones have meanings of their own, the topmost are errnos. */
static inline void *xa_mk_internal(unsigned long v)
{
	return (void *)(v << 2 | 2);
}

static inline bool xa_is_internal(const void *entry)
{
	return ((unsigned long)entry & 3) == 2;
}

static inline unsigned long xa_to_internal(const void *entry)
{
	return (unsigned long)entry >> 2;
}

#define XA_RETRY_ENTRY xa_mk_internal(256)
#define XA_ZERO_ENTRY xa_mk_internal(257)

static inline bool xa_is_zero(const void *entry)
{
	return unlikely(entry == XA_ZERO_ENTRY);
}

static inline bool xa_is_node(const void *entry)
{
	return xa_is_internal(entry) && (unsigned long)entry > 4096;
}

static inline bool xa_is_advanced(const void *entry)
{
	return xa_is_internal(entry) && (unsigned long)entry <= (unsigned long)XA_RETRY_ENTRY;
}

static inline bool xa_is_err(const void *entry)
{
	return unlikely(xa_is_internal(entry) &&
			(unsigned long)entry >= (unsigned long)xa_mk_internal(-MAX_ERRNO));
}

static inline int xa_err(void *entry)
{
	return xa_is_err(entry) ? (int)((long)entry >> 2) : 0;
}

static inline bool xa_is_value(const void *entry)
{
	return (unsigned long)entry & 1;
}

static inline unsigned long xa_to_value(const void *entry)
{
	return (unsigned long)entry >> 1;
}

static inline void *xa_mk_value(unsigned long v)
{
	return (void *)(v << 1 | 1);
}

/* ---- Tracing ----------------------------------------------------------------------------- */

#define tracepoint_string(s) (s)
#define trace_ma_op(...) ((void)0)
#define trace_ma_read(...) ((void)0)
#define trace_ma_write(...) ((void)0)

#endif

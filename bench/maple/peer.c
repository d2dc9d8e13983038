/* SPDX-License-Identifier: MIT */
/*
 * The peer of the index's benchmark: Linux's maple tree, compiled from the kernel's source as
 * Debian packages it (unpack.py), used as Linux's memory manager uses it. bench/index.c calls this.
 */
#include "shim.h"

#include "peer.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wpedantic"
#include "lib/maple_tree.c"
#pragma GCC diagnostic pop

static struct quire *instance;
static struct quire_cache nodes;
static struct maple_tree tree;

/* ---- shim.h's functions ---------------------------------------------------------------- */

static void run_rcu(struct quire *q, struct quire_deferred *d)
{
	struct rcu_head *head = quire_container_of(d, struct rcu_head, deferred);

	(void)q;
	head->func(head);
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	quire_defer(instance, &head->deferred, run_rcu);
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned size, unsigned align,
				     unsigned flags, void (*ctor)(void *))
{
	(void)flags;
	if (quire_cache_create(instance, &nodes, name, size, align, 0, ctor))
		abort();
	return (struct kmem_cache *)&nodes;
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	return quire_cache_alloc(instance, (struct quire_cache *)cache,
				 gfp & __GFP_ZERO ? QUIRE_GFP_ZERO : 0);
}

size_t kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t n, void **objects)
{
	size_t i;

	for (i = 0; i < n; i++) {
		objects[i] = kmem_cache_alloc(cache, gfp);
		if (!objects[i])
			abort();
	}
	return n;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	quire_cache_free(instance, (struct quire_cache *)cache, object);
}

void kmem_cache_free_bulk(struct kmem_cache *cache, size_t n, void **objects)
{
	while (n--)
		kmem_cache_free(cache, objects[n]);
}

/* ---- What the benchmark calls ------------------------------------------------------------ */

void peer_init(struct quire *q)
{
	instance = q;
	maple_tree_init();
}

/*
 * Linux 6.1 sets MT_FLAGS_ALLOC_RANGE for its spaces, and later ones MT_FLAGS_USE_RCU too, for
 * readers without a lock.
 */
void peer_start(bool rcu)
{
	mt_init_flags(&tree, MT_FLAGS_ALLOC_RANGE | (rcu ? MT_FLAGS_USE_RCU : 0));
}

void peer_stop(void)
{
	mtree_destroy(&tree);
}

uint64_t peer_bytes(void)
{
	struct quire_cache_stat stat;

	quire_grace_wait(instance);
	quire_cache_stat(instance, &nodes, &stat);
	return stat.active_objects * sizeof(struct maple_node);
}

void *peer_find(uint64_t addr)
{
	unsigned long index = addr;

	return mt_find(&tree, &index, ULONG_MAX);
}

void *peer_load(uint64_t addr)
{
	return mtree_load(&tree, addr);
}

void peer_store(uint64_t start, uint64_t end, void *entry)
{
	MA_STATE(mas, &tree, start, end - 1);

	if (mas_store_gfp(&mas, entry, GFP_KERNEL))
		abort();
}

void peer_store_reserved(uint64_t start, uint64_t end, void *entry)
{
	MA_STATE(mas, &tree, start, end - 1);

	if (mas_preallocate(&mas, entry, GFP_KERNEL))
		abort();
	mas_store_prealloc(&mas, entry);
}

uint64_t peer_walk(void)
{
	MA_STATE(mas, &tree, 0, 0);
	uint64_t n = 0;

	while (mas_find(&mas, ULONG_MAX))
		n++;
	return n;
}

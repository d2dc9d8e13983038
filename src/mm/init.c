/* SPDX-License-Identifier: MIT */
/*
 * Bringing the library up and down: the rooms in their order, the caches of this one, and the
 * settings that a fresh instance has. Called by hosts, once each; nothing here runs afterwards.
 */
#include <base/string.h>
#include <mm/internal.h>

/* Linux's figures for two of the settings: a 32nd of what is free at boot, capped. */
static uint64_t boot_share_kbytes(struct quire *q, uint64_t most)
{
	uint64_t share = (quire_free_pages(q) << (QUIRE_PAGE_SHIFT - 10)) / 32;

	return share < most ? share : most;
}

int quire_mms_init(struct quire *q)
{
	struct quire_mms *mms = &q->mms;
	int err;

	err = quire_cache_create(q, &mms->mm_cache, "mm_struct", sizeof(struct quire_mm),
				 QUIRE_CACHELINE, QUIRE_SLAB_HWCACHE_ALIGN, NULL);
	if (err)
		return err;
	err = quire_cache_create(q, &mms->vma_cache, "vm_area_struct", sizeof(struct quire_vma), 0,
				 0, NULL);
	if (err)
		return err;
	mms->lock = (struct quire_mutex)QUIRE_MUTEX_INIT;
	quire_list_init(&mms->spaces);
	q->policies.lock = (struct quire_mutex)QUIRE_MUTEX_INIT;
	q->objects.zap = quire_zap_object;
	q->objects.wrprotect = quire_wrprotect_object;
	mms->committed = 0;
	mms->sysctl = (struct quire_sysctl){
		.max_map_count = 65530,
		.overcommit_memory = 0,
		.overcommit_ratio = 50,
		.overcommit_kbytes = 0,
		.admin_reserve_kbytes = boot_share_kbytes(q, 8192),
		.user_reserve_kbytes = boot_share_kbytes(q, 131072),
		.mmap_min_addr = 65536,
		.dac_mmap_min_addr = 4096,
		.stack_guard_gap = 256 * QUIRE_PAGE_SIZE,
		.overcommit_total_pages = 0,
		.anon_align = UINT64_C(1) << q->fmt->shift[1],
		.populate_disabled = false,
		.thp_available = true,
		.ksm_available = true,
	};
	return 0;
}

int quire_init(struct quire *q, const struct quire_config *config)
{
	int err;

	if (!config->nr_cpus || config->nr_cpus > QUIRE_NR_CPUS || !config->fmt)
		return -QUIRE_EINVAL;
	q->nr_cpus = config->nr_cpus;
	q->fmt = config->fmt;
	quire_grace_init(q);
	err = quire_page_init(q, config);
	if (err)
		return err;
	err = quire_slab_init(q);
	if (err)
		return err;
	quire_slab_shrink_all(q);
	q->mms.boot_free_pages = quire_free_pages(q);
	if (config->kva) {
		err = quire_kva_init(q, config->kva);
		if (!err)
			err = quire_highmem_init(q);
		if (!err)
			err = quire_vmalloc_init(q);
		if (err)
			return err;
	}
	err = quire_index_init_instance(q);
	if (err)
		return err;
	err = quire_objects_init(q);
	if (err)
		return err;
	return quire_mms_init(q);
}

quire_broken_t quire_exit(struct quire *q)
{
	struct quire_cache *const caches[] = {
		&q->mms.vma_cache,	 &q->mms.mm_cache,	 &q->objects.chain_cache,
		&q->objects.anon_cache,	 &q->objects.file_cache, &q->objects.object_cache,
		&q->objects.radix_cache, &q->index_cache,	 &q->index_inner_cache,
	};
	static const quire_broken_t left[] = {
		"exit: no area is left",
		"exit: no space is left",
		"exit: no chain of owners is left",
		"exit: no owner is left",
		"exit: no file made here is left",
		"exit: no object made here is left",
		"exit: no page cache is left",
		"exit: no index node is left",
		"exit: no inner index node is left",
	};
	quire_broken_t broken;

	if (!quire_list_empty(&q->mms.spaces))
		return "exit: every space is gone";
	quire_grace_wait(q);
	if (quire_load(&q->mms.committed))
		return "exit: committed == 0 without spaces";
	broken = quire_vmalloc_exit(q);
	if (broken)
		return broken;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(caches); i++) {
		if (quire_cache_destroy(q, caches[i]))
			return left[i];
	}
	broken = quire_slab_check(q);
	if (broken)
		return broken;
	broken = quire_kva_check(q);
	if (broken)
		return broken;
	broken = quire_highmem_check(q);
	if (broken)
		return broken;
	quire_highmem_exit(q);
	quire_kva_exit(q);
	quire_slab_shrink_quiet(q);
	quire_page_drain(q);
	broken = quire_page_check(q);
	if (broken)
		return broken;
	if (quire_free_pages(q) != q->mms.boot_free_pages)
		return "exit: as many pages are free as after boot";
	return NULL;
}

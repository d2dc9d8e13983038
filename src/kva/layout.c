/* SPDX-License-Identifier: MIT */
/*
 * Where things are in the kernel's part of the address space: Linux's figures, format by format. Called
 * before an instance exists; touches no table.
 */
#include "internal.h"

/*
 * 64 bits: Documentation/arch/x86/x86_64/mm.rst ("direct mapping of all physical memory", "vmalloc/ioremap
 * space"), Documentation/arch/arm64/memory.rst, Documentation/arch/riscv/vm-layout.rst. The fixmap of x86-64
 * ends one page below the next 2 MiB behind the vsyscall page. AArch64: Linux 6.1's, 256 MiB and 32 MiB below the array of
 * page descriptors, 64 bytes for each page of 2^48 bytes, which ends with the address space.
 */
static const struct {
	const struct quire_pgfmt *fmt;
	quire_kaddr_t page_offset, direct_end, vmalloc_start, vmalloc_end, fixaddr_top;
} wide[] = {
	{&quire_pgfmt_x86_64, 0xffff888000000000, 0xffffc88000000000, 0xffffc90000000000,
	 0xffffe90000000000, 0xffffffffff7ff000},
	{&quire_pgfmt_x86_64_5level, 0xff11000000000000, 0xff91000000000000, 0xffa0000000000000,
	 0xffd2000000000000, 0xffffffffff7ff000},
	{&quire_pgfmt_aarch64, 0xffff000000000000, 0xffff800000000000, 0xffff800080000000,
	 0xfffffbfff0000000, 0xfffffbfffe000000},
	{&quire_pgfmt_aarch64_16k, 0xffff000000000000, 0xffff800000000000, 0xffff800080000000,
	 0xfffffefff0000000, 0xfffffefffe000000},
	{&quire_pgfmt_aarch64_64k, 0xffff000000000000, 0xffff800000000000, 0xffff800080000000,
	 0xffffffbff0000000, 0xffffffbffe000000},
	{&quire_pgfmt_sv39, 0xffffffd600000000, 0xfffffff600000000, 0xffffffc600000000,
	 0xffffffd600000000, 0xffffffc4ff000000},
	{&quire_pgfmt_sv48, 0xffffaf8000000000, 0xffffef8000000000, 0xffff8f8000000000,
	 0xffffaf8000000000, 0xffff8d7fff000000},
	{&quire_pgfmt_sv57, 0xff60000000000000, 0xffe0000000000000, 0xff20000000000000,
	 0xff60000000000000, 0xff1bffffff000000},
};

/* 32 bits: the last page is nobody's. */
#define FIXADDR_TOP_32 UINT64_C(0xfffff000)

/* Slots are pages of the format's, which need not be this build's: a layout can be looked at without tables. */
static quire_kaddr_t fixaddr_start(const struct quire_pgfmt *fmt, quire_kaddr_t top, unsigned nr_cpus)
{
	return top - ((uint64_t)(QUIRE_FIX_KMAP_BEGIN + QUIRE_KM_SLOTS * nr_cpus) << fmt->shift[0]);
}

static int init_wide(struct quire_kva_layout *l, const struct quire_pgfmt *fmt,
		     quire_paddr_t direct_end, unsigned nr_cpus)
{
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(wide); i++) {
		if (wide[i].fmt != fmt)
			continue;
		if (direct_end > wide[i].direct_end - wide[i].page_offset)
			return -QUIRE_EINVAL;
		l->page_offset = wide[i].page_offset;
		l->high_memory = l->page_offset + direct_end;
		l->vmalloc_start = wide[i].vmalloc_start;
		l->vmalloc_end = wide[i].vmalloc_end;
		l->fixaddr_top = wide[i].fixaddr_top;
		l->fixaddr_start = fixaddr_start(fmt, l->fixaddr_top, nr_cpus);
		return 0;
	}
	return -QUIRE_EINVAL;
}

static int init_32(struct quire_kva_layout *l, const struct quire_pgfmt *fmt,
		   quire_paddr_t direct_end, bool highmem, unsigned nr_cpus)
{
	const uint64_t page = UINT64_C(1) << fmt->shift[0], leaf = UINT64_C(1) << fmt->shift[1];
	quire_kaddr_t end;

	l->page_offset = fmt->user_end;
	l->high_memory =
		l->page_offset + (direct_end < QUIRE_LOWMEM_MAX ? direct_end : QUIRE_LOWMEM_MAX);
	l->fixaddr_top = FIXADDR_TOP_32;
	l->fixaddr_start = end = fixaddr_start(fmt, l->fixaddr_top, nr_cpus);
	if (highmem) {
		/* One leaf table's worth, and a page between it and the fixmap. */
		l->nr_pkmaps = (uint32_t)(leaf / page);
		l->pkmap_base = end = (end - page - leaf) & ~(leaf - 1);
	}
	l->vmalloc_start =
		(l->high_memory + 2 * QUIRE_VMALLOC_OFFSET - 1) & ~(QUIRE_VMALLOC_OFFSET - 1);
	l->vmalloc_end = end - 2 * page;
	return l->vmalloc_start < l->vmalloc_end ? 0 : -QUIRE_EINVAL;
}

int quire_kva_layout_init(struct quire_kva_layout *layout, const struct quire_pgfmt *fmt,
			  quire_paddr_t direct_end, bool highmem, unsigned nr_cpus)
{
	const bool is_32 = fmt->va_bits == 32;
	struct quire_kva_layout l = {0};
	int err;

	direct_end &= ~((UINT64_C(1) << fmt->shift[0]) - 1);
	if (!direct_end || !nr_cpus || nr_cpus > QUIRE_NR_CPUS || (highmem && !is_32))
		return -QUIRE_EINVAL;
	err = is_32 ? init_32(&l, fmt, direct_end, highmem, nr_cpus)
		    : init_wide(&l, fmt, direct_end, nr_cpus);
	if (err)
		return err;
	l.large_levels = fmt->large_levels & 1u << 1;
	*layout = l;
	return 0;
}

/* ---- Check ------------------------------------------------------------------------------- */

/* The parts as ranges, in whatever order; one that is not there is empty. */
static void parts_of(const struct quire_kva_layout *l,
		     struct quire_kva_part part[QUIRE_NR_KVA_PARTS])
{
	part[QUIRE_KVA_DIRECT] = (struct quire_kva_part){l->page_offset, l->high_memory};
	part[QUIRE_KVA_VMALLOC] = (struct quire_kva_part){l->vmalloc_start, l->vmalloc_end};
	part[QUIRE_KVA_PKMAP] = (struct quire_kva_part){
		l->pkmap_base, l->pkmap_base + ((uint64_t)l->nr_pkmaps << QUIRE_PKMAP_SHIFT)};
	part[QUIRE_KVA_FIXMAP] = (struct quire_kva_part){l->fixaddr_start, l->fixaddr_top};
}

bool quire_kva_overlaps(const struct quire_kva_layout *layout, quire_kaddr_t start,
			quire_kaddr_t end)
{
	struct quire_kva_part part[QUIRE_NR_KVA_PARTS];
	unsigned i;

	parts_of(layout, part);
	for (i = 0; i < QUIRE_NR_KVA_PARTS; i++) {
		if (part[i].start < part[i].end && start < part[i].end && part[i].start < end)
			return true;
	}
	return false;
}

quire_broken_t quire_kva_layout_check(const struct quire_kva_layout *l,
				      const struct quire_pgfmt *fmt, unsigned nr_cpus)
{
	struct quire_kva_part part[QUIRE_NR_KVA_PARTS];
	quire_kaddr_t lowest, end;
	unsigned i, k;

	quire_kernel_range(fmt, &lowest, &end);
	parts_of(l, part);
	if (l->page_offset < fmt->user_end)
		return "kva: user_end <= page_offset";
	if (l->high_memory <= l->page_offset)
		return "kva: the direct map is not empty";
	if ((l->nr_pkmaps == 0) != (l->pkmap_base == 0) || (l->nr_pkmaps & (l->nr_pkmaps - 1)) != 0)
		return "kva: pkmaps are a power of two, or none";
	if (l->pkmap_base & ((UINT64_C(1) << fmt->shift[1]) - 1))
		return "kva: pkmap_base is aligned to what one leaf table covers";
	if (l->fixaddr_start > fixaddr_start(fmt, l->fixaddr_top, nr_cpus))
		return "kva: the fixmap has slots for every CPU";
	if (l->vmalloc_start >= l->high_memory &&
	    l->vmalloc_start - l->high_memory < QUIRE_VMALLOC_OFFSET)
		return "kva: vmalloc_start >= high_memory + QUIRE_VMALLOC_OFFSET";
	if (l->large_levels & ~(uint32_t)fmt->large_levels)
		return "kva: large leaves only at levels where the format has them";
	for (i = 0; i < QUIRE_NR_KVA_PARTS; i++) {
		if (i == QUIRE_KVA_PKMAP && !l->nr_pkmaps)
			continue;
		if (part[i].start >= part[i].end || part[i].start < lowest || part[i].end > end ||
		    ((part[i].start | part[i].end) & ((UINT64_C(1) << fmt->shift[0]) - 1)))
			return "kva: every part is whole pages of the kernel's addresses";
		for (k = 0; k < i; k++) {
			if (part[k].start < part[i].end && part[i].start < part[k].end)
				return "kva: no two parts overlap";
		}
	}
	return NULL;
}

/* SPDX-License-Identifier: MIT */
/*
 * kva: kernel virtual addresses. Where the kernel's part of the address space begins and what lies
 * in it, the kernel's own page tables, and the rights of its memory. What is allocated in it stands
 * in a header of its own: highmem.h (kmaps and the fixmap).
 *
 * A 32-bit kernel has one gigabyte for itself, less than there may be memory:
 *
 *	4 GiB      +------------------+
 *	           | a page of nobody |
 *	FIXADDR_TOP+------------------+
 *	           |      fixmap      |   fixed slots; a few for each CPU's temporary kmaps
 *	FIXADDR_START-----------------+
 *	           |   (alignment)    |
 *	           +------------------+
 *	           |      pkmap       |   512 (PAE) or 1024 pages of high memory, mapped on demand
 *	PKMAP_BASE +------------------+
 *	           |    two pages     |
 *	VMALLOC_END+------------------+
 *	           |   vmalloc area   |   vmalloc, vmap, ioremap
 *	VMALLOC_START-----------------+
 *	           |  8 MiB of guard  |
 *	high_memory+------------------+
 *	           |    direct map    |   the first 896 MiB of physical memory, or all that there is
 *	PAGE_OFFSET+------------------+
 *	3 GiB      |   user space     |
 *
 * A 64-bit kernel has room for all of memory, and neither high memory nor pkmap. Figures are
 * Linux's: Documentation/arch/x86/x86_64/mm.rst, Documentation/arch/arm64/memory.rst,
 * Documentation/arch/riscv/vm-layout.rst; for 32 bits those that Linux prints at boot.
 *
 * The host comes up with tables of its own, lets quire_kva_init() make the kernel's, adds what it
 * needs itself (its image: quire_kernel_map()), and loads quire_kernel_root() from then on. An instance
 * without a layout (quire_config.kva NULL) has none of this and costs nothing.
 *
 * Addresses are numbers (quire_kaddr_t); a pointer through which this CPU uses one comes from
 * quire_kaddr_to_ptr(), which is a cast in a kernel and arithmetic in the simulated machine.
 */
#ifndef QUIRE_KVA_H
#define QUIRE_KVA_H

#include <quire/pgtable.h>

/* ---- Layout ------------------------------------------------------------------------------ */

/* The formats of 32 bits have pages of 4 KiB, whatever those of this build are: their layouts can be looked at anywhere. */
#define QUIRE_PKMAP_SHIFT 12

/*
 * Bytes, page aligned. Constant after quire_init().
 *   user_end <= page_offset; direct map, vmalloc, pkmap and fixmap do not overlap
 *   high_memory == page_offset + the direct map's length
 *   vmalloc_start >= high_memory + QUIRE_VMALLOC_OFFSET where the vmalloc area follows the direct map
 *   pkmap_base is 0 without high memory; else aligned to what one leaf table covers
 */
struct quire_kva_layout {
	quire_kaddr_t page_offset; /* where physical address 0 is in the direct map */
	quire_kaddr_t high_memory; /* where the direct map ends */
	quire_kaddr_t vmalloc_start, vmalloc_end; /* end: first byte behind */
	quire_kaddr_t pkmap_base;		  /* 0: none */
	uint32_t nr_pkmaps; /* LAST_PKMAP: pages from pkmap_base; a power of two, or 0 */
	quire_kaddr_t fixaddr_start, fixaddr_top; /* top: first byte behind the last slot */
	uint32_t large_levels;                    /* levels at which this processor takes leaves: a subset of the
						   * format's mask. quire_kva_layout_init() says level 1; whose
						   * processor has 1 GiB pages (CPUID pdpe1gb) adds level 2 */
};

#define QUIRE_VMALLOC_OFFSET                                                                       \
	(UINT64_C(8) << 20) /* hole behind the direct map, for stray pointers to fall into */
#define QUIRE_LOWMEM_MAX                                                                           \
	(UINT64_C(896) << 20) /* 32 bits: what the direct map has at most (Linux: MAXMEM) */

/*
 * Linux's layout for the format, with a direct map for physical memory below direct_end (32 bits: cut to
 * QUIRE_LOWMEM_MAX) and fixmap slots for nr_cpus. highmem: with pkmap (32 bits only). -EINVAL: more CPUs than the
 * fixmap has room for; highmem on a 64-bit format; a direct_end that does not fit or is 0.
 */
int quire_kva_layout_init(struct quire_kva_layout *layout, const struct quire_pgfmt *fmt,
			  quire_paddr_t direct_end, bool highmem, unsigned nr_cpus);

/* NULL, or what is wrong with a layout, one that a host made itself perhaps. */
quire_broken_t quire_kva_layout_check(const struct quire_kva_layout *layout,
				      const struct quire_pgfmt *fmt, unsigned nr_cpus);

/* ---- The kernel's tables ----------------------------------------------------------------- */

/*
 * Equations (quire_kva_check()):
 *   the layout's (above)
 *   every leaf of the tables lies in one of the layout's parts or in what quire_kernel_map() was given
 *   no leaf may be both written and executed
 *   the direct map maps each of its pages to its own frame
 */
struct quire_kva {
	struct quire_kva_layout
		layout;		 /* page_offset 0: this instance has no kernel address space */
	struct quire_pgtable pt; /* the kernel's tables; q->kernel points here */
	uint64_t direct_pages
		[QUIRE_MAX_LEVELS]; /* leaves of the direct map by level (DirectMap4k, 2M, ... of
						  * meminfo); under lock */
	struct quire_mutex lock;    /* one change of rights or of the direct map at a time */
};

/*
 * Called by quire_init() where the config has a layout: makes the kernel's tables and the direct map of all memory
 * below high_memory, writable and not executable, in the largest leaves that the format has. -EINVAL: the layout, or
 * it maps less than quire_pages.high_memory;
 * -ENOMEM.
 */
int quire_kva_init(struct quire *q, const struct quire_kva_layout *layout);

/* Give the tables back; no CPU has them loaded. */
void quire_kva_exit(struct quire *q);

/* Physical address of the kernel's root, for a CPU that is in no space. */
quire_paddr_t quire_kernel_root(struct quire *q);

static inline void *quire_kaddr_to_ptr(struct quire *q, quire_kaddr_t addr)
{
	return quire_port_kaddr_to_ptr(q, addr);
}

static inline quire_kaddr_t quire_ptr_to_kaddr(struct quire *q, const void *ptr)
{
	return quire_port_ptr_to_kaddr(q, ptr);
}

/*
 * Map len bytes of physical memory from pa at addr, for the host's own parts of the address space (its image, a
 * boot map). rights: READ, WRITE, EXEC; GLOBAL, ACCESSED and DIRTY are added. Large leaves where both addresses
 * allow. -EINVAL: not page aligned, empty, wraps, not a kernel address, in one of the layout's parts, WRITE together with
 * EXEC, without READ; -EEXIST: something is mapped there; -ENOMEM: nothing is mapped. May sleep.
 */
int quire_kernel_map(struct quire *q, quire_kaddr_t addr, quire_paddr_t pa, uint64_t len,
		     quire_ptebits_t rights, enum quire_cache_mode mode);

/* Unmap what quire_kernel_map() mapped, or a part of whole leaves of it. -EINVAL as above, or a leaf sticks out. May sleep. */
int quire_kernel_unmap(struct quire *q, quire_kaddr_t addr, uint64_t len);

/* The physical address behind a kernel address; false: nothing is mapped there. Any context. */
bool quire_kernel_translate(struct quire *q, quire_kaddr_t addr, quire_paddr_t *pa);

/* The same for a pointer that the kernel uses, whatever it leads to (Linux: slow_virt_to_phys). Any context. */
bool quire_kernel_translate_ptr(struct quire *q, const void *ptr, quire_paddr_t *pa);

/*
 * Rights and cache modes of mapped kernel memory, page by page (Linux: change_page_attr, set_memory_*). A
 * large leaf that is concerned only in part is split. Where the pages of a vmalloc area are also in the direct map, and it is
 * their mode or their being writable and executable that changes, the direct map's entries follow.
 * -EINVAL: not page aligned, not a kernel address, something in the range is not mapped, or would be
 * both written and executed; -ENOMEM: nothing has changed but the sizes of leaves. When they return no CPU
 * uses the old rights. May sleep.
 */
int quire_set_memory_ro(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages);
int quire_set_memory_rw(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages);
int quire_set_memory_x(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages);
int quire_set_memory_nx(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages);
int quire_set_memory_rox(struct quire *q, quire_kaddr_t addr,
			 uint64_t nr_pages); /* read-only and executable, in one step */
int quire_set_memory_np(struct quire *q, quire_kaddr_t addr,
			uint64_t nr_pages); /* not present: any access faults */
int quire_set_memory_p(struct quire *q, quire_kaddr_t addr,
		       uint64_t nr_pages); /* present again, as before */
int quire_set_memory_uc(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages);
int quire_set_memory_wc(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages);
int quire_set_memory_wb(struct quire *q, quire_kaddr_t addr, uint64_t nr_pages);

/* Walks the kernel's tables; the instance must be quiet. */
quire_broken_t quire_kva_check(struct quire *q);

#endif

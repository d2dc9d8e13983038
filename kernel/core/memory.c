/* SPDX-License-Identifier: MIT */
/*
 * Memory at boot: from the loader's map to Quire's, from boot's tables to Quire's, and the rights of the image. Read it
 * beside docs/porting.md, "Starting" and "Kernel addresses": this is all there is to bring Quire up on a real machine.
 */
#include "core/kernel.h"

struct quire kernel_quire __attribute__((aligned(QUIRE_CACHELINE)));
struct boot_module initramfs;
char command_line[512];

extern const char image_start[], text_end[], rodata_end[], image_end[];
#ifdef __x86_64__
extern uint64_t boot_pdpt[512];
#endif

uintptr_t page_offset = PAGE_OFFSET;
uint64_t user_end;

/* ---- What the loader says: Multiboot specification 0.6.96, 3.3 ------------------------------- */

#define MULTIBOOT_LOADER 0x2badb002u

struct multiboot_info {
	uint32_t flags; /* 0: mem; 2: cmdline; 3: mods; 6: mmap */
	uint32_t mem_lower, mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
};

struct multiboot_module {
	uint32_t start, end, string, reserved;
};

struct multiboot_range {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type; /* 1: usable */
} __attribute__((packed));

#define MAX_RANGES 64

static struct quire_range ranges[MAX_RANGES];
static size_t nr_ranges;
static quire_paddr_t memory_end; /* of what is usable */

static void add_range(quire_paddr_t start, quire_paddr_t end, enum quire_range_kind kind)
{
	if (nr_ranges == MAX_RANGES || start >= end)
		return;
	ranges[nr_ranges++] = (struct quire_range){start, end, kind, 0};
	if (kind == QUIRE_RANGE_USABLE && end > memory_end)
		memory_end = end;
}

/* What is reserved behind the last of memory is no memory: it needs no descriptors. */
static void drop_devices(void)
{
	size_t i, n = 0;

	for (i = 0; i < nr_ranges; i++) {
		if (ranges[i].kind == QUIRE_RANGE_RESERVED && ranges[i].start >= memory_end)
			continue;
		if (ranges[i].end > memory_end)
			ranges[i].end = memory_end;
		ranges[n++] = ranges[i];
	}
	nr_ranges = n;
}

static void copy_command_line(const char *s)
{
	size_t n = strnlen(s, sizeof(command_line) - 1);

	memcpy(command_line, s, n);
}

static void read_multiboot(const struct multiboot_info *info)
{
	const struct multiboot_module *module;
	uint32_t at;

	if (info->flags & 1 << 2)
		copy_command_line(phys_to_ptr(info->cmdline));
	if ((info->flags & 1 << 3) && info->mods_count) {
		module = phys_to_ptr(info->mods_addr);
		initramfs = (struct boot_module){module->start, module->end};
	}
	if (info->flags & 1 << 6) {
		for (at = 0; at < info->mmap_length;) {
			const struct multiboot_range *r = phys_to_ptr(info->mmap_addr + at);

			add_range(r->base, r->base + r->length,
				  r->type == 1 ? QUIRE_RANGE_USABLE : QUIRE_RANGE_RESERVED);
			at += r->size + 4;
		}
	} else {
		add_range(0, (quire_paddr_t)info->mem_lower << 10, QUIRE_RANGE_USABLE);
		add_range(1 << 20, (1 << 20) + ((quire_paddr_t)info->mem_upper << 10),
			  QUIRE_RANGE_USABLE);
	}
}

const char *boot_option(const char *name)
{
	static char value[128];
	size_t n = strlen(name), i;
	const char *p = command_line;

	for (; *p; p++) {
		if ((p != command_line && p[-1] != ' ') || strncmp(p, name, n))
			continue;
		p += n;
		if (*p && *p != ' ' && *p != '=')
			continue;
		p += *p == '=';
		for (i = 0; p[i] && p[i] != ' ' && i < sizeof(value) - 1; i++)
			value[i] = p[i];
		value[i] = '\0';
		return value;
	}
	return NULL;
}

/* ---- The direct map before Quire's -------------------------------------------------------------- */

#ifdef __x86_64__
#define BOOT_TABLES                                                                                \
	64u /* GiB beyond the first four, where the processor has no leaves of that size */

static uint64_t boot_more[BOOT_TABLES][512] __attribute__((aligned(4096)));

/* Boot's tables have four gigabytes. Returns where the direct map ends now. */
static quire_paddr_t extend_boot_map(quire_paddr_t end)
{
	quire_paddr_t gib;
	unsigned i;

	for (gib = 4; gib << 30 < end && gib < 512; gib++) {
		if (features.huge) {
			boot_pdpt[gib] = gib << 30 | 0x83;
			continue;
		}
		if (gib - 4 == BOOT_TABLES)
			break;
		for (i = 0; i < 512; i++)
			boot_more[gib - 4][i] = gib << 30 | (uint64_t)i << 21 | 0x83;
		boot_pdpt[gib] = ((uintptr_t)boot_more[gib - 4] - KERNEL_BASE) | 3;
	}
	write_cr3(read_cr3());
	return min_u64(end, gib << 30);
}

#else

/* They have all that Quire's will have. */
static quire_paddr_t extend_boot_map(quire_paddr_t end)
{
	return end;
}

#endif

/* ---- Quire ------------------------------------------------------------------------------------------ */

#ifdef __x86_64__

static void map_image(const char *start, const char *end, quire_ptebits_t rights)
{
	uintptr_t at = (uintptr_t)start;

	if (quire_kernel_map(Q, at, at - KERNEL_BASE, (uintptr_t)end - at, rights, QUIRE_CACHE_WB))
		panic("the image cannot be mapped");
}

static void give_image_rights(void)
{
	map_image(image_start, text_end, QUIRE_PTE_READ | QUIRE_PTE_EXEC);
	map_image(text_end, rodata_end, QUIRE_PTE_READ);
	map_image(rodata_end, image_end, QUIRE_PTE_READ | QUIRE_PTE_WRITE);
}

#else

/* The direct map is where the image runs. */
static void give_image_rights(void)
{
	uint64_t pages = (uint64_t)(text_end - image_start) >> QUIRE_PAGE_SHIFT;

	if (quire_set_memory_rox(Q, (uintptr_t)image_start, pages))
		panic("the image cannot be executed");
}

#endif

#if defined(__i386__) && !defined(KERNEL_PAE)
/* What lies beyond is not there. */
static void cut_memory(quire_paddr_t end)
{
	size_t i;

	for (i = 0; i < nr_ranges; i++) {
		if (ranges[i].end > end)
			ranges[i].end = end;
		if (ranges[i].start > end)
			ranges[i].start = end;
	}
	if (memory_end > end)
		memory_end = end;
}

#endif

void memory_init(uint32_t magic, quire_paddr_t info)
{
	struct quire_kva_layout layout;
	struct quire_config config = {
		.nr_cpus = nr_cpus,
		.map = ranges,
		.zones = 1u << QUIRE_ZONE_DMA | 1u << QUIRE_ZONE_NORMAL,
		.kva = &layout,
	};
	quire_paddr_t end;
	int err;

	if (magic != MULTIBOOT_LOADER)
		panic("no Multiboot loader: %x", magic);
	read_multiboot(phys_to_ptr(info));
	/* What is ours already, and the page where the other processors start. The firmware's page 0 stays as it is. */
	add_range(0, QUIRE_PAGE_SIZE, QUIRE_RANGE_RESERVED);
	add_range(TRAMPOLINE, TRAMPOLINE + QUIRE_PAGE_SIZE, QUIRE_RANGE_RESERVED);
	add_range((uintptr_t)image_start - KERNEL_BASE, (uintptr_t)image_end - KERNEL_BASE,
		  QUIRE_RANGE_RESERVED);
	add_range(quire_page_down(initramfs.start), quire_page_up(initramfs.end),
		  QUIRE_RANGE_RESERVED);
	add_range(0xa0000, 0x100000, QUIRE_RANGE_RESERVED);

#if defined(__x86_64__)
	config.fmt = features.five_levels ? &quire_pgfmt_x86_64_5level : &quire_pgfmt_x86_64;
	config.zones |= 1u << QUIRE_ZONE_DMA32;
#elif defined(KERNEL_PAE)
	config.fmt = &quire_pgfmt_pae;
#else
	config.fmt = &quire_pgfmt_i386;
	cut_memory(UINT64_C(1) << 32); /* entries can say no more */
#endif
	drop_devices();
	end = extend_boot_map(quire_page_up(memory_end));
	add_range(end, memory_end, QUIRE_RANGE_RESERVED);
	config.nr_ranges = nr_ranges;
	if (sizeof(long) == 4 && end > QUIRE_HIGH_MEMORY_3G) {
		config.zones |= 1u << QUIRE_ZONE_HIGHMEM;
		config.high_memory = QUIRE_HIGH_MEMORY_3G;
	}
	err = quire_kva_layout_init(&layout, config.fmt, end, config.high_memory != 0, nr_cpus);
	if (sizeof(long) == 8 && features.huge)
		layout.large_levels |= 1u << 2;
	if (!err)
		err = quire_init(Q, &config);
	if (err)
		panic("Quire does not come up: error %d", err);

	user_end = config.fmt->user_end;
	give_image_rights();
	write_cr3((unsigned long)quire_kernel_root(Q));
	segments_set_root(&cpus[0], read_cr3());
}

/* The direct map has the image too: what is read-only there must not be written here. */
void memory_protect_image(void)
{
	const char *start = sizeof(long) == 8 ? image_start : text_end;
	uintptr_t pa = (uintptr_t)start - KERNEL_BASE;
	uint64_t pages = (uint64_t)(rodata_end - start) >> QUIRE_PAGE_SHIFT;

	if (quire_set_memory_ro(Q, page_offset + pa, pages))
		panic("the image cannot be write-protected");
}

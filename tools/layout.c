/* SPDX-License-Identifier: MIT */
/*
 * quire layout: where a machine's RAM is, which zones the page room makes of it, and where the kernel's addresses are. Nothing
 * of the machine is brought up: quire_page_survey() and quire_kva_layout_init() say what would come of it, so that it
 * may have any amount of RAM. Called by main.c.
 */
#include "layout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <machine.h>

#include "commands.h"
#include "util.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

#define NR_CPUS 4u

/* ---- Machines ---------------------------------------------------------------------------- */

enum board { PC, ARM_VIRT, RISCV_VIRT, PLAIN };

#define DMA (1u << QUIRE_ZONE_DMA)
#define DMA32 (1u << QUIRE_ZONE_DMA32)
#define NORMAL (1u << QUIRE_ZONE_NORMAL)

/*
 * most: what entries, or the direct map of 64 bits, can reach. Zones are those of Linux on that architecture (AArch64 calls its
 * DMA32 "DMA" where all devices reach 4 GiB); HighMem comes with RAM beyond 896 MiB.
 */
static const struct {
	const struct quire_pgfmt *fmt;
	enum board board;
	uint32_t zones;
	uint64_t usual, most;
} machines[] = {
	{&quire_pgfmt_i386, PC, DMA | NORMAL, 2 * GIB, 4 * GIB},
	{&quire_pgfmt_pae, PC, DMA | NORMAL, 8 * GIB, 64 * GIB},
	{&quire_pgfmt_x86_64, PC, DMA | DMA32 | NORMAL, 8 * GIB, 64 * TIB},
	{&quire_pgfmt_x86_64_5level, PC, DMA | DMA32 | NORMAL, 8 * GIB, 4096 * TIB},
	{&quire_pgfmt_aarch64, ARM_VIRT, DMA32 | NORMAL, 8 * GIB, 128 * TIB},
	{&quire_pgfmt_aarch64_16k, ARM_VIRT, DMA32 | NORMAL, 8 * GIB, 128 * TIB},
	{&quire_pgfmt_aarch64_64k, ARM_VIRT, DMA32 | NORMAL, 8 * GIB, 128 * TIB},
	{&quire_pgfmt_sv32, PLAIN, NORMAL, 2 * GIB, 16 * GIB},
	{&quire_pgfmt_sv39, RISCV_VIRT, DMA32 | NORMAL, 8 * GIB, 128 * GIB},
	{&quire_pgfmt_sv48, RISCV_VIRT, DMA32 | NORMAL, 8 * GIB, 64 * TIB},
	{&quire_pgfmt_sv57, RISCV_VIRT, DMA32 | NORMAL, 8 * GIB, 4096 * TIB},
};

#define USUAL_MACHINE "x86_64"

static size_t find_machine(const char *name)
{
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(machines) && strcmp(machines[i].fmt->name, name) != 0; i++)
		;
	return i;
}

bool layout_has_machine(const char *name)
{
	return find_machine(name) < QUIRE_ARRAY_SIZE(machines);
}

void layout_list_machines(FILE *f)
{
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(machines); i++)
		fprintf(f, "%s%s", i ? ", " : "", machines[i].fmt->name);
	fputc('\n', f);
}

/* ---- Memory maps ------------------------------------------------------------------------- */

static void add_range(struct layout_machine *m, uint64_t start, uint64_t end,
		      enum quire_range_kind kind)
{
	const uint64_t most = machines[find_machine(m->fmt->name)].most;

	if (end > most && kind == QUIRE_RANGE_USABLE)
		m->beyond += end - (start > most ? start : most);
	if (end > most)
		end = most;
	if (start >= end)
		return;
	m->map[m->nr_ranges++] = (struct quire_range){.start = start, .end = end, .kind = kind};
	if (kind == QUIRE_RANGE_USABLE && end > m->top)
		m->top = end;
}

/*
 * The e820 table that SeaBIOS gives on QEMU's i440fx: 128 KiB of ACPI tables at the end of the low RAM; from 3.5 GiB on the
 * RAM beyond 3 GiB lies above 4 GiB, so that PCI has a gigabyte.
 */
static void add_pc(struct layout_machine *m)
{
	const uint64_t low = m->ram < 0xe0000000 ? m->ram : 3 * GIB,
		       acpi = low < MIB + 0x40000 ? 0 : 0x20000;

	m->board = "QEMU's i440fx";
	add_range(m, 0, low < 0x9fc00 ? low : 0x9fc00, QUIRE_RANGE_USABLE);
	add_range(m, 0x9fc00, 0xa0000, QUIRE_RANGE_RESERVED);
	add_range(m, 0xf0000, MIB, QUIRE_RANGE_RESERVED);
	add_range(m, MIB, low - acpi, QUIRE_RANGE_USABLE);
	if (acpi)
		add_range(m, low - acpi, low, QUIRE_RANGE_RESERVED);
	add_range(m, 0xfeffc000, 0xff000000, QUIRE_RANGE_RESERVED);
	add_range(m, 0xfffc0000, 4 * GIB, QUIRE_RANGE_RESERVED);
	add_range(m, 4 * GIB, 4 * GIB + (m->ram - low), QUIRE_RANGE_USABLE);
}

static void add_memory(struct layout_machine *m, enum board board)
{
	switch (board) {
	case PC:
		add_pc(m);
		break;
	case ARM_VIRT: /* flash and devices below 1 GiB */
		m->board = "QEMU's virt of AArch64";
		add_range(m, GIB, GIB + m->ram, QUIRE_RANGE_USABLE);
		break;
	case RISCV_VIRT: /* devices below 2 GiB; OpenSBI keeps the first 512 KiB for itself */
		m->board = "QEMU's virt of RISC-V";
		add_range(m, 2 * GIB, 2 * GIB + m->ram, QUIRE_RANGE_USABLE);
		add_range(m, 2 * GIB, 2 * GIB + 0x80000, QUIRE_RANGE_RESERVED);
		break;
	case PLAIN: /* 896 MiB of direct map begin at physical address 0; QEMU's virt has no RAM there */
		m->board = "a board made by hand";
		add_range(m, 0, m->ram, QUIRE_RANGE_USABLE);
		break;
	}
}

/* ---- Words ------------------------------------------------------------------------------- */

void layout_size(char text[24], uint64_t bytes)
{
	static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)bytes;
	unsigned i = 0;

	while (v >= 1024 && i < 5) {
		v /= 1024;
		i++;
	}
	snprintf(text, 24, v < 100 && v != (double)(unsigned)v ? "%.1f %s" : "%.0f %s", v, unit[i]);
}

static void print_head(const struct layout_machine *m)
{
	char size[24];
	unsigned level;

	printf("%s: %u levels of tables, addresses of %u bits, pages of", m->fmt->name,
	       m->fmt->levels, m->fmt->va_bits);
	for (level = 0; level < m->fmt->levels; level++) {
		if (level && !(m->fmt->large_levels >> level & 1))
			continue;
		layout_size(size, UINT64_C(1) << m->fmt->shift[level]);
		printf("%s %s", level ? "," : "", size);
	}
	layout_size(size, m->ram);
	printf("\n\n%s of RAM, where %s has it:\n", size, m->board);
}

static unsigned digits_of(uint64_t top)
{
	unsigned digits = 8;

	while (digits < 16 && top >> (4 * digits))
		digits++;
	return digits;
}

static void print_map(const struct layout_machine *m, int digits)
{
	char size[24];
	size_t i;

	for (i = 0; i < m->nr_ranges; i++) {
		layout_size(size, m->map[i].end - m->map[i].start);
		printf("    0x%0*" PRIx64 " - 0x%0*" PRIx64 "   %s, %s\n", digits, m->map[i].start,
		       digits, m->map[i].end,
		       m->map[i].kind == QUIRE_RANGE_USABLE ? "usable" : "reserved", size);
	}
	if (m->beyond) {
		layout_size(size, m->beyond);
		printf("    %s more lie beyond what the processor reaches\n", size);
	}
}

/* What the zone has to give, and to whom not all of it. */
static void print_pages(const struct layout_machine *m, const struct quire_zone *zone,
			enum quire_zone_id highest)
{
	const struct quire_zone *high = quire_node_zone(m->q, 0, highest);
	uint64_t kept = zone->lowmem_reserve[highest] + zone->wmark[QUIRE_WMARK_MIN];

	printf("   %" PRIu64 " kB", zone->managed_pages << (QUIRE_PAGE_SHIFT - 10));
	if (zone == high)
		return;
	if (kept >= zone->managed_pages)
		printf(", for none who may take %s", high->name);
	else
		printf(", %" PRIu64 " of them not for who may take %s",
		       kept << (QUIRE_PAGE_SHIFT - 10), high->name);
}

/*
 * The page room counts in this build's pages. Of a machine with larger ones the bounds are right, while descriptors
 * and reserves would not be.
 */
static void print_zones(const struct layout_machine *m, int digits)
{
	const bool counted = m->fmt->shift[0] == QUIRE_PAGE_SHIFT;
	enum quire_zone_id z, highest = QUIRE_ZONE_DMA;

	for (z = QUIRE_ZONE_DMA; z < QUIRE_NR_ZONES; z++)
		if (quire_node_zone(m->q, 0, z)->managed_pages)
			highest = z;
	printf("\nzones:\n");
	for (z = QUIRE_NR_ZONES; z-- > 0;) {
		const struct quire_zone *zone = quire_node_zone(m->q, 0, z);
		const uint64_t start = zone->start_pfn << QUIRE_PAGE_SHIFT;

		if (!zone->present_pages)
			continue;
		printf("    %-8s: 0x%0*" PRIx64 " - 0x%0*" PRIx64, zone->name, digits, start,
		       digits, start + (zone->spanned_pages << QUIRE_PAGE_SHIFT));
		if (counted)
			print_pages(m, zone, highest);
		putchar('\n');
	}
	putchar('\n');
}

static int print_piece(struct quire_sink *sink, const char *text, size_t len)
{
	(void)sink;
	return fwrite(text, 1, len, stdout) != len;
}

/* ---- The command ------------------------------------------------------------------------- */

/* What would come up, and where: an errno of Quire's. */
static int survey(struct layout_machine *m, uint32_t zones)
{
	const bool high = m->fmt->va_bits == 32 && m->top > QUIRE_LOWMEM_MAX;
	const struct quire_config config = {
		.map = m->map,
		.nr_ranges = m->nr_ranges,
		.zones = zones | (high ? 1u << QUIRE_ZONE_HIGHMEM : 0),
		.high_memory = high ? QUIRE_LOWMEM_MAX : 0,
	};
	int err = quire_page_survey(m->q, &config);

	if (err)
		return err;
	return quire_kva_layout_init(&m->q->kva.layout, m->fmt, m->q->pages.high_memory, high,
				     m->q->nr_cpus);
}

static int show(struct layout_machine *m, const char *svg)
{
	const int digits = (int)digits_of(m->top > UINT32_MAX ? m->top : UINT32_MAX);
	struct quire_sink out = {print_piece};
	int err;

	print_head(m);
	print_map(m, digits);
	print_zones(m, digits);
	if (quire_proc_layout(m->q, &out) || fflush(stdout)) {
		tool_warn("cannot write: %s", strerror(errno));
		return TOOL_NOT_RUN;
	}
	err = svg ? layout_draw(svg, m) : 0;
	if (err) {
		tool_warn("cannot write %s: %s", svg, strerror(err));
		return TOOL_NOT_RUN;
	}
	return TOOL_SAME;
}

int layout_run(const char *name, uint64_t ram, const char *svg)
{
	const size_t i = find_machine(name ? name : USUAL_MACHINE);
	struct layout_machine m = {.fmt = machines[i].fmt, .ram = ram ? ram : machines[i].usual};
	struct machine *host;
	char size[24], most[24];
	int result = TOOL_MISUSE;

	layout_size(size, m.ram);
	if (m.ram > machines[i].most) {
		layout_size(most, machines[i].most);
		tool_warn("%s cannot have %s of RAM: %s at most", m.fmt->name, size, most);
		return TOOL_MISUSE;
	}
	add_memory(&m, machines[i].board);
	/* The survey touches no memory of its machine, but takes locks, as some CPU. */
	if (machine_create(&(struct machine_config){.nr_cpus = 1}, &host)) {
		tool_warn("no memory for the simulated machine");
		return TOOL_NOT_RUN;
	}
	m.q = aligned_alloc(QUIRE_CACHELINE, sizeof(*m.q));
	if (m.q) {
		memset(m.q, 0, sizeof(*m.q));
		m.q->host = host;
		m.q->nr_cpus = NR_CPUS < QUIRE_NR_CPUS ? NR_CPUS : QUIRE_NR_CPUS;
		m.q->fmt = m.fmt;
		if (survey(&m, machines[i].zones))
			tool_warn(
				"%s with %s of RAM does not come up: its page descriptors leave nothing",
				m.fmt->name, size);
		else
			result = show(&m, svg);
	}
	free(m.q);
	machine_destroy(host);
	return result;
}

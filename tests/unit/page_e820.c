/* SPDX-License-Identifier: MIT */
/*
 * Memory maps as firmware gives them, in the form in which Linux prints them. Three are from machines whose Linux printed
 * its own figures below them ("On node 0 totalpages: ..."): these are what is expected here. Where a table is made by
 * hand, it says so.
 */
#include "page_fixture.h"

#include <inttypes.h>

#define MOST_RANGES 64

struct table {
	struct quire_range map[MOST_RANGES];
	size_t nr;
	uint64_t end; /* of the last usable byte */
};

/* What is not "usable" (reserved, ACPI data, ACPI NVS, ...) is RESERVED. */
static void read_e820(struct table *t, const char *text)
{
	char kind[32];
	uint64_t first, last;
	int len;

	for (; sscanf(text, " BIOS-e820: [mem 0x%" SCNx64 "-0x%" SCNx64 "] %31[^\n]%n", &first,
		      &last, kind, &len) == 3;
	     text += len) {
		bool usable = strcmp(kind, "usable") == 0;

		assert_true(t->nr < MOST_RANGES);
		t->map[t->nr++] = (struct quire_range){.start = first,
						       .end = last + 1,
						       .kind = usable ? QUIRE_RANGE_USABLE
								      : QUIRE_RANGE_RESERVED};
		if (usable && last + 1 > t->end)
			t->end = last + 1;
	}
	assert_string_equal(text, "");
}

/* Give each usable range the node that ACPI's SRAT says, cut where that changes. */
static void read_srat(struct table *t, const char *text)
{
	struct table cut = {.end = t->end};
	uint64_t first, last;
	unsigned node, pxm;
	size_t i;
	int len;

	for (; sscanf(text, " SRAT: Node %u PXM %u [mem 0x%" SCNx64 "-0x%" SCNx64 "]%n", &node,
		      &pxm, &first, &last, &len) == 4;
	     text += len) {
		for (i = 0; i < t->nr; i++) {
			struct quire_range r = t->map[i];

			if (r.kind != QUIRE_RANGE_USABLE || r.start > last || r.end <= first)
				continue;
			r.start = r.start < first ? first : r.start;
			r.end = r.end > last ? last + 1 : r.end;
			r.node = node;
			assert_true(cut.nr < MOST_RANGES);
			cut.map[cut.nr++] = r;
		}
	}
	assert_string_equal(text, "");
	for (i = 0; i < t->nr; i++)
		if (t->map[i].kind == QUIRE_RANGE_RESERVED)
			cut.map[cut.nr++] = t->map[i];
	*t = cut;
}

static struct host *boot(const struct table *t, uint32_t zones, quire_paddr_t high_memory,
			 unsigned nr_nodes)
{
	struct host *h = host_new(t->end, 2);
	struct quire_config config = {.map = t->map,
				      .nr_ranges = t->nr,
				      .zones = zones,
				      .high_memory = high_memory,
				      .nr_nodes = nr_nodes};

	quire_grace_init(&h->q);
	assert_int_equal(quire_page_init(&h->q, &config), 0);
	check(h);
	return h;
}

/* All usable frames of a zone are managed, but for the descriptors and tables in one of them. */
static void expect_usable(struct host *h, unsigned node, enum quire_zone_id z, uint64_t frames)
{
	assert_int_equal(quire_node_zone(&h->q, node, z)->managed_pages, frames);
}

static void expect_usable_but_descriptors(struct host *h, unsigned node, enum quire_zone_id z,
					  uint64_t frames)
{
	uint64_t gone = frames - quire_node_zone(&h->q, node, z)->managed_pages;
	uint64_t bytes = h->q.pages.nr_map * sizeof(struct quire_page);

	assert_in_range(gone, bytes / QUIRE_PAGE_SIZE, bytes / QUIRE_PAGE_SIZE + 16);
}

/*
 * An Acer Aspire One (2009), 1 GiB, under a 32-bit Linux 3.8 whose direct map ends at 0x37bfe000. "On node 0 totalpages:
 * 259555": DMA 3951 + 32, Normal 222502 + 1752, HighMem 31071 + 247 (the second is each zone's memmap). That Linux kept
 * the first 64 KiB from itself.
 */
static void a_netbook_with_high_memory(void **state)
{
	struct table t = {.nr = 0};
	struct host *h;

	(void)state;
	read_e820(&t, "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
		      "BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000000e0000-0x00000000000fffff] reserved\n"
		      "BIOS-e820: [mem 0x0000000000100000-0x000000003f575fff] usable\n"
		      "BIOS-e820: [mem 0x000000003f576000-0x000000003f5befff] reserved\n"
		      "BIOS-e820: [mem 0x000000003f5bf000-0x000000003f66cfff] usable\n"
		      "BIOS-e820: [mem 0x000000003f66d000-0x000000003f6befff] ACPI NVS\n"
		      "BIOS-e820: [mem 0x000000003f6bf000-0x000000003f6edfff] usable\n"
		      "BIOS-e820: [mem 0x000000003f6ee000-0x000000003f6fefff] ACPI data\n"
		      "BIOS-e820: [mem 0x000000003f6ff000-0x000000003f6fffff] usable\n"
		      "BIOS-e820: [mem 0x000000003f700000-0x000000003fffffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000e0000000-0x00000000efffffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000fec00000-0x00000000fec00fff] reserved\n"
		      "BIOS-e820: [mem 0x00000000fed14000-0x00000000fed19fff] reserved\n"
		      "BIOS-e820: [mem 0x00000000fed1c000-0x00000000fed1ffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000fee00000-0x00000000fee00fff] reserved\n"
		      "BIOS-e820: [mem 0x00000000fff00000-0x00000000ffffffff] reserved");
	t.map[t.nr++] = (struct quire_range)RES(0, 0x10000);
	h = boot(&t, DMA | NORMAL | HIGHMEM, 0x37bfe000, 1);
	expect_usable(h, 0, QUIRE_ZONE_DMA, 3951 + 32);
	expect_usable_but_descriptors(h, 0, QUIRE_ZONE_NORMAL, 222502 + 1752);
	expect_usable(h, 0, QUIRE_ZONE_HIGHMEM, 31071 + 247);
	/* Linux's last_pfn: no descriptors for PCI's windows and the BIOS below 4 GiB. */
	assert_int_equal(h->q.pages.first_pfn + h->q.pages.span_pages, 0x3f700);
	assert_null(quire_pfn_to_page(&h->q, 0xfee00));
	assert_int_equal(quire_node_zone(&h->q, 0, QUIRE_ZONE_HIGHMEM)->start_pfn, 0x37bfe);
	host_delete(h);
}

/*
 * A Dell XPS 13 9310 (2020), 32 GiB, under Linux 5.10. "On node 0 totalpages: 8318666": DMA 3998, DMA32 386860, Normal
 * 7927808.
 */
static void a_laptop_with_holes_for_acpi(void **state)
{
	struct table t = {.nr = 0};
	struct host *h;

	(void)state;
	read_e820(&t, "BIOS-e820: [mem 0x0000000000000000-0x000000000009efff] usable\n"
		      "BIOS-e820: [mem 0x000000000009f000-0x00000000000fffff] reserved\n"
		      "BIOS-e820: [mem 0x0000000000100000-0x000000005f72afff] usable\n"
		      "BIOS-e820: [mem 0x000000005f72b000-0x0000000063510fff] reserved\n"
		      "BIOS-e820: [mem 0x0000000063511000-0x0000000063d71fff] ACPI NVS\n"
		      "BIOS-e820: [mem 0x0000000063d72000-0x0000000063ffefff] ACPI data\n"
		      "BIOS-e820: [mem 0x0000000063fff000-0x0000000063ffffff] usable\n"
		      "BIOS-e820: [mem 0x0000000064000000-0x0000000067ffffff] reserved\n"
		      "BIOS-e820: [mem 0x0000000068600000-0x00000000687fffff] reserved\n"
		      "BIOS-e820: [mem 0x0000000069000000-0x00000000707fffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000c0000000-0x00000000cfffffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000fed20000-0x00000000fed7ffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000ff000000-0x00000000ffffffff] reserved\n"
		      "BIOS-e820: [mem 0x0000000100000000-0x000000088f7fffff] usable");
	h = boot(&t, DMA | DMA32 | NORMAL, 0, 1);
	expect_usable(h, 0, QUIRE_ZONE_DMA, 3998);
	expect_usable(h, 0, QUIRE_ZONE_DMA32, 386860);
	expect_usable_but_descriptors(h, 0, QUIRE_ZONE_NORMAL, 7927808);
	host_delete(h);
}

/*
 * QEMU's i440fx with -m 8G in two nodes of 4160 and 4032 MiB. By hand: DMA is 158 frames below 0x9f000 without frame 0,
 * and 1 to 16 MiB; DMA32 0x1000 to 0xbffe0; Normal 0x100000 to 0x144000 on node 0, to 0x240000 on node 1.
 */
static void an_emulated_machine_of_two_nodes(void **state)
{
	struct table t = {.nr = 0};
	struct host *h;

	(void)state;
	read_e820(&t, "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
		      "BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000000f0000-0x00000000000fffff] reserved\n"
		      "BIOS-e820: [mem 0x0000000000100000-0x00000000bffdffff] usable\n"
		      "BIOS-e820: [mem 0x00000000bffe0000-0x00000000bfffffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000feffc000-0x00000000feffffff] reserved\n"
		      "BIOS-e820: [mem 0x00000000fffc0000-0x00000000ffffffff] reserved\n"
		      "BIOS-e820: [mem 0x0000000100000000-0x000000023fffffff] usable");
	read_srat(&t, "SRAT: Node 0 PXM 0 [mem 0x00000000-0x0009ffff]\n"
		      "SRAT: Node 0 PXM 0 [mem 0x00100000-0xbfffffff]\n"
		      "SRAT: Node 0 PXM 0 [mem 0x100000000-0x143ffffff]\n"
		      "SRAT: Node 1 PXM 1 [mem 0x144000000-0x23fffffff]");
#if QUIRE_NR_NODES >= 2
	h = boot(&t, DMA | DMA32 | NORMAL, 0, 2);
	expect_usable(h, 0, QUIRE_ZONE_DMA, 158 + 3840);
	expect_usable(h, 0, QUIRE_ZONE_DMA32, 0xbffe0 - 0x1000);
	expect_usable(h, 0, QUIRE_ZONE_NORMAL, 0x144000 - 0x100000);
	expect_usable(h, 1, QUIRE_ZONE_DMA32, 0);
	expect_usable_but_descriptors(h, 1, QUIRE_ZONE_NORMAL, 0x240000 - 0x144000);
	host_delete(h);
#else
	(void)h;
#endif
}

/* By hand, in the manner of a BIOS set to leave 15 to 16 MiB to an ISA card: 64 MiB. */
static void an_old_machine_with_a_hole_at_15_mib(void **state)
{
	struct table t = {.nr = 0};
	struct host *h;

	(void)state;
	read_e820(&t, "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
		      "BIOS-e820: [mem 0x00000000000f0000-0x00000000000fffff] reserved\n"
		      "BIOS-e820: [mem 0x0000000000100000-0x0000000000efffff] usable\n"
		      "BIOS-e820: [mem 0x0000000001000000-0x0000000003ffffff] usable");
	h = boot(&t, DMA | NORMAL | HIGHMEM, QUIRE_HIGH_MEMORY_3G, 1);
	expect_usable(h, 0, QUIRE_ZONE_DMA, 158 + 14 * 256);
	expect_usable_but_descriptors(h, 0, QUIRE_ZONE_NORMAL, 48 * 256);
	expect_usable(h, 0, QUIRE_ZONE_HIGHMEM, 0);
	assert_null(quire_pfn_to_page(&h->q, 0xf00));
	assert_int_equal(quire_page_kind(quire_pfn_to_page(&h->q, 0xf0)), QUIRE_PAGE_RESERVED);
	host_delete(h);
}

/*
 * By hand: as much as PAE reaches, 2^36 bytes less the gigabyte that is PCI's. Its descriptors take three quarters of a
 * gigabyte, all of it below 896 MiB.
 */
static void pae_s_64_gib_fit_the_direct_map(void **state)
{
	struct table t = {.nr = 0};
	struct host *h;
	struct quire_config config;

	(void)state;
	read_e820(&t, "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
		      "BIOS-e820: [mem 0x000000000009fc00-0x00000000000fffff] reserved\n"
		      "BIOS-e820: [mem 0x0000000000100000-0x00000000bfffffff] usable\n"
		      "BIOS-e820: [mem 0x0000000100000000-0x0000000fffffffff] usable");
	h = boot(&t, DMA | NORMAL | HIGHMEM, QUIRE_HIGH_MEMORY_3G, 1);
	expect_usable(h, 0, QUIRE_ZONE_DMA, 158 + 3840);
	expect_usable_but_descriptors(h, 0, QUIRE_ZONE_NORMAL, 880 * 256);
	expect_usable(h, 0, QUIRE_ZONE_HIGHMEM, 0xc0000 - 0x38000 + 0x1000000 - 0x100000);
	assert_true(
		quire_page_is_high(quire_page_alloc(&h->q, QUIRE_GFP_HIGHUSER, QUIRE_MAX_ORDER)));
	assert_false(
		quire_page_is_high(quire_page_alloc(&h->q, QUIRE_GFP_KERNEL, QUIRE_MAX_ORDER)));
	host_delete(h);

	/* With half a gigabyte of direct map they do not: refused, with a reason. */
	h = host_new(t.end, 1);
	config = (struct quire_config){.map = t.map,
				       .nr_ranges = t.nr,
				       .zones = DMA | NORMAL | HIGHMEM,
				       .high_memory = MIB(512)};
	assert_int_equal(quire_page_init(&h->q, &config), -QUIRE_ENOMEM);
	assert_int_equal(h->logs, 1);
	host_delete(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_netbook_with_high_memory),
		cmocka_unit_test(a_laptop_with_holes_for_acpi),
		cmocka_unit_test(an_emulated_machine_of_two_nodes),
		cmocka_unit_test(an_old_machine_with_a_hole_at_15_mib),
		cmocka_unit_test(pae_s_64_gib_fit_the_direct_map),
	};

	return cmocka_run_group_tests_name("page-e820", tests, NULL, NULL);
}

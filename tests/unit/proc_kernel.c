/* SPDX-License-Identifier: MIT */
/*
 * The texts about the kernel's own addresses, byte for byte as Linux prints them. The layout's text has the figures of
 * a 2.6 kernel with 896 MiB of low memory; only where the fixmap begins depends on how many slots there are.
 */
#include "proc.h"

static const char *layout_text(void)
{
	assert_int_equal(quire_proc_layout(space.q, blank()), 0);
	return paper.text;
}

static void the_layout_is_printed_as_linux_prints_it(void **state)
{
	struct quire_kva_layout *l = &space.q->kva.layout;

	(void)state;
	assert_int_equal(quire_proc_layout(space.q, blank()), -QUIRE_EINVAL);
	assert_string_equal(paper.text, "");
	*l = (struct quire_kva_layout){
		.page_offset = 0xc0000000,
		.high_memory = 0xf8000000,
		.vmalloc_start = 0xf8800000,
		.vmalloc_end = 0xff7fe000,
		.pkmap_base = 0xff800000,
		.nr_pkmaps = 1024,
		.fixaddr_start = 0xfff4f000,
		.fixaddr_top = 0xfffff000,
	};
	assert_string_equal(layout_text(), "virtual kernel memory layout:\n"
					   "    fixmap  : 0xfff4f000 - 0xfffff000   ( 704 kB)\n"
					   "    pkmap   : 0xff800000 - 0xffc00000   (4096 kB)\n"
					   "    vmalloc : 0xf8800000 - 0xff7fe000   ( 111 MB)\n"
					   "    lowmem  : 0xc0000000 - 0xf8000000   ( 896 MB)\n");
	l->nr_pkmaps = 0;
	assert_null(strstr(layout_text(), "pkmap"));
	*l = (struct quire_kva_layout){0};
}

/* A page's line and a large page's, as Linux names them: arch/x86's and those of its kind. */
static const char *large_pages(const struct quire_pgfmt *fmt)
{
	switch (fmt->shift[1]) {
	case 21:
		return "DirectMap2M";
	case 22:
		return "DirectMap4M";
	case 25:
		return "DirectMap32M";
	case 29:
		return "DirectMap512M";
	default:
		return "";
	}
}

static void meminfo_shows_the_direct_map(void **state)
{
	const struct quire_pgfmt *fmt = space.q->fmt;
	const char *large = large_pages(fmt), *text;
	const char *small = QUIRE_PAGE_SHIFT == 16   ? "DirectMap64k"
			    : QUIRE_PAGE_SHIFT == 14 ? "DirectMap16k"
						     : "DirectMap4k";
	uint64_t large_kb = (UINT64_C(1) << fmt->shift[1]) >> 10;
	struct quire_kva_layout layout;

	(void)state;
	text = meminfo();
	assert_null(strstr(text, "DirectMap"));
	assert_int_equal(field(text, "VmallocTotal"), 0);
	assert_int_equal(quire_kva_layout_init(&layout, fmt, space.q->pages.high_memory, false, 1),
			 0);
	assert_int_equal(quire_kva_init(space.q, &layout), 0);
	text = meminfo();
	assert_int_equal(field(text, "VmallocTotal"),
			 (layout.vmalloc_end - layout.vmalloc_start) >> 10);
	/* 32 TiB: Documentation/arch/x86/x86_64/mm.rst. */
	if (fmt == &quire_pgfmt_x86_64)
		assert_int_equal(field(text, "VmallocTotal"), UINT64_C(32) << 30);
	/* All memory but frame 0, whose large page is therefore in small ones. */
	assert_int_equal(field(text, small), large_kb - KB(1));
	assert_int_equal(field(text, large), (space.q->pages.high_memory >> 10) - large_kb);
	assert_int_equal(quire_set_memory_ro(space.q, layout.page_offset + (large_kb << 10), 1), 0);
	text = meminfo();
	assert_int_equal(field(text, small), 2 * large_kb - KB(1));
	assert_int_equal(field(text, large), (space.q->pages.high_memory >> 10) - 2 * large_kb);
	quire_kva_exit(space.q);
}

/* Linux's line: addresses, size with the guard page, caller, what it is. */
static void vmallocinfo_has_a_line_for_each_area(void **state)
{
	struct machine_config config = {.ram_bytes = 16384 * PAGE, .window = true};
	struct quire_vm_struct *area;
	char line[160], *text;
	struct machine *m;
	struct quire *q;
	void *memory, *device;

	(void)state;
	assert_int_equal(machine_create(&config, &m), 0);
	q = machine_quire(m);
	memory = quire_vmalloc_user(q, 3 * PAGE);
	device = quire_ioremap(q, 0xf0000000, 2 * PAGE);
	area = quire_get_vm_area(q, PAGE, QUIRE_VM_MAP);
	assert_true(memory && device && area);
	assert_int_equal(quire_proc_vmallocinfo(q, blank()), 0);
	text = paper.text;
	snprintf(line, sizeof(line), "0x%016llx-0x%016llx %7llu 0x",
		 (unsigned long long)quire_ptr_to_kaddr(q, memory),
		 (unsigned long long)quire_ptr_to_kaddr(q, memory) + 4 * PAGE, 4ull * PAGE);
	assert_ptr_equal(strstr(text, line), text);
	assert_non_null(strstr(text, " pages=3 vmalloc user\n"));
	assert_non_null(strstr(text, " phys=0x00000000f0000000 ioremap\n"));
	assert_non_null(strstr(text, " vmap\n"));
	quire_free_vm_area(q, area);
	quire_iounmap(q, device);
	quire_vfree(q, memory);
	assert_int_equal(quire_proc_vmallocinfo(q, blank()), 0);
	snprintf(line, sizeof(line), "-0x%016llx %7llu unpurged vm_area\n",
		 (unsigned long long)quire_ptr_to_kaddr(q, memory) + 4 * PAGE, 4ull * PAGE);
	assert_non_null(strstr(paper.text, line));
	quire_vm_unmap_aliases(q);
	assert_int_equal(quire_proc_vmallocinfo(q, blank()), 0);
	assert_string_equal(paper.text, "");
	assert_int_equal(machine_destroy(m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		space_test(the_layout_is_printed_as_linux_prints_it),
		space_test(meminfo_shows_the_direct_map),
		space_test(vmallocinfo_has_a_line_for_each_area),
	};

	return cmocka_run_group_tests_name("proc_kernel", tests, NULL, NULL);
}

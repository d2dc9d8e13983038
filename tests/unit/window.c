/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine's window on the kernel's addresses: tables made by hand from the manual's bits, what the
 * window shows of them, how long, and what it does to an access that they do not allow.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <machine.h>

#define PAGE 0x1000ull
#define M 0x100000ull
#define G 0x40000000ull

/* The processor's own names for the bits: SDM vol. 3A tables 4-5 to 4-20. */
#define P 0x1ull
#define RW 0x2ull
#define US 0x4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define XD 0x8000000000000000ull

#define RAM (64 * M)
#define LOW (48 * M)

/* A kind of paging, with widths from the SDM's figures 4-2 to 4-11. */
struct paging {
	const char *name;
	const struct quire_pgfmt *fmt;
	unsigned levels, bits, entry_bytes;
	bool no_execute;
	bool root_is_bare; /* its entries have P and an address */
};

static const struct paging i386 = {"i386", &quire_pgfmt_i386, 2, 10, 4, false, false};
static const struct paging pae = {"pae", &quire_pgfmt_pae, 3, 9, 8, true, true};
static const struct paging x86_64 = {"x86_64", &quire_pgfmt_x86_64, 4, 9, 8, true, false};

/* Those whose tables are not made by hand here. */
static const struct paging five_levels = {
	.name = "5level", .fmt = &quire_pgfmt_x86_64_5level, .no_execute = true};
static const struct paging aarch64 = {
	.name = "aarch64", .fmt = &quire_pgfmt_aarch64, .no_execute = true};
static const struct paging sv32 = {.name = "sv32", .fmt = &quire_pgfmt_sv32, .no_execute = true};
static const struct paging sv39 = {.name = "sv39", .fmt = &quire_pgfmt_sv39, .no_execute = true};
static const struct paging sv48 = {.name = "sv48", .fmt = &quire_pgfmt_sv48, .no_execute = true};
static const struct paging sv57 = {.name = "sv57", .fmt = &quire_pgfmt_sv57, .no_execute = true};

struct world {
	const struct paging *paging;
	struct machine *m;
	struct quire *q;
	const struct quire_kva_layout *l;
	quire_paddr_t root;
	struct quire_list tables;
	struct quire_page *page, *other; /* two frames to map */
};

/* ---- Tables by hand ---------------------------------------------------------------------- */

static quire_paddr_t pa_of(struct world *w, struct quire_page *page)
{
	return quire_page_to_pfn(w->q, page) * PAGE;
}

static quire_paddr_t new_table(struct world *w)
{
	struct quire_page *page = quire_page_alloc(w->q, QUIRE_GFP_ZERO, 0);

	assert_non_null(page);
	quire_list_add(&w->tables, &page->lru);
	return pa_of(w, page);
}

static unsigned shift_of(const struct world *w, unsigned level)
{
	return 12 + (level - 1) * w->paging->bits;
}

static uint64_t get(struct world *w, void *entry)
{
	return w->paging->entry_bytes == 4 ? *(uint32_t *)entry : *(uint64_t *)entry;
}

static void set(struct world *w, void *entry, uint64_t value)
{
	if (w->paging->entry_bytes == 4)
		*(uint32_t *)entry = (uint32_t)value;
	else
		*(uint64_t *)entry = value;
}

/* The entry for addr at a level, 1 the lowest; tables on the way there are made. */
static void *entry_at(struct world *w, quire_kaddr_t addr, unsigned level)
{
	quire_paddr_t table = w->root;
	unsigned at;

	for (at = w->paging->levels;; at--) {
		uint64_t i = addr >> shift_of(w, at) & ((1u << w->paging->bits) - 1);
		unsigned char *entry = quire_port_phys_to_virt(w->q, table);

		if (at == w->paging->levels && w->paging->root_is_bare)
			i &= 3;
		entry += i * w->paging->entry_bytes;
		if (at == level)
			return entry;
		if (!get(w, entry))
			set(w, entry,
			    new_table(w) | P |
				    (at == w->paging->levels && w->paging->root_is_bare ? 0 : RW));
		table = get(w, entry) & 0x000ffffffffff000ull;
	}
}

static void map(struct world *w, quire_kaddr_t addr, quire_paddr_t pa, uint64_t bits)
{
	set(w, entry_at(w, addr, 1), bits ? pa | bits : 0);
}

static uint64_t large(const struct world *w)
{
	return 1ull << shift_of(w, 2);
}

static void map_direct(struct world *w)
{
	quire_paddr_t pa;

	for (pa = 0; pa < LOW; pa += large(w))
		set(w, entry_at(w, w->l->page_offset + pa, 2),
		    pa | P | RW | PS | (w->paging->no_execute ? XD : 0));
}

static void flush(struct world *w, quire_kaddr_t start, quire_kaddr_t end, uint64_t cpus)
{
	uint64_t mask[(QUIRE_NR_CPUS + 63) / 64] = {cpus};
	const struct quire_tlb_flush fl = {
		.start = start,
		.end = end,
		.stride = 12,
		.kernel = true,
		.cpus = cpus ? mask : NULL,
	};

	quire_port_tlb_flush(w->q, &fl);
}

/* ---- Fixture ----------------------------------------------------------------------------- */

static struct world *begin(const struct paging *paging, const struct machine_config *config)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->paging = paging;
	assert_int_equal(machine_create(config, &w->m), 0);
	w->q = machine_quire(w->m);
	w->l = machine_layout(w->m);
	quire_list_init(&w->tables);
	w->root = new_table(w);
	map_direct(w);
	w->page = quire_page_alloc(w->q, QUIRE_GFP_ZERO, 0);
	w->other = quire_page_alloc(w->q, QUIRE_GFP_ZERO, 0);
	assert_non_null(w->page);
	assert_non_null(w->other);
	machine_load_kernel(w->m, w->root);
	return w;
}

static void end(struct world *w)
{
	struct quire_list *pos, *tmp;

	machine_load_kernel(w->m, 0);
	if (w->page)
		quire_page_free(w->q, w->page, 0);
	if (w->other)
		quire_page_free(w->q, w->other, 0);
	quire_list_for_each (pos, tmp, &w->tables) {
		quire_list_del(pos);
		quire_page_free(w->q, quire_list_entry(pos, struct quire_page, lru), 0);
	}
	assert_int_equal(machine_destroy(w->m), 0);
	free(w);
}

/* All of the memory that Quire gets is below LOW; what is above it is for the tests. */
static const struct quire_range low_only[] = {{M, LOW, QUIRE_RANGE_USABLE, 0}};

static struct machine_config config_of(const struct paging *paging)
{
	return (struct machine_config){
		.ram_bytes = RAM,
		.map = low_only,
		.nr_ranges = 1,
		.high_memory = paging->fmt->va_bits == 32 ? LOW : 0,
		.nr_cpus = 3,
		.fmt = paging->fmt,
		.window = true,
	};
}

static int setup(void **state)
{
	const struct paging *paging = *state;
	struct machine_config config = config_of(paging);

	*state = begin(paging, &config);
	return 0;
}

static int teardown(void **state)
{
	end(*state);
	return 0;
}

static void *ptr(struct world *w, quire_kaddr_t addr)
{
	return quire_kaddr_to_ptr(w->q, addr);
}

static bool can_read(struct world *w, const void *p)
{
	char byte;
	int err = machine_probe_read(w->m, p, &byte, 1);

	assert_true(err == 0 || err == -QUIRE_EFAULT);
	return err == 0;
}

static bool can_write(struct world *w, void *p)
{
	int err = machine_probe_write(w->m, p, "w", 1);

	assert_true(err == 0 || err == -QUIRE_EFAULT);
	return err == 0;
}

static struct machine_stats stats(struct world *w)
{
	struct machine_stats s;

	machine_stats(w->m, &s);
	return s;
}

static void check_says(struct world *w, const char *what)
{
	quire_broken_t broken = machine_check(w->m);

	if (!what) {
		assert_null(broken);
	} else {
		assert_non_null(broken);
		assert_non_null(strstr(broken, what));
	}
}

/* ---- What can be reached ----------------------------------------------------------------- */

static void test_a_frame_is_the_same_at_all_its_addresses(void **state)
{
	struct world *w = *state;
	volatile uint32_t *direct = quire_page_to_virt(w->q, w->page);
	volatile uint32_t *there = ptr(w, w->l->vmalloc_start);

	map(w, w->l->vmalloc_start, pa_of(w, w->page), P | RW);
	direct[5] = 0x12345678;
	assert_int_equal(there[5], 0x12345678);
	there[6] = 0x9abcdef0;
	assert_int_equal(direct[6], 0x9abcdef0);
	assert_int_equal(quire_ptr_to_kaddr(w->q, (void *)(uintptr_t)&there[5]),
			 w->l->vmalloc_start + 20);
	assert_int_equal(quire_ptr_to_kaddr(w->q, (void *)(uintptr_t)direct),
			 w->l->page_offset + pa_of(w, w->page));
	check_says(w, NULL);
}

static void test_what_is_not_mapped_cannot_be_touched(void **state)
{
	struct world *w = *state;

	assert_false(can_read(w, ptr(w, w->l->vmalloc_start)));
	assert_false(can_write(w, ptr(w, w->l->vmalloc_start)));
	assert_false(can_read(w, ptr(w, w->l->vmalloc_end - 1)));
	assert_false(can_read(w, ptr(w, w->l->fixaddr_start)));
	map(w, w->l->vmalloc_start, pa_of(w, w->page), P | RW);
	assert_true(can_read(w, ptr(w, w->l->vmalloc_start)));
	assert_false(can_read(w, ptr(w, w->l->vmalloc_start + PAGE)));
}

static void test_an_access_that_runs_over_the_end_faults_there(void **state)
{
	struct world *w = *state;
	char out[8] = "abcdefg", in[4] = {0};

	map(w, w->l->vmalloc_start, pa_of(w, w->page), P | RW);
	assert_int_equal(machine_probe_write(w->m, ptr(w, w->l->vmalloc_start + PAGE - 3), out, 8),
			 -QUIRE_EFAULT);
	assert_int_equal(machine_probe_read(w->m, ptr(w, w->l->vmalloc_start + PAGE - 3), in, 3),
			 0);
	assert_memory_equal(in, "abc", 3);
}

/* Whoever adds to get a pointer to a high frame gets one that leads nowhere. */
static void test_a_high_frame_has_no_address_of_its_own(void **state)
{
	struct world *w = *state;
	unsigned char *direct = ptr(w, w->l->page_offset);

	assert_int_equal(w->l->high_memory, w->l->page_offset + LOW);
	assert_true(can_read(w, direct + LOW - 1));
	assert_false(can_read(w, direct + LOW));
	assert_false(can_read(w, direct + RAM - 1));
	map(w, w->l->vmalloc_start, LOW + PAGE, P | RW);
	assert_true(can_write(w, ptr(w, w->l->vmalloc_start)));
}

/* ---- Rights and marks -------------------------------------------------------------------- */

static void test_rights_are_the_leafs(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start;

	map(w, at, pa_of(w, w->page), P | A);
	assert_true(can_read(w, ptr(w, at)));
	assert_false(can_write(w, ptr(w, at)));
	/* Kernel stores obey R/W, for WP is set; and more rights need no flush. */
	map(w, at, pa_of(w, w->page), P | RW);
	assert_true(can_write(w, ptr(w, at)));
	/* Fewer do. */
	map(w, at, pa_of(w, w->page), P);
	assert_true(can_write(w, ptr(w, at)));
	flush(w, at, at + PAGE, 0);
	assert_false(can_write(w, ptr(w, at)));
	assert_true(can_read(w, ptr(w, at)));
}

static void test_an_upper_entry_limits_all_below(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start;
	void *upper;

	map(w, at, pa_of(w, w->page), P | RW);
	upper = entry_at(w, at, 2);
	set(w, upper, get(w, upper) & ~RW);
	assert_true(can_read(w, ptr(w, at)));
	assert_false(can_write(w, ptr(w, at)));
}

static void test_code_is_what_may_be_executed(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start;

	map(w, at, pa_of(w, w->page), P);
	assert_int_equal(machine_probe_exec(w->m, ptr(w, at)), 0);
	assert_int_equal(machine_probe_exec(w->m, ptr(w, at + PAGE)), -QUIRE_EFAULT);
	if (w->paging->no_execute) {
		map(w, at, pa_of(w, w->page), P | XD);
		flush(w, at, at + PAGE, 0);
		assert_int_equal(machine_probe_exec(w->m, ptr(w, at)), -QUIRE_EFAULT);
		assert_true(can_read(w, ptr(w, at)));
		assert_int_equal(machine_probe_exec(w->m, ptr(w, at)), -QUIRE_EFAULT);
	}
}

/* On a host of its own kind code in the window runs. */
static void test_code_in_the_window_runs(void **state)
{
#if defined(__x86_64__)
	static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
	struct world *w = *state;
	int (*fn)(void) = (int (*)(void))(uintptr_t)ptr(w, w->l->vmalloc_start);

	memcpy(quire_page_to_virt(w->q, w->page), code, sizeof(code));
	map(w, w->l->vmalloc_start, pa_of(w, w->page), P);
	assert_int_equal(fn(), 42);
#else
	(void)state;
	skip();
#endif
}

static void test_accesses_are_marked(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start;
	void *leaf = entry_at(w, at, 1), *upper = entry_at(w, at, 2);

	map(w, at, pa_of(w, w->page), P | RW);
	assert_int_equal(get(w, upper) & A, 0);
	assert_true(can_read(w, ptr(w, at)));
	assert_int_equal(get(w, leaf) & (A | D), A);
	assert_int_equal(get(w, upper) & A, A);
	assert_true(can_write(w, ptr(w, at)));
	assert_int_equal(get(w, leaf) & (A | D), A | D);
	check_says(w, NULL);
}

static void test_a_page_that_user_code_can_reach_is_reported(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start;
	unsigned level;

	map(w, at, pa_of(w, w->page), P | RW | US);
	/* In the root of PAE there is no such bit, and it allows. */
	for (level = 2; level <= w->paging->levels - w->paging->root_is_bare; level++)
		set(w, entry_at(w, at, level), get(w, entry_at(w, at, level)) | US);
	machine_set_quiet(w->m, true);
	assert_false(can_read(w, ptr(w, at)));
	assert_true(machine_expect_report(w->m, "user code can reach a page of the kernel's"));
	assert_false(machine_failed(w->m));
	map(w, at, pa_of(w, w->page), P | RW);
	assert_true(can_read(w, ptr(w, at)));
}

/* ---- The TLB ----------------------------------------------------------------------------- */

static void test_an_entry_stays_until_it_is_flushed(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start + 7 * PAGE;
	volatile unsigned char *p = ptr(w, at);

	map(w, at, pa_of(w, w->page), P | RW);
	p[0] = 1;
	map(w, at, pa_of(w, w->other), P | RW);
	p[0] = 2;
	assert_int_equal(*(unsigned char *)quire_page_to_virt(w->q, w->page), 2);
	check_says(w, "frame is that of the tables");
	flush(w, at - PAGE, at, 0);
	flush(w, at + PAGE, at + 2 * PAGE, 0);
	assert_int_equal(p[0], 2);
	flush(w, at - PAGE, at + PAGE, 0);
	assert_int_equal(p[0], 0);
	map(w, at, 0, 0);
	assert_int_equal(p[0], 0);
	check_says(w, NULL); /* a flush is owed, in the vmalloc area */
	flush(w, 0, UINT64_MAX, 0);
	assert_false(can_read(w, ptr(w, at)));
	assert_true(can_read(w, quire_page_to_virt(w->q, w->page)));
}

static void test_a_flush_of_a_users_space_leaves_the_kernels_entries(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start;
	uint64_t all = 1;
	const struct quire_tlb_flush fl = {.asid = 5, .start = 0, .end = UINT64_MAX, .cpus = &all};

	map(w, at, pa_of(w, w->page), P | RW);
	assert_true(can_read(w, ptr(w, at)));
	map(w, at, 0, 0);
	quire_port_tlb_flush(w->q, &fl);
	quire_port_tlb_flush_local(w->q, 5, at);
	assert_true(can_read(w, ptr(w, at)));
	quire_port_tlb_flush_local(w->q, 0, at + PAGE);
	assert_true(can_read(w, ptr(w, at)));
	quire_port_tlb_flush_local(w->q, 0, at + 123);
	assert_false(can_read(w, ptr(w, at)));
}

/* CPU 0 walks; CPU 1 has flushed, CPU 0 not. */
static void read_on(struct machine *m, unsigned cpu, void *arg)
{
	struct world *w = arg;

	if (cpu == 1)
		assert_true(can_read(w, ptr(w, w->l->vmalloc_start)));
}

static void test_an_entry_is_of_the_cpus_that_walked_for_it(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start;

	map(w, at, pa_of(w, w->page), P | RW);
	machine_run_cpus(w->m, 2, read_on, w);
	map(w, at, 0, 0);
	quire_port_tlb_flush_local(w->q, 0, at);
	flush(w, at, at + PAGE, 1u << 0 | 1u << 2);
	assert_true(can_read(w, ptr(w, at)));
	flush(w, at, at + PAGE, 1u << 1);
	assert_false(can_read(w, ptr(w, at)));
}

static void test_a_large_leaf_is_one_entry(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = (w->l->vmalloc_start + large(w) - 1) & ~(large(w) - 1), pa = 8 * M;
	struct machine_stats before, after;
	uint64_t i;

	set(w, entry_at(w, at, 2), pa | P | RW | PS);
	before = stats(w);
	for (i = 0; i < large(w); i += PAGE)
		*(volatile uint64_t *)ptr(w, at + i) = i;
	after = stats(w);
	assert_int_equal(after.kernel_walks - before.kernel_walks, 1);
	for (i = 0; i < large(w); i += PAGE)
		assert_int_equal(*(volatile uint64_t *)ptr(w, w->l->page_offset + pa + i), i);
	check_says(w, NULL);
	/* Split, with one page read-only: the large entry is as it was until one of its addresses is flushed. */
	set(w, entry_at(w, at, 2), 0);
	for (i = 0; i < large(w); i += PAGE)
		map(w, at + i, pa + i, P | (i == 5 * PAGE ? 0 : RW));
	assert_true(can_write(w, ptr(w, at + 5 * PAGE)));
	check_says(w, "rights are at most");
	flush(w, at + 5 * PAGE, at + 6 * PAGE, 0);
	assert_false(can_write(w, ptr(w, at + 5 * PAGE)));
	assert_true(can_write(w, ptr(w, at + 4 * PAGE)));
	check_says(w, NULL);
}

static void test_an_entry_outside_the_vmalloc_area_may_not_be_owed(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->fixaddr_start;

	map(w, at, pa_of(w, w->page), P | RW);
	assert_true(can_read(w, ptr(w, at)));
	check_says(w, NULL);
	map(w, at, 0, 0);
	check_says(w, "page is in the tables");
	quire_port_tlb_flush_local(w->q, 0, at);
	check_says(w, NULL);
}

static void test_a_frame_that_is_freed_before_the_flush_is_reported(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start;

	map(w, at, pa_of(w, w->page), P | RW);
	assert_true(can_read(w, ptr(w, at)));
	map(w, at, 0, 0);
	machine_set_quiet(w->m, true);
	quire_page_free(w->q, w->page, 0);
	w->page = NULL;
	if (QUIRE_DEBUG)
		assert_true(
			machine_expect_report(w->m, "a frame is freed while a TLB still maps it"));
	/* In the direct map everything is mapped at all times. */
	assert_true(can_read(w, quire_page_to_virt(w->q, w->other)));
	map(w, at, pa_of(w, w->other), P | RW);
	flush(w, at, at + PAGE, 0);
	assert_true(can_read(w, ptr(w, at)));
	map(w, at, 0, 0);
	flush(w, at, at + PAGE, 0);
	quire_page_free(w->q, w->other, 0);
	w->other = NULL;
	assert_false(machine_failed(w->m));
}

static void test_tables_that_map_a_freed_frame_are_reported(void **state)
{
	struct world *w = *state;
	map(w, w->l->vmalloc_start, pa_of(w, w->page), P | RW);
	quire_page_free(w->q, w->page, 0);
	w->page = NULL;
	machine_set_quiet(w->m, true);
	if (QUIRE_DEBUG) {
		assert_false(can_read(w, ptr(w, w->l->vmalloc_start)));
		assert_true(machine_expect_report(w->m, "the kernel's tables map a freed frame"));
	}
	assert_false(machine_failed(w->m));
}

/* More than a host can have mapped one by one: the window forgets, and walks again. */
static void test_there_may_be_more_pages_than_a_host_can_map(void **state)
{
	struct machine_config config = config_of(&x86_64);
	struct world *w[] = {*state, begin(&x86_64, &config)};
	uint64_t i, k;

	for (k = 0; k < 2; k++) {
		*(volatile char *)quire_page_to_virt(w[k]->q, w[k]->page) = 'p';
		*(volatile char *)quire_page_to_virt(w[k]->q, w[k]->other) = 'o';
		for (i = 0; i < 40000; i++)
			map(w[k], w[k]->l->vmalloc_start + 2 * i * PAGE,
			    pa_of(w[k], i % 2 ? w[k]->page : w[k]->other), P | RW);
	}
	for (i = 0; i < 40000; i++) {
		for (k = 0; k < 2; k++)
			assert_int_equal(
				*(volatile char *)ptr(w[k], w[k]->l->vmalloc_start + 2 * i * PAGE),
				i % 2 ? 'p' : 'o');
	}
	check_says(w[0], NULL);
	check_says(w[1], NULL);
	end(w[1]);
}

/* ---- CPUs -------------------------------------------------------------------------------- */

struct race {
	struct world *w;
	uint64_t sum[3]; /* of what each CPU did */
};

/* CPUs 0 and 1 count in a page that CPU 2 maps now to one address, now to another. */
static void count(struct machine *m, unsigned cpu, void *arg)
{
	struct race *race = arg;
	struct world *w = race->w;
	quire_kaddr_t at = w->l->vmalloc_start;
	unsigned i;

	for (i = 0; i < 300; i++) {
		if (cpu == 2) {
			flush(w, at, at + PAGE, 0);
		} else {
			__atomic_fetch_add((uint64_t *)ptr(w, at), 1, __ATOMIC_RELAXED);
			race->sum[cpu]++;
		}
	}
}

static void test_cpus_fault_and_flush_at_once(void **state)
{
	struct world *w = *state;
	struct race race = {.w = w};

	map(w, w->l->vmalloc_start, pa_of(w, w->page), P | RW);
	machine_run_cpus(w->m, 3, count, &race);
	assert_int_equal(race.sum[0] + race.sum[1], 600);
	assert_int_equal(*(uint64_t *)quire_page_to_virt(w->q, w->page), 600);
	check_says(w, NULL);
}

static void handler(struct machine *m, void *arg)
{
	struct world *w = arg;

	assert_true(quire_port_in_interrupt(w->q));
	/* Interrupts are off: saving says so. */
	assert_int_equal(quire_port_irq_save(w->q), 1);
	quire_port_irq_restore(w->q, 1);
	assert_true(can_write(w, ptr(w, w->l->vmalloc_start)));
	if (!machine_probe_write(m, ptr(w, w->l->vmalloc_start + PAGE), "n", 1)) {
		map(w, w->l->vmalloc_start + PAGE, 0, 0);
		quire_port_tlb_flush_local(w->q, 0, w->l->vmalloc_start + PAGE);
		machine_interrupt(m, handler, w);
	}
}

static void test_a_cpu_is_interrupted(void **state)
{
	struct world *w = *state;

	map(w, w->l->vmalloc_start, pa_of(w, w->page), P | RW);
	map(w, w->l->vmalloc_start + PAGE, pa_of(w, w->other), P | RW);
	assert_false(quire_port_in_interrupt(w->q));
	machine_interrupt(w->m, handler, w);
	assert_false(can_read(w, ptr(w, w->l->vmalloc_start + PAGE))); /* the nested one was */
	assert_false(quire_port_in_interrupt(w->q));
	assert_int_equal(quire_port_irq_save(w->q), 0);
	quire_port_irq_restore(w->q, 0);
}

/* ---- Machines ---------------------------------------------------------------------------- */

static void test_machines_have_windows_of_their_own(void **state)
{
	struct world *w = *state, *v;
	struct machine_config config = config_of(&pae);

	v = begin(&pae, &config);
	map(w, w->l->vmalloc_start, pa_of(w, w->page), P | RW);
	map(v, v->l->vmalloc_start, pa_of(v, v->page), P | RW);
	*(volatile char *)ptr(w, w->l->vmalloc_start) = 'w';
	*(volatile char *)ptr(v, v->l->vmalloc_start) = 'v';
	assert_int_equal(*(volatile char *)ptr(w, w->l->vmalloc_start), 'w');
	assert_int_equal(*(volatile char *)quire_page_to_virt(v->q, v->page), 'v');
	flush(v, 0, UINT64_MAX, 0);
	map(w, w->l->vmalloc_start, 0, 0);
	assert_true(can_read(w, ptr(w, w->l->vmalloc_start)));
	end(v);
	flush(w, 0, UINT64_MAX, 0);
	assert_false(can_read(w, ptr(w, w->l->vmalloc_start)));
}

/* The whole of what PAE's first processors could address. */
static void test_sixty_four_gigabytes(void **state)
{
	const struct paging *paging = *state;
	struct machine_config config = config_of(paging);
	const quire_paddr_t pa[] = {1 * G, 4 * G, 33 * G + PAGE, 64 * G - PAGE};
	struct world *w;
	uint64_t value;
	unsigned i;

	config.ram_bytes = 64 * G;
	if (paging->fmt->va_bits != 32)
		config.high_memory = LOW;
	w = begin(paging, &config);
	for (i = 0; i < QUIRE_ARRAY_SIZE(pa); i++) {
		map(w, w->l->vmalloc_start + i * PAGE, pa[i], P | RW);
		map(w, w->l->vmalloc_start + (100 + i) * PAGE, pa[i], P | RW);
		*(volatile uint64_t *)ptr(w, w->l->vmalloc_start + i * PAGE) = pa[i];
	}
	for (i = 0; i < QUIRE_ARRAY_SIZE(pa); i++) {
		value = *(volatile uint64_t *)ptr(w, w->l->vmalloc_start + (100 + i) * PAGE);
		assert_int_equal(value, pa[i]);
		assert_false(can_read(w, (char *)ptr(w, w->l->page_offset) + pa[i]));
	}
	end(w);
	*state = NULL;
}

/* ---- On the tables that Quire makes ------------------------------------------------------ */

static struct world real;

static int setup_real(void **state)
{
	struct paging *paging = *state;
	struct machine_config config = config_of(paging);

	memset(&real, 0, sizeof(real));
	real.paging = paging;
	assert_int_equal(machine_create(&config, &real.m), 0);
	real.q = machine_quire(real.m);
	real.l = machine_layout(real.m);
	real.page = quire_page_alloc(real.q, QUIRE_GFP_ZERO, 0);
	assert_non_null(real.page);
	*state = &real;
	return 0;
}

static int teardown_real(void **state)
{
	(void)state;
	check_says(&real, NULL);
	if (real.page)
		quire_page_free(real.q, real.page, 0);
	assert_int_equal(machine_destroy(real.m), 0);
	return 0;
}

static void kmap_page(struct world *w, quire_kaddr_t at, struct quire_page *page,
		      quire_ptebits_t rights)
{
	struct quire_cursor c;

	assert_int_equal(quire_tables_populate(w->q->kernel, at, at + PAGE), 0);
	quire_cursor_open(&c, w->q->kernel, at, at + PAGE, 0);
	assert_true(quire_cursor_seek(&c, at));
	quire_cursor_set(
		&c, at,
		quire_pte_make(w->q->fmt, quire_page_to_pfn(w->q, page),
			       rights | QUIRE_PTE_GLOBAL | QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY));
	quire_cursor_close(&c);
}

static void kunmap_page(struct world *w, quire_kaddr_t at, uint32_t flags)
{
	struct quire_cursor c;

	quire_cursor_open(&c, w->q->kernel, at, at + PAGE, flags);
	assert_true(quire_cursor_seek(&c, at));
	(void)quire_cursor_clear(&c, at);
	quire_cursor_close(&c);
}

#define KRW (QUIRE_PTE_READ | QUIRE_PTE_WRITE)

static void test_the_direct_map_has_all_low_memory_and_no_hole(void **state)
{
	struct world *w = *state;
	unsigned char *direct = ptr(w, w->l->page_offset);
	quire_paddr_t pa;

	for (pa = M; pa < LOW; pa += PAGE)
		assert_true(can_read(w, direct + pa));
	assert_false(can_read(w, direct + M - 1));
	assert_false(can_read(w, direct + LOW));
	assert_true(can_write(w, quire_page_to_virt(w->q, w->page)));
	assert_int_equal(machine_probe_exec(w->m, quire_page_to_virt(w->q, w->page)),
			 w->paging->no_execute ? -QUIRE_EFAULT : 0);
}

static void test_an_area_has_the_pages_that_the_cursor_gives_it(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start + 3 * PAGE;

	assert_false(can_read(w, ptr(w, at)));
	kmap_page(w, at, w->page, KRW);
	*(volatile char *)ptr(w, at) = 'q';
	assert_int_equal(*(volatile char *)quire_page_to_virt(w->q, w->page), 'q');
	kunmap_page(w, at, 0);
	assert_false(can_read(w, ptr(w, at)));
	kmap_page(w, at, w->page, QUIRE_PTE_READ);
	assert_true(can_read(w, ptr(w, at)));
	assert_false(can_write(w, ptr(w, at)));
	kunmap_page(w, at, 0);
}

static void test_a_lazy_unmapping_is_seen_until_it_is_flushed(void **state)
{
	struct world *w = *state;
	quire_kaddr_t at = w->l->vmalloc_start;

	kmap_page(w, at, w->page, KRW);
	assert_true(can_write(w, ptr(w, at)));
	kunmap_page(w, at, QUIRE_CURSOR_LAZY);
	assert_true(can_write(w, ptr(w, at)));
	check_says(w, NULL);
	machine_set_quiet(w->m, true);
	quire_page_free(w->q, w->page, 0);
	w->page = NULL;
	if (QUIRE_DEBUG)
		assert_true(
			machine_expect_report(w->m, "a frame is freed while a TLB still maps it"));
	quire_pgtable_flush(w->q->kernel, at, at + PAGE);
	assert_false(can_read(w, ptr(w, at)));
	assert_false(machine_failed(w->m));
}

static int no_help(void *ctx, struct quire_pgtable *pt, quire_uaddr_t addr, uint32_t access,
		   struct quire_signal *sig)
{
	(void)ctx;
	(void)pt;
	(void)access;
	*sig = (struct quire_signal){
		.signo = QUIRE_SIGSEGV, .code = QUIRE_SEGV_MAPERR, .addr = addr};
	return -QUIRE_EFAULT;
}

static void touch(struct machine *m, void *arg)
{
	*(volatile char *)arg = 'i';
	assert_true(quire_port_in_interrupt(machine_quire(m)));
}

/*
 * A space is made, then the kernel maps something. Where the root has no entry for it yet, as with two levels, a CPU in
 * that space faults once for each entry; wherever all are made before, never.
 */
static void test_a_space_learns_of_the_kernels_new_tables(void **state)
{
	struct world *w = *state;
	const bool learns = w->q->fmt->levels == 2;
	const quire_kaddr_t top = w->l->vmalloc_start,
			    next = top + (UINT64_C(1) << w->q->fmt->shift[1]);
	struct quire_pgtable pt;
	uint64_t faults;
	char byte;

	assert_int_equal(quire_pgtable_init(w->q, &pt, w->q->fmt), 0);
	machine_set_fault(w->m, no_help, NULL);
	kmap_page(w, top, w->page, KRW);
	kmap_page(w, next, w->page, KRW);
	/* In no space the kernel's root is loaded. */
	*(volatile char *)ptr(w, top) = 'k';
	faults = stats(w).kernel_faults;
	assert_int_equal(faults, 0);
	quire_pgtable_flush(w->q->kernel, top, top + PAGE);

	machine_switch(w->m, &pt);
	assert_int_equal(*(volatile char *)ptr(w, top), 'k');
	assert_int_equal(stats(w).kernel_faults, learns);
	machine_interrupt(w->m, touch, ptr(w, next));
	assert_int_equal(stats(w).kernel_faults, 2 * learns);
	quire_pgtable_flush(w->q->kernel, top, next + PAGE);
	assert_int_equal(*(volatile char *)ptr(w, top), 'i');
	assert_int_equal(stats(w).kernel_faults, 2 * learns);
	/* What is not there is not in the kernel's tables either. */
	assert_false(can_read(w, ptr(w, top + PAGE)));
	/* And none of it is user code's. */
	assert_int_equal(machine_load(w->m, top, &byte, 1, NULL), -QUIRE_EFAULT);
	machine_switch(w->m, NULL);
	assert_int_equal(*(volatile char *)ptr(w, top), 'i');

	kunmap_page(w, top, 0);
	kunmap_page(w, next, 0);
	quire_pgtable_destroy(&pt);
}

static void test_the_hosts_own_parts_are_in_the_window(void **state)
{
	struct world *w = *state;
	/* In the hole behind the direct map of 32 bits, or where x86-64's image is. */
	const quire_kaddr_t at =
		w->q->fmt->va_bits == 32 ? w->l->high_memory + 4 * M : 0xffffffff80000000;

	assert_int_equal(
		quire_kernel_map(w->q, at, 8 * M, 3 * PAGE, QUIRE_PTE_READ, QUIRE_CACHE_WB), 0);
	assert_true(can_read(w, ptr(w, at + 3 * PAGE - 1)));
	assert_false(can_write(w, ptr(w, at)));
	assert_false(can_read(w, ptr(w, at + 3 * PAGE)));
	assert_int_equal(quire_kernel_unmap(w->q, at, 3 * PAGE), 0);
	assert_false(can_read(w, ptr(w, at)));
}

/* In a space that was made when the direct map still had its large leaves. */
static void test_rights_of_the_direct_map_change_for_every_cpu(void **state)
{
	struct world *w = *state;
	unsigned char *direct = quire_page_to_virt(w->q, w->page);
	const quire_kaddr_t at = w->l->page_offset + pa_of(w, w->page);
	struct quire_pgtable pt;

	assert_int_equal(quire_pgtable_init(w->q, &pt, w->q->fmt), 0);
	machine_switch(w->m, &pt);
	assert_true(can_write(w, direct));
	assert_int_equal(quire_set_memory_ro(w->q, at, 1), 0);
	assert_false(can_write(w, direct));
	assert_true(can_read(w, direct));
	/* The next frame may be somebody's: what is written is what is there. */
	assert_int_equal(machine_probe_write(w->m, direct + PAGE, direct + PAGE, 1), 0);
	assert_int_equal(quire_set_memory_np(w->q, at, 1), 0);
	assert_false(can_read(w, direct));
	machine_switch(w->m, NULL);
	assert_false(can_read(w, direct));
	assert_int_equal(quire_set_memory_p(w->q, at, 1), 0);
	assert_int_equal(quire_set_memory_rw(w->q, at, 1), 0);
	assert_true(can_write(w, direct));
	quire_pgtable_destroy(&pt);
}

/* Two gigabytes of a PC: the direct map has 896 MiB of them, up to 0xf8000000. */
static void test_what_the_direct_map_does_not_have_is_high_memory(void **state)
{
	const struct paging *paging = *state;
	const struct machine_config config = {
		.ram_bytes = 2 * G, .fmt = paging->fmt, .window = true};
	struct world w = {.paging = paging};
	quire_kaddr_t at;

	assert_int_equal(machine_create(&config, &w.m), 0);
	w.q = machine_quire(w.m);
	w.l = machine_layout(w.m);
	at = w.l->vmalloc_start;
	assert_int_equal(w.l->high_memory, 0xf8000000);
	w.page = quire_page_alloc(w.q, QUIRE_GFP_HIGHUSER, 0);
	assert_non_null(w.page);
	assert_true(quire_page_is_high(w.page));
	assert_true(pa_of(&w, w.page) >= 896 * M);
	assert_false(can_read(&w, (char *)ptr(&w, w.l->page_offset) + pa_of(&w, w.page)));
	kmap_page(&w, at, w.page, KRW);
	assert_true(can_write(&w, ptr(&w, at)));
	kunmap_page(&w, at, 0);
	assert_false(can_read(&w, ptr(&w, at)));
	quire_page_free(w.q, w.page, 0);
	assert_int_equal(machine_destroy(w.m), 0);
}

/* Every CPU has some pages of its own, maps and unmaps them, and looks whether the others' are what they should be. */
static void map_and_unmap(struct machine *m, unsigned cpu, void *arg)
{
	struct world *w = arg;
	const quire_kaddr_t at = w->l->vmalloc_start + cpu * 16 * PAGE;
	struct quire_pgtable pt;
	struct quire_page *page;
	unsigned i;

	if (cpu == 1) {
		assert_int_equal(quire_pgtable_init(w->q, &pt, w->q->fmt), 0);
		machine_switch(m, &pt);
	}
	for (i = 0; i < 100; i++) {
		page = quire_page_alloc(w->q, 0, 0);
		assert_non_null(page);
		kmap_page(w, at + i % 16 * PAGE, page, KRW);
		*(volatile unsigned *)ptr(w, at + i % 16 * PAGE) = i;
		assert_int_equal(*(volatile unsigned *)quire_page_to_virt(w->q, page), i);
		kunmap_page(w, at + i % 16 * PAGE, 0);
		quire_page_free(w->q, page, 0);
	}
	if (cpu == 1) {
		machine_switch(m, NULL);
		quire_pgtable_destroy(&pt);
	}
}

static void test_cpus_map_and_unmap(void **state)
{
	struct world *w = *state;

	machine_run_cpus(w->m, 3, map_and_unmap, w);
	assert_false(machine_failed(w->m));
	assert_false(can_read(w, ptr(w, w->l->vmalloc_start)));
}

/* ---- Accesses that end the process ------------------------------------------------------- */

/* What fn in a machine of a child's own says on standard error before it aborts. */
static void dies_saying(const struct paging *paging, void (*fn)(struct world *w), const char *what)
{
	struct machine_config config = config_of(paging);
	char text[2048];
	size_t used = 0;
	int pipes[2], status;
	ssize_t n;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		dup2(pipes[1], 2);
		signal(SIGABRT, SIG_DFL);
		fn(begin(paging, &config));
		_exit(0);
	}
	close(pipes[1]);
	while ((n = read(pipes[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = 0;
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!strstr(text, what))
		fail_msg("\"%s\" was to be in: %s", what, text);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void load_from_the_hole(struct world *w)
{
	(void)*(volatile char *)ptr(w, w->l->high_memory + 5);
}

static void store_behind_an_area(struct world *w)
{
	map(w, w->l->vmalloc_start, pa_of(w, w->page), P | RW);
	memset(ptr(w, w->l->vmalloc_start), 0, PAGE);
	*(volatile char *)ptr(w, w->l->vmalloc_start + PAGE) = 1;
}

static void store_to_what_is_read_only(struct world *w)
{
	map(w, w->l->fixaddr_start, pa_of(w, w->page), P);
	*(volatile char *)ptr(w, w->l->fixaddr_start) = 1;
}

static void ask_for_a_high_frame(struct world *w)
{
	(void)*(volatile char *)quire_port_phys_to_virt(w->q, LOW + PAGE);
}

static void interrupt_with_interrupts_off(struct world *w)
{
	(void)quire_port_irq_save(w->q);
	machine_interrupt(w->m, handler, w);
}

static void test_a_bad_access_ends_the_process_with_a_sentence(void **state)
{
	const struct paging *paging = *state;

	if (paging->fmt->va_bits == 32) {
		/* Without checks it is the access that fails. */
		dies_saying(paging, ask_for_a_high_frame,
			    QUIRE_DEBUG ? "lies beyond the direct map"
					: "in the hole behind the direct map");
		dies_saying(
			paging, load_from_the_hole,
			"CPU 0 loads from 0xc3000005, in the hole behind the direct map: nothing is mapped there");
	}
	dies_saying(paging, store_behind_an_area,
		    "1000, in the vmalloc area: nothing is mapped there");
	dies_saying(paging, store_to_what_is_read_only, ", in the fixmap: it is mapped read-only");
	dies_saying(paging, interrupt_with_interrupts_off, "which has interrupts off");
}

static void on_segv(int signo)
{
	(void)signo;
	_exit(7);
}

/* Not in the window: whoever had the signal before the machine came gets it. */
static void test_other_faults_are_passed_on(void **state)
{
	struct machine_config config = config_of(*state);
	struct sigaction sa = {.sa_handler = on_segv};
	uintptr_t volatile nowhere = 4096;
	struct machine *m;
	int status;
	pid_t child = fork();

	if (child == 0) {
		sigaction(SIGSEGV, &sa, NULL);
		if (machine_create(&config, &m))
			_exit(1);
		*(volatile char *)nowhere = 1;
		_exit(2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

/* ------------------------------------------------------------------------------------------ */

#define ON(paging, name)                                                                           \
	{                                                                                          \
#name " on " #paging, name, setup, teardown, (void *)(uintptr_t) & (paging)        \
	}
#define ALONE(paging, name)                                                                        \
	{                                                                                          \
#name " on " #paging, name, NULL, NULL, (void *)(uintptr_t) & (paging)             \
	}
#define ON_ALL(name) ON(i386, name), ON(pae, name), ON(x86_64, name)
#define REAL(paging, name)                                                                         \
	{                                                                                          \
#name " on " #paging, name, setup_real, teardown_real,                             \
			(void *)(uintptr_t) & (paging)                                             \
	}
#define REAL_ALL(name)                                                                             \
	REAL(i386, name), REAL(pae, name), REAL(x86_64, name), REAL(five_levels, name),            \
		REAL(aarch64, name), REAL(sv32, name), REAL(sv39, name), REAL(sv48, name),         \
		REAL(sv57, name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_ALL(test_a_frame_is_the_same_at_all_its_addresses),
		ON_ALL(test_what_is_not_mapped_cannot_be_touched),
		ON_ALL(test_an_access_that_runs_over_the_end_faults_there),
		ON(i386, test_a_high_frame_has_no_address_of_its_own),
		ON(pae, test_a_high_frame_has_no_address_of_its_own),
		ON_ALL(test_rights_are_the_leafs),
		ON_ALL(test_an_upper_entry_limits_all_below),
		ON_ALL(test_code_is_what_may_be_executed),
		ON_ALL(test_code_in_the_window_runs),
		ON_ALL(test_accesses_are_marked),
		ON_ALL(test_a_page_that_user_code_can_reach_is_reported),
		ON_ALL(test_an_entry_stays_until_it_is_flushed),
		ON_ALL(test_a_flush_of_a_users_space_leaves_the_kernels_entries),
		ON_ALL(test_an_entry_is_of_the_cpus_that_walked_for_it),
		ON_ALL(test_a_large_leaf_is_one_entry),
		ON_ALL(test_an_entry_outside_the_vmalloc_area_may_not_be_owed),
		ON_ALL(test_a_frame_that_is_freed_before_the_flush_is_reported),
		ON_ALL(test_tables_that_map_a_freed_frame_are_reported),
		ON(x86_64, test_there_may_be_more_pages_than_a_host_can_map),
		ON_ALL(test_cpus_fault_and_flush_at_once),
		ON_ALL(test_a_cpu_is_interrupted),
		ON_ALL(test_machines_have_windows_of_their_own),
		ALONE(i386, test_what_the_direct_map_does_not_have_is_high_memory),
		ALONE(pae, test_what_the_direct_map_does_not_have_is_high_memory),
		ALONE(sv32, test_what_the_direct_map_does_not_have_is_high_memory),
		ALONE(pae, test_sixty_four_gigabytes),
		ALONE(x86_64, test_sixty_four_gigabytes),
		REAL_ALL(test_the_direct_map_has_all_low_memory_and_no_hole),
		REAL_ALL(test_an_area_has_the_pages_that_the_cursor_gives_it),
		REAL_ALL(test_a_lazy_unmapping_is_seen_until_it_is_flushed),
		REAL_ALL(test_a_space_learns_of_the_kernels_new_tables),
		REAL(i386, test_the_hosts_own_parts_are_in_the_window),
		REAL(x86_64, test_the_hosts_own_parts_are_in_the_window),
		REAL_ALL(test_rights_of_the_direct_map_change_for_every_cpu),
		REAL_ALL(test_cpus_map_and_unmap),
		ALONE(i386, test_a_bad_access_ends_the_process_with_a_sentence),
		ALONE(x86_64, test_a_bad_access_ends_the_process_with_a_sentence),
		ALONE(i386, test_other_faults_are_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * The simulated machine: its MMU against hand-written tables, its TLB that is stale until flushed,
 * and its checks, each shown to fail on a sequence that is wrong on purpose. Page tables come from
 * the cursor where that is the subject, and are changed by hand where the hardware is.
 */
#include "machine_fixture.h"

/* ---- Loads and stores -------------------------------------------------------------------- */

static void test_what_is_stored_is_loaded(void **state)
{
	struct fixture *f = *state;
	struct quire_page *page = map_page(f, BASE, RWU);
	const size_t sizes[] = { 1, 2, 3, 4, 7, 8, 64, 4096 };
	unsigned char out[4096], in[4096];
	size_t i, k;

	for (i = 0; i < QUIRE_ARRAY_SIZE(sizes); i++) {
		size_t at = sizes[i] == 4096 ? 0 : 40 * i;

		for (k = 0; k < sizes[i]; k++)
			out[k] = (unsigned char)(k * 7 + i);
		memset(in, 0, sizeof(in));
		assert_int_equal(machine_store(f->m, BASE + at, out, sizes[i], NULL), 0);
		assert_memory_equal((unsigned char *)ram_of(f, page) + at, out, sizes[i]);
		assert_int_equal(machine_load(f->m, BASE + at, in, sizes[i], NULL), 0);
		assert_memory_equal(in, out, sizes[i]);
	}
	assert_int_equal(f->faults, 0);
}

static void test_an_access_may_cross_a_page(void **state)
{
	struct fixture *f = *state;
	struct quire_page *first = map_page(f, BASE, RWU), *second = map_page(f, BASE + PAGE, RWU);
	unsigned char in[8];

	assert_int_equal(machine_store(f->m, BASE + PAGE - 3, "abcdefgh", 8, NULL), 0);
	assert_memory_equal((char *)ram_of(f, first) + PAGE - 3, "abc", 3);
	assert_memory_equal(ram_of(f, second), "defgh", 5);
	assert_int_equal(machine_load(f->m, BASE + PAGE - 3, in, 8, NULL), 0);
	assert_memory_equal(in, "abcdefgh", 8);
}

static void test_an_access_that_faults_in_its_second_page_does_nothing(void **state)
{
	struct fixture *f = *state;
	struct quire_page *first = map_page(f, BASE, RWU);
	struct quire_signal sig = { 0 };

	assert_int_equal(machine_store(f->m, BASE + PAGE - 3, "abcdefgh", 8, &sig), -QUIRE_EFAULT);
	assert_int_equal(f->fault_addr, BASE + PAGE); /* the first byte that could not be had */
	assert_int_equal(sig.addr, BASE + PAGE);
	assert_int_equal(((char *)ram_of(f, first))[PAGE - 3], 0);
}

static void test_a_fault_that_is_served_is_tried_again(void **state)
{
	struct fixture *f = *state;
	unsigned char in[3] = { 0 };

	f->serve = RWU;
	assert_int_equal(machine_store(f->m, BASE + PAGE - 1, "abc", 3, NULL), 0);
	assert_int_equal(f->faults, 2);
	assert_int_equal(f->fault_access, QUIRE_ACCESS_WRITE);
	assert_int_equal(machine_load(f->m, BASE + PAGE - 1, in, 3, NULL), 0);
	assert_memory_equal(in, "abc", 3);
	assert_int_equal(f->faults, 2);
	assert_int_equal(stats(f).faults, 2);
}

static int no_help(void *ctx, struct quire_pgtable *pt, quire_uaddr_t addr, uint32_t access,
		   struct quire_signal *sig)
{
	(void)ctx;
	(void)pt;
	(void)addr;
	(void)access;
	(void)sig;
	return 0;
}

static void test_a_handler_that_does_not_help_is_reported(void **state)
{
	struct fixture *f = *state;
	struct quire_signal sig;

	machine_set_fault(f->m, no_help, NULL);
	machine_set_quiet(f->m, true);
	assert_int_equal(machine_store(f->m, BASE, "x", 1, &sig), -QUIRE_EFAULT);
	assert_true(machine_expect_report(f->m, "the access still faults"));
	assert_false(machine_failed(f->m));
	machine_set_quiet(f->m, false);
	machine_set_fault(f->m, on_fault, f);
}

static void test_rights_are_those_of_the_entry(void **state)
{
	struct fixture *f = *state;
	const struct {
		quire_ptebits_t bits;
		bool load, store, fetch;
	} cases[] = {
		{ QUIRE_PTE_SPECIAL, false, false, false }, /* PROT_NONE */
		{ RU, true, false, false },
		{ RWU, true, true, false },
		{ RXU, true, false, true },
		{ RWU | QUIRE_PTE_EXEC, true, true, true },
		{ QUIRE_PTE_READ | QUIRE_PTE_WRITE, false, false, false }, /* the kernel's */
	};
	struct quire_signal sig;
	unsigned char byte;
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(cases); i++) {
		quire_uaddr_t addr = BASE + i * PAGE;

		map_page(f, addr, cases[i].bits);
		memset(&sig, 0, sizeof(sig));
		assert_int_equal(machine_load(f->m, addr + 5, &byte, 1, &sig),
				 cases[i].load ? 0 : -QUIRE_EFAULT);
		if (!cases[i].load) {
			assert_int_equal(f->fault_access, QUIRE_ACCESS_READ);
			assert_int_equal(sig.signo, 11);
			assert_int_equal(sig.code, 2);
			assert_int_equal(sig.addr, addr + 5);
		}
		assert_int_equal(machine_store(f->m, addr, &byte, 1, &sig),
				 cases[i].store ? 0 : -QUIRE_EFAULT);
		if (!cases[i].store)
			assert_int_equal(f->fault_access, QUIRE_ACCESS_WRITE);
		assert_int_equal(machine_fetch(f->m, addr, &byte, 1, &sig),
				 cases[i].fetch ? 0 : -QUIRE_EFAULT);
		if (!cases[i].fetch)
			assert_int_equal(f->fault_access, QUIRE_ACCESS_EXEC);
	}
}

static void test_an_address_that_is_not_canonical_is_a_general_protection(void **state)
{
	struct fixture *f = *state;
	const quire_uaddr_t addrs[] = { 0x0000800000000000ull, 0xffff7fffffffffffull,
					0x0123000000000000ull };
	struct quire_signal sig;
	unsigned char byte;
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(addrs); i++) {
		memset(&sig, 0xff, sizeof(sig));
		assert_int_equal(machine_load(f->m, addrs[i], &byte, 1, &sig), -QUIRE_EFAULT);
		assert_int_equal(sig.signo, 11);
		assert_int_equal(sig.code, 0x80);
		assert_int_equal(sig.addr, 0);
	}
	assert_int_equal(f->faults, 0);
	/* the kernel's half is canonical: a page fault */
	assert_int_equal(machine_load(f->m, 0xffff800000000000ull, &byte, 1, &sig), -QUIRE_EFAULT);
	assert_int_equal(f->faults, 1);
}

static void test_compare_and_exchange(void **state)
{
	struct fixture *f = *state;
	struct quire_page *page = map_page(f, BASE, RWU);
	uint64_t *word = ram_of(f, page), old = 5;
	bool swapped;

	*word = 5;
	assert_int_equal(machine_cmpxchg(f->m, BASE, 8, &old, 7, &swapped, NULL), 0);
	assert_true(swapped);
	assert_int_equal(*word, 7);
	old = 5;
	assert_int_equal(machine_cmpxchg(f->m, BASE, 8, &old, 9, &swapped, NULL), 0);
	assert_false(swapped);
	assert_int_equal(old, 7);
	assert_int_equal(*word, 7);
	*word = 0x1111111122222222ull;
	old = 0x11111111;
	assert_int_equal(machine_cmpxchg(f->m, BASE + 4, 4, &old, 0x33333333, &swapped, NULL), 0);
	assert_true(swapped);
	assert_int_equal(*word, 0x3333333322222222ull);
	/* a store even where it does not store */
	protect(f, BASE, RU);
	old = 0;
	assert_int_equal(machine_cmpxchg(f->m, BASE, 8, &old, 1, &swapped, NULL), -QUIRE_EFAULT);
	assert_int_equal(f->fault_access, QUIRE_ACCESS_WRITE);
}

/* ---- Accessed and dirty ------------------------------------------------------------------ */

static void test_a_load_sets_accessed_and_a_store_dirty(void **state)
{
	struct fixture *f = *state;
	uint64_t *leaf, walks;

	map_page(f, BASE, RWU);
	leaf = entry_at(f, BASE, 12);
	*entry_at(f, BASE, 21) &= ~ACCESSED;
	*entry_at(f, BASE, 30) &= ~ACCESSED;
	*entry_at(f, BASE, 39) &= ~ACCESSED;
	assert_int_equal(*leaf & (ACCESSED | DIRTY), 0);
	load_ok(f, BASE);
	assert_int_equal(*leaf & (ACCESSED | DIRTY), ACCESSED);
	assert_int_equal(*entry_at(f, BASE, 21) & (ACCESSED | DIRTY), ACCESSED);
	assert_int_equal(*entry_at(f, BASE, 30) & (ACCESSED | DIRTY), ACCESSED);
	assert_int_equal(*entry_at(f, BASE, 39) & (ACCESSED | DIRTY), ACCESSED);
	/* the TLB has it, without D: the first store walks to set it, the next does not */
	walks = stats(f).walks;
	store_ok(f, BASE);
	assert_int_equal(*leaf & (ACCESSED | DIRTY), ACCESSED | DIRTY);
	assert_int_equal(stats(f).walks, walks + 1);
	store_ok(f, BASE + 8);
	assert_int_equal(stats(f).walks, walks + 1);
	assert_int_equal(f->faults, 0);
}

static void test_dirty_that_is_cleared_without_a_flush_is_lost(void **state)
{
	struct fixture *f = *state;
	uint64_t *leaf;

	map_page(f, BASE, RWU);
	leaf = entry_at(f, BASE, 12);
	store_ok(f, BASE);
	*leaf &= ~DIRTY;
	store_ok(f, BASE);
	assert_int_equal(*leaf & DIRTY,
			 0); /* as on the real thing: the TLB thinks that it is set */
	flush(f, BASE, BASE + PAGE, false);
	store_ok(f, BASE);
	assert_int_equal(*leaf & DIRTY, DIRTY);
}

static void test_a_store_that_faults_sets_nothing(void **state)
{
	struct fixture *f = *state;

	map_page(f, BASE, RU);
	assert_int_equal(machine_store(f->m, BASE, "x", 1, NULL), -QUIRE_EFAULT);
	assert_int_equal(*entry_at(f, BASE, 12) & (ACCESSED | DIRTY), 0);
}

/* ---- The walk ---------------------------------------------------------------------------- */

static void test_every_level_must_allow_it(void **state)
{
	struct fixture *f = *state;
	unsigned char byte;
	unsigned shift;

	map_page(f, BASE, RWU | QUIRE_PTE_EXEC);
	for (shift = 12; shift <= 39; shift += 9) {
		uint64_t *entry = entry_at(f, BASE, shift), was = *entry;

		flush(f, 0, UINT64_MAX, true);
		*entry = was & ~RW;
		assert_int_equal(machine_store(f->m, BASE, "x", 1, NULL), -QUIRE_EFAULT);
		assert_int_equal(machine_fetch(f->m, BASE, &byte, 1, NULL), 0);
		flush(f, 0, UINT64_MAX, true);
		*entry = was | XD;
		assert_int_equal(machine_fetch(f->m, BASE, &byte, 1, NULL), -QUIRE_EFAULT);
		assert_int_equal(machine_store(f->m, BASE, "x", 1, NULL), 0);
		flush(f, 0, UINT64_MAX, true);
		*entry = was & ~US;
		assert_int_equal(machine_load(f->m, BASE, &byte, 1, NULL), -QUIRE_EFAULT);
		*entry = was & ~P;
		assert_int_equal(machine_load(f->m, BASE, &byte, 1, NULL), -QUIRE_EFAULT);
		*entry = was;
		assert_int_equal(machine_load(f->m, BASE, &byte, 1, NULL), 0);
	}
	flush(f, 0, UINT64_MAX, true);
}

static void test_reserved_bits_are_reported(void **state)
{
	struct fixture *f = *state;
	const struct {
		unsigned shift;
		uint64_t bits;
		const char *report;
	} cases[] = {
		{ 12, 1ull << 51, "address bits that the machine does not have" },
		{ 21, 1ull << 46, "address bits that the machine does not have" },
		{ 39, PS, "reserved bit 7" },
		{ 30, PS | 1ull << 13, "reserved bits 29:13" },
		{ 21, PS | 1ull << 20, "reserved bits 20:13" },
		{ 12, 1ull << 40, "page beyond the end of memory" },
		{ 21, 1ull << 40, "table beyond the end of memory" },
	};
	struct quire_signal sig;
	unsigned char byte;
	size_t i;

	map_page(f, BASE, RWU);
	machine_set_quiet(f->m, true);
	for (i = 0; i < QUIRE_ARRAY_SIZE(cases); i++) {
		uint64_t *entry = entry_at(f, BASE, cases[i].shift), was = *entry;

		*entry |= cases[i].bits;
		assert_int_equal(machine_load(f->m, BASE, &byte, 1, &sig), -QUIRE_EFAULT);
		assert_int_equal(sig.signo, QUIRE_SIGBUS);
		assert_true(machine_expect_report(f->m, cases[i].report));
		assert_false(machine_failed(f->m));
		*entry = was;
	}
	machine_set_quiet(f->m, false);
	load_ok(f, BASE);
}

static void test_large_leaves(void **state)
{
	struct fixture *f = *state;
	struct quire_page *block = quire_page_alloc(f->q, QUIRE_GFP_KERNEL, 9);
	quire_uaddr_t addr = BASE & ~(2 * M - 1);
	uint64_t *entry, was;
	char byte;

	assert_non_null(block);
	memset(ram_of(f, block), 0, 2 * M);
	((char *)ram_of(f, block))[0x123456] = 'L';
	map_page(f, addr, RU); /* for the tables down to there */
	entry = entry_at(f, addr, 21);
	was = *entry;
	*entry = quire_page_to_pfn(f->q, block) << 12 | P | RW | US | PS;
	assert_int_equal(machine_load(f->m, addr + 0x123456, &byte, 1, NULL), 0);
	assert_int_equal(byte, 'L');
	assert_int_equal(*entry & (ACCESSED | DIRTY), ACCESSED);
	assert_int_equal(machine_store(f->m, addr + 0x1fffff, "E", 1, NULL), 0);
	assert_int_equal(((char *)ram_of(f, block))[0x1fffff], 'E');
	assert_int_equal(*entry & (ACCESSED | DIRTY), ACCESSED | DIRTY);
	/* a flush of any of its pages is a flush of all of it (SDM 4.10.4.1) */
	*entry = was & ~P;
	load_ok(f, addr + 0x123456);
	flush(f, addr + 7 * PAGE, addr + 8 * PAGE, false);
	assert_int_equal(machine_load(f->m, addr + 0x123456, &byte, 1, NULL), -QUIRE_EFAULT);
	assert_int_equal(machine_load(f->m, addr + 0x1fffff, &byte, 1, NULL), -QUIRE_EFAULT);
	*entry = was;
	quire_page_free(f->q, block, 9);
}

static void test_five_levels_reach_beyond_four(void **state)
{
	struct fixture *f = *state;
	const quire_uaddr_t high = 0x00ab123456789000ull;
	struct quire_signal sig;
	struct quire_page *page;
	char byte;

	page = map_page(f, high, RWU);
	assert_int_equal(machine_store(f->m, high + 7, "5", 1, NULL), 0);
	assert_int_equal(((char *)ram_of(f, page))[7], '5');
	assert_int_equal(machine_load(f->m, 0x0100000000000000ull, &byte, 1, &sig), -QUIRE_EFAULT);
	assert_int_equal(sig.code, 0x80);
	assert_int_equal(f->faults, 0);
}

/* ---- The TLB ----------------------------------------------------------------------------- */

static void test_a_stale_entry_is_used_until_it_is_flushed(void **state)
{
	struct fixture *f = *state;
	struct quire_page *page = map_page(f, BASE, RWU);
	uint64_t *leaf = entry_at(f, BASE, 12), was;
	char byte;

	((char *)ram_of(f, page))[0] = 'S';
	load_ok(f, BASE);
	was = *leaf;
	*leaf = 0; /* gone from the tables, and nobody has said so */
	assert_int_equal(machine_load(f->m, BASE, &byte, 1, NULL), 0);
	assert_int_equal(byte, 'S');
#if QUIRE_DEBUG
	assert_int_equal(stats(f).stale_hits, 1);
#endif
	assert_string_equal(machine_check(f->m), "machine: a TLB entry's page is in the tables");
	flush(f, BASE + PAGE, BASE + 2 * PAGE, false); /* somebody else's page */
	assert_int_equal(machine_load(f->m, BASE, &byte, 1, NULL), 0);
	flush(f, BASE, BASE + PAGE, false);
	assert_int_equal(machine_load(f->m, BASE, &byte, 1, NULL), -QUIRE_EFAULT);
	assert_null(machine_check(f->m));
	*leaf = was;
}

static void test_stale_rights_are_used_until_they_are_flushed(void **state)
{
	struct fixture *f = *state;
	uint64_t *leaf;

	map_page(f, BASE, RWU);
	leaf = entry_at(f, BASE, 12);
	store_ok(f, BASE);
	*leaf &= ~RW;
	store_ok(f, BASE);
	assert_string_equal(machine_check(f->m),
			    "machine: a TLB entry's rights are at most those of the tables");
	flush(f, BASE, BASE + PAGE, false);
	assert_int_equal(machine_store(f->m, BASE, "x", 1, NULL), -QUIRE_EFAULT);

	/* through the cursor the flush is part of it */
	*leaf |= RW;
	store_ok(f, BASE);
	protect(f, BASE, RU);
	assert_null(machine_check(f->m));
	assert_int_equal(machine_store(f->m, BASE, "x", 1, NULL), -QUIRE_EFAULT);
}

static void test_rights_that_were_added_may_cost_a_fault_elsewhere(void **state)
{
	struct fixture *f = *state;
	uint64_t *leaf;

	map_page(f, BASE, RU);
	leaf = entry_at(f, BASE, 12);
	load_ok(f, BASE);
	*leaf |= RW; /* as another CPU would, whose flush_local is not ours */
	assert_int_equal(machine_store(f->m, BASE, "x", 1, NULL), -QUIRE_EFAULT);
	store_ok(f, BASE); /* the fault has dropped the entry */
	assert_int_equal(f->faults, 1);

	/* on the CPU that adds them, quire_port_tlb_flush_local() has seen to it */
	protect(f, BASE, RU);
	load_ok(f, BASE);
	protect(f, BASE, RWU);
	store_ok(f, BASE);
	assert_int_equal(f->faults, 1);
}

static void test_cached_tables_stay_until_a_flush_names_them(void **state)
{
	struct fixture *f = *state;
	uint64_t *upper, was;
	char byte;

	map_page(f, BASE, RU);
	map_page(f, BASE + PAGE, RU);
	map_page(f, BASE + 2 * PAGE, RU);
	upper = entry_at(f, BASE, 21);
	load_ok(f, BASE);
	was = *upper;
	*upper = 0;
	flush(f, BASE, BASE + PAGE, false);
	load_ok(f, BASE + PAGE); /* the leaf table is still known */
	flush(f, BASE, BASE + PAGE, true);
	assert_int_equal(machine_load(f->m, BASE + 2 * PAGE, &byte, 1, NULL), -QUIRE_EFAULT);
	*upper = was;
}

static void test_a_small_tlb_forgets_what_it_must(void **state)
{
	const struct machine_config config = { .tlb_entries = 4 };
	struct fixture *f = begin(&config);
	uint64_t walks;
	unsigned i;

	(void)state;
	for (i = 0; i < 5; i++)
		map_page(f, BASE + i * PAGE, RU);
	for (i = 0; i < 4; i++)
		load_ok(f, BASE + i * PAGE);
	walks = stats(f).walks;
	for (i = 0; i < 4; i++)
		load_ok(f, BASE + i * PAGE);
	assert_int_equal(stats(f).walks, walks);
	load_ok(f, BASE + 4 * PAGE); /* takes the place of one */
	for (i = 0; i < 4; i++)
		load_ok(f, BASE + i * PAGE);
	assert_true(stats(f).walks > walks + 1);
	end(f);
}

static void test_switching_away_forgets_the_space(void **state)
{
	struct fixture *f = *state;
	struct quire_pgtable other;
	uint64_t *leaf, was;
	char byte;

	assert_int_equal(quire_pgtable_init(f->q, &other, f->pt.fmt), 0);
	map_page(f, BASE, RU);
	leaf = entry_at(f, BASE, 12);
	load_ok(f, BASE);
	assert_int_equal(f->pt.cpus[0], 1);
	machine_switch(f->m, &other);
	assert_int_equal(f->pt.cpus[0], 0);
	assert_int_equal(other.cpus[0], 1);
	was = *leaf;
	*leaf = 0;
	machine_switch(f->m, &f->pt);
	assert_int_equal(machine_load(f->m, BASE, &byte, 1, NULL), -QUIRE_EFAULT);
	*leaf = was;
	quire_pgtable_destroy(&other);
}

/* ---- The checks, shown to fail ----------------------------------------------------------- */

#if QUIRE_DEBUG
static void test_a_frame_freed_before_the_flush_is_reported(void **state)
{
	struct fixture *f = *state;
	struct quire_page *page = map_page(f, BASE, RWU);
	struct quire_cursor c;

	store_ok(f, BASE);
	quire_cursor_open(&c, &f->pt, BASE, BASE + PAGE, 0);
	assert_true(quire_cursor_seek(&c, BASE));
	quire_cursor_clear(&c, BASE);
	machine_set_quiet(f->m, true);
	quire_page_put(f->q, page); /* wrong: it must go through the gather */
	assert_true(machine_expect_report(f->m, "a frame is freed while a TLB still maps it"));
	assert_false(machine_failed(f->m));
#if !SANITIZED
	/* and this is what comes of it */
	quire_spin_unlock(f->q, (struct quire_spinlock *)(void *)&c.leaf->aux);
	load_ok(f, BASE);
	quire_spin_lock(f->q, (struct quire_spinlock *)(void *)&c.leaf->aux);
	assert_true(machine_expect_report(f->m, "an access to a freed frame"));
#endif
	machine_set_quiet(f->m, false);
	quire_cursor_close(&c);
}

static void test_a_table_freed_before_the_flush_is_reported(void **state)
{
	struct fixture *f = *state;
	struct quire_page *leaf;
	uint64_t *upper;

	map_page(f, BASE, RU);
	load_ok(f, BASE);
	flush(f, BASE, BASE + PAGE, false); /* the table is still in the CPU's cache of tables */
	unmap_range(f, BASE, BASE + PAGE);  /* right: the flush comes with it */
	quire_grace_wait(f->q);
	assert_false(machine_failed(f->m));

	map_page(f, BASE, RU);
	load_ok(f, BASE);
	upper = entry_at(f, BASE, 21);
	leaf = quire_pfn_to_page(f->q, (*upper & ADDRESS) >> 12);
	machine_set_quiet(f->m, true);
	quire_port_frames(f->q, quire_page_to_pfn(f->q, leaf), 0, false);
	assert_true(machine_expect_report(f->m, "a frame is freed while a TLB still maps it"));
	/* the walker comes by later */
	flush(f, BASE, BASE + PAGE, true);
	assert_int_equal(machine_load(f->m, BASE, &(char){ 0 }, 1, NULL), -QUIRE_EFAULT);
	assert_true(machine_expect_report(f->m, "a table lies in a frame that is free"));
	machine_set_quiet(f->m, false);
	quire_port_frames(f->q, quire_page_to_pfn(f->q, leaf), 0, true);
}

static void test_a_space_destroyed_while_loaded_is_reported(void **state)
{
	struct fixture *f = *state;
	struct quire_pgtable other;

	assert_int_equal(quire_pgtable_init(f->q, &other, f->pt.fmt), 0);
	machine_switch(f->m, &other);
	machine_set_quiet(f->m, true);
	quire_pgtable_destroy(&other);
	assert_true(machine_expect_report(f->m, "a frame is freed while a TLB still maps it"));
	machine_set_quiet(f->m, false);
	machine_switch(f->m, &f->pt);
}

static void test_touching_a_freed_frame_is_reported(void **state)
{
	struct fixture *f = *state;
	struct quire_page *page = quire_page_alloc(f->q, QUIRE_GFP_KERNEL, 0);
	quire_pfn_t pfn = quire_page_to_pfn(f->q, page);

	quire_port_phys_to_virt(f->q, pfn * PAGE);
	assert_false(machine_failed(f->m));
	quire_page_free(f->q, page, 0);
	machine_set_quiet(f->m, true);
	quire_port_phys_to_virt(f->q, pfn * PAGE);
	assert_true(machine_expect_report(f->m, "a freed frame is touched"));
	machine_set_quiet(f->m, false);
}

static void test_tables_that_map_a_freed_frame_are_reported(void **state)
{
	struct fixture *f = *state;
	struct quire_page *page = map_page(f, BASE, RU);

	machine_set_quiet(f->m, true);
	quire_port_frames(f->q, quire_page_to_pfn(f->q, page), 0, false);
	assert_int_equal(machine_load(f->m, BASE, &(char){ 0 }, 1, NULL), -QUIRE_EFAULT);
	assert_true(machine_expect_report(f->m, "the tables map a freed frame"));
	machine_set_quiet(f->m, false);
	quire_port_frames(f->q, quire_page_to_pfn(f->q, page), 0, true);
}
#endif

static void test_a_frame_given_twice_or_returned_twice_is_reported(void **state)
{
	struct fixture *f = *state;
	struct quire_page *page = quire_page_alloc(f->q, QUIRE_GFP_KERNEL, 0);
	quire_pfn_t pfn = quire_page_to_pfn(f->q, page);

	machine_set_quiet(f->m, true);
	quire_port_frames(f->q, pfn, 0, true);
	assert_true(machine_expect_report(f->m, "handed out that somebody has"));
	quire_page_free(f->q, page, 0);
	quire_port_frames(f->q, pfn, 0, false);
	assert_true(machine_expect_report(f->m, "comes back that nobody had"));
	machine_set_quiet(f->m, false);
	assert_false(machine_failed(f->m));
}

static void test_reports_are_counted_and_can_be_taken_back(void **state)
{
	struct fixture *f = *state;

	machine_set_quiet(f->m, true);
	quire_port_report(f->q, "one thing", "here:1", 1);
	quire_port_report(f->q, "another thing", "here:2", 2);
	machine_set_quiet(f->m, false);
	assert_true(machine_failed(f->m));
	assert_false(machine_expect_report(f->m, "a third"));
	assert_true(machine_expect_report(f->m, "one"));
	assert_true(machine_failed(f->m));
	assert_true(machine_expect_report(f->m, "another thing"));
	assert_false(machine_expect_report(f->m, "another thing"));
	assert_false(machine_failed(f->m));
}

/* ---- The gather, as the machine sees it -------------------------------------------------- */

static void see_flush(void *ctx, const struct quire_tlb_flush *fl)
{
	struct fixture *f = ctx;

	f->events[f->nr_events++] = fl->tables ? 'T' : 'F';
}

static void see_frames(void *ctx, quire_pfn_t pfn, unsigned order, bool allocated)
{
	struct fixture *f = ctx;

	(void)order;
	if (!allocated)
		f->events[f->nr_events++] = pfn == f->watched ? 'p' : 't';
}

static const struct machine_hooks watch = { .flush = see_flush, .frames = see_frames };

static void test_pages_are_freed_after_the_flush_and_tables_after_a_grace_period(void **state)
{
	struct fixture *f = *state;

	f->watched = quire_page_to_pfn(f->q, map_page(f, BASE, RWU));
	store_ok(f, BASE);
	machine_set_hooks(f->m, &watch, f);
	unmap_range(f, BASE, BASE + PAGE);
	assert_string_equal(f->events, "Tp"); /* one flush, then the page */
	quire_grace_wait(f->q);
	assert_string_equal(f->events, "Tpttt"); /* then three tables */
	machine_set_hooks(f->m, NULL, NULL);
	assert_int_equal(machine_load(f->m, BASE, &(char){ 0 }, 1, NULL), -QUIRE_EFAULT);
}

static void test_move_flushes_the_source_before_the_destination_can_be_used(void **state)
{
	struct fixture *f = *state;
	const quire_uaddr_t to = BASE + 64 * M;
	char byte = 0;

	map_page(f, BASE, RWU);
	assert_int_equal(machine_store(f->m, BASE + 9, "m", 1, NULL), 0);
	assert_int_equal(quire_tables_populate(&f->pt, to, to + PAGE), 0);
	machine_set_hooks(f->m, &watch, f);
	quire_tables_move(&f->pt, BASE, to, PAGE);
	assert_string_equal(f->events, "F");
	machine_set_hooks(f->m, NULL, NULL);
	assert_null(machine_check(f->m));
	assert_int_equal(machine_load(f->m, to + 9, &byte, 1, NULL), 0);
	assert_int_equal(byte, 'm');
	assert_int_equal(*entry_at(f, to, 12) & DIRTY, DIRTY);
	assert_int_equal(machine_load(f->m, BASE, &byte, 1, NULL), -QUIRE_EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_stored_is_loaded),
		TEST(test_an_access_may_cross_a_page),
		TEST(test_an_access_that_faults_in_its_second_page_does_nothing),
		TEST(test_a_fault_that_is_served_is_tried_again),
		TEST(test_a_handler_that_does_not_help_is_reported),
		TEST(test_rights_are_those_of_the_entry),
		TEST(test_an_address_that_is_not_canonical_is_a_general_protection),
		TEST(test_compare_and_exchange),
		TEST(test_a_load_sets_accessed_and_a_store_dirty),
		TEST(test_dirty_that_is_cleared_without_a_flush_is_lost),
		TEST(test_a_store_that_faults_sets_nothing),
		TEST(test_every_level_must_allow_it),
		TEST(test_reserved_bits_are_reported),
		TEST(test_large_leaves),
		cmocka_unit_test_setup_teardown(test_five_levels_reach_beyond_four, setup_5level,
						teardown),
		TEST(test_a_stale_entry_is_used_until_it_is_flushed),
		TEST(test_stale_rights_are_used_until_they_are_flushed),
		TEST(test_rights_that_were_added_may_cost_a_fault_elsewhere),
		TEST(test_cached_tables_stay_until_a_flush_names_them),
		cmocka_unit_test(test_a_small_tlb_forgets_what_it_must),
		TEST(test_switching_away_forgets_the_space),
#if QUIRE_DEBUG
		TEST(test_a_frame_freed_before_the_flush_is_reported),
		TEST(test_a_table_freed_before_the_flush_is_reported),
		TEST(test_a_space_destroyed_while_loaded_is_reported),
		TEST(test_touching_a_freed_frame_is_reported),
		TEST(test_tables_that_map_a_freed_frame_are_reported),
#endif
		TEST(test_a_frame_given_twice_or_returned_twice_is_reported),
		TEST(test_reports_are_counted_and_can_be_taken_back),
		TEST(test_pages_are_freed_after_the_flush_and_tables_after_a_grace_period),
		TEST(test_move_flushes_the_source_before_the_destination_can_be_used),
	};

	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}

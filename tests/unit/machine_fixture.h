/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the simulated machine share: a machine with a space whose tables are made by
 * the cursor or by hand, and a fault handler that serves what it is told to. Included by
 * machine.c and machine_cpus.c.
 */
#ifndef QUIRE_TESTS_MACHINE_FIXTURE_H
#define QUIRE_TESTS_MACHINE_FIXTURE_H

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

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) ||                           \
	defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define SANITIZED 1 /* shadow memory, and poison where a frame is free */
#else
#define SANITIZED 0
#endif

#define PAGE 0x1000ull
#define M 0x100000ull

#define RU (QUIRE_PTE_READ | QUIRE_PTE_USER)
#define RWU (RU | QUIRE_PTE_WRITE)
#define RXU (RU | QUIRE_PTE_EXEC)

/* The processor's own names for the bits, from the SDM. */
#define P 0x1ull
#define RW 0x2ull
#define US 0x4ull
#define ACCESSED 0x20ull
#define DIRTY 0x40ull
#define PS 0x80ull
#define XD 0x8000000000000000ull
#define ADDRESS 0x000ffffffffff000ull

#define BASE 0x7f1234400000ull

struct fixture {
	struct machine *m;
	struct quire *q;
	struct quire_pgtable pt;
	/* what the fault handler saw last, and what it does */
	unsigned faults;
	quire_uaddr_t fault_addr;
	uint32_t fault_access;
	quire_ptebits_t serve; /* 0: a signal; else map a fresh page so */
	/* events in order, for the tests of the gather */
	char events[64];
	unsigned nr_events;
	quire_pfn_t watched;
};

static inline struct quire_page *map_page(struct fixture *f, quire_uaddr_t addr, quire_ptebits_t bits)
{
	struct quire_page *page = quire_page_alloc(f->q, QUIRE_GFP_USER | QUIRE_GFP_ZERO, 0);
	struct quire_cursor c;

	assert_non_null(page);
	addr &= ~(PAGE - 1);
	quire_cursor_open(&c, &f->pt, addr, addr + PAGE, 0);
	while (!quire_cursor_seek(&c, addr))
		assert_int_equal(quire_tables_populate(&f->pt, addr, addr + PAGE), 0);
	quire_cursor_set(&c, addr, quire_pte_make(f->pt.fmt, quire_page_to_pfn(f->q, page), bits));
	quire_cursor_close(&c);
	return page;
}

static inline void unmap_range(struct fixture *f, quire_uaddr_t start, quire_uaddr_t end)
{
	struct quire_cursor c;
	quire_uaddr_t a;

	quire_cursor_open(&c, &f->pt, start, end, QUIRE_CURSOR_TRIM);
	while (quire_cursor_next_leaf(&c)) {
		for (a = c.leaf_start; (a = quire_cursor_next_used(&c, a)) < c.leaf_end;
		     a += PAGE) {
			quire_pte_t pte = quire_cursor_clear(&c, a);

			if (quire_pte_kind(f->pt.fmt, pte) == QUIRE_PTE_PAGE)
				quire_cursor_put_page(
					&c, quire_pfn_to_page(f->q, quire_pte_pfn(f->pt.fmt, pte)));
		}
	}
	quire_cursor_close(&c);
}

static inline void protect(struct fixture *f, quire_uaddr_t addr, quire_ptebits_t rights)
{
	struct quire_cursor c;

	quire_cursor_open(&c, &f->pt, addr, addr + PAGE, 0);
	assert_true(quire_cursor_seek(&c, addr));
	quire_cursor_protect(&c, addr, rights);
	quire_cursor_close(&c);
}

static inline int on_fault(void *ctx, struct quire_pgtable *pt, quire_uaddr_t addr, uint32_t access,
		    struct quire_signal *sig)
{
	struct fixture *f = ctx;

	assert_ptr_equal(pt, &f->pt);
	f->faults++;
	f->fault_addr = addr;
	f->fault_access = access;
	if (f->serve) {
		map_page(f, addr, f->serve);
		return 0;
	}
	*sig = (struct quire_signal){
		.signo = QUIRE_SIGSEGV, .code = QUIRE_SEGV_ACCERR, .addr = addr,
	};
	return -QUIRE_EFAULT;
}

static inline struct fixture *begin(const struct machine_config *config)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	assert_int_equal(machine_create(config, &f->m), 0);
	f->q = machine_quire(f->m);
	assert_int_equal(
		quire_pgtable_init(f->q, &f->pt, config->fmt ? config->fmt : &quire_pgfmt_x86_64),
		0);
	machine_set_fault(f->m, on_fault, f);
	machine_switch(f->m, &f->pt);
	return f;
}

static inline void end(struct fixture *f)
{
	quire_broken_t broken = machine_check(f->m);

	if (broken)
		fail_msg("%s", broken);
	unmap_range(f, 0, f->pt.fmt->user_end);
	machine_switch(f->m, NULL);
	quire_pgtable_destroy(&f->pt);
	assert_int_equal(machine_destroy(f->m), 0);
}

static inline int setup(void **state)
{
	const struct machine_config config = { .nr_cpus = 4 };

	*state = begin(&config);
	return 0;
}

static inline int setup_5level(void **state)
{
	const struct machine_config config = { .nr_cpus = 1, .fmt = &quire_pgfmt_x86_64_5level };

	*state = begin(&config);
	return 0;
}

static inline int teardown(void **state)
{
	end(*state);
	return 0;
}

static inline void *ram_of(struct fixture *f, struct quire_page *page)
{
	return quire_page_to_virt(f->q, page);
}

/* The entry for addr at the level whose index begins at bit shift, by hand. */
static inline uint64_t *entry_at(struct fixture *f, quire_uaddr_t addr, unsigned shift)
{
	uint64_t table = quire_pgtable_root(&f->pt), *entry;
	unsigned s = f->pt.fmt->levels == 5 ? 48 : 39;

	for (;; s -= 9) {
		entry = (uint64_t *)quire_port_phys_to_virt(f->q, table) + ((addr >> s) & 511);
		if (s == shift)
			return entry;
		assert_true(*entry & P);
		table = *entry & ADDRESS;
	}
}

static inline void flush(struct fixture *f, quire_uaddr_t start, quire_uaddr_t stop, bool tables)
{
	const struct quire_tlb_flush fl = {
		.root = quire_pgtable_root(&f->pt) / PAGE,
		.asid = f->pt.asid,
		.start = start,
		.end = stop,
		.stride = 12,
		.tables = tables,
		.cpus = f->pt.cpus,
	};

	quire_port_tlb_flush(f->q, &fl);
}

static inline struct machine_stats stats(struct fixture *f)
{
	struct machine_stats s;

	machine_stats(f->m, &s);
	return s;
}

static inline void load_ok(struct fixture *f, quire_uaddr_t addr)
{
	unsigned char byte;

	assert_int_equal(machine_load(f->m, addr, &byte, 1, NULL), 0);
}

static inline void store_ok(struct fixture *f, quire_uaddr_t addr)
{
	assert_int_equal(machine_store(f->m, addr, "x", 1, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif

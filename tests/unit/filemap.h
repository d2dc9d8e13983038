/* SPDX-License-Identifier: MIT */
/*
 * What the tests of mapped files share: a machine, a space and a disk with one file, and what a
 * program does with them. Included by filemap.c and filemap_meet.c.
 */
#ifndef QUIRE_TESTS_FILEMAP_H
#define QUIRE_TESTS_FILEMAP_H

#include "disk.h"

#include <setjmp.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <machine.h>

#include "../format.h"

#define PAGE QUIRE_PAGE_SIZE
#define AT UINT64_C(0x70000000) /* where tests map: fixed, so that they can say addresses */
#define ELSEWHERE UINT64_C(0x80000000)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define CPUS 4u

static struct machine *m;
static struct quire *q;
static struct quire_mm *mm;
static struct disk *d;

/* ---- Set-up ------------------------------------------------------------------------------ */

static inline struct quire_mm *new_space(void)
{
	struct quire_layout layout;
	struct quire_mm *space;

	quire_layout_init(&layout, q->fmt, false, false, UINT64_C(8) << 20, 0);
	assert_int_equal(quire_mm_create(q, &layout, &space), 0);
	return space;
}

static inline void run_in(struct quire_mm *space)
{
	machine_switch(m, space ? &space->pt : NULL);
}

static inline int set_up(void **state)
{
	struct machine_config config = {.nr_cpus = CPUS};

	(void)state;
	test_choose_format(&config);
	assert_int_equal(machine_create(&config, &m), 0);
	q = machine_quire(m);
	mm = new_space();
	d = disk_new(q, 16 * PAGE);
	run_in(mm);
	return 0;
}

static inline void assert_sound(struct quire_mm *space)
{
	quire_broken_t broken = quire_mm_check(space);

	if (!broken)
		broken = quire_object_check(&d->object);
	if (!broken)
		broken = machine_check(m);
	if (broken)
		fail_msg("%s", broken);
}

/* Nothing may be left of the space, the file, the machine. */
static inline int tear_down(void **state)
{
	(void)state;
	assert_sound(mm);
	run_in(NULL);
	quire_mmput(mm);
	quire_grace_wait(q);
	assert_null(disk_delete(d));
	assert_int_equal(machine_destroy(m), 0);
	return 0;
}

/* ---- What a program does ----------------------------------------------------------------- */

/* pages of the disk from page first on at addr. */
static inline void map_disk(struct quire_mm *space, quire_uaddr_t addr, uint64_t pages, uint32_t prot,
		     uint32_t flags, uint64_t first)
{
	assert_int_equal(quire_mmap(space, addr, pages * PAGE, prot,
				    flags | QUIRE_MAP_FIXED_NOREPLACE, &d->file, first * PAGE),
			 addr);
}

static inline unsigned char get(quire_uaddr_t addr)
{
	unsigned char byte = 0;
	struct quire_signal sig;

	if (machine_load(m, addr, &byte, 1, &sig))
		fail_msg("load at %llx: signal %d code %d", (unsigned long long)addr, sig.signo,
			 sig.code);
	return byte;
}

static inline void put(quire_uaddr_t addr, unsigned char byte)
{
	struct quire_signal sig;

	if (machine_store(m, addr, &byte, 1, &sig))
		fail_msg("store at %llx: signal %d code %d", (unsigned long long)addr, sig.signo,
			 sig.code);
}

/* The access is SIGBUS, BUS_ADRERR, with the exact address. */
static inline void assert_bus(quire_uaddr_t addr, bool store)
{
	unsigned char byte = 1;
	struct quire_signal sig = {0, 0, 0};
	int err = store ? machine_store(m, addr, &byte, 1, &sig)
			: machine_load(m, addr, &byte, 1, &sig);

	assert_int_equal(err, -QUIRE_EFAULT);
	assert_int_equal(sig.signo, QUIRE_SIGBUS);
	assert_int_equal(sig.code, QUIRE_BUS_ADRERR);
	assert_int_equal(sig.addr, addr);
}

static inline quire_pte_t entry(struct quire_mm *space, quire_uaddr_t addr)
{
	quire_pte_t pte;

	quire_grace_enter(q);
	pte = quire_pgtable_peek(&space->pt, addr);
	quire_grace_leave(q);
	return pte;
}

static inline bool is_mapped(struct quire_mm *space, quire_uaddr_t addr)
{
	return entry(space, addr) != 0;
}

static inline struct quire_page *frame(struct quire_mm *space, quire_uaddr_t addr)
{
	quire_pte_t pte = entry(space, addr);

	assert_int_equal(quire_pte_kind(space->pt.fmt, pte), QUIRE_PTE_PAGE);
	return quire_pfn_to_page(q, quire_pte_pfn(space->pt.fmt, pte));
}

static inline uint64_t stat(enum quire_stat which)
{
	return quire_stat_read(q, which);
}

static inline unsigned char byte_of_file(uint64_t pos)
{
	unsigned char byte = 0;

	assert_int_equal(quire_object_read(&d->object, pos, &byte, 1), 1);
	return byte;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif

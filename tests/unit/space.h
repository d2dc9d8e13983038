/* SPDX-License-Identifier: MIT */
/*
 * What the tests of spaces share: a simulated machine with one space on CPU 0, areas put in as the
 * loader would, loads and stores of single bytes. Every test ends with the checks of space and
 * machine; nothing may be left over.
 */
#ifndef QUIRE_TESTS_SPACE_H
#define QUIRE_TESTS_SPACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <machine.h>
#include <quire/quire.h>

#include "../format.h"

#define PAGE ((uint64_t)QUIRE_PAGE_SIZE)
#define KB_OF(pages) ((pages) * (PAGE / 1024)) /* a size in kB, as sysctl and /proc have them */
#define BASE 0x10000000ull /* where most tests put their areas */

#define MAY (QUIRE_VM_MAYREAD | QUIRE_VM_MAYWRITE | QUIRE_VM_MAYEXEC)
/* A load from a file maps what is in the cache of so many pages around: Linux's fault_around_bytes, 64 KiB. */
#define AROUND (65536 / PAGE)

#define VM_R (MAY | QUIRE_VM_READ)
#define VM_W (MAY | QUIRE_VM_WRITE)
#define VM_X (MAY | QUIRE_VM_EXEC)
#define VM_RW (VM_R | VM_W)
#define VM_S (QUIRE_VM_SHARED | QUIRE_VM_MAYSHARE)

struct space {
	struct machine *m;
	struct quire *q;
	struct quire_mm *mm;
};

static struct space space;

static inline void check_space(struct quire_mm *mm)
{
	quire_broken_t broken = quire_mm_check(mm);

	if (broken)
		fail_msg("%s", broken);
	broken = machine_check(space.m);
	if (broken)
		fail_msg("%s", broken);
}

static inline int space_setup_cpus(void **state, unsigned cpus)
{
	struct machine_config config = {.ram_bytes = 16384 * PAGE, .nr_cpus = cpus};

	memset(&space, 0, sizeof(space));
	test_choose_format(&config);
	if (machine_create(&config, &space.m))
		return -1;
	space.q = machine_quire(space.m);
	space.q->mms.sysctl.mmap_min_addr = 65536;
	if (QUIRE_PAGE_SHIFT > 12) /* promises of whole leaf tables, as many as the memory has here else */
		space.q->mms.sysctl.overcommit_total_pages = 32 * PAGE / 8;
	if (quire_mm_create(space.q, NULL, &space.mm))
		return -1;
	machine_switch(space.m, &space.mm->pt);
	*state = &space;
	return 0;
}

static inline int space_setup(void **state)
{
	return space_setup_cpus(state, 1);
}

static inline int space_setup_two_cpus(void **state)
{
	return space_setup_cpus(state, 2);
}

static inline int space_teardown(void **state)
{
	(void)state;
	check_space(space.mm);
	machine_switch(space.m, NULL);
	quire_mmput(space.mm);
	return machine_destroy(space.m) ? -1 : 0;
}

#define space_test(fn) cmocka_unit_test_setup_teardown(fn, space_setup, space_teardown)
#define space_test_two_cpus(fn) cmocka_unit_test_setup_teardown(fn, space_setup_two_cpus, space_teardown)

/* An area of npages at addr with exactly these flags. */
static inline void put_area(struct quire_mm *mm, uint64_t addr, uint64_t npages, uint64_t flags)
{
	struct quire_area_desc desc = {
		.start = addr, .end = addr + npages * PAGE, .flags = flags, .pgoff = addr / PAGE};

	assert_int_equal(quire_insert_vm_area(mm, &desc), 0);
}

static inline void put_file(struct quire_mm *mm, uint64_t addr, uint64_t npages, uint64_t flags,
			    struct quire_file *file, uint64_t pgoff)
{
	struct quire_area_desc desc = {.start = addr,
				       .end = addr + npages * PAGE,
				       .flags = flags,
				       .pgoff = pgoff,
				       .file = file};

	assert_int_equal(quire_insert_vm_area(mm, &desc), 0);
}

static inline void put_driver(struct quire_mm *mm, uint64_t addr, uint64_t npages, uint64_t flags,
			      const struct quire_vm_ops *ops, void *private_data)
{
	struct quire_area_desc desc = {.start = addr,
				       .end = addr + npages * PAGE,
				       .flags = flags,
				       .ops = ops,
				       .private_data = private_data};

	assert_int_equal(quire_insert_vm_area(mm, &desc), 0);
}

/* One byte, on CPU 0 in the space it has loaded. */
static inline unsigned char get(uint64_t addr)
{
	unsigned char byte = 0xee;
	struct quire_signal sig = {0};

	if (machine_load(space.m, addr, &byte, 1, &sig))
		fail_msg("load at %#llx: signal %d code %d", (unsigned long long)addr, sig.signo,
			 sig.code);
	return byte;
}

static inline void set(uint64_t addr, unsigned char byte)
{
	struct quire_signal sig = {0};

	if (machine_store(space.m, addr, &byte, 1, &sig))
		fail_msg("store at %#llx: signal %d code %d", (unsigned long long)addr, sig.signo,
			 sig.code);
}

static inline void fetch(uint64_t addr)
{
	unsigned char byte;

	assert_int_equal(machine_fetch(space.m, addr, &byte, 1, NULL), 0);
}

/* The access fails with exactly this signal, at exactly this address. */
static inline void assert_signal(uint32_t access, uint64_t addr, int signo, int code)
{
	unsigned char byte = 0;
	struct quire_signal sig = {0};
	int err;

	if (access == QUIRE_ACCESS_WRITE)
		err = machine_store(space.m, addr, &byte, 1, &sig);
	else if (access == QUIRE_ACCESS_EXEC)
		err = machine_fetch(space.m, addr, &byte, 1, &sig);
	else
		err = machine_load(space.m, addr, &byte, 1, &sig);
	assert_int_equal(err, -QUIRE_EFAULT);
	assert_int_equal(sig.signo, signo);
	assert_int_equal(sig.code, code);
	assert_int_equal(sig.addr, addr);
}

#define assert_maperr(access, addr) assert_signal(access, addr, QUIRE_SIGSEGV, QUIRE_SEGV_MAPERR)
#define assert_accerr(access, addr) assert_signal(access, addr, QUIRE_SIGSEGV, QUIRE_SEGV_ACCERR)
#define assert_bus(access, addr) assert_signal(access, addr, QUIRE_SIGBUS, QUIRE_BUS_ADRERR)

/* What can be read there is no code; where the format cannot say so, it runs. */
static inline void assert_no_exec(uint64_t addr)
{
	if (test_refuses_exec(space.mm->pt.fmt))
		assert_accerr(QUIRE_ACCESS_EXEC, addr);
	else
		fetch(addr);
}

static inline void run_in(struct quire_mm *mm)
{
	machine_switch(space.m, &mm->pt);
}

/* The entry at addr; the frame that it maps, 0 if it maps none. */
static inline quire_pte_t entry(struct quire_mm *mm, uint64_t addr)
{
	quire_pte_t pte;

	quire_grace_enter(mm->q);
	pte = quire_pgtable_peek(&mm->pt, addr);
	quire_grace_leave(mm->q);
	return pte;
}

static inline quire_pfn_t frame(struct quire_mm *mm, uint64_t addr)
{
	quire_pte_t pte = entry(mm, addr);

	return quire_pte_kind(mm->pt.fmt, pte) == QUIRE_PTE_PAGE ? quire_pte_pfn(mm->pt.fmt, pte)
								 : 0;
}

static inline bool entry_has(struct quire_mm *mm, uint64_t addr, quire_ptebits_t bits)
{
	return quire_pte_has(mm->pt.fmt, entry(mm, addr), bits);
}

static inline struct quire_vma *area(struct quire_mm *mm, uint64_t addr)
{
	struct quire_vma *vma;

	quire_grace_enter(mm->q);
	vma = quire_find_vma(mm, addr);
	quire_grace_leave(mm->q);
	return vma && vma->start <= addr ? vma : NULL;
}

static inline struct quire_mm *fork_space(struct quire_mm *parent)
{
	struct quire_mm *child;

	assert_int_equal(quire_fork(parent, &child), 0);
	return child;
}

/* The child's end; CPU 0 runs in the test's own space again. */
static inline void put_space(struct quire_mm *mm)
{
	check_space(mm);
	run_in(space.mm);
	quire_mmput(mm);
}

#endif

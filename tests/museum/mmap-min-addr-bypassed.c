/* SPDX-License-Identifier: MIT */
/*
 * Memory at address 0 is had by a way on which nobody asked.
 *
 * Where a kernel follows a null pointer, who has a page there decides what happens next. So the
 * lowest addresses are closed to ordinary programs; and each way to have memory somewhere had to learn
 * it: mmap() by a personality (CVE-2009-1895), mremap(), stacks that a program lays down itself and
 * lets grow (2008), special mappings (CVE-2010-4346), and growth caused by another, privileged
 * process which writes to /proc/PID/mem: its own capability was asked for (CVE-2019-9213).
 */
#include "museum.h"

#define LOWEST 0x10000ull /* sysctl.mmap_min_addr */

static void map_stack(void)
{
	assert_int_equal(quire_mmap(space.mm, LOWEST + PAGE, 4 * PAGE, RW,
				    ANON | QUIRE_MAP_FIXED | QUIRE_MAP_GROWSDOWN, NULL, 0),
			 LOWEST + PAGE);
}

static void a_stack_does_not_grow_there(void **state)
{
	(void)state;
	map_stack();
	assert_true(try_store(LOWEST, 1));
	must(!try_store(LOWEST - PAGE, 1), "a stack grew below mmap_min_addr");
}

static void a_debugger_does_not_make_it_grow_there(void **state)
{
	unsigned char byte = 1;

	(void)state;
	map_stack();
	space.mm->limits.cap_sys_rawio = true;
	must(quire_access_process_vm(space.mm, LOWEST - PAGE, &byte, 1,
				     QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE) == 0 &&
		     !area(space.mm, LOWEST - PAGE),
	     "a stack grew below mmap_min_addr");
}

static void nothing_is_placed_there(void **state)
{
	int64_t addr;

	(void)state;
	must(quire_mmap(space.mm, 0, PAGE, RW, ANON | QUIRE_MAP_FIXED, NULL, 0) == -QUIRE_EPERM,
	     "memory was mapped at address 0");
	map_at(0, 1, "rw");
	must(quire_mremap(space.mm, P(0), PAGE, PAGE, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
			  0) == -QUIRE_EPERM,
	     "memory was moved to address 0");
	addr = quire_mmap(space.mm, PAGE, PAGE, RW, ANON, NULL, 0);
	must(addr >= (int64_t)LOWEST, "memory was placed below mmap_min_addr");
}

museum_main(exhibit(a_stack_does_not_grow_there), exhibit(a_debugger_does_not_make_it_grow_there),
	    exhibit(nothing_is_placed_there))

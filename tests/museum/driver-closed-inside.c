/* SPDX-License-Identifier: MIT */
/*
 * A driver is told of an area's end while a fault is inside the driver on behalf of that area.
 *
 * As long as faults held the address space's lock, close() could not come meanwhile. Each step away
 * from that lock (faults that drop it to wait for a disk, speculative faults that were never merged,
 * the lock an area since 6.4, which a driver's fault may drop too) had to show again that the
 * area, its file and the driver's data outlive the call.
 *
 * CPU 1 is in the driver's fault(); CPU 2 unmaps.
 */
#include "museum.h"

static bool go, is_inside, is_closed;

static int driver_fault(struct quire_vmf *vmf)
{
	(void)vmf;
	is_inside = true;
	stand(&go);
	if (__atomic_load_n(&is_closed, __ATOMIC_ACQUIRE))
		caught("an area was closed while a fault was inside its driver");
	is_inside = false;
	return -QUIRE_EFAULT;
}

static void driver_close(struct quire_vma *vma)
{
	(void)vma;
	if (__atomic_load_n(&is_inside, __ATOMIC_ACQUIRE))
		caught("an area was closed while a fault was inside its driver");
	say(&is_closed);
}

static const struct quire_vm_ops driver = {.fault = driver_fault, .close = driver_close};

static void loads(void)
{
	(void)try_load(P(0));
}

static void unmaps(void)
{
	if (unmap_at(0, 1))
		caught("munmap");
}

static void close_waits_for_faults(void **state)
{
	(void)state;
	put_driver(space.mm, P(0), 1, VM_RW | QUIRE_VM_MIXEDMAP, &driver, NULL);
	assert_false(start(1, loads));
	must(is_inside, "the driver was not asked");
	(void)start(2, unmaps);
	must(!is_closed, "an area was closed while a fault was inside its driver");
	say(&go);
	finish(1);
	finish(2);
	must(is_closed, "an area was not closed");
}

museum_main(exhibit(close_waits_for_faults))

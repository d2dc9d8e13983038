/* SPDX-License-Identifier: MIT */
/*
 * What the OPTIONAL functions of the port do where the host defines none: weak definitions, which
 * any other definition at link time replaces. The mandatory functions have none, so that a host
 * that forgot one learns of it from the linker.
 */
#include <quire/port.h>

#include "base/string.h"

#define DEFAULT __attribute__((weak))

DEFAULT void quire_port_zero_frame(struct quire *q, quire_paddr_t pa)
{
	memset(quire_port_phys_to_virt(q, pa), 0, QUIRE_PAGE_SIZE);
}

DEFAULT void quire_port_frames(struct quire *q, quire_pfn_t pfn, unsigned order, bool allocated)
{
}

DEFAULT void *quire_port_kaddr_to_ptr(struct quire *q, quire_kaddr_t addr)
{
	return (void *)(uintptr_t)addr;
}

DEFAULT quire_kaddr_t quire_port_ptr_to_kaddr(struct quire *q, const void *ptr)
{
	return (uintptr_t)ptr;
}

DEFAULT bool quire_port_in_interrupt(struct quire *q)
{
	return false;
}

DEFAULT void quire_port_relax(struct quire *q)
{
#if defined(__i386__) || defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
	__asm__ volatile("yield");
#endif
}

DEFAULT void quire_port_tlb_flush_local(struct quire *q, uint64_t asid, uint64_t addr)
{
}

DEFAULT struct quire_task_policy *quire_port_task_policy(struct quire *q)
{
	return NULL;
}

DEFAULT uint64_t quire_port_clock_ns(struct quire *q)
{
	return 0;
}

DEFAULT uint64_t quire_port_random(struct quire *q)
{
	return 0;
}

DEFAULT void quire_port_log(struct quire *q, enum quire_log_level level, const char *text)
{
}

/* A host that has not said what to do about corruption had better stop than go on. */
DEFAULT void quire_port_report(struct quire *q, const char *what, const char *where, uint64_t value)
{
	__builtin_trap();
}

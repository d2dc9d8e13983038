/* SPDX-License-Identifier: MIT */
/*
 * Where a page fault goes unless the machine's owner says otherwise: to Quire, as a kernel's trap
 * handler would send it.
 */
#include "internal.h"

int machine_quire_fault(void *ctx, struct quire_pgtable *pt, quire_uaddr_t addr, uint32_t access,
			struct quire_signal *sig)
{
	(void)ctx;
	return quire_fault(quire_container_of(pt, struct quire_mm, pt), addr, access, sig);
}

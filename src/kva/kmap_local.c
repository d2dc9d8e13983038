/* SPDX-License-Identifier: MIT */
/*
 * Temporary kmaps: each CPU has slots of its own in the fixmap, 16 as a stack and 13 by name. Called by all who
 * touch a page's bytes for a moment, in any context. Nothing here waits, allocates, or flushes another CPU.
 *
 * A pair costs one entry write and one flush of this CPU's TLB, both when it is mapped. That is enough: nobody uses
 * the slot's address from its unmapping to the next mapping, and what the TLB keeps of it until then goes with
 * the flush, which comes after the write and before the address is given out. Other CPUs never use the slot, so they have
 * nothing to flush. What is left behind is an entry that maps a page which by then may be somebody else's; a
 * stray pointer could follow it. Debug builds therefore empty the slot, and flush, when it is unmapped.
 *
 * Interrupts. A handler may map and unmap at any point here, and leaves the index as it found it. So the index
 * goes up before the slot is written and down after it was last used: what a handler takes lies
 * above.
 *
 *	index -> 3  |          |   free, a handler's next
 *	         2  |  page C  |   the last one: the only one that may be unmapped
 *	         1  |  page B  |
 *	         0  |  page A  |
 */
#include "kva/highmem.h"

static unsigned first_slot(unsigned cpu)
{
	return QUIRE_FIX_KMAP_BEGIN + cpu * QUIRE_KM_SLOTS;
}

static bool is_mapped(struct quire *q, unsigned slot)
{
	return quire_pteslot_get(q->kernel, q->highmem.fix[slot]) != 0;
}

static void *map(struct quire *q, unsigned slot, struct quire_page *page)
{
	quire_kaddr_t addr = quire_fix_to_virt(&q->kva.layout, slot);

	quire_pteslot_set(q->kernel, q->highmem.fix[slot], kmap_pte(q, page));
	quire_port_tlb_flush_local(q, 0, addr);
	return quire_kaddr_to_ptr(q, addr);
}

/* Debug builds: so that whoever still uses it faults. */
static void unmap(struct quire *q, unsigned slot)
{
	quire_pteslot_set(q->kernel, q->highmem.fix[slot], 0);
	quire_port_tlb_flush_local(q, 0, quire_fix_to_virt(&q->kva.layout, slot));
}

/* ---- The stack --------------------------------------------------------------------------- */

void *quire_kmap_local_high(struct quire *q, struct quire_page *page)
{
	struct quire_kmap_cpu *c;
	unsigned cpu;
	uint32_t index;

	quire_port_preempt_disable(q);
	cpu = quire_port_cpu(q);
	c = &q->highmem.cpu[cpu];
	index = c->index;
	if (quire_unlikely(index == QUIRE_KM_MAX_IDX)) {
		quire_port_preempt_enable(q);
		quire_report(q, "kmap_local: more at a time than a CPU has slots", index);
		return NULL;
	}
	quire_store(&c->index, index + 1);
	quire_compiler_fence();
	return map(q, first_slot(cpu) + index, page);
}

/*
 * The slot that addr lies in, if it is one of this CPU's stack, counted from its first one; otherwise reported.
 * What is wrong is the caller's affair; what others have mapped must not suffer.
 */
static bool find_mapped(struct quire *q, const struct quire_kmap_cpu *c, unsigned cpu,
			quire_kaddr_t addr, uint32_t *n)
{
	unsigned slot;

	if (!addr_to_fix(q, addr, &slot) || slot < QUIRE_FIX_KMAP_BEGIN) {
		quire_report(q, "kunmap_local: no address of a temporary kmap", addr);
		return false;
	}
	*n = slot - first_slot(cpu);
	if (slot < first_slot(cpu) || *n >= QUIRE_KM_SLOTS) {
		quire_report(q, "kunmap_local: mapped by another CPU", addr);
		return false;
	}
	if (*n >= c->index || !is_mapped(q, slot)) {
		quire_report(q, "kunmap_local: not mapped", addr);
		return false;
	}
	return true;
}

/*
 * Debug builds. Who is unmapped before its turn is taken note of, and goes with the one above. No handler comes in
 * between: it would find the notes half taken.
 */
static void unmap_checked(struct quire *q, struct quire_kmap_cpu *c, unsigned cpu,
			  quire_kaddr_t addr)
{
	unsigned long flags = quire_port_irq_save(q);
	uint32_t n;

	if (find_mapped(q, c, cpu, addr, &n)) {
		unmap(q, first_slot(cpu) + n);
		c->early |= 1u << n;
		if (n != c->index - 1)
			quire_report(q, "kunmap_local: not the one that was mapped last", addr);
		while (c->index && (c->early >> (c->index - 1) & 1))
			c->early &= ~(1u << --c->index);
	}
	quire_port_irq_restore(q, flags);
}

void quire_kunmap_local_high(struct quire *q, void *ptr)
{
	unsigned cpu = quire_port_cpu(q);
	struct quire_kmap_cpu *c = &q->highmem.cpu[cpu];

	quire_compiler_fence();
	if (QUIRE_DEBUG)
		unmap_checked(q, c, cpu, quire_ptr_to_kaddr(q, ptr));
	else
		quire_store(&c->index, c->index - 1);
	quire_port_preempt_enable(q);
}

/* ---- By name ----------------------------------------------------------------------------- */

void *quire_kmap_atomic(struct quire *q, struct quire_page *page, enum quire_km_type type)
{
	unsigned slot;

	quire_port_preempt_disable(q);
	if (!quire_page_is_high(page))
		return quire_page_to_virt(q, page);
	slot = first_slot(quire_port_cpu(q)) + QUIRE_KM_MAX_IDX + (unsigned)type;
	if (QUIRE_DEBUG && is_mapped(q, slot))
		quire_report(q, "kmap_atomic: the slot is taken", type);
	return map(q, slot, page);
}

void quire_kunmap_atomic(struct quire *q, const void *ptr, enum quire_km_type type)
{
	unsigned slot = first_slot(quire_port_cpu(q)) + QUIRE_KM_MAX_IDX + (unsigned)type;
	quire_kaddr_t addr;

	if (QUIRE_DEBUG && !quire_virt_to_page(q, ptr)) {
		addr = quire_ptr_to_kaddr(q, ptr) & QUIRE_PAGE_MASK;
		if (addr == quire_fix_to_virt(&q->kva.layout, slot) && is_mapped(q, slot))
			unmap(q, slot);
		else
			quire_report(q, "kunmap_atomic: not what this slot of this CPU has mapped",
				     addr);
	}
	quire_port_preempt_enable(q);
}

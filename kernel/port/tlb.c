/* SPDX-License-Identifier: MIT */
/*
 * The TLB's part of the port: which tables a processor has loaded, and flushes on all that may hold an entry. x86 keeps
 * its TLB coherent with nothing, so whoever takes rights away tells the others by an interrupt and waits for them.
 * Intel SDM vol. 3A, 4.10.4 ("Invalidation of TLBs and paging-structure caches").
 *
 * What makes a processor that is not named in a flush safe: no entry of a space outlives its stay in CR3, since
 * loading CR3 drops all that is not global (PCIDs are not used), and quire_pgtable_unload() comes after that.
 */
#include "port/port.h"

#include "core/thread.h"

/* Above this many pages one reload is cheaper than an INVLPG for each. */
#define MAX_SINGLE 33u

/* ---- On this processor --------------------------------------------------------------------- */

/* Everything, global entries too: what toggling CR4.PGE does. */
static void flush_everything(void)
{
	unsigned long flags = irq_save(), cr4 = read_cr4();

	if (cr4 & CR4_PGE) {
		write_cr4(cr4 & ~CR4_PGE);
		write_cr4(cr4);
	} else {
		write_cr3(read_cr3());
	}
	irq_restore(flags);
}

static void flush_here(const struct quire_tlb_flush *f)
{
	struct quire_pgtable *tables = this_cpu()->tables;
	uint64_t step = UINT64_C(1) << f->stride, addr;

	/* Who has gone to another space since the sender looked has nothing left of this one. */
	if (!f->kernel && (!tables || tables->asid != f->asid))
		return;
	if ((f->start == 0 && f->end == UINT64_MAX) ||
	    (f->end - f->start) >> f->stride > MAX_SINGLE) {
		if (f->kernel)
			flush_everything();
		else
			write_cr3(read_cr3());
		return;
	}
	/* INVLPG drops what the processor knows of upper levels too, which is what tables asks for. */
	for (addr = f->start; addr < f->end; addr += step)
		invlpg(addr);
}

void quire_port_tlb_flush_local(struct quire *q, uint64_t asid, uint64_t addr)
{
	/* Rights that were added are found by the walk that comes before a fault; a temporary kmap is not. */
	if (asid == 0)
		invlpg(addr);
}

/* ---- On the others --------------------------------------------------------------------------- */

/*
 * Each processor can have one flush under way. It spins with interrupts on, so that two senders answer each other.
 *
 *	sender s                                each processor t that is named
 *	slot[s].flush = f, .left = their number
 *	slot[t].asked |= s, interrupt ->
 *	                                        take asked; for each s in it: flush_here(), one less left
 *	wait until left is 0
 */
static struct {
	const struct quire_tlb_flush *flush;
	uint32_t left;			      /* processors that have not answered; atomic */
	uint32_t halts;			      /* the sender sleeps until the last answer; atomic */
	uint64_t asked[(MAX_CPUS + 63) / 64]; /* senders that wait for this processor; atomic */
} __attribute__((aligned(QUIRE_CACHELINE))) slot[MAX_CPUS];

void tlb_flush_interrupt(void)
{
	unsigned self = this_cpu()->number, word, sender;

	for (word = 0; word < QUIRE_ARRAY_SIZE(slot[0].asked); word++) {
		uint64_t asked = quire_exchange(&slot[self].asked[word], UINT64_C(0));

		for (; asked; asked &= asked - 1) {
			sender = word * 64 + quire_ffs64(asked);
			flush_here(slot[sender].flush);
			this_cpu()->flushes++;
			if (quire_fetch_sub(&slot[sender].left, 1u) == 1 &&
			    quire_load(&slot[sender].halts))
				apic_send(cpus[sender].apic_id, VECTOR_RESCHED);
		}
	}
}

/*
 * An interpreter has fewer processors than it shows, so spinning keeps those from running that are waited for: sleep. The answer's
 * interrupt, or a timer's, ends it.
 */
static void wait_for_answers(unsigned self)
{
	if (!features.interpreted) {
		while (quire_load_acquire(&slot[self].left))
			cpu_relax();
		return;
	}
	(void)quire_exchange(&slot[self].halts, 1u);
	for (;;) {
		irq_disable();
		if (!quire_load_acquire(&slot[self].left))
			break;
		cpu_halt();
	}
	irq_enable();
	quire_store(&slot[self].halts, 0u);
}

void quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *f)
{
	uint64_t ask[(MAX_CPUS + 63) / 64] = {0};
	unsigned self, i;
	uint32_t n = 0;

	quire_port_preempt_disable(q);
	self = this_cpu()->number;
	for (i = 0; i < nr_cpus; i++) {
		if (i == self || !(f->cpus[i / 64] >> i % 64 & 1) ||
		    !quire_load_acquire(&cpus[i].online))
			continue;
		ask[i / 64] |= UINT64_C(1) << i % 64;
		n++;
	}
	slot[self].flush = f;
	quire_store_release(&slot[self].left, n);
	for (i = 0; n && i < nr_cpus; i++) {
		if (!(ask[i / 64] >> i % 64 & 1))
			continue;
		/* Who finds another's wish there already has an interrupt on its way. */
		if (!quire_fetch_or(&slot[i].asked[self / 64], UINT64_C(1) << self % 64))
			apic_send(cpus[i].apic_id, VECTOR_FLUSH);
	}
	if (f->kernel || (f->cpus[self / 64] >> self % 64 & 1))
		flush_here(f);
	if (n)
		wait_for_answers(self);
	quire_port_preempt_enable(q);
}

/* ---- Spaces ------------------------------------------------------------------------------------ */

/*
 * A root of two levels may lack what was mapped for the kernel after its birth, and gets it by a fault: but not the stack that
 * the fault itself would need. So it gets the one that runs and the one that is about to before it is loaded.
 */
static void give_stacks(struct cpu *cpu, struct quire_pgtable *tables)
{
#if defined(__i386__) && !defined(KERNEL_PAE)
	(void)quire_kernel_fault(tables, (uintptr_t)__builtin_frame_address(0));
	(void)quire_kernel_fault(tables, (uintptr_t)cpu->current->stack);
#endif
}

void load_space(struct cpu *cpu, struct quire_mm *mm)
{
	struct quire_pgtable *tables = quire_switch_mm(Q, mm), *old = cpu->tables;

	if (tables || cpu->tables)
		give_stacks(cpu, tables ? tables : cpu->tables);
	if (tables) {
		/* In the mask before the root is loaded, out of it when another one is. */
		quire_pgtable_load(tables, cpu->number);
		cpu->tables = tables;
		write_cr3((unsigned long)quire_pgtable_root(tables));
		if (old)
			quire_pgtable_unload(old, cpu->number);
	}
	quire_finish_switch(Q);
}

void leave_dead_space(struct cpu *cpu)
{
	struct quire_mm *mm = quire_active_mm(Q);
	struct quire_pgtable *old = cpu->tables;

	if (!mm || quire_load(&mm->users) || !quire_leave_mm(Q))
		return;
	write_cr3((unsigned long)quire_kernel_root(Q));
	cpu->tables = NULL;
	quire_pgtable_unload(old, cpu->number);
	quire_finish_switch(Q);
}

void leave_space(void)
{
	unsigned long flags = irq_save();

	load_space(this_cpu(), NULL);
	current()->mm = NULL;
	irq_restore(flags);
}

void enter_space(struct quire_mm *mm)
{
	unsigned long flags = irq_save();

	current()->mm = mm;
	load_space(this_cpu(), mm);
	irq_restore(flags);
}

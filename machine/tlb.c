/* SPDX-License-Identifier: MIT */
/*
 * Each CPU's TLB and paging-structure cache, and the flush that goes to all of them. Everything
 * stays where it is until a flush names it or another entry needs its place: no real TLB keeps
 * more. In debug builds each frame counts who points to it, so that freeing it too early is seen at
 * that moment.
 */
#include "internal.h"

void machine_refer(struct machine *m, quire_pfn_t pfn, int by)
{
	if (!QUIRE_DEBUG)
		return;
	/* The order of these among themselves is nobody's business: as if they read, and a freed frame's were written. */
	QUIRE_SCHED_POINT(&m->tlb_refs[pfn], 0);
	__atomic_fetch_add(&m->tlb_refs[pfn], (uint32_t)by, __ATOMIC_SEQ_CST);
}

static struct tlb_entry *set_of(struct machine *m, struct machine_cpu *cpu, uint64_t vpn)
{
	return cpu->tlb + (vpn & (m->tlb_sets - 1)) * TLB_WAYS;
}

struct tlb_entry *machine_tlb_find(struct machine *m, struct machine_cpu *cpu, uint64_t addr)
{
	uint64_t vpn = addr >> MACHINE_PAGE_SHIFT;
	struct tlb_entry *set = set_of(m, cpu, vpn);
	unsigned i;

	for (i = 0; i < TLB_WAYS; i++) {
		if (set[i].vpn == vpn && set[i].asid == cpu->asid)
			return &set[i];
	}
	return NULL;
}

static void drop(struct machine *m, struct machine_cpu *cpu, struct tlb_entry *e)
{
	if (!e->asid)
		return;
	e->asid = 0;
	cpu->nr_used--;
	if (e->shift != MACHINE_PAGE_SHIFT)
		cpu->nr_large--;
	machine_refer(m, e->pfn, -1);
}

static void drop_psc(struct machine *m, struct psc_entry *e)
{
	if (!e->asid)
		return;
	e->asid = 0;
	machine_refer(m, e->table, -1);
}

static struct psc_entry *psc_of(struct machine_cpu *cpu, uint64_t addr)
{
	return &cpu->psc[(addr >> cpu->region_shift) % PSC_ENTRIES];
}

struct psc_entry *machine_psc_find(struct machine_cpu *cpu, uint64_t addr)
{
	struct psc_entry *e = psc_of(cpu, addr);

	return e->asid == cpu->asid && e->region == addr >> cpu->region_shift ? e : NULL;
}

void machine_tlb_fill(struct machine *m, struct machine_cpu *cpu, uint64_t addr,
		      const struct translation *t)
{
	uint64_t vpn = addr >> MACHINE_PAGE_SHIFT;
	struct tlb_entry *set = set_of(m, cpu, vpn), *e = NULL;
	struct psc_entry *psc;
	unsigned i;

	for (i = 0; i < TLB_WAYS && !e; i++) {
		if (!set[i].asid)
			e = &set[i];
	}
	if (!e) {
		e = &set[cpu->next_way++ % TLB_WAYS];
		drop(m, cpu, e);
	}
	*e = (struct tlb_entry){
		.asid = cpu->asid,
		.vpn = vpn,
		.pfn = t->pfn,
		.rights = t->rights,
		.shift = t->shift,
	};
	cpu->nr_used++;
	if (t->shift != MACHINE_PAGE_SHIFT)
		cpu->nr_large++;
	machine_refer(m, t->pfn, 1);

	if (t->shift != MACHINE_PAGE_SHIFT || machine_psc_find(cpu, addr))
		return;
	psc = psc_of(cpu, addr);
	drop_psc(m, psc);
	*psc = (struct psc_entry){
		.asid = cpu->asid,
		.region = addr >> cpu->region_shift,
		.table = t->table,
		.rights = t->table_rights,
	};
	machine_refer(m, psc->table, 1);
}

void machine_tlb_forget(struct machine *m, struct machine_cpu *cpu, uint64_t addr)
{
	struct tlb_entry *e = machine_tlb_find(m, cpu, addr);
	struct psc_entry *psc = machine_psc_find(cpu, addr);

	if (e)
		drop(m, cpu, e);
	if (psc)
		drop_psc(m, psc);
}

void machine_tlb_forget_all(struct machine *m, struct machine_cpu *cpu)
{
	unsigned i;

	for (i = 0; i < m->tlb_sets * TLB_WAYS && cpu->nr_used; i++)
		drop(m, cpu, &cpu->tlb[i]);
	for (i = 0; i < PSC_ENTRIES; i++)
		drop_psc(m, &cpu->psc[i]);
}

/* ---- Flushes ----------------------------------------------------------------------------- */

static bool concerns(const struct quire_tlb_flush *flush, const struct tlb_entry *e)
{
	uint64_t base = e->vpn << MACHINE_PAGE_SHIFT >> e->shift << e->shift;
	uint64_t last = base + ((1ull << e->shift) - 1);

	if (!e->asid || (!flush->kernel && e->asid != flush->asid))
		return false;
	return (flush->start == 0 && flush->end == UINT64_MAX) ||
	       (base < flush->end && last >= flush->start);
}

static void flush_cpu(struct machine *m, struct machine_cpu *cpu,
		      const struct quire_tlb_flush *flush)
{
	uint64_t pages = (flush->end - flush->start) >> MACHINE_PAGE_SHIFT, addr;
	unsigned i;

	if (cpu->nr_used && !cpu->nr_large && !flush->kernel && pages < m->tlb_sets) {
		struct tlb_entry *set;

		for (addr = flush->start; addr < flush->end; addr += MACHINE_PAGE) {
			set = set_of(m, cpu, addr >> MACHINE_PAGE_SHIFT);
			for (i = 0; i < TLB_WAYS; i++) {
				if (concerns(flush, &set[i]))
					drop(m, cpu, &set[i]);
			}
		}
	} else {
		for (i = 0; i < m->tlb_sets * TLB_WAYS && cpu->nr_used; i++) {
			if (concerns(flush, &cpu->tlb[i]))
				drop(m, cpu, &cpu->tlb[i]);
		}
	}
	/*
	 * INVLPG would drop the cached tables of this space whatever the address (4.10.4.1). A
	 * machine that keeps them unless told finds out who forgets to tell.
	 */
	for (i = 0; flush->tables && i < PSC_ENTRIES; i++) {
		if (flush->kernel || cpu->psc[i].asid == flush->asid)
			drop_psc(m, &cpu->psc[i]);
	}
}

void quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush)
{
	struct machine *m = machine_of(q);
	struct machine_cpu *this = machine_this_cpu(m);
	unsigned i;

	if (this->preempt_off || this->irqs_off)
		machine_die("tlb_flush with a spin lock held, in a grace period or interrupts off");
	if (!flush->kernel && (!flush->asid || !flush->cpus || flush->start >= flush->end ||
			       ((flush->start & (MACHINE_PAGE - 1)) != 0)))
		machine_die("tlb_flush: asid %llu from %#llx to %#llx",
			    (unsigned long long)flush->asid, (unsigned long long)flush->start,
			    (unsigned long long)flush->end);
	if (m->hooks.flush)
		m->hooks.flush(m->hooks_ctx, flush);
	for (i = 0; i < m->nr_cpus; i++) {
		struct machine_cpu *cpu = &m->cpu[i];

		if (flush->cpus && !(flush->cpus[i / 64] >> i % 64 & 1))
			continue;
		lock(&cpu->lock);
		flush_cpu(m, cpu, flush);
		if (cpu == this)
			cpu->stats.flushes++;
		else
			cpu->stats.shootdowns++;
		unlock(&cpu->lock);
	}
	if (m->window)
		machine_window_flush(m, flush);
}

void quire_port_tlb_flush_local(struct quire *q, uint64_t asid, uint64_t addr)
{
	struct machine *m = machine_of(q);
	struct machine_cpu *cpu = machine_this_cpu(m);

	if (asid == 0) {
		if (m->window)
			machine_window_flush_local(m, cpu, addr);
		return;
	}
	lock(&cpu->lock);
	if (cpu->asid == asid)
		machine_tlb_forget(m, cpu, addr);
	unlock(&cpu->lock);
}

/* ---- Checks ------------------------------------------------------------------------------ */

static quire_broken_t check_cpu(struct machine *m, struct machine_cpu *cpu)
{
	uint32_t used = 0;
	unsigned i;

	for (i = 0; i < m->tlb_sets * TLB_WAYS; i++) {
		const struct tlb_entry *e = &cpu->tlb[i];
		struct translation t;

		if (!e->asid)
			continue;
		used++;
		if (!cpu->pt || e->asid != cpu->asid)
			return "machine: every TLB entry is of the space that its CPU has loaded";
		if (machine_look(m, cpu, e->vpn << MACHINE_PAGE_SHIFT, &t) != WALK_OK)
			return "machine: a TLB entry's page is in the tables";
		if (t.pfn != e->pfn)
			return "machine: a TLB entry's frame is that of the tables";
		if (e->rights & ~t.rights)
			return "machine: a TLB entry's rights are at most those of the tables";
	}
	if (used != cpu->nr_used)
		return "machine: entries in use == those counted";
	return NULL;
}

quire_broken_t machine_check(struct machine *m)
{
	quire_broken_t broken = NULL;
	unsigned i;

	for (i = 0; i < m->nr_cpus && !broken; i++) {
		lock(&m->cpu[i].lock);
		broken = check_cpu(m, &m->cpu[i]);
		unlock(&m->cpu[i].lock);
	}
	if (!broken && m->window)
		broken = machine_window_check(m);
	return broken;
}

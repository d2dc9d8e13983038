/* SPDX-License-Identifier: MIT */
/*
 * The texts about the kernel's own addresses: the table that Linux's 32-bit kernels print when they come up, and the
 * last lines of meminfo. Layout: mem_init() of Linux 2.6 as printed; proc_meminfo(5).
 */
#include "proc/emit.h"

static void emit_part(struct emitter *e, const char *name, quire_kaddr_t start, quire_kaddr_t end,
		      bool in_kb)
{
	quire_text_put(&e->text, "    ");
	quire_text_left(&e->text, name, 8);
	quire_text_put(&e->text, ": 0x");
	quire_text_hex(&e->text, start, 8);
	quire_text_put(&e->text, " - 0x");
	quire_text_hex(&e->text, end, 8);
	quire_text_put(&e->text, "   (");
	quire_text_u64(&e->text, (end - start) >> (in_kb ? 10 : 20), 4);
	quire_text_put(&e->text, in_kb ? " kB)\n" : " MB)\n");
}

int quire_proc_layout(struct quire *q, struct quire_sink *sink)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	struct emitter e;

	if (!l->page_offset)
		return -QUIRE_EINVAL;
	quire_emitter_init(&e, sink);
	quire_text_put(&e.text, "virtual kernel memory layout:\n");
	emit_part(&e, "fixmap", l->fixaddr_start, l->fixaddr_top, true);
	if (l->nr_pkmaps)
		emit_part(&e, "pkmap", l->pkmap_base,
			  l->pkmap_base + ((uint64_t)l->nr_pkmaps << QUIRE_PKMAP_SHIFT), true);
	emit_part(&e, "vmalloc", l->vmalloc_start, l->vmalloc_end, false);
	emit_part(&e, "lowmem", l->page_offset, l->high_memory, false);
	return quire_emitter_finish(&e);
}

/* ---- vmallocinfo ------------------------------------------------------------------------- */

static void emit_area(struct emitter *e, const struct quire_vm_struct *area)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} kinds[] = {
		{QUIRE_VM_IOREMAP, " ioremap"},
		{QUIRE_VM_ALLOC, " vmalloc"},
		{QUIRE_VM_MAP, " vmap"},
		{QUIRE_VM_USERMAP, " user"},
	};
	size_t i;

	quire_text_put(&e->text, "0x");
	quire_text_hex(&e->text, area->addr, 2 * (unsigned)sizeof(void *));
	quire_text_put(&e->text, "-0x");
	quire_text_hex(&e->text, area->addr + area->size, 2 * (unsigned)sizeof(void *));
	quire_text_char(&e->text, ' ');
	quire_text_u64(&e->text, area->size, 7);
	if (area->flags & QUIRE_VM_UNPURGED) {
		quire_text_put(&e->text, " unpurged vm_area\n");
		return;
	}
	if (area->flags & (QUIRE_VM_MAP_RAM | QUIRE_VM_MAP_BLOCK)) {
		quire_text_put(&e->text, " vm_map_ram\n");
		return;
	}
	if (area->caller) {
		quire_text_put(&e->text, " 0x");
		quire_text_hex(&e->text, (uintptr_t)area->caller, 1);
	}
	if (area->nr_pages) {
		quire_text_put(&e->text, " pages=");
		quire_text_u64(&e->text, area->nr_pages, 1);
	}
	if ((area->flags & QUIRE_VM_IOREMAP) && area->phys_addr) {
		quire_text_put(&e->text, " phys=0x");
		quire_text_hex(&e->text, area->phys_addr, 2 * (unsigned)sizeof(void *));
	}
	for (i = 0; i < QUIRE_ARRAY_SIZE(kinds); i++)
		if (area->flags & kinds[i].flag)
			quire_text_put(&e->text, kinds[i].name);
	quire_text_char(&e->text, '\n');
}

int quire_proc_vmallocinfo(struct quire *q, struct quire_sink *sink)
{
	struct quire_vm_struct area;
	quire_kaddr_t addr = 0;
	struct emitter e;

	quire_emitter_init(&e, sink);
	while (quire_next_vm_area(q, addr, &area)) {
		emit_area(&e, &area);
		addr = area.addr + area.size;
	}
	return quire_emitter_finish(&e);
}

/* ---- meminfo ----------------------------------------------------------------------------- */

/* "DirectMap4k:", "DirectMap2M:", "DirectMap1G:": by what a leaf maps. */
void quire_emit_direct_map(struct emitter *e, struct quire *q)
{
	static const struct {
		unsigned shift;
		const char *name;
	} sizes[] = {
		{12, "DirectMap4k:"},	{14, "DirectMap16k:"}, {16, "DirectMap64k:"},
		{21, "DirectMap2M:"},	{22, "DirectMap4M:"},  {25, "DirectMap32M:"},
		{29, "DirectMap512M:"}, {30, "DirectMap1G:"},
	};
	const struct quire_kva *kva = &q->kva;
	unsigned level;
	size_t i;

	if (!kva->layout.page_offset)
		return;
	for (level = 0; level < kva->pt.fmt->levels; level++) {
		if (level > 0 && !(kva->layout.large_levels >> level & 1))
			continue;
		for (i = 0; i < QUIRE_ARRAY_SIZE(sizes); i++) {
			if (sizes[i].shift == kva->pt.fmt->shift[level])
				quire_emit_kb(e, sizes[i].name, 16,
					      quire_load(&kva->direct_pages[level])
						      << sizes[i].shift);
		}
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * The smallest host: one CPU, no TLB, RAM from the C library. It makes a space, maps two pages,
 * faults one in, writes to the frame behind it and says what it found. install.py compiles it
 * against each form in which the library is handed out.
 */
#include <stdio.h>
#include <stdlib.h>

#include <quire/quire.h>

static char *ram;
static struct quire instance;

void *quire_port_phys_to_virt(struct quire *q, quire_paddr_t pa)
{
	return ram + pa;
}

unsigned quire_port_cpu(struct quire *q)
{
	return 0;
}

unsigned long quire_port_irq_save(struct quire *q)
{
	return 0;
}

void quire_port_irq_restore(struct quire *q, unsigned long flags)
{
}

void quire_port_preempt_disable(struct quire *q)
{
}

void quire_port_preempt_enable(struct quire *q)
{
}

void quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value)
{
	abort(); /* one thread: nobody would wake it */
}

void quire_port_wake(struct quire *q, const uint32_t *word, unsigned n)
{
}

void quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush)
{
}

int main(void)
{
	const struct quire_range map[] = { { 0, 32 << 20, QUIRE_RANGE_USABLE, 0 } };
	const struct quire_config config = {
		.nr_cpus = 1, .fmt = &quire_pgfmt_x86_64, .map = map, .nr_ranges = 1,
		.zones = 1u << QUIRE_ZONE_NORMAL,
	};
	struct quire_layout layout;
	struct quire_mm *mm;
	struct quire_page *page;
	int64_t addr;

	ram = calloc(32, 1 << 20);
	if (!ram || quire_init(&instance, &config))
		return 1;
	quire_layout_init(&layout, instance.fmt, false, false, 8 << 20, 0);
	if (quire_mm_create(&instance, &layout, &mm))
		return 1;
	addr = quire_mmap(mm, 0, 2 * QUIRE_PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			  QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);
	if (addr < 0 || quire_get_user_page(mm, (quire_uaddr_t)addr, QUIRE_ACCESS_WRITE, &page))
		return 1;
	*(char *)quire_page_kmap(&instance, page) = 42;
	printf("%d %d\n", ram[quire_page_to_pfn(&instance, page) * QUIRE_PAGE_SIZE], (int)QUIRE_PAGE_SIZE);
	quire_page_put(&instance, page);
	quire_mmput(mm);
	return quire_exit(&instance) != NULL;
}

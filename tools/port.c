/* SPDX-License-Identifier: MIT */
/*
 * The tool's port; see port.h. Since there is one CPU and nobody else, locks are always free,
 * flushes have nothing to do, and waiting would last for ever: that is a bug, and says so.
 */
#include "port.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(ptr, size) ((void)(ptr), (void)(size))
#endif

struct port {
	unsigned char *ram;
	uint64_t ram_bytes;
	unsigned reports;
	const char *first_report;
	struct quire q;
};

static struct port *port_of(struct quire *q)
{
	return q->host;
}

static void *reserve(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* An earlier instance may have left free objects here, which nobody was to touch. */
	ASAN_UNPOISON_MEMORY_REGION(p, bytes);
	return p;
}

struct quire *port_create(uint64_t ram_bytes)
{
	struct port *port = reserve(sizeof(*port));
	struct quire_range range = { 0, ram_bytes, QUIRE_RANGE_USABLE };
	struct quire_config config = {
		.nr_cpus = 1,
		.fmt = &quire_pgfmt_x86_64,
		.map = &range,
		.nr_ranges = 1,
		.zones = 1u << QUIRE_ZONE_DMA | 1u << QUIRE_ZONE_DMA32 | 1u << QUIRE_ZONE_NORMAL,
	};

	if (!port)
		return NULL;
	port->q.host = port;
	port->ram_bytes = ram_bytes;
	port->ram = reserve(ram_bytes);
	if (port->ram && quire_init(&port->q, &config) == 0)
		return &port->q;
	port_destroy(&port->q);
	return NULL;
}

void port_destroy(struct quire *q)
{
	struct port *port = port_of(q);

	if (port->ram)
		munmap(port->ram, port->ram_bytes);
	munmap(port, sizeof(*port));
}

unsigned port_reports(struct quire *q, const char **what)
{
	struct port *port = port_of(q);

	*what = port->first_report;
	return port->reports;
}

/* ---- What the library calls -------------------------------------------------------------- */

void *quire_port_phys_to_virt(struct quire *q, quire_paddr_t pa)
{
	return port_of(q)->ram + pa;
}

unsigned quire_port_cpu(struct quire *q)
{
	(void)q;
	return 0;
}

unsigned long quire_port_irq_save(struct quire *q)
{
	(void)q;
	return 0;
}

void quire_port_irq_restore(struct quire *q, unsigned long flags)
{
	(void)q;
	(void)flags;
}

void quire_port_preempt_disable(struct quire *q)
{
	(void)q;
}

void quire_port_preempt_enable(struct quire *q)
{
	(void)q;
}

void quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value)
{
	(void)q;
	if (*(const volatile uint32_t *)word != value)
		return;
	fprintf(stderr, "quire: the library waits for somebody, and there is nobody else\n");
	abort();
}

void quire_port_wake(struct quire *q, const uint32_t *word, unsigned n)
{
	(void)q;
	(void)word;
	(void)n;
}

void quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush)
{
	(void)q;
	(void)flush;
}

void quire_port_report(struct quire *q, const char *what, const char *where, uint64_t value)
{
	struct port *port = port_of(q);

	if (port->reports++ == 0)
		port->first_report = what;
	fprintf(stderr, "quire: the library reports: %s (%s, %#llx)\n", what, where, (unsigned long long)value);
}

/* SPDX-License-Identifier: MIT */
/*
 * The local APIC (interrupts between processors, the timer) and the I/O APIC (the devices'). Intel SDM vol. 3A chapter
 * 11; 82093AA data sheet. Registers are reached through ioremap.
 */
#include "core/kernel.h"

enum {
	APIC_ID = 0x20,
	APIC_TPR = 0x80,
	APIC_EOI = 0xb0,
	APIC_SPURIOUS = 0xf0,
	APIC_ICR_LOW = 0x300,
	APIC_ICR_HIGH = 0x310,
	APIC_LVT_TIMER = 0x320,
	APIC_LVT_LINT0 = 0x350,
	APIC_LVT_LINT1 = 0x360,
	APIC_LVT_ERROR = 0x370,
	APIC_TIMER_INITIAL = 0x380,
	APIC_TIMER_CURRENT = 0x390,
	APIC_TIMER_DIVIDE = 0x3e0,
};

#define LVT_MASKED 0x10000u
#define LVT_PERIODIC 0x20000u
#define LVT_NMI 0x400u
#define ICR_INIT 0x4500u
#define ICR_STARTUP 0x4600u
#define ICR_PENDING 0x1000u
#define ICR_OTHERS 0xc0000u
#define TIMER_DIVIDE_16 3u

static volatile uint32_t *apic, *ioapic;
static uint32_t timer_count; /* of one tick */

static uint32_t get(unsigned reg)
{
	return apic[reg / 4];
}

static void set(unsigned reg, uint32_t value)
{
	apic[reg / 4] = value;
}

void apic_map(quire_paddr_t local)
{
	apic = quire_ioremap(Q, local, QUIRE_PAGE_SIZE);
	kernel_assert(apic);
}

/* How far the timer counts in a tick: ten of them by the clock, which clock_init() has calibrated. */
static void calibrate(void)
{
	uint64_t begin = clock_ns();

	set(APIC_TIMER_DIVIDE, TIMER_DIVIDE_16);
	set(APIC_LVT_TIMER, LVT_MASKED);
	set(APIC_TIMER_INITIAL, ~0u);
	while (clock_ns() - begin < 10 * NS_PER_SECOND / HZ)
		cpu_relax();
	timer_count = (~0u - get(APIC_TIMER_CURRENT)) / 10;
	if (timer_count < 16)
		timer_count = 16;
}

void apic_init(struct cpu *cpu, bool boot)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | 0x800);
	cpu->apic_id = get(APIC_ID) >> 24;
	set(APIC_SPURIOUS, 0x100 | VECTOR_SPURIOUS);
	set(APIC_TPR, 0);
	set(APIC_LVT_LINT0, LVT_MASKED);
	set(APIC_LVT_LINT1, LVT_MASKED | LVT_NMI);
	set(APIC_LVT_ERROR, LVT_MASKED);
	if (boot)
		calibrate();
	set(APIC_TIMER_DIVIDE, TIMER_DIVIDE_16);
	set(APIC_LVT_TIMER, LVT_PERIODIC | VECTOR_TIMER);
	set(APIC_TIMER_INITIAL, timer_count);
}

void apic_eoi(void)
{
	set(APIC_EOI, 0);
}

static void command(uint32_t destination, uint32_t low)
{
	unsigned long flags = irq_save();

	while (get(APIC_ICR_LOW) & ICR_PENDING)
		cpu_relax();
	set(APIC_ICR_HIGH, destination << 24);
	set(APIC_ICR_LOW, low);
	irq_restore(flags);
}

void apic_send(unsigned apic_id, unsigned vector)
{
	command(apic_id, 0x4000 | vector);
}

void apic_send_others(unsigned vector)
{
	if (apic)
		command(0, 0x4000 | ICR_OTHERS | vector);
}

static void wait_us(uint64_t us)
{
	uint64_t begin = clock_ns();

	while (clock_ns() - begin < us * 1000)
		cpu_relax();
}

void apic_start_ap(unsigned apic_id, quire_paddr_t entry)
{
	command(apic_id, ICR_INIT);
	wait_us(10000);
	command(apic_id, ICR_STARTUP | (uint32_t)(entry >> 12));
	wait_us(300);
	command(apic_id, ICR_STARTUP | (uint32_t)(entry >> 12));
}

/* ---- The I/O APIC ---------------------------------------------------------------------------- */

static void io_set(unsigned reg, uint32_t value)
{
	ioapic[0] = reg;
	ioapic[4] = value;
}

static uint32_t io_get(unsigned reg)
{
	ioapic[0] = reg;
	return ioapic[4];
}

void ioapic_init(quire_paddr_t base)
{
	unsigned i, n;

	/* The 8259s, which nobody needs, are moved out of the way of exceptions and masked. */
	outb(0x20, 0x11), outb(0xa0, 0x11);
	outb(0x21, VECTOR_IRQ_FIRST), outb(0xa1, VECTOR_IRQ_FIRST + 8);
	outb(0x21, 4), outb(0xa1, 2);
	outb(0x21, 1), outb(0xa1, 1);
	outb(0x21, 0xff), outb(0xa1, 0xff);
	if (!base)
		return;
	ioapic = quire_ioremap(Q, base, 0x20);
	kernel_assert(ioapic);
	n = (io_get(1) >> 16 & 0xff) + 1;
	for (i = 0; i < n; i++)
		io_set(0x10 + 2 * i, LVT_MASKED);
}

void ioapic_route(unsigned irq, unsigned vector, unsigned apic_id)
{
	if (!ioapic)
		return;
	io_set(0x11 + 2 * irq, apic_id << 24);
	io_set(0x10 + 2 * irq, vector);
}

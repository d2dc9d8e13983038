/* SPDX-License-Identifier: MIT */
/* The other processors: started one by one through the trampoline, stopped all at once. And the machine switched off. */
#include "core/kernel.h"
#include "core/thread.h"

void ap_main(struct cpu *cpu);

/* What ap_high (boot64.S) loads. */
struct {
	uint64_t root, stack; /* as boot64.S and boot32.S read it */
	struct cpu *cpu;
} ap_boot;

extern const char trampoline_start[], trampoline_end[];

void ap_main(struct cpu *cpu)
{
	cpu_init(cpu);
	cpu->current = cpu->idle;
	cpu_set_kernel_stack(cpu, thread_stack_top(cpu->idle));
	apic_init(cpu, false);
	quire_store_release(&cpu->online, true);
	idle_loop();
}

void smp_start(void)
{
	unsigned i;

	memcpy(phys_to_ptr(TRAMPOLINE), trampoline_start,
	       (size_t)(trampoline_end - trampoline_start));
	for (i = 1; i < nr_cpus; i++) {
		uint64_t deadline;

		cpus[i].idle = thread_create_idle(&cpus[i]);
		ap_boot.root = quire_kernel_root(Q);
		ap_boot.stack = thread_stack_top(cpus[i].idle);
		ap_boot.cpu = &cpus[i];
		apic_start_ap(cpus[i].apic_id, TRAMPOLINE);
		deadline = clock_ns() + 5 * NS_PER_SECOND;
		while (!quire_load_acquire(&cpus[i].online) && clock_ns() < deadline)
			cpu_relax();
		if (!cpus[i].online)
			printk("CPU %u does not come up\n", i);
	}
}

void smp_stop_others(void)
{
	if (nr_cpus > 1)
		apic_send_others(VECTOR_STOP);
}

/* Sleep state 5 where QEMU's two PC chipsets have it, and Bochs'. Elsewhere the machine stays on and does nothing. */
void power_off(void)
{
	irq_disable();
	outw(0x604, 0x2000);
	outw(0xb004, 0x2000);
	/* It may take a moment; a write to this port, which nobody listens to, takes about a microsecond. */
	for (unsigned i = 0; i < 1000000; i++)
		outb(0x80, 0);
	printk("It is now safe to turn off the computer.\n");
	for (;;)
		__asm__ volatile("hlt");
}

void debug_exit(unsigned code)
{
	outb(0xf4, (uint8_t)code);
	power_off();
}

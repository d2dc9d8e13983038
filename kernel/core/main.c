/* SPDX-License-Identifier: MIT */
/* The order in which the kernel comes up. Called by boot64.S on the boot processor, interrupts off. */
#include "core/console.h"
#include "core/kernel.h"
#include "core/selftest.h"
#include "core/thread.h"
#include "fs/fs.h"
#include "process/process.h"

extern uint32_t boot_magic, boot_info;
void kernel_main(void);

static void print_line(void)
{
	uint64_t pages = quire_free_pages(Q);

	printk("Quire %d.%d.%d on %s, %u CPUs, %llu MiB free%s%s%s%s\n", QUIRE_VERSION_MAJOR,
	       QUIRE_VERSION_MINOR, QUIRE_VERSION_PATCH, Q->fmt->name, nr_cpus,
	       (unsigned long long)(pages >> (20 - QUIRE_PAGE_SHIFT)),
	       features.nx && Q->fmt != &quire_pgfmt_i386 ? ", NX" : "",
	       features.smep ? ", SMEP" : "", features.smap ? ", SMAP" : "",
	       features.umip ? ", UMIP" : "");
}

/* Patch STAC and CLAC in where the processor has them; the text is not protected yet. */
static void patch_smap(void)
{
	extern uint8_t *const patch_clac[], *const patch_clac_end[],
						    *const patch_stac[], *const patch_stac_end[];
	uint8_t *const *at;

	for (at = patch_clac; features.smap && at < patch_clac_end; at++)
		memcpy(*at, "\x0f\x01\xca", 3);
	for (at = patch_stac; features.smap && at < patch_stac_end; at++)
		memcpy(*at, "\x0f\x01\xcb", 3);
}

/* Init's thread, while it still is the kernel's. */
static void start_init(void *arg)
{
	const char *what;

	fs_init();
	what = boot_option("selftest");
	if (what)
		selftest(what);
	process_exec_init();
}

void kernel_main(void)
{
	quire_paddr_t local_apic, ioapic;

	cpus[0].online = true;
#ifdef __x86_64__
	features.five_levels = (read_cr4() & CR4_LA57) != 0;
	if (features.five_levels)
		page_offset = PAGE_OFFSET_5LEVEL;
#endif
	console_init();
	cpu_detect();
	patch_smap();
	trap_init();
	cpu_init(&cpus[0]);
	clock_init();
	acpi_find(&local_apic, &ioapic);
	memory_init(boot_magic, boot_info);
	memory_protect_image();
	threads_init();
	wait_init();
	apic_map(local_apic);
	ioapic_init(ioapic);
	apic_init(&cpus[0], true);
	cpu_set_kernel_stack(&cpus[0], thread_stack_top(cpus[0].idle));
	irq_enable();
	smp_start();
	console_init_input();
	print_line();
	process_start_init(start_init);
	idle_loop();
}

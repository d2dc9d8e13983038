/* SPDX-License-Identifier: MIT */
/* Descriptor tables of 64-bit mode, and the registers of SYSCALL. Intel SDM vol. 3A: 3.4, 6.14, 7.7; vol. 2B: SYSCALL. */
#include "core/kernel.h"

struct tss {
	uint32_t reserved0;
	uint64_t sp0, sp1, sp2;
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));

#define GDT_ENTRIES 8
#define IST_DOUBLE_FAULT 1

/* Exceptions that may come when the kernel's stack is no good have stacks of their own. */
static uint8_t fault_stack[MAX_CPUS][4096] __attribute__((aligned(16)));
static struct tss tss[MAX_CPUS];
static uint64_t gdt[MAX_CPUS][GDT_ENTRIES] __attribute__((aligned(16)));

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct {
	uint16_t offset0, selector;
	uint8_t ist, type;
	uint16_t offset1;
	uint32_t offset2, reserved;
} idt[256];

extern const char trap_stubs[], syscall_entry[];

void trap_init(void)
{
	unsigned v;

	for (v = 0; v < 256; v++) {
		uintptr_t at = (uintptr_t)trap_stubs + 16 * v;

		idt[v].offset0 = (uint16_t)at;
		idt[v].offset1 = (uint16_t)(at >> 16);
		idt[v].offset2 = (uint32_t)(at >> 32);
		idt[v].selector = KERNEL_CS;
		idt[v].type = v == 3 ? 0xee : 0x8e; /* INT3 is for programs too */
	}
	idt[8].ist = IST_DOUBLE_FAULT;
}

void segments_load(struct cpu *cpu)
{
	struct tss *t = &tss[cpu->number];
	uint64_t *g = gdt[cpu->number], base = (uintptr_t)t;
	struct table_pointer pointer = {sizeof(gdt[0]) - 1, (uintptr_t)g};

	cpu->tss = t;
	t->ist[IST_DOUBLE_FAULT - 1] = (uintptr_t)fault_stack[cpu->number] + sizeof(fault_stack[0]);
	t->io_map = sizeof(*t);
	g[KERNEL_CS >> 3] = 0x00af9b000000ffff;
	g[KERNEL_DS >> 3] = 0x00cf93000000ffff;
	g[USER_CS32 >> 3] = 0x00cffb000000ffff;
	g[USER_DS >> 3] = 0x00cff3000000ffff;
	g[USER_CS >> 3] = 0x00affb000000ffff;
	g[TSS_SELECTOR >> 3] = (sizeof(*t) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
			       (base >> 24 & 0xff) << 56;
	g[(TSS_SELECTOR >> 3) + 1] = base >> 32;
	__asm__ volatile("lgdt %0\n"
			 "push %1\n"
			 "lea 1f(%%rip), %%rax\n"
			 "push %%rax\n"
			 "lretq\n"
			 "1: mov %2, %%ds\n"
			 "mov %2, %%es\n"
			 "mov %2, %%ss\n"
			 "mov %3, %%fs\n"
			 "mov %3, %%gs\n"
			 "ltr %4\n"
			 :
			 : "m"(pointer), "i"(KERNEL_CS), "r"(KERNEL_DS), "r"(0),
			   "r"((uint16_t)TSS_SELECTOR)
			 : "rax", "memory");
	pointer = (struct table_pointer){sizeof(idt) - 1, (uintptr_t)idt};
	__asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
	wrmsr(MSR_GS_BASE, (uintptr_t)cpu);
	wrmsr(MSR_KERNEL_GS_BASE, 0);
	wrmsr(MSR_STAR, (uint64_t)KERNEL_CS << 32 | (uint64_t)USER_CS32 << 48);
	wrmsr(MSR_LSTAR, (uintptr_t)syscall_entry);
	wrmsr(MSR_SFMASK, FLAGS_IF | FLAGS_DF | FLAGS_TF | 1 << 18 /* AC */ | 1 << 14 /* NT */);
}

void cpu_set_kernel_stack(struct cpu *cpu, unsigned long top)
{
	cpu->kernel_stack = top;
	cpu->tss->sp0 = top;
}

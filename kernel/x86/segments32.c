/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables of 32-bit kernels: flat segments, one for the per-CPU data, three for a program's threads, and a task that a
 * double fault is left to, as no stack may be left. Intel SDM vol. 3A: 3.4, 6.11, 7.2.
 */
#include "core/kernel.h"

struct tss {
	uint32_t link, sp0, ss0, rest[4];
	uint32_t cr3, ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, fs, gs, ldt;
	uint16_t trap, io_map;
};
_Static_assert(offsetof(struct tss, cr3) == 28 && sizeof(struct tss) == 104, "SDM vol. 3A, 7.2.1");

#define GDT_ENTRIES 12

static uint8_t fault_stack[MAX_CPUS][4096] __attribute__((aligned(16)));
static struct tss tss[MAX_CPUS], fault_tss[MAX_CPUS];
static uint64_t gdt[MAX_CPUS][GDT_ENTRIES] __attribute__((aligned(16)));

struct table_pointer {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

static struct {
	uint16_t offset0, selector, type, offset1;
} idt[256];

extern const char trap_stubs[];

void trap_init(void)
{
	unsigned v;

	for (v = 0; v < 256; v++) {
		uint32_t at = (uintptr_t)trap_stubs;

		/* Each stub has 16 bytes; programs may call 3 and 0x80. */
		at += 16 * v;
		idt[v].offset0 = (uint16_t)at;
		idt[v].offset1 = (uint16_t)(at >> 16);
		idt[v].selector = KERNEL_CS;
		idt[v].type = v == 3 || v == 0x80 ? 0xee00 : 0x8e00;
	}
	idt[8].selector = DOUBLE_FAULT_SELECTOR;
	idt[8].type = 0x8500; /* a task gate */
}

/* The processor has left what it found in its own TSS. */
static void double_fault(void)
{
	const struct tss *t = this_cpu()->tss;
	const struct regs regs = {.ip = t->ip,
				  .bp = t->bp,
				  .sp = t->sp,
				  .ax = t->ax,
				  .bx = t->bx,
				  .cx = t->cx,
				  .dx = t->dx,
				  .si = t->si,
				  .di = t->di,
				  .flags = t->flags,
				  .cs = KERNEL_CS,
				  .vector = 8};

	panic_regs(&regs, "double fault at %p: the kernel's stack has run over, perhaps",
		   (void *)read_cr2());
}

static uint64_t segment(uint32_t base, uint32_t limit, uint64_t type)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | type << 40 |
	       (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(base >> 24) << 56;
}

void segments_load(struct cpu *cpu)
{
	struct tss *t = &tss[cpu->number], *f = &fault_tss[cpu->number];
	uint64_t *g = gdt[cpu->number];
	struct table_pointer pointer = {sizeof(gdt[0]) - 1, (uintptr_t)g};

	cpu->tss = t;
	cpu->gdt = g;
	t->ss0 = KERNEL_DS;
	t->io_map = sizeof(*t);
	*f = (struct tss){.cr3 = (uint32_t)read_cr3(),
			  .ip = (uintptr_t)double_fault,
			  .flags = 2,
			  .cs = KERNEL_CS,
			  .sp = (uintptr_t)fault_stack[cpu->number] + sizeof(fault_stack[0]) - 4,
			  .ss = KERNEL_DS,
			  .ds = KERNEL_DS,
			  .es = KERNEL_DS,
			  .fs = PERCPU_SELECTOR,
			  .io_map = sizeof(*f)};
	g[KERNEL_CS >> 3] = 0x00cf9b000000ffff;
	g[KERNEL_DS >> 3] = 0x00cf93000000ffff;
	g[USER_CS >> 3] = 0x00cffb000000ffff;
	g[USER_DS >> 3] = 0x00cff3000000ffff;
	g[PERCPU_SELECTOR >> 3] = segment((uintptr_t)cpu, sizeof(*cpu) - 1, 0x93) | 0x40ull << 48;
	g[TSS_SELECTOR >> 3] = segment((uintptr_t)t, sizeof(*t) - 1, 0x89);
	g[DOUBLE_FAULT_SELECTOR >> 3] = segment((uintptr_t)f, sizeof(*f) - 1, 0x89);
	__asm__ volatile("lgdt %0\n"
			 "ljmp %1, $1f\n"
			 "1: mov %2, %%ds\n"
			 "mov %2, %%es\n"
			 "mov %2, %%ss\n"
			 "mov %3, %%fs\n"
			 "mov %4, %%gs\n"
			 "ltr %w5\n"
			 :
			 : "m"(pointer), "i"(KERNEL_CS), "r"(KERNEL_DS), "r"(PERCPU_SELECTOR),
			   "r"(0), "r"(TSS_SELECTOR)
			 : "memory");
	pointer = (struct table_pointer){sizeof(idt) - 1, (uintptr_t)idt};
	__asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
}

void cpu_set_kernel_stack(struct cpu *cpu, unsigned long top)
{
	cpu->kernel_stack = top;
	cpu->tss->sp0 = top;
}

/* The double fault's task runs on tables that are always there. */
void segments_set_root(struct cpu *cpu, unsigned long root)
{
	fault_tss[cpu->number].cr3 = root;
}

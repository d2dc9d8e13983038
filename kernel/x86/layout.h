/* SPDX-License-Identifier: MIT */
/* Addresses that assembly, the linker script and C have to agree on. */
#ifndef KERNEL_LAYOUT_H
#define KERNEL_LAYOUT_H

#ifdef __x86_64__
#define KERNEL_BASE 0xffffffff80000000 /* the image is linked here plus its physical address */
#define PAGE_OFFSET 0xffff888000000000 /* of the direct map; with five levels: */
#define PAGE_OFFSET_5LEVEL 0xff11000000000000
#define WORD 8
#else
#define KERNEL_BASE 0xc0000000
#define PAGE_OFFSET 0xc0000000
#define WORD 4
#endif

#define TRAMPOLINE 0x8000 /* physical: where application processors start */

/* Selectors; the order of the user's is what SYSRET asks for. */
#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_CS32 0x1b
#define USER_DS 0x23
#ifdef __x86_64__
#define USER_CS 0x2b
#else
#define USER_CS USER_CS32
#endif
#define PERCPU_SELECTOR 0x28 /* 32-bit kernels */
#define TSS_SELECTOR 0x30
#define DOUBLE_FAULT_SELECTOR 0x38 /* the task that is left when a stack has run over */
#define FIRST_TLS 8		   /* entries for set_thread_area() */

/* struct cpu, found through GS (FS in 32-bit kernels): see cpu.h. */
#define CPU_SELF (0 * WORD)
#define CPU_CURRENT (1 * WORD)
#define CPU_KERNEL_STACK (2 * WORD)
#define CPU_USER_STACK (3 * WORD)
#define CPU_PREEMPT (4 * WORD)

#endif

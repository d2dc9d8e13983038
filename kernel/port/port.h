/* SPDX-License-Identifier: MIT */
/* What the kernel's other parts ask of the port: see port.c and tlb.c. */
#ifndef KERNEL_PORT_H
#define KERNEL_PORT_H

#include "core/kernel.h"

/* A shoot-down's interrupt. */
void tlb_flush_interrupt(void);

/* This processor goes on with a thread of mm (NULL: of the kernel). Interrupts are off. */
void load_space(struct cpu *cpu, struct quire_mm *mm);

/* The processor idles in a space whose last user has gone: it need not keep that. Interrupts are off. */
void leave_dead_space(struct cpu *cpu);

/* This thread leaves its space, which it is about to put: it becomes a kernel thread for now. */
void leave_space(void);

/* And enters another one. */
void enter_space(struct quire_mm *mm);

#endif

/* SPDX-License-Identifier: MIT */
/* What the entry code saves (entry64.S), lowest address first. */
#ifndef KERNEL_REGS_H
#define KERNEL_REGS_H

#include <stdbool.h>
#include <stdint.h>

#define VECTOR_SYSCALL (-1L)

#ifdef __x86_64__
struct regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	long vector;	     /* VECTOR_SYSCALL: a system call */
	unsigned long error; /* of an exception; of a system call its number */
	unsigned long ip, cs, flags, sp, ss;
};
#else
struct regs {
	unsigned long bx, cx, dx, si, di, bp, ax, ds, es, fs;
	long vector;
	unsigned long error;
	unsigned long ip, cs, flags, sp, ss; /* the last two only from user mode */
};
#endif

static inline bool regs_are_user(const struct regs *r)
{
	return (r->cs & 3) != 0;
}

#define FLAGS_TF 0x100ul
#define FLAGS_IF 0x200ul
#define FLAGS_DF 0x400ul
#define FLAGS_VM 0x20000ul
/* What a program may set: CF PF AF ZF SF TF DF OF RF AC. */
#define FLAGS_USER 0x50dd5ul

#endif

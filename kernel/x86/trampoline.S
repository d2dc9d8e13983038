/* SPDX-License-Identifier: MIT */
/*
 * Where an application processor starts: in real mode, at a page below 1 MiB that smp.c has copied this to. It enters
 * protected mode, then what the boot processor did (boot64.S), and goes on at ap_high.
 */
#include "layout.h"

#define PHYS(symbol) ((symbol) - KERNEL_BASE)
#define HERE(symbol) (TRAMPOLINE + (symbol) - trampoline_start)

	.section .rodata
	.globl trampoline_start, trampoline_end
	.code16
	.balign 16
trampoline_start:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	HERE(gdt_pointer)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$0x08, $HERE(protected)

	.code32
protected:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$HERE(trampoline_end) + 256, %esp
#ifdef __x86_64__
	movl	$PHYS(enter_long_mode), %eax
	call	*%eax
	ljmp	$0x08, $HERE(long_mode)

	.code64
long_mode:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movabsq	$ap_high, %rax
	jmp	*%rax
#else
	movl	$PHYS(enter_paging), %eax
	call	*%eax
	movl	$ap_high, %eax
	jmp	*%eax
#endif

	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 0x08: 32-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
gdt_pointer:
	.word . - gdt - 1
	.long HERE(gdt)
trampoline_end:

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: MIT */
/*
 * Ways into the kernel and out of it: exceptions and interrupts through the IDT, system calls through SYSCALL, and the
 * switch from one thread's stack to another's. All build a struct regs (regs.h) on the kernel's stack.
 *
 * GS is the kernel's per-CPU data while the kernel runs, so it is swapped on the way between user and kernel, and there
 * alone. The flag AC, which lets the kernel touch user memory where SMAP is on, is cleared on the way in.
 */
#include "layout.h"

/* Three bytes that become CLAC or STAC where the processor has SMAP (cpu.c). */
.macro PATCHED_CLAC
771:	.byte 0x0f, 0x1f, 0x00
	.pushsection .patch.clac, "a"
	.quad 771b
	.popsection
.endm
.macro PATCHED_STAC
771:	.byte 0x0f, 0x1f, 0x00
	.pushsection .patch.stac, "a"
	.quad 771b
	.popsection
.endm

.macro SAVE_REGS
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%rax
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
.endm

.macro RESTORE_REGS
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rax
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
.endm

#define REGS_CS (18 * 8)

	.text

/* ---- Exceptions and interrupts: 16 bytes of code a vector ----------------------------------- */

	.globl trap_stubs
	.balign 16
trap_stubs:
	vector = 0
	.rept 256
	.balign 16
	/* 8, 10 to 14, 17, 21, 29, 30 push an error code themselves. */
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
	pushq	$0
	.endif
	pushq	$vector
	jmp	trap_common
	vector = vector + 1
	.endr

	.balign 16
trap_common:
	testb	$3, 24(%rsp)
	jz	1f
	swapgs
1:	SAVE_REGS
	cld
	PATCHED_CLAC
	xorl	%ebp, %ebp
	testb	$3, REGS_CS(%rsp)
	jnz	2f
	movq	4 * 8(%rsp), %rbp	/* the interrupted frame, for backtraces */
2:	movq	%rsp, %rdi
	call	trap_dispatch

/* Interrupts are off, and all that was to be done before going back is done. */
	.globl trap_return
trap_return:
	testb	$3, REGS_CS(%rsp)
	jz	1f
	swapgs
1:	RESTORE_REGS
	addq	$16, %rsp
	iretq

/* ---- System calls ---------------------------------------------------------------------------- */

	.globl syscall_entry
	.balign 16
syscall_entry:
	swapgs
	movq	%rsp, %gs:CPU_USER_STACK
	movq	%gs:CPU_KERNEL_STACK, %rsp
	pushq	$USER_DS
	pushq	%gs:CPU_USER_STACK
	pushq	%r11
	pushq	$USER_CS
	pushq	%rcx
	pushq	%rax			/* the call's number stays here when RAX becomes its result */
	pushq	$-1			/* no vector: a system call */
	SAVE_REGS
	xorl	%ebp, %ebp
	movq	%rsp, %rdi
	call	syscall_dispatch
	testb	%al, %al
	jz	trap_return
	/* Nothing but RAX has changed: SYSRET, which takes RIP from RCX and the flags from R11. */
	RESTORE_REGS
	movq	24 + 16(%rsp), %rsp
	swapgs
	sysretq

/* ---- Threads ----------------------------------------------------------------------------------- */

/* void context_switch(unsigned long *save_sp, unsigned long sp): goes on where sp was saved. */
	.globl context_switch
	.balign 16
context_switch:
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret

/* Where a new thread's first switch leads: R12 is its function, R13 the argument, as thread.c has put them. */
	.globl thread_begin
thread_begin:
	call	schedule_tail
	movq	%r13, %rdi
	call	*%r12
	/* It comes back only if it has become a user's: its struct regs are on top of the stack. */
	movq	%rsp, %rdi
	call	return_to_user
	jmp	trap_return

/* ---- User memory --------------------------------------------------------------------------------- */

/* An instruction that may fault on a user address, and where to go on then. */
.macro FAULTS_TO label
	.pushsection .fixup_table, "a"
	.quad 772f, \label
	.popsection
772:
.endm

/* unsigned long user_copy(void *to, const void *from, unsigned long n): bytes that could not be copied. */
	.globl user_copy
	.balign 16
user_copy:
	movq	%rdx, %rcx
	PATCHED_STAC
	cmpq	$64, %rcx
	jb	1f
	shrq	$3, %rcx
	FAULTS_TO .Lcopy_words_fault
	rep movsq
	movl	%edx, %ecx
	andl	$7, %ecx
1:	FAULTS_TO .Lcopy_fault
	rep movsb
.Lcopy_fault:
	PATCHED_CLAC
	movq	%rcx, %rax
	ret
.Lcopy_words_fault:		/* byte by byte from there, so that what can be copied is */
	andl	$7, %edx
	leaq	(%rdx, %rcx, 8), %rcx
	jmp	1b

/* unsigned long user_clear(void *to, unsigned long n) */
	.globl user_clear
	.balign 16
user_clear:
	movq	%rsi, %rcx
	xorl	%eax, %eax
	PATCHED_STAC
	FAULTS_TO .Lclear_fault
	rep stosb
.Lclear_fault:
	PATCHED_CLAC
	movq	%rcx, %rax
	ret

/* long user_cmpxchg32(uint32_t *word, uint32_t *old, uint32_t new): 0, *old is what was there; or -EFAULT. */
	.globl user_cmpxchg32
	.balign 16
user_cmpxchg32:
	movl	(%rsi), %eax
	PATCHED_STAC
	FAULTS_TO .Lcmpxchg_fault
	lock cmpxchgl %edx, (%rdi)
	PATCHED_CLAC
	movl	%eax, (%rsi)
	xorl	%eax, %eax
	ret
.Lcmpxchg_fault:
	PATCHED_CLAC
	movq	$-14, %rax
	ret

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: MIT */
/*
 * Ways into 32-bit kernels and out of them; see entry64.S. System calls come by INT 0x80. FS is the kernel's per-CPU data while
 * the kernel runs; GS, where programs keep their threads' data, stays the program's. A trap from the kernel has no SP and SS.
 */
#include "layout.h"

.macro PATCHED_CLAC
771:	.byte 0x0f, 0x1f, 0x00
	.pushsection .patch.clac, "a"
	.long 771b
	.popsection
.endm
.macro PATCHED_STAC
771:	.byte 0x0f, 0x1f, 0x00
	.pushsection .patch.stac, "a"
	.long 771b
	.popsection
.endm

#define REGS_CS (13 * 4)
#define USER_NEVER 0x23000	/* VM, IOPL */
#define KERNEL_NEVER 0x27100	/* those, NT, TF */

	.text
	.globl trap_stubs
	.balign 16
trap_stubs:
	vector = 0
	.rept 256
	.balign 16
	testl	%esp, %esp	/* a program's CMPXCHG8B: SETTLE_FLAGS */
	.if vector == 0x80
	pushl	%eax		/* the call's number */
	pushl	$-1
	.else
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
	pushl	$0
	.endif
	pushl	$vector
	.endif
	jmp	trap_common
	vector = vector + 1
	.endr

	.balign 16
trap_common:
	pushl	%fs
	pushl	%es
	pushl	%ds
	pushl	%eax
	pushl	%ebp
	pushl	%edi
	pushl	%esi
	pushl	%edx
	pushl	%ecx
	pushl	%ebx
	cld
	movl	$KERNEL_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	$PERCPU_SELECTOR, %eax
	movl	%eax, %fs
	PATCHED_CLAC
	testb	$3, REGS_CS(%esp)
	jz	1f
	xorl	%ebp, %ebp
1:	movl	%esp, %eax
	pushl	%eax
	cmpl	$-1, 10 * 4(%eax)
	je	2f
	call	trap_dispatch
	jmp	3f
2:	call	syscall_dispatch
3:	addl	$4, %esp

	.globl trap_return
trap_return:
	testb	$3, REGS_CS(%esp)
	jz	1f
	/* A program that has put something else there loses it: what is good now may not be when it comes back. */
	movl	$USER_DS, 7 * 4(%esp)
	movl	$USER_DS, 8 * 4(%esp)
	movl	$0, 9 * 4(%esp)
	andl	$~USER_NEVER, REGS_CS + 4(%esp)
	jmp	2f
	/* Flags that nobody has; SETTLE_FLAGS says where they may come from. With VM or NT, IRETL goes elsewhere. */
1:	andl	$~KERNEL_NEVER, REGS_CS + 4(%esp)
2:	popl	%ebx
	popl	%ecx
	popl	%edx
	popl	%esi
	popl	%edi
	popl	%ebp
	popl	%eax
	popl	%ds
	popl	%es
	popl	%fs
	addl	$8, %esp
	iretl

	.globl context_switch
	.balign 16
context_switch:
	movl	4(%esp), %eax
	movl	8(%esp), %edx
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, (%eax)
	movl	%edx, %esp
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

/* EBX is the function, ESI its argument. */
	.globl thread_begin
thread_begin:
	call	schedule_tail
	pushl	%esi
	call	*%ebx
	addl	$4, %esp
	movl	%esp, %eax
	pushl	%eax
	call	return_to_user
	addl	$4, %esp
	jmp	trap_return

.macro FAULTS_TO label
	.pushsection .fixup_table, "a"
	.long 772f, \label
	.popsection
772:
.endm

	.globl user_copy
	.balign 16
user_copy:
	pushl	%esi
	pushl	%edi
	movl	12(%esp), %edi
	movl	16(%esp), %esi
	movl	20(%esp), %edx
	movl	%edx, %ecx
	PATCHED_STAC
	cmpl	$64, %ecx
	jb	1f
	shrl	$2, %ecx
	FAULTS_TO .Lcopy_words_fault
	rep movsl
	movl	%edx, %ecx
	andl	$3, %ecx
1:	FAULTS_TO .Lcopy_fault
	rep movsb
.Lcopy_fault:
	PATCHED_CLAC
	movl	%ecx, %eax
	popl	%edi
	popl	%esi
	ret
.Lcopy_words_fault:
	andl	$3, %edx
	leal	(%edx, %ecx, 4), %ecx
	jmp	1b

	.globl user_clear
	.balign 16
user_clear:
	pushl	%edi
	movl	8(%esp), %edi
	movl	12(%esp), %ecx
	xorl	%eax, %eax
	PATCHED_STAC
	FAULTS_TO .Lclear_fault
	rep stosb
.Lclear_fault:
	PATCHED_CLAC
	movl	%ecx, %eax
	popl	%edi
	ret

	.globl user_cmpxchg32
	.balign 16
user_cmpxchg32:
	pushl	%ebx
	movl	8(%esp), %ecx
	movl	12(%esp), %ebx
	movl	16(%esp), %edx
	movl	(%ebx), %eax
	PATCHED_STAC
	FAULTS_TO .Lcmpxchg_fault
	lock cmpxchgl %edx, (%ecx)
	PATCHED_CLAC
	movl	%eax, (%ebx)
	xorl	%eax, %eax
	xorl	%edx, %edx
	popl	%ebx
	ret
.Lcmpxchg_fault:
	PATCHED_CLAC
	movl	$-14, %eax
	movl	$-1, %edx
	popl	%ebx
	ret

/* void load_gs(unsigned long selector): 0 where it is no good. */
	.globl load_gs
load_gs:
	movl	4(%esp), %eax
	FAULTS_TO .Lgs_fault
	movl	%eax, %gs
	ret
.Lgs_fault:
	xorl	%eax, %eax
	movl	%eax, %gs
	ret

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: MIT */
/*
 * From the boot loader to C: 32-bit kernels, with PAE (three levels, 2 MiB pages) or without (two levels, 4 MiB pages). See
 * boot64.S. The tables map, writable and executable:
 *
 *	at 0            physical memory up to PAGE_OFFSET: what runs before the jump, and ACPI's tables
 *	at PAGE_OFFSET  the first 896 MiB, with this image: the direct map
 */
#include "layout.h"

#define PHYS(symbol) ((symbol) - KERNEL_BASE)

	.section .boot, "ax"
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x00010003
	.balign 4
multiboot_header:
	.long MULTIBOOT_MAGIC
	.long MULTIBOOT_FLAGS
	.long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
	.long PHYS(multiboot_header)
	.long PHYS(image_start)
	.long PHYS(image_data_end)
	.long PHYS(image_end)
	.long PHYS(boot_entry)

	.globl boot_entry
boot_entry:
	cli
	cld
	movl	$PHYS(boot_stack_top), %esp
	movl	%eax, PHYS(boot_magic)
	movl	%ebx, PHYS(boot_info)
#ifdef KERNEL_PAE
	movl	$PHYS(boot_tables), %edi
	movl	$0x83, %eax
	movl	$3 * 512, %ecx
1:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	1b
	movl	$0x83, %eax
	movl	$448, %ecx
2:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	2b
	movl	$(PHYS(boot_tables) + 1), %eax
	movl	$PHYS(boot_root), %edi
	movl	$4, %ecx
3:	movl	%eax, (%edi)
	addl	$0x1000, %eax
	addl	$8, %edi
	loop	3b
#else
	movl	$PHYS(boot_root), %edi
	movl	$0x83, %eax
	movl	$768, %ecx
1:	movl	%eax, (%edi)
	addl	$0x400000, %eax
	addl	$4, %edi
	loop	1b
	movl	$0x83, %eax
	movl	$224, %ecx
2:	movl	%eax, (%edi)
	addl	$0x400000, %eax
	addl	$4, %edi
	loop	2b
#endif
	call	enter_paging
	movl	$boot_high, %eax
	jmp	*%eax

	.globl enter_paging
enter_paging:
	movl	%cr4, %eax
#ifdef KERNEL_PAE
	orl	$0x30, %eax		/* PAE, PSE */
	movl	%eax, %cr4
	movl	$0x80000001, %eax
	cpuid
	testl	$(1 << 20), %edx
	jz	1f
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x800, %eax		/* NXE */
	wrmsr
1:
#else
	orl	$0x10, %eax		/* PSE */
	movl	%eax, %cr4
#endif
	movl	$PHYS(boot_root), %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	andl	$~0x4, %eax
	orl	$0x80010003, %eax
	movl	%eax, %cr0
	ret

	.text
boot_high:
	movl	$boot_stack_top, %esp
	xorl	%ebp, %ebp
	call	kernel_main
1:	hlt
	jmp	1b

	.globl ap_high
ap_high:
	movl	ap_boot, %eax
	movl	%eax, %cr3
	movl	ap_boot + 8, %esp
	xorl	%ebp, %ebp
	pushl	ap_boot + 16
	call	ap_main
1:	hlt
	jmp	1b

	.section .bss.boot, "aw", @nobits
	.balign 4096
boot_root:
	.skip 4096
#ifdef KERNEL_PAE
boot_tables:
	.skip 4 * 4096
#endif
	.globl boot_stack
boot_stack:
	.skip 16384
boot_stack_top:

	.data
	.globl boot_magic, boot_info
boot_magic:
	.long 0
boot_info:
	.long 0

	.section .note.GNU-stack, "", @progbits

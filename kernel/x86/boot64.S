/* SPDX-License-Identifier: MIT */
/*
 * From the boot loader to C: x86_64. The loader (Multiboot 1, which QEMU's -kernel and GRUB speak) leaves a CPU in 32-bit
 * protected mode without paging, EAX with a magic number, EBX with the address of its information.
 *
 * The tables made here map the first 4 GiB of physical memory three times, in 2 MiB pages, writable and executable:
 *
 *	at 0                     what runs before the jump upwards, and an application processor's start
 *	at PAGE_OFFSET           the direct map, for quire_init(); memory above 4 GiB is added in C (memory.c)
 *	at KERNEL_BASE           this image (the first gigabyte)
 *
 * Where the processor has five levels (CPUID 7, ECX bit 16) there is one more table above, whose three entries lead to the
 * same one below: the direct map's address there is chosen so that its lower indexes are 0.
 *
 * They live until Quire's own are loaded, and once more when an application processor starts.
 */
#include "layout.h"

#define PHYS(symbol) ((symbol) - KERNEL_BASE)
#define PAGE_BITS 0x3	    /* present, writable */
#define LARGE_BITS 0x83	    /* and a 2 MiB leaf */

	.section .boot, "ax"
	.code32

/*
 * Multiboot 1 header with addresses of its own (bit 16), since a loader of 32-bit images does not look into a 64-bit one.
 * Bits 0 and 1: modules on page boundaries, and a memory map, please.
 */
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

	/* Four tables of 512 leaves of 2 MiB. */
	movl	$PHYS(boot_pd), %edi
	movl	$LARGE_BITS, %eax
	movl	$2048, %ecx
1:	movl	%eax, (%edi)
	movl	$0, 4(%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	1b

	/* The four of them at 0 and at PAGE_OFFSET; the first at KERNEL_BASE, which is -2 GiB. */
	movl	$PHYS(boot_pdpt), %edi
	movl	$(PHYS(boot_pd) + PAGE_BITS), %eax
	movl	$4, %ecx
2:	movl	%eax, (%edi)
	addl	$0x1000, %eax
	addl	$8, %edi
	loop	2b
	movl	$(PHYS(boot_pd) + PAGE_BITS), PHYS(boot_pdpt_image) + 510 * 8
	movl	$(PHYS(boot_pdpt) + PAGE_BITS), PHYS(boot_pml4)
	movl	$(PHYS(boot_pdpt) + PAGE_BITS), PHYS(boot_pml4) + 8 * ((PAGE_OFFSET >> 39) & 511)
	movl	$(PHYS(boot_pdpt_image) + PAGE_BITS), PHYS(boot_pml4) + 511 * 8
	movl	$(PHYS(boot_pml4) + PAGE_BITS), PHYS(boot_pml5)
	movl	$(PHYS(boot_pml4) + PAGE_BITS), PHYS(boot_pml5) + 8 * ((PAGE_OFFSET_5LEVEL >> 48) & 511)
	movl	$(PHYS(boot_pml4) + PAGE_BITS), PHYS(boot_pml5) + 511 * 8

	call	enter_long_mode
	ljmp	$0x08, $PHYS(boot_64)

/* PAE, long mode with NX where there is NX, paging. Interrupts are off; the caller runs at its physical address. */
	.globl enter_long_mode
enter_long_mode:
	movl	$0x80000001, %eax
	cpuid
	movl	%edx, %esi
	xorl	%edi, %edi
	xorl	%eax, %eax
	cpuid
	cmpl	$7, %eax
	jb	1f
	movl	$7, %eax
	xorl	%ecx, %ecx
	cpuid
	movl	%ecx, %edi
1:	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	$PHYS(boot_pml4), %ecx
	testl	$(1 << 16), %edi
	jz	2f
	orl	$0x1000, %eax		/* LA57 */
	movl	$PHYS(boot_pml5), %ecx
2:	movl	%eax, %cr4
	movl	%ecx, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x101, %eax		/* LME, SCE */
	testl	$(1 << 20), %esi
	jz	1f
	orl	$0x800, %eax		/* NXE */
1:	wrmsr
	movl	%cr0, %eax
	andl	$~0x4, %eax		/* no emulation of the FPU */
	orl	$0x80010003, %eax	/* paging, write protection in the kernel, FPU monitored */
	movl	%eax, %cr0
	lgdt	PHYS(boot_gdt_pointer)
	ret

	.balign 8
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff	/* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff	/* 0x10: data */
boot_gdt_pointer:
	.word . - boot_gdt - 1
	.quad PHYS(boot_gdt)

	.code64
boot_64:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movabsq	$boot_high, %rax
	jmp	*%rax

	.text
boot_high:
	movq	$boot_stack_top, %rsp
	xorl	%ebp, %ebp
	call	kernel_main
1:	hlt
	jmp	1b

/*
 * An application processor, sent here by trampoline.S with paging on and the boot tables loaded. smp.c says in
 * ap_boot what it is to become.
 */
	.globl ap_high
ap_high:
	movq	ap_boot + 0(%rip), %rax	/* the kernel's root: the stack is mapped there alone */
	movq	%rax, %cr3
	movq	ap_boot + 8(%rip), %rsp
	movq	ap_boot + 16(%rip), %rdi
	xorl	%ebp, %ebp
	call	ap_main
1:	hlt
	jmp	1b

	.section .bss.boot, "aw", @nobits
	.balign 4096
	.globl boot_pdpt
boot_pml5:
	.skip 4096
boot_pml4:
	.skip 4096
boot_pdpt:
	.skip 4096
boot_pdpt_image:
	.skip 4096
boot_pd:
	.skip 4 * 4096
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

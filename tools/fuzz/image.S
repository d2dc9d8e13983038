/* SPDX-License-Identifier: MIT */
/* The program of the judged processes (child.c), whole, as a part of the tool. */
	.section .rodata
	.globl fuzz_child_image
	.globl fuzz_child_image_end
	.balign 16
fuzz_child_image:
	.incbin CHILD_IMAGE
fuzz_child_image_end:
	.section .note.GNU-stack, "", @progbits

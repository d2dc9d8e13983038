/* SPDX-License-Identifier: MIT */
/* The console: the first serial port, and VGA's text screen where there is one. */
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

void console_init(void);
void console_init_input(
	void); /* interrupts of the serial port and the keyboard: once there is an I/O APIC */

/* Any context. A newline becomes carriage return and newline. */
void console_write(const char *text, size_t n);

/* From a panic: whoever holds the console is not going to let it go. */
void console_break_lock(void);

/* The interrupts; each byte goes to tty_input(). */
void console_interrupt(unsigned irq);

#endif

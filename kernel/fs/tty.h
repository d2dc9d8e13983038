/* SPDX-License-Identifier: MIT */
/* The console as a terminal: termios(3) as far as shells use it. */
#ifndef KERNEL_TTY_H
#define KERNEL_TTY_H

struct file_ops;
extern const struct file_ops tty_ops;
extern const void *const tty_key;

/* A byte has come in. From interrupts. */
void tty_input(char c);

#endif

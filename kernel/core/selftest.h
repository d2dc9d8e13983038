/* SPDX-License-Identifier: MIT */
/* Tests that only the kernel can make of itself, on its real MMU: "selftest" on the command line. "selftest=overflow" ends with a panic. */
#ifndef KERNEL_SELFTEST_H
#define KERNEL_SELFTEST_H

/* Prints a line for each; panics at the first that fails. */
void selftest(const char *what);

#endif

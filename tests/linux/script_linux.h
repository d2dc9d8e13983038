/* SPDX-License-Identifier: MIT */
/* Scripts (tests/unit/script.h) put to the running kernel. */
#ifndef QUIRE_TESTS_SCRIPT_LINUX_H
#define QUIRE_TESTS_SCRIPT_LINUX_H

/* Once, while the caller is still small: its processes are forked from how it is now. Aborts if it can't be done. */
void script_linux_open(void);

/* picture: SCRIPT_TEXT bytes; what the script leaves. */
void script_linux(const char *script, char *picture);

#endif

/* SPDX-License-Identifier: MIT */
/* Scripts (tests/unit/script.h) put to the running kernel: script_linux(script, picture). */
#ifndef QUIRE_TESTS_SCRIPT_LINUX_H
#define QUIRE_TESTS_SCRIPT_LINUX_H

void script_linux(const char *script, char *picture);

#endif

/* SPDX-License-Identifier: MIT */
/* The sub-commands, as main.c calls them. Each returns an enum tool_exit. (shadow_run() is in shadow.h.) */
#ifndef QUIRE_TOOL_COMMANDS_H
#define QUIRE_TOOL_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* quire replay FILE... */
int replay_run(char **names, size_t nr, bool quiet, bool timed);

/* quire maps FILE, quire smaps FILE: the spaces at the end of a recording, to stdout, or drawn into svg if not NULL. */
int spaces_run(const char *name, bool smaps, const char *svg, bool quiet);

/*
 * quire layout: a machine's zones and the kernel's addresses to stdout, and drawn into svg if not NULL. machine: of those that
 * layout_has_machine() knows; NULL: x86_64. ram: bytes; 0: as is usual for it.
 */
int layout_run(const char *machine, uint64_t ram, const char *svg);
bool layout_has_machine(const char *name);
void layout_list_machines(FILE *f); /* one line */

#endif

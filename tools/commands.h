/* SPDX-License-Identifier: MIT */
/* The sub-commands, as main.c calls them. Each returns an enum tool_exit. (shadow_run() is in shadow.h.) */
#ifndef QUIRE_TOOL_COMMANDS_H
#define QUIRE_TOOL_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

/* quire replay FILE... */
int replay_run(char **names, size_t nr, bool quiet, bool timed);

/* quire maps FILE, quire smaps FILE: the spaces at the end of a recording, to stdout, or drawn into svg if not NULL. */
int spaces_run(const char *name, bool smaps, const char *svg, bool quiet);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * The tool's port: one CPU, no interrupts, and RAM that costs the host only what is written. Used
 * by world.c alone. A second thread must never enter an instance that is made here.
 */
#ifndef QUIRE_TOOL_PORT_H
#define QUIRE_TOOL_PORT_H

#include <quire/quire.h>

/* An instance with all rooms up; NULL: no memory for it. */
struct quire *port_create(uint64_t ram_bytes);
void port_destroy(struct quire *q);

/* What the library reported as impossible, so far. The first one's sentence in *what. */
unsigned port_reports(struct quire *q, const char **what);

#endif

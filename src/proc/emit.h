/* SPDX-License-Identifier: MIT */
/*
 * What the files of src/proc/ share: text that goes to a sink, and stops going there once the sink
 * has refused it.
 */
#ifndef QUIRE_PROC_EMIT_H
#define QUIRE_PROC_EMIT_H

#include <quire/quire.h>

#include "base/text.h"

struct emitter {
	struct quire_text text;
	struct quire_sink *sink;
	int error; /* what the sink said last; nothing is sent after it was not 0 */
};

void quire_emitter_init(struct emitter *e, struct quire_sink *sink);

/* Send what is left. What the sink said: 0, or its first refusal. */
int quire_emitter_finish(struct emitter *e);

/* "name" left in width columns, value right in 8, " kB\n"; value is in bytes. */
void quire_emit_kb(struct emitter *e, const char *name, unsigned width, uint64_t bytes);

/* meminfo's lines about the direct map; none where there is no kernel address space. */
void quire_emit_direct_map(struct emitter *e, struct quire *q);

/* One area as it was at some moment, with references that keep its names alive. */
struct area_view {
	struct quire_vma vma; /* a copy of the area's fields; not linked to anything */
};

/*
 * The first area that ends above addr, or as much of it as lies there. False: none. Keeps a reference
 * on its file until quire_area_view_put(); takes a grace period for a moment, so not to be called
 * within one.
 */
bool quire_area_view_get(struct area_view *view, struct quire_mm *mm, quire_uaddr_t addr);
void quire_area_view_put(struct area_view *view);

/* The line of /proc/PID/maps. */
void quire_emit_area_line(struct emitter *e, const struct quire_vma *vma);

/* Pages of the program's text and of its libraries' (VmExe, VmLib). */
void quire_proc_text_pages(const struct quire_mm *mm, uint64_t *exe, uint64_t *lib);

#endif

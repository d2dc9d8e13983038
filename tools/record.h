/* SPDX-License-Identifier: MIT */
/*
 * Writing a recording: one line an event, as docs/recording.md has it. Called by world.c for everything that it
 * serves, and by compare.c for what Linux's maps were.
 */
#ifndef QUIRE_TOOL_RECORD_H
#define QUIRE_TOOL_RECORD_H

#include "world.h"

#define RECORDING_VERSION 1

struct recorder;

/* NULL: the file can't be made; errno says why. */
struct recorder *recorder_open(const char *path);
/* 0, or the errno of the first write that failed. Frees it. */
int recorder_close(struct recorder *r);

/* All of these take NULL for "no recording". */
void record_system(struct recorder *r, const struct world_system *system);
void record_file(struct recorder *r, const struct world_file *f);
void record_flags(struct recorder *r, const struct world_file *f);
void record_size(struct recorder *r, const struct world_file *f);
void record_path(struct recorder *r, const struct world_file *f);
void record_space(struct recorder *r, const struct space *space);
void record_area(struct recorder *r, const struct space *space, const struct world_area *area);
void record_limits(struct recorder *r, const struct space *space);
void record_layout(struct recorder *r, const struct space *space);
void record_own(struct recorder *r, const struct space *space, uint64_t addr);
void record_grow(struct recorder *r, const struct space *space, uint64_t addr);
void record_identify(struct recorder *r, const struct space *space, uint64_t addr, uint32_t dev_major,
		     uint32_t dev_minor, uint64_t inode);
void record_drop(struct recorder *r, const struct space *space, uint64_t start, uint64_t end);
void record_call(struct recorder *r, const struct space *space, const struct call *call, bool compared);
void record_fork(struct recorder *r, const struct space *parent, const struct space *child);
void record_end(struct recorder *r, const struct space *space);
void record_maps(struct recorder *r, const struct space *space, const char *text, size_t len);

#endif

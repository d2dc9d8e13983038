/* SPDX-License-Identifier: MIT */
/*
 * The model's pages, for model.c: what areas, owners and objects are in an array of pages. A range is
 * [start, end) in pages; an area is named by any of its pages.
 */
#ifndef QUIRE_TESTS_MODEL_PAGES_H
#define QUIRE_TESTS_MODEL_PAGES_H

#include "model.h"

/* ---- Areas ------------------------------------------------------------------------------- */

bool is_mapped(const struct model *m, const struct space *s, unsigned p);
unsigned area_start(const struct space *s, unsigned p);
/* The first mapped page at or above p; m->pages: none. */
unsigned next_mapped(const struct model *m, const struct space *s, unsigned p);
/* The end of the part of p's area that lies below end. */
unsigned part_end(const struct space *s, unsigned p, unsigned end);
/* Two areas where one was, unless one begins at p already. */
void cut(struct model *m, struct space *s, unsigned p);

unsigned locked_pages(const struct space *s, unsigned start, unsigned end);
/* May an area with these flags have so many pages more? */
bool may_lock(const struct model *m, const struct space *s, uint64_t flags, unsigned pages);

/* [start, end) of one area gets these flags, and merges with its neighbours where it may. */
void modify(struct model *m, struct space *s, unsigned start, unsigned end, uint64_t flags);
/* What is new at [start, end), which is free: page describes its first one. */
void insert(struct model *m, struct space *s, unsigned start, unsigned end, const struct page *page,
	    bool merge_left, bool merge_right);

/* ---- Owners ------------------------------------------------------------------------------ */

/* Areas of all spaces that may have pages of the owner's; or whose owner it is. */
unsigned count_areas(const struct model *m, int owner, bool own);
unsigned count_children(const struct model *m, int owner);
/* parent -1: a root. There is always room. */
int new_owner(struct model *m, int parent);
/* [start, end) gets from's owner and chain. */
void set_owner(struct space *s, unsigned start, unsigned end, const struct page *from);
/* An area's first private page gives it an owner: a neighbour's that has no ancestors, or a new one. */
void prepare_owner(struct model *m, struct space *s, unsigned p);

/* ---- Objects ----------------------------------------------------------------------------- */

unsigned object_pages(const struct object *o);
/* Shared anonymous memory. There is always room: each is mapped by a page at least. */
int new_object(struct model *m, unsigned pages, bool accounted);
/* Nothing is left of the page, in the cache or on the disk. */
void drop_object_page(struct object *o, unsigned page);
void resize_file(struct model *m, unsigned halves);
void write_file(struct model *m, unsigned half, uint8_t value);

/* ---- Faulting in ------------------------------------------------------------------------- */

enum access { DONE, BUS, GUARDED };

/* The page is faulted in to be read or written; rights are somebody else's. */
enum access touch(struct model *m, struct space *s, unsigned p, bool write);
/* An area's part: to be written where it is private and writable. Stops at what cannot be had. */
int populate_area(struct model *m, struct space *s, unsigned start, unsigned end);
/* The same for all areas of a range; those that fail stop it or not. */
int populate(struct model *m, struct space *s, unsigned start, unsigned end, bool go_on);

#endif

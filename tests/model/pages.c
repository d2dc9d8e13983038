/* SPDX-License-Identifier: MIT */
/*
 * The model's pages: areas as stretches of them, who merges with whom, whose private pages are in an
 * area, what objects have, what a fault does. Called by model.c. Everything is counted anew each time.
 */
#include "pages.h"

#include <string.h>

#include <quire/errno.h>
#include <quire/mm.h>

/* ---- Areas: stretches of pages ----------------------------------------------------------- */

bool is_mapped(const struct model *m, const struct space *s, unsigned p)
{
	return p < m->pages && s->page[p].mapped;
}

unsigned area_start(const struct space *s, unsigned p)
{
	while (!s->page[p].first)
		p--;
	return p;
}

unsigned model_area_end(const struct space *s, unsigned p)
{
	for (p++; p < MODEL_PAGES && s->page[p].mapped && !s->page[p].first;)
		p++;
	return p;
}

/* The first mapped page at or above p; m->pages: none. */
unsigned next_mapped(const struct model *m, const struct space *s, unsigned p)
{
	while (p < m->pages && !s->page[p].mapped)
		p++;
	return p < m->pages ? p : m->pages;
}

/* The part of p's area below end. */
unsigned part_end(const struct space *s, unsigned p, unsigned end)
{
	unsigned area = model_area_end(s, p);

	return area < end ? area : end;
}

void cut(struct model *m, struct space *s, unsigned p)
{
	if (is_mapped(m, s, p))
		s->page[p].first = true;
}

unsigned locked_pages(const struct space *s, unsigned start, unsigned end)
{
	unsigned n = 0;

	for (unsigned p = start; p < end; p++)
		n += s->page[p].mapped && (s->page[p].flags & QUIRE_VM_LOCKED);
	return n;
}

bool may_lock(const struct model *m, const struct space *s, uint64_t flags, unsigned pages)
{
	return !(flags & QUIRE_VM_LOCKED) ||
	       locked_pages(s, 0, m->pages) + pages <= m->memlock ||
	       m->wrong == WRONG_LOCK_HAS_NO_LIMIT;
}

/* ---- Owners of private pages ------------------------------------------------------------- */

static bool chain_has(const struct page *p, int owner)
{
	for (unsigned i = 0; i < p->chain_len; i++)
		if (p->chain[i] == owner)
			return true;
	return false;
}

/* Areas of all spaces that may have pages of the owner's; or whose owner it is. */
unsigned count_areas(const struct model *m, int owner, bool own)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MODEL_SPACES * MODEL_PAGES; i++) {
		const struct page *p = &m->space[i / MODEL_PAGES].page[i % MODEL_PAGES];

		n += p->mapped && p->first && (own ? p->owner == owner : chain_has(p, owner));
	}
	return n;
}

unsigned count_children(const struct model *m, int owner)
{
	unsigned n = 0;

	for (int i = 0; i < MODEL_OWNERS; i++)
		n += m->parent[i] == owner && count_areas(m, i, false);
	return n;
}

/* parent -1: a root. There is always room. */
int new_owner(struct model *m, int parent)
{
	for (int i = 0; i < MODEL_OWNERS; i++) {
		if (m->parent[i] < 0) {
			m->parent[i] = (int8_t)(parent < 0 ? i : parent);
			return i;
		}
	}
	return -1;
}

void set_owner(struct space *s, unsigned start, unsigned end, const struct page *from)
{
	struct page source = *from;

	for (unsigned p = start; p < end; p++) {
		s->page[p].owner = source.owner;
		s->page[p].chain_len = source.chain_len;
		memcpy(s->page[p].chain, source.chain, sizeof(source.chain));
	}
}

/* ---- Merging ----------------------------------------------------------------------------- */

/* Do stretches of which one ends with a and the other begins with b agree in all but owners? */
static bool agree(const struct page *a, const struct page *b)
{
	return !((a->flags ^ b->flags) & ~QUIRE_VM_STICKY) && a->object == b->object &&
	       a->pgoff + 1 == b->pgoff;
}

static bool owners_fit(const struct model *m, const struct page *target, const struct page *source)
{
	if (m->wrong == WRONG_MERGES_ALL)
		return true;
	if (target->owner >= 0 && source->owner >= 0)
		return target->owner == source->owner;
	if (target->owner >= 0)
		return target->chain_len == 1;
	if (source->owner >= 0)
		return source->chain_len == 1;
	return true;
}

/* The areas that end and begin at p become one. */
static void join(struct space *s, unsigned p)
{
	unsigned start = area_start(s, p - 1), end = model_area_end(s, p);
	uint64_t sticky = (s->page[start].flags | s->page[p].flags) & QUIRE_VM_STICKY;

	set_owner(s, start, end, &s->page[s->page[start].owner >= 0 ? start : p]);
	s->page[p].first = false;
	for (unsigned i = start; i < end; i++)
		s->page[i].flags |= sticky;
}

/*
 * [start, end) is a stretch by itself now, with the owner of source, and has new flags or is new:
 * does it become one with what lies before (left) and behind (right)? Where both fit it but have
 * owners that differ, the one before has it.
 */
static void merge(struct model *m, struct space *s, unsigned start, unsigned end, bool left,
		  bool right, const struct page *source)
{
	const struct page *prev = start ? &s->page[start - 1] : NULL;
	const struct page *next = is_mapped(m, s, end) ? &s->page[end] : NULL;

	left = left && prev && prev->mapped && agree(prev, &s->page[start]) &&
	       owners_fit(m, prev, source);
	right = right && next && agree(&s->page[end - 1], next) && owners_fit(m, next, source);
	if (left && right && prev->owner >= 0 && next->owner >= 0 && prev->owner != next->owner)
		right = m->wrong == WRONG_MERGES_ALL;
	/* Whose owner the whole gets: of the one before, else of the one behind, else the stretch's. */
	if (right && next->owner >= 0 && !(left && prev->owner >= 0))
		set_owner(s, start, end, next);
	if (left)
		join(s, start);
	if (right)
		join(s, end);
}

/* [start, end) of one area gets these flags. */
void modify(struct model *m, struct space *s, unsigned start, unsigned end, uint64_t flags)
{
	bool left = s->page[start].first, right = model_area_end(s, start) == end;
	struct page source = s->page[start];

	cut(m, s, start);
	cut(m, s, end);
	for (unsigned p = start; p < end; p++)
		s->page[p].flags = flags;
	merge(m, s, start, end, left, right, &source);
}

/* What is new at [start, end), which is free: page describes its first one. */
void insert(struct model *m, struct space *s, unsigned start, unsigned end,
		   const struct page *page, bool merge_left, bool merge_right)
{
	struct page source = *page;

	for (unsigned p = start; p < end; p++) {
		s->page[p] = source;
		s->page[p].mapped = true;
		s->page[p].first = p == start;
		s->page[p].content = NOTHING;
		s->page[p].byte[0] = s->page[p].byte[1] = 0;
		s->page[p].pgoff = source.pgoff + (p - start);
	}
	merge(m, s, start, end, merge_left, merge_right, &source);
}

/* An area's first private page gives it an owner: a neighbour's that has no ancestors, or a new one. */
static bool share_owner(const struct page *a, const struct page *b, const struct page *neighbour)
{
	return a->object == b->object && a->pgoff + 1 == b->pgoff &&
	       !((a->flags ^ b->flags) & ~(QUIRE_VM_ACCESS_FLAGS | QUIRE_VM_STICKY)) &&
	       neighbour->owner >= 0 && neighbour->chain_len == 1;
}

void prepare_owner(struct model *m, struct space *s, unsigned p)
{
	unsigned start = area_start(s, p), end = model_area_end(s, p);
	struct page own = {0};

	if (s->page[p].owner >= 0)
		return;
	if (is_mapped(m, s, end) &&
	    share_owner(&s->page[end - 1], &s->page[end], &s->page[end])) {
		set_owner(s, start, end, &s->page[end]);
		return;
	}
	if (start && s->page[start - 1].mapped &&
	    share_owner(&s->page[start - 1], &s->page[start], &s->page[start - 1])) {
		set_owner(s, start, end, &s->page[start - 1]);
		return;
	}
	own.owner = (int8_t)new_owner(m, -1);
	own.chain_len = 1;
	own.chain[0] = own.owner;
	set_owner(s, start, end, &own);
}

/* ---- Objects ----------------------------------------------------------------------------- */

unsigned object_pages(const struct object *o)
{
	return (o->halves + 1u) / 2;
}

uint8_t model_file_byte(unsigned page, unsigned half)
{
	return page * 2 + half < MODEL_FILE_HALVES ? (uint8_t)(0xa0 + page * 2 + half) : 0;
}

bool model_object_is_mapped(const struct model *m, int object)
{
	for (unsigned i = 0; i < MODEL_SPACES * MODEL_PAGES; i++) {
		const struct page *p = &m->space[i / MODEL_PAGES].page[i % MODEL_PAGES];

		if (p->mapped && p->object == object)
			return true;
	}
	return false;
}

/* There is always room: each is mapped by a page at least. */
int new_object(struct model *m, unsigned pages, bool accounted)
{
	for (int i = MODEL_FILE + 1; i < MODEL_OBJECTS; i++) {
		if (!m->object[i].exists) {
			m->object[i].exists = true;
			m->object[i].halves = (uint8_t)(2 * pages);
			m->object[i].accounted = accounted;
			return i;
		}
	}
	return -1;
}

/* Pages of the object that are gone: nothing is in the cache or on the disk. */
void drop_object_page(struct object *o, unsigned page)
{
	o->there[page] = false;
	memset(o->byte[page], 0, sizeof(o->byte[page]));
	memset(o->disk[page], 0, sizeof(o->disk[page]));
}

/* What lies behind the end is no content, in the cache or on the disk. */
static void zero_behind(struct object *o, unsigned halves)
{
	if (halves % 2) {
		o->byte[halves / 2][1] = 0;
		o->disk[halves / 2][1] = 0;
	}
}

void resize_file(struct model *m, unsigned halves)
{
	struct object *o = &m->object[MODEL_FILE];
	unsigned old = o->halves;

	o->halves = (uint8_t)halves;
	zero_behind(o, halves < old ? halves : old);
	for (unsigned p = object_pages(o); p < MODEL_OBJECT_PAGES; p++)
		drop_object_page(o, p);
	/* Private copies of what is gone are gone. */
	for (unsigned i = 0; i < MODEL_SPACES * MODEL_PAGES; i++) {
		struct page *p = &m->space[i / MODEL_PAGES].page[i % MODEL_PAGES];

		if (p->mapped && p->object == MODEL_FILE && p->content == OWN &&
		    p->pgoff >= object_pages(o) && m->wrong != WRONG_TRUNCATE_KEEPS_COPIES) {
			p->content = NOTHING;
			p->byte[0] = p->byte[1] = 0;
		}
	}
}

void write_file(struct model *m, unsigned half, uint8_t value)
{
	struct object *o = &m->object[MODEL_FILE];

	if (half >= o->halves) {
		zero_behind(o, o->halves);
		o->halves = (uint8_t)(half + 1);
	}
	o->there[half / 2] = true;
	o->byte[half / 2][half % 2] = value;
}

/* ---- Accesses ---------------------------------------------------------------------------- */

/* The page is faulted in to be read or written; rights are somebody else's. */
enum access touch(struct model *m, struct space *s, unsigned p, bool write)
{
	struct page *page = &s->page[p];
	bool private_write = write && !(page->flags & QUIRE_VM_SHARED);
	struct object *o;

	if (page->content == GUARD)
		return GUARDED;
	if (page->content == OWN)
		return DONE;
	if (page->object < 0)
		write |= m->forbid_zeropage;
	if (private_write || (write && page->object < 0))
		prepare_owner(m, s, p);
	if (page->object < 0) {
		if (write)
			page->content = OWN;
		else
			page->content = ZEROES;
		return DONE;
	}
	o = &m->object[page->object];
	if (page->pgoff >= object_pages(o))
		return BUS;
	o->there[page->pgoff] = true;
	if (private_write) {
		page->content = OWN;
		memcpy(page->byte, o->byte[page->pgoff], sizeof(page->byte));
	}
	return DONE;
}

/* Fault in an area's part: to be written where it is private and writable. Stops at what cannot be had. */
int populate_area(struct model *m, struct space *s, unsigned start, unsigned end)
{
	uint64_t flags = s->page[start].flags;
	bool write = (flags & (QUIRE_VM_WRITE | QUIRE_VM_SHARED)) == QUIRE_VM_WRITE;

	/* It has been asked that nothing be faulted in. */
	if (flags & QUIRE_VM_LOCKONFAULT)
		return 0;
	if (!(flags & QUIRE_VM_ACCESS_FLAGS))
		return -QUIRE_EFAULT;
	for (unsigned p = start; p < end; p++)
		if (touch(m, s, p, write) != DONE)
			return -QUIRE_EFAULT;
	return 0;
}

/* The same for all areas of a range; those that fail may stop it or not. */
int populate(struct model *m, struct space *s, unsigned start, unsigned end, bool go_on)
{
	for (unsigned p = next_mapped(m, s, start); p < end; p = next_mapped(m, s, p)) {
		unsigned stop = part_end(s, p, end);
		int err = populate_area(m, s, p, stop);

		if (err && !go_on)
			return err;
		p = stop;
	}
	return 0;
}

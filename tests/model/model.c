/* SPDX-License-Identifier: MIT */
/*
 * What each call means, page by page. Called by who explores (search.c); knows nothing of Quire but
 * the numbers of its constants, which are Linux's. Sources: the manual pages; for who merges with
 * whom, and for what is left behind by a call that fails, what Linux 6.18 does: judge.c asks it.
 *
 * A range is [start, end) in pages. Functions that can be refused answer 0 or a negative errno.
 */
#include "model.h"

#include <string.h>

#include <quire/errno.h>
#include <quire/mm.h>

#include "pages.h"

#define MAY (QUIRE_VM_MAYREAD | QUIRE_VM_MAYWRITE | QUIRE_VM_MAYEXEC)
#define SHARED (QUIRE_VM_SHARED | QUIRE_VM_MAYSHARE)

uint64_t model_middle = 0x200000000000;

/* ---- Accesses ---------------------------------------------------------------------------- */

static uint8_t *byte_of(struct model *m, struct page *page, unsigned half)
{
	static uint8_t zero;

	if (page->content == OWN)
		return &page->byte[half];
	if (page->object >= 0)
		return &m->object[page->object].byte[page->pgoff][half];
	zero = 0;
	return &zero;
}

static void signal_at(struct outcome *o, unsigned p, unsigned half, int signo, int code)
{
	o->value = -QUIRE_EFAULT;
	o->signo = signo;
	o->code = code;
	o->addr = MODEL_ADDRESS(p) + half * (MODEL_PAGE / 2);
}

/* A stack above the hole at p grows down to it, if it may. */
static bool grow_stack(struct model *m, struct space *s, unsigned p)
{
	unsigned start = next_mapped(m, s, p), end, prev;
	struct page page;

	if (start == m->pages || !(s->page[start].flags & QUIRE_VM_GROWSDOWN))
		return false;
	end = model_area_end(s, start);
	for (prev = p; prev && !s->page[prev - 1].mapped;)
		prev--;
	if (prev && (s->page[prev - 1].flags & QUIRE_VM_ACCESS_FLAGS) &&
	    !(s->page[prev - 1].flags & QUIRE_VM_GROWSDOWN) && p - prev < m->gap)
		return false;
	/* Before the limits are looked at: the owner of a stack that they stop stays. */
	prepare_owner(m, s, start);
	if (end - p > m->stack_limit || !may_lock(m, s, s->page[start].flags, start - p))
		return false;
	page = s->page[start];
	page.pgoff -= start - p;
	insert(m, s, p, start, &page, false, false);
	s->page[start].first = false;
	return true;
}

static void access(struct model *m, struct space *s, const struct step *step, uint8_t value,
		   struct outcome *o)
{
	unsigned p = step->start, half = step->off;
	bool write = step->call == CALL_STORE;
	struct page *page = &s->page[p];
	uint64_t flags;

	if (!page->mapped && !grow_stack(m, s, p)) {
		signal_at(o, p, half, QUIRE_SIGSEGV, QUIRE_SEGV_MAPERR);
		return;
	}
	flags = page->flags;
	if (write ? !(flags & QUIRE_VM_WRITE) : !(flags & QUIRE_VM_ACCESS_FLAGS)) {
		signal_at(o, p, half, QUIRE_SIGSEGV, QUIRE_SEGV_ACCERR);
		return;
	}
	if (m->wrong == WRONG_GUARD_IS_NOTHING && page->content == GUARD)
		page->content = NOTHING;
	switch (touch(m, s, p, write)) {
	case BUS:
		signal_at(o, p, half, QUIRE_SIGBUS, QUIRE_BUS_ADRERR);
		return;
	case GUARDED:
		signal_at(o, p, half, QUIRE_SIGSEGV, QUIRE_SEGV_MAPERR);
		return;
	default:
		break;
	}
	/* What the no-execute bit refuses has been faulted in by then. */
	if (step->call == CALL_FETCH && !m->reads_execute && !(flags & QUIRE_VM_EXEC)) {
		signal_at(o, p, half, QUIRE_SIGSEGV, QUIRE_SEGV_ACCERR);
		return;
	}
	if (write)
		*byte_of(m, page, half) = value;
	else
		o->byte = *byte_of(m, page, half);
}

/* ---- munmap ------------------------------------------------------------------------------ */

static void clear(struct page *page)
{
	memset(page, 0, sizeof(*page));
}

/*
 * The areas that reach over the ends are cut before anything goes; where a sealed one stops the call,
 * the cuts that came before it stay.
 */
static int unmap(struct model *m, struct space *s, unsigned start, unsigned end)
{
	bool open = m->wrong == WRONG_SEAL_IS_OPEN;

	for (unsigned p = next_mapped(m, s, start); p < end; p = next_mapped(m, s, p)) {
		if ((s->page[p].flags & QUIRE_VM_SEALED) && !open)
			return -QUIRE_EPERM;
		if (p == start)
			cut(m, s, start);
		p = model_area_end(s, p);
		if (p > end)
			cut(m, s, end);
	}
	for (unsigned p = start; p < end; p++)
		clear(&s->page[p]);
	return 0;
}

static int do_munmap(struct model *m, struct space *s, const struct step *t)
{
	if (!t->n || t->start + t->n > m->pages)
		return -QUIRE_EINVAL;
	return unmap(m, s, t->start, t->start + t->n);
}

/* ---- mmap -------------------------------------------------------------------------------- */

/* Where an area begins for who looks for room: a stack keeps a gap below it. */
static unsigned start_with_gap(const struct model *m, const struct space *s, unsigned p)
{
	unsigned gap = s->page[p].flags & QUIRE_VM_GROWSDOWN ? m->gap : 0;

	return p > gap ? p - gap : 0;
}

static bool is_free(const struct space *s, unsigned start, unsigned end)
{
	for (unsigned p = start; p < end; p++)
		if (s->page[p].mapped)
			return false;
	return true;
}

/* The highest place; where that touches a stack's gap, the highest below that gap. -1: none. */
static int highest_place(const struct model *m, const struct space *s, unsigned n, unsigned high)
{
	for (unsigned end = high; end >= n; end--) {
		unsigned next = next_mapped(m, s, end);

		if (!is_free(s, end - n, end))
			continue;
		if (next < m->pages && start_with_gap(m, s, next) < end)
			return highest_place(m, s, n, start_with_gap(m, s, next));
		return (int)(end - n);
	}
	return -1;
}

static int lowest_place(const struct model *m, const struct space *s, unsigned n, unsigned low)
{
	for (unsigned start = low; start + n <= m->pages; start++) {
		unsigned next = next_mapped(m, s, start + n);

		if (!is_free(s, start, start + n))
			continue;
		if (next < m->pages && start_with_gap(m, s, next) < start + n)
			return lowest_place(m, s, n, model_area_end(s, next));
		return (int)start;
	}
	return -1;
}

/* At the hint if that is free, else as high as may be. hint NOWHERE: there is none. */
static int place(const struct model *m, const struct space *s, unsigned hint, unsigned n)
{
	int found;

	if (hint != NOWHERE && hint + n <= m->pages) {
		unsigned next = next_mapped(m, s, hint);

		if (next == m->pages || hint + n <= start_with_gap(m, s, next))
			return (int)hint;
	}
	found = highest_place(m, s, n, m->pages);
	return found >= 0 ? found : lowest_place(m, s, n, 0);
}

static uint64_t flags_of(const struct space *s, const struct step *t)
{
	uint64_t flags = s->def_flags | MAY;

	flags |= t->prot & QUIRE_PROT_READ ? QUIRE_VM_READ : 0;
	flags |= t->prot & QUIRE_PROT_WRITE ? QUIRE_VM_WRITE : 0;
	flags |= t->prot & QUIRE_PROT_EXEC ? QUIRE_VM_EXEC : 0;
	flags |= t->flags & QUIRE_MAP_GROWSDOWN ? QUIRE_VM_GROWSDOWN : 0;
	flags |= t->flags & QUIRE_MAP_LOCKED ? QUIRE_VM_LOCKED : 0;
	if (t->flags & QUIRE_MAP_SHARED)
		flags |= SHARED;
	if (t->flags & QUIRE_MAP_NORESERVE)
		flags |= QUIRE_VM_NORESERVE;
	if ((flags & (QUIRE_VM_NORESERVE | QUIRE_VM_SHARED | QUIRE_VM_WRITE)) == QUIRE_VM_WRITE)
		flags |= QUIRE_VM_ACCOUNT;
	return flags;
}

static int64_t do_mmap(struct model *m, struct space *s, const struct step *t)
{
	bool fixed = t->flags & (QUIRE_MAP_FIXED | QUIRE_MAP_FIXED_NOREPLACE);
	bool shared = (t->flags & QUIRE_MAP_SHARED) != 0;
	struct page page = {.object = t->file ? MODEL_FILE : -1, .owner = -1};
	unsigned start = t->start, end;
	int found, err;

	if (!t->n)
		return -QUIRE_EINVAL;
	if (!fixed) {
		found = place(m, s, t->start, t->n);
		if (found < 0)
			return -QUIRE_ENOMEM;
		start = (unsigned)found;
	}
	end = start + t->n;
	if (end > m->pages)
		return -QUIRE_ENOMEM;
	if ((t->flags & QUIRE_MAP_FIXED_NOREPLACE) && !is_free(s, start, end))
		return -QUIRE_EEXIST;
	page.flags = flags_of(s, t);
	if (!may_lock(m, s, page.flags, t->n))
		return -QUIRE_EAGAIN;
	if ((t->flags & QUIRE_MAP_GROWSDOWN) && (shared || t->file))
		return -QUIRE_EINVAL;
	err = unmap(m, s, start, end);
	if (err)
		return err;
	page.pgoff = t->file ? t->off : shared ? 0 : MODEL_ADDRESS(start) / MODEL_PAGE;
	if (shared && !t->file)
		page.object = (int8_t)new_object(m, t->n, !(page.flags & QUIRE_VM_NORESERVE));
	insert(m, s, start, end, &page, true, true);
	if ((page.flags & QUIRE_VM_LOCKED) || (t->flags & QUIRE_MAP_POPULATE))
		(void)populate(m, s, start, end, true);
	return (int64_t)MODEL_ADDRESS(start);
}

/* ---- brk --------------------------------------------------------------------------------- */

static bool grow_heap(struct model *m, struct space *s, unsigned end)
{
	unsigned next = next_mapped(m, s, s->brk);
	struct page page = {.object = -1, .owner = -1};

	page.flags = s->def_flags | MAY | QUIRE_VM_READ | QUIRE_VM_WRITE | QUIRE_VM_ACCOUNT;
	if (end > m->pages || !may_lock(m, s, s->def_flags, end - s->brk))
		return false;
	/* A page must stay free, and a stack's gap. */
	if (next < m->pages && end + 1 > start_with_gap(m, s, next))
		return false;
	page.pgoff = MODEL_ADDRESS(s->brk) / MODEL_PAGE;
	insert(m, s, s->brk, end, &page, s->brk > 0, false);
	return true;
}

static int64_t do_brk(struct model *m, struct space *s, const struct step *t)
{
	unsigned old = s->brk, to = t->start;

	if (to < old && !is_free(s, to, old) && !unmap(m, s, to, old))
		s->brk = (uint8_t)to;
	if (to > old && grow_heap(m, s, to)) {
		s->brk = (uint8_t)to;
		if (s->def_flags & QUIRE_VM_LOCKED)
			(void)populate(m, s, old, to, true);
	}
	return (int64_t)MODEL_ADDRESS(s->brk);
}

/* ---- mprotect ---------------------------------------------------------------------------- */

static int protect_area(struct model *m, struct space *s, unsigned start, unsigned end,
			uint64_t rights)
{
	const struct page *page = &s->page[start];
	uint64_t flags = (page->flags & ~QUIRE_VM_ACCESS_FLAGS) | rights;

	if (m->wrong == WRONG_PROTECT_KEEPS_WRITE)
		flags |= page->flags & QUIRE_VM_WRITE;
	if (flags & ~(flags >> 4) & QUIRE_VM_ACCESS_FLAGS)
		return -QUIRE_EACCES;
	if (page->flags & QUIRE_VM_SEALED)
		return -QUIRE_EPERM;
	if (flags == page->flags)
		return 0;
	if (rights & QUIRE_VM_WRITE) {
		if (!(page->flags & (QUIRE_VM_SHARED | QUIRE_VM_NORESERVE)))
			flags |= QUIRE_VM_ACCOUNT;
	} else if (page->object < 0 && page->owner < 0) {
		flags &= ~QUIRE_VM_ACCOUNT; /* nothing was written: the promise is taken back */
	}
	modify(m, s, start, end, flags);
	return 0;
}

static int do_mprotect(struct model *m, struct space *s, const struct step *t)
{
	const uint64_t kind = QUIRE_VM_LOCKED | QUIRE_VM_WRITE | QUIRE_VM_SHARED;
	uint64_t rights = 0;
	unsigned copy_to[MODEL_PAGES] = {0};
	unsigned p = t->start, end = t->start + t->n;
	int err = 0;

	rights |= t->prot & QUIRE_PROT_READ ? QUIRE_VM_READ : 0;
	rights |= t->prot & QUIRE_PROT_WRITE ? QUIRE_VM_WRITE : 0;
	rights |= t->prot & QUIRE_PROT_EXEC ? QUIRE_VM_EXEC : 0;
	while (!err && p < end) {
		if (!is_mapped(m, s, p)) {
			err = m->wrong == WRONG_HOLE_IS_SKIPPED && p > t->start ? 0 : -QUIRE_ENOMEM;
			break;
		}
		unsigned stop = part_end(s, p, end);
		bool locked = (s->page[p].flags & kind) == QUIRE_VM_LOCKED;

		err = protect_area(m, s, p, stop, rights);
		if (!err && locked && (rights & QUIRE_VM_WRITE))
			copy_to[p] = stop;
		p = stop;
	}
	/*
	 * Locked private memory that has become writable gets its pages at once: of each area as far as
	 * they can be had. When all areas have their rights: see docs/conformance.md.
	 */
	for (p = t->start; p < end && p < m->pages; p++)
		if (copy_to[p])
			(void)populate_area(m, s, p, copy_to[p]);
	return err;
}

/* ---- mlock ------------------------------------------------------------------------------- */

static int lock_range(struct model *m, struct space *s, unsigned start, unsigned end, uint64_t lock)
{
	while (start < end) {
		unsigned stop;
		uint64_t flags;

		if (!is_mapped(m, s, start))
			return -QUIRE_ENOMEM;
		stop = part_end(s, start, end);
		flags = (s->page[start].flags & ~QUIRE_VM_LOCKED_MASK) | lock;
		if (flags != s->page[start].flags)
			modify(m, s, start, stop, flags);
		start = stop;
	}
	return 0;
}

static int do_mlock(struct model *m, struct space *s, const struct step *t, uint64_t lock)
{
	unsigned end = t->start + t->n, within = end < m->pages ? end : m->pages;
	unsigned others = locked_pages(s, 0, m->pages) - locked_pages(s, t->start, within);
	int err;

	if (others + t->n > m->memlock && m->wrong != WRONG_LOCK_HAS_NO_LIMIT)
		return -QUIRE_ENOMEM;
	err = lock_range(m, s, t->start, end, lock);
	if (err)
		return err;
	return populate(m, s, t->start, end, false) ? -QUIRE_ENOMEM : 0;
}

static void lock_all(struct model *m, struct space *s, uint64_t lock)
{
	for (unsigned p = next_mapped(m, s, 0); p < m->pages; p = next_mapped(m, s, p)) {
		unsigned stop = model_area_end(s, p);

		(void)lock_range(m, s, p, stop, lock);
		p = stop;
	}
}

static int do_mlockall(struct model *m, struct space *s, const struct step *t)
{
	uint64_t lock = QUIRE_VM_LOCKED;
	unsigned total = 0;

	if (!t->flags || t->flags == QUIRE_MCL_ONFAULT || t->flags > 7)
		return -QUIRE_EINVAL;
	lock |= t->flags & QUIRE_MCL_ONFAULT ? QUIRE_VM_LOCKONFAULT : 0;
	for (unsigned p = 0; p < m->pages; p++)
		total += s->page[p].mapped;
	if ((t->flags & QUIRE_MCL_CURRENT) && total > m->memlock)
		return -QUIRE_ENOMEM;
	if (t->flags & QUIRE_MCL_CURRENT)
		lock_all(m, s, lock);
	s->def_flags = t->flags & QUIRE_MCL_FUTURE ? lock : 0;
	if (t->flags & QUIRE_MCL_CURRENT)
		(void)populate(m, s, 0, m->pages, true);
	return 0;
}

/* ---- mseal, msync, mincore --------------------------------------------------------------- */

static int do_mseal(struct model *m, struct space *s, const struct step *t)
{
	unsigned end = t->start + t->n;

	for (unsigned p = t->start; p < end; p++)
		if (!is_mapped(m, s, p))
			return -QUIRE_ENOMEM;
	for (unsigned p = t->start; p < end;) {
		unsigned stop = part_end(s, p, end);

		if (!(s->page[p].flags & QUIRE_VM_SEALED))
			modify(m, s, p, stop, s->page[p].flags | QUIRE_VM_SEALED);
		p = stop;
	}
	return 0;
}

static void sync_page(struct model *m, const struct page *page)
{
	struct object *o = &m->object[MODEL_FILE];

	if (page->object == MODEL_FILE && page->pgoff < object_pages(o) && o->there[page->pgoff])
		memcpy(o->disk[page->pgoff], o->byte[page->pgoff], sizeof(o->disk[0]));
}

static int do_msync(struct model *m, struct space *s, const struct step *t)
{
	const uint32_t both = QUIRE_MS_ASYNC | QUIRE_MS_SYNC;
	int holes = 0;

	if ((t->flags & both) == both || t->flags > 7)
		return -QUIRE_EINVAL;
	for (unsigned p = t->start; p < t->start + t->n; p++) {
		if (!is_mapped(m, s, p)) {
			holes = -QUIRE_ENOMEM;
			continue;
		}
		if ((t->flags & QUIRE_MS_INVALIDATE) && (s->page[p].flags & QUIRE_VM_LOCKED))
			return -QUIRE_EBUSY;
		if ((t->flags & QUIRE_MS_SYNC) && (s->page[p].flags & QUIRE_VM_SHARED))
			sync_page(m, &s->page[p]);
	}
	return holes;
}

static int do_mincore(struct model *m, struct space *s, const struct step *t, struct outcome *o)
{
	for (unsigned i = 0; i < t->n; i++) {
		const struct page *page = &s->page[t->start + i];

		if (!is_mapped(m, s, t->start + i)) {
			memset(o->vec, 0, sizeof(o->vec)); /* what was told before means nothing */
			return -QUIRE_ENOMEM;
		}
		if (page->object >= 0 && page->content != OWN)
			o->vec[i] = page->pgoff < MODEL_OBJECT_PAGES &&
				    m->object[page->object].there[page->pgoff];
		else
			o->vec[i] = page->content == OWN || page->content == ZEROES;
	}
	return 0;
}

/* ---- madvise ----------------------------------------------------------------------------- */

static void forget(struct page *page)
{
	page->content = NOTHING;
	page->byte[0] = page->byte[1] = 0;
}

/* A sealed private anonymous area that may not be written to is not emptied either. */
static bool is_sealed_against(const struct page *page, uint32_t advice)
{
	switch (advice) {
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
	case QUIRE_MADV_FREE:
	case QUIRE_MADV_REMOVE:
	case QUIRE_MADV_DONTFORK:
	case QUIRE_MADV_WIPEONFORK:
	case QUIRE_MADV_GUARD_INSTALL:
		return (page->flags & (QUIRE_VM_SEALED | QUIRE_VM_WRITE)) == QUIRE_VM_SEALED &&
		       page->object < 0;
	default:
		return false;
	}
}

static int advise_flags(struct model *m, struct space *s, unsigned start, unsigned end,
			uint32_t advice)
{
	uint64_t old = s->page[start].flags, flags = old;

	switch (advice) {
	case QUIRE_MADV_NORMAL:
		flags &= ~(QUIRE_VM_RAND_READ | QUIRE_VM_SEQ_READ);
		break;
	case QUIRE_MADV_RANDOM:
		flags = (flags & ~QUIRE_VM_SEQ_READ) | QUIRE_VM_RAND_READ;
		break;
	case QUIRE_MADV_SEQUENTIAL:
		flags = (flags & ~QUIRE_VM_RAND_READ) | QUIRE_VM_SEQ_READ;
		break;
	case QUIRE_MADV_DONTFORK:
		flags |= QUIRE_VM_DONTCOPY;
		break;
	case QUIRE_MADV_DOFORK:
		flags &= ~QUIRE_VM_DONTCOPY;
		break;
	case QUIRE_MADV_DONTDUMP:
		flags |= QUIRE_VM_DONTDUMP;
		break;
	case QUIRE_MADV_DODUMP:
		flags &= ~QUIRE_VM_DONTDUMP;
		break;
	case QUIRE_MADV_WIPEONFORK:
		if (s->page[start].object >= 0)
			return -QUIRE_EINVAL;
		flags |= QUIRE_VM_WIPEONFORK;
		break;
	case QUIRE_MADV_KEEPONFORK:
		flags &= ~QUIRE_VM_WIPEONFORK;
		break;
	default:
		return -QUIRE_EINVAL;
	}
	if (flags != old)
		modify(m, s, start, end, flags);
	return 0;
}

static int remove_pages(struct model *m, struct space *s, unsigned start, unsigned end)
{
	const uint64_t needs = QUIRE_VM_SHARED | QUIRE_VM_MAYWRITE;
	const struct page *page = &s->page[start];

	if ((page->flags & QUIRE_VM_LOCKED) || page->object < 0)
		return -QUIRE_EINVAL;
	if ((page->flags & needs) != needs)
		return -QUIRE_EACCES;
	for (unsigned p = start; p < end; p++)
		if (s->page[p].pgoff < MODEL_OBJECT_PAGES)
			drop_object_page(&m->object[page->object], (unsigned)s->page[p].pgoff);
	return 0;
}

static int install_guards(struct model *m, struct space *s, unsigned start, unsigned end)
{
	if (s->page[start].flags & QUIRE_VM_LOCKED)
		return -QUIRE_EINVAL;
	if (s->page[start].object < 0)
		prepare_owner(m, s, start);
	for (unsigned p = area_start(s, start), stop = model_area_end(s, start); p < stop; p++)
		s->page[p].flags |= QUIRE_VM_MAYBE_GUARD;
	for (unsigned p = start; p < end; p++) {
		forget(&s->page[p]);
		s->page[p].content = GUARD;
	}
	return 0;
}

/* One area's part. */
static int advise_area(struct model *m, struct space *s, unsigned start, unsigned end,
		       uint32_t advice)
{
	bool locked = (s->page[start].flags & QUIRE_VM_LOCKED) != 0;

	if (is_sealed_against(&s->page[start], advice))
		return -QUIRE_EPERM;
	switch (advice) {
	case QUIRE_MADV_WILLNEED:
		return 0;
	case QUIRE_MADV_COLD:
		return locked ? -QUIRE_EINVAL : 0;
	case QUIRE_MADV_FREE:
		/* Nobody takes the pages away while there is memory. */
		return locked || s->page[start].object >= 0 ? -QUIRE_EINVAL : 0;
	case QUIRE_MADV_DONTNEED:
	case QUIRE_MADV_DONTNEED_LOCKED:
		if (locked && advice == QUIRE_MADV_DONTNEED)
			return -QUIRE_EINVAL;
		for (unsigned p = start; p < end && m->wrong != WRONG_DONTNEED_KEEPS; p++)
			if (s->page[p].content != GUARD)
				forget(&s->page[p]);
		return 0;
	case QUIRE_MADV_REMOVE:
		return remove_pages(m, s, start, end);
	case QUIRE_MADV_GUARD_INSTALL:
		return install_guards(m, s, start, end);
	case QUIRE_MADV_GUARD_REMOVE:
		for (unsigned p = start; p < end; p++)
			if (s->page[p].content == GUARD)
				forget(&s->page[p]);
		return 0;
	default:
		return advise_flags(m, s, start, end, advice);
	}
}

static int advise_populate(struct model *m, struct space *s, const struct step *t)
{
	bool write = t->flags == QUIRE_MADV_POPULATE_WRITE;

	for (unsigned p = t->start; p < t->start + t->n; p++) {
		if (!is_mapped(m, s, p))
			return -QUIRE_ENOMEM;
		if (!(s->page[p].flags & (write ? QUIRE_VM_WRITE : QUIRE_VM_READ)))
			return -QUIRE_EINVAL;
		if (touch(m, s, p, write) != DONE)
			return -QUIRE_EFAULT;
	}
	return 0;
}

/* Area by area; holes are passed over, and told of in the end. */
static int do_madvise(struct model *m, struct space *s, const struct step *t)
{
	unsigned p = t->start, end = t->start + t->n;
	int holes = 0;

	if (t->flags == QUIRE_MADV_POPULATE_READ || t->flags == QUIRE_MADV_POPULATE_WRITE)
		return advise_populate(m, s, t);
	while (p < end) {
		unsigned stop;
		int err;

		if (!is_mapped(m, s, p)) {
			holes = -QUIRE_ENOMEM;
			p++;
			continue;
		}
		stop = part_end(s, p, end);
		err = advise_area(m, s, p, stop, t->flags);
		if (err)
			return err;
		p = stop;
	}
	return holes;
}

/* ---- mremap ------------------------------------------------------------------------------ */

struct remap {
	struct model *m;
	struct space *s;
	unsigned addr, old_n, new_n, to;
	uint32_t flags;
	bool has_target, populate;
};

static int check_remap(struct remap *r)
{
	const struct page *page = &r->s->page[r->addr];
	unsigned least = r->old_n < r->new_n ? r->old_n : r->new_n;

	if (page->flags & QUIRE_VM_SEALED)
		return -QUIRE_EPERM;
	if (!r->has_target && r->new_n <= r->old_n)
		return 0;
	if (!r->old_n && !(page->flags & SHARED))
		return -QUIRE_EINVAL;
	if (r->addr + least > model_area_end(r->s, r->addr))
		return -QUIRE_EFAULT;
	if (r->new_n <= r->old_n)
		return 0;
	if (page->flags & QUIRE_VM_LOCKED)
		r->populate = true;
	return may_lock(r->m, r->s, page->flags, r->new_n - r->old_n) ? 0 : -QUIRE_EAGAIN;
}

/* [addr, addr + old_n) of one area goes to r->to, which is free. */
static int move(struct remap *r)
{
	struct space *s = r->s;
	struct page moved[MODEL_PAGES], page = s->page[r->addr];
	unsigned start, end;

	memcpy(moved, &s->page[r->addr], r->old_n * sizeof(moved[0]));
	/* What nobody has written to is numbered as if it had been mapped there. */
	if (page.object < 0 && page.owner < 0)
		page.pgoff = MODEL_ADDRESS(r->to) / MODEL_PAGE;
	insert(r->m, s, r->to, r->to + r->new_n, &page, true, true);
	for (unsigned i = 0; i < r->old_n && r->m->wrong != WRONG_REMAP_FORGETS; i++) {
		s->page[r->to + i].content = moved[i].content;
		memcpy(s->page[r->to + i].byte, moved[i].byte, sizeof(moved[i].byte));
	}
	if (!(r->flags & QUIRE_MREMAP_DONTUNMAP))
		return unmap(r->m, s, r->addr, r->addr + r->old_n);
	/* The area stays, empty, and locked no more; if all of it was moved, its owner went along. */
	start = area_start(s, r->addr);
	end = model_area_end(s, r->addr);
	for (unsigned p = start; p < end; p++)
		s->page[p].flags &= ~QUIRE_VM_LOCKED_MASK;
	for (unsigned p = r->addr; p < r->addr + r->old_n; p++)
		forget(&s->page[p]);
	if (start == r->addr && end == r->addr + r->old_n) {
		const struct page none = {.owner = -1};

		set_owner(s, start, end, &none);
	}
	return 0;
}

static int move_to_place(struct remap *r)
{
	int found = (int)r->to;

	if (!(r->flags & QUIRE_MREMAP_FIXED))
		found = place(r->m, r->s, r->has_target ? r->to : NOWHERE, r->new_n);
	if (found < 0)
		return -QUIRE_ENOMEM;
	r->to = (unsigned)found;
	return move(r);
}

static int move_to_target(struct remap *r)
{
	int err = 0;

	if (r->flags & QUIRE_MREMAP_FIXED)
		err = unmap(r->m, r->s, r->to, r->to + r->new_n);
	if (!err && r->new_n < r->old_n) {
		err = unmap(r->m, r->s, r->addr + r->new_n, r->addr + r->old_n);
		r->old_n = r->new_n;
	}
	if (err)
		return err;
	if (!is_mapped(r->m, r->s, r->addr))
		return -QUIRE_EFAULT;
	return move_to_place(r);
}

/* Several areas, as if each were moved by itself. */
static int64_t move_several(struct remap *r)
{
	const unsigned start = r->addr, end = r->addr + r->old_n, to = r->to;
	int err = -QUIRE_EFAULT;

	for (unsigned p = start; p < end;) {
		unsigned next = next_mapped(r->m, r->s, p);

		if (next >= end || (p == start && next > start))
			break;
		p = part_end(r->s, next, end);
		r->addr = next;
		r->old_n = r->new_n = p - next;
		r->to = to + (next - start);
		err = check_remap(r);
		if (!err)
			err = move_to_target(r);
		if (err)
			break;
	}
	return err ? err : (int64_t)MODEL_ADDRESS(to);
}

static int64_t grow_or_move(struct remap *r)
{
	unsigned end = r->addr + r->old_n, extra = r->new_n - r->old_n;
	int err;

	if (model_area_end(r->s, r->addr) == end && end + extra <= r->m->pages &&
	    is_free(r->s, end, end + extra)) {
		struct page page = r->s->page[end - 1];

		page.pgoff++;
		insert(r->m, r->s, end, end + extra, &page, true, true);
		r->to = r->addr;
		return (int64_t)MODEL_ADDRESS(r->addr);
	}
	if (!(r->flags & QUIRE_MREMAP_MAYMOVE))
		return -QUIRE_ENOMEM;
	err = move_to_place(r);
	return err ? err : (int64_t)MODEL_ADDRESS(r->to);
}

static int64_t remap_area(struct remap *r)
{
	unsigned end = r->addr + r->old_n;
	int64_t err;

	if (!is_mapped(r->m, r->s, r->addr))
		return -QUIRE_EFAULT;
	err = check_remap(r);
	if (err)
		return err;
	if (r->new_n < r->old_n && end > r->m->pages)
		return -QUIRE_EINVAL;
	if (r->has_target) {
		err = move_to_target(r);
		return err ? err : (int64_t)MODEL_ADDRESS(r->to);
	}
	if (r->new_n > r->old_n)
		return grow_or_move(r);
	if (r->new_n < r->old_n)
		err = unmap(r->m, r->s, r->addr + r->new_n, end);
	return err ? err : (int64_t)MODEL_ADDRESS(r->addr);
}

static int64_t do_mremap(struct model *m, struct space *s, const struct step *t)
{
	struct remap r = {.m = m, .s = s, .addr = t->start, .old_n = t->n, .new_n = t->new_n,
			  .to = t->to, .flags = t->flags};
	int64_t value;

	r.has_target = t->flags & (QUIRE_MREMAP_FIXED | QUIRE_MREMAP_DONTUNMAP);
	if (t->flags > 7 || !r.new_n)
		return -QUIRE_EINVAL;
	if (r.has_target) {
		bool nowhere = r.to == NOWHERE;

		if (!nowhere && r.to + r.new_n > m->pages)
			return -QUIRE_EINVAL;
		if (!(r.flags & QUIRE_MREMAP_MAYMOVE))
			return -QUIRE_EINVAL;
		if ((r.flags & QUIRE_MREMAP_DONTUNMAP) && r.old_n != r.new_n)
			return -QUIRE_EINVAL;
		if (!nowhere && r.addr + r.old_n > r.to && r.to + r.new_n > r.addr)
			return -QUIRE_EINVAL;
	}
	if ((r.flags & QUIRE_MREMAP_FIXED) && r.old_n == r.new_n)
		return move_several(&r);
	value = remap_area(&r);
	if (value >= 0 && r.populate)
		(void)populate(m, s, r.to + r.old_n, r.to + r.new_n, true);
	return value;
}

/* ---- fork -------------------------------------------------------------------------------- */

/* The owner of a child's area: an ancestor's without area and with less than two children, or its own. */
static void fork_owner(struct model *m, struct page *child, const struct page *parent)
{
	int owner = -1;

	for (unsigned i = parent->chain_len; i-- && owner < 0;)
		if (count_children(m, parent->chain[i]) < 2 &&
		    !count_areas(m, parent->chain[i], true))
			owner = parent->chain[i];
	if (owner < 0) {
		owner = new_owner(m, parent->owner);
		memmove(child->chain + 1, child->chain, MODEL_CHAIN - 1);
		child->chain[0] = (int8_t)owner;
		child->chain_len++;
	}
	child->owner = (int8_t)owner;
}

static void fork_area(struct model *m, struct space *child, const struct space *s, unsigned start)
{
	unsigned end = model_area_end(s, start);
	const struct page *area = &s->page[start];
	bool wipe = (area->flags & QUIRE_VM_WIPEONFORK) != 0;
	bool has_owner = area->owner >= 0 && !wipe;
	/* What a fault finds again is not copied. */
	bool copy = !wipe && (has_owner || (area->flags & QUIRE_VM_MAYBE_GUARD));
	struct page first = *area;

	if (has_owner)
		fork_owner(m, &first, area);
	else
		first.owner = -1, first.chain_len = 0, memset(first.chain, 0, sizeof(first.chain));
	for (unsigned p = start; p < end; p++) {
		child->page[p] = s->page[p];
		if (m->wrong != WRONG_FORK_INHERITS_LOCKS)
			child->page[p].flags &= ~QUIRE_VM_LOCKED_MASK;
		if (!copy)
			forget(&child->page[p]);
	}
	set_owner(child, start, end, &first);
}

/* Without an owner there are no private pages, but there may be zeroes: they are not copied. */
static bool do_fork(struct model *m, struct space *s)
{
	struct space *child = NULL;
	unsigned free_owners = 0;

	for (unsigned i = 0; i < MODEL_SPACES && !child; i++)
		if (!m->space[i].exists)
			child = &m->space[i];
	for (unsigned i = 0; i < MODEL_OWNERS; i++)
		free_owners += m->parent[i] < 0;
	for (unsigned p = 0; p < m->pages; p++)
		if (s->page[p].mapped && s->page[p].chain_len == MODEL_CHAIN)
			return false;
	/* For the child's areas, and for all that any area may come to need before the next fork. */
	if (!child || free_owners < MODEL_PAGES + MODEL_SPACES * MODEL_PAGES)
		return false;
	child->exists = true;
	child->brk = s->brk;
	for (unsigned p = next_mapped(m, s, 0); p < m->pages; p = next_mapped(m, s, p)) {
		if (!(s->page[p].flags & QUIRE_VM_DONTCOPY))
			fork_area(m, child, s, p);
		p = model_area_end(s, p);
	}
	return true;
}

static bool go_on_elsewhere(struct model *m, bool exits)
{
	for (unsigned i = 1; i < MODEL_SPACES; i++) {
		unsigned next = (m->current + i) % MODEL_SPACES;

		if (!m->space[next].exists)
			continue;
		if (exits)
			memset(&m->space[m->current], 0, sizeof(m->space[0]));
		m->current = (uint8_t)next;
		return true;
	}
	return false;
}

/* ---- The whole --------------------------------------------------------------------------- */

/* What nobody has any more. */
static void forget_unused(struct model *m)
{
	for (int i = 0; i < MODEL_OWNERS; i++)
		if (m->parent[i] >= 0 && !count_areas(m, i, false))
			m->parent[i] = -1;
	for (int i = MODEL_FILE + 1; i < MODEL_OBJECTS; i++)
		if (m->object[i].exists && !model_object_is_mapped(m, i))
			memset(&m->object[i], 0, sizeof(m->object[i]));
}

int64_t model_committed(const struct model *m)
{
	int64_t n = 0;

	for (unsigned i = 0; i < MODEL_SPACES * MODEL_PAGES; i++) {
		const struct page *p = &m->space[i / MODEL_PAGES].page[i % MODEL_PAGES];

		n += p->mapped && (p->flags & QUIRE_VM_ACCOUNT);
	}
	for (int i = 0; i < MODEL_OBJECTS; i++)
		if (m->object[i].accounted)
			n += object_pages(&m->object[i]);
	return n;
}

void model_init(struct model *m, unsigned pages, unsigned memlock, enum wrong wrong)
{
	struct object *file = &m->object[MODEL_FILE];

	memset(m, 0, sizeof(*m));
	m->pages = (uint8_t)pages;
	m->memlock = memlock;
	m->wrong = wrong;
	m->gap = 1;
	m->stack_limit = 4;
	memset(m->parent, -1, sizeof(m->parent));
	m->space[0].exists = true;
	file->exists = true;
	file->halves = MODEL_FILE_HALVES;
	for (unsigned p = 0; p < MODEL_OBJECT_PAGES; p++)
		for (unsigned h = 0; h < 2; h++)
			file->byte[p][h] = file->disk[p][h] = model_file_byte(p, h);
}

bool model_step(struct model *m, const struct step *t, uint8_t value, struct outcome *o)
{
	struct space *s = &m->space[m->current];
	bool made = true;

	memset(o, 0, sizeof(*o));
	switch ((enum model_call)t->call) {
	case CALL_MMAP: o->value = do_mmap(m, s, t); break;
	case CALL_MUNMAP: o->value = do_munmap(m, s, t); break;
	case CALL_MPROTECT: o->value = do_mprotect(m, s, t); break;
	case CALL_MREMAP: o->value = do_mremap(m, s, t); break;
	case CALL_BRK: o->value = do_brk(m, s, t); break;
	case CALL_MADVISE: o->value = do_madvise(m, s, t); break;
	case CALL_MLOCK: o->value = do_mlock(m, s, t, QUIRE_VM_LOCKED); break;
	case CALL_MLOCK2:
		o->value = do_mlock(m, s, t, t->flags ? QUIRE_VM_LOCKED_MASK : QUIRE_VM_LOCKED);
		break;
	case CALL_MUNLOCK: o->value = lock_range(m, s, t->start, t->start + t->n, 0); break;
	case CALL_MLOCKALL: o->value = do_mlockall(m, s, t); break;
	case CALL_MUNLOCKALL:
		lock_all(m, s, 0);
		s->def_flags = 0;
		break;
	case CALL_MSYNC: o->value = do_msync(m, s, t); break;
	case CALL_MINCORE: o->value = do_mincore(m, s, t, o); break;
	case CALL_MSEAL: o->value = do_mseal(m, s, t); break;
	case CALL_FTRUNCATE: resize_file(m, t->n); break;
	case CALL_PWRITE: write_file(m, t->start, value); break;
	case CALL_STORE:
	case CALL_LOAD:
	case CALL_FETCH: access(m, s, t, value, o); break;
	case CALL_FORK: made = do_fork(m, s); break;
	case CALL_OTHER: made = go_on_elsewhere(m, false); break;
	case CALL_EXIT: made = go_on_elsewhere(m, true); break;
	default: made = false;
	}
	if (made)
		forget_unused(m);
	return made;
}

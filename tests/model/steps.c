/* SPDX-License-Identifier: MIT */
/*
 * What sequences are made of: the menus that are exhausted, and steps by chance for long sequences.
 * A menu is a handful of calls that have to do with each other, with the few arguments that tell
 * cases apart: one menu of everything would be exhausted at three steps.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quire/mm.h>

#define R QUIRE_PROT_READ
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define X (QUIRE_PROT_READ | QUIRE_PROT_EXEC)
#define NONE 0

#define PRIVATE (QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED)
#define SHARED (QUIRE_MAP_SHARED | QUIRE_MAP_FIXED)
#define MOVE QUIRE_MREMAP_MAYMOVE
#define TO (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED)
#define STAY (QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_DONTUNMAP)

/* ---- Building ---------------------------------------------------------------------------- */

static struct step *add(struct menu *menu, enum model_call call, unsigned start, unsigned n)
{
	struct step *t;

	if (menu->count == MENU_STEPS)
		abort();
	t = &menu->step[menu->count++];
	memset(t, 0, sizeof(*t));
	t->call = (uint8_t)call;
	t->start = (uint8_t)start;
	t->n = (uint8_t)n;
	return t;
}

static void map(struct menu *menu, unsigned start, unsigned n, unsigned prot, uint32_t flags)
{
	struct step *t = add(menu, CALL_MMAP, start, n);

	t->prot = (uint8_t)prot;
	t->flags = flags;
	t->not_linux = !(flags & QUIRE_MAP_FIXED) || (flags & QUIRE_MAP_GROWSDOWN);
}

static void map_file(struct menu *menu, unsigned start, unsigned n, unsigned prot, uint32_t flags,
		     unsigned off)
{
	struct step *t;

	map(menu, start, n, prot, flags);
	t = &menu->step[menu->count - 1];
	t->file = true;
	t->off = (uint8_t)off;
}

static void protect(struct menu *menu, unsigned start, unsigned n, unsigned prot)
{
	add(menu, CALL_MPROTECT, start, n)->prot = (uint8_t)prot;
}

static void remap(struct menu *menu, unsigned start, unsigned n, unsigned new_n, uint32_t flags,
		  unsigned to)
{
	struct step *t = add(menu, CALL_MREMAP, start, n);

	t->new_n = (uint8_t)new_n;
	t->flags = flags;
	t->to = (uint8_t)to;
	t->not_linux = (flags & (MOVE | QUIRE_MREMAP_FIXED)) == MOVE;
}

static void advise(struct menu *menu, unsigned start, unsigned n, uint32_t advice)
{
	add(menu, CALL_MADVISE, start, n)->flags = advice;
}

static void with_flags(struct menu *menu, enum model_call call, unsigned start, unsigned n,
		       uint32_t flags)
{
	struct step *t = add(menu, call, start, n);

	t->flags = flags;
	t->not_linux = call == CALL_MLOCKALL || call == CALL_MUNLOCKALL;
}

static void go(struct menu *menu, enum model_call call)
{
	add(menu, call, 0, 0);
}

static void store(struct menu *menu, unsigned page)
{
	add(menu, CALL_STORE, page, 0);
}

static void load(struct menu *menu, unsigned page)
{
	add(menu, CALL_LOAD, page, 0);
}

static void brk_to(struct menu *menu, unsigned page)
{
	add(menu, CALL_BRK, page, 0)->not_linux = true;
}

static void begin(struct menu *menu, const char *name, unsigned pages, unsigned memlock)
{
	memset(menu, 0, sizeof(*menu));
	menu->name = name;
	menu->pages = pages;
	menu->memlock = memlock;
}

/* ---- The menus --------------------------------------------------------------------------- */

/* Every stretch of four pages mapped, unmapped, protected; every page stored to. */
static void make_areas(struct menu *menu)
{
	begin(menu, "areas", 4, MODEL_UNLIMITED);
	for (unsigned start = 0; start < 4; start++) {
		for (unsigned n = 1; start + n <= 4; n++) {
			map(menu, start, n, RW, PRIVATE);
			add(menu, CALL_MUNMAP, start, n);
			protect(menu, start, n, R);
			protect(menu, start, n, RW);
		}
		store(menu, start);
	}
}

static void make_remap(struct menu *menu)
{
	begin(menu, "remap", 6, MODEL_UNLIMITED);
	map(menu, 0, 2, RW, PRIVATE);
	map(menu, 0, 3, RW, PRIVATE);
	map(menu, 3, 2, RW, PRIVATE);
	map(menu, 0, 2, RW, SHARED);
	protect(menu, 1, 1, R);
	add(menu, CALL_MUNMAP, 1, 1);
	store(menu, 0);
	store(menu, 1);
	store(menu, 3);
	load(menu, 0);
	remap(menu, 0, 3, 1, 0, NOWHERE);
	remap(menu, 0, 2, 3, 0, NOWHERE);
	remap(menu, 0, 2, 3, MOVE, NOWHERE);
	remap(menu, 1, 1, 2, MOVE, NOWHERE);
	remap(menu, 0, 2, 2, TO, 2);
	remap(menu, 0, 2, 2, TO, 3);
	remap(menu, 0, 2, 2, TO, 1);
	remap(menu, 1, 1, 1, TO, 4);
	remap(menu, 0, 3, 3, TO, 3);
	remap(menu, 3, 3, 3, TO, 0);
	remap(menu, 0, 2, 1, TO, 3);
	remap(menu, 0, 1, 2, TO, 4);
	remap(menu, 0, 2, 2, STAY, NOWHERE);
	remap(menu, 0, 2, 2, STAY | TO, 2);
	remap(menu, 1, 1, 1, STAY | TO, 5);
	remap(menu, 0, 0, 2, TO, 4);
	remap(menu, 0, 0, 2, MOVE, NOWHERE);
}

static void make_lock(struct menu *menu)
{
	begin(menu, "lock", 4, 3);
	map(menu, 0, 4, RW, PRIVATE);
	map(menu, 0, 2, R, PRIVATE);
	map(menu, 2, 2, NONE, PRIVATE);
	map(menu, 1, 2, RW, PRIVATE | QUIRE_MAP_LOCKED);
	map_file(menu, 1, 3, RW, PRIVATE, 0);
	protect(menu, 0, 2, RW);
	protect(menu, 1, 2, R);
	add(menu, CALL_MUNMAP, 1, 1);
	add(menu, CALL_MLOCK, 0, 2);
	add(menu, CALL_MLOCK, 1, 3);
	add(menu, CALL_MLOCK, 0, 4);
	add(menu, CALL_MUNLOCK, 1, 1);
	add(menu, CALL_MUNLOCK, 0, 4);
	with_flags(menu, CALL_MLOCK2, 0, 2, QUIRE_MLOCK_ONFAULT);
	with_flags(menu, CALL_MLOCK2, 1, 2, QUIRE_MLOCK_ONFAULT);
	with_flags(menu, CALL_MLOCKALL, 0, 0, QUIRE_MCL_CURRENT);
	with_flags(menu, CALL_MLOCKALL, 0, 0, QUIRE_MCL_FUTURE);
	with_flags(menu, CALL_MLOCKALL, 0, 0, QUIRE_MCL_CURRENT | QUIRE_MCL_FUTURE | QUIRE_MCL_ONFAULT);
	with_flags(menu, CALL_MUNLOCKALL, 0, 0, 0);
	advise(menu, 0, 2, QUIRE_MADV_DONTNEED);
	advise(menu, 0, 2, QUIRE_MADV_DONTNEED_LOCKED);
	remap(menu, 0, 1, 2, 0, NOWHERE);
	remap(menu, 0, 2, 2, STAY | TO, 2);
	remap(menu, 2, 1, 1, TO, 0);
	store(menu, 0);
	store(menu, 2);
}

static void make_fork(struct menu *menu)
{
	begin(menu, "fork", 4, MODEL_UNLIMITED);
	map(menu, 0, 4, RW, PRIVATE);
	map(menu, 1, 2, RW, PRIVATE);
	map(menu, 2, 2, RW, SHARED);
	map_file(menu, 2, 1, RW, PRIVATE, 0);
	go(menu, CALL_FORK);
	go(menu, CALL_OTHER);
	go(menu, CALL_EXIT);
	store(menu, 0);
	store(menu, 1);
	store(menu, 2);
	load(menu, 0);
	protect(menu, 1, 1, R);
	protect(menu, 0, 4, RW);
	add(menu, CALL_MUNMAP, 1, 1);
	advise(menu, 1, 2, QUIRE_MADV_DONTFORK);
	advise(menu, 0, 2, QUIRE_MADV_WIPEONFORK);
	advise(menu, 0, 4, QUIRE_MADV_DOFORK);
	advise(menu, 0, 1, QUIRE_MADV_DONTNEED);
	advise(menu, 0, 2, QUIRE_MADV_GUARD_INSTALL);
	add(menu, CALL_MLOCK, 0, 2);
	remap(menu, 0, 1, 1, TO, 3);
}

static void make_files(struct menu *menu)
{
	begin(menu, "files", 4, MODEL_UNLIMITED);
	map_file(menu, 0, 4, RW, PRIVATE, 0);
	map_file(menu, 0, 2, RW, SHARED, 1);
	map_file(menu, 2, 2, R, SHARED, 0);
	map_file(menu, 1, 1, RW, PRIVATE, 2);
	protect(menu, 2, 2, RW);
	add(menu, CALL_MUNMAP, 1, 1);
	for (unsigned page = 0; page < 3; page++) {
		store(menu, page);
		load(menu, page);
	}
	add(menu, CALL_STORE, 1, 0)->off = 1;
	add(menu, CALL_FTRUNCATE, 0, 0);
	add(menu, CALL_FTRUNCATE, 0, 3);
	add(menu, CALL_FTRUNCATE, 0, 4);
	add(menu, CALL_FTRUNCATE, 0, 7);
	add(menu, CALL_PWRITE, 2, 0);
	add(menu, CALL_PWRITE, 6, 0);
	with_flags(menu, CALL_MSYNC, 0, 4, QUIRE_MS_SYNC);
	advise(menu, 0, 2, QUIRE_MADV_DONTNEED);
	advise(menu, 0, 1, QUIRE_MADV_REMOVE);
	advise(menu, 1, 3, QUIRE_MADV_POPULATE_WRITE);
	go(menu, CALL_FORK);
	go(menu, CALL_OTHER);
}

static void make_advice(struct menu *menu)
{
	begin(menu, "advice", 4, MODEL_UNLIMITED);
	map(menu, 0, 4, RW, PRIVATE);
	map(menu, 1, 2, R, PRIVATE | QUIRE_MAP_POPULATE);
	map(menu, 2, 2, RW, SHARED);
	map_file(menu, 1, 1, RW, PRIVATE, 0);
	add(menu, CALL_MUNMAP, 1, 1);
	store(menu, 0);
	store(menu, 2);
	load(menu, 1);
	add(menu, CALL_MLOCK, 1, 1);
	protect(menu, 0, 2, NONE);
	advise(menu, 0, 4, QUIRE_MADV_DONTNEED);
	advise(menu, 0, 2, QUIRE_MADV_FREE);
	advise(menu, 1, 3, QUIRE_MADV_REMOVE);
	advise(menu, 0, 3, QUIRE_MADV_POPULATE_READ);
	advise(menu, 1, 3, QUIRE_MADV_POPULATE_WRITE);
	advise(menu, 1, 2, QUIRE_MADV_DONTDUMP);
	advise(menu, 0, 4, QUIRE_MADV_DODUMP);
	advise(menu, 0, 2, QUIRE_MADV_RANDOM);
	advise(menu, 1, 2, QUIRE_MADV_SEQUENTIAL);
	advise(menu, 0, 4, QUIRE_MADV_NORMAL);
	advise(menu, 0, 2, QUIRE_MADV_WIPEONFORK);
	advise(menu, 0, 3, QUIRE_MADV_KEEPONFORK);
	advise(menu, 0, 2, QUIRE_MADV_COLD);
	with_flags(menu, CALL_MINCORE, 0, 4, 0);
}

static void make_guard(struct menu *menu)
{
	begin(menu, "guard", 5, MODEL_UNLIMITED);
	map(menu, 0, 4, RW, PRIVATE);
	map(menu, 2, 2, RW, SHARED);
	map_file(menu, 1, 2, RW, PRIVATE, 0);
	protect(menu, 1, 1, R);
	protect(menu, 0, 4, RW);
	add(menu, CALL_MUNMAP, 2, 1);
	store(menu, 0);
	store(menu, 1);
	store(menu, 2);
	advise(menu, 0, 2, QUIRE_MADV_GUARD_INSTALL);
	advise(menu, 1, 2, QUIRE_MADV_GUARD_INSTALL);
	advise(menu, 0, 4, QUIRE_MADV_GUARD_REMOVE);
	advise(menu, 1, 1, QUIRE_MADV_GUARD_REMOVE);
	advise(menu, 0, 4, QUIRE_MADV_DONTNEED);
	advise(menu, 0, 3, QUIRE_MADV_POPULATE_WRITE);
	add(menu, CALL_MLOCK, 0, 2);
	remap(menu, 1, 1, 1, TO, 4);
	remap(menu, 0, 2, 2, TO, 2);
	add(menu, CALL_FTRUNCATE, 0, 2);
	go(menu, CALL_FORK);
	go(menu, CALL_OTHER);
}

static void make_seal(struct menu *menu)
{
	begin(menu, "seal", 4, MODEL_UNLIMITED);
	map(menu, 0, 4, RW, PRIVATE);
	map(menu, 1, 2, R, PRIVATE);
	map(menu, 3, 1, RW, PRIVATE);
	map_file(menu, 2, 2, R, PRIVATE, 0);
	add(menu, CALL_MSEAL, 0, 2);
	add(menu, CALL_MSEAL, 1, 1);
	add(menu, CALL_MSEAL, 2, 2);
	add(menu, CALL_MUNMAP, 1, 2);
	add(menu, CALL_MUNMAP, 0, 3);
	protect(menu, 0, 2, R);
	protect(menu, 0, 4, RW);
	remap(menu, 0, 2, 1, 0, NOWHERE);
	remap(menu, 0, 1, 1, TO, 2);
	remap(menu, 2, 2, 2, TO, 0);
	remap(menu, 3, 1, 1, TO, 1);
	add(menu, CALL_MLOCK, 1, 2);
	advise(menu, 0, 2, QUIRE_MADV_DONTNEED);
	advise(menu, 1, 3, QUIRE_MADV_DONTFORK);
	advise(menu, 0, 4, QUIRE_MADV_GUARD_INSTALL);
	store(menu, 0);
	store(menu, 1);
	store(menu, 3);
	go(menu, CALL_FORK);
}

static void make_heap(struct menu *menu)
{
	begin(menu, "heap", 6, 4);
	for (unsigned page = 0; page <= 6; page++)
		if (page != 5)
			brk_to(menu, page);
	map(menu, 4, 1, RW, PRIVATE);
	map(menu, 1, 1, R, PRIVATE);
	map(menu, 4, 2, RW, PRIVATE | QUIRE_MAP_GROWSDOWN);
	add(menu, CALL_MUNMAP, 0, 2);
	protect(menu, 1, 1, RW);
	protect(menu, 1, 1, R);
	add(menu, CALL_MSEAL, 2, 1);
	store(menu, 0);
	store(menu, 1);
	store(menu, 3);
	with_flags(menu, CALL_MLOCKALL, 0, 0, QUIRE_MCL_FUTURE);
	with_flags(menu, CALL_MUNLOCKALL, 0, 0, 0);
	go(menu, CALL_FORK);
	go(menu, CALL_OTHER);
}

/* Where the caller names no place; stacks, which grow, and keep a gap. */
static void make_place(struct menu *menu)
{
	begin(menu, "place", 6, MODEL_UNLIMITED);
	map(menu, NOWHERE, 1, RW, QUIRE_MAP_PRIVATE);
	map(menu, NOWHERE, 2, RW, QUIRE_MAP_PRIVATE);
	map(menu, NOWHERE, 2, RW, QUIRE_MAP_SHARED);
	map(menu, 2, 1, RW, QUIRE_MAP_PRIVATE);
	map(menu, 1, 2, R, PRIVATE | QUIRE_MAP_FIXED_NOREPLACE);
	map(menu, 3, 1, RW, PRIVATE | QUIRE_MAP_GROWSDOWN);
	map(menu, 4, 2, RW, PRIVATE | QUIRE_MAP_GROWSDOWN);
	map(menu, 0, 1, NONE, PRIVATE);
	add(menu, CALL_MUNMAP, 3, 2);
	add(menu, CALL_MUNMAP, 5, 1);
	add(menu, CALL_MUNMAP, 0, 2);
	protect(menu, 4, 1, R);
	for (unsigned page = 0; page < 5; page++)
		store(menu, page);
	load(menu, 2);
	remap(menu, 5, 1, 2, MOVE, NOWHERE);
	remap(menu, 4, 2, 2, STAY, NOWHERE);
	remap(menu, 4, 2, 2, STAY, 1);
	remap(menu, 3, 1, 3, MOVE, NOWHERE);
}

void menu_make(struct menu *menu, unsigned n)
{
	static void (*const make[NR_MENUS])(struct menu *menu) = {
		make_areas, make_remap, make_lock, make_fork, make_files,
		make_advice, make_guard, make_seal, make_heap, make_place,
	};

	make[n](menu);
}

/* ---- By chance --------------------------------------------------------------------------- */

unsigned random_below(uint64_t *state, unsigned n)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (unsigned)((z ^ (z >> 31)) % n);
}

static unsigned any_prot(uint64_t *state)
{
	static const uint8_t prots[] = {RW, RW, RW, R, R, NONE, X, RW | X, QUIRE_PROT_WRITE};

	return prots[random_below(state, sizeof(prots))];
}

static void random_map(struct step *t, uint64_t *state)
{
	t->prot = (uint8_t)any_prot(state);
	t->flags = random_below(state, 3) ? QUIRE_MAP_PRIVATE : QUIRE_MAP_SHARED;
	t->file = random_below(state, 3) == 0;
	t->off = (uint8_t)(t->file ? random_below(state, 4) : 0);
	if (random_below(state, 5)) {
		t->flags |= QUIRE_MAP_FIXED;
	} else {
		t->start = random_below(state, 2) ? NOWHERE : t->start;
		t->not_linux = true;
	}
	if (random_below(state, 10) == 0)
		t->flags |= QUIRE_MAP_LOCKED;
	if (random_below(state, 10) == 0)
		t->flags |= QUIRE_MAP_POPULATE;
	if (random_below(state, 10) == 0)
		t->flags |= QUIRE_MAP_NORESERVE;
	if ((t->flags & QUIRE_MAP_FIXED) && random_below(state, 10) == 0)
		t->flags |= QUIRE_MAP_FIXED_NOREPLACE;
	if (random_below(state, 10) == 0) {
		t->flags |= QUIRE_MAP_GROWSDOWN;
		t->not_linux = true;
	}
}

static void random_remap(struct step *t, uint64_t *state)
{
	static const uint8_t flags[] = {0, MOVE, MOVE, TO, TO, TO, STAY, STAY | TO, 2, 4, 8};

	t->flags = flags[random_below(state, sizeof(flags))];
	t->n = (uint8_t)random_below(state, 10) ? t->n : 0;
	t->new_n = (uint8_t)(random_below(state, 2) ? t->n : random_below(state, 5));
	t->to = (uint8_t)random_below(state, MODEL_PAGES);
	if (!(t->flags & QUIRE_MREMAP_FIXED) && random_below(state, 2))
		t->to = NOWHERE;
	t->not_linux = (t->flags & MOVE) && !(t->flags & QUIRE_MREMAP_FIXED);
}

static void random_file(struct step *t, uint64_t *state)
{
	unsigned halves = random_below(state, 9);

	if (random_below(state, 2)) {
		t->call = CALL_FTRUNCATE;
		t->n = (uint8_t)halves;
	} else {
		t->call = CALL_PWRITE;
		t->start = (uint8_t)halves;
	}
}

static uint32_t any_advice(uint64_t *state)
{
	static const uint8_t advice[] = {
		QUIRE_MADV_NORMAL, QUIRE_MADV_RANDOM, QUIRE_MADV_SEQUENTIAL, QUIRE_MADV_WILLNEED,
		QUIRE_MADV_DONTNEED, QUIRE_MADV_DONTNEED, QUIRE_MADV_FREE, QUIRE_MADV_REMOVE,
		QUIRE_MADV_REMOVE, QUIRE_MADV_DONTFORK, QUIRE_MADV_DOFORK, QUIRE_MADV_DONTDUMP,
		QUIRE_MADV_DODUMP, QUIRE_MADV_WIPEONFORK, QUIRE_MADV_KEEPONFORK, QUIRE_MADV_COLD,
		QUIRE_MADV_POPULATE_READ, QUIRE_MADV_POPULATE_WRITE, QUIRE_MADV_DONTNEED_LOCKED,
		QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_GUARD_REMOVE,
	};

	return advice[random_below(state, sizeof(advice))];
}

void step_random(struct step *t, uint64_t *state)
{
	static const uint8_t calls[] = {
		CALL_MMAP, CALL_MMAP, CALL_MMAP, CALL_MMAP, CALL_MMAP, CALL_MMAP, CALL_MUNMAP,
		CALL_MUNMAP, CALL_MPROTECT, CALL_MPROTECT, CALL_MPROTECT, CALL_MPROTECT,
		CALL_MREMAP, CALL_MREMAP, CALL_MREMAP, CALL_MREMAP, CALL_BRK, CALL_BRK,
		CALL_MADVISE, CALL_MADVISE, CALL_MADVISE, CALL_MADVISE, CALL_MLOCK, CALL_MLOCK2,
		CALL_MUNLOCK, CALL_MUNLOCK, CALL_MLOCKALL, CALL_MUNLOCKALL, CALL_MSYNC,
		CALL_MINCORE, CALL_FTRUNCATE, CALL_FTRUNCATE, CALL_STORE, CALL_STORE, CALL_STORE,
		CALL_STORE, CALL_STORE, CALL_STORE, CALL_LOAD, CALL_LOAD, CALL_FETCH, CALL_FORK,
		CALL_OTHER, CALL_OTHER, CALL_EXIT,
	};

	memset(t, 0, sizeof(*t));
	t->call = calls[random_below(state, sizeof(calls))];
	/* Sealed is for ever: a space would soon be full of it. */
	if (random_below(state, 300) == 0)
		t->call = CALL_MSEAL;
	t->start = (uint8_t)random_below(state, MODEL_PAGES);
	t->n = (uint8_t)(1 + random_below(state, MODEL_PAGES - t->start));
	switch (t->call) {
	case CALL_MMAP: random_map(t, state); break;
	case CALL_MPROTECT: t->prot = (uint8_t)any_prot(state); break;
	case CALL_MREMAP: random_remap(t, state); break;
	case CALL_BRK:
		t->start = (uint8_t)random_below(state, MODEL_PAGES + 1);
		t->n = 0;
		t->not_linux = true;
		break;
	case CALL_MADVISE: t->flags = any_advice(state); break;
	case CALL_MLOCK2: t->flags = random_below(state, 2); break;
	case CALL_MLOCKALL: t->flags = random_below(state, 8); /* fallthrough */
	case CALL_MUNLOCKALL: t->not_linux = true; break;
	case CALL_MSYNC: t->flags = random_below(state, 8); break;
	case CALL_FTRUNCATE: random_file(t, state); break;
	case CALL_STORE:
	case CALL_LOAD:
	case CALL_FETCH: t->off = (uint8_t)random_below(state, 2); break;
	default: break;
	}
}

/* ---- As text ----------------------------------------------------------------------------- */

static const char *prot_text(unsigned prot)
{
	static const char *const texts[] = {"none", "r", "w", "rw", "x", "rx", "wx", "rwx"};

	return texts[prot & 7];
}

static const char *advice_text(uint32_t advice)
{
	static const char *const texts[] = {
		[QUIRE_MADV_NORMAL] = "NORMAL", [QUIRE_MADV_RANDOM] = "RANDOM",
		[QUIRE_MADV_SEQUENTIAL] = "SEQUENTIAL", [QUIRE_MADV_WILLNEED] = "WILLNEED",
		[QUIRE_MADV_DONTNEED] = "DONTNEED", [QUIRE_MADV_FREE] = "FREE",
		[QUIRE_MADV_REMOVE] = "REMOVE", [QUIRE_MADV_DONTFORK] = "DONTFORK",
		[QUIRE_MADV_DOFORK] = "DOFORK", [QUIRE_MADV_DONTDUMP] = "DONTDUMP",
		[QUIRE_MADV_DODUMP] = "DODUMP", [QUIRE_MADV_WIPEONFORK] = "WIPEONFORK",
		[QUIRE_MADV_KEEPONFORK] = "KEEPONFORK", [QUIRE_MADV_COLD] = "COLD",
		[QUIRE_MADV_POPULATE_READ] = "POPULATE_READ",
		[QUIRE_MADV_POPULATE_WRITE] = "POPULATE_WRITE",
		[QUIRE_MADV_DONTNEED_LOCKED] = "DONTNEED_LOCKED",
		[QUIRE_MADV_GUARD_INSTALL] = "GUARD_INSTALL",
		[QUIRE_MADV_GUARD_REMOVE] = "GUARD_REMOVE",
	};

	return advice < sizeof(texts) / sizeof(texts[0]) && texts[advice] ? texts[advice] : "?";
}

static void print_map(const struct step *t, char *text, size_t room)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{QUIRE_MAP_FIXED, " fixed"}, {QUIRE_MAP_FIXED_NOREPLACE, " noreplace"},
		{QUIRE_MAP_GROWSDOWN, " growsdown"}, {QUIRE_MAP_LOCKED, " locked"},
		{QUIRE_MAP_POPULATE, " populate"}, {QUIRE_MAP_NORESERVE, " noreserve"},
	};
	char at[8] = "?";

	if (t->start != NOWHERE)
		snprintf(at, sizeof(at), "%u", t->start);
	snprintf(text, room, "mmap %s %u %s %s", at, t->n, prot_text(t->prot),
		 t->flags & QUIRE_MAP_SHARED ? "shared" : "private");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (t->flags & names[i].flag)
			strncat(text, names[i].name, room - strlen(text) - 1);
	if (t->file)
		snprintf(text + strlen(text), room - strlen(text), " file at page %u", t->off);
}

static void print_remap(const struct step *t, char *text, size_t room)
{
	snprintf(text, room, "mremap %u %u to %u pages", t->start, t->n, t->new_n);
	if (t->flags & MOVE)
		strncat(text, " maymove", room - strlen(text) - 1);
	if (t->flags & QUIRE_MREMAP_FIXED)
		strncat(text, " fixed", room - strlen(text) - 1);
	if (t->flags & QUIRE_MREMAP_DONTUNMAP)
		strncat(text, " dontunmap", room - strlen(text) - 1);
	if (t->flags & ~7u)
		strncat(text, " unknown-flag", room - strlen(text) - 1);
	if (t->to != NOWHERE)
		snprintf(text + strlen(text), room - strlen(text), " at %u", t->to);
}

void step_print(const struct step *t, char *text, size_t room)
{
	static const char *const names[NR_CALLS] = {
		"mmap", "munmap", "mprotect", "mremap", "brk", "madvise", "mlock", "mlock2",
		"munlock", "mlockall", "munlockall", "msync", "mincore", "mseal", "ftruncate",
		"pwrite", "store", "load", "fetch", "fork", "other", "exit",
	};
	const char *name = names[t->call];

	switch ((enum model_call)t->call) {
	case CALL_MMAP: print_map(t, text, room); break;
	case CALL_MREMAP: print_remap(t, text, room); break;
	case CALL_MPROTECT:
		snprintf(text, room, "%s %u %u %s", name, t->start, t->n, prot_text(t->prot));
		break;
	case CALL_MADVISE:
		snprintf(text, room, "%s %u %u %s", name, t->start, t->n, advice_text(t->flags));
		break;
	case CALL_BRK: snprintf(text, room, "brk to page %u", t->start); break;
	case CALL_MLOCK2:
	case CALL_MSYNC:
		snprintf(text, room, "%s %u %u flags %u", name, t->start, t->n, t->flags);
		break;
	case CALL_MLOCKALL: snprintf(text, room, "%s flags %u", name, t->flags); break;
	case CALL_FTRUNCATE: snprintf(text, room, "ftruncate to %u half pages", t->n); break;
	case CALL_PWRITE: snprintf(text, room, "pwrite half page %u", t->start); break;
	case CALL_STORE:
	case CALL_LOAD:
	case CALL_FETCH:
		snprintf(text, room, "%s %u%s", name, t->start, t->off ? " (second half)" : "");
		break;
	case CALL_FORK:
	case CALL_OTHER:
	case CALL_EXIT:
	case CALL_MUNLOCKALL: snprintf(text, room, "%s", name); break;
	default: snprintf(text, room, "%s %u %u", name, t->start, t->n);
	}
}

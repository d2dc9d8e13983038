/* SPDX-License-Identifier: MIT */
/*
 * The model: what an address space is, said as plainly as can be. A handful of pages, each of which
 * knows everything about itself: whether it is mapped, with which flags, what is behind it, what is
 * in it. No trees, no sharing: fork copies, and everything that has to be counted is counted again
 * each time it is asked for. What a call means is in model.c, one function a call, from the manual
 * pages and, where those say nothing, from what Linux 6.18 does.
 *
 * Pages know what areas they are in by one mark: first. That which stretches are one area is not
 * a matter of their being alike: Linux makes neighbours one when a call touches them, and only then.
 */
#ifndef QUIRE_TESTS_MODEL_H
#define QUIRE_TESTS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <quire/types.h>

#define MODEL_PAGES 6        /* of every space's window */
#define MODEL_SPACES 3
#define MODEL_OBJECTS 20     /* [MODEL_FILE] is the file, the others are shared anonymous memory */
#define MODEL_OBJECT_PAGES 8 /* what the file may grow to */
#define MODEL_OWNERS 60      /* one a page, and those that are ancestors only: see do_fork() */
#define MODEL_CHAIN 10       /* owners in a chain at most */
#define MODEL_FILE 0
#define MODEL_FILE_HALVES 5  /* size of the file in the beginning: two pages and a half */
#define MODEL_UNLIMITED 1000000u

/*
 * The window. A leaf table, and every table above it but the root, ends in its middle, so that calls
 * have to do with two of each. What lies around it cannot be mapped: the space ends where it ends.
 * Where spaces are smaller than x86-64's, quire_open() moves the middle down.
 */
extern uint64_t model_middle;
#define MODEL_PAGE (UINT64_C(1) << QUIRE_PAGE_SHIFT)
#define MODEL_BASE (model_middle - MODEL_PAGES / 2 * MODEL_PAGE)
#define MODEL_ADDRESS(page) (MODEL_BASE + (uint64_t)(page) * MODEL_PAGE)

/* ---- Steps ------------------------------------------------------------------------------- */

enum model_call {
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_MPROTECT,
	CALL_MREMAP,
	CALL_BRK,
	CALL_MADVISE,
	CALL_MLOCK,
	CALL_MLOCK2,
	CALL_MUNLOCK,
	CALL_MLOCKALL,
	CALL_MUNLOCKALL,
	CALL_MSYNC,
	CALL_MINCORE,
	CALL_MSEAL,
	CALL_FTRUNCATE, /* to n halves of a page */
	CALL_PWRITE,    /* half a page, through the file; start counts halves */
	CALL_STORE,     /* one byte, at the beginning of a half of a page: off 0 or 1 */
	CALL_LOAD,
	CALL_FETCH,
	CALL_FORK,      /* goes on in the parent */
	CALL_OTHER,     /* goes on in the next space there is */
	CALL_EXIT,      /* of the current space; goes on in the next */
	NR_CALLS,
};

#define NOWHERE 0xff /* mremap: a new address of 0 */

/*
 * One step: a call with its arguments, in pages. Plain numbers of Linux (prot, flags, advice). A
 * step's meaning does not depend on where in a sequence it stands but for the value of a store, which
 * is the position, so that every store is told from every other.
 */
struct step {
	uint8_t call;  /* enum model_call */
	uint8_t start; /* page; brk: the new break */
	uint8_t n;     /* pages */
	uint8_t to;    /* mremap: the new place */
	uint8_t new_n; /* mremap: pages */
	uint8_t off;   /* of a file, in pages */
	uint8_t prot;
	bool file;     /* mmap: of the file */
	uint32_t flags; /* mmap, mremap, mlock2, mlockall, msync: flags; madvise: advice */
	bool not_linux; /* depends on what lies around the window, or on limits: not for the judge */
};

struct outcome {
	int64_t value;  /* what the call returned: an errno is negative; accesses 0 or -EFAULT */
	int signo, code; /* of an access that failed */
	uint64_t addr;
	unsigned char byte; /* loaded */
	unsigned char vec[MODEL_PAGES]; /* mincore */
};

/* ---- The world --------------------------------------------------------------------------- */

enum content {
	NOTHING, /* private: not there yet; of an object: what the object has */
	ZEROES,  /* private anonymous, read but never written: the page of zeroes */
	OWN,     /* the space's own page, bytes in it */
	GUARD,
};

struct page {
	bool mapped;
	bool first;     /* an area begins here */
	uint8_t content; /* enum content */
	uint8_t byte[2]; /* first one of each half; OWN */
	int8_t object;  /* -1: private anonymous */
	int8_t owner;   /* of the area's private pages (Linux: anon_vma); -1: none yet */
	uint8_t chain_len;
	int8_t chain[MODEL_CHAIN]; /* owners whose pages may be in the area, newest first */
	uint64_t flags; /* QUIRE_VM_*, the area's */
	uint64_t pgoff; /* this page's */
};

struct space {
	bool exists;
	uint8_t brk;        /* page; the heap begins at page 0 */
	uint64_t def_flags; /* of mlockall(MCL_FUTURE) */
	struct page page[MODEL_PAGES];
};

struct object {
	bool exists;
	bool accounted;  /* shared anonymous: size is promised */
	uint8_t halves;  /* size */
	bool there[MODEL_OBJECT_PAGES]; /* in the cache */
	uint8_t byte[MODEL_OBJECT_PAGES][2];
	uint8_t disk[MODEL_OBJECT_PAGES][2];
};

/*
 * Rules that are wrong on purpose, by which the tests see that a difference is found. NR_WRONG is no
 * rule; 0 is the true model.
 */
enum wrong {
	WRONG_NOTHING,
	WRONG_PROTECT_KEEPS_WRITE,   /* mprotect takes no right to write away */
	WRONG_MERGES_ALL,	     /* owners do not keep areas apart */
	WRONG_DONTNEED_KEEPS,	     /* MADV_DONTNEED leaves a page's bytes */
	WRONG_REMAP_FORGETS,	     /* mremap moves no pages */
	WRONG_FORK_INHERITS_LOCKS,
	WRONG_TRUNCATE_KEEPS_COPIES, /* of pages beyond the end */
	WRONG_SEAL_IS_OPEN,	     /* munmap of a sealed area */
	WRONG_HOLE_IS_SKIPPED,	     /* mprotect over a hole succeeds */
	WRONG_LOCK_HAS_NO_LIMIT,
	WRONG_GUARD_IS_NOTHING,      /* a guard can be stored to */
	NR_WRONG,
};

struct model {
	struct space space[MODEL_SPACES];
	struct object object[MODEL_OBJECTS];
	int8_t parent[MODEL_OWNERS]; /* of an owner; a root is its own; -1: no such owner */
	uint8_t current;	     /* space */
	uint8_t pages;		     /* the window is so long; at most MODEL_PAGES */
	uint8_t gap;		     /* pages below a stack that stay free */
	uint8_t stack_limit;	     /* pages */
	uint32_t memlock;	     /* limit, pages */
	uint32_t wrong;		     /* enum wrong */
	bool forbid_zeropage;	     /* reading gives a page of one's own (struct quire_sysctl) */
	bool reads_execute;	     /* what can be read can be executed: i386 */
};

/* One space, nothing mapped, nothing in the cache. */
void model_init(struct model *m, unsigned pages, unsigned memlock, enum wrong wrong);

/* What is in a fresh file at this half of a page. */
uint8_t model_file_byte(unsigned page, unsigned half);

/*
 * Make the step. value is what a store stores. False: it cannot be made (no room for another space,
 * nobody to go on with) and nothing has happened.
 */
bool model_step(struct model *m, const struct step *step, uint8_t value, struct outcome *outcome);

/* The page after the last of the area that page belongs to. */
unsigned model_area_end(const struct space *s, unsigned page);

/* Pages promised to all spaces and objects together: Committed_AS. */
int64_t model_committed(const struct model *m);

/* Is any area of the object? */
bool model_object_is_mapped(const struct model *m, int object);

#endif

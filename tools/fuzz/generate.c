/* SPDX-License-Identifier: MIT */
/*
 * The random rounds. See generate.h. A profile says how often each kind of step comes and where it aims; what the
 * arguments of a call can be is said once, for all of them.
 */
#include "generate.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#define PAGE STEP_PAGE

/* ---- Profiles ---------------------------------------------------------------------------- */

enum make {
	MAKE_MMAP, MAKE_MUNMAP, MAKE_MPROTECT, MAKE_MREMAP, MAKE_MADVISE, MAKE_MLOCK, MAKE_MLOCKALL, MAKE_BRK, MAKE_MSEAL,
	MAKE_REMAP_FILE_PAGES, MAKE_FTRUNCATE, MAKE_WRITE, MAKE_MSYNC, MAKE_MINCORE, MAKE_STORE, MAKE_LOAD, MAKE_EXECUTE, MAKE_FORK,
	MAKE_THREAD, MAKE_EXIT, MAKE_SHMAT, MAKE_SHMDT, MAKE_TRANSFER, MAKE_FALLOCATE, NR_MAKES
};

struct profile {
	const char *name, *about;
	unsigned share;            /* of rounds whose profile the number chooses */
	unsigned steps, processes; /* a round, at most */
	unsigned hostile;          /* percent of arguments from beyond the window, unaligned, too long */
	unsigned files;            /* percent of mappings that are of files */
	unsigned shared;           /* percent of mappings that are shared */
	unsigned limits;           /* percent of rounds with limits */
	uint16_t weight[NR_MAKES];
};

enum { OVERCOMMIT = 7, AREAS = 8 }; /* those that have something of their own */

static const struct profile profiles[] = {
	{ "default", "everything", 400, 300, 1, 10, 33, 33, 30,
	  { [MAKE_MMAP] = 220, [MAKE_MUNMAP] = 110, [MAKE_MPROTECT] = 140, [MAKE_MREMAP] = 100, [MAKE_MADVISE] = 100,
	    [MAKE_MLOCK] = 40, [MAKE_MLOCKALL] = 10, [MAKE_BRK] = 12, [MAKE_MSEAL] = 2, [MAKE_REMAP_FILE_PAGES] = 10,
	    [MAKE_FTRUNCATE] = 10, [MAKE_WRITE] = 10, [MAKE_MSYNC] = 15, [MAKE_MINCORE] = 10, [MAKE_STORE] = 130,
	    [MAKE_LOAD] = 70, [MAKE_EXECUTE] = 20, [MAKE_SHMAT] = 15, [MAKE_SHMDT] = 8, [MAKE_TRANSFER] = 15,
	    [MAKE_FALLOCATE] = 10 } },
	{ "merge", "few kinds of areas, which meet and merge", 200, 400, 1, 2, 10, 5, 5,
	  { [MAKE_MMAP] = 200, [MAKE_MUNMAP] = 60, [MAKE_MPROTECT] = 200, [MAKE_MREMAP] = 150, [MAKE_MADVISE] = 60,
	    [MAKE_MLOCK] = 20, [MAKE_BRK] = 30, [MAKE_STORE] = 300, [MAKE_LOAD] = 30 } },
	{ "files", "files mapped several times, cut, extended and written", 200, 300, 1, 5, 85, 50, 10,
	  { [MAKE_MMAP] = 220, [MAKE_MUNMAP] = 60, [MAKE_MPROTECT] = 80, [MAKE_MREMAP] = 60, [MAKE_MADVISE] = 90,
	    [MAKE_MLOCK] = 20, [MAKE_REMAP_FILE_PAGES] = 30, [MAKE_FTRUNCATE] = 60, [MAKE_WRITE] = 60, [MAKE_MSYNC] = 40,
	    [MAKE_MINCORE] = 30, [MAKE_STORE] = 180, [MAKE_LOAD] = 120, [MAKE_EXECUTE] = 15, [MAKE_SHMAT] = 30,
	    [MAKE_SHMDT] = 20, [MAKE_FALLOCATE] = 60 } },
	{ "fork", "processes with copies of each other's memory, and shared memory between them", 200, 300, 4, 3, 25, 30, 5,
	  { [MAKE_MMAP] = 150, [MAKE_MUNMAP] = 50, [MAKE_MPROTECT] = 80, [MAKE_MREMAP] = 60, [MAKE_MADVISE] = 100,
	    [MAKE_MLOCK] = 20, [MAKE_MLOCKALL] = 5, [MAKE_BRK] = 10, [MAKE_FTRUNCATE] = 5, [MAKE_WRITE] = 10, [MAKE_MSYNC] = 5,
	    [MAKE_MINCORE] = 10, [MAKE_STORE] = 300, [MAKE_LOAD] = 100, [MAKE_EXECUTE] = 10, [MAKE_FORK] = 30,
	    [MAKE_EXIT] = 20, [MAKE_SHMAT] = 20, [MAKE_SHMDT] = 10, [MAKE_TRANSFER] = 60, [MAKE_FALLOCATE] = 6 } },
	{ "threads", "threads that share spaces, and processes that threads make", 150, 300, 5, 3, 25, 30, 5,
	  { [MAKE_MMAP] = 150, [MAKE_MUNMAP] = 70, [MAKE_MPROTECT] = 100, [MAKE_MREMAP] = 80, [MAKE_MADVISE] = 100,
	    [MAKE_MLOCK] = 20, [MAKE_MLOCKALL] = 5, [MAKE_BRK] = 10, [MAKE_FTRUNCATE] = 8, [MAKE_WRITE] = 10, [MAKE_MSYNC] = 5,
	    [MAKE_MINCORE] = 10, [MAKE_STORE] = 300, [MAKE_LOAD] = 150, [MAKE_EXECUTE] = 20, [MAKE_FORK] = 12,
	    [MAKE_THREAD] = 40, [MAKE_EXIT] = 20, [MAKE_SHMAT] = 15, [MAKE_SHMDT] = 8, [MAKE_TRANSFER] = 40, [MAKE_FALLOCATE] = 8 } },
	{ "hostile", "arguments that no program would give", 100, 300, 1, 55, 33, 33, 30,
	  { [MAKE_MMAP] = 220, [MAKE_MUNMAP] = 60, [MAKE_MPROTECT] = 120, [MAKE_MREMAP] = 140, [MAKE_MADVISE] = 140,
	    [MAKE_MLOCK] = 60, [MAKE_MLOCKALL] = 20, [MAKE_BRK] = 20, [MAKE_MSEAL] = 8, [MAKE_REMAP_FILE_PAGES] = 40,
	    [MAKE_FTRUNCATE] = 10, [MAKE_WRITE] = 10, [MAKE_MSYNC] = 40, [MAKE_MINCORE] = 40, [MAKE_STORE] = 60,
	    [MAKE_LOAD] = 60, [MAKE_EXECUTE] = 20, [MAKE_SHMAT] = 40, [MAKE_SHMDT] = 20, [MAKE_TRANSFER] = 30,
	    [MAKE_FALLOCATE] = 30 } },
	{ "limits", "close to what the process may have", 100, 300, 1, 8, 20, 20, 100,
	  { [MAKE_MMAP] = 260, [MAKE_MUNMAP] = 100, [MAKE_MPROTECT] = 100, [MAKE_MREMAP] = 140, [MAKE_MADVISE] = 60,
	    [MAKE_MLOCK] = 140, [MAKE_MLOCKALL] = 30, [MAKE_BRK] = 60, [MAKE_STORE] = 100, [MAKE_LOAD] = 30 } },
	/* All that play wait for such a round, and it waits for them. */
	[OVERCOMMIT] = { "overcommit", "what a process is promised, where more or less is", 10, 300, 6, 30, 10, 20, 5,
	  { [MAKE_MMAP] = 300, [MAKE_MUNMAP] = 100, [MAKE_MPROTECT] = 150, [MAKE_MREMAP] = 100, [MAKE_MADVISE] = 30,
	    [MAKE_MLOCK] = 20, [MAKE_BRK] = 20, [MAKE_STORE] = 60, [MAKE_LOAD] = 20, [MAKE_SHMAT] = 10, [MAKE_SHMDT] = 5,
	    [MAKE_FORK] = 60, [MAKE_EXIT] = 20 } },
	/* Such a round takes as long as thirty others, most of it before its first step. */
	[AREAS] = { "areas", "close to the number of areas that a process may have", 2, 300, 1, 5, 20, 20, 10,
	  { [MAKE_MMAP] = 260, [MAKE_MUNMAP] = 200, [MAKE_MPROTECT] = 200, [MAKE_MREMAP] = 150, [MAKE_MADVISE] = 100,
	    [MAKE_MLOCK] = 60, [MAKE_MLOCKALL] = 10, [MAKE_BRK] = 40, [MAKE_MSEAL] = 5, [MAKE_REMAP_FILE_PAGES] = 30,
	    [MAKE_STORE] = 80, [MAKE_LOAD] = 20, [MAKE_SHMAT] = 20, [MAKE_SHMDT] = 10 } },
};
#define NR_PROFILES (sizeof(profiles) / sizeof(profiles[0]))

const char *generate_profile_name(unsigned i, const char **about)
{
	if (i >= NR_PROFILES)
		return NULL;
	*about = profiles[i].about;
	return profiles[i].name;
}

static const struct profile *find_profile(const char *name)
{
	unsigned i;

	for (i = 0; i < NR_PROFILES; i++)
		if (strcmp(profiles[i].name, name) == 0)
			return &profiles[i];
	return NULL;
}

const char *generate_profile(const char *name)
{
	const struct profile *profile = find_profile(name);

	return profile ? profile->name : NULL;
}

/* ---- Chance ------------------------------------------------------------------------------ */

struct draw {
	uint64_t state;
	const struct profile *profile;
	uint16_t weight[NR_MAKES]; /* the profile's */
	bool no_random;
	bool promises;  /* the round has overcommit of its own */
	bool pages_out; /* MADV_PAGEOUT is among the advices: after it little can be said of which pages are there */
	unsigned alive; /* processes and threads that may be there, a bit each; nobody knows whether a fork was refused */
	uint8_t owner[STEP_MAX_PROCESSES]; /* the process that it is a thread of; itself */
	unsigned processes;
	unsigned runs;  /* steps that the same process goes on making */
	uint8_t process;
};

static uint64_t rnd(struct draw *d)
{
	uint64_t z = (d->state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t below(struct draw *d, uint64_t n)
{
	return rnd(d) % n;
}

static bool one_in(struct draw *d, uint64_t n)
{
	return below(d, n) == 0;
}

static bool percent(struct draw *d, unsigned n)
{
	return below(d, 100) < n;
}

#define ANY_OF(d, array) ((array)[below(d, sizeof(array) / sizeof((array)[0]))])

/* ---- Arguments --------------------------------------------------------------------------- */

static uint64_t any_address(struct draw *d)
{
	uint64_t inside = STEP_WINDOW + below(d, STEP_WINDOW_PAGES) * PAGE;

	if (!percent(d, d->profile->hostile))
		return inside;
	switch (below(d, 9)) {
	case 0:
		return 0;
	case 1:
		return STEP_TASK_END - below(d, 3) * PAGE;
	case 2:
		return ~0ull - below(d, 3) * PAGE;
	case 3:
		return below(d, 40) * PAGE;
	case 4:
		return 1ull << 63 | below(d, 4) * PAGE; /* the kernel's half, or no address at all */
	case 5:
		return rnd(d) >> below(d, 64);
	default:
		return inside + below(d, PAGE);
	}
}

static uint64_t any_length(struct draw *d)
{
	uint64_t pages = 1 + below(d, one_in(d, 4) ? STEP_WINDOW_PAGES : 5);

	if (!percent(d, d->profile->hostile))
		return pages * PAGE;
	switch (below(d, 6)) {
	case 0:
		return 0;
	case 1:
		return ~0ull - below(d, 2 * PAGE);
	case 2:
		return 1ull << (30 + below(d, 18));
	case 3:
		/* Under strict overcommit a few of these, or a fork, reach the limit. */
		if (d->promises)
			return 1ull << (44 + below(d, 3));
		/* fallthrough */
	default:
		return below(d, STEP_WINDOW_PAGES * PAGE);
	}
}

static uint64_t any_prot(struct draw *d)
{
	static const uint8_t common[] = { 3, 3, 3, 1, 1, 0, 5, 7, 2, 4, 6 };

	if (percent(d, d->profile->hostile) && one_in(d, 6))
		return (rnd(d) & 0x0300000f) | (one_in(d, 8) ? 1u << below(d, 32) : 0);
	return ANY_OF(d, common);
}

/* Aims an address argument at an earlier result now and then. */
static void aim(struct draw *d, struct step *s, int arg)
{
	if (!one_in(d, 6))
		return;
	s->slot_arg = (int8_t)arg;
	s->slot = (int8_t)below(d, 4);
	s->arg[arg] = below(d, 4) * PAGE;
}

static uint64_t any_file(struct draw *d)
{
	static const uint8_t common[] = {
		STEP_FILE_TMPFS, STEP_FILE_TMPFS, STEP_FILE_AGAIN, STEP_FILE_READ_ONLY, STEP_FILE_DISK, STEP_FILE_DISK,
		STEP_FILE_DISK_READ_ONLY, STEP_FILE_MEMFD,
	};

	if (one_in(d, 40))
		return STEP_FILE_WRITE_ONLY;
	return ANY_OF(d, common);
}

static uint64_t any_writable_file(struct draw *d)
{
	static const uint8_t common[] = { STEP_FILE_TMPFS, STEP_FILE_AGAIN, STEP_FILE_DISK, STEP_FILE_MEMFD };

	return one_in(d, 20) ? any_file(d) : ANY_OF(d, common);
}

static void range(struct draw *d, struct step *s, int nr)
{
	s->nr = (int16_t)nr;
	s->arg[0] = any_address(d);
	s->arg[1] = any_length(d);
	aim(d, s, 0);
}

/* ---- Calls ------------------------------------------------------------------------------- */

static uint64_t mmap_flags(struct draw *d, struct step *s, uint64_t flags)
{
	if (!one_in(d, 4))
		flags |= MAP_FIXED;
	else if (one_in(d, 2))
		flags |= MAP_FIXED_NOREPLACE;
	else if (one_in(d, 2))
		s->arg[0] = 0;
	if (one_in(d, 12))
		flags |= MAP_NORESERVE;
	if (one_in(d, 14))
		flags |= MAP_GROWSDOWN;
	if (one_in(d, 14))
		flags |= MAP_STACK;
	if (one_in(d, 14))
		flags |= MAP_LOCKED;
	if (one_in(d, 14))
		flags |= MAP_POPULATE;
	if (one_in(d, 30))
		flags |= MAP_DENYWRITE | MAP_EXECUTABLE;
	if (one_in(d, 60))
		flags |= 1ull << below(d, 27);
	/* No pool of huge pages is modelled; MAP_32BIT starts at a random place for most. */
	flags &= ~(uint64_t)(MAP_HUGETLB | MAP_32BIT);
	if (d->no_random && one_in(d, 10))
		flags |= MAP_32BIT;
	return flags;
}

static void make_mmap(struct draw *d, struct step *s)
{
	uint64_t flags = percent(d, d->profile->shared) ? MAP_SHARED : MAP_PRIVATE;

	s->nr = SYS_mmap;
	s->arg[0] = any_address(d);
	s->arg[1] = any_length(d);
	s->arg[2] = any_prot(d);
	if (one_in(d, 50))
		flags = below(d, 16);
	if (one_in(d, 60))
		flags = MAP_SHARED_VALIDATE | (one_in(d, 2) ? 1ull << below(d, 32) : 0);
	s->arg[4] = ~0ull;
	if (percent(d, d->profile->files)) {
		s->arg[4] = STEP_FD + any_file(d);
		s->arg[5] = below(d, STEP_FILE_PAGES) * PAGE;
		if (percent(d, d->profile->hostile) && one_in(d, 4))
			s->arg[5] = one_in(d, 2) ? rnd(d) >> below(d, 64) : -below(d, 40) * PAGE;
		if (one_in(d, 200))
			s->arg[4] = STEP_FD + STEP_NR_FILES; /* not open */
	} else {
		flags |= MAP_ANONYMOUS;
	}
	flags = mmap_flags(d, s, flags);
	/*
	 * Shared memory that overcommit refuses: Linux has taken away by then what MAP_FIXED was to
	 * replace, Quire has changed nothing (docs/conformance.md).
	 */
	if ((flags & MAP_ANONYMOUS) && (flags & MAP_SHARED) && s->arg[1] > 1ull << 33)
		s->arg[1] = PAGE;
	/* That this is no memory that survives a crash, ext4 says at a private mapping too. */
	if (s->arg[4] == STEP_FD + STEP_FILE_DISK || s->arg[4] == STEP_FD + STEP_FILE_DISK_READ_ONLY)
		flags &= ~(uint64_t)MAP_SYNC;
	s->arg[3] = flags;
	s->into_slot = (int8_t)below(d, 4);
}

static void make_mremap(struct draw *d, struct step *s)
{
	static const uint8_t common[] = { 0, 1, 1, 3, 3, 5, 7 };

	range(d, s, SYS_mremap);
	s->arg[2] = one_in(d, 2) ? s->arg[1] : any_length(d);
	s->arg[3] = one_in(d, 20) ? below(d, 16) : ANY_OF(d, common);
	s->arg[4] = any_address(d);
	s->into_slot = (int8_t)below(d, 4);
}

static void make_madvise(struct draw *d, struct step *s)
{
	static const uint8_t advices[] = { 0, 1, 2, 3, 4, 4, 4, 8, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
					   21, 22, 23, 24, 25, 102, 102, 103, 103, 5, 99 };

	range(d, s, SYS_madvise);
	s->arg[2] = ANY_OF(d, advices);
	if (s->arg[2] == MADV_PAGEOUT && !d->pages_out)
		s->arg[2] = MADV_DONTNEED;
}

static void make_mlock(struct draw *d, struct step *s)
{
	static const int calls[] = { SYS_mlock, SYS_munlock, SYS_mlock2, SYS_munlock };

	range(d, s, ANY_OF(d, calls));
	s->arg[2] = s->nr == SYS_mlock2 ? below(d, 3) : 0;
}

static void make_transfer(struct draw *d, struct step *s)
{
	s->nr = one_in(d, 2) ? SYS_process_vm_readv : SYS_process_vm_writev;
	s->arg[0] = below(d, d->processes);
	s->arg[1] = any_address(d) + (one_in(d, 2) ? below(d, PAGE) : 0);
	s->arg[2] = one_in(d, 3) ? any_length(d) : below(d, 3 * PAGE);
	aim(d, s, 1);
	if (one_in(d, 3)) {
		s->arg[3] = any_address(d) + (one_in(d, 2) ? below(d, PAGE) : 0);
		s->arg[4] = one_in(d, 10) ? any_length(d) : below(d, 2 * PAGE);
	}
	s->arg[5] = one_in(d, 60) ? 1ull << below(d, 64) : 0;
}

static void make_ftruncate(struct draw *d, struct step *s)
{
	s->nr = SYS_ftruncate;
	s->arg[0] = STEP_FD + (one_in(d, 100) ? STEP_NR_FILES : any_writable_file(d));
	s->arg[1] = one_in(d, 3) ? below(d, STEP_FILE_PAGES) * PAGE : below(d, STEP_FILE_PAGES * PAGE);
	if (percent(d, d->profile->hostile) && one_in(d, 4))
		s->arg[1] = rnd(d) >> below(d, 64);
}

static void make_fallocate(struct draw *d, struct step *s)
{
	static const uint32_t common[] = { 0, 0, 1, 1, 3, 3, 3, 3, 0x10, 0x11 };
	static const uint32_t odd[] = { 2, 0x12, 4, 5, 0x40, 0x41, 9, 0x21, 0x18, 0x1b, 0x100, 0x80000001 };
	uint64_t file = any_writable_file(d);
	bool disk = file == STEP_FILE_DISK || file == STEP_FILE_DISK_READ_ONLY;

	s->nr = SYS_fallocate;
	s->arg[0] = STEP_FD + (one_in(d, 100) ? STEP_NR_FILES : file);
	s->arg[1] = one_in(d, 8) ? ANY_OF(d, odd) : ANY_OF(d, common);
	/* A disk's file system moves blocks, if it can; the others refuse. */
	if (!disk && one_in(d, 12))
		s->arg[1] = one_in(d, 2) ? 8 : 0x20;
	s->arg[2] = below(d, STEP_FILE_PAGES) * PAGE + (one_in(d, 2) ? below(d, PAGE) : 0);
	s->arg[3] = one_in(d, 2) ? (1 + below(d, 3)) * PAGE : 1 + below(d, 3 * PAGE);
	if (percent(d, d->profile->hostile) && one_in(d, 3))
		s->arg[2] = one_in(d, 3) ? INT64_MAX - below(d, 2 * PAGE) : rnd(d) >> below(d, 64);
	if (percent(d, d->profile->hostile) && one_in(d, 3))
		s->arg[3] = one_in(d, 2) ? 0 : rnd(d) >> below(d, 64);
}

static void make_store(struct draw *d, struct step *s)
{
	s->kind = STEP_STORE;
	s->arg[0] = any_address(d);
	s->arg[1] = 1 + below(d, 255);
	aim(d, s, 0);
	/* The first byte of a page may be executed: it is a return instruction or was never written. */
	if (s->arg[0] % PAGE == 0 && one_in(d, 2))
		s->arg[0] += 1 + below(d, PAGE - 1);
	else if (s->arg[0] % PAGE == 0)
		s->arg[1] = 0xc3;
}

/* Most of them across a page's end. */
static void make_wide_store(struct draw *d, struct step *s)
{
	uint64_t before, byte;

	s->arg[0] = any_address(d);
	aim(d, s, 0);
	if (one_in(d, 2)) {
		s->kind = STEP_STORE_WORD;
		s->arg[1] = 1ull << below(d, 4);
		s->arg[2] = rnd(d);
	} else {
		s->kind = STEP_STORE_RUN;
		s->arg[1] = one_in(d, 8) ? 1 + below(d, STEP_MAX_RUN) : 2 + below(d, 60);
		s->arg[2] = one_in(d, 2) ? 0xc3 : 1 + below(d, 255);
	}
	if (s->arg[1] < 2 || one_in(d, 4)) {
		s->arg[0] += below(d, PAGE);
		return;
	}
	before = 1 + below(d, (s->arg[1] < PAGE ? s->arg[1] : PAGE) - 1);
	s->arg[0] -= s->arg[0] % PAGE + before;
	/* A return instruction of two bytes, half of it in each page. */
	if (s->kind == STEP_STORE_WORD && one_in(d, 2)) {
		byte = 8 * (before - 1);
		s->arg[2] = (s->arg[2] & ~(0xffffull << byte)) | 0xc3f3ull << byte;
	}
}

/* Half a return instruction at a page's end; the other half is what the next page happens to begin with. */
static void make_half_return(struct draw *d, struct step *s)
{
	s->kind = STEP_STORE;
	s->arg[0] = any_address(d) | (PAGE - 1);
	s->arg[1] = 0xf3;
}

/* What a store has left, above all where it has stopped half-way; a return instruction of two bytes is executed. */
static void make_second_look(struct draw *d, struct step *s, const struct step *store)
{
	*s = *store;
	if (store->kind == STEP_STORE || (store->kind == STEP_STORE_WORD && store->slot_arg < 0 && one_in(d, 3))) {
		s->kind = STEP_EXECUTE;
		s->arg[0] |= PAGE - 1;
		s->arg[1] = s->arg[2] = 0;
		return;
	}
	s->kind = STEP_LOAD;
	s->arg[1] = PAGE - s->arg[0] % PAGE;
	if (s->arg[1] > step_access_bytes(store->kind, store->arg))
		s->arg[1] = step_access_bytes(store->kind, store->arg);
	s->arg[2] = 0;
}

static bool is_worth_a_second_look(const struct step *s)
{
	return s->kind == STEP_STORE_WORD || s->kind == STEP_STORE_RUN ||
	       (s->kind == STEP_STORE && s->arg[1] == 0xf3 && s->slot_arg < 0);
}

static void make(struct draw *d, struct step *s, enum make what)
{
	static const uint8_t syncs[] = { 1, 4, 2, 6, 0, 5 };
	static const uint16_t shm_flags[] = { 0, 0, 010000, 020000, 040000, 040000, 060000, 070000 }; /* RDONLY, RND, REMAP */

	switch (what) {
	case MAKE_MMAP:
		make_mmap(d, s);
		break;
	case MAKE_MUNMAP:
		range(d, s, SYS_munmap);
		if (s->arg[1] > STEP_WINDOW_PAGES * PAGE && s->arg[1] < 1ull << 47)
			s->arg[1] = PAGE;
		break;
	case MAKE_MPROTECT:
		range(d, s, SYS_mprotect);
		s->arg[2] = any_prot(d);
		break;
	case MAKE_MREMAP:
		make_mremap(d, s);
		break;
	case MAKE_MADVISE:
		make_madvise(d, s);
		break;
	case MAKE_MLOCK:
		make_mlock(d, s);
		break;
	case MAKE_MLOCKALL:
		s->nr = one_in(d, 2) ? SYS_munlockall : SYS_mlockall;
		s->arg[0] = s->nr == SYS_mlockall ? below(d, 9) : 0;
		break;
	case MAKE_BRK:
		s->nr = SYS_brk;
		s->arg[0] = one_in(d, 4) ? any_address(d) : below(d, 32) * PAGE + below(d, 3);
		s->slot_arg = s->arg[0] < 64 * PAGE ? 0 : STEP_NO_SLOT;
		s->slot = STEP_BREAK;
		break;
	case MAKE_MSEAL:
		range(d, s, SYS_mseal);
		s->arg[2] = one_in(d, 10);
		break;
	case MAKE_REMAP_FILE_PAGES:
		range(d, s, SYS_remap_file_pages);
		s->arg[2] = one_in(d, 10) ? any_prot(d) : 0;
		s->arg[3] = below(d, STEP_FILE_PAGES);
		s->arg[4] = one_in(d, 10) ? rnd(d) & 0x1ffff : 0;
		break;
	case MAKE_FTRUNCATE:
		make_ftruncate(d, s);
		break;
	case MAKE_FALLOCATE:
		make_fallocate(d, s);
		break;
	case MAKE_WRITE:
		s->kind = STEP_WRITE;
		s->arg[0] = any_writable_file(d);
		s->arg[1] = below(d, STEP_FILE_PAGES * PAGE);
		s->arg[2] = one_in(d, 2) ? 1 + below(d, 100) : below(d, 3 * PAGE);
		s->arg[3] = 0xc3; /* whatever page begins with it may be executed */
		break;
	case MAKE_MSYNC:
		range(d, s, SYS_msync);
		s->arg[2] = ANY_OF(d, syncs);
		break;
	case MAKE_MINCORE:
		range(d, s, SYS_mincore);
		s->arg[2] = STEP_VEC;
		/* More than there is room for is asked for only where the answer is an error. */
		if (s->arg[1] > STEP_VEC_PAGES * PAGE && s->arg[1] < 1ull << 47)
			s->arg[1] = PAGE;
		break;
	case MAKE_STORE:
		if (one_in(d, 4))
			make_wide_store(d, s);
		else if (one_in(d, 30))
			make_half_return(d, s);
		else
			make_store(d, s);
		break;
	case MAKE_LOAD:
		s->kind = STEP_LOAD;
		s->arg[0] = any_address(d);
		s->arg[1] = one_in(d, 2) ? 1 : 1 + below(d, 3 * PAGE);
		aim(d, s, 0);
		break;
	case MAKE_EXECUTE:
		s->kind = STEP_EXECUTE;
		s->arg[0] = any_address(d) & ~(PAGE - 1);
		if (one_in(d, 3))
			s->arg[0]--;
		break;
	case MAKE_SHMAT:
		s->nr = SYS_shmat;
		s->arg[0] = one_in(d, 30) ? 2 + below(d, 3) : below(d, STEP_NR_SEGMENTS);
		s->arg[1] = one_in(d, 6) ? 0 : any_address(d);
		s->arg[2] = ANY_OF(d, shm_flags) | (one_in(d, 6) ? 0100000 : 0); /* SHM_EXEC */
		s->into_slot = (int8_t)below(d, 4);
		break;
	case MAKE_SHMDT:
		s->nr = SYS_shmdt;
		s->arg[0] = any_address(d);
		if (!one_in(d, 3)) {
			s->slot_arg = 0;
			s->slot = (int8_t)below(d, 4);
			s->arg[0] = 0;
		}
		break;
	case MAKE_TRANSFER:
		make_transfer(d, s);
		break;
	case MAKE_FORK:
	case MAKE_THREAD:
	case MAKE_EXIT:
	case NR_MAKES:
		break;
	}
}

/* ---- Processes, threads --------------------------------------------------------------------------- */

static void make_player(struct draw *d, struct step *s, enum step_kind kind)
{
	unsigned child = (unsigned)below(d, d->processes);

	s->kind = (uint8_t)kind;
	s->arg[0] = child;
	if (!(d->alive & 1u << child))
		d->owner[child] = kind == STEP_THREAD ? d->owner[s->process] : (uint8_t)child;
	d->alive |= 1u << child;
	if (one_in(d, 2))
		d->process = (uint8_t)child;
}

static void make_exit(struct draw *d, struct step *s)
{
	unsigned k;

	s->kind = STEP_EXIT;
	if (s->process == 0)
		s->process = (uint8_t)below(d, d->processes);
	for (k = 0; s->process != 0 && k < STEP_MAX_PROCESSES; k++)
		if (k == s->process || d->owner[k] == s->process)
			d->alive &= ~(1u << k);
	d->runs = 0;
}

static void choose_process(struct draw *d)
{
	if (d->runs) {
		d->runs--;
		return;
	}
	do
		d->process = (uint8_t)below(d, d->processes);
	while (!(d->alive & 1u << d->process));
	d->runs = (unsigned)below(d, 8);
}

/* ---- Rounds ------------------------------------------------------------------------------ */

static const struct profile *choose_profile(struct draw *d)
{
	unsigned total = 0, pick, i;

	for (i = 0; i < NR_PROFILES; i++)
		total += profiles[i].share;
	pick = (unsigned)below(d, total);
	for (i = 0; pick >= profiles[i].share; i++)
		pick -= profiles[i].share;
	return &profiles[i];
}

static void draw_limits(struct draw *d, struct round *round)
{
	static const uint64_t memlocks[] = { 0, 16 * PAGE, 64 * PAGE, 4096 * PAGE };

	round->limit_as = round->limit_data = ~0ull;
	round->limit_maps = d->profile == &profiles[AREAS] ? below(d, 24) : ~0ull;
	round->overcommit = STEP_OVERCOMMIT_HOSTS;
	if (d->profile == &profiles[OVERCOMMIT]) {
		round->overcommit = (uint8_t)(1 + below(d, 2));
		d->promises = true;
	}
	round->limit_stack = 8 << 20;
	round->limit_memlock = ANY_OF(d, memlocks);
	if (!percent(d, d->profile->limits))
		return;
	if (one_in(d, 2))
		round->limit_data = below(d, 64) * PAGE;
	if (one_in(d, 2))
		round->limit_as = below(d, 64) * PAGE;
	if (one_in(d, 3))
		round->limit_stack = below(d, 32) * PAGE;
}

static enum make choose_make(struct draw *d, unsigned total)
{
	unsigned pick = (unsigned)below(d, total), i;

	for (i = 0; pick >= d->weight[i]; i++)
		pick -= d->weight[i];
	return (enum make)i;
}

void generate_round(struct round *round, uint64_t seed, const char *profile, unsigned processes)
{
	struct draw d = { .state = seed * 0x2545f4914f6cdd1dull, .alive = 1 };
	unsigned i, total = 0;

	d.profile = profile ? find_profile(profile) : choose_profile(&d);
	d.no_random = one_in(&d, 5);
	d.pages_out = one_in(&d, 8);
	d.processes = processes ? processes : d.profile->processes;
	round->seed = seed;
	round->profile = d.profile->name;
	round->no_random = d.no_random;
	round->left_out = NULL;
	draw_limits(&d, round);
	memcpy(d.weight, d.profile->weight, sizeof(d.weight));
	/* Whoever asks for processes gets them, of whatever profile; some rounds of each have threads. */
	if (processes > 1 && !d.weight[MAKE_FORK]) {
		d.weight[MAKE_FORK] = 25;
		d.weight[MAKE_EXIT] = 15;
	}
	if (!d.weight[MAKE_THREAD] && processes != 1 && one_in(&d, 6)) {
		d.processes = d.processes < 3 ? 3 : d.processes;
		d.weight[MAKE_THREAD] = 15;
		d.weight[MAKE_EXIT] += 8;
	}
	for (i = 0; i < NR_MAKES; i++)
		total += d.weight[i];
	round->nr_steps = d.profile->steps / 2 + (unsigned)below(&d, d.profile->steps / 2);
	for (i = 0; i < round->nr_steps; i++) {
		struct step *s = &round->steps[i];
		enum make what = choose_make(&d, total);

		choose_process(&d);
		*s = (struct step){ .kind = STEP_CALL, .process = d.process, .slot_arg = STEP_NO_SLOT,
				    .into_slot = STEP_NO_SLOT };
		if (what == MAKE_FORK && d.processes > 1)
			make_player(&d, s, STEP_FORK);
		else if (what == MAKE_THREAD && d.processes > 1)
			make_player(&d, s, STEP_THREAD);
		else if (what == MAKE_EXIT && d.processes > 1)
			make_exit(&d, s);
		else
			make(&d, s, what == MAKE_FORK || what == MAKE_THREAD || what == MAKE_EXIT ? MAKE_STORE : what);
		if (is_worth_a_second_look(s) && i + 1 < round->nr_steps && one_in(&d, 2)) {
			make_second_look(&d, s + 1, s);
			i++;
		}
	}
}

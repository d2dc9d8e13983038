/* SPDX-License-Identifier: MIT */
/*
 * The judge's random steps: which call or access comes next, with which arguments. Made from the
 * round's number alone; nothing here knows what became of the steps before, but for slots, which an argument
 * may be relative to.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "judge.h"

static uint64_t random_state;

void random_begin(uint64_t seed)
{
	random_state = seed * 0x2545f4914f6cdd1dull;
}

static uint64_t rnd(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t below(uint64_t n)
{
	return rnd() % n;
}

bool one_in(uint64_t n)
{
	return below(n) == 0;
}

static uint64_t any_address(void)
{
	switch (below(40)) {
	case 0:
		return 0;
	case 1:
		return WINDOW_START + below(WINDOW_PAGES) * PAGE + below(PAGE);
	case 2:
		return 0x7ffffffff000ull - below(3) * PAGE;
	case 3:
		return ~0ull - below(3) * PAGE;
	case 4:
		return below(40) * PAGE;
	default:
		return WINDOW_START + below(WINDOW_PAGES) * PAGE;
	}
}

static uint64_t any_length(void)
{
	switch (below(40)) {
	case 0:
		return 0;
	case 1:
		return below(WINDOW_PAGES * PAGE);
	case 2:
		return ~0ull - below(2 * PAGE);
	case 3:
		return 1ull << (30 + below(18));
	default:
		return (1 + below(one_in(4) ? WINDOW_PAGES : 5)) * PAGE;
	}
}

static uint64_t any_prot(void)
{
	static const uint8_t common[] = { 3, 3, 3, 1, 1, 0, 5, 7, 2, 4, 6 };

	if (one_in(60))
		return rnd() & 0x0300000full;
	return common[below(sizeof(common))];
}

/* Aims an address argument at an earlier result now and then. */
static void aim(struct step *s, int arg)
{
	if (!one_in(6))
		return;
	s->slot_arg = arg;
	s->slot = (int)below(NR_SLOTS);
	s->arg[arg] = below(4) * PAGE;
}

static void make_mmap(struct step *s)
{
	uint64_t flags;

	s->nr = SYS_mmap;
	s->arg[0] = any_address();
	s->arg[1] = any_length();
	s->arg[2] = any_prot();
	flags = one_in(3) ? MAP_SHARED : MAP_PRIVATE;
	if (one_in(50))
		flags = below(16);
	s->arg[4] = ~0ull;
	if (one_in(3)) {
		s->arg[4] = FILE_FD + below(NR_FILES);
		s->arg[5] = below(FILE_PAGES) * PAGE;
		if (one_in(40))
			s->arg[5] = rnd() >> below(64);
	} else {
		flags |= MAP_ANONYMOUS;
	}
	if (!one_in(4))
		flags |= MAP_FIXED;
	else if (one_in(2))
		flags |= MAP_FIXED_NOREPLACE;
	else if (one_in(2))
		s->arg[0] = 0;
	if (one_in(12))
		flags |= MAP_NORESERVE;
	if (one_in(14))
		flags |= MAP_GROWSDOWN;
	if (one_in(14))
		flags |= MAP_STACK;
	if (one_in(14))
		flags |= MAP_LOCKED;
	if (one_in(14))
		flags |= MAP_POPULATE;
	if (one_in(30))
		flags |= MAP_DENYWRITE | MAP_EXECUTABLE;
	if (one_in(60))
		flags |= 1ull << below(27);
	/* No pool of huge pages is modelled; MAP_32BIT starts at a random place for most. */
	flags &= ~(uint64_t)(MAP_HUGETLB | MAP_32BIT);
	if (no_random && one_in(10))
		flags |= MAP_32BIT;
	/*
	 * Shared memory that overcommit refuses: Linux has taken away by then what MAP_FIXED was to
	 * replace, Quire has changed nothing (docs/conformance.md).
	 */
	if ((flags & MAP_ANONYMOUS) && (flags & MAP_SHARED) && s->arg[1] > 1ull << 33)
		s->arg[1] = PAGE;
	/* That this is no memory that survives a crash, ext4 says at a private mapping too. */
	if (s->arg[4] == FILE_FD + DISK_FILE)
		flags &= ~(uint64_t)MAP_SYNC;
	/* Nor may a round fill the host's memory. */
	if (s->arg[1] > 64 * PAGE)
		flags &= ~(uint64_t)MAP_POPULATE;
	s->arg[3] = flags;
	s->into_slot = (int)below(NR_SLOTS);
}

void make_step(struct step *s)
{
	static const int advices[] = { 0, 1, 2, 3, 4, 4, 4, 8, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
				       21, 22, 23, 24, 102, 102, 103, 103, 5, 99 };
	uint64_t pick = below(100);

	memset(s, 0, sizeof(*s));
	s->slot_arg = s->into_slot = -1;
	s->command = CMD_CALL;
	if (pick < 22) {
		make_mmap(s);
	} else if (pick < 34) {
		s->nr = SYS_munmap;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		if (s->arg[1] > WINDOW_PAGES * PAGE && s->arg[1] < 1ull << 47)
			s->arg[1] = PAGE;
		aim(s, 0);
	} else if (pick < 48) {
		s->nr = SYS_mprotect;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = any_prot();
		aim(s, 0);
	} else if (pick < 58) {
		s->nr = SYS_mremap;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = one_in(2) ? s->arg[1] : any_length();
		s->arg[3] = one_in(20) ? below(16) : (uint64_t[]){ 0, 1, 1, 3, 3, 5, 7 }[below(7)];
		s->arg[4] = any_address();
		aim(s, 0);
		s->into_slot = (int)below(NR_SLOTS);
	} else if (pick < 68) {
		s->nr = SYS_madvise;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = (uint64_t)advices[below(sizeof(advices) / sizeof(advices[0]))];
		/* These fill the tables: a round may not fill the host. */
		if ((s->arg[2] == 22 || s->arg[2] == 23 || s->arg[2] == 102) && s->arg[1] < 1ull << 60)
			s->arg[1] %= 64 * PAGE;
		aim(s, 0);
	} else if (pick < 73) {
		s->nr = (int64_t[]){ SYS_mlock, SYS_munlock, SYS_mlock2, SYS_msync, SYS_munlock }[below(5)];
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = s->nr == SYS_msync ? (uint64_t[]){ 1, 4, 2, 6, 0, 5 }[below(6)] : below(3);
		aim(s, 0);
	} else if (pick < 74) {
		s->nr = one_in(2) ? SYS_munlockall : SYS_mlockall;
		s->arg[0] = below(9);
	} else if (pick < 75) {
		s->nr = SYS_brk;
		s->arg[0] = one_in(4) ? any_address() : (below(32) * PAGE + below(3));
		s->slot_arg = s->arg[0] < 64 * PAGE ? SLOT_BREAK : -1;
	} else if (pick < 76 && one_in(4)) {
		s->nr = SYS_MSEAL;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = one_in(10);
	} else if (pick < 77) {
		s->nr = SYS_remap_file_pages;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = one_in(10) ? any_prot() : 0;
		s->arg[3] = below(FILE_PAGES);
		s->arg[4] = one_in(10) ? rnd() & 0x1ffff : 0;
		aim(s, 0);
	} else if (pick < 78) {
		s->nr = SYS_ftruncate;
		s->arg[0] = FILE_FD + (uint64_t[]){ 0, 1, DISK_FILE }[below(3)];
		s->arg[1] = one_in(3) ? below(FILE_PAGES) * PAGE : below(FILE_PAGES * PAGE);
	} else if (pick < 79) {
		s->nr = SYS_mincore;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = CHANNEL_ADDRESS + offsetof(struct channel, vec);
		/* More than there is room for is asked for only where the answer is an error. */
		if (s->arg[1] > VEC_PAGES * PAGE && s->arg[1] < 1ull << 47)
			s->arg[1] = PAGE;
		aim(s, 0);
	} else if (pick < 92) {
		s->command = CMD_STORE;
		s->arg[0] = any_address();
		s->arg[1] = 1 + below(255);
		aim(s, 0);
		/* The first byte of a page may be executed: it is a return instruction or was never written. */
		if (s->arg[0] % PAGE == 0 && one_in(2))
			s->arg[0] += 1 + below(PAGE - 1);
		else if (s->arg[0] % PAGE == 0)
			s->arg[1] = 0xc3;
	} else if (pick < 98) {
		s->command = CMD_LOAD;
		s->arg[0] = any_address();
		s->arg[1] = one_in(2) ? 1 : 1 + below(3 * PAGE);
		aim(s, 0);
	} else {
		s->command = CMD_EXECUTE;
		s->arg[0] = any_address() & ~(PAGE - 1);
	}
}

const char *call_name(const struct step *s)
{
	switch (s->command) {
	case CMD_LOAD: return "load";
	case CMD_STORE: return "store";
	case CMD_EXECUTE: return "execute";
	default: break;
	}
	switch (s->nr) {
	case SYS_mmap: return "mmap";
	case SYS_munmap: return "munmap";
	case SYS_mprotect: return "mprotect";
	case SYS_mremap: return "mremap";
	case SYS_madvise: return "madvise";
	case SYS_mlock: return "mlock";
	case SYS_mlock2: return "mlock2";
	case SYS_munlock: return "munlock";
	case SYS_mlockall: return "mlockall";
	case SYS_munlockall: return "munlockall";
	case SYS_msync: return "msync";
	case SYS_brk: return "brk";
	case SYS_ftruncate: return "ftruncate";
	case SYS_mincore: return "mincore";
	case SYS_remap_file_pages: return "remap_file_pages";
	case SYS_MSEAL: return "mseal";
	}
	return "?";
}

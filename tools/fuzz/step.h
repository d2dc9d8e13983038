/* SPDX-License-Identifier: MIT */
/*
 * What `quire fuzz` plays: steps and rounds. A round is made from a number (generate.c), from the
 * text of a case (case.c) or by leaving things out of another (minimize.c); it is played on
 * the running Linux and on the simulated machine alike (play.c), and printed as a C program (csource.c).
 */
#ifndef TOOLS_FUZZ_STEP_H
#define TOOLS_FUZZ_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STEP_MAX_PROCESSES 8 /* players: processes and their threads */
#define STEP_MAX_SLOTS 8
#define STEP_MAX 1024 /* steps of a round */

/* Where a round plays. Arguments hold absolute addresses; a case writes them relative to these. */
#define STEP_PAGE 4096ull
#define STEP_WINDOW 0x100000000000ull /* a few pages, so that areas meet */
#define STEP_WINDOW_PAGES 24
#define STEP_LOW 0x40000000ull        /* where MAP_32BIT finds places, in a round without randomness */
#define STEP_TASK_END 0x7ffffffff000ull
#define STEP_VEC 0x600000000800ull    /* mincore() as arg[2]: the player's own buffer, of STEP_VEC_PAGES bytes */
#define STEP_VEC_PAGES 64

/*
 * Files that are there when a round begins; descriptor STEP_FD + n is file n in every process. Page j of
 * file n, up to STEP_FILE_BYTES, holds a return instruction (0xc3) and then the byte 0x10 * n + j + 1.
 */
#define STEP_FD 101
enum step_file {
	STEP_FILE_TMPFS,
	STEP_FILE_AGAIN,          /* STEP_FILE_TMPFS opened a second time: same bytes, another descriptor */
	STEP_FILE_READ_ONLY,      /* a tmpfs file opened for reading */
	STEP_FILE_DISK,
	STEP_FILE_DISK_READ_ONLY, /* STEP_FILE_DISK opened for reading */
	STEP_FILE_WRITE_ONLY,     /* a tmpfs file opened for writing: cannot be mapped */
	STEP_FILE_MEMFD,
	STEP_NR_FILES
};
#define STEP_FILE_PAGES 6
#define STEP_FILE_BYTES ((STEP_FILE_PAGES - 2) * STEP_PAGE + 100)

/* SysV segments that are there when a round begins, empty; shmat() as arg[0]: its number, not its identifier. */
#define STEP_NR_SEGMENTS 2
#define STEP_SEGMENT_PAGES 4

/*
 * process_vm_readv() and process_vm_writev(): arg[0] a process or thread, arg[1] and [2] address and length of one range there,
 * arg[3] and [4] another, arg[5] the flags. Here there is one buffer for both, of the player's own memory; what is longer is
 * cut. Written are bytes that begin with a return instruction.
 */
#define STEP_TRANSFER_BYTES (8 * STEP_PAGE)

enum step_kind {
	STEP_CALL,    /* a system call */
	STEP_LOAD,    /* arg[0] address, arg[1] bytes: what they add up to */
	STEP_STORE,   /* arg[0] address, arg[1] the byte */
	STEP_EXECUTE, /* arg[0] address of a return instruction; at a page's end also of one of two bytes */
	STEP_FORK,    /* process makes process arg[0], which is not there */
	STEP_EXIT,    /* process ends, with its threads; a thread by itself; never process 0 */
	STEP_WRITE,   /* write() into a file: arg[0] file, arg[1] offset, arg[2] bytes, arg[3] the byte */
	STEP_THREAD,  /* process makes arg[0], which is not there, a thread that shares its space */
	/* Stores of one instruction: arg[0] address, arg[1] bytes (1, 2, 4, 8), arg[2] what. One that fails has changed nothing. */
	STEP_STORE_WORD,
	/* One byte after the other, until one fails: arg[0] address, arg[1] bytes, what is longer is cut, arg[2] the byte. */
	STEP_STORE_RUN,
	STEP_NR_KINDS
};

#define STEP_MAX_RUN (2 * STEP_PAGE)

static inline bool step_is_access(unsigned kind)
{
	return kind == STEP_LOAD || kind == STEP_STORE || kind == STEP_EXECUTE || kind == STEP_STORE_WORD || kind == STEP_STORE_RUN;
}

/* Bytes that an access with these arguments reads or writes, if nothing fails. */
static inline uint64_t step_access_bytes(unsigned kind, const uint64_t *arg)
{
	switch (kind) {
	case STEP_LOAD:
		return arg[1];
	case STEP_STORE_WORD:
		return arg[1] == 1 || arg[1] == 2 || arg[1] == 4 ? arg[1] : 8;
	case STEP_STORE_RUN:
		return arg[1] < STEP_MAX_RUN ? arg[1] : STEP_MAX_RUN;
	default:
		return 1;
	}
}

/* What an address argument is relative to, besides a slot. */
#define STEP_NO_SLOT (-1)
#define STEP_BREAK STEP_MAX_SLOTS /* the first break */

/* What a case says that a step does; a generated step says nothing. */
enum step_expect {
	STEP_EXPECT_NOTHING,
	STEP_EXPECT_RESULT, /* expected: the result, or a negative errno */
	STEP_EXPECT_SIGNAL, /* expected: number << 32 | si_code */
};

struct step {
	uint8_t kind;    /* enum step_kind */
	uint8_t process; /* who makes it, a process or a thread; a step of one that is not there is not made */
	int16_t nr;      /* STEP_CALL: system call number, x86-64's */
	int8_t slot_arg; /* index of the argument that is relative to slot; STEP_NO_SLOT */
	int8_t slot;     /* 0..STEP_MAX_SLOTS - 1, or STEP_BREAK */
	int8_t into_slot; /* the result, if it is none of errors, goes there; STEP_NO_SLOT */
	uint8_t expect;   /* enum step_expect */
	int64_t expected;
	uint64_t arg[6];
};

/* Where an access goes, just before it is made. */
enum step_area {
	STEP_AREA_NONE,
	STEP_AREA_BELOW_STACK, /* nothing there, but the next area above grows down */
	STEP_AREA_PRIVATE,     /* anonymous memory */
	STEP_AREA_STACK,       /* the same, growing down */
	STEP_AREA_SHARED,      /* shared anonymous memory */
	STEP_AREA_TMPFS_PRIVATE,
	STEP_AREA_TMPFS_SHARED, /* and memfd */
	STEP_AREA_DISK_PRIVATE,
	STEP_AREA_DISK_SHARED,
	STEP_AREA_SEGMENT,
	STEP_AREA_BEYOND_END,  /* a file's area, behind the file's last page */
	STEP_AREA_GUARD,       /* MADV_GUARD_INSTALL */
	STEP_NR_AREAS
};

/* What a step gave on one side. */
struct answer {
	uint8_t area;        /* of an access; enum step_area; noted on Quire's side alone */
	bool made;           /* false: left out, or its process is not there */
	int64_t result;      /* of a call or of write(), a negative errno if it failed; what loaded bytes add up to */
	int32_t signo, code; /* of the signal that an access raised; 0: none */
	uint64_t address;    /* its si_addr */
};

#define STEP_OVERCOMMIT_HOSTS 0
#define STEP_STRICT_KBYTES (288ull << 30) /* vm.overcommit_kbytes: 288 TiB, of which four times 64 leave 32 */

struct round {
	uint64_t seed;       /* that it was made from; 0: from a text */
	const char *profile; /* name of the generator's profile */
	/* Bytes; ~0: none. as and data: beyond what process 0 has when the round begins (VmSize, VmData of its status). */
	uint64_t limit_as, limit_data, limit_stack, limit_memlock;
	uint64_t limit_maps; /* areas that process 0 may have beyond those that it has when the round begins (max_map_count); ~0: no limit */
	uint8_t overcommit;  /* vm.overcommit_memory, 1 or 2, the latter with STEP_STRICT_KBYTES; STEP_OVERCOMMIT_HOSTS: as it is */
	bool no_random;      /* personality(ADDR_NO_RANDOMIZE) */
	unsigned nr_steps;
	struct step *steps;
	bool *left_out;      /* nr_steps of them; NULL: none */
};

#endif

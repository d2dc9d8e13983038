/* SPDX-License-Identifier: MIT */
/*
 * What the host's side of the player and its processes share: the round goes down, what each step gave comes up. The
 * processes run ahead without asking; who makes the next step stands in `next`.
 */
#ifndef TOOLS_FUZZ_CHANNEL_H
#define TOOLS_FUZZ_CHANNEL_H

#include "step.h"

#define CHANNEL_ADDRESS 0x600000000000ull /* in the processes */
#define CHANNEL_FD 100                    /* the memory's memfd */
#define CHANNEL_VEC_OFFSET (STEP_VEC - CHANNEL_ADDRESS)

#define CHANNEL_MAX_STEPS 2048 /* with those that look at everything after a round */
#define CHANNEL_TEXT_BYTES (12u << 20)
#define CHANNEL_MAX_READ 131072u /* no text of /proc is longer */

/* What a load adds up to: as many whole words as lie between the first and the last aligned address, bytes before and after. */
#define LOOK_FACTOR 0x100000001b3ull

/* plan[] */
#define PLAN_MADE 0x1u   /* the step is made */
#define PLAN_MAPS 0x2u   /* and maps is read after it */
#define PLAN_SAMPLE 0x4u /* and smaps, status and mincore */
#define PLAN_THREAD 0x8u /* a thread exits, and nothing but it */

/* Our side, for what mincore() says of a page: it cannot be compared. */
#define CORE_UNKNOWN 0xfe

#define LEAKED_UNKNOWN (~0ull)

/* In next: the new process or thread of the step is there; the turn is still its maker's. */
#define CHANNEL_BORN 0x80000000u

/* A text, in channel.text. */
struct span {
	uint32_t at, len;
};

struct sample {
	struct span smaps, status;
	uint64_t leaked_lock;         /* our side: bytes that Linux counts as locked and are not; LEAKED_UNKNOWN */
	uint8_t disk_rule, paged_out, allocated; /* our side: as player's */
	uint8_t core[STEP_VEC_PAGES]; /* what mincore() says of the window's pages; 0xff: an error */
};

struct record {
	int64_t result;
	int32_t signo, code;
	uint64_t address;
	struct span maps;     /* of who made the step */
	struct span born;     /* STEP_FORK: maps of the new process */
	uint8_t area;         /* our side: of an access, enum step_area */
	uint32_t sample;      /* PLAN_SAMPLE: which of samples[] */
	uint8_t vec[STEP_VEC_PAGES]; /* mincore(): what it gave */
	uint64_t read;               /* process_vm_readv(): what is in the buffer then, as a load of it;
				      * STEP_STORE_RUN: bytes that were stored */
};

#define CHANNEL_MAX_SAMPLES 128

enum channel_state { CHANNEL_IDLE, CHANNEL_READY, CHANNEL_GO, CHANNEL_TEXT_FULL, CHANNEL_BROKEN };

/* In the order of channel.limit[]. */
#define CHANNEL_LIMITS { RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_MEMLOCK }
#define CHANNEL_NR_LIMITS 4

struct channel {
	uint32_t state; /* enum channel_state; futex */
	uint32_t next;  /* the step that is to be made; futex */
	uint32_t nr_steps;
	uint32_t text_used;
	uint32_t nr_samples;
	int32_t pid[STEP_MAX_PROCESSES]; /* 0: not there, or a thread */
	uint64_t slot[STEP_MAX_SLOTS + 1];     /* the last one is the first break */
	uint64_t limit[CHANNEL_NR_LIMITS];     /* bytes; ~0: as it is. Never more than it is */
	int32_t segment[STEP_NR_SEGMENTS];     /* SysV identifiers */
	uint64_t first_map;                    /* where process 0 finds a place for a page at first */
	uint64_t pad_start;                    /* where process 0 makes nr_pads areas before it begins */
	uint64_t nr_pads;                      /* so many that few more are allowed; neither they nor what is behind them is in a text */
	uint64_t buffer;                       /* where the processes have STEP_TRANSFER_BYTES for themselves */
	unsigned char vec[STEP_VEC_PAGES] __attribute__((aligned(CHANNEL_VEC_OFFSET))); /* at STEP_VEC */
	struct step step[CHANNEL_MAX_STEPS];
	uint8_t plan[CHANNEL_MAX_STEPS];
	struct record record[CHANNEL_MAX_STEPS];
	struct sample samples[CHANNEL_MAX_SAMPLES];
	char text[CHANNEL_TEXT_BYTES];
};

struct step_range {
	uint64_t base, len;
};

/* The ranges that a transfer asks for: how long the buffer is then. */
static inline uint64_t transfer_ranges(const uint64_t *a, struct step_range ranges[2])
{
	uint64_t total = 0;
	unsigned i;

	for (i = 0; i < 2; i++) {
		ranges[i] = (struct step_range){ a[1 + 2 * i], a[2 + 2 * i] };
		/* Beyond what a length may be: refused. */
		if (ranges[i].len >> 63)
			continue;
		if (ranges[i].len > STEP_TRANSFER_BYTES - total)
			ranges[i].len = STEP_TRANSFER_BYTES - total;
		total += ranges[i].len;
	}
	return total;
}

/* What is in the buffer before. */
static inline unsigned char transfer_byte(bool write, uint64_t i)
{
	return write ? (unsigned char)(0xc3 + i % 251) : 0;
}

_Static_assert(offsetof(struct channel, vec) == CHANNEL_VEC_OFFSET, "mincore() writes there");

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the judge and its child process share: one page through which a command goes down and its
 * answer comes up. The child is a static program of its own, so that its address space is small,
 * and fresh after each exec.
 */
#ifndef TESTS_LINUX_CHILD_H
#define TESTS_LINUX_CHILD_H

#include <stdint.h>

#define CHANNEL_ADDRESS 0x600000000000ull /* where the child maps the page */
#define CHANNEL_FD 100                    /* the page's memfd in the child */
#define FILE_FD 101                       /* first of the files that calls may map */
#define NR_FILES 4
#define VEC_PAGES 64 /* mincore() answers for no more */
#define LOOK_FACTOR 0x100000001b3ull

enum command { CMD_IDLE, CMD_CALL, CMD_LOAD, CMD_STORE, CMD_EXECUTE, CMD_QUIT };

struct channel {
	uint32_t turn;    /* 0: the judge's, 1: the child's; futex */
	uint32_t command; /* enum command */
	int64_t nr;       /* CMD_CALL: system call number */
	uint64_t arg[6];  /* CMD_CALL; else [0] address, [1] value to store or bytes to load */
	int64_t result;   /* of the call, as the kernel returned it; what the bytes loaded add up to */
	int32_t signo, code; /* signal that an access raised; 0: none */
	uint64_t address;    /* its si_addr */
	int32_t ready;
	unsigned char vec[VEC_PAGES]; /* for mincore() */
};

#endif

/* SPDX-License-Identifier: MIT */
/* In what the running Linux differs from others of its version, for those who compare with it: the tool and the tests. */
#ifndef QUIRE_TOOLS_HOST_H
#define QUIRE_TOOLS_HOST_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Does reading private anonymous memory give a page of one's own at once, instead of the page of zeroes? Some hosts of
 * virtual machines run such a Linux. Source: proc_pid_pagemap(5): bit 63 present, bit 56 mapped by nobody else, which
 * the page of zeroes never has.
 */
static inline bool host_forbids_zeropage(void)
{
	const size_t bytes = 4096;
	volatile const char *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;
	bool own = false;

	if ((const void *)p != MAP_FAILED) {
		(void)p[0];
		own = fd >= 0 && pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / bytes * sizeof(entry))) == sizeof(entry) &&
		      (entry >> 63 & 1) && (entry >> 56 & 1);
		munmap((void *)(uintptr_t)p, bytes);
	}
	if (fd >= 0)
		close(fd);
	return own;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * A file system for tests: one file whose disk is an array, which counts what it is asked for and
 * fails where it is told to.
 */
#ifndef QUIRE_TESTS_DISK_H
#define QUIRE_TESTS_DISK_H

#include <quire/quire.h>

#define DISK_PAGES 64u

struct disk {
	struct quire_object object;
	struct quire_file file; /* holds a reference on the object; readable and writable */
	struct quire_mutex lock;   /* bytes, against calls for other pages at the same time */
	unsigned char *bytes;	/* DISK_PAGES pages; what lies behind them reads as zeroes */
	uint32_t reads, writes, mkwrites, holes, releases; /* calls; atomic */
	uint64_t fail_read, fail_write, fail_mkwrite;	   /* page for which it fails with EIO;
						       * UINT64_MAX: none */
	uint64_t hole_start, hole_end;			   /* the last one */
	/* called by each, before it does anything; may be NULL */
	void (*in_read)(struct disk *d, struct quire_page *page);
	void (*in_write)(struct disk *d, struct quire_page *page);
	void (*in_hole)(struct disk *d);
	bool unmapped_meanwhile;  /* set by a test that unmaps pages while they are written back:
				   * then they may get their mark again at any time, see object.h */
	bool dirty_while_written; /* else: a page had its mark when write_page was called */
	bool unlocked;		  /* a call came for a page that was not locked, or was up to
				    * date already */
};

/* The byte at pos of a fresh disk: never 0, different from page to page. */
unsigned char disk_byte(uint64_t pos);

/*
 * A file of size bytes on a fresh disk. Its object has two references: the file's and the
 * test's.
 */
struct disk *disk_new(struct quire *q, uint64_t size);

/* Drops both. NULL, or what is wrong: an equation, a forbidden call, a reference left. */
quire_broken_t disk_delete(struct disk *d);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the tests of /proc's texts share: a sink that keeps a text and can refuse to, and how a
 * program finds a number in one.
 */
#ifndef QUIRE_TESTS_PROC_H
#define QUIRE_TESTS_PROC_H

#include <stdio.h>
#include <stdlib.h>

#include "disk.h"
#include "space.h"

struct paper {
	struct quire_sink sink;
	char text[1 << 16]; /* terminated */
	size_t len;
	size_t full; /* from this length on it refuses; 0: never */
	int refusal;
	unsigned calls_after_refusal;
};

static inline int paper_emit(struct quire_sink *sink, const char *text, size_t len)
{
	struct paper *p = quire_container_of(sink, struct paper, sink);

	if (p->full && p->len >= p->full) {
		p->calls_after_refusal++;
		return p->refusal;
	}
	assert_true(p->len + len < sizeof(p->text));
	memcpy(p->text + p->len, text, len);
	p->len += len;
	p->text[p->len] = 0;
	return p->full && p->len >= p->full ? p->refusal : 0;
}

static struct paper paper;

static inline struct quire_sink *blank(void)
{
	memset(&paper, 0, sizeof(paper));
	paper.sink.emit = paper_emit;
	return &paper.sink;
}

static inline const char *maps(struct quire_mm *mm)
{
	assert_int_equal(quire_proc_maps(mm, blank()), 0);
	return paper.text;
}

static inline const char *smaps(struct quire_mm *mm)
{
	assert_int_equal(quire_proc_smaps(mm, blank()), 0);
	return paper.text;
}

static inline const char *meminfo(void)
{
	assert_int_equal(quire_proc_meminfo(space.q, blank()), 0);
	return paper.text;
}

static inline const char *zoneinfo(void)
{
	assert_int_equal(quire_proc_zoneinfo(space.q, blank()), 0);
	return paper.text;
}

/* The number behind "name:" at the start of a line. */
static inline unsigned long long field(const char *text, const char *name)
{
	size_t len = strlen(name);
	unsigned long long value;

	for (; text; text = strchr(text, '\n'), text = text ? text + 1 : NULL) {
		if (strncmp(text, name, len) || text[len] != ':')
			continue;
		assert_int_equal(sscanf(text + len + 1, "%llu", &value), 1);
		return value;
	}
	fail_msg("there is no %s", name);
	return 0;
}

/* The next line without its newline, into line; what follows it. NULL at the end. */
static inline const char *next_line(const char *text, char *line, size_t size)
{
	const char *end = strchr(text, '\n');

	if (!*text)
		return NULL;
	assert_non_null(end);
	assert_true((size_t)(end - text) < size);
	memcpy(line, text, (size_t)(end - text));
	line[end - text] = 0;
	return end + 1;
}

static inline uint64_t map_anon(struct quire_mm *mm, uint64_t addr, uint64_t npages, uint32_t type)
{
	assert_int_equal(quire_mmap(mm, addr, npages * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				    type | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0),
			 (int64_t)addr);
	return addr;
}

/* An area's file is put when the area is freed, after a grace period. */
static inline void drop_file(struct disk *d, uint64_t addr, uint64_t npages)
{
	assert_int_equal(quire_munmap(space.mm, addr, npages * PAGE), 0);
	quire_grace_wait(space.q);
	assert_null(disk_delete(d));
}

/* ---- The running Linux ------------------------------------------------------------------- */

static char linux_text[1 << 20];

static inline const char *read_linux(const char *path)
{
	FILE *f = fopen(path, "r");
	size_t len;

	if (!f)
		return NULL;
	len = fread(linux_text, 1, sizeof(linux_text) - 1, f);
	linux_text[len] = 0;
	fclose(f);
	return linux_text;
}

#define KB(npages) ((npages) * (QUIRE_PAGE_SIZE / 1024ull))

#endif

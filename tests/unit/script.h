/* SPDX-License-Identifier: MIT */
/*
 * Address-space calls as one line of text, so that the same case can be put to Quire and to Linux, and a
 * picture of the areas that come out.
 *
 *	"m 0 4 rw; w 1; p 1 2 r"    map 4 pages at page 0, write to page 1, mprotect pages 1 and 2
 *	"0-1 rw-p, 1-3 r--p, 3-4 rw-p"
 *
 * Numbers are pages from the start of a window of SCRIPT_PAGES; ranges are start and length.
 *
 *	m start n prot          mmap, private anonymous, fixed
 *	s start n prot          mmap, shared anonymous, fixed
 *	f start n prot off      mmap, private, of the file (SCRIPT_FILE_PAGES long, opened for reading and writing)
 *	F start n prot off      mmap, shared, of the file
 *	g start n prot          mmap, private anonymous growing down, fixed
 *	u start n               munmap
 *	p start n prot          mprotect
 *	a start n advice        madvise
 *	v start n to            mremap, moving, fixed
 *	e start n to            mremap in place: n pages become to pages
 *	l start n               mlock (L: munlock)
 *	w page                  store a byte    (r: load one)
 *	k                       fork, go on in the child  (K: in the parent; x: in the parent, after the child exited)
 *
 * prot is some of "rwx", or "n" for none. A call that fails is written down as an errno in front of the picture,
 * an access that fails as the signal's number: "!12 0-4 rw-p".
 */
#ifndef QUIRE_TESTS_SCRIPT_H
#define QUIRE_TESTS_SCRIPT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SCRIPT_BASE 0x40000000ull
#define SCRIPT_PAGES 64
#define SCRIPT_FILE_PAGES 64
#define SCRIPT_TEXT 1024

struct script_op {
	char what;
	uint64_t start, n, arg;
	int prot; /* 1 r, 2 w, 4 x: Linux's numbers */
};

/* The next operation of *text, which moves on; 0 at the end, -1 for what is no operation. */
static inline int script_next(const char **text, struct script_op *op)
{
	const char *p = *text;
	char prot[8] = "";
	int used = 0, n = 0;
	unsigned long long a = 0, b = 0, c = 0;

	while (*p == ' ' || *p == ';')
		p++;
	if (!*p)
		return 0;
	memset(op, 0, sizeof(*op));
	op->what = *p++;
	switch (op->what) {
	case 'm':
	case 's':
	case 'g':
	case 'p':
		n = sscanf(p, "%llu %llu %7[nrwx]%n", &a, &b, prot, &used) == 3;
		break;
	case 'f':
	case 'F':
		n = sscanf(p, "%llu %llu %7[nrwx] %llu%n", &a, &b, prot, &c, &used) == 4;
		break;
	case 'u':
	case 'l':
	case 'L':
		n = sscanf(p, "%llu %llu%n", &a, &b, &used) == 2;
		break;
	case 'a':
	case 'v':
	case 'e':
		n = sscanf(p, "%llu %llu %llu%n", &a, &b, &c, &used) == 3;
		break;
	case 'w':
	case 'r':
		n = sscanf(p, "%llu%n", &a, &used) == 1;
		break;
	case 'k':
	case 'K':
	case 'x':
		n = 1;
		break;
	}
	if (!n)
		return -1;
	op->start = a;
	op->n = b;
	op->arg = c;
	for (const char *q = prot; *q; q++)
		op->prot |= *q == 'r' ? 1 : *q == 'w' ? 2 : *q == 'x' ? 4 : 0;
	*text = p + used;
	return 1;
}

/* The running Linux's, unless who includes this has others. */
#ifndef SCRIPT_PAGE_SIZE
#define SCRIPT_PAGE_SIZE 4096
#endif

/* One more area for a picture. */
static inline void script_picture_add(char *picture, uint64_t start, uint64_t end, const char *perms)
{
	size_t len = strlen(picture);

	snprintf(picture + len, SCRIPT_TEXT - len, "%s%llu-%llu %s", len && picture[len - 1] != ' ' ? ", " : "",
		 (unsigned long long)(start - SCRIPT_BASE) / SCRIPT_PAGE_SIZE,
		 (unsigned long long)(end - SCRIPT_BASE) / SCRIPT_PAGE_SIZE,
		 perms);
}

/* One error more, before any area. */
static inline void script_picture_error(char *picture, int err)
{
	size_t len = strlen(picture);

	snprintf(picture + len, SCRIPT_TEXT - len, "!%d ", err);
}

#endif

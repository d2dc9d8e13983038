/* SPDX-License-Identifier: MIT */
/*
 * Bytes as the archive that the reference kernel gets its first files from, gzip'd perhaps. Whatever they are, nothing
 * beyond them is looked at, and what is made of them has a name, and content that lies in them.
 */
#include <string.h>

#include "fuzz.h"

#include "fs/cpio.c"
#include "fs/inflate.c"

#define MOST_NAMES 64
#define MOST_BYTES (1u << 24) /* that somebody may ask for at once */

static char *name[MOST_NAMES]; /* of what has been made */
static uint32_t mode_of[MOST_NAMES];
static unsigned nr_names;
static uint64_t looked_at; /* by whoever writes it somewhere */

struct quire kernel_quire;

/* ---- The kernel, as far as the reader knows it ---------------------------------------------- */

void *quire_kmalloc(struct quire *q, size_t size, quire_gfp_t gfp)
{
	(void)q;
	return gfp & QUIRE_GFP_ZERO ? calloc(1, size) : malloc(size);
}

void quire_kfree(struct quire *q, void *p)
{
	(void)q;
	free(p);
}

void *quire_vmalloc(struct quire *q, uint64_t size)
{
	(void)q;
	return size > MOST_BYTES ? NULL : malloc(size);
}

void quire_vfree(struct quire *q, const void *p)
{
	(void)q;
	free((void *)(uintptr_t)p);
}

void printk(const char *format, ...)
{
	looked_at += strlen(format);
}

char *kstrdup(const char *s)
{
	return strdup(s);
}

static void check_path(const char *path)
{
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		fuzz_fail("a path of %zu bytes that begins with %#x", strlen(path), path[0]);
}

static unsigned find(const char *path)
{
	unsigned i;

	check_path(path);
	for (i = 0; i < nr_names && strcmp(name[i], path) != 0; i++)
		;
	return i;
}

static int make(const char *path, uint32_t mode)
{
	if (find(path) < nr_names)
		return -EEXIST;
	if (nr_names == MOST_NAMES)
		return -ENOSPC;
	name[nr_names] = strdup(path);
	mode_of[nr_names++] = mode;
	return 0;
}

int fs_create(struct inode *base, const char *path, uint32_t mode, uint64_t rdev,
	      const char *target)
{
	if (base || ((mode & S_IFMT) == S_IFLNK) != (target != NULL))
		fuzz_fail("%s: mode %#o, target %p", path, mode, (const void *)target);
	if (target)
		looked_at += strlen(target);
	looked_at += rdev;
	return make(path, mode);
}

int fs_link(struct inode *from_base, const char *from, struct inode *base, const char *path,
	    bool follow)
{
	unsigned i = find(from);

	if (from_base || base || follow || i == nr_names)
		fuzz_fail("a link to %s, which nobody has made", from);
	return make(path, mode_of[i]);
}

int path_lookup(struct inode *base, const char *path, unsigned flags, struct inode **inode)
{
	if (base || flags != LOOKUP_NOFOLLOW || find(path) == nr_names)
		fuzz_fail("%s is looked for, and nobody has made it", path);
	*inode = calloc(1, sizeof(**inode));
	return 0;
}

void inode_put(struct inode *inode)
{
	free(inode);
}

int64_t quire_object_write(struct quire_object *object, uint64_t pos, const void *buf, size_t len)
{
	const uint8_t *bytes = buf;
	size_t i, part = len < 100 ? len : 100;

	(void)object;
	/* All of it is there; it is taken piece by piece. */
	for (i = 0; i < len; i++)
		looked_at += bytes[i];
	looked_at += pos;
	return (int64_t)part;
}

/* ---- An archive ------------------------------------------------------------------------------ */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* In memory of exactly that size, which AddressSanitizer watches. */
	uint8_t *archive = malloc(size ? size : 1);

	if (!archive)
		abort();
	memcpy(archive, data, size);
	initramfs_unpack(archive, size);
	free(archive);
	while (nr_names)
		free(name[--nr_names]);
	return 0;
}

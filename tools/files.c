/* SPDX-License-Identifier: MIT */
/*
 * Which open file a descriptor is. Linux merges areas only if they map the same open file (not the
 * same path, not the same inode), so its identity decides. The tracer takes a duplicate of the
 * descriptor and keeps it for exactly as long as an area maps the file: a writable one kept longer would make a
 * later exec of it fail. Called by follow.c at the entry of mmap, and after it.
 */
#include "shadow.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- Duplicates -------------------------------------------------------------------------- */

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#define PIDFD_OF_THREAD O_EXCL /* Linux 6.9 */

/* -1: there is no such descriptor, or it can't be had. */
static int duplicate(const struct task *t, int fd)
{
	int pidfd, dup, err;

	errno = EBADF;
	if (fd < 0)
		return -1;
	/* A thread may have a table of descriptors of its own. */
	pidfd = (int)syscall(SYS_pidfd_open, t->tid, t->tid == t->tgid ? 0 : PIDFD_OF_THREAD);
	if (pidfd < 0)
		pidfd = (int)syscall(SYS_pidfd_open, t->tgid, 0);
	if (pidfd < 0)
		return -1;
	dup = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	err = errno;
	close(pidfd);
	errno = err;
	return dup;
}

static bool same_open_file(int a, int b)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b) == 0;
}

/* ---- File systems ------------------------------------------------------------------------ */

/* What is known of file systems: are their regular files plain page cache, do their areas merge? */
static const struct {
	long type;
	uint32_t flags;
} plain_types[] = {
	{ 0xef53, 0 },     /* ext2, ext3, ext4 */
	{ 0x58465342, 0 }, /* xfs */
	{ 0x9123683e, 0 }, /* btrfs */
	{ 0x01021994, 0 }, /* tmpfs */
	{ 0x858458f6, 0 }, /* ramfs */
	{ 0x794c7630, 0 }, /* overlayfs */
	{ 0xf2f52010, 0 }, /* f2fs */
	{ 0x73717368, 0 }, /* squashfs */
	{ 0xe0f5e1e2, 0 }, /* erofs */
	{ 0x9660, 0 },     /* iso9660 */
	{ 0x4d44, 0 },     /* vfat */
	{ 0x6969, 0 },     /* nfs */
	{ 0xca451a4e, 0 }, /* bcachefs */
	{ 0x65735546, WORLD_FILE_NO_MERGE }, /* fuse, virtiofs */
};

static bool is_plain(long type, uint32_t *flags)
{
	size_t i;

	for (i = 0; i < QUIRE_ARRAY_SIZE(plain_types); i++) {
		if (plain_types[i].type == type) {
			*flags |= plain_types[i].flags;
			return true;
		}
	}
	return false;
}

/* What was found out about each device. */
struct device {
	struct device *next;
	uint64_t st_dev;
	uint64_t map_align;
	bool align_known;
	bool same_identity, identity_known; /* maps shows what stat(2) says */
};
static struct device *devices;

static struct device *device_of(uint64_t st_dev)
{
	struct device *d;

	for (d = devices; d; d = d->next) {
		if (d->st_dev == st_dev)
			return d;
	}
	d = tool_alloc(sizeof(*d));
	d->st_dev = st_dev;
	d->next = devices;
	devices = d;
	return d;
}

void files_forget(void)
{
	struct device *d;

	while ((d = devices)) {
		devices = d->next;
		free(d);
	}
}

#define HUGE (UINT64_C(2) << 20)

/*
 * Does the file system place maps so that huge pages fit? Map the very file here and see: three sizes that are no multiples of
 * 2 MiB, each below the last, would all be aligned by chance once in 10^8 times.
 */
static uint64_t probe_align(int fd)
{
	char *at[3];
	uint64_t align = HUGE;
	size_t i;

	for (i = 0; i < 3; i++) {
		at[i] = mmap(NULL, HUGE + (i + 1) * 4096, PROT_NONE, MAP_PRIVATE, fd, 0);
		if (at[i] == MAP_FAILED || (uintptr_t)at[i] % HUGE)
			align = 0;
	}
	for (i = 0; i < 3; i++) {
		if (at[i] != MAP_FAILED)
			munmap(at[i], HUGE + (i + 1) * 4096);
	}
	return align;
}

/* ---- One file ---------------------------------------------------------------------------- */

#define ST_NOEXEC_FLAG 8
#define SEAL_WRITES 0x18 /* F_SEAL_WRITE, F_SEAL_FUTURE_WRITE */

static uint32_t flags_of(int fd, int mode, const struct statfs *fs)
{
	struct statx stx;
	uint32_t flags = 0;
	int seals;

	if ((mode & O_ACCMODE) != O_WRONLY)
		flags |= QUIRE_FILE_READ;
	if ((mode & O_ACCMODE) != O_RDONLY)
		flags |= QUIRE_FILE_WRITE;
	if (fs->f_flags & ST_NOEXEC_FLAG)
		flags |= QUIRE_FILE_NOEXEC;
	if ((flags & QUIRE_FILE_WRITE) && statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0 &&
	    stx.stx_attributes & STATX_ATTR_APPEND)
		flags |= QUIRE_FILE_APPEND_ONLY;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals > 0 && seals & SEAL_WRITES)
		flags |= QUIRE_FILE_SEAL_WRITE;
	return flags;
}

struct world_file *files_get(struct shadow *s, struct task *t, int fd, bool *special)
{
	struct world_file_desc desc = { 0 };
	char link[64], path[PATH_MAX];
	struct world_file *f;
	struct device *d;
	struct statfs fs;
	struct stat st;
	ssize_t n;
	int dup = duplicate(t, fd), mode;

	/* A process that may not be looked into, or a kernel without pidfd_getfd: the file is not known. */
	*special = dup < 0 && errno != EBADF && errno != ESRCH;
	if (dup < 0)
		return NULL;
	mode = fcntl(dup, F_GETFL);
	if (mode < 0 || mode & O_PATH || fstat(dup, &st) || fstatfs(dup, &fs)) {
		close(dup);
		return NULL;
	}
	desc.flags = flags_of(dup, mode, &fs);
	*special = !is_plain((long)fs.f_type, &desc.flags) || !S_ISREG(st.st_mode);
	/* /dev/zero mapped privately is memory like any other. */
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 5) &&
	    (t->call.arg[3] & QUIRE_MAP_TYPE) == QUIRE_MAP_PRIVATE)
		*special = false;
	for (f = s->world->open_files; f; f = f->next) {
		if (f->st_dev == st.st_dev && f->st_ino == st.st_ino && same_open_file(f->fd, dup)) {
			close(dup);
			/* Seals come later than the opening. */
			world_file_add_flags(f, desc.flags & QUIRE_FILE_SEAL_WRITE);
			quire_file_get(&f->file);
			return f;
		}
	}
	d = device_of(st.st_dev);
	if (!*special && !d->align_known && (desc.flags & QUIRE_FILE_READ)) {
		d->map_align = S_ISREG(st.st_mode) ? probe_align(dup) : 0;
		d->align_known = true;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dup);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = '\0';
	desc.dev_major = major(st.st_dev);
	desc.dev_minor = minor(st.st_dev);
	desc.inode = st.st_ino;
	desc.map_align = *special ? 0 : d->map_align;
	desc.size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : WORLD_SIZE_UNKNOWN;
	desc.path = path;
	f = world_file_new(s->world, &desc);
	f->fd = dup;
	f->st_dev = st.st_dev;
	f->st_ino = st.st_ino;
	f->next = s->world->open_files;
	s->world->open_files = f;
	return f;
}

void files_refresh(struct space *space, uint64_t start, uint64_t end)
{
	struct world_file *f;
	struct quire_vma *vma;
	struct stat st;

	for (vma = quire_find_vma(space->mm, start); vma && vma->start < end; vma = quire_find_vma(space->mm, vma->end)) {
		f = world_file_at(space, vma->start);
		if (f && f->fd >= 0 && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode))
			world_file_set_size(f, (uint64_t)st.st_size);
	}
}

struct world_file *files_segment(struct shadow *s, uint64_t size, bool read_only)
{
	struct world_file_desc desc = {
		.flags = QUIRE_FILE_READ | (read_only ? 0 : QUIRE_FILE_WRITE) | WORLD_FILE_NO_MERGE | WORLD_FILE_ZERO |
			 QUIRE_FILE_MOVES_ALONE,
		.size = size,
		.path = "",
	};

	return world_file_new(s->world, &desc);
}

/*
 * On most file systems maps shows the device and inode that stat(2) gives; where it doesn't (overlayfs, btrfs), Linux is asked for
 * each file. One file a device tells which it is.
 */
void files_identify(struct shadow *s, struct task *t, struct world_file *f, uint64_t addr)
{
	struct device *d;
	struct view_area area;

	if (f->fd < 0 || f->recorded)
		return;
	d = device_of(f->st_dev);
	if (d->identity_known && d->same_identity)
		return;
	if (!view_query(&shadow_of(t->space)->view, addr, &area, NULL))
		return;
	d->same_identity = area.dev_major == f->file.dev_major && area.dev_minor == f->file.dev_minor &&
			   area.inode == f->file.inode;
	d->identity_known = true;
	if (d->same_identity)
		return;
	note(s, "files whose device or inode reads otherwise in maps than in stat: taken over");
	world_file_set_identity(f, area.dev_major, area.dev_minor, area.inode);
}

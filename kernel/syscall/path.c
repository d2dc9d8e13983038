/* SPDX-License-Identifier: MIT */
/* Calls about names: opening, looking, making, removing. */
#include "syscall/syscall.h"

#define AT_SYMLINK_NOFOLLOW 0x100
#define AT_EACCESS 0x200
#define AT_REMOVEDIR 0x200
#define AT_SYMLINK_FOLLOW 0x400
#define AT_NO_AUTOMOUNT 0x800
#define AT_EMPTY_PATH 0x1000
#define AT_STATX_SYNC_TYPE 0x6000
#define AT_ITSELF (1ull << 32) /* ours: what fd is open on, whatever the path */
#define AT_STAT (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

int get_path(uint64_t addr, char **path)
{
	char *p = quire_kmalloc(Q, PATH_MAX, QUIRE_GFP_KERNEL);
	int64_t n;

	*path = NULL;
	if (!p)
		return -ENOMEM;
	n = copy_string_from_user(p, addr, PATH_MAX);
	if (n < 0) {
		quire_kfree(Q, p);
		return (int)n;
	}
	*path = p;
	return 0;
}

int get_base(int fd, struct inode **base)
{
	struct file *file;

	*base = NULL;
	if (fd == AT_FDCWD)
		return 0;
	file = fd_get(fd);
	if (!file)
		return -EBADF;
	*base = file->inode;
	inode_get(*base);
	file_put(file);
	return 0;
}

static void put_base(struct inode *base)
{
	if (base)
		inode_put(base);
}

/* The path and where it begins. An absolute one asks nothing of the descriptor. */
static int get_at(int fd, uint64_t addr, struct inode **base, char **path)
{
	int err = get_path(addr, path);

	*base = NULL;
	if (err)
		return err;
	if (**path != '/')
		err = get_base(fd, base);
	if (!err && *base && inode_type(*base) != S_IFDIR && **path) {
		put_base(*base);
		err = -ENOTDIR;
	}
	if (err)
		quire_kfree(Q, *path);
	return err;
}

static void put_at(struct inode *base, char *path)
{
	put_base(base);
	quire_kfree(Q, path);
}

static int find_at(int fd, uint64_t addr, uint64_t flags, struct inode **inode)
{
	struct inode *base;
	char *path;
	int err;

	if (flags & AT_ITSELF) {
		err = get_base(fd, inode);
		return err || *inode ? err : -EBADF;
	}
	err = get_at(fd, addr, &base, &path);
	if (err)
		return err;
	if (!*path && (flags & AT_EMPTY_PATH)) {
		*inode = base ? base : current_process()->fs->cwd;
		inode_get(*inode);
	} else {
		err = path_lookup(base, path, flags & AT_SYMLINK_NOFOLLOW ? LOOKUP_NOFOLLOW : 0,
				  inode);
	}
	put_at(base, path);
	return err;
}

/* Found from a descriptor, a program has a name that leads through /dev/fd, as Linux makes it. */
int64_t sys_execveat(struct call *c)
{
	const unsigned flags = (unsigned)c->arg[4];
	struct inode *inode;
	char *path, *name;
	int err = flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)
			  ? -EINVAL
			  : find_at((int)c->arg[0], c->arg[1], flags, &inode);

	if (err)
		return err;
	err = inode_type(inode) == S_IFLNK ? -ELOOP : get_path(c->arg[1], &path);
	inode_put(inode);
	if (err)
		return err;
	name = quire_kmalloc(Q, PATH_MAX + 32, QUIRE_GFP_KERNEL);
	if (!name)
		err = -ENOMEM;
	else if (*path == '/' || (int)c->arg[0] == AT_FDCWD)
		ksnprintf(name, PATH_MAX + 32, "%s", path);
	else
		ksnprintf(name, PATH_MAX + 32, "/dev/fd/%d%s%s", (int)c->arg[0], *path ? "/" : "",
			  path);
	quire_kfree(Q, path);
	if (!err)
		err = process_exec(c->regs, name, c->arg[2], c->arg[3], false);
	quire_kfree(Q, name);
	return err;
}

/* ---- Opening -------------------------------------------------------------------------------------------- */

static int64_t open_at(int fd, uint64_t addr, uint32_t flags, uint32_t mode)
{
	struct inode *base;
	struct file *file;
	char *path;
	int result = get_at(fd, addr, &base, &path);

	if (result)
		return result;
	if ((flags & O_ACCMODE) == 3)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		result = -EOPNOTSUPP;
	else
		result = file_open(base, path, flags, mode, &file);
	put_at(base, path);
	if (result)
		return result;
	result = fd_install(file, flags & O_CLOEXEC, 0);
	if (result < 0)
		file_put(file);
	return result;
}

SYSCALL(open, open_at(AT_FDCWD, c->arg[0], (uint32_t)c->arg[1], (uint32_t)c->arg[2]))
SYSCALL(openat, open_at((int)c->arg[0], c->arg[1], (uint32_t)c->arg[2], (uint32_t)c->arg[3]))
SYSCALL(creat, open_at(AT_FDCWD, c->arg[0], O_CREAT | O_WRONLY | O_TRUNC, (uint32_t)c->arg[1]))

/* ---- What it is -------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
struct stat {
	unsigned long dev, ino, nlink;
	uint32_t mode, uid, gid, padding;
	unsigned long rdev;
	long size, blksize, blocks;
	unsigned long atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
	long unused[3];
};
#else
struct stat { /* stat64 */
	uint64_t dev;
	uint32_t padding, low_ino, mode, nlink, uid, gid;
	uint64_t rdev;
	uint32_t padding2;
	int64_t size;
	uint32_t blksize;
	uint64_t blocks;
	uint32_t atime, atime_ns, mtime, mtime_ns, ctime, ctime_ns;
	uint64_t ino;
};
#endif

static uint64_t blocks_of(const struct inode *inode)
{
	if (inode_type(inode) != S_IFREG || inode->ops)
		return 0;
	return quire_load(&inode->object.nr_pages) * (QUIRE_PAGE_SIZE / 512);
}

static int put_stat(const struct inode *inode, uint64_t addr)
{
	struct stat st = {
		.dev = inode->dev,
		.ino = (unsigned long)inode->ino,
#ifdef __i386__
		.low_ino = (uint32_t)inode->ino,
#endif
		.nlink = inode->nlink,
		.mode = inode->mode,
		.uid = inode->uid,
		.gid = inode->gid,
		.rdev = (unsigned long)inode->rdev,
		.size = (int64_t)inode_size(inode),
		.blksize = (long)QUIRE_PAGE_SIZE,
		.blocks = (long)blocks_of(inode),
		.atime = (unsigned long)(inode->atime / 1000000000),
		.atime_ns = (unsigned long)(inode->atime % 1000000000),
		.mtime = (unsigned long)(inode->mtime / 1000000000),
		.mtime_ns = (unsigned long)(inode->mtime % 1000000000),
		.ctime = (unsigned long)(inode->ctime / 1000000000),
		.ctime_ns = (unsigned long)(inode->ctime % 1000000000),
	};

	return copy_to_user(addr, &st, sizeof(st));
}

static int64_t stat_at(int fd, uint64_t path, uint64_t addr, uint64_t flags)
{
	struct inode *inode;
	int err = flags & ~(AT_STAT | AT_ITSELF) ? -EINVAL : find_at(fd, path, flags, &inode);

	if (err)
		return err;
	err = put_stat(inode, addr);
	inode_put(inode);
	return err;
}

SYSCALL(stat, stat_at(AT_FDCWD, c->arg[0], c->arg[1], 0))
SYSCALL(lstat, stat_at(AT_FDCWD, c->arg[0], c->arg[1], AT_SYMLINK_NOFOLLOW))
SYSCALL(newfstatat, stat_at((int)c->arg[0], c->arg[1], c->arg[2], (unsigned)c->arg[3]))

SYSCALL(fstat, stat_at((int)c->arg[0], 0, c->arg[1], AT_ITSELF))

struct statx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t padding;
};

struct statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, padding;
	uint64_t ino, size, blocks, attributes_mask;
	struct statx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t rest[14];
};

static struct statx_time statx_time(int64_t ns)
{
	return (struct statx_time){ns / 1000000000, (uint32_t)(ns % 1000000000), 0};
}

int64_t sys_statx(struct call *c)
{
	unsigned flags = (unsigned)c->arg[2];
	struct inode *inode;
	struct statx st;
	int err;

	/* The last bit of the mask is kept for what comes after it. */
	if ((c->arg[3] & 0x80000000u) || (flags & ~(unsigned)AT_STAT) ||
	    (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	err = find_at((int)c->arg[0], c->arg[1], flags, &inode);
	if (err)
		return err;
	memset(&st, 0, sizeof(st));
	st.mask = 0x7ff; /* STATX_BASIC_STATS */
	st.blksize = (uint32_t)QUIRE_PAGE_SIZE;
	st.nlink = inode->nlink;
	st.uid = inode->uid;
	st.gid = inode->gid;
	st.mode = (uint16_t)inode->mode;
	st.ino = inode->ino;
	st.size = inode_size(inode);
	st.blocks = blocks_of(inode);
	st.atime = statx_time(inode->atime);
	st.mtime = statx_time(inode->mtime);
	st.ctime = statx_time(inode->ctime);
	st.rdev_major = (uint32_t)(inode->rdev >> 8);
	st.rdev_minor = (uint32_t)(inode->rdev & 0xff);
	st.dev_minor = inode->dev;
	inode_put(inode);
	return copy_to_user(c->arg[4], &st, sizeof(st));
}

struct statfs { /* statfs64 on 32-bit machines */
	long type, bsize;
	uint64_t blocks, bfree, bavail, files, ffree;
	int32_t fsid[2];
	long namelen, frsize, flags, spare[4];
};

static int64_t statfs_at(int fd, uint64_t path, uint64_t addr, uint64_t flags)
{
	struct statfs st = {.bsize = (long)QUIRE_PAGE_SIZE,
			    .frsize = (long)QUIRE_PAGE_SIZE,
			    .namelen = NAME_MAX};
	struct inode *inode;
	struct mount *m;
	int err = find_at(fd, path, flags, &inode);

	if (err)
		return err;
	m = inode->mount;
	st.type = inode->proc ? 0x9fa0 : 0x01021994; /* proc; tmpfs */
	if (m && m->max_pages) {
		quire_grace_wait(Q); /* for files that were mapped */
		st.blocks = m->max_pages;
		st.bfree = m->max_pages - min_u64(mount_pages(m), m->max_pages);
	} else if (!inode->proc) {
		st.blocks = Q->pages.total_pages;
		st.bfree = quire_free_pages(Q);
	}
	st.bavail = st.bfree;
	inode_put(inode);
	return copy_to_user(addr, &st, sizeof(st));
}

SYSCALL(statfs, statfs_at(AT_FDCWD, c->arg[0], c->arg[1], 0))
SYSCALL(fstatfs, statfs_at((int)c->arg[0], 0, c->arg[1], AT_ITSELF))

static int64_t access_at(int fd, uint64_t path, unsigned mode, unsigned flags)
{
	struct inode *inode;
	int err;

	if ((mode & ~7u) || (flags & ~(unsigned)(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
		return -EINVAL;
	err = find_at(fd, path, flags & ~(unsigned)AT_EACCESS, &inode);
	if (err)
		return err;
	err = mode ? inode_permission(inode, mode) : 0;
	inode_put(inode);
	return err;
}

SYSCALL(access, access_at(AT_FDCWD, c->arg[0], (unsigned)c->arg[1], 0))
SYSCALL(faccessat, access_at((int)c->arg[0], c->arg[1], (unsigned)c->arg[2], 0))
SYSCALL(faccessat2, access_at((int)c->arg[0], c->arg[1], (unsigned)c->arg[2], (unsigned)c->arg[3]))

static int64_t read_link(int fd, uint64_t path, uint64_t addr, uint64_t size)
{
	char *buf = quire_kmalloc(Q, PATH_MAX, QUIRE_GFP_KERNEL);
	struct inode *inode;
	int64_t n;

	if ((int64_t)size <= 0 || !buf) {
		quire_kfree(Q, buf);
		return buf ? -EINVAL : -ENOMEM;
	}
	n = find_at(fd, path, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH, &inode);
	if (!n) {
		if (inode_type(inode) != S_IFLNK)
			n = -EINVAL;
		else if (inode->ops && inode->ops->readlink)
			n = inode->ops->readlink(inode, buf, PATH_MAX);
		else
			n = ksnprintf(buf, PATH_MAX, "%s", inode->target);
		if (n > (int64_t)size)
			n = (int64_t)size;
		if (n > 0 && copy_to_user(addr, buf, (size_t)n))
			n = -EFAULT;
		inode_put(inode);
	}
	quire_kfree(Q, buf);
	return n;
}

SYSCALL(readlink, read_link(AT_FDCWD, c->arg[0], c->arg[1], c->arg[2]))
SYSCALL(readlinkat, read_link((int)c->arg[0], c->arg[1], c->arg[2], c->arg[3]))

/* ---- Changes ---------------------------------------------------------------------------------------------- */

static int64_t create_at(int fd, uint64_t addr, uint32_t mode, uint64_t rdev, const char *target)
{
	struct inode *base;
	char *path;
	int err = get_at(fd, addr, &base, &path);

	if (err)
		return err;
	err = fs_create(base, path, mode, rdev, target);
	put_at(base, path);
	return err;
}

SYSCALL(mkdir, create_at(AT_FDCWD, c->arg[0], S_IFDIR | ((uint32_t)c->arg[1] & 01777), 0, NULL))

int64_t sys_mkdirat(struct call *c)
{
	return create_at((int)c->arg[0], c->arg[1], S_IFDIR | ((uint32_t)c->arg[2] & 01777), 0,
			 NULL);
}

static int64_t mknod_at(int fd, uint64_t path, uint32_t mode, uint64_t dev)
{
	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	switch (mode & S_IFMT) {
	case S_IFCHR:
	case S_IFBLK:
		if (current_process()->euid)
			return -EPERM;
		break;
	case S_IFREG:
	case S_IFIFO:
		break;
	default:
		return (mode & S_IFMT) == S_IFDIR ? -EPERM : -EINVAL;
	}
	return create_at(fd, path, mode & (S_IFMT | 07777), dev & 0xffff, NULL);
}

SYSCALL(mknod, mknod_at(AT_FDCWD, c->arg[0], (uint32_t)c->arg[1], c->arg[2]))
SYSCALL(mknodat, mknod_at((int)c->arg[0], c->arg[1], (uint32_t)c->arg[2], c->arg[3]))

static int64_t symlink_at(uint64_t target, int fd, uint64_t path)
{
	char *text;
	int64_t err = get_path(target, &text);

	if (err)
		return err;
	err = *text ? create_at(fd, path, S_IFLNK | 0777, 0, text) : -ENOENT;
	quire_kfree(Q, text);
	return err;
}

SYSCALL(symlink, symlink_at(c->arg[0], AT_FDCWD, c->arg[1]))
SYSCALL(symlinkat, symlink_at(c->arg[0], (int)c->arg[1], c->arg[2]))

static int64_t unlink_at(int fd, uint64_t addr, bool directory)
{
	struct inode *base;
	char *path;
	int err = get_at(fd, addr, &base, &path);

	if (err)
		return err;
	err = fs_unlink(base, path, directory);
	put_at(base, path);
	return err;
}

SYSCALL(unlink, unlink_at(AT_FDCWD, c->arg[0], false))
SYSCALL(rmdir, unlink_at(AT_FDCWD, c->arg[0], true))

int64_t sys_unlinkat(struct call *c)
{
	return c->arg[2] & ~(uint64_t)AT_REMOVEDIR
		       ? -EINVAL
		       : unlink_at((int)c->arg[0], c->arg[1], c->arg[2] != 0);
}

static int64_t two_paths(int fd, uint64_t from, int to_fd, uint64_t to, unsigned flags, bool rename)
{
	struct inode *base, *to_base;
	char *path, *to_path;
	int err = get_at(fd, from, &base, &path);

	if (err)
		return err;
	err = get_at(to_fd, to, &to_base, &to_path);
	if (!err) {
		err = rename ? fs_rename(base, path, to_base, to_path, flags)
			     : fs_link(base, path, to_base, to_path, flags & AT_SYMLINK_FOLLOW);
		put_at(to_base, to_path);
	}
	put_at(base, path);
	return err;
}

SYSCALL(link, two_paths(AT_FDCWD, c->arg[0], AT_FDCWD, c->arg[1], 0, false))

int64_t sys_linkat(struct call *c)
{
	if ((unsigned)c->arg[4] & ~(unsigned)(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	return two_paths((int)c->arg[0], c->arg[1], (int)c->arg[2], c->arg[3], (unsigned)c->arg[4],
			 false);
}

SYSCALL(rename, two_paths(AT_FDCWD, c->arg[0], AT_FDCWD, c->arg[1], 0, true))
SYSCALL(renameat, two_paths((int)c->arg[0], c->arg[1], (int)c->arg[2], c->arg[3], 0, true))

int64_t sys_renameat2(struct call *c)
{
	return two_paths((int)c->arg[0], c->arg[1], (int)c->arg[2], c->arg[3], (unsigned)c->arg[4],
			 true);
}

int64_t sys_truncate(struct call *c)
{
	struct inode *inode;
	int64_t err;

	if ((int64_t)c->arg[1] < 0)
		return -EINVAL;
	err = find_at(AT_FDCWD, c->arg[0], 0, &inode);
	if (err)
		return err;
	err = inode_permission(inode, 2);
	if (!err)
		err = file_truncate(inode, c->arg[1]);
	inode_put(inode);
	return err;
}

static int64_t chmod_at(int fd, uint64_t path, uint32_t mode, uint64_t flags)
{
	const struct process *p = current_process();
	struct inode *inode;
	int err = find_at(fd, path, flags, &inode);

	if (err)
		return err;
	if (p->euid && p->euid != inode->uid) {
		err = -EPERM;
	} else {
		inode->mode = (inode->mode & S_IFMT) | (mode & 07777);
		inode->ctime = (int64_t)clock_realtime();
	}
	inode_put(inode);
	return err;
}

SYSCALL(chmod, chmod_at(AT_FDCWD, c->arg[0], (uint32_t)c->arg[1], 0))
SYSCALL(fchmodat, chmod_at((int)c->arg[0], c->arg[1], (uint32_t)c->arg[2], 0))
SYSCALL(fchmod, chmod_at((int)c->arg[0], 0, (uint32_t)c->arg[1], AT_ITSELF))

static int change_owner(struct inode *inode, uint32_t uid, uint32_t gid)
{
	const struct process *p = current_process();

	if (p->euid && (p->euid != inode->uid || (uid != UINT32_MAX && uid != inode->uid) ||
			(gid != UINT32_MAX && gid != p->egid && gid != inode->gid)))
		return -EPERM;
	if (uid != UINT32_MAX)
		inode->uid = uid;
	if (gid != UINT32_MAX)
		inode->gid = gid;
	inode->ctime = (int64_t)clock_realtime();
	return 0;
}

static int64_t chown_at(int fd, uint64_t path, uint32_t uid, uint32_t gid, uint64_t flags)
{
	struct inode *inode;
	int err = flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_ITSELF)
			  ? -EINVAL
			  : find_at(fd, path, flags, &inode);

	if (err)
		return err;
	err = change_owner(inode, uid, gid);
	inode_put(inode);
	return err;
}

SYSCALL(chown, chown_at(AT_FDCWD, c->arg[0], (uint32_t)c->arg[1], (uint32_t)c->arg[2], 0))

int64_t sys_lchown(struct call *c)
{
	return chown_at(AT_FDCWD, c->arg[0], (uint32_t)c->arg[1], (uint32_t)c->arg[2],
			AT_SYMLINK_NOFOLLOW);
}

int64_t sys_fchownat(struct call *c)
{
	return chown_at((int)c->arg[0], c->arg[1], (uint32_t)c->arg[2], (uint32_t)c->arg[3],
			(unsigned)c->arg[4]);
}

int64_t sys_fchown(struct call *c)
{
	return chown_at((int)c->arg[0], 0, (uint32_t)c->arg[1], (uint32_t)c->arg[2], AT_ITSELF);
}

#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

int64_t sys_utimensat(struct call *c)
{
	struct timespec ts[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
	int64_t now = (int64_t)clock_realtime();
	struct inode *inode;
	struct file *file;
	int err;

	if (c->arg[2] && copy_from_user(ts, c->arg[2], sizeof(ts)))
		return -EFAULT;
	if ((unsigned)c->arg[3] & ~(unsigned)(c->arg[1] ? AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH : 0))
		return -EINVAL;
	if (!c->arg[1]) {
		file = fd_get((int)c->arg[0]);
		if (!file)
			return -EBADF;
		inode = file->inode;
		inode_get(inode);
		file_put(file);
	} else {
		err = find_at((int)c->arg[0], c->arg[1], (unsigned)c->arg[3], &inode);
		if (err)
			return err;
	}
	if (ts[0].nsec != UTIME_OMIT)
		inode->atime = ts[0].nsec == UTIME_NOW ? now : ts[0].sec * 1000000000 + ts[0].nsec;
	if (ts[1].nsec != UTIME_OMIT)
		inode->mtime = ts[1].nsec == UTIME_NOW ? now : ts[1].sec * 1000000000 + ts[1].nsec;
	inode->ctime = now;
	inode_put(inode);
	return 0;
}

/* ---- Directories ------------------------------------------------------------------------------------------- */

struct listing {
	uint64_t addr, left, done;
	int error;
};

static bool add_entry(struct listing *l, uint64_t ino, uint64_t next, uint32_t mode,
		      const char *name)
{
	size_t n = strlen(name) + 1, length = (19 + n + 7) & ~7ul;
	struct {
		uint64_t ino, next;
		uint16_t length;
		uint8_t type;
		char name[NAME_MAX + 14];
	} __attribute__((packed)) d;

	if (length > l->left) {
		if (!l->done)
			l->error = -EINVAL;
		return false;
	}
	memset(&d, 0, length < sizeof(d) ? length : sizeof(d));
	d.ino = ino;
	d.next = next;
	d.length = (uint16_t)length;
	d.type = (uint8_t)((mode & S_IFMT) >> 12);
	memcpy(d.name, name, n);
	if (copy_to_user(l->addr, &d, length)) {
		l->error = -EFAULT;
		return false;
	}
	l->addr += length;
	l->left -= length;
	l->done += length;
	return true;
}

/* The entry at pos or behind it: where it is, its name (a copy, as user memory is not touched with fs_lock held). */
static bool next_entry(struct inode *dir, uint64_t *pos, char name[NAME_MAX + 1], uint64_t *ino,
		       uint32_t *mode)
{
	struct quire_list *at, *tmp;
	bool found = false;

	quire_mutex_lock(Q, &fs_lock);
	if (*pos < 2) {
		struct inode *inode = *pos == 0 || !dir->dir.parent ? dir : dir->dir.parent;

		ksnprintf(name, NAME_MAX + 1, "%s", *pos == 0 ? "." : "..");
		*ino = inode->ino;
		*mode = S_IFDIR;
		found = true;
	} else if (dir->ops) {
		found = dir->ops->entry(dir, *pos, name, ino, mode);
	} else {
		quire_list_for_each (at, tmp, &dir->dir.entries) {
			struct dirent *e = quire_list_entry(at, struct dirent, link);

			if (e->position + 2 < *pos)
				continue;
			*pos = e->position + 2;
			ksnprintf(name, NAME_MAX + 1, "%s", e->name);
			*ino = e->inode->ino;
			*mode = e->inode->mode;
			found = true;
			break;
		}
	}
	quire_mutex_unlock(Q, &fs_lock);
	return found;
}

int64_t sys_getdents64(struct call *c)
{
	struct file *file = fd_get((int)c->arg[0]);
	struct listing l = {.addr = c->arg[1], .left = c->arg[2]};
	char name[NAME_MAX + 1];
	uint64_t pos, ino;
	uint32_t mode;

	if (!file)
		return -EBADF;
	if (inode_type(file->inode) != S_IFDIR || (file->flags & O_PATH)) {
		file_put(file);
		return -ENOTDIR;
	}
	/* One that is removed has not even "." any more. */
	if (!file->inode->ops && !quire_load(&file->inode->nlink)) {
		file_put(file);
		return -ENOENT;
	}
	quire_mutex_lock(Q, &file->pos_lock);
	pos = file->pos;
	while (next_entry(file->inode, &pos, name, &ino, &mode)) {
		uint64_t next = pos + 1;

		/* Numbers in /proc are positions of themselves; see proc.c. */
		if (file->inode->ops && *name >= '0' && *name <= '9')
			next = ino + 1;
		if (!add_entry(&l, ino, next, mode, name))
			break;
		pos = file->pos = next;
	}
	quire_mutex_unlock(Q, &file->pos_lock);
	file_put(file);
	return l.done ? (int64_t)l.done : l.error;
}

int64_t sys_getcwd(struct call *c)
{
	struct process *p = current_process();
	struct inode *cwd;
	char *path;
	bool removed;
	int64_t n;

	quire_mutex_lock(Q, &p->fs->lock);
	cwd = p->fs->cwd;
	inode_get(cwd);
	quire_mutex_unlock(Q, &p->fs->lock);
	removed = !quire_load(&cwd->nlink);
	path = removed ? NULL : path_of(cwd);
	inode_put(cwd);
	if (!path)
		return removed ? -ENOENT : -ENOMEM;
	n = (int64_t)strlen(path) + 1;
	if ((uint64_t)n > c->arg[1])
		n = -ERANGE;
	else if (copy_to_user(c->arg[0], path, (size_t)n))
		n = -EFAULT;
	quire_kfree(Q, path);
	return n;
}

static int64_t change_directory(int fd, uint64_t path, uint64_t flags, bool root)
{
	struct fs_context *fs = current_process()->fs;
	struct inode *dir, *old;
	int err = find_at(fd, path, flags, &dir);

	if (err)
		return err;
	err = inode_type(dir) != S_IFDIR ? -ENOTDIR : inode_permission(dir, 1);
	if (err) {
		inode_put(dir);
		return err;
	}
	inode_use(dir, 1);
	quire_mutex_lock(Q, &fs_lock);
	quire_mutex_lock(Q, &fs->lock);
	old = root ? fs->root : fs->cwd;
	if (root)
		fs->root = dir;
	else
		fs->cwd = dir;
	quire_mutex_unlock(Q, &fs->lock);
	quire_mutex_unlock(Q, &fs_lock);
	inode_use(old, -1);
	inode_put(old);
	return 0;
}

SYSCALL(chdir, change_directory(AT_FDCWD, c->arg[0], 0, false))
SYSCALL(fchdir, change_directory((int)c->arg[0], 0, AT_ITSELF, false))

int64_t sys_chroot(struct call *c)
{
	return current_process()->euid ? -EPERM : change_directory(AT_FDCWD, c->arg[0], 0, true);
}

int64_t sys_umask(struct call *c)
{
	struct fs_context *fs = current_process()->fs;
	uint32_t old = fs->umask;

	fs->umask = (uint32_t)c->arg[0] & 0777;
	return old;
}

int64_t sys_mount(struct call *c)
{
	char *type = NULL, *source = NULL, *options = NULL;
	int64_t err = c->arg[2] ? get_path(c->arg[2], &type) : 0;
	struct inode *at;

	if (!err && c->arg[0])
		err = get_path(c->arg[0], &source);
	if (!err && c->arg[4])
		err = get_path(c->arg[4], &options);
	if (!err)
		err = find_at(AT_FDCWD, c->arg[1], 0, &at);
	if (!err) {
		err = current_process()->euid ? -EPERM
		      : type ? fs_mount(at, source ? source : "none", type, (unsigned)c->arg[3],
					options ? options : "")
			     : -EINVAL;
		inode_put(at);
	}
	quire_kfree(Q, type);
	quire_kfree(Q, source);
	quire_kfree(Q, options);
	return err;
}

int64_t sys_umount2(struct call *c)
{
	struct inode *at;
	int64_t err = find_at(AT_FDCWD, c->arg[0],
			      c->arg[1] & UMOUNT_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0, &at);

	if (err)
		return err;
	err = current_process()->euid ? -EPERM : fs_umount(at, (unsigned)c->arg[1]);
	inode_put(at);
	return err;
}

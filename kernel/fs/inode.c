/* SPDX-License-Identifier: MIT */
/*
 * Inodes in memory and the entries of directories. A regular file's inode lives as long as its object, which areas may
 * keep beyond the last name and the last opening.
 */
#include "fs/fs.h"
#include "process/process.h"

struct quire_mutex fs_lock;
struct inode *root_inode;

static struct quire_cache inode_cache;
static uint64_t next_ino;

static void free_inode(struct inode *inode)
{
	mount_leave(inode);
	quire_cache_free(Q, &inode_cache, inode);
}

/* ---- Regular files: objects without storage behind them ------------------------------------- */

static int punch_hole(struct quire_object *object, uint64_t start, uint64_t end)
{
	return 0;
}

static void object_released(struct quire_object *object)
{
	free_inode(quire_container_of(object, struct inode, object));
}

static const struct quire_file_ops memory_ops = {
	.punch_hole = punch_hole,
	.release = object_released,
};

/* A page of zeroes, if the mount has room for one more; it is counted already. */
static int new_page(struct quire_object *object, struct quire_page *page)
{
	struct mount *m = quire_container_of(object, struct inode, object)->mount;

	if (mount_pages(m) > m->max_pages)
		return -ENOSPC;
	quire_page_zero(Q, page);
	return 0;
}

const struct quire_file_ops limited_ops = {
	.read_page = new_page,
	.punch_hole = punch_hole,
	.release = object_released,
};

/* ---- Inodes -------------------------------------------------------------------------------------- */

struct inode *inode_new(uint32_t mode)
{
	struct inode *inode = quire_cache_alloc(Q, &inode_cache, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	const struct thread *t = current();

	if (!inode)
		return NULL;
	inode->refs = 1;
	inode->nlink = 0;
	inode->ino = quire_fetch_add(&next_ino, UINT64_C(1)) + 1;
	inode->mode = mode;
	if (t && t->process) {
		inode->uid = t->process->euid;
		inode->gid = t->process->egid;
	}
	inode->dev = 1;
	inode->atime = inode->mtime = inode->ctime = (int64_t)clock_realtime();
	quire_list_init(&inode->open_files);
	quire_list_init(&inode->locks);
	if (inode_type(inode) == S_IFREG)
		quire_object_init(Q, &inode->object, &memory_ops, 0,
				  QUIRE_OBJECT_SHMEM | QUIRE_OBJECT_NOSYNC);
	else if (inode_type(inode) == S_IFDIR)
		quire_list_init(&inode->dir.entries);
	return inode;
}

void inode_get(struct inode *inode)
{
	(void)quire_fetch_add(&inode->refs, 1u);
}

void inode_put(struct inode *inode)
{
	struct inode *parent;

	/* A directory that goes lets go of the one above it. */
	for (; inode && quire_fetch_sub(&inode->refs, 1u) == 1; inode = parent) {
		parent = inode_type(inode) == S_IFDIR ? inode->dir.parent : NULL;
		if (inode->ops && inode->ops->release)
			inode->ops->release(inode);
		if (inode_type(inode) == S_IFREG && !(inode->ops && inode->ops->open)) {
			/* Frees the inode, now or when the last area goes. */
			quire_object_put(&inode->object);
			continue;
		}
		if (inode_type(inode) == S_IFLNK && !inode->ops)
			quire_kfree(Q, inode->target);
		free_inode(inode);
	}
}

void inode_touch(struct inode *inode)
{
	inode->mtime = inode->ctime = (int64_t)clock_realtime();
}

int inode_permission(const struct inode *inode, unsigned want)
{
	const struct process *p = current_process();
	uint32_t mode = inode->mode;

	if (!p || p->euid == 0)
		return !p || !(want & 1) || inode_type(inode) == S_IFDIR || (mode & 0111) ? 0
											  : -EACCES;
	if (p->euid == inode->uid)
		mode >>= 6;
	else if (p->egid == inode->gid)
		mode >>= 3;
	return (mode & want) == want ? 0 : -EACCES;
}

/* ---- Directories ------------------------------------------------------------------------------------- */

struct dirent *dir_find(struct inode *dir, const char *name)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &dir->dir.entries) {
		struct dirent *e = quire_list_entry(pos, struct dirent, link);

		if (!strcmp(e->name, name))
			return e;
	}
	return NULL;
}

int dir_link(struct inode *dir, const char *name, struct inode *inode)
{
	size_t n = strlen(name) + 1;
	struct dirent *e;

	if (!dir->nlink)
		return -ENOENT; /* removed meanwhile */
	e = quire_kmalloc(Q, sizeof(*e) + n, QUIRE_GFP_KERNEL);
	if (!e)
		return -ENOMEM;
	memcpy(e->name, name, n);
	e->inode = inode;
	e->dir = dir;
	inode->entry = e;
	e->position = dir->dir.next_position++;
	inode_get(inode);
	inode->nlink++;
	if (inode_type(inode) == S_IFDIR) {
		inode->nlink++; /* its own "." */
		dir->nlink++;	/* and its ".." */
		inode_get(dir);
		if (inode->dir.parent)
			inode_put(inode->dir.parent);
		inode->dir.parent = dir;
	}
	quire_list_add_tail(&dir->dir.entries, &e->link);
	inode_touch(dir);
	return 0;
}

void dir_unlink(struct inode *dir, struct dirent *e)
{
	struct inode *inode = e->inode;

	quire_list_del(&e->link);
	if (inode->entry == e)
		inode->entry = NULL;
	inode->nlink--;
	inode->ctime = (int64_t)clock_realtime();
	if (inode_type(inode) == S_IFDIR) {
		inode->nlink--;
		dir->nlink--;
	}
	inode_touch(dir);
	if (!inode->nlink)
		files_mark_deleted(inode);
	inode_put(inode);
	quire_kfree(Q, e);
}

/* ---- The tree at boot ------------------------------------------------------------------------------------- */

static void make_device(const char *path, uint32_t mode, unsigned major, unsigned minor)
{
	int err = fs_create(NULL, path, mode, major << 8 | minor, NULL);

	kernel_assert(!err || err == -EEXIST);
}

static void make_directory(const char *path, uint32_t mode)
{
	int err = fs_create(NULL, path, S_IFDIR | mode, 0, NULL);

	kernel_assert(!err || err == -EEXIST);
}

void fs_init(void)
{
	struct process *p = current_process();
	struct file *file;
	struct inode *proc;
	uint32_t umask;

	kernel_assert(!quire_cache_create(Q, &inode_cache, "shmem_inode", sizeof(struct inode), 0,
					  0, NULL));
	kernel_assert(!fs_mount(NULL, "tmpfs", "tmpfs", 0, "mode=755"));
	p->fs = fs_context_new(NULL);
	p->files = files_new();
	kernel_assert(p->fs && p->files);
	umask = p->fs->umask;
	p->fs->umask = 0;
	if (initramfs.start < initramfs.end)
		initramfs_unpack(phys_to_ptr(initramfs.start), initramfs.end - initramfs.start);
	make_directory("/dev", 0755);
	make_directory("/dev/shm", 01777);
	make_directory("/dev/pts", 0755);
	make_directory("/tmp", 01777);
	make_directory("/proc", 0555);
	make_device("/dev/null", S_IFCHR | 0666, 1, 3);
	make_device("/dev/zero", S_IFCHR | 0666, 1, 5);
	make_device("/dev/full", S_IFCHR | 0666, 1, 7);
	make_device("/dev/random", S_IFCHR | 0666, 1, 8);
	make_device("/dev/urandom", S_IFCHR | 0666, 1, 9);
	make_device("/dev/kmsg", S_IFCHR | 0644, 1, 11);
	make_device("/dev/tty", S_IFCHR | 0666, 5, 0);
	make_device("/dev/console", S_IFCHR | 0600, 5, 1);
	make_device("/dev/ttyS0", S_IFCHR | 0600, 4, 64);
	(void)fs_create(NULL, "/dev/fd", S_IFLNK | 0777, 0, "/proc/self/fd");
	(void)fs_create(NULL, "/dev/stdin", S_IFLNK | 0777, 0, "/proc/self/fd/0");
	(void)fs_create(NULL, "/dev/stdout", S_IFLNK | 0777, 0, "/proc/self/fd/1");
	(void)fs_create(NULL, "/dev/stderr", S_IFLNK | 0777, 0, "/proc/self/fd/2");
	kernel_assert(!path_lookup(NULL, "/proc", 0, &proc));
	kernel_assert(!fs_mount(proc, "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""));
	inode_put(proc);
	p->fs->umask = umask;
	kernel_assert(!file_open(NULL, "/dev/console", O_RDWR, 0, &file));
	kernel_assert(fd_install(file, false, 0) == 0);
	kernel_assert(fd_replace(file, 1, false) == 1 && fd_replace(file, 2, false) == 2);
}

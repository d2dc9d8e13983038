/* SPDX-License-Identifier: MIT */
/*
 * Open files: made from a path, read and written. A regular file is read straight from its pages; quire_object_write()
 * puts pages in, so what is written goes through a page of the kernel's.
 */
#include "fs/fs.h"
#include "process/process.h"

static struct quire_cache file_cache;
static struct quire_spinlock files_lock; /* irq; inode->open_files */

/* ---- Lives ------------------------------------------------------------------------------------------- */

/* The last reference is gone: an area's perhaps, after a grace period, so nothing here sleeps. */
static void file_released(struct quire *q, struct quire_file *map)
{
	struct file *file = quire_container_of(map, struct file, map);
	unsigned long flags = quire_spin_lock_irq(Q, &files_lock);

	quire_list_del(&file->inode_link);
	quire_spin_unlock_irq(Q, &files_lock, flags);
	if (file->ops && file->ops->release)
		file->ops->release(file);
	inode_use(file->inode, -1);
	inode_put(file->inode);
	quire_kfree(Q, (void *)(uintptr_t)map->path);
	quire_cache_free(Q, &file_cache, file);
}

void files_mark_deleted(struct inode *inode)
{
	unsigned long flags = quire_spin_lock_irq(Q, &files_lock);
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &inode->open_files) {
		struct file *file = quire_list_entry(pos, struct file, inode_link);

		(void)quire_fetch_or(&file->map.flags, QUIRE_FILE_DELETED);
	}
	quire_spin_unlock_irq(Q, &files_lock, flags);
}

static struct file *file_new(struct inode *inode, uint32_t flags, char *path)
{
	struct file *file;

	if (!file_cache.name)
		kernel_assert(!quire_cache_create(Q, &file_cache, "files_cache", sizeof(*file), 0,
						  0, NULL));
	file = quire_cache_alloc(Q, &file_cache, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	if (!file)
		return NULL;
	file->map.refs = 1;
	file->map.release = file_released;
	file->map.path = path;
	file->map.inode = inode->ino;
	file->map.dev_minor = inode->dev;
	file->flags = flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	file->inode = inode;
	inode_get(inode);
	inode_use(inode, 1);
	if (inode->mount && (inode->mount->flags & MS_NOEXEC))
		file->map.flags |= QUIRE_FILE_NOEXEC;
	quire_list_init(&file->inode_link);
	if (file_readable(file))
		file->map.flags |= QUIRE_FILE_READ;
	if (file_writable(file))
		file->map.flags |= QUIRE_FILE_WRITE;
	return file;
}

int file_open_inode(struct inode *inode, uint32_t flags, char *path, struct file **out)
{
	struct file *file = file_new(inode, flags, path);
	unsigned long irq;
	int err = 0;

	if (!file) {
		quire_kfree(Q, path);
		return -ENOMEM;
	}
	irq = quire_spin_lock_irq(Q, &files_lock);
	quire_list_add_tail(&inode->open_files, &file->inode_link);
	if (!inode->nlink && !inode->ops)
		file->map.flags |= QUIRE_FILE_DELETED;
	quire_spin_unlock_irq(Q, &files_lock, irq);
	file->map.flags |= QUIRE_FILE_NOMMAP;
	if (flags & O_PATH) {
		;
	} else if (inode->ops && inode->ops->open) {
		err = inode->ops->open(inode, file);
	} else if (inode_type(inode) == S_IFREG) {
		file->ops = &regular_ops;
		file->map.flags &= ~QUIRE_FILE_NOMMAP;
		quire_object_get(&inode->object);
		file->map.object = &inode->object;
	} else if (inode_type(inode) == S_IFDIR) {
		file->ops = &directory_ops;
	} else if (inode_type(inode) == S_IFCHR || inode_type(inode) == S_IFBLK) {
		err = inode->mount && (inode->mount->flags & MS_NODEV) ? -EACCES
								       : device_open(inode, file);
	} else if (inode_type(inode) == S_IFIFO) {
		err = pipe_open_fifo(inode, file);
	} else {
		err = inode_type(inode) == S_IFLNK ? -ELOOP : -ENXIO;
	}
	if (err) {
		file->ops = NULL;
		file_put(file);
		return err;
	}
	*out = file;
	return 0;
}

/* ---- By path --------------------------------------------------------------------------------------------- */

static int check_open(struct inode *inode, uint32_t flags)
{
	unsigned want = (flags & O_ACCMODE) == O_RDONLY	  ? 4
			: (flags & O_ACCMODE) == O_WRONLY ? 2
							  : 6;

	if (flags & O_PATH)
		return 0;
	if (inode_type(inode) == S_IFLNK)
		return -ELOOP;
	if (inode_type(inode) == S_IFDIR && ((want & 2) || (flags & O_CREAT)))
		return -EISDIR;
	return inode_permission(inode, want);
}

static int find_or_create(struct inode *base, const char *path, uint32_t flags, uint32_t mode,
			  struct inode **out)
{
	unsigned lookup = (flags & O_NOFOLLOW ? LOOKUP_NOFOLLOW : 0) |
			  (flags & O_DIRECTORY ? LOOKUP_DIRECTORY : 0);
	unsigned tries;
	int err;

	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
		err = fs_create(base, path, S_IFREG | (mode & 07777), 0, NULL);
		return err ? err : path_lookup(base, path, lookup, out);
	}
	/* Between the look and the creation another may create or remove it. */
	for (tries = 0; tries < 8; tries++) {
		err = path_lookup(base, path, lookup, out);
		if (err != -ENOENT || !(flags & O_CREAT))
			return err;
		err = fs_create_file(base, path, mode);
		if (err == -EEXIST) {
			err = -ENOENT;
			continue;
		}
		if (err)
			return err;
		err = path_lookup(base, path, lookup, out);
		if (err != -ENOENT)
			return err ? err : 1;
	}
	return err;
}

/* The path as maps shows it: the inode's own, whatever links led to it; without one, as others have opened it. */
static char *full_path(const char *path, struct inode *inode)
{
	unsigned long irq;
	bool named;
	char *copy;

	quire_mutex_lock(Q, &fs_lock);
	named = inode->entry || inode_type(inode) == S_IFDIR;
	quire_mutex_unlock(Q, &fs_lock);
	copy = named ? path_of(inode) : quire_kmalloc(Q, PATH_MAX, QUIRE_GFP_KERNEL);
	if (named || !copy)
		return copy;
	irq = quire_spin_lock_irq(Q, &files_lock);
	if (!inode->ops && !quire_list_empty(&inode->open_files))
		path = quire_list_entry(inode->open_files.next, struct file, inode_link)->map.path;
	ksnprintf(copy, PATH_MAX, "%s", path ? path : "?");
	quire_spin_unlock_irq(Q, &files_lock, irq);
	return copy;
}

static int open_at(struct inode *base, const char *path, uint32_t flags, uint32_t mode, bool check,
		   struct file **out)
{
	struct inode *inode;
	char *full;
	int err = find_or_create(base, path, flags, mode, &inode);
	bool created = err == 1 || (!err && (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL));

	if (err < 0)
		return err;
	err = 0;
	if (check && !created)
		err = check_open(inode, flags);
	full = NULL;
	if (!err) {
		full = full_path(path, inode);
		if (!full)
			err = -ENOMEM;
	}
	if (!err)
		err = file_open_inode(inode, flags, full, out);
	if (!err && (flags & O_TRUNC) && !created && inode_type(inode) == S_IFREG && !inode->ops &&
	    file_writable(*out))
		err = file_truncate(inode, 0);
	inode_put(inode);
	return err;
}

int file_open(struct inode *base, const char *path, uint32_t flags, uint32_t mode,
	      struct file **out)
{
	return open_at(base, path, flags, mode, true, out);
}

int file_open_kernel(const char *path, struct file **out)
{
	return open_at(NULL, path, O_RDONLY, 0, false, out);
}

int file_open_exec(const char *path, struct file **out)
{
	int err = file_open_kernel(path, out);

	if (err)
		return err;
	err = inode_type((*out)->inode) != S_IFREG || ((*out)->map.flags & QUIRE_FILE_NOEXEC)
		      ? -EACCES
		      : inode_permission((*out)->inode, 1);
	if (err) {
		file_put(*out);
		*out = NULL;
	}
	return err;
}

/* ---- Reading and writing ------------------------------------------------------------------------------------ */

uint64_t inode_size(const struct inode *inode)
{
	if (inode->ops)
		return 0;
	switch (inode_type(inode)) {
	case S_IFREG:
		return quire_load(&inode->object.size);
	case S_IFLNK:
		return strlen(inode->target);
	case S_IFDIR: {
		struct quire_list *pos, *tmp;
		uint64_t n = 2;

		quire_list_for_each (pos, tmp, &inode->dir.entries)
			n++;
		return n * 20;
	}
	default:
		return 0;
	}
}

/*
 * From the page itself to its reader: nothing is locked while the reader's memory faults. A hole in a file whose mount
 * has no room for its page reads as zeroes, too.
 */
static int64_t regular_read(struct file *file, struct uio *uio, uint64_t *pos)
{
	struct quire_object *object = &file->inode->object;
	uint64_t done = 0;

	while (uio->left) {
		uint64_t size = quire_load(&object->size), offset = *pos & ~QUIRE_PAGE_MASK;
		struct quire_page *page;
		uint64_t part;
		size_t got;
		char *bytes;
		int err;

		if (*pos >= size)
			break;
		part = min_u64(min_u64(QUIRE_PAGE_SIZE - offset, size - *pos), uio->left);
		err = quire_object_get_page(object, *pos >> QUIRE_PAGE_SHIFT, &page);
		if (err == -EFAULT)
			break; /* the file has just become shorter */
		if (err && err != -ENOSPC)
			return done ? (int64_t)done : err;
		if (err) {
			got = uio_zero(uio, part);
		} else {
			bytes = quire_kmap(Q, page);
			got = uio_put(uio, bytes + offset, part);
			quire_kunmap(Q, page);
			quire_page_put(Q, page);
		}
		*pos += got;
		done += got;
		if (got < part)
			return done ? (int64_t)done : -EFAULT;
	}
	file->inode->atime = (int64_t)clock_realtime();
	return (int64_t)done;
}

/* Files may have half of memory, or what their mount may have: what they have, nobody can take from them. */
static bool is_full(struct inode *inode, uint64_t pos, uint64_t end)
{
	struct mount *m = inode->mount;
	struct quire_page *page;

	if (!m || !m->max_pages)
		return end > quire_load(&inode->object.size) &&
		       quire_stat_read(Q, QUIRE_STAT_SHMEM) > Q->pages.total_pages / 2;
	page = quire_object_find_page(&inode->object, pos >> QUIRE_PAGE_SHIFT);
	if (page)
		quire_page_put(Q, page);
	return !page && mount_pages(m) >= m->max_pages;
}

static int64_t regular_write(struct file *file, struct uio *uio, uint64_t *pos)
{
	struct quire_object *object = &file->inode->object;
	uint64_t limit = current_process()->rlimit[RLIMIT_FSIZE].soft;
	char *buf = quire_kmalloc(Q, QUIRE_PAGE_SIZE, QUIRE_GFP_KERNEL);
	int64_t done = 0, n = 0;

	if (!buf)
		return -ENOMEM;
	quire_mutex_lock(Q, &file->inode->write_lock);
	if (file->flags & O_APPEND)
		*pos = quire_load(&object->size);
	while (uio->left) {
		size_t part = QUIRE_PAGE_SIZE - (*pos & ~QUIRE_PAGE_MASK), got;

		part = min_u64(part, uio->left);
		if (*pos >= limit) {
			const struct siginfo info = {.signo = SIGXFSZ, .code = SI_KERNEL};

			n = -EFBIG;
			if (!done)
				(void)signal_send(current_process(), current(), &info);
			break;
		}
		part = min_u64(part, limit - *pos);
		if (is_full(file->inode, *pos, *pos + part)) {
			(void)reclaim();
			if (is_full(file->inode, *pos, *pos + part)) {
				n = -ENOSPC;
				break;
			}
		}
		got = uio_get(uio, buf, part);
		if (!got) {
			n = -EFAULT;
			break;
		}
		n = quire_object_write(object, *pos, buf, got);
		if (n == -ENOMEM && reclaim())
			n = quire_object_write(object, *pos, buf, got);
		if (n < 0)
			break;
		*pos += (uint64_t)n;
		done += n;
		if ((size_t)n < got || got < part)
			break;
	}
	quire_mutex_unlock(Q, &file->inode->write_lock);
	quire_kfree(Q, buf);
	inode_touch(file->inode);
	return done ? done : n < 0 ? (n == -ENOMEM ? -ENOSPC : n) : 0;
}

const struct file_ops regular_ops = {
	.read = regular_read,
	.write = regular_write,
	.seekable = true,
};

static int64_t directory_read(struct file *file, struct uio *uio, uint64_t *pos)
{
	return -EISDIR;
}

const struct file_ops directory_ops = {
	.read = directory_read,
	.seekable = true,
};

int file_truncate(struct inode *inode, uint64_t size)
{
	if (inode_type(inode) == S_IFDIR)
		return -EISDIR;
	if (inode_type(inode) != S_IFREG || inode->ops)
		return -EINVAL;
	if (size > QUIRE_OBJECT_MAX_SIZE)
		return -EINVAL;
	if (size > current_process()->rlimit[RLIMIT_FSIZE].soft)
		return -EFBIG;
	quire_mutex_lock(Q, &inode->write_lock);
	quire_object_truncate(&inode->object, size);
	quire_mutex_unlock(Q, &inode->write_lock);
	inode_touch(inode);
	return 0;
}

int64_t file_read(struct file *file, struct uio *uio, uint64_t *pos)
{
	if (!file_readable(file))
		return -EBADF;
	return file->ops->read ? file->ops->read(file, uio, pos) : -EINVAL;
}

int64_t file_write(struct file *file, struct uio *uio, uint64_t *pos)
{
	if (!file_writable(file))
		return -EBADF;
	return file->ops->write ? file->ops->write(file, uio, pos) : -EINVAL;
}

int64_t file_read_kernel(struct file *file, void *buf, size_t n, uint64_t pos)
{
	struct quire_iovec vec;
	struct uio uio = uio_of(&vec, (uintptr_t)buf, n, true);

	return file_read(file, &uio, &pos);
}

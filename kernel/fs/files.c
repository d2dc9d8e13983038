/* SPDX-License-Identifier: MIT */
/* Tables of open files: file descriptors. A table may be shared by processes (CLONE_FILES) and is by threads. */
#include "fs/fs.h"
#include "process/process.h"

#define MAX_FILES 65536u

struct files {
	uint32_t refs;		 /* atomic */
	struct quire_mutex lock; /* all below */
	struct file **file;
	uint8_t *cloexec;
	unsigned size;
};

static int grow(struct files *f, unsigned size)
{
	struct file **file;
	uint8_t *cloexec;
	unsigned n = f->size ? f->size : 32;

	if (size <= f->size)
		return 0;
	if (size > MAX_FILES)
		return -EMFILE;
	while (n < size)
		n *= 2;
	file = quire_kmalloc(Q, n * sizeof(*file), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	cloexec = quire_kmalloc(Q, n, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	if (!file || !cloexec) {
		quire_kfree(Q, file);
		quire_kfree(Q, cloexec);
		return -ENOMEM;
	}
	if (f->size) {
		memcpy(file, f->file, f->size * sizeof(*file));
		memcpy(cloexec, f->cloexec, f->size);
	}
	quire_kfree(Q, f->file);
	quire_kfree(Q, f->cloexec);
	f->file = file;
	f->cloexec = cloexec;
	f->size = n;
	return 0;
}

struct files *files_new(void)
{
	struct files *f = quire_kmalloc(Q, sizeof(*f), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);

	if (!f)
		return NULL;
	f->refs = 1;
	if (grow(f, 32)) {
		quire_kfree(Q, f);
		return NULL;
	}
	return f;
}

struct files *files_get(struct files *files)
{
	(void)quire_fetch_add(&files->refs, 1u);
	return files;
}

void files_put(struct files *f)
{
	unsigned i;

	if (quire_fetch_sub(&f->refs, 1u) != 1)
		return;
	for (i = 0; i < f->size; i++) {
		if (!f->file[i])
			continue;
		locks_drop(f->file[i], current_process());
		file_put(f->file[i]);
	}
	quire_kfree(Q, f->file);
	quire_kfree(Q, f->cloexec);
	quire_kfree(Q, f);
}

struct files *files_copy(struct files *from)
{
	struct files *f = files_new();
	unsigned i;

	if (!f)
		return NULL;
	quire_mutex_lock(Q, &from->lock);
	if (grow(f, from->size)) {
		quire_mutex_unlock(Q, &from->lock);
		files_put(f);
		return NULL;
	}
	for (i = 0; i < from->size; i++) {
		f->file[i] = from->file[i];
		f->cloexec[i] = from->cloexec[i];
		if (f->file[i])
			file_get(f->file[i]);
	}
	quire_mutex_unlock(Q, &from->lock);
	return f;
}

/* ---- Descriptors ------------------------------------------------------------------------------------ */

static struct files *own(void)
{
	return current_process()->files;
}

struct file *fd_get_of(struct files *f, int fd)
{
	struct file *file = NULL;

	quire_mutex_lock(Q, &f->lock);
	if (fd >= 0 && (unsigned)fd < f->size && f->file[fd]) {
		file = f->file[fd];
		file_get(file);
	}
	quire_mutex_unlock(Q, &f->lock);
	return file;
}

struct file *fd_get(int fd)
{
	return fd_get_of(own(), fd);
}

static unsigned limit(void)
{
	return (unsigned)min_u64(current_process()->rlimit[RLIMIT_NOFILE].soft, MAX_FILES);
}

int fd_install(struct file *file, bool cloexec, int lowest)
{
	struct files *f = own();
	unsigned fd;
	int err;

	quire_mutex_lock(Q, &f->lock);
	for (fd = (unsigned)lowest; fd < f->size && f->file[fd]; fd++)
		;
	err = fd >= limit() ? -EMFILE : grow(f, fd + 1);
	if (!err) {
		f->file[fd] = file;
		f->cloexec[fd] = cloexec;
		err = (int)fd;
	}
	quire_mutex_unlock(Q, &f->lock);
	return err;
}

int fd_replace(struct file *file, int fd, bool cloexec)
{
	struct files *f = own();
	struct file *old = NULL;
	int err;

	if (fd < 0 || (unsigned)fd >= limit())
		return -EBADF;
	quire_mutex_lock(Q, &f->lock);
	err = grow(f, (unsigned)fd + 1);
	if (!err) {
		old = f->file[fd];
		file_get(file);
		f->file[fd] = file;
		f->cloexec[fd] = cloexec;
	}
	quire_mutex_unlock(Q, &f->lock);
	if (old)
		file_put(old);
	return err ? err : fd;
}

int fd_close(int fd)
{
	struct files *f = own();
	struct file *file = NULL;

	quire_mutex_lock(Q, &f->lock);
	if (fd >= 0 && (unsigned)fd < f->size) {
		file = f->file[fd];
		f->file[fd] = NULL;
	}
	quire_mutex_unlock(Q, &f->lock);
	if (!file)
		return -EBADF;
	locks_drop(file, current_process());
	file_put(file);
	return 0;
}

int fd_close_range(unsigned first, unsigned last, bool cloexec)
{
	struct files *f = own();
	unsigned i;

	for (i = first; i <= last && i < f->size; i++) {
		if (!cloexec)
			(void)fd_close((int)i);
		else
			(void)fd_set_cloexec((int)i, true);
	}
	return 0;
}

int fd_get_cloexec(int fd)
{
	struct files *f = own();
	int result = -EBADF;

	quire_mutex_lock(Q, &f->lock);
	if (fd >= 0 && (unsigned)fd < f->size && f->file[fd])
		result = f->cloexec[fd];
	quire_mutex_unlock(Q, &f->lock);
	return result;
}

int fd_set_cloexec(int fd, bool cloexec)
{
	struct files *f = own();
	int result = -EBADF;

	quire_mutex_lock(Q, &f->lock);
	if (fd >= 0 && (unsigned)fd < f->size && f->file[fd]) {
		f->cloexec[fd] = cloexec;
		result = 0;
	}
	quire_mutex_unlock(Q, &f->lock);
	return result;
}

int fd_next_used(struct files *f, int fd)
{
	int result = -1;

	quire_mutex_lock(Q, &f->lock);
	for (; fd >= 0 && (unsigned)fd < f->size; fd++) {
		if (f->file[fd]) {
			result = fd;
			break;
		}
	}
	quire_mutex_unlock(Q, &f->lock);
	return result;
}

/* exec: the table becomes this process's own, if it can be had, and loses what is marked. */
void files_close_on_exec(struct process *p)
{
	struct files *f = p->files, *copy;
	unsigned i;

	if (quire_load(&f->refs) > 1) {
		copy = files_copy(f);
		if (copy) {
			p->files = copy;
			files_put(f);
			f = copy;
		}
	}
	for (i = 0; i < f->size; i++) {
		if (f->cloexec[i])
			(void)fd_close((int)i);
	}
	for (i = 0; i < f->size; i++)
		f->cloexec[i] = 0;
}

/* SPDX-License-Identifier: MIT */
/* Record locks of fcntl(2): advisory, of processes, gone when the process closes the file. SQLite lives by them. */
#include "fs/fs.h"
#include "process/process.h"

#define F_GETLK 5
#define F_SETLK 6
#define F_SETLKW 7
#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2

struct flock64 {
	int16_t type, whence;
	int64_t start, len;
	int32_t pid;
};

struct record {
	struct quire_list link; /* in inode->locks */
	int64_t start, last;
	int16_t type;
	const struct process *owner;
	int pid;
};

static struct quire_mutex lock_mutex;

static struct record *conflict(struct inode *inode, const struct record *want)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &inode->locks) {
		struct record *r = quire_list_entry(pos, struct record, link);

		if (r->owner != want->owner && r->start <= want->last && want->start <= r->last &&
		    (r->type == F_WRLCK || want->type == F_WRLCK))
			return r;
	}
	return NULL;
}

/* What the owner has of the range goes; what sticks out stays. spare: for a record cut in the middle; used or left. */
static void clear_range(struct inode *inode, const struct record *range, struct record **spare)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &inode->locks) {
		struct record *r = quire_list_entry(pos, struct record, link);

		if (r->owner != range->owner || r->start > range->last || range->start > r->last)
			continue;
		if (r->start < range->start && r->last > range->last) {
			struct record *behind = *spare;

			*spare = NULL;
			*behind = *r;
			behind->start = range->last + 1;
			r->last = range->start - 1;
			quire_list_add(&r->link, &behind->link);
			return;
		}
		if (r->start < range->start) {
			r->last = range->start - 1;
		} else if (r->last > range->last) {
			r->start = range->last + 1;
		} else {
			quire_list_del(&r->link);
			quire_kfree(Q, r);
		}
	}
}

/* What touches the owner's own of the same kind becomes one with it, as F_GETLK shows. */
static void widen(struct inode *inode, struct record *want)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &inode->locks) {
		const struct record *r = quire_list_entry(pos, struct record, link);

		if (r->owner != want->owner || r->type != want->type ||
		    (want->last != INT64_MAX && r->start > want->last + 1) ||
		    (r->last != INT64_MAX && want->start > r->last + 1))
			continue;
		if (r->start < want->start)
			want->start = r->start;
		if (r->last > want->last)
			want->last = r->last;
	}
}

/* An owner's are in a row, the lowest first. */
static void insert(struct inode *inode, struct record *new)
{
	struct quire_list *pos, *tmp, *before = &inode->locks;

	quire_list_for_each (pos, tmp, &inode->locks) {
		const struct record *r = quire_list_entry(pos, struct record, link);

		if (r->owner == new->owner && r->start > new->start) {
			before = pos;
			break;
		}
		if (r->owner == new->owner)
			before = pos->next;
	}
	quire_list_add_tail(before, &new->link);
}

static int read_range(struct file *file, const struct flock64 *f, struct record *want)
{
	int64_t base = f->whence == 0	? 0
		       : f->whence == 1 ? (int64_t)file->pos
					: (int64_t)inode_size(file->inode);

	if (f->whence < 0 || f->whence > 2 || f->type < 0 || f->type > 2)
		return -EINVAL;
	*want = (struct record){
		.type = f->type, .owner = current_process(), .pid = current_process()->pid};
	if (__builtin_add_overflow(base, f->start, &want->start) || want->start < 0)
		return -EINVAL;
	want->last = INT64_MAX;
	if (f->len > 0 && __builtin_add_overflow(want->start, f->len - 1, &want->last))
		return -EOVERFLOW;
	if (f->len < 0) {
		want->last = want->start - 1;
		want->start += f->len;
		if (want->start < 0)
			return -EINVAL;
	}
	return 0;
}

int locks_call(struct file *file, int command, uint64_t arg)
{
	struct record want, *r, *new = NULL, *spare = NULL;
	struct flock64 f;
	int err;

	if (copy_from_user(&f, arg, sizeof(f)))
		return -EFAULT;
	err = read_range(file, &f, &want);
	if (err)
		return err;
	if (command == F_GETLK) {
		if (f.type == F_UNLCK)
			return -EINVAL;
		quire_mutex_lock(Q, &lock_mutex);
		r = conflict(file->inode, &want);
		f.type = F_UNLCK;
		if (r) {
			f = (struct flock64){r->type, 0, r->start,
					     r->last == INT64_MAX ? 0 : r->last - r->start + 1,
					     r->pid};
		}
		quire_mutex_unlock(Q, &lock_mutex);
		return copy_to_user(arg, &f, sizeof(f));
	}
	if ((f.type == F_RDLCK && !file_readable(file)) ||
	    (f.type == F_WRLCK && !file_writable(file)))
		return -EBADF;
	new = quire_kmalloc(Q, sizeof(*new), QUIRE_GFP_KERNEL);
	spare = quire_kmalloc(Q, sizeof(*spare), QUIRE_GFP_KERNEL);
	err = new &&spare ? 0 : -ENOMEM;
	quire_mutex_lock(Q, &lock_mutex);
	while (!err && f.type != F_UNLCK && conflict(file->inode, &want)) {
		struct waiter w;

		if (command == F_SETLK) {
			err = -EAGAIN;
			break;
		}
		wait_begin(&w, &file->inode->locks);
		quire_mutex_unlock(Q, &lock_mutex);
		if (signal_pending(current()))
			err = -ERESTARTSYS;
		else
			park(NO_DEADLINE);
		wait_end(&w);
		quire_mutex_lock(Q, &lock_mutex);
	}
	if (!err) {
		if (f.type != F_UNLCK)
			widen(file->inode, &want);
		clear_range(file->inode, &want, &spare);
		if (f.type != F_UNLCK) {
			*new = want;
			insert(file->inode, new);
			new = NULL;
		}
	}
	quire_mutex_unlock(Q, &lock_mutex);
	quire_kfree(Q, new);
	quire_kfree(Q, spare);
	wake(&file->inode->locks, WAKE_ALL);
	return err;
}

void locks_drop(struct file *file, struct process *p)
{
	const struct record all = {.start = 0, .last = INT64_MAX, .owner = p};
	struct record *none = NULL;

	if (quire_list_empty(&file->inode->locks))
		return;
	quire_mutex_lock(Q, &lock_mutex);
	clear_range(file->inode, &all, &none);
	quire_mutex_unlock(Q, &lock_mutex);
	wake(&file->inode->locks, WAKE_ALL);
}

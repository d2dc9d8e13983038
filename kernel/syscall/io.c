/* SPDX-License-Identifier: MIT */
/* Calls on descriptors: reading, writing, positions, copies of descriptors, pipes, readiness. */
#include "syscall/syscall.h"

#define MAX_IOV 1024
#define MAX_TRANSFER 0x7ffff000ull

/* ---- Reading and writing ---------------------------------------------------------------------------- */

/* At *at, or (NULL) at the file's own position. */
static int64_t transfer(struct file *file, struct uio *uio, const uint64_t *at, bool write)
{
	uint64_t pos = at ? *at : 0, *p = &pos;
	bool own = !at && file->ops && file->ops->seekable;
	int64_t n;

	if (!file->ops)
		return -EBADF;
	if (at && !file->ops->seekable)
		return -ESPIPE;
	if (own) {
		quire_mutex_lock(Q, &file->pos_lock);
		p = &file->pos;
	}
	n = write ? file_write(file, uio, p) : file_read(file, uio, p);
	if (own)
		quire_mutex_unlock(Q, &file->pos_lock);
	return n;
}

static int64_t simple(struct call *c, const uint64_t *at, bool write)
{
	struct file *file = fd_get((int)c->arg[0]);
	struct quire_iovec vec;
	struct uio uio = uio_of(&vec, c->arg[1], min_u64(c->arg[2], MAX_TRANSFER), false);
	int64_t n;

	if (!file)
		return -EBADF;
	n = user_range_ok(c->arg[1], uio.left) ? transfer(file, &uio, at, write) : -EFAULT;
	file_put(file);
	return n;
}

static int64_t vector(struct call *c, const uint64_t *at, bool write)
{
	struct quire_iovec small[8], *vec = small;
	struct file *file;
	struct uio uio;
	uint64_t n = c->arg[2], total = 0, i;
	int64_t done;

	if (n > MAX_IOV)
		return -EINVAL;
	if (n > QUIRE_ARRAY_SIZE(small)) {
		vec = quire_kmalloc(Q, n * sizeof(*vec), QUIRE_GFP_KERNEL);
		if (!vec)
			return -ENOMEM;
	}
	done = copy_iovec_from_user(vec, c->arg[1], n);
	for (i = 0; !done && i < n; i++) {
		if ((long)vec[i].len < 0)
			done = -EINVAL;
		else if (!user_range_ok(vec[i].base, vec[i].len))
			done = -EFAULT;
		vec[i].len = min_u64(vec[i].len, MAX_TRANSFER - total);
		total += vec[i].len;
	}
	file = fd_get((int)c->arg[0]);
	if (!file)
		done = -EBADF;
	if (!done) {
		uio = (struct uio){.vec = vec, .nr = n, .left = total};
		done = transfer(file, &uio, at, write);
	}
	if (file)
		file_put(file);
	if (vec != small)
		quire_kfree(Q, vec);
	return done;
}

SYSCALL(read, simple(c, NULL, false))
SYSCALL(write, simple(c, NULL, true))
SYSCALL(pread64, (int64_t)c->arg[3] < 0 ? -EINVAL : simple(c, &c->arg[3], false))
SYSCALL(pwrite64, (int64_t)c->arg[3] < 0 ? -EINVAL : simple(c, &c->arg[3], true))
SYSCALL(readv, vector(c, NULL, false))
SYSCALL(writev, vector(c, NULL, true))
SYSCALL(preadv, (int64_t)c->arg[3] < 0 ? -EINVAL : vector(c, &c->arg[3], false))
SYSCALL(pwritev, (int64_t)c->arg[3] < 0 ? -EINVAL : vector(c, &c->arg[3], true))

int64_t sys_sendfile(struct call *c)
{
	struct file *out = fd_get((int)c->arg[0]), *in = fd_get((int)c->arg[1]);
	uint64_t left = min_u64(c->arg[3], MAX_TRANSFER), pos = 0;
	char *buf = quire_kmalloc(Q, QUIRE_PAGE_SIZE, QUIRE_GFP_KERNEL);
	int64_t done = 0, n = 0;

	if (!out || !in || !file_readable(in) || !file_writable(out))
		n = -EBADF;
	else if (!buf)
		n = -ENOMEM;
	else if (!in->ops->seekable || (out->flags & O_APPEND))
		n = -EINVAL;
	else if (c->arg[2] && get_user(pos, c->arg[2]))
		n = -EFAULT;
	if (!n && !c->arg[2])
		pos = in->pos;
	while (!n && left) {
		struct quire_iovec vec;
		struct uio uio = uio_of(&vec, (uintptr_t)buf, min_u64(left, QUIRE_PAGE_SIZE), true);
		int64_t got = file_read(in, &uio, &pos);

		if (got <= 0) {
			n = got;
			break;
		}
		uio = uio_of(&vec, (uintptr_t)buf, (uint64_t)got, true);
		n = transfer(out, &uio, NULL, true);
		if (n < got) {
			pos -= (uint64_t)(got - (n > 0 ? n : 0));
			done += n > 0 ? n : 0;
			break;
		}
		done += n;
		left -= (uint64_t)n;
		n = 0;
	}
	if (done && !c->arg[2])
		in->pos = pos;
	else if (done && put_user(pos, c->arg[2]))
		n = -EFAULT;
	quire_kfree(Q, buf);
	if (out)
		file_put(out);
	if (in)
		file_put(in);
	return done ? done : n;
}

int64_t sys_lseek(struct call *c)
{
	struct file *file = fd_get((int)c->arg[0]);
	int64_t offset = (int64_t)c->arg[1], base = 0, result = -EINVAL;

	if (!file)
		return -EBADF;
	if (!file->ops || !file->ops->seekable) {
		file_put(file);
		return -ESPIPE;
	}
	quire_mutex_lock(Q, &file->pos_lock);
	switch (c->arg[2]) {
	case 1:
		base = (int64_t)file->pos;
		break;
	case 2:
		base = (int64_t)inode_size(file->inode);
		break;
	case 3: /* SEEK_DATA: all of it is data */
	case 4: /* SEEK_HOLE */
		if (offset < 0 || offset >= (int64_t)inode_size(file->inode)) {
			quire_mutex_unlock(Q, &file->pos_lock);
			file_put(file);
			return -ENXIO;
		}
		if (c->arg[2] == 4)
			offset = (int64_t)inode_size(file->inode);
		break;
	}
	if (c->arg[2] <= 4 && !__builtin_add_overflow(base, offset, &result) && result >= 0)
		file->pos = (uint64_t)result;
	else
		result = -EINVAL;
	quire_mutex_unlock(Q, &file->pos_lock);
	file_put(file);
	return result;
}

/* ---- Descriptors ------------------------------------------------------------------------------------- */

SYSCALL(close, fd_close((int)c->arg[0]))

int64_t sys_close_range(struct call *c)
{
	if (c->arg[0] > c->arg[1] || (c->arg[2] & ~6ull))
		return -EINVAL;
	return fd_close_range((unsigned)c->arg[0], (unsigned)min_u64(c->arg[1], UINT32_MAX),
			      c->arg[2] & 4);
}

static int64_t duplicate(int fd, int to, bool exact, bool cloexec)
{
	struct file *file = fd_get(fd);
	int result;

	if (!file)
		return -EBADF;
	if (exact)
		result = fd_replace(file, to, cloexec);
	else
		result = fd_install(file, cloexec, to);
	if (exact || result < 0)
		file_put(file);
	return result;
}

SYSCALL(dup, duplicate((int)c->arg[0], 0, false, false))

int64_t sys_dup2(struct call *c)
{
	int result;

	if (c->arg[0] == c->arg[1]) {
		result = fd_get_cloexec((int)c->arg[0]);
		return result < 0 ? result : (int64_t)(int)c->arg[1];
	}
	return duplicate((int)c->arg[0], (int)c->arg[1], true, false);
}

int64_t sys_dup3(struct call *c)
{
	if (c->arg[0] == c->arg[1] || (c->arg[2] & ~(uint64_t)O_CLOEXEC))
		return -EINVAL;
	return duplicate((int)c->arg[0], (int)c->arg[1], true, c->arg[2] != 0);
}

#define F_DUPFD 0
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_SETFL 4
#define F_SETOWN 8
#define F_GETOWN 9
#define F_DUPFD_CLOEXEC 1030
#define F_GETPIPE_SZ 1032
#define SETTABLE (O_APPEND | O_NONBLOCK)

int64_t sys_fcntl(struct call *c)
{
	int fd = (int)c->arg[0], command = (int)c->arg[1];
	struct file *file = fd_get(fd);
	int64_t result = -EINVAL;

	if (!file)
		return -EBADF;
	/* On 32-bit machines the locks with offsets of 64 bits have numbers of their own. */
	if (sizeof(long) == 4 && command >= 12 && command <= 14)
		command -= 7;
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		if ((int)c->arg[2] >= 0 &&
		    c->arg[2] < current_process()->rlimit[RLIMIT_NOFILE].soft)
			result = duplicate(fd, (int)c->arg[2], false, command == F_DUPFD_CLOEXEC);
		break;
	case F_GETFD:
		result = fd_get_cloexec(fd);
		break;
	case F_SETFD:
		result = fd_set_cloexec(fd, c->arg[2] & 1);
		break;
	case F_GETFL:
		result = (int64_t)(file->flags | 0100000u); /* O_LARGEFILE */
		break;
	case F_SETFL:
		file->flags = (file->flags & ~SETTABLE) | ((uint32_t)c->arg[2] & SETTABLE);
		result = 0;
		break;
	case F_SETOWN:
		file->owner = (int)c->arg[2];
		result = 0;
		break;
	case F_GETOWN:
		result = file->owner;
		break;
	case F_GETPIPE_SZ:
		result = pipe_bytes(file) < 0 ? -EBADF : 65536;
		break;
	case 5:
	case 6:
	case 7:
		result = locks_call(file, command, c->arg[2]);
		break;
	}
	file_put(file);
	return result;
}

int64_t sys_ioctl(struct call *c)
{
	struct file *file = fd_get((int)c->arg[0]);
	int64_t result = -ENOTTY;
	int n;

	if (!file)
		return -EBADF;
	if (c->arg[1] == 0x541b && (n = (int)pipe_bytes(file)) >= 0)
		result = put_user(n, c->arg[2]);
	else if (file->ops && file->ops->ioctl)
		result = file->ops->ioctl(file, (unsigned)c->arg[1], c->arg[2]);
	file_put(file);
	return result;
}

static int64_t make_pipe(uint64_t addr, uint32_t flags)
{
	struct file *ends[2];
	int fd[2], err;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	err = pipe_create(ends, flags & O_NONBLOCK);
	if (err)
		return err;
	fd[0] = fd_install(ends[0], flags & O_CLOEXEC, 0);
	if (fd[0] < 0) {
		file_put(ends[0]);
		file_put(ends[1]);
		return fd[0];
	}
	fd[1] = fd_install(ends[1], flags & O_CLOEXEC, 0);
	if (fd[1] < 0) {
		(void)fd_close(fd[0]);
		file_put(ends[1]);
		return fd[1];
	}
	if (!copy_to_user(addr, fd, sizeof(fd)))
		return 0;
	(void)fd_close(fd[0]);
	(void)fd_close(fd[1]);
	return -EFAULT;
}

SYSCALL(pipe, make_pipe(c->arg[0], 0))
SYSCALL(pipe2, make_pipe(c->arg[0], (uint32_t)c->arg[1]))

int64_t sys_fsync(struct call *c)
{
	struct file *file = fd_get((int)c->arg[0]);

	if (!file)
		return -EBADF;
	file_put(file);
	return 0; /* memory is all there is */
}

int64_t sys_ftruncate(struct call *c)
{
	struct file *file;
	int64_t err;

	if ((int64_t)c->arg[1] < 0)
		return -EINVAL;
	file = fd_get((int)c->arg[0]);
	if (!file)
		return -EBADF;
	err = file_writable(file) ? file_truncate(file->inode, c->arg[1]) : -EINVAL;
	file_put(file);
	return err;
}

#define FALLOC_KEEP_SIZE 1u
#define FALLOC_PUNCH_HOLE 2u
#define FALLOC_COLLAPSE_RANGE 8u
#define FALLOC_ZERO_RANGE 16u
#define FALLOC_INSERT_RANGE 32u
#define FALLOC_UNSHARE_RANGE 64u

/* One of these, or none; with the size kept, or not. */
static bool is_fallocate_mode(uint32_t mode)
{
	const bool keep = mode & FALLOC_KEEP_SIZE;

	mode &= ~FALLOC_KEEP_SIZE;
	return mode == 0 || mode == FALLOC_ZERO_RANGE || mode == FALLOC_UNSHARE_RANGE ||
	       (keep ? mode == FALLOC_PUNCH_HOLE
		     : mode == FALLOC_COLLAPSE_RANGE || mode == FALLOC_INSERT_RANGE);
}

static int allocate(struct inode *inode, uint32_t mode, uint64_t start, uint64_t end)
{
	int err = 0;

	quire_mutex_lock(Q, &inode->write_lock);
	if (mode == (FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE))
		err = quire_object_punch_hole(&inode->object, start, end);
	else if (mode == 0)
		quire_object_extend(&inode->object, end);
	else if (mode != FALLOC_KEEP_SIZE)
		err = -EOPNOTSUPP;
	quire_mutex_unlock(Q, &inode->write_lock);
	return err;
}

int64_t sys_fallocate(struct call *c)
{
	uint64_t start = c->arg[2], len = c->arg[3];
	uint32_t mode = (uint32_t)c->arg[1];
	struct file *file = fd_get((int)c->arg[0]);
	int64_t err = 0;

	if (!file)
		return -EBADF;
	if ((int64_t)start < 0 || (int64_t)len <= 0)
		err = -EINVAL;
	else if (!is_fallocate_mode(mode))
		err = -EOPNOTSUPP;
	else if (!file_writable(file))
		err = -EBADF;
	else if (inode_type(file->inode) != S_IFREG || file->inode->ops)
		err = inode_type(file->inode) == S_IFIFO ? -ESPIPE : -ENODEV;
	else if (start + len > QUIRE_OBJECT_MAX_SIZE)
		err = -EFBIG;
	else
		err = allocate(file->inode, mode, start, start + len);
	file_put(file);
	return err;
}

/* ---- Readiness: poll(2), select(2) ----------------------------------------------------------------------- */

struct pollfd {
	int32_t fd;
	int16_t events, revents;
};

/* One look at all; with waiters, where there is room for them, announced first. Returns how many are ready. */
static int look(struct pollfd *fds, struct file **files, struct waiter *waiters, size_t n)
{
	int ready = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		struct file *file = files[i];

		fds[i].revents = 0;
		if (fds[i].fd < 0)
			continue;
		if (!file) {
			fds[i].revents = 32; /* POLLNVAL */
		} else {
			if (file->poll_key)
				wait_begin(&waiters[i], file->poll_key);
			fds[i].revents =
				(int16_t)((file->ops && file->ops->poll ? file->ops->poll(file)
									: POLLIN | POLLOUT) &
					  ((unsigned)fds[i].events | POLLERR | POLLHUP |
					   ((unsigned)fds[i].events & 0x40 ? POLLIN : 0)));
		}
		ready += fds[i].revents != 0;
	}
	return ready;
}

static void unlook(struct file **files, struct waiter *waiters, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (files[i] && files[i]->poll_key)
			wait_end(&waiters[i]);
	}
}

static int64_t do_poll(struct pollfd *fds, size_t n, uint64_t deadline)
{
	struct file **files = quire_kmalloc(Q, (n + 1) * sizeof(*files), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	struct waiter *waiters = quire_kmalloc(Q, (n + 1) * sizeof(*waiters), QUIRE_GFP_KERNEL);
	int64_t result = files && waiters ? 0 : -ENOMEM;
	size_t i;

	for (i = 0; !result && i < n; i++)
		files[i] = fds[i].fd >= 0 ? fd_get(fds[i].fd) : NULL;
	while (!result) {
		result = look(fds, files, waiters, n);
		if (!result) {
			if (clock_ns() >= deadline) {
				unlook(files, waiters, n);
				break;
			}
			if (signal_pending(current()))
				result = -ERESTARTNOHAND;
			else
				park(deadline);
		}
		unlook(files, waiters, n);
	}
	for (i = 0; files && i < n; i++) {
		if (files[i])
			file_put(files[i]);
	}
	quire_kfree(Q, files);
	quire_kfree(Q, waiters);
	return result;
}

static int64_t poll_user(uint64_t addr, uint64_t n, uint64_t deadline)
{
	struct pollfd *fds;
	int64_t result;

	if (n > 4096)
		return -EINVAL;
	fds = quire_kmalloc(Q, (n + 1) * sizeof(*fds), QUIRE_GFP_KERNEL);
	if (!fds)
		return -ENOMEM;
	result = copy_from_user(fds, addr, n * sizeof(*fds));
	if (!result)
		result = do_poll(fds, n, deadline);
	if (result >= 0 && copy_to_user(addr, fds, n * sizeof(*fds)))
		result = -EFAULT;
	quire_kfree(Q, fds);
	return result;
}

int64_t sys_poll(struct call *c)
{
	int ms = (int)c->arg[2];

	return poll_user(c->arg[0], c->arg[1],
			 ms < 0 ? NO_DEADLINE : clock_ns() + (uint64_t)ms * 1000000);
}

/* With another signal mask meanwhile, which a signal's delivery puts back. */
static int set_mask_for_call(uint64_t addr, uint64_t size)
{
	struct thread *t = current();
	uint64_t mask;

	if (!addr)
		return 0;
	if (size != sizeof(mask))
		return -EINVAL;
	if (get_user(mask, addr))
		return -EFAULT;
	t->saved_mask = t->blocked;
	signal_set_mask(t, mask);
	return 1;
}

static int64_t end_mask_for_call(int set, int64_t result)
{
	struct thread *t = current();

	if (set <= 0)
		return result;
	if (result == -ERESTARTNOHAND)
		t->restore_mask = true;
	else
		signal_set_mask(t, t->saved_mask);
	return result;
}

int64_t poll_until(struct call *c, uint64_t deadline)
{
	int set = set_mask_for_call(c->arg[3], c->arg[4]);

	return set < 0 ? set : end_mask_for_call(set, poll_user(c->arg[0], c->arg[1], deadline));
}

int64_t sys_ppoll(struct call *c)
{
	uint64_t ns = 0;
	int err = c->arg[2] ? read_timespec(c->arg[2], &ns) : 0;

	return err ? err : poll_until(c, c->arg[2] ? clock_ns() + ns : NO_DEADLINE);
}

int64_t select_until(struct call *c, uint64_t deadline)
{
	int n = (int)c->arg[0];
	unsigned long in[3][1024 / (8 * sizeof(long))], *fd_word;
	struct pollfd *fds;
	size_t bytes, count = 0, i;
	int64_t result;
	int k, fd;

	if (n < 0)
		return -EINVAL;
	if (n > 1024)
		n = 1024;
	bytes = ((size_t)n + 8 * sizeof(long) - 1) / (8 * sizeof(long)) * sizeof(long);
	memset(in, 0, sizeof(in));
	for (k = 0; k < 3; k++) {
		if (c->arg[1 + k] && copy_from_user(in[k], c->arg[1 + k], bytes))
			return -EFAULT;
	}
	fds = quire_kmalloc(Q, ((size_t)n + 1) * sizeof(*fds), QUIRE_GFP_KERNEL);
	if (!fds)
		return -ENOMEM;
	for (fd = 0; fd < n; fd++) {
		int16_t events = 0;

		for (k = 0; k < 3; k++) {
			fd_word = &in[k][(size_t)fd / (8 * sizeof(long))];
			if (*fd_word >> (size_t)fd % (8 * sizeof(long)) & 1)
				events |= k == 0 ? POLLIN : k == 1 ? POLLOUT : 2;
		}
		if (events)
			fds[count++] = (struct pollfd){fd, events, 0};
	}
	result = do_poll(fds, count, deadline);
	if (result >= 0) {
		result = 0;
		memset(in, 0, sizeof(in));
		for (i = 0; i < count; i++) {
			if (fds[i].revents & 32)
				result = -EBADF;
			for (k = 0; k < 2 && result >= 0; k++) {
				int16_t want = k == 0 ? POLLIN : POLLOUT,
					also = k == 0 ? POLLHUP | POLLERR : POLLERR;

				if (!(fds[i].events & want) || !(fds[i].revents & (want | also)))
					continue;
				in[k][(size_t)fds[i].fd / (8 * sizeof(long))] |=
					1ul << (size_t)fds[i].fd % (8 * sizeof(long));
				result++;
			}
		}
		for (k = 0; k < 3 && result >= 0; k++) {
			if (c->arg[1 + k] && copy_to_user(c->arg[1 + k], in[k], bytes))
				result = -EFAULT;
		}
	}
	quire_kfree(Q, fds);
	return result;
}

int64_t sys_select(struct call *c)
{
	uint64_t ns = 0;
	int err = c->arg[4] ? read_timeval(c->arg[4], &ns) : 0;

	return err ? err : select_until(c, c->arg[4] ? clock_ns() + ns : NO_DEADLINE);
}

int64_t pselect_until(struct call *c, uint64_t deadline)
{
	unsigned long sigset[2] = {0};
	int set;

	if (c->arg[5] && copy_from_user(sigset, c->arg[5], sizeof(sigset)))
		return -EFAULT;
	set = set_mask_for_call(sigset[0], sigset[1]);
	return set < 0 ? set : end_mask_for_call(set, select_until(c, deadline));
}

int64_t sys_pselect6(struct call *c)
{
	uint64_t ns = 0;
	int err = c->arg[4] ? read_timespec(c->arg[4], &ns) : 0;

	return err ? err : pselect_until(c, c->arg[4] ? clock_ns() + ns : NO_DEADLINE);
}

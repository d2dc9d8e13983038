/* SPDX-License-Identifier: MIT */
/* Pipes and named pipes: pipe(7). A ring of pages that come when they are first written to and stay until the end. */
#include "fs/fs.h"
#include "process/process.h"

#define PIPE_PAGES 16u
#define PIPE_SIZE (PIPE_PAGES * QUIRE_PAGE_SIZE)
#define PIPE_ATOMIC 4096u

struct pipe {
	uint32_t refs;		 /* ends that are open; atomic */
	struct quire_mutex lock; /* all below */
	uint32_t readers, writers;
	uint32_t opened;  /* grows at each open of a named pipe */
	uint64_t in, out; /* bytes ever written and read */
	char *page[PIPE_PAGES];
};

static struct quire_mutex fifo_lock; /* inode->pipe of named ones */

static struct pipe *pipe_new(void)
{
	struct pipe *p = quire_kmalloc(Q, sizeof(*p), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);

	if (p)
		p->refs = 1;
	return p;
}

static void pipe_put(struct pipe *p)
{
	unsigned i;

	if (quire_fetch_sub(&p->refs, 1u) != 1)
		return;
	for (i = 0; i < PIPE_PAGES; i++)
		quire_kfree(Q, p->page[i]);
	quire_kfree(Q, p);
}

/* ---- Reading and writing ------------------------------------------------------------------------ */

/* Copy up to n bytes at ring position at; the lock is held. */
static size_t ring(struct pipe *p, struct uio *uio, uint64_t at, size_t n, bool in)
{
	size_t done = 0;

	while (done < n) {
		unsigned page = (unsigned)((at + done) % PIPE_SIZE / QUIRE_PAGE_SIZE);
		size_t offset = (at + done) & ~QUIRE_PAGE_MASK, part = QUIRE_PAGE_SIZE - offset,
		       got;

		if (part > n - done)
			part = n - done;
		if (!p->page[page])
			p->page[page] = quire_kmalloc(Q, QUIRE_PAGE_SIZE, QUIRE_GFP_KERNEL);
		if (!p->page[page])
			break;
		got = in ? uio_get(uio, p->page[page] + offset, part)
			 : uio_put(uio, p->page[page] + offset, part);
		done += got;
		if (got < part)
			break;
	}
	return done;
}

/* Wait until the pipe changes; the lock is held before and after. */
static int wait_change(struct pipe *p, bool nonblock)
{
	struct waiter w;
	int err = 0;

	if (nonblock)
		return -EAGAIN;
	wait_begin(&w, p);
	quire_mutex_unlock(Q, &p->lock);
	if (signal_pending(current()))
		err = -ERESTARTSYS;
	else
		park(NO_DEADLINE);
	wait_end(&w);
	quire_mutex_lock(Q, &p->lock);
	return err;
}

static int64_t pipe_read(struct file *file, struct uio *uio, uint64_t *pos)
{
	struct pipe *p = file->private;
	size_t n;
	int err = 0;

	if (!uio->left)
		return 0;
	quire_mutex_lock(Q, &p->lock);
	while (p->in == p->out && p->writers && !err)
		err = wait_change(p, file->flags & O_NONBLOCK);
	n = (size_t)min_u64(uio->left, p->in - p->out);
	if (n) {
		size_t got = ring(p, uio, p->out, n, false);

		p->out += got;
		err = got ? (int)got : -EFAULT;
	}
	quire_mutex_unlock(Q, &p->lock);
	if (err > 0)
		wake(p, WAKE_ALL);
	return err;
}

static void broken(void)
{
	const struct siginfo info = {.signo = SIGPIPE, .code = SI_USER};

	(void)signal_send(current_process(), current(), &info);
}

static int64_t pipe_write(struct file *file, struct uio *uio, uint64_t *pos)
{
	struct pipe *p = file->private;
	size_t want = uio->left, done = 0;
	int err = 0;

	quire_mutex_lock(Q, &p->lock);
	while (uio->left && !err) {
		size_t room = (size_t)(PIPE_SIZE - (p->in - p->out)), n, got;

		if (!p->readers) {
			err = -EPIPE;
			break;
		}
		/* What is small goes in as a whole. */
		if (!room || (want <= PIPE_ATOMIC && room < uio->left)) {
			err = wait_change(p, file->flags & O_NONBLOCK);
			continue;
		}
		n = (size_t)min_u64(uio->left, room);
		got = ring(p, uio, p->in, n, true);
		p->in += got;
		done += got;
		if (got < n)
			err = -EFAULT;
		wake(p, WAKE_ALL);
	}
	quire_mutex_unlock(Q, &p->lock);
	if (err == -EPIPE)
		broken();
	return done ? (int64_t)done : err;
}

static unsigned pipe_poll(struct file *file)
{
	struct pipe *p = file->private;
	unsigned events = 0;

	if (file_readable(file)) {
		if (quire_load(&p->in) != quire_load(&p->out))
			events |= POLLIN;
		if (!quire_load(&p->writers))
			events |= POLLHUP;
	}
	if (file_writable(file)) {
		if (PIPE_SIZE - (quire_load(&p->in) - quire_load(&p->out)) >= PIPE_ATOMIC)
			events |= POLLOUT;
		if (!quire_load(&p->readers))
			events |= POLLERR;
	}
	return events;
}

static void pipe_release(struct file *file)
{
	struct pipe *p = file->private;

	if (!p)
		return;
	quire_mutex_lock(Q, &fifo_lock);
	quire_mutex_lock(Q, &p->lock);
	p->readers -= file_readable(file);
	p->writers -= file_writable(file);
	quire_mutex_unlock(Q, &p->lock);
	/* Nobody has it open: the next one who opens it by name begins anew. */
	if (!p->readers && !p->writers)
		file->inode->pipe = NULL;
	quire_mutex_unlock(Q, &fifo_lock);
	wake(p, WAKE_ALL);
	pipe_put(p);
}

static const struct file_ops pipe_ops = {
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.release = pipe_release,
};

int64_t pipe_bytes(struct file *file)
{
	struct pipe *p = file->private;

	return file->ops == &pipe_ops ? (int64_t)(p->in - p->out) : -ENOTTY;
}

/* ---- Making ----------------------------------------------------------------------------------------- */

static void attach(struct file *file, struct pipe *p)
{
	file->ops = &pipe_ops;
	file->private = p;
	file->poll_key = p;
	(void)quire_fetch_add(&p->refs, 1u);
	quire_mutex_lock(Q, &p->lock);
	p->readers += file_readable(file);
	p->writers += file_writable(file);
	quire_mutex_unlock(Q, &p->lock);
}

static int open_end(struct inode *inode, struct file *file)
{
	attach(file, inode->pipe);
	return 0;
}

/* Has a name in no directory: "pipe:[inode]". */
static const struct inode_ops unnamed_ops = {.open = open_end};

int pipe_create(struct file *ends[2], uint32_t flags)
{
	struct inode *inode = inode_new(S_IFIFO | 0600);
	struct pipe *p = pipe_new();
	char name[32];
	int err = inode && p ? 0 : -ENOMEM;

	if (!err) {
		inode->ops = &unnamed_ops;
		inode->pipe = p;
		inode->dev = 12;
		ksnprintf(name, sizeof(name), "pipe:[%llu]", (unsigned long long)inode->ino);
		err = file_open_inode(inode, O_RDONLY | flags, kstrdup(name), &ends[0]);
	}
	if (!err) {
		err = file_open_inode(inode, O_WRONLY | flags, kstrdup(name), &ends[1]);
		if (err)
			file_put(ends[0]);
	}
	if (p)
		pipe_put(p);
	if (inode)
		inode_put(inode);
	return err;
}

/* A named pipe: opening waits for the other side. */
int pipe_open_fifo(struct inode *inode, struct file *file)
{
	struct pipe *p;
	uint32_t opened;
	int err = 0;

	quire_mutex_lock(Q, &fifo_lock);
	p = inode->pipe;
	if (!p) {
		p = pipe_new();
		if (!p) {
			quire_mutex_unlock(Q, &fifo_lock);
			return -ENOMEM;
		}
		p->refs = 0;
		inode->pipe = p;
	}
	attach(file, p);
	p->opened++;
	quire_mutex_unlock(Q, &fifo_lock);
	wake(p, WAKE_ALL);
	quire_mutex_lock(Q, &p->lock);
	opened = p->opened;
	if ((file->flags & O_ACCMODE) == O_WRONLY && (file->flags & O_NONBLOCK) && !p->readers)
		err = -ENXIO;
	while (!err && !(file->flags & O_NONBLOCK) && (file->flags & O_ACCMODE) != O_RDWR &&
	       p->opened == opened && !(file_readable(file) ? p->writers : p->readers))
		err = wait_change(p, false);
	quire_mutex_unlock(Q, &p->lock);
	if (err) {
		pipe_release(file);
		file->private = NULL;
	}
	return err;
}

/* SPDX-License-Identifier: MIT */
/* Open files that stand for processes: pidfd_open(2). The process stays as an object while one is open. */
#include "fs/fs.h"
#include "process/process.h"

static unsigned pidfd_poll(struct file *file)
{
	const struct process *p = file->private;

	return p && quire_load(&p->state) != PROCESS_ALIVE ? POLLIN : 0;
}

static void pidfd_release(struct file *file)
{
	if (file->private)
		process_put(file->private);
}

static const struct file_ops pidfd_ops = {.poll = pidfd_poll, .release = pidfd_release};

static int pidfd_ready(struct inode *inode, struct file *file)
{
	file->ops = &pidfd_ops;
	return 0;
}

static const struct inode_ops inode_ops = {.open = pidfd_ready};

int pidfd_open(struct process *p, uint32_t flags, struct file **out)
{
	struct inode *inode = inode_new(0600);
	int err;

	if (!inode)
		return -ENOMEM;
	inode->ops = &inode_ops;
	inode->dev = 13;
	err = file_open_inode(inode, O_RDWR | flags, kstrdup("anon_inode:[pidfd]"), out);
	inode_put(inode);
	if (err)
		return err;
	process_get(p);
	(*out)->private = p;
	(*out)->poll_key = &p->state;
	return 0;
}

struct process *pidfd_process(const struct file *file)
{
	return file->ops == &pidfd_ops ? file->private : NULL;
}

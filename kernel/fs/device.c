/* SPDX-License-Identifier: MIT */
/* Devices without hardware: null(4), full(4), random(4); and the way to the terminal's. */
#include "fs/fs.h"
#include "fs/tty.h"
#include "process/process.h"

static int64_t read_nothing(struct file *file, struct uio *uio, uint64_t *pos)
{
	return 0;
}

static int64_t write_all(struct file *file, struct uio *uio, uint64_t *pos)
{
	int64_t n = (int64_t)uio->left;

	uio->left = 0;
	return n;
}

static int64_t write_full(struct file *file, struct uio *uio, uint64_t *pos)
{
	return uio->left ? -ENOSPC : 0;
}

static int64_t read_zero(struct file *file, struct uio *uio, uint64_t *pos)
{
	uint64_t want = uio->left, got = 0;

	while (uio->left && !signal_pending(current())) {
		size_t part = (size_t)min_u64(uio->left, 65536), n = uio_zero(uio, part);

		got += n;
		if (n < part)
			break;
	}
	return got || !want ? (int64_t)got : signal_pending(current()) ? -EINTR : -EFAULT;
}

static int64_t read_random(struct file *file, struct uio *uio, uint64_t *pos)
{
	uint64_t want = uio->left, got = 0;
	char buf[256];

	while (uio->left && !(got && signal_pending(current()))) {
		size_t part = (size_t)min_u64(uio->left, sizeof(buf)), n;

		random_bytes(buf, part);
		n = uio_put(uio, buf, part);
		got += n;
		if (n < part)
			break;
	}
	return got || !want ? (int64_t)got : -EFAULT;
}

static int64_t write_log(struct file *file, struct uio *uio, uint64_t *pos)
{
	char line[256];
	size_t n = uio_get(uio, line, (size_t)min_u64(uio->left, sizeof(line) - 1));

	line[n] = '\0';
	printk("%s%s", line, n && line[n - 1] == '\n' ? "" : "\n");
	uio->left = 0;
	return (int64_t)n;
}

static const struct file_ops null_ops = {
	.read = read_nothing, .write = write_all, .seekable = true};
static const struct file_ops zero_ops = {.read = read_zero, .write = write_all, .seekable = true};
static const struct file_ops full_ops = {.read = read_zero, .write = write_full, .seekable = true};
static const struct file_ops random_ops = {
	.read = read_random, .write = write_all, .seekable = true};
static const struct file_ops log_ops = {.read = read_nothing, .write = write_log};

bool file_is_zero(const struct file *file)
{
	return file->ops == &zero_ops;
}

int device_open(struct inode *inode, struct file *file)
{
	static const struct {
		unsigned rdev;
		const struct file_ops *ops;
	} devices[] = {
		{1 << 8 | 3, &null_ops},   {1 << 8 | 5, &zero_ops},   {1 << 8 | 7, &full_ops},
		{1 << 8 | 8, &random_ops}, {1 << 8 | 9, &random_ops}, {1 << 8 | 11, &log_ops},
		{5 << 8 | 0, &tty_ops},	   {5 << 8 | 1, &tty_ops},    {4 << 8 | 64, &tty_ops},
	};
	size_t i;

	if (inode_type(inode) == S_IFBLK)
		return -ENXIO;
	for (i = 0; i < QUIRE_ARRAY_SIZE(devices); i++) {
		if (devices[i].rdev != inode->rdev)
			continue;
		file->ops = devices[i].ops;
		if (file->ops == &tty_ops)
			file->poll_key = tty_key;
		return 0;
	}
	return -ENXIO;
}

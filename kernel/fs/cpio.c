/* SPDX-License-Identifier: MIT */
/*
 * The archive that becomes the first files: cpio(5), "New ASCII Format", as the kernel of Linux takes it for an initramfs
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Every number in it is suspect.
 */
#include "fs/fs.h"
#include "fs/inflate.h"

#define HEADER 110u

/* Fields of eight hexadecimal digits behind the magic number. */
enum { INO, MODE, UID, GID, NLINK, MTIME, FILESIZE, DEV_MAJOR, DEV_MINOR };
enum { RDEV_MAJOR = DEV_MINOR + 1, RDEV_MINOR, NAMESIZE, CHECK, NR_FIELDS };

static bool read_fields(const uint8_t *header, uint32_t field[NR_FIELDS])
{
	unsigned i, k;

	if (memcmp(header, "070701", 6) && memcmp(header, "070702", 6))
		return false;
	for (i = 0; i < NR_FIELDS; i++) {
		field[i] = 0;
		for (k = 0; k < 8; k++) {
			uint8_t c = header[6 + 8 * i + k], digit;

			if (c >= '0' && c <= '9')
				digit = c - '0';
			else if ((c | 32) >= 'a' && (c | 32) <= 'f')
				digit = (uint8_t)((c | 32) - 'a' + 10);
			else
				return false;
			field[i] = field[i] << 4 | digit;
		}
	}
	return true;
}

/* Directories on the way, where the archive has them not. */
static void make_parents(char *path)
{
	char *p;

	for (p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)fs_create(NULL, path, S_IFDIR | 0755, 0, NULL);
		*p = '/';
	}
}

/* Hard links: the files of more than one name that have been made, by number. */
#define MAX_SHARED 256

struct shared {
	uint32_t ino, major, minor;
	char *path;
};

struct unpacking {
	struct shared shared[MAX_SHARED];
	unsigned nr_shared;
};

static int make_regular(struct unpacking *u, const char *path, const uint32_t *field,
			const uint8_t *data)
{
	struct inode *inode;
	uint64_t done = 0;
	unsigned i;
	int err;

	for (i = 0; field[NLINK] > 1 && i < u->nr_shared; i++) {
		if (u->shared[i].ino != field[INO] || u->shared[i].major != field[DEV_MAJOR] ||
		    u->shared[i].minor != field[DEV_MINOR])
			continue;
		err = fs_link(NULL, u->shared[i].path, NULL, path, false);
		break;
	}
	if (field[NLINK] <= 1 || i == u->nr_shared) {
		err = fs_create(NULL, path, field[MODE] & (S_IFMT | 07777), 0, NULL);
		if (!err && field[NLINK] > 1 && u->nr_shared < MAX_SHARED) {
			u->shared[u->nr_shared] = (struct shared){field[INO], field[DEV_MAJOR],
								  field[DEV_MINOR], kstrdup(path)};
			u->nr_shared += u->shared[u->nr_shared].path != NULL;
		}
	}
	if (!err)
		err = path_lookup(NULL, path, LOOKUP_NOFOLLOW, &inode);
	if (err)
		return err;
	while (!err && done < field[FILESIZE]) {
		int64_t n = quire_object_write(&inode->object, done, data + done,
					       field[FILESIZE] - done);

		if (n <= 0)
			err = n ? (int)n : -EIO;
		else
			done += (uint64_t)n;
	}
	inode->uid = field[UID];
	inode->gid = field[GID];
	inode->mtime = (int64_t)field[MTIME] * 1000000000;
	inode_put(inode);
	return err;
}

static int make_one(struct unpacking *u, char *path, const uint32_t *field, const uint8_t *data)
{
	uint32_t type = field[MODE] & S_IFMT;
	char *target;
	int err;

	make_parents(path);
	switch (type) {
	case S_IFREG:
		return make_regular(u, path, field, data);
	case S_IFLNK:
		if (!field[FILESIZE] || field[FILESIZE] >= PATH_MAX)
			return -EINVAL;
		target = quire_kmalloc(Q, field[FILESIZE] + 1, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
		if (!target)
			return -ENOMEM;
		memcpy(target, data, field[FILESIZE]);
		err = fs_create(NULL, path, S_IFLNK | 0777, 0, target);
		quire_kfree(Q, target);
		return err;
	case S_IFDIR:
		err = fs_create(NULL, path, field[MODE] & (S_IFMT | 07777), 0, NULL);
		return err == -EEXIST ? 0 : err;
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
		return fs_create(NULL, path, field[MODE] & (S_IFMT | 07777),
				 field[RDEV_MAJOR] << 8 | field[RDEV_MINOR], NULL);
	default:
		return 0;
	}
}

static int unpack(const uint8_t *data, uint64_t size)
{
	struct unpacking *u = quire_kmalloc(Q, sizeof(*u), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	char *path = quire_kmalloc(Q, PATH_MAX + 1, QUIRE_GFP_KERNEL);
	uint64_t at = 0;
	int err = u && path ? 0 : -ENOMEM;

	while (!err) {
		uint32_t field[NR_FIELDS];
		uint64_t name, content, skip;

		if (size - at < HEADER || !read_fields(data + at, field)) {
			err = -EINVAL;
			break;
		}
		name = at + HEADER;
		content = (name + field[NAMESIZE] + 3) & ~3ull;
		if (!field[NAMESIZE] || field[NAMESIZE] > PATH_MAX - 1 || content > size ||
		    field[FILESIZE] > size - content || data[name + field[NAMESIZE] - 1]) {
			err = -EINVAL;
			break;
		}
		if (!strcmp((const char *)data + name, "TRAILER!!!"))
			break;
		/* "./bin/x", "bin/x" and "/bin/x" are the same file. */
		skip = data[name] == '.' && (data[name + 1] == '/' || !data[name + 1]) ? 1 : 0;
		path[0] = '/';
		memcpy(path + 1, data + name + skip, field[NAMESIZE] - skip);
		if (path[1])
			err = make_one(u, path, field, data + content);
		if (err == -EEXIST)
			err = 0;
		at = (content + field[FILESIZE] + 3) & ~3ull;
		if (at > size)
			err = -EINVAL;
	}
	while (u && u->nr_shared)
		quire_kfree(Q, u->shared[--u->nr_shared].path);
	quire_kfree(Q, u);
	quire_kfree(Q, path);
	return err;
}

void initramfs_unpack(const uint8_t *data, size_t size)
{
	struct inflate *work = NULL;
	uint8_t *plain = NULL;
	size_t room;
	const char *wrong;
	int err;

	if (gzip_room(data, size, &room)) {
		work = quire_vmalloc(Q, sizeof(*work));
		plain = work && room ? quire_vmalloc(Q, room) : NULL;
		wrong = plain ? gunzip(work, data, size, plain, room)
			      : "no memory for what it says";
		if (wrong) {
			printk("initramfs: gzip, %zu bytes of %zu: %s\n", size, room, wrong);
			room = 0;
		}
		data = plain;
		size = room;
	}
	err = size ? unpack(data, size) : 0;
	if (err)
		printk("initramfs: error %d, what came before it is there\n", err);
	quire_vfree(Q, plain);
	quire_vfree(Q, work);
}

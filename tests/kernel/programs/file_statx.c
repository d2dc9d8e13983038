/* SPDX-License-Identifier: MIT */
/* statx: what was asked for, of a name, a link and a descriptor. */
#include "say.h"

/* The first part of what statx fills in. */
struct answer {
	uint32_t mask, block_size;
	uint64_t attributes;
	uint32_t links, user, group;
	uint16_t mode, spare;
	uint64_t number, size, blocks, attributes_mask;
	struct {
		int64_t seconds;
		uint32_t nanoseconds, spare;
	} accessed, born, changed, modified;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	char rest[112];
};

enum { BASIC = 0x7ff, EMPTY_PATH = 0x1000 };

static long statx_of(int fd, const char *path, int flags, unsigned mask, void *to)
{
	return syscall(SYS_statx, fd, path, flags, mask, to);
}

int main(void)
{
	char path[] = "/tmp/file_statx.XXXXXX", link[40];
	int fd = mkstemp(path);
	struct answer one, two;
	struct stat stat;

	must(fd >= 0 && write(fd, "12345", 5) == 5 && fstat(fd, &stat) == 0);
	want("size of the structure", sizeof(one), 256);
	want("statx", statx_of(AT_FDCWD, path, 0, BASIC, &one), 0);
	fact("all basic fields", (one.mask & BASIC) == BASIC);
	fact("are those of stat", one.mode == stat.st_mode && one.size == 5 && one.links == 1 &&
					  one.number == (uint64_t)stat.st_ino &&
					  one.user == stat.st_uid &&
					  one.modified.seconds == stat.st_mtime);
	want("of a descriptor", statx_of(fd, "", EMPTY_PATH, BASIC, &two), 0);
	fact("the same", two.number == one.number && two.dev_major == one.dev_major &&
				 two.dev_minor == one.dev_minor);
	snprintf(link, sizeof(link), "%s.link", path);
	must(symlink(path, link) == 0);
	want("through a link", statx_of(AT_FDCWD, link, 0, BASIC, &two), 0);
	fact("the same", two.number == one.number);
	want("of the link", statx_of(AT_FDCWD, link, AT_SYMLINK_NOFOLLOW, BASIC, &two), 0);
	fact("another", two.number != one.number && S_ISLNK(two.mode));
	want("of a device", statx_of(AT_FDCWD, "/dev/null", 0, BASIC, &two), 0);
	fact("its number", two.rdev_major == 1 && two.rdev_minor == 3);
	want("an empty name", statx_of(fd, "", 0, BASIC, &two), -ENOENT);
	want("unknown flags", statx_of(AT_FDCWD, path, 1, BASIC, &two), -EINVAL);
	want("a mask that is kept for later", statx_of(AT_FDCWD, path, 0, 0x80000000u, &two),
	     -EINVAL);
	want("to nowhere", statx_of(AT_FDCWD, path, 0, BASIC, nowhere()), -EFAULT);
	unlink(path);
	unlink(link);
	return finish();
}

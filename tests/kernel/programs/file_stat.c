/* SPDX-License-Identifier: MIT */
/* stat and its kin: what they say of files, directories, links, pipes and devices. */
#include "say.h"
#include <sys/statfs.h>
#include <sys/sysmacros.h>

static char dir[] = "/tmp/file_stat.XXXXXX";

/* What the library does not look at. */
static long bare_stat(const char *path, void *to)
{
#ifdef SYS_newfstatat
	return syscall(SYS_newfstatat, AT_FDCWD, path, to, 0);
#else
	return syscall(SYS_fstatat64, AT_FDCWD, path, to, 0);
#endif
}

int main(void)
{
	struct stat one, two;
	struct statfs fs;
	int fd, fds[2];
	time_t now = time(NULL);

	must(mkdtemp(dir) && chdir(dir) == 0);
	umask(0);
	must((fd = open("file", O_RDWR | O_CREAT, 0640)) >= 0 && write(fd, "12345", 5) == 5);
	want("stat", stat("file", &one), 0);
	want("fstat", fstat(fd, &two), 0);
	fact("say the same",
	     one.st_ino == two.st_ino && one.st_dev == two.st_dev && one.st_mode == two.st_mode);
	want("mode", one.st_mode, S_IFREG | 0640);
	want("size", one.st_size, 5);
	want("links", one.st_nlink, 1);
	fact("owner", one.st_uid == geteuid());
	fact("block size", one.st_blksize >= 512);
	fact("written now", one.st_mtime >= now - 2 && one.st_mtime <= time(NULL) + 2);
	must(mkdir("directory", 0755) == 0 && symlink("file", "link") == 0);
	must(stat("directory", &one) == 0);
	want("a directory's mode", one.st_mode, S_IFDIR | 0755);
	must(lstat("link", &one) == 0);
	fact("a link", S_ISLNK(one.st_mode) && one.st_size == 4);
	must(stat("link", &one) == 0);
	fact("and what it leads to", one.st_ino == two.st_ino);
	must(fstatat(AT_FDCWD, "link", &one, AT_SYMLINK_NOFOLLOW) == 0);
	fact("fstatat", S_ISLNK(one.st_mode));
	must(fstatat(fd, "", &one, AT_EMPTY_PATH) == 0);
	fact("of an empty name", one.st_ino == two.st_ino);
	must(pipe(fds) == 0 && fstat(fds[0], &one) == 0);
	fact("a pipe", S_ISFIFO(one.st_mode));
	must(stat("/dev/null", &one) == 0);
	fact("a device", S_ISCHR(one.st_mode) && one.st_rdev == makedev(1, 3));
	must(stat("/dev/zero", &one) == 0);
	fact("another", S_ISCHR(one.st_mode) && one.st_rdev == makedev(1, 5));

	want("chmod", chmod("file", 0604), 0);
	want("fchmod", fchmod(fd, 0606), 0);
	must(stat("file", &one) == 0);
	want("mode", one.st_mode & 07777, 0606);
	want("chmod through a link", chmod("link", 0600), 0);
	must(stat("file", &one) == 0);
	want("mode", one.st_mode & 07777, 0600);
	want("what is not there", stat("nothing", &one), -ENOENT);
	want("below a file", stat("file/x", &one), -ENOTDIR);
	want("to nowhere", bare_stat("file", nowhere()), -EFAULT);
	want("of a bad number", fstat(99, &one), -EBADF);
	want("statfs", statfs(".", &fs), 0);
	fact("has blocks and long names",
	     fs.f_bsize >= 512 && fs.f_namelen >= 255 && fs.f_bfree <= fs.f_blocks);
	want("statfs of nothing", statfs("nothing", &fs), -ENOENT);
	want("gone", unlink("file") | unlink("link") | rmdir("directory") | rmdir(dir), 0);
	return finish();
}

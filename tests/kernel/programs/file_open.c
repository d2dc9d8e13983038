/* SPDX-License-Identifier: MIT */
/* open: its flags, who may do what with what was opened, and what it refuses. */
#include "say.h"

static char dir[] = "/tmp/file_open.XXXXXX";

static mode_t mode_of(const char *path)
{
	struct stat stat;

	must(lstat(path, &stat) == 0);
	return stat.st_mode & 07777;
}

int main(void)
{
	char byte, long_name[300];
	int fd, other;

	must(mkdtemp(dir) && chdir(dir) == 0);
	umask(022);
	want("what is not there", open("file", O_RDWR), -ENOENT);
	fact("O_CREAT", (fd = open("file", O_RDWR | O_CREAT, 0666)) >= 0);
	want("its mode", mode_of("file"), 0644);
	want("write", write(fd, "hello", 5), 5);
	want("O_CREAT and O_EXCL", open("file", O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
	fact("O_CREAT of what is there", (other = open("file", O_RDONLY | O_CREAT, 0600)) >= 0);
	want("read", read(other, &byte, 1), 1);
	want("write to what is open for reading", write(other, "x", 1), -EBADF);
	close(other);
	fact("O_APPEND", (other = open("file", O_WRONLY | O_APPEND)) >= 0);
	want("writes", write(other, " world", 6), 6);
	want("at the end, wherever it was set", (lseek(other, 0, SEEK_SET), write(other, "!", 1)),
	     1);
	want("length", lseek(fd, 0, SEEK_END), 12);
	want("read from what is open for writing", read(other, &byte, 1), -EBADF);
	close(other);
	fact("O_TRUNC", (other = open("file", O_WRONLY | O_TRUNC)) >= 0);
	want("length", lseek(fd, 0, SEEK_END), 0);
	close(other);
	fact("creat", (other = creat("second", 0400)) >= 0);
	want("its mode", mode_of("second"), 0400);
	want("can be written all the same", write(other, "x", 1), 1);
	close(other);

	must(mkdir("directory", 0755) == 0 && symlink("file", "link") == 0 &&
	     symlink("nowhere", "dangling") == 0);
	want("a directory to be written", open("directory", O_RDWR), -EISDIR);
	want("a directory made", open("directory", O_RDONLY | O_CREAT, 0600), -EISDIR);
	fact("to be read", (other = open("directory", O_RDONLY | O_DIRECTORY)) >= 0);
	want("read", read(other, &byte, 1), -EISDIR);
	fact("openat", (fd = openat(other, "inner", O_RDWR | O_CREAT, 0600)) >= 0 &&
			       access("directory/inner", F_OK) == 0);
	want("openat below a file", openat(fd, "x", O_RDONLY), -ENOTDIR);
	want("O_DIRECTORY of a file", open("file", O_RDONLY | O_DIRECTORY), -ENOTDIR);
	want("below a file", open("file/x", O_RDONLY), -ENOTDIR);
	want("a file as a directory", open("file/", O_RDONLY), -ENOTDIR);
	fact("a link", (fd = open("link", O_RDONLY)) >= 0);
	want("O_NOFOLLOW", open("link", O_RDONLY | O_NOFOLLOW), -ELOOP);
	want("a link to nowhere", open("dangling", O_RDONLY), -ENOENT);
	want("with O_EXCL", open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
	fact("O_CREAT makes what it is a link to",
	     (fd = open("dangling", O_RDWR | O_CREAT, 0600)) >= 0 && access("nowhere", F_OK) == 0);
	memset(long_name, 'n', 256);
	long_name[256] = 0;
	want("a long name", open(long_name, O_RDONLY | O_CREAT, 0600), -ENAMETOOLONG);
	long_name[255] = 0;
	fact("one of 255", (fd = open(long_name, O_RDONLY | O_CREAT, 0600)) >= 0);
	want("an empty name", open("", O_RDONLY), -ENOENT);
	want("a name from nowhere", syscall(SYS_openat, AT_FDCWD, nowhere(), O_RDONLY), -EFAULT);
	unlink(long_name);
	unlink("nowhere");
	unlink("dangling");
	unlink("link");
	unlink("directory/inner");
	unlink("second");
	unlink("file");
	want("all is gone", rmdir("directory") | rmdir(dir), 0);
	return finish();
}

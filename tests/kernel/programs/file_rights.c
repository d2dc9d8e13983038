/* SPDX-License-Identifier: MIT */
/* Permissions: what nobody may read, write, search and execute, and what access says of it. */
#include "say.h"

static char dir[] = "/tmp/file_rights.XXXXXX";

static void make(const char *name, mode_t mode)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	must(fd >= 0 && write(fd, name, strlen(name)) > 0 && fchmod(fd, mode) == 0 &&
	     close(fd) == 0);
}

int main(void)
{
	int fd;

	drop_rights();
	umask(0);
	must(mkdtemp(dir) && chdir(dir) == 0);
	make("read", 0400);
	make("write", 0200);
	make("none", 0);
	make("group", 0077); /* for everybody but us */
	must(mkdir("closed", 0700) == 0 && mkdir("listed", 0700) == 0);
	make("closed/file", 0600);
	make("listed/file", 0600);
	must(chmod("closed", 0300) == 0 && chmod("listed", 0500) == 0);

	fact("to be read: reading", (fd = open("read", O_RDONLY)) >= 0 && close(fd) == 0);
	want("writing", open("read", O_WRONLY), -EACCES);
	want("both", open("read", O_RDWR), -EACCES);
	want("truncating", truncate("read", 0), -EACCES);
	fact("to be written: writing", (fd = open("write", O_WRONLY)) >= 0 && close(fd) == 0);
	want("reading", open("write", O_RDONLY), -EACCES);
	want("nothing: reading", open("none", O_RDONLY), -EACCES);
	want("the owner's bits count for the owner", open("group", O_RDONLY), -EACCES);
	want("access: reading", access("read", R_OK), 0);
	want("writing", access("read", W_OK), -EACCES);
	want("executing", access("read", X_OK), -EACCES);
	want("being there", access("none", F_OK), 0);
	want("both of two", access("read", R_OK | W_OK), -EACCES);
	want("what is no right", access("read", 64), -EINVAL);
	want("faccessat", faccessat(AT_FDCWD, "write", W_OK, 0), 0);

	fact("a directory to be searched: what one knows",
	     (fd = open("closed/file", O_RDONLY)) >= 0 && close(fd) == 0);
	want("listing", open("closed", O_RDONLY), -EACCES);
	fact("making", (fd = creat("closed/new", 0600)) >= 0 && close(fd) == 0);
	want("removing", unlink("closed/new"), 0);
	fact("one to be read: listing", (fd = open("listed", O_RDONLY)) >= 0 && close(fd) == 0);
	want("making", creat("listed/new", 0600), -EACCES);
	want("removing", unlink("listed/file"), -EACCES);
	want("renaming", rename("listed/file", "listed/other"), -EACCES);
	must(chmod("listed", 0600) == 0);
	want("not to be searched: reading", open("listed/file", O_RDONLY), -EACCES);
	want("stat", access("listed/file", F_OK), -EACCES);
	want("chdir", chdir("listed"), -EACCES);
	want("executing what may not be", execl("read", "read", NULL), -EACCES);
	want("chmod of what is another's", chmod("/", 0700) < 0, 1);
	want("chown to another", chown("read", 0, 0), -EPERM);
	want("to ourselves", chown("read", geteuid(), getegid()), 0);

	must(chmod("listed", 0700) == 0 && chmod("closed", 0700) == 0);
	umask(077);
	must((fd = creat("masked", 0777)) >= 0 && close(fd) == 0 && mkdir("masked dir", 0777) == 0);
	fact("umask holds for files", access("masked", X_OK) == 0 && umask(077) == 077);
	want("gone",
	     unlink("read") | unlink("write") | unlink("none") | unlink("group") |
		     unlink("masked") | unlink("closed/file") | unlink("listed/file") |
		     rmdir("masked dir") | rmdir("closed") | rmdir("listed") | rmdir(dir),
	     0);
	return finish();
}

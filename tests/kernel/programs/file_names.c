/* SPDX-License-Identifier: MIT */
/* Names: rename, link, symlink, unlink, unlink of what is open, mkdir and rmdir, and what each refuses. */
#include "say.h"

static char dir[] = "/tmp/file_names.XXXXXX";

static void make(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static const char *content(const char *name)
{
	static char text[64];

	if (access(name, F_OK))
		return error_name(errno);
	text_of(name, text, sizeof(text));
	return text;
}

static ino_t number(const char *name)
{
	struct stat stat;

	must(lstat(name, &stat) == 0);
	return stat.st_ino;
}

static long links(const char *name)
{
	struct stat stat;

	must(lstat(name, &stat) == 0);
	return (long)stat.st_nlink;
}

int main(void)
{
	char text[64] = "";
	struct stat stat;
	ino_t ino;
	int fd;

	must(mkdtemp(dir) && chdir(dir) == 0);
	make("a", "A");
	make("b", "B");
	ino = number("a");
	want("link", link("a", "c"), 0);
	fact("is the same file", number("c") == ino && links("a") == 2);
	want("link to what is there", link("a", "b"), -EEXIST);
	want("rename between two names of a file", rename("a", "c"), 0);
	want_text("does nothing", content("a"), "A");
	want("rename", rename("a", "d"), 0);
	want_text("gone from here", content("a"), "ENOENT");
	fact("to there", number("d") == ino);
	want("rename over another", rename("d", "b"), 0);
	want_text("replaces it", content("b"), "A");
	want("unlink", unlink("c"), 0);
	want("links", links("b"), 1);
	want("unlink again", unlink("c"), -ENOENT);

	must((fd = open("b", O_RDWR)) >= 0);
	want("unlink of what is open", unlink("b"), 0);
	want("it can be read", pread(fd, text, 4, 0), 1);
	want("and written", pwrite(fd, "xyz", 3, 1), 3);
	must(fstat(fd, &stat) == 0);
	fact("it has no links and its size", stat.st_nlink == 0 && stat.st_size == 4);
	make("b", "new");
	want_text("which has its own", content("b"), "new");
	close(fd);

	want("symlink", symlink("b", "s"), 0);
	want("readlink", readlink("s", text, 64), 1);
	want_text("of it", content("s"), "new");
	must(lstat("s", &stat) == 0);
	fact("is a link as long as its text", S_ISLNK(stat.st_mode) && stat.st_size == 1);
	want("readlink of a file", readlink("b", text, 64), -EINVAL);
	want("a short buffer", (symlink("a long target", "t"), readlink("t", text, 6)), 6);
	fact("has the beginning", !memcmp(text, "a long", 6));
	want("rename of a link", rename("s", "s2"), 0);
	want("is of the link", readlink("s2", text, 64), 1);
	must(symlink("loop", "loop") == 0);
	want("a link to itself", open("loop", O_RDONLY), -ELOOP);
	want("unlink of a link", unlink("loop") | unlink("s2") | unlink("t"), 0);
	want_text("leaves the file", content("b"), "new");

	want("mkdir", mkdir("x", 0700) | mkdir("x/y", 0700) | mkdir("z", 0700), 0);
	want("again", mkdir("x", 0700), -EEXIST);
	want("below what is not there", mkdir("q/r", 0700), -ENOENT);
	want("rmdir of what is not empty", rmdir("x"), -ENOTEMPTY);
	want("rmdir of a file", rmdir("b"), -ENOTDIR);
	want("unlink of a directory", unlink("x/y"), -EISDIR);
	want("rename into itself", rename("x", "x/y/x"), -EINVAL);
	want("rename of a directory over a file", rename("x", "b"), -ENOTDIR);
	want("of a file over a directory", rename("b", "x"), -EISDIR);
	want("over a directory that is not empty", rename("z", "x"), -ENOTEMPTY);
	want("over one that is", rename("x", "z"), 0);
	fact("has moved all", access("z/y", F_OK) == 0 && access("x", F_OK) < 0);
	want("link of a directory", link("z", "l"), -EPERM);
	want("unlinkat",
	     unlinkat(AT_FDCWD, "z/y", AT_REMOVEDIR) | unlinkat(AT_FDCWD, "z", AT_REMOVEDIR), 0);
	want("rmdir of .", rmdir("."), -EINVAL);
	want("the last", unlink("b"), 0);
	want("and the directory", rmdir(dir), 0);
	want("in which nothing can be made now", open("n", O_CREAT | O_RDWR, 0600), -ENOENT);
	return finish();
}

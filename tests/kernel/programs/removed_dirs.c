/* SPDX-License-Identifier: MIT */
/* A current directory that is removed, with the one above it: it has no name, and nothing can be made in it, but ".." leads out. */
#include "say.h"
#include <dirent.h>

static char top[] = "/tmp/removed_dirs.XXXXXX";

int main(void)
{
	struct stat st, up, above;
	char path[512];
	int fd, n = 0;
	DIR *d;

	must(mkdtemp(top) && chdir(top) == 0 && stat(".", &above) == 0);
	must(mkdir("a", 0755) == 0 && mkdir("a/b", 0755) == 0 && chdir("a/b") == 0 &&
	     stat("..", &up) == 0);
	snprintf(path, sizeof(path), "%s/a/b", top);
	want("rmdir", rmdir(path), 0);
	snprintf(path, sizeof(path), "%s/a", top);
	want("rmdir of the one above", rmdir(path), 0);
	/* Others take what has become free. */
	for (fd = 0; fd < 200; fd++) {
		snprintf(path, sizeof(path), "%s/%d", top, fd);
		must(mkdir(path, 0755) == 0);
	}
	want("stat", stat(".", &st), 0);
	want("links", st.st_nlink, 0);
	want("getcwd", syscall(SYS_getcwd, path, sizeof(path)), -ENOENT);
	want("mkdir", mkdir("x", 0755), -ENOENT);
	want("creat", creat("x", 0644), -ENOENT);
	want("access", access("x", F_OK), -ENOENT);
	d = opendir(".");
	must(d);
	while (readdir(d))
		n++;
	closedir(d);
	want("what it has", n, 0);
	want("..", stat("..", &st), 0);
	fact("is what it was", st.st_ino == up.st_ino && st.st_nlink == 0);
	want("../..", stat("../..", &st), 0);
	fact("is there", st.st_ino == above.st_ino);
	want("chdir", chdir("../.."), 0);
	must(getcwd(path, sizeof(path)));
	want_text("out of it", strcmp(path, top) ? "no" : "yes", "yes");
	for (fd = 0; fd < 200; fd++) {
		snprintf(path, sizeof(path), "%d", fd);
		must(rmdir(path) == 0);
	}
	must(chdir("/") == 0 && rmdir(top) == 0);
	return finish();
}

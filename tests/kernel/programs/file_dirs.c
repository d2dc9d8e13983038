/* SPDX-License-Identifier: MIT */
/* Directories: what getdents lists, chdir, getcwd, names by way of an open directory. */
#include "say.h"
#include <dirent.h>

static char dir[] = "/tmp/file_dirs.XXXXXX";

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What a directory has, sorted: "a, b/". */
static const char *listed(const char *path)
{
	static char said[2048];
	static char *names[64];
	struct dirent *entry;
	int n = 0, i;
	DIR *d = opendir(path);

	must(d);
	while ((entry = readdir(d)) && n < 64) {
		must(asprintf(&names[n], "%s%s", entry->d_name,
			      entry->d_type == DT_DIR	? "/"
			      : entry->d_type == DT_LNK ? "@"
							: "") > 0);
		n++;
	}
	closedir(d);
	qsort(names, (size_t)n, sizeof(names[0]), by_name);
	said[0] = 0;
	for (i = 0; i < n; i++) {
		snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s%s", i ? ", " : "",
			 names[i]);
		free(names[i]);
	}
	return said;
}

int main(void)
{
	char path[256], name[32];
	struct dirent *entry;
	int fd, i, count;
	DIR *d;

	must(mkdtemp(dir) && chdir(dir) == 0);
	must(mkdir("sub", 0700) == 0 && symlink("file", "link") == 0 &&
	     (fd = creat("file", 0600)) >= 0 && close(fd) == 0);
	want_text("here", listed("."), "../, ./, file, link@, sub/");
	want_text("in an empty one", listed("sub"), "../, ./");
	want("chdir", chdir("sub"), 0);
	must(getcwd(path, sizeof(path)));
	fact("getcwd", !strncmp(path, dir, strlen(dir)) && !strcmp(path + strlen(dir), "/sub"));
	want("up", chdir(".."), 0);
	must(getcwd(path, sizeof(path)));
	fact("getcwd", !strcmp(path, dir));
	want("a short buffer", getcwd(path, 3) ? 0 : -errno, -ERANGE);
	want("to a file", chdir("file"), -ENOTDIR);
	want("to nothing", chdir("nothing"), -ENOENT);
	must((fd = open("sub", O_RDONLY | O_DIRECTORY)) >= 0);
	want("mkdirat", mkdirat(fd, "inner", 0700), 0);
	want_text("is there", listed("sub"), "../, ./, inner/");
	want("fchdir", fchdir(fd), 0);
	want("is there", access("inner", F_OK), 0);
	want("renameat", renameat(fd, "inner", AT_FDCWD, "../moved"), 0);
	want("fchdir up", chdir(dir), 0);
	want_text("here", listed("."), "../, ./, file, link@, moved/, sub/");
	want("unlinkat", unlinkat(fd, "../moved", AT_REMOVEDIR), 0);
	close(fd);

	for (i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "sub/number-%d", i);
		must((fd = creat(name, 0600)) >= 0 && close(fd) == 0);
	}
	must((d = opendir("sub")));
	for (count = 0; (entry = readdir(d)); count++)
		;
	want("entries", count, 202);
	rewinddir(d);
	for (count = 0; (entry = readdir(d));) {
		if (entry->d_name[0] == '.')
			continue;
		must(unlinkat(dirfd(d), entry->d_name, 0) == 0);
		count++;
	}
	want("removed while they are listed", count, 200);
	closedir(d);
	want_text("left", listed("sub"), "../, ./");
	must((fd = open("sub", O_RDONLY | O_DIRECTORY)) >= 0 && rmdir("sub") == 0);
	want("a directory that is gone lists", syscall(SYS_getdents64, fd, path, sizeof(path)),
	     -ENOENT);
	want("a file does not list",
	     syscall(SYS_getdents64, open("file", O_RDONLY), path, sizeof(path)), -ENOTDIR);
	want("no room", syscall(SYS_getdents64, open(".", O_RDONLY), path, 1), -EINVAL);
	want("gone", unlink("file") | unlink("link") | rmdir(dir), 0);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* /proc/self: exe, cmdline, environ, fd, comm, stat, and that it is ours. */
#include "say.h"
#include <dirent.h>

static int second(int argc, char **argv)
{
	char text[4096], path[64], link[256];
	struct dirent *entry;
	struct stat one, two;
	int fd = open("/dev/null", O_RDWR), numbers = 0;
	size_t length;
	ssize_t n;
	long pid, parent;
	char state, *end;
	DIR *d;

	length = text_of("/proc/self/cmdline", text, sizeof(text));
	fact("cmdline has all arguments",
	     length == 23 && !memcmp(text, "proc_self\0\0second word", 23));
	must((n = readlink("/proc/self/exe", link, sizeof(link) - 1)) > 0);
	link[n] = 0;
	fact("exe leads to the program",
	     strrchr(link, '/') && !strcmp(strrchr(link, '/'), "/proc_self"));
	fact("it can be opened", stat("/proc/self/exe", &one) == 0 && stat(link, &two) == 0 &&
					 one.st_ino == two.st_ino);
	must((n = readlink("/proc/self", link, sizeof(link) - 1)) > 0);
	link[n] = 0;
	want("self is our number", atoi(link) == getpid(), 1);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)getpid());
	fact("the same by number", text_of(path, text, sizeof(text)) == length);
	text_of("/proc/self/stat", text, sizeof(text));
	end = strrchr(text, ')');
	must(end && sscanf(end, ") %c %ld", &state, &parent) == 2 &&
	     sscanf(text, "%ld (", &pid) == 1);
	fact("stat", pid == getpid() && parent == getppid() && state == 'R' &&
			     !strncmp(strchr(text, '('), "(proc_self)", 11));

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must((n = readlink(path, link, sizeof(link) - 1)) > 0);
	link[n] = 0;
	want_text("fd", link, "/dev/null");
	must((d = opendir("/proc/self/fd")));
	while ((entry = readdir(d)))
		numbers += atoi(entry->d_name) == fd || atoi(entry->d_name) == dirfd(d);
	closedir(d);
	want("lists those that are open", numbers, 2);
	want("one that is not", readlink("/proc/self/fd/99", link, 10), -ENOENT);
	want("reading our memory's map from the middle",
	     (fd = open("/proc/self/maps", O_RDONLY)) >= 0 && pread(fd, text, 10, 5) == 10, 1);
	must((fd = open("/proc/self/oom_score_adj", O_RDWR)) >= 0);
	want("oom_score_adj", write(fd, "500", 3), 3);
	must(text_of("/proc/self/oom_score_adj", text, sizeof(text)) > 0);
	want("read", atoi(text), 500);
	want("too much", pwrite(fd, "1001", 4, 0), -EINVAL);
	want("no such process", open("/proc/999999999/maps", O_RDONLY), -ENOENT);
	want("no such file", open("/proc/self/there is none", O_RDONLY), -ENOENT);
	return finish();
}

int main(int argc, char **argv)
{
	char link[256];
	ssize_t n;

	if (argc > 1)
		return second(argc, argv);
	/* By its own name, for what is said of that. */
	must((n = readlink("/proc/self/exe", link, sizeof(link) - 1)) > 0);
	link[n] = 0;
	execl(link, "proc_self", "", "second word", NULL);
	must(!"execl");
	return 1;
}

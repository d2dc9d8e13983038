/* SPDX-License-Identifier: MIT */
/* execveat: a program by its descriptor, or by a name from a directory; and the name that a file without one keeps. */
#include "say.h"

#define AT_NOTHING_ELSE (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)

static char *const no_words[] = {NULL};

static long run(int fd, const char *name, const char *word, int flags)
{
	char *const words[] = {"execveat", (char *)(uintptr_t)word, NULL};

	return syscall(SYS_execveat, fd, name, words, no_words, flags);
}

static void by_descriptor(void *fd)
{
	run(*(int *)fd, "", "by its descriptor", AT_EMPTY_PATH);
}

static void by_name(void *fd)
{
	run(*(int *)fd, "program", "by its name", 0);
}

static void by_link(void *fd)
{
	run(*(int *)fd, "link", "by a link to it", 0);
}

/* The program has been executed: how, and from what. */
static int executed(const char *how)
{
	char path[256] = "";

	must(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	say("executed %s, which was %s", how, path);
	return 7;
}

int main(int argc, char **argv)
{
	char text[65536], name[64];
	int program, from, directory, again;
	ssize_t n;
	void *p;

	if (argc > 1)
		return executed(argv[1]);
	program = memfd_create("program", MFD_CLOEXEC);
	from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	must(program >= 0 && from >= 0);
	while ((n = read(from, text, sizeof(text))) > 0)
		must(write(program, text, (size_t)n) == n);
	want_end("a program in memory", start(by_descriptor, &program), "exit 7");

	must(mkdir("/tmp/execveat", 0700) == 0);
	directory = open("/tmp/execveat", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(directory >= 0 && symlinkat("program", directory, "link") == 0);
	want("a link to nothing", run(directory, "link", "", 0), -ENOENT);
	again = openat(directory, "program", O_RDWR | O_CREAT | O_CLOEXEC, 0700);
	must(again >= 0 && close(again) == 0);
	want("an empty file", run(directory, "program", "", 0), -ENOEXEC);
	again = openat(directory, "program", O_WRONLY | O_CLOEXEC);
	lseek(from, 0, SEEK_SET);
	while ((n = read(from, text, sizeof(text))) > 0)
		must(write(again, text, (size_t)n) == n);
	must(close(again) == 0);
	want_end("in a directory", start(by_name, &directory), "exit 7");
	want_end("through a link", start(by_link, &directory), "exit 7");
	want("a link itself", run(directory, "link", "", AT_SYMLINK_NOFOLLOW), -ELOOP);
	want("the directory itself", run(directory, "", "", AT_NOTHING_ELSE), -EACCES);
	want("no descriptor", run(-1, "", "", AT_EMPTY_PATH), -EBADF);
	want("from no descriptor", run(-1, "program", "", 0), -EBADF);
	want("no name", run(directory, "", "", 0), -ENOENT);
	want("other flags", run(directory, "program", "", 1), -EINVAL);

	/* Opened anew through /proc, a file that has been removed is still what it was. */
	again = openat(directory, "removed", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(again >= 0 && ftruncate(again, PAGE) == 0 && unlinkat(directory, "removed", 0) == 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", again);
	again = open(name, O_RDONLY | O_CLOEXEC);
	must(again >= 0);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, again, 0);
	must(p != MAP_FAILED);
	text_of("/proc/self/maps", text, sizeof(text));
	fact("removed and opened again it has its name",
	     strstr(text, "/tmp/execveat/removed (deleted)\n") != NULL);
	must(unlinkat(directory, "program", 0) == 0 && unlinkat(directory, "link", 0) == 0 &&
	     rmdir("/tmp/execveat") == 0);
	return finish();
}

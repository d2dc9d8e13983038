/* SPDX-License-Identifier: MIT */
/* mount and umount2 of tmpfs and proc: what is seen, across their edges, sizes, who keeps one busy. Root's alone. */
#include "say.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>

static char top[] = "/tmp/mounts.XXXXXX";

static int try_mount(const char *at, const char *type, unsigned long flags, const char *options)
{
	return mount("source", at, type, flags, options);
}

static int touch(const char *path)
{
	int fd = open(path, O_CREAT | O_RDWR, 0600);

	return fd < 0 ? -1 : close(fd);
}

/* The line of a file of mounts whose field of that number is the path at: its fields, one behind the other. */
static const char *line_of(const char *file, int field, const char *at)
{
	static char text[65536];
	char *line, *next, *found = NULL, name[512];
	int i, length;

	text_of(file, text, sizeof(text));
	for (line = text; line && *line; line = next) {
		const char *p = line;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		for (i = 0; i < field && p; i++)
			p = strchr(p, ' ') ? strchr(p, ' ') + 1 : NULL;
		if (p && sscanf(p, "%511s%n", name, &length) == 1 && !strcmp(name, at))
			found = line;
	}
	return found ? found : "not there";
}

static void errors(void)
{
	must(touch("file") == 0);
	want("no type", try_mount("a", NULL, 0, NULL), -EINVAL);
	want("an unknown type", try_mount("a", "nothing", 0, NULL), -ENODEV);
	want("no such place", try_mount("nowhere", "tmpfs", 0, NULL), -ENOENT);
	want("over a file", try_mount("file", "tmpfs", 0, NULL), -ENOTDIR);
	want("an unknown option", try_mount("a", "tmpfs", 0, "colour=red"), -EINVAL);
	want("a size that is none", try_mount("a", "tmpfs", 0, "size=large"), -EINVAL);
	want("a bad address", syscall(SYS_mount, 8, "a", "tmpfs", 0, NULL), -EFAULT);
	want("umount of a directory", umount2("a", 0), -EINVAL);
	want("of a file", umount2("file", 0), -EINVAL);
	want("of nothing", umount2("nowhere", 0), -ENOENT);
	want("unknown flags", umount2("a", 0x100), -EINVAL);
}

static void edges(void)
{
	struct stat below, above, st;
	char cwd[256];

	must(touch("a/below") == 0 && mkdir("a/dir", 0700) == 0 && stat("a", &below) == 0);
	want("mount", try_mount("a", "tmpfs", 0, "size=64k,mode=711"), 0);
	must(stat("a", &above) == 0);
	fact("another device", above.st_dev != below.st_dev);
	fact("mode and links", above.st_mode == (S_IFDIR | 0711) && above.st_nlink == 2);
	want("what is below", access("a/below", F_OK), -ENOENT);
	want("..", stat("a/..", &st), 0);
	must(stat(".", &below) == 0);
	fact("leads out", st.st_ino == below.st_ino && st.st_dev == below.st_dev);
	must(mkdir("a/in", 0755) == 0 && chdir("a/in") == 0);
	must(getcwd(cwd, sizeof(cwd)));
	fact("the way there",
	     !strncmp(cwd, top, strlen(top)) && !strcmp(cwd + strlen(top), "/a/in"));
	want("a directory of somebody", umount2(top, MNT_DETACH), -EINVAL);
	must(chdir("../..") == 0 && getcwd(cwd, sizeof(cwd)));
	fact("and back", !strcmp(cwd, top));
	must(touch("a/new") == 0);
	want("rename across", rename("a/new", "new"), -EXDEV);
	want("link across", link("file", "a/link"), -EXDEV);
	want("rename within", rename("a/new", "a/in/new"), 0);
	want("rmdir", rmdir("a"), -EBUSY);
	want("rename of it", rename("a", "other"), -EBUSY);
	want("rename to it", rename("b", "a"), -EBUSY);
}

static void room(void)
{
	static char page[PAGE];
	struct statfs fs;
	char *p;
	int fd = open("a/large", O_CREAT | O_RDWR, 0600);
	ssize_t n;
	long written = 0;

	must(fd >= 0 && statfs("a", &fs) == 0);
	fact("16 pages, all free",
	     fs.f_blocks == 16 && fs.f_bfree == 16 && fs.f_type == 0x01021994);
	memset(page, 7, sizeof(page));
	while ((n = write(fd, page, sizeof(page))) > 0)
		written += n;
	want("then", n, -ENOSPC);
	want("written", written, 16 * PAGE);
	must(statfs("a", &fs) == 0);
	fact("none is free", fs.f_bfree == 0);
	want("over it", pwrite(fd, page, sizeof(page), 5 * PAGE), PAGE);
	want("a hole", ftruncate(fd, 20 * PAGE), 0);
	want("read", pread(fd, page, sizeof(page), 18 * PAGE), PAGE);
	fact("zeroes", all_are(page, sizeof(page), 0));
	p = mmap(NULL, 20 * PAGE, RW, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED);
	want_fault("a page that is there", p + PAGE, 'w', "fine");
	want_fault("one that has no room", p + 17 * PAGE, 'w', "SIGBUS ADRERR");
	want("shorter", ftruncate(fd, 10 * PAGE), 0);
	want("longer", ftruncate(fd, 20 * PAGE), 0);
	want_fault("now there is room", p + 17 * PAGE, 'w', "fine");
	munmap(p, 20 * PAGE);
	close(fd);
	want("unlink", unlink("a/large"), 0);
	must(statfs("a", &fs) == 0);
	fact("all are free again", fs.f_bfree == 16);
}

static void busy(void)
{
	int fd = open("a/in/new", O_RDWR);
	char *p;

	must(fd >= 0 && write(fd, "x", 1) == 1);
	want("a file is open", umount2("a", 0), -EBUSY);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED && close(fd) == 0);
	want("a file is mapped", umount2("a", 0), -EBUSY);
	must(munmap(p, PAGE) == 0 && chdir("a") == 0);
	want("a directory is current", umount2(".", 0), -EBUSY);
	must(chdir("..") == 0);
	want("one on it", try_mount("a/in", "tmpfs", 0, ""), 0);
	want("umount", umount2("a", 0), -EBUSY);
	want("a second one at the same place", try_mount("a/in", "tmpfs", 0, ""), 0);
	want("umount of it", umount2("a/in", 0), 0);
	want("of the one on it", umount2("a/in", 0), 0);
	want("no more", umount2("a/in", 0), -EINVAL);
	want("umount", umount2("a", 0), 0);
	want("what is below", access("a/below", F_OK), 0);
	want("what was above", access("a/in", F_OK), -ENOENT);
}

static void detached(void)
{
	char c = 0;
	int fd;

	must(try_mount("a", "tmpfs", 0, "") == 0 && mkdir("a/x", 0755) == 0 &&
	     try_mount("a/x", "tmpfs", 0, "") == 0);
	fd = open("a/x/file", O_CREAT | O_RDWR, 0600);
	must(fd >= 0 && write(fd, "y", 1) == 1);
	want("busy, with another on it, detached", umount2("a", MNT_DETACH), 0);
	want("what is below", access("a/below", F_OK), 0);
	want("the file", pread(fd, &c, 1, 0), 1);
	fact("is what it was", c == 'y');
	close(fd);
}

static void flags(void)
{
	static char program[] = "b/program";
	char *const argv[] = {program, NULL};
	int fd;

	must(try_mount("b", "tmpfs", MS_NODEV | MS_NOEXEC | MS_NOSUID, "") == 0);
	want("mknod", mknod("b/null", S_IFCHR | 0666, 1 << 8 | 3), 0);
	want("open", open("b/null", O_RDWR), -EACCES);
	fd = open("b/program", O_CREAT | O_RDWR, 0777);
	must(fd >= 0 && write(fd, "#!/bin/sh\n", 10) == 10 && fchmod(fd, 0777) == 0);
	want("map to execute", (long)mmap(NULL, PAGE, PROT_EXEC, MAP_PRIVATE, fd, 0), -EPERM);
	close(fd);
	want("execute", execv("b/program", argv), -EACCES);
	want("umount", umount("b"), 0);
}

static void lists(void)
{
	char path[256], line[512], source[32], at[256], type[32], options[128];
	unsigned id, parent;

	must(mkdir("a b", 0755) == 0 &&
	     try_mount("a b", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=1m") == 0);
	snprintf(path, sizeof(path), "%s/a\\040b", top);
	must(sscanf(line_of("/proc/self/mounts", 1, path), "%31s %255s %31s %127s", source, at,
		    type, options) == 4);
	want_text("mounts: source", source, "source");
	want_text("mounts: type", type, "tmpfs");
	fact("mounts: options",
	     !strncmp(options, "rw,nosuid,noexec,", 17) && strstr(options, ",size=1024k"));
	snprintf(line, sizeof(line), "%s", line_of("/proc/self/mountinfo", 4, path));
	must(sscanf(line, "%u %u", &id, &parent) == 2);
	fact("mountinfo: numbers", id != parent && strstr(line, " - tmpfs source rw,size=1024k"));
	want("umount", umount("a b"), 0);
	want_text("mounts", line_of("/proc/self/mounts", 1, path), "not there");
	want_text("mountinfo", line_of("/proc/self/mountinfo", 4, path), "not there");
}

static void proc(void)
{
	char one[4096], other[4096], number[16];
	struct statfs fs;
	struct stat st, up;
	ssize_t n;

	want("proc", try_mount("b", "proc", 0, NULL), 0);
	must(statfs("b/self", &fs) == 0);
	fact("is what it says", fs.f_type == 0x9fa0);
	n = readlink("b/self", number, sizeof(number) - 1);
	must(n > 0);
	number[n] = 0;
	fact("self", atoi(number) == getpid());
	text_of("b/self/limits", one, sizeof(one));
	text_of("/proc/self/limits", other, sizeof(other));
	want_text("the same", strcmp(one, other) ? "no" : "yes", "yes");
	must(chdir("b/self/fd") == 0 && getcwd(one, sizeof(one)));
	snprintf(other, sizeof(other), "%s/b/%d/fd", top, getpid());
	fact("the way there", !strcmp(one, other));
	must(stat("..", &st) == 0 && stat("../../..", &up) == 0);
	fact("..", (st.st_mode & S_IFMT) == S_IFDIR);
	want("busy", umount2(top, 0), -EINVAL);
	snprintf(other, sizeof(other), "%s/b", top);
	want("busy", umount2(other, 0), -EBUSY);
	want("from there", chdir("../../.."), 0);
	must(stat(".", &st) == 0);
	fact("out of it", st.st_ino == up.st_ino && st.st_dev == up.st_dev);
	want("umount", umount("b"), 0);
	want("again", try_mount("b", "proc", 0, NULL), 0);
	want("one over it", try_mount("b", "proc", 0, NULL), 0);
	want("umount", umount("b"), 0);
	want("umount", umount("b"), 0);
}

static void nobody(void *arg)
{
	drop_rights();
	want("mount as nobody", try_mount("b", "tmpfs", 0, ""), -EPERM);
	want("umount as nobody", umount2("a", 0), -EPERM);
}

int main(void)
{
	/* Nobody else sees them, where that can be had. */
	(void)unshare(CLONE_NEWNS);
	(void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
	must(mkdtemp(top) && chmod(top, 0755) == 0 && chdir(top) == 0 && mkdir("a", 0755) == 0 &&
	     mkdir("b", 0755) == 0);
	if (try_mount("b", "tmpfs", 0, NULL) != 0 || umount("b") != 0) {
		rmdir("a"), rmdir("b"), rmdir(top);
		not_here("mount");
	}
	errors();
	edges();
	room();
	busy();
	detached();
	flags();
	lists();
	proc();
	must(try_mount("a", "tmpfs", 0, "") == 0);
	want_end("nobody", start(nobody, NULL), "exit 0");
	want("umount", umount("a"), 0);
	must(unlink("a/below") == 0 && rmdir("a/dir") == 0 && rmdir("a") == 0 && rmdir("b") == 0 &&
	     rmdir("a b") == 0 && unlink("file") == 0 && chdir("/") == 0 && rmdir(top) == 0);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* execve of what is no program, or may not be executed, fails, and the process goes on. */
#include "say.h"
#include <elf.h>
#include <link.h>

static char dir[] = "/tmp/exec_errors.XXXXXX", path[64];
static char *const args[] = {"x", NULL}, *const env[] = {NULL};

/* A file of those bytes. */
static void make(const void *bytes, size_t size, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);
	must(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && fchmod(fd, mode) == 0 &&
	     close(fd) == 0);
}

int main(void)
{
	static char image[8192], own[8192], large[200000];
	static char *many[64];
	ElfW(Ehdr) *header = (ElfW(Ehdr) *)image;
	int fd, i;

	must(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	must(text_of("/proc/self/exe", own, sizeof(own)) == sizeof(own) - 1);
	want("no such file", execve(path, args, env), -ENOENT);
	want("an empty name", execve("", args, env), -ENOENT);
	want("a directory", execve(dir, args, env), -EACCES);
	want("a name from nowhere", execve(nowhere(), args, env), -EFAULT);
	make("", 0, 0700);
	want("an empty file", execve(path, args, env), -ENOEXEC);
	make("just text\n", 10, 0700);
	want("text", execve(path, args, env), -ENOEXEC);
	make(own, sizeof(own), 0600);
	want("a file that nobody may execute", execve(path, args, env), -EACCES);
	want("below a file", execve(strcat(strcpy(image, path), "/x"), args, env), -ENOTDIR);
	memset(image, 'n', 5000);
	want("a long name", execve(image, args, env), -ENAMETOOLONG);

	memcpy(image, own, sizeof(image));
	make(image, 30, 0700);
	want("half a header", execve(path, args, env), -ENOEXEC);
	make(image, sizeof(ElfW(Ehdr)), 0700);
	want("a header alone", execve(path, args, env) < 0, 1);
	header->e_ident[1] = 'x';
	make(image, sizeof(image), 0700);
	want("another magic number", execve(path, args, env), -ENOEXEC);
	memcpy(image, own, sizeof(image));
	header->e_machine = EM_SPARC;
	make(image, sizeof(image), 0700);
	want("another machine", execve(path, args, env), -ENOEXEC);
	memcpy(image, own, sizeof(image));
	header->e_type = ET_REL;
	make(image, sizeof(image), 0700);
	want("an object file", execve(path, args, env), -ENOEXEC);
	memcpy(image, own, sizeof(image));
	header->e_phentsize = 7;
	make(image, sizeof(image), 0700);
	want("program headers of another size", execve(path, args, env), -ENOEXEC);
	memcpy(image, own, sizeof(image));
	header->e_phnum = 0;
	make(image, sizeof(image), 0700);
	want("no program headers", execve(path, args, env), -ENOEXEC);
	memcpy(image, own, sizeof(image));
	header->e_phoff = 1 << 30;
	make(image, sizeof(image), 0700);
	want("program headers behind the end", execve(path, args, env) < 0, 1);

	make(own, sizeof(own), 0700);
	fd = open(path, O_WRONLY);
	must(fd >= 0);
	close(fd);
	memset(large, 'l', sizeof(large) - 1);
	for (i = 0; i < 63; i++)
		many[i] = large;
	want("an argument that is too long", execve("/proc/self/exe", (char *[]){large, NULL}, env),
	     -E2BIG);
	large[100000] = 0;
	want("too many of them", execve("/proc/self/exe", many, env), -E2BIG);
	want("arguments from nowhere", execve("/proc/self/exe", nowhere(), env), -EFAULT);
	want("one from nowhere", execve("/proc/self/exe", (char *[]){"x", nowhere(), NULL}, env),
	     -EFAULT);
	must(unlink(path) == 0 && symlink("file", path) == 0);
	want("a link to itself", execve(path, args, env), -ELOOP);
	unlink(path);
	rmdir(dir);
	say("still here");
	return finish();
}

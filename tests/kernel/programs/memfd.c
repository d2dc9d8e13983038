/* SPDX-License-Identifier: MIT */
/* memfd_create: a file without a name that can be read, written, mapped and handed on. */
#include "say.h"

static void child(void *arg)
{
	char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, *(int *)arg, 0);

	must(p != MAP_FAILED);
	want("the child sees", p[PAGE], 'b');
	p[PAGE] = 'c';
}

int main(void)
{
	int fd = memfd_create("a name", MFD_CLOEXEC), other;
	char text[4096], *p, *q;
	struct stat stat;

	must(fd >= 0);
	want("FD_CLOEXEC", fcntl(fd, F_GETFD), FD_CLOEXEC);
	must(fstat(fd, &stat) == 0);
	want("its size", stat.st_size, 0);
	fact("is a file", S_ISREG(stat.st_mode));
	want("ftruncate", ftruncate(fd, 2 * PAGE), 0);
	p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
	q = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED && q != MAP_FAILED);
	fact("all is zero", all_are(p, 2 * PAGE, 0));
	p[0] = 'a';
	want("two mappings are the same memory", q[0], 'a');
	want("write", pwrite(fd, "b", 1, PAGE), 1);
	want("is seen", q[PAGE], 'b');
	want("read", pread(fd, text, 100, PAGE), 100);
	fact("gives it and zeroes", text[0] == 'b' && all_are(text + 1, 99, 0));
	want_end("child", start(child, &fd), "exit 0");
	want("after the child", q[PAGE], 'c');

	other = memfd_create("a name", 0);
	fact("a second of the name", other >= 0 && other != fd);
	must(ftruncate(other, 1) == 0 && pread(other, text, 1, 0) == 1);
	want("is another file", text[0], 0);
	want("without MFD_CLOEXEC", fcntl(other, F_GETFD), 0);
	text_of("/proc/self/maps", text, sizeof(text));
	fact("maps has its name", strstr(text, "/memfd:a name (deleted)") != NULL);
	close(fd);
	want("after close", p[0], 'a');
	want("unknown flags", memfd_create("x", 0x4000u), -EINVAL);
	memset(text, 'n', 250);
	text[250] = 0;
	want("a long name", memfd_create(text, 0), -EINVAL);
	want("a bad name", syscall(SYS_memfd_create, nowhere(), 0), -EFAULT);
	return finish();
}

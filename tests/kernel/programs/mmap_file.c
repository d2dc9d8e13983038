/* SPDX-License-Identifier: MIT */
/* A file mapped shared and private: who sees whose writes, the last page, and what is refused. */
#include "say.h"

int main(void)
{
	char path[] = "/tmp/mmap_file.XXXXXX", text[16], *shared, *private;
	int fd = mkstemp(path), only;

	must(fd >= 0);
	must(pwrite(fd, "first page", 10, 0) == 10 && pwrite(fd, "second", 6, PAGE) == 6);
	shared = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
	private = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
	must(shared != MAP_FAILED && private != MAP_FAILED);
	fact("both have the contents",
	     !memcmp(shared, "first page", 10) && !memcmp(private + PAGE, "second", 6));
	fact("behind the end of the file is zero", all_are(shared + PAGE + 6, PAGE - 6, 0));

	memcpy(shared, "FIRST", 5);
	must(pread(fd, text, 10, 0) == 10);
	text[10] = 0;
	want_text("read after a write to shared memory", text, "FIRST page");
	fact("a private mapping not written to sees it", !memcmp(private, "FIRST", 5));
	must(pwrite(fd, "1", 1, 0) == 1);
	fact("write is seen in both", shared[0] == '1' && private[0] == '1');

	memcpy(private, "mine!", 5);
	must(pread(fd, text, 10, 0) == 10);
	want_text("read after a write to private memory", text, "1IRST page");
	must(pwrite(fd, "2", 1, 0) == 1);
	fact("its page is its own from then on",
	     !memcmp(private, "mine! page", 10) && shared[0] == '2');
	fact("its other page is not",
	     private[PAGE] == 's' && pwrite(fd, "S", 1, PAGE) == 1 && private[PAGE] == 'S');
	shared[PAGE + 100] = 'x';
	must(fstat(fd, &(struct stat){0}) == 0);
	want("writing behind the end does not make the file longer", lseek(fd, 0, SEEK_END),
	     PAGE + 6);

	munmap(shared, 2 * PAGE);
	shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	must(shared != MAP_FAILED);
	want("from the second page", shared[0], 'S');
	close(fd);
	want("after close", shared[1], 'e');
	must((only = open(path, O_RDONLY)) >= 0);
	want("shared and writable, of a file open for reading",
	     mmap(NULL, PAGE, RW, MAP_SHARED, only, 0), -EACCES);
	fact("private and writable", mmap(NULL, PAGE, RW, MAP_PRIVATE, only, 0) != MAP_FAILED);
	shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, only, 0);
	want("mprotect to write it", mprotect(shared, PAGE, RW), -EACCES);
	want("an offset that is no page's", syscall(SYS_munmap, (char *)shared + 1, PAGE), -EINVAL);
	close(only);
	must((only = open(path, O_WRONLY)) >= 0);
	want("of a file open for writing", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, only, 0),
	     -EACCES);
	want("unlink", unlink(path), 0);
	want("mapped all the same", private[PAGE], 'S');
	must(pipe((int[2]){0}) == 0);
	want("of a pipe", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, only + 1, 0), -ENODEV);
	return finish();
}

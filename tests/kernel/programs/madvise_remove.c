/* SPDX-License-Identifier: MIT */
/* MADV_REMOVE and FALLOC_FL_PUNCH_HOLE take pages out of a file under its mappings. */
#include "say.h"

#ifndef FALLOC_FL_KEEP_SIZE
#define FALLOC_FL_KEEP_SIZE 1
#define FALLOC_FL_PUNCH_HOLE 2
#endif

int main(void)
{
	int fd = file_of(6);
	char *p = mmap(NULL, 6 * PAGE, RW, MAP_SHARED, fd, 0),
	     *private = mmap(NULL, 6 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char *anonymous = pages(1), byte, name[32];
	struct stat stat;

	must(p != MAP_FAILED && private != MAP_FAILED);
	memset(p, 1, 6 * PAGE);
	private[PAGE] = 2;
	want("REMOVE", madvise(p + PAGE, 2 * PAGE, MADV_REMOVE), 0);
	fact("is zero", all_are(p, PAGE, 1) && all_are(p + PAGE, 2 * PAGE, 0) &&
				all_are(p + 3 * PAGE, 3 * PAGE, 1));
	fact("for who reads the file", pread(fd, &byte, 1, PAGE) == 1 && byte == 0);
	fact("and for private mappings that have not written",
	     all_are(private + 2 * PAGE, PAGE, 0));
	want("who has keeps its copy", private[PAGE], 2);
	must(fstat(fd, &stat) == 0);
	want("the file is as long", stat.st_size, 6 * PAGE);
	p[PAGE] = 3;
	want("what is written then stays", p[PAGE], 3);
	want("of private memory", madvise(anonymous, PAGE, MADV_REMOVE), -EINVAL);
	want("of a mapping that may not be written",
	     (mprotect(p, PAGE, PROT_READ), madvise(p, PAGE, MADV_REMOVE)), 0);

	want("punch from within a page",
	     fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE + 100, 2 * PAGE),
	     0);
	fact("to within another", all_are(p + 3 * PAGE, 100, 1) &&
					  all_are(p + 3 * PAGE + 100, 2 * PAGE, 0) &&
					  all_are(p + 5 * PAGE + 100, PAGE - 100, 1));
	want("fallocate beyond the end", fallocate(fd, 0, 6 * PAGE, 2 * PAGE), 0);
	must(fstat(fd, &stat) == 0);
	want("makes it longer", stat.st_size, 8 * PAGE);
	want("keeping the size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 8 * PAGE, PAGE), 0);
	must(fstat(fd, &stat) == 0);
	want("does not", stat.st_size, 8 * PAGE);
	want("of nothing", fallocate(fd, 0, 0, 0), -EINVAL);
	want("from below 0", fallocate(fd, 0, -1, PAGE), -EINVAL);
	want("of no file", fallocate(-1, 0, 0, PAGE), -EBADF);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	must((fd = open(name, O_RDONLY)) >= 0);
	want("of a file that is only read", fallocate(fd, 0, 0, PAGE), -EBADF);
	want("in a way that there is none, first", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE),
	     -EOPNOTSUPP);
	want("of nothing, before that", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 0), -EINVAL);
	return finish();
}

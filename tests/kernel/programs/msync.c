/* SPDX-License-Identifier: MIT */
/* msync: flags, holes, locked memory; what is written to a mapping is in the file. */
#include "say.h"

int main(void)
{
	char path[] = "/tmp/msync.XXXXXX", text[8] = "", *p;
	int fd = mkstemp(path);

	must(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0);
	p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	must(p != MAP_FAILED);
	memcpy(p + PAGE, "bytes", 5);
	want("MS_SYNC", msync(p, 4 * PAGE, MS_SYNC), 0);
	must(pread(fd, text, 5, PAGE) == 5);
	want_text("the file has it", text, "bytes");
	memcpy(p + PAGE, "again", 5);
	want("MS_ASYNC", msync(p, 4 * PAGE, MS_ASYNC), 0);
	must(pread(fd, text, 5, PAGE) == 5);
	want_text("the file has it", text, "again");
	want("MS_INVALIDATE", msync(p, 4 * PAGE, MS_INVALIDATE), 0);
	want("no flags", msync(p, 4 * PAGE, 0), 0);
	want("both ways", msync(p, 4 * PAGE, MS_SYNC | MS_ASYNC), -EINVAL);
	want("unknown flags", msync(p, 4 * PAGE, 8), -EINVAL);
	want("not at a page", msync(p + 1, PAGE, MS_SYNC), -EINVAL);
	want("of nothing", msync(p, 0, MS_SYNC), 0);
	want("a length that wraps", msync(p, (size_t)-PAGE, MS_SYNC), -ENOMEM);
	must(mlock(p, PAGE) == 0);
	want("MS_INVALIDATE of locked memory", msync(p, PAGE, MS_INVALIDATE), -EBUSY);
	want("MS_SYNC of it", msync(p, PAGE, MS_SYNC), 0);
	munmap(p + 2 * PAGE, PAGE);
	want("over a hole", msync(p, 4 * PAGE, MS_SYNC), -ENOMEM);
	want("behind it", msync(p + 3 * PAGE, PAGE, MS_SYNC), 0);
	want("private memory", msync(pages(1), PAGE, MS_SYNC), 0);
	want("fsync", fsync(fd), 0);
	want("fdatasync", fdatasync(fd), 0);
	unlink(path);
	return finish();
}

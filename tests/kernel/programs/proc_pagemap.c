/* SPDX-License-Identifier: MIT */
/* /proc/self/pagemap: which pages are there, which are of files. Frames' numbers are nobody's to know. */
#include "say.h"

static const char *present(char *p, size_t count)
{
	static char said[32];
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;
	size_t i;

	must(fd >= 0);
	for (i = 0; i < count; i++) {
		must(pread(fd, &entry, 8, (off_t)((uintptr_t)p / PAGE + i) * 8) == 8);
		said[i] = !(entry >> 63) ? '-' : entry >> 61 & 1 ? 'f' : 'a';
	}
	said[count] = 0;
	close(fd);
	return said;
}

static void as_nobody(void *p)
{
	int fd;
	uint64_t entry;

	drop_rights();
	must((fd = open("/proc/self/pagemap", O_RDONLY)) >= 0 || errno == EACCES || errno == EPERM);
	if (fd >= 0)
		must(pread(fd, &entry, 8, (off_t)((uintptr_t)p / PAGE) * 8) == 8 &&
		     (entry & ((1ull << 55) - 1)) == 0);
	say("frames are not for nobody");
}

int main(void)
{
	char *p = pages(8), *q;
	int fd = file_of(4), map;
	uint64_t entry;

	want_text("untouched", present(p, 8), "--------");
	p[PAGE] = p[4 * PAGE] = 1;
	want_text("two touched", present(p, 8), "-a--a---");
	must(madvise(p + PAGE, PAGE, MADV_DONTNEED) == 0);
	want_text("one given up", present(p, 8), "----a---");
	q = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0);
	must(q != MAP_FAILED);
	q[0] = 1;
	want_text("a file's page copied", (q[0] = 1, present(q, 1)), "a");
	want("read", q[2 * PAGE], 2);
	want_text("and read", present(q + 2 * PAGE, 1), "f");
	munmap(p, 8 * PAGE);
	want_text("unmapped", present(p, 8), "--------");
	want_end("nobody", start(as_nobody, q), "exit 0");
	must((map = open("/proc/self/pagemap", O_RDONLY)) >= 0);
	want("in parts of eight", pread(map, &entry, 7, 0), -EINVAL);
	want("from a multiple of eight", pread(map, &entry, 8, 4), -EINVAL);
	return finish();
}

/* SPDX-License-Identifier: MIT */
/* lseek, pread and pwrite, holes, readv and writev; positions shared by who has the same open file. */
#include "say.h"
#include <sys/uio.h>

static void reads(void *arg)
{
	char text[4];

	must(read(*(int *)arg, text, 4) == 4 && !memcmp(text, "0123", 4));
}

int main(void)
{
	char path[] = "/tmp/file_positions.XXXXXX", text[64] = "";
	struct iovec parts[4];
	static struct iovec many[1025];
	volatile int fewer = -1;
	int fd = mkstemp(path), other;

	must(fd >= 0 && (other = open(path, O_RDONLY)) >= 0);
	want("write", write(fd, "0123456789", 10), 10);
	want("the position", lseek(fd, 0, SEEK_CUR), 10);
	want("from the start", lseek(fd, 3, SEEK_SET), 3);
	want("from here", lseek(fd, 2, SEEK_CUR), 5);
	want("back", lseek(fd, -4, SEEK_CUR), 1);
	want("from the end", lseek(fd, -2, SEEK_END), 8);
	want("before the start", lseek(fd, -11, SEEK_END), -EINVAL);
	want("stays", lseek(fd, 0, SEEK_CUR), 8);
	want("no such way", lseek(fd, 0, 99), -EINVAL);
	want("read up to the end", read(fd, text, 60), 2);
	want("at the end", read(fd, text, 60), 0);
	want("beyond it", lseek(fd, 20, SEEK_SET), 20);
	want("nothing to read", read(fd, text, 60), 0);
	want("pread", pread(fd, text, 4, 2), 4);
	fact("is from there", !memcmp(text, "2345", 4));
	want("pwrite", pwrite(fd, "X", 1, 4), 1);
	want("neither moves", lseek(fd, 0, SEEK_CUR), 20);
	want("from below 0", pread(fd, text, 1, -1), -EINVAL);
	want("write there", write(fd, "end", 3), 3);
	want("now as long", lseek(fd, 0, SEEK_END), 23);
	want("the hole", pread(fd, text, 10, 10), 10);
	fact("is zero", all_are(text, 10, 0));
	want("the other has its own position", lseek(other, 0, SEEK_CUR), 0);
	want_end("a child reads with it", start(reads, &other), "exit 0");
	want("and moves it", lseek(other, 0, SEEK_CUR), 4);
	want("far away", lseek(fd, 5000000000ll, SEEK_SET) == 5000000000ll, 1);

	parts[0] = (struct iovec){"one", 3};
	parts[1] = (struct iovec){"", 0};
	parts[2] = (struct iovec){"two", 3};
	lseek(fd, 0, SEEK_SET);
	want("writev", writev(fd, parts, 3), 6);
	parts[0] = (struct iovec){text, 2};
	parts[1] = (struct iovec){text + 10, 3};
	parts[2] = (struct iovec){text + 20, 40};
	lseek(fd, 0, SEEK_SET);
	want("readv", readv(fd, parts, 3), 23);
	fact("in parts", !memcmp(text, "on", 2) && !memcmp(text + 10, "etw", 3) &&
				 !memcmp(text + 20, "o6789", 5));
	want("preadv", preadv(fd, parts, 2, 1), 5);
	fact("from there", !memcmp(text, "ne", 2) && !memcmp(text + 10, "two", 3));
	want("pwritev", pwritev(fd, parts, 2, 30), 5);
	want("of no parts", readv(fd, parts, 0), 0);
	want("of too many", readv(fd, many, 1025), -EINVAL);
	want("of fewer than none", readv(fd, parts, fewer), -EINVAL);
	parts[1] = (struct iovec){nowhere(), 3};
	lseek(fd, 0, SEEK_SET);
	want("up to a part that is nowhere", readv(fd, parts, 3), 2);
	want("parts that are nowhere", readv(fd, nowhere(), 2), -EFAULT);
	want("the first is nowhere", writev(fd, parts + 1, 1), -EFAULT);
	unlink(path);
	return finish();
}

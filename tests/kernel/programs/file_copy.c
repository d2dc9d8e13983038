/* SPDX-License-Identifier: MIT */
/* sendfile, truncate and ftruncate, copying by way of a pipe; files as large as their holes. */
#include "say.h"
#include <sys/sendfile.h>

int main(void)
{
	char from_path[] = "/tmp/file_copy.XXXXXX", to_path[] = "/tmp/file_copy.XXXXXX",
	     text[16384];
	int from = mkstemp(from_path), to = mkstemp(to_path), fds[2], i;
	struct stat stat;
	off_t offset = 100;

	must(from >= 0 && to >= 0 && pipe(fds) == 0);
	for (i = 0; i < 10000; i++)
		text[i] = (char)(i * 7);
	must(write(from, text, 10000) == 10000);
	want("to a pipe, from an offset", sendfile(fds[1], from, &offset, 1000), 1000);
	want("the offset moves", offset, 1100);
	want("the position does not", lseek(from, 0, SEEK_CUR), 10000);
	memset(text, 0, sizeof(text));
	must(read(fds[0], text, 2000) == 1000);
	fact("bytes are those", text[0] == (char)700 && text[999] == (char)(1099 * 7));
	lseek(from, 50, SEEK_SET);
	want("to a file, from the position", sendfile(to, from, NULL, 9000), 9000);
	fact("both positions move",
	     lseek(from, 0, SEEK_CUR) == 9050 && lseek(to, 0, SEEK_CUR) == 9000);
	want("up to the end", sendfile(to, from, NULL, 9000), 950);
	want("at the end", sendfile(to, from, NULL, 9000), 0);
	must(pread(to, text, 9950, 0) == 9950);
	for (i = 0; i < 9950 && text[i] == (char)((i + 50) * 7); i++)
		;
	want("all bytes are there", i, 9950);
	want("from a pipe", sendfile(to, fds[0], NULL, 10), -EINVAL);
	want("to what is open for reading", sendfile(open(to_path, O_RDONLY), from, NULL, 1),
	     -EBADF);
	want("from a bad number", sendfile(to, 99, NULL, 1), -EBADF);
	want("an offset that is nowhere", syscall(SYS_sendfile, to, from, nowhere(), 1), -EFAULT);

	want("truncate", truncate(to_path, 5000), 0);
	want("and longer", ftruncate(to, 12000), 0);
	must(fstat(to, &stat) == 0 && pread(to, text, sizeof(text), 0) == 12000);
	want("size", stat.st_size, 12000);
	fact("the rest is zero", text[4999] == (char)(5049 * 7) && all_are(text + 5000, 7000, 0));
	want("the position stays", lseek(to, 0, SEEK_CUR), 9950);
	want("below 0", ftruncate(to, -1), -EINVAL);
	want("of no file, below 0", ftruncate(-1, -1), -EINVAL);
	want("a directory", truncate("/tmp", 0), -EISDIR);
	want("what is open for reading", ftruncate(open(to_path, O_RDONLY), 0), -EINVAL);
	want("a pipe", ftruncate(fds[1], 0), -EINVAL);
	want("what is not there", truncate("/tmp/there is no such file", 0), -ENOENT);
	want("a large hole", ftruncate(to, 3000000000u), 0);
	want("its end", pwrite(to, "end", 3, 3000000000u), 3);
	must(pread(to, text, 100, 2999999950u) == 53);
	fact("is there, zeroes before it", all_are(text, 50, 0) && !memcmp(text + 50, "end", 3));
	want("back to nothing", ftruncate(to, 0), 0);
	unlink(from_path);
	unlink(to_path);
	return finish();
}

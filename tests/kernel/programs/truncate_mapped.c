/* SPDX-License-Identifier: MIT */
/* A file made shorter under its mappings: SIGBUS beyond its end, private copies too; longer again it is zero. */
#include "say.h"

int main(void)
{
	char path[] = "/tmp/truncate_mapped.XXXXXX", *shared, *private;
	int fd = mkstemp(path);

	must(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 4 * PAGE) == 0);
	shared = mmap(NULL, 6 * PAGE, RW, MAP_SHARED, fd, 0);
	private = mmap(NULL, 6 * PAGE, RW, MAP_PRIVATE, fd, 0);
	must(shared != MAP_FAILED && private != MAP_FAILED);
	memset(shared, 1, 4 * PAGE);
	memset(private + 2 * PAGE, 2, 2 * PAGE);
	want_fault("the page behind the end", shared + 4 * PAGE, 'r', "SIGBUS ADRERR");
	want_fault("written", private + 5 * PAGE + 9, 'w', "SIGBUS ADRERR");

	want("to a page and a half", ftruncate(fd, PAGE + PAGE / 2), 0);
	want_fault("up to the page's end", shared + 2 * PAGE - 1, 'r', "fine");
	want_fault("behind it", shared + 2 * PAGE, 'r', "SIGBUS ADRERR");
	want_fault("written", shared + 3 * PAGE, 'w', "SIGBUS ADRERR");
	want_fault("a private copy is gone, too", private + 2 * PAGE, 'r', "SIGBUS ADRERR");
	fact("in the page, zero from the end on",
	     all_are(shared, PAGE + PAGE / 2, 1) && all_are(shared + PAGE + PAGE / 2, PAGE / 2, 0));

	want("to four pages", ftruncate(fd, 4 * PAGE), 0);
	fact("what comes back is zero", all_are(shared + PAGE + PAGE / 2, 2 * PAGE + PAGE / 2, 0));
	fact("in private memory, too", all_are(private + 2 * PAGE, 2 * PAGE, 0));
	want_fault("behind that", shared + 4 * PAGE, 'r', "SIGBUS ADRERR");
	want("by write", pwrite(fd, "x", 1, 5 * PAGE), 1);
	fact("longer", shared[5 * PAGE] == 'x' && all_are(shared + 4 * PAGE, PAGE, 0));
	want("to nothing", ftruncate(fd, 0), 0);
	want_fault("the first page", shared, 'r', "SIGBUS ADRERR");
	want("a call that reads there", write(open("/dev/full", O_RDWR), shared, 1) < 0, 1);
	want("a call that writes there", read(open("/dev/zero", O_RDONLY), shared, 1), -EFAULT);
	return finish();
}

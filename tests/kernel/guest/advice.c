/* SPDX-License-Identifier: MIT */
/* madvise, mincore, mlock, msync, and what they do to pages. */
#include "show.h"

#include <sys/resource.h>

#define RW (PROT_READ | PROT_WRITE)

static void discards(void)
{
	char *p = map(4, RW), name[] = "/tmp/advice-XXXXXX";
	int fd = mkstemp(name);

	memset(p, 3, 4 * PAGE);
	show("dontneed", madvise(p, 2 * PAGE, MADV_DONTNEED));
	show("reads as", p[PAGE]);
	show("what was not named", p[3 * PAGE]);
	show("in a page", madvise(p + 1, PAGE, MADV_DONTNEED));
	show("length 0", madvise(p, 0, MADV_DONTNEED));
	show("unknown advice", madvise(p, PAGE, 77));
	show("unknown advice, length 0", madvise(p, 0, 77));
	CHECK(!munmap(p + PAGE, PAGE));
	show("over a hole", madvise(p, 4 * PAGE, MADV_DONTNEED));
	show("all of it, all the same", p[3 * PAGE]);
	show("free of shared", madvise(p, PAGE, MADV_FREE));
	CHECK(!munmap(p, 4 * PAGE));

	CHECK(fd >= 0 && !ftruncate(fd, 4 * PAGE));
	p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	memset(p, 3, 4 * PAGE);
	show("dontneed of a file", madvise(p, 4 * PAGE, MADV_DONTNEED));
	show("keeps it", p[0]);
	show("free of a file", madvise(p, PAGE, MADV_FREE));
	show("remove", madvise(p, PAGE, MADV_REMOVE));
	show("is a hole", p[0]);
	show("and no more than that", p[PAGE]);
	show("msync sync", msync(p, 4 * PAGE, MS_SYNC));
	show("msync async", msync(p, 4 * PAGE, MS_ASYNC));
	show("msync both", msync(p, 4 * PAGE, MS_SYNC | MS_ASYNC));
	show("msync unknown", msync(p, 4 * PAGE, 64));
	show("msync in a page", msync(p + 1, PAGE, MS_SYNC));
	CHECK(!munmap(p + PAGE, PAGE));
	show("msync over a hole", msync(p, 4 * PAGE, MS_SYNC));
	CHECK(!munmap(p, 4 * PAGE) && !close(fd) && !unlink(name));
}

static void presence(void)
{
	unsigned char vec[4];
	char *p = map(4, RW);

	p[PAGE] = 1;
	CHECK(!mincore(p, 4 * PAGE, vec));
	printf("present: %d %d %d %d\n", vec[0] & 1, vec[1] & 1, vec[2] & 1, vec[3] & 1);
	show("populate", madvise(p, 4 * PAGE, 23 /* MADV_POPULATE_WRITE */));
	CHECK(!mincore(p, 4 * PAGE, vec));
	printf("present: %d %d %d %d\n", vec[0] & 1, vec[1] & 1, vec[2] & 1, vec[3] & 1);
	show("mincore in a page", mincore(p + 1, PAGE, vec));
	show("mincore to nowhere", mincore(p, PAGE, (void *)8));
	CHECK(!mprotect(p, PAGE, PROT_READ));
	show("populate for writing", madvise(p, PAGE, 23));
	CHECK(!munmap(p, 4 * PAGE));
	show("mincore of nothing", mincore(p, PAGE, vec));
	p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	CHECK(p != MAP_FAILED && !mincore(p, 4 * PAGE, vec));
	printf("mapped present: %d %d %d %d\n", vec[0] & 1, vec[1] & 1, vec[2] & 1, vec[3] & 1);
	CHECK(!munmap(p, 4 * PAGE));
}

static void locked(void)
{
	struct rlimit none = {0, 0}, some = {8 * PAGE, 8 * PAGE};
	unsigned char vec[4];
	char *p = map(4, RW), *q;

	if (!geteuid())
		CHECK(!setresuid(65534, 65534, 65534)); /* limits are not for root */
	CHECK(!setrlimit(RLIMIT_MEMLOCK, &some));
	show("mlock", mlock(p, 4 * PAGE));
	CHECK(!mincore(p, 4 * PAGE, vec));
	printf("locked is present: %d %d\n", vec[0] & 1, vec[3] & 1);
	show("dontneed of locked", madvise(p, PAGE, MADV_DONTNEED));
	q = map(16, RW);
	show("mlock of too much", mlock(q, 16 * PAGE));
	show("mlock of what is left", mlock(q, 4 * PAGE));
	show("and one more", mlock(q + 8 * PAGE, PAGE));
	show("munlock", munlock(p, 4 * PAGE));
	show("and one more again", mlock(q + 8 * PAGE, PAGE));
	show("mlock over nothing", mlock((void *)0x10000, PAGE));
	show("mlockall beyond the limit", mlockall(MCL_CURRENT));
	show("mlockall unknown", mlockall(64));
	show("munlockall", munlockall());
	CHECK(!setrlimit(RLIMIT_MEMLOCK, &none));
	show("mlock without leave", mlock(p, PAGE));
}

static void forks(void)
{
	char *p = map(3, RW);
	int status;
	pid_t pid;

	memset(p, 6, 3 * PAGE);
	show("dontfork", madvise(p, PAGE, MADV_DONTFORK));
	show("wipeonfork", madvise(p + PAGE, PAGE, MADV_WIPEONFORK));
	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		touch("in the child: not there", p, 0, p);
		printf("in the child: wiped %d, kept %d\n", p[PAGE], p[2 * PAGE]);
		fflush(stdout);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	show_status("forks", status);
	show("in the parent", p[PAGE]);
	CHECK(!munmap(p, 3 * PAGE));
}

int main(void)
{
	catch_faults();
	discards();
	presence();
	in_child("locked", locked);
	forks();
	return 0;
}

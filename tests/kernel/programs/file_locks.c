/* SPDX-License-Identifier: MIT */
/* fcntl's locks: between processes, by range, waiting for them, and when they go. */
#include "say.h"

static int fd, up[2], down[2];

static long lock(int command, short type, off_t from, off_t length)
{
	struct flock flock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = length};

	return fcntl(fd, command, &flock);
}

/* Who has a lock that is in the way of writing there: "nobody", "write 10+5 by the parent". */
static const char *asked(off_t from, off_t length)
{
	static char said[64];
	struct flock flock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = length};

	must(fcntl(fd, F_GETLK, &flock) == 0);
	if (flock.l_type == F_UNLCK)
		return "nobody";
	snprintf(said, sizeof(said), "%s %ld+%ld by %s", flock.l_type == F_WRLCK ? "write" : "read",
		 (long)flock.l_start, (long)flock.l_len,
		 flock.l_pid == getppid() ? "the parent" : "another");
	return said;
}

static void turn(void)
{
	char byte;

	must(write(up[1], "x", 1) == 1 && read(down[0], &byte, 1) == 1);
}

static void child(void *arg)
{
	want("the child has none of them", lock(F_SETLK, F_WRLCK, 0, 100), -EAGAIN);
	want_text("the first in the way", asked(0, 0), "write 10+10 by the parent");
	want_text("before it", asked(0, 10), "nobody");
	want_text("behind it", asked(20, 10), "nobody");
	want_text("a read lock", asked(30, 1), "read 30+0 by the parent");
	want("reading there", lock(F_SETLK, F_RDLCK, 30, 1), 0);
	want("writing there", lock(F_SETLK, F_WRLCK, 30, 1), -EAGAIN);
	want("one of its own", lock(F_SETLK, F_WRLCK, 0, 10), 0);
	turn();
	want("waiting until the parent gives it up", lock(F_SETLKW, F_WRLCK, 10, 10), 0);
}

static void closes(void *arg)
{
	want("a child locks", lock(F_SETLK, F_WRLCK, 50, 1), 0);
	turn();
}

int main(void)
{
	char path[] = "/tmp/file_locks.XXXXXX", byte;
	int other;
	pid_t pid;

	must((fd = mkstemp(path)) >= 0 && pipe(up) == 0 && pipe(down) == 0);
	want("write lock", lock(F_SETLK, F_WRLCK, 10, 10), 0);
	want("read lock to the end", lock(F_SETLK, F_RDLCK, 30, 0), 0);
	want("our own are not in our way", lock(F_SETLK, F_WRLCK, 10, 5), 0);
	pid = start(child, NULL);
	must(read(up[0], &byte, 1) == 1);
	want("the child's is in ours", lock(F_SETLK, F_WRLCK, 5, 1), -EAGAIN);
	must(write(down[1], "x", 1) == 1);
	pause_ms(5);
	must(lock(F_SETLK, F_UNLCK, 10, 10) == 0);
	want_end("child", pid, "exit 0");
	want("its locks are gone with it", lock(F_SETLK, F_WRLCK, 0, 0), 0);
	want("unlocked in the middle", lock(F_SETLK, F_UNLCK, 50, 10), 0);
	pid = start(closes, NULL);
	must(read(up[0], &byte, 1) == 1);
	want("in our way", lock(F_SETLK, F_RDLCK, 50, 1), -EAGAIN);
	must((other = open(path, O_RDONLY)) >= 0 && close(other) == 0);
	must(write(down[1], "x", 1) == 1);
	want_end("child", pid, "exit 0");
	want("after its end", lock(F_SETLK, F_RDLCK, 50, 1), 0);
	want("a write lock on what is open for reading",
	     (other = fd, fd = open(path, O_RDONLY), lock(F_SETLK, F_WRLCK, 0, 1)), -EBADF);
	close(fd);
	fd = other;
	want("no such type", lock(F_SETLK, 77, 0, 1), -EINVAL);
	want("from below 0", lock(F_SETLK, F_RDLCK, -5, 1), -EINVAL);
	unlink(path);
	return finish();
}

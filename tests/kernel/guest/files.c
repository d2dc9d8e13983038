/* SPDX-License-Identifier: MIT */
/* Files, directories, links, locks, pipes, readiness. */
#include "show.h"

#include <dirent.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/statfs.h>
#include <sys/uio.h>

static char dir[] = "/tmp/files-XXXXXX";

static void contents(void)
{
	void *volatile nowhere = (void *)8;
	struct iovec out[2] = {{"abc", 3}, {"defgh", 5}};
	char buf[100] = "";
	int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0640), copy;
	struct stat st;

	CHECK(fd >= 0);
	show("again, exclusively", open("file", O_RDWR | O_CREAT | O_EXCL, 0640));
	show("write", write(fd, "0123456789", 10));
	show("pwrite far behind", pwrite(fd, "x", 1, 10000));
	show("lseek", lseek(fd, 5, SEEK_SET));
	show("read", read(fd, buf, 3));
	printf("'%.3s'\n", buf);
	show("from the end", lseek(fd, -1, SEEK_END));
	show("read", read(fd, buf, 100));
	show("at the end", read(fd, buf, 100));
	show("before the start", lseek(fd, -1, SEEK_SET));
	show("in the hole", pread(fd, buf, 4, 5000));
	printf("%d %d\n", buf[0], buf[3]);
	show("writev", pwritev(fd, out, 2, 0));
	show("readv", preadv(fd, &(struct iovec){buf, 8}, 1, 0));
	printf("'%.8s'\n", buf);
	show("ftruncate", ftruncate(fd, 6));
	CHECK(!fstat(fd, &st));
	printf("mode %o size %ld links %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink);
	copy = dup(fd);
	show("positions are shared", lseek(copy, 0, SEEK_CUR) == lseek(fd, 0, SEEK_CUR));
	close(copy);
	copy = open("file", O_WRONLY | O_APPEND);
	show("append", write(copy, "!", 1));
	show("read of write-only", read(copy, buf, 1));
	show("size", lseek(copy, 0, SEEK_END));
	close(copy);
	show("read to nowhere", pread(fd, nowhere, 5, 0));
	show("write from nowhere", pwrite(fd, nowhere, 5, 0));
	show("fallocate", fallocate(fd, 0, 0, 9000));
	show("hole", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
	show("reads as", (pread(fd, buf, 1, 0), buf[0]));
	close(fd);
	show("closed", close(fd));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, by_name), i;

	printf("%s:", path);
	for (i = 0; i < n; i++) {
		printf(" %s/%d", entries[i]->d_name, entries[i]->d_type);
		free(entries[i]);
	}
	printf("\n");
	if (n >= 0)
		free(entries);
}

static void names(void)
{
	char buf[200];
	struct stat st;
	int fd;

	show("mkdir", mkdir("d", 0755));
	show("again", mkdir("d", 0755));
	show("mkdir in it", mkdir("d/e", 0700));
	show("mkdir in nothing", mkdir("nothing/e", 0755));
	show("symlink", symlink("d/e", "link"));
	show("readlink", readlink("link", buf, sizeof(buf)));
	show("readlink of a file", readlink("file", buf, sizeof(buf)));
	show("link", link("file", "d/hard"));
	CHECK(!stat("file", &st));
	printf("links %ld\n", (long)st.st_nlink);
	show("link of a directory", link("d", "d2"));
	show("mknod", mkfifo("fifo", 0600));
	list(".");
	list("d");
	show("rmdir of what is full", rmdir("d"));
	show("unlink of a directory", unlink("d") == -1);
	show("rmdir of a file", rmdir("file"));
	show("rename", rename("file", "d/file"));
	show("rename onto another name of it", rename("d/file", "d/hard"));
	show("rename into itself", rename("d", "d/e/d"));
	show("rename of nothing", rename("nothing", "x"));
	show("open through the link", (fd = open("link/new", O_CREAT | O_WRONLY, 0600)) >= 0);
	close(fd);
	show("the link itself", open("link", O_RDONLY | O_NOFOLLOW));
	CHECK(!symlink("d/made", "dangling") && !symlink("dangling", "further"));
	show("exclusively", open("further", O_CREAT | O_EXCL | O_WRONLY, 0600));
	show("of the link itself", open("further", O_CREAT | O_NOFOLLOW | O_WRONLY, 0600));
	show("where two links lead", (fd = open("further", O_CREAT | O_WRONLY, 0600)) >= 0);
	close(fd);
	show("it is there", unlink("d/made"));
	CHECK(!unlink("dangling") && !symlink("nowhere/made", "dangling"));
	show("a link to no directory", open("further", O_CREAT | O_WRONLY, 0600));
	CHECK(!unlink("dangling") && !symlink("further", "dangling"));
	show("round and round", open("further", O_CREAT | O_WRONLY, 0600));
	CHECK(!unlink("dangling") && !unlink("further"));
	symlink("loop", "loop");
	show("a loop", open("loop", O_RDONLY));
	show("a file as a directory", open("d/file/x", O_RDONLY));
	show("a directory to write", open("d", O_WRONLY));
	show("a name too long", open((memset(buf, 'a', sizeof(buf)), buf[199] = 0, buf), O_RDONLY));
	show("an empty name", open("", O_RDONLY));
	list("d/e");
	CHECK(!chdir("d/e"));
	show("getcwd", getcwd(buf, sizeof(buf)) && !strcmp(buf + strlen(buf) - 4, "/d/e"));
	show("getcwd in too little", getcwd(buf, 3) == NULL);
	CHECK(!chdir("../.."));
	show("chmod", chmod("d/file", 04711));
	CHECK(!stat("d/file", &st));
	printf("mode %o\n", st.st_mode);
	show("umask", umask(077));
	fd = open("masked", O_CREAT | O_RDWR, 0666);
	CHECK(fd >= 0 && !fstat(fd, &st));
	printf("mode %o\n", st.st_mode);
	umask(022);
	CHECK(!unlink("masked"));
	CHECK(!fstat(fd, &st));
	printf("unlinked: links %ld\n", (long)st.st_nlink);
	show("and usable", write(fd, "x", 1));
	close(fd);
	CHECK(!unlink("d/e/new") && !rmdir("d/e") && !unlink("d/file") && !unlink("d/hard") &&
	      !rmdir("d"));
	CHECK(!unlink("link") && !unlink("loop") && !unlink("fifo"));
	list(".");
}

static void locks(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10};
	int fd = open("locked", O_CREAT | O_RDWR, 0600), status, unlocked;
	pid_t pid;

	CHECK(fd >= 0);
	show("lock", fcntl(fd, F_SETLK, &lock));
	pid = fork();
	if (!pid) {
		lock.l_start = 0;
		lock.l_len = 10;
		show("before it", fcntl(fd, F_SETLK, &lock));
		lock.l_len = 11;
		show("over it", fcntl(fd, F_SETLK, &lock));
		CHECK(!fcntl(fd, F_GETLK, &lock));
		printf("whose: %d, from %ld for %ld\n", lock.l_pid == getppid(), (long)lock.l_start,
		       (long)lock.l_len);
		lock = (struct flock){.l_type = F_WRLCK, .l_start = 15, .l_len = 1};
		show("waits", fcntl(fd, F_SETLKW, &lock));
		_exit(0);
	}
	usleep(100000);
	lock = (struct flock){.l_type = F_UNLCK, .l_start = 12, .l_len = 5};
	unlocked = fcntl(fd, F_SETLK, &lock);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	show("unlock the middle", unlocked);
	close(fd);
	CHECK(!unlink("locked"));
}

/* Which range of the parent's is the first in the way. */
static void show_lock(int fd, const char *what)
{
	struct flock lock = {.l_type = F_WRLCK};
	int status;
	pid_t pid = fork();

	if (!pid) {
		CHECK(!fcntl(fd, F_GETLK, &lock));
		printf("%s: type %d, from %ld for %ld\n", what, lock.l_type, (long)lock.l_start,
		       (long)lock.l_len);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

static void set_lock(int fd, short type, off_t start, off_t len)
{
	CHECK(!fcntl(fd, F_SETLK, &(struct flock){.l_type = type, .l_start = start, .l_len = len}));
}

static void joined_locks(void)
{
	int fd = open("locked", O_CREAT | O_RDWR, 0600);

	CHECK(fd >= 0);
	set_lock(fd, F_WRLCK, 100, 10);
	set_lock(fd, F_WRLCK, 50, 10);
	show_lock(fd, "the lowest");
	set_lock(fd, F_WRLCK, 60, 40);
	show_lock(fd, "joined");
	set_lock(fd, F_RDLCK, 50, 10);
	show_lock(fd, "another kind");
	set_lock(fd, F_UNLCK, 50, 10);
	show_lock(fd, "what is left");
	set_lock(fd, F_WRLCK, 110, 0);
	show_lock(fd, "to the end");
	set_lock(fd, F_WRLCK, 70, 1);
	show_lock(fd, "which was in it");
	set_lock(fd, F_UNLCK, 0, 0);
	show_lock(fd, "none");
	close(fd);
	CHECK(!unlink("locked"));
}

/* Each byte written at the end has a place of its own, and what is written at once is together. */
static void appends(void)
{
	enum { WRITERS = 4, ROUNDS = 25, SIZE = 70000 };
	static char text[SIZE];
	int i, k, status, whole = 1, fd = open("log", O_CREAT | O_RDWR | O_APPEND, 0600), gate[2];

	CHECK(fd >= 0 && !pipe(gate));
	for (i = 0; i < WRITERS; i++) {
		if (fork())
			continue;
		fd = open("log", O_WRONLY | O_APPEND);
		memset(text, 'a' + i, SIZE);
		close(gate[1]);
		CHECK(read(gate[0], text, 1) == 0); /* until all are here */
		for (k = 0; k < ROUNDS; k++)
			CHECK(write(fd, text, SIZE) == SIZE);
		_exit(0);
	}
	close(gate[0]);
	close(gate[1]);
	for (i = 0; i < WRITERS; i++)
		CHECK(wait(&status) > 0 && !status);
	show("all of it", lseek(fd, 0, SEEK_END));
	for (i = 0; i < WRITERS * ROUNDS; i++) {
		CHECK(pread(fd, text, SIZE, (off_t)i * SIZE) == SIZE);
		for (k = 1; k < SIZE; k++)
			whole &= text[k] == text[0];
	}
	show("whole", whole);
	close(fd);
	CHECK(!unlink("log"));
}

static void ends_of_sendfile(void)
{
	int in = open("in", O_CREAT | O_RDWR, 0600), out = open("in", O_RDONLY),
	    end = open("out", O_CREAT | O_WRONLY | O_APPEND, 0600);

	CHECK(in >= 0 && out >= 0 && end >= 0 && write(in, "abc", 3) == 3 && !lseek(in, 0, 0));
	show("to what is open for reading", sendfile(out, in, NULL, 3));
	show("from what is open for writing", sendfile(in, end, NULL, 3));
	show("to the end of a file", sendfile(end, in, NULL, 3));
	close(in);
	close(out);
	close(end);
	CHECK(!unlink("in") && !unlink("out"));
}

static void segments(void)
{
	int id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600), status;
	struct shmid_ds ds;
	char *p, *q;
	pid_t pid;

	CHECK(id >= 0);
	p = show_address("attach", shmat(id, NULL, 0));
	q = show_address("to read", shmat(id, NULL, SHM_RDONLY));
	show("to write after all", mprotect(q, PAGE, PROT_READ | PROT_WRITE));
	CHECK(p != MAP_FAILED && q != MAP_FAILED && !shmctl(id, IPC_STAT, &ds));
	show("attached", (long)ds.shm_nattch);
	pid = fork();
	if (!pid) {
		CHECK(!shmctl(id, IPC_STAT, &ds));
		show("with a child", (long)ds.shm_nattch);
		p[PAGE] = 7;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	show("shared", q[PAGE]);
	CHECK(!shmctl(id, IPC_STAT, &ds));
	show("without it", (long)ds.shm_nattch);
	show("cut", munmap(p + PAGE, PAGE));
	CHECK(!shmctl(id, IPC_STAT, &ds));
	show("in pieces", (long)ds.shm_nattch);
	show("remove", shmctl(id, IPC_RMID, NULL));
	show("detach both pieces", shmdt(p));
	CHECK(!shmctl(id, IPC_STAT, &ds));
	show("the other stays", (long)ds.shm_nattch);
	show("detach", shmdt(q));
	show("gone", shmctl(id, IPC_STAT, &ds));
	show("none", shmdt(q));
}

static void pipes(void)
{
	struct pollfd fds[2];
	struct timeval none = {0, 0};
	static char big[100000];
	fd_set set;
	int ends[2], status;
	long total = 0;
	ssize_t n;
	pid_t pid;

	CHECK(!pipe2(ends, O_NONBLOCK | O_CLOEXEC));
	show("cloexec", fcntl(ends[0], F_GETFD));
	show("empty", read(ends[0], big, 1));
	fds[0] = (struct pollfd){ends[0], POLLIN, 0};
	fds[1] = (struct pollfd){ends[1], POLLOUT, 0};
	show("poll", poll(fds, 2, 0));
	printf("events %x %x\n", fds[0].revents, fds[1].revents);
	show("filled", write(ends[1], big, sizeof(big)));
	show("full", write(ends[1], big, 1));
	FD_ZERO(&set);
	FD_SET(ends[0], &set);
	show("select", select(ends[0] + 1, &set, NULL, NULL, &none));
	show("is set", FD_ISSET(ends[0], &set) != 0);
	while (read(ends[0], big, sizeof(big)) > 0)
		;
	close(ends[1]);
	show("poll at the end", poll(fds, 1, 0));
	printf("events %x\n", fds[0].revents);
	show("the end", read(ends[0], big, 1));
	show("seek", lseek(ends[0], 0, SEEK_SET));
	close(ends[0]);
	show("bad descriptor", poll(&(struct pollfd){99, POLLIN, 0}, 1, 0));
	CHECK(!pipe(ends));
	pid = fork();
	if (!pid) {
		int i;

		close(ends[0]);
		for (i = 0; i < 5; i++)
			CHECK(write(ends[1], big, sizeof(big)) == sizeof(big));
		_exit(0);
	}
	close(ends[1]);
	while ((n = read(ends[0], big, 7777)) > 0)
		total += n;
	show("through a pipe", total);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	close(ends[0]);
}

static void devices(void)
{
	char buf[16], *p;
	int fd = open("/dev/null", O_RDWR), status;
	pid_t pid;

	show("null reads", read(fd, buf, 16));
	show("null takes", write(fd, buf, 16));
	close(fd);
	fd = open("/dev/zero", O_RDONLY);
	show("zero reads", read(fd, buf, 16));
	show("zeroes", buf[0] | buf[15]);
	show_address("to write, from what is open for reading",
		     mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	p = show_address("of one's own",
			 mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	CHECK(p != MAP_FAILED && !p[5]);
	p[5] = 1;
	munmap(p, PAGE);
	close(fd);
	fd = open("/dev/zero", O_RDWR);
	p = show_address("shared", mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK(p != MAP_FAILED);
	pid = fork();
	if (!pid) {
		p[5] = 3;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	show("by a child", p[5]);
	munmap(p, PAGE);
	close(fd);
	fd = open("/dev/full", O_WRONLY);
	show("full takes", write(fd, buf, 16));
	close(fd);
	fd = open("/dev/urandom", O_RDONLY);
	show("urandom reads", read(fd, buf, 16));
	close(fd);
	show("no such device", open("/dev/nothing", O_RDONLY));
	show("ioctl of what is no terminal", isatty(open("/dev/null", O_RDONLY)));
}

static void copies(void)
{
	int fd = memfd_create("name", MFD_CLOEXEC), status;
	char *p;
	pid_t pid;

	CHECK(fd >= 0 && !ftruncate(fd, 3 * PAGE));
	p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	pid = fork();
	if (!pid) {
		strcpy(p + PAGE, "from the child");
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	printf("%s\n", p + PAGE);
	CHECK(pwrite(fd, "through write", 14, 2 * PAGE) == 14);
	printf("%s\n", p + 2 * PAGE);
	munmap(p, 3 * PAGE);
	close(fd);
}

int main(void)
{
	CHECK(mkdtemp(dir) && !chdir(dir));
	umask(022);
	contents();
	names();
	locks();
	joined_locks();
	appends();
	ends_of_sendfile();
	segments();
	pipes();
	devices();
	copies();
	CHECK(!chdir("/") && !rmdir(dir));
	return 0;
}

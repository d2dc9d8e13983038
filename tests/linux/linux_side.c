/* SPDX-License-Identifier: MIT */
/*
 * The judge's child process on the running Linux: the files it may map, its start and end, the
 * channel through which it is told what to do, and what /proc shows of it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "judge.h"

const char *child_path;
struct channel *channel;
char file_path[NR_FILES][64];
int file_fd[NR_FILES];
static int channel_fd;
static pid_t child;

void make_channel(void)
{
	channel_fd = memfd_create("channel", MFD_CLOEXEC);
	if (channel_fd < 0 || ftruncate(channel_fd, PAGE))
		fail("memfd: %s", strerror(errno));
	channel = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, channel_fd, 0);
}

void child_turn(const struct step *s, const uint64_t *a)
{
	unsigned spins;
	int status;

	channel->command = s->command;
	channel->nr = s->nr;
	memcpy(channel->arg, a, sizeof(channel->arg));
	__atomic_store_n(&channel->turn, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &channel->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	for (spins = 0; __atomic_load_n(&channel->turn, __ATOMIC_ACQUIRE) == 1; spins++) {
		struct timespec tick = { 0, 100000000 };

		if (spins < 2000)
			continue;
		syscall(SYS_futex, &channel->turn, FUTEX_WAIT, 1, &tick, NULL, 0);
		if (__atomic_load_n(&channel->turn, __ATOMIC_ACQUIRE) == 1 && waitpid(child, &status, WNOHANG) == child) {
			child = 0;
			fail("the child died with status %#x at call %" PRId64 "(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64
			     ", %#" PRIx64 "), command %u", status, channel->nr, channel->arg[0], channel->arg[1],
			     channel->arg[2], channel->arg[3], channel->arg[4], channel->command);
		}
	}
}

/* Files: a tmpfs one opened for both, the same opened a second time, one for reading, a disk one. */
void make_files(void)
{
	static const char *const folder[NR_FILES] = { "/dev/shm", NULL, "/dev/shm", "/var/tmp" };
	int i;

	for (i = 0; i < NR_FILES; i++) {
		int fd;

		if (!folder[i]) {
			strcpy(file_path[i], file_path[0]);
			file_fd[i] = open(file_path[0], O_RDWR | O_CLOEXEC);
			continue;
		}
		snprintf(file_path[i], sizeof(file_path[i]), "%s/quire-judge.%d.%d", folder[i], getpid(), i);
		fd = open(file_path[i], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0)
			fail("cannot make %s: %s", file_path[i], strerror(errno));
		if (i == READ_ONLY_FILE) {
			close(fd);
			fd = open(file_path[i], O_RDONLY | O_CLOEXEC);
		}
		file_fd[i] = fd;
	}
}

void fill_files(void)
{
	char block[PAGE];
	int i, j;

	for (i = 0; i < NR_FILES; i++) {
		int fd;

		if (i == 1)
			continue;
		fd = open(file_path[i], O_RDWR | O_CLOEXEC);
		if (fd < 0 || ftruncate(fd, 0))
			fail("%s: %s", file_path[i], strerror(errno));
		for (j = 0; j < FILE_PAGES - 1; j++) {
			memset(block, 0x10 * i + j + 1, sizeof(block));
			block[0] = (char)0xc3;
			if (pwrite(fd, block, j == FILE_PAGES - 2 ? 100 : sizeof(block), (off_t)(j * PAGE)) < 0)
				fail("cannot write %s: %s", file_path[i], strerror(errno));
		}
		close(fd);
	}
}

void drop_files(void)
{
	int i;

	for (i = 0; i < NR_FILES; i++) {
		unlink(file_path[i]);
		close(file_fd[i]);
	}
}

void start_child(void)
{
	int i;

	channel->ready = 0;
	channel->turn = 1;
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		char *const argv[] = { (char *)child_path, NULL }, *const envp[] = { NULL };

		dup2(channel_fd, CHANNEL_FD);
		for (i = 0; i < NR_FILES; i++)
			dup2(file_fd[i], FILE_FD + i);
		setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ limits.memlock, limits.memlock });
		if (limits.data != QUIRE_RLIM_INFINITY)
			setrlimit(RLIMIT_DATA, &(struct rlimit){ limits.data, limits.data });
		if (limits.as != QUIRE_RLIM_INFINITY)
			setrlimit(RLIMIT_AS, &(struct rlimit){ limits.as, limits.as });
		/* Nobody in particular: a process with capabilities could lock all of the host's memory. */
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(127);
		if (no_random)
			personality(ADDR_NO_RANDOMIZE);
		execve(child_path, argv, envp);
		_exit(127);
	}
	while (!__atomic_load_n(&channel->ready, __ATOMIC_ACQUIRE) || __atomic_load_n(&channel->turn, __ATOMIC_ACQUIRE)) {
		int status;

		if (waitpid(child, &status, WNOHANG) == child) {
			child = 0;
			fail("cannot start %s: status %#x", child_path, status);
		}
	}
}

void stop_child(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	child = 0;
}

size_t read_proc(const char *name, char *buf, size_t size)
{
	char path[64];
	size_t used = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", child, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	while (used < size - 1 && (n = read(fd, buf + used, size - 1 - used)) > 0)
		used += (size_t)n;
	buf[used] = 0;
	close(fd);
	return used;
}

bool child_page_is_own(uint64_t addr)
{
	uint64_t entry;
	char path[64];
	bool got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = pread(fd, &entry, 8, (off_t)(addr / PAGE * 8)) == 8;
	close(fd);
	if (!got)
		fail("cannot read pagemap");
	return (entry >> 63 & 1) && !(entry >> 61 & 1) && (entry >> 56 & 1);
}

size_t read_child(uint64_t addr, void *buf, size_t len)
{
	struct iovec to = { buf, len }, from = { (void *)addr, len };
	ssize_t got = process_vm_readv(child, &to, 1, &from, 1, 0);

	return got < 0 ? 0 : (size_t)got;
}

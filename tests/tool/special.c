/* SPDX-License-Identifier: MIT */
/*
 * What Quire cannot answer by itself: areas that drivers, asynchronous I/O, user fault handling and the like
 * make or change. The tool takes these over from Linux and must go on without a difference. Whatever this kernel
 * does not have fails, and that is fine too. Run under quire shadow by run.py.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

/* Ordinary life goes on beside every special thing. */
static void live(void)
{
	char *p = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, PRIVATE, -1, 0);

	p[PAGE] = 1;
	mprotect(p + 2 * PAGE, PAGE, PROT_READ);
	munmap(p + 4 * PAGE, PAGE);
	if (fork() == 0) {
		p[0] = 1;
		munmap(p, PAGE);
		_exit(0);
	}
	wait(NULL);
}

static void aio(void)
{
	aio_context_t ctx = 0;

	if (syscall(SYS_io_setup, 64, &ctx))
		return;
	live();
	syscall(SYS_io_destroy, ctx);
	live();
}

static void uring(void)
{
	struct io_uring_params params;
	int fd;
	char *ring, *entries;

	memset(&params, 0, sizeof(params));
	fd = (int)syscall(SYS_io_uring_setup, 8, &params);
	if (fd < 0)
		return;
	ring = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, IORING_OFF_SQ_RING);
	entries = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)IORING_OFF_SQES);
	live();
	if (ring != MAP_FAILED)
		munmap(ring, 2 * PAGE);
	if (entries != MAP_FAILED)
		munmap(entries, PAGE);
	close(fd);
}

static void perf(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_DUMMY };
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	char *p;

	if (fd < 0)
		return;
	p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	live();
	if (p != MAP_FAILED)
		munmap(p, 3 * PAGE);
	close(fd);
}

static void faults(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { 0 };
	char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, PRIVATE, -1, 0);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return;
	p[0] = 1;
	ioctl(fd, UFFDIO_API, &api);
	reg.range.start = (uintptr_t)p + 4 * PAGE;
	reg.range.len = 4 * PAGE;
	reg.mode = UFFDIO_REGISTER_MODE_MISSING;
	ioctl(fd, UFFDIO_REGISTER, &reg);
	live();
	ioctl(fd, UFFDIO_UNREGISTER, &reg.range);
	live();
	munmap(p, 16 * PAGE);
	close(fd);
}

static void secret(void)
{
	int fd = (int)syscall(447 /* memfd_secret */, 0);
	char *p;

	if (fd < 0 || ftruncate(fd, 4 * PAGE))
		return;
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	live();
	if (p != MAP_FAILED)
		munmap(p, 4 * PAGE);
	close(fd);
}

static void huge(void)
{
	char *p = mmap(NULL, 4u << 20, PROT_READ | PROT_WRITE, PRIVATE | MAP_HUGETLB, -1, 0);

	live();
	if (p != MAP_FAILED)
		munmap(p, 4u << 20);
}

static void policies(void)
{
	char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, PRIVATE, -1, 0);
	unsigned long nodes = 1;

	syscall(SYS_mbind, p + 2 * PAGE, 2 * PAGE, 2 /* BIND */, &nodes, 64ul, 0);
	live();
	munmap(p, 8 * PAGE);
	p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, PRIVATE, -1, 0);
	syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -1);
	syscall(SYS_pkey_mprotect, p + 4 * PAGE, PAGE, PROT_READ, syscall(SYS_pkey_alloc, 0, 0));
	live();
	munmap(p, 8 * PAGE);
}

static void settings(void)
{
	char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, PRIVATE, -1, 0);
	struct iovec iov = { p, 4 * PAGE };
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 8 * PAGE, "name");
	live();
	prctl(PR_SET_MM, PR_SET_MM_BRK, (unsigned long)sbrk(0) + PAGE, 0, 0);
	live();
	syscall(440 /* process_madvise */, pidfd, &iov, 1ul, MADV_COLD, 0ul);
	syscall(440, pidfd, &iov, 1ul, MADV_DONTNEED, 0ul);
	live();
	mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | 0x08 /* DROPPABLE */, -1, 0);
	live();
	munmap(p, 8 * PAGE);
	/* Every area of this space may be joined with its like from now on. */
	prctl(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0);
	live();
}

static void files(void)
{
	char name[] = "/tmp/quire-special-XXXXXX", other[64], *p;
	int fd = mkstemp(name), i;
	static const char *const strange[] = { "/dev/null", "/dev/full", "/proc/self/maps", "/dev/mem", "/sys/kernel/notes", "/",
					       "/proc/self/exe", "/dev/fb0", "/dev/kvm", "/dev/urandom" };

	if (fd < 0 || ftruncate(fd, 8 * PAGE))
		return;
	p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	snprintf(other, sizeof(other), "%s new\nline", name);
	rename(name, other);
	live();
	unlink(other);
	live();
	munmap(p, PAGE);
	close(fd);
	for (i = 0; i < (int)(sizeof(strange) / sizeof(strange[0])); i++) {
		fd = open(strange[i], O_RDONLY);
		if (fd < 0)
			continue;
		mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
		mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		close(fd);
	}
	fd = open("/tmp", O_PATH);
	mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0); /* EBADF */
	fd = open("/dev/null", O_WRONLY);
	mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0); /* EACCES */
}

int main(void)
{
	aio();
	uring();
	perf();
	faults();
	secret();
	huge();
	policies();
	files();
	settings();
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Makes every call on its address space that the tool follows, right and wrong, in one thread. Run under
 * quire shadow by run.py; also built for 32 bits. What the calls answer is the tool's to compare; this
 * program only fails where it can't go on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

static char *map(size_t pages, int prot, int flags)
{
	char *p = mmap(NULL, pages * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(10);
	return p;
}

static int temp_file(size_t bytes)
{
	char name[] = "/tmp/quire-calls-XXXXXX";
	int fd = mkstemp(name);

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		exit(11);
	unlink(name);
	return fd;
}

/* Cut, join and change private memory, touched and not. */
static void protect_and_cut(void)
{
	char *p = map(32, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	p[0] = 1;
	p[20 * PAGE] = 1;
	mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ);
	mprotect(p + 12 * PAGE, 4 * PAGE, PROT_NONE);
	mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE);
	munmap(p + 8 * PAGE, 2 * PAGE);
	mprotect(p, 16 * PAGE, PROT_READ);             /* over a hole: ENOMEM, half done */
	mprotect(p + 1, PAGE, PROT_READ);              /* EINVAL */
	mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN); /* EINVAL */
	mmap(p + 8 * PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0); /* EEXIST */
	mmap(p + 40 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);           /* a hint */
	mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);                       /* a taken hint */
	munmap(p, 32 * PAGE);
	munmap(p, 32 * PAGE);  /* nothing there: fine */
	munmap(p + 1, PAGE);   /* EINVAL */
	munmap(p, 0);          /* EINVAL */
	mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);       /* EINVAL */
	mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0);                  /* EINVAL: neither kind */
	mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0);                    /* EBADF */
	mmap((void *)(UINTPTR_MAX & ~(PAGE - 1)), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mmap(NULL, SIZE_MAX / 2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Three neighbours, first written in different orders: who may be joined with whom depends on it. */
static void owners(void)
{
	static const int order[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	int i, j;

	for (i = 0; i < 6; i++) {
		char *p = map(14, PROT_READ | PROT_WRITE, MAP_PRIVATE);

		munmap(p, PAGE);
		munmap(p + 13 * PAGE, PAGE);
		p += PAGE;
		mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
		for (j = 0; j < 3; j++) {
			p[(size_t)order[i][j] * 4 * PAGE] = 1;
			/* A call between the writes, so that their order is known. */
			mprotect(p, PAGE, PROT_READ | PROT_WRITE);
		}
		mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE);
		munmap(p, 12 * PAGE);
	}
}

static void remap(void)
{
	char *p = map(16, PROT_READ | PROT_WRITE, MAP_PRIVATE), *q, *r;
	char *room = map(64, PROT_NONE, MAP_PRIVATE);

	p[0] = 1;
	mremap(p, 16 * PAGE, 8 * PAGE, 0);
	mremap(p, 8 * PAGE, 16 * PAGE, 0);
	q = mremap(p, 16 * PAGE, 48 * PAGE, MREMAP_MAYMOVE);
	if (q == MAP_FAILED)
		exit(12);
	q = mremap(q, 48 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + 4 * PAGE);
	r = mremap(q, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	mremap(q, 8 * PAGE, 8 * PAGE, MREMAP_FIXED, room);                             /* EINVAL */
	mremap(q + 1, 8 * PAGE, 8 * PAGE, 0);                                          /* EINVAL */
	mremap(q, PAGE, 0, 0);                                                         /* EINVAL */
	mremap(q, 0, 8 * PAGE, MREMAP_MAYMOVE);                                        /* private, old size 0 */
	mremap((void *)(PAGE * 3), PAGE, 2 * PAGE, MREMAP_MAYMOVE);                    /* EFAULT */
	mremap(q, 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + PAGE);        /* they overlap */
	if (r != MAP_FAILED)
		munmap(r, 8 * PAGE);
	p = map(4, PROT_READ | PROT_WRITE, MAP_SHARED);
	p[0] = 1;
	q = mremap(p, 0, 4 * PAGE, MREMAP_MAYMOVE); /* a second view of shared memory */
	mremap(p, 4 * PAGE, 32 * PAGE, MREMAP_MAYMOVE);
	(void)q;
}

static void heap(void)
{
	char *now = sbrk(0);
	int i;

	for (i = 1; i < 6; i++)
		syscall(SYS_brk, now + i * 3000);
	if ((char *)sbrk(0) > now)
		now[1] = 1;
	syscall(SYS_brk, now + 100 * PAGE);
	syscall(SYS_brk, now + PAGE);
	syscall(SYS_brk, NULL);
	syscall(SYS_brk, (char *)PAGE); /* too low: answers the break */
	mprotect((void *)(((uintptr_t)now + PAGE - 1) & ~(PAGE - 1)), PAGE, PROT_READ);
	syscall(SYS_brk, now + 8 * PAGE);
	syscall(SYS_brk, now);
}

static void advise(void)
{
	static const int advice[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE,
				      MADV_DONTFORK, MADV_DOFORK, MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK,
				      MADV_KEEPONFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_MERGEABLE, MADV_UNMERGEABLE,
				      20 /* COLD */, 21 /* PAGEOUT */, 22 /* POPULATE_READ */, 23 /* POPULATE_WRITE */,
				      24 /* DONTNEED_LOCKED */, MADV_REMOVE, 102 /* GUARD_INSTALL */,
				      103 /* GUARD_REMOVE */, 77 };
	char *p = map(32, PROT_READ | PROT_WRITE, MAP_PRIVATE), *s = map(8, PROT_READ | PROT_WRITE, MAP_SHARED);
	unsigned char vec[32];
	size_t i;

	p[5 * PAGE] = 1;
	for (i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
		madvise(p + (i % 7) * PAGE, 5 * PAGE, advice[i]);
		madvise(s + (i % 3) * PAGE, 2 * PAGE, advice[i]);
		madvise(p + 1, PAGE, advice[i]);
		madvise(p, 0, advice[i]);
		madvise(p + 30 * PAGE, 64 * PAGE, advice[i]);
	}
	mincore(p, 32 * PAGE, vec);
	mincore(p + 1, PAGE, vec);
	mincore((void *)(5 * PAGE), PAGE, vec);
	mincore(p, PAGE, NULL);
	msync(p, 8 * PAGE, MS_ASYNC);
	msync(s, 8 * PAGE, MS_SYNC | MS_INVALIDATE);
	msync(s, 8 * PAGE, MS_SYNC | MS_ASYNC);
	msync((void *)(5 * PAGE), PAGE, MS_SYNC);
	munmap(p, 32 * PAGE);
	munmap(s, 8 * PAGE);
}

static void lock(void)
{
	char *p = map(16, PROT_READ | PROT_WRITE, MAP_PRIVATE), *n = map(4, PROT_NONE, MAP_PRIVATE), *q;
	struct rlimit old, none = { 64 * 1024, 64 * 1024 };

	mlock(p + 2 * PAGE, 3 * PAGE);
	mlock(p + 2 * PAGE + 7, 4 * PAGE);
	syscall(SYS_mlock2, p + 8 * PAGE, 2 * PAGE, 1 /* ONFAULT */);
	syscall(SYS_mlock2, p, PAGE, 8);
	munlock(p + 3 * PAGE, PAGE);
	munlock(p, 16 * PAGE);
	mlock(p + 15 * PAGE, 512 * 1024 * PAGE);
	mlock(n, 2 * PAGE);
	munlock(n, 4 * PAGE);
	q = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	(void)q;
	getrlimit(RLIMIT_MEMLOCK, &old);
	none.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_MEMLOCK, &none);
	mlock(p, 16 * PAGE);
	mlockall(4);
	mlockall(MCL_FUTURE);
	map(3, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	munlockall();
	setrlimit(RLIMIT_MEMLOCK, &old);
}

static void limits(void)
{
	struct rlimit old, few;

	getrlimit(RLIMIT_AS, &old);
	few = old;
	few.rlim_cur = 256u << 20;
	setrlimit(RLIMIT_AS, &few);
	mmap(NULL, 1u << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	setrlimit(RLIMIT_AS, &old);
	getrlimit(RLIMIT_DATA, &old);
	few = old;
	few.rlim_cur = 1u << 20;
	setrlimit(RLIMIT_DATA, &few);
	mmap(NULL, 8u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mmap(NULL, 8u << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	syscall(SYS_brk, (char *)sbrk(0) + (8u << 20));
	setrlimit(RLIMIT_DATA, &old);
}

static void files(void)
{
	int fd = temp_file(64 * PAGE), ro, other = temp_file(PAGE), i, zero = open("/dev/zero", O_RDWR), pipes[2];
	char *p, name[64];

	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	mmap(p + 16 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 16 * PAGE);
	mmap(p + 20 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	p[0] = 1;
	msync(p, 8 * PAGE, MS_SYNC);
	madvise(p, 4 * PAGE, MADV_REMOVE);
	syscall(SYS_remap_file_pages, p, 4 * PAGE, 0, 8, 0);
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4 * PAGE);
	p[0] = 1;
	mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ);
	p[PAGE] = 1;
	mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	ro = open(name, O_RDONLY);
	mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0); /* EACCES */
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	mprotect(p, PAGE, PROT_READ | PROT_WRITE); /* EACCES */
	p = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, ro, 0);
	mmap(p + 4 * PAGE, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, ro, 4 * PAGE); /* same file: joins */
	mmap(p + 8 * PAGE, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 8 * PAGE); /* another opening: does not */
	for (i = 0; i < 3; i++) { /* many openings of one file, gone at once */
		int again = open(name, O_RDONLY);

		mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, again, (off_t)((unsigned)i * PAGE));
		close(again);
	}
	mmap(NULL, 5u << 20, PROT_READ, MAP_PRIVATE, fd, 0); /* large: placed as the file system wants it */
	mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 123);   /* EINVAL */
	mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0);
	mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0); /* EOPNOTSUPP */
	mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
	if (pipe(pipes) == 0)
		mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, pipes[0], 0); /* ENODEV */
	i = memfd_create("shared", MFD_ALLOW_SEALING);
	if (i >= 0 && ftruncate(i, 16 * PAGE) == 0) {
		mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, i, 0);
		fcntl(i, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, i, 0); /* EPERM */
		mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, i, 0);
	}
	close(other);
	close(fd);
}

static void segments(void)
{
	int id = shmget(IPC_PRIVATE, 10 * PAGE - 5, IPC_CREAT | 0600);
	char *a, *b;

	if (id < 0)
		return;
	a = shmat(id, NULL, 0);
	b = shmat(id, NULL, SHM_RDONLY);
	shmat(id, a, 0);                 /* EINVAL: taken */
	shmat(id, b, SHM_REMAP);
	shmat(id, a + 17, SHM_RND);      /* taken */
	shmat(id, (void *)17, 0);        /* EINVAL */
	shmat(id + 1000000, NULL, 0);    /* EINVAL: no such segment */
	munmap(a + 2 * PAGE, PAGE);
	mprotect(a + 4 * PAGE, PAGE, PROT_READ);
	a[0] = 1;
	shmdt(a);
	shmdt(a);                        /* EINVAL */
	shmdt(b + 1);                    /* EINVAL */
	if (fork() == 0) {
		shmdt(b);
		_exit(0);
	}
	wait(NULL);
	shmdt(b);
	shmctl(id, IPC_RMID, NULL);
}

static void children(void)
{
	char *p = map(24, PROT_READ | PROT_WRITE, MAP_PRIVATE), *s = map(4, PROT_READ | PROT_WRITE, MAP_SHARED);

	p[0] = 1;
	madvise(p + 4 * PAGE, 4 * PAGE, MADV_DONTFORK);
	madvise(p + 12 * PAGE, 4 * PAGE, MADV_WIPEONFORK);
	mlock(p + 20 * PAGE, PAGE);
	if (fork() == 0) {
		p[PAGE] = 1;
		p[13 * PAGE] = 1;
		mprotect(p + 8 * PAGE, 2 * PAGE, PROT_READ);
		mprotect(p + 8 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
		mmap(p + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		if (fork() == 0) {
			munmap(s, PAGE);
			map(3, PROT_READ | PROT_WRITE, MAP_PRIVATE)[0] = 1;
			_exit(0);
		}
		wait(NULL);
		_exit(0);
	}
	wait(NULL);
	mprotect(p + 8 * PAGE, 2 * PAGE, PROT_READ);
	mprotect(p + 8 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
	munmap(p, 24 * PAGE);
	if (vfork() == 0)
		_exit(0);
}

static int __attribute__((noinline)) deep(int n)
{
	volatile char frame[2048];

	frame[0] = (char)n;
	return n ? deep(n - 1) + frame[0] : 0;
}

static void stacks(void)
{
	char *p;

	deep(400);
	map(1, PROT_READ, MAP_PRIVATE);
	/* Room for more than the guard gap below it. */
	p = map(1024, PROT_NONE, MAP_PRIVATE);
	munmap(p, 1024 * PAGE);
	p = mmap(p + 900 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	((volatile char *)p)[0] = 1;
	((volatile char *)p)[-1] = 1; /* grows */
	((volatile char *)p)[-5000] = 1;
	mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN);
	map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_STACK);
	map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE);
	map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE);
	map(1024, PROT_READ | PROT_WRITE, MAP_PRIVATE); /* 4 MiB: placed for huge pages */
#ifdef MAP_32BIT
	p = map(2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_32BIT);
	map(3, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_32BIT);
	munmap(p, PAGE);
#endif
}

static void seal(void)
{
	char *p = map(8, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	syscall(SYS_mseal, p + 2 * PAGE, 2 * PAGE, 0ul);
	syscall(SYS_mseal, p + 1, PAGE, 0ul);
	syscall(SYS_mseal, p, PAGE, 1ul);
	syscall(SYS_mseal, p + 7 * PAGE, 100 * PAGE, 0ul);
	munmap(p, 8 * PAGE);                  /* EPERM */
	mprotect(p + 3 * PAGE, PAGE, PROT_READ);
	mremap(p + 2 * PAGE, 2 * PAGE, PAGE, 0);
	madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED);
	mmap(p, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	munmap(p, 2 * PAGE);
}

int main(int argc, char **argv)
{
	protect_and_cut();
	owners();
	remap();
	heap();
	advise();
	lock();
	limits();
	files();
	segments();
	children();
	stacks();
	seal();
	personality(PER_LINUX | READ_IMPLIES_EXEC);
	map(2, PROT_READ, MAP_PRIVATE);
	personality(PER_LINUX);
	if (argc < 2)
		execl("/proc/self/exe", argv[0], "again", NULL);
	return 0;
}

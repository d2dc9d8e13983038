/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect, mremap, brk, with flags and with nonsense. */
#include "show.h"

#include <sys/resource.h>

#ifdef __x86_64__
#define BEYOND ((void *)0xffff800000000000)
#else
#define BEYOND ((void *)0xc0000000)
#endif
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

static void arguments(void)
{
	char *p = map(4, RW);

	show_address("length 0", mmap(NULL, 0, RW, ANON, -1, 0));
	show_address("length that wraps", mmap(NULL, -4096ul, RW, ANON, -1, 0));
	show_address("no type", mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0));
	show_address("bad descriptor", mmap(NULL, PAGE, RW, MAP_PRIVATE, 99, 0));
	show_address("offset in a page", mmap(NULL, PAGE, RW, ANON, -1, 5));
	show_address("fixed in a page", mmap(p + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	show_address("noreplace over something",
		     mmap(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	show_address("beyond user space", mmap(BEYOND, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	show_address("shared validate with unknown flag",
		     mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS | 0x8000000, -1, 0));
	show_address("grows down", mmap(NULL, PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0));
	show("munmap of nothing", munmap((void *)0x10000, PAGE));
	show("munmap in a page", munmap(p + 1, PAGE));
	show("munmap of length 0", munmap(p, 0));
	show("munmap beyond user space", munmap(BEYOND, PAGE));
	show("mprotect of nothing", mprotect((void *)0x10000, PAGE, PROT_READ));
	show("mprotect in a page", mprotect(p + 1, PAGE, PROT_READ));
	show("mprotect of length 0", mprotect(p, 0, PROT_READ));
	show("mprotect with unknown bits", mprotect(p, PAGE, 0x1000));
	show("mprotect grows down", mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN));
	show_address("mremap of nothing", mremap((void *)0x10000, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
	show_address("mremap to length 0", mremap(p, PAGE, 0, MREMAP_MAYMOVE));
	show_address("mremap with unknown flags", mremap(p, PAGE, PAGE, 64));
	show_address("mremap onto itself",
		     mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE));
	CHECK(!munmap(p, 4 * PAGE));
}

static void holes(void)
{
	char *p = map(8, RW);

	memset(p, 1, 8 * PAGE);
	CHECK(!munmap(p + 2 * PAGE, 2 * PAGE));
	touch("before the hole", p + 2 * PAGE - 1, 1, p);
	touch("in the hole", p + 2 * PAGE, 1, p);
	touch("at its end", p + 4 * PAGE - 1, 0, p);
	touch("behind it", p + 4 * PAGE, 0, p);
	show("mprotect over the hole", mprotect(p, 8 * PAGE, PROT_READ));
	touch("write before the hole", p, 1, p);
	touch("write behind it", p + 5 * PAGE, 1, p);
	CHECK(p[0] == 1 && p[5 * PAGE] == 42);
	CHECK(!munmap(p, 8 * PAGE));
}

static void rights(void)
{
	char *p = map(4, PROT_NONE);

	touch("read of nothing allowed", p, 0, p);
	touch("write of nothing allowed", p, 1, p);
	CHECK(!mprotect(p, 4 * PAGE, PROT_READ));
	touch("read of readable", p, 0, p);
	touch("write of readable", p + 7, 1, p);
	CHECK(!mprotect(p, 4 * PAGE, RW));
	touch("write of writable", p + 7, 1, p);
	CHECK(p[7] == 42);
	CHECK(!mprotect(p + PAGE, PAGE, PROT_NONE));
	touch("read of the middle", p + PAGE + 3, 0, p);
	touch("read behind it", p + 2 * PAGE, 0, p);
	CHECK(!munmap(p, 4 * PAGE));
}

static void remaps(void)
{
	char *p = map(4, RW), *q, *to = map(8, PROT_NONE);

	strcpy(p, "first");
	strcpy(p + 3 * PAGE, "last");
	q = mremap(p, 4 * PAGE, 2 * PAGE, 0);
	CHECK(q == p);
	touch("cut off", p + 3 * PAGE, 0, p);
	q = mremap(p, 2 * PAGE, 1024 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && !strcmp(q, "first"));
	q[1023 * PAGE] = 7;
	p = mremap(q, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	CHECK(p == to && !strcmp(p, "first"));
	touch("moved away", q, 0, q);
	touch("left behind", q + 3 * PAGE, 0, q);
	CHECK(q[1023 * PAGE] == 7);
	CHECK(!munmap(q, 1024 * PAGE));
	q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	show("dontunmap moves", q != MAP_FAILED && q != p && !strcmp(q, "first"));
	show("and leaves zeroes", p[0]);
	CHECK(!munmap(q, 2 * PAGE));
	CHECK(!munmap(to, 8 * PAGE));
}

static void breaks(void)
{
	char *start = sbrk(0), *p;

	p = sbrk(3 * PAGE);
	CHECK(p == start);
	memset(p, 5, 3 * PAGE);
	CHECK(sbrk(-2 * (long)PAGE) == start + 3 * PAGE);
	CHECK(sbrk(2 * PAGE) == start + PAGE);
	show("what came back", p[2 * PAGE]);
	show("what stayed", p[0]);
	CHECK(sbrk(-3 * (long)PAGE) != (void *)-1);
	show("below its start", syscall(SYS_brk, (char *)0x1000) == (long)start);
}

static void limit(void)
{
	struct rlimit limit = {64 << 20, 64 << 20};
	char *p;
	int n = 0;

	CHECK(!setrlimit(RLIMIT_AS, &limit));
	while ((p = mmap(NULL, 4 << 20, RW, ANON, -1, 0)) != MAP_FAILED)
		n++;
	printf("the limit lets %s through, errno %d\n", n > 10 && n < 17 ? "about sixteen" : "some",
	       errno);
	show("malloc of too much", malloc(100 << 20) == NULL);
}

static void files(void)
{
	char name[] = "/tmp/map-XXXXXX", *p, *q;
	int fd = mkstemp(name), reader;

	CHECK(fd >= 0 && !ftruncate(fd, 2 * PAGE + 100));
	p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	touch("in the file", p + PAGE, 1, p);
	touch("behind its end, in its page", p + 2 * PAGE + 200, 1, p);
	touch("a page behind", p + 3 * PAGE, 1, p);
	q = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
	CHECK(q != MAP_FAILED && q[PAGE] == 42);
	q[0] = 9;
	CHECK(p[0] == 0);
	p[0] = 8;
	CHECK(q[0] == 9);
	CHECK(pread(fd, q + PAGE, 1, 0) == 1 && q[PAGE] == 8);
	CHECK(pwrite(fd, "x", 1, 5) == 1 && p[5] == 'x');
	CHECK(!ftruncate(fd, 10));
	touch("what was cut off", p + PAGE, 0, p);
	touch("the private copy of it", q + PAGE, 0, q);
	CHECK(!munmap(p, 4 * PAGE) && !munmap(q, 2 * PAGE));
	reader = open(name, O_RDONLY);
	show_address("shared and writable without leave",
		     mmap(NULL, PAGE, RW, MAP_SHARED, reader, 0));
	p = show_address("shared and readable", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0));
	show("made writable", mprotect(p, PAGE, RW));
	CHECK(!munmap(p, PAGE));
	close(reader);
	reader = open(name, O_WRONLY);
	show_address("of a file that is write-only",
		     mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reader, 0));
	close(reader);
	CHECK(!close(fd) && !unlink(name));
	reader = open("/tmp", O_RDONLY);
	show_address("of a directory", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reader, 0));
	close(reader);
}

static void executable(void)
{
	/* mov $7, %eax; ret */
	static const unsigned char code[] = {0xb8, 7, 0, 0, 0, 0xc3};
	char *p = map(1, RW);

	memcpy(p, code, sizeof(code));
	CHECK(!mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	show("code runs", ((int (*)(void))(uintptr_t)p)());
	CHECK(!mprotect(p, PAGE, PROT_READ));
	if (!sigsetjmp(fault_jump, 1))
		show("and must not", ((int (*)(void))(uintptr_t)p)());
	else
		printf("without leave: signal %d code %d at %ld\n", fault_info.si_signo,
		       fault_info.si_code, (long)((char *)fault_info.si_addr - p));
	CHECK(!munmap(p, PAGE));
}

int main(void)
{
	catch_faults();
	arguments();
	holes();
	rights();
	remaps();
	breaks();
	in_child("limit", limit);
	files();
	executable();
	return 0;
}

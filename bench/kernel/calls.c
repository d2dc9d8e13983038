/* SPDX-License-Identifier: MIT */
/*
 * What calls and faults cost: the first program of a machine that counts instructions with its time-stamp counter
 * (run.py starts it so), under this project's kernel and under Linux. Written for both alike: nothing in here asks which one it is.
 *
 * A row is a function that does its work once and returns the ticks of the part that counts. Each is called an odd number of times,
 * after once for nothing, and the median is printed, with the least and the most:
 *
 *	@row NAME<tab>MEDIAN<tab>LEAST<tab>MOST
 *
 * What reading the counter costs, and the loop around an access, is taken off. All is printed at the end, so that the console is
 * quiet while it counts.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define MIB (1ul << 20)
#define TABLE (2 * MIB) /* what one table of the last level maps */

#define MOST_ROUNDS 301
#define MANY 10000u

static const int rw = PROT_READ | PROT_WRITE;

/* ---- Counting ---------------------------------------------------------------------------------- */

static uint64_t nothing; /* two looks at the counter with nothing between them */

static uint64_t now(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static uint64_t since(uint64_t start)
{
	return now() - start - nothing;
}

static void must(bool is_so, const char *what)
{
	if (is_so)
		return;
	printf("@failed %s\n", what);
	fflush(stdout);
	reboot(RB_POWER_OFF);
	_exit(1);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static struct result {
	const char *name;
	uint64_t median, least, most;
} results[64];
static unsigned nr_results;

/* What one of sample()'s ticks stands for: it did the same thing so many times. */
static void row(const char *name, unsigned rounds, unsigned times, uint64_t (*sample)(void))
{
	static uint64_t ticks[MOST_ROUNDS];
	unsigned i;

	(void)sample();
	for (i = 0; i < rounds; i++)
		ticks[i] = (sample() + times / 2) / times;
	qsort(ticks, rounds, sizeof(*ticks), by_size);
	results[nr_results++] =
		(struct result){name, ticks[rounds / 2], ticks[0], ticks[rounds - 1]};
}

/* ---- Memory ------------------------------------------------------------------------------------ */

static char *map_prot(size_t bytes, int prot)
{
	char *p = mmap(NULL, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	must(p != MAP_FAILED, "mmap");
	return p;
}

static char *map(size_t bytes)
{
	return map_prot(bytes, rw);
}

static void unmap(char *p, size_t bytes)
{
	must(!munmap(p, bytes), "munmap");
}

static void write_pages(char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		*(volatile char *)(p + i * PAGE) = 1;
}

static void read_pages(char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		(void)*(volatile char *)(p + i * PAGE);
}

/* The faults of these accesses: those of the same once more are taken off. */
static uint64_t faults_of(void (*access)(char *p, size_t n), char *p, size_t n)
{
	uint64_t start = now(), first;

	access(p, n);
	first = now() - start;
	start = now();
	access(p, n);
	return first - (now() - start);
}

/* ---- Calls ------------------------------------------------------------------------------------- */

static uint64_t null_call(void)
{
	uint64_t start = now();

	(void)syscall(SYS_getppid);
	return since(start);
}

static uint64_t pair(size_t bytes, bool touch)
{
	uint64_t start = now();
	char *p = map(bytes);

	if (touch)
		*(volatile char *)p = 1;
	unmap(p, bytes);
	return since(start);
}

static uint64_t pair_untouched(void)
{
	return pair(PAGE, false);
}

static uint64_t pair_touched(void)
{
	return pair(PAGE, true);
}

static uint64_t pair_large(void)
{
	return pair(128 * MIB, false);
}

static uint64_t pair_large_touched(void)
{
	return pair(128 * MIB, true);
}

/* ---- Faults ------------------------------------------------------------------------------------- */

#define PAGES 1024u

static uint64_t first_write(void)
{
	char *p = map(PAGES * PAGE);
	uint64_t ticks = faults_of(write_pages, p, PAGES);

	unmap(p, PAGES * PAGE);
	return ticks;
}

static uint64_t read_zero(void)
{
	char *p = map(PAGES * PAGE);
	uint64_t ticks = faults_of(read_pages, p, PAGES);

	unmap(p, PAGES * PAGE);
	return ticks;
}

static uint64_t write_after_read(void)
{
	char *p = map(PAGES * PAGE);
	uint64_t ticks;

	read_pages(p, PAGES);
	ticks = faults_of(write_pages, p, PAGES);
	unmap(p, PAGES * PAGE);
	return ticks;
}

static uint64_t unmap_touched(void)
{
	char *p = map(PAGES * PAGE);
	uint64_t start;

	write_pages(p, PAGES);
	start = now();
	unmap(p, PAGES * PAGE);
	return since(start);
}

static char *area; /* of the rows that use one again and again */

static uint64_t protect_middle(void)
{
	char *middle = area + PAGES / 2 * PAGE;
	uint64_t start = now();

	must(!mprotect(middle, PAGE, PROT_READ) && !mprotect(middle, PAGE, rw), "mprotect");
	return since(start);
}

static uint64_t dontneed_write(void)
{
	uint64_t start = now(), ticks;

	must(!madvise(area, 256 * PAGE, MADV_DONTNEED), "madvise");
	ticks = since(start);
	return ticks + faults_of(write_pages, area, 256);
}

static uint64_t dontneed_read(void)
{
	uint64_t start = now(), ticks;

	must(!madvise(area, 256 * PAGE, MADV_DONTNEED), "madvise");
	ticks = since(start);
	return ticks + faults_of(read_pages, area, 256);
}

/* ---- mremap and brk ------------------------------------------------------------------------------ */

static uint64_t grow_in_place(void)
{
	uint64_t start = now();

	must(mremap(area, 4 * PAGE, 5 * PAGE, 0) == area, "mremap grows");
	must(mremap(area, 5 * PAGE, 4 * PAGE, 0) == area, "mremap shrinks");
	return since(start);
}

static char *other; /* where area is to go; they change places each time */

static uint64_t move(void)
{
	uint64_t start = now(), ticks;
	char *from = area;

	must(mremap(area, TABLE, TABLE, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other,
	     "mremap moves");
	ticks = since(start);
	area = other;
	other = from;
	return ticks;
}

static char *brk_to(char *end)
{
	return (char *)syscall(SYS_brk, end);
}

static uint64_t brk_pair(bool touch)
{
	char *end = brk_to(NULL);
	uint64_t start = now();

	must(brk_to(end + PAGE) == end + PAGE, "brk");
	if (touch)
		*(volatile char *)(((uintptr_t)end + PAGE - 1) & ~(PAGE - 1)) = 1;
	must(brk_to(end) == end, "brk back");
	return since(start);
}

static uint64_t brk_untouched(void)
{
	return brk_pair(false);
}

static uint64_t brk_touched(void)
{
	return brk_pair(true);
}

/* ---- fork ----------------------------------------------------------------------------------------- */

static uint64_t fork_exit_wait(void)
{
	uint64_t start = now();
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	must(pid > 0 && waitpid(pid, NULL, 0) == pid, "fork");
	return since(start);
}

static void row_with_touched(const char *name, size_t bytes)
{
	char *p = map(bytes);

	write_pages(p, bytes / PAGE);
	row(name, 5, 1, fork_exit_wait);
	unmap(p, bytes);
}

/* A child has the same pages while these are written. */
static uint64_t copy_shared(void)
{
	int ready[2], over[2];
	uint64_t ticks;
	char c = 0;
	pid_t pid;

	must(!pipe(ready) && !pipe(over), "pipe");
	pid = fork();
	if (!pid) {
		close(over[1]);
		(void)!write(ready[1], &c, 1);
		(void)!read(over[0], &c, 1);
		_exit(0);
	}
	must(pid > 0 && read(ready[0], &c, 1) == 1, "fork");
	ticks = faults_of(write_pages, area, 256);
	close(over[1]);
	must(waitpid(pid, NULL, 0) == pid, "wait");
	close(over[0]);
	close(ready[0]);
	close(ready[1]);
	return ticks;
}

static uint64_t reuse(void)
{
	(void)fork_exit_wait();
	return faults_of(write_pages, area, 256);
}

/* ---- Many areas ------------------------------------------------------------------------------------ */

static unsigned below(unsigned n)
{
	static uint32_t state = 2463534242u;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % n;
}

/* MANY areas of two pages, side by side, of two kinds that do not merge. */
static void make_many(void)
{
	unsigned i;

	area = map(MANY * 2 * PAGE);
	for (i = 1; i < MANY; i += 2)
		must(!mprotect(area + i * 2 * PAGE, 2 * PAGE, PROT_READ), "mprotect");
}

static uint64_t among_map(void)
{
	uint64_t start = now(), ticks;
	char *p = map_prot(PAGE, PROT_READ | PROT_EXEC);

	ticks = since(start);
	unmap(p, PAGE);
	return ticks;
}

/* Of an area somewhere among the others, which is put back. */
static uint64_t among_unmap(void)
{
	unsigned i = below(MANY);
	char *p = area + i * 2 * PAGE;
	uint64_t start = now(), ticks;

	unmap(p, 2 * PAGE);
	ticks = since(start);
	must(mmap(p, 2 * PAGE, i % 2 ? PROT_READ : rw,
		  MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == p,
	     "mmap fixed");
	return ticks;
}

#define PICKED 256u

static uint64_t among_fault(void)
{
	char *page[PICKED];
	uint64_t start, first;
	unsigned i, turn;

	for (i = 0; i < PICKED; i++)
		page[i] = area + (i * (MANY / PICKED) + below(MANY / PICKED)) * 2 * PAGE;
	for (turn = 0, first = 0; turn < 2; turn++) {
		start = now();
		for (i = 0; i < PICKED; i++)
			(void)*(volatile char *)page[i];
		first = turn ? first - (now() - start) : now() - start;
	}
	must(!madvise(area, MANY * 2 * PAGE, MADV_DONTNEED), "madvise");
	return first;
}

static uint64_t among_holes(void)
{
	return pair(2 * PAGE, false);
}

static void many_areas(void)
{
	unsigned i;

	make_many();
	row("mmap of a page among 10,000 areas", 301, 1, among_map);
	row("fault at random among 10,000 areas, zero page", 11, PICKED, among_fault);
	row("munmap at random among 10,000 areas", 301, 1, among_unmap);
	row("fork+exit+wait, 10,000 areas", 5, 1, fork_exit_wait);
	for (i = 0; i < MANY; i++)
		*(volatile char *)(area + i * 2 * PAGE);
	for (i = 0; i < MANY; i += 2)
		*(volatile char *)(area + i * 2 * PAGE) = 1;
	row("fork+exit+wait, 10,000 areas, half of them touched", 5, 1, fork_exit_wait);
	unmap(area, MANY * 2 * PAGE);

	area = map(MANY * 2 * PAGE);
	for (i = 1; i < MANY; i++)
		unmap(area + (2 * i - 1) * PAGE, PAGE);
	row("mmap+munmap, 10,000 holes too small", 301, 1, among_holes);
	unmap(area, MANY * 2 * PAGE);
}

/* ---- All -------------------------------------------------------------------------------------------- */

static void rows_of_one_area(void)
{
	row("null call (getppid)", 301, 1, null_call);
	row("mmap+munmap of a page, untouched", 301, 1, pair_untouched);
	row("mmap+munmap of a page, written", 301, 1, pair_touched);
	row("mmap+munmap of 128 MiB, untouched", 301, 1, pair_large);
	row("mmap+munmap of 128 MiB, a page written", 301, 1, pair_large_touched);
	row("fault, first write, a page", 11, PAGES, first_write);
	row("fault, zero page read, a page", 11, PAGES, read_zero);
	row("fault, write after that, a page", 11, PAGES, write_after_read);
	row("munmap, a written page of 1,024", 11, PAGES, unmap_touched);

	area = map(PAGES * PAGE);
	write_pages(area, PAGES);
	row("mprotect of a page in the middle of 1,024, and back", 301, 1, protect_middle);
	row("MADV_DONTNEED of 256 pages, written again", 11, 1, dontneed_write);
	row("MADV_DONTNEED of 256 pages, read again", 11, 1, dontneed_read);
	unmap(area, PAGES * PAGE);
}

static void rows_of_moves(void)
{
	char *room = map_prot(4 * TABLE, PROT_NONE);

	/* 4 pages with room behind them. */
	area = map(8 * PAGE);
	unmap(area + 4 * PAGE, 4 * PAGE);
	row("mremap of 4 pages to 5 in place, and back", 301, 1, grow_in_place);
	unmap(area, 4 * PAGE);

	unmap(room, 4 * TABLE);
	room = (char *)(((uintptr_t)room + TABLE - 1) & ~(TABLE - 1));
	must(mmap(room, TABLE, rw, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == room,
	     "mmap fixed");
	write_pages(room, TABLE / PAGE);
	area = room;
	other = room + TABLE;
	row("mremap moves 512 pages, aligned to tables", 51, 1, move);
	other = room + TABLE + PAGE;
	if (area != room) {
		other = room;
		(void)move();
		other = room + TABLE + PAGE;
	}
	row("mremap moves 512 pages, not aligned", 51, 1, move);
	unmap(area, TABLE);
	row("brk, a page more and less, untouched", 301, 1, brk_untouched);
	row("brk, a page more and less, written", 301, 1, brk_touched);
}

static void rows_of_fork(void)
{
	row("fork+exit+wait, small", 51, 1, fork_exit_wait);
	row_with_touched("fork+exit+wait, 16 MiB written", 16 * MIB);
	row_with_touched("fork+exit+wait, 64 MiB written", 64 * MIB);
	area = map(256 * PAGE);
	write_pages(area, 256);
	row("copy on write, copying, a page", 11, 256, copy_shared);
	row("copy on write, the page is reused, a page", 11, 256, reuse);
	unmap(area, 256 * PAGE);
}

int main(void)
{
	uint64_t start;
	unsigned i;

	usleep(500000); /* what the kernel still has to do after its start */
	start = now();
	nothing = now() - start;
	rows_of_one_area();
	rows_of_moves();
	rows_of_fork();
	many_areas();
	for (i = 0; i < nr_results; i++)
		printf("@row %s\t%llu\t%llu\t%llu\n", results[i].name,
		       (unsigned long long)results[i].median, (unsigned long long)results[i].least,
		       (unsigned long long)results[i].most);
	printf("@done\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The texts about a process, on the simulated machine: maps, smaps, status and statm byte for byte
 * as Linux 6.18 prints them for the same memory. Literal texts are from proc(5) or from a run on
 * Linux. The last tests put the same steps to the running Linux and compare what smaps counts.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tools/host.h"
#include "proc.h"

/* ---- maps -------------------------------------------------------------------------------- */

static void test_maps_of_an_empty_space_is_empty(void **state)
{
	(void)state;
	assert_string_equal(maps(space.mm), "");
}

/* As Linux: a blank behind the inode number also where no name follows. */
static void test_maps_shows_rights_of_nameless_memory(void **state)
{
	(void)state;
	put_area(space.mm, 0x10000, 1, MAY);
	put_area(space.mm, 0x20000, 2, VM_R);
	put_area(space.mm, 0x30000, 1, VM_RW);
	put_area(space.mm, 0x40000, 1, VM_X);
	put_area(space.mm, 0x50000, 1, VM_RW | VM_X);
	assert_string_equal(maps(space.mm), "00010000-00011000 ---p 00000000 00:00 0 \n"
					    "00020000-00022000 r--p 00000000 00:00 0 \n"
					    "00030000-00031000 rw-p 00000000 00:00 0 \n"
					    "00040000-00041000 --xp 00000000 00:00 0 \n"
					    "00050000-00051000 rwxp 00000000 00:00 0 \n");
}

/* Addresses and offsets are bytes, whatever the pages are. */
static void test_maps_shows_pages_of_any_size(void **state)
{
	struct disk *d = disk_new(space.q, 16 * PAGE);
	char expected[300];

	(void)state;
	put_area(space.mm, BASE, 3, VM_R);
	put_file(space.mm, BASE + 4 * PAGE, 2, VM_RW | VM_S, &d->file, 2);
	snprintf(expected, sizeof(expected), "%08llx-%08llx r--p 00000000 00:00 0 \n%08llx-%08llx rw-s %08llx ",
		 (unsigned long long)BASE, (unsigned long long)(BASE + 3 * PAGE),
		 (unsigned long long)(BASE + 4 * PAGE), (unsigned long long)(BASE + 6 * PAGE),
		 (unsigned long long)(2 * PAGE));
	assert_memory_equal(maps(space.mm), expected, strlen(expected));
	drop_file(d, BASE, 6);
}

static struct quire_file *named_file(struct disk *d, const char *path)
{
	d->file.path = path;
	d->file.inode = 247498;
	d->file.dev_major = 0xfe;
	d->file.dev_minor = 0;
	return &d->file;
}

/* The first line is one that Linux printed; the others are made like it. */
static void test_maps_shows_files_with_their_names_in_column_73(void **state)
{
	struct disk *d = disk_new(space.q, 16 * PAGE);
	struct quire_file *file = named_file(d, "/usr/bin/head");

	(void)state;
	put_file(space.mm, 0x564cc9a71000, 2, VM_R, file, 0);
	put_file(space.mm, 0x564cc9a73000, 6, VM_X | VM_R, file, 2);
	put_file(space.mm, 0x564cc9a80000, 1, VM_RW | VM_S, file, 1);
	/* opened for reading only: not SHARED, but shown as shared */
	put_file(space.mm, 0x564cc9a90000, 1, (VM_R & ~QUIRE_VM_MAYWRITE) | QUIRE_VM_MAYSHARE, file,
		 0);
	assert_string_equal(
		maps(space.mm),
		"564cc9a71000-564cc9a73000 r--p 00000000 fe:00 247498                     /usr/bin/head\n"
		"564cc9a73000-564cc9a79000 r-xp 00002000 fe:00 247498                     /usr/bin/head\n"
		"564cc9a80000-564cc9a81000 rw-s 00001000 fe:00 247498                     /usr/bin/head\n"
		"564cc9a90000-564cc9a91000 r--s 00000000 fe:00 247498                     /usr/bin/head\n");
	drop_file(d, 0x564cc9a70000, 0x30);
}

static void test_maps_says_that_a_file_is_deleted_and_escapes_newlines(void **state)
{
	struct disk *d = disk_new(space.q, PAGE), *e = disk_new(space.q, PAGE);

	(void)state;
	named_file(d, "/tmp/probe/new\nline")->dev_major = 8;
	d->file.dev_minor = 0x1f;
	named_file(e, "/tmp/a b")->flags |= QUIRE_FILE_DELETED;
	put_file(space.mm, 0x100000000, 1, VM_R | VM_S, &d->file, 0);
	put_file(space.mm, 0x110000000, 1, VM_R | VM_S, &d->file, 0xffffffffe);
	put_file(space.mm, 0x120000000, 1, VM_R, &e->file, 0);
	assert_string_equal(
		maps(space.mm),
		"100000000-100001000 r--s 00000000 08:1f 247498                           /tmp/probe/new\\012line\n"
		"110000000-110001000 r--s ffffffffe000 08:1f 247498                       /tmp/probe/new\\012line\n"
		"120000000-120001000 r--p 00000000 fe:00 247498                           /tmp/a b (deleted)\n");
	drop_file(e, 0x120000000, 1);
	drop_file(d, 0x100000000, 0x20000);
}

/* Linux pads to column 72, then adds one blank: a name never touches the number before it. */
static void test_maps_leaves_a_blank_before_the_name_however_long_the_numbers_are(void **state)
{
	struct disk *d = disk_new(space.q, PAGE);

	(void)state;
	named_file(d, "f")->inode = UINT64_C(10000000000000000000);
	put_file(space.mm, 0x7ffff0000000, 1, VM_R | VM_S, &d->file, 0x7fffffffffff8);
	assert_string_equal(maps(space.mm), "7ffff0000000-7ffff0001000 r--s 7fffffffffff8000 fe:00 "
					    "10000000000000000000  f\n");
	d->file.inode = UINT64_C(100000000000000000); /* its blank is in column 72 */
	assert_string_equal(maps(space.mm), "7ffff0000000-7ffff0001000 r--s 7fffffffffff8000 fe:00 "
					    "100000000000000000  f\n");
	d->file.inode = UINT64_C(10000000000000000);
	assert_string_equal(maps(space.mm), "7ffff0000000-7ffff0001000 r--s 7fffffffffff8000 fe:00 "
					    "10000000000000000  f\n");
	drop_file(d, 0x7ffff0000000, 1);
}

/* proc(5): "/dev/zero (deleted)" is what shared anonymous memory is called. */
static void test_maps_shows_shared_anonymous_memory_as_dev_zero(void **state)
{
	unsigned long long inode;
	char expected[200];
	const char *text;

	(void)state;
	assert_int_equal(quire_mmap(space.mm, BASE, 2 * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				    QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL,
				    0),
			 BASE);
	text = maps(space.mm);
	assert_int_equal(sscanf(text, "10000000-10002000 rw-s 00000000 00:01 %llu", &inode), 1);
	snprintf(expected, sizeof(expected), "10000000-10002000 rw-s 00000000 00:01 %llu", inode);
	assert_true(strlen(expected) < 72);
	memset(expected + strlen(expected), ' ', 73 - strlen(expected));
	strcpy(expected + 73, "/dev/zero (deleted)\n");
	assert_string_equal(text, expected);
}

static const struct quire_vm_ops vdso_ops = {.name = "[vdso]"};
static const struct quire_vm_ops nameless_ops = {0};

/*
 * proc(5). The heap is what overlaps [start_brk, brk); the stack what holds start_stack, or ends
 * there. What has a name of its own keeps it.
 */
static void test_maps_names_heap_stack_and_what_has_operations(void **state)
{
	struct quire_layout *layout = &space.mm->layout;

	(void)state;
	layout->start_brk = 0x20001234;
	layout->brk = 0x20005001;
	layout->start_stack = 0x7ffe00003f00;
	put_area(space.mm, 0x20000000, 2, VM_RW); /* ends behind start_brk: it */
	put_area(space.mm, 0x20003000, 1, VM_R);
	put_area(space.mm, 0x20005000, 1, VM_RW);
	put_area(space.mm, 0x20006000, 1, VM_RW | QUIRE_VM_WIPEONFORK); /* begins behind brk */
	put_area(space.mm, 0x7ffe00000000, 3, VM_RW);
	put_area(space.mm, 0x7ffe00003000, 1, VM_RW | QUIRE_VM_GROWSDOWN);
	put_area(space.mm, 0x7ffe00004000, 1, VM_RW | QUIRE_VM_GROWSDOWN);
	put_driver(space.mm, 0x7ffe00010000, 2, VM_R | VM_X, &vdso_ops, NULL);
	put_driver(space.mm, 0x7ffe00020000, 2, VM_R, &nameless_ops, NULL);
	assert_string_equal(
		maps(space.mm),
		"20000000-20002000 rw-p 00000000 00:00 0                                  [heap]\n"
		"20003000-20004000 r--p 00000000 00:00 0                                  [heap]\n"
		"20005000-20006000 rw-p 00000000 00:00 0                                  [heap]\n"
		"20006000-20007000 rw-p 00000000 00:00 0 \n"
		"7ffe00000000-7ffe00003000 rw-p 00000000 00:00 0 \n"
		"7ffe00003000-7ffe00004000 rw-p 00000000 00:00 0                          [stack]\n"
		"7ffe00004000-7ffe00005000 rw-p 00000000 00:00 0 \n"
		"7ffe00010000-7ffe00012000 r-xp 00000000 00:00 0                          [vdso]\n"
		"7ffe00020000-7ffe00022000 r--p 00000000 00:00 0 \n");
	layout->start_stack =
		0x7ffe00003000; /* the end of one, the start of the next: both, as on Linux */
	assert_non_null(strstr(maps(space.mm),
			       "7ffe00000000-7ffe00003000 rw-p 00000000 00:00 0       "
			       "                   [stack]\n"));
	assert_non_null(strstr(maps(space.mm),
			       "7ffe00003000-7ffe00004000 rw-p 00000000 00:00 0       "
			       "                   [stack]\n"));
}

/* Five levels of tables: an address has up to 14 digits. */
static void test_maps_shows_long_addresses(void **state)
{
	struct machine_config config = {.fmt = &quire_pgfmt_x86_64_5level};
	struct quire_layout layout;
	struct quire_mm *mm;
	struct machine *m;

	(void)state;
	assert_int_equal(machine_create(&config, &m), 0);
	quire_layout_init(&layout, config.fmt, false, false, 8 << 20, 0);
	layout.task_size = quire_pgfmt_x86_64_5level.user_end;
	assert_int_equal(quire_mm_create(machine_quire(m), &layout, &mm), 0);
	put_area(mm, 0x10000, 1, VM_R);
	put_area(mm, 0x123456000, 1, VM_R);
	put_area(mm, 0x7ffffffff000 - PAGE, 1, VM_R);
	put_area(mm, 0xfffffffffff000 - PAGE, 1, VM_R);
	assert_string_equal(maps(mm), "00010000-00011000 r--p 00000000 00:00 0 \n"
				      "123456000-123457000 r--p 00000000 00:00 0 \n"
				      "7fffffffe000-7ffffffff000 r--p 00000000 00:00 0 \n"
				      "ffffffffffe000-fffffffffff000 r--p 00000000 00:00 0 \n");
	quire_mmput(mm);
	assert_int_equal(machine_destroy(m), 0);
}

/* ---- maps while it changes --------------------------------------------------------------- */

/* A sink that maps one area over all the others when it gets the first piece of text. */
static int replace_all(struct quire_sink *sink, const char *text, size_t len)
{
	if (!paper.len)
		map_anon(space.mm, BASE, 64, QUIRE_MAP_PRIVATE);
	return paper_emit(sink, text, len);
}

/*
 * Linux's proc.rst: addresses never go backwards, and what is mapped throughout is shown.
 *
 *	shown by then   |-| |-| |-| |-| |-| |-| |-|
 *	now             |------------------------------------...---|
 *	shown after                               |----------...---|
 */
static void test_maps_does_not_go_back_when_an_area_grows_over_what_was_shown(void **state)
{
	struct quire_sink *sink = blank();

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		put_area(space.mm, BASE + 2 * i * PAGE, 1, VM_R);
	sink->emit = replace_all;
	assert_int_equal(quire_proc_maps(space.mm, sink), 0);
	assert_string_equal(paper.text, "10000000-10001000 r--p 00000000 00:00 0 \n"
					"10002000-10003000 r--p 00000000 00:00 0 \n"
					"10004000-10005000 r--p 00000000 00:00 0 \n"
					"10006000-10007000 r--p 00000000 00:00 0 \n"
					"10008000-10009000 r--p 00000000 00:00 0 \n"
					"1000a000-1000b000 r--p 00000000 00:00 0 \n"
					"1000c000-1000d000 r--p 00000000 00:00 0 \n"
					"1000d000-10040000 rw-p 00000000 00:00 0 \n");
}

#define CHANGES 2000

/* Whether areas ascend without overlapping. Assertions are for the main thread alone. */
static bool ascends(const char *text)
{
	unsigned long long start, end, last = 0;

	for (; *text; text = strchr(text, '\n') + 1) {
		if (*text < '0' || *text > '9')
			continue; /* one of smaps' fields */
		if (sscanf(text, "%llx-%llx ", &start, &end) != 2 || start < last || end <= start)
			return false;
		last = end;
	}
	return true;
}

struct race {
	uint32_t stop;
	bool disorder;
	char text[sizeof(paper.text)];
};

static void change_or_read(struct machine *m, unsigned cpu, void *arg)
{
	struct race *race = arg;

	(void)m;
	if (cpu == 1) {
		for (unsigned i = 0; i < CHANGES; i++) {
			uint64_t a = BASE + (i % 16) * 4 * PAGE;

			quire_mmap(space.mm, a, 3 * PAGE, QUIRE_PROT_READ,
				   QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL,
				   0);
			quire_mprotect(space.mm, a + PAGE, PAGE,
				       QUIRE_PROT_READ | QUIRE_PROT_WRITE);
			quire_munmap(space.mm, BASE + (i * 7 % 16) * 4 * PAGE, 3 * PAGE);
		}
		__atomic_store_n(&race->stop, 1, __ATOMIC_RELEASE);
		return;
	}
	while (!race->disorder && !__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
		quire_proc_maps(space.mm, blank());
		if (ascends(paper.text)) {
			quire_proc_smaps(space.mm, blank());
			if (ascends(paper.text))
				continue;
		}
		race->disorder = true;
		memcpy(race->text, paper.text, sizeof(race->text));
	}
}

static void test_maps_ascends_while_another_cpu_maps(void **state)
{
	static struct race race;

	(void)state;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 2, change_or_read, &race);
	run_in(space.mm);
	if (race.disorder)
		fail_msg("areas do not ascend:\n%s", race.text);
}

/* ---- smaps ------------------------------------------------------------------------------- */

/* Fields, order, widths: of a run of Linux 6.18. Three pages stored to, one only read. */
static void test_smaps_of_one_area(void **state)
{
	char expected[1024];

	(void)state;
	map_anon(space.mm, BASE, 8, QUIRE_MAP_PRIVATE);
	set(BASE, 1);
	set(BASE + 3 * PAGE, 1);
	set(BASE + 7 * PAGE, 1);
	(void)get(BASE + 4 * PAGE);
	/* Numbers are eight wide at least, size by size. */
	snprintf(expected, sizeof(expected),
		 "10000000-%llx rw-p 00000000 00:00 0 \n"
		 "Size:           %8llu kB\n"
		 "KernelPageSize: %8llu kB\n"
		 "MMUPageSize:    %8llu kB\n"
		 "Rss:            %8llu kB\n"
		 "Pss:            %8llu kB\n"
		 "Pss_Dirty:      %8llu kB\n"
		 "Shared_Clean:          0 kB\n"
		 "Shared_Dirty:          0 kB\n"
		 "Private_Clean:         0 kB\n"
		 "Private_Dirty:  %8llu kB\n"
		 "Referenced:     %8llu kB\n"
		 "Anonymous:      %8llu kB\n"
		 "KSM:                   0 kB\n"
		 "LazyFree:              0 kB\n"
		 "AnonHugePages:         0 kB\n"
		 "ShmemPmdMapped:        0 kB\n"
		 "FilePmdMapped:         0 kB\n"
		 "Shared_Hugetlb:        0 kB\n"
		 "Private_Hugetlb:       0 kB\n"
		 "Swap:                  0 kB\n"
		 "SwapPss:               0 kB\n"
		 "Locked:                0 kB\n"
		 "THPeligible:           0\n"
		 "VmFlags: rd wr mr mw me ac \n",
		 (unsigned long long)(BASE + 8 * PAGE), KB(8), KB(1), KB(1), KB(3), KB(3), KB(3), KB(3), KB(3), KB(3));
	assert_string_equal(smaps(space.mm), expected);
}

struct counted {
	unsigned long long rss, pss, pss_dirty, shared_clean, shared_dirty, private_clean,
		private_dirty;
	unsigned long long referenced, anonymous, lazyfree, locked;
};

/* What the text says of the area that begins at addr, in kB. */
static struct counted count(const char *text, uint64_t addr)
{
	unsigned long long start;
	struct counted c = {0};
	char line[4096];

	while ((text = next_line(text, line, sizeof(line)))) {
		if (sscanf(line, "%llx-", &start) != 1 || !strchr(line, '-') || start != addr)
			continue;
		c.rss = field(text, "Rss");
		c.pss = field(text, "Pss");
		c.pss_dirty = field(text, "Pss_Dirty");
		c.shared_clean = field(text, "Shared_Clean");
		c.shared_dirty = field(text, "Shared_Dirty");
		c.private_clean = field(text, "Private_Clean");
		c.private_dirty = field(text, "Private_Dirty");
		c.referenced = field(text, "Referenced");
		c.anonymous = field(text, "Anonymous");
		c.lazyfree = field(text, "LazyFree");
		c.locked = field(text, "Locked");
		return c;
	}
	fail_msg("no area begins at %#llx", (unsigned long long)addr);
	return c;
}

static struct counted count_in(struct quire_mm *mm, uint64_t addr)
{
	return count(smaps(mm), addr);
}

/* A page's share is its size divided by who maps it; kilobytes are made when all are added up. */
static void test_smaps_divides_pages_among_two_and_three_spaces(void **state)
{
	struct quire_mm *second, *third;
	struct counted c;

	(void)state;
	map_anon(space.mm, BASE, 8, QUIRE_MAP_PRIVATE);
	for (unsigned i = 0; i < 4; i++)
		set(BASE + i * PAGE, 1);
	second = fork_space(space.mm);
	c = count_in(space.mm, BASE);
	assert_int_equal(c.rss, KB(4));
	assert_int_equal(c.pss, KB(2));
	assert_int_equal(c.pss_dirty, KB(2));
	assert_int_equal(c.shared_dirty, KB(4));
	assert_int_equal(c.private_dirty, 0);
	assert_int_equal(c.anonymous, KB(4));
	assert_int_equal(c.referenced, KB(4));
	c = count_in(second, BASE);
	assert_int_equal(c.rss, KB(4));
	assert_int_equal(c.shared_dirty, KB(4));
	assert_int_equal(c.referenced, 0); /* it has touched nothing yet */

	third = fork_space(second);
	c = count_in(third, BASE);
	assert_int_equal(c.rss, KB(4));
	assert_int_equal(c.pss, KB(4) / 3);

	/* A third of a page is cut to 1/4096 of a byte, so three of them are less than a page. */
	run_in(second);
	set(BASE, 2);
	c = count_in(second, BASE);
	assert_int_equal(c.private_dirty, KB(1));
	assert_int_equal(c.shared_dirty, KB(3));
	assert_int_equal(c.pss, KB(1) + KB(1) - 1);
	c = count_in(space.mm, BASE);
	assert_int_equal(c.shared_dirty, KB(4));
	assert_int_equal(c.pss, KB(1) / 2 + KB(1) - 1);

	put_space(third);
	put_space(second);
	c = count_in(space.mm, BASE);
	assert_int_equal(c.private_dirty, KB(4));
	assert_int_equal(c.shared_dirty, 0);
	assert_int_equal(c.pss, KB(4));
}

static void test_smaps_of_file_mappings(void **state)
{
	struct disk *d = disk_new(space.q, 4 * PAGE);
	const uint64_t private = BASE, shared = BASE + 0x100000;
	struct counted c;

	(void)state;
	put_file(space.mm, private, 4, VM_RW, &d->file, 0);
	put_file(space.mm, shared, 4, VM_RW | VM_S, &d->file, 0);
	for (unsigned i = 0; i < 4; i++)
		(void)get(private + i * PAGE);
	c = count_in(space.mm, private);
	assert_int_equal(c.rss, KB(4));
	assert_int_equal(c.pss, KB(4));
	assert_int_equal(c.private_clean, KB(4));
	assert_int_equal(c.referenced, KB(4));
	assert_int_equal(c.anonymous, 0);
	assert_int_equal(count_in(space.mm, shared).rss, 0);

	/* Fault-around maps all that is in the cache, AROUND pages at a time; each page now has two mappings. */
	for (unsigned i = 0; i < 4; i += AROUND)
		(void)get(shared + i * PAGE);
	c = count_in(space.mm, private);
	assert_int_equal(c.shared_clean, KB(4));
	assert_int_equal(c.private_clean, 0);
	assert_int_equal(c.pss, KB(2));
	assert_int_equal(count_in(space.mm, shared).pss, KB(2));

	/* A private copy: anonymous, and the file's own page has one mapping less. */
	set(private + PAGE, 1);
	c = count_in(space.mm, private);
	assert_int_equal(c.rss, KB(4));
	assert_int_equal(c.anonymous, KB(1));
	assert_int_equal(c.private_dirty, KB(1));
	assert_int_equal(c.pss_dirty, KB(1));
	assert_int_equal(c.shared_clean, KB(3));
	c = count_in(space.mm, shared);
	assert_int_equal(c.private_clean, KB(1));
	assert_int_equal(c.shared_clean, KB(3));

	/* A store to the file dirties the page for both; writing it back cleans it. */
	set(shared + 2 * PAGE, 1);
	c = count_in(space.mm, shared);
	assert_int_equal(c.shared_dirty, KB(1));
	assert_int_equal(c.shared_clean, KB(2));
	assert_int_equal(c.pss_dirty, KB(1) / 2);
	assert_int_equal(c.anonymous, 0);
	assert_int_equal(count_in(space.mm, private).shared_dirty, KB(1));
	assert_int_equal(quire_msync(space.mm, shared, 4 * PAGE, QUIRE_MS_SYNC), 0);
	c = count_in(space.mm, shared);
	assert_int_equal(c.shared_dirty, 0);
	assert_int_equal(c.shared_clean, KB(3));
	assert_int_equal(count_in(space.mm, private).shared_dirty, 0);

	assert_int_equal(quire_munmap(space.mm, private, 4 * PAGE), 0);
	drop_file(d, shared, 4);
}

static void test_smaps_counts_locked_pages_by_their_share(void **state)
{
	struct quire_mm *child;
	struct counted c;

	(void)state;
	map_anon(space.mm, BASE, 4, QUIRE_MAP_PRIVATE);
	assert_int_equal(quire_mlock(space.mm, BASE, 4 * PAGE), 0);
	c = count_in(space.mm, BASE);
	assert_int_equal(c.rss, KB(4));
	assert_int_equal(c.locked, KB(4));
	child = fork_space(space.mm);
	assert_int_equal(count_in(space.mm, BASE).locked, KB(2));
	assert_int_equal(count_in(child, BASE).locked, 0); /* mlock(2): not inherited */
	put_space(child);
	assert_int_equal(quire_munlock(space.mm, BASE, 4 * PAGE), 0);
	assert_int_equal(count_in(space.mm, BASE).locked, 0);
}

/* proc(5): LazyFree is memory marked by MADV_FREE and not written to since. */
static void test_smaps_counts_lazily_freed_pages_until_they_are_written(void **state)
{
	struct counted c;

	(void)state;
	map_anon(space.mm, BASE, 4, QUIRE_MAP_PRIVATE);
	for (unsigned i = 0; i < 4; i++)
		set(BASE + i * PAGE, 1);
	assert_int_equal(quire_madvise(space.mm, BASE, 3 * PAGE, QUIRE_MADV_FREE), 0);
	c = count_in(space.mm, BASE);
	assert_int_equal(c.lazyfree, KB(3));
	assert_int_equal(c.rss, KB(4));
	assert_int_equal(c.anonymous, KB(4));
	assert_int_equal(c.private_clean, KB(3));
	assert_int_equal(c.private_dirty, KB(1));
	assert_int_equal(c.referenced, KB(1));
	set(BASE + PAGE, 2);
	c = count_in(space.mm, BASE);
	assert_int_equal(c.lazyfree, KB(2));
	assert_int_equal(c.private_dirty, KB(2));
	assert_int_equal(quire_madvise(space.mm, BASE, 4 * PAGE, QUIRE_MADV_DONTNEED), 0);
	c = count_in(space.mm, BASE);
	assert_int_equal(c.rss, 0);
	assert_int_equal(c.lazyfree, 0);
}

static const char *flags_at(const char *text, uint64_t addr)
{
	static char line[4096];
	unsigned long long start;
	bool here = false;

	while ((text = next_line(text, line, sizeof(line)))) {
		if (sscanf(line, "%llx-", &start) == 1 && strchr(line, '-'))
			here = start == addr;
		else if (here && !strncmp(line, "VmFlags: ", 9))
			return line + 9;
	}
	fail_msg("no flags at %#llx", (unsigned long long)addr);
	return "";
}

/* Each line was printed by Linux 6.18 after the same calls. */
static void test_smaps_spells_flags_in_the_order_of_their_bits(void **state)
{
	static const int advice[] = {QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_SEQUENTIAL,
				     QUIRE_MADV_DONTFORK,      QUIRE_MADV_DONTDUMP,
				     QUIRE_MADV_WIPEONFORK,    QUIRE_MADV_HUGEPAGE,
				     QUIRE_MADV_MERGEABLE};
	const uint64_t drop = 0x50000000, many = 0x51000000, grow = 0x52000000, ro = 0x53000000;

	(void)state;
	assert_int_equal(quire_mmap(space.mm, drop, 4 * PAGE, 3,
				    QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED,
				    NULL, 0),
			 (int64_t)drop);
	assert_string_equal(flags_at(smaps(space.mm), drop), "rd wr mr mw me nr wf dd dp ");
	assert_int_equal(quire_mseal(space.mm, drop, 4 * PAGE, 0), 0);
	assert_string_equal(flags_at(smaps(space.mm), drop), "rd wr mr mw me nr wf dd dp sl ");

	map_anon(space.mm, many, 4, QUIRE_MAP_PRIVATE);
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(advice); i++)
		assert_int_equal(quire_madvise(space.mm, many, 4 * PAGE, advice[i]), 0);
	assert_int_equal(quire_mlock2(space.mm, many, 4 * PAGE, QUIRE_MLOCK_ONFAULT), 0);
	assert_string_equal(flags_at(smaps(space.mm), many),
			    "rd wr mr mw me gu lo sr dc lf ac wf dd hg mg ");

	map_anon(space.mm, grow, 4,
		 QUIRE_MAP_PRIVATE | QUIRE_MAP_GROWSDOWN | QUIRE_MAP_NORESERVE | QUIRE_MAP_STACK);
	assert_string_equal(flags_at(smaps(space.mm), grow), "rd wr mr mw me gd nr nh ");

	assert_int_equal(quire_mmap(space.mm, ro, 4 * PAGE, 1,
				    QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL,
				    0),
			 (int64_t)ro);
	assert_string_equal(flags_at(smaps(space.mm), ro), "rd sh mr mw me ms ");

	/* task_mmu's table: every bit that Linux has a name for, and one that it has not. */
	put_driver(space.mm, 0x54000000, 1,
		   VM_RW | VM_S | QUIRE_VM_PFNMAP | QUIRE_VM_IO | QUIRE_VM_RAND_READ |
			   QUIRE_VM_DONTEXPAND | QUIRE_VM_HUGETLB | QUIRE_VM_SYNC |
			   QUIRE_VM_ARCH_1 | QUIRE_VM_SOFTDIRTY | QUIRE_VM_MIXEDMAP | (1ull << 33),
		   &nameless_ops, NULL);
	assert_string_equal(flags_at(smaps(space.mm), 0x54000000),
			    "rd wr sh mr mw me ms pf io rr de ht sf ar sd mm ?? ");
}

/* The sums of all areas under one header, with the shares by kind besides. */
static void test_smaps_rollup_adds_areas_up(void **state)
{
	struct disk *d = disk_new(space.q, 2 * PAGE);
	struct quire_mm *child;

	(void)state;
	assert_int_equal(quire_proc_smaps_rollup(space.mm, blank()), 0);
	assert_non_null(strstr(paper.text,
			       "00000000-00000000 ---p 00000000 00:00 0               "
			       "                   [rollup]\nRss:                   0 kB\n"));

	map_anon(space.mm, BASE, 4, QUIRE_MAP_PRIVATE);
	map_anon(space.mm, BASE + 0x10000, 4, QUIRE_MAP_SHARED);
	put_file(space.mm, 0x7ffff0000000, 2, VM_R, &d->file, 0);
	set(BASE, 1);
	set(BASE + PAGE, 1);
	assert_int_equal(quire_mlock(space.mm, BASE + 2 * PAGE, 2 * PAGE), 0);
	set(BASE + 0x10000, 1);
	(void)get(0x7ffff0000000);
	child = fork_space(space.mm);
	run_in(child);
	(void)get(BASE + 0x10000);
	run_in(space.mm);
	assert_int_equal(quire_proc_smaps_rollup(space.mm, blank()), 0);
	assert_string_equal(
		paper.text,
		"10000000-7ffff0002000 ---p 00000000 00:00 0                              [rollup]\n"
		"Rss:                  24 kB\n"
		"Pss:                  14 kB\n"
		"Pss_Dirty:            10 kB\n"
		"Pss_Anon:              8 kB\n"
		"Pss_File:              4 kB\n"
		"Pss_Shmem:             2 kB\n"
		"Shared_Clean:          0 kB\n"
		"Shared_Dirty:         20 kB\n"
		"Private_Clean:         4 kB\n"
		"Private_Dirty:         0 kB\n"
		"Referenced:           24 kB\n"
		"Anonymous:            16 kB\n"
		"KSM:                   0 kB\n"
		"LazyFree:              0 kB\n"
		"AnonHugePages:         0 kB\n"
		"ShmemPmdMapped:        0 kB\n"
		"FilePmdMapped:         0 kB\n"
		"Shared_Hugetlb:        0 kB\n"
		"Private_Hugetlb:       0 kB\n"
		"Swap:                  0 kB\n"
		"SwapPss:               0 kB\n"
		"Locked:                4 kB\n");
	put_space(child);
	drop_file(d, 0x7ffff0000000, 2);
}

/* ---- status and statm -------------------------------------------------------------------- */

static void test_status_shows_the_counters_of_a_space(void **state)
{
	struct quire_layout *layout = &space.mm->layout;
	struct disk *d = disk_new(space.q, 8 * PAGE);

	(void)state;
	layout->start_code = 0x400123;
	layout->end_code = 0x402001; /* three pages */
	put_file(space.mm, 0x400000, 3, VM_R | VM_X, &d->file, 0);
	put_file(space.mm, 0x10000000, 5, VM_R | VM_X, &d->file, 0);
	put_area(space.mm, 0x20000000, 16, VM_RW);
	put_area(space.mm, 0x7ffff0000000, 33, VM_RW | QUIRE_VM_GROWSDOWN);
	map_anon(space.mm, 0x30000000, 4, QUIRE_MAP_SHARED);
	put_area(space.mm, 0x40000000, 100, VM_RW);
	assert_int_equal(quire_munmap(space.mm, 0x40000000, 100 * PAGE), 0);
	assert_int_equal(quire_mlock(space.mm, 0x20000000, 2 * PAGE), 0);
	set(0x20003000, 1);
	set(0x30000000, 1);
	fetch(0x400000);
	for (unsigned i = 0; i < 5; i++)
		set(0x20008000 + i * PAGE, 1);
	assert_int_equal(quire_madvise(space.mm, 0x20008000, 5 * PAGE, QUIRE_MADV_DONTNEED), 0);
	space.mm->pinned_vm = 7;

	assert_int_equal(quire_proc_status(space.mm, blank()), 0);
	assert_string_equal(paper.text,
			    "VmPeak:\t     644 kB\n" /* 161 pages */
			    "VmSize:\t     244 kB\n" /* 61 */
			    "VmLck:\t       8 kB\n"
			    "VmPin:\t      28 kB\n"
			    "VmHWM:\t      40 kB\n"
			    "VmRSS:\t      20 kB\n"
			    "RssAnon:\t      12 kB\n"
			    "RssFile:\t       4 kB\n"
			    "RssShmem:\t       4 kB\n"
			    "VmData:\t      64 kB\n"
			    "VmStk:\t     132 kB\n"
			    "VmExe:\t      12 kB\n"
			    "VmLib:\t      20 kB\n"
			    "VmPTE:\t      20 kB\n" /* three leaves below one table at each level */
			    "VmSwap:\t       0 kB\n");

	/* size resident shared text lib data dt: lib and dt are 0 since 2.6 */
	assert_int_equal(quire_proc_statm(space.mm, blank()), 0);
	assert_string_equal(paper.text, "61 5 2 3 0 49 0\n");

	/* Less code than the program says it has: VmExe is cut, statm's text is not. */
	layout->end_code = 0x500000;
	assert_int_equal(quire_proc_status(space.mm, blank()), 0);
	assert_int_equal(field(paper.text, "VmExe"), 32);
	assert_int_equal(field(paper.text, "VmLib"), 0);
	assert_int_equal(quire_proc_statm(space.mm, blank()), 0);
	assert_string_equal(paper.text, "61 5 2 256 0 49 0\n");

	assert_int_equal(quire_munmap(space.mm, 0x400000, 3 * PAGE), 0);
	drop_file(d, 0x10000000, 5);
}

/* As the running Linux said of the same pages: bits 55 to 63 alone, what is below them is its own. */
static void test_pagemap_has_a_word_for_each_page(void **state)
{
	struct disk *d = disk_new(space.q, 16 * PAGE);
	uint64_t words[12], frame;
	struct quire_page *page;
	struct quire_mm *child;
	unsigned i;

	(void)state;
	put_area(space.mm, BASE, 8, VM_RW);
	put_file(space.mm, BASE + 8 * PAGE, 2, VM_R, &d->file, 0);
	assert_int_equal(get(BASE), 0);
	set(BASE + PAGE, 1);
	assert_int_equal(quire_madvise(space.mm, BASE + 2 * PAGE, PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	set(BASE + 3 * PAGE, 1);
	assert_int_equal(quire_mprotect(space.mm, BASE + 3 * PAGE, PAGE, 0), 0);
	(void)get(BASE + 8 * PAGE);
	assert_int_equal(quire_pagemap(space.mm, BASE + 5, 12, false, words), 12);
	for (i = 0; i < 12; i++) {
		static const uint64_t said[12] = {0x100, 0x102, 0x88, 0x102, 0, 0, 0, 0, 0x142, 0, 0, 0};

		assert_int_equal(words[i], said[i] << 55);
	}

	assert_int_equal(quire_pagemap(space.mm, BASE + PAGE, 1, true, &frame), 1);
	assert_int_equal(quire_get_user_page(space.mm, BASE + PAGE, QUIRE_ACCESS_READ, &page), 0);
	assert_int_equal(frame, UINT64_C(0x102) << 55 | quire_page_to_pfn(space.q, page));
	(void)quire_page_put(space.q, page);

	assert_int_equal(quire_fork(space.mm, &child), 0);
	assert_int_equal(quire_pagemap(child, BASE + PAGE, 1, false, words), 1);
	assert_int_equal(words[0], UINT64_C(0x100) << 55);
	set(BASE + PAGE, 2);
	assert_int_equal(quire_pagemap(child, BASE + PAGE, 1, false, words), 1);
	assert_int_equal(words[0], UINT64_C(0x102) << 55);
	put_space(child);

	/* There is nothing beyond the last address. */
	assert_int_equal(quire_pagemap(space.mm, space.mm->layout.task_size - PAGE, 12, false, words), 1);
	assert_int_equal(quire_pagemap(space.mm, space.mm->layout.task_size, 12, false, words), 0);
	assert_int_equal(quire_pagemap(space.mm, UINT64_MAX, 12, false, words), 0);
	drop_file(d, BASE, 10);
}

/* Each of pages; and as many tables as there are levels without the root. */
static void test_status_counts_pages_of_any_size(void **state)
{
	(void)state;
	put_area(space.mm, BASE, 16, VM_RW);
	put_area(space.mm, BASE + 32 * PAGE, 33, VM_RW | QUIRE_VM_GROWSDOWN);
	set(BASE, 1);
	set(BASE + 2 * PAGE, 1);
	assert_int_equal(quire_proc_status(space.mm, blank()), 0);
	assert_int_equal(field(paper.text, "VmSize"), KB(49));
	assert_int_equal(field(paper.text, "VmRSS"), KB(2));
	assert_int_equal(field(paper.text, "VmHWM"), KB(2));
	assert_int_equal(field(paper.text, "VmData"), KB(16));
	assert_int_equal(field(paper.text, "VmStk"), KB(33));
	if (QUIRE_PAGE_SHIFT > 12) /* else other formats have other tables */
		assert_int_equal(field(paper.text, "VmPTE"), KB(space.mm->pt.fmt->levels - 1));
	assert_int_equal(quire_proc_statm(space.mm, blank()), 0);
	assert_string_equal(paper.text, "49 2 0 0 0 49 0\n");
}

/* With five levels Linux counts PTE, PMD and PUD tables, and not the P4D tables above them. */
static void test_status_counts_tables_as_linux_does_with_five_levels(void **state)
{
	struct machine_config config = {.fmt = &quire_pgfmt_x86_64_5level};
	struct machine *m;
	struct quire_mm *mm;

	(void)state;
	assert_int_equal(machine_create(&config, &m), 0);
	assert_int_equal(quire_mm_create(machine_quire(m), NULL, &mm), 0);
	machine_switch(m, &mm->pt);
	put_area(mm, BASE, 1, VM_RW);
	assert_int_equal(machine_store(m, BASE, "x", 1, NULL), 0);
	assert_int_equal(quire_proc_status(mm, blank()), 0);
	assert_int_equal(field(paper.text, "VmPTE"), 12);
	machine_switch(m, NULL);
	quire_mmput(mm);
	assert_int_equal(machine_destroy(m), 0);
}

/* ---- Against the running Linux ----------------------------------------------------------- */

static size_t name_length(const char *line)
{
	const char *colon = strchr(line, ':');

	assert_non_null(colon);
	return (size_t)(colon - line);
}

/* Lines that depend on the kernel's configuration or on the processor. */
static bool depends_on_config(const char *line)
{
	static const char *const names[] = {
		"ProtectionKey",  "KSM",	   "THPeligible",    "AnonHugePages",
		"ShmemPmdMapped", "FilePmdMapped", "Shared_Hugetlb", "Private_Hugetlb",
		"Pss_Dirty",
	};

	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(names); i++)
		if (name_length(line) == strlen(names[i]) &&
		    !strncmp(line, names[i], strlen(names[i])))
			return true;
	return false;
}

/* The column behind the line's number. */
static size_t end_of_number(const char *line)
{
	size_t start = name_length(line) + 1;

	start += strspn(line + start, " ");
	return start + strspn(line + start, "0123456789");
}

/* The names of an area's lines are the same in the same order, but for those that depend. */
static void compare_names(const char *ours, const char *theirs)
{
	char our_line[4096], their_line[4096];

	ours = next_line(ours, our_line, sizeof(our_line));
	theirs = next_line(theirs, their_line, sizeof(their_line));
	do {
		assert_non_null(ours);
		assert_non_null(theirs);
		ours = next_line(ours, our_line, sizeof(our_line));
		theirs = next_line(theirs, their_line, sizeof(their_line));
		while (strncmp(our_line, their_line, name_length(our_line) + 1)) {
			if (depends_on_config(their_line))
				theirs = next_line(theirs, their_line, sizeof(their_line));
			else if (depends_on_config(our_line))
				ours = next_line(ours, our_line, sizeof(our_line));
			else
				fail_msg("Linux has %s where we have %s", their_line, our_line);
			assert_non_null(ours);
			assert_non_null(theirs);
		}
		if (strncmp(our_line, "VmFlags:", 8)) {
			/* Numbers of up to eight digits end in the same column. */
			assert_int_equal(end_of_number(our_line), 24);
			assert_true(end_of_number(their_line) >= 24);
		}
	} while (strncmp(our_line, "VmFlags:", 8));
}

static void test_smaps_has_the_running_linux_s_fields_in_its_order(void **state)
{
	const char *theirs = read_linux("/proc/self/smaps");

	(void)state;
	if (!theirs || !*theirs)
		skip();
	put_area(space.mm, BASE, 1, VM_RW);
	compare_names(smaps(space.mm), theirs);
}

#define STEP_BASE 0x10000000ull
#define STEP_PAGES 8u

/* The same on both sides; n is a page where one is needed. */
enum step {
	STORE,
	LOAD,
	CHILD,	     /* fork; the child keeps its space and waits */
	CHILD_STORE, /* the last child stores */
	READ_ONLY,   /* mprotect of that page */
	READ_WRITE,
	LOCK,
	UNLOCK,
	DROP,	    /* madvise(MADV_DONTNEED) */
	CHILD_EXIT, /* the last child is gone */
};

struct scenario_step {
	enum step step;
	unsigned n;
};

#define MAX_CHILDREN 3

struct linux_child {
	pid_t pid;
	int to, from;
};

static struct linux_child linux_child[MAX_CHILDREN];

static void linux_fork(struct linux_child *c)
{
	int to[2], from[2];
	char byte;

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		close(to[1]);
		close(from[0]);
		while (read(to[0], &byte, 1) == 1) {
			*(volatile char *)(uintptr_t)(STEP_BASE + (unsigned char)byte * PAGE) = 3;
			if (write(from[1], &byte, 1) != 1)
				break;
		}
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	c->to = to[1];
	c->from = from[0];
}

static void linux_exit(struct linux_child *c)
{
	int status;

	close(c->to);
	close(c->from);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	assert_int_equal(status, 0);
}

static void linux_step(const struct scenario_step *s, unsigned nr_children)
{
	volatile char *page = (volatile char *)(uintptr_t)(STEP_BASE + s->n * PAGE);
	struct linux_child *last = &linux_child[nr_children ? nr_children - 1 : 0];
	char byte = (char)s->n;

	switch (s->step) {
	case STORE:
		*page = 1;
		break;
	case LOAD:
		(void)*page;
		break;
	case CHILD:
		linux_fork(&linux_child[nr_children]);
		break;
	case CHILD_STORE:
		assert_int_equal(write(last->to, &byte, 1), 1);
		assert_int_equal(read(last->from, &byte, 1), 1);
		break;
	case READ_ONLY:
		assert_int_equal(mprotect((void *)(uintptr_t)page, PAGE, PROT_READ), 0);
		break;
	case READ_WRITE:
		assert_int_equal(mprotect((void *)(uintptr_t)page, PAGE, PROT_READ | PROT_WRITE),
				 0);
		break;
	case LOCK: /* by number: sanitizers make the library's function do nothing */
		assert_int_equal(syscall(SYS_mlock, STEP_BASE, STEP_PAGES * PAGE), 0);
		break;
	case UNLOCK:
		assert_int_equal(syscall(SYS_munlock, STEP_BASE, STEP_PAGES * PAGE), 0);
		break;
	case DROP:
		assert_int_equal(madvise((void *)(uintptr_t)page, PAGE, MADV_DONTNEED), 0);
		break;
	case CHILD_EXIT:
		linux_exit(last);
		break;
	}
}

static struct quire_mm *our_child[MAX_CHILDREN];

static void our_step(const struct scenario_step *s, unsigned nr_children)
{
	const uint64_t page = STEP_BASE + s->n * PAGE;
	struct quire_mm *last = nr_children ? our_child[nr_children - 1] : NULL;

	switch (s->step) {
	case STORE:
		set(page, 1);
		break;
	case LOAD:
		(void)get(page);
		break;
	case CHILD:
		our_child[nr_children] = fork_space(space.mm);
		break;
	case CHILD_STORE:
		run_in(last);
		set(page, 3);
		run_in(space.mm);
		break;
	case READ_ONLY:
		assert_int_equal(quire_mprotect(space.mm, page, PAGE, QUIRE_PROT_READ), 0);
		break;
	case READ_WRITE:
		assert_int_equal(
			quire_mprotect(space.mm, page, PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE),
			0);
		break;
	case LOCK:
		assert_int_equal(quire_mlock(space.mm, STEP_BASE, STEP_PAGES * PAGE), 0);
		break;
	case UNLOCK:
		assert_int_equal(quire_munlock(space.mm, STEP_BASE, STEP_PAGES * PAGE), 0);
		break;
	case DROP:
		assert_int_equal(quire_madvise(space.mm, page, PAGE, QUIRE_MADV_DONTNEED), 0);
		break;
	case CHILD_EXIT:
		put_space(last);
		break;
	}
}

#define ASSERT_SAME(f)                                                                             \
	do {                                                                                       \
		if (ours.f != theirs.f)                                                            \
			fail_msg("step %zu, area at %#llx: " #f ": Linux %llu kB, we %llu kB",     \
				 step, (unsigned long long)addr, theirs.f, ours.f);                \
	} while (0)

/* All areas in the range that the steps use, with the same bounds on both sides. */
static void compare_counts(size_t step)
{
	static char our_text[sizeof(paper.text)];
	const char *linux_now = read_linux("/proc/self/smaps");
	uint64_t addr = STEP_BASE;

	assert_non_null(linux_now);
	strcpy(our_text, smaps(space.mm));
	while (addr < STEP_BASE + STEP_PAGES * PAGE) {
		struct counted ours = count(our_text, addr), theirs = count(linux_now, addr);

		ASSERT_SAME(rss);
		ASSERT_SAME(pss);
		ASSERT_SAME(shared_clean);
		ASSERT_SAME(shared_dirty);
		ASSERT_SAME(private_clean);
		ASSERT_SAME(private_dirty);
		ASSERT_SAME(referenced);
		ASSERT_SAME(anonymous);
		ASSERT_SAME(locked);
		addr = area(space.mm, addr)->end;
	}
}

static void compare_scenario(const struct scenario_step *steps, size_t nr, uint32_t type)
{
	unsigned children = 0;
	void *at;

	at = mmap((void *)(uintptr_t)STEP_BASE, STEP_PAGES * PAGE, PROT_READ | PROT_WRITE,
		  (type == QUIRE_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS |
			  MAP_FIXED_NOREPLACE,
		  -1, 0);
	if (at != (void *)(uintptr_t)STEP_BASE)
		skip();
	map_anon(space.mm, STEP_BASE, STEP_PAGES, type);
	space.q->mms.sysctl.forbid_zeropage = host_forbids_zeropage();
	for (size_t i = 0; i < nr; i++) {
		linux_step(&steps[i], children);
		our_step(&steps[i], children);
		if (steps[i].step == CHILD)
			children++;
		if (steps[i].step == CHILD_EXIT)
			children--;
		compare_counts(i);
	}
	while (children) {
		children--;
		linux_exit(&linux_child[children]);
		put_space(our_child[children]);
	}
	munmap(at, STEP_PAGES * PAGE);
}

static const struct scenario_step scenario[] = {
	{STORE, 0},	 {LOAD, 1},  {STORE, 2},       {STORE, 7},	{READ_ONLY, 2},
	{CHILD, 0},	 {LOAD, 3},  {CHILD_STORE, 0}, {STORE, 7},	{CHILD, 0},
	{CHILD, 0},	 {STORE, 3}, {CHILD_STORE, 7}, {DROP, 0},	{READ_WRITE, 2},
	{CHILD_EXIT, 0}, {STORE, 2}, {LOCK, 0},	       {CHILD, 0},	{CHILD_STORE, 5},
	{UNLOCK, 0},	 {DROP, 5},  {LOAD, 5},	       {CHILD_EXIT, 0}, {STORE, 5},
};

static void test_smaps_counts_private_memory_as_the_running_linux_does(void **state)
{
	(void)state;
	compare_scenario(scenario, QUIRE_ARRAY_SIZE(scenario), QUIRE_MAP_PRIVATE);
}

static void test_smaps_counts_shared_memory_as_the_running_linux_does(void **state)
{
	(void)state;
	compare_scenario(scenario, QUIRE_ARRAY_SIZE(scenario), QUIRE_MAP_SHARED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		space_test(test_maps_of_an_empty_space_is_empty),
		space_test_two_cpus(test_maps_ascends_while_another_cpu_maps),
		space_test(test_smaps_of_one_area),
		space_test(test_smaps_divides_pages_among_two_and_three_spaces),
		space_test(test_smaps_of_file_mappings),
		space_test(test_smaps_counts_locked_pages_by_their_share),
		space_test(test_smaps_counts_lazily_freed_pages_until_they_are_written),
		space_test(test_smaps_spells_flags_in_the_order_of_their_bits),
		space_test(test_maps_shows_pages_of_any_size),
		space_test(test_status_counts_pages_of_any_size),
		space_test(test_pagemap_has_a_word_for_each_page),
		/* Texts as Linux printed them: of pages of 4 KiB. */
		space_test(test_maps_shows_rights_of_nameless_memory),
		space_test(test_maps_shows_shared_anonymous_memory_as_dev_zero),
		space_test(test_maps_shows_long_addresses),
		space_test(test_maps_does_not_go_back_when_an_area_grows_over_what_was_shown),
		space_test(test_status_counts_tables_as_linux_does_with_five_levels),
		space_test(test_smaps_has_the_running_linux_s_fields_in_its_order),
		space_test(test_smaps_counts_private_memory_as_the_running_linux_does),
		space_test(test_smaps_counts_shared_memory_as_the_running_linux_does),
		/* With addresses and numbers of tables as programs on x86-64 have them: where space reaches as far. */
		space_test(test_maps_shows_files_with_their_names_in_column_73),
		space_test(test_maps_says_that_a_file_is_deleted_and_escapes_newlines),
		space_test(test_maps_leaves_a_blank_before_the_name_however_long_the_numbers_are),
		space_test(test_maps_names_heap_stack_and_what_has_operations),
		space_test(test_smaps_rollup_adds_areas_up),
		space_test(test_status_shows_the_counters_of_a_space),
	};
	const size_t nr_left_out = QUIRE_PAGE_SHIFT > 12 ? 14 : test_format()->user_end >> 46 ? 0 : 6;

	return _cmocka_run_group_tests("proc", tests, QUIRE_ARRAY_SIZE(tests) - nr_left_out, NULL, NULL);
}

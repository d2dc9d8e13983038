/* SPDX-License-Identifier: MIT */
/*
 * Mapped files and shared memory, on the simulated machine: real loads and stores through real
 * tables. What one mapping sees of another, of read() and write(), of fork; truncate and holes
 * under mappings; write-back that loses no store; areas of drivers. The semantics are those of
 * mmap(2), msync(2), ftruncate(2), madvise(2).
 */
#include "disk.h"

#include <setjmp.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <machine.h>

#define PAGE QUIRE_PAGE_SIZE
#define AT UINT64_C(0x7f0000000000) /* where tests map: fixed, so that they can say addresses */
#define ELSEWHERE UINT64_C(0x7f0010000000)
#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)
#define CPUS 4u

static struct machine *m;
static struct quire *q;
static struct quire_mm *mm;
static struct disk *d;

/* ---- Set-up ------------------------------------------------------------------------------ */

static struct quire_mm *new_space(void)
{
	struct quire_layout layout;
	struct quire_mm *space;

	quire_layout_init(&layout, false, false, UINT64_C(8) << 20, 0);
	assert_int_equal(quire_mm_create(q, &layout, &space), 0);
	return space;
}

static void run_in(struct quire_mm *space)
{
	machine_switch(m, space ? &space->pt : NULL);
}

static int set_up(void **state)
{
	struct machine_config config = {.nr_cpus = CPUS};

	(void)state;
	assert_int_equal(machine_create(&config, &m), 0);
	q = machine_quire(m);
	mm = new_space();
	d = disk_new(q, 16 * PAGE);
	run_in(mm);
	return 0;
}

static void assert_sound(struct quire_mm *space)
{
	quire_broken_t broken = quire_mm_check(space);

	if (!broken)
		broken = quire_object_check(&d->object);
	if (!broken)
		broken = machine_check(m);
	if (broken)
		fail_msg("%s", broken);
}

/* Nothing may be left of the space, the file, the machine. */
static int tear_down(void **state)
{
	(void)state;
	assert_sound(mm);
	run_in(NULL);
	quire_mmput(mm);
	quire_grace_wait(q);
	assert_null(disk_delete(d));
	assert_int_equal(machine_destroy(m), 0);
	return 0;
}

/* ---- What a program does ----------------------------------------------------------------- */

/* pages of the disk from page first on at addr. */
static void map_disk(struct quire_mm *space, quire_uaddr_t addr, uint64_t pages, uint32_t prot,
		     uint32_t flags, uint64_t first)
{
	assert_int_equal(quire_mmap(space, addr, pages * PAGE, prot,
				    flags | QUIRE_MAP_FIXED_NOREPLACE, &d->file, first * PAGE),
			 addr);
}

static unsigned char get(quire_uaddr_t addr)
{
	unsigned char byte = 0;
	struct quire_signal sig;

	if (machine_load(m, addr, &byte, 1, &sig))
		fail_msg("load at %llx: signal %d code %d", (unsigned long long)addr, sig.signo,
			 sig.code);
	return byte;
}

static void put(quire_uaddr_t addr, unsigned char byte)
{
	struct quire_signal sig;

	if (machine_store(m, addr, &byte, 1, &sig))
		fail_msg("store at %llx: signal %d code %d", (unsigned long long)addr, sig.signo,
			 sig.code);
}

/* The access is SIGBUS, BUS_ADRERR, with the exact address. */
static void assert_bus(quire_uaddr_t addr, bool store)
{
	unsigned char byte = 1;
	struct quire_signal sig = {0, 0, 0};
	int err = store ? machine_store(m, addr, &byte, 1, &sig)
			: machine_load(m, addr, &byte, 1, &sig);

	assert_int_equal(err, -QUIRE_EFAULT);
	assert_int_equal(sig.signo, QUIRE_SIGBUS);
	assert_int_equal(sig.code, QUIRE_BUS_ADRERR);
	assert_int_equal(sig.addr, addr);
}

static quire_pte_t entry(struct quire_mm *space, quire_uaddr_t addr)
{
	quire_pte_t pte;

	quire_grace_enter(q);
	pte = quire_pgtable_peek(&space->pt, addr);
	quire_grace_leave(q);
	return pte;
}

static bool is_mapped(struct quire_mm *space, quire_uaddr_t addr)
{
	return entry(space, addr) != 0;
}

static struct quire_page *frame(struct quire_mm *space, quire_uaddr_t addr)
{
	quire_pte_t pte = entry(space, addr);

	assert_int_equal(quire_pte_kind(space->pt.fmt, pte), QUIRE_PTE_PAGE);
	return quire_pfn_to_page(q, quire_pte_pfn(space->pt.fmt, pte));
}

static uint64_t stat(enum quire_stat which)
{
	return quire_stat_read(q, which);
}

static unsigned char byte_of_file(uint64_t pos)
{
	unsigned char byte = 0;

	assert_int_equal(quire_object_read(&d->object, pos, &byte, 1), 1);
	return byte;
}

/* ---- Sharing ----------------------------------------------------------------------------- */

static void mappings_of_one_file_share_its_frames(void **state)
{
	struct quire_page *page;

	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 1);
	assert_int_equal(get(AT + PAGE + 5), disk_byte(PAGE + 5));
	assert_int_equal(get(ELSEWHERE + 5), disk_byte(PAGE + 5));
	assert_int_equal(d->reads, 1);
	page = frame(mm, AT + PAGE);
	assert_ptr_equal(page, frame(mm, ELSEWHERE));
	assert_int_equal(page->maps, 2);
	assert_int_equal(page->refs, 3); /* the cache and two entries */
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 2);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_MAPPED), 1);
	assert_sound(mm);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	assert_int_equal(page->maps, 1);
	assert_int_equal(get(ELSEWHERE + 5), disk_byte(PAGE + 5));
	assert_int_equal(d->reads, 1);
}

static void a_shared_store_is_seen_by_everybody(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, QUIRE_PROT_READ, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(get(ELSEWHERE), disk_byte(0));
	put(AT, 0xee);
	assert_int_equal(get(ELSEWHERE), 0xee);
	assert_int_equal(byte_of_file(0), 0xee);
	/* and write() by mappings */
	assert_int_equal(quire_object_write(&d->object, 7, "w", 1), 1);
	assert_int_equal(get(AT + 7), 'w');
	assert_int_equal(get(ELSEWHERE + 7), 'w');
	assert_int_equal(d->bytes[0], disk_byte(0)); /* not yet on the disk */
}

static void a_private_store_is_seen_by_nobody_else(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, RW, QUIRE_MAP_PRIVATE, 0);
	put(ELSEWHERE + 3, 0xee);
	assert_int_equal(get(ELSEWHERE + 3), 0xee);
	assert_int_equal(get(ELSEWHERE + 4), disk_byte(4)); /* the rest was copied */
	assert_int_equal(get(AT + 3), disk_byte(3));
	assert_int_equal(byte_of_file(3), disk_byte(3));
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	/* From then on that page no longer follows the file; its neighbour does. */
	put(AT + 4, 0x11);
	put(AT + PAGE, 0x22);
	assert_int_equal(get(ELSEWHERE + 4), disk_byte(4));
	assert_int_equal(get(ELSEWHERE + PAGE), 0x22);
	assert_sound(mm);
}

static void a_private_page_read_first_is_copied_at_the_store(void **state)
{
	struct quire_page *page;

	(void)state;
	map_disk(mm, AT, 1, RW, QUIRE_MAP_PRIVATE, 3);
	assert_int_equal(get(AT), disk_byte(3 * PAGE));
	page = frame(mm, AT);
	assert_int_equal(quire_page_kind(page), QUIRE_PAGE_CACHE);
	put(AT, 0xee);
	assert_ptr_not_equal(frame(mm, AT), page);
	assert_int_equal(quire_page_kind(frame(mm, AT)), QUIRE_PAGE_ANON);
	assert_int_equal(page->maps, 0);
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 0);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 1);
	assert_int_equal(get(AT + 1), disk_byte(3 * PAGE + 1));
	assert_int_equal(byte_of_file(3 * PAGE), disk_byte(3 * PAGE));
}

static void fork_shares_what_is_shared_and_copies_what_is_private(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, RW, QUIRE_MAP_PRIVATE, 0);
	put(ELSEWHERE, 0x11);
	put(AT + 1, 0x22);
	assert_int_equal(quire_fork(mm, &child), 0);
	run_in(child);
	assert_int_equal(get(ELSEWHERE), 0x11);
	assert_int_equal(get(AT + 1), 0x22);
	put(ELSEWHERE, 0x33);
	put(AT + 1, 0x44);
	put(ELSEWHERE + PAGE, 0x55);
	run_in(mm);
	assert_int_equal(get(ELSEWHERE), 0x11);
	assert_int_equal(get(AT + 1), 0x44);
	assert_int_equal(get(ELSEWHERE + PAGE), disk_byte(PAGE));
	put(ELSEWHERE, 0x66);
	put(AT + 1, 0x77);
	run_in(child);
	assert_int_equal(get(ELSEWHERE), 0x33);
	assert_int_equal(get(AT + 1), 0x77);
	assert_sound(child);
	run_in(mm);
	quire_mmput(child);
	assert_int_equal(get(ELSEWHERE), 0x66);
}

static void a_page_that_cannot_be_read_is_a_bus_error(void **state)
{
	(void)state;
	map_disk(mm, AT, 3, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 3, RW, QUIRE_MAP_PRIVATE, 0);
	d->fail_read = 1;
	assert_int_equal(get(AT), disk_byte(0));
	assert_bus(AT + PAGE + 7, false);
	assert_bus(AT + PAGE + 7, true);
	assert_bus(ELSEWHERE + PAGE, true);
	d->fail_read = UINT64_MAX;
	assert_int_equal(get(AT + PAGE + 7), disk_byte(PAGE + 7));
	assert_int_equal(d->mkwrites, 0);
}

static void memory_behind_the_end_of_the_file_is_a_bus_error(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 14);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 14);
	assert_int_equal(get(AT + 2 * PAGE - 1), disk_byte(16 * PAGE - 1));
	assert_bus(AT + 2 * PAGE, false);
	assert_bus(AT + 2 * PAGE + 1, true);
	assert_bus(ELSEWHERE + 3 * PAGE + 123, false);
	assert_bus(ELSEWHERE + 4 * PAGE - 1, true);
	assert_sound(mm);
}

/* ---- Truncate ---------------------------------------------------------------------------- */

/*
 *	file      |---|---|---|---|  -> |---|-|
 *	page        0   1   2   3         0  1
 */
static void truncate_takes_pages_out_of_every_mapping(void **state)
{
	struct quire_mm *child;

	(void)state;
	quire_object_truncate(&d->object, 4 * PAGE);
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 0);
	for (uint64_t i = 0; i < 4; i++) {
		put(AT + i * PAGE, 0xee);
		assert_int_equal(get(ELSEWHERE + i * PAGE), 0xee);
	}
	assert_int_equal(quire_fork(mm, &child), 0);
	run_in(child);
	assert_int_equal(get(AT + 3 * PAGE), 0xee);
	run_in(mm);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 4);

	quire_object_truncate(&d->object, PAGE + 10);
	assert_int_equal(get(AT), 0xee);
	assert_int_equal(get(AT + PAGE), 0xee);
	assert_int_equal(get(AT + PAGE + 9), disk_byte(PAGE + 9));
	assert_int_equal(get(AT + PAGE + 10), 0); /* the rest of the last page */
	assert_int_equal(get(ELSEWHERE + 2 * PAGE - 1), 0);
	assert_bus(AT + 2 * PAGE, false);
	assert_bus(AT + 3 * PAGE + 17, true);
	assert_bus(ELSEWHERE + 2 * PAGE, false);
	run_in(child);
	assert_bus(AT + 3 * PAGE, false);
	assert_int_equal(get(AT), 0xee);
	run_in(mm);
	assert_false(is_mapped(mm, AT + 2 * PAGE));
	assert_false(is_mapped(child, AT + 3 * PAGE));
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 2);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 2);
	assert_sound(child);
	quire_mmput(child);
}

static void what_an_extension_adds_can_be_read_again(void **state)
{
	(void)state;
	/* the host has cut its storage */
	memset(d->bytes + PAGE + 10, 0, (DISK_PAGES - 1) * PAGE - 10);
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 0);
	assert_int_equal(get(AT + 2 * PAGE), 0);
	quire_object_truncate(&d->object, PAGE + 10);
	put(AT + PAGE + 100, 0xee); /* behind the end, in the last page: allowed, and forgotten */
	assert_bus(AT + 2 * PAGE, false);
	assert_bus(ELSEWHERE + 2 * PAGE, false);
	quire_object_truncate(&d->object, 3 * PAGE);
	assert_int_equal(get(AT + PAGE + 9), disk_byte(PAGE + 9));
	assert_int_equal(get(AT + PAGE + 100), 0);
	assert_int_equal(get(AT + 2 * PAGE), 0);
	assert_int_equal(get(ELSEWHERE + 2 * PAGE), 0);
	put(AT + 2 * PAGE, 0x11);
	assert_int_equal(get(ELSEWHERE + 2 * PAGE), 0x11);
	assert_bus(AT + 3 * PAGE, false);
}

/*
 * As Linux does: private copies of pages behind the new end go, those of the last page stay as
 * they are.
 */
static void truncate_takes_private_copies_too(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_PRIVATE, 0);
	for (uint64_t i = 0; i < 4; i++)
		put(AT + i * PAGE + 100, 0xee);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 4);
	quire_object_truncate(&d->object, PAGE + 10);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 2);
	assert_int_equal(get(AT + 100), 0xee);
	assert_int_equal(get(AT + PAGE + 100), 0xee);
	assert_bus(AT + 2 * PAGE, false);
	quire_object_truncate(&d->object, 4 * PAGE);
	/* our disk was not cut */
	assert_int_equal(get(AT + 2 * PAGE + 100), disk_byte(2 * PAGE + 100));
	assert_sound(mm);
}

static void a_hole_is_zeroes_and_leaves_private_copies(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 4, RW, QUIRE_MAP_PRIVATE, 0);
	put(AT + PAGE, 0x11);
	put(AT + 2 * PAGE, 0x11);
	put(ELSEWHERE + 2 * PAGE, 0x22);
	assert_int_equal(get(ELSEWHERE + PAGE), 0x11);
	assert_int_equal(quire_object_punch_hole(&d->object, PAGE, 3 * PAGE), 0);
	assert_false(is_mapped(mm, AT + PAGE));
	assert_int_equal(get(AT), disk_byte(0));
	assert_int_equal(get(AT + PAGE), 0);
	assert_int_equal(get(ELSEWHERE + PAGE), 0);
	assert_int_equal(get(AT + 2 * PAGE), 0);
	assert_int_equal(get(ELSEWHERE + 2 * PAGE), 0x22);
	assert_int_equal(get(AT + 3 * PAGE), disk_byte(3 * PAGE));
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
}

static void truncate_leaves_other_files_at_the_same_addresses_alone(void **state)
{
	struct disk *other = disk_new(q, 4 * PAGE), *first = d;

	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	put(AT + 3 * PAGE, 0x11);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	d = other;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	put(AT + 3 * PAGE, 0x22);
	d = first;
	quire_object_truncate(&d->object, 0);
	assert_true(is_mapped(mm, AT + 3 * PAGE));
	assert_int_equal(get(AT + 3 * PAGE), 0x22);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	quire_grace_wait(q);
	assert_null(disk_delete(other));
}

/* ---- Write-back -------------------------------------------------------------------------- */

static void a_shared_store_is_announced_once_and_written_back(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	assert_int_equal(get(AT), disk_byte(0));
	assert_int_equal(d->mkwrites, 0);
	assert_false(quire_pte_has(mm->pt.fmt, entry(mm, AT), QUIRE_PTE_WRITE));
	put(AT, 0x11);
	put(AT + 1, 0x22);
	assert_int_equal(d->mkwrites, 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->writes, 1);
	assert_int_equal(d->bytes[0], 0x11);
	assert_int_equal(d->bytes[1], 0x22);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	/* Still mapped, but clean: it can't be written to without somebody hearing of it. */
	assert_true(is_mapped(mm, AT));
	assert_int_equal(
		quire_pte_bits(mm->pt.fmt, entry(mm, AT)) & (QUIRE_PTE_WRITE | QUIRE_PTE_DIRTY), 0);
	assert_int_equal(get(AT), 0x11);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->writes, 1);

	put(AT, 0x33);
	assert_int_equal(d->mkwrites, 2);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->writes, 2);
	assert_int_equal(d->bytes[0], 0x33);
	assert_sound(mm);
}

static void each_mapping_of_a_page_is_cleaned(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, RW, QUIRE_MAP_SHARED, 0);
	assert_int_equal(quire_fork(mm, &child), 0);
	put(AT, 0x11);
	put(ELSEWHERE + 1, 0x22);
	run_in(child);
	put(AT + 2, 0x33);
	run_in(mm);
	assert_int_equal(quire_object_sync(&d->object, 0, 0), 0);
	assert_int_equal(d->writes, 1);
	assert_memory_equal(d->bytes, "\x11\x22\x33", 3);
	assert_false(quire_pte_has(mm->pt.fmt, entry(mm, AT), QUIRE_PTE_WRITE));
	assert_false(quire_pte_has(mm->pt.fmt, entry(mm, ELSEWHERE), QUIRE_PTE_WRITE));
	assert_false(quire_pte_has(child->pt.fmt, entry(child, AT), QUIRE_PTE_WRITE));
	run_in(child);
	put(AT + 2, 0x44);
	run_in(mm);
	quire_mmput(child); /* its entry's dirty bit goes to the page */
	assert_int_equal(quire_object_sync(&d->object, 0, 0), 0);
	assert_int_equal(d->bytes[2], 0x44);
	assert_int_equal(d->writes, 2);
}

static void unmapping_keeps_the_store(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	put(AT + PAGE, 0x11);
	assert_int_equal(quire_munmap(mm, AT, 2 * PAGE), 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_MAPPED), 0);
	assert_int_equal(byte_of_file(PAGE), 0x11);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->bytes[PAGE], 0x11);
}

static void a_refused_store_is_a_bus_error(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, ELSEWHERE, 2, RW, QUIRE_MAP_PRIVATE, 0);
	d->fail_mkwrite = 1;
	assert_int_equal(get(AT + PAGE), disk_byte(PAGE));
	assert_bus(AT + PAGE + 3, true);
	assert_int_equal(get(AT + PAGE + 3), disk_byte(PAGE + 3));
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	put(AT, 0x11);
	put(ELSEWHERE + PAGE, 0x22); /* private: nobody is asked */
	d->fail_mkwrite = UINT64_MAX;
	put(AT + PAGE + 3, 0x33);
	assert_int_equal(byte_of_file(PAGE + 3), 0x33);
}

static void msync_writes_back_what_its_range_maps(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 2);
	for (uint64_t i = 0; i < 4; i++)
		put(AT + i * PAGE, 0x11);
	assert_int_equal(quire_msync(mm, AT + PAGE, 2 * PAGE, QUIRE_MS_SYNC), 0);
	assert_int_equal(d->writes, 2);
	assert_int_equal(d->bytes[2 * PAGE], disk_byte(2 * PAGE));
	assert_int_equal(d->bytes[3 * PAGE], 0x11);
	assert_int_equal(d->bytes[4 * PAGE], 0x11);
	assert_int_equal(d->bytes[5 * PAGE], disk_byte(5 * PAGE));
	d->fail_write = 2;
	assert_int_equal(quire_msync(mm, AT, 4 * PAGE, QUIRE_MS_SYNC), -QUIRE_EIO);
	assert_int_equal(d->bytes[5 * PAGE], 0x11);
	d->fail_write = UINT64_MAX;
	assert_int_equal(quire_msync(mm, AT, 4 * PAGE, QUIRE_MS_SYNC), 0);
	assert_int_equal(d->bytes[2 * PAGE], 0x11);
}

/* ---- Shared anonymous memory ------------------------------------------------------------- */

static void shared_anonymous_memory_is_shared_with_children(void **state)
{
	struct quire_mm *child;

	(void)state;
	assert_int_equal(
		quire_mmap(mm, AT, 4 * PAGE, RW,
			   QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED_NOREPLACE, NULL,
			   0),
		AT);
	assert_int_equal(get(AT), 0);
	put(AT + PAGE, 0x11);
	assert_int_equal(mm->rss[QUIRE_RSS_SHMEM], 2);
	assert_int_equal(stat(QUIRE_STAT_SHMEM), 2);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	assert_int_equal(quire_fork(mm, &child), 0);
	run_in(child);
	assert_int_equal(get(AT + PAGE), 0x11);
	put(AT + PAGE, 0x22);
	put(AT + 2 * PAGE, 0x33);
	run_in(mm);
	assert_int_equal(get(AT + PAGE), 0x22);
	assert_int_equal(get(AT + 2 * PAGE), 0x33);
	assert_int_equal(stat(QUIRE_STAT_SHMEM), 3);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	run_in(child);
	assert_int_equal(get(AT + PAGE), 0x22); /* the child has it still */
	run_in(mm);
	quire_mmput(child);
	quire_grace_wait(q);
	assert_int_equal(stat(QUIRE_STAT_SHMEM), 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 0);
}

/* ---- Drivers ----------------------------------------------------------------------------- */

struct driver {
	struct quire_file file;
	struct quire_page *page[4]; /* what its memory is; NULL: an error for that page */
	bool raw;		    /* hands out frame numbers instead of pages */
	int answer;		    /* of fault, if not 0 */
	unsigned opens, closes, faults, mkwrites;
	uint32_t last_access;
};
static struct driver driver;

static int driver_fault(struct quire_vmf *vmf)
{
	struct driver *dr = vmf->vma->private_data;

	dr->faults++;
	dr->last_access = vmf->access;
	if (dr->answer)
		return dr->answer;
	if (vmf->pgoff >= 4 || !dr->page[vmf->pgoff])
		return -QUIRE_EFAULT;
	if (dr->raw) {
		vmf->pfn = quire_page_to_pfn(q, dr->page[vmf->pgoff]);
	} else {
		vmf->page = dr->page[vmf->pgoff];
		quire_page_get(vmf->page);
	}
	return 0;
}

static int driver_mkwrite(struct quire_vmf *vmf)
{
	struct driver *dr = vmf->vma->private_data;

	dr->mkwrites++;
	assert_true(quire_page_test(vmf->page, QUIRE_PG_LOCKED));
	return 0;
}

static void driver_open(struct quire_vma *vma)
{
	((struct driver *)vma->private_data)->opens++;
}

static void driver_close(struct quire_vma *vma)
{
	((struct driver *)vma->private_data)->closes++;
}

static const struct quire_vm_ops driver_ops = {
	.open = driver_open,
	.close = driver_close,
	.fault = driver_fault,
	.page_mkwrite = driver_mkwrite,
};

static int driver_mmap(struct quire_file *file, struct quire_vma *vma)
{
	struct driver *dr = quire_container_of(file, struct driver, file);

	vma->private_data = dr;
	if (dr->raw)
		vma->flags |= QUIRE_VM_PFNMAP | QUIRE_VM_IO;
	return 0;
}

static void make_driver(bool raw)
{
	driver = (struct driver){
		.file = {.vm_ops = &driver_ops,
			 .mmap = driver_mmap,
			 .path = "/dev/driver",
			 .flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
			 .refs = 1},
		.raw = raw,
	};
	for (unsigned i = 0; i < 3; i++) {
		driver.page[i] = quire_page_alloc(q, QUIRE_GFP_USER | QUIRE_GFP_ZERO, 0);
		assert_non_null(driver.page[i]);
		*(unsigned char *)quire_page_kmap(q, driver.page[i]) = (unsigned char)(0x10 + i);
		quire_page_kunmap(q, NULL);
	}
}

static unsigned char driver_byte(unsigned page)
{
	unsigned char byte = *(unsigned char *)quire_page_kmap(q, driver.page[page]);

	quire_page_kunmap(q, NULL);
	return byte;
}

static void drop_driver(void)
{
	quire_grace_wait(q);
	assert_int_equal(driver.file.refs, 1);
	assert_int_equal(driver.closes, driver.opens + 1); /* mmap announced the first area
							    * itself */
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(driver.page[i]->refs, 1);
		assert_int_equal(driver.page[i]->maps, 0);
		quire_page_put(q, driver.page[i]);
	}
}

static void a_driver_maps_its_own_pages(void **state)
{
	struct quire_mm *child;
	unsigned faults;

	(void)state;
	make_driver(false);
	assert_int_equal(quire_mmap(mm, AT, 5 * PAGE, RW,
				    QUIRE_MAP_SHARED | QUIRE_MAP_FIXED_NOREPLACE, &driver.file, 0),
			 AT);
	assert_int_equal(get(AT), 0x10);
	faults = driver.faults; /* once or more: it may be asked again when the fault has to
				 * start again */
	assert_in_range(faults, 1, 2);
	assert_int_equal(driver.last_access, QUIRE_ACCESS_READ);
	assert_ptr_equal(frame(mm, AT), driver.page[0]);
	assert_int_equal(get(AT), 0x10);
	assert_int_equal(driver.faults, faults);
	put(AT + PAGE, 0x77);
	assert_int_equal(driver_byte(1), 0x77);
	assert_int_equal(driver.mkwrites, 1);
	put(AT, 0x66); /* read-only so far */
	assert_int_equal(driver.mkwrites, 2);
	assert_int_equal(driver_byte(0), 0x66);
	assert_bus(AT + 3 * PAGE + 5, false); /* nothing there, says the driver */
	assert_bus(AT + 4 * PAGE, true);
	driver.answer = -QUIRE_EIO;
	assert_bus(AT + 2 * PAGE, false);
	driver.answer = 0;
	assert_int_equal(get(AT + 2 * PAGE), 0x12);

	assert_int_equal(quire_fork(mm, &child), 0);
	assert_int_equal(driver.opens, 1);
	run_in(child);
	assert_int_equal(get(AT), 0x66);
	run_in(mm);
	quire_mmput(child);
	assert_int_equal(driver.closes, 1);
	assert_sound(mm);
	assert_int_equal(quire_munmap(mm, AT, 5 * PAGE), 0);
	drop_driver();
}

static void a_private_store_copies_a_drivers_page(void **state)
{
	(void)state;
	make_driver(false);
	assert_int_equal(quire_mmap(mm, AT, 3 * PAGE, RW,
				    QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED_NOREPLACE, &driver.file, 0),
			 AT);
	put(AT + PAGE, 0x77);
	assert_int_equal(driver_byte(1), 0x11);
	assert_int_equal(get(AT + PAGE), 0x77);
	assert_int_equal(get(AT), 0x10);
	put(AT, 0x66);
	assert_int_equal(driver_byte(0), 0x10);
	assert_int_equal(driver.mkwrites, 0);
	assert_sound(mm);
	assert_int_equal(quire_munmap(mm, AT, 3 * PAGE), 0);
	drop_driver();
}

static void a_driver_maps_raw_frames_that_nobody_counts(void **state)
{
	(void)state;
	make_driver(true);
	assert_int_equal(quire_mmap(mm, AT, 4 * PAGE, RW,
				    QUIRE_MAP_SHARED | QUIRE_MAP_FIXED_NOREPLACE, &driver.file, 0),
			 AT);
	assert_int_equal(get(AT + PAGE), 0x11);
	put(AT + PAGE, 0x77);
	assert_int_equal(driver_byte(1), 0x77);
	put(AT + 2 * PAGE, 0x78);
	assert_int_equal(driver_byte(2), 0x78);
	assert_bus(AT + 3 * PAGE, false);
	assert_int_equal(driver.page[1]->refs, 1);
	assert_int_equal(driver.page[1]->maps, 0);
	for (unsigned k = 0; k < QUIRE_NR_RSS; k++)
		assert_int_equal(mm->rss[k], 0);
	assert_sound(mm);
	assert_int_equal(quire_munmap(mm, AT, 4 * PAGE), 0);
	drop_driver();
}

/* ---- One thing in the middle of another -------------------------------------------------- */

/*
 * What is to happen the next time a frame is handed out: in get_page, after it has found
 * nothing. Or see on_flush().
 */
static void (*at_next_event)(void);
static struct quire_page *got_in_between;

static void on_frame(void *ctx, quire_pfn_t pfn, unsigned order, bool allocated)
{
	void (*fn)(void) = at_next_event;

	(void)ctx;
	(void)pfn;
	(void)order;
	at_next_event = NULL;
	if (allocated && fn)
		fn();
}

static void watch_frames(void (*fn)(void))
{
	static const struct machine_hooks hooks = {.frames = on_frame};

	machine_set_hooks(m, &hooks, NULL);
	at_next_event = fn;
}

static void truncate_to_nothing(void)
{
	quire_object_truncate(&d->object, 0);
}

static void a_page_does_not_get_in_behind_a_truncate(void **state)
{
	struct quire_page *page;

	(void)state;
	watch_frames(truncate_to_nothing);
	assert_int_equal(quire_object_get_page(&d->object, 5, &page), -QUIRE_EFAULT);
	assert_null(at_next_event); /* it came to that */
	assert_null(page);
	assert_int_equal(d->object.nr_pages, 0);
	assert_int_equal(d->reads, 0);
	quire_object_truncate(&d->object, 16 * PAGE);
}

static void get_the_same_page(void)
{
	assert_int_equal(quire_object_get_page(&d->object, 5, &got_in_between), 0);
}

static void of_two_who_bring_a_page_the_first_wins(void **state)
{
	struct quire_page *page;

	(void)state;
	watch_frames(get_the_same_page);
	assert_int_equal(quire_object_get_page(&d->object, 5, &page), 0);
	assert_ptr_equal(page, got_in_between);
	assert_int_equal(page->refs, 3);
	assert_int_equal(d->reads, 1);
	assert_int_equal(stat(QUIRE_STAT_FILE_PAGES), 1);
	quire_page_put(q, page);
	quire_page_put(q, page);
}

/* The next TLB flush: in the middle of moving or copying entries. */
static void on_flush(void *ctx, const struct quire_tlb_flush *flush)
{
	void (*fn)(void) = ctx ? at_next_event : NULL;

	(void)flush;
	at_next_event = NULL;
	if (fn)
		fn();
}

static void watch_flushes(void (*fn)(void))
{
	static const struct machine_hooks hooks = {.flush = on_flush};

	machine_set_hooks(m, &hooks, m);
	at_next_event = fn;
}

static void truncate_to_one_page(void)
{
	quire_object_truncate(&d->object, PAGE);
}

static void a_truncate_finds_pages_that_mremap_is_moving(void **state)
{
	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_SHARED, 0);
	map_disk(mm, AT + 4 * PAGE, 4, RW, QUIRE_MAP_PRIVATE, 0);
	for (uint64_t i = 0; i < 4; i++) {
		put(AT + i * PAGE, 0x11);
		put(AT + (4 + i) * PAGE, 0x22);
	}
	for (uint64_t at = 0; at < 8; at += 4) {
		quire_object_truncate(&d->object, 4 * PAGE);
		assert_int_equal(get(AT + (at + 3) * PAGE), at ? disk_byte(3 * PAGE) : 0x11);
		put(AT + (at + 3) * PAGE, 0x33);
		watch_flushes(truncate_to_one_page);
		assert_int_equal(quire_mremap(mm, AT + at * PAGE, 4 * PAGE, 4 * PAGE,
					      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED,
					      ELSEWHERE + at * PAGE),
				 ELSEWHERE + at * PAGE);
		assert_null(at_next_event);
		assert_int_equal(d->object.size, PAGE);
		assert_int_equal(get(ELSEWHERE + at * PAGE), at ? 0x22 : 0x11);
		for (uint64_t i = 1; i < 4; i++) {
			assert_false(is_mapped(mm, ELSEWHERE + (at + i) * PAGE));
			assert_bus(ELSEWHERE + (at + i) * PAGE, true);
		}
		assert_sound(mm);
	}
}

static void a_truncate_finds_pages_that_fork_has_copied(void **state)
{
	struct quire_mm *child;

	(void)state;
	map_disk(mm, AT, 4, RW, QUIRE_MAP_PRIVATE, 0);
	put(AT, 0x11);
	put(AT + 3 * PAGE, 0x22);
	assert_int_equal(get(AT + 2 * PAGE), disk_byte(2 * PAGE));
	watch_flushes(truncate_to_one_page);
	assert_int_equal(quire_fork(mm, &child), 0);
	assert_null(at_next_event);
	for (uint64_t i = 1; i < 4; i++) {
		assert_false(is_mapped(mm, AT + i * PAGE));
		assert_false(is_mapped(child, AT + i * PAGE));
	}
	run_in(child);
	assert_int_equal(get(AT), 0x11);
	assert_bus(AT + 2 * PAGE, false);
	assert_bus(AT + 3 * PAGE, false);
	assert_sound(child);
	run_in(mm);
	quire_mmput(child);
}

/* CPU 0 is in read_page or write_page, until another CPU waits for the page's lock. */
struct meeting {
	uint32_t inside;   /* CPU 0 is there; atomic */
	uint32_t timeouts; /* atomic */
	uint32_t bad;	   /* atomic */
	struct quire_page *page[2];
	int err[2];
};
static struct meeting meeting;

static bool within_seconds(time_t start)
{
	sched_yield();
	return time(NULL) - start < 10;
}

static void wait_for_a_waiter(struct disk *disk, struct quire_page *page)
{
	time_t start = time(NULL);

	if (quire_exchange(&meeting.inside, 1u))
		return; /* the second call is the other CPU's own */
	while (!quire_page_test(page, QUIRE_PG_WAITERS))
		if (!within_seconds(start)) {
			quire_add_relaxed(&meeting.timeouts, 1u);
			break;
		}
	(void)disk;
}

static void fail_when_somebody_waits(struct disk *disk, struct quire_page *page)
{
	bool first = !quire_load_acquire(&meeting.inside);

	wait_for_a_waiter(disk, page);
	disk->fail_read = first ? page->index : UINT64_MAX;
}

static void wait_until_inside(void)
{
	time_t start = time(NULL);

	while (!quire_load_acquire(&meeting.inside))
		if (!within_seconds(start)) {
			quire_add_relaxed(&meeting.timeouts, 1u);
			break;
		}
}

static void both_get_page_5(struct machine *machine, unsigned cpu, void *arg)
{
	(void)machine;
	(void)arg;
	if (cpu == 1)
		wait_until_inside();
	meeting.err[cpu] = quire_object_get_page(&d->object, 5, &meeting.page[cpu]);
}

static void who_waited_for_a_page_that_failed_reads_it_himself(void **state)
{
	(void)state;
	run_in(NULL);
	meeting = (struct meeting){0};
	d->in_read = fail_when_somebody_waits;
	machine_run_cpus(m, 2, both_get_page_5, NULL);
	assert_int_equal(meeting.timeouts, 0);
	assert_int_equal(meeting.err[0], -QUIRE_EIO);
	assert_int_equal(meeting.err[1], 0);
	assert_int_equal(d->reads, 2);
	assert_true(quire_object_has_page(&d->object, meeting.page[1]));
	quire_page_put(q, meeting.page[1]);
}

static void read_and_truncate(struct machine *machine, unsigned cpu, void *arg)
{
	(void)machine;
	(void)arg;
	if (cpu == 0) {
		meeting.err[0] = quire_object_get_page(&d->object, 5, &meeting.page[0]);
		return;
	}
	wait_until_inside();
	quire_object_truncate(&d->object, PAGE);
	if (d->object.nr_pages)
		quire_add_relaxed(&meeting.bad, 1u);
}

static void a_truncate_waits_for_a_page_that_is_being_read(void **state)
{
	(void)state;
	run_in(NULL);
	meeting = (struct meeting){0};
	d->in_read = wait_for_a_waiter;
	machine_run_cpus(m, 2, read_and_truncate, NULL);
	assert_int_equal(meeting.timeouts, 0);
	assert_int_equal(meeting.bad, 0);
	assert_int_equal(meeting.err[0], 0); /* it was there when the read began */
	assert_false(quire_object_has_page(&d->object, meeting.page[0]));
	assert_int_equal(meeting.page[0]->refs, 1);
	quire_page_put(q, meeting.page[0]);
}

static void write_back_and_store(struct machine *machine, unsigned cpu, void *arg)
{
	unsigned char byte = 0x22;

	(void)arg;
	if (cpu == 0) {
		meeting.err[0] = quire_object_sync(&d->object, 0, UINT64_MAX);
		return;
	}
	wait_until_inside();
	machine_switch(machine, &mm->pt);
	meeting.err[1] = machine_store(machine, AT, &byte, 1, NULL);
	machine_switch(machine, NULL);
}

static void a_store_during_write_back_waits_and_counts_again(void **state)
{
	(void)state;
	map_disk(mm, AT, 2, RW, QUIRE_MAP_SHARED, 0);
	put(AT, 0x11);
	run_in(NULL);
	meeting = (struct meeting){0};
	d->in_write = wait_for_a_waiter;
	machine_run_cpus(m, 2, write_back_and_store, NULL);
	run_in(mm);
	assert_int_equal(meeting.timeouts, 0); /* the store did not get through while the page
					        * was being written */
	assert_int_equal(meeting.err[0], 0);
	assert_int_equal(meeting.err[1], 0);
	assert_int_equal(d->bytes[0], 0x11);
	assert_int_equal(d->mkwrites, 2);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 1);
	assert_int_equal(get(AT), 0x22);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(d->bytes[0], 0x22);
}

/* ---- CPUs at once ------------------------------------------------------------------------ */

#define STORED_PAGES 8u /* pages 0..7 are stored to all the time, 8..15 come and go */

struct race {
	uint32_t running;		   /* CPUs that still store; atomic */
	uint32_t bad;			   /* atomic */
	uint32_t last[CPUS][STORED_PAGES]; /* what the CPU has stored last to its word of the
					    * page */
};

static quire_uaddr_t word_at(unsigned cpu, uint64_t page)
{
	return AT + page * PAGE + 64 * (uint64_t)cpu;
}

/*
 * CPUs 0 and 1 count in words of their own, page by page; CPU 2 writes back and drops nothing;
 * CPU 3 truncates and extends the upper half of the file, in which CPUs 0 and 1 store too, and
 * may get SIGBUS.
 */
static void store_while_written_back(struct machine *machine, unsigned cpu, void *arg)
{
	struct race *race = arg;

	if (cpu < 2) {
		machine_switch(machine, &mm->pt);
		for (uint32_t step = 1; step <= 3000; step++) {
			uint64_t page = step * 5 % STORED_PAGES;
			uint32_t back = 0;
			struct quire_signal sig;

			if (machine_store(machine, word_at(cpu, page), &step, sizeof(step), &sig) ||
			    machine_load(machine, word_at(cpu, page), &back, sizeof(back), &sig) ||
			    back != step)
				quire_add_relaxed(&race->bad, 1u);
			race->last[cpu][page] = step;
			if (machine_store(machine, word_at(cpu, page + STORED_PAGES), &step,
					  sizeof(step), &sig) &&
			    sig.signo != QUIRE_SIGBUS)
				quire_add_relaxed(&race->bad, 1u);
		}
		machine_switch(machine, NULL);
		(void)quire_fetch_sub(&race->running, 1u);
		return;
	}
	for (uint64_t step = 0; step == 0 || quire_load_acquire(&race->running); step++) {
		if (cpu == 2) {
			if (quire_object_sync(&d->object, 0, UINT64_MAX))
				quire_add_relaxed(&race->bad, 1u);
		} else {
			quire_object_truncate(&d->object,
					      (STORED_PAGES + step % STORED_PAGES) * PAGE +
						      step % 2 * 100);
			quire_object_truncate(&d->object, 16 * PAGE);
		}
	}
}

static void no_store_is_lost_between_write_backs(void **state)
{
	struct race race = {.running = 2};

	(void)state;
	run_in(NULL);
	map_disk(mm, AT, 16, RW, QUIRE_MAP_SHARED, 0);
	machine_run_cpus(m, CPUS, store_while_written_back, &race);
	assert_int_equal(race.bad, 0);
	assert_int_equal(quire_object_sync(&d->object, 0, UINT64_MAX), 0);
	assert_int_equal(stat(QUIRE_STAT_FILE_DIRTY), 0);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		for (uint64_t page = 0; page < STORED_PAGES; page++) {
			uint32_t on_disk;

			memcpy(&on_disk, d->bytes + (word_at(cpu, page) - AT), sizeof(on_disk));
			assert_int_equal(on_disk, race.last[cpu][page]);
		}
	}
	assert_sound(mm);
}

/*
 * Private copies are made and taken away at once; after the last truncate none may be left
 * behind the end.
 */
static void copy_while_truncated(struct machine *machine, unsigned cpu, void *arg)
{
	struct race *race = arg;

	if (cpu < 3) {
		machine_switch(machine, &mm->pt);
		for (uint32_t step = 1; step <= 2000; step++) {
			quire_uaddr_t addr = AT + step * 7 % 16 * PAGE + cpu;
			unsigned char byte = 0xee;
			struct quire_signal sig;
			int err = step % 3 ? machine_store(machine, addr, &byte, 1, &sig)
					   : machine_load(machine, addr, &byte, 1, &sig);

			if (err && sig.signo != QUIRE_SIGBUS)
				quire_add_relaxed(&race->bad, 1u);
		}
		machine_switch(machine, NULL);
		(void)quire_fetch_sub(&race->running, 1u);
		return;
	}
	do {
		quire_object_truncate(&d->object, 16 * PAGE);
		quire_object_truncate(&d->object, 4 * PAGE);
		for (uint64_t i = 4; i < 16; i++)
			if (is_mapped(mm, AT + i * PAGE))
				quire_add_relaxed(&race->bad, 1u);
	} while (quire_load_acquire(&race->running));
}

static void no_copy_outlives_a_truncate(void **state)
{
	struct race race = {.running = 3};

	(void)state;
	run_in(NULL);
	map_disk(mm, AT, 16, RW, QUIRE_MAP_PRIVATE, 0);
	machine_run_cpus(m, CPUS, copy_while_truncated, &race);
	assert_int_equal(race.bad, 0);
	assert_true(mm->rss[QUIRE_RSS_ANON] + mm->rss[QUIRE_RSS_FILE] <= 4);
	assert_sound(mm);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mappings_of_one_file_share_its_frames),
		TEST(a_shared_store_is_seen_by_everybody),
		TEST(a_private_store_is_seen_by_nobody_else),
		TEST(a_private_page_read_first_is_copied_at_the_store),
		TEST(fork_shares_what_is_shared_and_copies_what_is_private),
		TEST(a_page_that_cannot_be_read_is_a_bus_error),
		TEST(memory_behind_the_end_of_the_file_is_a_bus_error),
		TEST(truncate_takes_pages_out_of_every_mapping),
		TEST(what_an_extension_adds_can_be_read_again),
		TEST(truncate_takes_private_copies_too),
		TEST(a_hole_is_zeroes_and_leaves_private_copies),
		TEST(truncate_leaves_other_files_at_the_same_addresses_alone),
		TEST(a_shared_store_is_announced_once_and_written_back),
		TEST(each_mapping_of_a_page_is_cleaned),
		TEST(unmapping_keeps_the_store),
		TEST(a_refused_store_is_a_bus_error),
		TEST(msync_writes_back_what_its_range_maps),
		TEST(shared_anonymous_memory_is_shared_with_children),
		TEST(a_driver_maps_its_own_pages),
		TEST(a_private_store_copies_a_drivers_page),
		TEST(a_driver_maps_raw_frames_that_nobody_counts),
		TEST(a_page_does_not_get_in_behind_a_truncate),
		TEST(of_two_who_bring_a_page_the_first_wins),
		TEST(a_truncate_finds_pages_that_mremap_is_moving),
		TEST(a_truncate_finds_pages_that_fork_has_copied),
		TEST(who_waited_for_a_page_that_failed_reads_it_himself),
		TEST(a_truncate_waits_for_a_page_that_is_being_read),
		TEST(a_store_during_write_back_waits_and_counts_again),
		TEST(no_store_is_lost_between_write_backs),
		TEST(no_copy_outlives_a_truncate),
	};

	return cmocka_run_group_tests_name("filemap", tests, NULL, NULL);
}

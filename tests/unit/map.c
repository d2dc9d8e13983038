/* SPDX-License-Identifier: MIT */
/*
 * mmap(2) as its manual page has it: what is refused and with which error, what comes out, what is counted,
 * what an area that was there before loses, and what drivers are told. Where is in layout.c,
 * merging in merge.c. Errors and their order were seen on Linux 6.18.44.
 */
#include "picture.h"

#define MIB (UINT64_C(1) << 20)
#define R QUIRE_PROT_READ
#define W QUIRE_PROT_WRITE
#define X QUIRE_PROT_EXEC
#define ANON_SHARED (QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS)

static struct disk *disk;

static int setup(void **state)
{
	if (space_setup(state))
		return -1;
	disk = disk_new(space.q, DISK_PAGES * PAGE);
	return 0;
}

/* The spaces go before the file that they map. */
static int teardown(void **state)
{
	quire_broken_t broken;

	(void)state;
	check_space(space.mm);
	machine_switch(space.m, NULL);
	quire_mmput(space.mm);
	quire_grace_wait(space.q);
	broken = disk_delete(disk);
	if (broken)
		fail_msg("%s", broken);
	return machine_destroy(space.m) ? -1 : 0;
}

#define map_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static int64_t mmap_anon(uint64_t addr, uint64_t len, uint32_t prot, uint32_t flags)
{
	return quire_mmap(space.mm, addr, len, prot, flags, NULL, 0);
}

static int64_t mmap_file(uint64_t addr, uint64_t len, uint32_t prot, uint32_t flags, uint64_t offset)
{
	return quire_mmap(space.mm, addr, len, prot, flags, &disk->file, offset);
}

static uint64_t flags_at(uint64_t addr)
{
	struct quire_vma *vma = area(space.mm, addr);

	assert_non_null(vma);
	return vma->flags;
}

/* ---- What is refused --------------------------------------------------------------------- */

static void anonymous_maps_are_checked(void **state)
{
	const uint64_t end = space.mm->layout.task_size;
	const struct {
		uint64_t addr, len;
		uint32_t prot, flags;
		int err;
	} cases[] = {
		{ 0, 0, R, ANON, QUIRE_EINVAL },
		{ 0, UINT64_MAX, R, ANON, QUIRE_ENOMEM }, /* rounds up to 0 */
		{ 0, end + PAGE, R, ANON, QUIRE_ENOMEM },
		{ 0, end, R, ANON | QUIRE_MAP_NORESERVE, QUIRE_ENOMEM },
		{ 0, PAGE, R, QUIRE_MAP_ANONYMOUS, QUIRE_EINVAL }, /* neither private nor shared */
		{ 0, PAGE, R, QUIRE_MAP_TYPE | QUIRE_MAP_ANONYMOUS, QUIRE_EINVAL },
		{ 0, PAGE, R, QUIRE_MAP_SHARED_VALIDATE | QUIRE_MAP_ANONYMOUS, QUIRE_EINVAL },
		{ 0, PAGE, R, ANON_SHARED | QUIRE_MAP_GROWSDOWN, QUIRE_EINVAL },
		{ 0, PAGE, R, QUIRE_MAP_PRIVATE, QUIRE_EBADF }, /* no file */
		{ 0x123, PAGE, R, ANON | QUIRE_MAP_FIXED, QUIRE_EINVAL },
		{ end, PAGE, R, ANON | QUIRE_MAP_FIXED, QUIRE_ENOMEM },
		{ end - PAGE, 2 * PAGE, R, ANON | QUIRE_MAP_FIXED, QUIRE_ENOMEM },
		{ 0xffffffffffffe000, PAGE, R, ANON | QUIRE_MAP_FIXED, QUIRE_ENOMEM },
		{ 0xfffffffffffff123, PAGE, R, ANON | QUIRE_MAP_FIXED, 3805 }, /* taken for an errno, as on Linux */
		{ 0, PAGE, R, QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_LOCKED, QUIRE_EINVAL },
		{ 0, PAGE, R, QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_GROWSDOWN, QUIRE_EINVAL },
		/* Huge pages: a pool without pages. */
		{ 0, PAGE, R, ANON | QUIRE_MAP_HUGETLB, QUIRE_ENOMEM },
		{ 0, PAGE, R, ANON | QUIRE_MAP_HUGETLB | 21u << 26, QUIRE_ENOMEM },
		{ 0, PAGE, R, ANON | QUIRE_MAP_HUGETLB | 30u << 26, QUIRE_ENOMEM },
		{ 0, PAGE, R, ANON | QUIRE_MAP_HUGETLB | 16u << 26, QUIRE_EINVAL },
		{ 0, 0, R, ANON | QUIRE_MAP_HUGETLB, QUIRE_EINVAL },
		{ 0x201000, PAGE, R, ANON | QUIRE_MAP_HUGETLB | QUIRE_MAP_FIXED, QUIRE_EINVAL },
		{ 0, PAGE, R, ANON | QUIRE_MAP_HUGETLB | QUIRE_MAP_GROWSDOWN, QUIRE_EINVAL },
		{ 0, PAGE, R, QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_HUGETLB, QUIRE_EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(cases); i++) {
		int64_t answer = mmap_anon(cases[i].addr, cases[i].len, cases[i].prot, cases[i].flags);

		if (answer != -cases[i].err)
			fail_msg("case %zu: %lld instead of %d", i, (long long)answer, -cases[i].err);
	}
	assert_int_equal(space.mm->total_vm, 0);
}

static void file_maps_are_checked(void **state)
{
	enum { RD = QUIRE_FILE_READ, WR = QUIRE_FILE_WRITE };
	static const struct {
		uint32_t file;
		uint64_t len;
		uint32_t prot, flags;
		uint64_t offset;
		int err;
	} cases[] = {
		{ RD | WR, PAGE, R, QUIRE_MAP_PRIVATE, 1, QUIRE_EINVAL },
		{ RD | WR, 0, R, QUIRE_MAP_PRIVATE, 0, QUIRE_EINVAL },
		{ RD | WR, PAGE, R, 0, 0, QUIRE_EINVAL },
		{ RD | WR, PAGE, R, QUIRE_MAP_DROPPABLE, 0, QUIRE_EINVAL },
		{ RD | WR, PAGE, R, QUIRE_MAP_PRIVATE | QUIRE_MAP_GROWSDOWN, 0, QUIRE_EINVAL },
		{ RD | WR, PAGE, R, QUIRE_MAP_PRIVATE | QUIRE_MAP_HUGETLB, 0, QUIRE_EINVAL },
		{ RD | WR, PAGE, R, QUIRE_MAP_PRIVATE, INT64_MAX - PAGE + 1, QUIRE_EOVERFLOW },
		{ RD | WR, PAGE, R, QUIRE_MAP_PRIVATE, UINT64_C(0) - PAGE, QUIRE_EOVERFLOW },
		/* What it was opened for. */
		{ RD, PAGE, R | W, QUIRE_MAP_SHARED, 0, QUIRE_EACCES },
		{ WR, PAGE, W, QUIRE_MAP_SHARED, 0, QUIRE_EACCES },
		{ WR, PAGE, W, QUIRE_MAP_PRIVATE, 0, QUIRE_EACCES },
		{ RD | WR | QUIRE_FILE_APPEND_ONLY, PAGE, R, QUIRE_MAP_SHARED, 0, QUIRE_EACCES },
		{ RD | QUIRE_FILE_NOEXEC, PAGE, X, QUIRE_MAP_PRIVATE, 0, QUIRE_EPERM },
		{ RD | QUIRE_FILE_NOMMAP, PAGE, R, QUIRE_MAP_PRIVATE, 0, QUIRE_ENODEV },
		/* Of several, the first in Linux's order. */
		{ QUIRE_FILE_NOMMAP, PAGE, R, QUIRE_MAP_PRIVATE, 0, QUIRE_EACCES },
		{ RD | QUIRE_FILE_NOMMAP, PAGE, R, QUIRE_MAP_PRIVATE | QUIRE_MAP_GROWSDOWN, 0, QUIRE_ENODEV },
		{ RD | WR | QUIRE_FILE_SEAL_WRITE, PAGE, R | W, QUIRE_MAP_SHARED, 0, QUIRE_EPERM },
		/* SHARED_VALIDATE knows which flags there are, SHARED ignores the others. */
		{ RD | WR, PAGE, R, QUIRE_MAP_SHARED_VALIDATE | 0x200000, 0, QUIRE_EOPNOTSUPP },
		{ RD | WR, PAGE, R, QUIRE_MAP_SHARED_VALIDATE | QUIRE_MAP_SYNC, 0, QUIRE_EOPNOTSUPP },
		{ RD | WR, PAGE, R, QUIRE_MAP_SHARED_VALIDATE | QUIRE_MAP_FIXED_NOREPLACE, 0, QUIRE_EOPNOTSUPP },
		{ RD, PAGE, R | W, QUIRE_MAP_SHARED_VALIDATE | 0x200000, 0, QUIRE_EOPNOTSUPP },
		{ RD | WR, PAGE, R, QUIRE_MAP_SHARED_VALIDATE | QUIRE_MAP_GROWSDOWN, 0, QUIRE_EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(cases); i++) {
		int64_t answer;

		disk->file.flags = cases[i].file;
		answer = mmap_file(P(0), cases[i].len, cases[i].prot, cases[i].flags, cases[i].offset);
		if (answer != -cases[i].err)
			fail_msg("case %zu: %lld instead of %d", i, (long long)answer, -cases[i].err);
	}
	assert_int_equal(space.mm->total_vm, 0);
	assert_int_equal(disk->file.refs, 1);
}

#define LOW PAGE

static void low_addresses_need_a_right(void **state)
{
	(void)state;
	space.q->mms.sysctl.dac_mmap_min_addr = 2 * LOW > 65536 ? 2 * LOW : 65536;
	assert_int_equal(mmap_anon(LOW, PAGE, R, ANON | QUIRE_MAP_FIXED), -QUIRE_EPERM);
	space.mm->limits.cap_sys_rawio = true;
	assert_int_equal(mmap_anon(LOW, PAGE, R, ANON | QUIRE_MAP_FIXED), LOW);
	assert_int_equal(mmap_anon(0, PAGE, R, ANON | QUIRE_MAP_FIXED), 0);
	check_space(space.mm);
}

/* MAP_FIXED_NOREPLACE: EEXIST where anything is, and nothing is lost. */
static void noreplace_does_not_replace(void **state)
{
	(void)state;
	map_at(2, 2, "rw");
	for (uint64_t n = 1; n < 4; n++)
		assert_int_equal(mmap_anon(P(n), 2 * PAGE, R, ANON | QUIRE_MAP_FIXED_NOREPLACE), -QUIRE_EEXIST);
	assert_int_equal(mmap_anon(P(4), PAGE, R, ANON | QUIRE_MAP_FIXED_NOREPLACE), P(4));
	assert_int_equal(mmap_anon(P(1), PAGE, R, ANON | QUIRE_MAP_FIXED_NOREPLACE), P(1));
	assert_picture("1-2 r--p, 2-4 rw-p, 4-5 r--p");
}

/* The limit may be exceeded by one: Linux compares before it adds. */
static void max_map_count_is_a_limit(void **state)
{
	(void)state;
	space.q->mms.sysctl.max_map_count = 3;
	map_at(0, 1, "r");
	map_at(2, 1, "r");
	map_at(4, 1, "r");
	map_at(6, 1, "r");
	assert_int_equal(mmap_anon(P(8), PAGE, R, ANON | QUIRE_MAP_FIXED), -QUIRE_ENOMEM);
	/* Even where it would merge. */
	assert_int_equal(mmap_anon(P(7), PAGE, R, ANON | QUIRE_MAP_FIXED), -QUIRE_ENOMEM);
	assert_picture("0-1 r--p, 2-3 r--p, 4-5 r--p, 6-7 r--p");
}

static void sealed_areas_are_not_replaced(void **state)
{
	(void)state;
	map_at(0, 6, "rw");
	assert_int_equal(quire_mseal(space.mm, P(3), PAGE, 0), 0);
	assert_int_equal(mmap_anon(P(2), 3 * PAGE, R, ANON | QUIRE_MAP_FIXED), -QUIRE_EPERM);
	/* Linux has cut where the map would have begun before it met the seal. */
	assert_picture("0-2 rw-p, 2-3 rw-p, 3-4 rw-p, 4-6 rw-p");
}

/* ---- Limits ------------------------------------------------------------------------------ */

static void rlimit_as_counts_everything(void **state)
{
	(void)state;
	space.mm->limits.as = 4 * PAGE + 123;
	map_at(0, 3, "r");
	assert_int_equal(mmap_anon(P(10), 2 * PAGE, R, ANON), -QUIRE_ENOMEM);
	assert_int_equal(mmap_anon(P(10), PAGE, R, ANON), P(10));
	/* What is replaced makes room. */
	assert_int_equal(mmap_anon(P(0), 3 * PAGE, R | W, ANON | QUIRE_MAP_FIXED), P(0));
	assert_int_equal(mmap_anon(P(1), 3 * PAGE, R | W, ANON | QUIRE_MAP_FIXED), -QUIRE_ENOMEM);
	/* The cut remains, as it does on Linux. */
	assert_picture("0-1 rw-p, 1-3 rw-p, 10-11 r--p");
}

/* RLIMIT_DATA: private writable memory that is no stack. */
static void rlimit_data_counts_private_writable(void **state)
{
	(void)state;
	space.mm->limits.data = 2 * PAGE;
	assert_int_equal(mmap_anon(P(0), 3 * PAGE, R | W, ANON), -QUIRE_ENOMEM);
	assert_int_equal(mmap_anon(P(0), 3 * PAGE, R, ANON), P(0));
	assert_int_equal(mmap_anon(P(10), 3 * PAGE, R | W, ANON_SHARED), P(10));
	assert_int_equal(mmap_anon(P(20), 3 * PAGE, R | W, ANON | QUIRE_MAP_GROWSDOWN), P(20));
	assert_int_equal(mmap_anon(P(30), 2 * PAGE, R | W, ANON), P(30));
	assert_int_equal(mmap_file(P(40), PAGE, R | W, QUIRE_MAP_PRIVATE, 0), -QUIRE_ENOMEM);
	assert_int_equal(mmap_file(P(40), PAGE, R | W, QUIRE_MAP_SHARED, 0), P(40));
	check_space(space.mm);
}

/* A soft limit of 0 is valgrind's way: the hard limit counts. */
static void rlimit_data_zero_looks_at_the_hard_limit(void **state)
{
	(void)state;
	space.mm->limits.data = 0;
	space.mm->limits.data_hard = 2 * PAGE;
	assert_int_equal(mmap_anon(P(0), 2 * PAGE, R | W, ANON), P(0));
	assert_int_equal(mmap_anon(P(2), PAGE, R | W, ANON), -QUIRE_ENOMEM);
}

static void locked_maps_need_room(void **state)
{
	struct quire_mm *mm = space.mm;

	(void)state;
	mm->limits.memlock = 0;
	assert_int_equal(mmap_anon(P(0), PAGE, R, ANON | QUIRE_MAP_LOCKED), -QUIRE_EPERM);
	mm->limits.memlock = 2 * PAGE;
	assert_int_equal(mmap_anon(P(0), 3 * PAGE, R, ANON | QUIRE_MAP_LOCKED), -QUIRE_EAGAIN);
	assert_int_equal(mmap_anon(P(0), 2 * PAGE, R, ANON | QUIRE_MAP_LOCKED), P(0));
	assert_int_equal(mm->locked_vm, 2);
	/* What goes does not make room for what comes in its place. */
	assert_int_equal(mmap_anon(P(0), PAGE, R, ANON | QUIRE_MAP_LOCKED | QUIRE_MAP_FIXED), -QUIRE_EAGAIN);
	/* Everything is locked from now on: MCL_FUTURE. */
	mm->def_flags = QUIRE_VM_LOCKED;
	assert_int_equal(mmap_anon(P(4), PAGE, R, ANON), -QUIRE_EAGAIN);
	mm->limits.cap_ipc_lock = true;
	assert_int_equal(mmap_anon(P(4), PAGE, R, ANON), P(4));
	assert_int_equal(mm->locked_vm, 3);
	assert_int_equal(unmap_at(1, 4), 0);
	assert_int_equal(mm->locked_vm, 1);
	check_space(mm);
}

/* ---- Overcommit -------------------------------------------------------------------------- */

/* Mode 0: no single map larger than memory and swap. Mode 1: anything. */
static void heuristic_overcommit_refuses_the_absurd(void **state)
{
	struct quire_sysctl *ctl = &space.q->mms.sysctl;
	uint64_t total = space.q->pages.total_pages;

	(void)state;
	ctl->overcommit_total_pages = 0; /* what there is */
	assert_int_equal(mmap_anon(P(0), (total + 1) * PAGE, R | W, ANON), -QUIRE_ENOMEM);
	assert_int_equal(mmap_anon(P(0), total * PAGE, R | W, ANON), P(0));
	assert_int_equal(space.q->mms.committed, total);
	assert_int_equal(mmap_anon(0, total * PAGE, R | W, ANON) > 0, 1);
	assert_int_equal(mmap_anon(0, (total + 1) * PAGE, R | W, ANON | QUIRE_MAP_NORESERVE) > 0, 1);
	assert_int_equal(mmap_anon(0, (total + 1) * PAGE, R, ANON) > 0, 1);
	assert_int_equal(mmap_anon(0, (total + 1) * PAGE, R, ANON_SHARED), -QUIRE_ENOMEM);
	ctl->overcommit_memory = QUIRE_OVERCOMMIT_ALWAYS;
	assert_int_equal(mmap_anon(0, (total + 1) * PAGE, R | W, ANON) > 0, 1);
	check_space(space.mm);
}

/* Mode 2: the sum of all promises stays below the limit; NORESERVE means nothing. */
static void strict_overcommit_adds_up(void **state)
{
	struct quire_sysctl *ctl = &space.q->mms.sysctl;

	(void)state;
	ctl->overcommit_memory = QUIRE_OVERCOMMIT_NEVER;
	ctl->overcommit_total_pages = 1100;
	ctl->overcommit_swap_pages = 100;
	ctl->overcommit_ratio = 10;
	ctl->admin_reserve_kbytes = KB_OF(10);
	ctl->user_reserve_kbytes = KB_OF(2);
	/* 10% of 1,000, and 100 of swap, less 10 for the administrator. */
	assert_int_equal(quire_commit_limit(space.q), 200);
	assert_int_equal(mmap_anon(P(0), 190 * PAGE, R | W, ANON), -QUIRE_ENOMEM);
	assert_int_equal(mmap_anon(P(0), 100 * PAGE, R | W, ANON | QUIRE_MAP_NORESERVE), P(0));
	assert_true(flags_at(P(0)) & QUIRE_VM_ACCOUNT);
	assert_false(flags_at(P(0)) & QUIRE_VM_NORESERVE);
	/* 190 - min(100 / 32 pages, 2 pages) == 188, and it must stay below that. */
	assert_int_equal(mmap_anon(P(100), 88 * PAGE, R | W, ANON), -QUIRE_ENOMEM);
	assert_int_equal(mmap_anon(P(100), 87 * PAGE, R | W, ANON), P(100));
	assert_int_equal(mmap_anon(P(200), PAGE, R | W, ANON), -QUIRE_ENOMEM);
	/* One page for another is no more than before. */
	assert_int_equal(mmap_anon(P(10), PAGE, R | W, ANON | QUIRE_MAP_FIXED), P(10));
	space.mm->limits.cap_sys_admin = true;
	assert_int_equal(mmap_anon(P(200), PAGE, R | W, ANON), P(200));
	ctl->overcommit_kbytes = KB_OF(100);
	assert_int_equal(quire_commit_limit(space.q), 200);
	check_space(space.mm);
}

/* The promise for shared anonymous memory is its object's, and is kept as long as anybody maps it. */
static void shared_memory_is_promised_once(void **state)
{
	(void)state;
	assert_int_equal(mmap_anon(P(0), 4 * PAGE, R | W, ANON_SHARED), P(0));
	assert_int_equal(space.q->mms.committed, 4);
	assert_int_equal(unmap_at(0, 2), 0);
	assert_int_equal(space.q->mms.committed, 4);
	assert_int_equal(unmap_at(0, 4), 0);
	quire_grace_wait(space.q);
	assert_int_equal(space.q->mms.committed, 0);
	assert_int_equal(mmap_anon(P(0), 4 * PAGE, R | W, ANON_SHARED | QUIRE_MAP_NORESERVE), P(0));
	assert_int_equal(space.q->mms.committed, 0);
}

/* ---- What comes out ---------------------------------------------------------------------- */

static void flags_follow_from_the_call(void **state)
{
	uint64_t rw = QUIRE_VM_READ | QUIRE_VM_WRITE;

	(void)state;
	mmap_anon(P(0), PAGE, R | W, ANON);
	assert_int_equal(flags_at(P(0)), MAY | rw | QUIRE_VM_ACCOUNT);
	mmap_anon(P(2), PAGE, X, ANON);
	assert_int_equal(flags_at(P(2)), MAY | QUIRE_VM_EXEC);
	mmap_anon(P(4), PAGE, R | W, ANON | QUIRE_MAP_STACK);
	assert_int_equal(flags_at(P(4)), MAY | rw | QUIRE_VM_ACCOUNT | QUIRE_VM_NOHUGEPAGE);
	mmap_anon(P(6), PAGE, R | W, ANON | QUIRE_MAP_NORESERVE);
	assert_int_equal(flags_at(P(6)), MAY | rw | QUIRE_VM_NORESERVE);
	mmap_anon(P(8), PAGE, R | W, QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS);
	assert_int_equal(flags_at(P(8)), MAY | rw | QUIRE_VM_NORESERVE | QUIRE_VM_WIPEONFORK |
						 QUIRE_VM_DONTDUMP | QUIRE_VM_DROPPABLE);
	mmap_anon(P(10), PAGE, R | W, ANON_SHARED);
	assert_int_equal(flags_at(P(10)), MAY | rw | QUIRE_VM_SHARED | QUIRE_VM_MAYSHARE);
	mmap_anon(P(12), PAGE, R | W, ANON | QUIRE_MAP_SYNC | QUIRE_MAP_DENYWRITE | QUIRE_MAP_EXECUTABLE);
	assert_int_equal(flags_at(P(12)), MAY | rw | QUIRE_VM_ACCOUNT | QUIRE_VM_SYNC);
	mmap_file(P(14), PAGE, R, QUIRE_MAP_SHARED, 0);
	assert_int_equal(flags_at(P(14)), MAY | QUIRE_VM_READ | QUIRE_VM_SHARED | QUIRE_VM_MAYSHARE);
	/* A file that was opened for reading is shared by name only. */
	disk->file.flags = QUIRE_FILE_READ | QUIRE_FILE_NOEXEC;
	mmap_file(P(16), PAGE, R, QUIRE_MAP_SHARED, 0);
	assert_int_equal(flags_at(P(16)), QUIRE_VM_READ | QUIRE_VM_MAYREAD | QUIRE_VM_MAYSHARE);
	disk->file.flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE | QUIRE_FILE_SEAL_WRITE;
	mmap_file(P(18), PAGE, R, QUIRE_MAP_SHARED, 0);
	assert_int_equal(flags_at(P(18)), QUIRE_VM_READ | QUIRE_VM_MAYREAD | QUIRE_VM_MAYEXEC |
						  QUIRE_VM_SHARED | QUIRE_VM_MAYSHARE);
	/* Unknown bits of prot mean nothing to mmap. */
	assert_int_equal(mmap_anon(P(20), PAGE, R | 0xf0, ANON), P(20));
	assert_int_equal(flags_at(P(20)), MAY | QUIRE_VM_READ);
	check_space(space.mm);
}

static void read_may_imply_exec(void **state)
{
	(void)state;
	space.mm->limits.read_implies_exec = true;
	mmap_anon(P(0), PAGE, R, ANON);
	assert_int_equal(flags_at(P(0)), MAY | QUIRE_VM_READ | QUIRE_VM_EXEC);
	mmap_anon(P(2), PAGE, W, ANON);
	assert_false(flags_at(P(2)) & QUIRE_VM_EXEC);
	disk->file.flags |= QUIRE_FILE_NOEXEC;
	assert_int_equal(mmap_file(P(4), PAGE, R, QUIRE_MAP_PRIVATE, 0), P(4));
	assert_false(flags_at(P(4)) & QUIRE_VM_EXEC);
}

static void page_numbers_are_the_files_or_the_addresses(void **state)
{
	(void)state;
	mmap_anon(P(0), PAGE, R | W, ANON);
	assert_int_equal(area(space.mm, P(0))->pgoff, P(0) / PAGE);
	/* The offset of shared anonymous memory is ignored. */
	assert_int_equal(quire_mmap(space.mm, P(2), PAGE, R | W, ANON_SHARED, NULL, 5 * PAGE), P(2));
	assert_int_equal(area(space.mm, P(2))->pgoff, 0);
	mmap_file(P(4), 2 * PAGE, R, QUIRE_MAP_PRIVATE, 7 * PAGE);
	assert_int_equal(area(space.mm, P(4))->pgoff, 7);
	assert_int_equal(get(P(5)), disk_byte(8 * PAGE));
	/* With MAP_ANONYMOUS a file means nothing. */
	assert_int_equal(quire_mmap(space.mm, P(8), PAGE, R, ANON, &disk->file, 0), P(8));
	assert_null(area(space.mm, P(8))->file);
}

static void pages_are_counted_by_kind(void **state)
{
	struct quire_mm *mm = space.mm;

	(void)state;
	mmap_anon(P(0), PAGE, R | W, ANON);
	mmap_anon(P(1), 2 * PAGE, R | X, ANON);
	mmap_anon(P(3), 4 * PAGE, R | W, ANON | QUIRE_MAP_GROWSDOWN);
	mmap_anon(P(7), 8 * PAGE, R | W | X, ANON);
	mmap_anon(P(15), 16 * PAGE, R | W, ANON_SHARED);
	mmap_anon(P(31), 32 * PAGE, R, ANON);
	assert_int_equal(mm->total_vm, 63);
	assert_int_equal(mm->data_vm, 1 + 8);
	assert_int_equal(mm->exec_vm, 2);
	assert_int_equal(mm->stack_vm, 4);
	check_space(mm);
	assert_int_equal(unmap_at(2, 8), 0);
	assert_int_equal(mm->total_vm, 55);
	assert_int_equal(mm->data_vm, 1 + 5);
	assert_int_equal(mm->exec_vm, 1);
	assert_int_equal(mm->stack_vm, 0);
	assert_int_equal(mm->hiwater_vm, 63);
}

/* Droppable memory is never locked, whatever mlockall() said; nor does it fail for that. */
static void droppable_memory_is_never_locked(void **state)
{
	(void)state;
	space.mm->def_flags = QUIRE_VM_LOCKED;
	assert_int_equal(mmap_anon(P(0), PAGE, R | W, QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS), P(0));
	assert_int_equal(mmap_anon(P(1), PAGE, R | W, QUIRE_MAP_DROPPABLE | QUIRE_MAP_ANONYMOUS), P(1));
	assert_int_equal(space.mm->locked_vm, 0);
	/* The second one looked for a locked neighbour. */
	assert_picture("0-1 rw-p, 1-2 rw-p");
}

/* ---- MAP_FIXED --------------------------------------------------------------------------- */

/*
 *	before   |--A (1)--|     |--B (2)--|
 *	mmap          |-------------|
 *	after    |-A--|     zeroes  |--B---|
 */
static void a_fixed_map_replaces_what_is_there(void **state)
{
	(void)state;
	map_at(0, 4, "rw");
	map_at(6, 4, "rwx");
	for (uint64_t n = 0; n < 4; n++) {
		set(P(n), 1);
		set(P(6 + n), 2);
	}
	assert_int_equal(mmap_anon(P(2), 6 * PAGE, R, ANON | QUIRE_MAP_FIXED), P(2));
	assert_picture("0-2 rw-p, 2-8 r--p, 8-10 rwxp");
	for (uint64_t n = 0; n < 10; n++)
		assert_int_equal(get(P(n)), n < 2 ? 1 : n < 8 ? 0 : 2);
	assert_accerr(QUIRE_ACCESS_WRITE, P(3));
	assert_picture("0-2 rw-p, 2-8 r--p, 8-10 rwxp");
}

/* The area comes out as it was, its pages do not. */
static void a_map_over_the_same_empties_it(void **state)
{
	(void)state;
	map_at(0, 6, "rw");
	for (uint64_t n = 0; n < 6; n++)
		set(P(n), 9);
	map_at(2, 2, "rw");
	assert_picture("0-6 rw-p");
	for (uint64_t n = 0; n < 6; n++)
		assert_int_equal(get(P(n)), n == 2 || n == 3 ? 0 : 9);
	assert_int_equal(space.mm->total_vm, 6);
	assert_int_equal(space.q->mms.committed, 6);
}

/* Private pages over a file, and the file again over those. */
static void files_and_memory_replace_each_other(void **state)
{
	(void)state;
	assert_int_equal(mmap_file(P(0), 4 * PAGE, R | W, QUIRE_MAP_SHARED, 0), P(0));
	set(P(1), 77);
	map_at(1, 2, "rw");
	assert_int_equal(get(P(1)), 0);
	set(P(1), 78);
	assert_int_equal(mmap_file(P(0), 4 * PAGE, R, QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED, 0), P(0));
	assert_picture("0-4 r--p");
	assert_int_equal(get(P(1)), 77);
	assert_int_equal(get(P(2)), disk_byte(2 * PAGE));
}

/* ---- Populate ---------------------------------------------------------------------------- */

static void populate_brings_pages_in(void **state)
{
	(void)state;
	assert_int_equal(mmap_anon(P(0), 4 * PAGE, R | W, ANON | QUIRE_MAP_POPULATE), P(0));
	assert_int_equal(mmap_anon(P(10), 4 * PAGE, R | W, ANON | QUIRE_MAP_POPULATE | QUIRE_MAP_NONBLOCK), P(10));
	assert_int_equal(mmap_anon(P(20), 4 * PAGE, R | W, ANON | QUIRE_MAP_LOCKED), P(20));
	assert_int_equal(mmap_file(P(30), 4 * PAGE, R, QUIRE_MAP_PRIVATE | QUIRE_MAP_POPULATE, 0), P(30));
	assert_int_equal(mmap_anon(P(40), 4 * PAGE, QUIRE_PROT_NONE, ANON | QUIRE_MAP_POPULATE), P(40));
	for (uint64_t n = 0; n < 4; n++) {
		assert_true(frame(space.mm, P(n)) != 0);
		assert_true(frame(space.mm, P(10 + n)) == 0);
		assert_true(frame(space.mm, P(20 + n)) != 0);
		assert_true(frame(space.mm, P(30 + n)) != 0);
		assert_true(frame(space.mm, P(40 + n)) == 0);
	}
	space.q->mms.sysctl.populate_disabled = true;
	assert_int_equal(mmap_anon(P(50), 4 * PAGE, R | W, ANON | QUIRE_MAP_POPULATE), P(50));
	assert_true(frame(space.mm, P(50)) == 0);
	check_space(space.mm);
}

/* ---- Drivers ----------------------------------------------------------------------------- */

static struct {
	unsigned maps, opens, closes;
	int map_error, split_error;
	uint64_t closed_start, closed_end; /* of the last close */
	struct quire_vm_ops ops;
} driver;

static void driver_open(struct quire_vma *vma)
{
	(void)vma;
	driver.opens++;
}

static void driver_close(struct quire_vma *vma)
{
	driver.closes++;
	driver.closed_start = vma->start;
	driver.closed_end = vma->end;
}

static int driver_may_split(struct quire_vma *vma, quire_uaddr_t addr)
{
	(void)vma;
	(void)addr;
	return driver.split_error;
}

static int driver_mmap(struct quire_file *file, struct quire_vma *vma)
{
	(void)file;
	driver.maps++;
	if (driver.map_error)
		return driver.map_error;
	vma->flags |= QUIRE_VM_DONTDUMP;
	vma->private_data = &driver;
	return 0;
}

static void install_driver(void)
{
	memset(&driver, 0, sizeof(driver));
	driver.ops = (struct quire_vm_ops){
		.open = driver_open,
		.close = driver_close,
		.may_split = driver_may_split,
	};
	disk->file.mmap = driver_mmap;
	disk->file.vm_ops = &driver.ops;
}

/* Every area that was announced, by mmap or open, is closed once, with the bounds that it had. */
static void drivers_hear_of_every_area(void **state)
{
	(void)state;
	install_driver();
	assert_int_equal(mmap_file(P(0), 8 * PAGE, R, QUIRE_MAP_SHARED, 0), P(0));
	assert_int_equal(driver.maps, 1);
	assert_true(flags_at(P(0)) & QUIRE_VM_DONTDUMP);
	assert_int_equal(driver.opens, 0);
	/* A hole in the middle: three areas, one of which goes. */
	assert_int_equal(unmap_at(2, 2), 0);
	assert_int_equal(driver.opens, 2);
	assert_int_equal(driver.closes, 1);
	assert_int_equal(driver.closed_start, P(2));
	assert_int_equal(driver.closed_end, P(4));
	/* The end, the beginning. */
	assert_int_equal(unmap_at(7, 1), 0);
	assert_int_equal(driver.opens, 3);
	assert_int_equal(driver.closes, 2);
	assert_int_equal(driver.closed_start, P(7));
	assert_int_equal(unmap_at(4, 1), 0);
	assert_int_equal(driver.opens, 4);
	assert_int_equal(driver.closes, 3);
	assert_picture("0-2 r--s, 5-7 r--s");
	/* Another map over all of it. */
	map_at(0, 8, "rw");
	assert_int_equal(driver.opens, 4);
	assert_int_equal(driver.closes, 5);
	assert_int_equal(driver.closed_start, P(5));
	assert_int_equal(driver.closed_end, P(7));
}

/* Rights: cut in three; who has a close() does not merge back. */
static void areas_with_close_stay_apart(void **state)
{
	(void)state;
	install_driver();
	assert_int_equal(mmap_file(P(0), 6 * PAGE, R | W, QUIRE_MAP_SHARED, 0), P(0));
	assert_int_equal(protect_at(2, 2, "r"), 0);
	assert_int_equal(driver.opens, 2);
	assert_int_equal(protect_at(2, 2, "rw"), 0);
	assert_int_equal(driver.closes, 0);
	assert_picture("0-2 rw-s, 2-4 rw-s, 4-6 rw-s");
	/* A second map of the same file does not merge with the first, which has another flag. */
	assert_int_equal(mmap_file(P(6), PAGE, R | W, QUIRE_MAP_SHARED, 6 * PAGE), P(6));
	assert_int_equal(driver.maps, 2);
}

/* Without a close() they merge, and nobody hears of the area that is no more. */
static void areas_without_close_merge(void **state)
{
	(void)state;
	install_driver();
	driver.ops.close = NULL;
	assert_int_equal(mmap_file(P(0), 6 * PAGE, R | W, QUIRE_MAP_SHARED, 0), P(0));
	assert_int_equal(protect_at(2, 2, "r"), 0);
	assert_int_equal(protect_at(2, 2, "rw"), 0);
	assert_picture("0-6 rw-s");
	assert_int_equal(driver.opens, 2);
}

static void a_driver_may_refuse(void **state)
{
	(void)state;
	install_driver();
	map_at(0, 4, "rw");
	set(P(1), 5);
	driver.map_error = -QUIRE_EBUSY;
	assert_int_equal(mmap_file(P(1), PAGE, R, QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, 0), -QUIRE_EBUSY);
	assert_picture("0-4 rw-p");
	assert_int_equal(get(P(1)), 5);
	assert_int_equal(space.q->mms.committed, 4);
	driver.map_error = 0;
	assert_int_equal(mmap_file(P(10), 4 * PAGE, R, QUIRE_MAP_SHARED, 0), P(10));
	/* Not to be cut: by nobody. */
	driver.split_error = -QUIRE_EINVAL;
	assert_int_equal(unmap_at(11, 1), -QUIRE_EINVAL);
	assert_int_equal(unmap_at(9, 3), -QUIRE_EINVAL);
	assert_int_equal(protect_at(11, 1, "n"), -QUIRE_EINVAL);
	assert_int_equal(mmap_anon(P(11), PAGE, R, ANON | QUIRE_MAP_FIXED), -QUIRE_EINVAL);
	assert_picture("0-4 rw-p, 10-14 r--s");
	assert_int_equal(driver.opens + driver.closes, 0);
	assert_int_equal(unmap_at(10, 4), 0);
	assert_int_equal(driver.closes, 1);
}

/* ---- Areas as they are found ------------------------------------------------------------- */

static void found_areas_are_put_in_as_they_are(void **state)
{
	struct quire_area_desc desc = { .start = P(0), .end = P(2), .flags = VM_RW | QUIRE_VM_ACCOUNT, .pgoff = 1234 };

	(void)state;
	assert_int_equal(quire_insert_vm_area(space.mm, &desc), 0);
	assert_int_equal(area(space.mm, P(0))->pgoff, 1234);
	assert_int_equal(space.q->mms.committed, 2);
	assert_int_equal(quire_insert_vm_area(space.mm, &desc), -QUIRE_EEXIST);
	/* It merges with nothing, even where it could. */
	desc = (struct quire_area_desc){ .start = P(2), .end = P(3), .flags = VM_RW | QUIRE_VM_ACCOUNT, .pgoff = 1236 };
	assert_int_equal(quire_insert_vm_area(space.mm, &desc), 0);
	assert_picture("0-2 rw-p, 2-3 rw-p");
	desc = (struct quire_area_desc){ .start = P(4), .end = P(4), .flags = VM_RW };
	assert_int_equal(quire_insert_vm_area(space.mm, &desc), -QUIRE_EINVAL);
	desc = (struct quire_area_desc){ .start = P(4) + 1, .end = P(5), .flags = VM_RW };
	assert_int_equal(quire_insert_vm_area(space.mm, &desc), -QUIRE_EINVAL);
	desc = (struct quire_area_desc){ .start = P(4), .end = space.mm->layout.task_size + PAGE, .flags = VM_RW };
	assert_int_equal(quire_insert_vm_area(space.mm, &desc), -QUIRE_EINVAL);
	/* Neither exists: faulted in only, but not locked; shared with nobody. */
	desc = (struct quire_area_desc){ .start = P(4), .end = P(5), .flags = VM_RW | QUIRE_VM_LOCKONFAULT };
	assert_int_equal(quire_insert_vm_area(space.mm, &desc), -QUIRE_EINVAL);
	desc = (struct quire_area_desc){ .start = P(4), .end = P(5), .flags = VM_RW | VM_S };
	assert_int_equal(quire_insert_vm_area(space.mm, &desc), -QUIRE_EINVAL);
	desc = (struct quire_area_desc){ .start = P(4), .end = P(5), .flags = VM_R | QUIRE_VM_LOCKED,
					 .file = &disk->file, .pgoff = 3 };
	assert_int_equal(quire_insert_vm_area(space.mm, &desc), 0);
	assert_int_equal(get(P(4)), disk_byte(3 * PAGE));
	assert_int_equal(space.mm->locked_vm, 1);
	check_space(space.mm);
}

/* ---- Want of memory ---------------------------------------------------------------------- */

#if QUIRE_DEBUG
static uint32_t retry_flags;
static struct quire_file *retry_file;
static uint64_t retry_start, retry_pages;

static int64_t retry_mmap(void)
{
	return quire_mmap(space.mm, P(retry_start), retry_pages * PAGE, R | W, retry_flags | QUIRE_MAP_FIXED,
			  retry_file, 0);
}

static void assert_mmap_survives(uint64_t start, uint64_t n, uint32_t flags, struct quire_file *file)
{
	unsigned failures;

	retry_start = start;
	retry_pages = n;
	retry_flags = flags;
	retry_file = file;
	assert_int_equal(each_allocation_fails(retry_mmap, -QUIRE_ENOMEM, &failures), P(start));
	assert_true(failures > 0);
	check_space(space.mm);
}

static void no_memory_changes_nothing(void **state)
{
	(void)state;
	assert_mmap_survives(0, 4, ANON, NULL);              /* a new area */
	assert_mmap_survives(4, 4, ANON, NULL);              /* merging with one */
	map_at(10, 2, "rw");
	assert_mmap_survives(8, 2, ANON, NULL);              /* with two */
	assert_picture("0-12 rw-p");
	set(P(3), 1);
	assert_mmap_survives(2, 3, QUIRE_MAP_SHARED | QUIRE_MAP_ANONYMOUS, NULL); /* in the middle of one */
	assert_picture("0-2 rw-p, 2-5 rw-s, 5-12 rw-p");
	assert_mmap_survives(1, 8, QUIRE_MAP_PRIVATE, &disk->file);  /* over several */
	install_driver();
	assert_mmap_survives(20, 8, QUIRE_MAP_SHARED, &disk->file);
	assert_mmap_survives(22, 2, ANON, NULL); /* whose driver must be told */
	assert_picture("0-1 rw-p, 1-9 rw-p, 9-12 rw-p, 20-22 rw-s, 22-24 rw-p, 24-28 rw-s");
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		map_test(anonymous_maps_are_checked),
		map_test(file_maps_are_checked),
		map_test(low_addresses_need_a_right),
		map_test(noreplace_does_not_replace),
		map_test(max_map_count_is_a_limit),
		map_test(sealed_areas_are_not_replaced),
		map_test(rlimit_as_counts_everything),
		map_test(rlimit_data_counts_private_writable),
		map_test(rlimit_data_zero_looks_at_the_hard_limit),
		map_test(locked_maps_need_room),
		map_test(heuristic_overcommit_refuses_the_absurd),
		map_test(strict_overcommit_adds_up),
		map_test(shared_memory_is_promised_once),
		map_test(flags_follow_from_the_call),
		map_test(read_may_imply_exec),
		map_test(page_numbers_are_the_files_or_the_addresses),
		map_test(pages_are_counted_by_kind),
		map_test(droppable_memory_is_never_locked),
		map_test(a_fixed_map_replaces_what_is_there),
		map_test(a_map_over_the_same_empties_it),
		map_test(files_and_memory_replace_each_other),
		map_test(populate_brings_pages_in),
		map_test(drivers_hear_of_every_area),
		map_test(areas_with_close_stay_apart),
		map_test(areas_without_close_merge),
		map_test(a_driver_may_refuse),
		map_test(found_areas_are_put_in_as_they_are),
#if QUIRE_DEBUG
		map_test(no_memory_changes_nothing),
#endif
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}

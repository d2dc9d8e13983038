/* SPDX-License-Identifier: MIT */
/*
 * remap_vmalloc_range: a driver's mmap() puts vmalloc's pages into a process, on every format of the machine. What the
 * process stores the kernel sees, and the reverse; each entry has a reference to its page, from mmap to munmap, exit
 * or the child's end. Errors are Linux's: mm/vmalloc.c, vm_insert_page().
 */
#include "vmalloc_world.h"

#define AT 0x10000000ull
#define PAGES 6u
#define SHARED QUIRE_MAP_SHARED
#define PRIVATE QUIRE_MAP_PRIVATE
#define PROT_RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)

static struct quire_mm *mm;
static char *memory; /* vmalloc_user()'s, PAGES long */
static struct device {
	struct quire_file file;
	int (*fill)(struct quire_vma *vma);
	int answer; /* of its mmap(), if that is not what fill() says */
} device;

static int device_mmap(struct quire_file *file, struct quire_vma *vma)
{
	int err = device.fill(vma);

	(void)file;
	return err ? err : device.answer;
}

static int fill_all(struct quire_vma *vma)
{
	return quire_remap_vmalloc_range(vma, memory, vma->pgoff);
}

static int user_setup(void **state)
{
	if (world_setup(*state, 2, 1, NULL, 0))
		return -1;
	w.q->mms.sysctl.mmap_min_addr = 65536;
	device = (struct device){
		.file = {.refs = 1,
			 .flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
			 .path = "/dev/user",
			 .mmap = device_mmap},
		.fill = fill_all,
	};
	if (quire_mm_create(w.q, NULL, &mm))
		return -1;
	machine_switch(w.m, &mm->pt);
	memory = quire_vmalloc_user(w.q, PAGES * PAGE);
	return memory ? 0 : -1;
}

static int user_teardown(void **state)
{
	machine_switch(w.m, NULL);
	quire_mmput(mm);
	quire_vfree(w.q, memory);
	quire_grace_wait(w.q);
	if (device.file.refs != 1)
		return -1;
	return teardown(state);
}

/* Everything, of both worlds. */
static void check_all(void)
{
	quire_broken_t broken = quire_mm_check(mm);

	if (!broken)
		broken = machine_check(w.m);
	if (broken)
		fail_msg("%s", broken);
	check();
}

static int64_t map(uint64_t addr, uint64_t pages, uint32_t prot, uint32_t flags, uint64_t pgoff)
{
	return quire_mmap(mm, addr, pages * PAGE, prot, flags | QUIRE_MAP_FIXED, &device.file,
			  pgoff * PAGE);
}

static unsigned char get(uint64_t addr)
{
	struct quire_signal sig = {0};
	unsigned char byte = 0xee;

	if (machine_load(w.m, addr, &byte, 1, &sig))
		fail_msg("load at %#llx: signal %d", (unsigned long long)addr, sig.signo);
	return byte;
}

static void put(uint64_t addr, unsigned char byte)
{
	assert_int_equal(machine_store(w.m, addr, &byte, 1, NULL), 0);
}

/* The signal that a load there ends in. */
static int signal_at(uint64_t addr)
{
	struct quire_signal sig = {0};
	unsigned char byte;

	assert_int_equal(machine_load(w.m, addr, &byte, 1, &sig), -QUIRE_EFAULT);
	return sig.signo;
}

static struct quire_page *page_of(unsigned n)
{
	return quire_vmalloc_to_page(w.q, memory + n * PAGE);
}

/* Of all pages: references besides the area's, and entries. */
static void assert_users(uint32_t users)
{
	for (unsigned i = 0; i < PAGES; i++) {
		assert_int_equal(page_of(i)->refs, 1 + users);
		assert_int_equal(page_of(i)->maps, users);
	}
}

static uint64_t faults_of(void)
{
	struct machine_stats stats;

	machine_stats(w.m, &stats);
	return stats.faults;
}

/* ---- A process has it -------------------------------------------------------------------- */

static void a_process_and_the_kernel_have_the_same_bytes(void **state)
{
	struct quire_vma *vma;
	uint64_t faults;

	(void)state;
	memset(memory, 0x11, PAGES * PAGE);
	assert_int_equal(map(AT, PAGES, PROT_RW, SHARED, 0), AT);
	check_all();
	assert_users(1);
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], PAGES);
	quire_grace_enter(w.q);
	vma = quire_find_vma(mm, AT);
	assert_int_equal(vma->flags & (QUIRE_VM_SPECIAL | QUIRE_VM_DONTDUMP),
			 QUIRE_VM_MIXEDMAP | QUIRE_VM_DONTEXPAND | QUIRE_VM_DONTDUMP);
	quire_grace_leave(w.q);
	/* All of it is there: nothing faults. */
	faults = faults_of();
	for (unsigned i = 0; i < PAGES; i++) {
		assert_int_equal(get(AT + i * PAGE + 7), 0x11);
		put(AT + i * PAGE + 8, (unsigned char)i);
		assert_int_equal(memory[i * PAGE + 8], (char)i);
		memory[i * PAGE + 9] = (char)(i + 100);
		assert_int_equal(get(AT + i * PAGE + 9), i + 100);
	}
	assert_int_equal(faults_of(), faults);
	check_all();
	/* In two steps, of which the first cuts it. */
	assert_int_equal(quire_munmap(mm, AT + PAGE, 2 * PAGE), 0);
	check_all();
	assert_int_equal(page_of(0)->refs, 2);
	assert_int_equal(page_of(1)->refs, 1);
	assert_int_equal(quire_munmap(mm, AT, PAGES * PAGE), 0);
	assert_users(0);
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 0);
	check_all();
}

/* The offset of the map is one in the area. */
static void a_part_is_mapped_by_its_offset(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PAGES; i++)
		memory[i * PAGE] = (char)(i + 1);
	assert_int_equal(map(AT, 2, QUIRE_PROT_READ, SHARED, 3), AT);
	assert_int_equal(get(AT), 4);
	assert_int_equal(get(AT + PAGE), 5);
	assert_int_equal(page_of(2)->refs, 1);
	assert_int_equal(page_of(3)->refs, 2);
	assert_int_equal(map(AT + 16 * PAGE, 1, QUIRE_PROT_READ, SHARED, PAGES - 1),
			 AT + 16 * PAGE);
	check_all();
	/* Beyond its end, and with an offset that wraps. */
	assert_int_equal(map(AT, 2, QUIRE_PROT_READ, SHARED, PAGES - 1), -QUIRE_EINVAL);
	assert_int_equal(map(AT, 1, QUIRE_PROT_READ, SHARED, PAGES), -QUIRE_EINVAL);
	assert_int_equal(map(AT, PAGES + 1, QUIRE_PROT_READ, SHARED, 0), -QUIRE_EINVAL);
	/* What was mapped there is as it was. */
	assert_int_equal(get(AT), 4);
	check_all();
}

static void a_private_map_reads_and_then_copies(void **state)
{
	(void)state;
	memset(memory, 0x22, PAGES * PAGE);
	assert_int_equal(map(AT, PAGES, PROT_RW, PRIVATE, 0), AT);
	assert_users(1);
	assert_int_equal(get(AT + PAGE), 0x22);
	put(AT + PAGE, 0x33);
	assert_int_equal(get(AT + PAGE), 0x33);
	assert_int_equal(get(AT + PAGE + 1), 0x22);
	assert_int_equal(memory[PAGE], 0x22);
	assert_int_equal(page_of(0)->refs, 2);
	assert_int_equal(page_of(1)->refs, 1);
	check_all();
	assert_int_equal(quire_munmap(mm, AT, PAGES * PAGE), 0);
	assert_users(0);
}

static void rights_are_the_areas(void **state)
{
	struct quire_signal sig = {0};
	char byte = 1;

	(void)state;
	assert_int_equal(map(AT, PAGES, QUIRE_PROT_NONE, SHARED, 0), AT);
	check_all();
	assert_users(1);
	assert_int_equal(signal_at(AT), QUIRE_SIGSEGV);
	assert_int_equal(quire_mprotect(mm, AT, PAGES * PAGE, QUIRE_PROT_READ), 0);
	assert_int_equal(get(AT), 0);
	assert_int_equal(machine_store(w.m, AT, &byte, 1, &sig), -QUIRE_EFAULT);
	assert_int_equal(quire_mprotect(mm, AT, PAGES * PAGE, PROT_RW), 0);
	put(AT, 5);
	assert_int_equal(memory[0], 5);
	assert_users(1);
	check_all();
}

/* ---- References -------------------------------------------------------------------------- */

static void a_child_has_it_too(void **state)
{
	struct quire_mm *child;

	(void)state;
	memory[0] = 1;
	assert_int_equal(map(AT, PAGES, PROT_RW, SHARED, 0), AT);
	assert_int_equal(quire_fork(mm, &child), 0);
	assert_users(2);
	machine_switch(w.m, &child->pt);
	assert_int_equal(get(AT), 1);
	put(AT, 9);
	assert_int_equal(memory[0], 9);
	assert_null(quire_mm_check(child));
	assert_int_equal(quire_munmap(child, AT, PAGE), 0);
	assert_int_equal(page_of(0)->refs, 2);
	assert_int_equal(page_of(1)->refs, 3);
	machine_switch(w.m, &mm->pt);
	quire_mmput(child);
	assert_users(1);
	assert_int_equal(get(AT), 9);
	check_all();
}

/* In a private map parent and child have the kernel's pages until one of them stores. */
static void a_child_of_a_private_map_copies_for_itself(void **state)
{
	struct quire_mm *child;

	(void)state;
	assert_int_equal(map(AT, PAGES, PROT_RW, PRIVATE, 0), AT);
	assert_int_equal(quire_fork(mm, &child), 0);
	assert_users(2);
	put(AT, 4);
	machine_switch(w.m, &child->pt);
	assert_int_equal(get(AT), 0);
	assert_int_equal(page_of(0)->refs, 2);
	machine_switch(w.m, &mm->pt);
	quire_mmput(child);
	check_all();
}

static void exit_gives_it_back(void **state)
{
	struct quire_mm *other;

	(void)state;
	assert_int_equal(quire_mm_create(w.q, NULL, &other), 0);
	assert_int_equal(quire_mmap(other, AT, PAGES * PAGE, PROT_RW, SHARED | QUIRE_MAP_FIXED,
				    &device.file, 0),
			 AT);
	assert_users(1);
	quire_mmput(other);
	assert_users(0);
	check_all();
}

/* Nobody else gets them before the process has let go. */
static void a_process_keeps_what_it_maps_when_the_area_is_freed(void **state)
{
	struct quire_page *page = page_of(0);

	(void)state;
	memset(memory, 0x44, PAGES * PAGE);
	assert_int_equal(map(AT, PAGES, PROT_RW, SHARED, 0), AT);
	quire_vfree(w.q, memory);
	memory = NULL;
	quire_vm_unmap_aliases(w.q);
	for (unsigned i = 0; i < PAGES; i++)
		assert_int_equal(get(AT + i * PAGE), 0x44);
	put(AT, 1);
	assert_int_equal(page->refs, 1);
	assert_int_equal(quire_page_kind(page), QUIRE_PAGE_KERNEL);
	check_all();
	assert_int_equal(quire_munmap(mm, AT, PAGES * PAGE), 0);
	assert_int_equal(quire_page_kind(page), QUIRE_PAGE_FREE);
	check_all();
}

static void what_is_given_up_does_not_come_back(void **state)
{
	(void)state;
	assert_int_equal(map(AT, PAGES, PROT_RW, SHARED, 0), AT);
	assert_int_equal(quire_madvise(mm, AT, PAGE, QUIRE_MADV_DONTNEED), 0);
	assert_int_equal(page_of(0)->refs, 1);
	assert_int_equal(signal_at(AT), QUIRE_SIGBUS);
	assert_int_equal(get(AT + PAGE), 0);
	check_all();
}

static void it_moves_and_does_not_grow(void **state)
{
	const uint64_t to = AT + 64 * PAGE;

	(void)state;
	memory[PAGE] = 7;
	assert_int_equal(map(AT, PAGES, PROT_RW, SHARED, 0), AT);
	assert_int_equal(
		quire_mremap(mm, AT, PAGES * PAGE, (PAGES + 1) * PAGE, QUIRE_MREMAP_MAYMOVE, 0),
		-QUIRE_EFAULT);
	assert_int_equal(quire_mremap(mm, AT, PAGES * PAGE, PAGES * PAGE,
				      QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, to),
			 to);
	assert_int_equal(get(to + PAGE), 7);
	assert_int_equal(signal_at(AT), QUIRE_SIGSEGV);
	assert_users(1);
	check_all();
}

/* ---- In place of something else ---------------------------------------------------------- */

/*
 *	before |--anonymous, 8 pages, all written--|
 *	mmap           |--driver, 6 pages--|
 */
static void it_takes_the_place_of_what_was_there(void **state)
{
	const uint64_t before = AT - PAGE;

	(void)state;
	memory[0] = 3;
	assert_int_equal(quire_mmap(mm, before, 8 * PAGE, PROT_RW,
				    PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0),
			 before);
	for (unsigned i = 0; i < 8; i++)
		put(before + i * PAGE, 0x55);
	assert_int_equal(map(AT, PAGES, PROT_RW, SHARED, 0), AT);
	check_all();
	assert_users(1);
	assert_int_equal(mm->rss[QUIRE_RSS_ANON], 2);
	assert_int_equal(get(before), 0x55);
	assert_int_equal(get(AT), 3);
	assert_int_equal(get(AT + PAGES * PAGE), 0x55);
	/* And a second time over itself. */
	assert_int_equal(map(AT, PAGES, PROT_RW, SHARED, 0), AT);
	assert_users(1);
	assert_int_equal(get(AT), 3);
	check_all();
}

/* The driver changes its mind, or the call fails after it: nothing has changed, what was there is there. */
static void an_error_after_it_leaves_everything(void **state)
{
	uint64_t tables;

	(void)state;
	assert_int_equal(quire_mmap(mm, AT, PAGE, PROT_RW,
				    PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0),
			 AT);
	put(AT, 0x66);
	tables = mm->pt.tables[0];
	device.answer = -QUIRE_EIO;
	assert_int_equal(map(AT, PAGES, PROT_RW, SHARED, 0), -QUIRE_EIO);
	assert_users(0);
	assert_int_equal(get(AT), 0x66);
	/* Where no table was there is none. */
	assert_int_equal(map(0x40000000, PAGES, PROT_RW, SHARED, 0), -QUIRE_EIO);
	assert_int_equal(mm->pt.tables[0], tables);
	assert_null(mm->insertions);
	check_all();
}

/* ---- In parts ---------------------------------------------------------------------------- */

/*
 *	vma   0 1 2 3 4 5
 *	      - B B - A -     A: page 0 of the area, B: 2 and 3
 */
static int fill_parts(struct quire_vma *vma)
{
	const uint64_t at = vma->start;
	int err = quire_remap_vmalloc_range_partial(vma, at + 4 * PAGE, memory, 0, PAGE);

	if (!err)
		err = quire_remap_vmalloc_range_partial(vma, at + PAGE, memory + PAGE, 1, PAGE + 1);
	if (err)
		return err;
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at + 2 * PAGE, memory, 0, 3 * PAGE),
			 -QUIRE_EBUSY);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at + 4 * PAGE, memory, 0, PAGE),
			 -QUIRE_EBUSY);
	return 0;
}

static void parts_of_an_area_are_filled_one_by_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < PAGES; i++)
		memory[i * PAGE] = (char)(i + 1);
	device.fill = fill_parts;
	assert_int_equal(map(AT, PAGES, PROT_RW, SHARED, 0), AT);
	check_all();
	assert_int_equal(get(AT + PAGE), 3);
	assert_int_equal(get(AT + 2 * PAGE), 4);
	assert_int_equal(get(AT + 4 * PAGE), 1);
	assert_int_equal(signal_at(AT), QUIRE_SIGBUS);
	assert_int_equal(signal_at(AT + 3 * PAGE), QUIRE_SIGBUS);
	assert_int_equal(page_of(1)->refs, 1);
	assert_int_equal(mm->rss[QUIRE_RSS_FILE], 3);
}

static struct quire_vm_struct *bare; /* USERMAP, and nothing in it */
static char *other, *mapped;

static int fill_badly(struct quire_vma *vma)
{
	const uint64_t at = vma->start;

	/* Addresses. */
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at + 1, memory, 0, PAGE),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, memory + 1, 0, PAGE),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range(vma, memory + 8, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range(vma, NULL, 0), -QUIRE_EINVAL);
	/* No area: its guard, what lies behind, the direct map. */
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, memory + PAGES * PAGE, 0, PAGE),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range(vma, pointer(w.layout.vmalloc_end - PAGE), 0),
			 -QUIRE_EINVAL);
	assert_int_equal(
		quire_remap_vmalloc_range(vma, quire_page_to_virt(w.q, w.q->pages.zero_page), 0),
		-QUIRE_EINVAL);
	/* Sizes, from the area's start and from inside. */
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, memory, 0, 0), -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, memory, 0, UINT64_MAX),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, memory, 0, (PAGES + 1) * PAGE),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, memory + PAGE, 0, PAGES * PAGE),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, memory, UINT64_MAX, PAGE),
			 -QUIRE_EINVAL);
	assert_int_equal(
		quire_remap_vmalloc_range_partial(vma, at, memory, UINT64_C(1) << 52, PAGE),
		-QUIRE_EINVAL);
	/* Not for users; not mapped; not the kernel's own pages. */
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, other, 0, PAGE), -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, pointer(bare->addr), 0, PAGE),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at, mapped, 0, PAGE), 0);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at + PAGE, mapped, 1, PAGE),
			 -QUIRE_EINVAL);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at + PAGE, mapped, 2, PAGE),
			 -QUIRE_EINVAL);
	/* Beyond the area of the process. */
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at - PAGE, memory, 0, PAGE),
			 -QUIRE_EFAULT);
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, vma->end, memory, 0, PAGE),
			 -QUIRE_EFAULT);
	assert_int_equal(
		quire_remap_vmalloc_range_partial(vma, vma->end - PAGE, memory, 0, 2 * PAGE),
		-QUIRE_EFAULT);
	/* Frames that nobody counts are another kind of area. */
	vma->flags |= QUIRE_VM_PFNMAP;
	assert_int_equal(quire_remap_vmalloc_range_partial(vma, at + PAGE, memory, 0, PAGE),
			 -QUIRE_EINVAL);
	vma->flags &= ~QUIRE_VM_PFNMAP;
	return 0;
}

static void what_cannot_be_is_refused(void **state)
{
	struct quire_page *page[3], *block;

	(void)state;
	other = quire_vmalloc(w.q, PAGE);
	bare = quire_get_vm_area(w.q, 4 * PAGE, QUIRE_VM_USERMAP);
	block = quire_page_alloc(w.q, QUIRE_GFP_KERNEL, 1);
	page[0] = block;     /* has a reference */
	page[1] = block + 1; /* and this has none */
	page[2] = quire_page_alloc(w.q, QUIRE_GFP_KERNEL, 0);
	quire_page_set_kind(page[2], QUIRE_PAGE_CACHE);
	mapped = quire_vmap(w.q, page, 3, QUIRE_VM_USERMAP, RW);
	device.fill = fill_badly;
	assert_int_equal(map(AT, 2, PROT_RW, SHARED, 0), AT);
	assert_int_equal(block->refs, 2);
	check_all();
	assert_users(0);
	assert_int_equal(signal_at(AT + PAGE), QUIRE_SIGBUS);
	assert_int_equal(quire_munmap(mm, AT, 2 * PAGE), 0);
	assert_int_equal(block->refs, 1);
	quire_vunmap(w.q, mapped);
	quire_vm_unmap_aliases(w.q);
	quire_page_set_kind(page[2], QUIRE_PAGE_KERNEL);
	quire_page_free(w.q, page[2], 0);
	quire_page_free(w.q, block, 1);
	quire_free_vm_area(w.q, bare);
	quire_vfree(w.q, other);
}

/* ---- Large leaves ------------------------------------------------------------------------ */

/* The kernel has one entry for 512 pages, the process one for each; and each page its own reference. */
static void what_has_large_leaves_can_be_mapped_too(void **state)
{
	const bool can = has_large_leaves();
	const unsigned pages = 1280;
	char *small = memory;
	unsigned level;

	(void)state;
	memory = quire_vmalloc_user(w.q, pages * PAGE);
	assert_non_null(memory);
	quire_grace_enter(w.q);
	(void)quire_pgtable_lookup(&w.q->kva.pt, kaddr(memory) + 768 * PAGE, &level);
	quire_grace_leave(w.q);
	assert_int_equal(level, can ? 1 : 0);
	for (unsigned i = 0; i < pages; i++)
		memory[i * PAGE + 5] = (char)(i % 251);
	assert_int_equal(map(AT, pages, PROT_RW, SHARED, 0), AT);
	check_all();
	for (unsigned i = 0; i < pages; i += 3) {
		assert_int_equal(get(AT + i * PAGE + 5), i % 251);
		put(AT + i * PAGE + 6, (unsigned char)(i % 13));
		assert_int_equal(memory[i * PAGE + 6], (char)(i % 13));
		assert_int_equal(quire_vmalloc_to_page(w.q, memory + i * PAGE)->refs, 2);
	}
	/* The area goes, a page of the middle of a leaf stays. */
	assert_int_equal(quire_munmap(mm, AT, 700 * PAGE), 0);
	assert_int_equal(quire_munmap(mm, AT + 701 * PAGE, (pages - 701) * PAGE), 0);
	quire_vfree(w.q, memory);
	quire_vm_unmap_aliases(w.q);
	memory = small;
	assert_int_equal(get(AT + 700 * PAGE + 5), 700 % 251);
	check_all();
	assert_int_equal(quire_munmap(mm, AT, pages * PAGE), 0);
	check_all();
}

#if QUIRE_PAGE_SHIFT == 16
#define TEST(f) {#f " aarch64-64k", f, user_setup, user_teardown, (void *)(uintptr_t)&quire_pgfmt_aarch64_64k}
#elif QUIRE_PAGE_SHIFT == 14
#define TEST(f) {#f " aarch64-16k", f, user_setup, user_teardown, (void *)(uintptr_t)&quire_pgfmt_aarch64_16k}
#else
#define TEST(f)                                                                                    \
	{#f " i386", f, user_setup, user_teardown, (void *)(uintptr_t)&quire_pgfmt_i386},          \
		{#f " pae", f, user_setup, user_teardown, (void *)(uintptr_t)&quire_pgfmt_pae},    \
		{#f " x86_64", f, user_setup, user_teardown,                                       \
		 (void *)(uintptr_t)&quire_pgfmt_x86_64},                                          \
		{#f " aarch64", f, user_setup, user_teardown,                                      \
		 (void *)(uintptr_t)&quire_pgfmt_aarch64},                                         \
	{                                                                                          \
#f " sv39", f, user_setup, user_teardown, (void *)(uintptr_t)&quire_pgfmt_sv39     \
	}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_process_and_the_kernel_have_the_same_bytes),
		TEST(a_part_is_mapped_by_its_offset),
		TEST(a_private_map_reads_and_then_copies),
		TEST(rights_are_the_areas),
		TEST(a_child_has_it_too),
		TEST(a_child_of_a_private_map_copies_for_itself),
		TEST(exit_gives_it_back),
		TEST(a_process_keeps_what_it_maps_when_the_area_is_freed),
		TEST(what_is_given_up_does_not_come_back),
		TEST(it_moves_and_does_not_grow),
		TEST(it_takes_the_place_of_what_was_there),
		TEST(an_error_after_it_leaves_everything),
		TEST(parts_of_an_area_are_filled_one_by_one),
		TEST(what_cannot_be_is_refused),
		TEST(what_has_large_leaves_can_be_mapped_too),
	};

	return cmocka_run_group_tests_name("vmalloc_user", tests, NULL, NULL);
}

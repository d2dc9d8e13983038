/* SPDX-License-Identifier: MIT */
/*
 * Programs in high memory, on a machine where the kernel has no other way to a page's bytes than a kmap: PAE
 * tables or i386's, 16 MiB in the direct map, 48 above it. An access by the library to a high page that is not kmapped, or is
 * not any more, ends the process with a sentence. First what programs see, then kmaps as the MMU sees them, then kernel
 * threads, whose addresses are in whatever space is loaded.
 */
#include "space_disk.h"

#define LOW (16u << 20)
#define CPUS 3u
#define HIGH (VM_RW)

static int setup_format(void **state, const struct quire_pgfmt *fmt)
{
	const struct machine_config config = {
		.ram_bytes = 64u << 20,
		.high_memory = LOW,
		.nr_cpus = CPUS,
		.fmt = fmt,
		.window = true,
	};

	memset(&space, 0, sizeof(space));
	if (machine_create(&config, &space.m))
		return -1;
	space.q = machine_quire(space.m);
	if (quire_mm_create(space.q, NULL, &space.mm))
		return -1;
	machine_switch(space.m, &space.mm->pt);
	disk = disk_new(space.q, 8 * PAGE);
	*state = &space;
	return disk ? 0 : -1;
}

static int setup(void **state)
{
	return setup_format(state, *state);
}

static int teardown(void **state)
{
	assert_null(quire_highmem_check(space.q));
	return space_disk_teardown(state);
}

/* The page behind a user address, which is a high one. */
static struct quire_page *page_at(struct quire_mm *mm, uint64_t addr)
{
	struct quire_page *page = quire_pfn_to_page(space.q, frame(mm, addr));

	assert_non_null(page);
	assert_true(quire_page_is_high(page));
	return page;
}

/* What the kernel sees of a page. */
static unsigned char kernel_get(struct quire_page *page, unsigned offset)
{
	unsigned char *at = quire_kmap_local(space.q, page), byte = at[offset];

	quire_kunmap_local(space.q, at);
	return byte;
}

static void assert_bytes(uint64_t addr, const unsigned char *want, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char byte = get(addr + i);

		if (byte != want[i])
			fail_msg("byte %zu is %#x, not %#x", i, byte, want[i]);
	}
}

/* ---- Programs ---------------------------------------------------------------------------- */

static void programs_live_in_high_memory(void **state)
{
	(void)state;
	put_area(space.mm, BASE, 4, HIGH);
	assert_int_equal(get(BASE + PAGE + 5), 0); /* zeroed */
	set(BASE + 5, 0xa1);
	set(BASE + 3 * PAGE, 0xa2);
	assert_int_equal(kernel_get(page_at(space.mm, BASE), 5), 0xa1);
	assert_int_equal(kernel_get(page_at(space.mm, BASE), 6), 0);
	assert_int_equal(kernel_get(page_at(space.mm, BASE + 3 * PAGE), 0), 0xa2);
}

/* A frame that had something in it before comes back zeroed. */
static void a_page_of_somebody_elses_is_zeroed(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 200; i++) {
		put_area(space.mm, BASE, 1, HIGH);
		assert_int_equal(get(BASE + i), 0);
		set(BASE + i, 0xee);
		set(BASE + PAGE - 1, 0xee);
		page_at(space.mm, BASE);
		assert_int_equal(quire_munmap(space.mm, BASE, PAGE), 0);
	}
}

static void a_child_has_copies(void **state)
{
	struct quire_mm *child;

	(void)state;
	put_area(space.mm, BASE, 3, HIGH);
	set(BASE, 1);
	set(BASE + 4095, 2);
	set(BASE + PAGE, 3);
	child = fork_space(space.mm);
	set(BASE, 4);
	assert_int_equal(get(BASE + 4095), 2); /* copied */
	assert_ptr_not_equal(page_at(space.mm, BASE), page_at(child, BASE));
	run_in(child);
	assert_int_equal(get(BASE), 1);
	set(BASE + PAGE, 5);
	assert_int_equal(get(BASE + 4095), 2);
	run_in(space.mm);
	assert_int_equal(get(BASE + PAGE), 3);
	put_space(child);
}

/* ---- Files ------------------------------------------------------------------------------- */

static void a_file_is_read_and_written_back(void **state)
{
	unsigned char bytes[PAGE];
	unsigned i;

	(void)state;
	put_file(space.mm, BASE, 8, VM_RW | VM_S, &disk->file, 0);
	for (i = 0; i < 64; i++)
		assert_int_equal(get(BASE + 2 * PAGE + i), disk_byte(2 * PAGE + i));
	page_at(space.mm, BASE + 2 * PAGE);
	set(BASE + 2 * PAGE + 1, 0x55);
	assert_int_equal(quire_msync(space.mm, BASE, 8 * PAGE, QUIRE_MS_SYNC), 0);
	assert_int_equal(disk->bytes[2 * PAGE + 1], 0x55);
	assert_int_equal(disk->bytes[2 * PAGE], disk_byte(2 * PAGE));

	/* read(2) and write(2), across a page's end. */
	assert_int_equal(quire_object_read(&disk->object, 2 * PAGE - 2, bytes, 4), 4);
	assert_int_equal(bytes[1], disk_byte(2 * PAGE - 1));
	assert_int_equal(bytes[3], 0x55);
	memset(bytes, 0x66, sizeof(bytes));
	assert_int_equal(quire_object_write(&disk->object, 3 * PAGE - 8, bytes, 16), 16);
	assert_int_equal(get(BASE + 3 * PAGE - 9), disk_byte(3 * PAGE - 9));
	assert_int_equal(get(BASE + 3 * PAGE - 8), 0x66);
	assert_int_equal(get(BASE + 3 * PAGE + 7), 0x66);
	assert_int_equal(get(BASE + 3 * PAGE + 8), disk_byte(3 * PAGE + 8));
}

static void a_private_view_is_copied(void **state)
{
	(void)state;
	put_file(space.mm, BASE, 8, VM_RW, &disk->file, 0);
	set(BASE + PAGE + 1, 7);
	assert_int_equal(get(BASE + PAGE), disk_byte(PAGE));
	assert_int_equal(get(BASE + PAGE + 1), 7);
	assert_int_equal(kernel_get(page_at(space.mm, BASE + PAGE), 2), disk_byte(PAGE + 2));
	assert_int_equal(disk->bytes[PAGE + 1], disk_byte(PAGE + 1));
}

static void what_is_cut_off_in_the_middle_of_a_page_is_zeroed(void **state)
{
	(void)state;
	put_file(space.mm, BASE, 8, VM_RW | VM_S, &disk->file, 0);
	assert_int_equal(get(BASE + PAGE + 1000), disk_byte(PAGE + 1000));
	quire_object_truncate(&disk->object, PAGE + 1000);
	assert_int_equal(get(BASE + PAGE + 999), disk_byte(PAGE + 999));
	assert_int_equal(get(BASE + PAGE + 1000), 0);
	assert_bus(QUIRE_ACCESS_READ, BASE + 2 * PAGE);
	quire_object_truncate(&disk->object, 8 * PAGE);
	assert_int_equal(get(BASE + PAGE + 1000), 0);

	assert_int_equal(get(BASE + 5 * PAGE), disk_byte(5 * PAGE));
	assert_int_equal(quire_object_punch_hole(&disk->object, 4 * PAGE + 100, 5 * PAGE + 50), 0);
	assert_int_equal(get(BASE + 4 * PAGE + 99), disk_byte(4 * PAGE + 99));
	assert_int_equal(get(BASE + 4 * PAGE + 100), 0);
	assert_int_equal(get(BASE + 5 * PAGE + 49), 0);
	assert_int_equal(get(BASE + 5 * PAGE + 50), disk_byte(5 * PAGE + 50));
}

static void shared_memory_is_zeroed_and_shared(void **state)
{
	struct quire_file *file;
	struct quire_mm *child;

	(void)state;
	assert_int_equal(quire_shmem_file(space.q, 4 * PAGE, &file), 0);
	put_file(space.mm, BASE, 4, VM_RW | VM_S, file, 0);
	assert_int_equal(get(BASE + 17), 0);
	set(BASE + 17, 1);
	child = fork_space(space.mm);
	run_in(child);
	assert_int_equal(get(BASE + 17), 1);
	set(BASE + 17, 2);
	run_in(space.mm);
	assert_int_equal(get(BASE + 17), 2);
	assert_ptr_equal(page_at(space.mm, BASE), page_at(child, BASE));
	put_space(child);
	quire_file_put(space.q, file);
}

/* ---- Other processes' memory ------------------------------------------------------------- */

/* Both pages are kmapped at a time; with each other, and a page with itself, where the ranges overlap. */
static void process_vm_calls_copy_from_page_to_page(void **state)
{
	static const unsigned char shifted[] = {1, 1, 2, 3, 4};
	struct quire_iovec local = {BASE + 4090, 100}, remote = {BASE + 2 * PAGE + 50, 100};
	struct quire_mm *child;
	unsigned i;

	(void)state;
	put_area(space.mm, BASE, 4, HIGH);
	for (i = 0; i < 100; i++)
		set(BASE + 2 * PAGE + 50 + i, (unsigned char)(i + 1));
	child = fork_space(space.mm);
	assert_int_equal(quire_process_vm_readv(space.mm, &local, 1, child, &remote, 1, 0), 100);
	for (i = 0; i < 100; i++)
		assert_int_equal(get(BASE + 4090 + i), i + 1);
	for (i = 0; i < 100; i++)
		set(BASE + 4090 + i, 0x77);
	assert_int_equal(quire_process_vm_writev(space.mm, &local, 1, child, &remote, 1, 0), 100);
	run_in(child);
	assert_int_equal(get(BASE + 2 * PAGE + 149), 0x77);
	assert_int_equal(get(BASE + 2 * PAGE + 150), 0);
	run_in(space.mm);
	assert_int_equal(get(BASE + 2 * PAGE + 149), 100);
	put_space(child);

	local = (struct quire_iovec){BASE + 2 * PAGE + 51, 50};
	remote = (struct quire_iovec){BASE + 2 * PAGE + 50, 50};
	assert_int_equal(quire_process_vm_readv(space.mm, &local, 1, space.mm, &remote, 1, 0), 50);
	assert_bytes(BASE + 2 * PAGE + 50, shifted, sizeof(shifted));
}

static void a_debugger_reads_and_writes(void **state)
{
	unsigned char bytes[3 * PAGE];

	(void)state;
	put_area(space.mm, BASE, 4, HIGH);
	set(BASE + 4095, 1);
	set(BASE + 4096, 2);
	assert_int_equal(
		quire_access_process_vm(space.mm, BASE + 4094, bytes, 4, QUIRE_ACCESS_READ), 4);
	assert_memory_equal(bytes, ((unsigned char[]){0, 1, 2, 0}), 4);
	memset(bytes, 3, sizeof(bytes));
	assert_int_equal(quire_access_process_vm(space.mm, BASE + 10, bytes, sizeof(bytes),
						 QUIRE_ACCESS_WRITE),
			 sizeof(bytes));
	assert_int_equal(get(BASE + 9), 0);
	assert_int_equal(get(BASE + 10), 3);
	assert_int_equal(get(BASE + 3 * PAGE + 9), 3);
	assert_int_equal(get(BASE + 3 * PAGE + 10), 0);
}

/* ---- Kmaps as the MMU sees them ---------------------------------------------------------- */

static struct quire_page *new_page(void)
{
	struct quire_page *page = quire_page_alloc(space.q, QUIRE_GFP_HIGHUSER, 0);

	assert_non_null(page);
	assert_true(quire_page_is_high(page));
	return page;
}

static bool can_read(const void *at)
{
	char byte;

	return machine_probe_read(space.m, at, &byte, 1) == 0;
}

static struct {
	unsigned char *at;
	uint32_t stage; /* atomic */
} shared;

static void await(uint32_t stage)
{
	while (quire_load_acquire(&shared.stage) < stage)
		quire_port_relax(space.q);
}

/* CPU 0 kmaps, CPU 1 writes there and CPU 2 reads. */
static void use_a_kmap(struct machine *m, unsigned cpu, void *arg)
{
	struct quire_page *page = arg;

	(void)m;
	if (cpu == 0) {
		shared.at = quire_kmap(space.q, page);
		shared.at[1] = 0x10;
		quire_store_release(&shared.stage, 1u);
		await(3);
		quire_kunmap(space.q, page);
	} else if (cpu == 1) {
		await(1);
		assert_int_equal(shared.at[1], 0x10);
		shared.at[2] = 0x20;
		quire_store_release(&shared.stage, 2u);
	} else {
		await(2);
		assert_int_equal(shared.at[2], 0x20);
		quire_store_release(&shared.stage, 3u);
	}
}

/* Then the slots go round: nobody can use the address when the flush has been, whichever CPU had it in its TLB. */
static void a_kmap_is_every_cpus_until_it_is_flushed(void **state)
{
	struct quire_page *page = new_page(), *others[1024];
	unsigned char *at;
	const unsigned slots = machine_layout(space.m)->nr_pkmaps; /* 512, of i386 1024 */
	unsigned i;

	(void)state;
	shared.stage = 0;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, 3, use_a_kmap, page);
	at = shared.at;
	assert_true(can_read(at)); /* idle */
	for (i = 0; i < slots; i++) {
		others[i] = new_page();
		*(char *)quire_kmap(space.q, others[i]) = 1;
		quire_kunmap(space.q, others[i]);
	}
	/* The last one came round to where the first had been. */
	assert_int_equal(space.q->highmem.flushes, 1);
	assert_null(quire_page_address(space.q, page));
	assert_ptr_equal(quire_page_address(space.q, others[slots - 1]), at);
	for (i = 1; i < slots; i++)
		assert_false(can_read(at + i * PAGE));
	assert_int_equal(kernel_get(page, 2), 0x20);
	assert_int_equal(*at, 1);
	for (i = 0; i < slots; i++)
		quire_page_free(space.q, others[i], 0);
	quire_page_free(space.q, page, 0);
}

/* An idle slot's page may be; the slot says so for as long as nobody needs it. */
static void a_page_is_not_freed_while_it_is_kmapped(void **state)
{
	struct quire_page *page;
	unsigned char *at;

	(void)state;
	if (!QUIRE_DEBUG)
		skip();
	page = new_page();
	at = quire_kmap(space.q, page);
	*at = 1;
	assert_int_equal(quire_kmap_users(space.q, page), 1);
	machine_set_quiet(space.m, true);
	quire_page_free(space.q, page, 0);
	machine_set_quiet(space.m, false);
	assert_true(machine_expect_report(space.m, "a frame is freed that somebody has kmapped"));
	quire_kunmap(space.q, page);

	page = new_page();
	at = quire_kmap(space.q, page);
	*at = 1;
	quire_kunmap(space.q, page);
	assert_int_equal(quire_kmap_users(space.q, page), 0);
	quire_page_free(space.q, page, 0);
	assert_false(machine_failed(space.m));
}

/* The simulated machine's own: what is packed is there again for whoever looks, and what is stored in it stays. */
static void packed_memory_is_as_it_was(void **state)
{
	struct quire_page *page = new_page();
	unsigned char *kmapped = quire_kmap(space.q, page), *area = quire_vmalloc(space.q, 2 * PAGE);
	const uint64_t word = 0x1122334455667788;
	unsigned i;

	(void)state;
	assert_non_null(area);
	put_area(space.mm, BASE, 3, HIGH);
	set(BASE, 0);		       /* zeroes */
	set(BASE + PAGE + 1, 7);       /* one byte that is not */
	for (i = 0; i < PAGE; i += 8) {
		set(BASE + 2 * PAGE + i, 0x5a);
		set(BASE + 2 * PAGE + i + 7, 0xa5);
		memcpy(kmapped + i, &word, 8);
		memcpy(area + PAGE + i, &word, 8);
	}
	memset(area, 3, PAGE);
	assert_int_equal(machine_pack(space.m), 5);
	assert_int_equal(machine_pack(space.m), 0);
	for (i = 0; i < PAGE; i++) {
		const unsigned char want = i % 8 == 0 ? 0x5a : i % 8 == 7 ? 0xa5 : 0;

		assert_int_equal(get(BASE + i), 0);
		assert_int_equal(get(BASE + PAGE + i), i == 1 ? 7 : 0);
		assert_int_equal(get(BASE + 2 * PAGE + i), want);
		assert_int_equal(kmapped[i], 0x88 - 0x11 * (i % 8));
		assert_int_equal(area[i], 3);
		assert_int_equal(area[PAGE + i], 0x88 - 0x11 * (i % 8));
	}
	/* Loads left the processes' pages packed; a store, and the kernel's looks, did not. */
	assert_int_equal(machine_pack(space.m), 3);
	set(BASE + 2 * PAGE + 9, 1);
	assert_int_equal(kernel_get(page_at(space.mm, BASE + 2 * PAGE), 9), 1);
	assert_int_equal(kernel_get(page_at(space.mm, BASE + 2 * PAGE), 8), 0x5a);
	quire_kunmap(space.q, page);
	quire_page_free(space.q, page, 0);
	quire_vfree(space.q, area);
}

/* Debug builds: from its unmapping on the address is good for nothing. */
static void a_local_kmap_is_gone_when_it_is_unmapped(void **state)
{
	struct quire_page *page = new_page(), *other = new_page();
	unsigned char *at = quire_kmap_local(space.q, page), *second;

	(void)state;
	*at = 1;
	assert_false(can_read(at + PAGE));
	assert_false(can_read(at - PAGE));
	second = quire_kmap_local(space.q, other);
	*second = 2;
	assert_int_equal(*at, 1);
	quire_kunmap_local(space.q, second);
	assert_int_equal(can_read(second), !QUIRE_DEBUG);
	/* The slot's next page is seen at once, not the old one. */
	second = quire_kmap_local(space.q, page);
	assert_int_equal(*second, 1);
	quire_kunmap_local(space.q, second);
	second = quire_kmap_local(space.q, other);
	assert_int_equal(*second, 2);
	quire_kunmap_local(space.q, second);
	quire_kunmap_local(space.q, at);
	assert_int_equal(can_read(at), !QUIRE_DEBUG);
	quire_page_free(space.q, page, 0);
	quire_page_free(space.q, other, 0);
}

static void the_same_name_again_is_the_new_page(void **state)
{
	struct quire_page *page[2] = {new_page(), new_page()};
	unsigned char *at;
	unsigned i;

	(void)state;
	for (i = 0; i < 8; i++) {
		at = quire_kmap_atomic(space.q, page[i % 2], QUIRE_KM_USER0);
		if (i >= 2)
			assert_int_equal(*at, i - 2);
		*at = (unsigned char)i;
		quire_kunmap_atomic(space.q, at, QUIRE_KM_USER0);
		assert_int_equal(can_read(at), !QUIRE_DEBUG);
	}
	quire_page_free(space.q, page[0], 0);
	quire_page_free(space.q, page[1], 0);
}

/* A handler that clears one page and copies it, between any two steps of what it interrupts. */
static void handle(struct machine *m, void *arg)
{
	struct quire_page **page = arg;

	(void)m;
	quire_page_zero(space.q, page[0]);
	quire_page_copy(space.q, page[1], page[0]);
}

static void a_handler_uses_kmaps_of_its_own(void **state)
{
	struct quire_page *handlers[2] = {new_page(), new_page()},
			  *page[2] = {new_page(), new_page()};
	unsigned char *to, *from;

	(void)state;
	machine_interrupt(space.m, handle, handlers);
	from = quire_kmap_local(space.q, page[0]);
	from[9] = 9;
	machine_interrupt(space.m, handle, handlers);
	to = quire_kmap_local(space.q, page[1]);
	to[9] = from[9];
	machine_interrupt(space.m, handle, handlers);
	assert_int_equal(to[9], 9);
	assert_int_equal(from[9], 9);
	quire_kunmap_local(space.q, to);
	machine_interrupt(space.m, handle, handlers);
	assert_int_equal(from[9], 9);
	quire_kunmap_local(space.q, from);
	assert_int_equal(kernel_get(page[1], 9), 9);
	quire_page_free(space.q, handlers[0], 0);
	quire_page_free(space.q, handlers[1], 0);
	quire_page_free(space.q, page[0], 0);
	quire_page_free(space.q, page[1], 0);
}

/* ---- Kernel threads ---------------------------------------------------------------------- */

static void go(struct quire_mm *next)
{
	struct quire_pgtable *tables;

	quire_port_preempt_disable(space.q);
	tables = quire_switch_mm(space.q, next);
	if (tables)
		machine_switch(space.m, tables);
	quire_finish_switch(space.q);
	quire_port_preempt_enable(space.q);
}

static void leave(void)
{
	quire_port_preempt_disable(space.q);
	if (quire_leave_mm(space.q))
		machine_switch(space.m, NULL);
	quire_finish_switch(space.q);
	quire_port_preempt_enable(space.q);
}

static uint64_t kernel_faults(void)
{
	struct machine_stats stats;

	machine_stats(space.m, &stats);
	return stats.kernel_faults;
}

/* Map a page for the kernel where there is no table yet, in the vmalloc area. */
static unsigned char *map_for_kernel(uint64_t addr, struct quire_page *page)
{
	struct quire_cursor c;

	assert_int_equal(quire_tables_populate(space.q->kernel, addr, addr + PAGE), 0);
	quire_cursor_open(&c, space.q->kernel, addr, addr + PAGE, 0);
	assert_true(quire_cursor_seek(&c, addr));
	quire_cursor_set(&c, addr,
			 quire_pte_make(space.q->kernel->fmt, quire_page_to_pfn(space.q, page),
					QUIRE_PTE_READ | QUIRE_PTE_WRITE | QUIRE_PTE_ACCESSED |
						QUIRE_PTE_DIRTY | QUIRE_PTE_GLOBAL));
	quire_cursor_close(&c);
	return quire_kaddr_to_ptr(space.q, addr);
}

static void unmap_for_kernel(uint64_t addr)
{
	struct quire_cursor c;

	quire_cursor_open(&c, space.q->kernel, addr, addr + PAGE, 0);
	assert_true(quire_cursor_seek(&c, addr));
	quire_cursor_clear(&c, addr);
	quire_cursor_close(&c);
}

/*
 * The kernel thread runs in tables of a process that was made before the mapping and is gone by now. With two
 * levels they lack the kernel's new table, and learn of it by a fault; with three they have it.
 */
static void a_borrowed_space_learns_of_the_kernels_tables(void **state)
{
	const uint64_t addr = machine_layout(space.m)->vmalloc_start;
	const bool learns = space.q->fmt->levels == 2;
	struct quire_page *page = new_page();
	uint64_t before;
	struct quire_mm *mm, *later;
	unsigned char *at;

	(void)state;
	machine_switch(space.m, NULL);
	assert_int_equal(quire_mm_create(space.q, &space.mm->layout, &mm), 0);
	put_area(mm, BASE, 2, HIGH);
	go(mm);
	set(BASE, 1);
	go(NULL);
	quire_mmput(mm);
	assert_int_equal(mm->users, 0);

	at = map_for_kernel(addr, page);
	before = kernel_faults();
	at[3] = 33;
	assert_int_equal(kernel_faults() - before, learns);
	assert_int_equal(kernel_get(page, 3), 33);
	assert_int_equal(kernel_faults() - before, learns); /* kmaps were there before any space */

	/* Who is made afterwards has it from the beginning. */
	assert_int_equal(quire_mm_create(space.q, &space.mm->layout, &later), 0);
	go(later);
	quire_pgtable_flush(space.q->kernel, addr, addr + PAGE);
	assert_int_equal(at[3], 33);
	assert_int_equal(kernel_faults() - before, learns);

	unmap_for_kernel(addr);
	assert_false(can_read(at));
	go(NULL);
	leave();
	quire_mmput(later);
	quire_page_free(space.q, page, 0);
}

/* ---- All at once ------------------------------------------------------------------------- */

#define ROUNDS 150u

static struct quire_mm *common;

/* Each CPU: forks, stores, lets the child copy, reads the file, cuts it, kmaps and copies; of the common space each has a page. */
static void live(struct machine *m, unsigned cpu, void *arg)
{
	const uint64_t mine = BASE + cpu * PAGE;
	unsigned char byte, bytes[32];
	unsigned round, i;

	(void)arg;
	go(common);
	for (round = 0; round < ROUNDS; round++) {
		struct quire_page *page[2] = {new_page(), new_page()};
		struct quire_mm *child;
		unsigned char *at;

		byte = (unsigned char)round;
		assert_int_equal(machine_store(m, mine + round, &byte, 1, NULL), 0);
		assert_int_equal(quire_fork(common, &child), 0);
		byte = (unsigned char)~round;
		assert_int_equal(machine_store(m, mine + round, &byte, 1, NULL), 0);
		go(child);
		assert_int_equal(machine_load(m, mine + round, &byte, 1, NULL), 0);
		assert_int_equal(byte, (unsigned char)round);
		assert_int_equal(machine_store(m, mine, &byte, 1, NULL), 0);
		go(NULL);
		quire_mmput(child);
		go(common);
		assert_int_equal(machine_load(m, mine + round, &byte, 1, NULL), 0);
		assert_int_equal(byte, (unsigned char)~round);

		at = quire_kmap(space.q, page[0]);
		memset(at, (int)round, PAGE);
		quire_page_copy(space.q, page[1], page[0]);
		assert_int_equal(kernel_get(page[1], 4095), round);
		quire_kunmap(space.q, page[0]);
		memset(bytes, (int)round, sizeof(bytes));
		(void)quire_object_write(&disk->object, (cpu + 1) * PAGE - 16, bytes, 32);
		if (cpu == 0 && round % 8 == 0)
			quire_object_truncate(&disk->object, PAGE + round * 10);
		if (cpu == 1 && round % 16 == 0)
			(void)quire_object_sync(&disk->object, 0, 8);
		(void)quire_object_read(&disk->object, cpu * PAGE, bytes, sizeof(bytes));
		for (i = 0; i < 2; i++)
			quire_page_free(space.q, page[i], 0);
	}
	go(NULL);
	leave();
}

static void cpus_live_in_high_memory_together(void **state)
{
	(void)state;
	put_area(space.mm, BASE, CPUS, HIGH);
	common = space.mm;
	machine_switch(space.m, NULL);
	machine_run_cpus(space.m, CPUS, live, NULL);
	assert_null(quire_active_check(space.q));
	assert_false(machine_failed(space.m));
}

#define ON(fn, format)                                                                             \
	{                                                                                          \
		#fn " " #format, fn, setup, teardown, (void *)(uintptr_t)&quire_pgfmt_##format     \
	}
#define TEST(fn) ON(fn, pae), ON(fn, i386)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(programs_live_in_high_memory),
		TEST(a_page_of_somebody_elses_is_zeroed),
		TEST(a_child_has_copies),
		TEST(a_file_is_read_and_written_back),
		TEST(a_private_view_is_copied),
		TEST(what_is_cut_off_in_the_middle_of_a_page_is_zeroed),
		TEST(shared_memory_is_zeroed_and_shared),
		TEST(process_vm_calls_copy_from_page_to_page),
		TEST(a_debugger_reads_and_writes),
		TEST(a_kmap_is_every_cpus_until_it_is_flushed),
		TEST(a_page_is_not_freed_while_it_is_kmapped),
		TEST(packed_memory_is_as_it_was),
		TEST(a_local_kmap_is_gone_when_it_is_unmapped),
		TEST(the_same_name_again_is_the_new_page),
		TEST(a_handler_uses_kmaps_of_its_own),
		TEST(a_borrowed_space_learns_of_the_kernels_tables),
		TEST(cpus_live_in_high_memory_together),
	};

	return cmocka_run_group_tests_name("highmem_space", tests, NULL, NULL);
}

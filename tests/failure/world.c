/* SPDX-License-Identifier: MIT */
/*
 * The world in which scenarios happen: a machine, a space, a file on a disk, shared memory, a
 * driver. Small in memory, rich in kinds.
 */
#include <stdlib.h>

#include "failure.h"

struct world w;
const struct quire_pgfmt *world_format;

/* ---- A driver ---------------------------------------------------------------------------- */

static void driver_open(struct quire_vma *vma)
{
	(void)vma;
	w.driver.opened++;
}

static void driver_close(struct quire_vma *vma)
{
	(void)vma;
	w.driver.closed++;
}

static int driver_may_split(struct quire_vma *vma, quire_uaddr_t addr)
{
	(void)vma;
	(void)addr;
	w.driver.asked++;
	return w.driver.refuse_split;
}

static int driver_mremap(struct quire_vma *vma)
{
	(void)vma;
	w.driver.moved++;
	return w.driver.refuse_move;
}

/* Makes its pages when they are first asked for: that may fail too. */
static int driver_fault(struct quire_vmf *vmf)
{
	struct quire_page **page = &w.driver.page[vmf->pgoff % QUIRE_ARRAY_SIZE(w.driver.page)];

	if (w.driver.refuse_fault)
		return w.driver.refuse_fault;
	if (!*page)
		*page = quire_page_alloc(w.q, QUIRE_GFP_ZERO, 0);
	if (!*page)
		return -QUIRE_ENOMEM;
	quire_page_get(*page);
	vmf->page = *page;
	return 0;
}

static int driver_mkwrite(struct quire_vmf *vmf)
{
	(void)vmf;
	w.driver.announced++;
	return w.driver.refuse_write;
}

const struct quire_vm_ops driver_ops = {
	.name = "[driver]",
	.open = driver_open,
	.close = driver_close,
	.may_split = driver_may_split,
	.mremap = driver_mremap,
	.fault = driver_fault,
	.page_mkwrite = driver_mkwrite,
};

static int device_mmap(struct quire_file *file, struct quire_vma *vma)
{
	vma->private_data = file;
	w.driver.opened++;
	return 0;
}

/* ---- Made and unmade --------------------------------------------------------------------- */

void world_new(void)
{
	struct machine_config config = {.ram_bytes = 5120 * PAGE, .nr_cpus = 2};
	static struct quire_file device;

	memset(&w, 0, sizeof(w));
	test_choose_format(&config);
	if (world_format)
		config.fmt = world_format;
	assert_int_equal(machine_create(&config, &w.m), 0);
	w.q = machine_quire(w.m);
	assert_int_equal(quire_mm_create(w.q, NULL, &w.mm), 0);
	if (QUIRE_PAGE_SHIFT > 12) /* promises of whole leaf tables, as many as the memory has here else */
		w.q->mms.sysctl.overcommit_total_pages = 10 * PAGE / 8;
	w.mm->layout.start_brk = w.mm->layout.brk = AT(4096);
	w.q->mms.sysctl.stack_guard_gap = PAGE;
	w.disk = disk_new(w.q, 32 * PAGE);
	memset(&device, 0, sizeof(device));
	device.refs = 1;
	device.flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE;
	device.vm_ops = &driver_ops;
	device.mmap = device_mmap;
	w.device = &device;
	run_in(w.mm);
}

void run_in(struct quire_mm *mm)
{
	machine_switch(w.m, mm ? &mm->pt : NULL);
}

void world_end(void)
{
	run_in(NULL);
	if (w.third)
		quire_mmput(w.third);
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(w.ancestor); i++) {
		if (w.ancestor[i])
			quire_mmput(w.ancestor[i]);
	}
	if (w.other)
		quire_mmput(w.other);
	quire_mmput(w.mm);
	quire_grace_wait(w.q);
	assert_int_equal(w.device->refs, 1);
	assert_int_equal(w.driver.opened, w.driver.closed);
	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(w.driver.page); i++) {
		if (w.driver.page[i])
			assert_true(quire_page_put(w.q, w.driver.page[i]));
	}
	if (w.memfd) {
		assert_int_equal(w.memfd->refs, 1);
		assert_int_equal(w.memfd->object->refs, 1);
		quire_file_put(w.q, w.memfd);
	}
	assert_null(disk_delete(w.disk));
	quire_grace_wait(w.q);
	assert_int_equal(machine_destroy(w.m), 0);
	w.m = NULL;
}

int world_abandon(void **state)
{
	(void)state;
	(void)fail_end();
	fail_hook = NULL;
	hog_forget();
	world_format = NULL;
	if (w.m)
		machine_cpu_unbind(w.m);
	w.m = NULL;
	return 0;
}

static void check(quire_broken_t broken)
{
	if (broken)
		fail_msg("%s", broken);
}

void world_check(void)
{
	struct quire_list *pos, *tmp;

	quire_list_for_each (pos, tmp, &w.q->mms.spaces)
		check(quire_mm_check(quire_list_entry(pos, struct quire_mm, link)));
	check(quire_object_check(&w.disk->object));
	if (w.memfd)
		check(quire_object_check(w.memfd->object));
	check(quire_slab_check(w.q));
	check(quire_page_check(w.q));
	check(machine_check(w.m));
	assert_false(machine_failed(w.m));
}

/* ---- Filling it -------------------------------------------------------------------------- */

void map(uint64_t at, uint64_t pages, uint32_t prot, uint32_t flags, struct quire_file *file,
	 uint64_t pgoff)
{
	assert_int_equal(quire_mmap(w.mm, AT(at), SPAN(at, pages), prot, flags | QUIRE_MAP_FIXED, file,
				    pgoff * PAGE),
			 AT(at));
}

static int64_t answer(int err, const struct quire_signal *sig)
{
	return err ? SIGNAL(sig->signo) : 0;
}

int64_t load(uint64_t at)
{
	struct quire_signal sig = {0};
	unsigned char byte;

	return answer(machine_load(w.m, AT(at) + 8, &byte, 1, &sig), &sig);
}

int64_t store(uint64_t at)
{
	struct quire_signal sig = {0};
	unsigned char byte = (unsigned char)(at * 7 + 1);

	return answer(machine_store(w.m, AT(at) + 8, &byte, 1, &sig), &sig);
}

int64_t fetch(uint64_t at)
{
	struct quire_signal sig = {0};
	unsigned char byte;

	return answer(machine_fetch(w.m, AT(at) + 8, &byte, 1, &sig), &sig);
}

void load_pages(uint64_t at, uint64_t n)
{
	while (n--)
		assert_int_equal(load(at++), 0);
}

void store_pages(uint64_t at, uint64_t n)
{
	while (n--)
		assert_int_equal(store(at++), 0);
}

void many(uint64_t at, unsigned n)
{
	while (n--) {
		map(at, 1, at % 2 ? R : RW, ANON, NULL, 0);
		at++;
	}
}

/*
 *	page  0-7    private, RW      0-3 written, 4 read
 *	      8-11   private, R       8, 9 written when it was RW
 *	     12-15   the disk's 0-3, private, RW     12 written, 13 read
 *	     16-19   the disk's 8-11, shared, RW     16 written, 17 read
 *	     20-23   shared anonymous, RW            20, 21 written
 *	     24-27   shared memory with a file       24 written
 *	     28-31   private, locked
 *	     32-35   private, RW      32 written, 33 and 34 guards
 *	     36-39   the driver's, shared, RW        36 read, 37 written
 *	     40-41   private, written, wiped at fork
 *	     42-43   private, written, not in children
 *	     44-47   the disk's 16-19, private, R and X, nothing touched
 *	     60-63   a stack          63 written
 *	     64-79   16 areas
 *	   1024-1031 private, RW      two written; a leaf of its own
 *	   4096-4099 the heap         4096 written
 */
void rich(void)
{
	map(0, 8, RW, ANON, NULL, 0);
	store_pages(0, 4);
	load_pages(4, 1);
	map(8, 4, RW, ANON, NULL, 0);
	store_pages(8, 2);
	assert_int_equal(quire_mprotect(w.mm, AT(8), 4 * PAGE, R), 0);
	map(12, 4, RW, QUIRE_MAP_PRIVATE, &w.disk->file, 0);
	store_pages(12, 1);
	load_pages(13, 1);
	map(16, 4, RW, QUIRE_MAP_SHARED, &w.disk->file, 8);
	store_pages(16, 1);
	load_pages(17, 1);
	map(20, 4, RW, SHARED_ANON, NULL, 0);
	store_pages(20, 2);
	assert_int_equal(quire_shmem_file(w.q, 16 * PAGE, &w.memfd), 0);
	w.memfd->path = "/memfd:m";
	w.memfd->flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE;
	map(24, 4, RW, QUIRE_MAP_SHARED, w.memfd, 0);
	store_pages(24, 1);
	map(28, 4, RW, ANON | QUIRE_MAP_LOCKED, NULL, 0);
	map(32, 4, RW, ANON, NULL, 0);
	store_pages(32, 1);
	assert_int_equal(quire_madvise(w.mm, AT(33), 2 * PAGE, QUIRE_MADV_GUARD_INSTALL), 0);
	map(36, 4, RW, QUIRE_MAP_SHARED, w.device, 0);
	load_pages(36, 1);
	store_pages(37, 1);
	map(40, 2, RW, ANON, NULL, 0);
	store_pages(40, 2);
	assert_int_equal(quire_madvise(w.mm, AT(40), 2 * PAGE, QUIRE_MADV_WIPEONFORK), 0);
	map(42, 2, RW, ANON, NULL, 0);
	store_pages(42, 2);
	assert_int_equal(quire_madvise(w.mm, AT(42), 2 * PAGE, QUIRE_MADV_DONTFORK), 0);
	map(44, 4, R | QUIRE_PROT_EXEC, QUIRE_MAP_PRIVATE, &w.disk->file, 16);
	map(60, 4, RW, ANON | QUIRE_MAP_GROWSDOWN, NULL, 0);
	store_pages(63, 1);
	many(64, 16);
	map(1024, 8, RW, ANON, NULL, 0);
	store_pages(1024, 2);
	assert_int_equal(quire_brk(w.mm, AT(4100)), AT(4100));
	store_pages(4096, 1);
}

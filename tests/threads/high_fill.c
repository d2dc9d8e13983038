/* SPDX-License-Identifier: MIT */
/*
 * A PAE machine of 8 GiB that is filled to the brim: four processes take high memory until there is none, then what they may
 * have of low memory, while drivers on the same four CPUs use vmalloc, ioremap, kmaps and the fixmap, and ask for kernel memory,
 * which they must get at every moment.
 *
 *	fill      anonymous memory, a file of its own, shared memory, and a child that copies on write, until a fault ends with
 *	          no memory; drivers work all the time
 *	full      drivers go on: GFP_KERNEL, GFP_ATOMIC and GFP_DMA are served, as user pages were kept from the low zones' reserve
 *	check     every byte of every page of every process
 *	empty     everything goes, and what is free, in tables, caches and areas is what it was before
 *
 * Every page holds one word over and over, which says whose it is, where, and which of its contents; so the simulated machine
 * can give the host its pages back (machine_pack()) between rounds, and 8 GiB take less than one of the host's.
 *
 * By default release builds fill the 8 GiB; others a machine of the same kind with 64 MiB of low memory and 192 of high,
 * two thirds of them above 4 GiB (--small). --full, --small. --mistakes: the same without a reserve, where the kernel must be
 * seen to starve.
 */
#include <machine.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE ((uint64_t)QUIRE_PAGE_SIZE)
#define WORDS (PAGE / 8)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define CPUS 4u

#define RW (QUIRE_PROT_READ | QUIRE_PROT_WRITE)

#define ANON_BASE UINT64_C(0x10000000)
#define SHARED_BASE UINT64_C(0x68000000)
#define FILE_BASE UINT64_C(0x80000000)

#define CHUNK 64u /* pages between two looks at a driver */
#define DRIVER_PAGES                                                                               \
	160u	  /* high pages of each CPU's driver: more than the pkmap has slots, all together */
#define AREAS 12u /* of vmalloc, at a time */
#define DEVICE_PAGES 8u /* of each CPU's device */

struct size {
	const char *name;
	uint64_t low, high_start,
		high_end; /* bytes: low memory, and high memory above 4 GiB besides */
	uint64_t middle;  /* high memory below 4 GiB ends */
	uint32_t anon, file, shared, copied; /* pages of each process; shared: its part of it */
	uint32_t round; /* pages that each process fills between two packings */
};

static const struct size sizes[] = {
	/* QEMU's 8 GiB: 3 below 4 GiB, 5 above. */
	{"8 GiB", 0, 4 * GIB, 9 * GIB, 3 * GIB, 340000, 150000, 24576, 16384, 12288},
	{"small", 64 * MIB, 4 * GIB, 4 * GIB + 128 * MIB, 128 * MIB, 12000, 5000, 1024, 512, 2048},
};

enum kind {
	ANON = 1,
	FILE_READ,
	FILE_WRITTEN,
	SHARED,
	COPIED,
	PARENTS,
	VMALLOC,
	DRIVER,
	DEVICE,
	KERNEL
};

/* The word of a page: never 0, all its bytes differ from owner to owner. */
static uint64_t word_of(enum kind kind, unsigned owner, uint64_t page, uint64_t turn)
{
	uint64_t x = (uint64_t)kind << 60 ^ (uint64_t)owner << 56 ^ turn << 32 ^ page;

	x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	return x | 1;
}

/* A file whose every page is read as FILE_READ's word; what is written stays in the cache. */
struct file {
	struct quire_object object;
	struct quire_file file;
	unsigned owner;
};

struct area {
	uint64_t *at;
	uint64_t pages, word;
};

struct proc {
	struct quire_mm *mm, *child;
	struct file file;
	uint32_t anon, file_read, shared, copied; /* pages that are filled, or were tried */
	uint8_t *written;			  /* by file page: 1: written */
	uint8_t *parents, *childs;		  /* by copied page: 1: written after the fork */
	uint32_t
		refused; /* how often there was no memory for it; at the third time it is content */
	bool full;
	/* the driver on this CPU */
	struct quire_page *page[DRIVER_PAGES];
	uint64_t page_word[DRIVER_PAGES];
	struct area area[AREAS];
	uint64_t device[2][DEVICE_PAGES];
	uint64_t turn, seed;
	uint64_t vmallocs, refused_vmallocs, ioremaps, kmaps, kernel_pages;
};

static struct {
	const struct size *size;
	struct machine *m;
	struct quire *q;
	struct quire_file *shared;
	struct proc proc[CPUS];
	pthread_barrier_t barrier;
	quire_paddr_t device[2]; /* in PCI's hole, and above all memory */
	uint32_t starved;	 /* kernel allocations that failed; atomic */
	bool mistakes, stop, full, refused;
	unsigned rounds;
	uint64_t packed, filled, most_user_low, least_low_free;
} world;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "high-fill: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static uint64_t chance(struct proc *p, uint64_t below)
{
	p->seed ^= p->seed << 13;
	p->seed ^= p->seed >> 7;
	p->seed ^= p->seed << 17;
	return p->seed % below;
}

static void fill(uint64_t *at, uint64_t pages, uint64_t word)
{
	uint64_t i;

	for (i = 0; i < pages * WORDS; i++)
		at[i] = word;
}

static void expect(const uint64_t *at, uint64_t pages, uint64_t word, const char *what)
{
	uint64_t i;

	for (i = 0; i < pages * WORDS; i++) {
		if (at[i] != word)
			fail("%s: word %llu is %#llx, not %#llx", what, (unsigned long long)i,
			     (unsigned long long)at[i], (unsigned long long)word);
	}
}

/* ---- Kernel memory ----------------------------------------------------------------------- */

/* What the kernel asks for itself must be there, however full memory is. */
static bool must(bool got, const char *what)
{
	if (!got && quire_fetch_add(&world.starved, 1u) == 0 && !world.mistakes)
		fail("no kernel memory: %s", what);
	return got;
}

static void use_kernel_memory(struct proc *p, unsigned cpu)
{
	static const quire_gfp_t gfp[] = {QUIRE_GFP_KERNEL, QUIRE_GFP_ATOMIC, QUIRE_GFP_DMA,
					  QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO};
	const unsigned kind = (unsigned)chance(p, 4),
		       order = kind == 1 ? 0 : (unsigned)chance(p, 3);
	const size_t bytes = 8 + chance(p, 6000);
	struct quire_page *page = quire_page_alloc(world.q, gfp[kind] | QUIRE_GFP_NOWARN, order);
	unsigned char *object = quire_kmalloc(world.q, bytes, QUIRE_GFP_KERNEL);
	const uint64_t word = word_of(KERNEL, cpu, p->turn, 0);
	uint64_t *at = NULL;

	if (must(page, kind == 0   ? "GFP_KERNEL"
		       : kind == 1 ? "GFP_ATOMIC"
		       : kind == 2 ? "GFP_DMA"
				   : "GFP_KERNEL, zeroed")) {
		if (quire_page_is_high(page))
			fail("a kernel page is high");
		at = quire_page_to_virt(world.q, page);
		if (kind == 3)
			expect(at, UINT64_C(1) << order, 0, "a zeroed page");
		fill(at, UINT64_C(1) << order, word);
		p->kernel_pages++;
	}
	if (must(object, "kmalloc"))
		memset(object, (int)cpu, bytes);
	if (page) {
		expect(at, UINT64_C(1) << order, word, "a kernel page");
		quire_page_free(world.q, page, order);
	}
	if (object && (object[0] != cpu || object[bytes - 1] != cpu))
		fail("an object of kmalloc has changed");
	quire_kfree(world.q, object);
}

/* ---- Drivers ----------------------------------------------------------------------------- */

static void free_area(struct area *a)
{
	expect(a->at, a->pages, a->word, "a vmalloc area");
	quire_vfree(world.q, a->at);
	a->at = NULL;
}

static void free_in_interrupt(struct machine *m, void *arg)
{
	(void)m;
	free_area(arg);
}

/* Its pages are from high memory, so that where there is none left it may be refused. */
static void use_vmalloc(struct proc *p, unsigned cpu)
{
	struct area *a = &p->area[chance(p, AREAS)];

	if (a->at) {
		if (chance(p, 8))
			free_area(a);
		else
			machine_interrupt(world.m, free_in_interrupt, a);
		return;
	}
	a->pages = 1 + chance(p, chance(p, 8) ? 8 : 200);
	a->word = word_of(VMALLOC, cpu, p->turn, a->pages);
	a->at = chance(p, 4) ? quire_vmalloc(world.q, a->pages * PAGE)
			     : quire_vzalloc(world.q, a->pages * PAGE);
	if (!a->at) {
		if (!quire_load(&world.full))
			fail("no vmalloc area of %llu pages while there is memory",
			     (unsigned long long)a->pages);
		p->refused_vmallocs++;
		return;
	}
	fill(a->at, a->pages, a->word);
	p->vmallocs++;
}

/* A device keeps what was stored there, from one mapping to the next. */
static void use_device(struct proc *p, unsigned cpu)
{
	const unsigned which = (unsigned)chance(p, 2), first = (unsigned)chance(p, DEVICE_PAGES),
		       pages = 1 + (unsigned)chance(p, DEVICE_PAGES - first);
	const quire_paddr_t pa = world.device[which] + (cpu * DEVICE_PAGES + first) * PAGE;
	const unsigned offset = 8 * (unsigned)chance(p, WORDS);
	volatile uint64_t *at;
	unsigned char *regs =
		chance(p, 2) ? quire_ioremap(world.q, pa + offset, pages * PAGE - offset)
			     : quire_ioremap_wc(world.q, pa + offset, pages * PAGE - offset);
	unsigned i;

	if (!must(regs, "ioremap"))
		return;
	if (((uintptr_t)regs & (PAGE - 1)) != offset)
		fail("a device is not where its page has it");
	for (i = 0; i < pages; i++) {
		at = (volatile uint64_t *)(void *)(regs - offset + i * PAGE + PAGE - 8);
		if (*at != p->device[which][first + i])
			fail("a device's register has changed");
		*at = p->device[which][first + i] = word_of(DEVICE, cpu, first + i, p->turn);
	}
	quire_iounmap(world.q, regs);
	p->ioremaps++;
}

static void next_word(struct proc *p, unsigned cpu, unsigned n, uint64_t *at)
{
	expect(at, 1, p->page_word[n], "a driver's page");
	p->page_word[n] = word_of(DRIVER, cpu, n, p->turn);
	fill(at, 1, p->page_word[n]);
}

static void use_kmap(struct proc *p, unsigned cpu)
{
	const unsigned n = (unsigned)chance(p, DRIVER_PAGES), other = (n + 1) % DRIVER_PAGES;
	struct quire_page *pages[2] = {p->page[n], p->page[other]};
	uint64_t *at, *second;
	void *slot;

	p->kmaps++;
	switch (chance(p, 5)) {
	case 0:
		at = quire_kmap_local(world.q, pages[0]);
		second = quire_kmap_atomic(world.q, pages[1], QUIRE_KM_USER0);
		next_word(p, cpu, n, at);
		next_word(p, cpu, other, second);
		quire_kunmap_atomic(world.q, second, QUIRE_KM_USER0);
		quire_kunmap_local(world.q, at);
		return;
	case 1:
		at = quire_vm_map_ram(world.q, pages, 2);
		if (!must(at, "vm_map_ram"))
			return;
		next_word(p, cpu, n, at);
		next_word(p, cpu, other, at + WORDS);
		quire_vm_unmap_ram(world.q, at, 2);
		return;
	case 2:
		if (chance(p, 8))
			return;
		if (quire_set_fixmap(world.q, QUIRE_FIX_HOST_FIRST + cpu,
				     quire_page_to_pfn(world.q, pages[0]) * PAGE,
				     QUIRE_PTE_READ | QUIRE_PTE_WRITE, QUIRE_CACHE_WB))
			fail("set_fixmap");
		slot = quire_kaddr_to_ptr(world.q, quire_fix_to_virt(&world.q->kva.layout,
								     QUIRE_FIX_HOST_FIRST + cpu));
		next_word(p, cpu, n, slot);
		if (quire_clear_fixmap(world.q, QUIRE_FIX_HOST_FIRST + cpu))
			fail("clear_fixmap");
		return;
	default:
		at = quire_kmap(world.q, pages[0]);
		next_word(p, cpu, n, at);
		quire_kunmap(world.q, pages[0]);
		return;
	}
}

static void drive(struct proc *p, unsigned cpu)
{
	p->turn++;
	use_kernel_memory(p, cpu);
	switch (chance(p, 4)) {
	case 0:
		use_vmalloc(p, cpu);
		break;
	case 1:
		use_device(p, cpu);
		break;
	default:
		use_kmap(p, cpu);
		break;
	}
}

/* ---- Processes --------------------------------------------------------------------------- */

static int read_page(struct quire_object *object, struct quire_page *page)
{
	const struct file *f = quire_container_of(object, struct file, object);
	uint64_t *at = quire_page_kmap(object->q, page);

	fill(at, 1, word_of(FILE_READ, f->owner, page->index, 0));
	quire_page_kunmap(object->q, at);
	return 0;
}

static const struct quire_file_ops file_ops = {.read_page = read_page};

/* A whole page. False: there is no memory for it. */
static bool store(struct proc *p, uint64_t addr, uint64_t word)
{
	struct quire_signal sig = {0};
	uint64_t words[WORDS];

	fill(words, 1, word);
	if (!machine_store(world.m, addr, words, PAGE, &sig))
		return true;
	if (sig.signo != QUIRE_SIGKILL)
		fail("signal %d for a store at %#llx", sig.signo, (unsigned long long)addr);
	p->refused++;
	return false;
}

static bool load(struct proc *p, uint64_t addr, uint64_t word, const char *what)
{
	struct quire_signal sig = {0};
	uint64_t words[WORDS];

	if (!machine_load(world.m, addr, words, PAGE, &sig)) {
		expect(words, 1, word, what);
		return true;
	}
	if (sig.signo != QUIRE_SIGKILL)
		fail("%s: signal %d for a load at %#llx", what, sig.signo,
		     (unsigned long long)addr);
	p->refused++;
	return false;
}

static void map(struct quire_mm *mm, uint64_t at, uint64_t pages, uint32_t flags,
		struct quire_file *file)
{
	if (quire_mmap(mm, at, pages * PAGE, RW, flags | QUIRE_MAP_FIXED, file, 0) != (int64_t)at)
		fail("mmap at %#llx", (unsigned long long)at);
}

static void start_process(unsigned cpu)
{
	const struct size *s = world.size;
	struct proc *p = &world.proc[cpu];
	unsigned i;

	p->seed = 0x1234567 + cpu;
	p->file.owner = cpu;
	quire_object_init(world.q, &p->file.object, &file_ops, s->file * PAGE, 0);
	p->file.file = (struct quire_file){
		.object = &p->file.object, .refs = 1, .flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE};
	quire_object_get(&p->file.object);
	p->written = calloc(s->file, 1);
	p->parents = calloc(s->copied, 1);
	p->childs = calloc(s->copied, 1);
	if (!p->written || !p->parents || !p->childs || quire_mm_create(world.q, NULL, &p->mm))
		fail("no memory");
	map(p->mm, ANON_BASE, s->anon, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	map(p->mm, SHARED_BASE, CPUS * s->shared, QUIRE_MAP_SHARED, world.shared);
	map(p->mm, FILE_BASE, s->file, QUIRE_MAP_SHARED, &p->file.file);
	for (i = 0; i < DRIVER_PAGES; i++) {
		p->page[i] = quire_page_alloc(world.q, QUIRE_GFP_HIGHUSER | QUIRE_GFP_ZERO, 0);
		if (!p->page[i] || !quire_page_is_high(p->page[i]))
			fail("a driver's page is not high");
	}
}

/* The child sees what the parent had when it was born, but for what it has written; and the parent likewise. */
static uint64_t word_of_parent(const struct proc *p, unsigned cpu, uint32_t i)
{
	return i < world.size->copied && p->parents[i] ? word_of(PARENTS, cpu, i, 0)
						       : word_of(ANON, cpu, i, 0);
}

static uint64_t word_of_child(const struct proc *p, unsigned cpu, uint32_t i)
{
	return p->childs[i] ? word_of(COPIED, cpu, i, 0) : word_of(ANON, cpu, i, 0);
}

static void copy_on_write(struct proc *p, unsigned cpu)
{
	const uint32_t first = p->copied, end = first + CHUNK;
	uint32_t i;

	if (!p->child) {
		if (p->anon < world.size->copied)
			return;
		if (!must(quire_fork(p->mm, &p->child) == 0, "fork"))
			return;
	}
	if (first >= world.size->copied)
		return;
	p->copied = end;
	for (i = first; i < end; i += 4)
		p->parents[i] = store(p, ANON_BASE + i * PAGE, word_of(PARENTS, cpu, i, 0));
	machine_switch(world.m, &p->child->pt);
	for (i = first; i < end; i += 2)
		p->childs[i] = store(p, ANON_BASE + i * PAGE, word_of(COPIED, cpu, i, 0));
	machine_switch(world.m, &p->mm->pt);
	for (i = first + 2; i < end; i += 4)
		p->parents[i] = store(p, ANON_BASE + i * PAGE, word_of(PARENTS, cpu, i, 0));
}

/* The next pages of one kind. Whoever is refused three times has had enough. */
static uint32_t take_more(struct proc *p, unsigned cpu)
{
	const struct size *s = world.size;
	uint32_t n;

	switch (chance(p, 8)) {
	case 0:
		copy_on_write(p, cpu);
		return CHUNK;
	case 1:
		for (n = 0; n < CHUNK && p->shared < s->shared; n++, p->shared++) {
			if (!store(p, SHARED_BASE + (cpu * s->shared + p->shared) * PAGE,
				   word_of(SHARED, cpu, p->shared, 0)))
				break;
		}
		return n;
	case 2:
	case 3:
		for (n = 0; n < CHUNK && p->file_read < s->file; n++, p->file_read++) {
			if (!load(p, FILE_BASE + p->file_read * PAGE,
				  word_of(FILE_READ, cpu, p->file_read, 0), "a file"))
				break;
			if (p->file_read % 2)
				p->written[p->file_read] =
					store(p, FILE_BASE + p->file_read * PAGE,
					      word_of(FILE_WRITTEN, cpu, p->file_read, 0));
		}
		return n;
	default:
		for (n = 0; n < CHUNK && p->anon < s->anon; n++, p->anon++) {
			if (!store(p, ANON_BASE + p->anon * PAGE, word_of(ANON, cpu, p->anon, 0)))
				break;
		}
		return n;
	}
}

static void check_process(struct proc *p, unsigned cpu)
{
	const struct size *s = world.size;
	uint32_t i, k;

	for (i = 0; i < p->anon; i++)
		if (!load(p, ANON_BASE + i * PAGE, word_of_parent(p, cpu, i), "anonymous memory"))
			fail("anonymous memory is gone");
	for (i = 0; i < p->file_read; i++)
		if (!load(p, FILE_BASE + i * PAGE,
			  word_of(p->written[i] ? FILE_WRITTEN : FILE_READ, cpu, i, 0), "a file"))
			fail("a file's page is gone");
	/* The others' parts too; entries for these may need a table, which is kernel memory. */
	for (k = 0; k < CPUS; k++) {
		for (i = 0; i < world.proc[k].shared; i++)
			(void)must(load(p, SHARED_BASE + (k * s->shared + i) * PAGE,
					word_of(SHARED, k, i, 0), "shared memory"),
				   "a table");
	}
	if (!p->child)
		return;
	machine_switch(world.m, &p->child->pt);
	for (i = 0; i < s->copied; i++)
		if (!load(p, ANON_BASE + i * PAGE, word_of_child(p, cpu, i), "the child's memory"))
			fail("the child's memory is gone");
	machine_switch(world.m, &p->mm->pt);
}

static void end_process(struct proc *p)
{
	unsigned i;

	for (i = 0; i < AREAS; i++) {
		if (p->area[i].at)
			free_area(&p->area[i]);
	}
	for (i = 0; i < DRIVER_PAGES; i++) {
		uint64_t *at = quire_kmap_local(world.q, p->page[i]);

		expect(at, 1, p->page_word[i], "a driver's page");
		quire_kunmap_local(world.q, at);
		quire_page_free(world.q, p->page[i], 0);
	}
	machine_switch(world.m, NULL);
	if (p->child)
		quire_mmput(p->child);
	quire_mmput(p->mm);
}

/* ---- Between rounds, when everybody waits ------------------------------------------------- */

/* A user's page below high memory is one that the kernel can't have. */
static uint64_t count_user_pages(enum quire_zone_id z)
{
	struct quire_zone *zone = quire_node_zone(world.q, 0, z);
	uint64_t pages = 0, i;

	for (i = 0; i < zone->spanned_pages; i++) {
		struct quire_page *page = quire_pfn_to_page(world.q, zone->start_pfn + i);
		enum quire_page_kind kind = page ? quire_page_kind(page) : QUIRE_PAGE_FREE;

		pages += kind == QUIRE_PAGE_ANON || kind == QUIRE_PAGE_CACHE;
	}
	return pages;
}

/*
 * Users never have what is kept from those who may take high memory. That much is there for the kernel, which may go below:
 * the reserve is not kept from it.
 */
static void look_at_low_memory(void)
{
	enum quire_zone_id z;

	for (z = QUIRE_ZONE_DMA; z <= QUIRE_ZONE_NORMAL; z++) {
		struct quire_zone *zone = quire_node_zone(world.q, 0, z);
		const uint64_t user = count_user_pages(z),
			       kept = zone->lowmem_reserve[QUIRE_ZONE_HIGHMEM] +
				      zone->wmark[QUIRE_WMARK_MIN];
		/* A list of a CPU's is filled down to the mark, and no further. */
		const uint64_t most = zone->managed_pages > kept ? zone->managed_pages - kept : 0;

		if (!zone->managed_pages)
			continue;
		if (user > most)
			fail("users have %llu pages of %s, of which %llu of %llu are kept",
			     (unsigned long long)user, zone->name, (unsigned long long)kept,
			     (unsigned long long)zone->managed_pages);
		if (!world.mistakes && zone->free_pages <= zone->wmark[QUIRE_WMARK_MIN])
			fail("%s is exhausted: %llu pages are free", zone->name,
			     (unsigned long long)zone->free_pages);
		if (z == QUIRE_ZONE_NORMAL && user > world.most_user_low)
			world.most_user_low = user;
		if (z == QUIRE_ZONE_NORMAL && zone->free_pages < world.least_low_free)
			world.least_low_free = zone->free_pages;
	}
}

static uint64_t user_pages(void)
{
	return quire_stat_read(world.q, QUIRE_STAT_ANON_MAPPED) +
	       quire_stat_read(world.q, QUIRE_STAT_FILE_PAGES);
}

static void look(void)
{
	unsigned cpu;
	bool all = true, any = false;

	world.rounds++;
	world.filled = user_pages();
	look_at_low_memory();
	for (cpu = 0; cpu < CPUS; cpu++) {
		all &= world.proc[cpu].full;
		any |= world.proc[cpu].refused != 0;
	}
	world.refused = any;
	quire_store(&world.full,
		    any || quire_node_zone(world.q, 0, QUIRE_ZONE_HIGHMEM)->free_pages < 4096);
	world.stop = all;
	world.packed += machine_pack(world.m);
}

/* Nobody works between the two. */
static void meet(unsigned cpu, void (*fn)(void))
{
	pthread_barrier_wait(&world.barrier);
	if (cpu == 0 && fn)
		fn();
	pthread_barrier_wait(&world.barrier);
}

static void look_only(void)
{
	look_at_low_memory();
	(void)machine_pack(world.m);
}

static void work(struct machine *m, unsigned cpu, void *arg)
{
	struct proc *p = &world.proc[cpu];
	uint32_t pages;
	unsigned i;

	(void)arg;
	machine_switch(m, &p->mm->pt);
	while (!world.stop) {
		for (pages = 0; pages < world.size->round && !p->full; pages += CHUNK) {
			const uint32_t before = p->refused;

			(void)take_more(p, cpu);
			p->full = p->refused > before && p->refused >= 3;
			p->full |= p->anon == world.size->anon && p->file_read == world.size->file;
			drive(p, cpu);
		}
		drive(p, cpu);
		meet(cpu, look);
	}
	for (i = 0; i < 2000; i++)
		drive(p, cpu);
	meet(cpu, look_only);
	check_process(p, cpu);
	meet(cpu, look_only);
	end_process(p);
}

/* ---- The whole --------------------------------------------------------------------------- */

struct level {
	uint64_t free, kernel_tables, user_tables, areas, vmalloc_pages, objects;
};

/* What is in use, of everything, when nothing is put off. */
static struct level measure(void)
{
	struct quire *q = world.q;
	struct level l = {0};
	struct quire_list *pos, *tmp;
	unsigned i;

	quire_vmalloc_poll(q);
	quire_vm_unmap_aliases(q);
	/* Areas, then the objects that they were the last to hold, then these objects' trees. */
	for (i = 0; i < 3; i++)
		quire_grace_wait(q);
	(void)quire_slab_shrink_quiet(q);
	quire_page_drain(q);
	for (i = 0; i < QUIRE_MAX_LEVELS; i++)
		l.kernel_tables += q->kva.pt.tables[i];
	/* The kernel's stay: a table of the vmalloc area is there for the next. */
	l.user_tables = quire_stat_read(q, QUIRE_STAT_PAGETABLE) - l.kernel_tables;
	l.areas = q->vmalloc.nr_areas;
	l.vmalloc_pages = q->vmalloc.nr_pages;
	l.free = quire_free_pages(q);
	quire_list_for_each (pos, tmp, &q->slabs.caches) {
		struct quire_cache_stat stat;

		quire_cache_stat(q, quire_list_entry(pos, struct quire_cache, link), &stat);
		l.objects += stat.active_objects;
	}
	return l;
}

static void same(const char *what, uint64_t now, uint64_t before)
{
	if (now != before)
		fail("%s: %llu, and %llu before", what, (unsigned long long)now,
		     (unsigned long long)before);
}

static void build(void)
{
	const struct size *s = world.size;
	const struct quire_range map[] = {
		{PAGE, 640 << 10, QUIRE_RANGE_USABLE, 0},
		{640 << 10, MIB, QUIRE_RANGE_RESERVED, 0},
		{MIB, s->middle, QUIRE_RANGE_USABLE, 0},
		{s->high_start, s->high_end, QUIRE_RANGE_USABLE, 0},
	};
	const struct machine_config config = {
		.ram_bytes = s->high_end +
			     CPUS * DEVICE_PAGES *
				     PAGE, /* the last bytes are the device above all memory */
		.map = map,
		.nr_ranges = QUIRE_ARRAY_SIZE(map),
		.high_memory = s->low,
		.window = true,
		.nr_cpus = CPUS,
		.fmt = &quire_pgfmt_pae,
	};
	int err = machine_create(&config, &world.m);

	if (err)
		fail("the machine does not come up: %d", err);
	world.q = machine_quire(world.m);
	world.device[0] = 0xd0000000;
	world.device[1] = s->high_end;
	world.least_low_free = UINT64_MAX;
	if (world.mistakes) {
		struct quire_page_sysctl sysctl = world.q->pages.sysctl;

		memset(sysctl.lowmem_reserve_ratio, 0, sizeof(sysctl.lowmem_reserve_ratio));
		if (quire_page_set_sysctl(world.q, &sysctl))
			fail("sysctl");
	}
}

static void check_all(void)
{
	quire_broken_t broken = quire_page_check(world.q);

	if (!broken)
		broken = quire_slab_check(world.q);
	if (!broken)
		broken = quire_vmalloc_check(world.q);
	if (!broken)
		broken = quire_highmem_check(world.q);
	if (!broken)
		broken = quire_kva_check(world.q);
	if (!broken)
		broken = machine_check(world.m);
	if (broken)
		fail("%s", broken);
}

static void tell(void)
{
	uint64_t v = 0, r = 0, d = 0, k = 0, kernel = 0;
	unsigned cpu;

	for (cpu = 0; cpu < CPUS; cpu++) {
		v += world.proc[cpu].vmallocs;
		r += world.proc[cpu].refused_vmallocs;
		d += world.proc[cpu].ioremaps;
		k += world.proc[cpu].kmaps;
		kernel += world.proc[cpu].kernel_pages;
	}
	printf("high-fill: %s: %llu pages of users in %u rounds, %llu of them of Normal, of which %llu were left; %llu vmallocs (%llu "
	       "refused), %llu ioremaps, %llu kmaps, %llu kernel pages, %u failures of these\n",
	       world.size->name, (unsigned long long)world.filled, world.rounds,
	       (unsigned long long)world.most_user_low, (unsigned long long)world.least_low_free,
	       (unsigned long long)v, (unsigned long long)r, (unsigned long long)d,
	       (unsigned long long)k, (unsigned long long)kernel, world.starved);
}

static void run_world(void)
{
	struct level before, after;
	unsigned cpu;

	build();
	before = measure();
	if (quire_shmem_file(world.q, CPUS * world.size->shared * PAGE, &world.shared))
		fail("no shared memory");
	for (cpu = 0; cpu < CPUS; cpu++)
		start_process(cpu);
	if (pthread_barrier_init(&world.barrier, NULL, CPUS))
		fail("pthread_barrier_init");
	machine_run_cpus(world.m, CPUS, work, NULL);
	for (cpu = 0; cpu < CPUS; cpu++) {
		quire_file_put(world.q, &world.proc[cpu].file.file);
		quire_object_put(&world.proc[cpu].file.object);
		free(world.proc[cpu].written);
		free(world.proc[cpu].parents);
		free(world.proc[cpu].childs);
	}
	quire_file_put(world.q, world.shared);
	after = measure();
	check_all();
	same("areas", after.areas, before.areas);
	same("pages of vmalloc", after.vmalloc_pages, before.vmalloc_pages);
	same("tables of processes", after.user_tables, before.user_tables);
	same("objects of caches", after.objects, before.objects);
	same("free pages and the kernel's tables", after.free + after.kernel_tables,
	     before.free + before.kernel_tables);
	if (machine_destroy(world.m))
		fail("the machine has reports");
}

int main(int argc, char **argv)
{
	int i;

	world.size = &sizes[QUIRE_DEBUG ? 1 : 0];
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--full") == 0)
			world.size = &sizes[0];
		else if (strcmp(argv[i], "--small") == 0)
			world.size = &sizes[1];
		else if (strcmp(argv[i], "--mistakes") == 0)
			world.mistakes = true;
		else
			fail("--full, --small, --mistakes");
	}
	run_world();
	tell();
	if (!world.refused)
		fail("there was memory for all that was asked for");
	if (world.mistakes && !world.starved)
		fail("without a reserve the kernel had all that it wanted");
	return 0;
}

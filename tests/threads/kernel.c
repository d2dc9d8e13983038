/* SPDX-License-Identifier: MIT */
/*
 * threads-kernel: all CPUs of a machine with a window take, use and give back kernel addresses at once: vmalloc, vmap, vm_map_ram,
 * ioremap, kmaps of all kinds, areas filled by hand, and memory that processes map; areas are freed by other CPUs than took
 * them and by interrupt handlers; spaces that learn of the kernel's tables by fault come and go.
 *
 * What is mapped is stamped page by page and looked at before it is given back. The window has nothing where the
 * kernel's tables have nothing, and keeps what they had until the flush; frames that are freed before it are reported.
 *
 *	round    a machine of 2 to 4 CPUs and a format, by its seed
 *	phase    each CPU does its steps; then all wait, and CPU 0 checks everything
 *	end      all is given back, and nothing may be left
 *
 *	threads-kernel --seconds S    seeds from 1 on
 *	threads-kernel --seed N       that round alone
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <machine.h>

#define PAGE 4096ull
#define USER_AT 0x10000000ull
#define CPUS 4u
#define ITEMS 12u /* that a CPU holds */
#define SHARED 8u /* that nobody does, for whoever comes by */
#define POOL 48u  /* pages of a CPU's own, for vmap and kmaps */
#define PHASES 4u
#define STEPS 250u

enum kind { MEMORY, USER_MEMORY, MAPPED, RAM_MAPPED, DEVICE, AREA, NR_KINDS };

/* Something that lives; whoever has it may do with it what he likes. */
struct item {
	enum kind kind;
	char *ptr;
	uint64_t nr;		    /* pages */
	uint64_t stamp;		    /* stands at both ends of each page; 0: nothing does */
	struct quire_page *page[8]; /* MAPPED, RAM_MAPPED, AREA: the item's own */
	struct quire_vm_struct *area;
};

struct cpu {
	unsigned n;
	uint64_t random, stamps, steps, faults;
	struct item *item[ITEMS];
	struct quire_page *pool[POOL];
	unsigned nr_pool;
	struct quire_mm *mm[2];
	struct quire_file file;
	struct item *mapping; /* what file's mmap() maps */
	const char *doing;
};

static struct machine *m;
static struct quire *q;
static struct cpu cpus[CPUS];
static unsigned nr_cpus;
static struct item *shared[SHARED];
static uint64_t seed;

static _Noreturn void fail(const struct cpu *cpu, const char *what, uint64_t value)
{
	fprintf(stderr, "threads-kernel: seed %llu, CPU %u, %s: %s, %#llx\n",
		(unsigned long long)seed, cpu->n, cpu->doing, what, (unsigned long long)value);
	_exit(1);
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "halt_on_error=1:second_deadlock_stack=1";
}

static uint64_t below(struct cpu *cpu, uint64_t n)
{
	cpu->random ^= cpu->random << 13;
	cpu->random ^= cpu->random >> 7;
	cpu->random ^= cpu->random << 17;
	return cpu->random % n;
}

/* ---- Contents ---------------------------------------------------------------------------- */

static uint64_t word_of(const struct item *item, uint64_t page, bool last)
{
	return item->stamp * 1000003 + page * 2 + last;
}

/* The page at ptr; what is there otherwise, if not what should be. */
static void stamp_page(const struct item *item, uint64_t page, char *ptr)
{
	uint64_t first = word_of(item, page, false), last = word_of(item, page, true);

	memcpy(ptr, &first, 8);
	memcpy(ptr + PAGE - 8, &last, 8);
}

static void check_page(struct cpu *cpu, const struct item *item, uint64_t page, const char *ptr)
{
	uint64_t first, last;

	memcpy(&first, ptr, 8);
	memcpy(&last, ptr + PAGE - 8, 8);
	if (first != word_of(item, page, false))
		fail(cpu, "a page does not begin as it should", first);
	if (last != word_of(item, page, true))
		fail(cpu, "a page does not end as it should", last);
}

static void stamp(struct cpu *cpu, struct item *item)
{
	item->stamp = ++cpu->stamps * CPUS + cpu->n;
	for (uint64_t i = 0; i < item->nr; i++)
		stamp_page(item, i, item->ptr + i * PAGE);
}

static void check(struct cpu *cpu, const struct item *item)
{
	char byte;

	for (uint64_t i = 0; item->stamp && i < item->nr; i++)
		check_page(cpu, item, i, item->ptr + i * PAGE);
	/* Its guard. */
	if ((item->kind == MEMORY || item->kind == MAPPED) &&
	    machine_probe_read(m, item->ptr + item->nr * PAGE, &byte, 1) != -QUIRE_EFAULT)
		fail(cpu, "a guard page can be read", (uintptr_t)item->ptr);
}

/* ---- Taking ------------------------------------------------------------------------------ */

/* nr pages out of the pool. A page that was mapped lately stays in pools until the end: some TLB may have it. */
static bool take_pages(struct cpu *cpu, struct quire_page **page, uint64_t nr)
{
	while (cpu->nr_pool < nr) {
		struct quire_page *more =
			quire_page_alloc(q, QUIRE_GFP_HIGHUSER | QUIRE_GFP_NOWARN, 0);

		if (!more)
			return false;
		cpu->pool[cpu->nr_pool++] = more;
	}
	for (uint64_t i = 0; i < nr; i++)
		page[i] = cpu->pool[--cpu->nr_pool];
	return true;
}

static void put_page(struct cpu *cpu, struct quire_page *page)
{
	if (cpu->nr_pool < POOL) {
		cpu->pool[cpu->nr_pool++] = page;
		return;
	}
	quire_vm_unmap_aliases(q);
	quire_page_free(q, page, 0);
}

static bool take_memory(struct cpu *cpu, struct item *item)
{
	/* Rarely so much that the array of its pages is an area too, or that it has large leaves. */
	item->nr = below(cpu, 40) ? 1 + below(cpu, 9) : 500 + below(cpu, 40);
	switch (below(cpu, 4)) {
	case 0:
		item->ptr = quire_vzalloc(q, item->nr * PAGE);
		break;
	case 1:
		item->ptr = quire_vmalloc_32(q, item->nr * PAGE);
		break;
	default:
		item->ptr = quire_vmalloc(q, item->nr * PAGE);
		break;
	}
	return item->ptr != NULL;
}

static bool take_mapped(struct cpu *cpu, struct item *item)
{
	item->nr = 1 + below(cpu, 8);
	if (!take_pages(cpu, item->page, item->nr)) {
		item->nr = 0;
		return false;
	}
	if (item->kind == MAPPED) {
		item->ptr =
			quire_vmap(q, item->page, item->nr, 0, QUIRE_PTE_READ | QUIRE_PTE_WRITE);
	} else if (item->kind == RAM_MAPPED) {
		item->ptr = quire_vm_map_ram(q, item->page, item->nr);
	} else {
		item->area = quire_get_vm_area(q, item->nr * PAGE, QUIRE_VM_MAP);
		if (item->area && quire_map_vm_area(q, item->area, QUIRE_PTE_READ | QUIRE_PTE_WRITE,
						    item->page, item->nr)) {
			quire_free_vm_area(q, item->area);
			item->area = NULL;
		}
		if (item->area)
			item->ptr = quire_kaddr_to_ptr(q, item->area->addr);
	}
	if (item->ptr)
		return true;
	while (item->nr)
		put_page(cpu, item->page[--item->nr]);
	return false;
}

static bool take(struct cpu *cpu, struct item *item)
{
	item->kind = (enum kind)below(cpu, NR_KINDS);
	cpu->doing = "take";
	switch (item->kind) {
	case MEMORY:
		return take_memory(cpu, item);
	case USER_MEMORY:
		item->nr = 1 + below(cpu, 8);
		item->ptr = quire_vmalloc_user(q, item->nr * PAGE);
		return item->ptr != NULL;
	case DEVICE:
		item->nr = 1 + below(cpu, 20);
		item->ptr = quire_ioremap(q, 0xe0000000 + below(cpu, 4096) * 8, item->nr * PAGE);
		return item->ptr != NULL;
	default:
		return take_mapped(cpu, item);
	}
}

static void take_item(struct cpu *cpu, struct item **slot)
{
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		abort();
	if (!take(cpu, item)) {
		free(item);
		return;
	}
	if (item->kind != DEVICE)
		stamp(cpu, item);
	*slot = item;
}

/* ---- Giving back ------------------------------------------------------------------------- */

static void free_in_interrupt(struct machine *machine, void *arg)
{
	quire_vfree(machine_quire(machine), arg);
}

static void give_item(struct cpu *cpu, struct item *item)
{
	cpu->doing = "give back";
	check(cpu, item);
	switch (item->kind) {
	case MEMORY:
	case USER_MEMORY:
		if (below(cpu, 4) == 0)
			machine_interrupt(m, free_in_interrupt, item->ptr);
		else if (below(cpu, 4) == 0)
			quire_vfree_atomic(q, item->ptr);
		else
			quire_vfree(q, item->ptr);
		item->nr = 0;
		break;
	case MAPPED:
		quire_vunmap(q, item->ptr);
		break;
	case RAM_MAPPED:
		quire_vm_unmap_ram(q, item->ptr, item->nr);
		break;
	case AREA:
		if (below(cpu, 2))
			quire_unmap_vm_area(q, item->area);
		quire_free_vm_area(q, item->area);
		break;
	default:
		quire_iounmap(q, item->ptr);
		item->nr = 0;
		break;
	}
	while (item->nr)
		put_page(cpu, item->page[--item->nr]);
	free(item);
}

/* ---- Using ------------------------------------------------------------------------------- */

static void kmap_in_interrupt(struct machine *machine, void *arg)
{
	struct quire_page *page = arg;
	uint64_t *at = quire_kmap_local(machine_quire(machine), page);

	at[3]++;
	quire_kunmap_local(machine_quire(machine), at);
}

/* By whatever way, a page of the pool has the same bytes. */
static void use_kmaps(struct cpu *cpu)
{
	struct item item = {.nr = 1, .stamp = ++cpu->stamps * CPUS + cpu->n};
	struct quire_page *page[2];
	char *at, *other;

	cpu->doing = "kmap";
	if (!take_pages(cpu, page, 2))
		return;
	at = quire_kmap(q, page[0]);
	stamp_page(&item, 0, at);
	other = quire_kmap_local(q, page[1]);
	stamp_page(&item, 1, other);
	machine_interrupt(m, kmap_in_interrupt, page[0]);
	check_page(cpu, &item, 1, other);
	quire_kunmap_local(q, other);
	other = quire_kmap_atomic(q, page[0], QUIRE_KM_USER0);
	check_page(cpu, &item, 0, other);
	quire_kunmap_atomic(q, other, QUIRE_KM_USER0);
	if (below(cpu, 2))
		quire_kunmap(q, page[0]);
	check_page(cpu, &item, 1, quire_kmap(q, page[1]));
	quire_kunmap(q, page[1]);
	if (quire_kmap_users(q, page[0]))
		quire_kunmap(q, page[0]);
	else if (!quire_page_is_high(page[0]))
		check_page(cpu, &item, 0, quire_page_address(q, page[0]));
	put_page(cpu, page[0]);
	put_page(cpu, page[1]);
}

static void look_at(struct cpu *cpu, const struct item *item)
{
	struct quire_vm_struct copy;
	quire_kaddr_t addr = 0;
	char *buffer;

	cpu->doing = "look";
	check(cpu, item);
	if (item->kind == DEVICE || item->kind == RAM_MAPPED)
		return;
	for (uint64_t i = 0; i < item->nr; i += 1 + item->nr / 8) {
		const struct quire_page *page = quire_vmalloc_to_page(q, item->ptr + i * PAGE);

		if (!page ||
		    (item->kind != MEMORY && item->kind != USER_MEMORY && page != item->page[i]))
			fail(cpu, "not the page that is behind it", i);
	}
	if (item->nr < 16) {
		buffer = malloc(item->nr * PAGE);
		if (!buffer ||
		    quire_vread(q, buffer, item->ptr, item->nr * PAGE) != item->nr * PAGE)
			fail(cpu, "vread", item->nr);
		for (uint64_t i = 0; i < item->nr; i++)
			check_page(cpu, item, i, buffer + i * PAGE);
		free(buffer);
	}
	/* As vmallocinfo does, while others work. */
	while (quire_next_vm_area(q, addr, &copy)) {
		if (copy.addr + copy.size <= addr ||
		    copy.addr + copy.size > q->kva.layout.vmalloc_end)
			fail(cpu, "an area that is not behind the one before", copy.addr);
		addr = copy.addr + copy.size;
	}
}

static int device_mmap(struct quire_file *file, struct quire_vma *vma)
{
	const struct cpu *cpu = quire_container_of(file, struct cpu, file);

	return quire_remap_vmalloc_range(vma, cpu->mapping->ptr, vma->pgoff);
}

/* A process maps it, and sees what the kernel sees; so does its child, for a while. */
static void map_for_user(struct cpu *cpu, struct item *item)
{
	struct quire_mm *mm = cpu->mm[below(cpu, 2)], *child = NULL;
	uint64_t page = below(cpu, item->nr), word = 0;
	int64_t at;

	cpu->doing = "remap_vmalloc_range";
	cpu->mapping = item;
	at = quire_mmap(mm, USER_AT, item->nr * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			QUIRE_MAP_SHARED | QUIRE_MAP_FIXED, &cpu->file, 0);
	if (at == -QUIRE_ENOMEM)
		return;
	if (at != (int64_t)USER_AT)
		fail(cpu, "mmap", (uint64_t)at);
	machine_switch(m, &mm->pt);
	if (machine_load(m, USER_AT + page * PAGE, &word, 8, NULL) ||
	    word != word_of(item, page, false))
		fail(cpu, "a process sees something else", word);
	word = cpu->stamps;
	if (machine_store(m, USER_AT + page * PAGE + 64, &word, 8, NULL) ||
	    memcmp(item->ptr + page * PAGE + 64, &word, 8) != 0)
		fail(cpu, "a process stores elsewhere", word);
	if (below(cpu, 4) == 0 && !quire_fork(mm, &child)) {
		machine_switch(m, &child->pt);
		if (machine_load(m, USER_AT + page * PAGE + 64, &word, 8, NULL) ||
		    word != cpu->stamps)
			fail(cpu, "a child sees something else", word);
	}
	check(cpu, item);
	machine_switch(m, below(cpu, 2) ? &mm->pt : NULL);
	if (child)
		quire_mmput(child);
	/* Without memory for the cut it stays, until another takes its place. */
	(void)quire_munmap(mm, USER_AT, item->nr * PAGE);
}

/* A space that comes later has the kernel's tables from its beginning; another learns of them as it goes. */
static void change_space(struct cpu *cpu)
{
	struct quire_mm **mm = &cpu->mm[below(cpu, 2)], *fresh;

	cpu->doing = "change space";
	if (below(cpu, 8) == 0 && !quire_mm_create(q, NULL, &fresh)) {
		machine_switch(m, NULL);
		quire_mmput(*mm);
		*mm = fresh;
	}
	machine_switch(m, below(cpu, 3) ? &(*mm)->pt : NULL);
}

static void step(struct cpu *cpu)
{
	struct item **slot = &cpu->item[below(cpu, ITEMS)];

	cpu->steps++;
	switch (below(cpu, 16)) {
	case 0:
		use_kmaps(cpu);
		return;
	case 1:
		change_space(cpu);
		return;
	case 2:
		if (below(cpu, 4) == 0)
			quire_vm_unmap_aliases(q);
		else
			quire_vmalloc_poll(q);
		return;
	case 3:
	case 4:
		/* For another CPU, or from one. */
		*slot = __atomic_exchange_n(&shared[below(cpu, SHARED)], *slot, __ATOMIC_ACQ_REL);
		return;
	case 5:
	case 6:
		if (*slot)
			look_at(cpu, *slot);
		return;
	case 7:
		if (*slot && (*slot)->kind == USER_MEMORY)
			map_for_user(cpu, *slot);
		return;
	default:
		if (!*slot) {
			take_item(cpu, slot);
		} else {
			give_item(cpu, *slot);
			*slot = NULL;
		}
	}
}

/* ---- Rounds ------------------------------------------------------------------------------ */

static void steps(struct machine *machine, unsigned n, void *arg)
{
	(void)machine;
	(void)arg;
	for (unsigned i = 0; i < STEPS; i++)
		step(&cpus[n]);
	machine_switch(m, NULL);
}

static void check_all(void)
{
	struct cpu *cpu = &cpus[0];
	quire_broken_t broken = quire_vmalloc_check(q);

	cpu->doing = "check";
	if (!broken)
		broken = quire_kva_check(q);
	if (!broken)
		broken = quire_highmem_check(q);
	if (!broken)
		broken = quire_page_check(q);
	if (!broken)
		broken = machine_check(m);
	for (unsigned i = 0; i < nr_cpus; i++) {
		for (unsigned k = 0; k < 2 && !broken; k++)
			broken = quire_mm_check(cpus[i].mm[k]);
	}
	if (broken)
		fail(cpu, broken, 0);
	if (machine_failed(m))
		fail(cpu, "the machine reported something", 0);
}

static void begin(void)
{
	static const struct quire_pgfmt *const formats[] = {&quire_pgfmt_i386, &quire_pgfmt_pae,
							    &quire_pgfmt_x86_64, &quire_pgfmt_sv39};
	struct machine_config config = {.ram_bytes = seed % 3 ? 64u << 20 : 22u << 20,
					.window = true,
					.fmt = formats[seed % QUIRE_ARRAY_SIZE(formats)]};

	nr_cpus = 2 + (unsigned)(seed % 3);
	config.nr_cpus = nr_cpus;
	config.high_memory = config.fmt->va_bits == 32 ? 16u << 20 : 0;
	memset(cpus, 0, sizeof(cpus));
	memset(shared, 0, sizeof(shared));
	if (machine_create(&config, &m))
		abort();
	q = machine_quire(m);
	if (seed % 5 == 0)
		q->vmalloc.lazy_max_pages = 20;
	for (unsigned i = 0; i < CPUS; i++) {
		struct cpu *cpu = &cpus[i];

		cpu->n = i;
		cpu->doing = "begin";
		cpu->random = seed * 0x9e3779b97f4a7c15ull + i + 1;
		cpu->file = (struct quire_file){.refs = 1,
						.flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
						.mmap = device_mmap};
		for (unsigned k = 0; k < 2 && i < nr_cpus; k++) {
			if (quire_mm_create(q, NULL, &cpu->mm[k]))
				abort();
		}
	}
}

static void end(void)
{
	struct cpu *cpu = &cpus[0];

	for (unsigned i = 0; i < SHARED; i++) {
		if (shared[i])
			give_item(cpu, shared[i]);
	}
	for (unsigned i = 0; i < nr_cpus; i++) {
		for (unsigned k = 0; k < ITEMS; k++) {
			if (cpus[i].item[k])
				give_item(&cpus[i], cpus[i].item[k]);
		}
		quire_mmput(cpus[i].mm[0]);
		quire_mmput(cpus[i].mm[1]);
	}
	quire_vm_unmap_aliases(q);
	quire_grace_wait(q);
	if (q->vmalloc.root)
		fail(cpu, "an area is left", q->vmalloc.nr_areas);
	for (unsigned i = 0; i < nr_cpus; i++) {
		while (cpus[i].nr_pool)
			quire_page_free(q, cpus[i].pool[--cpus[i].nr_pool], 0);
		if (cpus[i].file.refs != 1)
			fail(cpu, "a file's reference is left", cpus[i].file.refs);
	}
	if (machine_destroy(m))
		fail(cpu, "something is left", 0);
}

static uint64_t total_steps, total_faults;

static void play(uint64_t this_seed)
{
	struct machine_stats stats;

	seed = this_seed;
	begin();
	for (unsigned phase = 0; phase < PHASES; phase++) {
		machine_run_cpus(m, nr_cpus, steps, NULL);
		check_all();
	}
	machine_stats(m, &stats);
	total_faults += stats.kernel_faults;
	for (unsigned i = 0; i < nr_cpus; i++)
		total_steps += cpus[i].steps;
	end();
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	const char *minutes = getenv("QUIRE_SOAK_MINUTES");
	double seconds = 10, began = now();
	uint64_t rounds = 0;

	if (argc == 3 && !strcmp(argv[1], "--seed")) {
		play(strtoull(argv[2], NULL, 0));
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "--seconds"))
		seconds = atof(argv[2]);
	if (minutes)
		seconds = atof(minutes) * 60;
	do
		play(++rounds);
	while (now() - began < seconds);
	printf("threads-kernel: %llu rounds, %llu steps, %llu faults on kernel addresses, nothing wrong\n",
	       (unsigned long long)rounds, (unsigned long long)total_steps,
	       (unsigned long long)total_faults);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Self-tests: what only the kernel can see of its real MMU. Accesses that are to fail go through user_copy(), which says so
 * where any other would panic.
 */
#include "core/selftest.h"

#include "core/kernel.h"
#include "core/thread.h"
#include "core/user.h"
#include "port/port.h"

#define RW (QUIRE_PTE_READ | QUIRE_PTE_WRITE)

extern const char image_start[], text_end[];

static void passed(const char *what)
{
	printk("selftest: %s\n", what);
}

/* ---- Accesses that may fault: user_copy() says whether they did -------------------------------- */

static bool can_read(const void *p)
{
	char byte;

	return user_copy(&byte, p, 1) == 0;
}

static bool can_write(void *p)
{
	char byte;

	return user_copy(&byte, p, 1) == 0 && user_copy(p, &byte, 1) == 0;
}

/* ---- The tests ------------------------------------------------------------------------------------ */

static void image_rights(void)
{
	void *alias = phys_to_ptr((uintptr_t)image_start - KERNEL_BASE);

	kernel_assert(can_read(image_start) && !can_write((void *)(uintptr_t)image_start));
	kernel_assert(can_read(text_end) &&
		      !can_write((void *)(uintptr_t)text_end)); /* where read-only data begins */
	kernel_assert(can_read(alias) && !can_write(alias));
	passed("text and read-only data cannot be written, by the direct map neither");
}

/* No leaf of the kernel's tables is both written and executed. */
static void write_xor_execute(void)
{
	quire_broken_t broken = quire_kva_check(Q);

	if (broken)
		panic("selftest: %s", broken);
	passed("the kernel's tables hold their equations; nothing is written and executed");
}

static void guard_pages(void)
{
	char *p = quire_vmalloc(Q, 3 * QUIRE_PAGE_SIZE), *stack = current()->stack;

	kernel_assert(p && can_write(p) && can_write(p + 3 * QUIRE_PAGE_SIZE - 1));
	kernel_assert(!can_read(p + 3 * QUIRE_PAGE_SIZE));
	kernel_assert(can_read(stack) && !can_read(stack - 1));
	quire_vfree(Q, p);
	quire_vm_unmap_aliases(Q);
	kernel_assert(!can_read(p));
	passed("guard pages behind vmalloc's areas and below stacks; nothing after vfree");
}

/* The same frame through two addresses: what one writes the other reads. */
static void aliases(void)
{
	struct quire_page *page = quire_page_alloc(Q, QUIRE_GFP_ZERO, 0), *pages[2] = {page, page};
	volatile uint32_t *direct, *mapped;

	kernel_assert(page);
	direct = quire_page_to_virt(Q, page);
	mapped = quire_vmap(Q, pages, 2, 0, RW);
	kernel_assert(mapped);
	mapped[1] = 0x1234;
	kernel_assert(direct[1] == 0x1234 && mapped[1025] == 0x1234);
	kernel_assert(quire_vmalloc_to_page(Q, (const void *)(uintptr_t)mapped) == page);
	quire_vunmap(Q, (const void *)(uintptr_t)mapped);
	quire_vm_unmap_aliases(Q);
	kernel_assert(!can_read((const void *)(uintptr_t)mapped));
	quire_page_free(Q, page, 0);
	passed("two addresses of one frame");
}

static void memory_rights(void)
{
	char *p = quire_vmalloc_exec(
		Q, 2 * QUIRE_PAGE_SIZE); /* which puts rights back when it is freed */
	quire_kaddr_t at = (uintptr_t)p;
	static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */

	kernel_assert(p && !quire_set_memory_ro(Q, at, 1));
	kernel_assert(can_read(p) && !can_write(p) && can_write(p + QUIRE_PAGE_SIZE));
	kernel_assert(!quire_set_memory_rw(Q, at, 1) && can_write(p));
	kernel_assert(!quire_set_memory_np(Q, at, 1) && !can_read(p));
	kernel_assert(!quire_set_memory_p(Q, at, 1) && can_write(p));
	memcpy(p, code, sizeof(code));
	kernel_assert(!quire_set_memory_rox(Q, at, 1));
	kernel_assert(((int (*)(void))(uintptr_t)p)() == 42);
	kernel_assert(!can_write(p));
	/* Formats that have a right to execute do not give it together with that to write. */
	if (Q->fmt->bit[2].grant | Q->fmt->bit[2].deny)
		kernel_assert(quire_set_memory_rw(Q, at, 1) == -EINVAL);
	quire_vfree(Q, p);
	passed("rights of kernel memory: read-only, absent, executed, never written and executed");
}

static bool entry_has(struct quire_mm *mm, int64_t addr, quire_ptebits_t bits)
{
	bool has;

	quire_grace_enter(Q);
	has = quire_pte_has(Q->fmt, quire_pgtable_peek(&mm->pt, (uint64_t)addr), bits);
	quire_grace_leave(Q);
	return has;
}

/* Marks that the processor makes in entries. */
static void marks(void)
{
	struct quire_mm *mm;
	struct quire_layout layout;
	int64_t addr;
	char byte;

	quire_layout_init(&layout, Q->fmt, false, false, 8 << 20, 0);
	kernel_assert(!quire_mm_create(Q, &layout, &mm));
	addr = quire_mmap(mm, 0, 4 * QUIRE_PAGE_SIZE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			  QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);
	kernel_assert(addr > 0);
	enter_space(mm);
	kernel_assert(!copy_from_user(&byte, (uint64_t)addr, 1) && byte == 0);
	kernel_assert(entry_has(mm, addr, QUIRE_PTE_SPECIAL | QUIRE_PTE_READ));
	byte = 7;
	kernel_assert(!copy_to_user((uint64_t)addr, &byte, 1));
	kernel_assert(entry_has(
		mm, addr, QUIRE_PTE_ACCESSED | QUIRE_PTE_DIRTY | QUIRE_PTE_WRITE | QUIRE_PTE_USER));
	kernel_assert(!entry_has(mm, addr, QUIRE_PTE_EXEC));
	kernel_assert(!quire_munmap(mm, (uint64_t)addr, QUIRE_PAGE_SIZE));
	kernel_assert(copy_from_user(&byte, (uint64_t)addr, 1) == -EFAULT);
	/* The kernel itself must not touch a program's memory but by checked copies. */
	leave_space();
	quire_mmput(mm);
	passed("a space's faults, marks and end, under a kernel thread");
}

/* ---- Shoot-downs: every processor looks at a page while one takes it away ------------------------- */

static volatile uint32_t *shot;
static uint32_t lookers, seen_gone, stop_looking;

static void look(void *arg)
{
	(void)quire_fetch_add(&lookers, 1u);
	while (!quire_load(&stop_looking)) {
		if (!can_read((const void *)(uintptr_t)shot)) {
			(void)quire_fetch_add(&seen_gone, 1u);
			break;
		}
	}
	(void)quire_fetch_sub(&lookers, 1u);
	thread_exit();
}

static void shoot_downs(void)
{
	uint64_t before = 0, after = 0;
	unsigned i;

	for (i = 0; i < nr_cpus; i++)
		before += quire_load(&cpus[i].flushes);
	shot = quire_vzalloc(Q, QUIRE_PAGE_SIZE);
	kernel_assert(shot);
	for (i = 1; i < nr_cpus; i++) {
		struct thread *t = thread_create(look, NULL);

		kernel_assert(t);
		t->affinity = UINT64_C(1) << i;
		thread_start(t);
	}
	current()->affinity = 1;
	schedule();
	while (quire_load(&lookers) < nr_cpus - 1)
		schedule();
	kernel_assert(!quire_set_memory_np(Q, (uintptr_t)shot, 1));
	/* It has returned: nobody can see the page any more. */
	while (quire_load(&lookers))
		schedule();
	kernel_assert(quire_load(&seen_gone) == nr_cpus - 1);
	for (i = 0; i < nr_cpus; i++)
		after += quire_load(&cpus[i].flushes);
	kernel_assert(after - before >= nr_cpus - 1);
	kernel_assert(!quire_set_memory_p(Q, (uintptr_t)shot, 1));
	quire_vfree(Q, (const void *)(uintptr_t)shot);
	current()->affinity = ~UINT64_C(0);
	passed("a page taken away is gone from every processor");
}

static void large_leaves(void)
{
	struct quire_page *block = quire_page_alloc(Q, QUIRE_GFP_KERNEL, QUIRE_MAX_ORDER);
	unsigned level = 0;
	quire_kaddr_t at;

	kernel_assert(block);
	at = (uintptr_t)quire_page_to_virt(Q, block);
	quire_grace_enter(Q);
	kernel_assert(quire_pgtable_lookup(Q->kernel, at, &level));
	quire_grace_leave(Q);
	kernel_assert(level >= 1);
	/* A right that changes for one page splits the leaf, and the neighbours keep theirs. */
	kernel_assert(!quire_set_memory_ro(Q, at, 1) && !can_write((void *)(uintptr_t)at));
	kernel_assert(can_read((void *)(uintptr_t)(at + QUIRE_PAGE_SIZE)));
	kernel_assert(!quire_set_memory_rw(Q, at, 1));
	quire_grace_enter(Q);
	kernel_assert(quire_pgtable_lookup(Q->kernel, at, &level) && level == 0);
	quire_grace_leave(Q);
	quire_page_free(Q, block, QUIRE_MAX_ORDER);
	passed("the direct map has large leaves, and they are split");
}

#ifdef __i386__

/* What an operand of CMPXCHG8B leaves in the flags of an emulator must not come to be taken for IF, or kept. */
static void settled_flags(void)
{
	static uint64_t word __attribute__((aligned(8)));
	uint64_t none = 0;
	unsigned long bits = 0xf75cf000, flags;

	__asm__ volatile("pushf; popf; sub %3, %2; lock cmpxchg8b %0"
			 : "+m"(word), "+A"(none), "+r"(bits)
			 : "S"(bits), "b"(0), "c"(0)
			 : "memory", "cc");
	flags = irq_save();
	irq_restore(flags);
	kernel_assert((flags & FLAGS_IF) && !(flags & 0xffff7000));
	passed("flags after CMPXCHG8B");
}

/* From a MiB to the end: what a machine with so many frames would be, of which the low ones and the last are there. */
static int survey_up_to(struct quire *q, quire_paddr_t end)
{
	const struct quire_range map[] = {
		{UINT64_C(1) << 20, QUIRE_HIGH_MEMORY_3G, QUIRE_RANGE_USABLE, 0},
		{end - (UINT64_C(1) << 20), end, QUIRE_RANGE_USABLE, 0},
	};
	const struct quire_config config = {
		.map = map,
		.nr_ranges = QUIRE_ARRAY_SIZE(map),
		.zones = 1u << QUIRE_ZONE_NORMAL | 1u << QUIRE_ZONE_HIGHMEM,
		.high_memory = QUIRE_HIGH_MEMORY_3G,
	};

	memset(q, 0, sizeof(*q));
	q->nr_cpus = 1;
	return quire_page_survey(q, &config);
}

static int create_space(struct quire *q, uint64_t task_size)
{
	const struct quire_layout layout = {.task_size = task_size};
	struct quire_mm *mm;

	memset(q, 0, sizeof(*q));
	q->fmt = &quire_pgfmt_x86_64;
	return quire_mm_create(q, &layout, &mm);
}

/* Frames and pages of spaces are counted in machine words. What is more than a word counts is refused, and said to be. */
static void word_limits(void)
{
	struct quire *q = quire_vzalloc(Q, sizeof(*q));
	const uint64_t word = UINT64_C(1) << 32 << QUIRE_PAGE_SHIFT, first = UINT64_C(1) << 20;

	kernel_assert(q);
	kernel_assert(survey_up_to(q, word - first) == 0);
	kernel_assert(survey_up_to(q, word + first) == -QUIRE_EINVAL);
	kernel_assert(QUIRE_INDEX_END < quire_pgfmt_x86_64.user_end);
	kernel_assert(create_space(q, QUIRE_INDEX_END + QUIRE_PAGE_SIZE) == -QUIRE_EINVAL);
	quire_vfree(Q, q);
	passed("more pages than a word counts are refused");
}

#endif

/* A stack that has run over its end leaves none to say so on: the processor has to go to another. */
static unsigned long overflow(unsigned long depth)
{
	volatile char there[256];

	there[0] = (char)depth;
	return depth ? overflow(depth + 1) + (unsigned long)there[0] : 0;
}

void selftest(const char *what)
{
	if (!strcmp(what, "overflow"))
		(void)overflow(1);
	image_rights();
	write_xor_execute();
	large_leaves();
	guard_pages();
	aliases();
	memory_rights();
	marks();
	shoot_downs();
#ifdef __i386__
	settled_flags();
	word_limits();
#endif
	passed("all passed");
}

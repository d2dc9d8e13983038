/* SPDX-License-Identifier: MIT */
/*
 * The end: what the kernel says when it has found a bug of its own. Registers, the calls that led here with their names
 * (symbols.py puts them into the image), the other processors stopped, and a status for who started QEMU.
 */
#include "core/console.h"
#include "core/kernel.h"

#define PANIC_STATUS 0x7fu /* QEMU's status: 255 */

/* What symbols.py fills in: sorted by address, names one behind the other after the entries. */
struct symbol {
	uint32_t offset; /* of the address from the image's start */
	uint32_t name;	 /* of the name from the table's start */
};

struct symbol_table {
	uint32_t count;
	uint32_t unused;
	struct symbol symbol[];
};

__attribute__((section(".symbol_table"), used)) static const uint32_t room[SYMBOL_SPACE / 4] = {0};

/* The same by the linker's name, for the compiler believes that it knows what is in the room. */
extern const struct symbol_table symbol_table;
extern const char image_start[], text_end[];

static const char *symbol_name(uintptr_t addr, uintptr_t *offset)
{
	const struct symbol_table *table = &symbol_table;
	uintptr_t at = addr - (uintptr_t)image_start;
	uint32_t low = 0, high = table->count;

	if (addr < (uintptr_t)image_start || addr >= (uintptr_t)text_end || !high)
		return NULL;
	while (high - low > 1) {
		uint32_t middle = (low + high) / 2;

		if (table->symbol[middle].offset <= at)
			low = middle;
		else
			high = middle;
	}
	*offset = at - table->symbol[low].offset;
	return (const char *)table + table->symbol[low].name;
}

static void print_address(uintptr_t addr)
{
	uintptr_t offset = 0;
	const char *name = symbol_name(addr, &offset);

	printk("  %p %s+0x%lx\n", (void *)addr, name ? name : "?", (unsigned long)offset);
}

/* Frame pointers: each frame begins with the caller's and the address to return to. */
static void print_backtrace(uintptr_t frame)
{
	unsigned depth;

	for (depth = 0; depth < 24 && frame >= page_offset && frame % sizeof(long) == 0; depth++) {
		uintptr_t words[2];
		quire_paddr_t pa;

		/* Tables may be what is broken, so the stack is only read where they map it. */
		if (Q->kernel && !quire_kernel_translate(Q, frame, &pa) &&
		    (sizeof(long) == 4 || frame < KERNEL_BASE))
			break;
		memcpy(words, (const void *)frame, sizeof(words));
		if (!words[1])
			break;
		print_address(words[1]);
		if (words[0] <= frame)
			break;
		frame = words[0];
	}
}

static void print_regs(const struct regs *r)
{
	printk("vector %ld error %lx cr2 %lx cr3 %lx\n", r->vector, r->error, read_cr2(),
	       read_cr3());
	printk("ip %04lx:%016lx flags %08lx\n", r->cs, r->ip, r->flags);
	printk("sp %04lx:%016lx bp %016lx\n", r->ss, r->sp, r->bp);
#ifdef __x86_64__
	printk("ax %016lx bx %016lx cx %016lx dx %016lx\n", r->ax, r->bx, r->cx, r->dx);
	printk("si %016lx di %016lx r8 %016lx r9 %016lx\n", r->si, r->di, r->r8, r->r9);
	printk("10 %016lx 11 %016lx 12 %016lx 13 %016lx\n", r->r10, r->r11, r->r12, r->r13);
	printk("14 %016lx 15 %016lx\n", r->r14, r->r15);
#else
	printk("ax %08lx bx %08lx cx %08lx dx %08lx si %08lx di %08lx\n", r->ax, r->bx, r->cx,
	       r->dx, r->si, r->di);
#endif
}

static void die(const struct regs *regs, uintptr_t frame, const char *format,
		__builtin_va_list args)
{
	static uint32_t dying;
	char text[256];

	irq_disable();
	if (quire_exchange(&dying, 1u)) {
		for (;;)
			__asm__ volatile("hlt");
	}
	console_break_lock();
	smp_stop_others();
	kvsnprintf(text, sizeof(text), format, args);
	printk("\nkernel panic on CPU %u: %s\n", this_cpu()->number, text);
	if (regs) {
		print_regs(regs);
		if (!regs_are_user(regs)) {
			print_address(regs->ip);
			frame = regs->bp;
		}
	}
	print_backtrace(frame);
	debug_exit(PANIC_STATUS);
}

void panic(const char *format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, format);
	die(NULL, (uintptr_t)__builtin_frame_address(0), format, args);
	__builtin_unreachable();
}

void panic_regs(const struct regs *regs, const char *format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, format);
	die(regs, (uintptr_t)__builtin_frame_address(0), format, args);
	__builtin_unreachable();
}

/* SPDX-License-Identifier: MIT */
/*
 * What exceptions and interrupts lead to. Called by entry64.S with interrupts off; returns with interrupts off when the
 * interrupted code may go on. Page faults on user addresses are Quire's, whoever made the access; what it calls a bad access
 * is a signal for a program, an error for a checked copy (user_copy()), and a panic for all else.
 */
#include "core/console.h"
#include "core/kernel.h"
#include "core/thread.h"
#include "core/user.h"
#include "port/port.h"
#include "process/process.h"

void trap_dispatch(struct regs *regs);

/* Error code of a page fault; SDM vol. 3A, 4.7. */
#define PF_PRESENT 1u
#define PF_WRITE 2u
#define PF_USER 4u
#define PF_FETCH 16u

/* ---- Fix-ups: instructions that may fault on user addresses ------------------------------------ */

struct fixup {
	uintptr_t at, go_on;
};
extern const struct fixup fixup_table[], fixup_table_end[];

static bool fix_up(struct regs *regs)
{
	const struct fixup *f;

	for (f = fixup_table; f < fixup_table_end; f++) {
		if (f->at == regs->ip) {
			regs->ip = f->go_on;
			return true;
		}
	}
	return false;
}

static bool has_fixup(const struct regs *regs)
{
	struct regs copy = *regs;

	return fix_up(&copy);
}

/* ---- Page faults --------------------------------------------------------------------------------- */

static uint32_t access_of(unsigned long error)
{
	if (error & PF_WRITE)
		return QUIRE_ACCESS_WRITE;
	return error & PF_FETCH ? QUIRE_ACCESS_EXEC : QUIRE_ACCESS_READ;
}

static void kernel_address_fault(struct regs *regs, unsigned long addr)
{
	struct quire_pgtable *tables = this_cpu()->tables;

	/* A space's root may lack what was mapped for the kernel after its birth. */
	if (!(regs->error & PF_PRESENT) && tables && !quire_kernel_fault(tables, addr))
		return;
	if (fix_up(regs))
		return;
	panic_regs(regs, "the kernel cannot %s %p",
		   regs->error & PF_FETCH   ? "execute"
		   : regs->error & PF_WRITE ? "write"
					    : "read",
		   (void *)addr);
}

static void page_fault(struct regs *regs)
{
	unsigned long addr = read_cr2();
	struct thread *thread = current();
	struct quire_signal signal = {0};
	const bool user = regs_are_user(regs);
	int err;

	if (!user && addr >= USER_END) {
		kernel_address_fault(regs, addr);
		return;
	}
	if (!user && (!has_fixup(regs) || !thread->mm))
		panic_regs(regs, "the kernel touched user address %p by mistake", (void *)addr);
	if (user && addr >= USER_END) {
		signal_fault(regs, QUIRE_SIGSEGV, QUIRE_SEGV_MAPERR, addr);
		return;
	}
	/* A copy with preemption off may touch what is there, and no more. */
	if (!user && (this_cpu()->preempt || !(regs->flags & FLAGS_IF))) {
		fix_up(regs);
		return;
	}
	irq_enable();
	thread->fault_address = addr;
	err = quire_fault(thread->mm, addr, access_of(regs->error), &signal);
	if (err == -QUIRE_ENOMEM)
		err = out_of_memory(&signal);
	irq_disable();
	if (!err)
		return;
	if (!user) {
		fix_up(regs);
		return;
	}
	thread->trap_error = regs->error;
	signal_fault(regs, signal.signo, signal.code, signal.addr);
}

/* ---- Other exceptions ------------------------------------------------------------------------------ */

/* What a program gets for each; 0: none of its own making. */
static const struct {
	uint8_t signo;
	uint8_t code;
	bool at_ip; /* si_addr is the instruction */
	const char *name;
} exceptions[32] = {
	[0] = {SIGFPE, FPE_INTDIV, true, "divide error"},
	[1] = {SIGTRAP, TRAP_TRACE, true, "debug"},
	[3] = {SIGTRAP, SI_KERNEL, false, "breakpoint"},
	[4] = {SIGSEGV, SI_KERNEL, false, "overflow"},
	[5] = {SIGSEGV, SI_KERNEL, false, "bound range"},
	[6] = {SIGILL, ILL_ILLOPN, true, "invalid opcode"},
	[7] = {SIGSEGV, SI_KERNEL, false, "no FPU"},
	[8] = {0, 0, false, "double fault"},
	[10] = {SIGSEGV, SI_KERNEL, false, "invalid TSS"},
	[11] = {SIGBUS, SI_KERNEL, false, "segment not present"},
	[12] = {SIGBUS, SI_KERNEL, false, "stack segment"},
	[13] = {SIGSEGV, SI_KERNEL, false, "general protection"},
	[16] = {SIGFPE, FPE_FLTINV, true, "x87 exception"},
	[17] = {SIGBUS, BUS_ADRALN, false, "alignment check"},
	[19] = {SIGFPE, FPE_FLTINV, true, "SIMD exception"},
};

static void exception(struct regs *regs)
{
	unsigned v = (unsigned)regs->vector;
	const char *name = exceptions[v].name ? exceptions[v].name : "exception";

	if (v == 8)
		panic_regs(regs, "double fault at %p: the kernel's stack has run over, perhaps",
			   (void *)read_cr2());
	if (regs_are_user(regs) && exceptions[v].signo) {
		current()->trap_error = regs->error;
		signal_fault(regs, exceptions[v].signo, exceptions[v].code,
			     exceptions[v].at_ip ? regs->ip : 0);
		return;
	}
	if (!regs_are_user(regs) && fix_up(regs))
		return;
	panic_regs(regs, "%s in the kernel", name);
}

/* ---- Interrupts --------------------------------------------------------------------------------------- */

static void interrupt(struct regs *regs)
{
	struct cpu *cpu = this_cpu();

	cpu->interrupts++;
	switch (regs->vector) {
	case VECTOR_TIMER:
		apic_eoi();
		timer_tick(cpu, regs_are_user(regs));
		break;
	case VECTOR_RESCHED:
		apic_eoi();
		break; /* the word is set; what is done about it is done below */
	case VECTOR_FLUSH:
		apic_eoi();
		tlb_flush_interrupt();
		break;
	case VECTOR_STOP:
		irq_disable();
		for (;;)
			__asm__ volatile("hlt");
	case VECTOR_SPURIOUS:
		break;
	default:
		apic_eoi();
		if (regs->vector >= VECTOR_IRQ_FIRST && regs->vector < VECTOR_IRQ_FIRST + 16)
			console_interrupt((unsigned)regs->vector - VECTOR_IRQ_FIRST);
	}
	cpu->interrupts--;
	/* The kernel is preempted where nothing forbids it. */
	if (!regs_are_user(regs) && cpu->resched && !cpu->preempt && !cpu->interrupts)
		schedule();
}

/* A trap from there pushes four segments more; by itself the flag may be what SETTLE_FLAGS is about. */
static bool is_virtual_8086(const struct regs *regs)
{
	return sizeof(long) == 4 && (regs->flags & FLAGS_VM) &&
	       (uintptr_t)(regs + 1) + 4 * sizeof(long) == this_cpu()->kernel_stack;
}

void trap_dispatch(struct regs *regs)
{
	/* QEMU lets a program's IRET set VM, which a processor does in ring 0 alone. There is nothing to go back to. */
	if (is_virtual_8086(regs)) {
		if (regs->vector >= 32)
			interrupt(regs);
		irq_enable();
		process_exit_group(SIGSEGV);
	}
	if (regs->vector == 14)
		page_fault(regs);
	else if (regs->vector < 32)
		exception(regs);
	else
		interrupt(regs);
	if (regs_are_user(regs))
		return_to_user(regs);
}

/* SPDX-License-Identifier: MIT */
/* What a signal handler finds on its stack: Linux's rt_sigframe for x86-64, sigreturn(2). */
#include "core/user.h"
#include "process/process.h"

struct ucontext {
	unsigned long flags, link;
	unsigned long stack;
	int32_t stack_flags, padding;
	unsigned long stack_size;
	/* struct sigcontext */
	unsigned long r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip,
		rflags;
	uint16_t cs, gs, fs, ss;
	unsigned long err, trapno, oldmask, cr2, fpstate, reserved[8];
	uint64_t mask;
};

struct frame {
	unsigned long return_to;
	struct ucontext uc;
	struct siginfo info;
};

#define UC_SIGCONTEXT_SS 2
#define UC_STRICT_RESTORE_SS 4
#define RED_ZONE 128
#define SS_ONSTACK 1
#define SS_DISABLE 2

static bool on_altstack(const struct thread *t, unsigned long sp)
{
	return sp - t->altstack - 1 < t->altstack_size;
}

int sigframe_push(struct regs *regs, const struct sigaction *action, const struct siginfo *info,
		  uint64_t mask)
{
	struct thread *t = current();
	unsigned long sp = regs->sp - RED_ZONE, fpstate;
	struct frame f = {
		.return_to = action->restorer,
		.uc =
			{
				.flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
				.stack = t->altstack,
				.stack_size = t->altstack_size,
				.stack_flags = !t->altstack_size	  ? SS_DISABLE
					       : on_altstack(t, regs->sp) ? SS_ONSTACK
									  : 0,
				.cs = USER_CS,
				.ss = USER_DS,
				.err = t->trap_error,
				.trapno = t->trap_number,
				.cr2 = t->fault_address,
				.mask = mask,
			},
		.info = *info,
	};

	f.uc.r8 = regs->r8, f.uc.r9 = regs->r9, f.uc.r10 = regs->r10, f.uc.r11 = regs->r11;
	f.uc.r12 = regs->r12, f.uc.r13 = regs->r13, f.uc.r14 = regs->r14, f.uc.r15 = regs->r15;
	f.uc.di = regs->di, f.uc.si = regs->si, f.uc.bp = regs->bp, f.uc.bx = regs->bx;
	f.uc.dx = regs->dx, f.uc.ax = regs->ax, f.uc.cx = regs->cx, f.uc.sp = regs->sp;
	f.uc.ip = regs->ip, f.uc.rflags = regs->flags;
	if ((action->flags & SA_ONSTACK) && t->altstack_size && !on_altstack(t, regs->sp))
		sp = t->altstack + t->altstack_size;
	fpstate = (sp - sizeof(t->fpu)) & ~63ul;
	sp = ((fpstate - sizeof(f)) & ~15ul) - 8;
	/* A handler that outgrows its alternate stack has nothing to run on. */
	if (on_altstack(t, regs->sp) && (action->flags & SA_ONSTACK) && !on_altstack(t, sp))
		return -EFAULT;
	f.uc.fpstate = fpstate;
	thread_save_context(t);
	if (copy_to_user(fpstate, t->fpu, sizeof(t->fpu)) || copy_to_user(sp, &f, sizeof(f)))
		return -EFAULT;
	regs->sp = sp;
	regs->ip = action->handler;
	regs->di = (unsigned long)info->signo;
	regs->si = sp + offsetof(struct frame, info);
	regs->dx = sp + offsetof(struct frame, uc);
	regs->ax = 0;
	regs->cs = USER_CS;
	regs->ss = USER_DS;
	regs->flags &= ~(FLAGS_DF | FLAGS_TF);
	regs->vector = 0; /* every register counts: no SYSRET */
	return 0;
}

int64_t sigframe_return(struct regs *regs)
{
	struct thread *t = current();
	struct frame f;

	regs->vector = 0;
	if (copy_from_user(&f, regs->sp - 8, sizeof(f)) || f.uc.ip >= USER_END)
		goto bad;
	if (f.uc.fpstate) {
		uint8_t fpu[512] __attribute__((aligned(16)));

		if (copy_from_user(fpu, f.uc.fpstate, sizeof(fpu)))
			goto bad;
		/* Reserved bits of MXCSR would fault in the kernel. */
		*(uint32_t *)(void *)&fpu[24] &= 0xffff;
		irq_disable();
		memcpy(t->fpu, fpu, sizeof(fpu));
		thread_load_context(t);
		irq_enable();
	}
	regs->r8 = f.uc.r8, regs->r9 = f.uc.r9, regs->r10 = f.uc.r10, regs->r11 = f.uc.r11;
	regs->r12 = f.uc.r12, regs->r13 = f.uc.r13, regs->r14 = f.uc.r14, regs->r15 = f.uc.r15;
	regs->di = f.uc.di, regs->si = f.uc.si, regs->bp = f.uc.bp, regs->bx = f.uc.bx;
	regs->dx = f.uc.dx, regs->ax = f.uc.ax, regs->cx = f.uc.cx, regs->sp = f.uc.sp;
	regs->ip = f.uc.ip;
	regs->flags = (regs->flags & ~FLAGS_USER) | (f.uc.rflags & FLAGS_USER) | FLAGS_IF;
	regs->cs = USER_CS;
	regs->ss = USER_DS;
	t->altstack = f.uc.stack;
	t->altstack_size = f.uc.stack_flags & SS_DISABLE ? 0 : f.uc.stack_size;
	signal_set_mask(t, f.uc.mask);
	return (int64_t)regs->ax;

bad:
	signal_fault(regs, SIGSEGV, SI_KERNEL, 0);
	return 0;
}

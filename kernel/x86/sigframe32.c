/* SPDX-License-Identifier: MIT */
/* What a signal handler of a 32-bit program finds on its stack: Linux's two frames for i386, sigreturn(2). */
#include "core/user.h"
#include "syscall/syscall.h"

struct context {
	uint32_t gs, fs, es, ds;
	uint32_t di, si, bp, sp, bx, dx, cx, ax, trapno, err, ip, cs, flags, sp_at_signal, ss,
		fpstate, oldmask, cr2;
};

/* Without SA_SIGINFO. */
struct old_frame {
	uint32_t return_to, signo;
	struct context context;
	uint32_t unused[156], mask_high;
	uint8_t code[8];
};

struct frame {
	uint32_t return_to, signo, info_at, uc_at;
	struct siginfo info;
	struct {
		uint32_t flags, link, stack;
		int32_t stack_flags;
		uint32_t stack_size;
		struct context context;
		uint64_t mask;
	} uc;
	uint8_t code[8];
};

/* The processor's state as FSAVE has it, which nobody reads here, then as FXSAVE. */
struct fpstate {
	uint32_t old[28];
	uint8_t fx[512];
};

static bool on_altstack(const struct thread *t, unsigned long sp)
{
	return sp - (unsigned long)t->altstack - 1 < (unsigned long)t->altstack_size;
}

int sigframe_push(struct regs *regs, const struct sigaction *action, const struct siginfo *info,
		  uint64_t mask)
{
	struct thread *t = current();
	const bool with_info = (action->flags & SA_SIGINFO) != 0;
	unsigned long sp = regs->sp, fpstate;
	struct fpstate fpu = {.old = {0}};
	struct frame f = {
		.return_to = action->restorer, .signo = (uint32_t)info->signo, .info = *info};
	struct old_frame old = {.return_to = action->restorer, .signo = (uint32_t)info->signo};
	struct context context = {.es = USER_DS, .ds = USER_DS, .ss = USER_DS, .cs = USER_CS};

	context.di = regs->di, context.si = regs->si, context.bp = regs->bp, context.sp = regs->sp;
	context.bx = regs->bx, context.dx = regs->dx, context.cx = regs->cx, context.ax = regs->ax;
	context.ip = regs->ip, context.flags = regs->flags, context.sp_at_signal = regs->sp;
	context.trapno = t->trap_number, context.err = t->trap_error;
	context.cr2 = t->fault_address, context.oldmask = (uint32_t)mask;
	__asm__ volatile("mov %%gs, %0" : "=r"(context.gs));
	if ((action->flags & SA_ONSTACK) && t->altstack_size && !on_altstack(t, regs->sp))
		sp = (unsigned long)(t->altstack + t->altstack_size);
	fpstate = (sp - sizeof(fpu)) & ~63ul;
	context.fpstate = fpstate;
	/* As at a function's entry: 4 below a multiple of 16. */
	sp = ((fpstate - (with_info ? sizeof(f) : sizeof(old)) + 4) & ~15ul) - 4;
	if (on_altstack(t, regs->sp) && (action->flags & SA_ONSTACK) && !on_altstack(t, sp))
		return -EFAULT;
	thread_save_context(t);
	memcpy(fpu.fx, t->fpu, sizeof(fpu.fx));
	if (copy_to_user(fpstate, &fpu, sizeof(fpu)))
		return -EFAULT;
	if (with_info) {
		f.info_at = sp + offsetof(struct frame, info);
		f.uc_at = sp + offsetof(struct frame, uc);
		f.uc.stack = (uint32_t)t->altstack;
		f.uc.stack_size = (uint32_t)t->altstack_size;
		f.uc.stack_flags = !t->altstack_size ? 2 : on_altstack(t, regs->sp) ? 1 : 0;
		f.uc.context = context;
		f.uc.mask = mask;
		if (copy_to_user(sp, &f, sizeof(f)))
			return -EFAULT;
		regs->dx = f.info_at;
		regs->cx = f.uc_at;
	} else {
		old.context = context;
		old.mask_high = (uint32_t)(mask >> 32);
		if (copy_to_user(sp, &old, sizeof(old)))
			return -EFAULT;
		regs->dx = regs->cx = 0;
	}
	regs->sp = sp;
	regs->ip = action->handler;
	regs->ax = (unsigned long)info->signo;
	regs->cs = USER_CS;
	regs->ss = USER_DS;
	regs->flags &= ~(FLAGS_DF | FLAGS_TF);
	regs->vector = 0;
	return 0;
}

static int restore(struct regs *regs, const struct context *c, uint64_t mask)
{
	struct thread *t = current();
	struct fpstate fpu;

	if (c->fpstate) {
		if (copy_from_user(&fpu, c->fpstate, sizeof(fpu)))
			return -EFAULT;
		*(uint32_t *)(void *)&fpu.fx[24] &= 0xffff;
		irq_disable();
		memcpy(t->fpu, fpu.fx, sizeof(t->fpu));
		t->gs_base = c->gs;
		thread_load_context(t);
		irq_enable();
	}
	regs->di = c->di, regs->si = c->si, regs->bp = c->bp, regs->sp = c->sp;
	regs->bx = c->bx, regs->dx = c->dx, regs->cx = c->cx, regs->ax = c->ax, regs->ip = c->ip;
	regs->flags = (regs->flags & ~FLAGS_USER) | (c->flags & FLAGS_USER) | FLAGS_IF;
	regs->cs = USER_CS;
	regs->ss = USER_DS;
	signal_set_mask(t, mask);
	return 0;
}

int64_t sigframe_return(struct regs *regs)
{
	struct thread *t = current();
	struct frame f;

	regs->vector = 0;
	if (copy_from_user(&f, regs->sp - 4, sizeof(f)) ||
	    restore(regs, &f.uc.context, f.uc.mask)) {
		signal_fault(regs, SIGSEGV, SI_KERNEL, 0);
		return 0;
	}
	t->altstack = f.uc.stack;
	t->altstack_size = f.uc.stack_flags & 2 ? 0 : f.uc.stack_size;
	return (int32_t)regs->ax;
}

/* Its restorer has taken the signal's number off the stack too. */
int64_t sys_sigreturn(struct call *c)
{
	struct regs *regs = c->regs;
	struct old_frame f;

	regs->vector = 0;
	if (copy_from_user(&f, regs->sp - 8, sizeof(f)) ||
	    restore(regs, &f.context, (uint64_t)f.mask_high << 32 | f.context.oldmask))
		signal_fault(regs, SIGSEGV, SI_KERNEL, 0);
	return (int32_t)regs->ax;
}

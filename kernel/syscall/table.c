/* SPDX-License-Identifier: MIT */
/* From a number to a call. One that is missing gives ENOSYS and is counted, so that /proc/quire/missing tells what to write next. */
#include "fs/proc.h"
#include "syscall/syscall.h"

#define NR_CALLS 512

static int64_t (*const table[NR_CALLS])(struct call *c) = {
#define CALL(number, name) [number] = sys_##name,
#ifdef __x86_64__
#include "syscall/table64.h"
#else
#include "syscall/table32.h"
#endif
#undef CALL
};

static uint32_t missing[NR_CALLS]; /* atomic */

bool syscall_dispatch(struct regs *regs);

/* Called by entry64.S with interrupts off; true: nothing but RAX has changed, so SYSRET will do. */
bool syscall_dispatch(struct regs *regs)
{
	struct call c = {
#ifdef __x86_64__
		.arg = {regs->di, regs->si, regs->dx, regs->r10, regs->r8, regs->r9},
#else
		.arg = {regs->bx, regs->cx, regs->dx, regs->si, regs->di, regs->bp},
#endif
		.regs = regs,
	};
	const uint64_t number = (uint32_t)regs->ax;
	int64_t (*fn)(struct call * c) = NULL;
	const unsigned long ip = regs->ip;

	irq_enable();
	if (number < NR_CALLS) {
		fn = table[number];
		if (!fn)
			(void)quire_fetch_add(&missing[number], 1u);
	}
	regs->ax = (unsigned long)(fn ? fn(&c) : -ENOSYS);
	irq_disable();
	return_to_user(regs);
	return regs->vector == VECTOR_SYSCALL && regs->ip == ip && ip < USER_END;
}

void syscall_show_missing(struct proc_text *t)
{
	unsigned i;

	for (i = 0; i < NR_CALLS; i++) {
		uint32_t n = quire_load(&missing[i]);

		if (n)
			proc_print(t, "%u %u\n", i, n);
	}
}

/* SPDX-License-Identifier: MIT */
/* What a thread has in the processor that the kernel does not use itself: the FPU, SSE, where its thread-local data is. */
#include "core/thread.h"

#ifdef __x86_64__

void thread_save_context(struct thread *t)
{
	if (t->process)
		__asm__ volatile("fxsave64 %0" : "=m"(t->fpu));
}

void thread_load_context(struct thread *t)
{
	if (!t->process)
		return;
	__asm__ volatile("fxrstor64 %0" : : "m"(t->fpu));
	/* Loading a selector changes a base, so a program that has loaded one loses it here. */
	__asm__ volatile("mov %0, %%fs" : : "r"(0));
	wrmsr(MSR_FS_BASE, t->fs_base);
	wrmsr(MSR_KERNEL_GS_BASE, t->gs_base);
}

#else

void thread_save_context(struct thread *t)
{
	if (!t->process)
		return;
	__asm__ volatile("fxsave %0" : "=m"(t->fpu));
	__asm__ volatile("mov %%gs, %0" : "=r"(t->gs_base));
	t->gs_base &= 0xffff;
}

void thread_load_context(struct thread *t)
{
	unsigned i;

	if (!t->process)
		return;
	__asm__ volatile("fxrstor %0" : : "m"(t->fpu));
	for (i = 0; i < 3; i++)
		this_cpu()->gdt[FIRST_TLS + i] = t->tls[i];
	load_gs(t->gs_base);
}

#endif

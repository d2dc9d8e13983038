/* SPDX-License-Identifier: MIT */
/*
 * A thread made and unmade. Stacks come from vmalloc, so that the page below each is mapped by nothing (the guard page of
 * the area before): what runs over its stack faults at once. Some stacks are kept for the next threads.
 */
#include "core/thread.h"

#include "port/port.h"

#define MAX_SPARE 16u

static struct quire_cache thread_cache;
static struct quire_spinlock spare_lock; /* irq */
static void *spare[MAX_SPARE];
static unsigned nr_spare;

void context_switch(unsigned long *save_sp, unsigned long sp);
void thread_begin(void);

/* ---- Stacks -------------------------------------------------------------------------------- */

static void *stack_alloc(void)
{
	unsigned long flags = quire_spin_lock_irq(Q, &spare_lock);
	void *stack = nr_spare ? spare[--nr_spare] : NULL;

	quire_spin_unlock_irq(Q, &spare_lock, flags);
	return stack ? stack : quire_vmalloc(Q, KERNEL_STACK_SIZE);
}

static void stack_free(void *stack)
{
	unsigned long flags = quire_spin_lock_irq(Q, &spare_lock);

	if (nr_spare < MAX_SPARE) {
		spare[nr_spare++] = stack;
		stack = NULL;
	}
	quire_spin_unlock_irq(Q, &spare_lock, flags);
	if (stack)
		quire_vfree_atomic(Q, stack);
}

void thread_drain(void)
{
	for (;;) {
		unsigned long flags = quire_spin_lock_irq(Q, &spare_lock);
		void *stack = nr_spare ? spare[--nr_spare] : NULL;

		quire_spin_unlock_irq(Q, &spare_lock, flags);
		if (!stack)
			break;
		quire_vfree(Q, stack);
	}
	quire_vm_unmap_aliases(Q);
}

/* ---- Threads --------------------------------------------------------------------------------- */

static void unpark_timer(struct timer *t)
{
	unpark(quire_container_of(t, struct thread, timer));
}

static struct thread *make(void)
{
	struct thread *t = quire_cache_alloc(Q, &thread_cache, QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);

	if (!t)
		return NULL;
	t->stack = stack_alloc();
	if (!t->stack) {
		quire_cache_free(Q, &thread_cache, t);
		return NULL;
	}
	quire_list_init(&t->run_link);
	quire_list_init(&t->link);
	timer_init(&t->timer, unpark_timer);
	signal_queue_init(&t->pending);
	t->affinity = ~UINT64_C(0);
	/* An FPU as after FNINIT, SSE exceptions masked: SDM vol. 1, 10.5.1 and 10.2.3. */
	*(uint16_t *)(void *)&t->fpu[0] = 0x37f;
	*(uint32_t *)(void *)&t->fpu[24] = 0x1f80;
	return t;
}

void threads_init(void)
{
	extern char boot_stack[];
	static struct thread boot; /* becomes the first processor's idle thread */

	boot.stack = boot_stack;
	boot.is_idle = true;
	boot.on_cpu = true;
	boot.affinity = 1;
	quire_list_init(&boot.run_link);
	quire_list_init(&boot.link);
	signal_queue_init(&boot.pending);
	cpus[0].idle = cpus[0].current = &boot;
	kernel_assert(!quire_cache_create(Q, &thread_cache, "task_struct", sizeof(struct thread),
					  16, 0, NULL));
	timer_init(&boot.timer, unpark_timer);
}

struct thread *thread_create(void (*fn)(void *arg), void *arg)
{
	struct thread *t = make();
	unsigned long *sp;

	if (!t)
		return NULL;
	/* What context_switch() pops, below the place of user registers; see entry64.S, entry32.S. */
	sp = (unsigned long *)(void *)thread_regs(t);
	*--sp = (unsigned long)thread_begin;
#ifdef __x86_64__
	*--sp = 0;			       /* rbp */
	*--sp = 0;			       /* rbx */
	*--sp = (unsigned long)(uintptr_t)fn;  /* r12 */
	*--sp = (unsigned long)(uintptr_t)arg; /* r13 */
	*--sp = 0;
	*--sp = 0;
#else
	*--sp = 0;			       /* ebp */
	*--sp = (unsigned long)(uintptr_t)fn;  /* ebx */
	*--sp = (unsigned long)(uintptr_t)arg; /* esi */
	*--sp = 0;			       /* edi */
#endif
	t->sp = (unsigned long)sp;
	return t;
}

struct thread *thread_create_idle(struct cpu *cpu)
{
	struct thread *t = make();

	kernel_assert(t);
	t->is_idle = true;
	t->on_cpu = true;
	t->affinity = UINT64_C(1) << cpu->number;
	return t;
}

void thread_free(struct thread *t)
{
	signal_queue_clear(&t->pending);
	stack_free(t->stack);
	quire_cache_free(Q, &thread_cache, t);
}

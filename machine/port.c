/* SPDX-License-Identifier: MIT */
/*
 * The port: what Quire asks of the machine (include/quire/port.h), but for the TLB, which is in
 * tlb.c. Strict: what the contract forbids aborts here, with the rule that was broken.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#if MACHINE_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* ---- Memory ------------------------------------------------------------------------------ */

void *quire_port_phys_to_virt(struct quire *q, quire_paddr_t pa)
{
	struct machine *m = machine_of(q);

	if (QUIRE_DEBUG) {
		if (pa >= m->direct_bytes)
			machine_die("physical address %#llx lies beyond the %s",
				    (unsigned long long)pa,
				    pa < m->ram_bytes ? "direct map" : "memory");
		if (__atomic_load_n(&m->frame[pa >> MACHINE_PAGE_SHIFT], __ATOMIC_RELAXED) &
		    FRAME_FREED)
			machine_report(m, "machine: a freed frame is touched", "phys_to_virt", pa);
	}
	return m->direct + pa;
}

#if MACHINE_ASAN
static void poison_frame(unsigned char *frame, bool free)
{
	if (free)
		__asan_poison_memory_region(frame, MACHINE_PAGE);
	else
		__asan_unpoison_memory_region(frame, MACHINE_PAGE);
}
#endif

void machine_poison(struct machine *m, quire_pfn_t pfn, bool free)
{
#if MACHINE_ASAN
	const quire_paddr_t pa = pfn << MACHINE_PAGE_SHIFT;

	poison_frame(m->ram + pa, free);
	if (m->direct != m->ram && pa < m->direct_bytes)
		poison_frame(m->direct + pa, free);
#else
	(void)m;
	(void)pfn;
	(void)free;
#endif
}

static bool is_zero(const unsigned char *p)
{
	const uint64_t *w = (const uint64_t *)(const void *)p;
	unsigned i;

	for (i = 0; i < MACHINE_PAGE / 8; i += 4) {
		if (w[i] | w[i + 1] | w[i + 2] | w[i + 3])
			return false;
	}
	return true;
}

/*
 * The page allocator clears a frame before it says that the frame is out, so one that is not out
 * and has never been is as the host gave it: zero, and better not touched. Others are looked at
 * first, since reading a page that was never written costs the host nothing and writing it costs a
 * page.
 */
void quire_port_zero_frame(struct quire *q, quire_paddr_t pa)
{
	struct machine *m = machine_of(q);
	quire_pfn_t pfn = pa >> MACHINE_PAGE_SHIFT;
	uint8_t frame;

	if (pa >= m->direct_bytes || (pa & (MACHINE_PAGE - 1)))
		machine_die("zero_frame of %#llx", (unsigned long long)pa);
	frame = __atomic_load_n(&m->frame[pfn], __ATOMIC_RELAXED);
	if (!(frame & (FRAME_ALLOCATED | FRAME_DIRTY)))
		return;
	if (frame & FRAME_FREED)
		machine_poison(m, pfn, false);
	if (!is_zero(m->direct + pa))
		memset(m->direct + pa, 0, MACHINE_PAGE);
}

void quire_port_frames(struct quire *q, quire_pfn_t first, unsigned order, bool allocated)
{
	struct machine *m = machine_of(q);
	quire_pfn_t pfn, end = first + (1ull << order);

	if (end > m->nr_frames)
		machine_die("frames %#llx to %#llx lie beyond the memory",
			    (unsigned long long)first, (unsigned long long)end);
	if (m->hooks.frames)
		m->hooks.frames(m->hooks_ctx, first, order, allocated);
	for (pfn = first; pfn < end; pfn++) {
		uint8_t now = allocated ? FRAME_ALLOCATED | FRAME_DIRTY : FRAME_FREED | FRAME_DIRTY;
		uint8_t before;

		if (allocated)
			machine_poison(m, pfn, false);
		before = quire_exchange(&m->frame[pfn], now);
		if (!!(before & FRAME_ALLOCATED) == allocated)
			machine_report(m,
				       allocated
					       ? "machine: a frame is handed out that somebody has"
					       : "machine: a frame comes back that nobody had",
				       "frames", pfn);
		if (allocated)
			continue;
		QUIRE_SCHED_POINT(&m->tlb_refs[pfn], 1); /* see machine_refer() */
		if (QUIRE_DEBUG && __atomic_load_n(&m->tlb_refs[pfn], __ATOMIC_SEQ_CST))
			machine_report(m, "machine: a frame is freed while a TLB still maps it",
				       "frames", pfn);
		if (QUIRE_DEBUG && m->window && quire_kmap_users(q, quire_pfn_to_page(q, pfn)))
			machine_report(m, "machine: a frame is freed that somebody has kmapped", "frames", pfn);
		machine_poison(m, pfn, true);
	}
}

/* ---- CPU --------------------------------------------------------------------------------- */

unsigned quire_port_cpu(struct quire *q)
{
	return machine_this_cpu(machine_of(q))->number;
}

unsigned long quire_port_irq_save(struct quire *q)
{
	struct machine_cpu *cpu = machine_this_cpu(machine_of(q));
	unsigned long flags = cpu->irqs_off;

	cpu->irqs_off = true;
	return flags;
}

void quire_port_irq_restore(struct quire *q, unsigned long flags)
{
	struct machine_cpu *cpu = machine_this_cpu(machine_of(q));

	if (!cpu->irqs_off || flags > 1)
		machine_die("irq_restore(%lu) with interrupts %s", flags,
			    cpu->irqs_off ? "off" : "on");
	cpu->irqs_off = flags;
}

void quire_port_preempt_disable(struct quire *q)
{
	machine_this_cpu(machine_of(q))->preempt_off++;
}

void quire_port_preempt_enable(struct quire *q)
{
	struct machine_cpu *cpu = machine_this_cpu(machine_of(q));

	if (cpu->preempt_off-- == 0)
		machine_die("preempt_enable without preempt_disable");
}

bool quire_port_in_interrupt(struct quire *q)
{
	return machine_this_cpu(machine_of(q))->interrupts != 0;
}

struct quire_task_policy *quire_port_task_policy(struct quire *q)
{
	struct machine_cpu *cpu = machine_this_cpu(machine_of(q));

	return cpu->interrupts ? NULL : cpu->policy;
}

void machine_set_policy(struct machine *m, struct quire_task_policy *policy)
{
	machine_this_cpu(m)->policy = policy;
}

/* CPUs may outnumber the host's: a spinning one lets the others run. */
void quire_port_relax(struct quire *q)
{
	static _Thread_local unsigned turns;

	(void)q;
	if (++turns % 16 == 0)
		sched_yield();
}

/* ---- Waiting ----------------------------------------------------------------------------- */

static long futex(const uint32_t *word, int op, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

void quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value)
{
	static const struct timespec patience = { .tv_sec = 10 };
	struct machine *m = machine_of(q);
	struct machine_cpu *cpu = machine_this_cpu(m);

	if (cpu->preempt_off || cpu->irqs_off)
		machine_die(
			"wait with a spin lock held, inside a grace period or with interrupts off");
	__atomic_fetch_add(&m->nr_waiting, 1, __ATOMIC_SEQ_CST);
	if (futex(word, FUTEX_WAIT, value, &patience) && errno == ETIMEDOUT &&
	    __atomic_load_n(&m->nr_waiting, __ATOMIC_SEQ_CST) >=
		    __atomic_load_n(&m->nr_bound, __ATOMIC_SEQ_CST) &&
	    __atomic_load_n(word, __ATOMIC_SEQ_CST) == value)
		machine_die("deadlock: every CPU waits");
	__atomic_fetch_sub(&m->nr_waiting, 1, __ATOMIC_SEQ_CST);
}

void quire_port_wake(struct quire *q, const uint32_t *word, unsigned n)
{
	(void)q;
	futex(word, FUTEX_WAKE, n > INT32_MAX ? INT32_MAX : n, NULL);
}

/* ---- Time, chance and speech ------------------------------------------------------------- */

/* A nanosecond goes by each time somebody looks: monotonic, and the same in every run. */
uint64_t quire_port_clock_ns(struct quire *q)
{
	return __atomic_add_fetch(&machine_of(q)->clock, 1, __ATOMIC_RELAXED);
}

/* splitmix64. */
uint64_t quire_port_random(struct quire *q)
{
	struct machine *m = machine_of(q);
	uint64_t z;

	if (!m->random)
		return 0;
	z = __atomic_add_fetch(&m->random, 0x9e3779b97f4a7c15ull, __ATOMIC_RELAXED);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void quire_port_log(struct quire *q, enum quire_log_level level, const char *text)
{
	static const char *const names[] = { "error", "warning", "info" };

	if (machine_of(q)->verbose)
		fprintf(stderr, "quire: %s: %s\n", names[level], text);
}

void quire_port_report(struct quire *q, const char *what, const char *where, uint64_t value)
{
	machine_report(machine_of(q), what, where, value);
}

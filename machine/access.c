/* SPDX-License-Identifier: MIT */
/*
 * What user code does to memory: translate through the TLB, walk on a miss, fault, try again, and
 * move the bytes. An access holds its CPU's TLB lock from translation to the last byte, so that
 * a flush returns only when no access through an old entry is under way.
 */
#include "internal.h"

/* A handler that serves a fault again and again without effect is broken, not slow. */
#define MAX_TRIES 10000u

enum outcome { DONE, PAGE_FAULT, GENERAL_PROTECTION, MACHINE_CHECK };

static unsigned wanted(uint32_t access)
{
	return (access & QUIRE_ACCESS_WRITE ? RIGHT_WRITE : 0) |
	       (access & QUIRE_ACCESS_EXEC ? RIGHT_EXEC : 0);
}

/*
 * A hit must give what the tables give, unless the flush is still to come; and then the frame must
 * still be there.
 */
static void look_over(struct machine *m, struct machine_cpu *cpu, const struct tlb_entry *e)
{
	uint64_t addr = e->vpn << MACHINE_PAGE_SHIFT;
	struct translation t;

	if (quire_load(&m->frame[e->pfn]) & FRAME_FREED)
		machine_report(m, "tlb: an access to a freed frame", "access", addr);
	if (machine_look(m, cpu, addr, &t) != WALK_OK || t.pfn != e->pfn || (e->rights & ~t.rights))
		cpu->stats.stale_hits++;
}

/* The host's address of the page's first byte. The lock is held. */
static unsigned char *bytes_of(struct machine *m, struct machine_cpu *cpu, quire_pfn_t pfn,
			       uint64_t addr, unsigned want)
{
	if (quire_unlikely(m->packed != NULL) && (quire_load(&m->frame[pfn]) & FRAME_PACKED)) {
		if (!(want & RIGHT_WRITE))
			return machine_packed_bytes(m, cpu, pfn, addr >> MACHINE_PAGE_SHIFT & 1);
		machine_unpack(m, pfn);
	}
	return m->ram + (pfn << MACHINE_PAGE_SHIFT);
}

/* The host's address of one byte of user memory. The lock is held. */
static enum outcome translate(struct machine *m, struct machine_cpu *cpu, uint64_t addr,
			      uint32_t access, unsigned char **host)
{
	unsigned want = wanted(access);
	struct tlb_entry *e;
	struct translation t;

	if (!machine_is_canonical(cpu, addr))
		return GENERAL_PROTECTION;
	cpu->stats.accesses++;
	e = machine_tlb_find(m, cpu, addr);
	if (e && (want & ~e->rights) == 0 && (!(want & RIGHT_WRITE) || (e->rights & RIGHT_DIRTY))) {
		cpu->stats.hits++;
		if (QUIRE_DEBUG)
			look_over(m, cpu, e);
		*host = bytes_of(m, cpu, e->pfn, addr, want) + (addr & (MACHINE_PAGE - 1));
		return DONE;
	}
	if (e && (want & ~e->rights)) {
		/*
		 * The entry says no. The tables may say yes by now; the fault forgets it
		 * (4.10.4.1), and the next try will see.
		 */
		machine_tlb_forget(m, cpu, addr);
		return PAGE_FAULT;
	}
	if (e) {
		/* The first store: D must be set, by a walk. */
		machine_tlb_forget(m, cpu, addr);
	}
	cpu->stats.walks++;
	switch (machine_walk(m, cpu, addr, want, machine_psc_find(cpu, addr), &t)) {
	case WALK_OK:
		break;
	case WALK_FAULT:
		machine_tlb_forget(m, cpu, addr);
		return PAGE_FAULT;
	case WALK_BAD:
		return MACHINE_CHECK;
	}
	if (QUIRE_DEBUG && (quire_load(&m->frame[t.pfn]) & FRAME_FREED)) {
		machine_report(m, "mmu: the tables map a freed frame", "access", addr);
		return MACHINE_CHECK;
	}
	machine_tlb_fill(m, cpu, addr, &t);
	*host = bytes_of(m, cpu, t.pfn, addr, want) + (addr & (MACHINE_PAGE - 1));
	return DONE;
}

/*
 * The program's own races are not Quire's, so the sanitizer is not shown these; what it is shown,
 * by the CPU's lock, is the order against flushes.
 */
__attribute__((no_sanitize("thread"))) static void copy(void *to, const void *from, size_t len)
{
#if MACHINE_TSAN
	volatile unsigned char *t = to;
	const volatile unsigned char *f = from;

	while (len--)
		*t++ = *f++;
#else
	memcpy(to, from, len);
#endif
}

static bool is_word(const void *host, size_t len)
{
	return (len == 2 || len == 4 || len == 8) && ((uintptr_t)host & (len - 1)) == 0;
}

static void load_bytes(void *buf, const unsigned char *host, size_t len)
{
	uint16_t w2;
	uint32_t w4;
	uint64_t w8;

	if (!is_word(host, len)) {
		copy(buf, host, len);
	} else if (len == 2) {
		w2 = __atomic_load_n((const uint16_t *)(const void *)host, __ATOMIC_ACQUIRE);
		memcpy(buf, &w2, 2);
	} else if (len == 4) {
		w4 = __atomic_load_n((const uint32_t *)(const void *)host, __ATOMIC_ACQUIRE);
		memcpy(buf, &w4, 4);
	} else {
		w8 = __atomic_load_n((const uint64_t *)(const void *)host, __ATOMIC_ACQUIRE);
		memcpy(buf, &w8, 8);
	}
}

static void store_bytes(unsigned char *host, const void *buf, size_t len)
{
	uint16_t w2;
	uint32_t w4;
	uint64_t w8;

	if (!is_word(host, len)) {
		copy(host, buf, len);
	} else if (len == 2) {
		memcpy(&w2, buf, 2);
		__atomic_store_n((uint16_t *)(void *)host, w2, __ATOMIC_RELEASE);
	} else if (len == 4) {
		memcpy(&w4, buf, 4);
		__atomic_store_n((uint32_t *)(void *)host, w4, __ATOMIC_RELEASE);
	} else {
		memcpy(&w8, buf, 8);
		__atomic_store_n((uint64_t *)(void *)host, w8, __ATOMIC_RELEASE);
	}
}

/* What an access does once it is translated; second is where it goes on in the next page. */
struct operation {
	uint32_t access;
	size_t len;
	void *load;
	const void *store;
	uint64_t *old; /* compare and exchange */
	uint64_t new;
	bool swapped;
};

static void perform(struct operation *op, unsigned char *host, size_t len, unsigned char *second)
{
	if (op->old && op->len == 4) {
		uint32_t old = (uint32_t)*op->old;

		op->swapped = __atomic_compare_exchange_n((uint32_t *)(void *)host, &old,
							  (uint32_t)op->new, false,
							  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		*op->old = old;
	} else if (op->old) {
		op->swapped =
			__atomic_compare_exchange_n((uint64_t *)(void *)host, op->old, op->new,
						    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	} else if (op->store) {
		store_bytes(host, op->store, len);
		if (second)
			store_bytes(second, (const unsigned char *)op->store + len, op->len - len);
	} else {
		load_bytes(op->load, host, len);
		if (second)
			load_bytes((unsigned char *)op->load + len, second, op->len - len);
	}
}

/* For the schedule explorer; else nothing: who copies or clears a page names its first byte too. */
static void announce(const unsigned char *host, const struct operation *op)
{
	const unsigned char *page = host - ((uintptr_t)host & (MACHINE_PAGE - 1));

	(void)page;
	if (op->load)
		QUIRE_SCHED_POINT(page, 0);
	else
		QUIRE_SCHED_POINT(page, 1);
}

static void raise_signal(struct quire_signal *sig, int signo, int code, quire_uaddr_t addr)
{
	*sig = (struct quire_signal){ .signo = signo, .code = code, .addr = addr };
}

static int run(struct machine *m, quire_uaddr_t addr, struct operation *op,
	       struct quire_signal *sig)
{
	struct machine_cpu *cpu = machine_this_cpu(m);
	struct quire_signal unwanted;
	unsigned tries;

	if (op->len == 0)
		return 0;
	if (op->len > MACHINE_PAGE)
		machine_die("an access of %zu bytes", op->len);
	if (cpu->preempt_off || cpu->irqs_off)
		machine_die("user code runs with preemption or interrupts off");
	if (!cpu->pt)
		machine_die("user code runs on CPU %u, which has no space loaded", cpu->number);
	if (!sig)
		sig = &unwanted;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		size_t first = MACHINE_PAGE - (addr & (MACHINE_PAGE - 1));
		unsigned char *host, *second = NULL;
		quire_uaddr_t where = addr;
		enum outcome outcome;
		int err;

		if (first > op->len)
			first = op->len;
		lock(&cpu->lock);
		outcome = translate(m, cpu, addr, op->access, &host);
		if (outcome == DONE && first < op->len) {
			where = addr + first;
			outcome = translate(m, cpu, where, op->access, &second);
		}
		if (outcome == DONE) {
			announce(host, op);
			if (second)
				announce(second, op);
			perform(op, host, first, second);
		} else if (outcome == PAGE_FAULT) {
			cpu->stats.faults++;
		}
		unlock(&cpu->lock);

		switch (outcome) {
		case DONE:
			return 0;
		case GENERAL_PROTECTION:
			raise_signal(sig, QUIRE_SIGSEGV, MACHINE_SI_KERNEL, 0);
			return -QUIRE_EFAULT;
		case MACHINE_CHECK:
			raise_signal(sig, QUIRE_SIGBUS, 0, where);
			return -QUIRE_EFAULT;
		case PAGE_FAULT:
			err = m->fault(m->fault_ctx, cpu->pt, where, machine_fault_says(cpu, op->access), sig);
			if (err)
				return err;
			break;
		}
	}
	machine_report(m, "machine: a fault is served, and served, and the access still faults",
		       "access", addr);
	raise_signal(sig, QUIRE_SIGBUS, 0, addr);
	return -QUIRE_EFAULT;
}

int machine_load(struct machine *m, quire_uaddr_t addr, void *buf, size_t len,
		 struct quire_signal *sig)
{
	struct operation op = { .access = QUIRE_ACCESS_READ, .len = len, .load = buf };

	return run(m, addr, &op, sig);
}

int machine_store(struct machine *m, quire_uaddr_t addr, const void *buf, size_t len,
		  struct quire_signal *sig)
{
	struct operation op = { .access = QUIRE_ACCESS_WRITE, .len = len, .store = buf };

	return run(m, addr, &op, sig);
}

int machine_fetch(struct machine *m, quire_uaddr_t addr, void *buf, size_t len,
		  struct quire_signal *sig)
{
	struct operation op = { .access = QUIRE_ACCESS_EXEC, .len = len, .load = buf };

	return run(m, addr, &op, sig);
}

int machine_cmpxchg(struct machine *m, quire_uaddr_t addr, size_t size, uint64_t *old, uint64_t new,
		    bool *swapped, struct quire_signal *sig)
{
	struct operation op = { .access = QUIRE_ACCESS_WRITE, .len = size, .old = old, .new = new };
	int err;

	if ((size != 4 && size != 8) || (addr & (size - 1)))
		machine_die("compare and exchange of %zu bytes at %#llx", size,
			    (unsigned long long)addr);
	err = run(m, addr, &op, sig);
	*swapped = op.swapped;
	return err;
}

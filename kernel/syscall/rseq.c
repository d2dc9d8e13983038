/* SPDX-License-Identifier: MIT */
/*
 * Restartable sequences, rseq(2): a thread's struct in user memory tells it on which processor it runs, and names a
 * stretch of instructions that begins anew where another thread ran, or a signal's handler, in the middle of it.
 */
#include "syscall/syscall.h"

#define RSEQ_SIZE 32u
#define RSEQ_CPU_ID_UNINITIALIZED UINT32_MAX
#define UNREGISTER 1u

/* What a program has: in struct rseq two words with the number, a pointer to a sequence, flags that nobody sets. */
#define CPU_ID_START 0
#define SEQUENCE 8

struct sequence {
	uint32_t version, flags;
	uint64_t start, length, abort; /* addresses, and bytes from start on */
};

/* If it is in one, to its abort address; in any case out of it. False: what it says is nonsense. */
static bool leave_sequence(struct thread *t, struct regs *regs)
{
	const uint64_t none = 0;
	struct sequence s;
	uint32_t signature;
	uint64_t at;

	if (get_user(at, t->rseq + SEQUENCE))
		return false;
	if (!at)
		return true;
	if (get_user(s, at) || s.version || s.flags || s.start >= USER_END ||
	    !user_range_ok(s.start, s.length) || s.abort >= USER_END ||
	    s.abort - s.start < s.length || get_user(signature, s.abort - 4) ||
	    signature != t->rseq_signature || put_user(none, t->rseq + SEQUENCE))
		return false;
	if (regs->ip - s.start < s.length) {
		regs->ip = (unsigned long)s.abort;
		regs->vector = 0; /* no SYSRET */
	}
	return true;
}

void rseq_update(struct regs *regs)
{
	struct thread *t = current();
	uint32_t cpu[2];

	/* If another thread comes now, this is done once more. */
	t->rseq_event = false;
	cpu[0] = cpu[1] = this_cpu()->number;
	if (!leave_sequence(t, regs) || put_user(cpu, t->rseq + CPU_ID_START)) {
		t->rseq = 0;
		signal_fault(regs, SIGSEGV, SI_KERNEL, 0);
	}
}

int64_t sys_rseq(struct call *c)
{
	const uint32_t none[2] = {0, RSEQ_CPU_ID_UNINITIALIZED};
	const uint64_t at = c->arg[0];
	const uint32_t size = (uint32_t)c->arg[1], flags = (uint32_t)c->arg[2];
	const uint32_t signature = (uint32_t)c->arg[3];
	struct thread *t = current();

	if (flags & ~UNREGISTER)
		return -EINVAL;
	if (size != RSEQ_SIZE || at % RSEQ_SIZE)
		return -EINVAL;
	if (t->rseq || flags) {
		if (!t->rseq || at != t->rseq)
			return -EINVAL;
		if (signature != t->rseq_signature)
			return -EPERM;
		if (!flags)
			return -EBUSY;
		if (put_user(none, at))
			return -EFAULT;
		t->rseq = 0;
		return 0;
	}
	if (!user_range_ok(at, RSEQ_SIZE))
		return -EFAULT;
	t->rseq_signature = signature;
	t->rseq = at;
	t->rseq_event = true;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * What 32-bit kernels have besides: calls whose arguments do not fit into a word come in two, older structs, and segments for
 * threads. Calls with times in 64 bits are those of 64-bit machines; these here have the old ones.
 */
#include "syscall/syscall.h"

static uint64_t pair(const struct call *c, unsigned i)
{
	return (c->arg[i] & 0xffffffff) | c->arg[i + 1] << 32;
}

/* The same call with a wide argument at place i, and what follows it moved up. */
static int64_t widened(struct call *c, unsigned i, int64_t (*fn)(struct call *c))
{
	unsigned k;

	c->arg[i] = pair(c, i);
	for (k = i + 1; k < 5; k++)
		c->arg[k] = c->arg[k + 1];
	return fn(c);
}

int64_t sys_mmap2(struct call *c)
{
	c->arg[5] <<= 12;
	return sys_mmap(c);
}

SYSCALL(pread64_32, widened(c, 3, sys_pread64))
SYSCALL(pwrite64_32, widened(c, 3, sys_pwrite64))
SYSCALL(preadv_32, widened(c, 3, sys_preadv))
SYSCALL(pwritev_32, widened(c, 3, sys_pwritev))
SYSCALL(truncate64, widened(c, 1, sys_truncate))
SYSCALL(ftruncate64, widened(c, 1, sys_ftruncate))

int64_t sys_fallocate_32(struct call *c)
{
	c->arg[2] = pair(c, 2);
	c->arg[3] = pair(c, 4);
	return sys_fallocate(c);
}

int64_t sys_llseek(struct call *c)
{
	struct call seek = {
		.arg = {c->arg[0], c->arg[1] << 32 | (c->arg[2] & 0xffffffff), c->arg[4]},
		.regs = c->regs};
	int64_t at = sys_lseek(&seek);

	return at < 0 ? at : put_user(at, c->arg[3]);
}

/* statfs64 and fstatfs64 say how large their struct is. */
int64_t sys_statfs64(struct call *c)
{
	c->arg[1] = c->arg[2];
	return sys_statfs(c);
}

int64_t sys_fstatfs64(struct call *c)
{
	c->arg[1] = c->arg[2];
	return sys_fstatfs(c);
}

/* A thread's segment is described by a struct; clone's last two arguments are the other way round. */
struct user_desc {
	uint32_t entry, base, limit, flags;
};

static uint64_t descriptor(const struct user_desc *d)
{
	/* Bits of flags: 0 32 bits, 1-2 contents, 3 read-only, 4 pages, 5 not present, 6 useable. Data, of ring 3, in any case. */
	uint64_t type = 0xf2 | (d->flags & 0x08 ? 0 : 0x02) | (d->flags & 0x02 ? 0x04 : 0);

	if (d->flags & 0x28)
		type &= ~(d->flags & 0x20 ? 0x80ull : 0x02ull);
	return (d->limit & 0xffff) | (uint64_t)(d->base & 0xffffff) << 16 | type << 40 |
	       (uint64_t)(d->limit >> 16 & 15) << 48 | (d->flags & 0x10 ? 1ull << 55 : 0) |
	       (d->flags & 1 ? 1ull << 54 : 0) | (uint64_t)(d->base >> 24) << 56;
}

static int set_segment(struct thread *t, uint64_t addr, bool choose)
{
	struct user_desc d;
	unsigned i;

	if (copy_from_user(&d, addr, sizeof(d)))
		return -EFAULT;
	if (d.entry == UINT32_MAX && choose) {
		for (i = 0; i < 3 && t->tls[i]; i++)
			;
		if (i == 3)
			return -ESRCH;
		d.entry = FIRST_TLS + i;
		if (put_user(d.entry, addr))
			return -EFAULT;
	}
	if (d.entry < FIRST_TLS || d.entry >= FIRST_TLS + 3)
		return -EINVAL;
	t->tls[d.entry - FIRST_TLS] =
		(d.flags & 0x7f) == 0x28 && !d.base && !d.limit ? 0 : descriptor(&d);
	return 0;
}

int64_t sys_set_thread_area(struct call *c)
{
	struct thread *t = current();
	int err;

	irq_disable();
	thread_save_context(t);
	irq_enable();
	err = set_segment(t, c->arg[0], true);
	irq_disable();
	thread_load_context(t);
	irq_enable();
	return err;
}

int thread_set_tls(struct thread *t, uint64_t addr)
{
	return set_segment(t, addr, false);
}

int64_t sys_clone_32(struct call *c)
{
	uint64_t tls = c->arg[3];

	c->arg[3] = c->arg[4];
	c->arg[4] = tls;
	return sys_clone(c);
}

/* ---- Times of 32 bits ------------------------------------------------------------------------------ */

static int get_old(uint64_t addr, int64_t unit, uint64_t *ns)
{
	int32_t ts[2];

	if (copy_from_user(ts, addr, sizeof(ts)))
		return -EFAULT;
	if (ts[0] < 0 || ts[1] < 0 || ts[1] >= (int64_t)NS_PER_SECOND / unit)
		return -EINVAL;
	*ns = (uint64_t)ts[0] * NS_PER_SECOND + (uint64_t)(ts[1] * unit);
	return 0;
}

static int put_old(uint64_t addr, uint64_t ns)
{
	int32_t ts[2] = {(int32_t)(ns / NS_PER_SECOND), (int32_t)(ns % NS_PER_SECOND)};

	return copy_to_user(addr, ts, sizeof(ts));
}

int64_t sys_clock_gettime_32(struct call *c)
{
	uint64_t ns;
	int err = read_clock(c->arg[0], &ns);

	return err ? err : put_old(c->arg[1], ns);
}

int64_t sys_clock_getres_32(struct call *c)
{
	uint64_t ns;
	int err = read_clock(c->arg[0], &ns);

	return err || !c->arg[1] ? err : put_old(c->arg[1], 1);
}

static int64_t sleep_old(uint64_t ns, uint64_t rest)
{
	uint64_t deadline = clock_ns() + ns, now;

	for (; (now = clock_ns()) < deadline; park(deadline)) {
		if (signal_pending(current()))
			return rest && put_old(rest, deadline - now) ? -EFAULT : -EINTR;
	}
	return 0;
}

int64_t sys_nanosleep_32(struct call *c)
{
	uint64_t ns;
	int err = get_old(c->arg[0], 1, &ns);

	return err ? err : sleep_old(ns, c->arg[1]);
}

int64_t sys_clock_nanosleep_32(struct call *c)
{
	uint64_t ns, now;
	int err = read_clock(c->arg[0], &now);

	if (!err)
		err = get_old(c->arg[2], 1, &ns);
	if (err)
		return err;
	if (c->arg[1] & 1)
		return sleep_old(ns > now ? ns - now : 0, 0);
	return sleep_old(ns, c->arg[3]);
}

/* When a wait of so long ends; addr 0: never. */
static int get_deadline(uint64_t addr, int64_t unit, uint64_t *deadline)
{
	uint64_t ns = 0;
	int err = addr ? get_old(addr, unit, &ns) : 0;

	*deadline = addr ? clock_ns() + ns : NO_DEADLINE;
	return err;
}

#define WAIT_UNTIL(name, addr, unit, ...)                                                          \
	int64_t sys_##name(struct call *c)                                                         \
	{                                                                                          \
		uint64_t deadline;                                                                 \
		int err = get_deadline(addr, unit, &deadline);                                     \
                                                                                                   \
		return err ? err : __VA_ARGS__;                                                    \
	}

WAIT_UNTIL(ppoll_32, c->arg[2], 1, poll_until(c, deadline))
WAIT_UNTIL(select_32, c->arg[4], 1000, select_until(c, deadline))
WAIT_UNTIL(pselect6_32, c->arg[4], 1, pselect_until(c, deadline))
WAIT_UNTIL(rt_sigtimedwait_32, c->arg[2], 1, signal_wait(c->arg[0], c->arg[1], deadline, c->arg[3]))

int64_t sys_gettimeofday_32(struct call *c)
{
	uint64_t now = clock_realtime();
	int32_t tv[2] = {(int32_t)(now / NS_PER_SECOND), (int32_t)(now % NS_PER_SECOND / 1000)};

	return c->arg[0] && copy_to_user(c->arg[0], tv, sizeof(tv)) ? -EFAULT : 0;
}

static int put_itimer_32(uint64_t addr, uint64_t left, uint64_t interval)
{
	const int32_t old[4] = {
		(int32_t)(interval / NS_PER_SECOND),
		(int32_t)(interval % NS_PER_SECOND / 1000),
		(int32_t)(left / NS_PER_SECOND),
		(int32_t)(left % NS_PER_SECOND / 1000),
	};

	return copy_to_user(addr, old, sizeof(old));
}

int64_t sys_setitimer_32(struct call *c)
{
	uint64_t interval = 0, value = 0, left, old;
	int err = c->arg[1] ? get_old(c->arg[1], 1000, &interval) : 0;

	if (!err && c->arg[1])
		err = get_old(c->arg[1] + 8, 1000, &value);
	if (!err && (unsigned)c->arg[0] > 2)
		err = -EINVAL;
	if (err)
		return err;
	itimer_get((unsigned)c->arg[0], &left, &old);
	itimer_set((unsigned)c->arg[0], value, interval);
	return c->arg[2] ? put_itimer_32(c->arg[2], left, old) : 0;
}

int64_t sys_getitimer_32(struct call *c)
{
	uint64_t left, interval;

	if ((unsigned)c->arg[0] > 2)
		return -EINVAL;
	itimer_get((unsigned)c->arg[0], &left, &interval);
	return put_itimer_32(c->arg[1], left, interval);
}

int64_t sys_futex_32(struct call *c)
{
	uint64_t ns = 0;
	int op = (int)c->arg[1] & 0x7f, err = 0;

	if (c->arg[3] && (op == 0 || op == 9))
		err = get_old(c->arg[3], 1, &ns);
	return err ? err
		   : futex_call_ns(c->arg[0], (int)c->arg[1], (uint32_t)c->arg[2], c->arg[3], ns,
				   c->arg[4], (uint32_t)c->arg[5]);
}

int64_t sys_ugetrlimit(struct call *c)
{
	struct rlimit64 *r = current_process()->rlimit;
	uint32_t value[2], i;

	if (c->arg[0] >= NR_RLIMITS)
		return -EINVAL;
	for (i = 0; i < 2; i++) {
		uint64_t v = i ? r[c->arg[0]].hard : r[c->arg[0]].soft;

		value[i] = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
	}
	return copy_to_user(c->arg[1], value, sizeof(value));
}

int64_t sys_setrlimit_32(struct call *c)
{
	struct rlimit64 new;
	uint32_t value[2];

	if (copy_from_user(value, c->arg[1], sizeof(value)))
		return -EFAULT;
	new.soft = value[0] == UINT32_MAX ? QUIRE_RLIM_INFINITY : value[0];
	new.hard = value[1] == UINT32_MAX ? QUIRE_RLIM_INFINITY : value[1];
	return process_set_limit(current_process(), (unsigned)c->arg[0], &new, NULL);
}

int64_t sys_umount(struct call *c)
{
	c->arg[1] = 0;
	return sys_umount2(c);
}

int64_t sys_waitpid(struct call *c)
{
	c->arg[3] = 0;
	return sys_wait4(c);
}

/* ipc(2), of which there is shared memory. */
int64_t sys_ipc(struct call *c)
{
	const uint64_t *a = c->arg;
	struct call shm = {.arg = {a[1], a[2], a[3]}, .regs = c->regs};
	uint32_t place;
	int64_t result;

	switch (a[0] & 0xffff) {
	case 21:
		shm.arg[1] = a[4];
		shm.arg[2] = a[2];
		result = sys_shmat(&shm);
		place = (uint32_t)result;
		return result < 0 ? result : put_user(place, a[3]);
	case 22:
		shm.arg[0] = a[4];
		return sys_shmdt(&shm);
	case 23:
		return sys_shmget(&shm);
	case 24:
		shm.arg[2] = a[4];
		return sys_shmctl(&shm);
	default:
		return -ENOSYS;
	}
}

/* One number for all calls about sockets, whose arguments are in memory: 1 makes one, 8 a pair. */
int64_t sys_socketcall(struct call *c)
{
	const uint32_t which = (uint32_t)c->arg[0];
	uint32_t arg[2];

	if (which < 1 || which > 20)
		return -EINVAL;
	if (copy_from_user(arg, c->arg[1], sizeof(arg)))
		return -EFAULT;
	c->arg[0] = arg[0];
	c->arg[1] = arg[1];
	return which == 1 || which == 8 ? sys_socket(c) : sys_not_socket(c);
}

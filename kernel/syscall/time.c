/* SPDX-License-Identifier: MIT */
/* Calls about time, and the few that are about nothing else: names, chance, statistics. */
#include "syscall/syscall.h"

/* ---- Structs --------------------------------------------------------------------------------------- */

static int to_ns(int64_t sec, int64_t part, int64_t unit, uint64_t *ns)
{
	if (sec < 0 || part < 0 || part >= (int64_t)NS_PER_SECOND / unit)
		return -EINVAL;
	/* What is further off than three centuries is never. */
	*ns = sec > 9000000000 ? 9000000000 * NS_PER_SECOND
			       : (uint64_t)sec * NS_PER_SECOND + (uint64_t)(part * unit);
	return 0;
}

int read_timespec(uint64_t addr, uint64_t *ns)
{
	struct timespec ts;

	return copy_from_user(&ts, addr, sizeof(ts)) ? -EFAULT : to_ns(ts.sec, ts.nsec, 1, ns);
}

int read_timeval(uint64_t addr, uint64_t *ns)
{
	struct timespec tv;

	return copy_from_user(&tv, addr, sizeof(tv)) ? -EFAULT : to_ns(tv.sec, tv.nsec, 1000, ns);
}

int write_timespec(uint64_t addr, uint64_t ns)
{
	struct timespec ts = {(int64_t)(ns / NS_PER_SECOND), (int64_t)(ns % NS_PER_SECOND)};

	return copy_to_user(addr, &ts, sizeof(ts));
}

int write_timeval(uint64_t addr, uint64_t ns)
{
	struct timespec tv = {(int64_t)(ns / NS_PER_SECOND), (int64_t)(ns % NS_PER_SECOND / 1000)};

	return copy_to_user(addr, &tv, sizeof(tv));
}

/* ---- Clocks --------------------------------------------------------------------------------------------- */

int read_clock(uint64_t id, uint64_t *ns)
{
	const struct thread *t = current();

	switch (id) {
	case 0:	 /* REALTIME */
	case 5:	 /* REALTIME_COARSE */
	case 11: /* TAI */
		*ns = clock_realtime();
		return 0;
	case 1: /* MONOTONIC */
	case 4: /* MONOTONIC_RAW */
	case 6: /* MONOTONIC_COARSE */
	case 7: /* BOOTTIME */
		*ns = clock_ns();
		return 0;
	case 2: /* PROCESS_CPUTIME_ID */
		*ns = (t->process->user_ticks + t->process->system_ticks + t->user_ticks +
		       t->kernel_ticks) *
		      (NS_PER_SECOND / HZ);
		return 0;
	case 3: /* THREAD_CPUTIME_ID */
		*ns = (t->user_ticks + t->kernel_ticks) * (NS_PER_SECOND / HZ);
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_clock_gettime(struct call *c)
{
	uint64_t ns;
	int err = read_clock(c->arg[0], &ns);

	return err ? err : write_timespec(c->arg[1], ns);
}

int64_t sys_clock_getres(struct call *c)
{
	uint64_t ns;
	int err = read_clock(c->arg[0], &ns);

	if (err || !c->arg[1])
		return err;
	return write_timespec(c->arg[1], c->arg[0] == 2 || c->arg[0] == 3 ? NS_PER_SECOND / HZ : 1);
}

int64_t sys_clock_settime(struct call *c)
{
	uint64_t ns;
	int err;

	if (c->arg[0] != 0)
		return -EINVAL;
	err = read_timespec(c->arg[1], &ns);
	if (!err && current_process()->euid)
		err = -EPERM;
	if (!err)
		clock_set_realtime(ns);
	return err;
}

int64_t sys_gettimeofday(struct call *c)
{
	static const int32_t zone[2];

	if (c->arg[0] && write_timeval(c->arg[0], clock_realtime()))
		return -EFAULT;
	return c->arg[1] && copy_to_user(c->arg[1], zone, sizeof(zone)) ? -EFAULT : 0;
}

int64_t sys_time(struct call *c)
{
	long now = (long)(clock_realtime() / NS_PER_SECOND);

	return c->arg[0] && put_user(now, c->arg[0]) ? -EFAULT : now;
}

/* ---- Sleeping --------------------------------------------------------------------------------------------- */

static int64_t sleep_until(uint64_t deadline, uint64_t rest, bool absolute)
{
	while (clock_ns() < deadline) {
		if (signal_pending(current())) {
			uint64_t now = clock_ns();

			if (!absolute && rest &&
			    write_timespec(rest, deadline > now ? deadline - now : 0))
				return -EFAULT;
			/* Begun anew where no handler runs, it would sleep too long: the rest is the caller's to sleep. */
			return absolute ? -ERESTARTNOHAND : -EINTR;
		}
		park(deadline);
	}
	return 0;
}

int64_t sys_nanosleep(struct call *c)
{
	uint64_t ns;
	int err = read_timespec(c->arg[0], &ns);

	return err ? err : sleep_until(clock_ns() + ns, c->arg[1], false);
}

int64_t sys_clock_nanosleep(struct call *c)
{
	uint64_t ns, now;
	int err;

	if (c->arg[0] == 3)
		return -EINVAL;
	err = read_clock(c->arg[0], &now);
	if (!err)
		err = read_timespec(c->arg[2], &ns);
	if (err)
		return err;
	if (!(c->arg[1] & 1))
		return sleep_until(clock_ns() + ns, c->arg[3], false);
	return sleep_until(ns > now ? clock_ns() + (ns - now) : 0, 0, true);
}

/* ---- The rest -------------------------------------------------------------------------------------------------- */

int64_t sys_getrandom(struct call *c)
{
	uint64_t left = min_u64(c->arg[1], 33554431), at = c->arg[0];
	char buf[256];

	if (c->arg[2] & ~7ull)
		return -EINVAL;
	if (!user_range_ok(at, left))
		return -EFAULT;
	while (left) {
		size_t n = (size_t)min_u64(left, sizeof(buf));

		random_bytes(buf, n);
		if (copy_to_user(at, buf, n))
			return at == c->arg[0] ? -EFAULT : (int64_t)(at - c->arg[0]);
		at += n;
		left -= n;
	}
	return (int64_t)(at - c->arg[0]);
}

int64_t sys_uname(struct call *c)
{
	static const char *const text[6] = {KERNEL_SYSNAME, "quire", KERNEL_RELEASE, KERNEL_VERSION,
#ifdef __x86_64__
					    "x86_64",
#else
					    "i686",
#endif
					    "(none)"};
	char name[6][65];
	unsigned i;

	memset(name, 0, sizeof(name));
	for (i = 0; i < 6; i++)
		ksnprintf(name[i], sizeof(name[i]), "%s", text[i]);
	return copy_to_user(c->arg[0], name, sizeof(name));
}

struct sysinfo {
	long uptime;
	unsigned long loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	uint16_t procs, padding;
	unsigned long totalhigh, freehigh;
	uint32_t mem_unit;
	char rest[20 - 2 * sizeof(long) - 4];
};

int64_t sys_sysinfo(struct call *c)
{
	struct sysinfo info;

	memset(&info, 0, sizeof(info));
	info.uptime = (long)(clock_ns() / NS_PER_SECOND);
	info.totalram = (unsigned long)Q->pages.total_pages;
	info.freeram = (unsigned long)quire_free_pages(Q);
	info.sharedram = (unsigned long)quire_stat_read(Q, QUIRE_STAT_SHMEM);
	info.procs = (uint16_t)process_count();
	info.mem_unit = (uint32_t)QUIRE_PAGE_SIZE;
	if (sizeof(long) == 8) {
		info.totalram <<= QUIRE_PAGE_SHIFT;
		info.freeram <<= QUIRE_PAGE_SHIFT;
		info.sharedram <<= QUIRE_PAGE_SHIFT;
		info.mem_unit = 1;
	}
	return copy_to_user(c->arg[0], &info, sizeof(info));
}

SYSCALL(sync, 0)

int64_t sys_reboot(struct call *c)
{
	if (current_process()->euid)
		return -EPERM;
	if ((uint32_t)c->arg[0] != 0xfee1dead)
		return -EINVAL;
	switch ((uint32_t)c->arg[2]) {
	case 0: /* Ctrl-Alt-Delete does nothing, or (0x89abcdef) all it can */
	case 0x89abcdef:
		return 0;
	default:
		if (boot_option("debugexit"))
			debug_exit(0x10);
		power_off();
	}
}

/* Sockets have no network to lead to: no family is there. Of the type, 4 bits are the type, the rest are flags. */
int64_t sys_socket(struct call *c)
{
	const uint32_t family = (uint32_t)c->arg[0], type = (uint32_t)c->arg[1];

	if ((type & ~(15u | O_CLOEXEC | O_NONBLOCK)) || (family < 46 && (type & 15) > 10))
		return -EINVAL;
	return -EAFNOSUPPORT;
}

int64_t sys_not_socket(struct call *c)
{
	struct file *file = fd_get((int)c->arg[0]);

	if (!file)
		return -EBADF;
	file_put(file);
	return -ENOTSOCK;
}

SYSCALL(restart_syscall, -EINTR)

/* SPDX-License-Identifier: MIT */
/* /proc outside of processes: memory as Quire tells it, the machine, what can be set, and the kernel's own counts. */
#include "fs/proc.h"
#include "syscall/syscall.h"

/* ---- The machine ------------------------------------------------------------------------------------ */

static int show_uptime(struct proc_text *t, struct process *p)
{
	uint64_t up = clock_ns() / 10000000, idle = 0;
	unsigned i;

	for (i = 0; i < nr_cpus; i++)
		idle += cpus[i].idle_ticks;
	idle = idle * 100 / HZ;
	proc_print(t, "%llu.%02llu %llu.%02llu\n", ULL(up / 100), ULL(up % 100), ULL(idle / 100),
		   ULL(idle % 100));
	return 0;
}

static int show_loadavg(struct proc_text *t, struct process *p)
{
	proc_print(t, "0.00 0.00 0.00 %u/%u %d\n", runnable_threads() + 1, process_count(),
		   current_process()->pid);
	return 0;
}

static int show_cpuinfo(struct proc_text *t, struct process *p)
{
	unsigned i;

	for (i = 0; i < nr_cpus; i++) {
		if (!cpus[i].online)
			continue;
		proc_print(
			t,
			"processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n",
			i, features.vendor, features.family, features.model, features.name);
		proc_print(t, "stepping\t: %u\ncpu MHz\t\t: %llu.%03llu\napicid\t\t: %u\n",
			   features.stepping, ULL(clock_tsc_khz() / 1000),
			   ULL(clock_tsc_khz() % 1000), cpus[i].apic_id);
		proc_print(t, "flags\t\t: fpu tsc msr pae apic fxsr sse sse2%s%s%s%s%s%s\n\n",
			   features.pge ? " pge" : "", features.nx ? " nx" : "",
			   features.huge ? " pdpe1gb" : "", features.smep ? " smep" : "",
			   features.smap ? " smap" : "", features.umip ? " umip" : "");
	}
	return 0;
}

static int show_stat(struct proc_text *t, struct process *p)
{
	uint64_t all = 0, idle = 0;
	unsigned i;

	for (i = 0; i < nr_cpus; i++) {
		all += cpus[i].ticks;
		idle += cpus[i].idle_ticks;
	}
	proc_print(t, "cpu  %llu 0 0 %llu 0 0 0 0 0 0\n", ULL((all - idle) * 100 / HZ),
		   ULL(idle * 100 / HZ));
	for (i = 0; i < nr_cpus; i++)
		proc_print(t, "cpu%u %llu 0 0 %llu 0 0 0 0 0 0\n", i,
			   ULL((cpus[i].ticks - cpus[i].idle_ticks) * 100 / HZ),
			   ULL(cpus[i].idle_ticks * 100 / HZ));
	proc_print(t, "ctxt 0\nbtime %llu\nprocesses %u\nprocs_running %u\nprocs_blocked 0\n",
		   ULL((clock_realtime() - clock_ns()) / NS_PER_SECOND), process_count(),
		   runnable_threads() + 1);
	return 0;
}

static int show_cmdline(struct proc_text *t, struct process *p)
{
	proc_print(t, "%s\n", command_line);
	return 0;
}

static int mounts_link(struct process *p, int fd, char *buf, size_t size)
{
	return ksnprintf(buf, size, "self/mounts");
}

static int self_link(struct process *p, int fd, char *buf, size_t size)
{
	return ksnprintf(buf, size, "%d", current_process()->pid);
}

static int thread_self_link(struct process *p, int fd, char *buf, size_t size)
{
	return ksnprintf(buf, size, "%d/task/%d", current_process()->pid, current()->tid);
}

/* ---- What can be set: /proc/sys ---------------------------------------------------------------------- */

static int parse(const char *text, uint64_t *value)
{
	uint64_t v = 0;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		if (v > UINT64_MAX / 10 - 1)
			return -EINVAL;
		v = v * 10 + (uint64_t)(*text - '0');
	}
	*value = v;
	return *text && *text != '\n' && *text != ' ' ? -EINVAL : 0;
}

/* also: what becomes of another one. */
#define SYSCTL(name, field, most, also)                                                            \
	static int show_##name(struct proc_text *t, struct process *p)                             \
	{                                                                                          \
		proc_print(t, "%llu\n", ULL(Q->mms.sysctl.field));                                 \
		return 0;                                                                          \
	}                                                                                          \
	static int store_##name(struct process *p, char *text)                                     \
	{                                                                                          \
		uint64_t value;                                                                    \
                                                                                                   \
		if (parse(text, &value) || value > (most))                                         \
			return -EINVAL;                                                            \
		Q->mms.sysctl.field = (__typeof__(Q->mms.sysctl.field))value;                      \
		also;                                                                              \
		return 0;                                                                          \
	}

SYSCTL(overcommit_memory, overcommit_memory, 2, )
SYSCTL(overcommit_ratio, overcommit_ratio, 100000, Q->mms.sysctl.overcommit_kbytes = 0)
SYSCTL(overcommit_kbytes, overcommit_kbytes, UINT64_MAX, Q->mms.sysctl.overcommit_ratio = 0)
SYSCTL(max_map_count, max_map_count, INT32_MAX, )
SYSCTL(mmap_min_addr, dac_mmap_min_addr, UINT32_MAX, )
SYSCTL(admin_reserve_kbytes, admin_reserve_kbytes, UINT64_MAX, )
SYSCTL(user_reserve_kbytes, user_reserve_kbytes, UINT64_MAX, )

static int show_random_uuid(struct proc_text *t, struct process *p)
{
	uint64_t a = random64(), b = random64();

	proc_print(t, "%08x-%04x-4%03x-%04x-%012llx\n", (uint32_t)a, (uint32_t)(a >> 32) & 0xffff,
		   (uint32_t)(a >> 48) & 0xfff, ((uint32_t)b & 0x3fff) | 0x8000, ULL(b >> 16));
	return 0;
}

/* ---- The kernel's own: /proc/quire --------------------------------------------------------------------- */

static int show_missing(struct proc_text *t, struct process *p)
{
	syscall_show_missing(t);
	return 0;
}

/*
 * What is in use, after all that is kept for later has been given back: a program leaves these as it found them. The text
 * itself and the file that is open to read it are the same each time.
 */
static int show_counts(struct proc_text *t, struct process *p)
{
	struct quire_list *pos, *tmp;
	uint64_t tables = 0;
	unsigned round;

	thread_drain();
	for (round = 0; round < 4; round++)
		quire_grace_wait(Q);
	(void)quire_slab_shrink_all(Q);
	quire_page_drain(Q);
	/* Of processes: the kernel's own stay for the next time. */
	for (round = 0; round < QUIRE_MAX_LEVELS; round++)
		tables += quire_load(&Q->kva.pt.tables[round]);
	tables = quire_stat_read(Q, QUIRE_STAT_PAGETABLE) - tables;
	proc_print(t,
		   "processes %u\nareas-of-the-kernel %llu\nvmalloc-pages %llu\npage-tables %llu\n",
		   process_count(), ULL(quire_load(&Q->vmalloc.nr_areas)),
		   ULL(quire_load(&Q->vmalloc.nr_pages)), ULL(tables));
	proc_print(t,
		   "anonymous-pages %llu\ncached-pages %llu\nmapped-pages %llu\ncommitted %lld\n",
		   ULL(quire_stat_read(Q, QUIRE_STAT_ANON_MAPPED)),
		   ULL(quire_stat_read(Q, QUIRE_STAT_FILE_PAGES)),
		   ULL(quire_stat_read(Q, QUIRE_STAT_FILE_MAPPED)),
		   (long long)quire_load(&Q->mms.committed));
	quire_list_for_each (pos, tmp, &Q->slabs.caches) {
		struct quire_cache *cache = quire_list_entry(pos, struct quire_cache, link);
		struct quire_cache_stat stat;

		quire_cache_stat(Q, cache, &stat);
		proc_print(t, "%s %llu\n", cache->name, ULL(stat.active_objects));
	}
	return 0;
}

static int show_cpus(struct proc_text *t, struct process *p)
{
	unsigned i;

	for (i = 0; i < nr_cpus; i++)
		proc_print(t, "cpu %u online %d ticks %llu idle %llu flushes %llu\n", i,
			   cpus[i].online, ULL(cpus[i].ticks), ULL(cpus[i].idle_ticks),
			   ULL(cpus[i].flushes));
	return 0;
}

#define IN(directory, name, mode, ...)                                                             \
	{                                                                                          \
		directory, name, S_IFREG | (mode), __VA_ARGS__                                     \
	}
#define SET(directory, name) IN(directory, #name, 0644, .show = show_##name, .store = store_##name)

const struct proc_node proc_system_nodes[] = {
	IN(PROC_ROOT, "buddyinfo", 0444, .of_all = quire_proc_buddyinfo),
	IN(PROC_ROOT, "cmdline", 0444, .show = show_cmdline),
	IN(PROC_ROOT, "cpuinfo", 0444, .show = show_cpuinfo),
	IN(PROC_ROOT, "filesystems", 0444, .text = "nodev\ttmpfs\nnodev\tproc\n"),
	IN(PROC_ROOT, "loadavg", 0444, .show = show_loadavg),
	IN(PROC_ROOT, "meminfo", 0444, .of_all = quire_proc_meminfo),
	{PROC_ROOT, "mounts", S_IFLNK | 0777, .link = mounts_link},
	{PROC_ROOT, "quire", S_IFDIR | 0555, .directory = PROC_QUIRE},
	{PROC_ROOT, "self", S_IFLNK | 0777, .link = self_link},
	IN(PROC_ROOT, "slabinfo", 0400, .of_all = quire_proc_slabinfo),
	IN(PROC_ROOT, "stat", 0444, .show = show_stat),
	{PROC_ROOT, "sys", S_IFDIR | 0555, .directory = PROC_SYS},
	{PROC_ROOT, "thread-self", S_IFLNK | 0777, .link = thread_self_link},
	IN(PROC_ROOT, "uptime", 0444, .show = show_uptime),
	IN(PROC_ROOT, "version", 0444,
	   .text = KERNEL_SYSNAME " version " KERNEL_RELEASE " (quire) " KERNEL_VERSION "\n"),
	IN(PROC_ROOT, "vmallocinfo", 0400, .of_all = quire_proc_vmallocinfo),
	IN(PROC_ROOT, "zoneinfo", 0444, .of_all = quire_proc_zoneinfo),
	{PROC_SYS, "kernel", S_IFDIR | 0555, .directory = PROC_SYS_KERNEL},
	{PROC_SYS, "vm", S_IFDIR | 0555, .directory = PROC_SYS_VM},
	SET(PROC_SYS_VM, admin_reserve_kbytes),
	SET(PROC_SYS_VM, max_map_count),
	SET(PROC_SYS_VM, mmap_min_addr),
	SET(PROC_SYS_VM, overcommit_kbytes),
	SET(PROC_SYS_VM, overcommit_memory),
	SET(PROC_SYS_VM, overcommit_ratio),
	SET(PROC_SYS_VM, user_reserve_kbytes),
	IN(PROC_SYS_VM, "swappiness", 0444, .text = "0\n"),
	IN(PROC_SYS_KERNEL, "hostname", 0444, .text = "quire\n"),
	IN(PROC_SYS_KERNEL, "osrelease", 0444, .text = KERNEL_RELEASE "\n"),
	IN(PROC_SYS_KERNEL, "ostype", 0444, .text = KERNEL_SYSNAME "\n"),
	IN(PROC_SYS_KERNEL, "pid_max", 0444, .text = "4194304\n"),
	IN(PROC_SYS_KERNEL, "randomize_va_space", 0444, .text = "2\n"),
	IN(PROC_SYS_KERNEL, "random_uuid", 0444, .show = show_random_uuid),
	IN(PROC_QUIRE, "counts", 0444, .show = show_counts),
	IN(PROC_QUIRE, "cpus", 0444, .show = show_cpus),
	IN(PROC_QUIRE, "layout", 0444, .of_all = quire_proc_layout),
	IN(PROC_QUIRE, "missing", 0444, .show = show_missing),
	{.name = NULL},
};

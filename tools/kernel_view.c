/* SPDX-License-Identifier: MIT */
/*
 * Reading /proc; see kernel_view.h. Called by the tracer between a program's steps; the processes
 * that are read may run meanwhile (other threads do), so every text is taken as it comes.
 *
 * Sources: proc_pid_maps(5), proc_pid_smaps(5), proc_pid_pagemap(5), PAGEMAP_SCAN and PROCMAP_QUERY in
 * ioctl form (linux/fs.h of 6.7 and 6.11; written out here since older headers lack them).
 */
#include "kernel_view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

/* ---- Small files ------------------------------------------------------------------------- */

static bool read_fd(int fd, struct text *t)
{
	char buf[65536];
	ssize_t n;
	off_t pos = 0;

	text_clear(t);
	while ((n = pread(fd, buf, sizeof(buf), pos)) > 0) {
		text_add(t, buf, (size_t)n);
		pos += n;
	}
	return n == 0 && t->len > 0;
}

static bool read_file(const char *path, struct text *t)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = read_fd(fd, t);
	close(fd);
	return ok;
}

static bool read_proc(pid_t tid, const char *name, struct text *t)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	return read_file(path, t);
}

/* ---- The machine ------------------------------------------------------------------------- */

static uint64_t read_number(const char *path, uint64_t otherwise)
{
	struct text t = { 0 };
	uint64_t v = otherwise;

	if (read_file(path, &t))
		v = strtoull(t.p, NULL, 10);
	text_free(&t);
	return v;
}

static uint64_t meminfo_pages(const char *meminfo, const char *key)
{
	const char *p = strstr(meminfo, key);

	return p ? strtoull(p + strlen(key), NULL, 10) * 1024 / QUIRE_PAGE_SIZE : 0;
}

/* Does this kernel place large anonymous maps on multiples of 2 MiB? One page in front makes chance unlikely, a second try more so. */
static uint64_t probe_anon_align(void)
{
	const size_t huge = 2u << 20;
	bool aligned = true;
	int i;

	for (i = 0; i < 2 && aligned; i++) {
		char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		char *large = mmap(NULL, 2 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		aligned = large != MAP_FAILED && (uintptr_t)large % huge == 0;
		if (large != MAP_FAILED)
			munmap(large, 2 * huge);
		if (page != MAP_FAILED && !aligned)
			munmap(page, 4096);
	}
	return aligned ? huge : 0;
}

/* The file of that name shows one of the two limits that Linux goes by; hints are raised to the larger. */
static uint64_t probe_min_addr(void)
{
	char *p = mmap((void *)4096, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p != MAP_FAILED)
		munmap(p, 4096);
	return p != MAP_FAILED && (uintptr_t)p <= 1u << 20 ? (uintptr_t)p : 65536;
}

/* A kernel that is built without a thing does not know the advice about it. */
static bool knows_advice(int advice)
{
	char *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool known = p != MAP_FAILED && madvise(p, 4096, advice) == 0;

	if (p != MAP_FAILED)
		munmap(p, 4096);
	return known;
}

void view_system(struct world_system *system)
{
	struct text t = { 0 };
	const char *p;

	*system = (struct world_system){
		.max_map_count = read_number("/proc/sys/vm/max_map_count", 65530),
		.overcommit_memory = read_number("/proc/sys/vm/overcommit_memory", 0),
		.overcommit_ratio = read_number("/proc/sys/vm/overcommit_ratio", 50),
		.overcommit_kbytes = read_number("/proc/sys/vm/overcommit_kbytes", 0),
		.admin_reserve_kbytes = read_number("/proc/sys/vm/admin_reserve_kbytes", 8192),
		.user_reserve_kbytes = read_number("/proc/sys/vm/user_reserve_kbytes", 131072),
		.dac_mmap_min_addr = read_number("/proc/sys/vm/mmap_min_addr", 65536),
		.mmap_min_addr = probe_min_addr(),
		.stack_guard_gap = 256 * QUIRE_PAGE_SIZE,
		.anon_align = probe_anon_align(),
		.thp = knows_advice(MADV_NOHUGEPAGE),
		.ksm = knows_advice(MADV_UNMERGEABLE),
		.forbid_zeropage = host_forbids_zeropage(),
	};
	if (read_file("/proc/meminfo", &t))
		system->total_pages = meminfo_pages(t.p, "MemTotal:") + meminfo_pages(t.p, "SwapTotal:");
	if (read_file("/proc/cmdline", &t) && (p = strstr(t.p, "stack_guard_gap=")))
		system->stack_guard_gap = strtoull(p + 16, NULL, 10) * QUIRE_PAGE_SIZE;
	text_free(&t);
}

/* ---- One space --------------------------------------------------------------------------- */

bool view_open(struct view *v, pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)tid);
	v->maps = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)tid);
	v->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	v->no_scan = v->no_query = false;
	return v->maps >= 0 && v->pagemap >= 0;
}

void view_close(struct view *v)
{
	if (v->maps >= 0)
		close(v->maps);
	if (v->pagemap >= 0)
		close(v->pagemap);
	v->maps = v->pagemap = -1;
}

bool view_maps(struct view *v, struct text *t)
{
	return read_fd(v->maps, t);
}

/* ---- maps and smaps ---------------------------------------------------------------------- */

static struct world_area *new_area(struct view_areas *areas)
{
	if (areas->nr == areas->cap) {
		areas->cap = areas->cap ? areas->cap * 2 : 64;
		areas->area = tool_realloc(areas->area, areas->cap * sizeof(*areas->area));
	}
	memset(&areas->area[areas->nr], 0, sizeof(areas->area[0]));
	return &areas->area[areas->nr++];
}

void view_free_areas(struct view_areas *areas)
{
	size_t i;

	for (i = 0; i < areas->nr; i++)
		free(areas->area[i].name);
	free(areas->area);
	free(areas->tail);
	*areas = (struct view_areas){ 0 };
}

/* "55e0d000-55e0e000 r--p 00002000 fe:00 247134     /usr/bin/cat": false if the line is none of these. */
static bool parse_line(const char *line, size_t len, struct world_area *area)
{
	char perms[5];
	unsigned long long start, end, offset, inode;
	unsigned major, minor;
	int name = 0;

	if (sscanf(line, "%llx-%llx %4[-rwxsp] %llx %x:%x %llu%n", &start, &end, perms, &offset, &major, &minor,
		   &inode, &name) != 7)
		return false;
	/* Of a line that ends too soon, the fields were those of the next. */
	if ((size_t)name > len)
		return false;
	while ((size_t)name < len && line[name] == ' ')
		name++;
	*area = (struct world_area){
		.start = start,
		.end = end,
		.flags = (perms[0] == 'r' ? QUIRE_VM_READ : 0) | (perms[1] == 'w' ? QUIRE_VM_WRITE : 0) |
			 (perms[2] == 'x' ? QUIRE_VM_EXEC : 0) | (perms[3] == 's' ? QUIRE_VM_MAYSHARE : 0),
		.pgoff = offset >> QUIRE_PAGE_SHIFT,
		.dev_major = major,
		.dev_minor = minor,
		.inode = inode,
		.name = tool_strndup(line + name, len - (size_t)name),
	};
	return true;
}

/* The letter pairs of VmFlags. Those of things that Quire has no name for keep Linux's bit. */
static const struct {
	char name[3];
	uint64_t flag;
} flag_names[] = {
	{ "rd", QUIRE_VM_READ },       { "wr", QUIRE_VM_WRITE },      { "ex", QUIRE_VM_EXEC },
	{ "sh", QUIRE_VM_SHARED },     { "mr", QUIRE_VM_MAYREAD },    { "mw", QUIRE_VM_MAYWRITE },
	{ "me", QUIRE_VM_MAYEXEC },    { "ms", QUIRE_VM_MAYSHARE },   { "gd", QUIRE_VM_GROWSDOWN },
	{ "pf", QUIRE_VM_PFNMAP },     { "lo", QUIRE_VM_LOCKED },     { "io", QUIRE_VM_IO },
	{ "sr", QUIRE_VM_SEQ_READ },   { "rr", QUIRE_VM_RAND_READ },  { "dc", QUIRE_VM_DONTCOPY },
	{ "de", QUIRE_VM_DONTEXPAND }, { "lf", QUIRE_VM_LOCKONFAULT }, { "ac", QUIRE_VM_ACCOUNT },
	{ "nr", QUIRE_VM_NORESERVE },  { "ht", QUIRE_VM_HUGETLB },    { "sf", QUIRE_VM_SYNC },
	{ "ar", QUIRE_VM_ARCH_1 },     { "wf", QUIRE_VM_WIPEONFORK }, { "dd", QUIRE_VM_DONTDUMP },
	{ "sd", QUIRE_VM_SOFTDIRTY },  { "mm", QUIRE_VM_MIXEDMAP },   { "hg", QUIRE_VM_HUGEPAGE },
	{ "nh", QUIRE_VM_NOHUGEPAGE }, { "mg", QUIRE_VM_MERGEABLE },  { "sl", QUIRE_VM_SEALED },
	{ "dp", QUIRE_VM_DROPPABLE },  { "um", 1ull << 9 },	      { "uw", 1ull << 12 },
	{ "ui", 1ull << 38 },
};

static uint64_t parse_flags(const char *p, const char *end)
{
	uint64_t flags = 0;
	size_t i;

	while (p + 2 <= end) {
		if (*p == ' ') {
			p++;
			continue;
		}
		for (i = 0; i < QUIRE_ARRAY_SIZE(flag_names); i++) {
			if (p[0] == flag_names[i].name[0] && p[1] == flag_names[i].name[1])
				flags |= flag_names[i].flag;
		}
		p += 2;
	}
	return flags;
}

/* User space ends here; [vsyscall] does not count. */
#define USER_END (UINT64_C(1) << 63)

static void parse_text(const char *p, struct view_areas *areas)
{
	struct world_area area, *last = NULL;
	const char *end;

	*areas = (struct view_areas){ 0 };
	for (; *p; p = *end ? end + 1 : end) {
		end = strchr(p, '\n');
		if (!end)
			end = p + strlen(p);
		if (strncmp(p, "VmFlags:", 8) == 0) {
			if (last)
				last->flags = parse_flags(p + 8, end);
		} else if (*p >= 'A' && *p <= 'Z') {
			continue;
		} else if (parse_line(p, (size_t)(end - p), &area)) {
			last = NULL;
			if (area.start >= USER_END) {
				free(area.name);
				free(areas->tail);
				areas->tail = tool_strndup(p, (size_t)(end - p) + (*end == '\n'));
			} else {
				last = new_area(areas);
				*last = area;
			}
		}
	}
	if (!areas->tail)
		areas->tail = tool_strdup("");
}

void view_parse_maps(const char *text, struct view_areas *areas)
{
	parse_text(text, areas);
}

bool view_smaps(pid_t tid, struct view_areas *areas)
{
	struct text t = { 0 };
	bool ok = read_proc(tid, "smaps", &t);

	*areas = (struct view_areas){ 0 };
	if (ok)
		parse_text(t.p, areas);
	text_free(&t);
	return ok && areas->nr;
}

/* By the area's own link where we may follow it; else by its path, if that is still the same file. */
static uint64_t size_of(pid_t tid, const struct world_area *a)
{
	char path[PATH_MAX + 64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)tid, (unsigned long long)a->start,
		 (unsigned long long)a->end);
	if (stat(path, &st)) {
		snprintf(path, sizeof(path), "/proc/%d/root%s", (int)tid, a->name);
		if (stat(path, &st) || st.st_ino != a->inode)
			return WORLD_SIZE_UNKNOWN;
	}
	return S_ISREG(st.st_mode) ? (uint64_t)st.st_size : WORLD_SIZE_UNKNOWN;
}

void view_sizes(pid_t tid, struct view_areas *areas)
{
	size_t i;

	for (i = 0; i < areas->nr; i++)
		areas->area[i].size = areas->area[i].inode ? size_of(tid, &areas->area[i]) : WORLD_SIZE_UNKNOWN;
}

/* ---- One area ---------------------------------------------------------------------------- */

struct procmap_query {
	uint64_t size, flags, addr;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t dev_major, dev_minor, name_size, build_id_size;
	uint64_t name, build_id;
};
#define VIEW_PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
#define VIEW_QUERY_SHARED 0x08

static bool query_text(struct view *v, uint64_t addr, struct view_area *area, char *name)
{
	struct view_areas areas;
	struct text t = { 0 };
	bool found = false;
	size_t i;

	if (!view_maps(v, &t)) {
		text_free(&t);
		return false;
	}
	parse_text(t.p, &areas);
	text_free(&t);
	for (i = 0; i < areas.nr && !found; i++) {
		const struct world_area *a = &areas.area[i];

		if (addr < a->start || addr >= a->end)
			continue;
		*area = (struct view_area){
			.start = a->start,
			.end = a->end,
			.offset = a->pgoff << QUIRE_PAGE_SHIFT,
			.inode = a->inode,
			.dev_major = a->dev_major,
			.dev_minor = a->dev_minor,
			.shared = (a->flags & QUIRE_VM_MAYSHARE) != 0,
		};
		if (name)
			snprintf(name, PATH_MAX, "%s", a->name);
		found = true;
	}
	view_free_areas(&areas);
	return found;
}

bool view_query(struct view *v, uint64_t addr, struct view_area *area, char *name)
{
	struct procmap_query q = {
		.size = sizeof(q),
		.addr = addr,
		.name = (uintptr_t)name,
		.name_size = name ? PATH_MAX : 0,
	};

	if (!v->no_query) {
		if (name)
			name[0] = '\0';
		if (ioctl(v->maps, VIEW_PROCMAP_QUERY, &q) == 0) {
			*area = (struct view_area){
				.start = q.start,
				.end = q.end,
				.offset = q.offset,
				.inode = q.inode,
				.dev_major = q.dev_major,
				.dev_minor = q.dev_minor,
				.shared = (q.vma_flags & VIEW_QUERY_SHARED) != 0,
			};
			return true;
		}
		if (errno != ENOTTY && errno != EINVAL)
			return false;
		v->no_query = true;
	}
	return query_text(v, addr, area, name);
}

/* ---- Private pages ----------------------------------------------------------------------- */

struct page_region {
	uint64_t start, end, categories;
};
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define VIEW_PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#define VIEW_PAGE_IS_FILE (1u << 2)
#define VIEW_PAGE_IS_PRESENT (1u << 3)
#define VIEW_PAGE_IS_SWAPPED (1u << 4)
#define VIEW_PAGE_IS_PFNZERO (1u << 5)

#define PM_FILE (UINT64_C(1) << 61)
#define PM_SWAP (UINT64_C(1) << 62)
#define PM_PRESENT (UINT64_C(1) << 63)
#define PM_EXCLUSIVE (UINT64_C(1) << 56)

/*
 * Kernels before 6.7: page by page. The zero page reads like a page of the process's own but for
 * the exclusive mark, which it never has; a page that fork shares hasn't either, but then its area
 * had an owner before the fork.
 */
static bool find_private_by_reading(struct view *v, uint64_t start, uint64_t end, uint64_t *addr)
{
	uint64_t entry[512], pos = start;
	ssize_t n, i;

	while (pos < end) {
		size_t want = (end - pos) >> QUIRE_PAGE_SHIFT;

		if (want > QUIRE_ARRAY_SIZE(entry))
			want = QUIRE_ARRAY_SIZE(entry);
		n = pread(v->pagemap, entry, want * 8, (off_t)(pos >> QUIRE_PAGE_SHIFT) * 8);
		if (n < 8)
			return false;
		for (i = 0; i < n / 8; i++, pos += QUIRE_PAGE_SIZE) {
			if (entry[i] & PM_FILE)
				continue;
			if (entry[i] & PM_SWAP || (entry[i] & PM_PRESENT && entry[i] & PM_EXCLUSIVE)) {
				*addr = pos;
				return true;
			}
		}
	}
	return false;
}

bool view_find_private(struct view *v, uint64_t start, uint64_t end, uint64_t *addr)
{
	const uint64_t never = VIEW_PAGE_IS_FILE | VIEW_PAGE_IS_PFNZERO;
	const uint64_t any = VIEW_PAGE_IS_PRESENT | VIEW_PAGE_IS_SWAPPED;
	struct page_region region;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		.category_inverted = never,
		.category_mask = never,
		.category_anyof_mask = any,
		.return_mask = any,
	};
	int n;

	if (!v->no_scan) {
		n = ioctl(v->pagemap, VIEW_PAGEMAP_SCAN, &arg);
		if (n > 0)
			*addr = region.start;
		if (n >= 0)
			return n > 0;
		if (errno != ENOTTY && errno != EINVAL)
			return false;
		v->no_scan = true;
	}
	return find_private_by_reading(v, start, end, addr);
}

/* ---- One process ------------------------------------------------------------------------- */

/* Fields of /proc/PID/stat, numbered from 1 as in the manual page, after the name in parentheses. */
bool view_stat(pid_t tid, struct quire_layout *layout)
{
	struct text t = { 0 };
	uint64_t field[64] = { 0 };
	unsigned n = 3;
	char *p;
	bool ok = read_proc(tid, "stat", &t);

	p = ok ? strrchr(t.p, ')') : NULL;
	if (!p || !p[1]) {
		text_free(&t);
		return false;
	}
	p += 2; /* field 3, a letter */
	while (*p && n + 1 < QUIRE_ARRAY_SIZE(field)) {
		while (*p && *p != ' ')
			p++;
		field[++n] = strtoull(p, &p, 10);
	}
	layout->start_code = field[26];
	layout->end_code = field[27];
	layout->start_stack = field[28];
	layout->start_data = field[45];
	layout->end_data = field[46];
	layout->start_brk = field[47];
	layout->arg_start = field[48];
	layout->arg_end = field[49];
	layout->env_start = field[50];
	layout->env_end = field[51];
	text_free(&t);
	return true;
}

bool view_auxv(pid_t tid, struct quire_layout *layout)
{
	struct text t = { 0 };
	size_t i, width = layout->compat ? 4 : 8;
	bool ok = read_proc(tid, "auxv", &t);

	for (i = 0; ok && i < QUIRE_ARRAY_SIZE(layout->auxv) && (i + 1) * width <= t.len; i++) {
		uint32_t narrow;

		if (layout->compat) {
			memcpy(&narrow, t.p + i * 4, 4);
			layout->auxv[i] = narrow;
		} else {
			memcpy(&layout->auxv[i], t.p + i * 8, 8);
		}
	}
	text_free(&t);
	return ok;
}

static bool limits_from_text(pid_t tid, struct quire_limits *limits)
{
	static const struct {
		const char *name;
		size_t offset;
	} rows[] = {
		{ "Max address space", offsetof(struct quire_limits, as) },
		{ "Max data size", offsetof(struct quire_limits, data) },
		{ "Max stack size", offsetof(struct quire_limits, stack) },
		{ "Max locked memory", offsetof(struct quire_limits, memlock) },
	};
	struct text t = { 0 };
	bool ok = read_proc(tid, "limits", &t);
	size_t i;

	for (i = 0; ok && i < QUIRE_ARRAY_SIZE(rows); i++) {
		const char *p = strstr(t.p, rows[i].name);
		uint64_t *value = (uint64_t *)(void *)((char *)limits + rows[i].offset);

		if (!p)
			continue;
		p += strlen(rows[i].name);
		p += strspn(p, " ");
		*value = strncmp(p, "unlimited", 9) == 0 ? QUIRE_RLIM_INFINITY : strtoull(p, NULL, 10);
	}
	text_free(&t);
	return ok;
}

bool view_limits(pid_t tid, struct quire_limits *limits)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, tid };
	struct __user_cap_data_struct cap[2] = { { 0 } };
	struct rlimit as, data, stack, memlock;
	uint64_t effective;

	if (prlimit(tid, RLIMIT_AS, NULL, &as) || prlimit(tid, RLIMIT_DATA, NULL, &data) ||
	    prlimit(tid, RLIMIT_STACK, NULL, &stack) || prlimit(tid, RLIMIT_MEMLOCK, NULL, &memlock)) {
		if (!limits_from_text(tid, limits))
			return false;
	} else {
		limits->as = as.rlim_cur;
		limits->data = data.rlim_cur;
		limits->stack = stack.rlim_cur;
		limits->memlock = memlock.rlim_cur;
	}
	if (syscall(SYS_capget, &header, cap) == 0) {
		effective = cap[0].effective | (uint64_t)cap[1].effective << 32;
		limits->cap_ipc_lock = effective >> CAP_IPC_LOCK & 1;
		limits->cap_sys_admin = effective >> CAP_SYS_ADMIN & 1;
		limits->cap_sys_nice = effective >> CAP_SYS_NICE & 1;
		limits->cap_sys_rawio = effective >> CAP_SYS_RAWIO & 1;
	}
	return true;
}

unsigned long view_personality(pid_t tid)
{
	struct text t = { 0 };
	unsigned long v = 0;

	if (read_proc(tid, "personality", &t))
		v = strtoul(t.p, NULL, 16);
	text_free(&t);
	return v;
}

#define PF_SIGNALED 0x400u

bool view_was_killed(pid_t tid)
{
	struct text t = { 0 };
	unsigned flags = 0;
	char *p;

	if (read_proc(tid, "stat", &t) && (p = strrchr(t.p, ')')))
		sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %u", &flags);
	text_free(&t);
	return flags & PF_SIGNALED;
}

bool view_is_zombie(pid_t tid)
{
	struct text t = { 0 };
	bool zombie = false;
	char *p;

	if (read_proc(tid, "stat", &t) && (p = strrchr(t.p, ')')))
		zombie = p[1] && (p[2] == 'Z' || p[2] == 'X');
	text_free(&t);
	return zombie;
}

void view_program(pid_t tid, char *buf, size_t size)
{
	char path[64], exe[PATH_MAX];
	const char *base;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)tid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n < 0)
		n = 0;
	exe[n] = '\0';
	base = strrchr(exe, '/');
	snprintf(buf, size, "%s", base ? base + 1 : n ? exe : "?");
}

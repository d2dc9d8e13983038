/* SPDX-License-Identifier: MIT */
/*
 * Linux as the judge: random calls and accesses, made by a child process on the running kernel and
 * by Quire on the simulated machine, compared step by step: what the call returned, the whole maps
 * text, the byte or the signal (number, code, address) of an access; VmFlags of smaps at the end of a round.
 *
 * A round is one child, fresh from exec, and up to STEPS steps, made from the round's number alone.
 * A round that differs is shrunk by leaving steps out for as long as it still differs, and printed.
 *
 * usage: judge [--seed N] [--rounds N] [--steps N] [--seconds S] CHILD
 * Exit: 0 no difference, 1 a difference, 77 this kernel does not let us judge.
 */
#define _GNU_SOURCE
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <machine.h>

#include "child.h"

#define MAX_STEPS 400
#define WINDOW_START 0x100000000000ull
#define WINDOW_PAGES 24
#define PAGE 4096ull
#define FILE_PAGES 6
#define NR_SLOTS 4

/* ---- Steps -------------------------------------------------------------------------------- */

struct step {
	enum command command;
	int64_t nr;
	uint64_t arg[6];
	int slot_arg;  /* this argument is relative to slot; -1: none */
	int slot;
	int into_slot; /* the result goes there; -1 */
};

static uint64_t random_state;

static uint64_t rnd(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint64_t below(uint64_t n)
{
	return rnd() % n;
}

static bool one_in(uint64_t n)
{
	return below(n) == 0;
}

static uint64_t any_address(void)
{
	switch (below(40)) {
	case 0:
		return 0;
	case 1:
		return WINDOW_START + below(WINDOW_PAGES) * PAGE + below(PAGE);
	case 2:
		return 0x7ffffffff000ull - below(3) * PAGE;
	case 3:
		return ~0ull - below(3) * PAGE;
	case 4:
		return below(40) * PAGE;
	default:
		return WINDOW_START + below(WINDOW_PAGES) * PAGE;
	}
}

static uint64_t any_length(void)
{
	switch (below(40)) {
	case 0:
		return 0;
	case 1:
		return below(WINDOW_PAGES * PAGE);
	case 2:
		return ~0ull - below(2 * PAGE);
	case 3:
		return 1ull << (30 + below(18));
	default:
		return (1 + below(one_in(4) ? WINDOW_PAGES : 5)) * PAGE;
	}
}

static uint64_t any_prot(void)
{
	static const uint8_t common[] = { 3, 3, 3, 1, 1, 0, 5, 7, 2, 4, 6 };

	if (one_in(60))
		return rnd() & 0x0300000full;
	return common[below(sizeof(common))];
}

/* Aims an address argument at an earlier result now and then. */
static void aim(struct step *s, int arg)
{
	if (!one_in(6))
		return;
	s->slot_arg = arg;
	s->slot = (int)below(NR_SLOTS);
	s->arg[arg] = below(4) * PAGE;
}

static void make_mmap(struct step *s)
{
	uint64_t flags;

	s->nr = SYS_mmap;
	s->arg[0] = any_address();
	s->arg[1] = any_length();
	s->arg[2] = any_prot();
	flags = one_in(3) ? MAP_SHARED : MAP_PRIVATE;
	if (one_in(50))
		flags = below(16);
	s->arg[4] = ~0ull;
	if (one_in(3)) {
		s->arg[4] = FILE_FD + below(NR_FILES);
		s->arg[5] = below(FILE_PAGES) * PAGE;
		if (one_in(40))
			s->arg[5] = rnd() >> below(64);
	} else {
		flags |= MAP_ANONYMOUS;
	}
	if (!one_in(4))
		flags |= MAP_FIXED;
	else if (one_in(2))
		flags |= MAP_FIXED_NOREPLACE;
	else if (one_in(2))
		s->arg[0] = 0;
	if (one_in(12))
		flags |= MAP_NORESERVE;
	if (one_in(14))
		flags |= MAP_GROWSDOWN;
	if (one_in(14))
		flags |= MAP_STACK;
	if (one_in(14))
		flags |= MAP_LOCKED;
	if (one_in(14))
		flags |= MAP_POPULATE;
	if (one_in(30))
		flags |= MAP_DENYWRITE | MAP_EXECUTABLE;
	if (one_in(60))
		flags |= 1ull << below(27);
	/* No pool of huge pages is modelled; MAP_32BIT starts at a random place. */
	flags &= ~(uint64_t)(MAP_HUGETLB | MAP_32BIT);
	/*
	 * Shared memory that overcommit refuses: Linux has taken away by then what MAP_FIXED was to
	 * replace, Quire has changed nothing (docs/conformance.md).
	 */
	if ((flags & MAP_ANONYMOUS) && (flags & MAP_SHARED) && s->arg[1] > 1ull << 33)
		s->arg[1] = PAGE;
	/* Nor may a round fill the host's memory. */
	if (s->arg[1] > 64 * PAGE)
		flags &= ~(uint64_t)MAP_POPULATE;
	s->arg[3] = flags;
	s->into_slot = (int)below(NR_SLOTS);
}

static void make_step(struct step *s)
{
	static const int advices[] = { 0, 1, 2, 3, 4, 4, 4, 8, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
				       21, 22, 23, 24, 102, 102, 103, 103, 5, 99 };
	uint64_t pick = below(100);

	memset(s, 0, sizeof(*s));
	s->slot_arg = s->into_slot = -1;
	s->command = CMD_CALL;
	if (pick < 22) {
		make_mmap(s);
	} else if (pick < 34) {
		s->nr = SYS_munmap;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		if (s->arg[1] > WINDOW_PAGES * PAGE && s->arg[1] < 1ull << 47)
			s->arg[1] = PAGE;
		aim(s, 0);
	} else if (pick < 48) {
		s->nr = SYS_mprotect;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = any_prot();
		aim(s, 0);
	} else if (pick < 58) {
		s->nr = SYS_mremap;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = one_in(2) ? s->arg[1] : any_length();
		s->arg[3] = one_in(20) ? below(16) : (uint64_t[]){ 0, 1, 1, 3, 3, 5, 7 }[below(7)];
		s->arg[4] = any_address();
		aim(s, 0);
		s->into_slot = (int)below(NR_SLOTS);
	} else if (pick < 68) {
		s->nr = SYS_madvise;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = (uint64_t)advices[below(sizeof(advices) / sizeof(advices[0]))];
		if ((s->arg[2] == 22 || s->arg[2] == 23) && s->arg[1] < 1ull << 60)
			s->arg[1] %= 64 * PAGE;
		aim(s, 0);
	} else if (pick < 73) {
		s->nr = (int64_t[]){ SYS_mlock, SYS_munlock, SYS_mlock2, SYS_msync, SYS_munlock }[below(5)];
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = s->nr == SYS_msync ? (uint64_t[]){ 1, 4, 2, 6, 0, 5 }[below(6)] : below(3);
		aim(s, 0);
	} else if (pick < 74) {
		s->nr = one_in(2) ? SYS_munlockall : SYS_mlockall;
		s->arg[0] = below(9);
	} else if (pick < 75) {
		s->nr = SYS_brk;
		s->arg[0] = one_in(4) ? any_address() : (below(32) * PAGE + below(3));
		s->slot_arg = s->arg[0] < 64 * PAGE ? 6 : -1; /* 6: relative to the first break */
	} else if (pick < 76 && one_in(4)) {
		s->nr = 462; /* mseal */
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = one_in(10);
	} else if (pick < 77) {
		s->nr = SYS_remap_file_pages;
		s->arg[0] = any_address();
		s->arg[1] = any_length();
		s->arg[2] = one_in(10) ? any_prot() : 0;
		s->arg[3] = below(FILE_PAGES);
		s->arg[4] = one_in(10) ? rnd() & 0x1ffff : 0;
		aim(s, 0);
	} else if (pick < 92) {
		s->command = CMD_STORE;
		s->arg[0] = any_address();
		s->arg[1] = 1 + below(255);
		aim(s, 0);
		/* The first byte of a page may be executed: it is a return instruction or was never written. */
		if (s->arg[0] % PAGE == 0 && one_in(2))
			s->arg[0] += 1 + below(PAGE - 1);
		else if (s->arg[0] % PAGE == 0)
			s->arg[1] = 0xc3;
	} else if (pick < 98) {
		s->command = CMD_LOAD;
		s->arg[0] = any_address();
		aim(s, 0);
	} else {
		s->command = CMD_EXECUTE;
		s->arg[0] = any_address() & ~(PAGE - 1);
	}
}

static const char *call_name(const struct step *s)
{
	switch (s->command) {
	case CMD_LOAD: return "load";
	case CMD_STORE: return "store";
	case CMD_EXECUTE: return "execute";
	default: break;
	}
	switch (s->nr) {
	case SYS_mmap: return "mmap";
	case SYS_munmap: return "munmap";
	case SYS_mprotect: return "mprotect";
	case SYS_mremap: return "mremap";
	case SYS_madvise: return "madvise";
	case SYS_mlock: return "mlock";
	case SYS_mlock2: return "mlock2";
	case SYS_munlock: return "munlock";
	case SYS_mlockall: return "mlockall";
	case SYS_munlockall: return "munlockall";
	case SYS_msync: return "msync";
	case SYS_brk: return "brk";
	case SYS_remap_file_pages: return "remap_file_pages";
	case 462: return "mseal";
	}
	return "?";
}

/* ---- Linux's side -------------------------------------------------------------------------- */

static const char *child_path;
static char report[1 << 16];
static uint64_t round_number;
static struct quire_limits limits;
static struct channel *channel;
static int channel_fd;
static int file_fd[NR_FILES];
static char file_path[NR_FILES][64];
static pid_t child;

static void fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("judge: ", stderr);
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	fprintf(stderr, "round %" PRIu64 ":\n%s", round_number, report);
	if (child > 0)
		kill(child, SIGKILL);
	exit(2);
}

static void child_turn(void)
{
	unsigned spins;
	int status;

	__atomic_store_n(&channel->turn, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &channel->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
	for (spins = 0; __atomic_load_n(&channel->turn, __ATOMIC_ACQUIRE) == 1; spins++) {
		struct timespec tick = { 0, 100000000 };

		if (spins < 2000)
			continue;
		syscall(SYS_futex, &channel->turn, FUTEX_WAIT, 1, &tick, NULL, 0);
		if (__atomic_load_n(&channel->turn, __ATOMIC_ACQUIRE) == 1 && waitpid(child, &status, WNOHANG) == child) {
			child = 0;
			fail("the child died with status %#x at call %" PRId64 "(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64
			     ", %#" PRIx64 "), command %u", status, channel->nr, channel->arg[0], channel->arg[1],
			     channel->arg[2], channel->arg[3], channel->arg[4], channel->command);
		}
	}
}

/* Files: a tmpfs one opened for both, the same opened a second time, one for reading, a disk one. */
static void make_files(void)
{
	static const char *const folder[NR_FILES] = { "/dev/shm", NULL, "/dev/shm", "/var/tmp" };
	char block[PAGE];
	int i, j;

	for (i = 0; i < NR_FILES; i++) {
		int fd;

		if (!folder[i]) {
			strcpy(file_path[i], file_path[0]);
			file_fd[i] = open(file_path[0], O_RDWR | O_CLOEXEC);
			continue;
		}
		snprintf(file_path[i], sizeof(file_path[i]), "%s/quire-judge.%d.%d", folder[i], getpid(), i);
		fd = open(file_path[i], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0)
			fail("cannot make %s: %s", file_path[i], strerror(errno));
		for (j = 0; j < FILE_PAGES - 1; j++) {
			memset(block, 0x10 * i + j + 1, sizeof(block));
			block[0] = (char)0xc3;
			if (write(fd, block, j == FILE_PAGES - 2 ? 100 : sizeof(block)) < 0)
				fail("cannot write %s: %s", file_path[i], strerror(errno));
		}
		if (i == 2) {
			close(fd);
			fd = open(file_path[i], O_RDONLY | O_CLOEXEC);
		}
		file_fd[i] = fd;
	}
}

static void drop_files(void)
{
	int i;

	for (i = 0; i < NR_FILES; i++) {
		unlink(file_path[i]);
		close(file_fd[i]);
	}
}

static void start_child(void)
{
	int i;

	channel->ready = 0;
	channel->turn = 1;
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		char *const argv[] = { (char *)child_path, NULL }, *const envp[] = { NULL };

		dup2(channel_fd, CHANNEL_FD);
		for (i = 0; i < NR_FILES; i++)
			dup2(file_fd[i], FILE_FD + i);
		setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ limits.memlock, limits.memlock });
		if (limits.data != QUIRE_RLIM_INFINITY)
			setrlimit(RLIMIT_DATA, &(struct rlimit){ limits.data, limits.data });
		if (limits.as != QUIRE_RLIM_INFINITY)
			setrlimit(RLIMIT_AS, &(struct rlimit){ limits.as, limits.as });
		/* Nobody in particular: a process with capabilities could lock all of the host's memory. */
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(127);
		execve(child_path, argv, envp);
		_exit(127);
	}
	while (!__atomic_load_n(&channel->ready, __ATOMIC_ACQUIRE) || __atomic_load_n(&channel->turn, __ATOMIC_ACQUIRE)) {
		int status;

		if (waitpid(child, &status, WNOHANG) == child) {
			child = 0;
			fail("cannot start %s: status %#x", child_path, status);
		}
	}
}

static void stop_child(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	child = 0;
}

static size_t read_proc(const char *name, char *buf, size_t size)
{
	char path[64];
	size_t used = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", child, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("%s: %s", path, strerror(errno));
	while (used < size - 1 && (n = read(fd, buf + used, size - 1 - used)) > 0)
		used += (size_t)n;
	buf[used] = 0;
	close(fd);
	return used;
}

/* ---- Quire's side -------------------------------------------------------------------------- */

#define MAX_ADOPTED 32

struct file {
	struct quire_object *object;
	struct quire_object own;
	struct quire_file file;
	char path[128];
	bool hole[FILE_PAGES];
	int number; /* of the pattern; -1: content does not matter */
};

static struct machine *machine;
static struct quire *q;
static struct quire_mm *mm;
static struct file files[NR_FILES];
static struct file adopted[MAX_ADOPTED];
static int nr_adopted;
static quire_uaddr_t first_break;

static int read_pattern(struct quire_object *object, struct quire_page *page)
{
	struct file *f = object->private_data;
	unsigned char *bytes;

	if (f->number < 0 || page->index >= FILE_PAGES - 1 || f->hole[page->index])
		return 0;
	bytes = quire_page_kmap(q, page);
	memset(bytes, 0x10 * f->number + (int)page->index + 1, page->index == FILE_PAGES - 2 ? 100 : PAGE);
	bytes[0] = 0xc3;
	quire_page_kunmap(q, bytes);
	return 0;
}

static int punch(struct quire_object *object, uint64_t start, uint64_t end)
{
	struct file *f = object->private_data;
	uint64_t i;

	for (i = start / PAGE; i < end / PAGE && i < FILE_PAGES; i++)
		f->hole[i] = true;
	return 0;
}

static const struct quire_file_ops pattern_ops = { .read_page = read_pattern, .punch_hole = punch };

static void set_up_file(struct file *f, struct file *same, int number, uint64_t size, uint32_t flags,
			const struct stat *st, const char *path)
{
	memset(f, 0, sizeof(*f));
	f->number = number;
	if (same) {
		f->object = &same->own;
	} else {
		quire_object_init(q, &f->own, &pattern_ops, size, QUIRE_OBJECT_NOSYNC);
		f->own.private_data = f;
		f->object = &f->own;
	}
	snprintf(f->path, sizeof(f->path), "%s", path);
	f->file = (struct quire_file){
		.object = f->object, .flags = flags, .refs = 1, .path = f->path,
		.inode = st->st_ino, .dev_major = (uint32_t)(st->st_dev >> 8) & 0xfff,
		.dev_minor = (uint32_t)(st->st_dev & 0xff) | (uint32_t)((st->st_dev >> 12) & 0xfff00),
	};
}

static uint64_t parse_flags(const char *text)
{
	static const struct {
		char name[3];
		uint64_t flag;
	} names[] = {
		{ "rd", QUIRE_VM_READ }, { "wr", QUIRE_VM_WRITE }, { "ex", QUIRE_VM_EXEC }, { "sh", QUIRE_VM_SHARED },
		{ "mr", QUIRE_VM_MAYREAD }, { "mw", QUIRE_VM_MAYWRITE }, { "me", QUIRE_VM_MAYEXEC },
		{ "ms", QUIRE_VM_MAYSHARE }, { "gd", QUIRE_VM_GROWSDOWN }, { "pf", QUIRE_VM_PFNMAP },
		{ "io", QUIRE_VM_IO }, { "de", QUIRE_VM_DONTEXPAND }, { "dd", QUIRE_VM_DONTDUMP },
		{ "ac", QUIRE_VM_ACCOUNT }, { "mm", QUIRE_VM_MIXEDMAP }, { "sl", QUIRE_VM_SEALED },
		{ "nr", QUIRE_VM_NORESERVE }, { "dc", QUIRE_VM_DONTCOPY }, { "nh", QUIRE_VM_NOHUGEPAGE },
		{ "lo", QUIRE_VM_LOCKED },
	};
	uint64_t flags = 0;
	size_t i;

	for (; text[0] >= 'a'; text += 3) {
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!memcmp(text, names[i].name, 2))
				break;
		if (i == sizeof(names) / sizeof(names[0]))
			fail("unknown flag in smaps: %.2s", text);
		flags |= names[i].flag;
	}
	return flags;
}

/* The kernel's own mappings cannot be cut. */
static int never_split(struct quire_vma *vma, quire_uaddr_t addr)
{
	return -QUIRE_EINVAL;
}

static const struct quire_vm_ops named_ops[] = {
	{ .name = "[vvar]", .may_split = never_split },
	{ .name = "[vdso]", .may_split = never_split },
	{ .name = "[vvar_vclock]", .may_split = never_split },
};

/* Build mm as the kernel set the child up. */
static void adopt_child(void)
{
	static char smaps[1 << 16], stat_text[4096];
	struct quire_layout layout = { 0 };
	struct { uint64_t start, end; bool private; } area[MAX_ADOPTED];
	int nr_areas = 0, i, pagemap, err;
	char *line, *next, *p;
	uint64_t v[52] = { 0 };
	struct stat st = { 0 };

	read_proc("stat", stat_text, sizeof(stat_text));
	p = strrchr(stat_text, ')') + 4; /* field 4 follows the state */
	for (i = 4; i < 52; i++)
		v[i] = strtoull(p, &p, 10);
	layout.task_size = 0x7ffffffff000;
	layout.mmap_legacy_base = layout.task_size / 3 & ~(PAGE - 1);
	layout.map_32bit_start = 0x40000000;
	layout.topdown = true;
	layout.start_code = v[26];
	layout.end_code = v[27];
	layout.start_stack = v[28];
	layout.start_data = v[45];
	layout.end_data = v[46];
	layout.start_brk = v[47];
	layout.brk = v[47];
	layout.arg_start = v[48];
	layout.arg_end = v[49];
	layout.env_start = v[50];
	layout.env_end = v[51];
	read_proc("smaps", smaps, sizeof(smaps));
	for (line = smaps; *line; line = next) {
		char name[32] = "";
		uint64_t start, end;

		next = strchr(line, '\n') + 1;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*s %*s %*s %31s", &start, &end, name) >= 2 &&
		    start < layout.task_size && strcmp(name, "[stack]") && start > CHANNEL_ADDRESS)
			layout.mmap_base = end;
		if (!strcmp(name, "[heap]"))
			layout.brk = end; /* page-rounded; the C library breaks on pages at start-up or not at all */
	}
	/* Below lies what the C library has on the heap, its thread's own block among it. */
	first_break = layout.brk;
	err = quire_mm_create(q, &layout, &mm);
	if (err)
		fail("mm_create: %d", err);
	nr_adopted = 0;
	for (line = smaps; *line; line = next) {
		struct quire_area_desc desc = { 0 };
		char name[128] = "", *flags, *block_end;
		unsigned major, minor;
		uint64_t inode, offset;
		size_t k;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %x:%x %" SCNu64 " %127s", &desc.start,
			   &desc.end, &offset, &major, &minor, &inode, name) < 6)
			fail("cannot read smaps: %.60s", line);
		flags = strstr(line, "VmFlags: ");
		block_end = strchr(flags, '\n');
		next = block_end + 1;
		if (desc.start >= layout.task_size)
			continue; /* [vsyscall] */
		desc.flags = parse_flags(flags + 9);
		if (inode) {
			for (i = 0; i < nr_adopted; i++)
				if (!strcmp(adopted[i].path, name))
					break;
			if (i == nr_adopted) {
				uint64_t dev = ((uint64_t)major << 8) | minor;

				st.st_ino = inode;
				st.st_dev = dev;
				set_up_file(&adopted[nr_adopted++], NULL, -1, 1 << 30,
					    QUIRE_FILE_READ | QUIRE_FILE_WRITE, &st, name);
				adopted[i].file.dev_major = major;
				adopted[i].file.dev_minor = minor;
				if (!strncmp(name, "/memfd:", 7)) {
					strcat(adopted[i].path, " (deleted)");
				}
			}
			desc.file = &adopted[i].file;
			desc.pgoff = offset / PAGE;
		} else {
			desc.pgoff = desc.start / PAGE;
			for (k = 0; k < 3; k++)
				if (!strcmp(name, named_ops[k].name))
					desc.ops = &named_ops[k];
		}
		err = quire_insert_vm_area(mm, &desc);
		if (err)
			fail("insert %s: %d", name, err);
		area[nr_areas].start = desc.start;
		area[nr_areas].end = desc.end;
		area[nr_areas++].private = !(desc.flags & (QUIRE_VM_SHARED | QUIRE_VM_PFNMAP | QUIRE_VM_IO | QUIRE_VM_MIXEDMAP));
	}
	/* What the loader and the child's start-up wrote has an owner. */
	{
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/pagemap", child);
		pagemap = open(path, O_RDONLY | O_CLOEXEC);
	}
	for (i = 0; i < nr_areas; i++) {
		uint64_t addr, entry;

		for (addr = area[i].start; area[i].private && addr < area[i].end; addr += PAGE) {
			struct quire_page *page;

			if (pread(pagemap, &entry, 8, (off_t)(addr / PAGE * 8)) != 8)
				fail("cannot read pagemap");
			if (!(entry >> 63) || (entry >> 61 & 1) || !(entry >> 56 & 1))
				continue;
			err = quire_get_user_page(mm, addr, QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE, &page);
			if (err)
				fail("adopting a written page at %#lx: %d", addr, err);
			quire_page_put(q, page);
			break;
		}
	}
	close(pagemap);
}

static int64_t our_call(const struct step *s, const uint64_t *a)
{
	struct quire_file *file = NULL;

	switch (s->nr) {
	case SYS_mmap:
		if (a[5] & (PAGE - 1))
			return -EINVAL;
		if (!(a[3] & MAP_ANONYMOUS)) {
			if (a[4] < FILE_FD || a[4] >= FILE_FD + NR_FILES)
				return -EBADF;
			file = &files[a[4] - FILE_FD].file;
		}
		return quire_mmap(mm, a[0], a[1], (uint32_t)a[2], (uint32_t)a[3], file, a[5]);
	case SYS_munmap:
		return quire_munmap(mm, a[0], a[1]);
	case SYS_mprotect:
		return quire_mprotect(mm, a[0], a[1], (uint32_t)a[2]);
	case SYS_mremap:
		return quire_mremap(mm, a[0], a[1], a[2], (uint32_t)a[3], a[4]);
	case SYS_madvise:
		return quire_madvise(mm, a[0], a[1], (int)a[2]);
	case SYS_mlock:
		return quire_mlock(mm, a[0], a[1]);
	case SYS_mlock2:
		return quire_mlock2(mm, a[0], a[1], (uint32_t)a[2]);
	case SYS_munlock:
		return quire_munlock(mm, a[0], a[1]);
	case SYS_mlockall:
		return quire_mlockall(mm, (uint32_t)a[0]);
	case SYS_munlockall:
		return quire_munlockall(mm);
	case SYS_msync:
		return quire_msync(mm, a[0], a[1], (uint32_t)a[2]);
	case SYS_brk:
		return (int64_t)quire_brk(mm, a[0]);
	case SYS_remap_file_pages:
		return quire_remap_file_pages(mm, a[0], a[1], (uint32_t)a[2], a[3], (uint32_t)a[4]);
	case 462:
		return quire_mseal(mm, a[0], a[1], a[2]);
	}
	return -ENOSYS;
}

/* The access as the machine's CPU 0 makes it. */
static int64_t our_access(const struct step *s, const uint64_t *a, struct quire_signal *sig)
{
	unsigned char byte = (unsigned char)a[1];

	memset(sig, 0, sizeof(*sig));
	switch (s->command) {
	case CMD_LOAD:
		return machine_load(machine, a[0], &byte, 1, sig) ? 0 : byte;
	case CMD_STORE:
		machine_store(machine, a[0], &byte, 1, sig);
		return 0;
	default:
		machine_fetch(machine, a[0], &byte, 1, sig);
		return byte;
	}
}

/* ---- A round ------------------------------------------------------------------------------- */

struct text {
	struct quire_sink sink;
	char *to;
	size_t used, size;
};

static int text_emit(struct quire_sink *sink, const char *text, size_t len)
{
	struct text *t = (struct text *)sink;

	if (t->used + len >= t->size)
		fail("text buffer too small");
	memcpy(t->to + t->used, text, len);
	t->used += len;
	t->to[t->used] = 0;
	return 0;
}

static char linux_text[1 << 18], our_text[1 << 18];
static uint64_t nr_steps_compared;

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	size_t used = strlen(report);
	va_list ap;

	va_start(ap, format);
	vsnprintf(report + used, sizeof(report) - used, format, ap);
	va_end(ap);
}

/* The lines that differ, with one line around, from two texts. */
static void say_texts(const char *theirs, const char *ours)
{
	const char *text[2] = { theirs, ours };
	const char *who[2] = { "Linux", "Quire" };
	int i;

	for (i = 0; i < 2; i++) {
		const char *line = text[i], *end;

		for (; *line; line = end) {
			char copy[300];
			size_t len;

			end = strchr(line, '\n') + 1;
			len = (size_t)(end - line);
			if (len >= sizeof(copy))
				len = sizeof(copy) - 1;
			memcpy(copy, line, len);
			copy[len] = 0;
			if (!strstr(text[!i], copy))
				say("  %s has  %s", who[i], copy);
		}
	}
}

/*
 * Shared anonymous memory gets its inode from a counter of all of the kernel's. Which number it is
 * says nothing, which areas have the same one does: each of Linux's stands for one of ours.
 */
static struct { uint64_t theirs, ours; } inodes[MAX_STEPS];
static int nr_inodes;

static void translate_inodes(char *theirs, char *ours)
{
	char *a, *b;
	int i;

	for (a = theirs, b = ours; *a && *b; a = strchr(a, '\n') + 1, b = strchr(b, '\n') + 1) {
		uint64_t x, y;
		char *in_a, *in_b, *end_a, *end_b;

		if (!strstr(a, "/dev/zero (deleted)\n") ||
		    strchr(a, '\n') != strstr(a, "/dev/zero (deleted)\n") + 19)
			continue;
		in_a = a + strcspn(a, ":") + 4;
		in_b = b + strcspn(b, ":") + 4;
		if (in_b > strchr(b, '\n'))
			continue;
		x = strtoull(in_a, &end_a, 10);
		y = strtoull(in_b, &end_b, 10);
		for (i = 0; i < nr_inodes && inodes[i].theirs != x && inodes[i].ours != y; i++)
			;
		if (i == nr_inodes && nr_inodes < MAX_STEPS) {
			inodes[nr_inodes].theirs = x;
			inodes[nr_inodes++].ours = y;
		}
		if (i == nr_inodes || inodes[i].theirs != x || inodes[i].ours != y)
			continue;
		memset(in_a, '#', 8);
		memset(in_b, '#', 8);
		memset(in_a + 8, ' ', (size_t)(end_a > in_a + 8 ? end_a - in_a - 8 : 0));
		memset(in_b + 8, ' ', (size_t)(end_b > in_b + 8 ? end_b - in_b - 8 : 0));
	}
}

static bool compare_maps(void)
{
	struct text t = { .sink.emit = text_emit, .to = our_text, .size = sizeof(our_text) };
	char *vsyscall;

	read_proc("maps", linux_text, sizeof(linux_text));
	vsyscall = strstr(linux_text, "ffffffffff600000-");
	if (vsyscall)
		*vsyscall = 0;
	our_text[0] = 0;
	quire_proc_maps(mm, &t.sink);
	translate_inodes(linux_text, our_text);
	if (!strcmp(linux_text, our_text))
		return true;
	say("maps differ:\n");
	say_texts(linux_text, our_text);
	return false;
}

/* VmFlags of every area, and what private anonymous memory adds up to. */
static bool compare_smaps(void)
{
	struct text t = { .sink.emit = text_emit, .to = our_text, .size = sizeof(our_text) };
	char *a, *b, area[100] = "";

	read_proc("smaps", linux_text, sizeof(linux_text));
	our_text[0] = 0;
	quire_proc_smaps(mm, &t.sink);
	for (a = linux_text, b = our_text; *a && *b; a = strchr(a, '\n') + 1, b = strchr(b, '\n') + 1) {
		size_t len = strcspn(a, "\n");

		if (a[0] >= '0' && a[0] <= 'f' && strchr("0123456789abcdef", a[0])) {
			if (!strncmp(a, "ffffffffff600000", 16))
				return true;
			snprintf(area, sizeof(area), "%.*s", (int)strcspn(a, "\n"), a);
		}
		if (strncmp(a, "VmFlags", 7) && strncmp(a, "Size", 4) && strncmp(a, "Anonymous", 9) &&
		    strncmp(a, "Swap:", 5))
			continue;
		if (strncmp(a, "Anonymous", 9) == 0 && strncmp(area, "1000000", 7))
			continue; /* outside the window only one page an area was taken over */
		if (len != strcspn(b, "\n") || memcmp(a, b, len)) {
			say("smaps of %s differ:\n  Linux has %.*s\n  Quire has %.*s\n", area, (int)len, a,
			    (int)strcspn(b, "\n"), b);
			return false;
		}
	}
	return true;
}

/*
 * mremap(MREMAP_DONTUNMAP) of a locked area leaves the source unlocked, but Linux goes on counting
 * it in VmLck for ever (docs/conformance.md). What it counts too much shrinks the limit for us.
 */
static void follow_locked(void)
{
	char *line;
	uint64_t theirs;

	read_proc("status", linux_text, sizeof(linux_text));
	line = strstr(linux_text, "VmLck:");
	theirs = line ? strtoull(line + 6, NULL, 10) * 1024 : 0;
	if (limits.memlock != QUIRE_RLIM_INFINITY && theirs > mm->locked_vm * PAGE)
		mm->limits.memlock = limits.memlock - (theirs - mm->locked_vm * PAGE);
}

static void describe(const struct step *s, const uint64_t *a)
{
	if (s->command == CMD_CALL)
		say("%s(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 ")",
		    call_name(s), a[0], a[1], a[2], a[3], a[4], a[5]);
	else
		say("%s(%#" PRIx64 ", %#" PRIx64 ")", call_name(s), a[0], a[1]);
}

static void begin_round(void)
{
	char block[PAGE];
	int i, j;

	for (i = 0; i < NR_FILES; i++) {
		struct stat st;
		int fd = open(file_path[i], O_RDWR | O_CLOEXEC);

		if (fd < 0 || (i != 1 && ftruncate(fd, 0)))
			fail("%s: %s", file_path[i], strerror(errno));
		for (j = 0; i != 1 && j < FILE_PAGES - 1; j++) {
			memset(block, 0x10 * i + j + 1, sizeof(block));
			block[0] = (char)0xc3;
			if (pwrite(fd, block, j == FILE_PAGES - 2 ? 100 : sizeof(block), (off_t)(j * PAGE)) < 0)
				fail("cannot write %s: %s", file_path[i], strerror(errno));
		}
		close(fd);
		fstat(file_fd[i], &st);
		set_up_file(&files[i], i == 1 ? &files[0] : NULL, i, (FILE_PAGES - 2) * PAGE + 100,
			    QUIRE_FILE_READ | (i == 2 ? 0 : QUIRE_FILE_WRITE), &st, file_path[i]);
		if (i < 3)
			files[i].own.flags |= QUIRE_OBJECT_SHMEM;
		else
			files[i].file.map_align = 2 << 20;
	}
	start_child();
	adopt_child();
	mm->limits = limits;
	machine_switch(machine, &mm->pt);
}

static void end_round(void)
{
	quire_broken_t broken;
	int i;

	stop_child();
	machine_switch(machine, NULL);
	quire_mmput(mm);
	quire_grace_wait(q);
	for (i = 0; i < NR_FILES; i++)
		if (files[i].object == &files[i].own)
			quire_object_put(&files[i].own);
	for (i = 0; i < nr_adopted; i++)
		quire_object_put(&adopted[i].own);
	broken = quire_page_check(q);
	if (broken)
		fail("after a round: %s", broken);
}

/* A fetch that will be refused, or meets the return instruction that a store has put there. */
static bool may_execute(quire_uaddr_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);
	unsigned char *bytes, byte = 0;
	struct quire_page *page;
	quire_pte_t pte;

	if (!vma || (vma->start > addr && !(vma->flags & QUIRE_VM_GROWSDOWN)) || !(vma->flags & QUIRE_VM_EXEC))
		return true;
	quire_grace_enter(q);
	pte = vma->start <= addr ? quire_pgtable_peek(&mm->pt, addr) : 0;
	if (pte && quire_pte_kind(mm->pt.fmt, pte) == QUIRE_PTE_PAGE) {
		page = quire_pfn_to_page(q, quire_pte_pfn(mm->pt.fmt, pte));
		bytes = quire_page_kmap(q, page);
		byte = bytes[addr % PAGE];
		quire_page_kunmap(q, bytes);
	}
	quire_grace_leave(q);
	return byte == 0xc3;
}

/* What the kernel and the loader set up for the child is taken over as areas, without its contents. */
static bool is_adopted(quire_uaddr_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);

	if (!vma || vma->start > addr)
		return false;
	return vma->ops || (vma->file && vma->file >= &adopted[0].file && vma->file <= &adopted[MAX_ADOPTED - 1].file);
}

/* Would the call reach the child's own program, channel or stack? Then it is not made. */
static bool hits_child(const struct step *s, const uint64_t *a)
{
	uint64_t len = s->nr == SYS_mremap && a[2] > a[1] ? a[2] : a[1], at;

	/*
	 * Of an mremap whose tail meets a mapping that cannot be cut Linux has done a part by then, Quire
	 * nothing (docs/conformance.md).
	 */
	if (s->nr == SYS_mremap && a[2] < a[1] && a[1] - a[2] > 1ull << 33 && a[1] < 1ull << 46)
		return true; /* and a shrinking move is charged for what it gives up */
	if (s->nr == SYS_mremap && a[2] < a[1] && (a[3] & MREMAP_FIXED) &&
	    a[1] > 0x7ffffffff000ull - a[0])
		return true;
	if (s->nr == SYS_mremap && a[2] < a[1])
		for (at = a[0] + a[2]; at < a[0] + a[1] && at < a[0] + a[2] + 64 * PAGE; at += PAGE)
			if (is_adopted(at))
				return true;
	if (s->nr == SYS_brk || s->nr == SYS_mlockall || s->nr == SYS_munlockall)
		return false;
	if (a[0] + len < a[0])
		return false; /* refused anyway */
	if (a[0] + len > 0x7ffffffff000ull) /* so too, but for madvise, which goes on over holes */
		return s->nr == SYS_madvise && a[0] < 0x7ffffffff000ull;
	if (a[0] < WINDOW_START)
		return a[0] + len > 0x400000;
	if (a[0] < CHANNEL_ADDRESS)
		return a[0] + len > CHANNEL_ADDRESS;
	return a[0] + len > mm->layout.mmap_base;
}

/* True if all steps that are not left out answer alike. Steps are numbered for the report. */
static bool play(const struct step *steps, int n, const bool *left_out, bool show)
{
	uint64_t slot[NR_SLOTS] = { 0 };
	bool same = true;
	int i;

	report[0] = 0;
	nr_inodes = 0;
	begin_round();
	for (i = 0; i < n && same; i++) {
		const struct step *s = &steps[i];
		struct quire_signal sig = { 0 };
		uint64_t a[6];
		int64_t ours = 0, theirs;
		quire_broken_t broken;

		if (left_out[i])
			continue;
		memcpy(a, s->arg, sizeof(a));
		if (s->slot_arg == 6)
			a[0] += first_break;
		else if (s->slot_arg >= 0)
			a[s->slot_arg] += slot[s->slot];
		if (s->command != CMD_CALL && a[0] >= 0x7fffffffefffull)
			continue;
		if (s->command == CMD_CALL ? hits_child(s, a) : is_adopted(a[0]))
			continue;
		channel->command = s->command;
		channel->nr = s->nr;
		memcpy(channel->arg, a, sizeof(a));
		if (s->command == CMD_CALL) {
			ours = our_call(s, a);
		} else {
			if (s->command == CMD_EXECUTE && !may_execute(a[0]))
				continue;
			ours = our_access(s, a, &sig);
			if (s->command == CMD_EXECUTE)
				ours = 0;
		}
		child_turn();
		theirs = channel->result;
		nr_steps_compared++;
		if (s->into_slot >= 0 && theirs >= 0)
			slot[s->into_slot] = (uint64_t)theirs;
		if (show) {
			say("%3d ", i);
			describe(s, a);
			if (s->command == CMD_CALL)
				say(" = %#" PRIx64 "\n", theirs);
			else
				say(" = signal %d\n", channel->signo);
		}
		if (s->command == CMD_CALL) {
			if (ours != theirs) {
				describe(s, a);
				say(": Linux %#" PRIx64 " (%" PRId64 "), Quire %#" PRIx64 " (%" PRId64 ")\n", theirs,
				    theirs, ours, ours);
				same = false;
			}
		} else if (channel->signo != sig.signo ||
			   (sig.signo && (channel->code != sig.code || channel->address != sig.addr))) {
			describe(s, a);
			say(": Linux signal %d code %d address %#" PRIx64 ", Quire signal %d code %d address %#" PRIx64 "\n",
			    channel->signo, channel->code, channel->address, sig.signo, sig.code, sig.addr);
			same = false;
		} else if (!sig.signo && ours != theirs) {
			describe(s, a);
			say(": Linux %#" PRIx64 ", Quire %#" PRIx64 "\n", theirs, ours);
			same = false;
		}
		if (s->command == CMD_CALL && s->nr == SYS_mremap && (a[3] & MREMAP_DONTUNMAP) && theirs >= 0)
			follow_locked();
		broken = quire_mm_check(mm);
		if (broken) {
			describe(s, a);
			say(": Quire's own check: %s\n", broken);
			same = false;
		}
		if (!compare_maps()) {
			say("after ");
			describe(s, a);
			say("\n");
			same = false;
		}
	}
	if (same)
		same = compare_smaps();
	end_round();
	return same;
}

static void shrink(const struct step *steps, int n, bool *left_out)
{
	int chunk, i, j;

	for (chunk = n / 2; chunk >= 1; chunk /= 2) {
		for (i = 0; i < n; i += chunk) {
			bool saved[MAX_STEPS];
			bool any = false;

			memcpy(saved, left_out, sizeof(saved));
			for (j = i; j < i + chunk && j < n; j++) {
				any |= !left_out[j];
				left_out[j] = true;
			}
			if (any && play(steps, n, left_out, false))
				memcpy(left_out, saved, sizeof(saved));
		}
	}
}

/* ---- Command line --------------------------------------------------------------------------- */

static uint64_t seed = 1, rounds = 0;
static int steps_per_round = 120, seconds = 20;

static bool verbose;
static const char *without = "";

static bool is_left_out(const struct step *s)
{
	const char *name = call_name(s), *at = strstr(without, name);
	size_t len = strlen(name);

	return at && (at == without || at[-1] == ',') && (at[len] == ',' || !at[len]);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 's': seed = strtoull(arg, NULL, 0); break;
	case 'r': rounds = strtoull(arg, NULL, 0); break;
	case 'n': steps_per_round = atoi(arg); break;
	case 'v': verbose = true; break;
	case 'w': without = arg; break;
	case 't': seconds = atoi(arg); break;
	case ARGP_KEY_ARG: child_path = arg; break;
	case ARGP_KEY_END:
		if (!child_path || steps_per_round < 1 || steps_per_round > MAX_STEPS)
			argp_usage(state);
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "seed", 's', "N", 0, "first round's number", 0 },
		{ "rounds", 'r', "N", 0, "rounds; default: as many as the seconds allow", 0 },
		{ "steps", 'n', "N", 0, "steps a round", 0 },
		{ "without", 'w', "CALL,...", 0, "calls to leave out: mremap,madvise,store", 0 },
		{ "verbose", 'v', NULL, 0, "keep every step in the report", 0 },
		{ "seconds", 't', "S", 0, "time to spend", 0 },
		{ 0 },
	};
	static const struct argp argp = { options, parse, "CHILD", "Compare Quire with the running Linux.", NULL, NULL, NULL };
	static struct step steps[MAX_STEPS];
	struct timespec began, now;
	uint64_t round, done = 0;
	int i, status = 0;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (getuid()) {
		puts("judge: needs root to read the child's pagemap: skipped");
		return 77;
	}
	channel_fd = memfd_create("channel", MFD_CLOEXEC);
	if (channel_fd < 0 || ftruncate(channel_fd, PAGE))
		fail("memfd: %s", strerror(errno));
	channel = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, channel_fd, 0);
	make_files();
	if (machine_create(&(struct machine_config){ .ram_bytes = 1ull << 30 }, &machine))
		fail("no machine");
	q = machine_quire(machine);
	q->mms.sysctl.anon_align = 2 << 20;
	/* The kernel's own floor, which no file in /proc shows, is where CONFIG_LSM_MMAP_MIN_ADDR puts it. */
	q->mms.sysctl.mmap_min_addr = 65536;
	q->mms.sysctl.dac_mmap_min_addr = 4096;
	q->mms.sysctl.thp_available = true;
	q->mms.sysctl.ksm_available = true;
	q->mms.sysctl.overcommit_total_pages = (uint64_t)sysconf(_SC_PHYS_PAGES);
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (round = seed; rounds ? done < rounds : true; round++, done++) {
		bool left_out[MAX_STEPS] = { false };

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (!rounds && now.tv_sec - began.tv_sec >= seconds)
			break;
		round_number = round;
		random_state = round * 0x2545f4914f6cdd1dull;
		limits = (struct quire_limits){
			.as = QUIRE_RLIM_INFINITY, .data = QUIRE_RLIM_INFINITY, .stack = 8 << 20,
			.memlock = (uint64_t[]){ 0, 16 * PAGE, 4096 * PAGE, 64 * PAGE }[below(4)],
		};
		if (one_in(6))
			limits.data = (below(8) + 4) << 18;
		if (one_in(6))
			limits.as = (below(64) + 32) << 19;
		for (i = 0; i < steps_per_round; i++)
			do
				make_step(&steps[i]);
			while (is_left_out(&steps[i]));
		if (play(steps, steps_per_round, left_out, verbose))
			continue;
		printf("round %" PRIu64 ": %s", round, report);
		fflush(stdout);
		shrink(steps, steps_per_round, left_out);
		play(steps, steps_per_round, left_out, true);
		printf("shrunk (limits: memlock %" PRIu64 " data %" PRIu64 " as %" PRIu64 "):\n%s", limits.memlock, limits.data,
		       limits.as, report);
		status = 1;
		done++;
		break;
	}
	drop_files();
	if (machine_destroy(machine))
		status = 1;
	printf("judge: %" PRIu64 " rounds, %" PRIu64 " steps compared, %s\n", done, nr_steps_compared,
	       status ? "a difference" : "no difference");
	return status;
}

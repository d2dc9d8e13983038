/* SPDX-License-Identifier: MIT */
/*
 * The judge's space in Quire on the simulated machine: files with the same contents as the
 * child's, a space taken over from what /proc shows of the fresh child, the calls and accesses.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "judge.h"


struct file {
	struct quire_object *object;
	struct quire_object own;
	struct quire_file file;
	char path[128];
	bool hole[FILE_PAGES];
	uint64_t end; /* of what is left of the pattern */
	int number; /* of the pattern; -1: content does not matter */
};

struct machine *machine;
struct quire *q;
struct quire_mm *mm;
static struct file files[NR_FILES];
static struct file adopted[MAX_ADOPTED];
static int nr_adopted;
quire_uaddr_t first_break;

static int read_pattern(struct quire_object *object, struct quire_page *page)
{
	struct file *f = object->private_data;
	uint64_t pos = page->index * PAGE;
	unsigned char *bytes;

	bytes = quire_page_kmap(q, page);
	memset(bytes, 0, PAGE);
	if (f->number >= 0 && pos < f->end && !f->hole[page->index]) {
		memset(bytes, 0x10 * f->number + (int)page->index + 1, f->end - pos < PAGE ? f->end - pos : PAGE);
		bytes[0] = 0xc3;
	}
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
	f->end = FILE_BYTES;
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

/* What mlock() finds there; nobody looks at it. */
static int some_page(struct quire_vmf *vmf)
{
	vmf->page = quire_page_alloc(q, QUIRE_GFP_USER, 0);
	return vmf->page ? 0 : -QUIRE_ENOMEM;
}

static const struct quire_vm_ops named_ops[] = {
	{ .name = "[vvar]", .may_split = never_split },
	{ .name = "[vdso]", .may_split = never_split, .fault = some_page },
	{ .name = "[vvar_vclock]", .may_split = never_split },
};

static void set_up_files(void)
{
	int i;

	for (i = 0; i < NR_FILES; i++) {
		struct stat st;

		fstat(file_fd[i], &st);
		set_up_file(&files[i], i == 1 ? &files[0] : NULL, i, FILE_BYTES,
			    QUIRE_FILE_READ | (i == READ_ONLY_FILE ? 0 : QUIRE_FILE_WRITE), &st, file_path[i]);
		if (i != DISK_FILE)
			files[i].own.flags |= QUIRE_OBJECT_SHMEM;
		else
			files[i].file.map_align = 2 << 20;
	}
}

void adopt_child(void)
{
	static char smaps[1 << 16], stat_text[4096];
	struct quire_layout layout = { 0 };
	struct { uint64_t start, end; bool private; } area[MAX_ADOPTED];
	int nr_areas = 0, i, err;
	char *line, *next, *p;
	uint64_t v[52] = { 0 };
	struct stat st = { 0 };

	set_up_files();
	read_proc("stat", stat_text, sizeof(stat_text));
	p = strrchr(stat_text, ')') + 4; /* field 4 follows the state */
	for (i = 4; i < 52; i++)
		v[i] = strtoull(p, &p, 10);
	layout.task_size = TASK_END;
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
	for (i = 0; i < nr_areas; i++) {
		uint64_t addr;

		for (addr = area[i].start; area[i].private && addr < area[i].end; addr += PAGE) {
			struct quire_page *page;

			if (!child_page_is_own(addr))
				continue;
			err = quire_get_user_page(mm, addr, QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE, &page);
			if (err)
				fail("adopting a written page at %#" PRIx64 ": %d", addr, err);
			quire_page_put(q, page);
			break;
		}
	}
	mm->limits = limits;
	machine_switch(machine, &mm->pt);
}

void drop_space(void)
{
	quire_broken_t broken;
	int i;

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

unsigned char our_vec[VEC_PAGES];

static int our_truncate(struct file *f, uint64_t size)
{
	struct file *own = f->object->private_data;

	if (size < own->end)
		own->end = size;
	quire_object_truncate(f->object, size);
	return 0;
}

int64_t our_call(const struct step *s, const uint64_t *a)
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
	case SYS_mincore:
		return quire_mincore(mm, a[0], a[1], a[1] <= sizeof(our_vec) * PAGE ? our_vec : NULL);
	case SYS_ftruncate:
		return our_truncate(&files[a[0] - FILE_FD], a[1]);
	case SYS_MSEAL:
		return quire_mseal(mm, a[0], a[1], a[2]);
	}
	return -ENOSYS;
}

/* What a pass over len bytes, first to last, adds up to: child.c's look() does the same. */
static int64_t our_look(uint64_t addr, uint64_t len, struct quire_signal *sig)
{
	static unsigned char bytes[PAGE];
	uint64_t sum = 0, i;

	while (len) {
		uint64_t part = PAGE - addr % PAGE < len ? PAGE - addr % PAGE : len;

		if (machine_load(machine, addr, bytes, part, sig))
			return 0;
		for (i = 0; i < part; i++)
			sum = sum * LOOK_FACTOR + bytes[i];
		addr += part;
		len -= part;
	}
	return (int64_t)sum;
}

/* The access as the machine's CPU 0 makes it. */
int64_t our_access(const struct step *s, const uint64_t *a, struct quire_signal *sig)
{
	unsigned char byte = (unsigned char)a[1];

	memset(sig, 0, sizeof(*sig));
	switch (s->command) {
	case CMD_LOAD:
		return our_look(a[0], a[1], sig);
	case CMD_STORE:
		machine_store(machine, a[0], &byte, 1, sig);
		return 0;
	default:
		machine_fetch(machine, a[0], &byte, 1, sig);
		return byte;
	}
}

bool may_execute(quire_uaddr_t addr)
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

bool is_adopted(quire_uaddr_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);

	if (!vma || vma->start > addr)
		return false;
	if (addr >= mm->layout.mmap_base) /* the stack */
		return true;
	return vma->ops || (vma->file && vma->file >= &adopted[0].file && vma->file <= &adopted[MAX_ADOPTED - 1].file);
}

bool is_anonymous(quire_uaddr_t addr)
{
	struct quire_vma *vma = quire_find_vma(mm, addr);

	return vma && vma->start <= addr && !vma->file && !vma->object && !vma->ops;
}

void make_machine(void)
{
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
}

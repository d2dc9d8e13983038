/* SPDX-License-Identifier: MIT */
/*
 * Programs: ELF files mapped into a new space, as elf(5) and Linux's loader have it. Static programs, position-independent
 * or not, and those with an interpreter. Every number in the file is suspect.
 */
#include "core/user.h"
#include "fs/fs.h"
#include "process/process.h"

#ifdef __x86_64__
#define ELF_CLASS 2
#define ELF_MACHINE 62
typedef uint64_t elf_word;
#else
#define ELF_CLASS 1
#define ELF_MACHINE 3
typedef uint32_t elf_word;
#endif

struct elf_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	elf_word entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

#ifdef __x86_64__
struct elf_segment {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};
#else
struct elf_segment {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
#endif

#define ET_EXEC 2
#define ET_DYN 3
#define PT_LOAD 1
#define PT_INTERP 3
#define PT_PHDR 6
#define PT_GNU_STACK 0x6474e551
#define PF_X 1u
#define PF_W 2u
#define PF_R 4u
#define MAX_SEGMENTS 64

/* Two thirds of user space: where position-independent programs with an interpreter go. */
#ifdef __x86_64__
#define DYN_BASE 0x555555554000ull
#define DYN_RANDOM_MASK 0xfffffffull
#else
#define DYN_BASE 0x80000000ull
#define DYN_RANDOM_MASK 0xffull
#endif

struct program {
	struct file *file;
	struct elf_header header;
	struct elf_segment segment[MAX_SEGMENTS];
	uint64_t start, end; /* of all that is to be loaded, page aligned; before the bias */
	uint64_t bias;
};

/* ---- Reading ----------------------------------------------------------------------------------- */

static int check_segments(struct program *p)
{
	uint64_t last = 0;
	unsigned i;

	p->start = UINT64_MAX;
	p->end = 0;
	for (i = 0; i < p->header.phnum; i++) {
		const struct elf_segment *s = &p->segment[i];

		if (s->type != PT_LOAD)
			continue;
		if (s->filesz > s->memsz || s->memsz > USER_END || s->vaddr > USER_END - s->memsz ||
		    ((s->vaddr ^ s->offset) & ~QUIRE_PAGE_MASK) ||
		    (uint64_t)s->offset + s->filesz < s->offset || s->vaddr < last)
			return -ENOEXEC;
		last = s->vaddr;
		if (quire_page_down(s->vaddr) < p->start)
			p->start = quire_page_down(s->vaddr);
		if (quire_page_up(s->vaddr + s->memsz) > p->end)
			p->end = quire_page_up(s->vaddr + s->memsz);
	}
	return p->start < p->end ? 0 : -ENOEXEC;
}

static int read_headers(struct program *p)
{
	struct elf_header *h = &p->header;
	size_t bytes;

	if (file_read_kernel(p->file, h, sizeof(*h), 0) != sizeof(*h))
		return -ENOEXEC;
	if (memcmp(h->ident, "\177ELF", 4) || h->ident[4] != ELF_CLASS || h->ident[5] != 1 ||
	    h->machine != ELF_MACHINE || (h->type != ET_EXEC && h->type != ET_DYN) ||
	    h->phentsize != sizeof(struct elf_segment) || !h->phnum || h->phnum > MAX_SEGMENTS)
		return -ENOEXEC;
	bytes = h->phnum * sizeof(struct elf_segment);
	if (file_read_kernel(p->file, p->segment, bytes, h->phoff) != (int64_t)bytes)
		return -ENOEXEC;
	return check_segments(p);
}

/* ---- Mapping ----------------------------------------------------------------------------------------- */

/*
 *	file      |..|-----filesz-----|
 *	memory    |..|-----filesz-----|000|---anonymous---|
 *	          ^ page                  ^ page
 */
static int map_segment(struct program *p, struct quire_mm *mm, const struct elf_segment *s)
{
	uint32_t prot = (s->flags & PF_R ? QUIRE_PROT_READ : 0) |
			(s->flags & PF_W ? QUIRE_PROT_WRITE : 0) |
			(s->flags & PF_X ? QUIRE_PROT_EXEC : 0);
	uint64_t at = p->bias + s->vaddr, page = quire_page_down(at), skip = at - page;
	uint64_t file_end = at + s->filesz, mapped_end = quire_page_up(file_end),
		 end = quire_page_up(at + s->memsz);
	int64_t err;

	if (s->filesz) {
		err = quire_mmap(mm, page, mapped_end - page, prot,
				 QUIRE_MAP_PRIVATE | QUIRE_MAP_FIXED_NOREPLACE, &p->file->map,
				 s->offset - skip);
		if (err < 0)
			return err == -EEXIST ? -ENOEXEC : (int)err;
	} else {
		mapped_end = page;
	}
	if (end > mapped_end) {
		err = quire_mmap(mm, mapped_end, end - mapped_end, prot,
				 QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS |
					 QUIRE_MAP_FIXED_NOREPLACE,
				 NULL, 0);
		if (err < 0)
			return err == -EEXIST ? -ENOEXEC : (int)err;
	}
	/* The rest of the file's last page is not the program's. */
	if (s->filesz && s->memsz > s->filesz && (s->flags & PF_W) &&
	    (file_end & ~QUIRE_PAGE_MASK)) {
		static const char zeroes[QUIRE_PAGE_SIZE];
		uint64_t n = quire_page_up(file_end) - file_end;

		if (quire_access_process_vm(mm, file_end, (void *)(uintptr_t)zeroes, n,
					    QUIRE_ACCESS_WRITE) != n)
			return -ENOMEM;
	}
	return 0;
}

static int choose_bias(struct program *p, struct quire_mm *mm, bool with_interpreter,
		       uint64_t random)
{
	int64_t at;

	p->bias = 0;
	if (p->header.type == ET_EXEC)
		return 0;
	if (with_interpreter) {
		p->bias = DYN_BASE + ((random & DYN_RANDOM_MASK) << QUIRE_PAGE_SHIFT) - p->start;
		return 0;
	}
	/* Where a map of that size would go: a static program, or the interpreter itself. */
	at = quire_mmap(mm, 0, p->end - p->start, QUIRE_PROT_NONE,
			QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL, 0);
	if (at < 0)
		return (int)at;
	(void)quire_munmap(mm, (uint64_t)at, p->end - p->start);
	p->bias = (uint64_t)at - p->start;
	return 0;
}

static int map_program(struct program *p, struct quire_mm *mm)
{
	unsigned i;
	int err;

	for (i = 0; i < p->header.phnum; i++) {
		if (p->segment[i].type != PT_LOAD || !p->segment[i].memsz)
			continue;
		err = map_segment(p, mm, &p->segment[i]);
		if (err)
			return err;
	}
	return 0;
}

/* ---- The layout that /proc shows -------------------------------------------------------------------- */

static void note_layout(struct program *p, struct quire_mm *mm, struct elf_image *image,
			bool own_brk, uint64_t random)
{
	struct quire_layout *l = &mm->layout;
	uint64_t brk = 0;
	unsigned i;

	for (i = 0; i < p->header.phnum; i++) {
		const struct elf_segment *s = &p->segment[i];
		uint64_t at = p->bias + s->vaddr;

		if (s->type != PT_LOAD)
			continue;
		if (s->flags & PF_X) {
			if (!l->start_code || at < l->start_code)
				l->start_code = at;
			if (at + s->filesz > l->end_code)
				l->end_code = at + s->filesz;
		}
		if (at >= l->start_data)
			l->start_data = at;
		if (at + s->filesz > l->end_data)
			l->end_data = at + s->filesz;
		if (at + s->memsz > brk)
			brk = at + s->memsz;
		if (p->header.phoff >= s->offset && p->header.phoff - s->offset < s->filesz)
			image->headers = p->header.phoff - s->offset + at;
	}
	/* A static program that may lie anywhere lies where maps go, so its heap gets a place of its own. */
	if (own_brk)
		brk = DYN_BASE;
	brk = quire_page_up(brk);
	if (random)
		brk += (random >> 28 & 0x1fff) << QUIRE_PAGE_SHIFT;
	l->start_brk = l->brk = brk;
}

static int load_interpreter(const char *path, struct quire_mm *mm, struct elf_image *image)
{
	struct program *p = quire_kmalloc(Q, sizeof(*p), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	struct file *file;
	int err;

	if (!p)
		return -ENOMEM;
	err = file_open_kernel(path, &file);
	if (!err) {
		p->file = file;
		err = read_headers(p);
		if (!err)
			err = choose_bias(p, mm, false, 0);
		if (!err)
			err = map_program(p, mm);
		image->interpreter_base = p->bias;
		image->entry = p->bias + p->header.entry;
		file_put(file);
	}
	quire_kfree(Q, p);
	return err == -ENOEXEC ? -EIO : err;
}

int elf_load(struct file *file, struct quire_mm *mm, struct elf_image *image, uint64_t random)
{
	struct program *p = quire_kmalloc(Q, sizeof(*p), QUIRE_GFP_KERNEL | QUIRE_GFP_ZERO);
	char interpreter[256] = "";
	unsigned i;
	int err;

	if (!p)
		return -ENOMEM;
	*image = (struct elf_image){.exec_stack = true};
	p->file = file;
	err = read_headers(p);
	for (i = 0; !err && i < p->header.phnum; i++) {
		const struct elf_segment *s = &p->segment[i];

		if (s->type == PT_GNU_STACK)
			image->exec_stack = (s->flags & PF_X) != 0;
		if (s->type != PT_INTERP)
			continue;
		if (s->filesz < 2 || s->filesz > sizeof(interpreter) ||
		    file_read_kernel(file, interpreter, s->filesz, s->offset) !=
			    (int64_t)s->filesz ||
		    interpreter[s->filesz - 1])
			err = -ENOEXEC;
	}
	if (!err)
		err = choose_bias(p, mm, interpreter[0], random);
	if (!err)
		err = map_program(p, mm);
	if (!err) {
		note_layout(p, mm, image, p->header.type == ET_DYN && !interpreter[0], random);
		image->program_entry = image->entry = p->bias + p->header.entry;
		image->nr_headers = p->header.phnum;
		if (interpreter[0])
			err = load_interpreter(interpreter, mm, image);
	}
	if (!err && image->entry >= USER_END)
		err = -ENOEXEC;
	quire_kfree(Q, p);
	return err;
}

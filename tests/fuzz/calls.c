/* SPDX-License-Identifier: MIT */
/*
 * Bytes as calls: everything of src/mm, accesses, forks and exits, files that shrink, allocations that fail, in up to four
 * spaces of one machine. After each step the space's equations and the machine's must hold, at the end nothing may be left.
 *
 *	byte 0          the machine: memory, format, layout
 *	then, a step    what (a byte), its arguments
 *	an address      a page of the window and an offset of few, or one of the odd ones, or eight bytes
 *	a length        pages, or odd, or eight bytes
 */
#include "fuzz.h"

#include <machine.h>
#include <quire/quire.h>
#include <string.h>

#define PAGE 0x1000ull
#define WINDOW 0x10000000ull
#define MOST_SPACES 4
#define FILE_PAGES 12

struct world {
	struct machine *m;
	struct quire *q;
	struct quire_mm *mm[MOST_SPACES];
	unsigned now; /* the space that the CPU is in */
	struct quire_object object;
	struct quire_file file[3]; /* read and write, read alone, sealed against writing */
	bool fails; /* the file's operations */
};

static struct world *world_of(struct quire_object *object)
{
	return quire_container_of(object, struct world, object);
}

/* ---- Its file ---------------------------------------------------------------------------- */

static int read_page(struct quire_object *object, struct quire_page *page)
{
	void *to;

	if (world_of(object)->fails)
		return -QUIRE_EIO;
	to = quire_page_kmap(object->q, page);
	memset(to, (int)page->index + 1, PAGE);
	quire_page_kunmap(object->q, to);
	return 0;
}

static int write_page(struct quire_object *object, struct quire_page *page)
{
	(void)page;
	return world_of(object)->fails ? -QUIRE_EIO : 0;
}

static int punch_hole(struct quire_object *object, uint64_t start, uint64_t end)
{
	if (start >= end || (start | end) & (PAGE - 1))
		fuzz_fail("a hole from %#llx to %#llx", (unsigned long long)start, (unsigned long long)end);
	return world_of(object)->fails ? -QUIRE_EIO : 0;
}

static const struct quire_file_ops file_ops = {
	.read_page = read_page,
	.write_page = write_page,
	.page_mkwrite = write_page,
	.punch_hole = punch_hole,
};

/* ---- Arguments --------------------------------------------------------------------------- */

static uint64_t address(struct bytes *b)
{
	static const uint64_t odd[] = { 0, 1, PAGE, 0x10000, 0x7ffffffff000, 0x7fffffffe000, 0x7fffffffffff, 0x800000000000,
					0xffff800000000000, 0xfffffffffffff000, UINT64_MAX, 0x40000000, 0xfffff000 };
	uint8_t v = take8(b);

	if (v < 0xc0)
		return WINDOW + (v & 63) * PAGE + (v < 0x80 ? 0 : 8 * take8(b));
	return v < 0xf0 ? odd[v % QUIRE_ARRAY_SIZE(odd)] : take64(b);
}

static uint64_t length(struct bytes *b)
{
	static const uint64_t odd[] = { 0, 1, PAGE - 1, PAGE + 1, 0x200000, 0x800000, 1ull << 26, 1ull << 46, 0x7fffffffffff,
					UINT64_MAX - PAGE, UINT64_MAX, INT64_MAX };
	uint8_t v = take8(b);

	if (v < 0xe0)
		return (v & 31) * PAGE;
	return v < 0xf8 ? odd[v % QUIRE_ARRAY_SIZE(odd)] : take64(b);
}

static uint32_t protection(struct bytes *b)
{
	uint8_t v = take8(b);

	if (v < 0xf0)
		return v & 7;
	return v < 0xf8 ? (v & 7) | (v & 1 ? QUIRE_PROT_GROWSDOWN : QUIRE_PROT_GROWSUP) : (uint32_t)take64(b);
}

static uint32_t map_flags(struct bytes *b)
{
	static const uint32_t extra[] = { 0, 0, QUIRE_MAP_FIXED, QUIRE_MAP_FIXED, QUIRE_MAP_FIXED_NOREPLACE, QUIRE_MAP_GROWSDOWN,
					  QUIRE_MAP_GROWSDOWN | QUIRE_MAP_FIXED, QUIRE_MAP_POPULATE, QUIRE_MAP_LOCKED,
					  QUIRE_MAP_NORESERVE, QUIRE_MAP_32BIT, QUIRE_MAP_STACK, QUIRE_MAP_HUGETLB,
					  QUIRE_MAP_POPULATE | QUIRE_MAP_FIXED, QUIRE_MAP_ABOVE4G, QUIRE_MAP_DROPPABLE };
	uint8_t v = take8(b);

	if (v >= 0xf8)
		return (uint32_t)take64(b);
	return (v & 1 ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE) | (v & 2 ? QUIRE_MAP_ANONYMOUS : 0) |
	       extra[v >> 2 & 15];
}

static int advice(struct bytes *b)
{
	uint8_t v = take8(b);

	return v < 26 ? v : v < 40 ? 102 + v % 2 : (int8_t)v;
}

/* ---- Steps ------------------------------------------------------------------------------- */

static struct quire_mm *mm_of(struct world *w)
{
	return w->mm[w->now];
}

static void go_to(struct world *w, unsigned space)
{
	if (!w->mm[space])
		return;
	w->now = space;
	machine_switch(w->m, &mm_of(w)->pt);
}

static unsigned empty_slot(struct world *w)
{
	unsigned i;

	for (i = 0; i < MOST_SPACES && w->mm[i]; i++)
		;
	return i;
}

static void do_fork(struct world *w)
{
	unsigned slot = empty_slot(w);
	int err;

	if (slot == MOST_SPACES)
		return;
	err = quire_fork(mm_of(w), &w->mm[slot]);
	if (err && (err != -QUIRE_ENOMEM || w->mm[slot]))
		fuzz_fail("fork: %d", err);
}

/* The last one stays. */
static void do_exit(struct world *w)
{
	unsigned other;

	for (other = 0; other < MOST_SPACES && (other == w->now || !w->mm[other]); other++)
		;
	if (other == MOST_SPACES)
		return;
	machine_switch(w->m, NULL);
	quire_mmput(mm_of(w));
	w->mm[w->now] = NULL;
	go_to(w, other);
}

static void do_exec(struct world *w)
{
	int err;

	machine_switch(w->m, NULL);
	err = quire_exec(&w->mm[w->now], NULL);
	if (err && err != -QUIRE_ENOMEM)
		fuzz_fail("exec: %d", err);
	machine_switch(w->m, &mm_of(w)->pt);
}

static void check_signal(int err, const struct quire_signal *sig)
{
	if (!err)
		return;
	if (err == -QUIRE_ENOMEM ? sig->signo != QUIRE_SIGKILL
				 : err != -QUIRE_EFAULT || (sig->signo != QUIRE_SIGSEGV && sig->signo != QUIRE_SIGBUS))
		fuzz_fail("an access: %d, signal %d, code %d", err, sig->signo, sig->code);
}

static void do_access(struct world *w, struct bytes *b, unsigned kind)
{
	static unsigned char buf[PAGE];
	struct quire_signal sig = { 0 };
	uint64_t addr = address(b), old = 0;
	size_t len = 1u + take8(b) * 9u;
	bool swapped;
	int err;

	switch (kind) {
	case 0:
		err = machine_load(w->m, addr, buf, len, &sig);
		break;
	case 1:
		err = machine_store(w->m, addr, buf, len, &sig);
		break;
	case 2:
		err = machine_fetch(w->m, addr, buf, 1, &sig);
		break;
	default:
		err = machine_cmpxchg(w->m, addr & ~7ull, 8, &old, 1, &swapped, &sig);
	}
	check_signal(err, &sig);
}

static void do_process_vm(struct world *w, struct bytes *b)
{
	struct quire_iovec local[2], remote[2];
	struct quire_mm *other = w->mm[take8(b) % MOST_SPACES];
	uint8_t how = take8(b);

	for (unsigned i = 0; i < 2; i++) {
		local[i] = (struct quire_iovec){ address(b), length(b) };
		remote[i] = (struct quire_iovec){ address(b), length(b) };
	}
	if (!other)
		other = mm_of(w);
	if (how & 1)
		(void)quire_process_vm_writev(mm_of(w), local, (how >> 1 & 3) % 3, other, remote, how >> 3 & 1 ? 2 : 1, how >> 7);
	else
		(void)quire_process_vm_readv(mm_of(w), local, how >> 1 & 1 ? 2 : 1, other, remote, how >> 3 & 1 ? 2 : 1, how >> 7);
}

static void do_other_access(struct world *w, struct bytes *b)
{
	unsigned char buf[64] = { 0 };
	struct quire_page *page;
	uint8_t how = take8(b);
	uint64_t addr = address(b);

	if (how & 0x80) {
		(void)quire_access_process_vm(mm_of(w), addr, buf, how & 63,
					      (how & 0x40 ? QUIRE_ACCESS_WRITE : QUIRE_ACCESS_READ) |
						      (take8(b) & 1 ? QUIRE_ACCESS_FORCE : 0));
	} else if (quire_get_user_page(mm_of(w), addr, how & 1 ? QUIRE_ACCESS_WRITE : QUIRE_ACCESS_READ, &page) == 0) {
		(void)quire_page_put(w->q, page);
	}
}

static void do_file(struct world *w, struct bytes *b)
{
	unsigned char buf[300] = { 1 };
	uint8_t how = take8(b);
	uint64_t pos = take16(b) % (FILE_PAGES * PAGE);

	switch (how % 8) {
	case 0:
		quire_object_truncate(&w->object, pos);
		break;
	case 1:
		quire_object_truncate(&w->object, FILE_PAGES * PAGE);
		break;
	case 2:
		(void)quire_object_write(&w->object, how & 0x80 ? INT64_MAX - pos : pos, buf, sizeof(buf));
		break;
	case 3:
		(void)quire_object_read(&w->object, pos, buf, sizeof(buf));
		break;
	case 4:
		(void)quire_object_sync(&w->object, pos / PAGE, UINT64_MAX);
		break;
	case 5:
		(void)quire_object_punch_hole(&w->object, pos & ~(PAGE - 1), (pos & ~(PAGE - 1)) + (1 + (how >> 4)) * PAGE);
		break;
	case 6:
		quire_object_unmap(&w->object, pos / PAGE, pos / PAGE + (how >> 4), how & 8);
		break;
	default:
		w->fails = !w->fails;
	}
}

static int swallow(struct quire_sink *sink, const char *text, size_t len)
{
	(void)sink;
	return memchr(text, '\0', len) ? -1 : 0;
}

static void do_texts(struct world *w)
{
	struct quire_sink sink = { .emit = swallow };

	if (quire_proc_maps(mm_of(w), &sink) || quire_proc_smaps(mm_of(w), &sink) || quire_proc_smaps_rollup(mm_of(w), &sink) ||
	    quire_proc_status(mm_of(w), &sink) || quire_proc_statm(mm_of(w), &sink) || quire_proc_meminfo(w->q, &sink))
		fuzz_fail("a text of /proc");
}

static void do_limits(struct world *w, struct bytes *b)
{
	struct quire_limits *l = &mm_of(w)->limits;
	uint8_t what = take8(b);
	uint64_t to = what & 8 ? QUIRE_RLIM_INFINITY : length(b);

	switch (what & 3) {
	case 0:
		l->as = to;
		break;
	case 1:
		l->data = to;
		break;
	case 2:
		l->stack = to;
		break;
	default:
		l->memlock = to;
	}
	l->read_implies_exec = what & 0x40;
	w->q->mms.sysctl.overcommit_memory = (what >> 4 & 3) % 3;
	w->q->mms.sysctl.max_map_count = what & 0x80 ? 12 : 65530;
}

static void do_map(struct world *w, struct bytes *b)
{
	uint64_t addr = address(b), len = length(b);
	uint32_t prot = protection(b), flags = map_flags(b);
	uint8_t file = take8(b);
	uint64_t offset = file < 0xf0 ? (file & 15) * PAGE : take64(b);

	(void)quire_mmap(mm_of(w), addr, len, prot, flags, flags & QUIRE_MAP_ANONYMOUS ? NULL : &w->file[file >> 4 & 1 ? 0 : file >> 5 & 1 ? 1 : 2],
			 offset);
}

static void do_remap(struct world *w, struct bytes *b)
{
	uint64_t addr = address(b), old_len = length(b), new_len = length(b);
	uint8_t flags = take8(b);

	(void)quire_mremap(mm_of(w), addr, old_len, new_len, flags < 0xf0 ? flags & 7 : (uint32_t)take64(b), address(b));
}

static void call_with_range(struct world *w, struct bytes *b, unsigned what)
{
	struct quire_mm *mm = mm_of(w);
	uint64_t addr = address(b), len = length(b);
	unsigned char vec[32];

	switch (what) {
	case 0:
		(void)quire_munmap(mm, addr, len);
		break;
	case 1:
		(void)quire_mprotect(mm, addr, len, protection(b));
		break;
	case 2:
		(void)quire_madvise(mm, addr, len, advice(b));
		break;
	case 3:
		(void)quire_mlock2(mm, addr, len, take8(b) & 3);
		break;
	case 4:
		(void)quire_munlock(mm, addr, len);
		break;
	case 5:
		(void)quire_msync(mm, addr, len, take8(b) & 15);
		break;
	case 6:
		(void)quire_mincore(mm, addr, len, len <= sizeof(vec) * PAGE ? vec : NULL);
		break;
	case 7:
		(void)quire_mseal(mm, addr, len, take8(b) & 1);
		break;
	default:
		(void)quire_remap_file_pages(mm, addr, len, 0, take8(b), 0);
	}
}

static void step(struct world *w, struct bytes *b)
{
	uint8_t what = take8(b) % 32;

	switch (what) {
	case 0 ... 4:
		do_map(w, b);
		break;
	case 5 ... 13:
		call_with_range(w, b, what - 5u);
		break;
	case 14:
	case 15:
		do_remap(w, b);
		break;
	case 16 ... 19:
		do_access(w, b, what - 16u);
		break;
	case 20:
		do_process_vm(w, b);
		break;
	case 21:
		do_other_access(w, b);
		break;
	case 22:
	case 23:
		do_file(w, b);
		break;
	case 24:
		do_fork(w);
		break;
	case 25:
		go_to(w, take8(b) % MOST_SPACES);
		break;
	case 26:
		do_exit(w);
		break;
	case 27:
		if (take8(b) & 0x80)
			do_exec(w);
		else
			(void)quire_brk(mm_of(w), mm_of(w)->layout.start_brk + length(b) - PAGE);
		break;
	case 28:
		do_limits(w, b);
		break;
	case 29:
		w->q->slabs.fail.after = take8(b) & 31;
		break;
	case 30:
		w->q->pages.fail.after = take8(b) & 31;
		break;
	default:
		if (take8(b) & 1)
			do_texts(w);
		else if (take8(b) & 1)
			(void)quire_mlockall(mm_of(w), take8(b) & 15);
		else
			(void)quire_munlockall(mm_of(w));
	}
}

/* ---- A world ----------------------------------------------------------------------------- */

static void make(struct world *w, uint8_t how)
{
	struct machine_config config = {
		.ram_bytes = how & 1 ? 4u << 20 : 8u << 20,
		.fmt = how & 2 ? &quire_pgfmt_x86_64_5level : &quire_pgfmt_x86_64,
		.tlb_entries = 16,
	};
	struct quire_layout layout;

	memset(w, 0, sizeof(*w));
	if (machine_create(&config, &w->m))
		fuzz_fail("no machine");
	w->q = machine_quire(w->m);
	w->q->mms.sysctl.stack_guard_gap = how & 16 ? 0 : 2 * PAGE;
	w->q->mms.sysctl.thp_available = w->q->mms.sysctl.ksm_available = how & 32;
	w->q->mms.sysctl.anon_align = how & 64 ? 0x200000 : 0;
	quire_object_init(w->q, &w->object, &file_ops, FILE_PAGES * PAGE, 0);
	for (unsigned i = 0; i < 3; i++) {
		quire_object_get(&w->object);
		w->file[i] = (struct quire_file){ .object = &w->object, .path = "/file", .inode = 1, .refs = 1,
						  .flags = QUIRE_FILE_READ | (i != 1 ? QUIRE_FILE_WRITE : 0) |
							   (i == 2 ? QUIRE_FILE_SEAL_WRITE : 0) };
	}
	quire_layout_init(&layout, w->q->fmt, how & 4, how & 8, 8u << 20, 0);
	layout.start_brk = layout.brk = WINDOW + 70 * PAGE;
	if (quire_mm_create(w->q, &layout, &w->mm[0]))
		fuzz_fail("no space");
	machine_switch(w->m, &w->mm[0]->pt);
}

static void end(struct world *w)
{
	machine_switch(w->m, NULL);
	for (unsigned i = 0; i < MOST_SPACES; i++) {
		if (!w->mm[i])
			continue;
		fuzz_check(quire_mm_check(w->mm[i]));
		quire_mmput(w->mm[i]);
	}
	quire_grace_wait(w->q);
	fuzz_check(quire_object_check(&w->object));
	for (unsigned i = 0; i < 3; i++) {
		if (w->file[i].refs != 1)
			fuzz_fail("file %u has %u references", i, w->file[i].refs);
		quire_file_put(w->q, &w->file[i]);
	}
	quire_object_put(&w->object);
	if (w->q->mms.committed)
		fuzz_fail("%lld pages are promised to nobody", (long long)w->q->mms.committed);
	if (machine_destroy(w->m))
		fuzz_fail("the machine reported something, or something is left over");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = { data, data + size };
	static struct world w;
	unsigned steps = 0;

	make(&w, take8(&b));
	while (bytes_left(&b) && steps++ < 128) {
		step(&w, &b);
		/* The page of zeroes can be mapped a million times over: that is not looked at after each step. */
		if (quire_pgtable_bytes(&mm_of(&w)->pt) < 50 * PAGE || steps % 16 == 0)
			fuzz_check(quire_mm_check(mm_of(&w)));
		fuzz_check(machine_check(w.m));
		if (machine_failed(w.m))
			fuzz_fail("the machine reported something");
	}
	w.q->slabs.fail.after = w.q->pages.fail.after = 0;
	end(&w);
	return 0;
}

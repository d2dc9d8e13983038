/* SPDX-License-Identifier: MIT */
/*
 * Memory that anything may befall at any time: two windows, in which every call of src/mm is made with valid, odd and
 * hostile arguments, and a heap. In the first only private memory is mapped, in the second only shared.
 * Nobody knows what is there at any moment, but not everything is possible. Whoever stores writes a
 * tag, and whoever reads finds zeroes, or the tag of a store that could have got there:
 *
 *	magic 8 | kind 2 | space 14 | when 28 | word in its page 9 | sum 3      (with pages of 4 KiB; larger ones take bits from when)
 *
 *	private window   by this space, or by one that it descends from, before the fork; or the file's
 *	shared window    stored through a shared mapping or into the file; never anything private
 *	both             at the same place in its page: pages move, words don't
 */
#include "random.h"

#include <string.h>

#define PRIVATE_BASE (0x20000000ull + 480 * PAGE) /* across the end of a leaf table */
#define PRIVATE_PAGES 64u
#define SHARED_BASE (0x20000000ull + 580 * PAGE)
#define SHARED_PAGES 40u
#define HEAP_PAGES 24u

enum kind { KIND_PRIVATE = 1, KIND_SHARED = 2 };

/* ---- Tags -------------------------------------------------------------------------------- */

#define WHEN_MASK ((UINT64_C(1) << (40 - QUIRE_PAGE_SHIFT)) - 1)

static uint64_t sum_of(uint64_t tag)
{
	tag >>= 3;
	return (tag ^ tag >> 17 ^ tag >> 34) % 7;
}

static uint64_t tag(enum kind kind, uint32_t space, uint64_t pos)
{
	uint64_t when = quire_fetch_add(&sea.clock, 1u) & WHEN_MASK;
	uint64_t t = 0xa5ull << 56 | (uint64_t)kind << 54 | (uint64_t)(space & 0x3fff) << 40 | when << QUIRE_PAGE_SHIFT | (pos % PAGE / 8) << 3;

	return t | sum_of(t);
}

static bool may_see(const struct proc *proc, uint32_t space, uint32_t when)
{
	if (space == proc->id)
		return true;
	for (unsigned i = 0; i < proc->depth; i++) {
		if (proc->ancestor[i].id == space)
			return when < proc->ancestor[i].until;
	}
	return false;
}

static void judge(struct cpu *cpu, const struct proc *proc, uint64_t addr, uint64_t value, bool shared)
{
	enum kind kind = (enum kind)(value >> 54 & 3);
	uint32_t space = value >> 40 & 0x3fff, when = value >> QUIRE_PAGE_SHIFT & WHEN_MASK;

	if (!value || addr >= WILD_END)
		return;
	cpu->checked++;
	if (value >> 56 != 0xa5 || (value & 7) != sum_of(value))
		fail(cpu, "%#llx at %#llx: nobody stored that", (unsigned long long)value, (unsigned long long)addr);
	if ((value >> 3 & (PAGE / 8 - 1)) != addr % PAGE / 8)
		fail(cpu, "%#llx at %#llx was stored elsewhere in its page", (unsigned long long)value, (unsigned long long)addr);
	if (kind == KIND_SHARED)
		return;
	if (shared)
		fail(cpu, "%#llx at %#llx: private memory of space %u, in a shared mapping", (unsigned long long)value,
		     (unsigned long long)addr, space);
	if (!may_see(proc, space, when))
		fail(cpu, "%#llx at %#llx: space %u stored that at %u, and space %u sees it", (unsigned long long)value,
		     (unsigned long long)addr, space, when, proc->id);
}

/* ---- Arguments --------------------------------------------------------------------------- */

struct range {
	uint64_t addr, len;
	bool shared;
};

static struct range pick(struct cpu *cpu)
{
	struct range r = { .shared = one_in(cpu, 3) };
	unsigned pages = r.shared ? SHARED_PAGES : PRIVATE_PAGES, first = below(cpu, pages);
	unsigned n = 1 + below(cpu, one_in(cpu, 4) ? 20 : 5);

	r.addr = (r.shared ? SHARED_BASE : PRIVATE_BASE) + first * PAGE;
	r.len = (first + n > pages ? pages - first : n) * PAGE;
	return r;
}

/* What no program would ask for. Never a range below the windows, which has contents to keep. */
static struct range odd(struct cpu *cpu)
{
	struct range r = pick(cpu);

	switch (below(cpu, 8)) {
	case 0:
		r.addr += 1 + below(cpu, PAGE - 1);
		break;
	case 1:
		r.len -= 1 + below(cpu, PAGE - 1);
		break;
	case 2:
		r.len = 0;
		break;
	case 3:
		r.len = 0 - r.addr; /* to the end of all addresses */
		break;
	case 4:
		r.len = UINT64_MAX - below(cpu, 2 * PAGE);
		break;
	case 5:
		r.addr = 0xffff800000000000ull + below(cpu, 4) * PAGE;
		break;
	case 6:
		r.addr = sea.q->fmt->user_end - below(cpu, 3) * PAGE;
		break;
	default:
		r.len = 1ull << (22 + below(cpu, 24));
	}
	return r;
}

static bool within(struct range r)
{
	uint64_t base = r.shared ? SHARED_BASE : PRIVATE_BASE, size = (r.shared ? SHARED_PAGES : PRIVATE_PAGES) * PAGE;

	return r.addr >= base && r.addr - base <= size && r.len <= size - (r.addr - base);
}

static uint32_t any_prot(struct cpu *cpu)
{
	static const uint32_t prots[] = { 3, 3, 3, 3, 3, 1, 1, 0, 5, 7, 2, 4 };

	return one_in(cpu, 40) ? (uint32_t)random_next(&cpu->random) : prots[below(cpu, QUIRE_ARRAY_SIZE(prots))];
}

/* ---- Calls ------------------------------------------------------------------------------- */

/* Whatever was placed outside of the windows is used a little and goes again. */
static void use_and_unmap(struct cpu *cpu, uint64_t addr, uint64_t len, bool shared)
{
	uint64_t value = tag(shared ? KIND_SHARED : KIND_PRIVATE, cpu->proc->id, addr);
	char byte;

	if (addr < WILD_END)
		return;
	(void)machine_store(sea.m, addr, &value, 8, NULL);
	(void)machine_load(sea.m, addr + len - 1, &byte, 1, NULL);
	log_it(cpu, "munmap", addr, len, 0, 0, quire_munmap(cpu->proc->mm, addr, len));
}

static void call_mmap(struct cpu *cpu, struct range r)
{
	static const uint32_t extras[] = { QUIRE_MAP_NORESERVE, QUIRE_MAP_POPULATE, QUIRE_MAP_LOCKED, QUIRE_MAP_STACK,
					   QUIRE_MAP_DENYWRITE, QUIRE_MAP_GROWSDOWN, QUIRE_MAP_NONBLOCK };
	bool placed = one_in(cpu, 6) || (!within(r) && r.addr < WILD_END), file = one_in(cpu, r.shared ? 2 : 3), read_only = one_in(cpu, 4);
	uint32_t flags = r.shared ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE, prot = any_prot(cpu);
	uint64_t offset = below(cpu, FILE_PAGES) * PAGE;
	int64_t at;

	flags |= placed ? 0 : one_in(cpu, 6) ? QUIRE_MAP_FIXED_NOREPLACE : QUIRE_MAP_FIXED;
	if (one_in(cpu, 3))
		flags |= extras[below(cpu, QUIRE_ARRAY_SIZE(extras))];
	if (!file)
		flags |= QUIRE_MAP_ANONYMOUS;
	if (one_in(cpu, 60))
		flags |= 1u << below(cpu, 27);
	if (r.len > 1ull << 24) {
		/* Not a page of it is filled, even where all is locked. */
		prot = QUIRE_PROT_NONE;
		flags &= ~(QUIRE_MAP_POPULATE | QUIRE_MAP_LOCKED);
	}
	if (placed)
		r.addr = WILD_END + (r.addr - PRIVATE_BASE);
	if (one_in(cpu, 40))
		offset |= one_in(cpu, 2) ? 1 : UINT64_MAX << 20;
	/* A private mapping never in the shared window, nor the other way round. */
	if ((flags & QUIRE_MAP_TYPE) != (r.shared ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE))
		return;
	at = quire_mmap(cpu->proc->mm, r.addr, r.len, prot, flags,
			!file ? NULL : read_only ? &sea.wild_file.read_only : &sea.wild_file.file, file ? offset : 0);
	log_it(cpu, file ? "mmap file" : "mmap", r.addr, r.len, prot, flags, at);
	if (at > 0)
		use_and_unmap(cpu, (uint64_t)at, r.len, r.shared);
}

static void call_mremap(struct cpu *cpu, struct range r)
{
	uint64_t to = pick(cpu).addr, len = (1 + below(cpu, 8)) * PAGE, flags = below(cpu, 8);
	int64_t at;

	/* Within its own window, and not beyond its end. */
	to = (r.shared ? SHARED_BASE : PRIVATE_BASE) + below(cpu, (r.shared ? SHARED_PAGES : PRIVATE_PAGES) - 8) * PAGE;
	if (one_in(cpu, 2))
		len = r.len;
	if (one_in(cpu, 50))
		flags |= 8;
	if (one_in(cpu, 30))
		to |= 8;
	if (len > 1ull << 24 || (r.shared ? r.addr + len > SHARED_BASE + SHARED_PAGES * PAGE
					  : r.addr + len > PRIVATE_BASE + PRIVATE_PAGES * PAGE))
		len = PAGE;
	if (len > 8 * PAGE)
		len = 8 * PAGE;
	/* With an old length of 0 an area is there twice. Of private memory that would be a new, empty one. */
	at = quire_mremap(cpu->proc->mm, r.addr, r.shared && one_in(cpu, 10) ? 0 : r.len, len, (uint32_t)flags, to);
	log_it(cpu, "mremap", r.addr, r.len, len, flags | to, at);
	if (at > 0)
		use_and_unmap(cpu, (uint64_t)at, len, r.shared);
}

static void call_madvise(struct cpu *cpu, struct range r)
{
	static const int advices[] = { 0, 1, 2, 3, 4, 4, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
				       25, 102, 102, 103, 103, 104, -1, 5 };
	int advice = advices[below(cpu, QUIRE_ARRAY_SIZE(advices))];

	if (r.len > 1ull << 24 && (advice == QUIRE_MADV_POPULATE_READ || advice == QUIRE_MADV_POPULATE_WRITE))
		return;
	log_it(cpu, "madvise", r.addr, r.len, (uint64_t)advice, 0, quire_madvise(cpu->proc->mm, r.addr, r.len, advice));
}

static void call_brk(struct cpu *cpu)
{
	uint64_t to = WILD_BREAK + below(cpu, HEAP_PAGES) * PAGE + (one_in(cpu, 3) ? below(cpu, PAGE) : 0);

	if (one_in(cpu, 30))
		to = one_in(cpu, 2) ? WILD_BREAK - PAGE : UINT64_MAX - PAGE;
	log_it(cpu, "brk", to, 0, 0, 0, (int64_t)quire_brk(cpu->proc->mm, to));
}

static void call_lock(struct cpu *cpu, struct range r)
{
	struct quire_mm *mm = cpu->proc->mm;

	switch (below(cpu, 8)) {
	case 0:
	case 1:
		log_it(cpu, "mlock", r.addr, r.len, 0, 0, quire_mlock(mm, r.addr, r.len));
		break;
	case 2:
	case 3:
		log_it(cpu, "mlock2", r.addr, r.len, 1, 0, quire_mlock2(mm, r.addr, r.len, one_in(cpu, 20) ? 2 : 1));
		break;
	case 4:
	case 5:
	case 6:
		log_it(cpu, "munlock", r.addr, r.len, 0, 0, quire_munlock(mm, r.addr, r.len));
		break;
	default:
		if (one_in(cpu, 2))
			log_it(cpu, "munlockall", 0, 0, 0, 0, quire_munlockall(mm));
		else
			log_it(cpu, "mlockall", 0, 0, 0, 0, quire_mlockall(mm, below(cpu, 9)));
	}
}

/* A tag for that address, in a buffer or at the CPU's scratch page, into another process's memory. */
static void call_process_vm(struct cpu *cpu, struct range r)
{
	struct proc *proc = cpu->proc;
	uint64_t value, addr = r.addr + below(cpu, PAGE / 8) * 8;
	uint32_t access = (one_in(cpu, 2) ? QUIRE_ACCESS_WRITE : QUIRE_ACCESS_READ) | (one_in(cpu, 2) ? QUIRE_ACCESS_FORCE : 0);
	struct quire_iovec local = { addr, r.len }, remote = { r.addr ^ 3 * PAGE, r.len };
	struct quire_page *page;
	uint64_t n;

	switch (below(cpu, 4)) {
	case 0:
	case 1:
		addr &= ~7ull;
		value = tag(r.shared ? KIND_SHARED : KIND_PRIVATE, proc->id, addr);
		n = quire_access_process_vm(proc->mm, addr, &value, 8, access);
		log_it(cpu, "access_process_vm", addr, 8, access, value, (int64_t)n);
		if (n == 8 && (access & QUIRE_ACCESS_READ))
			judge(cpu, proc, addr, value, r.shared);
		break;
	case 2:
		if (quire_get_user_page(proc->mm, r.addr, access & QUIRE_ACCESS_WRITE ? QUIRE_ACCESS_WRITE : QUIRE_ACCESS_READ,
					&page) == 0)
			(void)quire_page_put(sea.q, page);
		break;
	default:
		/* Between two places of one window that differ by pages: every word stays at its place in its page. */
		if ((r.addr | r.len) % PAGE || r.len > 8 * PAGE)
			break;
		local.base = r.addr;
		remote.base = (r.shared ? SHARED_BASE : PRIVATE_BASE) + below(cpu, 8) * PAGE;
		log_it(cpu, "process_vm_readv", local.base, remote.base, r.len, 0,
		       quire_process_vm_readv(proc->mm, &local, 1, proc->mm, &remote, 1, 0));
	}
}

static void call_file(struct cpu *cpu)
{
	struct quire_object *object = &sea.wild_file.object;
	uint64_t pos = below(cpu, FILE_PAGES * (PAGE / 8)) * 8, value;
	int64_t n;

	switch (below(cpu, 8)) {
	case 0:
		pos &= one_in(cpu, 2) ? ~(PAGE - 1) : ~0ull;
		file_forget_from(&sea.wild_file, pos);
		quire_object_truncate(object, pos);
		log_it(cpu, "truncate", pos, 0, 0, 0, 0);
		break;
	case 1:
	case 2:
		value = tag(KIND_SHARED, 0, pos);
		n = quire_object_write(object, pos, &value, 8);
		log_it(cpu, "write", pos, value, 0, 0, n);
		break;
	case 3:
		n = quire_object_read(object, pos, &value, 8);
		log_it(cpu, "read", pos, n == 8 ? value : 0, 0, 0, n);
		if (n == 8)
			judge(cpu, cpu->proc, pos, value, true);
		break;
	case 4:
		log_it(cpu, "sync", 0, 0, 0, 0, quire_object_sync(object, 0, UINT64_MAX));
		break;
	case 5:
		log_it(cpu, "punch_hole", pos & ~(PAGE - 1), 0, 0, 0,
		       quire_object_punch_hole(object, pos & ~(PAGE - 1), (pos & ~(PAGE - 1)) + PAGE));
		break;
	case 6:
		quire_object_unmap(object, pos / PAGE, pos / PAGE + 3, one_in(cpu, 2));
		log_it(cpu, "unmap pages", pos / PAGE, 4, 0, 0, 0);
		break;
	default:
		quire_object_truncate(object, FILE_PAGES * PAGE);
		log_it(cpu, "extend", FILE_PAGES * PAGE, 0, 0, 0, 0);
	}
}

static int swallow(struct quire_sink *sink, const char *text, size_t len)
{
	(void)sink;
	(void)text;
	return len > 1u << 20 ? -1 : 0;
}

static void read_texts(struct cpu *cpu)
{
	struct quire_sink sink = { .emit = swallow };

	switch (below(cpu, 5)) {
	case 0:
		(void)quire_proc_maps(cpu->proc->mm, &sink);
		break;
	case 1:
		(void)quire_proc_smaps(cpu->proc->mm, &sink);
		break;
	case 2:
		(void)quire_proc_status(cpu->proc->mm, &sink);
		break;
	case 3:
		(void)quire_proc_statm(cpu->proc->mm, &sink);
		break;
	default:
		(void)quire_proc_meminfo(sea.q, &sink);
	}
	log_it(cpu, "a text of /proc", 0, 0, 0, 0, 0);
}

static void call(struct cpu *cpu)
{
	struct range r = one_in(cpu, 12) ? odd(cpu) : pick(cpu);
	struct quire_mm *mm = cpu->proc->mm;
	unsigned char vec[64];
	uint32_t prot, flags = below(cpu, 8);

	cpu->calls++;
	switch (below(cpu, 40)) {
	case 0 ... 10:
		call_mmap(cpu, r);
		break;
	case 11 ... 13:
		log_it(cpu, "munmap", r.addr, r.len, 0, 0, quire_munmap(mm, r.addr, r.len));
		break;
	case 14 ... 17:
		prot = any_prot(cpu);
		if (one_in(cpu, 12))
			prot |= one_in(cpu, 4) ? QUIRE_PROT_GROWSUP : QUIRE_PROT_GROWSDOWN;
		log_it(cpu, "mprotect", r.addr, r.len, prot, 0, quire_mprotect(mm, r.addr, r.len, prot));
		break;
	case 18 ... 21:
		call_mremap(cpu, r);
		break;
	case 22 ... 26:
		call_madvise(cpu, r);
		break;
	case 27:
	case 28:
		call_brk(cpu);
		break;
	case 29:
	case 30:
		call_lock(cpu, r);
		break;
	case 31:
		log_it(cpu, "msync", r.addr, r.len, flags, 0, quire_msync(mm, r.addr, r.len, flags));
		break;
	case 32:
		log_it(cpu, "mincore", r.addr, r.len, 0, 0, quire_mincore(mm, r.addr, r.len, r.len <= sizeof(vec) * PAGE ? vec : NULL));
		break;
	case 33:
		/* For ever: rarely, and little. */
		if (one_in(cpu, 50) && r.len < 4 * PAGE)
			log_it(cpu, "mseal", r.addr, r.len, 0, 0, quire_mseal(mm, r.addr, r.len, 0));
		break;
	case 34:
		if (r.shared)
			log_it(cpu, "remap_file_pages", r.addr, r.len, 0, flags,
			       quire_remap_file_pages(mm, r.addr, r.len, 0, flags, 0));
		break;
	case 35:
	case 36:
		call_process_vm(cpu, r);
		break;
	case 37:
	case 38:
		call_file(cpu);
		break;
	default:
		read_texts(cpu);
	}
}

/* ---- Accesses ---------------------------------------------------------------------------- */

static void access_word(struct cpu *cpu)
{
	struct range r = pick(cpu);
	uint64_t addr = r.addr + below(cpu, PAGE / 8) * 8, value;
	struct quire_signal sig = { 0 };
	int err;

	if (one_in(cpu, 5)) {
		r.shared = false;
		addr = WILD_BREAK + below(cpu, HEAP_PAGES * (PAGE / 8)) * 8;
	}
	cpu->accesses++;
	switch (below(cpu, 8)) {
	case 0 ... 3:
		value = tag(r.shared ? KIND_SHARED : KIND_PRIVATE, cpu->proc->id, addr);
		err = machine_store(sea.m, addr, &value, 8, &sig);
		log_it(cpu, "store", addr, value, 0, 0, err);
		break;
	case 4:
		err = machine_fetch(sea.m, addr, &value, 8, &sig);
		log_it(cpu, "fetch", addr, 0, 0, 0, err);
		break;
	default:
		err = machine_load(sea.m, addr, &value, 8, &sig);
		log_it(cpu, "load", addr, err ? 0 : value, 0, 0, err);
		if (!err)
			judge(cpu, cpu->proc, addr, value, r.shared);
	}
	if (!err)
		return;
	cpu->signals++;
	if (sig.signo != QUIRE_SIGKILL && sig.addr != addr)
		fail(cpu, "signal %d for %#llx at %#llx", sig.signo, (unsigned long long)addr, (unsigned long long)sig.addr);
	if (sig.signo != QUIRE_SIGKILL && sig.signo != QUIRE_SIGSEGV && sig.signo != QUIRE_SIGBUS)
		fail(cpu, "signal %d, code %d at %#llx", sig.signo, sig.code, (unsigned long long)addr);
}

void wild_step(struct cpu *cpu)
{
	if (one_in(cpu, 3))
		call(cpu);
	else
		access_word(cpu);
}

/* SPDX-License-Identifier: MIT */
/*
 * The model's steps made on Quire, and everything that can be seen of it held against the model:
 * areas with their flags and page numbers, whose pages are whose (up to names), the entry of every
 * page and the bytes behind it, objects, counters; and Quire's and the machine's own checks.
 *
 * Looking changes nothing: bytes are read where the entries point to, not by accesses.
 *
 * Each space has two CPUs. Calls are made on the first one, accesses on both by turns, so that every
 * flush has somebody else's TLB to go to.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <machine.h>

#include "../format.h"
#include "world.h"

#define PAGE MODEL_PAGE
#define HALF (unsigned)(PAGE / 2)

struct file {
	struct quire_object object;
	struct quire_file file;
	uint8_t disk[MODEL_OBJECT_PAGES][2];
};

static struct machine *machine;
static struct quire *q;
static struct file file;
static struct quire_mm *spaces[MODEL_SPACES];
static unsigned current;
static uint64_t pages; /* of the window */
static int64_t frames_out, frames_at_start;
static char difference[512];

static __attribute__((format(printf, 1, 2))) const char *differs(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(difference, sizeof(difference), format, args);
	va_end(args);
	return difference;
}

/* ---- The file ---------------------------------------------------------------------------- */

static int read_page(struct quire_object *object, struct quire_page *page)
{
	unsigned char *bytes = quire_page_kmap(q, page);

	(void)object;
	memset(bytes, 0, PAGE);
	for (unsigned h = 0; h < 2 && page->index < MODEL_OBJECT_PAGES; h++)
		bytes[h * HALF] = file.disk[page->index][h];
	quire_page_kunmap(q, bytes);
	return 0;
}

static int write_page(struct quire_object *object, struct quire_page *page)
{
	unsigned char *bytes = quire_page_kmap(q, page);

	(void)object;
	for (unsigned h = 0; h < 2 && page->index < MODEL_OBJECT_PAGES; h++)
		file.disk[page->index][h] = bytes[h * HALF];
	quire_page_kunmap(q, bytes);
	return 0;
}

static int punch_hole(struct quire_object *object, uint64_t start, uint64_t end)
{
	(void)object;
	for (uint64_t p = start / PAGE; p < end / PAGE && p < MODEL_OBJECT_PAGES; p++)
		memset(file.disk[p], 0, sizeof(file.disk[p]));
	return 0;
}

static const struct quire_file_ops file_ops = {
	.read_page = read_page, .write_page = write_page, .punch_hole = punch_hole};

/* The host's storage has nothing behind the end, whenever the size changes. */
static void cut_disk(uint64_t halves)
{
	for (uint64_t h = halves; h < 2 * MODEL_OBJECT_PAGES; h++)
		file.disk[h / 2][h % 2] = 0;
}

static void begin_file(void)
{
	for (unsigned p = 0; p < MODEL_OBJECT_PAGES; p++)
		for (unsigned h = 0; h < 2; h++)
			file.disk[p][h] = model_file_byte(p, h);
	quire_object_init(q, &file.object, &file_ops, MODEL_FILE_HALVES * HALF, 0);
	file.file = (struct quire_file){
		.object = &file.object,
		.path = "/file",
		.inode = 1,
		.flags = QUIRE_FILE_READ | QUIRE_FILE_WRITE,
		.refs = 1,
	};
}

static int truncate_file(uint64_t halves)
{
	uint64_t old = file.object.size / HALF;

	cut_disk(halves < old ? halves : old);
	quire_object_truncate(&file.object, halves * HALF);
	return 0;
}

static void write_file(unsigned half, uint8_t value)
{
	unsigned char bytes[HALF];

	memset(bytes, value, sizeof(bytes));
	if (half >= file.object.size / HALF)
		cut_disk(file.object.size / HALF);
	if (quire_object_write(&file.object, (uint64_t)half * HALF, bytes, HALF) != HALF)
		abort();
}

/* ---- The machine ------------------------------------------------------------------------- */

static void count_frames(void *ctx, quire_pfn_t pfn, unsigned order, bool allocated)
{
	(void)ctx;
	(void)pfn;
	frames_out += allocated ? 1 << order : -(1 << order);
}

/* Frames that are not in slabs. */
static int64_t count_loose_frames(void)
{
	struct quire_list *pos, *tmp;
	int64_t loose = frames_out;

	quire_list_for_each(pos, tmp, &q->slabs.caches) {
		const struct quire_cache *cache = quire_list_entry(pos, struct quire_cache, link);

		loose -= (int64_t)(cache->nr_slabs << cache->order);
	}
	return loose;
}

void quire_open(void)
{
	struct machine_config config = {
		.ram_bytes = 16u << 20, .nr_cpus = 2 * MODEL_SPACES, .tlb_entries = 16};
	static const struct machine_hooks hooks = {.frames = count_frames};

	test_choose_format(&config);
	if (config.fmt->va_bits < 48)
		model_middle = UINT64_C(1) << (config.fmt->va_bits - 2);
	if (machine_create(&config, &machine))
		abort();
	q = machine_quire(machine);
	machine_set_hooks(machine, &hooks, NULL);
	q->mms.sysctl.mmap_min_addr = MODEL_BASE;
	frames_at_start = count_loose_frames();
}

const char *quire_close(void)
{
	machine_cpu_turn(machine, 0);
	return machine_destroy(machine) ? "the machine has reported something" : NULL;
}

/* ---- Spaces ------------------------------------------------------------------------------ */

static void load_space(unsigned n)
{
	for (unsigned i = 0; i < 2; i++) {
		machine_cpu_turn(machine, n + i * MODEL_SPACES);
		machine_switch(machine, spaces[n] ? &spaces[n]->pt : NULL);
	}
	machine_cpu_turn(machine, current);
}

static void unload_space(unsigned n)
{
	for (unsigned i = 0; i < 2; i++) {
		machine_cpu_turn(machine, n + i * MODEL_SPACES);
		machine_switch(machine, NULL);
	}
}

void quire_begin(const struct model *model)
{
	const quire_uaddr_t end = MODEL_BASE + (uint64_t)model->pages * PAGE;
	const struct quire_layout layout = {
		.task_size = end,
		.mmap_base = end,
		.mmap_legacy_base = MODEL_BASE,
		.topdown = true,
		.start_brk = MODEL_BASE,
		.brk = MODEL_BASE,
	};

	pages = model->pages;
	q->mms.sysctl.stack_guard_gap = (uint64_t)model->gap * PAGE;
	q->mms.sysctl.forbid_zeropage = model->forbid_zeropage;
	begin_file();
	current = 0;
	if (quire_mm_create(q, &layout, &spaces[0]))
		abort();
	spaces[0]->limits.memlock = (uint64_t)model->memlock * PAGE;
	spaces[0]->limits.stack = (uint64_t)model->stack_limit * PAGE;
	load_space(0);
}

static void put_space(unsigned n)
{
	struct quire_mm *mm = spaces[n];

	unload_space(n);
	spaces[n] = NULL;
	quire_mmput(mm);
}

static const char *check_left_over(void)
{
	struct quire_cache *const caches[] = {
		&q->mms.vma_cache,	 &q->mms.mm_cache,	 &q->objects.chain_cache,
		&q->objects.anon_cache,	 &q->objects.file_cache, &q->objects.object_cache,
		&q->objects.radix_cache, &q->index_cache,	 &q->index_inner_cache,
	};

	for (size_t i = 0; i < QUIRE_ARRAY_SIZE(caches); i++) {
		struct quire_cache_stat stat;

		quire_cache_stat(q, caches[i], &stat);
		if (stat.active_objects)
			return differs("left over: %llu of %s",
				       (unsigned long long)stat.active_objects, caches[i]->name);
	}
	if (quire_load(&q->mms.committed))
		return differs("left over: %lld pages promised", (long long)q->mms.committed);
	if (count_loose_frames() != frames_at_start)
		return differs("left over: %lld frames",
			       (long long)(count_loose_frames() - frames_at_start));
	return NULL;
}

const char *quire_end(void)
{
	const char *left = NULL;

	for (unsigned n = 0; n < MODEL_SPACES; n++)
		if (spaces[n])
			put_space(n);
	machine_cpu_turn(machine, 0);
	quire_grace_wait(q);
	if (file.file.refs != 1 || file.object.refs != 1)
		left = differs("left over: the file has %u references, its object %u",
			       file.file.refs, file.object.refs);
	quire_object_put(&file.object);
	quire_grace_wait(q); /* nodes of the caches of objects that have just gone */
	if (!left)
		left = check_left_over();
	if (!left && machine_failed(machine))
		left = differs("the machine has reported something");
	return left;
}

/* ---- Steps ------------------------------------------------------------------------------- */

static void make_access(const struct step *t, uint8_t value, unsigned position, struct outcome *o)
{
	quire_uaddr_t addr = MODEL_ADDRESS(t->start) + t->off * HALF;
	struct quire_signal sig = {0};

	machine_cpu_turn(machine, current + position % 2 * MODEL_SPACES);
	if (t->call == CALL_STORE)
		o->value = machine_store(machine, addr, &value, 1, &sig);
	else if (t->call == CALL_LOAD)
		o->value = machine_load(machine, addr, &o->byte, 1, &sig);
	else
		o->value = machine_fetch(machine, addr, &o->byte, 1, &sig);
	machine_cpu_turn(machine, current);
	o->signo = sig.signo;
	o->code = sig.code;
	o->addr = sig.signo ? sig.addr : 0;
}

static void fork_space(void)
{
	for (unsigned n = 0; n < MODEL_SPACES; n++) {
		if (spaces[n])
			continue;
		if (quire_fork(spaces[current], &spaces[n]))
			abort();
		load_space(n);
		return;
	}
}

static void go_on_elsewhere(bool exits)
{
	unsigned old = current;

	do
		current = (current + 1) % MODEL_SPACES;
	while (!spaces[current]);
	if (exits)
		put_space(old);
	machine_cpu_turn(machine, current);
}

static int64_t make_mmap(struct quire_mm *mm, const struct step *t, uint64_t addr, uint64_t len)
{
	uint32_t flags = t->flags | (t->file ? 0 : QUIRE_MAP_ANONYMOUS);

	return quire_mmap(mm, t->start == NOWHERE ? 0 : addr, len, t->prot, flags,
			  t->file ? &file.file : NULL, (uint64_t)t->off * PAGE);
}

void quire_step(const struct step *t, uint8_t value, unsigned position, struct outcome *o)
{
	struct quire_mm *mm = spaces[current];
	uint64_t addr = MODEL_ADDRESS(t->start), len = (uint64_t)t->n * PAGE;

	memset(o, 0, sizeof(*o));
	switch ((enum model_call)t->call) {
	case CALL_MMAP: o->value = make_mmap(mm, t, addr, len); break;
	case CALL_MUNMAP: o->value = quire_munmap(mm, addr, len); break;
	case CALL_MPROTECT: o->value = quire_mprotect(mm, addr, len, t->prot); break;
	case CALL_MREMAP:
		o->value = quire_mremap(mm, addr, len, (uint64_t)t->new_n * PAGE, t->flags,
					t->to == NOWHERE ? 0 : MODEL_ADDRESS(t->to));
		break;
	case CALL_BRK: o->value = (int64_t)quire_brk(mm, addr); break;
	case CALL_MADVISE: o->value = quire_madvise(mm, addr, len, (int)t->flags); break;
	case CALL_MLOCK: o->value = quire_mlock(mm, addr, len); break;
	case CALL_MLOCK2: o->value = quire_mlock2(mm, addr, len, t->flags); break;
	case CALL_MUNLOCK: o->value = quire_munlock(mm, addr, len); break;
	case CALL_MLOCKALL: o->value = quire_mlockall(mm, t->flags); break;
	case CALL_MUNLOCKALL: o->value = quire_munlockall(mm); break;
	case CALL_MSYNC: o->value = quire_msync(mm, addr, len, t->flags); break;
	case CALL_MINCORE:
		o->value = quire_mincore(mm, addr, len, o->vec);
		if (o->value)
			memset(o->vec, 0, sizeof(o->vec));
		break;
	case CALL_MSEAL: o->value = quire_mseal(mm, addr, len, 0); break;
	case CALL_FTRUNCATE: o->value = truncate_file(t->n); break;
	case CALL_PWRITE: write_file(t->start, value); break;
	case CALL_STORE:
	case CALL_LOAD:
	case CALL_FETCH: make_access(t, value, position, o); break;
	case CALL_FORK: fork_space(); break;
	case CALL_OTHER: go_on_elsewhere(false); break;
	case CALL_EXIT: go_on_elsewhere(true); break;
	default: abort();
	}
}

/* ---- Comparing --------------------------------------------------------------------------- */

/* Names of the model's things stand for Quire's: each for one, and none for two. */
struct names {
	const void *object[MODEL_OBJECTS];
	const void *owner[MODEL_OWNERS];
};

static bool is_named(const void **names, unsigned n, int name, const void *thing)
{
	if (name < 0)
		return thing == NULL;
	for (unsigned i = 0; i < n; i++)
		if (names[i] == thing && (int)i != name)
			return false;
	if (!names[name])
		names[name] = thing;
	return thing && names[name] == thing;
}

static const char *compare_area(const struct space *s, unsigned p, const struct quire_vma *vma,
				struct names *names)
{
	const struct page *page = &s->page[p];
	unsigned end = model_area_end(s, p);

	if (vma->start != MODEL_ADDRESS(p) || vma->end != MODEL_ADDRESS(end))
		return differs("an area of pages %u-%u is %u-%u", p, end,
			       (unsigned)((vma->start - MODEL_BASE) / PAGE),
			       (unsigned)((vma->end - MODEL_BASE) / PAGE));
	if (vma->flags != page->flags)
		return differs("flags of the area at page %u: %#llx, should be %#llx", p,
			       (unsigned long long)vma->flags, (unsigned long long)page->flags);
	if (vma->pgoff != page->pgoff)
		return differs("page number of the area at page %u: %#llx, should be %#llx", p,
			       (unsigned long long)vma->pgoff, (unsigned long long)page->pgoff);
	if (!is_named(names->object, MODEL_OBJECTS, page->object, vma->object))
		return differs("the area at page %u maps another object", p);
	if (!is_named(names->owner, MODEL_OWNERS, page->owner, vma->anon))
		return differs("the area at page %u %s", p,
			       !vma->anon ? "has no owner" :
			       page->owner < 0 ? "has an owner" : "has another owner");
	for (unsigned i = 0; i < page->chain_len; i++) {
		if (!vma->chain || vma->chain->count != page->chain_len)
			return differs("the area at page %u has %u owners in its chain, not %u", p,
				       vma->chain ? vma->chain->count : 0, page->chain_len);
		if (!is_named(names->owner, MODEL_OWNERS, page->chain[i], vma->chain->anon[i]))
			return differs("owner %u in the chain of the area at page %u is another",
				       i, p);
	}
	return NULL;
}

static const char *compare_areas(const struct model *m, unsigned n, struct names *names)
{
	const struct space *s = &m->space[n];
	struct quire_index_walk walk;
	struct quire_vma *vma;
	const char *bad = NULL;
	unsigned p = 0;

	quire_index_walk_start(&walk, &spaces[n]->index, 0);
	while (!bad && (vma = quire_index_walk_next(&walk))) {
		while (p < m->pages && !s->page[p].mapped)
			p++;
		if (p == m->pages)
			return differs("an area too many at %#llx", (unsigned long long)vma->start);
		bad = compare_area(s, p, vma, names);
		p = model_area_end(s, p);
	}
	while (!bad && p < m->pages)
		if (s->page[p++].mapped)
			bad = differs("no area at page %u", p - 1);
	return bad;
}

static const char *compare_bytes(struct quire_page *page, const uint8_t *byte, const char *what,
				 unsigned p)
{
	unsigned char *bytes = quire_page_kmap(q, page), is[2] = {bytes[0], bytes[HALF]};

	quire_page_kunmap(q, bytes);
	if (is[0] == byte[0] && is[1] == byte[1])
		return NULL;
	return differs("bytes of %s %u: %02x %02x, should be %02x %02x", what, p, is[0], is[1],
		       byte[0], byte[1]);
}

static const char *compare_entry(const struct page *page, unsigned p, quire_pte_t entry,
				 const struct quire_pgfmt *fmt, const struct names *names)
{
	static const char *const should[] = {"nothing, or what the object has", "zeroes",
					     "a page of its own", "a guard"};
	enum quire_pte_kind kind = quire_pte_kind(fmt, entry);
	struct quire_page *frame = NULL;
	bool special = kind == QUIRE_PTE_PAGE && quire_pte_has(fmt, entry, QUIRE_PTE_SPECIAL);
	bool good = false;

	if (kind == QUIRE_PTE_PAGE)
		frame = quire_pfn_to_page(q, quire_pte_pfn(fmt, entry));
	switch (page->content) {
	case NOTHING:
		good = kind == QUIRE_PTE_EMPTY;
		if (kind == QUIRE_PTE_PAGE && page->mapped && page->object >= 0 && !special)
			good = frame->owner == names->object[page->object] &&
			       frame->index == page->pgoff;
		break;
	case ZEROES:
		good = special && frame == q->pages.zero_page;
		break;
	case OWN:
		good = frame && !special && quire_page_kind(frame) == QUIRE_PAGE_ANON;
		break;
	default:
		good = kind == QUIRE_PTE_GUARD;
	}
	if (!good)
		return differs("entry of page %u: kind %d, should be %s", p, (int)kind,
			       should[page->content]);
	return page->content == OWN ? compare_bytes(frame, page->byte, "page", p) : NULL;
}

static const char *compare_space(const struct model *m, unsigned n, struct names *names)
{
	const struct space *s = &m->space[n];
	struct quire_mm *mm = spaces[n];
	const char *bad;

	quire_grace_enter(q);
	bad = compare_areas(m, n, names);
	for (unsigned p = 0; p < m->pages && !bad; p++)
		bad = compare_entry(&s->page[p], p, quire_pgtable_peek(&mm->pt, MODEL_ADDRESS(p)),
				    mm->pt.fmt, names);
	quire_grace_leave(q);
	if (!bad && mm->def_flags != s->def_flags)
		bad = differs("def_flags are %#llx, should be %#llx",
			      (unsigned long long)mm->def_flags, (unsigned long long)s->def_flags);
	if (!bad && mm->layout.brk != MODEL_ADDRESS(s->brk))
		bad = differs("the break is at %#llx", (unsigned long long)mm->layout.brk);
	return bad;
}

static const char *compare_object(const struct object *o, int n, struct quire_object *object)
{
	const char *bad = quire_object_check(object);

	if (!bad && object->size != o->halves * HALF)
		bad = differs("object %d has %llu bytes, should be %u", n,
			      (unsigned long long)object->size, o->halves * HALF);
	for (unsigned i = 0; i < MODEL_OBJECT_PAGES && !bad; i++) {
		struct quire_page *page = quire_object_find_page(object, i);

		if (!page != !o->there[i])
			bad = differs("page %u of object %d is %s", i, n, page ? "there" : "missing");
		else if (page)
			bad = compare_bytes(page, o->byte[i], "object's page", i);
		if (page)
			(void)quire_page_put(q, page);
		/* Pages that are not there are read from the disk. */
		if (!bad && n == MODEL_FILE && memcmp(file.disk[i], o->disk[i], 2))
			bad = differs("page %u on the disk: %02x %02x, should be %02x %02x", i,
				      file.disk[i][0], file.disk[i][1], o->disk[i][0], o->disk[i][1]);
	}
	return bad;
}

static const char *compare_all(const struct model *m)
{
	struct names names = {.object = {[MODEL_FILE] = &file.object}};
	const char *bad = NULL;

	if (current != m->current)
		return differs("space %u goes on, should be %u", current, m->current);
	for (unsigned n = 0; n < MODEL_SPACES && !bad; n++) {
		if (!spaces[n] != !m->space[n].exists)
			return differs("space %u should %sexist", n, spaces[n] ? "not " : "");
		if (spaces[n])
			bad = compare_space(m, n, &names);
		if (bad && n != m->current) {
			char in[64];

			snprintf(in, sizeof(in), " (in space %u)", n);
			strncat(difference, in, sizeof(difference) - strlen(difference) - 1);
		}
	}
	for (int n = 0; n < MODEL_OBJECTS && !bad; n++)
		if (m->object[n].exists)
			bad = compare_object(&m->object[n], n,
					     (struct quire_object *)(uintptr_t)names.object[n]);
	return bad;
}

const char *quire_compare(const struct model *m)
{
	const char *bad;

	/* Objects that are nobody's go after a grace period, with what they were promised. */
	quire_grace_wait(q);
	bad = compare_all(m);
	if (!bad && quire_load(&q->mms.committed) != model_committed(m))
		bad = differs("%lld pages are promised, should be %lld",
			      (long long)q->mms.committed, (long long)model_committed(m));
	for (unsigned n = 0; n < MODEL_SPACES && !bad; n++)
		if (spaces[n])
			bad = quire_mm_check(spaces[n]);
	if (!bad)
		bad = machine_check(machine);
	if (!bad && machine_failed(machine))
		bad = "the machine has reported something";
	return bad;
}

/* SPDX-License-Identifier: MIT */
/*
 * The vmalloc area against a byte a page. Random calls of everything that takes kernel addresses; the model says for each
 * where it must be put, and Quire must have put it there.
 *
 * What the model knows is what vmalloc.h promises:
 *
 *	- an area goes to the lowest aligned run of free pages that holds it and its guard page;
 *	- what quire_free_vm_area(), or freeing at once, gives back is free when that returns;
 *	- what is freed lazily is free after the next purge: when more than lazy_max_pages or lazy_max_areas wait, when a run cannot be found, when a
 *	  host asks for it; what an interrupt has set aside waits for the next call;
 *	- vm_map_ram() deals out blocks of block_pages, aligned to their size, from their front; a block is freed lazily when
 *	  all of it has come back, or by a purge for addresses when nothing of it is in use.
 *
 *	model-vmalloc                 every format and size of space
 *	model-vmalloc SEED STEPS      one run, of what the seed says, and every step of it printed
 *
 * QUIRE_SOAK_MINUTES: fresh seeds until then.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <machine.h>

#define PAGE 4096ull
#define MOST_PAGES                                                                                 \
	40960u /* that are modelled: the whole vmalloc area of a machine with 896 MiB below */
#define MOST_THINGS 8192u
#define POOL 128u /* pages for vmap */

static struct machine *m;
static struct quire *q;
static const struct quire_pgfmt *fmt;
static uint64_t seed, state, step;
static bool verbose;

static uint64_t below(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static __attribute__((noreturn, format(printf, 1, 2))) void die(const char *text, ...)
{
	va_list args;

	va_start(args, text);
	fprintf(stderr, "model-vmalloc: seed %llu, step %llu: ", (unsigned long long)seed,
		(unsigned long long)step);
	vfprintf(stderr, text, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static __attribute__((format(printf, 1, 2))) void say(const char *text, ...)
{
	va_list args;

	if (!verbose)
		return;
	va_start(args, text);
	vprintf(text, args);
	putchar('\n');
	va_end(args);
}

/* ---- The model --------------------------------------------------------------------------- */

#define NOWHERE UINT64_MAX

struct range {
	uint64_t at, pages; /* of the vmalloc area, from its start; guard included */
};

/* A block of vm_map_ram(). */
struct block {
	struct range range;
	uint64_t free,
		dirty; /* pages never dealt out; pages that came back, or will never go out */
};

enum kind { AREA, REMOVED, VMALLOC, VMAP, IOREMAP, RAM, BLOCK_PART };

/* Something that lives. */
struct thing {
	enum kind kind;
	struct range range;
	struct range array; /* VMALLOC: that of its pages, pages 0: none */
	bool at_once;	    /* is freed with a flush of its own */
	uint64_t nr;	    /* RAM: pages */
	void *ptr;
	struct quire_vm_struct *area;
	struct block *block;
};

static struct model {
	uint64_t start, pages; /* in pages */
	unsigned char taken[MOST_PAGES];
	struct range lazy[MOST_PAGES];
	uint64_t nr_lazy, waiting; /* waiting: pages that are freed and not free */
	struct thing aside[MOST_THINGS];
	uint64_t nr_aside;
	struct thing thing[MOST_THINGS];
	uint64_t nr_things;
	struct block *current;
	uint64_t living; /* areas */
} model;

/* The lowest run of pages that are free and begins where align says. */
static uint64_t fit(uint64_t pages, uint64_t align)
{
	uint64_t at = 0;

	for (;;) {
		const unsigned char *used;

		at = ((model.start + at + align - 1) & ~(align - 1)) - model.start;
		if (at > model.pages || pages > model.pages - at)
			return NOWHERE;
		used = memchr(model.taken + at, 1, pages);
		if (!used)
			return at;
		used = memchr(used, 0, (size_t)(model.taken + model.pages - used));
		if (!used)
			return NOWHERE;
		at = (uint64_t)(used - model.taken);
	}
}

static void set_free(const struct range *r)
{
	memset(model.taken + r->at, 0, r->pages);
	model.waiting -= r->pages;
}

/* idle: so is the block that is dealt from, if nothing of it is in use. */
static void purge(bool idle)
{
	struct block *b = model.current;

	while (model.nr_lazy)
		set_free(&model.lazy[--model.nr_lazy]);
	if (idle && b && b->free + b->dirty == b->range.pages) {
		model.current = NULL;
		model.living--;
		model.waiting += b->range.pages;
		set_free(&b->range);
		free(b);
	}
}

/* From now on it is nobody's. */
static void claim(const struct range *r)
{
	model.living--;
	model.waiting += r->pages;
}

/* What has been claimed maps nothing any more. */
static void retire(const struct range *r, bool at_once)
{
	if (at_once) {
		set_free(r);
		return;
	}
	model.lazy[model.nr_lazy++] = *r;
	if (model.waiting > q->vmalloc.lazy_max_pages || model.nr_lazy > q->vmalloc.lazy_max_areas)
		purge(false);
}

static void retire_all(const struct thing *t)
{
	retire(&t->range, t->at_once);
	if (t->array.pages) {
		claim(&t->array);
		retire(&t->array, false);
	}
}

static void drain(void)
{
	uint64_t n = model.nr_aside;

	model.nr_aside = 0;
	while (n)
		retire_all(&model.aside[--n]);
}

/* Take size pages, guard included. False: there is no such run. */
static bool take(uint64_t pages, uint64_t align, struct range *r)
{
	uint64_t at;

	drain();
	at = fit(pages, align);
	if (at == NOWHERE) {
		purge(true);
		at = fit(pages, align);
	}
	if (at == NOWHERE)
		return false;
	*r = (struct range){at, pages};
	memset(model.taken + at, 1, pages);
	model.living++;
	return true;
}

static void drop_block(struct block *b)
{
	claim(&b->range);
	retire(&b->range, false);
	free(b);
}

static struct thing *new_thing(enum kind kind)
{
	struct thing *t = &model.thing[model.nr_things++];

	*t = (struct thing){.kind = kind};
	return t;
}

/* ---- Both -------------------------------------------------------------------------------- */

static struct quire_page *pool[POOL];

static uint64_t page_of(const void *ptr)
{
	return (quire_ptr_to_kaddr(q, ptr) >> QUIRE_PAGE_SHIFT) - model.start;
}

/* Quire's answer is the model's. */
static void agree(const char *what, const void *ptr, bool found, const struct range *r)
{
	say("%llu %s: %lld, %llu pages", (unsigned long long)step, what,
	    found ? (long long)r->at : -1ll, found ? (unsigned long long)r->pages : 0ull);
	if (!ptr && found)
		die("%s: NULL, not page %llu", what, (unsigned long long)r->at);
	if (ptr && !found)
		die("%s: page %llu, not NULL", what, (unsigned long long)page_of(ptr));
	if (ptr && page_of(ptr) != r->at)
		die("%s: page %llu, not %llu", what, (unsigned long long)page_of(ptr),
		    (unsigned long long)r->at);
}

/* Small most of the time. */
static uint64_t some_pages(void)
{
	switch (below(16)) {
	case 0:
		return 1 + below(60);
	case 1:
	case 2:
		return 1 + below(20);
	default:
		return 1 + below(4);
	}
}

static uint64_t some_align(void)
{
	return below(4) ? 1 : 1ull << below(8);
}

static unsigned large_order(void)
{
	return fmt == &quire_pgfmt_i386 ? 0 : 9;
}

static void get_area(void)
{
	const bool bare = below(4) == 0;
	uint64_t pages = some_pages(), align = some_align();
	struct quire_vm_struct *area;
	struct range r = {0};
	bool found;

	/* Nearly a page too much is a page too much. */
	area = quire_get_vm_area_caller(q, pages * PAGE - below(PAGE), align * PAGE,
					bare ? QUIRE_VM_NO_GUARD : 0, NULL);
	found = take(pages + !bare, align, &r);
	agree("get_vm_area", area ? quire_kaddr_to_ptr(q, area->addr) : NULL, found, &r);
	if (found) {
		struct thing *t = new_thing(AREA);

		t->range = r;
		t->area = area;
		t->at_once = true;
	}
}

/* Those beyond 512 pages have an array of their pages that is an area too, which is put first. */
static void get_memory(void)
{
	const bool code = below(16) == 0, bare = !code && below(16) == 0;
	uint64_t pages = below(200) ? some_pages() : 500 + below(200);
	uint64_t align = code ? 1 : some_align(), large = 1ull << large_order();
	const uint64_t size = pages * PAGE - (code ? 0 : below(PAGE));
	struct range r = {0}, array = {0};
	bool found = true;
	void *ptr;

	ptr = code ? quire_vmalloc_exec(q, size)
		   : quire_vmalloc_caller(q, size, align * PAGE, QUIRE_GFP_NOWARN,
					  QUIRE_PTE_READ | QUIRE_PTE_WRITE,
					  bare ? QUIRE_VM_NO_GUARD : 0, -1, NULL);
	if (pages > 512)
		found = take((pages * 8 + PAGE - 1) / PAGE + 1, 1, &array);
	if (q->vmalloc.huge && !code && large > 1 && size >= large * PAGE && align < large)
		align = large;
	if (found && !take(pages + !bare, align, &r)) {
		found = false;
		if (array.pages) {
			drain();
			claim(&array);
			retire(&array, false);
		}
	}
	agree("vmalloc", ptr, found, &r);
	if (found) {
		struct thing *t = new_thing(VMALLOC);

		t->range = r;
		t->array = array;
		t->ptr = ptr;
		t->at_once = code;
	}
}

static void map_pages(void)
{
	uint64_t pages = some_pages();
	struct range r = {0};
	void *ptr = quire_vmap(q, pool + below(POOL - pages), pages, 0,
			       QUIRE_PTE_READ | (below(2) ? QUIRE_PTE_WRITE : 0));
	bool found = take(pages + 1, 1, &r);

	agree("vmap", ptr, found, &r);
	if (found) {
		struct thing *t = new_thing(VMAP);

		t->range = r;
		t->ptr = ptr;
	}
}

/* Aligned to its size, up to that of a large leaf. */
static void map_device(void)
{
	uint64_t pages = below(100) ? some_pages() : 1 + below(600), offset = below(PAGE),
		 align = 1;
	unsigned most = large_order() > 7 ? large_order() : 7;
	struct range r = {0};
	bool found;
	char *ptr =
		quire_ioremap(q, 0xe0000000 + below(1000) * PAGE + offset, pages * PAGE - offset);

	while (align < pages && align < 1ull << most)
		align *= 2;
	found = take(pages + 1, align, &r);
	agree("ioremap", ptr, found, &r);
	if (found) {
		struct thing *t = new_thing(IOREMAP);

		t->range = r;
		t->ptr = ptr;
		if ((quire_ptr_to_kaddr(q, ptr) & (PAGE - 1)) != offset)
			die("ioremap: not the offset in the page");
	}
}

/* From the block's front, or a new block's; what is left of the old one is lost. */
static bool deal(uint64_t nr, struct range *r, struct block **from)
{
	struct block *b = model.current;

	if (b && b->free < nr) {
		b->dirty += b->free;
		b->free = 0;
		model.current = NULL;
		if (b->dirty == b->range.pages)
			drop_block(b);
		b = NULL;
	}
	if (!b) {
		const uint64_t pages = q->vmalloc.block_pages;

		b = malloc(sizeof(*b));
		if (!take(pages, pages, &b->range)) {
			free(b);
			return false;
		}
		b->free = pages;
		b->dirty = 0;
		model.current = b;
	}
	*r = (struct range){b->range.at + b->range.pages - b->free, nr};
	b->free -= nr;
	*from = b;
	if (!b->free)
		model.current = NULL;
	return true;
}

static void map_ram(void)
{
	uint64_t nr = below(16) ? 1 + below(16) : 1 + below(100);
	void *ptr = quire_vm_map_ram(q, pool + below(POOL - nr), nr);
	bool small = nr <= QUIRE_VMAP_MAX_ALLOC, found;
	struct block *from = NULL;
	struct range r = {0};

	found = small ? deal(nr, &r, &from) : take(nr + 1, 1, &r);
	agree("vm_map_ram", ptr, found, &r);
	if (found) {
		struct thing *t = new_thing(small ? BLOCK_PART : RAM);

		t->range = r;
		t->block = from;
		t->nr = nr;
		t->ptr = ptr;
	}
}

/* ---- Giving back ------------------------------------------------------------------------- */

static void give_back(struct thing *t)
{
	say("%llu free %d at %llu", (unsigned long long)step, t->kind,
	    (unsigned long long)t->range.at);
	switch (t->kind) {
	case AREA:
		quire_free_vm_area(q, t->area);
		break;
	case REMOVED:
		quire_free_vm_area(q, t->area);
		return;
	case VMALLOC:
		quire_vfree(q, t->ptr);
		break;
	case VMAP:
		quire_vunmap(q, t->ptr);
		break;
	case IOREMAP:
		quire_iounmap(q, t->ptr);
		break;
	case RAM:
		quire_vm_unmap_ram(q, t->ptr, t->nr);
		claim(&t->range);
		retire(&t->range, false);
		return;
	case BLOCK_PART:
		quire_vm_unmap_ram(q, t->ptr, t->nr);
		t->block->dirty += t->nr;
		if (t->block->dirty == t->block->range.pages)
			drop_block(t->block);
		return;
	}
	drain();
	claim(&t->range);
	retire_all(t);
}

static void forget(struct thing *t)
{
	*t = model.thing[--model.nr_things];
}

static void free_one(void)
{
	struct thing *t;

	if (!model.nr_things)
		return;
	t = &model.thing[below(model.nr_things)];
	if (t->kind == AREA && below(4) == 0) {
		/* In two steps: its addresses are free after the first. */
		if (quire_remove_vm_area(q, t->area->addr) != t->area)
			die("remove_vm_area: another one");
		drain();
		claim(&t->range);
		retire(&t->range, true);
		t->kind = REMOVED;
		return;
	}
	if (t->kind == VMALLOC && below(4) == 0) {
		say("%llu vfree_atomic at %llu", (unsigned long long)step,
		    (unsigned long long)t->range.at);
		quire_vfree_atomic(q, t->ptr);
		claim(&t->range);
		model.aside[model.nr_aside++] = *t;
	} else {
		give_back(t);
	}
	forget(t);
}

/* ---- Looking ----------------------------------------------------------------------------- */

/* What lives is found by every address of it; nothing else is. */
static void look(void)
{
	const uint64_t page = below(model.pages);
	struct quire_vm_struct *area =
		quire_find_vm_area(q, (model.start + page) * PAGE + below(PAGE));
	const struct thing *t;
	uint64_t i;

	if (area && !model.taken[page])
		die("an area is found where none is: page %llu", (unsigned long long)page);
	if (!model.nr_things)
		return;
	i = below(model.nr_things);
	t = &model.thing[i];
	if (t->kind == REMOVED || t->kind == BLOCK_PART)
		return;
	area = quire_find_vm_area(q, (model.start + t->range.at + below(t->range.pages)) * PAGE);
	if (!area || area->addr != (model.start + t->range.at) * PAGE ||
	    area->size != t->range.pages * PAGE)
		die("an area is not found, or is not as large as it was made");
}

/* Sizes that cannot be: NULL, and nothing has changed. */
static void ask_too_much(void)
{
	const uint64_t absurd[] = {0, UINT64_MAX, UINT64_MAX - PAGE + 1, 1ull << 63};
	const uint64_t size = absurd[below(4)];

	if (quire_get_vm_area(q, size, 0) ||
	    quire_vmalloc_caller(q, size, 0, QUIRE_GFP_NOWARN, QUIRE_PTE_READ, 0, -1, NULL) ||
	    quire_ioremap(q, 0xe0000000, size) || quire_vmap(q, pool, size, 0, QUIRE_PTE_READ))
		die("%llu bytes are had", (unsigned long long)size);
}

static void check(void)
{
	quire_broken_t broken = quire_vmalloc_check(q);

	if (broken)
		die("%s", broken);
	if (q->vmalloc.nr_areas != model.living || q->vmalloc.nr_lazy_pages != model.waiting)
		die("%llu areas and %llu pages that wait, not %llu and %llu",
		    (unsigned long long)q->vmalloc.nr_areas,
		    (unsigned long long)q->vmalloc.nr_lazy_pages, (unsigned long long)model.living,
		    (unsigned long long)model.waiting);
	if (machine_failed(m))
		die("something was reported");
}

/* ---- Runs -------------------------------------------------------------------------------- */

static void turn(uint64_t fill)
{
	uint64_t what = below(1000);

	if (what < 4) {
		quire_vm_unmap_aliases(q);
		drain();
		purge(true);
	} else if (what < 8) {
		quire_vmalloc_poll(q);
		drain();
		if (model.waiting)
			purge(false);
	} else if (what < 60) {
		look();
	} else if (what < 64) {
		ask_too_much();
	} else if (below(1000) < fill && model.nr_things < MOST_THINGS &&
		   model.nr_aside < MOST_THINGS) {
		switch (below(8)) {
		case 0:
		case 1:
			get_area();
			break;
		case 2:
		case 3:
		case 4:
			get_memory();
			break;
		case 5:
			map_pages();
			break;
		case 6:
			map_device();
			break;
		default:
			map_ram();
			break;
		}
	} else {
		free_one();
	}
}

/*
 * All of the vmalloc area beyond the first pages is one area's from the beginning, where a space is to be small. 0: the model
 * has all of it.
 */
static struct quire_vm_struct *cut(uint64_t pages)
{
	const struct quire_kva_layout *l = &q->kva.layout;
	struct quire_vm_struct *first, *rest;

	model.start = l->vmalloc_start / PAGE;
	model.pages = (l->vmalloc_end - l->vmalloc_start) / PAGE;
	if (!pages)
		return NULL;
	first = quire_get_vm_area(q, pages * PAGE, QUIRE_VM_NO_GUARD);
	rest = quire_get_vm_area(q, (model.pages - pages) * PAGE, QUIRE_VM_NO_GUARD);
	if (!first || !rest || rest->addr != (model.start + pages) * PAGE)
		die("the space is not as large as it should be");
	quire_free_vm_area(q, first);
	model.pages = pages;
	model.living = 1;
	return rest;
}

static const struct quire_pgfmt *const formats[] = {&quire_pgfmt_i386, &quire_pgfmt_pae,
						    &quire_pgfmt_x86_64};

/* Kinds of runs: format by format with a small space, then with that of a machine with 896 MiB below, or as large. */
#define KINDS 6u

static void run(uint64_t this_seed, uint64_t steps)
{
	static const uint64_t lazy_most[] = {0, 40, 400, UINT64_MAX};
	const unsigned kind = (unsigned)(this_seed % KINDS);
	const bool large = kind >= 3, is_32 = kind % 3 != 2;
	struct machine_config config = {.ram_bytes = large ? 1ull << 30 : 96ull << 20,
					.nr_cpus = 1,
					.high_memory = !is_32  ? 0
						       : large ? 896ull << 20
							       : 64ull << 20,
					.window = true};
	struct quire_vm_struct *rest;
	uint64_t fill = 500;

	seed = this_seed;
	state = (seed + 1) * 0x9e3779b97f4a7c15ull;
	step = 0;
	fmt = config.fmt = formats[kind % 3];
	memset(&model, 0, sizeof(model));
	if (machine_create(&config, &m))
		die("no machine");
	q = machine_quire(m);
	rest = cut(!large ? 1500 + below(3000) : is_32 ? 0 : 30000);
	if (model.pages > MOST_PAGES)
		die("%llu pages are too many for the model", (unsigned long long)model.pages);
	q->vmalloc.lazy_max_pages = lazy_most[below(4)];
	q->vmalloc.lazy_max_areas = lazy_most[below(4)];
	q->vmalloc.huge = below(4) != 0;
	for (unsigned i = 0; i < POOL; i++)
		pool[i] = quire_page_alloc(q, QUIRE_GFP_HIGHUSER, 0);
	for (; step < steps; step++) {
		/* It fills up, and empties, by turns. */
		if (below(2000) == 0)
			fill = 300 + below(450);
		turn(fill);
		if (below(QUIRE_DEBUG ? 64 : 2000) == 0)
			check();
	}
	check();
	while (model.nr_things) {
		give_back(&model.thing[model.nr_things - 1]);
		model.nr_things--;
	}
	quire_vm_unmap_aliases(q);
	drain();
	purge(true);
	check();
	if (rest)
		quire_free_vm_area(q, rest);
	for (unsigned i = 0; i < POOL; i++)
		quire_page_free(q, pool[i], 0);
	if (memchr(model.taken, 1, model.pages) || machine_destroy(m))
		die("something is left");
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	const char *minutes = getenv("QUIRE_SOAK_MINUTES");
	const double end = now() + (minutes ? atof(minutes) * 60 : 0);
	const uint64_t steps = QUIRE_DEBUG ? 6000 : 50000, rounds = QUIRE_DEBUG ? 18 : 42;
	uint64_t next = minutes ? (uint64_t)time(NULL) / KINDS * KINDS : 0, runs = 0;

	if (argc > 2) {
		verbose = true;
		run(strtoull(argv[1], NULL, 0), strtoull(argv[2], NULL, 0));
		return 0;
	}
	do
		run(next++, steps);
	while (++runs < rounds || now() < end);
	printf("model-vmalloc: %llu steps, %llu runs, no difference\n",
	       (unsigned long long)(runs * steps), (unsigned long long)runs);
	return 0;
}

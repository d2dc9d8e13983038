/* SPDX-License-Identifier: MIT */
/*
 * The world in which the schedule explorer's threads act; see world.h. Which outcome is right is learnt by running
 * the same calls one after the other, in every order: an explored schedule must end as one of these did.
 */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <unistd.h>

#include <machine/internal.h>
#include <mm/fault.h>

#include "../format.h"
#include "../unit/disk.h"

#define WINDOW 14 /* pages that are looked at */
#define RAM_BYTES (UINT64_C(2) << 20)
#define TEXT 3072
#define MOST_OUTCOMES 96
#define BYTE_OF_THIRD 0xfd0 /* where the third of three threads stores: a store that is lost shows */

const char *const scene_names[NR_SCENES] = { "anon", "forked", "file", "heirs", "leaving", "table", "table-file" };

static struct world {
	enum scene scene;
	unsigned nr_threads;
	struct program program[EXPLORER_MOST_THREADS];
	/* constant after the photograph */
	struct machine *m;
	struct quire *q;
	struct quire_mm *mm, *sibling;
	struct disk *disk;
	/* of one run */
	int64_t answer[EXPLORER_MOST_THREADS][MOST_CALLS];
	struct quire_mm *child[EXPLORER_MOST_THREADS][MOST_CALLS];
	bool sibling_gone;
} w;

static char outcome[TEXT];
static size_t outcome_len;
static char legal[MOST_OUTCOMES][TEXT];
static unsigned nr_legal;
static bool learning, splitting;
static struct explorer_test this_test;
static enum mistake mistake;

/* ---- Built ------------------------------------------------------------------------------- */

static void must(bool ok, const char *what)
{
	if (!ok)
		explorer_fail("building the world: %s", what);
}

static bool has_file(void)
{
	return w.scene == FILES || w.scene == HEIRS || w.scene == TABLE_FILE;
}

static bool has_table(void)
{
	return w.scene == TABLE || w.scene == TABLE_FILE;
}

/* What a leaf table maps. */
static uint64_t table_bytes(void)
{
	return PAGE << w.q->fmt->bits[0];
}

static quire_uaddr_t where(unsigned page)
{
	return page < P_MOVED ? P(page) : P(page - P_MOVED) + 4 * table_bytes();
}

static void put_byte(quire_uaddr_t addr, unsigned char byte)
{
	must(machine_store(w.m, addr + 0x10, &byte, 1, NULL) == 0, "store");
	must(machine_store(w.m, addr + 0xff0, &byte, 1, NULL) == 0, "store");
}

static void touch(quire_uaddr_t addr)
{
	unsigned char byte;

	must(machine_load(w.m, addr + 0x10, &byte, 1, NULL) == 0, "load");
}

static void map(unsigned page, unsigned n, uint32_t flags, struct quire_file *file)
{
	must(quire_mmap(w.mm, P(page), n * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE, flags | QUIRE_MAP_FIXED,
			file, 0) == (int64_t)P(page),
	     "mmap");
}

static void build_anon(void)
{
	must(quire_brk(w.mm, P(4)) == P(4), "brk");
	map(6, 2, QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS, NULL);
	put_byte(P(1), 0x11);
	put_byte(P(6), 0x16);
	if (w.scene == FORKED) {
		put_byte(P(0), 0x10);
		put_byte(P(2), 0x12);
	}
	touch(P(3));
}

static void build_table(void)
{
	must((P(2) & (table_bytes() - 1)) == 0, "a table begins with page 2");
	if (w.scene == TABLE)
		map(2, (unsigned)(table_bytes() / PAGE),
		    QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_NORESERVE, NULL);
	else
		map(2, (unsigned)(table_bytes() / PAGE), QUIRE_MAP_SHARED, &w.disk->file);
	put_byte(P(3), 0x33);
	touch(P(4));
	if (w.scene == TABLE_FILE)
		touch(P(2));
}

static void build_file(void)
{
	map(0, 4, QUIRE_MAP_SHARED, &w.disk->file);
	map(4, 4, QUIRE_MAP_PRIVATE, &w.disk->file);
	put_byte(P(1), 0x21);
	put_byte(P(5), 0x25);
	touch(P(0));
	touch(P(2));
	touch(P(6));
}

/* CPUs remember what they have seen, and may go on to use it. */
static void warm(void)
{
	for (unsigned cpu = 0; cpu < w.nr_threads; cpu++) {
		machine_cpu_turn(w.m, cpu);
		machine_switch(w.m, &w.mm->pt);
		for (unsigned page = 0; page < 8; page++) {
			unsigned char byte;

			if (has_table() && page != 3 && page != 4)
				continue;
			if (page == 7 || (!has_file() && (page == 0 || page == 2 || page == 4 || page == 5)))
				continue;
			(void)machine_load(w.m, P(page) + 0x10, &byte, 1, NULL);
		}
		/* Of three, one has no entry that it could write to. */
		if (w.nr_threads == 3 && cpu == 0)
			continue;
		if (w.scene == FORKED)
			put_byte(P(0), 0x30);
		else if (has_table())
			put_byte(P(3), 0x33);
		else
			put_byte(P(1), has_file() ? 0x21 : 0x11);
	}
	machine_cpu_turn(w.m, 0);
}

static void create_space(void)
{
	struct quire_layout layout;

	memset(&layout, 0, sizeof(layout));
	quire_layout_init(&layout, w.q->fmt, false, false, UINT64_C(8) << 20, 0);
	layout.start_brk = layout.brk = P(0);
	must(quire_mm_create(w.q, &layout, &w.mm) == 0, "a space");
	machine_switch(w.m, &w.mm->pt);
}

static void forget_run(void);
static void body(unsigned thread);
static const char *judge(void);

void world_build(enum scene scene, const struct program *programs, unsigned nr_threads, struct explorer_test *test)
{
	static const struct quire_range map_of_memory[] = { { PAGE, RAM_BYTES, QUIRE_RANGE_USABLE, 0 } };
	struct machine_config config = { .ram_bytes = RAM_BYTES, .map = map_of_memory, .nr_ranges = 1,
					 .nr_cpus = nr_threads, .tlb_entries = 64,
					 .zones = 1u << QUIRE_ZONE_NORMAL };

	if (w.m) {
		explorer_rewind();
		machine_cpu_unbind(w.m);
	}
	memset(&w, 0, sizeof(w));
	w.scene = scene;
	w.nr_threads = nr_threads;
	memcpy(w.program, programs, nr_threads * sizeof(*programs));
	nr_legal = 0;

	test_choose_format(&config);
	explorer_build();
	if (machine_create(&config, &w.m)) {
		fprintf(stderr, "explorer: no machine\n");
		_exit(2);
	}
	w.q = machine_quire(w.m);
	machine_set_quiet(w.m, true);
	w.disk = disk_new(w.q, FILE_PAGES * PAGE);
	create_space();
	if (has_table())
		build_table();
	else if (has_file())
		build_file();
	else
		build_anon();
	if (scene == FORKED || scene == HEIRS)
		must(quire_fork(w.mm, &w.sibling) == 0, "fork");
	if (scene == FORKED)
		put_byte(P(0), 0x30);
	for (unsigned i = 1; i < nr_threads && scene == LEAVING; i++)
		quire_mmget(w.mm);
	warm();
	quire_grace_wait(w.q);
	explorer_photograph();
	this_test = (struct explorer_test){ .m = w.m, .nr_threads = nr_threads, .forget = forget_run,
				       .body = body, .judge = judge };
	*test = this_test;
}

/* ---- Calls ------------------------------------------------------------------------------- */

/* What an access was answered: the byte, or the signal. */
static int64_t access_answer(int err, unsigned char byte, const struct quire_signal *sig)
{
	return err ? -(1000 + sig->signo * 100 + sig->code) : byte;
}

static int64_t do_exit(void)
{
	if (w.sibling) {
		w.sibling_gone = true;
		quire_mmput(w.sibling);
	} else {
		machine_switch(w.m, NULL);
		quire_mmput(w.mm);
	}
	return 0;
}

/* Page by page: see may_split(). */
static int64_t dontneed(quire_uaddr_t at, uint64_t len)
{
	int64_t answer = 0;

	for (; splitting && len > PAGE; at += PAGE, len -= PAGE) {
		int err = quire_madvise(w.mm, at, PAGE, QUIRE_MADV_DONTNEED);

		answer = answer ? answer : err;
		explorer_boundary();
	}
	return answer ? answer : quire_madvise(w.mm, at, len, QUIRE_MADV_DONTNEED);
}

static int64_t perform(unsigned thread, const struct call *c, struct quire_mm **child)
{
	quire_uaddr_t at = where(c->page);
	uint64_t len = c->n * PAGE;
	struct quire_signal sig = { 0 };
	unsigned char byte = c->what;

	switch (c->kind) {
	case LOAD:
		return access_answer(machine_load(w.m, at + 0x10, &byte, 1, &sig), byte, &sig);
	case STORE:
		at += thread == 2 ? BYTE_OF_THIRD : 0xff0;
		return access_answer(machine_store(w.m, at, &byte, 1, &sig), byte, &sig);
	case MMAP:
		return quire_mmap(w.mm, at, len, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
				  QUIRE_MAP_FIXED | (c->what ? QUIRE_MAP_SHARED
							     : QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS),
				  c->what ? &w.disk->file : NULL, 0);
	case MUNMAP:
		return quire_munmap(w.mm, at, len);
	case MPROTECT:
		return quire_mprotect(w.mm, at, len, c->what);
	case MREMAP:
		return quire_mremap(w.mm, at, len, len, QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(c->what));
	case MREMAP_TABLE:
		return quire_mremap(w.mm, P(2), table_bytes(), table_bytes(),
				    QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, P(2) + c->what * table_bytes());
	case BRK:
		return (int64_t)quire_brk(w.mm, at);
	case DONTNEED:
		return dontneed(at, len);
	case FORK:
		return quire_fork(w.mm, child);
	case EXIT:
		return do_exit();
	case TRUNCATE:
		quire_object_truncate(&w.disk->object, c->page * PAGE);
		return 0;
	case SYNC:
		return quire_object_sync(&w.disk->object, 0, UINT64_MAX);
	}
	return 0;
}

static void body(unsigned thread)
{
	const struct program *p = &w.program[thread];

	for (unsigned i = 0; i < p->nr; i++) {
		w.answer[thread][i] = perform(thread, &p->call[i], &w.child[thread][i]);
		explorer_boundary();
	}
}

/* ---- What is left ------------------------------------------------------------------------ */

static void add_text(const char *text)
{
	while (*text && outcome_len < TEXT - 1)
		outcome[outcome_len++] = *text++;
	outcome[outcome_len] = '\0';
}

static void add_number(int64_t number, unsigned base)
{
	char digits[24];
	uint64_t n = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
	unsigned i = sizeof(digits) - 1;

	digits[i] = '\0';
	do {
		digits[--i] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	if (number < 0)
		digits[--i] = '-';
	add_text(digits + i);
}

/* An address as a page of the window, anything else as what it is. */
static void add_answer(int64_t answer)
{
	if (answer >= (int64_t)P(0) && answer < (int64_t)P(64)) {
		add_text("P");
		add_number((answer - (int64_t)P(0)) / (int64_t)PAGE, 10);
	} else {
		add_number(answer, 10);
	}
}

static void add_areas(struct quire_mm *mm)
{
	struct quire_index_walk walk;
	struct quire_vma *vma;

	quire_grace_enter(w.q);
	quire_index_walk_start(&walk, &mm->index, 0);
	while ((vma = quire_index_walk_next(&walk))) {
		add_number((int64_t)(vma->start - P(0)) / (int64_t)PAGE, 10);
		add_text("-");
		add_number((int64_t)(vma->end - P(0)) / (int64_t)PAGE, 10);
		add_text(vma->flags & QUIRE_VM_READ ? " r" : " -");
		add_text(vma->flags & QUIRE_VM_WRITE ? "w" : "-");
		add_text(vma->flags & QUIRE_VM_SHARED ? "s" : "p");
		if (vma->file) {
			add_text("@");
			add_number((int64_t)vma->pgoff, 10);
		}
		add_text(", ");
	}
	quire_grace_leave(w.q);
}

static void add_byte(quire_uaddr_t addr)
{
	struct quire_signal sig = { 0 };
	unsigned char byte = 0;

	if (!machine_load(w.m, addr, &byte, 1, &sig))
		add_number(byte, 16);
	else
		add_text(sig.signo == QUIRE_SIGBUS ? "B" : sig.code == QUIRE_SEGV_ACCERR ? "A" : "-");
}

static void add_space(const char *name, struct quire_mm *mm)
{
	add_text(name);
	add_areas(mm);
	machine_switch(w.m, &mm->pt);
	for (unsigned page = 0; page < WINDOW; page++) {
		add_text(" ");
		add_byte(P(page) + 0x10);
		add_text("/");
		add_byte(P(page) + 0xff0);
		if (w.nr_threads == 3) {
			add_text("/");
			add_byte(P(page) + BYTE_OF_THIRD);
		}
	}
	for (unsigned page = 2; page < 6 && has_table(); page++) {
		add_text(page == 2 ? " moved " : " ");
		add_byte(where(P_MOVED + page) + 0x10);
		add_text("/");
		add_byte(where(P_MOVED + page) + 0xff0);
	}
}

static const char *check_spaces(void)
{
	quire_broken_t broken = NULL;

	if (w.scene != LEAVING)
		broken = quire_mm_check(w.mm);
	if (!broken && w.sibling && !w.sibling_gone)
		broken = quire_mm_check(w.sibling);
	for (unsigned t = 0; t < w.nr_threads; t++) {
		for (unsigned i = 0; i < MOST_CALLS && !broken; i++) {
			if (w.child[t][i])
				broken = quire_mm_check(w.child[t][i]);
		}
	}
	if (!broken)
		broken = quire_object_check(&w.disk->object);
	return broken ? broken : machine_check(w.m);
}

static void describe(void)
{
	outcome_len = 0;
	for (unsigned t = 0; t < w.nr_threads; t++) {
		add_text(t ? "; " : "answers ");
		for (unsigned i = 0; i < w.program[t].nr; i++) {
			add_text(" ");
			add_answer(w.answer[t][i]);
		}
	}
	if (w.scene != LEAVING)
		add_space("\n  space ", w.mm);
	if (w.sibling && !w.sibling_gone)
		add_space("\n  older child ", w.sibling);
	for (unsigned t = 0; t < w.nr_threads; t++) {
		for (unsigned i = 0; i < MOST_CALLS; i++) {
			if (w.child[t][i])
				add_space("\n  child ", w.child[t][i]);
		}
	}
	if (has_file()) {
		add_text("\n  file ");
		add_number((int64_t)w.disk->object.size, 10);
	}
}

static const char *take_apart(void)
{
	quire_broken_t broken;

	for (unsigned cpu = w.nr_threads; cpu-- > 0;) {
		machine_cpu_turn(w.m, cpu);
		machine_switch(w.m, NULL);
	}
	if (w.scene != LEAVING)
		quire_mmput(w.mm);
	if (w.sibling && !w.sibling_gone)
		quire_mmput(w.sibling);
	for (unsigned t = 0; t < w.nr_threads; t++) {
		for (unsigned i = 0; i < MOST_CALLS; i++) {
			if (w.child[t][i])
				quire_mmput(w.child[t][i]);
		}
	}
	quire_grace_wait(w.q);
	broken = disk_delete(w.disk);
	return broken ? broken : quire_exit(w.q);
}

/* The first report, in memory of its own: the arena will be restored. */
static const char *report(void)
{
	static char text[REPORT_TEXT + 16];

	if (!w.m->nr_reports)
		return NULL;
	snprintf(text, sizeof(text), "reported: %s", w.m->report[0]);
	return text;
}

static const char *compare(void)
{
	static char text[2 * TEXT + 200];
	size_t len;

	if (learning)
		return NULL;
	for (unsigned i = 0; i < nr_legal; i++) {
		if (strcmp(outcome, legal[i]) == 0)
			return NULL;
	}
	len = (size_t)snprintf(text, sizeof(text), "no order of the calls ends like this:\n  %s", outcome);
	for (unsigned i = 0; i < nr_legal && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "\n an order ends so:\n  %s", legal[i]);
	return text;
}

static const char *judge(void)
{
	const char *broken = report();

	if (!broken)
		broken = check_spaces();
	if (broken)
		return broken;
	describe();
	broken = compare();
	if (!broken)
		broken = take_apart();
	if (!broken)
		broken = report();
	return broken;
}

/* ---- What is right ----------------------------------------------------------------------- */

static void forget_run(void)
{
	memset(w.child, 0, sizeof(w.child));
	memset(w.answer, 0, sizeof(w.answer));
	w.sibling_gone = false;
}

/*
 * Where more may happen than what a serial order of the calls gives:
 *
 *	dontneed + stores    madvise(MADV_DONTNEED) takes page after page away, here and on Linux, and is no step of its
 *	                     own for whoever stores to several of them meanwhile: one store may stay that was made
 *	                     before another one that goes. Each of its pages counts as a call, unless the others' calls need
 *	                     the writer lock too, which it holds throughout.
 *
 * All other calls are one step to whoever looks on.
 */
static bool may_split(void)
{
	bool any = false;

	for (unsigned t = 0; t < w.nr_threads; t++) {
		for (unsigned i = 0; i < w.program[t].nr; i++) {
			enum kind kind = w.program[t].call[i].kind;

			any |= kind == DONTNEED;
			if (kind != DONTNEED && kind != LOAD && kind != STORE && kind != EXIT)
				return false;
		}
	}
	return any;
}

static unsigned steps_of(const struct program *p)
{
	unsigned steps = 0;

	for (unsigned i = 0; i < p->nr; i++)
		steps += splitting && p->call[i].kind == DONTNEED ? p->call[i].n : 1;
	return steps;
}

/* One serial order: what it ends like is right. */
static const char *learn(const uint8_t *order, unsigned nr)
{
	const char *broken = explorer_run_serially(&this_test, order, nr);

	for (unsigned i = 0; i < nr_legal && !broken; i++) {
		if (strcmp(outcome, legal[i]) == 0)
			return NULL;
	}
	if (broken || nr_legal == MOST_OUTCOMES)
		return broken ? broken : "more outcomes than there is room for";
	strcpy(legal[nr_legal++], outcome);
	return NULL;
}

static const char *learn_all(void)
{
	unsigned nr = 0, codes = 1;
	const char *broken = NULL;

	for (unsigned t = 0; t < w.nr_threads; t++)
		nr += steps_of(&w.program[t]);
	for (unsigned i = 0; i < nr; i++)
		codes *= w.nr_threads;
	learning = true;
	for (unsigned code = 0; code < codes && !broken; code++) {
		uint8_t order[EXPLORER_MOST_CALLS], left[EXPLORER_MOST_THREADS];
		unsigned rest = code, i;

		for (unsigned t = 0; t < w.nr_threads; t++)
			left[t] = (uint8_t)steps_of(&w.program[t]);
		for (i = 0; i < nr; i++, rest /= w.nr_threads) {
			order[i] = (uint8_t)(rest % w.nr_threads);
			if (left[order[i]]-- == 0)
				break;
		}
		if (i == nr)
			broken = learn(order, nr);
	}
	learning = false;
	return broken;
}

const char *world_learn(void)
{
	const char *broken = learn_all();

	if (!broken && may_split()) {
		splitting = true;
		broken = learn_all();
		splitting = false;
	}
	return broken;
}

unsigned world_outcomes(void)
{
	return nr_legal;
}

const char *world_outcome(unsigned i)
{
	return legal[i];
}

/* ---- Mistakes on purpose ----------------------------------------------------------------- */

const char *const mistake_names[NR_MISTAKES] = {
	"none", "free-before-flush", "no-flush", "dead-area", "fork-unguarded", "no-grace", "lost-wake",
};

void __real_quire_cursor_put_page(struct quire_cursor *c, struct quire_page *page);
void __wrap_quire_cursor_put_page(struct quire_cursor *c, struct quire_page *page);
void __real_quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush);
void __wrap_quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush);
enum quire_outcome __real_quire_fault_lock_leaf(struct quire_fault *f, quire_uaddr_t start, quire_uaddr_t end);
enum quire_outcome __wrap_quire_fault_lock_leaf(struct quire_fault *f, quire_uaddr_t start, quire_uaddr_t end);
bool __real_quire_fault_waits_for_fork(struct quire_fault *f);
bool __wrap_quire_fault_waits_for_fork(struct quire_fault *f);
void __real_quire_defer(struct quire *q, struct quire_deferred *d,
			void (*fn)(struct quire *q, struct quire_deferred *d));
void __wrap_quire_defer(struct quire *q, struct quire_deferred *d,
			void (*fn)(struct quire *q, struct quire_deferred *d));

void world_mistake(enum mistake which)
{
	mistake = which;
	explorer_lose_wakes(which == LOST_WAKE);
}

void __wrap_quire_cursor_put_page(struct quire_cursor *c, struct quire_page *page)
{
	if (mistake == FREE_BEFORE_FLUSH)
		(void)quire_page_put(c->pt->q, page);
	else
		__real_quire_cursor_put_page(c, page);
}

void __wrap_quire_port_tlb_flush(struct quire *q, const struct quire_tlb_flush *flush)
{
	if (mistake != NO_FLUSH)
		__real_quire_port_tlb_flush(q, flush);
}

enum quire_outcome __wrap_quire_fault_lock_leaf(struct quire_fault *f, quire_uaddr_t start, quire_uaddr_t end)
{
	enum quire_outcome r = __real_quire_fault_lock_leaf(f, start, end);

	return mistake == DEAD_AREA && f->cursor_open ? QUIRE_FAULT_DONE : r;
}

bool __wrap_quire_fault_waits_for_fork(struct quire_fault *f)
{
	return mistake != FORK_UNGUARDED && __real_quire_fault_waits_for_fork(f);
}

/* What nobody can reach any more is freed at the first moment that grace periods allow. */
void __wrap_quire_defer(struct quire *q, struct quire_deferred *d,
			void (*fn)(struct quire *q, struct quire_deferred *d))
{
	if (mistake == NO_GRACE) {
		fn(q, d);
		return;
	}
	__real_quire_defer(q, d, fn);
	if (explorer_is_running())
		quire_grace_poll(q);
}

/* SPDX-License-Identifier: MIT */
/*
 * The schedule explorer; what it does is said in explorer.h. Here: the arena, the coroutines, the port's waiting
 * functions in place of the machine's (by the linker's --wrap), one run, and the walk over all schedules.
 */
#define _GNU_SOURCE
#include "explorer.h"

#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <machine/internal.h>

#include "point.h"

/* ---- The arena --------------------------------------------------------------------------- */

#define ARENA_BYTES (UINT64_C(4) << 20)
#define ARENA_PAGES (ARENA_BYTES / 4096)
/* The same in every process, so that a schedule means the same in each. */
#define ARENA_AT ((unsigned char *)0x610000000000)

static unsigned char *arena;
static unsigned char *shadow;            /* of dirty pages, as they were photographed */
static size_t arena_used;
static bool building, photographed;
static uint32_t dirty[ARENA_PAGES];      /* pages that have been written since the photograph */
static size_t nr_dirty;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void __real_free(void *p);
void *__real_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
void __wrap_free(void *p);
void *__wrap_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t bytes);
void __wrap_abort(void);

static bool in_arena(const volatile void *p)
{
	return (uintptr_t)p - (uintptr_t)arena < ARENA_BYTES && arena;
}

static void *take(size_t align, size_t bytes)
{
	size_t at = (arena_used + align - 1) & ~(align - 1);

	if (at + bytes > ARENA_BYTES) {
		fprintf(stderr, "explorer: the arena is full\n");
		_exit(2);
	}
	arena_used = at + bytes;
	return arena + at;
}

void *__wrap_malloc(size_t bytes)
{
	return building ? take(16, bytes) : __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
	return building ? take(16, n * bytes) : __real_calloc(n, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return building ? take(align, bytes) : __real_aligned_alloc(align, bytes);
}

void __wrap_free(void *p)
{
	if (!in_arena(p))
		__real_free(p);
}

void *__wrap_mmap64(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	return building ? take(4096, bytes) : __real_mmap64(at, bytes, prot, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t bytes)
{
	return in_arena(at) ? 0 : __real_munmap(at, bytes);
}

static void *fresh_memory(void *at, size_t bytes)
{
	void *p = __real_mmap64(at, bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0), -1, 0);

	if (p == MAP_FAILED) {
		perror("explorer: mmap");
		_exit(2);
	}
	(void)madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

/* The first write to a page since the photograph: keep what it was. Or somebody went astray. */
static void on_fault(int signo, siginfo_t *info, void *context)
{
	unsigned char *page = (unsigned char *)((uintptr_t)info->si_addr & ~UINT64_C(4095));

	(void)context;
	if (signo == SIGSEGV && photographed && in_arena(page) && info->si_code == SEGV_ACCERR) {
		size_t at = (size_t)(page - arena);

		memcpy(shadow + at, page, 4096);
		dirty[nr_dirty++] = (uint32_t)(at / 4096);
		(void)mprotect(page, 4096, PROT_READ | PROT_WRITE);
		return;
	}
	explorer_fail("signal %d at %p", signo, info->si_addr);
}

void explorer_rewind(void)
{
	for (size_t i = 0; i < nr_dirty; i++)
		memcpy(arena + (size_t)dirty[i] * 4096, shadow + (size_t)dirty[i] * 4096, 4096);
}

/* ---- Threads ----------------------------------------------------------------------------- */

#define STACK_BYTES (UINT64_C(256) << 10)
/* A run takes some thousand points. */
#define MOST_POINTS 400000u

enum state {
	READY,
	SPINNING, /* until somebody writes to blocked_on */
	WAITING,  /* in quire_port_wait(), until somebody wakes blocked_on */
	DONE,
};

struct explorer_thread {
	enum state state;
	uint8_t number;
	bool conflicts; /* what it did last, with something another thread does */
	uint32_t point; /* the number of points it has come to */
	const volatile void *last;  /* what it touched last */
	const volatile void *wrote; /* the same, if it may have been a write that nobody has been told of */
	const volatile void *blocked_on;
	uint64_t locks; /* it holds, as in notes */
	jmp_buf context;
	ucontext_t start;
	unsigned char *stack;
};

static struct explorer_thread thread[EXPLORER_MOST_THREADS];
struct explorer_thread *explorer_running; /* NULL: nobody, the explorer does */
#define running explorer_running
static const struct explorer_test *test;
static jmp_buf home;
static char broken[512];
static unsigned nr_spinning;
static uint32_t points_left;
static bool tracing, loses_wakes;

/* The schedule that is followed. */
static const struct explorer_schedule *schedule;
static unsigned next_switch;
static struct explorer_thread *stop_thread;
static uint32_t stop_point;
static const uint8_t *order; /* of calls, in a serial run */
static unsigned nr_order, next_in_order;

/* What is noted: candidates for one switch more. */
#define MOST_CANDIDATES 65536
static struct explorer_switch candidate[MOST_CANDIDATES];
static size_t nr_candidates;
static bool everywhere;

/*
 * Who touches what, by word of the arena. Bit 2 * thread: it reads; the next: it writes. From bit LOCK_BIT on:
 * the locks that have been held at every access.
 */
#define LOCK_BIT 8u
#define MOST_LOCKS (64u - LOCK_BIT)
#define ALL_LOCKS (~UINT64_C(0) << LOCK_BIT)
static uint64_t notes[ARENA_BYTES / 4];
static bool notes_grew;
static const volatile void *lock_known[MOST_LOCKS]; /* those beyond are taken for none */
static unsigned nr_locks;

static const uint8_t others_any[EXPLORER_MOST_THREADS] = { 0x3c, 0x33, 0x0f };
static const uint8_t others_write[EXPLORER_MOST_THREADS] = { 0x28, 0x22, 0x0a };

void explorer_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(broken, sizeof(broken), format, args);
	va_end(args);
	running = NULL;
	_longjmp(home, 2);
}

void __wrap_abort(void)
{
	explorer_fail("the machine has stopped, and said why");
}

/* Who is done has put its context where it begins again in the next run. */
static void switch_to(struct explorer_thread *to)
{
	struct explorer_thread *from = running;

	running = to;
	machine_cpu_turn(test->m, to->number);
	if (from->state == DONE || !_setjmp(from->context))
		_longjmp(to->context, 1);
}

__attribute__((noinline)) static void tell_spinners(struct explorer_thread *t)
{
	if (t->wrote) {
		for (unsigned i = 0; i < test->nr_threads; i++) {
			if (thread[i].state == SPINNING && thread[i].blocked_on == t->wrote) {
				thread[i].state = READY;
				nr_spinning--;
			}
		}
	}
	t->wrote = NULL;
}

/* The running thread cannot go on: whoever can, does. */
static void switch_away(void)
{
	struct explorer_thread *t = running;
	unsigned done = 0;

	tell_spinners(t);
	for (unsigned i = 1; i < test->nr_threads; i++) {
		struct explorer_thread *u = &thread[(t->number + i) % test->nr_threads];

		if (u->state == READY) {
			switch_to(u);
			return;
		}
		done += u->state == DONE;
	}
	if (t->state == DONE && done + 1 == test->nr_threads) {
		running = NULL;
		_longjmp(home, 1);
	}
	if (t->state == READY)
		return;
	explorer_fail("a deadlock: nobody can run (thread %u %s)", t->number,
		      t->state == SPINNING ? "spins" : t->state == WAITING ? "waits" : "is done");
}

static void coroutine(unsigned number)
{
	struct explorer_thread *t = &thread[number];

	for (;;) {
		if (!_setjmp(t->context)) {
			if (running)
				switch_away();
			_longjmp(home, 1);
		}
		test->body(number);
		t->state = DONE;
	}
}

static void start_coroutine(struct explorer_thread *t)
{
	if (!t->stack)
		t->stack = fresh_memory(NULL, STACK_BYTES);
	getcontext(&t->start);
	t->start.uc_stack.ss_sp = t->stack;
	t->start.uc_stack.ss_size = STACK_BYTES;
	t->start.uc_link = NULL;
	makecontext(&t->start, (void (*)(void))coroutine, 1, (unsigned)t->number);
	if (!_setjmp(home))
		setcontext(&t->start);
}

static void start_coroutines(void)
{
	for (unsigned i = 0; i < EXPLORER_MOST_THREADS; i++) {
		thread[i].number = (uint8_t)i;
		start_coroutine(&thread[i]);
	}
}

/* ---- Points ------------------------------------------------------------------------------ */

static void next_stop(void)
{
	stop_thread = NULL;
	if (schedule && next_switch < schedule->nr) {
		stop_thread = &thread[schedule->at[next_switch].thread];
		stop_point = schedule->at[next_switch].point;
	}
}

static void say_where(const struct explorer_thread *t, const struct explorer_thread *to)
{
	void *frames[12];
	int n;

	printf("    thread %u, at its point %u, gives way to thread %u:\n", t->number, t->point, to->number);
	fflush(stdout);
	n = backtrace(frames, 12);
	backtrace_symbols_fd(frames, n, 1);
}

__attribute__((noinline)) static void forced_switch(struct explorer_thread *t)
{
	struct explorer_thread *to = &thread[schedule->at[next_switch].to];

	if (to->state != READY)
		explorer_fail("the schedule cannot be followed: thread %u cannot run", to->number);
	next_switch++;
	next_stop();
	if (tracing)
		say_where(t, to);
	switch_to(to);
}

/* All forced switches have been: here could be one more. */
__attribute__((noinline)) static void note_candidate(const struct explorer_thread *t)
{
	for (unsigned i = 0; i < test->nr_threads; i++) {
		if (&thread[i] == t || thread[i].state != READY)
			continue;
		if (nr_candidates == MOST_CANDIDATES)
			explorer_fail("it does not end: a thread spins without saying so");
		candidate[nr_candidates++] = (struct explorer_switch){
			.point = t->point, .thread = t->number, .to = (uint8_t)i };
	}
}

/* Which of the accesses that a note has conflict. */
__attribute__((noinline)) static uint64_t conflicting(uint64_t note)
{
	uint64_t answer = 0;

	for (unsigned t = 0; t < EXPLORER_MOST_THREADS && !(note & ALL_LOCKS); t++) {
		if (note & others_write[t])
			answer |= UINT64_C(1) << (2 * t);
		if (note & others_any[t])
			answer |= UINT64_C(1) << (2 * t + 1);
	}
	return answer;
}

__attribute__((noinline, noreturn)) static void does_not_end(void)
{
	explorer_fail("it does not end");
}

void explorer_point(const volatile void *p, int is_write)
{
	struct explorer_thread *t = running;
	uint64_t *note, before;

	if (t->wrote) {
		if (nr_spinning)
			tell_spinners(t);
		t->wrote = NULL;
	}
	t->point++;
	if (t == stop_thread) {
		if (t->point == stop_point)
			forced_switch(t);
	} else if (t->conflicts && !stop_thread) {
		note_candidate(t);
	}
	if (!--points_left)
		does_not_end();
	t->last = p;
	if (is_write)
		t->wrote = p;
	t->conflicts = everywhere;
	if (!in_arena(p))
		return;
	note = &notes[((uintptr_t)p - (uintptr_t)arena) >> 2];
	before = *note ? *note : ALL_LOCKS;
	*note = ((before & t->locks) | (before & ~ALL_LOCKS)) | UINT64_C(1) << (2 * t->number + (is_write ? 1 : 0));
	if (*note != before && (conflicting(*note) & before & ~conflicting(before)))
		notes_grew = true;
	t->conflicts |= (*note & (is_write ? others_any : others_write)[t->number]) && !(*note & ALL_LOCKS);
}

static uint64_t bit_of(const volatile void *lock)
{
	unsigned i;

	for (i = 0; i < nr_locks; i++) {
		if (lock_known[i] == lock)
			return UINT64_C(1) << (LOCK_BIT + i);
	}
	if (nr_locks == MOST_LOCKS)
		return 0;
	lock_known[nr_locks++] = lock;
	return UINT64_C(1) << (LOCK_BIT + i);
}

void explorer_holds(const volatile void *lock, int holds)
{
	if (holds)
		running->locks |= bit_of(lock);
	else
		running->locks &= ~bit_of(lock);
}

/* A turn of a spin loop: nothing changes until somebody writes what was read last. */
void explorer_yield(void)
{
	struct explorer_thread *t = running;

	if (!t)
		explorer_fail("the checks spin, with nobody to wait for");
	t->state = SPINNING;
	t->blocked_on = t->last;
	nr_spinning++;
	switch_away();
}

bool explorer_is_running(void)
{
	return running != NULL;
}

void explorer_boundary(void)
{
	unsigned next;

	if (!order)
		return;
	if (++next_in_order == nr_order)
		return;
	next = order[next_in_order];
	if (&thread[next] != running)
		switch_to(&thread[next]);
}

/* ---- The port's waiting ------------------------------------------------------------------ */

void __wrap_quire_port_relax(struct quire *q);
void __wrap_quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value);
void __wrap_quire_port_wake(struct quire *q, const uint32_t *word, unsigned n);
void __wrap_quire_page_copy(struct quire *q, struct quire_page *to, struct quire_page *from);
void __real_quire_port_zero_frame(struct quire *q, quire_paddr_t pa);
void __wrap_quire_port_zero_frame(struct quire *q, quire_paddr_t pa);

void __wrap_quire_port_relax(struct quire *q)
{
	(void)q;
	explorer_yield();
}

void __wrap_quire_port_wait(struct quire *q, const uint32_t *word, uint32_t value)
{
	struct machine_cpu *cpu = machine_this_cpu(machine_of(q));

	if (!running)
		explorer_fail("the checks wait, with nobody to wake them");
	if (cpu->preempt_off || cpu->irqs_off)
		explorer_fail("wait with a spin lock held, inside a grace period or with interrupts off");
	explorer_point(word, 0);
	if (*(const volatile uint32_t *)word != value)
		return;
	running->state = WAITING;
	running->blocked_on = word;
	switch_away();
}

void __wrap_quire_port_wake(struct quire *q, const uint32_t *word, unsigned n)
{
	(void)q;
	if (!running)
		return;
	explorer_point(word, 1);
	if (loses_wakes)
		return;
	for (unsigned i = 0; i < test->nr_threads && n; i++) {
		if (thread[i].state == WAITING && thread[i].blocked_on == word) {
			thread[i].state = READY;
			n--;
		}
	}
}

/* In two halves, so that a store to a page that is being copied can come in between. */
void __wrap_quire_page_copy(struct quire *q, struct quire_page *to, struct quire_page *from)
{
	unsigned char *target = quire_page_to_virt(q, to), *source = quire_page_to_virt(q, from);

	QUIRE_SCHED_POINT(source, 0);
	memcpy(target, source, QUIRE_PAGE_SIZE / 2);
	QUIRE_SCHED_POINT(source, 0);
	memcpy(target + QUIRE_PAGE_SIZE / 2, source + QUIRE_PAGE_SIZE / 2, QUIRE_PAGE_SIZE / 2);
}

void __wrap_quire_port_zero_frame(struct quire *q, quire_paddr_t pa)
{
	QUIRE_SCHED_POINT(machine_of(q)->ram + pa, 1);
	__real_quire_port_zero_frame(q, pa);
}

/* ---- States ------------------------------------------------------------------------------ */

void explorer_build(void)
{
	static unsigned char signal_stack[64 << 10];
	const stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
	struct sigaction action = { .sa_sigaction = on_fault,
				    .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

	if (!arena) {
		shadow = fresh_memory(NULL, ARENA_BYTES);
		sigaltstack(&stack, NULL);
		sigaction(SIGSEGV, &action, NULL);
		sigaction(SIGBUS, &action, NULL);
	}
	arena = fresh_memory(ARENA_AT, ARENA_BYTES);
	arena_used = 0;
	nr_dirty = 0;
	photographed = false;
	building = true;
	memset(notes, 0, sizeof(notes));
	nr_locks = 0;
	start_coroutines();
}

void explorer_photograph(void)
{
	building = false;
	photographed = true;
	if (mprotect(arena, ARENA_BYTES, PROT_READ)) {
		perror("explorer: mprotect");
		_exit(2);
	}
}

/* ---- One run ----------------------------------------------------------------------------- */

static void begin(const struct explorer_test *t)
{
	test = t;
	explorer_rewind();
	t->forget();
	for (unsigned i = 0; i < t->nr_threads; i++) {
		thread[i].state = READY;
		thread[i].point = 0;
		thread[i].conflicts = false;
		thread[i].last = NULL;
		thread[i].locks = 0;
		thread[i].wrote = NULL;
	}
	nr_spinning = 0;
	nr_candidates = 0;
	points_left = MOST_POINTS;
	next_switch = 0;
	next_in_order = 0;
	next_stop();
}

static const char *run(const struct explorer_test *t, unsigned first)
{
	const char *what;

	begin(t);
	switch (_setjmp(home)) {
	case 0:
		running = &thread[first];
		machine_cpu_turn(t->m, first);
		_longjmp(thread[first].context, 1);
	case 1:
		break;
	default:
		machine_cpu_turn(t->m, 0);
		start_coroutines();
		return broken;
	}
	machine_cpu_turn(t->m, 0);
	if (stop_thread) {
		snprintf(broken, sizeof(broken), "the schedule could not be followed to its end");
		return broken;
	}
	if (_setjmp(home)) {
		machine_cpu_turn(t->m, 0);
		return broken;
	}
	what = t->judge();
	machine_cpu_turn(t->m, 0);
	return what;
}

const char *explorer_run(const struct explorer_test *t, const struct explorer_schedule *s)
{
	schedule = s;
	order = NULL;
	return run(t, s->first);
}

const char *explorer_run_serially(const struct explorer_test *t, const uint8_t *calls, unsigned nr)
{
	schedule = NULL;
	order = calls;
	nr_order = nr;
	return run(t, calls[0]);
}

/* ---- All of them ------------------------------------------------------------------------- */

static struct explorer_schedule *pending;
static size_t nr_pending, room;

static void push(const struct explorer_schedule *s)
{
	if (nr_pending == room) {
		room = room ? 2 * room : 4096;
		pending = realloc(pending, room * sizeof(*pending));
		if (!pending) {
			perror("explorer");
			_exit(2);
		}
	}
	pending[nr_pending++] = *s;
}

/* splitmix64. */
static uint64_t chance(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* Some of the candidates of the last run, in front. */
static void draw_sample(unsigned sample, uint64_t *seed)
{
	for (size_t i = 0; i < sample && i < nr_candidates; i++) {
		size_t k = i + chance(seed) % (nr_candidates - i);
		struct explorer_switch drawn = candidate[k];

		candidate[k] = candidate[i];
		candidate[i] = drawn;
	}
	if (nr_candidates > sample)
		nr_candidates = sample;
}

/* One round of up to so many switches: false if it was cut short. */
static bool explore_once(const struct explorer_test *t, const struct explorer_limits *limits,
			 unsigned switches, struct explorer_result *r)
{
	struct explorer_schedule s = { .nr = 0 };
	uint64_t seed = limits->seed;

	r->schedules = 0;
	nr_pending = 0;
	for (unsigned i = t->nr_threads; i-- > 0;) {
		s.first = (uint8_t)i;
		push(&s);
	}
	while (nr_pending) {
		if ((limits->most_runs && r->runs >= limits->most_runs) ||
		    (limits->deadline != 0 && (r->runs & 63) == 0 && explorer_now() > limits->deadline))
			return false;
		s = pending[--nr_pending];
		r->broken = explorer_run(t, &s);
		r->schedules++;
		r->runs++;
		r->points += MOST_POINTS - points_left;
		if (r->broken) {
			r->schedule = s;
			return true;
		}
		if (s.nr == switches)
			continue;
		if (limits->sample && switches > 1)
			draw_sample(limits->sample, &seed);
		s.nr++;
		for (size_t i = nr_candidates; i-- > 0;) {
			s.at[s.nr - 1] = candidate[i];
			push(&s);
		}
	}
	return true;
}

void explorer_explore(const struct explorer_test *t, const struct explorer_limits *limits,
		      struct explorer_result *r)
{
	unsigned switches = limits->switches && !limits->everywhere ? 1 : limits->switches;

	memset(r, 0, sizeof(*r));
	everywhere = limits->everywhere;
	/* Few switches first: they are the fewer schedules, and show most of the conflicts. */
	for (;;) {
		notes_grew = false;
		r->rounds++;
		r->complete = explore_once(t, limits, switches, r);
		if (!r->complete || r->broken)
			break;
		if (notes_grew && !everywhere && !(limits->sample && switches > 1))
			continue;
		if (switches == limits->switches)
			break;
		switches = limits->sample ? limits->switches : switches + 1;
	}
	everywhere = false;
}

/* ---- Text -------------------------------------------------------------------------------- */

void explorer_print(const struct explorer_schedule *s, char text[EXPLORER_TEXT])
{
	size_t len = (size_t)snprintf(text, EXPLORER_TEXT, "%u", s->first);

	for (unsigned i = 0; i < s->nr; i++)
		len += (size_t)snprintf(text + len, EXPLORER_TEXT - len, " %u@%u>%u", s->at[i].thread,
					s->at[i].point, s->at[i].to);
}

bool explorer_parse(const char *text, struct explorer_schedule *s)
{
	unsigned first, from, point, to;
	int used = 0;

	memset(s, 0, sizeof(*s));
	if (sscanf(text, "%u%n", &first, &used) != 1 || first >= EXPLORER_MOST_THREADS)
		return false;
	s->first = (uint8_t)first;
	for (text += used; *text; text += used) {
		if (sscanf(text, " %u@%u>%u%n", &from, &point, &to, &used) != 3 ||
		    from >= EXPLORER_MOST_THREADS || to >= EXPLORER_MOST_THREADS ||
		    s->nr == EXPLORER_MOST_SWITCHES)
			return false;
		s->at[s->nr++] = (struct explorer_switch){
			.point = point, .thread = (uint8_t)from, .to = (uint8_t)to };
	}
	return true;
}

void explorer_lose_wakes(bool on)
{
	loses_wakes = on;
}

void explorer_trace(bool on)
{
	tracing = on;
}

double explorer_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* SPDX-License-Identifier: MIT */
/*
 * The other CPUs and the moments of museum.h. The linker puts the __wrap functions here in the way
 * of every call from one file of the library to another (--wrap, see meson.build).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <mm/fault.h>
#include <object/internal.h>
#include <pgtable/internal.h>

#include "museum.h"

static struct machine *machine;
static struct quire_mm *home; /* where the other CPUs run */
struct disk *disk;

void caught(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "caught: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	fflush(NULL);
	_exit(1);
}

void check(struct quire_mm *mm)
{
	quire_broken_t broken = quire_mm_check(mm);

	if (!broken)
		broken = machine_check(machine);
	if (broken)
		caught("%s", broken);
}

/* ---- Other CPUs -------------------------------------------------------------------------- */

/* Under lock, but for waits. */
static struct actor {
	pthread_t thread;
	bool exists, leaves;
	void (*job)(void);
	uint32_t waits; /* is inside quire_port_wait(); atomic */
} actors[MUSEUM_CPUS];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;

#define PATIENCE_S 20

static void *actor_main(void *arg)
{
	struct actor *self = arg;

	machine_cpu_bind(machine, (unsigned)(self - actors));
	machine_switch(machine, &home->pt);
	pthread_mutex_lock(&lock);
	while (!self->leaves) {
		void (*job)(void) = self->job;

		if (!job) {
			pthread_cond_wait(&change, &lock);
			continue;
		}
		pthread_mutex_unlock(&lock);
		job();
		pthread_mutex_lock(&lock);
		self->job = NULL;
		pthread_cond_broadcast(&change);
	}
	pthread_mutex_unlock(&lock);
	machine_cpu_unbind(machine);
	return NULL;
}

static void give_job(struct actor *actor, void (*fn)(void))
{
	pthread_mutex_lock(&lock);
	if (!actor->exists) {
		actor->exists = true;
		if (pthread_create(&actor->thread, NULL, actor_main, actor))
			caught("no thread for a CPU");
	}
	if (actor->job)
		caught("a CPU was given two things to do at once");
	actor->job = fn;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
}

static void nap(void)
{
	const struct timespec t = {.tv_nsec = 50000};

	nanosleep(&t, NULL);
}

/* True: it has ended. False: it waits. Looks again and again: a CPU cannot say that it waits. */
static bool settle(struct actor *actor)
{
	struct timespec began, now;

	clock_gettime(CLOCK_MONOTONIC, &began);
	for (;;) {
		bool busy;

		pthread_mutex_lock(&lock);
		busy = actor->job != NULL;
		pthread_mutex_unlock(&lock);
		if (!busy)
			return true;
		if (__atomic_load_n(&actor->waits, __ATOMIC_ACQUIRE))
			return false;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - began.tv_sec > PATIENCE_S)
			caught("a CPU neither ends nor waits");
		nap();
	}
}

bool start(unsigned cpu, void (*fn)(void))
{
	give_job(&actors[cpu], fn);
	return settle(&actors[cpu]);
}

void finish(unsigned cpu)
{
	pthread_mutex_lock(&lock);
	while (actors[cpu].job) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += PATIENCE_S;
		if (pthread_cond_timedwait(&change, &lock, &until))
			caught("a CPU does not come to an end");
	}
	pthread_mutex_unlock(&lock);
}

void on(unsigned cpu, void (*fn)(void))
{
	give_job(&actors[cpu], fn);
	finish(cpu);
}

void stand(const bool *go)
{
	struct actor *self = &actors[quire_port_cpu(machine_quire(machine))];
	struct timespec began, now;

	clock_gettime(CLOCK_MONOTONIC, &began);
	__atomic_store_n(&self->waits, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(go, __ATOMIC_ACQUIRE)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - began.tv_sec > PATIENCE_S)
			caught("a CPU that stands still is not told to go on");
		nap();
	}
	__atomic_store_n(&self->waits, 0, __ATOMIC_RELEASE);
}

void say(bool *cond)
{
	__atomic_store_n(cond, true, __ATOMIC_RELEASE);
}

void until_waiting(unsigned cpu, const bool *cond)
{
	struct timespec began, now;

	clock_gettime(CLOCK_MONOTONIC, &began);
	while (!__atomic_load_n(&actors[cpu].waits, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(cond, __ATOMIC_ACQUIRE)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - began.tv_sec > PATIENCE_S)
			caught("a CPU neither gets there nor waits");
		nap();
	}
}

/* ---- Moments ----------------------------------------------------------------------------- */

/* fn is atomic, and written last; the rest belongs to who sets it, and then to that CPU. */
static struct {
	void (*fn)(void);
	unsigned cpu, skip;
	bool came;
} moments[NR_MOMENTS];

void at_later(enum moment moment, unsigned cpu, unsigned skip, void (*fn)(void))
{
	moments[moment].cpu = cpu;
	moments[moment].skip = skip;
	moments[moment].came = false;
	__atomic_store_n(&moments[moment].fn, fn, __ATOMIC_RELEASE);
}

void at(enum moment moment, unsigned cpu, void (*fn)(void))
{
	at_later(moment, cpu, 0, fn);
}

bool came(enum moment moment)
{
	return moments[moment].came;
}

static void now(enum moment moment)
{
	void (*fn)(void) = __atomic_load_n(&moments[moment].fn, __ATOMIC_ACQUIRE);

	if (!fn || quire_port_cpu(machine_quire(machine)) != moments[moment].cpu)
		return;
	if (moments[moment].skip) {
		moments[moment].skip--;
		return;
	}
	moments[moment].came = true;
	__atomic_store_n(&moments[moment].fn, NULL, __ATOMIC_RELEASE);
	fn();
}

static void before_flush(void *ctx, const struct quire_tlb_flush *flush)
{
	(void)ctx;
	(void)flush;
	now(FLUSH);
}

#define WRAPPED(type, name, ...)        \
	type __real_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__); \
	type __wrap_##name(__VA_ARGS__)

WRAPPED(void, quire_port_wait, struct quire *q, const uint32_t *word, uint32_t value)
{
	uint32_t *waits = &actors[quire_port_cpu(q)].waits;

	__atomic_store_n(waits, 1, __ATOMIC_RELEASE);
	__real_quire_port_wait(q, word, value);
	__atomic_store_n(waits, 0, __ATOMIC_RELEASE);
}

WRAPPED(quire_pte_t, quire_pgtable_peek_leaf, struct quire_pgtable *pt, quire_uaddr_t addr,
	struct quire_leaf *leaf)
{
	quire_pte_t pte = __real_quire_pgtable_peek_leaf(pt, addr, leaf);

	now(LOOKED_UP);
	return pte;
}

WRAPPED(struct quire_page *, quire_walk_next_leaf, struct quire_pgtable *pt, quire_uaddr_t *addr,
	quire_uaddr_t end, void **entries)
{
	struct quire_page *leaf = __real_quire_walk_next_leaf(pt, addr, end, entries);

	if (leaf)
		now(WALKED);
	return leaf;
}

WRAPPED(void, quire_page_copy, struct quire *q, struct quire_page *to, struct quire_page *from)
{
	__real_quire_page_copy(q, to, from);
	now(COPIED);
}

WRAPPED(struct quire_page *, quire_object_find_page, struct quire_object *object, uint64_t index)
{
	struct quire_page *page = __real_quire_object_find_page(object, index);

	if (page)
		now(FOUND_PAGE);
	return page;
}

WRAPPED(struct quire_page *, quire_object_next_page, struct quire_object *object, uint64_t *index,
	uint64_t last, uint32_t flags)
{
	struct quire_page *page = __real_quire_object_next_page(object, index, last, flags);

	if (page)
		now(DROPPING);
	return page;
}

WRAPPED(enum quire_outcome, quire_serve_fault, struct quire_fault *f)
{
	enum quire_outcome r = __real_quire_serve_fault(f);

	now(SERVED);
	return r;
}

WRAPPED(bool, quire_owners_fit, const struct quire_vma *target, const struct quire_vma *source)
{
	bool fit = __real_quire_owners_fit(target, source);

	now(JUDGED);
	return fit;
}

WRAPPED(quire_pte_t, quire_pte_modify, const struct quire_pgfmt *fmt, quire_pte_t pte,
	quire_ptebits_t rights)
{
	quire_pte_t new = __real_quire_pte_modify(fmt, pte, rights);

	now(MODIFIED);
	return new;
}

WRAPPED(int, quire_tables_populate_like, struct quire_pgtable *pt, quire_uaddr_t from, quire_uaddr_t to,
	uint64_t len)
{
	int err = __real_quire_tables_populate_like(pt, from, to, len);

	now(RESERVED);
	return err;
}

WRAPPED(int, quire_copy_range, struct quire_copy *copy, struct quire_vma *child,
	struct quire_vma *parent)
{
	now(FORKING);
	return __real_quire_copy_range(copy, child, parent);
}

WRAPPED(int, quire_expand_stack, struct quire_mm *mm, quire_uaddr_t addr)
{
	now(GROWING);
	return __real_quire_expand_stack(mm, addr);
}

/* ---- The hall ---------------------------------------------------------------------------- */

void museum_open(struct machine *m, struct quire_mm *mm)
{
	static const struct machine_hooks hooks = {.flush = before_flush};

	machine = m;
	home = mm;
	memset(moments, 0, sizeof(moments));
	machine_set_hooks(m, &hooks, NULL);
}

void museum_close(void)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MUSEUM_CPUS; i++)
		actors[i].leaves = true;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < MUSEUM_CPUS; i++) {
		if (actors[i].exists)
			pthread_join(actors[i].thread, NULL);
	}
	memset(actors, 0, sizeof(actors));
}

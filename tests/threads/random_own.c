/* SPDX-License-Identifier: MIT */
/*
 * Memory whose contents are known while everybody works on it. Five regions of a few pages; in each page every CPU has a word
 * that it alone stores to, side by side with the others' words. So a store that is lost in a copy, a
 * move, a write-back or behind a stale entry is seen by its owner at the next look:
 *
 *	page   |..|w0|w1|w2|w3|........|      w1: written by CPU 1 alone
 *	after a store of v that succeeded, until the next: v
 *	where pages may be thrown away: v or 0; and 0 after the owner itself threw it away
 *
 * A region lies at one of two places and is moved between them. The calls made here are those that keep contents
 * (or, for the pages that may go, those that throw away); random_wild.c makes the others.
 */
#include "random.h"

#include <string.h>

#define SCRATCH (OWN_BASE + 2 * NR_REGIONS * OWN_STRIDE) /* a page for each CPU */

static bool is_file(enum region r)
{
	return r == OWN_FILE || r == OWN_FILE_PRIVATE;
}

static bool may_go(enum region r, unsigned page)
{
	return r == OWN_DROPPED || (is_file(r) && page >= OWN_STABLE);
}

static struct ledger *ledger_of(struct proc *proc, enum region r)
{
	return r == OWN_SHARED ? &sea.shared_own : r == OWN_FILE ? &sea.file_own : &proc->own[r];
}

/* Where in its page a CPU's word is; the private view's words are never stored to through the file. */
static uint64_t offset_of(enum region r, unsigned page, unsigned cpu)
{
	return (r == OWN_FILE_PRIVATE ? 2048 : 0) + page * 200 % 1900 / 4 * 4 + 4 * cpu;
}

static uint64_t place(enum region r, unsigned home)
{
	return OWN_BASE + (2 * r + home) * OWN_STRIDE;
}

static uint64_t home_of(struct proc *proc, enum region r)
{
	return place(r, quire_load_acquire(&proc->home[r]));
}

/* ---- Made -------------------------------------------------------------------------------- */

static int64_t map_at(struct proc *proc, enum region r, unsigned home, unsigned first, unsigned n, uint32_t prot)
{
	bool shared = r == OWN_SHARED || r == OWN_FILE;
	struct quire_file *file = r == OWN_SHARED ? sea.shared : is_file(r) ? &sea.own_file.file : NULL;

	return quire_mmap(proc->mm, place(r, home) + first * PAGE, n * PAGE, prot,
			  (shared ? QUIRE_MAP_SHARED : QUIRE_MAP_PRIVATE) | QUIRE_MAP_FIXED |
				  (file ? 0 : QUIRE_MAP_ANONYMOUS),
			  file, first * PAGE);
}

void own_map(struct cpu *cpu, struct proc *proc)
{
	for (enum region r = 0; r < NR_REGIONS; r++) {
		if (log_it(cpu, "own: map", r, 0, 0, 0, map_at(proc, r, 0, 0, OWN_PAGES, QUIRE_PROT_READ | QUIRE_PROT_WRITE)) < 0)
			proc->damaged[r] = true;
	}
	(void)quire_mmap(proc->mm, SCRATCH, MAX_CPUS * PAGE, QUIRE_PROT_READ | QUIRE_PROT_WRITE,
			 QUIRE_MAP_PRIVATE | QUIRE_MAP_ANONYMOUS | QUIRE_MAP_FIXED, NULL, 0);
}

/* ---- Looked at --------------------------------------------------------------------------- */

/* The owner, or somebody at a moment when nobody stores: value was read at the word's place. */
static void judge(struct cpu *cpu, struct proc *proc, enum region r, unsigned page, unsigned owner, uint32_t value,
		  const char *how)
{
	struct word *w = &ledger_of(proc, r)->word[page][owner];
	uint32_t done = quire_load(&w->done);

	cpu->checked++;
	if (value == 0 && (done == 0 || may_go(r, page))) {
		quire_store(&w->done, 0);
		w->upto = 0;
		return;
	}
	if ((value & (MAX_CPUS - 1)) != owner || value < done || value > w->upto)
		fail(cpu, "region %d, page %u, CPU %u's word in space %u: %#x by %s, where %#x to %#x may be", (int)r, page,
		     owner, proc->id, value, how, done, w->upto);
	quire_store(&w->done, value);
	w->upto = value;
}

/* Which signals an access may end with. */
static void judge_signal(struct cpu *cpu, enum region r, unsigned page, uint64_t addr, const struct quire_signal *sig)
{
	cpu->signals++;
	if (sig->signo == QUIRE_SIGKILL)
		return;
	if (sig->addr != addr)
		fail(cpu, "region %d: signal %d for %#llx at %#llx", (int)r, sig->signo, (unsigned long long)addr,
		     (unsigned long long)sig->addr);
	if (sig->signo == QUIRE_SIGBUS && is_file(r) && page >= OWN_STABLE && sig->code == QUIRE_BUS_ADRERR)
		return;
	if (sig->signo != QUIRE_SIGSEGV || (sig->code != QUIRE_SEGV_MAPERR && sig->code != QUIRE_SEGV_ACCERR))
		fail(cpu, "region %d, page %u: signal %d, code %d", (int)r, page, sig->signo, sig->code);
}

static bool load_at(struct cpu *cpu, enum region r, unsigned page, unsigned owner, unsigned home, uint32_t *value)
{
	uint64_t addr = place(r, home) + page * PAGE + offset_of(r, page, owner);
	struct quire_signal sig = { 0 };
	int err = machine_load(sea.m, addr, value, 4, &sig);

	cpu->accesses++;
	log_it(cpu, "own: load", addr, r, page, err ? 0 : *value, err);
	if (err)
		judge_signal(cpu, r, page, addr, &sig);
	return err == 0;
}

/* By its address in the CPU's own space, by another process's way in, or by read(). */
static void look_at(struct cpu *cpu, enum region r, unsigned page)
{
	struct proc *proc = cpu->proc;
	unsigned home = quire_load_acquire(&proc->home[r]) ^ one_in(cpu, 12);
	uint64_t addr = place(r, home) + page * PAGE + offset_of(r, page, cpu->n);
	uint32_t value = 0;
	struct quire_iovec local, remote;

	switch (below(cpu, 8)) {
	case 0:
		if (quire_access_process_vm(proc->mm, addr, &value, 4, QUIRE_ACCESS_READ | QUIRE_ACCESS_FORCE) == 4)
			judge(cpu, proc, r, page, cpu->n, value, "access_process_vm");
		return;
	case 1:
		if (r == OWN_FILE && quire_object_read(&sea.own_file.object,
						       page * PAGE + offset_of(r, page, cpu->n), &value, 4) == 4)
			judge(cpu, proc, r, page, cpu->n, value, "read");
		return;
	case 2:
		local = (struct quire_iovec){ SCRATCH + cpu->n * PAGE, 4 };
		remote = (struct quire_iovec){ addr, 4 };
		if (quire_process_vm_readv(proc->mm, &local, 1, proc->mm, &remote, 1, 0) == 4 &&
		    machine_load(sea.m, local.base, &value, 4, NULL) == 0)
			judge(cpu, proc, r, page, cpu->n, value, "process_vm_readv");
		return;
	default:
		if (load_at(cpu, r, page, cpu->n, home, &value))
			judge(cpu, proc, r, page, cpu->n, value, "a load");
	}
}

/* ---- Stored to --------------------------------------------------------------------------- */

static bool put(struct cpu *cpu, enum region r, unsigned page, uint64_t addr, uint32_t value)
{
	struct proc *proc = cpu->proc;
	struct quire_signal sig = { 0 };
	struct quire_iovec local, remote;
	uint64_t pos = page * PAGE + offset_of(r, page, cpu->n);
	bool done;
	int err;

	switch (below(cpu, 10)) {
	case 0:
		return quire_access_process_vm(proc->mm, addr, &value, 4, QUIRE_ACCESS_WRITE | QUIRE_ACCESS_FORCE) == 4;
	case 1:
		if (r != OWN_FILE)
			break;
		/* It may make the file longer, which must not come between the two halves of a cut. */
		pthread_mutex_lock(&sea.own_file.cut);
		done = quire_object_write(&sea.own_file.object, pos, &value, 4) == 4;
		pthread_mutex_unlock(&sea.own_file.cut);
		return done;
	case 2:
		local = (struct quire_iovec){ SCRATCH + cpu->n * PAGE, 4 };
		remote = (struct quire_iovec){ addr, 4 };
		return machine_store(sea.m, local.base, &value, 4, NULL) == 0 &&
		       quire_process_vm_writev(proc->mm, &local, 1, proc->mm, &remote, 1, 0) == 4;
	default:
		break;
	}
	err = machine_store(sea.m, addr, &value, 4, &sig);
	cpu->accesses++;
	if (err)
		judge_signal(cpu, r, page, addr, &sig);
	return err == 0;
}

static void store_to(struct cpu *cpu, enum region r, unsigned page)
{
	struct proc *proc = cpu->proc;
	struct word *w = &ledger_of(proc, r)->word[page][cpu->n];
	uint64_t addr = home_of(proc, r) + page * PAGE + offset_of(r, page, cpu->n);
	uint32_t value = ++cpu->count * MAX_CPUS + cpu->n;
	bool done;

	quire_store(&w->started, value);
	done = put(cpu, r, page, addr, value);
	log_it(cpu, "own: store", addr, r, page, value, done ? 0 : -1);
	if (!done)
		return;
	w->upto = value;
	quire_store_release(&w->done, value);
}

/* ---- Calls that keep contents ------------------------------------------------------------ */

static int64_t gup(struct quire_mm *mm, uint64_t addr, uint32_t access)
{
	struct quire_page *page;
	int err = quire_get_user_page(mm, addr, access, &page);

	if (!err)
		(void)quire_page_put(mm->q, page);
	return err;
}

static void keep(struct cpu *cpu, enum region r, unsigned first, unsigned n)
{
	static const int advices[] = { QUIRE_MADV_NORMAL, QUIRE_MADV_RANDOM, QUIRE_MADV_SEQUENTIAL, QUIRE_MADV_WILLNEED,
				       QUIRE_MADV_DONTDUMP, QUIRE_MADV_DODUMP, QUIRE_MADV_COLD, QUIRE_MADV_PAGEOUT,
				       QUIRE_MADV_POPULATE_READ, QUIRE_MADV_POPULATE_WRITE, QUIRE_MADV_COLLAPSE,
				       QUIRE_MADV_HUGEPAGE };
	static const uint32_t prots[] = { 3, 3, 3, 3, 1, 1, 0, 7, 5 };
	struct quire_mm *mm = cpu->proc->mm;
	uint64_t addr = home_of(cpu->proc, r) + first * PAGE, len = n * PAGE;
	unsigned char vec[OWN_PAGES];
	uint32_t prot = prots[below(cpu, QUIRE_ARRAY_SIZE(prots))];
	uint32_t flags = below(cpu, 8);
	int advice = advices[below(cpu, QUIRE_ARRAY_SIZE(advices))];

	switch (below(cpu, 9)) {
	case 0:
	case 1:
	case 2:
		log_it(cpu, "own: mprotect", addr, len, prot, 0, quire_mprotect(mm, addr, len, prot));
		break;
	case 3:
		if ((r == OWN_SHARED || r == OWN_FILE) && one_in(cpu, 2))
			advice = QUIRE_MADV_DONTNEED; /* the object has it */
		log_it(cpu, "own: madvise", addr, len, (uint64_t)advice, 0, quire_madvise(mm, addr, len, advice));
		break;
	case 4:
		log_it(cpu, "own: mlock2", addr, len, flags & 1, 0, quire_mlock2(mm, addr, len, flags & 1));
		break;
	case 5:
		log_it(cpu, "own: munlock", addr, len, 0, 0, quire_munlock(mm, addr, len));
		break;
	case 6:
		log_it(cpu, "own: msync", addr, len, flags, 0, quire_msync(mm, addr, len, flags));
		break;
	case 7:
		log_it(cpu, "own: mincore", addr, len, 0, 0, quire_mincore(mm, addr, len, vec));
		break;
	default:
		log_it(cpu, "own: get_user_page", addr, flags & 1, 0, 0,
		       gup(mm, addr, flags & 1 ? QUIRE_ACCESS_WRITE : QUIRE_ACCESS_READ));
	}
}

/* To the other place. Only where the whole region is in one: what lies at the other is unmapped first. */
static void move(struct cpu *cpu, enum region r)
{
	struct proc *proc = cpu->proc;
	unsigned from;
	int64_t err;

	if (pthread_mutex_trylock(&proc->mover[r]))
		return;
	from = proc->home[r];
	if (!proc->damaged[r]) {
		err = quire_mremap(proc->mm, place(r, from), OWN_PAGES * PAGE, OWN_PAGES * PAGE,
				   QUIRE_MREMAP_MAYMOVE | QUIRE_MREMAP_FIXED, place(r, !from));
		log_it(cpu, "own: mremap", place(r, from), OWN_PAGES * PAGE, place(r, !from), 0, err);
		if (err < 0)
			proc->damaged[r] = true;
		else
			quire_store_release(&proc->home[r], !from);
	}
	pthread_mutex_unlock(&proc->mover[r]);
}

/* The same part of the object mapped over what is there, or unmapped and mapped again. */
static void map_over(struct cpu *cpu, enum region r, unsigned first, unsigned n)
{
	struct proc *proc = cpu->proc;
	unsigned home;

	if (pthread_mutex_trylock(&proc->mover[r]))
		return;
	home = proc->home[r];
	if (!proc->damaged[r]) {
		if (one_in(cpu, 2))
			log_it(cpu, "own: munmap", place(r, home) + first * PAGE, n * PAGE, 0, 0,
			       quire_munmap(proc->mm, place(r, home) + first * PAGE, n * PAGE));
		if (log_it(cpu, "own: map over", place(r, home) + first * PAGE, n * PAGE, 0, 0,
			   map_at(proc, r, home, first, n, QUIRE_PROT_READ | QUIRE_PROT_WRITE)) < 0)
			proc->damaged[r] = true;
	}
	pthread_mutex_unlock(&proc->mover[r]);
}

/* ---- Calls that throw away --------------------------------------------------------------- */

/* The CPU's own words of these pages are gone for certain: it is the only one who could have stored since. */
static void gone(struct cpu *cpu, enum region r, unsigned first, unsigned n)
{
	for (unsigned page = first; page < first + n; page++) {
		struct word *w = &ledger_of(cpu->proc, r)->word[page][cpu->n];

		quire_store_release(&w->done, 0);
		w->upto = 0;
	}
}

static void repair(struct cpu *cpu)
{
	struct proc *proc = cpu->proc;
	enum region r = OWN_DROPPED;

	if (pthread_mutex_trylock(&proc->mover[r]))
		return;
	if (quire_munmap(proc->mm, place(r, 1), OWN_PAGES * PAGE) == 0 &&
	    map_at(proc, r, 0, 0, OWN_PAGES, QUIRE_PROT_READ | QUIRE_PROT_WRITE) >= 0) {
		quire_store_release(&proc->home[r], 0);
		proc->damaged[r] = false;
		gone(cpu, r, 0, OWN_PAGES);
	}
	pthread_mutex_unlock(&proc->mover[r]);
}

static void drop_anonymous(struct cpu *cpu, unsigned first, unsigned n)
{
	static const int advices[] = { QUIRE_MADV_DONTNEED, QUIRE_MADV_DONTNEED, QUIRE_MADV_DONTNEED_LOCKED,
				       QUIRE_MADV_GUARD_INSTALL, QUIRE_MADV_GUARD_REMOVE, QUIRE_MADV_GUARD_REMOVE,
				       QUIRE_MADV_FREE, QUIRE_MADV_WIPEONFORK, QUIRE_MADV_KEEPONFORK, QUIRE_MADV_DONTFORK,
				       QUIRE_MADV_DOFORK };
	struct proc *proc = cpu->proc;
	uint32_t home = quire_load_acquire(&proc->home[OWN_DROPPED]);
	uint64_t addr = place(OWN_DROPPED, home) + first * PAGE;
	int advice = advices[below(cpu, QUIRE_ARRAY_SIZE(advices))];
	int64_t err;

	if (one_in(cpu, 4)) {
		map_over(cpu, OWN_DROPPED, first, n); /* somebody else may have moved it first: v or 0 */
		return;
	}
	if (one_in(cpu, 8)) {
		repair(cpu);
		return;
	}
	/* Nobody moves it meanwhile, or 0 would not be certain. */
	if (pthread_mutex_trylock(&proc->mover[OWN_DROPPED]))
		return;
	err = quire_madvise(proc->mm, addr, n * PAGE, advice);
	log_it(cpu, "own: madvise", addr, n * PAGE, (uint64_t)advice, home, err);
	if (!err && home == proc->home[OWN_DROPPED] && !proc->damaged[OWN_DROPPED] &&
	    (advice == QUIRE_MADV_DONTNEED || advice == QUIRE_MADV_DONTNEED_LOCKED || advice == QUIRE_MADV_GUARD_INSTALL))
		gone(cpu, OWN_DROPPED, first, n);
	pthread_mutex_unlock(&proc->mover[OWN_DROPPED]);
}

/*
 * Everything behind size was cut off by this CPU, and nobody else stores its words: a private view made before shows nothing
 * of them any more, since truncate takes private copies away too.
 */
static void look_behind(struct cpu *cpu, uint64_t size)
{
	uint64_t home = home_of(cpu->proc, OWN_FILE_PRIVATE);
	uint32_t value;

	for (unsigned page = (unsigned)((size + PAGE - 1) / PAGE); page < OWN_PAGES; page++) {
		if (machine_load(sea.m, home + page * PAGE + offset_of(OWN_FILE, page, cpu->n), &value, 4, NULL))
			continue;
		cpu->checked++;
		if (value)
			fail(cpu, "CPU %u cut the file at %#llx, and its private view of page %u still has %#x", cpu->n,
			     (unsigned long long)size, page, value);
	}
}

static void change_file(struct cpu *cpu)
{
	unsigned first = OWN_STABLE + below(cpu, OWN_PAGES - OWN_STABLE), n = 1 + below(cpu, OWN_PAGES - first);
	uint64_t size;
	int err;

	switch (below(cpu, 4)) {
	case 0:
		err = quire_object_sync(&sea.own_file.object, 0, OWN_PAGES - 1);
		log_it(cpu, "own: sync", 0, OWN_PAGES - 1, 0, 0, err);
		return;
	case 1:
		if (one_in(cpu, 2)) {
			err = quire_madvise(cpu->proc->mm, home_of(cpu->proc, OWN_FILE) + first * PAGE, n * PAGE,
					    QUIRE_MADV_REMOVE);
			log_it(cpu, "own: madvise", home_of(cpu->proc, OWN_FILE) + first * PAGE, n * PAGE, QUIRE_MADV_REMOVE, 0,
			       err);
			return; /* where it was moved from meanwhile there was nothing: v or 0 */
		}
		err = quire_object_punch_hole(&sea.own_file.object, first * PAGE, (first + n) * PAGE);
		log_it(cpu, "own: punch_hole", first, n, 0, 0, err);
		if (!err)
			gone(cpu, OWN_FILE, first, n);
		return;
	default:
		size = first * PAGE + (one_in(cpu, 2) ? 0 : below(cpu, PAGE / 4) * 4);
		log_it(cpu, "own: cut", size, 0, 0, 0, 0);
		file_cut(&sea.own_file, size);
		for (unsigned page = OWN_STABLE; page < OWN_PAGES; page++) {
			if (page * PAGE + offset_of(OWN_FILE, page, cpu->n) >= size)
				gone(cpu, OWN_FILE, page, 1);
		}
		look_behind(cpu, size);
	}
}

void own_step(struct cpu *cpu)
{
	enum region r = below(cpu, NR_REGIONS);
	unsigned first = below(cpu, OWN_PAGES), n = 1 + below(cpu, OWN_PAGES - first);

	switch (below(cpu, 16)) {
	case 0:
	case 1:
		keep(cpu, r, first, n);
		cpu->calls++;
		return;
	case 2:
		if (r == OWN_DROPPED)
			drop_anonymous(cpu, first, n);
		else if (r == OWN_SHARED || r == OWN_FILE)
			map_over(cpu, r, first, n);
		cpu->calls++;
		return;
	case 3:
		if (one_in(cpu, 2))
			move(cpu, r);
		else if (one_in(cpu, 2))
			change_file(cpu);
		cpu->calls++;
		return;
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
		store_to(cpu, r, first);
		return;
	default:
		look_at(cpu, r, first);
	}
}

/* ---- Forks ------------------------------------------------------------------------------- */

void own_before_fork(struct proc *parent, struct proc *child)
{
	for (int r = 0; r < NR_PRIVATE; r++) {
		for (unsigned page = 0; page < OWN_PAGES; page++) {
			for (unsigned n = 0; n < sea.nr_cpus; n++)
				child->own[r].word[page][n].done = quire_load_acquire(&parent->own[r].word[page][n].done);
		}
	}
}

/*
 * What the child has of a word was there at some moment of the fork. Its owner may have thrown it away and stored
 * again meanwhile, which does not make the number smaller.
 */
void own_after_fork(struct cpu *cpu, struct proc *parent, struct proc *child, unsigned owner, uint32_t after[][OWN_PAGES])
{
	for (unsigned page = 0; page < OWN_PAGES; page++) {
		after[0][page] = quire_load_acquire(&parent->own[OWN_PRIVATE].word[page][owner].done);
		after[1][page] = quire_load_acquire(&parent->own[OWN_FILE_PRIVATE].word[page][owner].done);
	}
	for (int r = 0; r < NR_PRIVATE; r++) {
		for (unsigned page = 0; page < OWN_PAGES; page++) {
			for (unsigned n = 0; n < sea.nr_cpus; n++) {
				struct word *w = &child->own[r].word[page][n];

				w->started = quire_load_acquire(&parent->own[r].word[page][n].started);
				/* Its own words the forking CPU did not store to meanwhile. */
				w->upto = n == cpu->n ? parent->own[r].word[page][n].upto : w->started;
				if (w->upto < w->done)
					w->upto = w->done;
			}
		}
	}
	for (int r = 0; r < NR_REGIONS; r++) {
		child->home[r] = quire_load_acquire(&parent->home[r]);
		/* Somebody may have been about to move or map it. */
		child->damaged[r] = true;
	}
}

/*
 * What the child has of another CPU's words is what there was at one moment: it has no store without those that this CPU did
 * before it. after: the CPU's words in the parent when the fork was over, each the last of its kind.
 */
static void look_for_order(struct cpu *cpu, unsigned owner, const uint32_t after[][OWN_PAGES])
{
	static const enum region kept[] = { OWN_PRIVATE, OWN_FILE_PRIVATE };
	struct proc *proc = cpu->proc;
	uint32_t value[2][OWN_PAGES] = { 0 }, last = 0;
	bool found[2][OWN_PAGES] = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		for (unsigned page = 0; page < OWN_PAGES; page++) {
			uint64_t addr = place(kept[i], proc->home[kept[i]]) + page * PAGE + offset_of(kept[i], page, owner);

			found[i][page] = !may_go(kept[i], page) &&
					 quire_access_process_vm(proc->mm, addr, &value[i][page], 4,
								 QUIRE_ACCESS_READ | QUIRE_ACCESS_FORCE) == 4;
			if (found[i][page] && value[i][page] > last)
				last = value[i][page];
		}
	}
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned page = 0; page < OWN_PAGES; page++) {
			if (found[i][page] && after[i][page] <= last && value[i][page] < after[i][page])
				fail(cpu, "the child has CPU %u's store of %#x, but in region %d, page %u %#x, not %#x from before it",
				     owner, last, (int)kept[i], page, value[i][page], after[i][page]);
		}
	}
}

void own_look(struct cpu *cpu, unsigned owner, const uint32_t after[][OWN_PAGES])
{
	look_for_order(cpu, owner, after);
	for (int r = 0; r < NR_PRIVATE; r++) {
		for (unsigned i = 0; i < 4; i++) {
			unsigned page = below(cpu, OWN_PAGES), whose = i ? below(cpu, sea.nr_cpus) : cpu->n;
			unsigned home = cpu->proc->home[r];
			uint32_t value, again;

			if (!load_at(cpu, (enum region)r, page, whose, home, &value))
				continue;
			judge(cpu, cpu->proc, (enum region)r, page, whose, value, "a load in the new child");
			if (load_at(cpu, (enum region)r, page, whose, home, &again) && again != value && !may_go((enum region)r, page))
				fail(cpu, "region %d, page %u, CPU %u's word changed in a child that nobody runs in: %#x, %#x", r,
				     page, whose, value, again);
		}
	}
}

/* ---- At rest ----------------------------------------------------------------------------- */

/* Is the region whole in one place? Then it may be moved again. */
static void find_home(struct proc *proc, enum region r)
{
	uint64_t found[2] = { 0, 0 };

	quire_grace_enter(sea.q);
	for (unsigned home = 0; home < 2; home++) {
		for (unsigned page = 0; page < OWN_PAGES; page++) {
			struct quire_vma *vma = quire_find_vma(proc->mm, place(r, home) + page * PAGE);

			found[home] += vma && vma->start <= place(r, home) + page * PAGE;
		}
	}
	quire_grace_leave(sea.q);
	proc->damaged[r] = true;
	if (found[0] + found[1] == OWN_PAGES && (found[0] == 0 || found[1] == 0)) {
		proc->damaged[r] = false;
		proc->home[r] = found[1] != 0;
	}
}

void own_check_space(struct cpu *cpu, struct proc *proc)
{
	for (int r = 0; r < NR_REGIONS; r++) {
		find_home(proc, (enum region)r);
		if (r >= NR_PRIVATE || proc->damaged[r])
			continue;
		for (unsigned page = 0; page < OWN_PAGES; page++) {
			for (unsigned n = 0; n < sea.nr_cpus; n++) {
				uint64_t addr = place((enum region)r, proc->home[r]) + page * PAGE + offset_of((enum region)r, page, n);
				uint32_t value;

				if (quire_access_process_vm(proc->mm, addr, &value, 4,
							    QUIRE_ACCESS_READ | QUIRE_ACCESS_FORCE) == 4)
					judge(cpu, proc, (enum region)r, page, n, value, "a look at rest");
			}
		}
	}
}

static void check_disk(struct cpu *cpu, unsigned page, unsigned n, uint32_t value)
{
	uint32_t stored;

	memcpy(&stored, sea.own_file.bytes + page * PAGE + offset_of(OWN_FILE, page, n), 4);
	if (stored != value)
		fail(cpu, "page %u, CPU %u's word: %#x is in the file, but %#x was written back", page, n, value, stored);
}

/* Of what is shared: through the objects. After a write-back the disk has it, and what is read in anew is it. */
void own_check_shared(struct cpu *cpu)
{
	bool synced = quire_object_sync(&sea.own_file.object, 0, OWN_PAGES - 1) == 0;

	for (unsigned page = 0; page < OWN_PAGES; page++) {
		for (unsigned n = 0; n < sea.nr_cpus; n++) {
			uint64_t pos = page * PAGE;
			uint32_t value;

			if (quire_object_read(sea.shared->object, pos + offset_of(OWN_SHARED, page, n), &value, 4) == 4)
				judge(cpu, cpu->proc, OWN_SHARED, page, n, value, "a read at rest");
			if (quire_object_read(&sea.own_file.object, pos + offset_of(OWN_FILE, page, n), &value, 4) != 4)
				continue;
			judge(cpu, cpu->proc, OWN_FILE, page, n, value, "a read at rest");
			if (synced)
				check_disk(cpu, page, n, value);
		}
	}
	if (synced)
		quire_object_drop(&sea.own_file.object, 0, OWN_PAGES - 1);
}

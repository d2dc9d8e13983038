/* SPDX-License-Identifier: MIT */
/*
 * Threads that do what they like, all at once, to address spaces that they share: what the parts of
 * threads-random have in common.
 *
 *	random.c        rounds: a machine, its CPUs, spaces that are joined, forked, replaced, left
 *	random_own.c    memory whose contents are known: each CPU owns words in it
 *	random_wild.c   memory that anything may befall; what is read must still be possible
 *	random_quiet.c  the equations, at moments at which nobody does anything
 *	random_file.c   files on a disk that is an array
 *
 * A round is made from a seed. Threads run as they will, so a seed does not repeat a failure to the letter;
 * what each CPU did last is printed with it.
 */
#ifndef QUIRE_TESTS_THREADS_RANDOM_H
#define QUIRE_TESTS_THREADS_RANDOM_H

#include <machine.h>
#include <pthread.h>
#include <quire/quire.h>

#include "../format.h"

#define PAGE ((uint64_t)QUIRE_PAGE_SIZE)
#define MAX_CPUS 4
#define NR_SLOTS 5      /* spaces that anybody may join */
#define MAX_DEPTH 12    /* forks of forks */
#define NR_LOGGED 16384 /* what a CPU remembers of what it did; the last of it is printed */

/* ---- Memory whose contents are known: random_own.c --------------------------------------- */

#define OWN_BASE 0x10000000ull
#define OWN_PAGES 8     /* a region */
#define OWN_STABLE 4    /* of a file's: pages that no truncate reaches */
#define OWN_STRIDE (40 * PAGE)

enum region {
	OWN_PRIVATE,      /* anonymous; nothing is ever taken away */
	OWN_DROPPED,      /* anonymous; anybody may throw pages away */
	OWN_FILE_PRIVATE, /* a private view of the file */
	NR_PRIVATE,       /* so far each space has contents of its own */
	OWN_SHARED = NR_PRIVATE,
	OWN_FILE,         /* the file itself; pages from OWN_STABLE on come and go with its size */
	NR_REGIONS,
};

/*
 * One CPU's word in one page. It alone stores there: ever larger numbers, the CPU in the low bits. What is in
 * memory lies between done and upto, which differ only after a fork that another thread did while this one stored.
 */
struct word {
	uint32_t started; /* the last one that was tried; atomic */
	uint32_t done;    /* known to be there; 0: never stored, or thrown away; atomic */
	uint32_t upto;
};

struct ledger {
	struct word word[OWN_PAGES][MAX_CPUS];
};

/* ---- Spaces ------------------------------------------------------------------------------ */

/* A process: a space with what is known of it. Each reference is one user of the space. */
struct proc {
	struct quire_mm *mm;
	uint32_t refs; /* atomic */
	uint32_t id;
	/* Whose stores it may see in private memory: its own, and those of these from before the fork. */
	unsigned depth;
	struct {
		uint32_t id, until;
	} ancestor[MAX_DEPTH];
	struct ledger own[NR_PRIVATE];
	/* Where each region is: whoever moves or replaces it holds the lock. Others look at home, and may be wrong. */
	pthread_mutex_t mover[NR_REGIONS];
	uint32_t home[NR_REGIONS];    /* 0, 1; atomic */
	bool damaged[NR_REGIONS];     /* lies in both places, or has holes; under mover */
};

/* ---- Files: random_file.c ---------------------------------------------------------------- */

#define FILE_PAGES 48

struct sea_file {
	struct quire_object object;
	struct quire_file file, read_only; /* two opens */
	pthread_mutex_t lock;              /* bytes */
	unsigned char *bytes;
	pthread_mutex_t cut;               /* own file: who changes the size */
	uint32_t fail_one_in;              /* reads and writes fail with EIO; 0: never */
	uint32_t calls;                    /* atomic */
	const char *wrong;                 /* an operation was called as it must not be */
};

void file_make(struct quire *q, struct sea_file *f, uint64_t pages, const char *path);
/* Shrink and grow again: everything from size on reads as zeroes afterwards. */
void file_cut(struct sea_file *f, uint64_t size);
void file_forget_from(struct sea_file *f, uint64_t size);
/* NULL, or what is left of it. */
const char *file_end(struct quire *q, struct sea_file *f);

/* ---- The round --------------------------------------------------------------------------- */

struct logged {
	const char *what;
	uint32_t proc, clock;
	uint64_t arg[4];
	int64_t result;
};

struct cpu {
	unsigned n;
	uint64_t random;
	struct proc *proc;
	uint32_t count; /* of its own words */
	uint64_t steps; /* atomic: the watchdog looks */
	uint64_t calls, accesses, signals, checked;
	struct logged *log; /* NR_LOGGED of them */
	unsigned nr_logged;
};

struct sea {
	uint64_t seed;
	unsigned nr_cpus, nr_phases, steps_a_phase;
	bool small;                /* so little memory that it runs out */
	struct machine *m;
	struct quire *q;
	struct cpu cpu[MAX_CPUS];
	pthread_barrier_t barrier;
	pthread_mutex_t table;     /* slots */
	struct proc *slot[NR_SLOTS];
	uint32_t nr_procs;         /* alive; atomic */
	uint32_t next_id, clock;   /* atomic */
	struct sea_file own_file, wild_file;
	struct quire_file *shared; /* OWN_SHARED */
	struct ledger shared_own, file_own;
	uint64_t forks, execs, exits, quiet; /* atomic */
};

extern struct sea sea;

/* Print why, what each CPU did last and the areas of the CPU's space, and end the program. */
__attribute__((noreturn, format(printf, 2, 3))) void fail(struct cpu *cpu, const char *format, ...);

/* Now and then let another thread go on. */
void stumble(unsigned one_in);

static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static inline unsigned below(struct cpu *cpu, unsigned n)
{
	return (unsigned)((random_next(&cpu->random) >> 33) % n);
}

static inline bool one_in(struct cpu *cpu, unsigned n)
{
	return below(cpu, n) == 0;
}

static inline int64_t log_it(struct cpu *cpu, const char *what, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
			     int64_t result)
{
	cpu->log[cpu->nr_logged++ % NR_LOGGED] =
		(struct logged){ what, cpu->proc ? cpu->proc->id : 0, quire_load(&sea.clock), { a, b, c, d }, result };
	return result;
}

/* random_own.c */
void own_map(struct cpu *cpu, struct proc *proc);
void own_step(struct cpu *cpu);
/* Before and after a fork: what the child's words may be. */
void own_before_fork(struct proc *parent, struct proc *child);
void own_after_fork(struct cpu *cpu, struct proc *parent, struct proc *child, unsigned owner, uint32_t after[][OWN_PAGES]);
/* In the child, before anybody else can be: it has what its parent had, of owner's words what was there at one moment. */
void own_look(struct cpu *cpu, unsigned owner, const uint32_t after[][OWN_PAGES]);
/* Nobody stores: every word of the space, or of what all share, has its value. */
void own_check_space(struct cpu *cpu, struct proc *proc);
void own_check_shared(struct cpu *cpu);

/* random_wild.c */
void wild_step(struct cpu *cpu);
/* Everything that the library placed where it liked goes. */
#define WILD_END 0x40000000ull
#define WILD_BREAK 0x30000000ull

/* random_quiet.c */
void quiet_check(struct cpu *cpu);

#endif
